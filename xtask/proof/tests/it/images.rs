//! `images` and `clean`: what is shown, and what is removed and what never.

use super::checkout::Checkout;
use serde_json::{Value, json};

/// A Podman whose images and containers come from files.
const PODMAN: &str = r##"#!/bin/sh
here=$HOME/..
echo "$*" >>"$here/calls"
case "$1 $2" in
    "version "*) echo '{"Client":{"Version":"4.3.1"}}' ;;
    "images --quiet") cat "$here/ids" ;;
    "image inspect")
        while read -r name id; do
            if [ "$name" = "$3" ]; then echo "[{\"Id\":\"$id\"}]"; exit 0; fi
        done <"$here/names"
        cat "$here/inspect.json" ;;
    "image rm")
        if [ "$3" = localhost/senex_trader:sha-bbbbbbbbbbbb ]; then
            echo "image is in use by a container" >&2; exit 2
        fi ;;
    "ps --all") cat "$here/container-ids" ;;
    "container inspect") cat "$here/containers" ;;
    *) ;;
esac
"##;

/// The images of all tests: id, names, whether it has our label.
const IMAGES: [(&str, &[&str], bool); 9] = [
    ("a1", &["localhost/senex_trader:sha-aaaaaaaaaaaa"], true),
    ("b1", &["localhost/senex_trader:sha-bbbbbbbbbbbb"], true),
    ("c1", &["localhost/senex_trader:prod", "localhost/senex_trader:sha-cccccccccccc"], true),
    ("d1", &[], true),
    ("e1", &["localhost/senex_trader:sha-eeeeeeeeeeee"], true),
    ("f1", &["localhost/senex_trader:sha-ffffffffffff"], true),
    ("01", &["localhost/other:sha-000000000000"], true),
    ("02", &["localhost/senex_trader:sha-222222222222"], true),
    ("03", &["localhost/senex_trader:sha-333333333333"], false),
];

fn with_images() -> Checkout {
    let checkout = Checkout::new();
    checkout.write("home/.keep", "");
    checkout.program("podman", PODMAN);
    let inspected: Vec<Value> = IMAGES
        .iter()
        .map(|(id, names, ours)| {
            let labels = if *ours { json!({ "dev.senex.xtask": "1" }) } else { json!({}) };
            json!({ "Id": id, "RepoTags": names, "Size": 5_000_000, "Config": { "Labels": labels } })
        })
        .collect();
    checkout.write("inspect.json", &json!(inspected).to_string());
    let ids: String = IMAGES.iter().map(|(id, ..)| format!("{id}\n")).collect();
    checkout.write("ids", &ids);
    let names = IMAGES.iter().flat_map(|(id, names, _)| names.iter().map(move |name| (name, id)));
    let names: String = names.map(|(name, id)| format!("{name} {id}\n")).collect();
    checkout.write("names", &names.replace("222222222222 02", "222222222222 99"));
    checkout.write("container-ids", "x\n");
    checkout.write("containers", "e1 exited /job\n");
    checkout.write("target/xtask/releases/1.2.3.json", r#"{"image_id":"sha256:f1"}"#);
    let made: Vec<String> = IMAGES.iter().map(|(id, ..)| format!("sha256:{id}")).collect();
    checkout.write("target/xtask/made.json", &json!(made).to_string());
    checkout
}

fn removals(checkout: &Checkout) -> Vec<String> {
    let calls = std::fs::read_to_string(checkout.path("calls")).unwrap();
    calls.lines().filter_map(|line| line.strip_prefix("image rm ")).map(str::to_owned).collect()
}

#[test]
fn images_are_shown_with_what_uses_them() {
    let checkout = with_images();
    let ended = checkout.run(&["images"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let line = |name: &str| {
        let line = ended.out.lines().find(|line| line.starts_with(name));
        line.unwrap_or_else(|| panic!("{name}\n{}", ended.out)).to_owned()
    };
    assert!(
        line("localhost/senex_trader:sha-aaaaaaaaaaaa").ends_with("unused: `clean` removes it")
    );
    assert!(line("localhost/senex_trader:prod").ends_with("5.0 MB  the current one"));
    assert!(
        line("localhost/senex_trader:sha-eeee")
            .ends_with("used: the container job has it (exited)")
    );
    assert!(
        line("localhost/senex_trader:sha-ffff")
            .contains("used: the last release (target/xtask/releases/1.2.3.json)")
    );
    assert!(line("localhost/other:").ends_with("is no name of this project"));
    assert!(!ended.out.contains("333333333333"), "{}", ended.out);
    let json = checkout.run(&["images", "--format", "json"]);
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["images"].as_array().unwrap().len(), 8);
    assert_eq!(removals(&checkout), [""; 0]);
    checkout.write("ids", "");
    assert_eq!(checkout.run(&["images"]).out, "no image of this project\n");
}

#[test]
fn a_clean_shows_first_and_removes_only_what_is_ours_and_unused() {
    let checkout = with_images();
    let dry = checkout.run(&["clean", "--dry-run"]);
    assert_eq!(dry.code, Some(0), "{}", dry.err);
    assert_eq!(removals(&checkout), [""; 0]);
    let name = |letter: &str| format!("localhost/senex_trader:sha-{}", letter.repeat(12));
    for going in [name("a"), name("b"), name("2"), "sha256:d1".to_owned()] {
        assert!(dry.out.contains(&format!("podman image rm {going}\n")), "{}", dry.out);
    }
    assert_eq!(dry.out.lines().count(), 5, "{}", dry.out);
    let ended = checkout.run(&["clean", "--format", "json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let shown = ended.err.find("unused: `clean` removes it").unwrap();
    assert!(shown < ended.err.find("podman image rm ").unwrap(), "{}", ended.err);
    // One turned out to be in use, the name of another has moved.
    let mut removed = removals(&checkout);
    removed.sort();
    assert_eq!(removed, [name("a"), name("b"), "sha256:d1".to_owned()]);
    let json: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(json["removed"].as_array().unwrap().len(), 2);
    assert!(ended.err.contains("stays: image is in use by a container"), "{}", ended.err);
    assert!(ended.err.contains(&format!("stays: {} has become another image", name("2"))));
    // Never, whatever is asked for.
    let all = checkout.run(&["clean", "--dry-run", "--all"]);
    for kept in [name("e"), name("f"), "localhost/other:".to_owned(), name("3")] {
        assert!(!all.out.contains(&kept), "{}", all.out);
    }
    assert!(all.out.contains("podman image rm localhost/senex_trader:prod\n"), "{}", all.out);
}

/// What builds keep of the build context, also what a killed one left.
#[test]
fn a_clean_takes_the_snapshot_along() {
    let checkout = with_images();
    assert_eq!(checkout.run(&["context", "--snapshot"]).code, Some(0));
    checkout.write("target/xtask/commit-1/whole/app/a.py", "");
    let kept =
        ["commit-1", "context", "files"].map(|name| checkout.path("target/xtask").join(name));
    let commands = kept.each_ref().map(|path| format!("rm -r {}\n", path.display())).concat();
    let dry = checkout.run(&["clean", "--dry-run"]);
    assert!(dry.out.ends_with(&commands) && kept.iter().all(|path| path.exists()), "{}", dry.out);
    assert_eq!(checkout.run(&["clean"]).code, Some(0));
    assert!(!kept.iter().any(|path| path.exists()));
}

#[test]
fn what_another_checkout_made_stays_unless_it_is_asked_for() {
    let checkout = with_images();
    std::fs::remove_file(checkout.path("target/xtask/made.json")).unwrap();
    assert_eq!(checkout.run(&["clean", "--dry-run"]).out, "set -eu\n");
    let all = checkout.run(&["clean", "--dry-run", "--all"]).out;
    assert!(all.contains("sha-aaaaaaaaaaaa") && !all.contains("sha256:d1"), "{all}");
    assert_eq!(checkout.run(&["clean"]).out, "nothing was removed\n");
    // A record of a release that can't be read protects nothing, so nothing is done.
    checkout.write("target/xtask/releases/9.json", "{");
    let ended = checkout.run(&["clean"]);
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.contains("releases/9.json: it names no image_id"), "{}", ended.err);
}
