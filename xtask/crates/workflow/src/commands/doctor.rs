//! `doctor`: whether `build` would work here; each finding with its remedy.

use crate::world::World;
use engine::machine;
use engine::reference;
use engine::{Engine, Kind, capability, find, words};
use image::base::Source;
use image::network;
use image::standin;
use process::failure::{Exit, Failure};
use process::run::{QUESTION, Runner};
use serde::Serialize;

/// One line of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    /// What was looked at.
    what: String,
    /// `None`: information.
    good: Option<bool>,
    /// What was found.
    found: String,
    /// What to do, where something is wrong.
    remedy: Option<String>,
}

/// The command.
///
/// # Errors
/// [`Exit::Engine`] when `build` would not work; its help lines are the remedies.
pub fn run(world: &World) -> anyhow::Result<()> {
    let workflow = world.workflow()?;
    let machine = machine::read(&world.environment);
    let runner = world.runner(&workflow.top);
    let mut findings = Vec::new();
    let mut add = |what: &str, good: Option<bool>, found: String, remedy: Option<String>| {
        findings.push(Finding { what: what.to_owned(), good, found, remedy });
    };
    add("machine", None, machine.release.name.clone(), None);
    let search = world.search(&workflow, &machine, &runner);
    let mut all = Vec::new();
    for kind in [Kind::Podman, Kind::Docker] {
        let candidates = search.candidates(kind, find::LIMIT)?;
        all.extend(candidates.iter().cloned());
        if candidates.is_empty() {
            add(kind.program(), None, "not on PATH".to_owned(), None);
        }
        for candidate in candidates {
            match candidate.outcome {
                Ok(engine) => {
                    for found in about(&engine, &runner)? {
                        add(&candidate.program, None, found, None);
                    }
                }
                // One engine is enough: what the other lacks is information.
                Err(trouble) => add(&candidate.program, None, trouble.what, Some(trouble.remedy)),
            }
        }
    }
    let mut ways = Vec::new();
    let engine = match find::choose(search.asked, &all) {
        Ok(engine) => {
            let found = format!("{} {}: {}", engine.kind.title(), engine.version, engine.why);
            add("engine", Some(true), found, None);
            Some(engine)
        }
        Err(error) => {
            (_, ways) = process::failure::describe(&error);
            add("engine", Some(false), error.to_string(), ways.last().cloned());
            None
        }
    };
    if let Some(engine) = &engine {
        let base = &workflow.config.prod.base;
        let source = Source {
            environment: &world.environment,
            runner: &runner,
            state: &workflow.state,
            engine,
            assumed: false,
            top: &workflow.top,
            log: std::path::PathBuf::new(),
            network: &workflow.config.network,
            dry_run: true,
        };
        let here = runner.ask(&words::inspect(engine, base), QUESTION)?.good();
        if here {
            add("base", Some(true), format!("{base} is in the local store"), None);
        } else {
            match source.resolve(base, false, None) {
                Ok((found, steps)) => {
                    let when =
                        if steps.is_empty() { "is in the local store" } else { "will be made" };
                    let found = match found.standin {
                        true => format!("{} {when}: {}", found.reference, found.why),
                        false => format!("{base} will be pulled"),
                    };
                    add("base", Some(true), found, None);
                }
                Err(error) => {
                    runner.check_signal()?;
                    let (_, help) = process::failure::describe(&error);
                    add("base", Some(false), error.to_string(), Some(help.join("; ")));
                }
            }
        }
    }
    let missing = find::on_path(world.environment.path(), "mmdebstrap").is_empty();
    let standins = reference::parse(&workflow.config.prod.base)?;
    if standin::recipe(&standins).is_some() {
        let found = if missing { "not installed" } else { "installed" };
        add("mmdebstrap", None, format!("{found}; only stand-ins need it"), None);
    }
    let bundle = machine.ca_bundle.as_ref().map(|path| path.display().to_string());
    let found = bundle.unwrap_or_else(|| "none found; the base image's own is used".to_owned());
    add("certificates", None, found, None);
    if let Some(found) = network::summary(&world.environment.variables, &workflow.config.network) {
        add("network", None, found, None);
    }
    let linted = super::lint(&workflow).unwrap_or_else(|error| {
        add("dockerfile", Some(false), format!("{error:#}"), None);
        Vec::new()
    });
    for (file, found) in linted {
        let needed = engine.as_ref().zip(found.needs);
        let breaks = needed.is_some_and(|(engine, needs)| capability::breaks(engine, needs));
        let place = format!("{file}:{}", found.line);
        let text = format!("{place}: {}: on {}: {}", found.rule, found.engines, found.why);
        add(
            "dockerfile",
            breaks.then_some(false),
            text,
            Some(format!("{place}: {}", found.instead)),
        );
    }
    match super::snapshot(world, &workflow, &workflow.config.prod, false) {
        Ok(snapshot) => {
            for warning in snapshot.warnings(&workflow.root) {
                let (what, help) = warning.rsplit_once("; ").unwrap_or((&warning, ""));
                add("context", None, what.to_owned(), Some(help.to_owned()));
            }
            add("git", Some(true), snapshot.checkout.version, None);
            let lacks = super::lacks(&workflow, &snapshot.files)?;
            if lacks.is_empty() {
                let found = format!("app/{}: all that a build needs", workflow.config.app.module);
                add("project", Some(true), found, None);
            }
            for lack in lacks {
                add("project", lack.certain.then_some(false), lack.what, Some(lack.remedy));
            }
        }
        Err(error) => {
            let (_, help) = process::failure::describe(&error);
            add("git", Some(false), format!("{error:#}"), Some(help.join("; ")));
        }
    }
    let text: String = findings.iter().map(line).collect();
    world.output.result(&text, &serde_json::json!({ "findings": findings }))?;
    let bad: Vec<&Finding> =
        findings.iter().filter(|finding| finding.good == Some(false)).collect();
    if bad.is_empty() {
        return Ok(());
    }
    let help = bad.iter().flat_map(|finding| match finding.what.as_str() {
        // Each program that could be one has its own remedy.
        "engine" => ways.clone(),
        _ => finding.remedy.iter().cloned().collect(),
    });
    let help = help.collect();
    let names: Vec<&str> = bad.iter().map(|finding| finding.what.as_str()).collect();
    let message = format!("looking at this machine: build would not work: {}", names.join(", "));
    Err(Failure { exit: Exit::Engine, message, help }.into())
}

/// The lines about an engine that works.
fn about(engine: &Engine, runner: &Runner) -> anyhow::Result<Vec<String>> {
    let prefix: Vec<String> =
        engine.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let with =
        if prefix.is_empty() { String::new() } else { format!(", with {}", prefix.join(" ")) };
    let place = engine.place.iter().map(|place| format!("; {place}")).collect::<String>();
    let mut lines = vec![format!("{} {} works{with}{place}", engine.kind.title(), engine.version)];
    if engine.kind == Kind::Docker {
        let status = runner.ask(&words::driver_status(engine), QUESTION)?;
        lines.extend(find::containerd(&status.stdout).then(|| CONTAINERD.to_owned()));
    }
    lines.extend(engine.warnings.iter().cloned());
    Ok(lines)
}

/// What is different about Docker's newer store.
const CONTAINERD: &str = "its images are in containerd's store: an image ID there is the digest of the manifest; the \
                          report has that of the config beside it";

fn line(finding: &Finding) -> String {
    let mark = match finding.good {
        Some(true) => "ok ",
        Some(false) => "BAD",
        None => "   ",
    };
    let mut line = format!("{mark} {:<15} {}\n", finding.what, finding.found);
    if let Some(remedy) = &finding.remedy {
        line += &format!("{:20}-> {remedy}\n", "");
    }
    line
}
