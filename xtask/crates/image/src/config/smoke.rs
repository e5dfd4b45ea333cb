//! `[smoke]`: what `smoke-test` asks of this project in addition to what it asks of every image.
//! The roles and the limits are in `docker/image.toml`. The project's own checks are next to its
//! tests, so that another project copies the former unchanged and brings the latter or none.

use super::Mistake;
use super::raw::ConfigFile;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::time::Duration;

/// The file with the project's own checks, if it has any, in the folder of the application.
pub const PATH: &str = "tests/smoke.toml";

/// The resolved tables of both files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Smoke {
    /// The roles that the project has.
    pub roles: Vec<Role>,
    /// What every container of the smoke test has in its environment, over what we give it.
    pub environment: BTreeMap<String, String>,
    /// The most layers that an image may have, those of the base included.
    pub layers: usize,
    /// How long a container may take to become healthy, and one that must refuse, to end.
    pub start: Duration,
    /// How long a container may take to end after SIGTERM with work in flight.
    pub stop: Duration,
    /// Patterns of files below `app/` that the image makes itself.
    pub generated: Vec<String>,
    /// `[smoke.skip]`: why each check by that name is skipped.
    pub skip: BTreeMap<String, String>,
    /// Whether the static files have names with a hash.
    pub hashed_static: bool,
    /// `[smoke.health]`.
    pub health: HealthPages,
    /// Run in the container that answers HTTP before it is asked for pages.
    pub prepare: Vec<Words>,
    /// `[[smoke.http]]`.
    pub http: Vec<Http>,
    /// `[[smoke.exec]]`.
    pub exec: Vec<Exec>,
    /// `[smoke.websocket]`.
    pub websocket: Option<WebSocket>,
    /// `[smoke.slow]`.
    pub slow: Option<Slow>,
}

/// What one container of the image runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// HTTP and WebSockets, by daphne.
    Web,
    /// HTTP, by gunicorn.
    Gunicorn,
    /// Celery's tasks.
    Worker,
    /// Celery's schedule.
    Beat,
}

impl Role {
    /// The word that starts it.
    pub fn word(self) -> &'static str {
        match self {
            Role::Web => "web",
            Role::Gunicorn => "gunicorn",
            Role::Worker => "worker",
            Role::Beat => "beat",
        }
    }
}

/// What answers in addition to `HEALTHCHECK_PATH`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthPages {
    /// A path that answers 200 as long as the process lives.
    #[serde(default, deserialize_with = "path_or_none")]
    pub live: Option<String>,
    /// A path that answers 200 when requests may come.
    #[serde(default, deserialize_with = "path_or_none")]
    pub ready: Option<String>,
    /// A text that each of the three answers must contain.
    #[serde(default)]
    pub contains: String,
}

/// A request to the web role.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// What it is called in the report.
    pub name: String,
    /// Path and query.
    #[serde(deserialize_with = "path")]
    pub path: String,
    /// The status that is right.
    #[serde(default = "ok", deserialize_with = "status")]
    pub status: u16,
    /// A text that the answer, its headers included, must contain.
    #[serde(default)]
    pub contains: String,
}

fn ok() -> u16 {
    200
}

/// A value that `good` accepts; `must` says what it has to be.
fn accepted<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    value: D,
    good: fn(&T) -> bool,
    must: &str,
) -> Result<T, D::Error> {
    let value = T::deserialize(value)?;
    if good(&value) { Ok(value) } else { Err(D::Error::custom(must)) }
}

fn path<'de, D: Deserializer<'de>>(value: D) -> Result<String, D::Error> {
    let good = |path: &String| path.starts_with('/') && !path.contains(char::is_whitespace);
    accepted(value, good, "a path begins with / and has no blanks")
}

fn path_or_none<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    path(value).map(Some)
}

fn status<'de, D: Deserializer<'de>>(value: D) -> Result<u16, D::Error> {
    accepted(value, |status| (100..600).contains(status), "a status is from 100 to 599")
}

fn command<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<String>, D::Error> {
    let good = |words: &Vec<String>| words.first().is_some_and(|word| !word.is_empty());
    accepted(value, good, "a command has at least one word")
}

/// The words of a command.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Words(#[serde(deserialize_with = "command")] pub Vec<String>);

/// A command in the container of a role; it passes with exit status 0.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// What it is called in the report.
    pub name: String,
    /// The container that it runs in.
    pub role: Role,
    /// Its words.
    #[serde(deserialize_with = "command")]
    pub command: Vec<String>,
    /// A text that its output must contain.
    #[serde(default)]
    pub contains: String,
}

/// A WebSocket of the web role that sends a message within the start limit.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebSocket {
    #[serde(deserialize_with = "path")]
    pub path: String,
    /// A command in the web container that prints the value of the Cookie header.
    #[serde(default)]
    pub cookie: Vec<String>,
    /// A text that the message must contain.
    #[serde(default)]
    pub contains: String,
}

/// Work that takes some seconds, to be in flight when a container is told to end.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slow {
    /// A path of the web role.
    #[serde(deserialize_with = "path")]
    pub request: String,
    pub task: String,
    /// Its arguments, all of them texts.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// What makes both slow.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
}

/// The names of all checks, in the order of the report. They stand here so that a mistake in
/// `[smoke.skip]` is told with all others of the file; a test compares them with the checks.
pub const CHECKS: &[&str] = &[
    "labels",
    "identity",
    "user",
    "structure",
    "health-check",
    "platform",
    "size",
    "layers",
    "wasted",
    "no-secrets",
    "no-build-tools",
    "no-setuid",
    "read-only-code",
    "static-files",
    "bytecode",
    "application-files",
    "no-development-files",
    "lock",
    "run-test",
    "pass-through",
    "role-words",
    "role-typo",
    "environment",
    "secret-files",
    "root-start",
    "bounded-wait",
    "stop-waiting",
    "wrong-password",
    "migrate-role",
    "waits-for-migrations",
    "web",
    "engine-health",
    "settings",
    "health-pages",
    "http",
    "gunicorn",
    "migrate-once",
    "arbitrary-uid",
    "worker",
    "beat",
    "queues",
    "beat-tick",
    "websocket",
    "exec",
    "command-lines",
    "two-beats",
    "corrupt-schedule",
    "stop-web",
    "stop-gunicorn",
    "stop-worker",
    "stop-beat",
    "stopped-loops",
    "logs",
    "database-gone",
];

/// What `docker/image.toml` has.
const LIMITS: [&str; 6] = ["roles", "layers", "start_seconds", "stop_seconds", "generated", "skip"];
/// What [`PATH`] has.
const OWN: [&str; 8] =
    ["hashed_static", "health", "prepare", "environment", "http", "exec", "websocket", "slow"];

/// Reads the table of `docker/image.toml`; mistakes are noted in `file`.
pub(super) fn read(file: &mut ConfigFile<'_>) -> Smoke {
    file.only_keys("smoke", &LIMITS);
    if file.typed::<Vec<Role>>("smoke", "roles").is_some_and(|roles| roles.is_empty()) {
        file.mistake(
            "smoke",
            "roles",
            "name at least one: web, gunicorn, worker or beat".to_owned(),
        );
    }
    let all = || vec![Role::Web, Role::Gunicorn, Role::Worker, Role::Beat];
    let seconds =
        |value: Option<u32>, default: u32| Duration::from_secs(u64::from(value.unwrap_or(default)));
    Smoke {
        roles: file.typed("smoke", "roles").unwrap_or_else(all),
        layers: file.typed("smoke", "layers").unwrap_or(20),
        start: seconds(file.typed("smoke", "start_seconds"), 90),
        stop: seconds(file.typed("smoke", "stop_seconds"), 30),
        generated: file.strings("smoke", "generated", pattern).unwrap_or_default(),
        skip: skipped(file),
        ..Smoke::default()
    }
}

/// What is wrong with a pattern of `.dockerignore`.
fn pattern(text: &str) -> Option<String> {
    source::ignore::parse_line(1, text).err().map(|reason| format!("`{text}`: {reason}"))
}

/// `[smoke.skip]`: each name is a check's, and each reason says something.
fn skipped(file: &mut ConfigFile<'_>) -> BTreeMap<String, String> {
    let mut skip = BTreeMap::new();
    for name in file.keys("smoke", "skip") {
        if !CHECKS.contains(&name.as_str()) {
            let near = nearest(&name).join(", ");
            let message = format!("there is no such check: {near}, … (`smoke-test --list`)");
            file.mistake("smoke.skip", &name, message);
        } else if let Some(reason) = file.string("smoke.skip", &name) {
            skip.insert(name, reason);
        }
    }
    skip
}

/// The three checks whose names are spelled most like `name`.
fn nearest(name: &str) -> Vec<&'static str> {
    let mut names = CHECKS.to_vec();
    names.sort_by_key(|known| distance(name, known));
    names.truncate(3);
    names
}

/// How many characters are to be put in, left out or replaced to make one text of the other
/// (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.chars().enumerate() {
            let replaced = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = replaced.min(corner + 1).min(row[j] + 1);
        }
    }
    row.pop().unwrap_or_default()
}

/// Adds what the text of [`PATH`] asks for.
///
/// # Errors
/// All mistakes at once, sorted by line.
pub(super) fn add(smoke: Smoke, text: &str) -> Result<Smoke, Vec<Mistake>> {
    let mut file = ConfigFile::parse(text);
    file.only_tables(&["smoke"]);
    file.only_keys("smoke", &OWN);
    let smoke = Smoke {
        hashed_static: file.typed("smoke", "hashed_static").unwrap_or_default(),
        health: file.typed("smoke", "health").unwrap_or_default(),
        environment: file.environment("smoke"),
        prepare: file.typed("smoke", "prepare").unwrap_or_default(),
        http: file.each("smoke", "http"),
        exec: file.each("smoke", "exec"),
        websocket: file.typed("smoke", "websocket"),
        slow: file.typed("smoke", "slow"),
        ..smoke
    };
    file.into_result(smoke)
}
