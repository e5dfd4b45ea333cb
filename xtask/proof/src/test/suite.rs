//! The real-engine tests as files that can be taken elsewhere: to another user's home, or into
//! another root file system.

use super::Bench;
use crate::program;
use anyhow::Context as _;
use process::invocation::Invocation;
use process::run::Runner;
use process::state::make_folder;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How cargo compiles the tests on real engines.
const TESTS: &[&str] = &[
    "test",
    "--locked",
    "--no-run",
    "--package",
    "senex-proof",
    "--features",
    "engine",
    "--test",
    "engine",
    "--test",
    "proofs",
    "--test",
    "registry",
];

/// How cargo compiles what sends our requests to registries: it stands next to our program.
pub(super) const HTTPS: &[&str] = &["build", "--locked", "--package", "senex-https"];

/// The tests that prove an engine in another setting, if the whole set would take too long: build,
/// labels and cache, what the context leaves out, a killed build, proxies, the site.
pub(super) const CORE: [&str; 8] = [
    "the_image_is_what_the_design_asks_for_on_every_engine",
    "a_commit_that_changes_no_file_of_the_image_costs_no_layer",
    "no_planted_secret_is_in_the_image_and_one_let_in_stops_the_build",
    "a_terminated_build_says_so_and_tidies_up",
    "what_a_killed_build_left_is_gone_after_the_next_command",
    "an_engine_that_is_killed_is_a_failed_build",
    "proxies_and_the_index_reach_a_step_and_neither_the_image_nor_the_cache",
    "a_saved_file_is_served_and_only_the_data_is_left",
];

/// Settings of the user who runs the tests: other users can't read them, other systems lack them.
pub(super) const SETTINGS: [&str; 9] = [
    "CONTAINERS_CONF",
    "CONTAINERS_STORAGE_CONF",
    "CONTAINERS_REGISTRIES_CONF",
    "CONTAINER_HOST",
    "CONTAINER_CONNECTION",
    "DBUS_SESSION_BUS_ADDRESS",
    "REGISTRY_AUTH_FILE",
    "XDG_DATA_HOME",
    "XTASK_ENGINE",
];

/// The folder with the copies.
pub(super) struct Suite {
    pub folder: PathBuf,
}

impl Suite {
    /// The tests that `wanted` names, in the copies.
    pub fn engine_tests(&self, bench: &Bench<'_>, wanted: &[&str]) -> anyhow::Result<Invocation> {
        bench.test_program("engine", wanted)?;
        let words = wanted.iter().chain(&["--test-threads=1"]).copied();
        Ok(self.with_places(Invocation::new(self.file("engine"), words)))
    }

    /// The proofs that the engine copies what `context` lists, and can what the table says.
    pub fn proofs(&self) -> Invocation {
        self.with_places(Invocation::new(self.file("proofs"), ["--quiet"]))
    }

    fn with_places(&self, invocation: Invocation) -> Invocation {
        invocation
            .with_env("XTASK_TEST_PROGRAM", self.file("xtask"))
            .with_env("XTASK_TEST_SOURCE", self.file("source"))
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }
}

/// Compiles the tests on engines; their programs, by name.
pub(super) fn compiled(bench: &Bench<'_>) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    bench.cargo(HTTPS)?;
    bench.cargo(TESTS)?;
    // Compiled just now: this only tells where.
    let ask = TESTS.iter().chain(&["--message-format=json"]).copied();
    let ask = Invocation::new(bench.cargo_program(), ask);
    let answer = bench.runner.ask(&ask, Duration::from_secs(300))?;
    Ok(executables(&answer.stdout))
}

/// Copies the tests, our program and the files of the checkout into `folder`.
pub(super) fn copied(bench: &Bench<'_>, folder: &Path) -> anyhow::Result<Suite> {
    let programs = bench.programs()?;
    make_folder(folder)?;
    let copy = |from: &Path, name: &str| {
        fs::copy(from, folder.join(name)).with_context(|| format!("copying {}", from.display()))
    };
    for name in ["engine", "proofs"] {
        copy(programs.get(name).with_context(|| format!("no test program {name}"))?, name)?;
    }
    let program = program(bench.world)?;
    copy(&program, "xtask")?;
    copy(&program.with_file_name("senex-https"), "senex-https")?;
    copy_checkout(&bench.workflow.top, &bench.runner, &folder.join("source"))?;
    Ok(Suite { folder: folder.to_path_buf() })
}

/// The test programs that `cargo test --message-format=json` names, by their target's name.
fn executables(json: &str) -> BTreeMap<String, PathBuf> {
    let lines = json.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let tests = lines.filter(|line| line["profile"]["test"] == true);
    let program = |line: Value| {
        let name = line["target"]["name"].as_str()?.to_owned();
        Some((name, line["executable"].as_str()?.into()))
    };
    tests.filter_map(program).collect()
}

/// The first filter among libtest's `words`, `--skip` included, that fits no test of `listed`
/// (`--list --format=terse`): a test that was renamed would no longer run, or no longer be left
/// out.
pub(super) fn without_a_test<'a>(listed: &str, words: &[&'a str]) -> Option<&'a str> {
    let filters = words.iter().filter(|word| !word.starts_with("--"));
    let names = || listed.lines().filter_map(|line| line.strip_suffix(": test"));
    filters.copied().find(|filter| !names().any(|name| name.contains(filter)))
}

/// Copies what stand-ins were made of, if there are any, into a user's cache.
pub(super) fn copy_standins(bench: &Bench<'_>, to: &Path) -> anyhow::Result<()> {
    let standins = bench.workflow.state.folder.join("test-cache/senex-xtask/standins");
    if !standins.is_dir() {
        return Ok(());
    }
    let words = ["--recursive".into(), standins.display().to_string(), to.display().to_string()];
    bench.step(&Invocation::new("cp", words))
}

/// The files of the checkout as they are now, committed or not, in a separate repository.
pub(super) fn copy_checkout(top: &Path, runner: &Runner, to: &Path) -> anyhow::Result<()> {
    let limit = Duration::from_secs(60);
    let words = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let inside = Runner { folder: top.to_path_buf(), ..runner.clone() };
    let listed = inside.ask(&Invocation::new("git", words), limit)?;
    anyhow::ensure!(listed.good(), "listing the files of the checkout: {}", listed.last_line());
    for name in listed.stdout.split_terminator('\0') {
        let (from, to) = (top.join(name), to.join(name));
        if from.is_file() {
            make_folder(to.parent().unwrap_or(&to))?;
            fs::copy(&from, &to).with_context(|| format!("copying {}", from.display()))?;
        }
    }
    let words = ["init", "--quiet", "--initial-branch=main"].map(String::from);
    let words = words.into_iter().chain([to.display().to_string()]);
    let made = inside.ask(&Invocation::new("git", words), limit)?;
    anyhow::ensure!(made.good(), "making a repository: {}", made.last_line());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_fits_no_test_is_found() {
        let listed = "smoke::it_passes: test\nadopt::stock: test\n";
        let check = |words: &[&str], expected| {
            assert_eq!(without_a_test(listed, words), expected, "{words:?}");
        };
        check(&[], None);
        check(&["--test-threads=1", "--nocapture"], None);
        check(&["smoke::", "--skip", "stock"], None);
        check(&["smoke::", "size::"], Some("size::"));
        check(&["--skip", "broken::"], Some("broken::"));
        check(&["it_passes: test"], Some("it_passes: test"));
    }

    #[test]
    fn cargo_s_programs_are_told_apart() {
        let json = r#"{"reason":"compiler-artifact","target":{"name":"anyhow"},"profile":{"test":false},"executable":null}
{"reason":"compiler-artifact","target":{"name":"proof"},"profile":{"test":false},"executable":"/t/proof"}
{"reason":"compiler-artifact","target":{"name":"engine"},"profile":{"test":true},"executable":"/t/engine-2"}
{"reason":"build-finished","success":true}"#;
        let expected = BTreeMap::from([("engine".to_owned(), "/t/engine-2".into())]);
        assert_eq!(executables(json), expected);
    }
}
