//! Snapshots of real repositories, with git's own checkouts to compare them with.

use super::*;
use crate::content::{Start, sha256, sha256_of};
use crate::git::ChangeKind::{self, Modified, Untracked};
use process::failure::describe;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A repository in `repo` with `.dockerignore` and `app/a.py`, and what is kept of it in `state`.
struct Sandbox {
    folder: tempfile::TempDir,
    state: State,
}

impl Sandbox {
    fn new() -> Sandbox {
        let folder = tempfile::tempdir().unwrap();
        let state = State::of(&folder.path().join("state"));
        let sandbox = Sandbox { folder, state };
        fs::create_dir(sandbox.top()).unwrap();
        sandbox.git(&["init", "--quiet", "--initial-branch=main", "."]);
        sandbox.write(".dockerignore", "*\n!app\napp/left-out\n");
        sandbox.write("app/a.py", "1\n");
        sandbox.commit();
        sandbox
    }

    fn top(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join("repo")
    }

    fn git(&self, words: &[&str]) -> String {
        self.git_in(&self.top(), words)
    }

    fn git_in(&self, folder: &Path, words: &[&str]) -> String {
        let mut command = Command::new("git");
        command.env("HOME", self.folder.path()).env("GIT_CONFIG_NOSYSTEM", "1");
        command.args(["-c", "user.name=t", "-c", "user.email=t@example.org"]).args(words);
        let output = command.current_dir(folder).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {words:?}: {stderr}");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "x"]);
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.top().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.top().join(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn try_take(&self) -> anyhow::Result<Snapshot> {
        self.try_take_until(true, &AtomicUsize::new(0))
    }

    fn try_take_until(&self, copy: bool, signal: &AtomicUsize) -> anyhow::Result<Snapshot> {
        let allow = ["app/allowed.key".to_owned()];
        let beside = ["Dockerfile"];
        let top = self.top();
        let wanted = self.wanted(&top, signal);
        take(&Wanted { beside: &beside, allow: &allow, copy, ..wanted })
    }

    /// The files of `app/` below `top`, copied.
    fn wanted<'a>(&'a self, top: &'a Path, signal: &'a AtomicUsize) -> Wanted<'a> {
        Wanted {
            application: "app/",
            made: &[],
            ignore_file: context::IGNORE_FILE,
            top,
            commit: None,
            beside: &[],
            prefix: "",
            allow: &[],
            large: None,
            state: &self.state,
            copy: true,
            signal,
        }
    }

    fn take(&self) -> Snapshot {
        self.try_take().unwrap()
    }

    fn tree(&self) -> PathBuf {
        tree(&self.state)
    }

    fn copy(&self, path: &str) -> String {
        fs::read_to_string(self.tree().join(path)).unwrap()
    }
}

/// Path, type, mode, time and content of all that is in a folder, sorted.
fn listing(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let found = path.symlink_metadata().unwrap();
        let what = if found.is_dir() {
            all.extend(listing(&path));
            String::new()
        } else if found.is_symlink() {
            path.read_link().unwrap().display().to_string()
        } else {
            sha256_of(&path).unwrap()
        };
        let mode = if found.is_symlink() { 0 } else { found.mode() };
        all.push(format!("{} {mode:o} {} {what}", path.display(), found.mtime()));
    }
    all.sort();
    all
}

fn changes(snapshot: &Snapshot) -> Vec<(&str, ChangeKind)> {
    let changes = snapshot.checkout.context_changes.iter();
    changes.map(|change| (change.path.as_str(), change.kind)).collect()
}

#[test]
fn copies_have_the_modes_of_git_and_times_of_their_content() {
    let sandbox = Sandbox::new();
    sandbox.write("app/run", "#!/bin/sh\n");
    sandbox.write("app/new/file", "x");
    sandbox.write("app/left-out", "x");
    sandbox.write("Dockerfile", "FROM scratch\n");
    sandbox.mode("app/run", 0o700);
    sandbox.mode("app/a.py", 0o600);
    symlink("nowhere", sandbox.top().join("app/link")).unwrap();
    fs::create_dir(sandbox.top().join("app/empty")).unwrap();
    sandbox.mode("app/new", 0o2777);
    sandbox.take();
    let root = sandbox.tree().display().to_string();
    let found: Vec<_> = listing(&sandbox.tree())
        .iter()
        .map(|line| line.replace(&root, "").rsplit_once(' ').unwrap().0.to_owned())
        .collect();
    let time = 946_684_800;
    let of = |text: &str| time + i64::from_str_radix(&sha256(text.as_bytes())[..7], 16).unwrap();
    let expected = [
        format!("/app 40755 {time}"),
        format!("/app/a.py 100644 {}", of("1\n")),
        format!("/app/link 0 {time}"),
        format!("/app/new 40755 {time}"),
        format!("/app/new/file 100644 {}", of("x")),
        format!("/app/run 100755 {}", of("#!/bin/sh\n")),
    ];
    assert_eq!(found, expected);
    assert_eq!(sandbox.copy("app/a.py"), "1\n");
    let dockerfile = beside(&sandbox.state, "Dockerfile");
    assert_eq!(fs::read_to_string(dockerfile).unwrap(), "FROM scratch\n");
}

/// What a user's own configuration makes of a commit is either no difference or told.
#[test]
fn clones_of_one_commit_are_equal_or_say_that_they_are_not() {
    let sandbox = Sandbox::new();
    sandbox.write("app/run", "#!/bin/sh\n");
    sandbox.mode("app/run", 0o755);
    sandbox.write("app/deep/er/text", "a\nb\n");
    symlink("deep/er", sandbox.top().join("app/link")).unwrap();
    sandbox.commit();
    let top = sandbox.top().display().to_string();
    let mut seen = Vec::new();
    for (number, (umask, config)) in
        [("022", ""), ("077", ""), ("002", ""), ("000", ""), ("022", "core.autocrlf=true")]
            .into_iter()
            .enumerate()
    {
        let clone = Sandbox { folder: tempfile::tempdir().unwrap(), state: sandbox.state.clone() };
        let clone = Sandbox { state: State::of(&clone.folder.path().join("s")), ..clone };
        let options = if config.is_empty() { String::new() } else { format!("-c {config} ") };
        let script =
            format!("umask {umask}; git {options}clone {options} --quiet {top} {number}/repo");
        let mut shell = Command::new("sh");
        let status = shell.args(["-c", &script]).current_dir(clone.folder.path()).status();
        assert!(status.unwrap().success());
        fs::rename(clone.folder.path().join(format!("{number}/repo")), clone.top()).unwrap();
        let snapshot = clone.take();
        let root = clone.tree().display().to_string();
        let files: Vec<_> =
            listing(&clone.tree()).iter().map(|line| line.replace(&root, "")).collect();
        let clean = changes(&snapshot).is_empty();
        assert_eq!(clean, !config.starts_with("core.autocrlf"), "{:?}", changes(&snapshot));
        assert_eq!(clean, snapshot.checkout.version == snapshot.checkout.describe);
        seen.push((clean, snapshot.sha256(), files));
    }
    let clean: Vec<_> = seen.iter().filter(|(clean, ..)| *clean).collect();
    assert_eq!(clean.len(), 4);
    assert!(clean.iter().all(|one| *one == clean[0]), "{seen:#?}");
}

#[test]
fn where_modes_do_not_count_those_of_git_do() {
    let sandbox = Sandbox::new();
    sandbox.write("app/run", "#!/bin/sh\n");
    sandbox.mode("app/run", 0o755);
    sandbox.commit();
    sandbox.git(&["config", "core.fileMode", "false"]);
    sandbox.mode("app/run", 0o644);
    sandbox.mode("app/a.py", 0o755);
    assert_eq!(changes(&sandbox.take()), []);
    let mode = |path: &str| sandbox.tree().join(path).metadata().unwrap().mode() & 0o777;
    assert_eq!((mode("app/run"), mode("app/a.py")), (0o755, 0o644));
    sandbox.git(&["config", "core.fileMode", "true"]);
    assert_eq!(changes(&sandbox.take()), [("app/a.py", Modified), ("app/run", Modified)]);
    assert_eq!((mode("app/run"), mode("app/a.py")), (0o644, 0o755));
}

#[test]
fn what_did_not_change_is_not_copied_again_and_what_did_is() {
    let sandbox = Sandbox::new();
    sandbox.write("app/b.py", "2\n");
    let before = sandbox.take().sha256();
    let inode = |path: &str| sandbox.tree().join(path).symlink_metadata().unwrap().ino();
    let (a, b) = (inode("app/a.py"), inode("app/b.py"));
    assert_eq!(sandbox.take().sha256(), before);
    assert_eq!((inode("app/a.py"), inode("app/b.py")), (a, b));
    // As long, and with the old time.
    let file = sandbox.top().join("app/b.py");
    let time = file.metadata().unwrap().modified().unwrap();
    fs::write(&file, "3\n").unwrap();
    File::options().append(true).open(&file).unwrap().set_modified(time).unwrap();
    assert_ne!(sandbox.take().sha256(), before);
    assert_eq!((inode("app/a.py"), sandbox.copy("app/b.py").as_str()), (a, "3\n"));
    fs::write(&file, "2\n").unwrap();
    assert_eq!(sandbox.take().sha256(), before);
}

/// As Podman 4.3 writes for `RUN --mount=type=bind,rw`.
#[test]
fn what_an_engine_did_to_the_copies_is_undone() {
    let sandbox = Sandbox::new();
    symlink("a.py", sandbox.top().join("app/link")).unwrap();
    sandbox.write("app/deep/b.py", "2\n");
    sandbox.take();
    let before = listing(&sandbox.tree());
    let copy = |path: &str| sandbox.tree().join(path);
    let undone = |what: &str, change: &dyn Fn()| {
        change();
        sandbox.take();
        assert_eq!(listing(&sandbox.tree()), before, "{what}");
    };
    undone("content", &|| fs::write(copy("app/a.py"), "9\n").unwrap());
    undone("mode", &|| {
        fs::set_permissions(copy("app/a.py"), fs::Permissions::from_mode(0o777)).unwrap();
    });
    undone("new file", &|| fs::write(copy("app/deep/new"), "").unwrap());
    undone("new folder", &|| fs::create_dir_all(copy("app/x/y")).unwrap());
    undone("no file", &|| fs::remove_file(copy("app/a.py")).unwrap());
    undone("no folder", &|| fs::remove_dir_all(copy("app")).unwrap());
    undone("file for a folder", &|| {
        fs::remove_dir_all(copy("app/deep")).unwrap();
        fs::write(copy("app/deep"), "").unwrap();
    });
    undone("folder for a file", &|| {
        fs::remove_file(copy("app/a.py")).unwrap();
        fs::create_dir(copy("app/a.py")).unwrap();
    });
    let outside = sandbox.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    undone("link for a folder", &|| {
        fs::remove_dir_all(copy("app/deep")).unwrap();
        symlink(&outside, copy("app/deep")).unwrap();
    });
    assert_eq!(listing(&outside), [""; 0], "written where a link leads");
    let memory = sandbox.state.folder.join(REMEMBERED);
    undone("no memory", &|| fs::remove_file(&memory).unwrap());
    undone("broken memory", &|| fs::write(&memory, "x\n\n1 2\n").unwrap());
}

#[test]
fn a_link_becomes_a_folder_and_a_folder_a_file() {
    let sandbox = Sandbox::new();
    let outside = sandbox.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, sandbox.top().join("app/media")).unwrap();
    sandbox.take();
    fs::remove_file(sandbox.top().join("app/media")).unwrap();
    sandbox.write("app/media/b.png", "b");
    sandbox.take();
    assert_eq!((sandbox.copy("app/media/b.png").as_str(), listing(&outside).len()), ("b", 0));
    fs::remove_dir_all(sandbox.top().join("app/media")).unwrap();
    sandbox.write("app/media", "file");
    sandbox.take();
    assert_eq!(sandbox.copy("app/media"), "file");
    fs::remove_file(sandbox.top().join("app/media")).unwrap();
    sandbox.take();
    assert!(!sandbox.tree().join("app/media").exists());
}

#[test]
fn what_looks_like_a_secret_is_not_copied() {
    let sandbox = Sandbox::new();
    sandbox.write("app/server.key", "x");
    sandbox.write("app/allowed.key", "x");
    symlink("a.py", sandbox.top().join("app/id_rsa")).unwrap();
    for _ in 0..2 {
        let snapshot = sandbox.take();
        let suspicion = |path: &str| snapshot.contents[path].suspicion.is_some();
        assert!(suspicion("app/server.key") && suspicion("app/allowed.key"));
        assert!(suspicion("app/id_rsa") && !suspicion("app/a.py"));
        assert_eq!(sandbox.copy("app/allowed.key"), "x");
        for refused in ["server.key", "id_rsa"] {
            assert!(sandbox.tree().join("app").join(refused).symlink_metadata().is_err());
        }
    }
    sandbox.write("app/a.py", format!("T = '{}{}'", "ghp_", "1234567890".repeat(4)));
    assert!(sandbox.take().contents["app/a.py"].suspicion.is_some());
    assert!(sandbox.tree().join("app/a.py").symlink_metadata().is_err());
}

#[test]
fn a_script_with_the_wrong_line_end_is_seen() {
    let sandbox = Sandbox::new();
    let check = |text: &str, expected: Start| {
        sandbox.write("app/run", text);
        assert_eq!(sandbox.take().contents["app/run"].start, expected, "{text:?}");
    };
    check("#!/bin/sh\r\n", Start::BrokenScript);
    check("#!/usr/bin/env python\r\nx\r\n", Start::BrokenScript);
    check("#!/bin/sh\n\r\n", Start::Script);
    check("#!/bin/sh", Start::Script);
    check("# no script\r\n", Start::Other);
    check("\x7fELF\x02", Start::Program);
    check("", Start::Other);
}

#[test]
fn a_file_that_never_rests_is_named() {
    let sandbox = Sandbox::new();
    let stop = AtomicBool::new(false);
    let (sender, begun) = std::sync::mpsc::channel();
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            let file = sandbox.top().join("app/a.py");
            for number in 0.. {
                fs::write(&file, format!("{number}")).unwrap();
                let _ = sender.send(());
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        begun.recv().unwrap();
        // On a busy machine the writer may rest for as long as all attempts take: once more.
        let start = Instant::now();
        let mut error = None;
        while error.is_none() && start.elapsed() < Duration::from_secs(120) {
            error = sandbox.try_take().err();
        }
        stop.store(true, Ordering::Relaxed);
        error.unwrap()
    });
    let (exit, help) = describe(&error);
    assert_eq!((exit, help.len()), (Exit::Mismatch, 1));
    assert_eq!(error.to_string(), "reading the build context: app/a.py changed each of 3 times");
    assert_eq!(changes(&sandbox.take()), [("app/a.py", Modified)]);
}

/// Whatever happens to the files meanwhile: the copies are what was compared with the commit.
#[test]
fn copies_never_contradict_what_is_said_of_them() {
    let sandbox = Sandbox::new();
    for number in 0..40 {
        sandbox.write(&format!("app/f{number}"), format!("{number}"));
    }
    sandbox.commit();
    sandbox.git(&["branch", "other"]);
    let stop = AtomicBool::new(false);
    let (mut taken, mut clean) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for turn in 0_u64.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let number = turn * 2_654_435_761 % 40;
                let file = sandbox.top().join(format!("app/f{number}"));
                match turn % 5 {
                    0 => fs::write(&file, "x").unwrap(),
                    1 => fs::write(&file, format!("{number}")).unwrap(),
                    2 => drop(fs::remove_file(&file)),
                    3 => sandbox.mode("app/a.py", if turn % 2 == 0 { 0o644 } else { 0o755 }),
                    _ => drop(sandbox.git(&["checkout", "--quiet", "--force", "other"])),
                }
                std::thread::sleep(Duration::from_millis(turn % 60));
            }
        });
        for _ in 0..60 {
            let Ok(snapshot) = sandbox.try_take() else { continue };
            taken += 1;
            let differing: Vec<&str> = changes(&snapshot).iter().map(|(path, _)| *path).collect();
            clean += usize::from(differing.is_empty());
            let revision = snapshot.checkout.revision.as_str();
            let tracked = sandbox.git(&["ls-tree", "-r", "--name-only", revision, "app/"]);
            for path in tracked.lines().filter(|path| !snapshot.contents.contains_key(*path)) {
                assert!(differing.contains(&path), "{path} is gone, and nobody says so");
            }
            for (path, content) in &snapshot.contents {
                let copy = sandbox.tree().join(path);
                assert_eq!(sha256_of(&copy).unwrap(), content.sha256, "{path}");
                if !differing.contains(&path.as_str()) {
                    let stored = sandbox.git(&["ls-tree", revision, path]);
                    let (mode, id) = stored.split_once(" blob ").unwrap();
                    assert_eq!(id.split('\t').next().unwrap(), content.git, "{path}");
                    let executable = copy.metadata().unwrap().mode() & 0o777 == 0o755;
                    assert_eq!(mode == "100755", executable, "{path}");
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(taken >= 20, "only {taken} snapshots, {clean} of them clean");
}

#[test]
fn a_commit_is_what_a_checkout_under_its_own_attributes_gives() {
    let sandbox = Sandbox::new();
    sandbox.write(
        ".gitattributes",
        "*.crlf eol=crlf\n*.id ident\n*.utf working-tree-encoding=UTF-16LE\n",
    );
    sandbox.write("app/a.crlf", "1\r\n2\r\n");
    sandbox.write("app/b.id", "$Id$\n");
    let utf: Vec<u8> = "x\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    sandbox.write("app/c.utf", &utf);
    sandbox.commit();
    sandbox.git(&["rm", "-rq", "--cached", "."]);
    sandbox.git(&["reset", "--hard", "--quiet"]);
    assert_eq!(changes(&sandbox.take()), []);
    assert!(sandbox.copy("app/b.id").starts_with("$Id: "));
    sandbox.write("app/a.crlf", "1\n2\n");
    sandbox.write("app/b.id", "$Id$\n");
    sandbox.write("app/c.utf", "x\n");
    let all = [("app/a.crlf", Modified), ("app/b.id", Modified), ("app/c.utf", Modified)];
    assert_eq!(changes(&sandbox.take()), all);
}

#[test]
fn files_of_git_lfs_are_known_by_their_pointers() {
    let sandbox = Sandbox::new();
    let content = "a large file\n".repeat(1000);
    let (sha256, bytes) = (sha256(content.as_bytes()), content.len());
    let pointer = format!(
        "{}oid sha256:{sha256}\nsize {bytes}\n",
        "version https://git-lfs.github.com/spec/v1\n"
    );
    sandbox.write(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
    sandbox.write("app/model.bin", &pointer);
    sandbox.commit();
    let warned = |snapshot: &Snapshot| {
        let warnings = &snapshot.checkout.warnings;
        warnings.iter().filter(|text| text.contains("git lfs pull")).count()
    };
    let snapshot = sandbox.take();
    assert_eq!((changes(&snapshot), warned(&snapshot)), (vec![("app/model.bin", Modified)], 1));
    sandbox.write("app/model.bin", &content);
    let snapshot = sandbox.take();
    assert_eq!((changes(&snapshot), warned(&snapshot)), (vec![], 0));
    sandbox.write("app/model.bin", content.to_uppercase());
    assert_eq!(changes(&sandbox.take()), [("app/model.bin", Modified)]);
}

#[test]
fn a_text_that_reads_like_a_pointer_is_one_only_by_its_attributes() {
    let sandbox = Sandbox::new();
    let pointer = format!(
        "{}oid sha256:{}\nsize 1\n",
        "version https://git-lfs.github.com/spec/v1\n",
        sha256(b"x")
    );
    sandbox.write(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
    sandbox.write("app/fixture.txt", &pointer);
    sandbox.commit();
    // What isn't committed decides nothing.
    sandbox.write(".gitattributes", "* filter=lfs\n");
    let snapshot = sandbox.take();
    assert_eq!(
        (changes(&snapshot), snapshot.checkout.warnings.as_slice()),
        (vec![], [].as_slice())
    );
    let top = sandbox.top();
    let folder = tempfile::tempdir().unwrap();
    let repository = Repository::open(&top, Some(&top), Some("HEAD")).unwrap();
    assert_eq!(repository.export(folder.path()).unwrap().missing, Vec::<String>::new());
}

#[test]
fn a_signal_ends_the_reading() {
    let sandbox = Sandbox::new();
    // So large that hashing it would take minutes.
    let large = File::create(sandbox.top().join("app/large")).unwrap();
    large.set_len(1 << 36).unwrap();
    let signal = AtomicUsize::new(0);
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            signal.store(15, Ordering::Relaxed);
        });
        sandbox.try_take_until(false, &signal).unwrap_err()
    });
    assert_eq!(describe(&error).0, Exit::Terminated);
}

#[test]
fn a_file_beside_the_context_counts() {
    let sandbox = Sandbox::new();
    let dirty = |sandbox: &Sandbox| sandbox.take().checkout.describe.ends_with("-dirty");
    sandbox.write("Dockerfile", "FROM scratch\n");
    assert!(dirty(&sandbox), "in no commit");
    sandbox.commit();
    assert!(!dirty(&sandbox));
    sandbox.git(&["update-index", "--assume-unchanged", "Dockerfile"]);
    let before = sandbox.take().sha256();
    sandbox.write("Dockerfile", "FROM scratch\nUSER 1\n");
    assert!(dirty(&sandbox), "hidden from git");
    assert_ne!(sandbox.take().sha256(), before);
}

#[test]
fn a_commit_is_read_without_the_work_tree() {
    let sandbox = Sandbox::new();
    sandbox.write("app/run", "#!/bin/sh\n");
    sandbox.mode("app/run", 0o755);
    symlink("a.py", sandbox.top().join("app/link")).unwrap();
    sandbox.commit();
    let clean = sandbox.take();
    let files = listing(&sandbox.tree());
    let id = sandbox.git(&["rev-parse", "HEAD"]);
    sandbox.git(&["tag", "v1.0.0"]);
    sandbox.write("app/a.py", "2\n");
    sandbox.write("app/b.py", "new\n");
    sandbox.commit();
    sandbox.write("app/a.py", "3\n");
    sandbox.write("app/c.py", "new\n");
    let top = sandbox.top();
    let status = sandbox.git(&["status", "--porcelain"]);
    for name in [id.as_str(), "v1.0.0", "HEAD~1"] {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::open(&top, Some(&top), Some(name)).unwrap();
        let exported = repository.export(folder.path()).unwrap();
        assert_eq!((exported.submodules.len(), exported.missing.len()), (0, 0));
        let signal = AtomicUsize::new(0);
        let wanted = sandbox.wanted(&exported.root, &signal);
        let (commit, beside) = (Some((name, top.as_path())), &["Dockerfile"]);
        let snapshot = take(&Wanted { commit, beside, ..wanted }).unwrap();
        assert_eq!((snapshot.sha256(), listing(&sandbox.tree())), (clean.sha256(), files.clone()));
        assert_eq!((changes(&snapshot), snapshot.checkout.version.as_str()), (vec![], "v1.0.0"));
        assert_eq!(
            (snapshot.checkout.revision.as_str(), snapshot.checkout.branch),
            (id.as_str(), None)
        );
    }
    assert_eq!(sandbox.git(&["status", "--porcelain"]), status);
    let error = Repository::open(&top, Some(&top), Some("v9")).err().unwrap();
    assert_eq!(describe(&error).0, Exit::Git);
    assert_eq!(changes(&sandbox.take()), [("app/a.py", Modified), ("app/c.py", Untracked)]);
}

#[test]
fn an_application_at_the_top_leaves_what_git_ignores() {
    let sandbox = Sandbox::new();
    let top = sandbox.top();
    sandbox.write(".gitignore", "*.sqlite3\n");
    sandbox.write(".dockerignore", ".git\ntarget\n");
    sandbox.commit();
    sandbox.write("db.sqlite3", "a developer's");
    sandbox.write("new.py", "");
    let signal = AtomicUsize::new(0);
    let wanted = sandbox.wanted(&top, &signal);
    let snapshot = take(&Wanted { application: "", ..wanted }).unwrap();
    assert_eq!(changes(&snapshot), [("new.py", Untracked)]);
    assert!(!snapshot.contents.contains_key("db.sqlite3"));
    let copied = listing(&sandbox.tree());
    assert!(!format!("{copied:?}").contains("sqlite3"), "{copied:?}");
}

#[test]
fn what_the_image_makes_itself_leaves_if_git_ignores_it() {
    let sandbox = Sandbox::new();
    let top = sandbox.top();
    sandbox.write(".gitignore", "/app/static/dist/\n*.mo\n");
    sandbox.write("app/static/dist/tracked.js", "");
    sandbox.git(&["add", "--force", "app/static/dist/tracked.js"]);
    sandbox.commit();
    for file in ["app/static/dist/made.js", "app/static/dist/tracked.js", "app/de.mo"] {
        sandbox.write(file, "a developer's");
    }
    let signal = AtomicUsize::new(0);
    let (wanted, made) = (sandbox.wanted(&top, &signal), ["app/static/dist".to_owned()]);
    let snapshot = take(&Wanted { made: &made, ..wanted }).unwrap();
    assert_eq!(
        changes(&snapshot),
        [("app/de.mo", ChangeKind::Ignored), ("app/static/dist/tracked.js", Modified)]
    );
    assert!(!snapshot.contents.contains_key("app/static/dist/made.js"));
}

#[test]
fn what_is_tracked_leaves_with_a_word() {
    let sandbox = Sandbox::new();
    let check = |expected: &[&str]| {
        let warnings = sandbox.take().warnings(&sandbox.top());
        assert_eq!(warnings, expected);
    };
    check(&[]);
    let rules =
        "*\n!app\n# section: on purpose\n**/tests/\n# section: the rest\n**/logs/\n**/*.md\n";
    sandbox.write(".dockerignore", rules);
    sandbox.write("app/logs/models.py", "");
    sandbox.write("app/mail/a.md", "");
    sandbox.write("app/tests/test_a.py", "");
    sandbox.write("README.md", "");
    check(&[]);
    sandbox.commit();
    let one = "2 tracked files of the application aren't in the build context: app/logs/models.py (line 6, \
               **/logs/), app/mail/a.md (line 7, **/*.md); put the rule of the ignore file below \
               `# section: on purpose` if that is right";
    check(&[one]);
    let purpose: Vec<_> = sandbox.take().left_out.into_iter().filter(|f| f.on_purpose).collect();
    assert_eq!(purpose.len(), 1);
    assert_eq!((purpose[0].path.as_str(), purpose[0].line), ("app/tests/test_a.py", 4));
    sandbox.git(&["rm", "--quiet", "-r", "app/logs", "app/mail"]);
    sandbox.commit();
    for (link, target) in [
        ("app/good", "../app/./a.py"),
        ("app/folder", "sub"),
        ("app/absolute", "/nowhere"),
        ("app/sub/gone", "missing"),
        ("app/sub/out", "../../../etc/passwd"),
        ("app/sub/left-out", "../left-out"),
    ] {
        fs::create_dir_all(sandbox.top().join("app/sub")).unwrap();
        symlink(target, sandbox.top().join(link)).unwrap();
    }
    sandbox.write("app/sub/b.py", "");
    check(&["symbolic links that lead out of the build context: app/sub/gone -> missing, \
             app/sub/left-out -> ../left-out, app/sub/out -> ../../../etc/passwd; only the link is \
             copied"]);
}

#[test]
fn what_is_large_is_named() {
    let file = |path: &str, bytes| ContextFile {
        path: path.into(),
        bytes,
        kind: context::ContextEntryKind::File,
    };
    let files = [file("a", 5_000_000_000), file("b", 1), file("c", 2), file("d", 3_400_000)];
    assert_eq!(warnings::large(&files, 6_000_000_000), None);
    let warning = warnings::large(&files, 5_000_000_000).unwrap();
    let begins = "the build context has 5003.4 MB, all of which is copied; the largest files: \
                  a (5000.0 MB), d (3.4 MB), c (0.0 MB); exclude";
    assert!(warning.starts_with(begins), "{warning}");
}

/// Whatever git is told to ignore of a submodule: its commit is part of the commit.
#[test]
fn a_submodule_at_another_commit_or_without_files_is_a_change() {
    let sandbox = Sandbox::new();
    sandbox.write(".dockerignore", "*\n!app\napp/left-out\n**/.git\n");
    let other = Sandbox::new();
    other.write("app/a.py", "2\n");
    other.commit();
    let from = other.top().display().to_string();
    let allow = ["-c", "protocol.file.allow=always"];
    let add = [&allow[..], &["submodule", "--quiet", "add", &from, "app/sub"]].concat();
    sandbox.git(&add);
    sandbox.commit();
    assert_eq!(changes(&sandbox.take()), []);
    sandbox.git(&["config", "-f", ".gitmodules", "submodule.app/sub.ignore", "all"]);
    sandbox.git(&["config", "diff.ignoreSubmodules", "all"]);
    sandbox.commit();
    assert_eq!(changes(&sandbox.take()), []);
    let inside = sandbox.top().join("app/sub");
    sandbox.git_in(&inside, &["checkout", "--quiet", "HEAD~1"]);
    assert_eq!(changes(&sandbox.take()), [("app/sub", Modified)]);
    sandbox.git(&["submodule", "--quiet", "deinit", "--force", "app/sub"]);
    assert_eq!(changes(&sandbox.take()), [("app/sub", ChangeKind::Deleted)]);
    // One outside of the build context is no matter.
    sandbox.write(".dockerignore", "*\n!app\napp/left-out\napp/sub\n");
    assert_eq!(changes(&sandbox.take()), []);
}

/// The folder of the copies may be anything by now.
#[test]
fn nothing_is_tidied_where_a_link_leads() {
    let sandbox = Sandbox::new();
    let outside = sandbox.folder.path().join("outside");
    for part in ["", "tree", "beside"] {
        sandbox.take();
        fs::create_dir_all(outside.join("tree/app")).unwrap();
        fs::write(outside.join("tree/app/precious"), "").unwrap();
        fs::write(outside.join("precious"), "").unwrap();
        let place: PathBuf = sandbox.state.folder.join(FOLDER).join(part).components().collect();
        let _ = fs::remove_dir_all(&place);
        symlink(&outside, &place).unwrap();
        sandbox.take();
        assert!(outside.join("precious").exists() && outside.join("tree/app/precious").exists());
        assert_eq!(sandbox.copy("app/a.py"), "1\n");
    }
}
