//! Checks of the labels: that they are there, are what their names promise, and say what git says.

use super::{Expected, verdict};
use crate::verdict::Verdict;
use engine::archive::Archive;
use engine::label::OCI;
use image::labels::FROM_GIT;
use std::collections::BTreeMap;

/// Every image has these, with the rule for each (OCI image specification, annotations).
const REQUIRED: [(&str, LabelRule); 11] = [
    ("title", LabelRule { is: any, what: "a text" }),
    ("description", LabelRule { is: any, what: "a text" }),
    ("version", LabelRule { is: word, what: "a version without blanks" }),
    ("authors", LabelRule { is: any, what: "a text" }),
    ("url", LabelRule { is: url, what: "an http or https URL" }),
    ("source", LabelRule { is: url, what: "an http or https URL" }),
    ("licenses", LabelRule { is: spdx, what: "an SPDX expression, as MIT or `MIT OR Apache-2.0`" }),
    ("vendor", LabelRule { is: any, what: "a text" }),
    ("created", LabelRule { is: time, what: "an RFC 3339 time in UTC" }),
    ("revision", LabelRule { is: commit, what: "40 or 64 hexadecimal digits" }),
    ("base.name", LabelRule { is: reference, what: "the reference of an image" }),
];

/// What the value of a label must be.
struct LabelRule {
    is: fn(&str) -> bool,
    what: &'static str,
}

/// All labels, each what its name promises, and those of `image.toml` as they are there.
pub(crate) fn labels(archive: &Archive, expected: &Expected) -> Verdict {
    let found = of(archive);
    let mut evidence = Vec::new();
    let mut ask = |name: &str, rule: &LabelRule| match found.get(&format!("{OCI}{name}")) {
        None => evidence.push(format!("{OCI}{name} is missing: {}", rule.what)),
        Some(value) if !(rule.is)(value) => {
            evidence.push(format!("{OCI}{name} is `{value}`, which is not {}", rule.what));
        }
        Some(_) => {}
    };
    for (name, rule) in &REQUIRED {
        ask(name, rule);
    }
    // One that was made on a machine, as a stand-in is: no registry knows a digest of it.
    let base = found.get(&format!("{OCI}base.name")).map_or("", String::as_str);
    if !base.starts_with("localhost/") {
        ask("base.digest", &LabelRule { is: digest, what: "sha256: and 64 hexadecimal digits" });
    }
    let git: Vec<String> = FROM_GIT.iter().map(|name| format!("{OCI}{name}")).collect();
    let others = expected.labels.iter().filter(|(name, _)| !git.contains(name));
    evidence.extend(differing(others, &found));
    verdict(evidence, format!("{} labels", found.len()))
}

/// The labels that tell which commit the image was made from, and when.
pub(crate) fn identity(archive: &Archive, expected: &Expected) -> Verdict {
    let names = ["version", "revision", "created"].map(|name| format!("{OCI}{name}"));
    let wanted: BTreeMap<String, String> = names
        .iter()
        .filter_map(|name| Some((name.clone(), expected.labels.get(name)?.clone())))
        .collect();
    let Some(version) = wanted.get(&names[0]) else {
        return Verdict::NotAsked("git says nothing about this checkout".to_owned());
    };
    verdict(differing(wanted.iter(), &of(archive)).collect(), format!("version {version}"))
}

/// The labels that the image carries.
fn of(archive: &Archive) -> BTreeMap<String, String> {
    let labels = archive.config["config"]["Labels"].as_object().into_iter().flatten();
    labels
        .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect()
}

fn differing<'l>(
    wanted: impl Iterator<Item = (&'l String, &'l String)>,
    found: &BTreeMap<String, String>,
) -> impl Iterator<Item = String> {
    wanted.filter(|(name, value)| found.get(*name) != Some(value)).map(|(name, value)| {
        let is = found.get(name).map_or_else(|| "missing".to_owned(), |is| format!("`{is}`"));
        format!("{name} is {is}, expected `{value}`")
    })
}

fn any(text: &str) -> bool {
    !text.trim().is_empty()
}

fn word(text: &str) -> bool {
    any(text) && !text.contains(char::is_whitespace)
}

fn hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn commit(text: &str) -> bool {
    [40, 64].contains(&text.len()) && hexadecimal(text)
}

fn digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|digits| digits.len() == 64 && hexadecimal(digits))
}

fn reference(text: &str) -> bool {
    engine::reference::parse(text).is_ok()
}

fn url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    word(text)
        && rest.is_some_and(|rest| {
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            !host.is_empty() && !host.contains('@')
        })
}

fn time(text: &str) -> bool {
    chrono::DateTime::parse_from_rfc3339(text)
        .is_ok_and(|time| time.offset().local_minus_utc() == 0)
}

/// Identifiers with operators between them, and parentheses around pairs of them; whether the
/// identifiers are on SPDX's list, which grows, is not asked.
fn spdx(text: &str) -> bool {
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let (mut depth, mut operand) = (0_i32, true);
    for token in spaced.split_whitespace() {
        match token {
            "(" if operand => depth += 1,
            ")" if !operand => depth -= 1,
            "AND" | "OR" | "WITH" if !operand => operand = true,
            "(" | ")" | "AND" | "OR" | "WITH" => return false,
            _ if !operand => return false,
            _ => {
                let known = |c: char| c.is_ascii_alphanumeric() || ".-+:".contains(c);
                if !token.chars().all(known) {
                    return false;
                }
                operand = false;
            }
        }
        if depth < 0 {
            return false;
        }
    }
    depth == 0 && !operand
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_spdx_expressions() {
        let check = |text: &str, good: bool| assert_eq!(spdx(text), good, "{text}");
        check("MIT", true);
        check("GPL-2.0-or-later WITH Classpath-exception-2.0", true);
        check("(MIT OR Apache-2.0) AND BSD-3-Clause", true);
        check("LicenseRef-Proprietary", true);
        check("", false);
        check("MIT License", false);
        check("MIT OR", false);
        check("AND MIT", false);
        check("(MIT", false);
        check("MIT)", false);
        check("MIT, BSD", false);
    }

    #[test]
    fn urls_have_a_host_and_no_password() {
        let check = |text: &str, good: bool| assert_eq!(url(text), good, "{text}");
        check("https://a.example/b", true);
        check("http://a.example", true);
        check("https://", false);
        check("a.example", false);
        check("ssh://a.example/b", false);
        check("https://me:secret@a.example/b", false);
        check("https://a.example/b c", false);
    }

    #[test]
    fn times_are_in_utc() {
        let check = |text: &str, good: bool| assert_eq!(time(text), good, "{text}");
        check("2026-11-24T06:03:30Z", true);
        check("2026-11-24T06:03:30+00:00", true);
        check("2026-11-24T06:03:30+01:00", false);
        check("2026-11-24 06:03:30", false);
        check("unknown", false);
    }
}
