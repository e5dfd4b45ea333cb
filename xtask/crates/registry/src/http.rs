//! One request to a registry: with a deadline, retried if that can help, ended by a signal.

use super::helper::Helper;
use super::message::{Fault, Request, RequestOutcome, Response, SecretValue, Trust};
use super::proxy::{http_proxy, no_url};
use super::retry::{PATIENCE, passing, pause, retry_after};
use process::failure::{Exit, Failure, failure_help};
use process::notice::notice;
use process::run::{Runner, shortened};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

/// The most redirections that are followed.
const HOPS: usize = 5;

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
        match text.trim() {
            "" => format!("{} {}", self.status, self.name),
            text => format!("{} {} ({})", self.status, self.name, shortened(text, 200)),
        }
    }
}

impl Fault {
    pub(super) fn why(&self) -> &str {
        match self {
            Fault::Passing(why) | Fault::NoTls(why) | Fault::Untrusted(why) | Fault::Final(why) => {
                why
            }
            Fault::Proxy => "its proxy has no URL",
        }
    }
}

/// Sends requests.
pub(super) struct Wire {
    pub(super) trust: Trust,
    /// What sends, once it has been asked to.
    pub(super) helper: RefCell<Option<Helper>>,
    /// What compiles that program.
    pub(super) cargo: String,
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
    /// pass.
    pub(super) fn send(&self, request: &Request) -> anyhow::Result<Response> {
        self.settled(request)?.map_err(|fault| refused(&self.name, &fault))
    }

    /// As [`Wire::send`]; what can't pass comes back.
    ///
    /// # Errors
    /// [`Exit::RegistryFailed`] when it fails to the end.
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
            let follows = matches!(request.method.as_str(), "GET" | "HEAD")
                && matches!(response.status, 301 | 302 | 303 | 307 | 308);
            let Some(place) = response.header("location").filter(|_| follows) else {
                return Ok(Ok(response));
            };
            let Some(next) = resolved(&request.url, place) else {
                return Ok(Err(Fault::Final(format!("it redirects to {place:?}"))));
            };
            if origin(&next) != origin(&request.url) {
                request.headers.retain(|(name, _)| name != "authorization");
            }
            request.url = next;
        }
        Ok(Err(Fault::Final(format!("it redirects more than {HOPS} times"))))
    }

    fn exchange(&self, request: &Request) -> anyhow::Result<Result<Response, Fault>> {
        self.runner.check_signal()?;
        let (tls, authority) = origin(&request.url);
        let proxy = http_proxy(&self.environment, tls, authority)?;
        let url = proxy.map(|(_, url)| SecretValue(url.to_owned()));
        let request = Request { proxy: url, limit: self.limit, ..request.clone() };
        let mut helper = match self.helper.take() {
            Some(helper) => helper,
            None => Helper::start(&self.runner, &self.cargo, &self.trust)?,
        };
        // One that doesn't answer in time is ended.
        let Some(outcome) = helper.ask(&self.runner, &request)? else {
            return Ok(Err(Fault::late(self.limit)));
        };
        self.helper.replace(Some(helper));
        match (outcome, proxy) {
            (RequestOutcome::Response(response), _) => Ok(Ok(response)),
            (RequestOutcome::Fault(Fault::Proxy), Some((name, _))) => {
                Err(no_url(name, authority, tls))
            }
            (RequestOutcome::Fault(fault), _) => Ok(Err(fault)),
        }
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
        let check = |status: u16, name: &str, body: &str, expected: &str| {
            let (name, body) = (name.to_owned(), body.as_bytes().to_vec());
            assert_eq!(Response { status, name, body, ..Response::default() }.reason(), expected);
        };
        check(503, "Service Unavailable", "<html>", "503 Service Unavailable");
        let body = r#"{"errors":[{"code":"DENIED","message":"requested\naccess"}]}"#;
        check(403, "Forbidden", body, "403 Forbidden (DENIED requested access)");
    }
}
