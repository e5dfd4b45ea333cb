//! How each engine spells a plan. Every flag of Podman and Docker stands in this file and, for what
//! runs, in [`super::containers`], for one layer of all in [`super::one_layer`].

use super::build::{BuildPlan, Cache, SecretMount, SecretSource};
use super::capability::{Capability, has};
use super::label;
use super::{Engine, EngineKind};
use process::invocation::{Invocation, quoted};
use std::path::Path;

/// `engine WORDS…` with the prefix that makes it work on this machine.
pub fn call<W: Into<String>>(engine: &Engine, words: impl IntoIterator<Item = W>) -> Invocation {
    Invocation { env: engine.env.clone(), ..Invocation::new(&engine.program, words) }
}

/// The build itself, started in the top folder.
pub fn build(engine: &Engine, plan: &BuildPlan) -> Invocation {
    let mut words: Vec<String> = vec!["build".into()];
    match engine.kind {
        // The OCI format, Podman's default, drops HEALTHCHECK and SHELL. What is built from was
        // found or pulled before, so that the labels can name it. The identity label is Buildah's
        // version, which Docker hasn't. Stages that don't need each other build at once, as they
        // do in BuildKit unasked.
        EngineKind::Podman => words.extend(
            ["--format=docker", "--pull=never", "--identity-label=false", "--jobs=4"]
                .map(String::from),
        ),
        // Lines instead of a redrawn screen: for the log, and for CI.
        EngineKind::Docker => words.push("--progress=plain".into()),
    }
    if engine.builder.is_some() {
        // A builder apart from the daemon keeps what it made.
        words.push("--load".into());
    }
    let mut option = |name: &str, value: &str| words.extend([name.to_owned(), value.to_owned()]);
    option("--file", &plan.file);
    if let Some(target) = &plan.target {
        option("--target", target);
    }
    if let Some(platform) = &plan.platform {
        option("--platform", platform);
    }
    for (name, value) in &plan.build_args {
        option("--build-arg", &format!("{name}={value}"));
    }
    for name in &plan.passed {
        option("--build-arg", name);
    }
    // Sorted: the order is part of the image ID. A label here, or by its value at the end of the
    // file, costs no layer; `LABEL name=$ARG` is served stale from Podman's layer cache.
    let in_file = |name, value| plan.labels_in_file && label::literal(name, value).is_some();
    for (name, value) in plan.labels.iter().filter(|(name, value)| !in_file(name, value)) {
        option("--label", &format!("{name}={value}"));
    }
    for secret in &plan.secrets {
        option("--secret", &secret_words(engine.kind, secret));
    }
    option("--iidfile", &plan.iidfile.display().to_string());
    if plan.no_cache {
        words.push("--no-cache".into());
    } else if let Some(cache) = &plan.layer_cache {
        words.extend(cache_words(engine.kind, cache));
    }
    words.extend(plan.timestamp.map(|seconds| format!("--timestamp={seconds}")));
    if plan.squash {
        words.push("--squash".into());
    }
    words.push(plan.context.display().to_string());
    let mut invocation = call(engine, words);
    invocation.env.extend(plan.env.iter().cloned());
    match engine.kind {
        EngineKind::Podman => invocation.with_env("TMPDIR", plan.tmp.display().to_string()),
        EngineKind::Docker => invocation,
    }
}

/// Podman keeps each layer under its own tag of a bare repository. The builder inside Docker's
/// daemon keeps a cache only in the image itself (measured: `--cache-to type=registry` needs the
/// containerd store), which is pushed after the build.
fn cache_words(kind: EngineKind, cache: &Cache) -> Vec<String> {
    match kind {
        EngineKind::Podman => {
            let from = format!("--cache-from={}", cache.repository);
            let to = cache.writes.then(|| format!("--cache-to={}", cache.repository));
            let tls = cache.plain.then(|| "--tls-verify=false".to_owned());
            ["--layers".to_owned(), from].into_iter().chain(to).chain(tls).collect()
        }
        EngineKind::Docker => {
            let from = format!("--cache-from={}", cache.image());
            let inline = cache.writes.then(|| "--build-arg=BUILDKIT_INLINE_CACHE=1".to_owned());
            [from].into_iter().chain(inline).collect()
        }
    }
}

fn secret_words(kind: EngineKind, secret: &SecretMount) -> String {
    match &secret.source {
        SecretSource::File(path) => {
            format!("id={},{}", secret.id, field(kind, format!("src={path}")))
        }
        SecretSource::Environment(name) => format!("id={},env={name}", secret.id),
    }
}

/// A field of an option whose fields have commas between them. Docker reads them as CSV does (RFC
/// 4180); Podman 4 knows no quotes, and [`super::locate::Search`] refuses what needs them.
pub(super) fn field(kind: EngineKind, text: String) -> String {
    match kind {
        EngineKind::Docker if text.contains([',', '"']) => {
            format!("\"{}\"", text.replace('"', "\"\""))
        }
        _ => text,
    }
}

/// Gives `image` (an image ID) the local names `references`.
pub fn tag(engine: &Engine, image: &str, references: &[String]) -> Vec<Invocation> {
    if has(engine, Capability::TagsAtOnce) && !references.is_empty() {
        let words = ["tag", image].into_iter().chain(references.iter().map(String::as_str));
        return vec![call(engine, words)];
    }
    references.iter().map(|reference| call(engine, ["tag", image, reference])).collect()
}

/// The whole of a plan as a script for `sh`.
pub fn script(engine: &Engine, plan: &BuildPlan, top: &Path, first: &[Invocation]) -> String {
    let mut steps: Vec<String> = first.iter().map(ToString::to_string).collect();
    steps.extend(plan.prepare.iter().map(ToString::to_string));
    steps.push(build(engine, plan).to_string());
    script_of(engine, &steps, &plan.iidfile, &plan.references, &[], top)
}

/// A script that runs `steps`, names the image that they made, and then runs `last`.
pub fn script_of(
    engine: &Engine,
    steps: &[String],
    iidfile: &Path,
    references: &[String],
    last: &[Invocation],
    top: &Path,
) -> String {
    let mut lines =
        vec!["set -eu".to_owned(), format!("cd {}", quoted(&top.display().to_string()))];
    lines.extend_from_slice(steps);
    lines.push(format!("image=$(cat {})", quoted(&iidfile.display().to_string())));
    for invocation in tag(engine, IMAGE, references) {
        lines.push(invocation.to_string().replace(IMAGE, "\"$image\""));
    }
    lines.extend(last.iter().map(ToString::to_string));
    lines.join("\n") + "\n"
}

/// Stands for the image ID in [`script_of`]; no character of it is quoted.
const IMAGE: &str = "IMAGE-ID-OF-THIS-BUILD";

pub fn inspect(engine: &Engine, image: &str) -> Invocation {
    inspect_all(engine, &[image])
}

/// Everything about those of `images` that are in the local store.
pub fn inspect_all(engine: &Engine, images: &[&str]) -> Invocation {
    call(engine, ["image", "inspect"].iter().chain(images).copied())
}

/// The history of a local image with the bytes of its layers (Podman).
pub fn history(engine: &Engine, image: &str) -> Invocation {
    call(engine, ["history", "--format", "json", "--no-trunc", image])
}

/// The bytes of the files of each step of a local image, one a line (Docker).
pub fn step_sizes(engine: &Engine, image: &str) -> Invocation {
    call(engine, ["history", "--human=false", "--format", "{{.Size}}", image])
}

/// The image as an archive on standard output.
pub fn save(engine: &Engine, image: &str) -> Invocation {
    call(engine, ["save", image])
}

/// Fetches `reference` from its registry; `plain`: one that speaks no TLS.
pub fn pull(engine: &Engine, reference: &str, platform: Option<&str>, plain: bool) -> Invocation {
    let platform = platform.into_iter().flat_map(|platform| ["--platform", platform]);
    // Docker's daemon knows it by its settings.
    let tls = (plain && engine.kind == EngineKind::Podman).then_some("--tls-verify=false");
    call(engine, ["pull"].into_iter().chain(platform).chain(tls).chain([reference]))
}

/// Makes an image `reference` of the file system in `archive`; `config` are Dockerfile lines, which
/// both engines take here in the same form.
/// `platform` is the image's, if it isn't the engine's own.
pub fn import(
    engine: &Engine,
    archive: &str,
    config: &[String],
    platform: Option<&str>,
    reference: &str,
) -> Invocation {
    let mut words = vec!["import".to_owned()];
    for line in config {
        words.extend(["--change".to_owned(), line.clone()]);
    }
    let parts: Vec<&str> = platform.iter().flat_map(|platform| platform.split('/')).collect();
    match engine.kind {
        EngineKind::Podman => {
            for (option, value) in ["--os", "--arch", "--variant"].iter().zip(parts) {
                words.extend([(*option).to_owned(), value.to_owned()]);
            }
        }
        EngineKind::Docker => {
            words.extend(platform.map(|platform| format!("--platform={platform}")))
        }
    }
    words.extend([archive.to_owned(), reference.to_owned()]);
    call(engine, words)
}

/// The images that have the label `name`, those in between included (Podman).
pub fn images_with(engine: &Engine, name: &str) -> Invocation {
    let filter = format!("label={name}");
    call(engine, ["images", "--all", "--format", "json", "--filter", filter.as_str()])
}

/// All images, those in between included (Podman).
pub fn images(engine: &Engine) -> Invocation {
    call(engine, ["images", "--all", "--format", "json"])
}

/// The image IDs of all images that have the label `name`, one a line.
pub fn ids_with(engine: &Engine, name: &str) -> Invocation {
    let filter = format!("label={name}");
    call(engine, ["images", "--quiet", "--no-trunc", "--filter", filter.as_str()])
}

/// Removes an unused image.
pub fn remove_image(engine: &Engine, id: &str) -> Invocation {
    call(engine, ["image", "rm", id])
}

/// The folder that images are stored in and, after a blank, the driver that stores them (Podman).
pub fn store(engine: &Engine) -> Invocation {
    call(engine, ["info", "--format", "{{.Store.GraphRoot}} {{.Store.GraphDriverName}}"])
}

/// The folder that the engine stores images in.
pub fn root(engine: &Engine) -> Invocation {
    let form = match engine.kind {
        EngineKind::Podman => "{{.Store.GraphRoot}}",
        EngineKind::Docker => "{{.DockerRootDir}}",
    };
    call(engine, ["info", "--format", form])
}

/// All containers, those of builds included (Podman).
pub fn working_containers(engine: &Engine) -> Invocation {
    call(engine, ["ps", "--all", "--external", "--format", "json"])
}

/// Removes a container, ending it first if it runs.
pub fn remove_container(engine: &Engine, id: &str) -> Invocation {
    call(engine, ["rm", "--force", id])
}

/// Removes a folder as the user and its subordinate ids (Podman, for an ordinary user).
pub fn remove_in_namespace(engine: &Engine, folder: &Path) -> Invocation {
    let folder = folder.display().to_string();
    call(engine, ["unshare", "rm", "-r", "-f", "--one-file-system", "--", folder.as_str()])
}

/// How images are stored (Docker): pairs of a name and a value, as JSON.
pub fn driver_status(engine: &Engine) -> Invocation {
    call(engine, ["info", "--format", "{{json .DriverStatus}}"])
}

/// Sends a local image to its name in a registry; Podman writes the digest that it sent to
/// `digest_file`. `plain`: the registry is this machine's and speaks no TLS, which Docker takes
/// unasked.
pub fn push(
    engine: &Engine,
    image: &str,
    reference: &str,
    digest_file: &str,
    plain: bool,
) -> Invocation {
    match engine.kind {
        EngineKind::Podman => {
            let words = ["push", "--digestfile", digest_file].into_iter();
            let tls = plain.then_some("--tls-verify=false");
            let place = format!("docker://{reference}");
            call(engine, words.chain(tls).chain([image, place.as_str()]))
        }
        EngineKind::Docker => call(engine, ["push", reference]),
    }
}

/// What the engine knows of registries, with all else that it tells of itself, as JSON.
pub fn registries(engine: &Engine) -> Invocation {
    match engine.kind {
        EngineKind::Podman => call(engine, ["info", "--format", "json"]),
        EngineKind::Docker => call(engine, ["info", "--format", "{{json .}}"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_s_fields_are_quoted() {
        let secret = |kind, path: &str| {
            let source = SecretSource::File(path.to_owned());
            secret_words(kind, &SecretMount { id: "ca".to_owned(), source })
        };
        for kind in [EngineKind::Podman, EngineKind::Docker] {
            assert_eq!(secret(kind, "/a:b c/ca.pem"), "id=ca,src=/a:b c/ca.pem");
        }
        assert_eq!(secret(EngineKind::Docker, "/a,b/ca.pem"), "id=ca,\"src=/a,b/ca.pem\"");
        assert_eq!(secret(EngineKind::Docker, "/a\"b"), "id=ca,\"src=/a\"\"b\"");
        assert_eq!(secret(EngineKind::Podman, "/a\"b"), "id=ca,src=/a\"b");
    }

    /// Only a registry that speaks no TLS is asked without it.
    #[test]
    fn a_push_says_where_to_and_no_more() {
        let check = |kind, plain, expected: &str| {
            let push = push(&Engine::assumed(kind), "sha256:1", "r.example/a:1.0", "file", plain);
            assert_eq!(push.to_string(), expected);
        };
        let podman = "podman push --digestfile file sha256:1 docker://r.example/a:1.0";
        check(EngineKind::Podman, false, podman);
        let plain = podman.replace("file sha256", "file --tls-verify=false sha256");
        check(EngineKind::Podman, true, &plain);
        check(EngineKind::Docker, false, "DOCKER_BUILDKIT=1 docker push r.example/a:1.0");
        check(EngineKind::Docker, true, "DOCKER_BUILDKIT=1 docker push r.example/a:1.0");
    }
}
