//! Which engines are on this machine and whether they work: asked once, at the top.

use super::{Engine, Kind, Version, capability};
use crate::failure::{Exit, Failure};
use crate::invocation::Invocation;
use crate::run::{Answer, QUESTION, Runner};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::thread::ScopedJoinHandle;

mod place;
pub use place::Environment;

/// One program that could be the engine, and what was found about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// What it would be.
    pub kind: Kind,
    /// The program: its name, or its path where it isn't the first of its name on PATH.
    pub program: String,
    /// The working engine, or why it doesn't work and what to do.
    pub outcome: Result<Engine, Trouble>,
}

/// Why a program doesn't serve as the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What is wrong, lower case, without full stop.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl Trouble {
    fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Trouble { what: what.into(), remedy: remedy.into() }
    }
}

/// The environment that an engine's commands always get.
pub fn standing_env(kind: Kind) -> Vec<(String, String)> {
    match kind {
        Kind::Podman => Vec::new(),
        // Docker 20.10 builds with its classic builder, without mounts, unless told.
        Kind::Docker => vec![("DOCKER_BUILDKIT".into(), "1".into())],
    }
}

/// Programs called `name` on `path` (the value of PATH), in order, each file once.
pub fn on_path(path: &str, name: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    let mut real = Vec::new();
    for folder in std::env::split_paths(path) {
        let file = folder.join(name);
        let Ok(target) = file.canonicalize() else { continue };
        if target.is_file() && !real.contains(&target) {
            real.push(target);
            found.push(file);
        }
    }
    found
}

/// What every program on the environment's PATH that could be the engine `kind` has to say for itself. Podman's
/// settings for this machine are left to the caller.
///
/// # Errors
/// 130 or 143 after a signal; a program that can't be asked is an outcome, not an error.
pub fn look(
    kind: Kind,
    environment: &Environment,
    runner: &Runner,
) -> anyhow::Result<Vec<Candidate>> {
    let path = environment.get("PATH").map(String::as_str).unwrap_or_default();
    let files = on_path(path, kind.program());
    let candidate = |index: usize, file: &Path| {
        let program =
            if index == 0 { kind.program().to_owned() } else { file.display().to_string() };
        let outcome = match kind {
            Kind::Podman => podman(&program, environment, runner)?,
            Kind::Docker => docker(&program, environment, runner)?,
        };
        Ok(Candidate { kind, program, outcome })
    };
    // All at once: one that hangs or answers slowly doesn't hold up the others.
    std::thread::scope(|scope| {
        let ask = |(index, file)| scope.spawn(move || candidate(index, file));
        let asked: Vec<_> = files.iter().map(PathBuf::as_path).enumerate().map(ask).collect();
        let answer = |asked: ScopedJoinHandle<'_, _>| {
            asked.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        asked.into_iter().map(answer).collect()
    })
}

type Outcome = Result<Engine, Trouble>;

fn ask(runner: &Runner, program: &str, words: &[&str]) -> anyhow::Result<Answer> {
    let answer = runner.ask(&Invocation::new(program, words.iter().copied()), QUESTION);
    match answer {
        Err(error) if crate::failure::describe(&error).0 == Exit::Engine => {
            Ok(Answer { code: None, stdout: String::new(), stderr: error.to_string() })
        }
        other => other,
    }
}

fn podman(program: &str, environment: &Environment, runner: &Runner) -> anyhow::Result<Outcome> {
    let answer = ask(runner, program, &["version", "--format", "json"])?;
    let json: Value = serde_json::from_str(&answer.stdout).unwrap_or_default();
    let connections = if place::asks_connections(&json, environment) {
        ask(runner, program, &["system", "connection", "list", "--format", "json"])?.stdout
    } else {
        String::new()
    };
    let place = place::podman(&json, &connections, environment);
    Ok(read_podman(program, &answer).map(|engine| Engine { place, ..engine }))
}

/// The engine that `podman version --format json` describes; of a remote one, the server builds.
pub fn read_podman(program: &str, answer: &Answer) -> Outcome {
    let json: Value = serde_json::from_str(&answer.stdout).unwrap_or_default();
    let server = &json["Server"]["Version"];
    let version = server.as_str().or_else(|| json["Client"]["Version"].as_str());
    let Some(version) = version.and_then(Version::parse).filter(|_| answer.good()) else {
        return Err(Trouble::new(
            format!("`{program} version` failed: {}", answer.last_line()),
            "start it (`podman machine start` where it is one), or repair it; `cargo xtask doctor` asks again",
        ));
    };
    new_enough(Kind::Podman, program, version)
}

fn docker(program: &str, environment: &Environment, runner: &Runner) -> anyhow::Result<Outcome> {
    let name = ask(runner, program, &["--version"])?;
    if name.stdout.to_lowercase().contains("podman") {
        return Ok(Err(Trouble::new(
            "it is Podman under Docker's name",
            "use --engine podman, or install Docker",
        )));
    }
    let version = ask(runner, program, &["version", "--format", "{{json .}}"])?;
    let json: Value = serde_json::from_str(&version.stdout).unwrap_or_default();
    let client = json["Client"]["Version"].as_str().and_then(Version::parse);
    let buildx = match client {
        // From 23.0 on the client has no builder of its own.
        Some(client) if client >= Version(23, 0, 0) => {
            Some(ask(runner, program, &["buildx", "version"])?)
        }
        _ => None,
    };
    let host = match place::context(&json, environment) {
        Some(name) => {
            let words = ["context", "inspect", name, "--format", "{{.Endpoints.docker.Host}}"];
            ask(runner, program, &words)?.stdout.trim().to_owned()
        }
        None => String::new(),
    };
    let place = place::docker(&json, &host, environment);
    Ok(match read_docker(program, &version, buildx.as_ref()) {
        Ok(engine) => Ok(Engine { place, ..engine }),
        // Where the daemon is looked for is half of the answer to why it isn't there.
        Err(trouble) => Err(Trouble {
            what: place.map_or(trouble.what.clone(), |place| format!("{} ({place})", trouble.what)),
            ..trouble
        }),
    })
}

/// The engine that `docker version --format '{{json .}}'` and, for a client from 23.0 on,
/// `docker buildx version` describe.
pub fn read_docker(program: &str, answer: &Answer, buildx: Option<&Answer>) -> Outcome {
    let json: Value = serde_json::from_str(&answer.stdout).unwrap_or_default();
    let client = json["Client"]["Version"].as_str().unwrap_or("?");
    if buildx.is_some_and(|buildx| !buildx.good()) {
        return Err(Trouble::new(
            format!("its client {client} has no buildx plugin, which BuildKit needs"),
            "install the package docker-buildx (Debian) or docker-buildx-plugin (Docker's own)",
        ));
    }
    let Some(server) = json["Server"]["Version"].as_str().and_then(Version::parse) else {
        return Err(Trouble::new(
            format!("its daemon doesn't answer: {}", answer.last_line()),
            "start it (`sudo systemctl start docker`, or Docker Desktop), or join the group `docker`",
        ));
    };
    new_enough(Kind::Docker, program, server)
}

fn new_enough(kind: Kind, program: &str, version: Version) -> Outcome {
    let (_, oldest, reason) = capability::OLDEST[kind as usize];
    if version < oldest {
        return Err(Trouble::new(
            format!("{} {version} is too old: {oldest} brings {reason}", kind.title()),
            format!("install {} {oldest} or newer", kind.title()),
        ));
    }
    Ok(Engine {
        kind,
        program: program.to_owned(),
        version,
        why: "it works".to_owned(),
        place: None,
        env: standing_env(kind),
        warnings: Vec::new(),
    })
}

/// Takes the first that works, of the engine asked for or else Podman before Docker.
///
/// `asked` is the engine and who asked for it (`--engine`, `docker/image.toml`).
///
/// # Errors
/// [`Exit::Engine`], with a help line for each candidate.
pub fn choose(asked: Option<(Kind, &str)>, candidates: &[Candidate]) -> anyhow::Result<Engine> {
    let fits = |candidate: &&Candidate| asked.is_none_or(|(kind, _)| kind == candidate.kind);
    let mut troubles = Vec::new();
    for candidate in candidates.iter().filter(fits) {
        match &candidate.outcome {
            Ok(engine) => {
                let why = match asked {
                    Some((_, who)) => format!("{who} asks for it"),
                    None if troubles.is_empty() => engine.why.clone(),
                    None => format!("{}; not {}", engine.why, troubles.join("; not ")),
                };
                let why = engine.place.iter().fold(why, |why, place| format!("{why}; {place}"));
                return Ok(Engine { why, ..engine.clone() });
            }
            Err(trouble) => troubles.push(format!("{}: {}", candidate.program, trouble.what)),
        }
    }
    let what = asked.map_or("Podman or Docker", |(kind, _)| kind.title());
    let mut help: Vec<String> = candidates
        .iter()
        .filter(fits)
        .filter_map(|candidate| {
            let trouble = candidate.outcome.as_ref().err()?;
            Some(format!("{}: {}; {}", candidate.program, trouble.what, trouble.remedy))
        })
        .collect();
    let message = if help.is_empty() {
        format!("looking for an engine: no {what} on PATH")
    } else {
        format!("looking for an engine: no {what} that works")
    };
    help.push(
        "`cargo xtask setup` installs one on Debian and Ubuntu; `build --setup` does it on the way"
            .into(),
    );
    Err(Failure { exit: Exit::Engine, message, help }.into())
}

/// What a proof of an engine depends on: when none of it changed, it need not be asked again.
pub fn fingerprint(path: &str, program: &str, files: &[PathBuf]) -> String {
    let place = |file: &Path| {
        let time = file.metadata().and_then(|found| found.modified()).ok();
        let nanos = time.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        format!("{}@{}", file.display(), nanos.map_or(0, |nanos| nanos.as_nanos()))
    };
    let programs = on_path(path, program);
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let parts = programs.iter().take(1).chain(files).map(|file| place(file));
    parts.chain([boot.trim().to_owned()]).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(stdout: &str, stderr: &str, code: i32) -> Answer {
        Answer { code: Some(code), stdout: stdout.into(), stderr: stderr.into() }
    }

    fn outcome(outcome: &Outcome) -> String {
        match outcome {
            Ok(engine) => format!("{} {} ({})", engine.kind, engine.version, engine.why),
            Err(trouble) => trouble.what.clone(),
        }
    }

    #[test]
    fn podman_s_answers() {
        let check = |answer: Answer, expected: &str| {
            assert_eq!(outcome(&read_podman("podman", &answer)), expected);
        };
        check(answer(r#"{"Client":{"Version":"4.3.1"}}"#, "", 0), "podman 4.3.1 (it works)");
        check(
            answer(r#"{"Client":{"Version":"5.4.0"},"Server":{"Version":"5.2.1"}}"#, "", 0),
            "podman 5.2.1 (it works)",
        );
        check(
            answer(r#"{"Client":{"Version":"3.0.1"}}"#, "", 0),
            "Podman 3.0.1 is too old: 4.3.0 brings cache mounts with uid=, secrets from the environment",
        );
        check(
            answer("", "Error: cannot connect to Podman\n", 125),
            "`podman version` failed: Error: cannot connect to Podman",
        );
    }

    #[test]
    fn docker_s_answers() {
        let check = |version: Answer, buildx: Option<Answer>, expected: &str| {
            assert_eq!(outcome(&read_docker("docker", &version, buildx.as_ref())), expected);
        };
        let both =
            r#"{"Client":{"Version":"20.10.24+dfsg1"},"Server":{"Version":"20.10.24+dfsg1"}}"#;
        let down = r#"{"Client":{"Version":"28.2.2"},"Server":null}"#;
        check(answer(both, "", 0), None, "docker 20.10.24 (it works)");
        check(
            answer(down, "Cannot connect to the Docker daemon\n", 1),
            Some(answer("v0.29", "", 0)),
            "its daemon doesn't answer: Cannot connect to the Docker daemon",
        );
        check(
            answer(down, "", 1),
            Some(answer("", "unknown command", 1)),
            "its client 28.2.2 has no buildx plugin, which BuildKit needs",
        );
    }

    #[test]
    fn a_working_podman_comes_before_a_working_docker_and_a_wish_before_both() {
        let good = |kind| Candidate {
            kind,
            program: kind.program().into(),
            outcome: Ok(Engine { why: "it works".into(), ..Engine::assumed(kind) }),
        };
        let bad = |kind: Kind| Candidate {
            kind,
            program: kind.program().into(),
            outcome: Err(Trouble::new("is down", "start it")),
        };
        let (podman, docker) = (Kind::Podman, Kind::Docker);
        let check = |asked, candidates: &[Candidate], expected: &str| {
            let text = match choose(asked, candidates) {
                Ok(engine) => format!("{}: {}", engine.kind, engine.why),
                Err(error) => error.to_string(),
            };
            assert_eq!(text, expected);
        };
        check(None, &[good(podman), good(docker)], "podman: it works");
        check(None, &[bad(podman), good(docker)], "docker: it works; not podman: is down");
        check(
            Some((docker, "--engine")),
            &[good(podman), good(docker)],
            "docker: --engine asks for it",
        );
        let mut far = good(docker);
        if let Ok(engine) = &mut far.outcome {
            engine.place = Some("a remote Docker".into());
        }
        check(None, &[far], "docker: it works; a remote Docker");
        check(None, &[bad(podman)], "looking for an engine: no Podman or Docker that works");
        check(Some((podman, "x")), &[good(docker)], "looking for an engine: no Podman on PATH");
    }
}
