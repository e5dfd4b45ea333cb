//! What a killed build leaves behind, found by what was recorded before it started: nothing of
//! another checkout or another user's is ever touched.
//!
//! Measured on Podman 4.3.1: a killed `podman build` leaves its working containers, a folder
//! `buildahNNN` in TMPDIR, and a RUN process in a separate session. Docker leaves nothing, but
//! its client goes on when only we are killed.

use crate::{Engine, EngineKind, words};
use process::invocation::Invocation;
use process::notice::{SILENCE, notice};
use process::regular;
use process::run::{self, QUESTION, Runner};
use process::state::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The record of a build that is running, or was when it was killed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// The engine's process.
    pub id: u32,
    /// When that process started, in clock ticks since boot: process ids are used again.
    pub started: u64,
    /// The boot that those ticks count from.
    #[serde(default)]
    pub boot: String,
}

impl Running {
    /// Whether that very process still runs; never for one that nothing is known about.
    fn alive(&self) -> bool {
        self.started != 0 && !self.boot.is_empty() && running(self.id) == *self
    }
}

/// Records that a build is about to start: it leaves something even if killed before [`record`].
pub fn announce(state: &State) -> anyhow::Result<()> {
    state.remember("running.json", &Running::default())
}

/// Records that the process `id` builds here.
pub fn record(state: &State, id: u32) -> anyhow::Result<()> {
    state.remember("running.json", &running(id))
}

/// The record that a process of this checkout is at something whose parts stay when it is killed:
/// containers, networks, files. Gone with this value.
pub struct Begun(PathBuf);

impl Drop for Begun {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// How the name of such a record begins.
const BEGUN: &str = "begun-";

pub fn begin(state: &State) -> anyhow::Result<Begun> {
    let name = format!("{BEGUN}{}", std::process::id());
    state.remember(&name, &running(std::process::id()))?;
    Ok(Begun(state.folder.join(name)))
}

/// The ids of processes that began something here and were killed, with their records.
pub fn killed(state: &State) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(&state.folder).into_iter().flatten().flatten();
    let records = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let id = name.strip_prefix(BEGUN)?.to_owned();
        let over = !state.remembered::<Running>(&name).is_some_and(|process| process.alive());
        over.then(|| (id, entry.path()))
    });
    records.collect()
}

/// A process and when it started, so that another one with its id is never taken for it.
pub fn running(id: u32) -> Running {
    let boot = regular::read_text("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let boot = boot.trim().to_owned();
    Running { id, started: start_time(id).unwrap_or_default(), boot }
}

/// Ends a process if it still runs: SIGTERM, and after `patience` SIGKILL. A child of ours
/// counts as ended once it only waits to be reaped.
pub fn end(process: &Running, patience: Duration) {
    if !process.alive() {
        return;
    }
    run::terminate(process.id);
    let (start, mut silent) = (Instant::now(), true);
    while process.alive() {
        if silent && start.elapsed() > SILENCE {
            silent = false;
            notice(&format!("waiting for process {} to end", process.id));
        }
        if start.elapsed() > patience {
            run::kill(process.id);
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// One thing that a killed build left. [`fmt::Display`] is the command that takes it away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// The build goes on.
    Build(Running),
    /// A step of it goes on: what ends it, and the name of the runtime's container.
    Step(Invocation, String),
    /// A file or a folder in the builds' own `TMPDIR`.
    File(PathBuf),
    /// A working container: what removes it, and its id.
    Container(Invocation, String),
}

impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Leftover::Build(running) => write!(f, "kill {}", running.id),
            Leftover::Step(end, _) => end.fmt(f),
            Leftover::File(path) => {
                Invocation::new("rm", ["-r".to_owned(), path.display().to_string()]).fmt(f)
            }
            Leftover::Container(remove, _) => remove.fmt(f),
        }
    }
}

/// Whether there is no sign that a command of this checkout was killed.
pub fn none(state: &State) -> bool {
    !state.running().exists() && temporary(state).is_empty() && killed(state).is_empty()
}

/// Ends what a killed build left running and removes what it left lying. When the last build was
/// not killed and left nothing in its `TMPDIR`, no engine is asked. The caller holds the lock of
/// the checkout: whatever builds here was left.
/// What can't be removed is reported and left for the next time.
pub fn clean(state: &State, engine: &Engine, runner: &Runner) -> anyhow::Result<()> {
    if !state.running().exists() && temporary(state).is_empty() {
        return Ok(());
    }
    // The build first: it would go on to leave more.
    for build in builds(state) {
        remove(&build, engine, runner)?;
    }
    for leftover in find(state, engine, runner)? {
        remove(&leftover, engine, runner)?;
    }
    if engine.kind == EngineKind::Podman {
        remove_broken_images(engine, runner)?;
    }
    finished(state);
    Ok(())
}

/// How many images a killed build can break: each `--jobs` commits one at a time.
const BROKEN: usize = 8;

/// Removes images without a manifest: Podman was killed as it committed them, and now it lists no
/// images by label any more. Nothing can run such an image.
fn remove_broken_images(engine: &Engine, runner: &Runner) -> anyhow::Result<()> {
    for _ in 0..BROKEN {
        let look = || -> anyhow::Result<Option<String>> {
            let answer = runner.ask(&words::ids_with(engine, crate::label::OURS), QUESTION)?;
            // Quotes are escaped if it is a warning.
            Ok(without_manifest(&answer.stderr.replace('\\', "")).map(str::to_owned))
        };
        let Some(id) = look()? else { return Ok(()) };
        // Another checkout's build may be about to write it.
        runner.sleep(Duration::from_secs(2))?;
        if look()?.as_ref() != Some(&id) {
            continue;
        }
        let answer = runner.ask(&words::remove_image(engine, &id), QUESTION)?;
        let short: String = id.chars().take(12).collect();
        if !answer.good() {
            notice(&format!("warning: removing the image {short}: {}", answer.last_line()));
            return Ok(());
        }
        notice(&format!("removed the image {short}, which a killed build left without a manifest"));
    }
    Ok(())
}

/// The image ID in Podman's words about an image that has no manifest.
fn without_manifest(text: &str) -> Option<&str> {
    let (_, after) = text.split_once("locating item named \"manifest\" for image with ID ")?;
    let (id, _) = after.strip_prefix('"')?.split_once('"')?;
    (id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
}

/// What killed builds of this checkout left, in the order in which it is removed.
///
/// # Errors
/// [`process::failure::Exit::Engine`] when the engine can't be asked.
pub fn find(state: &State, engine: &Engine, runner: &Runner) -> anyhow::Result<Vec<Leftover>> {
    let mut found = builds(state);
    if engine.kind == EngineKind::Podman {
        found.extend(steps(state, runner)?);
        found.extend(containers(state, engine, runner)?);
    }
    found.extend(temporary(state).into_iter().map(Leftover::File));
    Ok(found)
}

/// Notes that the build has ended without being killed.
pub fn finished(state: &State) {
    let _ = std::fs::remove_file(state.running());
}

/// The recorded build, and those that were killed before they were: no other command names the
/// marker of this checkout.
fn builds(state: &State) -> Vec<Leftover> {
    let marker = format!("id=checkout,src={}", state.marker().display());
    let ids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let ours = ids.filter(|id: &u32| {
        let words = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        words.split(|&byte| byte == 0).any(|word| word == marker.as_bytes())
    });
    let recorded = state.remembered::<Running>("running.json").filter(Running::alive);
    let mut all: Vec<Running> = recorded.into_iter().collect();
    for build in ours.map(running) {
        if build.alive() && !all.contains(&build) {
            all.push(build);
        }
    }
    all.into_iter().map(Leftover::Build).collect()
}

/// Clock ticks since boot at which a process started (proc(5): field 22 of `stat`, the 20th after
/// the command's closing parenthesis).
fn start_time(id: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let after = stat.rsplit_once(')')?.1;
    let mut fields = after.split_whitespace();
    // The state comes first: a zombie has ended.
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// All that builds keep in their `TMPDIR`, but for the links to the cache mounts: Buildah's
/// folders, and the blobs of a layer that was being stored.
fn temporary(state: &State) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(state.tmp()).into_iter().flatten().flatten();
    let kept = |name: &OsStr| name.to_string_lossy().starts_with("buildah-cache");
    let paths = entries.filter(|entry| !kept(&entry.file_name())).map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = paths.collect();
    paths.sort();
    paths
}

/// Steps whose folders are in our own `TMPDIR`.
fn steps(state: &State, runner: &Runner) -> anyhow::Result<Vec<Leftover>> {
    let mut found = Vec::new();
    for path in temporary(state) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with("buildah") {
            continue;
        }
        // Buildah names the runtime's container after the folder.
        let id = format!("buildah-{name}");
        for runtime in ["crun", "runc"] {
            let known = runner.ask(&Invocation::new(runtime, ["state", &id]), QUESTION);
            runner.check_signal()?;
            if known.is_ok_and(|answer| answer.good()) {
                let delete = Invocation::new(runtime, ["delete", "--force", &id]);
                found.push(Leftover::Step(delete, id.clone()));
            }
        }
    }
    Ok(found)
}

/// Takes one thing away, and says so.
fn remove(leftover: &Leftover, engine: &Engine, runner: &Runner) -> anyhow::Result<()> {
    let ask = |question: &Invocation| -> anyhow::Result<Result<(), String>> {
        let answer = runner.ask(question, QUESTION)?;
        Ok(if answer.good() { Ok(()) } else { Err(answer.last_line().to_owned()) })
    };
    let (what, removed) = match leftover {
        Leftover::Build(running) => {
            notice(&format!("ending the build of a killed run (process {})", running.id));
            end(running, Duration::from_secs(5));
            return Ok(());
        }
        Leftover::Step(end, id) => (id.clone(), ask(end)?),
        Leftover::Container(remove, id) => {
            let short: String = id.chars().take(12).collect();
            (format!("the working container {short}"), ask(remove)?)
        }
        Leftover::File(path) => {
            let folder = path.symlink_metadata().is_ok_and(|found| found.is_dir());
            let gone = if folder { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            let mut gone = gone.map_err(|error| error.to_string());
            // An ordinary user's build leaves files of its subordinate ids, which only its own
            // namespace can remove.
            if gone.is_err() && engine.kind == EngineKind::Podman {
                gone = ask(&words::remove_in_namespace(engine, path))?.or(gone);
            }
            (path.display().to_string(), gone)
        }
    };
    notice(&match removed {
        Ok(()) => format!("removed {what}, which a killed build left"),
        Err(error) => format!("warning: removing {what}: {error}"),
    });
    Ok(())
}

/// Working containers whose recorded secrets name our checkout.
fn containers(state: &State, engine: &Engine, runner: &Runner) -> anyhow::Result<Vec<Leftover>> {
    let answer = runner.ask(&words::store(engine), QUESTION)?;
    let Some((root, driver)) = answer.stdout.trim().rsplit_once(' ') else { return Ok(Vec::new()) };
    let answer = runner.ask(&words::working_containers(engine), QUESTION)?;
    let all: Value = serde_json::from_str(&answer.stdout).unwrap_or_default();
    let marker = format!("src={}", state.marker().display());
    let ours = |id: &&str| {
        let record = format!("{driver}-containers/{id}/userdata/buildah.json");
        regular::read_text(Path::new(root).join(record)).is_ok_and(|text| text.contains(&marker))
    };
    let ids = all.as_array().into_iter().flatten();
    let ids = ids.filter_map(|one| one["Id"].as_str().or_else(|| one["ID"].as_str()));
    let ours = ids.filter(ours);
    let leftover = |id: &str| Leftover::Container(words::remove_container(engine, id), id.into());
    Ok(ours.map(leftover).collect())
}

/// Removes containers that Podman was killed in making, whose names begin with `start`, and gives
/// how many. They are in its store without being containers: it lists them with `--external` alone,
/// without labels, and starts none of the same name (seen in one of 36 killed `podman create`).
pub fn remove_half_made(engine: &Engine, runner: &Runner, start: &str) -> anyhow::Result<usize> {
    if engine.kind != EngineKind::Podman {
        return Ok(0);
    }
    let answer = runner.ask(&words::working_containers(engine), QUESTION)?;
    let all: Value = serde_json::from_str(&answer.stdout).unwrap_or_default();
    let all = all.as_array().into_iter().flatten();
    let ids = all.filter(|one| half_made(one, start)).filter_map(|one| one["Id"].as_str());
    let mut count = 0;
    for id in ids {
        let remove = words::remove_container(engine, id);
        patiently(runner, || {
            let answer = runner.ask(&remove, QUESTION)?;
            anyhow::ensure!(answer.good(), "removing {id}: {}", answer.last_line());
            Ok(())
        })?;
        count += 1;
    }
    Ok(count)
}

/// Whether an entry of `podman ps --external --format json` is in the store alone; those of builds
/// are Buildah's.
fn half_made(entry: &Value, start: &str) -> bool {
    let named = entry["Names"][0].as_str().is_some_and(|name| name.starts_with(start));
    named && entry["State"] == "storage" && entry["Command"][0] != "buildah"
}

/// Removes what Podman's layer cache would take the labels `names` from: images of ours that have
/// one of them and no name. An image that others are made from goes after those.
/// What is in use stays.
pub fn forget(names: &[String], engine: &Engine, runner: &Runner) -> anyhow::Result<()> {
    for name in names {
        let mut removed = true;
        while removed {
            removed = false;
            let answer = runner.ask(&words::images_with(engine, name), QUESTION)?;
            let all: Value = serde_json::from_str(&answer.stdout).unwrap_or_default();
            for image in all.as_array().into_iter().flatten().filter(|image| unnamed_of_ours(image))
            {
                let Some(id) = image["Id"].as_str() else { continue };
                removed |= runner.ask(&words::remove_image(engine, id), QUESTION)?.good();
            }
        }
    }
    Ok(())
}

/// Whether an entry of `podman images --format json` is ours and has no name.
fn unnamed_of_ours(image: &Value) -> bool {
    let names = image["Names"].as_array().map_or(0, Vec::len);
    image["Labels"][crate::label::OURS].is_string() && names == 0
}

/// How long something of ours may refuse to be removed.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// Tries `remove` until it succeeds: Podman 4.3.1 can't remove what it is still taking apart
/// (`device or resource busy`, if the command that started it was ended).
///
/// # Errors
/// What it failed with last, after 30 s.
pub fn patiently<T>(
    runner: &Runner,
    mut remove: impl FnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        match remove() {
            Err(_) if start.elapsed() < PATIENCE => runner.sleep(PAUSE)?,
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests;
