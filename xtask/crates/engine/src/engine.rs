//! An engine: its product, its version, and how it is called on this machine.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Podman or Docker (BuildKit).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
pub enum EngineKind {
    /// Podman, 4.3 or newer
    Podman,
    /// Docker with BuildKit
    Docker,
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program())
    }
}

impl EngineKind {
    pub fn program(self) -> &'static str {
        match self {
            EngineKind::Podman => "podman",
            EngineKind::Docker => "docker",
        }
    }

    /// The product's name, as in a sentence.
    pub fn title(self) -> &'static str {
        match self {
            EngineKind::Podman => "Podman",
            EngineKind::Docker => "Docker",
        }
    }
}

/// Major, minor and patch number of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EngineVersion(pub u32, pub u32, pub u32);

impl EngineVersion {
    /// The leading numbers of `text`: `4.3.1`, `v20.10.24+dfsg1`, `26.1`.
    pub fn parse(text: &str) -> Option<EngineVersion> {
        let mut numbers = text
            .trim_start_matches('v')
            .split(['.', '-', '+', '~'])
            .map(|part| part.parse::<u32>().ok());
        let major = numbers.next()??;
        let minor = numbers.next().flatten().unwrap_or(0);
        Some(EngineVersion(major, minor, numbers.next().flatten().unwrap_or(0)))
    }
}

impl fmt::Display for EngineVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// A working engine, as found on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engine {
    pub kind: EngineKind,
    /// The command: a name on PATH, or a path if the first on PATH does not work.
    pub program: String,
    /// Version of what builds: Podman's own, or that of Docker's daemon.
    pub version: EngineVersion,
    /// `os/arch` that it builds for by default; empty if it wasn't asked.
    pub platform: String,
    /// Why this one: the first line of the output says it.
    pub why: String,
    /// The place of its builds and what says so, if that isn't simply here.
    pub place: Option<String>,
    /// The name and driver of the BuildKit that buildx builds with, when it isn't the daemon's own.
    pub builder: Option<(String, String)>,
    /// The prefix that makes its commands work on this machine.
    pub env: Vec<(String, String)>,
    /// What works, but badly, with what to do about it.
    pub warnings: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let check =
            |text: &str, expected| assert_eq!(EngineVersion::parse(text), expected, "{text}");
        check("4.3.1", Some(EngineVersion(4, 3, 1)));
        check("20.10.24+dfsg1", Some(EngineVersion(20, 10, 24)));
        check("v26.1", Some(EngineVersion(26, 1, 0)));
        check("5.0.0-rc1", Some(EngineVersion(5, 0, 0)));
        check("", None);
        check("podman", None);
    }
}
