//! What a smoke test of the image takes, whole and with `--core`.

use super::sides::{Side, Sides};
use super::{Bench, report, table};
use crate::lab::Lab;
use crate::measure::{Pair, time};
use engine::EngineKind;
use process::notice::notice;

/// The heading of the section.
pub const HEAD: &str = "## The smoke test";

impl Bench<'_> {
    /// The section, for Podman.
    pub(super) fn smoke(&self, quick: bool) -> anyhow::Result<String> {
        let (version, pair) = self.in_lab(EngineKind::Podman, |lab| self.smoke_tests(lab))?;
        let option = if quick { " --quick" } else { "" };
        Ok(format!(
            "\n{HEAD}\n\nWritten by `cargo xtask bench{option} --only smoke` on {}, on Podman {version}: the image is \
             built, PostgreSQL and Redis are present. Medians of {}, in turns; load averages at the end {}.\n\n{}",
            report::now(),
            self.rounds.warm,
            report::load(),
            table::table("`smoke-test`", "`--core`", &table::seconds("all checks", &pair, false)),
        ))
    }

    fn smoke_tests(&self, lab: &Lab) -> anyhow::Result<(String, Pair)> {
        let sides = Sides::new(self, lab, EngineKind::Podman)?;
        sides.build(Side::Ours)?;
        let test = |words: &[&str]| time(&[], || sides.xtask(words).map(drop));
        let mut pair = Pair::default();
        for round in 1..=self.rounds.warm {
            pair.ours.push(test(&["smoke-test", "--quiet"])?);
            pair.other.push(test(&["smoke-test", "--quiet", "--core"])?);
            notice(&format!("smoke test {round}: {:?}", pair.ours.last()));
        }
        Ok((sides.version.clone(), pair))
    }
}
