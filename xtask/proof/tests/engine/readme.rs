//! What the tour shows of commands that need an engine.

use super::bench::{Repository, engine};
use super::ended::Ended;
use super::transcript::{fits, transcripts};

#[test]
fn what_the_tour_shows_of_an_engine_is_true() {
    let repository = Repository::new();
    let all = transcripts(&repository.read("docs/tour.md"));
    let mut count = 0;
    let needs_engine = ["build", "smoke-test"];
    let wanted = |command: &str| needs_engine.iter().any(|word| command.starts_with(word));
    for transcript in all.iter().filter(|transcript| wanted(&transcript.command)) {
        let words: Vec<&str> = transcript.command.split_whitespace().collect();
        let out = Ended::from(repository.xtask_inside(&words).output().unwrap()).good();
        let found: Vec<&str> = out.lines().collect();
        assert!(
            fits(&transcript.expected, &found),
            "{} on {}:\n{out}",
            transcript.command,
            engine()
        );
        count += 1;
    }
    assert_eq!(count, 3);
}
