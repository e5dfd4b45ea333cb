//! `dev status`: what runs for this checkout, and where the site is.

use super::{Here, things};
use crate::engine::containers::{self, Thing};
use crate::run::{self, QUESTION};

/// The command.
pub fn run(here: &Here<'_>) -> anyhow::Result<()> {
    let mut found = things::containers(here, here.runner)?;
    found.retain(|found| found.what != "migrate" || found.runs() || found.code != 0);
    found.sort_by(|a, b| a.what.cmp(&b.what));
    let health = run::all(&found, |found| {
        if ["postgres", "redis"].contains(&found.what.as_str()) || !found.runs() {
            return None;
        }
        let check = ["/usr/local/lib/container/healthcheck"];
        let ask = containers::exec(here.engine, &found.name, &check);
        here.runner.ask(&ask, QUESTION).ok().map(|answer| answer.good())
    });
    let data = !things::ids(here, here.runner, Thing::Volume)?.is_empty();
    let port = here.memory().port;
    let url = format!("http://localhost:{port}/");
    let site = found.iter().any(|found| found.what == "web" && found.runs());
    let mut text = String::new();
    let mut rows = Vec::new();
    for (found, healthy) in found.iter().zip(&health) {
        let word = match (found.runs(), healthy) {
            (false, _) => format!("{} with exit status {}", found.state, found.code),
            (true, Some(false)) => "running, not healthy".to_owned(),
            (true, Some(true)) => "healthy".to_owned(),
            (true, None) => "running".to_owned(),
        };
        text += &format!("{:<12}{word}\n", found.what);
        rows.push(serde_json::json!({
            "role": found.what, "container": found.name, "state": found.state,
            "exit_status": found.code, "healthy": healthy,
        }));
    }
    if found.is_empty() {
        text += "nothing runs\n";
    }
    text += if data { "data        kept\n" } else { "data        none\n" };
    if site {
        text += &format!("site        {url}\n");
    }
    let url = site.then_some(url);
    here.world.result(&text, &serde_json::json!({ "roles": rows, "data": data, "url": url }))
}
