//! Tests of git identity against the installed `git`.

mod edges;
mod mixed;
mod random;
mod states;
#[path = "../../../../proof/tests/it/tell.rs"]
mod tell;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use super::{Checkout, Context, Repository, Source as _, program};
use crate::snapshot;
use std::collections::BTreeMap;

/// A fresh repository in a temporary folder.
struct Sandbox {
    dir: tempfile::TempDir,
}

impl Sandbox {
    /// An empty repository in the folder `repo`.
    fn new() -> Self {
        let sandbox = Self { dir: tempfile::tempdir().unwrap() };
        std::fs::create_dir(sandbox.repo()).unwrap();
        sandbox.git(&["init", "-q", "-b", "main"]);
        sandbox
    }

    fn repo(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join("repo")
    }

    /// A `git` that sees no configuration of this machine.
    fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new("git");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GIT_") {
                command.env_remove(name);
            }
        }
        command.current_dir(folder).env("HOME", self.dir.path()).stdin(Stdio::null());
        command.env("GIT_CONFIG_NOSYSTEM", "1").env_remove("XDG_CONFIG_HOME");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "a").env(format!("GIT_{who}_EMAIL"), "a@b");
            command.env(format!("GIT_{who}_DATE"), "1700000000 +0000");
        }
        command
    }

    /// Runs git in the repository; what it prints, without the last line end.
    fn git(&self, arguments: &[&str]) -> String {
        self.git_in(&self.repo(), arguments)
    }

    fn git_in(&self, folder: &Path, arguments: &[&str]) -> String {
        let output = self.command(folder).args(arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {stderr}");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Git's version string. Asking for it may write the index, whose time counts for some
    /// states, so tests ask before they look.
    fn describe(&self, folder: &Path) -> String {
        self.git_in(folder, &["describe", "--tags", "--always", "--dirty", "--abbrev=12"])
    }

    fn write(&self, name: &str, content: &str) {
        let file = self.repo().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
    }

    /// Sets the time of the last change, in seconds.
    fn touch(&self, name: &str, seconds: u64) {
        let file = std::fs::File::options().append(true).open(self.repo().join(name)).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    }

    fn mtime(&self, name: &str) -> i64 {
        let time = self.repo().join(name).metadata().unwrap().modified().unwrap();
        i64::try_from(time.duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
    }

    /// Reads the checkout with the files below `root` that start with `prefix` as context,
    /// without the program.
    fn read_context(&self, root: &Path, prefix: &str) -> anyhow::Result<Checkout> {
        with_context(root, prefix, |context| read_with(root, Some(context), None))
    }

    /// The same, only with the program.
    fn read_with_program(&self, root: &Path, prefix: &str) -> anyhow::Result<Checkout> {
        let git = installed();
        let source = program::Program::open(&git, root, None)?;
        assert!(source.places().1.is_file());
        with_context(root, prefix, |context| {
            let source = Box::new(program::Program::open(&git, root, None)?);
            let program = Some(git.clone());
            let repository = Repository::of(source, program, Some(context.root), false)?;
            repository.compare(repository.facts("")?, Some(context), &BTreeMap::new())
        })
    }
}

fn read_with(
    folder: &Path,
    context: Option<&Context<'_>>,
    program: Option<&Path>,
) -> anyhow::Result<Checkout> {
    let source = super::open(folder, program, None)?;
    let root = context.map(|context| context.root);
    let repository = Repository::of(source, program.map(Path::to_owned), root, false)?;
    repository.compare(repository.facts("")?, context, &BTreeMap::new())
}

/// The installed `git`.
fn installed() -> PathBuf {
    program::find(std::env::var_os("PATH").as_deref()).unwrap()
}

/// The help that comes with an error, which must be one of git.
fn help(error: &anyhow::Error) -> String {
    let (exit, help) = process::failure::describe(error);
    assert_eq!(exit, process::failure::Exit::Git, "{error:#}");
    help.join("\n")
}

/// Calls `use_it` with the context of all files below `root` that start with `prefix`.
fn with_context<T>(root: &Path, prefix: &str, use_it: impl Fn(&Context<'_>) -> T) -> T {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() == ".git" {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
            let path =
                entry.path().strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            if !entry.file_type().unwrap().is_dir() && path.starts_with(prefix) {
                files.push(path);
            }
        }
    }
    let paths: Vec<&str> = files.iter().map(String::as_str).collect();
    let executable = super::rules(root, None).ok().and_then(|(_, executable)| executable);
    let files = snapshot::read(root, &paths, executable).unwrap();
    use_it(&Context {
        root,
        files: &files,
        includes: &|path| path.starts_with(prefix),
        reaches: &|path| path.starts_with(prefix),
        with_ignored: &|_| true,
    })
}
