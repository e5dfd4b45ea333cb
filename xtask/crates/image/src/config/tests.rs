use super::*;
use expect_test::{Expect, expect};
use std::collections::BTreeMap;

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
fn a_mistake_is_marked_in_its_line() {
    let check = |line: &str, excerpt: &str| {
        let text = format!("{REQUIRED}{line}\n");
        let mistakes = parse(&text).unwrap_err();
        assert_eq!(mistakes[0].excerpt, excerpt, "{line}");
    };
    check("web_server = 1", "web_server = 1\n             ^");
    check("wbe_server = 1", "wbe_server = 1\n^^^^^^^^^^");
    check("\tuser = 'rööt x' # no", " user = 'rööt x' # no\n        ^^^^^^^^");
    check(
        "required_environment = ['A', 'b c']",
        "required_environment = ['A', 'b c']\n                             ^^^^^",
    );
    check("user = [\n  1,\n]", "user = [\n       ^");
    let long = "x".repeat(101);
    check(&format!("user = '{long} '"), "");
    let mistakes = parse("[image]").unwrap_err();
    assert!(mistakes.iter().all(|one| one.excerpt.is_empty()), "{mistakes:?}");
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
    // An example: by default a base may have any age.
    assert_eq!(explicit.prod.base_max_age_days, Some(30));
    assert_eq!(written.prod, Variant { base_max_age_days: None, ..explicit.prod });
    assert_eq!(written.dev, explicit.dev);
    assert_eq!(written.services, explicit.services);
    assert_eq!(written.allow_secrets, explicit.allow_secrets);
    assert_eq!(written.smoke, explicit.smoke);
    let own = include_str!("../../../../../app/tests/smoke.toml");
    let smoke = smoke::add(written.smoke.clone(), own).unwrap();
    assert_eq!((smoke.http.len(), smoke.hashed_static), (2, true));
    assert_eq!(smoke.roles, written.smoke.roles);
    assert_eq!(written.tags, explicit.tags);
    assert_eq!(written.dev_site, explicit.dev_site);
    assert!(uncommented.contains("other_tags = true"), "{uncommented}");
    assert_eq!(explicit.app.user, "senex");
    assert_eq!(written.health, explicit.health);
    let same = |app: &app::App| {
        (app.folder.clone(), app.static_root.clone(), app.lock.clone(), app.packages.clone())
    };
    assert_eq!(same(&written.app), same(&explicit.app));
    let only = format!("{REQUIRED}\n[assets]\noutput = [\"app/static/dist\"]\n");
    assert_eq!(parse(&only).unwrap().assets, explicit.assets);
    assert_eq!(written.assets, None);
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
            1: image.authors: is required and not there
            1: image.description: is required and not there
            1: image.licenses: is required and not there
            1: image.source: is required and not there
            1: image.url: is required and not there
            1: image.vendor: is required and not there
            2: image.name: reading the reference "localhost/Upper Case": `U` in the repository, which is not lower case, at character 11
            3: [image]: unknown key `nmae`: known are name, title, description, authors, vendor, url, source, licenses
            4: image.title: must be a string in quotes
            5: unknown key `imgae`: known are image, app, engine, variant, services, network, context, tags, smoke, push, cache, dev, health, assets, sign, verify
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
            15: network.index_url: user and password don't belong in this file: set UV_DEFAULT_INDEX instead
            16: network.debian_mirror: `mirror` must begin with https:// or http://
        "#]],
    );
    check(
        &format!("{REQUIRED}[smoke]\nlayers = \"many\"\nroles = [\"wbe\"]\n[smoke.slow]\n"),
        expect![[r#"
            15: smoke.layers: found string "many", expected a whole number, 0 or more
            16: smoke.roles: unknown value `wbe`, expected one of `web`, `gunicorn`, `worker`, `beat`
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
            15: tags.versions: unknown value `calver`, expected `semver` or `numbers`
        "#]],
    );
    check(
        &format!("{REQUIRED}[tags]\nprefix = \"a b/\"\nmajor = \"no\"\nsemver = true\n"),
        expect![[r#"
            15: tags.prefix: no git tag can begin with `a b/`
            16: tags.major: found string "no", expected a boolean
            17: [tags]: unknown key `semver`: known are prefix, versions, minor, major, latest, other_tags, branch, pull_request, environments
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
        &format!("{REQUIRED}celery = \"a\\u0007b\"\n[smoke]\nroles = []\n[variant]\ndev = 3\n"),
        expect![[r#"
            14: app.celery: `ab` is no Celery application: `package`, or `package.module:app`
            14: app.celery: has the control character \u{7}
            16: smoke.roles: name at least one: web, gunicorn, worker or beat
            18: variant.dev: is a table: write [variant.dev]
        "#]],
    );
    check(
        "[image\nname = \n",
        expect![[r#"
            1: app.module: is required and not there
            1: image.authors: is required and not there
            1: image.description: is required and not there
            1: image.licenses: is required and not there
            1: image.name: is required and not there
            1: image.source: is required and not there
            1: image.title: is required and not there
            1: image.url: is required and not there
            1: image.vendor: is required and not there
            1: unclosed table, expected `]`
            2: unknown key `name`: known are image, app, engine, variant, services, network, context, tags, smoke, push, cache, dev, health, assets, sign, verify; it is a key of [image], [engine]
        "#]],
    );
}

#[test]
fn so_are_those_of_what_the_project_asks_of_a_smoke_test() {
    let text = "[smoke]\nlayers = 3\n[[smoke.http]]\nname = \"a\"\n[[smoke.http]]\nname = \"b\"\n\
                path = \"/\"\nstate = 1\n[smoke.slow]\nrequest = 1\n[smoke.health]\nlife = \"/\"\n[tags]\n";
    let found = smoke::add(smoke::Smoke::default(), text).unwrap_err();
    expect![[r#"
        2: [smoke]: unknown key `layers`: known are hashed_static, health, prepare, environment, http, exec, websocket, slow
        3: smoke.http: missing key `path`
        8: smoke.http: unknown key `state`, expected one of `name`, `path`, `status`, `contains`
        10: smoke.slow: found integer `1`, expected a string
        12: smoke.health: unknown key `life`, expected one of `live`, `ready`, `contains`
        13: unknown key `tags`: known are smoke
    "#]]
    .assert_eq(&shown(&found));
    let text = "[smoke.health]\nlive = \"alive\"\n[[smoke.http]]\nname = \"a\"\npath = \"http://x/\"\n\
                [[smoke.http]]\nname = \"b\"\npath = \"/\"\nstatus = 0\n[[smoke.exec]]\nname = \"c\"\n\
                role = \"web\"\ncommand = []\n";
    let found = smoke::add(smoke::Smoke::default(), text).unwrap_err();
    expect![[r#"
        2: smoke.health: a path begins with / and has no blanks
        5: smoke.http: a path begins with / and has no blanks
        9: smoke.http: a status is from 100 to 599
        13: smoke.exec: a command has at least one word
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

/// Each line of the repository's own file, uncommented alone.
#[test]
fn a_key_below_a_commented_header_is_told_its_table() {
    let text = include_str!("../../../../../docker/image.toml");
    let lines: Vec<&str> = text.lines().collect();
    let (mut table, mut commented, mut checked) = ("", false, 0);
    for (index, line) in lines.iter().enumerate() {
        let inner = line.strip_prefix("# ").unwrap_or(line);
        if let Some(name) = inner.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            (table, commented) = (name, inner != *line);
        }
        let key = inner.split_once(" = ").map(|(key, _)| key.trim_matches('"'));
        let key = key.filter(|key| inner != *line && !key.contains([' ', '`', ':', '(']));
        let Some(key) = key else { continue };
        let changed = [&lines[..index], &[inner], &lines[index + 1..]].concat().join("\n");
        let found = mistakes(&changed.replace("MODULE", "shop"));
        let number = index + 1;
        let start = format!("{number}: ");
        let expected = format!(
            "`{key}`: the header of its table, [{table}], is a comment: uncomment it as well\n"
        );
        match commented {
            true => assert!(found.starts_with(&start) && found.ends_with(&expected), "{found}"),
            false => assert_eq!(found, "none\n", "line {number}"),
        }
        checked += 1;
    }
    assert!(checked > 30, "{checked}");
}

#[test]
fn a_key_in_another_table_is_told_its_own() {
    let check = |more: &str, expected: Expect| {
        expected.assert_eq(&mistakes(&format!("{REQUIRED}{more}")));
    };
    check(
        "prefix = \"v\"\nbase = \"a/b:c\"\n",
        expect![[r#"
            14: [app]: unknown key `prefix`: known are folder, runtime, module, queues, asgi, web_server, wsgi, celery, user, required_environment, settings, settings_build, static_root, before_collectstatic, after_collectstatic, lock, lock_dev, unhashed, groups, extras, packages, build_packages, build_from_source, environment, build_environment; it is a key of [tags]
            15: [app]: unknown key `base`: known are folder, runtime, module, queues, asgi, web_server, wsgi, celery, user, required_environment, settings, settings_build, static_root, before_collectstatic, after_collectstatic, lock, lock_dev, unhashed, groups, extras, packages, build_packages, build_from_source, environment, build_environment; it is a key of [variant.prod], [variant.dev], [assets]
        "#]],
    );
    // Another table has the same key: it would be taken for that one's.
    check(
        "[variant.prod]\npython = \"3.12\"\n\n#[variant.dev]\n# about it\ntarget = \"x\"\npython = \"3.13\"\n",
        expect![[r#"
            19: [variant.prod]: `target`: the header of its table, [variant.dev], is a comment: uncomment it as well
            20: duplicate key: the header of its table, [variant.dev], is a comment: uncomment it as well
        "#]],
    );
    // Any key is a variable there, and would be one silently.
    check(
        "[app.environment]\nA = \"1\"\n\n# [health]\n# about it\npath = \"/x/\"\nB = \"2\"\n",
        expect![[r#"
            19: [app.environment]: `path`: the header of its table, [health], is a comment: uncomment it as well
        "#]],
    );
    // A comment that is no header of ours, and a key that its own table goes on with.
    check("# [note]\nuser = \"a\"\n", expect![["none\n"]]);
    check("# [tags]\nuser = \"a\"\n", expect![["none\n"]]);
}

#[test]
fn names_that_others_would_refuse_are_mistakes_on_their_lines() {
    let check = |more: &str, expected: &str| {
        let found = mistakes(&format!("{REQUIRED}{more}\n"));
        assert!(found.starts_with(expected), "{more}: {found}");
        assert_eq!(found.lines().count(), expected.lines().count(), "{found}");
    };
    check("user = \"_a-1\"", "none\n");
    for user in ["root", "www-data", "nobody"] {
        check(
            &format!("user = \"{user}\""),
            &format!(
                "14: app.user: the base image already has a user `{user}`: choose another name"
            ),
        );
    }
    for user in ["0", "0:0", "root:root", "1000", "Senex", "a b", "-a", "a:b", &"x".repeat(33)] {
        check(
            &format!("user = \"{user}\""),
            &format!("14: app.user: `{user}` isn't a name for the user 1000:1000: a lower-case"),
        );
    }
    check("required_environment = [\"A\", \"_b2\"]", "none\n");
    let found = mistakes(&format!(
        "{REQUIRED}required_environment = [\n\"A B\",\n\"OK\",\n\"1A\", \"\",\n\"A-B\",\"ä\",\"A=B\"]\n"
    ));
    let starts = ["15: `A B`", "17: `1A`", "17: ``", "18: `A-B`", "18: `A=B`", "18: `ä`"];
    assert_eq!(found.lines().count(), starts.len(), "{found}");
    for (line, start) in found.lines().zip(starts) {
        let expected = start.replace(": ", ": app.required_environment: ") + " can't be a variable";
        assert!(line.starts_with(&expected), "{found}");
    }
    check(
        "web_server = \"hypercorn\"",
        "14: app.web_server: unknown server `hypercorn`: daphne or ",
    );
    check("asgi = \"shop.asgi\"", "14: app.asgi: `shop.asgi` is no application: write it as ");
    check("wsgi = \"a b:c\"", "14: app.wsgi: `a b:c` is no application");
    check(
        "[dev]\nenvironment = { \"A B\" = \"x\", C = \"y\" }",
        "15: dev.environment.A B: `A B` can't",
    );
    check(
        "[variant.prod]\ndockerfile = \"../D\"",
        "15: variant.prod.dockerfile: `../D` is no path",
    );
    check("[variant.dev]\ndockerfile = \"/etc/D\"", "15: variant.dev.dockerfile: `/etc/D` is no");
    check(
        "[context]\nallow_secrets = [\n\"a\",\n\"!b\"]",
        "17: context.allow_secrets: `!b`: a pattern here",
    );
    check("[smoke]\ngenerated = [\"a\\\\\"]", "15: smoke.generated: `a\\`: ");
    let replaced = |from: &str, to: &str, expected: &str| {
        let found = mistakes(&REQUIRED.replace(from, to));
        assert!(found.starts_with(expected), "{found}");
    };
    replaced(
        "module = \"trader\"",
        "module = \"my-shop\"",
        "12: app.module: `my-shop` is no Python",
    );
    replaced("queues = \"celery\"", "queues = \"a, b\"", "13: app.queues: `a, b` isn't a list");
    let smoke = smoke::add(smoke::Smoke::default(), "[smoke.environment]\n\"A.B\" = \"c\"\n");
    assert!(shown(&smoke.unwrap_err()).starts_with("2: smoke.environment.A.B: `A.B` can't be a "));
}

#[test]
fn what_can_not_stand_in_a_dockerfile_is_a_mistake_on_its_line() {
    let check = |more: &str, expected: &str| {
        let found = mistakes(&format!("{REQUIRED}{more}\n"));
        assert!(found.starts_with(expected), "{more}: {found}");
    };
    check("folder = \".\"\nlock = \"requirements/base.txt\"\nunhashed = true", "none");
    check("folder = \"src/web\"\nruntime = \"docker/runtime\"", "none");
    check("folder = \"../web\"", "14: app.folder: `../web` is no path below");
    check("folder = \"/srv\"", "14: app.folder: `/srv` is no path below");
    check("folder = \"a b\"", "14: app.folder: `a b` is no path below");
    check("folder = \"docker/app\"", "14: app.folder: `docker` is the workflow's own folder");
    check(
        "lock = \"poetry.lock\"",
        "14: app.lock: poetry.lock can't be installed from; write poetry",
    );
    check("lock = \"lock.json\"", "14: app.lock: `lock.json` is no lock");
    check("unhashed = true", "14: app.unhashed: belongs to a lock of requirements");
    check("settings = \"shop.settings\"", "none");
    check("settings = { production = \"c.p\", staging = \"c.s\" }", "none");
    check("settings = { \"a b\" = \"c.p\" }", "14: app.settings.a b: `a b` is no value of ENV");
    check(
        "settings = \"shop/settings.py\"",
        "14: app.settings: `shop/settings.py` is no Python module",
    );
    check("settings = 5", "14: app.settings: is a table");
    check("celery = \"shop.tasks:app\"", "none");
    check("celery = \"shop tasks\"", "14: app.celery: `shop tasks` is no Celery application");
    check("packages = [\"libpq5\", \"x; rm\"]", "14: app.packages: `x; rm` is no Debian package");
    check("packages = [\"-y\"]", "14: app.packages: `-y` is no Debian package");
    check(
        "build_from_source = [\"--index-url\"]",
        "14: app.build_from_source: `--index-url` is no",
    );
    check("static_root = \"../out\"", "14: app.static_root: `../out` is no path below");
    check("environment = { A = \"{db_host}\", B = \"{{}}\" }", "none");
    check(
        "environment = { A = \"{db_hots}\" }",
        "14: app.environment.A: unknown placeholder {db_hots}",
    );
    check("environment = { A = \"a\\nUSER root\" }", "14: app.environment.A: a line break");
    check("build_environment = { \"A B\" = \"x\" }", "14: app.build_environment.A B: `A B` can't");
    check("[health]\npath = \"health\"", "15: health.path: `health` is no path of a URL");
    check("[health]\nretries = 0", "15: health.retries: is at least 1");
    check("[context]\nignore_file = \"../x\"", "15: context.ignore_file: `../x` is no path");
}

/// The comment above each key of our own file, and the value that it shows; by table and key.
fn shown_keys(text: &str) -> BTreeMap<(String, String), (String, toml::Value)> {
    let (mut table, mut comment, mut all) = (String::new(), Vec::new(), BTreeMap::new());
    for line in text.lines() {
        let inner = line.strip_prefix("# ").unwrap_or(line);
        let header = inner.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let pair =
            inner.split_once(" = ").filter(|(key, _)| !key.contains([' ', '`', ':', '(', '{']));
        let value = pair.and_then(|_| inner.parse::<toml::Table>().ok());
        match (header, pair, value) {
            (Some(name), ..) => (table, comment) = (name.to_owned(), Vec::new()),
            (_, Some((key, _)), Some(mut value)) => {
                let value = value.remove(key.trim_matches('"')).unwrap_or(false.into());
                let about = std::mem::take(&mut comment).join(" ");
                all.insert((table.clone(), key.to_owned()), (about, value));
            }
            _ if inner == line => comment.clear(),
            _ => comment.push(inner),
        }
    }
    all
}

#[test]
fn editors_have_a_schema_of_all_keys() {
    let text = include_str!("../../../../../docker/image.toml");
    let mut file = raw::ConfigFile::parse(text);
    let _ = resolve(&mut file);
    let shown = shown_keys(text);
    let strings = serde_json::json!({ "type": "string" });
    let mut tables: BTreeMap<String, serde_json::Value> = BTreeMap::new();
    for (table, keys) in file.known.iter().filter(|(table, _)| !table.is_empty()) {
        let key = |key: &String| {
            let (about, value) = shown.get(&(table.clone(), key.clone()))?;
            let mut schema = match value {
                toml::Value::Array(_) => serde_json::json!({ "type": "array", "items": strings }),
                toml::Value::Integer(_) => serde_json::json!({ "type": "integer", "minimum": 0 }),
                toml::Value::Boolean(_) => serde_json::json!({ "type": "boolean" }),
                toml::Value::Table(_) => {
                    serde_json::json!({ "type": "object", "additionalProperties": strings })
                }
                // One module, or one for each value of ENVIRONMENT.
                _ if key == "settings" => serde_json::json!({ "type": ["string", "object"] }),
                _ => strings.clone(),
            };
            if !about.is_empty() {
                schema["description"] = about.as_str().into();
            }
            Some((key.clone(), schema))
        };
        // A key that the comments only mention has any value, and so has a table in it.
        let named = keys.iter().map(|name| key(name).unwrap_or((name.clone(), true.into())));
        let properties: serde_json::Map<String, serde_json::Value> = named.collect();
        tables.insert(
            table.clone(),
            serde_json::json!({
                "type": "object", "properties": properties, "additionalProperties": false
            }),
        );
    }
    let (inner, mut outer): (BTreeMap<_, _>, BTreeMap<_, _>) =
        tables.into_iter().partition(|(name, _)| name.contains('.'));
    for (name, schema) in inner {
        let (table, key) = name.split_once('.').unwrap();
        outer.get_mut(table).unwrap()["properties"][key] = schema;
    }
    let schema = serde_json::json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "docker/image.toml of the container workflow",
        "type": "object", "properties": outer, "additionalProperties": false,
    });
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    expect_test::expect_file!["../../../../../docker/image.schema.json"].assert_eq(&text);
    assert!(shown.keys().all(|(table, key)| {
        let other = table.starts_with("app.") || table == "smoke.skip";
        other || text.contains(&format!("\"{key}\": {{"))
    }));
}
