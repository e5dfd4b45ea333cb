//! What the engines' own configuration says about a registry: mirrors, and whether it may be asked
//! without TLS.

use engine::{Engine, Kind, words};
use process::environment::Environment;
use process::run::{QUESTION, Runner};
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr};

/// The text of Podman's `registries.conf`.
pub(super) fn registries_conf(environment: &Environment) -> String {
    let file = environment.variable("CONTAINERS_REGISTRIES_CONF");
    let file = file.unwrap_or("/etc/containers/registries.conf");
    std::fs::read_to_string(file).unwrap_or_default()
}

/// The entries of a `registries.conf` (version 2) whose prefix covers `name`, a registry or a
/// repository in it.
fn entries(text: &str, name: &str) -> Vec<toml::Value> {
    let table: toml::Table = text.parse().unwrap_or_default();
    let all = table.get("registry").and_then(|all| all.as_array()).cloned().unwrap_or_default();
    let covers = |entry: &toml::Value| {
        let prefix = string(entry, "prefix").or_else(|| string(entry, "location"));
        let prefix = prefix.unwrap_or_default();
        let rest = name.strip_prefix(&prefix);
        !prefix.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    all.into_iter().filter(covers).collect()
}

fn string(value: &toml::Value, key: &str) -> Option<String> {
    Some(value.get(key)?.as_str()?.to_owned())
}

/// The places that a `registries.conf` names instead of `registry`.
pub(super) fn mirrors(text: &str, registry: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in entries(text, registry) {
        found.extend(string(&entry, "location"));
        let mirrors = entry.get("mirror").and_then(|all| all.as_array()).into_iter().flatten();
        found.extend(mirrors.filter_map(|mirror| string(mirror, "location")));
    }
    let host = |place: &String| {
        let host = place.split('/').next().unwrap_or_default().to_owned();
        let host = if host == "docker.io" { "registry-1.docker.io".to_owned() } else { host };
        if host.contains(':') { host } else { format!("{host}:443") }
    };
    found.iter().map(host).collect()
}

/// Whether the engine takes `name` (`host[:port]/repository`) without checking certificates, or
/// without TLS at all.
///
/// # Errors
/// 130 or 143 after a signal.
pub(super) fn insecure(
    name: &str,
    engine: &Engine,
    environment: &Environment,
    runner: &Runner,
) -> anyhow::Result<bool> {
    match engine.kind {
        Kind::Podman => {
            let flag = |entry: &toml::Value| entry.get("insecure")?.as_bool();
            let all = entries(&registries_conf(environment), name);
            Ok(all.iter().any(|entry| flag(entry) == Some(true)))
        }
        Kind::Docker => {
            let answer = runner.ask(&words::registry_config(engine), QUESTION)?;
            let config: Value = serde_json::from_str(&answer.stdout).unwrap_or_default();
            Ok(docker_insecure(&config, name.split('/').next().unwrap_or_default()))
        }
    }
}

/// What `docker info` tells about the registry `host[:port]`: listed by name, or by its network.
fn docker_insecure(config: &Value, registry: &str) -> bool {
    if config["IndexConfigs"][registry]["Secure"] == Value::Bool(false) {
        return true;
    }
    let networks = config["InsecureRegistryCIDRs"].as_array().into_iter().flatten();
    let mut networks = networks.filter_map(Value::as_str);
    match address(registry) {
        Some(IpAddr::V4(host)) => networks.any(|network| within(host, network)),
        Some(IpAddr::V6(host)) => {
            host.is_loopback() && networks.any(|network| network == "::1/128")
        }
        None => false,
    }
}

/// Whether `host` is in a network such as `127.0.0.0/8`.
pub(super) fn within(host: Ipv4Addr, network: &str) -> bool {
    let Some((start, bits)) = network.split_once('/') else { return false };
    let (Ok(start), Ok(bits)) = (start.parse::<Ipv4Addr>(), bits.parse::<u32>()) else {
        return false;
    };
    let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits)).unwrap_or(0);
    u32::from(host) & mask == u32::from(start) & mask
}

/// The address of a registry that is named by one; `localhost` counts as 127.0.0.1.
fn address(registry: &str) -> Option<IpAddr> {
    let host = host_of(registry);
    if host == "localhost" {
        return Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    host.parse().ok()
}

/// The host of `host[:port]`, without the brackets of an IPv6 address.
pub(super) fn host_of(registry: &str) -> &str {
    if let Some(rest) = registry.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    registry.split(':').next().unwrap_or_default()
}

/// Whether a registry is this machine, by its name alone.
pub(super) fn loopback(registry: &str) -> bool {
    address(registry).is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_s_entries_are_those_that_cover_its_name() {
        let text = "[[registry]]\nprefix = \"docker.io\"\nlocation = \"docker.io\"\n\
                    [[registry.mirror]]\nlocation = \"mirror.example:5000/hub\"\n\
                    [[registry]]\nlocation = \"quay.io\"\n\
                    [[registry]]\nlocation = \"in.example/team\"\ninsecure = true\n";
        let expected = ["registry-1.docker.io:443", "mirror.example:5000"];
        assert_eq!(mirrors(text, "docker.io"), expected);
        assert!(mirrors("no toml", "docker.io").is_empty());
        let check = |name: &str, expected: usize| {
            assert_eq!(entries(text, name).len(), expected, "{name}");
        };
        check("in.example/team/app", 1);
        check("in.example/team", 1);
        check("in.example/teams", 0);
        check("in.example", 0);
        check("docker.io.example", 0);
    }

    #[test]
    fn docker_lists_insecure_registries_by_name_and_by_network() {
        let config = serde_json::json!({
            "InsecureRegistryCIDRs": ["::1/128", "127.0.0.0/8", "10.1.0.0/16"],
            "IndexConfigs": {
                "docker.io": { "Secure": true },
                "in.example:5000": { "Secure": false },
            },
        });
        let check = |registry: &str, expected: bool| {
            assert_eq!(docker_insecure(&config, registry), expected, "{registry}");
        };
        check("127.0.0.1:5000", true);
        check("localhost:5000", true);
        check("[::1]:5000", true);
        check("10.1.2.3", true);
        check("10.2.2.3", false);
        check("in.example:5000", true);
        check("in.example", false);
        check("docker.io", false);
    }

    #[test]
    fn this_machine_is_known_by_its_names() {
        for (registry, expected) in [
            ("localhost", true),
            ("localhost:5000", true),
            ("127.0.0.9:1", true),
            ("[::1]:5000", true),
            ("localhost.example", false),
            ("10.0.0.1:5000", false),
        ] {
            assert_eq!(loopback(registry), expected, "{registry}");
        }
    }
}
