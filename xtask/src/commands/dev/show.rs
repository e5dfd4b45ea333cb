//! `dev --dry-run`: everything that would run, as a script.

use super::Here;
use super::things::{self, Found};
use crate::engine::containers::{self, Container, Thing};
use crate::plan::dev::{self, Dev, Facts};
use crate::run::QUESTION;

/// Stands for the addresses of the services; no character of it is quoted.
const ADDRESS: &str = "ADDRESS-OF-";

/// Prints the script; `first` are the lines that come before.
pub fn run(
    here: &Here<'_>,
    facts: &Facts<'_>,
    plan: &Dev,
    first: Vec<String>,
    command: Option<&[String]>,
) -> anyhow::Result<()> {
    let lines: Vec<String> = first.into_iter().chain(lines(here, facts, plan, command)).collect();
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let json = serde_json::json!({ "url": plan.url, "commands": lines });
    here.world.result(&text, &json)
}

fn lines(
    here: &Here<'_>,
    facts: &Facts<'_>,
    plan: &Dev,
    command: Option<&[String]>,
) -> Vec<String> {
    let (engine, runner) = (here.engine, here.runner);
    // Where no engine works, nothing is there.
    let found = things::containers(here, runner).unwrap_or_default();
    let there = |thing, name: &str| {
        let ask = containers::exists(engine, thing, name);
        runner.ask(&ask, QUESTION).is_ok_and(|answer| answer.good() && !answer.stdout.is_empty())
    };
    let mut lines = Vec::new();
    if !there(Thing::Network, &plan.network) {
        lines.push(containers::network_create(engine, &plan.network, &plan.labels).to_string());
    }
    if !there(Thing::Volume, &plan.volume) {
        lines.push(containers::volume_create(engine, &plan.volume, &plan.labels).to_string());
    }
    let mut hosts = Vec::new();
    for service in &plan.services {
        let what = dev::what(&plan.checkout, &service.name);
        let address = containers::addresses(engine, &service.name);
        if things::runs_as(here, &found, service) {
            let answer = runner.ask(&address, QUESTION).unwrap_or_default();
            let known = answer.stdout.lines().next().unwrap_or_default().trim().to_owned();
            hosts.push((what.to_owned(), known));
            continue;
        }
        lines.extend(started(here, &found, &things::marked(here, service)));
        lines.push(format!("{what}=$({address})"));
        hosts.push((what.to_owned(), format!("{ADDRESS}{what}")));
        if what == "postgres" {
            let ready = containers::exec(engine, &service.name, &dev::DATABASE_READY);
            lines.push(format!("until {ready}; do sleep 0.2; done"));
        }
    }
    let at = |container: &Container| Container { hosts: hosts.clone(), ..container.clone() };
    let mut all: Vec<String> = match command {
        Some(command) => {
            let container = at(&dev::beside(facts, plan, std::process::id(), command));
            vec![containers::run(engine, &container, false).to_string()]
        }
        None if plan.roles.iter().all(|role| things::runs_as(here, &found, &at(role))) => {
            Vec::new()
        }
        None => {
            let all = [&plan.migrate].into_iter().chain(&plan.roles).map(at);
            all.filter(|container| !things::runs_as(here, &found, container))
                .flat_map(|container| started(here, &found, &things::marked(here, &container)))
                .collect()
        }
    };
    for line in &mut all {
        for (what, address) in hosts.iter().filter(|(_, address)| address.starts_with(ADDRESS)) {
            *line = line.replace(address.as_str(), &format!("\"${what}\""));
        }
    }
    lines.extend(all);
    lines
}

/// What starts a container, in place of the one that has its name.
fn started(here: &Here<'_>, found: &[Found], container: &Container) -> Vec<String> {
    let old = found.iter().find(|found| found.name == container.name);
    let removal = old.map(|found| containers::remove(here.engine, &found.name).to_string());
    let run = containers::run(here.engine, container, true).to_string();
    removal.into_iter().chain([run]).collect()
}
