//! Whether a build has anything to do, and the record by which the next one knows.

use super::Ready;
use crate::engine::Engine;
use crate::ignore::Ignore;
use crate::plan;
use crate::verify::Made;
use crate::world::{Workflow, World};
use crate::{context, fingerprint};
use std::path::Path;

/// What is said where nothing is to be built.
pub(super) const SAID: &str =
    "nothing has changed since the last build, whose image is here; --force builds all the same";

/// The build context of the workflow at `top`, and the rules that made it.
pub(super) fn listed(top: &Path) -> anyhow::Result<(Ignore, fingerprint::Listed)> {
    let ignore = context::read_ignore(top)?;
    let listed = context::files_and_folders(top, &ignore)?;
    Ok((ignore, listed))
}

/// What the fingerprint of a build is made of.
pub(super) fn inputs<'a>(
    world: &World,
    workflow: &'a Workflow,
    engine: &'a Engine,
    plan: &'a plan::Build,
    dockerfile: &'a str,
) -> fingerprint::Inputs<'a> {
    let passed = plan.passed.iter().map(|name| world.variable(name).map(str::to_owned));
    fingerprint::Inputs { engine, plan, passed: passed.collect(), dockerfile, top: &workflow.top }
}

/// Records what was made, unless a file was changed while it was: then nobody knows which of the two
/// is in the image.
pub(super) fn record(
    world: &World,
    workflow: &Workflow,
    ready: &Ready,
    made: &Made,
) -> anyhow::Result<()> {
    let Ready { engine, plan, .. } = ready;
    let (Some(before), Some(reference)) = (&ready.fingerprint, plan.references.first()) else {
        return Ok(());
    };
    let text = super::dockerfile(workflow, &plan.dockerfile)?;
    let (_, listed) = listed(&workflow.top)?;
    let after = fingerprint::of(&inputs(world, workflow, engine, plan, &text), &listed)?;
    if after.as_ref() != Some(before) {
        return Ok(());
    }
    let made = fingerprint::Record {
        fingerprint: before.clone(),
        image_id: made.image.id.clone(),
        size: made.size.clone(),
    };
    fingerprint::record(&workflow.state, reference, made)
}
