//! What one server runs in production, as plain data. The file of Compose and the units of Quadlet
//! are two spellings of it.

use crate::config::Config;
use crate::config::app::filled;
use crate::config::smoke::Role;
use crate::surroundings::Surroundings;

/// Where containers find their secrets.
pub const SECRETS: &str = "/run/secrets";
/// The most processes of a hardened container.
pub const PIDS: u32 = 200;
/// How often PostgreSQL and Redis are asked whether they are healthy, how long they may take, and
/// how often they may fail. The application's image has such numbers itself.
pub const HEALTH: (&str, &str, u32) = ("5s", "5s", 12);

/// What web, worker and beat start after.
pub const AFTER: [&str; 3] = ["postgres", "redis", "migrate"];
/// The seconds that a container of the application has to end.
const GRACE: u32 = 30;

/// A request's body is written there before a view sees it: as much as the memory limit bears.
const TMP: &str = "/tmp:size=256m";

/// Tasks wait in Redis: its file has each of them, to the last second, in the working folder, which
/// the official image hands over to its user. The rest is what that image does by default.
const REDIS: [&str; 7] =
    ["redis-server", "--bind", "0.0.0.0", "--protected-mode", "no", "--appendonly", "yes"];

/// The variables that the topology decides, whatever `[app.environment]` says for a test.
const OURS: [&str; 4] = ["DB_NAME", "DB_USER", "MIGRATE", "STOP_GRACE_PERIOD"];

/// The placeholders that stand for a secret.
const SECRET: [&str; 4] = ["db_password", "database_url", "secret_key", "fernet_key"];

/// The services of one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// The last part of the image's name. The database and its user have this name as well.
    pub project: String,
    /// Each variable that is a secret, and the name of the secret.
    pub secrets: Vec<(String, String)>,
    /// In the order in which they start.
    pub services: Vec<Service>,
}

/// One container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Its name in the network.
    pub name: &'static str,
    /// Its image, if that isn't the application's, and the variable that replaces it in Compose.
    pub official: Option<(&'static str, String)>,
    /// The command; none is the image's own.
    pub command: Vec<String>,
    /// Its variables.
    pub environment: Vec<(String, Value)>,
    /// The secrets that it reads.
    pub secrets: Vec<String>,
    /// The port that the server publishes on its loopback address.
    pub port: Option<u16>,
    /// Its volume, and the folder of that.
    pub volume: Option<(&'static str, String)>,
    /// The working folder; none is the image's own.
    pub folder: Option<&'static str>,
    /// The tmpfs of a read-only root file system without capabilities. Without one it isn't so
    /// hardened: it can do what the image needs.
    pub tmpfs: Option<&'static str>,
    /// The capabilities that a hardened container has.
    pub capabilities: &'static [&'static str],
    /// The size of /dev/shm; none is the engine's default.
    pub shm: Option<&'static str>,
    /// The memory limit.
    pub memory: &'static str,
    /// The health check; none is the image's own.
    pub health: Vec<String>,
    /// The seconds from SIGTERM to SIGKILL; none is the engine's default.
    pub grace: Option<u32>,
    /// Whether it ends once its work is done.
    pub once: bool,
    /// The services that start before it.
    pub after: Vec<&'static str>,
}

/// The value of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// The same on every server.
    Fixed(String),
    /// The name of the project's database and of its user.
    Database,
    /// Says where PostgreSQL or Redis is.
    Place(String),
    /// Of each server another; this one is for a trial.
    Server(&'static str),
    /// Written in `docker/image.toml`; a server may have another.
    Default(String),
    /// The path of a secret's file.
    Secret(String),
}

impl Topology {
    /// Without PostgreSQL and Redis, and without the variables that say where those are.
    pub fn without_services(mut self) -> Topology {
        self.services.retain(|one| one.official.is_none());
        let names: Vec<&str> = self.services.iter().map(|one| one.name).collect();
        for one in &mut self.services {
            one.after.retain(|name| names.contains(name));
            one.environment
                .retain(|(_, value)| !matches!(value, Value::Database | Value::Place(_)));
        }
        self
    }
}

/// The topology of a project.
pub fn of(config: &Config) -> Topology {
    let project = config.image.name.rsplit('/').next().unwrap_or_default().to_owned();
    let secrets = secrets(config);
    let application = Service {
        environment: environment(config, &project, &secrets),
        secrets: secrets.iter().map(|(_, secret)| secret.clone()).collect(),
        tmpfs: Some(TMP),
        memory: "1g",
        grace: Some(GRACE),
        after: AFTER.to_vec(),
        ..Service::default()
    };
    let mut services = vec![postgres(config, &project), redis(config)];
    services.extend(roles(config, &application));
    Topology { project, secrets, services }
}

/// `migrate`, and the roles that the project has.
fn roles(config: &Config, application: &Service) -> Vec<Service> {
    let has = |role: Role| config.smoke.roles.contains(&role);
    let role = |name, command: &str| Service {
        name,
        command: vec![command.to_owned()],
        ..application.clone()
    };
    let mut all =
        vec![Service { once: true, after: AFTER[..2].to_vec(), ..role("migrate", "migrate") }];
    all.push(Service {
        port: Some(8000),
        volume: Some(("media", "/app/media".to_owned())),
        // Both serve HTTP; one is enough.
        ..role("web", if has(Role::Web) { "web" } else { "gunicorn" })
    });
    if has(Role::Worker) {
        all.push(role("worker", "worker"));
    }
    if has(Role::Beat) {
        let volume = Some(("schedule", format!("/var/lib/{}", config.app.module)));
        all.push(Service { volume, memory: "256m", ..role("beat", "beat") });
    }
    all
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

fn postgres(config: &Config, project: &str) -> Service {
    let variable = |name: &str, value| (name.to_owned(), value);
    Service {
        name: "postgres",
        official: Some(("POSTGRES_IMAGE", config.services.postgres.clone())),
        environment: vec![
            variable("POSTGRES_USER", Value::Database),
            variable("POSTGRES_DB", Value::Database),
            variable("POSTGRES_PASSWORD_FILE", Value::Secret("db-password".to_owned())),
        ],
        secrets: words(&["db-password"]),
        volume: Some(("database", "/var/lib/postgresql/data".to_owned())),
        shm: Some("128m"),
        memory: "1g",
        health: words(&["pg_isready", "--username", project]),
        grace: Some(60),
        ..Service::default()
    }
}

fn redis(config: &Config) -> Service {
    let folder = "/var/lib/redis";
    Service {
        name: "redis",
        official: Some(("REDIS_IMAGE", config.services.redis.clone())),
        command: words(&REDIS),
        folder: Some(folder),
        volume: Some(("redis", folder.to_owned())),
        tmpfs: Some("/tmp"),
        // The official image begins as root, to hand its volume over.
        capabilities: &["CHOWN", "DAC_OVERRIDE", "SETGID", "SETUID"],
        memory: "512m",
        health: words(&["redis-cli", "ping"]),
        ..Service::default()
    }
}

/// The names that are secrets, and of their files.
fn secrets(config: &Config) -> Vec<(String, String)> {
    let app = &config.app;
    let password = "DB_PASSWORD".to_owned();
    let required = app.required_environment.iter().filter(|name| **name != password).cloned();
    let required = required.chain([password.clone()]);
    let holds = |text: &str| SECRET.iter().any(|name| text.contains(&format!("{{{name}}}")));
    let told = app.environment.iter().filter(|(_, text)| holds(text));
    let mut names: Vec<String> = required.collect();
    for (name, _) in told {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names.into_iter().map(|name| (name.clone(), name.to_lowercase().replace('_', "-"))).collect()
}

/// The variables of the application.
fn environment(
    config: &Config,
    project: &str,
    secrets: &[(String, String)],
) -> Vec<(String, Value)> {
    let around = Surroundings {
        postgres: "postgres".to_owned(),
        redis: "redis".to_owned(),
        database: project.to_owned(),
        user: project.to_owned(),
        password: String::new(),
        key: String::new(),
    };
    let mut all = vec![("DB_NAME".to_owned(), Value::Database)];
    all.push(("DB_USER".to_owned(), Value::Database));
    for (name, text) in &config.app.environment {
        if !OURS.contains(&name.as_str()) {
            // Without a placeholder nothing is asked for.
            let value = match filled(text, &|_| None) {
                // No file of variables has a value of several lines.
                Ok(text) if text.contains('\n') => Value::Fixed(text),
                Ok(text) => Value::Default(text),
                Err(_) => Value::Place(around.filled(text)),
            };
            all.push((name.clone(), value));
        }
    }
    for (name, secret) in secrets {
        all.push((format!("{name}_FILE"), Value::Secret(secret.clone())));
    }
    let server = [("ALLOWED_HOSTS", "localhost,127.0.0.1"), ("CSRF_TRUSTED_ORIGINS", "")];
    for (name, default) in server.into_iter().chain([("HTTPS_ONLY", "")]) {
        if !config.app.environment.contains_key(name) {
            all.push((name.to_owned(), Value::Server(default)));
        }
    }
    for (name, value) in [("MIGRATE", 0), ("STOP_GRACE_PERIOD", GRACE)] {
        all.push((name.to_owned(), Value::Fixed(value.to_string())));
    }
    // The entrypoint refuses a variable that comes both ways.
    let secret = |name: &str| secrets.iter().any(|(secret, _)| secret == name);
    let file = |name: &str| name.strip_suffix("_FILE").is_some_and(secret);
    all.retain(|(name, value)| !secret(name) && (!file(name) || matches!(value, Value::Secret(_))));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_without_keys_of_its_own_has_only_the_database_s_secret() {
        let text = include_str!("../../../../docker/image.toml");
        let keys = "# required_environment = [\"SECRET_KEY\", \"FIELD_ENCRYPTION_KEY\"]";
        assert!(text.contains(keys));
        let text = text.replace(keys, "required_environment = [\"A_KEY\"]");
        let all = of(&crate::config::parse(&text).unwrap()).secrets;
        let pair = |name: &str, file: &str| (name.to_owned(), file.to_owned());
        assert_eq!(all, [pair("A_KEY", "a-key"), pair("DB_PASSWORD", "db-password")]);
    }
}
