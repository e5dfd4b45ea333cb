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
// The world, read once.
mod config;
mod context;
mod git;
mod ignore;
mod machine;
mod network;
mod reference;
mod secrets;
mod world;
// What is decided: plain data.
mod labels;
mod lint;
mod packages;
mod plan;
mod smoke;
mod standin;
// How it is done.
mod base;
mod cache;
mod dockerfile;
mod engine;
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
            let (code, help) = failure::describe(&error);
            run::say(&format!("error: {error:#}"));
            for line in help {
                // An indented line is a quotation that belongs to the line before it.
                let prefix = if line.starts_with("  ") { "    " } else { "help: " };
                run::say(&format!("{prefix}{line}"));
            }
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
    match &cli.command {
        cli::Command::Build(args) => commands::build::run(&world, args),
        cli::Command::Label(args) => commands::label::run(&world, args),
        cli::Command::Context(args) => commands::context_list::run(&world, args),
        cli::Command::Doctor => commands::doctor::run(&world),
        cli::Command::Setup(args) => commands::setup::run(&world, *args),
        cli::Command::SmokeTest(args) => commands::smoke_test::run(&world, args),
        cli::Command::Push(args) => commands::push::run(&world, args),
        cli::Command::Test(args) => commands::test::run(&world, args),
        cli::Command::Bench(args) => commands::bench::run(&world, args),
    }
}
