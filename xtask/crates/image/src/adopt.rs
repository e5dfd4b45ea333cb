//! What a Django project says of itself: found by reading its files, and written as an `image.toml`.

mod packages;
mod python;
mod settings;
mod source;
#[cfg(test)]
mod tests;
mod written;

use source::{builds, quoted_after};
use std::collections::{BTreeMap, BTreeSet};
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
    if let Some(version) = python::version(texts, &[&reader.prefix, ""]) {
        for variant in ["variant.prod", "variant.dev"] {
            reader.key(variant, "python", text(&version));
        }
    }
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
}
