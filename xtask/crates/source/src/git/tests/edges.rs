//! Repositories at the edge: what cannot be read, and what is read in another way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::read_with;
use super::tell::tell;
use super::{Sandbox, help, installed};
use crate::git::ChangeKind::{Deleted, Modified, Untracked};
use crate::git::{Checkout, Exit, Repository, Source as _, obstacle};

/// A repository with the file `a` in a first commit, and an empty second commit.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("a", "a\n");
    sandbox.commit("first");
    sandbox.commit("second");
    sandbox
}

/// Reads `folder` without the program; the version string must be git's.
fn read(sandbox: &Sandbox, folder: &Path) -> Checkout {
    let theirs = sandbox.describe(folder);
    let checkout = sandbox.read_context(folder, "").unwrap();
    assert_eq!(checkout.describe, theirs);
    assert_eq!(checkout, sandbox.read_with_program(folder, "").unwrap());
    checkout
}

/// Only the program can read the repository, and without it the message names `reason`.
fn only_program(sandbox: &Sandbox, reason: &str) -> Checkout {
    let repo = sandbox.repo();
    let error = read_with(&repo, None, None).unwrap_err();
    assert!(error.to_string().contains(reason), "{error}");
    assert!(help(&error).contains("install the `git` program"));
    let checkout = read_with(&repo, None, Some(&installed())).unwrap();
    assert_eq!(checkout.describe, sandbox.describe(&sandbox.repo()));
    assert_eq!(checkout.revision, sandbox.git(&["rev-parse", "HEAD"]));
    checkout
}

#[test]
fn no_repository() {
    let folder = tempfile::tempdir().unwrap();
    let error = read_with(folder.path(), None, None).unwrap_err();
    assert!(help(&error).contains("git init"));
    let error = super::program::Program::open(&installed(), folder.path(), None).err().unwrap();
    assert!(help(&error).contains("git init"));
}

#[test]
fn lost_work_tree() {
    let sandbox = sandbox();
    sandbox.git(&["worktree", "add", "-q", "--detach", "../other"]);
    fs::remove_dir_all(sandbox.repo()).unwrap();
    let other = sandbox.repo().with_file_name("other");
    let error = read_with(&other, None, None).unwrap_err();
    assert!(error.to_string().contains("no longer"), "{error}");
    assert!(help(&error).contains("git worktree repair"));
}

#[test]
fn no_commit() {
    let sandbox = Sandbox::new();
    let error = read_with(&sandbox.repo(), None, None).unwrap_err();
    assert!(help(&error).contains("git commit"));
    let error = sandbox.read_with_program(&sandbox.repo(), "").unwrap_err();
    assert!(help(&error).contains("git commit"));
}

#[test]
fn bare_repository() {
    let sandbox = sandbox();
    sandbox.git(&["clone", "-q", "--bare", ".", "../bare"]);
    let bare = sandbox.repo().with_file_name("bare");
    let error = read_with(&bare, None, None).unwrap_err();
    assert!(help(&error).contains("git clone"));
    let error = sandbox.read_with_program(&bare, "").unwrap_err();
    assert!(help(&error).contains("git clone"));
}

#[test]
fn foreign_owner() {
    let sandbox = sandbox();
    let repo = sandbox.repo();
    if [repo.clone(), repo.join(".git")]
        .iter()
        .any(|path| std::os::unix::fs::chown(path, Some(4321), None).is_err())
    {
        return tell("not run: only root can give a folder away");
    }
    fs::create_dir(repo.join("sub")).unwrap();
    let error = read_with(&repo.join("sub"), None, None).unwrap_err();
    let command = format!("git config --global --add safe.directory {}", repo.display());
    assert!(help(&error).contains(&command), "{}", help(&error));
    let error = sandbox.read_with_program(&repo, "").unwrap_err();
    assert!(help(&error).contains(&command));
}

#[test]
fn work_tree_and_detached_head() {
    let sandbox = sandbox();
    sandbox.git(&["tag", "v1"]);
    sandbox.git(&["worktree", "add", "-q", "--detach", "../other", "HEAD~1"]);
    let other = sandbox.repo().with_file_name("other");
    let checkout = read(&sandbox, &other);
    assert_eq!((checkout.top.as_path(), checkout.branch), (other.as_path(), None));
    assert_eq!(checkout.revision, sandbox.git(&["rev-parse", "HEAD~1"]));
    assert!(checkout.warnings.is_empty());
    fs::remove_file(other.join("a")).unwrap();
    assert_eq!(read(&sandbox, &other).context_changes[0].kind, Deleted);
}

#[test]
fn odd_tags() {
    let sandbox = sandbox();
    sandbox.git(&["tag", "-m", "x", "inner", "HEAD~1"]);
    sandbox.git(&["tag", "-m", "x", "outer", "inner"]);
    sandbox.git(&["tag", "tree", "HEAD^{tree}"]);
    sandbox.git(&["tag", "-m", "x", "blob", "HEAD:a"]);
    sandbox.git(&["symbolic-ref", "refs/tags/link", "refs/tags/inner"]);
    fs::write(sandbox.repo().join(".git/refs/tags/broken"), "nonsense\n").unwrap();
    let checkout = sandbox.read_context(&sandbox.repo(), "").unwrap();
    assert_eq!(checkout.describe, sandbox.describe(&sandbox.repo()));
    fs::remove_file(sandbox.repo().join(".git/refs/tags/broken")).unwrap();
    for _ in 0..2 {
        sandbox.git(&["checkout", "-q", "--detach", "HEAD~1"]);
        let checkout = read(&sandbox, &sandbox.repo());
        assert_eq!(checkout.exact_tags, ["inner", "link", "outer"]);
        assert_eq!(checkout.all_tags, ["blob", "inner", "link", "outer", "tree"]);
        sandbox.git(&["tag", "-f", "light", "HEAD"]);
        sandbox.git(&["tag", "-d", "light"]);
        sandbox.git(&["checkout", "-q", "main"]);
        read(&sandbox, &sandbox.repo());
        sandbox.git(&["pack-refs", "--all"]);
    }
}

#[test]
fn tag_that_is_not_utf8() {
    let sandbox = sandbox();
    // No file: not every system takes such a name.
    let line = [sandbox.git(&["rev-parse", "HEAD"]).as_bytes(), b" refs/tags/v1-\xff\n"].concat();
    fs::write(sandbox.repo().join(".git/packed-refs"), line).unwrap();
    let checkout = read(&sandbox, &sandbox.repo());
    assert_eq!(checkout.describe, "v1-\u{fffd}");
    assert_eq!(checkout.exact_tags, ["v1-\u{fffd}"]);
}

#[test]
fn shallow_clone() {
    let sandbox = sandbox();
    sandbox.git(&["tag", "v1", "HEAD~1"]);
    sandbox.commit("third");
    let url = format!("file://{}", sandbox.repo().display());
    sandbox.git(&["clone", "-q", "--depth=2", "--no-tags", &url, "../shallow"]);
    let shallow = sandbox.repo().with_file_name("shallow");
    let checkout = read(&sandbox, &shallow);
    assert!(checkout.shallow && checkout.revision.starts_with(&checkout.describe));
    assert!(checkout.warnings[0].contains("git fetch --unshallow --tags"));
    sandbox.git_in(&shallow, &["worktree", "add", "-q", "--detach", "../other"]);
    assert!(read(&sandbox, &shallow.with_file_name("other")).shallow);
    sandbox.git_in(&shallow, &["tag", "v2", "HEAD~1"]);
    let checkout = read(&sandbox, &shallow);
    assert!(checkout.shallow && checkout.describe.starts_with("v2-1-g"));
    assert!(checkout.warnings.is_empty());
    sandbox.git_in(&shallow, &["fetch", "-q", "--unshallow", "--tags"]);
    assert!(!read(&sandbox, &shallow).shallow);
}

#[test]
fn submodule() {
    let sandbox = sandbox();
    let url = sandbox.repo().display().to_string();
    sandbox.git(&["init", "-q", "-b", "main", "../outer"]);
    let outer = sandbox.repo().with_file_name("outer");
    let add = ["-c", "protocol.file.allow=always", "submodule", "add", "-q", &url, "mod"];
    sandbox.git_in(&outer, &add);
    sandbox.git_in(&outer, &["commit", "-q", "-m", "first"]);
    // As the checkout.
    let module = outer.join("mod");
    assert_eq!(read(&sandbox, &module).revision, sandbox.git(&["rev-parse", "HEAD"]));
    // In the checkout.
    assert_eq!(read(&sandbox, &outer).dirty, []);
    fs::write(module.join("a"), "changed").unwrap();
    let checkout = read(&sandbox, &outer);
    assert_eq!((checkout.dirty[0].path.as_str(), checkout.dirty.len()), ("mod", 1));
    let changes = &checkout.context_changes;
    assert_eq!((changes[1].path.as_str(), changes[1].kind), ("mod/a", Modified));
    sandbox.git_in(&module, &["commit", "-q", "-a", "-m", "third"]);
    let checkout = read(&sandbox, &outer);
    assert_eq!((checkout.dirty.len(), checkout.context_changes.len()), (1, 1));
    sandbox.git_in(&outer, &["commit", "-q", "-a", "-m", "second"]);
    assert_eq!(read(&sandbox, &outer).context_changes, []);
    // Untracked files do not count for git, but for the context.
    fs::write(module.join("new"), "").unwrap();
    let error = read_with(&outer, None, None).unwrap_err();
    assert!(error.to_string().contains("submodule mod has untracked files"));
    let checkout = sandbox.read_with_program(&outer, "").unwrap();
    assert_eq!(checkout.dirty, []);
    assert_eq!(checkout.context_changes[0].kind, Untracked);
    assert_eq!(checkout.context_changes[0].path, "mod/new");
    // Without its repository its files are missing in the image, whatever git says.
    sandbox.git_in(&outer, &["submodule", "-q", "deinit", "-f", "mod"]);
    let changes = read(&sandbox, &outer).context_changes;
    assert_eq!((changes.len(), changes[0].path.as_str(), changes[0].kind), (1, "mod", Deleted));
}

/// Both ways to read say what `git describe --match` says.
#[test]
fn only_git_tags_with_the_prefix_name_a_version() {
    let sandbox = sandbox();
    sandbox.git(&["tag", "release/v1.0", "HEAD~1"]);
    sandbox.git(&["tag", "-a", "-m", "web", "web/v9.0.0"]);
    sandbox.git(&["tag", "api/v1.2.3"]);
    sandbox.git(&["tag", "-a", "-m", "api", "api/deploy-2026-11-28"]);
    let repo = sandbox.repo();
    for (prefix, expected) in [
        ("", "api/deploy-2026-11-28"),
        ("api/", "api/deploy-2026-11-28"),
        ("api/v", "api/v1.2.3"),
        ("web/", "web/v9.0.0"),
        ("release/", "release/v1.0-1-g"),
        ("none/", &sandbox.git(&["rev-parse", "--short=12", "HEAD"])),
    ] {
        let matching = format!("--match={prefix}*");
        let words = ["describe", "--tags", "--always", "--abbrev=12", &matching];
        let theirs = sandbox.git(&words);
        assert!(theirs.starts_with(expected), "{prefix}: {theirs}");
        let native = super::super::open(&repo, None, None).unwrap();
        let program = super::program::Program::open(&installed(), &repo, None).unwrap();
        for facts in [native.facts(prefix).unwrap(), program.facts(prefix).unwrap()] {
            assert_eq!(facts.describe, theirs, "{prefix}");
            assert_eq!(facts.tagged, prefix != "none/", "{prefix}");
            assert_eq!((facts.exact_tags.len(), facts.all_tags.len()), (3, 4), "{prefix}");
        }
    }
}

#[test]
fn program_on_path() {
    let git = installed();
    let path = std::env::join_paths([Path::new("relative"), git.parent().unwrap()]).unwrap();
    assert_eq!(super::program::find(Some(&path)), Some(git));
    let empty = tempfile::tempdir().unwrap();
    let path = std::env::join_paths([Path::new(""), Path::new("."), empty.path()]).unwrap();
    assert_eq!(super::program::find(Some(&path)), None);
    assert_eq!(super::program::find(None), None);
}

#[test]
fn sha256() {
    let sandbox = Sandbox::new();
    fs::remove_dir_all(sandbox.repo().join(".git")).unwrap();
    sandbox.git(&["init", "-q", "--object-format=sha256"]);
    sandbox.write("a", "");
    sandbox.commit("first");
    sandbox.write("a", "1");
    let checkout = only_program(&sandbox, "not SHA-1");
    assert_eq!((checkout.revision.len(), checkout.dirty.len()), (64, 1));
}

#[test]
fn reftable() {
    let sandbox = Sandbox::new();
    // As a newer git leaves it, whatever this one knows.
    sandbox.git(&["config", "core.repositoryFormatVersion", "1"]);
    sandbox.git(&["config", "extensions.refStorage", "reftable"]);
    let error = read_with(&sandbox.repo(), None, None).unwrap_err();
    assert!(error.to_string().contains("reftable"), "{error}");
    fs::remove_dir_all(sandbox.repo().join(".git")).unwrap();
    let mut init = sandbox.command(&sandbox.repo());
    if !init.args(["init", "-q", "--ref-format=reftable"]).output().unwrap().status.success() {
        return tell("not run: git before 2.45 knows no reftable");
    }
    sandbox.commit("first");
    sandbox.git(&["tag", "v1"]);
    assert_eq!(only_program(&sandbox, "reftable").describe, "v1");
}

#[test]
fn split_and_sparse_index() {
    let sandbox = sandbox();
    sandbox.git(&["update-index", "--split-index"]);
    only_program(&sandbox, "index is split");
    let sandbox = self::sandbox();
    sandbox.write("in/a", "");
    sandbox.write("out/a", "");
    sandbox.commit("third");
    sandbox.git(&["sparse-checkout", "set", "--sparse-index", "in"]);
    only_program(&sandbox, "index is sparse");
    sandbox.git(&["sparse-checkout", "set", "--no-sparse-index", "in"]);
    assert_eq!(only_program(&sandbox, "sparse checkout").dirty, []);
}

#[test]
fn filters_and_encodings() {
    let sandbox = sandbox();
    sandbox.write(".gitattributes", "# filter=up\na filter=up\n");
    sandbox.commit("third");
    // Git passes over a filter without a driver, and so does libgit2.
    read(&sandbox, &sandbox.repo());
    sandbox.git(&["config", "filter.up.clean", "tr a-z A-Z"]);
    sandbox.git(&["add", "--renormalize", "."]);
    sandbox.git(&["commit", "-q", "-m", "fourth"]);
    sandbox.write("a", "A\n");
    assert_eq!(only_program(&sandbox, "filter=up").dirty, []);
    // The comparison with the context uses the filter as well.
    sandbox.git(&["update-index", "--assume-unchanged", "a"]);
    assert_eq!(sandbox.read_with_program(&sandbox.repo(), "").unwrap().context_changes, []);
    sandbox.write("a", "b\n");
    let changes = sandbox.read_with_program(&sandbox.repo(), "").unwrap().context_changes;
    assert_eq!((changes.len(), changes[0].kind), (1, Modified));
    sandbox.git(&["config", "--unset", "filter.up.clean"]);
    fs::remove_file(sandbox.repo().join(".gitattributes")).unwrap();
    fs::create_dir_all(sandbox.repo().join(".git/info")).unwrap();
    let text = "*.x working-tree-encoding=UTF-16\n";
    fs::write(sandbox.repo().join(".git/info/attributes"), text).unwrap();
    only_program(&sandbox, "working-tree-encoding=UTF-16");
}

#[test]
fn replaced_commits() {
    let sandbox = sandbox();
    sandbox.git(&["tag", "v1", "HEAD~1"]);
    sandbox.commit("third");
    assert!(obstacle::find(&git2::Repository::open(sandbox.repo()).unwrap()).unwrap().is_none());
    sandbox.git(&["replace", "--graft", "HEAD"]);
    only_program(&sandbox, "refs/replace");
}

#[test]
fn ambiguous_abbreviation() {
    let sandbox = sandbox();
    let id = sandbox.git(&["rev-parse", "HEAD"]);
    // Git looks at the names of objects only.
    let last = if id.as_bytes()[14] == b'0' { '1' } else { '0' };
    let other = format!("{}{last}{}", &id[2..14], "0".repeat(25));
    let folder = sandbox.repo().join(".git/objects").join(&id[..2]);
    fs::copy(folder.join(&id[2..]), folder.join(other)).unwrap();
    let checkout = read(&sandbox, &sandbox.repo());
    assert_eq!(checkout.describe, id[..15]);
}

/// One kind of damage in a repository at a time, the message about it, and its remedy.
#[test]
fn damaged_repositories() {
    type Damage = fn(&Sandbox);
    let object = |sandbox: &Sandbox, name: &str| {
        let id = sandbox.git(&["rev-parse", name]);
        sandbox.repo().join(".git/objects").join(&id[..2]).join(&id[2..])
    };
    let check = |name: &str, damage: &dyn Fn(&Sandbox), says: &str, helps: &str| {
        let sandbox = sandbox();
        sandbox.write("folder/b", "b\n");
        sandbox.commit("third");
        damage(&sandbox);
        let error = Repository::open(&sandbox.repo(), Some(&sandbox.repo()), None)
            .and_then(|repository| {
                repository.compare(repository.facts("")?, None, &BTreeMap::new())
            })
            .unwrap_err();
        let (exit, _) = process::failure::describe(&error);
        assert_eq!(exit, Exit::Git, "{name}: {error}");
        let line = error.to_string();
        assert!(line.contains(says) && !line.contains("class="), "{name}: {line}");
        assert!(help(&error).contains(helps), "{name}: {}", help(&error));
    };
    let missing = "objects of the repository are missing or damaged: `git fsck --full`";
    for name in ["HEAD", "HEAD^{tree}", "HEAD:folder"] {
        let gone = |sandbox: &Sandbox| fs::remove_file(object(sandbox, name)).unwrap();
        check(name, &gone, "reading the repository of ", missing);
        let garbage = |sandbox: &Sandbox| {
            let path = object(sandbox, name);
            fs::remove_file(&path).unwrap();
            fs::write(path, "garbage").unwrap();
        };
        check(name, &garbage, "reading the repository of ", missing);
    }
    let index = "the index is damaged: `rm \"$(git rev-parse --git-path index)\" && git reset`";
    for text in ["", "garbage garbage garbage"] {
        let write = |sandbox: &Sandbox| sandbox.write(".git/index", text);
        check("index", &write, "index", index);
    }
    let reference = "a reference is damaged";
    let head: Damage = |sandbox| sandbox.write(".git/HEAD", "garbage");
    check("HEAD", &head, "HEAD", reference);
    let branch: Damage = |sandbox| sandbox.write(".git/refs/heads/main", "garbage");
    check("branch", &branch, "refs/heads/main", reference);
    let config: Damage = |sandbox| sandbox.write(".git/config", "[core");
    check("config", &config, "config", "mend that file");
    let lost: Damage = |sandbox| fs::remove_file(sandbox.repo().join(".git/HEAD")).unwrap();
    check("no HEAD", &lost, "/.git: it is damaged: it has no HEAD", "clone the project again");
    let lost: Damage = |sandbox| fs::remove_dir_all(sandbox.repo().join(".git/objects")).unwrap();
    check("no objects", &lost, "it has no objects", "clone the project again");
    let lost: Damage = |sandbox| fs::remove_dir_all(sandbox.repo().join(".git/refs")).unwrap();
    check("no refs", &lost, "it has no refs", "clone the project again");
}

/// On a file system without modes git doesn't look at them, neither outside nor inside of a submodule.
#[test]
fn modes_that_do_not_count_inside_of_a_submodule() {
    use std::os::unix::fs::PermissionsExt as _;
    let sandbox = sandbox();
    let url = sandbox.repo().display().to_string();
    sandbox.git(&["init", "-q", "-b", "main", "../outer"]);
    let outer = sandbox.repo().with_file_name("outer");
    let add = ["-c", "protocol.file.allow=always", "submodule", "add", "-q", &url, "mod"];
    sandbox.git_in(&outer, &add);
    sandbox.git_in(&outer, &["commit", "-q", "-m", "first"]);
    fs::set_permissions(outer.join("mod/a"), fs::Permissions::from_mode(0o755)).unwrap();
    let all = ["mod", "mod/a"];
    for (inside, outside, expected) in [
        ("true", "true", &all[..]),
        ("false", "true", &[]),
        ("false", "false", &[]),
        // Git asks the submodule's own configuration.
        ("true", "false", &all),
    ] {
        sandbox.git_in(&outer.join("mod"), &["config", "core.fileMode", inside]);
        sandbox.git_in(&outer, &["config", "core.fileMode", outside]);
        let checkout = read(&sandbox, &outer);
        let changes: Vec<&str> = checkout.context_changes.iter().map(|c| c.path.as_str()).collect();
        assert_eq!(changes, expected, "{inside} {outside}");
    }
}

/// 20,000 tags in files and as many in one file, which claims to be sorted and isn't, or says nothing.
#[test]
fn more_tags_than_anybody_has_in_files_that_are_badly_sorted() {
    let sandbox = sandbox();
    let [first, second] = ["HEAD~1", "HEAD"].map(|name| sandbox.git(&["rev-parse", name]));
    let refs = sandbox.repo().join(".git/refs/tags");
    for number in 0..20_000 {
        fs::write(refs.join(format!("l{number}")), format!("{first}\n")).unwrap();
    }
    let mut names: Vec<String> = (0..20_000).map(|number| format!("refs/tags/p{number}")).collect();
    names.sort();
    let lines: Vec<String> = names.iter().map(|name| format!("{first} {name}\n")).collect();
    // One that a search in a sorted file misses, and one that a loose reference overrules.
    let odd = format!("{second} refs/tags/a\n{second} refs/tags/l7\n");
    let backwards = lines.iter().rev().map(String::as_str).collect::<String>() + &odd;
    let tags = |checkout: &Checkout| {
        // Of a file that isn't as its header says git lists some twice.
        let listed = |words: &[&str]| -> Vec<String> {
            let all: BTreeSet<String> = sandbox.git(words).lines().map(str::to_owned).collect();
            all.into_iter().collect()
        };
        let all = listed(&["for-each-ref", "--format=%(refname:strip=2)", "refs/tags"]);
        let exact = listed(&["tag", "--points-at", "HEAD"]);
        assert_eq!(checkout.exact_tags, exact);
        assert!(checkout.all_tags == all);
        all.len()
    };
    for header in ["", "# pack-refs with: peeled fully-peeled sorted \n"] {
        let packed = |text: &str| {
            fs::write(sandbox.repo().join(".git/packed-refs"), format!("{header}{text}")).unwrap();
        };
        packed(&lines.concat());
        assert_eq!(tags(&read(&sandbox, &sandbox.repo())), 40_000);
        packed(&backwards);
        tags(&only_program(&sandbox, "its packed-refs are not sorted"));
    }
}
