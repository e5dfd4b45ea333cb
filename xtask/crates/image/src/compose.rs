//! The files of Compose, made from the same values as `dev` and the image.

use crate::config::Config;
use crate::config::smoke::Role;
use crate::plan::dev::{self, Facts, User};
use crate::surroundings::Surroundings;
use engine::containers::{Container, Mount};
use std::fmt::Write as _;
use std::path::Path;

/// What each of the files begins with.
pub const HEAD: &str =
    "# Written by `cargo xtask export compose` from docker/image.toml: an edit here is undone.\n";

const PRODUCTION: &str = "\
# One host. docs/environment.md lists the variables; they come from the file ENV_FILE.
#
#   cargo xtask build
#   mkdir -m 711 docker/secrets      # one file for each secret, readable by the user 1000
#   docker compose --file docker/compose.yaml up --wait
#
# `--profile proxy` adds Caddy, which ends TLS for SITE and refuses large bodies (docker/Caddyfile);
# without it, put a proxy of your own before 127.0.0.1:PORT. What is yours goes into a file of your
# own, after this one: `--file docker/compose.yaml --file docker/compose.own.yaml`. Nothing writes there.
";

const DEVELOPMENT: &str = "\
# The site from the checkout, for those who want Compose. `cargo xtask dev` does more: docs/dev.md.
#
#   cargo xtask build --dev
#   docker compose --file docker/compose.dev.yaml up
#
# Docker and root's Podman, if you aren't 1000:1000: DEV_USER=$(id -u):$(id -g), for root also ALLOW_ROOT=1.
";

/// What web, worker and beat come after. `migrate` comes after nothing and waits for PostgreSQL itself:
/// Podman 4.3 starts no container that needs one which needs another.
const ROLE: [(&str, &str); 3] = [
    ("postgres", "service_healthy"),
    ("redis", "service_healthy"),
    ("migrate", "service_completed_successfully"),
];

/// Asks whether Django's own server answers on the path of the health check.
fn ask(config: &Config) -> String {
    let url = format!("http://127.0.0.1:8000{}", config.health.path);
    format!("from urllib.request import urlopen; urlopen('{url}', timeout=4)")
}

/// Where Compose mounts secrets.
const SECRETS: &str = "/run/secrets";

/// One line of YAML: JSON's strings are also YAML's (yaml.org 1.2.2, 1.3).
fn text(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

fn list(values: &[&str]) -> String {
    format!("[{}]", values.iter().map(|value| text(value)).collect::<Vec<_>>().join(", "))
}

/// An image that a variable replaces, for machines without a registry.
fn unquoted(variable: &str, reference: &str) -> String {
    format!("${{{variable}:-{reference}}}")
}

fn service_image(variable: &str, reference: &str) -> String {
    text(&unquoted(variable, reference))
}

/// The names that are secrets, and of their files.
fn secrets(config: &Config) -> Vec<(String, String)> {
    let app = &config.app;
    let required = app.required_environment.iter().cloned().chain(["DB_PASSWORD".to_owned()]);
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

/// The placeholders that stand for a secret.
const SECRET: [&str; 4] = ["db_password", "database_url", "secret_key", "fernet_key"];

/// An engine keeps logs without an end otherwise. Podman's json-file is its k8s-file.
const LOGS: &str = "    logging: {driver: json-file, options: {max-size: 10m, max-file: \"3\"}}\n";

/// A request's body is written there before a view sees it: as much as the memory limit bears.
const TMP: &str = "/tmp:size=256m";

/// Tasks wait in Redis: its file has each of them, to the last second, in the working folder, which
/// the official image hands over to its user. The rest is what that image does by default.
const REDIS: [&str; 7] =
    ["redis-server", "--bind", "0.0.0.0", "--protected-mode", "no", "--appendonly", "yes"];

/// Caddy, for who has no proxy. It sets `X-Forwarded-Proto`, and writes certificates into its volume.
const PROXY: &str = "  proxy:
    image: \"${PROXY_IMAGE:-docker.io/library/caddy:2}\"
    profiles: [proxy]
    environment: {SITE: \"${SITE:-localhost}\"}
    ports: [\"80:80\", \"443:443\"]
    volumes: [\"./Caddyfile:/etc/caddy/Caddyfile:ro\", \"certificates:/data\"]
    restart: unless-stopped
    depends_on:
      web: {condition: service_healthy}
";

/// What every container of production is held to.
fn held(yaml: &mut String, memory: &str, writable: &[&str]) {
    let _ = write!(
        yaml,
        "    read_only: true\n{LOGS}    cap_drop: [ALL]\n    security_opt: [\"no-new-privileges:true\"]\n    tmpfs: {}\n    mem_limit: {memory}\n    pids_limit: 200\n",
        list(writable)
    );
}

fn health(yaml: &mut String, test: &[&str]) {
    let _ = write!(
        yaml,
        "    healthcheck:\n      test: {}\n      interval: 5s\n      timeout: 5s\n      retries: 12\n",
        list(test)
    );
}

fn after(yaml: &mut String, conditions: &[(&str, &str)]) {
    yaml.push_str("    depends_on:\n");
    for (service, condition) in conditions {
        let _ = writeln!(yaml, "      {service}: {{condition: {condition}}}");
    }
}

/// `docker/compose.yaml`.
pub fn production(config: &Config) -> String {
    let (name, secrets) = (&config.image.name, secrets(config));
    let project = name.rsplit('/').next().unwrap_or(name);
    let mut yaml = format!("{HEAD}{PRODUCTION}name: {project}\n\nservices:\n");
    let _ = write!(
        yaml,
        "  postgres:\n    image: {}\n    environment:\n      POSTGRES_USER: {project}\n      POSTGRES_DB: {project}\n      POSTGRES_PASSWORD_FILE: {SECRETS}/db-password\n    secrets: [db-password]\n    volumes: [\"database:/var/lib/postgresql/data\"]\n    security_opt: [\"no-new-privileges:true\"]\n    shm_size: 128m\n    mem_limit: 1g\n    stop_grace_period: 60s\n    restart: unless-stopped\n{LOGS}",
        service_image("POSTGRES_IMAGE", &config.services.postgres)
    );
    health(&mut yaml, &["CMD", "pg_isready", "--username", project]);
    let _ = write!(
        yaml,
        "  redis:\n    image: {}\n    command: {}\n    working_dir: /var/lib/redis\n    volumes: [\"redis:/var/lib/redis\"]\n    restart: unless-stopped\n",
        service_image("REDIS_IMAGE", &config.services.redis),
        list(&REDIS)
    );
    held(&mut yaml, "512m", &["/tmp"]);
    // The official image begins as root, to hand its volume over.
    yaml.push_str("    cap_add: [CHOWN, DAC_OVERRIDE, SETGID, SETUID]\n");
    health(&mut yaml, &["CMD", "redis-cli", "ping"]);
    let around = Surroundings {
        postgres: "postgres".to_owned(),
        redis: "redis".to_owned(),
        database: project.to_owned(),
        user: project.to_owned(),
        password: String::new(),
        key: String::new(),
    };
    let has = |role: Role| config.smoke.roles.contains(&role);
    // Both serve HTTP; one is enough.
    let server = if has(Role::Web) { "web" } else { "gunicorn" };
    for role in ["migrate", "web", "worker", "beat"] {
        if role == "worker" && !has(Role::Worker) || role == "beat" && !has(Role::Beat) {
            continue;
        }
        let command = if role == "web" { server } else { role };
        let _ = write!(
            yaml,
            "  {role}:\n    image: \"${{IMAGE:-{name}:prod}}\"\n    command: [{command}]\n    env_file: [\"${{ENV_FILE:-/dev/null}}\"]\n    environment:\n      DB_NAME: {project}\n      DB_USER: {project}\n"
        );
        let known = |name: &str| ["DB_NAME", "DB_USER", "ALLOWED_HOSTS"].contains(&name);
        for (variable, value) in &config.app.environment {
            if !known(variable) && !secrets.iter().any(|(name, _)| name == variable) {
                let _ = writeln!(yaml, "      {variable}: {}", text(&around.filled(value)));
            }
        }
        for (variable, file) in &secrets {
            let _ = writeln!(yaml, "      {variable}_FILE: {SECRETS}/{file}");
        }
        for (variable, default) in [
            ("ALLOWED_HOSTS", "localhost,127.0.0.1"),
            ("CSRF_TRUSTED_ORIGINS", ""),
            ("HTTPS_ONLY", ""),
        ] {
            let _ = writeln!(yaml, "      {variable}: \"${{{variable}:-{default}}}\"");
        }
        let _ = writeln!(yaml, "      MIGRATE: \"0\"\n      STOP_GRACE_PERIOD: \"30\"");
        let files: Vec<&str> = secrets.iter().map(|(_, file)| file.as_str()).collect();
        let _ = writeln!(yaml, "    secrets: {}", list(&files));
        if role == "web" {
            yaml.push_str("    ports: [\"127.0.0.1:${PORT:-8000}:8000\"]\n    volumes: [\"media:/app/media\"]\n");
        }
        let module = &config.app.module;
        if role == "beat" {
            let _ = writeln!(yaml, "    volumes: [\"schedule:/var/lib/{module}\"]");
        }
        held(&mut yaml, if role == "beat" { "256m" } else { "1g" }, &[TMP]);
        yaml.push_str("    stop_grace_period: 30s\n");
        if role == "migrate" {
            yaml.push_str("    restart: \"no\"\n");
        } else {
            yaml.push_str("    restart: unless-stopped\n");
            after(&mut yaml, &ROLE);
        }
    }
    yaml.push_str(PROXY);
    yaml.push_str(
        "\nvolumes:\n  database:\n  redis:\n  media:\n  schedule:\n  certificates:\n\nsecrets:\n",
    );
    for (_, file) in &secrets {
        let _ = writeln!(yaml, "  {file}: {{file: \"${{SECRETS:-./secrets}}/{file}\"}}");
    }
    yaml
}

/// `docker/compose.dev.yaml`: the containers of `cargo xtask dev`.
pub fn development(config: &Config) -> String {
    let top = Path::new("..");
    let facts = Facts {
        config,
        top,
        image: format!("${{IMAGE:-{}:dev}}", config.image.name),
        services: [
            unquoted("POSTGRES_IMAGE", &config.services.postgres),
            unquoted("REDIS_IMAGE", &config.services.redis),
        ],
        user: User::Numbers(1000, 1000),
        selinux: false,
        port: config.dev_site.port,
        hosts: Vec::new(),
    };
    let project = config.image.name.rsplit('/').next().unwrap_or_default();
    let mut yaml = format!("{HEAD}{DEVELOPMENT}name: {project}-dev\n\nservices:\n");
    // In Compose a service has its own name, and the project's before the container's.
    let short = |value: &str| value.replace(&dev::name(top, ""), "");
    let all = [&facts.services()[..], &[facts.migrate()], &facts.roles()].concat();
    for container in &all {
        service(&mut yaml, container, &short, &ask(config));
    }
    yaml.push_str("\nvolumes:\n  postgres:\n");
    yaml
}

fn service(yaml: &mut String, container: &Container, short: &dyn Fn(&str) -> String, ask: &str) {
    let name = short(&container.name);
    let _ = write!(yaml, "  {name}:\n    image: {}\n", text(&container.image));
    let words: Vec<&str> = container.words.iter().map(String::as_str).collect();
    if !words.is_empty() {
        let _ = writeln!(yaml, "    command: {}", list(&words));
    }
    let ours = container.user.is_some();
    if ours {
        yaml.push_str("    user: \"${DEV_USER:-1000:1000}\"\n");
    }
    if !container.env.is_empty() {
        yaml.push_str("    environment:\n");
    }
    for (variable, value) in &container.env {
        let _ = writeln!(yaml, "      {variable}: {}", text(&short(value)));
    }
    if ours {
        yaml.push_str("      ALLOW_ROOT: \"${ALLOW_ROOT:-}\"\n");
    }
    let mounts = container.mounts.iter().map(|Mount { from, to, read_only, .. }| {
        format!("{from}:{to}{}", if *read_only { ":ro" } else { "" })
    });
    let volumes: Vec<String> =
        container.volumes.iter().map(|volume| short(volume)).chain(mounts).collect();
    if !volumes.is_empty() {
        let volumes: Vec<&str> = volumes.iter().map(String::as_str).collect();
        let _ = writeln!(yaml, "    volumes: {}", list(&volumes));
    }
    if let (Some(port), Some(host)) = (container.publish, container.host_port) {
        let _ = writeln!(yaml, "    ports: [\"127.0.0.1:${{PORT:-{host}}}:{port}\"]");
    }
    match name.as_str() {
        "postgres" => health(yaml, &["CMD", "pg_isready"]),
        "redis" => health(yaml, &["CMD", "redis-cli", "ping"]),
        "migrate" => {}
        _ => {
            after(yaml, &ROLE);
            if name == "web" {
                // The image's own check knows the roles of production alone.
                health(yaml, &["CMD", "python", "-c", ask]);
            }
        }
    }
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
        let all = secrets(&crate::config::parse(&text).unwrap());
        let pair = |name: &str, file: &str| (name.to_owned(), file.to_owned());
        assert_eq!(all, [pair("A_KEY", "a-key"), pair("DB_PASSWORD", "db-password")]);
    }

    #[test]
    fn a_project_s_own_variables_and_roles_are_there() {
        let text = include_str!("../../../../docker/image.toml");
        let text = text.replace(
            "# [app.environment]\n",
            "[app.environment]\nBROKER = \"{redis_url}\"\nDATABASE_URL = \"{database_url}\"\n",
        );
        let text = text.replace("\n[smoke]\n", "\n[smoke]\nroles = [\"gunicorn\", \"worker\"]\n");
        let yaml = production(&crate::config::parse(&text).unwrap());
        for line in [
            "      BROKER: \"redis://redis:6379/0\"\n",
            "      DATABASE_URL_FILE: /run/secrets/database-url\n",
            "  database-url: {file: \"${SECRETS:-./secrets}/database-url\"}\n",
            "    command: [gunicorn]\n",
        ] {
            assert!(yaml.contains(line), "{line}\n{yaml}");
        }
        assert!(!yaml.contains("  beat:\n"), "{yaml}");
    }
}
