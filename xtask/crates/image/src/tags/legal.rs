//! The one rule that makes a name of git's a legal tag of an image, so that two names never give
//! the same tag.
//!
//! A tag is `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}` (distribution specification). A name that is one
//! already, and that no other rule gives, stays as it is. In any other `+` becomes `_`, what else is
//! illegal becomes `-`, what is too long is cut, and `--` and eight digits of the git object id of
//! the whole reference follow, as `printf %s refs/heads/NAME | git hash-object --stdin` prints them.
//! No name that stays as it is ends so.

use super::{Rules, Version, Versions};
use crate::promotion::prefix;
use anyhow::Context as _;
use engine::reference::is_tag;
use source::git::blob_id;

/// Digits of the object id that tell changed names apart.
const DIGITS: usize = 8;
/// The longest tag.
const LONGEST: usize = 128;

/// The tag for `text`, a name that the reference `of` (`refs/heads/…`, `refs/tags/…`) gives; with
/// `taken` it is changed even if it is legal.
///
/// # Errors
/// When libgit2 can't compute an object id.
pub fn tag(text: &str, of: &str, taken: bool) -> anyhow::Result<String> {
    if is_tag(text) && !taken && !is_changed(text) {
        return Ok(text.to_owned());
    }
    let id = blob_id(of.as_bytes()).with_context(|| format!("naming the image after {of}"))?;
    let plain = |c: char| match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '.' | '-' => c,
        '+' => '_',
        _ => '-',
    };
    let mut cleaned: String = text.chars().map(plain).take(LONGEST - DIGITS - 2).collect();
    if cleaned.starts_with(['.', '-']) {
        cleaned.replace_range(..1, "_");
    }
    Ok(format!("{cleaned}--{}", &id[..DIGITS]))
}

/// Whether a tag of the rules for versions, commits, pull requests, changed trees, environments or lists
/// of attachments has this form, so that a branch or another git tag must not.
pub fn is_ours(text: &str, rules: &Rules) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let commit = |text: &str| text.len() == 12 && text.bytes().all(is_hexadecimal);
    text == "latest"
        || digits(text)
        || text.split_once('.').is_some_and(|(major, minor)| digits(major) && digits(minor))
        || rules.versions.version(text).is_some()
        || text.strip_prefix("sha-").is_some_and(commit)
        || text.strip_prefix("pr-").is_some_and(digits)
        || text.ends_with("-dirty")
        || text.starts_with("sha256-")
        || rules.environments.iter().any(|name| text == name || text.starts_with(&prefix(name)))
}

/// The version that a tag in a registry was given for.
pub fn version(tag: &str, versions: Versions) -> Option<Version> {
    // What stood behind `+` has no say in the order of versions.
    let built = tag.split_once('_').filter(|_| is_changed(tag)).map(|(version, _)| version);
    versions.version(built.unwrap_or(tag))
}

/// Whether `text` ends as a changed name does.
fn is_changed(text: &str) -> bool {
    text.rsplit_once("--")
        .is_some_and(|(_, end)| end.len() == DIGITS && end.bytes().all(is_hexadecimal))
}

fn is_hexadecimal(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn names_stay_or_are_changed() {
        let check = |text: &str, expected: &str| {
            let taken = is_ours(text, &Rules::default());
            let tag = tag(text, &format!("refs/heads/{text}"), taken).unwrap();
            assert!(is_tag(&tag), "{tag}");
            assert_eq!(tag, expected);
        };
        let long = "x".repeat(128);
        for same in ["main", "v1.2", "release-20240115", "_a", "1.2.x", "sha-1", "pr-x", &long] {
            check(same, same);
        }
        check("feature/login", "feature-login--29005c17");
        check("feature-login--29005c17", "feature-login--29005c17--2eaa2db3");
        check("fix+me", "fix_me--90257ec2");
        check("größe", "gr--e--44c950e1");
        check("ärger", "_rger--12d72f8e");
        check(&"y".repeat(129), &format!("{}--581abf5b", "y".repeat(118)));
        let more = ["production", "staging", "production-history-000001-0", "sha256-0"];
        for ours in ["latest", "7", "1.2", "1.2.3", "v1.2.3", "sha-0123456789ab", "pr-7", "a-dirty"]
            .into_iter()
            .chain(more)
        {
            assert!(is_ours(ours, &Rules::default()));
            assert_ne!(tag(ours, ours, true).unwrap(), ours);
        }
    }

    /// As the documentation says that it can be done by hand.
    #[test]
    fn the_digits_are_those_of_git() {
        use std::io::Write as _;
        use std::process::{Command, Stdio};
        let mut command = Command::new("git");
        command.args(["hash-object", "--stdin"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"refs/heads/feature/login").unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.stdout.starts_with(b"29005c17"), "{output:?}");
    }

    /// Every name of up to four characters of this small alphabet, and the long ones around the
    /// limit: no two give the same tag, and every tag is legal.
    #[test]
    fn no_two_names_give_the_same_tag() {
        let alphabet = ['a', '1', '.', '-', '_', '+', '/', 'ä'];
        let mut names: Vec<String> = vec![String::new()];
        for length in 1..=4 {
            let shorter: Vec<String> =
                names.iter().filter(|name| name.chars().count() == length - 1).cloned().collect();
            for name in shorter {
                names.extend(alphabet.iter().map(|c| format!("{name}{c}")));
            }
        }
        names.extend(
            (115..140)
                .flat_map(|length| ["a", "/"].map(|end| format!("{}{end}", "a".repeat(length)))),
        );
        let mut seen: BTreeMap<String, &String> = BTreeMap::new();
        for name in names.iter().filter(|name| !name.is_empty()) {
            let tag = tag(name, name, is_ours(name, &Rules::default())).unwrap();
            assert!(is_tag(&tag), "{name}: {tag}");
            if let Some(other) = seen.insert(tag, name) {
                panic!("{name} and {other}");
            }
        }
        assert!(seen.len() > 4000);
    }

    #[test]
    fn versions_are_found_again_in_a_registry() {
        let check = |tag: &str, expected: Option<&str>| {
            assert_eq!(
                version(tag, Versions::Semver).map(|version| version.to_string()).as_deref(),
                expected,
                "{tag}"
            );
        };
        check("1.2.3", Some("1.2.3"));
        check("v1.2.3", Some("1.2.3"));
        check("1.2.3-rc.1", Some("1.2.3-rc.1"));
        check("1.2.3_build.5--0123abcd", Some("1.2.3"));
        check("1.2.3_build.5", None);
        check("1.2", None);
        check("latest", None);
        check("01.2.3", None);
    }
}
