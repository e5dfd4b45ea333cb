//! The two sides on one engine: a copy of this repository, and the design's files around the same
//! payload; how each is built, changed, and forgotten by the engine.

use super::design::{self, Edited};
use super::{Bench, failed};
use crate::lab::Lab;
use anyhow::Context as _;
use engine::EngineKind;
use process::invocation::{Invocation, quoted};
use process::run::Answer;
use process::state::{State, make_folder, write_whole};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long one step of a measurement may take: only a hang takes longer.
const HOUR: Duration = Duration::from_secs(3600);
/// The local names of the design's base and image.
const DESIGN_BASE: &str = "localhost/xtask-bench/base:design";
const DESIGN: &str = "localhost/xtask-bench/senex_trader:design";
/// What is added in the row with one line of Python.
const MODULE: &str = "trading/views.py";

/// Both sides, ready to be built by one engine.
pub struct Sides<'a> {
    bench: &'a Bench<'a>,
    lab: &'a Lab,
    kind: EngineKind,
    /// The engine's program with the settings in front, for a shell.
    prefix: String,
    /// `podman build …` as `build --dry-run` prints it.
    direct: String,
    /// The base of our side.
    pub base: String,
    pub version: String,
    /// The edits of the design's Dockerfile.
    pub patch: String,
    /// PostgreSQL and Redis.
    pub services: [String; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// This workflow.
    Ours,
    Design,
}

/// In the order in which each round runs them.
pub const BOTH: [Side; 2] = [Side::Ours, Side::Design];

impl<'a> Sides<'a> {
    /// Makes both folders, the bases and the services.
    pub fn new(bench: &'a Bench<'a>, lab: &'a Lab, kind: EngineKind) -> anyhow::Result<Sides<'a>> {
        let mut sides = Sides {
            bench,
            lab,
            kind,
            prefix: String::new(),
            direct: String::new(),
            base: String::new(),
            version: String::new(),
            patch: String::new(),
            services: [String::new(), String::new()],
        };
        sides.copy_ours()?;
        let made = sides.json(&["build"])?;
        let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
        sides.base = text(&made, "base");
        sides.version = text(&made, "engine_version");
        let services = sides.json(&["setup", "--services"])?;
        sides.services = [text(&services, "postgres"), text(&services, "redis")];
        let script = sides.json(&["build", "--dry-run"])?;
        let lines = script["commands"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let direct = lines.into_iter().find(|line| line.contains(" build --"));
        direct
            .context("looking for the build in the script of --dry-run")?
            .clone_into(&mut sides.direct);
        let prefix = sides.direct.split(" build --").next().unwrap_or_default();
        let tmp = State::of(&sides.folder(Side::Ours)).tmp().display().to_string();
        sides.prefix = prefix.replace(&format!("TMPDIR={} ", quoted(&tmp)), "");
        // The laboratory removes its containers with the settings that this machine needs.
        let settings = State::of(&sides.folder(Side::Ours)).folder.join("containers.conf");
        if settings.is_file() {
            fs::copy(&settings, bench.state.folder.join("containers.conf"))
                .context("copying the engine's settings")?;
        }
        sides.make_design()?;
        Ok(sides)
    }

    /// The top folder of a side.
    pub fn folder(&self, side: Side) -> PathBuf {
        let name = if side == Side::Ours { "ours" } else { "design" };
        self.bench.state.folder.join(format!("{name}-{}", self.kind))
    }

    /// The local name of a side's image.
    pub fn image(&self, side: Side) -> String {
        match side {
            Side::Ours => {
                let prefix = if self.kind == EngineKind::Podman { "localhost/" } else { "" };
                format!("{prefix}{}:prod", self.bench.workflow.config.image.name)
            }
            Side::Design => DESIGN.to_owned(),
        }
    }

    /// The local name of a side's base.
    pub fn base_of(&self, side: Side) -> &str {
        if side == Side::Ours { &self.base } else { DESIGN_BASE }
    }

    pub fn build(&self, side: Side) -> anyhow::Result<()> {
        match side {
            Side::Ours => self.xtask(&["build", "--quiet"]).map(|_| ()),
            Side::Design => self.build_design(),
        }
    }

    /// As [`Sides::build`], also if xtask finds nothing to do.
    pub fn force(&self, side: Side) -> anyhow::Result<()> {
        match side {
            Side::Ours => self.xtask(&["build", "--quiet", "--force"]).map(|_| ()),
            Side::Design => self.build_design(),
        }
    }

    /// What `xtask build` starts, without xtask.
    pub fn build_directly(&self) -> anyhow::Result<()> {
        self.ask(Invocation::new("sh", ["-c", self.direct.as_str()]), Side::Ours).map(|_| ())
    }

    fn build_design(&self) -> anyhow::Result<()> {
        // The design's own command, with its own cache of downloads.
        let words: &[&str] = match self.kind {
            EngineKind::Podman => &["build", "--layers", "-t", DESIGN, "."],
            EngineKind::Docker => &["build", "-t", DESIGN, "."],
        };
        self.engine(words).map(|_| ())
    }

    /// Changes one line of Python in both.
    pub fn change_line(&self, round: usize) -> anyhow::Result<()> {
        for file in [self.payload(Side::Ours), self.payload(Side::Design)] {
            let file = file.join(MODULE);
            let text =
                fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
            let kept = text.lines().filter(|line| !line.starts_with("ROUND = "));
            let kept: String = kept.map(|line| format!("{line}\n")).collect();
            write_whole(&file, &format!("{kept}ROUND = {round}\n"))?;
        }
        Ok(())
    }

    /// Adds one dependency to both.
    pub fn add_dependency(&self, name: &str) -> anyhow::Result<()> {
        self.uv(&["add", "--quiet", "--no-sync", "--project", "app", name])?;
        self.export()
    }

    /// Makes the engine forget both sides: images, cached layers and cache mounts. The bases and
    /// the services stay.
    pub fn forget(&self) -> anyhow::Result<()> {
        let mut kept = Vec::new();
        for name in [&self.base, DESIGN_BASE, &self.services[0], &self.services[1]] {
            let words = ["image", "inspect", "--format", "{{.Id}}", name];
            kept.push(id(&self.engine(&words)?.stdout));
        }
        for attempt in 0.. {
            let list = self.engine(&["images", "--all", "--quiet", "--no-trunc"])?.stdout;
            let gone: BTreeSet<String> =
                list.lines().map(id).filter(|id| !kept.contains(id)).collect();
            if gone.is_empty() {
                break;
            }
            if attempt == 3 {
                anyhow::bail!("forgetting the images: {} are still there", gone.len());
            }
            // An image that went with another one is no failure: the list is read again.
            let gone: Vec<&str> = gone.iter().map(String::as_str).collect();
            let _ = self.engine(&[&["image", "rm", "--force"], &gone[..]].concat());
        }
        if self.kind == EngineKind::Docker {
            self.engine(&["builder", "prune", "--all", "--force"])?;
        }
        for folder in [self.bench.cache.join("senex-xtask/cache-mounts"), self.design_tmp()] {
            remove(&folder)?;
        }
        make_folder(&self.design_tmp())
    }

    /// The engine itself, on this store.
    pub fn engine(&self, words: &[&str]) -> anyhow::Result<Answer> {
        self.engine_in(Side::Design, words)
    }

    /// As [`Sides::engine`], in the folder of a side.
    pub fn engine_in(&self, side: Side, words: &[&str]) -> anyhow::Result<Answer> {
        // The prefix is a shell's own words; ours are given to it as they are.
        let script = format!("{} \"$@\"", self.prefix);
        let words = ["-c", script.as_str(), "sh"].into_iter().chain(words.iter().copied());
        let tmp = self.design_tmp().display().to_string();
        self.ask(Invocation::new("sh", words).with_env("TMPDIR", tmp), side)
    }

    /// The bench's processes that work for the engine.
    pub fn daemons(&self) -> Vec<u32> {
        self.lab.processes()
    }

    fn design_tmp(&self) -> PathBuf {
        self.bench.state.folder.join(format!("design-tmp-{}", self.kind))
    }

    /// The folder of a side's application.
    pub fn payload(&self, side: Side) -> PathBuf {
        let folder = self.folder(side);
        if side == Side::Ours { folder.join("app") } else { folder }
    }

    /// This repository as it is now, with one commit.
    fn copy_ours(&self) -> anyhow::Result<()> {
        let (source, to) = (&self.bench.workflow.top, self.folder(Side::Ours));
        let words = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let files = self.bench.ask(&Invocation::new("git", words))?.stdout;
        copy(files.split_terminator('\0'), source, &to)?;
        let name = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"];
        let steps: [&[&str]; 3] = [
            &["init", "--quiet", "--initial-branch=main"],
            &["add", "--all"],
            &["commit", "--quiet", "--no-verify", "--message=bench"],
        ];
        for words in steps {
            let words = name.iter().chain(words).copied();
            self.ask(Invocation::new("git", words), Side::Ours)?;
        }
        Ok(())
    }

    fn make_design(&mut self) -> anyhow::Result<()> {
        make_folder(&self.design_tmp())?;
        let context = self.bench.state.folder.join(format!("base-{}", self.kind));
        make_folder(&context)?;
        let bundle = engine::machine::read(&self.bench.world.environment).ca_bundle;
        if let Some(bundle) = &bundle {
            fs::copy(bundle, context.join("bundle.crt")).context("copying the certificates")?;
        }
        write_whole(
            &context.join("Dockerfile"),
            &design::base_dockerfile(&self.base, bundle.is_some()),
        )?;
        let context = context.display().to_string();
        // In one layer on Podman: the images in between would be in the way of forgetting.
        let layers: &[&str] =
            if self.kind == EngineKind::Podman { &["--layers=false"] } else { &[] };
        self.engine(&[&["build"], layers, &["-t", DESIGN_BASE, &context]].concat())?;
        let line = "import sys; print('python%d.%d' % sys.version_info[:2])";
        let python = self.engine(&["run", "--rm", DESIGN_BASE, "python3", "-c", line])?.stdout;
        let folder = self.folder(Side::Design);
        let words = ["ls-files", "-z", "app"];
        let files = self.ask(Invocation::new("git", words), Side::Ours)?.stdout;
        let files = files.split_terminator('\0').filter_map(|file| file.strip_prefix("app/"));
        copy(files, &self.payload(Side::Ours), &folder)?;
        make_folder(&folder.join("docker"))?;
        let Edited { text, patch } =
            design::edit(design::DOCKERFILE, self.kind, DESIGN_BASE, python.trim());
        self.patch = patch;
        write_whole(&folder.join("Dockerfile"), &text)?;
        write_whole(&folder.join("docker/entrypoint.sh"), design::ENTRYPOINT)?;
        write_whole(&folder.join(".dockerignore"), design::IGNORE)?;
        self.export()
    }

    /// The design's requirements.txt: the same lock, without the development group.
    fn export(&self) -> anyhow::Result<()> {
        let words =
            ["export", "--quiet", "--frozen", "--no-dev", "--no-emit-project", "--project", "app"];
        let text = self.uv(&words)?.stdout;
        write_whole(&self.folder(Side::Design).join("requirements.txt"), &text)
    }

    fn uv(&self, words: &[&str]) -> anyhow::Result<Answer> {
        let uv = Invocation::new(&self.bench.uv, words.iter().copied())
            .with_env("UV_PYTHON_DOWNLOADS", "never");
        self.ask(uv, Side::Ours)
    }

    /// What one of our commands answers in JSON.
    pub fn json(&self, words: &[&str]) -> anyhow::Result<Value> {
        let answer = self.xtask(&[words, &["--format", "json", "--quiet"]].concat())?;
        serde_json::from_str(&answer.stdout).context("reading the answer of xtask")
    }

    /// One of our commands.
    pub fn xtask(&self, words: &[&str]) -> anyhow::Result<Answer> {
        let engine = ["--engine", self.kind.program()];
        let words = words.iter().copied().chain(engine);
        self.ask(Invocation::new(&self.bench.xtask, words), Side::Ours)
    }

    /// Runs a program in the folder of a side, in the laboratory.
    pub fn ask(&self, mut invocation: Invocation, side: Side) -> anyhow::Result<Answer> {
        invocation.env.extend(self.lab.env.iter().cloned());
        let cache = self.bench.cache.display().to_string();
        let uv = invocation.program == self.bench.uv;
        // uv keeps the user's cache: what it does is not what is measured.
        invocation.env.retain(|(name, _)| name != "XDG_CACHE_HOME");
        let invocation = if uv { invocation } else { invocation.with_env("XDG_CACHE_HOME", cache) };
        let mut runner = self.bench.runner.clone();
        runner.folder = self.folder(side);
        make_folder(&runner.folder)?;
        let answer = runner.ask(&invocation, HOUR)?;
        if answer.good() { Ok(answer) } else { Err(failed(&invocation, &answer)) }
    }
}

/// An image ID, which Podman prints with and without the name of its hash.
fn id(text: &str) -> String {
    text.trim().trim_start_matches("sha256:").to_owned()
}

fn copy<'f>(files: impl Iterator<Item = &'f str>, from: &Path, to: &Path) -> anyhow::Result<()> {
    for file in files {
        let (from, to) = (from.join(file), to.join(file));
        if from.is_file() {
            make_folder(to.parent().unwrap_or(&to))?;
            fs::copy(&from, &to).with_context(|| format!("copying {}", from.display()))?;
        }
    }
    Ok(())
}

/// Removes a folder that may not be there.
pub fn remove(folder: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", folder.display()))
        }
        _ => Ok(()),
    }
}
