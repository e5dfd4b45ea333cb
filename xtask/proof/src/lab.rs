//! A laboratory for the tests and measurements of one engine: a separate store, for Docker also a
//! separate daemon and network, so that nothing of the machine is seen or left behind.

use anyhow::Context as _;
use engine::EngineKind;
use engine::leftovers::{self, Running};
use image::config::Workflow;
use process::failure::{Exit, failure_help};
use process::invocation::Invocation;
use process::notice::notice;
use process::run::{QUESTION, Runner};
use process::state::{State, make_folder, write_whole};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// One engine, ready for tests.
pub struct Lab {
    /// What the tests get in their environment.
    pub env: Vec<(String, String)>,
    /// What a program stands behind to see the engine's network.
    enter: Vec<String>,
    state: State,
    /// The record of the processes that it runs, for the next one to end when this one is killed.
    processes: String,
    /// Its store and its logs; removed with it.
    pub folder: PathBuf,
    /// Where file names are short enough for sockets (108 bytes, unix(7)).
    sockets: Option<PathBuf>,
}

/// Empties the folders of Podman's networks in a mount namespace: their definitions, what runs, and
/// the namespaces of containers.
const ENTER: &str = "set -e
for folder in /etc/containers/networks /run/containers/networks /run/netns; do
    mkdir -p $folder; mount -t tmpfs tmpfs $folder
done
exec \"$@\"";

/// How long the removal of a store may take.
const LONG: Duration = Duration::from_secs(300);

/// Who answers for names in a network of ours (slirp4netns(1)).
pub const RESOLVER: &str = "10.0.2.3";

impl Lab {
    /// Podman with its own images and containers; two of different names can be there at once.
    pub fn podman(workflow: &Workflow, runner: &Runner, name: &str) -> anyhow::Result<Lab> {
        let lab = Lab::begin(workflow, runner, EngineKind::Podman, name)?;
        let file = lab.folder.join("storage.conf");
        let text = format!(
            "[storage]\ndriver = \"overlay\"\ngraphroot = \"{0}/graph\"\nrunroot = \"{0}/run\"\n",
            lab.folder.display()
        );
        write_whole(&file, &text)?;
        Ok(lab.with("CONTAINERS_STORAGE_CONF", &file.display().to_string()))
    }

    /// A Docker daemon in a separate network namespace, with slirp4netns as its way out: its bridge
    /// and its firewall rules vanish with it. `environment` names another Docker than the
    /// machine's.
    ///
    /// # Errors
    /// [`Exit::Engine`] when the daemon doesn't start.
    pub fn docker(
        workflow: &Workflow,
        runner: &Runner,
        name: &str,
        environment: &[(String, String)],
    ) -> anyhow::Result<Lab> {
        let mut lab = Lab::begin(workflow, runner, EngineKind::Docker, name)?;
        lab.env.extend_from_slice(environment);
        let sockets = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
        make_folder(&sockets)?;
        lab.sockets = Some(sockets.clone());
        match lab.start_docker(&sockets, runner) {
            Ok(()) => {
                // The ports that its containers publish are on that network's loopback address.
                if let Some(daemon) = lab.processes().first() {
                    lab.env.push(("XTASK_TEST_NETWORK".into(), format!("/proc/{daemon}/ns/net")));
                }
                Ok(lab.with("DOCKER_HOST", &format!("unix://{}/docker.sock", sockets.display())))
            }
            Err(error) => {
                lab.end(runner)?;
                Err(error)
            }
        }
    }

    /// A Podman in another root file system and a separate network namespace; the second value is
    /// the word by which nsenter(1) finds that.
    pub fn elsewhere(
        workflow: &Workflow,
        runner: &Runner,
        name: &str,
    ) -> anyhow::Result<(Lab, String)> {
        let lab = Lab::begin(workflow, runner, EngineKind::Podman, name)?;
        match lab.start_network(runner) {
            Ok(network) => Ok((lab, network)),
            Err(error) => {
                lab.end(runner)?;
                Err(error)
            }
        }
    }

    /// Gives root's Podman its own network. Without it, the networks of one laboratory would be
    /// seen in all others: their records are in folders of the machine.
    pub fn apart(mut self, runner: &Runner) -> anyhow::Result<Lab> {
        match self.start_network(runner) {
            Ok(network) => {
                let words = ["nsenter", &network, "unshare", "--mount", "sh", "-c", ENTER, "sh"];
                self.enter = words.map(str::to_owned).to_vec();
                Ok(self)
            }
            Err(error) => {
                self.end(runner)?;
                Err(error)
            }
        }
    }

    /// `invocation` in the network of this laboratory.
    pub fn inside(&self, mut invocation: Invocation) -> Invocation {
        if let Some((program, words)) = self.enter.split_first() {
            let own = std::mem::replace(&mut invocation.program, program.clone());
            let own = std::iter::once(own).chain(std::mem::take(&mut invocation.words));
            invocation.words = words.iter().cloned().chain(own).collect();
        }
        invocation
    }

    /// Takes over the images of another Podman laboratory, in which nothing runs, with its layer
    /// cache.
    pub fn take_images(&self, from: &Path, runner: &Runner) -> anyhow::Result<()> {
        let place = |folder: &Path| folder.join("graph").display().to_string();
        let copy = ["--archive".to_owned(), place(from), place(&self.folder)];
        let copied = runner.ask(&Invocation::new("cp", copy), LONG)?;
        anyhow::ensure!(copied.good(), "copying images: {}", copied.last_line());
        // The record of containers, which knows where its store is: libpod's, and since Podman 4.8
        // that of SQLite.
        for name in ["db.sql", "db.sql-shm", "db.sql-wal"] {
            let _ = std::fs::remove_file(self.folder.join("graph").join(name));
        }
        remove(&self.folder.join("graph/libpod"))
    }

    fn begin(
        workflow: &Workflow,
        runner: &Runner,
        kind: EngineKind,
        name: &str,
    ) -> anyhow::Result<Lab> {
        let lab = Lab::of(workflow, kind, name);
        lab.clear(runner)?;
        make_folder(&lab.folder)?;
        Ok(lab)
    }

    fn of(workflow: &Workflow, kind: EngineKind, name: &str) -> Lab {
        let folder = workflow.state.folder.join(format!("lab-{name}"));
        Lab {
            env: vec![
                ("XTASK_TEST_ENGINE".to_owned(), kind.to_string()),
                // Stand-ins and downloads are kept for the next time, but in this checkout.
                (
                    "XDG_CACHE_HOME".to_owned(),
                    workflow.state.folder.join("test-cache").display().to_string(),
                ),
            ],
            enter: Vec::new(),
            state: workflow.state.clone(),
            processes: format!("lab-{name}.json"),
            folder,
            sockets: None,
        }
    }

    fn with(mut self, name: &str, value: &str) -> Lab {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    fn start_docker(&self, sockets: &Path, runner: &Runner) -> anyhow::Result<()> {
        let path = |name: &str| sockets.join(name).display().to_string();
        let network = self.start_network(runner)?;
        let host = format!("unix://{}", path("docker.sock"));
        let words = [
            network.clone(),
            "dockerd".to_owned(),
            format!("--data-root={}", self.folder.join("data").display()),
            format!("--exec-root={}", path("exec")),
            format!("--host={host}"),
            format!("--pidfile={}", path("pid")),
            format!("--dns={RESOLVER}"),
        ];
        let log = self.folder.join("dockerd.log");
        let mut daemon = Invocation::new("nsenter", words);
        daemon.env = self.env.iter().filter(|(name, _)| name == "PATH").cloned().collect();
        self.background(&daemon, &log, runner)?;
        let version = Invocation::new("docker", ["--host", &host, "version"]);
        wait_until(runner, "dockerd", || {
            runner.ask(&version, QUESTION).is_ok_and(|answer| answer.good())
        })
        .map_err(|error| {
            let help = format!("its log is {}", log.display());
            failure_help(Exit::Engine, format!("{error:#}"), help)
        })
    }

    /// Makes a network namespace with slirp4netns as its way out; the word by which nsenter(1)
    /// finds it.
    fn start_network(&self, runner: &Runner) -> anyhow::Result<String> {
        let holder = Invocation::new("unshare", ["--net", "sleep", "infinity"]);
        let holder = self.background(&holder, &self.folder.join("network.log"), runner)?;
        wait_until(runner, "a network namespace", || in_other_network(holder))?;
        let network = format!("--net=/proc/{holder}/ns/net");
        let inside = |words: &[&str]| {
            let words = [&[network.as_str()], words].concat();
            runner.ask(&Invocation::new("nsenter", words), QUESTION)
        };
        inside(&["ip", "link", "set", "lo", "up"])?;
        let words = ["--configure", "--mtu=65520", "--disable-host-loopback"];
        let words =
            words.map(String::from).into_iter().chain([holder.to_string(), "tap0".to_owned()]);
        let slirp = Invocation::new("slirp4netns", words);
        self.background(&slirp, &self.folder.join("slirp.log"), runner)?;
        wait_until(runner, "the way out of a network namespace", || {
            inside(&["ip", "route"]).is_ok_and(|answer| answer.stdout.contains("default"))
        })?;
        Ok(network)
    }

    /// Starts a process that goes on until the laboratory ends; it is recorded before anything else
    /// happens.
    pub fn background(
        &self,
        invocation: &Invocation,
        log: &Path,
        runner: &Runner,
    ) -> anyhow::Result<u32> {
        runner.check_signal()?;
        notice(&format!("$ {invocation} &"));
        let file = File::create(log).with_context(|| format!("writing {}", log.display()))?;
        let mut command = Command::new(&invocation.program);
        command.args(&invocation.words).current_dir(&runner.folder).stdin(Stdio::null());
        command.envs(invocation.env.iter().map(|(name, value)| (name, value)));
        command.stdout(file.try_clone().context("opening a log")?).stderr(file);
        let mut child =
            command.spawn().with_context(|| format!("starting {}", invocation.program))?;
        let id = child.id();
        // Without this wait, it would stay a zombie until we end.
        std::thread::spawn(move || child.wait());
        self.record(id)?;
        Ok(id)
    }

    /// Notes a process that ends with the laboratory, or at the start of the next.
    pub fn record(&self, id: u32) -> anyhow::Result<()> {
        let mut all: Vec<Running> = self.state.remembered(&self.processes).unwrap_or_default();
        all.push(leftovers::running(id));
        self.state.remember(&self.processes, &all)
    }

    /// The other processes that run for this engine.
    pub fn processes(&self) -> Vec<u32> {
        let all: Vec<Running> = self.state.remembered(&self.processes).unwrap_or_default();
        all.iter().map(|process| process.id).collect()
    }

    /// Ends everything and removes the store.
    pub fn end(self, runner: &Runner) -> anyhow::Result<()> {
        // Also after a signal: what was started is ended.
        let calm = Runner { signal: std::sync::Arc::default(), ..runner.clone() };
        self.clear(&calm)
    }

    fn clear(&self, runner: &Runner) -> anyhow::Result<()> {
        let all: Vec<Running> = self.state.remembered(&self.processes).unwrap_or_default();
        let inside = inside_networks_of(&all);
        // The network last: what is in it may need it to end.
        for process in all.iter().rev() {
            leftovers::end(process, Duration::from_secs(20));
        }
        // What a test that failed has left: containers, and who answers for their names.
        inside.iter().for_each(|process| leftovers::end(process, Duration::from_secs(5)));
        self.state.remember(&self.processes, &Vec::<Running>::new())?;
        if self.folder.is_dir() {
            self.remove_podman(runner)?;
            unmount_below(&self.folder, runner)?;
            self.remove_subordinate(runner)?;
            remove(&self.folder)?;
        }
        if let Some(sockets) = &self.sockets {
            unmount_below(sockets, runner)?;
            remove(sockets)?;
        }
        Ok(())
    }

    /// An ordinary user's images hold files of its subordinate ids, which only its own namespace
    /// can remove.
    fn remove_subordinate(&self, runner: &Runner) -> anyhow::Result<()> {
        use std::os::unix::fs::MetadataExt as _;
        let graph = self.folder.join("graph");
        if graph.metadata().is_ok_and(|found| found.uid() != 0) {
            let words = ["unshare", "rm", "-rf", "--"].map(String::from);
            let words = words.into_iter().chain([graph.display().to_string()]);
            runner.ask(&Invocation::new("podman", words), LONG)?;
        }
        Ok(())
    }

    /// Containers first: a store that is only deleted leaves their processes and networks.
    fn remove_podman(&self, runner: &Runner) -> anyhow::Result<()> {
        let storage = self.folder.join("storage.conf");
        if !storage.is_file() {
            return Ok(());
        }
        let settings = self.state.folder.join("containers.conf");
        let mut removal = Invocation::new("podman", ["rm", "--all", "--force", "--time", "2"])
            .with_env("CONTAINERS_STORAGE_CONF", storage.display().to_string());
        if settings.is_file() {
            removal = removal.with_env("CONTAINERS_CONF", settings.display().to_string());
        }
        let answer = runner.ask(&removal, QUESTION)?;
        if !answer.good() {
            notice(&format!(
                "warning: removing the containers of the tests: {}",
                answer.last_line()
            ));
        }
        Ok(())
    }
}

/// Takes down the laboratories that runs of this checkout left when they were killed.
pub fn clear_all(workflow: &Workflow, runner: &Runner) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(&workflow.state.folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let names: std::collections::BTreeSet<String> = names
        .filter_map(|name| Some(name.strip_prefix("lab-")?.trim_end_matches(".json").to_owned()))
        .collect();
    names.iter().try_for_each(|name| Lab::of(workflow, EngineKind::Podman, name).clear(runner))
}

/// The network namespace of a process.
fn network_of(id: &str) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{id}/ns/net")).ok()
}

/// Whether a process has left our network namespace.
fn in_other_network(id: u32) -> bool {
    let other = network_of(&id.to_string());
    other.is_some() && other != network_of("self")
}

/// All processes in the network namespaces that `holders` have and we have not.
fn inside_networks_of(holders: &[Running]) -> Vec<Running> {
    let holders = holders.iter().filter(|holder| leftovers::running(holder.id) == **holder);
    let networks: Vec<PathBuf> = holders
        .filter(|holder| in_other_network(holder.id))
        .filter_map(|holder| network_of(&holder.id.to_string()))
        .collect();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let inside = ids.filter(|id| network_of(id).is_some_and(|network| networks.contains(&network)));
    inside.filter_map(|id| id.parse().ok().map(leftovers::running)).collect()
}

fn wait_until(runner: &Runner, what: &str, mut ready: impl FnMut() -> bool) -> anyhow::Result<()> {
    let start = Instant::now();
    while !ready() {
        runner.check_signal()?;
        if start.elapsed() > Duration::from_secs(60) {
            anyhow::bail!("waiting for {what}: not there after 60 s");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Unmounts what is still mounted below a folder that is to be removed, deepest first.
pub fn unmount_below(folder: &Path, runner: &Runner) -> anyhow::Result<()> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let places = mounts.lines().filter_map(|line| line.split_whitespace().nth(1));
    let mut places: Vec<&str> =
        places.filter(|place| Path::new(place).starts_with(folder)).collect();
    places.sort_unstable();
    for place in places.iter().rev() {
        runner.ask(&Invocation::new("umount", [*place]), QUESTION)?;
    }
    Ok(())
}

/// Removes a folder with all that is in it, if it exists.
pub fn remove(folder: &Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", folder.display()))
        }
        _ => Ok(()),
    }
}
