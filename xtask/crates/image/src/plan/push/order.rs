//! Which of two images is the newer one: by the history of their commits where the checkout knows
//! both, else by their versions.

use source::git::ancestry::Ancestry;
use std::cmp::Ordering;

/// What an image says it is, by its labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// `org.opencontainers.image.revision`; empty where it has none.
    pub revision: String,
    /// `org.opencontainers.image.version`; empty where it has none.
    pub version: String,
}

impl Identity {
    /// For a message: the version, else the commit.
    pub fn shown(&self) -> String {
        let short: String = self.revision.chars().take(12).collect();
        match (self.version.as_str(), short.as_str()) {
            ("", "") => "an image without labels".to_owned(),
            ("", commit) => commit.to_owned(),
            (version, _) => version.to_owned(),
        }
    }
}

/// How another image stands to ours, and how that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// It is newer.
    Newer(&'static str),
    /// It is older.
    Older(&'static str),
    /// Nothing says, or it is of the same commit.
    Unclear,
}

/// Compares another image with ours. `ancestry` is asked for our commit and its.
pub fn order(
    ours: &Identity,
    theirs: &Identity,
    ancestry: &dyn Fn(&str, &str) -> Ancestry,
) -> Order {
    let known = !ours.revision.is_empty() && !theirs.revision.is_empty();
    if known && ours.revision == theirs.revision {
        return Order::Unclear;
    }
    let related =
        if known { ancestry(&ours.revision, &theirs.revision) } else { Ancestry::Unknown };
    match related {
        Ancestry::Descendant => return Order::Newer("a descendant of this commit"),
        Ancestry::Ancestor => return Order::Older("an ancestor of this commit"),
        Ancestry::Diverged | Ancestry::Unknown => {}
    }
    let (Some(ours), Some(theirs)) = (version(&ours.version), version(&theirs.version)) else {
        return Order::Unclear;
    };
    // How many commits come after a release says nothing about another line of history.
    let distance = match related {
        Ancestry::Diverged => Ordering::Equal,
        _ => theirs.distance.cmp(&ours.distance),
    };
    match theirs.release.cmp(&ours.release).then(distance) {
        Ordering::Greater => Order::Newer("by version"),
        Ordering::Less => Order::Older("by version"),
        Ordering::Equal => Order::Unclear,
    }
}

/// A release by Semantic Versioning 2.0.0.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Release {
    numbers: [u64; 3],
    /// A release comes after its own pre-releases.
    last: Last,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Last {
    Pre(Vec<Part>),
    Final,
}

/// Numbers come before words (SemVer, rule 11.4.3).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u64),
    Word(String),
}

/// `1.2.3` or `1.2.3-rc.1`, with or without a `v`, without build metadata (a tag can't have it).
pub(super) fn release(text: &str) -> Option<Release> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let (numbers, pre) = match text.split_once('-') {
        Some((numbers, pre)) => (numbers, Some(pre)),
        None => (text, None),
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let mut found = [0; 3];
    let parts: Vec<&str> = numbers.split('.').collect();
    if parts.len() != 3 {
        return None;
    }
    for (place, part) in found.iter_mut().zip(parts) {
        *place = part.parse().ok().filter(|_| digits(part))?;
    }
    let part = |part: &str| match part.parse() {
        Ok(number) if digits(part) => Part::Number(number),
        _ => Part::Word(part.to_owned()),
    };
    let last = match pre {
        None => Last::Final,
        Some(pre) if pre.split('.').any(str::is_empty) => return None,
        Some(pre) => Last::Pre(pre.split('.').map(part).collect()),
    };
    Some(Release { numbers: found, last })
}

/// What `git describe` says: the release in reach, and how many commits come after it.
struct Version {
    release: Release,
    distance: u64,
}

fn version(text: &str) -> Option<Version> {
    let text = text.strip_suffix("-dirty").unwrap_or(text);
    // The tag of a part of a larger repository: `api/v1.2.3`.
    let text = text.rsplit('/').next().unwrap_or(text);
    let text = text.split('+').next().unwrap_or(text);
    let after = || {
        let (rest, commit) = text.rsplit_once("-g")?;
        let (tag, count) = rest.rsplit_once('-')?;
        let hex = commit.len() >= 4 && commit.bytes().all(|b| b.is_ascii_hexdigit());
        Some((tag, count.parse::<u64>().ok().filter(|_| hex)?))
    };
    let (tag, distance) = after().unwrap_or((text, 0));
    release(tag).map(|release| Version { release, distance })
}

/// Whether a tag is that of a line of releases: `latest`, `1`, `1.2`.
pub fn is_line(tag: &str) -> bool {
    line(tag).is_some()
}

/// The numbers that the releases of a line begin with.
fn line(tag: &str) -> Option<Vec<u64>> {
    if tag == "latest" {
        return Some(Vec::new());
    }
    let parts = tag.strip_prefix('v').unwrap_or(tag).split('.');
    let parts: Option<Vec<u64>> = parts.map(|part| part.parse().ok()).collect();
    parts.filter(|parts| parts.len() < 3)
}

/// The tag of the release that a line's tag belongs to by the names that a registry has: the
/// highest one that is final.
pub fn owner<'a>(tag: &str, tags: &'a [String]) -> Option<&'a str> {
    let numbers = line(tag)?;
    let releases = tags.iter().filter_map(|tag| Some((release(tag)?, tag.as_str())));
    let fits = |(found, _): &(Release, &str)| {
        found.last == Last::Final && found.numbers.starts_with(&numbers)
    };
    releases.filter(fits).max().map(|(_, tag)| tag)
}
