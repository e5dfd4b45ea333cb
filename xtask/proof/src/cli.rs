//! The command line of `cargo xtask test` and `cargo xtask bench`. The doc comments here are the
//! manual that `--help` prints.

use clap::{Args, Parser, Subcommand, ValueEnum};
use workflow::cli::Common;

/// Test and measure the workflow itself.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, disable_help_subcommand = true)]
pub struct Cli {
    /// What is common to all commands.
    #[command(flatten)]
    pub common: Common,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Test the workflow itself; --all runs what CI runs
    Test(Test),
    /// Measure this workflow against the Dockerfile it replaced
    ///
    /// Writes docs/benchmarks.md. Uses separate stores for each installed engine and leaves nothing
    /// behind. Needs some gigabytes below target/ and up to an hour; --quick takes a quarter of
    /// that.
    Bench(Bench),
}

/// `cargo xtask test`
#[derive(Args, Clone, Debug)]
pub struct Test {
    /// Everything that CI runs, on real Podman and Docker
    #[arg(long)]
    pub all: bool,
    /// Drive the page of the production image in Debian's Chromium, on Podman
    #[arg(long)]
    pub browser: bool,
    /// Run the groups that are too slow for CI
    ///
    /// Podman 5 in a Debian 13 below target/, Docker 26, each broken image alone, and the
    /// production image for arm64 by QEMU. Needs root. --dry-run lists the groups with their last
    /// measured time.
    #[arg(long, conflicts_with_all = ["all", "browser"])]
    pub nightly: bool,
    /// Install missing packages first, without asking
    #[arg(long)]
    pub setup: bool,
    /// Only this group (repeatable)
    #[arg(long, value_name = "GROUP")]
    pub only: Vec<String>,
    /// In that group only the tests on an engine with this in their name (repeatable)
    #[arg(long, value_name = "NAME", requires = "only")]
    pub filter: Vec<String>,
}

/// `cargo xtask bench`
#[derive(Args, Clone, Debug)]
pub struct Bench {
    /// Fewer rounds and a smaller repository
    #[arg(long)]
    pub quick: bool,
    /// Only this row, on stdout and not in docs/benchmarks.md (repeatable)
    #[arg(long, value_enum, value_name = "ROW")]
    pub only: Vec<Row>,
}

/// What `bench` measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Row {
    /// With no cached layer and no downloads
    Cold,
    /// Nothing changed
    Nothing,
    /// `build --force` over the engine's own command, with nothing changed
    Overhead,
    /// Bytes of the image
    Size,
    /// One line of Python changed
    Line,
    /// Bytes to push after one line
    Push,
    /// From `run` to an answer
    Ready,
    /// Memory of each role, and how long it takes to stop
    Roles,
    /// One dependency added
    Dependency,
    /// The labels of a large repository
    Git,
    /// The compilation of xtask itself
    Compile,
    /// The snapshot of a large build context, only when named: its section of docs/benchmarks.md
    Context,
    /// `dev` until the site answers, and a saved file until its answer; only when named: its
    /// section
    Dev,
    /// The smoke test, whole and with `--core`; only when named: its section
    Smoke,
}
