//! What a closed network needs reaches the steps, and nothing of it stays.

use super::bench::Repository;

/// A step that fails unless it has proxies and an index.
const STEP: &str = "RUN --mount=type=secret,id=index set -eu; \\
    case $HTTPS_PROXY in http://me:canary*@127.0.0.1:9) ;; *) exit 1 ;; esac; \\
    test \"$no_proxy\" = .canary.example; \\
    case $(cat /run/secrets/index) in https://me:canary*@index.example) ;; *) exit 1 ;; esac
WORKDIR /app
";

#[test]
fn proxies_and_the_index_reach_a_step_and_neither_the_image_nor_the_cache() {
    let repository = Repository::new();
    repository.edit("docker/Dockerfile", "WORKDIR /app\n", STEP);
    let build = |password: &str| {
        let mut command =
            repository.command(&["build", "--force", "--target", "base", "--format", "json"]);
        command
            .env("HTTPS_PROXY", format!("http://me:{password}@127.0.0.1:9"))
            .env("no_proxy", ".canary.example")
            .env("PIP_INDEX_URL", format!("https://me:{password}@index.example"));
        let output = command.output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{err}");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let log = std::fs::read_to_string(report["log"].as_str().unwrap()).unwrap();
        assert!(!err.contains(password) && !log.contains(password), "{err}\n{log}");
        report["image_id"].as_str().unwrap().to_owned()
    };
    let image = build("canary1");
    let inspected = repository.inspect(&image).to_string();
    let history = repository.engine(&["history", "--no-trunc", &image]).good();
    // The step itself is recorded: its pattern, and never a value.
    assert!(!inspected.contains("canary1") && !history.contains("canary1"), "{history}");
    assert_eq!(build("canary2"), image, "another password builds nothing anew");
}
