//! Just enough of HTTP (RFC 9112) and of WebSockets (RFC 6455) to ask a container of ours on the
//! loopback address; the answer is evidence, so it is kept as it came.

use anyhow::Context as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Status line, headers and body.
    pub text: String,
}

impl Answer {
    /// The first line and the beginning of the body, for a line of evidence.
    pub fn shown(&self) -> String {
        let first = self.text.lines().next().unwrap_or("nothing");
        let body = self.text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        format!("{first}: {}", process::run::shortened(body.trim(), 200))
    }
}

/// Asks for `path`, as a proxy that ends TLS would (production redirects what came without TLS).
///
/// # Errors
/// When nothing answers at `address` within `limit`.
pub fn get(address: &str, path: &str, headers: &str, limit: Duration) -> anyhow::Result<Answer> {
    let mut stream = connect(address, limit)?;
    // Version 1.0: the answer isn't cut into chunks, and ends with the connection.
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).with_context(|| format!("asking for {path}"))?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).with_context(|| format!("reading the answer of {path}"))?;
    Ok(answer(&bytes))
}

/// What a proxy that ends TLS adds to a request.
pub const BEHIND_TLS: &str = "X-Forwarded-Proto: https\r\n";

fn connect(address: &str, limit: Duration) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
    stream.set_read_timeout(Some(limit)).context("setting a limit")?;
    stream.set_write_timeout(Some(limit)).context("setting a limit")?;
    Ok(stream)
}

fn answer(bytes: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or_default();
    Answer { status, text }
}

/// Opens a WebSocket at `path` and gives the first text message that comes within `limit`, or the
/// answer that refused it.
///
/// # Errors
/// When nothing answers, or no message comes in time.
pub fn first_message(
    address: &str,
    path: &str,
    cookie: &str,
    limit: Duration,
) -> anyhow::Result<Result<String, Answer>> {
    let mut stream = connect(address, limit)?;
    let cookie = if cookie.is_empty() { String::new() } else { format!("Cookie: {cookie}\r\n") };
    // The key may be any 16 bytes; it protects browsers from caches, and there is none between.
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: c21va2UtdGVzdC1rZXkuLg==\r\nSec-WebSocket-Version: 13\r\n\
         Origin: https://localhost\r\n{BEHIND_TLS}{cookie}\r\n"
    );
    stream.write_all(request.as_bytes()).context("asking for a WebSocket")?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte).context("reading the answer to a WebSocket's request")? {
            0 => return Ok(Err(answer(&head))),
            _ => head.push(byte[0]),
        }
    }
    let answer = answer(&head);
    if answer.status != 101 {
        return Ok(Err(answer));
    }
    loop {
        let (kind, data) = frame(&mut stream).context("waiting for a message of the WebSocket")?;
        match kind {
            TEXT => return Ok(Ok(String::from_utf8_lossy(&data).into_owned())),
            CLOSE => anyhow::bail!("waiting for a message of the WebSocket: it was closed"),
            _ => {}
        }
    }
}

/// Frames by their number (RFC 6455, section 5.2).
const TEXT: u8 = 1;
const CLOSE: u8 = 8;

/// One frame of a server, which are never masked: its kind and its data.
fn frame(stream: &mut impl Read) -> std::io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    stream.read_exact(&mut head)?;
    let length = match head[1] & 0x7f {
        126 => {
            let mut bytes = [0; 2];
            stream.read_exact(&mut bytes)?;
            u64::from(u16::from_be_bytes(bytes))
        }
        127 => {
            let mut bytes = [0; 8];
            stream.read_exact(&mut bytes)?;
            u64::from_be_bytes(bytes)
        }
        short => u64::from(short),
    };
    let mut data = Vec::new();
    stream.take(length).read_to_end(&mut data)?;
    Ok((head[0] & 0x0f, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_all_lengths_are_read() {
        let check = |head: &[u8], length: usize| {
            let mut bytes = head.to_vec();
            bytes.extend(std::iter::repeat_n(b'x', length));
            let (kind, data) = frame(&mut &bytes[..]).unwrap();
            assert_eq!((kind, data.len()), (TEXT, length));
        };
        check(&[0x81, 5], 5);
        check(&[0x81, 126, 1, 0], 256);
        check(&[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0], 65_536);
        assert!(frame(&mut &[0x81][..]).is_err());
    }

    #[test]
    fn an_answer_shows_its_status_and_its_body() {
        let found = answer(b"HTTP/1.0 503 Down\r\nA: b\r\n\r\n{\"status\": \"unhealthy\"}\n");
        assert_eq!(found.status, 503);
        assert_eq!(found.shown(), "HTTP/1.0 503 Down: {\"status\": \"unhealthy\"}");
        assert_eq!(answer(b"").status, 0);
    }
}
