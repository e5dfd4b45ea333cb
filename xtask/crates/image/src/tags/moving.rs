//! The tags that a release moves: only where it is the highest of those that are known.

use super::{Facts, Kind, LeftOut, Names, Release, Rules, Tag, Version, legal};
use std::cmp::Ordering;

/// A release that is known, and who knows it.
struct Known<'a> {
    version: Version,
    /// The git tag; `None`: the registry.
    git_tag: Option<&'a str>,
}

/// What a release would move.
struct Wish {
    name: String,
    kind: Kind,
    /// What it must be the highest of.
    among: String,
}

/// Adds the moving tags of the releases in `names`.
pub(super) fn add(rules: &Rules, facts: &Facts<'_>, names: &mut Names) {
    let known = known(rules, facts);
    let others = facts.all_tags.iter().any(|tag| !facts.exact_tags.contains(tag));
    // A shallow clone has the tags that it was told to fetch: at best the one that is built.
    let blind = facts.shallow && !others;
    if blind && !names.releases.is_empty() {
        names.notes.push(match facts.registry {
            Some(_) => "this is a shallow clone without other git tags: only the registry says which release is the highest".to_owned(),
            None => "this is a shallow clone without other git tags, and no registry was asked: nothing says which release is the highest".to_owned(),
        });
    }
    for release in names.releases.clone() {
        for wish in wishes(rules, &release.version) {
            let blind = blind && facts.registry.is_none();
            let unknown = || blind.then(|| "nothing says whether it is the highest".to_owned());
            let refusal = refusal(&wish, &release, &known).or_else(unknown);
            let given = names.tags.iter().any(|tag| tag.name == wish.name);
            let refused = names.left_out.iter().any(|tag| tag.name == wish.name);
            match refusal {
                None if !given => {
                    let why = format!("{} is the highest {}", release.version, wish.among);
                    names.tags.push(Tag { name: wish.name, kind: wish.kind, shared: false, why });
                }
                Some(why) if !refused => names.left_out.push(LeftOut { name: wish.name, why }),
                _ => {}
            }
        }
    }
    // What one release of the commit doesn't move, another one may.
    let tags = &names.tags;
    names.left_out.retain(|left| tags.iter().all(|tag| tag.name != left.name));
}

/// The tags that the rules let `version` move.
fn wishes(rules: &Rules, version: &Version) -> Vec<Wish> {
    let line = |(on, count, rest): (bool, usize, &str)| {
        let name = version.line(count).filter(|_| on)?;
        Some(Wish { among: format!("{name}.{rest}"), name, kind: Kind::Moving })
    };
    let lines = [(rules.minor, 2, "x"), (rules.major, 1, "x.y")];
    let mut wishes: Vec<Wish> = lines.into_iter().filter_map(line).collect();
    if rules.latest {
        let (name, among) = ("latest".to_owned(), "release".to_owned());
        wishes.push(Wish { name, kind: Kind::Latest, among });
    }
    wishes
}

/// Why a release doesn't move a tag.
fn refusal(wish: &Wish, release: &Release, known: &[Known<'_>]) -> Option<String> {
    let version = &release.version;
    if !version.is_final() {
        return Some(format!("{version} is a pre-release"));
    }
    if wish.name == "0" {
        return Some("a 0.y.z promises nothing to who follows 0 (semver.org, 4)".to_owned());
    }
    let own = |known: &&Known<'_>| known.version.to_string() == wish.name;
    if let Some(tag) = known.iter().filter(own).find_map(|known| known.git_tag) {
        return Some(format!("it is the release of the git tag {tag}"));
    }
    let higher = known
        .iter()
        .filter(|other| other.version.is_of(&wish.name))
        .filter(|other| other.version.cmp_precedence(version) == Ordering::Greater)
        .max_by(|a, b| a.version.cmp_precedence(&b.version))?;
    let by = higher.git_tag.map_or("in the registry".to_owned(), |tag| format!("git tag {tag}"));
    Some(format!("{} is higher than {version} ({by})", higher.version))
}

/// All releases that the git tags and the registry know; pre-releases are none.
fn known<'a>(rules: &Rules, facts: &Facts<'a>) -> Vec<Known<'a>> {
    let git = facts
        .all_tags
        .iter()
        .filter_map(|tag| Some(Known { version: rules.version(tag)?, git_tag: Some(tag) }));
    let registry = facts.registry.into_iter().flatten().filter_map(|tag| {
        Some(Known { version: legal::version(tag, rules.versions)?, git_tag: None })
    });
    git.chain(registry).filter(|known| known.version.is_final()).collect()
}
