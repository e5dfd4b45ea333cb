//! What the text of a file says, without a parser of its language.

/// Whether `name` is read from the environment: in quotes, as an argument or an index of something that
/// is called like that.
pub(super) fn is_read(text: &str, name: &str) -> bool {
    let named = |quote: char| {
        let quoted = format!("{quote}{name}{quote}");
        text.match_indices(&quoted).any(|(at, _)| {
            let before = text[..at].trim_end();
            let Some(called) = before.strip_suffix(['(', '[']) else { return false };
            let part = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
            let start = called.rfind(|c: char| !part(c)).map_or(0, |at| at + 1);
            let called = called[start..].to_lowercase();
            ["env", "config", "secret"].iter().any(|word| called.contains(word))
        })
    };
    named('"') || named('\'') || name == "DATABASE_URL" && text.contains("dj_database_url")
}

/// Whether a lock, uv's or a list of requirements, has the package `name`.
pub(super) fn is_locked(lock: &str, name: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let lower = lock.to_lowercase();
    lower.contains(&format!("\nname = \"{name}\"\n"))
        || lower
            .lines()
            .any(|line| line.strip_prefix(name).is_some_and(|rest| !rest.starts_with(part)))
}

/// The packages of a `uv.lock` that have no wheel.
pub(super) fn without_wheel(lock: &str) -> Vec<String> {
    let blocks = lock.split("\n[[package]]\n").skip(1);
    let sources =
        blocks.filter(|block| block.contains("\nsdist = ") && !block.contains("\nwheels = ["));
    let name = |block: &str| quoted(block.lines().next().unwrap_or_default()).into_iter().next();
    sources.filter_map(name).collect()
}

/// The first text in quotes after `word`, the word's own end aside.
pub(super) fn quoted_after(text: &str, word: &str) -> Option<String> {
    let (_, rest) = text.split_once(word)?;
    quoted(rest.trim_start_matches(['"', '\''])).into_iter().next()
}

/// All texts in quotes, of one line each.
pub(super) fn quoted(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    for line in text.lines() {
        let mut rest = line;
        while let Some(at) = rest.find(['"', '\'', '#']) {
            let quote = rest[at..].chars().next().unwrap_or('"');
            if quote == '#' {
                break;
            }
            let Some((inside, after)) = rest[at + 1..].split_once(quote) else { break };
            all.push(inside.to_owned());
            rest = after;
        }
    }
    all
}
