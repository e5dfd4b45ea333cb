//! A program that is asked line by line.

use super::{Runner, TICK, each_line, not_started};
use crate::failure::{Exit, failure};
use crate::invocation::Invocation;
use crate::notice::notice;
use std::io::Write as _;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// A running program. It is ended with this value.
#[derive(Debug)]
pub struct Conversation {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    program: String,
}

impl Runner {
    /// Starts a program that reads lines and answers each with one; what it says on standard error
    /// is shown.
    ///
    /// # Errors
    /// [`Exit::Engine`] when it can't be started.
    pub fn converse(&self, invocation: &Invocation) -> anyhow::Result<Conversation> {
        if self.verbose {
            notice(&format!("$ {invocation}"));
        }
        let mut command = self.command(invocation)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| not_started(invocation, &error))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            if let Some(output) = output {
                each_line(output, |line| sender.send(line).is_ok());
            }
        });
        Ok(Conversation { child, input, lines, program: invocation.program.clone() })
    }
}

impl Conversation {
    /// Sends it a line. One that has ended is found by [`Conversation::hear`].
    pub fn say(&mut self, line: &str) {
        if let Some(input) = &mut self.input {
            let _ = writeln!(input, "{line}");
        }
    }

    /// Its next line; `None` if there is none within `limit`.
    ///
    /// # Errors
    /// [`Exit::Unexpected`] when it has ended.
    pub fn hear(&mut self, runner: &Runner, limit: Duration) -> anyhow::Result<Option<String>> {
        let start = Instant::now();
        loop {
            match self.lines.recv_timeout(TICK) {
                Ok(line) => return Ok(Some(line)),
                Err(RecvTimeoutError::Timeout) if start.elapsed() > limit => return Ok(None),
                Err(RecvTimeoutError::Timeout) => runner.check_signal()?,
                Err(RecvTimeoutError::Disconnected) => {
                    // A terminal sends the signal to both of us.
                    runner.check_signal()?;
                    return Err(failure(Exit::Unexpected, format!("{}: it ended", self.program)));
                }
            }
        }
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
