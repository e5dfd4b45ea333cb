//! `release`: builds, squashes if asked, tests and pushes, in that order; what was tested is what
//! is pushed, and a rerun resumes the last run.

use super::at_commit::at_commit;
use crate::cli::{self, release::Release};
use crate::commands::build::{self, PATIENCE, Ready};
use crate::commands::push::Sending;
use crate::commands::signatures::Cosign;
use crate::commands::smoke_test::{Testing, base_of};
use crate::commands::squash;
use crate::world::World;
use anyhow::Context as _;
use engine::archive::{self, Archive};
use engine::inspect;
use engine::machine;
use engine::reference;
use engine::reference::Reference;
use engine::{Engine, words};
use image::attest;
use image::config::verify::Signing;
use image::config::{self, Workflow};
use image::labels;
use image::plan;
use image::plan::push::{self, ImageIdentity};
use image::plan::release::{self as planned, Rerun};
use image::push::{LocalImage, subject};
use image::rendering::DEBIAN_REFRESH;
use image::report::release::{ReleaseRecord, ReleaseStep};
use image::tags::{self, Names};
use process::failure::{Exit, failure_help};
use process::notice::notice;
use process::run::{QUESTION, Runner};
use process::state::{self, State};
use registry::Client;
use source::ci;
use source::git::Checkout;
use std::path::{Path, PathBuf};
use std::time::Instant;

mod inputs;
mod notes;
mod published;
use inputs::{arguments, locks, paths, registry_tags, shown, unchanged};

/// The folder of the records, in the state folder.
const RELEASES: &str = "releases";

/// What a release works with.
struct Releasing<'a> {
    world: &'a World,
    workflow: &'a Workflow,
    runner: &'a Runner,
    args: &'a Release,
    /// The file of the record.
    path: PathBuf,
}

/// The command.
///
/// # Errors
/// [`Exit::Git`] for what is no release; [`Exit::Locked`]; [`Exit::Mismatch`] when the checkout
/// changes meanwhile; those of `build`, `squash`, `smoke-test` and `push`.
pub fn run(world: &World, args: &Release) -> anyhow::Result<()> {
    if args.snapshot {
        return release(world, &world.workflow()?, args);
    }
    // What is released is the commit: it doesn't matter what the working tree holds.
    let at = at_commit(&config::top_of(&world.folder)?, "HEAD")?;
    if let Ok(here) = world.workflow()
        && let Ok((checkout, _)) = super::checkout(world, &here)
        && let Some(note) = planned::left_out(&checkout)
    {
        notice(&note);
    }
    release(world, &at, args)
}

fn release(world: &World, workflow: &Workflow, args: &Release) -> anyhow::Result<()> {
    let config = &workflow.config;
    let targets = push::targets(&args.registry, &config.push.registries, &config.image.name)?;
    let runner = world.runner(&workflow.top);
    let machine = machine::read(&world.environment);
    let dry_run = world.common.dry_run;
    let _locks = if dry_run { Vec::new() } else { locks(world, workflow, &targets)? };
    let _lock = if dry_run { None } else { Some(workflow.state.lock(PATIENCE)?) };
    let (checkout, _) = super::checkout(world, workflow)?;
    let identity = ci::identity(world.ci.as_ref(), &checkout);
    let (engine, assumed) = build::engine(world, workflow, &machine, &runner)?;
    let named = |registry: Option<&[String]>| {
        let facts = tags::TagFacts::of(&checkout, &identity, registry);
        planned::names(&config.tags, &facts, args.snapshot)
    };
    let old_base = workflow.old_base(chrono::Utc::now().date_naive());
    let facts = planned::ReleaseFacts {
        checkout: &checkout,
        identity: &identity,
        ci: world.ci.as_ref(),
        rules: &config.tags,
        old_base: old_base.as_deref(),
        asked_platform: world.environment.variable("XTASK_PLATFORM"),
        platform: &engine.platform,
    };
    let reasons = match args.snapshot {
        true => planned::platform(&facts).into_iter().collect(),
        // What a registry has can take names away, and no version from its commit.
        false => planned::refusals(&facts, &named(None)?),
    };
    if let Some(refused) = planned::refused(&reasons) {
        return Err(refused.into());
    }
    let sending = Sending {
        world,
        workflow,
        machine: &machine,
        engine: &engine,
        runner: &runner,
        force: args.force,
        timeout: args.timeout,
    };
    let clients = sending.open(&targets, 0, !dry_run)?;
    let names = named(Some(&registry_tags(&clients)?))?;
    let release = names.releases.first().filter(|_| !args.snapshot);
    let version = release.map_or(checkout.version.clone(), |release| release.version.to_string());
    notice(&format!("releasing {version}: {}", shown(&names)));
    names.notes.iter().for_each(|note| notice(&format!("note: {note}")));
    let path = match args.snapshot {
        true => workflow.state.folder.join("snapshot.json"),
        false => workflow.state.folder.join(format!("{RELEASES}/{version}.json")),
    };
    let releasing = Releasing { world, workflow, runner: &runner, args, path };
    if !dry_run {
        releasing.cosign().ready()?;
    }
    let revision = &identity.revision;
    let known = releasing.known(&engine, revision)?;
    let published = match known.is_none() && !args.snapshot && !args.force {
        true => releasing.published(&clients, &names, (engine.clone(), assumed))?,
        false => None,
    };
    let clients = if known.is_none() && published.is_none() && !args.snapshot {
        let identity =
            ImageIdentity { revision: revision.clone(), version: checkout.version.clone() };
        sending.may_name(identity, &names.tags, clients)?
    } else {
        clients
    };
    if dry_run {
        let built = published.is_some();
        return releasing.show(known.as_ref(), built, (engine, assumed), &names, &targets);
    }
    let fresh = ReleaseRecord {
        version,
        git_tag: release.map(|release| release.git_tag.clone()),
        snapshot: args.snapshot,
        begun: labels::rfc3339(chrono::Utc::now().timestamp())?,
        revision: revision.clone(),
        dirty: checkout.dirty.iter().map(|change| change.path.clone()).collect(),
        context_changes: paths(&checkout),
        ci: serde_json::to_value(&world.ci)?,
        arguments: arguments(args),
        platform: engine.platform.clone(),
        ..ReleaseRecord::default()
    };
    let begun = ReleaseRecord {
        tags: serde_json::to_value(&names.tags)?,
        left_out: serde_json::to_value(&names.left_out)?,
        ..known.clone().unwrap_or(fresh)
    };
    let mut record = begun;
    if let Some(published) = &published {
        published.note(&mut record);
    }
    let built = known.is_some() || published.is_some();
    let outcome = releasing
        .build(&mut record, built, (engine.clone(), assumed), &checkout)
        .and_then(|()| releasing.test(&mut record, &engine))
        .and_then(|()| {
            releasing.push(
                &mut record,
                &sending,
                &names,
                clients,
                published.map(|there| there.image),
            )
        });
    if let Err(error) = outcome {
        // Whatever the failure is, what was done stands in the record.
        world.output.metadata(&serde_json::to_value(&record)?)?;
        if releasing.path.exists() && !args.snapshot {
            notice(&format!("what was done is in {}", releasing.shown_path()));
        }
        return Err(error);
    }
    let text = match releasing.path.exists() {
        true => format!("{record}  record    {}\n", releasing.shown_path()),
        false => record.to_string(),
    };
    world.output.hand_over(&record.outputs(), &record.markdown(&text))?;
    world.output.result(&text, &serde_json::to_value(&record)?)
}

/// The release that was begun last in this checkout: its version, when, and whether every registry has it.
pub fn last(state: &State) -> Option<(String, String, bool)> {
    let files = std::fs::read_dir(state.folder.join(RELEASES)).ok()?.flatten();
    let records = files.filter_map(|file| {
        let name = format!("{RELEASES}/{}", file.file_name().to_string_lossy());
        state.remembered::<ReleaseRecord>(&name)
    });
    let last = records.max_by(|a, b| a.begun.cmp(&b.begun))?;
    Some((last.version, last.begun, last.pushed))
}

impl Releasing<'_> {
    /// The record of an earlier run to go on with.
    fn known(&self, engine: &Engine, revision: &str) -> anyhow::Result<Option<ReleaseRecord>> {
        if self.args.snapshot || !self.path.exists() {
            return Ok(None);
        }
        let path = self.shown_path();
        let text = process::regular::read(&self.path).with_context(|| format!("reading {path}"))?;
        let record: ReleaseRecord = serde_json::from_slice(&text)
            .with_context(|| format!("reading {path}: no record of a release"))?;
        let here = self.runner.ask(&words::inspect(engine, &record.image_id), QUESTION)?.good();
        let rerun = planned::rerun(Some(&record), revision, self.args.squash, here, &path)?;
        if record.standin {
            push::check_base(&record.labels, self.args.allow_standin)?;
        }
        let id = &record.image_id;
        notice(&format!("going on with {id}, which was built {} ({path})", record.begun));
        Ok((rerun == Rerun::GoOn).then_some(record))
    }

    fn shown_path(&self) -> String {
        let path = self.path.strip_prefix(&self.workflow.top).unwrap_or(&self.path);
        path.display().to_string()
    }

    /// Keeps the record, so that a rerun knows what is done.
    fn keep(&self, record: &ReleaseRecord) -> anyhow::Result<()> {
        state::make_folder(self.path.parent().unwrap_or(Path::new(".")))?;
        let text = serde_json::to_string_pretty(record).context("writing JSON")?;
        state::write_whole(&self.path, &(text + "\n"))
    }

    fn options(&self) -> cli::Build {
        let today = chrono::Utc::now().format("%Y-%m-%d").to_string();
        let key = self.args.debian_refresh.clone().unwrap_or(today);
        let refresh = (key != "none").then(|| (DEBIAN_REFRESH.to_owned(), key));
        let build_arg = refresh.into_iter().chain(self.args.build_arg.iter().cloned()).collect();
        cli::Build {
            build_arg,
            secret: self.args.secret.clone(),
            cache: self.args.cache.clone(),
            pull: !self.args.allow_standin,
            // What is released was built by the engine in this run.
            force: true,
            no_cache: self.workflow.config.prod.reproducible,
            commit: self.workflow.commit.clone(),
            ..cli::Build::default()
        }
    }

    /// What will be built; refused on a stand-in.
    fn prepare(&self, engine: (Engine, bool)) -> anyhow::Result<Ready> {
        let options = self.options();
        self.reach_base(&engine.0)?;
        let ready = build::prepare(self.world, self.workflow, self.runner, &options, Some(engine))?;
        if options.no_cache && ready.plan.timestamp.is_none() {
            notice(&format!(
                "[variant.prod] reproducible: {} can't give all files one time, so another build has \
                 the same files and other layers",
                ready.engine.kind.title()
            ));
        }
        push::check_base(&ready.plan.labels, self.args.allow_standin)?;
        Ok(ready)
    }

    /// Refuses before any work if the base could only be a stand-in.
    fn reach_base(&self, engine: &Engine) -> anyhow::Result<()> {
        let base = &self.workflow.config.prod.base;
        let parsed = reference::parse(base)?;
        if self.args.allow_standin || parsed.registry == "localhost" {
            return Ok(());
        }
        let (world, runner, state) = (self.world, self.runner, &self.workflow.state);
        let Err(why) = registry::reachable(&parsed, engine, &world.environment, runner, state)?
        else {
            return Ok(());
        };
        let message = format!(
            "releasing on {base}: the base could only be a stand-in, because no registry can be \
             reached: {why}"
        );
        let help = "release on a machine that can fetch it, or say --allow-standin";
        Err(failure_help(Exit::Git, message, help))
    }

    fn build(
        &self,
        record: &mut ReleaseRecord,
        built: bool,
        engine: (Engine, bool),
        checkout: &Checkout,
    ) -> anyhow::Result<()> {
        if built {
            return Ok(());
        }
        let start = Instant::now();
        let ready = self.prepare(engine)?;
        unchanged(checkout, &ready.checkout)?;
        let made = build::make(self.world, self.workflow, self.runner, &ready)?;
        let path = self.workflow.config.app.lock_file();
        let lock = process::regular::read(ready.plan.context.join(&path));
        let lock = lock.with_context(|| format!("reading {path}"))?;
        record.lock_sha256 = source::content::sha256(&lock);
        record.debian_refresh = ready.plan.build_args.get(DEBIAN_REFRESH).cloned();
        record.build_args = ready.plan.build_args.clone();
        (record.engine, record.engine_version) = (made.engine, made.engine_version);
        (record.base, record.base_digest) = (made.base, made.base_digest);
        (record.standin, record.labels) = (made.standin, made.labels);
        (record.image_id, record.config_digest) = (made.image_id, made.config_digest);
        (record.size_bytes, record.layers) = (made.size_bytes, made.layers);
        note(record, "build", start);
        if self.args.squash {
            self.squash(record, &ready.engine)?;
        }
        // Only now: without its last form the image is no release, and a rerun begins anew.
        self.keep(record)
    }

    fn squash(&self, record: &mut ReleaseRecord, engine: &Engine) -> anyhow::Result<()> {
        let start = Instant::now();
        squash::clear(engine, self.runner)?;
        let log = self.workflow.state.new_log("squash")?;
        let name = plan::local(engine.kind, &self.workflow.config.image.name, "prod-squashed");
        let (workflow, runner) = (self.workflow, self.runner);
        let made = squash::squash(workflow, engine, runner, &log, &record.image_id, vec![name])?;
        record.squashed_from = Some(made.source_image_id);
        (record.image_id, record.config_digest) = (made.image_id, None);
        (record.size_bytes, record.layers) = (made.bytes_after, made.layers_after);
        note(record, "squash", start);
        Ok(())
    }

    fn test(&self, record: &mut ReleaseRecord, engine: &Engine) -> anyhow::Result<()> {
        if record.tested {
            return Ok(());
        }
        let start = Instant::now();
        notice("testing the image: cargo xtask smoke-test --list says what is asked");
        let runner = Runner { progress: false, ..self.runner.clone() };
        let (world, workflow) = (self.world, self.workflow);
        let testing = Testing { world, workflow, engine, runner: &runner };
        let asked = cli::SmokeTest { core: self.args.core, timeout: 1800, ..Default::default() };
        let (outcomes, verdict) = testing.outcome(&record.image_id, &asked)?;
        let json = smoke::report::json(&record.image_id, &outcomes);
        record.skipped = smoke::report::skipped(&outcomes);
        record.checks = json["checks"].clone();
        record.tested = verdict.is_ok();
        record.tested_at = labels::rfc3339(chrono::Utc::now().timestamp())?;
        note(record, "smoke-test", start);
        self.keep(record)?;
        if verdict.is_err() {
            notice(smoke::report::text(&record.image_id, &outcomes).trim_end());
        }
        verdict
    }

    fn push(
        &self,
        record: &mut ReleaseRecord,
        sending: &Sending<'_>,
        names: &Names,
        clients: Vec<Client>,
        published: Option<LocalImage>,
    ) -> anyhow::Result<()> {
        let start = Instant::now();
        let (state, runner) = (&self.workflow.state, self.runner);
        let complete = published.is_some();
        let image = match published {
            Some(there) => there,
            None => subject(sending.engine, runner, state, &record.image_id)?,
        };
        record.config_digest.clone_from(&image.config_digest);
        let (report, outcome, clients) = sending.send(&image, &names.tags, clients)?;
        record.registries = serde_json::to_value(&report.registries)?;
        record.pushed = outcome.is_ok();
        note(record, "push", start);
        // A record is for a rerun with the image, which isn't here if it was only found.
        if !complete {
            self.keep(record)?;
        }
        report.to_string().lines().for_each(notice);
        outcome?;
        if !complete {
            self.attest(record, sending.engine, &clients)?;
        }
        match (&self.args.notes, clients.first()) {
            (Some(file), Some(client)) => {
                state::write_whole(file, &self.notes(record, client, &image.identity)?)
            }
            _ => Ok(()),
        }
    }

    /// Attaches to the image what this release knows of it: how it was made and tested. What is attached
    /// already stays.
    fn attest(
        &self,
        record: &mut ReleaseRecord,
        engine: &Engine,
        clients: &[Client],
    ) -> anyhow::Result<()> {
        let start = Instant::now();
        let archive = self.archive(engine, &record.image_id)?;
        let path = self.workflow.config.app.lock_file();
        let lock = process::disk::text(&self.workflow.root.join(&path), &path)?;
        let found = record.registries.as_array().cloned().unwrap_or_default();
        for (client, there) in clients.iter().zip(&found) {
            let digest = there["digest"].as_str().unwrap_or_default();
            let Some(image) = client.manifest(digest)? else { continue };
            let statements =
                attest::of_release(record, (&archive, &lock), &client.target.to_string(), digest);
            for statement in &statements {
                client.attach(&image, &statement.artifact(&record.tested_at)?)?;
            }
            // A rerun may be for one more registry, or complete it.
            let signed = record.signed && self.cosign().complete(client, &image, &statements)?;
            if let Some(signing) = self.workflow.config.sign.as_ref().filter(|_| !signed) {
                self.cosign().sign(signing, client, &image, &statements)?;
            }
        }
        record.attested = true;
        record.signed = self.workflow.config.sign.is_some();
        note(record, "attest", start);
        self.keep(record)
    }

    fn cosign(&self) -> Cosign<'_> {
        Cosign { workflow: self.workflow, runner: self.runner }
    }

    /// Every file of the image, and which layers are ours.
    fn archive(&self, engine: &Engine, id: &str) -> anyhow::Result<Archive> {
        let runner = self.runner;
        let image = inspect::image(&runner.ask(&words::inspect(engine, id), QUESTION)?.stdout)?;
        let base = base_of(engine, runner, &image)?.layers;
        runner.read(&words::save(engine, id), |stream| archive::read(stream, &base, &[]))
    }

    /// `--dry-run`: the commands that do the same, one after the other.
    fn show(
        &self,
        known: Option<&ReleaseRecord>,
        published: bool,
        engine: (Engine, bool),
        names: &Names,
        targets: &[Reference],
    ) -> anyhow::Result<()> {
        let mut script = String::new();
        for tag in &names.tags {
            script += &format!("# {}: {}\n", tag.name, tag.why);
        }
        for left in &names.left_out {
            script += &format!("# not {}: {}\n", left.name, left.why);
        }
        if published {
            let each = |target: &Reference| -> String {
                let line = |tag: &tags::Tag| format!("# PUT manifest: {target}:{}\n", tag.name);
                names.tags.iter().map(line).collect()
            };
            script += &targets.iter().map(each).collect::<String>();
            let json = serde_json::json!({ "tags": names.tags, "commands": [] });
            return self.world.output.result(&script, &json);
        }
        let name = |tag| plan::local(engine.0.kind, &self.workflow.config.image.name, tag);
        let mut image = name("prod");
        match known {
            Some(record) => image.clone_from(&record.image_id),
            None => {
                let ready = self.prepare(engine.clone())?;
                script += &ready.script(&self.workflow.top);
                if self.args.squash {
                    script += &format!("cargo xtask squash {image}\n");
                    image = name("prod-squashed");
                }
            }
        }
        if !known.is_some_and(|record| record.tested) {
            let core = if self.args.core { " --core" } else { "" };
            script += &format!("cargo xtask smoke-test {image}{core}\n");
        }
        let mut words = vec!["cargo xtask push".to_owned(), image];
        words.extend(targets.iter().map(|target| format!("--registry {target}")));
        words.extend(names.tags.iter().map(|tag| format!("--tag {}", tag.name)));
        words.extend(self.args.force.then(|| "--force".to_owned()));
        words.extend(self.args.allow_standin.then(|| "--allow-standin".to_owned()));
        script += &(words.join(" ") + "\n# attached: provenance, test result, list of packages");
        script += match self.workflow.config.sign {
            Some(Signing::Key(_)) => "; cosign signs each, and the image, with the key of [sign]\n",
            Some(Signing::Keyless) => "; cosign signs each, and the image, keyless\n",
            None => "\n",
        };
        let commands: Vec<&str> = script.lines().collect();
        let json = serde_json::json!({ "tags": names.tags, "commands": commands });
        self.world.output.result(&script, &json)
    }
}

fn note(record: &mut ReleaseRecord, name: &str, start: Instant) {
    record
        .steps
        .push(ReleaseStep { name: name.to_owned(), seconds: start.elapsed().as_secs_f64() });
}
