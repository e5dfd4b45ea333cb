//! `export`: writes files for other programs from `docker/image.toml`.

use crate::cli;
use crate::world::World;
use anyhow::Context as _;
use image::compose;
use process::failure::{Exit, failure_help};
use process::state::write_whole;

/// The proxy of `compose.yaml`.
const CADDYFILE: &str = include_str!("../../library/docker/Caddyfile");

/// The command.
///
/// # Errors
/// [`Exit::Usage`] for a file of that name that this command hasn't written.
pub fn run(world: &World, args: &cli::Export) -> anyhow::Result<()> {
    let cli::Exported::Compose = args.what;
    let workflow = world.workflow()?;
    let config = &workflow.config;
    let files = [
        ("docker/compose.yaml", compose::production(config)),
        ("docker/compose.dev.yaml", compose::development(config)),
    ];
    let there = |path: &str| process::regular::read_text(workflow.top.join(path)).ok();
    let foreign = |(path, _): &&(&str, String)| {
        there(path).is_some_and(|text| !text.starts_with(compose::HEAD))
    };
    if let Some((path, _)) = files.iter().find(foreign) {
        let message = format!("writing {path}: there is one that this command hasn't written");
        return Err(failure_help(
            Exit::Usage,
            message,
            "move yours to another name first: this one is always called so",
        ));
    }
    let caddyfile = "docker/Caddyfile";
    let proxy = there(caddyfile).is_none().then(|| (caddyfile, CADDYFILE.to_owned()));
    let mut written = Vec::new();
    for (path, text) in files.into_iter().chain(proxy) {
        if there(path).as_ref() != Some(&text) {
            if !world.common.dry_run {
                write_whole(&workflow.top.join(path), &text)
                    .with_context(|| format!("writing {path}"))?;
            }
            written.push(path);
        }
    }
    let would = if world.common.dry_run { "would write" } else { "wrote" };
    let mut text: String = written.iter().map(|path| format!("{would} {path}\n")).collect();
    if written.is_empty() {
        "everything is up to date\n".clone_into(&mut text);
    }
    world.output.result(&text, &serde_json::json!({ "written": written }))
}
