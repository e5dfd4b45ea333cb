//! The check that nothing secret is in the image: what was planted, what the gate of the build
//! context knows, and what names in the environment and in the history tell.

use super::config::strings;
use super::{Expected, ours, place, verdict};
use crate::verdict::Verdict;
use engine::archive::{Archive, RECORD, split};
use source::secrets::{allowed, has_login, holds, secret_name};
use std::collections::HashSet;

/// Nothing secret in any layer, the environment, the history or a label.
pub(crate) fn no_secrets(archive: &Archive, expected: &Expected) -> Verdict {
    let allow = match allowed(&expected.allow_secrets) {
        Ok(allow) => allow,
        Err(error) => return Verdict::Failed(vec![format!("{error:#}")]),
    };
    // Patterns are of the build context, which has the application elsewhere.
    let in_context = |path: &str| match path.strip_prefix("app/") {
        Some(rest) => format!("{}{rest}", expected.prefix),
        None => path.to_owned(),
    };
    let mut evidence = archive.found.clone();
    let (mut files, mut public) = (0, 0);
    for (index, layer) in ours(archive) {
        let packaged = packaged(&layer.texts);
        files += layer.files.len();
        for (path, entry) in &layer.files {
            let Some(reason) = entry.secret else { continue };
            if packaged.contains(source(path).as_ref()) {
                // It came with a package that everybody can fetch.
                public += 1;
            } else if !allow.iter().any(|pattern| {
                [path.as_str(), &source(path)].iter().any(|path| holds(pattern, &in_context(path)))
            }) {
                evidence.push(format!("{}: {reason}", place(path, index)));
            }
        }
    }
    let config = &archive.config["config"];
    for entry in strings(&config["Env"]) {
        let (name, value) = entry.split_once('=').unwrap_or((&entry, ""));
        if (secret_name(name) && !value.is_empty()) || has_login(value) {
            evidence.push(format!("the environment sets {name}, which looks like a secret"));
        }
    }
    for (name, value) in config["Labels"].as_object().into_iter().flatten() {
        if value.as_str().is_some_and(has_login) {
            evidence.push(format!("the label {name} holds a URL with a password"));
        }
    }
    let steps = archive.config["history"].as_array().into_iter().flatten();
    for (index, step) in steps.enumerate() {
        let text = step["created_by"].as_str().unwrap_or_default();
        let step = index + 1;
        for name in assigned(text).into_iter().filter(|name| secret_name(name)) {
            evidence.push(format!("step {step} of the history sets {name}"));
        }
        if has_login(text) {
            evidence.push(format!("step {step} of the history holds a URL with a password"));
        }
    }
    let packages = format!("{public} examples in public packages");
    verdict(evidence, format!("{files} files of ours, the environment, history; {packages}"))
}

/// The files that the Python packages in a layer brought, by their own lists (RECORD in the core
/// metadata of packages): rows of CSV whose first field is a path from the packages' folder.
fn packaged(texts: &std::collections::BTreeMap<String, String>) -> HashSet<String> {
    let mut paths = HashSet::new();
    for (record, text) in texts.iter().filter(|(path, _)| path.ends_with(RECORD)) {
        let packages = split(split(record).0).0;
        for line in text.lines() {
            let path = match line.strip_prefix('"') {
                Some(quoted) => quoted.split('"').next(),
                None => line.split(',').next(),
            };
            paths.insert(format!("{packages}/{}", path.unwrap_or_default()));
        }
    }
    paths
}

/// The path of what bytecode was made of, which the lists name, or `path` itself.
fn source(path: &str) -> std::borrow::Cow<'_, str> {
    let (folder, name) = split(path);
    let compiled = folder.strip_suffix("/__pycache__").zip(name.strip_suffix(".pyc"));
    match compiled.and_then(|(folder, name)| Some((folder, name.split_once('.')?.0))) {
        Some((folder, module)) => format!("{folder}/{module}.py").into(),
        None => path.into(),
    }
}

/// The names that a command gives a literal value: neither nothing nor that of a variable.
fn assigned(text: &str) -> Vec<&str> {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names = text.match_indices('=').filter_map(|(at, _)| {
        let before = &text[..at];
        let name = &before[before.trim_end_matches(part).len()..];
        let value = text[at + 1..].trim_start_matches(['"', '\'']);
        let own = value.chars().next().is_some_and(|first| {
            !first.is_whitespace() && !['$', '=', ';', '&', '|', ')'].contains(&first)
        });
        (own && !name.is_empty()).then_some(name)
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_tell_a_secret() {
        let check = |text: &str, expected: &[&str]| {
            let found: Vec<&str> =
                assigned(text).into_iter().filter(|name| secret_name(name)).collect();
            assert_eq!(found, expected, "{text}");
        };
        check("|2 APP_MODULE=a TOKEN=b /bin/sh -c make", &["TOKEN"]);
        check(
            "/bin/sh -c export DB_PASSWORD='x'; PGPASSWORD=\"y\" psql",
            &["DB_PASSWORD", "PGPASSWORD"],
        );
        check("ENV SECRET_KEY=build", &["SECRET_KEY"]);
        check("login --password=x --token=", &["password"]);
        check("TOKEN=$(cat /run/secrets/t); SECRET_KEY=\"$A\" SECRET_KEY= x", &[]);
        check("REQUIRED_ENVIRONMENT=SECRET_KEY FIELD_ENCRYPTION_KEY", &[]);
        check("ENV GPG_KEY=7169605F62C7 SECRET_KEY_FILE=/run/secrets/key KEY=1", &[]);
        check("RUN --mount=type=secret,id=token [ \"$TOKEN\" == x ]", &[]);
    }

    #[test]
    fn bytecode_belongs_to_its_source() {
        assert_eq!(source("a/__pycache__/b.cpython-311.pyc"), "a/b.py");
        assert_eq!(source("a/__pycache__/b.cpython-311.opt-1.pyc"), "a/b.py");
        assert_eq!(source("a/b.pem"), "a/b.pem");
    }
}
