//! Checks of what is in the folder of the application, and of compiled bytecode.

use super::{Expected, place, verdict};
use crate::verdict::Verdict;
use engine::archive::{Archive, EntryKind, Merged, STATIC_MANIFEST, split};
use image::rendering::RUNTIME_FILES;
use serde_json::Value;
use source::ignore::Ignore;
use std::collections::BTreeMap;

/// The application in the image.
const APP: &str = "app";

impl Expected {
    /// The path in the build context of a file of the application in the image.
    fn in_context(&self, path: &str) -> String {
        let inside = path.strip_prefix("app/").unwrap_or(path);
        format!("{}{inside}", self.prefix)
    }

    /// The path in the image of a file of the build context, if it is of the application.
    fn in_image(&self, path: &str) -> Option<String> {
        let inside = path.strip_prefix(&self.prefix)?;
        // An application at the top has the image's own files around it.
        let rest = path.strip_prefix(&self.runtime).and_then(|rest| rest.strip_prefix('/'));
        let name = rest.and_then(|rest| rest.split('/').next());
        let ours = name.is_some_and(|name| RUNTIME_FILES.contains(&name));
        let taken = TAKEN_OUT.contains(&inside) || ours;
        (!taken).then(|| format!("{APP}/{inside}"))
    }

    /// Made in the image: not from the build context, whose patterns don't speak of it.
    fn made(&self) -> String {
        format!("{APP}/{}", self.static_root)
    }
}

/// Folders whose Python files are compiled.
const COMPILED: [&str; 2] = [APP, "opt/venv"];

/// At least so many of a hundred Python files of each have bytecode: some are templates, or tests
/// of syntax errors, that no Python compiles.
const COMPILED_OF_100: usize = 90;

/// The list of hashed files, and each of them; any files at all if the project asks for no hashes.
pub(crate) fn static_files(archive: &Archive, expected: &Expected) -> Verdict {
    let merged = archive.merged();
    let made = expected.made();
    if !expected.hashed_static {
        let files =
            merged.below(&made).filter(|(_, placed)| placed.entry.kind != EntryKind::Folder);
        let fact = match files.count() {
            0 => {
                return Verdict::Failed(vec![format!(
                    "/{made} is empty: does static_root in docker/image.toml say what STATIC_ROOT does?"
                )]);
            }
            count => {
                format!("{count} files; [smoke] hashed_static asks for no hashes in their names")
            }
        };
        return Verdict::Passed(fact);
    }
    let list = format!("{made}{STATIC_MANIFEST}");
    let text = merged.get(&list).and_then(|placed| archive.layers[placed.layer].texts.get(&list));
    let Some(text) = text else {
        return Verdict::Failed(vec![format!("/{list} is missing: run collectstatic")]);
    };
    let manifest: Value = serde_json::from_str(text).unwrap_or_default();
    let Some(paths) = manifest["paths"].as_object().filter(|paths| !paths.is_empty()) else {
        return Verdict::Failed(vec![format!("/{list} names no files")]);
    };
    let missing = paths.iter().filter_map(|(name, hashed)| {
        let path = format!("{made}/{}", hashed.as_str().unwrap_or_default());
        let there = merged.get(&path).is_some_and(|placed| placed.entry.kind != EntryKind::Folder);
        (!there).then(|| format!("/{path} is missing, which {name} is served as"))
    });
    verdict(missing.collect(), format!("{} files, all there", paths.len()))
}

/// Bytecode for the application and its packages.
pub(crate) fn bytecode(archive: &Archive, _: &Expected) -> Verdict {
    let merged = archive.merged();
    let (mut total, mut compiled, mut evidence) = (0, 0, Vec::new());
    for folder in COMPILED {
        let sources = merged.below(folder).filter_map(|(path, placed)| {
            let ours = archive.layers[placed.layer].ours && placed.entry.kind != EntryKind::Folder;
            Some((path, path.strip_suffix(".py")?, placed.layer)).filter(|_| ours)
        });
        let sources: Vec<_> = sources.collect();
        let without: Vec<String> = sources
            .iter()
            .filter(|(_, source, _)| !has_bytecode(&merged, source))
            .map(|(path, _, layer)| format!("{}: no bytecode", place(path, *layer)))
            .collect();
        let (all, good) = (sources.len(), sources.len() - without.len());
        (total, compiled) = (total + all, compiled + good);
        if good * 100 < all * COMPILED_OF_100 {
            evidence.push(format!("only {good} of {all} files of /{folder} are compiled"));
            evidence.extend(without);
        }
    }
    if total == 0 {
        let folders = COMPILED.map(|folder| format!("/{folder}")).join(" and ");
        return Verdict::Failed(vec![format!("no Python file in {folders}")]);
    }
    verdict(evidence, format!("{compiled} of {total} files"))
}

/// Whether `source`, a path without `.py`, has a compiled file of any Python.
fn has_bytecode(merged: &Merged<'_>, source: &str) -> bool {
    let (folder, name) = split(source);
    let start = format!("{folder}/__pycache__/{name}.");
    let mut tags = merged.starting(&start).map(|(path, _)| &path[start.len()..]);
    tags.any(|tag| tag.ends_with(".pyc") && !tag.contains('/'))
}

/// Files of the application in the build context that docker/collect.sh takes out: they stay in
/// /opt/dependencies.
const TAKEN_OUT: [&str; 2] = ["pyproject.toml", "uv.lock"];

/// The application's files are those of the build context, byte by byte.
pub(crate) fn application_files(archive: &Archive, expected: &Expected) -> Verdict {
    let built_from = match &expected.built_from {
        Some(Ok(files)) => files,
        Some(Err(why)) => return Verdict::NotAsked(format!("not compared: {why}")),
        None => return Verdict::NotAsked("git says nothing about this checkout".to_owned()),
    };
    let parse = |what: &str, text: &str| {
        Ignore::parse(text).map_err(|error| Verdict::Failed(vec![format!("{what}: {error:#}")]))
    };
    let parsed = parse("[smoke] generated", &expected.generated.join("\n"))
        .and_then(|generated| Ok((generated, parse("the build context", &expected.ignore)?)));
    let (generated, ignore) = match parsed {
        Ok(both) => both,
        Err(failed) => return failed,
    };
    let merged = archive.merged();
    let mut wanted: BTreeMap<String, &str> = built_from
        .iter()
        .filter_map(|(path, sha256)| Some((expected.in_image(path)?, sha256.as_str())))
        .collect();
    let count = wanted.len();
    let mut evidence = Vec::new();
    for (path, placed) in merged.below(APP) {
        if placed.entry.kind == EntryKind::Folder {
            continue;
        }
        let is = place(path, placed.layer);
        match wanted.remove(path) {
            Some(sha256) if archive.first(path, placed).1.content.as_deref() == Some(sha256) => {}
            Some(_) => evidence.push(format!("{is}: not as it is in the build context")),
            // What `.dockerignore` excludes, `no-development-files` names.
            None if is_made(path, &expected.made())
                || !generated.verdict(&expected.in_context(path)).included
                || !ignore.verdict(&expected.in_context(path)).included
                    && !path.contains("/__pycache__/") => {}
            None => evidence.push(format!("{is}: not in the build context")),
        }
    }
    // An engine that unpacks such an entry may write to the target of the link.
    let linked = merged.files.iter().filter(|(path, placed)| {
        let link =
            |at| merged.get(&path[..at]).is_some_and(|above| above.entry.kind == EntryKind::Link);
        archive.layers[placed.layer].ours && path.match_indices('/').any(|(at, _)| link(at))
    });
    evidence.extend(
        linked.map(|(path, placed)| format!("{}: it is below a link", place(path, placed.layer))),
    );
    let missing = wanted.keys().map(|path| expected.in_context(path));
    let missing = missing.filter(|path| generated.verdict(path).included);
    evidence.extend(missing.map(|path| format!("{path} of the build context is not in the image")));
    verdict(evidence, format!("{count} files, as they are in the build context"))
}

/// Made in the image: static files, and bytecode next to its source.
fn is_made(path: &str, made: &str) -> bool {
    let (folder, name) = split(path);
    path.strip_prefix(made).is_some_and(|rest| rest.starts_with('/'))
        || folder.ends_with("/__pycache__") && name.ends_with(".pyc")
}

/// Files of the application that `.dockerignore` keeps out of the build context.
pub(crate) fn no_development_files(archive: &Archive, expected: &Expected) -> Verdict {
    let ignore = match Ignore::parse(&expected.ignore) {
        Ok(ignore) => ignore,
        Err(error) => return Verdict::Failed(vec![format!("{error:#}")]),
    };
    let merged = archive.merged();
    let mut count = 0;
    let mut evidence = Vec::new();
    for (path, placed) in merged.below(APP) {
        let made =
            path.starts_with(&expected.made()) || path.split('/').any(|part| part == "__pycache__");
        if made || placed.entry.kind == EntryKind::Folder || !archive.layers[placed.layer].ours {
            continue;
        }
        count += 1;
        let verdict = ignore.verdict(&expected.in_context(path));
        if !verdict.included {
            let (line, pattern) = (verdict.line.unwrap_or(0), verdict.pattern.unwrap_or_default());
            let is = place(path, placed.layer);
            evidence.push(format!("{is}: line {line} of the ignore file excludes it, {pattern}"));
        }
    }
    verdict(evidence, format!("{count} files, none that the ignore file excludes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_build_context_have_their_place_in_the_image() {
        let check = |prefix: &str, path: &str, place: Option<&str>| {
            let expected = Expected {
                prefix: prefix.to_owned(),
                runtime: "docker/runtime".to_owned(),
                ..Expected::default()
            };
            let found = expected.in_image(path);
            assert_eq!(found.as_deref(), place, "{path}");
            if let Some(place) = found {
                assert_eq!(expected.in_context(&place), path);
            }
        };
        check("app/", "app/shop/urls.py", Some("app/shop/urls.py"));
        check("app/", "app/uv.lock", None);
        check("app/", "docker/runtime/entrypoint.sh", None);
        check("src/web/", "src/web/manage.py", Some("app/manage.py"));
        check("", "manage.py", Some("app/manage.py"));
        check("", "docker/compose.yaml", Some("app/docker/compose.yaml"));
        check("", "docker/runtime/container/service.py", None);
        check("", "pyproject.toml", None);
    }
}
