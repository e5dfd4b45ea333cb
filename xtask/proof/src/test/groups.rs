//! The groups of tests: who asks for each, what runs at the same time, and what it does.

use super::{Bench, arm64, linters, podman5, rootless, suite, trixie};
use crate::lab::Lab;
use crate::tools;
use process::failure::{Exit, Failure};
use process::invocation::Invocation;

/// Who asks for a group.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Everybody.
    Quick,
    /// `--all`: CI.
    All,
    Browser,
    /// `--nightly`: what takes too long for CI.
    Nightly,
}

/// Groups of one lane run one after another. The first lane comes first, the others run at the same
/// time: no two of them share a store, a daemon or a port.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// What the others need.
    First,
    /// What needs no engine.
    Code,
    /// Podman's long group.
    Podman,
    /// More on Podman, in separate stores.
    Second,
    /// What needs its own daemon or user.
    Docker,
}

/// One group: its name, who asks for it, and what it does.
pub(super) struct Group {
    pub name: &'static str,
    pub part: Part,
    pub lane: Lane,
    /// Seconds that it took when it was last measured, on two cores: groups of CI in parallel with
    /// the other lanes, the others alone.
    pub took: Option<u32>,
    pub run: fn(&Bench<'_>) -> anyhow::Result<()>,
}

/// The group that the others take linters and uv from.
pub(super) const TOOLS: &str = "tools";

/// The group that compiles the tests on engines before the lanes begin: two cargos would wait for
/// each other, and inside a network there may be no way out.
const COMPILE: &str = "compile";

/// The groups that use one of the tools.
pub(super) const NEEDED_BY: [&str; 17] = [
    "spdx",
    "hadolint",
    "shellcheck",
    "actionlint",
    "lock",
    "payload",
    "entrypoint",
    "podman",
    "adopt",
    "broken",
    "docker",
    "podman-more",
    "broken-each",
    "saves",
    "docker-more",
    "docker26",
    "podman5",
];

use Lane::{Code, Docker, First, Podman, Second};
use Part::{All, Browser, Nightly, Quick};

const fn group(
    name: &'static str,
    part: Part,
    lane: Lane,
    took: Option<u32>,
    run: fn(&Bench<'_>) -> anyhow::Result<()>,
) -> Group {
    Group { name, part, lane, took, run }
}

pub(super) const GROUPS: [Group; 31] = [
    group(TOOLS, All, First, Some(18), |b| tools::make(b.workflow, |step| b.step(step))),
    group(COMPILE, All, First, Some(85), |b| b.programs().map(drop)),
    group("format", Quick, Code, Some(3), |b| b.cargo(&["fmt", "--all", "--check"])),
    group("clippy", Quick, Code, Some(145), |b| b.cargo(CLIPPY)),
    group("unit", Quick, Code, Some(207), |b| {
        b.cargo(suite::HTTPS)?;
        b.cargo(&["test", "--locked", "--quiet", "--workspace"])
    }),
    group("lint", Quick, Code, Some(1), lint),
    group("hadolint", All, Code, Some(1), linters::hadolint),
    group("shellcheck", All, Code, Some(1), linters::shellcheck),
    group("actionlint", All, Code, Some(4), linters::actionlint),
    group("lock", All, Code, Some(1), lock),
    group("spdx", All, Code, Some(21), spdx),
    group("payload", All, Code, Some(117), payload),
    group("entrypoint", All, Code, Some(315), entrypoint),
    group("podman", All, Podman, Some(2928), |b| {
        let lab = b.podman()?;
        b.in_lab(lab, |b, lab| {
            b.engine(lab, &skip(&[NIGHTLY, ON_DOCKER, &["adopt::", "broken::"]]))?;
            b.proofs(lab)
        })
    }),
    group("adopt", All, Second, Some(1219), |b| {
        let lab = b.podman()?;
        let words = [&["adopt::"][..], &skip(&[NIGHTLY])].concat();
        b.in_lab(lab, |b, lab| b.engine(lab, &words))
    }),
    group("release", All, Second, Some(1526), |b| {
        let lab = with_cosign(b, b.podman()?)?;
        b.in_lab(lab, |b, lab| b.registry(lab, RELEASE))
    }),
    // Needs no image of ours: first, while those are built.
    group("registry", All, Docker, Some(300), |b| {
        let lab = b.empty_podman()?;
        b.in_lab(lab, |b, lab| b.registry(lab, &skip(&[IMAGES])))
    }),
    group("docker", All, Docker, Some(1162), |b| {
        let lab = Lab::docker(b.workflow, &b.runner, b.group, &[])?;
        b.in_lab(lab, |b, lab| {
            b.engine(lab, &skip(&[NIGHTLY, ON_PODMAN]))?;
            b.proofs(lab)?;
            b.registry(lab, &skip(&[IMAGES, REQUESTS]))
        })
    }),
    group("rootless", All, Docker, Some(569), rootless::run),
    group("broken", All, Docker, Some(690), |b| {
        let lab = b.podman()?;
        b.in_lab(lab, |b, lab| b.engine(lab, &["broken::"]))
    }),
    group("browser", Browser, Second, None, browser),
    group("podman-more", Nightly, Second, None, |b| {
        let lab = b.podman()?;
        b.in_lab(lab, |b, lab| b.engine(lab, &[NIGHTLY, ON_DOCKER].concat()))
    }),
    group("broken-each", Nightly, Second, Some(730), |b| {
        let mut lab = b.podman()?;
        lab.env.push(("XTASK_TEST_EACH".to_owned(), "1".to_owned()));
        b.in_lab(lab, |b, lab| b.engine(lab, &["broken::each_check"]))
    }),
    group("saves", Nightly, Second, Some(1225), |b| {
        let mut lab = b.podman()?;
        lab.env.push(("XTASK_TEST_EACH".to_owned(), "1".to_owned()));
        b.in_lab(lab, |b, lab| b.engine(lab, &["snapshot::saves"]))
    }),
    group("killed", Nightly, Second, None, |b| {
        let mut lab = b.podman()?;
        lab.env.push(("XTASK_TEST_MINUTES".to_owned(), "30".to_owned()));
        b.in_lab(lab, |b, lab| b.registry(lab, &["killed::"]))
    }),
    group("large", Nightly, Second, None, |b| {
        let lab = b.empty_podman()?;
        b.in_lab(lab, |b, lab| b.registry(lab, &["large_image"]))
    }),
    group("release-each", Nightly, Second, None, |b| {
        let mut lab = with_cosign(b, b.podman()?)?;
        lab.env.push(("XTASK_TEST_EACH".to_owned(), "1".to_owned()));
        b.in_lab(lab, |b, lab| {
            let long = ["release::a_release_that", "release::latest_ends", "promote::"];
            b.registry(lab, &[&long[..], &["--skip", "promote::an_environment"]].concat())
        })
    }),
    group("docker-more", Nightly, Docker, Some(1331), |b| {
        let mut lab = with_cosign(b, Lab::docker(b.workflow, &b.runner, b.group, &[])?)?;
        lab.env.push(("XTASK_TEST_EACH".to_owned(), "1".to_owned()));
        b.in_lab(lab, |b, lab| {
            b.engine(lab, &[NIGHTLY, ON_PODMAN].concat())?;
            let more = ["release::what_is", "release::latest_ends", "promote::an_environment"];
            let long = ["promote::a_release_is", "killed::", "large_image"];
            b.registry(lab, &[&more[..], &long, REQUESTS].concat())
        })
    }),
    group("docker26", Nightly, Docker, Some(814), docker26),
    group("podman5", Nightly, Podman, Some(3200), podman5::run),
    group("arm64", Nightly, Second, Some(1273), arm64::run),
];

/// With the real-engine tests, which are compiled only for `--all`.
const CLIPPY: &[&str] = &[
    "clippy",
    "--locked",
    "--quiet",
    "--workspace",
    "--all-targets",
    "--all-features",
    "--",
    "-D",
    "warnings",
];

/// Tests of the engine that CI leaves to `--nightly`: those that build the design's own image,
/// projects of two more shapes, and the longest of those that a shorter one is like.
const NIGHTLY: &[&str] = &[
    "design::",
    "adopt::a_stock_project_is_shown",
    "adopt::one_process",
    "adopt::code_below",
    "dependencies::a_new_dependency",
    "squash::the_squashed",
    "size::the_image_is_over",
    "twenty::",
];

/// Tests that are about our code, or about something that no engine does in its own way: in CI on
/// Docker alone, on Podman in `--nightly`.
const ON_DOCKER: &[&str] = &[
    "compose::the_compose_file_of_development",
    "crafted::",
    "debian::",
    "dev::a_saved_file",
    "readme::",
    "smoke::a_killed",
];

/// The same, in CI on Podman alone.
const ON_PODMAN: &[&str] = &[
    "adopt::",
    "broken::",
    "build::a_failing_step",
    "build::an_image_over_its_budget",
    "context::no_planted_secret",
    "dependencies::the_same_dockerfile",
    "dev::a_command_has",
    "dev::a_killed_dev",
    "squash::one_layer_shows",
];

/// Tests of what is sent to a registry: our client is the same on each engine.
const REQUESTS: &[&str] = &["faults::", "interleaved::"];

/// Tests with a registry that need the images of this checkout, or minutes.
const IMAGES: &[&str] = &["release::", "promote::", "killed::", "large_image"];

/// Releases and promotions that CI has time for.
const RELEASE: &[&str] =
    &["release::", "promote::an_environment", "--skip", "release::latest_ends"];

/// The laboratory for tests that sign: they choose one of the two folders.
fn with_cosign(bench: &Bench<'_>, mut lab: Lab) -> anyhow::Result<Lab> {
    let folders = std::env::join_paths(trixie::cosigns(bench)?)?;
    lab.env.push(("XTASK_TEST_COSIGN".to_owned(), folders.to_string_lossy().into_owned()));
    Ok(lab)
}

/// The words that leave out what each of `lists` names.
fn skip(lists: &[&[&'static str]]) -> Vec<&'static str> {
    lists.iter().flat_map(|list| list.iter().flat_map(|name| ["--skip", name])).collect()
}

/// The page in a real browser; `XTASK_TEST_SCREENSHOT` names a file for a picture of it.
fn browser(bench: &Bench<'_>) -> anyhow::Result<()> {
    let lab = bench.podman()?;
    bench.in_lab(lab, |bench, lab| {
        let words = ["test", "--locked", "--package", "senex-proof", "--features", "browser"];
        let words = [&words[..], &["--test", "engine", "browser::"]].concat();
        bench.step(
            &lab.inside(bench.in_environment(Invocation::new(bench.cargo_program(), words), lab)),
        )
    })
}

/// The same tests on a Docker whose client builds with buildx.
fn docker26(bench: &Bench<'_>) -> anyhow::Result<()> {
    let root = trixie::docker26(bench)?;
    let environment = trixie::docker_environment(&root, bench.world.environment.path());
    // What a version of Docker can change; the rest is the same code as on the machine's Docker.
    let more = ["smoke::the_image_passes", "squash::", "size::", "clean::", "compose::"];
    let only = [&suite::CORE[..], &more].concat();
    let lab = Lab::docker(bench.workflow, &bench.runner, bench.group, &environment)?;
    bench.in_lab(lab, |bench, lab| {
        bench.engine(lab, &only)?;
        bench.proofs(lab)
    })
}

/// The Dockerfiles hold to what every engine does alike.
fn lint(bench: &Bench<'_>) -> anyhow::Result<()> {
    let found = workflow::commands::lint(bench.workflow)?;
    if found.is_empty() {
        return Ok(());
    }
    let plural = if found.len() == 1 { "place" } else { "places" };
    let message = format!(
        "looking at the Dockerfiles: {} {plural} that not every engine builds alike",
        found.len()
    );
    let help = found.iter().map(|(file, finding)| format!("{file}: {finding}")).collect();
    Err(Failure { exit: Exit::Check, message, help }.into())
}

/// The lock is what `pyproject.toml` asks for.
fn lock(bench: &Bench<'_>) -> anyhow::Result<()> {
    bench.uv(&["lock", "--check", "--project", "app"])
}

/// A list of packages is what SPDX's own program takes.
fn spdx(bench: &Bench<'_>) -> anyhow::Result<()> {
    let file = bench.workflow.state.folder.join("example.spdx.json").display().to_string();
    let words = ["test", "--locked", "--quiet", "--package", "senex-image", "packages_are_named"];
    let test = Invocation::new(bench.cargo_program(), words).with_env("XTASK_TEST_SPDX", &file);
    bench.step(&test)?;
    bench.uv(&["tool", "run", "--from", "spdx-tools==0.8.3", "pyspdxtools", "--infile", &file])
}

fn payload(bench: &Bench<'_>) -> anyhow::Result<()> {
    bench.uv(&["run", "--frozen", "--directory", "app", "ruff", "check", "--no-cache", "."])?;
    bench.uv(&["run", "--frozen", "--directory", "app", "black", "--check", "--quiet", "."])?;
    let words =
        ["run", "--frozen", "--directory", "app", "pytest", "-qrs", "-p", "no:cacheprovider"];
    bench.uv(&words)
}

fn entrypoint(bench: &Bench<'_>) -> anyhow::Result<()> {
    let words = ["run", "--frozen", "--project", "app", "pytest", "-qrs", "-p", "no:cacheprovider"];
    bench.uv(&[&words[..], &["-p", "no:django", "-p", "no:asyncio", "docker/tests"]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_need_tools_are_groups() {
        let all: Vec<&str> = GROUPS.iter().map(|group| group.name).collect();
        assert!(NEEDED_BY.iter().all(|name| all.contains(name)), "{all:?}");
    }
}
