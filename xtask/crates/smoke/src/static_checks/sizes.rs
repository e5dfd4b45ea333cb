//! Checks of what the image costs: bytes, layers, and bytes that no container sees.

use super::{Expected, place, verdict};
use crate::verdict::Verdict;
use engine::archive::Archive;
use image::report::megabytes;
use std::cmp::Reverse;

/// Bytes that may be hidden: account files and the like, which a layer cannot but replace.
const HIDDEN: u64 = 1_000_000;

/// So many files of ours may be there twice: more are what `chown -R` or a second `COPY` leave,
/// even if they are small.
const TWICE: usize = 10;

/// Databases of apt and dpkg, which every installation rewrites as a whole.
const DATABASES: [&str; 4] =
    ["var/lib/dpkg/", "var/lib/apt/", "var/cache/apt/", "var/cache/debconf/"];

/// The layers' bytes against the budget.
pub(crate) fn size(archive: &Archive, expected: &Expected) -> Verdict {
    let bytes: u64 = archive.layers.iter().map(|layer| layer.bytes).sum();
    let Some(budget) = expected.size_budget else {
        return Verdict::NotAsked(format!("no size_budget; the layers are {}", megabytes(bytes)));
    };
    let fact = format!("{} of {}", megabytes(bytes), megabytes(budget));
    if bytes <= budget {
        return Verdict::Passed(fact);
    }
    let layer = |(index, layer): (usize, &engine::archive::Layer)| {
        let whose = if layer.ours { "ours" } else { "the base's" };
        format!("layer {}, {whose}: {}", index + 1, megabytes(layer.bytes))
    };
    let layers = archive.layers.iter().enumerate().map(layer);
    verdict([format!("over the budget: {fact}")].into_iter().chain(layers).collect(), "")
}

/// The number of layers against the most.
pub(crate) fn layers(archive: &Archive, expected: &Expected) -> Verdict {
    let count = archive.layers.iter().filter(|layer| !layer.part).count();
    let ours = archive.layers.iter().filter(|layer| layer.ours).count();
    let fact = format!("{count} layers, {ours} of them ours");
    match expected.max_layers {
        None => Verdict::NotAsked(format!("no limit; {fact}")),
        Some(most) if count <= most => Verdict::Passed(fact),
        Some(most) => Verdict::Failed(vec![format!("{fact}; at most {most} in all")]),
    }
}

/// Files that our layers hide, those of the base and their own: stored and fetched, but never seen.
pub(crate) fn wasted(archive: &Archive, _: &Expected) -> Verdict {
    let merged = archive.merged();
    let database = |path: &str| DATABASES.iter().any(|folder| path.starts_with(folder));
    let mut hidden: Vec<_> = merged
        .hidden
        .iter()
        .filter(|one| archive.layers[one.by].ours && !database(one.path))
        .collect();
    hidden.sort_by_key(|one| (Reverse(one.bytes), one.path));
    let bytes: u64 = hidden.iter().map(|one| one.bytes).sum();
    let fact = format!("{:.1} kB in {} files", kilobytes(bytes), hidden.len());
    let replaced = |path: &str| merged.get(path).is_some();
    let twice = hidden.iter().filter(|one| archive.layers[one.layer].ours && replaced(one.path));
    let twice = twice.count();
    if bytes < HIDDEN && twice <= TWICE {
        return Verdict::Passed(fact);
    }
    let head = format!(
        "hidden by our layers: {fact}, {twice} of them of ours and there again; allowed are under {} and {TWICE} files",
        megabytes(HIDDEN)
    );
    let lines = hidden.iter().map(|one| {
        let by = one.by + 1;
        let is = place(one.path, one.layer);
        format!("{is}: {:.1} kB, replaced or removed by layer {by}", kilobytes(one.bytes))
    });
    verdict([head].into_iter().chain(lines).collect(), "")
}

#[expect(clippy::cast_precision_loss, reason = "it is shown, not counted with")]
fn kilobytes(bytes: u64) -> f64 {
    bytes as f64 / 1000.0
}
