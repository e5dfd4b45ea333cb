//! What a squashed image has of its base: its one layer doesn't tell, its files do.

use super::{Archive, Entry, EntryKind, Layer};
use std::collections::BTreeSet;

/// Bytes of one block of an archive (tar(5)).
const BLOCK: u64 = 512;

/// The archive of an image of one layer with that layer in two: what is as in `base`, and the
/// rest, which is ours.
pub fn told_apart(archive: Archive, base: &Archive) -> Archive {
    let [layer] = archive.layers.as_slice() else { return archive };
    let (seen, of_base) = (archive.merged(), base.merged());
    let same: BTreeSet<String> = seen
        .files
        .iter()
        .filter(|(path, placed)| {
            let known = of_base.get(path).map(|other| base.first(path, other).1);
            known.is_some_and(|other| is_same(archive.first(path, **placed).1, other))
        })
        .map(|(path, _)| (*path).to_owned())
        .collect();
    let (theirs, ours): (Vec<_>, Vec<_>) =
        layer.files.clone().into_iter().partition(|(path, _)| same.contains(path));
    let bytes = ours.iter().map(|(_, entry)| BLOCK + entry.size.next_multiple_of(BLOCK)).sum();
    let kept = of_base.files.iter().filter_map(|(path, placed)| {
        let text = base.layers.get(placed.layer)?.texts.get(*path)?;
        Some(((*path).to_owned(), text.clone()))
    });
    let part = Layer {
        diff_id: layer.diff_id.clone(),
        bytes: layer.bytes.saturating_sub(bytes),
        part: true,
        ours: false,
        files: theirs.into_iter().collect(),
        texts: kept.collect(),
    };
    let texts = layer.texts.iter().filter(|(path, _)| !same.contains(*path));
    let rest = Layer {
        bytes,
        ours: true,
        files: ours.into_iter().collect(),
        texts: texts.map(|(path, text)| (path.clone(), text.clone())).collect(),
        ..layer.clone()
    };
    Archive { layers: vec![part, rest], ..archive }
}

/// Whether two entries are the same file, as far as a header tells; a folder's time is that of
/// the last change in it, which may be ours.
fn is_same(one: &Entry, other: &Entry) -> bool {
    one.kind == other.kind
        && (one.size, one.mode, one.uid, one.gid) == (other.size, other.mode, other.uid, other.gid)
        && (one.mtime == other.mtime || one.kind == EntryKind::Folder)
        && (&one.target, &one.attributes) == (&other.target, &other.attributes)
}

#[cfg(test)]
mod tests {
    use super::super::DPKG_STATUS;
    use super::*;

    fn file(size: u64, mtime: u64) -> Entry {
        Entry { size, mtime, ..Entry::default() }
    }

    fn archive(files: &[(&str, Entry)], texts: &[(&str, &str)], bytes: u64) -> Archive {
        let texts = texts.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        let files = files.iter().map(|(path, entry)| ((*path).to_owned(), entry.clone()));
        let layer =
            Layer { files: files.collect(), texts: texts.collect(), bytes, ..Layer::default() };
        Archive { layers: vec![layer], ..Archive::default() }
    }

    #[test]
    fn what_is_as_in_the_base_is_the_base_s() {
        let link = |to: &str| Entry {
            kind: EntryKind::HardLink,
            target: Some(to.to_owned()),
            ..Entry::default()
        };
        let folder = |mtime| Entry { kind: EntryKind::Folder, mtime, ..Entry::default() };
        let before = [
            ("bin", folder(1)),
            ("bin/a", file(1, 1)),
            ("bin/b", link("bin/a")),
            ("bin/su", Entry { mode: 0o4755, ..file(9, 1) }),
            (DPKG_STATUS, file(3, 1)),
            ("gone", file(1, 1)),
        ];
        let after = [
            ("bin", folder(2)),
            // The archive has the other name first.
            ("bin/a", link("bin/b")),
            ("bin/b", file(1, 1)),
            ("bin/su", Entry { mode: 0o4755, ..file(9, 1) }),
            ("bin/mine", Entry { mode: 0o4755, ..file(600, 5) }),
            (DPKG_STATUS, file(4, 5)),
        ];
        let base = archive(&before, &[(DPKG_STATUS, "old")], 10_000);
        let apart = told_apart(archive(&after, &[(DPKG_STATUS, "new!")], 20_000), &base);
        let [theirs, ours] = apart.layers.as_slice() else { panic!() };
        let paths = |layer: &Layer| layer.files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(paths(theirs), ["bin", "bin/a", "bin/b", "bin/su"]);
        assert_eq!(paths(ours), ["bin/mine", DPKG_STATUS]);
        assert_eq!((theirs.part, theirs.ours, ours.part, ours.ours), (true, false, false, true));
        assert_eq!(
            (theirs.texts[DPKG_STATUS].as_str(), ours.texts[DPKG_STATUS].as_str()),
            ("old", "new!")
        );
        assert_eq!((theirs.bytes, ours.bytes), (20_000 - 2560, 2560));
        // More than one layer: nothing is squashed.
        let two = Archive { layers: vec![Layer::default(); 2], ..Archive::default() };
        assert_eq!(told_apart(two.clone(), &base), two);
    }
}
