//! Which of two images is the newer one: by the history of their commits if the checkout knows
//! both, else by their versions.

use crate::tags::{self, Rules, Version};
use source::git::ancestry::Ancestry;
use std::cmp::Ordering;

/// What an image says it is, by its labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageIdentity {
    /// `org.opencontainers.image.revision`; empty if it has none.
    pub revision: String,
    /// `org.opencontainers.image.version`; empty if it has none.
    pub version: String,
}

impl ImageIdentity {
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
    Newer(&'static str),
    Older(&'static str),
    /// Nothing says.
    Unclear,
}

/// Compares another image with ours. `ancestry` is asked for our commit and its.
pub fn order(
    ours: &ImageIdentity,
    theirs: &ImageIdentity,
    ancestry: &dyn Fn(&str, &str) -> Ancestry,
    rules: &Rules,
) -> Order {
    let known = !ours.revision.is_empty() && !theirs.revision.is_empty();
    let same = known && ours.revision == theirs.revision;
    let related = match known && !same {
        true => ancestry(&ours.revision, &theirs.revision),
        false => Ancestry::Unknown,
    };
    match related {
        Ancestry::Descendant => return Order::Newer("a descendant of this commit"),
        Ancestry::Ancestor => return Order::Older("an ancestor of this commit"),
        Ancestry::Diverged | Ancestry::Unknown => {}
    }
    let (ours, theirs) = (version(&ours.version, rules), version(&theirs.version, rules));
    let (Some((ours, our_distance)), Some((theirs, their_distance))) = (ours, theirs) else {
        return Order::Unclear;
    };
    // How many commits come after a release says nothing about another line of history, or about
    // another image of one commit.
    let distance = match related {
        Ancestry::Unknown if !same => their_distance.cmp(&our_distance),
        _ => Ordering::Equal,
    };
    match theirs.cmp_precedence(&ours).then(distance) {
        Ordering::Greater => Order::Newer("by version"),
        Ordering::Less => Order::Older("by version"),
        Ordering::Equal => Order::Unclear,
    }
}

/// The version in what `git describe` says, and how many commits come after it.
fn version(text: &str, rules: &Rules) -> Option<(Version, u64)> {
    let text = text.strip_suffix("-dirty").unwrap_or(text);
    let after = || {
        let (rest, commit) = text.rsplit_once("-g")?;
        let (tag, count) = rest.rsplit_once('-')?;
        let hex = commit.len() >= 4 && commit.bytes().all(|b| b.is_ascii_hexdigit());
        Some((tag, count.parse::<u64>().ok().filter(|_| hex)?))
    };
    let (tag, distance) = after().unwrap_or((text, 0));
    rules.version(tag).map(|version| (version, distance))
}

/// Whether `tag` is the own name of the release that an image says it is.
pub fn is_own(tag: &str, image: &ImageIdentity, rules: &Rules) -> bool {
    rules.version(&image.version).is_some_and(|version| version.to_string() == tag)
}

/// The tag of the release that a line's tag (`latest`, `1`, `1.2`) belongs to by the names that a
/// registry has: the highest one that is final.
pub fn owner<'a>(tag: &str, tags: &'a [String], rules: &Rules) -> Option<&'a str> {
    let version = |tag: &'a String| Some((tags::registered(tag, rules.versions)?, tag.as_str()));
    let fits = |(version, _): &(Version, &str)| version.is_final() && version.is_of(tag);
    tags.iter().filter_map(version).filter(fits).max().map(|(_, tag)| tag)
}
