//! Starts the site, shows what all roles print, and says when it is healthy and when one dies.

use super::logs::Prefixes;
use super::things;
use super::{Here, image, start, stop};
use crate::engine::containers;
use crate::failure::{Exit, Failure, failure_help};
use crate::leftovers::{self, Running};
use crate::plan::dev::{Dev, what};
use crate::run::{Event, Following, say};
use crate::smoke::http;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How often is looked for health and for changed files.
const TICK: Duration = Duration::from_millis(300);
/// How many lines of a role are kept for the moment of its death.
const LINES: usize = 12;
/// Who follows the logs, and so stops the site when it ends.
const OWNER: &str = "dev-owner.json";

/// Everything, until Ctrl-C; with `detach` until the site is healthy.
pub fn run(here: &Here<'_>, plan: &Dev, detach: bool) -> anyhow::Result<()> {
    let outcome = start_all(here, plan).and_then(|()| {
        // Another `dev` may have started everything anew.
        while follow(here, plan, detach)? == Next::Again {}
        Ok(())
    });
    if detach || here.runner.check_signal().is_ok() {
        // What was started goes on, to be looked at.
        return outcome;
    }
    if !is_owner(here) {
        say("the site goes on: `cargo xtask dev stop` stops it");
        return outcome;
    }
    stop::all(here, &here.calm(), false)?;
    say("stopped; the data stays: `cargo xtask dev stop --volumes` removes it");
    outcome
}

fn start_all(here: &Here<'_>, plan: &Dev) -> anyhow::Result<()> {
    let _lock = start::lock(here)?;
    // Before anything is started: a signal may come in the middle of it.
    let owner = here.workflow.state.remembered::<Running>(OWNER);
    if owner.is_none_or(|owner| leftovers::running(owner.id) != owner) {
        here.workflow.state.remember(OWNER, &leftovers::running(std::process::id()))?;
    }
    say("starting PostgreSQL and Redis");
    let (hosts, _) = start::services(here, plan)?;
    let names: Vec<&str> = plan.roles.iter().map(|role| what(&plan.checkout, &role.name)).collect();
    let names = names.join(", ");
    if start::roles(here, plan, &hosts)? {
        say(&format!("started {names}; the site is there once the migrations are applied"));
    } else {
        say(&format!("{names}: running already"));
    }
    Ok(())
}

fn is_owner(here: &Here<'_>) -> bool {
    here.workflow.state.remembered(OWNER) == Some(leftovers::running(std::process::id()))
}

/// What comes when a log has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// More of the logs.
    Same,
    /// The logs of what runs now.
    Again,
    /// Nothing.
    Done,
}

/// What is known of the roles while their logs are read.
struct Watch<'a> {
    here: &'a Here<'a>,
    plan: &'a Dev,
    /// The containers whose logs are read, by what they are.
    names: Vec<String>,
    last: BTreeMap<usize, Vec<String>>,
    ended: Vec<usize>,
    healthy: bool,
}

fn follow(here: &Here<'_>, plan: &Dev, detach: bool) -> anyhow::Result<Next> {
    let found = things::containers(here, here.runner)?;
    let shown = |found: &&things::Found| found.runs() || found.what == "migrate";
    let mut names: Vec<String> = found.iter().filter(shown).map(|one| one.what.clone()).collect();
    names.sort();
    let full = |what: &String| crate::plan::dev::name(&plan.checkout, what);
    let logs: Vec<_> =
        names.iter().map(|what| containers::follow(here.engine, &full(what), LINES)).collect();
    let prefixes = Prefixes::new(here, &names);
    let following = here.runner.follow(&logs)?;
    let (last, ended) = (BTreeMap::new(), Vec::new());
    let mut watch = Watch { here, plan, names, last, ended, healthy: false };
    let start = Instant::now();
    let inputs = image::inputs(here)?;
    let mut said = Vec::new();
    let mut looked = Instant::now();
    loop {
        here.runner.check_signal()?;
        let next = watch.event(&following, &prefixes, detach)?;
        if next != Next::Same {
            return Ok(next);
        }
        if looked.elapsed() < TICK {
            continue;
        }
        looked = Instant::now();
        if !watch.healthy && watch.is_healthy()? {
            watch.healthy = true;
            say(&format!("healthy after {:.1} s", here.world.start.elapsed().as_secs_f64()));
            say(&format!("the site is at {}", plan.url));
        }
        if detach && watch.healthy {
            let json = serde_json::json!({ "url": plan.url, "network": plan.network });
            here.world.result(&format!("{}\n", plan.url), &json)?;
            return Ok(Next::Done);
        }
        if detach {
            watch.give_up(start.elapsed())?;
        }
        let now = image::inputs(here)?;
        let changed = image::changed(&inputs, &now);
        if !changed.is_empty() && changed != said {
            said = changed.iter().map(ToString::to_string).collect();
            say(&format!(
                "{} changed: the development image is built anew at the next `dev`",
                said.join(", ")
            ));
        }
    }
}

impl Watch<'_> {
    /// Handles what one of the logs does next, waiting a moment for it.
    fn event(
        &mut self,
        following: &Following,
        prefixes: &Prefixes,
        detach: bool,
    ) -> anyhow::Result<Next> {
        match following.events.recv_timeout(TICK) {
            Ok(Event::Line(number, text)) => {
                if !detach {
                    prefixes.print(number, &text)?;
                }
                let last = self.last.entry(number).or_default();
                last.push(text);
                if last.len() > LINES {
                    last.remove(0);
                }
            }
            Ok(Event::End(number)) => {
                self.ended.push(number);
                self.end(number)?;
            }
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => {
                std::thread::sleep(TICK);
            }
        }
        if self.ended.len() < self.names.len() {
            return Ok(Next::Same);
        }
        // Whoever stops or starts things is at it still.
        drop(start::lock(self.here)?);
        if things::containers(self.here, self.here.runner)?.iter().any(things::Found::runs) {
            return Ok(Next::Again);
        }
        say("nothing runs any more");
        Ok(Next::Done)
    }

    /// Says how a container ended, unless that is as it should be.
    fn end(&self, number: usize) -> anyhow::Result<()> {
        self.here.runner.check_signal()?;
        let name = &self.names[number];
        let all = things::containers(self.here, self.here.runner)?;
        let Some(found) = all.iter().find(|found| found.what == *name) else {
            // Another `dev` has removed it.
            return Ok(());
        };
        if found.runs() || (name == "migrate" && found.code == 0) {
            return Ok(());
        }
        if self.here.workflow.state.lock_of(start::LOCK, Duration::ZERO).is_err() {
            // Another `dev` stops it, or starts it anew.
            return Ok(());
        }
        say(&format!("{name} ended with exit status {}; its last lines:", found.code));
        for line in self.last.get(&number).into_iter().flatten() {
            say(&format!("  {line}"));
        }
        if name != "migrate" {
            say("`cargo xtask dev` starts it again");
        }
        Ok(())
    }

    /// Web first: asking it costs nothing.
    fn is_healthy(&self) -> anyhow::Result<bool> {
        for role in &self.plan.roles {
            let good = match role.host_port {
                Some(port) => {
                    let address = format!("127.0.0.1:{port}");
                    let set = role.env.iter().find(|(name, _)| name == "HEALTHCHECK_PATH");
                    let path = set.map_or("/health/", |(_, path)| path.as_str());
                    let answer = http::get(&address, path, "", Duration::from_secs(2));
                    answer.is_ok_and(|answer| answer.status == 200)
                }
                None => {
                    let check = ["/usr/local/lib/container/healthcheck"];
                    let ask = containers::exec(self.here.engine, &role.name, &check);
                    self.here.runner.ask(&ask, crate::run::QUESTION)?.good()
                }
            };
            if !good {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Ends the wait of `--detach` where nothing more is to come.
    fn give_up(&self, waited: Duration) -> anyhow::Result<()> {
        let limit = self.here.workflow.config.smoke.start;
        let died = self.ended.iter().find(|number| self.names[**number] != "migrate");
        let broken = self.last.iter().find(|(_, lines)| {
            lines.last().is_some_and(|line| line.contains("it starts again at the next save"))
        });
        let Some(number) = died.or(broken.map(|(number, _)| number)) else {
            if waited < limit {
                return Ok(());
            }
            let message =
                format!("starting the site: it isn't healthy after {} s", limit.as_secs());
            return Err(failure_help(Exit::Check, message, "cargo xtask dev logs"));
        };
        let lines = self.last.get(number).cloned().unwrap_or_default();
        let message = format!("starting the site: {} doesn't start", self.names[*number]);
        let mut help: Vec<String> = lines.iter().map(|line| format!("  {line}")).collect();
        help.push("it goes on at the next save; `cargo xtask dev stop` stops it".to_owned());
        Err(Failure { exit: Exit::Check, message, help }.into())
    }
}
