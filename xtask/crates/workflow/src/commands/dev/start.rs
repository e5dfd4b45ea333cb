//! Starts what isn't running, in the order of who needs whom.

use super::Site;
use engine::containers::{self, Container, Thing};
use image::plan::dev::{self, DevFacts, User};
use process::failure::{Exit, Failure, describe, failure_help};
use process::notice::notice;
use process::run::{QUESTION, tail};
use smoke::http::{self, BEHIND_TLS};
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

/// How long another run in this checkout is waited for: it may build the image.
const PATIENCE: Duration = Duration::from_secs(900);
/// How long migrating may take.
const MIGRATING: Duration = Duration::from_secs(1800);
/// How long the site may take until it answers.
const ANSWERING: Duration = Duration::from_secs(90);
/// How many ports are tried after the one asked for.
const PORTS: u16 = 50;

impl Site<'_> {
    /// The lock of the checkout.
    ///
    /// # Errors
    /// [`Exit::Locked`] when another command holds it for too long.
    pub(super) fn lock(&self) -> anyhow::Result<File> {
        let state = &self.workflow.state;
        match state.lock(Duration::ZERO) {
            Err(error) if describe(&error).0 == Exit::Locked => {
                notice(&format!("waiting: {error}"));
                state.lock(PATIENCE)
            }
            taken => taken,
        }
    }

    /// Starts what isn't running, and gives the port of the site.
    ///
    /// # Errors
    /// Those of a build; [`Exit::Engine`] when something can't be started; [`Exit::Check`] when the
    /// database can't be migrated.
    pub(super) fn start(&self) -> anyhow::Result<u16> {
        let _lock = self.lock()?;
        let image = self.image()?;
        let facts = self.facts(image, self.service_images()?)?;
        let labels = dev::all_labels(self.top());
        self.once(
            Thing::Network,
            &containers::network_create(self.engine, &self.name("network"), &labels),
        )?;
        self.once(
            Thing::Volume,
            &containers::volume_create(self.engine, &self.name("postgres"), &labels),
        )?;
        let mut anew = false;
        let mut hosts = Vec::new();
        for (what, service) in dev::SERVICES.iter().zip(facts.services()) {
            if !self.runs(what)? {
                notice(&format!("starting {what}"));
                self.run_anew(&service)?;
                anew = true;
            }
            let asked = containers::addresses(self.engine, &service.name);
            let answer = self.must(&format!("asking for the address of {what}"), &asked)?;
            let address = answer.stdout.lines().next().unwrap_or_default().trim().to_owned();
            hosts.push((service.name, address));
        }
        let facts = DevFacts { hosts, ..facts };
        self.start_roles(facts, anew)
    }

    /// Those that don't run, or run something else than this image with these services.
    fn start_roles(&self, mut facts: DevFacts<'_>, anew: bool) -> anyhow::Result<u16> {
        let mut missing = Vec::new();
        for what in dev::roles(facts.config) {
            let current = self.known(what)?.is_some_and(|known| {
                known.state == "running"
                    && known.image.trim_start_matches("sha256:")
                        == facts.image.trim_start_matches("sha256:")
            });
            if anew || !current {
                missing.push(what);
            }
        }
        if missing.is_empty() {
            notice("already running");
        } else {
            if facts.user == User::Numbers(0, 0) {
                notice(
                    "the checkout belongs to root: so does what runs in the containers (ALLOW_ROOT=1)",
                );
            }
            self.migrate(&facts)?;
        }
        let mut port = self.port()?.filter(|_| !missing.contains(&"web"));
        for what in missing {
            notice(&format!("starting {what}"));
            if what == "web" {
                port = Some(self.start_web(&mut facts)?);
            } else if let Some(container) =
                facts.roles().iter().find(|one| one.name == self.name(what))
            {
                self.run_anew(container)?;
            }
        }
        Ok(port.unwrap_or(facts.port))
    }

    /// Web, on the port asked for or the next free one.
    fn start_web(&self, facts: &mut DevFacts<'_>) -> anyhow::Result<u16> {
        let asked = facts.port;
        // Its own old container holds no port.
        self.runner.ask(&containers::remove(self.engine, &self.name("web")), QUESTION)?;
        for port in asked..asked.saturating_add(PORTS) {
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err() {
                continue;
            }
            facts.port = port;
            let web = facts.roles().swap_remove(0);
            let answer = self.runner.ask(&containers::run(self.engine, &web, true), QUESTION)?;
            if answer.good() {
                if port != asked {
                    notice(&format!("port {asked} is taken: the site is on {port}"));
                }
                return Ok(port);
            }
            self.runner.ask(&containers::remove(self.engine, &web.name), QUESTION)?;
            // Another process took the port first.
            if !["in use", "already allocated"].iter().any(|words| answer.stderr.contains(words)) {
                let message = format!("starting web: {}", answer.last_line());
                return Err(process::failure::failure(Exit::Engine, message));
            }
        }
        let last = asked.saturating_add(PORTS - 1);
        Err(failure_help(
            Exit::Engine,
            format!("starting web: no port from {asked} to {last} is free"),
            "set another `port` in [dev] of docker/image.toml",
        ))
    }

    /// Makes a thing with a label of ours if there is none yet.
    fn once(&self, thing: Thing, make: &process::invocation::Invocation) -> anyhow::Result<()> {
        let label = format!("{}={}", dev::CHECKOUT, dev::checkout(self.top()));
        let asked = containers::labelled(self.engine, thing, &label);
        if self.must("looking for what is there", &asked)?.stdout.trim().is_empty() {
            self.must("making a network or a volume", make)?;
        }
        Ok(())
    }

    /// Starts a container; one of the same name that has ended goes before.
    fn run_anew(&self, container: &Container) -> anyhow::Result<()> {
        self.runner.ask(&containers::remove(self.engine, &container.name), QUESTION)?;
        let run = containers::run(self.engine, container, true);
        self.must(&format!("starting {}", container.name), &run).map(|_| ())
    }

    fn migrate(&self, facts: &DevFacts<'_>) -> anyhow::Result<()> {
        notice("bringing the database up to date");
        let container = facts.migrate();
        self.runner.ask(&containers::remove(self.engine, &container.name), QUESTION)?;
        let run = containers::run(self.engine, &container, false);
        let answer = self.runner.ask(&run, MIGRATING)?;
        if answer.good() {
            return Ok(());
        }
        let lines: Vec<String> = answer.stderr.lines().map(str::to_owned).collect();
        let message = "bringing the database up to date: it failed; its last lines:".to_owned();
        Err(Failure { exit: Exit::Check, message, help: tail(&lines, 12) }.into())
    }

    /// What keeps the site from answering now: nothing, or the status of its health page, if there is
    /// one.
    pub(super) fn answers(&self, port: u16) -> Result<(), Option<u16>> {
        let host = format!("127.0.0.1:{port}");
        match http::get(&host, self.health_path(), BEHIND_TLS, Duration::from_secs(5)) {
            Ok(answer) if answer.status == 200 => Ok(()),
            Ok(answer) => Err(Some(answer.status)),
            Err(_) => Err(None),
        }
    }

    fn health_path(&self) -> &str {
        let config = &self.workflow.config;
        config.dev_site.environment.get("HEALTHCHECK_PATH").unwrap_or(&config.health.path)
    }

    /// What the status of the health page is likely to mean.
    pub(super) fn unhealthy(&self, status: u16) -> String {
        let path = self.health_path();
        let why = match status {
            400 => "; do the settings of development allow the host localhost?",
            404 => "; path below [health] in docker/image.toml names another page",
            _ => "",
        };
        format!("web runs, but {path} answers {status}{why}")
    }

    /// Waits until the site answers.
    ///
    /// # Errors
    /// [`Exit::Check`], with the last lines of web, when it doesn't.
    pub(super) fn wait(&self, port: u16) -> anyhow::Result<()> {
        let start = Instant::now();
        while let Err(status) = self.answers(port) {
            let runs = self.runs("web")?;
            if !runs || start.elapsed() > ANSWERING {
                let logs =
                    self.runner.ask(&containers::logs(self.engine, &self.name("web")), QUESTION)?;
                let lines: Vec<String> =
                    logs.stdout.lines().chain(logs.stderr.lines()).map(str::to_owned).collect();
                let what = match status.filter(|_| runs) {
                    Some(status) => self.unhealthy(status),
                    None if runs => "no answer".to_owned(),
                    None => "web has ended".to_owned(),
                };
                let after = start.elapsed().as_secs();
                let message =
                    format!("waiting for the site: {what} after {after} s; its last lines:");
                return Err(Failure { exit: Exit::Check, message, help: tail(&lines, 12) }.into());
            }
            self.runner.sleep(Duration::from_millis(200))?;
        }
        Ok(())
    }

    /// `--detach`.
    pub(super) fn detached(&self) -> anyhow::Result<()> {
        let port = self.start()?;
        self.wait(port)?;
        self.print_url(port)
    }

    /// The result: the URL of the site.
    pub(super) fn print_url(&self, port: u16) -> anyhow::Result<()> {
        let url = dev::url(port);
        let json =
            serde_json::json!({ "site": url, "seconds": self.world.start.elapsed().as_secs_f64() });
        self.world.output.result(&format!("{url}\n"), &json)
    }
}
