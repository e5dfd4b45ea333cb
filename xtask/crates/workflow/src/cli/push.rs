//! The command line of `push`.

use clap::Args;
use clap::builder::NonEmptyStringValueParser as Text;

/// `cargo xtask push`
#[derive(Args, Clone, Debug, Default)]
pub struct Push {
    /// The image [default: the production image that was built last]
    #[arg(value_name = "IMAGE", value_parser = Text::new())]
    pub image: Option<String>,
    /// Push to this repository, or to NAME in this registry (repeatable) [default: those of
    /// docker/image.toml]
    #[arg(long, value_name = "REG", env = "XTASK_REGISTRY", value_delimiter = ',')]
    pub registry: Vec<String>,
    /// Push under this tag (repeatable) [default: sha-COMMIT]
    #[arg(long, value_name = "TAG", value_parser = Text::new())]
    pub tag: Vec<String>,
    /// Move tags that name another image, also a release's and a newer commit's
    #[arg(long)]
    pub force: bool,
    /// Push an image whose base was made from Debian packages
    #[arg(long)]
    pub allow_standin: bool,
    /// The longest that one push or one request may take [default: 60, and a second for each
    /// megabyte of the layers]
    #[arg(long, value_name = "SECONDS", env = "XTASK_PUSH_TIMEOUT")]
    pub timeout: Option<u64>,
}
