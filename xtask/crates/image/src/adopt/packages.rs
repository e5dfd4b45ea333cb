//! What the lock of a project says: what is to be installed, and which roles that allows.

use super::Reader;
use super::source::{from_git, is_locked, without_wheel};
use super::written::{list, text};
use crate::config::app::GETTEXT;
use std::collections::BTreeSet;

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

impl Reader<'_> {
    /// The text of the lock.
    pub(super) fn lock(&mut self) -> String {
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

    /// The groups and extras of `pyproject.toml` that have one of the packages `run`, which its own
    /// dependencies haven't.
    pub(super) fn groups(&mut self, run: &[&str]) {
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

    /// The roles that the packages and the files allow; the packages that they run.
    pub(super) fn roles(&mut self, module: &str, lock: &str) -> Vec<&'static str> {
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
}
