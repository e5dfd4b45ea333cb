//! What the engine has of a checkout's containers, networks and volumes.

use super::Here;
use crate::engine::containers::{self, Container, Thing};
use crate::invocation::Invocation;
use crate::plan::dev::{CHECKOUT, STARTED, short_hash, what};
use crate::run::{Answer, QUESTION, Runner};

/// A container of the checkout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// `web`, `postgres`, …
    pub what: String,
    /// Its whole name.
    pub name: String,
    /// In the engine's word: `running`, `exited`.
    pub state: String,
    /// How it ended.
    pub code: i64,
    /// The hash of how it was started.
    pub started: String,
}

impl Found {
    pub fn runs(&self) -> bool {
        self.state == "running"
    }
}

/// Asks the engine, where anything but exit status 0 is an error.
pub fn must(runner: &Runner, invocation: &Invocation) -> anyhow::Result<Answer> {
    let answer = runner.ask(invocation, QUESTION * 2)?;
    anyhow::ensure!(answer.good(), "running `{invocation}`: {}", answer.last_line());
    Ok(answer)
}

/// All containers of the checkout.
pub fn containers(here: &Here<'_>, runner: &Runner) -> anyhow::Result<Vec<Found>> {
    let label = format!("{CHECKOUT}={}", here.checkout);
    let [list, mut ask] = containers::labelled_states(here.engine, &label, STARTED);
    let ids = must(runner, &list)?.stdout;
    ask.words.extend(ids.lines().map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned));
    if ids.trim().is_empty() {
        return Ok(Vec::new());
    }
    // One that has gone since is no error: the others are told all the same.
    let text = runner.ask(&ask, QUESTION)?.stdout;
    Ok(text.lines().filter_map(|line| found(&here.checkout, line)).collect())
}

fn found(checkout: &str, line: &str) -> Option<Found> {
    let mut parts = line.split('\t');
    let name = parts.next()?.trim_start_matches('/').to_owned();
    let (state, code) = (parts.next()?.to_owned(), parts.next()?.trim().parse().ok()?);
    let started = parts.next().unwrap_or_default().trim().to_owned();
    Some(Found { what: what(checkout, &name).to_owned(), name, state, code, started })
}

/// The ids of the checkout's networks or volumes.
pub fn ids(here: &Here<'_>, runner: &Runner, thing: Thing) -> anyhow::Result<Vec<String>> {
    let label = format!("{CHECKOUT}={}", here.checkout);
    let text = must(runner, &containers::labelled(here.engine, thing, &label))?.stdout;
    Ok(text.lines().map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned).collect())
}

/// `container` with a label that says how it was started.
pub fn marked(here: &Here<'_>, container: &Container) -> Container {
    let hash = short_hash(&containers::run(here.engine, container, true).to_string());
    let mut marked = container.clone();
    marked.labels.push((STARTED.to_owned(), hash));
    marked
}

/// Whether `container` runs, started as it would be now.
pub fn runs_as(here: &Here<'_>, all: &[Found], container: &Container) -> bool {
    let hash = marked(here, container).labels.pop().map(|(_, hash)| hash).unwrap_or_default();
    let same = |found: &Found| found.name == container.name && found.started == hash;
    all.iter().any(|found| found.runs() && same(found))
}

/// Starts `container`, unless it runs as it would be started; gives whether it was.
pub fn ensure(here: &Here<'_>, all: &[Found], container: &Container) -> anyhow::Result<bool> {
    if runs_as(here, all, container) {
        return Ok(false);
    }
    if let Some(found) = all.iter().find(|found| found.name == container.name) {
        super::stop::remove(here, here.runner, std::slice::from_ref(found))?;
    }
    must(here.runner, &containers::run(here.engine, &marked(here, container), true))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_read_from_a_line_of_either_engine() {
        let check = |line: &str, expected: Option<(&str, &str, i64, &str)>| {
            let found = found("12ab", line);
            let found = found.as_ref().map(|found| {
                (found.what.as_str(), found.state.as_str(), found.code, found.started.as_str())
            });
            assert_eq!(found, expected, "{line}");
        };
        check("/xtask-dev-12ab-web\trunning\t0\tff", Some(("web", "running", 0, "ff")));
        check("xtask-dev-12ab-beat\texited\t137\t", Some(("beat", "exited", 137, "")));
        check("", None);
    }
}
