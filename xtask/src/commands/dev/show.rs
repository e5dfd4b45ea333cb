//! `dev --dry-run`: everything that would run, as a script.

use super::Here;
use crate::engine::containers::{self, Container};
use crate::plan::dev::{self, Dev, Facts};

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
    let engine = here.engine;
    let mut lines = vec![
        containers::network_create(engine, &plan.network, &plan.labels).to_string(),
        containers::volume_create(engine, &plan.volume, &plan.labels).to_string(),
    ];
    let mut hosts = Vec::new();
    for service in &plan.services {
        let what = dev::what(&plan.checkout, &service.name);
        let marked = super::things::marked(here, service);
        lines.push(containers::run(engine, &marked, true).to_string());
        lines.push(format!("{what}=$({})", containers::addresses(engine, &service.name)));
        hosts.push((what.to_owned(), format!("{ADDRESS}{what}")));
    }
    let at = |container: &Container| Container { hosts: hosts.clone(), ..container.clone() };
    let mut push = |container: Container, detach| {
        let mut line = containers::run(engine, &container, detach).to_string();
        for (what, address) in &hosts {
            line = line.replace(address.as_str(), &format!("\"${what}\""));
        }
        lines.push(line);
    };
    match command {
        Some(command) => push(at(&dev::beside(facts, plan, 0, command)), false),
        None => [&plan.migrate].into_iter().chain(&plan.roles).for_each(|one| push(at(one), true)),
    }
    lines
}
