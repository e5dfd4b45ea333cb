//! What a killed build leaves behind, found by what was recorded before it started: nothing of
//! another checkout or another user's is ever touched.
//!
//! Measured on Podman 4.3.1: a killed `podman build` leaves its working containers, a folder
//! `buildahNNN` in TMPDIR, and a RUN process in a session of its own. Docker leaves nothing, but
//! its client goes on when only we are killed.

use crate::{Engine, Kind, words};
use process::invocation::Invocation;
use process::notice::notice;
use process::regular;
use process::run::{self, QUESTION, Runner};
use process::state::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

/// The record of a build that is running, or was when it was killed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// The engine's process.
    pub id: u32,
    /// When that process started, in clock ticks since boot: process ids are used again.
    pub started: u64,
}

/// Records that the process `id` builds here.
///
/// # Errors
/// When the record can't be written.
pub fn record(state: &State, id: u32) -> anyhow::Result<()> {
    state.remember("running.json", &running(id))
}

/// A process and when it started, so that another one with its id is never taken for it.
pub fn running(id: u32) -> Running {
    Running { id, started: start_time(id).unwrap_or_default() }
}

/// Ends a process where it still runs: SIGTERM, and after `patience` SIGKILL. A child of ours
/// counts as ended once it only waits to be reaped.
pub fn end(process: &Running, patience: Duration) {
    let alive = || process.started != 0 && start_time(process.id) == Some(process.started);
    if !alive() {
        return;
    }
    run::terminate(process.id);
    let start = Instant::now();
    while alive() {
        if start.elapsed() > patience {
            run::kill(process.id);
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Ends what a killed build left running and removes what it left lying; does nothing, at the
/// cost of one look at a file, when the last build ended by itself.
///
/// # Errors
/// 130 or 143 after a signal. What can't be removed is said and left for the next time.
pub fn clean(state: &State, engine: &Engine, runner: &Runner) -> anyhow::Result<()> {
    let Some(running) = state.remembered::<Running>("running.json") else { return Ok(()) };
    if running.started != 0 && start_time(running.id) == Some(running.started) {
        notice(&format!("ending the build of a killed run (process {})", running.id));
        end(&running, Duration::from_secs(5));
    }
    if engine.kind == Kind::Podman {
        containers(state, engine, runner)?;
        folders(state, engine, runner)?;
    }
    finished(state);
    Ok(())
}

/// Notes that the build has ended by itself.
pub fn finished(state: &State) {
    let _ = std::fs::remove_file(state.running());
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

/// RUN processes and their folders in our own TMPDIR.
fn folders(state: &State, engine: &Engine, runner: &Runner) -> anyhow::Result<()> {
    let Ok(entries) = std::fs::read_dir(state.tmp()) else { return Ok(()) };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !folder || !name.starts_with("buildah") {
            continue;
        }
        // Buildah names the runtime's container after the folder.
        let id = format!("buildah-{name}");
        for runtime in ["crun", "runc"] {
            let known = runner.ask(&Invocation::new(runtime, ["state", &id]), QUESTION);
            runner.check_signal()?;
            if known.is_ok_and(|answer| answer.good()) {
                notice(&format!("ending {id}, which a killed build left running"));
                let delete = Invocation::new(runtime, ["delete", "--force", &id]);
                let _ = runner.ask(&delete, QUESTION);
                runner.check_signal()?;
            }
        }
        remove(&entry.path(), engine, runner)?;
    }
    Ok(())
}

/// An ordinary user's build leaves files of its subordinate ids, which only its own namespace can
/// remove.
fn remove(folder: &Path, engine: &Engine, runner: &Runner) -> anyhow::Result<()> {
    let mut removed = std::fs::remove_dir_all(folder).map_err(|error| error.to_string());
    if removed.is_err() {
        let answer = runner.ask(&words::remove_in_namespace(engine, folder), QUESTION)?;
        if answer.good() {
            removed = Ok(());
        }
    }
    notice(&match removed {
        Ok(()) => format!("removed {}, which a killed build left", folder.display()),
        Err(error) => format!("warning: removing {}: {error}", folder.display()),
    });
    Ok(())
}

/// Working containers whose recorded secrets name our checkout.
fn containers(state: &State, engine: &Engine, runner: &Runner) -> anyhow::Result<()> {
    let answer = runner.ask(&words::store(engine), QUESTION)?;
    let Some((root, driver)) = answer.stdout.trim().rsplit_once(' ') else { return Ok(()) };
    let answer = runner.ask(&words::working_containers(engine), QUESTION)?;
    let all: Value = serde_json::from_str(&answer.stdout).unwrap_or_default();
    let marker = format!("src={}", state.marker().display());
    for container in all.as_array().into_iter().flatten() {
        let Some(id) = container["Id"].as_str().or_else(|| container["ID"].as_str()) else {
            continue;
        };
        let record =
            Path::new(root).join(format!("{driver}-containers/{id}/userdata/buildah.json"));
        let ours = regular::read_text(record).is_ok_and(|text| text.contains(&marker));
        if ours {
            let short: String = id.chars().take(12).collect();
            let removed = runner.ask(&words::remove_container(engine, id), QUESTION)?;
            notice(&if removed.good() {
                format!("removed the working container {short}, which a killed build left")
            } else {
                format!("warning: removing the working container {short}: {}", removed.last_line())
            });
        }
    }
    Ok(())
}

/// Removes what Podman's layer cache would take the labels `names` from: images of ours that have
/// one of them and no name. An image that others are made from goes after those.
///
/// # Errors
/// 130 or 143 after a signal. What is in use stays.
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
    image["Labels"][crate::label::OURS] == "1" && names == 0
}

/// How long something of ours may refuse to be removed.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// Tries `remove` until it succeeds: Podman 4.3.1 can't remove what it is still taking apart
/// (`device or resource busy`, where the command that started it was ended).
///
/// # Errors
/// What it failed with last, after 30 s; 130 or 143 after a signal.
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
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start() {
        let own = start_time(std::process::id());
        assert!(own.is_some_and(|ticks| ticks > 0));
        assert_eq!(start_time(u32::MAX), None);
    }
}
