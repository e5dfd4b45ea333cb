//! All that a build reads, as one hash. While it is that of the build before, and the image of that
//! build still has its names, there is nothing to build: what the engine would do is look up every
//! step in its layer cache.

use crate::verify::Size;
use engine::build::{BASE_IMAGE, Base, BuildPlan};
use engine::dockerfile;
use engine::{Engine, words};
use process::state::State;
use serde::{Deserialize, Serialize};
use source::content::Sha256;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The file with the records.
const BUILT: &str = "built.json";

/// What the last build of a name made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildRecord {
    /// The fingerprint of what it read.
    pub fingerprint: String,
    pub image_id: String,
    /// How large it is.
    pub size: Size,
    /// What the engine said when it built it.
    pub log: PathBuf,
    /// What was asked of the engine.
    #[serde(default)]
    pub known: Option<EngineAnswers>,
}

/// What a build asked of its engine, for the next one to begin with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineAnswers {
    /// What the answers depend on.
    pub key: String,
    pub engine: Engine,
    pub base: Base,
}

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
pub struct FingerprintInputs<'a> {
    /// The engine that builds.
    pub engine: &'a Engine,
    pub plan: &'a BuildPlan,
    /// The values of [`BuildPlan::passed`], then of [`VARIABLES`].
    pub values: Vec<Option<String>>,
    /// The hash of the files that the engine is given.
    pub snapshot: String,
}

/// The fingerprint: of the plan with its labels and its base, the engine and its place, the
/// variables that the build is given, the Dockerfile, and the snapshot of the build context. `None`
/// if the build has to run to know: without the layer cache or with one in a registry, or when
/// something comes from elsewhere. A secret's value is no part of it, as it is no part of the
/// engines' layer caches.
pub fn of(inputs: &FingerprintInputs<'_>) -> Option<String> {
    let FingerprintInputs { engine, plan, values, snapshot } = inputs;
    let base = plan.build_args.get(BASE_IMAGE);
    let elsewhere =
        base != Some(&plan.base.reference) || !dockerfile::foreign(&plan.text).is_empty();
    if elsewhere || plan.no_cache || plan.squash || plan.layer_cache.is_some() {
        return None;
    }
    let Engine { kind, program, version, platform, env, place, .. } = engine;
    // How the base was found is no part of what it is.
    let plan =
        BuildPlan { base: Base { why: String::new(), ..plan.base.clone() }, ..(*plan).clone() };
    let parts = [
        env!("CARGO_PKG_VERSION").to_owned(),
        format!("{kind} {program} {version} {platform} {env:?} {place:?}"),
        format!("{plan:?} {values:?} {}", words::build(engine, &plan)),
        snapshot.clone(),
    ];
    let parts: Vec<&[u8]> = parts.iter().map(String::as_bytes).collect();
    Some(hash(&parts))
}

/// The SHA-256 of `parts`, each told from the next, in hexadecimal.
pub fn hash(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::default();
    for part in parts {
        hash.update(&part.len().to_le_bytes());
        hash.update(part);
    }
    hash.finish()
}

/// The record of the build that made `reference` last.
pub fn recorded(state: &State, reference: &str) -> Option<BuildRecord> {
    state.remembered::<BTreeMap<String, BuildRecord>>(BUILT)?.remove(reference)
}

/// What a build asked when `key` was the same.
pub fn known(state: &State, key: &str) -> Option<EngineAnswers> {
    let all = state.remembered::<BTreeMap<String, BuildRecord>>(BUILT)?;
    all.into_values().filter_map(|record| record.known).find(|known| known.key == key)
}

/// The logs of the builds that made what is current.
pub fn logs(state: &State) -> Vec<PathBuf> {
    let all = state.remembered::<BTreeMap<String, BuildRecord>>(BUILT).unwrap_or_default();
    all.into_values().map(|record| record.log).collect()
}

/// Records what was made for the name `reference`.
pub fn record(state: &State, reference: &str, record: BuildRecord) -> anyhow::Result<()> {
    let mut all: BTreeMap<String, BuildRecord> = state.remembered(BUILT).unwrap_or_default();
    all.insert(reference.to_owned(), record);
    state.remember(BUILT, &all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::EngineKind;

    const DOCKERFILE: &str = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY app/ /app/\n";

    struct Case {
        engine: Engine,
        plan: BuildPlan,
        values: Vec<Option<String>>,
        snapshot: String,
    }

    type Change = fn(&mut Case);

    impl Case {
        fn new() -> Case {
            Case {
                engine: Engine::assumed(EngineKind::Podman),
                plan: BuildPlan {
                    build_args: BTreeMap::from([(BASE_IMAGE.to_owned(), "base:1".to_owned())]),
                    base: Base { reference: "base:1".into(), ..Base::default() },
                    text: DOCKERFILE.to_owned(),
                    ..BuildPlan::default()
                },
                values: vec![Some("http://proxy.example".into())],
                snapshot: "1".to_owned(),
            }
        }

        fn fingerprint(&self) -> Option<String> {
            let Case { engine, plan, values, snapshot } = self;
            let (values, snapshot) = (values.clone(), snapshot.clone());
            of(&FingerprintInputs { engine, plan, values, snapshot })
        }
    }

    #[test]
    fn whatever_a_build_reads_changes_the_fingerprint() {
        let changes: [(&str, Change); 7] = [
            ("files", |c| c.snapshot = "2".to_owned()),
            ("label", |c| drop(c.plan.labels.insert("a".into(), "b".into()))),
            ("base", |c| c.plan.base.id = "sha256:2".into()),
            ("proxy", |c| c.values = vec![None]),
            ("engine", |c| c.engine.version = engine::EngineVersion(5, 0, 0)),
            ("place", |c| c.engine.place = Some("ssh://elsewhere".into())),
            ("Dockerfile", |c| c.plan.text += "USER 1\n"),
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
        assert_eq!(before, case.fingerprint());
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
        check(|case| case.plan.text += "ADD https://example.com/a /a\n");
        check(|case| case.plan.text += "COPY --from=tools:1 /a /a\n");
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
        let made = |id: &str| BuildRecord {
            fingerprint: "f".into(),
            image_id: id.into(),
            size: Size { bytes: 5, exact: true, config_digest: None },
            log: "log".into(),
            known: None,
        };
        for (name, id) in [("a:prod", "1"), ("a:dev", "2"), ("a:prod", "3")] {
            record(&state, name, made(id)).unwrap();
        }
        assert_eq!(recorded(&state, "a:prod"), Some(made("3")));
        assert_eq!(recorded(&state, "a:dev"), Some(made("2")));
    }
}
