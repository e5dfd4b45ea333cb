//! Dependencies come and go on a warm store.

use super::bench::{Repository, on_podman};
use std::process::Command;

/// Adds a dependency and locks it.
fn add(repository: &Repository, name: &str) {
    let uv =
        std::env::var("XTASK_TEST_UV").expect("XTASK_TEST_UV; `cargo xtask test --all` sets it");
    let words = ["add", "--no-sync", "--project", "app", name];
    let ended = Command::new(uv)
        .args(words)
        .current_dir(repository.path("."))
        .env("UV_PYTHON_DOWNLOADS", "never")
        // Where uv leaves its locks.
        .env("TMPDIR", repository.path("target"))
        .output()
        .unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

fn has(repository: &Repository, module: &str) -> bool {
    let line = format!("import {module}");
    repository.run(&Repository::local("prod"), &["python", "-c", &line]).code == Some(0)
}

#[test]
fn a_new_dependency_is_there_each_time_and_after_a_new_installer() {
    let repository = Repository::new();
    repository.build(&[]);
    assert!(!has(&repository, "iniconfig") && !has(&repository, "pluggy"));
    add(&repository, "iniconfig");
    repository.build(&[]);
    assert!(has(&repository, "iniconfig") && !has(&repository, "pluggy"));
    add(&repository, "pluggy");
    repository.build(&[]);
    assert!(has(&repository, "iniconfig") && has(&repository, "pluggy"));
    // Another version of the installer, locked by its archives' hashes.
    repository.write("docker/installer.txt", include_str!("installer-0.13.8.txt"));
    let report = repository.build(&[]);
    let log = std::fs::read_to_string(report["log"].as_str().unwrap()).unwrap();
    assert!(log.contains("Installed "), "the installer ran");
    assert!(has(&repository, "iniconfig") && has(&repository, "pluggy"));
}

#[test]
fn an_altered_archive_is_not_installed() {
    let repository = Repository::new();
    let lock = repository.read("app/uv.lock");
    let start = lock.find("name = \"sqlparse\"\nversion").unwrap();
    let hash = start + lock[start..].find("-py3-none-any.whl\", hash = \"sha256:").unwrap();
    let hash = hash + lock[hash..].find("sha256:").unwrap() + "sha256:".len();
    let digit = if &lock[hash..=hash] == "0" { "1" } else { "0" };
    repository.write("app/uv.lock", &format!("{}{digit}{}", &lock[..hash], &lock[hash + 1..]));
    let ended = repository.xtask(&["build"]);
    assert_eq!(ended.code, Some(5), "{}", ended.err);
    assert!(ended.err.contains("sqlparse"), "{}", ended.err);
}

/// No line of the Dockerfile knows a Python version. One engine is enough for that.
#[test]
fn the_same_dockerfile_builds_on_another_python() {
    let repository = Repository::new();
    let words: &[&str] = if on_podman() { &["--python", "3.13"] } else { &["--python", "3.11"] };
    let report = repository.build(words);
    let version = repository.run(&Repository::local("prod"), &["python", "--version"]).good();
    assert!(
        version.starts_with(if on_podman() { "Python 3.13" } else { "Python 3.11" }),
        "{version}"
    );
    assert_eq!(report["labels"]["org.opencontainers.image.base.name"], report["base"]);
}
