//! Runs a planned build and believes nothing that it has not seen: the exit status, the image ID,
//! the labels, the health check and the size are each looked at before the image gets its names.

use crate::config::{USUAL, Workflow};
use crate::report::megabytes;
use anyhow::Context as _;
use engine::build::BuildPlan;
use engine::dockerfile;
use engine::inspect::{self, Image};
use engine::leftovers;
use engine::reference;
use engine::steps::BuildProgress;
use engine::{Engine, words};
use process::disk;
use process::failure::{Exit, Failure, failure_help};
use process::invocation::Invocation;
use process::notice::notice;
use process::run::{self, Ended, QUESTION, Runner, Watch};
use std::path::Path;

mod size;
pub use size::{Precision, Size, measure};

/// A verified image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Built {
    /// What the engine says about it.
    pub image: Image,
    /// How large it is.
    pub size: Size,
    /// Whether the engine built; else it is the image of the build before.
    pub built: bool,
    /// Steps that came from the layer cache.
    pub cached_steps: usize,
}

/// Builds, verifies and names an image. An older image keeps its names until all is verified.
///
/// # Errors
/// [`Exit::Build`], [`Exit::Mismatch`] for an image that isn't what was asked for,
/// [`Exit::Check`] for one over its budget, 130 or 143 after a signal.
pub fn build(
    workflow: &Workflow,
    engine: &Engine,
    plan: &BuildPlan,
    runner: &Runner,
    log: &Path,
) -> anyhow::Result<Built> {
    let instructions = dockerfile::instructions(&plan.text);
    let made = once(workflow, engine, plan, &instructions, runner, log)?;
    let stale = unexpected_labels(plan, &instructions, &made.0);
    let (image, ended) = match stale.as_slice() {
        [] => made,
        _ if plan.no_cache => return Err(too_many_labels(&stale)),
        _ => {
            // Podman 4.3.1 stores a --label in each stage's last layer, which later builds reuse.
            notice(&format!(
                "rebuilding without the layer cache, which added labels of another build: {}",
                stale.join(", ")
            ));
            let anew = BuildPlan { no_cache: true, ..plan.clone() };
            let made = once(workflow, engine, &anew, &instructions, runner, log)?;
            let stale = unexpected_labels(plan, &instructions, &made.0);
            if !stale.is_empty() {
                return Err(too_many_labels(&stale));
            }
            made
        }
    };
    check(plan, &instructions, &image)?;
    let precision =
        if plan.exact_size { Precision::Exact } else { Precision::Cheap(plan.size_budget) };
    let size = size::measure(&workflow.state, engine, &image, precision, runner)?;
    check_budget(plan, size.bytes)?;
    // Before it has a name: whatever happens then, it is known to be ours.
    workflow.state.note_made(&image.id)?;
    // What has its name already, because nothing changed, needs no new one.
    let missing = plan.references.iter().filter(|name| !has_name(&image, name));
    let missing: Vec<String> = missing.cloned().collect();
    let image =
        if missing.is_empty() { image } else { named(engine, &image.id, &missing, runner)? };
    leftovers::forget(&stale, engine, runner)?;
    leftovers::finished(&workflow.state);
    Ok(Built { image, size, built: true, cached_steps: cached_steps(&ended.lines) })
}

/// The image `image_id` of an earlier build, if the engine has it under all names of the plan, it is as
/// asked for, and the name of the base is still that base's. `absent`: an image that would be the base
/// if it were here.
///
/// # Errors
/// When the engine doesn't answer in time; 130 or 143 after a signal.
pub fn reusable(
    engine: &Engine,
    plan: &BuildPlan,
    (image_id, size): (&str, &Size),
    absent: Option<&str>,
    runner: &Runner,
) -> anyhow::Result<Option<Built>> {
    let names = [image_id, &plan.base.reference].into_iter().chain(absent);
    let question = words::inspect_all(engine, &names.collect::<Vec<_>>());
    let images = inspect::images(&runner.ask(&question, QUESTION)?.stdout);
    let Ok(Ok([image, base])) = images.map(<[Image; 2]>::try_from) else { return Ok(None) };
    let same = base.id == plan.base.id && plan.references.iter().all(|name| has_name(&image, name));
    let good = check(plan, &dockerfile::instructions(&plan.text), &image).is_ok()
        && check_budget(plan, size.bytes).is_ok();
    let size = size.clone();
    Ok((same && good).then_some(Built { image, size, built: false, cached_steps: 0 }))
}

/// Whether an image has a name, however its engine writes it: Docker leaves out `docker.io/library/`.
fn has_name(image: &Image, name: &str) -> bool {
    let whole = |text: &str| reference::parse(text).map(|found| found.to_string()).ok();
    let wanted = whole(name);
    image.references.iter().any(|found| found == name || wanted.is_some() && whole(found) == wanted)
}

/// Whether an image is what was asked for.
fn check(
    plan: &BuildPlan,
    instructions: &[dockerfile::Instruction],
    image: &Image,
) -> anyhow::Result<()> {
    check_labels(plan, image)?;
    check_health(plan, instructions, image)?;
    check_platform(plan, image)?;
    check_layers(plan, image)
}

/// Gives an image its names, on Docker each by a separate process, at the same time; then asks which
/// names it has.
fn named(engine: &Engine, id: &str, names: &[String], runner: &Runner) -> anyhow::Result<Image> {
    let steps = words::tag(engine, id, names);
    let run = |step: &Invocation| {
        let answer = runner.ask(step, QUESTION)?;
        if answer.good() {
            return Ok(());
        }
        let message = format!("naming the image: {}", answer.last_line());
        Err(failure_help(Exit::Build, message, format!("try it yourself: {step}")))
    };
    run::join_all(&steps, |step| run(step)).into_iter().collect::<anyhow::Result<()>>()?;
    let image = inspect::image(&runner.ask(&words::inspect(engine, id), QUESTION)?.stdout)?;
    let lacking = names.iter().filter(|name| !has_name(&image, name));
    let lacking: Vec<String> = lacking.map(|name| format!("{name} does not name {id}")).collect();
    if lacking.is_empty() {
        return Ok(image);
    }
    let message = format!("naming the image: {} succeeded without effect", steps[0].program);
    Err(Failure { exit: Exit::Mismatch, message, help: lacking }.into())
}

/// One run of the engine: the image that it says it made.
fn once(
    workflow: &Workflow,
    engine: &Engine,
    plan: &BuildPlan,
    instructions: &[dockerfile::Instruction],
    runner: &Runner,
    log: &Path,
) -> anyhow::Result<(Image, Ended)> {
    for step in &plan.prepare {
        if runner.verbose {
            notice(&format!("$ {step}"));
        }
        step.run(&workflow.top).context("preparing the build")?;
    }
    let invocation = words::build(engine, plan);
    leftovers::announce(&workflow.state)?;
    let run = || {
        let mut record = |id| leftovers::record(&workflow.state, id);
        // An ARG before the first FROM is no step.
        let all = instructions.iter().skip_while(|step| step.keyword != "FROM").count();
        let steps = Box::new(BuildProgress::of(all));
        let watch = Watch { started: Some(&mut record), progress: Some(steps), ..Watch::default() };
        runner.stream(&invocation, log, watch)
    };
    let mut ended = run()?;
    if let Some(why) = engine::build::lost_connection(&ended.lines)
        && ended.code != Some(0)
    {
        notice(&format!(
            "building once more, because docker lost the connection to its builder: {why}"
        ));
        ended = run()?;
    }
    if let Some(why) = plan.layer_cache.as_ref().and_then(|cache| cache.problem(&ended.lines))
        && ended.code != Some(0)
    {
        // Podman fails a build whose layers can't be sent; what is made stays in its own store.
        notice(&format!("building on without the layer cache, which wasn't written: {why}"));
        let without = BuildPlan { layer_cache: None, ..plan.clone() };
        return once(workflow, engine, &without, instructions, runner, log);
    }
    let id = process::regular::read_text(&plan.iidfile).unwrap_or_default();
    if ended.code != Some(0) || id.trim().is_empty() {
        let mut failure = build_failed(plan, instructions, &ended, log);
        if disk::is_full(&ended.lines) {
            let root = runner.ask(&words::root(engine), QUESTION)?.stdout;
            failure.help.push(disk::make_room(&[Path::new(root.trim()), &plan.tmp]));
        }
        let path = workflow.top.join(&plan.dockerfile);
        match dockerfile::failing(instructions, &ended.lines) {
            Some(step) => runner.form.error_at(&path, step.line, &failure.message),
            None => runner.form.error(&failure.message),
        }
        return Err(failure.into());
    }
    Ok((inspected(engine, id.trim(), runner)?, ended))
}

/// Labels that neither the plan, nor the Dockerfile, nor the base asks for.
fn unexpected_labels(
    plan: &BuildPlan,
    instructions: &[dockerfile::Instruction],
    image: &Image,
) -> Vec<String> {
    let written = dockerfile::label_names(instructions);
    let known = |name: &&String| {
        plan.labels.contains_key(*name)
            || plan.base.labels.contains_key(*name)
            || written.contains(name)
    };
    image.labels.keys().filter(|name| !known(name)).cloned().collect()
}

fn too_many_labels(names: &[String]) -> anyhow::Error {
    let what = format!("it carries labels that were not asked for: {}", names.join(", "));
    mismatch(&what, vec!["where do they come from? the engine's `history` shows the step".into()])
}

fn build_failed(
    plan: &BuildPlan,
    instructions: &[dockerfile::Instruction],
    ended: &Ended,
    log: &Path,
) -> Failure {
    let step = dockerfile::failing(instructions, &ended.lines);
    let place = step.map_or_else(
        || plan.dockerfile.clone(),
        |step| {
            format!(
                "{}:{}: {}",
                plan.dockerfile,
                step.line,
                run::shortened(&format!("{} {}", step.keyword, step.text), 60)
            )
        },
    );
    let mut failure = run::step_failed(Exit::Build, &format!("building {place}"), ended, log);
    if let Some((step, line)) = step.and_then(|s| Some((s, plan.text.lines().nth(s.line - 1)?))) {
        failure.help.push(format!("{:>4} | {}", step.line, run::shortened(line, 70)));
        failure.help.push(format!("{:>4} | {}", "", "^".repeat(step.keyword.len())));
    }
    if ended.code == Some(0) {
        failure.message = format!(
            "building {place}: the engine ended with exit status 0 but made no image: it was killed"
        );
    }
    failure
}

fn inspected(engine: &Engine, id: &str, runner: &Runner) -> anyhow::Result<Image> {
    let answer = runner.ask(&words::inspect(engine, id), QUESTION)?;
    if !answer.good() {
        let message = format!("inspecting the image that was built: {}", answer.last_line());
        return Err(failure_help(
            Exit::Mismatch,
            message,
            "build again; if it stays so, look at the log",
        ));
    }
    inspect::image(&answer.stdout)
}

fn mismatch(what: &str, help: Vec<String>) -> anyhow::Error {
    let message = format!("verifying the image: {what}");
    Failure { exit: Exit::Mismatch, message, help }.into()
}

/// Every label that was asked for, compared (a build that was served stale layers can lie).
fn check_labels(plan: &BuildPlan, image: &Image) -> anyhow::Result<()> {
    let differing: Vec<String> = plan
        .labels
        .iter()
        .filter(|(name, value)| image.labels.get(*name) != Some(value))
        .map(|(name, value)| {
            let found = image.labels.get(name).map_or("none", String::as_str);
            format!("{name}: expected {value}, found {found}")
        })
        .collect();
    if differing.is_empty() {
        return Ok(());
    }
    Err(mismatch(&format!("{} labels are not as asked for", differing.len()), differing))
}

fn check_health(
    plan: &BuildPlan,
    instructions: &[dockerfile::Instruction],
    image: &Image,
) -> anyhow::Result<()> {
    let wanted = dockerfile::has_health_check(instructions, plan.target.as_deref());
    if !wanted || !image.health_check.is_empty() {
        return Ok(());
    }
    let help = format!("{} has a HEALTHCHECK; the OCI image format drops it", plan.dockerfile);
    Err(mismatch("it carries no health check", vec![help]))
}

fn check_platform(plan: &BuildPlan, image: &Image) -> anyhow::Result<()> {
    let Some(wanted) = &plan.platform else { return Ok(()) };
    // `linux/arm64/v8`: the variant is not among what every engine tells.
    let wanted: Vec<&str> = wanted.split('/').take(2).collect();
    if image.platform == wanted.join("/") {
        return Ok(());
    }
    let what = format!("its platform is {}, not {}", image.platform, wanted.join("/"));
    Err(mismatch(&what, vec!["is the base image here for another platform? add --pull".into()]))
}

/// A squashed image has the base's layers and one of ours.
fn check_layers(plan: &BuildPlan, image: &Image) -> anyhow::Result<()> {
    let base = &plan.base.layers;
    let above = image.layers.strip_prefix(base.as_slice()).map(<[String]>::len);
    if !plan.squash || base.is_empty() || above == Some(1) {
        return Ok(());
    }
    let what = match above {
        Some(count) => format!("it has {count} layers above its base, and --squash asks for one"),
        None => "its first layers are not its base's".to_owned(),
    };
    Err(mismatch(&what, vec!["leave out --squash, or use `cargo xtask squash`".into()]))
}

fn check_budget(plan: &BuildPlan, bytes: u64) -> anyhow::Result<()> {
    match plan.size_budget {
        Some(budget) if bytes > budget => Err(failure_help(
            Exit::Check,
            format!(
                "checking the size: {} is over the budget of {}",
                megabytes(bytes),
                megabytes(budget)
            ),
            "no name was moved; raise size_budget in docker/image.toml, or look what grew with the engine's `history`",
        )),
        None if bytes > USUAL && plan.variant == "prod" => {
            notice(&format!(
                "warning: the image has {}; a size_budget below [variant.prod] in docker/image.toml \
                 refuses what is larger than you mean it to be",
                megabytes(bytes)
            ));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Steps that the engine says it took from its layer cache.
fn cached_steps(lines: &[String]) -> usize {
    let podman = |line: &str| line.trim_start().starts_with("--> Using cache");
    let buildkit = |line: &str| line.starts_with('#') && line.ends_with(" CACHED");
    lines.iter().filter(|line| podman(line) || buildkit(line)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn cache_hits_are_counted_in_both_engines_words() {
        let lines = [
            "[2/4] STEP 2/7: RUN a",
            "--> Using cache 12ab",
            "#5 [base 2/3] RUN a",
            "#5 CACHED",
            "--> 34cd",
        ];
        assert_eq!(cached_steps(&lines.map(String::from)), 2);
    }

    #[test]
    fn a_name_is_the_same_however_an_engine_writes_it() {
        let check = |found: &str, name: &str, expected: bool| {
            let image = Image { references: vec![found.into()], ..Image::default() };
            assert_eq!(has_name(&image, name), expected, "{found} {name}");
        };
        check("me/app:1", "docker.io/me/app:1", true);
        check("docker.io/library/app:1", "docker.io/app:1", true);
        check("app:prod", "app:prod", true);
        check("localhost/app:prod", "localhost/app:prod", true);
        check("app:prod", "localhost/app:prod", false);
        check("app:prod", "app:dev", false);
    }

    #[test]
    fn what_the_image_lacks_is_named() {
        let labels =
            BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
        let plan =
            BuildPlan { labels: labels.clone(), size_budget: Some(10), ..BuildPlan::default() };
        let mut image = Image { labels, ..Image::default() };
        check_labels(&plan, &image).unwrap();
        image.labels.insert("a".into(), "0".into());
        image.labels.remove("b");
        let error = check_labels(&plan, &image).unwrap_err();
        let (exit, help) = process::failure::describe(&error);
        assert_eq!(exit, Exit::Mismatch);
        assert_eq!(help, ["a: expected 1, found 0", "b: expected 2, found none"]);
        let steps = dockerfile::instructions("FROM a\nLABEL own=1");
        image.labels.insert("own".into(), "1".into());
        assert!(unexpected_labels(&plan, &steps, &image).is_empty());
        image.labels.insert("stale".into(), "1".into());
        assert_eq!(unexpected_labels(&plan, &steps, &image), ["stale"]);
        let steps = dockerfile::instructions("FROM a\nHEALTHCHECK CMD x\n");
        let error = check_health(&plan, &steps, &image).unwrap_err();
        assert_eq!(process::failure::describe(&error).0, Exit::Mismatch);
        check_budget(&plan, 10).unwrap();
        let error = check_budget(&plan, 11).unwrap_err();
        assert_eq!(process::failure::describe(&error).0, Exit::Check);
        let squashed = |layers: &[&str]| {
            let layers = layers.iter().map(ToString::to_string).collect();
            let base = engine::build::Base { layers: vec!["1".into()], ..Default::default() };
            let plan = BuildPlan { squash: true, base, ..BuildPlan::default() };
            check_layers(&plan, &Image { layers, ..Image::default() }).is_ok()
        };
        assert!(squashed(&["1", "2"]));
        assert!(!squashed(&["1", "2", "3"]) && !squashed(&["1"]) && !squashed(&["2", "3"]));
        let other = BuildPlan { platform: Some("linux/arm64/v8".into()), ..plan };
        image.platform = "linux/amd64".into();
        assert!(check_platform(&other, &image).is_err());
        image.platform = "linux/arm64".into();
        check_platform(&other, &image).unwrap();
    }
}
