//! What each engine can do, since which version and why it matters here: one table that decides
//! (measured, one check at a time, on the versions that `docs/engines.md` lists).

use super::{Engine, Kind, Version};
use crate::failure::{Exit, failure_help};

/// The oldest version of each engine that can build our Dockerfiles.
pub const OLDEST: [(Kind, Version, &str); 2] = [
    (Kind::Podman, Version(4, 3, 0), "cache mounts with uid=, secrets from the environment"),
    (Kind::Docker, Version(20, 10, 0), "BuildKit with cache and secret mounts"),
];

/// Something that not every engine can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Keep `HEALTHCHECK` and `SHELL` only when the Docker format is asked for.
    FormatOption,
    /// `--pull=never`: build from local images only.
    PullNever,
    /// Several platforms in one build, as an image index.
    SeveralPlatforms,
    /// `tag` takes several new names at once.
    TagsAtOnce,
    /// `history` gives the exact bytes of each layer.
    ExactHistory,
    /// `--label` reaches the stage of `--target`.
    LabelsAnyStage,
}

struct Row {
    capability: Capability,
    podman: Option<Version>,
    docker: Option<Version>,
    /// What the user asked for when it is refused.
    what: &'static str,
    why: &'static str,
    /// What would serve instead.
    instead: &'static str,
}

const TABLE: [Row; 6] = [
    Row {
        capability: Capability::FormatOption,
        podman: Some(Version(4, 3, 0)),
        docker: None,
        what: "choosing the image format",
        why: "Podman's default OCI format drops HEALTHCHECK; Docker keeps it and has no option",
        instead: "nothing is needed on Docker",
    },
    Row {
        capability: Capability::PullNever,
        podman: Some(Version(4, 3, 0)),
        docker: None,
        what: "building without asking a registry",
        why: "`docker build --pull=never` is an unknown option; BuildKit prefers the local image",
        instead: "nothing is needed on Docker",
    },
    Row {
        capability: Capability::SeveralPlatforms,
        podman: None,
        docker: None,
        what: "several platforms in one build",
        why: "the image that was tested must be the one that is tagged, and an index has no image ID",
        instead: "build each platform by itself, with --tag",
    },
    Row {
        capability: Capability::TagsAtOnce,
        podman: Some(Version(4, 3, 0)),
        docker: None,
        what: "several tags in one command",
        why: "`docker tag` takes one source and one target",
        instead: "one command for each tag",
    },
    Row {
        capability: Capability::ExactHistory,
        podman: Some(Version(4, 3, 0)),
        docker: None,
        what: "layer sizes from history",
        why: "Podman records the bytes of each layer's archive; Docker adds up file sizes",
        instead: "the layers are measured from `docker save`",
    },
    Row {
        capability: Capability::LabelsAnyStage,
        podman: None,
        docker: Some(Version(20, 10, 0)),
        what: "labels on a stage in the middle",
        why: "Podman 4.3.1 gives --label to the file's last stage, so that a cached --target has none",
        instead: "the file that Podman is given ends with the target's stage",
    },
];

fn row(capability: Capability) -> &'static Row {
    // Every variant has its row: the test below holds the table to it.
    TABLE.iter().find(|row| row.capability == capability).unwrap_or(&TABLE[0])
}

/// Whether `engine` has `capability`.
pub fn has(engine: &Engine, capability: Capability) -> bool {
    let row = row(capability);
    let since = match engine.kind {
        Kind::Podman => row.podman,
        Kind::Docker => row.docker,
    };
    since.is_some_and(|since| engine.version >= since)
}

/// Refuses what `engine` can't serve, before anything runs.
///
/// # Errors
/// [`Exit::Usage`], with the reason and what would serve.
pub fn require(engine: &Engine, capability: Capability) -> anyhow::Result<()> {
    if has(engine, capability) {
        return Ok(());
    }
    let row = row(capability);
    let message =
        format!("{}: {} {} can't: {}", row.what, engine.kind.title(), engine.version, row.why);
    Err(failure_help(Exit::Usage, message, row.instead))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_decides_by_engine_and_version() {
        use Capability::*;
        let podman = Engine::assumed(Kind::Podman);
        let docker = Engine::assumed(Kind::Docker);
        let check = |capability, on_podman, on_docker| {
            assert_eq!(row(capability).capability, capability, "has a row of its own");
            assert_eq!(has(&podman, capability), on_podman, "{capability:?} on Podman");
            assert_eq!(has(&docker, capability), on_docker, "{capability:?} on Docker");
        };
        check(FormatOption, true, false);
        check(PullNever, true, false);
        check(SeveralPlatforms, false, false);
        check(TagsAtOnce, true, false);
        check(ExactHistory, true, false);
        check(LabelsAnyStage, false, true);
        let old = Engine { version: Version(4, 2, 9), ..podman };
        assert!(!has(&old, FormatOption));
        let error = require(&docker, PullNever).unwrap_err();
        assert_eq!(crate::failure::describe(&error).0, Exit::Usage);
    }
}
