//! Commands that are killed at random moments: the next one, whichever it is, leaves nothing of them.

use super::bench::{Repository, on_podman};
use super::ended::Ended;
use super::place::{Place, Registry, canary};
use super::proxy::Proxy;
use super::workshop::as_user;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How many rounds there are unless `XTASK_TEST_MINUTES` gives a time.
const ROUNDS: usize = 2;
/// How long processes that were told to end may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The commands: one is killed, another one comes next.
const COMMANDS: [&[&str]; 6] = [
    &["build"],
    &["smoke-test", "--only", "web"],
    &["push", "--allow-standin", "--force", "--tag", "1.0.0"],
    &["build", "--force", "--no-cache", "--target", "base"],
    &["squash"],
    &["clean"],
];

/// What a signal is sent to.
#[derive(Clone, Copy, Debug)]
enum Target {
    /// Our process alone.
    Parent,
    /// Its process group, as a terminal or a CI runner does.
    Group,
    /// Every process that descends from it.
    Tree,
}

/// Numbers that look random, the same for the same start (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end).unwrap()).unwrap()
    }
}

struct Scene {
    repository: Repository,
    proxy: Proxy,
    home: TempDir,
    _registry: Registry,
    _place: Place,
}

impl Scene {
    fn new() -> Scene {
        let repository = Repository::new();
        repository.build(&[]);
        repository.xtask(&["setup", "--services"]).good();
        let place = Place::new();
        let registry = Registry::start(&place, "registry");
        let proxy = registry.proxy(&place, false);
        let home = place.home(&proxy.address, Some(canary()));
        Scene { repository, proxy, home, _registry: registry, _place: place }
    }

    fn command(&self, index: usize) -> Command {
        let mut command = self.repository.command(COMMANDS[index]);
        as_user(&mut command, self.home.path());
        command.env("XTASK_REGISTRY", format!("{}/team/killed", self.proxy.address));
        command
    }

    fn run(&self, index: usize) -> (Ended, Duration) {
        let start = Instant::now();
        (self.command(index).output().unwrap().into(), start.elapsed())
    }

    fn ask(&self, words: &[&str]) -> BTreeSet<String> {
        self.repository.engine(words).good().lines().map(str::to_owned).collect()
    }

    /// Networks and volumes.
    fn things(&self) -> [BTreeSet<String>; 2] {
        ["network", "volume"].map(|kind| self.ask(&[kind, "ls", "--quiet"]))
    }

    /// What there is that a command should have removed.
    fn left(&self, before: &[BTreeSet<String>; 2], graph: &str) -> Vec<String> {
        let external: &[&str] = if on_podman() { &["--external"] } else { &[] };
        let words = [&["ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Names}}"], external];
        let mut left: Vec<String> =
            self.ask(&words.concat()).iter().map(|line| format!("container {line}")).collect();
        let [networks, volumes] = self.things();
        left.extend(networks.difference(&before[0]).map(|name| format!("network {name}")));
        left.extend(volumes.difference(&before[1]).map(|name| format!("volume {name}")));
        let state = self.repository.path("target/xtask");
        left.extend(names(&state.join("tmp")).into_iter().filter(|name| !is_cache(name)));
        let records = ["running.json", "begun-", "digest-"];
        let record = |name: &String| records.iter().any(|start| name.starts_with(start));
        left.extend(names(&state).into_iter().filter(record));
        left.extend(processes(&self.repository.path(""), graph));
        left
    }
}

fn is_cache(name: &str) -> bool {
    name.starts_with("buildah-cache")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Processes in `folder`, and those whose root is in the engine's store.
fn processes(folder: &Path, graph: &str) -> Vec<String> {
    let ours = |path: &Path| {
        let cwd = fs::read_link(path.join("cwd")).unwrap_or_default();
        let mounts = fs::read_to_string(path.join("mountinfo")).unwrap_or_default();
        let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/"));
        cwd.starts_with(folder) || root.is_some_and(|line| line.contains(graph))
    };
    let all = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let all = all.filter(|path| path.join("cmdline").is_file() && ours(path));
    let shown = |path: &Path| {
        let line = fs::read(path.join("cmdline")).unwrap_or_default();
        format!("process {} {}", path.display(), String::from_utf8_lossy(&line).replace('\0', " "))
    };
    // One that has ended and waits to be reaped has no words.
    all.map(|path| shown(&path)).filter(|line| line.trim_end().matches(' ').count() > 1).collect()
}

/// The process and all that descend from it.
fn tree(id: u32) -> Vec<u32> {
    let mut all = vec![id];
    let mut next = 0;
    while let Some(id) = all.get(next).copied() {
        for thread in names(Path::new(&format!("/proc/{id}/task"))) {
            let children = format!("/proc/{id}/task/{thread}/children");
            let children = fs::read_to_string(children).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        }
        next += 1;
    }
    all
}

fn kill(child: &mut Child, target: Target) {
    let ids: Vec<String> = match target {
        Target::Parent => vec![child.id().to_string()],
        Target::Group => vec![format!("-{}", child.id())],
        Target::Tree => tree(child.id()).iter().map(ToString::to_string).collect(),
    };
    // One that has ended meanwhile can't be killed.
    let script = format!("kill -s KILL -- {}; true", ids.join(" "));
    assert!(Command::new("sh").args(["-c", &script]).output().unwrap().status.success());
    child.wait().unwrap();
}

#[test]
fn the_next_command_leaves_nothing_of_a_killed_one() {
    let scene = Scene::new();
    let minutes: Option<u64> =
        std::env::var("XTASK_TEST_MINUTES").ok().map(|text| text.parse().unwrap());
    let seed = std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos() | 1;
    let mut random = Random(u64::from(seed));
    let field = if on_podman() { "{{.Store.GraphRoot}}" } else { "{{.DockerRootDir}}" };
    let graph = scene.repository.engine(&["info", "--format", field]).good();
    let before = scene.things();
    // In a few rounds, the two that leave most.
    let count = if minutes.is_some() { COMMANDS.len() } else { 2 };
    let (start, mut rounds, mut killed) = (Instant::now(), 0, 0);
    let mut times = [Duration::from_secs(8); COMMANDS.len()];
    loop {
        let enough = match minutes {
            Some(minutes) => start.elapsed() > Duration::from_secs(60 * minutes),
            None => rounds == ROUNDS,
        };
        if enough {
            break;
        }
        rounds += 1;
        let first = if minutes.is_some() { random.below(count) } else { rounds - 1 };
        let next = random.below(count);
        let target = [Target::Parent, Target::Group, Target::Tree][random.below(3)];
        let milliseconds = usize::try_from(times[first].as_millis()).unwrap();
        let moment = Duration::from_millis(random.below(milliseconds).try_into().unwrap());
        let round = format!("round {rounds} of {seed}: {:?} {target:?}", COMMANDS[first]);
        let round = format!("{round} after {moment:?}, then {:?}", COMMANDS[next]);
        println!("{round}");
        scene.repository.write("app/generation.py", &format!("GENERATION = {rounds}\n"));
        let mut command = scene.command(first);
        command.process_group(0).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(moment);
        killed += usize::from(child.try_wait().unwrap().is_none());
        kill(&mut child, target);
        let (ended, time) = scene.run(next);
        assert_eq!(ended.code, Some(0), "{round}\n{}\n{}", ended.out, ended.err);
        times[next] = time;
        let waiting = Instant::now();
        let mut left = scene.left(&before, &graph);
        while !left.is_empty() && waiting.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(100));
            left = scene.left(&before, &graph);
        }
        assert!(left.is_empty(), "{round}\n{left:#?}\n{}", ended.err);
    }
    println!("{killed} commands killed in {rounds} rounds");
    assert!(killed > 0);
}
