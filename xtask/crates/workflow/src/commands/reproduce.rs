//! `reproduce`: builds the commit of an image in a registry again, without the layer cache, and compares.

use super::at_commit::at_commit;
use super::build::{self, PATIENCE, Ready};
use super::push::surroundings;
use super::signatures::Cosign;
use super::{attested, squash};
use crate::cli;
use crate::cli::promote::Reproduce;
use crate::world::World;
use engine::build::{SecretMount, SecretSource};
use engine::{Engine, inspect, machine, words};
use image::attest::{self, Made, PROVENANCE, SPDX};
use image::config::Workflow;
use image::plan;
use image::plan::push::label;
use image::push::subject;
use process::failure::{Exit, Failure, failure_help};
use process::notice::notice;
use process::run::{QUESTION, Runner};
use process::state::{make_folder, write_whole};
use registry::{Client, Manifest};
use serde_json::json;
use std::time::Duration;

/// No image takes longer to fetch.
const PULL: Duration = Duration::from_secs(3600);
/// The tag of what is built.
const NAME: &str = "reproduced";

/// The command.
///
/// # Errors
/// [`Exit::Mismatch`] when the images differ, or the base is another one now; [`Exit::Check`] without
/// provenance; [`Exit::Git`] when this clone hasn't the commit; those of `build`.
pub fn run(world: &World, args: &Reproduce) -> anyhow::Result<()> {
    let workflow = world.workflow()?;
    let (target, name) = attested::named(&workflow, &args.image, args.registry.as_ref())?;
    let runner = world.runner(&workflow.top);
    let dry_run = world.common.dry_run;
    let _lock = if dry_run { None } else { Some(workflow.state.lock(PATIENCE)?) };
    let machine = machine::read(&world.environment);
    let (engine, assumed) = build::engine(world, &workflow, &machine, &runner)?;
    let client =
        Client::open(&target, &surroundings(world, &workflow, &machine, &engine, &runner), false)?;
    let original = attested::manifest(&client, &name)?;
    let cosign = Cosign { workflow: &workflow, runner: &runner };
    let Some(provenance) = attested::newest(&cosign, &client, &original, PROVENANCE)? else {
        let message =
            format!("reproducing {target}@{}: no provenance is attached", original.digest);
        return Err(failure_help(Exit::Check, message, "`cargo xtask release` attaches it"));
    };
    let made = Made::read(&provenance);
    let revision = label(&client.labels(&original)?, "revision");
    let at = at_commit(&workflow.top, &revision)?;
    let mut options = options(args, &made, &engine, &revision);
    if let Some(packages) = attested::newest(&cosign, &client, &original, SPDX)? {
        options.secret.push(versions(&workflow, &attest::debian_versions(&packages.predicate))?);
    }
    let mut ready = build::prepare(world, &at, &runner, &options, Some((engine, assumed)))?;
    same_base(&made, &ready)?;
    ready.plan.references = vec![plan::local(ready.engine.kind, &at.config.image.name, NAME)];
    if dry_run {
        let script = ready.script(&workflow.top);
        let commands: Vec<&str> = script.lines().collect();
        return world.output.result(&script, &json!({ "commands": commands }));
    }
    let built = build::build(&at, &ready.engine, &ready.plan, &runner, &ready.log)?;
    let proven = compare(&workflow, &runner, &ready.engine, &client, &original, &built.image.id)?;
    let text = format!(
        "{target}@{}\n  commit      {revision}\n  built       {}\n  reproduced  {proven}\n",
        original.digest, built.image.id
    );
    let json = json!({
        "repository": target.to_string(), "digest": original.digest, "revision": revision,
        "image_id": built.image.id, "proven": proven,
    });
    world.output.result(&text, &json)
}

/// The build of the commit, as its provenance says it was built.
fn options(args: &Reproduce, made: &Made, engine: &Engine, revision: &str) -> cli::Build {
    // The base and the one of the assets are the commit's own.
    let own = [engine::build::BASE_IMAGE, image::rendering::ASSETS_IMAGE];
    let build_arg = made.build_args.clone().into_iter();
    cli::Build {
        build_arg: build_arg.filter(|(name, _)| !own.contains(&name.as_str())).collect(),
        secret: args.secret.clone(),
        platform: Some(made.platform.clone()).filter(|platform| *platform != engine.platform),
        commit: Some(revision.to_owned()),
        no_cache: true,
        force: true,
        ..cli::Build::default()
    }
}

/// The versions of Debian's packages that the image has, as a secret: what the archive has meanwhile is
/// no part of it.
fn versions(workflow: &Workflow, lines: &str) -> anyhow::Result<SecretMount> {
    let path = workflow.state.folder.join("debian-versions");
    make_folder(&workflow.state.folder)?;
    write_whole(&path, lines)?;
    let source = SecretSource::File(path.display().to_string());
    Ok(SecretMount { id: "versions".to_owned(), source })
}

/// Another base makes another image.
fn same_base(made: &Made, ready: &Ready) -> anyhow::Result<()> {
    let base = &ready.plan.base;
    if made.base_digest.is_none() || base.digest == made.base_digest {
        return Ok(());
    }
    let digest = |digest: &Option<String>| digest.clone().unwrap_or_else(|| "unknown".to_owned());
    let (was, is) = (digest(&made.base_digest), digest(&base.digest));
    let message = format!("reproducing on {}: it was {was} and is {is}", base.reference);
    let name = base.name().rsplit_once(':').map_or(base.name(), |(name, _)| name);
    let program = &ready.engine.program;
    let help = format!(
        "fetch the old one: {program} pull {name}@{was} && {program} tag {name}@{was} {}",
        base.reference
    );
    Err(failure_help(Exit::Mismatch, message, help))
}

/// What is proven of the two images.
///
/// # Errors
/// [`Exit::Mismatch`] with the files that differ.
fn compare(
    workflow: &Workflow,
    runner: &Runner,
    engine: &Engine,
    client: &Client,
    original: &Manifest,
    built: &str,
) -> anyhow::Result<String> {
    if subject(engine, runner, &workflow.state, built)?.is(original) {
        return Ok("the same image: config and every layer have the same digests".to_owned());
    }
    let name = format!("{}@{}", client.target, original.digest);
    notice(&format!("the images differ: fetching {name} to see in what"));
    let pulled = runner.ask(&words::pull(engine, &name, None, client.plain), PULL)?;
    if !pulled.good() {
        let message = format!("fetching {name}: {}", pulled.last_line());
        return Err(failure_help(
            Exit::RegistryFailed,
            message,
            format!("{} login", engine.program),
        ));
    }
    let layers = |image: &str| -> anyhow::Result<Vec<String>> {
        let answer = runner.ask(&words::inspect(engine, image), QUESTION)?;
        Ok(inspect::image(&answer.stdout)?.layers)
    };
    let same_layers = layers(&name)? == layers(built)?;
    let compared = squash::compared(engine, runner, &name, built, None);
    let _ = runner.ask(&words::remove_image(engine, &name), QUESTION)?;
    let (_, _, compared) = compared?;
    let beyond_time: Vec<String> = compared
        .differing
        .iter()
        .filter(|line| !line.ends_with(": another time"))
        .cloned()
        .collect();
    match (compared.differing.len(), beyond_time.len()) {
        (0, _) if same_layers => Ok(format!(
            "the same layers by their digests, {} files, and the same config but for what {} makes up \
             for every build",
            compared.files,
            engine.kind.title()
        )),
        (0, _) => Ok(format!("the same {} files and config, in other layers", compared.files)),
        (times, 0) => Ok(format!(
            "the same {} files and config, but for the times of {times}",
            compared.files
        )),
        (_, count) => {
            let message = format!("reproducing {name}: {count} differences");
            let mut help = squash::named(beyond_time);
            help.push(format!("what was built is {built}"));
            Err(Failure { exit: Exit::Mismatch, message, help }.into())
        }
    }
}
