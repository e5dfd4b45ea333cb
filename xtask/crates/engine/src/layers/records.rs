//! Layer sizes from what Docker's daemon records of each layer, to give it back byte by byte as it
//! came (tar-split): exact and read in milliseconds, but only if its folder may be read.

use flate2::read::GzDecoder;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// The folder of the records, from the folder in which an image's last layer is unpacked
/// (`ROOT/overlay2/ID/diff`).
pub fn folder(unpacked: &Path) -> Option<PathBuf> {
    let driver = unpacked.ancestors().nth(2)?;
    Some(driver.parent()?.join("image").join(driver.file_name()?).join("layerdb/sha256"))
}

/// The bytes of those of `layers` (digests) that have a record in `folder` which may be read. A
/// digest says what is in the layer, so that any record of it is right, whosever it is.
pub fn sizes(folder: &Path, layers: &[&str]) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(digest) = fs::read_to_string(entry.path().join("diff")) else { continue };
        if !layers.contains(&digest.as_str()) || found.contains_key(&digest) {
            continue;
        }
        let record = File::open(entry.path().join("tar-split.json.gz"));
        if let Some(bytes) = record.ok().and_then(|file| bytes(GzDecoder::new(file))) {
            found.insert(digest, bytes);
        }
    }
    found
}

/// Bytes of the archive that a record describes; `None` for what is no such record.
fn bytes(record: impl std::io::Read) -> Option<u64> {
    let mut sum = 0;
    for line in BufReader::new(record).lines() {
        sum += part(&line.ok()?)?;
    }
    // An archive consists of blocks (tar(5)); less than one means that something was left out.
    (sum > 0 && sum % 512 == 0).then_some(sum)
}

/// One line: bytes of the archive itself in base64 (type 2), or a file with its size (type 1).
fn part(line: &str) -> Option<u64> {
    // Nearly all of a record, and ten times as fast as by the parser.
    if let Some(rest) = line.strip_prefix(r#"{"type":2,"payload":""#) {
        return decoded(rest.split('"').next()?);
    }
    let part: Value = serde_json::from_str(line).ok()?;
    match (part["type"].as_u64()?, &part["payload"]) {
        (1, _) => Some(part["size"].as_u64().unwrap_or(0)),
        (2, Value::Null) => Some(0),
        _ => None,
    }
}

/// Bytes that a text in base64 stands for (RFC 4648).
fn decoded(text: &str) -> Option<u64> {
    let padding = text.bytes().rev().take_while(|byte| *byte == b'=').count();
    let bytes = (text.len() / 4 * 3).checked_sub(padding)?;
    if text.len().is_multiple_of(4) { u64::try_from(bytes).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write as _;

    /// Zeros in base64.
    fn zeros(count: usize) -> String {
        let padding = (3 - count % 3) % 3;
        "A".repeat(count.div_ceil(3) * 4 - padding) + &"=".repeat(padding)
    }

    fn record(parts: &[(u32, usize)]) -> String {
        let line = |&(kind, count): &(u32, usize)| match kind {
            1 => format!("{{\"type\":1,\"name\":\"a\",\"size\":{count},\"payload\":\"c3Vt\"}}\n"),
            _ => format!("{{\"type\":{kind},\"payload\":\"{}\"}}\n", zeros(count)),
        };
        parts.iter().map(line).collect()
    }

    #[test]
    fn a_record_gives_the_bytes_of_its_archive() {
        let check = |text: &str, expected| assert_eq!(bytes(text.as_bytes()), expected, "{text}");
        let end = "{\"type\":2,\"payload\":null,\"position\":7}\n";
        // A header, a file, what fills its block, and the two empty blocks at the end.
        let whole = record(&[(2, 512), (1, 700), (2, 324), (2, 1024)]) + end;
        check(&whole, Some(2560));
        check(&record(&[(2, 512), (1, 0), (2, 1024)]), Some(1536));
        check(&record(&[(2, 512), (1, 700)]), None);
        check(&record(&[(2, 512), (3, 512)]), None);
        check("no record", None);
        check("", None);
    }

    #[test]
    fn records_are_found_by_the_digest_of_the_layer() {
        let root = tempfile::tempdir().unwrap();
        let records = folder(&root.path().join("overlay2/ab/diff")).unwrap();
        assert_eq!(records, root.path().join("image/overlay2/layerdb/sha256"));
        assert!(sizes(&records, &["sha256:1"]).is_empty());
        for (chain, digest, blocks) in [("x", "sha256:1", 3), ("y", "sha256:2", 5)] {
            let folder = records.join(chain);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("diff"), digest).unwrap();
            let file = File::create(folder.join("tar-split.json.gz")).unwrap();
            let mut file = GzEncoder::new(file, Compression::fast());
            file.write_all(record(&[(2, blocks * 512)]).as_bytes()).unwrap();
            file.finish().unwrap();
        }
        fs::write(records.join("y/tar-split.json.gz"), "cut").unwrap();
        let found = sizes(&records, &["sha256:1", "sha256:2", "sha256:3"]);
        assert_eq!(found, BTreeMap::from([("sha256:1".to_owned(), 1536)]));
    }
}
