//! `docker/base.lock`: a base is the one that was looked up, whatever its tag names by now.

use super::bench::on_podman;
use super::cases::Stage;
use super::layers::{BASE, base, checkout};
use super::place::canary;
use serde_json::Value;
use std::fs;

const LOCK: &str = "docker/base.lock";

#[test]
fn a_base_is_the_one_that_was_looked_up_until_it_is_looked_up_again() {
    let stage = Stage::new();
    let (workshop, registry) = (&stage.workshop, &stage.registry);
    base(workshop);
    checkout(workshop);
    let proxy = registry.proxy(&stage.place, false);
    // Docker 20.10 speaks no TLS with this machine's registries.
    let place = if on_podman() { &proxy.address } else { &registry.address };
    let home = stage.place.home(place, Some(canary()));
    let (home, name) = (home.path(), format!("{place}/team/python:3"));
    let engine = |words: &[&str]| workshop.engine(words, Some(home)).good();
    let publish = |image: &str| {
        engine(&["tag", image, &name]);
        engine(&["push", &name]);
        engine(&["rmi", &name]);
        registry.digest("team/python", "3").unwrap()
    };
    let old = publish(BASE);
    let toml = fs::read_to_string(workshop.path("docker/image.toml")).unwrap();
    let own = format!("[variant.prod]\nbase = \"{name}\"\nbase_max_age_days = 30\n");
    let toml = toml.replacen("[variant.prod]\n", &own, 1);
    workshop.write("docker/image.toml", &format!("{toml}\n[variant.dev]\nbase = \"{name}\"\n"));
    let build = |words: &[&str]| {
        let ended = workshop.run(home, &[&["build", "--format", "json"], words].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        (serde_json::from_str::<Value>(&ended.out).unwrap(), ended.err)
    };
    let lock = || fs::read_to_string(workshop.path(LOCK)).unwrap();
    let label = |report: &Value, name: &str| {
        report["labels"][format!("org.opencontainers.image.{name}")].clone()
    };

    let shown = workshop.run(home, &["build", "--update-base", "--dry-run"]);
    let would = format!("would ask for the digest of {name} and write {LOCK}");
    assert!(shown.code == Some(0) && shown.err.contains(&would), "{}", shown.err);
    assert!(!workshop.path(LOCK).exists());
    let (first, said) = build(&["--update-base"]);
    assert!(said.contains(&format!("{name}: {old}")), "{said}");
    assert!(lock().contains(&format!("[\"{name}\"]\ndigest = \"{old}\"\n")), "{}", lock());
    assert_eq!(label(&first, "base.name"), *name);
    assert_eq!(label(&first, "base.digest"), *old);
    // It isn't committed yet.
    assert!(first["dirty"].as_array().unwrap().iter().any(|change| change["path"] == LOCK));
    workshop.git(&["add", "--all"]);
    workshop.git(&["commit", "--quiet", "--message", "base"]);

    // The tag is another image's by now, in the registry and here.
    let folder = tempfile::tempdir().unwrap();
    let text = format!("FROM {BASE}\nLABEL newer=yes\n");
    fs::write(folder.path().join("Dockerfile"), text).unwrap();
    engine(&[
        "build",
        "--tag",
        "localhost/xtask-test/newer:1",
        &folder.path().display().to_string(),
    ]);
    let new = publish("localhost/xtask-test/newer:1");
    assert_ne!(old, new);
    engine(&["pull", &name]);
    let (second, said) = build(&["--force", "--pull"]);
    assert!(said.contains("looks for a newer one"), "{said}");
    assert_eq!(label(&second, "base.digest"), *old, "{said}");
    assert_eq!(second["labels"]["newer"], Value::Null);

    // Without an answer nothing is written.
    let before = lock();
    registry.die();
    let failed = workshop.run(home, &["build", "--update-base"]);
    assert_eq!(failed.code, Some(6), "{}", failed.err);
    assert_eq!(lock(), before);
    registry.again();
    let (third, said) = build(&["--update-base"]);
    assert!(said.contains(&format!("{name}: {old} of ")) && said.contains(&new), "{said}");
    assert_eq!(third["labels"]["newer"], "yes");
    assert_eq!(label(&third, "base.digest"), *new);

    // A release wants one that was looked up lately.
    let date = lock().lines().find(|line| line.starts_with("date = ")).unwrap().to_owned();
    workshop.write(LOCK, &lock().replace(&date, "date = \"2020-02-29\""));
    workshop.git(&["commit", "--quiet", "--all", "--message", "old"]);
    workshop.git(&["tag", "v3.0.0"]);
    let target = format!("{place}/team/app");
    let refused = workshop.run(home, &["release", "--registry", &target, "--dry-run"]);
    assert_eq!(refused.code, Some(3), "{}", refused.err);
    assert!(refused.err.contains("the base was last looked up"), "{}", refused.err);
    // A base that names its digest itself stays.
    let text = fs::read_to_string(workshop.path("docker/image.toml")).unwrap();
    let own = text.replace(&format!("\"{name}\""), &format!("\"{name}@{old}\""));
    workshop.write("docker/image.toml", &own);
    let pinned = workshop.run(home, &["build", "--update-base"]);
    assert_eq!(pinned.code, Some(2), "{}", pinned.err);
    assert!(pinned.err.contains("no base is named by a registry's tag"), "{}", pinned.err);
    workshop.write("docker/image.toml", &text);
    // A file that isn't ours any more is told by its line.
    workshop.write(LOCK, "<<<<<<< HEAD\n");
    let wrong = workshop.run(home, &["build"]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.err);
    assert!(wrong.err.contains(&format!("reading {LOCK}: ")), "{}", wrong.err);
}
