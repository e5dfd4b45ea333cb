//! `push`: sends an image to registries under its names.

use crate::cli;
use crate::engine::{Engine, Kind};
use crate::git::ancestry::ancestry;
use crate::locate::Search;
use crate::plan::{self, push as planned};
use crate::push::{self, Job};
use crate::registry::Surroundings;
use crate::report::push::Push as Report;
use crate::run::say;
use crate::world::World;
use crate::{machine, push::subject};
use std::collections::BTreeMap;
use std::time::Duration;

/// The longest that one request of ours may take.
pub const REQUEST: Duration = Duration::from_secs(30);

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
        planned::tags(&args.tag, &BTreeMap::new())?;
    }
    let runner = world.runner(&workflow.top);
    let machine = machine::read(world);
    let search = Search {
        world,
        machine: &machine,
        runner: &runner,
        state: &workflow.state,
        configured: config.engine,
    };
    let engine = search.engine()?;
    say(&format!("engine {} {}: {}", engine.kind.title(), engine.version, engine.why));
    let reference = match &args.image {
        Some(image) => image.clone(),
        None => plan::local(engine.kind, &config.image.name, "prod"),
    };
    let image = subject(&engine, &runner, &workflow.state, &reference)?;
    planned::check_base(&image.image.labels, args.allow_standin)?;
    let tags = planned::tags(&args.tag, &image.image.labels)?;
    let limit = planned::limit(args.timeout, config.push.timeout, image.size_bytes);
    let dry_run = world.common.dry_run;
    let surroundings = Surroundings {
        world,
        machine: &machine,
        engine: &engine,
        runner: &runner,
        limit: REQUEST.min(limit),
    };
    let clients = push::open(&targets, &surroundings, !dry_run)?;
    let log = workflow.state.new_log("push")?;
    let digest_file = workflow.state.folder.join(format!("digest-{}", std::process::id()));
    let env = environment(world, &engine);
    let top = workflow.top.clone();
    let job = Job {
        engine: &engine,
        runner: &runner,
        log: &log,
        image: &image,
        tags: &tags,
        force: args.force,
        limit,
        env: &env,
        digest_file: &digest_file,
        ancestry: &move |ours, theirs| ancestry(&top, ours, theirs),
    };
    let mut sites = push::survey(&job, clients)?;
    if dry_run {
        let report = timed(world, push::preview(&job, &sites));
        let lines: String = report.to_string().lines().map(|line| format!("# {line}\n")).collect();
        let commands = push::commands(&job, &sites);
        let mut json = serde_json::to_value(&report)?;
        json["commands"] = serde_json::json!(commands);
        let commands = commands.iter().map(|line| format!("{line}\n")).collect::<String>();
        world.result(&(lines + &commands), &json)?;
        return push::check(&job, &sites);
    }
    push::check(&job, &sites)?;
    let (report, outcome) = push::run(&job, &mut sites);
    let report = timed(world, report);
    world.result(&report.to_string(), &serde_json::to_value(&report)?)?;
    outcome
}

fn timed(world: &World, report: Report) -> Report {
    Report { seconds: world.start.elapsed().as_secs_f64(), ..report }
}

/// Podman finds the certificates of the machine by itself, and those that a variable of another
/// program names by Go's own variable. Docker's daemon has its own environment.
pub fn environment(world: &World, engine: &Engine) -> Vec<(String, String)> {
    let bundle = machine::named_bundle(world).filter(|_| engine.kind == Kind::Podman);
    let bundle = bundle.map(|path| path.display().to_string());
    let bundle = bundle.filter(|path| world.variable("SSL_CERT_FILE") != Some(path.as_str()));
    bundle.map(|path| ("SSL_CERT_FILE".to_owned(), path)).into_iter().collect()
}
