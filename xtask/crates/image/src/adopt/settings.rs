//! What the settings of a project say.

use super::Reader;
use super::source::{
    chooses_postgres, folder_of, is_debug, is_needed, is_on, is_read, quoted, quoted_after,
    statement,
};
use super::written::{list, text};
use std::collections::BTreeSet;

/// How the names of variables end that settings read, and what stands for their value in a container of
/// ours; the first that fits counts.
const VARIABLES: &[(&str, &str)] = &[
    ("DATABASE_URL", "{database_url}"),
    ("DB_URL", "{database_url}"),
    ("DATABASE_URI", "{database_url}"),
    ("DATABASE_DSN", "{database_url}"),
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
    ("REDIS_URI", "{redis_url}"),
    ("REDIS_DSN", "{redis_url}"),
    ("REDIS", "{redis_url}"),
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
    let found = VARIABLES.iter().find(|(end, _)| ends(end) || ends(&end.replacen("DB_", "DB", 1)));
    found.filter(|_| !switch && !SET.contains(&name)).map(|(_, value)| *value)
}

/// Whether a statement takes its value from a variable that [`VARIABLES`] has.
fn value_in(set: &str) -> bool {
    quoted(set).iter().any(|name| is_read(set, name) && value_of(name).is_some())
}

/// Words of a path that answers whether a site works.
const HEALTH: [&str; 5] = ["health", "status", "ping", "livez", "heartbeat"];

impl Reader<'_> {
    /// The settings of each ENVIRONMENT.
    pub(super) fn settings(&mut self, named: &str, module: &str) {
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
            if ["dev", "local", "test"].iter().any(|word| named.contains(word)) {
                self.found.told.push(format!(
                    "manage.py names {named}, which isn't production's: write that as settings; \
                     there are {}",
                    stems.join(", ")
                ));
            }
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

    /// What the settings read of their environment.
    pub(super) fn environment(&mut self) {
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

    pub(super) fn static_root(&mut self) {
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
    pub(super) fn media_root(&mut self) {
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

    pub(super) fn health(&mut self, module: &str) {
        let named = self.settings.values().find_map(|text| statement(text, "ROOT_URLCONF"));
        let named = named.and_then(|set| quoted(&set).into_iter().next());
        let file = named.unwrap_or_else(|| format!("{module}.urls")).replace('.', "/") + ".py";
        let urls = self.text(&file);
        let plain = |c: char| c.is_ascii_alphanumeric() || "/-_".contains(c);
        // The first text of `path("…", view)`, or of a pattern without a group.
        let routes = urls.lines().filter(|line| line.contains("path(") || line.contains("url("));
        let routes = routes.filter_map(|line| quoted(line).into_iter().next());
        // Of a pattern what it is without `^`, `$` and a slash that may be missing.
        let routes = routes.map(|path| path.trim_matches(['^', '$']).replace("/?", "/"));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_known_by_the_end_of_its_name() {
        let check =
            |name: &str, expected: Option<&str>| assert_eq!(value_of(name), expected, "{name}");
        check("DATABASE_URL", Some("{database_url}"));
        check("SHOP_DB_HOST", Some("{db_host}"));
        check("SHOP_DBHOST", Some("{db_host}"));
        check("DBPASS", Some("{db_password}"));
        check("SHOP_REDIS", Some("{redis_url}"));
        check("SHOP_REDIS_HOST", Some("{redis_host}"));
        check("USE_REDIS", None);
        check("SHOPDBHOST", None);
        check("DB_PORT", None);
    }
}
