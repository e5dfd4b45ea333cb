//! `smoke-test` on the image as it is, and its leftovers.

use super::bench::{Repository, on_podman};
use super::ended::Ended;
use super::tell::tell;
use serde_json::Value;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Runs the smoke test and gives its exit code and its result. Docker's daemon is in another network than
/// this, as a remote engine is.
pub fn smoke(repository: &Repository, words: &[&str]) -> (Option<i32>, Value) {
    smoke_with(repository, words, &[])
}

/// As [`smoke`], with more in the environment.
pub fn smoke_with(
    repository: &Repository,
    words: &[&str],
    environment: &[(&str, &str)],
) -> (Option<i32>, Value) {
    let words = [&["smoke-test", "--format", "json"], words].concat();
    let mut command = repository.command(&words);
    let ended = command.envs(environment.iter().copied()).output().unwrap();
    let json = serde_json::from_slice(&ended.stdout).unwrap_or_else(|_| {
        panic!("{words:?}: {:?}\n{}", ended.status, String::from_utf8_lossy(&ended.stderr))
    });
    (ended.status.code(), json)
}

/// The names of the checks with an outcome.
pub fn named(result: &Value, outcome: &str) -> Vec<String> {
    let checks = result["checks"].as_array().unwrap().iter();
    let found = checks.filter(|check| check["outcome"] == outcome);
    found.map(|check| check["name"].as_str().unwrap().to_owned()).collect()
}

/// Everything that the engine has of containers, networks and volumes.
pub fn things(repository: &Repository) -> Vec<String> {
    let all = |words: &[&str]| repository.engine(words).good();
    let lists = [
        all(&["ps", "--all", "--quiet", "--no-trunc"]),
        all(&["network", "ls", "--quiet"]),
        all(&["volume", "ls", "--quiet"]),
    ];
    let mut things: Vec<String> =
        lists.iter().flat_map(|list| list.lines().map(str::to_owned)).collect();
    things.sort();
    things
}

#[test]
fn the_image_passes_all_checks_and_nothing_is_left() {
    let repository = Repository::new();
    repository.build(&[]);
    // Containers and networks that aren't ours stay.
    let services = repository.xtask(&["setup", "--services"]).good();
    let redis = services.lines().find_map(|line| line.strip_prefix("redis")).unwrap().trim();
    let name = format!("foreign-{}", std::process::id());
    repository.engine(&["network", "create", &name]).good();
    repository.engine(&["run", "--detach", "--name", &name, redis]).good();
    let before = things(&repository);
    let junit = repository.path("target/smoke.xml");
    let (code, result) = smoke(&repository, &["--junit", junit.to_str().unwrap()]);
    let after = things(&repository);
    // Gone before anything can fail: other tests ask for all that is there.
    repository.engine(&["rm", "--force", &name]).good();
    repository.engine(&["network", "rm", &name]).good();
    assert_eq!(code, Some(0), "{result:#}");
    assert_eq!(named(&result, "failed"), [""; 0]);
    // The payload has everything that can be asked.
    assert_eq!(named(&result, "skipped"), [""; 0]);
    let xml = std::fs::read_to_string(&junit).unwrap();
    assert_eq!(xml.matches("<testcase ").count(), result["checks"].as_array().unwrap().len());
    assert_eq!(after, before);
}

#[test]
fn a_killed_smoke_test_leaves_nothing_for_longer_than_the_next_start() {
    let repository = Repository::new();
    repository.build(&[]);
    repository.xtask(&["setup", "--services"]).good();
    let before = things(&repository);
    for (signal, code) in [("INT", Some(130)), ("KILL", None)] {
        let mut command = repository.command(&["smoke-test"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let start = Instant::now();
        while things(&repository).len() < before.len() + 4 {
            assert!(start.elapsed() < Duration::from_secs(300), "nothing was started");
            std::thread::sleep(Duration::from_millis(200));
        }
        let id = child.id().to_string();
        let kill = format!("kill -{signal} {id}");
        std::process::Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert_eq!(child.wait().unwrap().code(), code);
        if signal == "KILL" {
            assert_ne!(things(&repository), before);
            let (code, result) = smoke(&repository, &["--only", "run-test"]);
            assert_eq!(code, Some(0), "{result:#}");
        }
        assert_eq!(things(&repository), before, "after SIG{signal}");
    }
}

/// The service of a Podman, ended with this value.
struct Service(std::process::Child);

impl Drop for Service {
    fn drop(&mut self) {
        let kill = format!("kill -TERM {}", self.0.id());
        let _ = std::process::Command::new("sh").args(["-c", &kill]).status();
        let _ = self.0.wait();
    }
}

/// Nothing of it is in the network of the program that asks, which has no way out at all.
#[test]
fn a_remote_podman_is_asked_as_a_local_one() {
    if !on_podman() {
        return tell("not run: on Podman alone: all smoke tests on Docker ask a remote one");
    }
    let repository = Repository::new();
    repository.build(&[]);
    repository.xtask(&["setup", "--services"]).good();
    let before = things(&repository);
    let address = format!("unix://{}", repository.path("target/podman.sock").display());
    let mut service = repository.engine_command(&["system", "service", "--time=0", &address]);
    // What it has run in a container stays for five minutes, for who would ask about it.
    let settings = repository.path("target/xtask/containers.conf");
    let settings = std::fs::read_to_string(settings).unwrap_or_default();
    let (before_engine, engine) = settings.split_once("[engine]\n").unwrap_or((&settings, ""));
    let settings = format!("{before_engine}[engine]\nexit_command_delay = 1\n{engine}");
    repository.write("target/service.conf", &settings);
    service.env("CONTAINERS_CONF", repository.path("target/service.conf"));
    service.stdout(Stdio::null()).stderr(Stdio::null());
    let _service = Service(service.spawn().unwrap());
    let start = Instant::now();
    while !repository.path("target/podman.sock").exists() {
        assert!(start.elapsed() < Duration::from_secs(60), "the service doesn't listen");
        std::thread::sleep(Duration::from_millis(50));
    }
    let plain = repository.command(&["smoke-test", "--core"]);
    let mut command = std::process::Command::new("unshare");
    command.arg("--net").arg("--").arg(plain.get_program()).args(plain.get_args());
    command
        .current_dir(repository.path(""))
        .env("XTASK_CI", "none")
        .env("CONTAINER_HOST", &address);
    let ended = Ended::from(command.stdin(Stdio::null()).output().unwrap());
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.out, ended.err);
    assert!(ended.err.contains("; a remote Podman, unix://"), "{}", ended.err);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(things(&repository), before);
}

/// A wrong command line is refused before anything runs.
#[test]
fn what_is_not_there_is_said_before_anything_starts() {
    let repository = Repository::new();
    let check = |words: &[&str], says: &str| {
        let ended = repository.xtask(&[&["smoke-test"], words].concat());
        assert_eq!(ended.code, Some(2), "{}", ended.err);
        assert!(ended.err.contains(says), "{}", ended.err);
    };
    check(&["no-such-image:here"], "looking for the image no-such-image:here");
    check(&["--only", "wbe"], "choosing checks: there is no `wbe`");
    check(&["--core", "--only", "two-beats"], "choosing checks: none is left");
    let list = repository.xtask(&["smoke-test", "--list"]).good();
    assert!(list.lines().count() > 40, "{list}");
    repository.build(&[]);
    let script = repository.xtask(&["smoke-test", "--dry-run", "--only", "web"]).good();
    let engine = if on_podman() { "--read-only-tmpfs=false" } else { "--health-interval=2s" };
    assert!(script.contains(engine) && script.ends_with("no capability"), "{script}");
}
