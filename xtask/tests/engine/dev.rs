//! `dev`: the site from the checkout, from its start to nothing left.

use super::bench::Repository;
use super::smoke::things;
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// On a machine that does other things, too; the benchmarks have the time of a quiet one.
const SEEN: Duration = Duration::from_secs(20);

/// Asks for a page, again and again, until it contains a text; inside the container of web, as its
/// network can be another one than ours.
const POLL: &str = "
import sys, time, urllib.error, urllib.request
text, end, found = sys.argv[2], time.monotonic() + 30, b''
while time.monotonic() < end:
    try:
        found = urllib.request.urlopen('http://127.0.0.1:8000' + sys.argv[1], timeout=5).read()
    except urllib.error.HTTPError as error:
        found = error.read()
    except OSError:
        pass
    if text.encode() in found:
        sys.exit(0)
    time.sleep(0.05)
sys.exit(found.decode())
";

struct Site {
    repository: Repository,
    /// What was there before.
    before: Vec<String>,
}

impl Site {
    fn new() -> Site {
        let repository = Repository::new();
        repository.xtask(&["setup", "--services"]).good();
        let before = things(&repository);
        Site { repository, before }
    }

    #[track_caller]
    fn start(&self) -> Value {
        let mut command = self.repository.xtask_inside(&["--format", "json", "dev", "--detach"]);
        let ended = super::ended::Ended::from(command.output().unwrap());
        serde_json::from_str(&ended.good()).unwrap()
    }

    #[track_caller]
    fn dev(&self, words: &[&str]) -> String {
        self.repository.xtask(&[&["dev"], words].concat()).good()
    }

    fn status(&self) -> Value {
        let text = self.repository.xtask(&["--format", "json", "dev", "status"]).good();
        serde_json::from_str(&text).unwrap()
    }

    /// The whole name of a container.
    fn name(&self, role: &str) -> String {
        let status = self.status();
        let all = status["roles"].as_array().unwrap();
        let found = all.iter().find(|found| found["role"] == role).unwrap();
        found["container"].as_str().unwrap().to_owned()
    }

    /// Waits until the page contains the text; gives how long that took.
    #[track_caller]
    fn wait(&self, path: &str, text: &str) -> Duration {
        let name = self.name("web");
        let start = Instant::now();
        self.repository.engine(&["exec", &name, "python", "-c", POLL, path, text]).good();
        start.elapsed()
    }

    /// `dev` with its logs, once the site is healthy; and what it says.
    fn attached(&self) -> (Child, BufReader<std::process::ChildStderr>) {
        let mut command = self.repository.xtask_inside(&["dev"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let (mut line, mut all) = (String::new(), String::new());
        while !line.starts_with("the site is at ") {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "{all}");
            all += &line;
        }
        (child, said)
    }

    /// What is there beside what was before.
    fn left(&self) -> usize {
        things(&self.repository).iter().filter(|thing| !self.before.contains(thing)).count()
    }
}

/// Whatever happens.
impl Drop for Site {
    fn drop(&mut self) {
        self.repository.xtask(&["dev", "stop", "--volumes"]);
    }
}

fn signal(child: &Child, name: &str) {
    // `nsenter` becomes xtask, so that the id is the same.
    let kill = format!("kill -{name} {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

const VIEW: &str = "

urlpatterns += [path('saved/', lambda _: __import__('django.http').http.HttpResponse('TEXT'))]
";

#[test]
fn the_site_runs_from_the_checkout_and_leaves_nothing() {
    let site = Site::new();
    let repository = &site.repository;
    let url = site.start()["url"].as_str().unwrap().to_owned();
    assert!(url.starts_with("http://localhost:80"), "{url}");
    let status = site.status();
    for role in ["web", "worker", "beat"] {
        let all = status["roles"].as_array().unwrap();
        let found = all.iter().find(|found| found["role"] == role).unwrap();
        assert_eq!(found["healthy"], true, "{status:#}");
    }
    assert_eq!(status["url"], url);

    // A saved file is answered by the new code; one that is wrong shows why.
    let file = "app/trading/urls.py";
    let text = repository.read(file);
    site.wait("/accounts/login/", "csrfmiddlewaretoken");
    repository.write(file, &(text.clone() + &VIEW.replace("TEXT", "first")));
    assert!(site.wait("/saved/", "first") < SEEN);
    repository.write(file, &(text.clone() + "x = (\n"));
    site.wait("/saved/", "SyntaxError");
    repository.write(file, &(text.clone() + &VIEW.replace("TEXT", "repaired")));
    site.wait("/saved/", "repaired");
    let worker = || site.dev(&["logs", "worker"]).matches(" changed: starting worker").count();
    let start = Instant::now();
    while worker() < 1 {
        assert!(start.elapsed() < SEEN, "{}", site.dev(&["logs", "worker"]));
        std::thread::sleep(Duration::from_millis(500));
    }
    repository.write(file, &text);

    // What the container writes belongs to whoever owns the checkout, and nothing else is written.
    site.dev(&["--", "sh", "-c", "mkdir made && echo text >made/file"]);
    let owner = repository.path("app").metadata().unwrap();
    for made in ["app/made", "app/made/file"] {
        let found = repository.path(made).metadata().unwrap();
        assert_eq!((found.uid(), found.gid()), (owner.uid(), owner.gid()), "{made}");
    }
    fs::remove_dir_all(repository.path("app/made")).unwrap();
    assert_eq!(repository.git(&["status", "--porcelain", "--ignored", "app"]), "");

    // Commands beside it: their exit status, their input and output, and a terminal.
    let ended = repository.xtask(&["dev", "--", "sh", "-c", "echo out; exit 7"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(7), "out\n"), "{}", ended.err);
    let make = "from django.contrib.auth.models import User; User.objects.create(username='kept')";
    site.dev(&["--", "python", "manage.py", "shell", "--command", make]);
    a_shell_has_a_terminal(repository);
    let tests = site.dev(&["--test", "-q", "-k", "pricing"]);
    assert!(tests.contains(" passed"), "{tests}");

    // A second one finds what is there; another checkout is beside it.
    let ids = things(repository);
    site.start();
    assert_eq!(things(repository), ids);
    {
        let other = Site { repository: repository.twin(), before: ids };
        let second = other.start()["url"].as_str().unwrap().to_owned();
        assert_ne!(second, url);
        other.dev(&["stop", "--volumes"]);
        assert_eq!(other.left(), 0);
    }
    site.wait("/accounts/login/", "csrfmiddlewaretoken");

    // Only the data stays, and comes back.
    site.dev(&["stop"]);
    assert_eq!(site.left(), 1);
    let count = "from django.contrib.auth.models import User; print(User.objects.count())";
    assert_eq!(site.dev(&["--", "python", "manage.py", "shell", "-v", "0", "-c", count]), "1");
    assert_eq!(site.left(), 1);
    site.dev(&["stop", "--volumes"]);
    assert_eq!(site.left(), 0);
}

fn a_shell_has_a_terminal(repository: &Repository) {
    let plain = repository.command(&["dev", "--", "bash"]);
    let line: Vec<&str> = [plain.get_program()]
        .into_iter()
        .chain(plain.get_args())
        .map(|word| word.to_str().unwrap())
        .collect();
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &line.join(" "), "/dev/null"]);
    command.current_dir(repository.path("."));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut keys = child.stdin.take().unwrap();
    // As a user would: after the prompt.
    std::thread::sleep(Duration::from_secs(4));
    keys.write_all(b"tty && echo $((40 + 2)); exit 5\n").unwrap();
    let ended = child.wait_with_output().unwrap();
    let shown = String::from_utf8_lossy(&ended.stdout);
    assert!(shown.contains("/dev/pts/") && shown.contains("42"), "{shown}");
    assert_eq!(ended.status.code(), Some(5), "{shown}");
}

#[test]
fn whatever_ends_dev_the_next_one_works_and_stop_leaves_nothing() {
    let site = Site::new();
    for (name, code) in [("INT", Some(130)), ("HUP", Some(130)), ("KILL", None)] {
        let (mut child, mut said) = site.attached();
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), code, "{name}");
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut said, &mut rest).unwrap();
        // The data alone; after a kill everything.
        assert_eq!(site.left() == 1, name != "KILL", "{name}: {rest}");
    }
    // What a killed one left is taken over; and a role that dies is said.
    let before = site.left();
    let (mut child, mut said) = site.attached();
    assert_eq!(site.left(), before);
    site.repository.engine(&["kill", "--signal", "KILL", &site.name("beat")]).good();
    let mut line = String::new();
    while !line.starts_with("beat ended with exit status 137") {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0);
    }
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
    site.dev(&["stop", "--volumes"]);
    assert_eq!(site.left(), 0);
}

/// The development image by itself, with the engine's own commands (C15).
#[test]
fn the_development_image_runs_with_the_engine_s_own_commands() {
    let repository = Repository::new();
    let text = repository.xtask(&["--format", "json", "build", "--dev"]).good();
    let report: Value = serde_json::from_str(&text).unwrap();
    let services = repository.xtask(&["setup", "--services"]).good();
    let service = |what: &str| {
        services.lines().find_map(|line| line.strip_prefix(what)).unwrap().trim().to_owned()
    };
    let run = format!("alone-{}", std::process::id());
    let before = things(&repository);
    repository.engine(&["network", "create", &run]).good();
    let mut hosts = Vec::new();
    for what in ["postgres", "redis"] {
        let name = format!("{run}-{what}");
        let password = ["--env", "POSTGRES_PASSWORD=word", "--env", "POSTGRES_USER=dev"];
        let words = ["run", "--detach", "--network", &run, "--name", &name];
        repository.engine(&[&words[..], &password, &[&service(what)]].concat()).good();
        let form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let address = repository.engine(&["container", "inspect", "--format", form, &name]).good();
        hosts.push(format!("{what}:{address}"));
    }
    let mount = format!("{}:/app", repository.path("app").display());
    let words = ["run", "--detach", "--network", &run, "--name", &run, "--volume", &mount];
    let hosts = ["--add-host", &hosts[0], "--add-host", &hosts[1]];
    let database = ["--env", "DB_NAME=dev", "--env", "DB_USER=dev", "--env", "DB_PASSWORD=word"];
    let image = report["image_id"].as_str().unwrap();
    // The server looks at the database at once.
    let wait = "until python manage.py migrate; do sleep 1; done; exec \"$@\"";
    let served = ["python", "manage.py", "runserver", "0.0.0.0:8000"];
    assert_eq!(repository.inspect(image)["Config"]["Cmd"], serde_json::json!(served));
    let command = [&["sh", "-c", wait, "sh"][..], &served].concat();
    repository.engine(&[&words[..], &hosts, &database, &[image], &command].concat()).good();
    let asked = ["exec", &run, "python", "-c", POLL, "/health/", "\"ok\""];
    let ended = repository.engine(&asked);
    let log = repository.engine(&["logs", &run]);
    for name in [run.clone(), format!("{run}-postgres"), format!("{run}-redis")] {
        repository.engine(&["rm", "--force", "--volumes", &name]).good();
    }
    repository.engine(&["network", "rm", &run]).good();
    assert_eq!(ended.code, Some(0), "{}{}{}", ended.err, log.out, log.err);
    // Daphne's server, which has WebSockets.
    assert!((log.out + &log.err).contains("Starting ASGI/Daphne"));
    assert_eq!(things(&repository), before);
}
