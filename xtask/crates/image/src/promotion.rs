//! Environments: tags such as `production` that a promotion moves, and the history of each, which the
//! registry keeps. Pure: from what is read there to what is written.

use process::failure::{Exit, failure_help};
use registry::Artifact;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The kind of artifact that says of one move.
const MOVE: &str = "application/vnd.dev.senex.xtask.move.v1+json";

/// What moved the tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    #[default]
    Promote,
    Rollback,
}

impl Action {
    /// The word of the command.
    pub fn word(self) -> &'static str {
        match self {
            Action::Promote => "promote",
            Action::Rollback => "rollback",
        }
    }
}

/// One move of an environment's tag. The fields are the keys of what the registry keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// 1 for the first; one more for each.
    pub number: u64,
    pub environment: String,
    pub action: Action,
    /// The image that the tag names from here on.
    pub digest: String,
    /// What it named before.
    pub before: Option<String>,
    /// The version and the commit, by the image's labels.
    pub version: String,
    pub revision: String,
    /// Who moved it: the run of a CI system, or user and machine.
    pub by: String,
    /// RFC 3339 UTC.
    pub at: String,
}

impl Move {
    /// The tag that keeps it. No two moves have the same one, even if two machines make the same number.
    pub fn tag(&self, artifact: &Artifact) -> String {
        let hash = source::content::sha256(&artifact.content);
        format!("{}{:06}-{}", prefix(&self.environment), self.number, &hash[..8])
    }

    /// How a registry keeps it.
    pub fn artifact(&self) -> anyhow::Result<Artifact> {
        Ok(Artifact {
            artifact_type: MOVE.to_owned(),
            media_type: MOVE.to_owned(),
            content: serde_json::to_vec_pretty(self)?,
            annotations: BTreeMap::new(),
        })
    }

    /// What it names, for a line of text.
    pub fn shown(&self) -> String {
        let short: String = self.digest.chars().take(19).collect();
        if self.version.is_empty() { short } else { format!("{} ({short}…)", self.version) }
    }
}

/// What is kept of the move `wanted`, whose number isn't known yet; `None` if the tag names that image
/// already. One that was killed before it moved the tag has said what it wanted: that is done now.
pub fn decide(moves: &[Move], wanted: Move) -> Option<Move> {
    if wanted.before.as_ref() == Some(&wanted.digest) {
        return None;
    }
    let same = |last: &&Move| {
        (last.action, &last.digest, &last.before) == (wanted.action, &wanted.digest, &wanted.before)
    };
    let number = moves.last().map_or(0, |last| last.number) + 1;
    Some(moves.last().filter(same).cloned().unwrap_or(Move { number, ..wanted }))
}

/// How the tags of an environment's history begin.
pub fn prefix(environment: &str) -> String {
    format!("{environment}-history-")
}

/// The tags of an environment's history, the oldest first.
pub fn of_history<'a>(tags: &'a [String], environment: &str) -> Vec<&'a String> {
    let start = prefix(environment);
    let mut found: Vec<&String> = tags.iter().filter(|tag| tag.starts_with(&start)).collect();
    found.sort();
    found
}

/// The images that the environment had one after another, the one that it has last: a rollback takes one
/// away.
fn stack(moves: &[Move]) -> Vec<&Move> {
    let mut stack: Vec<&Move> = Vec::new();
    for one in moves {
        // What was promoted and never came to be the tag's, because that run was killed, was no image of it.
        if stack.iter().any(|known| Some(&known.digest) == one.before.as_ref()) {
            while stack.last().is_some_and(|last| Some(&last.digest) != one.before.as_ref()) {
                stack.pop();
            }
        }
        match one.action {
            Action::Promote if stack.last().is_some_and(|last| last.digest == one.digest) => {}
            Action::Promote => stack.push(one),
            // To what was before; another rollback at the same time may have done it already.
            Action::Rollback if stack.iter().any(|known| known.digest == one.digest) => {
                while stack.last().is_some_and(|last| last.digest != one.digest) {
                    stack.pop();
                }
            }
            Action::Rollback => stack.push(one),
        }
    }
    stack
}

/// Whether the history says why the tag names `current`.
pub fn explained(moves: &[Move], current: Option<&str>) -> bool {
    moves.last().map(|last| last.digest.as_str()) == current
}

/// The image that a rollback goes to: the one before, or, when the tag names what its history doesn't
/// explain, the last that it does.
///
/// # Errors
/// [`Exit::Mismatch`] when there is none.
pub fn before<'a>(
    moves: &'a [Move],
    current: Option<&str>,
    environment: &str,
) -> anyhow::Result<&'a Move> {
    let stack = stack(moves);
    let at = stack.iter().rposition(|one| Some(one.digest.as_str()) == current);
    at.unwrap_or(stack.len()).checked_sub(1).map(|at| stack[at]).ok_or_else(|| {
        failure_help(
            Exit::Mismatch,
            format!("rolling back {environment}: its history has no image before this one"),
            "promote the one that you want: cargo xtask promote VERSION --to ENVIRONMENT",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moves(text: &str) -> Vec<Move> {
        let words = text.split_whitespace().enumerate();
        words
            .map(|(index, word)| {
                let (action, digest) = match word.strip_prefix('<') {
                    Some(digest) => (Action::Rollback, digest),
                    None => (Action::Promote, word),
                };
                let number = index as u64 + 1;
                Move { number, action, digest: digest.to_owned(), ..Move::default() }
            })
            .collect()
    }

    #[test]
    fn a_move_is_the_next_or_the_one_that_was_killed() {
        let wanted = |digest: &str, before: &str| Move {
            digest: digest.to_owned(),
            before: Some(before.to_owned()),
            by: "me".to_owned(),
            ..Move::default()
        };
        let mut history = moves("a b");
        assert_eq!(decide(&history, wanted("b", "b")), None);
        let next = decide(&history, wanted("c", "b")).unwrap();
        assert_eq!((next.number, next.by.as_str()), (3, "me"));
        assert_eq!(decide(&[], wanted("c", "b")).unwrap().number, 1);
        // Its tag still names `a`: what it began is done, under its number and name.
        history[1].before = Some("a".to_owned());
        let begun = decide(&history, wanted("b", "a")).unwrap();
        assert_eq!((begun.number, begun.by.as_str()), (2, ""));
        assert_eq!(decide(&history, wanted("c", "a")).unwrap().number, 3);
        let back = Move { action: Action::Rollback, ..wanted("b", "a") };
        assert_eq!(decide(&history, back).unwrap().number, 3);
    }

    #[test]
    fn a_rollback_goes_to_the_image_before_and_the_next_one_further() {
        let check = |history: &str, current: &str, expected: Option<&str>| {
            let moves = moves(history);
            let found = before(&moves, Some(current), "production").ok();
            assert_eq!(found.map(|found| found.digest.as_str()), expected, "{history}");
        };
        check("a b c", "c", Some("b"));
        check("a b c <b", "b", Some("a"));
        check("a b c <b d", "d", Some("b"));
        check("a b c <b <a", "a", None);
        check("a", "a", None);
        check("", "a", None);
        // The same image again is no step.
        check("a b b", "b", Some("a"));
        // Something else moved the tag: back to what the history knows.
        check("a b", "x", Some("b"));
        // Two that rolled back at the same time went to the same image.
        check("a b c <b <b", "b", Some("a"));
        // One whose tag was never moved, because it was killed before: it is no step back either.
        check("a b c", "b", Some("a"));
        check("a b c <b", "c", Some("b"));
        let mut killed = moves("a b c");
        killed[2].before = Some("a".to_owned());
        assert_eq!(before(&killed, Some("c"), "production").unwrap().digest, "a");
    }

    #[test]
    fn a_history_explains_the_tag_that_its_last_move_names() {
        let check = |history: &str, current: Option<&str>, expected: bool| {
            assert_eq!(explained(&moves(history), current), expected, "{history} {current:?}");
        };
        check("a b", Some("b"), true);
        check("a b", Some("a"), false);
        check("a b", None, false);
        check("", None, true);
        check("", Some("a"), false);
    }

    #[test]
    fn each_move_has_a_tag_of_its_own() {
        let one = Move { number: 7, environment: "production".into(), ..Move::default() };
        let other = Move { by: "another".into(), ..one.clone() };
        let tag = |one: &Move| one.tag(&one.artifact().unwrap());
        assert!(tag(&one).starts_with("production-history-000007-"), "{}", tag(&one));
        assert_ne!(tag(&one), tag(&other));
        let tags = [tag(&other), "1.0.0".to_owned(), tag(&one), "production".to_owned()];
        assert_eq!(of_history(&tags, "production").len(), 2);
        assert!(of_history(&tags, "prod").is_empty());
    }
}
