//! The engine for one command: asks the programs on PATH, proves Podman if it may fail, and takes
//! the first that works.

use crate::capability::OLDEST;
use crate::find::{self, Candidate, Problem};
use crate::machine::Machine;
use crate::{Engine, EngineKind, settings};
use process::environment::Environment;
use process::failure::{Exit, failure_help};
use process::notice::notice;
use process::run::Runner;
use process::state::State;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Between two questions to a busy engine.
const PAUSE: Duration = Duration::from_secs(1);

/// What the search needs to know.
pub struct Search<'a> {
    pub environment: &'a Environment,
    pub machine: &'a Machine,
    pub runner: &'a Runner,
    /// Where proofs are remembered.
    pub state: &'a State,
    /// The engine that is asked for, and by what; `None`: whichever works, Podman first.
    pub asked: Option<(EngineKind, &'static str)>,
    /// How long a busy engine is waited for.
    pub patience: Duration,
}

impl Engine {
    /// The engine that `--dry-run` assumes if none is installed.
    pub fn assumed(kind: EngineKind) -> Engine {
        Engine {
            kind,
            program: kind.program().to_owned(),
            version: OLDEST[kind as usize].1,
            platform: String::new(),
            why: "assumed".to_owned(),
            place: None,
            builder: None,
            env: find::standing_env(kind),
            warnings: Vec::new(),
        }
    }

    /// Prints which one it is, and why.
    pub fn say(&self) {
        notice(&format!("engine {} {}: {}", self.kind.title(), self.version, self.why));
    }
}

fn said(engine: Engine) -> Engine {
    engine.say();
    engine
}

impl Search<'_> {
    /// The engine to use, or the failure that none works.
    ///
    /// # Errors
    /// [`Exit::Engine`] when it stays busy; [`Exit::Usage`] for a path that it can't be told.
    pub fn engine(&self) -> anyhow::Result<anyhow::Result<Engine>> {
        let candidates = self.patient()?;
        let found = find::choose(self.asked, &candidates);
        found.iter().try_for_each(|engine| self.can_be_told(engine.kind))?;
        if find::busy(&candidates).is_some() { found.map(Ok) } else { Ok(found) }
    }

    /// The engine to use; prints which one it is, and why.
    ///
    /// # Errors
    /// [`Exit::Engine`] when none works, and those of [`Search::engine`].
    pub fn said(&self) -> anyhow::Result<Engine> {
        Ok(said(self.engine()??))
    }

    /// As [`Search::said`] for a dry run, which needs none: `true` for one that was only assumed.
    /// One that was asked for by name must be there, and a busy one is there.
    pub fn said_or_assumed(&self) -> anyhow::Result<(Engine, bool)> {
        match self.engine()? {
            Err(error) if self.asked.is_none() => {
                let engine = Engine::assumed(EngineKind::Podman);
                self.can_be_told(engine.kind)?;
                let (title, version) = (engine.kind.title(), engine.version);
                notice(&format!("assumed: {title} {version}; none works here: {error}"));
                Ok((engine, true))
            }
            found => Ok((said(found?), false)),
        }
    }

    /// What the answer depends on, but for what daemons do: while it stays the same, the engine
    /// that was found is likely still the one to use.
    pub fn key(&self) -> String {
        let names = ["BUILD", "CONTAINER", "DOCKER_", "XDG_", "HOME", "REGISTRY_"];
        let set = self.environment.variables.iter();
        let set = set.filter(|(name, _)| names.iter().any(|start| name.starts_with(start)));
        let values: Vec<String> = set.map(|(name, value)| format!("{name}={value}")).collect();
        let mut files = settings::config_files(self.environment, self.machine);
        files.push(self.state.folder.join("containers.conf"));
        let home = self.environment.variable("HOME").map(|home| format!("{home}/.docker"));
        let docker = self.environment.variable("DOCKER_CONFIG").map(str::to_owned).or(home);
        files.extend(docker.map(|folder| PathBuf::from(folder).join("config.json")));
        let path = self.environment.path();
        let programs = [EngineKind::Podman, EngineKind::Docker].map(EngineKind::program);
        let programs = programs.map(|program| find::fingerprint(path, program, &files));
        format!("{:?} {programs:?} {values:?}", self.asked)
    }

    /// Refuses paths of files that `--secret` names, in which Podman takes a comma for the end.
    fn can_be_told(&self, kind: EngineKind) -> anyhow::Result<()> {
        let paths = [Some(self.state.marker()), self.machine.ca_bundle.clone()];
        let comma = |path: &PathBuf| path.to_string_lossy().contains(',');
        let Some(path) =
            paths.into_iter().flatten().find(comma).filter(|_| kind == EngineKind::Podman)
        else {
            return Ok(());
        };
        Err(failure_help(
            Exit::Usage,
            format!("giving Podman the file {}: it takes no path with a comma", path.display()),
            "move it to a path without a comma, or take Docker: --engine docker",
        ))
    }

    /// The candidates up to the first that works; while that one is busy, they are asked again.
    fn patient(&self) -> anyhow::Result<Vec<Candidate>> {
        let (start, mut limit) = (Instant::now(), find::LIMIT);
        loop {
            let candidates = self.look(limit)?;
            let left = self.patience.saturating_sub(start.elapsed());
            match find::busy(&candidates) {
                Some(busy) if !left.is_zero() => {
                    if limit == find::LIMIT
                        && let Err(problem) = &busy.outcome
                    {
                        let minutes = self.patience.as_secs().div_ceil(60);
                        let most = format!("waiting up to {minutes} min (--engine-wait)");
                        notice(&format!("{}: {}; {most}", busy.program, problem.what));
                    }
                    self.runner.sleep(PAUSE.min(left))?;
                }
                _ => return Ok(candidates),
            }
            // One that is slow and not busy answers when it is given longer.
            limit = (limit * 2).min(left.max(find::LIMIT));
        }
    }

    fn look(&self, limit: Duration) -> anyhow::Result<Vec<Candidate>> {
        let mut candidates = Vec::new();
        for kind in [EngineKind::Podman, EngineKind::Docker] {
            if self.asked.is_none_or(|(wanted, _)| wanted == kind) {
                candidates.extend(self.candidates(kind, limit)?);
                // A working Podman is enough, and a busy one decides: Docker isn't asked.
                let decides =
                    |one: &Candidate| one.outcome.as_ref().map_or_else(|e| e.busy, |_| true);
                if candidates.iter().any(decides) {
                    break;
                }
            }
        }
        Ok(candidates)
    }

    /// Every program that could be the engine `kind`, asked and proved, each question in `limit`.
    pub fn candidates(&self, kind: EngineKind, limit: Duration) -> anyhow::Result<Vec<Candidate>> {
        let mut candidates = find::look(kind, self.environment, self.runner, limit)?;
        for candidate in &mut candidates {
            let local = kind == EngineKind::Podman && cfg!(target_os = "linux");
            if let Ok(engine) = &candidate.outcome
                && local
                && engine.place.is_none()
            {
                candidate.outcome = self.prove(engine.clone())?;
            }
        }
        Ok(candidates)
    }

    fn prove(&self, engine: Engine) -> anyhow::Result<Result<Engine, Problem>> {
        settings::prove(engine, self.machine, self.environment, self.runner, self.state)
    }
}
