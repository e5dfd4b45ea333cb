//! How a command ends: the exit codes, which are a contract, and the one error type that carries
//! them with a line of help.

use std::fmt;

/// The exit codes of every command. Scripts rely on them: a number never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Something that no other code names; a bug, or the machine failed (disk full, I/O error).
    Unexpected = 1,
    /// The command line, the environment or `docker/image.toml` asks for something impossible.
    Usage = 2,
    /// The git checkout is missing, unreadable or in a state that the command refuses.
    Git = 3,
    /// No engine, or one that cannot be reached or cannot work; also a tool that is missing.
    Engine = 4,
    /// The engine ran the build and it failed.
    Build = 5,
    /// A registry failed, also after retries.
    RegistryFailed = 6,
    /// A registry refused (401, 403, 404, an invalid name): trying again will not help.
    RegistryRefused = 7,
    /// A check failed or a budget was exceeded.
    Check = 8,
    /// Another run holds the lock.
    Locked = 9,
    /// What was made is not what was asked for.
    Mismatch = 10,
    /// Ended by Ctrl-C or a closed terminal (SIGINT, SIGHUP).
    Interrupted = 130,
    /// Ended by SIGTERM.
    Terminated = 143,
}

/// A failure that the user can act on: what failed, the exit code, and what to do next.
///
/// The message is one line, `doing this: what failed`, lower case, without a full stop.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    pub message: String,
    /// What to do next, a line each; printed as `help:` lines.
    pub help: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// A [`Failure`] without help.
pub fn failure(exit: Exit, message: impl Into<String>) -> anyhow::Error {
    Failure { exit, message: message.into(), help: Vec::new() }.into()
}

pub fn failure_help(
    exit: Exit,
    message: impl Into<String>,
    help: impl Into<String>,
) -> anyhow::Error {
    Failure { exit, message: message.into(), help: vec![help.into()] }.into()
}

pub fn and_help(error: &anyhow::Error, help: impl Into<String>) -> anyhow::Error {
    let (exit, mut all) = describe(error);
    all.push(help.into());
    Failure { exit, message: format!("{error:#}"), help: all }.into()
}

/// All of `errors` as one failure: a single one as it is, several as a line of help each.
///
/// # Errors
/// That failure, if there is an error, with the exit code of the first.
pub fn all(doing: &str, mut errors: Vec<anyhow::Error>) -> anyhow::Result<()> {
    if errors.len() < 2 {
        return errors.pop().map_or(Ok(()), Err);
    }
    let exit = describe(&errors[0]).0;
    let message = format!("{doing}: {} mistakes", errors.len());
    let line = |error: &anyhow::Error| {
        let help = describe(error).1;
        [vec![format!("{error:#}")], help].concat().join("; ")
    };
    Err(Failure { exit, message, help: errors.iter().map(line).collect() }.into())
}

/// The exit code and the help lines of `error`: those of the first [`Failure`] in its chain,
/// else [`Exit::Unexpected`] and none.
pub fn describe(error: &anyhow::Error) -> (Exit, Vec<String>) {
    error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Failure>())
        .map_or((Exit::Unexpected, Vec::new()), |failure| (failure.exit, failure.help.clone()))
}

/// The exit code of `error`, and the lines that tell it to a person.
pub fn shown(error: &anyhow::Error) -> (Exit, Vec<String>) {
    let (exit, help) = describe(error);
    // An indented line is a quotation that belongs to the line before it.
    let line =
        |text: String| format!("{}{text}", if text.starts_with("  ") { "    " } else { "help: " });
    let first = [format!("error: {error:#}")];
    (exit, first.into_iter().chain(help.into_iter().map(line)).collect())
}
