//! What a terminal shows, through a pseudo-terminal of util-linux's `script`.

use super::checkout::Checkout;
use super::ended::Ended;
use super::fake_engine::with_podman;
use super::program::program;
use std::process::Command;

/// The output of a build on a terminal of this kind.
fn built(checkout: &Checkout, term: &str) -> String {
    let line = format!("'{}' build --force --engine podman", program().display());
    let plain = checkout.command(&[]);
    let mut script = Command::new("/usr/bin/script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    script.current_dir(checkout.path("")).env("TERM", term).stdin(std::process::Stdio::null());
    for (name, value) in plain.get_envs() {
        script.env(name, value.unwrap_or_default());
    }
    Ended::from(script.output().unwrap()).good()
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
