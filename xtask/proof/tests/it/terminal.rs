//! What a terminal shows, through a pseudo-terminal of util-linux's `script`.

use super::checkout::Checkout;
use super::ended::Ended;
use super::fake_engine::with_podman;
use super::program::program;
use super::setup;
use super::tell::tell;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

/// The command on a terminal of this kind, which is typed on through its standard input.
fn on_terminal(checkout: &Checkout, words: &str, term: &str) -> Command {
    let line = format!("'{}' {words}", program().display());
    let plain = checkout.command(&[]);
    let mut script = Command::new("/usr/bin/script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    script.current_dir(checkout.path("")).env("TERM", term).stdin(Stdio::null());
    for (name, value) in plain.get_envs() {
        script.env(name, value.unwrap_or_default());
    }
    script
}

/// The output of a build on a terminal of this kind.
fn built(checkout: &Checkout, term: &str) -> String {
    let words = "build --force --engine podman";
    Ended::from(on_terminal(checkout, words, term).output().unwrap()).good()
}

/// Types `text` once the command has printed `mark`; all that it printed, and its exit status.
fn typed(mut command: Command, mark: &str, text: &[u8]) -> (String, Option<i32>) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (mut printed, mut buffer) = (String::new(), [0; 1000]);
    let mut done = false;
    while let Ok(count @ 1..) = output.read(&mut buffer) {
        printed += &String::from_utf8_lossy(&buffer[..count]);
        if !done && printed.contains(mark) {
            input.write_all(text).unwrap();
            done = true;
        }
    }
    (printed, child.wait().unwrap().code())
}

#[test]
fn a_terminal_gets_a_line_for_each_step_and_a_pipe_all() {
    let checkout = with_podman();
    let erase = "\r\u{1b}[2K";
    let shown = built(&checkout, "xterm");
    let step = format!("{erase}   1 of ");
    assert!(shown.contains(&step) && shown.contains(" 0 s      FROM x"), "{shown:?}");
    // A step of the engine's own is in the log alone.
    assert!(!shown.contains("STEP "), "{shown:?}");
    // The result begins at the start of a line.
    assert!(shown.contains(&format!("{erase}localhost/senex_trader:prod\r\n")), "{shown:?}");
    assert!(!shown.contains("\u{1b}[3") && !shown.contains("\u{1b}[0"), "no colour: {shown:?}");
    for plain in [built(&checkout, "dumb"), checkout.run(&["build", "--force"]).err] {
        assert!(plain.contains("STEP ") && !plain.contains('\u{1b}'), "{plain:?}");
    }
}

#[test]
fn ctrl_c_at_a_terminal_ends_a_build() {
    let checkout = with_podman();
    let script = std::fs::read_to_string(checkout.path("bin/podman")).unwrap();
    let slow = "\"build \"*) echo STEP 1/2: FROM x; sleep 60; exit 1;";
    checkout.program("podman", &script.replace("\"build \"*)", slow));
    let command = on_terminal(&checkout, "build --force --engine podman", "xterm");
    let (printed, code) = typed(command, "FROM x", b"\x03");
    assert_eq!(code, Some(130), "{printed:?}");
    // The line of the step is gone, and nothing is left behind.
    assert!(printed.contains("\u{1b}[2Kerror: interrupted\r\n"), "{printed:?}");
    assert!(!checkout.path("target/xtask/running.json").exists());
}

#[test]
fn setup_asks_before_it_installs() {
    if !setup::asks_here() {
        return tell("not run: setup asks only root on Debian or Ubuntu");
    }
    for (answer, installs) in [(&b"n\n"[..], false), (b"\n", false), (b"y\n", true)] {
        let checkout = setup::debian();
        let command = on_terminal(&checkout, "setup", "xterm");
        let (printed, code) = typed(command, "run these commands? [y/N]", answer);
        let calls = setup::calls(&checkout);
        assert_eq!(calls.contains("install --yes --quiet"), installs, "{printed:?}\n{calls}");
        // What was to be installed wasn't, as apt only plays.
        assert_eq!(code, Some(4), "{printed:?}");
        assert_eq!(
            printed.contains("not agreed to, nothing was changed"),
            !installs,
            "{printed:?}"
        );
    }
}
