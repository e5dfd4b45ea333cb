//! Starts what doesn't run yet: network, data, services, migrations, roles.

use super::Here;
use super::things::{self, must};
use crate::engine::containers::{self, Container, Thing};
use crate::failure::{Exit, describe, failure_help};
use crate::plan::dev::{DATABASE_READY, Dev};
use crate::run::{self, QUESTION, say};
use std::fs::File;
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// How many ports are tried.
const PORTS: u16 = 100;
/// Held by whoever starts or stops things of the checkout.
pub const LOCK: &str = "dev-lock";
/// How long another `dev` of the checkout may take to start.
const PATIENCE: Duration = Duration::from_secs(900);

/// The port of the site: where it is already, else the first free one.
pub fn port(here: &Here<'_>, assumed: bool) -> anyhow::Result<u16> {
    let first = here.workflow.config.development.port;
    if assumed {
        return Ok(first);
    }
    let memory = here.memory();
    let found = things::containers(here, here.runner)?;
    if memory.port != 0 && found.iter().any(|found| found.what == "web" && found.runs()) {
        return Ok(memory.port);
    }
    let port = free(first, |port| TcpListener::bind(("127.0.0.1", port)).is_ok());
    let port = port.ok_or_else(|| {
        let message = format!("looking for a free port from {first} on: none of {PORTS} is");
        failure_help(
            Exit::Usage,
            message,
            "choose another with `port` in [dev] of docker/image.toml",
        )
    })?;
    if port != first {
        say(&format!("port {first} is taken: the site will be at {port}"));
    }
    if !here.world.common.dry_run {
        here.remember(&super::Memory { port, ..memory })?;
    }
    Ok(port)
}

fn free(first: u16, is_free: impl Fn(u16) -> bool) -> Option<u16> {
    (first..=first.saturating_add(PORTS - 1)).find(|port| is_free(*port))
}

/// One `dev` of a checkout starts things at a time; another one waits, and then finds them.
pub fn lock(here: &Here<'_>) -> anyhow::Result<File> {
    let start = Instant::now();
    let mut said = false;
    loop {
        match here.workflow.state.lock_of(LOCK, Duration::from_millis(500)) {
            Err(error) if describe(&error).0 == Exit::Locked && start.elapsed() < PATIENCE => {
                if !said {
                    say("another `dev` is starting or stopping the site: waiting for it");
                    said = true;
                }
                here.runner.check_signal()?;
            }
            outcome => return outcome,
        }
    }
}

/// The network, the data and the services, and where those are; whether one was started.
pub fn services(here: &Here<'_>, plan: &Dev) -> anyhow::Result<(Vec<(String, String)>, bool)> {
    let make = |thing: Thing, name: &str, create| -> anyhow::Result<()> {
        if here.runner.ask(&containers::exists(here.engine, thing, name), QUESTION)?.good() {
            return Ok(());
        }
        must(here.runner, &create).map(|_| ())
    };
    let create = containers::network_create(here.engine, &plan.network, &plan.labels);
    make(Thing::Network, &plan.network, create)?;
    let create = containers::volume_create(here.engine, &plan.volume, &plan.labels);
    make(Thing::Volume, &plan.volume, create)?;
    let found = things::containers(here, here.runner)?;
    let started = ensure_all(here, &found, &plan.services)?;
    let mut hosts = Vec::new();
    for service in &plan.services {
        let answer = must(here.runner, &containers::addresses(here.engine, &service.name))?;
        let address = answer.stdout.lines().next().unwrap_or_default().trim().to_owned();
        let what = crate::plan::dev::what(&plan.checkout, &service.name).to_owned();
        if address.is_empty() {
            let message = format!("starting {what}: it has no address, as it has ended");
            return Err(failure_help(Exit::Check, message, format!("cargo xtask dev logs {what}")));
        }
        hosts.push((what, address));
    }
    wait_for_database(here, plan)?;
    Ok((hosts, started))
}

/// Django's server and most commands look at the database once, and fail where it isn't there.
fn wait_for_database(here: &Here<'_>, plan: &Dev) -> anyhow::Result<()> {
    let name = crate::plan::dev::name(&plan.checkout, "postgres");
    let ready = containers::exec(here.engine, &name, &DATABASE_READY);
    let (start, limit) = (Instant::now(), here.workflow.config.smoke.start);
    loop {
        let answer = here.runner.ask(&ready, QUESTION)?;
        if answer.good() {
            return Ok(());
        }
        let found = things::containers(here, here.runner)?;
        let runs = found.iter().any(|found| found.name == name && found.runs());
        if !runs || start.elapsed() > limit {
            let message = format!("waiting for PostgreSQL: {}", answer.last_line());
            return Err(failure_help(Exit::Check, message, "cargo xtask dev logs postgres"));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The migrations and the roles; whether one was started.
pub fn roles(here: &Here<'_>, plan: &Dev, hosts: &[(String, String)]) -> anyhow::Result<bool> {
    let at = |container: &Container| Container { hosts: hosts.to_vec(), ..container.clone() };
    let found = things::containers(here, here.runner)?;
    let migrate = at(&plan.migrate);
    let roles: Vec<Container> = plan.roles.iter().map(at).collect();
    if roles.iter().all(|role| things::runs_as(here, &found, role)) {
        return Ok(false);
    }
    // Of another configuration.
    let names: Vec<&str> = roles.iter().map(|role| role.name.as_str()).collect();
    let services: Vec<&str> = plan.services.iter().map(|one| one.name.as_str()).collect();
    let others: Vec<things::Found> = found
        .iter()
        .filter(|one| !names.contains(&one.name.as_str()))
        .filter(|one| !services.contains(&one.name.as_str()) && !one.what.starts_with("command-"))
        .cloned()
        .collect();
    super::stop::remove(here, here.runner, &others)?;
    let all: Vec<Container> = [migrate].into_iter().chain(roles).collect();
    let found: Vec<things::Found> = found.into_iter().filter(|one| !others.contains(one)).collect();
    ensure_all(here, &found, &all)
}

fn ensure_all(here: &Here<'_>, found: &[things::Found], all: &[Container]) -> anyhow::Result<bool> {
    let outcomes = run::all(all, |container| things::ensure(here, found, container));
    let started: Vec<bool> = outcomes.into_iter().collect::<anyhow::Result<_>>()?;
    Ok(started.contains(&true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_free_port_is_taken() {
        let check = |first, taken: &[u16], expected| {
            assert_eq!(free(first, |port| !taken.contains(&port)), expected);
        };
        check(8000, &[], Some(8000));
        check(8000, &[8000, 8001], Some(8002));
        check(65535, &[65535], None);
    }
}
