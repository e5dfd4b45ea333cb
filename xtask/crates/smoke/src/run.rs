//! Runs checks: those of one lane one after another, the lanes at the same time.

use crate::checks::{self, Check};
use crate::report::{self, Outcome};
use crate::verdict::{CheckResult, Evidence, Lane, Verdict};
use process::notice::notice;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Runs the chosen checks; `run` looks at one. The outcomes are in the order of
/// [`checks::all`].
pub fn run_all(
    chosen: &[&'static Check],
    run: &(dyn Fn(&'static Check) -> CheckResult + Sync),
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
