//! What was made, for people and for programs.

use serde::Serialize;
use source::git::Change;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

pub mod push;
pub mod release;

/// A finished build. The fields are the keys of `--format json` and `--metadata-file`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BuildReport {
    /// The image's first local name, as the engine spells it.
    pub reference: String,
    /// All local names that it was given.
    pub references: Vec<String>,
    /// The engine's image ID.
    pub image_id: String,
    /// Digest of the config; the image ID, but for Docker's containerd store.
    pub config_digest: Option<String>,
    /// `org.opencontainers.image.version`.
    pub version: String,
    /// `org.opencontainers.image.revision`.
    pub revision: String,
    /// `org.opencontainers.image.created`.
    pub created: String,
    /// Tracked files that differ from HEAD.
    pub dirty: Vec<Change>,
    /// Files of the build context that differ from HEAD or aren't in it.
    pub context_changes: Vec<Change>,
    /// Sum of the uncompressed layer bytes, the same on every engine and store.
    pub size_bytes: u64,
    /// Whether `size_bytes` is exact. If a small new layer of a changed checkout would take seconds
    /// to measure, it is counted by the sizes of its files: under 5 % of the image, and not near
    /// the budget. Images of an unchanged checkout, the only ones to release, are exact.
    pub size_exact: bool,
    /// Sum of the compressed layer bytes; `None` until something was pushed or saved.
    pub compressed_bytes: Option<u64>,
    /// Upper limit of `size_bytes`.
    pub size_budget: Option<u64>,
    /// Number of layers.
    pub layers: usize,
    pub labels: BTreeMap<String, String>,
    /// `podman` or `docker`.
    pub engine: String,
    pub engine_version: String,
    /// Reference of the base image.
    pub base: String,
    /// The registry's digest of the base image.
    pub base_digest: Option<String>,
    /// Whether the base is a stand-in.
    pub standin: bool,
    /// Whether the engine built; `false`: nothing had changed since the build that made this image.
    pub built: bool,
    /// Steps that came from the layer cache.
    pub cached_steps: usize,
    /// Seconds from start to end.
    pub seconds: f64,
    /// The whole log of the engine; if it didn't build, that of the build that made this image.
    pub log: PathBuf,
}

impl BuildReport {
    /// What the steps of a pipeline that follow are given; `image_tags` are the names in a
    /// registry.
    pub fn outputs(&self, image_tags: &[String]) -> Vec<(&'static str, String)> {
        vec![
            ("reference", self.reference.clone()),
            ("image_id", self.image_id.clone()),
            ("version", self.version.clone()),
            ("revision", self.revision.clone()),
            ("created", self.created.clone()),
            ("image_tags", image_tags.join("\n")),
        ]
    }

    /// For the page of a pipeline.
    pub fn markdown(&self) -> String {
        let mut page = format!("### `{}`\n\n| | |\n|---|---|\n", self.reference);
        for (name, value) in self.rows() {
            page += &format!("| {name} | {} |\n", value.replace('|', "\\|"));
        }
        if self.standin {
            page += &format!("\n{STANDIN}\n");
        }
        page + "\n"
    }

    fn rows(&self) -> Rows {
        let also = self.references.iter().skip(1).map(|reference| ("also", reference.clone()));
        let digest = self.base_digest.as_deref().map(|digest| format!("@{digest}"));
        let budget =
            self.size_budget.map_or(String::new(), |limit| format!(" of {}", megabytes(limit)));
        let layers = if self.layers == 1 { "layer" } else { "layers" };
        let about = if self.size_exact { "" } else { "about " };
        let size = megabytes(self.size_bytes);
        let how = match self.built {
            true => format!("{} steps from the cache", self.cached_steps),
            false => "nothing to build".to_owned(),
        };
        let mut rows: Rows = also.collect();
        rows.extend([
            ("image ID", self.image_id.clone()),
            ("version", self.version.clone()),
            ("revision", self.revision.clone()),
            ("created", self.created.clone()),
            ("base", format!("{}{}", self.base, digest.unwrap_or_default())),
            ("size", format!("{about}{size}{budget}, {} {layers}", self.layers)),
            ("labels", format!("{}, verified", self.labels.len())),
            ("time", format!("{:.1} s, {how}", self.seconds)),
            ("engine", format!("{} {}", self.engine, self.engine_version)),
        ]);
        rows.extend(changes(&self.dirty, &self.context_changes));
        rows
    }
}

/// Names and values, a line each.
type Rows = Vec<(&'static str, String)>;

fn write_rows(f: &mut fmt::Formatter<'_>, rows: &Rows) -> fmt::Result {
    rows.iter().try_for_each(|(name, value)| writeln!(f, "  {name:<10}{value}"))
}

impl fmt::Display for BuildReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.reference)?;
        write_rows(f, &self.rows())?;
        if self.standin { writeln!(f, "{STANDIN}") } else { Ok(()) }
    }
}

/// A squashed image. The fields are the keys of `--format json` and `--metadata-file`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SquashReport {
    /// Its first local name.
    pub reference: String,
    /// All local names that it was given.
    pub references: Vec<String>,
    pub image_id: String,
    /// What was squashed, as it was named.
    pub source: String,
    /// The image ID of that, which stays.
    pub source_image_id: String,
    /// Number of layers of what was squashed.
    pub layers_before: usize,
    /// Number of layers now.
    pub layers_after: usize,
    /// Sum of the uncompressed layer bytes of what was squashed.
    pub bytes_before: u64,
    /// Sum of the uncompressed layer bytes now.
    pub bytes_after: u64,
    /// The bytes of the layers above the base; `None` when the base isn't here.
    pub bytes_above_base: Option<u64>,
    /// How many files were compared.
    pub files: usize,
    /// `podman` or `docker`.
    pub engine: String,
    pub engine_version: String,
    /// Seconds from start to end.
    pub seconds: f64,
    /// The whole log of the engine.
    pub log: PathBuf,
}

impl fmt::Display for SquashReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let also = self.references.iter().skip(1).map(|reference| ("also", reference.clone()));
        let (before, after) = (megabytes(self.bytes_before), megabytes(self.bytes_after));
        let shared = match self.bytes_above_base {
            Some(bytes) => format!("{} before, {after} now", megabytes(bytes)),
            None => "not known, its base isn't here".to_owned(),
        };
        let mut rows: Rows = also.collect();
        rows.extend([
            ("image ID", self.image_id.clone()),
            ("from", format!("{} ({}), which stays", self.source, self.source_image_id)),
            ("layers", format!("{} before, {} now", self.layers_before, self.layers_after)),
            ("size", format!("{before} before, {after} now, uncompressed")),
            ("a pull", format!("by who has nothing of it: {before} before, {after} now")),
            ("", format!("by who has its base: {shared}; no layer is shared any more")),
            (
                "checked",
                format!("{} files, config, labels and health check are the same", self.files),
            ),
            ("time", format!("{:.1} s", self.seconds)),
            ("engine", format!("{} {}", self.engine, self.engine_version)),
        ]);
        writeln!(f, "{}", self.reference)?;
        write_rows(f, &rows)
    }
}

/// The first and the last line of a build on a stand-in.
pub const STANDIN: &str = "The base is a stand-in made from Debian packages, because no registry \
                           could be reached: fine for development, not for a release.";

/// How many changed files are named before the rest is only counted.
const NAMED: usize = 10;

/// The files that make the checkout differ from the commit, in the image or not.
fn changes(dirty: &[Change], context: &[Change]) -> Rows {
    let inside = context.iter().map(|change| ("in the image", change));
    let outside = dirty.iter().filter(|change| !context.iter().any(|c| c.path == change.path));
    let all: Vec<_> = inside.chain(outside.map(|change| ("not in the image", change))).collect();
    if all.is_empty() {
        return vec![("changes", "none: every file of the image is the commit's".to_owned())];
    }
    let shown = all.iter().take(NAMED).enumerate().map(|(index, (place, change))| {
        let name = if index == 0 { "changes" } else { "" };
        (name, format!("{} {} ({place})", change.kind, change.path))
    });
    let more = all.len().saturating_sub(NAMED);
    let rest =
        (more > 0).then(|| ("", format!("and {more} more: `cargo xtask label --format json`")));
    shown.chain(rest).collect()
}

/// A result as `KEY=VALUE` lines: the way to a value through the JSON, in capitals, with `_` between
/// and for what a variable's name can't have; lists count from 0. Line feeds in a value become
/// blanks, because no reader of such files agrees with another on quotes.
pub fn variables(json: &serde_json::Value) -> String {
    let mut lines = String::new();
    variable(&mut lines, "", json);
    lines
}

fn variable(lines: &mut String, name: &str, value: &serde_json::Value) {
    use serde_json::Value;
    let below = |key: &str| {
        let legal = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        let key: String = key.chars().map(legal).collect();
        if name.is_empty() { key } else { format!("{name}_{key}") }
    };
    match value {
        Value::Object(all) => {
            all.iter().for_each(|(key, value)| variable(lines, &below(key), value))
        }
        Value::Array(all) => {
            for (index, value) in all.iter().enumerate() {
                variable(lines, &below(&index.to_string()), value);
            }
        }
        Value::Null => *lines += &format!("{name}=\n"),
        Value::String(text) => *lines += &format!("{name}={}\n", text.replace(['\n', '\r'], " ")),
        other => *lines += &format!("{name}={other}\n"),
    }
}

/// Bytes as megabytes (10^6), one digit after the point.
pub fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
}
