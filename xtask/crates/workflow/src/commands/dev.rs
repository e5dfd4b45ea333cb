//! `dev`: the site from the checkout, together with PostgreSQL and Redis.

use crate::cli;
use crate::cli::dev::Action;
use crate::world::World;
use anyhow::Context as _;
use engine::machine;
use engine::{Engine, EngineKind, containers};
use image::config::Workflow;
use image::plan::dev::{self, DevFacts, User};
use process::failure::{Exit, failure_help};
use process::invocation::Invocation;
use process::notice::notice;
use process::run::{Answer, QUESTION, Runner};
use std::io::IsTerminal as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

mod follow;
mod images;
mod start;
mod stop;

/// The command.
///
/// # Errors
/// [`Exit::Build`] when the image can't be built, [`Exit::Engine`] when something can't be started,
/// [`Exit::Check`] when the site doesn't answer; 130 or 143 after a signal, when everything that was
/// started here is stopped.
pub fn run(world: &World, args: &cli::dev::Dev) -> anyhow::Result<()> {
    let workflow = world.workflow()?;
    let runner = world.runner(&workflow.top);
    let machine = machine::read(&world.environment);
    let engine = world.search(&workflow, &machine, &runner).engine()??;
    let site =
        Site { world, workflow: &workflow, engine: &engine, runner: &runner, uid: machine.uid };
    match &args.action {
        Some(Action::Status) => site.status(),
        Some(Action::Logs { roles }) => site.print_logs(roles),
        Some(Action::Stop { volumes }) => {
            let stopped = site.stop(*volumes)?;
            world.output.result(&(stopped.text + "\n"), &stopped.json)
        }
        None if world.common.dry_run => site.can_be_mounted().and_then(|()| site.show(args)),
        None => {
            site.can_be_mounted()?;
            notice(&format!("engine {} {}: {}", engine.kind.title(), engine.version, engine.why));
            match &args.test {
                Some(words) => site.test(words),
                None if !args.command.is_empty() => site.inside(&args.command),
                None if args.detach => site.detached(),
                None => site.foreground(),
            }
        }
    }
}

/// The running site of a checkout, or what will be one.
#[derive(Clone, Copy)]
struct Site<'a> {
    world: &'a World,
    workflow: &'a Workflow,
    engine: &'a Engine,
    runner: &'a Runner,
    /// The caller's number.
    uid: u32,
}

/// A container as the engine knows it.
struct ContainerState {
    /// What it was made from.
    image: String,
    /// The engine's word.
    state: String,
}

/// Whether SELinux is on.
fn selinux() -> bool {
    Path::new("/sys/fs/selinux/enforce").exists()
}

impl Site<'_> {
    fn top(&self) -> &Path {
        &self.workflow.top
    }

    /// Refuses a path that Docker can't mount for SELinux: `--volume` takes no colon in it, and
    /// `--mount` no label.
    fn can_be_mounted(&self) -> anyhow::Result<()> {
        let top = self.top().display().to_string();
        if self.engine.kind != EngineKind::Docker || !top.contains(':') || !selinux() {
            return Ok(());
        }
        let message = format!("mounting {top}: with SELinux, Docker takes no path with a colon");
        Err(failure_help(Exit::Usage, message, "move it, or take Podman: --engine podman"))
    }

    fn name(&self, what: &str) -> String {
        dev::name(self.top(), what)
    }

    /// Asks the engine, where anything but exit status 0 is a failure of it.
    fn must(&self, doing: &str, invocation: &Invocation) -> anyhow::Result<Answer> {
        let answer = self.runner.ask(invocation, QUESTION)?;
        if answer.good() {
            return Ok(answer);
        }
        let message = format!("{doing}: {}", answer.last_line());
        Err(failure_help(Exit::Engine, message, format!("it was: {invocation}")))
    }

    /// A container of ours, if there is one.
    fn known(&self, what: &str) -> anyhow::Result<Option<ContainerState>> {
        let answer =
            self.runner.ask(&containers::made_from(self.engine, &self.name(what)), QUESTION)?;
        let known = answer.stdout.trim().split_once(' ').filter(|_| answer.good());
        Ok(known.map(|(image, state)| ContainerState {
            image: image.to_owned(),
            state: state.to_owned(),
        }))
    }

    /// Whether a container of ours runs.
    fn runs(&self, what: &str) -> anyhow::Result<bool> {
        Ok(self.known(what)?.is_some_and(|known| known.state == "running"))
    }

    /// The port of the site on this machine, if it is running.
    fn port(&self) -> anyhow::Result<Option<u16>> {
        if !self.runs("web")? {
            return Ok(None);
        }
        let asked = containers::port(self.engine, &self.name("web"), dev::PORT);
        let answer = self.must("asking where the site is", &asked)?;
        // Podman answers nothing, with exit status 0, about one that ended since.
        let port = answer.stdout.lines().next().and_then(|line| line.trim().rsplit(':').next());
        port.map(|port| port.parse().context("reading a port")).transpose()
    }

    /// What the topology is made from, but for images and addresses.
    fn facts(&self, image: String, services: [String; 2]) -> anyhow::Result<DevFacts<'_>> {
        let top = self.top();
        let owner = top.metadata().with_context(|| format!("reading {}", top.display()))?;
        let user = if self.engine.kind == EngineKind::Podman && self.uid != 0 {
            User::Caller
        } else {
            User::Numbers(owner.uid(), owner.gid())
        };
        Ok(DevFacts {
            config: &self.workflow.config,
            top,
            image,
            services,
            user,
            selinux: selinux(),
            port: self.workflow.config.dev_site.port,
            hosts: Vec::new(),
        })
    }

    /// The pytest of the application, in our place.
    fn test(&self, words: &[String]) -> anyhow::Result<()> {
        let image = {
            let _lock = self.lock()?;
            self.image()?
        };
        let container = containers::Container {
            terminal: std::io::stdin().is_terminal() && std::io::stdout().is_terminal(),
            ..self.facts(image, Default::default())?.tests(words)
        };
        Err(self.runner.replace(&containers::run(self.engine, &container, false)))
    }

    /// A command in the web container, in our place.
    fn inside(&self, command: &[String]) -> anyhow::Result<()> {
        if !self.runs("web")? {
            notice("starting the site in the background; stop it with `cargo xtask dev stop`");
            self.start()?;
        }
        let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        let words = [&[dev::ENTRYPOINT.to_owned()], command].concat();
        let exec = containers::exec_attached(self.engine, &self.name("web"), &words, terminal);
        Err(self.runner.replace(&exec))
    }

    /// `status`: each container with its state, and the site.
    fn status(&self) -> anyhow::Result<()> {
        let mut rows = Vec::new();
        for what in dev::SERVICES.iter().chain(&dev::ROLES) {
            let state = self.known(what)?.map_or("not there".to_owned(), |known| known.state);
            rows.push((*what, state));
        }
        let site = self.port()?.map(dev::url);
        let mut text: String =
            rows.iter().map(|(what, state)| format!("{what:<10}{state}\n")).collect();
        text += &format!("{:<10}{}\n", "site", site.as_deref().unwrap_or("not there"));
        let states: serde_json::Map<_, _> =
            rows.into_iter().map(|(what, state)| (what.to_owned(), state.into())).collect();
        self.world.output.result(&text, &serde_json::json!({ "site": site, "containers": states }))
    }

    /// `--dry-run`.
    fn show(&self, args: &cli::dev::Dev) -> anyhow::Result<()> {
        let config = &self.workflow.config;
        let image = image::plan::local(self.engine.kind, &config.image.name, "dev");
        let services = [config.services.postgres.clone(), config.services.redis.clone()];
        let facts = self.facts(image, services)?;
        let labels = dev::all_labels(self.top());
        let engine = self.engine;
        let mut commands = vec![self.build_command()];
        if let Some(words) = &args.test {
            commands.push(containers::run(engine, &facts.tests(words), false));
        } else {
            commands.push(containers::network_create(engine, &self.name("network"), &labels));
            commands.push(containers::volume_create(engine, &self.name("postgres"), &labels));
            let detached =
                |container: &containers::Container| containers::run(engine, container, true);
            commands.extend(facts.services().iter().map(&detached));
            commands.push(containers::run(engine, &facts.migrate(), false));
            commands.extend(facts.roles().iter().map(detached));
            if !args.command.is_empty() {
                let words = [&[dev::ENTRYPOINT.to_owned()], &args.command[..]].concat();
                commands.push(containers::exec_attached(engine, &self.name("web"), &words, false));
            }
        }
        let lines: Vec<String> = commands.iter().map(ToString::to_string).collect();
        let json = serde_json::json!({ "commands": lines });
        self.world.output.result(&(lines.join("\n") + "\n"), &json)
    }
}
