//! Exit codes, and the one line with its help that each failure is.

use super::checkout::{Checkout, source};
use super::ended::Ended;
use super::program::program;
use std::process::Command;

#[track_caller]
fn check(checkout: &Checkout, words: &[&str], code: i32, expected: &[&str]) {
    let ended = checkout.run(words);
    assert_eq!(ended.code, Some(code), "{words:?}: {}{}", ended.out, ended.err);
    for text in expected {
        assert!(ended.err.contains(text), "{words:?}: {}", ended.err);
    }
}

#[test]
fn help_is_a_result_and_a_wrong_word_is_exit_2() {
    let checkout = Checkout::new();
    let help = checkout.run(&["--help"]);
    assert_eq!((help.code, help.err.as_str()), (Some(0), ""));
    // On the smallest terminal.
    assert!(help.out.lines().count() < 24 && help.out.lines().all(|line| line.len() <= 80));
    let all = checkout.run(&["help", "--all"]).good();
    assert!(all.contains("Exit codes:"), "{all}");
    let (_, listed) = all.split_once("\nCommands:\n").unwrap();
    let listed = listed.lines().take_while(|line| !line.is_empty());
    for command in listed.map(|line| line.split_whitespace().next().unwrap()) {
        let manual = checkout.run(&[command, "--help"]).good();
        assert_eq!(checkout.run(&["help", command]).good().trim_end(), manual.trim_end());
        assert!(manual.contains("\nExamples:\n") || command == "help", "{manual}");
    }
    check(&checkout, &["help", "bulid"], 2, &["there is no command `bulid`"]);
    check(&checkout, &["bulid"], 2, &["build"]);
    let contradictions: &[&[&str]] = &[
        &["build", "--base", "a", "--python", "3.12"],
        // An option that another one needs, next to what forbids that one.
        &["init", "--update", "--git", "https://git.example/x"],
        &["init", "--update", "--set", "app.folder=web"],
        &["context", "app/manage.py", "--dev"],
        &["context", "app/manage.py", "--expect", "0"],
    ];
    for words in contradictions {
        check(&checkout, words, 2, &["cannot be used with"]);
    }
    check(&checkout, &["build", "--secret", "id=x"], 2, &["id=NAME,src=FILE"]);
    check(&checkout, &["build", "--python", "2"], 2, &["`2` is no version of Python, as 3.12"]);
    check(&checkout, &["build", "--base", ""], 2, &["a value is required for '--base <REF>'"]);
    check(&checkout, &["verify", ""], 2, &["a value is required for '<IMAGE>'"]);
    check(&checkout, &["build", "--build-arg", "BASE_IMAGE=a"], 2, &["use --base instead"]);
    check(
        &checkout,
        &["label", "--get", "nothing"],
        2,
        &["error: printing `nothing`", "help: one of describe,"],
    );
    check(&checkout, &["context", "--format", "env"], 2, &["only `label` has it"]);
    check(&checkout, &["-C", "/no/such/folder", "label"], 2, &["error: entering the folder"]);
}

/// What bash offers after a line.
#[test]
fn bash_completes_commands_options_and_values() {
    let checkout = Checkout::new();
    checkout.write("completion", &checkout.run(&["help", "--completion"]).good());
    let check = |line: &str, expected: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let script = format!(
            ". ./completion\nCOMP_WORDS=({}) COMP_CWORD={}\n_cargo_with_xtask\necho \"${{COMPREPLY[*]}}\"",
            words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
            words.len() - 1
        );
        let mut bash = Command::new("bash");
        bash.args(["-c", &script]).current_dir(checkout.path(""));
        assert_eq!(Ended::from(bash.output().unwrap()).good().trim(), expected, "{line}");
    };
    check("cargo xtask sm", "smoke-test");
    check("cargo xtask s", "setup smoke-test squash");
    check("cargo xtask build --p", "--prod --python --pull --platform");
    check("cargo xtask label --g", "--get");
    check("cargo xtask build --engine ", "podman docker");
    check("cargo xtask build --engine d", "docker");
    check("cargo xtask export ", "compose quadlet");
    check("cargo xtask smoke-test x", "");
    check("cargo xtask nothing ", "");
}

/// `test` and `bench` are in the help of this repository, and of no other.
#[test]
fn tests_and_benchmarks_are_offered_by_the_checkout_that_has_them() {
    let adopter = Checkout::new();
    let help = adopter.run(&["help", "--all"]).out;
    assert!(!help.contains("\n  test ") && !help.contains("\n  bench "), "{help}");
    check(
        &adopter,
        &["test", "--all"],
        2,
        &["no xtask/proof/Cargo.toml", "help: only the workflow"],
    );
    for words in [&["help", "--all"][..], &["test", "--help"], &["bench", "--quick", "--help"]] {
        let ours = Command::new(program()).args(words).current_dir(source("")).output().unwrap();
        let ours = Ended::from(ours);
        let expected = match words {
            ["help", ..] => "\n  test ",
            ["test", ..] => "--all",
            _ => "--quick",
        };
        assert!(ours.code == Some(0) && ours.out.contains(expected), "{}{}", ours.out, ours.err);
    }
}

#[test]
fn every_mistake_of_the_configuration_is_named_with_its_line() {
    let checkout = Checkout::new();
    checkout.write("docker/image.toml", "[image]\nname = 1\ncolour = \"red\"\n");
    check(
        &checkout,
        &["label"],
        2,
        &[
            "error: reading docker/image.toml: ",
            "help: docker/image.toml:2: ",
            "help: docker/image.toml:3: ",
        ],
    );
}

#[test]
fn label_works_in_any_git_checkout() {
    let checkout = Checkout::new();
    let revision = checkout.git(&["rev-parse", "HEAD"]);
    assert_eq!(checkout.run(&["label", "--get", "revision"]).out, format!("{revision}\n"));
    checkout.git(&["tag", "v1.2.3"]);
    assert_eq!(checkout.run(&["label", "--get", "version"]).out, "v1.2.3\n");
    checkout.write("app/secret_free.py", "x\n");
    assert_eq!(checkout.run(&["label", "--get", "version"]).out, "v1.2.3-dirty\n");
    assert_eq!(checkout.run(&["label", "--get", "describe"]).out, "v1.2.3\n");
    assert_eq!(checkout.run(&["label", "--get", "tags"]).out, "v1.2.3\n");
    let env = checkout.run(&["label", "--format", "env"]);
    assert!(env.out.contains("\nVERSION=v1.2.3-dirty\n"), "{}", env.out);
    std::fs::remove_dir_all(checkout.path("docker")).unwrap();
    let ended = checkout.run(&["label", "--get", "version"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), "v1.2.3-dirty\n"));
    check(&checkout, &["build"], 2, &["error: looking for docker/image.toml"]);
    std::fs::remove_dir_all(checkout.path(".git")).unwrap();
    check(
        &checkout,
        &["label"],
        3,
        &["error: looking for a git repository", "help: run this inside a checkout"],
    );
}

#[test]
fn a_machine_without_an_engine_is_exit_4_and_a_dry_run_says_what_it_assumed() {
    let checkout = Checkout::new();
    check(
        &checkout,
        &["build"],
        4,
        &["error: looking for an engine: no Podman or Docker on PATH", "help: `cargo xtask setup`"],
    );
    check(&checkout, &["build", "--engine", "docker"], 4, &["no Docker on PATH"]);
    let doctor = checkout.run(&["doctor"]);
    assert_eq!(doctor.code, Some(4));
    assert!(doctor.out.contains("BAD engine"), "{}", doctor.out);
    let dry = checkout.run(&["build", "--dry-run"]);
    assert_eq!(dry.code, Some(0), "{}", dry.err);
    assert!(
        dry.err.contains("assumed: Podman") && dry.out.contains(" podman build "),
        "{}",
        dry.out
    );
    // One that is asked for by name is never assumed.
    check(&checkout, &["build", "--dry-run", "--engine", "docker"], 4, &["no Docker on PATH"]);
    let file = std::fs::read_to_string(checkout.path("docker/image.toml")).unwrap();
    checkout.write("docker/image.toml", &(file + "\n[engine]\nname = \"docker\"\n"));
    check(&checkout, &["build", "--dry-run"], 4, &["no Docker on PATH (docker/image.toml asks"]);
    assert!(!checkout.path("target/xtask/image-id").exists());
}

#[test]
fn a_secret_in_the_build_context_is_exit_8_before_anything_runs() {
    let checkout = Checkout::new();
    // In parts, so that no scanner takes this file for a leak.
    checkout.write("app/config.py", &format!("KEY = '{}ABCDEFGH12345678'\n", "AKIA"));
    check(&checkout, &["build"], 8, &["1 file looks like a secret", "app/config.py"]);
    check(&checkout, &["context"], 8, &["app/config.py"]);
    // Examples of documentation are none; build arguments and labels are looked at as well.
    checkout.write("app/config.py", "KEY = 'AKIAIOSFODNN7EXAMPLE'\n");
    check(&checkout, &["context"], 0, &[]);
    let argument = ["build", "--build-arg", "NPM_TOKEN=abcdef"];
    check(&checkout, &argument, 8, &["--build-arg NPM_TOKEN: the name of a secret", "--secret"]);
    let label = ["build", "--label", "from=https://me:word@git.example/"];
    check(&checkout, &label, 8, &["--label from: a URL with a password"]);
}

#[test]
fn the_environment_is_over_the_file_and_the_command_line_over_both() {
    let checkout = Checkout::new();
    let base = |words: &[&str], environment: &[(&str, &str)]| {
        let words = [&["build", "--dry-run"], words].concat();
        let mut command = checkout.command(&words);
        let output = command.envs(environment.iter().copied()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let start = text.find("BASE_IMAGE=").unwrap() + "BASE_IMAGE=".len();
        text[start..].split(' ').next().unwrap().to_owned()
    };
    assert_eq!(base(&[], &[]), "docker.io/library/python:3.12-slim-bookworm");
    assert_eq!(base(&[], &[("XTASK_BASE", "a.example/b:1")]), "a.example/b:1");
    assert_eq!(
        base(&["--base", "a.example/c:2"], &[("XTASK_BASE", "a.example/b:1")]),
        "a.example/c:2"
    );
    assert_eq!(base(&["--python", "3.13"], &[]), "docker.io/library/python:3.13-slim-bookworm");
}

#[test]
fn label_says_what_the_image_would_be_called_and_why() {
    let checkout = Checkout::new();
    let short = checkout.git(&["rev-parse", "--short=12", "HEAD"]);
    let names = |words: &[&str]| checkout.run(&[&["label", "--get", "image_tags"], words].concat());
    assert_eq!(names(&[]).out, format!("sha-{short} main\n"));
    checkout.git(&["tag", "v1.2.9"]);
    assert_eq!(names(&[]).out, format!("1.2.9 sha-{short} 1.2 1 latest\n"));
    checkout.git(&["commit", "--quiet", "--allow-empty", "--message", "second"]);
    checkout.git(&["tag", "v2.0.0"]);
    checkout.git(&["checkout", "--quiet", "--detach", "HEAD~1"]);
    assert_eq!(names(&[]).out, format!("1.2.9 sha-{short} 1.2 1\n"));
    let text = checkout.run(&["label"]).out;
    for line in [
        "  1.2.9                 git tag v1.2.9\n",
        "  1.2                   1.2.9 is the highest 1.2.x\n",
        "  not latest                2.0.0 is higher than 1.2.9 (git tag v2.0.0)\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
    let json = checkout.run(&["label", "--format", "json"]).out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["tags"], serde_json::json!(["v1.2.9"]));
    assert_eq!(json["releases"][0]["version"], "1.2.9");
    let first = serde_json::json!({
        "name": "1.2.9", "kind": "immutable", "why": "git tag v1.2.9",
    });
    assert_eq!(json["image_tags"][0], first);
    assert_eq!(json["image_tags_left_out"][0]["name"], "latest");
    // A pipeline of another commit has no say; one of this commit has.
    let revision = checkout.git(&["rev-parse", "HEAD"]);
    let in_ci = |variables: &[(&str, &str)]| {
        let mut command = checkout.command(&["label", "--get", "image_tags"]);
        let ended = command.envs(variables.iter().copied()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (text(ended.stdout), text(ended.stderr))
    };
    let github = ("GITHUB_ACTIONS", "true");
    let other = [github, ("GITHUB_REF", "refs/heads/x"), ("GITHUB_SHA", &"a".repeat(40))];
    let (out, err) = in_ci(&other);
    assert_eq!(out, format!("1.2.9 sha-{short} 1.2 1\n"));
    assert!(err.starts_with("warning: this pipeline is that of the commit aaaa"), "{err}");
    let (out, err) = in_ci(&[github, ("GITHUB_REF", "refs/heads/x"), ("GITHUB_SHA", &revision)]);
    assert_eq!((out.as_str(), err.as_str()), (format!("sha-{short} x\n").as_str(), ""));
    let (out, _) = in_ci(&[github, ("XTASK_CI", "none"), ("GITHUB_REF", "refs/heads/x")]);
    assert_eq!(out, format!("1.2.9 sha-{short} 1.2 1\n"));
    checkout.write(
        "docker/image.toml",
        &format!(
            "{}\n[tags]\nprefix = \"api/\"\n",
            std::fs::read_to_string(checkout.path("docker/image.toml")).unwrap()
        ),
    );
    checkout.git(&["commit", "--quiet", "--all", "--message", "third"]);
    checkout.git(&["tag", "api/v3.0.0"]);
    let third = checkout.git(&["rev-parse", "--short=12", "HEAD"]);
    assert_eq!(names(&[]).out, format!("3.0.0 sha-{third} 3.0 3 latest\n"));
}

#[test]
fn a_push_without_a_registry_or_with_a_wrong_tag_is_exit_2_before_any_engine_is_asked() {
    let checkout = Checkout::new();
    let help = "help: name one with --registry registry.example/team/NAME";
    check(&checkout, &["push"], 2, &["error: choosing the repository: none is named", help]);
    let place = ["push", "--registry", "registry.example/team/app"];
    let wrong = [&place[..], &["--tag", "a/b"]].concat();
    check(&checkout, &wrong, 2, &["error: pushing as \"a/b\": it is no tag"]);
    check(&checkout, &["push", "--registry", "team/app"], 2, &["it names no registry"]);
    check(&checkout, &place, 4, &["no Podman or Docker on PATH"]);
    let cached = ["build", "--dry-run", "--cache", "registry.example/team/cache"];
    let ended = checkout.run(&cached);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let words = "--cache-from=registry.example/team/cache --cache-to=registry.example/team/cache";
    assert!(ended.out.contains(words), "{}", ended.out);
}
