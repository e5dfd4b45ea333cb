//! What is found in a project's own Dockerfiles, as a user sees it.

use super::checkout::{Checkout, source};

const LINK: &str = "FROM docker.io/library/python:3.12\nCOPY --link app /app\n";

/// Plays an engine that answers `version` with what `$1` says.
fn answering(version: &str, more: &str) -> String {
    format!(
        "#!/bin/sh\ncase \"$*\" in\n{more}\nversion*) echo '{version}' ;;\n*) exit 0 ;;\nesac\n"
    )
}

#[test]
fn a_dockerfile_that_engines_build_differently_fails_the_quick_tests() {
    let checkout = Checkout::new();
    let good = checkout.proof(&["test", "--only", "lint"]);
    assert_eq!(good.code, Some(0), "{}", good.err);
    checkout.write("docker/Dockerfile.dev", LINK);
    let ended = checkout.proof(&["test", "--only", "lint"]);
    assert_eq!(ended.code, Some(8), "{}", ended.err);
    assert!(
        ended.err.contains("help: docker/Dockerfile.dev: line 2: copy-link: on every Podman"),
        "{}",
        ended.err
    );
    checkout.write(
        "docker/Dockerfile.dev",
        &LINK.replace("COPY", "# lint: allow copy-link ours can\nCOPY"),
    );
    assert_eq!(checkout.proof(&["test", "--only", "lint"]).code, Some(0));
}

#[test]
fn doctor_says_it_and_calls_it_bad_only_where_it_breaks_the_engine_of_this_machine() {
    let check = |program: &str, version: &str, mark: &str| {
        let checkout = Checkout::new();
        let name = "--version) echo Docker version ;;\nbuildx*) exit 0 ;;";
        checkout.program(program, &answering(version, name));
        checkout.write("docker/Dockerfile.dev", LINK);
        let ended = checkout.run(&["doctor"]);
        let line = ended.out.lines().find(|line| line.contains("copy-link")).unwrap_or_default();
        assert!(line.starts_with(mark), "{}{}", ended.out, ended.err);
        assert_eq!(ended.err.contains("dockerfile"), mark.starts_with("BAD"), "{}", ended.err);
    };
    check("podman", r#"{"Client":{"Version":"4.3.1"}}"#, "BAD dockerfile");
    let docker = r#"{"Client":{"Version":"28.5.2"},"Server":{"Version":"28.5.2"}}"#;
    check("docker", docker, "    dockerfile");
}

#[test]
fn doctor_names_what_a_closed_network_has_and_no_value() {
    let checkout = Checkout::new();
    let mut command = checkout.command(&["doctor"]);
    command.env("https_proxy", "http://me:canary@127.0.0.1:9");
    command.env("PIP_INDEX_URL", "https://me:canary@index.example");
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("network         proxies by https_proxy; index by PIP_INDEX_URL\n"),
        "{text}"
    );
    assert!(!text.contains("canary"), "{text}");
}

/// Every variable that the code reads for a closed network is in its documentation.
#[test]
fn closed_networks_are_documented() {
    let text = std::fs::read_to_string(source("docs/closed-networks.md")).unwrap();
    for name in [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "FTP_PROXY",
        "ALL_PROXY",
        "UV_DEFAULT_INDEX",
        "UV_INDEX_URL",
        "PIP_INDEX_URL",
        "XTASK_DEBIAN_MIRROR",
        "XTASK_CA_BUNDLE",
        "index_url",
        "debian_mirror",
    ] {
        assert!(text.contains(&format!("{name}`")) || text.contains(&format!("`{name}")), "{name}");
    }
}

/// A group alone brings the tools that it needs, on a fresh clone or after they were changed.
#[test]
fn a_group_that_needs_tools_has_them_first() {
    let checkout = Checkout::new();
    let groups = |name: &str| {
        let listed = checkout.proof(&["test", "--dry-run", "--only", name]).out;
        let chosen = listed.lines().take_while(|line| *line != "not in this run:");
        let names = chosen.map(|line| line.split_whitespace().next().unwrap().to_owned());
        names.collect::<Vec<_>>().join(" ")
    };
    checkout.write("xtask/proof/tools/requirements.txt", "uv==1\n");
    assert_eq!(groups("podman5"), "tools podman5");
    checkout.write("target/xtask/tools/made-of.txt", "uv==1\n");
    assert_eq!(groups("podman5"), "podman5");
    checkout.write("xtask/proof/tools/requirements.txt", "uv==2\n");
    assert_eq!(groups("payload"), "tools payload");
    assert_eq!(groups("format"), "format");
}
