//! The place of an engine's builds if that isn't simply here, and what says so. Pure: from recorded
//! answers and the environment.

use process::environment::Environment;
use serde_json::Value;

/// Whether the program must be asked for its connections: a remote Podman whose address no variable
/// holds.
pub fn asks_connections(version: &Value, environment: &Environment) -> bool {
    version["Server"].is_object() && environment.variable("CONTAINER_HOST").is_none()
}

/// The place of a Podman's builds; `None`: here. `connections` is the answer of
/// `podman system connection list --format json`.
pub fn podman(version: &Value, connections: &str, environment: &Environment) -> Option<String> {
    if !version["Server"].is_object() {
        return None;
    }
    if let Some(url) = environment.variable("CONTAINER_HOST") {
        return Some(format!("a remote Podman, {} by CONTAINER_HOST", shown(url)));
    }
    let connections: Value = serde_json::from_str(connections).unwrap_or_default();
    let all = connections.as_array().into_iter().flatten();
    let named = environment.variable("CONTAINER_CONNECTION");
    let chosen = all.clone().find(|one| match named {
        Some(name) => one["Name"] == name,
        None => one["Default"] == true,
    });
    let who = if named.is_some() { " by CONTAINER_CONNECTION" } else { "" };
    let Some(chosen) = chosen else { return Some(format!("a remote Podman{who}")) };
    let (name, url) = (text(&chosen["Name"]), text(&chosen["URI"]));
    // Before `IsMachine` was listed, the default names and the user of the machine's system told.
    let machine = chosen["IsMachine"] == true
        || name.starts_with("podman-machine")
        || url.contains("core@127.0.0.1:")
        || url.contains("core@localhost:");
    Some(if machine {
        format!("the virtual machine of `podman machine`, connection {name}{who}")
    } else {
        format!("a remote Podman, connection {name} ({}){who}", shown(url))
    })
}

/// The context whose host must be asked for, if it isn't the default one.
pub fn context<'a>(version: &'a Value, environment: &Environment) -> Option<&'a str> {
    let context = version["Client"]["Context"].as_str().filter(|name| !name.is_empty());
    context.filter(|name| *name != "default" && environment.variable("DOCKER_HOST").is_none())
}

/// The place of a Docker's builds; `None`: here, at the usual socket. `host` is what
/// `docker context inspect` says of [`context`].
pub fn docker(version: &Value, host: &str, environment: &Environment) -> Option<String> {
    let platform = text(&version["Server"]["Platform"]["Name"]);
    let desktop = platform.contains("Desktop");
    let here = |url: &str| url.starts_with("unix://") || url.starts_with("npipe://");
    let named = match (environment.variable("DOCKER_HOST"), context(version, environment)) {
        // DOCKER_HOST comes before every context.
        (Some(url), _) => {
            let what = if here(url) { "the daemon at" } else { "a remote Docker," };
            Some(format!("{what} {} by DOCKER_HOST", shown(url)))
        }
        (None, Some(name)) if host.is_empty() => Some(format!("the context {name}")),
        (None, Some(name)) => {
            let what = if here(host) { "the daemon" } else { "a remote Docker" };
            Some(format!("{what} of the context {name} ({})", shown(host)))
        }
        (None, None) => None,
    };
    match (desktop, named) {
        (true, Some(named)) => Some(format!("the virtual machine of {platform}, {named}")),
        (true, None) => Some(format!("the virtual machine of {platform}")),
        (false, named) => named,
    }
}

/// The name and driver in the answer of `docker buildx inspect`; `None`: the daemon builds itself.
pub fn builder(answer: &str) -> Option<(String, String)> {
    let value = |key: &str| {
        let value = answer.lines().find_map(|line| line.strip_prefix(key))?.trim();
        (!value.is_empty()).then(|| value.to_owned())
    };
    let (name, driver) = (value("Name:")?, value("Driver:")?);
    (driver != "docker").then_some((name, driver))
}

/// Whether Docker keeps images in containerd's store, as `docker info --format
/// '{{json .DriverStatus}}'` tells: an image ID is the manifest's digest there.
pub fn containerd(status: &str) -> bool {
    let pairs: Vec<(String, String)> = serde_json::from_str(status).unwrap_or_default();
    pairs.iter().any(|(name, value)| name == "driver-type" && value.starts_with("io.containerd."))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A URL without the password that it may hold.
pub(super) fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let Some((user, host)) = authority.rsplit_once('@') else { return url.to_owned() };
    let user = user.split(':').next().unwrap_or_default();
    format!("{scheme}://{user}@{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        let pair = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        Environment { variables: pairs.iter().map(pair).collect() }
    }

    /// As buildx 0.13 and 0.29 print it.
    #[test]
    fn a_builder_that_is_not_the_daemon() {
        let answer = |driver: &str| {
            format!(
                "Name:          ci\nDriver:        {driver}\n\nNodes:\nName:     ci0\nStatus:   inactive\n"
            )
        };
        assert_eq!(builder(&answer("docker")), None);
        assert_eq!(builder(""), None);
        for driver in ["docker-container", "kubernetes", "remote"] {
            assert_eq!(builder(&answer(driver)), Some(("ci".into(), driver.into())));
        }
    }

    #[test]
    fn podman_s_places() {
        let local = r#"{"Client":{"Version":"4.3.1"}}"#;
        let remote = r#"{"Client":{"Version":"5.4.2"},"Server":{"Version":"5.4.2"}}"#;
        let machine = r#"[
            {"Name":"podman-machine-default","URI":"ssh://core@127.0.0.1:50372/run/user/501/podman/podman.sock","Identity":"/k","IsMachine":true,"Default":true},
            {"Name":"podman-machine-default-root","URI":"ssh://root@127.0.0.1:50372/run/podman/podman.sock","IsMachine":true,"Default":false},
            {"Name":"box","URI":"ssh://me:word@box.example/run/podman/podman.sock","IsMachine":false,"Default":false}]"#;
        let old =
            r#"[{"Name":"work","URI":"ssh://core@localhost:4000/run/podman.sock","Default":true}]"#;
        let elsewhere =
            r#"[{"Name":"box","URI":"ssh://me@box.example/run/p.sock","Default":true}]"#;
        let check = |version: &str, connections: &str, pairs: &[(&str, &str)], expected| {
            let version = serde_json::from_str(version).unwrap();
            let found = podman(&version, connections, &environment(pairs));
            assert_eq!(found.as_deref(), expected, "{pairs:?}");
        };
        check(local, "", &[("CONTAINER_HOST", "")], None);
        check(
            remote,
            machine,
            &[],
            Some("the virtual machine of `podman machine`, connection podman-machine-default"),
        );
        check(remote, old, &[], Some("the virtual machine of `podman machine`, connection work"));
        check(
            remote,
            elsewhere,
            &[],
            Some("a remote Podman, connection box (ssh://me@box.example/run/p.sock)"),
        );
        check(
            remote,
            machine,
            &[("CONTAINER_CONNECTION", "box")],
            Some(
                "a remote Podman, connection box (ssh://me@box.example/run/podman/podman.sock) by CONTAINER_CONNECTION",
            ),
        );
        check(
            remote,
            "",
            &[("CONTAINER_HOST", "tcp://me:word@host:1/x")],
            Some("a remote Podman, tcp://me@host:1/x by CONTAINER_HOST"),
        );
        check(remote, "Error: x", &[], Some("a remote Podman"));
    }

    #[test]
    fn docker_s_places() {
        let engine = |context: &str, platform: &str| {
            serde_json::json!({
                "Client": { "Version": "28.5.2", "Context": context },
                "Server": { "Version": "28.5.2", "Platform": { "Name": platform } },
            })
        };
        let community = "Docker Engine - Community";
        let desktop = "Docker Desktop 4.48.0 (207573)";
        let check =
            |context: &str, platform: &str, host: &str, pairs: &[(&str, &str)], expected| {
                let found = docker(&engine(context, platform), host, &environment(pairs));
                assert_eq!(found.as_deref(), expected, "{context} {platform} {pairs:?}");
            };
        check("default", community, "", &[], None);
        check("", "", "", &[], None);
        check(
            "default",
            community,
            "",
            &[("DOCKER_HOST", "ssh://me@box")],
            Some("a remote Docker, ssh://me@box by DOCKER_HOST"),
        );
        check(
            "default",
            community,
            "",
            &[("DOCKER_HOST", "unix:///run/user/1000/docker.sock")],
            Some("the daemon at unix:///run/user/1000/docker.sock by DOCKER_HOST"),
        );
        check(
            "box",
            community,
            "ssh://me@box",
            &[],
            Some("a remote Docker of the context box (ssh://me@box)"),
        );
        check(
            "rootless",
            community,
            "unix:///run/user/1000/docker.sock",
            &[],
            Some("the daemon of the context rootless (unix:///run/user/1000/docker.sock)"),
        );
        check("gone", community, "", &[], Some("the context gone"));
        check(
            "default",
            desktop,
            "",
            &[],
            Some("the virtual machine of Docker Desktop 4.48.0 (207573)"),
        );
        check(
            "desktop-linux",
            desktop,
            "unix:///Users/me/.docker/run/docker.sock",
            &[],
            Some(
                "the virtual machine of Docker Desktop 4.48.0 (207573), the daemon of the context desktop-linux (unix:///Users/me/.docker/run/docker.sock)",
            ),
        );
    }

    #[test]
    fn the_store_of_containerd_says_so() {
        let check = |status: &str, expected| assert_eq!(containerd(status), expected, "{status}");
        check(r#"[["driver-type","io.containerd.snapshotter.v1"]]"#, true);
        check(r#"[["Backing Filesystem","extfs"],["Supports d_type","true"]]"#, false);
        check("null", false);
        check("", false);
    }

    #[test]
    fn only_what_is_not_known_already_is_asked() {
        let version = serde_json::json!({ "Client": { "Context": "box" }, "Server": {} });
        let none = environment(&[]);
        assert_eq!(context(&version, &none), Some("box"));
        assert_eq!(context(&version, &environment(&[("DOCKER_HOST", "tcp://x")])), None);
        assert!(asks_connections(&version, &none));
        assert!(!asks_connections(&version, &environment(&[("CONTAINER_HOST", "tcp://x")])));
        assert!(asks_connections(&version, &environment(&[("CONTAINER_CONNECTION", "box")])));
        assert!(!asks_connections(&serde_json::json!({ "Client": {} }), &none));
    }
}
