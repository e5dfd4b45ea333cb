//! `describe` against the installed git on random histories: equal and skewed dates, merges,
//! disjoint roots, many tags.

use super::*;
use crate::git::describe::{Tags, describe};
use std::fmt::Write as _;
use std::io::Write as _;

/// Repositories, and commits in each.
const HISTORIES: u64 = 30;
const COMMITS: u64 = 60;

/// Numbers that only look random (xorshift64*), the same on every machine.
struct Numbers(u64);

impl Numbers {
    /// A number below `limit`.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % limit
    }
}

/// A history as `git fast-import` reads it. Mark N is commit N.
fn history(numbers: &mut Numbers) -> String {
    let mut text = String::new();
    // How dates run: forwards, all alike, in a few steps, or anyhow.
    let clock = numbers.below(4);
    let roots = numbers.below(12) + 1;
    let tags = [0, 3, 8, 40][usize::try_from(numbers.below(4)).unwrap()];
    for commit in 1..=COMMITS {
        let date = 1_600_000_000
            + match clock {
                0 => commit * 10,
                1 => 0,
                2 => commit / 7,
                _ => numbers.below(COMMITS) * 10,
            };
        let _ = write!(
            text,
            "commit refs/heads/b{commit}\nmark :{commit}\ncommitter c <c@example.org> {date} +0000\ndata 1\nx\n"
        );
        if commit > 1 && numbers.below(COMMITS) >= roots {
            let near = |numbers: &mut Numbers| commit - 1 - numbers.below((commit - 1).min(8));
            let first = near(numbers);
            let _ = writeln!(text, "from :{first}");
            let mut known = vec![first];
            for _ in 0..[0, 0, 1, 1, 2, 3][usize::try_from(numbers.below(6)).unwrap()] {
                let other = near(numbers);
                if !known.contains(&other) {
                    let _ = writeln!(text, "merge :{other}");
                    known.push(other);
                }
            }
        }
        text.push('\n');
    }
    for tag in 0..tags {
        let commit = numbers.below(COMMITS) + 1;
        let name = format!("v{}.{tag}", numbers.below(3));
        if numbers.below(2) == 0 {
            let _ = writeln!(text, "reset refs/tags/{name}\nfrom :{commit}\n");
        } else {
            let date = 1_600_000_000 + numbers.below(3);
            let _ = writeln!(
                text,
                "tag {name}\nfrom :{commit}\ntagger t <t@example.org> {date} +0000\ndata 1\nx"
            );
        }
    }
    text
}

#[test]
fn describe_is_gits_own_on_random_histories() {
    let mut compared = 0;
    for seed in 1..=HISTORIES {
        let lab = Lab::new();
        let text = history(&mut Numbers(seed * 7919));
        let mut import =
            lab.command(&["fast-import", "--quiet", "--force", "--export-marks=marks"]);
        let mut import = import.stdin(Stdio::piped()).spawn().unwrap();
        import.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(import.wait().unwrap().success());
        // A tag whose name is not its object's.
        if seed % 3 == 0 {
            let first =
                lab.git(&["for-each-ref", "--count=1", "--format=%(objectname)", "refs/tags"]);
            if !first.is_empty() {
                lab.git(&["update-ref", "refs/tags/renamed", &first]);
            }
        }
        let marks = fs::read_to_string(lab.path().join("marks")).unwrap();
        let commits: Vec<&str> = marks
            .lines()
            .filter_map(|line| line.split_once(' '))
            .filter(|(mark, _)| mark[1..].parse::<u64>().is_ok_and(|mark| mark <= COMMITS))
            .map(|(_, id)| id)
            .collect();
        let words = [&["describe", "--tags", "--always", "--abbrev=12"], &commits[..]].concat();
        let expected = lab.git(&words);
        let repository = Repository::open(lab.path()).unwrap();
        let tags = Tags::read(&repository).unwrap();
        for (commit, expected) in commits.iter().zip(expected.lines()) {
            let id = git2::Oid::from_str(commit).unwrap();
            let own = describe(&repository, &tags, id).unwrap();
            assert_eq!(own, expected, "commit {commit} of the history {seed}");
            compared += 1;
        }
    }
    assert!(compared >= 1_000, "{compared} commits were compared");
}
