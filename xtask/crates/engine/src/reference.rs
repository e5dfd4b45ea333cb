//! References of images, `[registry/]repository[:tag][@digest]`: read and checked before an engine
//! or a registry sees them, written in full so that no engine has to guess the registry.
//!
//! The grammar is that of the distribution project (its `reference` package), which Docker and
//! Podman share; `docker.io` and `library/` are filled in as Docker does.

#[cfg(test)]
mod tests;

use super::EngineKind;
use std::fmt;

use process::failure::{Exit, failure, failure_help};

/// The registry of references that name none.
const DEFAULT_REGISTRY: &str = "docker.io";

/// One reference, with the registry and the whole repository spelt out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// Host and port as written: `docker.io`, `localhost:5000`, `[::1]:5000`.
    pub registry: String,
    /// Path in the registry: `library/python`.
    pub repository: String,
    /// The movable name.
    pub tag: Option<String>,
    /// The manifest's digest, `sha256:` and 64 hexadecimal digits.
    pub digest: Option<String>,
}

/// Reads a reference, short ones included: `python:3.12` is `docker.io/library/python:3.12`. No
/// tag is added if there is none.
///
/// # Errors
/// [`Exit::Usage`] with what is wrong and the character (counted from 1) at which it is.
pub fn parse(text: &str) -> anyhow::Result<Reference> {
    read(text).map_err(|Wrong { at, what }| {
        let place = text.get(..at).map_or(at, |before| before.chars().count()) + 1;
        let message = format!("reading the reference {text:?}: {what} at character {place}");
        failure(Exit::Usage, message)
    })
}

/// True when `tag` can follow the colon of a reference: `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`.
pub fn is_tag(tag: &str) -> bool {
    check_tag(tag, 0).is_ok()
}

/// The name under which the engine stores an image that is called `name`: Podman puts `localhost/`
/// before one without a registry.
pub fn stored(kind: EngineKind, name: &str) -> String {
    if kind == EngineKind::Podman && is_short(name) {
        format!("localhost/{name}")
    } else {
        name.to_owned()
    }
}

/// True for a reference that names no registry: Podman then asks or fails, while Docker takes
/// docker.io.
pub fn is_short(text: &str) -> bool {
    split_registry(text).is_none()
}

impl Reference {
    /// Host and port to connect to, `registry-1.docker.io:443` for docker.io: 443 unless the
    /// registry names a port.
    pub fn registry_host(&self) -> String {
        let registry = match self.registry.as_str() {
            DEFAULT_REGISTRY => "registry-1.docker.io",
            other => other,
        };
        let port = registry.rfind(':').is_some_and(|colon| !registry[colon..].contains(']'));
        if port { registry.to_owned() } else { format!("{registry}:443") }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// What is wrong, and the byte at which it is.
struct Wrong {
    at: usize,
    what: String,
}

fn wrong<T>(at: usize, what: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { at, what: what.into() })
}

fn read(text: &str) -> Result<Reference, Wrong> {
    if text.is_empty() {
        return wrong(0, "an empty reference");
    }
    if let Some(scheme) = text.find("://") {
        return wrong(scheme, "`://`, which a URL has and a reference has not,");
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => {
            check_digest(digest, rest.len() + 1)?;
            (rest, Some(digest.to_owned()))
        }
        None => (text, None),
    };
    // A colon before the last slash belongs to the registry's port.
    let path_start = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match rest[path_start..].find(':') {
        Some(colon) => {
            let (name, tag) = (&rest[..path_start + colon], &rest[path_start + colon + 1..]);
            check_tag(tag, name.len() + 1)?;
            (name, Some(tag.to_owned()))
        }
        None => (rest, None),
    };
    let (registry, repository) = match split_registry(name) {
        Some((registry, repository)) => {
            check_registry(registry)?;
            check_repository(repository, registry.len() + 1)?;
            (registry, repository)
        }
        None => {
            check_repository(name, 0)?;
            (DEFAULT_REGISTRY, name)
        }
    };
    if name.len() > 255 {
        return wrong(255, "a name of more than 255 characters");
    }
    // Docker takes 64 hexadecimal digits for an image ID, never for a repository.
    if name.len() == 64 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return wrong(0, "an image ID where a repository is needed");
    }
    let registry = if registry == "index.docker.io" { DEFAULT_REGISTRY } else { registry };
    let official = registry == DEFAULT_REGISTRY && !repository.contains('/');
    let repository = if official { format!("library/{repository}") } else { repository.to_owned() };
    Ok(Reference { registry: registry.to_owned(), repository, tag, digest })
}

/// Registry and repository, when what is before the first slash names a registry: it has a dot, a
/// colon or a bracket, or is `localhost`.
fn split_registry(name: &str) -> Option<(&str, &str)> {
    let (first, rest) = name.split_once('/')?;
    (first == "localhost" || first.contains(['.', ':', '['])).then_some((first, rest))
}

fn check_registry(registry: &str) -> Result<(), Wrong> {
    let (host, port) = if let Some(bracketed) = registry.strip_prefix('[') {
        let Some((address, port)) = bracketed.split_once(']') else {
            return wrong(0, "`[` without `]` in the registry");
        };
        if address.parse::<std::net::Ipv6Addr>().is_err() {
            return wrong(1, format!("`{address}`, which is no IPv6 address,"));
        }
        let port_at = address.len() + 2;
        match port.strip_prefix(':') {
            None if port.is_empty() => return Ok(()),
            None => return wrong(port_at, "something other than a port"),
            Some(port) => (None, Some((port, port_at + 1))),
        }
    } else {
        match registry.split_once(':') {
            Some((host, port)) => (Some(host), Some((port, host.len() + 1))),
            None => (Some(registry), None),
        }
    };
    if let Some(host) = host {
        check_host(host)?;
    }
    match port {
        Some((port, at))
            if !port.bytes().all(|b| b.is_ascii_digit()) || port.parse::<u16>().is_err() =>
        {
            wrong(at, format!("the port `{port}`, which is no number up to 65535,"))
        }
        _ => Ok(()),
    }
}

fn check_host(host: &str) -> Result<(), Wrong> {
    let mut at = 0;
    for label in host.split('.') {
        let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if label.is_empty() {
            return wrong(at, "an empty part of the registry's name");
        }
        if let Some(bad) = label.bytes().position(|b| !good(b)) {
            return wrong(
                at + bad,
                format!("{} in the registry's name", character(host, at + bad)),
            );
        }
        if label.starts_with('-') || label.ends_with('-') {
            return wrong(at, "a dash at an end of a part of the registry's name");
        }
        at += label.len() + 1;
    }
    Ok(())
}

/// Components of lower-case letters and digits, with `.`, `_`, `__` or dashes between them.
fn check_repository(repository: &str, start: usize) -> Result<(), Wrong> {
    let mut at = 0;
    for component in repository.split('/') {
        let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        if component.is_empty() {
            return wrong(start + at, "an empty component of the repository");
        }
        let good = |b: u8| alphanumeric(b) || matches!(b, b'.' | b'_' | b'-');
        if let Some(bad) = component.bytes().position(|b| !good(b)) {
            let what = character(repository, at + bad);
            let upper = component.as_bytes()[bad].is_ascii_uppercase();
            let rule = if upper { ", which is not lower case," } else { "" };
            return wrong(start + at + bad, format!("{what} in the repository{rule}"));
        }
        let mut position = 0;
        let runs = component.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        for separator in runs {
            let inside = position > 0 && position + separator.len() < component.len();
            let dashes = separator.bytes().all(|b| b == b'-');
            let allowed = inside && (dashes || matches!(separator, "." | "_" | "__"));
            if !separator.is_empty() && !allowed {
                return wrong(start + at + position, format!("the separator `{separator}`"));
            }
            position += separator.len() + 1;
        }
        at += component.len() + 1;
    }
    Ok(())
}

fn check_tag(tag: &str, start: usize) -> Result<(), Wrong> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if tag.is_empty() {
        return wrong(start, "an empty tag");
    }
    if let Some(bad) = tag.bytes().position(|b| !word(b) && !matches!(b, b'.' | b'-')) {
        return wrong(start + bad, format!("{} in the tag", character(tag, bad)));
    }
    if !word(tag.as_bytes()[0]) {
        return wrong(start, format!("a tag that starts with {}", character(tag, 0)));
    }
    if tag.len() > 128 {
        return wrong(start + 128, "a tag of more than 128 characters");
    }
    Ok(())
}

/// The digests that the OCI image specification registers, in lower case.
fn check_digest(digest: &str, start: usize) -> Result<(), Wrong> {
    let Some((algorithm, hex)) = digest.split_once(':') else {
        return wrong(start, "a digest without an algorithm (`sha256:…`)");
    };
    let digits = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return wrong(start, format!("the unknown digest algorithm {algorithm:?}")),
    };
    let at = start + algorithm.len() + 1;
    if let Some(bad) = hex.bytes().position(|b| !matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return wrong(at + bad, format!("{} in the digest", character(hex, bad)));
    }
    if hex.len() != digits {
        return wrong(at, format!("{} digits instead of {digits} of the digest", hex.len()));
    }
    Ok(())
}

/// The character at byte `at`, for a message.
fn character(text: &str, at: usize) -> String {
    text[at..].chars().next().map_or_else(String::new, |c| format!("`{}`", c.escape_debug()))
}

/// The repository that `text` names.
///
/// # Errors
/// [`Exit::Usage`] for what is none.
pub fn target(text: &str, name: &str) -> anyhow::Result<Reference> {
    let host = !text.contains('/');
    let whole = if host { format!("{text}/{name}") } else { text.to_owned() };
    if is_short(&whole) {
        let message = format!("pushing to {text:?}: it names no registry");
        let help = "write registry.example/team/NAME; Docker Hub's is docker.io/TEAM/NAME";
        return Err(failure_help(Exit::Usage, message, help));
    }
    let target = parse(&whole)?;
    if target.tag.is_some() || target.digest.is_some() {
        let message = format!("pushing to {text:?}: it names more than a repository");
        return Err(failure_help(Exit::Usage, message, "tags are chosen with --tag"));
    }
    Ok(target)
}

/// The repository of the layer cache: that of the command line, else that of `docker/image.toml`;
/// a registry alone gets `NAME-cache`. `none` turns it off.
///
/// # Errors
/// [`Exit::Usage`] for what is no repository.
pub fn cache_repository(
    asked: Option<&str>,
    configured: Option<&str>,
    name: &str,
) -> anyhow::Result<Option<Reference>> {
    let Some(text) = asked.or(configured).filter(|text| *text != "none") else { return Ok(None) };
    let found = target(text, &format!("{name}-cache"));
    found.map(Some).map_err(|error| {
        let message = format!("reading the layer cache {text:?}: {error:#}");
        failure_help(Exit::Usage, message, "write registry.example/team/NAME-cache, or none")
    })
}
