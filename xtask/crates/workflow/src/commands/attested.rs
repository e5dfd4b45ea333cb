//! What a registry says of an image that is there: its proof, and the history of an environment.

use super::signatures::Cosign;
use engine::reference::{self, Reference};
use image::attest::{self, Statement, TEST_RESULT, Tested};
use image::config::Workflow;
use image::plan::push::targets;
use image::promotion::{Move, of_history};
use process::failure::{Exit, failure, failure_help};
use registry::{Client, Manifest};

/// The repository that `image` is in, and its tag or digest there: a whole reference, or a tag in `asked`,
/// else in the first repository of docker/image.toml.
///
/// # Errors
/// [`Exit::Usage`] for what is neither, or a tag without a repository.
pub fn named(
    workflow: &Workflow,
    image: &str,
    asked: Option<&String>,
) -> anyhow::Result<(Reference, String)> {
    let config = &workflow.config;
    if reference::is_tag(image) || image.starts_with("sha256:") {
        let asked: Vec<String> = asked.into_iter().cloned().collect();
        let targets = targets(&asked, &config.push.registries, &config.image.name)?;
        return Ok((targets[0].clone(), image.to_owned()));
    }
    let whole = reference::parse(image)?;
    let name = whole.digest.clone().or_else(|| whole.tag.clone());
    let target = Reference { tag: None, digest: None, ..whole };
    Ok((target, name.unwrap_or_else(|| "latest".to_owned())))
}

/// The image that a tag or a digest names.
///
/// # Errors
/// [`Exit::RegistryRefused`] if there is none; those of [`Client::manifest`].
pub fn manifest(client: &Client, name: &str) -> anyhow::Result<Manifest> {
    client.manifest(name)?.ok_or_else(|| {
        failure_help(
            Exit::RegistryRefused,
            format!("looking for {name} in {}: it isn't there", client.target),
            "name a tag or a digest that it has; `cargo xtask release` pushes one",
        )
    })
}

/// The statements of this type about an image, the oldest first: if signers are named, those that one of
/// them signed. What the list of the registry gets wrong is left out.
pub fn statements(
    cosign: &Cosign<'_>,
    client: &Client,
    image: &Manifest,
    predicate_type: &str,
) -> anyhow::Result<Vec<Statement>> {
    if !cosign.workflow.config.verify.signers.is_empty() {
        return cosign.statements(client, image, predicate_type);
    }
    let mut found = Vec::new();
    let mut referrers = client.referrers(&image.digest)?;
    referrers.retain(|referrer| attest::is(referrer, predicate_type));
    referrers.sort_by(|a, b| attest::created(a).cmp(attest::created(b)));
    for referrer in referrers {
        let content = client.content(&referrer.digest)?.unwrap_or_default();
        found.extend(Statement::read(&content, predicate_type, &image.digest));
    }
    Ok(found)
}

/// The statement of this type that was attached last, if there is one.
pub fn newest(
    cosign: &Cosign<'_>,
    client: &Client,
    image: &Manifest,
    predicate_type: &str,
) -> anyhow::Result<Option<Statement>> {
    Ok(statements(cosign, client, image, predicate_type)?.pop())
}

/// How the newest smoke test of an image ended, if one was attached.
pub fn tested(
    cosign: &Cosign<'_>,
    client: &Client,
    image: &Manifest,
) -> anyhow::Result<Option<Tested>> {
    Ok(Tested::newest(&statements(cosign, client, image, TEST_RESULT)?))
}

/// Refuses an image without a passed smoke test.
///
/// # Errors
/// [`Exit::Check`].
pub fn passed(cosign: &Cosign<'_>, client: &Client, image: &Manifest) -> anyhow::Result<()> {
    let name = format!("{}@{}", client.target, image.digest);
    let signed = match cosign.workflow.config.verify.signers.is_empty() {
        true => "",
        false => " that a signer of [verify] signed",
    };
    match tested(cosign, client, image)? {
        Some(tested) if tested.passed => Ok(()),
        Some(tested) => Err(failure_help(
            Exit::Check,
            format!("promoting {name}: its smoke test failed: {}", tested.failed.join(", ")),
            "mend it, and release another version",
        )),
        None => Err(failure_help(
            Exit::Check,
            format!("promoting {name}: no smoke test{signed} is attached to it"),
            "`cargo xtask release` tests an image and attaches the result",
        )),
    }
}

/// The moves of an environment, the oldest first; without `whole` the last one alone.
///
/// # Errors
/// [`Exit::Mismatch`] for one that can't be read; those of [`Client::tags`].
pub fn moves(client: &Client, environment: &str, whole: bool) -> anyhow::Result<Vec<Move>> {
    let tags = client.tags()?;
    let tags = of_history(&tags, environment);
    let first = if whole { 0 } else { tags.len().saturating_sub(1) };
    let mut moves = Vec::new();
    for tag in &tags[first..] {
        let content = client.content(tag)?.unwrap_or_default();
        let one: Move = serde_json::from_slice(&content).map_err(|error| {
            failure(Exit::Mismatch, format!("reading {}:{tag}: {error}", client.target))
        })?;
        moves.push(one);
    }
    // Two machines can have made the same number.
    moves.sort_by(|a, b| (a.number, &a.at).cmp(&(b.number, &b.at)));
    Ok(moves)
}
