//! Whether two images show a container the same files: content, mode, owner, times, links,
//! capabilities and the other extended attributes.

use engine::archive::{Archive, Entry, EntryKind, First, Merged, Placed, split};
use std::collections::BTreeMap;

/// The folders that an engine mounts over: a container never sees the image's files there.
const MOUNTED: [&str; 3] = ["dev/", "proc/", "sys/"];

/// The files that differ, and how; empty when all are the same. Then the number of files compared.
pub fn differing(before: &Archive, after: &Archive) -> (Vec<String>, usize) {
    let (one, two) = (Tree::of(before), Tree::of(after));
    let mut found = Vec::new();
    let missing = |path: &str, what| format!("{path}: {what}");
    let mut touched: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, layer) in before.layers.iter().enumerate() {
        touched.extend(layer.files.keys().map(|path| (split(path).0, index)));
    }
    for (path, placed) in &one.merged.files {
        if MOUNTED.iter().any(|folder| path.starts_with(folder)) {
            continue;
        }
        match two.merged.get(path) {
            None => found.push(missing(path, "is missing")),
            Some(other) => {
                let mut what = one.file(path, *placed).differing(&two.file(path, other));
                // The engine sets it as it unpacks a later layer that has a file there, not the folder.
                if touched.get(path).is_some_and(|layer| *layer > placed.layer) {
                    what.retain(|what| *what != "time");
                }
                if !what.is_empty() {
                    found.push(format!("{path}: another {}", what.join(", ")));
                }
            }
        }
    }
    // A layer needn't list a folder whose files it has.
    let implied = |path: &str| one.merged.starting(&format!("{path}/")).next().is_some();
    let new = two.merged.files.iter().filter(|(path, placed)| {
        one.merged.get(path).is_none()
            && MOUNTED.iter().all(|folder| !path.starts_with(folder))
            && !(placed.entry.kind == EntryKind::Folder && implied(path))
    });
    found.extend(new.map(|(path, _)| missing(path, "is new")));
    (found, one.merged.files.len())
}

/// The files of an image, with those that are one file under several names.
struct Tree<'p> {
    archive: &'p Archive,
    merged: Merged<'p>,
    names: BTreeMap<First<'p>, Vec<&'p str>>,
}

/// One file as it is compared.
struct TreeFile<'p> {
    entry: &'p Entry,
    names: &'p [&'p str],
}

impl<'p> Tree<'p> {
    fn of(archive: &'p Archive) -> Tree<'p> {
        let merged = archive.merged();
        let mut names: BTreeMap<First<'_>, Vec<&str>> = BTreeMap::new();
        for (path, placed) in &merged.files {
            names.entry(archive.first(path, *placed).0).or_default().push(path);
        }
        Tree { archive, merged, names }
    }

    fn file<'t>(&'t self, path: &'p str, placed: Placed<'p>) -> TreeFile<'t> {
        let (key, entry) = self.archive.first(path, placed);
        TreeFile { entry, names: self.names.get(&key).map_or(&[], Vec::as_slice) }
    }
}

impl TreeFile<'_> {
    /// In what two files differ, in words.
    fn differing(&self, other: &TreeFile<'_>) -> Vec<&'static str> {
        let (a, b) = (self.entry, other.entry);
        let all = [
            ("kind", a.kind == b.kind),
            ("size", a.size == b.size),
            ("content", a.content == b.content),
            // A symbolic link's mode means nothing, and each tool that unpacks it sets another one.
            ("mode", a.mode == b.mode || a.kind == EntryKind::Link),
            ("owner", (a.uid, a.gid) == (b.uid, b.gid)),
            ("time", a.mtime == b.mtime),
            ("target", a.target == b.target),
            ("capability or attribute", a.attributes == b.attributes),
            ("set of hard links", self.names == other.names),
        ];
        all.into_iter().filter(|(_, same)| !same).map(|(what, _)| what).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::archive::Layer;

    fn file() -> Entry {
        Entry { size: 3, mode: 0o644, content: Some("7".into()), mtime: 100, ..Entry::default() }
    }

    fn link(target: &str) -> Entry {
        Entry { kind: EntryKind::HardLink, target: Some(target.to_owned()), ..Entry::default() }
    }

    fn archive(layers: &[&[(&str, Entry)]]) -> Archive {
        let layer = |files: &&[(&str, Entry)]| Layer {
            files: files.iter().map(|(path, entry)| ((*path).to_owned(), entry.clone())).collect(),
            ..Layer::default()
        };
        Archive { layers: layers.iter().map(layer).collect(), ..Archive::default() }
    }

    #[track_caller]
    fn check(before: &[&[(&str, Entry)]], after: &[(&str, Entry)], expected: &[&str]) {
        let (found, _) = differing(&archive(before), &archive(&[after]));
        assert_eq!(found, expected);
    }

    #[test]
    fn layers_and_one_layer_of_the_same_files_are_equal() {
        let old = Entry { size: 9, ..file() };
        let gone = [("b", file()), (".wh.old", Entry::default()), ("a", file())];
        check(&[&[("a", old), ("old", file())], &gone], &[("a", file()), ("b", file())], &[]);
        check(&[&[("a", file()), ("b", link("a"))]], &[("a", link("b")), ("b", file())], &[]);
        // What an engine mounts over is not compared.
        check(&[&[("dev/null", file()), ("a", file())]], &[("a", file()), ("sys/x", file())], &[]);
    }

    /// As tools other than the engines write layers.
    #[test]
    fn what_an_engine_adds_as_it_unpacks_is_no_difference() {
        let folder = || Entry { kind: EntryKind::Folder, mode: 0o755, ..Entry::default() };
        let deep = [("a", folder()), ("a/b", folder()), ("a/b/c", file())];
        check(&[&[("a/b/c", file())]], &deep, &[]);
        check(
            &[&[("a/b/c", file())]],
            &[&deep[..], &[("a/d", folder())]].concat(),
            &["a/d: is new"],
        );
        let later = |mtime| Entry { mtime, ..folder() };
        let [one, other] = [&[("a", later(1)), ("a/b", file())][..], &[("a", later(9))]];
        check(&[one, &[("a/.wh.b", file())]], other, &[]);
        check(&[one, &[("a", later(2)), ("a/.wh.b", file())]], other, &["a: another time"]);
        let link = |mode| Entry { kind: EntryKind::Link, mode, ..Entry::default() };
        check(&[&[("l", link(0o644))]], &[("l", link(0o777))], &[]);
    }

    #[test]
    fn every_difference_is_seen() {
        let one = |entry: Entry, expected: &str| {
            check(
                &[&[("a", file())]],
                &[("a", entry)],
                &[format!("a: another {expected}").as_str()],
            );
        };
        one(Entry { content: Some("8".into()), ..file() }, "content");
        one(Entry { size: 4, ..file() }, "size");
        one(Entry { mode: 0o4644, ..file() }, "mode");
        one(Entry { uid: 1, ..file() }, "owner");
        one(Entry { gid: 1, ..file() }, "owner");
        one(Entry { mtime: 101, ..file() }, "time");
        one(Entry { kind: EntryKind::Other, ..file() }, "kind");
        let attributes = [("security.capability".to_owned(), vec![1])].into();
        one(Entry { attributes, ..file() }, "capability or attribute");
        let symlink = |to: &str| Entry { kind: EntryKind::Link, target: Some(to.into()), ..file() };
        check(&[&[("a", symlink("x"))]], &[("a", symlink("y"))], &["a: another target"]);
        check(&[&[("a", file())]], &[], &["a: is missing"]);
        check(&[&[]], &[("a", file())], &["a: is new"]);
        let (apart, together) = ([("a", file()), ("b", file())], [("a", file()), ("b", link("a"))]);
        let links = ["a: another set of hard links", "b: another set of hard links"];
        check(&[&together], &apart, &links);
        check(&[&apart], &together, &links);
        // A link whose first name another layer has replaced keeps its own content.
        let new = Entry { content: Some("9".into()), ..file() };
        check(&[&together, &[("a", new.clone())]], &[("a", new), ("b", file())], &[]);
    }
}
