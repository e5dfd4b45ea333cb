//! `--commit`: a commit is read from git, whatever the working tree holds.

use super::checkout::Checkout;
use super::fake_engine::with_podman;
use serde_json::Value;
use std::fs;

/// A checkout whose PATH has git.
fn with_git() -> Checkout {
    let checkout = with_podman();
    checkout.link_git();
    checkout
}

fn context(checkout: &Checkout, words: &[&str]) -> Value {
    let ended = checkout.run(&[&["context", "--format", "json"], words].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    serde_json::from_str(&ended.out).unwrap()
}

fn refused(checkout: &Checkout, name: &str, expected: &[&str]) {
    for command in ["build", "context"] {
        let ended = checkout.run(&[command, "--commit", name]);
        assert_eq!((ended.code, ended.out.as_str()), (Some(3), ""), "{}", ended.err);
        expected.iter().for_each(|text| assert!(ended.err.contains(text), "{text}: {}", ended.err));
    }
    let left = fs::read_dir(checkout.path("target/xtask")).unwrap().flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("commit-")), "{left:?}");
}

#[test]
fn a_commit_is_built_from_git() {
    let checkout = with_git();
    let clean = context(&checkout, &[]);
    checkout.write("app/manage.py", "changed\n");
    checkout.write("app/new.py", "");
    fs::remove_file(checkout.path("app/uv.lock")).unwrap();
    checkout.write("docker/image.toml", "broken =");
    checkout.write(".dockerignore", "");
    fs::write(checkout.path(".git/index"), "broken").unwrap();
    assert_eq!(context(&checkout, &["--commit", "HEAD"]), clean);
    let ended = checkout.run(&["build", "--commit", "HEAD", "--format", "json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(report["context_changes"], serde_json::json!([]));
    assert_eq!(report["revision"], checkout.git(&["rev-parse", "HEAD"]).as_str());
    let copy =
        |path: &str| fs::read_to_string(checkout.path("target/xtask/context/tree").join(path));
    assert_eq!(copy("app/manage.py").unwrap(), "one = 1\n");
    assert!(copy("app/new.py").is_err());
    refused(&checkout, "v9", &["reading the commit v9", "git log --all"]);
}

#[test]
fn what_is_not_in_this_clone_is_refused_by_name() {
    let checkout = with_git();
    let content = "large\n".repeat(100);
    let id = "27eaef0ecb468da6db1c3d4486dd662597f804293e82057f86eb55f00e1a71c4";
    let pointer = format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{id}\nsize {}\n",
        content.len()
    );
    checkout.write(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
    checkout.write("app/model.bin", &pointer);
    checkout.git(&["add", "--all"]);
    checkout.git(&["commit", "--quiet", "--message", "model"]);
    refused(&checkout, "HEAD", &["app/model.bin: kept by Git LFS", "git lfs fetch"]);
    // Where Git LFS keeps it; a damaged one is none.
    let object = format!(".git/lfs/objects/{}/{}/{id}", &id[..2], &id[2..4]);
    checkout.write(&object, &content.to_uppercase());
    refused(&checkout, "HEAD", &["app/model.bin: kept by Git LFS"]);
    checkout.write(&object, &content);
    let files = context(&checkout, &["--commit", "HEAD"])["files"].clone();
    let file = files.as_array().unwrap().iter().find(|file| file["path"] == "app/model.bin");
    assert_eq!(file.unwrap()["bytes"], content.len());
    // A link whose target reads like a pointer is a link: nothing is written where it leads.
    let victim = checkout.path("home/victim");
    fs::write(&victim, "original").unwrap();
    let folder = checkout.path(&format!("app/{}", pointer.replace("//", "/")));
    fs::create_dir_all(folder.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(&victim, &folder).unwrap();
    std::os::unix::fs::symlink(&pointer, checkout.path("app/evil.bin")).unwrap();
    checkout.git(&["add", "--all"]);
    checkout.git(&["commit", "--quiet", "--message", "evil"]);
    checkout.run(&["context", "--commit", "HEAD"]);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "original");
    checkout.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    // A submodule; one outside of the build context is no matter.
    let revision = checkout.git(&["rev-parse", "HEAD"]);
    for (path, inside) in [("other/lib", false), ("app/lib", true)] {
        let link = format!("160000,{revision},{path}");
        checkout.git(&["update-index", "--add", "--cacheinfo", &link]);
        checkout.git(&["commit", "--quiet", "--message", path]);
        if inside {
            refused(&checkout, "HEAD", &["app/lib: a submodule", "--recurse-submodules"]);
        } else {
            context(&checkout, &["--commit", "HEAD"]);
        }
    }
}

/// The first line of a dry run's script makes the snapshot of the same files, or fails.
#[test]
fn a_snapshot_is_the_expected_one_or_none() {
    let checkout = with_git();
    let sha256 = context(&checkout, &[])["sha256"].as_str().unwrap().to_owned();
    let dry = checkout.run(&["build", "--dry-run"]);
    let line = format!("cargo xtask context --snapshot --expect {sha256}\n");
    assert!(dry.out.contains(&line), "{}", dry.out);
    assert!(!checkout.path("target/xtask/context").exists(), "a dry run writes nothing");
    let words = ["context", "--snapshot", "--expect", &sha256];
    assert_eq!(checkout.run(&words).code, Some(0));
    assert!(checkout.path("target/xtask/context/tree/app/manage.py").is_file());
    checkout.write("docker/Dockerfile", "FROM scratch\n");
    let ended = checkout.run(&words);
    assert_eq!(ended.code, Some(10), "{}", ended.err);
    assert!(ended.err.contains("a file was changed since"), "{}", ended.err);
    for words in [&["context", "--expect", "x"][..], &["context", "app", "--snapshot"]] {
        assert_eq!(checkout.run(words).code, Some(2), "{words:?}");
    }
}

/// Nobody waits minutes to hear that a container can't start.
#[test]
fn what_can_not_start_is_refused_before_anything_runs() {
    use std::os::unix::fs::PermissionsExt as _;
    let checkout = with_git();
    let entrypoint = checkout.path("docker/entrypoint.sh");
    let check = |text: &str, mode: u32, expected: &str| {
        checkout.write("docker/entrypoint.sh", text);
        fs::set_permissions(&entrypoint, fs::Permissions::from_mode(mode)).unwrap();
        let ended = checkout.run(&["build"]);
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{}", ended.err);
        assert!(ended.err.contains(expected), "{}", ended.err);
        assert!(!checkout.path("calls").exists());
    };
    check("#!/bin/sh\r\n", 0o755, "help: docker/entrypoint.sh: its line `#!` ends in CR");
    check("#!/bin/sh\n", 0o644, "chmod +x docker/entrypoint.sh");
    check("exec web\n", 0o755, "it is no program");
}

/// libgit2 knows none of these, and would call a tree dirty that git calls clean.
#[test]
fn git_configured_by_the_environment_is_asked_itself() {
    use std::os::unix::fs::PermissionsExt as _;
    let checkout = with_git();
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(checkout.path("app/manage.py"), mode).unwrap();
    checkout.write("no-modes", "[core]\n\tfileMode = false\n");
    checkout.git(&["config", "--unset", "core.fileMode"]);
    let file = checkout.path("no-modes").display().to_string();
    let version = |environment: &[(&str, &str)]| {
        let mut command = checkout.command(&["label", "--get", "version"]);
        let output = command.envs(environment.iter().copied()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), output.stderr)
    };
    let (_, dirty, _) = version(&[]);
    assert!(dirty.ends_with("-dirty\n"), "{dirty}");
    let clean = dirty.replace("-dirty", "");
    let count = [
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "core.fileMode"),
        ("GIT_CONFIG_VALUE_0", "false"),
    ];
    let global = [("GIT_CONFIG_GLOBAL", file.as_str())];
    let system = [("GIT_CONFIG_SYSTEM", file.as_str())];
    let parameters = [("GIT_CONFIG_PARAMETERS", "'core.fileMode=false'")];
    for environment in [&count[..], &global, &system, &parameters] {
        assert_eq!(version(environment).1, clean, "{environment:?}");
        fs::rename(checkout.path("bin/git"), checkout.path("git")).unwrap();
        let (code, _, err) = version(environment);
        fs::rename(checkout.path("git"), checkout.path("bin/git")).unwrap();
        let err = String::from_utf8(err).unwrap();
        assert!(code == Some(3) && err.contains(environment[0].0), "{err}");
        assert!(err.contains("install the `git` program"), "{err}");
    }
}

/// Whatever a user has configured, and wherever: a commit is the same, and a clone says what differs.
#[test]
fn nobodys_configuration_is_in_a_commit() {
    let checkout = with_git();
    checkout.write(".gitattributes", "* text=auto\n*.bat text eol=crlf\n");
    checkout.git(&["add", "--all"]);
    checkout.git(&["commit", "--quiet", "--message", "attributes"]);
    let sha256 = |environment: &[(&str, &str)]| {
        let words = ["context", "--format", "json", "--commit", "HEAD"];
        let output = checkout.command(&words).envs(environment.iter().copied()).output().unwrap();
        let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        json["sha256"].as_str().unwrap().to_owned()
    };
    checkout.write("crlf", "[core]\n\tautocrlf = true\n");
    let file = checkout.path("crlf").display().to_string();
    let plain = sha256(&[]);
    for name in ["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"] {
        assert_eq!(sha256(&[(name, &file)]), plain, "{name}");
    }
    assert_eq!(sha256(&[("GIT_ATTR_SOURCE", "HEAD")]), plain);
}

/// What decides about the image beside its files is a change where git doesn't look.
#[test]
fn hidden_files_beside_the_context_count() {
    let checkout = with_git();
    let dirty = || checkout.run(&["label", "--get", "version"]).out.ends_with("-dirty\n");
    for file in [".dockerignore", "docker/image.toml", "docker/Dockerfile"] {
        checkout.git(&["update-index", "--assume-unchanged", file]);
        let text = fs::read_to_string(checkout.path(file)).unwrap();
        checkout.write(file, &format!("{text}\n# changed\n"));
        assert!(dirty(), "{file}");
        checkout.write(file, &text);
        assert!(!dirty(), "{file}");
    }
    fs::rename(checkout.path("docker/Dockerfile"), checkout.path("docker/real")).unwrap();
    std::os::unix::fs::symlink("real", checkout.path("docker/Dockerfile")).unwrap();
    let ended = checkout.run(&["build"]);
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    assert!(
        ended.err.contains("reading docker/Dockerfile: it is a symbolic link"),
        "{}",
        ended.err
    );
}
