//! The units of `export quadlet`, read by Podman's generator: it refuses keys that it doesn't know,
//! and shows the command lines that systemd would start.

use super::bench::Repository;
use super::ended::Ended;
use super::tell::tell;
use std::path::Path;
use std::process::Command;

const GENERATOR: &str = "/usr/libexec/podman/quadlet";

#[test]
fn quadlet_takes_every_unit() {
    if !Path::new(GENERATOR).exists() {
        tell("not run: this machine has no Quadlet: the group podman5 has one");
        return;
    }
    let repository = Repository::new();
    let words = ["export", "quadlet", "units", "--registry", "registry.example/team/shop"];
    let written = repository.xtask(&words).good();
    let mut command = Command::new(GENERATOR);
    command.arg("-dryrun").env("QUADLET_UNIT_DIRS", repository.path("units"));
    let ended: Ended = command.output().unwrap().into();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let units = ended.out.matches("\n---").count() + usize::from(ended.out.starts_with("---"));
    assert_eq!(units, written.lines().count(), "{}{}", ended.out, ended.err);
    let start = |unit: &str| {
        let text = ended.out.split_once(&format!("---senex_trader-{unit}.service---")).unwrap().1;
        text.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap().to_owned()
    };
    for (unit, words) in [
        ("web", "--sdnotify=healthy"),
        ("web", "--stop-timeout 30"),
        ("web", "--cap-drop all --read-only"),
        ("web", "--security-opt=no-new-privileges"),
        ("web", "--tmpfs /tmp:size=256m"),
        ("web", "--publish 127.0.0.1:8000:8000"),
        ("web", "-v senex_trader-media:/app/media"),
        ("web", "--label io.containers.autoupdate=registry"),
        ("web", "--secret senex_trader-secret-key,target=secret-key"),
        ("web", "--memory=1g registry.example/team/shop:production web"),
        ("migrate", "--memory=1g registry.example/team/shop:production migrate"),
        ("postgres", "--health-cmd \"pg_isready --username senex_trader\""),
        ("redis", "--cap-add setuid"),
    ] {
        assert!(start(unit).contains(words), "{words}\n{}", start(unit));
    }
}
