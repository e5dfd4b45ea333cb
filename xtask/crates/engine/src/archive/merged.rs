//! What a container sees of an image: its layers on top of each other, as the OCI image
//! specification has it, and what is stored without being seen.

use super::{Archive, Entry, EntryKind};
use std::collections::BTreeMap;
use std::ops::Bound;

/// An entry with the layer that it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed<'p> {
    /// Index of the layer.
    pub layer: usize,
    pub entry: &'p Entry,
}

/// A stored file that isn't visible, because a later layer replaces or removes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hidden<'p> {
    pub path: &'p str,
    pub bytes: u64,
    /// Index of the layer that stores it.
    pub layer: usize,
    /// Index of the layer that hides it.
    pub by: usize,
}

/// All layers on top of each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged<'p> {
    /// What is seen, by path.
    pub files: BTreeMap<&'p str, Placed<'p>>,
    /// What is not, in the order of the layers that hide it.
    pub hidden: Vec<Hidden<'p>>,
}

impl Archive {
    /// The image as a container sees it.
    pub fn merged(&self) -> Merged<'_> {
        let mut merged = Merged::default();
        for (index, layer) in self.layers.iter().enumerate() {
            // A whiteout speaks of the layers below, wherever it stands in its own.
            for path in layer.files.keys() {
                let (folder, name) = split(path);
                match name.strip_prefix(".wh.") {
                    Some(".wh..opq") => merged.remove_below(folder, index),
                    Some(gone) => {
                        let mut path = folder.to_owned();
                        path.push_str(if folder.is_empty() { "" } else { "/" });
                        path.push_str(gone);
                        merged.remove(&path, index);
                        merged.remove_below(&path, index);
                    }
                    None => {}
                }
            }
            for (path, entry) in &layer.files {
                if split(path).1.starts_with(".wh.") {
                    continue;
                }
                let folders = [entry.kind, merged.kind(path)].map(|kind| kind == EntryKind::Folder);
                if !folders[0] && folders[1] {
                    merged.remove_below(path, index);
                }
                merged.remove(path, index);
                merged.files.insert(path, Placed { layer: index, entry });
            }
        }
        merged
    }
}

/// The layer of a file and its first name there.
pub type First<'p> = (usize, &'p str);

impl Archive {
    /// The first name of a file in its layer, and what stands there: the other names are only
    /// links to it, and which is the first depends on who wrote the archive.
    pub fn first<'p>(&'p self, path: &'p str, placed: Placed<'p>) -> (First<'p>, &'p Entry) {
        let files = self.layers.get(placed.layer).map(|layer| &layer.files);
        let (mut path, mut entry) = (path, placed.entry);
        // A link to a link is rare, and a circle is in no archive.
        for _ in 0..8 {
            let target = entry.target.as_deref().filter(|_| entry.kind == EntryKind::HardLink);
            let Some(target) = target else { break };
            let Some(next) = files.and_then(|files| files.get(target)) else { break };
            (path, entry) = (target, next);
        }
        ((placed.layer, path), entry)
    }
}

impl<'p> Merged<'p> {
    pub fn get(&self, path: &str) -> Option<Placed<'p>> {
        self.files.get(path).copied()
    }

    /// What is at `path` and below it.
    pub fn below<'m>(&'m self, path: &'m str) -> impl Iterator<Item = (&'p str, Placed<'p>)> + 'm {
        self.starting(path).filter(move |(own, _)| {
            let rest = &own[path.len()..];
            rest.is_empty() || rest.starts_with('/')
        })
    }

    /// All whose path starts with the text `start`.
    pub fn starting<'m>(
        &'m self,
        start: &'m str,
    ) -> impl Iterator<Item = (&'p str, Placed<'p>)> + 'm {
        let from = self.files.range::<str, _>((Bound::Included(start), Bound::Unbounded));
        from.map(|(path, placed)| (*path, *placed))
            .take_while(move |(path, _)| path.starts_with(start))
    }

    fn kind(&self, path: &str) -> EntryKind {
        self.files.get(path).map_or(EntryKind::Other, |placed| placed.entry.kind)
    }

    fn remove(&mut self, path: &str, by: usize) {
        let Some((path, placed)) = self.files.remove_entry(path) else { return };
        if placed.entry.kind == EntryKind::File {
            let bytes = placed.entry.size;
            self.hidden.push(Hidden { path, bytes, layer: placed.layer, by });
        }
    }

    fn remove_below(&mut self, folder: &str, by: usize) {
        let start = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let below: Vec<&str> = self.starting(&start).map(|(path, _)| path).collect();
        for path in below {
            self.remove(path, by);
        }
    }
}

/// The folder of `path` and the name in it.
pub fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

#[cfg(test)]
mod tests {
    use super::super::Layer;
    use super::*;

    /// A layer of files, whose size is the length of their path, and folders, which end with `/`.
    fn layer(paths: &[&str]) -> Layer {
        let entry = |path: &&str| match path.strip_suffix('/') {
            Some(path) => (path.to_owned(), Entry { kind: EntryKind::Folder, ..Entry::default() }),
            None => ((*path).to_owned(), Entry { size: path.len() as u64, ..Entry::default() }),
        };
        Layer { files: paths.iter().map(entry).collect(), ..Layer::default() }
    }

    #[test]
    fn later_layers_replace_and_remove() {
        let check =
            |layers: &[&[&str]], seen: &[(&str, usize)], hidden: &[(&str, usize, usize)]| {
                let layers = layers.iter().map(|paths| layer(paths)).collect();
                let archive = Archive { layers, ..Archive::default() };
                let merged = archive.merged();
                let files = merged.files.iter().map(|(path, placed)| (*path, placed.layer));
                assert_eq!(files.collect::<Vec<_>>(), seen);
                let found = merged.hidden.iter().map(|one| (one.path, one.layer, one.by));
                assert_eq!(found.collect::<Vec<_>>(), hidden);
                assert!(merged.hidden.iter().all(|one| one.bytes == one.path.len() as u64));
            };
        check(&[&["a"], &["b"]], &[("a", 0), ("b", 1)], &[]);
        check(&[&["a"], &["a"], &["a"]], &[("a", 2)], &[("a", 0, 1), ("a", 1, 2)]);
        check(&[&["d/", "d/a", "d.x"], &["d/.wh.a"]], &[("d", 0), ("d.x", 0)], &[("d/a", 0, 1)]);
        check(&[&["d/", "d/a", "d.x"], &[".wh.d"]], &[("d.x", 0)], &[("d/a", 0, 1)]);
        // What the layer of an opaque whiteout has itself is seen.
        check(
            &[&["d/", "d/a", "d/b"], &["d/", "d/.wh..wh..opq", "d/b"]],
            &[("d", 1), ("d/b", 1)],
            &[("d/a", 0, 1), ("d/b", 0, 1)],
        );
        // A folder keeps what is in it, a file in its place doesn't.
        check(&[&["d/", "d/a"], &["d/"]], &[("d", 1), ("d/a", 0)], &[]);
        check(&[&["d/", "d/a"], &["d"]], &[("d", 1)], &[("d/a", 0, 1)]);
        check(&[&["d"], &["d/", "d/a"]], &[("d", 1), ("d/a", 1)], &[("d", 0, 1)]);
    }

    #[test]
    fn below_is_a_folder_and_not_a_beginning() {
        let layers = vec![layer(&["app/", "app/x/y", "app-old", "app.d/z", "apple", "b"])];
        let archive = Archive { layers, ..Archive::default() };
        let merged = archive.merged();
        let paths = |path| merged.below(path).map(|(path, _)| path).collect::<Vec<_>>();
        assert_eq!(paths("app"), ["app", "app/x/y"]);
        assert_eq!(paths("b"), ["b"]);
        assert!(paths("c").is_empty());
    }
}
