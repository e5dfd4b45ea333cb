//! What is labelled is what was built, whatever happens to the files meanwhile.

use super::bench::{Repository, changes, label};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A Dockerfile that builds in a second: all that it copies is below `/copied` and `/docker`.
const DOCKERFILE: &str = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE} AS runtime\nCOPY docker/ /docker/\nCOPY app/ /copied/\n\
     HEALTHCHECK CMD [\"true\"]\n";

/// A path with its mode in git and the SHA-256 of its content, or of a link's target.
type Files = BTreeMap<String, (String, String)>;

/// The files that are in the image, asked of the engine.
fn in_image(repository: &Repository, image: &str) -> Files {
    let script = "cd /copied; find . -type f -printf '%m ' -exec sha256sum {} \\; ; \
                  find . -type l -printf '120000 %p ' -exec sh -c 'readlink -n \"$1\" | sha256sum' - {} \\;";
    let script = ["run", "--rm", "--network", "none", "--entrypoint", "sh", image, "-c", script];
    let listed = repository.engine(&script).good();
    let mut files = Files::new();
    for line in listed.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (mode, path, hash) = match words[0] {
            "120000" => ("120000".to_owned(), words[1], words[2]),
            mode => (format!("100{mode}"), words[2], words[1]),
        };
        files.insert(format!("app/{}", path.trim_start_matches("./")), (mode, hash.to_owned()));
    }
    files
}

/// The files of a commit below `app/fuzz`.
fn in_commit(repository: &Repository, id: &str) -> Files {
    let listed = repository.git(&["ls-tree", "-r", id, "app/fuzz/"]);
    let one = |line: &str| {
        let (entry, path) = line.split_once('\t').unwrap();
        let mut words = entry.split(' ');
        let (mode, blob) = (words.next().unwrap().to_owned(), words.nth(1).unwrap());
        let script = format!("git cat-file blob {blob} | sha256sum");
        let mut shell = Command::new("sh");
        let output = shell.args(["-c", &script]).current_dir(repository.path(".")).output();
        let hash = String::from_utf8(output.unwrap().stdout).unwrap()[..64].to_owned();
        (path.to_owned(), (mode, hash))
    };
    listed.lines().map(one).collect()
}

/// The paths that the image has in another form than the commit, or only one of them has.
fn differing(image: &Files, commit: &Files) -> Vec<String> {
    let all = image.keys().chain(commit.keys());
    let mut paths: Vec<String> = all
        .filter(|path| path.starts_with("app/fuzz/") && image.get(*path) != commit.get(*path))
        .cloned()
        .collect();
    paths.sort();
    paths.dedup();
    paths
}

/// Does something to one of the files, as editors, people and git do.
fn disturb(repository: &Repository, turn: u64) {
    let path = |number: u64| repository.path(&format!("app/fuzz/f{}", number % 30));
    let (one, other) = (path(turn * 2_654_435_761 % 997), path(turn * 40_503 % 991));
    match turn % 8 {
        0 => drop(fs::write(&one, format!("{turn}"))),
        1 => drop(fs::write(&one, "as long as this\n")),
        2 => drop(fs::remove_file(&one)),
        3 => drop(fs::set_permissions(&one, fs::Permissions::from_mode(0o755))),
        4 => drop(fs::rename(&one, &other)),
        5 => {
            let _ = fs::remove_file(&one);
            drop(symlink("f1", &one));
        }
        6 => {
            // The same length, and the old time.
            if let Ok(time) = one.metadata().and_then(|found| found.modified()) {
                let _ = fs::write(&one, "As Long As This\n");
                let file = fs::File::options().append(true).open(&one);
                let _ = file.and_then(|file| file.set_modified(time));
            }
        }
        _ => {
            let branch = if turn.is_multiple_of(3) { "main" } else { "other" };
            let words = ["checkout", "--quiet", "--force", branch];
            let mut git = Command::new("git");
            let _ = git.args(words).current_dir(repository.path(".")).output();
        }
    }
}

#[test]
fn saves_during_builds_never_make_an_image_that_contradicts_its_labels() {
    let repository = Repository::new();
    repository.build(&[]);
    // A name that the builds don't move.
    let base = Repository::local("first");
    repository.engine(&["tag", &Repository::local("prod"), &base]).good();
    repository.write("docker/Dockerfile", DOCKERFILE);
    for number in 0..30 {
        repository.write(&format!("app/fuzz/f{number}"), "as long as this\n");
    }
    repository.commit("files");
    repository.git(&["checkout", "--quiet", "-b", "other"]);
    for number in 0..15 {
        repository.write(&format!("app/fuzz/f{number}"), "of the other branch\n");
    }
    repository.commit("others");
    let mut commits: BTreeMap<String, Files> = BTreeMap::new();
    let wanted = if std::env::var_os("XTASK_TEST_EACH").is_some() { 300 } else { 15 };
    let stop = AtomicBool::new(false);
    let (mut built, mut clean, mut refused) = (0, 0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for turn in 0_u64.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                disturb(&repository, turn);
                // Long enough now and then for a build that meets nothing.
                let pause = if turn % 40 == 39 { 2_500 } else { turn * 37 % 120 };
                std::thread::sleep(Duration::from_millis(pause));
            }
        });
        let check = || {
            while built < wanted && refused < wanted {
                let words = ["build", "--force", "--format", "json", "--base", &base];
                let ended = repository.xtask(&words);
                if ended.code == Some(10) && ended.err.contains(" changed each of 3 times") {
                    refused += 1;
                    continue;
                }
                assert_eq!(ended.code, Some(0), "{}", ended.err);
                let report: Value = serde_json::from_str(&ended.out).unwrap();
                built += 1;
                let revision = label(&report, "revision");
                let commit = commits
                    .entry(revision.clone())
                    .or_insert_with(|| in_commit(&repository, &revision));
                let image = in_image(&repository, report["image_id"].as_str().unwrap());
                let lines = changes(&report["context_changes"]);
                let told: Vec<&str> =
                    lines.iter().map(|line| line.split_once(' ').unwrap().1).collect();
                let found = differing(&image, commit);
                let odd =
                    |path: &&str| found.iter().any(|found| found == path) != told.contains(path);
                let all = found.iter().map(String::as_str).chain(told.iter().copied());
                let odd: Vec<_> =
                    all.filter(odd).map(|path| (path, image.get(path), commit.get(path))).collect();
                assert!(odd.is_empty(), "{revision}, {odd:?}, and told: {lines:?}\n{}", ended.err);
                let dirty = label(&report, "version").ends_with("-dirty");
                assert!(dirty || told.is_empty(), "{told:?}");
                clean += usize::from(!dirty);
            }
        };
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = checked {
            std::panic::resume_unwind(panic);
        }
    });
    println!("{built} images, {clean} of them of a clean commit; {refused} builds refused");
    assert_eq!(built, wanted, "{refused} builds were refused");
    assert!(clean > 0, "no image was of a clean commit: nothing was tried");
}

/// Neither the rights, the path nor the settings of a clone are in an image.
#[test]
fn clones_of_one_commit_make_the_same_image() {
    let repository = Repository::new();
    let image = repository.build(&[])["image_id"].clone();
    for (umask, options) in [("077", ""), ("002", ""), ("000", "-c core.autocrlf=true")] {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (repository.path("."), folder.path().join("another/path"));
        let script = format!(
            "umask {umask}; mkdir -p '{to}'; git clone --quiet {options} '{from}' '{to}'",
            to = to.display(),
            from = from.display()
        );
        let status = Command::new("sh").args(["-c", &script]).status().unwrap();
        assert!(status.success());
        let mut words = vec!["-C", to.to_str().unwrap(), "build", "--format", "json"];
        words.push("--force");
        let report: Value = serde_json::from_str(&repository.xtask(&words).good()).unwrap();
        assert_eq!(report["image_id"], image, "umask {umask} {options}");
    }
    // And a commit that isn't checked out.
    let id = repository.git(&["rev-parse", "HEAD"]);
    repository.write("app/manage.py", "broken");
    repository.write("app/senex_trader/new.py", "");
    repository.commit("another");
    repository.write("docker/Dockerfile", "broken, too");
    let status = repository.git(&["status", "--porcelain"]);
    let report = repository.build(&["--commit", &id, "--force"]);
    assert_eq!(report["image_id"], image);
    assert_eq!(repository.git(&["status", "--porcelain"]), status);
    let script = repository.xtask(&["build", "--commit", &id, "--dry-run"]).good();
    repository.engine(&["image", "rm", &Repository::local("prod")]).good();
    repository.script(&script).good();
    let named = repository.inspect(&Repository::local("prod"))["Id"].as_str().unwrap().to_owned();
    let whole = image.as_str().unwrap();
    assert_eq!(named.trim_start_matches("sha256:"), whole.trim_start_matches("sha256:"));
    let left = fs::read_dir(repository.path("target/xtask")).unwrap().flatten();
    let left = left.filter(|entry| entry.file_name().to_string_lossy().starts_with("commit-"));
    assert_eq!(left.count(), 0);
}

/// A browser asks by time and length whether a file is still the same.
#[test]
fn a_file_of_the_same_length_is_another_one_for_browsers() {
    let repository = Repository::new();
    repository.write("app/public/robots.txt", "User-agent: a\n");
    repository.write("app/trading/static/trading/plain.txt", "1\n");
    let asked = |repository: &Repository| {
        let report = repository.build(&[]);
        let code = "from whitenoise.base import WhiteNoise\n\
                    one = WhiteNoise(None, root='/app/public')\n\
                    two = WhiteNoise(None, root='/app/staticfiles')\n\
                    for file in one.files['/robots.txt'], two.files['/trading/plain.txt']:\n\
                    \x20   print(dict(file.get_response('GET', {}).headers))";
        let image = report["image_id"].as_str().unwrap().to_owned();
        let words =
            ["run", "--rm", "--network", "none", "--entrypoint", "python", &image, "-c", code];
        let told = repository.engine(&words).good();
        let lines: Vec<String> = told.lines().map(str::to_owned).collect();
        assert!(lines.len() == 2 && lines.iter().all(|line| line.contains("ETag")), "{told}");
        lines
    };
    let before = asked(&repository);
    repository.write("app/public/robots.txt", "User-agent: b\n");
    repository.write("app/trading/static/trading/plain.txt", "2\n");
    let after = asked(&repository);
    assert_ne!((&before[0], &before[1]), (&after[0], &after[1]));
    assert!(before[0] != after[0] && before[1] != after[1], "{before:?} {after:?}");
}
