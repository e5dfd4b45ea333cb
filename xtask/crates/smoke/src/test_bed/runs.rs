//! Which run a container or network belongs to, and removing what a run has left.

use super::RUN;
use engine::Engine;
use engine::containers::{self, Thing};
use engine::leftovers;
use process::notice::notice;
use process::run::{QUESTION, Runner};

/// This process: the host, its boot, the process id and its start, so that no other is taken for
/// it (proc(5)).
pub(super) fn this_run() -> String {
    let process = leftovers::running(std::process::id());
    format!("{}.{}.{}", machine(), process.id, process.started)
}

/// The host and its boot.
fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let boot: String =
        read("/proc/sys/kernel/random/boot_id").chars().filter(char::is_ascii_hexdigit).collect();
    let host: String = read("/proc/sys/kernel/hostname")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    format!("{}.{}", host.trim_end_matches('-'), boot.chars().take(12).collect::<String>())
}

/// Whether the run of a label has ended; that of another host is never judged from here.
fn over(run: &str) -> bool {
    let Some((host, _)) = run.split_once('.') else { return false };
    let this = machine();
    if this.split_once('.').map(|(host, _)| host) != Some(host) {
        return false;
    }
    let Some(process) = run.strip_prefix(&format!("{this}.")) else { return true };
    let Some((id, started)) = process.split_once('.') else { return false };
    id.parse().is_ok_and(|id| leftovers::running(id).started.to_string() != started)
}

/// Removes what a run left: that of `run`, or of all runs that are over. Gives how much that was.
pub fn clear(engine: &Engine, runner: &Runner, run: Option<&str>) -> anyhow::Result<usize> {
    let mut count = 0;
    let mut found = || leftovers::patiently(runner, || sweep(engine, runner, run, &mut count));
    // A command that was ended may have been about to make something: then until nothing is left.
    while found()? > 0 && run.is_some() {}
    if let Some(id) = run.and_then(|run| run.rsplit('.').nth(1)) {
        count += leftovers::remove_half_made(engine, runner, &super::name(id, ""))?;
    }
    if run.is_none() && count > 0 {
        let plural = if count == 1 { "thing" } else { "things" };
        notice(&format!("removed {count} {plural} that a killed smoke test left"));
    }
    Ok(count)
}

/// Removes what is there now; gives how much was found, and adds what is gone to `count`. What
/// can't be removed keeps nothing else from it.
fn sweep(
    engine: &Engine,
    runner: &Runner,
    run: Option<&str>,
    count: &mut usize,
) -> anyhow::Result<usize> {
    let (mut found, mut refused) = (0, Ok(()));
    for thing in [Thing::Container, Thing::Network] {
        let label = run.map_or_else(|| RUN.to_owned(), |run| format!("{RUN}={run}"));
        let ids = runner.ask(&containers::labelled(engine, thing, &label), QUESTION)?;
        anyhow::ensure!(ids.good(), "looking for leftovers: {}", ids.last_line());
        let mut over_now = Vec::new();
        for id in ids.stdout.lines().map(str::trim).filter(|id| !id.is_empty()) {
            if run.is_none() {
                let asked = runner.ask(&containers::label_of(engine, thing, id, RUN), QUESTION)?;
                if !asked.good() || !over(asked.stdout.trim()) {
                    continue;
                }
            }
            over_now.push(id);
        }
        if over_now.is_empty() {
            continue;
        }
        found += over_now.len();
        // At once: one that can't be removed keeps no other from it.
        let removed =
            runner.ask(&containers::remove_all(engine, thing, &over_now), QUESTION * 2)?;
        *count += removed.stdout.lines().count();
        if !removed.good() {
            refused = Err(anyhow::anyhow!("removing leftovers: {}", removed.last_line()));
        }
    }
    refused.map(|()| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_run_of_this_host_that_has_ended_is_over() {
        let here = machine();
        assert!(!over(&this_run()));
        assert!(over(&format!("{here}.{}.1", std::process::id())));
        let (host, _) = here.split_once('.').unwrap();
        assert!(over(&format!("{host}.000000000000.1.1")));
        assert!(!over("another-host.000000000000.1.1"));
        assert!(!over(""));
    }
}
