//! Whose certificates a registry may show: the machine's bundle, and what stands in the engines'
//! folders for this registry (containers-certs.d(5); Docker has the same layout).

use anyhow::Context as _;
use engine::machine::Machine;
use process::environment::Environment;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

/// The folders `certs.d/HOST[:PORT]` of both engines.
fn folders(registry: &str, home: Option<&str>) -> Vec<PathBuf> {
    let own = [".config/containers/certs.d", ".config/docker/certs.d"];
    let own = own.iter().filter_map(|below| Some(Path::new(home?).join(below)));
    let system = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from);
    own.chain(system).map(|folder| folder.join(registry)).filter(|path| path.is_dir()).collect()
}

/// The settings for TLS with `registry`. `insecure`: the engine was told not to look.
pub(super) fn tls(
    registry: &str,
    environment: &Environment,
    machine: &Machine,
    insecure: bool,
) -> anyhow::Result<TlsConfig> {
    let mut roots = Vec::new();
    let mut client = None;
    if let Some(bundle) = &machine.ca_bundle {
        roots.extend(certificates(bundle)?);
    }
    for folder in folders(registry, environment.variable("HOME")) {
        let entries = std::fs::read_dir(&folder);
        let entries = entries.with_context(|| format!("reading {}", folder.display()))?;
        for path in entries.flatten().map(|entry| entry.path()) {
            let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
            match end {
                "crt" => roots.extend(certificates(&path)?),
                "cert" => client = Some(own_certificate(&path)?),
                _ => {}
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .client_cert(client)
        .disable_verification(insecure)
        .unversioned_rustls_crypto_provider(provider)
        .build())
}

fn certificates(file: &Path) -> anyhow::Result<Vec<Certificate<'static>>> {
    let bytes =
        process::regular::read(file).with_context(|| format!("reading {}", file.display()))?;
    // A bundle can hold one that can't be read; what it signed is then refused, and nothing else.
    let items = parse_pem(&bytes).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    Ok(items.collect())
}

/// The certificate that we show, `NAME.cert` with its key in `NAME.key`.
fn own_certificate(file: &Path) -> anyhow::Result<ClientCert> {
    let key = file.with_extension("key");
    let bytes =
        process::regular::read(&key).with_context(|| format!("reading {}", key.display()))?;
    let key = PrivateKey::from_pem(&bytes)
        .map_err(|error| anyhow::anyhow!("reading {}: {error}", key.display()))?;
    Ok(ClientCert::new_with_certs(&certificates(file)?, key))
}
