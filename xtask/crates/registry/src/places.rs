//! What the engine itself says about registries: the places it pulls from, and which of them it
//! accepts without TLS. Podman merges its files and drop-ins, Docker's daemon has its own.

use engine::reference::Reference;
use engine::{Engine, EngineKind, words};
use process::failure::{Exit, describe, failure_help};
use process::run::{Answer, QUESTION, Runner};
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs as _};

/// The engine's answer; the question takes a third of a second, so ask it only when needed.
pub(super) struct Places {
    kind: EngineKind,
    json: Value,
}

impl Places {
    /// An engine that is yet to be installed knows of nothing.
    ///
    /// # Errors
    /// [`Exit::Engine`] when the engine can't read its settings.
    pub(super) fn ask(engine: &Engine, runner: &Runner) -> anyhow::Result<Places> {
        let answer = match runner.ask(&words::registries(engine), QUESTION) {
            // One that is there and doesn't answer is busy, and may know of some.
            Err(error)
                if describe(&error).0 == Exit::Engine
                    && !error.to_string().contains("no answer") =>
            {
                Answer::default()
            }
            Ok(answer) if !answer.good() => {
                let (program, why) = (&engine.program, answer.last_line());
                let message = format!("asking {program} for its registries: {why}");
                let help = format!("run `{program} info` and mend what it complains about");
                return Err(failure_help(Exit::Engine, message, help));
            }
            other => other?,
        };
        let json = serde_json::from_str(&answer.stdout).unwrap_or_default();
        Ok(Places { kind: engine.kind, json })
    }

    /// Whether the engine takes `host[:port]/repository` without checking certificates, or
    /// without TLS at all.
    pub(super) fn insecure(&self, name: &str) -> bool {
        match self.kind {
            EngineKind::Podman => self.entry(name).is_some_and(|entry| entry["Insecure"] == true),
            EngineKind::Docker => self.docker_insecure(name.split('/').next().unwrap_or_default()),
        }
    }

    /// Listed by name, which has the last word, or by its network.
    fn docker_insecure(&self, registry: &str) -> bool {
        let config = &self.json["RegistryConfig"];
        if let Some(secure) = config["IndexConfigs"][registry]["Secure"].as_bool() {
            return !secure;
        }
        let networks = config["InsecureRegistryCIDRs"].as_array().into_iter().flatten();
        let networks: Vec<&str> = networks.filter_map(Value::as_str).collect();
        // The daemon also looks names up.
        let addresses = (host_of(registry), 443).to_socket_addrs();
        let mut addresses = addresses.into_iter().flatten().map(|address| address.ip());
        addresses.any(|address| networks.iter().any(|network| within(address, network)))
    }

    /// Podman's entry for a registry or a repository: the one with the longest prefix that covers
    /// it.
    fn entry(&self, name: &str) -> Option<&Value> {
        let all = self.json["registries"].as_object()?.iter();
        let all = all.filter(|(prefix, _)| covers(prefix, name));
        all.max_by_key(|(prefix, _)| prefix.len()).map(|(_, entry)| entry)
    }

    /// `host[:port]` of everything that the engine would pull `reference` from.
    pub(super) fn sources(&self, reference: &Reference) -> Vec<String> {
        let own = reference.registry_host();
        match self.kind {
            EngineKind::Docker => {
                let hub = reference.registry == "docker.io";
                let mirrors = self.json["RegistryConfig"]["Mirrors"].as_array();
                let mirrors = mirrors.filter(|_| hub).into_iter().flatten();
                let mirrors = mirrors.filter_map(|url| host_of_url(url.as_str()?));
                mirrors.chain([own]).collect()
            }
            EngineKind::Podman => {
                let name = format!("{}/{}", reference.registry, reference.repository);
                let Some(entry) = self.entry(&name) else { return vec![own] };
                let pinned = reference.digest.is_some();
                let serves = |mirror: &&Value| match mirror["PullFromMirror"].as_str() {
                    Some("digest-only") => pinned,
                    Some("tag-only") => !pinned,
                    _ => pinned || entry["MirrorByDigestOnly"] != true,
                };
                let mirrors = entry["Mirrors"].as_array().into_iter().flatten().filter(serves);
                let place = |entry: &Value| {
                    let location = entry["Location"].as_str().filter(|text| !text.is_empty())?;
                    let registry = location.split('/').next()?.to_owned();
                    Some(Reference { registry, ..reference.clone() }.registry_host())
                };
                mirrors.filter_map(place).chain([place(entry).unwrap_or(own)]).collect()
            }
        }
    }

    /// The proxies of what pulls, by the names of their variables: Docker's daemon has its own.
    pub(super) fn proxies(&self) -> Option<[(String, String); 3]> {
        let pair = |name: &str, key: &str| {
            (name.to_owned(), self.json[key].as_str().unwrap_or_default().to_owned())
        };
        (self.kind == EngineKind::Docker).then(|| {
            let https = pair("HTTPS_PROXY", "HttpsProxy");
            [https, pair("HTTP_PROXY", "HttpProxy"), pair("NO_PROXY", "NoProxy")]
        })
    }
}

/// Whether a prefix of `registries.conf` is about `name` (containers/image, `refMatchingPrefix`):
/// `*.example` means every registry below it, and a registry's own name all of its ports.
fn covers(prefix: &str, name: &str) -> bool {
    let rest = match prefix.strip_prefix('*') {
        None => name.strip_prefix(prefix),
        Some(domain) => name.find(domain).and_then(|at| {
            let host = !name[..at].contains('/');
            host.then(|| &name[at + domain.len()..])
        }),
    };
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/', '@']))
}

/// Whether `host` is in a network such as `127.0.0.0/8`.
pub(super) fn within(host: IpAddr, network: &str) -> bool {
    let Some((start, bits)) = network.split_once('/') else { return false };
    // Both as 128 bits; those of the other family never meet.
    let number = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)) << 96, 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    };
    let (Ok(start), Ok(bits)) = (start.parse(), bits.parse::<u32>()) else { return false };
    let ((host, family), (start, other)) = (number(host), number(start));
    let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits)).unwrap_or(0);
    family == other && bits <= family && host & mask == start & mask
}

/// The host of `host[:port]`, without the brackets of an IPv6 address; empty for what is neither.
pub(super) fn host_of(registry: &str) -> &str {
    if let Some(rest) = registry.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').unwrap_or_default();
        return if rest.is_empty() || rest.starts_with(':') { host } else { "" };
    }
    registry.split(':').next().unwrap_or_default()
}

/// `host:port` of a URL, with the port of its scheme when it names none.
pub(super) fn host_of_url(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let host = rest.split('/').next()?.rsplit('@').next()?;
    if host.is_empty() {
        return None;
    }
    let port = match scheme.to_lowercase().as_str() {
        "https" => 443,
        "http" => 80,
        // The others are socks.
        _ => 1080,
    };
    let named = host.rfind(':').is_some_and(|colon| !host[colon..].contains(']'));
    Some(if named { host.to_owned() } else { format!("{host}:{port}") })
}

/// Whether a registry is this machine, by its name alone.
pub(super) fn loopback(registry: &str) -> bool {
    let host = host_of(registry);
    let address = match host {
        "localhost" => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        host => host.parse(),
    };
    address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_prefix_covers_what_podman_says() {
        let check = |prefix: &str, name: &str, expected: bool| {
            assert_eq!(covers(prefix, name), expected, "{prefix} {name}");
        };
        check("in.example/team", "in.example/team/app", true);
        check("in.example/team", "in.example/team", true);
        check("in.example/team", "in.example/teams", false);
        check("in.example", "in.example:5000/app", true);
        check("in.example", "in.example.org/app", false);
        check("docker.io", "docker.io.example/app", false);
        check("*.example", "in.example/app", true);
        check("*.example", "a.in.example:5000/app", true);
        check("*.example", "in.example.org/app", false);
        check("*.example", "other.org/in.example/app", false);
        check("search", "searching/app", false);
    }

    /// As `podman info` 4.3.1 printed it for a user's file with a drop-in.
    fn podman() -> Places {
        let mirror = |location: &str, from: &str| json!({ "Location": location, "Insecure": false, "PullFromMirror": from });
        let entry = |location: &str, insecure: bool, mirrors: Value| json!({ "Location": location, "Insecure": insecure, "Mirrors": mirrors, "MirrorByDigestOnly": false });
        let mut pinned = entry("p.example", false, json!([mirror("m.example", "")]));
        pinned["MirrorByDigestOnly"] = true.into();
        let json = json!({ "registries": {
            "search": ["docker.io"],
            "docker.io": entry("docker.io", false, json!([
                mirror("mirror.example:5000/hub", ""),
                mirror("[::1]:5000", "tag-only"),
                mirror("pinned.example", "digest-only"),
            ])),
            "docker.io/library": entry("in.example/hub", false, Value::Null),
            "p.example": pinned,
            "*.wild.example": entry("", true, Value::Null),
            "safe.wild.example": entry("safe.wild.example", false, Value::Null),
        } });
        Places { kind: EngineKind::Podman, json }
    }

    #[test]
    fn podman_pulls_from_mirrors_and_from_the_nearest_location() {
        let check = |text: &str, expected: &[&str]| {
            let reference = engine::reference::parse(text).unwrap();
            assert_eq!(podman().sources(&reference), expected, "{text}");
        };
        let digest = format!("sha256:{}", "a".repeat(64));
        let hub = "registry-1.docker.io:443";
        check("docker.io/team/app", &["mirror.example:5000", "[::1]:5000", hub]);
        let pinned = ["mirror.example:5000", "pinned.example:443", hub];
        check(&format!("docker.io/team/app@{digest}"), &pinned);
        check("python:3.12", &["in.example:443"]);
        check("p.example/app", &["p.example:443"]);
        check(&format!("p.example/app@{digest}"), &["m.example:443", "p.example:443"]);
        check("a.wild.example:5000/app", &["a.wild.example:5000"]);
        check("other.example/app", &["other.example:443"]);
    }

    #[test]
    fn podman_takes_without_tls_what_its_nearest_entry_says() {
        let check = |name: &str, expected: bool| {
            assert_eq!(podman().insecure(name), expected, "{name}");
        };
        check("a.wild.example:5000/app", true);
        check("safe.wild.example/app", false);
        check("wild.example/app", false);
        check("other.example/app", false);
    }

    #[test]
    fn docker_lists_insecure_registries_by_name_and_by_network() {
        let json = json!({ "RegistryConfig": {
            "InsecureRegistryCIDRs": ["::1/128", "127.0.0.0/8", "10.1.0.0/16", "fd00::/8"],
            "Mirrors": ["https://mirror.example/"],
            "IndexConfigs": {
                "docker.io": { "Secure": true },
                "in.example:5000": { "Secure": false },
                "127.0.0.7:5000": { "Secure": true },
            },
        } });
        let places = Places { kind: EngineKind::Docker, json };
        let check = |registry: &str, expected: bool| {
            assert_eq!(places.insecure(&format!("{registry}/app")), expected, "{registry}");
        };
        check("127.0.0.1:5000", true);
        check("127.0.0.7:5000", false);
        check("localhost:5000", true);
        check("[::1]:5000", true);
        check("[fd00::9]:5000", true);
        check("10.1.2.3", true);
        check("10.2.2.3", false);
        check("in.example:5000", true);
        check("no-such-host.invalid", false);
        check("docker.io", false);
        let sources = |text: &str| places.sources(&engine::reference::parse(text).unwrap());
        assert_eq!(sources("python"), ["mirror.example:443", "registry-1.docker.io:443"]);
        assert_eq!(sources("quay.io/python"), ["quay.io:443"]);
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
            ("[::1].example", false),
            ("[::1", false),
        ] {
            assert_eq!(loopback(registry), expected, "{registry}");
        }
    }

    #[test]
    fn urls_become_hosts() {
        let check = |url: &str, expected: Option<&str>| {
            assert_eq!(host_of_url(url).as_deref(), expected, "{url}");
        };
        check("http://user:word@proxy.example:3128/", Some("proxy.example:3128"));
        check("https://mirror.example", Some("mirror.example:443"));
        check("proxy.example", Some("proxy.example:80"));
        check("socks5://proxy.example", Some("proxy.example:1080"));
        check("http://[::1]", Some("[::1]:80"));
        check("", None);
    }
}
