//! The snapshot of a large build context, compared with git's time to look at the same files.

use super::sides::remove;
use super::{Bench, failed, report, table};
use crate::measure::{Pair, time};
use anyhow::Context as _;
use process::invocation::Invocation;
use process::state::make_folder;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// The heading of the section.
pub const HEAD: &str = "## The snapshot";

/// Only a hang takes longer.
const LIMIT: Duration = Duration::from_secs(600);

/// The parts of this repository that the project has, in addition to its many files.
const OURS: [&str; 4] = [".dockerignore", ".gitattributes", "docker", "app"];

impl Bench<'_> {
    /// The section of the snapshot; no engine is asked.
    pub(super) fn snapshot(&self, quick: bool) -> anyhow::Result<String> {
        let files = self.rounds.repository.files * 2;
        let folder = self.state.folder.join("context");
        make_folder(&folder)?;
        let outcome = self.snapshots(&folder, files);
        remove(&folder)?;
        let (lines, ratio) = outcome?;
        let option = if quick { " --quick" } else { "" };
        Ok(format!(
            "\n{HEAD}\n\nWritten by `cargo xtask bench{option} --only context` on {}: `cargo xtask context \
             --snapshot`, which is what `build` does before it starts an engine, for a project of {files} files more \
             than ours; compared with `git status` of the same files. Medians of {}, in turns; load averages at the end \
             {}.\n\n{}\nThe copies take {ratio:.2} times the bytes of the build context.\n",
            report::now(),
            self.rounds.warm,
            report::load(),
            table::table("snapshot", "git status", &lines),
        ))
    }

    fn snapshots(&self, folder: &Path, files: u32) -> anyhow::Result<(Vec<table::Line>, f64)> {
        let inside = folder.display().to_string();
        let run = |invocation: &Invocation| {
            let answer = self.runner.ask(invocation, LIMIT)?;
            if answer.good() { Ok(answer.stdout) } else { Err(failed(invocation, &answer)) }
        };
        let git = |words: &[&str]| {
            run(&Invocation::new("git", ["-C", inside.as_str()].iter().chain(words).copied()))
        };
        let top = self.workflow.top.display().to_string();
        let copy = "cd \"$1\" && to=$2 && shift 2 && cp -R \"$@\" \"$to\"";
        let words = ["-c", copy, "sh", top.as_str(), inside.as_str()];
        run(&Invocation::new("sh", words.iter().chain(&OURS).copied()))?;
        for number in 0..files {
            let place = folder.join(format!("app/data/d{:03}", number % 500));
            fs::create_dir_all(&place).context("making a folder")?;
            let text = format!("{number}\n").repeat(20);
            fs::write(place.join(format!("{number}.txt")), text).context("writing a file")?;
        }
        git(&["init", "--quiet", "--initial-branch=main"])?;
        git(&["add", "--all"])?;
        git(&[
            "-c",
            "user.name=b",
            "-c",
            "user.email=b@localhost",
            "commit",
            "--quiet",
            "-m",
            "x",
        ])?;
        let ours = Invocation::new(&self.xtask, ["context", "--snapshot", "-C", &inside]);
        let label = Invocation::new(&self.xtask, ["label", "-C", &inside]);
        let theirs = Invocation::new("git", ["-C", &inside, "status", "--porcelain"]);
        let mut rows = Vec::new();
        let mut measure = |ours, what: &str, before: &dyn Fn(usize) -> anyhow::Result<()>| {
            let mut pair = Pair::default();
            for round in 0..self.rounds.warm {
                before(round)?;
                pair.ours.push(time(&[], || run(ours).map(drop))?);
                pair.other.push(time(&[], || run(&theirs).map(drop))?);
            }
            rows.extend(table::seconds(what, &pair, true));
            anyhow::Ok(())
        };
        let state = folder.join("target/xtask");
        // Kept until the end: ext4 is slow to make files just after as many were removed.
        let kept = |round: usize| folder.join(format!("target/{round}"));
        measure(&ours, "first", &|round| match state.exists() {
            true => fs::rename(&state, kept(round)).context("keeping the copies"),
            false => Ok(()),
        })?;
        measure(&ours, "nothing changed", &|_| Ok(()))?;
        measure(&label, "nothing changed, without copies and list", &|_| Ok(()))?;
        let file = folder.join("app/data/d000/0.txt");
        measure(&ours, "one file changed", &|round| {
            fs::write(&file, format!("round {round}\n")).context("saving a file")
        })?;
        let json = ["context", "--format=json", "-C", &inside];
        let context: serde_json::Value =
            serde_json::from_str(&run(&Invocation::new(&self.xtask, json))?)
                .context("reading JSON")?;
        let bytes = context["bytes"].as_f64().unwrap_or_default();
        Ok((rows, bytes_below(&state.join("context"))? / bytes))
    }
}

/// The bytes of all files below a folder.
fn bytes_below(folder: &Path) -> anyhow::Result<f64> {
    let mut bytes = 0.0;
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let entry = entry?;
        let found = entry.metadata()?;
        // Bytes below 2^53 are exact.
        #[allow(clippy::cast_precision_loss)]
        let own = found.len() as f64;
        bytes += if found.is_dir() { bytes_below(&entry.path())? } else { own };
    }
    Ok(bytes)
}
