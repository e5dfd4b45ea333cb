//! The command line of `export`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `cargo xtask export`
#[derive(Args, Clone, Debug)]
pub struct Export {
    /// For which program.
    #[command(subcommand)]
    pub what: Exported,
}

/// What `export` writes for.
#[derive(Clone, Debug, Subcommand)]
pub enum Exported {
    /// Write Compose files for one host and for development
    ///
    /// Writes docker/compose.yaml, one host in production, docker/compose.dev.yaml, what `dev` runs,
    /// and a docker/Caddyfile if there is none.
    Compose,
    /// Write systemd units (Quadlet) that follow an environment
    ///
    /// For Podman 5.2 or newer. The server pulls the image whenever the environment's tag moves, and
    /// goes back to the last one if that doesn't become healthy. NAME.network says what to type there.
    Quadlet(Quadlet),
}

/// `cargo xtask export quadlet`
#[derive(Args, Clone, Debug)]
pub struct Quadlet {
    /// Write the units into this folder
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Follow this tag
    #[arg(long, value_name = "NAME", default_value = "production")]
    pub environment: String,
    /// Pull from this repository, or from NAME in this registry [default: the first of
    /// docker/image.toml]
    #[arg(long, value_name = "REG", env = "XTASK_REGISTRY", value_delimiter = ',')]
    pub registry: Vec<String>,
    /// Leave out PostgreSQL and Redis, which run elsewhere
    #[arg(long)]
    pub without_services: bool,
}
