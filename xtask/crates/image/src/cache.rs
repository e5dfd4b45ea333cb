//! The layer cache in a registry: looked for before a build, so that one that can't be used costs
//! a line and seconds instead of the build; and, on Docker, sent there after it.

use crate::config::Config;
use engine::build::Cache;
use engine::machine::Machine;
use engine::reference::cache_repository;
use engine::{Engine, words};
use process::environment::Environment;
use process::failure::{Exit, describe};
use process::notice::notice;
use process::run::{QUESTION, Runner, Watch, tail};
use registry::{Client, ClientSettings};
use std::path::Path;
use std::time::Duration;

/// How long the registry of a cache is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest that a cache may take to be sent.
const LIMIT: Duration = Duration::from_secs(600);

/// The layer cache that this build can use, if one is asked for.
///
/// # Errors
/// [`Exit::Usage`] for an impossible name; 130 or 143 after a signal. A registry that doesn't serve
/// gets a notice and is no error.
pub fn find(
    environment: &Environment,
    config: &Config,
    machine: &Machine,
    engine: &Engine,
    runner: &Runner,
    asked: Option<&str>,
    dry_run: bool,
) -> anyhow::Result<Option<Cache>> {
    let configured = config.push.cache.as_deref();
    let Some(target) = cache_repository(asked, configured, &config.image.name)? else {
        return Ok(None);
    };
    let mut cache = Cache { repository: target.to_string(), writes: true, plain: false };
    if dry_run {
        notice(&format!("assumed: the layer cache {} can be reached", cache.repository));
        return Ok(Some(cache));
    }
    let surroundings =
        ClientSettings { environment, machine, engine, runner, limit: PATIENCE, attempts: 1 };
    let looked = Client::open(&target, &surroundings, true).and_then(|client| {
        cache.plain = client.plain;
        client.may_push()
    });
    let looked = match looked {
        Err(error) if describe(&error).0 == Exit::RegistryRefused => {
            cache.writes = false;
            Client::open(&target, &surroundings, false)
                .and_then(|client| client.digest("cache"))
                .map(drop)
        }
        other => other,
    };
    runner.check_signal()?;
    match looked {
        Ok(()) => {
            notice(&format!("layer cache: {}", cache.shown(engine.kind)));
            Ok(Some(cache))
        }
        Err(why) => {
            notice(&format!("layer cache: {} isn't used: {why:#}", cache.repository));
            Ok(None)
        }
    }
}

/// Sends an image that carries the cache to the registry. A failure is only a warning: the image is
/// already built.
pub fn keep(
    cache: &Cache,
    engine: &Engine,
    image: &str,
    runner: &Runner,
    log: &Path,
) -> anyhow::Result<()> {
    let name = cache.image();
    for naming in words::tag(engine, image, std::slice::from_ref(&name)) {
        runner.ask(&naming, QUESTION)?;
    }
    let push = words::push(engine, image, &name, "", cache.plain);
    let watch = Watch { limit: Some(LIMIT), ..Watch::default() };
    let ended = runner.stream(&push, log, watch)?;
    if ended.code != Some(0) {
        let last = tail(&ended.lines, 1).first().cloned().unwrap_or_default();
        let why = if ended.late { "it took too long".to_owned() } else { last };
        notice(&format!("warning: the layer cache {name} wasn't written: {why}"));
    }
    // The name of a cache is no name of an image here.
    runner.ask(&words::remove_image(engine, &name), QUESTION)?;
    Ok(())
}
