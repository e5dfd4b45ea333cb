//! What a Django project says of itself: found by reading its files, and written as an `image.toml`.

mod source;
#[cfg(test)]
mod tests;
mod written;

use crate::config::app::GETTEXT;
use source::{
    builds, chooses_postgres, folder_of, from_git, is_debug, is_locked, is_needed, is_on, is_read,
    quoted, quoted_after, statement, without_wheel,
};
use std::collections::{BTreeMap, BTreeSet};
use written::list;
pub use written::{image_toml, text};

/// The texts of a project's files by their path from its top.
pub type ProjectTexts = BTreeMap<String, String>;

/// What was found, as the keys of an `image.toml`: table, key, value as TOML writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    pub keys: Vec<(&'static str, String, String)>,
    /// What a person should look at.
    pub told: Vec<String>,
}

/// How the names of variables end that settings read, and what stands for their value in a container of
/// ours; the first that fits counts.
const VARIABLES: &[(&str, &str)] = &[
    ("DATABASE_URL", "{database_url}"),
    ("DB_URL", "{database_url}"),
    ("DB_ENGINE", "django.db.backends.postgresql"),
    ("DB_HOST", "{db_host}"),
    ("DB_PORT", "{db_port}"),
    ("DB_NAME", "{db_name}"),
    ("DB_DATABASE", "{db_name}"),
    ("DB_USER", "{db_user}"),
    ("DB_USERNAME", "{db_user}"),
    ("DB_PASSWORD", "{db_password}"),
    ("DB_PASS", "{db_password}"),
    ("POSTGRES_HOST", "{db_host}"),
    ("POSTGRES_PORT", "{db_port}"),
    ("POSTGRES_DB", "{db_name}"),
    ("POSTGRES_USER", "{db_user}"),
    ("POSTGRES_PASSWORD", "{db_password}"),
    ("PGHOST", "{db_host}"),
    ("PGPORT", "{db_port}"),
    ("PGDATABASE", "{db_name}"),
    ("PGUSER", "{db_user}"),
    ("PGPASSWORD", "{db_password}"),
    ("DATABASE_ENGINE", "django.db.backends.postgresql"),
    ("DATABASE_HOST", "{db_host}"),
    ("DATABASE_PORT", "{db_port}"),
    ("DATABASE_NAME", "{db_name}"),
    ("DATABASE_USER", "{db_user}"),
    ("DATABASE_PASSWORD", "{db_password}"),
    ("REDIS_URL", "{redis_url}"),
    ("REDIS_HOST", "{redis_host}"),
    ("REDIS_PORT", "6379"),
    ("BROKER_URL", "{redis_url}"),
    ("CELERY_BROKER", "{redis_url}"),
    ("CELERY_BACKEND", "{redis_url}"),
    ("RESULT_BACKEND", "{redis_url}"),
    ("CACHE_URL", "{redis_url}"),
    ("ALLOWED_HOSTS", "localhost,127.0.0.1"),
    ("STATIC_ROOT", "/app/staticfiles"),
    ("MEDIA_ROOT", "/app/media"),
];

/// By these plain names settings have a default that fits.
const SET: [&str; 3] = ["DB_PORT", "DB_ENGINE", "REDIS_PORT"];

/// What stands for the variable `name`.
fn value_of(name: &str) -> Option<&'static str> {
    let ends = |end: &str| {
        name.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('_'))
    };
    // A switch is no address.
    let switch = ["USE_", "HAS_", "ENABLE_", "TEST_"].iter().any(|word| name.starts_with(word));
    let found = VARIABLES.iter().find(|(end, _)| ends(end) && !switch);
    found.filter(|_| !SET.contains(&name)).map(|(_, value)| *value)
}

/// Whether a statement takes its value from a variable that [`VARIABLES`] has.
fn value_in(set: &str) -> bool {
    quoted(set).iter().any(|name| is_read(set, name) && value_of(name).is_some())
}

/// Words of a path that answers whether a site works.
const HEALTH: [&str; 5] = ["health", "status", "ping", "livez", "heartbeat"];

/// The files that can be installed from, the best first.
const LOCKS: [&str; 8] = [
    "uv.lock",
    "requirements.lock.txt",
    "requirements.txt",
    "requirements/production.txt",
    "requirements/prod.txt",
    "requirements/base.txt",
    "poetry.lock",
    "Pipfile.lock",
];

/// Python packages that load a library of Debian, the libraries, and what they are built with if they
/// have no wheel, by their own documentation.
const LIBRARIES: &[(&str, &[&str], &[&str])] = &[
    ("psycopg", &["libpq5"], &[]),
    ("psycopg-c", &["libpq5"], &["libpq-dev"]),
    ("psycopg2", &["libpq5"], &["libpq-dev"]),
    ("mysqlclient", &["libmariadb3"], &["libmariadb-dev", "pkg-config"]),
    ("python-magic", &["libmagic1"], &[]),
    ("weasyprint", &["libpango-1.0-0", "libpangoft2-1.0-0", "libharfbuzz-subset0"], &[]),
    ("pycairo", &["libcairo2"], &["libcairo2-dev", "pkg-config"]),
    ("python-ldap", &["libldap-2.5-0", "libsasl2-2"], &["libldap-dev", "libsasl2-dev"]),
    ("xmlsec", &["libxmlsec1-openssl"], &["libxmlsec1-dev", "pkg-config"]),
];

/// Whether another locked package has the library of `name` in its wheel.
fn brings_its_own(lock: &str, name: &str) -> bool {
    is_locked(lock, &format!("{name}-binary"))
}

/// A project while it is read.
struct Reader<'a> {
    texts: &'a ProjectTexts,
    /// `` or `app/`.
    prefix: String,
    /// The settings modules by dotted name, with their texts.
    settings: BTreeMap<String, &'a str>,
    /// The one of production, if there are several.
    production: String,
    found: Findings,
}

/// Reads a project.
///
/// # Errors
/// What it has to have, and hasn't.
pub fn found(texts: &ProjectTexts) -> Result<Findings, String> {
    let manage = texts.keys().filter(|path| *path == "manage.py" || path.ends_with("/manage.py"));
    let manage = manage.min_by_key(|path| path.matches('/').count());
    let Some(manage) = manage else {
        return Err("there is no manage.py: a Django project has one".to_owned());
    };
    let prefix = manage.trim_end_matches("manage.py").to_owned();
    let mut reader = Reader {
        texts,
        prefix,
        settings: BTreeMap::new(),
        production: String::new(),
        found: Findings::default(),
    };
    let folder = reader.prefix.trim_end_matches('/');
    let folder = if folder.is_empty() { "." } else { folder }.to_owned();
    if folder != "app" {
        reader.key("app", "folder", text(&folder));
    }
    let named = quoted_after(&texts[manage], "DJANGO_SETTINGS_MODULE").unwrap_or_default();
    let module = reader.module(&named)?;
    reader.key("app", "module", text(&module));
    reader.settings(&named, &module);
    let lock = reader.lock();
    let run = reader.roles(&module, &lock);
    reader.groups(&run);
    reader.environment();
    reader.static_root();
    reader.media_root();
    reader.assets();
    reader.health(&module);
    Ok(reader.found)
}

impl Reader<'_> {
    fn key(&mut self, table: &'static str, key: &str, value: String) {
        self.found.keys.push((table, key.to_owned(), value));
    }

    fn has(&self, path: &str) -> bool {
        self.texts.contains_key(&format!("{}{path}", self.prefix))
    }

    fn text(&self, path: &str) -> &str {
        self.texts.get(&format!("{}{path}", self.prefix)).map_or("", String::as_str)
    }

    /// Paths and texts of the project's Python files, from its folder.
    fn python(&self) -> impl Iterator<Item = (&str, &str)> {
        let inside = self
            .texts
            .iter()
            .filter_map(|(path, text)| Some((path.strip_prefix(&self.prefix)?, text.as_str())));
        inside.filter(|(path, _)| path.ends_with(".py"))
    }

    /// The package with `wsgi.py` or `asgi.py`.
    fn module(&self, settings: &str) -> Result<String, String> {
        let first = settings.split('.').next().unwrap_or_default();
        let holds = |folder: &str| {
            ["wsgi.py", "asgi.py"].iter().any(|file| self.has(&format!("{folder}/{file}")))
        };
        if !first.is_empty() && holds(first) {
            return Ok(first.to_owned());
        }
        let all: BTreeSet<&str> =
            self.python().filter_map(|(path, _)| Some(path.split_once('/')?.0)).collect();
        let other = all.into_iter().find(|folder| holds(folder));
        let module = other.or(Some(first).filter(|first| !first.is_empty()));
        module
            .map(str::to_owned)
            .ok_or_else(|| "neither manage.py nor a wsgi.py tells the project's package".to_owned())
    }

    /// The settings of each ENVIRONMENT.
    fn settings(&mut self, named: &str, module: &str) {
        if named.is_empty() {
            self.found.told.push("manage.py names no settings: write them as settings".to_owned());
            return;
        }
        let file = |name: &str| format!("{}.py", name.replace('.', "/"));
        let is_module = self.has(&file(named));
        // A package, or the one that the module is in.
        let package = if is_module {
            named.rsplit_once('.').map_or("", |(package, _)| package)
        } else {
            named
        };
        let is_package = self.has(&format!("{}/__init__.py", package.replace('.', "/")));
        let single = is_module && !(is_package && package.ends_with("settings"));
        if single {
            self.read_settings(&[named.to_owned()]);
            if named != format!("{module}.settings") {
                self.key("app", "settings", text(named));
            }
            return;
        }
        let folder = package.replace('.', "/") + "/";
        let stems: Vec<String> = self
            .python()
            .filter_map(|(path, _)| path.strip_prefix(&folder)?.strip_suffix(".py"))
            .filter(|stem| !stem.contains('/') && *stem != "__init__")
            .map(str::to_owned)
            .collect();
        let pick = |names: &[&str]| {
            names
                .iter()
                .find(|name| stems.iter().any(|stem| stem == *name))
                .map(|name| format!("{package}.{name}"))
        };
        let by_wsgi =
            quoted_after(self.text(&format!("{module}/wsgi.py")), "DJANGO_SETTINGS_MODULE")
                .filter(|name| self.has(&file(name)) && *name != named);
        let production = pick(&["production", "prod", "live"]).or(by_wsgi);
        let development = pick(&["development", "dev", "local"]);
        let staging = pick(&["staging", "stage"]);
        let build = pick(&["build"]);
        let all: Vec<String> = stems.iter().map(|stem| format!("{package}.{stem}")).collect();
        self.read_settings(&[&all[..], &[package.to_owned()]].concat());
        let Some(production) = production else {
            self.key("app", "settings", text(named));
            return;
        };
        self.production = file(&production);
        let usual = format!("{module}.settings.");
        let is_usual = production == format!("{usual}production")
            && development.as_ref().is_some_and(|name| *name == format!("{usual}development"))
            && staging.is_none();
        if !is_usual {
            let development = development.unwrap_or_else(|| named.to_owned());
            let pairs = [
                Some(("production", production)),
                Some(("development", development)),
                staging.map(|name| ("staging", name)),
            ];
            let pairs = pairs
                .into_iter()
                .flatten()
                .map(|(name, module)| format!("{name} = {}", text(&module)));
            let pairs = pairs.collect::<Vec<_>>().join(", ");
            self.key("app", "settings", format!("{{ {pairs} }}"));
        }
        if let Some(build) = build.filter(|name| *name != format!("{usual}build")) {
            self.key("app", "settings_build", text(&build));
        }
    }

    fn read_settings(&mut self, names: &[String]) {
        for name in names {
            let path = name.replace('.', "/");
            for path in [format!("{path}.py"), format!("{path}/__init__.py")] {
                if let Some(text) = self.texts.get(&format!("{}{path}", self.prefix)) {
                    self.settings.insert(path, text);
                }
            }
        }
    }

    /// The text of the lock.
    fn lock(&mut self) -> String {
        let Some((lock, all)) = self.lock_file() else {
            self.found.told.push("no lock of the Python packages was found: `uv lock`, or a requirements.txt with hashes".to_owned());
            return String::new();
        };
        if lock != "uv.lock" {
            self.key("app", "lock", text(&lock));
        }
        let mut build_packages = Vec::new();
        let needed = LIBRARIES.iter().filter(|(name, ..)| is_locked(&all, name));
        let (mut packages, mut headers) = (Vec::new(), Vec::new());
        for (_, libraries, development) in needed.filter(|(name, ..)| !brings_its_own(&all, name)) {
            packages.extend_from_slice(libraries);
            headers.extend_from_slice(development);
        }
        packages.dedup();
        headers.dedup();
        if !packages.is_empty() {
            self.key("app", "packages", list(&packages));
        }
        if !lock.ends_with("uv.lock") {
            if lock.ends_with(".txt") && !all.contains("--hash=") {
                self.found.told.push(format!(
                    "{lock} has no hashes; `cargo xtask doctor` says how to make them"
                ));
            }
        } else {
            let mut sources = without_wheel(&all);
            let git = from_git(&all);
            if !git.is_empty() {
                self.found.told.push(format!("packages that git fetches: {}", git.join(", ")));
                build_packages.push("git");
                sources.extend(git);
            }
            if !sources.is_empty() {
                self.found.told.push(format!(
                    "packages without a wheel, which are built in the image: {}",
                    sources.join(", ")
                ));
                build_packages.extend(["gcc", "libc6-dev"]);
                build_packages.extend(headers);
                self.key("app", "build_from_source", list(&sources));
            }
        }
        if self.has_uncompiled_translations() {
            build_packages.push(GETTEXT);
        }
        if !build_packages.is_empty() {
            self.key("app", "build_packages", list(&build_packages));
        }
        all
    }

    /// The best lock of the nearest folder that has one, seen from the application's, and its text.
    fn lock_file(&self) -> Option<(String, String)> {
        let folders: Vec<&str> = self.prefix.split_terminator('/').collect();
        (0..=folders.len()).find_map(|up| {
            let above: String =
                folders[..folders.len() - up].iter().map(|name| format!("{name}/")).collect();
            let text = |name: &&str| self.texts.get(&format!("{above}{name}"));
            let name = LOCKS.iter().find(|name| text(name).is_some())?;
            Some((format!("{}{name}", "../".repeat(up)), text(name)?.clone()))
        })
    }

    /// Whether the application has translations that git has only as people write them.
    fn has_uncompiled_translations(&self) -> bool {
        let mut files = self.texts.keys().filter(|path| path.starts_with(&self.prefix));
        let compiled = |stem: &str| self.texts.contains_key(&format!("{stem}.mo"));
        files.any(|path| path.strip_suffix(".po").is_some_and(|stem| !compiled(stem)))
    }

    /// What builds style sheets and scripts.
    fn assets(&mut self) {
        for folder in ["", "frontend/", self.prefix.clone().as_str()] {
            let text = self.texts.get(&format!("{folder}package.json"));
            let scripts = text.map(|text| builds(text)).unwrap_or_default();
            if !scripts.is_empty() {
                self.found.told.push(format!(
                    "{folder}package.json builds something ({}): if pages use it, [assets] makes it part of the \
                     image (docs/adopting.md)",
                    scripts.join(", ")
                ));
                break;
            }
        }
    }

    /// The roles that the packages and the files allow; the packages that they run.
    fn roles(&mut self, module: &str, lock: &str) -> Vec<&'static str> {
        let locked = |name: &str| is_locked(lock, name);
        let mut roles = Vec::new();
        let server = ["daphne", "uvicorn"].into_iter().find(|name| locked(name));
        if let Some(server) = server.filter(|_| self.has(&format!("{module}/asgi.py"))) {
            roles.push("web");
            if server != "daphne" {
                self.key("app", "web_server", text(server));
            }
        }
        if locked("gunicorn") && self.has(&format!("{module}/wsgi.py")) {
            roles.push("gunicorn");
        }
        let celery = self.celery(module).filter(|_| locked("celery"));
        if let Some(application) = &celery {
            roles.push("worker");
            let schedules =
                ["beat_schedule", "BEAT_SCHEDULE", "django_celery_beat", "add_periodic_task"];
            if self.python().any(|(_, text)| schedules.iter().any(|word| text.contains(word))) {
                roles.push("beat");
            }
            if application != module {
                let application = text(application);
                self.key("app", "celery", application);
            }
        }
        if !roles.iter().any(|role| ["web", "gunicorn"].contains(role)) {
            self.found.told.push(
                "no server is locked: add gunicorn, daphne or uvicorn to the project's packages"
                    .to_owned(),
            );
            roles.insert(0, "gunicorn");
        }
        if roles.len() < 4 {
            self.key("smoke", "roles", list(&roles));
        }
        self.key("app", "queues", text("celery"));
        let package = |role: &&str| match *role {
            "web" => server,
            "gunicorn" => Some("gunicorn"),
            _ => Some("celery"),
        };
        roles.iter().filter_map(package).collect()
    }

    /// The groups and extras of `pyproject.toml` that have one of the packages `run`, which its own
    /// dependencies haven't.
    fn groups(&mut self, run: &[&str]) {
        let path = self.lock_file().map(|(lock, _)| lock.replace("uv.lock", "pyproject.toml"));
        let Some(path) = path.filter(|path| path.ends_with("pyproject.toml")) else { return };
        let up = path.matches("../").count();
        let folders: Vec<&str> = self.prefix.split_terminator('/').collect();
        let above: String =
            folders[..folders.len() - up].iter().map(|name| format!("{name}/")).collect();
        let text = self.texts.get(&format!("{above}pyproject.toml")).map_or("", String::as_str);
        let Ok(project) = text.parse::<toml::Table>() else { return };
        let main = project.get("project").and_then(|table| table.get("dependencies"));
        let runs = |list: &toml::Value| {
            let items = list.as_array().into_iter().flatten().filter_map(toml::Value::as_str);
            let names = items.map(|item| {
                let end = item.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
                item[..end.unwrap_or(item.len())].to_lowercase()
            });
            names.filter(|name| run.contains(&name.as_str())).collect::<BTreeSet<String>>()
        };
        let mut there = main.map(&runs).unwrap_or_default();
        let tables = [
            ("groups", project.get("dependency-groups")),
            ("extras", project.get("project").and_then(|table| table.get("optional-dependencies"))),
        ];
        for (key, table) in tables {
            let mut needed = Vec::new();
            for (name, list) in table.and_then(toml::Value::as_table).into_iter().flatten() {
                let new: BTreeSet<String> = runs(list).difference(&there).cloned().collect();
                if !new.is_empty() {
                    needed.push(name.clone());
                    there.extend(new);
                }
            }
            if !needed.is_empty() {
                self.key("app", key, list(&needed));
            }
        }
    }

    /// Celery's application, as `-A` takes it.
    fn celery(&self, module: &str) -> Option<String> {
        let usual = format!("{module}/celery.py");
        let holds = |(path, text): &(&str, &str)| {
            !path.contains("test")
                && text
                    .lines()
                    .any(|line| line.contains("= Celery(") && !line.starts_with(['#', ' ']))
        };
        let all: Vec<(&str, &str)> = self.python().filter(holds).collect();
        let (path, source) = all.iter().find(|(path, _)| *path == usual).or(all.first())?;
        let variable = source
            .lines()
            .find_map(|line| Some(line.split_once("= Celery(")?.0.trim().to_owned()))?;
        let dotted =
            path.trim_end_matches(".py").replace('/', ".").trim_end_matches(".__init__").to_owned();
        let loaded = self.text(&format!("{module}/__init__.py")).contains("celery");
        Some(match variable.as_str() {
            "app" | "celery" if *path == usual && loaded => module.to_owned(),
            "app" | "celery" => dotted,
            _ => format!("{dotted}:{variable}"),
        })
    }

    /// What the settings read of their environment.
    fn environment(&mut self) {
        let all: String = self.settings.values().copied().collect::<Vec<_>>().join("\n");
        let mut required: Vec<String> = quoted(&all)
            .into_iter()
            .filter(|name| {
                name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
                    && (name.ends_with("ENCRYPTION_KEY")
                        || name.ends_with("SECRET_KEY") && is_needed(&all, name))
            })
            .filter(|name| is_read(&all, name))
            .collect();
        required.sort();
        required.dedup();
        if required.is_empty() {
            self.found.told.push("the settings read no SECRET_KEY from the environment: the image would have a key that everybody knows".to_owned());
        }
        self.key("app", "required_environment", list(&required));
        let names: BTreeSet<String> = quoted(&all)
            .into_iter()
            .chain(all.contains("dj_database_url").then(|| "DATABASE_URL".to_owned()))
            .filter(|name| is_read(&all, name))
            .collect();
        for name in &names {
            if let Some(value) = value_of(name) {
                self.key("app.environment", name, text(value));
            }
        }
        for (name, value) in chooses_postgres(&all) {
            if value_of(&name).is_none() {
                self.key("app.environment", &name, text(&value));
            }
        }
        let debug = |name: &&String| is_debug(&all, name);
        // Production must not depend on a default that is on.
        for name in names.iter().filter(debug).filter(|name| is_on(&all, name)) {
            self.key("app.environment", name, text("False"));
        }
        let debug: Vec<String> =
            names.iter().filter(debug).map(|name| format!("{name} = \"True\"")).collect();
        if !debug.is_empty() {
            self.key("dev", "environment", format!("{{ {} }}", debug.join(", ")));
        }
    }

    fn static_root(&mut self) {
        let Some(set) = self.set("STATIC_ROOT") else {
            self.found.told.push("no settings set STATIC_ROOT, which collectstatic needs: STATIC_ROOT = BASE_DIR / \"staticfiles\"".to_owned());
            return;
        };
        match self.below(&set) {
            // A container is told.
            _ if value_in(&set) => {}
            Some(root) if root == "staticfiles" => {}
            Some(root) => self.key("app", "static_root", text(&root)),
            None => self
                .found
                .told
                .push(format!("`{set}`: write what it is below the folder as static_root")),
        }
    }

    /// Where uploads go must be writable.
    fn media_root(&mut self) {
        let Some(set) = self.set("MEDIA_ROOT").filter(|set| !value_in(set)) else { return };
        if self.below(&set).is_none_or(|root| root != "media") && !set.contains("/app/media") {
            self.found.told.push(format!(
                "`{set}`: in the image uploads can only be written to /app/media, so let a variable \
                 decide, and set that to \"/app/media\" below [app.environment]"
            ));
        }
    }

    /// The statement that sets `setting`, on one line: that of production, else of a module that is for
    /// all.
    fn set(&self, setting: &str) -> Option<String> {
        let development =
            |path: &str| ["dev", "local", "test"].iter().any(|name| path.contains(name));
        let mut all: Vec<(&String, &&str)> = self.settings.iter().collect();
        all.sort_by_key(|(path, _)| (**path != self.production, development(path)));
        all.into_iter().find_map(|(_, text)| statement(text, setting))
    }

    /// The folder below the application's that a statement names by its last parts.
    fn below(&self, set: &str) -> Option<String> {
        let (_, value) = set.split_once('=')?;
        let parts = quoted(value).into_iter().filter(|part| !part.contains(char::is_uppercase));
        let parts: Vec<String> = parts.filter(|part| part != "..").collect();
        let parts = parts.join("/");
        let plain = parts.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
        if parts.is_empty() || parts.starts_with(['/', '.']) || !plain {
            return None;
        }
        let texts = self.settings.iter().map(|(path, text)| (path.as_str(), *text));
        let base = folder_of(&texts.collect::<Vec<_>>(), value, 4)?;
        Some(
            [base, parts.trim_end_matches('/').to_owned()]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join("/"),
        )
    }

    fn health(&mut self, module: &str) {
        let named = self.settings.values().find_map(|text| statement(text, "ROOT_URLCONF"));
        let named = named.and_then(|set| quoted(&set).into_iter().next());
        let file = named.unwrap_or_else(|| format!("{module}.urls")).replace('.', "/") + ".py";
        let urls = self.text(&file);
        let plain = |c: char| c.is_ascii_alphanumeric() || "/-_".contains(c);
        // The first text of `path("…", view)`, or of a pattern without a group.
        let routes = urls.lines().filter(|line| line.contains("path(") || line.contains("url("));
        let routes = routes.filter_map(|line| quoted(line).into_iter().next());
        let routes = routes.map(|path| path.trim_matches(['^', '$']).to_owned());
        let path = routes.filter(|path| path.chars().all(plain)).find(|path| {
            let mut words = path.split(['/', '-', '_']);
            words.any(|word| HEALTH.iter().any(|known| word.starts_with(known)))
        });
        match path.as_deref() {
            Some("health/") => {}
            Some(path) => self.key("health", "path", text(&format!("/{}", path.trim_start_matches('/')))),
            None => self.found.told.push(format!("{file} has no page for the health check, /health/: add one that answers 200 (docs/adopting.md), or set path below [health]")),
        }
    }
}
