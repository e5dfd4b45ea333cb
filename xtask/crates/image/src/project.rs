//! What the project in `app/` must have for the workflow, looked at before an engine runs: a missing
//! file is one line here, and a traceback in the middle of a build. The files are read once; what
//! they lack is decided as plain data.

use crate::config::Config;
use crate::config::smoke::Role;
use source::context::ContextFile;
use std::collections::BTreeSet;
use std::path::Path;

/// The lock of the project's packages.
pub const LOCK: &str = "app/uv.lock";
const PROJECT: &str = "app/pyproject.toml";
const MANAGE: &str = "app/manage.py";

/// The project, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Project {
    /// The files of the build context.
    pub paths: BTreeSet<String>,
    /// The text of [`LOCK`].
    pub lock: String,
    /// The Python files of the project's module, one after another.
    pub code: String,
}

/// Something that the project missing.
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
pub fn read(top: &Path, module: &str, files: &[ContextFile]) -> anyhow::Result<Project> {
    let text = |path: &str| process::regular::read(top.join(path)).unwrap_or_default();
    let text = |path: &str| String::from_utf8_lossy(&text(path)).into_owned();
    let paths: BTreeSet<String> = files.iter().map(|file| file.path.clone()).collect();
    let folder = format!("app/{module}/");
    let code = paths.iter().filter(|path| path.starts_with(&folder) && path.ends_with(".py"));
    let code = code.map(|path| text(path)).collect();
    let lock = paths.get(LOCK).map(|_| process::disk::text(&top.join(LOCK), LOCK)).transpose()?;
    Ok(Project { lock: lock.unwrap_or_default(), code, paths })
}

/// What the project missing for what `dockerfile` and the roles do with it.
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
    let collects = dockerfile.contains("collectstatic");
    for (path, asked, remedy) in [
        (PROJECT, copies(PROJECT), "uv init --bare app".to_owned()),
        (LOCK, copies(LOCK), "uv lock --project app".to_owned()),
        (MANAGE, collects, "the Django project belongs in app/".to_owned()),
    ] {
        lack(asked && !has(path), true, format!("{path} isn't in the build context"), remedy);
    }
    let module = &config.app.module;
    let inside = |file: &str| format!("app/{module}/{file}");
    if !project.paths.iter().any(|path| path.starts_with(&inside(""))) {
        let what = format!("{} isn't there", inside(""));
        lack(true, true, what, "name the project's package in [app] module".to_owned());
        return found;
    }
    let settings = ["settings.py", "settings/production.py"];
    lack(
        settings.iter().all(|file| !has(&inside(file))),
        false,
        format!("neither {} nor {} is there", inside(settings[0]), inside(settings[1])),
        "give each container a DJANGO_SETTINGS_MODULE".to_owned(),
    );
    let server = config.app.web_server.as_deref().unwrap_or("daphne");
    for (role, package, file, set) in [
        (Role::Web, server, "asgi.py", config.app.asgi.as_ref()),
        (Role::Gunicorn, "gunicorn", "wsgi.py", config.app.wsgi.as_ref()),
        (Role::Worker, "celery", "celery.py", None),
        (Role::Beat, "celery", "celery.py", None),
    ] {
        if !config.smoke.roles.contains(&role) {
            continue;
        }
        let word = role.word();
        let or = format!("or leave {word} out of [smoke] roles");
        let locked = project.lock.contains(&format!("\nname = \"{package}\"\n"));
        lack(
            copies(LOCK) && has(LOCK) && !locked,
            true,
            format!("{LOCK} has no {package}, which the role {word} runs"),
            format!("uv add --project app {package}, {or}"),
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
        collects && !project.code.contains("STATIC_ROOT"),
        false,
        format!("no file in {} sets STATIC_ROOT, which collectstatic needs", inside("")),
        "STATIC_ROOT = BASE_DIR / \"staticfiles\"".to_owned(),
    );
    found
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
            |p| p.paths = BTreeSet::new(),
            "",
            expect![[r#"
            BAD app/pyproject.toml isn't in the build context: uv init --bare app
            BAD app/uv.lock isn't in the build context: uv lock --project app
            BAD app/manage.py isn't in the build context: the Django project belongs in app/
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
                    neither app/shop/settings.py nor app/shop/settings/production.py is there: give each container a DJANGO_SETTINGS_MODULE
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
        project.paths.remove(LOCK);
        project.paths.remove(MANAGE);
        project.code = "app = Celery('shop')".into();
        assert_eq!(missing(&project, &config(""), "FROM scratch\n"), []);
    }
}
