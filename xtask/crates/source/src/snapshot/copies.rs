//! The folder that an engine is given: copies, never links to the checkout, because Podman 4.3 writes
//! into its context for `RUN --mount=type=bind,rw`. What an engine wrote is copied anew.

use crate::content::{Content, Stat};
use anyhow::Context as _;
use process::state::make_folder;
use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// 2000-01-01: archives such as wheels can't hold a time before 1980.
const EPOCH: Duration = Duration::from_secs(946_684_800);

/// What folders and links say their last change was.
fn time() -> SystemTime {
    SystemTime::UNIX_EPOCH + EPOCH
}

/// What a copy says its last change was: a moment in the nine years from [`EPOCH`] that its content
/// decides. The same for all clones, and for a layer that is found in a cache, which keeps the time of
/// the build that made it; another one for another content, because BuildKit takes a file of the
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

/// The copy of a file of the build context, or of one beside it, below `folder`.
pub(super) fn place(folder: &Path, path: &str, beside: bool) -> PathBuf {
    folder.join(if beside { BESIDE } else { TREE }).join(path)
}

/// The copies of one build.
pub(super) struct Copies {
    folder: PathBuf,
    wanted: HashSet<PathBuf>,
}

impl Copies {
    /// Copies to `folder`, where others may be already.
    pub(super) fn to(folder: PathBuf) -> Copies {
        // Nothing is tidied where a link leads.
        for part in [folder.clone(), folder.join(TREE), folder.join(BESIDE)] {
            if part.is_symlink() {
                let _ = fs::remove_file(part);
            }
        }
        Copies { folder, wanted: HashSet::new() }
    }

    /// Where the copy of a file goes.
    pub(super) fn place(&self, path: &str, beside: bool) -> PathBuf {
        place(&self.folder, path, beside)
    }

    /// Whether the copy at `place` is there and as it was left. Then it stays.
    pub(super) fn keep(&mut self, place: &Path, known: &Content) -> bool {
        let left = known.copy.as_ref().filter(|left| left.kind() == known.kind);
        let same = left.is_some() && Stat::of(place).ok().as_ref() == left;
        if same {
            self.wanted.insert(place.to_owned());
        }
        same
    }

    /// A new file at `place`.
    pub(super) fn create(&mut self, place: &Path) -> std::io::Result<File> {
        self.clear(place)?;
        self.wanted.insert(place.to_owned());
        File::options().write(true).create_new(true).open(place)
    }

    /// Gives a finished copy its mode and its time.
    pub(super) fn finished(
        copy: &File,
        place: &Path,
        executable: bool,
        sha256: &str,
    ) -> std::io::Result<Stat> {
        let mode = if executable { 0o755 } else { 0o644 };
        copy.set_permissions(fs::Permissions::from_mode(mode))?;
        copy.set_modified(time_of(sha256))?;
        Stat::of(place)
    }

    /// A symbolic link at `place`.
    pub(super) fn link(&mut self, target: &Path, place: &Path) -> std::io::Result<Stat> {
        self.clear(place)?;
        self.wanted.insert(place.to_owned());
        std::os::unix::fs::symlink(target, place)?;
        let time = filetime::FileTime::from_system_time(time());
        filetime::set_symlink_file_times(place, time, time)?;
        Stat::of(place)
    }

    /// Nothing is at `place`, and a folder is there to hold it: a real one, or a copy would be
    /// written to where a link leads.
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

    /// Removes what nobody wants, and gives all folders one mode and one time.
    pub(super) fn finish(&self) -> anyhow::Result<()> {
        make_folder(&self.folder.join(TREE))?;
        for part in [TREE, BESIDE].map(|part| self.folder.join(part)) {
            if part.exists() {
                self.sweep(&part).with_context(|| format!("tidying {}", part.display()))?;
            }
        }
        Ok(())
    }

    /// Whether anything is left in `folder`.
    fn sweep(&self, folder: &Path) -> std::io::Result<bool> {
        let mut any = false;
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                if self.sweep(&path)? {
                    any = true;
                } else {
                    fs::remove_dir(&path)?;
                }
            } else if self.wanted.contains(&path) {
                any = true;
            } else {
                fs::remove_file(&path)?;
            }
        }
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
        File::open(folder)?.set_modified(time())?;
        Ok(any)
    }
}

fn gone(place: &Path) -> std::io::Result<()> {
    match place.symlink_metadata() {
        Ok(found) if found.is_dir() => fs::remove_dir_all(place),
        Ok(_) => fs::remove_file(place),
        Err(_) => Ok(()),
    }
}
