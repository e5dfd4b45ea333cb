//! What the stages and the locked production dependencies are good for, and that a size is
//! what it says it is.

use super::bench::{Repository, on_podman};
use super::tell::tell;
use std::collections::HashMap;
use std::io::Read as _;

/// One stage with the compilers, the headers, all dependencies and the application in it, as
/// images are often made; the same base and lock.
const SINGLE: &str = r#"ARG BASE_IMAGE
FROM ${BASE_IMAGE} AS single
RUN apt-get update && apt-get install -y --no-install-recommends build-essential libpq-dev python3-dev && rm -rf /var/lib/apt/lists/*
COPY docker/installer.txt app/pyproject.toml app/uv.lock /opt/dependencies/
RUN --mount=type=secret,id=ca export PIP_CERT=/run/secrets/ca SSL_CERT_FILE=/run/secrets/ca; \
    python3 -m venv /opt/venv && /opt/venv/bin/python -m pip install --require-hashes --requirement /opt/dependencies/installer.txt \
    && UV_PROJECT_ENVIRONMENT=/opt/venv UV_PYTHON=python3 UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 \
    /opt/venv/bin/uv sync --inexact --project /opt/dependencies --frozen --no-install-project
COPY app/ /app/
"#;

#[test]
fn the_image_is_over_a_third_smaller_than_one_stage_with_everything() {
    if !on_podman() {
        return tell("not run: on Podman alone: sizes mean the same on both engines");
    }
    let repository = Repository::new();
    let own = repository.build(&[])["size_bytes"].as_u64().unwrap();
    repository.write("docker/Dockerfile.single", SINGLE);
    repository.edit(
        "docker/image.toml",
        "\nsize_budget = \"500 MB\"",
        "\ndockerfile = \"docker/Dockerfile.single\"\ntarget = \"single\"\nsize_budget = \"9 GB\"",
    );
    let single = repository.build(&[])["size_bytes"].as_u64().unwrap();
    println!("prod image {own} bytes, a single stage with everything {single} bytes");
    assert!(own * 100 <= single * 65, "{own} of {single} bytes");
}

/// The layers' bytes in the archive that the engine saves: no number of the engine's own.
fn saved_bytes(repository: &Repository, image: &str) -> u64 {
    let file = repository.path("target/saved.tar");
    repository.engine(&["save", "--output", file.to_str().unwrap(), image]).good();
    let (mut sizes, mut manifest) = (HashMap::new(), String::new());
    for entry in tar::Archive::new(std::fs::File::open(&file).unwrap()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        if name == "manifest.json" {
            entry.read_to_string(&mut manifest).unwrap();
        }
        sizes.insert(name, entry.size());
    }
    std::fs::remove_file(file).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let layers = manifest[0]["Layers"].as_array().unwrap();
    layers.iter().map(|layer| sizes[layer.as_str().unwrap()]).sum()
}

#[test]
fn a_size_is_the_bytes_of_the_layers_also_after_an_edit() {
    let repository = Repository::new();
    for text in ["first", "second"] {
        let report = repository.build(&[]);
        let saved = saved_bytes(&repository, report["image_id"].as_str().unwrap());
        assert_eq!(report["size_bytes"], saved, "{text}");
        // Root may read what Docker's daemon records of its layers.
        assert_eq!(report["size_exact"], true, "{text}");
        repository.write("app/trading/added.py", &format!("TEXT = {text:?}\n"));
    }
}
