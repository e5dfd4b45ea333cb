//! What others write, in the log of a pipeline and in the places of files: it gives no commands, and
//! nothing waits for it.

use super::checkout::Checkout;
use super::ended::Ended;
use super::fake_engine::with_podman;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a runner would act on: GitHub's, Gitea's, Azure's, TeamCity's and GitLab's commands.
const COMMANDS: &str = "::set-env name=A::b\n   ::add-mask::c\n\t::error::d\ne ##[error]f\n\
    x\r::stop-commands::g\ny\u{b}::warning::h\n##vso[task.complete]i\n##teamcity[j]\n\
    \u{1b}[0Ksection_start:1:k\r\u{1b}[0Kl\n\u{202e}m\u{2066}\n\u{feff}::debug::n\n";

/// Fails if a runner finds a command in `text` that isn't one of `ours`.
fn no_command(text: &str, ours: &[&str]) {
    let allowed = |line: &str| ours.iter().any(|ours| line.starts_with(ours));
    for line in text.split(['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}']) {
        let start = line.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        assert!(!start.starts_with("::") || allowed(start), "{line:?} in:\n{text}");
        for command in ["##[", "##vso[", "##teamcity["] {
            assert!(!line.contains(command), "{line:?} in:\n{text}");
        }
    }
    let acts = |c: char| c.is_control() && c != '\n' && c != '\t' || "\u{202e}\u{2066}".contains(c);
    assert!(!text.contains(acts), "{text:?}");
}

/// Runs a command in each kind of pipeline, on a checkout whose engine says all of it.
fn in_pipelines(prepare: impl Fn(&Checkout), words: &[&str], expected: &str) {
    for ci in ["github", "none"] {
        let checkout = with_podman();
        let exclude = std::fs::read_to_string(checkout.path(".git/info/exclude")).unwrap();
        checkout.write(".git/info/exclude", &format!("{exclude}/said\n"));
        checkout.write("said", COMMANDS);
        prepare(&checkout);
        let ended = checkout.run(&[words, &["--ci", ci]].concat());
        let token = ended.err.lines().find_map(|line| line.strip_prefix("::stop-commands::"));
        let end = format!("::{}::", token.unwrap_or("none"));
        let ours = ["::group::", "::stop-commands::", &end, "::endgroup::", "::error "];
        no_command(&ended.err, &[&ours[..], &["::error::"]].concat());
        no_command(&ended.out, &[]);
        let all = ended.err.clone() + &ended.out;
        assert!(all.contains(expected), "{words:?} {ci}: {all}");
        if ci == "github" {
            let errors = ended.err.lines().filter(|line| line.starts_with("::error"));
            assert_eq!(errors.count(), usize::from(ended.code != Some(0)), "{all}");
        }
    }
}

/// While it builds, when that fails, and when it is asked.
#[test]
fn no_text_of_an_engine_is_a_command() {
    let says = |checkout: &Checkout| {
        let script = std::fs::read_to_string(checkout.path("bin/podman")).unwrap();
        let script = script.replace("\"build \"*)", "\"build \"*) cat \"$HOME/../said\" >&2;");
        checkout.program("podman", &script);
    };
    let said = r"\::set-env name=A::b";
    in_pipelines(says, &["build"], said);
    let fails = |checkout: &Checkout| {
        says(checkout);
        checkout.write("fail", "");
    };
    in_pipelines(fails, &["build"], said);
    let broken = |checkout: &Checkout| {
        checkout.program("podman", "#!/bin/sh\necho 'a ##[error]b' >&2; exit 1\n");
    };
    in_pipelines(broken, &["build"], r"`podman version` failed: a ##\[error]b");
}

#[test]
fn no_name_and_no_word_is_a_command() {
    let named = |name: &'static str| move |checkout: &Checkout| checkout.write(name, "x");
    in_pipelines(named("app/a##[b]"), &["doctor"], r"ok  git ");
    in_pipelines(named("app/a##[group]b"), &["context"], r"a##\[group]b");
    in_pipelines(named("app/a##[group]b"), &["context", "--format", "json"], r"a##\u005bgroup]b");
    in_pipelines(named("app/a\r::error::b"), &["context"], r"\r::error::b");
    in_pipelines(|_| (), &["build", "--label", "a=b\n::error::c"], r"\::error::c");
    in_pipelines(|_| (), &["build", "--dry-run", "--label", "a=##[b]\u{202e}"], r"##\0133b]");
    in_pipelines(|_| (), &["build", "--tag", "##[group]x"], r"##\[group]x");
    let checkout = Checkout::new();
    let ended = checkout.run(&["build", "--nothing\n::error::x", "##[y]"]);
    no_command(&ended.err, &[]);
    assert_eq!(ended.code, Some(2), "{}", ended.err);
}

/// Each place of a file of ours or of the project, filled with a named pipe that has no writer.
#[test]
fn no_command_waits_for_a_pipe_in_the_place_of_a_file() {
    let places = [
        ".dockerignore",
        ".gitattributes",
        "app/.gitattributes",
        "app/manage.py",
        "app/pipe",
        "app/pyproject.toml",
        "app/uv.lock",
        "docker/Dockerfile",
        "docker/image.toml",
        "home/.config/containers/auth.json",
        "home/.docker/config.json",
        "target/xtask/built.json",
        "target/xtask/checkout",
        "target/xtask/containers.conf",
        "target/xtask/files",
        "target/xtask/files.json",
        "target/xtask/image-id",
        "target/xtask/lock",
        "target/xtask/made.json",
        "target/xtask/proof-podman.json",
        "target/xtask/proofpodman.json",
        "target/xtask/running.json",
    ];
    for place in places {
        let checkout = with_podman();
        let path = checkout.path(place);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = std::fs::remove_file(&path);
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        for words in [&["build"][..], &["label"], &["context"], &["doctor"], &["clean"]] {
            let mut command = checkout.command(words);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            let start = Instant::now();
            while child.try_wait().unwrap().is_none() {
                if start.elapsed() > Duration::from_secs(60) {
                    child.kill().unwrap();
                    panic!("{words:?} waits for {place}");
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let ended: Ended = child.wait_with_output().unwrap().into();
            // Said, or as good as not there: no panic, no code of an engine that is missing.
            assert!(!ended.err.contains("panicked"), "{words:?} {place}: {}", ended.err);
        }
    }
}

/// The lines of a child's stderr, as they come.
fn lines(child: &mut std::process::Child) -> impl Iterator<Item = String> + use<> {
    BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok)
}

fn send(signal: &str, id: u32) {
    let status = Command::new("sh").args(["-c", &format!("kill {signal} {id}")]).status();
    assert!(status.unwrap().success());
}

/// The first signal waits for an engine that is deaf to it, and kills it after five seconds; the
/// second one, a moment later, doesn't: the engine sees us gone, which one that is killed never does.
#[test]
fn the_second_signal_ends_at_once() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let checkout = with_podman();
        let script = std::fs::read_to_string(checkout.path("bin/podman")).unwrap();
        let deaf = "\"build \"*) trap '' TERM; echo here; sleep 1; \
                    while kill -0 $PPID 2>/dev/null; do sleep 1; done; touch \"$HOME/outlived\";";
        checkout.program("podman", &script.replace("\"build \"*)", deaf));
        let mut child = checkout.command(&["build"]).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = lines(&mut child);
        assert!(lines.any(|line| line == "here"));
        send(signal, child.id());
        assert!(lines.any(|line| line.contains("(killed after 5 s)")), "{signal}");
        // Sooner it would be the same request, sent to our group as well.
        std::thread::sleep(Duration::from_millis(1500));
        send(signal, child.id());
        assert_eq!(child.wait().unwrap().code(), Some(code), "{signal}");
        let start = Instant::now();
        while !checkout.path("home/outlived").exists() {
            assert!(start.elapsed() < Duration::from_secs(60), "{signal}: the engine was killed");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn whoever_waits_for_a_lock_is_told_by_whom_it_is_held() {
    let checkout = with_podman();
    let script = std::fs::read_to_string(checkout.path("bin/podman")).unwrap();
    let slow = "\"build \"*) echo here; while [ ! -f \"$HOME/done\" ]; do sleep 1; done;";
    checkout.program("podman", &script.replace("\"build \"*)", slow));
    let mut child = checkout.command(&["build"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = lines(&mut child);
    assert!(lines.any(|line| line == "here"));
    let second = checkout.run(&["build"]);
    let held = format!("the lock of this checkout: process {} holds it", child.id());
    let expected = format!("waiting for {held}\nerror: taking {held}\n");
    assert!(second.err.starts_with(&expected), "{}", second.err);
    assert_eq!(second.code, Some(9));
    checkout.write("home/done", "");
    lines.for_each(drop);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
