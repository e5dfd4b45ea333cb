//! `context`: the files that enter the build, or why one path does or doesn't.

use super::at_commit::at_commit;
use super::build::PATIENCE;
use crate::cli;
use crate::world::World;
use image::config::Config;
use image::config::Workflow;
use process::failure::{Exit, failure_help};
use process::notice::notice;
use process::state::State;
use source::context::{self, ContextFile};
use source::secrets;
use std::path::Path;

/// The command.
///
/// # Errors
/// As [`super::snapshot`], and [`Exit::Check`] when a file looks like a secret.
pub fn run(world: &World, args: &cli::Context) -> anyhow::Result<()> {
    if let Some(path) = &args.path {
        return explain(world, &world.workflow()?, path);
    }
    let top = super::at_commit::top(&world.folder, args.commit.as_deref())?;
    let _lock = args.snapshot.then(|| State::of(&top).lock(PATIENCE)).transpose()?;
    match &args.commit {
        Some(commit) => list(world, &*at_commit(&top, commit)?, args),
        None => list(world, &world.workflow()?, args),
    }
}

/// Why `path` enters the build or doesn't.
fn explain(world: &World, workflow: &Workflow, path: &Path) -> anyhow::Result<()> {
    let Config { ignore_file, prod, dev, .. } = &workflow.config;
    let dockerfiles = [prod.dockerfile.as_str(), dev.dockerfile.as_str()];
    let ignore = context::read_ignore(&workflow.top, ignore_file, &dockerfiles)?;
    let path = world.folder.join(path);
    let mut answer = context::explain(&workflow.top, (ignore_file, &ignore), &path)?;
    // An application at the top has nothing that git ignores, and none what the image makes itself.
    let asks_git =
        workflow.config.app.prefix().is_empty() || !workflow.config.generated().is_empty();
    let ignored = match asks_git {
        true => super::snapshot(world, workflow, prod, false)?.checkout.ignored,
        false => std::collections::BTreeSet::new(),
    };
    let before = answer.files.len();
    answer.files.retain(|file| !ignored.contains(&file.path));
    let none = before > 0 && answer.files.is_empty();
    let text = match none {
        true => format!("{}: not in the build context: git ignores it", answer.path),
        false => answer.to_string().replace(context::IGNORE_FILE, ignore_file),
    };
    let json = serde_json::json!({
        "path": answer.path,
        "exists": answer.exists,
        "included": answer.verdict.included && !none,
        "line": answer.verdict.line,
        "pattern": answer.verdict.pattern,
        "files": answer.files.len(),
    });
    world.output.result(&format!("{text}\n"), &json)
}

/// The files that enter the build; with `--snapshot` copied for the engine.
fn list(world: &World, workflow: &Workflow, args: &cli::Context) -> anyhow::Result<()> {
    let config = &workflow.config;
    let variant = if args.dev { &config.dev } else { &config.prod };
    let snapshot = super::snapshot(world, workflow, variant, args.snapshot)?;
    let (files, sha256) = (&snapshot.files, snapshot.sha256());
    if let Some(expected) = args.expect.as_ref().filter(|expected| **expected != sha256) {
        let message = format!("copying the build context: it is {sha256}, not {expected}");
        let help = "a file was changed since; make the script again with `build --dry-run`";
        return Err(failure_help(Exit::Mismatch, message, help));
    }
    let bytes: u64 = files.iter().map(|file| file.bytes).sum();
    let mut text: String = files.iter().map(line).collect();
    text += &format!("{bytes:>10}  in {} files\n", files.len());
    let (purpose, rest): (Vec<_>, Vec<_>) =
        snapshot.left_out.iter().partition(|file| file.on_purpose);
    for (files, what) in [(purpose, "left out on purpose"), (rest, "left out by other rules")] {
        if !files.is_empty() {
            text += &format!("\ntracked files in app/, {what}:\n");
        }
        for file in files {
            text += &format!("            {} (line {}, {})\n", file.path, file.line, file.pattern);
        }
    }
    let warnings = snapshot.warnings(&workflow.root);
    warnings.iter().for_each(|warning| notice(&format!("warning: {warning}")));
    let list: Vec<_> = files
        .iter()
        .map(|file| serde_json::json!({ "path": file.path, "bytes": file.bytes }))
        .collect();
    let json = serde_json::json!({
        "bytes": bytes,
        "sha256": sha256,
        "files": list,
        "left_out": snapshot.left_out,
    });
    world.output.result(&text, &json)?;
    secrets::gate(&snapshot.contents, &config.allow_secrets)
}

fn line(file: &ContextFile) -> String {
    format!("{:>10}  {}\n", file.bytes, file.path)
}
