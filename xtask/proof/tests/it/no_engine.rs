//! Machines without an engine that works: missing, broken, wrong or unconfigured. Each has its one
//! line with what to do, ends with exit 4, and nothing is changed by it.

use super::checkout::Checkout;
use super::ended::Ended;
use super::transcript::fits;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// One machine.
struct SetUp {
    /// Programs on PATH: a name, and what the shell runs as it.
    programs: &'static [(&'static str, &'static str)],
    /// Files of the checkout, and those of the user below `home/`.
    files: &'static [(&'static str, &'static str)],
    environment: &'static [(&'static str, &'static str)],
    /// What stands after `error: looking for an engine: no `.
    none: &'static str,
    /// The `help:` lines; `…` stands for what differs.
    help: &'static [&'static str],
}

/// What each program does first: it notes what it was asked.
const NOTE: &str = "#!/bin/sh\necho \"$*\" >>\"$HOME/../calls\"\n";

const PODMAN: &str = r#"case $1 in version) echo '{"Client":{"Version":"4.3.1"}}' ;; esac"#;
const OLD_PODMAN: &str = r#"echo '{"Client":{"Version":"3.0.1"}}'"#;
const SHIM: &str = "echo podman version 4.3.1";
/// Docker's client 20.10 without a daemon, in its own words.
const DOWN: &str = r#"case $1 in
    version) echo '{"Client":{"Version":"20.10.24+dfsg1","Context":"default"},"Server":null}'
        echo "Cannot connect to the Docker daemon at ${DOCKER_HOST:-unix:///var/run/docker.sock}. Is the docker daemon running?" >&2
        exit 1 ;;
    *) echo "Docker version 20.10.24+dfsg1, build 297e128" ;;
esac"#;
const SETUP: &str =
    "`cargo xtask setup` installs Podman on Debian and Ubuntu; `build --setup` does it on the way";
const ANY: &str = "Podman or Docker that works";
const OR_PODMAN: &str = "or take Podman, which builds the same image: --engine podman";

const NOTHING: SetUp = SetUp { programs: &[], files: &[], environment: &[], none: ANY, help: &[] };

const SET_UPS: &[SetUp] = &[
    SetUp { none: "Podman or Docker on PATH", help: &[SETUP], ..NOTHING },
    // The package podman-docker, and nothing else.
    SetUp {
        programs: &[("docker", SHIM)],
        help: &[
            "docker: it is Podman under Docker's name; install Podman under its own name, or Docker",
            SETUP,
        ],
        ..NOTHING
    },
    SetUp {
        programs: &[("docker", SHIM), ("podman", PODMAN)],
        environment: &[("XTASK_ENGINE", "docker")],
        none: "Docker that works (XTASK_ENGINE asks for it)",
        help: &[
            "docker: it is Podman under Docker's name; use --engine podman, or install Docker",
            OR_PODMAN,
        ],
        ..NOTHING
    },
    SetUp {
        programs: &[(
            "docker",
            r#"case $1 in
                version) echo '{"Client":{"Version":"28.2.2"},"Server":{"Version":"28.2.2"}}' ;;
                buildx) echo "docker: unknown command: docker buildx" >&2; exit 1 ;;
            esac"#,
        )],
        help: &[
            "docker: its client 28.2.2 has no buildx plugin, which BuildKit needs; install the package docker-buildx (Debian) or docker-buildx-plugin (Docker's own)",
            SETUP,
        ],
        ..NOTHING
    },
    SetUp {
        programs: &[("docker", DOWN)],
        help: &[
            "docker: its daemon doesn't answer: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?; start it…",
            SETUP,
        ],
        ..NOTHING
    },
    SetUp {
        programs: &[("docker", DOWN)],
        environment: &[("DOCKER_HOST", "unix:///tmp/dead.sock")],
        help: &[
            "docker: its daemon doesn't answer: Cannot connect to the Docker daemon at unix:///tmp/dead.sock. Is the docker daemon running? (the daemon at unix:///tmp/dead.sock by DOCKER_HOST); start it there, or unset DOCKER_HOST",
            SETUP,
        ],
        ..NOTHING
    },
    SetUp {
        programs: &[(
            "docker",
            r#"case $1 in version)
                echo '{"Client":{"Version":"20.10.24"}}'
                echo 'Got permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock' >&2
                exit 1 ;;
            esac"#,
        )],
        help: &[
            "docker: you may not use its daemon: Got permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock; as root: usermod --append --groups docker USER, then log in again; or use Podman",
            SETUP,
        ],
        ..NOTHING
    },
    SetUp {
        programs: &[(
            "docker",
            r#"case $1 in version)
                echo 'unable to resolve docker endpoint: context "gone" does not exist' >&2
                exit 1 ;;
            esac"#,
        )],
        environment: &[("DOCKER_CONTEXT", "gone")],
        help: &[
            "docker: its context can't be used: unable to resolve docker endpoint: context \"gone\" does not exist; unset DOCKER_CONTEXT; or: docker context ls",
            SETUP,
        ],
        ..NOTHING
    },
    SetUp {
        programs: &[(
            "docker",
            r#"case "$*" in
                version*) echo '{"Client":{"Version":"28.5.2","Context":"desktop-linux"}}'
                    echo "Cannot connect to the Docker daemon" >&2
                    exit 1 ;;
                context*) echo unix:///Users/me/.docker/run/docker.sock ;;
            esac"#,
        )],
        help: &[
            "docker: its daemon doesn't answer: Cannot connect to the Docker daemon (the daemon of the context desktop-linux (unix:///Users/me/.docker/run/docker.sock)); start Docker Desktop",
            SETUP,
        ],
        ..NOTHING
    },
    SetUp {
        programs: &[(
            "docker",
            r#"case $1 in
                version) echo '{"Client":{"Version":"19.03.13"},"Server":{"Version":"19.03.13"}}' ;;
            esac"#,
        )],
        help: &[
            "docker: Docker 19.3.13 is too old: 20.10.0 brings BuildKit with cache and secret mounts; install Docker 20.10.0 or newer",
            SETUP,
        ],
        ..NOTHING
    },
    SetUp {
        programs: &[("docker", "echo hello")],
        help: &[
            "docker: `docker version` answers what no Docker does: hello; take it off PATH, or install Docker in its place: docker",
            SETUP,
        ],
        ..NOTHING
    },
    SetUp {
        programs: &[("podman", OLD_PODMAN)],
        help: &[
            "podman: Podman 3.0.1 is too old: 4.3.0 brings cache mounts with uid=, secrets from the environment; install Podman 4.3.0 or newer",
        ],
        ..NOTHING
    },
    SetUp {
        programs: &[("podman", "echo broken >&2; exit 1")],
        help: &[
            "podman: `podman version` failed: broken; repair it until this works: podman version",
        ],
        ..NOTHING
    },
    SetUp {
        programs: &[("podman", "echo hello")],
        help: &[
            "podman: `podman version` answers what no Podman does: hello; take it off PATH, or install Podman in its place: podman",
        ],
        ..NOTHING
    },
    SetUp {
        programs: &[("podman", PODMAN)],
        environment: &[("XTASK_ENGINE", "docker")],
        none: "Docker on PATH (XTASK_ENGINE asks for it)",
        help: &["install Docker, or take Podman, which builds the same image: --engine podman"],
        ..NOTHING
    },
    SetUp {
        programs: &[("docker", DOWN)],
        files: &[("docker/image.toml", "\n[engine]\nname = \"podman\"\n")],
        none: "Podman on PATH (docker/image.toml asks for it)",
        help: &[SETUP],
        ..NOTHING
    },
    SetUp {
        programs: &[(
            "podman",
            "echo 'Error: unable to connect to Podman socket: dial tcp 127.0.0.1:9: connect: connection refused' >&2; exit 125",
        )],
        environment: &[("CONTAINER_HOST", "tcp://127.0.0.1:9")],
        help: &[
            "podman: the remote Podman tcp://127.0.0.1:9 (CONTAINER_HOST) doesn't answer: unable to connect to Podman socket: dial tcp 127.0.0.1:9: connect: connection refused; start it there (`podman system service`), or unset CONTAINER_HOST",
        ],
        ..NOTHING
    },
    // A machine of `podman machine` that isn't started.
    SetUp {
        programs: &[(
            "podman",
            "echo 'Cannot connect to Podman. Please verify your connection' >&2; exit 125",
        )],
        help: &[
            "podman: its remote Podman doesn't answer: Cannot connect to Podman. Please verify your connection; start it (`podman machine start` if it is a machine); `podman system connection list` shows where it is",
        ],
        ..NOTHING
    },
    SetUp {
        programs: &[(
            "podman",
            r#"echo "time=\"2026-11-24T05:52:04Z\" level=error msg=\"reading system config \\\"$(echo "$HOME"/.config/containers/*)\\\": toml: line 2: expected '.'\"" >&2; exit 1"#,
        )],
        files: &[("home/.config/containers/containers.conf", "[engine\n")],
        help: &[
            "podman: its settings can't be read: reading system config \"…/home/.config/containers/containers.conf\": toml: line 2: expected '.'; mend them: containers.conf in ~/.config/containers or /etc/containers, storage.conf in ~/.config/containers or /etc/containers",
        ],
        ..NOTHING
    },
    SetUp {
        programs: &[(
            "podman",
            "echo 'Error: failed to GetDriver graph nosuch /g: driver not supported' >&2; exit 125",
        )],
        files: &[("home/storage.conf", "[storage]\ndriver = \"nosuch\"\n")],
        environment: &[("CONTAINERS_STORAGE_CONF", "home/storage.conf")],
        help: &[
            "podman: failed to GetDriver graph nosuch /g: driver not supported; mend `driver` in home/storage.conf (CONTAINERS_STORAGE_CONF)",
        ],
        ..NOTHING
    },
    // As on a virtual machine whose limits can't be raised, with settings that don't help.
    SetUp {
        programs: &[
            ("runc", ""),
            (
                "podman",
                r#"case $1 in
                    version) echo '{"Client":{"Version":"4.3.1"}}' ;;
                    run) echo "Error: crun: setrlimit RLIMIT_NOFILE: Operation not permitted" >&2; exit 126 ;;
                esac"#,
            ),
        ],
        help: &[
            "podman: it can't run a process here: crun: setrlimit RLIMIT_NOFILE: Operation not permitted; repair it until this works: podman run --rm --network none …",
        ],
        ..NOTHING
    },
    // One line each.
    SetUp {
        programs: &[("podman", OLD_PODMAN), ("docker", DOWN)],
        help: &["podman: Podman 3.0.1 is too old: …", "docker: its daemon doesn't answer: …"],
        ..NOTHING
    },
];

#[test]
fn each_machine_without_a_working_engine_has_its_line_and_nothing_is_changed() {
    for set_up in SET_UPS {
        check(set_up, &["build", "doctor"]);
    }
}

/// Engines that are there and have no time, or answer when they are asked again.
mod busy {
    use super::*;

    const HANGS: &str = "exec sleep 300";
    const LOCKED: &str = "echo 'Error: database is locked' >&2; exit 125";
    const DOCKER: &str = r#"case $1 in
        version) echo '{"Client":{"Version":"20.10.24","ApiVersion":"1.41"},"Server":{"Version":"20.10.24"}}' ;;
        image) exit 1 ;;
    esac"#;

    fn run(programs: &[(&str, &str)], words: &[&str], wait: &str) -> (Checkout, Ended) {
        let checkout = Checkout::new();
        checkout.write(".git/info/exclude", "/bin/\n/home/\n/calls\n");
        checkout.write("home/.keep", "");
        for (name, script) in programs {
            checkout.program(name, &format!("{NOTE}{script}\n"));
        }
        let ended = checkout.command(words).env("XTASK_ENGINE_WAIT", wait).output().unwrap().into();
        (checkout, ended)
    }

    #[test]
    fn it_is_waited_for_and_no_other_one_is_taken() {
        let check = |podman: &str, words: &[&str], said: &str| {
            let (checkout, ended) = run(&[("podman", podman), ("docker", DOCKER)], words, "0.02");
            let expected = format!("error: looking for an engine: podman: it is busy: {said}");
            assert!(ended.err.contains(&expected), "{}", ended.err);
            assert!(ended.err.contains("podman: it is busy: "), "{}", ended.err);
            assert!(ended.err.contains("waiting up to 1 min (--engine-wait)\n"), "{}", ended.err);
            assert!(!ended.err.contains("PATH") && ended.out.is_empty(), "{}", ended.err);
            assert_eq!(ended.code, Some(4), "{}", ended.err);
            let calls = std::fs::read_to_string(checkout.path("calls")).unwrap();
            assert!(
                calls.lines().filter(|call| call.starts_with("version")).count() > 1,
                "{calls}"
            );
            assert!(!calls.contains("{{json"), "Docker was asked: {calls}");
        };
        check(LOCKED, &["build"], "database is locked");
        check(LOCKED, &["build", "--dry-run"], "database is locked");
        check(LOCKED, &["images"], "database is locked");
        let proof = r#"case $1 in
            version) echo '{"Client":{"Version":"4.3.1"}}' ;;
            run) echo "Error: acquiring lock: resource temporarily unavailable" >&2; exit 125 ;;
        esac"#;
        check(proof, &["build"], "acquiring lock: resource temporarily unavailable");
    }

    #[test]
    fn one_that_answers_later_is_used() {
        let starting = |answer: &str| {
            format!(
                "case $1 in version)\n[ -f \"$HOME/../home/asked\" ] || {{ >\"$HOME/../home/asked\"; {LOCKED}; }}\n\
                 echo '{answer}' ;;\nesac"
            )
        };
        let podman = starting(r#"{"Client":{"Version":"4.3.1"}}"#);
        let (_, ended) = run(&[("podman", &podman)], &["build", "--dry-run"], "1");
        assert!(ended.err.contains("engine Podman 4.3.1: it works\n"), "{}", ended.err);
        let client = r#""Client":{"Version":"20.10.24","ApiVersion":"1.41"}"#;
        let docker = starting(&format!(r#"{{{client},"Server":{{"Version":"20.10.24"}}}}"#))
            .replace("database is locked", "Error response from daemon: it is starting");
        let (_, ended) = run(&[("docker", &docker)], &["build", "--dry-run"], "1");
        assert!(ended.err.contains("engine Docker 20.10.24: it works\n"), "{}", ended.err);
    }

    /// The first answer may take fifteen seconds, and a notice before it says what is waited for.
    #[test]
    fn one_that_hangs_is_busy() {
        for name in ["podman", "docker"] {
            let (_, ended) = run(&[(name, HANGS)], &["build"], "0");
            let asked = if name == "podman" { "json" } else { "'{{json .}}'" };
            let expected = format!(
                "waiting for an answer: {name} version --format {asked}\n\
                 error: looking for an engine: {name}: it is busy: asking {name}: no answer in 15 s: \
                 {name} version --format {asked}\nhelp: find out what it waits for"
            );
            assert!(ended.err.starts_with(&expected), "{}", ended.err);
            assert_eq!(ended.code, Some(4));
        }
    }
}

fn check(set_up: &SetUp, commands: &[&str]) {
    for command in commands {
        let checkout = Checkout::new();
        checkout.write(".git/info/exclude", "/bin/\n/home/\n/calls\n");
        for (name, text) in set_up.files {
            let before = std::fs::read_to_string(checkout.path(name)).unwrap_or_default();
            checkout.write(name, &(before + text));
        }
        for (name, script) in set_up.programs {
            checkout.program(name, &format!("{NOTE}{script}\n"));
        }
        checkout.write("home/.keep", "");
        let before = files(&checkout);
        let mut process = checkout.command(&[command]);
        let ended: Ended =
            process.envs(set_up.environment.iter().copied()).output().unwrap().into();
        let error = match *command {
            "doctor" => "error: looking at this machine: build would not work: engine".to_owned(),
            _ => format!("error: looking for an engine: no {}", set_up.none),
        };
        let help = set_up.help.iter().map(|line| format!("help: {line}"));
        let expected: Vec<String> = [error].into_iter().chain(help).collect();
        let found: Vec<&str> = ended.err.lines().collect();
        assert!(
            fits(&expected, &found),
            "{command}, expected:\n{}\nfound:\n{}",
            expected.join("\n"),
            ended.err
        );
        assert_eq!(ended.code, Some(4), "{command}: {}", ended.err);
        assert_eq!(ended.out.is_empty(), *command == "build", "{}", ended.out);
        assert_eq!(files(&checkout), before, "{command}: {}", ended.err);
        asked_only(&checkout);
    }
}

#[test]
fn who_asks_for_an_engine_is_named() {
    let checkout = Checkout::new();
    let check = |words: &[&str], who: &str| {
        let ended = checkout.command(words).env("XTASK_ENGINE", "docker").output().unwrap();
        let err = String::from_utf8(ended.stderr).unwrap();
        assert!(
            err.contains(&format!("no Docker on PATH ({who} asks for it)")),
            "{words:?}: {err}"
        );
    };
    check(&["build", "--engine=docker"], "--engine");
    check(&["--engine", "docker", "build"], "--engine");
    // A word of another program.
    check(&["dev", "--dry-run", "--", "echo", "--engine=x", "--engine"], "XTASK_ENGINE");
}

/// Nothing but questions, and the container that proves that a process can run.
fn asked_only(checkout: &Checkout) {
    let calls = std::fs::read_to_string(checkout.path("calls")).unwrap_or_default();
    for call in calls.lines() {
        let question = ["version", "--version", "buildx", "context inspect", "run --rm"];
        assert!(question.iter().any(|start| call.starts_with(start)), "{calls}");
    }
}

/// Every file of the checkout and the user's folder with its mode and content, but for what we
/// keep below `target/xtask` and what the programs note.
fn files(checkout: &Checkout) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut all = BTreeMap::new();
    let mut folders = vec![checkout.path("")];
    let own = [checkout.path("target"), checkout.path("calls")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            let kind = entry.symlink_metadata().unwrap();
            if own.contains(&entry) {
                continue;
            }
            let content = if kind.is_file() { std::fs::read(&entry).unwrap() } else { Vec::new() };
            if kind.is_dir() {
                folders.push(entry.clone());
            }
            all.insert(entry, (kind.permissions().mode(), content));
        }
    }
    let ours: Vec<PathBuf> = below(&checkout.path("target"));
    assert!(ours.iter().all(|path| path.ends_with("xtask")), "{ours:?}");
    all
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}
