//! The folder that an engine is given: copies, never links to the checkout, because Podman 4.3
//! writes into its context for `RUN --mount=type=bind,rw`. What an engine wrote is copied anew.

use crate::content::{Content, Contents, Stat};
use process::disk::failed;
use process::state::make_folder;
use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// 2000-01-01: archives such as wheels can't hold a time before 1980.
const EPOCH: Duration = Duration::from_secs(946_684_800);

/// What folders and links say their last change was.
fn time() -> SystemTime {
    SystemTime::UNIX_EPOCH + EPOCH
}

/// What a copy says its last change was: a moment in the nine years from [`EPOCH`] that its content
/// decides. The same for all clones, and for a layer that is found in a cache, which keeps the time
/// of the build that made it; another one for another content, because BuildKit takes a file of the
/// same size, mode and time for the one that it was sent before (fsutil, `sameFile`).
fn time_of(sha256: &str) -> SystemTime {
    let part = |digits: std::ops::Range<usize>| {
        sha256.get(digits).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0)
    };
    let seconds = Duration::from_secs(part(0..7));
    time() + seconds + Duration::from_nanos(part(7..15) % 1_000_000_000)
}

/// The folders of the copies.
const TREE: &str = "tree";
const BESIDE: &str = "beside";
const FOLDER_MODE: u32 = 0o755;

/// The copy of a file of the build context, or of one outside of it, below `folder`.
pub(super) fn place(folder: &Path, path: &str, beside: bool) -> PathBuf {
    folder.join(if beside { BESIDE } else { TREE }).join(path)
}

/// The copies of one build.
pub(super) struct Copies {
    folder: PathBuf,
}

impl Copies {
    /// Copies to `folder`, which may hold earlier copies.
    pub(super) fn to(folder: PathBuf) -> Copies {
        // Tidying must not follow a link.
        for part in [folder.clone(), folder.join(TREE), folder.join(BESIDE)] {
            if part.is_symlink() {
                let _ = fs::remove_file(part);
            }
        }
        Copies { folder }
    }

    pub(super) fn place(&self, path: &str, beside: bool) -> PathBuf {
        place(&self.folder, path, beside)
    }

    /// Whether the copy at `place` is there and as it was left. Then it stays.
    pub(super) fn keep(place: &Path, known: &Content) -> bool {
        let left = known.copy.as_ref().filter(|left| left.kind() == known.kind);
        left.is_some() && Stat::of(place).ok().as_ref() == left
    }

    pub(super) fn create(&self, place: &Path) -> anyhow::Result<File> {
        let create = || {
            self.clear(place)?;
            File::options().write(true).create_new(true).open(place)
        };
        create().map_err(|error| unwritten(place, &error))
    }

    /// Gives a finished copy its mode and its time.
    pub(super) fn finished(
        copy: &File,
        place: &Path,
        executable: bool,
        sha256: &str,
    ) -> anyhow::Result<Stat> {
        let mode = if executable { 0o755 } else { 0o644 };
        copy.set_permissions(fs::Permissions::from_mode(mode))
            .and_then(|()| copy.set_modified(time_of(sha256)))
            .and_then(|()| Stat::of(place))
            .map_err(|error| unwritten(place, &error))
    }

    pub(super) fn link(&self, target: &Path, place: &Path) -> anyhow::Result<Stat> {
        let link = || {
            self.clear(place)?;
            std::os::unix::fs::symlink(target, place)?;
            let time = filetime::FileTime::from_system_time(time());
            filetime::set_symlink_file_times(place, time, time)?;
            Stat::of(place)
        };
        link().map_err(|error| unwritten(place, &error))
    }

    /// Nothing is at `place`, and a real folder is there to hold it: a link would lead the copy
    /// elsewhere.
    fn clear(&self, place: &Path) -> std::io::Result<()> {
        let below = place.strip_prefix(&self.folder).unwrap_or(place);
        let mut folder = self.folder.clone();
        fs::create_dir_all(&folder)?;
        for name in below.parent().into_iter().flatten() {
            folder.push(name);
            if !folder.symlink_metadata().is_ok_and(|found| found.is_dir()) {
                gone(&folder)?;
                fs::create_dir(&folder)?;
            }
        }
        gone(place)
    }

    /// Removes all other files, and gives all folders one mode and one time. With `settled` no copy
    /// was made or dropped.
    pub(super) fn finish(
        &self,
        contents: &Contents,
        beside: &Contents,
        settled: bool,
    ) -> anyhow::Result<()> {
        make_folder(&self.folder.join(TREE))?;
        for (part, wanted) in [(TREE, contents), (BESIDE, beside)] {
            let folder = self.folder.join(part);
            if folder.exists() && !(settled && is_settled(&folder, wanted)) {
                let swept = sweep(&folder, "", wanted);
                swept.map_err(|error| failed("tidying", &folder, &error))?;
            }
        }
        Ok(())
    }
}

/// Whether all folders are as [`sweep`] left them. Whatever an engine adds or removes sets the time
/// of its folder.
fn is_settled(folder: &Path, wanted: &Contents) -> bool {
    let is_settled = |folder: &Path| {
        folder.symlink_metadata().is_ok_and(|found| {
            found.is_dir()
                && found.mode() & 0o7777 == FOLDER_MODE
                && found.modified().is_ok_and(|modified| modified == time())
        })
    };
    let mut parents: Vec<&str> =
        wanted.keys().filter_map(|path| Some(path.rsplit_once('/')?.0)).collect();
    parents.dedup();
    let all: HashSet<&Path> =
        parents.iter().flat_map(|parent| Path::new(parent).ancestors()).collect();
    is_settled(folder) && all.into_iter().all(|path| is_settled(&folder.join(path)))
}

/// Whether anything is left in `folder`, which is `below` the top of the copies: empty, or with a
/// slash at its end.
fn sweep(folder: &Path, below: &str, wanted: &Contents) -> std::io::Result<bool> {
    let mut any = false;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            if sweep(&path, &format!("{name}/"), wanted)? {
                any = true;
            } else {
                fs::remove_dir(&path)?;
            }
        } else if wanted.get(&name).is_some_and(|content| content.copy.is_some()) {
            any = true;
        } else {
            fs::remove_file(&path)?;
        }
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(FOLDER_MODE))?;
    File::open(folder)?.set_modified(time())?;
    Ok(any)
}

/// The failure to write a copy to `place`.
pub(super) fn unwritten(place: &Path, error: &std::io::Error) -> anyhow::Error {
    failed("writing", place, error)
}

fn gone(place: &Path) -> std::io::Result<()> {
    match place.symlink_metadata() {
        Ok(found) if found.is_dir() => fs::remove_dir_all(place),
        Ok(_) => fs::remove_file(place),
        Err(_) => Ok(()),
    }
}
