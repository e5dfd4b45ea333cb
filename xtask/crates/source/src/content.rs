//! What is in one file, as it was read: its hashes, what looks like a secret, and by what it is
//! known again.

mod stat;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use process::regular;
use sha1::Digest as _;
pub(crate) use stat::{Stat, TICK};

/// What one file is, and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub kind: FileMode,
    /// Length in bytes; of a symbolic link, the length of its target's name.
    pub bytes: u64,
    /// SHA-256 of the bytes, or of the link's target, in hexadecimal.
    pub sha256: String,
    /// The id that git would give the bytes, whatever its filters are.
    pub git: String,
    /// Why it looks like a secret.
    pub suspicion: Option<String>,
    /// What a kernel makes of its beginning.
    pub start: Start,
    /// The file as it was read.
    pub(crate) stat: Stat,
    /// Its copy as it was left, if there is one.
    pub(crate) copy: Option<Stat>,
}

/// What was read, by path.
pub(crate) type Contents = BTreeMap<String, Content>;

/// What a copy of a file is. There are no other modes in a snapshot, as there are none in git.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileMode {
    /// Mode 0644.
    Plain,
    /// Mode 0755.
    Executable,
    /// A symbolic link.
    Link,
    /// A socket, a pipe or a device, which is never copied.
    Other,
}

/// Each of them, in the order of their numbers in a file of what is remembered.
const KINDS: [FileMode; 4] =
    [FileMode::Plain, FileMode::Executable, FileMode::Link, FileMode::Other];
const STARTS: [Start; 4] = [Start::Script, Start::BrokenScript, Start::Program, Start::Other];

impl Content {
    /// One line to remember it by. JSON of a hundred thousand files takes seconds to read.
    pub(crate) fn to_line(&self, path: &str) -> String {
        let Content { kind, bytes, sha256, git, suspicion, start, stat, copy } = self;
        let (kind, start) = (*kind as usize, *start as usize);
        let copy = copy.as_ref().map_or_else(|| "-".to_owned(), Stat::to_text);
        let stat = stat.to_text();
        let suspicion = suspicion.as_deref().unwrap_or_default();
        format!("{kind} {start} {bytes} {sha256} {git} {stat} {copy} {suspicion}\t{path}")
    }

    /// The path and what was remembered of it; `None` for a line that isn't one.
    pub(crate) fn from_line(line: &str) -> Option<(String, Content)> {
        let (text, path) = line.split_once('\t')?;
        let mut words = text.splitn(8, ' ');
        let mut next = || words.next();
        let kind = *KINDS.get(next()?.parse::<usize>().ok()?)?;
        let start = *STARTS.get(next()?.parse::<usize>().ok()?)?;
        let bytes = next()?.parse().ok()?;
        let (sha256, git) = (next()?.to_owned(), next()?.to_owned());
        let stat = Stat::from_text(next()?)?;
        let copy = Stat::from_text(next()?);
        let suspicion = Some(next()?.to_owned()).filter(|text| !text.is_empty());
        let content = Content { kind, bytes, sha256, git, suspicion, start, stat, copy };
        Some((path.to_owned(), content))
    }
}

impl FileMode {
    /// The mode that git gives it in a tree; 0 for what git doesn't keep.
    pub fn git_mode(self) -> u32 {
        match self {
            FileMode::Plain => 0o100_644,
            FileMode::Executable => 0o100_755,
            FileMode::Link => 0o120_000,
            FileMode::Other => 0,
        }
    }
}

/// How a repository names its objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectFormat {
    /// 40 hexadecimal digits.
    Sha1,
    /// 64 hexadecimal digits (`extensions.objectFormat`).
    Sha256,
}

/// What a kernel makes of a file that it is to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// `#!` and an interpreter.
    Script,
    /// The same, and the line ends in CR: no interpreter has such a name.
    BrokenScript,
    /// ELF.
    Program,
    /// Nothing that it can start.
    Other,
}

impl Start {
    pub(crate) fn of(start: &[u8]) -> Start {
        let line = start.split(|&byte| byte == b'\n').next().unwrap_or_default();
        match () {
            () if line.starts_with(b"#!") && line.ends_with(b"\r") => Start::BrokenScript,
            () if line.starts_with(b"#!") => Start::Script,
            () if start.starts_with(b"\x7fELF") => Start::Program,
            () => Start::Other,
        }
    }
}

/// The two hashes of a file, made in one pass.
pub(crate) struct Hashes {
    sha256: Sha256,
    git: Git,
}

enum Git {
    Sha1(sha1::Sha1),
    Sha256(Sha256),
}

impl Hashes {
    pub(crate) fn new(format: ObjectFormat, bytes: u64) -> Hashes {
        let git = match format {
            ObjectFormat::Sha1 => Git::Sha1(sha1::Sha1::default()),
            ObjectFormat::Sha256 => Git::Sha256(Sha256::default()),
        };
        let mut hashes = Hashes { sha256: Sha256::default(), git };
        hashes.update_git(format!("blob {bytes}\0").as_bytes());
        hashes
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.update_git(bytes);
    }

    fn update_git(&mut self, bytes: &[u8]) {
        match &mut self.git {
            Git::Sha1(hash) => hash.update(bytes),
            Git::Sha256(hash) => hash.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> (String, String) {
        let git = match self.git {
            Git::Sha1(hash) => hex(&hash.finalize()),
            Git::Sha256(hash) => hash.finish(),
        };
        (self.sha256.finish(), git)
    }
}

/// SHA-256 of `bytes`, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&sha2::Sha256::digest(bytes))
}

/// SHA-256 of what comes in pieces.
#[derive(Default)]
pub struct Sha256(sha2::Sha256);

impl Sha256 {
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// In hexadecimal.
    pub fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// SHA-256 of a file, or of the target of a symbolic link, in hexadecimal.
pub fn sha256_of(path: &Path) -> std::io::Result<String> {
    let mut hash = Sha256::default();
    if path.symlink_metadata()?.is_symlink() {
        hash.update(fs::read_link(path)?.as_os_str().as_bytes());
    } else {
        let mut file = regular::open(path)?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                count => hash.update(&buffer[..count]),
            }
        }
    }
    Ok(hash.finish())
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
