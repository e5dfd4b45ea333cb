//! The lines of a Dockerfile that say what `docker/image.toml` says: `cargo xtask init` writes them
//! there, so that a plain `podman build` makes the same image.

use crate::config::Config;
use crate::config::app::{App, GETTEXT, LockFile};
use crate::config::assets::Assets;
use crate::config::smoke::Role;
use crate::surroundings::Surroundings;
use std::collections::BTreeMap;

/// The build argument that names the image of the stage `assets`.
pub const ASSETS_IMAGE: &str = "ASSETS_IMAGE";

/// The build argument that makes `docker/Dockerfile` fetch Debian's fixes; each value does so once.
pub const DEBIAN_REFRESH: &str = "DEBIAN_REFRESH";

/// The topic with the files that lock the Python packages.
const LOCK: &str = "lock";
/// The topic with what the step for Debian's fixes needs.
const REFRESH: &str = "refresh";

/// The files of an image that are the same in every project, in its folder `runtime`.
pub const RUNTIME_FILES: [&str; 6] =
    ["entrypoint.sh", "healthcheck", "container", "install.sh", "installer.txt", "collect.sh"];

/// The comment before the lines of one topic; its name follows.
const BEGIN: &str = "# >>> docker/image.toml: ";
/// The comment after them.
const END: &str = "# >>> end";

/// What a key or a Fernet key is in a build: "build only build only build only".
const BUILD_KEY: &str = "YnVpbGQgb25seSBidWlsZCBvbmx5IGJ1aWxkIG9ubHk=";

/// Which image a Dockerfile makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    Production,
    Development,
}

/// The Dockerfiles of a project, by their paths.
pub fn files(config: &Config) -> Vec<(String, For)> {
    let mut files = vec![(config.prod.dockerfile.clone(), For::Production)];
    if config.dev.dockerfile != config.prod.dockerfile {
        files.push((config.dev.dockerfile.clone(), For::Development));
    }
    files
}

/// The Dockerfile of this repository that another project begins with.
pub fn template(made_for: For) -> &'static str {
    match made_for {
        For::Production => "docker/Dockerfile",
        For::Development => "docker/Dockerfile.dev",
    }
}

/// `text` with the lines of each topic as `config` has them.
///
/// # Errors
/// The line, from 1, of a topic that there isn't, or that has no end.
pub fn rendered(text: &str, config: &Config, made_for: For) -> Result<String, (usize, String)> {
    let mut whole = String::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        whole += &format!("{line}\n");
        let Some(topic) = line.trim().strip_prefix(BEGIN) else { continue };
        let Some(mut made) = topic_of(topic, config, made_for) else {
            return Err((at + 1, format!("there is no topic `{topic}`")));
        };
        if topic == LOCK && !text.contains(&format!("{BEGIN}{REFRESH}\n")) {
            made = made.replacen("COPY ", &format!("COPY {} ", installer(config)), 1);
        }
        if !lines.any(|(_, line)| line.trim() == END) {
            return Err((at + 1, format!("the topic `{topic}` has no end, `{END}`")));
        }
        whole += &format!("{made}{END}\n");
    }
    Ok(whole)
}

/// The first line, from 1, in which `text` isn't as [`rendered`].
pub fn difference(text: &str, rendered: &str) -> Option<usize> {
    let (mut is, mut should) = (text.lines(), rendered.lines());
    let same = (1..).take_while(|_| match (is.next(), should.next()) {
        (None, None) => false,
        (one, other) => one == other,
    });
    let same = same.count();
    (text.trim_end() != rendered.trim_end()).then_some(same + 1)
}

/// The lines of one topic, each with its end.
fn topic_of(topic: &str, config: &Config, made_for: For) -> Option<String> {
    let app = &config.app;
    let dev = made_for == For::Development;
    Some(match topic {
        "user" => instruction(
            "ARG",
            &[format!("APP_MODULE={}", app.module), format!("APP_USER={}", app.user)],
        ),
        "project" => instruction("ENV", &project(config, dev)),
        LOCK => {
            let (runtime, files) = (&app.runtime, app.lock_files(dev).join(" "));
            format!("COPY {runtime}/installer.txt {files} /opt/dependencies/\n")
        }
        REFRESH => format!("COPY {} /opt/dependencies/\n", installer(config)),
        "dependencies" => dependencies(app, dev),
        "runtime" => format!(
            "COPY {0}/entrypoint.sh {0}/healthcheck {0}/container/ /usr/local/lib/container/\n",
            app.runtime
        ),
        "application" => application(config),
        "assets image" => config
            .assets
            .as_ref()
            .map_or(String::new(), |assets| format!("ARG {ASSETS_IMAGE}={}\n", assets.base)),
        "assets" => config.assets.as_ref().map_or(String::new(), assets),
        "build" => instruction("ARG", &build(app)),
        "static files" => {
            format!("COPY --from=staticfiles /build/staticfiles /app/{}\n", app.static_root)
        }
        "health" => {
            let health = &config.health;
            format!(
                "HEALTHCHECK --interval={}s --timeout={}s --start-period={}s --retries={} \\\n    \
                 CMD [\"/usr/local/lib/container/healthcheck\"]\n",
                health.interval, health.timeout, health.start_period, health.retries
            )
        }
        "command" => {
            let roles = &config.smoke.roles;
            let first = roles.iter().min().copied().unwrap_or(Role::Web);
            format!("CMD [\"{}\"]\n", first.word())
        }
        _ => return None,
    })
}

/// What installs packages; the step that fetches Debian's fixes is the first to need it, if there is one.
fn installer(config: &Config) -> String {
    format!("{}/install.sh", config.app.runtime)
}

/// What the entrypoint knows of the project.
fn project(config: &Config, dev: bool) -> Vec<String> {
    let (app, module) = (&config.app, &config.app.module);
    let entry = |name: &str, value: &str| format!("{name}={}", word(value));
    let mut all = vec![
        entry("APP_MODULE", module),
        entry(
            "ASGI_APPLICATION",
            app.asgi.as_deref().unwrap_or(&format!("{module}.asgi:application")),
        ),
        entry("WEB_SERVER", &app.web_server),
        entry(
            "WSGI_APPLICATION",
            app.wsgi.as_deref().unwrap_or(&format!("{module}.wsgi:application")),
        ),
        entry("CELERY_APP", app.celery.as_ref().unwrap_or(module)),
        entry("CELERY_QUEUES", &app.queues),
        entry("REQUIRED_ENVIRONMENT", &app.required_environment.join(" ")),
        entry("HEALTHCHECK_PATH", &config.health.path),
        entry("STATE_DIR", &format!("/var/lib/{module}")),
        entry("LOG_FORMAT", if dev { "text" } else { "json" }),
        entry("ENVIRONMENT", if dev { "development" } else { "production" }),
    ];
    if !app.settings.is_empty() {
        all.push(entry("SETTINGS_MODULES", &app.settings_words()));
    }
    all
}

/// The step that installs the packages.
fn dependencies(app: &App, dev: bool) -> String {
    let mut words = Vec::new();
    match &app.lock {
        LockFile::Uv { .. } => {
            words.extend((!dev).then(|| "--no-default-groups".to_owned()));
            words.extend(app.groups.iter().map(|name| format!("--group={name}")));
            words.extend(app.extras.iter().map(|name| format!("--extra={name}")));
        }
        LockFile::Requirements { unhashed, .. } => {
            words.extend(unhashed.then(|| "--unhashed".to_owned()));
        }
    }
    let build_packages: Vec<String> =
        app.build_packages.iter().filter(|name| *name != GETTEXT).cloned().collect();
    for (option, list) in [
        ("packages", &app.packages),
        ("build-packages", &build_packages),
        ("build-from-source", &app.build_from_source),
    ] {
        if !list.is_empty() {
            words.push(format!("--{option}={}", word(&list.join(" "))));
        }
    }
    let debian = !app.packages.is_empty() || !build_packages.is_empty();
    let mut lines = vec![
        "--mount=type=cache,id=python-packages,target=/root/.cache,sharing=locked".to_owned(),
        "--mount=type=secret,id=ca".to_owned(),
        "--mount=type=secret,id=index".to_owned(),
    ];
    if debian {
        lines.extend(["debian", "versions"].map(|id| format!("--mount=type=secret,id={id}")));
    }
    lines.push(
        ["/opt/dependencies/install.sh".to_owned()]
            .into_iter()
            .chain(words)
            .collect::<Vec<_>>()
            .join(" "),
    );
    instruction("RUN", &lines)
}

/// The application as the build context and the assets make it, and what compiles its translations.
fn application(config: &Config) -> String {
    let app = &config.app;
    let mut text = String::new();
    if app.build_packages.iter().any(|name| name == GETTEXT) {
        let run = ["--mount=type=secret,id=ca", "--mount=type=secret,id=debian", TRANSLATIONS];
        text += &instruction("RUN", &run.map(str::to_owned));
    }
    text += &format!("COPY {}/collect.sh /build/\n", app.runtime);
    text += &format!("COPY {}/ /build/app/\n", app.folder);
    for path in config.assets.iter().flat_map(|assets| &assets.output) {
        let inside = path.strip_prefix(&app.prefix()).unwrap_or(path);
        text += &format!("COPY --from=assets /assets/{path} /build/app/{inside}\n");
    }
    text
}

/// Installs what compiles translations, in a stage that is no part of the image.
const TRANSLATIONS: &str = "/opt/dependencies/install.sh --tools=gettext";

/// The stage that Node builds in.
fn assets(assets: &Assets) -> String {
    let folder = match assets.folder.as_str() {
        "." => "/assets".to_owned(),
        folder => format!("/assets/{folder}"),
    };
    let install = [
        "--mount=type=cache,id=node-packages,target=/root/.npm,sharing=locked",
        "--mount=type=secret,id=ca",
        "--mount=type=secret,id=npm",
        "if [ -s /run/secrets/ca ]; then export NODE_EXTRA_CA_CERTS=/run/secrets/ca; fi;",
        "if [ -s /run/secrets/npm ]; then export npm_config_registry=\"$(cat /run/secrets/npm)\"; fi;",
        &assets.install,
    ];
    let mut text = format!("FROM ${{{ASSETS_IMAGE}}} AS assets\nWORKDIR {folder}\n");
    text += &format!("COPY {} {folder}/\n", assets.package_files.join(" "));
    text += &instruction("RUN", &install.map(str::to_owned));
    for path in &assets.files {
        let place =
            if path == "." { "./ /assets/".to_owned() } else { format!("{path} /assets/{path}") };
        text += &format!("COPY {place}\n");
    }
    text + &format!("RUN {}\n", assets.build)
}

/// What the step that collects static files is told.
fn build(app: &App) -> Vec<String> {
    let settings = app.settings_build.as_ref().or(app.settings_of_production());
    let settings = settings.map(|module| format!("SETTINGS_BUILD={module}"));
    let collected =
        (app.static_root != "staticfiles").then(|| format!("COLLECTED={}", app.static_root));
    let around_it = [("BEFORE", &app.before_collectstatic), ("AFTER", &app.after_collectstatic)];
    let commands = around_it.into_iter().filter(|(_, commands)| !commands.is_empty());
    let commands = commands
        .map(|(when, commands)| format!("{when}_COLLECTSTATIC={}", word(&commands.join("; "))));
    // Settings may refuse to load without them, and nothing is there to connect to.
    let nothing = || "localhost".to_owned();
    let word_of = || "build".to_owned();
    let around = Surroundings {
        postgres: nothing(),
        redis: nothing(),
        database: word_of(),
        user: word_of(),
        password: word_of(),
        key: BUILD_KEY.to_owned(),
    };
    let own = app.environment.iter().filter(|(name, _)| !app.build_environment.contains_key(*name));
    let own = own.chain(&app.build_environment).map(|(name, text)| (&**name, around.filled(text)));
    let known = [
        ("APP_MODULE", app.module.clone()),
        ("ENVIRONMENT", "production".to_owned()),
        ("REQUIRED_ENVIRONMENT", app.required_environment.join(" ")),
    ];
    let all: BTreeMap<&str, String> = known.into_iter().chain(own).collect();
    let told = all.into_iter().map(|(name, text)| format!("{name}={}", word(&text)));
    // The application has them around it.
    let runtime = (app.folder == ".").then(|| format!("RUNTIME_FILES={}", app.runtime));
    settings.into_iter().chain(collected).chain(commands).chain(runtime).chain(told).collect()
}

/// One instruction over several lines; none without words.
fn instruction(keyword: &str, words: &[String]) -> String {
    match words.is_empty() {
        true => String::new(),
        false => format!("{keyword} {}\n", words.join(" \\\n    ")),
    }
}

/// A word as a Dockerfile and a shell read it.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_.,:/=@%+".contains(c);
    if text.chars().all(plain) {
        return text.to_owned();
    }
    let escaped: String = text
        .chars()
        .flat_map(|c| "\"\\$`".contains(c).then_some('\\').into_iter().chain([c]))
        .collect();
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn config(app: &str) -> Config {
        let text = include_str!("../../../../docker/image.toml");
        // Of another table, or of [app].
        let text = match app.starts_with('[') {
            true => format!("{text}\n{app}"),
            false => text.replace("\n[app]\n", &format!("\n[app]\n{app}")),
        };
        crate::config::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"))
    }

    #[test]
    fn this_repository_s_own_files_are_what_its_image_toml_says() {
        for (text, made_for) in [
            (include_str!("../../../../docker/Dockerfile"), For::Production),
            (include_str!("../../../../docker/Dockerfile.dev"), For::Development),
        ] {
            let rendered = rendered(text, &config(""), made_for).unwrap();
            assert_eq!(difference(text, &rendered), None, "{rendered}");
        }
    }

    #[test]
    fn each_key_is_on_a_line() {
        let check = |app: &str, topic: &str, dev: bool, expected: Expect| {
            let made_for = if dev { For::Development } else { For::Production };
            expected.assert_eq(&topic_of(topic, &config(app), made_for).unwrap());
        };
        check(
            "folder = \".\"\nlock = \"requirements/base.txt\"\nlock_dev = \"requirements/dev.txt\"\n",
            "lock",
            true,
            expect![[r#"
                COPY docker/installer.txt requirements/dev.txt /opt/dependencies/
            "#]],
        );
        check(
            "folder = \".\"\n",
            "application",
            false,
            expect![[r#"
                COPY docker/collect.sh /build/
                COPY ./ /build/app/
            "#]],
        );
        check(
            "groups = [\"web\"]\nextras = [\"s3\"]\npackages = [\"libpq5\", \"gettext\"]\n\
             build_packages = [\"gcc\"]\nbuild_from_source = [\"svglib\"]\n",
            "dependencies",
            false,
            expect![[r#"
                RUN --mount=type=cache,id=python-packages,target=/root/.cache,sharing=locked \
                    --mount=type=secret,id=ca \
                    --mount=type=secret,id=index \
                    --mount=type=secret,id=debian \
                    --mount=type=secret,id=versions \
                    /opt/dependencies/install.sh --no-default-groups --group=web --extra=s3 --packages="libpq5 gettext" --build-packages=gcc --build-from-source=svglib
            "#]],
        );
        check(
            "lock = \"requirements.txt\"\nunhashed = true\n",
            "dependencies",
            false,
            expect![[r#"
            RUN --mount=type=cache,id=python-packages,target=/root/.cache,sharing=locked \
                --mount=type=secret,id=ca \
                --mount=type=secret,id=index \
                /opt/dependencies/install.sh --unhashed
        "#]],
        );
        check(
            "static_root = \"static\"\nbefore_collectstatic = [\"compilescss\"]\nafter_collectstatic = [\"compress --force\", \"mjml\"]\nsettings = { production = \"c.settings.prod\", staging = \"c.settings.stage\" }\n\
             build_environment = { KEY = \"{fernet_key}\", NOTE = \"a $b \\\"c\\\"\" }\n",
            "build",
            false,
            expect![[r#"
                ARG SETTINGS_BUILD=c.settings.prod \
                    COLLECTED=static \
                    BEFORE_COLLECTSTATIC=compilescss \
                    AFTER_COLLECTSTATIC="compress --force; mjml" \
                    APP_MODULE=senex_trader \
                    ENVIRONMENT=production \
                    KEY=YnVpbGQgb25seSBidWlsZCBvbmx5IGJ1aWxkIG9ubHk= \
                    NOTE="a \$b \"c\"" \
                    REQUIRED_ENVIRONMENT="SECRET_KEY FIELD_ENCRYPTION_KEY"
            "#]],
        );
        check(
            "",
            "build",
            false,
            expect![[r#"
            ARG APP_MODULE=senex_trader \
                ENVIRONMENT=production \
                REQUIRED_ENVIRONMENT="SECRET_KEY FIELD_ENCRYPTION_KEY"
        "#]],
        );
        check(
            "folder = \"src/web\"\nlock = \"../../uv.lock\"\n",
            "lock",
            false,
            expect![[r#"
                COPY docker/installer.txt pyproject.toml uv.lock /opt/dependencies/
            "#]],
        );
        let gettext = "build_packages = [\"gettext\"]\n";
        check(
            gettext,
            "dependencies",
            false,
            expect![[r#"
            RUN --mount=type=cache,id=python-packages,target=/root/.cache,sharing=locked \
                --mount=type=secret,id=ca \
                --mount=type=secret,id=index \
                /opt/dependencies/install.sh --no-default-groups
        "#]],
        );
        check(
            gettext,
            "application",
            false,
            expect![[r#"
                RUN --mount=type=secret,id=ca \
                    --mount=type=secret,id=debian \
                    /opt/dependencies/install.sh --tools=gettext
                COPY docker/collect.sh /build/
                COPY app/ /build/app/
            "#]],
        );
        let assets = "[assets]\nfolder = \"frontend\"\npackage_files = [\"frontend/package.json\"]\n\
                      files = [\"frontend\", \"tailwind.config.js\"]\noutput = [\"app/static/dist\"]\n";
        check(
            assets,
            "assets image",
            false,
            expect![[r#"
            ARG ASSETS_IMAGE=docker.io/library/node:22-bookworm-slim
        "#]],
        );
        check(
            assets,
            "assets",
            false,
            expect![[r#"
            FROM ${ASSETS_IMAGE} AS assets
            WORKDIR /assets/frontend
            COPY frontend/package.json /assets/frontend/
            RUN --mount=type=cache,id=node-packages,target=/root/.npm,sharing=locked \
                --mount=type=secret,id=ca \
                --mount=type=secret,id=npm \
                if [ -s /run/secrets/ca ]; then export NODE_EXTRA_CA_CERTS=/run/secrets/ca; fi; \
                if [ -s /run/secrets/npm ]; then export npm_config_registry="$(cat /run/secrets/npm)"; fi; \
                npm ci
            COPY frontend /assets/frontend
            COPY tailwind.config.js /assets/tailwind.config.js
            RUN npm run build
        "#]],
        );
        check(
            assets,
            "application",
            false,
            expect![[r#"
                COPY docker/collect.sh /build/
                COPY app/ /build/app/
                COPY --from=assets /assets/app/static/dist /build/app/static/dist
            "#]],
        );
        check("", "assets", false, expect![""]);
    }

    #[test]
    fn what_can_not_be_rendered_is_named_with_its_line() {
        let check = |text: &str, expected: (usize, &str)| {
            let (line, why) = rendered(text, &config(""), For::Production).unwrap_err();
            assert_eq!((line, why.as_str()), expected);
        };
        check(
            "FROM x\n# >>> docker/image.toml: nothing\n# >>> end\n",
            (2, "there is no topic `nothing`"),
        );
        check(
            "# >>> docker/image.toml: lock\nCOPY a b\n",
            (1, "the topic `lock` has no end, `# >>> end`"),
        );
    }

    #[test]
    fn install_sh_is_copied_for_the_first_step_that_needs_it() {
        let check = |topics: &[&str], expected: Expect| {
            let topics = topics.iter().map(|topic| format!("{BEGIN}{topic}\n{END}\n"));
            let text: String = topics.collect();
            let lines = rendered(&text, &config(""), For::Production).unwrap();
            let copied = lines.lines().filter(|line| line.starts_with("COPY"));
            expected.assert_eq(&copied.collect::<Vec<_>>().join("\n"));
        };
        check(
            &["lock"],
            expect![
                "COPY docker/install.sh docker/installer.txt app/pyproject.toml app/uv.lock /opt/dependencies/"
            ],
        );
        check(
            &["refresh", "lock"],
            expect![[r#"
            COPY docker/install.sh /opt/dependencies/
            COPY docker/installer.txt app/pyproject.toml app/uv.lock /opt/dependencies/"#]],
        );
    }

    #[test]
    fn the_line_that_differs_is_found() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(difference("a\nb\n", "a\nc\n"), Some(2));
        assert_eq!(difference("a\n", "a\nc\n"), Some(2));
    }
}
