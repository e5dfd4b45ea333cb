//! The words of `dev`.

use clap::{Args, Subcommand};

/// `cargo xtask dev`
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Dev {
    /// Come back once the site is healthy, and leave it running
    #[arg(short, long)]
    pub detach: bool,
    /// Run the payload's tests in the development image; what follows goes to pytest
    #[arg(
        long,
        num_args = 0..,
        allow_hyphen_values = true,
        value_name = "ARGUMENTS",
        conflicts_with_all = ["detach", "words"]
    )]
    pub test: Option<Vec<String>>,
    /// Run this command beside the site, in a container of its own, and end as it ends
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "detach")]
    pub words: Vec<String>,
    /// What else there is to do.
    #[command(subcommand)]
    pub action: Option<DevAction>,
}

/// What `dev` does with what runs already.
#[derive(Clone, Debug, Subcommand)]
pub enum DevAction {
    /// Say what runs, and where the site is
    Status,
    /// Show the logs, of some roles only where they are named
    Logs {
        /// web, worker, beat, migrate, postgres or redis
        #[arg(value_name = "ROLE")]
        roles: Vec<String>,
        /// Go on until Ctrl-C; the site goes on, too
        #[arg(short, long)]
        follow: bool,
    },
    /// Stop everything and keep the data
    Stop {
        /// Remove the data, too
        #[arg(long)]
        volumes: bool,
    },
}
