//! `setup`: installs what is missing on Debian and Ubuntu, after showing every root command.

use crate::cli;
use crate::packages::{self, MissingTools};
use crate::world::World;
use anyhow::Context as _;
use engine::machine::{self, Machine};
use engine::reference;
use engine::{EngineKind, settings};
use image::base::Source;
use image::config::Workflow;
use process::failure::{Exit, Failure, failure, failure_help};
use process::invocation::Invocation;
use process::notice::notice;
use process::run::{QUESTION, Runner, Watch};
use std::io::{BufRead as _, IsTerminal as _};

/// The command.
///
/// # Errors
/// [`Exit::Engine`] when something can't be installed here, with the commands that a person can
/// run; 130 or 143 after a signal.
pub fn run(world: &World, setup: cli::Setup) -> anyhow::Result<()> {
    let workflow = world.workflow()?;
    let machine = machine::read(&world.environment);
    if setup.write_user_config {
        return write_user_config(world, &machine);
    }
    ensure(world, &workflow, &machine, setup)?;
    let runner = world.runner(&workflow.top);
    if world.common.dry_run {
        return Ok(());
    }
    let search = world.search(&workflow, &machine, &runner);
    let engine = search.engine()??;
    notice(&format!("{} {} works: {}", engine.kind.title(), engine.version, engine.why));
    if !setup.services {
        return Ok(());
    }
    let source = Source {
        environment: &world.environment,
        runner: &runner,
        state: &workflow.state,
        engine: &engine,
        assumed: false,
        top: &workflow.top,
        log: workflow.state.new_log("services")?,
        network: &workflow.config.network,
        python: workflow.oldest_python(),
        dry_run: false,
    };
    let services = &workflow.config.services;
    let mut found = serde_json::Map::new();
    let mut text = String::new();
    for (name, wanted) in [("postgres", &services.postgres), ("redis", &services.redis)] {
        let (image, _) = source.resolve(wanted, false, None)?;
        text += &format!("{name} {}\n", image.reference);
        found.insert(name.to_owned(), image.reference.into());
    }
    world.output.result(&text, &found.into())
}

/// What is missing here for `setup` to install.
pub fn missing(
    world: &World,
    workflow: &Workflow,
    machine: &Machine,
    setup: cli::Setup,
) -> anyhow::Result<MissingTools> {
    let runner = world.runner(&workflow.top);
    let engine = world.search(workflow, machine, &runner).engine()?;
    let assumed = engine::Engine::assumed(EngineKind::Podman);
    let wanted = reference::parse(&workflow.config.prod.base)?;
    // Whether a stand-in will be needed depends on the registry, not on the engine: with none
    // installed yet, the registry's own address is what can be asked.
    let known = engine.as_ref().unwrap_or(&assumed);
    let here = engine.is_ok() && {
        let question = engine::words::inspect(known, &workflow.config.prod.base);
        runner.ask(&question, QUESTION)?.good()
    };
    let reachable = here || {
        let known = if engine.is_ok() { known } else { &assumed };
        registry::reachable(&wanted, known, &world.environment, &runner, &workflow.state)?.is_ok()
    };
    let (tests, browser) = (setup.for_tests, setup.for_browser);
    Ok(MissingTools { engine: engine.is_err(), standins: !reachable, tests, browser })
}

/// Installs what is missing; does nothing, and says nothing, when nothing is.
pub fn ensure(
    world: &World,
    workflow: &Workflow,
    machine: &Machine,
    setup: cli::Setup,
) -> anyhow::Result<()> {
    let runner = world.runner(&workflow.top);
    let missing = missing(world, workflow, machine, setup)?;
    if missing == MissingTools::default() {
        return Ok(());
    }
    let asked = world.search(workflow, machine, &runner).asked;
    if let Some((EngineKind::Docker, who)) = asked
        && missing.engine
        && !missing.tests
    {
        let message = format!("installing: setup installs Podman, and {who} asks for Docker");
        return Err(failure_help(Exit::Engine, message, "install Docker, or leave that out"));
    }
    let installed = |name: &str| {
        let words = ["--show", "--showformat=${db:Status-Status}", name];
        let answer = runner.ask(&Invocation::new("dpkg-query", words), QUESTION);
        answer.is_ok_and(|answer| answer.stdout == "installed")
    };
    if !machine.release.debian() {
        return if missing.engine { Err(elsewhere(machine)) } else { Ok(()) };
    }
    let wanted = packages::wanted(missing, &installed);
    runner.check_signal()?;
    if wanted.is_empty() {
        return Ok(());
    }
    let log = workflow.state.new_log("setup")?;
    let lists = std::fs::read_dir("/var/lib/apt/lists").into_iter().flatten().flatten();
    let fresh = lists.map(|entry| entry.file_name()).any(|name| {
        let name = name.to_string_lossy();
        name.ends_with("_Packages") || name.ends_with("_Packages.lz4")
    });
    let update = [packages::update()];
    let install = [packages::install(&wanted)];
    let root: Vec<Invocation> = if machine.uid == 0 {
        update.into_iter().chain(install).collect()
    } else {
        update.iter().chain(&install).map(packages::with_sudo).collect()
    };
    if fresh {
        simulate(&wanted, &runner)?;
    }
    notice(&format!("installing Debian packages: {}", wanted.join(" ")));
    for invocation in &root {
        notice(&format!("  {invocation}"));
    }
    if world.common.dry_run {
        return Ok(());
    }
    agree(setup, &root)?;
    if machine.uid != 0 && engine::find::on_path(world.environment.path(), "sudo").is_empty() {
        return Err(by_hand("installing: you are not root, and there is no sudo", &root));
    }
    for (number, invocation) in root.iter().enumerate() {
        if number == 1 {
            simulate(&wanted, &runner)?;
        }
        let code = if machine.uid == 0 {
            runner.stream(invocation, &log, Watch::default())?.code
        } else {
            runner.attached(invocation)?
        };
        if code != Some(0) {
            return Err(by_hand(&format!("installing: `{invocation}` failed"), &root));
        }
    }
    Ok(())
}

/// Stops when anything would be removed: `docker.io` and Docker's own packages exclude each other.
fn simulate(wanted: &[&str], runner: &Runner) -> anyhow::Result<()> {
    let simulation = packages::simulate(wanted);
    let answer = runner.ask(&simulation, QUESTION)?;
    let removed = packages::removed(&answer.stdout);
    if answer.good() && removed.is_empty() {
        return Ok(());
    }
    let why = if removed.is_empty() {
        answer.last_line().to_owned()
    } else {
        format!("it would remove {}", removed.join(", "))
    };
    let message = format!("simulating the installation: {why}");
    Err(failure_help(Exit::Engine, message, format!("look at it yourself: {simulation}")))
}

fn agree(setup: cli::Setup, root: &[Invocation]) -> anyhow::Result<()> {
    if setup.yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(by_hand("installing: there is no terminal to ask at; add --yes", root));
    }
    eprint!("run these commands? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("reading the answer")?;
    if answer.trim().eq_ignore_ascii_case("y") {
        Ok(())
    } else {
        Err(failure(Exit::Engine, "installing: not agreed to, nothing was changed"))
    }
}

fn by_hand(message: &str, root: &[Invocation]) -> anyhow::Error {
    let mut help = vec!["run these yourself, as root:".to_owned()];
    help.extend(root.iter().map(|invocation| format!("  {invocation}")));
    Failure { exit: Exit::Engine, message: message.to_owned(), help }.into()
}

/// Changes nothing on a system whose packages we don't know; says what to do by hand.
fn elsewhere(machine: &Machine) -> anyhow::Error {
    let release = &machine.release;
    let message = format!("installing: setup knows Debian and Ubuntu, not {}", release.name);
    let commands = packages::elsewhere(release);
    let help = if commands.is_empty() {
        vec!["install Podman 4.3 or newer with this system's own package manager".to_owned()]
    } else {
        let lines = commands.iter().map(|command| format!("  {command}"));
        ["run these yourself, then this again:".to_owned()].into_iter().chain(lines).collect()
    };
    Failure { exit: Exit::Engine, message, help }.into()
}

fn write_user_config(world: &World, machine: &Machine) -> anyhow::Result<()> {
    let runc = !engine::find::on_path(world.environment.path(), "runc").is_empty();
    let files = settings::permanent(&world.environment, machine, runc)?;
    if files.is_empty() {
        notice("nothing to write: Podman's defaults are enough for this machine");
    }
    for (file, text) in files {
        notice(&format!("writing {}:", file.display()));
        text.lines().for_each(|line| notice(&format!("  {line}")));
        if world.common.dry_run {
            continue;
        }
        if let Some(folder) = file.parent() {
            process::state::make_folder(folder)?;
        }
        process::state::write_whole(&file, &text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::machine::OsRelease;

    #[test]
    fn elsewhere_the_commands_are_said_with_exit_4() {
        let check = |text: &str, expected: &[&str]| {
            let machine = Machine { release: OsRelease::parse(text), ..Machine::default() };
            let (exit, help) = process::failure::describe(&elsewhere(&machine));
            assert_eq!(
                (exit, help.iter().map(String::as_str).collect()),
                (Exit::Engine, expected.to_vec())
            );
        };
        check("ID=fedora", &["run these yourself, then this again:", "  sudo dnf install podman"]);
        let own = "install Podman 4.3 or newer with this system's own package manager";
        check("ID=nixos", &[own]);
    }
}
