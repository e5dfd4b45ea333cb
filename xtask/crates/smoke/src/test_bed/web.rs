//! Asks web, from another container in the same network.

use super::TestBed;
use crate::http::{self, BEHIND_TLS};
use crate::prober::{Prober, Question, Reply};
use crate::verdict::Evidence;
use engine::containers::{self, Container};
use std::sync::{MutexGuard, PoisonError};

impl TestBed<'_> {
    /// Sends a web container a request, from another container in the network. `message`: as
    /// [`Question::message`]; `begun` is called when the request is under way.
    pub fn probe(
        &self,
        name: &str,
        request: &str,
        message: bool,
        begun: impl FnOnce(),
    ) -> anyhow::Result<Reply> {
        let addresses = self.must(&containers::addresses(self.engine, name))?;
        let host = addresses.stdout.lines().next().unwrap_or_default().trim();
        let limit = self.subject.smoke.start.as_secs_f64();
        let question = Question { host, port: self.subject.port(), request, message, limit };
        // One that is at a slow request isn't waited for.
        let free = self.idle_probers().pop();
        let mut prober = match free {
            Some(prober) => prober,
            None => {
                let container = Container { env: Vec::new(), ..self.container("prober", &[]) };
                Prober::start(self.engine, container, self.runner)?
            }
        };
        let found = prober.ask(&question, begun, self.runner)?;
        self.idle_probers().push(prober);
        Ok(found)
    }

    fn idle_probers(&self) -> MutexGuard<'_, Vec<Prober>> {
        self.probers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks a web container for `path`, as a proxy does that ends TLS.
    ///
    /// # Errors
    /// [`Evidence`] when it doesn't answer.
    pub fn get(&self, name: &str, path: &str) -> anyhow::Result<http::HttpAnswer> {
        self.get_and(name, path, || ())
    }

    /// As [`TestBed::get`]; `begun` is called when the request is under way.
    pub fn get_and(
        &self,
        name: &str,
        path: &str,
        begun: impl FnOnce(),
    ) -> anyhow::Result<http::HttpAnswer> {
        let found = self.probe(name, &http::request(path, BEHIND_TLS), false, begun);
        found.and_then(Reply::answer).map_err(|error| Evidence::of(&format!("{path}: {error:#}")))
    }
}
