//! All that a build reads, as one hash. While it is that of the build before, and the image of that
//! build still has its names, there is nothing to build: what the engine would do is look up every
//! step in its layer cache.

use crate::verify::Size;
use anyhow::Context as _;
use engine::build::{BASE_IMAGE, Base, Build};
use engine::dockerfile;
use engine::{Engine, words};
use process::state::State;
use ring::digest;
use serde::{Deserialize, Serialize};
use source::context::{self, ContextFile};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Where the records are.
const BUILT: &str = "built.json";

/// What the last build of a name made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The fingerprint of what it read.
    pub fingerprint: String,
    /// The image.
    pub image_id: String,
    /// How large it is.
    pub size: Size,
    /// What the engine said when it built it.
    pub log: PathBuf,
}

/// The files of a build context and its folders, below the top.
pub type Listed = (Vec<ContextFile>, Vec<String>);

/// Variables that the engines' own programs read, and that change what they build.
pub const VARIABLES: [&str; 8] = [
    "BUILDAH_FORMAT",
    "BUILDX_BUILDER",
    "BUILDX_NO_DEFAULT_ATTESTATIONS",
    "CONTAINERS_CONF",
    "CONTAINERS_STORAGE_CONF",
    "DOCKER_BUILDKIT",
    "DOCKER_DEFAULT_PLATFORM",
    "SOURCE_DATE_EPOCH",
];

/// What [`of`] looks at.
pub struct Inputs<'a> {
    /// The engine that builds.
    pub engine: &'a Engine,
    /// The build.
    pub plan: &'a Build,
    /// The values of [`Build::passed`], then of [`VARIABLES`].
    pub values: Vec<Option<String>>,
    /// The text of the Dockerfile.
    pub dockerfile: &'a str,
    /// Top folder of the workflow.
    pub top: &'a Path,
}

/// The fingerprint: of the plan with its labels and its base, the engine and its place, the
/// variables that the build is given, the Dockerfile, and every file and folder of the build context
/// with its mode (not its time, which no layer cache asks for). `None` where the build has to run
/// to know: without the layer cache or with one in a registry, or where something comes from
/// elsewhere. A secret's value is no part of it, as it is none of the engines' layer caches.
///
/// # Errors
/// When a file can't be read.
pub fn of(inputs: &Inputs<'_>, (files, folders): &Listed) -> anyhow::Result<Option<String>> {
    let Inputs { engine, plan, values, dockerfile, top } = inputs;
    let base = plan.build_args.get(BASE_IMAGE);
    let elsewhere =
        base != Some(&plan.base.reference) || !dockerfile::foreign(dockerfile).is_empty();
    if elsewhere || plan.no_cache || plan.squash || plan.layer_cache.is_some() {
        return Ok(None);
    }
    let Engine { kind, program, version, platform, env, place, .. } = engine;
    // How the base was found is no part of what it is.
    let plan = Build { base: Base { why: String::new(), ..plan.base.clone() }, ..(*plan).clone() };
    let mut parts = vec![
        env!("CARGO_PKG_VERSION").as_bytes().to_vec(),
        format!("{kind} {program} {version} {platform} {env:?} {place:?}").into_bytes(),
        format!("{plan:?} {values:?} {}", words::build(engine, &plan)).into_bytes(),
        dockerfile.as_bytes().to_vec(),
    ];
    for file in files {
        let path = top.join(&file.path);
        let content = match file.kind {
            context::Kind::Symlink => {
                fs::read_link(&path).map(|target| target.as_os_str().as_bytes().to_vec())
            }
            context::Kind::File => content(&path),
            context::Kind::Other => Ok(Vec::new()),
        };
        parts.push(named(top, &file.path)?);
        parts.push(content.with_context(|| format!("reading {}", path.display()))?);
    }
    for folder in folders {
        parts.push(named(top, folder)?);
    }
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    Ok(Some(hash(&parts)))
}

/// The SHA-256 of a file, which may be large.
fn content(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = fs::File::open(path)?;
    let mut context = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(context.finish().as_ref().to_vec()),
            count => context.update(&buffer[..count]),
        }
    }
}

/// Whether one of the files and folders, or the Dockerfile, was changed at `since` or later, even to
/// what it was before. The clock of a file system is behind by up to [`TICK`].
///
/// # Errors
/// When one can't be looked at.
pub fn changed_since(
    since: SystemTime,
    dockerfile: &str,
    (files, folders): &Listed,
    top: &Path,
) -> anyhow::Result<bool> {
    let since = since.duration_since(SystemTime::UNIX_EPOCH).context("reading the clock")?;
    let since = since.saturating_sub(TICK);
    let paths = files.iter().map(|file| file.path.as_str());
    for path in paths.chain(folders.iter().map(String::as_str)).chain([dockerfile]) {
        let found = top.join(path).symlink_metadata().with_context(|| format!("reading {path}"))?;
        let seconds = u64::try_from(found.ctime()).unwrap_or_default();
        let nanoseconds = u32::try_from(found.ctime_nsec()).unwrap_or_default();
        if Duration::new(seconds, nanoseconds) >= since {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A tick of a kernel that counts a hundred a second, the slowest there is.
const TICK: Duration = Duration::from_millis(10);

/// A path with the type and the mode of what is there.
fn named(top: &Path, path: &str) -> anyhow::Result<Vec<u8>> {
    let found = top.join(path).symlink_metadata().with_context(|| format!("reading {path}"))?;
    Ok(format!("{path} {:o}", found.permissions().mode()).into_bytes())
}

/// The SHA-256 of `parts`, each told from the next, in hexadecimal.
pub fn hash(parts: &[&[u8]]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&part.len().to_le_bytes());
        context.update(part);
    }
    context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The record of the build that made `reference` last.
pub fn recorded(state: &State, reference: &str) -> Option<Record> {
    state.remembered::<BTreeMap<String, Record>>(BUILT)?.remove(reference)
}

/// Records what was made for the name `reference`.
///
/// # Errors
/// When the file can't be written.
pub fn record(state: &State, reference: &str, record: Record) -> anyhow::Result<()> {
    let mut all: BTreeMap<String, Record> = state.remembered(BUILT).unwrap_or_default();
    all.insert(reference.to_owned(), record);
    state.remember(BUILT, &all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Kind;
    use source::ignore::Ignore;
    use std::os::unix::fs::symlink;

    const DOCKERFILE: &str = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY app/ /app/\n";

    /// A context of one file, one link and one empty folder.
    struct Case {
        folder: tempfile::TempDir,
        engine: Engine,
        plan: Build,
        values: Vec<Option<String>>,
        dockerfile: String,
    }

    type Change = fn(&mut Case);

    impl Case {
        fn new() -> Case {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir_all(folder.path().join("app/empty")).unwrap();
            fs::write(folder.path().join("app/a.py"), "1\n").unwrap();
            symlink("a.py", folder.path().join("app/b.py")).unwrap();
            Case {
                folder,
                engine: Engine::assumed(Kind::Podman),
                plan: Build {
                    build_args: BTreeMap::from([(BASE_IMAGE.to_owned(), "base:1".to_owned())]),
                    base: Base { reference: "base:1".into(), ..Base::default() },
                    ..Build::default()
                },
                values: vec![Some("http://proxy.example".into())],
                dockerfile: DOCKERFILE.to_owned(),
            }
        }

        fn fingerprint(&self) -> Option<String> {
            let top = self.folder.path();
            let ignore = Ignore::parse("*\n!app\napp/left-out\n").unwrap();
            let inputs = Inputs {
                engine: &self.engine,
                plan: &self.plan,
                values: self.values.clone(),
                dockerfile: &self.dockerfile,
                top,
            };
            of(&inputs, &context::files_and_folders(top, &ignore).unwrap()).unwrap()
        }
    }

    #[test]
    fn whatever_a_build_reads_changes_the_fingerprint() {
        let changes: [(&str, Change); 14] = [
            ("content", |c| fs::write(c.folder.path().join("app/a.py"), "2\n").unwrap()),
            ("mode", |c| {
                let mode = fs::Permissions::from_mode(0o755);
                fs::set_permissions(c.folder.path().join("app/a.py"), mode).unwrap();
            }),
            ("new file", |c| fs::write(c.folder.path().join("app/c.py"), "").unwrap()),
            ("no file", |c| fs::remove_file(c.folder.path().join("app/a.py")).unwrap()),
            ("name", |c| {
                let app = c.folder.path().join("app");
                fs::rename(app.join("a.py"), app.join("c.py")).unwrap();
            }),
            ("link", |c| {
                let link = c.folder.path().join("app/b.py");
                fs::remove_file(&link).unwrap();
                symlink("elsewhere", link).unwrap();
            }),
            ("new folder", |c| fs::create_dir(c.folder.path().join("app/new")).unwrap()),
            ("folder's mode", |c| {
                let mode = fs::Permissions::from_mode(0o700);
                fs::set_permissions(c.folder.path().join("app/empty"), mode).unwrap();
            }),
            ("label", |c| drop(c.plan.labels.insert("a".into(), "b".into()))),
            ("base", |c| c.plan.base.id = "sha256:2".into()),
            ("proxy", |c| c.values = vec![None]),
            ("engine", |c| c.engine.version = engine::Version(5, 0, 0)),
            ("place", |c| c.engine.place = Some("ssh://elsewhere".into())),
            ("Dockerfile", |c| c.dockerfile += "USER 1\n"),
        ];
        for (what, change) in changes {
            let mut case = Case::new();
            let before = case.fingerprint();
            assert!(before.is_some() && before == case.fingerprint(), "{what}");
            change(&mut case);
            assert_ne!(before, case.fingerprint(), "{what}");
        }
        let mut case = Case::new();
        let before = case.fingerprint();
        case.plan.base.why = "found another way".into();
        fs::write(case.folder.path().join("app/left-out"), "").unwrap();
        fs::write(case.folder.path().join("app/a.py"), "1\n").unwrap();
        assert_eq!(before, case.fingerprint(), "what isn't read, and times, are nothing");
    }

    #[test]
    fn what_nobody_can_know_without_building_has_none() {
        let check = |change: Change| {
            let mut case = Case::new();
            change(&mut case);
            assert_eq!(case.fingerprint(), None);
        };
        check(|case| case.plan.no_cache = true);
        check(|case| case.plan.squash = true);
        check(|case| drop(case.plan.build_args.insert(BASE_IMAGE.into(), "mine:1".into())));
        check(|case| case.plan.layer_cache = Some(engine::build::Cache::default()));
        check(|case| case.dockerfile += "ADD https://example.com/a /a\n");
        check(|case| case.dockerfile += "COPY --from=tools:1 /a /a\n");
    }

    /// As it would be with a branch that is looked at and left again while the engine reads.
    #[test]
    fn a_change_that_is_taken_back_is_seen() {
        let case = Case::new();
        let top = case.folder.path();
        fs::write(top.join("Dockerfile"), "").unwrap();
        let ignore = Ignore::parse("*\n!app\n").unwrap();
        let changed = |since| {
            let listed = context::files_and_folders(top, &ignore).unwrap();
            changed_since(since, "Dockerfile", &listed, top).unwrap()
        };
        let wait = || std::thread::sleep(3 * TICK);
        wait();
        assert!(!changed(SystemTime::now()));
        for file in ["app/a.py", "Dockerfile"] {
            let since = SystemTime::now();
            fs::write(top.join(file), fs::read(top.join(file)).unwrap()).unwrap();
            assert!(changed(since), "{file}");
            wait();
            assert!(!changed(SystemTime::now()), "{file}");
        }
        let since = SystemTime::now();
        fs::write(top.join("app/new"), "").unwrap();
        fs::remove_file(top.join("app/new")).unwrap();
        assert!(changed(since), "a file that came and went");
    }

    #[test]
    fn parts_are_told_apart() {
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
    }

    #[test]
    fn records_are_kept_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::of(folder.path());
        assert_eq!(recorded(&state, "a:prod"), None);
        let made = |id: &str| Record {
            fingerprint: "f".into(),
            image_id: id.into(),
            size: Size { bytes: 5, exact: true, config_digest: None },
            log: "log".into(),
        };
        for (name, id) in [("a:prod", "1"), ("a:dev", "2"), ("a:prod", "3")] {
            record(&state, name, made(id)).unwrap();
        }
        assert_eq!(recorded(&state, "a:prod"), Some(made("3")));
        assert_eq!(recorded(&state, "a:dev"), Some(made("2")));
    }
}
