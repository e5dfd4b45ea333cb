//! One layer of all layers of an image: what is asked of the engine, decided as plain data, and
//! whether the image that it makes is still the same.

mod config;
mod tree;

use engine::archive::Archive;
use engine::inspect::Image;
use engine::one_layer::SquashPlan;
use engine::reference;
use engine::{Engine, EngineKind};
use process::failure::{Exit, failure_help};
use process::state::State;
use serde_json::Value;
use std::collections::BTreeMap;

/// Decides a squash of `image`, of which the engine says `inspected`.
///
/// # Errors
/// [`Exit::Usage`] for a config that the engine can't restore.
pub fn plan(
    engine: &Engine,
    image: &Image,
    inspected: &Value,
    references: Vec<String>,
    state: &State,
    run: u32,
) -> anyhow::Result<SquashPlan> {
    let config = &inspected["Config"];
    let workdir = config["WorkingDir"].as_str().filter(|path| !path.is_empty() && *path != "/");
    let mut lines = match engine.kind {
        EngineKind::Podman => Vec::new(),
        EngineKind::Docker => config::lines(config)?,
    };
    // Docker's command line takes no blank in a label's name, a Dockerfile no line break in its
    // value.
    let (odd, labels): (BTreeMap<_, _>, BTreeMap<_, _>) =
        image.labels.clone().into_iter().partition(|(name, _)| name.contains(char::is_whitespace));
    if engine.kind == EngineKind::Docker {
        lines.extend(odd.iter().map(|(name, value)| config::label(name, value)));
    }
    let folder = state.folder.join("squash");
    Ok(SquashPlan {
        image: image.id.clone(),
        references,
        run,
        workdir: workdir.map(str::to_owned),
        labels,
        lines,
        iidfile: folder.join("image-id"),
        folder,
        tmp: state.tmp(),
        marker: state.marker(),
    })
}

/// The name of the squashed image of `image`: `NAME:TAG-squashed`.
///
/// # Errors
/// [`Exit::Usage`] for an image that is given without a tag.
pub fn default_reference(kind: EngineKind, image: &str) -> anyhow::Result<String> {
    let start = image.rfind('/').map_or(0, |slash| slash + 1);
    let tagged =
        image[start..].contains(':') && !image.contains('@') && !image.starts_with("sha256:");
    if !tagged || reference::parse(image).is_err() {
        return Err(failure_help(
            Exit::Usage,
            format!("naming the squashed image of {image}: it is given without a tag"),
            "name the result with --tag TAG",
        ));
    }
    let name = format!("{image}-squashed");
    reference::parse(&name)?;
    Ok(reference::stored(kind, &name))
}

/// What the two images have in common, and what not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// What differs: config, labels, health check, files. Empty when nothing does.
    pub differing: Vec<String>,
    /// How many files were compared.
    pub files: usize,
}

/// Compares two images as a container sees them: their layers may be others.
pub fn compare(before: &Archive, after: &Archive) -> Compared {
    let (files, count) = tree::differing(before, after);
    let mut differing = config::differing(&before.config, &after.config);
    differing.extend(files);
    Compared { differing, files: count }
}

#[cfg(test)]
mod tests;
