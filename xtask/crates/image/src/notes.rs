//! The notes of a release: what is another than in the one before, as Markdown. Pure: from what the
//! registry has of both.

use crate::report::release::ReleaseRecord;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One release, as a registry has it.
#[derive(Clone, Debug, Default)]
pub struct Side {
    pub version: String,
    pub revision: String,
    /// Registry, repository and digest.
    pub name: String,
    /// The SPDX document, if one is attached.
    pub packages: Option<Value>,
    /// Digests of the layers, base first, with their compressed bytes.
    pub layers: Vec<(String, u64)>,
}

/// `migrations`: those that the clone has in addition to the release before; `None`: it can't tell.
pub fn notes(
    record: &ReleaseRecord,
    now: &Side,
    before: Option<&Side>,
    migrations: Option<&[String]>,
) -> String {
    let mut text = format!("# {}\n\n`{}`, commit {}", now.version, now.name, now.revision);
    let since = before.map_or("the first release", |before| &before.version);
    let _ = writeln!(text, ", compared with {since}.");
    if let Some(before) = before {
        text += &packages(now.packages.as_ref(), before.packages.as_ref());
        text += "\n## Migrations\n\n";
        text += &match migrations {
            None => "This clone can't tell: it hasn't both commits.\n".to_owned(),
            Some(all) => list(all.iter().map(|path| format!("`{path}`"))),
        };
    }
    text += &layers(now, before);
    text += &tested(record);
    text
}

fn list(lines: impl Iterator<Item = String>) -> String {
    let text: String = lines.map(|line| format!("- {line}\n")).collect();
    if text.is_empty() { "None.\n".to_owned() } else { text }
}

/// Version by package URL without it.
fn versions(document: &Value) -> BTreeMap<String, String> {
    let all = document["packages"].as_array().into_iter().flatten();
    let named = all.filter_map(|one| {
        let purl = one["externalRefs"][0]["referenceLocator"].as_str()?;
        let (kind, _) = purl.strip_prefix("pkg:")?.split_once('/')?;
        let name = format!("{} ({kind})", one["name"].as_str()?);
        Some((name, one["versionInfo"].as_str()?.to_owned()))
    });
    named.collect()
}

fn packages(now: Option<&Value>, before: Option<&Value>) -> String {
    let mut text = "\n## Packages\n\n".to_owned();
    let (Some(now), Some(before)) = (now.map(versions), before.map(versions)) else {
        return text + "One of the two has no list of packages.\n";
    };
    let mut lines = Vec::new();
    for (name, version) in &now {
        match before.get(name) {
            None => lines.push(format!("added {name} {version}")),
            Some(old) if old != version => lines.push(format!("changed {name} {old} → {version}")),
            Some(_) => {}
        }
    }
    let gone = before.iter().filter(|(name, _)| !now.contains_key(*name));
    lines.extend(gone.map(|(name, version)| format!("removed {name} {version}")));
    text += &list(lines.into_iter());
    text
}

fn layers(now: &Side, before: Option<&Side>) -> String {
    let known = |digest: &String| {
        before.is_some_and(|before| before.layers.iter().any(|(old, _)| old == digest))
    };
    let mut text = "\n## Layers\n\n| layer | bytes, compressed | |\n|---|---:|---|\n".to_owned();
    let mut fetched = 0;
    for (digest, bytes) in &now.layers {
        let word = if known(digest) { "as before" } else { "new" };
        fetched += if known(digest) { 0 } else { *bytes };
        let _ = writeln!(text, "| `{digest:.19}` | {bytes} | {word} |");
    }
    let total: u64 = now.layers.iter().map(|(_, bytes)| bytes).sum();
    let _ =
        writeln!(text, "\nA host that has the release before fetches {fetched} of {total} bytes.");
    text
}

fn tested(record: &ReleaseRecord) -> String {
    let passed = record.checks.as_array().into_iter().flatten();
    let passed = passed.filter(|check| check["outcome"] == "ok").count();
    let mut text = format!("\n## Tests\n\n{passed} checks passed on {}.\n", record.tested_at);
    if !record.skipped.is_empty() {
        text.push('\n');
        text += &list(record.skipped.iter().map(|(name, why)| format!("skipped {name}: {why}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use serde_json::json;

    #[test]
    fn notes_name_what_is_another() {
        let package = |name: &str, version: &str| {
            let purl = format!("pkg:pypi/{name}@{version}");
            json!({
                "name": name, "versionInfo": version,
                "externalRefs": [{ "referenceLocator": purl }],
            })
        };
        let digest = |letter: &str| format!("sha256:{}", letter.repeat(64));
        let side = |version: &str, packages: &[Value], layer: &str| Side {
            version: version.into(),
            revision: "4f1c".into(),
            name: format!("r.example/app@{}", digest("0")),
            packages: Some(json!({ "packages": packages })),
            layers: vec![(digest("b"), 100), (digest(layer), 20)],
        };
        let old = side("1.0.0", &[package("django", "5.0"), package("six", "1.16")], "c");
        let new = side("1.1.0", &[package("django", "5.1"), package("numpy", "2.0")], "d");
        let record = ReleaseRecord {
            tested_at: "2026-01-02T03:04:05Z".into(),
            checks: json!([{ "name": "web", "outcome": "ok" }]),
            skipped: BTreeMap::from([("beat".into(), "no schedule".into())]),
            ..ReleaseRecord::default()
        };
        let migrations = ["app/a/migrations/0002_b.py".to_owned()];
        expect![[r#"
            # 1.1.0

            `r.example/app@sha256:0000000000000000000000000000000000000000000000000000000000000000`, commit 4f1c, compared with 1.0.0.

            ## Packages

            - changed django (pypi) 5.0 → 5.1
            - added numpy (pypi) 2.0
            - removed six (pypi) 1.16

            ## Migrations

            - `app/a/migrations/0002_b.py`

            ## Layers

            | layer | bytes, compressed | |
            |---|---:|---|
            | `sha256:bbbbbbbbbbbb` | 100 | as before |
            | `sha256:dddddddddddd` | 20 | new |

            A host that has the release before fetches 20 of 120 bytes.

            ## Tests

            1 checks passed on 2026-01-02T03:04:05Z.

            - skipped beat: no schedule
        "#]].assert_eq(&notes(&record, &new, Some(&old), Some(&migrations)));
        let first = notes(&record, &new, None, None);
        assert!(
            first.contains("compared with the first release") && !first.contains("Packages"),
            "{first}"
        );
    }
}
