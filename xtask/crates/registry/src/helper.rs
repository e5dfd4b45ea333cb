//! `senex-https`, the program that sends our requests: TLS takes a third of what this workspace
//! needs to compile, and most commands ask no registry.

use super::message::{Request, RequestOutcome, Trust, identity};
use anyhow::Context as _;
use process::failure::{Exit, failure_help};
use process::invocation::Invocation;
use process::notice::notice;
use process::run::{Conversation, Runner};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Its name, which is its package's.
const NAME: &str = "senex-https";
/// Its package, as the repository of this crate has it.
const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../https/Cargo.toml");
/// How long it may take to say what it is.
const HELLO: Duration = Duration::from_secs(20);
/// How long compiling it may take.
const COMPILING: Duration = Duration::from_secs(1800);
/// What it may take longer than a request: name servers have their own patience.
const MORE: Duration = Duration::from_secs(1);

/// The program, started.
pub(super) struct Helper(Conversation);

impl Helper {
    /// Starts it, and tells it whom to trust. It is compiled first if there is none as we expect
    /// it.
    ///
    /// # Errors
    /// [`Exit::Unexpected`] if it can't be compiled.
    pub(super) fn start(runner: &Runner, cargo: &str, trust: &Trust) -> anyhow::Result<Helper> {
        // One compiles, the others wait for it.
        static COMPILED: Mutex<()> = Mutex::new(());
        let us = std::env::current_exe().context("finding our own program")?;
        let folder = us.parent().filter(|folder| !folder.ends_with("deps"));
        let folder = folder.or_else(|| us.parent()?.parent()).unwrap_or(Path::new("."));
        let program = folder.join(NAME);
        let mut conversation = {
            let _one = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
            match greeted(runner, &program)? {
                Some(conversation) => conversation,
                None => {
                    compile(runner, cargo, folder)?;
                    greeted(runner, &program)?.with_context(|| {
                        format!("{} isn't what was compiled just now", program.display())
                    })?
                }
            }
        };
        conversation.say(&serde_json::to_string(trust)?);
        Ok(Helper(conversation))
    }

    /// The outcome of one request; `None` if there is none in time, after which this is over.
    ///
    /// # Errors
    /// [`Exit::Unexpected`] if the program ends.
    pub(super) fn ask(
        &mut self,
        runner: &Runner,
        request: &Request,
    ) -> anyhow::Result<Option<RequestOutcome>> {
        self.0.say(&serde_json::to_string(request)?);
        let Some(line) = self.0.hear(runner, request.limit + MORE)? else { return Ok(None) };
        Ok(Some(serde_json::from_str(&line).with_context(|| format!("{NAME}: it said {line:?}"))?))
    }
}

/// The program at `path`, if it is there and compiled from what we know.
fn greeted(runner: &Runner, path: &Path) -> anyhow::Result<Option<Conversation>> {
    if !path.is_file() {
        return Ok(None);
    }
    let program = path.display().to_string();
    // It reads no file, and the folder may go before it ends.
    let anywhere = Runner { folder: "/".into(), ..runner.clone() };
    let mut conversation = anywhere.converse(&Invocation::new(program, [""; 0]))?;
    // One of another kind may end without a word.
    let hello = conversation.hear(runner, HELLO);
    runner.check_signal()?;
    Ok(matches!(hello, Ok(Some(line)) if line == identity()).then_some(conversation))
}

/// Compiles it into `folder`, which is ours and one of cargo's: `target/debug`.
fn compile(runner: &Runner, cargo: &str, folder: &Path) -> anyhow::Result<()> {
    let refused = |why: String| {
        let message = format!("compiling {NAME}, which sends requests to registries: {why}");
        let help = format!(
            "`cargo build --locked --package {NAME}` where this program comes from, \
             then put it into {}",
            folder.display()
        );
        Err(failure_help(Exit::Unexpected, message, help))
    };
    if !Path::new(MANIFEST).is_file() {
        return refused("this copy of the workflow came without it".to_owned());
    }
    if !folder.join(".fingerprint").is_dir() {
        return refused(format!("{} isn't where cargo compiles", folder.display()));
    }
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let target = folder.parent().unwrap_or(folder).display().to_string();
    let words = ["build", "--locked", "--quiet", "--manifest-path", MANIFEST];
    let words = words.into_iter().chain(["--profile", profile, "--target-dir", &target]);
    notice(&format!("compiling {NAME}, which asks registries: once, in about half a minute"));
    let answer = runner.ask(&Invocation::new(cargo, words), COMPILING)?;
    if answer.good() {
        return Ok(());
    }
    refused(answer.last_line().to_owned())
}
