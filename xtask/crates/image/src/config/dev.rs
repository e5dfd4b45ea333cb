//! `[dev]`: what `cargo xtask dev` runs with.

use super::raw::ConfigFile;
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dev {
    /// The port of the site on this machine; if it is taken, the next free one.
    pub port: u16,
    /// More in the environment of web, worker and beat.
    pub environment: BTreeMap<String, String>,
}

/// Reads `[dev]`; mistakes are noted in `file`.
pub(super) fn read(file: &mut ConfigFile<'_>) -> Dev {
    file.only_keys("dev", &["port", "environment"]);
    Dev { port: file.typed("dev", "port").unwrap_or(8000), environment: file.environment("dev") }
}
