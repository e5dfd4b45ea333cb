//! The builds that the README shows.

use super::bench::{Repository, engine};
use super::transcript::{fits, transcripts};

#[test]
fn the_builds_of_the_readme_are_true() {
    let repository = Repository::new();
    let all = transcripts(&repository.read("README.md"));
    let mut count = 0;
    for transcript in all.iter().filter(|transcript| transcript.command.starts_with("build")) {
        let words: Vec<&str> = transcript.command.split_whitespace().collect();
        let out = repository.xtask(&words).good();
        let found: Vec<&str> = out.lines().collect();
        assert!(
            fits(&transcript.expected, &found),
            "{} on {}:\n{out}",
            transcript.command,
            engine()
        );
        count += 1;
    }
    assert_eq!(count, 2);
}
