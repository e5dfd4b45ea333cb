//! The development image: found where it is in step with the files that it is made of, else built.

use super::Here;
use crate::cli;
use crate::commands::build::{self, Done};
use crate::engine::{inspect, words};
use crate::plan;
use crate::plan::dev::{INPUTS, short_hash};
use crate::run::{QUESTION, say};
use anyhow::Context as _;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Its image ID; in a dry run the lines that would build it, too.
pub fn current(here: &Here<'_>, assumed: bool) -> anyhow::Result<(String, Vec<String>)> {
    let inputs = inputs(here)?;
    let hash = short_hash(&format!("{inputs:?}"));
    let memory = here.memory();
    let local = plan::local(here.engine.kind, &here.workflow.config.image.name, "dev");
    // Another checkout may have given the name to its own meanwhile.
    let candidates = [memory.image.clone(), local.clone()];
    for candidate in candidates.iter().filter(|candidate| !candidate.is_empty() && !assumed) {
        let answer = here.runner.ask(&words::inspect(here.engine, candidate), QUESTION)?;
        let Ok(image) = inspect::image(&answer.stdout) else { continue };
        if answer.good() && image.labels.get(INPUTS) == Some(&hash) {
            if image.id != memory.image || inputs != memory.inputs {
                remember(here, image.id.clone(), inputs)?;
            }
            return Ok((image.id, Vec::new()));
        }
    }
    let changed = changed(&memory.inputs, &inputs);
    say(&match changed.as_slice() {
        [] => format!("building the development image {local}: it isn't here"),
        names => format!("building the development image anew: {} changed", names.join(", ")),
    });
    let args =
        cli::Build { dev: true, label: vec![(INPUTS.to_owned(), hash)], ..cli::Build::default() };
    match build::make(here.world, &args)? {
        Done::Script(script, _) => Ok((local, script.lines().map(str::to_owned).collect())),
        Done::Image(report, _) => {
            remember(here, report.image_id.clone(), inputs)?;
            Ok((report.image_id, Vec::new()))
        }
    }
}

fn remember(
    here: &Here<'_>,
    image: String,
    inputs: BTreeMap<String, String>,
) -> anyhow::Result<()> {
    if here.world.common.dry_run {
        return Ok(());
    }
    here.remember(&super::Memory { image, inputs, ..here.memory() })
}

/// The files that differ from those of the last time; none where there was no last time.
pub fn changed<'i>(
    before: &'i BTreeMap<String, String>,
    now: &'i BTreeMap<String, String>,
) -> Vec<&'i str> {
    let names = before.keys().chain(now.keys().filter(|name| !before.contains_key(*name)));
    let differ = names.filter(|name| !before.is_empty() && before.get(*name) != now.get(*name));
    differ.map(String::as_str).collect()
}

/// The files that the image is made of, each with a hash.
pub fn inputs(here: &Here<'_>) -> anyhow::Result<BTreeMap<String, String>> {
    let config = &here.workflow.config;
    let mut all = BTreeMap::new();
    let settings = format!("{:?} {:?} {:?}", config.app, config.dev, config.network.index_url);
    all.insert(crate::config::PATH.to_owned(), short_hash(&settings));
    let files = [
        config.dev.dockerfile.as_str(),
        "docker/installer.txt",
        "app/pyproject.toml",
        "app/uv.lock",
        "docker/entrypoint.sh",
        "docker/healthcheck",
        "docker/container",
        "docker/development",
    ];
    for file in files {
        add(&here.workflow.top, file, &mut all)?;
    }
    Ok(all)
}

fn add(top: &Path, name: &str, all: &mut BTreeMap<String, String>) -> anyhow::Result<()> {
    let path = top.join(name);
    if path.is_dir() {
        for entry in fs::read_dir(&path).with_context(|| format!("reading {name}"))? {
            let entry = entry.with_context(|| format!("reading {name}"))?.file_name();
            let below = entry.to_string_lossy();
            if below != "__pycache__" {
                add(top, &format!("{name}/{below}"), all)?;
            }
        }
    } else if path.is_file() {
        let bytes = fs::read(&path).with_context(|| format!("reading {name}"))?;
        all.insert(name.to_owned(), short_hash(&String::from_utf8_lossy(&bytes)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_changed_files_are_named() {
        let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect()
        };
        let before = map(&[("lock", "1"), ("old", "1"), ("same", "1")]);
        let now = map(&[("lock", "2"), ("new", "1"), ("same", "1")]);
        assert_eq!(changed(&before, &now), ["lock", "old", "new"]);
        assert_eq!(changed(&map(&[]), &now), [""; 0]);
        assert_eq!(changed(&now, &now), [""; 0]);
    }
}
