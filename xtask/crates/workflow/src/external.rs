//! Commands that are separate programs: `test` and `bench`, which only the checkout of a workspace
//! with the package `proof` has. They parse their own options.

use crate::world::World;
use image::config;
use process::failure::{Exit, failure_help};
use process::invocation::Invocation;
use std::path::Path;

/// Their names.
const COMMANDS: [&str; 2] = ["test", "bench"];

/// The manifest of the package that has them, below the top folder.
const MANIFEST: &str = "xtask/proof/Cargo.toml";

/// By this variable it is told which program it tests.
const PROGRAM: &str = "XTASK_TEST_PROGRAM";

/// Leaves those out of the help that this checkout doesn't have.
pub fn without_missing(command: clap::Command) -> clap::Command {
    let here = std::env::current_dir().ok().and_then(|folder| config::find_top(&folder));
    if here.is_some_and(|top| has(&top)) {
        return command;
    }
    COMMANDS.iter().fold(command, |command, name| command.mut_subcommand(name, |c| c.hide(true)))
}

fn has(top: &Path) -> bool {
    top.join(MANIFEST).is_file()
}

/// Becomes the program that has the command, with the same command line.
///
/// # Errors
/// [`Exit::Usage`] when the checkout doesn't have it, [`Exit::Engine`] when cargo can't be started.
pub fn replace_us(world: &World) -> anyhow::Result<()> {
    let workflow = world.workflow()?;
    if !has(&workflow.top) {
        let message = format!("{}: no {MANIFEST}", workflow.top.display());
        let help =
            "only the workflow's own repository has the tests and benchmarks of the workflow";
        return Err(failure_help(Exit::Usage, message, help));
    }
    let manifest = workflow.top.join("Cargo.toml").display().to_string();
    let words = ["run", "--locked", "--package", "senex-proof", "--bin", "proof"];
    let words = words.into_iter().chain(["--manifest-path", &manifest, "--"]).map(str::to_owned);
    let own = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    let cargo = world.environment.variable("CARGO").unwrap_or("cargo");
    let us = std::env::current_exe()?.display().to_string();
    let invocation = Invocation::new(cargo, words.chain(own)).with_env(PROGRAM, us);
    // In our folder: a `-C` among the words counts from there.
    Err(world.runner(&std::env::current_dir()?).replace(&invocation))
}
