//! Layer sizes from an archive of the image, for engines whose own numbers mean something else:
//! Docker's `Size` and `history` add up file sizes, not the bytes of the layers.

use anyhow::Context as _;
use serde_json::Value;
use std::collections::HashMap;
use std::io::Read;

/// What an archive of an image tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Archive {
    /// Uncompressed bytes of each layer, base first.
    pub layers: Vec<u64>,
    /// Digest of the config.
    pub config_digest: Option<String>,
}

/// Reads the stream of `docker save`: the format of Docker 20.10 (`ID/layer.tar`) and the OCI
/// layout of Docker 25 and later (`blobs/sha256/…`), by the `manifest.json` that both have.
///
/// # Errors
/// When the stream is no such archive, or ends too soon.
pub fn read(stream: impl Read) -> anyhow::Result<Archive> {
    let mut archive = tar::Archive::new(stream);
    let mut sizes: HashMap<String, u64> = HashMap::new();
    let mut links: HashMap<String, String> = HashMap::new();
    let mut manifest = None;
    for entry in archive.entries().context("reading the image's archive")? {
        let mut entry = entry.context("reading the image's archive")?;
        let path = entry.path().context("reading the image's archive")?.display().to_string();
        // A layer that stands in the image twice is a link to the first in Docker 20.10's format.
        if let Some(target) = entry.link_name().context("reading the image's archive")? {
            let name = target.display().to_string();
            links.insert(path, name.trim_start_matches("../").to_owned());
            continue;
        }
        if path == "manifest.json" {
            let mut text = String::new();
            entry.read_to_string(&mut text).context("reading manifest.json")?;
            manifest = Some(text);
        } else {
            sizes.insert(path, uncompressed(&mut entry)?);
        }
    }
    let manifest = manifest.context("reading the image's archive: no manifest.json")?;
    let manifest: Value = serde_json::from_str(&manifest).context("reading manifest.json")?;
    let layers = manifest[0]["Layers"].as_array().context("reading manifest.json: no layers")?;
    let layers = layers.iter().map(|layer| {
        let name = layer.as_str().unwrap_or_default();
        let name = links.get(name).map_or(name, String::as_str);
        sizes.get(name).copied().with_context(|| format!("reading the archive: no layer {name}"))
    });
    let config = manifest[0]["Config"].as_str().unwrap_or_default();
    let digits = config.rsplit('/').next().unwrap_or_default().trim_end_matches(".json");
    Ok(Archive {
        layers: layers.collect::<anyhow::Result<_>>()?,
        config_digest: (digits.len() == 64).then(|| format!("sha256:{digits}")),
    })
}

/// Bytes of an entry; a compressed one would count wrong, so it is refused.
fn uncompressed<R: Read>(entry: &mut tar::Entry<'_, R>) -> anyhow::Result<u64> {
    let size = entry.header().entry_size().context("reading the image's archive")?;
    let mut start = [0; 4];
    let count = entry.read(&mut start).context("reading the image's archive")?;
    if start[..count].starts_with(&[0x1f, 0x8b]) || start[..count] == [0x28, 0xb5, 0x2f, 0xfd] {
        anyhow::bail!("reading the image's archive: a layer is compressed");
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(files: &[(&str, &[u8])], links: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, data) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(data.len() as u64);
            header.set_cksum();
            builder.append_data(&mut header, path, *data).unwrap();
        }
        for (path, target) in links {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, path, target).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn both_formats_of_docker_save_are_read() {
        let digest = "a".repeat(64);
        let old =
            format!(r#"[{{"Config":"{digest}.json","Layers":["1/layer.tar","2/layer.tar"]}}]"#);
        let bytes = archive(
            &[("1/layer.tar", &[0; 700]), ("manifest.json", old.as_bytes())],
            &[("2/layer.tar", "../1/layer.tar")],
        );
        let expected = Some(format!("sha256:{digest}"));
        let read_back = read(&bytes[..]).unwrap();
        assert_eq!(read_back, Archive { layers: vec![700, 700], config_digest: expected.clone() });
        let new = format!(r#"[{{"Config":"blobs/sha256/{digest}","Layers":["blobs/sha256/b"]}}]"#);
        let files = [("blobs/sha256/b", &[0; 9][..]), ("manifest.json", new.as_bytes())];
        let read_back = read(&archive(&files, &[])[..]).unwrap();
        assert_eq!(read_back, Archive { layers: vec![9], config_digest: expected });
    }

    #[test]
    fn what_would_be_counted_wrong_is_refused() {
        let manifest = br#"[{"Config":"c","Layers":["a"]}]"#;
        let check = |files: &[(&str, &[u8])], expected: &str| {
            assert_eq!(format!("{:#}", read(&archive(files, &[])[..]).unwrap_err()), expected);
        };
        let compressed: &[u8] = &[0x1f, 0x8b, 8, 0, 0];
        check(&[("a", compressed)], "reading the image's archive: a layer is compressed");
        check(&[("manifest.json", manifest)], "reading the archive: no layer a");
        check(&[("a", b"x")], "reading the image's archive: no manifest.json");
    }
}
