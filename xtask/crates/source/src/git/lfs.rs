//! Git LFS: what a commit has in place of a large file, and the texts of attributes that say so.

use super::{Source, Stored, borrowed};
use crate::content::Content;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// What every pointer of Git LFS begins with (the specification, "The Pointer").
const LFS: &str = "version https://git-lfs.github.com/spec/v1\n";
/// The attribute of its files.
pub(super) const LFS_FILTER: &str = "filter=lfs";
const LFS_DRIVER: &str = "lfs";
/// No pointer is so long (the same).
const POINTER_BYTES: u64 = 1024;

/// What a pointer of Git LFS says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pointer {
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    pub bytes: u64,
}

impl Pointer {
    /// Reads a pointer; `None` for any other text.
    fn parse(text: &[u8]) -> Option<Pointer> {
        let text = std::str::from_utf8(text).ok().filter(|text| text.starts_with(LFS))?;
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
        let sha256 = value("oid sha256:")?.to_owned();
        let whole = sha256.len() == 64 && sha256.bytes().all(|digit| digit.is_ascii_hexdigit());
        whole.then_some(Pointer { sha256, bytes: value("size ")?.parse().ok()? })
    }
}

/// What the commit has instead of those of `files` that Git LFS keeps: all that are not what it
/// has, and what is small enough to be a pointer itself.
pub(super) fn pointers(
    source: &dyn Source,
    program: Option<&Path>,
    files: &[(String, &Content)],
) -> anyhow::Result<HashMap<String, Pointer>> {
    let head = source.head();
    let wanted = files.iter().filter(|(path, content)| {
        let other = |file: &Stored| file.id != content.git || content.bytes < POINTER_BYTES;
        head.get(path).is_some_and(other)
    });
    let wanted: Vec<&str> = wanted.map(|(path, _)| path.as_str()).collect();
    read_pointers(source, program, &wanted)
}

/// The pointers of Git LFS among `paths`, which are in the commit.
pub(super) fn pointers_in(
    source: &dyn Source,
    program: Option<&Path>,
    paths: &[&str],
) -> anyhow::Result<HashMap<String, Pointer>> {
    if attributes(source)?.iter().any(|text| says(text, |word| word == LFS_FILTER)) {
        return read_pointers(source, program, paths);
    }
    Ok(HashMap::new())
}

/// A few files at a time: they needn't all fit into memory. A text that reads like a pointer is one
/// if the attributes say so; without the `git` program they can't be asked, and it is.
fn read_pointers(
    source: &dyn Source,
    program: Option<&Path>,
    paths: &[&str],
) -> anyhow::Result<HashMap<String, Pointer>> {
    let mut pointers = HashMap::new();
    // A link whose target reads like a pointer is a link.
    let file = |path: &str| source.head().get(path).filter(|file| file.mode >> 12 == 0o10);
    let id = |path: &str| file(path).map(|file| file.id.as_str());
    for paths in paths.chunks(1000) {
        let ids: Vec<&str> = paths.iter().filter_map(|path| id(path)).collect();
        let texts = source.blobs(&ids)?;
        for path in paths {
            let text = id(path).and_then(|id| texts.get(id));
            if let Some(pointer) = text.and_then(|text| Pointer::parse(text)) {
                pointers.insert((*path).to_owned(), pointer);
            }
        }
    }
    if program.is_none() || pointers.is_empty() {
        return Ok(pointers);
    }
    let paths: Vec<&str> = pointers.keys().map(String::as_str).collect();
    let (top, revision) = (&source.places().0, source.revision()?);
    let kept = borrowed::filtered(program, top, &revision, &paths, LFS_DRIVER)?;
    let kept: HashSet<String> = kept.into_iter().map(str::to_owned).collect();
    pointers.retain(|path, _| kept.contains(path));
    Ok(pointers)
}

/// The texts of all committed files of attributes.
pub(super) fn attributes(source: &dyn Source) -> anyhow::Result<Vec<String>> {
    let is_one = |path: &&String| path.rsplit('/').next() == Some(".gitattributes");
    let files = source.head().iter().filter(|(path, _)| is_one(path));
    let ids: Vec<&str> = files.map(|(_, file)| file.id.as_str()).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let texts = source.blobs(&ids)?.into_values();
    Ok(texts.map(|text| String::from_utf8_lossy(&text).into_owned()).collect())
}

pub(super) fn says(text: &str, found: fn(&str) -> bool) -> bool {
    text.split_whitespace().any(found)
}
