//! The checks of the image alone, on its archive: nothing is started.

use super::verdict::Verdict;
use engine::archive::Archive;
use engine::dockerfile::{self, Instruction};
use std::collections::BTreeMap;

mod config;
mod content;
mod labels;
mod lock;
mod markers;
mod rights;
mod secrets;
mod sizes;
#[cfg(test)]
mod tests;
mod tools;

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
    /// `os/arch`, where one was asked for.
    pub platform: Option<String>,
    /// Whether the static files have names with a hash.
    pub hashed_static: bool,
    /// Folders that the application writes, with `/` in front.
    pub writable: Vec<String>,
    /// Patterns of files that look like secrets and are meant to be in the image.
    pub allow_secrets: Vec<String>,
    /// Patterns of files below `app/` that the image makes itself, beside static files and bytecode.
    pub generated: Vec<String>,
    /// The text of `.dockerignore`.
    pub ignore: String,
    /// The Dockerfile, and the stage that is the image.
    pub dockerfile: (Vec<Instruction>, Option<String>),
    /// The files that the image was made of, or why they can't be told; `None`: nobody asked.
    pub built_from: Option<BuiltFrom>,
}

/// SHA-256 of the files of a build context by path, of links that of their targets; else why there is
/// nothing to compare with.
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

/// Folders that a project's application writes (requirement A11).
pub fn writable_folders(module: &str) -> Vec<String> {
    ["/app/logs".to_owned(), "/app/media".to_owned()]
        .into_iter()
        .chain(["log", "lib"].map(|kind| format!("/var/{kind}/{module}")))
        .collect()
}

/// A check of the image alone.
pub struct Check {
    /// What `--only` and the report call it.
    pub name: &'static str,
    /// The requirement that it proves.
    pub requirement: &'static str,
    /// Why that matters.
    pub reason: &'static str,
    /// The check.
    pub run: fn(&Archive, &Expected) -> Verdict,
}

const fn check(
    name: &'static str,
    requirement: &'static str,
    reason: &'static str,
    run: fn(&Archive, &Expected) -> Verdict,
) -> Check {
    Check { name, requirement, reason, run }
}

/// All of them but [`lock`], which needs what a container says about itself.
pub const CHECKS: [Check; 17] = [
    check(
        "labels",
        "A15",
        "Registries, scanners and people find out from labels what an image is.",
        labels::labels,
    ),
    check(
        "identity",
        "C2",
        "An image that names another commit sends whoever looks for a fault to the wrong code.",
        labels::identity,
    ),
    check(
        "user",
        "A5",
        "Root in a container is one fault away from root on the host, and Kubernetes can't check a name.",
        config::user,
    ),
    check(
        "structure",
        "A11",
        "Compose files and manifests count on the same command, port and folders in every version.",
        config::structure,
    ),
    check(
        "health-check",
        "A12",
        "Without one an engine calls a container healthy that answers nothing.",
        config::health_check,
    ),
    check(
        "platform",
        "C1",
        "An image for another platform starts with an error, or slowly in an emulator.",
        config::platform,
    ),
    check("size", "A3", "Every host fetches every byte, on every update.", sizes::size),
    check("layers", "A9", "Each layer is fetched, unpacked and mounted by itself.", sizes::layers),
    check(
        "wasted",
        "A9",
        "Bytes that a later layer hides are fetched and stored by every host, and seen by nobody.",
        sizes::wasted,
    ),
    check(
        "no-secrets",
        "A7",
        "Whoever can fetch an image can read all its layers, those hidden by others too.",
        secrets::no_secrets,
    ),
    check(
        "no-build-tools",
        "A4",
        "Tools that build and install are what an intruder needs next.",
        tools::no_build_tools,
    ),
    check(
        "no-setuid",
        "A5",
        "A file that gives its caller more rights undoes the non-root user.",
        rights::no_setuid,
    ),
    check(
        "read-only-code",
        "A5",
        "An application that can change its own code keeps what an intruder writes.",
        rights::read_only_code,
    ),
    check(
        "static-files",
        "B5",
        "A page without its style sheet is broken, and a read-only container can't collect it.",
        content::static_files,
    ),
    check(
        "bytecode",
        "A2",
        "Without it every start compiles everything again, which takes six times as long.",
        content::bytecode,
    ),
    check(
        "application-files",
        "C2",
        "Code that no commit has was reviewed by nobody, and can't be found again.",
        content::application_files,
    ),
    check(
        "no-development-files",
        "A14",
        "Tests, notes and history are of no use in production, and tell an intruder a lot.",
        content::no_development_files,
    ),
];

/// So many lines of evidence are shown.
const SHOWN: usize = 10;

/// Passed with `fact` where there is no `evidence`, and failed with the first lines of it else.
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
