//! `doctor`: whether `build` would work here; each finding with its remedy.

use crate::world::World;
use engine::find::Candidate;
use engine::machine::{self, Machine};
use engine::{Engine, EngineKind, capability, find, lint, reference, words};
use image::base::Source;
use image::config::Workflow;
use image::{network, standin};
use process::failure::{self, Exit, Failure};
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

impl Finding {
    fn told(what: &str, found: impl Into<String>) -> Finding {
        Finding { what: what.to_owned(), good: None, found: found.into(), remedy: None }
    }

    fn good(what: &str, found: impl Into<String>) -> Finding {
        Finding { good: Some(true), ..Finding::told(what, found) }
    }

    /// An error, with its help as the remedy.
    fn bad(what: &str, error: &anyhow::Error) -> Finding {
        let help = failure::describe(error).1.join("; ");
        let remedy = Some(help).filter(|help| !help.is_empty());
        Finding { good: Some(false), remedy, ..Finding::told(what, format!("{error:#}")) }
    }

    fn with_remedy(self, remedy: impl Into<String>) -> Finding {
        Finding { remedy: Some(remedy.into()), ..self }
    }
}

/// What the looks at this machine share.
struct Look<'a> {
    world: &'a World,
    workflow: &'a Workflow,
    machine: &'a Machine,
    runner: &'a Runner,
}

/// The command.
///
/// # Errors
/// [`Exit::Engine`] if `build` would not work; its help lines are the remedies.
pub fn run(world: &World) -> anyhow::Result<()> {
    let workflow = world.workflow()?;
    let machine = machine::read(&world.environment);
    let runner = world.runner(&workflow.top);
    let look = Look { world, workflow: &workflow, machine: &machine, runner: &runner };
    let (candidates, engines) = look.engines()?;
    let chosen = find::choose(world.search(&workflow, &machine, &runner).asked, &candidates);
    let engine = chosen.as_ref().ok();
    let findings = [
        vec![Finding::told("machine", machine.release.name.clone())],
        engines,
        vec![chosen_engine(&chosen)],
        engine.map(|engine| look.base(engine)).transpose()?.into_iter().collect(),
        look.surroundings()?,
        look.dockerfiles(engine),
        look.checkout()?,
    ]
    .concat();
    let text: String = findings.iter().map(line).collect();
    world.output.result(&text, &serde_json::json!({ "findings": findings }))?;
    let bad: Vec<&Finding> = findings.iter().filter(|one| one.good == Some(false)).collect();
    if bad.is_empty() {
        return Ok(());
    }
    // Each program that could be an engine has its own remedy.
    let ways = chosen.as_ref().err().map(|error| failure::describe(error).1).unwrap_or_default();
    let help = bad.iter().flat_map(|finding| match finding.what.as_str() {
        "engine" => ways.clone(),
        _ => finding.remedy.iter().cloned().collect(),
    });
    let help = help.collect();
    let names: Vec<&str> = bad.iter().map(|finding| finding.what.as_str()).collect();
    let message = format!("looking at this machine: build would not work: {}", names.join(", "));
    Err(Failure { exit: Exit::Engine, message, help }.into())
}

fn chosen_engine(chosen: &anyhow::Result<Engine>) -> Finding {
    match chosen {
        Ok(engine) => {
            let Engine { kind, version, why, .. } = engine;
            Finding::good("engine", format!("{} {version}: {why}", kind.title()))
        }
        Err(error) => {
            let remedy = failure::describe(error).1.pop();
            Finding { good: Some(false), remedy, ..Finding::told("engine", error.to_string()) }
        }
    }
}

impl Look<'_> {
    /// All programs that could be an engine. One engine is enough: what the other one lacks is
    /// information.
    fn engines(&self) -> anyhow::Result<(Vec<Candidate>, Vec<Finding>)> {
        let search = self.world.search(self.workflow, self.machine, self.runner);
        let (mut all, mut findings) = (Vec::new(), Vec::new());
        for kind in [EngineKind::Podman, EngineKind::Docker] {
            let candidates = search.candidates(kind, find::LIMIT)?;
            if candidates.is_empty() {
                findings.push(Finding::told(kind.program(), "not on PATH"));
            }
            for Candidate { program, outcome, .. } in &candidates {
                match outcome {
                    Ok(engine) => {
                        let lines = about(engine, self.runner)?;
                        findings.extend(lines.into_iter().map(|line| Finding::told(program, line)));
                    }
                    Err(problem) => findings
                        .push(Finding::told(program, &*problem.what).with_remedy(&*problem.remedy)),
                }
            }
            all.extend(candidates);
        }
        Ok((all, findings))
    }

    fn base(&self, engine: &Engine) -> anyhow::Result<Finding> {
        let Look { world, workflow, runner, .. } = self;
        let base = &workflow.config.prod.base;
        let source = Source {
            environment: &world.environment,
            runner,
            state: &workflow.state,
            engine,
            assumed: false,
            top: &workflow.top,
            log: std::path::PathBuf::new(),
            network: &workflow.config.network,
            python: workflow.oldest_python(),
            dry_run: true,
        };
        if runner.ask(&words::inspect(engine, base), QUESTION)?.good() {
            return Ok(Finding::good("base", format!("{base} is in the local store")));
        }
        match source.resolve(base, false, None) {
            Ok((found, steps)) if found.standin => {
                let when = if steps.is_empty() { "is in the local store" } else { "will be made" };
                Ok(Finding::good("base", format!("{} {when}: {}", found.reference, found.why)))
            }
            Ok(_) => Ok(Finding::good("base", format!("{base} will be pulled"))),
            Err(error) => {
                runner.check_signal()?;
                Ok(Finding::bad("base", &error))
            }
        }
    }

    /// What a closed network needs.
    fn surroundings(&self) -> anyhow::Result<Vec<Finding>> {
        let Look { world, workflow, machine, .. } = self;
        let mut findings = Vec::new();
        if standin::recipe(&reference::parse(&workflow.config.prod.base)?, None).is_some() {
            let missing = find::on_path(world.environment.path(), "mmdebstrap").is_empty();
            let found = if missing { "not installed" } else { "installed" };
            findings.push(Finding::told("mmdebstrap", format!("{found}; only stand-ins need it")));
        }
        let bundle = machine.ca_bundle.as_ref().map(|path| path.display().to_string());
        let bundle =
            bundle.unwrap_or_else(|| "none found; the base image's own is used".to_owned());
        findings.push(Finding::told("certificates", bundle));
        let network = network::summary(&world.environment.variables, &workflow.config.network);
        findings.extend(network.map(|found| Finding::told("network", found)));
        Ok(findings)
    }

    /// What engines build differently; bad if it breaks the one of this machine.
    fn dockerfiles(&self, engine: Option<&Engine>) -> Vec<Finding> {
        let linted = match super::lint(self.workflow) {
            Ok(linted) => linted,
            Err(error) => return vec![Finding::bad("dockerfile", &error)],
        };
        let finding = |(file, found): (String, lint::Finding)| {
            let needed = engine.zip(found.needs);
            let breaks = needed.is_some_and(|(engine, needs)| capability::breaks(engine, needs));
            let place = format!("{file}:{}", found.line);
            let text = format!("{place}: {}: on {}: {}", found.rule, found.engines, found.why);
            Finding { good: breaks.then_some(false), ..Finding::told("dockerfile", text) }
                .with_remedy(format!("{place}: {}", found.instead))
        };
        linted.into_iter().map(finding).collect()
    }

    /// The build context, what git says, and what the project lacks.
    fn checkout(&self) -> anyhow::Result<Vec<Finding>> {
        let Look { world, workflow, .. } = self;
        let snapshot = match super::snapshot(world, workflow, &workflow.config.prod, false) {
            Ok(snapshot) => snapshot,
            Err(error) => return Ok(vec![Finding::bad("git", &error)]),
        };
        let mut findings = Vec::new();
        for warning in snapshot.warnings(&workflow.root) {
            let (what, help) = warning.rsplit_once("; ").unwrap_or((&warning, ""));
            findings.push(Finding::told("context", what).with_remedy(help));
        }
        let stale = super::init::stale(workflow)?;
        if !stale.is_empty() {
            let found = format!("{}: not as docker/image.toml says", stale.join(", "));
            let finding = Finding::told("dockerfile", found).with_remedy(super::init::REMEDY);
            findings.push(Finding { good: Some(false), ..finding });
        }
        if let Err(error) =
            source::secrets::gate(&snapshot.contents, &workflow.config.allow_secrets)
        {
            findings.push(Finding::bad("secrets", &error));
        }
        let missing = super::missing(workflow, &snapshot.files)?;
        findings.push(Finding::good("git", snapshot.checkout.version));
        if missing.is_empty() {
            let app = &workflow.config.app;
            let found = format!("{}: files, lock and roles are there", app.inside(&app.module));
            findings.push(Finding::good("project", found));
        }
        for lack in missing {
            let finding = Finding::told("project", lack.what).with_remedy(lack.remedy);
            findings.push(Finding { good: lack.certain.then_some(false), ..finding });
        }
        Ok(findings)
    }
}

/// The lines about an engine that works.
fn about(engine: &Engine, runner: &Runner) -> anyhow::Result<Vec<String>> {
    let prefix: Vec<String> =
        engine.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let with =
        if prefix.is_empty() { String::new() } else { format!(", with {}", prefix.join(" ")) };
    let place = engine.place.iter().map(|place| format!("; {place}")).collect::<String>();
    let mut lines = vec![format!("{} {} works{with}{place}", engine.kind.title(), engine.version)];
    if engine.kind == EngineKind::Docker {
        let status = runner.ask(&words::driver_status(engine), QUESTION)?;
        lines.extend(find::containerd(&status.stdout).then(|| CONTAINERD.to_owned()));
    }
    lines.extend(engine.warnings.iter().cloned());
    Ok(lines)
}

/// What is different about Docker's newer store.
const CONTAINERD: &str = "its images are in containerd's store: an image ID there is the digest of the manifest; the \
                          report also has that of the config";

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
