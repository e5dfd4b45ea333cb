//! Finds what libgit2 cannot read, or reads in another way than git.

use std::collections::{BTreeSet, HashSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use process::failure::{Exit, failure_help};
use process::regular;

use git2::{Config, Index, Repository, SubmoduleIgnore, SubmoduleStatus};

/// Variables that git is configured by or finds a repository with (git(1), "ENVIRONMENT VARIABLES",
/// and git-config(1)), and which libgit2 doesn't know.
const VARIABLES: [&str; 19] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_ATTR_GLOBAL",
    "GIT_ATTR_NOSYSTEM",
    "GIT_ATTR_SYSTEM",
    "GIT_CEILING_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_SYSTEM",
    "GIT_DIR",
    "GIT_DISCOVERY_ACROSS_FILESYSTEM",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_REPLACE_REF_BASE",
    "GIT_WORK_TREE",
];

/// The first of the variables that only the program reads.
pub(super) fn variable() -> Option<&'static str> {
    VARIABLES.into_iter().find(|name| std::env::var_os(name).is_some())
}

/// What stands in the way of reading `repo` with libgit2.
///
/// # Errors
/// [`Exit::Git`] for a named pipe or a device that libgit2, and git, would read without an end.
pub(super) fn find(repo: &Repository) -> anyhow::Result<Option<String>> {
    let index = repo.index().ok();
    for path in rules(repo, index.as_ref()) {
        if let Err(error) = regular::open(&path)
            && error.kind() == ErrorKind::InvalidInput
        {
            let message = format!("reading {}: {error}", path.display());
            return Err(failure_help(Exit::Git, message, "remove it, or put a file in its place"));
        }
    }
    Ok(unread(repo))
}

/// The files of attributes and of ignored names that git reads for what the index has.
fn rules(repo: &Repository, index: Option<&Index>) -> Vec<PathBuf> {
    let top = repo.workdir().unwrap_or(repo.path());
    let all = index.map(folders).unwrap_or_default();
    let tracked = all.iter().map(|folder| top.join(folder));
    let tracked = tracked.flat_map(|f| [".gitattributes", ".gitignore"].map(|name| f.join(name)));
    let own = ["attributes", "exclude"].map(|name| repo.commondir().join("info").join(name));
    tracked.chain(own).collect()
}

fn unread(repo: &Repository) -> Option<String> {
    let index = match repo.index() {
        Ok(index) => index,
        Err(error) => return Some(in_words(&error)),
    };
    let config = match repo.config().and_then(|mut config| config.snapshot()) {
        Ok(config) => config,
        Err(error) => return Some(error.message().to_owned()),
    };
    let replaced =
        repo.references_glob("refs/replace/*").is_ok_and(|mut refs| refs.next().is_some());
    if replaced || repo.commondir().join("info/grafts").exists() {
        return Some("it has replaced objects (refs/replace or info/grafts)".to_owned());
    }
    if config.get_bool("core.sparseCheckout").unwrap_or(false) {
        return Some("it is a sparse checkout (core.sparseCheckout)".to_owned());
    }
    if !sorted(&regular::read(repo.commondir().join("packed-refs")).unwrap_or_default()) {
        return Some("its packed-refs are not sorted".to_owned());
    }
    attributes(repo, &index, &config).or_else(|| submodules(repo, &index, &config))
}

/// Whether each name in a packed-refs file comes after the one before it, as git writes them. A
/// search in an unsorted file finds only some of the tags.
fn sorted(text: &[u8]) -> bool {
    let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.starts_with(b"#"));
    let names = lines.filter_map(|line| line.splitn(2, |&byte| byte == b' ').nth(1));
    names.is_sorted_by(|one, next| one < next)
}

/// Why libgit2 could not open a repository or its index, in the words of git's manual.
pub(super) fn in_words(error: &git2::Error) -> String {
    let message = error.message().to_lowercase();
    let known = [
        ("'link'", "its index is split (core.splitIndex)"),
        ("'sdir'", "its index is sparse (index.sparse)"),
        ("object format", "its ids are not SHA-1 (extensions.objectFormat)"),
        ("refstorage", "its references are in a reftable (extensions.refStorage)"),
    ];
    let found = known.iter().find(|(part, _)| message.contains(part));
    found.map_or(message.clone(), |(_, words)| (*words).to_owned())
}

/// Attributes that need a program or an encoding that libgit2 does not have.
fn attributes(repo: &Repository, index: &Index, config: &Config) -> Option<String> {
    let drivers = drivers(config);
    let top = repo.workdir()?;
    let mut files = vec![repo.commondir().join("info/attributes"), "/etc/gitattributes".into()];
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".config"));
    match config.get_path("core.attributesFile") {
        Ok(path) => files.push(path),
        Err(_) => {
            let xdg = std::env::var_os("XDG_CONFIG_HOME").filter(|path| !path.is_empty());
            files.extend(xdg.map(PathBuf::from).or_else(home).map(|f| f.join("git/attributes")));
        }
    }
    for path in files {
        if let Some(found) = regular::read(&path).ok().and_then(|text| filter(&text, &drivers)) {
            return Some(found);
        }
    }
    folders(index).iter().find_map(|folder| {
        let path = folder.join(".gitattributes");
        let text = regular::read(top.join(&path)).ok().or_else(|| {
            // Git takes a missing file from the index.
            let entry = index.get_path(&path, 0)?;
            repo.find_blob(entry.id).ok().map(|blob| blob.content().to_vec())
        })?;
        filter(&text, &drivers)
    })
}

/// The top folder, and each that a file of the index is in.
fn folders(index: &Index) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::from([PathBuf::new()]);
    let mut last = Vec::new();
    for entry in index.iter() {
        let end = entry.path.iter().rposition(|&b| b == b'/').unwrap_or(0);
        if entry.path[..end] != last[..] {
            last = entry.path[..end].to_vec();
            if let Ok(path) = std::str::from_utf8(&last) {
                folders.extend(Path::new(path).ancestors().map(Path::to_owned));
            }
        }
    }
    folders
}

/// The names of the filters that git is configured to run.
fn drivers(config: &Config) -> HashSet<String> {
    let mut drivers = HashSet::new();
    if let Ok(mut entries) = config.entries(Some(r"^filter\..*\.(clean|process)$")) {
        while let Some(Ok(entry)) = entries.next() {
            let name = String::from_utf8_lossy(entry.name_bytes()).into_owned();
            let name = name.strip_prefix("filter.").and_then(|n| n.rsplit_once('.'));
            drivers.extend(name.map(|(name, _)| name.to_owned()));
        }
    }
    drivers
}

/// What in an attributes file libgit2 does not do.
fn filter(text: &[u8], drivers: &HashSet<String>) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.flat_map(str::split_whitespace).find_map(|word| {
        let runs = word.strip_prefix("filter=").is_some_and(|name| drivers.contains(name));
        (runs || word.starts_with("working-tree-encoding="))
            .then(|| format!("its attributes ask for {word}"))
    })
}

/// Submodules in a state that libgit2 judges in another way.
fn submodules(repo: &Repository, index: &Index, config: &Config) -> Option<String> {
    let links: Vec<String> = index
        .iter()
        .filter(|entry| entry.mode == super::GITLINK)
        .map(|entry| String::from_utf8_lossy(&entry.path).into_owned())
        .collect();
    if links.is_empty() {
        return None;
    }
    let top = repo.workdir()?;
    let modules = Config::open(&top.join(".gitmodules"));
    for config in [Some(config), modules.as_ref().ok()].into_iter().flatten() {
        let pattern = r"^(submodule\..*\.ignore|diff\.ignoresubmodules)$";
        if config.entries(Some(pattern)).is_ok_and(|mut entries| entries.next().is_some()) {
            return Some("it sets `ignore` for submodules".to_owned());
        }
    }
    links.iter().find_map(|link| {
        let folder = top.join(link);
        if !folder.join(".git").exists() {
            return None;
        }
        match Repository::open(&folder) {
            Ok(module) => {
                if let Some(found) = unread(&module) {
                    return Some(format!("submodule {link}: {found}"));
                }
            }
            Err(error) => return Some(format!("submodule {link}: {}", error.message())),
        }
        match repo.submodule_status(link, SubmoduleIgnore::None) {
            Ok(status) if !status.contains(SubmoduleStatus::WD_UNTRACKED) => None,
            Ok(_) => Some(format!("submodule {link} has untracked files")),
            Err(error) => Some(format!("submodule {link}: {}", error.message())),
        }
    })
}
