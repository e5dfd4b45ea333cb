//! `squash`: makes one layer of all layers of an image, and proves that it is the same image.

use crate::cli;
use crate::world::World;
use anyhow::Context as _;
use engine::archive::{self, Archive};
use engine::inspect::{self, Image};
use engine::leftovers;
use engine::machine;
use engine::one_layer::SquashPlan;
use engine::one_layer::{self, SquashCommands};
use engine::{Engine, EngineKind, words};
use image::config::Workflow;
use image::plan;
use image::report;
use image::squash;
use process::failure::{Exit, Failure, failure_help};
use process::notice::notice;
use process::run::{self, QUESTION, Runner, Watch};
use process::state::State;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a squash waits for a build of the same checkout.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many differences are named before the rest is only counted.
const NAMED: usize = 10;

/// The command.
///
/// # Errors
/// [`Exit::Usage`] for an image that isn't here; [`Exit::Build`] when the engine can't;
/// [`Exit::Mismatch`] when the result is another image; 130 or 143 after a signal.
pub fn run(world: &World, args: &cli::Squash) -> anyhow::Result<()> {
    let workflow = world.workflow()?;
    let runner = world.runner(&workflow.top);
    let dry_run = world.common.dry_run;
    let _lock = if dry_run { None } else { Some(workflow.state.lock(PATIENCE)?) };
    let machine = machine::read(&world.environment);
    let state = &workflow.state;
    let engine = world.search(&workflow, &machine, &runner).said()?;
    let name = &workflow.config.image.name;
    let image = args.image.clone().unwrap_or_else(|| plan::local(engine.kind, name, "prod"));
    let asked = args.tag.iter().map(|tag| plan::asked(engine.kind, name, tag));
    let mut references = asked.collect::<anyhow::Result<Vec<_>>>()?;
    if references.is_empty() {
        references.push(squash::default_reference(engine.kind, &image)?);
    }
    if dry_run {
        let (_, plan) = decide(&engine, &runner, state, &image, references)?;
        return show(world, &engine, &plan, &workflow.top);
    }
    super::tidy(state, &engine, &runner)?;
    // Also what a squash of another checkout, or of a version without records, left in the store.
    clear(&engine, &runner)?;
    let log = state.new_log("squash")?;
    let report = squash(&workflow, &engine, &runner, &log, &image, references)?;
    let report = report::SquashReport { seconds: world.start.elapsed().as_secs_f64(), ..report };
    world.output.result(&report.to_string(), &serde_json::to_value(&report)?)
}

/// Squashes `image` (a reference or an image ID); the result gets `references` once it is verified.
/// The caller holds the lock of the checkout.
pub fn squash(
    workflow: &Workflow,
    engine: &Engine,
    runner: &Runner,
    log: &Path,
    image: &str,
    references: Vec<String>,
) -> anyhow::Result<report::SquashReport> {
    let state = &workflow.state;
    let (source, plan) = decide(engine, runner, state, image, references)?;
    let _begun = leftovers::begin(state)?;
    let steps = one_layer::steps(engine, &plan);
    let made = make(state, engine, runner, &plan, &steps, log);
    // Also after a signal: intermediate names are taken away.
    let calm = Runner { signal: Arc::default(), ..runner.clone() };
    for step in &steps.tidy {
        calm.ask(step, QUESTION)?;
    }
    let id = match made {
        Ok(id) => id,
        Err(error) => {
            leftovers::clean(state, engine, &calm)?;
            return Err(error);
        }
    };
    notice("comparing the two images: every file, its mode, owner, time and links, and the config");
    let base = base_layers(engine, runner, &source)?;
    let verified = verify(engine, runner, &source, &id, base.as_deref());
    let (before, after, files) = match verified {
        Ok(verified) => verified,
        Err(error) => {
            calm.ask(&words::remove_image(engine, &id), QUESTION)?;
            return Err(error);
        }
    };
    state.note_made(&id)?;
    for naming in words::tag(engine, &id, &plan.references) {
        let answer = runner.ask(&naming, QUESTION)?;
        if !answer.good() {
            let message = format!("naming the image: {}", answer.last_line());
            return Err(failure_help(Exit::Build, message, format!("try it yourself: {naming}")));
        }
    }
    let sum = |archive: &Archive| archive.layers.iter().map(|layer| layer.bytes).sum();
    let ours = before.layers.iter().filter(|layer| layer.ours).map(|layer| layer.bytes).sum();
    Ok(report::SquashReport {
        reference: plan.references.first().cloned().unwrap_or_default(),
        references: plan.references,
        image_id: id,
        source: image.to_owned(),
        source_image_id: source.id,
        layers_before: before.layers.len(),
        layers_after: after.layers.len(),
        bytes_before: sum(&before),
        bytes_after: sum(&after),
        bytes_above_base: base.map(|_| ours),
        files,
        engine: engine.kind.to_string(),
        engine_version: engine.version.to_string(),
        log: log.to_path_buf(),
        seconds: 0.0,
    })
}

/// Looks at the image and decides.
fn decide(
    engine: &Engine,
    runner: &Runner,
    state: &State,
    image: &str,
    references: Vec<String>,
) -> anyhow::Result<(Image, SquashPlan)> {
    let answer = runner.ask(&words::inspect(engine, image), QUESTION)?;
    if !answer.good() {
        return Err(failure_help(
            Exit::Usage,
            format!("looking for the image {image}: {} has none", engine.kind.title()),
            "build it with `cargo xtask build`, or name another",
        ));
    }
    let source = inspect::image(&answer.stdout)?;
    let all: Value = serde_json::from_str(&answer.stdout).context("reading an image")?;
    let run = std::process::id();
    let plan = squash::plan(engine, &source, &all[0], references, state, run)?;
    Ok((source, plan))
}

/// `--dry-run`: the script, or with `--format json` its lines.
fn show(world: &World, engine: &Engine, plan: &SquashPlan, top: &Path) -> anyhow::Result<()> {
    let steps = one_layer::steps(engine, plan);
    let mut first: Vec<String> = steps.prepare.iter().map(ToString::to_string).collect();
    first.extend(steps.make.iter().map(ToString::to_string));
    let script =
        words::script_of(engine, &first, &plan.iidfile, &plan.references, &steps.tidy, top);
    let commands: Vec<&str> = script.lines().collect();
    let json = serde_json::json!({
        "reference": plan.references.first(), "references": plan.references, "commands": commands,
    });
    world.output.result(&script, &json)
}

/// Runs the steps; gives the image ID of what they made.
fn make(
    state: &State,
    engine: &Engine,
    runner: &Runner,
    plan: &SquashPlan,
    steps: &SquashCommands,
    log: &Path,
) -> anyhow::Result<String> {
    steps.prepare.iter().try_for_each(|step| step.run(&runner.folder))?;
    for step in &steps.make {
        leftovers::announce(state)?;
        let mut record = |id| leftovers::record(state, id);
        let watch = Watch { started: Some(&mut record), ..Watch::default() };
        let ended = runner.stream(step, log, watch)?;
        if ended.code != Some(0) {
            let what = format!("squashing {}", plan.image);
            return Err(run::step_failed(Exit::Build, &what, &ended, log).into());
        }
    }
    leftovers::finished(state);
    let id = process::regular::read_text(&plan.iidfile).unwrap_or_default();
    if id.trim().is_empty() {
        return Err(failure_help(
            Exit::Build,
            format!(
                "squashing {}: {} ended well but made no image: it was killed",
                plan.image, engine.program
            ),
            format!("the whole log is {}", log.display()),
        ));
    }
    Ok(inspect::with_algorithm(id.trim()))
}

/// Reads two images whole, and compares them: every file with its mode, owner, time and links, and the config.
pub fn compared(
    engine: &Engine,
    runner: &Runner,
    source: &str,
    id: &str,
    base: Option<&[String]>,
) -> anyhow::Result<(Archive, Archive, squash::Compared)> {
    let read = |image: &str| {
        let save = words::save(engine, image);
        runner.read(&save, |stream| archive::read_content(stream, base.unwrap_or_default()))
    };
    // Each waits for its engine most of the time.
    let (before, after) = std::thread::scope(|scope| {
        let other = scope.spawn(|| read(source));
        let after = read(id);
        (other.join(), after)
    });
    let before = before.map_err(|_| anyhow::anyhow!("reading the image: it panicked"))??;
    let after = after?;
    let compared = squash::compare(&before, &after);
    Ok((before, after, compared))
}

/// Both images as they are, and how many files were compared.
///
/// # Errors
/// [`Exit::Mismatch`] when they are not the same.
fn verify(
    engine: &Engine,
    runner: &Runner,
    source: &Image,
    id: &str,
    base: Option<&[String]>,
) -> anyhow::Result<(Archive, Archive, usize)> {
    let (before, after, mut compared) = compared(engine, runner, &source.id, id, base)?;
    if after.layers.len() != 1 {
        compared.differing.push(format!("layers: {} and not one", after.layers.len()));
    }
    if compared.differing.is_empty() {
        return Ok((before, after, compared.files));
    }
    let count = compared.differing.len();
    let mut help = named(compared.differing);
    help.push("no name was given; the image that was to be squashed is as it was".to_owned());
    let plural = if count == 1 { "difference" } else { "differences" };
    let message = format!("verifying the squashed image: {count} {plural}");
    Err(Failure { exit: Exit::Mismatch, message, help }.into())
}

/// The first of these differences, and how many more there are.
pub fn named(differing: Vec<String>) -> Vec<String> {
    let count = differing.len();
    let mut lines: Vec<String> = differing.into_iter().take(NAMED).collect();
    if count > NAMED {
        lines.push(format!("and {} more", count - NAMED));
    }
    lines
}

/// The layers of the base, if it is here.
fn base_layers(
    engine: &Engine,
    runner: &Runner,
    image: &Image,
) -> anyhow::Result<Option<Vec<String>>> {
    match super::smoke_test::base_of(engine, runner, image).map(|base| base.layers) {
        Ok(layers) if !layers.is_empty() && image.layers.starts_with(&layers) => Ok(Some(layers)),
        Ok(_) => Ok(None),
        // The numbers are worth less without it, the image isn't.
        Err(_) => runner.check_signal().map(|()| None),
    }
}

/// Takes away what a squash left that was killed (Docker; what Podman leaves is its build's).
///
/// # Errors
/// 130 or 143 after a signal. What can't be removed is left for the next time.
pub fn clear(engine: &Engine, runner: &Runner) -> anyhow::Result<()> {
    if engine.kind != EngineKind::Docker {
        return Ok(());
    }
    let over = |id: &str| id.parse().is_ok_and(|id| leftovers::running(id).started == 0);
    let names = runner.ask(&one_layer::intermediate_containers(engine), QUESTION)?.stdout;
    let of_run = |name: &str| name.split('-').nth(1).map(str::to_owned).unwrap_or_default();
    for name in names.lines().map(str::trim).filter(|name| over(&of_run(name))) {
        runner.ask(&words::remove_container(engine, name), QUESTION)?;
    }
    let tags = runner.ask(&one_layer::intermediate_images(engine), QUESTION)?.stdout;
    let tags = tags.lines().map(str::trim);
    for tag in tags.filter(|tag| tag.split_once('-').is_some_and(|(run, _)| over(run))) {
        runner.ask(
            &words::remove_image(engine, &format!("{}:{tag}", one_layer::REPOSITORY)),
            QUESTION,
        )?;
    }
    Ok(())
}
