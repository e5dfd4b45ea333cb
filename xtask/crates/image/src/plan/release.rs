//! What a release must be and what it will be called, decided as plain data before any work.

use crate::attest::{Made, Tested};
use crate::report::release::ReleaseRecord;
use crate::tags::{self, Names, Rules, TagKind, Versions};
use process::failure::{Exit, Failure};
use source::ci::{Ci, Identity, Pipeline};
use source::git::{Change, Checkout};
use std::collections::BTreeMap;

/// How many changed files are named before the rest is only counted.
const NAMED: usize = 5;

/// What the reasons against a release depend on.
#[derive(Clone, Copy)]
pub struct ReleaseFacts<'a> {
    /// What git says.
    pub checkout: &'a Checkout,
    /// What the pipeline says of it.
    pub identity: &'a Identity,
    /// What the CI system says, also of another commit.
    pub ci: Option<&'a Ci>,
    /// What a version is.
    pub rules: &'a Rules,
    /// Why the base is too old for it.
    pub old_base: Option<&'a str>,
    /// The platform that the environment asks for (`XTASK_PLATFORM`).
    pub asked_platform: Option<&'a str>,
    /// The engine's own platform: the only one that the smoke test runs as users will.
    pub platform: &'a str,
}

/// What a release is made from.
#[derive(Clone, Debug, Default)]
pub struct ReleaseInputs {
    /// Those of git, the configuration and the base with its digest.
    pub labels: BTreeMap<String, String>,
    pub build_args: BTreeMap<String, String>,
    pub platform: String,
    /// The options that say what is made.
    pub arguments: Vec<String>,
}

/// Why an image that a registry has under the commit's name isn't the one that would be made and tested;
/// `None`: it is. What isn't known counts as different. `alike`: every registry has the same image.
pub fn differs(
    inputs: &ReleaseInputs,
    labels: &BTreeMap<String, String>,
    made: Option<&Made>,
    tested: Option<&Tested>,
    alike: bool,
) -> Option<String> {
    let Some(made) = made else { return Some("it has no provenance".to_owned()) };
    match tested {
        None => return Some("no smoke test is attached to it".to_owned()),
        Some(tested) if !tested.passed => {
            return Some(format!("its smoke test failed: {}", tested.failed.join(", ")));
        }
        Some(_) => {}
    }
    if !alike {
        return Some("the registries have different images".to_owned());
    }
    let other = |name: &str, here: Option<&String>, there: Option<&String>| {
        let shown = |value: Option<&String>| value.map_or("none", String::as_str).to_owned();
        (here != there)
            .then(|| format!("{name} is {} there, and {} here", shown(there), shown(here)))
    };
    let label = inputs.labels.iter().find_map(|(name, value)| {
        other(&format!("the label {name}"), Some(value), labels.get(name))
    });
    let names = inputs.build_args.keys().chain(made.build_args.keys());
    let argument = || {
        let mut names = names;
        names.find_map(|name| {
            let (here, there) = (inputs.build_args.get(name), made.build_args.get(name));
            other(&format!("the build argument {name}"), here, there)
        })
    };
    let platform = || other("the platform", Some(&inputs.platform), Some(&made.platform));
    // What is pushed is the same with and without these.
    let counts = |all: &[String]| -> String {
        let others =
            all.iter().filter(|one| !["--allow-standin", "--force"].contains(&one.as_str()));
        others.cloned().collect::<Vec<_>>().join(" ")
    };
    let options = || {
        let (here, there) = (counts(&inputs.arguments), counts(&made.arguments));
        other("the option", Some(&here), Some(&there))
    };
    label.or_else(argument).or_else(platform).or_else(options)
}

/// What stands against a release of this checkout, a line each; `names` are those it would get.
pub fn refusals(facts: &ReleaseFacts<'_>, names: &Names) -> Vec<String> {
    let ReleaseFacts { checkout, identity, .. } = facts;
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
    all.extend(facts.old_base.map(str::to_owned));
    all.extend(platform(facts));
    all
}

/// Why the commit has no version, and how it gets one.
fn no_version(facts: &ReleaseFacts<'_>, names: &Names) -> String {
    let ReleaseFacts { checkout, rules, .. } = facts;
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
pub fn platform(facts: &ReleaseFacts<'_>) -> Option<String> {
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
pub fn names(rules: &Rules, facts: &tags::TagFacts<'_>, snapshot: bool) -> anyhow::Result<Names> {
    if !snapshot {
        return tags::names(rules, facts);
    }
    let pipeline = facts.pipeline.filter(|pipeline| !matches!(pipeline, Pipeline::Tag(_)));
    let facts = tags::TagFacts { exact_tags: &[], pipeline, ..*facts };
    let mut names = tags::names(rules, &facts)?;
    for tag in &mut names.tags {
        if tag.name.starts_with("sha-") {
            // Without the suffix, the name permanently belongs to the commit's release.
            tag.name += "-snapshot";
            tag.kind = TagKind::Moving;
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
    record: Option<&ReleaseRecord>,
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
