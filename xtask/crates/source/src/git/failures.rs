//! Why a repository can't be read, and what to do about it.

use process::failure::{Exit, describe, failure_help};
use std::io::ErrorKind;
use std::path::Path;

const RESTORE: &str = "restore it from a backup, or clone the project again and copy your \
                       changes over";

/// The longest path that Linux takes, with its NUL.
const PATH_MAX: usize = 4096;
/// The bytes of `/.git/objects/00/…` for SHA-1, with a NUL.
const OBJECT: usize = 56;

/// Words of git and libgit2 with what is damaged if they say them, and what to do; the first
/// counts.
const DAMAGES: [(&[&str], &str); 5] = [
    (
        &["permission denied", "is locked"],
        "make the file readable for the user that runs this, and the folders that it is in",
    ),
    (
        &["index file", "the index", "read-index", "invalid data in index"],
        "the index is damaged: `rm \"$(git rev-parse --git-path index)\" && git reset` makes it again, \
         and leaves your files as they are",
    ),
    (&["config"], "mend that file: `git config --edit` opens it"),
    (
        &["object", "inflate", "unable to read", "missing blob", "missing tree", "target", "pack"],
        "objects of the repository are missing or damaged: `git fsck --full` names them; \
         `git fetch --refetch` brings them from the remote, or clone the project again",
    ),
    (
        &["reference", "HEAD"],
        "a reference is damaged: `git fsck` names it; `git symbolic-ref HEAD refs/heads/BRANCH` mends \
         HEAD, `git fetch` other ones",
    ),
];

/// What git says of the repository of `folder`, with what to do about it; other failures as they
/// are.
pub(super) fn told(folder: &Path, error: anyhow::Error) -> anyhow::Error {
    let of_git = error.chain().any(|cause| cause.is::<git2::Error>());
    let (exit, help) = describe(&error);
    if !help.is_empty() || !(of_git || exit == Exit::Git) {
        return error;
    }
    let text = format!("{error:#}");
    let text = text.split("; class=").next().unwrap_or_default();
    let lower = text.to_lowercase();
    let says = |(words, _): &&(&[&str], &str)| {
        words.iter().any(|word| lower.contains(&word.to_lowercase()))
    };
    let message = format!("reading the repository of {}: {text}", folder.display());
    // libgit2 takes an object whose path is too long for one that is missing.
    if lower.contains("too long") || folder.as_os_str().len() + OBJECT > PATH_MAX {
        return failure_help(
            Exit::Usage,
            message,
            "its path is too long: move the checkout to a shorter path",
        );
    }
    let help = DAMAGES.iter().find(says).map_or("`git status` may say more", |(_, help)| help);
    failure_help(Exit::Git, message, help)
}

/// What a folder that is called `.git` lacks to be a repository (gitrepository-layout(5)).
fn lacks(git: &Path) -> Option<String> {
    ["HEAD", "objects", "refs"].iter().find_map(|name| match git.join(name).symlink_metadata() {
        Ok(_) => None,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Some(format!("it is damaged: it has no {name}"))
        }
        Err(error) => Some(error.to_string()),
    })
}

pub(super) fn no_repository(folder: &Path) -> anyhow::Error {
    if let Some(link) = folder.ancestors().map(|f| f.join(".git")).find(|link| link.is_file()) {
        return failure_help(
            Exit::Git,
            format!(
                "opening the repository: {} points to one that is no longer there",
                link.display()
            ),
            "if it was moved, run `git worktree repair` there; else clone the project again",
        );
    }
    let git = folder.ancestors().map(|f| f.join(".git")).find(|git| git.is_dir());
    if let Some((git, lacks)) = git.and_then(|git| Some((git.clone(), lacks(&git)?))) {
        return failure_help(
            Exit::Git,
            format!("opening the repository {}: {lacks}", git.display()),
            RESTORE,
        );
    }
    failure_help(
        Exit::Git,
        format!("looking for a git repository: none holds {}", folder.display()),
        "run this inside a checkout, or make one with `git init` and `git commit`",
    )
}

pub(super) fn unknown(top: &Path, commit: &str) -> anyhow::Error {
    failure_help(
        Exit::Git,
        format!("reading the commit {commit}: {} has none of that name", top.display()),
        "`git log --all` lists them; `git fetch --tags` brings those of the remote",
    )
}

pub(super) fn no_commit(top: &Path) -> anyhow::Error {
    failure_help(
        Exit::Git,
        format!("reading the version: {} has no commit yet", top.display()),
        "make one: `git add --all && git commit`",
    )
}

pub(super) fn bare(path: &Path) -> anyhow::Error {
    failure_help(
        Exit::Git,
        format!("reading the version: {} is a bare repository without files", path.display()),
        "run this in a clone of it: `git clone`",
    )
}

pub(super) fn foreign(folder: &Path) -> anyhow::Error {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let top = folder.ancestors().find(|f| f.join(".git").exists()).unwrap_or(&folder);
    failure_help(
        Exit::Git,
        format!("opening the repository {}: it belongs to another user", top.display()),
        format!(
            "if you trust it: `git config --global --add safe.directory {}`",
            process::invocation::quoted(&top.display().to_string())
        ),
    )
}
