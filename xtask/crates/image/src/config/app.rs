//! `[app]` and `[health]`: the Django project, as far as an image must know it.

use super::names;
use super::raw::ConfigFile;
use std::collections::BTreeMap;
use std::path::Path;

/// The keys of `[app]`.
pub(super) const KEYS: &[&str] = &[
    "folder",
    "runtime",
    "module",
    "queues",
    "asgi",
    "web_server",
    "wsgi",
    "celery",
    "user",
    "required_environment",
    "settings",
    "settings_build",
    "static_root",
    "before_collectstatic",
    "after_collectstatic",
    "lock",
    "lock_dev",
    "unhashed",
    "groups",
    "extras",
    "packages",
    "build_packages",
    "build_from_source",
    "environment",
    "build_environment",
];

/// What stands for a value that only the surroundings of a container know, in `[app.environment]`.
pub const PLACEHOLDERS: &[&str] = &[
    "db_host",
    "db_port",
    "db_name",
    "db_user",
    "db_password",
    "database_url",
    "redis_host",
    "redis_url",
    "secret_key",
    "fernet_key",
];

/// `[app]`. What is `None` follows from `module`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct App {
    /// The folder with `manage.py`, below the top; `.` is the top itself.
    pub folder: String,
    /// The folder of what runs inside of the images and around them: entrypoint, health check, installer.
    pub runtime: String,
    /// The package with the project's `asgi.py` or `wsgi.py`.
    pub module: String,
    /// The Celery queues of the worker, with commas.
    pub queues: String,
    /// The ASGI application, `package.module:attribute`.
    pub asgi: Option<String>,
    /// The package that serves it: daphne or uvicorn.
    pub web_server: String,
    /// The WSGI application.
    pub wsgi: Option<String>,
    /// Celery's application, as its option `-A` takes it.
    pub celery: Option<String>,
    /// The name of the user 1000:1000.
    pub user: String,
    /// The variables that a service refuses to start without.
    pub required_environment: Vec<String>,
    /// The settings module of each value of ENVIRONMENT; one for all has the name ``.
    pub settings: BTreeMap<String, String>,
    /// The settings module of `collectstatic` in a build.
    pub settings_build: Option<String>,
    /// Where `collectstatic` writes, below the folder.
    pub static_root: String,
    /// Management commands that a build runs before `collectstatic`.
    pub before_collectstatic: Vec<String>,
    /// Those that follow it.
    pub after_collectstatic: Vec<String>,
    /// What is installed.
    pub lock: LockFile,
    /// Dependency groups that production has.
    pub groups: Vec<String>,
    /// Extras of the project that production has.
    pub extras: Vec<String>,
    /// Debian packages of the image.
    pub packages: Vec<String>,
    /// Debian packages that are there while Python packages are installed.
    pub build_packages: Vec<String>,
    /// Python packages without a wheel.
    pub build_from_source: Vec<String>,
    /// What each container of a smoke test and of `dev`, and `collectstatic` in a build, is told, with
    /// placeholders.
    pub environment: BTreeMap<String, String>,
    /// What `collectstatic` is told instead of that.
    pub build_environment: BTreeMap<String, String>,
}

/// The file that says which Python packages are installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockFile {
    /// uv's lock next to its `pyproject.toml`, in this folder, seen from the application's: `` or `../`.
    Uv { folder: String },
    /// Lists as pip takes them, seen from the application's folder.
    Requirements {
        file: String,
        /// Those of the development image; `None` are the same.
        dev: Option<String>,
        /// Whether they may come without hashes.
        unhashed: bool,
    },
}

impl Default for LockFile {
    fn default() -> LockFile {
        LockFile::Uv { folder: String::new() }
    }
}

/// `[health]`: what the engine asks of a container of the image, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The path that answers 200.
    pub path: String,
    /// Seconds between two questions, for an answer, and until failures count.
    pub interval: u32,
    pub timeout: u32,
    pub start_period: u32,
    /// So many failures in a row are one too many.
    pub retries: u32,
}

impl App {
    /// `path` in the folder of the application, from the top.
    pub fn inside(&self, path: &str) -> String {
        self.prefix() + path
    }

    /// What the path of each file of the application begins with, from the top.
    pub fn prefix(&self) -> String {
        if self.folder == "." { String::new() } else { format!("{}/", self.folder) }
    }

    /// Whether the build makes `*.mo` of `*.po`.
    pub fn compiles_translations(&self) -> bool {
        self.packages.iter().chain(&self.build_packages).any(|name| name == GETTEXT)
    }

    /// The files that say which packages are installed, from the top; the lock is the last.
    pub fn lock_files(&self, dev: bool) -> Vec<String> {
        match &self.lock {
            LockFile::Uv { folder } => {
                ["pyproject.toml", "uv.lock"].map(|name| self.from(folder, name)).into()
            }
            LockFile::Requirements { file, dev: other, .. } => {
                vec![self.from("", other.as_ref().filter(|_| dev).unwrap_or(file))]
            }
        }
    }

    /// The oldest Python that the lock, the project's `pyproject.toml` or its `.python-version` is for.
    pub fn oldest_python(&self, top: &Path) -> Option<(u32, u32)> {
        let more = ["pyproject.toml", ".python-version"].map(|name| self.inside(name));
        let files = self.lock_files(false).into_iter().rev().chain(more);
        let text = |path: String| process::regular::read_text(top.join(path)).ok();
        files.filter_map(text).find_map(|text| oldest(&text))
    }

    /// `name` in `folder`, a path from the folder of the application that may begin with `../`,
    /// from the top.
    fn from(&self, folder: &str, name: &str) -> String {
        let whole = self.inside(&format!("{folder}{name}"));
        let mut parts: Vec<&str> = Vec::new();
        for part in whole.split('/') {
            parts.push(part);
            if part == ".." {
                parts.truncate(parts.len().saturating_sub(2));
            }
        }
        parts.join("/")
    }

    /// The lock of the production image, from the top.
    pub fn lock_file(&self) -> String {
        self.lock_files(false).pop().unwrap_or_default()
    }

    /// The settings module of a container in production, if the file says one.
    pub fn settings_of_production(&self) -> Option<&String> {
        self.settings.get("production").or_else(|| self.settings.get(""))
    }

    /// `production=shop.settings.production development=…`, or the one module.
    pub(crate) fn settings_words(&self) -> String {
        let words = self.settings.iter().map(|(name, module)| match name.as_str() {
            "" => module.clone(),
            name => format!("{name}={module}"),
        });
        words.collect::<Vec<_>>().join(" ")
    }
}

/// Reads `[app]`; mistakes are noted in `file`.
pub(super) fn app(file: &mut ConfigFile<'_>) -> App {
    file.only_keys("app", KEYS);
    let words = |file: &mut ConfigFile<'_>, key, wrong: fn(&str) -> Option<String>| {
        file.strings("app", key, wrong).unwrap_or_default()
    };
    let folder = file.checked("app", "folder", names::folder).unwrap_or_else(|| "app".to_owned());
    App {
        runtime: file
            .checked("app", "runtime", names::below)
            .unwrap_or_else(|| "docker".to_owned()),
        module: file.required_as("app", "module", names::module),
        queues: file.checked("app", "queues", names::queues).unwrap_or_else(|| "celery".to_owned()),
        asgi: file.checked("app", "asgi", names::application),
        web_server: file
            .checked("app", "web_server", names::web_server)
            .unwrap_or_else(|| "daphne".to_owned()),
        wsgi: file.checked("app", "wsgi", names::application),
        celery: file.checked("app", "celery", names::celery),
        user: file.checked("app", "user", names::user).unwrap_or_else(|| "app".to_owned()),
        required_environment: file
            .strings("app", "required_environment", names::variable)
            .unwrap_or_else(|| ["SECRET_KEY", "FIELD_ENCRYPTION_KEY"].map(str::to_owned).into()),
        settings: settings(file),
        settings_build: file.checked("app", "settings_build", names::dotted),
        static_root: file
            .checked("app", "static_root", names::below)
            .unwrap_or_else(|| "staticfiles".to_owned()),
        before_collectstatic: words(file, "before_collectstatic", names::command),
        after_collectstatic: words(file, "after_collectstatic", names::command),
        lock: lock(file, &folder),
        folder,
        groups: words(file, "groups", names::python),
        extras: words(file, "extras", names::python),
        packages: words(file, "packages", names::debian),
        build_packages: words(file, "build_packages", names::debian),
        build_from_source: words(file, "build_from_source", names::python),
        environment: environment(file, "environment"),
        build_environment: environment(file, "build_environment"),
    }
}

/// One module, or one for each value of ENVIRONMENT.
fn settings(file: &mut ConfigFile<'_>) -> BTreeMap<String, String> {
    let names = file.keys_or_text("app", "settings");
    let mut all = BTreeMap::new();
    for name in names {
        let (table, key) =
            if name.is_empty() { ("app", "settings") } else { ("app.settings", &*name) };
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
            file.mistake(
                table,
                key,
                format!("`{name}` is no value of ENVIRONMENT: letters, digits, `-`, `_`"),
            );
        }
        if let Some(module) = file.checked(table, key, names::dotted) {
            all.insert(name, module);
        }
    }
    all
}

/// What [`App::build_packages`] compiles translations with; nothing else needs it in a build.
pub const GETTEXT: &str = "gettext";

fn lock(file: &mut ConfigFile<'_>, folder: &str) -> LockFile {
    let depth = if folder == "." { 0 } else { folder.split('/').count() };
    let mut path = |key| {
        let text = file.string("app", key)?;
        let (up, below) = climbed(&text);
        let above = (up > depth).then(|| format!("`{text}` is above the top of the repository"));
        let wrong = above.or_else(|| names::below(below));
        wrong.into_iter().for_each(|message| file.mistake("app", key, message));
        Some(text)
    };
    let (name, dev) = (path("lock").unwrap_or_else(|| "uv.lock".to_owned()), path("lock_dev"));
    let unhashed = file.typed("app", "unhashed");
    if let Some(folder) = name.strip_suffix("uv.lock").filter(|f| f.is_empty() || f.ends_with('/'))
    {
        for (key, is_written) in [("lock_dev", dev.is_some()), ("unhashed", unhashed.is_some())] {
            if is_written {
                let message = "belongs to a lock of requirements, and `lock` is uv.lock";
                file.mistake("app", key, message.to_owned());
            }
        }
        return LockFile::Uv { folder: folder.to_owned() };
    }
    if let Some(message) = names::lock(&name) {
        file.mistake("app", "lock", message);
    }
    LockFile::Requirements { file: name, dev, unhashed: unhashed.unwrap_or_default() }
}

/// The lower bound of `requires-python` in the text of a `uv.lock` or a `pyproject.toml`; the version that
/// a list of requirements was made for; or a version alone.
fn oldest(text: &str) -> Option<(u32, u32)> {
    let number = |version: &str| {
        let mut parts = version.split('.').map(|part| part.trim_end_matches('*').parse().ok());
        Some((parts.next()??, parts.next().flatten().unwrap_or(0)))
    };
    let mut comments = text.lines().filter(|line| line.starts_with('#'));
    if let Some((_, version)) = comments.find_map(|line| line.split_once(MADE_FOR)) {
        return number(version.trim_start_matches(['=', ' ']).split(' ').next()?);
    }
    if text.trim().starts_with("3.") && text.trim().lines().count() == 1 {
        return number(text.trim());
    }
    let line = text.lines().find(|line| line.starts_with("requires-python"))?;
    let bounds = line.split(['"', ',']).filter_map(|part| {
        part.trim().strip_prefix(">=").or_else(|| part.trim().strip_prefix("=="))
    });
    number(bounds.map(str::trim).next()?)
}

/// The option of uv and pip-tools that a list of requirements repeats in its first lines.
const MADE_FOR: &str = "--python-version";

/// How many `../` a path begins with, and what follows.
fn climbed(path: &str) -> (usize, &str) {
    let below = path.trim_start_matches("../");
    ((path.len() - below.len()) / 3, below)
}

fn environment(file: &mut ConfigFile<'_>, key: &str) -> BTreeMap<String, String> {
    let (all, known) = (file.environment_of("app", key), PLACEHOLDERS);
    for (name, value) in &all {
        if value.contains(char::is_control) {
            let message = "a line break or another control character can't stand in a Dockerfile";
            file.mistake(&format!("app.{key}"), name, message.to_owned());
        }
        if let Err(unknown) = filled(value, &|name| known.contains(&name).then(String::new)) {
            let names: Vec<String> = known.iter().map(|name| format!("{{{name}}}")).collect();
            let message = match value.contains(&format!("{{{unknown}}}")) {
                true => {
                    format!("unknown placeholder {{{unknown}}}: known are {}", names.join(", "))
                }
                false => format!("the placeholder `{{{unknown}` has no end"),
            };
            let message = message + "; `{{` stands for a brace";
            file.mistake(&format!("app.{key}"), name, message);
        }
    }
    all
}

/// `text` with each `{name}` replaced by what `value` says of it; the name that it says nothing of.
/// `{{` and `}}` stand for braces.
pub fn filled(text: &str, value: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let (mut whole, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(['{', '}']) {
        whole += &rest[..at];
        let double = rest[at..].starts_with("{{") || rest[at..].starts_with("}}");
        if double || rest[at..].starts_with('}') {
            whole += &rest[at..=at];
            rest = &rest[at + 1 + usize::from(double)..];
            continue;
        }
        let (name, after) =
            rest[at + 1..].split_once('}').ok_or_else(|| rest[at + 1..].to_owned())?;
        whole += &value(name).ok_or_else(|| name.to_owned())?;
        rest = after;
    }
    Ok(whole + rest)
}

/// Reads `[health]`; mistakes are noted in `file`.
pub(super) fn health(file: &mut ConfigFile<'_>) -> Health {
    file.only_keys("health", &["path", "interval", "timeout", "start_period", "retries"]);
    let mut number = |key, default: u32| {
        let found = file.typed("health", key).unwrap_or(default);
        if found == 0 && key != "start_period" {
            file.mistake("health", key, "is at least 1".to_owned());
        }
        found
    };
    let (interval, timeout) = (number("interval", 30), number("timeout", 10));
    let (start_period, retries) = (number("start_period", 40), number("retries", 3));
    let path = file.checked("health", "path", names::url_path);
    let path = path.unwrap_or_else(|| "/health/".to_owned());
    Health { path, interval, timeout, start_period, retries }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_and_an_unknown_one_is_named() {
        let value = |name: &str| (name == "db_host").then(|| "postgres".to_owned());
        let check = |text: &str, expected: Result<&str, &str>| {
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(filled(text, &value), expected, "{text}");
        };
        check("plain", Ok("plain"));
        check("x://{db_host}:1/{db_host}", Ok("x://postgres:1/postgres"));
        check("{{\"a\": 1}}", Ok("{\"a\": 1}"));
        check("a } b", Ok("a } b"));
        check("{db_hots}", Err("db_hots"));
        check("{db_host", Err("db_host"));
        check("{}", Err(""));
    }

    #[test]
    fn the_oldest_python_is_read() {
        let check = |text: &str, expected: Option<(u32, u32)>| {
            assert_eq!(oldest(&format!("version = 1\n{text}\n")), expected, "{text}");
        };
        check("requires-python = \">=3.12\"", Some((3, 12)));
        check("requires-python = \"<4, >= 3.11.2\"", Some((3, 11)));
        check("requires-python = \"==3.13.*\"", Some((3, 13)));
        check("requires-python = \"<4\"", None);
        check("", None);
        check("#    uv pip compile --generate-hashes --python-version 3.12 a.txt", Some((3, 12)));
        check("#    uv pip compile --generate-hashes --python-version=3.13", Some((3, 13)));
        assert_eq!(oldest("3.12.4\n"), Some((3, 12)));
        assert_eq!(oldest("pypy3.10\n"), None);
    }
}
