//! Git identity against the installed git: random histories (`random`) and states at the edges.

use super::*;
use expect_test::expect;
use std::fs;
use std::process::{Command, Stdio};
use tempfile::TempDir;

mod edges;
mod random;

/// A folder with a repository, and a git that knows nothing of the machine's settings.
pub(super) struct Lab {
    folder: TempDir,
}

impl Lab {
    /// An empty folder.
    pub(super) fn bare() -> Lab {
        Lab { folder: tempfile::tempdir().unwrap() }
    }

    /// A repository without a commit.
    pub(super) fn new() -> Lab {
        let lab = Lab::bare();
        lab.git(&["init", "--quiet", "--initial-branch=main", "."]);
        lab
    }

    /// A repository with a workflow in it, one commit.
    pub(super) fn workflow() -> Lab {
        let lab = Lab::new();
        lab.write(crate::config::PATH, "");
        lab.write("README.md", "read me\n");
        lab.write("app/view.py", "one = 1\n");
        lab.write("app/other.py", "two = 2\n");
        lab.write(".gitignore", "*.cache\n");
        lab.commit("first");
        lab
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .args(words)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("HOME", self.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "a")
            .env("GIT_AUTHOR_EMAIL", "a@example.org")
            .env("GIT_COMMITTER_NAME", "c")
            .env("GIT_COMMITTER_EMAIL", "c@example.org")
            .env("GIT_AUTHOR_DATE", "1700000000 +0100")
            .env("GIT_COMMITTER_DATE", "1700000000 +0100")
            .stdin(Stdio::null());
        command
    }

    /// What git prints, without the line's end.
    pub(super) fn git(&self, words: &[&str]) -> String {
        let output = self.command(words).output().unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).trim_end().to_owned();
        assert!(output.status.success(), "git {words:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(super) fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
    }

    /// What we read, with everything under `app/` as the build context.
    pub(super) fn read(&self) -> anyhow::Result<Checkout> {
        self.read_below("", &std::env::var("PATH").unwrap())
    }

    /// As [`Lab::read`] for a workflow in the folder `below`, with git looked for on `path`.
    pub(super) fn read_below(&self, below: &str, path: &str) -> anyhow::Result<Checkout> {
        let root: PathBuf = self.path().join(below).components().collect();
        let mut files = Vec::new();
        collect(&root, &root.join("app"), &mut files);
        let includes = |path: &str| path.starts_with("app/");
        let context = Context { root: &root, files: &files, includes: &includes };
        read_with(&root, Some(&context), path)
    }

    /// git's own words for what we call `describe`.
    pub(super) fn describe(&self) -> String {
        self.git(&["describe", "--tags", "--always", "--dirty", "--abbrev=12"])
    }
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_name() == ".git" {
            continue;
        }
        if path.is_dir() && !path.is_symlink() {
            collect(root, &path, files);
        } else {
            files.push(path.strip_prefix(root).unwrap().display().to_string());
        }
    }
}

#[test]
fn urls_lose_their_credentials() {
    let check = |url: &str, expected: &str| assert_eq!(without_credentials(url), expected);
    check("https://user:word@host.example/a/b.git", "https://host.example/a/b.git");
    check("https://token@host.example:8443/a", "https://host.example:8443/a");
    check("https://host.example/a@b", "https://host.example/a@b");
    check("git@host.example:a/b.git", "git@host.example:a/b.git");
    check("/srv/a.git", "/srv/a.git");
}

/// The lists of changes as text, for the tests of what differs.
pub(super) fn changes(checkout: &Checkout) -> String {
    let list = |changes: &[Change]| {
        let line = |c: &Change| {
            format!("{} {}{}", c.kind, c.path, if c.in_context { "" } else { " (outside)" })
        };
        changes.iter().map(line).collect::<Vec<_>>().join(", ")
    };
    format!("dirty: {}\ncontext: {}", list(&checkout.dirty), list(&checkout.context_changes))
}

#[test]
fn each_kind_of_difference_is_listed_where_it_belongs() {
    let check = |change: &dyn Fn(&Lab), expected: expect_test::Expect| {
        let lab = Lab::workflow();
        change(&lab);
        let checkout = lab.read().unwrap();
        assert_eq!(checkout.describe, lab.describe());
        let marked = !checkout.dirty.is_empty() || !checkout.context_changes.is_empty();
        assert_eq!(checkout.version.ends_with("-dirty"), marked);
        expected.assert_eq(&changes(&checkout));
        assert_eq!(checkout, lab.read().unwrap(), "asking twice gives the same");
    };
    check(
        &|_| {},
        expect![[r#"
        dirty: 
        context: "#]],
    );
    check(
        &|lab| lab.write("README.md", "new\n"),
        expect![[r#"
        dirty: modified README.md (outside)
        context: "#]],
    );
    check(
        &|lab| lab.write("app/view.py", "one = 3\n"),
        expect![[r#"
        dirty: modified app/view.py
        context: modified app/view.py"#]],
    );
    check(
        &|lab| lab.write("app/new.py", "x\n"),
        expect![[r#"
        dirty: 
        context: untracked app/new.py"#]],
    );
    check(
        &|lab| lab.write("app/x.cache", "x\n"),
        expect![[r#"
        dirty: 
        context: ignored app/x.cache"#]],
    );
    check(
        &|lab| lab.write("notes.txt", "x\n"),
        expect![[r#"
        dirty: 
        context: "#]],
    );
    check(
        &|lab| fs::remove_file(lab.path().join("app/view.py")).unwrap(),
        expect![[r#"
        dirty: deleted app/view.py
        context: deleted app/view.py"#]],
    );
    let staged = |lab: &Lab| {
        lab.write("app/new.py", "x\n");
        lab.git(&["add", "app/new.py"]);
    };
    check(
        &staged,
        expect![[r#"
        dirty: added app/new.py
        context: added app/new.py"#]],
    );
    let executable = |lab: &Lab| {
        use std::os::unix::fs::PermissionsExt as _;
        let path = lab.path().join("app/view.py");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    check(
        &executable,
        expect![[r#"
        dirty: modified app/view.py
        context: modified app/view.py"#]],
    );
    let forgotten = |lab: &Lab| {
        lab.git(&["rm", "--quiet", "--cached", "app/view.py"]);
    };
    check(
        &forgotten,
        expect![[r#"
        dirty: deleted app/view.py
        context: "#]],
    );
    let staged_and_taken_back = |lab: &Lab| {
        lab.write("app/view.py", "one = 3\n");
        lab.git(&["add", "app/view.py"]);
        lab.write("app/view.py", "one = 1\n");
    };
    check(
        &staged_and_taken_back,
        expect![[r#"
        dirty: modified app/view.py
        context: "#]],
    );
    let unwatched = |lab: &Lab| {
        lab.git(&["update-index", "--assume-unchanged", "app/view.py"]);
        lab.write("app/view.py", "one = 3\n");
        lab.git(&["update-index", "--skip-worktree", "app/other.py"]);
        fs::remove_file(lab.path().join("app/other.py")).unwrap();
    };
    check(
        &unwatched,
        expect![[r#"
        dirty: 
        context: deleted app/other.py, modified app/view.py"#]],
    );
    let linked = |lab: &Lab| {
        fs::remove_file(lab.path().join("app/view.py")).unwrap();
        std::os::unix::fs::symlink("other.py", lab.path().join("app/view.py")).unwrap();
    };
    check(
        &linked,
        expect![[r#"
        dirty: modified app/view.py
        context: modified app/view.py"#]],
    );
    // Another time, the same content.
    check(
        &|lab| lab.write("app/view.py", "one = 1\n"),
        expect![[r#"
        dirty: 
        context: "#]],
    );
}

#[test]
fn created_is_the_commits_time_or_the_newest_change() {
    let lab = Lab::workflow();
    assert_eq!(lab.read().unwrap().created, 1_700_000_000);
    // A change outside the build context changes no image.
    lab.write("README.md", "new\n");
    assert_eq!(lab.read().unwrap().created, 1_700_000_000);
    let at = |path: &str, seconds: &str| {
        let status =
            Command::new("touch").args(["-d", seconds]).arg(lab.path().join(path)).status();
        assert!(status.unwrap().success());
    };
    lab.write("app/view.py", "one = 3\n");
    lab.write("app/new.py", "x\n");
    at("app/view.py", "@1800000000");
    at("app/new.py", "@1800000005");
    assert_eq!(lab.read().unwrap().created, 1_800_000_005);
    fs::remove_file(lab.path().join("app/new.py")).unwrap();
    lab.git(&["checkout", "--quiet", "app/view.py"]);
    fs::remove_file(lab.path().join("app/other.py")).unwrap();
    at(".git/index", "@1900000000");
    assert_eq!(lab.read().unwrap().created, 1_900_000_000);
    assert_eq!(lab.read().unwrap().created, 1_900_000_000);
}
