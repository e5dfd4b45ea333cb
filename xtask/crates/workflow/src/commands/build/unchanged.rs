//! Whether a build has anything to do, and the record by which the next one knows.

use super::Ready;
use crate::world::World;
use engine::Engine;
use engine::build::Build;
use image::config::Workflow;
use image::fingerprint;
use image::verify::{self, Built};
use process::notice::notice;
use process::run::Runner;
use process::state::write_whole;
use source::snapshot::Snapshot;
use std::path::PathBuf;

/// The message when there is nothing to build.
pub(super) const SAID: &str = "up to date: nothing changed since the last build (--force rebuilds)";

/// The image of the last build, if that read the same.
pub(super) struct Reusable {
    made: Built,
    /// The log of the build that made it.
    log: PathBuf,
}

/// The fingerprint of all that the build reads.
pub(super) fn fingerprint(
    world: &World,
    engine: &Engine,
    plan: &Build,
    snapshot: &Snapshot,
) -> Option<String> {
    let names = plan.passed.iter().map(String::as_str).chain(fingerprint::VARIABLES);
    let values = names.map(|name| world.environment.variable(name).map(str::to_owned)).collect();
    fingerprint::of(&fingerprint::Inputs { engine, plan, values, snapshot: snapshot.sha256() })
}

/// The image that the build would make, if it is here.
pub(super) fn reusable(
    workflow: &Workflow,
    engine: &Engine,
    plan: &Build,
    fingerprint: Option<&String>,
    runner: &Runner,
) -> anyhow::Result<Option<Reusable>> {
    let reference = plan.references.first();
    let record = reference.and_then(|name| fingerprint::recorded(&workflow.state, name));
    let same = |record: &fingerprint::Record| Some(&record.fingerprint) == fingerprint;
    let Some(record) = record.filter(same) else { return Ok(None) };
    let made = verify::reusable(engine, plan, &record.image_id, &record.size, runner)?;
    Ok(made.map(|made| Reusable { made, log: record.log }))
}

/// Says that there is nothing to do, and gives the image and its log.
pub(super) fn said(ready: &Ready, reusable: &Reusable) -> anyhow::Result<(Built, PathBuf)> {
    notice(SAID);
    // As after a build: what the script of a dry run reads.
    write_whole(&ready.plan.iidfile, &reusable.made.image.id)?;
    let log = if reusable.log.is_file() {
        reusable.log.clone()
    } else {
        write_whole(&ready.log, &format!("{SAID}\n"))?;
        ready.log.clone()
    };
    Ok((reusable.made.clone(), log))
}

/// Records what was made. Only the next build is slower without the record.
pub(super) fn record(workflow: &Workflow, ready: &Ready, made: &Built) {
    let (Some(fingerprint), Some(reference)) = (&ready.fingerprint, ready.plan.references.first())
    else {
        return;
    };
    let record = fingerprint::Record {
        fingerprint: fingerprint.clone(),
        image_id: made.image.id.clone(),
        size: made.size.clone(),
        log: ready.log.clone(),
    };
    if let Err(error) = fingerprint::record(&workflow.state, reference, record) {
        notice(&format!("warning: remembering what this build read: {error:#}"));
    }
}
