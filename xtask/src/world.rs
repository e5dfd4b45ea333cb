//! What a command reads from its surroundings, once and at the top: the command line's common
//! part, the environment, the folder, the signals.

use crate::ci::form::Form;
use crate::ci::{self, Ci};
use crate::cli::Common;
use crate::config::{self, Config};
use crate::failure::{Exit, failure_help};
use crate::run::Runner;
use crate::state::State;
use anyhow::Context as _;
use std::collections::BTreeMap;
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
    /// Whether `--engine` itself was given, and not `XTASK_ENGINE`.
    pub engine_on_command_line: bool,
    /// The environment; variables that are no UTF-8 are left out.
    pub environment: BTreeMap<String, String>,
    /// The folder asked for: `-C`, else the current one; absolute.
    pub folder: PathBuf,
    /// What the CI system says; `None` on a developer's machine.
    pub ci: Option<Ci>,
    /// The last signal that asked us to end, 0 for none.
    pub signal: Arc<AtomicUsize>,
}

/// A checkout with a `docker/image.toml`.
#[derive(Clone, Debug)]
pub struct Workflow {
    /// Its top folder.
    pub top: PathBuf,
    /// What its `docker/image.toml` says.
    pub config: Config,
    /// What we keep there.
    pub state: State,
}

impl World {
    /// Reads the surroundings.
    ///
    /// # Errors
    /// [`Exit::Usage`] when the folder of `-C` isn't there.
    pub fn read(common: Common, signal: Arc<AtomicUsize>) -> anyhow::Result<World> {
        let asked = common.directory.clone().unwrap_or_else(|| PathBuf::from("."));
        let folder = asked.canonicalize().map_err(|error| {
            let message = format!("entering the folder {}: {error}", asked.display());
            failure_help(Exit::Usage, message, "name a folder that exists after -C")
        })?;
        let environment: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let ci = ci::read(&environment, common.ci);
        let option = |word: &std::ffi::OsStr| word.to_string_lossy().starts_with("--engine");
        let engine_on_command_line = std::env::args_os().any(|word| option(&word));
        let start = Instant::now();
        Ok(World { start, common, engine_on_command_line, environment, folder, ci, signal })
    }

    /// A variable of the environment; an empty one counts as not set.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The value of PATH.
    pub fn path(&self) -> &str {
        self.variable("PATH").unwrap_or_default()
    }

    /// The workflow that the folder belongs to.
    ///
    /// # Errors
    /// [`Exit::Usage`] when there is none, or its `docker/image.toml` has mistakes.
    pub fn workflow(&self) -> anyhow::Result<Workflow> {
        let top = config::find_top(&self.folder).ok_or_else(|| {
            failure_help(
                Exit::Usage,
                format!(
                    "looking for {} in {} and above: not there",
                    config::PATH,
                    self.folder.display()
                ),
                "run this inside a checkout of the workflow, or name one with -C DIR",
            )
        })?;
        let config = config::read(&top)?;
        let state = State::of(&top);
        Ok(Workflow { top, config, state })
    }

    /// How the log of this command is read.
    pub fn form(&self) -> Form {
        Form::of(self.ci.as_ref().map(|ci| ci.provider), self.variable("GITHUB_WORKSPACE"))
    }

    /// Hands results to the steps of a pipeline that follow, and `summary` (Markdown) to its page,
    /// where the CI system takes them. Not in a dry run, which makes nothing.
    ///
    /// # Errors
    /// When a file that the system gave can't be written.
    pub fn hand_over(&self, outputs: &[(&str, String)], summary: &str) -> anyhow::Result<()> {
        if self.common.dry_run || !matches!(self.form(), Form::GitHub { .. }) {
            return Ok(());
        }
        if let Some(file) = self.variable("GITHUB_OUTPUT") {
            ci::form::outputs(Path::new(file), outputs)?;
        }
        match self.variable("GITHUB_STEP_SUMMARY") {
            Some(file) if !summary.is_empty() => ci::form::append(Path::new(file), summary),
            _ => Ok(()),
        }
    }

    /// Lets the CI system hide values in the log. Only where it really listens: elsewhere this
    /// would be the very place where they are seen.
    pub fn mask(&self, secrets: &[String]) {
        if self.variable("GITHUB_ACTIONS") == Some("true") {
            secrets.iter().for_each(|secret| self.form().mask(secret));
        }
    }

    /// Starts processes in `folder`, as loud as the command line asks.
    pub fn runner(&self, folder: &Path) -> Runner {
        Runner {
            folder: folder.to_path_buf(),
            progress: !self.common.quiet,
            verbose: self.common.verbose,
            form: self.form(),
            signal: Arc::clone(&self.signal),
        }
    }

    /// The user's cache folder (XDG Base Directory Specification), `senex-xtask` in it.
    ///
    /// # Errors
    /// [`Exit::Usage`] when neither `XDG_CACHE_HOME` nor `HOME` is set.
    pub fn cache(&self) -> anyhow::Result<PathBuf> {
        self.user_folder("XDG_CACHE_HOME", ".cache")
    }

    /// The user's folder for what outlives a checkout (XDG Base Directory Specification),
    /// `senex-xtask` in it.
    ///
    /// # Errors
    /// [`Exit::Usage`] when neither `XDG_STATE_HOME` nor `HOME` is set.
    pub fn state(&self) -> anyhow::Result<PathBuf> {
        self.user_folder("XDG_STATE_HOME", ".local/state")
    }

    fn user_folder(&self, variable: &str, below_home: &str) -> anyhow::Result<PathBuf> {
        let home = || self.variable("HOME").map(|home| Path::new(home).join(below_home));
        let base = self.variable(variable).map(PathBuf::from).or_else(home);
        let base = base.ok_or_else(|| {
            let what = format!("looking for a folder: neither {variable} nor HOME is set");
            failure_help(Exit::Usage, what, "set HOME")
        })?;
        Ok(base.join("senex-xtask"))
    }

    /// Writes `json` to `--metadata-file`, where one is asked for.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn metadata(&self, json: &serde_json::Value) -> anyhow::Result<()> {
        let Some(path) = &self.common.metadata_file else { return Ok(()) };
        let text = match path.to_string_lossy().ends_with(".env") {
            true => crate::report::variables(json),
            false => serde_json::to_string_pretty(json).context("writing JSON")? + "\n",
        };
        crate::state::write_whole(path, &text)
    }

    /// Writes a result: `json` to `--metadata-file`, and `json` or `text` to stdout.
    ///
    /// # Errors
    /// When a file or stdout can't be written.
    pub fn result(&self, text: &str, json: &serde_json::Value) -> anyhow::Result<()> {
        use std::io::Write as _;
        let pretty = serde_json::to_string_pretty(json).context("writing JSON")? + "\n";
        self.metadata(json)?;
        let json = self.common.format == crate::cli::Format::Json;
        let text = if json { pretty.as_str() } else { text };
        match std::io::stdout().lock().write_all(text.as_bytes()) {
            // The reader has what it wanted (`| head -1`).
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            written => written.context("writing the result"),
        }
    }
}
