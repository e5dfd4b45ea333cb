//! Podman's settings for machines where its defaults can't work: proved by running a process, and
//! merged over the user's own, because `CONTAINERS_CONF` replaces every other file.

use super::find::{Problem, ask, fingerprint, is_busy, said};
use super::{Engine, rootless, words};
use crate::machine::{Cgroups, Machine};
use anyhow::Context as _;
use process::environment::Environment;
use process::regular;
use process::run::{QUESTION, Runner};
use process::state::{State, write_whole};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The proof of one machine, remembered until something that it depends on changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Proof {
    fingerprint: String,
    /// Whether our settings are needed.
    ours: bool,
    /// What works, but badly.
    warnings: Vec<String>,
}

/// Makes sure that `engine` (a local Podman) can run a process here, with settings of ours if its
/// own don't serve; the engine comes back with the prefix that works. An engine that can't run a
/// process is the inner error.
pub fn prove(
    engine: Engine,
    machine: &Machine,
    environment: &Environment,
    runner: &Runner,
    state: &State,
) -> anyhow::Result<Result<Engine, Problem>> {
    let files = config_files(environment, machine);
    let variables = ["CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF"];
    let values = variables.map(|name| environment.variable(name).unwrap_or("-")).join(" ");
    let fingerprint =
        format!("{} {values}", fingerprint(environment.path(), &engine.program, &files));
    let path = state.folder.join("containers.conf");
    let working = |ours: bool, warnings: Vec<String>| {
        let setting = ("CONTAINERS_CONF".to_owned(), path.display().to_string());
        let env = engine.env.iter().cloned().chain(ours.then_some(setting)).collect();
        Engine { env, warnings, ..engine.clone() }
    };
    let name = format!("proof{}.json", engine.program.replace('/', "-"));
    if let Some(proof) = state.remembered::<Proof>(&name)
        && proof.fingerprint == fingerprint
        && (!proof.ours || path.is_file())
    {
        return Ok(Ok(working(proof.ours, proof.warnings)));
    }
    if let Some(problem) = rootless::lacking(machine, environment) {
        return Ok(Err(problem));
    }
    let proved = |ours: bool| {
        let copies =
            machine.uid != 0 && rootless::stores_by_copying(&working(ours, Vec::new()), runner)?;
        let warnings: Vec<String> =
            copies.then(|| rootless::COPIES.to_owned()).into_iter().collect();
        let proof = Proof { fingerprint: fingerprint.clone(), ours, warnings: warnings.clone() };
        state.remember(&name, &proof)?;
        anyhow::Ok(Ok(working(ours, warnings)))
    };
    let something = something(state)?;
    let run = |engine: &Engine| ask(runner, &words::call(engine, something.clone()), QUESTION);
    let first = run(&engine)?;
    if is_busy(&first) {
        return Ok(Err(Problem::busy(&said(&first))));
    }
    if first.good() && !builds_need_limits(machine) {
        return proved(false);
    }
    let runc = !super::find::on_path(environment.path(), "runc").is_empty();
    if let Some(settings) = needed(machine, runc) {
        process::state::make_folder(&state.folder)?;
        let text = match merged(&files, settings) {
            Ok(text) => text,
            Err(error) => {
                let what = format!("its settings can't be read: {error:#}");
                return Ok(Err(Problem::new(what, "mend that file")));
            }
        };
        write_whole(&path, &text)?;
        let second = run(&working(true, Vec::new()))?;
        if second.good() {
            return proved(true);
        }
    }
    if first.good() {
        return proved(false);
    }
    let what = format!("it can't run a process here: {}", said(&first));
    let remedy = if machine.cgroups != Cgroups::V2 && !runc {
        "install runc: this machine mounts control groups in a way that crun refuses".to_owned()
    } else {
        format!("repair it until this works: {}", words::call(&engine, something))
    };
    Ok(Err(Problem::new(what, remedy)))
}

/// The limit that Buildah sets for root's steps if no settings name another
/// (`define.RLimitDefaultValue`).
const LIMIT: i64 = 1_048_576;

/// Whether root's builds may fail although containers run: Podman 5.4.2 runs a container within
/// the limits that it has, but raises those of a build's steps (`error setting rlimit type 7`).
fn builds_need_limits(machine: &Machine) -> bool {
    let low = |limit: &str| limit.parse().is_ok_and(|limit: i64| (0..LIMIT).contains(&limit));
    let (files, processes) = &machine.limits;
    machine.uid == 0 && !machine.sys_resource && (low(files) || low(processes))
}

/// What runs `true` of the machine itself in a container: needs no image, and fails if a build's
/// RUN would. The root file system is an empty folder of ours into which the machine's
/// programs are mounted; an overlay of `/` would be simpler, but only root can mount it.
fn something(state: &State) -> anyhow::Result<Vec<String>> {
    let root = state.folder.join("proof");
    process::state::make_folder(&root)?;
    let options = ["run", "--rm", "--network", "none", "--security-opt", "label=disable"];
    let mut words: Vec<String> = options.map(String::from).into();
    for name in ["usr", "bin", "sbin", "lib", "lib64"] {
        let (here, there) = (Path::new("/").join(name), root.join(name));
        match here.read_link() {
            // Merged into /usr: the same link.
            Ok(target) if there.read_link().ok().as_ref() != Some(&target) => {
                std::os::unix::fs::symlink(&target, &there)
                    .with_context(|| format!("making {}", there.display()))?;
            }
            Ok(_) => {}
            Err(_) if here.is_dir() => {
                words.extend(["--volume".to_owned(), format!("/{name}:/{name}:ro")]);
            }
            Err(_) => {}
        }
    }
    words.extend(["--rootfs".to_owned(), root.display().to_string(), "true".to_owned()]);
    Ok(words)
}

/// The settings that this machine needs on top of Podman's defaults; `None` when it needs none.
///
/// - Without CAP_SYS_RESOURCE no limit can be raised, and Podman's default ones are higher
///   (`crun: setrlimit RLIMIT_NOFILE: Operation not permitted`).
/// - crun refuses the hybrid hierarchy of control groups; runc takes it.
/// - Without systemd nothing answers Podman's systemd cgroup manager.
pub fn needed(machine: &Machine, runc: bool) -> Option<Table> {
    let mut settings = Table::new();
    let mut set = |table: &str, key: &str, value: Value| {
        let table = settings.entry(table).or_insert_with(|| Value::Table(Table::new()));
        if let Value::Table(table) = table {
            table.insert(key.to_owned(), value);
        }
    };
    if !machine.sys_resource {
        let (files, processes) = &machine.limits;
        let limits = [format!("nofile={files}:{files}"), format!("nproc={processes}:{processes}")];
        set("containers", "default_ulimits", Value::Array(limits.map(Value::String).into()));
    }
    if machine.cgroups != Cgroups::V2 && runc {
        set("engine", "runtime", Value::String("runc".into()));
    }
    if !machine.systemd {
        set("engine", "cgroup_manager", Value::String("cgroupfs".into()));
    }
    (!settings.is_empty()).then_some(settings)
}

/// `settings` over the user's files, as the text of one file.
fn merged(files: &[PathBuf], settings: Table) -> anyhow::Result<String> {
    let mut all = Table::new();
    for file in files.iter().filter(|file| file.is_file()) {
        let text = regular::read_text(file);
        let text = text.with_context(|| format!("reading {}", file.display()))?;
        let table = text.parse::<Table>().with_context(|| format!("reading {}", file.display()))?;
        merge(&mut all, table);
    }
    merge(&mut all, settings);
    Ok(format!("{HEAD}{}", toml::to_string(&all).context("writing Podman's settings")?))
}

const HEAD: &str = "# Written by `cargo xtask`, used by its own commands only: what this machine's Podman is set\n\
                    # to, with what a process needs to start here. Removed with target/.\n";

/// Puts the keys of `over` into `under`, table by table, as Podman itself merges its files.
fn merge(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => merge(under, over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

/// The files that Podman reads, the later over the earlier (containers.conf(5)).
pub fn config_files(environment: &Environment, machine: &Machine) -> Vec<PathBuf> {
    if let Some(file) = environment.variable("CONTAINERS_CONF") {
        return vec![file.into()];
    }
    let mut files = vec![PathBuf::from("/usr/share/containers/containers.conf")];
    files.extend(with_folder(Path::new("/etc/containers")));
    if let Some(folder) = own_folder(environment).filter(|_| machine.uid != 0) {
        files.extend(with_folder(&folder));
    }
    files
}

fn with_folder(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("containers.conf.d")).into_iter().flatten();
    let paths = entries.flatten().map(|entry| entry.path());
    let mut parts: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "conf")).collect();
    parts.sort();
    parts.insert(0, folder.join("containers.conf"));
    parts
}

fn own_folder(environment: &Environment) -> Option<PathBuf> {
    let home = || environment.variable("HOME").map(|home| Path::new(home).join(".config"));
    let config = environment.variable("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home);
    Some(config?.join("containers"))
}

/// The files, with their texts, that make what this machine needs permanent: root's Podman reads
/// `/etc` only. An existing `storage.conf` was written on purpose and stays.
pub fn permanent(
    environment: &Environment,
    machine: &Machine,
    runc: bool,
) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let folder = match machine.uid {
        0 => PathBuf::from("/etc/containers"),
        _ => own_folder(environment)
            .context("looking for the configuration folder: HOME is not set")?,
    };
    let mut files = Vec::new();
    if let Some(settings) = needed(machine, runc) {
        let text = toml::to_string(&settings).context("writing Podman's settings")?;
        let head = "# Written by `cargo xtask setup --write-user-config`: what a container needs to start here.\n";
        files.push((folder.join("containers.conf.d/50-xtask.conf"), format!("{head}{text}")));
    }
    let storage = folder.join("storage.conf");
    if machine.uid != 0 && !storage.exists() {
        files.push((storage, rootless::OVERLAY.to_owned()));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn table(text: &str) -> Table {
        text.parse().unwrap()
    }

    #[test]
    fn settings_follow_the_facts() {
        let laptop = Machine { sys_resource: true, systemd: true, ..Machine::default() };
        assert_eq!(needed(&laptop, true), None);
        let limits = ("20000".to_owned(), "-1".to_owned());
        let vm = Machine { cgroups: Cgroups::Hybrid, limits, ..Machine::default() };
        let text = toml::to_string(&needed(&vm, true).unwrap()).unwrap();
        expect![[r#"
            [containers]
            default_ulimits = ["nofile=20000:20000", "nproc=-1:-1"]

            [engine]
            cgroup_manager = "cgroupfs"
            runtime = "runc"
        "#]]
        .assert_eq(&text);
        let without_runc = needed(&vm, false).unwrap();
        assert!(without_runc["engine"].get("runtime").is_none());
    }

    #[test]
    fn root_s_builds_need_limits_where_they_can_t_be_raised() {
        let check = |uid, sys_resource, files: &str, expected| {
            let limits = (files.to_owned(), "-1".to_owned());
            let machine = Machine { uid, sys_resource, limits, ..Machine::default() };
            assert_eq!(builds_need_limits(&machine), expected, "{uid} {sys_resource} {files}");
        };
        check(0, false, "20000", true);
        check(0, true, "20000", false);
        check(0, false, "1048576", false);
        check(0, false, "-1", false);
        check(1000, false, "20000", false);
    }

    #[test]
    fn the_users_settings_stay_where_ours_say_nothing() {
        let mut all = table("[engine]\nruntime = \"crun\"\nevents_logger = \"file\"\n[a]\nb = 1\n");
        merge(&mut all, table("[engine]\nruntime = \"runc\"\n[c]\nd = [1]\n"));
        let expected =
            "[engine]\nruntime = \"runc\"\nevents_logger = \"file\"\n[a]\nb = 1\n[c]\nd = [1]\n";
        assert_eq!(all, table(expected));
    }
}
