//! The output of a command on a terminal: a line for each step, the running one with its seconds.
//! What isn't a terminal gets the plain stream.

use crate::notice::harmless;
use std::io::{IsTerminal as _, Write as _};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Reads the output of a command, and says what to show of it.
pub trait Progress: Send {
    /// Takes a line of the output; gives lines to print for good.
    fn take(&mut self, line: &str) -> Vec<String>;
    /// What is going on now.
    fn now(&self) -> Option<String>;
}

/// The most characters of a line: the width of the smallest terminal, less one, because a full line
/// makes some of them go on to the next.
pub const WIDTH: usize = 79;

/// A terminal on stderr that shows a [`Progress`], and whose last line changes until this is
/// dropped.
pub struct Display {
    progress: Arc<Mutex<Box<dyn Progress>>>,
    ticker: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Display {
    /// For `progress`, if stderr is a terminal that can erase a line.
    pub fn on_terminal(progress: Box<dyn Progress>) -> Option<Display> {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        if dumb || !std::io::stderr().is_terminal() {
            return None;
        }
        let progress = Arc::new(Mutex::new(progress));
        let (stop, stopped) = channel();
        let shown = Arc::clone(&progress);
        let ticker = std::thread::spawn(move || {
            while stopped.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
                draw(&mut **shown.lock().unwrap_or_else(PoisonError::into_inner), None);
            }
        });
        Some(Display { progress, ticker: Some((stop, ticker)) })
    }

    pub fn take(&self, line: &str) {
        draw(&mut **self.progress.lock().unwrap_or_else(PoisonError::into_inner), Some(line));
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Some((stop, ticker)) = self.ticker.take() {
            drop(stop);
            let _ = ticker.join();
        }
        let _ = write!(std::io::stderr().lock(), "{ERASE}");
    }
}

/// To the start of the line, which is empty then.
const ERASE: &str = "\r\u{1b}[2K";

fn draw(progress: &mut dyn Progress, line: Option<&str>) {
    let cut = |text: &str| harmless(text).chars().take(WIDTH).collect::<String>();
    let done = line.map(|line| progress.take(line)).unwrap_or_default();
    let done: String = done.iter().map(|line| cut(line) + "\n").collect();
    let now = progress.now().map(|now| cut(&now)).unwrap_or_default();
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "{ERASE}{done}{now}");
    let _ = stderr.flush();
}
