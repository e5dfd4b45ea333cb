//! Both files of Compose, started by `docker compose` and `podman-compose`: the site answers what the
//! smoke test asks of it, and `down` leaves nothing.

use super::bench::{Repository, on_podman};
use super::ended::Ended;
use super::smoke::things;
use super::tell::tell;
use serde_json::{Value, json};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Asks each page, as a proxy that ends TLS would, until it is as it must be: while it starts, it
/// isn't. A redirect is an answer.
const ASK: &str = "
import json, sys, time, http.client
end = time.monotonic() + 300
for path, status, text in json.loads(sys.argv[1]):
    while True:
        try:
            site = http.client.HTTPConnection('127.0.0.1', 8000, timeout=10)
            site.request('GET', path, headers={'Host': 'localhost', 'X-Forwarded-Proto': 'https'})
            answer = site.getresponse()
            where = answer.getheader('Location') or ''
            found = answer.status, where + answer.read().decode()
        except OSError as error:
            found = 0, str(error)
        if found[0] == status and text in found[1]:
            break
        if time.monotonic() > end:
            sys.exit(f'{path}: {found}')
        time.sleep(0.2)
";

/// The work of a role shows in its log, in both images.
const WORK: [(&str, &str); 2] = [("worker", "ready."), ("beat", "beat: Starting")];

const LIMIT: Duration = Duration::from_secs(300);

struct Compose<'a> {
    repository: &'a Repository,
    file: &'a str,
    environment: Vec<(&'static str, String)>,
}

impl Compose<'_> {
    fn run(&self, words: &[&str]) -> Ended {
        let mut command = if on_podman() {
            let program = std::env::var_os("XTASK_TEST_PODMAN_COMPOSE");
            let mut command = Command::new(program.expect("`cargo xtask test` sets it"));
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
        // Apart from anything else here that has the project's own name.
        let project = format!("compose{}", std::process::id());
        command.args(["--project-name", &project, "--file", self.file]).args(words);
        command.envs(self.environment.iter().cloned()).stdin(Stdio::null());
        command.current_dir(self.repository.path(".")).output().unwrap().into()
    }

    /// What is asked of the site, and of worker and beat by their logs; an error says what isn't so.
    fn works(&self) -> Result<(), String> {
        let ended = self.run(&["exec", "-T", "web", "python", "-c", ASK, &pages(self.repository)]);
        if ended.code != Some(0) {
            return Err(format!("{}{}", ended.out, ended.err));
        }
        for (role, text) in WORK {
            let start = Instant::now();
            let log = || self.run(&["logs", role]);
            while !log().out.contains(text) {
                if start.elapsed() > LIMIT {
                    return Err(format!("{role}: {}", log().out));
                }
                std::thread::sleep(Duration::from_millis(500));
            }
        }
        Ok(())
    }

    /// Starts everything, looks at it, and takes it down, whatever was seen.
    fn check(&self) {
        let before = things(self.repository);
        // podman-compose has no `--wait`, and doesn't wait for health.
        let wait: &[&str] = if on_podman() { &[] } else { &["--wait", "--wait-timeout", "120"] };
        let started = self.run(&[&["up", "--detach"], wait].concat());
        let works = self.works();
        let logs = if works.is_ok() { String::new() } else { self.run(&["logs"]).out };
        let down = self.run(&["down", "--volumes"]);
        assert_eq!(works, Ok(()), "{}{}\n{logs}", started.out, started.err);
        assert_eq!(started.code, Some(0), "{}{}", started.out, started.err);
        assert_eq!(down.code, Some(0), "{}{}", down.out, down.err);
        assert_eq!(things(self.repository), before);
    }
}

/// The pages of the smoke test, and its health.
fn pages(repository: &Repository) -> String {
    let text = repository.read("app/tests/smoke.toml");
    let asked: Value = serde_json::to_value(toml::from_str::<toml::Table>(&text).unwrap()).unwrap();
    let smoke = &asked["smoke"];
    let page = |page: &Value| {
        json!([page["path"], page["status"].as_u64().unwrap_or(200), page["contains"]])
    };
    let health = ["live", "ready"].map(|name| json!({ "path": smoke["health"][name] }));
    let health = health.into_iter().map(|mut page| {
        page["contains"] = smoke["health"]["contains"].clone();
        page
    });
    let all: Vec<Value> = health.chain(smoke["http"].as_array().unwrap().iter().cloned()).collect();
    assert!(all.len() > 3, "{text}");
    Value::from(all.iter().map(page).collect::<Vec<_>>()).to_string()
}

/// Docker 20.10 of Debian comes without Compose; the group of Docker 26 has it.
fn left_to_docker26() -> bool {
    let asked = || Command::new("docker").args(["compose", "version"]).output();
    let missing = !on_podman() && !asked().is_ok_and(|output| output.status.success());
    if missing {
        tell("not run: this Docker has no Compose: the group docker26 has one");
    }
    missing
}

/// Images and a free port, for both files.
fn environment(repository: &Repository, tag: &str) -> Vec<(&'static str, String)> {
    let services = repository.xtask(&["setup", "--services"]).good();
    let service = |what: &str| {
        services.lines().find_map(|line| line.strip_prefix(what)).unwrap().trim().to_owned()
    };
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    vec![
        ("IMAGE", Repository::local(tag)),
        ("POSTGRES_IMAGE", service("postgres")),
        ("REDIS_IMAGE", service("redis")),
        ("PORT", port.to_string()),
    ]
}

#[test]
fn the_compose_file_of_production_starts() {
    if left_to_docker26() {
        return;
    }
    let repository = Repository::new();
    repository.build(&[]);
    for name in ["secret-key", "field-encryption-key", "db-password"] {
        let key = "c21va2UtdGVzdC1rZXktMzItYnl0ZXMtbG9uZy1vay4=";
        repository.write(&format!("docker/secrets/{name}"), key);
    }
    let environment = environment(&repository, "prod");
    Compose { repository: &repository, file: "docker/compose.yaml", environment }.check();
}

#[test]
fn the_compose_file_of_development_starts() {
    if left_to_docker26() {
        return;
    }
    let repository = Repository::new();
    repository.build(&["--dev"]);
    let mut environment = environment(&repository, "dev");
    let owner = Path::new(&repository.path("app")).metadata().unwrap();
    environment.push(("DEV_USER", format!("{}:{}", owner.uid(), owner.gid())));
    environment.push(("ALLOW_ROOT", "1".to_owned()));
    Compose { repository: &repository, file: "docker/compose.dev.yaml", environment }.check();
}
