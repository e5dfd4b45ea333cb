//! The rows of one engine, in the order in which each finds what it needs.

use super::images::{self, Layer, Which};
use super::sides::{BOTH, Side, Sides};
use super::{Bench, PACKAGES, ready, report, roles, table};
use crate::cli::Row;
use crate::lab::Lab;
use crate::measure::{Pair, Sample, time};
use engine::EngineKind;
use process::notice::notice;

impl Bench<'_> {
    /// All rows of one engine that are asked for.
    pub(super) fn rows(&self, lab: &Lab, kind: EngineKind) -> anyhow::Result<report::EngineReport> {
        notice("making both sides, their bases and the services");
        let sides = Sides::new(self, lab, kind)?;
        let warm = self.rounds.warm;
        let mut lines = Vec::new();
        if self.wants(Row::Cold) {
            let pair = self.pair(&sides, "cold", self.rounds.cold, |side, _| {
                sides.forget()?;
                time(&sides.daemons(), || sides.force(side))
            })?;
            lines.extend(table::seconds("cold", &pair, true));
        }
        // The last cold build forgot the other side.
        BOTH.into_iter().try_for_each(|side| sides.force(side))?;
        let timed = |side, _| time(&sides.daemons(), || sides.build(side));
        if self.wants(Row::Nothing) {
            let pair = self.pair(&sides, "nothing changed", warm, timed)?;
            lines.extend(table::seconds("nothing changed", &pair, true));
            let forced = |side, _| time(&sides.daemons(), || sides.force(side));
            let pair = self.pair(&sides, "nothing changed, --force", warm, forced)?;
            lines.extend(table::seconds("nothing changed, `--force`", &pair, true));
        }
        let overhead = if self.wants(Row::Overhead) { Some(self.overhead(&sides)?) } else { None };
        if self.wants(Row::Ready) {
            let pair =
                self.pair(&sides, "run to ready", warm, |side, _| ready::once(&sides, side))?;
            lines.extend(table::seconds("run → ready", &pair, false));
        }
        if self.wants(Row::Roles) {
            lines.extend(roles::lines(&sides, self.rounds.cold)?);
        }
        let mut before = Vec::new();
        if self.wants(Row::Size) || self.wants(Row::Push) {
            notice("saving the images");
            for side in BOTH {
                let above = Which::AboveBase(sides.base_of(side));
                let which = if self.wants(Row::Size) { above } else { Which::None };
                before.push(images::layers(self, &sides, &sides.image(side), which)?);
            }
        }
        if let ([ours, other], true) = (&before[..], self.wants(Row::Size)) {
            let line = |what, of: fn(&[Layer]) -> u64| table::bytes(what, of(ours), of(other));
            lines.push(line("size, all layers", images::size));
            lines.push(line("layers above the base, compressed", images::above_base));
        }
        if self.wants(Row::Line) || self.wants(Row::Push) {
            let pair = self.pair(&sides, "one line", warm, |side, round| {
                if side == Side::Ours {
                    sides.change_line(round)?;
                }
                timed(side, round)
            })?;
            lines.extend(table::seconds("one line of Python", &pair, true));
        }
        if let ([ours, other], true) = (&before[..], self.wants(Row::Push)) {
            let push = |side, before: &[Layer]| {
                let which = Which::NewTo(before);
                let after = images::layers(self, &sides, &sides.image(side), which)?;
                anyhow::Ok(images::to_push(before, &after))
            };
            let (ours, other) = (push(Side::Ours, ours)?, push(Side::Design, other)?);
            let what = "to push after one line";
            lines.push(table::bytes(what, ours, other));
        }
        if self.wants(Row::Dependency) {
            let rounds = warm.min(PACKAGES.len());
            let pair = self.pair(&sides, "one dependency", rounds, |side, round| {
                if side == Side::Ours {
                    sides.add_dependency(PACKAGES[round])?;
                }
                timed(side, round)
            })?;
            lines.extend(table::seconds("one dependency added", &pair, true));
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
        measure: impl Fn(Side, usize) -> anyhow::Result<Sample>,
    ) -> anyhow::Result<Pair> {
        let mut pair = Pair::default();
        for round in 0..rounds {
            for side in BOTH {
                let sample = measure(side, round)?;
                let name = sides.folder(side);
                let name = name.file_name().unwrap_or_default().display();
                notice(&format!("{what}, {} of {rounds}, {name}: {:.2} s", round + 1, sample.wall));
                if side == Side::Ours { &mut pair.ours } else { &mut pair.other }.push(sample);
            }
        }
        Ok(pair)
    }

    /// `xtask build --force` against the command that it prints.
    fn overhead(&self, sides: &Sides<'_>) -> anyhow::Result<Pair> {
        let mut pair = Pair::default();
        for round in 0..self.rounds.warm {
            pair.ours.push(time(&sides.daemons(), || sides.force(Side::Ours))?);
            pair.other.push(time(&sides.daemons(), || sides.build_directly())?);
            notice(&format!("overhead, {} of {}", round + 1, self.rounds.warm));
        }
        Ok(pair)
    }
}
