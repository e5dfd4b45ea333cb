//! A certificate for servers of tests, as base64 of DER.

use base64::Engine as _;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use std::sync::Arc;

/// For 127.0.0.1, from 2020 to 2120, signed with [`KEY`], which serves nothing else.
pub const CERTIFICATE: &str = "\
    MIIBWDCB/6ADAgECAgEBMAoGCCqGSM49BAMCMBQxEjAQBgNVBAMMCTEyNy4wLjAuMTAgFw0yMDAxMDEwMDAwMDBaGA\
    8yMTIwMDEwMTAwMDAwMFowFDESMBAGA1UEAwwJMTI3LjAuMC4xMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8wdR\
    ZpqSFWhMDxcZhsHyd3HWZP/xeuEVmhSfBjswvRH04F1JDAvxLvAEDvwo8h3gaYt/bsd8x6SFpRnnRxoV/KNAMD4wDw\
    YDVR0RBAgwBocEfwAAATAMBgNVHRMBAf8EAjAAMB0GA1UdDgQWBBRpP6yVFsmySxYQWE4euMETMT6NWDAKBggqhkjO\
    PQQDAgNIADBFAiA/nWuSWaXVWu7BQe0H2Z0kDB/kBYjdcRLVx/Je2qLUWQIhANYKZ8z6UrScIVvQWOfrlK7Ybboa2M\
    5AYJZl4Oi14Dzv";
const KEY: &str = "\
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQga8SOiv6uSr/AINmciG1iQ3UHW9R6M34vKXksE/e1HS\
    uhRANCAATzB1FmmpIVaEwPFxmGwfJ3cdZk//F64RWaFJ8GOzC9EfTgXUkMC/Eu8AQO/CjyHeBpi39ux3zHpIWlGedH\
    GhX8";

/// What a server with the certificate begins connections with.
pub fn server() -> Arc<ServerConfig> {
    let decoded = |text| base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let key = PrivatePkcs8KeyDer::from(decoded(KEY)).into();
    let chain = vec![CertificateDer::from(decoded(CERTIFICATE))];
    Arc::new(config.with_single_cert(chain, key).unwrap())
}

/// The certificate as a bundle has it.
pub fn bundle() -> String {
    format!("-----BEGIN CERTIFICATE-----\n{CERTIFICATE}\n-----END CERTIFICATE-----\n")
}
