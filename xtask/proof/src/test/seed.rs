//! The images of this checkout, built once: the groups on Podman begin with a copy of their store.

use super::{Bench, suite};
use crate::lab::Lab;
use crate::program;
use process::invocation::Invocation;
use process::run::Runner;
use std::path::PathBuf;
use std::sync::PoisonError;

/// The folder of the laboratory that has them. The first to ask has them built; the others wait.
pub(super) fn folder(bench: &Bench<'_>) -> anyhow::Result<PathBuf> {
    let mut seed = bench.shared.seed.lock().unwrap_or_else(PoisonError::into_inner);
    let made = seed.get_or_insert_with(|| made(bench).map_err(|error| format!("{error:#}")));
    match made {
        Ok(lab) => Ok(lab.folder.clone()),
        Err(why) => anyhow::bail!("building the images that the groups begin with: {why}"),
    }
}

fn made(bench: &Bench<'_>) -> anyhow::Result<Lab> {
    let lab = Lab::podman(bench.workflow, &bench.runner, "seed")?;
    match build(bench, &lab) {
        Ok(()) => Ok(lab),
        Err(error) => {
            lab.end(&bench.runner)?;
            Err(error)
        }
    }
}

/// Both images and those of the services, from a copy of the checkout as the tests make one.
fn build(bench: &Bench<'_>, lab: &Lab) -> anyhow::Result<()> {
    let source = lab.folder.join("source");
    suite::copy_checkout(&bench.workflow.top, &bench.runner, &source)?;
    let inside = Runner { folder: source, ..bench.runner.clone() };
    let identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
    let commit = ["commit", "--quiet", "--message", "first"];
    let git = |words: &[&str]| Invocation::new("git", words.iter().copied());
    bench.step_with(&inside, &git(&["add", "--all"]))?;
    bench.step_with(&inside, &git(&[&identity[..], &commit].concat()))?;
    let xtask = program(bench.world)?.display().to_string();
    for words in [&["build"][..], &["build", "--dev"], &["setup", "--services"]] {
        let words = words.iter().chain(&["--engine", "podman", "--ci", "none"]).copied();
        bench.step_with(&inside, &bench.in_environment(Invocation::new(&xtask, words), lab))?;
    }
    Ok(())
}
