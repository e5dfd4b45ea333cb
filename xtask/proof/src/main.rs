//! `cargo xtask test` and `cargo xtask bench`: what proves the workflow itself. Only they compile
//! this.

use clap::Parser as _;
use process::failure::{Exit, failure_help};
use std::path::PathBuf;
use std::process::ExitCode;
use workflow::world::World;

mod bench;
mod cli;
mod lab;
mod measure;
mod test;
mod tools;

fn main() -> ExitCode {
    workflow::ended(cli::Cli::try_parse(), |cli| {
        workflow::run_in_world(cli.common, |world| match &cli.command {
            cli::Command::Test(args) => test::run(world, args),
            cli::Command::Bench(args) => bench::run(world, args),
        })
    })
}

/// The `xtask` that is tested and measured: it says so when it becomes this program.
///
/// # Errors
/// [`Exit::Usage`] when this program was started in another way.
fn program(world: &World) -> anyhow::Result<PathBuf> {
    world.environment.variable("XTASK_TEST_PROGRAM").map(PathBuf::from).ok_or_else(|| {
        failure_help(
            Exit::Usage,
            "looking for xtask: XTASK_TEST_PROGRAM isn't set",
            "run `cargo xtask test`",
        )
    })
}
