//! Random histories: our version strings are those of the installed `git`.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;

use git2::{Oid, Repository};

use super::Sandbox;
use crate::git::describe::{Tags, describe};

/// A small generator of random numbers (xorshift), the same on every machine.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// A stream for `git fast-import`: `commits` commits in a tangle, and tags on one in `sparse`.
/// The references `refs/marks/…` keep all commits alive.
fn history(random: &mut Random, commits: u64, sparse: u64) -> String {
    let mut stream = String::new();
    let mut clock = 1_000_000_000;
    let mut tags = 0;
    for mark in 1..=commits {
        clock += random.below(4) * 10;
        let date = match random.below(12) {
            0 => clock - random.below(5000),
            1 => clock + random.below(5000),
            _ => clock,
        };
        write!(stream, "reset refs/marks/{mark}\n\ncommit refs/marks/{mark}\nmark :{mark}\n")
            .unwrap();
        write!(stream, "committer a <a@b> {date} +0100\ndata 0\n").unwrap();
        let mut parents = HashSet::new();
        if mark > 1 && !random.one_in(60) {
            let wanted = [1, 1, 1, 1, 2, 2, 3, 6][random.below(8) as usize];
            for i in 0..wanted {
                let reach = if random.one_in(9) { 40 } else { 4 };
                let back = 1 + random.below(reach);
                let parent = mark.saturating_sub(back).max(1);
                if parents.insert(parent) {
                    writeln!(stream, "{} :{parent}", if i == 0 { "from" } else { "merge" })
                        .unwrap();
                }
            }
        }
        stream.push('\n');
        while random.one_in(sparse) {
            tags += 1;
            // Names are met in another order than they are made.
            let name = format!("{}/{tags}", random.below(7));
            if random.one_in(2) {
                write!(stream, "reset refs/tags/{name}\nfrom :{mark}\n\n").unwrap();
            } else {
                let date = 1_000_000_000 + random.below(3);
                write!(stream, "tag {name}\nfrom :{mark}\n").unwrap();
                write!(stream, "tagger a <a@b> {date} +0000\ndata 0\n\n").unwrap();
            }
        }
    }
    stream
}

/// Renames some tag references, so that the tag objects have other names.
fn rename(sandbox: &Sandbox, random: &mut Random) {
    let listed = sandbox.git(&["for-each-ref", "--format=%(refname) %(objectname)", "refs/tags"]);
    let mut script = String::new();
    for line in listed.lines().filter(|_| random.one_in(8)) {
        let (name, object) = line.split_once(' ').unwrap();
        writeln!(script, "delete {name}\ncreate {name}-moved {object}").unwrap();
    }
    feed(sandbox, &["update-ref", "--stdin"], &script);
}

fn feed(sandbox: &Sandbox, arguments: &[&str], input: &str) {
    let mut command = sandbox.command(&sandbox.repo());
    let mut child = command.args(arguments).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// Compares all commits below `refs/marks` with git, by the tags that begin with `prefix`; how many
/// there were.
fn compare(sandbox: &Sandbox, prefix: &str, what: &str) -> usize {
    let listed = sandbox.git(&["for-each-ref", "--format=%(objectname)", "refs/marks"]);
    let ids: Vec<&str> = listed.lines().collect();
    let matching = format!("--match={prefix}*");
    let mut arguments = vec!["describe", "--tags", "--always", "--abbrev=12", &matching];
    arguments.extend(&ids);
    let theirs = sandbox.git(&arguments);
    assert_eq!(theirs.lines().count(), ids.len());
    let repo = Repository::open(sandbox.repo()).unwrap();
    let odb = repo.odb().unwrap();
    let mut tags = Tags::read(&repo, Oid::ZERO_SHA1, prefix).unwrap();
    for (id, theirs) in ids.iter().zip(theirs.lines()) {
        let commit = Oid::from_str(id).unwrap();
        let (ours, _) = describe(&odb, commit, &mut tags, &HashSet::new()).unwrap();
        assert_eq!(ours, theirs, "{what}, commit {id}");
    }
    ids.len()
}

#[test]
fn random_histories() {
    let mut compared = 0;
    for (seed, sparse) in [3, 4, 6, 8, 12, 20, 40, 80, 200, 5].into_iter().enumerate() {
        let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ (seed as u64 * 0x1234_5677));
        let sandbox = Sandbox::new();
        feed(&sandbox, &["fast-import", "--quiet"], &history(&mut random, 180, sparse));
        rename(&sandbox, &mut random);
        if seed.is_multiple_of(2) {
            sandbox.git(&["pack-refs", "--all"]);
        }
        for prefix in ["", "3/", "5/1"] {
            compared += compare(&sandbox, prefix, &format!("history {seed}, {prefix}"));
        }
    }
    assert!(compared >= 1000);
}

/// A merge of young tagged roots, far from everything, and an old tagged line, which is near: it
/// is taken if it is one of the first ten.
#[test]
fn the_tenth_candidate_is_the_last() {
    for roots in 7..12 {
        let mut stream = String::new();
        let mut commit = |mark: u64, date: u64, parents: &[u64], tag: bool| {
            write!(stream, "reset refs/marks/{mark}\n\ncommit refs/marks/{mark}\nmark :{mark}\n")
                .unwrap();
            write!(stream, "committer a <a@b> {date} +0000\ndata 0\n").unwrap();
            for (i, parent) in parents.iter().enumerate() {
                writeln!(stream, "{} :{parent}", if i == 0 { "from" } else { "merge" }).unwrap();
            }
            stream.push('\n');
            if tag {
                write!(stream, "reset refs/tags/{mark}\nfrom :{mark}\n\n").unwrap();
            }
        };
        commit(1, 1000, &[], false);
        for mark in 2..=50 {
            commit(mark, 1000 + mark, &[mark - 1], mark == 50);
        }
        let marks: Vec<u64> = (51..51 + roots).collect();
        for mark in &marks {
            commit(*mark, 5000 - *mark, &[], true);
        }
        commit(99, 9000, &[&marks[..], &[50]].concat(), false);
        let sandbox = Sandbox::new();
        feed(&sandbox, &["fast-import", "--quiet"], &stream);
        compare(&sandbox, "", &format!("{roots} roots"));
        let name = sandbox.git(&["describe", "--tags", "refs/marks/99"]);
        assert_eq!(name.starts_with("50-"), roots < 10, "{name}");
    }
}
