//! The command line of `release`.

use clap::Args;
use clap::builder::NonEmptyStringValueParser as Text;
use engine::build::SecretMount;
use std::path::PathBuf;

/// `cargo xtask release`
#[derive(Args, Clone, Debug, Default)]
pub struct Release {
    /// Push to this repository, or to NAME in this registry (repeatable) [default: those of
    /// docker/image.toml]
    #[arg(long, value_name = "REG", env = "XTASK_REGISTRY", value_delimiter = ',')]
    pub registry: Vec<String>,
    /// Make one layer of all before it is tested (`cargo xtask squash`)
    #[arg(long)]
    pub squash: bool,
    /// Whatever git says, under names that no release has: the branch's or pull request's, and
    /// sha-COMMIT-snapshot
    #[arg(long)]
    pub snapshot: bool,
    /// Release on a base that was made from Debian packages, and don't ask for a newer one
    #[arg(long)]
    pub allow_standin: bool,
    /// Only the core checks of the smoke test
    #[arg(long)]
    pub core: bool,
    /// Key of the step that brings Debian's fixes since the base was made, `none` for without;
    /// another key runs it again [default: today]
    #[arg(long, value_name = "KEY")]
    pub debian_refresh: Option<String>,
    /// A build argument, NAME=VALUE (repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = super::pair)]
    pub build_arg: Vec<(String, String)>,
    /// A build secret, id=NAME,src=FILE or id=NAME,env=VARIABLE (repeatable)
    #[arg(long, value_name = "SECRET", value_parser = super::secret)]
    pub secret: Vec<SecretMount>,
    /// Also keep the layer cache in this repository, or `none` [default: that of docker/image.toml]
    #[arg(long, value_name = "REF", value_parser = Text::new(), env = "XTASK_CACHE")]
    pub cache: Option<String>,
    /// Write what changed since the last release to this file, as Markdown: packages, migrations,
    /// layers, tests
    #[arg(long, value_name = "FILE", conflicts_with = "snapshot")]
    pub notes: Option<PathBuf>,
    /// Move tags that name another image, also a release's and a newer commit's
    #[arg(long)]
    pub force: bool,
    /// The longest that one push or one request may take [default: 60, and a second for each
    /// megabyte of the layers]
    #[arg(long, value_name = "SECONDS", env = "XTASK_PUSH_TIMEOUT")]
    pub timeout: Option<u64>,
}
