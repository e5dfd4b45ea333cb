//! Waits for containers: until they are healthy, print a line, or end.

use super::TestBed;
use crate::verdict::Evidence;
use std::time::{Duration, Instant};

/// What to do about a container that isn't healthy in time.
const LATE: &str = "if it only takes longer, as many migrations do: start_seconds below [smoke] in docker/image.toml";

/// What Django prints for each migration that it applies.
pub(crate) const APPLYING: &str = "Applying ";

/// So many times the limit a container may take that applies migrations all the time.
const MIGRATING: u32 = 10;

/// Time between two questions: an eighth of the time so far. On two busy processors the questions
/// would otherwise take as much of them as what is waited for.
fn pause(start: Instant) {
    let least = Duration::from_millis(250);
    std::thread::sleep((start.elapsed() / 8).clamp(least, least * 8));
}

impl TestBed<'_> {
    /// Waits until a container's own health check passes; gives the time that it took.
    ///
    /// # Errors
    /// [`Evidence`], the end of its log, when it doesn't within the limit, or the container ends.
    pub fn wait_healthy(&self, name: &str) -> anyhow::Result<Duration> {
        let start = Instant::now();
        let (mut applied, mut since) = (0, start);
        loop {
            let answer = self.soon_healthy(name)?;
            if answer.good() {
                return Ok(start.elapsed());
            }
            let (state, code) = self.state(name)?;
            let lasting = lasting(answer.last_line());
            let mut late = since.elapsed() > self.subject.smoke.start;
            if late && start.elapsed() < self.subject.smoke.start * MIGRATING {
                // Each migration that is applied shows that it doesn't hang.
                let now = self.logs(name)?.matches(APPLYING).count();
                if now > applied {
                    (applied, since, late) = (now, Instant::now(), false);
                }
            }
            if state != "running" || late || lasting.is_some() {
                let after = start.elapsed().as_secs();
                return Err(Evidence::of(&format!(
                    "{name} is not healthy after {after} s ({state}, exit status {code}): {}\n{}{}",
                    answer.last_line(),
                    lasting
                        .or(late.then_some(LATE))
                        .map_or(String::new(), |why| format!("{why}\n")),
                    self.log_end(name)?
                )));
            }
            pause(start);
        }
    }

    /// Waits until a container's log contains `text`; gives the log.
    ///
    /// # Errors
    /// [`Evidence`], the end of the log, when it doesn't within the limit.
    pub fn wait_log(&self, name: &str, text: &str) -> anyhow::Result<String> {
        let start = Instant::now();
        loop {
            let log = self.logs(name)?;
            if log.contains(text) {
                return Ok(log);
            }
            if start.elapsed() > self.subject.smoke.start {
                let end = self.log_end(name)?;
                return Err(Evidence::of(&format!("{name} doesn't print `{text}`:\n{end}")));
            }
            pause(start);
        }
    }

    /// Waits until a container exits without being stopped; gives its log.
    ///
    /// # Errors
    /// [`Evidence`], the end of the log, when it doesn't within the limit.
    pub fn wait_end(&self, name: &str) -> anyhow::Result<String> {
        let start = Instant::now();
        while self.state(name)?.0 != "exited" {
            if start.elapsed() > self.subject.smoke.start {
                return Err(Evidence::of(&format!("{name} doesn't end:\n{}", self.log_end(name)?)));
            }
            pause(start);
        }
        self.logs(name)
    }
}

/// What to do about an answer of the health check's page that is no better later.
fn lasting(line: &str) -> Option<&'static str> {
    let (_, answer) = line.split_once(" answers: HTTP/")?;
    match answer.split(' ').nth(1)?.as_bytes() {
        b"400" => Some("is localhost in ALLOWED_HOSTS? The health check asks as that"),
        b"404" => {
            Some("add that page, or name another as path below [health] in docker/image.toml")
        }
        [b'3', ..] => Some("the page must answer itself: name its target as path below [health]"),
        b"401" | b"403" => {
            Some("the page must be open to everyone: name another as path below [health]")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_stays_is_not_waited_for() {
        let check = |answer: &str, lasts: bool| {
            let line = format!("/health/ answers: {answer}");
            assert_eq!(lasting(&line).is_some(), lasts, "{line}");
        };
        check("HTTP/1.1 404 Not Found", true);
        check("HTTP/1.1 301 Moved Permanently", true);
        check("HTTP/1.1 400 Bad Request", true);
        check("HTTP/1.1 403 Forbidden", true);
        check("HTTP/1.1 503 Service Unavailable", false);
        check("HTTP/1.1 500 Internal Server Error", false);
        check("nothing", false);
    }
}
