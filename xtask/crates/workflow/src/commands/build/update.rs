//! `build --update-base`: what the tags of the bases name today goes into `docker/base.lock`.

use super::gather;
use crate::commands::push::surroundings;
use crate::world::World;
use engine::{machine, reference};
use image::base::lock::{self, Locked};
use image::config::Workflow;
use process::failure::{Exit, describe, failure_help};
use process::notice::notice;
use process::run::Runner;
use process::state::write_whole;
use registry::{Client, ClientSettings};
use std::collections::BTreeSet;

/// The digest that the registry has under `name`: an index's, if it is one.
fn registry_digest(name: &str, surroundings: &ClientSettings<'_>) -> anyhow::Result<String> {
    let target = reference::parse(name)?;
    let tag = target.tag.as_deref().unwrap_or("latest");
    Client::open(&target, surroundings, false)?.digest(tag)?.ok_or_else(|| {
        let message = format!("looking up {name}: its registry has no such tag");
        let help = format!("{} stays as it is", lock::PATH);
        failure_help(Exit::RegistryRefused, message, help)
    })
}

/// The images that builds start from, if a registry has them and docker/image.toml names no digest.
fn names(workflow: &Workflow) -> anyhow::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for base in workflow.config.clone().bases() {
        let Some(name) = workflow.lock.name_of(base) else { continue };
        if reference::parse(name)?.registry != "localhost" {
            names.insert(name.to_owned());
        }
    }
    Ok(names)
}

/// Asks their registries, and writes the file. Nothing is written if one of them doesn't answer.
///
/// # Errors
/// [`Exit::RegistryFailed`] and [`Exit::RegistryRefused`]; [`Exit::Usage`] if there is nothing to ask.
pub(super) fn update(world: &World, workflow: &Workflow, runner: &Runner) -> anyhow::Result<()> {
    let names = names(workflow)?;
    if names.is_empty() {
        let message = format!("updating {}: no base is named by a registry's tag", lock::PATH);
        let help = "`base` in docker/image.toml has a digest, or is below localhost/, which is no registry";
        return Err(failure_help(Exit::Usage, message, help));
    }
    let machine = machine::read(&world.environment);
    let (engine, assumed) = gather::engine(world, workflow, &machine, runner)?;
    let log = workflow.state.new_log("update-base")?;
    let images = gather::images(world, workflow, runner, (&engine, assumed), &log);
    if world.common.dry_run {
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        notice(&format!("would ask for the digest of {names} and write {}", lock::PATH));
        notice("assumed: the bases are what that file names now");
        return Ok(());
    }
    let (mut lock, mut lines) = (workflow.lock.clone(), Vec::new());
    lock.keep(&names);
    // The engine asks again.
    let surroundings =
        ClientSettings { attempts: 1, ..surroundings(world, workflow, &machine, &engine, runner) };
    for name in &names {
        let digest = match registry_digest(name, &surroundings) {
            // The engine may know a mirror.
            Err(error) if describe(&error).0 == Exit::RegistryFailed => images.look_up(name),
            asked => asked,
        };
        lines.push(lock.update(name, Locked::today(digest?)));
    }
    write_whole(&workflow.top.join(lock::PATH), &lock.to_string())?;
    notice(&format!("wrote {}; commit it", lock::PATH));
    lines.iter().for_each(|line| notice(&format!("  {line}")));
    Ok(())
}
