//! The development image: built if it isn't here, or was made from something else.

use super::Site;
use crate::cli;
use crate::commands::build;
use anyhow::Context as _;
use engine::{inspect, words};
use image::base::Source;
use image::fingerprint;
use image::plan::{self, dev};
use process::invocation::Invocation;
use process::notice::notice;
use process::run::QUESTION;
use std::fs;
use std::path::{Path, PathBuf};

impl Site<'_> {
    /// The ID of the development image of this checkout. The caller holds the lock.
    ///
    /// # Errors
    /// Those of a build.
    pub(super) fn image(&self) -> anyhow::Result<String> {
        let config = &self.workflow.config;
        let inputs = self.inputs()?;
        let reference = plan::local(self.engine.kind, &config.image.name, "dev");
        let answer = self.runner.ask(&words::inspect(self.engine, &reference), QUESTION)?;
        if answer.good() {
            let image = inspect::image(&answer.stdout)?;
            if image.labels.get(dev::INPUTS) == Some(&inputs) {
                return Ok(image.id);
            }
            notice(&format!(
                "rebuilding {reference}: {} or another of its inputs changed",
                config.app.lock_file()
            ));
        } else {
            notice(&format!("building {reference} for the first time: this takes some minutes"));
        }
        let label = vec![(dev::INPUTS.to_owned(), inputs)];
        let args = cli::Build { dev: true, label, ..cli::Build::default() };
        let found = Some((self.engine.clone(), false));
        let ready = build::prepare(self.world, self.workflow, self.runner, &args, found)?;
        let report = build::make(self.world, self.workflow, self.runner, &ready)?;
        Ok(report.image_id)
    }

    /// What builds the development image, for a dry run.
    pub(super) fn build_command(&self) -> Invocation {
        let label = self.inputs().map(|inputs| format!("{}={inputs}", dev::INPUTS));
        let words = ["xtask", "build", "--dev"].map(str::to_owned).into_iter();
        let label = label.into_iter().flat_map(|label| ["--label".to_owned(), label]);
        Invocation::new("cargo", words.chain(label))
    }

    /// The hash of what the development image is made from.
    pub(super) fn inputs(&self) -> anyhow::Result<String> {
        let config = &self.workflow.config;
        let settings = format!("{:?} {:?}", config.app, config.dev);
        let mut parts = vec![settings.into_bytes()];
        let mut files = Vec::new();
        for place in dev::made_from(config) {
            below(&self.top().join(place), &mut files)?;
        }
        for file in files {
            let name = file.strip_prefix(self.top()).unwrap_or(&file);
            parts.push(name.as_os_str().as_encoded_bytes().to_vec());
            parts.push(
                process::regular::read(&file)
                    .with_context(|| format!("reading {}", file.display()))?,
            );
        }
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        Ok(fingerprint::hash(&parts))
    }

    /// The images of PostgreSQL and Redis.
    ///
    /// # Errors
    /// When one is neither here nor can be had.
    pub(super) fn service_images(&self) -> anyhow::Result<[String; 2]> {
        let config = &self.workflow.config;
        let source = Source {
            environment: &self.world.environment,
            runner: self.runner,
            state: &self.workflow.state,
            engine: self.engine,
            assumed: false,
            top: self.top(),
            log: self.workflow.state.new_log("services")?,
            network: &config.network,
            python: self.workflow.oldest_python(),
            dry_run: false,
        };
        let mut services = [config.services.postgres.clone(), config.services.redis.clone()];
        for service in &mut services {
            let (base, _) = source.resolve(service, false, None)?;
            *service = base.reference;
        }
        Ok(services)
    }
}

/// All files at `place` and below it that a build would take, sorted.
fn below(place: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if !place.is_dir() {
        files.push(place.to_path_buf());
        return Ok(());
    }
    let entries = fs::read_dir(place).with_context(|| format!("reading {}", place.display()))?;
    let mut names: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    names.retain(|path| !path.ends_with("__pycache__"));
    names.sort();
    names.iter().try_for_each(|name| below(name, files))
}
