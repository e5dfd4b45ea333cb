//! The layer cache in a registry: one repository, and how each engine keeps layers there.

use crate::engine::Kind;
use crate::failure::{Exit, failure_help};
use crate::reference::Reference;

/// The tag under which an image keeps Docker's cache.
const TAG: &str = "cache";

/// A layer cache, as far as a build's command line depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cache {
    /// Registry and repository.
    pub repository: String,
    /// Whether layers are written there, too.
    pub writes: bool,
    /// The registry is this machine's and speaks no TLS.
    pub plain: bool,
}

impl Cache {
    /// The image that carries the cache, which Docker's builder can only keep in an image unless
    /// its daemon stores images as containerd does.
    pub fn image(&self) -> String {
        format!("{}:{TAG}", self.repository)
    }

    /// What the last line of a failed build says about this cache, where it is about it.
    pub fn trouble<'l>(&self, lines: &'l [String]) -> Option<&'l str> {
        let registry = self.repository.split('/').next().unwrap_or_default();
        let last = lines.iter().map(|line| line.trim()).rfind(|line| !line.is_empty())?;
        (last.contains("cache") && last.contains(registry)).then_some(last)
    }

    /// How `kind` keeps it, for the output.
    pub fn shown(&self, kind: Kind) -> String {
        let place = match kind {
            Kind::Podman => format!("each layer by itself in {}", self.repository),
            Kind::Docker => format!("the layers of the last image, by {}", self.image()),
        };
        if self.writes { place } else { format!("{place}; only read: no login that may push") }
    }
}

/// The repository of the layer cache: that of the command line, else that of `docker/image.toml`;
/// a registry alone gets `NAME-cache`. `none` turns it off.
///
/// # Errors
/// [`Exit::Usage`] for what is no repository.
pub fn repository(
    asked: Option<&str>,
    configured: Option<&str>,
    name: &str,
) -> anyhow::Result<Option<Reference>> {
    let Some(text) = asked.or(configured).filter(|text| *text != "none") else { return Ok(None) };
    let found = super::push::target(text, &format!("{name}-cache"));
    found.map(Some).map_err(|error| {
        let message = format!("reading the layer cache {text:?}: {error:#}");
        failure_help(Exit::Usage, message, "write registry.example/team/NAME-cache, or none")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_that_failed_over_its_cache_is_told_from_one_that_failed() {
        let cache = Cache { repository: "r.example:5000/team/cache".into(), ..Cache::default() };
        let check = |line: &str, expected: bool| {
            let lines = ["--> Pushing cache r.example:5000/team/cache:12", line, ""];
            assert_eq!(cache.trouble(&lines.map(String::from)).is_some(), expected, "{line}");
        };
        let podman =
            "Error: failed pushing cache to {{{\"r.example:5000\" \"team/cache\"} \"12\"}}: 503";
        check(podman, true);
        check("Error: building at STEP \"RUN rm -rf /var/cache\": exit status 1", false);
        check("Error: r.example:5000 says no", false);
    }

    #[test]
    fn the_command_line_comes_before_the_file_and_none_is_none() {
        let check = |asked: Option<&str>, configured: Option<&str>, expected: Option<&str>| {
            let found = repository(asked, configured, "app").ok().flatten();
            let found = found.map(|reference| reference.to_string());
            assert_eq!(found.as_deref(), expected, "{asked:?} {configured:?}");
        };
        check(None, None, None);
        check(None, Some("r.example/team/cache"), Some("r.example/team/cache"));
        check(Some("s.example"), Some("r.example/cache"), Some("s.example/app-cache"));
        check(Some("none"), Some("r.example/cache"), None);
        assert!(repository(Some("team/cache"), None, "app").is_err());
        assert!(repository(Some("r.example/cache:tag"), None, "app").is_err());
    }
}
