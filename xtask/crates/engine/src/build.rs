//! A build as an engine is asked for it: plain data that [`super::words`] spells.

use super::EngineKind;
use process::files::FileChange;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The build argument that names the base image.
pub const BASE_IMAGE: &str = "BASE_IMAGE";

/// One build, decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildPlan {
    /// `prod` or `dev`.
    pub variant: &'static str,
    /// Path of the Dockerfile below the top folder.
    pub dockerfile: String,
    /// What the Dockerfile says.
    pub text: String,
    /// The folder that the engine is given as its build context.
    pub context: PathBuf,
    /// The file that the engine is given: the Dockerfile, or its stages up to the target's and
    /// the labels as a last instruction; for a squash the target's stage has the instructions of
    /// those that it is made from.
    pub file: String,
    pub labels_in_file: bool,
    /// The stage to build; `None` is the last one.
    pub target: Option<String>,
    pub base: Base,
    /// The local references that the image gets once it is verified; the first is *the* one.
    pub references: Vec<String>,
    pub labels: BTreeMap<String, String>,
    pub build_args: BTreeMap<String, String>,
    /// Variables of our environment that are build arguments of the same name; their values are not
    /// known here.
    pub passed: Vec<String>,
    /// What the build's environment has in addition to ours.
    pub env: Vec<(String, String)>,
    /// Secrets for the steps that mount them.
    pub secrets: Vec<SecretMount>,
    pub no_cache: bool,
    /// The time of every file of the layers, in seconds since 1970.
    pub timestamp: Option<i64>,
    /// Make one layer above the base.
    pub squash: bool,
    /// The layer cache in a registry.
    pub layer_cache: Option<Cache>,
    pub platform: Option<String>,
    /// Upper limit of the uncompressed layer bytes.
    pub size_budget: Option<u64>,
    /// Whether the size must be exact even if that is expensive: not for the image of a changed
    /// checkout, which is a developer's and is never released.
    pub exact_size: bool,
    /// Folders and files that must be there first.
    pub prepare: Vec<FileChange>,
    pub iidfile: PathBuf,
    /// `TMPDIR` of the build.
    pub tmp: PathBuf,
}

/// The image that a build starts from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// What `BASE_IMAGE` will be.
    pub reference: String,
    /// Its image ID, if it was inspected.
    pub id: String,
    /// The registry's digest, if it is known.
    pub digest: Option<String>,
    /// The digests of its uncompressed layers, if it was inspected.
    pub layers: Vec<String>,
    /// Its own labels, which every image made from it inherits.
    pub labels: BTreeMap<String, String>,
    /// Built from Debian packages because no registry could be reached.
    pub standin: bool,
    /// How it was found, for the first lines of the output.
    pub why: String,
    /// The image of the stage that builds assets, if there is one.
    pub assets: Option<Box<Base>>,
}

impl Base {
    /// Its reference without the digest, which is another label.
    pub fn name(&self) -> &str {
        self.reference.split_once('@').map_or(&self.reference, |(name, _)| name)
    }
}

/// `--secret`: a value for the steps of the build that mount its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretMount {
    /// The id that a `RUN --mount=type=secret` names.
    pub id: String,
    /// The value itself is never read here.
    pub source: SecretSource,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// `src=FILE`
    File(String),
    /// `env=VARIABLE`
    Environment(String),
}

/// The tag under which an image keeps Docker's cache.
const TAG: &str = "cache";

/// A layer cache, as far as a build's command line depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cache {
    /// Registry and repository.
    pub repository: String,
    /// Whether layers are also written there.
    pub writes: bool,
    /// The registry is this machine's and speaks no TLS.
    pub plain: bool,
}

impl Cache {
    /// The image that carries the cache, which Docker's builder can only keep in an image unless
    /// its daemon stores images as containerd does.
    pub fn image(&self) -> String {
        format!("{}:{TAG}", self.repository)
    }

    /// The last line of a failed build, if it is about this cache.
    pub fn problem<'l>(&self, lines: &'l [String]) -> Option<&'l str> {
        let registry = self.repository.split('/').next().unwrap_or_default();
        let last = lines.iter().map(|line| line.trim()).rfind(|line| !line.is_empty())?;
        (last.contains("cache") && last.contains(registry)).then_some(last)
    }

    /// How `kind` keeps it, for the output.
    pub fn shown(&self, kind: EngineKind) -> String {
        let place = match kind {
            EngineKind::Podman => format!("one layer at a time in {}", self.repository),
            EngineKind::Docker => format!("the layers of the last image, by {}", self.image()),
        };
        if self.writes { place } else { format!("{place}; only read: no login that may push") }
    }
}

/// The last line of a build that failed because Docker's program and its builder lost each other,
/// which says nothing about the project: gRPC's `Unavailable`, or `Internal` for a message that was
/// cut off (Docker 20.10, a secret larger than one frame).
pub fn lost_connection(lines: &[String]) -> Option<&str> {
    let last = lines.iter().map(|line| line.trim()).rfind(|line| !line.is_empty())?;
    let (_, why) = last.split_once("rpc error: code = ")?;
    let lost = why.starts_with("Unavailable desc = ") || why == "Internal desc = unexpected EOF";
    lost.then_some(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_connection_is_told_from_a_failed_step() {
        let check = |line: &str, expected: bool| {
            let lines = ["#5 ERROR", line, ""].map(String::from);
            assert_eq!(lost_connection(&lines).is_some(), expected, "{line}");
        };
        check("rpc error: code = Internal desc = unexpected EOF", true);
        check("rpc error: code = Unavailable desc = transport is closing", true);
        let newer = "ERROR: failed to receive status: rpc error: code = Unavailable desc = error \
            reading from server: EOF";
        check(newer, true);
        check("failed to solve: rpc error: code = Unknown desc = executor failed running", false);
        check("Error: building at STEP \"RUN false\": exit status 1", false);
    }

    #[test]
    fn a_build_that_failed_over_its_cache_is_told_from_one_that_failed() {
        let cache = Cache { repository: "r.example:5000/team/cache".into(), ..Cache::default() };
        let check = |line: &str, expected: bool| {
            let lines = ["--> Pushing cache r.example:5000/team/cache:12", line, ""];
            assert_eq!(cache.problem(&lines.map(String::from)).is_some(), expected, "{line}");
        };
        let podman =
            "Error: failed pushing cache to {{{\"r.example:5000\" \"team/cache\"} \"12\"}}: 503";
        check(podman, true);
        check("Error: building at STEP \"RUN rm -rf /var/cache\": exit status 1", false);
        check("Error: r.example:5000 says no", false);
    }
}
