//! The whole command line of each container.

use super::*;
use engine::{Engine, EngineKind, containers};
use expect_test::{Expect, expect};

fn facts(config: &Config, user: User) -> DevFacts<'_> {
    DevFacts {
        config,
        top: Path::new("/top"),
        image: "sha256:0123".to_owned(),
        services: ["postgres:16".to_owned(), "redis:7".to_owned()],
        user,
        selinux: false,
        port: 8000,
        hosts: vec![("xtask-dev-0-postgres".to_owned(), "10.89.0.2".to_owned())],
    }
}

fn config(more: &str) -> Config {
    let text = include_str!("../../../../../../docker/image.toml");
    crate::config::parse(&format!("{text}\n{more}")).unwrap()
}

fn shown(containers: &[Container], kind: EngineKind) -> String {
    let engine = Engine::assumed(kind);
    containers.iter().map(|one| containers::run(&engine, one, true).to_string() + "\n").collect()
}

#[test]
fn everything_for_an_ordinary_user_s_podman() {
    let config = config("");
    let facts = facts(&config, User::Caller);
    let all = [&facts.services()[..], &[facts.migrate()], &facts.roles()].concat();
    let expected: Expect = expect![[r#"
        podman run --pull=never --detach --name xtask-dev-64e5c91b-postgres --label dev.senex.xtask=1 --label dev.senex.xtask.dev=64e5c91b --network xtask-dev-64e5c91b-network --env POSTGRES_USER=development --env POSTGRES_PASSWORD=development --env POSTGRES_DB=development --volume xtask-dev-64e5c91b-postgres:/var/lib/postgresql/data postgres:16
        podman run --pull=never --detach --name xtask-dev-64e5c91b-redis --label dev.senex.xtask=1 --label dev.senex.xtask.dev=64e5c91b --network xtask-dev-64e5c91b-network redis:7
        podman run --pull=never --detach --name xtask-dev-64e5c91b-migrate --label dev.senex.xtask=1 --label dev.senex.xtask.dev=64e5c91b --network xtask-dev-64e5c91b-network --add-host xtask-dev-0-postgres:10.89.0.2 --env CELERY_SCHEDULE=/tmp/celerybeat-schedule --env DB_HOST=xtask-dev-64e5c91b-postgres --env DB_NAME=development --env DB_PASSWORD=development --env DB_USER=development --env FIELD_ENCRYPTION_KEY=ZGV2ZWxvcG1lbnQtb25seS1rZXktb2YtMzItYnl0ZXM= --env REDIS_URL=redis://xtask-dev-64e5c91b-redis:6379/0 --env SECRET_KEY=ZGV2ZWxvcG1lbnQtb25seS1rZXktb2YtMzItYnl0ZXM= --volume /top/app:/app --volume /top/docker/dev:/usr/local/lib/dev:ro --userns keep-id:uid=1000,gid=1000 sha256:0123 migrate
        podman run --pull=never --detach --name xtask-dev-64e5c91b-web --label dev.senex.xtask=1 --label dev.senex.xtask.dev=64e5c91b --network xtask-dev-64e5c91b-network --add-host xtask-dev-0-postgres:10.89.0.2 --publish 127.0.0.1:8000:8000 --env CELERY_SCHEDULE=/tmp/celerybeat-schedule --env DB_HOST=xtask-dev-64e5c91b-postgres --env DB_NAME=development --env DB_PASSWORD=development --env DB_USER=development --env FIELD_ENCRYPTION_KEY=ZGV2ZWxvcG1lbnQtb25seS1rZXktb2YtMzItYnl0ZXM= --env REDIS_URL=redis://xtask-dev-64e5c91b-redis:6379/0 --env SECRET_KEY=ZGV2ZWxvcG1lbnQtb25seS1rZXktb2YtMzItYnl0ZXM= --volume /top/app:/app --volume /top/docker/dev:/usr/local/lib/dev:ro --userns keep-id:uid=1000,gid=1000 sha256:0123 python /usr/local/lib/dev/reload.py --web 8000 python manage.py runserver --noreload 0.0.0.0:8000
        podman run --pull=never --detach --name xtask-dev-64e5c91b-worker --label dev.senex.xtask=1 --label dev.senex.xtask.dev=64e5c91b --network xtask-dev-64e5c91b-network --add-host xtask-dev-0-postgres:10.89.0.2 --env CELERY_SCHEDULE=/tmp/celerybeat-schedule --env DB_HOST=xtask-dev-64e5c91b-postgres --env DB_NAME=development --env DB_PASSWORD=development --env DB_USER=development --env FIELD_ENCRYPTION_KEY=ZGV2ZWxvcG1lbnQtb25seS1rZXktb2YtMzItYnl0ZXM= --env REDIS_URL=redis://xtask-dev-64e5c91b-redis:6379/0 --env SECRET_KEY=ZGV2ZWxvcG1lbnQtb25seS1rZXktb2YtMzItYnl0ZXM= --volume /top/app:/app --volume /top/docker/dev:/usr/local/lib/dev:ro --userns keep-id:uid=1000,gid=1000 sha256:0123 python /usr/local/lib/dev/reload.py /usr/local/lib/container/entrypoint.sh worker
        podman run --pull=never --detach --name xtask-dev-64e5c91b-beat --label dev.senex.xtask=1 --label dev.senex.xtask.dev=64e5c91b --network xtask-dev-64e5c91b-network --add-host xtask-dev-0-postgres:10.89.0.2 --env CELERY_SCHEDULE=/tmp/celerybeat-schedule --env DB_HOST=xtask-dev-64e5c91b-postgres --env DB_NAME=development --env DB_PASSWORD=development --env DB_USER=development --env FIELD_ENCRYPTION_KEY=ZGV2ZWxvcG1lbnQtb25seS1rZXktb2YtMzItYnl0ZXM= --env REDIS_URL=redis://xtask-dev-64e5c91b-redis:6379/0 --env SECRET_KEY=ZGV2ZWxvcG1lbnQtb25seS1rZXktb2YtMzItYnl0ZXM= --volume /top/app:/app --volume /top/docker/dev:/usr/local/lib/dev:ro --userns keep-id:uid=1000,gid=1000 sha256:0123 python /usr/local/lib/dev/reload.py /usr/local/lib/container/entrypoint.sh beat
    "#]];
    expected.assert_eq(&shown(&all, EngineKind::Podman));
}

#[test]
fn web_as_the_owner_of_the_checkout_on_docker_where_selinux_is_on() {
    let config = config("[dev]\nport = 9000\nenvironment = { DB_NAME = \"mine\", A = \"1\" }\n");
    assert_eq!(config.dev_site.port, 9000);
    let facts = DevFacts { selinux: true, port: 9001, ..facts(&config, User::Numbers(1234, 100)) };
    let expected: Expect = expect![[r#"
        DOCKER_BUILDKIT=1 docker run --pull=never --detach --name xtask-dev-64e5c91b-web --label dev.senex.xtask=1 --label dev.senex.xtask.dev=64e5c91b --network xtask-dev-64e5c91b-network --add-host xtask-dev-0-postgres:10.89.0.2 --publish 127.0.0.1:9001:8000 --env A=1 --env CELERY_SCHEDULE=/tmp/celerybeat-schedule --env DB_HOST=xtask-dev-64e5c91b-postgres --env DB_NAME=mine --env DB_PASSWORD=development --env DB_USER=development --env FIELD_ENCRYPTION_KEY=ZGV2ZWxvcG1lbnQtb25seS1rZXktb2YtMzItYnl0ZXM= --env REDIS_URL=redis://xtask-dev-64e5c91b-redis:6379/0 --env SECRET_KEY=ZGV2ZWxvcG1lbnQtb25seS1rZXktb2YtMzItYnl0ZXM= --volume /top/app:/app:z --volume /top/docker/dev:/usr/local/lib/dev:ro,z --user 1234:100 --health-interval=2s sha256:0123 python /usr/local/lib/dev/reload.py --web 8000 python manage.py runserver --noreload 0.0.0.0:8000
    "#]];
    expected.assert_eq(&shown(&facts.roles()[..1], EngineKind::Docker));
}

/// `--volume` ends a path at a colon, and `--mount` at a comma that isn't quoted.
#[test]
fn a_checkout_with_a_colon_in_its_path_is_mounted_whole() {
    let config = config("");
    let check = |top: &str, selinux, kind, expected: [&str; 2]| {
        let facts = DevFacts { top: Path::new(top), selinux, ..facts(&config, User::Caller) };
        let words = containers::run(&Engine::assumed(kind), &facts.migrate(), true).words;
        let mounts = words.windows(2).filter(|pair| ["--volume", "--mount"].contains(&&*pair[0]));
        assert_eq!(mounts.map(|pair| pair.join(" ")).collect::<Vec<_>>(), expected);
    };
    let plain = ["--volume /a,b/app:/app", "--volume /a,b/docker/dev:/usr/local/lib/dev:ro"];
    check("/a,b", false, EngineKind::Docker, plain);
    let mounted = [
        "--mount type=bind,source=/a:b/app,target=/app",
        "--mount type=bind,source=/a:b/docker/dev,target=/usr/local/lib/dev,readonly",
    ];
    check("/a:b", false, EngineKind::Podman, mounted);
    check("/a:b", false, EngineKind::Docker, mounted);
    let shared = mounted.map(|words| format!("{words},relabel=shared"));
    check("/a:b", true, EngineKind::Podman, [&shared[0], &shared[1]]);
    let quoted = [
        "--mount type=bind,\"source=/a:b,\"\"c/app\",target=/app",
        "--mount type=bind,\"source=/a:b,\"\"c/docker/dev\",target=/usr/local/lib/dev,readonly",
    ];
    check("/a:b,\"c", false, EngineKind::Docker, quoted);
}

#[test]
fn root_is_allowed_only_where_the_checkout_is_root_s() {
    let config = config("");
    let check = |user, allowed| {
        let env = facts(&config, user).migrate().env;
        assert_eq!(env.contains(&("ALLOW_ROOT".to_owned(), "1".to_owned())), allowed, "{user:?}");
    };
    check(User::Numbers(0, 0), true);
    check(User::Numbers(1000, 0), false);
    check(User::Caller, false);
}

#[test]
fn the_tests_have_no_network_and_no_environment() {
    let config = config("");
    let tests = facts(&config, User::Caller).tests(&["-q".to_owned()]);
    assert_eq!((tests.network, tests.env, tests.hosts), (None, Vec::new(), Vec::new()));
    assert_eq!(tests.words, ["-c", PYTEST, "-p", "no:cacheprovider", "-q"]);
}

#[test]
fn two_checkouts_have_names_of_their_own() {
    let name = |top: &str| name(Path::new(top), "web");
    assert_eq!(name("/top").len(), "xtask-dev-01234567-web".len());
    assert_eq!(name("/top"), name("/top"));
    assert_ne!(name("/top"), name("/top2"));
}
