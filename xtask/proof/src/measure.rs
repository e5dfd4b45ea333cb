//! What is measured, and the arithmetic on it: wall and CPU seconds, medians, ranges.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::time::Instant;

/// Clock ticks in a second: what Linux reports times in to user space (time(7), `USER_HZ`).
const TICKS: f64 = 100.0;

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Seconds on the clock.
    pub wall: f64,
    /// Seconds of all processors together.
    pub cpu: f64,
}

/// The measurements of both sides of one row, in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pair {
    /// This workflow.
    pub ours: Vec<Sample>,
    /// What it is compared with.
    pub other: Vec<Sample>,
}

/// Times `what`. CPU is that of our ended children, and of `daemons` and all below them, which do
/// the work if the engine is a daemon.
pub fn time(daemons: &[u32], what: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Sample> {
    let (before, start) = (cpu(daemons), Instant::now());
    what()?;
    let wall = start.elapsed().as_secs_f64();
    Ok(Sample { wall, cpu: (cpu(daemons) - before).max(0.0) })
}

/// CPU seconds of one process and of its children that have ended.
pub fn alone(id: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat(&text).map_or(0.0, |stat| seconds(stat.own + stat.children))
}

/// CPU seconds of a process and of all below it so far, ended ones that were waited for included,
/// and who they are.
pub fn family(id: u32) -> (f64, Vec<u32>) {
    let all = processes();
    (seconds(tree(&all, &[id])), inside(&all, &[id]).into_iter().collect())
}

/// Seconds in clock ticks.
pub fn seconds(ticks: u64) -> f64 {
    // Ticks below 2^53 are exact.
    #[allow(clippy::cast_precision_loss)]
    let ticks = ticks as f64;
    ticks / TICKS
}

/// CPU seconds so far.
fn cpu(daemons: &[u32]) -> f64 {
    let own = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let children = stat(&own).map_or(0, |stat| stat.children);
    let all = if daemons.is_empty() { HashMap::new() } else { processes() };
    seconds(children + tree(&all, daemons))
}

fn processes() -> HashMap<u32, Stat> {
    let mut all = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let id = entry.file_name().to_string_lossy().parse::<u32>();
        let text = fs::read_to_string(entry.path().join("stat"));
        if let (Ok(id), Some(stat)) = (id, text.ok().as_deref().and_then(stat)) {
            all.insert(id, stat);
        }
    }
    all
}

/// The memory of a process and all below it in bytes, what several share divided among them
/// (proportional set size, proc(5)).
pub fn memory(root: u32) -> u64 {
    let kilobytes = |id: u32| {
        let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
    };
    inside(&processes(), &[root]).into_iter().filter_map(kilobytes).sum::<u64>() * 1024
}

/// What `/proc/ID/stat` says (proc(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    own: u64,
    /// Of the children that have ended.
    children: u64,
}

/// The name in parentheses may hold anything, so the fields are counted after the last one.
fn stat(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        parent: u32::try_from(number(1)?).ok()?,
        own: number(11)? + number(12)?,
        children: number(13)? + number(14)?,
    })
}

/// The ticks of `roots` and of all processes below them, ended ones included.
fn tree(all: &HashMap<u32, Stat>, roots: &[u32]) -> u64 {
    inside(all, roots).iter().map(|id| all[id].own + all[id].children).sum()
}

/// Those of `roots` that are there, and all processes below them.
fn inside(all: &HashMap<u32, Stat>, roots: &[u32]) -> HashSet<u32> {
    let mut inside: HashSet<u32> =
        roots.iter().copied().filter(|id| all.contains_key(id)).collect();
    loop {
        let more: Vec<u32> = all
            .iter()
            .filter(|(id, stat)| !inside.contains(id) && inside.contains(&stat.parent))
            .map(|(id, _)| *id)
            .collect();
        if more.is_empty() {
            return inside;
        }
        inside.extend(more);
    }
}

/// Median, least and most of some numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    /// The one in the middle; of an even count the mean of the two in the middle.
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

/// Sums up `numbers`; all zero when there are none.
pub fn summary(numbers: impl IntoIterator<Item = f64>) -> Summary {
    let mut sorted: Vec<f64> = numbers.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let (Some(&least), Some(&most)) = (sorted.first(), sorted.last()) else {
        return Summary::default();
    };
    let middle = sorted.len() / 2;
    let median = if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    };
    Summary { median, least, most }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_ranges() {
        let check = |numbers: &[f64], median, least, most| {
            assert_eq!(summary(numbers.iter().copied()), Summary { median, least, most });
        };
        check(&[], 0.0, 0.0, 0.0);
        check(&[2.0], 2.0, 2.0, 2.0);
        check(&[3.0, 1.0], 2.0, 1.0, 3.0);
        check(&[9.0, 1.0, 2.0], 2.0, 1.0, 9.0);
    }

    #[test]
    fn a_process_is_read_whatever_its_name_is() {
        let text = "7 (a) b (c) S 3 7 7 0 -1 0 0 0 0 0 10 5 200 100 20 0 1 0 9";
        assert_eq!(stat(text), Some(Stat { parent: 3, own: 15, children: 300 }));
        assert_eq!(stat("7 (a"), None);
    }

    #[test]
    fn a_tree_is_its_root_and_all_below() {
        let stat = |parent, own| Stat { parent, own, children: 0 };
        let all =
            HashMap::from([(1, stat(0, 1)), (2, stat(1, 10)), (3, stat(2, 100)), (9, stat(1, 7))]);
        assert_eq!(tree(&all, &[2]), 110);
        assert_eq!(tree(&all, &[5]), 0);
        assert_eq!(tree(&all, &[]), 0);
    }

    #[test]
    fn memory_is_that_of_a_process_and_those_below_it() {
        let own = memory(std::process::id());
        assert!(own > 1_000_000, "{own}");
        assert_eq!(memory(u32::MAX), 0);
    }

    #[test]
    fn work_of_a_child_is_counted() {
        let busy = || {
            let script = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";
            std::process::Command::new("sh").args(["-c", script]).status()?;
            Ok(())
        };
        let sample = time(&[], busy).unwrap();
        assert!(sample.wall > 0.0 && sample.cpu > 0.0, "{sample:?}");
    }
}
