//! `dev`: the site from the checkout, with everything that it needs beside it.

use crate::cli::{self, DevAction};
use crate::engine::{Engine, Kind, words};
use crate::failure::{Exit, failure_help};
use crate::machine::{self, Machine};
use crate::plan::dev::{self, Facts, Owner};
use crate::run::{QUESTION, Runner, say};
use crate::world::{Workflow, World};
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

mod beside;
mod image;
mod logs;
mod show;
mod start;
mod status;
mod stop;
mod things;
mod watch;

/// What is remembered of a checkout's `dev`, in `target/xtask/dev.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Memory {
    /// The image ID of the development image.
    image: String,
    /// The files that it was made from, each with a hash.
    inputs: BTreeMap<String, String>,
    /// Where the site was last.
    port: u16,
}

const MEMORY: &str = "dev.json";

/// The place of one `dev`.
struct Here<'a> {
    world: &'a World,
    workflow: &'a Workflow,
    engine: &'a Engine,
    runner: &'a Runner,
    /// Tells this checkout from others.
    checkout: String,
}

impl Here<'_> {
    fn memory(&self) -> Memory {
        self.workflow.state.remembered(MEMORY).unwrap_or_default()
    }

    fn remember(&self, memory: &Memory) -> anyhow::Result<()> {
        self.workflow.state.remember(MEMORY, memory)
    }

    /// For what must be done also after a signal.
    fn calm(&self) -> Runner {
        Runner { signal: Arc::default(), ..self.runner.clone() }
    }
}

/// The command; its exit status is that of the command which was asked for, where one was.
///
/// # Errors
/// Every [`Exit`] that `build` has; [`Exit::Check`] when the site doesn't become healthy.
pub fn run(world: &World, args: &cli::Dev) -> anyhow::Result<ExitCode> {
    let workflow = world.workflow()?;
    let runner = Runner { progress: false, ..world.runner(&workflow.top) };
    let machine = machine::read(world);
    let (engine, assumed) = super::build::engine(world, &workflow, &machine, &runner)?;
    let checkout = dev::checkout(&workflow.top);
    let (workflow, runner, engine) = (&workflow, &runner, &engine);
    let here = Here { world, workflow, engine, runner, checkout };
    let done = |outcome: anyhow::Result<()>| outcome.map(|()| ExitCode::SUCCESS);
    match &args.action {
        Some(DevAction::Status) => return done(status::run(&here)),
        Some(DevAction::Logs { roles, follow }) => return done(logs::run(&here, roles, *follow)),
        Some(DevAction::Stop { volumes }) => return done(stop::run(&here, *volumes)),
        None => {}
    }
    let owner = owner(&here, &machine)?;
    let selinux = Path::new("/sys/fs/selinux/enforce").exists();
    safe_to_share(&workflow.top, world.variable("HOME"), selinux)?;
    let (image, mut script) = image::current(&here, assumed)?;
    let (services, steps) = super::services(world, workflow, engine, assumed, runner)?;
    script.extend(steps.iter().map(ToString::to_string));
    let port = start::port(&here, assumed)?;
    let config = &workflow.config;
    let top = &workflow.top;
    let facts = Facts { config, top, image, services, port, owner, selinux };
    let plan = dev::dev(&facts);
    let command = command(args);
    if world.common.dry_run {
        return done(show::run(&here, &facts, &plan, script, command.as_deref()));
    }
    if owner == Owner::Numbers(0, 0) {
        say("the site is root in its containers, so that its files belong to the checkout's owner");
    }
    if owner == Owner::Shared {
        say("saved files are looked for twice a second: no events come into the virtual machine");
    }
    match command {
        Some(command) => beside::run(&here, &facts, &plan, &command),
        None => done(watch::run(&here, &plan, args.detach)),
    }
}

/// What runs beside the site.
fn command(args: &cli::Dev) -> Option<Vec<String>> {
    // The settings that pyproject.toml names for the tests count, not those of the site. No cache
    // in the checkout.
    let pytest = ["env", "--unset=DJANGO_SETTINGS_MODULE", "pytest", "-p", "no:cacheprovider"];
    match &args.test {
        Some(words) => Some(pytest.map(str::to_owned).into_iter().chain(words.clone()).collect()),
        None => (!args.words.is_empty()).then(|| args.words.clone()),
    }
}

/// Who the roles are: whoever owns the checkout.
fn owner(here: &Here<'_>, machine: &Machine) -> anyhow::Result<Owner> {
    let engine = here.engine;
    if let Some(place) = engine.place.as_ref().filter(|place| place.contains("a remote ")) {
        let message =
            format!("running the site from the checkout on {place}: its files aren't there");
        return Err(failure_help(Exit::Usage, message, "use an engine of this machine"));
    }
    let app = here.workflow.top.join("app");
    let found = app.metadata().with_context(|| format!("looking at {}", app.display()))?;
    let rootless = match engine.kind {
        Kind::Podman => machine.uid != 0,
        Kind::Docker if here.world.common.dry_run => false,
        Kind::Docker => {
            let answer = here.runner.ask(&words::security_options(engine), QUESTION)?;
            answer.stdout.contains("name=rootless")
        }
    };
    Ok(dev::owner(engine, rootless, found.uid(), found.gid()))
}

/// Refuses to give a folder another SELinux label that more than the site needs.
fn safe_to_share(top: &Path, home: Option<&str>, selinux: bool) -> anyhow::Result<()> {
    let app = top.join("app");
    let app = app.canonicalize().with_context(|| format!("looking at {}", app.display()))?;
    let home = home.and_then(|home| Path::new(home).canonicalize().ok());
    let precious = app.parent().is_none() || home.is_some_and(|home| home.starts_with(&app));
    if selinux && precious {
        let message = format!(
            "sharing {} with containers: SELinux would give all of it another label",
            app.display()
        );
        return Err(failure_help(
            Exit::Usage,
            message,
            "put the checkout into a folder of its own",
        ));
    }
    Ok(())
}
