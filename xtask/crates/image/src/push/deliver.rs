//! The engine's own push, which moves the layers: watched, ended when it is silent, and retried if
//! that can help. Every failure of Podman's is exit status 125, so its output and what the registry
//! says afterwards decide.

use super::Job;
use engine::{EngineKind, words};
use process::failure::{Exit, Failure};
use process::invocation::Invocation;
use process::notice::notice;
use process::run::{self, Ended, QUESTION, Watch, shortened, tail};
use registry::{ATTEMPTS, Client, is_final, pause};

/// How often a push that says nothing is waited for until its limit.
const SILENT: u32 = 2;

/// The commands that send the image to `name`: Docker sends only what has the name itself.
pub(super) fn invocations(job: &Job<'_>, client: &Client, name: &str) -> Vec<Invocation> {
    let image = &job.image.image.id;
    let file = job.digest_file.display().to_string();
    let mut push = words::push(job.engine, image, name, &file, client.plain);
    push.env.extend(job.env.iter().cloned());
    match job.engine.kind {
        EngineKind::Podman => vec![push],
        EngineKind::Docker => {
            let mut all = words::tag(job.engine, image, &[name.to_owned()]);
            all.push(push);
            all
        }
    }
}

/// Sends the image to `name`; the digest, if the engine tells it.
///
/// # Errors
/// [`Exit::RegistryRefused`] for what is final, [`Exit::RegistryFailed`] for what still fails after
/// [`ATTEMPTS`]; 130 or 143 after a signal, when the engine has ended.
pub(super) fn deliver(
    job: &Job<'_>,
    client: &Client,
    name: &str,
) -> anyhow::Result<Option<String>> {
    let all = invocations(job, client, name);
    let Some((push, first)) = all.split_last() else { return Ok(None) };
    for naming in first {
        let answer = job.runner.ask(naming, QUESTION)?;
        if !answer.good() {
            anyhow::bail!("naming the image {name}: {}", answer.last_line());
        }
    }
    let sent = send(job, client, name, push);
    if job.engine.kind == EngineKind::Docker && keeps_other_name(&job.image.image.references, name)
    {
        let calm = run::Runner { signal: std::sync::Arc::default(), ..job.runner.clone() };
        calm.ask(&words::remove_image(job.engine, name), QUESTION)?;
    }
    sent
}

/// Whether an image with `names` has a name other than that of the push: else it would be removed
/// with that one. A name that it had before stays.
fn keeps_other_name(names: &[String], name: &str) -> bool {
    !names.is_empty() && !names.iter().any(|known| known == name)
}

fn send(
    job: &Job<'_>,
    client: &Client,
    name: &str,
    push: &Invocation,
) -> anyhow::Result<Option<String>> {
    let (mut attempt, mut silent) = (1, 0);
    loop {
        let _ = std::fs::remove_file(job.digest_file);
        let watch = Watch { limit: Some(job.limit), ..Watch::default() };
        let ended = job.runner.stream(push, job.log, watch)?;
        let digest = digest(job, &ended);
        // Podman ended by SIGTERM can say 0: what counts is the digest that it wrote.
        if ended.code == Some(0) && (digest.is_some() || job.engine.kind == EngineKind::Docker) {
            return Ok(digest);
        }
        let why = if ended.late {
            silent += 1;
            format!("ended after {} s without a result", job.limit.as_secs())
        } else {
            let last = tail(&ended.lines, 1);
            let last = last.first().map_or("no output", |line| line.trim_start_matches("Error: "));
            shortened(last.trim_end_matches([',', ' ']), 300)
        };
        if !ended.late && is_final(&ended.lines) {
            return Err(failed(job, Exit::RegistryRefused, name, &ended, &why, attempt));
        }
        // A single request of ours: it says whether we are still welcome, and how long to wait.
        let wait = client.after_failure()?;
        if attempt == ATTEMPTS || silent == SILENT {
            return Err(failed(job, Exit::RegistryFailed, name, &ended, &why, attempt));
        }
        let wait = wait.unwrap_or_else(|| pause(attempt));
        notice(&format!("pushing {name}: {why}; retrying in {:.1} s", wait.as_secs_f64()));
        job.runner.sleep(wait)?;
        attempt += 1;
    }
}

/// The digest that Podman wrote to the file, or Docker in its last line.
fn digest(job: &Job<'_>, ended: &Ended) -> Option<String> {
    match job.engine.kind {
        EngineKind::Podman => {
            let text = process::regular::read_text(job.digest_file).ok()?;
            let _ = std::fs::remove_file(job.digest_file);
            Some(text.trim().to_owned()).filter(|text| text.starts_with("sha256:"))
        }
        EngineKind::Docker => ended.lines.iter().rev().find_map(|line| said_digest(line)),
    }
}

/// The digest in `latest: digest: sha256:… size: 1234`.
fn said_digest(line: &str) -> Option<String> {
    let (_, after) = line.split_once("digest: ")?;
    let digest = after.split_whitespace().next()?;
    digest.starts_with("sha256:").then(|| digest.to_owned())
}

fn failed(
    job: &Job<'_>,
    exit: Exit,
    name: &str,
    ended: &Ended,
    why: &str,
    attempts: u32,
) -> anyhow::Error {
    let step = run::step_failed(exit, &format!("pushing {name}"), ended, job.log);
    let times = if attempts == 1 { String::new() } else { format!(", {attempts} times") };
    Failure { message: format!("pushing {name}: {why}{times}"), ..step }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_push_goes_if_the_image_has_another() {
        let check = |names: &[&str], expected| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            assert_eq!(keeps_other_name(&names, "r.example/a:1"), expected, "{names:?}");
        };
        check(&["a:prod"], true);
        check(&["a:prod", "r.example/a:1"], false);
        check(&["r.example/a:1"], false);
        check(&[], false);
    }

    #[test]
    fn docker_says_the_digest_at_the_end() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let line = format!("1.2.3: digest: {digest} size: 1234");
        assert_eq!(said_digest(&line), Some(digest));
        assert_eq!(said_digest("5f70bf18a086: Layer already exists"), None);
        assert_eq!(said_digest("digest: "), None);
    }
}
