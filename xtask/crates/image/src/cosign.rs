//! The command lines of cosign, which signs images and statements about them, and checks both: no
//! cryptography here. Pure. Tried with Debian's cosign 2.5.0 and 3.1.1.

use crate::config::verify::{Signer, Signing};
use process::invocation::Invocation;
use registry::Way;
use std::path::Path;

/// An image in a registry.
#[derive(Clone, Copy, Debug)]
pub struct RemoteImage<'a> {
    /// `REPOSITORY@DIGEST`
    pub name: &'a str,
    /// How its registry is reached.
    pub way: &'a Way,
    /// A file with the certificates that it names, if there are any.
    pub roots: Option<&'a Path>,
    /// A folder with the registry's login, as Docker keeps it.
    pub login: Option<&'a Path>,
}

/// What a signing config says that names no public log (sigstore's signing config, v0.2).
pub const NO_LOG: &str = r#"{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","rekorTlogConfig":{},"tsaConfig":{}}"#;

/// Prints what `sign` takes: since cosign 3 a signing config in place of `--tlog-upload`.
pub fn help() -> Invocation {
    Invocation::new("cosign", ["sign", "--help"])
}

/// The public half of the key; fails if it can't be used.
pub fn public_key(key: &str) -> Invocation {
    Invocation::new("cosign", ["public-key", "--key", key])
}

/// Signs an image. `no_log`: a file with [`NO_LOG`], for a cosign that takes one.
pub fn sign(signing: &Signing, no_log: Option<&Path>, image: RemoteImage<'_>) -> Invocation {
    let words = vec!["sign".to_owned(), "--yes".to_owned()];
    call([words, signed_with(signing, no_log)].concat(), image)
}

/// Signs the statement of this type that says the predicate in `file` of an image, and attaches it.
pub fn attest(
    signing: &Signing,
    no_log: Option<&Path>,
    (predicate_type, file): (&str, &Path),
    image: RemoteImage<'_>,
) -> Invocation {
    let file = file.display().to_string();
    let words = ["attest", "--yes", "--type", predicate_type, "--predicate", &file];
    let words = words.map(str::to_owned).to_vec();
    call([words, signed_with(signing, no_log)].concat(), image)
}

/// Checks an image's signature. `bundle`: as cosign 3 keeps it, else as cosign 2 does.
pub fn verify(signer: &Signer, bundle: bool, image: RemoteImage<'_>) -> Invocation {
    let words = vec!["verify".to_owned()];
    call([words, signed_by(signer, bundle)].concat(), image)
}

/// Prints the statements of this type that are signed, one JSON object a line.
pub fn verify_attestation(
    signer: &Signer,
    bundle: bool,
    predicate_type: &str,
    image: RemoteImage<'_>,
) -> Invocation {
    let words = ["verify-attestation", "--type", predicate_type].map(str::to_owned).to_vec();
    call([words, signed_by(signer, bundle)].concat(), image)
}

fn signed_with(signing: &Signing, no_log: Option<&Path>) -> Vec<String> {
    match (signing, no_log) {
        (Signing::Keyless, _) => Vec::new(),
        (Signing::Key(key), Some(file)) => {
            vec!["--key".into(), key.clone(), format!("--signing-config={}", file.display())]
        }
        (Signing::Key(key), None) => {
            vec!["--key".into(), key.clone(), "--tlog-upload=false".into()]
        }
    }
}

fn signed_by(signer: &Signer, bundle: bool) -> Vec<String> {
    let mut words = vec![format!("--new-bundle-format={bundle}")];
    match signer {
        // A key's signatures are in no log.
        Signer::Key(key) => words.extend([
            "--insecure-ignore-tlog=true".to_owned(),
            "--key".to_owned(),
            key.clone(),
        ]),
        Signer::Identity { identity, issuer } => words.extend([
            format!("--certificate-identity-regexp={identity}"),
            format!("--certificate-oidc-issuer={issuer}"),
        ]),
    }
    words
}

fn call(mut words: Vec<String>, image: RemoteImage<'_>) -> Invocation {
    words.extend(image.way.plain.then(|| "--allow-http-registry=true".to_owned()));
    words.extend(image.way.insecure.then(|| "--allow-insecure-registry=true".to_owned()));
    words.extend(image.roots.map(|file| format!("--registry-cacert={}", file.display())));
    words.push(image.name.to_owned());
    let invocation = Invocation::new("cosign", words);
    match image.login {
        Some(folder) => invocation.with_env("DOCKER_CONFIG", folder.display().to_string()),
        None => invocation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_is_told_of_no_log_and_of_each_signer() {
        let check = |line: Invocation, expected: &str| assert_eq!(line.to_string(), expected);
        let (tls, other) = (Way::default(), Way { plain: true, insecure: true, ..Way::default() });
        let image =
            RemoteImage { name: "r.example/app@sha256:abc", way: &tls, roots: None, login: None };
        let (login, roots) = (Some(Path::new("/login")), Some(Path::new("/ca.pem")));
        let plain = RemoteImage { way: &other, roots, login, ..image };
        let key = Signing::Key("env://COSIGN_PRIVATE_KEY".into());
        check(
            sign(&key, None, image),
            "cosign sign --yes --key env://COSIGN_PRIVATE_KEY --tlog-upload=false r.example/app@sha256:abc",
        );
        check(
            sign(&key, Some(Path::new("/no-log.json")), plain),
            "DOCKER_CONFIG=/login cosign sign --yes --key env://COSIGN_PRIVATE_KEY --signing-config=/no-log.json --allow-http-registry=true --allow-insecure-registry=true --registry-cacert=/ca.pem r.example/app@sha256:abc",
        );
        check(
            attest(
                &Signing::Keyless,
                None,
                ("https://slsa.dev/provenance/v1", Path::new("/p")),
                image,
            ),
            "cosign attest --yes --type https://slsa.dev/provenance/v1 --predicate /p r.example/app@sha256:abc",
        );
        check(
            verify(&Signer::Key("docker/cosign.pub".into()), false, image),
            "cosign verify --new-bundle-format=false --insecure-ignore-tlog=true --key docker/cosign.pub r.example/app@sha256:abc",
        );
        let ci = Signer::Identity { identity: "^https://ci/".into(), issuer: "https://ci".into() };
        check(
            verify_attestation(&ci, true, "https://spdx.dev/Document", image),
            "cosign verify-attestation --type https://spdx.dev/Document --new-bundle-format=true '--certificate-identity-regexp=^https://ci/' --certificate-oidc-issuer=https://ci r.example/app@sha256:abc",
        );
    }
}
