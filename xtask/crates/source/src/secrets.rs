//! The gate of the build context: `build` asks it before anything is sent to the engine, and a
//! file that looks like a secret, by its name or by its content, ends the command.

mod content;
mod names;
#[cfg(test)]
mod tests;
mod tokens;
mod values;

use std::collections::BTreeMap;

use crate::content::Content;
use crate::ignore::{Pattern, parse_line};
use names::Named;
use process::failure::{Exit, Failure, failure_help};
pub use values::{gate_values, has_login, secret_name};

/// So much of a file is read.
const HEAD: u64 = 64 << 10;

/// Files from here on are media or data: of them only the first bytes are read, which tell a
/// database.
const LARGE: u64 = 1 << 20;

/// So many files are named in a message.
const SHOWN: usize = 20;

/// Makes sure that nothing among `contents`, by path, looks like a secret. `allow` are patterns, as
/// in `.dockerignore`, of files that are meant to be in the image.
///
/// A symbolic link is judged by its name, for no engine copies its target. No content is printed.
///
/// # Errors
/// [`Exit::Check`] with a help line for each file; [`Exit::Usage`] when a pattern of `allow` is
/// in a form that `.dockerignore` refuses as well.
pub fn gate(contents: &BTreeMap<String, Content>, allow: &[String]) -> anyhow::Result<()> {
    let allow = allowed(allow)?;
    let suspicious = contents.iter().filter_map(|(path, content)| {
        let allowed = allow.iter().any(|pattern| holds(pattern, path));
        content.suspicion.as_ref().filter(|_| !allowed).map(|reason| format!("{path}: {reason}"))
    });
    let found: Vec<String> = suspicious.collect();
    if found.is_empty() { Ok(()) } else { Err(refusal(found)) }
}

/// The patterns of `allow_secrets`.
///
/// # Errors
/// [`Exit::Usage`] for a pattern in a form that `.dockerignore` refuses as well.
pub fn allowed(texts: &[String]) -> anyhow::Result<Vec<Pattern>> {
    let pattern = |(index, text): (usize, &String)| {
        allowing(index + 1, text).map_err(|reason| {
            failure_help(
                Exit::Usage,
                format!("reading docker/image.toml: allow_secrets, {reason}"),
                "write the path of the file, or a pattern as in .dockerignore",
            )
        })
    };
    texts.iter().enumerate().map(pattern).collect()
}

/// The pattern in line `number` of `allow_secrets`.
pub fn allowing(number: usize, text: &str) -> Result<Pattern, String> {
    let reason = match parse_line(number, text) {
        Ok(Some(pattern)) if !pattern.reinclude => return Ok(pattern),
        Ok(Some(_)) => "a pattern here has no `!`".to_owned(),
        Ok(None) => "it matches nothing".to_owned(),
        Err(reason) => reason,
    };
    Err(format!("`{}`: {reason}", text.escape_debug()))
}

/// True when `pattern` matches `path` or a folder above it.
pub fn holds(pattern: &Pattern, path: &str) -> bool {
    let components: Vec<&str> = path.split('/').collect();
    (1..=components.len()).any(|n| pattern.matches(&components[..n]))
}

/// Whether a regular file is a secret.
#[derive(Clone, Copy, Debug)]
pub struct SecretQuestion {
    named: Option<Named>,
    bytes: u64,
}

impl SecretQuestion {
    /// The question about the file `path` of so many `bytes`.
    pub fn about(path: &str, bytes: u64) -> SecretQuestion {
        SecretQuestion { named: names::judge(path), bytes }
    }

    /// Why its name alone, which is all that a link has, looks like a secret.
    pub fn of_name(self) -> Option<&'static str> {
        self.named.map(|named| named.reason)
    }

    /// So many bytes from the beginning of the file are needed for an answer: none if its name is
    /// one.
    pub fn needed(self) -> u64 {
        match self.named {
            Some(named) if named.unless_certificates && self.bytes < LARGE => self.bytes,
            Some(_) => 0,
            None if self.bytes < LARGE => HEAD,
            None => content::MAGIC,
        }
    }

    /// Why the file looks like a secret; `None` when it does not. `start` is its beginning, which
    /// may be longer than what is needed.
    pub fn answer(self, start: &[u8]) -> Option<&'static str> {
        let needed = usize::try_from(self.needed()).unwrap_or(usize::MAX).min(start.len());
        let start = &start[..needed];
        // Certificates are public, and their files often have the same names as keys.
        match self.named {
            Some(named) if needed == 0 || !content::only_certificates(start) => Some(named.reason),
            _ => {
                let head = &start[..needed.min(HEAD as usize)];
                content::judge(head, head.len() as u64 == self.bytes)
            }
        }
    }
}

/// The failure that names the files `found`.
fn refusal(mut found: Vec<String>) -> anyhow::Error {
    let message = match found.len() {
        1 => "checking the build context: 1 file looks like a secret".to_owned(),
        n => format!("checking the build context: {n} files look like secrets"),
    };
    let more = found.len().saturating_sub(SHOWN);
    found.truncate(SHOWN);
    if more > 0 {
        found.push(format!("and {more} more"));
    }
    found.push(
        "exclude what is secret in the ignore file (.dockerignore); what was ever pushed must be replaced".into(),
    );
    found.push(
        "what is meant to be in the image: add its path to allow_secrets below [context] in \
         docker/image.toml"
            .into(),
    );
    Failure { exit: Exit::Check, message, help: found }.into()
}
