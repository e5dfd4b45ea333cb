//! `test`: the workflow's own tests, in groups with their times; `--all` is what CI runs.

use crate::cli;
use crate::lab::Lab;
use engine::machine;
use image::config::Workflow;
use process::failure::{Exit, Failure, failure_help};
use process::invocation::Invocation;
use process::notice::notice;
use process::run::{Runner, shortened};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use workflow::world::World;

mod arm64;
mod linters;
mod podman5;
mod rootless;
mod suite;
pub mod tools;
mod trixie;

/// What the groups share.
struct Bench<'a> {
    world: &'a World,
    workflow: &'a Workflow,
    runner: Runner,
    /// The virtual environment of the tools.
    tools: PathBuf,
    log: PathBuf,
}

/// Who runs a group.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    /// `--all`: CI.
    All,
    /// `--browser`.
    Browser,
    /// `--all --engines`.
    Engines,
}

/// One group: its name, who runs it, and what it does.
struct Group {
    name: &'static str,
    when: When,
    run: fn(&Bench<'_>) -> anyhow::Result<()>,
}

/// The group that the others take linters and uv from.
const TOOLS: &str = "tools";

/// The pushes of small images. They mostly wait.
const PUSHES: &[&str] = &["--skip=release::", "--test-threads=3"];

const GROUPS: [Group; 22] = [
    Group { name: "format", when: When::Always, run: |b| b.cargo(&["fmt", "--all", "--check"]) },
    Group { name: "clippy", when: When::Always, run: |b| b.cargo(CLIPPY) },
    Group {
        name: "unit",
        when: When::Always,
        run: |b| b.cargo(&["test", "--locked", "--quiet", "--workspace"]),
    },
    Group { name: "lint", when: When::Always, run: lint },
    Group { name: TOOLS, when: When::All, run: tools::run },
    Group { name: "hadolint", when: When::All, run: linters::hadolint },
    Group { name: "shellcheck", when: When::All, run: linters::shellcheck },
    Group { name: "actionlint", when: When::All, run: linters::actionlint },
    Group { name: "lock", when: When::All, run: lock },
    Group { name: "payload", when: When::All, run: payload },
    Group { name: "entrypoint", when: When::All, run: entrypoint },
    Group {
        name: "podman",
        when: When::All,
        run: |b| b.engine(&[], |b| Lab::podman(b.workflow, &b.runner)),
    },
    Group { name: "rootless", when: When::All, run: rootless::run },
    Group {
        name: "docker",
        when: When::All,
        run: |b| b.engine(&[], |b| Lab::docker(b.workflow, &b.runner, &[])),
    },
    Group { name: "docker26", when: When::All, run: docker26 },
    Group {
        name: "registry",
        when: When::All,
        run: |b| b.registry(PUSHES, |b| Lab::podman(b.workflow, &b.runner)),
    },
    Group {
        name: "registry-docker",
        when: When::All,
        run: |b| b.registry(PUSHES, |b| Lab::docker(b.workflow, &b.runner, &[])),
    },
    Group {
        name: "release",
        when: When::All,
        run: |b| {
            let words = ["release::", "--test-threads=1"];
            b.registry(&words, |b| Lab::podman(b.workflow, &b.runner))
        },
    },
    Group {
        name: "release-docker",
        when: When::All,
        // What differs on an engine; the rest is the same code.
        run: |b| {
            let words = ["release::what_is", "--test-threads=1"];
            b.registry(&words, |b| Lab::docker(b.workflow, &b.runner, &[]))
        },
    },
    Group { name: "browser", when: When::Browser, run: browser },
    Group { name: "podman5", when: When::Engines, run: podman5::run },
    Group { name: "arm64", when: When::Engines, run: arm64::run },
];

/// With the real-engine tests, which are compiled only for `--all`.
const CLIPPY: &[&str] = &[
    "clippy",
    "--locked",
    "--quiet",
    "--workspace",
    "--all-targets",
    "--all-features",
    "--",
    "-D",
    "warnings",
];

/// The tests on real engines.
const TESTS: [&str; 6] = ["test", "--locked", "--package", "senex-proof", "--features", "engine"];

/// The command.
///
/// # Errors
/// [`Exit::Check`] when a group fails, naming it; 130 or 143 after a signal.
pub fn run(world: &World, args: &cli::Test) -> anyhow::Result<()> {
    let workflow = world.workflow()?;
    let machine = machine::read(&world.environment);
    let mut chosen: Vec<&Group> = GROUPS.iter().filter(|group| wanted(args, group)).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = GROUPS.iter().map(|group| group.name).collect();
        let message = format!("choosing tests: no group begins with {}", args.only.join(" or "));
        return Err(failure_help(
            Exit::Usage,
            message,
            format!("the groups are {}", names.join(", ")),
        ));
    }
    let named = |name: &&str| chosen.iter().any(|group| group.name == *name);
    let wanting = !named(&TOOLS) && tools::NEEDED_BY.iter().any(named);
    if wanting && !tools::are_here(&workflow) {
        chosen.splice(0..0, GROUPS.iter().filter(|group| group.name == TOOLS));
    }
    if world.common.dry_run {
        let names: String = chosen.iter().map(|group| format!("{}\n", group.name)).collect();
        return world
            .output
            .result(&names, &serde_json::json!({ "groups": names.lines().collect::<Vec<_>>() }));
    }
    if args.setup {
        let for_browser = args.browser;
        let setup = workflow::cli::Setup {
            yes: true,
            for_tests: true,
            for_browser,
            ..workflow::cli::Setup::default()
        };
        workflow::commands::setup::ensure(world, &workflow, &machine, setup)?;
    }
    let bench = Bench {
        world,
        workflow: &workflow,
        runner: world.runner(&workflow.top),
        tools: tools::folder(&workflow),
        log: workflow.state.new_log("test")?,
    };
    let mut outcomes = Vec::new();
    for group in chosen {
        notice(&format!("=== {}", group.name));
        let start = Instant::now();
        let outcome = (group.run)(&bench);
        bench.runner.check_signal()?;
        if let Err(error) = &outcome {
            process::failure::shown(error).1.iter().for_each(|line| notice(line));
        }
        outcomes.push((group.name, outcome.is_ok(), start.elapsed()));
    }
    summary(world, &outcomes)
}

fn wanted(args: &cli::Test, group: &Group) -> bool {
    let named = |start: &String| match group.when {
        When::Engines => group.name == start,
        _ => group.name.starts_with(start.as_str()),
    };
    match group.when {
        _ if !args.only.is_empty() => args.only.iter().any(named),
        When::Always => !args.browser,
        When::All => args.all,
        When::Browser => args.browser,
        When::Engines => args.engines,
    }
}

fn summary(world: &World, outcomes: &[(&str, bool, Duration)]) -> anyhow::Result<()> {
    let mut text = String::new();
    for (name, good, time) in outcomes {
        let mark = if *good { "ok    " } else { "FAILED" };
        text += &format!("{mark}  {name:<12}{:>7.1} s\n", time.as_secs_f64());
    }
    let failed: Vec<&str> = outcomes.iter().filter(|o| !o.1).map(|o| o.0).collect();
    text += &format!("{} passed, {} failed\n", outcomes.len() - failed.len(), failed.len());
    let groups: Vec<_> = outcomes
        .iter()
        .map(|(name, good, time)| {
            serde_json::json!({ "group": name, "passed": good, "seconds": time.as_secs_f64() })
        })
        .collect();
    world.output.result(&text, &serde_json::json!({ "groups": groups }))?;
    if failed.is_empty() {
        return Ok(());
    }
    let help = failed.iter().map(|name| format!("cargo xtask test --only {name}")).collect();
    let message = format!("testing: failed: {}", failed.join(", "));
    Err(Failure { exit: Exit::Check, message, help }.into())
}

impl Bench<'_> {
    /// Runs one step; its output is shown, whatever `-q` says only in the log.
    fn step(&self, invocation: &Invocation) -> anyhow::Result<()> {
        self.step_with(&self.runner, invocation)
    }

    /// As [`Bench::step`], in another folder.
    fn step_with(&self, runner: &Runner, invocation: &Invocation) -> anyhow::Result<()> {
        self.step_recorded(runner, invocation, &mut |_| Ok(()))
    }

    /// As [`Bench::step_with`]; `started` is called with the process's id.
    fn step_recorded(
        &self,
        runner: &Runner,
        invocation: &Invocation,
        started: &mut dyn FnMut(u32) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let ended = runner.stream_recorded(invocation, &self.log, started)?;
        if ended.code == Some(0) {
            return Ok(());
        }
        let step = shortened(&invocation.to_string(), 80);
        Err(process::run::step_failed(Exit::Check, &step, &ended, &self.log).into())
    }

    fn cargo(&self, words: &[&str]) -> anyhow::Result<()> {
        let cargo = self.world.environment.variable("CARGO").unwrap_or("cargo");
        self.step(&Invocation::new(cargo, words.iter().copied()))
    }

    fn tool(&self, name: &str) -> String {
        self.tools.join("bin").join(name).display().to_string()
    }

    /// The tests that need an engine (`only` some of them), in a laboratory of its own that is
    /// taken down whatever happens.
    fn engine(
        &self,
        only: &[&str],
        build: impl Fn(&Self) -> anyhow::Result<Lab>,
    ) -> anyhow::Result<()> {
        let lab = build(self)?;
        let cargo = self.world.environment.variable("CARGO").unwrap_or("cargo");
        let words = [&TESTS[..], &["--test", "engine", "--"]].concat();
        let words = [&words[..], only, &["--test-threads=1"]].concat();
        let mut outcome = Ok(());
        for words in [words, [&TESTS[..], &["--quiet", "--test", "proofs"]].concat()] {
            let mut invocation = Invocation::new(cargo, words.iter().copied());
            invocation.env.clone_from(&lab.env);
            for (name, tool) in [("UV", "uv"), ("PODMAN_COMPOSE", "podman-compose")] {
                invocation.env.push((format!("XTASK_TEST_{name}"), self.tool(tool)));
            }
            outcome = outcome.and_then(|()| self.step(&invocation));
        }
        lab.end(&self.runner)?;
        outcome
    }
}

impl Bench<'_> {
    /// Pushing to a registry that fails. A Docker daemon of the tests has a network of its own: the
    /// registry is where its loopback address is.
    fn registry(
        &self,
        wanted: &[&str],
        build: impl Fn(&Self) -> anyhow::Result<Lab>,
    ) -> anyhow::Result<()> {
        let cargo = self.world.environment.variable("CARGO").unwrap_or("cargo");
        let words = [&TESTS[..], &["--test", "registry"]].concat();
        // Compiled first: inside there may be no way out.
        self.step(&Invocation::new(cargo, words.iter().copied().chain(["--no-run"])))?;
        let lab = build(self)?;
        let network = lab.env.iter().find(|(name, _)| name == "XTASK_TEST_NETWORK");
        let inside = network.map(|(_, network)| vec![format!("--net={network}"), "--".into()]);
        // The table of the cases is shown.
        let all = [&words[..], &["--"], wanted, &["--nocapture"]].concat();
        let mut invocation = match inside {
            None => Invocation::new(cargo, all),
            Some(inside) => {
                let words = all.into_iter().map(String::from);
                Invocation::new("nsenter", inside.into_iter().chain([cargo.into()]).chain(words))
            }
        };
        invocation.env.clone_from(&lab.env);
        let outcome = self.step(&invocation);
        lab.end(&self.runner)?;
        outcome
    }
}

/// The page in a real browser; `XTASK_TEST_SCREENSHOT` names a file for a picture of it.
fn browser(bench: &Bench<'_>) -> anyhow::Result<()> {
    let lab = Lab::podman(bench.workflow, &bench.runner)?;
    let cargo = bench.world.environment.variable("CARGO").unwrap_or("cargo");
    let words = [
        "test",
        "--locked",
        "--package",
        "senex-proof",
        "--features",
        "browser",
        "--test",
        "engine",
        "browser::",
    ];
    let mut invocation = Invocation::new(cargo, words);
    invocation.env.clone_from(&lab.env);
    let outcome = bench.step(&invocation);
    lab.end(&bench.runner)?;
    outcome
}

/// Refuses what only root can do.
fn needs_root(bench: &Bench<'_>, what: &str) -> anyhow::Result<()> {
    if machine::read(&bench.world.environment).uid == 0 {
        return Ok(());
    }
    Err(failure_help(Exit::Engine, format!("{what}: only root can"), "run this test as root"))
}

/// The same tests on a Docker whose client builds with buildx.
fn docker26(bench: &Bench<'_>) -> anyhow::Result<()> {
    let root = trixie::docker26(bench)?;
    let environment = trixie::docker_environment(&root, bench.world.environment.path());
    // What a version of Docker can change; the rest is the same code as on the machine's Docker.
    let more = ["smoke::the_image_passes", "squash::", "size::", "clean::", "compose::"];
    let only = [&suite::CORE[..], &more].concat();
    bench.engine(&only, |bench| Lab::docker(bench.workflow, &bench.runner, &environment))
}

/// The Dockerfiles hold to what every engine does alike.
fn lint(bench: &Bench<'_>) -> anyhow::Result<()> {
    let found = workflow::commands::lint(bench.workflow)?;
    if found.is_empty() {
        return Ok(());
    }
    let plural = if found.len() == 1 { "place" } else { "places" };
    let message = format!(
        "looking at the Dockerfiles: {} {plural} that not every engine builds alike",
        found.len()
    );
    let help = found.iter().map(|(file, finding)| format!("{file}: {finding}")).collect();
    Err(Failure { exit: Exit::Check, message, help }.into())
}

/// The lock is what `pyproject.toml` asks for.
fn lock(bench: &Bench<'_>) -> anyhow::Result<()> {
    bench.uv(&["lock", "--check", "--project", "app"])
}

fn payload(bench: &Bench<'_>) -> anyhow::Result<()> {
    bench.uv(&["run", "--frozen", "--directory", "app", "ruff", "check", "--no-cache", "."])?;
    bench.uv(&["run", "--frozen", "--directory", "app", "black", "--check", "--quiet", "."])?;
    let words =
        ["run", "--frozen", "--directory", "app", "pytest", "--quiet", "-p", "no:cacheprovider"];
    bench.uv(&words)
}

fn entrypoint(bench: &Bench<'_>) -> anyhow::Result<()> {
    let words =
        ["run", "--frozen", "--project", "app", "pytest", "--quiet", "-p", "no:cacheprovider"];
    bench.uv(&[&words[..], &["-p", "no:django", "-p", "no:asyncio", "docker/tests"]].concat())
}

impl Bench<'_> {
    /// uv with an environment of its own, so that nothing appears in `app/`.
    fn uv(&self, words: &[&str]) -> anyhow::Result<()> {
        let environment = self.workflow.state.folder.join("payload").display().to_string();
        // pytest keeps the folders of its last runs, and uv its locks: in this checkout, too.
        let temporary = self.workflow.state.folder.join("test-tmp");
        process::state::make_folder(&temporary)?;
        self.step(
            &Invocation::new(self.tool("uv"), words.iter().copied())
                .with_env("UV_PROJECT_ENVIRONMENT", environment)
                .with_env("UV_PYTHON_DOWNLOADS", "never")
                .with_env("PYTHONDONTWRITEBYTECODE", "1")
                .with_env("TMPDIR", temporary.display().to_string()),
        )
    }
}
