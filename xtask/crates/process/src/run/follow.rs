//! Several commands whose lines come as they are printed, and a command that takes our place.

use super::{GRACE, Runner, TICK, each_line, end, not_started};
use crate::invocation::Invocation;
use crate::notice::notice;
use anyhow::Context as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};

impl Runner {
    /// Runs `invocations` at the same time. `each` gets every line that one prints, with its index,
    /// and `None` at its end. Waits until all have ended; once `enough` is set, it ends them.
    ///
    /// # Errors
    /// Those of `each`; [`crate::failure::Exit::Engine`] when one can't be started.
    pub fn follow(
        &self,
        invocations: &[Invocation],
        enough: &AtomicBool,
        each: &mut dyn FnMut(usize, Option<&str>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut children = Vec::new();
        let outcome = self.follow_all(invocations, enough, each, &mut children);
        children.iter_mut().for_each(|child| end(child, GRACE));
        outcome
    }

    fn follow_all(
        &self,
        invocations: &[Invocation],
        enough: &AtomicBool,
        each: &mut dyn FnMut(usize, Option<&str>) -> anyhow::Result<()>,
        children: &mut Vec<Child>,
    ) -> anyhow::Result<()> {
        let (sender, lines) = channel();
        for (index, invocation) in invocations.iter().enumerate() {
            if self.verbose {
                notice(&format!("$ {invocation}"));
            }
            let (reader, writer) = std::io::pipe().context("making a pipe")?;
            let mut command = self.command(invocation)?;
            command.stdin(Stdio::null());
            command.stdout(writer.try_clone().context("making a pipe")?).stderr(writer);
            let child = command.spawn();
            // The command holds the pipe's writing end.
            drop(command);
            children.push(child.map_err(|error| not_started(invocation, &error))?);
            let sender = sender.clone();
            std::thread::spawn(move || {
                each_line(reader, |text| sender.send((index, Some(text))).is_ok());
                let _ = sender.send((index, None));
            });
        }
        drop(sender);
        loop {
            self.check_signal()?;
            match lines.recv_timeout(TICK) {
                Ok((index, line)) => each(index, line.as_deref())?,
                Err(RecvTimeoutError::Timeout) if enough.load(Ordering::Relaxed) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    /// Becomes a command, which has our terminal, our signals and our exit status; comes back only
    /// when it can't be started, and then to end: a closed pipe would end us from there on.
    pub fn replace(&self, invocation: &Invocation) -> anyhow::Error {
        if self.verbose {
            notice(&format!("$ {invocation}"));
        }
        let replaced = self.command(invocation).map(|mut command: Command| command.exec());
        replaced.map_or_else(|error| error, |error| not_started(invocation, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::Form;
    use std::sync::Arc;

    #[test]
    fn lines_come_with_their_index_and_the_end_last() {
        let runner = Runner {
            folder: std::env::temp_dir(),
            progress: false,
            verbose: false,
            form: Form::Plain,
            signal: Arc::default(),
        };
        let scripts = ["echo a; echo b >&2", "exit 3"];
        let all = scripts.map(|script| Invocation::new("sh", ["-c", script]));
        let mut seen = [Vec::new(), Vec::new()];
        let mut each = |index: usize, line: Option<&str>| {
            seen[index].push(line.map(str::to_owned));
            Ok(())
        };
        runner.follow(&all, &AtomicBool::new(false), &mut each).unwrap();
        let line = |text: &str| Some(text.to_owned());
        assert_eq!(seen, [vec![line("a"), line("b"), None], vec![None]]);
        let long = [Invocation::new("sleep", ["600"])];
        runner.follow(&long, &AtomicBool::new(true), &mut |_, _| Ok(())).unwrap();
    }
}
