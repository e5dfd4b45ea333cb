//! What the command line asks of a build, and what of it can't be.

use super::asked;
use crate::config::names;
use crate::labels::{FROM_GIT, MERGE};
use crate::rendering::ASSETS_IMAGE;
use engine::EngineKind;
use engine::build::{BASE_IMAGE, SecretMount, SecretSource};
use engine::label::OCI;
use process::failure::{self, Exit, failure, failure_help};

/// What the command line asks of a build.
#[derive(Clone, Debug, Default)]
pub struct BuildOptions {
    /// `--dev` instead of `--prod`.
    pub dev: bool,
    pub target: Option<String>,
    pub tags: Vec<String>,
    pub build_args: Vec<(String, String)>,
    pub secrets: Vec<SecretMount>,
    pub labels: Vec<(String, String)>,
    pub no_cache: bool,
    pub squash: bool,
    pub platform: Option<String>,
}

impl BuildOptions {
    /// Says whether all of it can be, for an image called `name`.
    ///
    /// # Errors
    /// [`Exit::Usage`] with everything that can't.
    pub fn check(&self, name: &str) -> anyhow::Result<()> {
        let wrong = |option: &str, what: Option<String>| {
            what.map(|what| failure(Exit::Usage, format!("reading {option}: {what}")))
        };
        let tags = self.tags.iter().filter_map(|tag| asked(EngineKind::Podman, name, tag).err());
        let arguments = self.build_args.iter();
        let arguments = arguments.filter_map(|(name, _)| {
            base(name).or_else(|| wrong("--build-arg", names::variable(name)))
        });
        let labels = self
            .labels
            .iter()
            .filter_map(|(name, _)| of_git(name).or_else(|| wrong("--label", names::label(name))));
        let platform = wrong("--platform", self.platform.as_deref().and_then(names::platform));
        let secrets = self.secrets.iter().enumerate().filter_map(|(index, secret)| {
            let before = self.secrets[..index].iter().any(|other| other.id == secret.id);
            wrong("--secret", secret_mistake(secret, before))
        });
        let all = tags.chain(arguments).chain(labels).chain(platform).chain(secrets);
        failure::all("reading the command line", all.collect())
    }
}

/// The mistake in a build argument that names a base: the label would name another one.
fn base(name: &str) -> Option<anyhow::Error> {
    let instead = match name {
        BASE_IMAGE => "use --base instead, which the labels follow",
        ASSETS_IMAGE => "set base below [assets] in docker/image.toml instead",
        _ => return None,
    };
    let message = format!("passing the build argument {name}: the build sets it itself");
    Some(failure_help(Exit::Usage, message, instead))
}

/// The mistake in a label that `--label` can't set.
fn of_git(name: &str) -> Option<anyhow::Error> {
    let known = name.strip_prefix(OCI).is_some_and(|short| FROM_GIT.contains(&short));
    (name == MERGE || known).then(|| {
        failure_help(
            Exit::Usage,
            format!("adding the label {name}: it comes from git and the build"),
            "commit, tag or set --base instead; `cargo xtask label` shows what it will be",
        )
    })
}

fn secret_mistake(secret: &SecretMount, before: bool) -> Option<String> {
    let id = &secret.id;
    if before || id == "checkout" {
        return Some(format!("the id `{id}` is there twice or is ours"));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !id.chars().all(plain) {
        return Some(format!("`{id}` can't be an id: letters, digits, `.`, `_` and `-`"));
    }
    match &secret.source {
        SecretSource::Environment(name) => names::variable(name),
        SecretSource::File(_) => None,
    }
}
