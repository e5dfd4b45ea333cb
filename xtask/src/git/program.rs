//! The same facts from a `git` program, for repositories that libgit2 can't read (reftable,
//! SHA-256, split or sparse index) or reads wrongly (filters, encodings, submodules).

use super::{ChangeKind, Context, Facts, git_failure, outer, prefix};
use crate::engine::find::on_path;
use crate::failure::{Exit, failure_help};
use crate::invocation::Invocation;
use crate::run::{Answer, QUESTION, Runner};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Asks the first `git` on `path`.
///
/// # Errors
/// [`Exit::Git`] naming `reason` when there is none, or when it fails.
pub(super) fn facts(
    folder: &Path,
    context: Option<&Context<'_>>,
    path: &str,
    reason: &str,
) -> anyhow::Result<Facts> {
    let Some(program) = on_path(path, "git").into_iter().next() else {
        return Err(failure_help(
            Exit::Git,
            format!(
                "reading git: {reason}: only the git program reads this rightly, and there is none on PATH"
            ),
            "install git (Debian: apt-get install git)",
        ));
    };
    let mut git = Git { program: program.display().to_string(), folder: folder.to_path_buf() };
    let top = PathBuf::from(git.line(&["rev-parse", "--show-toplevel"])?);
    git.folder.clone_from(&top);
    if !git.ask(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])?.good() {
        return Err(super::state::unborn());
    }
    let prefix = prefix(&top, context)?;
    let head = git.head_files(&prefix)?;
    if !prefix.is_empty() && !head.contains_key(&format!("{prefix}{}", crate::config::PATH)) {
        return Err(outer(&top, context));
    }
    let text = git.line(&["describe", "--tags", "--always", "--abbrev=12"])?;
    let short = git.line(&["rev-parse", "--short=12", "HEAD"])?;
    let branch = git.ask(&["symbolic-ref", "--quiet", "--short", "HEAD"])?;
    let url = git.ask(&["config", "--get", "remote.origin.url"])?;
    let tags = git.text(&[
        "for-each-ref",
        "--points-at=HEAD",
        "--format=%(refname:lstrip=2)",
        "refs/tags",
    ])?;
    let dirty = git.dirty()?;
    let changes = match context {
        Some(context) => git.changes(context, &prefix, &head)?,
        None => Vec::new(),
    };
    let time = git.line(&["log", "-1", "--no-show-signature", "--format=%ct"])?;
    Ok(Facts {
        describe: text.clone(),
        tag_in_reach: text != short,
        revision: git.line(&["rev-parse", "HEAD"])?,
        commit_time: time.parse().map_err(|_| git_failure("reading git: no commit time"))?,
        branch: branch.good().then(|| branch.stdout.trim_end().to_owned()),
        exact_tags: tags.lines().map(str::to_owned).collect(),
        remote_url: url
            .good()
            .then(|| url.stdout.trim_end().to_owned())
            .filter(|url| !url.is_empty()),
        shallow: git.line(&["rev-parse", "--is-shallow-repository"])? == "true",
        dirty,
        context: changes,
        index: top.join(git.line(&["rev-parse", "--git-path", "index"])?),
        top,
    })
}

struct Git {
    program: String,
    folder: PathBuf,
}

impl Git {
    fn ask(&self, words: &[&str]) -> anyhow::Result<Answer> {
        let invocation = Invocation::new(&self.program, words.iter().copied())
            .with_env("LC_ALL", "C")
            // Only reads: an index that another git is writing stays alone.
            .with_env("GIT_OPTIONAL_LOCKS", "0");
        let runner = Runner::quiet(&self.folder);
        runner.ask(&invocation, QUESTION)
    }

    fn text(&self, words: &[&str]) -> anyhow::Result<String> {
        let answer = self.ask(words)?;
        if answer.good() {
            return Ok(answer.stdout);
        }
        Err(git_failure(format!("asking git: `git {}`: {}", words.join(" "), answer.last_line())))
    }

    fn line(&self, words: &[&str]) -> anyhow::Result<String> {
        Ok(self.text(words)?.trim_end().to_owned())
    }

    /// Every file of HEAD below `prefix`, with its mode and object.
    fn head_files(&self, prefix: &str) -> anyhow::Result<BTreeMap<String, String>> {
        let mut words = vec!["ls-tree", "-r", "-z", "--full-tree", "HEAD"];
        if !prefix.is_empty() {
            words.extend(["--", prefix]);
        }
        let text = self.text(&words)?;
        let entries = text.split('\0').filter_map(|entry| entry.split_once('\t'));
        Ok(entries.map(|(what, path)| (path.to_owned(), what.to_owned())).collect())
    }

    /// Tracked files that differ from HEAD: `diff-index`, as `describe --dirty` asks.
    fn dirty(&self) -> anyhow::Result<Vec<(String, ChangeKind)>> {
        // Times alone are no difference; `status` looks at the contents where they differ.
        let text =
            self.text(&["status", "--porcelain=v1", "-z", "--untracked-files=no", "--no-renames"])?;
        let entries = text.split('\0').filter(|entry| entry.len() > 3);
        Ok(entries.map(|entry| (entry[3..].to_owned(), status_kind(&entry[..2]))).collect())
    }

    fn changes(
        &self,
        context: &Context<'_>,
        prefix: &str,
        head: &BTreeMap<String, String>,
    ) -> anyhow::Result<Vec<(String, ChangeKind)>> {
        let text = self.text(&[
            "diff",
            "--name-status",
            "-z",
            "--no-renames",
            "--no-ext-diff",
            "--ignore-submodules=none",
            "HEAD",
            "--",
        ])?;
        let mut words = text.split('\0');
        let mut changes: BTreeMap<String, ChangeKind> = BTreeMap::new();
        let files: BTreeSet<&str> = context.files.iter().map(String::as_str).collect();
        while let (Some(status), Some(path)) = (words.next(), words.next()) {
            let Some(below) = path.strip_prefix(prefix) else { continue };
            if !head.contains_key(path) {
                continue;
            }
            let inside =
                files.contains(below) || files.iter().any(|file| below_folder(file, below));
            match status {
                "D" if !inside && (context.includes)(below) => {
                    changes.insert(below.to_owned(), ChangeKind::Deleted)
                }
                "M" | "T" if inside => changes.insert(below.to_owned(), ChangeKind::Modified),
                _ => None,
            };
        }
        let index = self.text(&["ls-files", "-z", "-v"])?;
        let known: BTreeMap<&str, bool> = index
            .split('\0')
            .filter_map(|entry| {
                Some((
                    entry.get(2..)?,
                    entry.starts_with(|c: char| c == 'S' || c.is_ascii_lowercase()),
                ))
            })
            .collect();
        let submodules: Vec<&String> = head
            .iter()
            .filter(|(_, what)| what.starts_with("160000"))
            .map(|(path, _)| path)
            .collect();
        for file in context.files {
            let path = format!("{prefix}{file}");
            if head.contains_key(&path) {
                continue;
            }
            if submodules.iter().any(|submodule| below_folder(&path, submodule)) {
                self.in_submodule(&path, file, &submodules, &mut changes)?;
                continue;
            }
            let kind = if known.contains_key(path.as_str()) {
                ChangeKind::Added
            } else if self.ask(&["check-ignore", "--quiet", "--", &path])?.good() {
                ChangeKind::Ignored
            } else {
                ChangeKind::Untracked
            };
            changes.insert(file.clone(), kind);
        }
        self.unwatched(context, prefix, head, &known, &mut changes)?;
        // A submodule is named itself only where none of its files is: it has another commit.
        let all: Vec<String> = changes.keys().cloned().collect();
        changes.retain(|path, _| !all.iter().any(|other| below_folder(other, path)));
        Ok(changes.into_iter().collect())
    }

    /// A file of a submodule: unchanged where the submodule's own HEAD has it so.
    fn in_submodule(
        &self,
        path: &str,
        file: &str,
        submodules: &[&String],
        changes: &mut BTreeMap<String, ChangeKind>,
    ) -> anyhow::Result<()> {
        let Some(submodule) = submodules.iter().find(|submodule| below_folder(path, submodule))
        else {
            return Ok(());
        };
        let inner = Git { program: self.program.clone(), folder: self.folder.join(submodule) };
        let below = &path[submodule.len() + 1..];
        let words = [
            "status",
            "--porcelain=v1",
            "-z",
            "--ignored",
            "--untracked-files=all",
            "--no-renames",
            "--",
            below,
        ];
        let text = inner.text(&words)?;
        if let Some(entry) = text.split('\0').find(|entry| entry.len() > 3) {
            changes.insert(file.to_owned(), status_kind(&entry[..2]));
        }
        Ok(())
    }

    /// Files that git was told not to look at (`--assume-unchanged`, sparse checkouts), looked at.
    fn unwatched(
        &self,
        context: &Context<'_>,
        prefix: &str,
        head: &BTreeMap<String, String>,
        known: &BTreeMap<&str, bool>,
        changes: &mut BTreeMap<String, ChangeKind>,
    ) -> anyhow::Result<()> {
        for path in known.iter().filter(|(_, unwatched)| **unwatched).map(|(path, _)| *path) {
            let (Some(below), Some(what)) = (path.strip_prefix(prefix), head.get(path)) else {
                continue;
            };
            if !context.files.iter().any(|file| file == below) {
                if (context.includes)(below) {
                    changes.insert(below.to_owned(), ChangeKind::Deleted);
                }
                continue;
            }
            let object = self.line(&["hash-object", "--path", path, "--", path])?;
            if !what.ends_with(&object) {
                changes.insert(below.to_owned(), ChangeKind::Modified);
            }
        }
        Ok(())
    }
}

/// Whether `path` is below the folder `folder`.
fn below_folder(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// The two letters of `git status --porcelain` (git-status(1), "Short Format").
fn status_kind(letters: &str) -> ChangeKind {
    match letters {
        "??" => ChangeKind::Untracked,
        "!!" => ChangeKind::Ignored,
        _ if letters.contains('D') => ChangeKind::Deleted,
        _ if letters.starts_with('A') => ChangeKind::Added,
        _ => ChangeKind::Modified,
    }
}
