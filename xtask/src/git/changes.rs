//! Which files differ from HEAD: tracked ones, as git means it, and those of the build context,
//! whatever git thinks of them. What the index's times vouch for is not read.

use super::{ChangeKind, Context};
use anyhow::Context as _;
use git2::{
    Commit, Delta, DiffOptions, IndexEntryExtendedFlag, IndexEntryFlag, Repository, Status,
    StatusOptions, Tree,
};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

/// Tracked files that differ (by path below the work tree) and files of the build context that
/// differ (by path below its root).
type Both = (Vec<(String, ChangeKind)>, Vec<(String, ChangeKind)>);

/// Compares the work tree with `head`; `prefix` is the context's root below the work tree.
pub(super) fn read(
    repository: &Repository,
    head: &Commit<'_>,
    prefix: &str,
    context: Option<&Context<'_>>,
) -> anyhow::Result<Both> {
    let (known, unwatched) = index(repository)?;
    let mut options = StatusOptions::new();
    options.include_untracked(false).include_ignored(false).include_unmodified(false);
    let statuses =
        repository.statuses(Some(&mut options)).context("comparing the work tree with HEAD")?;
    let staged = Status::INDEX_NEW
        | Status::INDEX_MODIFIED
        | Status::INDEX_DELETED
        | Status::INDEX_TYPECHANGE
        | Status::CONFLICTED;
    let mut tracked = BTreeMap::new();
    for entry in statuses.iter() {
        let path = String::from_utf8_lossy(entry.path_bytes()).into_owned();
        // git doesn't look at the file; libgit2 does, for some of them.
        if !unwatched.contains(&path) || entry.status().intersects(staged) {
            tracked.insert(path, tracked_kind(entry.status()));
        }
    }
    let changes = match context {
        None => Vec::new(),
        Some(context) => {
            let tree = head.tree().context("reading the tree of HEAD")?;
            let index = (&known, &unwatched);
            of_context(repository, &tree, prefix, context, &tracked, index)?
        }
    };
    Ok((tracked.into_iter().collect(), changes))
}

/// The paths of the index, and those that git was told not to look at
/// (`update-index --assume-unchanged`, sparse checkouts).
fn index(repository: &Repository) -> anyhow::Result<(HashSet<String>, HashSet<String>)> {
    let index = repository.index().context("reading the index")?;
    let (mut known, mut unwatched) = (HashSet::new(), HashSet::new());
    for entry in index.iter() {
        let path = String::from_utf8_lossy(&entry.path).into_owned();
        let skipped = entry.flags_extended & IndexEntryExtendedFlag::SKIP_WORKTREE.bits() != 0;
        if skipped || entry.flags & IndexEntryFlag::VALID.bits() != 0 {
            unwatched.insert(path.clone());
        }
        known.insert(path);
    }
    Ok((known, unwatched))
}

fn tracked_kind(status: Status) -> ChangeKind {
    if status.intersects(Status::WT_DELETED | Status::INDEX_DELETED) {
        ChangeKind::Deleted
    } else if status.contains(Status::INDEX_NEW) {
        ChangeKind::Added
    } else {
        ChangeKind::Modified
    }
}

fn of_context(
    repository: &Repository,
    tree: &Tree<'_>,
    prefix: &str,
    context: &Context<'_>,
    tracked: &BTreeMap<String, ChangeKind>,
    (known, unwatched): (&HashSet<String>, &HashSet<String>),
) -> anyhow::Result<Vec<(String, ChangeKind)>> {
    let files: HashSet<String> =
        context.files.iter().map(|file| format!("{prefix}{file}")).collect();
    // What git says may differ, what it doesn't watch, and what is in HEAD only.
    let absent = |path: &&String| !files.contains(*path) && included(context, prefix, path);
    let doubtful: Vec<&String> = tracked
        .keys()
        .chain(unwatched)
        .filter(|path| files.contains(*path) || absent(path))
        .collect();
    let differing = compare(repository, tree, &doubtful)?;
    let mut changes = Vec::new();
    for (path, kind) in &differing {
        let in_head = tree.get_path(Path::new(path)).is_ok();
        if in_head && let Some(below) = path.strip_prefix(prefix) {
            changes.push((below.to_owned(), *kind));
        }
    }
    for (file, path) in context.files.iter().map(|file| (file, format!("{prefix}{file}"))) {
        if known.contains(&path) && !tracked.contains_key(&path) {
            continue;
        }
        if tree.get_path(Path::new(&path)).is_ok() {
            continue;
        }
        let kind = if known.contains(&path) {
            ChangeKind::Added
        } else if repository.status_should_ignore(Path::new(&path)).unwrap_or(false) {
            ChangeKind::Ignored
        } else {
            ChangeKind::Untracked
        };
        changes.push((file.clone(), kind));
    }
    Ok(changes)
}

/// Whether a path of the work tree would be in the build context.
fn included(context: &Context<'_>, prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|path| (context.includes)(path))
}

/// Compares the contents and modes of `paths` with `tree`, whatever the index says of them.
fn compare(
    repository: &Repository,
    tree: &Tree<'_>,
    paths: &[&String],
) -> anyhow::Result<Vec<(String, ChangeKind)>> {
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    let mut options = DiffOptions::new();
    options.disable_pathspec_match(true).ignore_submodules(true).include_typechange(true);
    for path in paths {
        options.pathspec(path.as_str());
    }
    let diff = repository
        .diff_tree_to_workdir(Some(tree), Some(&mut options))
        .context("comparing the work tree with HEAD")?;
    let mut found = Vec::new();
    for delta in diff.deltas() {
        let path = delta.new_file().path_bytes().or_else(|| delta.old_file().path_bytes());
        let path = String::from_utf8_lossy(path.unwrap_or_default()).into_owned();
        match delta.status() {
            Delta::Deleted => found.push((path, ChangeKind::Deleted)),
            Delta::Modified | Delta::Typechange => found.push((path, ChangeKind::Modified)),
            _ => {}
        }
    }
    Ok(found)
}
