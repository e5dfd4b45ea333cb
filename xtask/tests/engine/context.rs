//! What must not get into an image.

use super::bench::Repository;

/// Secrets as they lie around in real projects.
const PLANTED: [&str; 40] = [
    ".env",
    ".env.local",
    ".env.production",
    "prod.env",
    "server.key",
    "server.pem",
    "ca.crt",
    "site.cert",
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
    let report = repository.build(&[]);
    assert_eq!(
        report["context_changes"].as_array().unwrap().len(),
        0,
        "{}",
        report["context_changes"]
    );
    let image = Repository::local("prod");
    let search = "! grep -rl canary-in-a-secret /app /opt /usr/local /var/lib /build 2>/dev/null";
    repository.run(&image, &["sh", "-c", search]).good();
    let ignore = repository.read(".dockerignore");
    for name in ["app/.env", "app/trading/deep/er/id_rsa", "app/trading/service-account.json"] {
        repository.write(".dockerignore", &format!("{ignore}\n!{name}\n"));
        let ended = repository.xtask(&["build"]);
        assert_eq!(ended.code, Some(8), "{name}: {}", ended.err);
        assert!(ended.err.contains(name), "{}", ended.err);
        // Nothing was sent: the engine was not even called.
        assert!(!ended.err.contains("$ "), "{}", ended.err);
    }
}

/// The certificates that a build trusts, and every `--secret`, leave nothing behind.
#[test]
fn build_secrets_are_in_no_layer_history_or_label() {
    let repository = Repository::new();
    let bundle = std::fs::read_to_string("/etc/ssl/certs/ca-certificates.crt").unwrap();
    repository.write("target/bundle.pem", &format!("# canary-bundle\n{bundle}"));
    repository.edit(
        "docker/Dockerfile",
        "    set -eu; \\\n    if [ -s /run/secrets/ca ]; then \\\n",
        "    --mount=type=secret,id=token \\\n    set -eu; grep -q canary-token /run/secrets/token; grep -q canary-bundle /run/secrets/ca; \\\n    if [ -s /run/secrets/ca ]; then \\\n",
    );
    let mut command = repository.command(&[
        "build",
        "--secret",
        "id=token,env=CANARY",
        "--secret",
        "id=ca,src=target/bundle.pem",
    ]);
    let ended = command.env("CANARY", "canary-token").output().unwrap();
    let text = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success(), "{text}");
    // The RUN that looks for it is named in the history: look for the value.
    assert!(!text.contains("canary-token\n"), "{text}");
    let image = Repository::local("prod");
    for canary in ["canary-token", "canary-bundle"] {
        let folders = "/app /opt /etc /root /run /tmp /usr/local /var";
        let search = format!("! grep -rl {canary} {folders} 2>/dev/null");
        let options = ["run", "--rm", "--network", "none", "--user", "0", "--entrypoint", "sh"];
        repository.engine(&[&options[..], &[&image, "-c", &search]].concat()).good();
    }
}
