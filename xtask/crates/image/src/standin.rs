//! Stand-ins: base and service images built from Debian packages when no registry can be reached.
//! Pure: which image stands in for which, and the commands that make it.

use crate::platform;
use engine::reference::Reference;
use engine::{Engine, words};
use process::failure::{Exit, failure_help};
use process::invocation::{Invocation, quoted};
use std::path::{Path, PathBuf};

/// One stand-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// Its local name.
    pub reference: &'static str,
    suite: &'static str,
    packages: &'static [&'static str],
    /// Files of `docker/base` that go to `/usr/local/bin`.
    scripts: &'static [&'static str],
    /// What the official image has in its config.
    config: &'static [&'static str],
}

const PATH_ENV: &str = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Debian 12 and 13 each have one Python; there is no 3.12 among them.
const PYTHON: [Recipe; 2] = [
    Recipe {
        reference: "localhost/xtask/python:3.11-slim-bookworm-standin",
        suite: "bookworm",
        packages: &["ca-certificates", "python3", "python3-venv"],
        scripts: &[],
        config: &[PATH_ENV, "ENV LANG=C.UTF-8", "CMD [\"python3\"]"],
    },
    Recipe {
        reference: "localhost/xtask/python:3.13-slim-trixie-standin",
        suite: "trixie",
        packages: &["ca-certificates", "python3", "python3-venv"],
        scripts: &[],
        config: &[PATH_ENV, "ENV LANG=C.UTF-8", "CMD [\"python3\"]"],
    },
];

const POSTGRES: Recipe = Recipe {
    reference: "localhost/xtask/postgres:15-standin",
    suite: "bookworm",
    packages: &["postgresql-15"],
    scripts: &["postgres-start"],
    config: &[
        PATH_ENV,
        "ENV LANG=C.UTF-8",
        "EXPOSE 5432",
        "ENTRYPOINT [\"/usr/local/bin/postgres-start\"]",
    ],
};

const REDIS: Recipe = Recipe {
    reference: "localhost/xtask/redis:7.0-standin",
    suite: "bookworm",
    packages: &["redis-server"],
    scripts: &[],
    config: &[
        PATH_ENV,
        "EXPOSE 6379",
        "USER redis",
        "WORKDIR /tmp",
        "CMD [\"redis-server\",\"--bind\",\"0.0.0.0\",\"--protected-mode\",\"no\",\"--save\",\"\"]",
    ],
};

/// Debian 13 has Node 20.
const NODE: Recipe = Recipe {
    reference: "localhost/xtask/node:20-trixie-standin",
    suite: "trixie",
    packages: &["ca-certificates", "git", "nodejs", "npm"],
    scripts: &[],
    config: &[PATH_ENV, "CMD [\"node\"]"],
};

/// The folder of the hook and the scripts, below the top folder.
const FOLDER: &str = "docker/base";

/// Whether a local name is that of a stand-in.
pub fn is_reference(name: &str) -> bool {
    name.starts_with("localhost/xtask/") && name.contains("-standin")
}

/// What can stand in for `reference`: an official Python, PostgreSQL, Redis or Node image. Of the two
/// Pythons the newer Debian's serves where 3.13 or trixie is asked for, or the lock is for no Python
/// older than `python`.
pub fn recipe(reference: &Reference, python: Option<(u32, u32)>) -> Option<Recipe> {
    let newer = python.is_some_and(|oldest| oldest > (3, 11));
    let tag = reference.tag.as_deref().unwrap_or_default();
    match reference.repository.strip_prefix("library/")? {
        "python" if newer || tag.starts_with("3.13") || tag.contains("trixie") => Some(PYTHON[1]),
        "python" => Some(PYTHON[0]),
        "postgres" => Some(POSTGRES),
        "redis" => Some(REDIS),
        "node" => Some(NODE),
        _ => None,
    }
}

/// The commands that make a stand-in in an engine's store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Making {
    /// Its local name: the recipe's, with the architecture in it if that isn't the engine's.
    pub reference: String,
    /// The label that tells a stand-in of this recipe from an older one.
    pub recipe: String,
    /// Fetches the packages, once for all engines and checkouts; empty when that was done.
    pub fetch: Vec<Invocation>,
    /// Gives the result to the engine.
    pub import: Invocation,
}

/// The label that holds [`Making::recipe`].
pub const LABEL: &str = "dev.senex.xtask.standin";

/// Plans how to make `recipe` with the hook of the workflow at `top`; packages are kept in `cache`.
/// They come from `mirror`, which is no part of the recipe: its packages are Debian's, signed. They
/// are `foreign`'s, if a platform is given.
///
/// # Errors
/// When a script of `docker/base` can't be read; [`Exit::Usage`] for a platform that Debian hasn't.
pub fn making(
    recipe: &Recipe,
    top: &Path,
    cache: &Path,
    mirror: Option<&str>,
    foreign: Option<&str>,
    engine: &Engine,
) -> anyhow::Result<Making> {
    let architecture = foreign.map(debian_name).transpose()?;
    let reference = match architecture {
        Some(name) => recipe.reference.replace("-standin", &format!("-{name}-standin")),
        None => recipe.reference.to_owned(),
    };
    // Another project has no such folder.
    let own = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/base"));
    let folder = Some(top.join(FOLDER)).filter(|folder| folder.is_dir()).unwrap_or(own);
    let hook = folder.join("slim.sh");
    let scripts: Vec<PathBuf> = recipe.scripts.iter().map(|name| folder.join(name)).collect();
    let mut text = format!("{recipe:?}{EXCLUDED:?}");
    for file in scripts.iter().chain([&hook]) {
        text += &process::disk::text(file, &file.display().to_string())?;
    }
    let hash = source::git::blob_id(text.as_bytes())?[..12].to_owned();
    let name = reference.rsplit('/').next().unwrap_or_default().replace(':', "-");
    let archive = cache.join(format!("standins/{name}-{hash}.tar"));
    let path = |path: &Path| path.display().to_string();
    let part = archive.with_extension("tar.part");
    let mut customize = format!("--customize-hook=sh {} \"$1\"", quoted(&path(&hook)));
    for script in &scripts {
        customize += &format!(" {}", quoted(&path(script)));
    }
    let mut debootstrap = vec![
        "--variant=minbase".to_owned(),
        "--format=tar".to_owned(),
        format!("--include={}", recipe.packages.join(",")),
    ];
    if let Some(name) = architecture {
        // Its own check wants another package; that such programs run here was looked at before.
        debootstrap.extend([format!("--architectures={name}"), "--skip=check/qemu".to_owned()]);
    }
    debootstrap.extend(EXCLUDED.iter().map(|path| format!("--dpkgopt=path-exclude={path}")));
    debootstrap.extend(KEPT.iter().map(|path| format!("--dpkgopt=path-include={path}")));
    debootstrap.extend([customize, recipe.suite.to_owned(), path(&part)]);
    debootstrap.extend(mirror.map(str::to_owned));
    let fetch = if archive.is_file() {
        Vec::new()
    } else {
        vec![
            Invocation::new("mkdir", ["-p".to_owned(), path(&cache.join("standins"))]),
            Invocation::new("mmdebstrap", debootstrap),
            Invocation::new("mv", [path(&part), path(&archive)]),
        ]
    };
    let mut config: Vec<String> = recipe.config.iter().map(ToString::to_string).collect();
    config.push(format!("LABEL {}=1", engine::label::OURS));
    config.push(format!("LABEL {LABEL}={hash}"));
    let import = words::import(engine, &path(&archive), &config, foreign, &reference);
    Ok(Making { reference, recipe: hash, fetch, import })
}

fn debian_name(platform: &str) -> anyhow::Result<&'static str> {
    platform::debian(platform).ok_or_else(|| {
        let message = format!("making a stand-in for {platform}: Debian has no such platform");
        failure_help(Exit::Usage, message, "name an image that is in the local store with --base")
    })
}

/// What the official slim images also leave out: it isn't read in a container.
const EXCLUDED: [&str; 6] = [
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/lintian/*",
    "/usr/share/linda/*",
];
/// The licences stay.
const KEPT: [&str; 1] = ["/usr/share/doc/*/copyright"];

#[cfg(test)]
mod tests {
    use super::*;
    use engine::EngineKind;
    use expect_test::expect;

    #[test]
    fn official_images_have_a_stand_in_and_others_have_none() {
        let check = |reference: &str, expected: Option<&str>| {
            let found = recipe(&engine::reference::parse(reference).unwrap(), None);
            assert_eq!(found.map(|recipe| recipe.reference), expected, "{reference}");
        };
        check("docker.io/library/python:3.12-slim-bookworm", Some(PYTHON[0].reference));
        check("docker.io/library/python:3.13-slim-bookworm", Some(PYTHON[1].reference));
        check("mirror.example/library/python:3.12-slim-trixie", Some(PYTHON[1].reference));
        check("docker.io/library/postgres:16", Some(POSTGRES.reference));
        check("docker.io/library/redis:7", Some(REDIS.reference));
        check("docker.io/library/node:22", Some(NODE.reference));
        check("ghcr.io/someone/python:3.12", None);
        let python = engine::reference::parse("docker.io/library/python:3.12-slim").unwrap();
        for (oldest, index) in [((3, 10), 0), ((3, 11), 0), ((3, 12), 1)] {
            assert_eq!(recipe(&python, Some(oldest)), Some(PYTHON[index]), "{oldest:?}");
        }
        for recipe in PYTHON.iter().chain([&POSTGRES, &REDIS, &NODE]) {
            let reference = engine::reference::parse(recipe.reference).unwrap();
            assert!(reference.tag.is_some_and(|tag| tag.ends_with("standin")));
        }
    }

    #[test]
    fn the_commands_are_whole_and_fetching_happens_once() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join(FOLDER);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("slim.sh"), "").unwrap();
        std::fs::write(folder.join("postgres-start"), "").unwrap();
        let engine = Engine::assumed(EngineKind::Podman);
        let cache = top.path().join("cache");
        let making_now = || making(&POSTGRES, top.path(), &cache, None, None, &engine).unwrap();
        let plan = making_now();
        let shown = |invocation: &Invocation| {
            invocation
                .to_string()
                .replace(&top.path().display().to_string(), "TOP")
                .replace(&plan.recipe, "HASH")
        };
        let text: Vec<String> = plan.fetch.iter().chain([&plan.import]).map(shown).collect();
        expect![[r#"
            mkdir -p TOP/cache/standins
            mmdebstrap --variant=minbase --format=tar --include=postgresql-15 '--dpkgopt=path-exclude=/usr/share/doc/*' '--dpkgopt=path-exclude=/usr/share/man/*' '--dpkgopt=path-exclude=/usr/share/info/*' '--dpkgopt=path-exclude=/usr/share/locale/*' '--dpkgopt=path-exclude=/usr/share/lintian/*' '--dpkgopt=path-exclude=/usr/share/linda/*' '--dpkgopt=path-include=/usr/share/doc/*/copyright' '--customize-hook=sh TOP/docker/base/slim.sh "$1" TOP/docker/base/postgres-start' bookworm TOP/cache/standins/postgres-15-standin-HASH.tar.part
            mv TOP/cache/standins/postgres-15-standin-HASH.tar.part TOP/cache/standins/postgres-15-standin-HASH.tar
            podman import --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' --change 'ENV LANG=C.UTF-8' --change 'EXPOSE 5432' --change 'ENTRYPOINT ["/usr/local/bin/postgres-start"]' --change 'LABEL dev.senex.xtask=1' --change 'LABEL dev.senex.xtask.standin=HASH' TOP/cache/standins/postgres-15-standin-HASH.tar localhost/xtask/postgres:15-standin"#]].assert_eq(&text.join("\n"));
        let mirror = Some("http://mirror.example/debian");
        let mirrored = making(&POSTGRES, top.path(), &cache, mirror, None, &engine).unwrap();
        assert_eq!(mirrored.fetch[1].words.last().map(String::as_str), mirror);
        assert_eq!(mirrored.recipe, plan.recipe);
        std::fs::create_dir_all(cache.join("standins")).unwrap();
        let archive = plan.fetch[2].words[1].clone();
        std::fs::write(archive, "").unwrap();
        assert_eq!(making_now(), Making { fetch: Vec::new(), ..plan.clone() });
        std::fs::write(folder.join("postgres-start"), "changed").unwrap();
        assert_ne!(making_now().recipe, plan.recipe);
    }

    #[test]
    fn a_foreign_stand_in_has_its_architecture_in_its_name() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join(FOLDER);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("slim.sh"), "").unwrap();
        let check = |kind: EngineKind, platform: &str, options: &[&str]| {
            let engine = Engine::assumed(kind);
            let plan =
                making(&PYTHON[0], top.path(), top.path(), None, Some(platform), &engine).unwrap();
            let reference = "localhost/xtask/python:3.11-slim-bookworm-arm64-standin";
            assert_eq!(plan.reference, reference);
            assert!(plan.fetch[1].words.contains(&"--architectures=arm64".to_owned()));
            let words = plan.import.to_string();
            assert!(words.ends_with(reference) && words.contains(&options.join(" ")), "{words}");
        };
        check(EngineKind::Podman, "linux/arm64", &["--os", "linux", "--arch", "arm64"]);
        check(EngineKind::Podman, "linux/arm64/v8", &["--variant", "v8"]);
        check(EngineKind::Docker, "linux/arm64", &["--platform=linux/arm64"]);
        let engine = Engine::assumed(EngineKind::Podman);
        let none = making(&PYTHON[0], top.path(), top.path(), None, Some("linux/vax"), &engine);
        assert_eq!(process::failure::describe(&none.unwrap_err()).0, Exit::Usage);
    }
}
