//! `build`: reads the world, decides, runs the engine, and believes only what it has inspected.

use super::at_commit::at_commit;
use crate::cli;
use crate::world::World;
use engine::build::{Base, Build, SecretSource};
use engine::dockerfile;
use engine::label;
use engine::leftovers;
use engine::machine::{self, Machine};
use engine::{Engine, Kind, words};
use image::base::Source;
use image::cache;
use image::config::{Variant, Workflow};
use image::labels;
use image::network;
use image::plan::{self, Facts, Wishes};
use image::platform;
use image::project::Lack;
use image::report::{self, STANDIN};
use image::startable;
use image::tags;
use image::verify::{self, Made};
use process::disk;
use process::failure::{self, Exit, Failure, failure_help};
use process::invocation::Invocation;
use process::notice::notice;
use process::run::Runner;
use process::state::{self, State};
use source::ci;
use source::ci::Identity;
use source::content;
use source::context::ContextFile;
use source::git::Checkout;
use source::secrets;
use source::secrets::gate_values;
use source::snapshot::Snapshot;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

mod unchanged;

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
    if world.common.dry_run {
        return show(world, &ready, &workflow.top);
    }
    let report = make(world, workflow, runner, &ready)?;
    let facts = tags::Facts::of(&ready.checkout, &ready.identity, None);
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
    pub plan: Build,
    /// What a dry run would do before it.
    first: Vec<Invocation>,
    log: PathBuf,
    /// The fingerprint of all that the build reads; `None` where only the build itself can tell.
    fingerprint: Option<String>,
    /// The image of the last build, where that read the same.
    standing: Option<unchanged::Standing>,
}

/// Reads the world and decides, on the engine that was `found` already or the one there is; finds,
/// pulls or makes the base. The caller holds the lock of the checkout, but for a dry run.
pub fn prepare(
    world: &World,
    workflow: &Workflow,
    runner: &Runner,
    args: &cli::Build,
    found: Option<(Engine, bool)>,
) -> anyhow::Result<Ready> {
    world.output.mask(&secret_values(world, &workflow.top, args));
    let dry_run = world.common.dry_run;
    let variant = if args.dev { &workflow.config.dev } else { &workflow.config.prod };
    let arguments = args.build_arg.iter().map(|(name, value)| ("--build-arg", name, value));
    let labels = args.label.iter().map(|(name, value)| ("--label", name, value));
    let given = arguments.chain(labels).map(|(option, name, value)| (option, &**name, &**value));
    gate_values(given, &workflow.config.allow_secrets)?;
    // Nothing is asked or installed for a checkout that can't be built.
    let wishes = wishes(args);
    wishes.check(&workflow.config.image.name)?;
    secret_files(&workflow.top, args)?;
    let snapshot = gather(world, workflow, variant, !dry_run)?;
    let dockerfile = text_of(workflow, &snapshot, &variant.dockerfile)?;
    plan::end(&dockerfile, wishes.target.as_deref(), &variant.dockerfile)?;
    let created = created(world, &snapshot.checkout)?;
    let machine = machine::read(&world.environment);
    if args.setup {
        let setup = cli::Setup { yes: true, ..cli::Setup::default() };
        super::setup::ensure(world, workflow, &machine, setup)?;
    }
    let (engine, assumed) = found.map_or_else(|| engine(world, workflow, &machine, runner), Ok)?;
    let checkout = &snapshot.checkout;
    let identity = ci::identity(world.ci.as_ref(), checkout);
    let warnings = checkout.warnings.iter().chain(&identity.warnings);
    warnings.for_each(|warning| notice(&format!("warning: {warning}")));
    if !dry_run {
        state::make_folder(&mount_cache(world)?).map_err(|error| {
            failure::and_help(&error, "XDG_CACHE_HOME names another folder for caches")
        })?;
        super::tidy(&workflow.state, &engine, runner)?;
    }
    if let Some(platform) = &args.platform
        && let Some(warning) = platform::warning(platform, &engine, &machine)
    {
        notice(&format!("warning: {warning}"));
    }
    let log = workflow.state.new_log("build")?;
    let images = Source {
        environment: &world.environment,
        runner,
        state: &workflow.state,
        engine: &engine,
        assumed,
        top: &workflow.top,
        log: log.clone(),
        network: &workflow.config.network,
        dry_run,
    };
    let asked = args.python.as_deref().map(image::config::python_base);
    let base = args.base.as_ref().or(asked.as_ref()).unwrap_or(&variant.base);
    let (base, mut first) = images.resolve(base, args.pull, args.platform.as_deref())?;
    notice(&format!("base {}: {}", base.reference, base.why));
    first.push(snapshot_command(&snapshot, args));
    let layer_cache = cache::find(
        &world.environment,
        &workflow.config,
        &machine,
        &engine,
        runner,
        args.cache.as_deref(),
        world.common.dry_run,
    )?;
    let labels = labels::from_git(checkout, &identity, created)?;
    let facts = facts(world, workflow, &machine, &engine, checkout, base)?;
    let labels = labels.into_iter().chain(facts.labels).collect();
    let facts = Facts { dockerfile, layer_cache, labels, ..facts };
    let plan = plan::build(&wishes, &facts)?;
    if engine.kind == Kind::Podman {
        // It is told to pull nothing; Docker's builder fetches what it lacks.
        for image in dockerfile::images(&plan.text, &plan.build_args) {
            first.extend(images.fetch(&image, args.pull, args.platform.as_deref())?);
        }
    }
    let fingerprint = unchanged::fingerprint(world, &engine, &plan, &snapshot);
    let standing = if args.force || assumed {
        None
    } else {
        unchanged::standing(workflow, &engine, &plan, fingerprint.as_ref(), runner)?
    };
    if plan.squash {
        notice(
            "building every layer anew: a squashed layer neither comes from the layer cache nor goes into it",
        );
    }
    let checkout = snapshot.checkout;
    Ok(Ready { engine, checkout, identity, plan, first, log, fingerprint, standing })
}

/// What the build is made of, and whether it can be built; copied for the engine with `copy`.
fn gather(
    world: &World,
    workflow: &Workflow,
    variant: &Variant,
    copy: bool,
) -> anyhow::Result<Snapshot> {
    let snapshot = super::snapshot(world, workflow, variant, copy)?;
    let warnings = snapshot.warnings(&workflow.root);
    warnings.iter().for_each(|warning| notice(&format!("warning: {warning}")));
    secrets::gate(&snapshot.contents, &workflow.config.allow_secrets)?;
    let text = text_of(workflow, &snapshot, &variant.dockerfile)?;
    startable::check(&snapshot.contents, &dockerfile::instructions(&text))?;
    look_at_project(workflow, &snapshot.files)?;
    Ok(snapshot)
}

/// The text of the Dockerfile as it is in the snapshot.
fn text_of(workflow: &Workflow, snapshot: &Snapshot, path: &str) -> anyhow::Result<String> {
    let text = disk::text(&workflow.root.join(path), path)?;
    let taken = snapshot.beside.get(path).map(|content| content.sha256.as_str());
    if taken == Some(content::sha256(text.as_bytes()).as_str()) {
        return Ok(text);
    }
    let message = format!("reading {path}: it was changed since this command began");
    Err(failure_help(Exit::Mismatch, message, "run it again"))
}

/// What a script for sh starts to make the same snapshot, or to fail.
fn snapshot_command(snapshot: &Snapshot, args: &cli::Build) -> Invocation {
    let mut words: Vec<String> = ["xtask", "context", "--snapshot"].map(String::from).to_vec();
    words.extend(args.dev.then(|| "--dev".to_owned()));
    if args.commit.is_some() {
        words.extend(["--commit".to_owned(), snapshot.checkout.revision.clone()]);
    }
    words.extend(["--expect".to_owned(), snapshot.sha256()]);
    Invocation::new("cargo", words)
}

/// Builds what was decided.
pub fn make(
    world: &World,
    workflow: &Workflow,
    runner: &Runner,
    ready: &Ready,
) -> anyhow::Result<report::Build> {
    let Ready { engine, plan, log, .. } = ready;
    if let Some(standing) = &ready.standing {
        let (made, log) = unchanged::said(ready, standing)?;
        return Ok(report(world, ready, made, log));
    }
    let made = build(workflow, engine, plan, runner, log)?;
    unchanged::record(workflow, ready, &made);
    // Podman has sent each layer as it was made.
    let kept = plan.layer_cache.as_ref().filter(|cache| cache.writes);
    if let Some(cache) = kept.filter(|_| engine.kind == Kind::Docker) {
        cache::keep(cache, engine, &made.image.id, runner, log)?;
    }
    Ok(report(world, ready, made, log.clone()))
}

/// Refuses a project that can't be built, before anything runs; what else it lacks is said.
fn look_at_project(workflow: &Workflow, files: &[ContextFile]) -> anyhow::Result<()> {
    let (certain, rest): (Vec<Lack>, _) =
        super::lacks(workflow, files)?.into_iter().partition(|lack| lack.certain);
    for lack in rest {
        notice(&format!("warning: {}: {}", lack.what, lack.remedy));
    }
    if certain.is_empty() {
        return Ok(());
    }
    let plural = if certain.len() == 1 { "thing is" } else { "things are" };
    let message = format!("looking at the project in app/: {} {plural} missing", certain.len());
    let help = certain.iter().map(|lack| format!("{}: {}", lack.what, lack.remedy)).collect();
    Err(Failure { exit: Exit::Usage, message, help }.into())
}

/// The engine, and whether it was only assumed for a dry run.
///
/// # Errors
/// [`Exit::Engine`] where none works.
pub fn engine(
    world: &World,
    workflow: &Workflow,
    machine: &Machine,
    runner: &Runner,
) -> anyhow::Result<(Engine, bool)> {
    let search = world.search(workflow, machine, runner);
    let (engine, assumed) = match world.common.dry_run {
        true => search.said_or_assumed()?,
        false => (search.said()?, false),
    };
    engine.warnings.iter().for_each(|warning| notice(&format!("warning: {warning}")));
    Ok((engine, assumed))
}

fn wishes(args: &cli::Build) -> Wishes {
    Wishes {
        dev: args.dev,
        target: args.target.clone(),
        tags: args.tag.clone(),
        build_args: args.build_arg.clone(),
        secrets: args.secret.clone(),
        labels: args.label.clone(),
        no_cache: args.no_cache,
        squash: args.squash,
        platform: args.platform.clone(),
    }
}

/// What must not be seen in the log of a pipeline: the secrets of the command line, and what the
/// variables of the network have before an `@`.
fn secret_values(world: &World, top: &Path, args: &cli::Build) -> Vec<String> {
    let given = args.secret.iter().filter(|secret| secret.id != "ca");
    let given = given.filter_map(|secret| match &secret.source {
        SecretSource::Environment(name) => world.environment.variable(name).map(str::to_owned),
        SecretSource::File(path) => std::fs::read_to_string(top.join(path)).ok(),
    });
    given.chain(network::passwords(&world.environment.variables)).collect()
}

fn facts<'a>(
    world: &World,
    workflow: &'a Workflow,
    machine: &Machine,
    engine: &'a Engine,
    checkout: &'a Checkout,
    base: Base,
) -> anyhow::Result<Facts<'a>> {
    if base.standin {
        notice(STANDIN);
    }
    Ok(Facts {
        engine,
        config: &workflow.config,
        labels: labels::from_config(&workflow.config.image),
        revision: &checkout.revision,
        dockerfile: String::new(),
        changed: checkout.changed(),
        base,
        ca_bundle: machine.ca_bundle.clone(),
        proxies: network::proxies(&world.environment.variables),
        index_variable: network::index_variable(&world.environment.variables),
        layer_cache: None,
        state: &workflow.state,
        cache: (mount_cache(world)?, machine.uid),
    })
}

/// The folder of cache mounts.
fn mount_cache(world: &World) -> anyhow::Result<PathBuf> {
    Ok(world.environment.cache()?.join("cache-mounts"))
}

/// When the image was made, as its label will say.
fn created(world: &World, checkout: &Checkout) -> anyhow::Result<i64> {
    labels::created(checkout, world.environment.variable("SOURCE_DATE_EPOCH"))
}

/// Refuses files of `--secret` that can't be read.
fn secret_files(top: &Path, args: &cli::Build) -> anyhow::Result<()> {
    let wrong = args.secret.iter().filter_map(|secret| {
        let SecretSource::File(path) = &secret.source else { return None };
        let error = std::fs::File::open(top.join(path)).err()?;
        let doing = format!("reading the secret {}:", secret.id);
        let failed = disk::failed(&doing, &top.join(path), &error);
        Some(failure::and_help(&failed, "a path there is relative to the top folder"))
    });
    failure::all("reading --secret", wrong.collect())
}

/// `--dry-run`: the script, or with `--format json` the plan and its commands.
fn show(world: &World, ready: &Ready, top: &Path) -> anyhow::Result<()> {
    let (plan, script) = (&ready.plan, ready.script(top));
    let commands: Vec<&str> = script.lines().collect();
    if ready.standing.is_some() {
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
fn build(
    workflow: &Workflow,
    engine: &Engine,
    plan: &Build,
    runner: &Runner,
    log: &Path,
) -> anyhow::Result<Made> {
    let made = verify::build(workflow, engine, plan, runner, log);
    if made.is_err() {
        // Whatever signal ended the build must not end the tidying, too.
        let calm = Runner { signal: Arc::new(AtomicUsize::new(0)), ..runner.clone() };
        leftovers::clean(&workflow.state, engine, &calm)?;
    }
    made
}

fn report(world: &World, ready: &Ready, made: Made, log: PathBuf) -> report::Build {
    let Ready { engine, plan, checkout, .. } = ready;
    let label = |name: &str| plan.labels.get(&format!("{}{name}", label::OCI)).cloned();
    report::Build {
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
        base: plan.base.reference.clone(),
        base_digest: plan.base.digest.clone(),
        standin: plan.base.standin,
        built: made.built,
        cached_steps: made.cached_steps,
        seconds: world.start.elapsed().as_secs_f64(),
        log,
    }
}
