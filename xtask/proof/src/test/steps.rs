//! What the groups are made of: steps that are shown, timed and logged.

use super::{Bench, seed, suite, watch};
use crate::lab::Lab;
use anyhow::Context as _;
use engine::machine;
use process::failure::{Exit, failure_help};
use process::invocation::Invocation;
use process::run::{QUESTION, Runner, Watch, shortened, step_failed};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::PoisonError;

impl Bench<'_> {
    /// Runs one step; each line of its output is shown with the group's name before it.
    pub fn step(&self, invocation: &Invocation) -> anyhow::Result<()> {
        self.step_with(&self.runner, invocation)
    }

    /// As [`Bench::step`], in another folder.
    pub fn step_with(&self, runner: &Runner, invocation: &Invocation) -> anyhow::Result<()> {
        self.step_recorded(runner, invocation, &mut |_| Ok(()))
    }

    /// As [`Bench::step_with`]; `started` is called with the process's id.
    pub fn step_recorded(
        &self,
        runner: &Runner,
        invocation: &Invocation,
        started: &mut dyn FnMut(u32) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        // The line of a panic says where; its frames would be all that the end of the output holds.
        let invocation = &invocation.clone().with_env("RUST_BACKTRACE", "0".to_owned());
        let watched = watch::Watched::new(self.group, &self.log, self.world.common.quiet);
        let (ended, ran) = std::thread::scope(|scope| {
            let watcher = scope.spawn(|| watched.until_ended(self.work));
            let mut started = |id| {
                watched.started(id);
                started(id)
            };
            let watch = Watch { started: Some(&mut started), ..Watch::default() };
            let ended = runner.stream(invocation, &self.log, watch);
            watched.ended();
            let ran = watcher.join().unwrap_or(true);
            if ended.is_err() {
                watched.end_all();
            }
            ended.map(|ended| (ended, ran))
        })?;
        let step = shortened(&invocation.to_string(), 80);
        anyhow::ensure!(ran, "{step}: no test ran: its filters name none");
        if ended.code == Some(0) {
            return Ok(());
        }
        Err(step_failed(Exit::Check, &step, &ended, &self.log).into())
    }

    pub fn cargo_program(&self) -> &str {
        self.world.environment.variable("CARGO").unwrap_or("cargo")
    }

    pub fn cargo(&self, words: &[&str]) -> anyhow::Result<()> {
        self.step(&Invocation::new(self.cargo_program(), words.iter().copied()))
    }

    pub fn tool(&self, name: &str) -> String {
        self.tools.join("bin").join(name).display().to_string()
    }

    /// A laboratory of Podman with nothing in its store.
    pub fn empty_podman(&self) -> anyhow::Result<Lab> {
        let lab = Lab::podman(self.workflow, &self.runner, self.group)?;
        // An ordinary user's networks are in the store.
        if self.uid() == 0 { lab.apart(&self.runner) } else { Ok(lab) }
    }

    fn uid(&self) -> u32 {
        machine::read(&self.world.environment).uid
    }

    /// A laboratory of Podman whose store has the images of this checkout. An ordinary user's is
    /// empty: files of subordinate ids can't be copied.
    pub fn podman(&self) -> anyhow::Result<Lab> {
        if self.uid() != 0 {
            return self.empty_podman();
        }
        let seed = seed::folder(self)?;
        let lab = self.empty_podman()?;
        match lab.take_images(&seed, &self.runner) {
            Ok(()) => Ok(lab),
            Err(error) => {
                lab.end(&self.runner)?;
                Err(error)
            }
        }
    }

    /// Does `what` in a laboratory, which is taken down whatever happens.
    pub fn in_lab(
        &self,
        lab: Lab,
        what: impl FnOnce(&Self, &Lab) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let outcome = what(self, &lab);
        outcome.and(lab.end(&self.runner))
    }

    /// The tests on an engine that `wanted` names.
    pub fn engine(&self, lab: &Lab, wanted: &[&str]) -> anyhow::Result<()> {
        self.program(lab, "engine", &[wanted, &["--test-threads=1"]].concat())
    }

    /// The proofs of what our code says about the engine.
    pub fn proofs(&self, lab: &Lab) -> anyhow::Result<()> {
        self.program(lab, "proofs", &["--test-threads=1"])
    }

    /// Pushing to a registry that fails. A Docker daemon of the tests has a separate network: the
    /// registry is on the loopback address in there. The table of the cases is shown.
    pub fn registry(&self, lab: &Lab, wanted: &[&str]) -> anyhow::Result<()> {
        self.program(lab, "registry", &[wanted, &["--test-threads=1", "--nocapture"]].concat())
    }

    /// A test program, in the network of the laboratory if it has its own.
    fn program(&self, lab: &Lab, name: &str, words: &[&str]) -> anyhow::Result<()> {
        let filter = &self.shared.filter;
        let words = match filter.is_empty() {
            true => words.to_vec(),
            false => {
                let words = self.filtered(name)?;
                if words.is_empty() {
                    return Ok(());
                }
                [&words[..], &["--test-threads=1", "--nocapture"]].concat()
            }
        };
        let program = self.test_program(name, &words)?;
        let network = lab.env.iter().find(|(name, _)| name == "XTASK_TEST_NETWORK");
        let invocation = match network.filter(|_| name == "registry") {
            None => Invocation::new(program, words.iter().copied()),
            Some((_, network)) => {
                let inside = [format!("--net={network}"), "--".to_owned(), program];
                let words = words.iter().map(ToString::to_string);
                Invocation::new("nsenter", inside.into_iter().chain(words))
            }
        };
        // Where cargo starts tests.
        let folder = self.workflow.top.join("xtask/proof");
        let runner = Runner { folder, ..self.runner.clone() };
        self.step_with(&runner, &lab.inside(self.in_environment(invocation, lab)))
    }

    /// Those of `--filter` that the test program `name` has.
    fn filtered(&self, name: &str) -> anyhow::Result<Vec<&str>> {
        let has = |name: &str, filter: &String| self.test_program(name, &[filter]).is_ok();
        for filter in &self.shared.filter {
            let known = ["engine", "registry", "proofs"].iter().any(|name| has(name, filter));
            anyhow::ensure!(known, "choosing tests: none is called {filter}");
        }
        let filters = self.shared.filter.iter().filter(|filter| has(name, filter));
        Ok(filters.map(String::as_str).collect())
    }

    /// The programs of the tests on engines, by name; compiled when the first group asks.
    pub fn programs(&self) -> anyhow::Result<BTreeMap<String, PathBuf>> {
        let mut programs = self.shared.programs.lock().unwrap_or_else(PoisonError::into_inner);
        if programs.is_empty() {
            *programs = suite::compiled(self)?;
        }
        Ok(programs.clone())
    }

    /// The test program `name`, once each of its filters among `words` is known to name a test.
    pub fn test_program(&self, name: &str, words: &[&str]) -> anyhow::Result<String> {
        let programs = self.programs()?;
        let program = programs.get(name).with_context(|| format!("no test program {name}"))?;
        let program = program.display().to_string();
        let list = Invocation::new(&program, ["--list", "--format=terse"]);
        let listed = self.runner.ask(&list, QUESTION)?;
        anyhow::ensure!(listed.good(), "listing the tests of {name}: {}", listed.last_line());
        match suite::without_a_test(&listed.stdout, words) {
            None => Ok(program),
            Some(filter) => anyhow::bail!("choosing tests of {name}: none is called {filter}"),
        }
    }

    /// `invocation` with the environment of a laboratory and the tools of the tests.
    pub fn in_environment(&self, mut invocation: Invocation, lab: &Lab) -> Invocation {
        invocation.env.clone_from(&lab.env);
        invocation.env.push(("CARGO".to_owned(), self.cargo_program().to_owned()));
        for (name, tool) in [("UV", "uv"), ("PODMAN_COMPOSE", "podman-compose")] {
            invocation.env.push((format!("XTASK_TEST_{name}"), self.tool(tool)));
        }
        invocation
    }

    /// Adds a line to what the summary says of this group.
    pub fn tell(&self, line: &str) {
        self.work.lock().unwrap_or_else(PoisonError::into_inner).told.push(line.to_owned());
    }

    /// Refuses what only root can do.
    pub fn needs_root(&self, what: &str) -> anyhow::Result<()> {
        if self.uid() == 0 {
            return Ok(());
        }
        Err(failure_help(Exit::Engine, format!("{what}: only root can"), "run this test as root"))
    }

    /// uv with a separate environment, so that nothing appears in `app/`.
    pub fn uv(&self, words: &[&str]) -> anyhow::Result<()> {
        let environment = self.workflow.state.folder.join("payload").display().to_string();
        // pytest keeps its last runs' folders, and uv its locks: those also stay in this checkout.
        let temporary = self.workflow.state.folder.join("test-tmp");
        process::state::make_folder(&temporary)?;
        self.step(
            &Invocation::new(self.tool("uv"), words.iter().copied())
                .with_env("UV_PROJECT_ENVIRONMENT", environment)
                .with_env("UV_PYTHON_DOWNLOADS", "never")
                .with_env("PYTHONDONTWRITEBYTECODE", "1")
                .with_env("TMPDIR", temporary.display().to_string()),
        )
    }
}
