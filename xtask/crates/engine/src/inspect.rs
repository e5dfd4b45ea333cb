//! What the engines say about an image, in one form: they put the same facts in different places.

use anyhow::Context as _;
use process::failure::{Exit, failure};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A local image, as its engine describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Image {
    /// The image ID with `sha256:`.
    pub id: String,
    pub labels: BTreeMap<String, String>,
    /// `ENV`, as `NAME=value`.
    pub environment: Vec<String>,
    pub user: String,
    pub entrypoint: Vec<String>,
    /// `CMD`.
    pub command: Vec<String>,
    /// `HEALTHCHECK`'s test, empty for none.
    pub health_check: Vec<String>,
    /// `EXPOSE`.
    pub ports: Vec<String>,
    /// The digests of the uncompressed layers, base first.
    pub layers: Vec<String>,
    /// Local names.
    pub references: Vec<String>,
    /// `repository@digest`, as registries gave them.
    pub digests: Vec<String>,
    /// `os/arch`.
    pub platform: String,
    /// Whether the image ID is the config's digest: Docker's containerd store has the manifest's.
    pub config_is_id: bool,
    /// The folder in which the last layer is unpacked, if the engine's overlay driver says it.
    pub unpacked: Option<PathBuf>,
    /// Made by `import`, so that no digest of it is a registry's.
    pub imported: bool,
}

/// Reads the answer of `image inspect` for one image.
pub fn image(text: &str) -> anyhow::Result<Image> {
    let none = || failure(Exit::Engine, "reading what `image inspect` printed: no image");
    images(text)?.pop().ok_or_else(none)
}

/// Reads the answer of `image inspect`: the images that are there, in the order asked for.
pub fn images(text: &str) -> anyhow::Result<Vec<Image>> {
    let all: Value = serde_json::from_str(text).context("reading what `image inspect` printed")?;
    all.as_array().into_iter().flatten().map(described).collect()
}

fn described(image: &Value) -> anyhow::Result<Image> {
    let config = &image["Config"];
    let id = image["Id"].as_str().unwrap_or_default();
    if id.is_empty() {
        return Err(failure(Exit::Engine, "reading what `image inspect` printed: no image ID"));
    }
    // Podman keeps the health check outside of the config, Docker inside.
    let health = [&image["Healthcheck"], &image["HealthCheck"], &config["Healthcheck"]];
    let health_check = health.into_iter().map(|check| strings(&check["Test"])).max_by_key(Vec::len);
    let comments = image["History"].as_array().into_iter().flatten().map(|step| &step["comment"]);
    Ok(Image {
        id: with_algorithm(id),
        labels: config["Labels"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect(),
        environment: strings(&config["Env"]),
        user: config["User"].as_str().unwrap_or_default().to_owned(),
        entrypoint: strings(&config["Entrypoint"]),
        command: strings(&config["Cmd"]),
        health_check: health_check.unwrap_or_default(),
        ports: config["ExposedPorts"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|p| p.0.clone())
            .collect(),
        layers: strings(&image["RootFS"]["Layers"]),
        references: strings(&image["RepoTags"]),
        digests: digests(image),
        platform: format!(
            "{}/{}",
            image["Os"].as_str().unwrap_or_default(),
            image["Architecture"].as_str().unwrap_or_default()
        ),
        // The stores whose image ID is the config's digest name their driver and its folders;
        // containerd's snapshotters have none to name.
        config_is_id: image["GraphDriver"]["Data"].is_object(),
        unpacked: image["GraphDriver"]["Data"]["UpperDir"].as_str().map(PathBuf::from),
        imported: comments
            .chain([&image["Comment"]])
            .filter_map(Value::as_str)
            .any(|comment| comment.starts_with("Imported from")),
    })
}

/// Bytes of the uncompressed layers, from `podman history --format json`: Podman records the size
/// of each layer's archive. Empty layers (`ENV` and the like) count 0.
pub fn history_bytes(text: &str) -> anyhow::Result<u64> {
    let all: Value = serde_json::from_str(text).context("reading what `history` printed")?;
    let steps = all.as_array().context("reading what `history` printed: no list")?;
    steps
        .iter()
        .map(|step| step["size"].as_u64().context("reading what `history` printed: no size"))
        .sum()
}

/// The sizes of an image's steps in bytes, the newest first, as `docker history` prints them: sums
/// of file sizes, 0 for steps without a layer and for layers without a file.
pub fn step_sizes(text: &str) -> anyhow::Result<Vec<u64>> {
    let number = |line: &str| line.trim().parse().context("reading what `history` printed");
    text.lines().map(number).collect()
}

/// The registry's digest of `reference` among an image's `repository@digest` names. An imported
/// image has none, whatever its engine says; nor has one of `localhost`. A reference with a digest
/// says it itself.
pub fn registry_digest(image: &Image, reference: &str) -> Option<String> {
    let wanted = crate::reference::parse(reference).ok()?;
    if image.imported || wanted.registry == "localhost" {
        return None;
    }
    if wanted.digest.is_some() {
        return wanted.digest;
    }
    image.digests.iter().find_map(|text| {
        let found = crate::reference::parse(text).ok()?;
        let same = (&found.registry, &found.repository) == (&wanted.registry, &wanted.repository);
        found.digest.filter(|_| same)
    })
}

/// `sha256:` before an image ID, which Podman leaves out.
pub fn with_algorithm(id: &str) -> String {
    if id.contains(':') { id.to_owned() } else { format!("sha256:{id}") }
}

/// Podman knows an image that came with others in a list by two digests: `Digest` is the list's, as on
/// Docker, which has only that one (Podman 4.3.1).
fn digests(image: &Value) -> Vec<String> {
    let mut all = strings(&image["RepoDigests"]);
    let own = image["Digest"].as_str().unwrap_or_default();
    all.sort_by_key(|text| own.is_empty() || !text.ends_with(own));
    all
}

fn strings(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PODMAN: &str = r#"[{"Id":"ab","Config":{"User":"1000:1000","Labels":{"a":"1"},
        "Entrypoint":["/e"],"Cmd":["web"],"ExposedPorts":{"8000/tcp":{}}},
        "Healthcheck":{"Test":["CMD","/h"]},"RootFS":{"Layers":["sha256:1","sha256:2"]},
        "RepoTags":["localhost/x:prod"],"GraphDriver":{"Name":"overlay","Data":{}},"Os":"linux","Architecture":"amd64",
        "RepoDigests":["docker.io/library/python@sha256:1111111111111111111111111111111111111111111111111111111111111111"],
        "History":[{"created_by":"x"}]}]"#;
    const DOCKER: &str = r#"[{"Id":"sha256:ab","Config":{"User":"1000:1000","Labels":{"a":"1"},
        "Entrypoint":["/e"],"Cmd":["web"],"ExposedPorts":{"8000/tcp":{}},
        "Healthcheck":{"Test":["CMD","/h"]}},"RootFS":{"Layers":["sha256:1","sha256:2"]},
        "RepoTags":["localhost/x:prod"],"GraphDriver":{"Name":"overlay","Data":{}},"Os":"linux","Architecture":"amd64","Comment":"",
        "RepoDigests":["python@sha256:1111111111111111111111111111111111111111111111111111111111111111"]}]"#;

    #[test]
    fn both_engines_describe_the_same_image() {
        let one = |text: &str| image(text).unwrap();
        let (podman, docker) = (one(PODMAN), one(DOCKER));
        assert_eq!(
            Image { digests: Vec::new(), ..podman.clone() },
            Image { digests: Vec::new(), ..docker.clone() }
        );
        assert_eq!(podman.health_check, ["CMD", "/h"]);
        let wanted = "docker.io/library/python:3.12-slim-bookworm";
        let digest = format!("sha256:{}", "1".repeat(64));
        assert_eq!(registry_digest(&podman, wanted), Some(digest.clone()));
        assert_eq!(registry_digest(&docker, wanted), Some(digest));
        assert_eq!(registry_digest(&docker, "docker.io/library/postgres:16"), None);
        assert_eq!(registry_digest(&Image { imported: true, ..podman }, wanted), None);
    }

    #[test]
    fn sizes_are_added_and_nonsense_is_refused() {
        assert_eq!(history_bytes(r#"[{"size":5},{"size":0},{"size":7}]"#).unwrap(), 12);
        assert!(history_bytes("{}").is_err());
        assert!(history_bytes(r#"[{"size":"5MB"}]"#).is_err());
        assert_eq!(step_sizes("58744\n0\n172310206\n").unwrap(), [58_744, 0, 172_310_206]);
        assert!(step_sizes("58.7kB\n").is_err());
        assert_eq!(images("[]").unwrap(), []);
        assert!(image("[]").is_err());
        assert!(image("[{}]").is_err());
    }
}
