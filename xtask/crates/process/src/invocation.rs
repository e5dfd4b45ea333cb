//! One command line as data: a program, its words, its environment; never a shell string.
//! Plans are turned into these, `run` starts them, `--dry-run` shows them.

use crate::notice::{harmless, spelled};
use std::fmt;

/// A value that must not be seen: Debug and Display are `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// One command line. [`fmt::Display`] is the form that can be pasted into a POSIX shell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// Environment added to the process's own, in this order; shown as a prefix.
    pub env: Vec<(String, String)>,
    /// Environment added but never shown.
    pub hidden_env: Vec<(String, Secret)>,
    /// The program: a name looked up on PATH, or a path.
    pub program: String,
    pub words: Vec<String>,
    /// A line on the standard input of a question; never shown.
    pub input: Option<String>,
}

impl Invocation {
    pub fn new<W: Into<String>>(
        program: impl Into<String>,
        words: impl IntoIterator<Item = W>,
    ) -> Self {
        Invocation {
            program: program.into(),
            words: words.into_iter().map(Into::into).collect(),
            ..Invocation::default()
        }
    }

    pub fn with_env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }
}

impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.env {
            write!(f, "{name}={} ", quoted(value))?;
        }
        for (name, value) in &self.hidden_env {
            write!(f, "{name}={value} ")?;
        }
        f.write_str(&quoted(&self.program))?;
        for word in &self.words {
            write!(f, " {}", quoted(word))?;
        }
        Ok(())
    }
}

/// `word` as a POSIX shell reads it back unchanged (POSIX.1-2017, XCU 2.2.2): as it is when it
/// holds only characters that no shell treats specially, else in single quotes. What a terminal or
/// the runner of a pipeline would act on is left to `printf`.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else if harmless(word) != word && !word.ends_with('\n') {
        let octal = |c: char| {
            let mut bytes = [0; 4];
            c.encode_utf8(&mut bytes).bytes().map(|byte| format!("\\0{byte:03o}")).collect()
        };
        let text = word.replace('\\', r"\\");
        format!("\"$(printf '%b' '{}')\"", spelled(&text, octal).replace('\'', r"\0047"))
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_only_where_a_shell_needs_it() {
        let check = |word: &str, expected: &str| assert_eq!(quoted(word), expected);
        check("docker/Dockerfile", "docker/Dockerfile");
        check("a=b", "a=b");
        check("", "''");
        check("two words", "'two words'");
        check("it's", r"'it'\''s'");
        check("$HOME", "'$HOME'");
        check("~/x", "'~/x'");
        check("a\nb", "'a\nb'");
    }

    #[test]
    fn a_shell_reads_back_what_no_log_may_act_on() {
        for word in
            ["::error::it's", "a##[b]\\n", "\u{1b}[0K\u{202e}'", "a\n ::b", "##vso[a]", "::\n"]
        {
            let script = format!("printf %s {}", quoted(word));
            let ended = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(ended.stdout).unwrap(), word, "{script}");
            assert!(word.ends_with('\n') || harmless(&script) == script, "{script}");
        }
    }

    #[test]
    fn the_environment_is_a_prefix_and_secrets_are_hidden() {
        let mut invocation =
            Invocation::new("podman", ["info"]).with_env("CONTAINERS_CONF", "/a b");
        invocation.hidden_env.push(("TOKEN".into(), Secret("canary".into())));
        assert_eq!(invocation.to_string(), "CONTAINERS_CONF='/a b' TOKEN=*** podman info");
        assert!(!format!("{invocation:?}").contains("canary"));
    }
}
