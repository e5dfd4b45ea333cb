//! What an engine stores of ours, whether something uses it, and what `clean` may remove: decided
//! from plain data. An image is ours by its label and its name, or because it was made here.

use crate::{standin, steps};
use anyhow::Context as _;
use engine::label::OURS;
use engine::reference;
use process::failure::{Exit, failure};
use serde::Serialize;
use serde_json::Value;

/// A stored image that carries a label of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// Image ID.
    pub id: String,
    /// Its local names, as the engine spells them.
    pub names: Vec<String>,
    /// Bytes, as the engine counts them: layers that images share count in each.
    pub bytes: u64,
    /// When it was made, as the engine says.
    pub created: String,
    /// Whether it is one of the stand-ins for base and service images.
    pub standin: bool,
}

/// A container of any image, running or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredContainer {
    pub name: String,
    /// The engine's word: `running`, `exited`.
    pub state: String,
    /// The image ID that it was made from.
    pub image: String,
}

/// The world as far as it decides what may go.
#[derive(Clone, Debug, Default)]
pub struct CleanFacts<'a> {
    /// Repository of the project's local names.
    pub name: &'a str,
    pub containers: &'a [StoredContainer],
    /// Image IDs that were made in this checkout.
    pub made: &'a [String],
    /// Steps of the builds that made what is current ([`crate::steps`]).
    pub cached: &'a [String],
    /// The image of the last release, and the file that says so.
    pub release: Option<(&'a str, &'a str)>,
    /// `--all`: also what is current, named by hand or made elsewhere.
    pub all: bool,
}

/// What becomes of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judged {
    #[serde(flatten)]
    pub image: Stored,
    /// Whether something uses it: a container or the last release.
    pub used: bool,
    /// Why it stays; `None`: `clean` removes it.
    pub kept: Option<String>,
}

/// Reads the answer of `image inspect` for several images; those that aren't ours are left out.
///
/// # Errors
/// When it is no JSON list of images.
pub fn read(text: &str) -> anyhow::Result<Vec<Stored>> {
    let all: Value = serde_json::from_str(text).context("reading what `image inspect` printed")?;
    let all = all.as_array().context("reading what `image inspect` printed: no list")?;
    let mut images = Vec::new();
    for image in all {
        let names: Vec<String> = image["RepoTags"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect();
        // Every image that is made from a stand-in also has its label.
        let standin = names.iter().any(|name| standin::is_reference(name));
        let id = image["Id"].as_str().unwrap_or_default();
        if id.is_empty() {
            return Err(failure(Exit::Engine, "reading what `image inspect` printed: no image ID"));
        }
        if standin || image["Config"]["Labels"][OURS].is_string() {
            images.push(Stored {
                id: engine::inspect::with_algorithm(id),
                names,
                bytes: image["Size"].as_u64().unwrap_or_default(),
                created: image["Created"].as_str().unwrap_or_default().to_owned(),
                standin,
            });
        }
    }
    images.sort_by(|a, b| (&b.created, &a.id).cmp(&(&a.created, &b.id)));
    Ok(images)
}

/// Reads containers, `IMAGE STATE NAME` a line.
pub fn containers(text: &str) -> Vec<StoredContainer> {
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let image = engine::inspect::with_algorithm(words.next()?);
        let state = words.next()?.to_owned();
        Some(StoredContainer {
            image,
            state,
            name: words.next()?.trim_start_matches('/').to_owned(),
        })
    });
    lines.collect()
}

/// Says of each image whether it may go.
pub fn judge(images: Vec<Stored>, facts: &CleanFacts<'_>) -> Vec<Judged> {
    let judged = images.into_iter().map(|image| {
        let used = used(&image, facts);
        let kept = used.clone().or_else(|| kept(&image, facts));
        Judged { image, used: used.is_some(), kept }
    });
    judged.collect()
}

/// What uses an image.
fn used(image: &Stored, facts: &CleanFacts<'_>) -> Option<String> {
    if let Some(container) = facts.containers.iter().find(|one| one.image == image.id) {
        return Some(format!("the container {} has it ({})", container.name, container.state));
    }
    let (_, record) = facts.release.filter(|(id, _)| *id == image.id)?;
    Some(format!("the last release ({record})"))
}

/// Why an image that nothing uses stays.
fn kept(image: &Stored, facts: &CleanFacts<'_>) -> Option<String> {
    if image.standin {
        return Some("a stand-in, which all checkouts share".to_owned());
    }
    let made = facts.made.contains(&image.id);
    let mut tags = Vec::new();
    for name in &image.names {
        match tag_of(name, facts.name) {
            Some(tag) => tags.push(tag),
            None => return Some(format!("{name} is no name of this project")),
        }
    }
    if tags.is_empty() && !made {
        return Some("it has no name, and wasn't made in this checkout".to_owned());
    }
    if facts.all {
        return None;
    }
    if tags.is_empty() && steps::is_one(&image.id, facts.cached) {
        return Some("the layer cache of the last build".to_owned());
    }
    if let Some(tag) = tags.iter().find(|tag| !is_of_commit(tag)) {
        return Some(match *tag {
            "prod" | "dev" | "prod-squashed" => "the current one".to_owned(),
            tag => format!("named {tag}"),
        });
    }
    (!made).then(|| "made in another checkout".to_owned())
}

/// The tag of a local name of this project: `NAME:TAG`, as either engine spells it.
fn tag_of<'n>(name: &'n str, project: &str) -> Option<&'n str> {
    let (repository, tag) = name.rsplit_once(':')?;
    let local = repository.strip_prefix("localhost/").unwrap_or(repository);
    let local = local.strip_prefix("docker.io/library/").unwrap_or(local);
    (local == project && reference::is_tag(tag)).then_some(tag)
}

/// Whether a tag only says from which commit the image was made.
fn is_of_commit(tag: &str) -> bool {
    let tag = tag.strip_suffix("-squashed").unwrap_or(tag);
    let tag = tag.strip_suffix("-dirty").unwrap_or(tag);
    let digits = tag.strip_prefix("sha-");
    digits.is_some_and(|digits| digits.len() == 12 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(id: &str, names: &[&str]) -> Stored {
        let names = names.iter().map(ToString::to_string).collect();
        Stored { id: format!("sha256:{id}"), names, ..Stored::default() }
    }

    /// What is kept, and why; `-` is removed.
    #[track_caller]
    fn check(names: &[&str], change: impl Fn(&mut CleanFacts<'_>), expected: &str) {
        let made = ["sha256:1".to_owned()];
        let mut facts = CleanFacts { name: "app", made: &made, ..CleanFacts::default() };
        change(&mut facts);
        let judged = judge(vec![image("1", names)], &facts);
        assert_eq!(judged[0].kept.as_deref().unwrap_or("-"), expected, "{names:?}");
        let used =
            expected.starts_with("the container") || expected.starts_with("the last release");
        assert_eq!(judged[0].used, used);
    }

    #[test]
    fn only_what_is_ours_and_unused_goes() {
        let commit = "localhost/app:sha-0123456789ab";
        check(&[commit], |_| {}, "-");
        check(&["app:sha-0123456789ab"], |_| {}, "-");
        check(&["app:sha-0123456789ab-dirty", "app:sha-0123456789ab-dirty-squashed"], |_| {}, "-");
        check(&[], |_| {}, "-");
        let cached: &'static [String] = Box::leak(Box::new(["1".to_owned()]));
        check(&[], |facts| facts.cached = cached, "the layer cache of the last build");
        check(&[], |facts| (facts.cached, facts.all) = (cached, true), "-");
        // What one builds and runs.
        check(&[commit, "localhost/app:prod"], |_| {}, "the current one");
        check(&["app:dev"], |_| {}, "the current one");
        check(&["app:mine"], |_| {}, "named mine");
        check(&["app:prod", commit], |facts| facts.all = true, "-");
        // Another's.
        let foreign = "docker.io/team/app:sha-0123456789ab is no name of this project";
        for all in [false, true] {
            check(&["docker.io/team/app:sha-0123456789ab"], |facts| facts.all = all, foreign);
            check(
                &[commit, "other:1"],
                |facts| facts.all = all,
                "other:1 is no name of this project",
            );
            check(&["app"], |facts| facts.all = all, "app is no name of this project");
            let nameless = "it has no name, and wasn't made in this checkout";
            check(&[], |facts| (facts.all, facts.made) = (all, &[]), nameless);
        }
        check(&[commit], |facts| facts.made = &[], "made in another checkout");
        check(&[commit], |facts| (facts.all, facts.made) = (true, &[]), "-");
        // Used.
        let containers = containers("2 running /else\n1 exited web\n");
        for all in [false, true] {
            let used = |facts: &mut CleanFacts<'_>| facts.all = all;
            let with = |facts: &mut CleanFacts<'_>| {
                used(facts);
                // Lives as long as the test.
                facts.containers = Box::leak(containers.clone().into_boxed_slice());
            };
            check(&[commit], with, "the container web has it (exited)");
            let release = |facts: &mut CleanFacts<'_>| {
                used(facts);
                facts.release = Some(("sha256:1", "releases/1.2.3.json"));
            };
            check(&[commit], release, "the last release (releases/1.2.3.json)");
        }
    }

    #[test]
    fn images_are_read_in_both_engines_words() {
        let podman = r#"[{"Id":"ab","RepoTags":["localhost/app:prod"],"Size":5,"Created":"2026-01-01T00:00:00Z","Config":{"Labels":{"dev.senex.xtask":"1"}}},
            {"Id":"cd","RepoTags":["localhost/xtask/python:3.11-slim-bookworm-standin"],"Size":7,"Created":"2026-01-02T00:00:00Z","Config":{"Labels":{"dev.senex.xtask.standin":"x"}}},
            {"Id":"ef","RepoTags":["other:1"],"Size":7,"Created":"","Config":{"Labels":{"dev.senex.xtask.standin":"x"}}}]"#;
        let images = read(podman).unwrap();
        let ids: Vec<(&str, bool)> =
            images.iter().map(|image| (image.id.as_str(), image.standin)).collect();
        assert_eq!(ids, [("sha256:cd", true), ("sha256:ab", false)]);
        let docker = r#"[{"Id":"sha256:ab","RepoTags":null,"Size":5,"Config":{"Labels":{"dev.senex.xtask":"1"}}}]"#;
        assert_eq!(read(docker).unwrap()[0].names, [""; 0]);
        assert!(read("{}").is_err() && read("[{}]").is_err());
        let stand_in =
            judge(images, &CleanFacts { name: "app", all: true, ..CleanFacts::default() });
        assert_eq!(stand_in[0].kept.as_deref(), Some("a stand-in, which all checkouts share"));
    }
}
