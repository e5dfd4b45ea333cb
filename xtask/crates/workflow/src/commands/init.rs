//! `init`: writes into a project's Dockerfiles what its `docker/image.toml` says.

use crate::world::World;
use anyhow::Context as _;
use image::config::Workflow;
use image::rendering::{self, For};
use process::disk;
use process::failure::{Exit, Failure, failure_help};
use process::state::write_whole;

/// The command.
///
/// # Errors
/// [`Exit::Usage`] when a Dockerfile can't be read, or asks for lines that there aren't.
pub fn run(world: &World) -> anyhow::Result<()> {
    let workflow = world.workflow()?;
    let (mut text, mut written) = (String::new(), Vec::new());
    for (file, is, should) in dockerfiles(&workflow)? {
        if is == should {
            text += &format!("{file}: as docker/image.toml says\n");
            continue;
        }
        if !world.common.dry_run {
            write_whole(&workflow.top.join(&file), &should)
                .with_context(|| format!("writing {file}"))?;
        }
        let would = if world.common.dry_run { "would be " } else { "" };
        text += &format!("{file}: {would}brought up to date with docker/image.toml\n");
        written.push(file);
    }
    world.output.result(&text, &serde_json::json!({ "written": written }))
}

/// The Dockerfiles of `workflow`, each as it is and as it should be.
fn dockerfiles(workflow: &Workflow) -> anyhow::Result<Vec<(String, String, String)>> {
    let config = &workflow.config;
    let mut files = vec![(&config.prod.dockerfile, For::Production)];
    if config.dev.dockerfile != config.prod.dockerfile {
        files.push((&config.dev.dockerfile, For::Development));
    }
    let mut all = Vec::new();
    for (file, made_for) in files {
        let is = disk::text(&workflow.root.join(file), file)?;
        let should = rendering::rendered(&is, config, made_for).map_err(|(line, why)| {
            failure_help(
                Exit::Usage,
                format!("reading {file}:{line}: {why}"),
                "take that line as the workflow's own Dockerfile has it",
            )
        })?;
        all.push((file.clone(), is, should));
    }
    Ok(all)
}

/// The lines of the Dockerfiles that aren't as `docker/image.toml` says, each as `file:line`.
///
/// # Errors
/// As [`run`].
pub fn stale(workflow: &Workflow) -> anyhow::Result<Vec<String>> {
    let files = dockerfiles(workflow)?.into_iter();
    let lines = files.filter_map(|(file, is, should)| {
        rendering::difference(&is, &should).map(|line| format!("{file}:{line}"))
    });
    Ok(lines.collect())
}

/// What brings the Dockerfiles up to date.
pub const REMEDY: &str = "cargo xtask init";

/// Refuses Dockerfiles that aren't as `docker/image.toml` says.
///
/// # Errors
/// [`Exit::Usage`], naming the first line of each.
pub fn require_current(workflow: &Workflow) -> anyhow::Result<()> {
    let stale = stale(workflow)?;
    if stale.is_empty() {
        return Ok(());
    }
    let message = format!("reading {}: not as docker/image.toml says", stale.join(", "));
    let help = vec![format!("bring it up to date: {REMEDY}")];
    Err(Failure { exit: Exit::Usage, message, help }.into())
}
