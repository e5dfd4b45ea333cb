//! What the project must have for the workflow, looked at before an engine runs: a missing
//! file is one line here, and a traceback in the middle of a build. The files are read once; what
//! they lack is decided as plain data.

use crate::config::Config;
use crate::config::app::{App, LockFile};
use crate::config::smoke::Role;
use source::context::ContextFile;
use std::collections::BTreeSet;
use std::path::Path;

/// The project, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Project {
    /// The files of the build context.
    pub paths: BTreeSet<String>,
    /// The text of its lock.
    pub lock: String,
    /// The Python files of the project's module, one after another.
    pub code: String,
    /// All its `urls.py` and modules in folders called `urls`, one after another.
    pub urls: String,
}

/// Something that the project lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What, and what needs it.
    pub what: String,
    /// What to do.
    pub remedy: String,
    /// Whether nothing else can stand in for it.
    pub certain: bool,
}

/// Reads what of the files of the build context matters; code that can't be read is as if empty.
///
/// # Errors
/// [`Exit::Usage`](process::failure::Exit::Usage) if the lock can't be read.
pub fn read(top: &Path, app: &App, files: &[ContextFile]) -> anyhow::Result<Project> {
    let text = |path: &str| process::regular::read(top.join(path)).unwrap_or_default();
    let text = |path: &str| String::from_utf8_lossy(&text(path)).into_owned();
    let paths: BTreeSet<String> = files.iter().map(|file| file.path.clone()).collect();
    let folder = app.inside(&format!("{}/", app.module));
    let code = paths.iter().filter(|path| path.starts_with(&folder) && path.ends_with(".py"));
    let code = code.map(|path| text(path)).collect();
    let routes = |path: &&String| path.ends_with("urls.py") || path.contains("/urls/");
    let urls = paths.iter().filter(routes).map(|path| text(path)).collect();
    let lock = app.lock_file();
    let lock =
        paths.get(&lock).map(|_| process::disk::text(&top.join(&lock), &lock)).transpose()?;
    Ok(Project { lock: lock.unwrap_or_default(), code, urls, paths })
}

/// What the project lacks for what `dockerfile` and the roles do with it.
pub fn missing(project: &Project, config: &Config, dockerfile: &str) -> Vec<Missing> {
    let mut found = Vec::new();
    let mut lack = |missing: bool, certain: bool, what: String, remedy: String| {
        if missing {
            found.push(Missing { what, remedy, certain });
        }
    };
    let has = |path: &str| project.paths.contains(path);
    // A Dockerfile of the project's own may do without them.
    let copies = |path: &str| dockerfile.contains(path);
    let collects = ["collectstatic", "/collect.sh"].iter().any(|how| dockerfile.contains(how));
    let app = &config.app;
    let (lock, manage) = (app.lock_file(), app.inside("manage.py"));
    for path in app.lock_files(false) {
        let what = if path == lock { "the lock file " } else { "" };
        let what = format!("{what}{path} isn't in the build context");
        let remedy = match (&app.lock, path == lock) {
            (LockFile::Uv { .. }, true) => format!("uv lock --project {}", app.folder),
            (LockFile::Uv { .. }, false) => format!("uv init --bare {}", app.folder),
            (LockFile::Requirements { .. }, _) => "name another one in [app] lock".to_owned(),
        };
        lack(copies(&path) && !has(&path), true, what, remedy);
    }
    for path in config.assets.iter().flat_map(|a| a.package_files.iter().chain(&a.files)) {
        let folder = format!("{path}/");
        let there = path == "."
            || has(path)
            || project.paths.iter().any(|other| other.starts_with(&folder));
        let what = format!("{path} isn't in the build context, which [assets] reads");
        let remedy = format!("write !{path} in {} if it is there", config.ignore_file);
        lack(!there, true, what, remedy);
    }
    let what = format!("{manage} isn't in the build context");
    let remedy = "name the folder of the Django project in [app] folder".to_owned();
    lack(collects && !has(&manage), true, what, remedy);
    if let LockFile::Requirements { unhashed, .. } = &app.lock {
        requirements(&project.lock, &lock, python(&config.prod.base), *unhashed, &mut lack);
    }
    let module = &config.app.module;
    let inside = |file: &str| app.inside(&format!("{module}/{file}"));
    if !project.paths.iter().any(|path| path.starts_with(&inside(""))) {
        let what = format!("{} isn't there", inside(""));
        lack(true, true, what, "name the project's package in [app] module".to_owned());
        return found;
    }
    for (key, name) in app
        .settings
        .values()
        .map(|name| ("settings", name))
        .chain(app.settings_build.iter().map(|name| ("settings_build", name)))
    {
        let path = app.inside(&name.replace('.', "/"));
        let there = has(&format!("{path}.py")) || has(&format!("{path}/__init__.py"));
        let what = format!("{path}.py isn't in the build context, which [app] {key} names");
        lack(!there, true, what, "name the module as Django does".to_owned());
    }
    let settings = ["settings.py", "settings/production.py"];
    lack(
        app.settings.is_empty() && settings.iter().all(|file| !has(&inside(file))),
        false,
        format!("neither {} nor {} is there", inside(settings[0]), inside(settings[1])),
        "name the module in [app] settings".to_owned(),
    );
    let server = config.app.web_server.as_str();
    for (role, package, file, set) in [
        (Role::Web, server, "asgi.py", app.asgi.as_ref()),
        (Role::Gunicorn, "gunicorn", "wsgi.py", app.wsgi.as_ref()),
        (Role::Worker, "celery", "celery.py", app.celery.as_ref()),
        (Role::Beat, "celery", "celery.py", app.celery.as_ref()),
    ] {
        if !config.smoke.roles.contains(&role) {
            continue;
        }
        let word = role.word();
        let or = format!("or leave {word} out of [smoke] roles");
        let (locked, remedy) = match &app.lock {
            LockFile::Uv { .. } => (
                project.lock.contains(&format!("\nname = \"{package}\"\n")),
                format!("uv add --project {} {package}, {or}", app.folder),
            ),
            LockFile::Requirements { .. } => {
                (names(&project.lock).any(|name| name == package), format!("add it, {or}"))
            }
        };
        lack(
            copies(&lock) && has(&lock) && !locked,
            true,
            format!("{lock} has no {package}, which the role {word} runs"),
            remedy,
        );
        // Celery's application may stand elsewhere in the package.
        let elsewhere = package == "celery" && project.code.contains("Celery(");
        lack(
            set.is_none() && !has(&inside(file)) && !elsewhere,
            package != "celery",
            format!("{} isn't there, which the role {word} runs", inside(file)),
            format!("write it, {or}"),
        );
    }
    lack(
        collects && app.settings.is_empty() && !project.code.contains("STATIC_ROOT"),
        false,
        format!("no file in {} sets STATIC_ROOT, which collectstatic needs", inside("")),
        format!("STATIC_ROOT = BASE_DIR / \"{}\"", app.static_root),
    );
    // A page that a package brings has its last part in no file of the project: then this is wrong.
    let page = config.health.path.trim_matches('/').rsplit('/').next().unwrap_or_default();
    lack(
        !project.urls.is_empty() && !page.is_empty() && !project.urls.contains(page),
        false,
        format!("no urls.py names {}, which the health check asks", config.health.path),
        "add that page, or name another as path below [health] (docs/adopting.md)".to_owned(),
    );
    found
}

/// The names of the packages in a list of requirements, in small letters.
fn names(text: &str) -> impl Iterator<Item = String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', '-']));
    lines.filter_map(|line| {
        let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)));
        let name = &line[..end.unwrap_or(line.len())];
        (!name.is_empty()).then(|| name.to_lowercase().replace(['_', '.'], "-"))
    })
}

/// The version of Python that the name of an official base image tells.
fn python(base: &str) -> Option<&str> {
    let (_, tag) = base.rsplit_once("python:")?;
    let version = tag.split(['-', '@']).next().unwrap_or_default();
    version.starts_with("3.").then_some(version)
}

/// What a list of requirements lacks: it is copied alone, and is installed with its hashes.
fn requirements(
    text: &str,
    file: &str,
    python: Option<&str>,
    unhashed: bool,
    lack: &mut dyn FnMut(bool, bool, String, String),
) {
    let other = text.lines().map(str::trim).find(|line| {
        ["-r", "--requirement", "-c", "--constraint", "-e", "--editable"]
            .iter()
            .any(|option| line.split([' ', '=']).next() == Some(option))
    });
    let python = python.map_or(String::new(), |version| format!(" --python-version {version}"));
    let compiled = format!(
        "uv pip compile --universal --generate-hashes{python} {file} --output-file requirements.lock.txt, \
         and lock = \"requirements.lock.txt\""
    );
    if let Some(line) = other {
        lack(true, true, format!("{file} has `{line}`, and is copied alone"), compiled.clone());
    }
    let hashed = text.contains("--hash=");
    let what = format!("{file} has no hashes: what is installed could be anything of that name");
    let remedy = format!("{compiled}; or unhashed = true below [app]");
    lack(!text.is_empty() && !hashed && !unhashed, true, what, remedy);
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    const DOCKERFILE: &str = include_str!("../../../../docker/Dockerfile");

    fn stock() -> Project {
        let files = "manage.py pyproject.toml uv.lock shop/asgi.py shop/celery.py shop/settings.py shop/wsgi.py";
        Project {
            paths: files.split(' ').map(|file| format!("app/{file}")).collect(),
            lock: ["celery", "daphne", "gunicorn"]
                .map(|name| format!("[[package]]\nname = \"{name}\"\n"))
                .concat(),
            code: "STATIC_ROOT = BASE_DIR / 'staticfiles'\napp = Celery('shop')\n".into(),
            urls: "path('health/', health)".into(),
        }
    }

    fn config(more: &str) -> Config {
        let text =
            include_str!("../../../../docker/image.toml").replace("\"senex_trader\"", "\"shop\"");
        crate::config::parse(&text.replace("\n[smoke]\n", &format!("\n[smoke]\n{more}\n"))).unwrap()
    }

    #[test]
    fn what_is_lacking_is_a_line_with_a_remedy() {
        let check = |change: fn(&mut Project), more: &str, expected: Expect| {
            let mut project = stock();
            change(&mut project);
            let lines = missing(&project, &config(more), DOCKERFILE).into_iter().map(|lack| {
                let mark = if lack.certain { "BAD" } else { "   " };
                format!("{mark} {}: {}\n", lack.what, lack.remedy)
            });
            expected.assert_eq(&lines.collect::<String>());
        };
        check(|_| (), "", expect![""]);
        check(
            |p| {
                p.urls = "path('admin/', admin)".into();
                p.paths.remove("app/manage.py");
            },
            "",
            expect![[r#"
                BAD app/manage.py isn't in the build context: name the folder of the Django project in [app] folder
                    no urls.py names /health/, which the health check asks: add that page, or name another as path below [health] (docs/adopting.md)
            "#]],
        );
        check(
            |p| p.paths = BTreeSet::new(),
            "",
            expect![[r#"
                BAD app/pyproject.toml isn't in the build context: uv init --bare app
                BAD the lock file app/uv.lock isn't in the build context: uv lock --project app
                BAD app/manage.py isn't in the build context: name the folder of the Django project in [app] folder
                BAD app/shop/ isn't there: name the project's package in [app] module
            "#]],
        );
        check(
            |p| {
                p.lock.clear();
                p.code.clear();
                for file in ["settings", "asgi", "wsgi", "celery"] {
                    p.paths.remove(&format!("app/shop/{file}.py"));
                }
                p.paths.insert("app/shop/urls.py".into());
            },
            "",
            expect![[r#"
                    neither app/shop/settings.py nor app/shop/settings/production.py is there: name the module in [app] settings
                BAD app/uv.lock has no daphne, which the role web runs: uv add --project app daphne, or leave web out of [smoke] roles
                BAD app/shop/asgi.py isn't there, which the role web runs: write it, or leave web out of [smoke] roles
                BAD app/uv.lock has no gunicorn, which the role gunicorn runs: uv add --project app gunicorn, or leave gunicorn out of [smoke] roles
                BAD app/shop/wsgi.py isn't there, which the role gunicorn runs: write it, or leave gunicorn out of [smoke] roles
                BAD app/uv.lock has no celery, which the role worker runs: uv add --project app celery, or leave worker out of [smoke] roles
                    app/shop/celery.py isn't there, which the role worker runs: write it, or leave worker out of [smoke] roles
                BAD app/uv.lock has no celery, which the role beat runs: uv add --project app celery, or leave beat out of [smoke] roles
                    app/shop/celery.py isn't there, which the role beat runs: write it, or leave beat out of [smoke] roles
                    no file in app/shop/ sets STATIC_ROOT, which collectstatic needs: STATIC_ROOT = BASE_DIR / "staticfiles"
            "#]],
        );
        check(
            |p| {
                p.lock = "[[package]]\nname = \"gunicorn\"\n[[package]]\nname = \"celery-types\"\n"
                    .into();
                p.paths.remove("app/shop/asgi.py");
            },
            "roles = [\"gunicorn\", \"beat\"]",
            expect![[r#"
                BAD app/uv.lock has no celery, which the role beat runs: uv add --project app celery, or leave beat out of [smoke] roles
            "#]],
        );
    }

    #[test]
    fn a_dockerfile_of_the_project_s_own_may_do_without() {
        let mut project = stock();
        project.paths.remove("app/uv.lock");
        project.paths.remove("app/manage.py");
        project.code = "app = Celery('shop')".into();
        assert_eq!(missing(&project, &config(""), "FROM scratch\n"), []);
    }
}
