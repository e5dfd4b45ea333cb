//! Units of Quadlet (podman-systemd.unit(5)): one server that follows the tag of an environment.

use crate::config::Config;
use crate::topology::{self, HEALTH, PIDS, SECRETS, Service, Topology, Value};
use std::fmt::Write as _;

/// What each of the files begins with.
pub const HEAD: &str =
    "# Written by `cargo xtask export quadlet` from docker/image.toml: an edit here is undone.\n";

/// The seconds of a start. The first one also pulls the image, and `migrate` may have much to do.
const START: u32 = 900;

/// What systemd waits longer than Podman, which ends a container by SIGKILL.
const MARGIN: u32 = 15;

const ONCE: &str = "\
# Not RemainAfterExit: each start of a role runs it, so that an update migrates before it serves.
Type=oneshot
";

/// Not so fast that systemd gives up (`StartLimitBurst=`) while a registry or a disk is away.
const ALWAYS: &str = "\
Restart=always
RestartSec=5

[Install]
WantedBy=default.target
";

const HEALTHY: &str = "\
# Started means healthy: `podman auto-update` rolls back an update that never gets there.
Notify=healthy
";

/// The files of a server by their names. `image` is the reference that the server follows. Without
/// `services`, PostgreSQL and Redis are elsewhere, and the server's variables say where.
pub fn files(config: &Config, image: &str, services: bool) -> Vec<(String, String)> {
    let all = topology::of(config);
    let all = if services { all } else { all.without_services() };
    let project = &all.project;
    let network = format!("{HEAD}{}\n[Network]\nNetworkName={project}\n", manual(&all, image));
    let mut files = vec![(format!("{project}.network"), network)];
    for one in &all.services {
        files.push((format!("{project}-{}.container", one.name), unit(project, one, image)));
        if let Some((volume, _)) = &one.volume {
            let text = format!("{HEAD}\n[Volume]\nVolumeName={project}-{volume}\n");
            files.push((format!("{project}-{volume}.volume"), text));
        }
    }
    if let Some(lines) = all.services.iter().map(defaults).find(|lines| !lines.is_empty()) {
        files.push((format!("{project}-defaults.env"), format!("{HEAD}{lines}")));
    }
    files
}

/// The variables of a service that the server's own file can replace, a line each.
fn defaults(one: &Service) -> String {
    let line = |(name, value): &(String, Value)| match value {
        Value::Default(value) => format!("{name}={value}\n"),
        _ => String::new(),
    };
    one.environment.iter().map(line).collect()
}

/// How the units come to run.
fn manual(all: &Topology, image: &str) -> String {
    let project = &all.project;
    let (registry, _) = image.split_once('/').unwrap_or_default();
    let (_, environment) = image.rsplit_once(':').unwrap_or_default();
    let create = |(_, secret): &(String, String)| {
        format!("#   podman secret create {project}-{secret} FILE\n")
    };
    let secrets: String = all.secrets.iter().map(create).collect();
    let roles = all.services.iter().filter(|one| one.official.is_none() && !one.once);
    let roles: String = roles.map(|one| format!(" {project}-{}", one.name)).collect();
    format!(
        "\
# One server with systemd and Podman 5.2 or newer. As the user that it runs as:
#
#   loginctl enable-linger
#   podman login --authfile ~/.config/containers/auth.json {registry}    # if it asks for one
{secrets}#   mkdir -p ~/.config/containers/systemd
#   cp {project}.network {project}-* ~/.config/containers/systemd/
#   echo ALLOWED_HOSTS=www.example.com >~/.config/containers/systemd/{project}.env
#   systemctl --user daemon-reload
#   systemctl --user start{roles}
#   systemctl --user enable --now podman-auto-update.timer
#
# {project}.env has the server's variables, NAME=VALUE a line without quotes (docs/environment.md). Put
# a proxy that ends TLS before 127.0.0.1:8000. For root it is /etc/containers/systemd, without --user.
#
# `cargo xtask promote … --to {environment}` moves the tag. The timer looks at it once a day,
# `podman auto-update` at once. What else this server needs goes into drop-in files next to these,
# such as {project}-web.container.d/own.conf: nothing writes there.
"
    )
}

/// The unit of one service.
fn unit(project: &str, one: &Service, image: &str) -> String {
    let mut text = format!("{HEAD}\n[Unit]\nDescription={project} {}\n", one.name);
    if !one.after.is_empty() {
        let names = one.after.iter().map(|name| format!("{project}-{name}.service"));
        let names = names.collect::<Vec<_>>().join(" ");
        // Not `Requires=`: the image waits for the database and its migrations itself, and a role
        // must come back once they do.
        let _ = write!(text, "Wants={names}\nAfter={names}\n");
    }
    let _ = write!(text, "\n[Container]\nContainerName={project}-{}\n", one.name);
    what_runs(&mut text, one, project, image);
    how_it_runs(&mut text, one);
    let _ = writeln!(text, "\n[Service]\nTimeoutStartSec={START}");
    if let Some(seconds) = one.grace {
        let _ = writeln!(text, "TimeoutStopSec={}", seconds + MARGIN);
    }
    text.push_str(if one.once { ONCE } else { ALWAYS });
    text
}

/// The image of a service, its command, variables, ports and volumes.
fn what_runs(text: &mut String, one: &Service, project: &str, image: &str) {
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(text, "{key}={value}");
    };
    match &one.official {
        Some((_, reference)) => line("Image", reference),
        None => {
            line("Image", image);
            if !one.once {
                line("AutoUpdate", "registry");
                // With SIGTERM; then systemd starts it again, or counts its start as failed.
                line("HealthOnFailure", "stop");
            }
            if !defaults(one).is_empty() {
                line("EnvironmentFile", &format!("{project}-defaults.env"));
            }
            line("EnvironmentFile", &format!("{project}.env"));
        }
    }
    if !one.command.is_empty() {
        line("Exec", &one.command.join(" "));
    }
    line("Network", &format!("{project}.network"));
    line("NetworkAlias", one.name);
    for (name, value) in &one.environment {
        let value = match value {
            // `podman run` puts these before what the server's file says.
            Value::Server(_) | Value::Default(_) => continue,
            Value::Fixed(value) | Value::Place(value) => value.clone(),
            Value::Database => project.to_owned(),
            Value::Secret(secret) => format!("{SECRETS}/{secret}"),
        };
        line("Environment", &quoted(&format!("{name}={value}")));
    }
    for secret in &one.secrets {
        line("Secret", &format!("{project}-{secret},target={secret}"));
    }
    if let Some(port) = one.port {
        line("PublishPort", &format!("127.0.0.1:{port}:{port}"));
    }
    if let Some(folder) = one.folder {
        line("WorkingDir", folder);
    }
    if let Some((volume, folder)) = &one.volume {
        line("Volume", &format!("{project}-{volume}.volume:{folder}"));
    }
}

/// The bounds of a service, how it ends, and when it is healthy.
fn how_it_runs(text: &mut String, one: &Service) {
    text.push_str("NoNewPrivileges=true\n");
    if let Some(tmpfs) = one.tmpfs {
        let _ =
            write!(text, "ReadOnly=true\nDropCapability=ALL\nTmpfs={tmpfs}\nPidsLimit={PIDS}\n");
    }
    if !one.capabilities.is_empty() {
        let _ = writeln!(text, "AddCapability={}", one.capabilities.join(" "));
    }
    if let Some(size) = one.shm {
        let _ = writeln!(text, "ShmSize={size}");
    }
    // The key `Memory` is newer than Debian 13's Podman 5.4.
    let _ = writeln!(text, "PodmanArgs=--memory={}", one.memory);
    if let Some(seconds) = one.grace {
        let _ = writeln!(text, "StopTimeout={seconds}");
    }
    if !one.health.is_empty() {
        let ((interval, timeout, retries), test) = (HEALTH, one.health.join(" "));
        let _ = write!(
            text,
            "HealthCmd={test}\nHealthInterval={interval}\nHealthTimeout={timeout}\nHealthRetries={retries}\n"
        );
    }
    if !one.once {
        text.push_str(HEALTHY);
    }
}

/// One word of a unit file (systemd.syntax(7)). What is in there also passes the `ExecStart=` that
/// Quadlet makes of it, where `%` and `$` stand for something.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "=/:._,@+-".contains(c);
    if word.chars().all(plain) {
        return word.to_owned();
    }
    let mut text = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '%' | '$' => text.extend([c, c]),
            '\n' => text.push_str("\\n"),
            _ => text.push(c),
        }
    }
    text + "\""
}

#[cfg(test)]
mod tests;
