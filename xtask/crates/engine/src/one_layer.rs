//! How each engine makes one layer of all: the part of [`super::words`] for a squash.
//!
//! Podman does it itself. Docker has no such option (BuildKit accepts `--squash` and does
//! nothing): everything is copied into nothing. There `WORKDIR` in a Dockerfile would make a layer
//! more, an empty one; `commit` sets it without, but drops `SHELL`, so it comes in between.

use super::words::call;
use super::{Engine, EngineKind};
use process::files::FileChange;
use process::invocation::Invocation;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The repository of a squash's intermediate names, which last until it has ended.
pub const REPOSITORY: &str = "xtask/squash";

/// One squash, decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SquashPlan {
    /// The image ID of what is squashed.
    pub image: String,
    /// The local references that the result gets once it is verified.
    pub references: Vec<String>,
    /// What tells the intermediate names of this run from those of others.
    pub run: u32,
    /// Its working folder, if that isn't `/`.
    pub workdir: Option<String>,
    /// Its labels, without those that only a line of a Dockerfile can set.
    pub labels: BTreeMap<String, String>,
    /// The rest of its config as lines of a Dockerfile; only if the engine needs them.
    pub lines: Vec<String>,
    /// Where files for the engine are written.
    pub folder: PathBuf,
    pub iidfile: PathBuf,
    /// `TMPDIR` of the engine.
    pub tmp: PathBuf,
    /// The file that marks what Podman leaves behind as this checkout's.
    pub marker: PathBuf,
}

impl SquashPlan {
    /// The name of an intermediate image.
    pub fn name(&self, what: &str) -> String {
        format!("{REPOSITORY}:{}-{what}", self.run)
    }

    /// The name of the container that is between two of them.
    pub fn container(&self) -> String {
        format!("xtask-{}-squash", self.run)
    }
}

/// What makes the image of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SquashCommands {
    /// Folders and files that must be there first.
    pub prepare: Vec<FileChange>,
    /// What the engine is told; the last one writes the image ID.
    pub make: Vec<Invocation>,
    /// What takes the intermediate names away, whether it went well or not.
    pub tidy: Vec<Invocation>,
}

pub fn steps(engine: &Engine, plan: &SquashPlan) -> SquashCommands {
    let path = |file: &str| plan.folder.join(file).display().to_string();
    let context = path("context");
    let mut prepare = vec![
        FileChange::Folders(vec![plan.folder.join("context"), plan.tmp.clone()]),
        FileChange::Gone(plan.iidfile.clone()),
    ];
    let write =
        |file: &str, lines: Vec<String>| FileChange::Lines { lines, file: plan.folder.join(file) };
    match engine.kind {
        EngineKind::Podman => {
            prepare.push(FileChange::Present(plan.marker.clone()));
            let image = plan.image.trim_start_matches("sha256:");
            prepare.push(write("Dockerfile", vec![format!("FROM {image}")]));
            SquashCommands {
                prepare,
                make: vec![podman(engine, plan, &path("Dockerfile"), &context)],
                ..SquashCommands::default()
            }
        }
        EngineKind::Docker => {
            let [source, tree, folder] = ["source", "tree", "folder"].map(|what| plan.name(what));
            let copy = format!("COPY --from={source} / /");
            prepare.push(write("tree", vec!["FROM scratch".to_owned(), copy]));
            let base = plan.workdir.as_ref().map_or(&tree, |_| &folder);
            let lines = [&[format!("FROM {base}")], plan.lines.as_slice()].concat();
            prepare.push(write("config", lines));
            let mut make = vec![
                call(engine, ["tag", plan.image.as_str(), source.as_str()]),
                docker(engine, &path("tree"), &context, &["--tag", tree.as_str()]),
            ];
            let mut tidy = Vec::new();
            if let Some(workdir) = &plan.workdir {
                let name = plan.container();
                // Never started; the word is no command of it.
                make.push(call(
                    engine,
                    ["create", "--network", "none", "--name", name.as_str(), tree.as_str(), "/"],
                ));
                let change = format!("WORKDIR {workdir}");
                make.push(call(
                    engine,
                    ["commit", "--change", change.as_str(), name.as_str(), folder.as_str()],
                ));
                tidy.push(call(engine, ["rm", "--force", name.as_str()]));
                tidy.push(call(engine, ["image", "rm", folder.as_str()]));
            }
            let iidfile = plan.iidfile.display().to_string();
            let mut options = vec!["--iidfile".to_owned(), iidfile];
            for (name, value) in &plan.labels {
                options.extend(["--label".to_owned(), format!("{name}={value}")]);
            }
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            make.push(docker(engine, &path("config"), &context, &options));
            tidy.push(call(engine, ["image", "rm", tree.as_str()]));
            tidy.push(call(engine, ["image", "rm", source.as_str()]));
            SquashCommands { prepare, make, tidy }
        }
    }
}

fn podman(engine: &Engine, plan: &SquashPlan, file: &str, context: &str) -> Invocation {
    let secret = format!("id=checkout,src={}", plan.marker.display());
    let iidfile = plan.iidfile.display().to_string();
    let words = [
        "build",
        "--format=docker",
        "--pull=never",
        "--identity-label=false",
        "--squash-all",
        "--file",
        file,
        "--secret",
        &secret,
        "--iidfile",
        &iidfile,
        context,
    ];
    call(engine, words).with_env("TMPDIR", plan.tmp.display().to_string())
}

fn docker(engine: &Engine, file: &str, context: &str, options: &[&str]) -> Invocation {
    let words = ["build", "--progress=plain", "--file", file].into_iter();
    let made = call(engine, words.chain(options.iter().copied()).chain([context]));
    match engine.builder {
        // It is made of images that only the daemon has.
        Some(_) => made.with_env("BUILDX_BUILDER", "default"),
        None => made,
    }
}

/// The intermediate names of all squashes, `TAG` a line (Docker).
pub fn intermediate_images(engine: &Engine) -> Invocation {
    call(engine, ["image", "ls", "--format", "{{.Tag}}", REPOSITORY])
}

/// The containers of all squashes, `NAME` a line (Docker).
pub fn intermediate_containers(engine: &Engine) -> Invocation {
    call(
        engine,
        ["ps", "--all", "--filter", "name=^xtask-[0-9]+-squash$", "--format", "{{.Names}}"],
    )
}
