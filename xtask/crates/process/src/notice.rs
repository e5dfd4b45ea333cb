//! What a command says while it works.

use std::io::Write as _;

/// Prints a line on stderr. A closed stderr (a reader that went away) is no reason to fail.
pub fn notice(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
