//! What the stages and the locked production dependencies are good for (A3).

use super::bench::{Repository, on_podman};

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
        println!("left to Podman: sizes mean the same on both engines");
        return;
    }
    let repository = Repository::new();
    let own = repository.build(&[])["size_bytes"].as_u64().unwrap();
    repository.write("docker/Dockerfile.single", SINGLE);
    repository.edit(
        "docker/image.toml",
        "# [variant.prod]",
        "[variant.prod]\ndockerfile = \"docker/Dockerfile.single\"\ntarget = \"single\"\nsize_budget = \"9 GB\"",
    );
    let single = repository.build(&[])["size_bytes"].as_u64().unwrap();
    println!("prod image {own} bytes, a single stage with everything {single} bytes");
    assert!(own * 100 <= single * 65, "{own} of {single} bytes");
}
