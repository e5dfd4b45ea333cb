//! Sends HTTP requests, over TLS or without. The crate `registry` starts this program, writes whom to
//! trust and then its requests, a line of JSON each, and reads a line for each answer. It ends with its
//! standard input.

#[path = "../../registry/src/message.rs"]
mod message;

use anyhow::Context as _;
use message::{Fault, Request, RequestOutcome, Response, Trust};
use std::io::{BufRead as _, Write as _};
use std::sync::Arc;
use std::time::Duration;
use ureq::http;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

/// The most bytes of an answer that are read; a manifest may have 4 MiB (OCI distribution 1.1).
const MOST: u64 = 16 << 20;

fn main() -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", message::identity())?;
    out.flush()?;
    let mut lines = std::io::stdin().lock().lines();
    let Some(trust) = lines.next() else { return Ok(()) };
    let trust: Trust = serde_json::from_str(&trust?).context("reading whom to trust")?;
    let agent = agent(&trust)?;
    for line in lines {
        let request: Request = serde_json::from_str(&line?).context("reading a request")?;
        writeln!(out, "{}", serde_json::to_string(&outcome(&agent, &request))?)?;
        out.flush()?;
    }
    Ok(())
}

/// What sends requests, and shows or takes those certificates.
fn agent(trust: &Trust) -> anyhow::Result<ureq::Agent> {
    let roots: Vec<_> = trust.roots.iter().flat_map(|pem| certificates(pem)).collect();
    let client = match &trust.client {
        None => None,
        Some((pem, key)) => {
            let key = PrivateKey::from_pem(key.0.as_bytes());
            Some(ClientCert::new_with_certs(&certificates(pem), key.context("reading our key")?))
        }
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .client_cert(client)
        .disable_verification(trust.insecure)
        .unversioned_rustls_crypto_provider(provider)
        .build();
    let config = ureq::Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        // Followed by who asks: a login goes to no other host.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("xtask/", env!("CARGO_PKG_VERSION")));
    Ok(config.build().new_agent())
}

/// A bundle can hold one that can't be read; what it signed is then refused, and nothing else.
fn certificates(pem: &str) -> Vec<Certificate<'static>> {
    let items = parse_pem(pem.as_bytes()).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    items.collect()
}

fn outcome(agent: &ureq::Agent, request: &Request) -> RequestOutcome {
    let proxy = request.proxy.as_ref().map(|url| ureq::Proxy::new(&url.0)).transpose();
    let Ok(proxy) = proxy else { return RequestOutcome::Fault(Fault::Proxy) };
    match exchange(agent, request, proxy) {
        Ok(response) => RequestOutcome::Response(response),
        Err(error) => RequestOutcome::Fault(fault(&error, request.limit)),
    }
}

fn exchange(
    agent: &ureq::Agent,
    request: &Request,
    proxy: Option<ureq::Proxy>,
) -> Result<Response, ureq::Error> {
    let mut head = http::Request::builder().method(request.method.as_str()).uri(&request.url);
    for (name, value) in &request.headers {
        head = head.header(name, value);
    }
    let limit = Some(request.limit);
    let mut response = match &request.body {
        None => {
            let request = agent.configure_request(head.body(())?);
            agent.run(request.proxy(proxy).timeout_global(limit).build())?
        }
        Some(body) => {
            let request = agent.configure_request(head.body(body.as_slice())?);
            agent.run(request.proxy(proxy).timeout_global(limit).build())?
        }
    };
    let headers = response.headers().iter();
    let headers = headers.filter_map(|(name, value)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    });
    let headers = headers.collect();
    let status = response.status();
    let name = status.canonical_reason().unwrap_or("unknown").to_owned();
    let body = response.body_mut().with_config().limit(MOST).read_to_vec()?;
    Ok(Response { status: status.as_u16(), name, headers, body })
}

fn fault(error: &ureq::Error, limit: Duration) -> Fault {
    match error {
        ureq::Error::Timeout(_) => Fault::late(limit),
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
