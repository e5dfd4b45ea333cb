//! The destinations of a command's results: stdout, a file, the later steps of a pipeline.

use crate::cli::{Common, Format};
use anyhow::Context as _;
use process::environment::Environment;
use process::form::{self, Form};
use process::notice::{harmless, harmless_json};
use std::io::Write as _;
use std::path::PathBuf;

/// Where results go, as the command line and the CI system ask.
#[derive(Clone, Debug)]
pub struct Output {
    /// How the log of this command is read.
    pub form: Form,
    format: Format,
    metadata_file: Option<PathBuf>,
    /// The files that GitHub's runner gives a step; none in a dry run, which makes nothing.
    outputs: Option<PathBuf>,
    summary: Option<PathBuf>,
    /// Whether a runner reads the log and hides what it is told to.
    masks: bool,
}

impl Output {
    /// What `common` and the variables of a CI system ask for.
    pub fn new(common: &Common, environment: &Environment, form: Form) -> Output {
        let takes = !common.dry_run && matches!(form, Form::GitHub { .. });
        let file = |name: &str| environment.variable(name).filter(|_| takes).map(PathBuf::from);
        Output {
            format: common.format,
            metadata_file: common.metadata_file.clone(),
            outputs: file("GITHUB_OUTPUT"),
            summary: file("GITHUB_STEP_SUMMARY"),
            masks: environment.variable("GITHUB_ACTIONS") == Some("true"),
            form,
        }
    }

    /// Hands results to the steps of a pipeline that follow, and `summary` (Markdown) to its page,
    /// if the CI system takes them.
    pub fn hand_over(&self, outputs: &[(&str, String)], summary: &str) -> anyhow::Result<()> {
        if let Some(file) = &self.outputs {
            form::outputs(file, outputs)?;
        }
        match &self.summary {
            Some(file) if !summary.is_empty() => form::append(file, summary),
            _ => Ok(()),
        }
    }

    /// Lets the CI system hide values in the log. Only if it really listens: any other system would
    /// print them.
    pub fn mask(&self, secrets: &[String]) {
        if self.masks {
            secrets.iter().for_each(|secret| self.form.mask(secret));
        }
    }

    /// Writes `json` to `--metadata-file`, if one is asked for.
    pub fn metadata(&self, json: &serde_json::Value) -> anyhow::Result<()> {
        let Some(path) = &self.metadata_file else { return Ok(()) };
        let text = match path.to_string_lossy().ends_with(".env") {
            true => image::report::variables(json),
            false => serde_json::to_string_pretty(json).context("writing JSON")? + "\n",
        };
        process::state::write_whole(path, &text)
    }

    /// Writes a result: `json` to `--metadata-file`, and `json` or `text` to stdout.
    pub fn result(&self, text: &str, json: &serde_json::Value) -> anyhow::Result<()> {
        self.metadata(json)?;
        let text = match self.format {
            Format::Json => {
                harmless_json(&serde_json::to_string_pretty(json).context("writing JSON")?) + "\n"
            }
            Format::Text | Format::Env => harmless(text),
        };
        match std::io::stdout().lock().write_all(text.as_bytes()) {
            // The reader has what it wanted (`| head -1`).
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            written => written.context("writing the result"),
        }
    }
}
