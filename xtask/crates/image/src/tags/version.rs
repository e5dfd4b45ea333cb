//! Which texts are versions, and which of two is the higher one.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;

/// What a version is: `versions` in `[tags]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Versions {
    /// As semver.org has it: 1.2.3.
    #[default]
    Semver,
    /// The same with two or three numbers, also with zeros in front: 1.2, 2024.01.05.
    Numbers,
}

/// A version; what semver.org finds equal is in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// A missing number is zero.
    parsed: semver::Version,
    /// How many numbers were written.
    written: usize,
    /// As it was written, without `v`.
    text: String,
}

impl Versions {
    /// The version that a text is, with `v` before it or without.
    pub fn version(self, text: &str) -> Option<Version> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let (numbers, rest) = text.split_at(text.find(['-', '+']).unwrap_or(text.len()));
        let mut plain: Vec<&str> = numbers.split('.').collect();
        let written = plain.len();
        if self == Versions::Numbers {
            for number in &mut plain {
                let short = number.trim_start_matches('0');
                *number = if short.is_empty() { &number[..number.len().min(1)] } else { short };
            }
            plain.extend((written == 2).then_some("0"));
        }
        let parsed = semver::Version::parse(&format!("{}{rest}", plain.join("."))).ok()?;
        Some(Version { parsed, written, text: text.to_owned() })
    }
}

impl Version {
    /// Whether it is no pre-release.
    pub fn is_final(&self) -> bool {
        self.parsed.pre.is_empty()
    }

    /// Whether it comes after `other` or before; build metadata has no say.
    pub fn cmp_precedence(&self, other: &Version) -> Ordering {
        self.parsed.cmp_precedence(&other.parsed)
    }

    /// The name of its line of releases: its first `count` numbers as they were written, if it has
    /// more.
    pub fn line(&self, count: usize) -> Option<String> {
        let numbers = self.text.split(['-', '+']).next()?.split('.');
        let first: Vec<&str> = numbers.take(count).collect();
        (self.written > count).then(|| first.join("."))
    }

    /// Whether it belongs to the line of releases that `tag` names: `1.2`, `1`, `latest`.
    pub fn is_of(&self, tag: &str) -> bool {
        let numbers = [self.parsed.major, self.parsed.minor];
        line(tag).is_some_and(|line| numbers.starts_with(&line))
    }
}

/// The numbers that the releases of a line begin with.
pub fn line(tag: &str) -> Option<Vec<u64>> {
    if tag == "latest" {
        return Some(Vec::new());
    }
    let parts = tag.strip_prefix('v').unwrap_or(tag).split('.');
    let parts: Option<Vec<u64>> = parts.map(|part| part.parse().ok()).collect();
    parts.filter(|parts| parts.len() < 3)
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_three_numbers_or_as_many_as_the_project_gives_it() {
        let check = |text: &str, semver: bool, numbers: bool| {
            assert_eq!(Versions::Semver.version(text).is_some(), semver, "{text}");
            assert_eq!(Versions::Numbers.version(text).is_some(), numbers, "{text}");
        };
        for both in ["1.2.3", "v1.2.3", "1.2.3-rc.1", "1.2.3+b", "1.2.3-a-b+c-d", "2024.11.30"] {
            check(both, true, true);
        }
        for numbers in ["1.2", "v1.2", "v1.2-rc.1", "2024.01.05", "24.04", "0.0", "v01.2.3"] {
            check(numbers, false, true);
        }
        for neither in [
            "",
            "v",
            "1",
            "20240105",
            "1.2.3.4",
            "1.2.x",
            "1..2",
            ".1",
            "1.",
            "1.2-",
            "1.2.3-",
            "1.2.3+",
            "1.2+a+b",
            "1.2.+3",
            "2024-01-05",
            "vv1.2.3",
            "V1.2.3",
            "1.2.3-rc..1",
            "1.2.3rc1",
            "99999999999999999999.1.2",
            "1.2.3 ",
        ] {
            check(neither, false, false);
        }
    }

    /// Each is higher than all before it.
    #[test]
    fn versions_are_compared_number_by_number() {
        let order = [
            "0.9",
            "1.2-rc.1",
            "1.2",
            "1.2.1-rc.2",
            "1.2.1-rc.10",
            "1.2.1",
            "1.10",
            "24.04",
            "24.10",
            "2024.01.05",
            "2024.1.6",
            "2024.09.30",
            "2024.10.01",
        ];
        let order = order.map(|text| Versions::Numbers.version(text).unwrap());
        for (index, version) in order.iter().enumerate() {
            for other in &order[..index] {
                assert_eq!(version.cmp_precedence(other), Ordering::Greater, "{other} {version}");
            }
        }
        for (a, b) in [("1.2", "1.2.0"), ("2024.01.05", "2024.1.5"), ("1.2.3+a", "1.2.3+b")] {
            let [a, b] = [a, b].map(|text| Versions::Numbers.version(text).unwrap());
            assert_eq!(a.cmp_precedence(&b), Ordering::Equal, "{a} {b}");
        }
    }
}
