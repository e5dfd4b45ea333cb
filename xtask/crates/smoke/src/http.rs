//! Just enough of HTTP (RFC 9112) and of WebSockets (RFC 6455) to ask a container of ours; the
//! answer is evidence, so it is kept as it came.

use anyhow::Context as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpAnswer {
    pub status: u16,
    /// Status line, headers and body.
    pub text: String,
}

impl HttpAnswer {
    /// What a server sent; status 0 for what isn't HTTP.
    pub fn of(text: String) -> HttpAnswer {
        let status = text.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or_default();
        HttpAnswer { status, text }
    }

    /// The first line and the beginning of the body, for a line of evidence.
    pub fn shown(&self) -> String {
        let first =
            self.text.lines().next().unwrap_or("the connection was closed without an answer");
        let body = self.text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let body: Vec<&str> = body.split_whitespace().collect();
        format!("{first}: {}", process::run::shortened(&body.join(" "), 200))
    }

    /// The path of this server that it sends a browser to, without the fragment.
    pub fn leads_to(&self) -> Option<String> {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default();
        let headers = head.lines().filter_map(|line| line.split_once(':'));
        let place = headers
            .filter(|(name, _)| {
                (300..400).contains(&self.status) && name.eq_ignore_ascii_case("location")
            })
            .map(|(_, value)| value.trim())
            .next()?;
        let place = ["https://localhost", "http://localhost"]
            .iter()
            .find_map(|own| place.strip_prefix(own))
            .unwrap_or(place);
        let path = place.split('#').next().unwrap_or_default();
        (path.starts_with('/') && !path.starts_with("//")).then(|| path.to_owned())
    }
}

/// Asks for `path`, as a proxy that ends TLS would (production redirects what came without TLS).
pub fn get(
    address: &str,
    path: &str,
    headers: &str,
    limit: Duration,
) -> anyhow::Result<HttpAnswer> {
    let mut stream =
        TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
    stream.set_read_timeout(Some(limit)).context("setting a limit")?;
    stream.set_write_timeout(Some(limit)).context("setting a limit")?;
    let request = request(path, headers);
    stream.write_all(request.as_bytes()).with_context(|| format!("asking for {path}"))?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).with_context(|| format!("reading the answer of {path}"))?;
    Ok(HttpAnswer::of(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The request for `path`. By version 1.0: the answer isn't cut into chunks, and ends with the
/// connection.
pub fn request(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n{headers}\r\n")
}

/// What a proxy that ends TLS adds to a request.
pub const BEHIND_TLS: &str = "X-Forwarded-Proto: https\r\n";

/// The request that opens a WebSocket at `path`.
pub fn websocket(path: &str, cookie: &str) -> String {
    let cookie = if cookie.is_empty() { String::new() } else { format!("Cookie: {cookie}\r\n") };
    // The key may be any 16 bytes; it protects browsers from caches, and there is none between.
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: c21va2UtdGVzdC1rZXkuLg==\r\nSec-WebSocket-Version: 13\r\n\
         Origin: https://localhost\r\n{BEHIND_TLS}{cookie}\r\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_shows_its_status_and_its_body() {
        let found = "HTTP/1.0 503 Down\r\nA: b\r\n\r\n{\"status\": \"unhealthy\"}\n";
        let found = HttpAnswer::of(found.to_owned());
        assert_eq!(found.status, 503);
        assert_eq!(found.shown(), "HTTP/1.0 503 Down: {\"status\": \"unhealthy\"}");
        assert_eq!(HttpAnswer::of(String::new()).status, 0);
    }

    #[test]
    fn a_redirect_leads_to_a_page_of_the_same_server() {
        let check = |status: &str, place: &str, expected: Option<&str>| {
            let text = format!("HTTP/1.0 {status} X\r\nlocation: {place}\r\n\r\nLocation: /no\r\n");
            assert_eq!(HttpAnswer::of(text).leads_to().as_deref(), expected, "{place}");
        };
        check("302", "/accounts/login/?next=/#top", Some("/accounts/login/?next=/"));
        check("301", "https://localhost/en/", Some("/en/"));
        check("302", "https://login.example/", None);
        check("302", "//login.example/", None);
        check("302", "https://localhost:8443/", None);
        check("200", "/", None);
    }
}
