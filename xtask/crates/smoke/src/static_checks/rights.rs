//! Checks of owners and modes: that the run user can neither gain rights nor change the code.

use super::{Expected, ours, place, verdict};
use crate::verdict::Verdict;
use engine::archive::{Archive, Entry, EntryKind};

/// The user that runs the application; its group, and the group of any other user.
const UID: u64 = 1000;
const GIDS: [u64; 2] = [0, 1000];

/// The application, its packages, and what starts it.
const CODE: [&str; 3] = ["app", "opt/venv", "usr/local/lib/container"];

/// Files of our layers that give the user who runs them more rights.
pub(crate) fn no_setuid(archive: &Archive, _: &Expected) -> Verdict {
    let gives = |entry: &Entry| {
        let file = matches!(entry.kind, EntryKind::File | EntryKind::HardLink);
        match entry.mode & 0o6000 {
            0 if entry.capabilities.is_some() => Some("capabilities"),
            0 => None,
            _ if !file => None,
            0o2000 => Some("setgid"),
            _ => Some("setuid"),
        }
    };
    let found = ours(archive).flat_map(|(index, layer)| {
        let files = layer.files.iter();
        files.filter_map(move |(path, entry)| {
            gives(entry).map(|what| format!("{}: {what}, {}", place(path, index), described(entry)))
        })
    });
    let evidence = found.collect();
    let base = archive.layers.iter().filter(|layer| !layer.ours);
    let base = base.flat_map(|layer| layer.files.values()).filter(|entry| gives(entry).is_some());
    verdict(evidence, format!("none of ours; the base brings {}", base.count()))
}

/// The application, its packages and what starts it, and the folders that they are in.
pub(crate) fn read_only_code(archive: &Archive, expected: &Expected) -> Verdict {
    let merged = archive.merged();
    let mut evidence = Vec::new();
    let mut files = 0;
    let allowed = |path: &str| {
        expected.writable.iter().any(|folder| {
            let rest = path.strip_prefix(folder.trim_start_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    for code in CODE {
        if merged.get(code).is_none_or(|placed| placed.entry.kind != EntryKind::Folder) {
            evidence.push(format!("/{code}: the folder is missing"));
        }
        // A user who can write to a folder above can put another in this one's place.
        let above = code.match_indices('/').map(|(at, _)| &code[..at]);
        let above = above.filter_map(|path| Some((path, merged.get(path)?)));
        for (path, placed) in above.chain(merged.below(code)) {
            if allowed(path) {
                continue;
            }
            files += 1;
            if let Some(who) = writable(placed.entry) {
                let is = described(placed.entry);
                evidence.push(format!("{}: {who} can write it, {is}", place(path, placed.layer)));
            }
        }
    }
    verdict(evidence, format!("{files} files and folders, none writable"))
}

/// Who of those that run the application can write an entry.
pub fn writable(entry: &Entry) -> Option<&'static str> {
    // The mode of a link means nothing.
    if entry.kind == EntryKind::Link {
        return None;
    }
    if entry.uid == UID {
        // An owner can also give themselves the right.
        return Some("its owner, the run user,");
    }
    if entry.mode & 0o002 != 0 {
        return Some("everybody");
    }
    (GIDS.contains(&entry.gid) && entry.mode & 0o020 != 0).then_some("its group")
}

/// Owner and mode, as `ls` and `chmod` have them.
pub fn described(entry: &Entry) -> String {
    format!("{}:{} {:04o}", entry.uid, entry.gid, entry.mode)
}
