//! The linters and uv: a virtual environment of this checkout.

use super::Bench;
use crate::invocation::Invocation;
use crate::world::Workflow;
use anyhow::Context as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What the tools are, with the hashes of their archives.
const REQUIREMENTS: &str = "xtask/tools/requirements.txt";

/// Where they are.
pub(super) fn folder(workflow: &Workflow) -> PathBuf {
    workflow.state.folder.join("tools")
}

/// A virtual environment with the tools of [`REQUIREMENTS`].
pub(super) fn run(bench: &Bench<'_>) -> anyhow::Result<()> {
    steps(&bench.tools).iter().try_for_each(|step| bench.step(step))?;
    let made_of = bench.tools.join("made-of.txt");
    fs::copy(bench.workflow.top.join(REQUIREMENTS), made_of).context("noting the tools")?;
    Ok(())
}

/// Whether the virtual environment is there, and was made of what stands in the file now.
pub(super) fn are_here(workflow: &Workflow) -> bool {
    let made_of = fs::read(folder(workflow).join("made-of.txt"));
    made_of.is_ok_and(|text| fs::read(workflow.top.join(REQUIREMENTS)).is_ok_and(|now| now == text))
}

/// What makes the virtual environment of the tools in `folder`.
pub fn steps(folder: &Path) -> [Invocation; 2] {
    let name = folder.display().to_string();
    let words = ["install", "--quiet", "--require-hashes", "--only-binary=:all:"];
    let file = ["--requirement", REQUIREMENTS];
    let pip = folder.join("bin/pip").display().to_string();
    [
        Invocation::new("python3", ["-m", "venv", &name]),
        Invocation::new(pip, words.into_iter().chain(file)),
    ]
}
