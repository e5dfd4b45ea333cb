//! Engines that lie or fail, played by a script called `podman` or `docker` on PATH.

use super::checkout::Checkout;

/// A Podman that answers as version 4.3.1 and makes what the variables of the case say.
const PODMAN: &str = r##"#!/bin/sh
echo "$*" >>"$HOME/../calls"
case "$1 $2" in
    "version "*) echo '{"Client":{"Version":"4.3.1","OsArch":"linux/amd64"}}' ;;
    "run "*) exit 0 ;;
    "info "*) cat "$HOME/../info.json" 2>/dev/null || true ;;
    "image inspect")
        shift 2
        comma=
        code=0
        echo "["
        for name; do
            case $name in
                sha256:1234 | *python:3.12*) echo "$comma" ;;
                *) echo "no such image" >&2; code=125; continue ;;
            esac
            case $name in
                sha256:1234) cat "$HOME/../named.json" 2>/dev/null || cat "$HOME/../image.json" ;;
                *python:3.12-arm64) echo '{"Id":"ab","Config":{},"Os":"linux","Architecture":"arm64"}' ;;
                *) echo '{"Id":"ab","Config":{}}' ;;
            esac
            comma=,
        done
        echo "]"
        exit $code ;;
    "history "*) echo '[{"size":5000000},{"size":0}]' ;;
    "build "*)
        rm -f "$HOME/../named.json"
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
        echo "{\"Id\":\"1234\",$health\"Config\":{\"Labels\":{$labels}},\"RootFS\":{\"Layers\":[\"sha256:1\"]}}" >"$HOME/../image.json"
        echo sha256:1234 >"$file" ;;
    "tag "*)
        if [ -f "$HOME/../mute" ]; then exit 0; fi
        shift 2
        names=$(printf ',"%s"' "$@")
        sed "s|^{|&\"RepoTags\":[${names#,}],|" "$HOME/../image.json" >"$HOME/../named.json" ;;
    *) ;;
esac
"##;

pub fn with_podman() -> Checkout {
    let checkout = Checkout::new();
    checkout.write("home/.keep", "");
    checkout.write(
        ".git/info/exclude",
        "/bin/\n/home/\n/calls\n/info.json\n/image.json\n/named.json\n/fail\n/lie\n/sick\n/nothing\n/stale\n/mute\n",
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
    let mut last = calls.lines().rev();
    assert_eq!(last.next(), Some("image inspect sha256:1234"));
    let last = last.next().unwrap();
    let short = &checkout.git(&["rev-parse", "HEAD"])[..12];
    let expected = format!(
        "tag sha256:1234 localhost/senex_trader:prod localhost/senex_trader:sha-{short} localhost/senex_trader:mine"
    );
    assert_eq!(last, expected);
    assert!(ended.err.starts_with("engine Podman 4.3.1: it works\n"), "{}", ended.err);
}

/// Names are asked for after they were given.
#[test]
fn a_tag_that_does_nothing_is_no_name() {
    let checkout = with_podman();
    checkout.write("mute", "");
    let ended = checkout.run(&["build"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(10), ""), "{}", ended.err);
    let expected = "error: naming the image: podman succeeded without effect\n\
        help: localhost/senex_trader:prod does not name sha256:1234\n";
    assert!(ended.err.contains(expected), "{}", ended.err);
}

/// While nothing that a build reads has changed, and its image is here, there is nothing to do.
#[test]
fn the_same_build_again_is_no_build() {
    let checkout = with_podman();
    let builds = || calls(&checkout).lines().filter(|line| line.starts_with("build ")).count();
    let build = |words: &[&str]| {
        let ended = checkout.run(&[&["build"], words].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        ended
    };
    let first = build(&[]);
    assert_eq!(builds(), 1);
    let second = build(&[]);
    assert_eq!(builds(), 1, "{}", second.err);
    let said = "up to date: nothing changed since the last build (--force rebuilds)";
    assert!(second.err.contains(said), "{}", second.err);
    assert!(second.out.contains(" s, nothing to build\n"), "{}", second.out);
    let facts = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with("  time")).map(str::to_owned).collect()
    };
    assert_eq!(facts(&second.out), facts(&first.out));
    let id = || std::fs::read_to_string(checkout.path("target/xtask/image-id")).unwrap();
    assert_eq!(id().trim(), "sha256:1234", "what a script reads");
    let dry = build(&["--dry-run"]);
    assert!(dry.err.contains(said) && dry.out.contains("podman build "), "{}", dry.err);
    // Whatever is another is built, and the step that it begins with is named.
    let said = std::cell::RefCell::new(String::new());
    let mut expected = 1;
    let mut built = |words: &[&str], why: &str| {
        said.replace(build(words).err);
        expected += 1;
        assert_eq!(builds(), expected, "{why}");
    };
    built(&["--force"], "--force");
    built(&["--no-cache"], "--no-cache");
    built(&["--label", "a=b"], "another label");
    built(&[], "the label is gone");
    built(&["--tag", "mine"], "one more name");
    built(&[], "one name less");
    checkout.write("app/new.py", "");
    built(&[], "a new file");
    let why = "\nrebuilding from COPY app/: app/new.py changed\n";
    assert!(said.borrow().contains(why), "{}", said.borrow());
    std::fs::remove_file(checkout.path("app/new.py")).unwrap();
    built(&[], "no new file");
    std::fs::remove_file(checkout.path("named.json")).unwrap();
    built(&[], "others have the names");
    for file in ["named.json", "image.json"] {
        std::fs::remove_file(checkout.path(file)).unwrap();
    }
    built(&[], "the image is gone");
    let named = std::fs::read_to_string(checkout.path("named.json")).unwrap();
    checkout.write("named.json", &named.replace("senex_trader:sha-", "senex_trader:other-"));
    built(&[], "one of the names is missing");
    checkout.write("named.json", &named.replace("Healthcheck", "Other"));
    built(&[], "it isn't what was asked for");
    checkout.write("target/xtask/built.json", "{");
    built(&[], "the record can't be read");
    build(&[]);
    assert_eq!(builds(), expected);
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
    check("stale", 10, "labels that were not asked for: stale");
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
    // No registry answers there.
    let elsewhere = ["--base", "127.0.0.1:9/python:3.12-arm64"];
    check(&elsewhere, 6, "no registry can be reached");
    check(&[&elsewhere[..], &["--platform", "linux/arm64/v8"]].concat(), 0, "in the local store");
    // A newer one is asked for: what is here is no answer.
    let stored = ["--base", "127.0.0.1:9/python:3.12"];
    check(&stored, 0, "in the local store");
    check(&[&stored[..], &["--pull"]].concat(), 6, "leave out --pull to use what is here");
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

/// Podman is told to pull nothing, so that what the labels name is what is built from: the other
/// images that a Dockerfile names are fetched before.
#[test]
fn images_that_the_dockerfile_names_are_fetched_first() {
    let checkout = with_podman();
    let file = "docker/Dockerfile";
    let text = std::fs::read_to_string(checkout.path(file)).unwrap();
    let registry = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let node = format!("{}/tools/node:24", registry.local_addr().unwrap());
    let stage = format!("FROM {node} AS assets\nFROM localhost/python:3.12 AS here\n");
    checkout.write(
        file,
        &text.replacen(
            "FROM ${BASE_IMAGE} AS base\n",
            &format!("{stage}FROM ${{BASE_IMAGE}} AS base\n"),
            1,
        ),
    );
    let dry = checkout.run(&["build", "--dry-run"]);
    assert_eq!(dry.code, Some(0), "{}", dry.err);
    let pull = dry.out.find(&format!("podman pull {node}\n")).expect(&dry.out);
    assert!(pull < dry.out.find(" build --").unwrap(), "{}", dry.out);
    assert!(!dry.out.contains("pull localhost/python:3.12"), "{}", dry.out);
    assert!(!calls(&checkout).contains("pull "), "{}", calls(&checkout));
    assert_eq!(checkout.run(&["build"]).code, Some(0));
    let calls = calls(&checkout);
    let pulled = calls.find(&format!("pull {node}\n")).expect(&calls);
    assert!(pulled < calls.find("build ").unwrap(), "{calls}");
    // It has no stand-in, and a `localhost/` name has no registry: it is here or nowhere.
    let text = checkout.path(file);
    let named = std::fs::read_to_string(&text).unwrap();
    std::fs::write(&text, named.replace(&node, "localhost/tools/node:24")).unwrap();
    let ended = checkout.run(&["build"]);
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    assert!(ended.err.contains("looking for localhost/tools/node:24: not in the store"));
}

/// Only when none of the places answers that Podman would pull from is there anything instead.
#[test]
fn a_base_comes_through_the_mirror_that_podman_knows() {
    let checkout = with_podman();
    let mirror = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = |location: &str| format!(r#"{{"Location":"{location}","Insecure":true}}"#);
    let check = |prefix: &str, mirrors: &str, expected: &str| {
        // No host answers at the location itself.
        let entry = format!(r#"{{"Location":"127.0.0.1:9","Mirrors":[{mirrors}]}}"#);
        let blocked = r#""docker.io":{"Location":"127.0.0.1:9","Mirrors":null}"#;
        let text = format!(r#"{{"registries":{{{blocked},"{prefix}":{entry},"search":["x"]}}}}"#);
        checkout.write("info.json", &text);
        let ended = checkout.run(&["build", "--dry-run", "--base", "docker.io/library/debian:12"]);
        let pulls = ended.out.contains("podman pull docker.io/library/debian:12\n");
        assert_eq!(pulls, expected == "pull", "{prefix}: {}{}", ended.out, ended.err);
        let unreachable = ended.err.contains(": no registry can be reached: 127.0.0.1:9: ");
        assert_eq!(unreachable, expected == "none", "{prefix}: {}{}", ended.out, ended.err);
    };
    let open = place(&format!("{}/hub", mirror.local_addr().unwrap()));
    check("docker.io", &open, "pull");
    check("docker.io/library", &open, "pull");
    check("*.io", &open, "none");
    check("quay.io", &open, "none");
    check("docker.io/library", &place("127.0.0.1:9"), "none");
    let both = format!("{},{open}", place("127.0.0.1:9"));
    check("docker.io/library/debian", &both, "pull");
    // Files that Podman can't read are reported.
    checkout.program("podman", &PODMAN.replace("|| true", "; echo bad toml >&2; exit 125"));
    let ended = checkout.run(&["build", "--dry-run", "--base", "docker.io/library/debian:12"]);
    assert_eq!(ended.code, Some(4), "{}", ended.err);
    assert!(ended.err.contains("for its registries: bad toml"), "{}", ended.err);
}
