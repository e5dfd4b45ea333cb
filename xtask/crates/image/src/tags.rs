//! What the image of a commit is called in a registry, and why: decided from what git, the CI
//! pipeline and the registry say, as plain data.

mod legal;
mod moving;
#[cfg(test)]
mod tests;
mod version;

use anyhow::Context as _;
pub use legal::{is_ours as given, version as registered};
use serde::Serialize;
use source::ci::{self, Ci, Identity, Pipeline};
use source::git::Checkout;
use std::collections::{HashMap, HashSet};
pub use version::{Version, Versions, line};

/// `[tags]` of the configuration: which names are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What stands before the version in a git tag: `api/` for `api/v1.2.3`.
    pub prefix: String,
    pub versions: Versions,
    /// 1.2.3 moves 1.2.
    pub minor: bool,
    /// 1.2.3 moves 1.
    pub major: bool,
    /// 1.2.3 moves `latest`.
    pub latest: bool,
    /// A git tag that is no version gives its own name.
    pub other_tags: bool,
    /// A branch gives its name.
    pub branch: bool,
    /// A pull request gives `pr-N`.
    pub pull_request: bool,
    /// Tags that only `promote` and `rollback` move: no commit gives them.
    pub environments: Vec<String>,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            prefix: String::new(),
            versions: Versions::default(),
            minor: true,
            major: true,
            latest: true,
            other_tags: true,
            branch: true,
            pull_request: true,
            environments: ["production", "staging"].map(str::to_owned).to_vec(),
        }
    }
}

impl Rules {
    pub fn version(&self, git_tag: &str) -> Option<Version> {
        self.versions.version(git_tag.strip_prefix(&self.prefix)?)
    }
}

/// The world as far as the names depend on it.
#[derive(Clone, Copy, Debug, Default)]
pub struct TagFacts<'a> {
    /// The commit that is checked out, 40 hexadecimal digits.
    pub revision: &'a str,
    /// The git tags of that commit.
    pub exact_tags: &'a [String],
    /// All git tags that the clone knows.
    pub all_tags: &'a [String],
    /// The branch that is checked out.
    pub branch: Option<&'a str>,
    /// What CI says, when it speaks of this commit.
    pub pipeline: Option<&'a Pipeline>,
    /// Whether history is cut off.
    pub shallow: bool,
    /// Whether the image can differ from the commit.
    pub changed: bool,
    /// The tags that the registry has; `None` when no registry was asked.
    pub registry: Option<&'a [String]>,
}

impl<'a> TagFacts<'a> {
    /// What git, CI and a registry say.
    pub fn of(
        checkout: &'a Checkout,
        identity: &'a Identity,
        registry: Option<&'a [String]>,
    ) -> TagFacts<'a> {
        TagFacts {
            revision: &checkout.revision,
            exact_tags: &checkout.exact_tags,
            all_tags: &checkout.all_tags,
            branch: checkout.branch.as_deref(),
            pipeline: identity.pipeline.as_ref(),
            shallow: checkout.shallow,
            changed: checkout.changed(),
            registry,
        }
    }
}

/// How a tag may be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TagKind {
    /// Permanently names one image.
    Immutable,
    /// Names the newest image of its kind.
    Moving,
    /// `latest`, which is moved last.
    Latest,
}

/// One name of the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tag {
    /// The tag, legal in every registry.
    pub name: String,
    /// How it may be moved.
    pub kind: TagKind,
    /// Whether another image of the same commit that has it keeps it, and is no conflict.
    #[serde(skip)]
    pub shared: bool,
    /// Which rule gives it.
    pub why: String,
}

/// A name that the rules know and that the image doesn't get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The name, or the git tag that gives none.
    pub name: String,
    /// Why not.
    pub why: String,
}

/// A release that the commit is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Release {
    pub version: Version,
    /// The git tag that says so.
    pub git_tag: String,
}

/// The names of the image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// In the order in which they are to be pushed: immutable ones, moving ones, `latest`.
    pub tags: Vec<Tag>,
    /// What is not given, and why.
    pub left_out: Vec<LeftOut>,
    /// The releases among them, the highest first.
    pub releases: Vec<Release>,
    /// What the user should know, a line each.
    pub notes: Vec<String>,
}

/// Decides the names.
///
/// # Errors
/// When libgit2 can't compute an object id.
pub fn names(rules: &Rules, facts: &TagFacts<'_>) -> anyhow::Result<Names> {
    let mut names = Names::default();
    let short: String = facts.revision.chars().take(12).collect();
    let commit = format!("sha-{short}{}", dirty(facts));
    let (own, others): (Vec<_>, Vec<_>) =
        exact_tags(facts).into_iter().partition(|name| match facts.pipeline {
            Some(Pipeline::Tag(tag)) => name == tag,
            pipeline => pipeline.is_none(),
        });
    if let Some(pipeline) = facts.pipeline {
        not_from_tags(&others, &format!("the pipeline is that of {pipeline}"), &mut names);
    }
    match facts.pipeline {
        Some(Pipeline::PullRequest(number)) if rules.pull_request => {
            let why = format!("pull request {number}");
            names.tags.push(moving(format!("pr-{number}{}", dirty(facts)), why));
        }
        Some(Pipeline::PullRequest(_)) => {}
        Some(Pipeline::Trial(what)) => {
            let why = "what is only tried gets no name but the commit's".to_owned();
            names.left_out.push(LeftOut { name: what.clone(), why });
        }
        Some(Pipeline::Branch(branch)) => of_branch(rules, facts, branch, &mut names)?,
        Some(Pipeline::Tag(tag)) if own.is_empty() => {
            not_from_tags(std::slice::from_ref(tag), "it is on another commit", &mut names);
        }
        Some(Pipeline::Tag(_)) => of_tags(rules, facts, &own, &mut names)?,
        None => {
            of_tags(rules, facts, &own, &mut names)?;
            if let (true, Some(branch)) = (names.tags.is_empty(), facts.branch) {
                of_branch(rules, facts, branch, &mut names)?;
            }
        }
    }
    let why = if facts.changed { "the commit, with changes" } else { "the commit" };
    let kind = if facts.changed { TagKind::Moving } else { TagKind::Immutable };
    names.tags.push(Tag { name: commit, kind, shared: true, why: why.to_owned() });
    names.tags.sort_by_key(|tag| tag.kind);
    Ok(names)
}

/// Makes the git tag of the release that an image of this checkout is named after its version.
pub fn name_version(rules: &Rules, ci: Option<&Ci>, checkout: &mut Checkout) -> anyhow::Result<()> {
    let names = names(rules, &TagFacts::of(checkout, &ci::identity(ci, checkout), None))?;
    if let Some(release) = names.releases.into_iter().next() {
        checkout.version = release.git_tag;
    }
    Ok(())
}

/// What every name of an image ends with that can differ from the commit.
fn dirty(facts: &TagFacts<'_>) -> &'static str {
    if facts.changed { "-dirty" } else { "" }
}

fn moving(name: String, why: String) -> Tag {
    Tag { name, kind: TagKind::Moving, shared: false, why }
}

/// The git tags of the commit; a shallow clone may not have the one that its pipeline runs for.
fn exact_tags(facts: &TagFacts<'_>) -> Vec<String> {
    let mut exact = facts.exact_tags.to_vec();
    if let Some(Pipeline::Tag(tag)) = facts.pipeline
        && !facts.all_tags.contains(tag)
    {
        exact.push(tag.clone());
    }
    exact
}

fn not_from_tags(exact: &[String], why: &str, names: &mut Names) {
    let left_out = |tag: &String| LeftOut { name: tag.clone(), why: why.to_owned() };
    names.left_out.extend(exact.iter().map(left_out));
}

/// The names that the git tags of the commit give.
fn of_tags(
    rules: &Rules,
    facts: &TagFacts<'_>,
    exact: &[String],
    names: &mut Names,
) -> anyhow::Result<()> {
    if facts.changed {
        not_from_tags(exact, "the image can differ from the commit that has this git tag", names);
        return Ok(());
    }
    let (others, mut given) = (names_of_others(rules, facts, facts.exact_tags)?, HashSet::new());
    for git_tag in exact {
        let mut leave = |why: String| names.left_out.push(LeftOut { name: git_tag.clone(), why });
        let Some(own) = git_tag.strip_prefix(&rules.prefix) else {
            leave(format!("it doesn't begin with {}", rules.prefix));
            continue;
        };
        let version = rules.versions.version(own);
        if version.is_none() && !rules.other_tags {
            leave("it is no version, and other_tags is off".to_owned());
            continue;
        }
        let name = name_of(rules, git_tag)?.context("naming the image after a git tag")?;
        if let Some(other) = others.get(&name) {
            leave(format!("the git tag {other} of another commit also names {name}"));
            continue;
        }
        if given.insert(name.clone()) {
            let why = format!("git tag {git_tag}");
            names.tags.push(Tag { name, kind: TagKind::Immutable, shared: true, why });
        }
        if let Some(version) = version {
            names.releases.push(Release { version, git_tag: git_tag.clone() });
        }
    }
    names.releases.sort_by(|a, b| b.version.cmp(&a.version));
    if let Some(release) = names.releases.first() {
        let own = name_of(rules, &release.git_tag)?;
        names.tags.iter_mut().for_each(|tag| tag.shared = own.as_ref() != Some(&tag.name));
    }
    moving::add(rules, facts, names);
    Ok(())
}

/// The immutable tag that a git tag gives; `None` when it doesn't begin with the prefix.
fn name_of(rules: &Rules, git_tag: &str) -> anyhow::Result<Option<String>> {
    let Some(own) = git_tag.strip_prefix(&rules.prefix) else { return Ok(None) };
    let of = format!("refs/tags/{git_tag}");
    match rules.versions.version(own) {
        Some(version) => legal::tag(&version.to_string(), &of, false),
        None => legal::tag(own, &of, legal::is_ours(own, rules)),
    }
    .map(Some)
}

/// The names that the git tags of other commits give, each with the first tag that does.
fn names_of_others<'a>(
    rules: &Rules,
    facts: &TagFacts<'a>,
    exact: &[String],
) -> anyhow::Result<HashMap<String, &'a String>> {
    let exact: HashSet<&String> = exact.iter().collect();
    let mut names = HashMap::new();
    for other in facts.all_tags.iter().filter(|tag| !exact.contains(tag)) {
        if let Some(name) = name_of(rules, other)? {
            names.entry(name).or_insert(other);
        }
    }
    Ok(names)
}

/// The name of a branch, changed where another rule or a known git tag gives it.
fn of_branch(
    rules: &Rules,
    facts: &TagFacts<'_>,
    branch: &str,
    names: &mut Names,
) -> anyhow::Result<()> {
    if !rules.branch {
        return Ok(());
    }
    if ci::is_queue(branch) {
        let why = "it is a merge queue's branch".to_owned();
        names.left_out.push(LeftOut { name: branch.to_owned(), why });
        return Ok(());
    }
    let text = format!("{branch}{}", dirty(facts));
    let ours = legal::is_ours(branch, rules);
    let taken = ours || names_of_others(rules, facts, &[])?.contains_key(&text);
    let name = legal::tag(&text, &format!("refs/heads/{text}"), taken)?;
    let changed = if facts.changed { ", with changes" } else { "" };
    names.tags.push(moving(name, format!("branch {branch}{changed}")));
    Ok(())
}
