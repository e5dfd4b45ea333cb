//! The local image that is pushed, as its engine describes it.

use crate::plan::push::{ImageIdentity, label};
use crate::verify::{self, Precision};
use engine::inspect::{self, Image};
use engine::{Engine, words};
use process::failure::{Exit, failure_help};
use process::run::{QUESTION, Runner};
use process::state::State;
use registry::Manifest;

/// A local image, and what makes it known again in a registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalImage {
    /// What the engine says about it.
    pub image: Image,
    /// Digest of its config: what a manifest of it names, however its layers are compressed.
    pub config_digest: Option<String>,
    /// Sum of the uncompressed layer bytes.
    pub size_bytes: u64,
    /// What its labels say.
    pub identity: ImageIdentity,
}

impl LocalImage {
    /// Whether a manifest is of this image. Docker's containerd store calls an image by its
    /// manifest's digest.
    pub fn is(&self, manifest: &Manifest) -> bool {
        let same_config = self.config_digest.is_some() && manifest.config == self.config_digest;
        same_config || manifest.digest == self.image.id
    }
}

/// Asks the engine for the image `reference`, an image ID or a local name.
///
/// # Errors
/// [`Exit::Usage`] when there is none; 130 or 143 after a signal.
pub fn subject(
    engine: &Engine,
    runner: &Runner,
    state: &State,
    reference: &str,
) -> anyhow::Result<LocalImage> {
    let answer = runner.ask(&words::inspect(engine, reference), QUESTION)?;
    if !answer.good() {
        let message = format!("looking for the image {reference}: {}", answer.last_line());
        let help = "build it with `cargo xtask build`, or name another";
        return Err(failure_help(Exit::Usage, message, help));
    }
    let image = inspect::image(&answer.stdout)?;
    let size = verify::measure(state, engine, &image, Precision::Exact, runner)?;
    let identity = ImageIdentity {
        revision: label(&image.labels, "revision"),
        version: label(&image.labels, "version"),
    };
    Ok(LocalImage { image, config_digest: size.config_digest, size_bytes: size.bytes, identity })
}
