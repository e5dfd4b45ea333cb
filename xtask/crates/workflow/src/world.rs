//! What a command reads from its surroundings, once and at the top.

use crate::cli::Common;
use crate::output::Output;
use engine::EngineKind;
use engine::locate::Search;
use engine::machine::Machine;
use image::config::Workflow;
use process::environment::Environment;
use process::failure::{Exit, failure_help};
use process::form::Form;
use process::run::Runner;
use source::ci::{self, Ci};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

/// The surroundings of one command.
#[derive(Clone, Debug)]
pub struct World {
    /// When the command started.
    pub start: Instant,
    /// The options of every command.
    pub common: Common,
    pub environment: Environment,
    /// The folder asked for: `-C`, else the current one; absolute.
    pub folder: PathBuf,
    /// What the CI system says; `None` on a developer's machine.
    pub ci: Option<Ci>,
    /// Where results go.
    pub output: Output,
    /// The last signal that asked us to end, 0 for none.
    pub signal: Arc<AtomicUsize>,
}

impl World {
    /// Reads the surroundings.
    ///
    /// # Errors
    /// [`Exit::Usage`] when the folder of `-C` isn't there.
    pub fn read(common: Common, signal: Arc<AtomicUsize>) -> anyhow::Result<World> {
        let start = Instant::now();
        let asked = common.directory.clone().unwrap_or_else(|| PathBuf::from("."));
        let folder = asked.canonicalize().map_err(|error| {
            let message = format!("entering the folder {}: {error}", asked.display());
            failure_help(Exit::Usage, message, "name a folder that exists after -C")
        })?;
        let environment = Environment::read();
        let ci = ci::read(&environment.variables, common.ci);
        let provider = ci.as_ref().map(|ci| ci.provider);
        let form = Form::of(provider, environment.variable("GITHUB_WORKSPACE"));
        let output = Output::new(&common, &environment, form);
        Ok(World { start, common, environment, folder, ci, output, signal })
    }

    /// The workflow that the folder belongs to.
    ///
    /// # Errors
    /// [`Exit::Usage`] when there is none, or its `docker/image.toml` has mistakes.
    pub fn workflow(&self) -> anyhow::Result<Workflow> {
        Workflow::of(&self.folder)
    }

    /// Starts processes in `folder`, as loud as the command line asks.
    pub fn runner(&self, folder: &Path) -> Runner {
        Runner {
            folder: folder.to_path_buf(),
            progress: !self.common.quiet,
            verbose: self.common.verbose,
            form: self.output.form.clone(),
            signal: Arc::clone(&self.signal),
        }
    }

    /// The search for the engine of a command of `workflow`.
    pub fn search<'a>(
        &'a self,
        workflow: &'a Workflow,
        machine: &'a Machine,
        runner: &'a Runner,
    ) -> Search<'a> {
        let asked = self.engine_asked(workflow.config.engine);
        let (environment, state) = (&self.environment, &workflow.state);
        let patience = self.common.engine_wait;
        Search { environment, machine, runner, state, asked, patience }
    }

    /// Who asks for which engine: the command line, else the environment, else the file.
    fn engine_asked(&self, configured: Option<EngineKind>) -> Option<(EngineKind, &'static str)> {
        let who = if self.common.engine_flag { "--engine" } else { "XTASK_ENGINE" };
        let file = configured.map(|kind| (kind, "docker/image.toml"));
        self.common.engine.map(|kind| (kind, who)).or(file)
    }
}
