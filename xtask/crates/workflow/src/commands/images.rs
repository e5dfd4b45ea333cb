//! `images` and `clean`: what is here of ours and what uses it; and taking away what nothing does.

use super::at_commit;
use crate::cli;
use crate::world::World;
use anyhow::Context as _;
use engine::label::OURS;
use engine::leftovers;
use engine::machine;
use engine::{Engine, EngineKind, containers, words};
use image::config::Workflow;
use image::report::megabytes;
use image::steps;
use image::stored::{self, CleanFacts, Judged, Stored, StoredContainer};
use process::failure::{Exit, failure};
use process::invocation::Invocation;
use process::notice::notice;
use process::run::{QUESTION, Runner};
use smoke::test_bed;
use source::snapshot;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// How long a clean waits for a build of the same checkout.
const PATIENCE: Duration = Duration::from_secs(2);

/// `images`.
///
/// # Errors
/// [`Exit::Engine`] when no engine works.
pub fn list(world: &World) -> anyhow::Result<()> {
    let workflow = world.workflow()?;
    let runner = world.runner(&workflow.top);
    let engine = engine(world, &workflow, &runner)?;
    let judged = look(&workflow, &engine, &runner, false)?;
    let text = if judged.is_empty() { "no image of this project\n".into() } else { table(&judged) };
    world.output.result(&text, &serde_json::json!({ "images": judged }))
}

/// `clean`.
///
/// # Errors
/// [`Exit::Engine`] when no engine works; [`Exit::Locked`] while a build runs here; 130 or 143
/// after a signal. An image that can't be removed is reported and stays.
pub fn clean(world: &World, args: cli::Clean) -> anyhow::Result<()> {
    let workflow = world.workflow()?;
    let runner = world.runner(&workflow.top);
    let dry_run = world.common.dry_run;
    let _lock = if dry_run { None } else { Some(workflow.state.lock(PATIENCE)?) };
    let engine = engine(world, &workflow, &runner)?;
    if !dry_run {
        super::tidy(&workflow.state, &engine, &runner)?;
        super::squash::clear(&engine, &runner)?;
        test_bed::clear(&engine, &runner, None)?;
    }
    let judged = look(&workflow, &engine, &runner, args.all)?;
    table(&judged).lines().for_each(notice);
    let (going, staying): (Vec<Judged>, Vec<Judged>) =
        judged.into_iter().partition(|judged| judged.kept.is_none());
    if dry_run {
        let left = leftovers::find(&workflow.state, &engine, &runner)?;
        let left: Vec<String> = left.iter().map(ToString::to_string).collect();
        let removals = going.iter().flat_map(|judged| removals(&engine, judged));
        let removals = removals.map(|removal| removal.to_string());
        let mut commands: Vec<String> = left.into_iter().chain(removals).collect();
        commands.extend(kept_files(&workflow).iter().map(|path| {
            Invocation::new("rm", ["-r".to_owned(), path.display().to_string()]).to_string()
        }));
        let text = commands.iter().fold("set -eu\n".to_owned(), |text, line| text + line + "\n");
        let json = serde_json::json!({ "remove": going, "keep": staying, "commands": commands });
        return world.output.result(&text, &json);
    }
    for path in kept_files(&workflow) {
        notice(&format!("$ rm -r {}", path.display()));
        let gone = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        gone.with_context(|| format!("removing {}", path.display()))?;
    }
    let (mut removed, mut failed) = (Vec::new(), Vec::new());
    for judged in going {
        match remove(&engine, &runner, &judged)? {
            None => removed.push(judged),
            Some(why) => {
                notice(&format!("warning: {} stays: {why}", name(&judged)));
                failed.push(Judged { kept: Some(why), ..judged });
            }
        }
    }
    let bytes: u64 = removed.iter().map(|judged| judged.image.bytes).sum();
    let plural = if removed.len() == 1 { "image" } else { "images" };
    let text = match removed.len() {
        0 => "nothing was removed\n".to_owned(),
        count => format!(
            "removed {count} {plural}, {} with what they share with others\n",
            megabytes(bytes)
        ),
    };
    let keep: Vec<&Judged> = staying.iter().chain(&failed).collect();
    world.output.result(&text, &serde_json::json!({ "removed": removed, "keep": keep }))
}

/// What builds keep of the build context: its snapshot, what was read of it, and what a killed
/// `build --commit` left.
fn kept_files(workflow: &Workflow) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(&workflow.state.folder) else { return Vec::new() };
    let ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name == snapshot::FOLDER
            || name == snapshot::REMEMBERED
            || name.starts_with(at_commit::NAME)
    };
    let mut paths: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(ours).collect();
    paths.sort();
    paths
}

fn engine(world: &World, workflow: &Workflow, runner: &Runner) -> anyhow::Result<Engine> {
    let machine = machine::read(&world.environment);
    world.search(workflow, &machine, runner).said()
}

/// What is here of ours, and what becomes of it.
fn look(
    workflow: &Workflow,
    engine: &Engine,
    runner: &Runner,
    all: bool,
) -> anyhow::Result<Vec<Judged>> {
    let mut ids = lines(&ask(runner, &words::ids_with(engine, OURS))?);
    ids.sort();
    ids.dedup();
    let found: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut images = match found.as_slice() {
        [] => Vec::new(),
        found => stored::read(&ask(runner, &words::inspect_all(engine, found))?)?,
    };
    let logged = steps::logged(&workflow.state);
    let mut made = workflow.state.made();
    if engine.kind == EngineKind::Podman && !logged.all.is_empty() {
        // BuildKit keeps steps in its own cache, not as images.
        let ends = steps::ends(&ask(runner, &words::images(engine))?, &logged);
        made.extend(ends.iter().map(|(id, _)| id.clone()));
        images.retain(|image| ends.iter().all(|(id, _)| *id != image.id));
        let unnamed = |(id, bytes)| Stored { id, bytes, ..Stored::default() };
        images.extend(ends.into_iter().map(unnamed));
    }
    if images.is_empty() {
        return Ok(Vec::new());
    }
    let containers = all_containers(engine, runner)?;
    let release = workflow.state.last_release()?;
    let release = release.map(|(id, record)| {
        let below = record.strip_prefix(&workflow.top).unwrap_or(&record).display().to_string();
        (id, below)
    });
    let facts = CleanFacts {
        name: &workflow.config.image.name,
        containers: &containers,
        made: &made,
        cached: &logged.current,
        release: release.as_ref().map(|(id, record)| (id.as_str(), record.as_str())),
        all,
    };
    Ok(stored::judge(images, &facts))
}

fn all_containers(engine: &Engine, runner: &Runner) -> anyhow::Result<Vec<StoredContainer>> {
    let ids = lines(&ask(runner, &containers::all(engine))?);
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    // One that has ended meanwhile is no longer known: what is, is still printed.
    let answer = runner.ask(&containers::images(engine, &ids), QUESTION)?;
    Ok(stored::containers(&answer.stdout))
}

fn ask(runner: &Runner, invocation: &Invocation) -> anyhow::Result<String> {
    let answer = runner.ask(invocation, QUESTION)?;
    if answer.good() {
        return Ok(answer.stdout);
    }
    Err(failure(Exit::Engine, format!("asking `{invocation}`: {}", answer.last_line())))
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

/// The commands that remove an image: name by name, so that an engine's own check of what is in use
/// is never overruled.
fn removals(engine: &Engine, judged: &Judged) -> Vec<Invocation> {
    let image = &judged.image;
    let names = if image.names.is_empty() { std::slice::from_ref(&image.id) } else { &image.names };
    names.iter().map(|name| words::remove_image(engine, name)).collect()
}

/// Removes an image; the reason if it stays.
fn remove(engine: &Engine, runner: &Runner, judged: &Judged) -> anyhow::Result<Option<String>> {
    // Since it was judged, a container may have come, or a name may have moved.
    let used = all_containers(engine, runner)?;
    if let Some(container) = used.iter().find(|one| one.image == judged.image.id) {
        return Ok(Some(format!("the container {} has it", container.name)));
    }
    for name in &judged.image.names {
        let answer = runner.ask(&words::inspect(engine, name), QUESTION)?;
        let now = engine::inspect::image(&answer.stdout).map(|image| image.id);
        if now.is_ok_and(|id| id != judged.image.id) {
            return Ok(Some(format!("{name} has become another image")));
        }
    }
    for removal in removals(engine, judged) {
        notice(&format!("$ {removal}"));
        let answer = runner.ask(&removal, QUESTION)?;
        if !answer.good() {
            return Ok(Some(answer.last_line().to_owned()));
        }
    }
    Ok(None)
}

fn name(judged: &Judged) -> String {
    judged.image.names.first().cloned().unwrap_or_else(|| short(&judged.image.id))
}

fn short(id: &str) -> String {
    id.trim_start_matches("sha256:").chars().take(12).collect()
}

/// A row for each image, its further names below it.
fn table(judged: &[Judged]) -> String {
    let names = judged.iter().flat_map(|judged| &judged.image.names).map(String::len);
    let width = names.max().unwrap_or(0).max(6);
    let mut text = String::new();
    for one in judged {
        let first = one.image.names.first().map_or("(none)", String::as_str);
        let (id, size) = (short(&one.image.id), megabytes(one.image.bytes));
        let word = if one.used { "used: " } else { "" };
        let what = match &one.kept {
            Some(why) => format!("{word}{why}"),
            None => "unused: `clean` removes it".to_owned(),
        };
        text += &format!("{first:<width$}  {id}  {size:>9}  {what}\n");
        for name in one.image.names.iter().skip(1) {
            text += &format!("{name}\n");
        }
    }
    text
}
