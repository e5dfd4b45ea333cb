//! The command lines of `promote`, `rollback`, `verify` and `reproduce`.

use clap::Args;
use clap::builder::NonEmptyStringValueParser as Text;

/// `cargo xtask promote`
#[derive(Args, Clone, Debug)]
pub struct Promote {
    /// The image in the registry: a version, another tag, or a digest
    #[arg(value_name = "TAG", value_parser = Text::new())]
    pub image: String,
    /// The environment, one of `environments` below [tags] in docker/image.toml
    #[arg(long, value_name = "ENVIRONMENT", value_parser = Text::new())]
    pub to: String,
    /// In this repository (repeatable) [default: those of docker/image.toml]
    #[arg(long, value_name = "REG", env = "XTASK_REGISTRY", value_delimiter = ',')]
    pub registry: Vec<String>,
}

/// `cargo xtask rollback`
#[derive(Args, Clone, Debug)]
pub struct Rollback {
    /// The environment
    #[arg(value_name = "ENVIRONMENT", value_parser = Text::new())]
    pub environment: String,
    /// In this repository (repeatable) [default: those of docker/image.toml]
    #[arg(long, value_name = "REG", env = "XTASK_REGISTRY", value_delimiter = ',')]
    pub registry: Vec<String>,
}

/// `cargo xtask verify`
#[derive(Args, Clone, Debug)]
pub struct Verify {
    /// The image: REGISTRY/NAME:TAG or @DIGEST, or a TAG in the repository of docker/image.toml
    #[arg(value_name = "IMAGE", value_parser = Text::new())]
    pub image: String,
    /// Show who moved the tag of this environment when
    #[arg(long)]
    pub history: bool,
    /// A TAG is in this repository [default: the first of docker/image.toml]
    #[arg(long, value_name = "REG", env = "XTASK_REGISTRY")]
    pub registry: Option<String>,
}

/// `cargo xtask reproduce`
#[derive(Args, Clone, Debug)]
pub struct Reproduce {
    /// The image: REGISTRY/NAME:TAG or @DIGEST, or a TAG in the repository of docker/image.toml
    #[arg(value_name = "IMAGE", value_parser = Text::new())]
    pub image: String,
    /// A TAG is in this repository [default: the first of docker/image.toml]
    #[arg(long, value_name = "REG", env = "XTASK_REGISTRY")]
    pub registry: Option<String>,
    /// Give a secret to the steps that mount it, as for `build`
    #[arg(long, value_name = "id=…", value_parser = super::secret)]
    pub secret: Vec<engine::build::SecretMount>,
}
