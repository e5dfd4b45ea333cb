//! Statements about an image in a registry (in-toto attestation framework, v1): how it
//! was made and how its smoke test ended. Pure: from the record of a release.

mod sbom;

use crate::report::release::ReleaseRecord;
use base64::Engine as _;
use engine::archive::Archive;
use registry::Artifact;
use sbom::sbom;
pub use sbom::{SPDX, debian_versions, packages};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The media type of a statement, and the kind of its artifact.
pub const STATEMENT: &str = "application/vnd.in-toto+json";
/// The annotation with the predicate's type, as cosign and buildx write it.
const PREDICATE: &str = "in-toto.io/predicate-type";
/// The predicate with the outcome of a test (in-toto, "Test Result").
pub const TEST_RESULT: &str = "https://in-toto.io/attestation/test-result/v0.1";
/// The predicate that says how an image was made (slsa.dev, "Provenance", v1).
pub const PROVENANCE: &str = "https://slsa.dev/provenance/v1";
/// What the fields of our builds mean: docs/trust.md.
const BUILD_TYPE: &str = "https://senex.dev/xtask/build/v1";
/// Who builds: this workflow, wherever it runs (SLSA's Build L1: provenance that names its builder).
const BUILDER: &str = "https://senex.dev/xtask";
/// The name of the material that locks the Python packages.
const LOCK: &str = "lock";

/// One statement about one image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    predicate_type: String,
    /// As its type has it.
    pub predicate: Value,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Subject {
    name: String,
    digest: BTreeMap<String, String>,
}

impl Statement {
    /// `digest`: of the image in the registry, `sha256:…`; `name`: its repository.
    fn new(name: &str, digest: &str, predicate_type: &str, predicate: Value) -> Statement {
        Statement {
            kind: "https://in-toto.io/Statement/v1".to_owned(),
            subject: vec![Subject { name: name.to_owned(), digest: of_digest(digest) }],
            predicate_type: predicate_type.to_owned(),
            predicate,
        }
    }

    /// Reads a statement of this type about the image with this digest; `None` for any other.
    pub fn read(content: &[u8], predicate_type: &str, digest: &str) -> Option<Statement> {
        let statement: Statement = serde_json::from_slice(content).ok()?;
        let about = statement.subject.iter().any(|subject| subject.digest == of_digest(digest));
        (about && statement.predicate_type == predicate_type).then_some(statement)
    }

    /// Reads the statement in an envelope (DSSE v1), as [`Statement::read`] does. Who signed it is not
    /// looked at here.
    pub fn of_envelope(envelope: &str, predicate_type: &str, digest: &str) -> Option<Statement> {
        let envelope: Value = serde_json::from_str(envelope).ok()?;
        let payload =
            base64::engine::general_purpose::STANDARD.decode(envelope["payload"].as_str()?);
        Statement::read(&payload.ok()?, predicate_type, digest)
    }

    pub fn predicate_type(&self) -> &str {
        &self.predicate_type
    }

    /// How a registry keeps it.
    pub fn artifact(&self, created: &str) -> anyhow::Result<Artifact> {
        Ok(Artifact {
            artifact_type: STATEMENT.to_owned(),
            media_type: STATEMENT.to_owned(),
            content: serde_json::to_vec_pretty(self)?,
            annotations: BTreeMap::from([
                (PREDICATE.to_owned(), self.predicate_type.clone()),
                (format!("{}created", engine::label::OCI), created.to_owned()),
            ]),
        })
    }
}

/// How a smoke test ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tested {
    pub passed: bool,
    /// How many checks passed.
    pub checks: usize,
    /// The names of those that failed.
    pub failed: Vec<String>,
    /// Those that were skipped by the configuration.
    pub skipped: Vec<String>,
    /// All that it names.
    pub all: Vec<String>,
    /// RFC 3339 UTC.
    pub time: String,
    /// Name and version of the engine.
    pub engine: String,
}

impl Tested {
    /// That of the newest test: a newer one that failed counts more than an older one that passed.
    pub fn newest(statements: &[Statement]) -> Option<Tested> {
        statements.iter().map(Tested::read).max_by(|a, b| a.time.cmp(&b.time))
    }

    fn read(statement: &Statement) -> Tested {
        let predicate = &statement.predicate;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let names = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().map(text).collect()
        };
        let (passed, failed) = (names(&predicate["passedTests"]), names(&predicate["failedTests"]));
        let skipped = predicate["skipped"].as_object().into_iter().flatten();
        Tested {
            // One that says it passed and names a failure, or no check at all, didn't.
            passed: predicate["result"] == "PASSED" && failed.is_empty() && !passed.is_empty(),
            checks: passed.len(),
            all: [&passed[..], &failed, &names(&predicate["warnedTests"])].concat(),
            failed,
            skipped: skipped.map(|(name, _)| name.clone()).collect(),
            time: text(&predicate["time"]),
            engine: text(&predicate["engine"]),
        }
    }
}

/// What an image was made from, as its provenance says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Made {
    pub revision: String,
    /// The base image: its reference, with the digest if one was known.
    pub base: String,
    pub base_digest: Option<String>,
    /// SHA-256 of the lock.
    pub lock_sha256: String,
    pub build_args: BTreeMap<String, String>,
    pub platform: String,
    /// The options of the release.
    pub arguments: Vec<String>,
}

impl Made {
    /// What a provenance statement says.
    pub fn read(statement: &Statement) -> Made {
        let definition = &statement.predicate["buildDefinition"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let asked = &definition["externalParameters"];
        let args = asked["build_args"].as_object().into_iter().flatten();
        let materials = definition["resolvedDependencies"].as_array().into_iter().flatten();
        let materials: Vec<&Value> = materials.collect();
        let (lock, base) = (
            materials.iter().find(|one| one["name"] == LOCK),
            materials
                .iter()
                .find(|one| one["digest"]["gitCommit"].is_null() && one["name"].is_null()),
        );
        Made {
            revision: text(&asked["revision"]),
            base: base.map(|base| text(&base["uri"])).unwrap_or_default(),
            base_digest: base
                .and_then(|base| base["digest"]["sha256"].as_str())
                .map(|digest| format!("sha256:{digest}")),
            lock_sha256: lock.map(|lock| text(&lock["digest"]["sha256"])).unwrap_or_default(),
            build_args: args.map(|(name, value)| (name.clone(), text(value))).collect(),
            platform: text(&asked["platform"]),
            arguments: asked["arguments"].as_array().into_iter().flatten().map(text).collect(),
        }
    }
}

/// Whether a list says that an artifact is a statement of this type.
pub fn is(referrer: &registry::Referrer, predicate_type: &str) -> bool {
    referrer.annotations.get(PREDICATE).is_some_and(|known| known == predicate_type)
}

/// When a list says that a statement was made, RFC 3339 UTC; empty if it doesn't.
pub fn created(referrer: &registry::Referrer) -> &str {
    let name = format!("{}created", engine::label::OCI);
    referrer.annotations.get(&name).map_or("", String::as_str)
}

/// `sha256:abc` as in-toto writes it.
fn of_digest(digest: &str) -> BTreeMap<String, String> {
    let (algorithm, value) = digest.split_once(':').unwrap_or(("sha256", digest));
    BTreeMap::from([(algorithm.to_owned(), value.to_owned())])
}

/// What a release says of its image in this repository under this digest, which holds these packages, with
/// the text of their lock. The same record gives the same bytes, so that a rerun attaches nothing twice.
pub fn of_release(
    record: &ReleaseRecord,
    (archive, lock): (&Archive, &str),
    repository: &str,
    digest: &str,
) -> Vec<Statement> {
    let name = format!("{repository}@{digest}");
    vec![
        Statement::new(repository, digest, PROVENANCE, provenance(record)),
        Statement::new(repository, digest, TEST_RESULT, test_result(record)),
        Statement::new(repository, digest, SPDX, sbom(archive, &name, &record.tested_at, lock)),
    ]
}

fn test_result(record: &ReleaseRecord) -> Value {
    let checks = record.checks.as_array().cloned().unwrap_or_default();
    let named = |outcome: &[&str]| -> Vec<&str> {
        let those = checks.iter().filter(|check| {
            check["outcome"].as_str().is_some_and(|found| outcome.contains(&found))
        });
        those.filter_map(|check| check["name"].as_str()).collect()
    };
    json!({
        "result": if record.tested { "PASSED" } else { "FAILED" },
        "configuration": [{
            "name": "docker/image.toml",
            "uri": source_uri(record),
            "digest": { "gitCommit": record.revision },
        }],
        "passedTests": named(&["ok"]),
        "warnedTests": named(&["skipped"]),
        "failedTests": named(&["failed", "error"]),
        // Beyond the predicate: how long each took, and why one was skipped.
        "time": record.tested_at,
        "engine": format!("{} {}", record.engine, record.engine_version),
        "checks": checks,
        "skipped": record.skipped,
    })
}

fn provenance(record: &ReleaseRecord) -> Value {
    let base = match &record.base_digest {
        Some(digest) => json!({ "uri": record.base, "digest": of_digest(digest) }),
        None => json!({ "uri": record.base }),
    };
    json!({
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "revision": record.revision,
                "version": record.version,
                "platform": record.platform,
                "arguments": record.arguments,
                "build_args": record.build_args,
            },
            "internalParameters": {
                "engine": record.engine,
                "engine_version": record.engine_version,
                "debian_refresh": record.debian_refresh,
            },
            "resolvedDependencies": [
                { "uri": source_uri(record), "digest": { "gitCommit": record.revision } },
                base,
                { "name": LOCK, "digest": { "sha256": record.lock_sha256 } },
            ],
        },
        "runDetails": {
            "builder": { "id": BUILDER },
            "metadata": { "startedOn": record.begun },
        },
    })
}

/// Where the source is, by the image's own label.
fn source_uri(record: &ReleaseRecord) -> String {
    let source = record.labels.get(&format!("{}source", engine::label::OCI));
    match source {
        Some(url) => format!("git+{url}@{}", record.revision),
        None => format!("git:{}", record.revision),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> ReleaseRecord {
        let check = |name: &str, outcome: &str| json!({ "name": name, "outcome": outcome });
        ReleaseRecord {
            version: "1.0.0".into(),
            revision: "1".repeat(40),
            base: "docker.io/library/python:3.12-slim".into(),
            base_digest: Some("sha256:ba5e".into()),
            lock_sha256: "10c4".into(),
            tested: true,
            tested_at: "2026-01-02T03:04:05Z".into(),
            checks: json!([check("web", "ok"), check("size", "ok"), check("beat", "skipped")]),
            skipped: BTreeMap::from([("beat".into(), "no schedule".into())]),
            ..ReleaseRecord::default()
        }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let archive = Archive::default();
        let all = of_release(&record(), (&archive, ""), "in.example/app", "sha256:abc");
        let read = |predicate: &str, digest: &str| {
            let contents = all.iter().map(|one| one.artifact("now").unwrap().content);
            contents.filter_map(|content| Statement::read(&content, predicate, digest)).next()
        };
        let tested = Tested::newest(&[read(TEST_RESULT, "sha256:abc").unwrap()]).unwrap();
        assert!(tested.passed);
        assert_eq!((tested.checks, &tested.skipped[..]), (2, &["beat".to_owned()][..]));
        let made = Made::read(&read(PROVENANCE, "sha256:abc").unwrap());
        assert_eq!(
            (made.base_digest.as_deref(), &*made.lock_sha256),
            (Some("sha256:ba5e"), "10c4")
        );
        assert_eq!(made.revision, "1".repeat(40));
        // Of another image nothing is taken.
        assert_eq!(read(TEST_RESULT, "sha256:abd"), None);
        assert_eq!(Statement::read(b"no JSON", TEST_RESULT, "sha256:abc"), None);
        // The same record, the same bytes.
        assert_eq!(all, of_release(&record(), (&archive, ""), "in.example/app", "sha256:abc"));
    }

    #[test]
    fn a_test_that_failed_counts_when_it_is_the_newest() {
        let statement = |tested: bool, time: &str| {
            let record = ReleaseRecord { tested, tested_at: time.to_owned(), ..record() };
            of_release(&record, (&Archive::default(), ""), "in.example/app", "sha256:abc").remove(1)
        };
        let newest = |all: &[Statement]| Tested::newest(all).map(|tested| tested.passed);
        let (old, new) = ("2026-01-02T03:04:05Z", "2026-01-02T03:04:06Z");
        assert_eq!(newest(&[statement(true, old), statement(false, new)]), Some(false));
        assert_eq!(newest(&[statement(true, new), statement(false, old)]), Some(true));
        assert_eq!(newest(&[]), None);
        let mut forged = statement(true, new);
        forged.predicate["failedTests"] = json!(["web"]);
        assert_eq!(newest(&[forged.clone()]), Some(false));
        forged.predicate["failedTests"] = json!([]);
        forged.predicate["passedTests"] = json!([]);
        assert_eq!(newest(&[forged]), Some(false));
    }
}
