//! The test bed of an image: a network with PostgreSQL and Redis, and the containers that the
//! checks start in it. Each is started when the first check asks for it, and all of them are
//! removed at the end; what a killed run left, the next one removes.

use super::prober::Prober;
use super::static_checks::Expected;
use super::verdict::Evidence;
use anyhow::Context as _;
use engine::archive::{self, Archive};
use engine::containers::{self, Container};
use engine::label;
use engine::{Engine, inspect, words};
use image::config::app::App;
use image::config::smoke::{Role, Smoke};
use image::surroundings::Surroundings;
use process::failure::{Exit, failure_help};
use process::invocation::Invocation;
use process::run::{Answer, QUESTION, Runner};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

mod recipes;
mod runs;
mod waiting;
pub(crate) use waiting::APPLYING;
mod web;
pub use recipes::{of_image, services, set};
pub use runs::clear;
use runs::this_run;

/// The label that holds the run which a container or a network belongs to.
pub const RUN: &str = "dev.senex.xtask.run";
/// A key of every form that a payload may ask for: 32 bytes in URL-safe Base64, as Fernet's.
pub const KEY: &str = "c21va2UtdGVzdC1rZXktMzItYnl0ZXMtbG9uZy1vay4=";
/// The database's password, with what a shell or a URL would take for something else.
pub const PASSWORD: &str = "smoke 'test' $password@1";
/// The name of the database and of its user.
const DATABASE: &str = "smoke";

/// What is tested, as plain data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TestSubject {
    /// The image, as the engine describes it.
    pub image: inspect::Image,
    /// References of PostgreSQL's and Redis' images.
    pub services: [String; 2],
    pub app: App,
    /// `[smoke]` of the configuration.
    pub smoke: Smoke,
    /// What the image alone must be.
    pub expected: Expected,
    /// What it was made from, if it says so.
    pub base: inspect::Image,
    /// Texts that must be nowhere in the image, with names that may be shown.
    pub absent: Vec<(String, Vec<u8>)>,
    /// The text of the project's lock.
    pub lock: String,
    /// The defaults of variables in the text of `docker/entrypoint.sh`.
    pub defaults: BTreeMap<String, String>,
}

impl TestSubject {
    /// The value that a variable has for the services: `[smoke.environment]` over that of the image
    /// over the entrypoint's default.
    pub fn variable(&self, name: &str) -> Option<String> {
        let image = self
            .image
            .environment
            .iter()
            .find_map(|entry| entry.strip_prefix(name)?.strip_prefix('=').map(str::to_owned));
        // An empty one is none, as in a shell's `${NAME:-default}`.
        let given = self.smoke.environment.get(name).cloned().or(image).filter(|v| !v.is_empty());
        given.or_else(|| self.defaults.get(name).cloned())
    }

    /// The port that web and gunicorn listen on.
    pub fn port(&self) -> u16 {
        self.variable("PORT").and_then(|port| port.parse().ok()).unwrap_or(8000)
    }
}

/// The defaults that a shell script gives variables, `${NAME:-default}`; those that hold variables
/// are left out.
pub fn defaults(script: &str) -> BTreeMap<String, String> {
    let uses = script.match_indices("${").filter_map(|(at, mark)| {
        let (inside, _) = script[at + mark.len()..].split_once('}')?;
        let (name, value) = inside.split_once(":-")?;
        (!value.is_empty() && !value.contains('$')).then(|| (name.to_owned(), value.to_owned()))
    });
    uses.collect()
}

/// The place of one run.
pub struct TestBed<'a> {
    pub engine: &'a Engine,
    pub runner: &'a Runner,
    pub subject: &'a TestSubject,
    /// This process, in the form of [`RUN`].
    pub run: String,
    started: Mutex<BTreeMap<String, Start>>,
    /// Where PostgreSQL and Redis are, once they have started.
    hosts: OnceLock<Vec<(String, String)>>,
    /// Every file of the image, once it was asked for.
    archive: OnceLock<Result<Archive, String>>,
    /// The default database, if it is another than PostgreSQL and was asked for.
    pub(super) database: OnceLock<Option<String>>,
    count: AtomicUsize,
    /// The idle ones.
    probers: Mutex<Vec<Prober>>,
}

/// What went wrong, and whether that is evidence against the image.
type Start = Arc<OnceLock<Result<(), (String, bool)>>>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedContainer {
    pub code: i64,
    /// Between the signal and the end.
    pub time: Duration,
}

/// The name of a container or network of the run of the process `id`.
pub fn name(id: &str, what: &str) -> String {
    format!("xtask-{id}-{what}")
}

impl<'a> TestBed<'a> {
    pub fn new(engine: &'a Engine, runner: &'a Runner, subject: &'a TestSubject) -> TestBed<'a> {
        let (started, hosts, archive) = (Mutex::default(), OnceLock::new(), OnceLock::new());
        let (run, database, count) = (this_run(), OnceLock::new(), AtomicUsize::new(0));
        let probers = Mutex::default();
        TestBed { engine, runner, subject, run, started, hosts, archive, database, count, probers }
    }

    /// The role that a check uses which needs any.
    pub fn first_role(&self) -> anyhow::Result<Role> {
        let roles = &self.subject.smoke.roles;
        roles.first().copied().ok_or_else(|| {
            failure_help(
                Exit::Usage,
                "choosing a role: [smoke] roles is empty",
                "name at least one of web, gunicorn, worker, beat in docker/image.toml",
            )
        })
    }

    /// The image as its archive shows it, read on the first call: it takes seconds.
    pub fn archive(&self) -> anyhow::Result<&Archive> {
        let read = || self.read_picture().map_err(|error| format!("{error:#}"));
        let archive = self.archive.get_or_init(read);
        archive.as_ref().map_err(|message| anyhow::anyhow!(message.clone()))
    }

    fn read_picture(&self) -> anyhow::Result<Archive> {
        let subject = self.subject;
        let read = |image: &str, base: &[String], absent: &[(String, Vec<u8>)]| {
            let save = words::save(self.engine, image);
            self.runner.read(&save, |stream| archive::read(stream, base, absent))
        };
        let archive = read(&subject.image.id, &subject.base.layers, &subject.absent)?;
        let squashed = matches!(archive.layers.as_slice(), [layer] if layer.ours);
        if squashed && !subject.base.layers.is_empty() {
            return Ok(archive::told_apart(archive, &read(&subject.base.id, &[], &[])?));
        }
        Ok(archive)
    }

    /// The name of a container or network of this run.
    pub fn name(&self, what: &str) -> String {
        name(&std::process::id().to_string(), what)
    }

    /// A name that no other container of this run has.
    fn new_name(&self, what: &str) -> String {
        self.name(&format!("{what}-{}", self.count.fetch_add(1, Ordering::Relaxed)))
    }

    fn labels(&self) -> Vec<(String, String)> {
        vec![(label::OURS.into(), "1".into()), (RUN.into(), self.run.clone())]
    }

    pub fn ask(&self, invocation: &Invocation, limit: Duration) -> anyhow::Result<Answer> {
        self.runner.ask(invocation, limit)
    }

    /// As [`TestBed::ask`], but any exit status other than 0 is an error of ours.
    fn must(&self, invocation: &Invocation) -> anyhow::Result<Answer> {
        let answer = self.ask(invocation, QUESTION)?;
        anyhow::ensure!(answer.good(), "running `{invocation}`: {}", answer.last_line());
        Ok(answer)
    }

    /// Does `make` once for each `name`, however many checks ask; the others wait for it.
    ///
    /// # Errors
    /// What `make` failed with; for all but the first who asks, its first line.
    pub fn once(
        &self,
        name: &str,
        make: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let start = self.lock().entry(name.to_owned()).or_default().clone();
        let mut first = false;
        let outcome = start.get_or_init(|| {
            first = true;
            make().map_err(|error| (format!("{error:#}"), error.is::<Evidence>()))
        });
        outcome.clone().map_err(|(message, of_image)| {
            let message = match message.split_once('\n') {
                Some((line, _)) if !first => {
                    format!("{line} (more at the first check that failed)")
                }
                _ => message,
            };
            if of_image { Evidence::of(&message) } else { anyhow::anyhow!(message) }
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Start>> {
        // A check that panicked has not left the map half-written.
        self.started.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The network, made on the first call.
    pub fn network(&self) -> anyhow::Result<String> {
        let name = self.name("network");
        self.once("network", || {
            self.must(&containers::network_create(self.engine, &name, &self.labels())).map(|_| ())
        })?;
        Ok(name)
    }

    /// PostgreSQL and Redis, started on the first call. They aren't waited for: the image does
    /// that itself.
    pub fn services(&self) -> anyhow::Result<()> {
        let network = self.network()?;
        self.once("services", || {
            let mut hosts = Vec::new();
            for container in services(self.subject, &|what| self.name(what)) {
                let container = Container {
                    network: Some(network.clone()),
                    labels: self.labels(),
                    ..container
                };
                self.must(&containers::run(self.engine, &container, true))?;
                let answer = self.must(&containers::addresses(self.engine, &container.name))?;
                let address = answer.stdout.lines().next().unwrap_or_default().trim().to_owned();
                hosts.push((container.name, address));
            }
            // Aardvark 1.4, Podman's name server, forgets names for a moment while containers
            // come and go (seen as `Name or service not known`).
            let _ = self.hosts.set(hosts);
            Ok(())
        })
    }

    /// A container of the image with the environment of a service, hardened, in the network.
    pub fn container(&self, what: &str, words: &[&str]) -> Container {
        let network = Some(self.name("network"));
        let name = self.new_name(what);
        let labels = self.labels();
        let base = of_image(self.subject, words, &|what| self.name(what));
        let hosts = self.hosts.get().cloned().unwrap_or_default();
        Container { name, network, labels, hosts, ..base }
    }

    /// As [`TestBed::container`], with something around it changed.
    pub fn elsewhere(
        &self,
        what: &str,
        words: &[&str],
        change: impl FnOnce(&mut Surroundings),
    ) -> Container {
        let mut around = recipes::surroundings(&|what| self.name(what));
        change(&mut around);
        let Container { env, .. } = recipes::told(self.subject, words, &around);
        Container { env, ..self.container(what, words) }
    }

    /// A container of the image with nothing around it: no network, no environment.
    pub fn alone(&self, what: &str, words: &[&str]) -> Container {
        let all = self.container(what, words);
        Container { network: None, env: Vec::new(), hosts: Vec::new(), publish: None, ..all }
    }

    /// Starts a container of the image that goes on; it is removed at the end of the run.
    ///
    /// # Errors
    /// [`Evidence`] when the engine can't start it.
    pub fn start(&self, container: &Container) -> anyhow::Result<()> {
        let answer = self.ask(&containers::run(self.engine, container, true), QUESTION)?;
        if answer.good() {
            return Ok(());
        }
        Err(Evidence::of(&format!("{} doesn't start: {}", container.name, answer.last_line())))
    }

    /// Runs a container to its end; an answer without exit status says that it took too long.
    pub fn run(&self, container: &Container) -> anyhow::Result<(Answer, Duration)> {
        let start = Instant::now();
        let invocation = containers::run(self.engine, container, false);
        let answer = match self.ask(&invocation, self.subject.smoke.start) {
            Ok(answer) => answer,
            Err(error) => {
                self.runner.check_signal()?;
                let stderr = format!("{error:#}");
                self.remove(&container.name)?;
                Answer { code: None, stderr, ..Answer::default() }
            }
        };
        Ok((answer, start.elapsed()))
    }

    /// The container of a role, started and healthy; one for all checks.
    ///
    /// # Errors
    /// [`Evidence`] when it doesn't become healthy within the limit.
    pub fn role(&self, role: Role) -> anyhow::Result<String> {
        let name = self.name(role.word());
        self.services()?;
        self.migrated(role)?;
        self.once(role.word(), || {
            let container =
                Container { name: name.clone(), ..self.container(role.word(), &[role.word()]) };
            self.start(&container)?;
            self.wait_healthy(&name).map(|_| ())
        })?;
        Ok(name)
    }

    /// Migrates the database for a role that doesn't, if no server does: only such are asked for.
    /// How it ended shows by the role.
    pub fn migrated(&self, role: Role) -> anyhow::Result<()> {
        let server = ["web", "gunicorn"].iter().any(|name| self.lock().contains_key(*name));
        if !matches!(role, Role::Worker | Role::Beat) || server {
            return Ok(());
        }
        self.once("migrated", || self.run(&self.container("migrate", &["migrate"])).map(|_| ()))
    }

    /// Runs the image's health check in a container, as an engine does.
    ///
    /// # Errors
    /// [`Evidence`] when the image has none.
    pub fn health(&self, name: &str) -> anyhow::Result<Answer> {
        self.exec(name, &self.health_check()?)
    }

    /// Runs the image's health check some times, until it passes: by one question to the engine, as
    /// each costs as much as the check.
    pub fn soon_healthy(&self, name: &str) -> anyhow::Result<Answer> {
        let tries = "tries=0; until \"$@\"; do
            tries=$((tries + 1)); [ $tries -lt 6 ] || exit 1; sleep 0.4
        done";
        let words = ["/bin/sh", "-c", tries, "sh"];
        self.exec(name, &words.into_iter().chain(self.health_check()?).collect::<Vec<_>>())
    }

    fn health_check(&self) -> anyhow::Result<Vec<&str>> {
        let test: Vec<&str> = self.subject.image.health_check.iter().map(String::as_str).collect();
        match test.split_first() {
            Some((&"CMD", words)) => Ok(words.to_vec()),
            Some((&"CMD-SHELL", [line])) => Ok(vec!["/bin/sh", "-c", line]),
            _ => Err(Evidence::of("the image has no health check")),
        }
    }

    /// Runs a command in a container; one that takes too long is an answer without exit status.
    pub fn exec(&self, name: &str, words: &[&str]) -> anyhow::Result<Answer> {
        match self.ask(&containers::exec(self.engine, name, words), self.subject.smoke.start) {
            Ok(answer) => Ok(answer),
            Err(error) => {
                self.runner.check_signal()?;
                let stderr = format!("{error:#}");
                Ok(Answer { code: None, stderr, ..Answer::default() })
            }
        }
    }

    /// Runs a command of the project in a container, with the settings that the entrypoint chooses:
    /// manage.py alone takes those that it names itself, which may be development's.
    pub fn command(&self, name: &str, words: &[&str]) -> anyhow::Result<Answer> {
        let entrypoint = self.subject.image.entrypoint.iter().map(String::as_str);
        self.exec(name, &entrypoint.chain(words.iter().copied()).collect::<Vec<_>>())
    }

    /// As [`TestBed::command`], a Python program.
    pub fn python(&self, name: &str, program: &str, words: &[&str]) -> anyhow::Result<Answer> {
        self.command(name, &[&["python", "-c", program], words].concat())
    }

    /// A container's state in the engine's word, and its exit status.
    pub fn state(&self, name: &str) -> anyhow::Result<(String, i64)> {
        let answer = self.must(&containers::state(self.engine, name))?;
        let (state, code) = answer.stdout.trim().split_once(' ').context("reading a state")?;
        Ok((state.to_owned(), code.parse().context("reading an exit status")?))
    }

    /// All that a container printed, both streams.
    pub fn logs(&self, name: &str) -> anyhow::Result<String> {
        let answer = self.ask(&containers::logs(self.engine, name), QUESTION)?;
        Ok(answer.stdout + &answer.stderr)
    }

    /// The last lines of a container's log.
    pub fn log_end(&self, name: &str) -> anyhow::Result<String> {
        let lines: Vec<String> = self.logs(name)?.lines().map(str::to_owned).collect();
        Ok(process::run::tail(&lines, 8).join("\n"))
    }

    /// Ends a container with SIGTERM.
    pub fn stop(&self, name: &str) -> anyhow::Result<EndedContainer> {
        let limit = self.subject.smoke.stop.as_secs();
        let start = Instant::now();
        self.ask(&containers::stop(self.engine, name, limit), QUESTION * 2)?;
        let time = start.elapsed();
        let (_, code) = self.state(name)?;
        Ok(EndedContainer { code, time })
    }

    /// Sends a signal to a container's first process.
    pub fn kill(&self, name: &str, signal: &str) -> anyhow::Result<()> {
        self.must(&containers::kill(self.engine, name, signal)).map(|_| ())
    }

    /// Removes a container before the end of the run.
    pub fn remove(&self, name: &str) -> anyhow::Result<()> {
        self.ask(&containers::remove(self.engine, name), QUESTION).map(|_| ())
    }
}
