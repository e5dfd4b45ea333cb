//! What a command says while it works. Most of it quotes others: engines, registries, names of
//! files. A pipeline's log is read by a runner that takes commands out of its lines, so nothing is
//! printed before it went through [`harmless`].

use std::io::Write as _;
use std::time::Duration;

/// How long to wait silently before saying what we wait for.
pub const SILENCE: Duration = Duration::from_secs(1);

/// Prints lines on stderr, [`harmless`] ones. A closed stderr (a reader that went away) is no
/// reason to fail.
pub fn notice(text: &str) {
    command(&harmless(text));
}

/// Prints a line of ours that a runner may take for a command.
pub(crate) fn command(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// `text` without what a terminal or the runner of a pipeline acts on, in any line of it:
///
/// - control characters, line ends of other systems, and marks that turn the direction of text
///   around are shown as Rust writes them (`\u{1b}`);
/// - `::` at the start, where blanks don't count, is GitHub's and Gitea's: `\::`;
/// - `##[`, `##vso[` (Azure) and `##teamcity[` count anywhere in a line: `##\[`.
pub fn harmless(text: &str) -> String {
    let shown = |c| if acts(c) { c.escape_default().to_string() } else { format!("\\{c}") };
    spelled(text, shown)
}

/// The text of a JSON document, [`harmless`] with the same values.
pub fn harmless_json(text: &str) -> String {
    // Beyond its strings a document has none of those characters.
    spelled(text, |c| {
        c.encode_utf16(&mut [0; 2]).iter().map(|half| format!("\\u{half:04x}")).collect()
    })
}

/// `text` with each character that would make it act as `shown` spells it.
pub(crate) fn spelled(text: &str, shown: impl Fn(char) -> String) -> String {
    // Nearly every text, and a list of 100,000 files in a tenth of the time.
    let plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\n');
    if text.as_bytes().iter().all(plain) && !text.contains("::") && !text.contains("##") {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    // Whether only blanks came since the line began, and how far a `##word` has come.
    let (mut start, mut hashes, mut word) = (true, 0, false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        match c {
            _ if start && rest.starts_with("::") || c == '[' && word || acts(c) => out += &shown(c),
            _ => out.push(c),
        }
        rest = &rest[c.len_utf8()..];
        // An escaped `\r` ends no line, but a viewer may show it as one: no command may follow.
        start = c == '\n' || start && (c.is_whitespace() || acts(c)) || c == '\r';
        hashes = if c == '#' { hashes + 1 } else { 0 };
        word = hashes > 1 || word && (c.is_alphanumeric() || "-_.".contains(c));
    }
    out
}

/// Control characters, line ends that only some programs know, and invisible characters.
fn acts(c: char) -> bool {
    let unseen = [
        '\u{61c}'..='\u{61c}',
        '\u{200b}'..='\u{200f}',
        '\u{2028}'..='\u{202e}',
        '\u{2060}'..='\u{206f}',
        '\u{feff}'..='\u{feff}',
    ];
    c != '\n' && c != '\t' && (c.is_control() || unseen.iter().any(|range| range.contains(&c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_a_command() {
        let check = |text: &str, expected: &str| assert_eq!(harmless(text), expected, "{text:?}");
        check("::error::x", r"\::error::x");
        check(" \t ::add-mask::x", " \t \\::add-mask::x");
        check("a\n  ::error::x\nb::c", "a\n  \\::error::x\nb::c");
        check("\u{a0}\u{3000}::error::x", "\u{a0}\u{3000}\\::error::x");
        check("\u{feff}\u{200b}::error::x", r"\u{feff}\u{200b}\::error::x");
        check("a\r::error::x", r"a\r\::error::x");
        check("a\u{b}\u{c}::x", r"a\u{b}\u{c}::x");
        check("\u{b}::error::x", r"\u{b}\::error::x");
        check("a\u{2028}b\u{85}c", r"a\u{2028}b\u{85}c");
        check("say ##[error]x", r"say ##\[error]x");
        check("###[group]x", r"###\[group]x");
        check("##vso[task.setvariable variable=a]b", r"##vso\[task.setvariable variable=a]b");
        check("##teamcity[buildStop]", r"##teamcity\[buildStop]");
        check("\u{1b}[0Ksection_start:1:a\r\u{1b}[0Kx", r"\u{1b}[0Ksection_start:1:a\r\u{1b}[0Kx");
        check("\u{202e}txt\u{2066}", r"\u{202e}txt\u{2066}");
        check("#[derive] ## a [b] #1 [2/3] é\tx", "#[derive] ## a [b] #1 [2/3] é\tx");
        check("WEB_BIND=:: [::]:8000", "WEB_BIND=:: [::]:8000");
    }

    #[test]
    fn a_document_keeps_its_values() {
        let value = serde_json::json!({ "a": "##[b] \u{202e}\r\u{7f}\n::c", "b": [[1]] });
        let text = harmless_json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(text.contains(r"##\u005bb] \u202e\r\u007f\n::c"), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    /// Every way in which a runner looks for a command, on text that was made harmless.
    #[test]
    fn no_text_is_a_command_wherever_it_is_cut() {
        let parts =
            ["::", "##[", "##vso[", "#", "[", "a", " ", "\r", "\n", "\u{b}", "\u{200b}", "\t"];
        let mut texts = vec![String::new()];
        for _ in 0..4 {
            texts = texts
                .iter()
                .flat_map(|text| parts.iter().map(move |part| format!("{text}{part}")))
                .collect();
            for text in &texts {
                let shown = harmless(text);
                let lines = || shown.split(['\n', '\r', '\u{b}']);
                assert!(lines().all(|line| !line.trim_start().starts_with("::")), "{text:?}");
                assert!(!shown.contains("##[") && !shown.contains("##vso["), "{text:?}");
            }
        }
    }
}
