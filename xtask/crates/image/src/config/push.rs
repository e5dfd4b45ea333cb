//! `[push]` and `[cache]`: the destinations of this project's images and their layers.

use super::raw::ConfigFile;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushConfig {
    /// Repositories, or registries that get one called as the image.
    pub registries: Vec<String>,
    /// The longest that one push may take, in seconds.
    pub timeout: Option<u64>,
    /// `[cache] registry`: the repository of the layer cache.
    pub cache: Option<String>,
}

/// Reads `[push]` and `[cache]`; mistakes are noted in `file`.
pub(super) fn push(file: &mut ConfigFile<'_>, name: &str) -> PushConfig {
    file.only_keys("push", &["registries", "timeout_seconds"]);
    let wrong =
        |text: &str| engine::reference::target(text, name).err().map(|error| format!("{error:#}"));
    let registries = file.strings("push", "registries", wrong).unwrap_or_default();
    file.only_keys("cache", &["registry"]);
    let cache = file.string("cache", "registry");
    if let Err(error) = engine::reference::cache_repository(None, cache.as_deref(), name) {
        file.mistake("cache", "registry", format!("{error:#}"));
    }
    PushConfig { registries, timeout: file.typed("push", "timeout_seconds"), cache }
}
