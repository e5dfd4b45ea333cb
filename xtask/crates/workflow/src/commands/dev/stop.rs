//! Stops what runs; everything of a checkout is known by its label.

use super::Site;
use engine::containers::{self, Thing};
use engine::leftovers::{patiently, remove_half_made};
use image::plan::dev;
use process::run::{self, QUESTION};
use std::time::Duration;

/// Seconds that a container gets to end.
const GRACE: u64 = 10;

/// What was stopped, in a line and for programs.
pub(super) struct Stopped {
    pub text: String,
    pub json: serde_json::Value,
}

impl Site<'_> {
    /// Stops and removes everything of this checkout; the database only with `volumes`.
    ///
    /// # Errors
    /// When the engine can't be asked, or something can't be removed.
    pub(super) fn stop(&self, volumes: bool) -> anyhow::Result<Stopped> {
        let ids = self.ours(Thing::Container)?;
        let ended = run::join_all(&ids, |id| {
            let limit = QUESTION + Duration::from_secs(GRACE);
            self.runner.ask(&containers::stop(self.engine, id, GRACE), limit)
        });
        // A container that doesn't stop is removed anyway; only a signal ends us here.
        ended.into_iter().try_for_each(|one| one.map(|_| ()))?;
        self.remove("removing the containers", Thing::Container)?;
        remove_half_made(self.engine, self.runner, &self.name(""))?;
        self.remove("removing the network", Thing::Network)?;
        let kept = self.ours(Thing::Volume)?;
        if volumes {
            self.remove("removing the database", Thing::Volume)?;
        }
        let what = if ids.is_empty() { "nothing was running" } else { "stopped" };
        let text = match kept.first() {
            Some(_) if volumes => format!("{what}; the database is removed"),
            Some(name) => format!("{what}; the database is kept in the volume {name}"),
            None => what.to_owned(),
        };
        let database = kept.first().filter(|_| !volumes);
        let json = serde_json::json!({ "stopped": ids.len(), "database": database });
        Ok(Stopped { text, json })
    }

    /// Removes all things of a kind, patiently.
    fn remove(&self, what: &str, thing: Thing) -> anyhow::Result<()> {
        patiently(self.runner, || {
            let ids = self.ours(thing)?;
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            if !ids.is_empty() {
                self.must(what, &containers::remove_all(self.engine, thing, &ids))?;
            }
            Ok(())
        })
    }

    fn ours(&self, thing: Thing) -> anyhow::Result<Vec<String>> {
        let label = format!("{}={}", dev::CHECKOUT, dev::checkout(self.top()));
        let asked = containers::labelled(self.engine, thing, &label);
        let answer = self.must("looking for what is there", &asked)?;
        let ids = answer.stdout.lines().map(str::trim).filter(|id| !id.is_empty());
        Ok(ids.map(str::to_owned).collect())
    }
}
