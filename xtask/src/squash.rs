//! One layer of all layers of an image: what is asked of the engine, decided as plain data, and
//! whether the image that it makes is still the same.

mod config;
mod tree;

use crate::engine::inspect::Image;
use crate::engine::{Engine, Kind};
use crate::failure::{Exit, failure_help};
use crate::reference;
use crate::smoke::picture::Picture;
use crate::state::State;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where the intermediate names of a squash stand, until it has ended.
pub const REPOSITORY: &str = "xtask/squash";

/// One squash, decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Squash {
    /// The image ID of what is squashed.
    pub image: String,
    /// The local references that the result gets once it is verified.
    pub references: Vec<String>,
    /// What tells the intermediate names of this run from those of others.
    pub run: u32,
    /// Its working folder, where that is another one than `/`.
    pub workdir: Option<String>,
    /// Its labels, without those that only a line of a Dockerfile can set.
    pub labels: BTreeMap<String, String>,
    /// The rest of its config as lines of a Dockerfile; only where the engine needs them.
    pub lines: Vec<String>,
    /// Where files for the engine are written.
    pub folder: PathBuf,
    /// Where the engine writes the image ID.
    pub iidfile: PathBuf,
    /// `TMPDIR` of the engine.
    pub tmp: PathBuf,
    /// The file that marks what Podman leaves behind as this checkout's.
    pub marker: PathBuf,
}

impl Squash {
    /// The name of an intermediate image.
    pub fn name(&self, what: &str) -> String {
        format!("{REPOSITORY}:{}-{what}", self.run)
    }

    /// The name of the container that is between two of them.
    pub fn container(&self) -> String {
        format!("xtask-{}-squash", self.run)
    }
}

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
) -> anyhow::Result<Squash> {
    let config = &inspected["Config"];
    let workdir = config["WorkingDir"].as_str().filter(|path| !path.is_empty() && *path != "/");
    let mut lines = match engine.kind {
        Kind::Podman => Vec::new(),
        Kind::Docker => config::lines(config)?,
    };
    // Docker's command line takes no blank in a label's name, a Dockerfile no line break in its
    // value.
    let (odd, labels): (BTreeMap<_, _>, BTreeMap<_, _>) =
        image.labels.clone().into_iter().partition(|(name, _)| name.contains(char::is_whitespace));
    if engine.kind == Kind::Docker {
        lines.extend(odd.iter().map(|(name, value)| config::label(name, value)));
    }
    let folder = state.folder.join("squash");
    Ok(Squash {
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
pub fn default_reference(kind: Kind, image: &str) -> anyhow::Result<String> {
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
    let short = kind == Kind::Podman && reference::is_short(&name);
    Ok(if short { format!("localhost/{name}") } else { name })
}

/// What the two images have in common, and what not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// What differs: config, labels, health check, files. Empty when nothing does.
    pub differing: Vec<String>,
    /// How many files were compared.
    pub files: usize,
}

/// Compares what is squashed with what came out.
pub fn compare(before: &Picture, after: &Picture) -> Compared {
    let (files, count) = tree::differing(before, after);
    let mut differing = config::differing(&before.config, &after.config);
    if after.layers.len() != 1 {
        differing.push(format!("layers: {} and not one", after.layers.len()));
    }
    differing.extend(files);
    Compared { differing, files: count }
}

#[cfg(test)]
mod tests;
