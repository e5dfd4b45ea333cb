//! Compares the build context with the commit, and dates what differs.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use super::{Change, ChangeKind, Context, Source};

/// Whether there is a file or link, not a folder.
fn is_file(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|meta| !meta.is_dir())
}

/// The tracked files that differ, with paths relative to the context.
pub(super) fn of_checkout(
    changed: &[(String, ChangeKind)],
    below: &str,
    context: &Context<'_>,
) -> Vec<Change> {
    let files: HashSet<&str> = context.files.iter().map(String::as_str).collect();
    let mut all: Vec<Change> = changed
        .iter()
        .map(|(path, kind)| match path.strip_prefix(below) {
            Some(path) => Change {
                path: path.to_owned(),
                kind: *kind,
                in_context: files.contains(path)
                    || !is_file(&context.root.join(path)) && (context.includes)(path),
            },
            None => Change { path: outside(path, below), kind: *kind, in_context: false },
        })
        .collect();
    all.sort();
    all
}

/// A path that is not below the context, from the context's root.
fn outside(path: &str, below: &str) -> String {
    let shared = below
        .split_inclusive('/')
        .zip(path.split_inclusive('/'))
        .take_while(|(a, b)| a == b)
        .map(|(a, _)| a.len())
        .sum();
    "../".repeat(below[shared..].matches('/').count()) + &path[shared..]
}

/// The files of the context that differ from HEAD or are not in it, and those of HEAD that are
/// gone. `below` is the context's root below the top.
pub(super) fn of_context(
    source: &dyn Source,
    changed: &[(String, ChangeKind)],
    below: &str,
    context: &Context<'_>,
    program: Option<&Path>,
) -> anyhow::Result<Vec<Change>> {
    let mut kinds: BTreeMap<String, ChangeKind> = BTreeMap::new();
    let files: HashSet<&str> = context.files.iter().map(String::as_str).collect();
    let submodules = source.submodules();
    let mut inside: BTreeMap<&str, Vec<String>> = BTreeMap::new();

    // Git's suspects, and what git is told not to look at: the only files that need a real look.
    let suspects: BTreeSet<String> =
        changed.iter().map(|(path, _)| path.clone()).chain(source.hidden()).collect();
    let mut doubtful = Vec::new();
    for path in &suspects {
        let Some(name) = path.strip_prefix(below) else { continue };
        if submodules.contains(path) {
            let holds = |file: &&str| file.strip_prefix(name).is_some_and(|f| f.starts_with('/'));
            if files.iter().any(holds) || (context.includes)(name) {
                kinds.insert(name.to_owned(), ChangeKind::Modified);
            }
        } else if files.contains(name) {
            if source.in_head(path) {
                doubtful.push(path.clone());
            } else if source.in_index(path) {
                kinds.insert(name.to_owned(), ChangeKind::Added);
            }
        } else if source.in_head(path)
            && !is_file(&context.root.join(name))
            && (context.includes)(name)
        {
            kinds.insert(name.to_owned(), ChangeKind::Deleted);
        }
    }
    for (path, kind) in source.compare(&doubtful)? {
        kinds.insert(path[below.len()..].to_owned(), kind);
    }

    // What git does not track.
    let mut new = Vec::new();
    for name in context.files {
        let path = format!("{below}{name}");
        let within = |module: &&String| {
            path.strip_prefix(module.as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        if let Some(module) = submodules.iter().find(within) {
            inside.entry(module).or_default().push(path[module.len() + 1..].to_owned());
        } else if !source.in_index(&path) && !source.in_head(&path) {
            new.push(path);
        }
    }
    let ignored: HashSet<String> = source.ignored(&new)?.into_iter().collect();
    for path in new {
        let kind =
            if ignored.contains(&path) { ChangeKind::Ignored } else { ChangeKind::Untracked };
        kinds.insert(path[below.len()..].to_owned(), kind);
    }

    for (module, files) in inside {
        let name = module.strip_prefix(below).unwrap_or(module);
        for (path, kind) in of_submodule(source, name, module, &files, context, program)? {
            kinds.insert(path, kind);
        }
    }
    Ok(kinds.into_iter().map(|(path, kind)| Change { path, kind, in_context: true }).collect())
}

/// The same inside a submodule, compared with the submodule's own HEAD.
fn of_submodule(
    source: &dyn Source,
    name: &str,
    module: &str,
    files: &[String],
    context: &Context<'_>,
    program: Option<&Path>,
) -> anyhow::Result<Vec<(String, ChangeKind)>> {
    let folder = source.places().0.join(module);
    let prefixed = |path: &str| format!("{name}/{path}");
    if !folder.join(".git").exists() {
        return Ok(files.iter().map(|f| (prefixed(f), ChangeKind::Untracked)).collect());
    }
    let source = super::open(&folder, program)?;
    let includes = |path: &str| (context.includes)(&prefixed(path));
    let context = Context { root: &folder, files, includes: &includes };
    let changes = of_context(source.as_ref(), &source.changed()?, "", &context, program)?;
    Ok(changes.into_iter().map(|change| (prefixed(&change.path), change.kind)).collect())
}

/// The time of the newest of the files that differ, in seconds; none if none differs. A deletion
/// has no time of its own: it counts as old as the index.
pub(super) fn newest(root: &Path, changes: &[Change], index: &Path) -> Option<i64> {
    let time = |path: &Path| -> Option<i64> {
        let modified = path.symlink_metadata().ok()?.modified().ok()?;
        match modified.duration_since(std::time::UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_secs()).ok(),
            Err(before) => i64::try_from(before.duration().as_secs()).ok().map(|s| -s),
        }
    };
    changes
        .iter()
        .filter_map(|change| {
            let file = root.join(&change.path);
            if is_file(&file) || change.kind != ChangeKind::Deleted && file.exists() {
                time(&file)
            } else {
                time(index)
            }
        })
        .max()
}
