//! One short driver for each command: reads the world, asks for a plan, runs it, reports.

use crate::world::World;
use engine::lint::{self, Finding};
use engine::{Engine, leftovers};
use image::base::lock;
use image::config::{self, Variant, Workflow};
use image::project::{self, Missing};
use image::tags;
use process::disk;
use process::failure::{Exit, failure_help};
use process::run::Runner;
use process::state::State;
use smoke::test_bed;
use source::content;
use source::context::ContextFile;
use source::git::Checkout;
use source::snapshot::{self, Snapshot};
use std::time::Duration;

mod at_commit;
mod attested;
pub mod build;
pub mod context_list;
pub mod dev;
pub mod doctor;
pub mod export;
pub mod home;
pub mod images;
pub mod init;
pub mod label;
pub mod promote;
pub mod push;
pub mod release;
pub mod reproduce;
pub mod setup;
mod signatures;
pub mod smoke_test;
pub mod squash;
pub mod verify;

/// Removes what killed commands of this checkout left. The caller holds its lock.
fn tidy(state: &State, engine: &Engine, runner: &Runner) -> anyhow::Result<()> {
    let killed = leftovers::killed(state);
    leftovers::clean(state, engine, runner)?;
    if !killed.is_empty() {
        squash::clear(engine, runner)?;
        test_bed::clear(engine, runner, None)?;
    }
    for (id, record) in killed {
        leftovers::remove_half_made(engine, runner, &test_bed::name(&id, ""))?;
        let _ = std::fs::remove_file(push::digest_file(state, &id));
        let _ = std::fs::remove_file(record);
    }
    Ok(())
}

/// As [`tidy`], unless another command is running here.
fn tidy_alone(state: &State, engine: &Engine, runner: &Runner) -> anyhow::Result<()> {
    match state.lock(Duration::ZERO) {
        Ok(_lock) => tidy(state, engine, runner),
        Err(_) => Ok(()),
    }
}

/// What an image is made of, and the commit it belongs to, both as they are at one moment; with `copy`
/// in the folder that the engine is given, for which the caller holds the lock of the checkout.
///
/// # Errors
/// As [`snapshot::take`]; [`Exit::Mismatch`] when `docker/image.toml` was changed since it was read.
pub fn snapshot(
    world: &World,
    workflow: &Workflow,
    variant: &Variant,
    copy: bool,
) -> anyhow::Result<Snapshot> {
    let Workflow { top, root, commit, state, .. } = workflow;
    let mut taken = snapshot::take(&snapshot::Wanted {
        top: root,
        commit: commit.as_deref().map(|id| (id, top.as_path())),
        beside: &[config::PATH, lock::PATH, &variant.dockerfile, &workflow.config.ignore_file],
        ignore_file: &workflow.config.ignore_file,
        application: &workflow.config.app.prefix(),
        made: &workflow.config.generated(),
        prefix: &workflow.config.tags.prefix,
        allow: &workflow.config.allow_secrets,
        large: workflow.config.large,
        state,
        copy,
        signal: &world.signal,
    })?;
    let link = taken.beside.iter().find(|(_, content)| content.kind == content::FileMode::Link);
    if let Some((path, _)) = link {
        let message =
            format!("reading {path}: it is a symbolic link, which no image is labelled by");
        return Err(failure_help(Exit::Usage, message, "put the file itself there"));
    }
    tags::name_version(&workflow.config.tags, world.ci.as_ref(), &mut taken.checkout)?;
    let now = |path: &str| taken.beside.get(path).map(|content| &content.sha256);
    let changed = |path: &&str| now(path) != workflow.read_from.get(path);
    let Some(path) = [config::PATH, lock::PATH].into_iter().find(changed) else {
        return Ok(taken);
    };
    let message = format!("reading {path}: it was changed since this command began");
    Err(failure_help(Exit::Mismatch, message, "run it again"))
}

/// The state of the checkout, as git and the files of the build context tell it, and those files.
pub fn checkout(
    world: &World,
    workflow: &Workflow,
) -> anyhow::Result<(Checkout, Vec<ContextFile>)> {
    let taken = snapshot(world, workflow, &workflow.config.prod, false)?;
    Ok((taken.checkout, taken.files))
}

/// What the project lacks for its production image.
///
/// # Errors
/// [`Exit::Usage`] when the Dockerfile or the lock can't be read.
pub fn missing(workflow: &Workflow, files: &[ContextFile]) -> anyhow::Result<Vec<Missing>> {
    let file = &workflow.config.prod.dockerfile;
    let text = disk::text(&workflow.root.join(file), file)?;
    let project = project::read(&workflow.root, &workflow.config.app, files)?;
    Ok(project::missing(&project, &workflow.config, &text))
}

/// What an engine would do differently in the Dockerfiles of the workflow, each with its file.
///
/// # Errors
/// [`Exit::Usage`] when one of them can't be read.
pub fn lint(workflow: &Workflow) -> anyhow::Result<Vec<(String, Finding)>> {
    let mut files = vec![&workflow.config.prod.dockerfile, &workflow.config.dev.dockerfile];
    files.dedup();
    let mut all = Vec::new();
    for file in files {
        let text = disk::text(&workflow.root.join(file), file)?;
        all.extend(lint::lint(&text).into_iter().map(|finding| (file.clone(), finding)));
    }
    Ok(all)
}
