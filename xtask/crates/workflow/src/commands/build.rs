//! `build`: gathers, decides, runs the engine, and believes only what it has inspected.

use super::at_commit::at_commit;
use crate::cli;
use crate::world::World;
use engine::build::BuildPlan;
use engine::{Engine, EngineKind, label, leftovers, words};
use image::cache;
use image::config::Workflow;
use image::plan;
use image::reason::{self, Inputs};
use image::report;
use image::tags;
use image::verify::{self, Built};
use process::invocation::Invocation;
use process::notice::notice;
use process::run::Runner;
use process::state::State;
use source::ci::Identity;
use source::git::Checkout;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

mod gather;
mod next;
mod unchanged;
mod update;

pub use gather::engine;
use gather::{Gathered, Local};
pub use next::{CheckoutState, Next, next};

/// How long a build waits for another one of the same checkout.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// The command.
///
/// # Errors
/// Every [`Exit`] but those of registries that are pushed to.
pub fn run(world: &World, args: &cli::Build) -> anyhow::Result<()> {
    let top = super::at_commit::top(&world.folder, args.commit.as_deref())?;
    let runner = world.runner(&top);
    let lock = || State::of(&top).lock(PATIENCE);
    let _lock = if world.common.dry_run { None } else { Some(lock()?) };
    if args.update_base {
        update::update(world, &world.workflow()?, &runner)?;
    }
    match &args.commit {
        Some(commit) => build_of(world, &*at_commit(&top, commit)?, &runner, args),
        None => build_of(world, &world.workflow()?, &runner, args),
    }
}

/// The command, on what the work tree or a commit has.
fn build_of(
    world: &World,
    workflow: &Workflow,
    runner: &Runner,
    args: &cli::Build,
) -> anyhow::Result<()> {
    let ready = prepare(world, workflow, runner, args, None)?;
    if args.pull && ready.plan.base.reference.contains('@') {
        notice(
            "--pull: the base has a fixed digest, and `build --update-base` looks for a newer one",
        );
    }
    if world.common.dry_run {
        return show(world, &ready, &workflow.top);
    }
    let report = make(world, workflow, runner, &ready)?;
    let facts = tags::TagFacts::of(&ready.checkout, &ready.identity, None);
    let names = tags::names(&workflow.config.tags, &facts)?;
    let names: Vec<String> = names.tags.into_iter().map(|tag| tag.name).collect();
    world.output.hand_over(&report.outputs(&names), &report.markdown())?;
    world.output.result(&report.to_string(), &serde_json::to_value(&report)?)
}

/// A build that was decided and hasn't begun.
pub struct Ready {
    /// What builds.
    pub engine: Engine,
    /// What git says of what is built.
    pub checkout: Checkout,
    /// What the pipeline says of it.
    pub identity: Identity,
    pub plan: BuildPlan,
    /// What a dry run would do before it.
    first: Vec<Invocation>,
    pub log: PathBuf,
    /// What the engine's answers depend on.
    key: String,
    /// What the build reads, if there is something to build.
    read: Option<Inputs>,
    /// The fingerprint of all that the build reads; `None` where only the build itself can tell.
    fingerprint: Option<String>,
    /// The image of the last build, if that read the same.
    reusable: Option<unchanged::Reusable>,
}

/// Decides a build from what is gathered, on the engine that was `found` already or the one there is.
/// The caller holds the lock of the checkout, but for a dry run.
pub fn prepare(
    world: &World,
    workflow: &Workflow,
    runner: &Runner,
    args: &cli::Build,
    found: Option<(Engine, bool)>,
) -> anyhow::Result<Ready> {
    let mut local = gather::local(world, workflow, args)?;
    let key = local.key(world, workflow, runner);
    if found.is_none()
        && !world.common.dry_run
        && let Some(known) = unchanged::known(workflow, args, &key)
    {
        let absent = (known.1.reference != local.base).then(|| local.base.clone());
        let gathered = local.with(known);
        let decided = decide(world, workflow, runner, args, &gathered, absent.as_deref())?;
        if decided.reusable.is_some() {
            gathered.engine.say();
            gather::say_base(&decided.plan.base);
            return Ok(decided.ready(gathered, key, Vec::new()));
        }
        local = gathered.local;
    }
    let gathered = gather::asked(world, workflow, runner, args, local, found)?;
    let decided = decide(world, workflow, runner, args, &gathered, None)?;
    let first = gathered.first(world, workflow, runner, args, &decided.plan)?;
    if decided.plan.squash {
        notice(
            "building every layer anew: a squashed layer neither comes from the layer cache nor goes into it",
        );
    }
    Ok(decided.ready(gathered, key, first))
}

/// A plan, and whether anything has to be done for it.
struct Decided {
    plan: BuildPlan,
    fingerprint: Option<String>,
    reusable: Option<unchanged::Reusable>,
}

/// `absent`: as [`verify::reusable`] says.
fn decide(
    world: &World,
    workflow: &Workflow,
    runner: &Runner,
    args: &cli::Build,
    gathered: &Gathered,
    absent: Option<&str>,
) -> anyhow::Result<Decided> {
    let Gathered { local, engine, assumed, .. } = gathered;
    let plan = plan::build(&local.options, &gathered.facts(world, workflow)?)?;
    let fingerprint = unchanged::fingerprint(world, engine, &plan, &local.snapshot);
    let reusable = match &fingerprint {
        Some(fingerprint) if !args.force && !assumed => {
            unchanged::reusable(workflow, engine, &plan, fingerprint, absent, runner)?
        }
        _ => None,
    };
    Ok(Decided { plan, fingerprint, reusable })
}

impl Decided {
    fn ready(self, gathered: Gathered, key: String, first: Vec<Invocation>) -> Ready {
        let Decided { plan, fingerprint, reusable } = self;
        let Gathered { local, engine, .. } = gathered;
        let Local { snapshot, identity, log, options, .. } = local;
        // A stage is no build of the whole.
        let whole = options.target.is_none() && reusable.is_none();
        let read = whole.then(|| reason::inputs(&plan, &snapshot));
        let checkout = snapshot.checkout;
        Ready { engine, checkout, identity, plan, first, log, key, read, fingerprint, reusable }
    }
}

/// Builds what was decided.
pub fn make(
    world: &World,
    workflow: &Workflow,
    runner: &Runner,
    ready: &Ready,
) -> anyhow::Result<report::BuildReport> {
    let Ready { engine, plan, log, .. } = ready;
    if let Some(reusable) = &ready.reusable {
        let (made, log) = unchanged::said(ready, reusable)?;
        unchanged::record(workflow, ready, &made, &log);
        return Ok(report(world, ready, made, log));
    }
    let read = ready.read.as_ref();
    let before = reason::recorded(&workflow.state, plan.variant).filter(|_| !plan.no_cache);
    if let (Some(read), Some(before)) = (read, before) {
        reason::reason(plan, &before, read).iter().for_each(|why| notice(why));
    }
    let made = build(workflow, engine, plan, runner, log)?;
    if let Some(read) = read {
        reason::record(&workflow.state, plan.variant, read)?;
    }
    unchanged::record(workflow, ready, &made, log);
    // Podman has sent each layer as it was made.
    let kept = plan.layer_cache.as_ref().filter(|cache| cache.writes);
    if let Some(cache) = kept.filter(|_| engine.kind == EngineKind::Docker) {
        cache::keep(cache, engine, &made.image.id, runner, log)?;
    }
    Ok(report(world, ready, made, log.clone()))
}

/// `--dry-run`: the script, or with `--format json` the plan and its commands.
fn show(world: &World, ready: &Ready, top: &Path) -> anyhow::Result<()> {
    let (plan, script) = (&ready.plan, ready.script(top));
    let commands: Vec<&str> = script.lines().collect();
    if ready.reusable.is_some() {
        notice(&format!("{}, as this script does", unchanged::SAID));
    }
    let json = serde_json::json!({
        "reference": plan.references.first(),
        "references": plan.references,
        "labels": plan.labels,
        "build_args": plan.build_args,
        "base": plan.base.reference,
        "standin": plan.base.standin,
        "commands": commands,
    });
    world.output.result(&script, &json)
}

impl Ready {
    /// What would run, as a script for sh.
    pub fn script(&self, top: &Path) -> String {
        words::script(&self.engine, &self.plan, top, &self.first)
    }
}

/// Runs the build, and removes what it left behind when it did not end well.
pub fn build(
    workflow: &Workflow,
    engine: &Engine,
    plan: &BuildPlan,
    runner: &Runner,
    log: &Path,
) -> anyhow::Result<Built> {
    let made = verify::build(workflow, engine, plan, runner, log);
    if made.is_err() {
        // The signal that ended the build must not also end the tidying.
        let calm = Runner { signal: Arc::new(AtomicUsize::new(0)), ..runner.clone() };
        leftovers::clean(&workflow.state, engine, &calm)?;
    }
    made
}

fn report(world: &World, ready: &Ready, made: Built, log: PathBuf) -> report::BuildReport {
    let Ready { engine, plan, checkout, .. } = ready;
    let label = |name: &str| plan.labels.get(&format!("{}{name}", label::OCI)).cloned();
    report::BuildReport {
        reference: plan.references.first().cloned().unwrap_or_default(),
        references: plan.references.clone(),
        image_id: made.image.id,
        config_digest: made.size.config_digest,
        version: label("version").unwrap_or_default(),
        revision: label("revision").unwrap_or_default(),
        created: label("created").unwrap_or_default(),
        dirty: checkout.dirty.clone(),
        context_changes: checkout.context_changes.clone(),
        size_bytes: made.size.bytes,
        size_exact: made.size.exact,
        compressed_bytes: None,
        size_budget: plan.size_budget,
        layers: made.image.layers.len(),
        labels: made.image.labels,
        engine: engine.kind.to_string(),
        engine_version: engine.version.to_string(),
        base: plan.base.name().to_owned(),
        base_digest: plan.base.digest.clone(),
        standin: plan.base.standin,
        built: made.built,
        cached_steps: made.cached_steps,
        seconds: world.start.elapsed().as_secs_f64(),
        log,
    }
}
