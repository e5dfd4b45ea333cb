//! One request to a registry: with a deadline, retried if that can help, ended by a signal.

use super::proxy::http_proxy;
use super::retry::{PATIENCE, passing, pause, retry_after};
use process::failure::{Exit, Failure, failure_help};
use process::notice::notice;
use process::run::{Runner, shortened};
use std::collections::BTreeMap;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use ureq::http;

/// How often a signal is looked for while a request runs.
const TICK: Duration = Duration::from_millis(20);
/// The most bytes of an answer that are read; a manifest may have 4 MiB (OCI distribution 1.1).
const MOST: u64 = 16 << 20;
/// The most redirections that are followed.
const HOPS: usize = 5;

/// One question, as data.
#[derive(Clone, Debug, Default)]
pub(super) struct Request {
    pub(super) method: &'static str,
    pub(super) url: String,
    /// Names in lower case.
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Option<Vec<u8>>,
}

/// One answer. Names of headers are in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Response {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The errors of the body (`{"errors": [{"code": …, "message": …}]}`), else the status.
    pub(super) fn reason(&self) -> String {
        let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let errors = json["errors"].as_array().into_iter().flatten();
        let texts = errors.map(|error| {
            let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
            format!("{} {}", text("code"), text("message"))
        });
        let text = texts.collect::<Vec<_>>().join("; ").replace(char::is_control, " ");
        let status = http::StatusCode::from_u16(self.status).ok();
        let name = status.and_then(|status| status.canonical_reason()).unwrap_or("unknown");
        match text.trim() {
            "" => format!("{} {name}", self.status),
            text => format!("{} {name} ({})", self.status, shortened(text, 200)),
        }
    }
}

/// Why there was no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The network; it may pass.
    Passing(String),
    /// What listens there speaks no TLS.
    NoTls(String),
    /// Its certificate isn't signed by anyone we trust.
    Untrusted(String),
    /// Trying again will not help.
    Final(String),
}

impl Fault {
    pub(super) fn why(&self) -> &str {
        match self {
            Fault::Passing(why) | Fault::NoTls(why) | Fault::Untrusted(why) | Fault::Final(why) => {
                why
            }
        }
    }
}

/// Sends requests.
pub(super) struct Wire {
    pub(super) agent: ureq::Agent,
    pub(super) runner: Runner,
    pub(super) environment: BTreeMap<String, String>,
    /// The longest that one request may take.
    pub(super) limit: Duration,
    /// How often a request is tried in all.
    pub(super) attempts: u32,
    /// What is asked, for messages.
    pub(super) name: String,
}

impl Wire {
    /// Sends `request` until there is an answer that stays, at most `attempts` times.
    ///
    /// # Errors
    /// [`Exit::RegistryFailed`] when it fails to the end; [`Exit::RegistryRefused`] for what can't
    /// pass; 130 or 143 after a signal.
    pub(super) fn send(&self, request: &Request) -> anyhow::Result<Response> {
        self.settled(request)?.map_err(|fault| refused(&self.name, &fault))
    }

    /// As [`Wire::send`]; what can't pass comes back.
    ///
    /// # Errors
    /// [`Exit::RegistryFailed`] when it fails to the end; 130 or 143 after a signal.
    pub(super) fn settled(&self, request: &Request) -> anyhow::Result<Result<Response, Fault>> {
        let mut attempt = 1;
        loop {
            let (why, wait) = match self.once(request)? {
                Ok(response) if !passing(response.status) => return Ok(Ok(response)),
                Ok(response) => {
                    let wait = response.header("retry-after");
                    (response.reason(), wait.and_then(|text| retry_after(text, chrono::Utc::now())))
                }
                Err(Fault::Passing(why)) => (why, None),
                Err(fault) => return Ok(Err(fault)),
            };
            let doing = format!("asking {} ({} {})", self.name, request.method, path(&request.url));
            if let Some(wait) = wait.filter(|wait| *wait > PATIENCE) {
                let message = format!("{doing}: rate limited: {why}");
                let help = format!("retry after {} s", wait.as_secs());
                return Err(failure_help(Exit::RegistryFailed, message, help));
            }
            if attempt >= self.attempts {
                let times = if attempt > 1 { format!(", {attempt} times") } else { String::new() };
                let message = format!("{doing}: {why}{times}");
                let help = "try again later: what is done stays done, and only the rest is left";
                return Err(failure_help(Exit::RegistryFailed, message, help));
            }
            let wait = wait.unwrap_or_else(|| pause(attempt));
            notice(&format!("{doing}: {why}; retrying in {:.1} s", wait.as_secs_f64()));
            self.runner.sleep(wait)?;
            attempt += 1;
        }
    }

    /// Sends `request` once and follows redirections of what only asks; a login goes to no other
    /// host.
    pub(super) fn once(&self, request: &Request) -> anyhow::Result<Result<Response, Fault>> {
        let mut request = request.clone();
        for _ in 0..HOPS {
            let response = match self.exchange(&request)? {
                Ok(response) => response,
                Err(fault) => return Ok(Err(fault)),
            };
            let follows = matches!(request.method, "GET" | "HEAD")
                && matches!(response.status, 301 | 302 | 303 | 307 | 308);
            let Some(place) = response.header("location").filter(|_| follows) else {
                return Ok(Ok(response));
            };
            let Some(next) = resolved(&request.url, place) else {
                return Ok(Err(Fault::Final(format!("it redirects to {place:?}"))));
            };
            if origin(&next) != origin(&request.url) {
                request.headers.retain(|(name, _)| *name != "authorization");
            }
            request.url = next;
        }
        Ok(Err(Fault::Final(format!("it redirects more than {HOPS} times"))))
    }

    fn exchange(&self, request: &Request) -> anyhow::Result<Result<Response, Fault>> {
        self.runner.check_signal()?;
        let (tls, authority) = origin(&request.url);
        let proxy = http_proxy(&self.environment, tls, authority)?;
        let (sender, answer) = channel();
        let (agent, asked, limit) = (self.agent.clone(), request.clone(), self.limit);
        // In a separate thread: a signal must not wait for a registry.
        std::thread::spawn(move || sender.send(exchange(&agent, asked, proxy, limit)));
        let start = Instant::now();
        loop {
            match answer.recv_timeout(TICK) {
                Ok(outcome) => return Ok(outcome.map_err(|error| fault(&error, self.limit))),
                Err(RecvTimeoutError::Timeout) if start.elapsed() < self.limit + TICK * 50 => {
                    self.runner.check_signal()?;
                }
                // Name servers have their own patience.
                Err(_) => return Ok(Err(no_answer(self.limit))),
            }
        }
    }
}

fn exchange(
    agent: &ureq::Agent,
    request: Request,
    proxy: Option<ureq::Proxy>,
    limit: Duration,
) -> Result<Response, ureq::Error> {
    let mut head = http::Request::builder().method(request.method).uri(&request.url);
    for (name, value) in &request.headers {
        head = head.header(*name, value);
    }
    let mut response = match request.body {
        None => {
            let request = agent.configure_request(head.body(())?);
            agent.run(request.proxy(proxy).timeout_global(Some(limit)).build())?
        }
        Some(body) => {
            let request = agent.configure_request(head.body(body)?);
            agent.run(request.proxy(proxy).timeout_global(Some(limit)).build())?
        }
    };
    let headers = response.headers().iter();
    let headers = headers.filter_map(|(name, value)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    });
    let (status, headers) = (response.status().as_u16(), headers.collect());
    let body = response.body_mut().with_config().limit(MOST).read_to_vec()?;
    Ok(Response { status, headers, body })
}

fn no_answer(limit: Duration) -> Fault {
    Fault::Passing(format!("no answer in {} s", limit.as_secs()))
}

fn fault(error: &ureq::Error, limit: Duration) -> Fault {
    match error {
        ureq::Error::Timeout(_) => no_answer(limit),
        ureq::Error::Rustls(error) => tls_fault(error),
        ureq::Error::Io(io) => match io.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(error) => tls_fault(error),
            None => Fault::Passing(io.to_string()),
        },
        ureq::Error::BadUri(_)
        | ureq::Error::Http(_)
        | ureq::Error::BodyExceedsLimit(_)
        | ureq::Error::Tls(_) => Fault::Final(error.to_string()),
        other => Fault::Passing(other.to_string()),
    }
}

fn tls_fault(error: &rustls::Error) -> Fault {
    match error {
        rustls::Error::InvalidCertificate(_) => {
            Fault::Untrusted(format!("it isn't trusted: {error}"))
        }
        rustls::Error::InvalidMessage(_) => Fault::NoTls(format!("no TLS: {error}")),
        _ => Fault::Passing(error.to_string()),
    }
}

/// Whether a URL is one of TLS, and its `host[:port]`.
pub(super) fn origin(url: &str) -> (bool, &str) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    (scheme == "https", rest.split(['/', '?', '#']).next().unwrap_or_default())
}

/// A URL without what comes before its path.
fn path(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.find('/').map_or("/", |slash| &rest[slash..]);
    path.split('?').next().unwrap_or_default()
}

/// Resolves the location `place` against `url`; `None` if it would leave TLS or has another form.
pub(super) fn resolved(url: &str, place: &str) -> Option<String> {
    let (tls, authority) = origin(url);
    if place.starts_with("https://") || (!tls && place.starts_with("http://")) {
        return Some(place.to_owned());
    }
    let scheme = if tls { "https" } else { "http" };
    match place.strip_prefix("//") {
        Some(rest) => Some(format!("{scheme}://{rest}")),
        None => place.starts_with('/').then(|| format!("{scheme}://{authority}{place}")),
    }
}

/// A failure that will stay, before there is an answer.
pub(super) fn refused(name: &str, fault: &Fault) -> anyhow::Error {
    let help = "put the certificate of its authority into certs.d (docs/releases.md), or name a \
                bundle in XTASK_CA_BUNDLE";
    let help = matches!(fault, Fault::Untrusted(_)).then(|| help.to_owned());
    refusal(format!("asking {name}: {}", fault.why()), help.into_iter().collect())
}

/// A failure that says what to do about a registry's refusal.
pub(super) fn refusal(message: String, help: Vec<String>) -> anyhow::Error {
    Failure { exit: Exit::RegistryRefused, message, help }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_followed_only_with_tls_where_there_was_tls() {
        let check = |url: &str, place: &str, expected: Option<&str>| {
            assert_eq!(resolved(url, place).as_deref(), expected, "{url} {place}");
        };
        let own = "https://r.example:5000/v2/a/tags/list?n=2";
        check(own, "/v2/a/tags/list?last=b", Some("https://r.example:5000/v2/a/tags/list?last=b"));
        check(own, "https://s3.example/blob", Some("https://s3.example/blob"));
        check(own, "http://r.example:5000/v2/", None);
        check(own, "//s3.example/blob", Some("https://s3.example/blob"));
        check(own, "blob", None);
        check(
            "http://127.0.0.1:5000/v2/",
            "http://127.0.0.1:5000/x",
            Some("http://127.0.0.1:5000/x"),
        );
        assert_eq!(origin("https://r.example:5000?x"), (true, "r.example:5000"));
        assert_eq!(path("https://r.example/v2/a?secret=1"), "/v2/a");
    }

    #[test]
    fn the_reason_is_the_registry_s_own_or_the_status() {
        let check = |status: u16, body: &str, expected: &str| {
            let body = body.as_bytes().to_vec();
            assert_eq!(Response { status, body, ..Response::default() }.reason(), expected);
        };
        check(503, "<html>", "503 Service Unavailable");
        let body = r#"{"errors":[{"code":"DENIED","message":"requested\naccess"}]}"#;
        check(403, body, "403 Forbidden (DENIED requested access)");
        check(599, "", "599 unknown");
    }
}
