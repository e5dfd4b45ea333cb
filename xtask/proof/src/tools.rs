//! The linters and uv: a virtual environment of this checkout.

use anyhow::Context as _;
use image::config::Workflow;
use process::invocation::Invocation;
use std::fs;
use std::path::{Path, PathBuf};

/// What the tools are, with the hashes of their archives.
const REQUIREMENTS: &str = "xtask/proof/tools/requirements.txt";

/// A copy of that file, next to what was made of it.
const NOTE: &str = "made-of.txt";

pub fn folder(workflow: &Workflow) -> PathBuf {
    workflow.state.folder.join("tools")
}

/// Makes the virtual environment with the tools of [`REQUIREMENTS`] by `step`, and notes of what.
pub fn make(
    workflow: &Workflow,
    step: impl FnMut(&Invocation) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let folder = folder(workflow);
    steps(&folder).iter().try_for_each(step)?;
    fs::copy(workflow.top.join(REQUIREMENTS), folder.join(NOTE)).context("noting the tools")?;
    Ok(())
}

/// Whether the virtual environment is there, and was made of what stands in the file now.
pub fn are_here(workflow: &Workflow) -> bool {
    let made_of = fs::read(folder(workflow).join(NOTE));
    made_of.is_ok_and(|text| fs::read(workflow.top.join(REQUIREMENTS)).is_ok_and(|now| now == text))
}

/// What makes the virtual environment of the tools in `folder`.
fn steps(folder: &Path) -> [Invocation; 2] {
    let name = folder.display().to_string();
    let words = ["install", "--quiet", "--require-hashes", "--only-binary=:all:"];
    let file = ["--requirement", REQUIREMENTS];
    let pip = folder.join("bin/pip").display().to_string();
    [
        Invocation::new("python3", ["-m", "venv", &name]),
        Invocation::new(pip, words.into_iter().chain(file)),
    ]
}
