//! What a pass doesn't show: "not run: reason" on a machine or engine that can't run a test, and
//! "second try: what" if the first one failed.

use std::io::Write as _;

/// Prints `text` and the caller's place past libtest, which hides what a test that passes prints.
/// `cargo xtask test` lists these lines in its summary.
#[track_caller]
pub fn tell(text: &str) {
    let place = std::panic::Location::caller();
    // libtest leaves its own line open.
    let line = format!("\n{text} ({}:{})\n", place.file(), place.line());
    std::io::stdout().write_all(line.as_bytes()).unwrap();
}
