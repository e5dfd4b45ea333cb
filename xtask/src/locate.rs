//! The engine for one command: asks the programs on PATH, proves Podman where it may fail, and
//! takes the first that works.

use crate::engine::find::{self, Candidate, Trouble};
use crate::engine::{Engine, Kind, settings};
use crate::environment::Environment;
use crate::machine::Machine;
use crate::notice::notice;
use crate::run::Runner;
use crate::state::State;

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
    /// [`crate::failure::Exit::Engine`] when none works; 130 or 143 after a signal.
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
