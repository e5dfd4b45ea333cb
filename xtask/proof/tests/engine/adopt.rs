//! Another project takes the workflow over by the lines of `docs/adopting.md`, and by no others.

use super::bench::{Repository, label, on_podman};
use super::dev::{answer, detached, wait};
use super::ended::Ended;
use super::smoke::{named, smoke, things};
use super::tell::tell;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// What is copied.
const COPIED: [&str; 7] =
    ["xtask/", "docker/", ".cargo/", "Cargo.toml", "Cargo.lock", ".dockerignore", ".gitattributes"];

/// The most lines of it that may be edited.
const EDITED: usize = 15;

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

    /// The lines of the copied files that differ from those of the source, each with its file.
    fn edited(&self) -> Vec<String> {
        let all = self.source.git(&["ls-files"]);
        let copied = all.lines().filter(|file| COPIED.iter().any(|start| file.starts_with(start)));
        let mut edited = Vec::new();
        for file in copied {
            let read = |repository: &Repository| std::fs::read(repository.path(file)).unwrap();
            let (before, after) = (read(&self.source), read(&self.project));
            if before == after {
                continue;
            }
            let (before, after) = (self.source.read(file), self.project.read(file));
            assert_eq!(before.lines().count(), after.lines().count(), "{file}");
            let lines = before.lines().zip(after.lines()).filter(|(before, after)| before != after);
            edited.extend(lines.map(|(_, after)| format!("{file}: {after}")));
        }
        edited
    }
}

/// The fenced blocks of one language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let parts = text.split("\n```").skip(1).step_by(2);
    let blocks = parts.filter_map(|part| part.strip_prefix(&format!("{language}\n")));
    blocks.map(|block| format!("{block}\n")).collect()
}

/// Replaces the lines of `file` by those of a TOML block with the same table and key, commented out
/// or not.
fn merged(file: &str, block: &str) -> String {
    let mut lines: Vec<String> = file.lines().map(str::to_owned).collect();
    let mut table = 0;
    for line in block.lines() {
        let found = match line.split_once(" = ") {
            None => lines.iter().position(|old| old == line).inspect(|at| table = *at),
            Some((key, _)) => {
                let key = format!("{key} = ");
                let is = |old: &String| old.trim_start_matches("# ").starts_with(&key);
                lines.iter().skip(table).position(is).map(|at| table + at)
            }
        };
        line.clone_into(&mut lines[found.unwrap_or_else(|| panic!("{line}: no such line"))]);
    }
    lines.join("\n") + "\n"
}

/// A stock project that has adopted the workflow, committed.
fn adopted() -> Adopted {
    let source = Repository::new();
    let outer = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(source.path(""), outer.path().join("senex_trader")).unwrap();
    let project = source.empty(tempfile::tempdir_in(outer.path()).unwrap());
    let adopted = Adopted { project, source, _outer: outer };
    let Adopted { project, .. } = &adopted;
    project.write("target/.keep", "");
    adopted.sh("git init --quiet --initial-branch=main .
        uv init --bare --name shop app
        uv add --no-sync --project app django
        uv run --project app django-admin startproject shop app");
    project.write("app/shop/celery.py", CELERY);
    project.write("app/shop/__init__.py", LOADED);
    let guide = adopted.source.read("docs/adopting.md");
    let [script] = &blocks(&guide, "sh")[..] else { panic!("one block of sh") };
    let readme = adopted.source.read("README.md");
    let section = readme.split("\n## Use it in your project\n").nth(1).unwrap();
    assert!(script.starts_with(&blocks(section, "sh")[0]), "the README copies something else");
    adopted.sh(script);
    let [edits] = &blocks(&guide, "toml")[..] else { panic!("one block of toml") };
    project.write("docker/image.toml", &merged(&project.read("docker/image.toml"), edits));
    let [settings, urls] = &blocks(&guide, "python")[..] else { panic!("two blocks of python") };
    adopted.append("app/shop/settings.py", settings);
    adopted.append("app/shop/urls.py", urls);
    project.commit("A shop");
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
    let edited = adopted.edited();
    assert!(!edited.is_empty() && edited.len() <= EDITED, "{}", edited.join("\n"));
    assert!(edited.iter().all(|line| line.starts_with("docker/image.toml: ")), "{edited:#?}");
    // Elsewhere the tests bring the sources and no Cargo.
    if std::env::var_os("XTASK_TEST_SOURCE").is_none() {
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/xtask/adopted");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo.args(["xtask", "label", "--get", "title"]).current_dir(project.path("app"));
        cargo.env("CARGO_TARGET_DIR", target).env("XTASK_CI", "none").stdin(Stdio::null());
        assert_eq!(Ended::from(cargo.output().unwrap()).good(), "Shop");
    }
    let doctor = project.xtask(&["doctor"]).good();
    assert!(doctor.contains("ok  project         app/shop: all that"), "{doctor}");
    let report = project.build(&[]);
    assert_eq!(label(&report, "title"), "Shop");
    assert_eq!(label(&report, "revision"), project.git(&["rev-parse", "HEAD"]));
    assert_eq!(report["context_changes"], serde_json::json!([]));
    let image = report["reference"].as_str().unwrap();
    assert!(image.ends_with("shop:prod"), "{image}");
    assert_eq!(project.run(image, &["id", "-un"]).good(), "shop");
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
            "http: app/tests/smoke.toml asks for no [[smoke.http]]",
            "beat-tick: the project has no beat schedule",
            "websocket: app/tests/smoke.toml asks for no [smoke.websocket]",
            "exec: app/tests/smoke.toml asks for no [[smoke.exec]]",
            "two-beats: the project has no beat schedule",
            "logs: the project's LOGGING writes no JSON",
        ]
    );
    assert_eq!(result["passed"], result["checks"].as_array().unwrap().len() - 6);
}

/// On Podman alone: what is asked is the same on both engines.
#[test]
fn what_a_smaller_project_has_not_is_not_asked() {
    if !on_podman() {
        return tell("not run: on Podman alone: the checks are the same code on both engines");
    }
    let adopted = adopted();
    let Adopted { project, .. } = &adopted;
    adopted.append(
        "app/shop/settings.py",
        "DATABASES['default'] = {\n    'ENGINE': 'django.db.backends.sqlite3',\n    \
         'NAME': '/var/lib/shop/db.sqlite3',\n}\n",
    );
    project.edit("docker/image.toml", "[smoke]\n", "[smoke]\nroles = [\"gunicorn\", \"worker\"]\n");
    adopted.sh("uv remove --project app daphne 'psycopg[binary]'");
    project.commit("A small shop");
    project.build(&[]);
    let (code, result) = smoke(project, &[]);
    assert_eq!(code, Some(0), "{result:#}");
    let database = "the default database of the settings is sqlite, not PostgreSQL";
    let expected = [
        format!("bounded-wait: {database}"),
        format!("stop-waiting: {database}"),
        format!("wrong-password: {database}"),
        format!("waits-for-migrations: {database}"),
        "web: [smoke] roles has no web".into(),
        "http: app/tests/smoke.toml asks for no [[smoke.http]]".into(),
        format!("migrate-once: {database}"),
        "beat: [smoke] roles has no beat".into(),
        "beat-tick: [smoke] roles has no beat".into(),
        "websocket: app/tests/smoke.toml asks for no [smoke.websocket]".into(),
        "exec: app/tests/smoke.toml asks for no [[smoke.exec]]".into(),
        "two-beats: [smoke] roles has no beat".into(),
        "corrupt-schedule: [smoke] roles has no beat".into(),
        "stop-web: [smoke] roles has no web".into(),
        "stop-beat: [smoke] roles has no beat".into(),
        "logs: the project's LOGGING writes no JSON".into(),
        format!("database-gone: {database}"),
    ];
    assert_eq!(reasons(&result), expected);
}

#[test]
fn lines_are_put_where_their_keys_stand() {
    let file = "[a]\n# Its name.\n# name = \"x\"\n[b]\nname = \"y\"\nother = 1\n";
    let expected = "[a]\n# Its name.\n# name = \"x\"\n[b]\nname = \"z\"\nother = 1\n";
    assert_eq!(merged(file, "[b]\nname = \"z\"\n"), expected);
    assert_eq!(merged(file, "[a]\nname = \"z\"\n"), file.replace("# name = \"x\"", "name = \"z\""));
    assert_eq!(blocks("a\n```sh\nb\nc\n```\n```toml\nd\n```\n", "toml"), ["d\n"]);
}
