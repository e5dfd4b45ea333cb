//! Environments of a real registry: promoted, rolled back and verified from two checkouts, and whatever
//! becomes of the requests.

use super::cases::{ALWAYS, rule};
use super::ended::Ended;
use super::place::canary;
use super::proxy::{Fault, Kind, Rule, Who};
use super::release::{NAME, Scene};
use super::workshop::holds_secret;
use serde_json::Value;

const TAG: &str = "production";

impl Scene {
    fn ask(&self, words: &[&str]) -> Ended {
        self.command(&self.repository, self.home.path(), words).output().unwrap().into()
    }

    #[track_caller]
    fn fails(&self, words: &[&str], code: i32, expected: &str) {
        let ended = self.ask(words);
        assert_eq!(ended.code, Some(code), "{words:?}: {}", ended.err);
        assert!(ended.err.contains(expected), "{expected:?} is not in:\n{}", ended.err);
    }

    /// Two releases, the second with a migration; their digests.
    fn two_releases(&self) -> [String; 2] {
        let repository = &self.repository;
        repository.git(&["tag", "v1.0.0"]);
        self.released(&[]);
        repository.write("app/trading/migrations/0099_later.py", MIGRATION);
        repository.commit("a migration");
        repository.git(&["tag", "v1.1.0"]);
        self.released(&[]);
        ["1.0.0", "1.1.0"].map(|tag| self.digest(tag).unwrap())
    }

    /// An image that no release made.
    fn bare(&self) -> String {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n")
            .unwrap();
        let words = ["build", "--quiet", folder.path().to_str().unwrap()];
        self.repository.engine(&words).good().trim().to_owned()
    }

    fn history(&self) -> Vec<String> {
        let tags = self.registry.tags(NAME);
        let tags: Value = serde_json::from_str(&tags).unwrap_or_default();
        let all = tags["tags"].as_array().into_iter().flatten().filter_map(Value::as_str);
        all.filter(|tag| tag.contains("-history-")).map(str::to_owned).collect()
    }
}

const MIGRATION: &str = "\
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [(\"trading\", \"0001_initial\")]
    operations = []
";

#[test]
fn an_environment_moves_to_what_is_proven_and_back_from_anywhere() {
    let scene = Scene::new();
    let [old, new] = scene.two_releases();
    let promote = |tag: &'static str| ["promote", tag, "--to", TAG];
    // What isn't there, isn't an environment, or isn't proven moves nothing.
    scene.fails(&["promote", "1.0.0", "--to", "qa"], 2, "the environments are production, staging");
    scene.fails(&promote("9.9.9"), 7, "looking for 9.9.9");
    scene.fails(&["push", "--allow-standin", "--tag", TAG], 2, "only `promote` moves");
    scene.ask(&["push", "--allow-standin", "--tag", "bare", &scene.bare()]).good();
    scene.fails(&promote("bare"), 8, "no smoke test is attached");
    assert_eq!((scene.digest(TAG), scene.history()), (None, Vec::new()));

    let dry = scene.ask(&[&promote("1.0.0")[..], &["--dry-run"]].concat()).good();
    assert!(dry.contains("PUT manifest") && scene.digest(TAG).is_none(), "{dry}");
    for tag in ["1.0.0", "1.0.0", "1.1.0"] {
        scene.ask(&promote(tag)).good();
    }
    // The second was no move.
    assert_eq!((scene.digest(TAG).as_ref(), scene.history().len()), (Some(&new), 2));
    let verified = scene.ask(&["verify", TAG, "--history"]).good();
    for text in [
        "is v1.1.0 of this repository",
        "checks passed on",
        "uv.lock sha256:",
        "accounted for",
        "promote ",
    ] {
        assert!(verified.contains(text), "{text}\n{verified}");
    }

    // Another checkout, another user, nothing in common but the registry.
    let (twin, home) =
        (scene.repository.twin(), scene.place.home(&scene.proxy.address, Some(canary())));
    let mut command = scene.command(&twin, home.path(), &["rollback", TAG]);
    let back = Ended::from(command.output().unwrap()).good();
    assert!(back.contains("1.1.0") && back.contains("0099_later.py"), "{back}");
    assert_eq!(scene.digest(TAG).as_ref(), Some(&old));
    scene.fails(&["rollback", TAG], 10, "no image before this one");

    // Something else moves the tag: its history doesn't explain it.
    scene.registry.copy(NAME, "1.1.0", TAG);
    scene.fails(&["verify", TAG], 8, "something else moved the tag");
    scene.ask(&["rollback", TAG]).good();
    assert_eq!(scene.digest(TAG).as_ref(), Some(&old));
    assert!(!holds_secret(&(verified + &back)), "the password is shown");
}

/// Each request of a promotion, failing for good, cut off or held until the command is killed: the
/// tag names the old or the new image, and the next run completes it with one entry of history.
#[test]
fn a_promotion_that_fails_anywhere_leaves_one_image_or_the_other() {
    let scene = Scene::new();
    let [old, new] = scene.two_releases();
    let kinds = [
        Kind::Tags,
        Kind::ManifestRead,
        Kind::BlobHead,
        Kind::UploadStart,
        Kind::UploadEnd,
        Kind::ManifestPut,
    ];
    let mut number = 0;
    for kind in kinds {
        for skip in 0..2 {
            for (name, fault) in [("503", Fault::Status(503, None)), ("reset", Fault::Reset)] {
                scene.ask(&["promote", "1.0.0", "--to", TAG]).good();
                let before = scene.history().len();
                scene.proxy.rules(vec![Rule { skip, ..rule(Who::Ours, kind, ALWAYS, fault) }]);
                let failed = scene.ask(&["promote", "1.1.0", "--to", TAG]);
                scene.proxy.rules(Vec::new());
                let there = scene.digest(TAG).unwrap();
                println!("{kind:?} {skip} {name}: exit {:?}, {there:.19}", failed.code);
                assert!(there == old || there == new, "{there}");
                assert!(matches!(failed.code, Some(0 | 6 | 7)), "{:?} {}", failed.code, failed.err);
                scene.ask(&["promote", "1.1.0", "--to", TAG]).good();
                assert_eq!(scene.digest(TAG).as_ref(), Some(&new));
                assert_eq!(scene.history().len(), before + 1, "{:?}", scene.history());
                number += 1;
            }
        }
    }
    assert_eq!(number, 24);
}
