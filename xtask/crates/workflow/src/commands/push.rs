//! `push`: sends an image to registries under its names.

use crate::cli;
use crate::world::World;
use engine::machine::{self, Machine};
use engine::reference::Reference;
use engine::{self, Engine, leftovers};
use image::config::Workflow;
use image::plan::push::{self as planned, ImageIdentity};
use image::push::{self, Job, LocalImage, subject};
use image::report::push::PushReport as Report;
use image::tags::{Tag, TagKind};
use process::run::Runner;
use process::state::State;
use registry::{Client, ClientSettings};
use source::git::ancestry::ancestry;
use std::path::PathBuf;
use std::time::Duration;

/// The longest that one request of ours may take.
const REQUEST: Duration = Duration::from_secs(30);

/// The command.
///
/// # Errors
/// Exit 3 for an image that must not be pushed, 6 and 7 of the registries, 10 for a digest that
/// isn't the one pushed; 130 or 143 after a signal.
pub fn run(world: &World, args: &cli::push::Push) -> anyhow::Result<()> {
    let workflow = world.workflow()?;
    let config = &workflow.config;
    let targets = planned::targets(&args.registry, &config.push.registries, &config.image.name)?;
    if !args.tag.is_empty() {
        planned::tags(&args.tag, &ImageIdentity::default(), &config.tags)?;
    }
    let runner = world.runner(&workflow.top);
    let machine = machine::read(&world.environment);
    let engine = world.search(&workflow, &machine, &runner).said()?;
    if !world.common.dry_run {
        super::tidy_alone(&workflow.state, &engine, &runner)?;
    }
    let reference = match &args.image {
        Some(image) => image.clone(),
        None => image::plan::local(engine.kind, &config.image.name, "prod"),
    };
    let image = subject(&engine, &runner, &workflow.state, &reference)?;
    planned::check_base(&image.image.labels, args.allow_standin)?;
    let tags = planned::tags(&args.tag, &image.identity, &config.tags)?;
    let sending = Sending {
        world,
        workflow: &workflow,
        machine: &machine,
        engine: &engine,
        runner: &runner,
        force: args.force,
        timeout: args.timeout,
    };
    let dry_run = world.common.dry_run;
    let clients = sending.open(&targets, image.size_bytes, !dry_run)?;
    if dry_run {
        return sending.with_job(&image, &tags, |job| preview(world, job, clients));
    }
    let (report, outcome, _) = sending.send(&image, &tags, clients)?;
    world.output.result(&report.to_string(), &serde_json::to_value(&report)?)?;
    outcome
}

/// The file to which Podman writes the digest of what the process `id` pushes.
pub fn digest_file(state: &State, id: &str) -> PathBuf {
    state.folder.join(format!("digest-{id}"))
}

/// What a push needs in addition to the image, its tags and the registries.
pub struct Sending<'a> {
    /// The surroundings.
    pub world: &'a World,
    /// The checkout.
    pub workflow: &'a Workflow,
    pub machine: &'a Machine,
    /// The engine that has the image.
    pub engine: &'a Engine,
    /// Starts it.
    pub runner: &'a Runner,
    /// Move tags whatever they name.
    pub force: bool,
    /// The longest that one push may take, in seconds, if the command line sets it.
    pub timeout: Option<u64>,
}

/// What requests of ours to a registry need to know.
pub fn surroundings<'a>(
    world: &'a World,
    workflow: &Workflow,
    machine: &'a Machine,
    engine: &'a Engine,
    runner: &'a Runner,
) -> ClientSettings<'a> {
    let own = workflow.config.push.timeout.map(Duration::from_secs);
    let limit = own.map_or(REQUEST, |own| own.min(REQUEST));
    let attempts = registry::ATTEMPTS;
    ClientSettings { environment: &world.environment, machine, engine, runner, limit, attempts }
}

impl Sending<'_> {
    fn limit(&self, bytes: u64) -> Duration {
        planned::limit(self.timeout, self.workflow.config.push.timeout, bytes)
    }

    /// The way to each registry. With `writes` it is asked whether we may push there: before any
    /// work, so that `bytes` need not be known yet (0).
    pub fn open(
        &self,
        targets: &[Reference],
        bytes: u64,
        writes: bool,
    ) -> anyhow::Result<Vec<Client>> {
        let usual = surroundings(self.world, self.workflow, self.machine, self.engine, self.runner);
        let surroundings = ClientSettings { limit: REQUEST.min(self.limit(bytes)), ..usual };
        push::open(targets, &surroundings, writes)
    }

    /// Refuses an image that isn't made yet if it can't have its immutable tags.
    ///
    /// # Errors
    /// [`Exit::RegistryRefused`](process::failure::Exit::RegistryRefused) for those that are taken.
    pub fn may_name(
        &self,
        identity: ImageIdentity,
        tags: &[Tag],
        clients: Vec<Client>,
    ) -> anyhow::Result<Vec<Client>> {
        let immutable = tags.iter().filter(|tag| tag.kind == TagKind::Immutable).cloned();
        let (tags, image) =
            (immutable.collect::<Vec<_>>(), LocalImage { identity, ..LocalImage::default() });
        self.with_job(&image, &tags, |job| {
            let sites = push::survey(job, clients)?;
            push::check(job, &sites)?;
            Ok(push::clients(sites))
        })
    }

    /// Pushes an image under its tags. The report says what was done, even if a push failed; the clients
    /// are those given.
    ///
    /// # Errors
    /// Before anything is written: those of [`push::survey`] and [`push::check`].
    pub fn send(
        &self,
        image: &LocalImage,
        tags: &[Tag],
        clients: Vec<Client>,
    ) -> anyhow::Result<(Report, anyhow::Result<()>, Vec<Client>)> {
        self.with_job(image, tags, |job| {
            let mut sites = push::survey(job, clients)?;
            push::check(job, &sites)?;
            let (report, outcome) = push::run(job, &mut sites);
            Ok((timed(self.world, report), outcome, push::clients(sites)))
        })
    }

    fn with_job<T>(
        &self,
        image: &LocalImage,
        tags: &[Tag],
        work: impl FnOnce(&Job<'_>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let state = &self.workflow.state;
        let (log, top) = (state.new_log("push")?, &self.workflow.top);
        let _begun = leftovers::begin(state)?;
        work(&Job {
            engine: self.engine,
            runner: self.runner,
            log: &log,
            image,
            rules: &self.workflow.config.tags,
            tags,
            force: self.force,
            limit: self.limit(image.size_bytes),
            env: &environment(self.world, self.engine),
            digest_file: &digest_file(state, &std::process::id().to_string()),
            ancestry: &|ours, theirs| ancestry(top, ours, theirs),
        })
    }
}

/// `--dry-run`: what would become of each tag, as comments, and the engine's commands.
fn preview(world: &World, job: &Job<'_>, clients: Vec<Client>) -> anyhow::Result<()> {
    let sites = push::survey(job, clients)?;
    let report = timed(world, push::preview(job, &sites));
    let lines: String = report.to_string().lines().map(|line| format!("# {line}\n")).collect();
    let commands = push::commands(job, &sites);
    let mut json = serde_json::to_value(&report)?;
    json["commands"] = serde_json::json!(commands);
    let commands: String = commands.iter().map(|line| format!("{line}\n")).collect();
    world.output.result(&(lines + &commands), &json)?;
    push::check(job, &sites)
}

fn timed(world: &World, report: Report) -> Report {
    Report { seconds: world.start.elapsed().as_secs_f64(), ..report }
}

/// Podman finds the machine's certificates without help. Those that a variable of another program
/// names are passed in Go's own variable. Docker's daemon has its own environment.
fn environment(world: &World, engine: &Engine) -> Vec<(String, String)> {
    let bundle = machine::named_bundle(&world.environment)
        .filter(|_| engine.kind == engine::EngineKind::Podman);
    let bundle = bundle.map(|path| path.display().to_string());
    let bundle =
        bundle.filter(|path| world.environment.variable("SSL_CERT_FILE") != Some(path.as_str()));
    bundle.map(|path| ("SSL_CERT_FILE".to_owned(), path)).into_iter().collect()
}
