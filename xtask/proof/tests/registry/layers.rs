//! The layer cache in a registry: what one machine has built, another one needn't.

use super::bench::on_podman;
use super::cases::Stage;
use super::place::canary;
use super::proxy::{Fault, Kind, Rule, Who};
use super::workshop::{Workshop, holds_secret};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A step that never makes the same layer twice, one that the change below comes before, and the
/// stage that another one copies from.
const DOCKERFILE: &str = "ARG BASE_IMAGE
FROM ${BASE_IMAGE} AS base
RUN read -r once </proc/sys/kernel/random/uuid; echo \"$once\" >/dependencies
FROM base AS runtime
COPY app /app
RUN read -r once </proc/sys/kernel/random/uuid; echo \"$once\" >/compiled
";

pub const BASE: &str = "localhost/xtask-test/base:1";

/// A base image with a shell and what it is linked with, from this machine's own.
pub fn base(workshop: &Workshop) {
    let context = tempfile::tempdir().unwrap();
    let copy = |file: &Path| {
        let place = context.path().join("root").join(file.strip_prefix("/").unwrap());
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(file, place).unwrap();
    };
    let shell = Path::new("/bin/sh");
    copy(shell);
    let linked = Command::new("ldd").arg(shell).output().unwrap();
    let linked = String::from_utf8(linked.stdout).unwrap();
    linked
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .for_each(|word| copy(word.as_ref()));
    let text = "FROM scratch\nCOPY root /\nENV PATH=/bin\n";
    fs::write(context.path().join("Dockerfile"), text).unwrap();
    let folder = context.path().display().to_string();
    // The archive that carries it to the other store has Docker's format.
    let format: &[&str] = if on_podman() { &["--format=docker"] } else { &[] };
    workshop.engine(&[&["build", "--tag", BASE], format, &[&folder]].concat(), None).good();
}

/// The workshop's checkout with a Dockerfile and the least of an application.
pub fn checkout(workshop: &Workshop) {
    workshop.write("docker/Dockerfile", DOCKERFILE);
    workshop.write("app/manage.py", "one = 1\n");
    for name in ["settings", "asgi", "wsgi", "celery"] {
        workshop.write(&format!("app/senex_trader/{name}.py"), "");
    }
    workshop.write(".dockerignore", "*\n!app\n");
}

/// A store of Podman's own with nothing but the base image, the very same; on Docker the daemon's,
/// without all that was built.
fn empty(workshop: &Workshop) -> Option<(TempDir, PathBuf)> {
    if !on_podman() {
        workshop.engine(&["builder", "prune", "--all", "--force"], None).good();
        workshop.engine(&["image", "rm", "--force", "senex_trader:prod"], None).good();
        workshop.engine(&["image", "prune", "--force"], None).good();
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    let archive = format!("{path}/base.tar");
    workshop.engine(&["save", "--output", &archive, BASE], None).good();
    let text = format!(
        "[storage]\ndriver = \"overlay\"\ngraphroot = \"{path}/graph\"\nrunroot = \"{path}/run\"\n"
    );
    let file = folder.path().join("storage.conf");
    fs::write(&file, text).unwrap();
    let mut command = workshop.engine_command(&["load", "--input", &archive]);
    let output = command.env("CONTAINERS_STORAGE_CONF", &file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some((folder, file))
}

/// Builds with the layer cache `cache`; the report and what was said.
fn build(workshop: &Workshop, home: &Path, cache: &str, store: Option<&Path>) -> (Value, String) {
    let words = ["build", "--base", BASE, "--cache", cache, "--format", "json"];
    let mut command = workshop.command(home, &words);
    if let Some(store) = store {
        command.env("CONTAINERS_STORAGE_CONF", store);
    }
    let output = command.output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{err}");
    assert!(!holds_secret(&err), "{err}");
    (serde_json::from_slice(&output.stdout).unwrap(), err)
}

/// The layers of a built image, base first.
fn layers(workshop: &Workshop, report: &Value, store: Option<&Path>) -> Vec<Value> {
    let mut command =
        workshop.engine_command(&["image", "inspect", report["image_id"].as_str().unwrap()]);
    if let Some(store) = store {
        command.env("CONTAINERS_STORAGE_CONF", store);
    }
    let output = command.output().unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    json[0]["RootFS"]["Layers"].as_array().unwrap().clone()
}

#[test]
fn a_changed_line_is_built_from_the_layers_of_another_machine() {
    let stage = Stage::new();
    let workshop = &stage.workshop;
    base(workshop);
    checkout(workshop);
    let proxy = stage.registry.proxy(&stage.place, false);
    // BuildKit 20.10 speaks no TLS with this machine's registries.
    let place = if on_podman() { &proxy.address } else { &stage.registry.address };
    let home = stage.place.home(place, Some(canary()));
    let cache = format!("{place}/team/layers");
    let (first, said) = build(workshop, home.path(), &cache, None);
    assert!(said.contains("layer cache: ") && !said.contains("isn't used"), "{said}");
    let before = layers(workshop, &first, None);
    assert_eq!(before.len(), 4, "{before:?}");
    workshop.write("app/manage.py", "one = 2\n");
    let store = empty(workshop);
    let file = store.as_ref().map(|(_, file)| file.as_path());
    let (second, said) = build(workshop, home.path(), &cache, file);
    let after = layers(workshop, &second, file);
    // The base and the dependencies are the same, the rest was made here.
    assert_eq!(before[..2], after[..2], "{said}");
    assert!(before[2] != after[2] && before[3] != after[3], "{before:?} {after:?}");
    assert!(second["cached_steps"].as_u64() >= Some(1), "{said}");
    // A registry that fails costs no build: neither one that can't be asked, nor one that fails
    // while the layers are sent.
    let home = stage.place.home(&proxy.address, Some(canary()));
    let cache = format!("{}/team/layers", proxy.address);
    let fault = || Fault::Status(503, None);
    let rule = |who, kind| Rule { who, kind, path: "", skip: 0, times: usize::MAX, fault: fault() };
    workshop.write("app/manage.py", "one = 3\n");
    proxy.rules(vec![rule(Who::Anybody, Kind::UploadStart)]);
    let (_, said) = build(workshop, home.path(), &cache, file);
    assert!(said.contains(&format!("layer cache: {cache} isn't used: ")), "{said}");
    workshop.write("app/manage.py", "one = 4\n");
    proxy.rules(vec![rule(Who::Engine, Kind::ManifestPut)]);
    let (_, said) = build(workshop, home.path(), &cache, file);
    assert!(said.contains("layer cache: ") && said.contains("wasn't written"), "{said}");
    if let Some((folder, file)) = store {
        remove(workshop, &folder, &file);
    }
}

/// A store is removed by its owner: its layers may be mounted.
fn remove(workshop: &Workshop, folder: &TempDir, file: &Path) {
    for words in [&["rm", "--all", "--force"][..], &["rmi", "--all", "--force"]] {
        let mut command = workshop.engine_command(words);
        command.env("CONTAINERS_STORAGE_CONF", file).output().unwrap();
    }
    let graph = folder.path().join("graph/overlay");
    let _ = Command::new("umount").arg(graph).output();
}
