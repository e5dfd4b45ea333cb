//! Each check of the smoke test can fail: small broken images, one layer each on the good one, or
//! one changed setting; exactly the check that is meant must see it.

use super::bench::{Repository, on_podman};
use super::smoke::{named, smoke};
use super::tell::tell;
use std::collections::BTreeSet;
use std::sync::Mutex;

/// What is broken.
enum How {
    /// Lines of a Dockerfile after `FROM`, as root.
    Layer(&'static str),
    /// The lines of several, for several checks.
    Layers(String),
    /// A script that stands before the entrypoint.
    Wrapper(&'static str),
    /// An edit of the one file of `SETTINGS` that has the first text: what is replaced, by what.
    Setting(&'static str, &'static str),
    /// A variable in the environment of the smoke test.
    Variable(&'static str, &'static str),
}

use How::{Layer, Layers, Setting, Variable, Wrapper};

/// A page for every path, which looks healthy if only `/health/` is requested.
const PAGES: &str = r#"[ "$1" != web ] || exec python -c '
from http.server import BaseHTTPRequestHandler, HTTPServer
class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health/" else 301)
        self.end_headers()
        self.wfile.write(b"{\"status\": \"healthy\"}")
HTTPServer(("", 8000), Page).serve_forever()
'"#;

/// A beat as Celery has it, healthy whatever it does.
const PLAIN_BEAT: &str = r#"[ "$1" != beat ] || {
    (while :; do touch /tmp/container-heartbeat; sleep 1; done) &
    echo beat >/tmp/container-role
    exec celery -A "$APP_MODULE" beat --loglevel=info --pidfile= --schedule=/tmp/schedule
}"#;

/// A first process that ignores SIGTERM.
const DEAF: &str = r#"trap '' TERM
case $1 in web | gunicorn | worker | beat) "$ENTRYPOINT" "$@" & wait; exit ;; esac"#;

/// The check, and what breaks it. Of the checks on the image alone, all run on each image.
const BROKEN: &[(&str, How)] = &[
    ("labels", Layer("LABEL org.opencontainers.image.licenses=\"no licence\"")),
    (
        "identity",
        Layer("LABEL org.opencontainers.image.revision=0000000000000000000000000000000000000000"),
    ),
    ("user", Layer("USER root")),
    ("structure", Layer("VOLUME /app/media")),
    ("health-check", Layer("HEALTHCHECK NONE")),
    ("platform", Variable("XTASK_PLATFORM", "linux/s390x")),
    ("size", Setting("size_budget = \"500 MB\"", "size_budget = \"1 MB\"")),
    ("layers", Setting("[smoke]", "[smoke]\nlayers = 1")),
    (
        "wasted",
        Layer(
            "RUN head -c 3000000 /dev/urandom >/opt/large\nRUN head -c 3000000 /dev/urandom >/opt/large",
        ),
    ),
    (
        "no-secrets",
        Layer(
            "RUN printf -- '-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\\n' >/opt/note",
        ),
    ),
    ("no-build-tools", Layer("RUN cp /bin/true /usr/local/bin/gcc")),
    ("no-setuid", Layer("RUN cp /bin/true /usr/local/bin/own && chmod u+s /usr/local/bin/own")),
    ("read-only-code", Layer("RUN chown 1000 /app/manage.py")),
    ("static-files", Layer("RUN rm /app/staticfiles/staticfiles.json")),
    ("bytecode", Layer("RUN find /app -name '*.pyc' -delete")),
    ("application-files", Layer("RUN echo '# changed' >>/app/manage.py")),
    ("no-development-files", Layer("RUN install -D /dev/null /app/tests/test_it.py")),
    (
        "lock",
        Layer(
            "RUN cd /opt/venv/lib/python3*/site-packages && mkdir extra-1.0.dist-info && printf 'Name: extra\\nVersion: 1.0\\n' >extra-1.0.dist-info/METADATA",
        ),
    ),
    ("run-test", Layer("RUN rm /app/manage.py")),
    ("pass-through", Wrapper("echo banner")),
    ("role-words", Wrapper("[ \"$1\" != celery_beat ] || exit 3")),
    ("role-typo", Wrapper("[ \"$1\" != wbe ] || exit 3")),
    ("environment", Wrapper("[ \"${ENVIRONMENT:-}\" != prod ] || export ENVIRONMENT=dev")),
    ("secret-files", Wrapper("unset SECRET_KEY_FILE")),
    ("root-start", Wrapper("[ \"$(id -u)\" != 0 ] || exec \"$@\"")),
    ("bounded-wait", Wrapper("[ \"${DB_HOST:-}\" != nobody.invalid ] || exec sleep 600")),
    (
        "stop-waiting",
        Wrapper(
            "[ \"${DB_HOST:-}\" != nobody.invalid ] || { echo waiting for it; trap '' TERM; sleep 600; }",
        ),
    ),
    (
        "wrong-password",
        Wrapper(
            "case ${DB_PASSWORD:-} in *another) echo \"PostgreSQL: $DB_PASSWORD\"; exit 1 ;; esac",
        ),
    ),
    ("migrate-role", Wrapper("[ \"$1\" != migrate ] || exit 3")),
    ("waits-for-migrations", Wrapper("[ \"${DB_NAME:-}\" != template1 ] || exit 0")),
    ("web", Wrapper("[ \"$1\" != web ] || touch /app/state || exit 1")),
    ("engine-health", Layer("HEALTHCHECK NONE")),
    ("settings", Wrapper("[ \"$1\" != worker ] || export SECRET_KEY=django-insecure-known")),
    ("health-pages", Wrapper(PAGES)),
    ("http", Setting("[[smoke.http]]", "[[smoke.http]]\nstatus = 418")),
    ("gunicorn", Wrapper("[ \"$1\" != gunicorn ] || touch /var/tmp/state || exit 1")),
    ("migrate-once", Wrapper("echo Applying everything >&2")),
    ("arbitrary-uid", Wrapper("[ \"$(id -u)\" != 23456 ] || exit 1")),
    ("worker", Wrapper("[ \"$1\" != worker ] || touch /app/state || exit 1")),
    ("beat", Wrapper("[ \"$1\" != beat ] || touch /app/state || exit 1")),
    ("queues", Wrapper("export CELERY_QUEUES=celery")),
    // The schedule that it is asked for is another one than it sends.
    ("beat-tick", Wrapper("[ \"$1\" != beat ] || export MARK_INTERVAL=86400")),
    ("websocket", Setting("path = \"/ws/", "path = \"/nowhere/")),
    (
        "exec",
        Setting(
            "[[smoke.exec]]",
            "[[smoke.exec]]\nname = \"never\"\nrole = \"web\"\ncommand = [\"false\"]\n[[smoke.exec]]",
        ),
    ),
    ("command-lines", Wrapper("export CELERY_CONCURRENCY=1")),
    ("two-beats", Wrapper(PLAIN_BEAT)),
    (
        "corrupt-schedule",
        Wrapper("! grep -qs garbage \"$STATE_DIR/celerybeat-schedule\" || exit 1"),
    ),
    ("stop-web", Wrapper(DEAF)),
    ("stop-gunicorn", Wrapper(DEAF)),
    ("stop-worker", Wrapper(DEAF)),
    ("stop-beat", Wrapper(DEAF)),
    ("stopped-loops", Layer("HEALTHCHECK CMD [\"true\"]")),
    ("logs", Wrapper("[ \"$1\" != beat ] || echo text >&2")),
    ("database-gone", Wrapper(PAGES)),
];

/// The files that may hold a setting.
const SETTINGS: [&str; 2] = ["docker/image.toml", "app/tests/smoke.toml"];

/// Limits that only catch a hang, and shorter ones for what must run into them.
const LIMITS: (&str, &str) = ("[smoke]", "[smoke]\nstart_seconds = 45\nstop_seconds = 6");

/// The checks on the image alone.
fn of_image(repository: &Repository) -> Vec<String> {
    let list = repository.xtask(&["smoke-test", "--list", "--format", "json"]).good();
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let checks = list["checks"].as_array().unwrap().iter();
    let image = checks.filter(|check| check["lane"] == "image");
    image.map(|check| check["name"].as_str().unwrap().to_owned()).collect()
}

/// Every check is in the table, so that a new one is also seen to fail.
#[test]
fn the_table_of_broken_images_is_whole() {
    let repository = Repository::new();
    let list = repository.xtask(&["smoke-test", "--list"]).good();
    let all: BTreeSet<&str> =
        list.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    let broken: BTreeSet<&str> = BROKEN.iter().map(|(check, _)| *check).collect();
    assert_eq!(broken, all);
}

/// The cases: the checks that must fail, and why. What is broken by a layer and seen on the image alone
/// is one image; with `XTASK_TEST_EACH` (`--nightly`) each case is one.
fn cases(image_checks: &[String]) -> Vec<(Vec<&'static str>, &'static How)> {
    let together = |check: &str, how: &How| {
        // An image that names another commit, as one of the others does, is compared with nothing.
        let seen = image_checks.iter().any(|name| name == check && name != "application-files");
        seen && matches!(how, Layer(_)) && std::env::var_os("XTASK_TEST_EACH").is_none()
    };
    let (layers, others): (Vec<_>, Vec<_>) =
        BROKEN.iter().partition(|(check, how)| together(check, how));
    let mut cases: Vec<_> = others.iter().map(|(check, how)| (vec![*check], how)).collect();
    if !layers.is_empty() {
        let line = |how: &How| if let Layer(lines) = how { *lines } else { "" };
        let lines: Vec<&str> = layers.iter().map(|(_, how)| line(how)).collect();
        let how = Box::leak(Box::new(Layers(lines.join("\n"))));
        cases.insert(0, (layers.iter().map(|(check, _)| *check).collect(), how));
    }
    cases
}

/// In CI on Podman alone, since the checks are the same code on both engines; and there a check that
/// sees the damage meant for another one on the same image is only told from it with each alone.
#[test]
fn each_check_sees_what_it_is_for_and_no_other_does() {
    if !on_podman() && std::env::var_os("XTASK_TEST_EACH").is_none() {
        return tell("not run: on Podman; on Docker in `--nightly`: the checks are the same code");
    }
    let repository = Repository::new();
    repository.edit("docker/image.toml", LIMITS.0, LIMITS.1);
    repository.commit("Limits that what must run into them reaches sooner");
    repository.build(&[]);
    repository.xtask(&["setup", "--services"]).good();
    let image_checks = of_image(&repository);
    let cases = cases(&image_checks);
    let work = Mutex::new(cases.iter());
    let (wrong, again) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let next = work.lock().unwrap().next();
                    let Some((checks, how)) = next else { return };
                    // A second look if the first was wrong: on a busy machine a limit may end what was
                    // to be seen.
                    let look = || {
                        let start = std::time::Instant::now();
                        let found = try_one(&repository, &image_checks, checks, how);
                        let mark = if found.is_ok() { "seen" } else { "NOT SEEN" };
                        let checks = checks.join(" ");
                        println!(
                            "{checks:<22} {mark} after {:.0} s",
                            start.elapsed().as_secs_f64()
                        );
                        found
                    };
                    let Err(first) = look() else { continue };
                    if look().is_ok() {
                        again.lock().unwrap().push(checks.join(" "));
                    } else {
                        wrong.lock().unwrap().push(first);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let again = again.into_inner().unwrap();
    again.iter().for_each(|checks| tell(&format!("second try: {checks}")));
    // More of them is no busy machine, but a check that sometimes sees nothing.
    assert!(again.len() <= cases.len() / 10, "{again:?}");
}

/// Breaks one thing, and says what is not as it should be.
fn try_one(
    repository: &Repository,
    image_checks: &[String],
    checks: &[&str],
    how: &How,
) -> Result<(), String> {
    let check = checks[0];
    // A copy with its own settings; the image of one is the image of all.
    let copy = repository.twin();
    let good = Repository::local("prod");
    let broken = Repository::local(&format!("broken-{check}"));
    let mut image = good.clone();
    let mut variable = None;
    match how {
        Layer(_) | Layers(_) => {
            let lines = match how {
                Layers(lines) => lines.as_str(),
                Layer(lines) => lines,
                _ => "",
            };
            derive(&copy, &broken, &format!("FROM {good}\nUSER 0\n{lines}\n"), lines);
            image.clone_from(&broken);
        }
        Wrapper(script) => {
            let script = format!(
                "#!/bin/sh\nENTRYPOINT=/usr/local/lib/container/entrypoint.sh\n{script}\nexec \"$ENTRYPOINT\" \"$@\"\n"
            );
            copy.write("target/broken/wrapper", &script);
            let lines =
                "COPY --chmod=0755 wrapper /wrapper\nENTRYPOINT [\"/wrapper\"]\nCMD [\"web\"]";
            derive(&copy, &broken, &format!("FROM {good}\n{lines}\n"), lines);
            image.clone_from(&broken);
        }
        Setting(from, to) => {
            let has = |file: &&str| copy.read(file).contains(&format!("\n{from}"));
            let file = SETTINGS.into_iter().find(has).expect(from);
            copy.write(file, &copy.read(file).replacen(from, to, 1));
        }
        Variable(name, value) => variable = Some((*name, *value)),
    }
    // Also one that must still hold.
    let mut names: Vec<&str> = vec![check];
    if image_checks.iter().any(|name| name == check) {
        names = image_checks.iter().map(String::as_str).collect();
        // A changed setting is a changed checkout.
        names.retain(|name| *name != "identity" || !matches!(how, Setting(..)));
    } else if check != "pass-through" {
        names.push("pass-through");
    }
    let mut words = vec![image.as_str()];
    words.extend(names.iter().flat_map(|name| ["--only", name]));
    let (code, result) = match variable {
        Some((name, value)) => super::smoke::smoke_with(&copy, &words, &[(name, value)]),
        None => smoke(&copy, &words),
    };
    let failed: BTreeSet<String> = named(&result, "failed").into_iter().collect();
    let expected: BTreeSet<String> = checks.iter().map(|check| (*check).to_owned()).collect();
    if code != Some(8) || failed != expected {
        return Err(format!("{checks:?}: exit {code:?}, failed {failed:?}: {result:#}"));
    }
    Ok(())
}

/// An image of one or two layers more.
fn derive(repository: &Repository, name: &str, text: &str, lines: &str) {
    let user =
        if lines.contains("USER") || !text.contains("USER 0") { "" } else { "USER 1000:1000\n" };
    // No part of the checkout: the image must be that of the commit.
    let file = "target/broken/Dockerfile";
    repository.write(file, &format!("{text}{user}"));
    let of_podman: &[&str] = if on_podman() { &["--format=docker", "--pull=never"] } else { &[] };
    let words = [&["build"], of_podman, &["--file", file, "--tag", name]].concat();
    // They stay until the laboratory's store goes: removing one takes layers from the build of
    // another. One at a time, and again after this error: when a build has done its work, Podman
    // 4.3 trips over other containers that come and go.
    static BUILDS: Mutex<()> = Mutex::new(());
    let _build = BUILDS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for _ in 0..4 {
        let ended = repository.engine(&[&words[..], &["target/broken"]].concat());
        if !ended.err.contains("identifier is not a container") {
            ended.good();
            return;
        }
        tell(&format!("second try: the build of {name}"));
    }
    panic!("{name}: no build of it ended well");
}
