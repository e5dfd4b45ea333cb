//! A commit's files as a checkout writes them under the attributes that are committed.

use super::borrowed::{Scratch, write};
use super::{GITLINK, Source, lfs};
use crate::content::sha256_of;
use process::disk::failed;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// A commit that was written to a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// The root of the build context there.
    pub root: PathBuf,
    /// Submodules, of which nothing was written, by their paths below the root.
    pub submodules: Vec<String>,
    /// Files that Git LFS keeps and that aren't whole in this clone: their pointers were written.
    pub missing: Vec<String>,
    /// Files whose names aren't UTF-8, which were not written.
    pub odd: Vec<String>,
}

/// Writes the files of the commit of `source` that are below `below` into `folder`.
pub(super) fn commit(
    source: &dyn Source,
    program: Option<&Path>,
    below: &str,
    folder: &Path,
) -> anyhow::Result<Exported> {
    let files = source.head().iter().filter(|(path, _)| path.starts_with(below));
    let (modules, files): (Vec<_>, Vec<_>) = files.partition(|(_, file)| file.mode == GITLINK);
    let (odd, paths): (Vec<&str>, Vec<&str>) = files
        .iter()
        .map(|(path, _)| path.as_str())
        .partition(|path| path.contains(char::REPLACEMENT_CHARACTER));
    write(program, &source.places().0, &source.revision()?, &paths, folder)?;
    let inside = |path: &str| path[below.len()..].to_owned();
    let mut exported = Exported {
        root: folder.join(below),
        submodules: modules.into_iter().map(|(path, _)| inside(path)).collect(),
        missing: Vec::new(),
        odd: odd.into_iter().map(inside).collect(),
    };
    let stored = source.common()?.join("lfs/objects");
    for path in lfs::pointers_in(source, program, &paths)? {
        let id = &path.1.sha256;
        // The path at which Git LFS stores the file (`git lfs env`, LocalMediaDir).
        let object = stored.join(&id[..2]).join(&id[2..4]).join(id);
        let whole = object.metadata().is_ok_and(|found| found.len() == path.1.bytes)
            && sha256_of(&object).is_ok_and(|found| found == *id);
        if !whole {
            exported.missing.push(inside(&path.0));
            continue;
        }
        let place = folder.join(&path.0);
        let executable = source.head().get(&path.0).is_some_and(|file| file.mode & 0o100 != 0);
        let mode = if executable { 0o755 } else { 0o644 };
        fs::remove_file(&place)
            .and_then(|()| fs::copy(&object, &place))
            .and_then(|_| fs::set_permissions(&place, fs::Permissions::from_mode(mode)))
            .map_err(|error| failed("writing", &place, &error))?;
    }
    Ok(exported)
}

/// SHA-256 of those of `paths` that a checkout of the commit `revision` writes, by path.
pub(super) fn hashes(
    program: Option<&Path>,
    top: &Path,
    revision: &str,
    paths: &[&str],
) -> anyhow::Result<HashMap<String, String>> {
    let scratch = Scratch::new()?;
    write(program, top, revision, paths, &scratch.0)?;
    let mut hashes = HashMap::new();
    for path in paths {
        if let Ok(sha256) = sha256_of(&scratch.0.join(path)) {
            hashes.insert((*path).to_owned(), sha256);
        }
    }
    Ok(hashes)
}
