//! What a release must be and what it will be called, decided as plain data before any work.

use crate::report::release::Record;
use crate::tags::{self, Kind, Names, Rules, Versions};
use process::failure::{Exit, Failure};
use source::ci::{Ci, Identity, Pipeline};
use source::git::{Change, Checkout};

/// How many changed files are named before the rest is only counted.
const NAMED: usize = 5;

/// What the reasons against a release depend on.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// What git says.
    pub checkout: &'a Checkout,
    /// What the pipeline says of it.
    pub identity: &'a Identity,
    /// What the CI system says, also of another commit.
    pub ci: Option<&'a Ci>,
    /// What a version is.
    pub rules: &'a Rules,
    /// The platform that the environment asks for (`XTASK_PLATFORM`).
    pub asked_platform: Option<&'a str>,
    /// The engine's own platform: the only one that the smoke test runs as users will.
    pub platform: &'a str,
}

/// What stands against a release of this checkout, a line each; `names` are those it would get.
pub fn refusals(facts: &Facts<'_>, names: &Names) -> Vec<String> {
    let Facts { checkout, identity, .. } = facts;
    let mut all = Vec::new();
    let pipeline = facts.ci.and_then(|ci| ci.pipeline.as_ref());
    let elsewhere = match pipeline {
        // What the pipeline says doesn't hold for what is checked out, or git knows better.
        Some(Pipeline::Tag(tag))
            if identity.pipeline.is_none()
                || (checkout.all_tags.contains(tag) && !checkout.exact_tags.contains(tag)) =>
        {
            Some(format!("the pipeline is that of the git tag {tag}, which is not on this commit"))
        }
        Some(Pipeline::PullRequest(number)) => {
            Some(format!("the pipeline is that of pull request {number}"))
        }
        Some(Pipeline::Trial(what)) => Some(format!("the pipeline is that of {what}")),
        _ => None,
    };
    if elsewhere.is_none() && names.releases.is_empty() {
        all.push(no_version(facts, names));
    }
    all.extend(elsewhere);
    all.extend(platform(facts));
    all
}

/// Why the commit has no version, and how it gets one.
fn no_version(facts: &Facts<'_>, names: &Names) -> String {
    let Facts { checkout, rules, .. } = facts;
    if checkout.shallow && checkout.exact_tags.is_empty() {
        return "no version: this shallow clone has no git tag of this commit (git fetch \
                --unshallow --tags)"
            .to_owned();
    }
    let why = |tag: &String| {
        let left_out = names.left_out.iter().find(|left| left.name == *tag);
        left_out.map_or(tag.clone(), |left| format!("{tag}: {}", left.why))
    };
    let others = checkout.exact_tags.iter().map(why).collect::<Vec<_>>().join("; ");
    let but = if others.is_empty() { String::new() } else { format!(" (only {others})") };
    let numbers = Rules { versions: Versions::Numbers, ..(*rules).clone() };
    let only_numbers =
        |tag: &String| numbers.version(tag).is_some() && rules.version(tag).is_none();
    let any = checkout.exact_tags.iter().any(only_numbers);
    let or = if any { ", or [tags] versions = \"numbers\"" } else { "" };
    format!("no git tag of this commit names a version{but}: git tag {}v1.2.3{or}", rules.prefix)
}

/// The reason that also stands against a snapshot: the wrong platform.
pub fn platform(facts: &Facts<'_>) -> Option<String> {
    let asked = facts.asked_platform.filter(|asked| *asked != facts.platform)?;
    let own = facts.platform;
    Some(format!("XTASK_PLATFORM asks for {asked}, and this engine runs {own}"))
}

/// What is told of a working tree with changes: the commit is what is released.
pub fn left_out(checkout: &Checkout) -> Option<String> {
    let mut all = checkout.dirty.clone();
    all.extend(checkout.context_changes.iter().cloned());
    all.sort_by(|a, b| a.path.cmp(&b.path));
    all.dedup_by(|a, b| a.path == b.path);
    (!all.is_empty()).then(|| {
        format!(
            "note: releasing the commit, without the changes of the working tree: {}",
            paths(&all)
        )
    })
}

fn paths(changes: &[Change]) -> String {
    let named: Vec<&str> = changes.iter().take(NAMED).map(|change| change.path.as_str()).collect();
    match changes.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// The failure that lists what stands against a release; none without a reason.
pub fn refused(reasons: &[String]) -> Option<Failure> {
    let (message, mut help) = match reasons {
        [] => return None,
        [reason] => (format!("releasing this commit: {reason}"), Vec::new()),
        all => (
            format!("releasing this commit: {} things stand against it", all.len()),
            all.iter().map(|reason| format!("  {reason}")).collect(),
        ),
    };
    help.push(
        "mend that, or push what is here under other names with `release --snapshot`".to_owned(),
    );
    Some(Failure { exit: Exit::Git, message, help })
}

/// The names: those of the rules, or for a snapshot only those that no release can have.
pub fn names(rules: &Rules, facts: &tags::Facts<'_>, snapshot: bool) -> anyhow::Result<Names> {
    if !snapshot {
        return tags::names(rules, facts);
    }
    let pipeline = facts.pipeline.filter(|pipeline| !matches!(pipeline, Pipeline::Tag(_)));
    let facts = tags::Facts { exact_tags: &[], pipeline, ..*facts };
    let mut names = tags::names(rules, &facts)?;
    for tag in &mut names.tags {
        if tag.name.starts_with("sha-") {
            // Without the suffix, the name permanently belongs to the commit's release.
            tag.name += "-snapshot";
            tag.kind = Kind::Moving;
        }
    }
    Ok(names)
}

/// What is left to do for this version, by its record.
#[derive(Clone, Debug, PartialEq)]
pub enum Rerun {
    /// Nothing was made yet: everything is to be done.
    New,
    /// The recorded image is here: what is left is to be done with it.
    GoOn,
}

/// Decides by the record of the version, if there is one; `here` says whether its image is.
///
/// # Errors
/// [`Exit::Git`] if the version was made of something else, or its image is gone: a version is
/// built once.
pub fn rerun(
    record: Option<&Record>,
    revision: &str,
    squash: bool,
    here: bool,
    path: &str,
) -> Result<Rerun, Failure> {
    let Some(record) = record else { return Ok(Rerun::New) };
    let (version, made) = (&record.version, &record.revision);
    let refuse = |what: String, help: String| Failure {
        exit: Exit::Git,
        message: format!("releasing {version}: {what}"),
        help: vec![help],
    };
    let anew = format!("if it was never given to anybody, remove {path} to build it anew");
    if made != revision {
        let what = format!("it was built of the commit {made}, and this one is {revision}");
        return Err(refuse(what, format!("give this commit another version; {anew}")));
    }
    if record.squashed_from.is_some() != squash {
        let how = if squash { "without" } else { "with" };
        let what = format!("it was built {how} --squash");
        return Err(refuse(what, format!("go on {how} it; {anew}")));
    }
    if !here {
        let what = format!("its image {} is not here any more", record.image_id);
        let help = match record.pulled_from() {
            Some(place) => format!("pull {place}; a version is never built twice"),
            None => format!("a version is never built twice; {anew}"),
        };
        return Err(refuse(what, help));
    }
    Ok(Rerun::GoOn)
}

#[cfg(test)]
mod tests;
