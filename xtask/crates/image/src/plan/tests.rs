//! Every decision of a build as a value, and the whole command line that each engine gets for it.

use super::*;
use engine::words;
use expect_test::{Expect, expect};
use std::sync::LazyLock;

fn config() -> Config {
    crate::config::parse(include_str!("../../../../../docker/image.toml")).unwrap()
}

fn base() -> Base {
    Base { reference: "docker.io/library/python:3.12-slim-bookworm".into(), ..Base::default() }
}

fn state() -> &'static State {
    static STATE: LazyLock<State> = LazyLock::new(|| State::of(Path::new("/top")));
    &STATE
}

fn facts<'a>(engine: &'a Engine, config: &'a Config) -> BuildFacts<'a> {
    BuildFacts {
        engine,
        config,
        labels: BTreeMap::from([
            (format!("{OCI}version"), "v1.2.3".to_owned()),
            (format!("{OCI}title"), "Senex Trader".to_owned()),
        ]),
        revision: "0123456789abcdef0123456789abcdef01234567",
        created: 1_760_000_000,
        changed: false,
        dockerfile: include_str!("../../../../../docker/Dockerfile").to_owned(),
        base: base(),
        ca_bundle: None,
        proxies: Vec::new(),
        index_variable: None,
        mirror_variable: false,
        npm_variable: None,
        layer_cache: None,
        state: state(),
        cache: (PathBuf::from("/cache"), 1000),
    }
}

fn check(
    kind: EngineKind,
    options: &BuildOptions,
    change: impl FnOnce(&mut BuildFacts<'_>),
    expected: &Expect,
) {
    let (engine, config) = (Engine::assumed(kind), config());
    let mut facts = facts(&engine, &config);
    change(&mut facts);
    let text = match build(options, &facts) {
        Ok(plan) => words::script(&engine, &plan, Path::new("/top"), &[]),
        Err(error) => format!("{error:#} {:?}", process::failure::describe(&error)),
    };
    expected.assert_eq(&text);
}

#[test]
fn the_mirror_is_for_steps_that_ask_debian() {
    let (engine, config) = (Engine::assumed(EngineKind::Podman), config());
    let facts = BuildFacts { mirror_variable: true, ..facts(&engine, &config) };
    let check = |value: Option<&str>, expected: bool| {
        let value = value.map(|value| (DEBIAN_REFRESH.to_owned(), value.to_owned()));
        let options =
            BuildOptions { build_args: value.into_iter().collect(), ..BuildOptions::default() };
        let secrets = build(&options, &facts).unwrap().secrets;
        assert_eq!(secrets.iter().any(|secret| secret.id == "debian"), expected);
    };
    check(None, false);
    check(Some(""), false);
    check(Some("2026-11-30"), true);
}

#[test]
fn the_production_image_on_podman() {
    check(
        EngineKind::Podman,
        &BuildOptions::default(),
        |_| {},
        &expect![[r#"
            set -eu
            cd /top
            mkdir -p /top/target/xtask/tmp /cache
            rm -f /top/target/xtask/image-id
            touch /top/target/xtask/checkout
            ln -sfn /cache /top/target/xtask/tmp/buildah-cache
            ln -sfn /cache /top/target/xtask/tmp/buildah-cache-1000
            { head -n 151 /top/target/xtask/context/beside/docker/Dockerfile; printf '\n%s\n' 'LABEL "org.opencontainers.image.base.name"="docker.io/library/python:3.12-slim-bookworm" "org.opencontainers.image.title"="Senex Trader" "org.opencontainers.image.version"="v1.2.3"'; } >/top/target/xtask/Dockerfile
            TMPDIR=/top/target/xtask/tmp podman build --format=docker --pull=never --identity-label=false --jobs=4 --file /top/target/xtask/Dockerfile --target runtime --build-arg BASE_IMAGE=docker.io/library/python:3.12-slim-bookworm --secret id=checkout,src=/top/target/xtask/checkout --iidfile /top/target/xtask/image-id /top/target/xtask/context/tree
            image=$(cat /top/target/xtask/image-id)
            podman tag "$image" localhost/senex_trader:prod localhost/senex_trader:sha-0123456789ab
        "#]],
    );
}

#[test]
fn the_production_image_on_docker() {
    check(
        EngineKind::Docker,
        &BuildOptions::default(),
        |_| {},
        &expect![[r#"
            set -eu
            cd /top
            mkdir -p /top/target/xtask/tmp /cache
            rm -f /top/target/xtask/image-id
            DOCKER_BUILDKIT=1 docker build --progress=plain --file /top/target/xtask/context/beside/docker/Dockerfile --target runtime --build-arg BASE_IMAGE=docker.io/library/python:3.12-slim-bookworm --label org.opencontainers.image.base.name=docker.io/library/python:3.12-slim-bookworm --label 'org.opencontainers.image.title=Senex Trader' --label org.opencontainers.image.version=v1.2.3 --iidfile /top/target/xtask/image-id /top/target/xtask/context/tree
            image=$(cat /top/target/xtask/image-id)
            DOCKER_BUILDKIT=1 docker tag "$image" senex_trader:prod
            DOCKER_BUILDKIT=1 docker tag "$image" senex_trader:sha-0123456789ab
        "#]],
    );
}

#[test]
fn the_development_image_of_a_changed_tree() {
    let options = BuildOptions { dev: true, ..BuildOptions::default() };
    check(
        EngineKind::Docker,
        &options,
        |facts| facts.changed = true,
        &expect![[r#"
            set -eu
            cd /top
            mkdir -p /top/target/xtask/tmp /cache
            rm -f /top/target/xtask/image-id
            DOCKER_BUILDKIT=1 docker build --progress=plain --file /top/target/xtask/context/beside/docker/Dockerfile.dev --build-arg BASE_IMAGE=docker.io/library/python:3.12-slim-bookworm --label org.opencontainers.image.base.name=docker.io/library/python:3.12-slim-bookworm --label 'org.opencontainers.image.title=Senex Trader' --label org.opencontainers.image.version=v1.2.3 --iidfile /top/target/xtask/image-id /top/target/xtask/context/tree
            image=$(cat /top/target/xtask/image-id)
            DOCKER_BUILDKIT=1 docker tag "$image" senex_trader:dev
        "#]],
    );
}

#[test]
fn everything_that_the_command_line_can_ask() {
    let options = BuildOptions {
        target: Some("dependencies".into()),
        tags: vec!["try".into(), "registry.example/team/app:1".into()],
        build_args: vec![("ENVIRONMENT".into(), "dev".into()), ("APP_MODULE".into(), "x y".into())],
        secrets: vec![
            SecretMount { id: "token".into(), source: SecretSource::Environment("TOKEN".into()) },
            SecretMount { id: "ca".into(), source: SecretSource::File("/own.pem".into()) },
        ],
        labels: vec![("team".into(), "it's ours".into())],
        no_cache: true,
        platform: Some("linux/arm64".into()),
        ..BuildOptions::default()
    };
    let change = |facts: &mut BuildFacts<'_>| {
        facts.changed = true;
        facts.ca_bundle = Some("/etc/ca.pem".into());
        facts.base.digest = Some("sha256:12".into());
    };
    check(
        EngineKind::Podman,
        &options,
        change,
        &expect![[r#"
            set -eu
            cd /top
            mkdir -p /top/target/xtask/tmp /cache
            rm -f /top/target/xtask/image-id
            touch /top/target/xtask/checkout
            ln -sfn /cache /top/target/xtask/tmp/buildah-cache
            ln -sfn /cache /top/target/xtask/tmp/buildah-cache-1000
            { head -n 85 /top/target/xtask/context/beside/docker/Dockerfile; printf '\n%s\n' 'LABEL "org.opencontainers.image.base.digest"="sha256:12" "org.opencontainers.image.base.name"="docker.io/library/python:3.12-slim-bookworm" "org.opencontainers.image.title"="Senex Trader" "org.opencontainers.image.version"="v1.2.3" "team"="it'\''s ours"'; } >/top/target/xtask/Dockerfile
            TMPDIR=/top/target/xtask/tmp podman build --format=docker --pull=never --identity-label=false --jobs=4 --file /top/target/xtask/Dockerfile --target dependencies --platform linux/arm64 --build-arg 'APP_MODULE=x y' --build-arg BASE_IMAGE=docker.io/library/python:3.12-slim-bookworm --build-arg ENVIRONMENT=dev --secret id=checkout,src=/top/target/xtask/checkout --secret id=token,env=TOKEN --secret id=ca,src=/own.pem --iidfile /top/target/xtask/image-id --no-cache /top/target/xtask/context/tree
            image=$(cat /top/target/xtask/image-id)
            podman tag "$image" localhost/senex_trader:dependencies localhost/senex_trader:try registry.example/team/app:1
        "#]],
    );
}

/// Podman passes proxies on by default; Docker is told their names, and no value is ever shown.
#[test]
fn a_closed_network() {
    let change = |facts: &mut BuildFacts<'_>| {
        facts.proxies = vec!["HTTPS_PROXY".into(), "no_proxy".into()];
        facts.index_variable = Some("PIP_INDEX_URL");
    };
    check(
        EngineKind::Podman,
        &BuildOptions::default(),
        change,
        &expect![[r#"
            set -eu
            cd /top
            mkdir -p /top/target/xtask/tmp /cache
            rm -f /top/target/xtask/image-id
            touch /top/target/xtask/checkout
            ln -sfn /cache /top/target/xtask/tmp/buildah-cache
            ln -sfn /cache /top/target/xtask/tmp/buildah-cache-1000
            { head -n 151 /top/target/xtask/context/beside/docker/Dockerfile; printf '\n%s\n' 'LABEL "org.opencontainers.image.base.name"="docker.io/library/python:3.12-slim-bookworm" "org.opencontainers.image.title"="Senex Trader" "org.opencontainers.image.version"="v1.2.3"'; } >/top/target/xtask/Dockerfile
            TMPDIR=/top/target/xtask/tmp podman build --format=docker --pull=never --identity-label=false --jobs=4 --file /top/target/xtask/Dockerfile --target runtime --build-arg BASE_IMAGE=docker.io/library/python:3.12-slim-bookworm --secret id=checkout,src=/top/target/xtask/checkout --secret id=index,env=PIP_INDEX_URL --iidfile /top/target/xtask/image-id /top/target/xtask/context/tree
            image=$(cat /top/target/xtask/image-id)
            podman tag "$image" localhost/senex_trader:prod localhost/senex_trader:sha-0123456789ab
        "#]],
    );
    check(
        EngineKind::Docker,
        &BuildOptions::default(),
        change,
        &expect![[r#"
            set -eu
            cd /top
            mkdir -p /top/target/xtask/tmp /cache
            rm -f /top/target/xtask/image-id
            DOCKER_BUILDKIT=1 docker build --progress=plain --file /top/target/xtask/context/beside/docker/Dockerfile --target runtime --build-arg BASE_IMAGE=docker.io/library/python:3.12-slim-bookworm --build-arg HTTPS_PROXY --build-arg no_proxy --label org.opencontainers.image.base.name=docker.io/library/python:3.12-slim-bookworm --label 'org.opencontainers.image.title=Senex Trader' --label org.opencontainers.image.version=v1.2.3 --secret id=index,env=PIP_INDEX_URL --iidfile /top/target/xtask/image-id /top/target/xtask/context/tree
            image=$(cat /top/target/xtask/image-id)
            DOCKER_BUILDKIT=1 docker tag "$image" senex_trader:prod
            DOCKER_BUILDKIT=1 docker tag "$image" senex_trader:sha-0123456789ab
        "#]],
    );
}

#[test]
fn a_remote_podman_is_told_the_proxies() {
    let config = config();
    let engine = Engine { place: Some("far".into()), ..Engine::assumed(EngineKind::Podman) };
    let facts = BuildFacts { proxies: vec!["HTTP_PROXY".into()], ..facts(&engine, &config) };
    assert_eq!(build(&BuildOptions::default(), &facts).unwrap().passed, ["HTTP_PROXY"]);
}

#[test]
fn the_index_of_the_file_serves_where_the_environment_and_the_command_line_name_none() {
    let engine = Engine::assumed(EngineKind::Docker);
    let mut config = config();
    config.network.index_url = Some("https://index.example/simple".into());
    let own = SecretMount { id: "index".into(), source: SecretSource::File("mine".into()) };
    let check = |variable, secrets: &[SecretMount], env: &str, expected: &str| {
        let facts = BuildFacts { index_variable: variable, ..facts(&engine, &config) };
        let options = BuildOptions { secrets: secrets.to_vec(), ..BuildOptions::default() };
        let text = words::build(&engine, &build(&options, &facts).unwrap()).to_string();
        assert!(text.contains(expected) && text.starts_with(env), "{text}");
        assert_eq!(text.matches("--secret").count(), 1, "{text}");
    };
    let file = "DOCKER_BUILDKIT=1 XTASK_INDEX_URL=https://index.example/simple docker ";
    check(None, &[], file, " --secret id=index,env=XTASK_INDEX_URL ");
    let none = "DOCKER_BUILDKIT=1 docker ";
    check(Some("UV_INDEX_URL"), &[], none, " --secret id=index,env=UV_INDEX_URL ");
    check(Some("UV_INDEX_URL"), &[own], none, " --secret id=index,src=mine ");
}

#[test]
fn what_can_not_be_is_refused() {
    let options = |change: &dyn Fn(&mut BuildOptions)| {
        let mut options = BuildOptions::default();
        change(&mut options);
        options
    };
    let revision = ("org.opencontainers.image.revision".to_owned(), "1".to_owned());
    let marker = || SecretMount { id: "checkout".into(), source: SecretSource::File("x".into()) };
    let cases = [
        options(&|options| options.tags = vec!["not a tag".into()]),
        options(&|options| options.tags = vec!["Upper/case:1".into()]),
        options(&|options| options.tags = vec!["x".repeat(129)]),
        options(&|options| options.build_args = vec![("A B".into(), "1".into())]),
        options(&|options| options.platform = Some("bogus".into())),
        options(&|options| {
            options.tags = vec!["a/b".into(), "y".repeat(128), "z".repeat(200)];
            options.labels = [" a", "a b", "a\tb", "a\"b", "a", "", "ä"]
                .map(|name| (name.to_owned(), "b".to_owned()))
                .to_vec();
            options.labels.push(revision.clone());
            options.build_args = ["1A", "", "OK", "A-B"].map(|n| (n.into(), "".into())).to_vec();
            options.secrets = vec![
                SecretMount { id: "a b".into(), source: SecretSource::File("x".into()) },
                SecretMount { id: "a".into(), source: SecretSource::Environment("A B".into()) },
                SecretMount { id: "a".into(), source: SecretSource::File("x".into()) },
            ];
            options.platform = Some("linux/arm64/,linux".into());
        }),
        options(&|options| options.labels = vec![revision.clone()]),
        options(&|options| options.secrets = vec![marker()]),
        options(&|options| options.target = Some("nothing".into())),
        options(&|options| options.platform = Some("linux/amd64,linux/arm64".into())),
    ];
    let (engine, config) = (Engine::assumed(EngineKind::Podman), config());
    let mut text = String::new();
    for case in cases {
        let error = build(&case, &facts(&engine, &config)).unwrap_err();
        let (exit, help) = process::failure::describe(&error);
        text += &format!("{} {error:#}\n", exit as u8);
        help.iter().for_each(|line| text += &format!("  {line}\n"));
    }
    expect![[r#"
        2 reading the reference "not a tag": ` ` in the repository at character 4
        2 reading the reference "Upper/case:1": `U` in the repository, which is not lower case, at character 1
        2 tagging the image xxxxxxxxxxxxxxxxxxxx…: a tag has at most 128 characters
          shorten it, it has 129
        2 reading --build-arg: `A B` can't be a variable: letters, digits and `_`, no digit first
        2 reading --platform: `bogus` isn't os/arch[/variant], as linux/arm64
        2 reading the command line: 15 mistakes
          tagging the image a/b: it names no tag; write a/b:TAG
          tagging the image zzzzzzzzzzzzzzzzzzzz…: a tag has at most 128 characters; shorten it, it has 200
          reading --build-arg: `1A` can't be a variable: letters, digits and `_`, no digit first
          reading --build-arg: `` can't be a variable: letters, digits and `_`, no digit first
          reading --build-arg: `A-B` can't be a variable: letters, digits and `_`, no digit first
          reading --label: ` a` can't be the key of a label: no blanks, quotes, `\`, `$` or `=`
          reading --label: `a b` can't be the key of a label: no blanks, quotes, `\`, `$` or `=`
          reading --label: `a	b` can't be the key of a label: no blanks, quotes, `\`, `$` or `=`
          reading --label: `a"b` can't be the key of a label: no blanks, quotes, `\`, `$` or `=`
          reading --label: `` can't be the key of a label: no blanks, quotes, `\`, `$` or `=`
          adding the label org.opencontainers.image.revision: it comes from git and the build; commit, tag or set --base instead; `cargo xtask label` shows what it will be
          reading --platform: `linux/arm64/,linux` isn't os/arch[/variant], as linux/arm64
          reading --secret: `a b` can't be an id: letters, digits, `.`, `_` and `-`
          reading --secret: `A B` can't be a variable: letters, digits and `_`, no digit first
          reading --secret: the id `a` is there twice or is ours
        2 adding the label org.opencontainers.image.revision: it comes from git and the build
          commit, tag or set --base instead; `cargo xtask label` shows what it will be
        2 reading --secret: the id `checkout` is there twice or is ours
        2 building the stage nothing: docker/Dockerfile has none of that name
          one of base, dependencies, staticfiles, runtime
        2 several platforms in one build: Podman 4.3.0 can't: the image that was tested must be the one that is tagged, and an index has no image ID
          build one platform at a time, with --tag
    "#]].assert_eq(&text);
}

#[test]
fn the_budget_is_that_of_the_whole_production_image() {
    let (engine, config) = (Engine::assumed(EngineKind::Podman), config());
    let budget =
        |options: &BuildOptions| build(options, &facts(&engine, &config)).unwrap().size_budget;
    assert_eq!(budget(&BuildOptions::default()), Some(500_000_000));
    assert_eq!(
        budget(&BuildOptions { target: Some("runtime".into()), ..BuildOptions::default() }),
        Some(500_000_000)
    );
    assert_eq!(
        budget(&BuildOptions { target: Some("base".into()), ..BuildOptions::default() }),
        None
    );
    assert_eq!(budget(&BuildOptions { dev: true, ..BuildOptions::default() }), None);
}

#[test]
fn only_podman_makes_one_layer_above_the_base() {
    let config = config();
    let squash = |kind| {
        let engine = Engine::assumed(kind);
        let options = BuildOptions { squash: true, ..BuildOptions::default() };
        let plan = build(&options, &facts(&engine, &config))?;
        anyhow::Ok(words::script(&engine, &plan, Path::new("/top"), &[]))
    };
    let script = squash(EngineKind::Podman).unwrap();
    assert!(script.contains(" --squash /top/target/xtask/context/tree\n"), "{script}");
    // Podman squashes one stage at a time: the last one is made from no other.
    assert!(script.contains(" --file /top/target/xtask/Dockerfile "), "{script}");
    assert_eq!(script.matches("'FROM ${BASE_IMAGE} AS ").count(), 2, "{script}");
    assert!(script.contains(" 'LABEL \"org.opencontainers.image.base.name\"="), "{script}");
    let error = squash(EngineKind::Docker).unwrap_err();
    assert!(error.to_string().starts_with("build --squash: Docker 20.10.0 can't: "), "{error}");
    let (exit, help) = process::failure::describe(&error);
    assert_eq!((exit, help.len()), (Exit::Usage, 1));
    assert!(help[0].contains("`cargo xtask squash`"), "{help:?}");
}

#[test]
fn what_can_be_released_is_measured_exactly() {
    let (engine, config) = (Engine::assumed(EngineKind::Docker), config());
    for changed in [false, true] {
        let facts = BuildFacts { changed, ..facts(&engine, &config) };
        assert_eq!(build(&BuildOptions::default(), &facts).unwrap().exact_size, !changed);
    }
}

#[test]
fn a_layer_cache_in_a_registry_is_each_engine_s_own() {
    let config = config();
    let words = |kind, writes, plain, no_cache| {
        let engine = Engine::assumed(kind);
        let cache = Cache { repository: "r.example/cache".into(), writes, plain };
        let facts = BuildFacts { layer_cache: Some(cache), ..facts(&engine, &config) };
        let options = BuildOptions { no_cache, ..BuildOptions::default() };
        let plan = build(&options, &facts).unwrap();
        let all = words::build(&engine, &plan).words;
        let about = ["--layers", "--cache", "--tls", "--build-arg=BUILDKIT"];
        let ours = all.into_iter().filter(|word| about.iter().any(|start| word.starts_with(start)));
        ours.collect::<Vec<_>>().join(" ")
    };
    let (podman, docker) = (EngineKind::Podman, EngineKind::Docker);
    let from = "--layers --cache-from=r.example/cache";
    assert_eq!(words(podman, false, false, false), from);
    let both = format!("{from} --cache-to=r.example/cache");
    assert_eq!(words(podman, true, false, false), both);
    assert_eq!(words(podman, true, true, false), format!("{both} --tls-verify=false"));
    let from = "--cache-from=r.example/cache:cache";
    assert_eq!(words(docker, false, false, false), from);
    let both = format!("{from} --build-arg=BUILDKIT_INLINE_CACHE=1");
    assert_eq!(words(docker, true, true, false), both);
    assert_eq!(words(podman, true, true, true), "");
}
