//! Releases of the real image to registries: what is refused, what is pushed, what a run that was
//! killed leaves, and two at the same time.

use super::bench::{Repository, engine, on_podman};
use super::ended::Ended;
use super::interleaved::{Push, gates, orders};
use super::place::{Place, Registry, canary};
use super::proxy::{Fault, Gate, Kind, Proxy, Rule, Who};
use super::workshop::{as_user, holds_secret};
use serde_json::Value;
use std::cell::RefCell;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

/// The repository of the images.
pub const NAME: &str = "team/senex";
/// How long a step of a release is waited for: only what hangs takes longer.
const HANG: Duration = Duration::from_secs(600);

/// A registry behind a proxy, a checkout, and a user who is logged in.
pub struct Scene {
    pub repository: Repository,
    pub registry: Registry,
    pub proxy: Proxy,
    pub home: TempDir,
    pub place: Place,
    /// What else the commands find in their environment.
    pub variables: RefCell<Vec<(&'static str, String)>>,
}

impl Scene {
    pub fn new() -> Scene {
        let repository = Repository::new();
        // The base and the services are there before; a stranger's home folder knows none of them.
        repository.build(&[]);
        repository.xtask(&["setup", "--services"]).good();
        let place = Place::new();
        let registry = Registry::start(&place, "registry");
        let proxy = registry.proxy(&place, false);
        let home = place.home(&proxy.address, Some(canary()));
        Scene { repository, registry, proxy, home, place, variables: RefCell::default() }
    }

    fn target(&self) -> String {
        format!("{}/{NAME}", self.proxy.address)
    }

    pub fn command(&self, repository: &Repository, home: &Path, words: &[&str]) -> Command {
        let mut command = repository.command(words);
        as_user(&mut command, home);
        command.env("XTASK_REGISTRY", self.target());
        command.envs(self.variables.borrow().iter().map(|(name, value)| (name, value)));
        command
    }

    fn release(&self, words: &[&str]) -> Ended {
        let words = [&["release", "--core", "--debian-refresh=none"], words].concat();
        self.command(&self.repository, self.home.path(), &words).output().unwrap().into()
    }

    /// A release of the commit on the stand-in; its record.
    #[track_caller]
    pub fn released(&self, words: &[&str]) -> Value {
        let words = [&["--allow-standin", "--format=json"], words].concat();
        serde_json::from_str(&self.release(&words).good()).unwrap()
    }

    #[track_caller]
    fn refused(&self, words: &[&str], code: i32, expected: &[&str]) {
        let ended = self.release(words);
        assert_eq!(ended.code, Some(code), "{}", ended.err);
        for text in expected {
            assert!(ended.err.contains(text), "{text:?} is not in:\n{}", ended.err);
        }
    }

    pub fn digest(&self, tag: &str) -> Option<String> {
        self.registry.digest(NAME, tag)
    }

    fn record(&self, version: &str) -> Value {
        let path = format!("target/xtask/releases/{version}.json");
        serde_json::from_str(&self.repository.read(&path)).unwrap()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// The tags that a record says are in its first registry, with their digests.
fn tags(record: &Value) -> Vec<(String, String)> {
    let all = record["registries"][0]["tags"].as_array().unwrap();
    all.iter().map(|tag| (text(&tag["tag"]).into(), text(&tag["digest"]).into())).collect()
}

#[test]
fn what_is_no_release_is_refused_and_what_is_one_is_what_was_tested() {
    let scene = Scene::new();
    let repository = &scene.repository;
    scene.refused(&[], 3, &["error: releasing this commit: no git tag of this commit names"]);
    repository.git(&["tag", "v1.0.0"]);
    scene.refused(&[], 3, &["the base could only be a stand-in", "--allow-standin"]);
    assert_eq!(scene.registry.tags(NAME), "");
    let script = scene.release(&["--allow-standin", "--dry-run"]).good();
    let (build, rest) = script.split_once("cargo xtask smoke-test ").expect(&script);
    assert!(build.contains("# latest: ") && build.contains(" build --"), "{script}");
    let push = format!("push {} --registry {}", Repository::local("prod"), scene.target());
    assert!(rest.contains(&push) && rest.contains(" --tag 1.0.0 "), "{script}");
    assert_eq!(scene.registry.tags(NAME), "");

    // One that fails its test isn't sent, however often it is tried.
    let asked = repository.read("app/tests/smoke.toml");
    let never = "\n[[smoke.http]]\nname = \"never\"\npath = \"/health/\"\ncontains = \"no page says this\"\n";
    repository.write("app/tests/smoke.toml", &(asked + never));
    repository.commit("failing");
    repository.git(&["tag", "v0.9.0"]);
    for _ in 0..2 {
        scene.refused(&["--allow-standin"], 8, &["no page says this"]);
    }
    assert_eq!(
        (scene.registry.tags(NAME), &scene.record("0.9.0")["tested"]),
        (String::new(), &false.into())
    );
    repository.git(&["tag", "--delete", "v0.9.0"]);
    repository.git(&["reset", "--quiet", "--hard", "HEAD~1"]);

    // Neither files outside the commit nor a broken Dockerfile is part of it.
    repository.write("app/new.py", "");
    let dockerfile = repository.read("docker/Dockerfile");
    repository.write("docker/Dockerfile", "broken");
    let note = "the changes of the working tree: app/new.py, docker/Dockerfile\n";
    assert!(scene.release(&["--allow-standin", "--dry-run"]).err.contains(note));
    let variables = repository.path("target/release.env");
    let file = format!("--metadata-file={}", variables.display());
    let record = scene.released(&[&file]);
    let own = ["test", "!", "-e", "/app/new.py"];
    repository.run(text(&record["image_id"]), &own).good();
    std::fs::remove_file(repository.path("app/new.py")).unwrap();
    repository.write("docker/Dockerfile", &dockerfile);
    let short = repository.git(&["rev-parse", "--short=12", "HEAD"]);
    let sha = format!("sha-{short}");
    let names: Vec<String> = tags(&record).into_iter().map(|(tag, _)| tag).collect();
    assert_eq!(names, ["1.0.0", sha.as_str(), "1.0", "1", "latest"]);
    let digest = scene.digest("1.0.0").unwrap();
    for (tag, said) in tags(&record) {
        assert_eq!((scene.digest(&tag), &said), (Some(digest.clone()), &digest), "{tag}");
    }
    assert_eq!((&record["tested"], &record["pushed"]), (&true.into(), &true.into()));
    assert!(record["checks"].as_array().unwrap().len() > 10);
    assert_eq!(record, scene.record("1.0.0"));
    let variables = std::fs::read_to_string(variables).unwrap();
    for line in [
        format!("REGISTRIES_0_DIGEST={digest}\n"),
        format!("IMAGE_ID={}\n", text(&record["image_id"])),
        "VERSION=1.0.0\n".to_owned(),
    ] {
        assert!(variables.contains(&line), "{line}{variables}");
    }
    assert!(!holds_secret(&variables));

    // A rerun has nothing left to do, and another image never gets the version.
    let again = scene.released(&[]);
    assert_eq!(again["image_id"], record["image_id"]);
    let steps: Vec<&str> =
        again["steps"].as_array().unwrap().iter().map(|step| text(&step["name"])).collect();
    assert_eq!(steps, ["build", "smoke-test", "push", "attest", "push", "attest"]);
    repository.git(&["commit", "--quiet", "--allow-empty", "--message", "second"]);
    repository.git(&["tag", "--force", "v1.0.0"]);
    scene.refused(&["--allow-standin"], 3, &["it was built of the commit"]);

    // Who pulls it has what was tested.
    let reference = format!("{}@{digest}", scene.target());
    let mut pull = repository.engine_command(&["pull", &reference]);
    as_user(&mut pull, scene.home.path());
    Ended::from(pull.output().unwrap()).good();
    repository.git(&["checkout", "--quiet", "HEAD~1"]);
    repository.git(&["tag", "--force", "v1.0.0"]);
    repository.xtask(&["smoke-test", "--core", &reference]).good();

    // A snapshot takes no release's name.
    repository.write("app/new.py", "");
    let snapshot = scene.released(&["--snapshot"]);
    let names: Vec<String> = tags(&snapshot).into_iter().map(|(tag, _)| tag).collect();
    assert_eq!(names, [format!("{sha}-dirty-snapshot")]);
    assert_eq!(scene.digest("latest"), Some(digest));
}

#[test]
fn a_candidate_keeps_its_names_when_its_commit_becomes_the_release() {
    let scene = Scene::new();
    let repository = &scene.repository;
    let version =
        |record: &Value| text(&record["labels"]["org.opencontainers.image.version"]).to_owned();
    repository.git(&["tag", "--annotate", "--message", "x", "v1.0.0-rc.1"]);
    let candidate = scene.released(&[]);
    let sha = format!("sha-{}", repository.git(&["rev-parse", "--short=12", "HEAD"]));
    let names =
        |record: &Value| -> Vec<String> { tags(record).into_iter().map(|(tag, _)| tag).collect() };
    assert_eq!(names(&candidate), ["1.0.0-rc.1", sha.as_str()]);
    assert_eq!(version(&candidate), "v1.0.0-rc.1");
    let before = scene.digest("1.0.0-rc.1").unwrap();
    assert_eq!(scene.digest(&sha).as_ref(), Some(&before));

    repository.git(&["tag", "v1.0.0"]);
    repository.git(&["tag", "--annotate", "--message", "x", "deploy"]);
    let record = scene.released(&[]);
    assert_eq!(version(&record), "v1.0.0");
    let own = scene.digest("1.0.0").unwrap();
    assert_ne!(own, before);
    for tag in ["deploy", "1.0", "1", "latest"] {
        assert_eq!(scene.digest(tag).as_ref(), Some(&own), "{tag}");
    }
    for tag in ["1.0.0-rc.1", &sha] {
        assert_eq!(scene.digest(tag).as_ref(), Some(&before), "{tag}");
        assert!(tags(&record).contains(&(tag.to_owned(), before.clone())), "{record}");
    }
    // A rerun changes nothing; without its record it ends before the build.
    assert_eq!(scene.released(&[])["image_id"], record["image_id"]);
    std::fs::remove_file(repository.path("target/xtask/releases/1.0.0.json")).unwrap();
    let taken = format!("error: pushing {}:1.0.0: the tag is taken", scene.target());
    let ended = scene.release(&["--allow-standin"]);
    assert_eq!(ended.code, Some(7), "{}", ended.err);
    assert!(ended.err.contains(&taken) && !ended.err.contains(" build --"), "{}", ended.err);
    assert_eq!(scene.digest("latest"), Some(own));
}

#[test]
fn what_happens_to_the_checkout_meanwhile_is_not_released() {
    let scene = Scene::new();
    let repository = &scene.repository;
    repository.edit("docker/Dockerfile", "EXPOSE 8000\n", "RUN sleep 6\nEXPOSE 8000\n");
    repository.commit("slow");
    repository.git(&["tag", "v1.0.0"]);
    let mut release = scene.begin(&["--allow-standin"]);
    release.wait_for("RUN sleep 6");
    repository.write("app/manage.py", "broken");
    repository.commit("meanwhile");
    let (code, err) = release.end();
    assert_eq!(code, Some(0), "{err}");
    let (record, id) = (scene.record("1.0.0"), repository.git(&["rev-parse", "HEAD~1"]));
    assert_eq!(text(&record["revision"]), id);
    let own = ["grep", "-q", "broken", "/app/manage.py"];
    assert_eq!(repository.run(text(&record["image_id"]), &own).code, Some(1));
}

/// A release that runs.
struct Running {
    child: std::process::Child,
    lines: std::sync::mpsc::Receiver<String>,
    seen: String,
}

impl Running {
    #[track_caller]
    fn wait_for(&mut self, text: &str) {
        while !self.seen.contains(text) {
            let line = self.lines.recv_timeout(HANG);
            let line = line.unwrap_or_else(|_| panic!("no {text:?} in:\n{}", self.seen));
            self.seen += &(line + "\n");
        }
    }

    fn end(mut self) -> (Option<i32>, String) {
        while let Ok(line) = self.lines.recv_timeout(HANG) {
            self.seen += &(line + "\n");
        }
        (self.child.wait().unwrap().code(), self.seen)
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Scene {
    fn begin(&self, words: &[&str]) -> Running {
        let words = [&["release", "--core", "--debian-refresh=none"], words].concat();
        running(self.command(&self.repository, self.home.path(), &words))
    }
}

fn running(mut command: Command) -> Running {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let (sender, lines) = channel();
    let stderr = BufReader::new(child.stderr.take().unwrap()).lines();
    // Read to the end, or the release would stand still at a full pipe.
    std::thread::spawn(move || {
        for line in stderr.map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    Running { child, lines, seen: String::new() }
}

/// Holds the writing of a name until the rules change; says when a release has come there.
fn hold(path: &'static str) -> (Rule, std::sync::mpsc::Receiver<()>, Sender<()>) {
    let (at, came) = channel();
    let (on, goes) = channel();
    let gate = Gate { arrived: Mutex::new(at), go: Mutex::new(goes) };
    let fault = Fault::Hold(Arc::new(gate));
    (Rule { who: Who::Anybody, kind: Kind::ManifestPut, path, skip: 0, times: 1, fault }, came, on)
}

#[test]
fn a_release_that_is_killed_at_any_step_is_finished_by_the_next() {
    let scene = Scene::new();
    let repository = &scene.repository;
    // A mark in the output, or the name whose writing it is killed at.
    let moments = [
        ("1.0.0", "releasing 1.0.0: ", "", ""),
        ("1.1.0", " build --", "", ""),
        ("1.2.0", "comparing the two images", "", "--squash"),
        ("1.3.0", "  1 of ", "", ""),
        ("1.4.0", "", "/1.4.0", ""),
        ("1.5.0", "", "/latest", ""),
    ];
    // CI has only those after the test and with only `latest` missing; `--nightly` has all.
    let each = std::env::var_os("XTASK_TEST_EACH").is_some();
    let moments =
        moments.into_iter().filter(|(version, ..)| each || ["1.3.0", "1.5.0"].contains(version));
    let mut table = String::new();
    for (index, (version, mark, path, option)) in moments.enumerate() {
        repository.write("app/generation.py", &format!("GENERATION = {index}\n"));
        repository.commit(version);
        repository.git(&["tag", &format!("v{version}")]);
        let latest = scene.digest("latest");
        let held = (!path.is_empty()).then(|| hold(path));
        if let Some((rule, ..)) = &held {
            scene.proxy.rules(vec![rule.clone()]);
        }
        let options: Vec<&str> = [option].into_iter().filter(|word| !word.is_empty()).collect();
        let mut release = scene.begin(&[&["--allow-standin"], &options[..]].concat());
        match &held {
            Some((_, came, _)) => came.recv_timeout(HANG).unwrap(),
            None => release.wait_for(mark),
        }
        release.kill();
        scene.proxy.rules(Vec::new());
        drop(held);
        // What is in the registry was tested, and is whole; `latest` is the old one or this.
        let (now, own) = (scene.digest("latest"), scene.digest(version));
        assert!(now == latest || (now == own && path == "/latest"), "{version}: {now:?}");
        if own.is_some() {
            let record = scene.record(version);
            assert_eq!(record["tested"], true, "{version}");
            let reference = format!("{}:{version}", scene.target());
            let mut pull = repository.engine_command(&["pull", &reference]);
            as_user(&mut pull, scene.home.path());
            Ended::from(pull.output().unwrap()).good();
            let id = text(&record["image_id"]).trim_start_matches("sha256:").to_owned();
            let pulled = repository.inspect(&reference);
            assert_eq!(text(&pulled["Id"]).trim_start_matches("sha256:"), id);
        }
        let record = scene.released(&options);
        assert_eq!(scene.digest("latest"), scene.digest(version), "{version}");
        let steps = record["steps"].as_array().unwrap();
        let steps: Vec<&str> = steps.iter().map(|step| text(&step["name"])).collect();
        let what = if path.is_empty() { mark } else { path };
        table += &format!("killed at {what:?}: {own:?} there; then {}\n", steps.join(", "));
    }
    println!("{table}");
    let left = repository.engine(&["ps", "--all", "--quiet"]).good();
    assert_eq!(left, "", "containers");
}

#[test]
fn one_release_at_a_time_for_a_repository() {
    let scene = Scene::new();
    scene.repository.git(&["tag", "v1.0.0"]);
    let twin = scene.repository.twin();
    let (rule, came, go) = hold("");
    scene.proxy.rules(vec![rule]);
    let release = scene.begin(&["--allow-standin"]);
    came.recv_timeout(HANG).unwrap();
    let words = ["release", "--core", "--allow-standin"];
    let second = scene.command(&twin, scene.home.path(), &words).output().unwrap();
    let second = Ended::from(second);
    assert_eq!(second.code, Some(9), "{}", second.err);
    let expected = format!("error: taking the lock of releases to {}: process ", scene.target());
    assert!(second.err.contains(&expected) && second.err.contains(", since 20"), "{}", second.err);
    go.send(()).unwrap();
    let (code, err) = release.end();
    assert_eq!(code, Some(0), "{err}");
}

#[test]
fn latest_ends_at_the_newer_of_two_releases_in_every_order() {
    let scene = Scene::new();
    let repository = &scene.repository;
    repository.git(&["tag", "v0.9.0"]);
    scene.released(&[]);
    let mut checkouts = Vec::new();
    for version in ["1.0.0", "2.0.0"] {
        repository.write("app/generation.py", &format!("GENERATION = {version:?}\n"));
        repository.commit(version);
        repository.git(&["tag", &format!("v{version}")]);
        scene.released(&[]);
        let checkout = repository.twin();
        // Each checkout knows only its own git tag.
        checkout.git(&["tag", "--delete", "v0.9.0"]);
        if version == "2.0.0" {
            checkout.git(&["tag", "--delete", "v1.0.0"]);
        }
        checkouts.push(checkout);
    }
    // As two machines have them: no lock is shared.
    let proxies = [0, 1].map(|_| scene.registry.proxy(&scene.place, false));
    let homes =
        [0, 1].map(|index: usize| scene.place.home(&proxies[index].address, Some(canary())));
    let newer = scene.digest("2.0.0");
    let all = orders();
    assert_eq!(all.len(), 20);
    for order in &all {
        scene.registry.copy(NAME, "0.9.0", "latest");
        for tag in ["1.0.0", "1.0", "1", "2.0.0", "2.0", "2"] {
            scene.registry.forget(NAME, tag);
        }
        assert_ne!(scene.digest("latest"), newer);
        let begin = |who: usize| {
            let (rules, arrived, go) = gates();
            proxies[who].rules(rules);
            let words = ["release", "--core", "--allow-standin"];
            let mut command = checkouts[who].command(&words);
            as_user(&mut command, homes[who].path());
            command.env("XTASK_REGISTRY", format!("{}/{NAME}", proxies[who].address));
            let log = checkouts[who].path("target/release.log");
            command.stdout(Stdio::null()).stderr(std::fs::File::create(log).unwrap());
            Push { child: command.spawn().unwrap(), arrived, go, step: 0 }
        };
        let said = || checkouts.iter().map(|checkout| checkout.read("target/release.log"));
        let said = || said().collect::<Vec<_>>().join("\n");
        // The older one has read the registry's tags before the newer one is among them.
        let mut pushes = [0, 1].map(|who| {
            let mut push = begin(who);
            assert!(push.settle(), "{order:?}\n{}", said());
            push
        });
        order.iter().for_each(|who| pushes[*who].go());
        for push in &mut pushes {
            while push.child.try_wait().unwrap().is_none() {
                push.go();
            }
            assert_eq!(push.child.wait().unwrap().code(), Some(0), "{order:?}\n{}", said());
        }
        proxies.iter().for_each(|proxy| proxy.rules(Vec::new()));
        assert_eq!(scene.digest("latest"), newer, "{order:?}");
    }
    let tried = all.len();
    println!(
        "latest ended at the newer of two releases in {tried} of {tried} orders ({})",
        engine()
    );
    assert!(on_podman() || engine() == "docker");
}
