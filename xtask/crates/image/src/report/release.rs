//! The record of a release: every input, every output, every check and the time of every step.

use crate::report::megabytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// A release, as far as it has come. The fields are the keys of the record in
/// `target/xtask/releases/`, of `--format json` and of `--metadata-file`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReleaseRecord {
    /// The version; for a snapshot that of `git describe`.
    pub version: String,
    /// The git tag that says so.
    pub git_tag: Option<String>,
    /// Whether this is no release but a snapshot.
    pub snapshot: bool,
    /// When it was begun, RFC 3339 UTC.
    pub begun: String,
    /// `org.opencontainers.image.revision`.
    pub revision: String,
    /// Tracked files that differ from HEAD.
    pub dirty: Vec<String>,
    /// Files of the build context that differ from HEAD or aren't in it.
    pub context_changes: Vec<String>,
    /// What the CI system says.
    pub ci: Value,
    /// Options of the command line that say what is made; of secrets only the ids.
    pub arguments: Vec<String>,
    /// Build arguments.
    pub build_args: BTreeMap<String, String>,
    /// `podman` or `docker`.
    pub engine: String,
    pub engine_version: String,
    /// The platform of the image.
    pub platform: String,
    /// Reference of the base image.
    pub base: String,
    /// The registry's digest of the base image.
    pub base_digest: Option<String>,
    /// Whether the base is a stand-in.
    pub standin: bool,
    /// SHA-256 of `app/uv.lock`.
    pub lock_sha256: String,
    /// The key of the step that brought Debian's fixes; `None` when it didn't run.
    pub debian_refresh: Option<String>,
    /// The image: what is tested and pushed.
    pub image_id: String,
    /// The image that it was squashed from.
    pub squashed_from: Option<String>,
    pub config_digest: Option<String>,
    /// Sum of the uncompressed layer bytes.
    pub size_bytes: u64,
    /// Number of layers.
    pub layers: usize,
    pub labels: BTreeMap<String, String>,
    /// Whether every check of the smoke test passed.
    pub tested: bool,
    /// When its smoke test ended, RFC 3339 UTC; empty before.
    #[serde(default)]
    pub tested_at: String,
    /// The checks that `[smoke.skip]` of `docker/image.toml` skips, with its reasons.
    #[serde(default)]
    pub skipped: BTreeMap<String, String>,
    /// The checks, as `smoke-test --format json` has them.
    pub checks: Value,
    /// The names in a registry, why, and in which order.
    pub tags: Value,
    /// The names that it doesn't get, and why not.
    pub left_out: Value,
    /// Whether every registry has it under every name.
    pub pushed: bool,
    /// Whether every registry also has the proof: how it was made and tested.
    #[serde(default)]
    pub attested: bool,
    /// Whether cosign has signed it and its proof in every registry.
    #[serde(default)]
    pub signed: bool,
    /// What every registry has, as `push --format json` has it.
    pub registries: Value,
    /// Every step that was done, in order, over all runs.
    pub steps: Vec<ReleaseStep>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReleaseStep {
    /// `build`, `squash`, `smoke-test` or `push`.
    pub name: String,
    /// How long it took.
    pub seconds: f64,
}

impl ReleaseRecord {
    /// A reference under which a registry has it, if any has.
    pub fn pulled_from(&self) -> Option<String> {
        let all = self.registries.as_array()?;
        all.iter().find_map(|one| {
            let (repository, digest) = (one["repository"].as_str()?, one["digest"].as_str()?);
            Some(format!("{repository}@{digest}"))
        })
    }

    /// What the steps of a pipeline that follow are given.
    pub fn outputs(&self) -> Vec<(&'static str, String)> {
        let all = self.registries.as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let lines = |all: Vec<String>| all.join("\n");
        let tags = |one: &Value| one["tags"].as_array().cloned().unwrap_or_default();
        let names = self.tags.as_array().cloned().unwrap_or_default();
        vec![
            ("version", self.version.clone()),
            ("revision", self.revision.clone()),
            ("image_id", self.image_id.clone()),
            ("digest", all.first().map(|one| text(&one["digest"])).unwrap_or_default()),
            ("image_tags", lines(names.iter().map(|tag| text(&tag["name"])).collect())),
            (
                "references",
                lines(all.iter().flat_map(tags).map(|tag| text(&tag["reference"])).collect()),
            ),
        ]
    }

    /// For the page of a pipeline.
    pub fn markdown(&self, text: &str) -> String {
        format!("### {}\n\n```text\n{text}```\n", self.version)
    }
}

impl fmt::Display for ReleaseRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.snapshot { "snapshot" } else { "release" };
        writeln!(f, "{what} {}", self.version)?;
        let mut row = |name: &str, value: &str| writeln!(f, "  {name:<10}{value}");
        row("revision", &self.revision)?;
        row("image ID", &self.image_id)?;
        if let Some(from) = &self.squashed_from {
            row("squashed", &format!("from {from}"))?;
        }
        let digest = self.base_digest.as_deref().map(|digest| format!("@{digest}"));
        row("base", &format!("{}{}", self.base, digest.unwrap_or_default()))?;
        let refresh = self.debian_refresh.as_deref().unwrap_or("no");
        row("refreshed", refresh)?;
        row("size", &format!("{}, {} layers", megabytes(self.size_bytes), self.layers))?;
        row("engine", &format!("{} {}", self.engine, self.engine_version))?;
        let checks = self.checks.as_array().into_iter().flatten();
        let passed = checks.filter(|check| check["outcome"] == "ok").count();
        row("tested", &format!("{passed} checks passed"))?;
        if self.pushed {
            row(
                "signed",
                if self.signed { "by cosign" } else { "no: [sign] in docker/image.toml" },
            )?;
        }
        for (name, reason) in &self.skipped {
            row("skipped", &format!("{name}: {reason}"))?;
        }
        let times = self.steps.iter().map(|step| format!("{} {:.1} s", step.name, step.seconds));
        row("time", &times.collect::<Vec<_>>().join(", "))
    }
}
