//! The archive that an engine streams of an image: its config, and each layer handed to a reader
//! as it passes. Nothing is stored on the way.

use anyhow::Context as _;
use flate2::read::MultiGzDecoder;
use serde_json::Value;
use std::collections::HashMap;
use std::io::{BufReader, Read};

pub mod records;

const DOING: &str = "reading the image's archive";

/// Bytes that are read at once: an engine writes in small pieces.
const BUFFER: usize = 1 << 20;

/// A document of the archive is no bigger than this; what is, must be a layer.
const DOCUMENT: u64 = 16 << 20;

/// What an archive of an image tells, where `T` is what was found out about each layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadLayers<T> {
    /// Base first.
    pub layers: Vec<ReadLayer<T>>,
    /// The image's config, as the OCI image specification defines it.
    pub config: Value,
    pub config_digest: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadLayer<T> {
    /// Bytes of its archive, uncompressed.
    pub bytes: u64,
    /// What `look` found.
    pub found: T,
}

/// Reads the stream of `save`: the format of Podman (`DIGEST.tar`), that of Docker 20.10
/// (`ID/layer.tar`) and the OCI layout of Docker 25 and later (`blobs/sha256/…`), by the
/// `manifest.json` that all have. `look` is called with each layer's archive; it need not read it.
///
/// # Errors
/// When the stream is no such archive or ends too soon, a layer is compressed, or `look` fails.
pub fn read<T: Clone>(
    stream: impl Read,
    mut look: impl FnMut(&mut dyn Read) -> anyhow::Result<T>,
) -> anyhow::Result<ReadLayers<T>> {
    let mut archive = tar::Archive::new(BufReader::with_capacity(BUFFER, stream));
    let mut layers: HashMap<String, ReadLayer<T>> = HashMap::new();
    let mut links: HashMap<String, String> = HashMap::new();
    let mut documents: HashMap<String, Vec<u8>> = HashMap::new();
    for entry in archive.entries().context(DOING)? {
        let mut entry = entry.context(DOING)?;
        let path = entry.path().context(DOING)?.display().to_string();
        // The old format repeats a layer, or names it once more, as a link to the first.
        if let Some(target) = entry.link_name().context(DOING)? {
            let name = target.display().to_string();
            links.insert(path, name.trim_start_matches("../").to_owned());
            continue;
        }
        let bytes = entry.size();
        let mut start = Vec::new();
        entry.by_ref().take(BLOCK).read_to_end(&mut start).context(DOING)?;
        if is_archive(&start) {
            let found = look(&mut start.chain(&mut entry))?;
            layers.insert(path, ReadLayer { bytes, found });
        } else if start.starts_with(ZSTD) {
            anyhow::bail!("{DOING}: the layer {path} is compressed with zstd");
        } else if start.starts_with(GZIP) {
            // Docker's containerd store keeps layers as a registry would.
            let inside = MultiGzDecoder::new(start.chain(&mut entry));
            let mut inside = Counted { inside, bytes: 0 };
            let found = look(&mut inside)?;
            std::io::copy(&mut inside, &mut std::io::sink()).context(DOING)?;
            layers.insert(path, ReadLayer { bytes: inside.bytes, found });
        } else if bytes <= DOCUMENT {
            start
                .chain(&mut entry)
                .read_to_end(documents.entry(path).or_default())
                .context(DOING)?;
        }
    }
    assemble(&layers, &links, &documents)
}

/// What `manifest.json` puts together.
fn assemble<T: Clone>(
    layers: &HashMap<String, ReadLayer<T>>,
    links: &HashMap<String, String>,
    documents: &HashMap<String, Vec<u8>>,
) -> anyhow::Result<ReadLayers<T>> {
    let document = |name: &str| {
        let name = links.get(name).map_or(name, String::as_str);
        let text = documents.get(name).with_context(|| format!("{DOING}: no {name}"))?;
        serde_json::from_slice::<Value>(text).with_context(|| format!("{DOING}: reading {name}"))
    };
    let manifest = document("manifest.json")?;
    let config = manifest[0]["Config"].as_str().unwrap_or_default();
    let names = manifest[0]["Layers"].as_array();
    let names = names.with_context(|| format!("{DOING}: manifest.json names no layers"))?;
    let layers = names.iter().map(|name| {
        let name = name.as_str().unwrap_or_default();
        let name = links.get(name).map_or(name, String::as_str);
        layers.get(name).cloned().with_context(|| format!("{DOING}: no layer {name}"))
    });
    let digits = config.rsplit('/').next().unwrap_or_default().trim_end_matches(".json");
    Ok(ReadLayers {
        layers: layers.collect::<anyhow::Result<_>>()?,
        config: document(config)?,
        config_digest: (digits.len() == 64).then(|| format!("sha256:{digits}")),
    })
}

/// Bytes of one block of an archive (tar(5)).
const BLOCK: u64 = 512;

/// True for the first block of an archive, which an empty one ends with.
fn is_archive(block: &[u8]) -> bool {
    block.len() == BLOCK as usize
        && (block[257..].starts_with(b"ustar") || block.iter().all(|&byte| byte == 0))
}

/// What the two formats of compression begin with.
const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Counts what is read.
struct Counted<R> {
    inside: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inside.read(buffer)?;
        self.bytes += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write as _;

    /// An archive of regular files and symbolic links, as `save` writes it.
    pub fn archive(files: &[(&str, &[u8])], links: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, data) in files {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_size(data.len() as u64);
            builder.append_data(&mut header, path, *data).unwrap();
        }
        for (path, target) in links {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_mode(0o777);
            header.set_uid(0);
            header.set_gid(0);
            header.set_size(0);
            builder.append_link(&mut header, path, target).unwrap();
        }
        builder.into_inner().unwrap()
    }

    /// An image of `layers` with `config`, in the format of Podman, which also has each layer's old
    /// name as a link, of Docker 20.10 and of Docker 25.
    pub fn images(layers: &[Vec<u8>], config: &str) -> Vec<(&'static str, Vec<u8>)> {
        let digest = "a".repeat(64);
        let manifest = |config: &str, layers: &[String]| {
            serde_json::json!([{"Config": config, "Layers": layers}]).to_string()
        };
        let save = |layer: &dyn Fn(usize) -> String, config_path: &str, old_names: bool| {
            let names: Vec<String> = (0..layers.len()).map(layer).collect();
            let manifest = manifest(config_path, &names);
            let mut files: Vec<(&str, &[u8])> =
                names.iter().map(String::as_str).zip(layers.iter().map(Vec::as_slice)).collect();
            files.push((config_path, config.as_bytes()));
            files.push(("manifest.json", manifest.as_bytes()));
            let old = "0".repeat(64) + "/layer.tar";
            let target = format!("../{}", names[0]);
            let links = [(old.as_str(), target.as_str())];
            archive(&files, if old_names { &links } else { &[] })
        };
        let (json, blob) = (format!("{digest}.json"), format!("blobs/sha256/{digest}"));
        vec![
            ("podman", save(&|n| format!("{n:064}.tar"), &json, true)),
            ("docker 20.10", save(&|n| format!("{n:064}/layer.tar"), &json, false)),
            ("docker 25", save(&|n| format!("blobs/sha256/{n:064}"), &blob, false)),
        ]
    }

    fn count(layer: &mut dyn Read) -> anyhow::Result<u64> {
        Ok(std::io::copy(layer, &mut std::io::sink())?)
    }

    #[test]
    fn every_format_of_save_is_read() {
        let layers = [archive(&[("a", b"1")], &[]), archive(&[], &[])];
        let config = serde_json::json!({"os": "linux"});
        let expected = ReadLayers {
            layers: layers
                .iter()
                .map(|layer| layer.len() as u64)
                .map(|bytes| ReadLayer { bytes, found: bytes })
                .collect(),
            config: config.clone(),
            config_digest: Some(format!("sha256:{}", "a".repeat(64))),
        };
        for (format, bytes) in images(&layers, &config.to_string()) {
            assert_eq!(read(&bytes[..], count).unwrap(), expected, "{format}");
            // The sizes alone don't require reading the layers.
            let sizes = read(&bytes[..], |_| Ok(())).unwrap();
            let sizes: Vec<u64> = sizes.layers.iter().map(|layer| layer.bytes).collect();
            assert_eq!(sizes, layers.clone().map(|layer| layer.len() as u64), "{format}");
        }
    }

    #[test]
    fn a_layer_that_stands_in_the_image_twice_is_read_once() {
        let layer = archive(&[("a", b"1")], &[]);
        let manifest = br#"[{"Config":"c","Layers":["1/layer.tar","2/layer.tar"]}]"#;
        let files = [("1/layer.tar", &layer[..]), ("c", b"{}"), ("manifest.json", manifest)];
        let bytes = archive(&files, &[("2/layer.tar", "../1/layer.tar")]);
        let found = read(&bytes[..], count).unwrap();
        assert_eq!(found.layers[0], found.layers[1]);
        assert_eq!(found.config_digest, None);
    }

    #[test]
    fn a_compressed_layer_is_looked_into_as_it_was() {
        let compressed = |bytes: &[u8]| {
            let mut layer = GzEncoder::new(Vec::new(), Compression::fast());
            layer.write_all(bytes).unwrap();
            layer.finish().unwrap()
        };
        let layer = archive(&[("a", &[7; 70_000])], &[]);
        // In one piece, and in several, as those that can be read before all of it is there.
        let pieces = [compressed(&layer[..9_000]), compressed(&layer[9_000..])].concat();
        let manifest = br#"[{"Config":"c","Layers":["one","pieces"]}]"#;
        let files: [(&str, &[u8]); 4] = [
            ("one", &compressed(&layer)),
            ("pieces", &pieces),
            ("c", b"{}"),
            ("manifest.json", manifest),
        ];
        let bytes = layer.len() as u64;
        let found = read(&archive(&files, &[])[..], count).unwrap();
        assert_eq!(
            found.layers,
            [ReadLayer { bytes, found: bytes }, ReadLayer { bytes, found: bytes }]
        );
        let sizes = read(&archive(&files, &[])[..], |_| Ok(())).unwrap();
        assert_eq!(sizes.layers, [ReadLayer { bytes, found: () }, ReadLayer { bytes, found: () }]);
        let cut = [("one", &pieces[..30])];
        assert!(read(&archive(&cut, &[])[..], count).is_err());
    }

    #[test]
    fn what_would_be_read_wrong_is_refused() {
        let manifest: &[u8] = br#"[{"Config":"c","Layers":["a"]}]"#;
        let check = |files: &[(&str, &[u8])], expected: &str| {
            let error = read(&archive(files, &[])[..], count).unwrap_err();
            assert_eq!(format!("{error:#}"), format!("reading the image's archive: {expected}"));
        };
        let layer = archive(&[("x", b"1")], &[]);
        check(&[("a", ZSTD)], "the layer a is compressed with zstd");
        check(&[("c", b"{}"), ("manifest.json", manifest)], "no layer a");
        check(&[("a", &layer), ("manifest.json", manifest)], "no c");
        check(&[("a", &layer)], "no manifest.json");
        check(&[("c", b"{}"), ("manifest.json", b"[{}]")], "manifest.json names no layers");
        let mut short = archive(&[("a", &layer)], &[]);
        short.truncate(700);
        assert!(read(&short[..], count).is_err());
    }
}
