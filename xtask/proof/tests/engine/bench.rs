//! A fresh repository for one test, and words for what the tests ask.

use super::ended::Ended;
use super::program::program;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Podman or Docker.
pub fn engine() -> String {
    std::env::var("XTASK_TEST_ENGINE").expect("XTASK_TEST_ENGINE; `cargo xtask test --all` sets it")
}

pub fn on_podman() -> bool {
    engine() == "podman"
}

/// A copy of this repository with one commit. A test that fails takes its `dev` along, or those
/// after it would find it.
pub struct Repository {
    folder: TempDir,
    /// The engine's program: not always the first of its name on PATH.
    program: String,
}

impl Drop for Repository {
    fn drop(&mut self) {
        if std::thread::panicking() && self.path("docker/image.toml").exists() {
            let stopped = self.command(&["dev", "stop", "--volumes"]).status();
            eprintln!("after the failure: dev stop: {stopped:?}");
        }
    }
}

impl Repository {
    pub fn new() -> Repository {
        // The folder in which the tests were compiled, unless they were moved since.
        let source = std::env::var_os("XTASK_TEST_SOURCE").map(PathBuf::from);
        let here =
            || Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf();
        let source = source.unwrap_or_else(here);
        let mut repository =
            Repository { folder: tempfile::tempdir().unwrap(), program: String::new() };
        // As it is now, committed or not.
        let words = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let files = Command::new("git").args(words).current_dir(&source).output().unwrap();
        for file in String::from_utf8(files.stdout).unwrap().split_terminator('\0') {
            let (from, to) = (source.join(file), repository.path(file));
            if from.is_file() {
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                fs::copy(from, to).unwrap();
            }
        }
        repository.git(&["init", "--quiet", "--initial-branch=main", "."]);
        repository.commit("first");
        let script = repository.xtask(&["build", "--dry-run"]).good();
        let build = script.lines().find_map(|line| line.split_once(" build --")).unwrap().0;
        build.rsplit(' ').next().unwrap().clone_into(&mut repository.program);
        repository
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap()
    }

    pub fn write(&self, file: &str, text: &str) {
        fs::create_dir_all(self.path(file).parent().unwrap()).unwrap();
        fs::write(self.path(file), text).unwrap();
    }

    /// Replaces the one place where `from` stands.
    #[track_caller]
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let text = self.read(file);
        assert_eq!(text.matches(from).count(), 1, "{from:?} in {file}");
        self.write(file, &text.replace(from, to));
    }

    pub fn git(&self, words: &[&str]) -> String {
        let names = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
        let mut command = Command::new("git");
        command.args(names).args(words).current_dir(self.folder.path());
        Ended::from(command.output().unwrap()).good()
    }

    pub fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(words).args(["--engine", &engine()]).current_dir(self.folder.path());
        // The pipeline that the tests themselves run in is not that of this repository.
        command.env("XTASK_CI", "none").stdin(Stdio::null());
        command
    }

    /// As [`Repository::command`], with the engine's own loopback address: a Docker daemon of the
    /// tests has a separate network.
    pub fn xtask_inside(&self, words: &[&str]) -> Command {
        let Ok(network) = std::env::var("XTASK_TEST_NETWORK") else { return self.command(words) };
        let plain = self.command(words);
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={network}")).arg("--").arg(plain.get_program());
        command.args(plain.get_args()).current_dir(self.folder.path());
        command.env("XTASK_CI", "none").stdin(Stdio::null());
        command
    }

    /// A repository in another folder for the same engine.
    pub fn empty(&self, folder: TempDir) -> Repository {
        Repository { folder, program: self.program.clone() }
    }

    /// Another copy of the same commit, for changes that mustn't be seen here.
    pub fn twin(&self) -> Repository {
        let twin =
            Repository { folder: tempfile::tempdir().unwrap(), program: self.program.clone() };
        let from = format!("{}/.", self.folder.path().display());
        let words = ["--archive", &from, twin.folder.path().to_str().unwrap()];
        assert!(Command::new("cp").args(words).status().unwrap().success());
        twin
    }

    /// Runs a script of a dry run. What it starts with `cargo xtask` is this xtask: nothing is
    /// compiled.
    pub fn script(&self, text: &str) -> Ended {
        use std::os::unix::fs::PermissionsExt as _;
        let cargo = format!("#!/bin/sh\nshift\nexec '{}' \"$@\"\n", program().display());
        self.write("target/script/cargo", &cargo);
        let file = self.path("target/script/cargo");
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
        self.write("target/script/script.sh", text);
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", self.path("target/script").display());
        let mut command = Command::new("sh");
        command.arg(self.path("target/script/script.sh")).current_dir("/").env("PATH", path);
        command.stdin(Stdio::null()).output().unwrap().into()
    }

    pub fn xtask(&self, words: &[&str]) -> Ended {
        self.command(words).output().unwrap().into()
    }

    /// Builds, and gives the report.
    #[track_caller]
    pub fn build(&self, words: &[&str]) -> Value {
        let words = [&["build", "--format", "json"], words].concat();
        serde_json::from_str(&self.xtask(&words).good()).unwrap()
    }

    /// The engine itself, with the settings that our commands use.
    pub fn engine(&self, words: &[&str]) -> Ended {
        self.engine_command(words).output().unwrap().into()
    }

    /// As [`Repository::engine`], not yet started.
    pub fn engine_command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        let settings = self.path("target/xtask/containers.conf");
        if settings.is_file() {
            command.env("CONTAINERS_CONF", settings);
        }
        command.env("DOCKER_BUILDKIT", "1").args(words).current_dir(self.folder.path());
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command in an image, without a network.
    pub fn run(&self, image: &str, words: &[&str]) -> Ended {
        self.engine(&[&["run", "--rm", "--network", "none", image], words].concat())
    }

    pub fn inspect(&self, image: &str) -> Value {
        let text = self.engine(&["image", "inspect", image]).good();
        serde_json::from_str::<Value>(&text).unwrap()[0].clone()
    }

    /// The engine's own name for a local image.
    pub fn local(tag: &str) -> String {
        let prefix = if on_podman() { "localhost/" } else { "" };
        format!("{prefix}senex_trader:{tag}")
    }
}

/// The labels of a report that begin as those of the OCI specification do.
pub fn label(report: &Value, name: &str) -> String {
    let name = format!("org.opencontainers.image.{name}");
    report["labels"][name].as_str().unwrap_or_default().to_owned()
}

/// A list of changes as `KIND PATH` words.
pub fn changes(list: &Value) -> Vec<String> {
    let line = |change: &Value| format!("{} {}", change["kind"], change["path"]).replace('"', "");
    list.as_array().unwrap().iter().map(line).collect()
}
