//! Whether a registry can be reached at all: one TCP connection decides between a pull and a
//! stand-in. What the registry then answers never counts as its absence.

use super::places::{Places, host_of_url};
use super::proxy::proxy;
use engine::Engine;
use engine::reference::Reference;
use process::environment::Environment;
use process::run::Runner;
use process::state::State;
use serde::{Deserialize, Serialize};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::mpsc::channel;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a connection may take, over all names and addresses (they are tried at once).
const LIMIT: Duration = Duration::from_secs(10);
/// Seconds for which an unreachable registry is remembered.
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
/// Asked are its mirrors and its registry, as the engine knows them, or the proxy before them.
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

/// Why no host answered for `reference` a short while ago; asks nothing unless that is remembered.
pub fn known_unreachable(
    reference: &Reference,
    engine: &Engine,
    environment: &Environment,
    runner: &Runner,
    state: &State,
) -> anyhow::Result<Option<String>> {
    let Some(known) = remembered(state) else { return Ok(None) };
    let hosts = hosts(reference, engine, environment, runner)?;
    Ok((known.hosts == hosts).then_some(known.why))
}

/// Whether a registry couldn't be reached a short while ago.
pub fn was_unreachable(state: &State) -> bool {
    remembered(state).is_some()
}

fn remembered(state: &State) -> Option<Unreachable> {
    let known = state.remembered::<Unreachable>("unreachable.json");
    known.filter(|known| now().saturating_sub(known.at) < MEMORY)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// `host:port` of everything that could answer for `reference`, sorted: a registry, or the proxy
/// that stands before it.
fn hosts(
    reference: &Reference,
    engine: &Engine,
    environment: &Environment,
    runner: &Runner,
) -> anyhow::Result<Vec<String>> {
    let places = Places::ask(engine, runner)?;
    let variables = places.proxies().map_or_else(|| environment.variables.clone(), Into::into);
    let sources = places.sources(reference).into_iter();
    let host = |source: String| match proxy(&variables, true, &source) {
        Some((_, url)) => host_of_url(url).unwrap_or(source),
        None => source,
    };
    let mut hosts: Vec<String> = sources.map(host).collect();
    hosts.sort();
    hosts.dedup();
    Ok(hosts)
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
}
