//! Asks web from a container in the same network: what a client there sees, whatever is between the
//! engine and us.

use super::http;
use anyhow::Context as _;
use engine::Engine;
use engine::containers::{self, Container};
use process::run::{Conversation, Runner};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What it runs: with nothing but Python, which every image of a Django project has.
const SCRIPT: &str = include_str!("prober.py");
/// What starting the container may take, and its answer longer than the request.
const MORE: Duration = Duration::from_secs(30);

#[derive(Serialize)]
pub struct Question<'a> {
    /// Address of the container that is asked.
    pub host: &'a str,
    pub port: u16,
    /// The request, head and all.
    pub request: &'a str,
    /// Whether a WebSocket's first text message is waited for.
    pub message: bool,
    /// The longest silence, in seconds.
    pub limit: f64,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reply {
    Answer(String),
    Message(String),
    Error(String),
}

/// A running prober; ended with this value.
pub struct Prober(Conversation);

impl Prober {
    /// Starts one: `container` is one of the image, in the network.
    pub fn start(engine: &Engine, container: Container, runner: &Runner) -> anyhow::Result<Prober> {
        // Isolated: no module of the project is taken for one of Python's.
        let words = ["-I", "-c", SCRIPT].map(str::to_owned).to_vec();
        let entrypoint = Some("python3".to_owned());
        let container = Container { entrypoint, words, input: true, ..container };
        let mut conversation = runner.converse(&containers::run(engine, &container, false))?;
        let ready = conversation.hear(runner, MORE)?;
        ready.context("the prober doesn't start")?;
        Ok(Prober(conversation))
    }

    /// Asks, and waits for the answer; `begun` is called when the question is under way.
    pub fn ask(
        &mut self,
        question: &Question<'_>,
        begun: impl FnOnce(),
        runner: &Runner,
    ) -> anyhow::Result<Reply> {
        self.0.say(&serde_json::to_string(question)?);
        begun();
        let limit = Duration::from_secs_f64(question.limit) + MORE;
        let line = self.0.hear(runner, limit)?.context("the prober doesn't answer")?;
        serde_json::from_str(&line).with_context(|| format!("the prober said {line:?}"))
    }
}

impl Reply {
    /// The answer to a request that waits for no message.
    pub fn answer(self) -> anyhow::Result<http::HttpAnswer> {
        match self {
            Reply::Answer(text) | Reply::Message(text) => Ok(http::HttpAnswer::of(text)),
            Reply::Error(why) => anyhow::bail!(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    /// Asks a server that answers `bytes`, by the script in this machine's Python.
    fn asked(bytes: &'static [u8], message: bool) -> Reply {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let serving = std::thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let mut request = [0; 2];
            stream.read_exact(&mut request).unwrap();
            stream.write_all(bytes).unwrap();
        });
        let runner = Runner {
            folder: "/".into(),
            progress: false,
            verbose: false,
            form: process::form::Form::Plain,
            signal: std::sync::Arc::default(),
        };
        let program = process::invocation::Invocation::new("python3", ["-I", "-c", SCRIPT]);
        let mut conversation = runner.converse(&program).unwrap();
        assert_eq!(conversation.hear(&runner, MORE).unwrap().as_deref(), Some("\"ready\""));
        let mut prober = Prober(conversation);
        let question = Question { host: "127.0.0.1", port, request: "hi", message, limit: 20.0 };
        let found = prober.ask(&question, || (), &runner).unwrap();
        serving.join().unwrap();
        found
    }

    #[test]
    fn answers_and_messages_come_as_they_were_sent() {
        assert_eq!(
            asked(b"HTTP/1.0 200 OK\r\n\r\n\xff\n", false),
            Reply::Answer("HTTP/1.0 200 OK\r\n\r\n\u{fffd}\n".into())
        );
        let refused = b"HTTP/1.1 403 Forbidden\r\nA: b\r\n\r\nrest";
        let head = "HTTP/1.1 403 Forbidden\r\nA: b\r\n\r\n";
        assert_eq!(asked(refused, true), Reply::Answer(head.into()));
        let open = b"HTTP/1.1 101 x\r\n\r\n\x89\x01p\x81\x05hello";
        assert_eq!(asked(open, true), Reply::Message("hello".into()));
        let long = b"HTTP/1.1 101 x\r\n\r\n\x81\x7e\x00\x80\
            12345678901234567890123456789012345678901234567890123456789012345678901234567890\
            123456789012345678901234567890123456789012345678";
        assert!(matches!(asked(long, true), Reply::Message(text) if text.len() == 128));
        let closed = "the WebSocket was closed".to_owned();
        assert_eq!(asked(b"HTTP/1.1 101 x\r\n\r\n\x88\x00", true), Reply::Error(closed));
        let cut = "the connection was closed".to_owned();
        assert_eq!(asked(b"HTTP/1.1 101 x\r\n\r\n\x81\x05he", true), Reply::Error(cut));
    }
}
