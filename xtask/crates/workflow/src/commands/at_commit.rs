//! A commit instead of the work tree: its files are written to a separate folder, and everything
//! that a build reads is read there.

use image::config::{self, Workflow};
use process::failure::{Exit, Failure};
use process::state::{State, make_folder};
use source::context;
use source::git::{self, Repository};
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};

/// A workflow as a commit has it; its files are gone with this value.
pub struct AtCommit {
    workflow: Workflow,
    _written: Written,
}

/// The folder of those files.
struct Written(PathBuf);

impl Deref for AtCommit {
    type Target = Workflow;

    fn deref(&self) -> &Workflow {
        &self.workflow
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What everything that this writes begins with, below the folder of the state.
pub const NAME: &str = "commit-";

/// The top folder of the workflow that `folder` belongs to: in the work tree, or else in the `commit`.
///
/// # Errors
/// [`Exit::Usage`] if there is none, or an engine can't be told its path.
pub fn top(folder: &Path, commit: Option<&str>) -> anyhow::Result<PathBuf> {
    let found = config::top_of(folder);
    match commit {
        Some(commit) if config::find_top(folder).is_none() => {
            git::nearest(folder, commit, config::PATH)?.map_or(found, config::nameable)
        }
        _ => found,
    }
}

/// The workflow of the checkout `top` as the commit `name` has it: an id, a tag, a branch or what else git takes.
///
/// # Errors
/// [`Exit::Git`] for a commit that isn't here, or not all of it: what would be missing in the build
/// context is named; [`Exit::Usage`] for one without this workflow.
pub fn at_commit(top: &Path, name: &str) -> anyhow::Result<AtCommit> {
    let repository = Repository::open(top, Some(top), Some(name))?;
    let revision = repository.revision()?;
    let folder = State::of(top).folder.join(format!("{NAME}{}", std::process::id()));
    let written = Written(folder.clone());
    let _ = fs::remove_dir_all(&folder);
    make_folder(&folder)?;
    let exported = repository.export(&folder)?;
    let workflow = Workflow::at(top.to_owned(), revision.clone(), exported.root)?;
    let ignore = context::read_ignore(&workflow.root, &workflow.config.ignore_file, &[])?;
    let included = |path: &&String| ignore.verdict(path).included;
    let modules = exported.submodules.iter().filter(|path| ignore.reaches(path));
    let modules = modules.map(|path| format!("{path}: a submodule, which is another repository"));
    let missing = exported.missing.iter().filter(included);
    let missing = missing.map(|path| format!("{path}: kept by Git LFS, and not here"));
    let odd = exported.odd.iter().filter(included);
    let odd = odd.map(|path| format!("{path}: its name isn't UTF-8"));
    let mut help: Vec<String> = modules.chain(missing).chain(odd).collect();
    if !help.is_empty() {
        help.push(format!(
            "`git lfs fetch origin {revision}` brings what Git LFS keeps; with submodules, build in \
             a separate clone: `git clone --recurse-submodules`"
        ));
        let message = format!("building the commit {name}: not all of its files are in this clone");
        return Err(Failure { exit: Exit::Git, message, help }.into());
    }
    Ok(AtCommit { workflow, _written: written })
}
