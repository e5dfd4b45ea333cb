use super::*;
use expect_test::{Expect, expect};

const REQUIRED: &str = r#"
[image]
name = "trader"
title = "Trader"
description = "d"
authors = "a"
vendor = "v"
url = "https://u"
source = "https://s"
licenses = "MIT"
[app]
module = "trader"
queues = "celery"
"#;

fn mistakes(text: &str) -> String {
    match parse(text) {
        Ok(_) => "none\n".into(),
        Err(mistakes) => shown(&mistakes),
    }
}

fn shown(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(|mistake| format!("{}: {}\n", mistake.line, mistake.message)).collect()
}

#[test]
fn the_repository_s_own_file_has_no_mistake_and_its_comments_are_the_defaults() {
    let text = include_str!("../../../../../docker/image.toml");
    let written = parse(text).unwrap();
    let uncommented: String = text
        .lines()
        .map(|line| {
            let Some(inner) = line.strip_prefix("# ") else { return format!("{line}\n") };
            let value = inner.starts_with('[')
                || inner.split_once(" = ").is_some_and(|(key, _)| {
                    key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
                });
            // `base` and `python` exclude each other, and both show their default.
            if value && !inner.starts_with("python") && !inner.starts_with("name = \"podman\"") {
                inner.replace("MODULE", "senex_trader") + "\n"
            } else {
                String::from("\n")
            }
        })
        .collect();
    let explicit = parse(&uncommented).unwrap();
    assert_eq!(written.prod, explicit.prod);
    assert_eq!(written.dev, explicit.dev);
    assert_eq!(written.services, explicit.services);
    assert_eq!(written.allow_secrets, explicit.allow_secrets);
    assert_eq!(written.smoke, explicit.smoke);
    let own = include_str!("../../../../../app/tests/smoke.toml");
    let smoke = smoke::add(written.smoke.clone(), own).unwrap();
    assert_eq!((smoke.http.len(), smoke.hashed_static), (3, true));
    assert_eq!(smoke.roles, written.smoke.roles);
    assert_eq!(written.tags, explicit.tags);
    assert_eq!(written.dev_site, explicit.dev_site);
    assert!(uncommented.contains("other_tags = true"), "{uncommented}");
    assert_eq!(explicit.app.user.as_deref(), Some("senex"));
}

#[test]
fn at_most_fifteen_lines_have_to_be_edited() {
    assert_eq!(parse(REQUIRED).map(|config| config.image.name), Ok("trader".to_owned()));
    assert!(REQUIRED.lines().filter(|line| line.contains('=')).count() <= 15);
}

#[test]
fn all_mistakes_are_reported_at_once_with_their_lines() {
    let check = |text: &str, expected: Expect| expected.assert_eq(&mistakes(text));
    check(REQUIRED, expect![["none\n"]]);
    check(
        "[image]\nname = \"Upper Case\"\nnmae = 1\ntitle = 3\n[imgae]\nx = 1\n[engine]\nname = \"nerdctl\"\n",
        expect![[r#"
            1: app.module: is required and not there
            1: app.queues: is required and not there
            1: image.authors: is required and not there
            1: image.description: is required and not there
            1: image.licenses: is required and not there
            1: image.source: is required and not there
            1: image.url: is required and not there
            1: image.vendor: is required and not there
            2: image.name: reading the reference "localhost/Upper Case": `U` in the repository, which is not lower case, at character 11
            3: [image]: unknown key `nmae`: known are name, title, description, authors, vendor, url, source, licenses
            4: image.title: must be a string in quotes
            5: unknown key `imgae`: known are image, app, engine, variant, services, network, context, tags, smoke, push, cache, dev
            8: engine.name: unknown engine `nerdctl`: podman or docker
        "#]],
    );
    check(
        &format!(
            "{REQUIRED}[variant.prod]\nbase = \"python:3.12\"\nsize_budget = \"big\"\n[variant.test]\n"
        ),
        expect![[r#"
            15: variant.prod.base: `python:3.12` names no registry, which Podman asks for or refuses: write docker.io/library/… or the like
            16: variant.prod.size_budget: `big` is no size: a number and MB or MiB, as `500 MB`
            17: [variant]: unknown key `test`: known are prod, dev
        "#]],
    );
    check(
        &format!(
            "{REQUIRED}[variant.dev]\npython = \"3.13\"\nbase = \"docker.io/library/python:3.13\"\n"
        ),
        expect![[r#"
            15: variant.dev.python: `base` and `python` exclude each other
        "#]],
    );
    check(
        &format!(
            "{REQUIRED}[network]\nindex_url = \"https://me:word@index.example\"\ndebian_mirror = \"mirror\"\n"
        ),
        expect![[r#"
            15: network.index_url: user and password don't belong into this file: set UV_DEFAULT_INDEX instead
            16: network.debian_mirror: `mirror` must begin with https:// or http://
        "#]],
    );
    check(
        &format!("{REQUIRED}[smoke]\nlayers = \"many\"\nroles = [\"wbe\"]\n[smoke.slow]\n"),
        expect![[r#"
            15: smoke.layers: invalid type: string "many", expected usize
            16: smoke.roles: unknown variant `wbe`, expected one of `web`, `gunicorn`, `worker`, `beat`
            17: [smoke]: unknown key `slow`: known are roles, layers, start_seconds, stop_seconds, generated, skip
        "#]],
    );
    check(
        &format!(
            "{REQUIRED}[smoke.skip]\nhealth-chek = \"slow\"\nuser = \" \"\nlayers = 3\n[tags]\nprefix = \"a b\"\n"
        ),
        expect![[r#"
            15: smoke.skip.health-chek: there is no such check: health-check, health-pages, beat-tick, … (`smoke-test --list`)
            16: smoke.skip.user: is empty
            17: smoke.skip.layers: must be a string in quotes
            19: tags.prefix: no git tag can begin with `a b`
        "#]],
    );
    check(
        &format!("{REQUIRED}[smoke]\nskip = [\"web\"]\n"),
        expect![[r#"
        15: smoke.skip: is a table: write [smoke.skip]
    "#]],
    );
    let text = format!("{REQUIRED}[smoke.skip]\nstop-web = \"it is slow\"\n");
    let skip = parse(&text).unwrap().smoke.skip;
    assert_eq!(skip, [("stop-web".to_owned(), "it is slow".to_owned())].into());
    check(
        &format!(
            "{REQUIRED}[smoke]\nskip.wbe = \"x\"\nskip.\"stop-web\" = \"it is slow\"\ngenerated = 1\n"
        ),
        expect![[r#"
            15: smoke.skip.wbe: there is no such check: web, user, size, … (`smoke-test --list`)
            17: smoke.generated: must be a list of strings
        "#]],
    );
    check(
        &format!("{REQUIRED}[tags]\nversions = \"calver\"\n"),
        expect![[r#"
            15: tags.versions: unknown variant `calver`, expected `semver` or `numbers`
        "#]],
    );
    check(
        &format!("{REQUIRED}[tags]\nprefix = \"a b/\"\nmajor = \"no\"\nsemver = true\n"),
        expect![[r#"
            15: tags.prefix: no git tag can begin with `a b/`
            16: tags.major: invalid type: string "no", expected a boolean
            17: [tags]: unknown key `semver`: known are prefix, versions, minor, major, latest, other_tags, branch, pull_request
        "#]],
    );
    check(
        &format!(
            "{REQUIRED}[push]\nregistries = [\"team/app\", \"r.example\"]\n[cache]\nregistry = \"r.example/a:b\"\n"
        ),
        expect![[r#"
            15: push.registries: pushing to "team/app": it names no registry
            17: cache.registry: reading the layer cache "r.example/a:b": pushing to "r.example/a:b": it names more than a repository
        "#]],
    );
    check(
        "[image\nname = \n",
        expect![[r#"
            1: app.module: is required and not there
            1: app.queues: is required and not there
            1: image.authors: is required and not there
            1: image.description: is required and not there
            1: image.licenses: is required and not there
            1: image.name: is required and not there
            1: image.source: is required and not there
            1: image.title: is required and not there
            1: image.url: is required and not there
            1: image.vendor: is required and not there
            1: unclosed table, expected `]`
            2: unknown key `name`: known are image, app, engine, variant, services, network, context, tags, smoke, push, cache, dev
        "#]],
    );
}

#[test]
fn so_are_those_of_what_the_project_asks_of_a_smoke_test() {
    let text = "[smoke]\nlayers = 3\n[[smoke.http]]\nname = \"a\"\n[[smoke.http]]\nname = \"b\"\n\
                path = \"/\"\nstate = 1\n[smoke.slow]\nrequest = 1\n[smoke.health]\nlife = \"/\"\n[tags]\n";
    let found = smoke::add(smoke::Smoke::default(), text).unwrap_err();
    expect![[r#"
        2: [smoke]: unknown key `layers`: known are hashed_static, health, environment, http, exec, websocket, slow
        3: smoke.http: missing field `path`
        8: smoke.http: unknown field `state`, expected one of `name`, `path`, `status`, `contains`
        10: smoke.slow: invalid type: integer `1`, expected a string
        12: smoke.health: unknown field `life`, expected one of `live`, `ready`, `contains`
        13: unknown key `tags`: known are smoke
    "#]]
    .assert_eq(&shown(&found));
}

#[test]
fn sizes() {
    let check = |text: &str, expected: Option<u64>| assert_eq!(bytes(text), expected, "{text}");
    check("500 MB", Some(500_000_000));
    check("500MB", Some(500_000_000));
    check("1 GiB", Some(1 << 30));
    check("123", Some(123));
    check("500 mb", None);
    check("", None);
    check("99999999999 GB", None);
}
