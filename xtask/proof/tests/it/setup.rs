//! `setup` with programs that only play apt, on whatever Debian the tests run on.

use super::checkout::Checkout;
use std::os::unix::fs::MetadataExt as _;

/// Notes what it was asked; its simulation says what the file `simulation` holds.
const APT: &str = r#"#!/bin/sh
echo "apt-get $*" >>"$HOME/../calls"
case "$*" in *--simulate*) cat "$HOME/../simulation" ;; esac
"#;
const DPKG: &str = "#!/bin/sh\nexit 1\n";

pub fn debian() -> Checkout {
    let checkout = Checkout::new();
    checkout.write("home/.keep", "");
    checkout.write("simulation", "Inst podman (4.3.1)\n");
    checkout.program("apt-get", APT);
    checkout.program("dpkg-query", DPKG);
    checkout
}

pub fn calls(checkout: &Checkout) -> String {
    std::fs::read_to_string(checkout.path("calls")).unwrap_or_default()
}

fn root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Whether `setup` has something to ask: elsewhere it says what to do by hand.
pub fn asks_here() -> bool {
    on_debian() && root()
}

/// Whether `setup` works here; elsewhere it says which systems it knows.
fn on_debian() -> bool {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    release.contains("debian")
}

/// What `setup` says: on a Debian that is root's, on one that isn't, and on another system.
fn says<'a>(as_root: &'a str, as_user: &'a str) -> &'a str {
    match (on_debian(), root()) {
        (true, true) => as_root,
        (true, false) => as_user,
        (false, _) => "setup knows Debian and Ubuntu",
    }
}

const NO_SUDO: &str = "you are not root, and there is no sudo";

#[test]
fn without_a_terminal_nothing_is_installed_unless_asked_for() {
    let checkout = debian();
    let ended = checkout.run(&["setup"]);
    assert_eq!(ended.code, Some(4), "{}", ended.err);
    assert!(!calls(&checkout).contains("install --yes"), "{}", calls(&checkout));
    for said in
        ["there is no terminal to ask at; add --yes", "apt-get install --yes --quiet --no-remove"]
    {
        assert!(ended.err.contains(says(said, said)), "{}", ended.err);
    }
}

#[test]
fn what_would_remove_a_package_is_not_done() {
    let checkout = debian();
    checkout.write("simulation", "Remv docker-ce [5:20.10]\nInst docker.io (20.10)\n");
    let ended = checkout.run(&["setup", "--yes", "--for-tests"]);
    assert_eq!(ended.code, Some(4), "{}", ended.err);
    assert!(!calls(&checkout).contains("install --yes"), "{}", calls(&checkout));
    let said = says("it would remove docker-ce", NO_SUDO);
    assert!(ended.err.contains(said), "{}", ended.err);
}

#[test]
fn what_is_missing_is_installed_after_a_simulation() {
    let checkout = debian();
    let ended = checkout.run(&["setup", "--yes"]);
    let calls = calls(&checkout);
    let place = |text: &str| calls.find(text);
    // What was to be installed wasn't: there is still no engine, and the message says so.
    assert_eq!(ended.code, Some(4), "{}", ended.err);
    let said = says("no Podman or Docker on PATH", NO_SUDO);
    assert!(ended.err.contains(said), "{}", ended.err);
    if on_debian() && root() {
        assert!(place("update") < place("install --yes"), "{calls}");
        let simulation = calls.rfind("--simulate").unwrap();
        assert!(Some(simulation) < place("install --yes"), "{calls}");
        assert!(calls.contains(" podman runc uidmap "), "{calls}");
    } else {
        assert!(!calls.contains("install --yes"), "{calls}");
    }
}

#[test]
fn a_dry_run_of_setup_only_shows_the_commands() {
    let checkout = debian();
    let ended = checkout.run(&["setup", "--dry-run"]);
    assert!(!calls(&checkout).contains("install --yes"), "{}", calls(&checkout));
    let said = "installing Debian packages: podman";
    assert!(ended.err.contains(says(said, said)), "{}", ended.err);
}
