//! The checks of `smoke-test`: what an image must be and do, one by one, each with the requirement
//! that it proves and the reason why that matters.
//!
//! A check on the image alone looks at its [`archive::Archive`], which is read once. A check on
//! the image at work starts containers on the [`stage::Stage`]. Checks of one [`Lane`] run one
//! after another, as they share containers; the lanes run at the same time.

use crate::config::smoke::Role;
use crate::failure::Exit;
use crate::notice::notice;
use checks::Check;
use stage::Stage;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

pub mod checks;
mod endings;
mod entry;
pub mod http;
pub mod image;
mod needs;
pub mod report;
mod roles;
pub mod stage;

/// What a check found, or that it couldn't look.
pub type Found = anyhow::Result<Verdict>;

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
    /// Passed where `evidence` is empty, and failed with it else.
    pub fn from_evidence(evidence: Vec<String>, fact: impl Into<String>) -> Verdict {
        if evidence.is_empty() { Verdict::Passed(fact.into()) } else { Verdict::Failed(evidence) }
    }
}

/// An error that is evidence against the image, and no failure of the test itself.
#[derive(Clone, Debug)]
pub struct Evidence(Vec<String>);

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
    /// The entrypoint, in containers that end by themselves.
    Entry,
    /// The web role.
    Web,
    /// Worker and beat.
    Celery,
    /// How roles end.
    Endings,
    /// What leaves nothing to test behind: alone, when all others have ended.
    Last,
}

impl Lane {
    /// Its name.
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

/// What one check gave.
#[derive(Debug)]
pub struct Outcome {
    /// The check.
    pub check: &'static Check,
    /// What it found; an error is a failure of the test, not of the image.
    pub found: Found,
    /// How long it took.
    pub time: Duration,
}

/// The role that a check uses which needs any.
fn first_role(stage: &Stage<'_>) -> anyhow::Result<Role> {
    let roles = &stage.subject.smoke.roles;
    roles.first().copied().ok_or_else(|| {
        crate::failure::failure_help(
            Exit::Usage,
            "choosing a role: [smoke] roles is empty",
            "name at least one of web, gunicorn, worker, beat in docker/image.toml",
        )
    })
}

/// Runs the chosen checks; `run` looks at one. The outcomes are in the order of
/// [`checks::all`].
pub fn run_all(
    chosen: &[&'static Check],
    run: &(dyn Fn(&'static Check) -> Found + Sync),
    stop: &(dyn Fn() -> bool + Sync),
) -> Vec<Outcome> {
    let mut lanes: BTreeMap<Lane, Vec<&'static Check>> = BTreeMap::new();
    for check in chosen {
        lanes.entry(check.lane).or_default().push(check);
    }
    let last = lanes.remove(&Lane::Last).unwrap_or_default();
    let outcomes = Mutex::new(Vec::new());
    let lane = |checks: &[&'static Check]| {
        for check in checks {
            if stop() {
                return;
            }
            let start = Instant::now();
            let found = run(check).or_else(|error| match error.downcast::<Evidence>() {
                Ok(evidence) => Ok(Verdict::Failed(evidence.0)),
                Err(error) => Err(error),
            });
            let outcome = Outcome { check, found, time: start.elapsed() };
            let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
            outcomes.push(outcome);
            if let Some(outcome) = outcomes.last() {
                notice(&report::progress(outcome, outcomes.len(), chosen.len()));
            }
        }
    };
    std::thread::scope(|scope| {
        for checks in lanes.values() {
            scope.spawn(|| lane(checks));
        }
    });
    lane(&last);
    let mut outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    let place =
        |outcome: &Outcome| checks::all().iter().position(|check| check.name == outcome.check.name);
    outcomes.sort_by_key(place);
    outcomes
}
