//! The state of the git checkout, read once: which commit it is, what it is called, and which
//! files differ from it. git2's primitives (references, objects, index) do it without a `git`
//! program; where libgit2 can't read or reads wrongly, `program` asks git itself.

use crate::failure::{Exit, failure, failure_help};
use anyhow::Context as _;
use git2::Repository;
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};

mod changes;
mod describe;
mod program;
mod state;
#[cfg(test)]
mod tests;

/// The state of a checkout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkout {
    /// Top folder of the work tree.
    pub top: PathBuf,
    /// `git describe --tags --always --dirty --abbrev=12`.
    pub describe: String,
    /// The same, with `-dirty` also where only the build context differs.
    pub version: String,
    /// HEAD, all digits.
    pub revision: String,
    /// When HEAD was committed, seconds since 1970.
    pub commit_time: i64,
    /// The branch; `None` on a detached HEAD.
    pub branch: Option<String>,
    /// Tags that point at HEAD, sorted.
    pub exact_tags: Vec<String>,
    /// URL of the remote `origin`, without user and password.
    pub remote_url: Option<String>,
    /// Whether history was cut off by a shallow clone.
    pub shallow: bool,
    /// Tracked files that differ from HEAD.
    pub dirty: Vec<Change>,
    /// Files of the build context that differ from HEAD, or aren't in it.
    pub context_changes: Vec<Change>,
    /// The commit's time; where files differ, the newest change among them; seconds since 1970.
    pub created: i64,
    /// What the reader should know: a version that may be wrong.
    pub warnings: Vec<String>,
}

/// A file that differs from HEAD.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Relative to the top folder of the workflow (of the work tree where there is none).
    pub path: String,
    /// How it differs.
    pub kind: ChangeKind,
    /// Whether it is in the build context, or would be if it were there.
    pub in_context: bool,
}

/// How a file differs from HEAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// Other content or another mode.
    Modified,
    /// In HEAD, but not there.
    Deleted,
    /// In the index, not in HEAD.
    Added,
    /// Unknown to git.
    Untracked,
    /// Ignored by git, but in the build context.
    Ignored,
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ChangeKind::Modified => "modified",
            ChangeKind::Deleted => "deleted",
            ChangeKind::Added => "added",
            ChangeKind::Untracked => "untracked",
            ChangeKind::Ignored => "ignored",
        })
    }
}

/// The build context, as the caller listed it.
pub struct Context<'a> {
    /// Top folder of the workflow.
    pub root: &'a Path,
    /// Every file of the build context, relative to `root`, `/` between components.
    pub files: &'a [String],
    /// Whether a path relative to `root` would be in the build context.
    pub includes: &'a dyn Fn(&str) -> bool,
}

/// What both ways of reading find out; [`finished`] draws the conclusions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Facts {
    top: PathBuf,
    /// Without `-dirty`.
    describe: String,
    tag_in_reach: bool,
    revision: String,
    commit_time: i64,
    branch: Option<String>,
    exact_tags: Vec<String>,
    remote_url: Option<String>,
    shallow: bool,
    /// By path below `top`.
    dirty: Vec<(String, ChangeKind)>,
    /// By path below the context's root.
    context: Vec<(String, ChangeKind)>,
    index: PathBuf,
}

/// Reads the checkout that `folder` belongs to.
///
/// # Errors
/// [`Exit::Git`] without a repository, work tree or commit, for a repository of another owner or a
/// form that can't be read, and for a workflow that an outer repository doesn't know.
pub fn read(folder: &Path, context: Option<&Context<'_>>) -> anyhow::Result<Checkout> {
    let path = std::env::var("PATH").unwrap_or_default();
    read_with(folder, context, &path)
}

/// As [`read`]; `path` is where a `git` program is looked for.
fn read_with(folder: &Path, context: Option<&Context<'_>>, path: &str) -> anyhow::Result<Checkout> {
    let facts = match state::open(folder)? {
        state::Opened::Readable(repository) => own(&repository, context)?,
        state::Opened::Needs(reason) => program::facts(folder, context, path, &reason)?,
    };
    finished(facts, context)
}

fn own(repository: &Repository, context: Option<&Context<'_>>) -> anyhow::Result<Facts> {
    let top = state::work_tree(repository)?;
    let prefix = prefix(&top, context)?;
    let head = state::head(repository)?;
    if !prefix.is_empty() {
        let tracked = format!("{prefix}{}", crate::config::PATH);
        let tree = head.tree().context("reading the tree of HEAD")?;
        if tree.get_path(Path::new(&tracked)).is_err() {
            return Err(outer(&top, context));
        }
    }
    let tags = describe::Tags::read(repository)?;
    let text = describe::describe(repository, &tags, head.id())?;
    let (branch, exact_tags) = state::names(repository, head.id())?;
    let remote = repository.find_remote("origin").ok();
    let url =
        remote.as_ref().map(|remote| String::from_utf8_lossy(remote.url_bytes()).into_owned());
    let (dirty, context) = changes::read(repository, &head, &prefix, context)?;
    Ok(Facts {
        tag_in_reach: text != describe::abbreviated(repository, head.id())?,
        describe: text,
        revision: head.id().to_string(),
        commit_time: head.time().seconds(),
        branch,
        exact_tags,
        remote_url: url.filter(|url| !url.is_empty()),
        shallow: repository.is_shallow(),
        dirty,
        context,
        index: repository.path().join("index"),
        top,
    })
}

/// The path of the workflow below the work tree, with a `/` at its end; empty where they are one.
fn prefix(top: &Path, context: Option<&Context<'_>>) -> anyhow::Result<String> {
    let Some(context) = context else { return Ok(String::new()) };
    let root = context.root.canonicalize().context("reading the top folder")?;
    let top = top.canonicalize().context("reading the top folder of the work tree")?;
    let below = root.strip_prefix(&top).map_err(|_| outer(&top, Some(context)))?;
    let path = below.to_string_lossy().into_owned();
    Ok(if path.is_empty() { path } else { path + "/" })
}

fn outer(top: &Path, context: Option<&Context<'_>>) -> anyhow::Error {
    let root = context.map_or(top, |context| context.root);
    failure_help(
        Exit::Git,
        format!(
            "reading git: {} has no repository of its own, and the one around it at {} doesn't track it",
            root.display(),
            top.display()
        ),
        format!(
            "its version would be another project's: run `git init` and commit in {}, or commit it in the outer repository",
            root.display()
        ),
    )
}

/// The answer, from what was found.
fn finished(facts: Facts, context: Option<&Context<'_>>) -> anyhow::Result<Checkout> {
    let prefix = prefix(&facts.top, context)?;
    let in_context = |path: &str| {
        let below = path.strip_prefix(&prefix);
        context.is_some_and(|context| below.is_some_and(|path| (context.includes)(path)))
    };
    let mut dirty: Vec<Change> = facts
        .dirty
        .iter()
        .map(|(path, kind)| Change {
            path: relative(path, &prefix),
            kind: *kind,
            in_context: in_context(path),
        })
        .collect();
    dirty.sort_by(|a, b| a.path.cmp(&b.path));
    let mut changes: Vec<Change> = facts
        .context
        .into_iter()
        .map(|(path, kind)| Change { path, kind, in_context: true })
        .collect();
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    let dirty_mark = if dirty.is_empty() { "" } else { "-dirty" };
    let describe = format!("{}{dirty_mark}", facts.describe);
    let mark = if dirty.is_empty() && changes.is_empty() { "" } else { "-dirty" };
    let version = format!("{}{mark}", facts.describe);
    let root = context.map_or(facts.top.as_path(), |context| context.root);
    let differing = if context.is_some() { &changes } else { &dirty };
    let created = differing
        .iter()
        .map(|change| changed_at(&root.join(&change.path), change.kind, &facts.index))
        .max()
        .unwrap_or(facts.commit_time);
    let mut warnings = Vec::new();
    if facts.shallow && !facts.tag_in_reach {
        warnings.push(
            "the clone is shallow and no tag is in reach, so the version may be wrong; \
             `git fetch --unshallow --tags` brings the history"
                .to_owned(),
        );
    }
    Ok(Checkout {
        top: facts.top,
        describe,
        version,
        revision: facts.revision,
        commit_time: facts.commit_time,
        branch: facts.branch,
        exact_tags: facts.exact_tags,
        remote_url: facts.remote_url.map(|url| without_credentials(&url)),
        shallow: facts.shallow,
        dirty,
        context_changes: changes,
        created,
        warnings,
    })
}

/// A path of the work tree as seen from the workflow's top folder.
fn relative(path: &str, prefix: &str) -> String {
    match path.strip_prefix(prefix) {
        Some(below) => below.to_owned(),
        None => format!("{}{path}", "../".repeat(prefix.matches('/').count())),
    }
}

/// Seconds since 1970 at which a file got its content; of a deleted one, at which the index did,
/// so that asking twice gives the same.
fn changed_at(path: &Path, kind: ChangeKind, index: &Path) -> i64 {
    use std::os::unix::fs::MetadataExt as _;
    let path = if kind == ChangeKind::Deleted { index } else { path };
    path.symlink_metadata().map_or(0, |found| found.mtime())
}

/// A URL without the `user:password@` that `https://` ones may carry.
fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

fn git_failure(message: impl Into<String>) -> anyhow::Error {
    failure(Exit::Git, message)
}
