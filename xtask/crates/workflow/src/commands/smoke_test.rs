//! `smoke-test`: runs an image together with PostgreSQL and Redis, and proves what it is.

use super::at_commit::at_commit;
use crate::cli;
use crate::world::World;
use engine::dockerfile;
use engine::label;
use engine::machine;
use engine::{Engine, containers, inspect, leftovers, words};
use image::base::Source;
use image::config::smoke::Smoke;
use image::config::{Config, Workflow};
use image::labels;
use image::plan;
use process::disk;
use process::failure::{Exit, Failure, failure_help};
use process::notice::notice;
use process::run::{QUESTION, Runner};
use process::state::{State, write_whole};
use serde::{Deserialize, Serialize};
use smoke::checks::{self, Check};
use smoke::report::{self, Outcome};
use smoke::run::run_all;
use smoke::static_checks::{BuiltFrom, Expected};
use smoke::test_bed::{self, TestBed, TestSubject};
use smoke::verdict::{CheckResult, Lane, Verdict};
use source::ci;
use source::content::Content;
use source::snapshot::Snapshot;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What every container runs first: it has the defaults of the documented variables.
const ENTRYPOINT: &str = "entrypoint.sh";

/// The command.
///
/// # Errors
/// [`Exit::Check`] when a check fails; [`Exit::Unexpected`] when one can't be run; 130 or 143 after
/// a signal, when everything is removed.
pub fn run(world: &World, args: &cli::SmokeTest) -> anyhow::Result<()> {
    if args.list {
        return list(world);
    }
    let chosen = choose(args)?;
    let workflow = world.workflow()?;
    let runner = Runner { progress: false, ..world.runner(&workflow.top) };
    let machine = machine::read(&world.environment);
    let engine = world.search(&workflow, &machine, &runner).said()?;
    let reference = match &args.image {
        Some(image) => image.clone(),
        None => plan::local(engine.kind, &workflow.config.image.name, "prod"),
    };
    let testing = Testing { world, workflow: &workflow, engine: &engine, runner: &runner };
    let subject = testing.subject(&reference, args, &chosen)?;
    if world.common.dry_run {
        return show(world, &engine, &subject, &chosen);
    }
    super::tidy_alone(&workflow.state, &engine, &runner)?;
    let outcomes = testing.run(&subject, args, &chosen)?;
    if args.only.is_empty() {
        TestedImage::of(&subject, &outcomes)?.record(&workflow.state);
    }
    if let Some(path) = &args.junit {
        write_whole(path, &report::junit(&reference, &outcomes))?;
    }
    let text = report::text(&reference, &outcomes);
    world.output.result(&text, &report::json(&reference, &outcomes))?;
    verdict(&chosen, &outcomes)
}

/// The file with what was found last.
const TESTED: &str = "tested.json";

/// What the last smoke test of this checkout found, but for those with `--only`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestedImage {
    pub image_id: String,
    /// When it ended, RFC 3339 UTC.
    pub time: String,
    pub passed: usize,
    /// The checks that failed or couldn't be run.
    pub failed: Vec<String>,
    /// Whether all checks were begun.
    pub whole: bool,
}

impl TestedImage {
    fn of(subject: &TestSubject, outcomes: &[Outcome]) -> anyhow::Result<TestedImage> {
        let bad = |outcome: &&Outcome| matches!(&outcome.found, Ok(Verdict::Failed(_)) | Err(_));
        Ok(TestedImage {
            image_id: subject.image.id.clone(),
            time: labels::rfc3339(chrono::Utc::now().timestamp())?,
            passed: report::counts(outcomes)[0],
            failed: outcomes.iter().filter(bad).map(|o| o.check.name.to_owned()).collect(),
            whole: outcomes.len() == checks::all().len(),
        })
    }

    /// Only the first screen misses it.
    fn record(&self, state: &State) {
        if let Err(error) = state.remember(TESTED, self) {
            notice(&format!("warning: remembering this smoke test: {error:#}"));
        }
    }

    /// `54 checks passed, 1 failed`
    pub fn said(&self) -> String {
        let failed = match self.failed.len() {
            0 => String::new(),
            count => format!(", {count} failed"),
        };
        format!("{} checks passed{failed}", self.passed)
    }
}

/// What was found last, if anything was.
pub fn last(state: &State) -> Option<TestedImage> {
    state.remembered(TESTED)
}

/// What a smoke test needs in addition to the image.
pub struct Testing<'a> {
    /// The surroundings.
    pub world: &'a World,
    /// The checkout.
    pub workflow: &'a Workflow,
    /// What runs the containers.
    pub engine: &'a Engine,
    /// Starts it.
    pub runner: &'a Runner,
}

impl Testing<'_> {
    /// Tests an image as `args` say, for another command: the outcomes, and what the whole comes to.
    pub fn outcome(
        &self,
        image: &str,
        args: &cli::SmokeTest,
    ) -> anyhow::Result<(Vec<Outcome>, anyhow::Result<()>)> {
        let chosen = choose(args)?;
        let subject = self.subject(image, args, &chosen)?;
        let outcomes = self.run(&subject, args, &chosen)?;
        let verdict = verdict(&chosen, &outcomes);
        Ok((outcomes, verdict))
    }

    /// Runs the checks; whatever ends them, what was started is removed.
    fn run(
        &self,
        subject: &TestSubject,
        args: &cli::SmokeTest,
        chosen: &[&'static Check],
    ) -> anyhow::Result<Vec<Outcome>> {
        let (engine, runner) = (self.engine, self.runner);
        test_bed::clear(engine, runner, None)?;
        let _begun = leftovers::begin(&self.workflow.state)?;
        let bed = TestBed::new(engine, runner, subject);
        let outcomes = run_checks(runner, &bed, args, chosen);
        // Also after a signal: what was started is removed.
        let calm = Runner { signal: Arc::default(), ..runner.clone() };
        let mut cleared = Ok(0);
        if args.keep {
            let names = bed.name("…");
            notice(&format!("left running for you to look at: containers {names}"));
            notice("the next `smoke-test` removes them");
        } else {
            cleared = test_bed::clear(engine, &calm, Some(&bed.run));
            if let Err(error) = &cleared {
                notice(&format!("{error:#}: the next `smoke-test` removes what is left"));
            }
        }
        runner.check_signal()?;
        cleared.map(|_| outcomes)
    }
}

fn run_checks(
    runner: &Runner,
    bed: &TestBed<'_>,
    args: &cli::SmokeTest,
    chosen: &[&'static Check],
) -> Vec<Outcome> {
    let end = Instant::now() + Duration::from_secs(args.timeout);
    let stop = || runner.check_signal().is_err() || Instant::now() > end;
    run_all(chosen, &|check| checks::run(check, bed), &stop)
}

/// The exit code, with what to do next.
fn verdict(chosen: &[&'static Check], outcomes: &[Outcome]) -> anyhow::Result<()> {
    let names = |word: fn(&CheckResult) -> bool| -> Vec<&str> {
        outcomes.iter().filter(|o| word(&o.found)).map(|o| o.check.name).collect()
    };
    let errors = names(Result::is_err);
    let failed = names(|found| matches!(found, Ok(Verdict::Failed(_))));
    let left = chosen.len() - outcomes.len();
    if left > 0 {
        return Err(failure_help(
            Exit::Check,
            format!("testing the image: the time was over with {left} checks left"),
            "give more with --timeout SECONDS",
        ));
    }
    if !errors.is_empty() {
        let message = format!("testing the image: could not be run: {}", errors.join(", "));
        return Err(Failure { exit: Exit::Unexpected, message, help: Vec::new() }.into());
    }
    if failed.is_empty() {
        return Ok(());
    }
    let only: Vec<String> = failed.iter().map(|name| format!("--only {name}")).collect();
    let message = format!("testing the image: failed: {}", failed.join(", "));
    let help = vec![
        format!("look at what is left running: cargo xtask smoke-test --keep {}", only.join(" ")),
        "if one doesn't fit this project, [smoke.skip] in docker/image.toml names it and the reason"
            .to_owned(),
    ];
    Err(Failure { exit: Exit::Check, message, help }.into())
}

fn list(world: &World) -> anyhow::Result<()> {
    let mut text = String::new();
    let mut rows = Vec::new();
    for check in checks::all() {
        text += &format!("{:<22}{}\n", check.name, check.reason);
        rows.push(serde_json::json!({
            "name": check.name, "reason": check.reason,
            "core": check.core, "lane": check.lane.word(),
        }));
    }
    world.output.result(&text, &serde_json::json!({ "checks": rows }))
}

/// The checks that the command line asks for.
fn choose(args: &cli::SmokeTest) -> anyhow::Result<Vec<&'static Check>> {
    for name in args.only.iter().chain(&args.skip) {
        if !checks::all().iter().any(|check| check.name == name) {
            let names: Vec<&str> = checks::all().iter().map(|check| check.name).collect();
            return Err(failure_help(
                Exit::Usage,
                format!("choosing checks: there is no `{name}`"),
                format!("the checks are {}", names.join(", ")),
            ));
        }
    }
    let named = |list: &[String], check: &Check| list.iter().any(|name| name == check.name);
    let wanted = |check: &&Check| {
        (args.only.is_empty() || named(&args.only, check))
            && (!args.core || check.core)
            && !named(&args.skip, check)
    };
    let chosen: Vec<&'static Check> = checks::all().iter().filter(wanted).collect();
    if chosen.is_empty() {
        let message = "choosing checks: none is left";
        return Err(failure_help(Exit::Usage, message, "--list shows them all"));
    }
    Ok(chosen)
}

impl Testing<'_> {
    /// The image, and what the configuration says of the project in it.
    fn subject(
        &self,
        reference: &str,
        args: &cli::SmokeTest,
        chosen: &[&'static Check],
    ) -> anyhow::Result<TestSubject> {
        let Testing { world, workflow, engine, runner } = *self;
        let answer = runner.ask(&words::inspect(engine, reference), QUESTION)?;
        if !answer.good() {
            return Err(failure_help(
                Exit::Usage,
                format!("looking for the image {reference}: {} has none", engine.kind.title()),
                "build it with `cargo xtask build`, or name another",
            ));
        }
        let config = &workflow.config;
        let mut services = [config.services.postgres.clone(), config.services.redis.clone()];
        if chosen.iter().any(|check| check.lane != Lane::Image) {
            let source = Source {
                environment: &world.environment,
                runner,
                state: &workflow.state,
                engine,
                assumed: false,
                top: &workflow.top,
                log: workflow.state.new_log("services")?,
                network: &config.network,
                python: workflow.oldest_python(),
                dry_run: world.common.dry_run,
            };
            for service in &mut services {
                let (base, _) = source.resolve(service, false, None)?;
                *service = base.reference;
            }
        }
        let image = inspect::image(&answer.stdout)?;
        let on_image = chosen.iter().any(|check| matches!(check.run, checks::Run::Image(_)));
        let expected = expected(world, workflow, engine, &image)?;
        let base = if on_image { base_of(engine, runner, &image)? } else { Default::default() };
        let lock = config.app.lock_file();
        let entrypoint = format!("{}/{ENTRYPOINT}", config.app.runtime);
        Ok(TestSubject {
            image,
            expected,
            base,
            absent: absent(args)?,
            lock: disk::text(&workflow.root.join(&lock), &lock)?,
            services,
            app: config.app.clone(),
            defaults: process::regular::read_text(workflow.root.join(entrypoint))
                .map(|text| test_bed::defaults(&text))
                .unwrap_or_default(),
            smoke: smoke_of(config, args),
        })
    }
}

/// `[smoke]`, without the skips of checks that the command line names.
fn smoke_of(config: &Config, args: &cli::SmokeTest) -> Smoke {
    let mut smoke = config.smoke.clone();
    smoke.skip.retain(|name, _| !args.only.contains(name));
    smoke
}

/// What the image alone must be, as this checkout and its configuration have it.
fn expected(
    world: &World,
    workflow: &Workflow,
    engine: &Engine,
    image: &inspect::Image,
) -> anyhow::Result<Expected> {
    let config = &workflow.config;
    let Snapshot { checkout, contents, .. } =
        super::snapshot(world, workflow, &config.prod, false)?;
    let created = labels::created(&checkout, world.environment.variable("SOURCE_DATE_EPOCH"))?;
    let mut all = labels::from_config(&config.image);
    let identity = ci::identity(world.ci.as_ref(), &checkout);
    all.extend(labels::from_git(&checkout, &identity, created)?);
    let text = |path: &str| disk::text(&workflow.root.join(path), path);
    let dockerfile = text(&config.prod.dockerfile)?;
    let built_from = built_from(world, workflow, &checkout.revision, &image.labels, contents);
    Ok(Expected {
        labels: all,
        size_budget: config.prod.size_budget,
        max_layers: Some(config.smoke.layers),
        prefix: config.app.prefix(),
        runtime: config.app.runtime.clone(),
        static_root: config.app.static_root.clone(),
        hashed_static: config.smoke.hashed_static,
        platform: Some(
            world.environment.variable("XTASK_PLATFORM").unwrap_or(&engine.platform).to_owned(),
        ),
        writable: smoke::static_checks::writable_folders(&config.app.module),
        allow_secrets: config.allow_secrets.clone(),
        ignore: text(&config.ignore_file)?,
        generated: config.generated(),
        dockerfile: (dockerfile::instructions(&dockerfile), config.prod.target.clone()),
        built_from: Some(built_from),
    })
}

/// The files that an image with these `labels` was made of: the `contents` of this build context if
/// it is of this commit, else those of the image's commit.
fn built_from(
    world: &World,
    workflow: &Workflow,
    revision: &str,
    labels: &BTreeMap<String, String>,
    contents: BTreeMap<String, Content>,
) -> BuiltFrom {
    let label =
        |name: &str| labels.get(&format!("{}{name}", label::OCI)).map_or("", String::as_str);
    let hashes = |contents: BTreeMap<String, Content>| {
        contents.into_iter().map(|(path, content)| (path, content.sha256)).collect()
    };
    let theirs = label("revision");
    if theirs == revision {
        return Ok(hashes(contents));
    }
    if theirs.is_empty() {
        return Err("the image has no label that names its commit".to_owned());
    }
    if label("version").ends_with("-dirty") {
        return Err(format!("the image was built from changed files of the commit {theirs}"));
    }
    let taken = at_commit(&workflow.top, theirs)
        .and_then(|at| super::snapshot(world, &at, &at.config.prod, false));
    taken.map(|taken| hashes(taken.contents)).map_err(|error| format!("{error:#}"))
}

/// The image that `image` says it was made from; nothing is known of it if `image` doesn't say.
///
/// # Errors
/// [`Exit::Engine`] when that one isn't here.
pub fn base_of(
    engine: &Engine,
    runner: &Runner,
    image: &inspect::Image,
) -> anyhow::Result<inspect::Image> {
    let label = |name: &str| image.labels.get(&format!("{}{name}", label::OCI));
    let Some(base) = label("base.name") else { return Ok(inspect::Image::default()) };
    // Its name may be another image's by now, or it may have come without one.
    let exact = label("base.digest").map(|digest| format!("{base}@{digest}"));
    for name in exact.iter().chain([base]) {
        let answer = runner.ask(&words::inspect(engine, name), QUESTION)?;
        if answer.good() {
            return inspect::image(&answer.stdout);
        }
    }
    let name = exact.as_ref().unwrap_or(base);
    Err(failure_help(
        Exit::Engine,
        format!("looking for the image's base {name}: {} has none", engine.kind.title()),
        format!(
            "what is its and what is ours can't be told without it: {} pull {name}",
            engine.program
        ),
    ))
}

/// The lines of `--absent`, each named by its place.
fn absent(args: &cli::SmokeTest) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let Some(path) = &args.absent else { return Ok(Vec::new()) };
    let text = disk::text(path, &path.display().to_string())?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let place = |number: usize| format!("line {} of {}", number + 1, path.display());
    Ok(lines.map(|(number, line)| (place(number), line.as_bytes().to_vec())).collect())
}

/// `--dry-run`: what is started for all checks together, and the checks.
fn show(
    world: &World,
    engine: &Engine,
    subject: &TestSubject,
    chosen: &[&'static Check],
) -> anyhow::Result<()> {
    let name = |what: &str| test_bed::name("0", what);
    let network = Some(name("network"));
    let roles = subject.smoke.roles.iter().map(|role| containers::Container {
        name: name(role.word()),
        ..test_bed::of_image(subject, &[role.word()], &name)
    });
    let mut lines = vec![containers::network_create(engine, &name("network"), &[]).to_string()];
    for container in test_bed::services(subject, &name).into_iter().chain(roles) {
        let container = containers::Container { network: network.clone(), ..container };
        lines.push(containers::run(engine, &container, true).to_string());
    }
    lines.extend(chosen.iter().map(|check| format!("# {}: {}", check.name, check.reason)));
    let names: Vec<&str> = chosen.iter().map(|check| check.name).collect();
    let json = serde_json::json!({ "commands": lines, "checks": names });
    world.output.result(&(lines.join("\n") + "\n"), &json)
}
