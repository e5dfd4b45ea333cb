//! The source of a base or service image: the local store, else its registry, else, and only when
//! no registry can be reached at all, a stand-in.

pub mod lock;

use crate::network::{self, Network};
use crate::platform;
use crate::standin::Making;
use crate::standin::{self, Recipe};
use engine::build::Base;
use engine::inspect::{self, Image};
use engine::reference::{self, Reference};
use engine::{Engine, find, words};
use process::environment::Environment;
use process::failure::{Exit, Failure, describe, failure_help};
use process::invocation::Invocation;
use process::notice::notice;
use process::run::{self, QUESTION, Runner, Watch};
use process::state::{self, State};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the search for an image needs to know.
pub struct Source<'a> {
    /// The surroundings.
    pub environment: &'a Environment,
    /// Starts the programs.
    pub runner: &'a Runner,
    /// Where answers are remembered.
    pub state: &'a State,
    /// The engine that will use the image; `None` where none works and one is only assumed.
    pub engine: &'a Engine,
    /// Whether the engine is only assumed, so that nothing can be asked of it.
    pub assumed: bool,
    /// Top folder of the workflow.
    pub top: &'a Path,
    /// The log file for the output of pulls.
    pub log: PathBuf,
    /// What the file says about the network.
    pub network: &'a Network,
    /// The oldest Python that the lock is for, if it says one.
    pub python: Option<(u32, u32)>,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// The facts that decide how a base is obtained.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// The reference has the registry `localhost`, which is none.
    local: bool,
    /// A newer image is asked for.
    pull: bool,
    /// The platform of the image in the local store.
    stored: Option<String>,
    /// The platform that is asked for.
    platform: Option<String>,
    /// The platform that the engine has by default; empty if it doesn't say.
    own: String,
    /// Whether the registry can be reached, or why not; `None`: not asked yet, which takes time.
    reachable: Option<Result<(), String>>,
}

/// How a base is obtained.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    /// It is in the local store.
    Here,
    /// First the registry must be asked whether it answers.
    Ask,
    /// From its registry, for this platform.
    Pull(Option<String>),
    /// A stand-in is made, for this reason.
    StandIn(String),
    /// It can't be had: it has no registry, and isn't here or is for this platform.
    Missing(Option<String>),
    /// A newer one can't be had, for this reason.
    Unreachable(String),
}

fn decide(seen: &Seen) -> Way {
    let Seen { local, pull, stored, platform, own, reachable } = seen;
    // Only we name images under localhost/: which platform they are for matters only if it is asked.
    let own = (!own.is_empty() && !local).then(|| own.clone());
    let needed = platform.clone().or(own);
    let serves =
        |here: &String| needed.as_ref().is_none_or(|wanted| platform::serves(here, wanted));
    if !pull && stored.as_ref().is_some_and(serves) {
        return Way::Here;
    }
    match reachable {
        _ if *local => Way::Missing(stored.clone()),
        None => Way::Ask,
        // The store has another platform's: this one's must be asked for.
        Some(Ok(())) => Way::Pull(platform.clone().or(needed.filter(|_| stored.is_some()))),
        Some(Err(why)) if *pull => Way::Unreachable(why.clone()),
        Some(Err(why)) => Way::StandIn(why.clone()),
    }
}

impl Source<'_> {
    /// Finds the image `text`, and pulls or makes it if it isn't here. With `dry_run` the commands
    /// that would do that come back instead.
    ///
    /// # Errors
    /// [`Exit::Usage`] for a reference that can't be; [`Exit::RegistryFailed`] and
    /// [`Exit::RegistryRefused`] for a pull that fails; [`Exit::Engine`] when a stand-in can't be
    /// made; 130 or 143 after a signal.
    pub fn resolve(
        &self,
        text: &str,
        pull: bool,
        platform: Option<&str>,
    ) -> anyhow::Result<(Base, Vec<Invocation>)> {
        let wanted = reference::parse(text)?;
        if self.assumed {
            notice(&format!("assumed: {text} is in the local store"));
            let base = found(text, &Image::default(), "assumed to be in the local store");
            return Ok((base, Vec::new()));
        }
        let recipe = standin::recipe(&wanted, self.python);
        let own = recipe.filter(|_| platform::foreign(platform, self.engine).is_none());
        let (stored, standin) = self.here(text, own.as_ref())?;
        let seen = Seen {
            local: wanted.registry == "localhost",
            // A digest has nothing newer.
            pull: pull && wanted.digest.is_none(),
            stored: stored.as_ref().map(|image| image.platform.clone()),
            platform: platform.map(str::to_owned),
            own: self.engine.platform.clone(),
            reachable: None,
        };
        let way = match decide(&seen) {
            Way::Ask => decide(&Seen { reachable: Some(self.reachable(&wanted, pull)?), ..seen }),
            way => way,
        };
        match way {
            Way::Here | Way::Ask => {
                Ok((found(text, &stored.unwrap_or_default(), "in the local store"), Vec::new()))
            }
            Way::Pull(platform) => self.pull(text, platform.as_deref()),
            Way::StandIn(why) => self.stand_in(text, recipe, standin, platform, &why),
            Way::Missing(stored) => Err(self.missing(text, stored.as_deref())),
            Way::Unreachable(why) => {
                Err(unreachable(text, &why, "leave out --pull to use what is here"))
            }
        }
    }

    /// Whether the registry of the image answers. What was true a while ago counts, unless a newer
    /// image is asked for.
    fn reachable(&self, wanted: &Reference, pull: bool) -> anyhow::Result<Result<(), String>> {
        let Source { engine, environment, runner, state, .. } = self;
        let known = match pull {
            true => None,
            false => registry::known_unreachable(wanted, engine, environment, runner, state)?,
        };
        match known {
            Some(why) => Ok(Err(why)),
            None => registry::reachable(wanted, engine, environment, runner, state),
        }
    }

    /// The digest that the registry of `text` has under that name now; the image is pulled.
    ///
    /// # Errors
    /// [`Exit::RegistryFailed`] and [`Exit::RegistryRefused`].
    pub fn look_up(&self, text: &str) -> anyhow::Result<String> {
        let stays = format!("{} stays as it is", lock::PATH);
        if let Err(why) = self.reachable(&reference::parse(text)?, true)? {
            return Err(unreachable(text, &why, &stays));
        }
        let (base, _) = self.pull(text, None)?;
        base.digest.ok_or_else(|| {
            let program = &self.engine.program;
            let message =
                format!("looking up {text}: {program} pulled it and knows no digest of it");
            failure_help(Exit::Unexpected, message, stays)
        })
    }

    fn missing(&self, text: &str, stored: Option<&str>) -> anyhow::Error {
        let store = format!("the store of {}", self.engine.program);
        let message = match stored {
            Some(platform) => format!("looking for {text}: in {store} it is for {platform}"),
            None => format!("looking for {text}: not in {store}"),
        };
        let help = "a name under localhost/ has no registry: build or import that image first, or name another with --base";
        failure_help(Exit::Usage, message, help)
    }

    /// Pulls `text` if it isn't here or a newer one is asked for: an image that a Dockerfile names
    /// itself, which nothing stands in for. With `dry_run` the command comes back instead.
    pub fn fetch(
        &self,
        text: &str,
        pull: bool,
        platform: Option<&str>,
    ) -> anyhow::Result<Vec<Invocation>> {
        let wanted = reference::parse(text)?;
        let local = wanted.registry == "localhost";
        let here = || anyhow::Ok(!self.inspect(&[text])?.is_empty());
        if self.assumed || (local || !pull) && here()? {
            return Ok(Vec::new());
        }
        let store = format!("the store of {}", self.engine.program);
        let help = format!("the Dockerfile names it: load it into {store}");
        if local {
            let message = format!("looking for {text}: not in {store}");
            return Err(failure_help(Exit::Usage, message, help));
        }
        if let Err(why) = self.reachable(&wanted, true)? {
            return Err(unreachable(text, &why, &help));
        }
        Ok(self.pull(text, platform)?.1)
    }

    /// The image `text` and the stand-in of `recipe`, each if it is in the local store.
    fn here(
        &self,
        text: &str,
        recipe: Option<&Recipe>,
    ) -> anyhow::Result<(Option<Image>, Option<Image>)> {
        let standin = recipe.map(|recipe| recipe.reference);
        let names: Vec<&str> = [text].into_iter().chain(standin).collect();
        Ok(told_apart(self.inspect(&names)?, standin))
    }

    fn inspect(&self, names: &[&str]) -> anyhow::Result<Vec<Image>> {
        let answer = self.runner.ask(&words::inspect_all(self.engine, names), QUESTION)?;
        let images = inspect::images(&answer.stdout);
        if answer.good() { images } else { Ok(images.unwrap_or_default()) }
    }

    fn inspect_one(&self, name: &str) -> anyhow::Result<Image> {
        Ok(self.inspect(&[name])?.pop().unwrap_or_default())
    }

    fn pull(&self, text: &str, platform: Option<&str>) -> anyhow::Result<(Base, Vec<Invocation>)> {
        let invocation = words::pull(self.engine, text, platform, false);
        if self.dry_run {
            notice(&format!(
                "assumed: {text} can be pulled; its digest, a label, is known only then"
            ));
            return Ok((found(text, &Image::default(), "to be pulled"), vec![invocation]));
        }
        notice(&format!("pulling {text}"));
        let ended = self.runner.stream(&invocation, &self.log, Watch::default())?;
        if ended.code != Some(0) {
            return Err(pull_failed(text, &ended, &self.log).into());
        }
        let image = self.inspect_one(text)?;
        Ok((found(text, &image, "pulled"), Vec::new()))
    }

    fn stand_in(
        &self,
        text: &str,
        recipe: Option<Recipe>,
        here: Option<Image>,
        platform: Option<&str>,
        why: &str,
    ) -> anyhow::Result<(Base, Vec<Invocation>)> {
        let Some(recipe) = recipe else {
            return Err(unreachable(
                text,
                why,
                "name an image that is in the local store with --base",
            ));
        };
        let mirror = self.environment.variable("XTASK_DEBIAN_MIRROR");
        let mirror = network::debian_mirror(mirror, self.network)?;
        let cache = self.environment.cache()?;
        let foreign = platform::foreign(platform, self.engine);
        let making =
            standin::making(&recipe, self.top, &cache, mirror.as_deref(), foreign, self.engine)?;
        let reference = making.reference.as_str();
        let why = format!("stand-in for {text}: {why}");
        let base = |image: &Image| Base { standin: true, ..found(reference, image, &why) };
        // Only its own platform's was asked for with the image itself.
        let here = if foreign.is_some() { self.inspect(&[reference])?.pop() } else { here };
        let current = |image: &&Image| image.labels.get(standin::LABEL) == Some(&making.recipe);
        if let Some(image) = here.as_ref().filter(current) {
            return Ok((base(image), Vec::new()));
        }
        if !making.fetch.is_empty()
            && find::on_path(self.environment.path(), "mmdebstrap").is_empty()
        {
            let message =
                format!("making the stand-in for {text}: mmdebstrap is not installed ({why})");
            let help = "`cargo xtask setup` installs it on Debian and Ubuntu (`build --setup` on the way); elsewhere name an image that is in the local store with --base";
            return Err(failure_help(Exit::Engine, message, help));
        }
        let steps = |making: Making| making.fetch.into_iter().chain([making.import]).collect();
        if self.dry_run {
            return Ok((base(&Image::default()), steps(making)));
        }
        let _alone = self.alone_in(&cache)?;
        // Another process may have made the archive while this one waited.
        let making =
            standin::making(&recipe, self.top, &cache, mirror.as_deref(), foreign, self.engine)?;
        let steps: Vec<Invocation> = steps(making.clone());
        notice(&format!("making {reference} from Debian packages, once, in about a minute"));
        let quiet = Runner { progress: self.runner.verbose, ..self.runner.clone() };
        for step in &steps {
            let ended = quiet.stream(step, &self.log, Watch::default())?;
            if ended.code != Some(0) {
                let step = format!("making the stand-in for {text} with {}", step.program);
                return Err(run::step_failed(Exit::Engine, &step, &ended, &self.log).into());
            }
        }
        Ok((base(&self.inspect_one(reference)?), Vec::new()))
    }
}

impl Source<'_> {
    /// Waits until no other process makes a stand-in: all checkouts share the archives.
    fn alone_in(&self, cache: &Path) -> anyhow::Result<std::fs::File> {
        let (folder, holder) = (cache.join("standins"), format!("process {}", std::process::id()));
        let what = "of the stand-ins' archives";
        for attempt in 0.. {
            match state::lock(&folder, "lock", what, &holder, Duration::from_millis(500)) {
                Err(error) if describe(&error).0 == Exit::Locked => {
                    self.runner.check_signal()?;
                    if attempt == 0 {
                        notice(&format!("waiting: {error}"));
                    }
                }
                locked => return locked,
            }
        }
        anyhow::bail!("waiting for the lock {what}")
    }
}

/// The engines leave out what isn't there: which of the two is `images`, when it is only one?
fn told_apart(images: Vec<Image>, standin: Option<&str>) -> (Option<Image>, Option<Image>) {
    let mut images = images.into_iter();
    let is_standin =
        |image: &Image| standin.is_some_and(|name| image.references.iter().any(|own| own == name));
    match (images.next(), images.next()) {
        (Some(only), None) if is_standin(&only) => (None, Some(only)),
        both => both,
    }
}

fn found(reference: &str, image: &Image, why: &str) -> Base {
    Base {
        reference: reference.to_owned(),
        id: image.id.clone(),
        digest: inspect::registry_digest(image, reference),
        layers: image.layers.clone(),
        labels: image.labels.clone(),
        standin: false,
        why: why.to_owned(),
        assets: None,
    }
}

fn unreachable(text: &str, why: &str, help: &str) -> anyhow::Error {
    let message = format!("fetching {text}: no registry can be reached: {why}");
    failure_help(Exit::RegistryFailed, message, help)
}

/// A registry that says no will say it again; anything else may pass.
fn pull_failed(text: &str, ended: &run::Ended, log: &Path) -> Failure {
    let refused = registry::is_final(&ended.lines);
    let exit = if refused { Exit::RegistryRefused } else { Exit::RegistryFailed };
    run::step_failed(exit, &format!("pulling {text}"), ended, log)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_here_pulled_made_or_missing() {
        let (amd, arm) = ("linux/amd64", "linux/arm64");
        let text = |one: &str| (one != "-").then(|| one.to_owned());
        let check = |words: &str, stored: &str, platform: &str, expected: [Way; 3]| {
            let seen = Seen {
                local: words.contains("local"),
                pull: words.contains("pull"),
                stored: text(stored),
                platform: text(platform),
                own: amd.to_owned(),
                reachable: None,
            };
            let with = |reachable| decide(&Seen { reachable: Some(reachable), ..seen.clone() });
            let found = [decide(&seen), with(Ok(())), with(Err("down".to_owned()))];
            assert_eq!(found, expected, "{words}, stored {stored}, asked {platform}");
        };
        let same = |way: Way| [way.clone(), way.clone(), way];
        let pull = |platform: &str| Way::Pull(text(platform));
        let made = || Way::StandIn("down".to_owned());
        check("", amd, "-", same(Way::Here));
        check("", "-", "-", [Way::Ask, pull("-"), made()]);
        check("", arm, "-", [Way::Ask, pull(amd), made()]);
        check("", amd, arm, [Way::Ask, pull(arm), made()]);
        check("", arm, arm, same(Way::Here));
        check("pull", amd, "-", [Way::Ask, pull(amd), Way::Unreachable("down".to_owned())]);
        check("local", amd, "-", same(Way::Here));
        check("local", arm, "-", same(Way::Here));
        check("local", "-", "-", same(Way::Missing(None)));
        check("local", amd, arm, same(Way::Missing(text(amd))));
        check("local pull", amd, "-", same(Way::Missing(text(amd))));
    }

    #[test]
    fn one_answer_for_two_questions_is_known_by_its_name() {
        let image = |name: &str| Image { references: vec![name.to_owned()], ..Image::default() };
        let (asked, standin) = (image("python:3.12"), image("localhost/standin"));
        let check = |images: &[&Image], name, expected: (Option<&Image>, Option<&Image>)| {
            let images = images.iter().map(|image| (*image).clone()).collect();
            let expected = (expected.0.cloned(), expected.1.cloned());
            assert_eq!(told_apart(images, name), expected);
        };
        let name = Some("localhost/standin");
        check(&[&asked, &standin], name, (Some(&asked), Some(&standin)));
        check(&[&asked], name, (Some(&asked), None));
        check(&[&standin], name, (None, Some(&standin)));
        check(&[&standin], None, (Some(&standin), None));
        check(&[], name, (None, None));
    }
}
