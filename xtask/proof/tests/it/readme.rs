//! What the README and the tour show is what happens.

use super::checkout::source;
use super::ended::Ended;
use super::program::program;
use super::transcript::{fits, transcripts};
use std::process::Command;

#[test]
fn the_transcripts_without_an_engine_are_true() {
    let all = transcripts(&std::fs::read_to_string(source("docs/tour.md")).unwrap());
    let engines = ["build", "smoke-test"];
    let mine = all
        .iter()
        .filter(|transcript| engines.iter().all(|word| !transcript.command.starts_with(word)));
    let mut count = 0;
    for transcript in mine {
        let words: Vec<&str> = transcript.command.split_whitespace().collect();
        let mut command = Command::new(program());
        let ended: Ended = command.args(&words).current_dir(source("")).output().unwrap().into();
        let found: Vec<&str> = ended.out.lines().collect();
        // A changed tree is no lie of the tour's.
        let dirty = words == ["label", "--get", "dirty"];
        let text = format!("{}\n{}\n{}", transcript.command, ended.out, ended.err);
        assert!(dirty || fits(&transcript.expected, &found), "{text}");
        assert_eq!(ended.code, Some(0), "{text}");
        count += 1;
    }
    assert!(count >= 4 && all.len() > count, "{count} of {}", all.len());
}

#[test]
fn the_readme_counts_the_checks() {
    let readme = std::fs::read_to_string(source("README.md")).unwrap();
    let count = smoke::checks::all().len();
    assert!(readme.replace('\n', " ").contains(&format!("runs {count} checks")), "{count}");
}

#[test]
fn transcripts_are_compared_line_by_line() {
    let check = |expected: &str, found: &str, fit: bool| {
        let expected: Vec<String> = expected.lines().map(str::to_owned).collect();
        let found: Vec<&str> = found.lines().collect();
        assert_eq!(fits(&expected, &found), fit, "{expected:?} {found:?}");
    };
    check("a\nb", "a\nb", true);
    check("a", "a\nb", false);
    check("a\n…", "a\nb\nc", true);
    check("…\nc", "a\nb\nc", true);
    check("x … z", "x y z", true);
    check("x … z", "x y", false);
    check("… MB of …", "1.0 MB of 2.0 MB", true);
    check("a…", "ba", false);
}

/// The folders of the map, and the files that it sends a reader to.
#[test]
fn the_map_names_what_is_there() {
    let readme = std::fs::read_to_string(source("README.md")).unwrap();
    let (_, map) = readme.split_once("\n## Where things are\n").unwrap();
    let contributing = std::fs::read_to_string(source("CONTRIBUTING.md")).unwrap();
    let (_, more) = contributing.split_once("\n| to change | edit |\n").unwrap();
    let more = more.lines().take_while(|line| line.starts_with("| "));
    let rows = map.lines().filter(|line| line.starts_with("| ")).chain(more);
    let mut named = 0;
    for word in rows.flat_map(|row| row.split('`').skip(1).step_by(2)) {
        if word.contains('/') && !word.contains(' ') {
            assert!(source(word).exists(), "{word}");
            named += 1;
        }
    }
    assert!(named > 10, "{named}");
}
