//! `dev`: from a checkout to the site, and nothing left behind but the data.

use super::bench::Repository;
use super::ended::Ended;
use super::smoke::things;
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// `dev`, not yet started; the words come last, as some are not ours.
fn command(repository: &Repository, words: &[&str]) -> Command {
    let mut command = repository.xtask_inside(&[]);
    command.arg("dev").args(words);
    command
}

fn dev(repository: &Repository, words: &[&str]) -> Ended {
    command(repository, words).output().unwrap().into()
}

/// Starts everything; gives the URL of the site.
#[track_caller]
pub fn detached(repository: &Repository) -> String {
    let text = dev(repository, &["--detach", "--format", "json"]).good();
    let result: Value = serde_json::from_str(&text).unwrap();
    result["site"].as_str().unwrap().to_owned()
}

/// What the site answers, or why it doesn't.
pub fn answer(repository: &Repository, path: &str) -> String {
    let script = format!(
        "from urllib.request import urlopen\nfrom urllib.error import HTTPError\ntry:\n  answer = urlopen('http://127.0.0.1:8000{path}')\nexcept HTTPError as error:\n  answer = error\nprint(answer.read().decode())"
    );
    let ended = dev(repository, &["--", "python", "-c", &script]);
    ended.out + &ended.err
}

#[track_caller]
pub fn wait(what: &str, mut until: impl FnMut() -> bool) {
    let start = Instant::now();
    while !until() {
        assert!(start.elapsed() < Duration::from_secs(300), "{what}");
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// The view that the tests save.
fn view(repository: &Repository, text: &str) {
    let file = "app/senex_trader/urls.py";
    let before = repository.read(file);
    let before = before.split("# saved\n").next().unwrap();
    let view = format!(
        "# saved\nfrom django.http import HttpResponse\nurlpatterns += [path(\"saved/\", lambda request: HttpResponse(\"{text}\"))]\n"
    );
    repository.write(file, &format!("{before}{view}"));
}

#[test]
fn a_saved_file_is_served_and_only_the_data_is_left() {
    let repository = Repository::new();
    let before = things(&repository);
    let site = detached(&repository);
    assert!(site.starts_with("http://127.0.0.1:"), "{site}");
    let status = dev(&repository, &["status"]).good();
    assert_eq!(status.matches("running").count(), 5, "{status}");
    assert!(status.contains(&site), "{status}");

    view(&repository, "the first");
    wait("the first", || answer(&repository, "/saved/").contains("the first"));
    let logs = |role: &str| dev(&repository, &["logs", role]).good();
    wait("the worker", || logs("worker").contains("reload: a file was saved"));
    assert!(!logs("web").contains("Exception in thread"), "{}", logs("web"));
    // What can't be compiled is shown by the site and in the log, and the next save is served.
    for (file, text) in
        [("app/trading/views.py", "the second"), ("app/senex_trader/settings/base.py", "the third")]
    {
        let good = repository.read(file);
        repository.write(file, &format!("{good}\n(\n"));
        wait("its error", || answer(&repository, "/saved/").contains("SyntaxError"));
        assert!(logs("web").contains("save a file to start it again"), "{file}");
        repository.write(file, &good);
        view(&repository, text);
        wait(text, || answer(&repository, "/saved/").contains(text));
    }

    // Files belong to the caller, and a command is the command.
    let owner = |file: &str| repository.path(file).metadata().unwrap().uid();
    let made = dev(&repository, &["--", "sh", "-c", "echo $DJANGO_SETTINGS_MODULE >made; exit 7"]);
    assert_eq!(made.code, Some(7), "{}", made.err);
    assert_eq!(repository.read("app/made"), "senex_trader.settings.development\n");
    assert_eq!(owner("app/made"), owner("app"));
    std::fs::remove_file(repository.path("app/made")).unwrap();
    repository.git(&["checkout", "--quiet", "."]);
    assert_eq!(repository.git(&["status", "--porcelain", "--ignored", "app"]), "");

    assert!(dev(&repository, &["--detach"]).err.contains("already running"));
    dev(&repository, &["stop"]).good();
    let left: Vec<String> = things(&repository);
    let left: Vec<&String> = left.iter().filter(|thing| !before.contains(thing)).collect();
    assert!(matches!(left.as_slice(), [volume] if volume.starts_with("xtask-dev-")), "{left:?}");
    dev(&repository, &["stop", "--volumes"]).good();
    assert_eq!(things(&repository), before);
}

/// A command in a pseudo-terminal gets it.
fn in_a_terminal(repository: &Repository, words: &[&str]) -> Command {
    let plain = command(repository, words);
    let all = std::iter::once(plain.get_program()).chain(plain.get_args());
    let line: String = all.map(|word| format!("'{}' ", word.to_str().unwrap())).collect();
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    script.current_dir(repository.path("")).env("XTASK_CI", "none").stdin(Stdio::null());
    script
}

#[test]
fn a_command_has_the_terminal_and_the_owner_of_the_checkout() {
    let repository = Repository::new();
    let before = things(&repository);
    detached(&repository);
    let terminal = "test -t 0 && test -t 1 && test -t 2 && exit 5";
    let ended = in_a_terminal(&repository, &["--", "sh", "-c", terminal]).output().unwrap();
    assert_eq!(ended.status.code(), Some(5));
    assert_eq!(dev(&repository, &["--", "sh", "-c", terminal]).code, Some(1));
    dev(&repository, &["stop"]).good();
    let root = repository.path("app").metadata().unwrap().uid() == 0;
    if root {
        // Another user's checkout: the containers run as that user.
        let top = repository.path("");
        let words = ["--recursive", "1234:1234", top.to_str().unwrap()];
        assert!(Command::new("chown").args(words).status().unwrap().success());
        let made = dev(&repository, &["--", "sh", "-c", "id -u; id -g; echo >made"]).good();
        assert_eq!(made, "1234\n1234");
        assert_eq!(repository.path("app/made").metadata().unwrap().uid(), 1234);
        wait("beat", || dev(&repository, &["logs", "beat"]).good().contains("beat: Starting"));
    }
    dev(&repository, &["stop", "--volumes"]).good();
    assert_eq!(things(&repository), before);
}

/// Starts it in the foreground, and comes back when the site answers.
fn foreground(repository: &Repository) -> Child {
    follow(command(repository, &[]))
}

fn follow(mut command: Command) -> Child {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let (sender, lines) = std::sync::mpsc::channel();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || {
        stdout.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
    });
    let site = |line: &String| line.starts_with("http://");
    while !site(&lines.recv_timeout(Duration::from_secs(300)).unwrap()) {}
    // Read to the end, or the stream would stand still at a full pipe.
    std::thread::spawn(move || lines.iter().for_each(drop));
    child
}

fn end(mut child: Child, signal: &str) -> Option<i32> {
    let script = format!("kill -{signal} {}", child.id());
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    child.wait().unwrap().code()
}

#[test]
fn a_killed_dev_is_taken_over_beside_another_checkout() {
    let repository = Repository::new();
    let before = things(&repository);
    let twin = repository.twin();
    let other = detached(&twin);
    assert_eq!(end(foreground(&repository), "KILL"), None);
    let running = dev(&repository, &["status"]).good();
    assert!(running.matches("running").count() == 5 && !running.contains(&other), "{running}");
    // The next one takes over, another attaches, and the one that was first stops it.
    let first = foreground(&repository);
    // What the image is made from was saved: it is made again, and what runs is of it.
    let file = "docker/healthcheck";
    repository.write(file, &(repository.read(file) + "# changed\n"));
    let place = "/usr/local/lib/container/healthcheck";
    let changed = || dev(&repository, &["--", "grep", "-c", "^# changed", place]).code == Some(0);
    wait("the new image", changed);
    assert_eq!(end(foreground(&repository), "INT"), Some(130));
    assert_eq!(dev(&repository, &["status"]).good(), running);
    assert_eq!(end(first, "INT"), Some(130));
    let nothing = || !dev(&repository, &["status"]).good().contains("running");
    assert!(nothing());
    // A terminal that is closed takes it along (SIGHUP), as a service manager does (SIGTERM).
    end(follow(in_a_terminal(&repository, &[])), "KILL");
    wait("the closed terminal", nothing);
    assert_eq!(end(foreground(&repository), "TERM"), Some(143));
    assert!(nothing());
    // Not even that of a killed one is left.
    assert_eq!(end(foreground(&repository), "KILL"), None);
    dev(&repository, &["stop", "--volumes"]).good();
    assert_eq!(dev(&twin, &["status"]).good().matches("running").count(), 5);
    dev(&twin, &["stop", "--volumes"]).good();
    assert_eq!(things(&repository), before);
}

#[test]
fn the_tests_of_the_application_run_and_a_dry_run_runs_nothing() {
    let repository = Repository::new();
    let before = things(&repository);
    let tests = dev(&repository, &["--test", "-q", "-k", "health"]);
    assert!(tests.out.contains(" passed"), "{}\n{}", tests.out, tests.err);
    tests.good();
    assert_ne!(dev(&repository, &["--test", "-q", "-k", "no such test"]).code, Some(0));
    let script = dev(&repository, &["--dry-run", "--detach"]).good();
    assert_eq!(script.lines().count(), 9, "{script}");
    let wrong = dev(&repository, &["logs", "wbe"]);
    assert_eq!((wrong.code, wrong.err.contains("there is no `wbe`")), (Some(2), true));
    assert_eq!(things(&repository), before);
    assert_eq!(repository.git(&["status", "--porcelain", "--ignored", "app"]), "");
}
