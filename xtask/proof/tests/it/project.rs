//! Missing parts of a project are reported before anything runs.

use super::checkout::Checkout;
use super::fake_engine::with_podman;

#[test]
fn a_build_names_all_that_is_missing_before_an_engine_runs() {
    let checkout = with_podman();
    checkout
        .write("app/uv.lock", "[[package]]\nname = \"celery\"\n\n[[package]]\nname = \"daphne\"\n");
    std::fs::remove_file(checkout.path("app/pyproject.toml")).unwrap();
    for words in [&["build"][..], &["build", "--dry-run"]] {
        let ended = checkout.run(words);
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{}", ended.err);
        let expected = "error: looking at the project in app/: 2 things are missing\n\
            help: app/pyproject.toml isn't in the build context: uv init --bare app\n\
            help: app/uv.lock has no gunicorn, which the role gunicorn runs: uv add --project app \
            gunicorn, or leave gunicorn out of [smoke] roles\n";
        assert_eq!(ended.err, expected);
    }
    assert!(!checkout.path("calls").exists());
}

#[test]
fn what_may_be_elsewhere_is_a_warning() {
    let checkout = with_podman();
    for file in ["asgi", "celery", "settings", "wsgi"] {
        checkout.write(&format!("app/senex_trader/{file}.py"), "");
    }
    let ended = checkout.run(&["build"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let expected = "warning: no file in app/senex_trader/ sets STATIC_ROOT, which collectstatic needs: \
                    STATIC_ROOT = BASE_DIR / \"staticfiles\"\n";
    assert!(ended.err.contains(expected), "{}", ended.err);
}

#[test]
fn doctor_tells_the_one_from_the_other() {
    let check = |change: fn(&Checkout), line: &str, bad: bool| {
        let checkout = with_podman();
        change(&checkout);
        let ended = checkout.run(&["doctor"]);
        assert!(ended.out.contains(line), "{}{}", ended.out, ended.err);
        assert_eq!(ended.err.contains("would not work: project"), bad, "{}", ended.err);
    };
    check(|_| (), "ok  project         app/senex_trader: files, lock and roles are there\n", false);
    check(
        |checkout| std::fs::remove_file(checkout.path("app/uv.lock")).unwrap(),
        "BAD project         the lock file app/uv.lock isn't in the build context\n",
        true,
    );
    check(
        |checkout| std::fs::remove_file(checkout.path("app/senex_trader/settings.py")).unwrap(),
        "    project         neither app/senex_trader/settings.py nor ",
        false,
    );
    let key = |checkout: &Checkout| {
        checkout.write(
            "app/notes.txt",
            concat!("-----BEGIN RSA ", "PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n"),
        );
    };
    check(key, "BAD secrets         ", false);
}

/// The two files of the configuration each have their own mistakes.
#[test]
fn a_mistake_in_what_the_project_asks_of_a_smoke_test_is_named_by_its_line() {
    let checkout = with_podman();
    checkout.write("app/tests/smoke.toml", "[smoke]\nlayers = 3\n");
    let ended = checkout.run(&["build"]);
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    assert!(
        ended.err.starts_with(
            "error: reading app/tests/smoke.toml: 1 mistake\nhelp: app/tests/smoke.toml:2: [smoke]: unknown key `layers`"
        ),
        "{}",
        ended.err
    );
}
