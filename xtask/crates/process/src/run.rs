//! The only place that starts a process: shows the command, streams and logs what it prints,
//! passes signals on, and turns how it ended into one line.

use crate::disk::failed;
use crate::failure::{Exit, failure, failure_help};
use crate::form::Form;
use crate::invocation::Invocation;
use crate::notice::{SILENCE, notice};
use crate::progress::{Display, Progress};
use crate::regular;
use anyhow::Context as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

mod converse;
mod follow;
mod said;
mod together;
pub use converse::Conversation;
pub use said::{shortened, step_failed, tail};
pub use together::join_all;

/// How often a running child and the signals are looked at.
const TICK: Duration = Duration::from_millis(15);
/// How long an engine gets to end after SIGTERM, before SIGKILL.
const GRACE: Duration = Duration::from_secs(5);
/// How long a question (version, inspect) may take before the engine counts as hanging.
pub const QUESTION: Duration = Duration::from_secs(60);

/// Starts processes for one command of ours.
#[derive(Clone, Debug)]
pub struct Runner {
    pub folder: PathBuf,
    pub progress: bool,
    /// Also show read-only commands (inspect, version, …).
    pub verbose: bool,
    pub form: Form,
    /// The last signal that asked us to end, 0 for none.
    pub signal: Arc<AtomicUsize>,
}

/// What a question printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Exit status; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output, wrong UTF-8 replaced.
    pub stdout: String,
    /// Standard error, wrong UTF-8 replaced.
    pub stderr: String,
}

impl Answer {
    /// Whether the exit status was 0.
    pub fn good(&self) -> bool {
        self.code == Some(0)
    }

    /// The last line with text in it, of standard error or else of standard output.
    pub fn last_line(&self) -> &str {
        let lines = self.stdout.lines().chain(self.stderr.lines());
        lines.map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("no output")
    }
}

/// How a streamed process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Exit status; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it printed, stdout and stderr in the order of arrival.
    pub lines: Vec<String>,
    /// Whether it was ended at its limit.
    pub late: bool,
}

/// How a streamed process is watched.
#[derive(Default)]
pub struct Watch<'w> {
    /// It is ended after this time, and when we are killed.
    pub limit: Option<Duration>,
    /// Called with its process id.
    pub started: Option<&'w mut dyn FnMut(u32) -> anyhow::Result<()>>,
    /// What a terminal shows of its output, instead of all of it.
    pub progress: Option<Box<dyn Progress>>,
}

/// `timeout` and some CI runners send a signal to a process and then to its group: that is one
/// request.
const ONE_REQUEST: Duration = Duration::from_secs(1);

/// Registers for SIGINT, SIGTERM and SIGHUP; the number of the last one is stored in the result.
/// The second SIGINT or SIGTERM, a second later or more, ends the process at once: what it leaves
/// behind is found by the next command.
pub fn signals() -> anyhow::Result<Arc<AtomicUsize>> {
    let (last, again) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let register = || -> std::io::Result<()> {
        for (signal, exit) in [(SIGINT, Exit::Interrupted), (SIGTERM, Exit::Terminated)] {
            // First, so that the flag is that of an earlier signal.
            flag::register_conditional_shutdown(signal, exit as i32, Arc::clone(&again))?;
        }
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let number = usize::try_from(signal).unwrap_or_default();
            flag::register_usize(signal, Arc::clone(&last), number)?;
        }
        Ok(())
    };
    register().context("registering for signals")?;
    let first = Arc::clone(&last);
    std::thread::spawn(move || {
        while first.load(Ordering::Relaxed) == 0 {
            std::thread::sleep(ONE_REQUEST / 4);
        }
        std::thread::sleep(ONE_REQUEST);
        again.store(true, Ordering::Relaxed);
    });
    Ok(last)
}

/// Fails with 130 or 143 once `signal`, of [`signals`], holds one.
pub fn check_signal(signal: &AtomicUsize) -> anyhow::Result<()> {
    match i32::try_from(signal.load(Ordering::Relaxed)).unwrap_or_default() {
        0 => Ok(()),
        SIGTERM => Err(failure(Exit::Terminated, "terminated by SIGTERM")),
        _ => Err(failure(Exit::Interrupted, "interrupted")),
    }
}

impl Runner {
    /// Fails with 130 or 143 once a signal has asked us to end.
    pub fn check_signal(&self) -> anyhow::Result<()> {
        check_signal(&self.signal)
    }

    fn command(&self, invocation: &Invocation) -> anyhow::Result<Command> {
        let shell = xshell::Shell::new().context("reading the current folder")?;
        shell.change_dir(&self.folder);
        let hidden = invocation.hidden_env.iter().map(|(name, value)| (name, &value.0));
        let shown = invocation.env.iter().map(|(name, value)| (name, value));
        let command = shell.cmd(&invocation.program).args(&invocation.words);
        Ok(command.envs(shown.chain(hidden)).into())
    }

    /// Waits, unless a signal asks us to end.
    pub fn sleep(&self, time: Duration) -> anyhow::Result<()> {
        let start = Instant::now();
        while let Some(left) = time.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
            self.check_signal()?;
            std::thread::sleep(left.min(TICK));
        }
        self.check_signal()
    }

    /// Runs a command that only asks, and gives what it printed, whatever its exit status.
    ///
    /// # Errors
    /// [`Exit::Engine`] when it can't be started or takes longer than `limit`.
    pub fn ask(&self, invocation: &Invocation, limit: Duration) -> anyhow::Result<Answer> {
        if self.verbose {
            notice(&format!("$ {invocation}"));
        }
        let mut command = self.command(invocation)?;
        let stdin = invocation.input.as_ref().map_or_else(Stdio::null, |_| Stdio::piped());
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| not_started(invocation, &error))?;
        if let (Some(mut pipe), Some(input)) = (child.stdin.take(), &invocation.input) {
            // A line fits into any pipe; one that ended without reading says why itself.
            let _ = writeln!(pipe, "{input}");
        }
        let (open, closed) = channel();
        let stdout = collect(child.stdout.take(), open.clone());
        let stderr = collect(child.stderr.take(), open);
        let code =
            self.wait(&mut child, &closed, Some(limit)).map_err(|stopped| match stopped {
                Stopped::Signal(error) => error,
                Stopped::TooLong => failure_help(
                    Exit::Engine,
                    format!(
                        "asking {}: no answer in {} s: {invocation}",
                        invocation.program,
                        limit.as_secs()
                    ),
                    "it is busy or hangs: find out what it waits for, then try again",
                ),
            })?;
        // A grandchild may hold the pipe; the answer is complete when the child has ended.
        let text = |from: Receiver<Vec<u8>>| {
            let bytes = from.recv_timeout(GRACE).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Ok(Answer { code, stdout: text(stdout), stderr: text(stderr) })
    }

    /// Runs a command and hands its standard output to `read` while it comes.
    ///
    /// # Errors
    /// Those of `read`; [`Exit::Engine`] when the command can't be started or fails.
    pub fn read<T>(
        &self,
        invocation: &Invocation,
        read: impl FnOnce(&mut std::process::ChildStdout) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        if self.verbose {
            notice(&format!("$ {invocation}"));
        }
        let mut command = self.command(invocation)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| not_started(invocation, &error))?;
        let (open, closed) = channel();
        let stderr = collect(child.stderr.take(), open);
        let mut stdout = child.stdout.take().context("reading a pipe")?;
        let outcome = read(&mut stdout);
        // What is left unread would end the command with a broken pipe.
        let _ = std::io::copy(&mut stdout, &mut std::io::sink());
        let code = match self.wait(&mut child, &closed, None) {
            Ok(code) => code,
            Err(Stopped::Signal(error)) => return Err(error),
            Err(Stopped::TooLong) => None,
        };
        if code == Some(0) {
            return outcome;
        }
        let bytes = stderr.recv_timeout(GRACE).unwrap_or_default();
        let answer =
            Answer { stderr: String::from_utf8_lossy(&bytes).into_owned(), ..Answer::default() };
        Err(failure(Exit::Engine, format!("reading from `{invocation}`: {}", answer.last_line())))
    }

    /// Runs a command that does something: shown, streamed to stderr, and appended to `log`.
    ///
    /// # Errors
    /// [`Exit::Engine`] when it can't be started; what `watch.started` fails with.
    pub fn stream(
        &self,
        invocation: &Invocation,
        log: &Path,
        watch: Watch<'_>,
    ) -> anyhow::Result<Ended> {
        let held = watch.limit.and_then(|limit| self.held(invocation, limit));
        self.check_signal()?;
        let title = format!("$ {invocation}");
        let _folded = if self.progress {
            Some(self.form.group(&title))
        } else {
            notice(&title);
            None
        };
        let unwritten = |error| failed("writing the log", log, &error);
        let mut file = regular::append(log).map_err(unwritten)?;
        writeln!(file, "$ {invocation}").map_err(unwritten)?;
        let (reader, writer) = std::io::pipe().context("making a pipe")?;
        let mut command = self.command(held.as_ref().unwrap_or(invocation))?;
        command
            .stdin(Stdio::null())
            .stdout(writer.try_clone().context("making a pipe")?)
            .stderr(writer);
        let child = command.spawn();
        // The command holds the pipe's writing end: without this the reader never sees its end.
        drop(command);
        let mut child = child.map_err(|error| not_started(invocation, &error))?;
        watch.started.map_or(Ok(()), |started| started(child.id()))?;
        let (sender, lines) = channel();
        let (open, closed) = channel();
        let steps = watch.progress.filter(|_| self.progress && !self.verbose);
        let display = steps.and_then(Display::on_terminal).map(Arc::new);
        let (lent, plain) = (display.as_ref().map(Arc::downgrade), self.progress);
        std::thread::spawn(move || {
            // Dropped when nothing more can come.
            let _open: Sender<()> = open;
            each_line(reader, |text| {
                let _ = writeln!(file, "{text}");
                match &lent {
                    Some(display) => drop(display.upgrade().map(|display| display.take(&text))),
                    None if plain => notice(&text),
                    None => (),
                }
                sender.send(text).is_ok()
            });
        });
        let (code, late) = match self.wait(&mut child, &closed, watch.limit) {
            Ok(code) => (code, false),
            Err(Stopped::Signal(error)) => return Err(error),
            Err(Stopped::TooLong) => (None, true),
        };
        // A killed engine can leave a grandchild that never closes the pipe.
        let mut all = Vec::new();
        let patience = if code == Some(0) { GRACE } else { GRACE / 10 };
        while let Ok(line) = lines.recv_timeout(patience) {
            all.push(line);
        }
        drop(display);
        Ok(Ended { code, lines: all, late })
    }

    /// `invocation` as the kernel ends it when we are killed, if util-linux is installed: a push
    /// that went on alone could move a tag later.
    fn held(&self, invocation: &Invocation, limit: Duration) -> Option<Invocation> {
        let leash = ["--pdeathsig", "TERM"];
        let works = self.ask(&Invocation::new("setpriv", leash.into_iter().chain(["true"])), limit);
        let words = leash.into_iter().chain([invocation.program.as_str()]).map(str::to_owned);
        let words = words.chain(invocation.words.iter().cloned()).collect();
        let held = Invocation { program: "setpriv".into(), words, ..invocation.clone() };
        works.is_ok_and(|answer| answer.good()).then_some(held)
    }

    /// Runs a command with our own terminal (for `sudo`, which may ask for a password).
    ///
    /// # Errors
    /// [`Exit::Engine`] when it can't be started.
    pub fn attached(&self, invocation: &Invocation) -> anyhow::Result<Option<i32>> {
        self.check_signal()?;
        // What it prints comes to the log as it is.
        let _fenced = self.form.group(&format!("$ {invocation}"));
        let mut command = self.command(invocation)?;
        // stdout is for our own result alone.
        command.stdout(std::io::stderr());
        let mut child = command.spawn().map_err(|error| not_started(invocation, &error))?;
        // It has our own streams: nothing tells that it is about to end.
        let (_open, closed) = channel();
        match self.wait(&mut child, &closed, None) {
            Ok(code) => Ok(code),
            Err(Stopped::Signal(error)) => Err(error),
            Err(Stopped::TooLong) => Ok(None),
        }
    }

    /// Waits until `child` has ended; `closed` is disconnected when its output is, which is
    /// when it is about to end.
    fn wait(
        &self,
        child: &mut Child,
        closed: &Receiver<()>,
        limit: Option<Duration>,
    ) -> Result<Option<i32>, Stopped> {
        let start = Instant::now();
        let (mut pause, mut ending) = (Duration::from_millis(1), false);
        loop {
            if let Ok(Some(status)) = child.try_wait() {
                return match self.check_signal() {
                    Ok(()) => Ok(status.code()),
                    Err(error) => Err(Stopped::Signal(error)),
                };
            }
            if let Err(error) = self.check_signal() {
                end(child, GRACE);
                return Err(Stopped::Signal(error));
            }
            if limit.is_some_and(|limit| start.elapsed() > limit) {
                end(child, GRACE);
                return Err(Stopped::TooLong);
            }
            if ending {
                std::thread::sleep(pause);
            } else if closed.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected) {
                (pause, ending) = (Duration::from_micros(200), true);
            }
            pause = (pause * 2).min(TICK);
        }
    }
}

enum Stopped {
    Signal(anyhow::Error),
    TooLong,
}

/// Ends a child that we started: SIGTERM, and after `grace` SIGKILL.
fn end(child: &mut Child, grace: Duration) {
    terminate(child.id());
    let (start, mut silent) = (Instant::now(), true);
    while start.elapsed() < grace {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        if silent && start.elapsed() > SILENCE {
            silent = false;
            let left = grace.as_secs();
            notice(&format!("ending process {} (killed after {left} s)", child.id()));
        }
        std::thread::sleep(TICK);
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Sends SIGTERM. The standard library can only kill; the shell's own `kill` is always there, and a
/// crate for it (rustix) costs 3.7 CPU s of a first build.
pub fn terminate(id: u32) {
    send("TERM", id);
}

/// Sends SIGKILL to a process that isn't a child of ours.
pub fn kill(id: u32) {
    send("KILL", id);
}

fn send(signal: &str, id: u32) {
    let script = format!("kill -{signal} {id}");
    let _ = Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).status();
}

fn not_started(invocation: &Invocation, error: &std::io::Error) -> anyhow::Error {
    let what = if error.kind() == std::io::ErrorKind::NotFound {
        "no such program on PATH".to_owned()
    } else {
        error.to_string()
    };
    failure(Exit::Engine, format!("starting {}: {what}", invocation.program))
}

/// Hands over each line of a pipe, wrong UTF-8 replaced, until `take` wants no more.
fn each_line(reader: impl Read, mut take: impl FnMut(String) -> bool) {
    let (mut reader, mut line) = (BufReader::new(reader), Vec::new());
    while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        if !take(String::from_utf8_lossy(&line).trim_end().to_owned()) {
            return;
        }
        line.clear();
    }
}

/// Reads a whole pipe in a thread; `open` is dropped when the pipe is closed.
fn collect(pipe: Option<impl Read + Send + 'static>, open: Sender<()>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let _open = open;
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        let _ = sender.send(bytes);
    });
    receiver
}

#[cfg(test)]
mod tests;
