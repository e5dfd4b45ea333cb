//! What each engine is told, as whole command lines.

use super::*;
use engine::one_layer;
use expect_test::{Expect, expect};
use serde_json::json;
use std::path::Path;

fn check(kind: EngineKind, config: &Value, expected: &Expect) {
    let engine = Engine::assumed(kind);
    let labels = BTreeMap::from([("title".to_owned(), "it's ours".to_owned())]);
    let image = Image { id: "sha256:1234".into(), labels, ..Image::default() };
    let state = State::of(Path::new("/top"));
    let inspected = json!({ "Config": config });
    let plan = plan(&engine, &image, &inspected, vec!["a:b".into()], &state, 7).unwrap();
    let steps = one_layer::steps(&engine, &plan);
    let mut text = String::new();
    steps.prepare.iter().for_each(|step| text += &format!("{step}\n"));
    for invocation in steps.make.iter().chain(&steps.tidy) {
        text += &format!("{invocation}\n");
    }
    expected.assert_eq(&text);
}

#[test]
fn podman_squashes_itself() {
    check(
        EngineKind::Podman,
        &json!({"WorkingDir": "/app", "Env": ["A=1\n2"]}),
        &expect![[r#"
            mkdir -p /top/target/xtask/squash/context /top/target/xtask/tmp
            rm -f /top/target/xtask/squash/image-id
            touch /top/target/xtask/checkout
            printf '%s\n' 'FROM 1234' >/top/target/xtask/squash/Dockerfile
            TMPDIR=/top/target/xtask/tmp podman build --format=docker --pull=never --identity-label=false --squash-all --file /top/target/xtask/squash/Dockerfile --secret id=checkout,src=/top/target/xtask/checkout --iidfile /top/target/xtask/squash/image-id /top/target/xtask/squash/context
        "#]],
    );
}

#[test]
fn docker_copies_everything_into_nothing_and_restores_the_config() {
    let config =
        json!({"WorkingDir": "/app", "Env": ["A=$b"], "Cmd": ["web"], "Shell": ["/bin/sh"]});
    check(
        EngineKind::Docker,
        &config,
        &expect![[r#"
            mkdir -p /top/target/xtask/squash/context /top/target/xtask/tmp
            rm -f /top/target/xtask/squash/image-id
            printf '%s\n' 'FROM scratch' 'COPY --from=xtask/squash:7-source / /' >/top/target/xtask/squash/tree
            printf '%s\n' 'FROM xtask/squash:7-folder' 'ENV A="\$b"' 'ENTRYPOINT []' 'CMD ["web"]' 'SHELL ["/bin/sh"]' >/top/target/xtask/squash/config
            DOCKER_BUILDKIT=1 docker tag sha256:1234 xtask/squash:7-source
            DOCKER_BUILDKIT=1 docker build --progress=plain --file /top/target/xtask/squash/tree --tag xtask/squash:7-tree /top/target/xtask/squash/context
            DOCKER_BUILDKIT=1 docker create --network none --name xtask-7-squash xtask/squash:7-tree /
            DOCKER_BUILDKIT=1 docker commit --change 'WORKDIR /app' xtask-7-squash xtask/squash:7-folder
            DOCKER_BUILDKIT=1 docker build --progress=plain --file /top/target/xtask/squash/config --iidfile /top/target/xtask/squash/image-id --label 'title=it'\''s ours' /top/target/xtask/squash/context
            DOCKER_BUILDKIT=1 docker rm --force xtask-7-squash
            DOCKER_BUILDKIT=1 docker image rm xtask/squash:7-folder
            DOCKER_BUILDKIT=1 docker image rm xtask/squash:7-tree
            DOCKER_BUILDKIT=1 docker image rm xtask/squash:7-source
        "#]],
    );
    check(
        EngineKind::Docker,
        &json!({"WorkingDir": ""}),
        &expect![[r#"
            mkdir -p /top/target/xtask/squash/context /top/target/xtask/tmp
            rm -f /top/target/xtask/squash/image-id
            printf '%s\n' 'FROM scratch' 'COPY --from=xtask/squash:7-source / /' >/top/target/xtask/squash/tree
            printf '%s\n' 'FROM xtask/squash:7-tree' 'ENTRYPOINT []' 'CMD []' >/top/target/xtask/squash/config
            DOCKER_BUILDKIT=1 docker tag sha256:1234 xtask/squash:7-source
            DOCKER_BUILDKIT=1 docker build --progress=plain --file /top/target/xtask/squash/tree --tag xtask/squash:7-tree /top/target/xtask/squash/context
            DOCKER_BUILDKIT=1 docker build --progress=plain --file /top/target/xtask/squash/config --iidfile /top/target/xtask/squash/image-id --label 'title=it'\''s ours' /top/target/xtask/squash/context
            DOCKER_BUILDKIT=1 docker image rm xtask/squash:7-tree
            DOCKER_BUILDKIT=1 docker image rm xtask/squash:7-source
        "#]],
    );
}

#[test]
fn the_result_is_named_after_the_image() {
    let check = |kind, image: &str, expected: Option<&str>| {
        assert_eq!(default_reference(kind, image).ok().as_deref(), expected, "{image}");
    };
    check(EngineKind::Podman, "localhost/app:prod", Some("localhost/app:prod-squashed"));
    check(EngineKind::Podman, "app:prod", Some("localhost/app:prod-squashed"));
    check(EngineKind::Docker, "app:prod", Some("app:prod-squashed"));
    check(EngineKind::Docker, "host:5000/app:1.2", Some("host:5000/app:1.2-squashed"));
    check(EngineKind::Docker, "host:5000/app", None);
    check(EngineKind::Docker, "app", None);
    check(EngineKind::Docker, &format!("app@sha256:{}", "a".repeat(64)), None);
    check(EngineKind::Docker, &format!("sha256:{}", "a".repeat(64)), None);
    check(EngineKind::Docker, &format!("app:{}", "a".repeat(125)), None);
}
