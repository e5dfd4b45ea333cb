//! Engines that work, but not simply here: `doctor` has a line for each. What doesn't work at all
//! is in `no_engine`.

use super::checkout::Checkout;
use super::ended::Ended;
use super::transcript::fits;

/// A Docker that is named by the context `$1`, whose host is `$2`, on the platform `$3`.
fn docker(context: &str, host: &str, platform: &str) -> String {
    format!(
        r#"case "$*" in
            --version) echo "Docker version 28.5.2" ;;
            version*) echo '{{"Client":{{"Version":"28.5.2","Context":"{context}"}},"Server":{{"Version":"28.5.2","Os":"linux","Arch":"amd64","Platform":{{"Name":"{platform}"}}}}}}' ;;
            "context inspect {context} "*) echo "{host}" ;;
            *DriverStatus*) echo '[["Backing Filesystem","extfs"]]' ;;
        esac"#
    )
}

/// A Podman whose builds run elsewhere, with these connections.
fn remote_podman(connections: &str) -> String {
    format!(
        r#"case "$1 $2" in
            version*) echo '{{"Client":{{"Version":"5.4.2"}},"Server":{{"Version":"5.4.2","OsArch":"linux/arm64"}}}}' ;;
            "system connection") echo '{connections}' ;;
        esac"#
    )
}

/// The lines of `doctor` about the programs `podman` and `docker`, and about the engine.
#[track_caller]
fn check(programs: &[(&str, String)], environment: &[(&str, &str)], expected: &[&str]) {
    let checkout = Checkout::new();
    checkout.write("home/.keep", "");
    for (name, script) in programs {
        checkout.program(name, &format!("#!/bin/sh\n{script}\n"));
    }
    let mut command = checkout.command(&["doctor"]);
    command.env("PATH", format!("{}:{}", checkout.path, checkout.path("bin/second").display()));
    let ended: Ended = command.envs(environment.iter().copied()).output().unwrap().into();
    let about = |line: &&str| {
        let name = line.get(4..).unwrap_or_default();
        ["podman ", "docker ", "engine ", "/"].iter().any(|start| name.starts_with(start))
    };
    let found: Vec<&str> = ended.out.lines().filter(about).collect();
    let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
    assert!(fits(&expected, &found), "{expected:#?}\n{found:#?}\n{}", ended.err);
}

const COMMUNITY: &str = "Docker Engine - Community";
const NO_PODMAN: &str = "    podman          not on PATH";
const NO_DOCKER: &str = "    docker          not on PATH";

#[test]
fn virtual_machines_and_remote_engines_are_named_with_what_points_there() {
    let desktop = "Docker Desktop 4.48.0 (207573)";
    check(
        &[("docker", docker("desktop-linux", "unix:///me/docker.sock", desktop))],
        &[],
        &[
            NO_PODMAN,
            "    docker          Docker 28.5.2 works, with DOCKER_BUILDKIT=1; the virtual machine of Docker Desktop 4.48.0 (207573), the daemon of the context desktop-linux (unix:///me/docker.sock)",
            "ok  engine          Docker 28.5.2: it works; the virtual machine of Docker Desktop…",
        ],
    );
    check(
        &[("docker", docker("box", "ssh://me@box", COMMUNITY))],
        &[],
        &[
            NO_PODMAN,
            "    docker          Docker 28.5.2 works, with DOCKER_BUILDKIT=1; a remote Docker of the context box (ssh://me@box)",
            "ok  engine          Docker 28.5.2: it works; a remote Docker of the context box (ssh://me@box)",
        ],
    );
    check(
        &[("docker", docker("box", "ssh://me@box", COMMUNITY))],
        &[("DOCKER_HOST", "tcp://me:word@other:2376")],
        &[
            NO_PODMAN,
            "    docker          Docker 28.5.2 works, with DOCKER_BUILDKIT=1; a remote Docker, tcp://me@other:2376 by DOCKER_HOST",
            "ok  engine          …",
        ],
    );
    let machine = r#"[{"Name":"podman-machine-default","URI":"ssh://core@127.0.0.1:50372/run/podman.sock","IsMachine":true,"Default":true},{"Name":"box","URI":"ssh://me:word@box/run/podman.sock","Default":false}]"#;
    check(
        &[("podman", remote_podman(machine))],
        &[],
        &[
            "    podman          Podman 5.4.2 works; the virtual machine of `podman machine`, connection podman-machine-default",
            NO_DOCKER,
            "ok  engine          Podman 5.4.2: it works; the virtual machine of…",
        ],
    );
    check(
        &[("podman", remote_podman(machine))],
        &[("CONTAINER_CONNECTION", "box")],
        &[
            "    podman          Podman 5.4.2 works; a remote Podman, connection box (ssh://me@box/run/podman.sock) by CONTAINER_CONNECTION",
            NO_DOCKER,
            "ok  engine          …",
        ],
    );
    check(
        &[("podman", remote_podman("[]"))],
        &[("CONTAINER_HOST", "tcp://box:8080")],
        &[
            "    podman          Podman 5.4.2 works; a remote Podman, tcp://box:8080 by CONTAINER_HOST",
            NO_DOCKER,
            "ok  engine          …",
        ],
    );
    // `podman --url URL`, as an alias or a script of that name calls it: nothing names the place.
    check(
        &[("podman", remote_podman("[]"))],
        &[],
        &["    podman          Podman 5.4.2 works; a remote Podman", NO_DOCKER, "ok  engine…"],
    );
}

#[test]
fn a_client_without_its_plugin_is_passed_over_for_one_that_works() {
    let broken = r#"case "$*" in
        version*) echo '{"Client":{"Version":"28.2.2"},"Server":{"Version":"20.10.24"}}' ;;
        "buildx version") exit 1 ;;
    esac"#;
    let old = r#"case "$*" in
        version*) echo '{"Client":{"Version":"20.10.24"},"Server":{"Version":"20.10.24"}}' ;;
    esac"#;
    check(
        &[("docker", broken.to_owned()), ("second/docker", old.to_owned())],
        &[],
        &[
            NO_PODMAN,
            "    docker          its client 28.2.2 has no buildx plugin, which BuildKit needs",
            "    /…/bin/second/docker Docker 20.10.24 works, with DOCKER_BUILDKIT=1",
            "ok  engine          Docker 20.10.24: it works; not docker: its client 28.2.2 has no buildx plugin, which BuildKit needs",
        ],
    );
}

#[test]
fn the_store_of_containerd_is_named_with_what_is_different() {
    let status = r#"[["driver-type","io.containerd.snapshotter.v1"]]"#;
    let script =
        docker("default", "", COMMUNITY).replace(r#"[["Backing Filesystem","extfs"]]"#, status);
    check(
        &[("docker", script)],
        &[],
        &[
            NO_PODMAN,
            "    docker          Docker 28.5.2 works, with DOCKER_BUILDKIT=1",
            "    docker          its images are in containerd's store: an image ID there is the digest of the manifest; the report also has that of the config",
            "ok  engine          Docker 28.5.2: it works",
        ],
    );
}
