//! What is told of a step that failed.

use super::Ended;
use crate::failure::{Exit, Failure};
use std::path::Path;

/// The failure of a step that ended badly: its name, how it ended, its last lines, the log.
pub fn step_failed(exit: Exit, step: &str, ended: &Ended, log: &Path) -> Failure {
    let how = match ended.code {
        Some(code) => format!("exit status {code}"),
        None => "ended by a signal".to_owned(),
    };
    let mut help = vec![format!("the whole log is {}; its last lines:", log.display())];
    help.extend(tail(&ended.lines, 16).iter().map(|line| format!("  {}", shortened(line, 160))));
    Failure { exit, message: format!("{step}: {how}"), help }
}

/// `text` cut to `most` characters, with a sign where something is missing.
pub fn shortened(text: &str, most: usize) -> String {
    let cut: String = text.chars().take(most).collect();
    if cut.len() == text.len() { cut } else { format!("{cut}…") }
}

/// The last `count` lines that hold text.
pub fn tail(lines: &[String], count: usize) -> Vec<String> {
    let text: Vec<&String> = lines.iter().filter(|line| !line.trim().is_empty()).collect();
    text[text.len().saturating_sub(count)..].iter().map(|line| (*line).clone()).collect()
}
