//! The rooms of the house: crates in one direction, and no two modules of a crate that import each
//! other. Cargo forbids circles of crates; the rest is read from the imports.

use super::checkout::source;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The crates, from the bottom up.
pub const CRATES: [&str; 7] =
    ["process", "source", "engine", "registry", "image", "smoke", "workflow"];

/// The program that none of them depends on, so that only who asks registries compiles it.
pub const HTTPS: &str = "https";

#[test]
fn a_crate_depends_on_those_below_it_and_none_on_proof() {
    for (place, name) in CRATES.iter().enumerate() {
        let manifest = source(&format!("xtask/crates/{name}/Cargo.toml"));
        let manifest = fs::read_to_string(manifest).unwrap();
        let ours = manifest.lines().filter_map(|line| line.strip_suffix(".workspace = true"));
        let ours = ours.filter(|name| CRATES.contains(name) || [HTTPS, "proof"].contains(name));
        let above: Vec<&str> = ours.filter(|name| !CRATES[..place].contains(name)).collect();
        assert!(above.is_empty(), "{name} depends on {above:?}");
        let (product, _) = manifest.split_once("[dev-dependencies]").unwrap_or((&manifest, ""));
        assert!(!product.contains("rustls") && !product.contains("ureq"), "{name}: TLS");
    }
    let drawing = fs::read_to_string(source("CONTRIBUTING.md")).unwrap();
    assert!(drawing.contains(&format!("    {} < xtask  ", CRATES.join(" < "))));
    let folders = fs::read_dir(source("xtask/crates")).unwrap().count();
    assert_eq!(folders, CRATES.len() + 1, "a crate that this test doesn't know");
}

/// Where code above the crate `engine` decides by an engine's name, how often, and why that is no
/// capability: the other places ask the engine.
const BY_NAME: [(&str, usize, &str); 16] = [
    ("registry/src/login.rs", 7, "each engine keeps logins in other files"),
    ("registry/src/places.rs", 5, "each engine tells its registries in its own JSON"),
    ("image/src/config.rs", 2, "the words of image.toml"),
    (
        "image/src/plan.rs",
        2,
        "Podman builds in its own process, which can be killed and leaves files",
    ),
    ("image/src/plan/options.rs", 1, "any engine serves to read a tag"),
    ("image/src/push/deliver.rs", 6, "a push of Podman writes the digest, one of Docker prints it"),
    ("image/src/squash.rs", 3, "Docker's import takes the config as lines"),
    ("smoke/src/roles.rs", 2, "Podman runs a health check when it is asked for its outcome"),
    ("workflow/src/commands/build.rs", 1, "Docker keeps its cache in an image, after the build"),
    ("workflow/src/commands/build/gather.rs", 1, "Docker's builder pulls by itself"),
    ("workflow/src/commands/dev.rs", 2, "mounts with SELinux, and users"),
    ("workflow/src/commands/doctor.rs", 3, "it looks at both"),
    ("workflow/src/commands/images.rs", 1, "steps are images in Podman's store alone"),
    ("workflow/src/commands/push.rs", 1, "Docker's daemon has a separate environment"),
    ("workflow/src/commands/setup.rs", 2, "it installs Podman"),
    ("workflow/src/commands/squash.rs", 1, "Podman squashes in a build, which tidies up itself"),
];

#[test]
fn who_decides_by_an_engine_s_name_has_a_reason() {
    let mut files = Vec::new();
    for name in CRATES.iter().skip_while(|name| **name != "engine").skip(1) {
        product_files(&source(&format!("xtask/crates/{name}/src")), &mut files);
    }
    let root = source("xtask/crates");
    let mut found = BTreeMap::new();
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        let product = without_tests(&text);
        let count =
            product.matches("Kind::Podman").count() + product.matches("Kind::Docker").count();
        if count > 0 {
            let name = file.strip_prefix(&root).unwrap().display().to_string();
            found.insert(name, count);
        }
    }
    let listed: BTreeMap<String, usize> =
        BY_NAME.iter().map(|(file, count, _)| ((*file).to_owned(), *count)).collect();
    assert_eq!(found, listed);
    assert!(BY_NAME.iter().all(|(_, _, reason)| !reason.is_empty()));
}

/// The text of a file up to the tests in it.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}

/// The files that start programs. git's output is bytes, and its own variables must be taken away: where
/// libgit2 can't read a repository, it is not started by a `Runner`.
const STARTS: [&str; 2] = ["process/src/run.rs", "source/src/git/program.rs"];

#[test]
fn programs_are_started_in_one_place() {
    let mut files = Vec::new();
    for name in CRATES {
        product_files(&source(&format!("xtask/crates/{name}/src")), &mut files);
    }
    let root = source("xtask/crates");
    let starts = |file: &&PathBuf| {
        let text = fs::read_to_string(file).unwrap();
        without_tests(&text).contains("Command::new(")
    };
    let found: Vec<String> = files
        .iter()
        .filter(starts)
        .map(|file| file.strip_prefix(&root).unwrap().display().to_string())
        .collect();
    assert_eq!(found, STARTS);
}

/// What every user compiles knows neither tests nor benchmarks.
#[test]
fn a_build_compiles_nothing_of_proof() {
    let manifest = fs::read_to_string(source("xtask/Cargo.toml")).unwrap();
    assert!(
        manifest.contains("\n[dependencies]\nworkflow.workspace = true\n\n[lints]"),
        "{manifest}"
    );
    let main = fs::read_to_string(source("xtask/src/main.rs")).unwrap();
    assert!(main.lines().count() <= 20 && !main.contains("proof"), "{main}");
}

#[test]
fn no_modules_import_each_other() {
    let crates = CRATES.map(|name| source(&format!("xtask/crates/{name}/src")));
    let mut files = 0;
    for root in crates.into_iter().chain([source("xtask/proof/src")]) {
        let imports = imports_below(&root);
        files += imports.len();
        for imports in [&imports, &of_rooms(&imports)] {
            let circle = circle(imports);
            assert!(circle.is_empty(), "{}: {}", root.display(), circle.join(" -> "));
        }
    }
    assert!(files > 150, "{files}");
}

/// The modules of a crate, each with those of the same crate that it imports: neither those above it
/// nor those in it.
fn imports_below(root: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut files = Vec::new();
    product_files(root, &mut files);
    let module = |file: &PathBuf| {
        let path = file.strip_prefix(root).unwrap().with_extension("");
        let path = path.to_str().unwrap().replace('/', "::");
        if path == "lib" || path == "main" { String::new() } else { path }
    };
    let texts: BTreeMap<String, String> =
        files.iter().map(|file| (module(file), fs::read_to_string(file).unwrap())).collect();
    let passed_on = passed_on(texts.get("").map_or("", String::as_str));
    let mut imports = BTreeMap::new();
    for (module, text) in texts.iter().filter(|(module, _)| !module.is_empty()) {
        let mut found = BTreeSet::new();
        for path in imported(module, text) {
            let first = path.split("::").next().unwrap();
            let path = passed_on.get(first).map_or(path.clone(), |from| format!("{from}::{path}"));
            let other = ancestors(&path).find(|path| texts.contains_key(*path)).unwrap_or_default();
            let related = |a: &str, b: &str| ancestors(a).any(|above| above == b);
            if !other.is_empty() && !related(other, module) && !related(module, other) {
                found.insert(other.to_owned());
            }
        }
        imports.insert(module.clone(), found);
    }
    imports
}

/// The same between the top-level modules, each with all its submodules.
fn of_rooms(imports: &BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, BTreeSet<String>> {
    let room = |module: &str| module.split("::").next().unwrap().to_owned();
    let mut rooms: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, others) in imports {
        let others = others.iter().map(|other| room(other)).filter(|other| *other != room(module));
        rooms.entry(room(module)).or_default().extend(others);
    }
    rooms
}

/// A path and those above it, the longest first.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| Some(path.rsplit_once("::")?.0))
}

/// The names that the root of a crate passes on, with the module that each is from.
fn passed_on(root: &str) -> BTreeMap<String, String> {
    let uses = root.lines().filter_map(|line| line.strip_prefix("pub use ")?.strip_suffix(';'));
    let all = uses.flat_map(|path| expanded("", path));
    let pair = |path: String| path.rsplit_once("::").map(|(from, name)| (name.into(), from.into()));
    all.filter_map(pair).collect()
}

fn product_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_str().unwrap();
        if entry.is_dir() && name != "tests" {
            product_files(&entry, found);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            found.push(entry);
        }
    }
}

/// The paths of its crate that the code of a module names, but for its tests and comments.
fn imported(module: &str, text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = code.lines().map(|line| line.split("//").next().unwrap().trim());
    let code = lines.collect::<Vec<_>>().join(" ");
    let mut found = BTreeSet::new();
    let whole = |start: usize| !code[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    for (start, _) in code.match_indices("crate::").filter(|(start, _)| whole(*start)) {
        found.extend(expanded("", &code[start + "crate::".len()..]));
    }
    for (start, _) in code.match_indices("super::").filter(|(start, _)| whole(*start)) {
        if !code[..start].ends_with("super::") {
            let rest = code[start..].trim_start_matches("super::");
            let up = (code.len() - start - rest.len()) / "super::".len();
            let above = ancestors(module).nth(up).unwrap_or_default();
            found.extend(expanded(above, rest));
        }
    }
    found
}

/// What a path of a `use` stands for, below `above`: one path, or one for each in its braces.
fn expanded(above: &str, path: &str) -> Vec<String> {
    let end = |c: char| !(c.is_alphanumeric() || c == '_' || c == ':');
    let (first, rest) = path.split_at(path.find(end).unwrap_or(path.len()));
    let join = |first: &str| match (above, first.trim_matches(':')) {
        (above, "" | "self") => above.to_owned(),
        ("", first) => first.to_owned(),
        (above, first) => format!("{above}::{first}"),
    };
    let Some(group) = rest.strip_prefix('{').filter(|_| first.is_empty() || first.ends_with("::"))
    else {
        return vec![join(first)];
    };
    let (mut depth, mut part, mut parts) = (0, String::new(), Vec::new());
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => parts.push(std::mem::take(&mut part)),
            _ => part.push(c),
        }
        depth += i32::from(c == '{') - i32::from(c == '}');
    }
    parts.push(part);
    let parts = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
    parts.flat_map(|part| expanded(&join(first), part)).collect()
}

/// A cycle of imports; empty when there is none.
fn circle(imports: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    fn visit<'i>(
        module: &'i str,
        imports: &'i BTreeMap<String, BTreeSet<String>>,
        way: &mut Vec<&'i str>,
        done: &mut BTreeSet<&'i str>,
    ) -> Option<Vec<String>> {
        if let Some(start) = way.iter().position(|before| *before == module) {
            let circle = way[start..].iter().chain([&module]);
            return Some(circle.map(|module| (*module).to_owned()).collect());
        }
        if !done.insert(module) {
            return None;
        }
        way.push(module);
        let found = imports.get(module).into_iter().flatten();
        let found = found.into_iter().find_map(|next| visit(next, imports, way, done));
        way.pop();
        found
    }
    let mut done = BTreeSet::new();
    let mut all = imports.keys();
    all.find_map(|module| visit(module, imports, &mut Vec::new(), &mut done)).unwrap_or_default()
}

#[test]
fn imports_are_read() {
    let check = |module: &str, text: &str, expected: &[&str]| {
        let found = imported(module, text);
        assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{text}");
    };
    check(
        "m",
        "use crate::a::{b, c};\nuse crate::{d, e::{f, g}, h};\n",
        &["a::b", "a::c", "d", "e::f", "e::g", "h"],
    );
    check("m", "crate::x::y(crate::z); // crate::no\n", &["x::y", "z"]);
    check("m", "use crate::a;\n#[cfg(test)]\nmod tests {\n    use crate::b;\n}\n", &["a"]);
    check(
        "m",
        "use crate::{\n    a,\n    b::{self, C},\n};\nuse other::{d};\n",
        &["a", "b", "b::C"],
    );
    check(
        "m::n::o",
        "use super::p;\nuse super::super::{q, r::s};\n",
        &["m::n::p", "m::q", "m::r::s"],
    );
    check("m", "use super::a::b;", &["a::b"]);
}

#[test]
fn a_circle_is_found_and_a_fork_is_none() {
    let graph = |pairs: &[(&str, &str)]| {
        let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in pairs {
            all.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        circle(&all).join(" ")
    };
    assert_eq!(graph(&[("a", "b"), ("b", "c"), ("c", "b")]), "b c b");
    assert_eq!(graph(&[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]), "");
    let files = [("a::x", "b::y"), ("b::z", "a"), ("a::w", "a::v")];
    let files = files.map(|(from, to)| (from.to_owned(), BTreeSet::from([to.to_owned()])));
    let files: BTreeMap<_, _> = files.into();
    assert_eq!(circle(&files).join(" "), "");
    assert_eq!(circle(&of_rooms(&files)).join(" "), "a b a");
}
