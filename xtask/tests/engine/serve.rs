//! The image at work: its web role with PostgreSQL and Redis beside it.

use super::bench::{Repository, on_podman};
use std::time::{Duration, Instant};

/// Containers that are removed whatever happens.
struct Containers<'a> {
    repository: &'a Repository,
    ids: Vec<String>,
}

impl Containers<'_> {
    #[track_caller]
    fn start(&mut self, words: &[&str]) -> String {
        let id = self.repository.engine(&[&["run", "--detach"], words].concat()).good();
        self.ids.push(id.clone());
        id
    }
}

impl Drop for Containers<'_> {
    fn drop(&mut self) {
        for id in self.ids.iter().rev() {
            let _ = self.repository.engine(&["rm", "--force", "--volumes", id]);
        }
    }
}

#[test]
fn the_designs_own_run_test_passes_without_any_service() {
    let repository = Repository::new();
    repository.build(&[]);
    let image = Repository::local("prod");
    let words = [
        "run",
        "--rm",
        "--network",
        "none",
        "-e",
        "SECRET_KEY=test-secret-key",
        "-e",
        "FIELD_ENCRYPTION_KEY=test-encryption-key",
        &image,
        "python",
        "manage.py",
        "check",
    ];
    let out = repository.engine(&words).good();
    assert!(out.contains("no issues"), "{out}");
}

#[test]
fn the_web_role_answers_with_postgresql_and_redis_beside_it() {
    let repository = Repository::new();
    repository.build(&[]);
    let services = repository.xtask(&["setup", "--services"]).good();
    let service = |name: &str| {
        let line = services.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().to_owned()
    };
    let mut containers = Containers { repository: &repository, ids: Vec::new() };
    // One network namespace for all: the names of services are the engines' own business.
    let database = containers.start(&[
        "--publish",
        "127.0.0.1::8000",
        "-e",
        "POSTGRES_USER=senex_trader",
        "-e",
        "POSTGRES_PASSWORD=word",
        "-e",
        "POSTGRES_DB=senex_trader",
        &service("postgres"),
    ]);
    let network = format!("container:{database}");
    containers.start(&["--network", &network, &service("redis")]);
    let image = Repository::local("prod");
    let environment = [
        "--network",
        &network,
        "-e",
        "SECRET_KEY=test-secret-key",
        "-e",
        "FIELD_ENCRYPTION_KEY=test-encryption-key",
        "-e",
        "DB_HOST=127.0.0.1",
        "-e",
        "DB_PASSWORD=word",
        "-e",
        "REDIS_URL=redis://127.0.0.1:6379/0",
        &image,
    ];
    let ask = "import urllib.request as r; a = r.urlopen('http://127.0.0.1:8000/health/'); print(a.status, a.read().decode())";
    let web = containers.start(&[&environment[..], &["web"]].concat());
    let answer = wait_for(&repository, &web, &["python", "-c", ask]);
    assert!(answer.starts_with("200 ") && answer.contains("\"healthy\""), "{answer}");
    wait_for(&repository, &web, &["/usr/local/lib/container/healthcheck"]);
    if on_podman() {
        // From the host, too.
        let port = repository.engine(&["port", &database, "8000/tcp"]).good();
        assert!(http(&port).starts_with("HTTP/1.1 200 "), "{}", http(&port));
    }
    for role in ["worker", "beat"] {
        let id = containers.start(&[&environment[..], &[role]].concat());
        wait_for(&repository, &id, &["/usr/local/lib/container/healthcheck"]);
    }
    // The service is the first process, and ends when it is asked to (B7).
    repository.engine(&["stop", "--time", "20", &web]).good();
    let code = repository.engine(&["inspect", "--format", "{{.State.ExitCode}}", &web]).good();
    assert!(code == "0" || code == "143", "{code}");
}

/// Asks in a container until the answer is good; at most two minutes, to catch a hang.
#[track_caller]
fn wait_for(repository: &Repository, id: &str, words: &[&str]) -> String {
    let start = Instant::now();
    loop {
        let ended = repository.engine(&[&["exec", id], words].concat());
        if ended.code == Some(0) {
            return ended.out;
        }
        if start.elapsed() > Duration::from_secs(120) {
            let logs = repository.engine(&["logs", id]);
            panic!("{words:?}: {}{}\nits log:\n{}{}", ended.out, ended.err, logs.out, logs.err);
        }
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// The beginning of what `/health/` answers at an address.
fn http(address: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /health/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}
