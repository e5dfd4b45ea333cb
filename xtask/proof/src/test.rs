//! `cargo xtask test`: the workflow's own tests, in groups with their times. `--all` is what CI
//! runs, `--nightly` what takes too long for it.

use crate::cli;
use crate::lab::{self, Lab};
use crate::tools;
use engine::machine;
use groups::{GROUPS, Group, Lane, Part};
use image::config::Workflow;
use process::failure::{Exit, failure_help};
use process::notice::notice;
use process::run::Runner;
use process::state::{lock, make_folder, write_whole};
use report::{Outcome, Work};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use workflow::world::World;

mod arm64;
mod groups;
mod linters;
mod podman5;
mod report;
mod rootless;
mod seed;
mod steps;
mod suite;
mod trixie;
mod watch;

/// What is made once, for the groups that ask for it.
#[derive(Default)]
struct Shared {
    /// The laboratory with the images that the groups on Podman begin with.
    seed: Mutex<Option<Result<Lab, String>>>,
    /// The test programs, by name.
    programs: Mutex<BTreeMap<String, PathBuf>>,
    /// `--filter`: all that is run on engines; empty: what the group says.
    filter: Vec<String>,
}

/// What a group works with.
struct Bench<'a> {
    world: &'a World,
    workflow: &'a Workflow,
    runner: Runner,
    /// The virtual environment of the tools.
    tools: PathBuf,
    /// The group's name: of its laboratory, its log and its lines.
    group: &'static str,
    log: PathBuf,
    shared: &'a Shared,
    /// What the group's steps took.
    work: &'a Mutex<Work>,
}

/// The command.
///
/// # Errors
/// [`Exit::Check`] when a group fails, naming it.
pub fn run(world: &World, args: &cli::Test) -> anyhow::Result<()> {
    let workflow = world.workflow()?;
    let chosen = chosen(args, &workflow)?;
    if world.common.dry_run {
        let (text, json) = report::planned(&chosen);
        return world.output.result(&text, &json);
    }
    if args.setup {
        let for_browser = args.browser;
        let setup = workflow::cli::Setup {
            yes: true,
            for_tests: true,
            for_browser,
            ..workflow::cli::Setup::default()
        };
        let machine = machine::read(&world.environment);
        workflow::commands::setup::ensure(world, &workflow, &machine, setup)?;
    }
    let start = (Instant::now(), watch::busy());
    let holder = format!("process {}", std::process::id());
    let what = "of this checkout's tests";
    let _alone = lock(&workflow.state.folder, "test-lock", what, &holder, Duration::ZERO)?;
    lab::clear_all(&workflow, &world.runner(&workflow.top))?;
    let shared = Shared { filter: args.filter.clone(), ..Shared::default() };
    let runner = Runner { progress: false, ..world.runner(&workflow.top) };
    let outcomes = lanes(world, &workflow, &chosen, &runner, &shared);
    let seed = shared.seed.into_inner().ok().flatten();
    let ended = seed.and_then(Result::ok).map_or(Ok(()), |seed| seed.end(&runner));
    runner.check_signal()?;
    let busy = watch::busy() - start.1;
    let text = report::summary(&outcomes, start.0.elapsed(), busy);
    world.output.result(&text, &report::json(&outcomes))?;
    ended?;
    report::failed(&outcomes).map_or(Ok(()), |failure| Err(failure.into()))
}

/// The groups that the command line asks for, and the tools if one of them needs them.
fn chosen(args: &cli::Test, workflow: &Workflow) -> anyhow::Result<Vec<&'static Group>> {
    let wanted = |group: &&Group| match group.part {
        _ if !args.only.is_empty() => args.only.iter().any(|name| name == group.name),
        Part::Quick => !args.browser && !args.nightly,
        Part::All => args.all,
        Part::Browser => args.browser,
        Part::Nightly => args.nightly,
    };
    let known = |name: &&String| GROUPS.iter().any(|group| group.name == **name);
    if let Some(unknown) = args.only.iter().find(|name| !known(name)) {
        let names: Vec<&str> = GROUPS.iter().map(|group| group.name).collect();
        let message = format!("choosing tests: no group is called {unknown}");
        let help = format!("the groups are {}", names.join(", "));
        return Err(failure_help(Exit::Usage, message, help));
    }
    let mut chosen: Vec<&Group> = GROUPS.iter().filter(wanted).collect();
    let is_here = |name: &&str| chosen.iter().any(|group| group.name == *name);
    if !is_here(&groups::TOOLS)
        && groups::NEEDED_BY.iter().any(is_here)
        && !tools::are_here(workflow)
    {
        chosen.splice(0..0, GROUPS.iter().filter(|group| group.name == groups::TOOLS));
    }
    Ok(chosen)
}

/// Runs the groups of the first lane, then those of the others: lanes at the same time, the groups
/// of one lane one after another.
fn lanes(
    world: &World,
    workflow: &Workflow,
    chosen: &[&'static Group],
    runner: &Runner,
    shared: &Shared,
) -> Vec<Outcome> {
    let outcomes = Mutex::new(Vec::new());
    let run = |lane: Lane| {
        for group in chosen.iter().filter(|group| group.lane == lane) {
            if runner.check_signal().is_err() {
                return;
            }
            let outcome = run_group(world, workflow, group, runner, shared);
            outcomes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(outcome);
        }
    };
    run(Lane::First);
    std::thread::scope(|scope| {
        for lane in [Lane::Podman, Lane::Second, Lane::Docker, Lane::Code] {
            scope.spawn(move || run(lane));
        }
    });
    outcomes.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn run_group(
    world: &World,
    workflow: &Workflow,
    group: &Group,
    runner: &Runner,
    shared: &Shared,
) -> Outcome {
    notice(&format!("=== {}", group.name));
    let (start, work) = (Instant::now(), Mutex::new(Work::default()));
    let done = log_of(workflow, group.name).and_then(|log| {
        let tools = tools::folder(workflow);
        let (runner, name) = (runner.clone(), group.name);
        let bench = Bench { world, workflow, runner, tools, group: name, log, shared, work: &work };
        (group.run)(&bench)
    });
    let why = done.err().map(|error| process::failure::shown(&error).1);
    why.iter().flatten().for_each(|line| notice(&format!("{} | {line}", group.name)));
    let word = if why.is_none() { "ok" } else { "FAILED" };
    notice(&format!("=== {} {word} after {:.0} s", group.name, start.elapsed().as_secs_f64()));
    let work = work.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    Outcome { group: group.name, why, wall: start.elapsed(), work }
}

/// The log of a group, empty: that of the run before is gone.
fn log_of(workflow: &Workflow, group: &str) -> anyhow::Result<PathBuf> {
    let folder = workflow.state.folder.join("test-logs");
    make_folder(&folder)?;
    let log = folder.join(format!("{group}.log"));
    write_whole(&log, "")?;
    Ok(log)
}
