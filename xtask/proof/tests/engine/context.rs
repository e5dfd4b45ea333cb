//! What must not get into an image.

use super::bench::Repository;
use super::smoke::smoke;

/// Secrets as they lie around in real projects.
const PLANTED: [&str; 37] = [
    ".env",
    ".env.local",
    ".env.production",
    "prod.env",
    "server.key",
    "id_rsa",
    "id_ed25519",
    "id_ecdsa.pub",
    "deploy.ppk",
    ".npmrc",
    ".pypirc",
    ".netrc",
    ".pgpass",
    ".htpasswd",
    ".git-credentials",
    ".git/config",
    ".ssh/config",
    ".aws/credentials",
    ".docker/config.json",
    ".kube/config",
    ".gnupg/secring.gpg",
    "secrets/password",
    "service-account.json",
    "credentials.json",
    "client_secret_1.json",
    "db.sqlite3",
    "cache.sqlite",
    "db.sqlite3-journal",
    "store.jks",
    "store.p12",
    "store.pfx",
    "vault.kdbx",
    "terraform.tfstate",
    "prod.tfvars",
    ".vault-token",
    "token.json",
    "kubeconfig",
];

#[test]
fn no_planted_secret_is_in_the_image_and_one_let_in_stops_the_build() {
    let repository = Repository::new();
    for folder in ["app", "app/trading", "app/trading/deep/er"] {
        for name in PLANTED {
            repository.write(&format!("{folder}/{name}"), "canary-in-a-secret\n");
        }
    }
    let report = repository.build(&["--build-arg", "NOBODYS=canary-in-an-argument"]);
    assert_eq!(
        report["context_changes"].as_array().unwrap().len(),
        0,
        "{}",
        report["context_changes"]
    );
    absent(&repository, &["canary-in-a-secret", "canary-in-an-argument"]);
    let ignore = repository.read(".dockerignore");
    for name in ["app/.env", "app/trading/deep/er/id_rsa", "app/trading/service-account.json"] {
        repository.write(".dockerignore", &format!("{ignore}\n!{name}\n"));
        let ended = repository.xtask(&["build"]);
        assert_eq!(ended.code, Some(8), "{name}: {}", ended.err);
        assert!(ended.err.contains(name), "{}", ended.err);
        // Nothing was sent: the engine was not even called.
        assert!(!ended.err.contains("$ "), "{}", ended.err);
    }
    // Certificates are public, and what isn't one has no business in such a file.
    repository.write(".dockerignore", &ignore);
    repository.write("app/server.pem", "canary-in-a-secret\n");
    let ended = repository.xtask(&["build"]);
    assert!(ended.code == Some(8) && ended.err.contains("app/server.pem"), "{}", ended.err);
}

/// The certificates that a build trusts, and every `--secret`, leave nothing behind.
#[test]
fn build_secrets_are_in_no_layer_history_or_label() {
    let repository = Repository::new();
    let bundle = std::fs::read_to_string("/etc/ssl/certs/ca-certificates.crt").unwrap();
    // Without its marks the step is the project's own.
    repository.edit("docker/Dockerfile", "# >>> docker/image.toml: dependencies\n", "");
    repository.edit(
        "docker/Dockerfile",
        "    /opt/dependencies/install.sh --no-default-groups\n# >>> end\n",
        "    --mount=type=secret,id=token \\\n    grep -q canary-token /run/secrets/token \\\n    \
         && grep -q canary-bundle /run/secrets/ca \\\n    && /opt/dependencies/install.sh --no-default-groups\n",
    );
    // Longer than what the RUN looks for, which stands in the history itself.
    let (token, mark) = ("canary-token-c7d1", "canary-bundle-88e0");
    repository.write("target/bundle.pem", &format!("# {mark}\n{bundle}"));
    let mut command = repository.command(&[
        "build",
        "--secret",
        "id=token,env=CANARY",
        "--secret",
        "id=ca,src=target/bundle.pem",
    ]);
    let ended = command.env("CANARY", token).output().unwrap();
    let text = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success(), "{text}");
    assert!(!text.contains(token), "{text}");
    absent(&repository, &[token, mark]);
}

/// The smoke test finds none of the texts, in no layer, path, history, label or variable.
fn absent(repository: &Repository, texts: &[&str]) {
    repository.write("target/absent", &texts.join("\n"));
    let (code, result) = smoke(repository, &["--only", "no-secrets", "--absent", "target/absent"]);
    assert_eq!(code, Some(0), "{result:#}");
}
