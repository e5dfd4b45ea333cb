//! `docs/benchmarks.md`: the tables, how they were made, and what differs between the two sides.

use super::programs::Size;
use super::table::{self, Line};
use crate::measure::{Pair, Sample, summary};

/// Everything that was measured.
#[derive(Clone, Debug)]
pub struct Report {
    quick: bool,
    warm: usize,
    cold: usize,
    started: String,
    load: String,
    pub engines: Vec<EngineReport>,
    /// The large repository, and git identity on it.
    pub git: Option<(Size, Pair)>,
}

/// What was measured on one engine.
#[derive(Clone, Debug)]
pub struct EngineReport {
    /// Name and version.
    pub name: String,
    /// The base of our side.
    pub base: String,
    /// The edits of the design's Dockerfile.
    pub patch: String,
    pub lines: Vec<Line>,
    /// `xtask build` and the engine's own command.
    pub overhead: Option<Pair>,
    /// Load average when it was done.
    pub load: String,
}

/// The time, as a report says it.
pub fn now() -> String {
    chrono::Utc::now().format("%Y-%m-%d %H:%M UTC").to_string()
}

/// The load averages of the machine, as `/proc/loadavg` has them.
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

impl Report {
    pub fn new(quick: bool, warm: usize, cold: usize) -> Report {
        Report { quick, warm, cold, started: now(), load: load(), engines: Vec::new(), git: None }
    }

    pub fn text(&self) -> String {
        let command = if self.quick { "cargo xtask bench --quick" } else { "cargo xtask bench" };
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let mut text = format!(
            "# Measured against the design\n\n\
             The design is the first, hand-written Dockerfile of the image, with its entrypoint \
             ([what differs](design.md)).\n\n\
             Written by `{command}` on {}; don't edit it. Medians of {} rounds ({} where nothing is \
             cached), with the least and the most in parentheses; the sides take turns. {cores} \
             processors, load averages at the start {}. Numbers are no part of any test.\n",
            self.started, self.warm, self.cold, self.load
        );
        for engine in &self.engines {
            text += &engine.text();
        }
        if let Some((size, pair)) = &self.git {
            let Size { commits, tags, files } = size;
            text += &format!(
                "\n## Git identity\n\n`xtask label` against `git describe --tags --always --dirty \
                 --abbrev=12` and `git rev-parse HEAD`, in a repository of {commits} commits, {tags} \
                 tags and {files} files.\n\n"
            );
            text += &table::table("xtask label", "git", &table::seconds("labels", pair, true));
        }
        if !self.engines.is_empty() {
            text += DIFFERENCES;
        }
        text
    }
}

impl EngineReport {
    fn text(&self) -> String {
        let mut text = format!("\n## {}\n\n", self.name);
        if !self.lines.is_empty() {
            text += &table::table("this workflow", "design", &self.lines);
            text.push('\n');
        }
        if let Some(pair) = &self.overhead {
            let difference = |number: fn(&Sample) -> f64| {
                let rounds = pair.ours.iter().zip(&pair.other);
                table::range(summary(rounds.map(|(ours, direct)| number(ours) - number(direct))))
            };
            text += &format!(
                "`xtask build --force` over the command that it runs, with nothing changed, checks of the \
                 image included: {} s, {} CPU s. On a machine that does other \
                 work the seconds are mostly that work's; the CPU seconds aren't.\n\n",
                difference(|sample| sample.wall),
                difference(|sample| sample.cpu),
            );
        }
        text += &format!("Base {}, load averages at the end {}.\n", self.base, self.load);
        if !self.patch.is_empty() {
            text += &format!(
                "The design's Dockerfile is changed in these lines only:\n\n```diff\n{}```\n",
                self.patch
            );
        }
        text
    }
}

const DIFFERENCES: &str = "
## What is compared

- The design's Dockerfile, entrypoint and ignore file are those of `xtask/proof/design`, as they were
  written, with the edits shown above. They are next to the files of `app/`, with a
  `requirements.txt` that `uv export` makes of the same lock: production's packages, with hashes.
- Each side is built as it says itself: `cargo xtask build`, with its labels, checks and names; and
  `podman build --layers -t NAME .` or `docker build -t NAME .`.
- Both have the same base. The design's has pip in a virtual environment at /usr/local on top, as the
  official image has, and the certificates of an intercepting proxy, for which ours mounts a secret.
  Neither is counted in the layers above the base.
- Cold: no cached layer and empty cache mounts; the base is there. Downloads go over the network,
  whose speed is part of the range. The other rows begin with both images built.
- One line: a line of `trading/views.py` in a tree with changes that aren't committed.
- To push: the layers that differ from those of the image before, each through `gzip -6`.
- run → ready: from `run` to the first good answer of `/health/`, on a new database that already
  accepts connections.
- Memory: of each role, idle, some seconds after its start: the proportional set sizes of all
  processes of the container, added up. Stop: `podman stop` or `docker stop` with its usual patience of 10 s,
  until it comes back; `killed` if the container had to be.
- CPU: on Podman that of the build's own processes, on Docker that of the daemon and all below it,
  too. The containers of run → ready belong to neither, so that row has none.
- Git identity and the overhead are measured with the xtask that `cargo xtask` runs.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_how_it_was_made() {
        let mut report = Report::new(true, 2, 1);
        let sample = |wall| Sample { wall, cpu: 1.0 };
        report.engines.push(EngineReport {
            name: "Podman 4.3.1".to_owned(),
            base: "b".to_owned(),
            patch: "-a\n+b\n".to_owned(),
            lines: Vec::new(),
            overhead: Some(Pair { ours: vec![sample(2.0)], other: vec![sample(1.75)] }),
            load: "0 0 0".to_owned(),
        });
        report.git = Some((
            Size { commits: 3, tags: 2, files: 1 },
            Pair { ours: vec![sample(1.0)], other: vec![sample(2.0)] },
        ));
        let text = report.text();
        for part in [
            "`cargo xtask bench --quick`",
            "## Podman 4.3.1",
            "included: 0.25 s, 0.00 CPU s",
            "```diff\n-a\n+b\n```",
            "| labels, CPU s | 1.00 | 1.00 | 1.00 |",
            "## What is compared",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }
}
