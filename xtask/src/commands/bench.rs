//! `bench`: this workflow beside the design that it was made from, on the same payload, lock and
//! base, in stores of its own. It tells numbers and never decides about pass or fail.

use crate::cli::{self, Row};
use crate::engine::{Kind, find};
use crate::failure::{Exit, failure_help};
use crate::invocation::Invocation;
use crate::lab::Lab;
use crate::run::{Answer, Runner, say, shortened};
use crate::state::{State, make_folder, write_whole};
use crate::world::{Workflow, World};
use anyhow::Context as _;
use measure::{Pair, time};
use sides::{BOTH, Side, Sides};
use std::path::PathBuf;
use std::time::Duration;

mod design;
mod images;
mod measure;
mod programs;
mod ready;
mod report;
mod sides;
mod table;

/// What all rows share.
pub struct Bench<'a> {
    world: &'a World,
    workflow: &'a Workflow,
    /// Says nothing of its own: the rows say what they do.
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

/// Small packages without dependencies of their own, one for each round.
const PACKAGES: [&str; 5] = ["iniconfig", "pluggy", "colorama", "tabulate", "toml"];

/// The command.
///
/// # Errors
/// [`Exit::Engine`] when no engine works here; 130 or 143 after a signal.
pub fn run(world: &World, args: &cli::Bench) -> anyhow::Result<()> {
    let workflow = world.workflow()?;
    if world.common.dry_run {
        let text = "would measure in stores of its own, below target/xtask/bench\n";
        return world.result(text, &serde_json::json!({ "folder": "target/xtask/bench" }));
    }
    let state = State { folder: workflow.state.folder.join("bench") };
    let lock = state.lock(Duration::ZERO)?;
    let bench = Bench {
        world,
        workflow: &workflow,
        runner: Runner { progress: false, ..world.runner(&workflow.top) },
        cache: state.folder.join("cache"),
        state,
        xtask: std::env::current_exe().context("finding xtask")?.display().to_string(),
        uv: workflow.state.folder.join("tools/bin/uv").display().to_string(),
        rounds: if args.quick { QUICK } else { FULL },
        only: args.only.clone(),
    };
    let outcome = bench.measure(args);
    drop(lock);
    // A laboratory that could not be taken down keeps its record here, for the next run to end it.
    if bench.state.remembered::<Vec<serde_json::Value>>("lab.json").is_none_or(|all| all.is_empty())
    {
        sides::remove(&bench.state.folder)?;
    }
    let text = outcome?;
    world.result(&text, &serde_json::json!({ "report": text }))
}

impl Bench<'_> {
    fn measure(&self, args: &cli::Bench) -> anyhow::Result<String> {
        self.prepare()?;
        let mut report = report::Report::new(args.quick, self.rounds.warm, self.rounds.cold);
        if self.wants(Row::Git) {
            say("git identity: making a repository");
            let size = self.rounds.repository;
            report.git = Some((size, programs::git(self, size, self.rounds.warm)?));
        }
        if self.wants(Row::Compile) {
            say("compiling xtask");
            report.compile = Some(programs::compile(self)?);
        }
        let engine_rows = [
            Row::Cold,
            Row::Nothing,
            Row::Overhead,
            Row::Size,
            Row::Line,
            Row::Ready,
            Row::Dependency,
        ];
        if !engine_rows.into_iter().any(|row| self.wants(row)) {
            return Ok(report.text());
        }
        let asked = self.world.common.engine;
        for kind in [Kind::Podman, Kind::Docker] {
            let here = !find::on_path(self.world.path(), kind.program()).is_empty();
            if !here || asked.is_some_and(|asked| asked != kind) {
                continue;
            }
            report.engines.push(self.engine(kind)?);
            // After each engine: what fails on the second doesn't lose the first one's numbers.
            self.keep(&report)?;
        }
        if report.engines.is_empty() {
            let message = "measuring: there is neither Podman nor Docker here";
            return Err(failure_help(Exit::Engine, message, "`cargo xtask setup` installs one"));
        }
        Ok(report.text())
    }

    /// Writes the documentation, unless only some rows were asked for.
    fn keep(&self, report: &report::Report) -> anyhow::Result<()> {
        if self.only.is_empty() {
            let file = self.workflow.top.join("docs/benchmarks.md");
            write_whole(&file, &report.text())?;
            say(&format!("wrote {}", file.display()));
        }
        Ok(())
    }

    fn wants(&self, row: Row) -> bool {
        self.only.is_empty() || self.only.contains(&row)
    }

    /// uv, and a cache folder with nothing in it but the user's stand-ins.
    fn prepare(&self) -> anyhow::Result<()> {
        if !std::path::Path::new(&self.uv).is_file() {
            say("installing uv");
            let folder = self.workflow.state.folder.join("tools");
            for step in super::test::tools_steps(&folder) {
                self.ask(&step)?;
            }
        }
        let (standins, own) =
            (self.world.cache()?.join("standins"), self.cache.join("senex-xtask"));
        make_folder(&standins)?;
        make_folder(&own)?;
        let words = ["-sfn".to_owned(), standins.display().to_string()];
        let link = own.join("standins").display().to_string();
        self.ask(&Invocation::new("ln", words.into_iter().chain([link])))?;
        Ok(())
    }

    /// All rows of one engine, in a laboratory that is taken down whatever happens.
    fn engine(&self, kind: Kind) -> anyhow::Result<report::EngineReport> {
        say(&format!("=== {}", kind.title()));
        let workflow = Workflow { state: self.state.clone(), ..self.workflow.clone() };
        let make = |workflow: &Workflow, runner: &Runner| match kind {
            Kind::Podman => Lab::podman(workflow, runner),
            Kind::Docker => Lab::docker(workflow, runner, &[]),
        };
        let lab = make(&workflow, &self.runner)?;
        let outcome = self.rows(&lab, kind);
        lab.end(&self.runner)?;
        outcome
    }

    fn rows(&self, lab: &Lab, kind: Kind) -> anyhow::Result<report::EngineReport> {
        say("making both sides, their bases and the services");
        let sides = Sides::new(self, lab, kind)?;
        let mut lines = Vec::new();
        let podman = kind == Kind::Podman;
        // On Docker the design is only not to be slower.
        let goal = |text: &'static str| if podman { text } else { "≤ 1" };
        if self.wants(Row::Cold) {
            let pair = self.pair(&sides, "cold", self.rounds.cold, |side, _| {
                sides.forget()?;
                time(&sides.daemons(), || sides.build(side))
            })?;
            lines.extend(table::seconds("cold", goal("≤ 0.40"), &pair, true));
        }
        // The last cold build forgot the other side.
        BOTH.into_iter().try_for_each(|side| sides.build(side))?;
        let timed = |side, _| time(&sides.daemons(), || sides.build(side));
        if self.wants(Row::Nothing) {
            let pair = self.pair(&sides, "nothing changed", self.rounds.warm, timed)?;
            lines.extend(table::seconds("nothing changed", goal("≤ 0.17"), &pair, true));
        }
        let overhead = if self.wants(Row::Overhead) { Some(self.overhead(&sides)?) } else { None };
        if self.wants(Row::Ready) {
            let pair = self.pair(&sides, "run to ready", self.rounds.warm, |side, _| {
                ready::once(&sides, side)
            })?;
            lines.extend(table::seconds("run → ready", goal(""), &pair, false));
        }
        let bytes = self.wants(Row::Size) || self.wants(Row::Line);
        let before = if bytes { Some(self.layers(&sides)?) } else { None };
        if let (Some([ours, other]), true) = (&before, self.wants(Row::Size)) {
            let size = images::size;
            lines.push(table::bytes("size, all layers", goal(""), size(ours), size(other)));
            let above = images::above_base;
            let what = "layers above the base, compressed";
            lines.push(table::bytes(what, goal("≤ 0.75"), above(ours), above(other)));
        }
        if self.wants(Row::Line) {
            let pair = self.pair(&sides, "one line", self.rounds.warm, |side, round| {
                if side == Side::Ours {
                    sides.change_line(round)?;
                }
                timed(side, round)
            })?;
            lines.extend(table::seconds("one line of Python", goal("≤ 0.25"), &pair, true));
            let ([ours, other], after) = (before.unwrap_or_default(), self.layers(&sides)?);
            let push = images::to_push;
            let (ours, other) = (push(&ours, &after[0]), push(&other, &after[1]));
            lines.push(table::bytes("to push after one line", goal("≤ 0.50"), ours, other));
        }
        if self.wants(Row::Dependency) {
            let rounds = self.rounds.warm.min(PACKAGES.len());
            let pair = self.pair(&sides, "one dependency", rounds, |side, round| {
                if side == Side::Ours {
                    sides.add_dependency(PACKAGES[round])?;
                }
                timed(side, round)
            })?;
            lines.extend(table::seconds("one dependency added", goal(""), &pair, true));
        }
        let Sides { version, base, patch, .. } = &sides;
        Ok(report::EngineReport {
            name: format!("{} {version}", kind.title()),
            base: base.clone(),
            patch: patch.clone(),
            lines,
            overhead,
            load: report::load(),
        })
    }

    /// Both sides in turns.
    fn pair(
        &self,
        sides: &Sides<'_>,
        what: &str,
        rounds: usize,
        measure: impl Fn(Side, usize) -> anyhow::Result<measure::Sample>,
    ) -> anyhow::Result<Pair> {
        let mut pair = Pair::default();
        for round in 0..rounds {
            for side in BOTH {
                let sample = measure(side, round)?;
                let name = sides.folder(side);
                let name = name.file_name().unwrap_or_default().display();
                say(&format!("{what}, {} of {rounds}, {name}: {:.2} s", round + 1, sample.wall));
                if side == Side::Ours { &mut pair.ours } else { &mut pair.other }.push(sample);
            }
        }
        Ok(pair)
    }

    /// `xtask build` against the command that it prints.
    fn overhead(&self, sides: &Sides<'_>) -> anyhow::Result<Pair> {
        let mut pair = Pair::default();
        for round in 0..self.rounds.warm {
            pair.ours.push(time(&sides.daemons(), || sides.build(Side::Ours))?);
            pair.other.push(time(&sides.daemons(), || sides.build_directly())?);
            say(&format!("overhead, {} of {}", round + 1, self.rounds.warm));
        }
        Ok(pair)
    }

    fn layers(&self, sides: &Sides<'_>) -> anyhow::Result<[Vec<images::Layer>; 2]> {
        say("saving and compressing the layers");
        Ok([images::layers(self, sides, Side::Ours)?, images::layers(self, sides, Side::Design)?])
    }

    /// Runs a step in the top folder of the workflow.
    fn ask(&self, invocation: &Invocation) -> anyhow::Result<Answer> {
        let answer = self.runner.ask(invocation, Duration::from_secs(600))?;
        if answer.good() { Ok(answer) } else { Err(failed(invocation, &answer)) }
    }
}

/// The failure of a step, with what it printed last.
fn failed(invocation: &Invocation, answer: &Answer) -> anyhow::Error {
    let lines: Vec<String> =
        answer.stdout.lines().chain(answer.stderr.lines()).map(str::to_owned).collect();
    let mut help = vec!["its last lines:".to_owned()];
    let tail = crate::run::tail(&lines, 12);
    help.extend(tail.iter().map(|line| format!("  {}", shortened(line, 200))));
    let message = format!("measuring: failed: {}", shortened(&invocation.to_string(), 300));
    crate::failure::Failure { exit: Exit::Unexpected, message, help }.into()
}

const _: () = assert!(FULL.warm <= PACKAGES.len());
