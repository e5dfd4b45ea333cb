//! The typed command line. The doc comments here are the manual that `--help` prints.

use clap::{Args, Parser, Subcommand, ValueEnum};
use engine::Kind;
use engine::build::{SecretMount, SecretSource};
use source::ci;
use std::path::PathBuf;

pub mod dev;
pub mod push;
pub mod release;

/// Build container images of this Django project that say truthfully what they are.
///
/// Start with `cargo xtask build`. It finds Podman or Docker (`doctor` says what it found and
/// `setup` installs one), builds the production image, and checks that the image carries the
/// labels of this git checkout.
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
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "\
Exit codes:
  0  done                           6  a registry failed, also after retries
  1  unexpected failure             7  a registry refused
  2  usage or docker/image.toml     8  a check failed or a budget was exceeded
  3  state of the git checkout      9  another run holds the lock
  4  no working engine or tool     10  what was made is not what was asked for
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
    pub engine: Option<Kind>,
    /// Print exactly what would run, as a script for sh, and run nothing
    #[arg(long, global = true)]
    pub dry_run: bool,
    /// Form of the result on stdout
    #[arg(long, value_enum, value_name = "FORM", default_value = "text", global = true)]
    pub format: Format,
    /// Also write the result to this file: as JSON, or as KEY=VALUE lines when it ends in .env
    #[arg(long, value_name = "FILE", env = "XTASK_METADATA_FILE", global = true)]
    pub metadata_file: Option<PathBuf>,
    /// Whose pipeline this is
    #[arg(
        long,
        value_enum,
        value_name = "CI",
        env = "XTASK_CI",
        default_value = "auto",
        global = true
    )]
    pub ci: ci::Wish,
    /// Don't show the engine's progress
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Show every command that only asks, too
    #[arg(short, long, global = true)]
    pub verbose: bool,
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
    /// Build the production image (or the development image), label it and check it
    Build(Build),
    /// Print the labels of this checkout and what its image would be called, and why
    ///
    /// Works in any git checkout, also without docker/image.toml, with what git alone tells.
    Label(Label),
    /// List the files that enter the build, or say why one does or doesn't
    Context(Context),
    /// Say whether `build` would work on this machine, and what to do where it would not
    Doctor,
    /// Install what is missing (Debian and Ubuntu), after showing it
    Setup(Setup),
    /// Run an image with PostgreSQL and Redis beside it, and prove what it is and does
    ///
    /// Everything that it starts is in a network of its own and is removed at the end, also after
    /// Ctrl-C. Exit code 8 when a check fails.
    SmokeTest(SmokeTest),
    /// Run the site from this checkout: save a file, see it
    ///
    /// Builds the development image where it isn't there or is older than what it is made from,
    /// starts PostgreSQL, Redis, web, worker and beat, and follows what they print. Ctrl-C stops
    /// all of it; the database is kept. A saved file is loaded by web, worker and beat at once.
    Dev(dev::Dev),
    /// Make one layer of all layers of an image, and check that it is the same image
    ///
    /// The result is NAME:TAG-squashed, `NAME:prod-squashed` of the production image; the image
    /// itself stays, as it is the layer cache.
    Squash(Squash),
    /// List the images that are here of this project, their sizes and what uses them
    Images,
    /// Remove the images of this project that nothing uses, and what killed runs left
    ///
    /// What goes is shown first. Images stay that have another's name, that a container was made
    /// from or that the last release uses; without --all also those that are current, that you
    /// named, or that another checkout made.
    Clean(Clean),
    /// Push an image to registries, and see that they have it
    ///
    /// The login is that of the engine (`podman login`, `docker login`) and is asked for first. Tags
    /// that name one image for ever come first and `latest` last; a tag of a newer commit stays.
    /// With --dry-run the registries are read, and what would move from which digest to which is
    /// said. A rerun does only what is left.
    Push(push::Push),
    /// Release this commit: build, squash if asked, smoke-test, push
    ///
    /// The image that was tested is the one that is pushed, under the names that `label` says
    /// (docs/releases.md). Refuses, before any work, what is no release: a changed checkout, a
    /// commit without a version's git tag, a stand-in base. The record of it is below
    /// target/xtask/releases; a rerun does only what is left.
    Release(release::Release),
    /// Test the workflow itself; --all runs what CI runs
    #[command(disable_help_flag = true)]
    Test(External),
    /// Measure this workflow against its original design
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
    /// Install what is missing first, without asking (as `setup --yes`)
    #[arg(long)]
    pub setup: bool,
    /// Base image, as a whole reference
    #[arg(long, value_name = "REF", env = "XTASK_BASE", conflicts_with = "python")]
    pub base: Option<String>,
    /// Python version of the base: the official slim image of it
    #[arg(long, value_name = "VERSION", env = "XTASK_PYTHON")]
    pub python: Option<String>,
    /// Build this stage of the Dockerfile; the image is tagged NAME:STAGE
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// One more local tag or reference for the image (repeatable)
    #[arg(long, value_name = "TAG")]
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
    /// Have the engine build also where nothing has changed since the last build
    #[arg(long)]
    pub force: bool,
    /// Build every layer anew
    #[arg(long)]
    pub no_cache: bool,
    /// Make one layer of ours above the base; every layer is built anew (Podman only)
    #[arg(long)]
    pub squash: bool,
    /// Keep the layer cache in this repository, too, or `none` [default: that of docker/image.toml]
    #[arg(long, value_name = "REF", env = "XTASK_CACHE")]
    pub cache: Option<String>,
    /// Ask the registry for a newer base image
    #[arg(long)]
    pub pull: bool,
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
    #[arg(value_name = "PATH")]
    pub path: Option<PathBuf>,
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
    #[arg(value_name = "IMAGE")]
    pub image: Option<String>,
    /// Only the check of this name (repeatable)
    #[arg(long, value_name = "CHECK")]
    pub only: Vec<String>,
    /// All but the check of this name (repeatable)
    #[arg(long, value_name = "CHECK")]
    pub skip: Vec<String>,
    /// Only the core checks, in a quarter of the time
    #[arg(long)]
    pub core: bool,
    /// Texts that must be nowhere in the image, one a line: passwords, say
    #[arg(long, value_name = "FILE")]
    pub absent: Option<PathBuf>,
    /// List the checks, each with its requirement and its reason
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
    #[arg(value_name = "IMAGE")]
    pub image: Option<String>,
    /// Local tag or reference of the result, instead of NAME:TAG-squashed (repeatable)
    #[arg(long, value_name = "TAG")]
    pub tag: Vec<String>,
}

/// `cargo xtask clean`
#[derive(Args, Clone, Copy, Debug)]
pub struct Clean {
    /// Also NAME:prod and NAME:dev, images named by --tag, and those of other checkouts
    #[arg(long)]
    pub all: bool,
}

/// `cargo xtask test` and `cargo xtask bench`, which parse their own options.
#[derive(Args, Debug)]
pub struct External {
    /// Passed on
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<std::ffi::OsString>,
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
