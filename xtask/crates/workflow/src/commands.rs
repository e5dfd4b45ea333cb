//! One short driver for each command: reads the world, asks for a plan, runs it, reports.

use anyhow::Context as _;
use engine::lint::{self, Finding};
use image::config::Workflow;
use image::project::{self, Lack};
use source::context::{self, ContextFile};
use source::git::{self, Checkout};
use source::ignore::Ignore;
use std::path::Path;

pub mod build;
pub mod context_list;
pub mod dev;
pub mod doctor;
pub mod images;
pub mod label;
pub mod push;
pub mod release;
pub mod setup;
pub mod smoke_test;
pub mod squash;

/// The build context of the workflow at `top`.
///
/// # Errors
/// As [`context::read_ignore`] and [`context::files`].
pub fn build_context(top: &Path) -> anyhow::Result<(Ignore, Vec<ContextFile>)> {
    let ignore = context::read_ignore(top)?;
    let files = context::files(top, &ignore)?;
    Ok((ignore, files))
}

/// The state of the checkout, as git and the files of the build context tell it, and those files.
///
/// # Errors
/// As [`build_context`] and [`git::read`].
pub fn checkout(workflow: &Workflow) -> anyhow::Result<(Checkout, Vec<ContextFile>)> {
    let (ignore, files) = build_context(&workflow.top)?;
    let checkout = checkout_with(&workflow.top, &ignore, &files)?;
    Ok((checkout, files))
}

/// As [`checkout`], for a build context that was listed before.
///
/// # Errors
/// As [`git::read`].
pub fn checkout_with(
    top: &Path,
    ignore: &Ignore,
    files: &[ContextFile],
) -> anyhow::Result<Checkout> {
    let paths: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
    let includes = |path: &str| ignore.verdict(path).included;
    let context = git::Context { root: top, files: &paths, includes: &includes };
    git::read(top, Some(&context))
}

/// What the project in `app/` lacks for its production image.
///
/// # Errors
/// When the Dockerfile can't be read.
pub fn lacks(workflow: &Workflow, files: &[ContextFile]) -> anyhow::Result<Vec<Lack>> {
    let file = &workflow.config.prod.dockerfile;
    let text = std::fs::read_to_string(workflow.top.join(file));
    let text = text.with_context(|| format!("reading {file}"))?;
    let project = project::read(&workflow.top, &workflow.config.app.module, files);
    Ok(project::lacks(&project, &workflow.config, &text))
}

/// What an engine would do differently in the Dockerfiles of the workflow, each with its file.
///
/// # Errors
/// When one of them can't be read.
pub fn lint(workflow: &Workflow) -> anyhow::Result<Vec<(String, Finding)>> {
    let mut files = vec![&workflow.config.prod.dockerfile, &workflow.config.dev.dockerfile];
    files.dedup();
    let mut all = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(workflow.top.join(file));
        let text = text.with_context(|| format!("reading {file}"))?;
        all.extend(lint::lint(&text).into_iter().map(|finding| (file.clone(), finding)));
    }
    Ok(all)
}
