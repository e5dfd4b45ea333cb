//! Environments of a real registry: promoted, rolled back and verified from two checkouts, and whatever
//! becomes of the requests.

use super::bench::on_podman;
use super::cases::{ALWAYS, rule};
use super::ended::Ended;
use super::place::canary;
use super::proxy::{Fault, Gate, Kind, Rule, Who};
use super::release::{NAME, Scene};
use super::workshop::holds_secret;
use serde_json::Value;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const TAG: &str = "production";
/// The public key of each cosign.
const PUBLIC: [&str; 2] = ["docker/one.pub", "docker/two.pub"];

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

    /// Two releases, the second with a migration; their digests. `before` each, its number is told.
    fn two_releases(&self, before: impl Fn(usize)) -> [String; 2] {
        let repository = &self.repository;
        before(0);
        repository.git(&["tag", "v1.0.0"]);
        self.released(&[]);
        before(1);
        repository.write("app/trading/migrations/0099_later.py", MIGRATION);
        repository.commit("a migration");
        repository.git(&["tag", "v1.1.0"]);
        self.released(&[]);
        ["1.0.0", "1.1.0"].map(|tag| self.digest(tag).unwrap())
    }

    /// The commands find this cosign: 0 is version 2, 1 is version 3. Each has its own key.
    fn with_cosign(&self, number: usize) {
        let folders = std::env::var_os("XTASK_TEST_COSIGN").expect("the group sets it");
        let folder = std::env::split_paths(&folders).nth(number).unwrap();
        let path = std::env::join_paths(
            [folder.clone()]
                .into_iter()
                .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
        );
        let key = self.repository.path(&format!("target/key-{number}"));
        let mut variables = vec![
            ("PATH", path.unwrap().into_string().unwrap()),
            // Of the key; it must be asked for nowhere.
            ("COSIGN_PASSWORD", String::new()),
        ];
        if !key.exists() {
            std::fs::create_dir(&key).unwrap();
            let mut make = Command::new(folder.join("cosign"));
            make.arg("generate-key-pair").current_dir(&key).env("COSIGN_PASSWORD", "");
            Ended::from(make.output().unwrap()).good();
            std::fs::copy(key.join("cosign.pub"), self.repository.path(PUBLIC[number])).unwrap();
        }
        let private = std::fs::read_to_string(key.join("cosign.key")).unwrap();
        variables.push(("COSIGN_PRIVATE_KEY", private));
        *self.variables.borrow_mut() = variables;
    }

    /// Signs from now on, and takes these keys.
    fn signs(&self, keys: &[&str]) {
        let text = self.repository.read("docker/image.toml");
        let text = text.split("\n[sign]\n").next().unwrap();
        let tables =
            format!("\n[sign]\nkey = \"env://COSIGN_PRIVATE_KEY\"\n\n[verify]\nkeys = {keys:?}\n");
        self.repository.write("docker/image.toml", &format!("{text}{tables}"));
    }

    /// An image that no release made.
    fn bare(&self) -> String {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n")
            .unwrap();
        let words = ["build", "--quiet", folder.path().to_str().unwrap()];
        self.repository.engine(&words).good().trim().to_owned()
    }

    /// Runs a command, and kills it once a request of it is held.
    fn killed(&self, words: &[&str], held: &Receiver<()>) -> Ended {
        let mut command = self.command(&self.repository, self.home.path(), words);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = child.spawn().unwrap();
        while child.try_wait().unwrap().is_none() {
            if held.recv_timeout(Duration::from_millis(50)).is_ok() {
                child.kill().unwrap();
                break;
            }
        }
        child.wait_with_output().unwrap().into()
    }

    fn history(&self) -> Vec<String> {
        let tags = self.registry.tags(NAME);
        let tags: Value = serde_json::from_str(&tags).unwrap_or_default();
        let all = tags["tags"].as_array().into_iter().flatten().filter_map(Value::as_str);
        all.filter(|tag| tag.contains("-history-")).map(str::to_owned).collect()
    }
}

/// Holds a request until the last of the three is dropped; the second says that it came.
fn gate() -> (Gate, Receiver<()>, Sender<()>) {
    let (at, came) = channel();
    let (on, goes) = channel();
    (Gate { arrived: Mutex::new(at), go: Mutex::new(goes) }, came, on)
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
    scene.signs(&PUBLIC[..1]);
    scene.with_cosign(1);
    scene.repository.commit("signed");
    scene.repository.git(&["tag", "v0.1.0"]);
    let refused = ["release", "--allow-standin", "--core", "--debian-refresh=none"];
    scene.fails(&refused, 3, "no file of [verify] keys is its public key");
    scene.repository.git(&["tag", "--delete", "v0.1.0"]);
    // The second signs with another version and key; the first key stays good.
    let [old, new] = scene.two_releases(|number| {
        scene.with_cosign(number);
        scene.signs(&PUBLIC[..=number]);
        scene.repository.commit("keys");
    });
    let promote = |tag: &'static str| ["promote", tag, "--to", TAG];
    // What isn't there, isn't an environment, or isn't proven moves nothing.
    scene.fails(&["promote", "1.0.0", "--to", "qa"], 2, "the environments are production, staging");
    scene.fails(&promote("9.9.9"), 7, "looking for 9.9.9");
    scene.fails(&["push", "--allow-standin", "--tag", TAG], 2, "only `promote` moves");
    scene.ask(&["push", "--allow-standin", "--tag", "bare", &scene.bare()]).good();
    // The first image's proof, copied.
    let bare = scene.digest("bare").unwrap();
    for end in ["", ".sig", ".att"] {
        let list = |digest: &str| format!("{}{end}", digest.replace(':', "-"));
        scene.registry.copy(NAME, &list(&old), &list(&bare));
    }
    scene.fails(&promote("bare"), 8, "no smoke test that a signer of [verify] signed is attached");
    scene.fails(&["verify", "bare"], 8, "signed: not by docker/one.pub, docker/two.pub");
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
        "signed      by docker/two.pub",
        "is v1.1.0 of this repository",
        " checks of --core passed on ",
        "uv.lock sha256:",
        "accounted for",
        "promote ",
    ] {
        assert!(verified.contains(text), "{text}\n{verified}");
    }

    // Of the two versions, each checks what it signed, and the newer one also what the older one did.
    assert!(scene.ask(&["verify", "1.0.0"]).good().contains("signed      by docker/one.pub"));
    scene.with_cosign(0);
    assert!(scene.ask(&["verify", "1.0.0"]).good().contains("signed      by docker/one.pub"));
    scene.with_cosign(1);
    scene.signs(&PUBLIC[1..]);
    scene.fails(&["verify", "1.0.0"], 8, "signed: not by docker/two.pub");
    scene.signs(&PUBLIC);

    // Another checkout, another user, nothing in common but the registry.
    let (twin, home) =
        (scene.repository.twin(), scene.place.home(&scene.proxy.address, Some(canary())));
    // The release is there: it is found, and not built again. Its record isn't on that machine.
    std::fs::remove_dir_all(twin.path("target/xtask/releases")).unwrap();
    let words = ["release", "--core", "--debian-refresh=none", "--allow-standin"];
    for _ in 0..2 {
        let mut command = scene.command(&twin, home.path(), &words);
        let again = Ended::from(command.output().unwrap());
        assert!(again.err.contains("nothing is built") && again.code == Some(0), "{}", again.err);
        assert!(!again.err.contains(" build --") && !again.err.contains(" push "), "{}", again.err);
    }
    assert_eq!(scene.digest("1.1.0").as_ref(), Some(&new));
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

/// Requests of ours that write or decide.
const KINDS: [Kind; 6] = [
    Kind::Tags,
    Kind::ManifestRead,
    Kind::BlobHead,
    Kind::UploadStart,
    Kind::UploadEnd,
    Kind::ManifestPut,
];

/// Each request of a promotion and of a rollback, failing for good, cut off, without an answer or held
/// until the command is killed: the tag names the old or the new image, and the next run completes it
/// with one entry of history.
#[test]
fn a_promotion_that_fails_anywhere_leaves_one_image_or_the_other() {
    let scene = Scene::new();
    let [old, new] = scene.two_releases(|_| {});
    let text = scene.repository.read("docker/image.toml");
    scene.repository.write("docker/image.toml", &format!("{text}\n[push]\ntimeout_seconds = 2\n"));
    scene.ask(&["promote", "1.0.0", "--to", TAG]).good();
    // What is there before, what fails, and what the tag then names.
    let moves: [(&str, &[&str], &String); 2] =
        [("1.0.0", &["promote", "1.1.0", "--to", TAG], &new), ("1.1.0", &["rollback", TAG], &old)];
    println!("| command | request | fault | exit | the tag |\n|---|---|---|---:|---|");
    let mut number = 0;
    for (before, words, to) in moves {
        for (kind, skip) in KINDS.into_iter().flat_map(|kind| [(kind, 0), (kind, 1)]) {
            let (gate, came, _held) = gate();
            let faults = [
                ("503", Fault::Status(503, None)),
                ("reset", Fault::Reset),
                ("hang", Fault::Silence),
                ("kill -9", Fault::Hold(Arc::new(gate))),
            ];
            for (name, fault) in faults {
                scene.ask(&["promote", before, "--to", TAG]).good();
                let history = scene.history().len();
                scene.proxy.rules(vec![Rule { skip, ..rule(Who::Ours, kind, ALWAYS, fault) }]);
                let failed = scene.killed(words, &came);
                scene.proxy.rules(Vec::new());
                let there = scene.digest(TAG).unwrap();
                let is = if there == old { "1.0.0" } else { "1.1.0" };
                println!("| {} | {kind:?} {skip} | {name} | {:?} | {is} |", words[0], failed.code);
                assert!(there == old || there == new, "{there}");
                let known = matches!(failed.code, None | Some(0 | 6 | 7));
                assert!(known, "{:?} {}", failed.code, failed.err);
                // Once more goes back further if the tag was moved.
                if words[0] == "promote" || there != *to {
                    scene.ask(words).good();
                }
                assert_eq!(scene.digest(TAG).as_ref(), Some(to));
                assert_eq!(scene.history().len(), history + 1, "{:?}", scene.history());
                number += 1;
            }
        }
    }
    assert_eq!(number, 96);
}

/// What a repository has of the image of 1.0.0: how much is attached to it, and how many manifests there
/// are in all.
fn kept(scene: &Scene, name: &str) -> (usize, usize) {
    let digest = scene.registry.digest(name, "1.0.0").unwrap();
    let list = scene.registry.text(name, &digest.replace(':', "-"));
    let list: Value = serde_json::from_str(&list).unwrap();
    (list["manifests"].as_array().unwrap().len(), scene.registry.manifests(name))
}

/// Each request that attaches the first of the proofs of a release, failing for good, cut off, without an
/// answer or held until the command is killed: the next run completes it, and nothing is there twice.
#[test]
fn proof_that_is_not_attached_is_attached_by_the_next_run() {
    let scene = Scene::new();
    scene.repository.git(&["tag", "v1.0.0"]);
    scene.released(&[]);
    let digest = scene.digest("1.0.0");
    let whole = (3, scene.registry.manifests(NAME));
    assert_eq!(kept(&scene, NAME), whole);
    let words = |name: &str| {
        let target = format!("--registry={}/{name}", scene.proxy.address);
        ["release", "--core", "--debian-refresh=none", "--allow-standin", "--timeout=20", &target]
            .map(str::to_owned)
    };
    // The requests of a run for one more repository, of ours and from the first proof to the second.
    scene.proxy.asked();
    scene.ask(&words("team/first").each_ref().map(String::as_str)).good();
    let asked = scene.proxy.asked();
    let ours: Vec<(Kind, &str)> = asked
        .iter()
        .filter_map(|line| line.strip_prefix("Ours ")?.split_once(' '))
        .map(|(method, path)| (Kind::of(method, path), path))
        .collect();
    let lists = |(_, path): &(Kind, &str)| path.contains("/referrers/");
    let from = ours.iter().position(lists).unwrap();
    let to = from + 1 + ours[from + 1..].iter().position(lists).unwrap();
    println!("| request | fault | exit |\n|---|---|---:|");
    let mut number = 0;
    for at in from..to {
        let kind = ours[at].0;
        let skip = ours[..at].iter().filter(|(one, _)| *one == kind).count();
        let (gate, came, _held) = gate();
        let faults = [
            ("503", ALWAYS, Fault::Status(503, None)),
            ("reset", ALWAYS, Fault::Reset),
            ("hang", 1, Fault::Silence),
            ("kill -9", ALWAYS, Fault::Hold(Arc::new(gate))),
        ];
        for (name, times, fault) in faults {
            let repository = format!("team/case{number}");
            let words = words(&repository);
            let words = words.each_ref().map(String::as_str);
            scene.proxy.rules(vec![Rule { skip, ..rule(Who::Ours, kind, times, fault) }]);
            let failed = scene.killed(&words, &came);
            scene.proxy.rules(Vec::new());
            println!("| {kind:?} {skip} | {name} | {:?} |", failed.code);
            let known = matches!(failed.code, None | Some(0 | 6 | 7));
            assert!(known, "{:?} {}", failed.code, failed.err);
            scene.ask(&words).good();
            assert_eq!(scene.registry.digest(&repository, "1.0.0"), digest);
            assert_eq!(kept(&scene, &repository), whole, "{kind:?} {skip} {name}");
            number += 1;
        }
    }
    assert!(number >= 24, "{asked:?}");
}

/// A release for one more registry whose proof can't be signed is completed by the next run.
#[test]
fn one_more_registry_is_signed_as_a_whole() {
    let scene = Scene::new();
    scene.with_cosign(0);
    scene.signs(&PUBLIC[..1]);
    scene.repository.commit("signed");
    scene.repository.git(&["tag", "v1.0.0"]);
    scene.released(&[]);
    let more = format!("{}/team/more", scene.proxy.address);
    let registry = format!("--registry={more}");
    let words = ["release", "--core", "--debian-refresh=none", "--allow-standin", &registry];
    // The engine writes the image, cosign its signature, and then nothing.
    let cut = Rule { skip: 2, ..rule(Who::Engine, Kind::ManifestPut, ALWAYS, Fault::Reset) };
    scene.proxy.rules(vec![cut]);
    scene.fails(&words, 6, "signing ");
    scene.proxy.rules(Vec::new());
    let name = format!("{more}:1.0.0");
    scene.fails(&["verify", &name], 8, "tested: no smoke test");
    scene.ask(&words).good();
    scene.ask(&["verify", &name]).good();
    // Then nothing is signed once more.
    scene.proxy.asked();
    scene.ask(&words).good();
    let written = |line: &String| line.starts_with("Engine PUT");
    assert_eq!(scene.proxy.asked().into_iter().find(written), None);
}

/// Built without the layer cache by the release, and once more from another checkout, whose files are
/// of another day and whose user lets others read nothing.
#[test]
fn a_release_is_built_again_with_the_same_layers() {
    let scene = Scene::new();
    let text = scene.repository.read("docker/image.toml");
    let text = text.replacen("[variant.prod]\n", "[variant.prod]\nreproducible = true\n", 1);
    scene.repository.write("docker/image.toml", &text);
    scene.repository.commit("reproducible");
    scene.repository.git(&["tag", "v1.0.0"]);
    scene.released(&[]);
    let twin = scene.repository.twin();
    let old = "find . -path ./target -prune -o -type f -exec touch -d 2001-02-03 {} +";
    Ended::from(Command::new("sh").args(["-c", old]).current_dir(twin.path(".")).output().unwrap())
        .good();
    let again = scene.command(&twin, scene.home.path(), &["reproduce", "1.0.0"]);
    let mut command = Command::new("sh");
    command.args(["-c", "umask 077; exec \"$@\"", "sh"]).arg(again.get_program());
    command.args(again.get_args()).current_dir(twin.path("."));
    for (name, value) in again.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let said = Ended::from(command.output().unwrap()).good();
    let proven = if on_podman() {
        "reproduced  the same layers by their digests, "
    } else {
        "files and config, but for the times of "
    };
    assert!(said.contains(proven), "{said}");
}
