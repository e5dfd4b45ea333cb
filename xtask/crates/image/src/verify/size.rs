//! How large an image is: the uncompressed bytes of its layers, the same on every engine and store,
//! in the cheapest way that is right.

use anyhow::Context as _;
use engine::capability::{Capability, has};
use engine::inspect::{self, Image};
use engine::layers::{self, records};
use engine::{Engine, words};
use process::run::{QUESTION, Runner};
use process::state::State;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How large an image is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Sum of the uncompressed layer bytes.
    pub bytes: u64,
    /// Whether every layer was measured; else small ones are counted by their files.
    pub exact: bool,
    /// Digest of the config, if it is known.
    pub config_digest: Option<String>,
}

/// How exact a size is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// To the byte, whatever that takes.
    Exact,
    /// To the byte if that is cheap, if the rest is large, or if the size is near this budget.
    Cheap(Option<u64>),
}

/// What is remembered, by digest: what a digest stands for never changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct SizeCache {
    /// Uncompressed bytes of layers.
    layers: BTreeMap<String, u64>,
    /// Images by their IDs: the bytes of all layers, and the digest of the config.
    images: BTreeMap<String, (u64, Option<String>)>,
}

/// How much is remembered: beyond that only the image of this build. What was forgotten is measured
/// once more.
const MOST: usize = 500;

/// Bytes that a layer's archive has in addition to the files, and bytes that weren't counted.
const MARGIN: u64 = 1_000_000;

/// Measures `image`.
///
/// # Errors
/// When the engine doesn't say what it is asked for; 130 or 143 after a signal.
pub fn measure(
    state: &State,
    engine: &Engine,
    image: &Image,
    precision: Precision,
    runner: &Runner,
) -> anyhow::Result<Size> {
    let mut known: SizeCache = state.remembered("sizes.json").unwrap_or_default();
    if let Some(size) = known.size(image) {
        return Ok(size);
    }
    if has(engine, Capability::ExactHistory) {
        let answer = runner.ask(&words::history(engine, &image.id), QUESTION)?;
        let bytes = inspect::history_bytes(&answer.stdout)?;
        let config_digest = Some(image.id.clone());
        known.images.insert(image.id.clone(), (bytes, config_digest.clone()));
        known.remember(state, image)?;
        return Ok(Size { bytes, exact: true, config_digest });
    }
    let folder = image.unpacked.as_deref().and_then(records::folder);
    let recorded = folder.map(|folder| records::sizes(&folder, &known.unknown(image)));
    if recorded.is_some_and(|recorded| known.add(recorded)) {
        known.remember(state, image)?;
        if let Some(size) = known.size(image) {
            return Ok(size);
        }
    }
    if let Precision::Cheap(budget) = precision {
        let answer = runner.ask(&words::step_sizes(engine, &image.id), QUESTION)?;
        if answer.good()
            && let Ok(steps) = inspect::step_sizes(&answer.stdout)
            && let Some(bytes) = known.about(image, &steps, budget)
        {
            return Ok(Size { bytes, exact: false, config_digest: known.config(image) });
        }
    }
    let archive =
        runner.read(&words::save(engine, &image.id), |stream| layers::read(stream, |_| Ok(())))?;
    if archive.layers.len() != image.layers.len() {
        anyhow::bail!(
            "measuring the layers: {} in the archive, {} in the image",
            archive.layers.len(),
            image.layers.len()
        );
    }
    let bytes = archive.layers.iter().map(|layer| layer.bytes);
    known.add(image.layers.iter().cloned().zip(bytes).collect());
    let bytes = known.sum(&image.layers).context("measuring the layers: one is missing")?;
    let config_digest = known.config(image).or(archive.config_digest);
    known.images.insert(image.id.clone(), (bytes, config_digest.clone()));
    known.remember(state, image)?;
    Ok(Size { bytes, exact: true, config_digest })
}

impl SizeCache {
    /// Takes over the bytes of layers; whether there were any.
    fn add(&mut self, layers: BTreeMap<String, u64>) -> bool {
        let some = !layers.is_empty();
        self.layers.extend(layers);
        some
    }

    fn unknown<'i>(&self, image: &'i Image) -> Vec<&'i str> {
        let layers = image.layers.iter().map(String::as_str);
        layers.filter(|layer| !self.layers.contains_key(*layer)).collect()
    }

    fn sum(&self, layers: &[String]) -> Option<u64> {
        layers.iter().map(|layer| self.layers.get(layer).copied()).sum()
    }

    /// The image's size, if it is known itself or the sizes of all its layers are.
    fn size(&self, image: &Image) -> Option<Size> {
        let whole = self.images.get(&image.id).map(|(bytes, _)| *bytes);
        let bytes = whole.or_else(|| self.sum(&image.layers))?;
        Some(Size { bytes, exact: true, config_digest: self.config(image) })
    }

    fn remember(&mut self, state: &State, image: &Image) -> anyhow::Result<()> {
        if self.layers.len() > MOST {
            self.layers.retain(|digest, _| image.layers.contains(digest));
        }
        if self.images.len() > MOST {
            self.images.retain(|id, _| *id == image.id);
        }
        state.remember("sizes.json", self)
    }

    fn config(&self, image: &Image) -> Option<String> {
        let own = || image.config_is_id.then(|| image.id.clone());
        own().or_else(|| self.images.get(&image.id)?.1.clone())
    }

    /// The size with the layers from the first unknown one on counted by `steps`, the file sizes
    /// of the image's steps with the newest first: where those are under 5 % of the image, and
    /// twice as much would be within the budget.
    fn about(&self, image: &Image, steps: &[u64], budget: Option<u64>) -> Option<u64> {
        let first = image.layers.iter().position(|layer| !self.layers.contains_key(layer))?;
        let below = self.sum(&image.layers[..first])?;
        // Which steps made a layer isn't told. One without a file counts as none, so that an older
        // step is counted instead: rather too much than too little.
        let above = steps.iter().filter(|size| **size > 0).take(image.layers.len() - first);
        let above = above.sum::<u64>();
        let small = above * 20 < below + above;
        let room = budget.is_none_or(|budget| below + 2 * above + MARGIN <= budget);
        (small && room).then_some(below + above)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(layers: &[&str]) -> Image {
        let layers = layers.iter().map(ToString::to_string).collect();
        Image { id: "id".to_owned(), layers, ..Image::default() }
    }

    fn known(layers: &[(&str, u64)]) -> SizeCache {
        let layers = layers.iter().map(|(digest, bytes)| (digest.to_string(), *bytes));
        SizeCache { layers: layers.collect(), ..SizeCache::default() }
    }

    #[test]
    fn small_layers_on_top_are_counted_by_their_files() {
        const MB: u64 = 1_000_000;
        let all = known(&[("base", 100 * MB), ("packages", 200 * MB), ("old", MB)]);
        let new = image(&["base", "packages", "new"]);
        let check = |image: &Image, steps: &[u64], budget, expected: Option<u64>| {
            assert_eq!(all.about(image, steps, budget), expected, "{image:?} {steps:?} {budget:?}");
        };
        // CMD, the application, ENV, its packages, the base.
        let steps = [0, 2 * MB, 0, 190 * MB, 95 * MB];
        check(&new, &steps, None, Some(302 * MB));
        check(&new, &steps, Some(305 * MB), Some(302 * MB));
        check(&new, &steps, Some(304 * MB), None);
        // Too much of it is new.
        check(&new, &[0, 16 * MB, 0, 190 * MB, 95 * MB], None, None);
        check(&image(&["base", "other", "new"]), &steps, None, None);
        // A layer without a file hides among the steps without a layer.
        check(&image(&["base", "packages", "folder", "new"]), &steps, None, None);
        let folder = [2 * MB, 0, MB, 190 * MB, 95 * MB];
        check(&image(&["base", "packages", "new", "more"]), &folder, None, Some(303 * MB));
        // Nothing is known yet.
        check(&image(&["a", "b"]), &steps, None, None);
    }

    #[test]
    fn what_is_known_is_exact_and_names_the_config() {
        let mut all = known(&[("base", 7), ("top", 5)]);
        let mut found = image(&["base", "top"]);
        let size = |digest: Option<&str>| {
            Some(Size { bytes: 12, exact: true, config_digest: digest.map(str::to_owned) })
        };
        assert_eq!(all.size(&found), size(None));
        all.images.insert("id".to_owned(), (12, Some("config".to_owned())));
        assert_eq!(all.size(&found), size(Some("config")));
        found.config_is_id = true;
        assert_eq!(all.size(&found), size(Some("id")));
        let other = Image { id: "other".to_owned(), ..image(&["base", "other"]) };
        assert_eq!(all.size(&other), None);
        assert_eq!(all.unknown(&image(&["base", "other"])), ["other"]);
    }

    #[test]
    fn memory_is_bounded_and_keeps_the_image_at_hand() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::of(folder.path());
        let mut all = known(&[("base", 7), ("top", 5)]);
        for number in 0..MOST {
            all.layers.insert(format!("layer {number}"), 1);
            all.images.insert(format!("image {number}"), (1, None));
        }
        all.images.insert("id".to_owned(), (12, None));
        all.remember(&state, &image(&["base", "top"])).unwrap();
        let kept: SizeCache = state.remembered("sizes.json").unwrap();
        let images = BTreeMap::from([("id".to_owned(), (12, None))]);
        assert_eq!(kept, SizeCache { images, ..known(&[("base", 7), ("top", 5)]) });
    }
}
