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
    /// Reads that of this process.
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

    /// The value of `PATH`.
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
