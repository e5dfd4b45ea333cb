//! `dev` on a Podman that only plays one: what it is asked for, and how the command ends.

use super::checkout::Checkout;
use super::fake_engine;

/// The services have an address, a command beside the site ends with 7.
fn with_podman() -> Checkout {
    let checkout = fake_engine::with_podman();
    let script = fake_engine::PODMAN
        .replace("\"run \"*) exit 0 ;;", "\"run \"*) case \"$*\" in *-command-*) exit 7 ;; esac ;;")
        .replace(
            "*python:3.12*) echo",
            "*/postgres:16|*/redis:7) echo '[{\"Id\":\"cd\",\"Config\":{}}]' ;;\n            *python:3.12*) echo",
        )
        .replace("\"history \"*)", "\"container inspect\") echo 10.0.0.2 ;;\n    \"history \"*)");
    assert!(script.contains("exit 7") && script.contains("10.0.0.2"));
    checkout.program("podman", &script);
    checkout
}

fn calls(checkout: &Checkout) -> Vec<String> {
    let text = std::fs::read_to_string(checkout.path("calls")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_dry_run_is_a_script_of_all_that_would_run() {
    let checkout = with_podman();
    let ended = checkout.run(&["dev", "--dry-run"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let script = ended.out;
    for expected in [
        " build --format=docker ",
        " network create --label dev.senex.xtask=1 --label dev.senex.xtask.dev=",
        " volume create --label dev.senex.xtask=1 ",
        "-data:/var/lib/postgresql/data ",
        "postgres=$(",
        " --add-host postgres:\"$postgres\" --add-host redis:\"$redis\" ",
        "/app:/app ",
        " python /usr/local/lib/container/develop.py web python manage.py runserver --noreload ",
        " python /usr/local/lib/container/develop.py worker\n",
        " python /usr/local/lib/container/develop.py beat\n",
    ] {
        assert!(script.contains(expected), "{expected}: {script}");
    }
    assert!(!calls(&checkout).iter().any(|call| call.contains("--detach")), "{script}");
    let script = checkout.run(&["dev", "--dry-run", "--test", "-q", "-k", "one two"]).out;
    let last = script.lines().last().unwrap();
    assert!(last.ends_with(" pytest -p no:cacheprovider -q -k 'one two'"), "{last}");
    assert!(last.contains(" --rm ") && last.contains("--unset=DJANGO_SETTINGS_MODULE"), "{last}");
}

#[test]
fn a_command_s_exit_status_is_passed_on_and_the_services_go_with_it() {
    let checkout = with_podman();
    let ended = checkout.run(&["dev", "--", "python", "manage.py", "shell"]);
    assert_eq!(ended.code, Some(7), "{}", ended.err);
    assert!(ended.out.is_empty(), "{}", ended.out);
    let calls = calls(&checkout);
    let started = calls.iter().filter(|call| call.starts_with("run ")).skip_while(|call| {
        // The proof that the engine works.
        !call.contains("-postgres")
    });
    assert!(started.count() >= 2, "{calls:?}");
    let command = calls.iter().find(|call| call.contains("-command-")).unwrap();
    assert!(command.contains("--interactive ") && !command.contains("--tty"), "{command}");
    assert!(command.ends_with(" sh python manage.py shell"), "{command}");
}

#[test]
fn what_runs_is_told_where_nothing_does() {
    let checkout = with_podman();
    assert_eq!(checkout.run(&["dev", "status"]).out, "nothing runs\ndata        none\n");
    let json = checkout.run(&["dev", "status", "--format", "json"]).out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json, serde_json::json!({ "roles": [], "data": false, "url": null }));
    assert_eq!(checkout.run(&["dev", "stop"]).out, "nothing was running\n");
    let check = |words: &[&str], code, expected: &str| {
        let ended = checkout.run(words);
        assert_eq!(ended.code, Some(code), "{words:?}: {}", ended.err);
        assert!(ended.err.contains(expected), "{words:?}: {}", ended.err);
    };
    check(&["dev", "logs", "web"], 2, "help: `cargo xtask dev` starts the site");
    check(&["dev", "--detach", "--test"], 2, "cannot be used with");
    check(&["dev", "--detach", "--", "bash"], 2, "cannot be used with");
    check(&["dev", "restart"], 2, "restart");
}

#[test]
fn the_development_image_is_built_when_its_files_change_and_only_then() {
    let checkout = with_podman();
    let built = |says: &str| {
        let ended = checkout.run(&["dev", "--", "true"]);
        assert!(ended.err.contains(says), "{says}: {}", ended.err);
        calls(&checkout).iter().filter(|call| call.starts_with("build ")).count()
    };
    assert_eq!(built("it isn't here"), 1);
    assert_eq!(built(""), 1);
    checkout.write("app/manage.py", "two = 2\n");
    assert_eq!(built(""), 1);
    checkout.write("app/uv.lock", "another = 1\n");
    assert_eq!(built("building the development image anew: app/uv.lock changed"), 2);
}
