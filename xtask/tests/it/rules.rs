//! Rules about `docker/*` that no engine checks.

use super::checkout::source;
use std::collections::BTreeSet;

fn read(file: &str) -> String {
    std::fs::read_to_string(source(file)).unwrap()
}

/// Instructions with their continuation lines, comments left out.
fn instructions(file: &str) -> Vec<String> {
    let text = read(file);
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    joined.lines().map(words).filter(|line| !line.is_empty()).collect()
}

/// The development image has production's base, user, folders and packages; only the group of the
/// dependencies, the settings and the server differ (C15).
#[test]
fn the_development_image_is_in_step_with_production() {
    let prod = instructions("docker/Dockerfile");
    let own = [
        "FROM ${BASE_IMAGE} AS development",
        "COPY docker/development/ /usr/local/lib/container/",
        "CMD [\"python\", \"manage.py\", \"runserver\", \"0.0.0.0:8000\"]",
    ];
    for line in instructions("docker/Dockerfile.dev") {
        let line = line.replace("ENVIRONMENT=development", "ENVIRONMENT=production");
        let same = prod.contains(&line)
            || prod.contains(&line.replace("--frozen --no-", "--frozen --no-dev --no-"));
        assert!(same || own.contains(&line.as_str()), "{line}");
    }
}

#[test]
fn the_dockerfiles_keep_to_what_every_engine_can() {
    for file in ["docker/Dockerfile", "docker/Dockerfile.dev"] {
        let text = read(file);
        assert!(!text.starts_with("# syntax") && !text.contains("<<"), "{file}");
        for line in instructions(file) {
            // Empty on Podman 4.3 when the stage came from the cache.
            assert!(!line.contains("--mount=type=bind"), "{line}");
            assert!(
                !line.contains("chown -R")
                    && !line.starts_with("ADD ")
                    && !line.starts_with("VOLUME"),
                "{line}"
            );
            // Labels come from the command line; Podman serves LABEL with an ARG stale.
            assert!(!line.starts_with("LABEL"), "{line}");
        }
        // Each instruction, or the group that it stands in, has its reason above it.
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate().filter(|(_, line)| line.starts_with("RUN ")) {
            let above = lines[..index].iter().rev().take_while(|line| !line.is_empty());
            assert!(
                file.ends_with(".dev") || above.into_iter().any(|line| line.starts_with('#')),
                "{line}"
            );
        }
    }
}

/// The table in the documentation is the truth about the environment (B12).
#[test]
fn every_variable_of_a_container_is_documented() {
    let mut used = BTreeSet::new();
    let entrypoint = read("docker/entrypoint.sh");
    for part in entrypoint.split("${").skip(1) {
        used.insert(name(part));
    }
    let mut files = vec![source("docker/healthcheck")];
    for folder in ["docker/container/entrypoint", "app/senex_trader", "app/senex_trader/settings"] {
        let entries = std::fs::read_dir(source(folder)).unwrap().map(|entry| entry.unwrap().path());
        files.extend(entries.filter(|path| path.extension().is_some_and(|end| end == "py")));
    }
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        for start in ["environ.get(\"", "environ[\"", "number(\"", "words(\""] {
            for part in text.split(start).skip(1) {
                used.insert(name(part));
            }
        }
    }
    // Inner workings: how the scripts find each other, and the shell's own.
    let inner = ["CONTAINER_HEARTBEAT", "CONTAINER_LIBRARY", "CONTAINER_RUN", "HOME", "TMPDIR", ""];
    let used: BTreeSet<String> =
        used.into_iter().filter(|name| !inner.contains(&name.as_str())).collect();
    let table = read("docs/environment.md");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    // Not each of its tables is one of variables.
    let documented: BTreeSet<String> = rows.map(name).filter(|name| !name.is_empty()).collect();
    let from_image = ["ASGI_APPLICATION", "WSGI_APPLICATION", "CELERY_QUEUES"].map(str::to_owned);
    let used = used.into_iter().chain(from_image).collect::<BTreeSet<_>>();
    assert_eq!(used, documented);
}

fn name(text: &str) -> String {
    text.chars().take_while(|c| c.is_ascii_uppercase() || *c == '_').collect()
}

#[test]
fn the_files_that_run_in_the_image_are_executable() {
    use std::os::unix::fs::PermissionsExt as _;
    for file in
        ["docker/entrypoint.sh", "docker/healthcheck", "docker/base/postgres-start", ".ci/run"]
    {
        let mode = source(file).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{file}");
    }
}
