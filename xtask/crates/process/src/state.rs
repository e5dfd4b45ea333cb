//! What this workflow keeps in a checkout between two runs, all below `target/xtask`: logs, the
//! lock, the record of a running build, and answers that are dear to ask for.

use crate::disk::failed;
use crate::failure::{Exit, failure_help};
use crate::notice::{SILENCE, notice};
use crate::regular;
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How many logs are kept.
const LOGS: usize = 20;

/// How many images of a checkout are remembered.
const IMAGES: usize = 1000;
/// The file that lists them.
const MADE: &str = "made.json";

/// The folder and the places in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// `target/xtask` of the checkout.
    pub folder: PathBuf,
}

impl State {
    pub fn of(top: &Path) -> State {
        State { folder: top.join("target/xtask") }
    }

    /// `TMPDIR` of Podman's builds: what a killed build leaves there is known to be ours.
    pub fn tmp(&self) -> PathBuf {
        self.folder.join("tmp")
    }

    /// The file to which the engine writes the image ID.
    pub fn iidfile(&self) -> PathBuf {
        self.folder.join("image-id")
    }

    /// A file that every build of ours is given as an unused secret: Podman records its path in
    /// the working containers, which tells those of this checkout from all others.
    pub fn marker(&self) -> PathBuf {
        self.folder.join("checkout")
    }

    pub fn running(&self) -> PathBuf {
        self.folder.join("running.json")
    }

    /// The path of a log that is new, `2026-11-23T20-41-05Z-NAME.log`; older ones are removed.
    pub fn new_log(&self, name: &str) -> anyhow::Result<PathBuf> {
        let folder = self.folder.join("logs");
        make_folder(&folder)?;
        let mut old: Vec<PathBuf> = fs::read_dir(&folder)
            .with_context(|| format!("reading {}", folder.display()))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        old.sort();
        for path in old.iter().rev().skip(LOGS - 1) {
            let _ = fs::remove_file(path);
        }
        let now = chrono::Utc::now().format("%Y-%m-%dT%H-%M-%SZ");
        Ok(folder.join(format!("{now}-{}-{name}.log", std::process::id())))
    }

    /// Reads what was remembered as `name`; unreadable is as good as nothing.
    pub fn remembered<T: for<'a> Deserialize<'a>>(&self, name: &str) -> Option<T> {
        serde_json::from_slice(&regular::read(self.folder.join(name)).ok()?).ok()
    }

    /// Remembers `value` as `name`, whole or not at all.
    pub fn remember<T: Serialize>(&self, name: &str, value: &T) -> anyhow::Result<()> {
        make_folder(&self.folder)?;
        let text = serde_json::to_string_pretty(value).context("writing JSON")?;
        write_whole(&self.folder.join(name), &(text + "\n"))
    }

    /// The image IDs that were made in this checkout, as far back as they are kept.
    pub fn made(&self) -> Vec<String> {
        self.remembered(MADE).unwrap_or_default()
    }

    pub fn note_made(&self, id: &str) -> anyhow::Result<()> {
        let mut all = self.made();
        all.retain(|other| other != id);
        all.push(id.to_owned());
        let old = all.len().saturating_sub(IMAGES);
        self.remember(MADE, &all[old..].to_vec())
    }

    /// The image of the last release, and the record that says so: the newest file in `releases`.
    ///
    /// # Errors
    /// [`Exit::Unexpected`] when that can't be read or names no image.
    pub fn last_release(&self) -> anyhow::Result<Option<(String, PathBuf)>> {
        let Ok(entries) = fs::read_dir(self.folder.join("releases")) else { return Ok(None) };
        let records = entries.flatten().filter_map(|entry| {
            let path = entry.path();
            let time = entry.metadata().and_then(|meta| meta.modified()).ok()?;
            path.extension().is_some_and(|end| end == "json").then_some((time, path))
        });
        let Some((_, path)) = records.max() else { return Ok(None) };
        let text = regular::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let record: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
        let Some(id) = record["image_id"].as_str().filter(|id| !id.is_empty()) else {
            return Err(failure_help(
                Exit::Unexpected,
                format!("reading {}: it names no image_id", path.display()),
                "move that file away if it isn't the record of a release",
            ));
        };
        Ok(Some((id.to_owned(), path)))
    }

    /// Takes the lock of the checkout, waiting up to `patience`; it is released when the result
    /// is dropped or the process ends, however it ends.
    ///
    /// # Errors
    /// [`Exit::Locked`], naming the process that holds it.
    pub fn lock(&self, patience: Duration) -> anyhow::Result<File> {
        let holder = format!("process {}", std::process::id());
        lock(&self.folder, "lock", "of this checkout", &holder, patience)
    }
}

/// Takes the lock `name` in `folder`, as [`State::lock`] does; `holder` is what others are told who
/// have to wait for the lock `what`.
///
/// # Errors
/// [`Exit::Locked`], naming who holds it.
pub fn lock(
    folder: &Path,
    name: &str,
    what: &str,
    holder: &str,
    patience: Duration,
) -> anyhow::Result<File> {
    make_folder(folder)?;
    let (path, who) = (folder.join(name), folder.join(format!("{name}-holder")));
    let mut options = File::options();
    options.create(true).truncate(false).read(true).write(true);
    let file = regular::open_with(&options, &path);
    let file = file.map_err(|error| failed("opening", &path, &error))?;
    let holds =
        || regular::read_text(&who).map_or("a process".to_owned(), |text| text.trim().to_owned());
    let (start, mut silent) = (Instant::now(), true);
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if start.elapsed() < patience => {
                if silent && start.elapsed() > SILENCE {
                    silent = false;
                    notice(&format!("waiting for the lock {what}: {} holds it", holds()));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(failure_help(
                    Exit::Locked,
                    format!("taking the lock {what}: {} holds it", holds()),
                    "wait until that run has ended, or end it",
                ));
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).context(format!("locking {}", path.display()));
            }
        }
    }
    write_whole(&who, &format!("{holder}\n"))?;
    Ok(file)
}

/// Makes a folder and those above it.
pub fn make_folder(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).map_err(|error| failed("making the folder", folder, &error))
}

/// Writes a file whole or not at all: writes a new file next to it, then renames that.
pub fn write_whole(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written.map_err(|error| failed("writing", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_is_held_once_and_names_its_holder() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::of(folder.path());
        let held = state.lock(Duration::ZERO).unwrap();
        let error = state.lock(Duration::ZERO).unwrap_err();
        assert_eq!(crate::failure::describe(&error).0, Exit::Locked);
        assert!(error.to_string().contains(&format!("process {}", std::process::id())));
        drop(held);
        state.lock(Duration::ZERO).unwrap();
    }

    #[test]
    fn what_is_remembered_comes_back_and_garbage_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::of(folder.path());
        state.remember("a.json", &vec![1, 2]).unwrap();
        assert_eq!(state.remembered::<Vec<u32>>("a.json"), Some(vec![1, 2]));
        fs::write(state.folder.join("a.json"), "[1,").unwrap();
        assert_eq!(state.remembered::<Vec<u32>>("a.json"), None);
        assert_eq!(state.remembered::<Vec<u32>>("b.json"), None);
    }

    #[test]
    fn the_images_of_a_checkout_are_remembered_once() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::of(folder.path());
        assert_eq!(state.made(), [""; 0]);
        ["a", "b", "a"].iter().for_each(|id| state.note_made(id).unwrap());
        assert_eq!(state.made(), ["b", "a"]);
        (0..IMAGES).for_each(|id| state.note_made(&id.to_string()).unwrap());
        assert_eq!((state.made().len(), state.made()[0].as_str()), (IMAGES, "0"));
    }

    #[test]
    fn the_last_release_is_the_newest_record() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::of(folder.path());
        assert_eq!(state.last_release().unwrap(), None);
        let write = |name: &str, text: &str, seconds: u64| {
            let path = state.folder.join("releases").join(name);
            make_folder(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            let time = std::time::UNIX_EPOCH + Duration::from_secs(seconds);
            File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
        };
        write("2.json", r#"{"image_id":"sha256:2"}"#, 20);
        write("10.json", r#"{"image_id":"sha256:10"}"#, 10);
        write("note.txt", "", 30);
        assert_eq!(state.last_release().unwrap().unwrap().0, "sha256:2");
        write("broken.json", "{", 40);
        let error = state.last_release().unwrap_err();
        assert!(error.to_string().contains("broken.json: it names no image_id"), "{error}");
    }

    #[test]
    fn the_newest_logs_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::of(folder.path());
        for number in 0..30 {
            let log = state.new_log("x").unwrap();
            fs::write(log.with_file_name(format!("2026-01-{number:02}.log")), "").unwrap();
        }
        let left = fs::read_dir(state.folder.join("logs")).unwrap().count();
        assert_eq!(left, LOGS);
        assert!(!state.folder.join("logs/2026-01-05.log").exists());
    }
}
