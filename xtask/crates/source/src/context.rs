//! The build context: what the engine may copy, found before the engine is started. `build` shows
//! and checks it, `git` compares it with HEAD, `cargo xtask context PATH` explains it.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::fs::DirEntry;
use std::path::{Component, Path};

use crate::content::Stat;
use crate::ignore::{Folder, Ignore, IgnoreRule, IgnoreVerdict, RULES};
use process::disk;
use process::failure::{Exit, failure, failure_help};

/// The one ignore file that every engine reads.
pub const IGNORE_FILE: &str = ".dockerignore";

/// What this workflow keeps in a checkout, the copies of a build context among it: never part of
/// one.
const OWN: [&str; 2] = ["target", "xtask"];

/// One file of the build context. Folders are not listed: they enter with their files, or empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextFile {
    /// Relative to the root, `/` between components.
    pub path: String,
    /// Length in bytes; of a symbolic link, the length of its target's name.
    pub bytes: u64,
    pub kind: ContextEntryKind,
}

/// What an entry of the build context is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextEntryKind {
    File,
    /// A symbolic link; the link is copied, never its target.
    Symlink,
    /// A socket, a pipe or a device.
    Other,
}

/// Why a path is in the build context or not, for `cargo xtask context PATH`; Display is the
/// answer in words, one fact a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The path asked for, relative to the root.
    pub path: String,
    /// False when nothing has this name; the verdict is then what would be decided.
    pub exists: bool,
    /// A symbolic link above the path: it is copied itself, and nothing behind it.
    pub behind: Option<String>,
    /// The file that decides, `.dockerignore` or the project's own.
    pub ignore_file: String,
    /// What it decides about the path itself.
    pub verdict: IgnoreVerdict,
    /// The files of the build context at or below the path.
    pub files: Vec<ContextFile>,
}

/// Reads the ignore file `file` of `root`; of [`IGNORE_FILE`], having made sure that no other takes
/// its place for one of `dockerfiles`.
///
/// # Errors
/// [`Exit::Usage`] when it is missing, when an ignore file of one engine is there (Podman
/// prefers `.containerignore`, and `NAME.dockerignore` next to a Dockerfile replaces it), or when
/// a line is refused by [`Ignore::parse`].
pub fn read_ignore(root: &Path, file: &str, dockerfiles: &[&str]) -> anyhow::Result<Ignore> {
    // A project that names another one keeps both.
    if file == IGNORE_FILE {
        let replacing =
            |path: &str| [".dockerignore", ".containerignore"].map(|end| format!("{path}{end}"));
        let mut others = dockerfiles.iter().copied().flat_map(replacing);
        let first = Some(".containerignore".to_owned());
        let there = |path: &String| root.join(path).symlink_metadata().is_ok();
        if let Some(other) = first.filter(there).or_else(|| others.find(there)) {
            return Err(failure_help(
                Exit::Usage,
                format!("reading {file}: {other} would replace it on some engines"),
                format!(
                    "move what {other} has into {file} and remove it, or move {file} to docker/context.ignore \
                     and name that as ignore_file below [context] in docker/image.toml"
                ),
            ));
        }
    }
    let path = root.join(file);
    if !path.symlink_metadata().is_ok_and(|found| found.is_file()) {
        return Err(failure_help(
            Exit::Usage,
            format!("reading {file}: no such file in {}", root.display()),
            "without it the engine is sent everything, secrets and .git included; start one with \
             a line `*` and then a line `!NAME` for each thing that the image needs",
        ));
    }
    Ignore::parse(&disk::text(&path, file)?)
}

/// What is in `folder`, sorted by name; nothing when there is no such folder. A name that is not
/// UTF-8 comes with replacement characters.
fn entries(folder: &Path) -> anyhow::Result<Vec<(String, DirEntry)>> {
    let unread = |error| disk::failed("reading the folder", folder, &error);
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unread)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unread)?;
        found.push((entry.file_name().to_string_lossy().into_owned(), entry));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

/// Every file below `root` that enters the build context, sorted by path.
///
/// Folders that are excluded, and that no `!` pattern names anything in, are not read.
///
/// # Errors
/// [`Exit::Usage`] when the engines would not agree about a path, or cannot name it (control
/// characters, not UTF-8).
pub fn files(root: &Path, ignore: &Ignore) -> anyhow::Result<Vec<ContextFile>> {
    Ok(files_with_stats(root, ignore)?.into_iter().map(|(file, _)| file).collect())
}

/// As [`files`], each with what the file system said of it.
pub(crate) fn files_with_stats(
    root: &Path,
    ignore: &Ignore,
) -> anyhow::Result<Vec<(ContextFile, Stat)>> {
    let mut found = Vec::new();
    let mut visit = |entry: Option<(ContextFile, Stat)>, path: &str, here: &Folder| {
        let verdicts = RULES.map(|rule| ignore.included(here, rule));
        if let Some(other) = (1..RULES.len()).find(|&other| verdicts[other] != verdicts[0]) {
            return Err(disagreement(ignore, here, path, other));
        }
        found.extend(entry);
        Ok(())
    };
    walk(root, ignore, &RULES, &mut Vec::new(), &Folder::default(), &mut visit)?;
    found.sort_by(|a, b| a.0.path.cmp(&b.0.path));
    Ok(found)
}

/// The paths that an engine which follows `rule` copies from `root`.
pub fn copied_by(
    rule: IgnoreRule,
    root: &Path,
    ignore: &Ignore,
) -> anyhow::Result<BTreeSet<String>> {
    let mut paths = BTreeSet::new();
    let mut visit = |entry: Option<(ContextFile, Stat)>, _: &str, _: &Folder| {
        paths.extend(entry.map(|(file, _)| file.path));
        Ok(())
    };
    walk(root, ignore, &[rule], &mut Vec::new(), &Folder::default(), &mut visit)?;
    Ok(paths)
}

/// What [`walk`] calls.
type Visit<'a> = dyn FnMut(Option<(ContextFile, Stat)>, &str, &Folder) -> anyhow::Result<()> + 'a;

/// Calls `visit` for what is below the folder `path`, a folder before what it holds: with the entry
/// when one of `rules` includes it (`None` for a folder), and with what `ignore` says at its path.
fn walk(
    root: &Path,
    ignore: &Ignore,
    rules: &[IgnoreRule],
    path: &mut Vec<String>,
    above: &Folder,
    visit: &mut Visit<'_>,
) -> anyhow::Result<()> {
    for (name, found) in entries(&root.join(path.join("/")))? {
        path.push(name);
        if path.len() == OWN.len() && path.iter().zip(OWN).all(|(name, own)| name == own) {
            path.pop();
            continue;
        }
        let components: Vec<&str> = path.iter().map(String::as_str).collect();
        let here = ignore.below(above, &components);
        let joined = path.join("/");
        let included = rules.iter().any(|&rule| ignore.included(&here, rule));
        if included || ignore.reaches_into(&components) {
            if included {
                check_name(&joined)?;
            }
            let entry = entry(&joined, &found)?;
            let folder = entry.is_none();
            visit(entry.filter(|_| included), &joined, &here)?;
            if folder {
                walk(root, ignore, rules, path, &here, visit)?;
            }
        }
        path.pop();
    }
    Ok(())
}

/// What `found` at `path` is, or `None` for a folder.
fn entry(path: &str, found: &DirEntry) -> anyhow::Result<Option<(ContextFile, Stat)>> {
    let found = found.metadata();
    let found = found.map_err(|error| disk::failed("reading", Path::new(path), &error))?;
    let kind = match found.file_type() {
        kind if kind.is_dir() => return Ok(None),
        kind if kind.is_symlink() => ContextEntryKind::Symlink,
        kind if kind.is_file() => ContextEntryKind::File,
        _ => ContextEntryKind::Other,
    };
    let file = ContextFile { path: path.to_owned(), bytes: found.len(), kind };
    Ok(Some((file, Stat::from(&found))))
}

fn check_name(path: &str) -> anyhow::Result<()> {
    if path.contains(char::is_control) || path.contains(char::REPLACEMENT_CHARACTER) {
        return Err(failure_help(
            Exit::Usage,
            format!("listing the build context: {path:?} has a name that engines read differently"),
            "rename it, or exclude it in the ignore file",
        ));
    }
    Ok(())
}

fn disagreement(ignore: &Ignore, here: &Folder, path: &str, other: usize) -> anyhow::Error {
    let side = |rule| {
        let word = if ignore.included(here, rule) { "copy" } else { "leave out" };
        format!("{word} it ({})", ignore.decision(here, rule))
    };
    let docker = if other == 1 { "Docker 20.10" } else { "Docker 23 and later" };
    failure_help(
        Exit::Usage,
        format!(
            "listing the build context: Podman would {} and {docker} would {}: {path}",
            side(RULES[0]),
            side(RULES[other])
        ),
        "state the exception after the pattern that it is made from, and do not put back parts of \
         a folder that a pattern with `**` excludes",
    )
}

/// Why `path` (absolute or relative to `root`) is in the build context or not.
///
/// # Errors
/// [`Exit::Usage`] when the path is outside `root` or is `root`; those of [`files`].
pub fn explain(
    root: &Path,
    (ignore_file, ignore): (&str, &Ignore),
    path: &Path,
) -> anyhow::Result<Explanation> {
    let outside =
        || failure(Exit::Usage, format!("explaining {}: not below the root", path.display()));
    // A folder above it may be a link into the root; the file itself may be one that is copied.
    let real = || Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
    let components = below(root, path).or_else(|| below(root, &real()?)).ok_or_else(outside)?;
    let is_link = |path: &String| root.join(path).is_symlink();
    let behind = (1..components.len()).map(|n| components[..n].join("/")).find(is_link);
    let path = components.join("/");
    let below = format!("{path}/");
    let mut files = files(root, ignore)?;
    files.retain(|file| file.path == path || file.path.starts_with(&below));
    Ok(Explanation {
        ignore_file: ignore_file.to_owned(),
        exists: root.join(&path).symlink_metadata().is_ok(),
        verdict: match behind {
            None => ignore.verdict(&path),
            Some(_) => IgnoreVerdict::default(),
        },
        behind,
        files,
        path,
    })
}

/// The components of `path` below `root`; `None` if it is another place.
fn below(root: &Path, path: &Path) -> Option<Vec<String>> {
    let mut components = Vec::new();
    for component in path.strip_prefix(root).unwrap_or(path).components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) => components.push(name.to_string_lossy().into_owned()),
            Component::ParentDir if components.pop().is_some() => {}
            _ => return None,
        }
    }
    (!components.is_empty()).then_some(components)
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Explanation { path, ignore_file, verdict, files, .. } = self;
        if let Some(link) = &self.behind {
            return write!(
                f,
                "{path}: not in the build context: {link} is a symbolic link; the link is copied, and \
                 not what is behind it"
            );
        }
        let place = if verdict.included { "in" } else { "not in" };
        write!(f, "{path}: {place} the build context: ")?;
        match (verdict.line, &verdict.pattern) {
            (Some(line), Some(pattern)) => write!(f, "line {line} of {ignore_file}, {pattern}")?,
            _ => write!(f, "no line of {ignore_file} matches it")?,
        }
        if let Some(matched) = verdict.matched.as_ref().filter(|matched| *matched != path) {
            write!(f, ", matches {matched}")?;
        }
        if !self.exists {
            write!(f, "\n{path}: there is no such file now")?;
        }
        let single = files.len() == 1 && files[0].path == *path;
        if !files.is_empty() && !single {
            let bytes: u64 = files.iter().map(|file| file.bytes).sum();
            write!(f, "\n{path}: {} files of {bytes} bytes below it are in", files.len())?;
        }
        Ok(())
    }
}
