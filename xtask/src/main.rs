//! The container workflow of this repository: `cargo xtask COMMAND`.
//!
//! One direction only:
//!
//! ```text
//! command line (cli) ─┐
//! docker/image.toml ──┤
//! git checkout ───────┼─► plan  ─► engine ─► run ─► report
//! environment, clock ─┘   (pure)   (words)  (spawns) (text, JSON)
//! ```
//!
//! The modules below stand in that order: what is read, what is decided, what is done.

use clap::Parser as _;
use std::process::ExitCode;

// How a command is asked for and how it ends.
mod cli;
mod failure;
mod form;
// The world, read once.
mod ci;
mod config;
mod context;
mod git;
mod ignore;
mod machine;
mod network;
mod notice;
mod output;
mod project;
mod reference;
mod secrets;
mod world;
// What is decided: plain data.
mod labels;
mod lint;
mod packages;
mod plan;
mod platform;
mod smoke;
mod squash;
mod standin;
mod stored;
mod tags;
// How it is done.
mod base;
mod cache;
mod dockerfile;
mod engine;
mod environment;
mod files;
mod fingerprint;
mod invocation;
mod lab;
mod leftovers;
mod locate;
mod push;
mod registry;
mod run;
mod state;
mod verify;
// What is said about it.
mod report;
// One driver for each command.
mod commands;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are results; a wrong command line is exit 2, which clap prints.
            let _ = error.print();
            return if error.use_stderr() { exit(failure::Exit::Usage) } else { ExitCode::SUCCESS };
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let (code, lines) = failure::shown(&error);
            lines.iter().for_each(|line| crate::notice::notice(line));
            exit(code)
        }
    }
}

fn exit(code: failure::Exit) -> ExitCode {
    ExitCode::from(code as u8)
}

fn run(cli: cli::Cli) -> anyhow::Result<()> {
    let env = cli.common.format == cli::Format::Env;
    if env && !matches!(cli.command, cli::Command::Label(_)) {
        let message = "printing in the form env: only `label` has it";
        return Err(failure::failure_help(failure::Exit::Usage, message, "use --format json"));
    }
    let world = world::World::read(cli.common, run::signals()?)?;
    let outcome = command(&world, &cli.command);
    if let Err(error) = &outcome
        && failure::describe(error).0 != failure::Exit::Build
    {
        // A failed build stands at its line of the Dockerfile already.
        world.output.form.error(&format!("{error:#}"));
    }
    outcome
}

fn command(world: &world::World, command: &cli::Command) -> anyhow::Result<()> {
    match command {
        cli::Command::Build(args) => commands::build::run(world, args),
        cli::Command::Label(args) => commands::label::run(world, args),
        cli::Command::Context(args) => commands::context_list::run(world, args),
        cli::Command::Doctor => commands::doctor::run(world),
        cli::Command::Setup(args) => commands::setup::run(world, *args),
        cli::Command::SmokeTest(args) => commands::smoke_test::run(world, args),
        cli::Command::Dev(args) => commands::dev::run(world, args),
        cli::Command::Squash(args) => commands::squash::run(world, args),
        cli::Command::Images => commands::images::list(world),
        cli::Command::Clean(args) => commands::images::clean(world, *args),
        cli::Command::Push(args) => commands::push::run(world, args),
        cli::Command::Release(args) => commands::release::run(world, args),
        cli::Command::Test(args) => commands::test::run(world, args),
        cli::Command::Bench(args) => commands::bench::run(world, args),
    }
}
