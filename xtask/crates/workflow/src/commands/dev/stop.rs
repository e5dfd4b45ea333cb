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
        let ended = run::all(&ids, |id| {
            let limit = QUESTION + Duration::from_secs(GRACE);
            self.runner.ask(&containers::stop(self.engine, id, GRACE), limit)
        });
        // A container that doesn't stop is removed anyway; only a signal ends us here.
        ended.into_iter().try_for_each(|one| one.map(|_| ()))?;
        for id in &ids {
            let remove = containers::remove(self.engine, id);
            patiently(self.runner, || self.must("removing a container", &remove))?;
        }
        remove_half_made(self.engine, self.runner, &self.name(""))?;
        for id in self.ours(Thing::Network)? {
            let remove = containers::network_remove(self.engine, &id);
            patiently(self.runner, || self.must("removing the network", &remove))?;
        }
        let kept = self.ours(Thing::Volume)?;
        if volumes {
            for name in &kept {
                self.must("removing the database", &containers::volume_remove(self.engine, name))?;
            }
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

    fn ours(&self, thing: Thing) -> anyhow::Result<Vec<String>> {
        let label = format!("{}={}", dev::CHECKOUT, dev::checkout(self.top()));
        let asked = containers::labelled(self.engine, thing, &label);
        let answer = self.must("looking for what is there", &asked)?;
        let ids = answer.stdout.lines().map(str::trim).filter(|id| !id.is_empty());
        Ok(ids.map(str::to_owned).collect())
    }
}
