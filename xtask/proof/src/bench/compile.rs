//! What the first `cargo xtask` of a fresh clone compiles, and what of that is due to git2 and clap.

use super::programs::HOUR;
use super::sides::remove;
use super::{Bench, failed, report, table};
use crate::measure::{Pair, Sample, time};
use anyhow::Context as _;
use process::disk;
use process::invocation::Invocation;
use process::state::make_folder;
use std::fs;
use std::path::{Path, PathBuf};

/// The heading of the section.
pub const HEAD: &str = "## Compiling xtask";

impl Bench<'_> {
    /// The section.
    pub(super) fn compiled(&self, quick: bool) -> anyhow::Result<String> {
        let cargo = self.world.environment.variable("CARGO").unwrap_or("cargo");
        let words = ["tree", "--locked", "-p", "xtask", "-e", "normal,build", "--prefix", "none"];
        let tree = self.ask(&Invocation::new(cargo, words))?.stdout;
        let (empty, target) = (self.empty_main()?, self.state.folder.join("compiled"));
        let compile = |top: &Path, package: &str| -> anyhow::Result<Sample> {
            let manifest = top.join("Cargo.toml").display().to_string();
            let words = ["build", "--quiet", "--manifest-path", &manifest, "-p", package];
            let build = Invocation::new(cargo, words)
                .with_env("CARGO_TARGET_DIR", target.display().to_string());
            let sample = time(&[], || {
                let answer = self.runner.ask(&build, HOUR)?;
                if answer.good() { Ok(()) } else { Err(failed(&build, &answer)) }
            })?;
            remove(&target)?;
            Ok(sample)
        };
        let mut pair = Pair::default();
        for _ in 0..self.rounds.cold {
            pair.ours.push(compile(&self.workflow.top, "xtask")?);
            pair.other.push(compile(&empty, "empty")?);
        }
        let option = if quick { " --quick" } else { "" };
        Ok(format!(
            "\n{HEAD}\n\nWritten by `cargo xtask bench{option} --only compile` on {}: from an empty target folder, \
             {} crates with its own; compared with an empty program that has the same git2 and clap. Medians of {}, \
             in turns; load averages at the end {}.\n\n{}",
            report::now(),
            crates(&tree),
            self.rounds.cold,
            report::load(),
            table::table("xtask", "empty", &table::seconds("compiling", &pair, true)),
        ))
    }

    /// A program that does nothing, with our git2, clap and profile.
    fn empty_main(&self) -> anyhow::Result<PathBuf> {
        let (top, folder) = (&self.workflow.top, self.state.folder.join("empty"));
        make_folder(&folder.join("src"))?;
        let own = disk::text(&top.join("Cargo.toml"), "Cargo.toml")?;
        let (dependencies, profile) =
            own.split_once("[profile.dev]").context("Cargo.toml has no [profile.dev]")?;
        let same = dependencies
            .lines()
            .filter(|line| ["git2 = ", "clap = "].iter().any(|start| line.starts_with(start)));
        let manifest = format!(
            "[package]\nname = \"empty\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n{}\n\n\
             [profile.dev]{profile}",
            same.collect::<Vec<_>>().join("\n")
        );
        let write = |path: &str, text: &str| {
            fs::write(folder.join(path), text).with_context(|| format!("writing {path}"))
        };
        write("Cargo.toml", &manifest)?;
        write("src/main.rs", "fn main() {}\n")?;
        // The same versions; cargo leaves out what isn't asked for.
        write("Cargo.lock", &disk::text(&top.join("Cargo.lock"), "Cargo.lock")?)?;
        Ok(folder)
    }
}

/// Crates in what `cargo tree` prints; `(*)` marks one that stands there a second time.
fn crates(tree: &str) -> usize {
    let names =
        tree.lines().map(|line| line.trim_end_matches(" (*)")).filter(|line| !line.is_empty());
    names.collect::<std::collections::BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_counted_once() {
        assert_eq!(crates("xtask v0.1.0 (/x)\na v1.0.0\nb v2.0.0\na v1.0.0 (*)\n\n"), 3);
    }
}
