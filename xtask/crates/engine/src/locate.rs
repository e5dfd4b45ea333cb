//! The engine for one command: asks the programs on PATH, proves Podman where it may fail, and
//! takes the first that works.

use crate::capability::OLDEST;
use crate::find::{self, Candidate, Trouble};
use crate::machine::Machine;
use crate::{Engine, Kind, settings};
use process::environment::Environment;
use process::notice::notice;
use process::run::Runner;
use process::state::State;

/// What the search needs to know.
pub struct Search<'a> {
    /// The environment.
    pub environment: &'a Environment,
    /// The machine.
    pub machine: &'a Machine,
    /// Starts the programs.
    pub runner: &'a Runner,
    /// Where proofs are remembered.
    pub state: &'a State,
    /// The engine that is asked for, and by what; `None`: whichever works, Podman first.
    pub asked: Option<(Kind, &'static str)>,
}

impl Engine {
    /// An engine that nobody looked for, for `--dry-run` where none is installed.
    pub fn assumed(kind: Kind) -> Engine {
        Engine {
            kind,
            program: kind.program().to_owned(),
            version: OLDEST[kind as usize].1,
            platform: String::new(),
            why: "assumed".to_owned(),
            place: None,
            env: find::standing_env(kind),
            warnings: Vec::new(),
        }
    }
}

impl Search<'_> {
    /// As [`Search::engine`]; which one it is, and why, is said.
    ///
    /// # Errors
    /// Those of [`Search::engine`].
    pub fn said(&self) -> anyhow::Result<Engine> {
        let engine = self.engine()?;
        notice(&format!("engine {} {}: {}", engine.kind.title(), engine.version, engine.why));
        Ok(engine)
    }

    /// The engine to use.
    ///
    /// # Errors
    /// [`process::failure::Exit::Engine`] when none works; 130 or 143 after a signal.
    pub fn engine(&self) -> anyhow::Result<Engine> {
        let asked = self.asked;
        let mut candidates = Vec::new();
        for kind in [Kind::Podman, Kind::Docker] {
            if asked.is_none_or(|(wanted, _)| wanted == kind) {
                candidates.extend(self.candidates(kind)?);
                // A working Podman is enough: Docker isn't asked.
                if candidates.iter().any(|candidate| candidate.outcome.is_ok()) {
                    break;
                }
            }
        }
        find::choose(asked, &candidates)
    }

    /// The engine that would be assumed where none works, for `--dry-run`.
    pub fn assumed(&self) -> Engine {
        Engine::assumed(self.asked.map_or(Kind::Podman, |(kind, _)| kind))
    }

    /// Every program that could be the engine `kind`, asked and proved.
    ///
    /// # Errors
    /// 130 or 143 after a signal.
    pub fn candidates(&self, kind: Kind) -> anyhow::Result<Vec<Candidate>> {
        let mut candidates = find::look(kind, self.environment, self.runner)?;
        for candidate in &mut candidates {
            let local = kind == Kind::Podman && cfg!(target_os = "linux");
            if let Ok(engine) = &candidate.outcome
                && local
                && engine.place.is_none()
            {
                candidate.outcome = self.prove(engine.clone())?;
            }
        }
        Ok(candidates)
    }

    fn prove(&self, engine: Engine) -> anyhow::Result<Result<Engine, Trouble>> {
        settings::prove(engine, self.machine, self.environment, self.runner, self.state)
    }
}
