//! What the groups took: for `--dry-run` as last measured, at the end as it was.

use super::groups::{GROUPS, Group, Part};
use process::failure::{Exit, Failure};
use std::fmt::Write as _;
use std::time::Duration;

/// How many of the slowest tests are named.
const SLOWEST: usize = 10;

/// What the steps of a group took.
#[derive(Default)]
pub(super) struct Work {
    /// Seconds of all processors, of the processes that were started and waited for: a daemon's
    /// work, and that of containers in the background, is only in the machine's own number.
    pub cpu: f64,
    /// The tests that ran one after another.
    pub tests: Vec<(String, Duration)>,
    /// Tests that this machine or engine can't run, with the reason, and those that needed a second
    /// try.
    pub told: Vec<String>,
}

/// How a group ended.
pub(super) struct Outcome {
    pub group: &'static str,
    /// If it failed, the lines that say why.
    pub why: Option<Vec<String>>,
    pub wall: Duration,
    pub work: Work,
}

/// What `chosen` would run, and what it leaves out, with the seconds that each took when it was
/// last measured.
pub(super) fn planned(chosen: &[&'static Group]) -> (String, serde_json::Value) {
    let is_chosen = |group: &Group| chosen.iter().any(|one| one.name == group.name);
    let line = |group: &Group| {
        let part = match group.part {
            Part::Quick => "",
            Part::All => "--all",
            Part::Browser => "--browser",
            Part::Nightly => "--nightly",
        };
        let took = group.took.map_or("not measured".to_owned(), |took| format!("{took} s"));
        format!("{:<13}{took:>12}  {part}", group.name).trim_end().to_owned() + "\n"
    };
    let mut text: String = chosen.iter().map(|group| line(group)).collect();
    let rest: Vec<&Group> = GROUPS.iter().filter(|group| !is_chosen(group)).collect();
    if !rest.is_empty() {
        text += "not in this run:\n";
        text.extend(rest.iter().map(|group| line(group)));
    }
    let groups = GROUPS.iter().map(|group| {
        serde_json::json!({
            "group": group.name,
            "chosen": is_chosen(group),
            "seconds": group.took,
        })
    });
    (text, serde_json::json!({ "groups": groups.collect::<Vec<_>>() }))
}

/// All groups, the slowest tests, and how busy the machine was (`busy`: seconds of all processors).
pub(super) fn summary(outcomes: &[Outcome], wall: Duration, busy: f64) -> String {
    let mut text = String::new();
    for Outcome { group, why, wall, work } in outcomes {
        let mark = if why.is_none() { "ok    " } else { "FAILED" };
        let wall = wall.as_secs_f64();
        let _ = writeln!(text, "{mark}  {group:<12}{wall:>7.1} s {:>7.1} CPU s", work.cpu);
    }
    let tests = outcomes.iter().flat_map(|o| o.work.tests.iter().map(|test| (o.group, test)));
    let mut tests: Vec<(&str, &(String, Duration))> = tests.collect();
    tests.sort_by_key(|(_, (_, time))| std::cmp::Reverse(*time));
    if !tests.is_empty() {
        text += "slowest tests:\n";
    }
    for (group, (name, time)) in tests.into_iter().take(SLOWEST) {
        let _ = writeln!(text, "{:>7.1} s  {group}: {name}", time.as_secs_f64());
    }
    for Outcome { group, work, .. } in outcomes {
        for line in &work.told {
            let _ = writeln!(text, "{group}: {line}");
        }
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let wall = wall.as_secs_f64();
    // A handful of cores is exact.
    #[allow(clippy::cast_precision_loss)]
    let share = 100.0 * busy / (wall * cores as f64).max(0.001);
    let _ = writeln!(text, "{wall:.0} s, {busy:.0} CPU s: {cores} processors {share:.0} % busy");
    let failed = outcomes.iter().filter(|outcome| outcome.why.is_some()).count();
    let _ = writeln!(text, "{} passed, {failed} failed", outcomes.len() - failed);
    text
}

/// The groups that failed, each with its reason: a CI system shows the end of the output.
pub(super) fn failed(outcomes: &[Outcome]) -> Option<Failure> {
    let failed = || outcomes.iter().filter_map(|one| Some((one.group, one.why.as_ref()?)));
    let names: Vec<&str> = failed().map(|(name, _)| name).collect();
    let help = failed().flat_map(|(name, why)| {
        let lines = why.iter().map(move |line| format!("{name} | {line}"));
        lines.chain([format!("cargo xtask test --only {name}")])
    });
    let message = format!("testing: failed: {}", names.join(", "));
    let failure = Failure { exit: Exit::Check, message, help: help.collect() };
    (!names.is_empty()).then_some(failure)
}

/// As [`summary`], for programs.
pub(super) fn json(outcomes: &[Outcome]) -> serde_json::Value {
    let groups = outcomes.iter().map(|outcome| {
        let tests =
            outcome.work.tests.iter().map(
                |(name, time)| serde_json::json!({ "test": name, "seconds": time.as_secs_f64() }),
            );
        serde_json::json!({
            "group": outcome.group,
            "passed": outcome.why.is_none(),
            "seconds": outcome.wall.as_secs_f64(),
            "cpu_seconds": outcome.work.cpu,
            "tests": tests.collect::<Vec<_>>(),
            "told": outcome.work.told,
        })
    });
    serde_json::json!({ "groups": groups.collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_ends_with_the_count_and_names_the_slowest_first() {
        let test = |name: &str, seconds| (name.to_owned(), Duration::from_secs(seconds));
        let told = vec!["not run: no root (a.rs:7)".to_owned()];
        let work = Work { cpu: 3.0, tests: vec![test("fast", 1), test("slow", 9)], told };
        let outcome =
            |group, why, work| Outcome { group, why, wall: Duration::from_secs(10), work };
        let why = Some(vec!["a test panicked".to_owned()]);
        let outcomes = [outcome("one", None, work), outcome("two", why, Work::default())];
        let text = summary(&outcomes, Duration::from_secs(10), 10.0);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..2],
            [
                "ok      one            10.0 s     3.0 CPU s",
                "FAILED  two            10.0 s     0.0 CPU s"
            ]
        );
        assert_eq!(lines[3..5], ["    9.0 s  one: slow", "    1.0 s  one: fast"]);
        assert_eq!(lines[5], "one: not run: no root (a.rs:7)");
        assert!(lines[6].starts_with("10 s, 10 CPU s: "), "{text}");
        assert_eq!(lines.last(), Some(&"1 passed, 1 failed"));
        let failure = failed(&outcomes).unwrap();
        assert_eq!(failure.message, "testing: failed: two");
        assert_eq!(failure.help, ["two | a test panicked", "cargo xtask test --only two"]);
        assert!(failed(&outcomes[..1]).is_none());
    }
}
