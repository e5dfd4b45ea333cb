//! What kind of repository this is, and whether libgit2 reads it rightly.

use super::git_failure;
use crate::failure::{Exit, failure_help};
use anyhow::Context as _;
use git2::{Commit, ErrorCode, Oid, Repository, RepositoryOpenFlags};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// A repository, or why git itself must be asked.
pub(super) enum Opened {
    Readable(Repository),
    Needs(String),
}

/// Opens the repository that `folder` is in.
pub(super) fn open(folder: &Path) -> anyhow::Result<Opened> {
    let none: [&OsStr; 0] = [];
    let opened = Repository::open_ext(folder, RepositoryOpenFlags::empty(), none);
    let repository = match opened {
        Ok(repository) => repository,
        Err(error) => return refused(folder, &error),
    };
    if repository.is_bare() {
        let message = format!(
            "reading git: {} is a bare repository, without files to build",
            folder.display()
        );
        return Err(failure_help(Exit::Git, message, "clone it, and run this in the clone"));
    }
    match unreadable(&repository)? {
        Some(reason) => Ok(Opened::Needs(reason)),
        None => Ok(Opened::Readable(repository)),
    }
}

fn refused(folder: &Path, error: &git2::Error) -> anyhow::Result<Opened> {
    let message = error.message();
    match error.code() {
        ErrorCode::NotFound => Err(failure_help(
            Exit::Git,
            format!("reading git: {} is in no git repository", folder.display()),
            "the version comes from git: run this in a checkout, or `git init` and commit",
        )),
        ErrorCode::Owner => {
            let top = top_above(folder);
            Err(failure_help(
                Exit::Git,
                format!("reading git: {} belongs to another user", top.display()),
                format!(
                    "if you trust it: git config --global --add safe.directory {}",
                    crate::invocation::quoted(&top.display().to_string())
                ),
            ))
        }
        // `extensions.refStorage`, `extensions.objectFormat` and what is still to come.
        _ if ["extension", "format", "version"].iter().any(|word| message.contains(word)) => {
            Ok(Opened::Needs(message.to_owned()))
        }
        _ => Err(git_failure(format!("reading git in {}: {message}", folder.display()))),
    }
}

/// The nearest folder at or above `folder` with a `.git` in it.
fn top_above(folder: &Path) -> PathBuf {
    let above = folder.ancestors().find(|folder| folder.join(".git").exists());
    above.unwrap_or(folder).to_path_buf()
}

/// Why libgit2 would read this repository wrongly, if it would.
fn unreadable(repository: &Repository) -> anyhow::Result<Option<String>> {
    let index = match repository.index() {
        Ok(index) => index,
        // A split index (`link`) or a sparse one (`sdir`).
        Err(error) => return Ok(Some(error.message().to_owned())),
    };
    let top = work_tree(repository)?;
    let mut attributes = vec![repository.commondir().join("info/attributes")];
    let config = repository.config().context("reading git's configuration")?;
    attributes.extend(config.get_path("core.attributesfile").ok());
    for entry in index.iter() {
        let path = String::from_utf8_lossy(&entry.path).into_owned();
        // A gitlink (mode 160000): libgit2 and git count its changes differently.
        if entry.mode == 0o160_000 && top.join(&path).join(".git").exists() {
            return Ok(Some(format!("the submodule {path}")));
        }
        if path == ".gitattributes" || path.ends_with("/.gitattributes") {
            attributes.push(top.join(path));
        }
    }
    for file in attributes {
        let text = std::fs::read(&file).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        for word in lines.flat_map(str::split_whitespace) {
            let driver = word.strip_prefix("filter=");
            // A driver that is not configured here does nothing, in git as in libgit2.
            let acts = driver.is_some_and(|name| {
                ["clean", "smudge", "process"]
                    .iter()
                    .any(|key| config.get_entry(&format!("filter.{name}.{key}")).is_ok())
            });
            if acts || word.starts_with("working-tree-encoding=") {
                return Ok(Some(format!("`{word}` in {}", file.display())));
            }
        }
    }
    Ok(None)
}

/// The top folder of the work tree.
pub(super) fn work_tree(repository: &Repository) -> anyhow::Result<PathBuf> {
    let top = repository.workdir().context("reading git: the repository has no work tree")?;
    // libgit2 gives it with a slash at its end.
    Ok(top.components().collect())
}

/// The commit that HEAD names.
pub(super) fn head(repository: &Repository) -> anyhow::Result<Commit<'_>> {
    let head = match repository.head() {
        Ok(head) => head,
        Err(error) if error.code() == ErrorCode::UnbornBranch => return Err(unborn()),
        Err(error) => return Err(git_failure(format!("reading HEAD: {}", error.message()))),
    };
    head.peel_to_commit().map_err(|error| git_failure(format!("reading HEAD: {}", error.message())))
}

/// The failure of a repository without a commit.
pub(super) fn unborn() -> anyhow::Error {
    let help = "commit something first: the labels name the commit that an image was built from";
    failure_help(Exit::Git, "reading git: there is no commit yet", help)
}

/// The branch, and the tags that point at HEAD.
pub(super) fn names(
    repository: &Repository,
    head: Oid,
) -> anyhow::Result<(Option<String>, Vec<String>)> {
    let branch = repository.head().ok().filter(git2::Reference::is_branch);
    let branch = branch.map(|head| String::from_utf8_lossy(head.shorthand_bytes()).into_owned());
    let mut tags = Vec::new();
    for reference in repository.references_glob("refs/tags/*").context("listing the tags")? {
        let reference = reference.context("listing the tags")?;
        if reference.peel_to_commit().is_ok_and(|commit| commit.id() == head) {
            tags.push(String::from_utf8_lossy(reference.shorthand_bytes()).into_owned());
        }
    }
    tags.sort();
    Ok((branch, tags))
}
