//! `docker/image.toml`, read once: the file as written (`raw`, with line numbers and all mistakes
//! at once) and as resolved (this module), which the plans read.

use crate::base::lock::{self, BaseLock};
use crate::network::{self, Network};
use crate::tags::Rules;
use app::{App, Health};
use engine::EngineKind;
use process::disk;
use process::failure::{Exit, Failure, failure_help};
use process::state::State;
use source::content;
use source::context::IGNORE_FILE;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub mod app;
pub mod assets;
pub mod dev;
pub mod names;
pub mod push;
mod raw;
pub mod smoke;
pub mod verify;

/// The configuration file, below the top folder of the workflow.
pub const PATH: &str = "docker/image.toml";

/// The resolved configuration: defaults filled in, every value checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Name and static labels of the image.
    pub image: ImageConfig,
    /// The Django project, as far as the image must know it.
    pub app: App,
    /// What Node builds, if it does.
    pub assets: Option<assets::Assets>,
    /// How a container is asked whether it works.
    pub health: Health,
    /// The engine that the file asks for.
    pub engine: Option<EngineKind>,
    /// What `build --prod` makes.
    pub prod: Variant,
    /// What `build --dev` makes.
    pub dev: Variant,
    /// The images of PostgreSQL and Redis.
    pub services: Services,
    /// The settings for a closed network.
    pub network: Network,
    /// Paths that the secrets gate lets through.
    pub allow_secrets: Vec<String>,
    /// The file that says what is in the build context.
    pub ignore_file: String,
    /// The bytes of a build context from which its largest files are told.
    pub large: Option<u64>,
    /// What the image of a commit is called.
    pub tags: Rules,
    /// What `smoke-test` asks of this project.
    pub smoke: smoke::Smoke,
    /// Where `push` pushes to, and where layers are kept.
    pub push: push::PushConfig,
    /// What cosign signs a release with; `None`: it isn't signed.
    pub sign: Option<verify::Signing>,
    pub verify: verify::Verify,
    /// What `dev` runs with.
    pub dev_site: dev::Dev,
}

/// `[image]`: the repository name and the labels that don't come from git.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// Repository of the local tags.
    pub name: String,
    /// `org.opencontainers.image.title`.
    pub title: String,
    /// `org.opencontainers.image.description`.
    pub description: String,
    /// `org.opencontainers.image.authors`.
    pub authors: String,
    /// `org.opencontainers.image.vendor`.
    pub vendor: String,
    /// `org.opencontainers.image.url`.
    pub url: String,
    /// `org.opencontainers.image.source`.
    pub source: String,
    /// `org.opencontainers.image.licenses`, an SPDX expression.
    pub licenses: String,
}

/// `[variant.prod]` or `[variant.dev]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Path of the Dockerfile below the top folder.
    pub dockerfile: String,
    /// The stage to build; `None` is the last one.
    pub target: Option<String>,
    /// Reference of the base image.
    pub base: String,
    /// The days after which a release refuses a base that wasn't looked up again.
    pub base_max_age_days: Option<u16>,
    /// Whether a release has the same layers whenever and wherever it is built.
    pub reproducible: bool,
    /// Upper limit of the uncompressed layer bytes.
    pub size_budget: Option<u64>,
}

/// `[services]`: references of the other images that the payload needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Services {
    pub postgres: String,
    pub redis: String,
}

impl Config {
    /// What the image makes itself of its application's folder, by the patterns of an ignore file.
    pub fn generated(&self) -> Vec<String> {
        let translations = self.app.compiles_translations().then(|| "**/*.mo".to_owned());
        let assets = self.assets.iter().flat_map(|assets| assets.output.iter().cloned());
        self.smoke.generated.iter().cloned().chain(assets).chain(translations).collect()
    }
}

impl Config {
    /// The images that builds start from.
    pub fn bases(&mut self) -> Vec<&mut String> {
        let assets = self.assets.as_mut().map(|assets| &mut assets.base);
        [&mut self.prod.base, &mut self.dev.base].into_iter().chain(assets).collect()
    }
}

/// Bytes of a production image from which one without a `size_budget` gets a warning.
pub const USUAL: u64 = 500_000_000;

/// Reference of the official slim Python image of a version, Debian 12.
pub fn python_base(version: &str) -> String {
    format!("docker.io/library/python:{version}-slim-bookworm")
}

/// A checkout with a `docker/image.toml`.
#[derive(Clone, Debug)]
pub struct Workflow {
    /// Its top folder.
    pub top: PathBuf,
    /// The folder with the files that an image is made of: the top folder, or a copy of a commit.
    pub root: PathBuf,
    /// The commit that `root` is a copy of.
    pub commit: Option<String>,
    /// What its `docker/image.toml` says.
    pub config: Config,
    /// What we keep there.
    pub state: State,
    /// SHA-256 of the files that this was read from, in hexadecimal, by their paths.
    pub read_from: BTreeMap<&'static str, String>,
    /// The digests of the bases, which `config` names them by.
    pub lock: BaseLock,
}

impl Workflow {
    /// The workflow that `folder` belongs to.
    ///
    /// # Errors
    /// [`Exit::Usage`] when there is none, or its `docker/image.toml` has mistakes.
    pub fn of(folder: &Path) -> anyhow::Result<Workflow> {
        let top = top_of(folder)?;
        Workflow::read(top.clone(), top, None)
    }

    /// The workflow of the checkout `top` as the commit `revision` has it, which was written to `root`.
    ///
    /// # Errors
    /// [`Exit::Usage`] when its `docker/image.toml` has mistakes, or isn't there.
    pub fn at(top: PathBuf, revision: String, root: PathBuf) -> anyhow::Result<Workflow> {
        Workflow::read(top, root, Some(revision))
    }

    /// The oldest Python that the project's lock is for, if it says one.
    pub fn oldest_python(&self) -> Option<(u32, u32)> {
        self.config.app.oldest_python(&self.root)
    }

    /// Why the production image's base is too old for a release.
    pub fn old_base(&self, today: chrono::NaiveDate) -> Option<String> {
        let days = self.config.prod.base_max_age_days?;
        let name = self.lock.name_of(&self.config.prod.base);
        let Some(locked) = name.and_then(|name| self.lock.of(name)) else {
            return Some(format!(
                "{} doesn't say how old the base is, and [variant.prod] base_max_age_days is {days}: \
                 cargo xtask build --update-base, and commit that file",
                lock::PATH
            ));
        };
        locked.too_old(days, today)
    }

    fn read(top: PathBuf, root: PathBuf, commit: Option<String>) -> anyhow::Result<Workflow> {
        let text = disk::text(&root.join(PATH), PATH)?;
        let mut read_from = BTreeMap::from([(PATH, content::sha256(text.as_bytes()))]);
        let mut config = read(&root, &text)?;
        let mut lock = BaseLock::default();
        if root.join(lock::PATH).symlink_metadata().is_ok() {
            let text = disk::text(&root.join(lock::PATH), lock::PATH)?;
            read_from.insert(lock::PATH, content::sha256(text.as_bytes()));
            lock = BaseLock::parse(&text)?;
        }
        config.bases().into_iter().for_each(|base| *base = lock.applied(base));
        Ok(Workflow { state: State::of(&top), top, root, commit, config, read_from, lock })
    }
}

/// As [`find_top`].
///
/// # Errors
/// [`Exit::Usage`] when there is none, and as [`nameable`].
pub fn top_of(folder: &Path) -> anyhow::Result<PathBuf> {
    let top = find_top(folder).ok_or_else(|| {
        failure_help(
            Exit::Usage,
            format!("looking for {PATH} in {} and above: not there", folder.display()),
            "run this inside a checkout of the workflow, or name one with -C DIR",
        )
    })?;
    nameable(top)
}

/// Refuses a top folder that no script and no engine can be told.
///
/// # Errors
/// [`Exit::Usage`] if its path isn't UTF-8, or has a line break or another control character.
pub fn nameable(top: PathBuf) -> anyhow::Result<PathBuf> {
    if top.to_str().is_some_and(|path| !path.contains(char::is_control)) {
        return Ok(top);
    }
    let message =
        format!("using the checkout {top:?}: its path isn't UTF-8, or has a control character");
    Err(failure_help(Exit::Usage, message, "move it to a folder with a plain name"))
}

/// The workflow's top folder: `folder` or the nearest parent that holds `docker/image.toml`.
pub fn find_top(folder: &Path) -> Option<PathBuf> {
    // Whatever is there: what reads it says what is wrong with it.
    let there = |above: &&Path| match above.join(PATH).symlink_metadata() {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::PermissionDenied,
    };
    folder.ancestors().find(there).map(Path::to_path_buf)
}

/// Checks the `text` of `top`/docker/image.toml, and reads what the project asks of a smoke test.
///
/// # Errors
/// [`Exit::Usage`] with one help line for every mistake in a file, in the order of its lines.
fn read(top: &Path, text: &str) -> anyhow::Result<Config> {
    let mut config = parse(text).map_err(|found| mistakes(PATH, found))?;
    let path = config.app.inside(smoke::PATH);
    let own = top.join(&path);
    if own.symlink_metadata().is_ok() {
        let added = smoke::add(config.smoke, &disk::text(&own, &path)?);
        config.smoke = added.map_err(|found| mistakes(&path, found))?;
    }
    Ok(config)
}

fn mistakes(file: &str, found: Vec<Mistake>) -> Failure {
    let count = found.len();
    let plural = if count == 1 { "mistake" } else { "mistakes" };
    let help = found.into_iter().map(|one| {
        let lines = one.excerpt.lines().map(|line| format!("\n    {line}"));
        format!("{file}:{}: {}{}", one.line, one.message, lines.collect::<String>())
    });
    Failure {
        exit: Exit::Usage,
        message: format!("reading {file}: {count} {plural}"),
        help: help.collect(),
    }
}

/// A mistake in the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong and what would be right.
    pub message: String,
    /// That line and a mark below the place; empty if it can't be shown.
    pub excerpt: String,
}

/// Parses the text of an `image.toml`; all mistakes at once, sorted by line.
pub fn parse(text: &str) -> Result<Config, Vec<Mistake>> {
    let mut file = raw::ConfigFile::parse(text);
    let config = resolve(&mut file);
    file.into_result(config)
}

fn resolve(file: &mut raw::ConfigFile<'_>) -> Config {
    file.only_tables(&[
        "image", "app", "engine", "variant", "services", "network", "context", "tags", "smoke",
        "push", "cache", "dev", "health", "assets", "sign", "verify",
    ]);
    file.only_keys(
        "image",
        &["name", "title", "description", "authors", "vendor", "url", "source", "licenses"],
    );
    file.only_keys("engine", &["name"]);
    file.only_keys("variant", &["prod", "dev"]);
    for name in ["prod", "dev"] {
        file.keys("variant", name);
    }
    file.only_keys(
        "variant.prod",
        &[
            "dockerfile",
            "target",
            "base",
            "python",
            "base_max_age_days",
            "reproducible",
            "size_budget",
        ],
    );
    file.only_keys("variant.dev", &["dockerfile", "target", "base", "python", "size_budget"]);
    file.only_keys("services", &["postgres", "redis"]);
    file.only_keys("network", &["index_url", "debian_mirror"]);
    file.only_keys("context", &["allow_secrets", "large", "ignore_file"]);

    let name = file.required("image", "name");
    if !name.is_empty() {
        let local = format!("localhost/{name}");
        match engine::reference::parse(&local) {
            Ok(reference) if reference.tag.is_none() && reference.digest.is_none() => {}
            Ok(_) => file.mistake("image", "name", "a repository without tag or digest".into()),
            Err(error) => file.mistake("image", "name", format!("{error:#}")),
        }
    }
    let image = ImageConfig {
        name,
        title: file.required("image", "title"),
        description: file.required("image", "description"),
        authors: file.required("image", "authors"),
        vendor: file.required("image", "vendor"),
        url: file.required("image", "url"),
        source: file.required("image", "source"),
        licenses: file.required("image", "licenses"),
    };
    let (app, health) = (app::app(file), app::health(file));
    let engine = file.string("engine", "name").and_then(|name| match name.as_str() {
        "podman" => Some(EngineKind::Podman),
        "docker" => Some(EngineKind::Docker),
        other => {
            file.mistake("engine", "name", format!("unknown engine `{other}`: podman or docker"));
            None
        }
    });
    let push = push::push(file, &image.name);
    let prod = variant(file, "variant.prod", "docker/Dockerfile", Some("runtime"));
    let large = size(file, "context", "large");
    Config {
        image,
        assets: assets::read(file, &app),
        app,
        health,
        engine,
        large: large.or(Some(prod.size_budget.unwrap_or(USUAL) / 2)),
        prod,
        dev: variant(file, "variant.dev", "docker/Dockerfile.dev", None),
        services: Services {
            postgres: reference(file, "services", "postgres", "docker.io/library/postgres:16"),
            redis: reference(file, "services", "redis", "docker.io/library/redis:7"),
        },
        network: Network {
            index_url: url(file, "index_url", "set UV_DEFAULT_INDEX instead"),
            debian_mirror: url(file, "debian_mirror", "use /etc/apt/auth.conf.d instead"),
        },
        ignore_file: file
            .checked("context", "ignore_file", names::path)
            .unwrap_or_else(|| IGNORE_FILE.to_owned()),
        allow_secrets: file.strings("context", "allow_secrets", allowed).unwrap_or_default(),
        tags: tags(file),
        smoke: smoke::read(file),
        push,
        sign: verify::signing(file),
        verify: verify::read(file),
        dev_site: dev::read(file),
    }
}

/// What is wrong with a pattern of `allow_secrets`.
fn allowed(text: &str) -> Option<String> {
    source::secrets::allowing(1, text).err()
}

fn tags(file: &mut raw::ConfigFile<'_>) -> Rules {
    file.only_keys(
        "tags",
        &[
            "prefix",
            "versions",
            "minor",
            "major",
            "latest",
            "other_tags",
            "branch",
            "pull_request",
            "environments",
        ],
    );
    let all = Rules::default();
    let environments = file.strings("tags", "environments", names::environment);
    let mut on = |key: &str, default: bool| file.typed("tags", key).unwrap_or(default);
    let rules = Rules {
        minor: on("minor", all.minor),
        major: on("major", all.major),
        latest: on("latest", all.latest),
        other_tags: on("other_tags", all.other_tags),
        branch: on("branch", all.branch),
        pull_request: on("pull_request", all.pull_request),
        prefix: file.typed("tags", "prefix").unwrap_or(all.prefix),
        versions: file.typed("tags", "versions").unwrap_or(all.versions),
        environments: environments.unwrap_or(all.environments),
    };
    // As git has it, so that a prefix that no git tag can have is a mistake and no silence.
    if !source::git::is_reference(&format!("refs/tags/{}1.2.3", rules.prefix)) {
        let message = format!("no git tag can begin with `{}`", rules.prefix);
        file.mistake("tags", "prefix", message);
    }
    rules
}

fn url(file: &mut raw::ConfigFile<'_>, key: &str, instead: &str) -> Option<String> {
    let text = file.string("network", key)?;
    if let Some(mistake) = network::mistake(&text, instead) {
        file.mistake("network", key, mistake);
    }
    Some(text)
}

fn variant(
    file: &mut raw::ConfigFile<'_>,
    table: &str,
    dockerfile: &str,
    target: Option<&str>,
) -> Variant {
    let python = file.checked(table, "python", names::python_version);
    if file.has(table, "python") && file.has(table, "base") {
        file.mistake(table, "python", "`base` and `python` exclude each other".into());
    }
    let python = python.filter(|version| names::python_version(version).is_none());
    let default_base = python_base(python.as_deref().unwrap_or("3.12"));
    Variant {
        dockerfile: file
            .checked(table, "dockerfile", names::path)
            .unwrap_or_else(|| dockerfile.to_owned()),
        target: file.string(table, "target").or_else(|| target.map(str::to_owned)),
        base: reference(file, table, "base", &default_base),
        base_max_age_days: file.typed(table, "base_max_age_days"),
        reproducible: file.typed(table, "reproducible").unwrap_or_default(),
        size_budget: size(file, table, "size_budget"),
    }
}

fn size(file: &mut raw::ConfigFile<'_>, table: &str, key: &str) -> Option<u64> {
    let text = file.string(table, key)?;
    let size = bytes(&text);
    if size.is_none() {
        let message = format!("`{text}` is no size: a number and MB or MiB, as `500 MB`");
        file.mistake(table, key, message);
    }
    size
}

fn reference(file: &mut raw::ConfigFile<'_>, table: &str, key: &str, default: &str) -> String {
    let text = file.string(table, key).unwrap_or_else(|| default.to_owned());
    match engine::reference::parse(&text) {
        Ok(_) if engine::reference::is_short(&text) => {
            let message = format!(
                "`{text}` names no registry, which Podman asks for or refuses: write docker.io/library/… or the like"
            );
            file.mistake(table, key, message);
        }
        Ok(_) => {}
        Err(error) => file.mistake(table, key, format!("{error:#}")),
    }
    text
}

/// A size as `500 MB` (10^6) or `500 MiB` (2^20), also kB, KiB, GB, GiB and plain bytes.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let factor = match text[digits.len()..].trim() {
        "" | "B" => 1,
        "kB" => 1_000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests;
