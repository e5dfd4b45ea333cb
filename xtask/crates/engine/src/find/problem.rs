//! Why a program doesn't serve as the engine, and what to do about it: from what it printed and
//! what points it somewhere. Pure.

use super::place::shown;
use process::environment::Environment;
use process::regular::read_text;
use process::run::{Answer, shortened};

/// Why a program doesn't serve as the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, lower case, without full stop.
    pub what: String,
    pub remedy: String,
    /// Whether it is only busy: asked later, it may work.
    pub busy: bool,
}

impl Problem {
    pub fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Problem { what: what.into(), remedy: remedy.into(), busy: false }
    }

    /// An engine that is there, and has no time for us.
    pub fn busy(said: &str) -> Self {
        let what = format!("it is busy: {said}");
        let remedy = "find out what it waits for or what holds its store; --engine-wait MINUTES waits longer";
        Problem { what, remedy: remedy.to_owned(), busy: true }
    }
}

/// How much of what an engine printed is repeated.
const MOST: usize = 400;

/// What an engine said last, as text: its log lines (`time="…" level=error msg="…"`) lose all but
/// the message.
pub fn said(answer: &Answer) -> String {
    let line = answer.last_line();
    let message = line.split_once(" msg=\"").filter(|_| line.starts_with("time="));
    let text = match message {
        Some((_, rest)) => rest.trim_end_matches('"').replace("\\\"", "\"").replace("\\\\n", "\\n"),
        None => line.to_owned(),
    };
    shortened(text.strip_prefix("Error: ").unwrap_or(&text), MOST)
}

/// What engines say that are starting, or that wait for another process: for a lock of Podman's
/// store or its database, or for Docker's daemon.
const BUSY: [&str; 14] = [
    "database is locked",
    "database table is locked",
    "acquiring lock",
    "lock file",
    "layers.lock",
    "images.lock",
    "containers.lock",
    "storage.lock",
    "resource temporarily unavailable",
    "is starting",
    "not yet ready",
    "503 service unavailable",
    "context deadline exceeded",
    "i/o timeout",
];

/// Whether an answer only means that the engine has no time now.
pub fn is_busy(answer: &Answer) -> bool {
    let unanswered = answer.code.is_none() && answer.stderr.contains("no answer in");
    let text = answer.stderr.to_lowercase();
    unanswered || !answer.good() && BUSY.iter().any(|words| text.contains(words))
}

/// What it means that `podman version` failed, or answered something else.
pub fn podman(program: &str, answer: &Answer, environment: &Environment) -> Problem {
    let said = said(answer);
    if is_busy(answer) {
        return Problem::busy(&said);
    }
    if answer.code.is_none() {
        return silent(said);
    }
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if says(&["unable to connect to Podman", "Cannot connect to Podman", "service destination"]) {
        return remote_podman(&said, environment);
    }
    let (what, remedy) = if answer.good() {
        (
            format!("`{program} version` answers what no Podman does: {said}"),
            format!("take it off PATH, or install Podman in its place: {program}"),
        )
    } else if says(&["OCI runtime"]) {
        (said, "install that runtime, or mend `runtime` in containers.conf".to_owned())
    } else if says(&["GetDriver", "graph driver", "driver not supported"]) {
        (said, format!("mend `driver` in {}", place_of("storage.conf", environment)))
    } else if says(&["toml:", ".conf"]) {
        let files =
            ["containers.conf", "storage.conf"].map(|file| place_of(file, environment)).join(", ");
        (format!("its settings can't be read: {said}"), format!("mend them: {files}"))
    } else {
        (
            format!("`{program} version` failed: {said}"),
            format!("repair it until this works: {program} version"),
        )
    };
    Problem::new(what, remedy)
}

/// A settings file of Podman's, by the variable that names it or by the folders searched for it.
fn place_of(file: &str, environment: &Environment) -> String {
    let variable = match file {
        "storage.conf" => "CONTAINERS_STORAGE_CONF",
        _ => "CONTAINERS_CONF",
    };
    match environment.variable(variable) {
        Some(path) => format!("{path} ({variable})"),
        None => format!("{file} in ~/.config/containers or /etc/containers"),
    }
}

fn remote_podman(said: &str, environment: &Environment) -> Problem {
    let url = environment.variable("CONTAINER_HOST").map(|url| ("CONTAINER_HOST", shown(url)));
    let name = || {
        let name = environment.variable("CONTAINER_CONNECTION")?;
        Some(("CONTAINER_CONNECTION", name.to_owned()))
    };
    match url.or_else(name) {
        Some((variable, value)) => Problem::new(
            format!("the remote Podman {value} ({variable}) doesn't answer: {said}"),
            format!("start it there (`podman system service`), or unset {variable}"),
        ),
        None => Problem::new(
            format!("its remote Podman doesn't answer: {said}"),
            "start it (`podman machine start` if it is a machine); `podman system connection list` shows where it is",
        ),
    }
}

/// What it means that `docker version` names no daemon.
pub fn docker(
    program: &str,
    answer: &Answer,
    client: Option<&str>,
    environment: &Environment,
) -> Problem {
    let said = said(answer);
    if is_busy(answer) || daemon_starts(environment) && said.contains("Cannot connect to") {
        return Problem::busy(&said);
    }
    if answer.code.is_none() {
        return silent(said);
    }
    let lower = said.to_lowercase();
    let (what, remedy) = if lower.contains("permission denied") {
        (
            format!("you may not use its daemon: {said}"),
            "as root: usermod --append --groups docker USER, then log in again; or use Podman"
                .to_owned(),
        )
    } else if lower.contains("context") && !lower.contains("daemon") {
        let way = match environment.variable("DOCKER_CONTEXT") {
            Some(_) => "unset DOCKER_CONTEXT",
            None => "docker context use default",
        };
        (format!("its context can't be used: {said}"), format!("{way}; or: docker context ls"))
    } else if answer.good() && client.is_none() {
        (
            format!("`{program} version` answers what no Docker does: {said}"),
            format!("take it off PATH, or install Docker in its place: {program}"),
        )
    } else {
        let remedy = match (environment.variable("DOCKER_HOST"), client_context(answer)) {
            (Some(_), _) => "start it there, or unset DOCKER_HOST".to_owned(),
            (None, Some(context)) if context.starts_with("desktop") => {
                "start Docker Desktop".to_owned()
            }
            (None, Some(_)) => "start it there, or: docker context use default".to_owned(),
            (None, None) if cfg!(target_os = "linux") => {
                "start it: sudo systemctl start docker".to_owned()
            }
            (None, None) => "start Docker Desktop".to_owned(),
        };
        (format!("its daemon doesn't answer: {said}"), remedy)
    };
    Problem::new(what, remedy)
}

/// Whether this machine's daemon runs already: it notes its process before it listens.
fn daemon_starts(environment: &Environment) -> bool {
    let here = environment.variable("DOCKER_HOST").is_none();
    let id = read_text("/var/run/docker.pid").ok();
    let id = id.and_then(|text| text.trim().parse::<u32>().ok()).filter(|_| here);
    let name = id.and_then(|id| read_text(format!("/proc/{id}/comm")).ok());
    name.is_some_and(|name| name.trim() == "dockerd")
}

/// The context that a client's answer names, if it isn't the default one.
fn client_context(answer: &Answer) -> Option<String> {
    let json: serde_json::Value = serde_json::from_str(&answer.stdout).ok()?;
    let context = json["Client"]["Context"].as_str()?;
    (!context.is_empty() && context != "default").then(|| context.to_owned())
}

/// A program that can't be started at all.
pub fn silent(said: String) -> Problem {
    Problem::new(said, "install it again, or take it off PATH")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: i32, stdout: &str, stderr: &str) -> Answer {
        Answer { code: Some(code), stdout: stdout.into(), stderr: stderr.into() }
    }

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        let pair = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        Environment { variables: pairs.iter().map(pair).collect() }
    }

    /// What Podman 4.3.1 printed in each of these set-ups.
    #[test]
    fn podman_s_troubles() {
        let check = |pairs: &[(&str, &str)], stderr: &str, what: &str, remedy: &str| {
            let found = podman("podman", &answer(125, "", stderr), &environment(pairs));
            assert_eq!(found, Problem::new(what, remedy), "{stderr}");
        };
        let refused = "Error: unable to connect to Podman socket: dial tcp 127.0.0.1:9: connect: connection refused";
        let bare = refused.strip_prefix("Error: ").unwrap();
        check(
            &[("CONTAINER_HOST", "ssh://me:word@box")],
            refused,
            &format!("the remote Podman ssh://me@box (CONTAINER_HOST) doesn't answer: {bare}"),
            "start it there (`podman system service`), or unset CONTAINER_HOST",
        );
        check(
            &[("CONTAINER_CONNECTION", "box")],
            refused,
            &format!("the remote Podman box (CONTAINER_CONNECTION) doesn't answer: {bare}"),
            "start it there (`podman system service`), or unset CONTAINER_CONNECTION",
        );
        check(
            &[],
            refused,
            &format!("its remote Podman doesn't answer: {bare}"),
            "start it (`podman machine start` if it is a machine); `podman system connection list` shows where it is",
        );
        check(
            &[],
            "time=\"2026-11-24T05:52:04Z\" level=error msg=\"reading system config \\\"/c.conf\\\": toml: line 2: got '\\\\n' instead\"",
            "its settings can't be read: reading system config \"/c.conf\": toml: line 2: got '\\n' instead",
            "mend them: containers.conf in ~/.config/containers or /etc/containers, storage.conf in ~/.config/containers or /etc/containers",
        );
        check(
            &[("CONTAINERS_STORAGE_CONF", "/s.conf")],
            "Error: failed to GetDriver graph nosuch /g: driver not supported",
            "failed to GetDriver graph nosuch /g: driver not supported",
            "mend `driver` in /s.conf (CONTAINERS_STORAGE_CONF)",
        );
        check(
            &[],
            "Error: default OCI runtime \"nosuch\" not found: invalid argument",
            "default OCI runtime \"nosuch\" not found: invalid argument",
            "install that runtime, or mend `runtime` in containers.conf",
        );
        check(
            &[],
            "Error: boom",
            "`podman version` failed: boom",
            "repair it until this works: podman version",
        );
    }

    /// What Docker's clients 20.10 and 28.2 printed.
    #[test]
    fn docker_s_troubles() {
        let client = |context: &str| format!(r#"{{"Client":{{"Context":"{context}"}}}}"#);
        let check = |pairs: &[(&str, &str)], context: &str, stderr: &str, expected: &str| {
            let asked = answer(1, &client(context), stderr);
            let found = docker("docker", &asked, Some("28.2.2"), &environment(pairs));
            assert_eq!(found.remedy, expected, "{stderr}");
            assert!(found.what.ends_with(stderr), "{}", found.what);
        };
        let down = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?";
        let group =
            "as root: usermod --append --groups docker USER, then log in again; or use Podman";
        check(&[("DOCKER_HOST", "tcp://x")], "", down, "start it there, or unset DOCKER_HOST");
        check(&[], "desktop-linux", down, "start Docker Desktop");
        check(&[], "box", down, "start it there, or: docker context use default");
        check(&[], "default", "Got permission denied while trying to connect", group);
        let gone =
            "Failed to initialize: unable to resolve docker endpoint: context \"gone\": not found";
        check(
            &[("DOCKER_CONTEXT", "gone")],
            "",
            gone,
            "unset DOCKER_CONTEXT; or: docker context ls",
        );
        check(&[], "", gone, "docker context use default; or: docker context ls");
    }

    #[test]
    fn a_busy_engine_is_told_from_a_broken_one() {
        let check = |stderr: &str, expected: bool| {
            let none = environment(&[("DOCKER_HOST", "unix:///none")]);
            let asked = answer(125, "", stderr);
            assert_eq!(podman("podman", &asked, &none).busy, expected, "{stderr}");
            assert_eq!(docker("docker", &asked, Some("28.2.2"), &none).busy, expected, "{stderr}");
        };
        check("Error: database is locked", true);
        check("Error: acquiring lock 3 for container ab: resource temporarily unavailable", true);
        check(
            "time=\"2026\" level=error msg=\"opening /s/storage.lock: resource temporarily unavailable\"",
            true,
        );
        check("request returned 503 Service Unavailable for API route and version", true);
        check("Error response from daemon: the daemon is starting", true);
        check("error during connect: Get \"http://box\": context deadline exceeded", true);
        check("Error: boom", false);
        check(
            "Cannot connect to the Docker daemon at unix:///none. Is the docker daemon running?",
            false,
        );
        assert!(!is_busy(&answer(0, "{}", "WARN database is locked")));
        let silent = Answer {
            code: None,
            stderr: "asking x: no answer in 15 s".into(),
            ..Answer::default()
        };
        assert!(is_busy(&silent));
        let gone = Answer { stderr: "starting x: permission denied".into(), ..silent };
        assert!(!is_busy(&gone));
    }

    #[test]
    fn long_answers_are_cut() {
        let long = answer(1, "", &"x".repeat(1000));
        assert_eq!(said(&long).chars().count(), MOST + 1);
    }
}
