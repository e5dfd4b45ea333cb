//! Layer sizes from an archive of the image, for engines whose own numbers mean something else:
//! Docker's `Size` and `history` add up file sizes, not the bytes of the layers.

use anyhow::Context as _;
use flate2::read::MultiGzDecoder;
use serde_json::Value;
use std::collections::HashMap;
use std::io::Read;

pub mod records;

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

/// Bytes of an entry as it was before it was compressed: the containerd store keeps layers as a
/// registry would.
fn uncompressed<R: Read>(entry: &mut tar::Entry<'_, R>) -> anyhow::Result<u64> {
    let size = entry.header().entry_size().context("reading the image's archive")?;
    let mut start = Vec::new();
    entry.by_ref().take(4).read_to_end(&mut start).context("reading the image's archive")?;
    if start == [0x28, 0xb5, 0x2f, 0xfd] {
        anyhow::bail!("reading the image's archive: a layer is compressed with zstd");
    }
    if !start.starts_with(&[0x1f, 0x8b]) {
        return Ok(size);
    }
    let mut layer = MultiGzDecoder::new(start.as_slice().chain(entry));
    std::io::copy(&mut layer, &mut std::io::sink()).context("reading a compressed layer")
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write as _;

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
    fn a_compressed_layer_counts_what_it_was() {
        let compressed = || {
            let mut layer = GzEncoder::new(Vec::new(), Compression::fast());
            layer.write_all(&[7; 70_000]).unwrap();
            layer.finish().unwrap()
        };
        // In one piece, and in several as those that can be read before all of it is there.
        let (one, two) = (compressed(), [compressed(), compressed()].concat());
        let manifest = br#"[{"Config":"c","Layers":["a","b","c"]}]"#;
        let files = [("a", &one[..]), ("b", &two), ("c", b"x"), ("manifest.json", manifest)];
        assert_eq!(read(&archive(&files, &[])[..]).unwrap().layers, [70_000, 140_000, 1]);
        let cut = [("a", &one[..30]), ("manifest.json", manifest)];
        assert!(read(&archive(&cut, &[])[..]).is_err());
    }

    #[test]
    fn what_would_be_counted_wrong_is_refused() {
        let manifest = br#"[{"Config":"c","Layers":["a"]}]"#;
        let check = |files: &[(&str, &[u8])], expected: &str| {
            assert_eq!(format!("{:#}", read(&archive(files, &[])[..]).unwrap_err()), expected);
        };
        let compressed: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd, 0];
        check(&[("a", compressed)], "reading the image's archive: a layer is compressed with zstd");
        check(&[("manifest.json", manifest)], "reading the archive: no layer a");
        check(&[("a", b"x")], "reading the image's archive: no manifest.json");
    }
}
