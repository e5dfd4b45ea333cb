//! Engines that lie or fail, played by a script called `podman` or `docker` on PATH.

use super::checkout::Checkout;

/// A Podman that answers as version 4.3.1 and makes what the variables of the case say.
const PODMAN: &str = r##"#!/bin/sh
echo "$*" >>"$HOME/../calls"
case "$1 $2" in
    "version "*) echo '{"Client":{"Version":"4.3.1"}}' ;;
    "run "*) exit 0 ;;
    "image inspect")
        if [ "$3" = sha256:1234 ]; then cat "$HOME/../image.json"; exit 0; fi
        case $3 in
            *python:3.12*) echo '[{"Id":"ab","Config":{}}]' ;;
            *) echo "no such image" >&2; exit 125 ;;
        esac ;;
    "history "*) echo '[{"size":5000000},{"size":0}]' ;;
    "build "*)
        shift
        labels= comma=
        while [ $# -gt 0 ]; do
            case $1 in
                --iidfile) file=$2 ;;
                --label) labels="$labels$comma\"${2%%=*}\":\"${2#*=}\""; comma=, ;;
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

#[test]
fn engines_that_do_not_serve_are_named_with_what_to_do() {
    let check = |programs: &[(&str, &str)], expected: &[&str]| {
        let checkout = Checkout::new();
        for (name, script) in programs {
            checkout.program(name, &format!("#!/bin/sh\n{script}\n"));
        }
        let ended = checkout.run(&["build"]);
        assert_eq!(ended.code, Some(4), "{}", ended.err);
        for text in expected {
            assert!(ended.err.contains(text), "{}", ended.err);
        }
    };
    let old = r#"echo '{"Client":{"Version":"4.2.1"}}'"#;
    check(
        &[("podman", old)],
        &["Podman 4.2.1 is too old: 4.3.0 brings", "install Podman 4.3.0 or newer"],
    );
    check(&[("podman", "echo broken >&2; exit 1")], &["`podman version` failed: broken"]);
    check(&[("docker", "echo podman version 4.3.1")], &["it is Podman under Docker's name"]);
    let no_buildx = r#"case $1 in version) echo '{"Client":{"Version":"28.0.1"},"Server":{"Version":"28.0.1"}}' ;; buildx) exit 1 ;; esac"#;
    check(&[("docker", no_buildx)], &["has no buildx plugin"]);
    let down = r#"case $1 in version) echo '{"Client":{"Version":"20.10.24"}}'; echo "Cannot connect" >&2; exit 1 ;; esac"#;
    check(&[("docker", down)], &["its daemon doesn't answer: Cannot connect"]);
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
