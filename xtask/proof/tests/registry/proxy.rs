//! A proxy with TLS before a registry, which breaks what it is told to break: one request a
//! connection, so that each fault hits exactly what it is meant for.

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The connection itself, before TLS.
    Connection,
    /// `GET /v2/`
    Ping,
    /// The token server.
    Token,
    /// Whether a layer or a config is there.
    BlobHead,
    /// A config is read.
    BlobGet,
    /// An upload begins.
    UploadStart,
    /// The bytes of an upload.
    UploadData,
    /// An upload ends.
    UploadEnd,
    /// `HEAD` or `GET` of a manifest.
    ManifestRead,
    /// A name is written.
    ManifestPut,
    /// The tags are listed.
    Tags,
    Other,
}

impl Kind {
    pub fn of(method: &str, path: &str) -> Kind {
        match method {
            _ if path.starts_with("/token") => Kind::Token,
            _ if path == "/v2/" => Kind::Ping,
            "POST" if path.contains("/blobs/uploads/") => Kind::UploadStart,
            "PATCH" => Kind::UploadData,
            "PUT" if path.contains("/blobs/uploads/") => Kind::UploadEnd,
            "HEAD" if path.contains("/blobs/") => Kind::BlobHead,
            "GET" if path.contains("/blobs/") => Kind::BlobGet,
            "PUT" if path.contains("/manifests/") => Kind::ManifestPut,
            "HEAD" | "GET" if path.contains("/manifests/") => Kind::ManifestRead,
            "GET" if path.contains("/tags/list") => Kind::Tags,
            _ => Kind::Other,
        }
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Engine,
    Ours,
    Anybody,
}

/// What happens to a request.
#[derive(Clone)]
pub enum Fault {
    /// This answer instead, with a `Retry-After` if there is one.
    Status(u16, Option<u32>),
    /// The connection is reset after a part of the request.
    Reset,
    /// There is no answer until the rules change.
    Silence,
    /// The answer names another digest.
    WrongDigest,
    /// This is done first, and the connection then closed.
    Before(Arc<dyn Fn() + Send + Sync>),
    /// Each piece of the request, some 32 KiB, takes so long.
    Slow(Duration),
    /// The request waits until it is told to go on.
    Hold(Arc<Gate>),
}

/// A handshake between a request and a test.
pub struct Gate {
    pub arrived: Mutex<Sender<()>>,
    pub go: Mutex<Receiver<()>>,
}

/// A fault, and which requests it hits.
#[derive(Clone)]
pub struct Rule {
    pub who: Who,
    pub kind: Kind,
    /// The end of the path, empty for any.
    pub path: &'static str,
    /// Requests that go through first.
    pub skip: usize,
    /// Requests that it hits then.
    pub times: usize,
    pub fault: Fault,
}

/// A running proxy.
pub struct Proxy {
    /// `127.0.0.1:PORT`.
    pub address: String,
    rules: Arc<Mutex<Vec<Rule>>>,
    requests: Arc<Mutex<Vec<String>>>,
    changes: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
}

/// What all connections share.
struct Shared {
    upstream: String,
    tls: Arc<ServerConfig>,
    rules: Arc<Mutex<Vec<Rule>>>,
    requests: Arc<Mutex<Vec<String>>>,
    /// How often the rules were replaced.
    changes: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
    /// `Basic …`, if the proxy hands out tokens for it instead.
    tokens: Option<String>,
    address: String,
}

/// The token that the proxy hands out: of this process alone, as the password.
pub fn token() -> String {
    format!("token-{}", super::place::canary())
}

impl Proxy {
    /// Before the registry at `upstream`, which speaks no TLS. `tokens`: the login, if the registry
    /// is to ask for tokens instead.
    pub fn new(upstream: &str, tls: Arc<ServerConfig>, tokens: Option<String>) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (rules, requests) = (Arc::default(), Arc::default());
        let (changes, ended) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            tls,
            rules: Arc::clone(&rules),
            requests: Arc::clone(&requests),
            changes: Arc::clone(&changes),
            ended: Arc::clone(&ended),
            tokens,
            address: address.clone(),
        });
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.ended.load(Ordering::Relaxed) {
                    return;
                }
                let (shared, stream) = (Arc::clone(&shared), stream.unwrap());
                // A connection that breaks is what this is about.
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        Proxy { address, rules, requests, changes, ended }
    }

    /// Replaces the rules.
    pub fn rules(&self, rules: Vec<Rule>) {
        *self.rules.lock().unwrap() = rules;
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// What was asked since the last call, `WHO METHOD PATH`.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(&self.address);
    }
}

type Tls = StreamOwned<ServerConnection, TcpStream>;

impl Shared {
    /// The fault of the first rule that fits, counted.
    fn fault(&self, who: Who, kind: Kind, path: &str) -> Option<Fault> {
        let mut rules = self.rules.lock().unwrap();
        let rule = rules.iter_mut().find(|rule| {
            let same = rule.who == Who::Anybody || rule.who == who;
            rule.kind == kind && same && path.ends_with(rule.path) && rule.times > 0
        })?;
        if rule.skip > 0 {
            rule.skip -= 1;
            return None;
        }
        rule.times = rule.times.saturating_sub(1);
        Some(rule.fault.clone())
    }

    fn serve(&self, stream: TcpStream) -> Option<()> {
        if let Some(fault) = self.fault(Who::Anybody, Kind::Connection, "") {
            return self.broken(&stream, &fault);
        }
        let raw = stream.try_clone().ok()?;
        let connection = ServerConnection::new(Arc::clone(&self.tls)).ok()?;
        let mut client = BufReader::new(StreamOwned::new(connection, stream));
        let head = head(&mut client)?;
        let (line, _) = head.split_once("\r\n")?;
        let mut words = line.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let path = target.split('?').next().unwrap_or_default().to_owned();
        let who =
            if header(&head, "user-agent").starts_with("xtask/") { Who::Ours } else { Who::Engine };
        let kind = Kind::of(&method, &path);
        self.requests.lock().unwrap().push(format!("{who:?} {method} {path}"));
        let fault = self.fault(who, kind, &path);
        match &fault {
            None | Some(Fault::WrongDigest | Fault::Slow(_)) => {}
            Some(Fault::Status(status, wait)) => {
                body(&mut client, &head, Duration::ZERO)?;
                let wait = wait.map_or(String::new(), |wait| format!("Retry-After: {wait}\r\n"));
                return answer(&mut client, *status, &wait, "");
            }
            Some(Fault::Hold(gate)) => {
                gate.arrived.lock().unwrap().send(()).ok()?;
                gate.go.lock().unwrap().recv().ok()?;
            }
            Some(fault) => return self.broken(&raw, fault),
        }
        let head = match &self.tokens {
            None => head,
            Some(basic) => match self.with_token(&mut client, &head, kind, basic)? {
                Some(head) => head,
                None => return Some(()),
            },
        };
        self.forward(&mut client, &head, fault)
    }

    /// Ends a connection as a broken network does.
    fn broken(&self, stream: &TcpStream, fault: &Fault) -> Option<()> {
        match fault {
            Fault::Silence => {
                // Until the other side has had enough; Docker's daemon never has.
                let before = self.changes.load(Ordering::Relaxed);
                let over = || {
                    self.ended.load(Ordering::Relaxed)
                        || self.changes.load(Ordering::Relaxed) != before
                };
                stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
                let mut stream = stream;
                let mut bytes = [0; 4096];
                while !over() {
                    match stream.read(&mut bytes) {
                        Ok(0) => break,
                        Ok(_) => {}
                        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                        Err(_) => break,
                    }
                }
            }
            Fault::Before(act) => act(),
            _ => {}
        }
        // No FIN but a reset (socket(7), SO_LINGER).
        rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).ok()?;
        Some(())
    }

    /// Plays a registry that asks for tokens: the head with the registry's own login, or `None`
    /// when the answer was given here.
    fn with_token(
        &self,
        client: &mut BufReader<Tls>,
        head: &str,
        kind: Kind,
        basic: &str,
    ) -> Option<Option<String>> {
        let given = header(head, "authorization");
        if kind == Kind::Token {
            body(client, head, Duration::ZERO)?;
            if given == basic {
                let token = token();
                answer(client, 200, "", &format!(r#"{{"token":"{token}","expires_in":300}}"#))?;
            } else {
                answer(client, 401, "", "")?;
            }
            return Some(None);
        }
        if given != format!("Bearer {}", token()) {
            body(client, head, Duration::ZERO)?;
            let realm = format!("https://{}/token", self.address);
            let wants = format!("WWW-Authenticate: Bearer realm=\"{realm}\",service=\"test\"\r\n");
            answer(client, 401, &wants, "")?;
            return Some(None);
        }
        Some(Some(
            without(head, "authorization")
                .replace("\r\n\r\n", &format!("\r\nAuthorization: {basic}\r\n\r\n")),
        ))
    }

    fn forward(&self, client: &mut BufReader<Tls>, head: &str, fault: Option<Fault>) -> Option<()> {
        let mut upstream = TcpStream::connect(&self.upstream).ok()?;
        let head = without(head, "connection");
        // The registry builds locations from these.
        let head =
            head.replace("\r\n\r\n", "\r\nConnection: close\r\nX-Forwarded-Proto: https\r\n\r\n");
        upstream.write_all(head.as_bytes()).ok()?;
        let pause = if let Some(Fault::Slow(pause)) = fault { pause } else { Duration::ZERO };
        upstream.write_all(&body(client, &head, pause)?).ok()?;
        let mut upstream = BufReader::new(upstream);
        let mut answer = crate::proxy::head(&mut upstream)?;
        if let Some(Fault::WrongDigest) = fault {
            let wrong = format!("\r\nDocker-Content-Digest: sha256:{}\r\n\r\n", "0".repeat(64));
            answer = without(&answer, "docker-content-digest").replace("\r\n\r\n", &wrong);
        }
        let client = client.get_mut();
        client.write_all(answer.as_bytes()).ok()?;
        std::io::copy(&mut upstream, client).ok()?;
        end(client)
    }
}

/// Everything up to the empty line.
fn head(from: &mut impl std::io::BufRead) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if from.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

fn header<'h>(head: &'h str, name: &str) -> &'h str {
    let pairs = head.lines().filter_map(|line| line.split_once(": "));
    let mut found = pairs.filter(|(known, _)| known.eq_ignore_ascii_case(name));
    found.next().map(|(_, value)| value).unwrap_or_default()
}

fn without(head: &str, name: &str) -> String {
    let other = |line: &&str| {
        !line.split_once(": ").is_some_and(|(known, _)| known.eq_ignore_ascii_case(name))
    };
    head.split_inclusive("\r\n").filter(other).collect()
}

/// The body as it came, chunks and all, with a pause after each.
fn body(client: &mut BufReader<Tls>, head: &str, pause: Duration) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    if header(head, "transfer-encoding") != "chunked" {
        let length = header(head, "content-length").parse().unwrap_or(0);
        client.take(length).read_to_end(&mut all).ok()?;
        return Some(all);
    }
    loop {
        let mut line = String::new();
        client.read_line(&mut line).ok()?;
        let size = u64::from_str_radix(line.trim(), 16).ok()?;
        std::thread::sleep(pause);
        all.extend_from_slice(line.as_bytes());
        client.take(size + 2).read_to_end(&mut all).ok()?;
        if size == 0 {
            return Some(all);
        }
    }
}

fn answer(client: &mut BufReader<Tls>, status: u16, headers: &str, body: &str) -> Option<()> {
    let text = format!(
        "HTTP/1.1 {status} Fault\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    client.get_mut().write_all(text.as_bytes()).ok()?;
    end(client.get_mut())
}

fn end(client: &mut Tls) -> Option<()> {
    client.conn.send_close_notify();
    client.flush().ok()
}
