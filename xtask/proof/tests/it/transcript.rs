//! The `console` blocks of the documentation, compared with what the commands print.

/// A command and the lines that it should print on stdout.
#[derive(Debug)]
pub struct Transcript {
    /// What follows `cargo xtask`.
    pub command: String,
    /// Its standard output.
    pub expected: Vec<String>,
}

/// Every `$ cargo xtask …` in a `console` block of `text`, with what follows it.
pub fn transcripts(text: &str) -> Vec<Transcript> {
    let mut all: Vec<Transcript> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if inside {
            if let Some(command) = line.strip_prefix("$ cargo xtask ") {
                all.push(Transcript { command: command.to_owned(), expected: Vec::new() });
            } else if let Some(last) = all.last_mut() {
                last.expected.push(line.to_owned());
            }
        }
    }
    all
}

/// Whether `found` is what `expected` says: `…` stands for any text in a line, and as a line of
/// its own for any lines.
pub fn fits(expected: &[String], found: &[&str]) -> bool {
    match expected.split_first() {
        None => found.is_empty(),
        Some((line, rest)) if line == "…" => {
            (0..=found.len()).any(|skip| fits(rest, &found[skip..]))
        }
        Some((line, rest)) => found
            .split_first()
            .is_some_and(|(first, more)| line_fits(line, first) && fits(rest, more)),
    }
}

fn line_fits(expected: &str, found: &str) -> bool {
    let mut parts = expected.split('…');
    let Some(mut rest) = parts.next().and_then(|start| found.strip_prefix(start)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}
