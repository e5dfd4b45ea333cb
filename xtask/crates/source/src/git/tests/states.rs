//! States of a checkout: what is dirty, what the context adds, and when it was made.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Sandbox, help};
use crate::git::ChangeKind::{Added, Deleted, Ignored, Modified, TypeChanged, Untracked};
use crate::git::{self, ChangeKind, Checkout, without_credentials};

/// `(path, kind, in_context)` of all changes.
fn list(changes: &[crate::git::Change]) -> Vec<(&str, ChangeKind, bool)> {
    changes.iter().map(|c| (c.path.as_str(), c.kind, c.in_context)).collect()
}

/// A repository with the tag `v1` and the files `in/a`, `in/b`, `out`, `.gitignore`.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    for (name, content) in [("in/a", "a"), ("in/b", "b"), ("out", "o"), (".gitignore", "*.log\n")] {
        sandbox.write(name, content);
    }
    sandbox.commit("first");
    sandbox.git(&["tag", "v1"]);
    sandbox
}

/// Reads with libgit2 and with the program, which must agree with each other and with git.
/// The context is all that is in the folder `in`.
fn read(sandbox: &Sandbox) -> Checkout {
    let repo = sandbox.repo();
    let theirs = sandbox.describe(&repo);
    let index = sandbox.mtime(".git/index");
    let checkout = sandbox.read_context(&repo, "in/").unwrap();
    assert_eq!(checkout.describe, theirs);
    assert_eq!(checkout, sandbox.read_with_program(&repo, "in/").unwrap());
    assert_eq!(sandbox.mtime(".git/index"), index);
    checkout
}

#[test]
fn clean() {
    let sandbox = sandbox();
    let checkout = read(&sandbox);
    assert_eq!(checkout.version, "v1");
    assert_eq!(checkout.top, sandbox.repo());
    assert_eq!(checkout.revision, sandbox.git(&["rev-parse", "HEAD"]));
    assert_eq!((checkout.created, checkout.commit_time), (1_700_000_000, 1_700_000_000));
    assert_eq!(checkout.branch.as_deref(), Some("main"));
    assert_eq!(checkout.exact_tags, ["v1"]);
    assert_eq!(checkout.remote_url, None);
    assert!(checkout.dirty.is_empty() && checkout.context_changes.is_empty());
    assert!(!checkout.shallow && checkout.warnings.is_empty());
}

#[test]
fn edited_outside_the_context() {
    let sandbox = sandbox();
    sandbox.write("out", "changed");
    let checkout = read(&sandbox);
    assert_eq!(checkout.version, "v1-dirty");
    assert_eq!(list(&checkout.dirty), [("out", Modified, false)]);
    assert_eq!(list(&checkout.context_changes), []);
    assert_eq!(checkout.created, 1_700_000_000);
    let without = crate::git::read(&sandbox.repo()).unwrap();
    assert_eq!(without.created, sandbox.mtime("out"));
}

#[test]
fn edited_in_the_context() {
    let sandbox = sandbox();
    sandbox.write("in/a", "changed");
    sandbox.touch("in/a", 1_700_000_123);
    let checkout = read(&sandbox);
    assert_eq!(list(&checkout.dirty), [("in/a", Modified, true)]);
    assert_eq!(list(&checkout.context_changes), [("in/a", Modified, true)]);
    assert_eq!(checkout.created, 1_700_000_123);
}

#[test]
fn same_size_and_time() {
    // Git calls such an entry racy and looks into the file.
    let sandbox = sandbox();
    sandbox.touch("in/a", 2_000_000_000);
    sandbox.git(&["update-index", "--refresh"]);
    sandbox.write("in/a", "A");
    sandbox.touch("in/a", 2_000_000_000);
    assert_eq!(list(&read(&sandbox).context_changes), [("in/a", Modified, true)]);
}

#[test]
fn touched_only() {
    let sandbox = sandbox();
    sandbox.touch("in/a", 1_600_000_000);
    assert_eq!(read(&sandbox).version, "v1");
}

#[test]
fn untracked_and_ignored() {
    let sandbox = sandbox();
    for name in ["in/new", "in/x.log", "new", "x.log"] {
        sandbox.write(name, "");
        sandbox.touch(name, 1_700_000_500);
    }
    sandbox.touch("in/x.log", 1_700_000_900);
    let checkout = read(&sandbox);
    assert_eq!((checkout.describe.as_str(), checkout.version.as_str()), ("v1", "v1-dirty"));
    assert_eq!(list(&checkout.dirty), []);
    let both = [("in/new", Untracked, true), ("in/x.log", Ignored, true)];
    assert_eq!(list(&checkout.context_changes), both);
    assert_eq!(checkout.created, 1_700_000_900);
}

#[test]
fn deleted() {
    let sandbox = sandbox();
    fs::remove_file(sandbox.repo().join("in/a")).unwrap();
    fs::remove_file(sandbox.repo().join("out")).unwrap();
    let checkout = read(&sandbox);
    assert_eq!(list(&checkout.dirty), [("in/a", Deleted, true), ("out", Deleted, false)]);
    assert_eq!(list(&checkout.context_changes), [("in/a", Deleted, true)]);
    assert_eq!(checkout.created, sandbox.mtime(".git/index"));
}

#[test]
fn deleted_with_its_folder() {
    let sandbox = sandbox();
    fs::remove_dir_all(sandbox.repo().join("in")).unwrap();
    sandbox.write("in", "a file now");
    let both = [("in/a", Deleted, true), ("in/b", Deleted, true)];
    assert_eq!(list(&read(&sandbox).context_changes), both);
}

#[test]
fn chmod_and_link() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let sandbox = sandbox();
    let file = sandbox.repo().join("in/a");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(list(&read(&sandbox).context_changes), [("in/a", Modified, true)]);
    sandbox.git(&["config", "core.fileMode", "false"]);
    assert_eq!(list(&read(&sandbox).context_changes), []);
    fs::remove_file(&file).unwrap();
    symlink("b", &file).unwrap();
    let checkout = read(&sandbox);
    assert_eq!(list(&checkout.context_changes), [("in/a", TypeChanged, true)]);
    assert_eq!(list(&checkout.dirty), [("in/a", TypeChanged, true)]);
}

#[test]
fn staged() {
    let sandbox = sandbox();
    sandbox.write("in/a", "staged");
    sandbox.write("in/new", "staged");
    sandbox.git(&["add", "in"]);
    let both = [("in/a", Modified, true), ("in/new", Added, true)];
    let checkout = read(&sandbox);
    assert_eq!(
        (list(&checkout.dirty), list(&checkout.context_changes)),
        (both.into(), both.into())
    );
    // The file is as in the commit again, the index is not: dirty, but the image has the commit.
    sandbox.write("in/a", "a");
    fs::remove_file(sandbox.repo().join("in/new")).unwrap();
    let checkout = read(&sandbox);
    assert_eq!(list(&checkout.dirty), [("in/a", Modified, true)]);
    assert_eq!(list(&checkout.context_changes), []);
    assert_eq!((checkout.version.as_str(), checkout.created), ("v1-dirty", 1_700_000_000));
    sandbox.write("in/new", "");
    sandbox.git(&["rm", "-q", "-f", "--cached", "in/new", "in/b"]);
    sandbox.git(&["add", "-N", "in/new"]);
    let checkout = read(&sandbox);
    assert_eq!(list(&checkout.context_changes), [("in/new", Added, true)]);
    assert_eq!(list(&checkout.dirty)[1], ("in/b", Deleted, true));
}

#[test]
fn hidden_from_git() {
    let sandbox = sandbox();
    sandbox.git(&["update-index", "--assume-unchanged", "in/a"]);
    sandbox.git(&["update-index", "--skip-worktree", "in/b", "out"]);
    assert_eq!(list(&read(&sandbox).context_changes), []);
    sandbox.write("in/a", "changed");
    fs::remove_file(sandbox.repo().join("in/b")).unwrap();
    let checkout = read(&sandbox);
    assert_eq!((checkout.describe.as_str(), checkout.version.as_str()), ("v1", "v1-dirty"));
    let both = [("in/a", Modified, true), ("in/b", Deleted, true)];
    assert_eq!(list(&checkout.context_changes), both);
}

#[test]
fn line_ends() {
    let sandbox = sandbox();
    sandbox.write(".gitattributes", "*.txt text\n");
    sandbox.write("in/a.txt", "1\n2\n");
    sandbox.commit("text");
    sandbox.write("in/a.txt", "1\r\n2\r\n");
    // What git would store is the same, and what the image would get isn't.
    let checkout = read(&sandbox);
    assert_eq!(list(&checkout.dirty), [("in/a.txt", Modified, true)]);
    assert_eq!(list(&checkout.context_changes), [("in/a.txt", Modified, true)]);
}

/// A save may empty a file between libgit2's look at its size and its reading.
#[test]
fn written_while_compared() {
    let sandbox = sandbox();
    let (file, content) = (sandbox.repo().join("in/a"), "a".repeat(100_000));
    sandbox.write("in/a", &content);
    sandbox.commit("long");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                fs::write(&file, &content).unwrap();
            }
        });
        let read = || git::Repository::open(&sandbox.repo(), None, None)?.facts("");
        let failed: Vec<_> = (0..300).filter_map(|_| read().err()).collect();
        stop.store(true, Ordering::Relaxed);
        assert!(failed.is_empty(), "{} of 300: {:#}", failed.len(), failed[0]);
    });
}

#[test]
fn conflict() {
    let sandbox = sandbox();
    sandbox.git(&["checkout", "-q", "-b", "other"]);
    sandbox.write("in/a", "other");
    sandbox.commit("other");
    sandbox.git(&["checkout", "-q", "main"]);
    sandbox.write("in/a", "main");
    sandbox.commit("main");
    let mut merge = sandbox.command(&sandbox.repo());
    assert!(!merge.args(["merge", "-q", "other"]).output().unwrap().status.success());
    assert_eq!(list(&read(&sandbox).context_changes), [("in/a", Modified, true)]);
}

#[test]
fn root_below_the_top() {
    let sandbox = Sandbox::new();
    sandbox.write("docker/image.toml", "");
    sandbox.write("sub/dir/docker/image.toml", "");
    sandbox.write("sub/other", "");
    sandbox.commit("first");
    sandbox.write("sub/other", "1");
    sandbox.write("sub/dir/docker/image.toml", "1");
    sandbox.write("sub/dir/new", "1");
    let checkout = sandbox.read_context(&sandbox.repo().join("sub/dir"), "").unwrap();
    let dirty = [("../other", Modified, false), ("docker/image.toml", Modified, true)];
    assert_eq!(list(&checkout.dirty), dirty);
    let context = [("docker/image.toml", Modified, true), ("new", Untracked, true)];
    assert_eq!(list(&checkout.context_changes), context);
}

#[test]
fn lost_repository() {
    let sandbox = sandbox();
    sandbox.write("copy/docker/image.toml", "");
    let error = sandbox.read_context(&sandbox.repo().join("copy"), "").unwrap_err();
    assert!(error.to_string().contains(&format!("around it, {},", sandbox.repo().display())));
    assert!(help(&error).contains("git init"));
    sandbox.git(&["add", "copy"]);
    assert!(sandbox.read_context(&sandbox.repo().join("copy"), "").is_ok());
}

#[test]
fn credentials() {
    let cases = [
        ("https://user:secret@host.example/a.git", "https://host.example/a.git"),
        ("https://token@host.example:8080/a", "https://host.example:8080/a"),
        ("https://user:se/cr@et@host.example/a", "https://host.example/a"),
        ("https://host.example:443/a@b", "https://host.example:443/a@b"),
        ("https://[::1]:80/a@b", "https://[::1]:80/a@b"),
        ("ssh://git:secret@host.example/a", "ssh://git@host.example/a"),
        ("git@host.example:a/b.git", "git@host.example:a/b.git"),
        ("/srv/git/a@b", "/srv/git/a@b"),
    ];
    for (url, shown) in cases {
        assert_eq!(without_credentials(url), shown);
    }
    let sandbox = sandbox();
    sandbox.git(&["remote", "add", "origin", cases[0].0]);
    assert_eq!(read(&sandbox).remote_url.as_deref(), Some(cases[0].1));
}
