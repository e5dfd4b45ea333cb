//! `dev stop`: nothing but the data is left, with `--volumes` nothing.

use super::things::{self, Found, must};
use super::{Here, start};
use crate::engine::containers::{self, Thing};
use crate::plan::dev::GRACE;
use crate::run::{self, QUESTION, Runner, say};

/// The command.
pub fn run(here: &Here<'_>, volumes: bool) -> anyhow::Result<()> {
    if here.world.common.dry_run {
        return show(here, volumes);
    }
    let _lock = start::lock(here)?;
    let stopped = all(here, here.runner, volumes)?;
    let text = match stopped {
        0 => "nothing was running\n",
        _ if volumes => "stopped, and the data is removed\n",
        _ => "stopped; the data stays: `dev stop --volumes` removes it\n",
    };
    here.world.result(text, &serde_json::json!({ "stopped": stopped, "volumes": volumes }))
}

/// Stops and removes everything of the checkout; gives how much that was.
pub fn all(here: &Here<'_>, runner: &Runner, volumes: bool) -> anyhow::Result<usize> {
    let found = things::containers(here, runner)?;
    let (services, roles): (Vec<Found>, Vec<Found>) =
        found.into_iter().partition(|found| ["postgres", "redis"].contains(&found.what.as_str()));
    // PostgreSQL ends once nobody is connected.
    remove(here, runner, &roles)?;
    remove(here, runner, &services)?;
    let mut count = roles.len() + services.len();
    for id in things::ids(here, runner, Thing::Network)? {
        must(runner, &containers::network_remove(here.engine, &id))?;
        count += 1;
    }
    if volumes {
        for id in things::ids(here, runner, Thing::Volume)? {
            must(runner, &containers::volume_remove(here.engine, &id))?;
            count += 1;
        }
    }
    Ok(count)
}

/// Ends containers at the same time, and removes them.
pub fn remove(here: &Here<'_>, runner: &Runner, all: &[Found]) -> anyhow::Result<()> {
    let names: Vec<&str> = all.iter().map(|found| found.what.as_str()).collect();
    if all.iter().any(Found::runs) {
        say(&format!("stopping {}", names.join(", ")));
    }
    let outcomes = run::all(all, |found| {
        if found.runs() {
            // What doesn't end is killed, and one that has ended meanwhile can't be stopped.
            let _ = runner.ask(&containers::stop(here.engine, &found.name, GRACE), QUESTION);
        }
        must(runner, &containers::remove(here.engine, &found.name)).map(|_| ())
    });
    outcomes.into_iter().collect()
}

fn show(here: &Here<'_>, volumes: bool) -> anyhow::Result<()> {
    let mut lines = Vec::new();
    for found in things::containers(here, here.runner)? {
        if found.runs() {
            lines.push(containers::stop(here.engine, &found.name, GRACE).to_string());
        }
        lines.push(containers::remove(here.engine, &found.name).to_string());
    }
    for id in things::ids(here, here.runner, Thing::Network)? {
        lines.push(containers::network_remove(here.engine, &id).to_string());
    }
    if volumes {
        for id in things::ids(here, here.runner, Thing::Volume)? {
            lines.push(containers::volume_remove(here.engine, &id).to_string());
        }
    }
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    here.world.result(&text, &serde_json::json!({ "commands": lines }))
}
