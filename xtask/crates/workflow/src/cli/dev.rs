//! The command line of `dev`.

use clap::{Args, Subcommand};

/// `cargo xtask dev`
#[derive(Args, Clone, Debug, Default)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Dev {
    /// What to do with what runs.
    #[command(subcommand)]
    pub action: Option<Action>,
    /// Start everything, wait until the site answers, and leave it running
    #[arg(long, conflicts_with_all = ["test", "command"])]
    pub detach: bool,
    /// Run the tests of the application in the development image, with what follows for pytest
    #[arg(
        long,
        value_name = "ARGS",
        num_args = 0..,
        allow_hyphen_values = true,
        conflicts_with = "command"
    )]
    pub test: Option<Vec<String>>,
    /// Run a command in the web container, with the terminal; what isn't running is started
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// What to do with what runs.
#[derive(Clone, Debug, Subcommand)]
pub enum Action {
    /// Show what is running, and where the site is
    Status,
    /// Print the logs of the roles
    Logs {
        /// Only this role: web, worker, beat, postgres or redis (repeatable)
        #[arg(value_name = "ROLE")]
        roles: Vec<String>,
    },
    /// Stop everything; the database is kept
    Stop {
        /// Also remove the database
        #[arg(long)]
        volumes: bool,
    },
}
