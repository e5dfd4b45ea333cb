//! `dev -- COMMAND` and `dev --test`: a command in a container of its own beside the site, or,
//! where that doesn't run, beside the services alone.

use super::{Here, start, stop, things};
use crate::engine::containers::{self, Container, Terminal};
use crate::plan::dev::{self, Dev, Facts};
use crate::run::{QUESTION, say};
use std::io::IsTerminal as _;
use std::process::ExitCode;

/// Runs the command to its end, and ends as it did.
pub fn run(
    here: &Here<'_>,
    facts: &Facts<'_>,
    plan: &Dev,
    command: &[String],
) -> anyhow::Result<ExitCode> {
    let (hosts, started) = {
        let _lock = start::lock(here)?;
        start::services(here, plan)?
    };
    let terminal = match std::io::stdin().is_terminal() {
        true if std::io::stdout().is_terminal() => Terminal::Whole,
        _ => Terminal::Input,
    };
    let container = dev::beside(facts, plan, std::process::id(), command);
    let container = Container { hosts, terminal, ..container };
    let outcome = here.runner.instead(&containers::run(here.engine, &container, false));
    let calm = here.calm();
    // It has removed itself, unless a signal came between.
    if outcome.is_err() {
        let _ = calm.ask(&containers::remove(here.engine, &container.name), QUESTION);
    }
    let others = things::containers(here, &calm)?;
    let site = others.iter().any(|found| !["postgres", "redis"].contains(&found.what.as_str()));
    if started && !site {
        // As it was before.
        stop::all(here, &calm, false)?;
    }
    Ok(match outcome? {
        Some(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        None => {
            say("the command was ended by a signal");
            ExitCode::from(1)
        }
    })
}
