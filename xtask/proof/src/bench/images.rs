//! Bytes of images: of all layers, of those above the base when compressed, of those that changed.

use super::sides::{Sides, remove};
use super::{Bench, failed};
use anyhow::Context as _;
use process::invocation::Invocation;
use process::run::QUESTION;
use process::state::make_folder;
use serde_json::Value;
use std::collections::HashSet;
use std::fs;

/// One layer of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Digest of the uncompressed layer.
    pub digest: String,
    /// Uncompressed bytes.
    pub size: u64,
    /// Bytes as `gzip -6` makes them; 0 for a layer that isn't asked for.
    pub compressed: u64,
}

/// Which layers are compressed: to do that takes a second for every 20 MB.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// Those that this base hasn't.
    AboveBase(&'a str),
    /// Those that weren't there before.
    NewTo(&'a [Layer]),
    None,
}

/// The layers of an image, from the bottom.
pub fn layers(
    bench: &Bench<'_>,
    sides: &Sides<'_>,
    image: &str,
    which: Which<'_>,
) -> anyhow::Result<Vec<Layer>> {
    let digests = digests(sides, image)?;
    let without = match which {
        Which::AboveBase(base) => {
            let shared = digests_shared(&digests, &self::digests(sides, base)?);
            digests[..shared].to_vec()
        }
        Which::NewTo(before) => before.iter().map(|layer| layer.digest.clone()).collect(),
        Which::None => digests.clone(),
    };
    let folder = bench.state.folder.join("saved");
    remove(&folder)?;
    make_folder(&folder)?;
    let archive = folder.join("image.tar").display().to_string();
    sides.engine(&["save", "-o", &archive, image])?;
    let target = folder.display().to_string();
    bench.ask(&Invocation::new("tar", ["-xf", &archive, "-C", &target]))?;
    let manifest = fs::read(folder.join("manifest.json")).context("reading manifest.json")?;
    let manifest: Value = serde_json::from_slice(&manifest).context("reading manifest.json")?;
    let files = manifest[0]["Layers"].as_array().context("reading manifest.json: no layers")?;
    let mut layers = Vec::new();
    for (digest, file) in digests.into_iter().zip(files) {
        // If a layer occurs twice, the second is a link, which is followed.
        let path = folder.join(file.as_str().unwrap_or_default());
        let size = path.metadata().with_context(|| format!("reading {}", path.display()))?.len();
        let compressed = if without.contains(&digest) { 0 } else { compressed(bench, &path)? };
        layers.push(Layer { digest, size, compressed });
    }
    remove(&folder)?;
    Ok(layers)
}

fn compressed(bench: &Bench<'_>, path: &std::path::Path) -> anyhow::Result<u64> {
    let file = path.display().to_string();
    let gzip = Invocation::new("sh", ["-c", "gzip -6 -c -n \"$1\" | wc -c", "sh", &file]);
    let answer = bench.runner.ask(&gzip, QUESTION * 10)?;
    answer.stdout.trim().parse().map_err(|_| failed(&gzip, &answer))
}

fn digests(sides: &Sides<'_>, image: &str) -> anyhow::Result<Vec<String>> {
    let answer = sides.engine(&["image", "inspect", image])?;
    let json: Value = serde_json::from_str(&answer.stdout).context("reading an inspection")?;
    let all = json[0]["RootFS"]["Layers"].as_array().context("inspecting an image: no layers")?;
    Ok(all.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

/// How many layers at the bottom are the base's.
fn digests_shared(image: &[String], base: &[String]) -> usize {
    image.iter().zip(base).take_while(|(one, other)| one == other).count()
}

/// Uncompressed bytes of all layers.
pub fn size(layers: &[Layer]) -> u64 {
    layers.iter().map(|layer| layer.size).sum()
}

/// Compressed bytes of the layers above the base.
pub fn above_base(layers: &[Layer]) -> u64 {
    layers.iter().map(|layer| layer.compressed).sum()
}

/// Compressed bytes of the layers that a registry with `before` hasn't yet.
pub fn to_push(before: &[Layer], after: &[Layer]) -> u64 {
    let there: HashSet<&str> = before.iter().map(|layer| layer.digest.as_str()).collect();
    let new = after.iter().filter(|layer| !there.contains(layer.digest.as_str()));
    new.map(|layer| layer.compressed).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_new_layers_are_pushed() {
        let layer =
            |digest: &str, compressed| Layer { digest: digest.to_owned(), size: 10, compressed };
        let before = [layer("base", 0), layer("a", 3), layer("b", 4)];
        let after = [layer("base", 0), layer("a", 3), layer("c", 5)];
        assert_eq!((size(&after), above_base(&after), to_push(&before, &after)), (30, 8, 5));
        assert_eq!(to_push(&before, &before), 0);
    }

    #[test]
    fn the_base_ends_where_the_digests_do() {
        let list = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(digests_shared(&list("a b c"), &list("a b")), 2);
        assert_eq!(digests_shared(&list("a x c"), &list("a b c")), 1);
    }
}
