//! Whether a registry can be reached at all: one TCP connection decides between a pull and a
//! stand-in. What the registry then answers never counts as its absence.

use super::places;
use engine::reference::Reference;
use engine::{Engine, Kind, words};
use process::environment::Environment;
use process::run::{QUESTION, Runner};
use process::state::State;
use serde::{Deserialize, Serialize};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::mpsc::channel;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a connection may take, over all names and addresses (they are tried at once).
const LIMIT: Duration = Duration::from_secs(10);
/// How long "nobody there" is believed.
const MEMORY: u64 = 15 * 60;

/// The answer for one set of hosts, remembered when it was no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Unreachable {
    hosts: Vec<String>,
    at: u64,
    why: String,
}

/// Whether any of the hosts that would serve `reference` takes a connection; else why none does.
///
/// Its own registry, its mirrors and, where one is set, the proxy that stands before it are asked.
///
/// # Errors
/// 130 or 143 after a signal.
pub fn reachable(
    reference: &Reference,
    engine: &Engine,
    environment: &Environment,
    runner: &Runner,
    state: &State,
) -> anyhow::Result<Result<(), String>> {
    let hosts = hosts(reference, engine, environment, runner)?;
    let outcome = connect(&hosts, LIMIT);
    if let Err(why) = &outcome {
        state.remember("unreachable.json", &Unreachable { hosts, at: now(), why: why.clone() })?;
    }
    runner.check_signal()?;
    Ok(outcome)
}

/// Why nobody answered for `reference` a short while ago; asks nothing unless that is remembered.
///
/// # Errors
/// 130 or 143 after a signal.
pub fn known_unreachable(
    reference: &Reference,
    engine: &Engine,
    environment: &Environment,
    runner: &Runner,
    state: &State,
) -> anyhow::Result<Option<String>> {
    let known = state.remembered::<Unreachable>("unreachable.json");
    let Some(known) = known.filter(|known| now().saturating_sub(known.at) < MEMORY) else {
        return Ok(None);
    };
    let hosts = hosts(reference, engine, environment, runner)?;
    Ok((known.hosts == hosts).then_some(known.why))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// `host:port` of everything that could answer for `reference`, sorted.
fn hosts(
    reference: &Reference,
    engine: &Engine,
    environment: &Environment,
    runner: &Runner,
) -> anyhow::Result<Vec<String>> {
    let mut hosts = vec![reference.registry_host()];
    for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"] {
        hosts.extend(environment.variable(name).and_then(host_of_url));
    }
    match engine.kind {
        Kind::Docker => {
            let answer = runner.ask(&words::mirrors(engine), QUESTION)?;
            let mirrors: Vec<String> = serde_json::from_str(&answer.stdout).unwrap_or_default();
            hosts.extend(mirrors.iter().filter_map(|url| host_of_url(url)));
        }
        Kind::Podman => {
            let text = places::registries_conf(environment);
            hosts.extend(places::mirrors(&text, &reference.registry));
        }
    }
    hosts.sort();
    hosts.dedup();
    Ok(hosts)
}

/// `host:port` of a URL, with the port of its scheme where it names none.
fn host_of_url(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let host = rest.split('/').next()?.rsplit('@').next()?;
    if host.is_empty() {
        return None;
    }
    let port = if scheme == "https" { 443 } else { 80 };
    let named = host.rfind(':').is_some_and(|colon| !host[colon..].contains(']'));
    Some(if named { host.to_owned() } else { format!("{host}:{port}") })
}

/// Connects to all `hosts` at once; the first that answers is enough.
fn connect(hosts: &[String], limit: Duration) -> Result<(), String> {
    let (sender, answers) = channel();
    for host in hosts {
        let (host, sender) = (host.clone(), sender.clone());
        std::thread::spawn(move || {
            let outcome = match host.to_socket_addrs() {
                Err(error) => Err(format!("{host}: {error}")),
                Ok(addresses) => addresses
                    .map(|address| TcpStream::connect_timeout(&address, limit))
                    .reduce(|first, next| first.or(next))
                    .unwrap_or_else(|| Err(std::io::Error::other("no address")))
                    .map(drop)
                    .map_err(|error| format!("{host}: {error}")),
            };
            let _ = sender.send(outcome);
        });
    }
    drop(sender);
    let mut why = Vec::new();
    let end = std::time::Instant::now() + limit;
    while let Some(left) = end.checked_duration_since(std::time::Instant::now()) {
        match answers.recv_timeout(left) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(reason)) => why.push(reason),
            Err(_) => break,
        }
    }
    if why.len() < hosts.len() {
        why.push(format!("no connection within {} s", limit.as_secs()));
    }
    Err(why.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn one_listening_host_is_enough_and_none_says_why() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap().to_string();
        let closed = {
            let gone = TcpListener::bind("127.0.0.1:0").unwrap();
            gone.local_addr().unwrap().to_string()
        };
        assert_eq!(connect(&[closed.clone(), open], LIMIT), Ok(()));
        let why = connect(std::slice::from_ref(&closed), LIMIT).unwrap_err();
        assert!(why.starts_with(&closed) && why.contains("refused"), "{why}");
        let why = connect(&["no-such-host.invalid:443".to_owned()], LIMIT).unwrap_err();
        assert!(why.starts_with("no-such-host.invalid:443: "), "{why}");
    }

    #[test]
    fn urls_become_hosts() {
        let check = |url: &str, expected: Option<&str>| {
            assert_eq!(host_of_url(url).as_deref(), expected, "{url}");
        };
        check("http://user:word@proxy.example:3128/", Some("proxy.example:3128"));
        check("https://mirror.example", Some("mirror.example:443"));
        check("proxy.example", Some("proxy.example:80"));
        check("http://[::1]", Some("[::1]:80"));
        check("", None);
    }
}
