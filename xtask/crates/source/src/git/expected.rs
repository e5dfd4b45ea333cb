//! What a checkout of a commit is under the attributes that are committed, and nothing else: what a
//! user's own configuration makes of a file (`core.autocrlf`, a filter) is a change.

use super::lfs::{self, LFS_FILTER, Pointer, attributes, says};
use super::{ChangeKind, Source, Stored, export};
use crate::content::Content;
use std::collections::HashMap;
use std::path::Path;

/// The files of a commit as a checkout would have them.
pub(super) struct Expected<'a> {
    source: &'a dyn Source,
    /// The hashes of those that git would write in another form than it keeps them.
    converted: HashMap<String, String>,
    /// What stands for the files that Git LFS keeps, by path.
    pointers: HashMap<String, Pointer>,
    /// The files that were compared, if there are pointers.
    files: Vec<(String, &'a Content)>,
}

impl<'a> Expected<'a> {
    /// What a checkout of the commit `revision`, which `source` has read, would have, for
    /// comparison with `files`, by path.
    pub(super) fn of(
        source: &'a dyn Source,
        top: &Path,
        revision: &str,
        program: Option<&Path>,
        files: &dyn Fn() -> Vec<(String, &'a Content)>,
    ) -> anyhow::Result<Expected<'a>> {
        let head = source.head();
        let texts = attributes(source)?;
        let has = |found: fn(&str) -> bool| texts.iter().any(|text| says(text, found));
        let mut expected = Expected {
            source,
            converted: HashMap::new(),
            pointers: HashMap::new(),
            files: Vec::new(),
        };
        if has(|word| word == LFS_FILTER) {
            let files = files();
            expected.pointers = lfs::pointers(source, program, &files)?;
            expected.files = files;
        }
        let converts = |word: &str| {
            matches!(word, "eol=crlf" | "ident") || word.starts_with("working-tree-encoding=")
        };
        if has(converts) {
            let files = files();
            let paths: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
            let tracked: Vec<&str> =
                paths.into_iter().filter(|path| head.contains_key(*path)).collect();
            expected.converted = export::hashes(program, top, revision, &tracked)?;
        }
        Ok(expected)
    }

    /// How the file at `path` differs; `None` if it doesn't.
    pub(super) fn differs(&self, path: &str, content: &Content) -> Option<ChangeKind> {
        let Some(Stored { mode, id }) = self.source.head().get(path) else {
            let added = self.source.in_index(path);
            return Some(if added { ChangeKind::Added } else { ChangeKind::Untracked });
        };
        let now = content.kind.git_mode();
        if mode >> 12 != now >> 12 {
            return Some(ChangeKind::TypeChanged);
        }
        let same_bytes = match (self.pointers.get(path), self.converted.get(path)) {
            (Some(pointer), _) => {
                (&pointer.sha256, pointer.bytes) == (&content.sha256, content.bytes)
            }
            (None, Some(sha256)) => *sha256 == content.sha256,
            (None, None) => *id == content.git,
        };
        // Git looks at one bit of a mode; old trees have other bits as well.
        let same = same_bytes && mode & 0o100 == now & 0o100;
        (!same).then_some(ChangeKind::Modified)
    }

    /// The files that are only what stands for them.
    pub(super) fn pointers_left(&self) -> Vec<String> {
        let is_left = |(path, content): &&(String, &Content)| {
            let id = self.source.head().get(path).map(|file| &file.id);
            self.pointers.contains_key(path) && id == Some(&content.git)
        };
        self.files.iter().filter(is_left).map(|(path, _)| path.clone()).collect()
    }
}
