//! The images without a name that Podman makes step by step: which of them builds of this checkout left
//! and no other image is made from. They have no label of ours, which comes with the last step: the logs
//! of the builds tell whose they are.

use crate::fingerprint;
use process::regular;
use process::state::State;
use serde_json::Value;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// What the logs of a checkout say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildSteps {
    /// Image IDs, or what they begin with, of all steps.
    pub all: Vec<String>,
    /// Those of the builds whose images are current: the next build takes them from the layer cache.
    pub current: Vec<String>,
}

/// Reads the logs.
pub fn logged(state: &State) -> BuildSteps {
    let current = fingerprint::logs(state);
    let mut steps = BuildSteps::default();
    for entry in fs::read_dir(state.folder.join("logs")).into_iter().flatten().flatten() {
        let found = of_log(&entry.path());
        if current.contains(&entry.path()) {
            steps.current.extend(found.iter().cloned());
        }
        steps.all.extend(found);
    }
    steps
}

/// `--> ID`, or `--> Using cache ID`.
fn of_log(path: &Path) -> Vec<String> {
    let text = regular::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let id = |line: &str| {
        let rest = line.strip_prefix("--> ")?;
        let id = rest.strip_prefix("Using cache ").unwrap_or(rest);
        let whole = id.len() >= 10 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        whole.then(|| id.to_owned())
    };
    text.lines().filter_map(id).collect()
}

/// Whether an image is one of `steps`.
pub fn is_one(id: &str, steps: &[String]) -> bool {
    let id = id.trim_start_matches("sha256:");
    steps.iter().any(|step| id.starts_with(step.as_str()))
}

/// Of what `podman images --all --format json` printed, the images of `steps` that have no name and that
/// no other image is made from: their IDs, with the bytes that their removal frees; those of current
/// builds last.
pub fn ends(images: &str, steps: &BuildSteps) -> Vec<(String, u64)> {
    let all: Value = serde_json::from_str(images).unwrap_or_default();
    let all: Vec<&Value> = all.as_array().into_iter().flatten().collect();
    let text = |image: &Value, key: &str| image[key].as_str().unwrap_or_default().to_owned();
    let size = |image: &Value| image["Size"].as_u64().unwrap_or_default();
    let by_id: HashMap<String, &Value> =
        all.iter().map(|image| (text(image, "Id"), *image)).collect();
    let mut children: HashMap<String, usize> = HashMap::new();
    for image in &all {
        *children.entry(text(image, "ParentId")).or_default() += 1;
    }
    let named = |image: &Value| image["Names"].as_array().is_some_and(|names| !names.is_empty());
    let is_end = |image: &&Value| {
        let id = text(image, "Id");
        !named(image) && !children.contains_key(&id) && is_one(&id, &steps.all)
    };
    let mut ends: Vec<&Value> = all.iter().copied().filter(is_end).collect();
    ends.sort_by_key(|image| is_one(&text(image, "Id"), &steps.current));
    let mut found = Vec::new();
    for end in ends {
        let (mut at, mut bytes) = (end, 0);
        // Podman removes what it was made from with it, as far as nothing else is.
        loop {
            let parent = text(at, "ParentId");
            let before = by_id.get(&parent).copied();
            bytes += size(at).saturating_sub(before.map_or(0, size));
            let left = children.entry(parent).or_default();
            *left = left.saturating_sub(1);
            match before {
                Some(before) if *left == 0 && !named(before) => at = before,
                _ => break,
            }
        }
        found.push((engine::inspect::with_algorithm(&text(end, "Id")), bytes));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A failed build of two stages, the stage of a good one, and another checkout's.
    #[test]
    fn what_no_build_goes_on_from() {
        let image = |id: &str, parent: &str, size: u64, name: Option<&str>| {
            let names = name.map(|name| vec![name]);
            serde_json::json!({ "Id": id.repeat(12), "ParentId": parent.repeat(12), "Size": size, "Names": names })
        };
        let images = serde_json::json!([
            image("b", "", 100, Some("base")),
            image("1", "b", 110, None),
            image("2", "1", 130, None),
            image("3", "1", 140, None),
            image("4", "b", 107, None),
            image("5", "4", 108, Some("app:prod")),
            image("6", "4", 115, None),
            image("7", "b", 199, None),
        ]);
        let folder = tempfile::tempdir().unwrap();
        let state = State::of(folder.path());
        let logs = state.folder.join("logs");
        process::state::make_folder(&logs).unwrap();
        let line = |id: &str| format!("--> {}\n", id.repeat(11));
        let cached = |id: &str| format!("--> Using cache {}\n", id.repeat(12));
        let killed = [line("1"), line("2"), line("3"), "STEP 3/4: RUN --> 77777777777\n".into()];
        fs::write(logs.join("killed.log"), killed.concat()).unwrap();
        fs::write(logs.join("good.log"), [cached("4"), line("5"), line("6")].concat()).unwrap();
        let record = fingerprint::BuildRecord {
            log: logs.join("good.log"),
            ..fingerprint::BuildRecord::default()
        };
        fingerprint::record(&state, "app:prod", record).unwrap();
        let steps = logged(&state);
        let ends = ends(&images.to_string(), &steps);
        let ends: Vec<(&str, u64, bool)> = ends
            .iter()
            .map(|(id, bytes)| (&id[7..8], *bytes, is_one(id, &steps.current)))
            .collect();
        assert_eq!(ends, [("2", 20, false), ("3", 40, false), ("6", 8, true)]);
        assert_eq!(super::ends("", &steps), []);
    }
}
