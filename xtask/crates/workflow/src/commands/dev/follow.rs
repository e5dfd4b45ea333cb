//! What the roles print, in one stream.

use super::Site;
use engine::containers;
use image::plan::dev;
use process::failure::{Exit, failure_help, shown};
use process::notice::{harmless, notice};
use process::run::{QUESTION, Runner, tail};
use process::state;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Colours of the prefixes (ECMA-48): cyan, yellow, green, magenta, blue, red.
const COLOURS: [u8; 5] = [35, 34, 36, 33, 32];
/// How long to wait for another `dev` that starts, and may build an image, before stopping all.
const STOPPING: Duration = Duration::from_secs(10);
/// After so long a health page that doesn't answer 200 is told of.
const SETTLED: Duration = Duration::from_secs(10);
/// Lines of a role that are told again when it has ended.
const LAST: usize = 8;

impl Site<'_> {
    /// Without `--detach`: starts, follows, and stops at a signal.
    pub(super) fn foreground(&self) -> anyhow::Result<()> {
        let holder = format!("process {}", std::process::id());
        let folder = &self.workflow.state.folder;
        let what = "of the `dev` that runs";
        let take = || state::lock(folder, "dev", what, &holder, Duration::ZERO).ok();
        let mut first = take();
        let outcome = self.start().and_then(|port| {
            // One that was stopping is over now.
            first = first.take().or_else(take);
            self.follow_on(port)
        });
        if self.runner.check_signal().is_err() {
            if first.is_none() {
                notice("left: another `cargo xtask dev` of this checkout goes on");
            } else {
                let calm = Runner { signal: Arc::default(), ..self.runner.clone() };
                notice("stopping");
                // Who starts now waits until all of it is gone, and is the first then.
                let lock = self.workflow.state.lock(STOPPING).ok();
                notice(&Site { runner: &calm, ..*self }.stop(false)?.text);
                drop(first);
                drop(lock);
            }
        }
        outcome
    }

    /// Follows the logs, and starts what another image needs once what it is made from was saved.
    fn follow_on(&self, mut port: u16) -> anyhow::Result<()> {
        let mut history = true;
        loop {
            let inputs = self.inputs()?;
            if !self.follow(port, &inputs, history)? {
                return Ok(());
            }
            history = false;
            match self.start() {
                Ok(new) => port = new,
                Err(error) => {
                    self.runner.check_signal()?;
                    shown(&error).1.iter().for_each(|line| notice(line));
                    notice("what ran goes on, until the next save");
                }
            }
        }
    }

    /// Follows the logs until all roles have ended, or what the image is made from isn't `inputs`
    /// any more: then it gives true.
    fn follow(&self, port: u16, inputs: &str, history: bool) -> anyhow::Result<bool> {
        let (done, other) = (AtomicBool::new(false), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (start, mut told) = (Instant::now(), false);
                while !done.load(Ordering::Relaxed) {
                    let Err(status) = self.answers(port) else {
                        // A closed stdout ends nothing.
                        let _ = self.print_url(port);
                        return;
                    };
                    if let Some(status) = status.filter(|_| !told && start.elapsed() > SETTLED) {
                        told = true;
                        notice(&self.unhealthy(status));
                    }
                    std::thread::sleep(Duration::from_millis(200));
                }
            });
            scope.spawn(|| {
                let mut last = inputs.to_owned();
                while !done.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(500));
                    // A file that is away for a moment is no other one.
                    let Ok(now) = self.inputs() else { continue };
                    if now != inputs && now == last {
                        other.store(true, Ordering::Relaxed);
                        return;
                    }
                    last = now;
                }
            });
            let outcome = self.stream(history, &other);
            done.store(true, Ordering::Relaxed);
            outcome.map(|()| other.load(Ordering::Relaxed))
        })
    }

    /// Prints what all print until they have ended, or `enough` is set.
    fn stream(&self, history: bool, enough: &AtomicBool) -> anyhow::Result<()> {
        let started = dev::roles(&self.workflow.config);
        let runs = |role: &&str| dev::SERVICES.contains(role) || started.contains(role);
        let roles: Vec<&str> = dev::SERVICES.into_iter().chain(dev::ROLES).filter(runs).collect();
        // The second time, the services are those of the first time.
        let lines = |role: &str| if history || dev::ROLES.contains(&role) { "50" } else { "0" };
        let all: Vec<_> = roles
            .iter()
            .map(|role| containers::follow(self.engine, &self.name(role), lines(role)))
            .collect();
        let prefix = self.prefixes();
        let mut last = vec![Vec::new(); roles.len()];
        self.runner.follow(&all, enough, &mut |index, line| {
            let role = roles[index];
            match line {
                Some(line) => {
                    last[index].push(line.to_owned());
                    let more = last[index].len().saturating_sub(LAST);
                    last[index].drain(..more);
                    print(&prefix(role), line);
                }
                None => self.ended(role, &last[index])?,
            }
            Ok(())
        })
    }

    /// Says how a role has ended.
    fn ended(&self, role: &str, last: &[String]) -> anyhow::Result<()> {
        let answer =
            self.runner.ask(&containers::state(self.engine, &self.name(role)), QUESTION)?;
        let state = answer.stdout.trim();
        match state.split_once(' ') {
            _ if !answer.good() => notice(&format!("{role} was removed")),
            Some(("running", _)) => {}
            Some((_, code)) => {
                notice(&format!("{role} has ended with exit status {code}; its last lines:"));
                tail(last, LAST).iter().for_each(|line| notice(&format!("  {line}")));
                notice("`cargo xtask dev` in another terminal starts it again");
            }
            None => notice(&format!("{role} has ended")),
        }
        Ok(())
    }

    pub(super) fn print_logs(&self, asked: &[String]) -> anyhow::Result<()> {
        let all: Vec<&str> = dev::SERVICES.into_iter().chain(dev::ROLES).collect();
        if let Some(wrong) = asked.iter().find(|role| !all.contains(&role.as_str())) {
            return Err(failure_help(
                Exit::Usage,
                format!("choosing roles: there is no `{wrong}`"),
                format!("the roles are {}", all.join(", ")),
            ));
        }
        let prefix = self.prefixes();
        for role in
            all.iter().filter(|role| asked.is_empty() || asked.iter().any(|one| one == *role))
        {
            let answer =
                self.runner.ask(&containers::logs(self.engine, &self.name(role)), QUESTION)?;
            if !answer.good() {
                notice(&format!("{role} is not there"));
                continue;
            }
            let lines = answer.stdout.lines().chain(answer.stderr.lines());
            lines.for_each(|line| print(&prefix(role), line));
        }
        Ok(())
    }

    /// What stands before each line of a role; coloured on a terminal (no-color.org).
    fn prefixes(&self) -> impl Fn(&str) -> String + use<> {
        let colour = std::io::stdout().is_terminal()
            && self.world.environment.variable("NO_COLOR").is_none();
        move |role| prefixed(role, colour)
    }
}

fn prefixed(role: &str, colour: bool) -> String {
    let name = format!("{role:<8} | ");
    let all = dev::SERVICES.iter().chain(&dev::ROLES);
    match all.zip(COLOURS).find(|(other, _)| **other == role).filter(|_| colour) {
        Some((_, number)) => format!("\x1b[{number}m{name}\x1b[0m"),
        None => name,
    }
}

/// A reader that went away is no reason to stop the site.
fn print(prefix: &str, line: &str) {
    let mut out = std::io::stdout().lock();
    // A terminal shows a site's own colours.
    let shown = if out.is_terminal() { line.to_owned() } else { harmless(line) };
    let _ = writeln!(out, "{prefix}{shown}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_a_colour_only_where_it_is_wanted() {
        assert_eq!(prefixed("web", false), "web      | ");
        assert_eq!(prefixed("web", true), "\x1b[36mweb      | \x1b[0m");
        assert_eq!(prefixed("worker", false).len(), prefixed("postgres", false).len());
    }
}
