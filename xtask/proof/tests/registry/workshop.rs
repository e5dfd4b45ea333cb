//! A checkout to push from, the images to push, and what is looked for in everything that a push
//! leaves behind.

use super::bench::{engine, on_podman};
use super::ended::Ended;
use super::place::{basic, canary};
use super::program::program;
use super::proxy::token;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// No command here takes that long, on whatever machine.
const HANGS: Duration = Duration::from_secs(300);

/// A small repository with two commits, and an image of each.
pub struct Workshop {
    folder: TempDir,
    program: PathBuf,
    /// Image IDs: of the first commit, version 1.0.0; of the second, version 2.0.0.
    pub images: [String; 2],
}

impl Workshop {
    pub fn new() -> Workshop {
        let folder = tempfile::tempdir().unwrap();
        let mut workshop = Workshop { folder, program: PathBuf::new(), images: Default::default() };
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        for file in
            ["docker/image.toml", "docker/Dockerfile", "docker/Dockerfile.dev", ".gitignore"]
        {
            workshop.write(file, &fs::read_to_string(top.join(file)).unwrap());
        }
        workshop.git(&["init", "--quiet", "--initial-branch=main", "."]);
        let commits = ["first", "second"].map(|name| {
            workshop.git(&["add", "--all"]);
            workshop.git(&["commit", "--quiet", "--allow-empty", "--message", name]);
            workshop.git(&["rev-parse", "HEAD"])
        });
        workshop.find_engine();
        for (index, commit) in commits.iter().enumerate() {
            let version = format!("{}.0.0", index + 1);
            workshop.images[index] = workshop.image(commit, &version, 200_000);
        }
        workshop
    }

    /// Makes the second image one of so many bytes.
    pub fn enlarge(&mut self, bytes: usize) {
        self.images[1] = self.image(&self.git(&["rev-parse", "HEAD"]), "2.0.0", bytes);
    }

    /// Another checkout of the same commits, with the same images.
    pub fn clone_of(other: &Workshop) -> Workshop {
        let folder = tempfile::tempdir().unwrap();
        let from = format!("{}/.", other.folder.path().display());
        let words = ["--archive", &from, folder.path().to_str().unwrap()];
        assert!(Command::new("cp").args(words).status().unwrap().success());
        Workshop { folder, program: other.program.clone(), images: other.images.clone() }
    }

    /// The program and the settings that our commands use, as a refused push shows them.
    fn find_engine(&mut self) {
        let home = tempfile::tempdir().unwrap();
        let words = ["push", "no-such-image", "--registry", "r.example/x", "--verbose"];
        let ended = self.run(home.path(), &words);
        let line =
            ended.err.lines().find(|line| line.contains(" image inspect ")).expect(&ended.err);
        let before = line.split(" image inspect ").next().unwrap();
        self.program = before.rsplit(' ').next().unwrap().trim_start_matches("$ ").into();
    }

    /// Builds an image from nothing: `bytes` that nothing compresses, and labels.
    pub fn image(&self, revision: &str, version: &str, bytes: usize) -> String {
        let labels = ["revision", "version"].map(|name| {
            let value = if name == "revision" { revision } else { version };
            format!("--label=org.opencontainers.image.{name}={value}")
        });
        let labels = labels.each_ref().map(String::as_str);
        self.image_with(&labels, bytes)
    }

    /// As [`Workshop::image`], with these words for the build.
    pub fn image_with(&self, words: &[&str], bytes: usize) -> String {
        let context = tempfile::tempdir().unwrap();
        let mut random = fs::File::open("/dev/urandom").unwrap();
        let mut content = vec![0; bytes];
        std::io::Read::read_exact(&mut random, &mut content).unwrap();
        fs::write(context.path().join("content"), content).unwrap();
        fs::write(context.path().join("Dockerfile"), "FROM scratch\nCOPY content /content\n")
            .unwrap();
        let folder = context.path().display().to_string();
        let format: &[&str] = if on_podman() { &["--format=docker"] } else { &[] };
        let words = [&["build", "--quiet"], words, format, &[&folder]].concat();
        let id = self.engine(&words, None).good();
        let id = id.trim_start_matches("sha256:").to_owned();
        // Docker removes what has no name when a name of it is removed.
        let name = format!("localhost/xtask-test:{}", &id[..12]);
        self.engine(&["tag", &id, &name], None).good();
        format!("sha256:{id}")
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub fn write(&self, file: &str, text: &str) {
        fs::create_dir_all(self.path(file).parent().unwrap()).unwrap();
        fs::write(self.path(file), text).unwrap();
    }

    pub fn git(&self, words: &[&str]) -> String {
        let names = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
        let mut command = Command::new("git");
        command.args(names).args(words).current_dir(self.folder.path());
        Ended::from(command.output().unwrap()).good()
    }

    /// The engine itself, as the user of `home`.
    pub fn engine(&self, words: &[&str], home: Option<&Path>) -> Ended {
        let mut command = self.engine_command(words);
        if let Some(home) = home {
            as_user(&mut command, home);
        }
        command.output().unwrap().into()
    }

    /// The engine itself, with the settings that our commands use.
    pub fn engine_command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        let settings = self.path("target/xtask/containers.conf");
        if settings.is_file() {
            command.env("CONTAINERS_CONF", settings);
        }
        command.env("DOCKER_BUILDKIT", "1").args(words).stdin(Stdio::null());
        command.current_dir(self.folder.path());
        command
    }

    /// Our program, as the user of `home`.
    pub fn command(&self, home: &Path, words: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(words).args(["--engine", &engine()]).current_dir(self.folder.path());
        as_user(&mut command, home);
        command.stdin(Stdio::null());
        command
    }

    /// Runs our program; one that hangs is ended.
    pub fn run(&self, home: &Path, words: &[&str]) -> Ended {
        let mut command = self.command(home, words);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let kill = format!("kill -TERM {}", child.id());
        let (done, over) = channel::<()>();
        std::thread::spawn(move || {
            if over.recv_timeout(HANGS) == Err(RecvTimeoutError::Timeout) {
                let _ = Command::new("sh").args(["-c", &kill]).status();
            }
        });
        let output = child.wait_with_output().unwrap();
        drop(done);
        output.into()
    }

    /// Everything that was written below `target/xtask`, logs and records.
    pub fn records(&self) -> String {
        let mut text = String::new();
        let mut folders = vec![self.path("target/xtask")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                let kind = entry.file_type().unwrap();
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file() {
                    // One that is gone meanwhile holds nothing.
                    let bytes = fs::read(entry.path()).unwrap_or_default();
                    text += &String::from_utf8_lossy(&bytes);
                }
            }
        }
        text
    }
}

/// Makes a command that of the user whose home folder this is.
pub fn as_user(command: &mut Command, home: &Path) {
    for name in ["REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"] {
        command.env_remove(name);
    }
    command.env("HOME", home);
    // Podman 4.3.1 refuses to do anything if this folder holds no config.json.
    match on_podman() {
        true => command.env_remove("DOCKER_CONFIG"),
        false => command.env("DOCKER_CONFIG", home.join(".docker")),
    };
}

/// Whether a text holds the password, plain or as it is sent, or a token.
pub fn holds_secret(text: &str) -> bool {
    text.contains(canary()) || text.contains(&basic(canary())) || text.contains(&token())
}

/// Looks at the command line and the environment of every process, again and again.
pub struct Watch {
    ended: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<(usize, Vec<String>)>>,
}

impl Watch {
    pub fn start() -> Watch {
        let ended = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&ended);
        let thread = std::thread::spawn(move || {
            let (mut rounds, mut found) = (0, Vec::new());
            while !flag.load(Ordering::Relaxed) {
                rounds += 1;
                for entry in fs::read_dir("/proc").unwrap().flatten() {
                    for name in ["cmdline", "environ"] {
                        let bytes = fs::read(entry.path().join(name)).unwrap_or_default();
                        let text = String::from_utf8_lossy(&bytes);
                        // The password file's own maker has it as a word.
                        if holds_secret(&text) && !text.starts_with("htpasswd\0") {
                            found.push(text.replace('\0', " "));
                        }
                    }
                }
                std::thread::sleep(Duration::from_millis(150));
            }
            (rounds, found)
        });
        Watch { ended, thread: Some(thread) }
    }

    /// How often it looked, and what it found.
    pub fn end(mut self) -> (usize, Vec<String>) {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

/// Runs a command to its end and tells how long it took.
pub fn timed(mut command: Command) -> (Ended, Duration) {
    let start = Instant::now();
    let ended = command.output().unwrap().into();
    (ended, start.elapsed())
}
