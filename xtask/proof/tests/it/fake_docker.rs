//! A Docker that is played by a script: what it is asked for, and what is made of its answers.

use super::checkout::Checkout;
use super::ended::Ended;
use std::fs;

/// A Docker of version 20.10 whose store can't be looked into: an ordinary user's. The layers of
/// what it builds stand in the file `layers`, its ID in `id`, what `save` gives in the file `archive`.
const DOCKER: &str = r#"#!/bin/sh
echo "$*" >>"$HOME/../calls"
case "$1 $2" in
    "--version ") echo "Docker version 20.10.24" ;;
    "version "*) echo '{"Client":{"Version":"20.10.24","ApiVersion":"1.41"},"Server":{"Version":"20.10.24"}}' ;;
    "image inspect")
        names=$(sed -n 'H;${x;s/\n/,/g;s/^,//;p}' "$HOME/../names" 2>/dev/null)
        shift 2
        comma=
        echo "["
        for name; do
            echo "$comma"
            case $name in
                *python*) cat "$HOME/../base.json" ;;
                *) sed "1s|^{|&\"RepoTags\":[$names],|" "$HOME/../image.json" ;;
            esac
            comma=,
        done
        echo "]" ;;
    "tag "*) echo "\"$3\"" >>"$HOME/../names" ;;
    "history "*) printf '0\n20000\n0\n3000000\n' ;;
    "save "*) cat "$HOME/../archive" ;;
    "build "*)
        rm -f "$HOME/../names"
        labels= comma=
        while [ $# -gt 0 ]; do
            case $1 in
                --iidfile) file=$2 ;;
                --label) labels="$labels$comma\"${2%%=*}\":\"${2#*=}\""; comma=, ;;
            esac
            shift
        done
        echo "{\"Id\":\"$(cat "$HOME/../id")\",\"Config\":{\"Labels\":{$labels},\"Healthcheck\":{\"Test\":[\"CMD\",\"x\"]}},
            \"GraphDriver\":{\"Data\":{\"UpperDir\":\"$HOME/no/overlay2/12/diff\"}},
            \"RootFS\":{\"Layers\":[$(cat "$HOME/../layers")]}}" >"$HOME/../image.json"
        cat "$HOME/../id" >"$file" ;;
    *) ;;
esac
"#;

fn with_docker() -> Checkout {
    let checkout = Checkout::new();
    checkout.write(
        ".git/info/exclude",
        "/bin/\n/home/\n/calls\n/base.json\n/image.json\n/id\n/layers\n/archive\n/names\n",
    );
    checkout.write("home/.keep", "");
    checkout.write("base.json", r#"{"Id":"sha256:ab","Config":{}}"#);
    checkout.program("docker", DOCKER);
    checkout
}

/// As `docker/setup-buildx-action` leaves a machine: what is built stays with the builder, and only
/// `--load` brings it into the store.
#[test]
fn what_another_builder_made_is_loaded() {
    let with_builder = |driver: &str| {
        let checkout = with_docker();
        let script = DOCKER.replace("20.10.24", "28.2.2").replace(
            "case \"$1 $2\" in\n",
            &format!(
                "case \"$1 $2\" in\n    \"buildx inspect\") printf 'Name:   ci\\nDriver: {driver}\\n' ;;\n"
            ),
        );
        let keeps =
            "case \" $* \" in *' --load '*) ;; *) rm \"$HOME/../image.json\" ;; esac\n        cat";
        let (before, after) = script.rsplit_once("cat \"$HOME/../id\" >\"$file\"").unwrap();
        let script = match driver {
            "docker" => script.clone(),
            // The words of the build were shifted away.
            _ => format!("{before}{keeps} \"$HOME/../id\" >\"$file\"{after}")
                .replace("labels= comma=", "labels= comma= all=\" $* \"")
                .replace("\" $* \" in *' --load", "\"$all\" in *' --load"),
        };
        checkout.program("docker", &script);
        checkout.write("id", "sha256:1");
        checkout.write("layers", "\"sha256:base\",\"sha256:top\"");
        fs::write(checkout.path("archive"), archive(3_000_000, 30_000)).unwrap();
        checkout
    };
    for driver in ["docker-container", "kubernetes", "remote"] {
        let checkout = with_builder(driver);
        let ended = checkout.run(&["build"]);
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        let said =
            format!("it builds with the builder ci (driver {driver}) and loads the result\n");
        assert!(ended.err.contains(&said), "{}", ended.err);
    }
    let checkout = with_builder("docker");
    let ended = checkout.run(&["build"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let calls = fs::read_to_string(checkout.path("calls")).unwrap();
    assert!(!calls.contains("--load") && !ended.err.contains("builder"), "{}", ended.err);
    // A missing builder is reported before anything is built.
    let gone = DOCKER.replace("20.10.24", "28.2.2").replace(
        "case \"$1 $2\" in\n",
        "case \"$1 $2\" in\n    \"buildx inspect\") echo 'ERROR: no builder \"ci\" found' >&2; exit 1 ;;\n",
    );
    checkout.program("docker", &gone);
    let ended = checkout.run(&["build"]);
    let said = "docker: its builder can't be used: ERROR: no builder \"ci\" found; docker buildx use default";
    assert!(ended.code == Some(4) && ended.err.contains(said), "{}", ended.err);
}

/// Docker 20.10 was seen to lose its builder while it handed over a secret.
#[test]
fn a_build_that_lost_its_builder_is_tried_once_more() {
    let lost = "echo 'rpc error: code = Internal desc = unexpected EOF' >&2; exit 1";
    let build = |condition: &str| {
        let checkout = with_docker();
        let fails = format!("\"build \"*)\n        if {condition}; then {lost}; fi");
        checkout.program("docker", &DOCKER.replace("\"build \"*)", &fails));
        checkout.write("id", "sha256:1");
        checkout.write("layers", "\"sha256:base\",\"sha256:top\"");
        fs::write(checkout.path("archive"), archive(3_000_000, 30_000)).unwrap();
        let ended = checkout.run(&["build"]);
        let calls = fs::read_to_string(checkout.path("calls")).unwrap();
        let builds = calls.lines().filter(|line| line.starts_with("build ")).count();
        assert_eq!(builds, 2, "{}", ended.err);
        let said = "building once more, because docker lost the connection to its builder: rpc ";
        assert!(ended.err.contains(said), "{}", ended.err);
        ended.code
    };
    assert_eq!(build("[ ! -e \"$HOME/lost\" ] && : >\"$HOME/lost\""), Some(0));
    assert_eq!(build("true"), Some(5));
}

/// What `docker save` gives for two layers of these bytes.
fn archive(base: usize, top: usize) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let manifest = br#"[{"Config":"c","Layers":["a","b"]}]"#;
    let files: [(&str, &[u8]); 4] =
        [("a", &vec![0; base]), ("b", &vec![0; top]), ("c", b"{}"), ("manifest.json", manifest)];
    for (name, data) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_cksum();
        archive.append_data(&mut header, name, data).unwrap();
    }
    archive.into_inner().unwrap()
}

/// Each question takes Docker as long as all of our own work.
#[test]
fn nothing_changed_is_found_by_one_question() {
    let checkout = with_docker();
    checkout.write("id", "sha256:1");
    checkout.write("layers", "\"sha256:base\",\"sha256:top\"");
    fs::write(checkout.path("archive"), archive(3_000_000, 30_000)).unwrap();
    let asked = |words: &[&str], variables: &[(&str, &str)]| {
        let _ = fs::remove_file(checkout.path("calls"));
        let mut command = checkout.command(&[&["build"], words].concat());
        let ended: Ended = command.envs(variables.iter().copied()).output().unwrap().into();
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        assert!(ended.err.starts_with("engine Docker 20.10.24: it works\n"), "{}", ended.err);
        let calls = fs::read_to_string(checkout.path("calls")).unwrap();
        let built = calls.contains("\nbuild ");
        assert_eq!(ended.err.contains("up to date"), !built, "{}", ended.err);
        let first = calls.lines().next().unwrap_or_default();
        (calls.lines().count(), first.split(' ').next().unwrap().to_owned(), built)
    };
    assert!(asked(&[], &[]).2);
    assert_eq!(asked(&[], &[]), (1, "image".to_owned(), false));
    // Whatever may change the answers is asked for again.
    let again = |words: &[&str], variables: &[(&str, &str)], built: bool, why: &str| {
        let (count, first, has_built) = asked(words, variables);
        assert!(count > 1 && first == "version" && has_built == built, "{why}: {count} {first}");
    };
    again(&[], &[("DOCKER_API_VERSION", "1.41")], false, "a variable");
    again(&["--force"], &[], true, "--force");
    again(&["--cache", "127.0.0.1:9/team/cache"], &[], false, "--cache");
    assert_eq!(asked(&[], &[]).0, 1);
    checkout.program("docker", &format!("{DOCKER}\n"));
    again(&[], &[], false, "another program");
    checkout.write("home/.docker/config.json", "{}");
    again(&[], &[], false, "the client's settings");
    checkout.write("target/xtask/tmp/left", "");
    again(&[], &[], false, "something that a killed build left");
    // The answers themselves are compared.
    let other = |name: &str, text: &str, question: &str, why: &str| {
        checkout.write(name, text);
        let (count, first, built) = asked(&[], &[]);
        assert!(count > 1 && first == question && built, "{why}: {count} {first}");
    };
    other("base.json", r#"{"Id":"sha256:cd","Config":{}}"#, "image", "another base of that name");
    other("app/new.py", "", "version", "a new file");
    other("names", "", "image", "it has lost its names");
}

/// Reading the whole image takes seconds: a developer's edit doesn't, what can be released does.
#[test]
fn a_small_edit_is_not_measured_and_a_commit_is() {
    let checkout = with_docker();
    let build = |words: &[&str]| {
        let ended = checkout.run(&[&["build"], words].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        ended.out
    };
    let saved = || {
        let calls = fs::read_to_string(checkout.path("calls")).unwrap();
        calls.lines().filter(|call| call.starts_with("save ")).count()
    };
    let makes = |id: &str, top: &str| {
        checkout.write("id", &format!("sha256:{id}"));
        checkout.write("layers", &format!("\"sha256:base\",\"sha256:{top}\""));
    };
    makes("1", "first");
    fs::write(checkout.path("archive"), archive(3_000_000, 30_000)).unwrap();
    let first = build(&[]);
    assert!(first.contains("  size      3.0 MB of 500.0 MB, 2 layers\n"), "{first}");
    assert_eq!(saved(), 1);
    build(&[]);
    assert_eq!(saved(), 1);
    checkout.write("app/manage.py", "one = 2\n");
    makes("2", "edited");
    let edited = build(&[]);
    assert!(edited.contains("  size      about 3.0 MB of 500.0 MB, 2 layers\n"), "{edited}");
    let edited: serde_json::Value = serde_json::from_str(&build(&["--format", "json"])).unwrap();
    assert_eq!(edited["size_bytes"], 3_020_000);
    assert_eq!(edited["size_exact"], false);
    assert_eq!(saved(), 1);
    makes("3", "edited");
    fs::write(checkout.path("archive"), archive(3_000_000, 32_768)).unwrap();
    checkout.git(&["commit", "--quiet", "--all", "--message", "second"]);
    let second: serde_json::Value = serde_json::from_str(&build(&["--format", "json"])).unwrap();
    assert_eq!(second["size_bytes"], 3_032_768);
    assert_eq!(second["size_exact"], true);
    assert_eq!(saved(), 2);
}
