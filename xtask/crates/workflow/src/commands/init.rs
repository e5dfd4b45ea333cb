//! `init`: brings the workflow into a project, and keeps what is made from `docker/image.toml` up to
//! date.

use crate::cli;
use crate::world::World;
use anyhow::Context as _;
use files::{FileAct, ProjectFile};
use image::adopt;
use image::config::{self, Workflow};
use image::rendering;
use process::disk;
use process::failure::{Exit, Failure, failure_help};
use process::invocation::Invocation;
use process::notice::notice;
use process::run::Runner;
use process::state::write_whole;
use std::path::Path;
use std::time::Duration;

mod files;

/// What a project gets of our own files. Here they are links; a package that is unpacked elsewhere has
/// the files.
const LIBRARY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/library");

/// How long cargo may take to read a new workspace.
const CARGO: Duration = Duration::from_secs(600);

/// What brings the Dockerfiles up to date.
pub const REMEDY: &str = "cargo xtask init";

/// The command.
///
/// # Errors
/// [`Exit::Usage`] when the project isn't one of Django, or has files that ours would replace; when
/// a file can't be read or written.
pub fn run(world: &World, args: &cli::Init) -> anyhow::Result<()> {
    match &args.project {
        Some(project) => adopt_into(world, args, &world.folder.join(project)),
        None if args.update => update(world),
        None => render(world),
    }
}

/// Brings the Dockerfiles up to date with `docker/image.toml`.
fn render(world: &World) -> anyhow::Result<()> {
    let workflow = world.workflow()?;
    let (mut text, mut written) = (String::new(), Vec::new());
    for (file, is, should) in dockerfiles(&workflow)? {
        if is == should {
            text += &format!("{file}: as docker/image.toml says\n");
            continue;
        }
        if !world.common.dry_run {
            write_whole(&workflow.top.join(&file), &should)
                .with_context(|| format!("writing {file}"))?;
        }
        let would = if world.common.dry_run { "would be " } else { "" };
        text += &format!("{file}: {would}brought up to date with docker/image.toml\n");
        written.push(file);
    }
    world.output.result(&text, &serde_json::json!({ "written": written }))
}

/// Brings the workflow into the project at `top`.
fn adopt_into(world: &World, args: &cli::Init, top: &Path) -> anyhow::Result<()> {
    let top = top.canonicalize().map_err(|error| {
        failure_help(
            Exit::Usage,
            format!("looking at {}: {error}", top.display()),
            "name the folder of a project",
        )
    })?;
    if top.join(config::PATH).is_file() {
        let message = format!("adopting into {}: it has a {} already", top.display(), config::PATH);
        let help = "cargo xtask init --update brings our files there up to date";
        return Err(failure_help(Exit::Usage, message, help));
    }
    let runner = world.runner(&top);
    let texts = files::texts(&top, &runner)?;
    let found = adopt::found(&texts).map_err(|why| {
        let message = format!("adopting into {}: {why}", top.display());
        failure_help(Exit::Usage, message, "name the top folder of a Django project")
    })?;
    let library = Path::new(LIBRARY).canonicalize().context("finding our own files")?;
    let mut keys = files::names(&top, &texts, &runner);
    keys.extend(files::places(&top));
    keys.extend(found.keys.iter().map(|(t, k, v)| ((*t).to_owned(), k.clone(), v.clone())));
    for (name, value) in &args.set {
        let (table, key) = name.rsplit_once('.').unwrap_or(("app", name));
        keys.retain(|(t, k, _)| (t.as_str(), k.as_str()) != (table, key));
        keys.push((table.to_owned(), key.to_owned(), files::toml(value)));
    }
    let template = disk::text(&library.join(config::PATH), config::PATH)?;
    let image_toml = adopt::image_toml(&template, &keys);
    let config = config::parse(&image_toml).map_err(|mistakes| {
        let help = mistakes.into_iter().map(|one| format!("{}\n{}", one.message, one.excerpt));
        let message = "writing docker/image.toml: what was found doesn't fit".to_owned();
        Failure { exit: Exit::Usage, message, help: help.collect() }
    })?;
    let mut all = files::ours(&library, &config.app.runtime)?;
    all.extend(files::dockerfiles(&library, &config)?);
    all.push(ProjectFile::text(config::PATH, &image_toml));
    all.push(files::ignore(&library, &config)?);
    all.extend(files::workspace(&library, &top, args.git.as_deref(), &runner)?);
    let acts = files::decide(&top, all, &files::Record::new());
    let foreign: Vec<&str> = acts
        .iter()
        .filter(|(_, act)| *act == FileAct::Foreign)
        .map(|(file, _)| file.path.as_str())
        .collect();
    if !foreign.is_empty() {
        let message =
            format!("adopting into {}: there already: {}", top.display(), foreign.join(", "));
        let help =
            "move them to another folder first, such as docker-old: ours are called the same";
        return Err(failure_help(Exit::Usage, message, help));
    }
    let mut told = found.told;
    told.extend(files::kept(&acts));
    let (ignored, ignores) = files::ignored(&top, &config.app, &texts);
    if !ignored.is_empty() {
        told.push(format!("added to .gitignore: /{}/", ignored.join("/, /")));
    }
    if !world.common.dry_run {
        files::write(&top, &acts)?;
        if !ignored.is_empty() {
            write_whole(&top.join(".gitignore"), &ignores).context("writing .gitignore")?;
        }
        lock(world, &top, &runner)?;
    }
    let next = [
        format!("cd {}", top.display()),
        "cargo xtask doctor          # what is still missing, each with what to do".to_owned(),
        "cargo xtask build && cargo xtask smoke-test && cargo xtask dev".to_owned(),
    ];
    report(world, &acts, &told, &next)
}

/// Brings our files in this checkout up to those of the library.
fn update(world: &World) -> anyhow::Result<()> {
    let workflow = world.workflow()?;
    let library = Path::new(LIBRARY).canonicalize().context("finding our own files")?;
    let mut all = files::ours(&library, &workflow.config.app.runtime)?;
    all.push(files::ignore(&library, &workflow.config)?);
    all.extend(files::dockerfiles(&library, &workflow.config)?);
    let record = files::record(&workflow.top);
    let acts = files::decide(&workflow.top, all, &record);
    if !world.common.dry_run {
        files::write(&workflow.top, &acts)?;
    }
    report(world, &acts, &[], &[])
}

/// Completes Cargo.lock, which begins as ours.
fn lock(world: &World, top: &Path, runner: &Runner) -> anyhow::Result<()> {
    let cargo = world.environment.variable("CARGO").unwrap_or("cargo");
    let manifest = top.join("Cargo.toml").display().to_string();
    let words = ["metadata", "--format-version=1", "--quiet", "--manifest-path", &manifest];
    let answer = runner.ask(&Invocation::new(cargo, words), CARGO)?;
    if !answer.good() {
        notice(&format!(
            "warning: completing Cargo.lock: {}; cargo does it at its first run without --locked",
            answer.last_line()
        ));
    }
    Ok(())
}

fn report(
    world: &World,
    acts: &[(ProjectFile, FileAct)],
    told: &[String],
    next: &[String],
) -> anyhow::Result<()> {
    let mut text = String::new();
    let changed: Vec<&(ProjectFile, FileAct)> =
        acts.iter().filter(|(_, act)| !matches!(act, FileAct::Same | FileAct::Theirs)).collect();
    let whole = |file: &ProjectFile| {
        let all = acts.iter().filter(|(one, _)| one.folder == file.folder);
        file.folder.is_some() && all.into_iter().all(|(_, act)| *act == FileAct::New)
    };
    let mut said = Vec::new();
    for (file, act) in &changed {
        if let Some(folder) = file.folder.as_ref().filter(|_| whole(file)) {
            if !said.contains(&folder) {
                text += &format!("{:<40} new\n", format!("{folder}/"));
                said.push(folder);
            }
            continue;
        }
        let word = match act {
            FileAct::New => "new",
            FileAct::Replaced => "updated",
            FileAct::Beside => "was edited, so the new one is NAME.new",
            FileAct::Kept => "kept",
            // An update: a project that copied them has no record of what they were.
            FileAct::Foreign => "kept: it isn't known to be ours",
            FileAct::Same | FileAct::Theirs => continue,
        };
        text += &format!("{:<40} {word}\n", file.path);
    }
    if changed.is_empty() {
        text += "everything is up to date\n";
    }
    if !told.is_empty() {
        text += "look at:\n";
        text.extend(told.iter().map(|line| format!("  {line}\n")));
    }
    if !next.is_empty() {
        text += "next:\n";
        text.extend(next.iter().map(|line| format!("  {line}\n")));
    }
    let written: Vec<&str> = changed.iter().map(|(file, _)| file.path.as_str()).collect();
    world.output.result(&text, &serde_json::json!({ "written": written, "told": told }))
}

/// The Dockerfiles of `workflow`, each as it is and as it should be.
fn dockerfiles(workflow: &Workflow) -> anyhow::Result<Vec<(String, String, String)>> {
    let config = &workflow.config;
    let mut all = Vec::new();
    for (file, made_for) in rendering::files(config) {
        let is = disk::text(&workflow.root.join(&file), &file)?;
        let should = rendering::rendered(&is, config, made_for).map_err(|(line, why)| {
            let help = "take that line as the workflow's own Dockerfile has it";
            failure_help(Exit::Usage, format!("reading {file}:{line}: {why}"), help)
        })?;
        all.push((file, is, should));
    }
    Ok(all)
}

/// The lines of the Dockerfiles that aren't as `docker/image.toml` says, each as `file:line`.
///
/// # Errors
/// As [`run`].
pub fn stale(workflow: &Workflow) -> anyhow::Result<Vec<String>> {
    let files = dockerfiles(workflow)?.into_iter();
    let lines = files.filter_map(|(file, is, should)| {
        rendering::difference(&is, &should).map(|line| format!("{file}:{line}"))
    });
    Ok(lines.collect())
}

/// Refuses Dockerfiles that aren't as `docker/image.toml` says.
///
/// # Errors
/// [`Exit::Usage`], naming the first line of each.
pub fn require_current(workflow: &Workflow) -> anyhow::Result<()> {
    let stale = stale(workflow)?;
    if stale.is_empty() {
        return Ok(());
    }
    let message = format!("reading {}: not as docker/image.toml says", stale.join(", "));
    let help = vec![format!("bring it up to date: {REMEDY}")];
    Err(Failure { exit: Exit::Usage, message, help }.into())
}
