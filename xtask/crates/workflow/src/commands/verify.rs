//! `verify`: what is proven of an image in a registry, line by line. Nothing is pulled but small files.

use super::attested;
use super::push::surroundings;
use super::signatures::Cosign;
use crate::cli::promote::Verify;
use crate::world::World;
use engine::machine;
use image::attest::{self, Made, PROVENANCE, SPDX, Tested};
use image::config::verify::Proof;
use image::plan::push::label;
use image::promotion::{self, Move};
use process::failure::{Exit, Failure, failure_help};
use registry::{Client, Manifest};
use serde::Serialize;
use smoke::checks::{self, Check};
use std::collections::BTreeMap;
use std::path::Path;

/// One line: what is proven, or why it isn't.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Line {
    name: &'static str,
    holds: bool,
    /// Whether docker/image.toml asks for it.
    required: bool,
    text: String,
}

/// Proven, with what; or not, with the reason.
type Proven = Result<String, String>;

/// What a registry and this clone say of the image.
struct VerifyFacts<'a> {
    /// The clone.
    top: &'a Path,
    /// The lock's path in it.
    lock: String,
    required: &'a [Proof],
    signed: Proven,
    labels: BTreeMap<String, String>,
    tested: Option<Tested>,
    made: Option<Made>,
    packages: Proven,
}

/// The command.
///
/// # Errors
/// [`Exit::Check`] with each required line that doesn't hold; [`Exit::RegistryRefused`] for an image that
/// isn't there; those of [`Client::open`].
pub fn run(world: &World, args: &Verify) -> anyhow::Result<()> {
    let workflow = world.workflow()?;
    let (target, name) = attested::named(&workflow, &args.image, args.registry.as_ref())?;
    let runner = world.runner(&workflow.top);
    let machine = machine::read(&world.environment);
    let engine = world.search(&workflow, &machine, &runner).said()?;
    let client =
        Client::open(&target, &surroundings(world, &workflow, &machine, &engine, &runner), false)?;
    let image = attested::manifest(&client, &name)?;
    let environment = workflow.config.tags.environments.contains(&name);
    if args.history && !environment {
        let message = format!("showing the history of {name}: it is no environment");
        let all = workflow.config.tags.environments.join(", ");
        return Err(failure_help(Exit::Usage, message, format!("the environments are {all}")));
    }
    let cosign = Cosign { workflow: &workflow, runner: &runner };
    let facts = VerifyFacts {
        top: &workflow.top,
        lock: workflow.config.app.lock_file(),
        required: &workflow.config.verify.require,
        signed: cosign.signed(&client, &image)?,
        labels: client.labels(&image)?,
        tested: attested::tested(&cosign, &client, &image)?,
        made: attested::newest(&cosign, &client, &image, PROVENANCE)?.as_ref().map(Made::read),
        packages: match attested::newest(&cosign, &client, &image, SPDX)? {
            Some(sbom) => attest::packages(&sbom.predicate),
            None => Err("no list of packages is attached".to_owned()),
        },
    };
    let moves = match environment {
        true => Some(attested::moves(&client, &name, args.history)?),
        false => None,
    };
    report(
        world,
        &client,
        &image,
        &facts.lines(moves.as_deref(), &image),
        moves.filter(|_| args.history),
    )
}

impl VerifyFacts<'_> {
    fn lines(&self, moves: Option<&[Move]>, image: &Manifest) -> Vec<Line> {
        let line = |name, proof: Proof, found: Proven| {
            let holds = found.is_ok();
            let text = found.unwrap_or_else(|why| why);
            Line { name, holds, required: self.required.contains(&proof), text }
        };
        let mut lines = vec![
            line("signed", Proof::Signed, self.signed.clone()),
            line("commit", Proof::Commit, self.commit()),
            line("tested", Proof::Tested, self.tested()),
            line("built from", Proof::BuiltFrom, self.built_from()),
        ];
        lines.push(line("packages", Proof::Packages, self.packages.clone()));
        if let Some(moves) = moves {
            lines.push(line("promoted", Proof::Promoted, promoted(moves, image)));
        }
        lines
    }

    /// The labels are those of a commit of this clone.
    fn commit(&self) -> Proven {
        let (revision, version) = (label(&self.labels, "revision"), label(&self.labels, "version"));
        let short: String = revision.chars().take(12).collect();
        let top = self.top;
        if revision.is_empty() {
            return Err("no label names its commit".to_owned());
        }
        if version.ends_with("-dirty") {
            return Err(format!("it was built from changed files of {short}"));
        }
        if !source::git::commits::has(top, &revision) {
            return Err(format!(
                "this clone has no commit {revision}: git fetch, and verify again"
            ));
        }
        match source::git::commits::of_tag(top, &version) {
            Some(commit) if commit == revision => {
                Ok(format!("{short} is {version} of this repository; labels agree"))
            }
            Some(commit) => {
                Err(format!("{version} is {commit} here, and the label says {revision}"))
            }
            None if version.ends_with(&short) => Ok(format!("{short} of this repository")),
            None => {
                Err(format!("{short} is of this repository, and no git tag {version} names it"))
            }
        }
    }

    fn tested(&self) -> Proven {
        let Some(tested) = &self.tested else { return Err("no smoke test is attached".to_owned()) };
        let Tested { checks, time, engine, failed, skipped, .. } = tested;
        if !tested.passed {
            return Err(format!("the smoke test of {time} failed: {}", failed.join(", ")));
        }
        let scope = self.scope(tested)?;
        let skipped = match skipped.is_empty() {
            true => String::new(),
            false => format!("; skipped: {}", skipped.join(", ")),
        };
        let day: String = time.chars().take(10).collect();
        Ok(format!("{checks} checks{scope} passed on {day} with {engine}{skipped}"))
    }

    /// A test of this version of the workflow says of each check how it ended; one with `--core`, of each
    /// check of the core.
    fn scope(&self, tested: &Tested) -> Result<&'static str, String> {
        let made_by = self.labels.get(engine::label::OURS);
        if made_by.is_none_or(|version| version != env!("CARGO_PKG_VERSION")) {
            return Ok("");
        }
        let lacking =
            checks::all().iter().filter(|check| !tested.all.iter().any(|n| n == check.name));
        let lacking: Vec<&Check> = lacking.collect();
        let beyond = checks::all().iter().filter(|check| !check.core).count();
        if lacking.is_empty() {
            return Ok("");
        }
        if lacking.len() == beyond && lacking.iter().all(|check| !check.core) {
            return Ok(" of --core");
        }
        let names: Vec<&str> = lacking.iter().map(|check| check.name).collect();
        Err(format!("the smoke test of {} says nothing of {}", tested.time, names.join(", ")))
    }

    /// The provenance agrees with the labels, and with the lock of the commit.
    fn built_from(&self) -> Proven {
        let Some(made) = &self.made else { return Err("no provenance is attached".to_owned()) };
        let same = |what: &str, said: &str, own: &str| match said == own {
            true => Ok(()),
            false => Err(format!("the provenance says {what} {said:?}, and {own:?} is there")),
        };
        let revision = label(&self.labels, "revision");
        same("commit", &made.revision, &revision)?;
        same("base", &made.base, &label(&self.labels, "base.name"))?;
        if let Some(digest) = &made.base_digest {
            same("base", digest, &label(&self.labels, "base.digest"))?;
        }
        let path = &self.lock;
        let lock = source::git::commits::file(self.top, &revision, path)
            .ok_or_else(|| format!("this clone has no {path} of its commit to compare with"))?;
        same(path, &made.lock_sha256, &source::content::sha256(&lock))?;
        let digest = made.base_digest.as_deref().map(|digest| format!("@{digest}"));
        Ok(format!(
            "{}{}, {path} sha256:{}",
            made.base,
            digest.unwrap_or_default(),
            made.lock_sha256
        ))
    }
}

/// The history of the environment says why its tag names this image.
fn promoted(moves: &[Move], image: &Manifest) -> Proven {
    match moves.last() {
        Some(last) if promotion::explained(moves, Some(&image.digest)) => {
            let word = last.action.word();
            Ok(format!("{word} of {} by {}", last.at, last.by))
        }
        Some(last) => Err(format!(
            "its last move was to {}: something else moved the tag since, or that move was cut short",
            last.shown()
        )),
        None => Err("it has no history: something else than `promote` made the tag".to_owned()),
    }
}

fn report(
    world: &World,
    client: &Client,
    image: &Manifest,
    lines: &[Line],
    moves: Option<Vec<Move>>,
) -> anyhow::Result<()> {
    let mut text = format!("{}@{}\n", client.target, image.digest);
    for line in lines {
        let mark = match (line.holds, line.required) {
            (true, _) => "",
            (false, true) => "NOT PROVEN: ",
            (false, false) => "not proven: ",
        };
        text += &format!("  {:<12}{mark}{}\n", line.name, line.text);
    }
    for one in moves.iter().flatten() {
        let Move { at, by, action, .. } = one;
        text += &format!("  {at}  {:<9} {}  by {by}\n", action.word(), one.shown());
    }
    let json = serde_json::json!({
        "repository": client.target.to_string(), "digest": image.digest, "lines": lines,
        "history": moves,
    });
    world.output.result(&text, &json)?;
    let wrong = lines.iter().filter(|line| line.required && !line.holds);
    let help: Vec<String> = wrong.map(|line| format!("{}: {}", line.name, line.text)).collect();
    if help.is_empty() {
        return Ok(());
    }
    let message =
        format!("verifying {}: not everything that [verify] requires is proven", client.target);
    Err(Failure { exit: Exit::Check, message, help }.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const LOCK: &str = "app/uv.lock";

    /// A clone with one commit, which is v1.0.0.
    fn clone() -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("app")).unwrap();
        std::fs::write(folder.path().join(LOCK), "lock").unwrap();
        let names = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
        let git = |words: &[&str]| {
            let mut command = Command::new("git");
            let output =
                command.args(names).args(words).current_dir(folder.path()).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        git(&["init", "--quiet", "--initial-branch=main", "."]);
        git(&["add", "--all"]);
        git(&["commit", "--quiet", "--message", "first"]);
        git(&["tag", "v1.0.0"]);
        let commit = git(&["rev-parse", "HEAD"]);
        (folder, commit)
    }

    fn facts<'a>(top: &'a Path, commit: &str) -> VerifyFacts<'a> {
        let label =
            |name: &str, value: &str| (format!("{}{name}", engine::label::OCI), value.to_owned());
        VerifyFacts {
            top,
            lock: LOCK.to_owned(),
            signed: Ok(String::new()),
            required: &[Proof::Commit, Proof::Tested, Proof::BuiltFrom],
            labels: BTreeMap::from([
                label("revision", commit),
                label("version", "v1.0.0"),
                label("base.name", "python:3.12"),
                label("base.digest", "sha256:ba5e"),
                (engine::label::OURS.to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ]),
            tested: Some(Tested { passed: true, checks: 51, all: names(), ..Tested::default() }),
            made: Some(Made {
                revision: commit.to_owned(),
                base: "python:3.12".to_owned(),
                base_digest: Some("sha256:ba5e".to_owned()),
                lock_sha256: source::content::sha256(b"lock"),
                ..Made::default()
            }),
            packages: Ok(String::new()),
        }
    }

    fn names() -> Vec<String> {
        checks::all().iter().map(|check| check.name.to_owned()).collect()
    }

    /// Each way to lie, and the line that finds it.
    #[test]
    fn each_lie_is_found_by_its_line() {
        let (folder, commit) = clone();
        let check = |lie: fn(&mut VerifyFacts<'_>), expected: &[&str]| {
            let mut facts = facts(folder.path(), &commit);
            lie(&mut facts);
            let lines = facts.lines(None, &Manifest::default());
            let wrong: Vec<&str> =
                lines.iter().filter(|line| !line.holds).map(|line| line.name).collect();
            assert_eq!(wrong, expected, "{lines:?}");
        };
        fn set(facts: &mut VerifyFacts<'_>, name: &str, value: &str) {
            facts.labels.insert(format!("{}{name}", engine::label::OCI), value.to_owned());
        }
        check(|_| {}, &[]);
        check(|f| f.signed = Err(String::new()), &["signed"]);
        check(|f| f.labels.clear(), &["commit", "built from"]);
        check(|f| set(f, "revision", &"1".repeat(40)), &["commit", "built from"]);
        check(|f| set(f, "version", "v1.0.0-dirty"), &["commit"]);
        check(|f| set(f, "version", "v2.0.0"), &["commit"]);
        check(|f| set(f, "base.name", "python:3.13"), &["built from"]);
        check(|f| set(f, "base.digest", "sha256:0"), &["built from"]);
        check(|f| f.tested = None, &["tested"]);
        check(|f| f.tested.as_mut().unwrap().passed = false, &["tested"]);
        check(|f| f.tested.as_mut().unwrap().all.retain(|name| name != "settings"), &["tested"]);
        check(|f| f.tested.as_mut().unwrap().all.retain(|name| name != "stop-web"), &["tested"]);
        check(|f| f.packages = Err(String::new()), &["packages"]);
        check(|f| f.made = None, &["built from"]);
        check(|f| f.made.as_mut().unwrap().revision = "1".repeat(40), &["built from"]);
        check(|f| f.made.as_mut().unwrap().lock_sha256 = "0".repeat(64), &["built from"]);
        check(|f| f.made.as_mut().unwrap().base_digest = Some("sha256:0".into()), &["built from"]);
    }

    #[test]
    fn a_tag_that_its_history_does_not_explain_is_found() {
        let image = Manifest { digest: "sha256:b".to_owned(), ..Manifest::default() };
        let one = |digest: &str| Move { digest: digest.to_owned(), ..Move::default() };
        assert!(promoted(&[one("sha256:a"), one("sha256:b")], &image).is_ok());
        assert!(promoted(&[one("sha256:b"), one("sha256:a")], &image).is_err());
        assert!(promoted(&[], &image).is_err());
    }
}
