//! Which engines are on this machine and whether they work: asked once, at the top.

use super::{Engine, EngineKind, EngineVersion, capability};
use process::failure::{Exit, Failure, failure_help};
use process::invocation::Invocation;
use process::notice::{SILENCE, notice};
use process::run::{self, Answer, Runner};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

mod place;
mod problem;
pub use place::containerd;
pub use problem::{Problem, is_busy, said};
use process::environment::Environment;

/// How long a program gets to say what it is, when it is asked first: a remote one may have to
/// connect.
pub const LIMIT: Duration = Duration::from_secs(15);

/// One program that could be the engine, and what was found about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub kind: EngineKind,
    /// The program: its name, or its path if it isn't the first of its name on PATH.
    pub program: String,
    /// The working engine, or why it doesn't work and what to do.
    pub outcome: Result<Engine, Problem>,
}

/// The environment that an engine's commands always get.
pub fn standing_env(kind: EngineKind) -> Vec<(String, String)> {
    match kind {
        EngineKind::Podman => Vec::new(),
        // Docker 20.10 builds with its classic builder, without mounts, unless told.
        EngineKind::Docker => vec![("DOCKER_BUILDKIT".into(), "1".into())],
    }
}

/// Programs called `name` on `path` (the value of PATH), in order, each file once; as the shell
/// does, without those that can't be executed.
pub fn on_path(path: &str, name: &str) -> Vec<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let executable = |file: &Path| {
        file.metadata()
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    let mut found: Vec<PathBuf> = Vec::new();
    let mut real = Vec::new();
    for folder in std::env::split_paths(path) {
        let file = folder.join(name);
        let Ok(target) = file.canonicalize() else { continue };
        if executable(&target) && !real.contains(&target) {
            real.push(target);
            found.push(file);
        }
    }
    found
}

/// Asks every program on the environment's PATH that could be the engine `kind`, each in `limit`.
/// Podman's settings for this machine are left to the caller. A program that can't be asked is an
/// outcome, not an error.
pub fn look(
    kind: EngineKind,
    environment: &Environment,
    runner: &Runner,
    limit: Duration,
) -> anyhow::Result<Vec<Candidate>> {
    let path = environment.path();
    let files = on_path(path, kind.program());
    let candidate = |index: usize, file: &Path| {
        let program =
            if index == 0 { kind.program().to_owned() } else { file.display().to_string() };
        let outcome = match kind {
            EngineKind::Podman => podman(&program, environment, runner, limit)?,
            EngineKind::Docker => docker(&program, environment, runner, limit)?,
        };
        Ok(Candidate { kind, program, outcome })
    };
    // All at once: one that hangs or answers slowly doesn't hold up the others.
    let files: Vec<(usize, PathBuf)> = files.into_iter().enumerate().collect();
    run::join_all(&files, |(index, file)| candidate(*index, file)).into_iter().collect()
}

type Outcome = Result<Engine, Problem>;

/// What an engine answers; one that can't be started, or hangs, is an answer without a status.
pub fn ask(runner: &Runner, question: &Invocation, limit: Duration) -> anyhow::Result<Answer> {
    // One that is slow is named.
    let (done, over) = channel::<()>();
    let answer = std::thread::scope(|scope| {
        scope.spawn(move || {
            if over.recv_timeout(SILENCE) == Err(RecvTimeoutError::Timeout) {
                notice(&format!("waiting for an answer: {question}"));
            }
        });
        let answer = runner.ask(question, limit);
        drop(done);
        answer
    });
    match answer {
        Err(error) if process::failure::describe(&error).0 == Exit::Engine => {
            Ok(Answer { code: None, stdout: String::new(), stderr: error.to_string() })
        }
        other => other,
    }
}

fn podman(
    program: &str,
    environment: &Environment,
    runner: &Runner,
    limit: Duration,
) -> anyhow::Result<Outcome> {
    let ask = |words: &[&str]| ask(runner, &Invocation::new(program, words.iter().copied()), limit);
    let answer = ask(&["version", "--format", "json"])?;
    let json: Value = serde_json::from_str(&answer.stdout).unwrap_or_default();
    let connections = if place::asks_connections(&json, environment) {
        ask(&["system", "connection", "list", "--format", "json"])?.stdout
    } else {
        String::new()
    };
    let place = place::podman(&json, &connections, environment);
    Ok(read_podman(program, &answer, environment).map(|engine| Engine { place, ..engine }))
}

/// The engine that `podman version --format json` describes; of a remote one, the server builds.
pub fn read_podman(program: &str, answer: &Answer, environment: &Environment) -> Outcome {
    let json: Value = serde_json::from_str(&answer.stdout).unwrap_or_default();
    let server = &json["Server"]["Version"];
    let version = server.as_str().or_else(|| json["Client"]["Version"].as_str());
    let Some(version) = version.and_then(EngineVersion::parse).filter(|_| answer.good()) else {
        return Err(problem::podman(program, answer, environment));
    };
    let side = if json["Server"].is_object() { &json["Server"] } else { &json["Client"] };
    let platform = side["OsArch"].as_str().unwrap_or_default();
    new_enough(EngineKind::Podman, program, version, platform)
}

fn docker(
    program: &str,
    environment: &Environment,
    runner: &Runner,
    limit: Duration,
) -> anyhow::Result<Outcome> {
    let ask = |words: &[&str]| ask(runner, &Invocation::new(program, words.iter().copied()), limit);
    let version = ask(&["version", "--format", "{{json .}}"])?;
    let json: Value = serde_json::from_str(&version.stdout).unwrap_or_default();
    // Docker alone spells it so: anything else has to say what it is.
    if json["Client"]["ApiVersion"].is_null() && !problem::is_busy(&version) {
        let name = ask(&["--version"])?;
        if name.code.is_none() {
            return Ok(Err(problem::silent(said(&name))));
        }
        if name.stdout.to_lowercase().contains("podman") {
            let path = environment.path();
            let remedy = match on_path(path, "podman").is_empty() {
                false => "use --engine podman, or install Docker",
                true => "install Podman under its own name, or Docker",
            };
            return Ok(Err(Problem::new("it is Podman under Docker's name", remedy)));
        }
    }
    let client = json["Client"]["Version"].as_str().and_then(EngineVersion::parse);
    let (mut buildx, mut builder) = (None, None);
    // From 23.0 on the client has no built-in builder.
    if client.is_some_and(|client| client >= EngineVersion(23, 0, 0)) {
        let answer = ask(&["buildx", "inspect"])?;
        if answer.stderr.contains("no builder") {
            let what = format!("its builder can't be used: {}", said(&answer));
            let remedy = "docker buildx use default, or unset BUILDX_BUILDER";
            return Ok(Err(Problem::new(what, remedy)));
        }
        builder = place::builder(&answer.stdout);
        // What it says without a daemon, or without the plugin, is not told apart.
        let told = answer.good() && answer.stdout.contains("Driver:");
        buildx = Some(if told { answer } else { ask(&["buildx", "version"])? });
    }
    let host = match place::context(&json, environment) {
        Some(name) => ask(&["context", "inspect", name, "--format", "{{.Endpoints.docker.Host}}"])?
            .stdout
            .trim()
            .to_owned(),
        None => String::new(),
    };
    let place = place::docker(&json, &host, environment);
    Ok(match read_docker(program, &version, buildx.as_ref(), environment) {
        Ok(engine) => Ok(Engine { place, builder, ..engine }),
        // The place of the missing daemon is half of the answer to why it isn't there.
        Err(problem) if problem.what.starts_with("its daemon") => Err(Problem {
            what: place.map_or(problem.what.clone(), |place| format!("{} ({place})", problem.what)),
            ..problem
        }),
        Err(problem) => Err(problem),
    })
}

/// The engine that `docker version --format '{{json .}}'` and, for a client from 23.0 on,
/// `docker buildx inspect` describe.
pub fn read_docker(
    program: &str,
    answer: &Answer,
    buildx: Option<&Answer>,
    environment: &Environment,
) -> Outcome {
    let json: Value = serde_json::from_str(&answer.stdout).unwrap_or_default();
    let client = json["Client"]["Version"].as_str();
    if buildx.is_some_and(|buildx| !buildx.good()) {
        return Err(Problem::new(
            format!(
                "its client {} has no buildx plugin, which BuildKit needs",
                client.unwrap_or_default()
            ),
            "install the package docker-buildx (Debian) or docker-buildx-plugin (Docker's own)",
        ));
    }
    let Some(server) = json["Server"]["Version"].as_str().and_then(EngineVersion::parse) else {
        return Err(problem::docker(program, answer, client, environment));
    };
    let part = |name: &str| json["Server"][name].as_str().unwrap_or_default();
    let platform = [part("Os"), part("Arch")].join("/");
    new_enough(EngineKind::Docker, program, server, platform.trim_matches('/'))
}

fn new_enough(kind: EngineKind, program: &str, version: EngineVersion, platform: &str) -> Outcome {
    let (_, oldest, reason) = capability::OLDEST[kind as usize];
    if version < oldest {
        return Err(Problem::new(
            format!("{} {version} is too old: {oldest} brings {reason}", kind.title()),
            format!("install {} {oldest} or newer", kind.title()),
        ));
    }
    Ok(Engine {
        kind,
        program: program.to_owned(),
        version,
        platform: platform.to_owned(),
        why: "it works".to_owned(),
        place: None,
        builder: None,
        env: standing_env(kind),
        warnings: Vec::new(),
    })
}

/// The problem of an engine that is busy, when no other one comes before it.
pub fn busy(candidates: &[Candidate]) -> Option<&Candidate> {
    let decides = |one: &&Candidate| !matches!(&one.outcome, Err(problem) if !problem.busy);
    candidates.iter().find(decides).filter(|one| one.outcome.is_err())
}

/// Takes the first that works, of the engine asked for or else Podman before Docker. One that is
/// busy is taken for none that works, and no other one is taken in its place.
///
/// `asked` is the engine and who asked for it (`--engine`, `docker/image.toml`).
///
/// # Errors
/// [`Exit::Engine`], with a help line for each candidate.
pub fn choose(
    asked: Option<(EngineKind, &str)>,
    candidates: &[Candidate],
) -> anyhow::Result<Engine> {
    let fits = |candidate: &&Candidate| asked.is_none_or(|(kind, _)| kind == candidate.kind);
    let mut troubles = Vec::new();
    for candidate in candidates.iter().filter(fits) {
        if let Err(Problem { what, remedy, busy: true }) = &candidate.outcome {
            let what = format!("looking for an engine: {}: {what}", candidate.program);
            return Err(failure_help(Exit::Engine, what, remedy));
        }
        match &candidate.outcome {
            Ok(engine) => {
                let why = match asked {
                    Some((_, who)) => format!("{who} asks for it"),
                    None if troubles.is_empty() => engine.why.clone(),
                    None => format!("{}; not {}", engine.why, troubles.join("; not ")),
                };
                let builder = engine.builder.as_ref().map(|(name, driver)| {
                    format!(
                        "it builds with the builder {name} (driver {driver}) and loads the result"
                    )
                });
                let more = engine.place.iter().chain(&builder);
                let why = more.fold(why, |why, more| format!("{why}; {more}"));
                return Ok(Engine { why, ..engine.clone() });
            }
            Err(problem) => troubles.push(format!("{}: {}", candidate.program, problem.what)),
        }
    }
    let what = asked.map_or("Podman or Docker", |(kind, _)| kind.title());
    let mut help: Vec<String> = candidates
        .iter()
        .filter(fits)
        .filter_map(|candidate| {
            let problem = candidate.outcome.as_ref().err()?;
            Some(format!("{}: {}; {}", candidate.program, problem.what, problem.remedy))
        })
        .collect();
    let state = if help.is_empty() { "on PATH" } else { "that works" };
    let who = asked.map(|(_, who)| format!(" ({who} asks for it)")).unwrap_or_default();
    let message = format!("looking for an engine: no {what} {state}{who}");
    let podman = candidates.iter().any(|candidate| candidate.kind == EngineKind::Podman);
    match asked {
        Some((EngineKind::Docker, _)) => {
            let start = if help.is_empty() { "install Docker, or" } else { "or" };
            help.push(format!(
                "{start} take Podman, which builds the same image: --engine podman"
            ));
        }
        // Installed already: its own line says what it lacks.
        _ if podman => {}
        _ => help.push(
            "`cargo xtask setup` installs Podman on Debian and Ubuntu; `build --setup` does it on the way"
                .into(),
        ),
    }
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
mod tests;
