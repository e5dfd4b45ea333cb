//! What `senex-https`, the program that sends requests, is told and answers. It is compiled from
//! this file as well.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

/// What the program is compiled from, as a number: its first line. One that says another is old.
pub fn identity() -> String {
    let mut hash = DefaultHasher::new();
    let (program, lock) = (include_str!("../https.rs"), include_str!("../workspace.lock"));
    (program, include_str!("message.rs"), lock).hash(&mut hash);
    format!("{:016x}", hash.finish())
}

/// Text that no message shows.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretValue(pub String);

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Whose certificates count: the first line.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Trust {
    /// PEM files of authorities.
    pub roots: Vec<String>,
    /// The certificate that we show, and its key, as PEM.
    pub client: Option<(String, SecretValue)>,
    /// Look at no certificate.
    pub insecure: bool,
}

/// One question.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Request {
    pub method: String,
    pub url: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
    /// The URL of an HTTP proxy.
    pub proxy: Option<SecretValue>,
    /// How long it may take in all.
    pub limit: Duration,
}

/// What comes back for a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum RequestOutcome {
    Response(Response),
    Fault(Fault),
}

/// One answer. Names of headers are in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    pub status: u16,
    /// The status's name (RFC 9110, 15).
    pub name: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// Why there was no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// The network; it may pass.
    Passing(String),
    /// What listens there speaks no TLS.
    NoTls(String),
    /// Its certificate isn't signed by anyone we trust.
    Untrusted(String),
    /// Trying again will not help.
    Final(String),
    /// The proxy's URL isn't one.
    Proxy,
}

impl Fault {
    /// The fault of an answer that didn't come in time.
    pub fn late(limit: Duration) -> Fault {
        Fault::Passing(format!("no answer in {} s", limit.as_secs()))
    }
}
