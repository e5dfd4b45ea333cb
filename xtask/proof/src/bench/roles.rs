//! What each role costs while it runs, and how long it takes to stop.

use super::containers;
use super::sides::{BOTH, Side, Sides};
use super::table::{self, Line};
use crate::measure::{memory, summary};
use anyhow::Context as _;
use std::time::{Duration, Instant};

/// The roles, each with what its log says once it works; the web role is asked.
const ROLES: [(&str, &str); 3] = [("web", ""), ("worker", " ready."), ("beat", "beat: Starting")];

/// How long a role may take to begin to work.
const PATIENCE: Duration = Duration::from_secs(120);

/// Until memory has settled: pools are filled, imports that were put off are done.
const SETTLE: Duration = Duration::from_secs(5);

/// What was measured of one role.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cost {
    memory: u64,
    stop: f64,
    /// The engine's patience was over before the container had ended.
    killed: bool,
}

/// The lines of all roles.
pub fn lines(sides: &Sides<'_>, rounds: usize) -> anyhow::Result<Vec<Line>> {
    let (mut ours, mut other) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        for side in BOTH {
            process::notice::notice(&format!("roles, {} of {rounds}, {side:?}", round + 1));
            let costs = once(sides, side)?;
            if side == Side::Ours { &mut ours } else { &mut other }.push(costs);
        }
    }
    let mut lines = Vec::new();
    for (index, (role, _)) in ROLES.iter().enumerate() {
        let middle = |all: &[[Cost; 3]]| {
            let mut sorted: Vec<u64> = all.iter().map(|costs| costs[index].memory).collect();
            sorted.sort_unstable();
            sorted[sorted.len() / 2]
        };
        let what = format!("memory, {role}");
        lines.push(table::bytes(&what, middle(&ours), middle(&other)));
    }
    for (index, (role, _)) in ROLES.iter().enumerate() {
        let stop = |all: &[[Cost; 3]]| {
            let times = summary(all.iter().map(|costs| costs[index].stop));
            let killed = all.iter().any(|costs| costs[index].killed);
            (times.median, table::range(times) + if killed { ", killed" } else { "" })
        };
        let ((our_time, ours), (other_time, other)) = (stop(&ours), stop(&other));
        let what = format!("stop, {role}, s");
        lines.push(Line { what, ours, other, ratio: our_time / other_time });
    }
    Ok(lines)
}

/// All roles of one side at once, as they run in production.
fn once(sides: &Sides<'_>, side: Side) -> anyhow::Result<[Cost; 3]> {
    containers::with(sides, side, |containers| {
        let asking = containers.asking()?;
        let web = containers.role("web")?;
        containers.answered(&asking)?;
        let ids = [web, containers.role("worker")?, containers.role("beat")?];
        for (id, (role, sign)) in ids.iter().zip(ROLES) {
            working(sides, id, sign).with_context(|| format!("starting {role}"))?;
        }
        std::thread::sleep(SETTLE);
        let mut costs = [Cost { memory: 0, stop: 0.0, killed: false }; 3];
        for (cost, id) in costs.iter_mut().zip(&ids) {
            let root = sides.engine(&["inspect", "--format", "{{.State.Pid}}", id])?.stdout;
            cost.memory = memory(root.trim().parse().context("reading a container's process")?);
            if cost.memory == 0 {
                anyhow::bail!("measuring the memory of a container: it has no process any more");
            }
        }
        for (cost, id) in costs.iter_mut().zip(&ids) {
            let begin = Instant::now();
            sides.engine(&["stop", id])?;
            cost.stop = begin.elapsed().as_secs_f64();
            let code = sides.engine(&["inspect", "--format", "{{.State.ExitCode}}", id])?.stdout;
            // 128 and SIGKILL's number.
            cost.killed = code.trim() == "137";
        }
        Ok(costs)
    })
}

/// Waits until a container's log has `sign`.
fn working(sides: &Sides<'_>, id: &str, sign: &str) -> anyhow::Result<()> {
    let begin = Instant::now();
    loop {
        let log = sides.engine(&["logs", id])?;
        if log.stdout.contains(sign) || log.stderr.contains(sign) {
            return Ok(());
        }
        if begin.elapsed() > PATIENCE {
            anyhow::bail!("nothing in its log says `{sign}`: {}", log.last_line());
        }
        std::thread::sleep(Duration::from_millis(300));
    }
}
