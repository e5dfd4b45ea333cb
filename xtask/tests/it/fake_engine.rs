//! Engines that lie or fail, played by a script called `podman` or `docker` on PATH.

use super::checkout::Checkout;

/// A Podman that answers as version 4.3.1 and makes what the variables of the case say.
pub const PODMAN: &str = r##"#!/bin/sh
echo "$*" >>"$HOME/../calls"
case "$1 $2" in
    "version "*) echo '{"Client":{"Version":"4.3.1","OsArch":"linux/amd64"}}' ;;
    "run "*) exit 0 ;;
    "image inspect")
        if [ "$3" = sha256:1234 ]; then cat "$HOME/../image.json"; exit 0; fi
        case $3 in
            *python:3.12-arm64) echo '[{"Id":"ab","Config":{},"Os":"linux","Architecture":"arm64"}]' ;;
            *python:3.12*) echo '[{"Id":"ab","Config":{}}]' ;;
            *) echo "no such image" >&2; exit 125 ;;
        esac ;;
    "history "*) echo '[{"size":5000000},{"size":0}]' ;;
    "build "*)
        shift
        while [ $# -gt 0 ]; do
            case $1 in
                --file) labels=$(sed -n 's/^LABEL //; T; s/"="/":"/g; s/" "/","/g; p' "$2") ;;
                --iidfile) file=$2 ;;
            esac
            shift
        done
        echo "STEP 1/2: FROM x"
        if [ -f "$HOME/../fail" ]; then echo "STEP 2/2: WORKDIR /app"; echo boom >&2; exit 125; fi
        if [ -f "$HOME/../nothing" ]; then exit 0; fi
        if [ -f "$HOME/../lie" ]; then labels=$(echo "$labels" | sed 's/"version":"[^"]*"/x/; s/revision":"[^"]*"/revision":"old"/'); fi
        if [ -f "$HOME/../stale" ]; then labels="$labels,\"stale\":\"1\""; fi
        health='"Healthcheck":{"Test":["CMD","x"]},'
        if [ -f "$HOME/../sick" ]; then health=; fi
        echo "[{\"Id\":\"1234\",$health\"Config\":{\"Labels\":{$labels}},\"RootFS\":{\"Layers\":[\"sha256:1\"]}}]" >"$HOME/../image.json"
        echo sha256:1234 >"$file" ;;
    "tag "*) ;;
    *) ;;
esac
"##;

pub fn with_podman() -> Checkout {
    let checkout = Checkout::new();
    checkout.write("home/.keep", "");
    checkout.write(
        ".git/info/exclude",
        "/bin/\n/home/\n/calls\n/image.json\n/fail\n/lie\n/sick\n/nothing\n/stale\n",
    );
    checkout.program("podman", PODMAN);
    checkout
}

fn calls(checkout: &Checkout) -> String {
    std::fs::read_to_string(checkout.path("calls")).unwrap_or_default()
}

#[test]
fn a_good_build_is_named_last() {
    let checkout = with_podman();
    let ended = checkout.run(&["build", "--tag", "mine"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.out.starts_with("localhost/senex_trader:prod\n"), "{}", ended.out);
    assert!(ended.out.contains("5.0 MB of 500.0 MB, 1 layer\n"), "{}", ended.out);
    let calls = calls(&checkout);
    let last = calls.lines().last().unwrap();
    let short = &checkout.git(&["rev-parse", "HEAD"])[..12];
    let expected = format!(
        "tag sha256:1234 localhost/senex_trader:prod localhost/senex_trader:sha-{short} localhost/senex_trader:mine"
    );
    assert_eq!(last, expected);
    assert!(ended.err.starts_with("engine Podman 4.3.1: it works\n"), "{}", ended.err);
}

/// Nothing is named unless everything was as asked for.
#[test]
fn what_is_not_as_asked_for_gets_no_name() {
    let check = |what: &str, code, expected: &str| {
        let checkout = with_podman();
        checkout.write(what, "");
        let ended = checkout.run(&["build"]);
        assert_eq!(ended.code, Some(code), "{what}: {}", ended.err);
        assert!(ended.err.contains(expected), "{what}: {}", ended.err);
        assert!(!calls(&checkout).contains("tag "), "{what}: {}", calls(&checkout));
        assert!(ended.out.is_empty(), "{what}: {}", ended.out);
    };
    check("fail", 5, "error: building docker/Dockerfile:");
    check("nothing", 5, "ended with exit status 0 but made no image");
    check("lie", 10, "org.opencontainers.image.revision: expected ");
    check("sick", 10, "it carries no health check");
    check("stale", 10, "labels that nobody asked for: stale");
}

/// The last platform that was pulled or built for isn't the next build's.
#[test]
fn a_base_that_is_stored_for_another_platform_is_not_here() {
    let checkout = with_podman();
    let check = |words: &[&str], code, expected: &str| {
        let ended = checkout.run(&[&["build", "--dry-run"], words].concat());
        assert_eq!(ended.code, Some(code), "{words:?}: {}", ended.err);
        assert!(ended.err.contains(expected), "{words:?}: {}", ended.err);
    };
    // Nobody answers there.
    let elsewhere = ["--base", "127.0.0.1:9/python:3.12-arm64"];
    check(&elsewhere, 6, "no registry can be reached");
    check(&[&elsewhere[..], &["--platform", "linux/arm64/v8"]].concat(), 0, "in the local store");
    let local = ["--base", "localhost/python:3.12-arm64"];
    check(&local, 0, "in the local store");
    let asked = [&local[..], &["--platform", "linux/s390x"]].concat();
    check(&asked, 2, "in the store of podman it is for linux/arm64");
}

#[test]
fn another_run_in_the_checkout_is_exit_9() {
    let checkout = with_podman();
    let lock = checkout.path("target/xtask/lock");
    std::fs::create_dir_all(lock.parent().unwrap()).unwrap();
    let file = std::fs::File::create(lock).unwrap();
    file.lock().unwrap();
    let ended = checkout.run(&["build"]);
    assert_eq!(ended.code, Some(9), "{}", ended.err);
    drop(file);
    assert_eq!(checkout.run(&["build"]).code, Some(0));
}
