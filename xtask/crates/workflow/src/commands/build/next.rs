//! What the next build would do, told without asking an engine.

use super::{gather, unchanged};
use crate::cli;
use crate::commands::checkout;
use crate::world::World;
use clap::ValueEnum as _;
use engine::EngineKind;
use image::config::Workflow;
use image::{fingerprint, plan, reason};
use source::git::Checkout;

/// What the production image of this checkout is, seen from its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// No build was recorded here.
    Never,
    /// `build` would find nothing to do.
    UpToDate,
    /// These files of it changed; none if only labels, settings or the base did.
    Changed(Vec<String>),
    /// `build` would refuse: why.
    Refused(String),
}

/// What is known without an engine.
pub struct CheckoutState {
    pub checkout: Checkout,
    /// The name of the production image, and what the last build recorded of it.
    pub last: Option<(String, fingerprint::BuildRecord)>,
    pub next: Next,
}

/// What the next build of a checkout would do.
///
/// # Errors
/// [`process::failure::Exit::Git`] when git has no answer.
pub fn next(world: &World, workflow: &Workflow) -> anyhow::Result<CheckoutState> {
    // Nothing is copied, and no lock taken.
    let mut world = world.clone();
    world.common.dry_run = true;
    let args = cli::Build::default();
    let names = EngineKind::value_variants()
        .iter()
        .map(|kind| plan::local(*kind, &workflow.config.image.name, "prod"));
    let recorded =
        |name: String| fingerprint::recorded(&workflow.state, &name).map(|record| (name, record));
    let last = names.into_iter().find_map(recorded);
    let local = match gather::local(&world, workflow, &args) {
        Ok(local) => local,
        Err(error) => {
            let (checkout, _) = checkout(&world, workflow)?;
            return Ok(CheckoutState { checkout, last, next: Next::Refused(format!("{error:#}")) });
        }
    };
    let checkout = local.snapshot.checkout.clone();
    let Some((_, record)) = &last else {
        return Ok(CheckoutState { checkout, last, next: Next::Never });
    };
    let before = reason::recorded(&workflow.state, "prod").unwrap_or_default();
    let files = reason::changed_files(&before, &local.snapshot);
    // With the engine and the base of that build: nothing is asked.
    let Some(known) = record.known.clone() else {
        return Ok(CheckoutState { checkout, last, next: Next::Changed(files) });
    };
    let gathered = local.with((known.engine, known.base));
    let plan = plan::build(&gathered.local.options, &gathered.facts(&world, workflow)?)?;
    let taken = &gathered.local.snapshot;
    let fingerprint = unchanged::fingerprint(&world, &gathered.engine, &plan, taken);
    if fingerprint.as_ref() == Some(&record.fingerprint) {
        return Ok(CheckoutState { checkout, last, next: Next::UpToDate });
    }
    Ok(CheckoutState { checkout, last, next: Next::Changed(files) })
}
