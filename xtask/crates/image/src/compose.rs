//! The files of Compose, made from the same values as `dev` and the image.

use crate::config::Config;
use crate::plan::dev::{self, DevFacts, User};
use crate::topology::{self, HEALTH, PIDS, SECRETS, Service, Value};
use engine::containers::{Container, Mount};
use std::fmt::Write as _;
use std::path::Path;

/// What each of the files begins with.
pub const HEAD: &str =
    "# Written by `cargo xtask export compose` from docker/image.toml: an edit here is undone.\n";

const PRODUCTION: &str = "\
# One host. docs/environment.md lists the variables; a file that is named twice has them: Compose fills
# in what is written with ${…} here, and gives the containers the rest.
#
#   cargo xtask build
#   mkdir -m 711 docker/secrets      # one file for each secret, readable by the user 1000
#   ENV_FILE=$PWD/site.env docker compose --env-file site.env --file docker/compose.yaml up --wait
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

/// Asks whether Django's own server answers on the path of the health check.
fn ask(config: &Config) -> String {
    let url = format!("http://127.0.0.1:8000{}", config.health.path);
    format!("from urllib.request import urlopen; urlopen('{url}', timeout=4)")
}

/// One line of YAML: JSON's strings are also YAML's (yaml.org 1.2.2, 1.3).
fn text(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

/// A word without quotes, unless YAML takes it for something else (`null`, `1.0`).
fn word(word: &str) -> String {
    let other = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let plain = word.starts_with(|c: char| c.is_ascii_alphabetic() && !other.contains(&word));
    if plain { word.to_owned() } else { text(word) }
}

/// The name of a project, which has no dots (the Compose specification).
fn project_name(project: &str, end: &str) -> String {
    word(&(project.replace('.', "-") + end))
}

/// A value that Compose takes as it is.
fn literal(value: &str) -> String {
    text(&value.replace('$', "$$"))
}

/// A value that a variable replaces; no form of a default has these two signs.
fn replaceable(name: &str, default: &str) -> String {
    match default.contains(['$', '}']) {
        true => literal(default),
        false => text(&format!("${{{name}:-{default}}}")),
    }
}

fn list(values: &[&str]) -> String {
    format!("[{}]", values.iter().map(|value| text(value)).collect::<Vec<_>>().join(", "))
}

/// A list of words; one alone needs no quotes.
fn words(words: &[String]) -> String {
    match words {
        [word] => format!("[{word}]"),
        _ => list(&words.iter().map(String::as_str).collect::<Vec<_>>()),
    }
}

/// An image that a variable replaces, for machines without a registry.
fn unquoted(variable: &str, reference: &str) -> String {
    format!("${{{variable}:-{reference}}}")
}

/// An engine keeps logs without an end otherwise. Podman's json-file is its k8s-file.
const LOGS: &str = "    logging: {driver: json-file, options: {max-size: 10m, max-file: \"3\"}}\n";

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

fn health(yaml: &mut String, test: &[&str]) {
    let (interval, timeout, retries) = HEALTH;
    let test = list(&[&["CMD"], test].concat());
    let _ = write!(
        yaml,
        "    healthcheck:\n      test: {test}\n      interval: {interval}\n      timeout: {timeout}\n      retries: {retries}\n"
    );
}

fn after(yaml: &mut String, services: &[&str]) {
    yaml.push_str("    depends_on:\n");
    for service in services {
        let ends = *service == "migrate";
        let condition = if ends { "service_completed_successfully" } else { "service_healthy" };
        let _ = writeln!(yaml, "      {service}: {{condition: {condition}}}");
    }
}

/// `docker/compose.yaml`.
pub fn production(config: &Config) -> String {
    let all = topology::of(config);
    let name = project_name(&all.project, "");
    let mut yaml = format!("{HEAD}{PRODUCTION}name: {name}\n\nservices:\n");
    for one in &all.services {
        what_runs(&mut yaml, one, &all.project, &config.image.name);
        how_it_runs(&mut yaml, one);
    }
    yaml.push_str(PROXY);
    yaml.push_str("\nvolumes:\n");
    let volumes =
        all.services.iter().filter_map(|one| one.volume.as_ref()).map(|(volume, _)| *volume);
    for volume in volumes.chain(["certificates"]) {
        let _ = writeln!(yaml, "  {volume}:");
    }
    yaml.push_str("\nsecrets:\n");
    for (_, secret) in &all.secrets {
        let _ = writeln!(yaml, "  {secret}: {{file: \"${{SECRETS:-./secrets}}/{secret}\"}}");
    }
    yaml
}

/// The image of a service, its command, variables, ports and volumes.
fn what_runs(yaml: &mut String, one: &Service, project: &str, image: &str) {
    let image = match &one.official {
        Some((variable, reference)) => unquoted(variable, reference),
        None => format!("${{IMAGE:-{image}:prod}}"),
    };
    let _ = writeln!(yaml, "  {}:\n    image: {}", one.name, text(&image));
    if !one.command.is_empty() {
        let _ = writeln!(yaml, "    command: {}", words(&one.command));
    }
    if one.official.is_none() {
        yaml.push_str("    env_file: [\"${ENV_FILE:-/dev/null}\"]\n");
    }
    if !one.environment.is_empty() {
        yaml.push_str("    environment:\n");
    }
    for (name, value) in &one.environment {
        let value = match value {
            Value::Fixed(value) | Value::Place(value) => literal(value),
            Value::Database => word(project),
            Value::Server(default) => replaceable(name, default),
            Value::Default(default) => replaceable(name, default),
            Value::Secret(secret) => format!("{SECRETS}/{secret}"),
        };
        let _ = writeln!(yaml, "      {name}: {value}");
    }
    if !one.secrets.is_empty() {
        let _ = writeln!(yaml, "    secrets: {}", words(&one.secrets));
    }
    if let Some(port) = one.port {
        let _ = writeln!(yaml, "    ports: [\"127.0.0.1:${{PORT:-{port}}}:{port}\"]");
    }
    if let Some(folder) = one.folder {
        let _ = writeln!(yaml, "    working_dir: {folder}");
    }
    if let Some((volume, folder)) = &one.volume {
        let _ = writeln!(yaml, "    volumes: [\"{volume}:{folder}\"]");
    }
}

/// The bounds of a service, how it ends and starts again, and when it is healthy.
fn how_it_runs(yaml: &mut String, one: &Service) {
    let restart = if one.once { "\"no\"" } else { "unless-stopped" };
    let restart = format!("    restart: {restart}\n");
    let options = "    security_opt: [\"no-new-privileges:true\"]\n";
    // YAML leaves the order of keys free; this one keeps the file as it has been.
    if one.grace.is_none() {
        yaml.push_str(&restart);
    }
    if let Some(tmpfs) = one.tmpfs {
        let tmpfs = list(&[tmpfs]);
        let _ = write!(
            yaml,
            "    read_only: true\n{LOGS}    cap_drop: [ALL]\n{options}    tmpfs: {tmpfs}\n"
        );
    } else {
        yaml.push_str(options);
    }
    if let Some(size) = one.shm {
        let _ = writeln!(yaml, "    shm_size: {size}");
    }
    let _ = writeln!(yaml, "    mem_limit: {}", one.memory);
    if one.tmpfs.is_some() {
        let _ = writeln!(yaml, "    pids_limit: {PIDS}");
    }
    if !one.capabilities.is_empty() {
        let _ = writeln!(yaml, "    cap_add: [{}]", one.capabilities.join(", "));
    }
    if let Some(seconds) = one.grace {
        let _ = write!(yaml, "    stop_grace_period: {seconds}s\n{restart}");
    }
    if one.tmpfs.is_none() {
        yaml.push_str(LOGS);
    }
    if !one.health.is_empty() {
        health(yaml, &one.health.iter().map(String::as_str).collect::<Vec<_>>());
    }
    // `migrate` waits for PostgreSQL itself: Podman 4.3 starts no container that needs one which needs
    // another.
    if !one.once && !one.after.is_empty() {
        after(yaml, &one.after);
    }
}

/// `docker/compose.dev.yaml`: the containers of `cargo xtask dev`.
pub fn development(config: &Config) -> String {
    let top = Path::new("..");
    let facts = DevFacts {
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
    let name = project_name(project, "-dev");
    let mut yaml = format!("{HEAD}{DEVELOPMENT}name: {name}\n\nservices:\n");
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
        let _ = writeln!(yaml, "      {variable}: {}", literal(&short(value)));
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
        "postgres" => health(yaml, &["pg_isready"]),
        "redis" => health(yaml, &["redis-cli", "ping"]),
        "migrate" => {}
        _ => {
            after(yaml, &topology::AFTER);
            if name == "web" {
                // The image's own check knows the roles of production alone.
                health(yaml, &["python", "-c", ask]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_value_arrives_as_it_is_written_and_once() {
        let text = include_str!("../../../../docker/image.toml");
        let own = "[app.environment]\nPRICE = \"$5\"\nHOST = \"a.example\"\nMIGRATE = \"1\"\n\
                   CSRF_TRUSTED_ORIGINS = \"https://a\"\nDB_PASSWORD_FILE = \"/x\"\nTOKEN = \"x\"\n";
        let text = text.replace("# [app.environment]\n", own);
        let required = "required_environment = [\"DB_PASSWORD\", \"ALLOWED_HOSTS\", \"TOKEN\", ";
        let text = text.replace("# required_environment = [", required);
        let text = text.replace("\nname = \"senex_trader\"\n", "\nname = \"x/null\"\n");
        let yaml = production(&crate::config::parse(&text).unwrap());
        for line in [
            "name: \"null\"\n",
            "      PRICE: \"$$5\"\n",
            "      HOST: \"${HOST:-a.example}\"\n",
            "      MIGRATE: \"0\"\n",
            "      CSRF_TRUSTED_ORIGINS: \"${CSRF_TRUSTED_ORIGINS:-https://a}\"\n",
            "      DB_PASSWORD_FILE: /run/secrets/db-password\n",
            "      TOKEN_FILE: /run/secrets/token\n",
        ] {
            assert!(yaml.contains(line), "{line}\n{yaml}");
        }
        assert!(!yaml.contains("      TOKEN:") && !yaml.contains("      ALLOWED_HOSTS:"), "{yaml}");
        for service in yaml.split("    image:") {
            let mut keys: Vec<&str> = service
                .lines()
                .filter_map(|line| line.split_once(": "))
                .map(|pair| pair.0)
                .collect();
            keys.sort_unstable();
            let all = keys.len();
            keys.dedup();
            assert_eq!(keys.len(), all, "{service}");
        }
    }
}
