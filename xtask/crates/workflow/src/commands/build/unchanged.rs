//! Whether a build has anything to do, and the record by which the next one knows.

use super::Ready;
use crate::world::World;
use anyhow::Context as _;
use engine::Engine;
use engine::build::Build;
use image::config::Workflow;
use image::fingerprint;
use image::verify::{self, Made};
use process::notice::notice;
use process::run::Runner;
use process::state::write_whole;
use source::context;
use source::ignore::Ignore;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What is said where nothing is to be built.
pub(super) const SAID: &str = "up to date: nothing changed since the last build (--force rebuilds)";

/// What a build reads, before it does.
pub(super) struct Before {
    /// When that was looked at.
    since: SystemTime,
    /// `None` where only the build itself can tell, or a file couldn't be read.
    fingerprint: Option<String>,
}

/// The image of the last build, where that read the same.
pub(super) struct Standing {
    made: Made,
    /// The log of the build that made it.
    log: PathBuf,
}

/// The build context of the workflow at `top`, and the rules that made it.
pub(super) fn listed(top: &Path) -> anyhow::Result<(Ignore, fingerprint::Listed)> {
    let ignore = context::read_ignore(top)?;
    let listed = context::files_and_folders(top, &ignore)?;
    Ok((ignore, listed))
}

/// Looks at all that the build will read.
pub(super) fn look(
    world: &World,
    workflow: &Workflow,
    engine: &Engine,
    plan: &Build,
    dockerfile: &str,
    listed: &fingerprint::Listed,
) -> Before {
    let since = SystemTime::now();
    let names = plan.passed.iter().map(String::as_str).chain(fingerprint::VARIABLES);
    let values = names.map(|name| world.environment.variable(name).map(str::to_owned)).collect();
    let inputs = fingerprint::Inputs { engine, plan, values, dockerfile, top: &workflow.top };
    // A file that can't be read is the engine's to name.
    Before { since, fingerprint: fingerprint::of(&inputs, listed).unwrap_or_default() }
}

/// The image that the build would make, where it is here.
///
/// # Errors
/// As [`verify::standing`].
pub(super) fn standing(
    workflow: &Workflow,
    engine: &Engine,
    plan: &Build,
    dockerfile: &str,
    before: &Before,
    runner: &Runner,
) -> anyhow::Result<Option<Standing>> {
    let reference = plan.references.first();
    let record = reference.and_then(|name| fingerprint::recorded(&workflow.state, name));
    let same =
        |record: &fingerprint::Record| Some(&record.fingerprint) == before.fingerprint.as_ref();
    let Some(record) = record.filter(same) else { return Ok(None) };
    let made = verify::standing(engine, plan, dockerfile, &record.image_id, &record.size, runner)?;
    Ok(made.map(|made| Standing { made, log: record.log }))
}

/// Says that there is nothing to do, and gives the image and its log.
///
/// # Errors
/// When a file can't be written.
pub(super) fn said(ready: &Ready, standing: &Standing) -> anyhow::Result<(Made, PathBuf)> {
    notice(SAID);
    // As after a build: what the script of a dry run reads.
    write_whole(&ready.plan.iidfile, &standing.made.image.id)?;
    let log = if standing.log.is_file() {
        standing.log.clone()
    } else {
        write_whole(&ready.log, &format!("{SAID}\n"))?;
        ready.log.clone()
    };
    Ok((standing.made.clone(), log))
}

/// Records what was made, unless something was changed while it was: then nobody knows what is in
/// the image. Only the next build is slower without the record.
pub(super) fn record(world: &World, workflow: &Workflow, ready: &Ready, made: &Made) {
    if let Err(error) = try_record(world, workflow, ready, made) {
        notice(&format!("warning: remembering what this build read: {error:#}"));
    }
}

fn try_record(
    world: &World,
    workflow: &Workflow,
    ready: &Ready,
    made: &Made,
) -> anyhow::Result<()> {
    let Ready { engine, plan, before, .. } = ready;
    let (Some(fingerprint), Some(reference)) = (&before.fingerprint, plan.references.first())
    else {
        return Ok(());
    };
    let text = super::dockerfile(workflow, &plan.dockerfile)?;
    let (_, listed) = listed(&workflow.top)?;
    let after = look(world, workflow, engine, plan, &text, &listed);
    let top = &workflow.top;
    if after.fingerprint.as_ref() != Some(fingerprint)
        || fingerprint::changed_since(before.since, &plan.dockerfile, &listed, top)?
    {
        return Ok(());
    }
    let record = fingerprint::Record {
        fingerprint: fingerprint.clone(),
        image_id: made.image.id.clone(),
        size: made.size.clone(),
        log: ready.log.clone(),
    };
    fingerprint::record(&workflow.state, reference, record).context("writing the record")
}
