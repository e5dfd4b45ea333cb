//! A build that ends half-way: the right exit code, the old image intact, nothing left behind.

use super::bench::{Repository, on_podman};
use super::tell::tell;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A number of seconds that no other process sleeps, to know ours by.
fn nap(number: u32) -> String {
    format!("{}", 70_000 + number * 10_000 + std::process::id() % 10_000)
}

/// Starts a build that stops in a RUN, and comes back when it is there.
fn sleeping(repository: &Repository, nap: &str) -> Child {
    repository.edit(
        "docker/Dockerfile",
        "EXPOSE 8000\n",
        &format!("RUN sleep {nap}\nEXPOSE 8000\n"),
    );
    let mut child = repository.command(&["build"]).stderr(Stdio::piped()).spawn().unwrap();
    let (sender, started) = std::sync::mpsc::channel();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    // Read to the end, or the build would stand still at a full pipe.
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let line = format!("RUN sleep {nap}");
    let step = |text: &String| text.contains(&line) && !text.starts_with('$');
    while !step(&started.recv_timeout(Duration::from_secs(300)).unwrap()) {}
    let start = Instant::now();
    while processes(nap).is_empty() {
        assert!(start.elapsed() < Duration::from_secs(300), "the RUN never started");
        std::thread::sleep(Duration::from_millis(50));
    }
    child
}

/// The processes that sleep so long, by what `/proc` tells (`pgrep` isn't everywhere).
fn processes(nap: &str) -> Vec<String> {
    let wanted = format!("sleep\0{nap}\0");
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    all.filter(|entry| {
        std::fs::read_to_string(entry.path().join("cmdline")).is_ok_and(|line| line == wanted)
    })
    .map(|entry| entry.file_name().to_string_lossy().into_owned())
    .collect()
}

/// By the shell's own `kill`: the program isn't everywhere.
fn send(signal: &str, id: u32) {
    let status = Command::new("sh").args(["-c", &format!("kill {signal} {id}")]).status();
    assert!(status.unwrap().success());
}

fn identity(repository: &Repository) -> String {
    repository.inspect(&Repository::local("prod"))["Id"].as_str().unwrap().to_owned()
}

fn check_nothing_left(repository: &Repository, nap: &str) {
    let start = Instant::now();
    while !processes(nap).is_empty() {
        assert!(start.elapsed() < Duration::from_secs(120), "the RUN still sleeps");
        std::thread::sleep(Duration::from_millis(50));
    }
    if on_podman() {
        let all = repository.engine(&["ps", "--all", "--external", "--quiet"]).good();
        assert_eq!(all, "", "working containers");
    }
    let folder = std::fs::read_dir(repository.path("target/xtask/tmp")).unwrap();
    let left: Vec<_> = folder.map(|entry| entry.unwrap().file_name()).collect();
    let links = |name: &std::ffi::OsString| name.to_string_lossy().starts_with("buildah-cache");
    assert!(left.iter().all(links), "{left:?}");
    assert!(!repository.path("target/xtask/running.json").exists());
}

#[test]
fn a_terminated_build_says_so_and_tidies_up() {
    let repository = Repository::new();
    repository.build(&[]);
    let (old, nap) = (identity(&repository), nap(1));
    let mut child = sleeping(&repository, &nap);
    send("-TERM", child.id());
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert_eq!(identity(&repository), old);
    check_nothing_left(&repository, &nap);
}

#[test]
fn what_a_killed_build_left_is_gone_after_the_next_command() {
    let repository = Repository::new();
    repository.build(&[]);
    let (old, nap) = (identity(&repository), nap(2));
    let mut child = sleeping(&repository, &nap);
    send("-KILL", child.id());
    assert_eq!(child.wait().unwrap().code(), None);
    assert_eq!(identity(&repository), old);
    repository.git(&["checkout", "--quiet", "docker/Dockerfile"]);
    repository.build(&["--force"]);
    assert_eq!(identity(&repository), old);
    check_nothing_left(&repository, &nap);
}

/// As a `podman build` that is killed in the middle of a commit leaves it.
#[test]
fn an_image_without_a_manifest_is_removed() {
    if !on_podman() {
        return tell("not run: on Podman alone: Docker's daemon commits, and isn't killed");
    }
    let repository = Repository::new();
    let steps = "LABEL broken=1\nEXPOSE 8000\n";
    repository.edit("docker/Dockerfile", "EXPOSE 8000\n", steps);
    repository.build(&[]);
    let broken = identity(&repository);
    repository.engine(&["untag", &broken]).good();
    let graph = repository.engine(&["info", "--format", "{{.Store.GraphRoot}}"]).good();
    std::fs::remove_file(format!("{graph}/overlay-images/{broken}/manifest")).unwrap();
    // It is an error or a warning with escaped quotes, by what else is in the store.
    let complains = || {
        let label = ["images", "--quiet", "--filter", "label=dev.senex.xtask"];
        let said = repository.engine(&label).err.replace('\\', "");
        said.contains("locating item named \"manifest\"")
    };
    assert!(complains());
    repository.write("target/xtask/running.json", "{\"id\": 1, \"started\": 1}");
    repository.git(&["checkout", "--quiet", "docker/Dockerfile"]);
    let cleaned = repository.xtask(&["clean"]);
    let said = "which a killed build left without a manifest";
    assert!(cleaned.code == Some(0) && cleaned.err.contains(said), "{}", cleaned.err);
    assert!(!complains());
    repository.build(&[]);
}

/// A `podman build` that is killed by SIGTERM exits 0 and makes nothing.
#[test]
fn an_engine_that_is_killed_is_a_failed_build() {
    let repository = Repository::new();
    repository.build(&[]);
    let (old, nap) = (identity(&repository), nap(3));
    let mut child = sleeping(&repository, &nap);
    let record = repository.read("target/xtask/running.json");
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    send("-TERM", u32::try_from(record["id"].as_u64().unwrap()).unwrap());
    assert_eq!(child.wait().unwrap().code(), Some(5));
    assert_eq!(identity(&repository), old);
    check_nothing_left(&repository, &nap);
}

/// On Podman every step of a build is an image, and those of a failed build have no name. Docker has none.
#[test]
fn clean_finds_the_steps_of_a_failed_build_and_leaves_those_that_are_needed() {
    let repository = Repository::new();
    repository.build(&[]);
    let nameless = || {
        let words = ["images", "--quiet", "--no-trunc", "--filter", "dangling=true"];
        let listed = repository.engine(&words).good();
        listed.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>()
    };
    let before = nameless();
    let steps = "RUN head -c 1000000 /dev/zero >/zeros\nRUN false\nEXPOSE 8000\n";
    repository.edit("docker/Dockerfile", "EXPOSE 8000\n", steps);
    assert_eq!(repository.xtask(&["build"]).code, Some(5));
    let left = usize::from(on_podman());
    assert_eq!(nameless().difference(&before).count(), left);
    repository.git(&["checkout", "--quiet", "docker/Dockerfile"]);
    let result = repository.xtask(&["clean", "--format", "json"]).good();
    let result: serde_json::Value = serde_json::from_str(&result).unwrap();
    let removed = result["removed"].as_array().unwrap();
    assert_eq!(removed.len(), left, "{result:#}");
    assert!(removed.iter().all(|image| image["bytes"].as_u64() >= Some(1_000_000)), "{result:#}");
    assert_eq!(nameless(), before);
    let report = repository.build(&["--force"]);
    assert!(report["cached_steps"].as_u64() > Some(5), "{report:#}");
}
