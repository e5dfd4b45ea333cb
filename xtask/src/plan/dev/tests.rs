//! The plan of `dev` as a value, and the whole command line that each engine gets for a role.

use super::*;
use crate::engine::containers;
use expect_test::{Expect, expect};

fn config(more: &str) -> Config {
    let text = format!("{}\n{more}", include_str!("../../../../docker/image.toml"));
    crate::config::parse(&text).unwrap()
}

fn facts<'a>(config: &'a Config, owner: Owner) -> Facts<'a> {
    Facts {
        config,
        top: Path::new("/home/ann/trader"),
        image: "sha256:12".into(),
        services: ["postgres:16".into(), "redis:7".into()],
        port: 8001,
        owner,
        selinux: false,
    }
}

fn web(kind: Kind, owner: Owner, selinux: bool) -> String {
    let config = config("");
    let plan = dev(&Facts { selinux, ..facts(&config, owner) });
    let line = containers::run(&Engine::assumed(kind), &plan.roles[0], true).to_string();
    // Of the environment only what depends on the owner.
    let known = environment(&config);
    let shown =
        |word: &&str| !known.iter().any(|(name, value)| *word == format!("--env={name}={value}"));
    let joined = line.replace("--env ", "--env=");
    joined.split(' ').filter(shown).collect::<Vec<_>>().join(" ") + "\n"
}

#[test]
fn a_role_on_each_engine_and_for_each_owner() {
    let check = |kind, owner, selinux, expected: Expect| {
        expected.assert_eq(&web(kind, owner, selinux));
    };
    check(
        Kind::Podman,
        Owner::Kept,
        false,
        expect![[r#"
        podman run --pull=never --detach --name xtask-dev-c1d19aab-web --label dev.senex.xtask=1 --label dev.senex.xtask.dev=c1d19aab --network xtask-dev-c1d19aab-network --publish 127.0.0.1:8001:8000 --volume /home/ann/trader/app:/app --userns keep-id:uid=1000,gid=1000 sha256:12 python /usr/local/lib/container/develop.py web python manage.py runserver --noreload 0.0.0.0:8000
    "#]],
    );
    check(
        Kind::Podman,
        Owner::Kept,
        true,
        expect![[r#"
        podman run --pull=never --detach --name xtask-dev-c1d19aab-web --label dev.senex.xtask=1 --label dev.senex.xtask.dev=c1d19aab --network xtask-dev-c1d19aab-network --publish 127.0.0.1:8001:8000 --volume /home/ann/trader/app:/app:z --userns keep-id:uid=1000,gid=1000 sha256:12 python /usr/local/lib/container/develop.py web python manage.py runserver --noreload 0.0.0.0:8000
    "#]],
    );
    check(
        Kind::Podman,
        Owner::Numbers(0, 0),
        false,
        expect![[r#"
        podman run --pull=never --detach --name xtask-dev-c1d19aab-web --label dev.senex.xtask=1 --label dev.senex.xtask.dev=c1d19aab --network xtask-dev-c1d19aab-network --publish 127.0.0.1:8001:8000 --env=ALLOW_ROOT=1 --volume /home/ann/trader/app:/app --user 0:0 sha256:12 python /usr/local/lib/container/develop.py web python manage.py runserver --noreload 0.0.0.0:8000
    "#]],
    );
    check(
        Kind::Docker,
        Owner::Numbers(1000, 1001),
        false,
        expect![[r#"
        DOCKER_BUILDKIT=1 docker run --pull=never --detach --name xtask-dev-c1d19aab-web --label dev.senex.xtask=1 --label dev.senex.xtask.dev=c1d19aab --network xtask-dev-c1d19aab-network --publish 127.0.0.1:8001:8000 --volume /home/ann/trader/app:/app --user 1000:1001 --group-add 0 --health-interval=2s sha256:12 python /usr/local/lib/container/develop.py web python manage.py runserver --noreload 0.0.0.0:8000
    "#]],
    );
    check(
        Kind::Docker,
        Owner::Shared,
        false,
        expect![[r#"
        DOCKER_BUILDKIT=1 docker run --pull=never --detach --name xtask-dev-c1d19aab-web --label dev.senex.xtask=1 --label dev.senex.xtask.dev=c1d19aab --network xtask-dev-c1d19aab-network --publish 127.0.0.1:8001:8000 --env=WATCHFILES_FORCE_POLLING=1 --volume /home/ann/trader/app:/app --health-interval=2s sha256:12 python /usr/local/lib/container/develop.py web python manage.py runserver --noreload 0.0.0.0:8000
    "#]],
    );
}

#[test]
fn who_a_role_is_depends_on_the_engine_and_on_the_checkout() {
    let check = |kind, place: Option<&str>, rootless, expected| {
        let place = place.map(str::to_owned);
        let engine = Engine { place, ..Engine::assumed(kind) };
        assert_eq!(owner(&engine, rootless, 1000, 100), expected, "{kind} {rootless}");
    };
    check(Kind::Podman, None, true, Owner::Kept);
    check(Kind::Podman, None, false, Owner::Numbers(1000, 100));
    check(Kind::Docker, None, false, Owner::Numbers(1000, 100));
    check(Kind::Docker, Some("the daemon at unix:///s by DOCKER_HOST"), true, Owner::Numbers(0, 0));
    let desktop = "the virtual machine of Docker Desktop 4.30";
    check(Kind::Docker, Some(desktop), false, Owner::Shared);
    let machine = "the virtual machine of `podman machine`, connection podman-machine-default";
    check(Kind::Podman, Some(machine), true, Owner::Shared);
}

#[test]
fn names_are_the_checkout_s_own() {
    let config = config("");
    let one = dev(&facts(&config, Owner::Kept));
    let same = dev(&facts(&config, Owner::Kept));
    let other = dev(&Facts { top: Path::new("/home/ann/other"), ..facts(&config, Owner::Kept) });
    assert_eq!(one, same);
    let names = |plan: &Dev| -> Vec<String> {
        let all = plan.services.iter().chain(&plan.roles).chain([&plan.migrate]);
        let all = all.map(|container| container.name.clone());
        all.chain([plan.network.clone(), plan.volume.clone()]).collect()
    };
    assert!(names(&one).iter().all(|name| !names(&other).contains(name)));
    let mut unique = names(&one);
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), 8);
    assert_eq!(what(&one.checkout, &one.roles[1].name), "worker");
}

#[test]
fn the_file_chooses_roles_port_and_environment() {
    let config =
        config("[dev]\nroles = [\"web\"]\nport = 9000\nenvironment = { DB_NAME = \"x\" }\n");
    assert_eq!(config.development.port, 9000);
    let plan = dev(&facts(&config, Owner::Kept));
    assert_eq!(plan.roles.len(), 1);
    let value = |name: &str| {
        let found = plan.roles[0].env.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!(value("DB_NAME"), Some("x"));
    assert_eq!(value("SECRET_KEY"), Some(KEY));
    // Only web is published.
    assert_eq!(plan.roles[0].host_port, Some(8001));
    assert_eq!(plan.migrate.publish, None);
}

#[test]
fn a_command_beside_the_site_isn_t_the_first_process() {
    let config = config("");
    let plan = dev(&facts(&config, Owner::Kept));
    let words = ["python", "manage.py", "dbshell"].map(str::to_owned);
    let container = beside(&facts(&config, Owner::Kept), &plan, 7, &words);
    assert_eq!(container.words[..2], ["sh", "-c"]);
    assert_eq!(container.words[4..], words);
    assert_eq!(what(&plan.checkout, &container.name), "command-7");
}
