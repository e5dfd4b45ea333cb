//! The environment of the process, read once.

use crate::failure::{Exit, failure_help};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The variables of the environment; those that are not UTF-8 are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// Values by name, empty ones included.
    pub variables: BTreeMap<String, String>,
}

impl Environment {
    pub fn read() -> Environment {
        let text =
            |(name, value): (std::ffi::OsString, std::ffi::OsString)| -> Option<(String, String)> {
                Some((name.into_string().ok()?, value.into_string().ok()?))
            };
        Environment { variables: std::env::vars_os().filter_map(text).collect() }
    }

    /// The value of a variable; an empty one counts as not set.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Who runs this: with `ci` the address of the CI system's run, if it says one, else user and
    /// machine.
    pub fn mover(&self, ci: bool) -> String {
        let word = |name: &str| self.variable(name).map(str::to_owned);
        let github = || {
            let [server, repository, run] =
                ["GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID"].map(word);
            Some(format!("{}/{}/actions/runs/{}", server?, repository?, run?))
        };
        let run = if ci { word("CI_JOB_URL").or_else(github) } else { None };
        run.unwrap_or_else(|| {
            let user =
                word("USER").or_else(|| word("LOGNAME")).unwrap_or_else(|| "unknown".to_owned());
            let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            format!("{user}@{}", host.trim())
        })
    }

    pub fn path(&self) -> &str {
        self.variable("PATH").unwrap_or_default()
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
}
