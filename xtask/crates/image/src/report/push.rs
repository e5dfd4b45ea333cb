//! What was pushed where: the digest of every name in every registry.

use crate::tags::TagKind;
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;

/// A push. The fields are the keys of `--format json` and `--metadata-file`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PushReport {
    /// The engine's image ID.
    pub image_id: String,
    pub config_digest: Option<String>,
    /// `org.opencontainers.image.version`.
    pub version: String,
    /// `org.opencontainers.image.revision`.
    pub revision: String,
    /// Sum of the uncompressed layer bytes.
    pub size_bytes: u64,
    /// `podman` or `docker`.
    pub engine: String,
    pub engine_version: String,
    /// Every repository.
    pub registries: Vec<PushedRepository>,
    /// Seconds from start to end.
    pub seconds: f64,
    /// The whole log of the engine.
    pub log: PathBuf,
}

/// One repository of one registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PushedRepository {
    /// Registry and repository.
    pub repository: String,
    /// The digest of the image's manifest in this repository, if it is there.
    pub digest: Option<String>,
    /// Sum of the compressed layer bytes.
    pub compressed_bytes: Option<u64>,
    /// Every tag, in the order in which they are written.
    pub tags: Vec<TagReport>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TagReport {
    /// Registry, repository and tag.
    pub reference: String,
    pub tag: String,
    /// Whether it moves.
    pub kind: TagKind,
    /// The rule that gives it.
    pub rule: String,
    /// What was done.
    pub done: Done,
    /// The digest that it named before, if that was another.
    pub from: Option<String>,
    /// The digest that it names now, or will, if that is known.
    pub digest: Option<String>,
    pub why: String,
}

/// What was done with a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Done {
    /// The engine pushed the image under this name.
    Pushed,
    /// The manifest that was there got this name.
    Named,
    /// It named this image already.
    There,
    /// It names an image that keeps it, and was left alone.
    Kept,
    /// It was written, and given to a newer release that came meanwhile.
    Given,
    /// It couldn't be written.
    Failed,
    /// It is still to be written.
    Left,
    /// It would be written.
    Planned,
    /// It must not be written: it permanently names another image.
    Taken,
}

impl Done {
    fn word(self) -> &'static str {
        match self {
            Done::Pushed => "pushed",
            Done::Named => "named",
            Done::There => "there",
            Done::Kept => "kept",
            Done::Given => "given",
            Done::Failed => "failed",
            Done::Left => "left",
            Done::Planned => "to do",
            Done::Taken => "taken",
        }
    }
}

impl TagReport {
    /// For a line of progress.
    pub fn line(&self) -> String {
        format!("{}: {} ({})", self.reference, self.done.word(), self.why)
    }
}

impl fmt::Display for PushReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for repository in &self.registries {
            let digest = repository.digest.as_ref().map(|digest| format!("@{digest}"));
            writeln!(f, "{}{}", repository.repository, digest.unwrap_or_default())?;
            let width = repository.tags.iter().map(|tag| tag.tag.len()).max().unwrap_or(0);
            for tag in &repository.tags {
                write!(f, "  {:<width$}  {:<6}  ", tag.tag, tag.done.word())?;
                match (&tag.from, &tag.digest) {
                    (Some(from), Some(to)) if from != to => write!(f, "{from} -> {to}, ")?,
                    (Some(from), None) => write!(f, "{from} -> this image, ")?,
                    _ => {}
                }
                writeln!(f, "{}", tag.why)?;
            }
        }
        writeln!(f, "  image ID  {}", self.image_id)?;
        writeln!(f, "  time      {:.1} s", self.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn every_name_says_what_became_of_it() {
        let tag =
            |name: &str, done, from: Option<&str>, digest: Option<&str>, why: &str| TagReport {
                reference: format!("r.example/app:{name}"),
                tag: name.to_owned(),
                kind: TagKind::Moving,
                rule: "--tag".to_owned(),
                done,
                from: from.map(str::to_owned),
                digest: digest.map(str::to_owned),
                why: why.to_owned(),
            };
        let ours = Some("sha256:b");
        let tags = vec![
            tag("1.2.3", Done::Pushed, None, ours, "new"),
            tag("1.2", Done::Named, Some("sha256:a"), ours, "after 1.2.2 (by version)"),
            tag("main", Done::Left, Some("sha256:a"), None, "after 1.2.2"),
            tag("latest", Done::Kept, Some("sha256:c"), Some("sha256:c"), "2.0.0 is newer"),
        ];
        let repository = PushedRepository {
            repository: "r.example/app".into(),
            digest: ours.map(str::to_owned),
            tags,
            ..PushedRepository::default()
        };
        let report = PushReport {
            image_id: "sha256:i".into(),
            registries: vec![repository],
            ..PushReport::default()
        };
        expect![[r#"
            r.example/app@sha256:b
              1.2.3   pushed  new
              1.2     named   sha256:a -> sha256:b, after 1.2.2 (by version)
              main    left    sha256:a -> this image, after 1.2.2
              latest  kept    2.0.0 is newer
              image ID  sha256:i
              time      0.0 s
        "#]]
        .assert_eq(&report.to_string());
    }
}
