//! How each engine spells containers and networks: the second half of [`super::words`], for what
//! runs instead of what is built.

use super::capability::{Capability, has};
use super::words::{call, field};
use super::{Engine, EngineKind};
use process::invocation::Invocation;

/// A folder of this machine in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount {
    /// Its path here.
    pub from: String,
    /// Its path there.
    pub to: String,
    /// Whether nothing can be written there.
    pub read_only: bool,
    /// Whether SELinux must be told that several containers share it; never that one has it alone.
    pub shared: bool,
}

/// One container, decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    pub name: String,
    pub image: String,
    /// The command, instead of the image's own.
    pub words: Vec<String>,
    /// `ENTRYPOINT` instead of the image's own.
    pub entrypoint: Option<String>,
    pub env: Vec<(String, String)>,
    /// The network that it is in; `None`: none at all.
    pub network: Option<String>,
    /// Names of other containers with their addresses, for `/etc/hosts`.
    pub hosts: Vec<(String, String)>,
    /// The port that is published on the loopback address.
    pub publish: Option<u16>,
    /// The port there; `None`: a random one.
    pub host_port: Option<u16>,
    /// Read-only root file system with a tmpfs on /tmp, no capability, no new privileges.
    pub hardened: bool,
    /// Folders that are volumes without a name and go with the container; also `NAME:FOLDER`.
    pub volumes: Vec<String>,
    pub mounts: Vec<Mount>,
    /// `USER` instead of the image's own.
    pub user: Option<String>,
    /// Give it our terminal.
    pub terminal: bool,
    /// Give it our standard input.
    pub input: bool,
    /// How the user's numbers are mapped (`--userns`).
    pub user_namespace: Option<String>,
    pub labels: Vec<(String, String)>,
}

/// Starts `container`; with `detach` it goes on, else it is waited for and removed.
pub fn run(engine: &Engine, container: &Container, detach: bool) -> Invocation {
    let mut words: Vec<String> = vec!["run".into(), "--pull=never".into()];
    words.push(if detach { "--detach" } else { "--rm" }.into());
    if container.input {
        words.push("--interactive".into());
    }
    if container.terminal {
        words.push("-it".into());
    }
    let mut option = |name: &str, value: &str| words.extend([name.to_owned(), value.to_owned()]);
    option("--name", &container.name);
    for (name, value) in &container.labels {
        option("--label", &format!("{name}={value}"));
    }
    option("--network", container.network.as_deref().unwrap_or("none"));
    for (name, address) in &container.hosts {
        option("--add-host", &format!("{name}:{address}"));
    }
    if let Some(port) = container.publish {
        let host = container.host_port.map(|port| port.to_string()).unwrap_or_default();
        option("--publish", &format!("127.0.0.1:{host}:{port}"));
    }
    for (name, value) in &container.env {
        option("--env", &format!("{name}={value}"));
    }
    for folder in &container.volumes {
        option("--volume", folder);
    }
    for mount in &container.mounts {
        let (name, value) = mount_words(engine.kind, mount);
        option(name, &value);
    }
    if let Some(user) = &container.user {
        option("--user", user);
    }
    if let Some(namespace) = &container.user_namespace {
        option("--userns", namespace);
    }
    if let Some(entrypoint) = &container.entrypoint {
        option("--entrypoint", entrypoint);
    }
    if container.hardened {
        option("--tmpfs", "/tmp");
        option("--cap-drop", "ALL");
        option("--security-opt", "no-new-privileges");
        words.push("--read-only".into());
        if engine.kind == EngineKind::Podman {
            // Podman would still leave /run, /tmp and /var/tmp writable.
            words.push("--read-only-tmpfs=false".into());
            if has(engine, Capability::TmpfsMode) {
                // That takes /dev/shm along there; 64 MB as it has otherwise.
                words.extend(["--tmpfs", "/dev/shm:mode=1777,size=64m"].map(String::from));
            }
        }
    }
    if detach && engine.kind == EngineKind::Docker {
        // Docker runs health checks itself; not before the first interval, which is 30 s.
        words.push("--health-interval=2s".into());
    }
    words.push(container.image.clone());
    words.extend(container.words.iter().cloned());
    call(engine, words)
}

/// How a folder of this machine is given to a container. `--volume` ends the path at a colon.
fn mount_words(kind: EngineKind, mount: &Mount) -> (&'static str, String) {
    let Mount { from, to, read_only, shared } = mount;
    let all = |words: [Option<&str>; 2]| words.into_iter().flatten().collect::<Vec<_>>().join(",");
    if from.contains(':') {
        let options = all([read_only.then_some("readonly"), shared.then_some("relabel=shared")]);
        let source = field(kind, format!("source={from}"));
        let words = format!("type=bind,{source},target={to},{options}");
        return ("--mount", words.trim_end_matches(',').to_owned());
    }
    let options = all([read_only.then_some("ro"), shared.then_some("z")]);
    ("--volume", format!("{from}:{to}:{options}").trim_end_matches(':').to_owned())
}

pub fn exec(engine: &Engine, name: &str, command: &[&str]) -> Invocation {
    call(engine, ["exec", name].into_iter().chain(command.iter().copied()))
}

/// What the engine itself says about a container's health: Podman asks now (it has no timer
/// without systemd), Docker has asked before.
pub fn health(engine: &Engine, name: &str) -> Invocation {
    match engine.kind {
        EngineKind::Podman => call(engine, ["healthcheck", "run", name]),
        EngineKind::Docker => {
            call(engine, ["inspect", "--format", "{{.State.Health.Status}}", name])
        }
    }
}

/// Ends a container: SIGTERM, and after `seconds` SIGKILL.
pub fn stop(engine: &Engine, name: &str, seconds: u64) -> Invocation {
    let seconds = seconds.to_string();
    call(engine, ["stop", "--time", seconds.as_str(), name])
}

/// Sends a signal to a container's first process.
pub fn kill(engine: &Engine, name: &str, signal: &str) -> Invocation {
    call(engine, ["kill", "--signal", signal, name])
}

/// Whether a container runs, and its exit status: `running 0`, `exited 143`.
pub fn state(engine: &Engine, name: &str) -> Invocation {
    let form = "{{.State.Status}} {{.State.ExitCode}}";
    call(engine, ["container", "inspect", "--format", form, name])
}

/// The addresses of a container in its networks, one a line.
pub fn addresses(engine: &Engine, name: &str) -> Invocation {
    let form = "{{range .NetworkSettings.Networks}}{{println .IPAddress}}{{end}}";
    call(engine, ["container", "inspect", "--format", form, name])
}

pub fn logs(engine: &Engine, name: &str) -> Invocation {
    call(engine, ["logs", name])
}

/// The address that a port of a container is published on.
pub fn port(engine: &Engine, name: &str, port: u16) -> Invocation {
    let port = format!("{port}/tcp");
    call(engine, ["port", name, port.as_str()])
}

/// Removes a container and its volumes without a name, killing it first if it runs.
pub fn remove(engine: &Engine, name: &str) -> Invocation {
    remove_all(engine, Thing::Container, &[name])
}

/// Removes things of one kind, and prints a line for each that is gone; containers as [`remove`]
/// does.
pub fn remove_all(engine: &Engine, thing: Thing, ids: &[&str]) -> Invocation {
    let words: &[&str] = match (thing, engine.kind) {
        // Podman's `--force` gives each container 10 s to end; Docker kills it at once.
        (Thing::Container, EngineKind::Podman) => &["rm", "--force", "--time=0", "--volumes"],
        (Thing::Container, EngineKind::Docker) => &["rm", "--force", "--volumes"],
        (Thing::Network, _) => &["network", "rm"],
        (Thing::Volume, _) => &["volume", "rm"],
    };
    call(engine, words.iter().chain(ids).copied())
}

pub fn network_create(engine: &Engine, name: &str, labels: &[(String, String)]) -> Invocation {
    let labels = labels.iter().flat_map(|(l, value)| ["--label".into(), format!("{l}={value}")]);
    let words = ["network".to_owned(), "create".to_owned()].into_iter().chain(labels);
    call(engine, words.chain([name.to_owned()]))
}

pub fn volume_create(engine: &Engine, name: &str, labels: &[(String, String)]) -> Invocation {
    let labels = labels.iter().flat_map(|(l, value)| ["--label".into(), format!("{l}={value}")]);
    let words = ["volume".to_owned(), "create".to_owned()].into_iter().chain(labels);
    call(engine, words.chain([name.to_owned()]))
}

/// Prints the last lines that a container printed, and what it prints from now on until it ends.
pub fn follow(engine: &Engine, name: &str, last: &str) -> Invocation {
    call(engine, ["logs", "--follow", "--tail", last, name])
}

/// Runs a command in a container, with our standard input, or our `terminal`.
pub fn exec_attached(
    engine: &Engine,
    name: &str,
    command: &[String],
    terminal: bool,
) -> Invocation {
    let words = ["exec", if terminal { "-it" } else { "-i" }, name].into_iter();
    call(engine, words.map(str::to_owned).chain(command.iter().cloned()))
}

/// The image that a container was made from, and its state: `sha256:… running`.
pub fn made_from(engine: &Engine, name: &str) -> Invocation {
    let form = "{{.Image}} {{.State.Status}}";
    call(engine, ["container", "inspect", "--format", form, name])
}

/// The ids of all containers, one a line.
pub fn all(engine: &Engine) -> Invocation {
    call(engine, ["ps", "--all", "--no-trunc", "--quiet"])
}

/// What containers were made from: `IMAGE STATE NAME` a line.
pub fn images(engine: &Engine, ids: &[String]) -> Invocation {
    let form = ["container", "inspect", "--format", "{{.Image}} {{.State.Status}} {{.Name}}"];
    call(engine, form.into_iter().chain(ids.iter().map(String::as_str)))
}

/// What can have a label of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thing {
    /// A container, running or not.
    Container,
    Network,
    Volume,
}

/// The ids of all things that have the label `label`.
pub fn labelled(engine: &Engine, thing: Thing, label: &str) -> Invocation {
    let filter = format!("label={label}");
    let words: &[&str] = match thing {
        Thing::Container => &["ps", "--all", "--no-trunc", "--quiet"],
        Thing::Network => &["network", "ls", "--quiet"],
        Thing::Volume => &["volume", "ls", "--quiet"],
    };
    call(engine, words.iter().copied().chain(["--filter", filter.as_str()]))
}

pub fn label_of(engine: &Engine, thing: Thing, id: &str, label: &str) -> Invocation {
    let (kind, labels) = match thing {
        Thing::Container => ("container", ".Config.Labels"),
        Thing::Network => ("network", ".Labels"),
        Thing::Volume => ("volume", ".Labels"),
    };
    let form = format!("{{{{index {labels} \"{label}\"}}}}");
    call(engine, [kind, "inspect", "--format", form.as_str(), id])
}
