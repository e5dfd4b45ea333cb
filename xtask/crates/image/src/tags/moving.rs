//! The tags that a release moves: only if it is the highest of those that are known.

use super::{LeftOut, Names, Release, Rules, Tag, TagFacts, TagKind, Version, legal};
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

/// A release that is known, and who knows it.
struct KnownRelease<'a> {
    version: Version,
    /// The git tag; `None`: the registry.
    git_tag: Option<&'a str>,
}

/// What a release would move.
struct Wish {
    name: String,
    kind: TagKind,
    /// What it must be the highest of.
    among: String,
}

/// Adds the moving tags of the releases in `names`.
pub(super) fn add(rules: &Rules, facts: &TagFacts<'_>, names: &mut Names) {
    let known = known(rules, facts);
    let exact: HashSet<&String> = facts.exact_tags.iter().collect();
    let others = facts.all_tags.iter().any(|tag| !exact.contains(tag));
    // A shallow clone has the tags that it was told to fetch: at best the one that is built.
    let blind = facts.shallow && !others;
    if blind && !names.releases.is_empty() {
        names.notes.push(match facts.registry {
            Some(_) => "this is a shallow clone without other git tags: only the registry says which release is the highest".to_owned(),
            None => "this is a shallow clone without other git tags, and no registry was asked: nothing says which release is the highest".to_owned(),
        });
    }
    let git_tags =
        known.iter().rev().filter_map(|known| Some((known.version.to_string(), known.git_tag?)));
    let git_tags: HashMap<String, &str> = git_tags.collect();
    let mut highest: HashMap<String, Option<&KnownRelease<'_>>> = HashMap::new();
    let mut given: HashSet<String> = names.tags.iter().map(|tag| tag.name.clone()).collect();
    let mut refused: HashSet<String> = names.left_out.iter().map(|tag| tag.name.clone()).collect();
    for release in &names.releases {
        for wish in wishes(rules, &release.version) {
            let blind = blind && facts.registry.is_none();
            let unknown = || blind.then(|| "nothing says whether it is the highest".to_owned());
            let highest = highest
                .entry(wish.name.clone())
                .or_insert_with(|| known.iter().find(|other| other.version.is_of(&wish.name)));
            let git_tag = git_tags.get(&wish.name).copied();
            match refusal(&wish, release, git_tag, *highest).or_else(unknown) {
                None if given.insert(wish.name.clone()) => {
                    let why = format!("{} is the highest {}", release.version, wish.among);
                    names.tags.push(Tag { name: wish.name, kind: wish.kind, shared: false, why });
                }
                Some(why) if refused.insert(wish.name.clone()) => {
                    names.left_out.push(LeftOut { name: wish.name, why });
                }
                _ => {}
            }
        }
    }
    // What one release of the commit doesn't move, another one may.
    names.left_out.retain(|left| !given.contains(&left.name));
}

/// The tags that the rules let `version` move.
fn wishes(rules: &Rules, version: &Version) -> Vec<Wish> {
    let line = |(on, count, rest): (bool, usize, &str)| {
        let name = version.line(count).filter(|_| on)?;
        Some(Wish { among: format!("{name}.{rest}"), name, kind: TagKind::Moving })
    };
    let lines = [(rules.minor, 2, "x"), (rules.major, 1, "x.y")];
    let mut wishes: Vec<Wish> = lines.into_iter().filter_map(line).collect();
    if rules.latest {
        let (name, among) = ("latest".to_owned(), "release".to_owned());
        wishes.push(Wish { name, kind: TagKind::Latest, among });
    }
    wishes
}

/// Why a release doesn't move a tag that `git_tag` gives a release, and whose `highest` release is known.
fn refusal(
    wish: &Wish,
    release: &Release,
    git_tag: Option<&str>,
    highest: Option<&KnownRelease<'_>>,
) -> Option<String> {
    let version = &release.version;
    if !version.is_final() {
        return Some(format!("{version} is a pre-release"));
    }
    if wish.name == "0" {
        return Some("a 0.y.z promises nothing to who follows 0 (semver.org, 4)".to_owned());
    }
    if let Some(tag) = git_tag {
        return Some(format!("it is the release of the git tag {tag}"));
    }
    let highest =
        highest.filter(|other| other.version.cmp_precedence(version) == Ordering::Greater)?;
    let by = highest.git_tag.map_or("in the registry".to_owned(), |tag| format!("git tag {tag}"));
    Some(format!("{} is higher than {version} ({by})", highest.version))
}

/// All releases that the git tags and the registry know, the highest first; pre-releases are none.
fn known<'a>(rules: &Rules, facts: &TagFacts<'a>) -> Vec<KnownRelease<'a>> {
    let git = facts
        .all_tags
        .iter()
        .filter_map(|tag| Some(KnownRelease { version: rules.version(tag)?, git_tag: Some(tag) }));
    let registry = facts.registry.into_iter().flatten().filter_map(|tag| {
        Some(KnownRelease { version: legal::version(tag, rules.versions)?, git_tag: None })
    });
    let all = git.chain(registry).filter(|known| known.version.is_final());
    let mut all: Vec<KnownRelease<'_>> = all.collect();
    all.sort_by(|a, b| b.version.cmp_precedence(&a.version));
    all
}
