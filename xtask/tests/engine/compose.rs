//! The compose files, started by `docker compose` and `podman-compose`.

use super::bench::{Repository, on_podman};
use super::ended::Ended;
use super::smoke::things;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Asks web for a page as a proxy that ends TLS would, until it has a text.
const ASK: &str = "
import sys, time, urllib.error, urllib.request
end, found = time.monotonic() + 30, 'nothing'
headers = {'X-Forwarded-Proto': 'https', 'Host': 'localhost'}
while time.monotonic() < end:
    try:
        request = urllib.request.Request('http://127.0.0.1:8000' + sys.argv[1], headers=headers)
        found = urllib.request.urlopen(request, timeout=5).read().decode()
    except OSError as error:
        found = str(error)
    if sys.argv[2] in found:
        sys.exit(0)
    time.sleep(0.2)
sys.exit(found)
";

/// A program that reads compose files with the engine of the tests, where there is one.
struct Compose<'a> {
    repository: &'a Repository,
    file: &'static str,
    environment: Vec<(&'static str, String)>,
}

impl Compose<'_> {
    fn run(&self, words: &[&str]) -> Ended {
        let file = self.repository.path(self.file);
        let mut command = if on_podman() {
            let program = std::env::var("XTASK_TEST_PODMAN_COMPOSE");
            let mut command = Command::new(program.expect("XTASK_TEST_PODMAN_COMPOSE"));
            let settings = self.repository.path("target/xtask/containers.conf");
            if settings.is_file() {
                command.env("CONTAINERS_CONF", settings);
            }
            command
        } else {
            let mut command = Command::new("docker");
            command.arg("compose");
            command
        };
        // Beside whatever else has the project's own name here.
        let project = format!("compose{}", std::process::id());
        command.args(["--project-name", &project, "--file", file.to_str().unwrap()]).args(words);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.repository.path(".")).stdin(Stdio::null());
        command.output().unwrap().into()
    }

    /// Starts everything; the pages come once the migrations are there.
    fn check(&self, pages: &[(&str, &str)]) {
        let before = things(self.repository);
        // podman-compose has no `--wait`, and doesn't wait for health.
        let wait: &[&str] = if on_podman() { &[] } else { &["--wait", "--wait-timeout", "120"] };
        let started = self.run(&[&["up", "--detach"], wait].concat());
        let page = |path: &str, text: &str| {
            let words = ["exec", "-T", "web", "python", "-c", ASK, path, text];
            let end = Instant::now() + Duration::from_secs(60);
            loop {
                let ended = self.run(&words);
                if ended.code == Some(0) || Instant::now() > end {
                    return ended;
                }
            }
        };
        // `--wait` takes a service that has ended, as `migrate` does, for one that failed; what it
        // says of the others shows by their pages.
        if started.code != Some(0) && !started.err.contains("migrate") {
            self.run(&["down", "--volumes"]);
            panic!("{}{}", started.out, started.err);
        }
        let asked: Vec<Ended> = pages.iter().map(|(path, text)| page(path, text)).collect();
        let health = ["exec", "-T", "worker", "/usr/local/lib/container/healthcheck"];
        let mut worker = self.run(&health);
        let end = Instant::now() + Duration::from_secs(60);
        while worker.code != Some(0) && Instant::now() < end {
            std::thread::sleep(Duration::from_secs(1));
            worker = self.run(&health);
        }
        let logs = self.run(&["logs"]);
        let down = self.run(&["down", "--volumes"]);
        for (ended, (path, _)) in asked.iter().zip(pages) {
            let what = format!("{path}: {}{}", ended.out, ended.err);
            assert_eq!(ended.code, Some(0), "{what}\n{}{}\n{}", logs.out, logs.err, started.err);
        }
        assert_eq!(worker.code, Some(0), "{}{}\n{}", worker.out, worker.err, logs.out);
        assert_eq!(down.code, Some(0), "{}{}", down.out, down.err);
        let left = things(self.repository).into_iter().filter(|thing| !before.contains(thing));
        assert_eq!(left.collect::<Vec<_>>(), [""; 0]);
    }
}

/// Docker 20.10 comes without compose; the group of Docker 26 has it.
fn without_compose() -> bool {
    let asked = || Command::new("docker").args(["compose", "version"]).output();
    let missing = !on_podman() && !asked().is_ok_and(|output| output.status.success());
    if missing {
        eprintln!("skipped: this Docker has no compose; the group docker26 runs this test");
    }
    missing
}

fn images(repository: &Repository) -> Vec<(&'static str, String)> {
    let services = repository.xtask(&["setup", "--services"]).good();
    let service = |what: &str| {
        services.lines().find_map(|line| line.strip_prefix(what)).unwrap().trim().to_owned()
    };
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    vec![
        ("POSTGRES_IMAGE", service("postgres")),
        ("REDIS_IMAGE", service("redis")),
        ("PORT", port.to_string()),
    ]
}

#[test]
fn the_compose_file_for_production_starts() {
    if without_compose() {
        return;
    }
    let repository = Repository::new();
    repository.build(&[]);
    let key = "c21va2UtdGVzdC1rZXktMzItYnl0ZXMtbG9uZy1vay4=";
    for name in ["secret_key", "field_encryption_key", "db_password"] {
        repository.write(&format!("docker/secrets/{name}"), key);
    }
    let mut environment = images(&repository);
    environment.push(("IMAGE", Repository::local("prod")));
    let compose = Compose { repository: &repository, file: "docker/compose.yaml", environment };
    compose.check(&[("/health/", "\"ok\""), ("/accounts/login/", "csrfmiddlewaretoken")]);
}

#[test]
fn the_compose_file_for_development_starts() {
    if without_compose() {
        return;
    }
    let repository = Repository::new();
    repository.xtask(&["build", "--dev"]).good();
    let mut environment = images(&repository);
    let owner = fs::metadata(repository.path("app")).unwrap();
    // Inside the containers of an ordinary user, that user is root.
    let (uid, gid) = if on_podman() { (0, 0) } else { (owner.uid(), owner.gid()) };
    environment.extend([
        ("DEV_IMAGE", Repository::local("dev")),
        ("APP_UID", uid.to_string()),
        ("APP_GID", gid.to_string()),
        ("ALLOW_ROOT", "1".to_owned()),
    ]);
    let compose = Compose { repository: &repository, file: "docker/compose.dev.yaml", environment };
    compose.check(&[("/health/", "\"ok\""), ("/accounts/login/", "csrfmiddlewaretoken")]);
}
