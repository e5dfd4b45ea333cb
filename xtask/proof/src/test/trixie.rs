//! Packages of newer Debians, unpacked into a separate folder: nothing is installed, and no source is
//! added to apt's.

use super::Bench;
use anyhow::Context as _;
use process::invocation::Invocation;
use process::run::{QUESTION, Runner};
use process::state::make_folder;
use std::path::{Path, PathBuf};

/// Where `packages` of Debian 13 are unpacked: fetched once for a checkout, as long as the file `sign` of
/// theirs is there.
pub(super) fn unpacked(
    bench: &Bench<'_>,
    name: &str,
    packages: &[&str],
    sign: &str,
) -> anyhow::Result<PathBuf> {
    from(bench, "trixie", name, packages, sign)
}

/// The folders of cosign 2 and cosign 3, of Debian 13 and of the next one.
pub(super) fn cosigns(bench: &Bench<'_>) -> anyhow::Result<[PathBuf; 2]> {
    let one = |suite: &str| {
        let root = from(bench, suite, &format!("cosign-{suite}"), &["cosign"], "usr/bin/cosign")?;
        anyhow::Ok(root.join("usr/bin"))
    };
    Ok([one("trixie")?, one("sid")?])
}

fn from(
    bench: &Bench<'_>,
    suite: &str,
    name: &str,
    packages: &[&str],
    sign: &str,
) -> anyhow::Result<PathBuf> {
    let folder = bench.workflow.state.folder.join(name);
    let root = folder.join("root");
    if root.join(sign).is_file() {
        return Ok(root);
    }
    for part in ["lists/partial", "cache/archives/partial", "root"] {
        make_folder(&folder.join(part))?;
    }
    let sources = folder.join("sources.list");
    let keys = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let line = format!("deb [signed-by={keys}] http://deb.debian.org/debian {suite} main\n");
    std::fs::write(&sources, line).with_context(|| format!("writing {}", sources.display()))?;
    let inside = Runner { folder: folder.clone(), ..bench.runner.clone() };
    bench.step_with(&inside, &apt(&folder, &["update", "--quiet"]))?;
    bench.step_with(&inside, &apt(&folder, &[&["download", "--quiet"], packages].concat()))?;
    for entry in std::fs::read_dir(&folder).context("reading the packages")?.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|end| end == "deb") {
            let words = ["--extract".to_owned(), path.display().to_string(), "root".to_owned()];
            bench.step_with(&inside, &Invocation::new("dpkg-deb", words))?;
        }
    }
    Ok(root)
}

/// `apt-get` with separate lists and archives (apt.conf(5), "Directories").
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

/// The folder of Docker 26 with its plugins for BuildKit and Compose where its client looks for
/// them.
pub(super) fn docker26(bench: &Bench<'_>) -> anyhow::Result<PathBuf> {
    let packages = ["docker.io", "docker-cli", "docker-buildx", "docker-compose"];
    let own = "usr/libexec/docker/cli-plugins";
    let root = unpacked(bench, "docker26", &packages, &format!("{own}/docker-compose"))?;
    let plugins = root.with_file_name("config").join("cli-plugins");
    make_folder(&plugins)?;
    for name in ["docker-buildx", "docker-compose"] {
        let plugin = root.join(own).join(name);
        let link = ["-sfn", &plugin.display().to_string(), &plugins.display().to_string()];
        bench.runner.ask(&Invocation::new("ln", link), QUESTION)?;
    }
    Ok(root)
}

/// What makes a process use this Docker instead of the machine's.
pub(super) fn docker_environment(root: &Path, path: &str) -> Vec<(String, String)> {
    let bin = |name: &str| root.join("usr").join(name).display().to_string();
    let config = root.with_file_name("config").display().to_string();
    vec![
        ("PATH".to_owned(), format!("{}:{}:{path}", bin("sbin"), bin("bin"))),
        ("DOCKER_CONFIG".to_owned(), config),
    ]
}
