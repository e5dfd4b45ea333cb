//! `context`: the files that enter the build, or why one path does or doesn't.

use crate::cli;
use crate::world::World;
use source::context::{self, ContextFile};
use source::secrets;

/// The command.
///
/// # Errors
/// As [`super::build_context`], and [`process::failure::Exit::Check`] when a file looks like a secret.
pub fn run(world: &World, args: &cli::Context) -> anyhow::Result<()> {
    let workflow = world.workflow()?;
    let (ignore, files) = super::build_context(&workflow.top)?;
    if let Some(path) = &args.path {
        let path = if path.is_absolute() { path.clone() } else { world.folder.join(path) };
        let answer = context::explain(&workflow.top, &ignore, &path)?;
        let json = serde_json::json!({
            "path": answer.path,
            "exists": answer.exists,
            "included": answer.verdict.included,
            "line": answer.verdict.line,
            "pattern": answer.verdict.pattern,
            "files": answer.files.len(),
        });
        return world.output.result(&format!("{answer}\n"), &json);
    }
    let bytes: u64 = files.iter().map(|file| file.bytes).sum();
    let mut text: String = files.iter().map(line).collect();
    text += &format!("{bytes:>10}  in {} files\n", files.len());
    let list: Vec<_> = files
        .iter()
        .map(|file| serde_json::json!({ "path": file.path, "bytes": file.bytes }))
        .collect();
    world.output.result(&text, &serde_json::json!({ "bytes": bytes, "files": list }))?;
    secrets::gate(&workflow.top, &files, &workflow.config.allow_secrets)
}

fn line(file: &ContextFile) -> String {
    format!("{:>10}  {}\n", file.bytes, file.path)
}
