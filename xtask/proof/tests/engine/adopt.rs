//! Other projects take the workflow over by `init`, and by what `docs/adopting.md` and `doctor` say.

use super::bench::{Repository, label, on_podman};
use super::dev::{answer, detached, wait};
use super::ended::Ended;
use super::smoke::{named, smoke, things};
use super::tell::tell;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The most lines that a project owns afterwards.
const OWNED: usize = 600;

/// Celery, word for word as its documentation adds it to a project ("First steps with Django").
const CELERY: &str = r#"import os

from celery import Celery

# Set the default Django settings module for the 'celery' program.
os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')

app = Celery('shop')

# Using a string here means the worker doesn't have to serialize
# the configuration object to child processes.
# - namespace='CELERY' means all celery-related configuration keys
#   should have a `CELERY_` prefix.
app.config_from_object('django.conf:settings', namespace='CELERY')

# Load task modules from all registered Django apps.
app.autodiscover_tasks()


@app.task(bind=True, ignore_result=True)
def debug_task(self):
    print(f'Request: {self.request!r}')
"#;
const LOADED: &str = "# This will make sure the app is always imported when
# Django starts so that shared_task will use this app.
from .celery import app as celery_app

__all__ = ('celery_app',)
";

/// A project, and what it took the workflow from.
struct Adopted {
    project: Repository,
    source: Repository,
    /// Both are in it: the project itself, and the other by the name that the documentation uses.
    _outer: TempDir,
}

impl Adopted {
    /// Runs a script in the project's folder, with uv on PATH.
    fn sh(&self, script: &str) -> String {
        let uv = std::env::var("XTASK_TEST_UV").expect("`cargo xtask test` sets it");
        let tools = Path::new(&uv).parent().unwrap().display().to_string();
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new("sh");
        command.args(["-euc", script]).current_dir(self.project.path("")).stdin(Stdio::null());
        command.env("PATH", format!("{tools}:{path}")).env("UV_PYTHON_DOWNLOADS", "never");
        // Where uv leaves its locks.
        command.env("TMPDIR", self.project.path("target"));
        Ended::from(command.output().unwrap()).good()
    }

    fn append(&self, file: &str, text: &str) {
        let before = self.project.read(file);
        self.project.write(file, &format!("{before}\n{text}"));
    }

    /// Writes the files of a text that says `=== PATH` before each.
    fn files(&self, text: &str) {
        for part in text.split("=== ").skip(1) {
            let (path, text) = part.split_once('\n').unwrap();
            self.project.write(path, text);
        }
    }

    /// The name of its production image.
    fn image(&self) -> String {
        let text = self.project.read("docker/image.toml");
        let name = text.lines().find_map(|line| line.strip_prefix("name = \"")).unwrap();
        let prefix = if on_podman() { "localhost/" } else { "" };
        format!("{prefix}{}:prod", name.trim_end_matches('"'))
    }

    /// Brings the workflow in.
    fn init(&self) -> String {
        let place = self.project.path("").display().to_string();
        self.source.xtask(&["init", &place]).good()
    }
}

/// The fenced blocks of one language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let parts = text.split("\n```").skip(1).step_by(2);
    let blocks = parts.filter_map(|part| part.strip_prefix(&format!("{language}\n")));
    blocks.map(|block| format!("{block}\n")).collect()
}

/// A folder for a project, next to what it takes the workflow from.
fn empty() -> Adopted {
    let source = Repository::new();
    let outer = tempfile::tempdir().unwrap();
    let project = source.empty(tempfile::tempdir_in(outer.path()).unwrap());
    let adopted = Adopted { project, source, _outer: outer };
    adopted.project.write("target/.keep", "");
    adopted.sh("git init --quiet --initial-branch=main .");
    adopted
}

/// A stock project that has adopted the workflow, committed.
fn adopted() -> Adopted {
    let adopted = empty();
    let Adopted { project, source, .. } = &adopted;
    adopted.sh("uv init --bare --name shop app
        uv add --no-sync --project app django 'celery[redis]' daphne gunicorn 'psycopg[binary]'
        uv run --project app django-admin startproject shop app");
    project.write("app/shop/celery.py", CELERY);
    project.write("app/shop/__init__.py", LOADED);
    let guide = source.read("docs/adopting.md");
    let readme = source.read("README.md");
    let section = readme.split("\n## Use it in your project\n").nth(1).unwrap();
    assert_eq!(blocks(&guide, "sh"), blocks(section, "sh")[..1], "the README says something else");
    let [settings, urls] = &blocks(&guide, "python")[..] else { panic!("two blocks of python") };
    adopted.append("app/shop/settings.py", settings);
    adopted.append("app/shop/urls.py", urls);
    project.commit("A shop");
    let place = project.path("").display().to_string();
    let set = ["image.name=shop", "image.title=Shop", "variant.prod.size_budget=500 MB"];
    let set = set.map(|pair| format!("--set={pair}"));
    let said = source.xtask(&["init", &place, &set[0], &set[1], &set[2]]).good();
    let look = said.split_once("look at:\n").map_or("", |(_, look)| look);
    let look: Vec<&str> = look.lines().take_while(|line| line.starts_with("  ")).collect();
    let added = "  added to .gitignore: /target/, /docker/secrets/, /app/media/, /app/logs/";
    assert_eq!(look, [added], "{said}");
    project.commit("The container workflow");
    adopted
}

/// The reasons of what wasn't asked, by check.
fn reasons(result: &Value) -> Vec<String> {
    let checks = result["checks"].as_array().unwrap().iter();
    let not_asked = checks.filter(|check| check["outcome"] == "skipped");
    let line = |check: &Value| format!("{}: {}", check["name"], check["fact"]).replace('"', "");
    not_asked.map(line).collect()
}

#[test]
fn a_stock_project_adopts_the_workflow() {
    let adopted = adopted();
    let Adopted { project, .. } = &adopted;
    let owned = project.git(&["diff", "--name-only", "HEAD~1"]);
    let ours = |path: &&str| {
        path.starts_with("docker/runtime/") || ["Cargo.lock", "xtask/files.sha256"].contains(path)
    };
    let owned = owned.lines().filter(|path| !ours(path));
    let lines: usize = owned.map(|path| project.read(path).lines().count()).sum();
    assert!(lines <= OWNED, "{lines} lines");
    // Elsewhere the tests bring the sources and no Cargo.
    if std::env::var_os("XTASK_TEST_SOURCE").is_none() {
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/xtask/adopted");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo.args(["xtask", "label", "--get", "title"]).current_dir(project.path("app"));
        cargo.env("CARGO_TARGET_DIR", target).env("XTASK_CI", "none").stdin(Stdio::null());
        assert_eq!(Ended::from(cargo.output().unwrap()).good(), "Shop");
    }
    let doctor = project.xtask(&["doctor"]).good();
    assert!(doctor.contains("ok  project         app/shop: files, lock"), "{doctor}");
    let report = project.build(&[]);
    assert_eq!(label(&report, "title"), "Shop");
    assert_eq!(label(&report, "revision"), project.git(&["rev-parse", "HEAD"]));
    assert_eq!(report["context_changes"], serde_json::json!([]));
    let image = report["reference"].as_str().unwrap();
    assert!(image.ends_with("shop:prod"), "{image}");
    assert_eq!(project.run(image, &["id", "-un"]).good(), "app");
}

#[test]
fn a_stock_project_is_shown_by_dev_and_passes() {
    let adopted = adopted();
    let Adopted { project, .. } = &adopted;
    project.build(&[]);
    let before = things(project);
    let site = detached(project);
    wait("the site of dev", || answer(project, "/health/").contains("healthy"));
    assert!(site.starts_with("http://127.0.0.1:"), "{site}");
    project.xtask(&["dev", "stop", "--volumes"]).good();
    assert_eq!(things(project), before);
    let (code, result) = smoke(project, &[]);
    assert_eq!(code, Some(0), "{result:#}");
    assert_eq!(named(&result, "failed"), [""; 0]);
    assert_eq!(
        reasons(&result),
        [
            "beat: [smoke] roles has no beat",
            "beat-tick: [smoke] roles has no beat",
            "websocket: app/tests/smoke.toml asks for no [smoke.websocket]",
            "exec: app/tests/smoke.toml asks for no [[smoke.exec]]",
            "two-beats: [smoke] roles has no beat",
            "corrupt-schedule: [smoke] roles has no beat",
            "stop-beat: [smoke] roles has no beat",
            "logs: the project's LOGGING writes no JSON",
        ]
    );
    assert_eq!(result["passed"], result["checks"].as_array().unwrap().len() - 8);
}

/// A project whose files are in `shapes/`, with its settings changed, that has adopted the workflow by `init`
/// and by what `doctor` says. `lock` makes its lock before that.
fn shape(text: &str, lock: &str, changes: &[(&str, &str)]) -> Adopted {
    let adopted = empty();
    let Adopted { project, .. } = &adopted;
    adopted.files(text);
    adopted.sh("find . -name manage.py -exec chmod +x {} +");
    adopted.sh(lock);
    let before = project.git(&["status", "--porcelain", "--untracked-files=all"]).lines().count();
    assert!(before > 10);
    project.commit("A project");
    adopted.init();
    assert_eq!(project.git(&["diff", "--name-only"]), ".gitignore");
    for (from, to) in changes {
        project.edit("docker/image.toml", from, to);
    }
    project.xtask(&["init"]).good();
    adopted
}

/// Makes the lock with hashes as `doctor` says.
fn hashed(adopted: &Adopted) {
    let said = adopted.project.xtask(&["doctor"]).out;
    let remedy = said.lines().find_map(|line| line.trim().strip_prefix("-> uv pip compile "));
    let remedy = remedy.unwrap_or_else(|| panic!("{said}")).split(", and").next().unwrap();
    // The base of the tests has the Python of Debian 12.
    adopted.sh(&format!("uv pip compile --quiet {}", remedy.replace(" 3.12 ", " 3.11 ")));
    let lock = ("lock = \"requirements.txt\"", "lock = \"requirements.lock.txt\"");
    adopted.project.edit("docker/image.toml", lock.0, lock.1);
    adopted.project.xtask(&["init"]).good();
}

/// Builds it, tests its image, and asks `dev` for a page. The checks that weren't asked, each with its
/// reason.
fn proven(adopted: &Adopted, page: &str) -> Vec<String> {
    let project = &adopted.project;
    project.xtask(&["doctor"]).good();
    project.commit("The container workflow");
    let report = project.build(&[]);
    assert_eq!(report["context_changes"], serde_json::json!([]));
    let (code, result) = smoke(project, &[]);
    assert_eq!((code, named(&result, "failed")), (Some(0), Vec::new()), "{result:#}");
    let before = things(project);
    detached(project);
    wait("the page", || answer(project, page).contains("Log in"));
    project.xtask(&["dev", "stop", "--volumes"]).good();
    assert_eq!(things(project), before);
    reasons(&result)
}

#[test]
fn code_at_the_top_with_its_own_docker_folder_adopts_it() {
    if !on_podman() {
        return tell("not run: on Podman alone: what is asked is the same on both engines");
    }
    let plain = ("[app.environment]\n", "[app.environment]\nCONTAINER_MODE = \"true\"\n");
    let adopted = shape(include_str!("shapes/trader.txt"), "", &[plain]);
    hashed(&adopted);
    let reasons = proven(&adopted, "/accounts/login/");
    let Adopted { project, .. } = &adopted;
    let image = adopted.image();
    let script = "cat templates/mail/welcome.md logs/models.py && test ! -e docker";
    project.run(&image, &["sh", "-c", script]).good();
    assert_eq!(project.read("docker/entrypoint.sh"), "#!/bin/sh\nexec \"$@\"\n");
    let roles = ["web:", "worker:", "beat:"];
    let unasked = reasons.iter().find(|line| roles.iter().any(|role| line.starts_with(role)));
    assert_eq!(unasked, None);
    // Its first page needs a row, which `prepare` of its smoke.toml makes.
    std::fs::remove_file(project.path("tests/smoke.toml")).unwrap();
    let (code, result) = smoke(project, &["--only", "http"]);
    assert_eq!((code, named(&result, "failed")), (Some(8), vec!["http".to_owned()]));
    project.git(&["checkout", "--quiet", "tests/smoke.toml"]);
    let again = project.xtask(&["init", "--update"]).good();
    assert_eq!(again, "everything is up to date");
}

#[test]
fn one_process_with_sqlite_adopts_it() {
    if !on_podman() {
        return tell("not run: on Podman alone: what is asked is the same on both engines");
    }
    // It has no wheel; the library is for nothing but to be there.
    let source = ("# build_from_source = []", "build_from_source = [\"oncalendar\"]");
    let library = ("# packages = []", "packages = [\"libpq5\"]");
    let adopted = shape(include_str!("shapes/notes.txt"), "", &[source, library]);
    hashed(&adopted);
    let reasons = proven(&adopted, "/");
    let Adopted { project, .. } = &adopted;
    let image = adopted.image();
    let script = "ls /usr/lib/*/libpq.so.5 && python -c 'import oncalendar'";
    project.run(&image, &["sh", "-c", script]).good();
    let database = "the default database of the settings is sqlite, not PostgreSQL";
    assert!(reasons.contains(&format!("bounded-wait: {database}")), "{reasons:#?}");
    assert!(reasons.contains(&"worker: [smoke] roles has no worker".to_owned()), "{reasons:#?}");
}

#[test]
fn code_below_its_lock_with_node_and_translations_adopts_it() {
    if !on_podman() {
        return tell("not run: on Podman alone: what is asked is the same on both engines");
    }
    let assets = "[assets]\nfolder = \"frontend\"\nfiles = [\"frontend\"]\noutput = [\"src/gallery/dist\"]\n\
                  package_files = [\"frontend/package.json\", \"frontend/package-lock.json\"]\n";
    let changes = [
        ("# [assets]\n", assets),
        ("# groups = []", "groups = [\"web\"]"),
        ("# extras = []", "extras = [\"tables\"]"),
    ];
    let adopted = shape(include_str!("shapes/studio.txt"), "uv lock --quiet", &changes);
    let Adopted { project, .. } = &adopted;
    let refused = project.xtask(&["doctor"]);
    assert!(refused.err.contains("write !frontend in .dockerignore"), "{}", refused.err);
    project.edit(".dockerignore", "!src\n", "!src\n!frontend\n");
    // What Node makes on a developer's machine is no part of the image, and no change of it.
    project.write("src/gallery/dist/main.js", "a developer's");
    let reasons = proven(&adopted, "/");
    let image = adopted.image();
    let script = "grep frames gallery/dist/main.js && grep frames static/main.js && ! command -v msgfmt gcc \
                  && python -c 'import oncalendar, psycopg, tabulate, whitenoise' && ! python -c 'import ruff' \
                  && cat gallery/locale/de/LC_MESSAGES/django.mo";
    let said = project.run(&image, &["sh", "-c", script]).good();
    assert!(!said.contains("a developer's") && said.contains("Anmelden"), "{said}");
    assert!(reasons.contains(&"worker: [smoke] roles has no worker".to_owned()), "{reasons:#?}");
    // Another health page or setting installs nothing anew.
    project.edit("docker/image.toml", "/api/status/", "/");
    project.xtask(&["init"]).good();
    let log = project.build(&[])["log"].as_str().map(std::fs::read_to_string).unwrap().unwrap();
    let install = log.split("install.sh --no-default").nth(1).unwrap();
    let next: Vec<&str> = install.lines().skip(1).take(1).collect();
    assert!(next[0].starts_with("--> Using cache"), "{log}");
}
