//! `--commit`: a commit is read from git, whatever the working tree holds.

use super::checkout::Checkout;
use super::ended::Ended;
use super::fake_engine::with_podman;
use serde_json::Value;
use std::fs;

/// A checkout whose PATH has git.
pub fn with_git() -> Checkout {
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
    // In the folder of Git LFS; a damaged object counts as none.
    let object = format!(".git/lfs/objects/{}/{}/{id}", &id[..2], &id[2..4]);
    checkout.write(&object, &content.to_uppercase());
    refused(&checkout, "HEAD", &["app/model.bin: kept by Git LFS"]);
    checkout.write(&object, &content);
    let files = context(&checkout, &["--commit", "HEAD"])["files"].clone();
    let file = files.as_array().unwrap().iter().find(|file| file["path"] == "app/model.bin");
    assert_eq!(file.unwrap()["bytes"], content.len());
    // A link whose target reads like a pointer is a link: nothing is written to its target.
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

/// The user learns at once, not after minutes, that a container can't start.
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

/// Git finds this repository by its variables alone; another one's are those of a hook that builds here.
#[test]
fn a_repository_that_the_environment_names() {
    let checkout = with_git();
    let version = |environment: &[(&str, &str)]| {
        let mut command = checkout.command(&["label", "--get", "version"]);
        Ended::from(command.envs(environment.iter().copied()).output().unwrap())
    };
    let plain = version(&[]).out;
    checkout.git(&["init", "--quiet", "--bare", "other.git"]);
    let other = checkout.path("other.git").display().to_string();
    for environment in [
        &[("GIT_DIR", other.as_str())][..],
        &[("GIT_DIR", ".git"), ("GIT_INDEX_FILE", ".git/none")],
        &[("GIT_DIR", &other), ("GIT_WORK_TREE", "/")],
        &[("GIT_CEILING_DIRECTORIES", "/")],
    ] {
        let ended = version(environment);
        assert_eq!((ended.code, ended.out), (Some(0), plain.clone()), "{}", ended.err);
    }
    let objects = checkout.path("objects").display().to_string();
    fs::rename(checkout.path(".git/objects"), &objects).unwrap();
    fs::create_dir(checkout.path(".git/objects")).unwrap();
    for name in ["GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES"] {
        let ended = version(&[(name, &objects)]);
        assert_eq!((ended.code, ended.out), (Some(0), plain.clone()), "{name} {}", ended.err);
    }
    fs::remove_dir(checkout.path(".git/objects")).unwrap();
    fs::rename(&objects, checkout.path(".git/objects")).unwrap();
    fs::rename(checkout.path(".git"), checkout.path("bin/own.git")).unwrap();
    assert_eq!(version(&[]).code, Some(3));
    let own = checkout.path("bin/own.git").display().to_string();
    for environment in [&[("GIT_DIR", own.as_str())][..], &[("GIT_DIR", "bin/own.git")]] {
        let ended = version(environment);
        assert_eq!((ended.code, ended.out), (Some(0), plain.clone()), "{}", ended.err);
        fs::rename(checkout.path("bin/git"), checkout.path("git")).unwrap();
        let ended = version(environment);
        fs::rename(checkout.path("git"), checkout.path("bin/git")).unwrap();
        assert_eq!(ended.code, Some(3), "{}", ended.err);
        assert!(
            ended.err.contains("GIT_DIR is set, which only the program reads"),
            "{}",
            ended.err
        );
        assert!(ended.err.contains("install the `git` program"), "{}", ended.err);
    }
    fs::rename(checkout.path("bin/own.git"), checkout.path(".git")).unwrap();
}

/// Trust, line ends and names to ignore can be configured by the environment as well.
#[test]
fn what_git_is_told_by_the_environment_counts() {
    let checkout = with_git();
    let label = |pairs: &[(&str, &str)]| {
        let mut command = checkout.command(&["label", "--format", "json"]);
        command.env("GIT_CONFIG_COUNT", pairs.len().to_string());
        for (index, (key, value)) in pairs.iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{index}"), key);
            command.env(format!("GIT_CONFIG_VALUE_{index}"), value);
        }
        Ended::from(command.output().unwrap())
    };
    let json = |pairs: &[(&str, &str)]| -> Value {
        let ended = label(pairs);
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        serde_json::from_str(&ended.out).unwrap()
    };
    checkout.write("app/new.xyz", "");
    checkout.write("ignored", "*.xyz\n");
    let file = checkout.path("ignored").display().to_string();
    let kind = |json: Value| json["context_changes"][0]["kind"].as_str().unwrap().to_owned();
    assert_eq!(kind(json(&[])), "untracked");
    assert_eq!(kind(json(&[("core.excludesFile", &file)])), "ignored");
    fs::remove_file(checkout.path("app/new.xyz")).unwrap();
    // Git calls such a file the same; the image would get other bytes than the commit has.
    let again = |words: &[&str]| {
        fs::remove_file(checkout.path("app/manage.py")).unwrap();
        checkout.git(&[words, &["checkout", "--quiet", "app/manage.py"]].concat());
    };
    again(&["-c", "core.autocrlf=true"]);
    assert!(fs::read_to_string(checkout.path("app/manage.py")).unwrap().ends_with("\r\n"));
    let found = json(&[("core.autocrlf", "true")]);
    assert_eq!(found["dirty"], serde_json::json!([]));
    assert_eq!(found["context_changes"][0]["path"], "app/manage.py");
    again(&[]);
    for path in ["", ".git"] {
        std::os::unix::fs::chown(checkout.path(path), Some(4321), None).expect("root");
    }
    let top = checkout.path("").display().to_string();
    let top = top.trim_end_matches('/');
    for (value, code) in [("/elsewhere", 3), ("*", 0), (top, 0)] {
        let ended = label(&[("safe.directory", value)]);
        assert_eq!(ended.code, Some(code), "{value} {}", ended.err);
        assert_eq!(ended.err.contains("it belongs to another user"), code == 3, "{}", ended.err);
    }
    let mut broken = checkout.command(&["label"]);
    let ended = Ended::from(broken.env("GIT_CONFIG_COUNT", "x").output().unwrap());
    assert_eq!(ended.code, Some(3), "{}", ended.err);
    assert!(ended.err.contains("bogus count in GIT_CONFIG_COUNT"), "{}", ended.err);
}

/// A commit is written as a checkout of it is: with the objects that replace others.
#[test]
fn objects_that_are_replaced_are_in_a_commit_that_is_written() {
    let checkout = with_git();
    checkout.write("app/manage.py", "two = 2\n");
    checkout.write("app/new.py", "");
    fs::remove_file(checkout.path("app/senex_trader/asgi.py")).unwrap();
    checkout.write("app/senex_trader/asgi.py", "STATIC_ROOT = \"/other\"\n");
    checkout.git(&["add", "--all"]);
    checkout.git(&["commit", "--quiet", "--message", "second"]);
    let second = checkout.git(&["rev-parse", "HEAD"]);
    checkout.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    checkout.git(&["replace", "HEAD", &second]);
    checkout.git(&["reset", "--quiet", "--hard"]);
    let clean = context(&checkout, &[]);
    assert!(clean["files"].as_array().unwrap().iter().any(|file| file["path"] == "app/new.py"));
    assert_eq!(context(&checkout, &["--commit", "HEAD"]), clean);
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

/// Files outside the context that decide about the image count even if git doesn't look at them.
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

/// The work tree has no configuration; the commit has it.
#[test]
fn a_commit_is_built_by_its_own_configuration() {
    let checkout = with_git();
    std::fs::remove_file(checkout.path("docker/image.toml")).unwrap();
    for folder in ["", "app"] {
        let mut command = checkout.command(&["build", "--commit", "HEAD"]);
        let ended = command.current_dir(checkout.path(folder)).output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    }
    let ended = checkout.run(&["build"]);
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    assert!(ended.err.starts_with("error: looking for docker/image.toml in "), "{}", ended.err);
}
