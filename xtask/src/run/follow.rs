//! Several commands whose output is read at once, line by line: the logs of containers.

use super::{Runner, not_started, say};
use crate::invocation::Invocation;
use anyhow::Context as _;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};

/// What one of the commands did; its number is its place in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A line of its output, of either stream.
    Line(usize, String),
    /// It has ended.
    End(usize),
}

/// Commands that run; they end when this is dropped.
pub struct Following {
    /// What they do, as it comes.
    pub events: Receiver<Event>,
    children: Vec<Child>,
}

impl Drop for Following {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Runner {
    /// Starts all of `invocations` and reads what they print.
    ///
    /// # Errors
    /// [`crate::failure::Exit::Engine`] when one can't be started.
    pub fn follow(&self, invocations: &[Invocation]) -> anyhow::Result<Following> {
        let (sender, events) = channel();
        let mut following = Following { events, children: Vec::new() };
        for (number, invocation) in invocations.iter().enumerate() {
            if self.verbose {
                say(&format!("$ {invocation} &"));
            }
            let (reader, writer) = std::io::pipe().context("making a pipe")?;
            let mut command = self.command(invocation)?;
            let again = writer.try_clone().context("making a pipe")?;
            command.stdin(Stdio::null()).stdout(writer).stderr(again);
            let child = command.spawn();
            // The command holds the pipe's writing ends: the reader would never see its end.
            drop(command);
            following.children.push(child.map_err(|error| not_started(invocation, &error))?);
            let sender = sender.clone();
            std::thread::spawn(move || {
                let mut reader = BufReader::new(reader);
                let mut line = Vec::new();
                while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                    let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                    line.clear();
                    if sender.send(Event::Line(number, text)).is_err() {
                        return;
                    }
                }
                let _ = sender.send(Event::End(number));
            });
        }
        Ok(following)
    }
}
