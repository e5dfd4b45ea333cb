//! What a build will be, decided as plain data: no file, clock or environment is read here, so
//! every decision is tested as a value and `--dry-run` can't drift from the real run.

use crate::config::{Config, Variant};
use crate::network;
use crate::rendering::{ASSETS_IMAGE, DEBIAN_REFRESH};
use engine::build::{BASE_IMAGE, Base, BuildPlan, Cache, SecretMount, SecretSource};
use engine::dockerfile;
use engine::label::{self, OCI};
use engine::reference;
use engine::{Engine, EngineKind, capability};
pub use options::BuildOptions;
use process::failure::{Exit, failure_help};
use process::files::FileChange;
use process::state::State;
use source::snapshot;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub mod dev;
mod options;
pub mod push;
pub mod release;

/// The longest tag (distribution specification).
const LONGEST_TAG: usize = 128;

/// The world as far as a build depends on it, read at the top.
#[derive(Clone, Debug)]
pub struct BuildFacts<'a> {
    /// The engine that builds.
    pub engine: &'a Engine,
    /// `docker/image.toml`.
    pub config: &'a Config,
    /// The labels of git and of the configuration.
    pub labels: BTreeMap<String, String>,
    /// HEAD, 40 hexadecimal digits.
    pub revision: &'a str,
    /// The time of the image, in seconds since 1970.
    pub created: i64,
    /// Whether the image can differ from the commit.
    pub changed: bool,
    /// The text of the Dockerfile that is built.
    pub dockerfile: String,
    /// The base image.
    pub base: Base,
    /// The certificates that the build is to trust, if the machine has them.
    pub ca_bundle: Option<PathBuf>,
    /// The proxy variables that are set, by name.
    pub proxies: Vec<String>,
    /// The variable that names an index of Python packages, if one does.
    pub index_variable: Option<&'static str>,
    /// Whether [`network::MIRROR`] is set.
    pub mirror_variable: bool,
    /// The variable that names a registry of Node's packages, if one does.
    pub npm_variable: Option<&'static str>,
    /// The layer cache in a registry, if one can be used.
    pub layer_cache: Option<Cache>,
    /// What we keep in the checkout.
    pub state: &'a State,
    /// The folder that keeps cache mounts over all checkouts, and the user's id.
    pub cache: (PathBuf, u32),
}

/// Decides a build.
///
/// # Errors
/// [`Exit::Usage`] for a tag, label or secret that can't be, and for what the engine can't serve.
pub fn build(options: &BuildOptions, facts: &BuildFacts<'_>) -> anyhow::Result<BuildPlan> {
    let config = facts.config;
    options.check(&config.image.name)?;
    let (variant, settings) =
        if options.dev { ("dev", &config.dev) } else { ("prod", &config.prod) };
    if options.platform.as_ref().is_some_and(|platform| platform.contains(',')) {
        capability::require(facts.engine, capability::Capability::SeveralPlatforms)?;
    }
    if options.squash {
        capability::require(facts.engine, capability::Capability::SquashOwn)?;
    }
    let stage = options.target.clone().filter(|stage| settings.target.as_ref() != Some(stage));
    let state = facts.state;
    let target = options.target.clone().or_else(|| settings.target.clone());
    let end = end(&facts.dockerfile, target.as_deref(), &settings.dockerfile)?;
    let labels = labels(options, facts);
    let mut prepare = prepare(facts, state);
    let own = state.folder.join("Dockerfile");
    let labels_in_file = !capability::has(facts.engine, capability::Capability::LabelsAnyStage);
    let last = labels_in_file.then(|| label::instruction(&labels));
    let flat = dockerfile::flattened(&facts.dockerfile, target.as_deref());
    let whole = snapshot::beside(state, &settings.dockerfile).display().to_string();
    let change = match (flat.filter(|_| options.squash), last) {
        (Some(mut lines), last) => {
            lines.extend(last);
            Some(FileChange::Lines { lines, file: own.clone() })
        }
        (None, Some(last)) => {
            Some(FileChange::Ending { whole: whole.clone(), count: end, last, file: own.clone() })
        }
        (None, None) => None,
    };
    let file = match change {
        Some(step) => {
            prepare.push(step);
            own.display().to_string()
        }
        None => whole,
    };
    Ok(BuildPlan {
        variant,
        dockerfile: settings.dockerfile.clone(),
        text: facts.dockerfile.clone(),
        context: snapshot::tree(state),
        file,
        labels_in_file,
        target,
        base: facts.base.clone(),
        references: references(options, facts, variant, stage.as_deref())?,
        labels,
        build_args: build_args(options, &facts.base),
        passed: passed(facts),
        env: index_of_file(facts).into_iter().chain(mirror_of_file(options, facts)).collect(),
        secrets: secrets(options, facts, state),
        no_cache: options.no_cache,
        // Layers of the cache have the times of the build that made them.
        timestamp: (settings.reproducible
            && options.no_cache
            && capability::has(facts.engine, capability::Capability::FixedTime))
        .then_some(facts.created),
        squash: options.squash,
        layer_cache: facts.layer_cache.clone().filter(|_| !options.no_cache),
        platform: options.platform.clone(),
        size_budget: budget(options, settings, stage.as_deref()),
        exact_size: !facts.changed,
        prepare,
        iidfile: state.iidfile(),
        tmp: state.tmp(),
    })
}

/// The last line of the target's stage in the `text` of a Dockerfile, or else of the file.
///
/// # Errors
/// [`Exit::Usage`] if there is no such stage.
pub fn end(text: &str, target: Option<&str>, dockerfile: &str) -> anyhow::Result<usize> {
    let stages = dockerfile::stage_ends(text);
    let Some(target) = target else { return Ok(stages.last().map_or(0, |stage| stage.1)) };
    let stage = stages.iter().find(|(name, _)| name == target);
    stage.map(|stage| stage.1).ok_or_else(|| {
        let names: Vec<&str> = stages.iter().map(|(name, _)| name.as_str()).collect();
        let message = format!("building the stage {target}: {dockerfile} has none of that name");
        let help = match names.is_empty() {
            true => "begin each stage with a line `FROM IMAGE AS NAME`".to_owned(),
            false => format!("one of {}", names.join(", ")),
        };
        failure_help(Exit::Usage, message, help)
    })
}

/// The budget is that of the variant's own image, not of one of its stages.
fn budget(options: &BuildOptions, settings: &Variant, stage: Option<&str>) -> Option<u64> {
    settings.size_budget.filter(|_| stage.is_none() && options.platform.is_none())
}

/// `NAME:prod`, `NAME:dev` or `NAME:STAGE`, for the prod image also `NAME:sha-<12>` (with `-dirty`
/// if it can differ from the commit), then those of `--tag`; as the engine spells local names.
fn references(
    options: &BuildOptions,
    facts: &BuildFacts<'_>,
    variant: &str,
    stage: Option<&str>,
) -> anyhow::Result<Vec<String>> {
    let name = &facts.config.image.name;
    let mut tags = vec![stage.unwrap_or(variant).to_owned()];
    if !options.dev && stage.is_none() {
        let dirty = if facts.changed { "-dirty" } else { "" };
        let short: String = facts.revision.chars().take(12).collect();
        tags.push(format!("sha-{short}{dirty}"));
    }
    let mut references: Vec<String> =
        tags.iter().map(|tag| local(facts.engine.kind, name, tag)).collect();
    for tag in &options.tags {
        references.push(asked(facts.engine.kind, name, tag)?);
    }
    let mut unique = Vec::new();
    for reference in references {
        if !unique.contains(&reference) {
            unique.push(reference);
        }
    }
    Ok(unique)
}

/// The reference that `--tag` asks for: a tag of `name`, or a whole reference.
///
/// # Errors
/// [`Exit::Usage`] for what is neither, and for a reference without a tag or with a digest.
pub fn asked(kind: EngineKind, name: &str, tag: &str) -> anyhow::Result<String> {
    if reference::is_tag(tag) {
        return Ok(local(kind, name, tag));
    }
    let length = tag.chars().count();
    if length > LONGEST_TAG && !tag.contains(['/', ':', '@']) {
        let start: String = tag.chars().take(20).collect();
        let message =
            format!("tagging the image {start}…: a tag has at most {LONGEST_TAG} characters");
        return Err(failure_help(Exit::Usage, message, format!("shorten it, it has {length}")));
    }
    let parsed = reference::parse(tag)?;
    if parsed.digest.is_some() {
        let message = format!("tagging the image {tag}: a digest can't be chosen");
        return Err(failure_help(Exit::Usage, message, "leave out `@sha256:…`"));
    }
    if parsed.tag.is_none() {
        let message = format!("tagging the image {tag}: it names no tag");
        return Err(failure_help(Exit::Usage, message, format!("write {tag}:TAG")));
    }
    Ok(reference::stored(kind, tag))
}

/// A local image's name as the engine prints it: Podman puts `localhost/` before it.
pub fn local(kind: EngineKind, name: &str, tag: &str) -> String {
    reference::stored(kind, &format!("{name}:{tag}"))
}

fn labels(options: &BuildOptions, facts: &BuildFacts<'_>) -> BTreeMap<String, String> {
    let mut labels = facts.labels.clone();
    labels.insert(format!("{OCI}base.name"), facts.base.name().to_owned());
    if let Some(digest) = &facts.base.digest {
        labels.insert(format!("{OCI}base.digest"), digest.clone());
    }
    labels.extend(options.labels.iter().cloned());
    labels
}

fn build_args(options: &BuildOptions, base: &Base) -> BTreeMap<String, String> {
    let assets = base.assets.iter().map(|image| (ASSETS_IMAGE.to_owned(), image.reference.clone()));
    let base = [(BASE_IMAGE.to_owned(), base.reference.clone())];
    base.into_iter().chain(assets).chain(options.build_args.iter().cloned()).collect()
}

/// Proxies go by name: their values never appear in a command line. Both engines know these names
/// without an `ARG`, and keep them out of the image, its history and the cache. A remote Podman has
/// its own machine's environment.
fn passed(facts: &BuildFacts<'_>) -> Vec<String> {
    let unasked = capability::has(facts.engine, capability::Capability::ProxiesPassed);
    if unasked && facts.engine.place.is_none() { Vec::new() } else { facts.proxies.clone() }
}

/// The index that `docker/image.toml` names, if the environment names none.
fn index_of_file(facts: &BuildFacts<'_>) -> Option<(String, String)> {
    let url = facts.config.network.index_url.clone()?;
    facts.index_variable.is_none().then(|| (network::INDEX_OF_FILE.to_owned(), url))
}

/// The Debian mirror that `docker/image.toml` names, if a step needs one and the environment names
/// none.
fn mirror_of_file(options: &BuildOptions, facts: &BuildFacts<'_>) -> Option<(String, String)> {
    let url = facts.config.network.debian_mirror.clone()?;
    let asked = needs_debian(options, facts) && !facts.mirror_variable;
    asked.then(|| (network::MIRROR.to_owned(), url))
}

/// Whether a step installs Debian packages, or fetches Debian's fixes.
fn needs_debian(options: &BuildOptions, facts: &BuildFacts<'_>) -> bool {
    let app = &facts.config.app;
    let fixes =
        options.build_args.iter().any(|(name, day)| name == DEBIAN_REFRESH && !day.is_empty());
    fixes || !app.packages.is_empty() || !app.build_packages.is_empty()
}

fn secrets(options: &BuildOptions, facts: &BuildFacts<'_>, state: &State) -> Vec<SecretMount> {
    let mut secrets = Vec::new();
    let file = |id: &str, path: &Path| SecretMount {
        id: id.to_owned(),
        source: SecretSource::File(path.display().to_string()),
    };
    if facts.engine.kind == EngineKind::Podman {
        secrets.push(file("checkout", &state.marker()));
    }
    if !options.secrets.iter().any(|secret| secret.id == "ca")
        && let Some(bundle) = &facts.ca_bundle
    {
        secrets.push(file("ca", bundle));
    }
    // A secret and no argument: it can hold a password, and another index is no reason to build
    // a layer anew.
    let of_file = index_of_file(facts).map(|(name, _)| name);
    if !options.secrets.iter().any(|secret| secret.id == "index")
        && let Some(name) = facts.index_variable.map(str::to_owned).or(of_file)
    {
        secrets.push(SecretMount { id: "index".into(), source: SecretSource::Environment(name) });
    }
    let mirror = facts.mirror_variable || facts.config.network.debian_mirror.is_some();
    if mirror
        && needs_debian(options, facts)
        && !options.secrets.iter().any(|secret| secret.id == "debian")
    {
        let source = SecretSource::Environment(network::MIRROR.to_owned());
        secrets.push(SecretMount { id: "debian".into(), source });
    }
    if let Some(name) = facts.npm_variable.filter(|_| facts.base.assets.is_some()) {
        let source = SecretSource::Environment(name.to_owned());
        secrets.push(SecretMount { id: "npm".into(), source });
    }
    secrets.extend(options.secrets.iter().cloned());
    secrets
}

/// Podman keeps cache mounts in `TMPDIR/buildah-cache` (`buildah-cache-UID` since 1.31). With a
/// `TMPDIR` for each checkout, leftovers are known to be ours; the links keep one cache for all.
fn prepare(facts: &BuildFacts<'_>, state: &State) -> Vec<FileChange> {
    let (cache, uid) = &facts.cache;
    let tmp = state.tmp();
    let mut steps = vec![
        FileChange::Folders(vec![tmp.clone(), cache.clone()]),
        FileChange::Gone(state.iidfile()),
    ];
    if facts.engine.kind == EngineKind::Podman {
        steps.push(FileChange::Present(state.marker()));
        for link in ["buildah-cache".to_owned(), format!("buildah-cache-{uid}")] {
            steps.push(FileChange::Link { target: cache.clone(), place: tmp.join(link) });
        }
    }
    steps
}

#[cfg(test)]
mod tests;
