//! The check that our layers add nothing that builds or installs software: no program, package,
//! header, cache or index for it. The base may have some: they are counted.

use super::{Expected, ours, place, verdict};
use crate::verdict::Verdict;
use engine::archive::{Archive, DPKG_STATUS, Entry, EntryKind, Layer, split};
use std::collections::BTreeSet;

/// Compilers, linkers and what drives them, without versions and architectures in their names.
const BUILDERS: [&str; 30] = [
    "ar",
    "as",
    "autoconf",
    "automake",
    "c++",
    "c89",
    "c99",
    "cargo",
    "cc",
    "clang",
    "clang++",
    "cmake",
    "cpp",
    "g++",
    "gcc",
    "gfortran",
    "git",
    "gmake",
    "go",
    "ld",
    "ld.bfd",
    "ld.gold",
    "ld.lld",
    "libtool",
    "m4",
    "make",
    "meson",
    "ninja",
    "pkg-config",
    "rustc",
];

/// What installs packages.
const INSTALLERS: [&str; 15] = [
    "conda",
    "easy_install",
    "gem",
    "hatch",
    "mamba",
    "npm",
    "npx",
    "pdm",
    "pip",
    "pipenv",
    "pipx",
    "poetry",
    "uv",
    "uvx",
    "yarn",
];

/// Python packages that install others.
const MODULES: [&str; 9] =
    ["conda", "easy_install.py", "hatch", "pdm", "pip", "pipenv", "pipx", "poetry", "uv"];

/// Debian packages without versions, in addition to all that end with `-dev`.
const PACKAGES: [&str; 14] = [
    "binutils",
    "build-essential",
    "cargo",
    "clang",
    "cmake",
    "cpp",
    "dpkg-dev",
    "g++",
    "gcc",
    "git",
    "make",
    "ninja-build",
    "pkg-config",
    "rustc",
];

/// Nothing of the kind in our layers, hidden or not.
pub(crate) fn no_build_tools(archive: &Archive, _: &Expected) -> Verdict {
    let mut evidence = BTreeSet::new();
    for (index, layer) in ours(archive) {
        for (path, entry) in &layer.files {
            if let Some((path, what)) = judge(path, entry) {
                evidence.insert(format!("{}: {what}", place(path, index)));
            }
        }
    }
    let base = installed(archive.layers.iter().filter(|layer| !layer.ours));
    let added = installed(archive.layers.iter().filter(|layer| layer.ours));
    let added: Vec<&str> = added.difference(&base).copied().collect();
    for name in &added {
        if name.ends_with("-dev") || PACKAGES.contains(&plain(name)) {
            evidence.insert(format!("the Debian package {name}: what builds software"));
        }
    }
    let fact = format!("{} Debian packages added; {}", added.len(), of_base(archive));
    verdict(evidence.into_iter().collect(), fact)
}

/// What the base brings, in a few words.
fn of_base(archive: &Archive) -> String {
    let layers = archive.layers.iter().filter(|layer| !layer.ours);
    let names: BTreeSet<&str> = layers
        .flat_map(|layer| &layer.files)
        .filter_map(|(path, entry)| judge(path, entry))
        .map(|(path, _)| plain(split(path).1))
        .filter(|name| BUILDERS.contains(name) || INSTALLERS.contains(name))
        .collect();
    if names.is_empty() {
        return "the base brings no tools".to_owned();
    }
    format!("the base brings {}", names.into_iter().collect::<Vec<_>>().join(", "))
}

/// What a path is, if it shouldn't be there; the path is cut where all below it is the same.
fn judge<'p>(path: &'p str, entry: &Entry) -> Option<(&'p str, &'static str)> {
    let (folder, name) = split(path);
    let last = split(folder).1;
    if entry.kind != EntryKind::Folder && ["bin", "sbin", "libexec"].contains(&last) {
        let name = plain(name);
        if BUILDERS.contains(&name) {
            return Some((path, "what builds software"));
        }
        if INSTALLERS.contains(&name) {
            return Some((path, "what installs packages"));
        }
    }
    if let Some(end) = module(path) {
        return Some((&path[..end], "what installs packages"));
    }
    if entry.kind != EntryKind::File {
        return None;
    }
    if path.starts_with("usr/lib/gcc/") || path.starts_with("usr/libexec/gcc/") {
        let compiler = ["cc1", "cc1plus", "collect2", "lto1"].contains(&name);
        return (compiler || name.ends_with(".a")).then_some((path, "a part of a compiler"));
    }
    let includes = ["usr/include/", "usr/local/include/"];
    if includes.iter().any(|start| path.starts_with(start)) {
        return Some((path, "a header, for compilers"));
    }
    if path.starts_with("usr/") && name.ends_with(".a") {
        return Some((path, "a static library, for linkers"));
    }
    // apt's own locks are empty, and a package cache of nothing has only them.
    let apt = path.starts_with("var/lib/apt/lists/") || path.starts_with("var/cache/apt/");
    if apt && name != "lock" && entry.size > 0 {
        return Some((path, "an index or archive of Debian packages"));
    }
    let cache = path.split('/').any(|part| [".cache", ".npm"].contains(&part));
    (cache && entry.size > 0).then_some((path, "a cache"))
}

/// The end of the part of `path` that names a Python package that installs others.
fn module(path: &str) -> Option<usize> {
    let mut end = 0;
    let mut above = "";
    for part in path.split('/') {
        let here = end + part.len();
        let packages = ["site-packages", "dist-packages"].contains(&above);
        if part == "ensurepip" || (packages && MODULES.contains(&part)) {
            return Some(here);
        }
        (above, end) = (part, here + 1);
    }
    None
}

/// `gcc` for `x86_64-linux-gnu-gcc-12`, `pip` for `pip3.11`.
fn plain(name: &str) -> &str {
    let name = name.strip_suffix(".exe").unwrap_or(name);
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    // `c89` is no version of `c`.
    let plain = if plain.len() < 2 { name } else { plain };
    plain.rsplit_once("-linux-gnu-").map_or(plain, |(_, name)| name)
}

/// The packages that dpkg says are installed, in any of the layers.
fn installed<'l>(layers: impl Iterator<Item = &'l Layer>) -> BTreeSet<&'l str> {
    let mut names = BTreeSet::new();
    for text in layers.filter_map(|layer| layer.texts.get(DPKG_STATUS)) {
        for paragraph in text.split("\n\n") {
            let field = |key: &str| paragraph.lines().find_map(|line| line.strip_prefix(key));
            if field("Status: ").is_some_and(|status| status.ends_with(" installed")) {
                names.extend(field("Package: "));
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_without_version_and_architecture() {
        let check = |name: &str, expected: &str| assert_eq!(plain(name), expected);
        check("gcc", "gcc");
        check("x86_64-linux-gnu-gcc-12", "gcc");
        check("aarch64-linux-gnu-g++", "g++");
        check("pip3.11", "pip");
        check("c89", "c89");
        check("ld.bfd", "ld.bfd");
        check("m4", "m4");
    }

    #[test]
    fn paths_are_judged() {
        let check = |path: &str, expected: Option<&str>| {
            let entry = Entry { size: 1, ..Entry::default() };
            assert_eq!(judge(path, &entry).map(|found| found.1), expected, "{path}");
        };
        let (builds, installs) = (Some("what builds software"), Some("what installs packages"));
        check("usr/bin/gcc-12", builds);
        check("usr/local/bin/uv", installs);
        check("opt/venv/bin/pip3", installs);
        check("opt/venv/lib/python3.11/site-packages/pip/__init__.py", installs);
        check("usr/lib/python3.11/ensurepip/_bundled/pip-23-py3-none-any.whl", installs);
        check("opt/venv/lib/python3.11/site-packages/celery/bin/make.py", None);
        check("opt/venv/lib/python3.11/site-packages/pipeline/a.py", None);
        check("app/git", None);
        check("usr/bin/python3.11", None);
        check("usr/lib/gcc/x86_64-linux-gnu/12/cc1", Some("a part of a compiler"));
        check("usr/include/zlib.h", Some("a header, for compilers"));
        check("usr/lib/x86_64-linux-gnu/libz.a", Some("a static library, for linkers"));
        check("usr/lib/x86_64-linux-gnu/libz.so.1", None);
        let index = Some("an index or archive of Debian packages");
        check("var/lib/apt/lists/deb.debian.org_Packages", index);
        check("var/cache/apt/archives/a.deb", index);
        check("var/cache/apt/archives/lock", None);
        check("root/.cache/pip/a", Some("a cache"));
        let empty = Entry::default();
        assert_eq!(judge("root/.cache/x", &empty), None);
        let folder = Entry { kind: EntryKind::Folder, ..Entry::default() };
        assert_eq!(judge("usr/bin/git", &folder), None);
    }
}
