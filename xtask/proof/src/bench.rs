//! `bench`: compares this workflow with the design that it was made from, on the same payload, lock
//! and base, in separate stores. It reports numbers and never decides about pass or fail.

use crate::cli::{self, Row};
use crate::lab::Lab;
use crate::program;
use crate::tools;
use engine::{EngineKind, find};
use image::config::Workflow;
use process::failure::{Exit, failure_help};
use process::invocation::Invocation;
use process::notice::notice;
use process::run::{Answer, Runner, shortened};
use process::state::{State, make_folder, write_whole};
use std::path::PathBuf;
use std::time::Duration;
use workflow::world::World;

mod compile;
mod containers;
mod context;
mod design;
mod develop;
mod images;
mod programs;
mod ready;
mod report;
mod roles;
mod rows;
mod sides;
mod smoke;
mod table;

/// What all rows share.
pub struct Bench<'a> {
    world: &'a World,
    workflow: &'a Workflow,
    /// Prints nothing itself: the rows say what they do.
    runner: Runner,
    /// A folder that is removed at the end.
    state: State,
    /// What stands for the user's cache folder.
    cache: PathBuf,
    xtask: String,
    uv: String,
    rounds: Rounds,
    only: Vec<Row>,
}

/// How often each row is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rounds {
    cold: usize,
    warm: usize,
    repository: programs::Size,
}

const FULL: Rounds = Rounds {
    cold: 2,
    warm: 5,
    repository: programs::Size { commits: 200_000, tags: 20_000, files: 50_000 },
};
const QUICK: Rounds = Rounds {
    cold: 1,
    warm: 2,
    repository: programs::Size { commits: 5_000, tags: 500, files: 2_000 },
};

/// The sections that are written only when asked for by name.
const SECTIONS: [&str; 4] = [develop::HEAD, context::HEAD, smoke::HEAD, compile::HEAD];

/// Small packages without dependencies, one for each round.
const PACKAGES: [&str; 5] = ["iniconfig", "pluggy", "colorama", "tabulate", "toml"];

/// The command.
///
/// # Errors
/// [`Exit::Engine`] when no engine works here.
pub fn run(world: &World, args: &cli::Bench) -> anyhow::Result<()> {
    let workflow = world.workflow()?;
    if world.common.dry_run {
        let text = "would measure in separate stores, below target/xtask/bench\n";
        return world.output.result(text, &serde_json::json!({ "folder": "target/xtask/bench" }));
    }
    let state = State { folder: workflow.state.folder.join("bench") };
    let lock = state.lock(Duration::ZERO)?;
    let bench = Bench {
        world,
        workflow: &workflow,
        runner: Runner { progress: false, ..world.runner(&workflow.top) },
        cache: state.folder.join("cache"),
        state,
        xtask: program(world)?.display().to_string(),
        uv: workflow.state.folder.join("tools/bin/uv").display().to_string(),
        rounds: if args.quick { QUICK } else { FULL },
        only: args.only.clone(),
    };
    let outcome = bench.measure(args);
    drop(lock);
    // A laboratory that could not be taken down keeps its record here, for the next run to end it.
    if bench
        .state
        .remembered::<Vec<serde_json::Value>>("lab-bench.json")
        .is_none_or(|all| all.is_empty())
    {
        sides::remove(&bench.state.folder)?;
    }
    let text = outcome?;
    world.output.result(&text, &serde_json::json!({ "report": text }))
}

impl Bench<'_> {
    fn measure(&self, args: &cli::Bench) -> anyhow::Result<String> {
        self.prepare()?;
        let mut report = report::Report::new(args.quick, self.rounds.warm, self.rounds.cold);
        if self.wants(Row::Git) {
            notice("git identity: making a repository");
            let size = self.rounds.repository;
            report.git = Some((size, programs::git(self, size, self.rounds.warm)?));
        }
        if self.wants(Row::Compile) {
            let section = self.compiled(args.quick)?;
            return self.write_section(compile::HEAD, section);
        }
        if self.wants(Row::Context) {
            let section = self.snapshot(args.quick)?;
            return self.write_section(context::HEAD, section);
        }
        if self.wants(Row::Dev) {
            let section = self.develop(args.quick)?;
            return self.write_section(develop::HEAD, section);
        }
        if self.wants(Row::Smoke) {
            let section = self.smoke(args.quick)?;
            return self.write_section(smoke::HEAD, section);
        }
        let engine_rows = [
            Row::Cold,
            Row::Nothing,
            Row::Overhead,
            Row::Size,
            Row::Line,
            Row::Push,
            Row::Ready,
            Row::Roles,
            Row::Dependency,
        ];
        if !engine_rows.into_iter().any(|row| self.wants(row)) {
            return Ok(report.text());
        }
        for kind in self.engines()? {
            report.engines.push(self.in_lab(kind, |lab| self.rows(lab, kind))?);
            // After each engine: what fails on the second doesn't lose the first one's numbers.
            self.keep(&report)?;
        }
        Ok(report.text())
    }

    fn engines(&self) -> anyhow::Result<Vec<EngineKind>> {
        let asked = self.world.common.engine;
        let here = |kind: &EngineKind| {
            let found = find::on_path(self.world.environment.path(), kind.program());
            !found.is_empty() && asked.is_none_or(|asked| asked == *kind)
        };
        let engines: Vec<EngineKind> =
            [EngineKind::Podman, EngineKind::Docker].into_iter().filter(here).collect();
        if engines.is_empty() {
            let message = "measuring: there is neither Podman nor Docker here";
            return Err(failure_help(Exit::Engine, message, "`cargo xtask setup` installs one"));
        }
        Ok(engines)
    }

    /// Writes a section in the place of the one with the same first line.
    fn write_section(&self, head: &str, section: String) -> anyhow::Result<String> {
        let (file, old) = self.written();
        let before = kept(&old, head);
        let others = if before.is_empty() { old.clone() } else { old.replace(before, "") };
        write_whole(&file, &(others + &section))?;
        notice(&format!("wrote {}", file.display()));
        Ok(section)
    }

    /// The documentation's file and what is in it.
    fn written(&self) -> (PathBuf, String) {
        let file = self.workflow.top.join("docs/benchmarks.md");
        let old = std::fs::read_to_string(&file).unwrap_or_default();
        (file, old)
    }

    /// Writes the documentation, unless only some rows were asked for.
    fn keep(&self, report: &report::Report) -> anyhow::Result<()> {
        if self.only.is_empty() {
            let (file, old) = self.written();
            write_whole(&file, &(report.text() + &SECTIONS.map(|head| kept(&old, head)).concat()))?;
            notice(&format!("wrote {}", file.display()));
        }
        Ok(())
    }

    fn wants(&self, row: Row) -> bool {
        // These take as long as all other rows: they are measured only when asked for by name.
        if self.only.is_empty() {
            !matches!(row, Row::Dev | Row::Context | Row::Smoke | Row::Compile)
        } else {
            self.only.contains(&row)
        }
    }

    /// The tools, and a cache folder with nothing in it but the user's stand-ins.
    fn prepare(&self) -> anyhow::Result<()> {
        if !tools::are_here(self.workflow) {
            notice("installing uv and podman-compose");
            tools::make(self.workflow, |step| self.ask(step).map(drop))?;
        }
        let (standins, own) =
            (self.world.environment.cache()?.join("standins"), self.cache.join("senex-xtask"));
        make_folder(&standins)?;
        make_folder(&own)?;
        let words = ["-sfn".to_owned(), standins.display().to_string()];
        let link = own.join("standins").display().to_string();
        self.ask(&Invocation::new("ln", words.into_iter().chain([link])))?;
        Ok(())
    }

    /// Measures in a laboratory that is taken down whatever happens.
    fn in_lab<T>(
        &self,
        kind: EngineKind,
        measure: impl FnOnce(&Lab) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        notice(&format!("=== {}", kind.title()));
        let workflow = Workflow { state: self.state.clone(), ..self.workflow.clone() };
        let lab = match kind {
            EngineKind::Podman => Lab::podman(&workflow, &self.runner, "bench"),
            EngineKind::Docker => Lab::docker(&workflow, &self.runner, "bench", &[]),
        }?;
        let outcome = measure(&lab);
        lab.end(&self.runner)?;
        outcome
    }

    /// Runs a step in the top folder of the workflow.
    fn ask(&self, invocation: &Invocation) -> anyhow::Result<Answer> {
        let answer = self.runner.ask(invocation, Duration::from_secs(600))?;
        if answer.good() { Ok(answer) } else { Err(failed(invocation, &answer)) }
    }
}

/// The section with this first line that an older report has, which other rows leave as it was.
fn kept<'o>(old: &'o str, head: &str) -> &'o str {
    let Some(start) = old.find(&format!("\n{head}\n")) else { return "" };
    let after = start + 1 + head.len();
    let end = old[after..].find("\n## ").map_or(old.len(), |end| after + end);
    &old[start..end]
}

/// The failure of a step, with what it printed last.
fn failed(invocation: &Invocation, answer: &Answer) -> anyhow::Error {
    let lines: Vec<String> =
        answer.stdout.lines().chain(answer.stderr.lines()).map(str::to_owned).collect();
    let mut help = vec!["its last lines:".to_owned()];
    let tail = process::run::tail(&lines, 12);
    help.extend(tail.iter().map(|line| format!("  {}", shortened(line, 200))));
    let message = format!("measuring: failed: {}", shortened(&invocation.to_string(), 300));
    process::failure::Failure { exit: Exit::Unexpected, message, help }.into()
}

const _: () = assert!(FULL.warm <= PACKAGES.len());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_of_an_older_report_is_kept() {
        let section = "\n## b\n\nRows.\n";
        let old = format!("# a\n{section}\n## c\n");
        assert_eq!(kept(&old, "## b"), section);
        assert_eq!(kept(&format!("# a\n{section}"), "## b"), section);
        assert_eq!(kept("# a\n", "## b"), "");
    }
}
