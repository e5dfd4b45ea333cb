//! The typed command line. The doc comments here are the manual that `--help` prints.

use clap::builder::NonEmptyStringValueParser as Text;
use clap::{Args, Parser, Subcommand, ValueEnum};
use engine::EngineKind;
use engine::build::{SecretMount, SecretSource};
use source::ci;
use std::path::PathBuf;
use std::time::Duration;

pub mod dev;
pub mod export;
pub mod promote;
pub mod push;
pub mod release;

/// Build, test and release this project's container image.
///
/// Start with `cargo xtask build`. Without a command it shows where this checkout stands: changes,
/// image, last test and release, and the next command to type.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    version,
    disable_help_subcommand = true,
    after_help = AFTER_HELP
)]
pub struct Cli {
    /// What is common to all commands.
    #[command(flatten)]
    pub common: Common,
    /// The command; none shows where the checkout stands.
    #[command(subcommand)]
    pub command: Option<Command>,
}

const AFTER_HELP: &str = "\
Exit codes:
  0  done                           6  a registry failed after retries
  1  unexpected failure             7  a registry refused
  2  usage or docker/image.toml     8  a check failed or a budget was exceeded
  3  state of the git checkout      9  another run holds the lock
  4  no working engine or tool     10  verification failed
  5  the build failed         130/143  interrupted / terminated

Command line over environment (XTASK_…) over docker/image.toml.
Results go to stdout, everything else to stderr.";

/// Options of every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Options of every command")]
pub struct Common {
    /// Work in this checkout instead of the current folder's
    #[arg(short = 'C', long = "directory", value_name = "DIR", global = true)]
    pub directory: Option<PathBuf>,
    /// Use this engine only [default: a working Podman, else a working Docker]
    #[arg(long, value_name = "ENGINE", env = "XTASK_ENGINE", global = true)]
    pub engine: Option<EngineKind>,
    /// Whether `--engine` named it, and not `XTASK_ENGINE`.
    #[arg(skip)]
    pub engine_flag: bool,
    /// Wait this long for a busy engine
    #[arg(
        long,
        value_name = "MINUTES",
        env = "XTASK_ENGINE_WAIT",
        default_value = "5",
        value_parser = minutes,
        hide_short_help = true,
        global = true
    )]
    pub engine_wait: Duration,
    /// Print exactly what would run, as a script for sh, and run nothing
    #[arg(long, global = true)]
    pub dry_run: bool,
    /// Form of the result on stdout
    #[arg(long, value_enum, value_name = "FORM", default_value = "text", global = true)]
    pub format: Format,
    /// Also write the result to this file: as JSON, or as KEY=VALUE lines when it ends in .env
    #[arg(
        long,
        value_name = "FILE",
        env = "XTASK_METADATA_FILE",
        hide_short_help = true,
        global = true
    )]
    pub metadata_file: Option<PathBuf>,
    /// CI system to assume
    #[arg(
        long,
        value_enum,
        value_name = "CI",
        env = "XTASK_CI",
        default_value = "auto",
        hide_short_help = true,
        global = true
    )]
    pub ci: ci::Wish,
    /// Don't show the engine's progress
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Also print read-only commands (inspect, version, …)
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

fn minutes(text: &str) -> Result<Duration, String> {
    let minutes = text.parse().ok().filter(|minutes: &f64| (0.0..=1440.0).contains(minutes));
    let minutes = minutes.ok_or("a number of minutes, at most 1440")?;
    Ok(Duration::from_secs_f64(minutes * 60.0))
}

/// How a result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// KEY=VALUE lines (`label` only)
    Env,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build, label and verify an image
    Build(Build),
    /// Show the labels and tags this commit's image gets, and why
    ///
    /// Works in any git checkout. Without docker/image.toml it shows only what git tells.
    Label(Label),
    /// List the files of the build context, or explain one path
    Context(Context),
    /// Check that this machine can build, and how to fix it if not
    Doctor,
    /// Bring the workflow into a project, or its files up to date
    ///
    /// With PROJECT: finds out what the Django project there is, writes docker/image.toml and our other
    /// files, and never replaces one of the project's. Without: writes what docker/image.toml says into
    /// the Dockerfiles, between `# >>> docker/image.toml: …` and `# >>> end`; `build` refuses
    /// Dockerfiles that are out of date.
    Init(Init),
    /// Write Compose files or systemd units for a server
    ///
    /// Replaces only files that it has written.
    #[command(disable_help_subcommand = true)]
    Export(export::Export),
    /// Install missing packages (Debian and Ubuntu)
    Setup(Setup),
    /// Test an image with real PostgreSQL and Redis
    ///
    /// Its containers run in a dedicated network and are removed at the end, even after Ctrl-C.
    /// Exit code 8 if a check fails.
    SmokeTest(SmokeTest),
    /// Run the site from this checkout, with live reload
    ///
    /// Builds the development image if it is missing or out of date. Then starts PostgreSQL, Redis,
    /// web, worker and beat, and follows their logs. Ctrl-C stops everything; the database is kept.
    /// Web, worker and beat reload when a file is saved.
    Dev(dev::Dev),
    /// Flatten an image into one layer and verify its contents
    ///
    /// The result is NAME:TAG-squashed, such as `NAME:prod-squashed`. The original image stays: it
    /// is the layer cache.
    Squash(Squash),
    /// List this project's images, their sizes and users
    Images,
    /// Remove unused images and leftovers of killed runs
    ///
    /// Shows first what it removes. It keeps images with a foreign name, images of containers, and
    /// those of the last release. Without --all it also keeps current images, images that you
    /// tagged, and those of other checkouts.
    Clean(Clean),
    /// Push an image to registries and verify it arrived
    ///
    /// Uses the engine's login (`podman login`, `docker login`) and checks it first. Immutable tags
    /// are pushed first and `latest` last. A tag of a newer commit is never moved back. With
    /// --dry-run it reads the registries and shows which tag would move from which digest to which.
    /// A rerun does only what is left.
    Push(push::Push),
    /// Build, smoke-test and push this commit's release
    ///
    /// Pushes the image that was tested, under the tags that `label` shows (docs/releases.md).
    /// Refuses before any work if the commit has no version tag or the base is a stand-in. Changed
    /// files are left out. Keeps a record in target/xtask/releases; a rerun does only what is left.
    Release(release::Release),
    /// Move an environment's tag to a tested image
    ///
    /// Nothing is pulled and no layer moves. Refuses an image without a passed smoke test (exit code 8).
    /// The registry keeps who moved the tag when: `verify production --history` shows it.
    Promote(promote::Promote),
    /// Move an environment's tag back to the image before
    ///
    /// Works from any checkout, by the history in the registry. The database stays as it is; the
    /// migrations that lie between are listed.
    Rollback(promote::Rollback),
    /// Show what is proven of an image in a registry
    ///
    /// Compares its labels with git, its provenance with both, and reads its newest test result. Exit
    /// code 8 if something that [verify] in docker/image.toml requires isn't proven.
    Verify(promote::Verify),
    /// Build an image of a registry again and compare
    ///
    /// Builds its commit without the layer cache, with the build arguments of its provenance. Exit code 10
    /// if the result differs, with the files that do. The image is NAME:reproduced.
    Reproduce(promote::Reproduce),
    /// Print the manual of a command, or with --all of every command
    Help(Help),
    /// Test the workflow itself; --all runs what CI runs
    #[command(disable_help_flag = true)]
    Test(External),
    /// Measure this workflow against the Dockerfile it replaced
    #[command(disable_help_flag = true)]
    Bench(External),
}

/// `cargo xtask build`
#[derive(Args, Debug, Default)]
pub struct Build {
    /// Build the production image [default]
    #[arg(long, conflicts_with = "dev")]
    pub prod: bool,
    /// Build the development image
    #[arg(long)]
    pub dev: bool,
    /// Build this commit from git, whatever the working tree holds
    #[arg(long, value_name = "REV", value_parser = Text::new())]
    pub commit: Option<String>,
    /// Install missing packages first, without asking (as `setup --yes`)
    #[arg(long)]
    pub setup: bool,
    /// Base image, as a whole reference
    #[arg(long, value_name = "REF", value_parser = Text::new(), env = "XTASK_BASE", conflicts_with = "python")]
    pub base: Option<String>,
    /// Python version of the base: the official slim image of it
    #[arg(long, value_name = "VERSION", env = "XTASK_PYTHON", value_parser = python)]
    pub python: Option<String>,
    /// Build this stage of the Dockerfile; the image is tagged NAME:STAGE
    #[arg(long, value_name = "STAGE", value_parser = Text::new())]
    pub target: Option<String>,
    /// One more local tag or reference for the image (repeatable)
    #[arg(long, value_name = "TAG", value_parser = Text::new())]
    pub tag: Vec<String>,
    /// Set a build argument (repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub build_arg: Vec<(String, String)>,
    /// Give a secret to the steps that mount it: id=NAME,src=FILE or id=NAME,env=VARIABLE
    #[arg(long, value_name = "id=…", value_parser = secret)]
    pub secret: Vec<SecretMount>,
    /// Add a label (repeatable); those that come from git can't be changed
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub label: Vec<(String, String)>,
    /// Build even if nothing has changed
    #[arg(long)]
    pub force: bool,
    /// Rebuild every layer
    #[arg(long)]
    pub no_cache: bool,
    /// Squash our layers into one on top of the base (Podman only; no layer cache)
    #[arg(long)]
    pub squash: bool,
    /// Also keep the layer cache in this repository, or `none` [default: that of docker/image.toml]
    #[arg(long, value_name = "REF", value_parser = Text::new(), env = "XTASK_CACHE")]
    pub cache: Option<String>,
    /// Ask the registry for a newer base image
    #[arg(long)]
    pub pull: bool,
    /// Look up the base images, write their digests to docker/base.lock, and build on those
    #[arg(long, conflicts_with_all = ["pull", "base", "python", "commit", "platform"])]
    pub update_base: bool,
    /// Build for this platform, os/arch[/variant]
    #[arg(long, value_name = "PLATFORM", env = "XTASK_PLATFORM")]
    pub platform: Option<String>,
}

/// `cargo xtask label`
#[derive(Args, Debug)]
pub struct Label {
    /// Print one value: describe, version, revision, created, dirty, branch, tags (of git),
    /// image_tags, or a label's name
    #[arg(long, value_name = "NAME")]
    pub get: Option<String>,
}

/// `cargo xtask context`
#[derive(Args, Debug)]
pub struct Context {
    /// Say why this path enters the build or doesn't
    #[arg(value_name = "PATH", conflicts_with_all = ["snapshot", "commit"])]
    pub path: Option<PathBuf>,
    /// Copy the build context to target/xtask/context, as `build` does before the engine runs
    #[arg(long)]
    pub snapshot: bool,
    /// With the Dockerfile of the development image
    #[arg(long, requires = "snapshot", conflicts_with = "path")]
    pub dev: bool,
    /// Read this commit from git, whatever the working tree holds
    #[arg(long, value_name = "REV", value_parser = Text::new())]
    pub commit: Option<String>,
    /// Fail with exit code 10 if the snapshot is not this one
    #[arg(long, value_name = "SHA256", requires = "snapshot", conflicts_with = "path")]
    pub expect: Option<String>,
}

/// `cargo xtask init`
#[derive(Args, Debug)]
pub struct Init {
    /// The top folder of a Django project
    #[arg(value_name = "PROJECT")]
    pub project: Option<PathBuf>,
    /// Bring our files in this project up to those of the workflow it uses
    #[arg(long, conflicts_with = "project")]
    pub update: bool,
    /// Set a key of docker/image.toml: app.folder=web (repeatable)
    #[arg(long, value_name = "TABLE.KEY=VALUE", value_parser = pair, requires = "project", conflicts_with = "update")]
    pub set: Vec<(String, String)>,
    /// Take the workflow from this git repository, at the commit that is here [default: this folder]
    #[arg(long, value_name = "URL", requires = "project", conflicts_with = "update")]
    pub git: Option<String>,
}

/// `cargo xtask setup`
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Setup {
    /// Don't ask
    #[arg(long)]
    pub yes: bool,
    /// Also install what `test --all` needs
    #[arg(long)]
    pub for_tests: bool,
    /// Also install what `test --browser` needs
    #[arg(long)]
    pub for_browser: bool,
    /// Make sure that the PostgreSQL and Redis images are here, and print their references
    #[arg(long)]
    pub services: bool,
    /// Write the engine settings that this machine needs to your own containers.conf.d
    #[arg(long)]
    pub write_user_config: bool,
}

/// `cargo xtask smoke-test`
#[derive(Args, Clone, Debug, Default)]
pub struct SmokeTest {
    /// The image [default: the production image that was built last]
    #[arg(value_name = "IMAGE", value_parser = Text::new())]
    pub image: Option<String>,
    /// Only the check of this name (repeatable)
    #[arg(long, value_name = "CHECK")]
    pub only: Vec<String>,
    /// All but the check of this name (repeatable)
    #[arg(long, value_name = "CHECK")]
    pub skip: Vec<String>,
    /// Only the core checks, in about a third of the time
    #[arg(long)]
    pub core: bool,
    /// File of strings, one per line, that must not occur in the image
    #[arg(long, value_name = "FILE")]
    pub absent: Option<PathBuf>,
    /// List the checks, each with its reason
    #[arg(long)]
    pub list: bool,
    /// Leave everything running to look at; the next smoke test removes it
    #[arg(long)]
    pub keep: bool,
    /// Seconds after which no further check is begun
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    pub timeout: u64,
    /// Also write the result as JUnit XML to this file
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// `cargo xtask squash`
#[derive(Args, Clone, Debug)]
pub struct Squash {
    /// The image [default: the production image that was built last]
    #[arg(value_name = "IMAGE", value_parser = Text::new())]
    pub image: Option<String>,
    /// Local tag or reference of the result, instead of NAME:TAG-squashed (repeatable)
    #[arg(long, value_name = "TAG", value_parser = Text::new())]
    pub tag: Vec<String>,
}

/// `cargo xtask clean`
#[derive(Args, Clone, Copy, Debug)]
pub struct Clean {
    /// Also NAME:prod and NAME:dev, images named by --tag, and those of other checkouts
    #[arg(long)]
    pub all: bool,
}

/// `cargo xtask help`
#[derive(Args, Debug)]
pub struct Help {
    /// A command
    #[arg(value_name = "COMMAND", conflicts_with_all = ["all", "completion"])]
    pub command: Option<String>,
    /// All commands, options and exit codes [default]
    #[arg(long)]
    pub all: bool,
    /// A script that completes `cargo xtask …` in bash
    #[arg(long, conflicts_with = "all")]
    pub completion: bool,
}

/// `cargo xtask test` and `cargo xtask bench`, which parse their own options.
#[derive(Args, Debug)]
pub struct External {
    /// Passed on
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<std::ffi::OsString>,
}

fn python(text: &str) -> Result<String, String> {
    image::config::names::python_version(text).map_or_else(|| Ok(text.to_owned()), Err)
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

fn secret(text: &str) -> Result<SecretMount, String> {
    let (mut id, mut sources) = (None, Vec::new());
    for part in text.split(',') {
        match part.split_once('=') {
            Some(("id", value)) if !value.is_empty() => id = Some(value.to_owned()),
            Some(("src" | "source", value)) if !value.is_empty() => {
                sources.push(SecretSource::File(value.to_owned()));
            }
            Some(("env", value)) if !value.is_empty() => {
                sources.push(SecretSource::Environment(value.to_owned()));
            }
            _ => return Err(format!("`{part}`: write id=NAME,src=FILE or id=NAME,env=VARIABLE")),
        }
    }
    match (id, sources.pop(), sources.is_empty()) {
        (Some(id), Some(source), true) => Ok(SecretMount { id, source }),
        _ => Err("write id=NAME,src=FILE or id=NAME,env=VARIABLE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn secrets_name_an_id_and_one_source() {
        let check = |text: &str, right: bool| assert_eq!(secret(text).is_ok(), right, "{text}");
        check("id=ca,src=/etc/ca.pem", true);
        check("id=token,env=TOKEN", true);
        check("src=/etc/ca.pem", false);
        check("id=ca", false);
        check("id=ca,src=/a,env=B", false);
        check("id=,src=/a", false);
        check("ca", false);
    }
}
