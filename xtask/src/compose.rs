//! The compose files, written from `docker/image.toml` and the plan of `dev`, so that services,
//! environment, ports and volumes stand once: `UPDATE_EXPECT=1 cargo test compose` writes them.

use crate::config::Config;
use crate::config::smoke::Role;
use crate::plan::dev::{self, DATA, DATABASE, DEVELOP, GRACE, PORT};
use crate::smoke;
use expect_test::expect_file;
use std::fmt::Write as _;

/// Seconds between SIGTERM and SIGKILL in production.
const PRODUCTION_GRACE: u64 = 30;

fn quoted(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    format!("[{}]", words.join(", "))
}

/// A map in the form `name: "value"`, indented.
fn map(entries: &[(String, String)], indent: usize) -> String {
    entries.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{:indent$}{name}: \"{value}\"", "");
        text
    })
}

/// PostgreSQL and Redis with `password`, the lines that give the former its password.
fn services(config: &Config, user: &str, password: &str, more: &str) -> String {
    format!(
        "  postgres:
    image: ${{POSTGRES_IMAGE:-{postgres}}}
    environment:
      POSTGRES_USER: \"{user}\"
      POSTGRES_DB: \"{user}\"
{password}    volumes: [\"data:{DATA}\"]
    healthcheck:
      test: [\"CMD-SHELL\", \"pg_isready --host 127.0.0.1 --username {user} --dbname {user}\"]
      interval: 2s
      timeout: 5s
      retries: 30
{more}
  redis:
    image: ${{REDIS_IMAGE:-{redis}}}
    healthcheck:
      test: [\"CMD\", \"redis-cli\", \"ping\"]
      interval: 2s
      timeout: 5s
      retries: 30
{more}",
        postgres = config.services.postgres,
        redis = config.services.redis,
    )
}

/// Waits of a role; podman-compose doesn't wait for health, so every role waits by itself, too.
const WAITS: &str = "    depends_on:
      postgres: { condition: service_healthy }
      redis: { condition: service_healthy }
";
const MIGRATED: &str = "      migrate: { condition: service_completed_successfully }
";

fn health(seconds: u64) -> String {
    format!(
        "    healthcheck:
      test: [\"CMD\", \"/usr/local/lib/container/healthcheck\"]
      interval: {seconds}s
      timeout: 10s
      start_period: 40s
      retries: 3
"
    )
}

fn production(config: &Config) -> String {
    let user = &config.app.module;
    let secrets: Vec<String> =
        smoke::required(&config.app).into_iter().chain(["DB_PASSWORD".to_owned()]).collect();
    let lower: Vec<String> = secrets.iter().map(|name| name.to_lowercase()).collect();
    let environment: Vec<(String, String)> = [
        ("ALLOWED_HOSTS", "${ALLOWED_HOSTS:-localhost,127.0.0.1}"),
        ("CSRF_TRUSTED_ORIGINS", "${CSRF_TRUSTED_ORIGINS:-}"),
        ("DB_HOST", "postgres"),
        ("DB_NAME", user),
        ("DB_USER", user),
        // The service `migrate` does that, once.
        ("MIGRATE", "0"),
        ("REDIS_URL", "redis://redis:6379/0"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into_iter()
    .chain([("STOP_GRACE_PERIOD".to_owned(), PRODUCTION_GRACE.to_string())])
    .chain(
        secrets
            .iter()
            .zip(&lower)
            .map(|(name, file)| (format!("{name}_FILE"), format!("/run/secrets/{file}"))),
    )
    .collect();
    let hardened = "    security_opt: [\"no-new-privileges:true\"]
    restart: unless-stopped
";
    let password = "      POSTGRES_PASSWORD_FILE: /run/secrets/db_password
    secrets: [db_password]
    stop_grace_period: 60s
    mem_limit: 1g
    pids_limit: 200
";
    let mut text = format!(
        "# Production on one machine: docs/dev.md has what to put into the secrets. The same for
# `docker compose` and `podman-compose`.
#
# Written from docker/image.toml by `UPDATE_EXPECT=1 cargo test compose`; a test compares.
name: {name}

x-role: &role
  image: ${{IMAGE:-{image}:prod}}
  environment:
{environment}  secrets: {all}
  read_only: true
  tmpfs: [\"/tmp\"]
  cap_drop: [\"ALL\"]
  security_opt: [\"no-new-privileges:true\"]
  restart: unless-stopped
  stop_grace_period: {PRODUCTION_GRACE}s
  mem_limit: 1g
  pids_limit: 200

services:
{services}",
        name = user.replace('_', "-"),
        image = config.image.name,
        environment = map(&environment, 4),
        all = quoted(&lower),
        services = services(config, user, password, hardened),
    );
    text += "
  # Ends with the migrations; the roles wait for it. It waits for PostgreSQL itself: Podman 4.3
  # starts nothing that needs what needs something.
  migrate:
    <<: *role
    command: [\"migrate\"]
    restart: \"no\"
";
    for role in [Role::Web, Role::Worker, Role::Beat] {
        if !config.smoke.roles.contains(&role) {
            continue;
        }
        let word = role.word();
        let _ = write!(
            text,
            "
  {word}:
    <<: *role
    command: [\"{word}\"]
{WAITS}{MIGRATED}{health}",
            health = health(10)
        );
        text += &match role {
            Role::Web => format!(
                "    ports: [\"127.0.0.1:${{PORT:-{PORT}}}:{PORT}\"]
    volumes: [\"media:/app/media\"]
"
            ),
            Role::Worker => "    volumes: [\"media:/app/media\"]\n".to_owned(),
            _ => format!("    volumes: [\"schedule:/var/lib/{user}\"]\n"),
        };
    }
    text += "
volumes:
  data:
  media:
  schedule:

secrets:
";
    for name in &lower {
        let _ = writeln!(text, "  {name}:\n    file: ${{SECRETS:-./secrets}}/{name}");
    }
    text
}

fn development(config: &Config) -> String {
    let all = dev::environment(config).into_iter().chain(config.development.environment.clone());
    let mut environment: Vec<(String, String)> = all.collect();
    environment.push(("ALLOW_ROOT".to_owned(), "${ALLOW_ROOT:-}".to_owned()));
    environment.sort();
    let password = format!("      POSTGRES_PASSWORD: \"{DATABASE}\"\n");
    let mut text = format!(
        "# The site from the checkout, for those who like compose better than `cargo xtask dev`, which
# builds the image, chooses the port and the user, and does the rest (docs/dev.md).
# APP_UID and APP_GID are those of the checkout's owner; with rootless Podman, \"0\" and ALLOW_ROOT=1.
#
# Written from docker/image.toml by `UPDATE_EXPECT=1 cargo test compose`; a test compares.
name: {name}-dev

x-role: &role
  image: ${{DEV_IMAGE:-{image}:dev}}
  user: \"${{APP_UID:-1000}}:${{APP_GID:-1000}}\"
  group_add: [\"0\"]
  environment:
{environment}  volumes: [\"../app:/app\"]
  stop_grace_period: {GRACE}s

services:
{services}",
        name = config.app.module.replace('_', "-"),
        image = config.image.name,
        environment = map(&environment, 4),
        services = services(config, DATABASE, &password, ""),
    );
    text += "
  # It waits for PostgreSQL itself: Podman 4.3 starts nothing that needs what needs something.
  migrate:
    <<: *role
    command: [\"migrate\"]
";
    for role in &config.development.roles {
        let word = role.word();
        let _ = write!(
            text,
            "
  {word}:
    <<: *role
    command: {command}
{WAITS}{MIGRATED}{health}",
            command = quoted(&dev::words(*role)),
            health = health(5)
        );
        if *role == Role::Web {
            let port = config.development.port;
            let _ = writeln!(text, "    ports: [\"127.0.0.1:${{PORT:-{port}}}:{PORT}\"]");
        }
    }
    text + "\nvolumes:\n  data:\n"
}

#[test]
fn the_compose_files_are_in_step_with_the_plan() {
    let config = crate::config::parse(include_str!("../../docker/image.toml")).unwrap();
    expect_file!["../../docker/compose.yaml"].assert_eq(&production(&config));
    let text = development(&config);
    assert!(text.contains(DEVELOP) && !text.contains("Gunicorn"));
    expect_file!["../../docker/compose.dev.yaml"].assert_eq(&text);
}
