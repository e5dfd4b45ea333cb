//! What a build depends on: asked for once, and whole when it is decided.

use crate::cli;
use crate::commands::init;
use crate::commands::{missing, setup, snapshot, tidy};
use crate::world::World;
use engine::build::{Base, BuildPlan, Cache, SecretSource};
use engine::machine::{self, Machine};
use engine::{Engine, EngineKind, dockerfile};
use image::base::Source;
use image::cache;
use image::config::{self, Variant, Workflow};
use image::plan::{self, BuildFacts, BuildOptions};
use image::project::Missing;
use image::report::STANDIN;
use image::{fingerprint, labels, network, platform, startable};
use process::disk;
use process::failure::{self, Exit, Failure, failure_help};
use process::invocation::Invocation;
use process::notice::notice;
use process::run::Runner;
use process::state;
use source::ci::{self, Identity};
use source::content;
use source::context::ContextFile;
use source::secrets::{self, gate_values};
use source::snapshot::Snapshot;
use std::path::{Path, PathBuf};

/// What is known of a build before any engine is asked.
pub(super) struct Local {
    /// What the command line asks for.
    pub options: BuildOptions,
    /// The files, and what git says of them.
    pub snapshot: Snapshot,
    /// The text of the Dockerfile.
    dockerfile: String,
    /// What the pipeline says of the commit.
    pub identity: Identity,
    /// When the image was made, in seconds since 1970.
    created: i64,
    machine: Machine,
    /// The base as the command line or image.toml names it.
    pub base: String,
    pub log: PathBuf,
}

/// All that a build is decided from.
pub(super) struct Gathered {
    pub local: Local,
    pub engine: Engine,
    /// Whether the engine is only assumed, for a dry run without one.
    pub assumed: bool,
    base: Base,
    /// What a dry run would do to have the base.
    base_steps: Vec<Invocation>,
    layer_cache: Option<Cache>,
}

/// Reads the checkout. Nothing is asked of an engine or installed for one that can't be built.
pub(super) fn local(
    world: &World,
    workflow: &Workflow,
    args: &cli::Build,
) -> anyhow::Result<Local> {
    world.output.mask(&secret_values(world, &workflow.top, args));
    let variant = if args.dev { &workflow.config.dev } else { &workflow.config.prod };
    let options = options(workflow, args)?;
    let (snapshot, dockerfile) = files(world, workflow, variant)?;
    plan::end(&dockerfile, options.target.as_deref(), &variant.dockerfile)?;
    let epoch = world.environment.variable("SOURCE_DATE_EPOCH");
    let created = labels::created(&snapshot.checkout, epoch)?;
    let identity = ci::identity(world.ci.as_ref(), &snapshot.checkout);
    let warnings = snapshot.checkout.warnings.iter().chain(&identity.warnings);
    warnings.for_each(|warning| notice(&format!("warning: {warning}")));
    let asked = args.python.as_deref().map(config::python_base);
    let base = args.base.clone().or(asked).unwrap_or_else(|| variant.base.clone());
    let (machine, log) = (machine::read(&world.environment), workflow.state.new_log("build")?);
    Ok(Local { options, snapshot, dockerfile, identity, created, machine, base, log })
}

impl Local {
    /// What the answers of the engine to this build depend on.
    pub fn key(&self, world: &World, workflow: &Workflow, runner: &Runner) -> String {
        let search = world.search(workflow, &self.machine, runner).key();
        let us = std::env::current_exe().and_then(|us| us.metadata()?.modified()).ok();
        let Local { base, options: BuildOptions { platform, dev, .. }, .. } = self;
        let assets = &workflow.config.assets;
        let key = format!("{search} {us:?} {base} {assets:?} {platform:?} {dev}");
        fingerprint::hash(&[key.as_bytes()])
    }

    /// With what an engine answered before.
    pub fn with(self, (engine, base): (Engine, Base)) -> Gathered {
        let (base_steps, layer_cache) = (Vec::new(), None);
        Gathered { local: self, engine, assumed: false, base, base_steps, layer_cache }
    }
}

/// Asks the engine, the one that was `found` or the one there is.
pub(super) fn asked(
    world: &World,
    workflow: &Workflow,
    runner: &Runner,
    args: &cli::Build,
    local: Local,
    found: Option<(Engine, bool)>,
) -> anyhow::Result<Gathered> {
    let machine = &local.machine;
    if args.setup {
        let wish = cli::Setup { yes: true, ..cli::Setup::default() };
        setup::ensure(world, workflow, machine, wish)?;
    }
    let (engine, assumed) = found.map_or_else(|| engine(world, workflow, machine, runner), Ok)?;
    if !world.common.dry_run {
        state::make_folder(&mount_cache(world)?).map_err(|error| {
            failure::and_help(&error, "XDG_CACHE_HOME names another folder for caches")
        })?;
        tidy(&workflow.state, &engine, runner)?;
    }
    let platform = args.platform.as_deref();
    if let Some(warning) = platform.and_then(|wanted| platform::warning(wanted, &engine, machine)) {
        notice(&format!("warning: {warning}"));
    }
    let images = images(world, workflow, runner, (&engine, assumed), &local.log);
    let (mut base, mut base_steps) = images.resolve(&local.base, args.pull, platform)?;
    if let Some(assets) = workflow.config.assets.as_ref().filter(|_| !args.dev) {
        // It runs, and nothing of it is in the image: it is for this machine, whatever is built.
        let (image, steps) = images.resolve(&assets.base, args.pull, None)?;
        base_steps.extend(steps);
        base.assets = Some(Box::new(image));
    }
    say_base(&base);
    let layer_cache = cache::find(
        &world.environment,
        &workflow.config,
        machine,
        &engine,
        runner,
        args.cache.as_deref(),
        world.common.dry_run,
    )?;
    Ok(Gathered { local, engine, assumed, base, base_steps, layer_cache })
}

/// Prints what a build starts from.
pub(super) fn say_base(base: &Base) {
    notice(&format!("base {}: {}", base.reference, base.why));
    if let Some(assets) = &base.assets {
        notice(&format!("assets are built with {}: {}", assets.reference, assets.why));
    }
    if base.standin {
        notice(STANDIN);
    }
}

impl Gathered {
    /// What the plan is made of.
    pub fn facts<'a>(
        &'a self,
        world: &World,
        workflow: &'a Workflow,
    ) -> anyhow::Result<BuildFacts<'a>> {
        let Local { snapshot, dockerfile, identity, created, machine, .. } = &self.local;
        let checkout = &snapshot.checkout;
        let mut labels = labels::from_git(checkout, identity, *created)?;
        labels.extend(labels::from_config(&workflow.config.image));
        Ok(BuildFacts {
            engine: &self.engine,
            config: &workflow.config,
            labels: labels.into_iter().collect(),
            revision: &checkout.revision,
            created: *created,
            dockerfile: dockerfile.clone(),
            changed: checkout.changed(),
            base: self.base.clone(),
            ca_bundle: machine.ca_bundle.clone(),
            proxies: network::proxies(&world.environment.variables),
            index_variable: network::index_variable(&world.environment.variables),
            mirror_variable: world.environment.variable(network::MIRROR).is_some(),
            npm_variable: network::npm_variable(&world.environment.variables),
            layer_cache: self.layer_cache.clone(),
            state: &workflow.state,
            cache: (mount_cache(world)?, machine.uid),
        })
    }

    /// What a dry run would do before the build. Other runs have the images now that the Dockerfile
    /// names itself.
    pub fn first(
        &self,
        world: &World,
        workflow: &Workflow,
        runner: &Runner,
        args: &cli::Build,
        plan: &BuildPlan,
    ) -> anyhow::Result<Vec<Invocation>> {
        let mut first = self.base_steps.clone();
        first.push(snapshot_command(&self.local.snapshot, args));
        if self.engine.kind == EngineKind::Podman {
            // It is told to pull nothing; Docker's builder fetches missing images itself.
            let images =
                images(world, workflow, runner, (&self.engine, self.assumed), &self.local.log);
            for image in dockerfile::images(&plan.text, &plan.build_args) {
                first.extend(images.fetch(&image, args.pull, args.platform.as_deref())?);
            }
        }
        Ok(first)
    }
}

pub(super) fn images<'a>(
    world: &'a World,
    workflow: &'a Workflow,
    runner: &'a Runner,
    (engine, assumed): (&'a Engine, bool),
    log: &Path,
) -> Source<'a> {
    Source {
        environment: &world.environment,
        runner,
        state: &workflow.state,
        engine,
        assumed,
        top: &workflow.top,
        log: log.to_owned(),
        network: &workflow.config.network,
        python: workflow.oldest_python(),
        dry_run: world.common.dry_run,
    }
}

/// The snapshot, copied for the engine but for a dry run, and the text of the Dockerfile in it. What
/// can't be built is refused.
fn files(
    world: &World,
    workflow: &Workflow,
    variant: &Variant,
) -> anyhow::Result<(Snapshot, String)> {
    let snapshot = snapshot(world, workflow, variant, !world.common.dry_run)?;
    let warnings = snapshot.warnings(&workflow.root);
    warnings.iter().for_each(|warning| notice(&format!("warning: {warning}")));
    secrets::gate(&snapshot.contents, &workflow.config.allow_secrets)?;
    let text = text_of(workflow, &snapshot, &variant.dockerfile)?;
    init::require_current(workflow)?;
    startable::check(&snapshot.contents, &dockerfile::instructions(&text))?;
    look_at_project(workflow, &snapshot.files)?;
    Ok((snapshot, text))
}

/// What the command line asks for, if it can be.
fn options(workflow: &Workflow, args: &cli::Build) -> anyhow::Result<BuildOptions> {
    let arguments = args.build_arg.iter().map(|(name, value)| ("--build-arg", name, value));
    let labels = args.label.iter().map(|(name, value)| ("--label", name, value));
    let given = arguments.chain(labels).map(|(option, name, value)| (option, &**name, &**value));
    gate_values(given, &workflow.config.allow_secrets)?;
    let options = BuildOptions {
        dev: args.dev,
        target: args.target.clone(),
        tags: args.tag.clone(),
        build_args: args.build_arg.clone(),
        secrets: args.secret.clone(),
        labels: args.label.clone(),
        no_cache: args.no_cache,
        squash: args.squash,
        platform: args.platform.clone(),
    };
    options.check(&workflow.config.image.name)?;
    secret_files(&workflow.top, args)?;
    Ok(options)
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

/// Refuses a project that can't be built; warns about anything else that is missing.
fn look_at_project(workflow: &Workflow, files: &[ContextFile]) -> anyhow::Result<()> {
    let (certain, rest): (Vec<Missing>, _) =
        missing(workflow, files)?.into_iter().partition(|lack| lack.certain);
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

/// Secrets that may be seen: they are no layer's, and no password.
const PUBLIC: [&str; 2] = ["ca", "versions"];

/// What must not be seen in the log of a pipeline: the secrets of the command line, and what the
/// variables of the network have before an `@`.
fn secret_values(world: &World, top: &Path, args: &cli::Build) -> Vec<String> {
    let given = args.secret.iter().filter(|secret| !PUBLIC.contains(&secret.id.as_str()));
    let given = given.filter_map(|secret| match &secret.source {
        SecretSource::Environment(name) => world.environment.variable(name).map(str::to_owned),
        SecretSource::File(path) => std::fs::read_to_string(top.join(path)).ok(),
    });
    given.chain(network::passwords(&world.environment.variables)).collect()
}

/// The folder of cache mounts.
fn mount_cache(world: &World) -> anyhow::Result<PathBuf> {
    Ok(world.environment.cache()?.join("cache-mounts"))
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
