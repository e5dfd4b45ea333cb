//! Each check of the image alone passes on a small good image, and fails on each way to break it.

mod good;

use super::*;
use crate::checks::{self, Check, Run};
use engine::archive::{DPKG_STATUS, Entry, EntryKind};
use engine::dockerfile::instructions;
use engine::label::OCI;
use good::STATIC_MANIFEST;
use good::{VENV, file, folder, good, owned};
use serde_json::{Value, json};

fn of_image() -> impl Iterator<Item = &'static Check> {
    checks::all().iter().filter(|check| matches!(check.run, Run::Image(_)))
}

fn look(check: &Check, archive: &Archive, expected: &Expected) -> Verdict {
    let Run::Image(run) = check.run else { panic!("{} starts containers", check.name) };
    run(archive, expected)
}

fn run(name: &str, archive: &Archive, expected: &Expected) -> Verdict {
    let check = of_image().find(|check| check.name == name);
    look(check.unwrap_or_else(|| panic!("no check {name}")), archive, expected)
}

/// The checks that fail.
fn failing(archive: &Archive, expected: &Expected) -> Vec<&'static str> {
    let failed = |check: &&Check| matches!(look(check, archive, expected), Verdict::Failed(_));
    of_image().filter(failed).map(|check| check.name).collect()
}

#[test]
fn every_check_passes_on_a_good_image() {
    let (archive, expected) = good();
    for check in of_image() {
        let verdict = look(check, &archive, &expected);
        assert!(matches!(verdict, Verdict::Passed(_)), "{}: {verdict:?}", check.name);
    }
}

/// A pattern of `allow_secrets` names a file as the build context has it, wherever the application is.
#[test]
fn an_allowed_file_is_named_as_in_the_build_context() {
    let check = |prefix: &str, pattern: &str, passes: bool| {
        let (mut archive, mut expected) = good();
        put(&mut archive, "app/search.db", Entry { secret: Some("a database"), ..file(9) });
        expected.prefix = prefix.to_owned();
        expected.allow_secrets = vec![pattern.to_owned()];
        let verdict = run("no-secrets", &archive, &expected);
        assert_eq!(
            matches!(verdict, Verdict::Passed(_)),
            passes,
            "{prefix} {pattern}: {verdict:?}"
        );
    };
    check("", "search.db", true);
    check("app/", "app/search.db", true);
    check("web/", "web/search.db", true);
    check("web/", "app/search.db", false);
    check("", "other.db", false);
}

/// One way to break the good image or what is asked of it, the one check that sees it, and what
/// its evidence names.
type Broken = (&'static str, &'static str, fn(&mut Archive, &mut Expected));

fn label(archive: &mut Archive, name: &str, value: &str) {
    archive.config["config"]["Labels"][format!("{OCI}{name}")] = json!(value);
}

/// Changes a label, in the image and in what is expected of it.
fn both(archive: &mut Archive, expected: &mut Expected, name: &str, value: &str) {
    label(archive, name, value);
    expected.labels.insert(format!("{OCI}{name}"), value.to_owned());
}

/// Puts an entry into the last layer, with the content of the one that is there.
fn put(archive: &mut Archive, path: &str, entry: Entry) {
    let files = &mut archive.layers[4].files;
    let content = entry.content.clone().or_else(|| files.get(path)?.content.clone());
    files.insert(path.to_owned(), Entry { content, ..entry });
}

const BROKEN: &[Broken] = &[
    ("labels", "vendor is missing", |p, e| {
        let name = format!("{OCI}vendor");
        e.labels.remove(&name);
        p.config["config"]["Labels"].as_object_mut().unwrap().remove(&name);
    }),
    ("labels", "created is `yesterday`", |p, e| both(p, e, "created", "yesterday")),
    ("labels", "revision is `abc`", |p, e| both(p, e, "revision", "abc")),
    ("labels", "licenses is `MIT License`", |p, e| both(p, e, "licenses", "MIT License")),
    ("labels", "url is `shop.example`", |p, e| both(p, e, "url", "shop.example")),
    ("labels", "base.digest is `sha256:1`", |p, e| both(p, e, "base.digest", "sha256:1")),
    ("labels", "title is `Other`, expected `Shop`", |p, _| label(p, "title", "Other")),
    ("labels", "dev.senex.xtask is missing, expected `0.1.0`", |_, e| {
        e.labels.insert("dev.senex.xtask".into(), "0.1.0".into());
    }),
    ("identity", "revision is", |p, _| label(p, "revision", &"c".repeat(40))),
    ("identity", "version is `1.2.2`, expected `1.2.3`", |p, _| label(p, "version", "1.2.2")),
    ("identity", "created is", |p, _| label(p, "created", "2026-11-24T06:03:31Z")),
    ("user", "USER is ``", |p, _| p.config["config"]["User"] = json!("")),
    ("user", "USER is `shop`", |p, _| p.config["config"]["User"] = json!("shop")),
    ("user", "USER is `1000`", |p, _| p.config["config"]["User"] = json!("1000")),
    ("user", "USER is `0:0`", |p, _| p.config["config"]["User"] = json!("0:0")),
    ("user", "USER is `1000:0`", |p, _| p.config["config"]["User"] = json!("1000:0")),
    ("structure", "ENTRYPOINT is missing", |p, _| p.config["config"]["Entrypoint"] = json!([])),
    ("structure", "which a shell runs", |p, _| {
        p.config["config"]["Entrypoint"] = json!(["sh", "-c", "/x"]);
    }),
    ("structure", "ENTRYPOINT /x: not there", |p, _| {
        p.config["config"]["Entrypoint"] = json!(["/x"])
    }),
    ("structure", "not for everybody to run", |p, _| {
        let path = "usr/local/lib/container/entrypoint.sh";
        p.layers[3].files.get_mut(path).unwrap().mode = 0o744;
    }),
    ("structure", "CMD is [\"worker\"]", |p, _| p.config["config"]["Cmd"] = json!(["worker"])),
    ("structure", "WORKDIR is `/`", |p, _| p.config["config"]["WorkingDir"] = json!("/")),
    ("structure", "8000/tcp is missing", |p, _| {
        p.config["config"]["ExposedPorts"] = json!({"80/tcp": {}});
    }),
    ("structure", "VOLUME is [\"/app/media\"]", |p, _| {
        p.config["config"]["Volumes"] = json!({"/app/media": {}});
    }),
    ("structure", "PATH begins with `/usr/bin`", |p, _| {
        p.config["config"]["Env"] = json!(["PATH=/usr/bin:/opt/venv/bin"]);
    }),
    ("structure", "/var/lib/shop: the folder is missing", |p, _| {
        p.layers[1].files.remove("var/lib/shop");
    }),
    ("structure", "/app/logs: 0:0 0755", |p, _| put(p, "app/logs", folder())),
    ("structure", "/app/media: 1000:1000 0775", |p, _| {
        put(p, "app/media", Entry { gid: 1000, ..owned() });
    }),
    ("structure", "/app/media: 1000:0 0755", |p, _| {
        put(p, "app/media", Entry { mode: 0o755, ..owned() });
    }),
    ("structure", "/app/media: the folder is missing", |p, _| {
        put(p, "app/.wh.media", file(0));
    }),
    ("health-check", "no HEALTHCHECK", |p, _| p.config["config"]["Healthcheck"] = Value::Null),
    ("health-check", "not in exec form", |p, _| {
        p.config["config"]["Healthcheck"]["Test"] = json!(["CMD-SHELL", "curl -f localhost"]);
    }),
    ("health-check", "Interval is 5 s, not 1m30s", |p, _| {
        p.config["config"]["Healthcheck"]["Interval"] = json!(5_000_000_000_u64);
    }),
    ("health-check", "StartPeriod is 0 s, not 40s", |p, _| {
        p.config["config"]["Healthcheck"]["StartPeriod"] = Value::Null;
    }),
    ("health-check", "Retries is 1, not 3", |p, _| {
        p.config["config"]["Healthcheck"]["Retries"] = json!(1);
    }),
    ("health-check", "no HEALTHCHECK", |p, _| {
        p.config["config"]["Healthcheck"]["Test"] = json!(["NONE"]);
    }),
    ("health-check", "not [\"/usr/local/lib/container/healthcheck\"]", |p, _| {
        p.config["config"]["Healthcheck"]["Test"] = json!(["CMD", "/bin/true"]);
    }),
    ("health-check", "Timeout is 10 s, not 30 s", |_, e| {
        e.dockerfile.0 = instructions(
            "FROM a AS image\nHEALTHCHECK --interval=90s --start-period=40000ms CMD [\"/usr/local/lib/container/healthcheck\"]\nCMD [\"web\"]\n",
        );
    }),
    ("application-files", "/app/manage.py (layer 5): not as it is", |p, _| {
        put(p, "app/manage.py", Entry { content: Some("x".to_owned()), ..file(9) });
    }),
    ("application-files", "/app/extra.py (layer 5): not in the build context", |p, _| {
        put(p, "app/extra.py", file(9));
        put(p, "app/__pycache__/extra.cpython-312.pyc", file(9));
    }),
    ("application-files", "/app/extra.pyc (layer 5): not in", |p, _| {
        put(p, "app/extra.pyc", file(9))
    }),
    ("application-files", "/app/link (layer 5): not as it is", |p, e| {
        e.built_from.as_mut().unwrap().as_mut().unwrap().insert("app/link".into(), "t".into());
        let target = Some("elsewhere".to_owned());
        put(p, "app/link", Entry { kind: EntryKind::Link, target, mode: 0o777, ..file(0) });
    }),
    ("application-files", "/app/__pycache__/x.so (layer 5): not in", |p, _| {
        put(p, "app/__pycache__/x.so", file(9));
    }),
    ("application-files", "/alias/manage.py (layer 5): it is below a link", |p, _| {
        let target = Some("app".to_owned());
        put(p, "alias", Entry { kind: EntryKind::Link, target, mode: 0o777, ..file(0) });
        put(p, "alias/manage.py", file(9));
    }),
    ("application-files", "app/gone.txt of the build context is not in the image", |_, e| {
        e.built_from.as_mut().unwrap().as_mut().unwrap().insert("app/gone.txt".into(), "g".into());
    }),
    ("application-files", "[smoke] generated: ", |_, e| e.generated = vec!["a\\".into()]),
    ("platform", "for linux/arm64, not for linux/amd64", |p, _| {
        p.config["architecture"] = json!("arm64");
    }),
    ("size", "over the budget: 5.0 MB of 4.0 MB", |_, e| e.size_budget = Some(4_000_000)),
    ("layers", "5 layers, 4 of them ours; at most 4", |_, e| e.max_layers = Some(4)),
    ("wasted", "/app/big (layer 4): 1000.0 kB, replaced or removed by layer 5", |p, _| {
        p.layers[3].files.insert("app/big".into(), file(1_000_000));
        put(p, "app/.wh.big", file(0));
    }),
    ("wasted", "/usr/bin/pip3 (layer 1): 2000.0 kB", |p, _| {
        p.layers[0].files.insert("usr/bin/pip3".into(), file(2_000_000));
        put(p, "usr/bin/.wh.pip3", file(0));
    }),
    ("wasted", "1.0 kB in 12 files, 11 of them of ours and there again", |p, _| {
        for n in 0..11 {
            p.layers[3].files.insert(format!("app/data{n}"), file(10));
            put(p, &format!("app/data{n}"), file(10));
        }
    }),
    ("no-secrets", "canary: in app/x of layer 5", |p, _| {
        p.found.push("canary: in app/x of layer 5".into());
    }),
    ("no-secrets", "/app/odd.txt (layer 5): a private key", |p, _| {
        put(p, "app/odd.txt", Entry { secret: Some("a private key"), ..file(9) });
    }),
    // Even if a later layer hides it.
    ("no-secrets", "/app/odd.txt (layer 4): a private key", |p, _| {
        let entry = Entry { secret: Some("a private key"), ..file(9) };
        p.layers[3].files.insert("app/odd.txt".into(), entry);
        put(p, "app/.wh.odd.txt", file(0));
    }),
    ("no-secrets", "web/own.pem (layer 5): a key", |p, _| {
        put(p, &format!("{VENV}/web/own.pem"), Entry { secret: Some("a key"), ..file(9) });
    }),
    ("no-secrets", "the environment sets SECRET_KEY", |p, _| {
        p.config["config"]["Env"][1] = json!("SECRET_KEY=x");
    }),
    ("no-secrets", "the environment sets INDEX", |p, _| {
        p.config["config"]["Env"][1] = json!("INDEX=https://me:x@index.example/simple");
    }),
    ("no-secrets", "step 1 of the history sets TOKEN", |p, _| {
        p.config["history"][0] = json!({"created_by": "|1 TOKEN=x /bin/sh -c make"});
    }),
    ("no-secrets", "step 1 of the history holds a URL", |p, _| {
        p.config["history"][0] = json!({"created_by": "pip install -i https://a:b@c.example x"});
    }),
    ("no-secrets", "the label note holds a URL", |p, _| {
        p.config["config"]["Labels"]["note"] = json!("https://a:b@c.example");
    }),
    ("no-secrets", "allow_secrets, `!x`", |_, e| e.allow_secrets = vec!["!x".into()]),
    ("no-build-tools", "/usr/bin/gcc (layer 5)", |p, _| put(p, "usr/bin/gcc", file(9))),
    ("no-build-tools", "/opt/venv/bin/uv (layer 5)", |p, _| put(p, "opt/venv/bin/uv", file(9))),
    ("no-build-tools", "site-packages/pip (layer 5)", |p, _| {
        put(p, &format!("{VENV}/pip/data.txt"), file(9));
    }),
    ("no-build-tools", "the Debian package libpq-dev", |p, _| {
        let status = "Package: libpq-dev\nStatus: install ok installed\n".to_owned();
        p.layers[2].texts.insert(DPKG_STATUS.to_owned(), status);
    }),
    ("no-build-tools", "the Debian package gcc-12", |p, _| {
        let status = "Package: gcc-12\nStatus: install ok installed\n".to_owned();
        p.layers[2].texts.insert(DPKG_STATUS.to_owned(), status);
    }),
    ("no-build-tools", "an index or archive of Debian packages", |p, _| {
        put(p, "var/lib/apt/lists/deb_Packages", file(9));
    }),
    ("no-build-tools", "/root/.cache/uv/x (layer 5): a cache", |p, _| {
        put(p, "root/.cache/uv/x", file(9));
    }),
    ("no-setuid", "/usr/bin/mine (layer 5): setuid, 0:0 4755", |p, _| {
        put(p, "usr/bin/mine", Entry { mode: 0o4755, ..file(9) });
    }),
    ("no-setuid", "setgid", |p, _| put(p, "usr/bin/mine", Entry { mode: 0o2755, ..file(9) })),
    ("no-setuid", "capabilities", |p, _| {
        put(p, "usr/bin/mine", Entry { capabilities: Some(vec![1]), ..file(9) });
    }),
    ("read-only-code", "/app/manage.py (layer 5): its owner, the run user, can", |p, _| {
        put(p, "app/manage.py", Entry { uid: 1000, ..file(9) });
    }),
    ("read-only-code", "/app/manage.py (layer 5): its group can", |p, _| {
        put(p, "app/manage.py", Entry { mode: 0o664, ..file(9) });
    }),
    ("read-only-code", "/app/manage.py (layer 5): everybody can", |p, _| {
        put(p, "app/manage.py", Entry { mode: 0o646, gid: 5, ..file(9) });
    }),
    ("read-only-code", "/app (layer 5): its owner", |p, _| put(p, "app", owned())),
    ("read-only-code", "/opt (layer 3): everybody", |p, _| {
        p.layers[2].files.insert("opt".into(), Entry { mode: 0o777, ..folder() });
    }),
    ("read-only-code", "/usr/local/lib/container: the folder is missing", |p, _| {
        p.layers[3].files.remove("usr/local/lib/container");
    }),
    ("static-files", "staticfiles.json is missing", |p, _| {
        p.layers[4].files.remove(STATIC_MANIFEST);
    }),
    ("static-files", "/app/staticfiles is empty", |p, e| {
        e.hashed_static = false;
        p.layers[4].files.retain(|path, _| !path.starts_with("app/staticfiles/"));
    }),
    ("static-files", "names no files", |p, _| {
        p.layers[4].texts.insert(STATIC_MANIFEST.to_owned(), "{}".into());
    }),
    ("static-files", "/app/staticfiles/a.1f.css is missing, which a.css", |p, _| {
        p.layers[4].files.remove("app/staticfiles/a.1f.css");
    }),
    ("bytecode", "/app/manage.py (layer 5): no bytecode", |p, _| {
        p.layers[4].files.remove("app/__pycache__/manage.cpython-312.pyc");
    }),
    ("bytecode", "no Python file", |p, e| {
        e.built_from = None;
        p.layers[4].files.remove("app/manage.py");
        p.layers[2].files.remove(&format!("{VENV}/web/a.py"));
    }),
    ("no-development-files", "line 5 of the ignore file excludes it, **/tests/", |p, _| {
        put(p, "app/shop/tests/data.txt", file(9));
    }),
    ("no-development-files", "/app/.env.local (layer 5)", |p, _| put(p, "app/.env.local", file(9))),
    ("no-development-files", "reading .dockerignore", |_, e| {
        (e.ignore, e.built_from) = ("a\\".into(), None);
    }),
];

#[test]
fn each_way_to_break_it_is_seen_by_one_check() {
    for (name, evidence, change) in BROKEN {
        let (mut archive, mut expected) = good();
        change(&mut archive, &mut expected);
        let verdict = run(name, &archive, &expected);
        let Verdict::Failed(lines) = &verdict else { panic!("{name}, {evidence}: {verdict:?}") };
        assert!(lines.iter().any(|line| line.contains(evidence)), "{name}, {evidence}: {lines:?}");
        assert_eq!(failing(&archive, &expected), [*name], "{evidence}");
    }
    for check in of_image() {
        assert!(BROKEN.iter().any(|broken| broken.0 == check.name), "{} never fails", check.name);
    }
}

#[test]
fn what_is_not_asked_for_is_said() {
    let (archive, _) = good();
    let nothing = Expected::default();
    for name in ["identity", "platform", "size", "layers", "application-files"] {
        let verdict = run(name, &archive, &nothing);
        assert!(matches!(verdict, Verdict::NotAsked(_)), "{name}: {verdict:?}");
    }
}

#[test]
fn what_is_right_in_an_odd_form_passes() {
    let check = |name: &str, change: fn(&mut Archive, &mut Expected)| {
        let (mut archive, mut expected) = good();
        change(&mut archive, &mut expected);
        let verdict = run(name, &archive, &expected);
        assert!(matches!(verdict, Verdict::Passed(_)), "{name}: {verdict:?}");
    };
    // No registry knows the digest of a stand-in.
    check("labels", |p, e| {
        both(p, e, "base.name", "localhost/xtask/python:3.12-slim-bookworm-standin");
        let name = format!("{OCI}base.digest");
        e.labels.remove(&name);
        p.config["config"]["Labels"].as_object_mut().unwrap().remove(&name);
    });
    // A project whose static files have their own names.
    check("static-files", |p, e| {
        e.hashed_static = false;
        p.layers[4].files.remove(STATIC_MANIFEST);
    });
    // Made in the image, a second name of a file, and an image whose commit isn't here.
    check("application-files", |p, e| {
        put(p, "app/made/messages.mo", file(9));
        put(p, "app/staticfiles/b.css", file(9));
        let target = Some("app/manage.py".to_owned());
        put(p, "app/twin.py", Entry { kind: EntryKind::HardLink, target, ..file(0) });
        e.built_from.as_mut().unwrap().as_mut().unwrap().insert("app/twin.py".into(), "m".into());
    });
    // Another port, command and times are right if the Dockerfile has them.
    check("structure", |p, e| {
        e.dockerfile.0 =
            instructions("FROM a AS image\nEXPOSE 8080 ${MORE}\nEXPOSE 53/udp\nCMD serve it\n");
        p.config["config"]["ExposedPorts"] = json!({"8080/tcp": {}, "53/udp": {}});
        p.config["config"]["Cmd"] = json!(["/bin/sh", "-c", "serve it"]);
    });
    check("health-check", |p, e| {
        e.dockerfile.0 =
            instructions("FROM a AS image\nHEALTHCHECK --retries=7 CMD [\"/h\", \"x\"]\n");
        p.config["config"]["Healthcheck"] = json!({"Test": ["CMD", "/h", "x"], "Retries": 7});
    });
    check("structure", |p, e| {
        e.dockerfile.0 = instructions("FROM a AS image\nUSER 4321:1234\n");
        for path in &e.writable {
            put(p, &path[1..], Entry { uid: 4321, ..owned() });
        }
    });
    // Inherited from the base, of which the Dockerfile says nothing.
    check("health-check", |p, e| {
        e.dockerfile.0 = instructions("FROM a AS image\n");
        p.config["config"]["Healthcheck"] = json!({"Test": ["CMD", "/h"], "Retries": 9});
    });
    check("platform", |p, e| {
        p.config["architecture"] = json!("arm64");
        e.platform = Some("linux/arm64/v8".into());
    });
    check("no-secrets", |p, _| {
        put(p, "app/public.key", Entry { secret: Some("a key"), ..file(9) });
    });
    check("no-secrets", |p, _| {
        let path = format!("{VENV}/web/__pycache__/a.cpython-312.opt-2.pyc");
        p.layers[2].files.insert(path, Entry { secret: Some("a key"), ..file(9) });
    });
    // The base's own setuid files, tools and secrets are not ours.
    check("no-secrets", |p, _| {
        let entry = Entry { secret: Some("a key"), ..file(9) };
        p.layers[0].files.insert("etc/ssl/private/a.key".into(), entry);
    });
    check("read-only-code", |p, _| put(p, "app/media/x", owned()));
    // A folder may hand its group down.
    check("no-setuid", |p, _| put(p, "app/media", Entry { mode: 0o2775, ..owned() }));
    // Files that no Python compiles, and that nothing imports.
    check("bytecode", |p, _| {
        for n in 0..9 {
            put(p, &format!("app/a{n}.py"), file(9));
            put(p, &format!("app/__pycache__/a{n}.cpython-312.pyc"), file(9));
        }
        put(p, "app/template.py", file(9));
    });
    check("wasted", |p, _| {
        p.layers[4].files.insert(DPKG_STATUS.to_owned(), file(2_000_200));
    });
}

#[test]
fn evidence_is_cut_after_ten_lines() {
    let lines = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
    let shown = |count| match verdict(lines(count), "fine") {
        Verdict::Failed(lines) => (lines.len(), lines.last().cloned()),
        other => panic!("{other:?}"),
    };
    assert_eq!(verdict(Vec::new(), "fine"), Verdict::Passed("fine".into()));
    assert_eq!(shown(10), (10, Some("9".into())));
    assert_eq!(shown(13), (11, Some("and 3 more".into())));
}
