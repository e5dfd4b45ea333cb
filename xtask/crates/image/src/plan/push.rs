//! What a push will be, decided as plain data: where to, under which tags and in which order, and
//! for each tag whether it is written, stays, or is refused.

use crate::tags::{Rules, Tag, TagKind, Versions, line};
use engine::label::OCI;
use engine::reference::{self, Reference};
use process::failure::{Exit, failure, failure_help};
use serde::Serialize;
use source::git::ancestry::Ancestry;
use std::collections::BTreeMap;
use std::time::Duration;

mod order;
pub use order::{ImageIdentity, Order, is_own, order, owner};

/// The time that an engine may take in addition to the time for the bytes.
const BASE: Duration = Duration::from_secs(60);
/// The slowest network that a push is waited for, in bytes a second.
const RATE: u64 = 1_000_000;

/// The kind of a tag that a user names: whole versions and `sha-…` name one image, and so does `1.2`
/// if that is the version of the `image`.
pub fn kind_of(name: &str, image: &ImageIdentity, rules: &Rules) -> TagKind {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    if name == "latest" {
        TagKind::Latest
    } else if Versions::Numbers.version(name).is_some_and(|_| line(name).is_none())
        || is_own(name, image, rules)
        || name.strip_prefix("sha-").is_some_and(digits)
    {
        TagKind::Immutable
    } else {
        TagKind::Moving
    }
}

/// The repositories to push to: those of the command line, else those of `docker/image.toml`. One
/// without a path is a registry, and gets the image's `name`.
///
/// # Errors
/// [`Exit::Usage`] for none, and for what is no repository.
pub fn targets(
    asked: &[String],
    configured: &[String],
    name: &str,
) -> anyhow::Result<Vec<Reference>> {
    let chosen = if asked.is_empty() { configured } else { asked };
    if chosen.is_empty() {
        let help = "name one with --registry registry.example/team/NAME, or in docker/image.toml: \
                    [push] registries = [\"registry.example/team/NAME\"]";
        return Err(failure_help(Exit::Usage, "choosing the repository: none is named", help));
    }
    let mut targets: Vec<Reference> = Vec::new();
    for text in chosen {
        let target = reference::target(text, name)?;
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    Ok(targets)
}

/// The tags that the command line asks for, else `sha-<12>` of the image's commit.
///
/// # Errors
/// [`Exit::Usage`] for what is no tag, and for an image that doesn't say its commit.
pub fn tags(asked: &[String], image: &ImageIdentity, rules: &Rules) -> anyhow::Result<Vec<Tag>> {
    let tag =
        |name: String, kind, why: &str| Tag { name, kind, shared: false, why: why.to_owned() };
    let mut tags: Vec<Tag> = Vec::new();
    for name in asked {
        if !reference::is_tag(name) {
            let message = format!("pushing as {name:?}: it is no tag");
            let help = "letters, digits, `_`, `.` and `-`, at most 128, not `.` or `-` first";
            return Err(failure_help(Exit::Usage, message, help));
        }
        if rules.environments.contains(name) {
            let message = format!("pushing as {name}: only `promote` moves an environment's tag");
            let help = format!("push it, then: cargo xtask promote TAG --to {name}");
            return Err(failure_help(Exit::Usage, message, help));
        }
        if !tags.iter().any(|tag| tag.name == *name) {
            tags.push(tag(name.clone(), kind_of(name, image, rules), "--tag"));
        }
    }
    if tags.is_empty() {
        let ImageIdentity { revision, version } = image;
        let short: String = revision.chars().take(12).collect();
        if short.len() < 12 {
            let message = "pushing: the image has no label that names its commit";
            return Err(failure_help(Exit::Usage, message, "name a tag with --tag"));
        }
        if version.ends_with("-dirty") {
            let message = format!("pushing as sha-{short}: the image isn't that commit: {version}");
            return Err(failure_help(
                Exit::Git,
                message,
                "commit and build, or name it with --tag",
            ));
        }
        tags.push(tag(format!("sha-{short}"), TagKind::Immutable, "the image's commit"));
    }
    Ok(in_order(tags))
}

/// Immutable tags first, `latest` last.
pub fn in_order(mut tags: Vec<Tag>) -> Vec<Tag> {
    tags.sort_by_key(|tag| tag.kind);
    tags
}

/// A label of the OCI specification, empty if the image has none.
pub fn label(labels: &BTreeMap<String, String>, name: &str) -> String {
    labels.get(&format!("{OCI}{name}")).cloned().unwrap_or_default()
}

/// The longest that one push may take: that of the command line or the file, else a minute and a
/// second for each megabyte of the layers.
pub fn limit(asked: Option<u64>, configured: Option<u64>, bytes: u64) -> Duration {
    let chosen = asked.or(configured).map(Duration::from_secs);
    chosen.unwrap_or(BASE + Duration::from_secs(bytes / RATE))
}

/// Refuses an image whose base is a stand-in.
///
/// # Errors
/// [`Exit::Git`]: the state that a release must not be made from.
pub fn check_base(labels: &BTreeMap<String, String>, allowed: bool) -> anyhow::Result<()> {
    let base = label(labels, "base.name");
    if allowed || !base.ends_with("-standin") {
        return Ok(());
    }
    let message = format!("pushing: the base of the image is a stand-in, {base}");
    let help = "build it on a machine that reaches the base's registry, or say --allow-standin";
    Err(failure_help(Exit::Git, message, help))
}

/// An image as a registry knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remote {
    /// The manifest's digest.
    pub digest: String,
    /// Whether it is the image that is pushed.
    pub ours: bool,
    /// What it says it is.
    pub identity: ImageIdentity,
}

/// What becomes of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Act {
    Write,
    /// It names this image already.
    Done,
    /// It names a newer image, or another one of the commit, and stays.
    Keep,
    /// It permanently names another image.
    Refuse,
}

/// What becomes of a tag, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What is done.
    pub act: Act,
    /// Why, for a line of the report.
    pub why: String,
}

/// Decides about one tag of one repository.
pub fn decide(
    tag: &Tag,
    there: Option<&Remote>,
    ours: &ImageIdentity,
    force: bool,
    ancestry: &dyn Fn(&str, &str) -> Ancestry,
    rules: &Rules,
) -> Decision {
    let decision = |act, why: &str| Decision { act, why: why.to_owned() };
    let Some(there) = there else { return decision(Act::Write, "new") };
    if there.ours {
        return decision(Act::Done, "there already");
    }
    let what = there.identity.shown();
    let same_commit = !ours.revision.is_empty() && there.identity.revision == ours.revision;
    let release = tag.kind == TagKind::Moving && is_own(&tag.name, &there.identity, rules);
    match (force, tag.kind) {
        (true, _) => Decision { act: Act::Write, why: format!("--force, instead of {what}") },
        (_, TagKind::Immutable) if tag.shared && same_commit => {
            Decision { act: Act::Keep, why: format!("{what} of the same commit has it") }
        }
        _ if release => Decision { act: Act::Keep, why: format!("it is the release {what}") },
        (_, TagKind::Immutable) => {
            Decision { act: Act::Refuse, why: format!("it names another image, {what}") }
        }
        _ => match order(ours, &there.identity, ancestry, rules) {
            Order::Newer(how) => {
                Decision { act: Act::Keep, why: format!("{what} is newer ({how})") }
            }
            Order::Older(how) => Decision { act: Act::Write, why: format!("after {what} ({how})") },
            Order::Unclear => Decision { act: Act::Write, why: format!("instead of {what}") },
        },
    }
}

/// The failure for tags that must not move, all of them at once.
pub fn refused(tags: &[(String, String)]) -> anyhow::Error {
    let help = tags.iter().map(|(name, why)| format!("{name}: {why}"));
    let way = "a tag of a release names one image forever; --force moves it anyway";
    let help = help.chain([way.to_owned()]).collect();
    let message = match tags {
        [(name, _)] => format!("pushing {name}: the tag is taken"),
        _ => format!("pushing: {} tags are taken", tags.len()),
    };
    process::failure::Failure { exit: Exit::RegistryRefused, message, help }.into()
}

/// The failure for a digest that isn't the one that was written.
pub fn mismatch(name: &str, expected: &str, found: Option<&str>) -> anyhow::Error {
    let found = found.unwrap_or("nothing");
    failure(
        Exit::Mismatch,
        format!("verifying {name}: pushed {expected}, the registry has {found}"),
    )
}

#[cfg(test)]
mod tests;
