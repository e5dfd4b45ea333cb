//! Logins, certificates, and what is refused before anything moves.

use super::bench::on_podman;
use super::cases::{ALWAYS, Stage, rule};
use super::place::{Registry, USER, canary};
use super::proxy::{Fault, Kind, Who};
use super::workshop::holds_secret;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn a_login_that_does_not_serve_is_said_before_any_work() {
    let stage = Stage::new();
    let proxy = stage.registry.proxy(&stage.place, false);
    let target = format!("{}/team/app", proxy.address);
    let check = |password: Option<&str>, expected: &str| {
        let home = stage.place.home(&proxy.address, password);
        let words = ["push", &stage.workshop.images[0], "--registry", &target, "--tag", "1.0.0"];
        let start = Instant::now();
        let ended = stage.workshop.run(home.path(), &words);
        assert_eq!(ended.code, Some(7), "{}", ended.err);
        assert!(ended.err.contains(expected), "{}", ended.err);
        assert!(!ended.err.contains("$ "), "it began: {}", ended.err);
        assert!(start.elapsed() < Duration::from_secs(60), "it tried again");
    };
    check(Some("wrong"), "isn't taken; log in: `");
    check(None, "no login for it was found; log in: `");
}

/// A program `docker-credential-NAME`, which is asked by both of us.
#[test]
fn a_helper_program_gives_the_login() {
    use std::os::unix::fs::PermissionsExt as _;
    let stage = Stage::new();
    let proxy = stage.registry.proxy(&stage.place, false);
    let home = stage.place.home(&proxy.address, None);
    let text = format!(r#"{{"credHelpers":{{"{}":"canary"}}}}"#, proxy.address);
    for file in [".config/containers/auth.json", ".docker/config.json"] {
        fs::write(home.path().join(file), &text).unwrap();
    }
    let helper = home.path().join("docker-credential-canary");
    let canary = canary();
    let script = format!(
        "#!/bin/sh\nread server\necho \"{{\\\"ServerURL\\\":\\\"$server\\\",\\\"Username\\\":\\\"{USER}\\\",\\\"Secret\\\":\\\"{canary}\\\"}}\"\n"
    );
    fs::write(&helper, script).unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let target = format!("{}/team/helped", proxy.address);
    let words = ["push", &stage.workshop.images[0], "--registry", &target, "--tag", "1.0.0", "-v"];
    let mut command = stage.workshop.command(home.path(), &words);
    let path = std::env::var("PATH").unwrap();
    let output = command.env("PATH", format!("{}:{path}", home.path().display())).output().unwrap();
    let text = format!("{output:?}");
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("docker-credential-canary") && !holds_secret(&text), "{text}");
    assert!(stage.registry.digest("team/helped", "1.0.0").is_some());
}

#[test]
fn a_certificate_is_trusted_by_a_folder_or_a_bundle_and_not_otherwise() {
    let stage = Stage::new();
    let proxy = stage.registry.proxy(&stage.place, false);
    let home = stage.place.home(&proxy.address, Some(canary()));
    fs::remove_dir_all(home.path().join(".config/containers/certs.d")).unwrap();
    let target = format!("{}/team/bundle", proxy.address);
    let words = ["push", &stage.workshop.images[0], "--registry", &target, "--tag", "1.0.0"];
    let ended = stage.workshop.run(home.path(), &words);
    if on_podman() {
        assert_eq!(ended.code, Some(7), "{}", ended.err);
        assert!(ended.err.contains("it isn't trusted: invalid peer certificate"), "{}", ended.err);
        assert!(ended.err.contains("XTASK_CA_BUNDLE"), "{}", ended.err);
    } else {
        // Docker's daemon trusts every registry on the loopback address.
        assert_eq!(ended.code, Some(0), "{}", ended.err);
    }
    let mut command = stage.workshop.command(home.path(), &words);
    let output = command.env("XTASK_CA_BUNDLE", stage.place.path("ca.crt")).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

/// Without the proxy: the registry's own TLS, and none at all, which only this machine's may.
#[test]
fn a_registry_of_this_machine_serves_with_tls_and_without() {
    let stage = Stage::new();
    let secure = Registry::start_with_tls(&stage.place, "secure");
    for address in [&secure.address, &stage.registry.address] {
        let home = stage.place.home(address, Some(canary()));
        let target = format!("{address}/team/direct");
        let words = ["push", &stage.workshop.images[0], "--registry", &target];
        let ended = stage.workshop.run(home.path(), &words);
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        assert!(ended.out.starts_with(&format!("{target}@sha256:")), "{}", ended.out);
        // Certificates are looked at wherever there are any.
        let plain = on_podman() && address == &stage.registry.address;
        assert_eq!(ended.err.contains("--tls-verify=false"), plain, "{}", ended.err);
        let commit = stage.workshop.git(&["rev-parse", "HEAD~1"]);
        assert!(ended.out.contains(&format!("sha-{}", &commit[..12])), "{}", ended.out);
    }
}

#[test]
fn what_must_not_move_stays_and_a_dry_run_moves_nothing() {
    let stage = Stage::new();
    let (registry, images) = (&stage.registry, &stage.workshop.images);
    let proxy = registry.proxy(&stage.place, false);
    let home = stage.place.home(&proxy.address, Some(canary()));
    let target = format!("{}/team/app", proxy.address);
    let push = |image: &str, more: &[&str]| {
        let words = [&["push", image, "--registry", &target], more].concat();
        stage.workshop.run(home.path(), &words)
    };
    let digest = |tag: &str| registry.digest("team/app", tag);
    let new = ["--tag", "2.0.0", "--tag", "2", "--tag", "latest"];
    let dry = push(&images[1], &[&new[..], &["--dry-run"]].concat());
    assert_eq!(dry.code, Some(0), "{}", dry.err);
    let commands: Vec<&str> = dry.out.lines().filter(|line| !line.starts_with('#')).collect();
    let tag = format!("{target}:2.0.0");
    let engine = |line: &&&str| line.contains(" push ") && line.ends_with(&tag);
    assert!(commands.last().iter().all(engine) && !commands.is_empty(), "{}", dry.out);
    assert!(!dry.out.contains("--tls-verify"), "{}", dry.out);
    assert!(dry.out.contains(&format!("\n# PUT manifest: {target}:latest\n")), "{}", dry.out);
    assert_eq!(digest("2.0.0"), None);
    assert!(proxy.asked().iter().all(|line| !line.contains("PUT") && !line.contains("POST")));

    push(&images[1], &new).good();
    let whole = [digest("2.0.0"), digest("2"), digest("latest")];
    assert!(whole[0].is_some() && whole.iter().all(|other| *other == whole[0]), "{whole:?}");
    // An older commit: its own tag comes, the newer one's stay.
    let out = push(&images[0], &["--tag", "1.0.0", "--tag", "2", "--tag", "latest"]).good();
    assert_eq!(out.matches("2.0.0 is newer (a descendant of this commit)").count(), 2, "{out}");
    assert!(digest("1.0.0").is_some() && digest("latest") == whole[0] && digest("2") == whole[0]);
    // A release's tag for another image: nothing moves.
    let taken = push(&images[0], &["--tag", "1.0.1", "--tag", "2.0.0"]);
    assert_eq!(taken.code, Some(7), "{}", taken.err);
    assert!(
        taken.err.contains("the tag is taken") && taken.err.contains("--force"),
        "{}",
        taken.err
    );
    assert_eq!((digest("1.0.1"), digest("2.0.0")), (None, whole[0].clone()));
    push(&images[0], &["--tag", "2.0.0", "--force"]).good();
    assert_eq!(digest("2.0.0"), digest("1.0.0"));
    // A stand-in.
    let label = "org.opencontainers.image.base.name=localhost/xtask/python:3.11-standin";
    let standin = stage.workshop.image_with(&["--label", label], 1000);
    let refused = push(&standin, &["--tag", "3.0.0"]);
    assert_eq!((refused.code, digest("3.0.0")), (Some(3), None), "{}", refused.err);
    push(&standin, &["--tag", "3.0.0", "--allow-standin"]).good();
    // What can't be asked for at all.
    for words in [["--tag", "a b"], ["--tag", "-x"]] {
        assert_eq!(push(&images[0], &words).code, Some(2), "{words:?}");
    }
    assert_eq!(push("no-such-image", &[]).code, Some(2));
}

/// No moving tag is written anywhere while a registry hasn't got the image.
#[test]
fn several_registries_get_one_kind_of_tag_after_the_other() {
    let stage = Stage::new();
    let second = Registry::start(&stage.place, "second");
    let proxies = [stage.registry.proxy(&stage.place, false), second.proxy(&stage.place, false)];
    let home = stage.place.home(&proxies[0].address, Some(canary()));
    let both = |file: &str, from: &str, to: &str| {
        let path = home.path().join(file);
        let text = fs::read_to_string(&path).unwrap().replace(from, to);
        fs::write(&path, text).unwrap();
    };
    // One login for both.
    let login = super::place::basic(canary());
    let other = format!("\"{}\":{{\"auth\":\"{login}\"}}", proxies[1].address);
    for file in [".config/containers/auth.json", ".docker/config.json"] {
        both(file, "{\"auths\":{", &format!("{{\"auths\":{{{other},"));
    }
    let certificates = home.path().join(".config/containers/certs.d");
    let links = [&proxies[0], &proxies[1]].map(|proxy| certificates.join(&proxy.address));
    std::os::unix::fs::symlink(&links[0], &links[1]).unwrap();
    let targets = [0, 1].map(|index: usize| format!("{}/team/both", proxies[index].address));
    let push = || {
        let image = &stage.workshop.images[0];
        let mut words = vec!["push", image, "--tag", "1.0.0", "--tag", "latest"];
        words.extend(targets.iter().flat_map(|target| ["--registry", target]));
        stage.workshop.run(home.path(), &words)
    };
    let refuse = Fault::Status(403, None);
    proxies[1].rules(vec![rule(Who::Engine, Kind::ManifestPut, ALWAYS, refuse)]);
    let ended = push();
    assert_eq!(ended.code, Some(7), "{}", ended.err);
    assert!(stage.registry.digest("team/both", "1.0.0").is_some());
    assert_eq!(stage.registry.digest("team/both", "latest"), None);
    let states: Vec<&str> =
        ended.out.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert!(states.contains(&"failed") && states.contains(&"left"), "{}", ended.out);
    proxies[1].rules(Vec::new());
    push().good();
    for registry in [&stage.registry, &second] {
        let digest = registry.digest("team/both", "1.0.0");
        assert!(digest.is_some() && registry.digest("team/both", "latest") == digest);
    }
}

/// The processes whose command line holds `text`.
fn processes(text: &str) -> Vec<String> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let lines = all.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.contains(text) && line.contains("push\0")).collect()
}

#[test]
fn a_signal_ends_a_silent_push_and_a_rerun_completes() {
    let stage = Stage::new();
    let proxy = stage.registry.proxy(&stage.place, false);
    let home = stage.place.home(&proxy.address, Some(canary()));
    let target = format!("{}/team/ended", proxy.address);
    let words = ["push", &stage.workshop.images[0], "--registry", &target, "--tag", "1.0.0"];
    for (who, kind, signal, code) in [
        (Who::Engine, Kind::UploadData, "-INT", 130),
        (Who::Ours, Kind::ManifestRead, "-TERM", 143),
    ] {
        proxy.rules(vec![rule(who, kind, ALWAYS, Fault::Silence)]);
        let mut command = stage.workshop.command(home.path(), &words);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        // After the login the faults begin.
        assert!(lines.any(|line| line.unwrap().starts_with("login at ")));
        wait_for(&proxy, if who == Who::Engine { "Engine PATCH" } else { "Ours HEAD" });
        let id = child.id().to_string();
        let script = format!("kill {signal} {id}");
        assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
        let start = Instant::now();
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
        assert_eq!(processes(&target), Vec::<String>::new());
    }
    proxy.rules(Vec::new());
    stage.workshop.run(Path::new(home.path()), &words).good();
}

fn wait_for(proxy: &super::proxy::Proxy, request: &str) {
    let start = Instant::now();
    while !proxy.asked().iter().any(|line| line.starts_with(request)) {
        assert!(start.elapsed() < Duration::from_secs(300), "{request} never came");
        std::thread::sleep(Duration::from_millis(20));
    }
}
