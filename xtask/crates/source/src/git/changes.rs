//! Compares the build context with the commit, and dates what differs.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::Path;

use super::expected::Expected;
use super::{Context, GITLINK, Source};
use crate::content::Content;

/// A file that differs from the commit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Change {
    /// Relative to the root of the context if there is one, else to the top of the work tree.
    pub path: String,
    pub kind: ChangeKind,
    pub in_context: bool,
}

/// How a file differs from the commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// Other content or permissions.
    Modified,
    /// In the commit only.
    Deleted,
    /// In the index, not in the commit.
    Added,
    /// Neither in the index nor in the commit.
    Untracked,
    /// Untracked, and git is told to ignore it.
    Ignored,
    /// A link that was a file, or the like.
    TypeChanged,
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Modified => "modified",
            Self::Deleted => "deleted",
            Self::Added => "added",
            Self::Untracked => "untracked",
            Self::Ignored => "ignored",
            Self::TypeChanged => "typechanged",
        })
    }
}
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
    let mut all: Vec<Change> = changed
        .iter()
        .map(|(path, kind)| match path.strip_prefix(below) {
            Some(path) => Change {
                path: path.to_owned(),
                kind: *kind,
                in_context: context.files.contains_key(path)
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

/// The files of HEAD below `below` that weren't read as part of the build context, sorted: whatever
/// is there by now, what was read is what the image is made of.
pub(super) fn absent(source: &dyn Source, below: &str, context: &Context<'_>) -> Vec<String> {
    let read: HashSet<&str> = context.files.keys().map(String::as_str).collect();
    let files = source.head().iter().filter(|(_, file)| file.mode != GITLINK);
    let names = files.filter_map(|(path, _)| path.strip_prefix(below));
    let mut names: Vec<String> =
        names.filter(|name| !read.contains(name)).map(str::to_owned).collect();
    names.sort();
    names
}

/// The files of the context that differ from HEAD or are not in it, and those of HEAD that are
/// gone: which of the `absent` ones would enter it. `below` is the context's root below the top.
pub(super) fn of_context(
    source: &dyn Source,
    expected: &Expected<'_>,
    changed: &[(String, ChangeKind)],
    below: &str,
    context: &Context<'_>,
    absent: &[String],
    program: Option<&Path>,
) -> anyhow::Result<Vec<Change>> {
    let mut kinds: BTreeMap<String, ChangeKind> = BTreeMap::new();
    let submodules = source.submodules();
    let mut inside: BTreeMap<&str, BTreeMap<String, Content>> = BTreeMap::new();
    let mut new = Vec::new();
    for (name, content) in context.files {
        let path =
            if below.is_empty() { Cow::from(name) } else { Cow::from(format!("{below}{name}")) };
        let within = |module: &&String| {
            path.strip_prefix(module.as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        if let Some(module) = submodules.iter().find(within) {
            let name = path[module.len() + 1..].to_owned();
            inside.entry(module).or_default().insert(name, content.clone());
        } else {
            match expected.differs(&path, content) {
                None => {}
                Some(ChangeKind::Untracked) => new.push(path.into_owned()),
                Some(kind) => drop(kinds.insert(name.clone(), kind)),
            }
        }
    }
    let ignored: HashSet<String> = source.ignored(&new)?.into_iter().collect();
    for path in new {
        let kind =
            if ignored.contains(&path) { ChangeKind::Ignored } else { ChangeKind::Untracked };
        kinds.insert(path[below.len()..].to_owned(), kind);
    }
    for name in absent.iter().filter(|name| (context.includes)(name)) {
        if !submodules.contains(&format!("{below}{name}")) {
            kinds.insert(name.clone(), ChangeKind::Deleted);
        }
    }
    for (path, _) in changed.iter().filter(|(path, _)| submodules.contains(path)) {
        let Some(name) = path.strip_prefix(below) else { continue };
        let holds =
            |file: &String| file.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
        if context.files.keys().any(holds) || (context.includes)(name) {
            kinds.insert(name.to_owned(), ChangeKind::Modified);
        }
    }
    for (path, link) in source.head().iter().filter(|(_, file)| file.mode == GITLINK) {
        let Some(name) = path.strip_prefix(below) else { continue };
        let now = head_of(source, path, program)?;
        // One that isn't checked out has no files; git may be told not to look at another commit.
        let kind = match (inside.contains_key(path.as_str()), now) {
            (false, _) if !(context.reaches)(name) => continue,
            (_, None) => ChangeKind::Deleted,
            (_, Some(now)) if now != link.id => ChangeKind::Modified,
            _ => continue,
        };
        kinds.insert(name.to_owned(), kind);
    }
    for (module, files) in inside {
        let name = module.strip_prefix(below).unwrap_or(module);
        for (path, kind) in of_submodule(source, name, module, &files, context, program)? {
            kinds.insert(path, kind);
        }
    }
    Ok(kinds.into_iter().map(|(path, kind)| Change { path, kind, in_context: true }).collect())
}

/// The commit that a submodule is at; `None` if it isn't checked out.
fn head_of(
    source: &dyn Source,
    module: &str,
    program: Option<&Path>,
) -> anyhow::Result<Option<String>> {
    let folder = source.places().0.join(module);
    if !folder.join(".git").exists() {
        return Ok(None);
    }
    super::open(&folder, program, None)?.now().map(Some)
}

/// The same inside a submodule, compared with the submodule's own HEAD.
fn of_submodule(
    source: &dyn Source,
    name: &str,
    module: &str,
    files: &BTreeMap<String, Content>,
    context: &Context<'_>,
    program: Option<&Path>,
) -> anyhow::Result<Vec<(String, ChangeKind)>> {
    let folder = source.places().0.join(module);
    let prefixed = |path: &str| format!("{name}/{path}");
    if !folder.join(".git").exists() {
        return Ok(files.keys().map(|f| (prefixed(f), ChangeKind::Untracked)).collect());
    }
    let mut source = super::open(&folder, program, None)?;
    source.list()?;
    let includes = |path: &str| (context.includes)(&prefixed(path));
    let reaches = |path: &str| (context.reaches)(&prefixed(path));
    let context = Context {
        root: &folder,
        files,
        includes: &includes,
        reaches: &reaches,
        with_ignored: &|_| true,
    };
    let source = source.as_ref();
    let all = || files.iter().map(|(path, content)| (path.clone(), content)).collect();
    let expected = Expected::of(source, &folder, &source.now()?, program, &all)?;
    let (changed, absent) = (source.changed()?, absent(source, "", &context));
    let changes = of_context(source, &expected, &changed, "", &context, &absent, program)?;
    Ok(changes.into_iter().map(|change| (prefixed(&change.path), change.kind)).collect())
}

/// The time of the newest of the files that differ, in seconds; none if none differs. A deletion
/// has no time, so it counts as old as the index.
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
