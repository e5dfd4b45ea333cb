//! `export`: writes files for other programs from `docker/image.toml`.

use crate::cli::export::{Export, Exported, Quadlet};
use crate::world::World;
use anyhow::Context as _;
use engine::reference;
use image::config::Config;
use image::plan::push;
use image::{compose, quadlet};
use process::failure::{Exit, failure_help};
use process::state::{make_folder, write_whole};
use std::path::Path;

/// The proxy of `compose.yaml`.
const CADDYFILE: &str = include_str!("../../library/docker/Caddyfile");

/// The command.
///
/// # Errors
/// [`Exit::Usage`] for a file of that name that this command hasn't written, and if no registry is named.
pub fn run(world: &World, args: &Export) -> anyhow::Result<()> {
    let workflow = world.workflow()?;
    let config = &workflow.config;
    match &args.what {
        Exported::Compose => write(world, &workflow.top, compose::HEAD, compose_files(config)),
        Exported::Quadlet(args) => {
            write(world, &world.folder, quadlet::HEAD, quadlet_files(config, args)?)
        }
    }
}

/// A file: its path, its text, and whether it is the project's once it is there.
type Written = (String, String, bool);

fn compose_files(config: &Config) -> Vec<Written> {
    let file = |path: &str, text, once| (path.to_owned(), text, once);
    vec![
        file("docker/compose.yaml", compose::production(config), false),
        file("docker/compose.dev.yaml", compose::development(config), false),
        file("docker/Caddyfile", CADDYFILE.to_owned(), true),
    ]
}

fn quadlet_files(config: &Config, args: &Quadlet) -> anyhow::Result<Vec<Written>> {
    let tag = &args.environment;
    if !reference::is_tag(tag) {
        let message = format!("following the environment {tag:?}: it is no tag");
        let help = "letters, digits, `_`, `.` and `-`, at most 128, not `.` or `-` first";
        return Err(failure_help(Exit::Usage, message, help));
    }
    let targets = push::targets(&args.registry, &config.push.registries, &config.image.name)?;
    let image = format!("{}:{tag}", targets[0]);
    let files = quadlet::files(config, &image, !args.without_services).into_iter();
    let path = |name: String| args.folder.join(name).display().to_string();
    Ok(files.map(|(name, text)| (path(name), text, false)).collect())
}

/// Writes into `folder` those files that are to change; ours begin with `head`.
fn write(world: &World, folder: &Path, head: &str, files: Vec<Written>) -> anyhow::Result<()> {
    let there = |path: &str| process::regular::read_text(folder.join(path)).ok();
    let foreign = |(path, _, once): &&Written| {
        !once && there(path).is_some_and(|text| !text.starts_with(head))
    };
    if let Some((path, ..)) = files.iter().find(foreign) {
        let message = format!("writing {path}: there is one that this command hasn't written");
        return Err(failure_help(
            Exit::Usage,
            message,
            "move yours to another name first: this one is always called so",
        ));
    }
    let mut written = Vec::new();
    for (path, text, once) in files {
        let now = there(&path);
        if now.as_ref() == Some(&text) || once && now.is_some() {
            continue;
        }
        if !world.common.dry_run {
            let whole = folder.join(&path);
            whole.parent().map_or(Ok(()), make_folder)?;
            write_whole(&whole, &text).with_context(|| format!("writing {path}"))?;
        }
        written.push(path);
    }
    let would = if world.common.dry_run { "would write" } else { "wrote" };
    let mut text: String = written.iter().map(|path| format!("{would} {path}\n")).collect();
    if written.is_empty() {
        "everything is up to date\n".clone_into(&mut text);
    }
    world.output.result(&text, &serde_json::json!({ "written": written }))
}
