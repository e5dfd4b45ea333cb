//! When a file is surely the one that was read before: git's rule for its index, with the inode and
//! the time that no program can set (racy-git.txt in git's documentation).

use super::FileMode;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A tick of a kernel that counts a hundred a second, the slowest there is: times in a file system
/// are behind the clock by up to that.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// What the file system says of a file, all that changes with its content among it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    inode: u64,
    device: u64,
    mode: u32,
}

impl From<&Metadata> for Stat {
    fn from(found: &Metadata) -> Stat {
        Stat {
            bytes: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
            inode: found.ino(),
            device: found.dev(),
            mode: found.mode(),
        }
    }
}

impl Stat {
    pub(crate) fn of(path: &Path) -> std::io::Result<Stat> {
        Ok(Stat::from(&path.symlink_metadata()?))
    }

    /// All of it as one word.
    pub(crate) fn to_text(&self) -> String {
        let Stat { bytes, modified: (m, mn), changed: (c, cn), inode, device, mode } = self;
        format!("{bytes},{m},{mn},{c},{cn},{inode},{device},{mode}")
    }

    /// Reads that word; `None` for any other.
    pub(crate) fn from_text(text: &str) -> Option<Stat> {
        let mut words = text.split(',');
        let mut next = || words.next();
        Some(Stat {
            bytes: next()?.parse().ok()?,
            modified: (next()?.parse().ok()?, next()?.parse().ok()?),
            changed: (next()?.parse().ok()?, next()?.parse().ok()?),
            inode: next()?.parse().ok()?,
            device: next()?.parse().ok()?,
            mode: next()?.parse().ok()?,
        })
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What it is by its own mode.
    pub(crate) fn kind(&self) -> FileMode {
        match (self.mode & 0o170_000, self.mode & 0o100) {
            (0o100_000, 0) => FileMode::Plain,
            (0o100_000, _) => FileMode::Executable,
            (0o120_000, _) => FileMode::Link,
            _ => FileMode::Other,
        }
    }

    /// How far apart two changes are at least that show: some file systems count in seconds, or
    /// two.
    pub(crate) fn tick(&self) -> Duration {
        if self.changed.1 == 0 { Duration::from_secs(2) } else { TICK }
    }

    /// Whether a change after `begun` could leave all this as it is: the last one was in the same
    /// tick.
    pub(crate) fn is_racy(&self, begun: SystemTime) -> bool {
        let begun = begun.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let seconds = u64::try_from(self.changed.0).unwrap_or_default();
        let nanoseconds = u32::try_from(self.changed.1).unwrap_or_default();
        Duration::new(seconds, nanoseconds) + self.tick() > begun
    }
}
