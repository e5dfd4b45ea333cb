//! Random work trees: libgit2's answer, the program's and git's own are the same.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::Sandbox;
use super::random::Random;

const NAMES: [&str; 9] =
    ["a", "b", "in/a", "in/b", "in/c/d", "in/c", "in/x.log", "x.log", "in/e f"];

/// Does one random thing to the work tree or the index; what git refuses does not happen.
fn disturb(sandbox: &Sandbox, random: &mut Random) {
    let name = NAMES[random.below(NAMES.len() as u64) as usize];
    let file = sandbox.repo().join(name);
    let git = |arguments: &[&str]| {
        sandbox.command(&sandbox.repo()).args(arguments).output().unwrap();
    };
    match random.below(14) {
        0..=2 => {
            let folder = file.parent().unwrap();
            if folder.is_dir() || fs::create_dir_all(folder).is_ok() {
                // The content of a file's first version is its name.
                let content = [name, "other", "same size"][random.below(3) as usize];
                drop(fs::write(&file, content));
            }
        }
        3 => drop(fs::remove_file(&file)),
        4 => drop(fs::remove_dir_all(sandbox.repo().join("in/c"))),
        5 => git(&["add", "-f", name]),
        6 => git(&["add", "-A"]),
        7 => git(&["rm", "-q", "-f", "-r", "--cached", name]),
        8 => git(&["update-index", "--assume-unchanged", name]),
        9 => git(&["update-index", "--skip-worktree", name]),
        10 => git(&["add", "-N", name]),
        11 => git(&["mv", "-f", "in/a", name]),
        12 => {
            drop(fs::set_permissions(&file, fs::Permissions::from_mode(0o755)));
        }
        13 => {
            drop(fs::remove_file(&file));
            drop(std::os::unix::fs::symlink("b", &file));
        }
        _ => {}
    }
}

/// The files below `in/` that differ from HEAD, found by looking into every one.
fn differing(sandbox: &Sandbox) -> BTreeSet<String> {
    let listed = sandbox.git(&["ls-tree", "-r", "HEAD", "in/"]);
    super::with_context(&sandbox.repo(), "in/", |context| {
        let mut now: BTreeSet<(String, String)> = BTreeSet::new();
        for name in context.files.keys() {
            let file = sandbox.repo().join(name);
            let id = |bytes: &[u8]| git2::Oid::hash_object(git2::ObjectType::Blob, bytes);
            let (kind, id) = if let Ok(target) = file.read_link() {
                ("link", id(target.to_str().unwrap().as_bytes()))
            } else {
                let mode = file.metadata().unwrap().permissions().mode();
                let kind = if mode & 0o100 == 0 { "file" } else { "run" };
                (kind, id(&fs::read(&file).unwrap()))
            };
            now.insert((name.clone(), format!("{kind} {}", id.unwrap())));
        }
        let before: BTreeSet<(String, String)> = listed
            .lines()
            .map(|line| {
                let (entry, name) = line.split_once('\t').unwrap();
                let id = entry.split(' ').next_back().unwrap();
                let kind = match &entry[..6] {
                    "120000" => "link",
                    "100755" => "run",
                    _ => "file",
                };
                (name.to_owned(), format!("{kind} {id}"))
            })
            .collect();
        now.symmetric_difference(&before).map(|(name, _)| name.clone()).collect()
    })
}

#[test]
fn random_work_trees() {
    for seed in 0..40 {
        let mut random = Random(0x0DDB_1A5E_5BAD_5EED ^ (seed * 0x7654_3211));
        let sandbox = Sandbox::new();
        sandbox.write(".gitignore", "*.log\n");
        for name in NAMES.iter().filter(|name| !["in/c", "x.log"].contains(name)) {
            sandbox.write(name, name);
        }
        sandbox.git(&["add", "-f", "."]);
        sandbox.commit("first");
        for _ in 0..=random.below(8) {
            disturb(&sandbox, &mut random);
        }
        let repo = sandbox.repo();
        // Before and after git has written down which files it found unchanged.
        let mut first = sandbox.read_context(&repo, "in/").unwrap();
        let theirs = sandbox.describe(&repo);
        let ours = sandbox.read_context(&repo, "in/").unwrap();
        first.created = ours.created;
        assert_eq!(first, ours, "work tree {seed}");
        assert_eq!(ours.describe, theirs, "work tree {seed}");
        assert_eq!(ours, sandbox.read_with_program(&repo, "in/").unwrap(), "work tree {seed}");
        let paths: BTreeSet<String> = ours.context_changes.into_iter().map(|c| c.path).collect();
        assert_eq!(paths, differing(&sandbox), "work tree {seed}");
    }
}
