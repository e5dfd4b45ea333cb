//! Processes that sleep, and files in a folder of the test.

use super::*;
use process::form::Form;
use std::process::{Child, Command, Stdio};

fn runner(folder: &Path) -> Runner {
    Runner {
        folder: folder.to_owned(),
        progress: false,
        verbose: false,
        form: Form::Plain,
        signal: std::sync::Arc::default(),
    }
}

fn sleeping(word: &str) -> Child {
    // It has no child, and ends with us: then its standard input is closed.
    let script = "trap 'exit 1' TERM; read line";
    let mut command = Command::new("sh");
    let child = command.args(["-c", script, word]).stdin(Stdio::piped()).spawn().unwrap();
    let place = format!("/proc/{}/cmdline", child.id());
    while !fs::read_to_string(&place).unwrap().contains("read line") {
        std::thread::yield_now();
    }
    child
}

#[test]
fn an_image_without_a_manifest_is_named() {
    let id = "f3".repeat(32);
    let said = "Error: locating item named \"manifest\" for image with ID ";
    let rest = "(consider removing the image to resolve the issue): file does not exist";
    assert_eq!(without_manifest(&format!("{said}\"{id}\" {rest}")), Some(&*id));
    for other in ["", said, &format!("{said}\"../{id}\""), &format!("{said}{id}")] {
        assert_eq!(without_manifest(other), None, "{other}");
    }
}

#[test]
fn a_process_is_known_by_its_start() {
    let own = start_time(std::process::id());
    assert!(own.is_some_and(|ticks| ticks > 0));
    assert_eq!(start_time(u32::MAX), None);
}

/// Its id alone, another start, another boot, or nothing at all: it isn't ours.
#[test]
fn only_the_recorded_process_is_ended() {
    let mut child = sleeping("a");
    let ours = running(child.id());
    let others = [
        Running { started: ours.started + 1, ..ours.clone() },
        Running { started: 0, ..ours.clone() },
        Running { boot: "other".into(), ..ours.clone() },
        Running { boot: String::new(), ..ours.clone() },
        Running::default(),
    ];
    for other in others {
        end(&other, Duration::ZERO);
        assert!(child.try_wait().unwrap().is_none(), "{other:?}");
    }
    end(&ours, Duration::from_secs(5));
    assert!(!child.wait().unwrap().success());
}

#[test]
fn what_was_begun_is_over_with_its_process() {
    let folder = tempfile::tempdir().unwrap();
    let state = State::of(folder.path());
    let begun = begin(&state).unwrap();
    assert_eq!(killed(&state), []);
    let mut child = sleeping("a");
    let record = format!("{BEGUN}{}", child.id());
    state.remember(&record, &running(child.id())).unwrap();
    assert_eq!(killed(&state), []);
    process::run::terminate(child.id());
    child.wait().unwrap();
    assert_eq!(killed(&state), [(child.id().to_string(), state.folder.join(record))]);
    let own = begun.0.clone();
    assert!(own.exists());
    drop(begun);
    assert!(!own.exists());
}

#[test]
fn what_a_killed_build_left_goes_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let state = State::of(folder.path());
    let engine = Engine::assumed(EngineKind::Docker);
    let clean = || clean(&state, &engine, &runner(folder.path())).unwrap();
    process::state::make_folder(&state.tmp().join("storage123/layer")).unwrap();
    fs::write(state.tmp().join("storage123/layer/blob"), "x").unwrap();
    fs::write(state.tmp().join("blob"), "x").unwrap();
    std::os::unix::fs::symlink("/", state.tmp().join("buildah-cache-0")).unwrap();
    let marker = format!("id=checkout,src={}", state.marker().display());
    let (mut ours, mut other) = (sleeping(&marker), sleeping(&format!("{marker}2")));
    // Without a record, by what it left.
    clean();
    assert!(!ours.wait().unwrap().success());
    assert!(other.try_wait().unwrap().is_none());
    let left: Vec<_> = fs::read_dir(state.tmp()).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    // With a record that nothing was added to, by its words.
    announce(&state).unwrap();
    let mut ours = sleeping(&marker);
    assert_eq!(
        find(&state, &engine, &runner(folder.path())).unwrap(),
        [Leftover::Build(running(ours.id()))]
    );
    clean();
    assert!(!ours.wait().unwrap().success() && !state.running().exists());
    process::run::terminate(other.id());
    other.wait().unwrap();
}

/// Podman's records tell which working container is of a build of this checkout.
#[test]
fn a_working_container_of_another_checkout_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (top, other) = (folder.path().join("top"), folder.path().join("other"));
    let state = State::of(&top);
    for (id, top) in [("a1", &top), ("b2", &other)] {
        let record = folder.path().join(format!("overlay-containers/{id}/userdata"));
        fs::create_dir_all(&record).unwrap();
        let secret = format!("id=checkout,src={}", State::of(top).marker().display());
        fs::write(record.join("buildah.json"), secret).unwrap();
    }
    // `podman info` and `podman ps` as `sh info` and `sh ps`.
    fs::write(folder.path().join("info"), format!("echo {} overlay", folder.path().display()))
        .unwrap();
    let all = r#"[{"Id":"a1"},{"Id":"b2"},{"Id":"without-a-record"}]"#;
    fs::write(folder.path().join("ps"), format!("echo '{all}'")).unwrap();
    let engine = Engine { program: "sh".into(), ..Engine::assumed(EngineKind::Podman) };
    let found = find(&state, &engine, &runner(folder.path())).unwrap();
    let remove = words::remove_container(&engine, "a1");
    assert_eq!(found, [Leftover::Container(remove, "a1".into())]);
}

#[test]
fn a_container_that_was_never_made_is_told_from_one_of_a_build() {
    let entry = |name: &str, state: &str, command: &str| serde_json::json!({ "Names": [name], "State": state, "Command": [command] });
    assert!(half_made(&entry("xtask-7-web", "storage", "storage"), "xtask-7-"));
    assert!(!half_made(&entry("xtask-7-web", "storage", "buildah"), "xtask-7-"));
    assert!(!half_made(&entry("xtask-7-web", "running", "web"), "xtask-7-"));
    assert!(!half_made(&entry("xtask-77-web", "storage", "storage"), "xtask-7-"));
    assert!(!half_made(&serde_json::json!({ "Names": null, "State": "storage" }), "xtask-7-"));
}
