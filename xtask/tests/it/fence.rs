//! Which room of the house may import which: read from the imports of the product's code.

use super::checkout::source;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The rooms, from the bottom up, with their modules. A module imports from its own room and from
/// those below it.
const ROOMS: [(&str, &[&str]); 7] = [
    (
        "process",
        &["environment", "failure", "files", "form", "invocation", "notice", "run", "state"],
    ),
    ("source", &["ci", "context", "git", "ignore", "secrets"]),
    ("engine", &["dockerfile", "engine", "leftovers", "lint", "locate", "machine", "reference"]),
    ("registry", &["registry"]),
    (
        "image",
        &[
            "base",
            "cache",
            "config",
            "fingerprint",
            "labels",
            "network",
            "plan",
            "platform",
            "project",
            "push",
            "report",
            "squash",
            "standin",
            "stored",
            "tags",
            "verify",
        ],
    ),
    ("smoke", &["smoke"]),
    ("workflow", &["cli", "commands", "lab", "main", "output", "packages", "world"]),
];

/// The imports that run against that order: FILE MODULE. This list may only shrink.
const AGAINST: [&str; 0] = [];

#[test]
fn imports_go_down_and_never_up() {
    let src = source("xtask/src");
    let mut files = Vec::new();
    product_files(&src, &mut files);
    let mut against = BTreeSet::new();
    for file in &files {
        let path = file.strip_prefix(&src).unwrap().to_str().unwrap();
        let own = rank(path.split(['/', '.']).next().unwrap());
        for module in imported(&fs::read_to_string(file).unwrap()) {
            if rank(&module) > own {
                against.insert(format!("{path} {module}"));
            }
        }
    }
    assert!(files.len() > 100, "{}", files.len());
    assert_eq!(against, AGAINST.map(str::to_owned).into_iter().collect());
}

fn rank(module: &str) -> usize {
    ROOMS.iter().position(|(_, modules)| modules.contains(&module)).expect(module)
}

fn product_files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_str().unwrap();
        if entry.is_dir() && name != "tests" {
            product_files(&entry, found);
        } else if name.ends_with(".rs") && !["tests.rs", "engine_proof.rs"].contains(&name) {
            found.push(entry);
        }
    }
}

/// The modules that the code of a file names after `crate::`, but for its tests and comments.
fn imported(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = code.lines().map(|line| line.split("//").next().unwrap());
    let code = lines.collect::<Vec<_>>().join(" ");
    let mut found = BTreeSet::new();
    for part in code.split("crate::").skip(1) {
        match part.strip_prefix('{') {
            None => drop(found.insert(identifier(part))),
            Some(group) => {
                let mut depth = 0;
                let group = group.split(';').next().unwrap();
                let top = group.split_inclusive(['{', '}', ',']).filter_map(|part| {
                    let name = (depth == 0).then(|| identifier(part.trim()));
                    depth += i32::from(part.ends_with('{')) - i32::from(part.ends_with('}'));
                    name
                });
                found.extend(top.filter(|name| !name.is_empty()));
            }
        }
    }
    found
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn imports_are_read() {
    let check = |text: &str, expected: &[&str]| {
        assert_eq!(imported(text).into_iter().collect::<Vec<_>>(), expected, "{text}");
    };
    check("use crate::a::{b, c};\nuse crate::{d, e::{f, g}, h};\n", &["a", "d", "e", "h"]);
    check("crate::x::y(crate::z); // crate::no\n", &["x", "z"]);
    check("use crate::a;\n#[cfg(test)]\nmod tests {\n    use crate::b;\n}\n", &["a"]);
    check("use crate::{\n    a,\n    b::C,\n};\nuse other::{d};\n", &["a", "b"]);
}
