//! A small workflow in a temporary folder, and our program in it.

use super::ended::Ended;
use super::program::program;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A repository with this one's `docker/` and `.dockerignore` and one small file as the payload.
pub struct Checkout {
    folder: TempDir,
    /// The value of PATH for our program: `bin` of the folder, and what `sh` needs.
    pub path: String,
}

/// The repository that this test belongs to.
pub fn source(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(file)
}

impl Checkout {
    pub fn new() -> Checkout {
        let folder = tempfile::tempdir().unwrap();
        let path = format!("{}/bin:/usr/sbin:/sbin", folder.path().display());
        let checkout = Checkout { folder, path };
        for file in [
            ".dockerignore",
            ".gitignore",
            "docker/image.toml",
            "docker/Dockerfile",
            "docker/Dockerfile.dev",
        ] {
            checkout.write(file, &fs::read_to_string(source(file)).unwrap());
        }
        checkout.write("app/manage.py", "one = 1\n");
        checkout.write("app/pyproject.toml", "[project]\n");
        let packages = ["celery", "daphne", "gunicorn"];
        let lock = packages.map(|name| format!("[[package]]\nname = \"{name}\"\n")).concat();
        checkout.write("app/uv.lock", &lock);
        for file in ["asgi", "celery", "settings", "wsgi"] {
            checkout.write(&format!("app/senex_trader/{file}.py"), "STATIC_ROOT = \"/\"\n");
        }
        checkout.write("bin/.keep", "");
        checkout.link_programs();
        checkout.git(&["init", "--quiet", "--initial-branch=main", "."]);
        checkout.write(".git/info/exclude", "/bin/\n");
        checkout.git(&["add", "--all"]);
        checkout.git(&["commit", "--quiet", "--message", "first"]);
        checkout
    }

    /// What a machine without any engine still has.
    fn link_programs(&self) {
        for name in ["sh", "cat", "mkdir", "rm", "ln", "touch", "sed", "mv", "kill", "sleep", "env"]
        {
            let place = ["/usr/bin", "/bin"].map(|folder| PathBuf::from(folder).join(name));
            let program = place.iter().find(|path| path.exists());
            if let Some(program) = program {
                std::os::unix::fs::symlink(program, self.path(&format!("bin/{name}"))).unwrap();
            }
        }
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub fn write(&self, file: &str, text: &str) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A program in the checkout's own `bin`.
    pub fn program(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        self.write(&format!("bin/{name}"), script);
        let path = self.path(&format!("bin/{name}"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Puts git on PATH, which our program can do without.
    pub fn link_git(&self) {
        let git = Command::new("sh").args(["-c", "command -v git"]).output().unwrap().stdout;
        let git = String::from_utf8(git).unwrap();
        std::os::unix::fs::symlink(git.trim(), self.path("bin/git")).unwrap();
    }

    pub fn git(&self, words: &[&str]) -> String {
        let names = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
        let mut command = Command::new("git");
        let output =
            command.args(names).args(words).current_dir(self.folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    pub fn command(&self, words: &[&str]) -> Command {
        self.command_of(program(), words)
    }

    /// The program that `cargo xtask test` becomes.
    pub fn proof(&self, words: &[&str]) -> Ended {
        self.command_of(env!("CARGO_BIN_EXE_proof").into(), words).output().unwrap().into()
    }

    fn command_of(&self, program: PathBuf, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(words)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", self.path("home"))
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, words: &[&str]) -> Ended {
        self.command(words).output().unwrap().into()
    }
}
