//! The row that needs no engine: git identity on a large repository.

use super::sides::remove;
use super::{Bench, failed};
use crate::measure::{Pair, time};
use anyhow::Context as _;
use process::invocation::Invocation;
use process::state::make_folder;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// How large a repository is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Commits, one after another.
    pub commits: u32,
    /// Tags, spread evenly over the commits.
    pub tags: u32,
    /// Files in the working tree.
    pub files: u32,
}

/// Writes the repository as `git fast-import` reads it: all files with the first commit, then one
/// changed file in each. The last tag is some commits back, so that there is something to count.
pub fn write_history(out: &mut impl Write, size: Size) -> std::io::Result<()> {
    let path = |file: u32| format!("d{:03}/f{file:06}.txt", file % 250);
    for commit in 1..=size.commits {
        let when = 1_600_000_000 + u64::from(commit) * 60;
        writeln!(out, "commit refs/heads/main\nmark :{commit}")?;
        writeln!(out, "committer Bench <bench@localhost> {when} +0000\ndata 0")?;
        if commit > 1 {
            writeln!(out, "from :{}", commit - 1)?;
        }
        let files =
            if commit == 1 { 0..size.files } else { commit % size.files..commit % size.files + 1 };
        for file in files {
            let text = format!("{file} in commit {commit}\n");
            writeln!(out, "M 100644 inline {}\ndata {}\n{text}", path(file), text.len())?;
        }
    }
    let step = (size.commits / size.tags).max(1);
    for tag in 0..size.tags {
        // One tag in ten is a tag object, as releases have.
        let at = tag * step + 1;
        if tag % 10 == 0 {
            writeln!(
                out,
                "tag v{tag}\nfrom :{at}\ntagger Bench <bench@localhost> 1600000000 +0000\ndata 0"
            )?;
        } else {
            writeln!(out, "reset refs/tags/v{tag}\nfrom :{at}\n")?;
        }
    }
    Ok(())
}

/// `xtask label` against git's own two commands.
///
/// # Errors
/// When the two don't say the same.
pub fn git(bench: &Bench<'_>, size: Size, rounds: usize) -> anyhow::Result<Pair> {
    // Outside of this checkout: `label` also looks for docker/image.toml in the folders above, and
    // would tell the labels of the checkout that it finds there.
    let folder = std::env::temp_dir().join(format!("xtask-bench-{}", std::process::id()));
    make_folder(&folder)?;
    let outcome = git_in(bench, &folder, size, rounds);
    remove(&folder)?;
    outcome
}

fn git_in(bench: &Bench<'_>, top: &Path, size: Size, rounds: usize) -> anyhow::Result<Pair> {
    let (folder, stream) = (top.join("repository"), top.join("history"));
    make_folder(&folder)?;
    let file = std::fs::File::create(&stream).context("writing the history")?;
    let mut out = BufWriter::new(file);
    write_history(&mut out, size).and_then(|()| out.flush()).context("writing the history")?;
    let inside = folder.display().to_string();
    let run = |invocation: &Invocation| {
        let answer = bench.runner.ask(invocation, HOUR)?;
        if answer.good() { Ok(answer.stdout) } else { Err(failed(invocation, &answer)) }
    };
    let git = |words: &[&str]| {
        run(&Invocation::new("git", ["-C", inside.as_str()].iter().chain(words).copied()))
    };
    git(&["init", "--quiet", "--initial-branch=main"])?;
    let import = "git -C \"$1\" fast-import --quiet <\"$2\"";
    let history = stream.display().to_string();
    run(&Invocation::new("sh", ["-c", import, "sh", &inside, &history]))?;
    git(&["pack-refs", "--all"])?;
    git(&["reset", "--quiet", "--hard", "main"])?;
    // Files as young as the index are read again by every git: let it grow older, and refresh it.
    std::thread::sleep(Duration::from_secs(2));
    git(&["status", "--porcelain"])?;
    let script = "git -C \"$1\" describe --tags --always --dirty --abbrev=12 && git -C \"$1\" rev-parse HEAD";
    let theirs = Invocation::new("sh", ["-c", script, "sh", &inside]);
    let ours = Invocation::new(&bench.xtask, ["label", "-C", &inside]);
    // A comparison of two different answers would mean nothing.
    let (said, expected) = (run(&ours)?, run(&theirs)?);
    if let Some(line) = expected.lines().find(|line| !said.contains(*line)) {
        anyhow::bail!("comparing with git: `xtask label` doesn't say {line}");
    }
    let mut pair = Pair::default();
    for _ in 0..rounds {
        pair.ours.push(time(&[], || run(&ours).map(|_| ()))?);
        pair.other.push(time(&[], || run(&theirs).map(|_| ()))?);
    }
    Ok(pair)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_has_all_commits_tags_and_files() {
        let mut out = Vec::new();
        write_history(&mut out, Size { commits: 50, tags: 20, files: 7 }).unwrap();
        let text = String::from_utf8(out).unwrap();
        let count = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
        assert_eq!(count("commit "), 50);
        assert_eq!(count("tag ") + count("reset refs/tags/"), 20);
        assert_eq!(count("M "), 7 + 49);
    }
}
