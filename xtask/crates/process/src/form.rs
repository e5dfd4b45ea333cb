//! How each CI system is told something: lines of the log that fold, annotate or hide (GitHub's
//! workflow commands, GitLab's sections), and the files that GitHub gives a step.

use crate::notice::{command, harmless};
use crate::regular;
use anyhow::Context as _;
use serde::Serialize;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The CI system whose pipeline this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    GitHub,
    /// Gitea Actions (and Forgejo's), which sets GitHub's variables.
    Gitea,
    GitLab,
    Woodpecker,
    Jenkins,
    Azure,
    Bitbucket,
    CircleCi,
    Buildkite,
}

/// What the log of a command is read by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// A person.
    #[default]
    Plain,
    /// GitHub's or Gitea's runner.
    GitHub {
        /// The folder that the paths of annotations are relative to.
        workspace: Option<PathBuf>,
    },
    GitLab,
}

impl Form {
    pub fn of(provider: Option<Provider>, workspace: Option<&str>) -> Form {
        match provider {
            Some(Provider::GitHub | Provider::Gitea) => {
                Form::GitHub { workspace: workspace.map(PathBuf::from) }
            }
            Some(Provider::GitLab) => Form::GitLab,
            _ => Form::Plain,
        }
    }

    /// Prints `title` and folds all output until the result is dropped.
    #[must_use]
    pub fn group(&self, title: &str) -> Group {
        let token = token();
        let (start, end) = match self {
            Form::Plain => (vec![harmless(title)], Vec::new()),
            // What a step of the build prints must not be able to give the runner commands.
            Form::GitHub { .. } => (
                vec![format!("::group::{}", data(title)), format!("::stop-commands::{token}")],
                vec![format!("::{token}::"), "::endgroup::".to_owned()],
            ),
            Form::GitLab => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH);
                let now = now.map_or(0, |time| time.as_secs());
                let name = format!("xtask_{token}");
                let title = harmless(title).replace('\n', " ");
                let start = format!("\u{1b}[0Ksection_start:{now}:{name}\r\u{1b}[0K{title}");
                (vec![start], vec![format!("\u{1b}[0Ksection_end:{now}:{name}\r\u{1b}[0K")])
            }
        };
        start.iter().for_each(|line| command(line));
        Group { end }
    }

    /// Reports `message` as an error in a line of the file `path`, if the system can show that.
    pub fn error_at(&self, path: &Path, line: usize, message: &str) {
        let Form::GitHub { workspace } = self else { return };
        let below = workspace.as_ref().and_then(|workspace| path.strip_prefix(workspace).ok());
        let file = property(&below.unwrap_or(path).display().to_string());
        command(&format!("::error file={file},line={line}::{}", data(message)));
    }

    pub fn error(&self, message: &str) {
        if matches!(self, Form::GitHub { .. }) {
            command(&format!("::error::{}", data(message)));
        }
    }

    /// Lets the runner hide a value in all later output; line by line, because the log is read by
    /// lines. GitLab's runner learns what to hide from the settings of its variables only.
    pub fn mask(&self, secret: &str) {
        if matches!(self, Form::GitHub { .. }) {
            for line in secret.lines().map(str::trim).filter(|line| !line.is_empty()) {
                command(&format!("::add-mask::{}", escaped(line)));
            }
        }
    }
}

/// A folded part of the log, which ends when this is dropped.
#[derive(Debug)]
pub struct Group {
    end: Vec<String>,
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end.iter().for_each(|line| command(line));
    }
}

/// The text of a workflow command, which quotes others.
fn data(text: &str) -> String {
    escaped(&harmless(text))
}

/// What would end a workflow command, escaped.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property of a workflow command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// A word that can't be guessed.
fn token() -> String {
    let number = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", number(), number())
}

/// Appends `values` to the file of a step's outputs: `NAME=VALUE`, or for several lines the form
/// with a delimiter.
pub fn outputs(file: &Path, values: &[(&str, String)]) -> anyhow::Result<()> {
    let mut text = String::new();
    for (name, value) in values {
        if value.contains(['\n', '\r']) {
            let token = token();
            text += &format!("{name}<<{token}\n{value}\n{token}\n");
        } else {
            text += &format!("{name}={value}\n");
        }
    }
    append(file, &text)
}

/// Appends `text` to a file that others have written to.
pub fn append(file: &Path, text: &str) -> anyhow::Result<()> {
    let doing = || format!("appending to {}", file.display());
    let mut open = regular::append(file).with_context(doing)?;
    open.write_all(text.as_bytes()).with_context(doing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_command_is_escaped() {
        assert_eq!(escaped("50 % of\r\na:b"), "50 %25 of%0D%0Aa:b");
        assert_eq!(data("a\n::b\r##[c]"), "a%0A\\::b\\r##\\[c]");
        assert_eq!(property("C:\\a,b"), "C%3A\\a%2Cb");
        assert_ne!(token(), token());
    }

    #[test]
    fn outputs_are_appended_in_the_form_that_fits() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("output");
        std::fs::write(&file, "before=1\n").unwrap();
        outputs(&file, &[("a", "x=y".into()), ("b", "one\ntwo".into())]).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..2], ["before=1", "a=x=y"]);
        let token = lines[2].strip_prefix("b<<").unwrap();
        assert_eq!(lines[3..], ["one", "two", token]);
        assert!(outputs(folder.path(), &[]).is_err());
    }
}
