//! What each engine can do, since which version and why it matters here: one table that decides
//! (measured, one check at a time, on the versions that `docs/engines.md` lists).

use super::{Engine, EngineKind, EngineVersion};
use process::failure::{Exit, failure_help};

mod rows;

/// The oldest version of each engine that can build our Dockerfiles.
pub const OLDEST: [(EngineKind, EngineVersion, &str); 2] = [
    (
        EngineKind::Podman,
        EngineVersion(4, 3, 0),
        "cache mounts with uid=, secrets from the environment",
    ),
    (EngineKind::Docker, EngineVersion(20, 10, 0), "BuildKit with cache and secret mounts"),
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
    /// `build --squash`: one layer above the base.
    SquashOwn,
    /// `tag` takes several new names at once.
    TagsAtOnce,
    /// `history` gives the exact bytes of each layer.
    ExactHistory,
    /// `--label` reaches the stage of `--target`.
    LabelsAnyStage,
    /// Proxy variables of the environment reach the build unasked.
    ProxiesPassed,
    /// `SHELL` without an option of the engine.
    ShellKept,
    /// A `# syntax=` line without a registry.
    SyntaxLine,
    /// Here-documents in `RUN` and `COPY`.
    HereDocuments,
    /// A mount `from=` another stage.
    MountFromStage,
    /// `RUN --mount=type=bind` that sees a changed file.
    BindMountFresh,
    /// `RUN --mount=type=bind,rw` that leaves the checkout alone.
    BindMountApart,
    /// `LABEL` with an `ARG` in it that follows the argument.
    LabelFollowsArgument,
    CopyLink,
    CopyExclude,
    CopyParents,
    AddChecksum,
    RunNetwork,
    /// `HEALTHCHECK --start-interval`.
    StartInterval,
    /// Cache mounts with `sharing=private`.
    PrivateCache,
    /// Secret and cache mounts of root that another user can use.
    MountForOthers,
    /// `RUN --mount=type=secret,env=`.
    SecretInVariable,
    /// `RUN --mount=type=tmpfs,size=`.
    TmpfsSize,
    /// Image names without a registry.
    ShortNames,
    /// `run --tmpfs DIR:mode=`.
    TmpfsMode,
    /// `build --timestamp`: one time for all files of the layers.
    FixedTime,
}

/// On which versions of an engine something works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Works {
    /// On all that are new enough to build at all.
    Always,
    /// On none that was looked at.
    Never,
    /// The last version that was seen to fail, and the first that was seen to work.
    Between(EngineVersion, EngineVersion),
}

impl Works {
    /// The versions that lack it, in words; `None` if none does.
    fn lacking(self, kind: EngineKind) -> Option<String> {
        match self {
            Works::Always => None,
            Works::Never => Some(format!("every {}", kind.title())),
            Works::Between(last, first) => Some(format!("{} {last} ({first} works)", kind.title())),
        }
    }
}

struct Row {
    capability: Capability,
    podman: Works,
    docker: Works,
    /// Whether a build that relies on it fails, or makes another image, on an engine without it.
    breaks: bool,
    /// What the user asked for when it is refused.
    what: &'static str,
    why: &'static str,
    /// What would serve instead.
    instead: &'static str,
}

impl Row {
    fn on(&self, kind: EngineKind) -> Works {
        match kind {
            EngineKind::Podman => self.podman,
            EngineKind::Docker => self.docker,
        }
    }
}

fn row(capability: Capability) -> &'static Row {
    // Every variant has its row: the test below holds the table to it.
    rows::TABLE.iter().find(|row| row.capability == capability).unwrap_or(&rows::TABLE[0])
}

/// Whether `engine` has `capability`; `None`: between the last version that lacks it and the first
/// that has it nothing is known.
pub fn known(engine: &Engine, capability: Capability) -> Option<bool> {
    let (_, oldest, _) = OLDEST[engine.kind as usize];
    match row(capability).on(engine.kind) {
        Works::Always => (engine.version >= oldest).then_some(true),
        Works::Never => Some(false),
        Works::Between(last, _) if engine.version <= last => Some(false),
        Works::Between(_, first) => (engine.version >= first).then_some(true),
    }
}

/// Whether `engine` is known to have `capability`.
pub fn has(engine: &Engine, capability: Capability) -> bool {
    known(engine, capability) == Some(true)
}

/// Whether a build that relies on `capability` is known to fail, or to make another image, on
/// `engine`.
pub fn breaks(engine: &Engine, capability: Capability) -> bool {
    row(capability).breaks && known(engine, capability) == Some(false)
}

/// Which engines lack `capability`, why that matters, and what serves instead.
pub fn lacking(capability: Capability) -> (String, &'static str, &'static str) {
    let row = row(capability);
    let engines = [EngineKind::Podman, EngineKind::Docker].map(|kind| row.on(kind).lacking(kind));
    (engines.into_iter().flatten().collect::<Vec<_>>().join(", "), row.why, row.instead)
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

pub fn all() -> impl Iterator<Item = Capability> {
    rows::TABLE.iter().map(|row| row.capability)
}

#[cfg(test)]
mod tests;
