//! `dev logs`, and how lines of several roles are told apart.

use super::{Here, things};
use crate::engine::containers;
use crate::failure::{Exit, failure_help};
use crate::run::Event;
use anyhow::Context as _;
use std::io::{IsTerminal as _, Write as _};

/// Enough for everything that a role has printed.
const ALL: usize = 1_000_000;
/// Of the terminal (ECMA-48, SGR): what is easily told apart on light and dark ground.
const COLOURS: [u8; 6] = [36, 33, 32, 35, 34, 31];

/// The words before the lines.
pub struct Prefixes(Vec<String>);

impl Prefixes {
    pub fn new(here: &Here<'_>, names: &[String]) -> Prefixes {
        let colour = std::io::stdout().is_terminal() && here.world.variable("NO_COLOR").is_none();
        Prefixes(prefixes(names, colour))
    }

    pub fn print(&self, number: usize, line: &str) -> anyhow::Result<()> {
        let prefix = self.0.get(number).map(String::as_str).unwrap_or_default();
        writeln!(std::io::stdout().lock(), "{prefix}{line}").context("writing a log")
    }
}

fn prefixes(names: &[String], colour: bool) -> Vec<String> {
    let width = names.iter().map(String::len).max().unwrap_or_default();
    let prefix = |(number, name): (usize, &String)| {
        let text = format!("{name:<width$} | ");
        let code = COLOURS[number % COLOURS.len()];
        if colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text }
    };
    names.iter().enumerate().map(prefix).collect()
}

/// The command.
pub fn run(here: &Here<'_>, roles: &[String], follow: bool) -> anyhow::Result<()> {
    let mut names: Vec<String> =
        things::containers(here, here.runner)?.into_iter().map(|found| found.what).collect();
    names.sort();
    if let Some(wrong) = roles.iter().find(|role| !names.contains(role)) {
        let message = format!("showing the logs of {wrong}: there is no such container");
        let help = match names.as_slice() {
            [] => "`cargo xtask dev` starts the site".to_owned(),
            names => format!("there is {}", names.join(", ")),
        };
        return Err(failure_help(Exit::Usage, message, help));
    }
    names.retain(|name| roles.is_empty() || roles.contains(name));
    let full = |what: &String| crate::plan::dev::name(&here.checkout, what);
    let log = |what: &String| match follow {
        true => containers::follow(here.engine, &full(what), ALL),
        false => containers::logs(here.engine, &full(what)),
    };
    let logs: Vec<_> = names.iter().map(log).collect();
    if here.world.common.dry_run {
        let text: String = logs.iter().map(|log| format!("{log}\n")).collect();
        let commands: Vec<&str> = text.lines().collect();
        return here.world.result(&text, &serde_json::json!({ "commands": commands }));
    }
    let prefixes = Prefixes::new(here, &names);
    let following = here.runner.follow(&logs)?;
    let mut left = names.len();
    while left > 0 {
        here.runner.check_signal()?;
        match following.events.recv_timeout(std::time::Duration::from_millis(200)) {
            Ok(Event::Line(number, text)) => prefixes.print(number, &text)?,
            Ok(Event::End(_)) => left -= 1,
            Err(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_have_one_width_and_colour_only_on_a_terminal() {
        let names = ["web", "worker"].map(str::to_owned);
        assert_eq!(prefixes(&names, false), ["web    | ", "worker | "]);
        let expected = ["\u{1b}[36mweb    | \u{1b}[0m", "\u{1b}[33mworker | \u{1b}[0m"];
        assert_eq!(prefixes(&names, true), expected);
        assert_eq!(prefixes(&[], true), [""; 0]);
    }
}
