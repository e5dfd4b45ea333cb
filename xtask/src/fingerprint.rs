//! All that a build reads, as one hash. While it is that of the build before, and the image of that
//! build still has its names, there is nothing to build: what the engine would do is look up every
//! step in its layer cache.

use crate::context::{self, ContextFile};
use crate::dockerfile;
use crate::engine::{Engine, words};
use crate::plan::Build;
use crate::state::State;
use crate::verify::Size;
use anyhow::Context as _;
use ring::digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

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
}

/// The files of a build context and its folders, below the top.
pub type Listed = (Vec<ContextFile>, Vec<String>);

/// What [`of`] looks at.
pub struct Inputs<'a> {
    /// The engine that builds.
    pub engine: &'a Engine,
    /// The build.
    pub plan: &'a Build,
    /// The values of [`Build::passed`], in that order.
    pub passed: Vec<Option<String>>,
    /// The text of the Dockerfile.
    pub dockerfile: &'a str,
    /// Top folder of the workflow.
    pub top: &'a Path,
}

/// The fingerprint: of the plan with its labels and its base, the engine and its place, the values
/// that are passed on, the Dockerfile, and every file and folder of the build context with its mode
/// (not its time, which no engine asks for). `None` where the build has to run to know: without the
/// layer cache, with one in a registry, or where the Dockerfile takes something from elsewhere. A
/// secret's value is no part of it, as it is none of the engines' layer caches.
///
/// # Errors
/// When a file can't be read.
pub fn of(inputs: &Inputs<'_>, (files, folders): &Listed) -> anyhow::Result<Option<String>> {
    let Inputs { engine, plan, passed, dockerfile, top } = inputs;
    let elsewhere = !dockerfile::foreign(&dockerfile::instructions(dockerfile)).is_empty();
    if elsewhere || plan.no_cache || plan.layer_cache.is_some() {
        return Ok(None);
    }
    let Engine { kind, program, version, platform, env, place, .. } = engine;
    let mut parts = vec![
        env!("CARGO_PKG_VERSION").as_bytes().to_vec(),
        format!("{kind} {program} {version} {platform} {env:?} {place:?}").into_bytes(),
        format!("{plan:?} {passed:?} {}", words::build(engine, plan)).into_bytes(),
        dockerfile.as_bytes().to_vec(),
    ];
    for file in files {
        let path = top.join(&file.path);
        let content = match file.kind {
            context::Kind::Symlink => {
                fs::read_link(&path).map(|target| target.as_os_str().as_bytes().to_vec())
            }
            context::Kind::File => fs::read(&path)
                .map(|content| digest::digest(&digest::SHA256, &content).as_ref().to_vec()),
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
    use crate::engine::Kind;
    use crate::ignore::Ignore;
    use std::os::unix::fs::symlink;

    const DOCKERFILE: &str = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY app/ /app/\n";

    /// A context of one file, one link and one empty folder.
    struct Case {
        folder: tempfile::TempDir,
        engine: Engine,
        plan: Build,
        passed: Vec<Option<String>>,
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
                plan: Build { passed: vec!["HTTP_PROXY".into()], ..Build::default() },
                passed: vec![Some("http://proxy.example".into())],
                dockerfile: DOCKERFILE.to_owned(),
            }
        }

        fn fingerprint(&self) -> Option<String> {
            let top = self.folder.path();
            let ignore = Ignore::parse("*\n!app\napp/left-out\n").unwrap();
            let inputs = Inputs {
                engine: &self.engine,
                plan: &self.plan,
                passed: self.passed.clone(),
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
            ("proxy", |c| c.passed = vec![None]),
            ("engine", |c| c.engine.version = crate::engine::Version(5, 0, 0)),
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
        let case = Case::new();
        let before = case.fingerprint();
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
        check(|case| case.plan.layer_cache = Some(crate::plan::cache::Cache::default()));
        check(|case| case.dockerfile += "ADD https://example.com/a /a\n");
        check(|case| case.dockerfile += "COPY --from=tools:1 /a /a\n");
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
        };
        for (name, id) in [("a:prod", "1"), ("a:dev", "2"), ("a:prod", "3")] {
            record(&state, name, made(id)).unwrap();
        }
        assert_eq!(recorded(&state, "a:prod"), Some(made("3")));
        assert_eq!(recorded(&state, "a:dev"), Some(made("2")));
    }
}
