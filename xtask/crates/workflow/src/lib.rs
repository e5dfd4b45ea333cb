//! The commands of `cargo xtask`.
//!
//! One direction only, from the bottom up:
//!
//! ```text
//! process < source < engine < registry < image < smoke < workflow
//!
//! command line, image.toml, git checkout, environment, clock
//!     ─► gather ─► plan (pure) ─► engine words ─► run ─► report
//! ```

use clap::parser::ValueSource;
use clap::{CommandFactory as _, FromArgMatches as _};
use cli::{Cli, Command, Common, Format};
use process::failure::{self, Exit, failure_help};
use process::notice::notice;
use process::run;
use std::process::ExitCode;
use world::World;

pub mod cli;
pub mod commands;
mod external;
mod help;
mod output;
mod packages;
pub mod world;

/// Runs the command that the process's arguments name; the exit status is part of the contract that
/// `--help` prints.
pub fn main() -> ExitCode {
    let whole = whole();
    let short = help::short(&whole);
    let matches = whole.override_help(short).try_get_matches();
    let cli = matches.and_then(|matches| {
        let mut cli = Cli::from_arg_matches(&matches)?;
        cli.common.engine_flag = matches.value_source("engine") == Some(ValueSource::CommandLine);
        Ok(cli)
    });
    ended(cli, |cli: Cli| run_in_world(cli.common, |world| command(world, cli.command.as_ref())))
}

/// The command line of this checkout, with its long help.
fn whole() -> clap::Command {
    help::with_examples(external::without_missing(Cli::command()))
}

/// Turns what clap says of a command line, or what `run` makes of it, into an exit status.
pub fn ended<C>(
    cli: clap::error::Result<C>,
    run: impl FnOnce(C) -> anyhow::Result<()>,
) -> ExitCode {
    let cli = match cli {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are results; a wrong command line is exit 2, which clap prints.
            if error.use_stderr() {
                notice(error.to_string().trim_end());
                return exit(Exit::Usage);
            }
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let (code, lines) = failure::shown(&error);
            lines.iter().for_each(|line| notice(line));
            exit(code)
        }
    }
}

fn exit(code: Exit) -> ExitCode {
    ExitCode::from(code as u8)
}

/// Reads the world and runs a command in it; an error is also said in the CI system's own form.
///
/// # Errors
/// Those of the command, and [`Exit::Usage`] when the folder of `-C` isn't there.
pub fn run_in_world(
    common: Common,
    command: impl FnOnce(&World) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let world = World::read(common, run::signals()?)?;
    let outcome = command(&world);
    if let Err(error) = &outcome
        && failure::describe(error).0 != Exit::Build
    {
        // A failed build stands at its line of the Dockerfile already.
        world.output.form.error(&format!("{error:#}"));
    }
    outcome
}

fn command(world: &World, command: Option<&Command>) -> anyhow::Result<()> {
    if world.common.format == Format::Env && !matches!(command, Some(Command::Label(_))) {
        let message = "printing in the form env: only `label` has it";
        return Err(failure_help(Exit::Usage, message, "use --format json"));
    }
    let Some(command) = command else { return commands::home::run(world) };
    match command {
        Command::Build(args) => commands::build::run(world, args),
        Command::Label(args) => commands::label::run(world, args),
        Command::Context(args) => commands::context_list::run(world, args),
        Command::Doctor => commands::doctor::run(world),
        Command::Export(args) => commands::export::run(world, args),
        Command::Init(args) => commands::init::run(world, args),
        Command::Setup(args) => commands::setup::run(world, *args),
        Command::SmokeTest(args) => commands::smoke_test::run(world, args),
        Command::Dev(args) => commands::dev::run(world, args),
        Command::Squash(args) => commands::squash::run(world, args),
        Command::Images => commands::images::list(world),
        Command::Clean(args) => commands::images::clean(world, *args),
        Command::Push(args) => commands::push::run(world, args),
        Command::Release(args) => commands::release::run(world, args),
        Command::Promote(args) => commands::promote::promote(world, args),
        Command::Rollback(args) => commands::promote::rollback(world, args),
        Command::Verify(args) => commands::verify::run(world, args),
        Command::Reproduce(args) => commands::reproduce::run(world, args),
        Command::Help(args) => {
            let text = match args.completion {
                true => help::completion(whole()),
                false => help::long(whole(), args.command.as_deref().filter(|_| !args.all))?,
            };
            world.output.result(&text, &serde_json::json!({ "help": text }))
        }
        Command::Test(_) | Command::Bench(_) => external::replace_us(world),
    }
}
