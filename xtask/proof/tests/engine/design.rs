//! The design's own Dockerfile, entrypoint and ignore file around the same payload: what the smoke
//! test says of them. The list stands in `docs/design.md`.

use super::bench::{Repository, on_podman};
use super::smoke::{named, smoke};
use super::tell::tell;
use std::process::Command;

const DOCKERFILE: &str = include_str!("../../design/Dockerfile");
const ENTRYPOINT: &str = include_str!("../../design/entrypoint.sh");
const IGNORE: &str = include_str!("../../design/dockerignore");
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Builds the design's image, with no edits but those without which it can't be built here: the
/// base's name, and the Python that it has.
fn design(repository: &Repository) -> String {
    let base = repository.build(&["--target", "base"])["base"].as_str().unwrap().to_owned();
    let copy = |from: &str, to: &str| {
        let (from, to) = (repository.path(from), repository.path(to));
        let words = ["-r".as_ref(), from.as_os_str(), to.as_os_str()];
        assert!(Command::new("cp").args(words).status().unwrap().success());
    };
    repository.write(
        "target/base/Dockerfile",
        &format!(
            "FROM {base}\nCOPY bundle.crt /usr/local/share/bundle.crt\n\
             ENV PIP_CERT=/usr/local/share/bundle.crt\nRUN python3 -m venv --copies /usr/local\n"
        ),
    );
    std::fs::copy(BUNDLE, repository.path("target/base/bundle.crt")).unwrap();
    let build = |name: &str, folder: &str| {
        // Docker's format, or the health check would be lost for another reason than the design's.
        let words = ["build", "--format", "docker", "--pull=never", "--tag", name, folder];
        repository.engine(&words).good();
    };
    build("localhost/design-base", "target/base");
    let line = "import sys; print('python%d.%d' % sys.version_info[:2])";
    let words = ["run", "--rm", "localhost/design-base", "python3", "-c", line];
    let python = repository.engine(&words).good();
    copy("app", "target/design");
    let uv = std::env::var("XTASK_TEST_UV").expect("`cargo xtask test` sets it");
    let words = ["export", "--quiet", "--frozen", "--no-dev", "--no-emit-project"];
    let mut command = Command::new(uv);
    command.args(words).args(["--project", "app"]).current_dir(repository.path(""));
    let exported = command.output().unwrap();
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let lock = String::from_utf8(exported.stdout).unwrap();
    repository.write("target/design/requirements.txt", &lock);
    repository.write("target/design/docker/entrypoint.sh", ENTRYPOINT);
    repository.write("target/design/.dockerignore", IGNORE);
    let text = DOCKERFILE
        .replace("FROM python:3.12-slim-bookworm ", "FROM localhost/design-base ")
        .replace("/python3.12/", &format!("/{python}/"));
    repository.write("target/design/Dockerfile", &text);
    let image = Repository::local("design");
    build(&image, "target/design");
    image
}

#[test]
fn the_designs_own_image_fails_the_checks_that_one_would_expect() {
    if !on_podman() {
        return tell("not run: on Podman alone: the checks are the same code on both engines");
    }
    let repository = Repository::new();
    // Most of its commands wait for a minute; that they do is seen sooner.
    repository.edit("docker/image.toml", "[smoke]", "[smoke]\nstart_seconds = 12");
    repository.commit("A limit");
    let image = design(&repository);
    let (code, result) = smoke(&repository, &[&image]);
    assert_eq!(code, Some(8), "{result:#}");
    let documented = repository.read("docs/design.md");
    let list = documented.split("## What the smoke test says of the design").nth(1).unwrap();
    let rows = list.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let mut expected: Vec<&str> = rows.collect();
    let mut failed = named(&result, "failed");
    expected.sort_unstable();
    failed.sort();
    assert_eq!(failed, expected, "{result:#}");
}
