//! What a check may find, and which checks run one after another.

use std::fmt;

/// What a check found, or that it couldn't look.
pub type CheckResult = anyhow::Result<Verdict>;

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds; the text is the figure or fact that shows it, for the report.
    Passed(String),
    /// It doesn't; the evidence, a line each.
    Failed(Vec<String>),
    /// The project asks for nothing that could be checked; the text says what is not configured.
    NotAsked(String),
}

impl Verdict {
    /// Passed if `evidence` is empty, else failed with it.
    pub fn from_evidence(evidence: Vec<String>, fact: impl Into<String>) -> Verdict {
        if evidence.is_empty() { Verdict::Passed(fact.into()) } else { Verdict::Failed(evidence) }
    }
}

/// An error that is evidence against the image, and no failure of the test itself.
#[derive(Clone, Debug)]
pub struct Evidence(pub Vec<String>);

impl Evidence {
    /// The lines of `text`.
    pub fn of(text: &str) -> anyhow::Error {
        Evidence(text.lines().map(str::to_owned).collect()).into()
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Evidence {}

/// Checks that run one after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// The image alone.
    Image,
    /// The entrypoint, in short-lived containers.
    Entry,
    Web,
    /// Worker and beat.
    Celery,
    /// How roles end.
    Endings,
    /// What leaves nothing to test behind: alone, when all others have ended.
    Last,
}

impl Lane {
    pub fn word(self) -> &'static str {
        match self {
            Lane::Image => "image",
            Lane::Entry => "entry",
            Lane::Web => "web",
            Lane::Celery => "celery",
            Lane::Endings => "endings",
            Lane::Last => "last",
        }
    }
}
