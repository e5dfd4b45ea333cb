//! Reads what `save` streams, in one pass, with no file and no layer in memory.

use super::search::Texts;
use super::{Archive, Entry, EntryKind, Layer, is_kept};
use crate::layers;
use anyhow::Context as _;
use serde_json::Value;
use source::content::{Sha256, sha256};
use source::secrets::SecretQuestion;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Read;

const DOING: &str = "reading a layer";

/// The folder of the application's files, which [`read`] hashes.
const APPLICATION: &str = "app/";

/// What one layer's archive tells.
#[derive(Clone, Default)]
struct Seen<'t> {
    files: BTreeMap<String, Entry>,
    texts: BTreeMap<String, String>,
    /// Names of the forbidden texts, each with the path at which it was found.
    found: Vec<(&'t str, String)>,
}

/// Reads the stream of `podman save` or `docker save`. The layers `base_layers` (digests), which
/// the image begins with, are the base's. The texts `absent`, which have names that may be shown,
/// are looked for in every file, path and extended attribute of every layer and in the config. The
/// application's files are hashed.
pub fn read(
    stream: impl Read,
    base_layers: &[String],
    absent: &[(String, Vec<u8>)],
) -> anyhow::Result<Archive> {
    read_with(stream, base_layers, absent, |path| path.starts_with(APPLICATION))
}

/// As [`read`], with a hash of each file, to compare two images.
pub fn read_content(stream: impl Read, base_layers: &[String]) -> anyhow::Result<Archive> {
    read_with(stream, base_layers, &[], |_| true)
}

fn read_with(
    stream: impl Read,
    base_layers: &[String],
    absent: &[(String, Vec<u8>)],
    hashed: fn(&str) -> bool,
) -> anyhow::Result<Archive> {
    let texts = Texts::new(absent)?;
    let saved = layers::read(stream, |layer| look(layer, &texts, hashed))?;
    let diff_ids = saved.config["rootfs"]["diff_ids"].as_array().cloned().unwrap_or_default();
    let (ids, all) = (diff_ids.len(), saved.layers.len());
    anyhow::ensure!(ids == all, "reading the image: {all} layers, and {ids} in its config");
    let mut archive = Archive { config: saved.config, ..Archive::default() };
    in_config(&archive.config, "", &texts, &mut archive.found);
    let mut of_base = true;
    for (index, (layer, id)) in saved.layers.into_iter().zip(&diff_ids).enumerate() {
        let diff_id = id.as_str().unwrap_or_default().to_owned();
        of_base = of_base && base_layers.get(index) == Some(&diff_id);
        let found = layer.found.found.into_iter();
        archive
            .found
            .extend(found.map(|(name, path)| format!("{name}: in {path} of layer {}", index + 1)));
        archive.layers.push(Layer {
            diff_id,
            bytes: layer.bytes,
            part: false,
            ours: !of_base,
            files: layer.found.files,
            texts: layer.found.texts,
        });
    }
    Ok(archive)
}

/// Reads the archive of one layer.
fn look<'t>(
    layer: &mut dyn Read,
    texts: &Texts<'t>,
    hashed: fn(&str) -> bool,
) -> anyhow::Result<Seen<'t>> {
    let mut seen = Seen::default();
    let (mut start, mut buffer) = (Vec::new(), Vec::new());
    let left = Cell::new(0);
    let mut guarded = Guarded { stream: layer, left: &left };
    let mut archive = tar::Archive::new(&mut guarded as &mut dyn Read);
    let mut entries = archive.entries().context(DOING)?;
    loop {
        left.set(HEADERS);
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.context(DOING)?;
        left.set(u64::MAX);
        let raw_path = entry.path_bytes().into_owned();
        let path = plain(&raw_path)?;
        let sparse = entry.header().entry_type().is_gnu_sparse();
        anyhow::ensure!(!sparse || entry.size() <= SPARSE, "{DOING}: {path} is a file of holes");
        // What must not be there must not be shown either.
        let named = texts.in_bytes(&raw_path);
        let place = if named.is_empty() { path.as_str() } else { "a path" };
        let mut names = named;
        let mut note = described(&mut entry, texts, &mut names)?;
        if note.kind == EntryKind::File {
            let question = SecretQuestion::about(&path, note.size);
            let keep = if is_kept(&path) { u64::MAX } else { question.needed() };
            let mut stream =
                Hashing { stream: &mut entry, hash: hashed(&path).then(Sha256::default) };
            let found = texts.in_stream(&mut stream, keep, &mut start, &mut buffer);
            note.content = stream.hash.map(Sha256::finish);
            names.extend(found.context(DOING)?);
            note.secret = question.answer(&start);
            if is_kept(&path) {
                seen.texts.insert(path.clone(), String::from_utf8_lossy(&start).into_owned());
            }
        }
        if note.kind == EntryKind::Link && hashed(&path) {
            note.content = entry.link_name_bytes().map(|target| sha256(&target));
        }
        for name in names {
            let place = (name, place.to_owned());
            if !seen.found.contains(&place) {
                seen.found.push(place);
            }
        }
        // The top folder itself is in some archives and not in others, and tells nothing.
        if !path.is_empty() {
            // Of two entries with one path a container sees the last; the archive holds both.
            let before = seen.files.get(&path).and_then(|before| before.secret);
            note.secret = note.secret.or(before);
            seen.files.insert(path, note);
        }
    }
    Ok(seen)
}

/// The most bytes from the end of one file to the next one's: extended headers, which are held in
/// memory.
const HEADERS: u64 = 1 << 20;
/// The most bytes of a file with holes, which need not be in the archive.
const SPARSE: u64 = 16 << 30;

/// Ends a stream after so many bytes.
struct Guarded<'g> {
    stream: &'g mut dyn Read,
    left: &'g Cell<u64>,
}

impl Read for Guarded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = usize::try_from(self.left.get()).unwrap_or(usize::MAX);
        if left == 0 && !buffer.is_empty() {
            return Err(std::io::Error::other("headers of more than 1 MiB"));
        }
        let most = buffer.len().min(left);
        let count = self.stream.read(&mut buffer[..most])?;
        self.left.set(self.left.get() - count as u64);
        Ok(count)
    }
}

/// Hashes what is read, if asked to.
struct Hashing<'s> {
    stream: &'s mut dyn Read,
    hash: Option<Sha256>,
}

impl Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.stream.read(buffer)?;
        if let Some(hash) = &mut self.hash {
            hash.update(&buffer[..count]);
        }
        Ok(count)
    }
}

/// What the header of an entry tells, and the extended header before it.
fn described<'t>(
    entry: &mut tar::Entry<'_, &mut dyn Read>,
    texts: &Texts<'t>,
    names: &mut Vec<&'t str>,
) -> anyhow::Result<Entry> {
    let header = entry.header();
    let kind = match header.entry_type() {
        kind if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() => EntryKind::File,
        kind if kind.is_dir() => EntryKind::Folder,
        kind if kind.is_symlink() => EntryKind::Link,
        kind if kind.is_hard_link() => EntryKind::HardLink,
        _ => EntryKind::Other,
    };
    let mut note = Entry {
        kind,
        size: if kind == EntryKind::File { entry.size() } else { 0 },
        mode: header.mode().context(DOING)? & 0o7777,
        uid: header.uid().context(DOING)?,
        gid: header.gid().context(DOING)?,
        mtime: header.mtime().context(DOING)?,
        ..Entry::default()
    };
    if let Some(target) = entry.link_name_bytes() {
        names.extend(texts.in_bytes(&target));
        note.target = Some(match kind {
            EntryKind::HardLink => plain(&target)?,
            _ => String::from_utf8_lossy(&target).into_owned(),
        });
    }
    for extension in entry.pax_extensions().context(DOING)?.into_iter().flatten() {
        let extension = extension.context(DOING)?;
        names.extend(texts.in_bytes(extension.value_bytes()));
        let Some(name) = extension.key_bytes().strip_prefix(b"SCHILY.xattr.") else { continue };
        if name == b"security.capability" {
            note.capabilities = Some(extension.value_bytes().to_vec());
        }
        let name = String::from_utf8_lossy(name).into_owned();
        note.attributes.insert(name, extension.value_bytes().to_vec());
    }
    Ok(note)
}

/// A path as an engine unpacks it: from the top folder, without `.` and empty parts.
fn plain(path: &[u8]) -> anyhow::Result<String> {
    let path = String::from_utf8_lossy(path);
    let parts: Vec<&str> =
        path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    // Engines differ in what they make of it, and no builder writes it.
    anyhow::ensure!(!parts.contains(&".."), "{DOING}: the path `{}` has `..`", path.escape_debug());
    Ok(parts.join("/"))
}

/// Looks for the texts in every string of the config: history, environment, labels and the rest.
fn in_config(value: &Value, place: &str, texts: &Texts<'_>, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.extend(
            texts
                .in_bytes(text.as_bytes())
                .into_iter()
                .map(|name| format!("{name}: in the config, {place}")),
        ),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                in_config(item, &format!("{place}[{index}]"), texts, found);
            }
        }
        Value::Object(items) => {
            let dot = if place.is_empty() { "" } else { "." };
            for (key, item) in items {
                let names = texts.in_bytes(key.as_bytes());
                // What must not be there must not be shown either.
                let shown = if names.is_empty() { key } else { "…" };
                let place = format!("{place}{dot}{shown}");
                let names = names.into_iter();
                found.extend(names.map(|name| format!("{name}: in the config, a key, {place}")));
                in_config(item, &place, texts, found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
