//! Whether a build has anything to do, and the record by which the next one knows.

use super::Ready;
use crate::cli;
use crate::world::World;
use engine::build::{Base, BuildPlan};
use engine::{Engine, leftovers};
use image::config::Workflow;
use image::fingerprint::{self, EngineAnswers};
use image::verify::{self, Built};
use process::notice::notice;
use process::run::Runner;
use process::state::write_whole;
use source::snapshot::Snapshot;
use std::path::{Path, PathBuf};

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
    plan: &BuildPlan,
    snapshot: &Snapshot,
) -> Option<String> {
    let names = plan.passed.iter().map(String::as_str).chain(fingerprint::VARIABLES);
    let values = names.map(|name| world.environment.variable(name).map(str::to_owned)).collect();
    fingerprint::of(&fingerprint::FingerprintInputs {
        engine,
        plan,
        values,
        snapshot: snapshot.sha256(),
    })
}

/// The image that the build would make, if it is here. `absent`: as [`verify::reusable`] says.
pub(super) fn reusable(
    workflow: &Workflow,
    engine: &Engine,
    plan: &BuildPlan,
    fingerprint: &str,
    absent: Option<&str>,
    runner: &Runner,
) -> anyhow::Result<Option<Reusable>> {
    let reference = plan.references.first();
    let record = reference.and_then(|name| fingerprint::recorded(&workflow.state, name));
    let same = |record: &fingerprint::BuildRecord| record.fingerprint == fingerprint;
    let Some(record) = record.filter(same) else { return Ok(None) };
    let image = (record.image_id.as_str(), &record.size);
    let made = verify::reusable(engine, plan, image, absent, runner)?;
    Ok(made.map(|made| Reusable { made, log: record.log }))
}

/// What the last build asked of its engine, if nothing says that the answers are others now.
pub(super) fn known(workflow: &Workflow, args: &cli::Build, key: &str) -> Option<(Engine, Base)> {
    // Whether a layer cache is filled, only its registry can tell.
    let cache = args.cache.is_some() || workflow.config.push.cache.is_some();
    let asks = args.force || args.pull || args.setup || cache;
    if asks || !leftovers::none(&workflow.state) {
        return None;
    }
    let EngineAnswers { engine, base, .. } = fingerprint::known(&workflow.state, key)?;
    // A stand-in serves as long as it is known that its registry can't be reached.
    let serves = !base.standin || registry::was_unreachable(&workflow.state);
    (serves && engine.warnings.is_empty()).then_some((engine, base))
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
pub(super) fn record(workflow: &Workflow, ready: &Ready, made: &Built, log: &Path) {
    let (Some(fingerprint), Some(reference)) = (&ready.fingerprint, ready.plan.references.first())
    else {
        return;
    };
    let record = fingerprint::BuildRecord {
        fingerprint: fingerprint.clone(),
        image_id: made.image.id.clone(),
        size: made.size.clone(),
        log: log.to_owned(),
        known: Some(EngineAnswers {
            key: ready.key.clone(),
            engine: ready.engine.clone(),
            base: ready.plan.base.clone(),
        }),
    };
    if fingerprint::recorded(&workflow.state, reference).as_ref() == Some(&record) {
        return;
    }
    if let Err(error) = fingerprint::record(&workflow.state, reference, record) {
        notice(&format!("warning: remembering what this build read: {error:#}"));
    }
}
