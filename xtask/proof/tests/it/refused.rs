//! What can't work is refused before anything is built: one line for each mistake, and what to do.

use super::checkout::Checkout;
use super::commit::with_git;
use super::ended::Ended;
use super::fake_engine::with_podman;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Whether the engine was told to build.
fn built(checkout: &Checkout) -> bool {
    let calls = std::fs::read_to_string(checkout.path("calls")).unwrap_or_default();
    calls.lines().any(|line| line.starts_with("build "))
}

/// Runs `build` on a checkout that `change` has spoiled: it ends with `code`, and says each of `says`.
fn check(change: impl Fn(&Checkout), words: &[&str], code: i32, says: &[&str]) {
    let checkout = with_podman();
    change(&checkout);
    let ended = checkout.run(words);
    let top = checkout.path("").display().to_string();
    let said = ended.err.replace(top.trim_end_matches('/'), "TOP");
    assert_eq!((ended.code, ended.out.as_str()), (Some(code), ""), "{said}");
    for text in says {
        assert!(said.contains(text), "{words:?} says no {text:?}:\n{said}");
    }
    assert!(said.contains("\nhelp: "), "{said}");
    assert!(!built(&checkout), "{said}");
}

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Writes `file` in another encoding.
fn encoded(file: &str, bytes: fn(&str) -> Vec<u8>) -> impl Fn(&Checkout) {
    move |checkout| {
        let text = std::fs::read_to_string(checkout.path(file)).unwrap_or("[smoke]\n".into());
        checkout.write(file, "");
        std::fs::write(checkout.path(file), bytes(&text)).unwrap();
    }
}

#[test]
fn files_in_another_encoding_are_named() {
    for file in [
        ".dockerignore",
        "app/tests/smoke.toml",
        "app/uv.lock",
        "docker/Dockerfile",
        "docker/image.toml",
    ] {
        let expected = format!("error: reading {file}: it is UTF-16, not UTF-8\nhelp: save it as ");
        check(
            encoded(file, |text| [b"\xff\xfe".to_vec(), wide(text)].concat()),
            &["build"],
            2,
            &[&expected],
        );
        check(encoded(file, wide), &["build"], 2, &[&expected]);
        let latin = encoded(file, |text| [text.as_bytes(), b"# \xe9\n"].concat());
        check(latin, &["build"], 2, &[&format!("error: reading {file}: line "), "isn't UTF-8"]);
    }
}

#[test]
fn files_that_are_not_there_are_named() {
    for (file, words) in [
        ("docker/Dockerfile", &["build"][..]),
        ("docker/Dockerfile.dev", &["build", "--dev"]),
        (".dockerignore", &["build"]),
        ("docker/image.toml", &["build"]),
    ] {
        let gone = |checkout: &Checkout| std::fs::remove_file(checkout.path(file)).unwrap();
        check(gone, words, 2, &[file]);
        let folder = |checkout: &Checkout| {
            gone(checkout);
            std::fs::create_dir(checkout.path(file)).unwrap();
        };
        check(folder, words, 2, &[file]);
    }
    check(|_| (), &["build", "--secret", "id=a,src=nothing"], 2, &["TOP/nothing: No such file"]);
}

#[test]
fn all_mistakes_of_a_command_line_are_told_at_once() {
    let long = "x".repeat(129);
    let words = ["build", "--tag", &long, "--label", "a b=c", "--label", "d\te=f"];
    let words = [&words[..], &["--build-arg", "A-B=c", "--platform", "bogus"]].concat();
    let says = [
        "error: reading the command line: 5 mistakes\n",
        "help: tagging the image xxxxxxxxxxxxxxxxxxxx…: a tag has at most 128 characters",
        "help: reading --label: `a b` can't be the key of a label",
        "help: reading --build-arg: `A-B` can't be a variable",
        "help: reading --platform: `bogus` isn't os/arch",
    ];
    check(|_| (), &words, 2, &says);
    check(|_| (), &[&words[..], &["--dry-run"]].concat(), 2, &says);
    let stage = ["build", "--target", "nothing"];
    check(|_| (), &stage, 2, &["error: building the stage nothing: docker/Dockerfile has none"]);
}

#[test]
fn places_that_cannot_be_written_are_told_with_their_cause() {
    let link = |target: &'static str| {
        move |checkout: &Checkout| {
            std::fs::create_dir(checkout.path("target")).unwrap();
            std::os::unix::fs::symlink(target, checkout.path("target/xtask")).unwrap();
        }
    };
    let dangling =
        "TOP/target/xtask is a link to /proc/nothing/x, which isn't there\nhelp: move it";
    let file = |checkout: &Checkout| checkout.write("target/xtask", "");
    for words in [&["build"][..], &["build", "--dry-run"], &["clean"], &["doctor"]] {
        check(link("/proc/nothing/x"), words, 2, &[dangling]);
        check(file, words, 2, &["TOP/target/xtask is no folder\nhelp: move it away"]);
    }
    // One that leads somewhere is as good as a folder.
    let checkout = with_podman();
    checkout.write("home/elsewhere/.keep", "");
    link("../home/elsewhere")(&checkout);
    let ended = checkout.run(&["build"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(checkout.path("home/elsewhere/made.json").exists());
}

#[test]
fn a_home_that_cannot_be_written_is_told_before_anything_is_built() {
    let checkout = with_podman();
    let ended: Ended = checkout.command(&["build"]).env("HOME", "/proc/1").output().unwrap().into();
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    let expected = "error: making the folder /proc/1/.cache/senex-xtask/cache-mounts: ";
    assert!(ended.err.contains(expected), "{}", ended.err);
    assert!(ended.err.contains("\nhelp: XDG_CACHE_HOME names another folder"), "{}", ended.err);
    assert!(!built(&checkout));
    let mut other = checkout.command(&["build"]);
    other.env("XDG_CACHE_HOME", checkout.path("home/cache"));
    let ended: Ended = other.output().unwrap().into();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
}

#[test]
fn absurd_dates_are_refused() {
    for time in ["-1", "253402300800", "99999999999999999999", "1.5", "tomorrow"] {
        let checkout = with_podman();
        for words in [&["build"][..], &["label"]] {
            let mut command = checkout.command(words);
            let ended: Ended = command.env("SOURCE_DATE_EPOCH", time).output().unwrap().into();
            let expected = format!("error: reading SOURCE_DATE_EPOCH: `{time}` is no number of");
            assert!(ended.err.starts_with(&expected), "{}", ended.err);
            assert_eq!((ended.code, built(&checkout)), (Some(2), false));
        }
    }
    let old = |checkout: &Checkout| {
        let time = std::time::UNIX_EPOCH - std::time::Duration::from_secs(86400);
        checkout.write("app/manage.py", "two = 2\n");
        let file = std::fs::File::options().append(true).open(checkout.path("app/manage.py"));
        file.unwrap().set_modified(time).unwrap();
    };
    let says = ["error: dating the image: the time -86400 is before 1970", "set SOURCE_DATE_EPOCH"];
    check(old, &["build"], 2, &says);
}

/// Copies are written, and not read.
#[test]
fn what_cannot_be_written_is_not_what_could_not_be_read() {
    let in_the_way = |checkout: &Checkout| checkout.write("target/xtask/context", "");
    let says = ["error: writing TOP/target/xtask/context/tree/", "TOP/target/xtask/context is no"];
    check(in_the_way, &["build"], 2, &says);
}

#[test]
fn a_disk_that_is_full_for_the_engine_is_named() {
    let checkout = with_podman();
    let script = std::fs::read_to_string(checkout.path("bin/podman")).unwrap();
    let full = "echo 'Error: writing blob: No space left on device'";
    checkout.program("podman", &script.replace("echo boom", full));
    checkout.write("fail", "");
    checkout.write("info.json", "/\n");
    let ended = checkout.run(&["build"]);
    assert_eq!(ended.code, Some(5), "{}", ended.err);
    let expected = "\nhelp: free space on the file system mounted at /";
    assert!(ended.err.contains(expected), "{}", ended.err);
}

/// Moves the checkout to a folder with that name, and runs a command there.
fn at(name: &[u8], words: &[&str]) -> (Checkout, Ended) {
    let checkout = with_podman();
    let top = checkout.path("home").join(std::ffi::OsStr::from_bytes(name));
    std::fs::create_dir_all(&top).unwrap();
    for part in [".git", ".dockerignore", ".gitignore", "app", "docker"] {
        std::fs::rename(checkout.path(part), top.join(part)).unwrap();
    }
    let directory = [std::ffi::OsStr::new("-C"), top.as_os_str()];
    let ended = checkout.command(words).args(directory).output().unwrap().into();
    (checkout, ended)
}

#[test]
fn a_path_that_nobody_can_be_told_is_refused() {
    for name in [&b"a\nb"[..], b"a\xffb", b"a\x1bb"] {
        for words in [&["build"][..], &["label"], &["dev", "--dry-run"]] {
            let (checkout, ended) = at(name, words);
            assert_eq!(ended.code, Some(2), "{name:?} {words:?}: {}", ended.err);
            assert!(ended.err.starts_with("error: using the checkout \""), "{}", ended.err);
            assert!(ended.err.contains("\nhelp: move it to a folder with a plain name\n"));
            assert!(!checkout.path("calls").exists());
        }
    }
}

/// One in which the copies, or git's objects, have no place.
#[test]
fn a_path_that_is_too_long_is_refused() {
    let start = with_podman().path("home/").as_os_str().len();
    for (length, words) in [
        (4045, &["build"][..]),
        (4045, &["build", "--dry-run"]),
        (4060, &["build"]),
        (4060, &["label"]),
    ] {
        let left = length - start;
        let name = ("y".repeat(200) + "/").repeat(left / 201) + &"z".repeat(left % 201);
        let (_checkout, ended) = at(name.trim_end_matches('/').as_bytes(), words);
        assert_eq!(ended.code, Some(2), "{length}: {}", ended.err);
        assert!(ended.err.contains("to a shorter path"), "{length}: {}", ended.err);
    }
}

#[test]
fn odd_characters_of_a_path_reach_the_engine_or_are_refused() {
    for name in [&b"a:b"[..], b"a b", b"a'b", b"a\"b", b"a=b", b"a$b", "\u{e4}".as_bytes()] {
        let (checkout, ended) = at(name, &["build"]);
        assert_eq!(ended.code, Some(0), "{name:?}: {}", ended.err);
        assert!(built(&checkout));
    }
    for words in [&["build"][..], &["build", "--dry-run"], &["squash", "x"]] {
        let (checkout, ended) = at(b"a,b", words);
        assert_eq!(ended.code, Some(2), "{words:?}: {}", ended.err);
        let expected = "target/xtask/checkout: it takes no path with a comma\nhelp: move it to a path \
                        without a comma, or take Docker: --engine docker\n";
        assert!(ended.err.contains(expected), "{}", ended.err);
        assert!(!built(&checkout));
    }
}

/// A path that leads into the checkout by a link is one of the checkout.
#[test]
fn a_path_through_a_link_is_explained() {
    let (checkout, elsewhere) = (with_podman(), tempfile::tempdir().unwrap());
    let link = elsewhere.path().join("link");
    std::os::unix::fs::symlink(checkout.path("app"), &link).unwrap();
    for path in [checkout.path("app"), Path::new("app/../app").to_owned(), link] {
        let path = path.join("manage.py").display().to_string();
        let ended = checkout.run(&["context", &path]);
        assert_eq!(ended.code, Some(0), "{path}: {}", ended.err);
        assert!(ended.out.starts_with("app/manage.py: in the build context: "), "{}", ended.out);
    }
    let ended = checkout.run(&["context", "/etc/passwd"]);
    assert_eq!(ended.code, Some(2), "{}", ended.err);
}

#[test]
fn a_pull_request_of_any_system_never_releases() {
    for (variables, names) in [
        (&[("CI", "woodpecker"), ("CI_COMMIT_PULL_REQUEST", "7")][..], "pr-7"),
        (&[("JENKINS_URL", "x"), ("CHANGE_ID", "7"), ("BRANCH_NAME", "PR-7")], "pr-7"),
        (&[("TF_BUILD", "True"), ("BUILD_SOURCEBRANCH", "refs/pull/7/merge")], "pr-7"),
        (&[("BITBUCKET_BUILD_NUMBER", "1"), ("BITBUCKET_PR_ID", "7")], "pr-7"),
        (&[("CIRCLECI", "true"), ("CIRCLE_PULL_REQUEST", "https://h/o/r/pull/7")], "pr-7"),
        (&[("BUILDKITE", "true"), ("BUILDKITE_PULL_REQUEST", "7")], "pr-7"),
        (
            &[
                ("GITHUB_ACTIONS", "true"),
                ("GITHUB_REF", "refs/heads/gh-readonly-queue/main/pr-7-0"),
            ],
            "",
        ),
        (
            &[
                ("GITLAB_CI", "true"),
                ("CI_MERGE_REQUEST_IID", "7"),
                ("CI_MERGE_REQUEST_EVENT_TYPE", "merge_train"),
            ],
            "",
        ),
    ] {
        let checkout = with_git();
        checkout.git(&["tag", "v1.2.3"]);
        let run = |words: &[&str]| -> Ended {
            let mut command = checkout.command(words);
            command.envs(variables.iter().copied()).output().unwrap().into()
        };
        let label = run(&["label", "--get", "image_tags"]);
        let revision = checkout.git(&["rev-parse", "HEAD"]);
        let expected = format!("sha-{} {names}", &revision[..12]);
        let given = label.out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(given, expected.trim(), "{variables:?}: {}", label.err);
        let release = run(&["release", "--registry", "127.0.0.1:1/a"]);
        assert_ne!(release.code, Some(0));
        assert!(release.err.contains("the pipeline is that of "), "{}", release.err);
        assert!(!built(&checkout));
    }
}
