//! Docker 26 with buildx, from Debian 13's packages unpacked beside everything else: nothing is
//! installed, and no source is added to apt's.

use super::Bench;
use crate::invocation::Invocation;
use crate::run::{QUESTION, Runner};
use crate::state::make_folder;
use anyhow::Context as _;
use std::path::{Path, PathBuf};

/// The daemon, the client and its plugin for BuildKit.
const PACKAGES: [&str; 3] = ["docker.io", "docker-cli", "docker-buildx"];

/// The folder that Docker 26 is unpacked in; fetched once for a checkout.
pub(super) fn unpacked(bench: &Bench<'_>) -> anyhow::Result<PathBuf> {
    let folder = bench.workflow.state.folder.join("docker26");
    let root = folder.join("root");
    if root.join("usr/sbin/dockerd").is_file() {
        return Ok(root);
    }
    for part in ["lists/partial", "cache/archives/partial", "root", "config/cli-plugins"] {
        make_folder(&folder.join(part))?;
    }
    let sources = folder.join("sources.list");
    let keys = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let line = format!("deb [signed-by={keys}] http://deb.debian.org/debian trixie main\n");
    std::fs::write(&sources, line).with_context(|| format!("writing {}", sources.display()))?;
    let inside = Runner { folder: folder.clone(), ..bench.runner.clone() };
    bench.step_with(&inside, &apt(&folder, &["update", "--quiet"]))?;
    bench.step_with(&inside, &apt(&folder, &[&["download", "--quiet"], &PACKAGES[..]].concat()))?;
    for entry in std::fs::read_dir(&folder).context("reading the packages")?.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|end| end == "deb") {
            let words = ["--extract".to_owned(), path.display().to_string(), "root".to_owned()];
            bench.step_with(&inside, &Invocation::new("dpkg-deb", words))?;
        }
    }
    let plugin = root.join("usr/libexec/docker/cli-plugins/docker-buildx");
    let link = ["-sfn".to_owned(), plugin.display().to_string(), "config/cli-plugins/".to_owned()];
    inside.ask(&Invocation::new("ln", link), QUESTION)?;
    Ok(root)
}

/// `apt-get` with lists and archives of its own (apt.conf(5), "Directories").
fn apt(folder: &Path, words: &[&str]) -> Invocation {
    let place = |name: &str| folder.join(name).display().to_string();
    let options = [
        format!("Dir::Etc::sourcelist={}", place("sources.list")),
        "Dir::Etc::sourceparts=-".to_owned(),
        format!("Dir::State::lists={}", place("lists")),
        format!("Dir::Cache={}", place("cache")),
        "APT::Sandbox::User=root".to_owned(),
    ];
    let options = options.into_iter().flat_map(|option| ["-o".to_owned(), option]);
    Invocation::new("apt-get", options.chain(words.iter().map(ToString::to_string)))
}

/// What makes a process use this Docker instead of the machine's.
pub(super) fn environment(root: &Path, path: &str) -> Vec<(String, String)> {
    let bin = |name: &str| root.join("usr").join(name).display().to_string();
    let config = root.with_file_name("config").display().to_string();
    vec![
        ("PATH".to_owned(), format!("{}:{}:{path}", bin("sbin"), bin("bin"))),
        ("DOCKER_CONFIG".to_owned(), config),
    ]
}
