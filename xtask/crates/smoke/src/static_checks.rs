//! The checks of the image alone, on its archive: nothing is started.

use super::verdict::Verdict;
use engine::archive::Archive;
use engine::dockerfile::{self, Instruction};
use std::collections::BTreeMap;

pub(crate) mod config;
pub(crate) mod content;
pub(crate) mod labels;
mod lock;
mod markers;
mod requirements;
pub(crate) mod rights;
pub(crate) mod secrets;
pub(crate) mod sizes;
#[cfg(test)]
mod tests;
pub(crate) mod tools;

pub use lock::{LISTING, listing, lock};

/// What the project asks of its image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// What `label` prints for this checkout and this image, by full name.
    pub labels: BTreeMap<String, String>,
    /// Most uncompressed bytes of all layers.
    pub size_budget: Option<u64>,
    /// Most layers, the base's included.
    pub max_layers: Option<usize>,
    /// `os/arch`, if one was asked for.
    pub platform: Option<String>,
    /// What the path of each file of the application begins with in the build context.
    pub prefix: String,
    /// The folder of the image's own files in the build context.
    pub runtime: String,
    /// Where the static files are, below `/app`.
    pub static_root: String,
    pub hashed_static: bool,
    /// Folders that the application writes, with `/` in front.
    pub writable: Vec<String>,
    /// Patterns of files that look like secrets and are meant to be in the image.
    pub allow_secrets: Vec<String>,
    /// Patterns of files below `app/` that the image makes itself, in addition to static files and
    /// bytecode.
    pub generated: Vec<String>,
    /// The text of `.dockerignore`.
    pub ignore: String,
    /// The Dockerfile, and the stage that is the image.
    pub dockerfile: (Vec<Instruction>, Option<String>),
    /// The files that the image was made of, or why they can't be told; `None`: not asked for.
    pub built_from: Option<BuiltFrom>,
}

/// SHA-256 of the files of a build context by path, of links that of their targets; else why there
/// is nothing to compare with.
pub type BuiltFrom = Result<BTreeMap<String, String>, String>;

impl Expected {
    /// What follows each `keyword` in the Dockerfile, as far as it concerns the image.
    fn instructions(&self, keyword: &str) -> impl Iterator<Item = &str> {
        let (all, target) = &self.dockerfile;
        let found = dockerfile::of_stage(all, target.as_deref(), keyword);
        found.into_iter().map(|one| one.text.as_str())
    }

    /// What follows the last of them, which wins.
    fn instruction(&self, keyword: &str) -> Option<&str> {
        self.instructions(keyword).last()
    }
}

/// Folders that a project's application writes.
pub fn writable_folders(module: &str) -> Vec<String> {
    ["/app/logs".to_owned(), "/app/media".to_owned()]
        .into_iter()
        .chain(["log", "lib"].map(|kind| format!("/var/{kind}/{module}")))
        .collect()
}

/// As the package index spells a name: small letters, and `-` for every run of `-`, `_` and `.`.
fn normalized(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-").to_lowercase()
}

/// So many lines of evidence are shown.
const SHOWN: usize = 10;

/// Passed with `fact` if there is no `evidence`, else failed with the first lines of it.
fn verdict(mut evidence: Vec<String>, fact: impl Into<String>) -> Verdict {
    let more = evidence.len().saturating_sub(SHOWN);
    evidence.truncate(SHOWN);
    if more > 0 {
        evidence.push(format!("and {more} more"));
    }
    Verdict::from_evidence(evidence, fact)
}

/// `/PATH (layer N)`, as evidence names a file; layers are counted from 1, base first.
fn place(path: &str, layer: usize) -> String {
    format!("/{path} (layer {})", layer + 1)
}

/// The layers that our Dockerfile made, with their indices.
fn ours(archive: &Archive) -> impl Iterator<Item = (usize, &engine::archive::Layer)> {
    archive.layers.iter().enumerate().filter(|(_, layer)| layer.ours)
}
