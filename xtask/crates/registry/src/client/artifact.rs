//! What is attached to an image or kept next to it: small files in separate manifests (OCI image
//! specification 1.1, "Guidelines for Artifact Usage"), found by the image's digest (OCI
//! distribution specification 1.1, "Listing Referrers").

use super::Client;
use crate::http::resolved;
use crate::manifest::{Manifest, TYPES, digest};
use crate::message::{Request, Response};
use process::failure::{Exit, failure, failure_help};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The media type and the bytes of a config that says nothing (OCI image specification 1.1).
const EMPTY: (&str, &[u8]) = ("application/vnd.oci.empty.v1+json", b"{}");
/// How often the list of a registry without the referrers API is written again when another client
/// writes it at the same time.
const ROUNDS: usize = 4;

/// A file with its type, for a registry to keep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Artifact {
    /// The kind of artifact, a media type.
    pub artifact_type: String,
    /// The media type of the content.
    pub media_type: String,
    pub content: Vec<u8>,
    /// What a list of referrers shows without the content being read.
    pub annotations: BTreeMap<String, String>,
}

/// What a list says of an artifact that is attached to an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Referrer {
    /// The digest of the artifact's manifest.
    pub digest: String,
    pub artifact_type: String,
    pub annotations: BTreeMap<String, String>,
}

impl Artifact {
    /// The manifest, the same for the same artifact and subject.
    fn manifest(&self, subject: Option<&Manifest>) -> Manifest {
        let described = |media_type: &str, content: &[u8]| json!({ "mediaType": media_type, "digest": digest(content), "size": content.len() });
        let mut json = json!({
            "schemaVersion": 2,
            "mediaType": TYPES[0],
            "artifactType": self.artifact_type,
            "config": described(EMPTY.0, EMPTY.1),
            "layers": [described(&self.media_type, &self.content)],
            "annotations": self.annotations,
        });
        if let Some(subject) = subject {
            json["subject"] = described(&subject.media_type, &subject.body);
        }
        Manifest::read(TYPES[0], json.to_string().into_bytes())
    }

    /// The entry of a list of referrers.
    fn entry(&self, manifest: &Manifest) -> Value {
        json!({
            "mediaType": manifest.media_type, "digest": manifest.digest, "size": manifest.body.len(),
            "artifactType": self.artifact_type, "annotations": self.annotations,
        })
    }
}

impl Client {
    /// Attaches `artifact` to the image `subject`, whose digest stays the same. What is there
    /// already is not sent again, so that a rerun completes what a killed run left. Gives the
    /// artifact's digest.
    ///
    /// # Errors
    /// Those of [`Client::point`]; [`Exit::Mismatch`] when other clients undo it again and again.
    pub fn attach(&self, subject: &Manifest, artifact: &Artifact) -> anyhow::Result<String> {
        let manifest = artifact.manifest(Some(subject));
        let known = self.referrers(&subject.digest)?;
        if known.iter().any(|referrer| referrer.digest == manifest.digest) {
            return Ok(manifest.digest);
        }
        let response = self.store(&manifest.digest, &manifest, artifact)?;
        // The registry says so if it keeps the list ("Pushing Manifests with Subject").
        if response.header("oci-subject").is_none() {
            self.list(subject, artifact.entry(&manifest))?;
        }
        Ok(manifest.digest)
    }

    /// Keeps `artifact` under a tag; gives its digest.
    pub fn keep(&self, tag: &str, artifact: &Artifact) -> anyhow::Result<String> {
        let manifest = artifact.manifest(None);
        self.store(tag, &manifest, artifact)?;
        Ok(manifest.digest)
    }

    /// What is attached to the image with this digest.
    pub fn referrers(&self, subject: &str) -> anyhow::Result<Vec<Referrer>> {
        let mut entries = Vec::new();
        let listed = self.pages(&format!("referrers/{subject}"), &mut |page| {
            entries.extend(page["manifests"].as_array().into_iter().flatten().cloned());
        })?;
        // A registry may keep some in its list and have others from before it had one.
        if let Some(index) = self.manifest(&list_tag(subject))? {
            entries.extend(manifests(&index));
        } else if !listed {
            return Ok(Vec::new());
        }
        let mut found: Vec<Referrer> = entries.iter().filter_map(Referrer::read).collect();
        found.sort_by(|a, b| a.digest.cmp(&b.digest));
        found.dedup_by(|a, b| a.digest == b.digest);
        Ok(found)
    }

    /// The content of the artifact that a tag or a digest names; `None` if there is none.
    ///
    /// # Errors
    /// [`Exit::Mismatch`] for content that isn't what the manifest names, or a manifest with none;
    /// those of [`Client::manifest`].
    pub fn content(&self, name: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let Some(manifest) = self.manifest(name)? else { return Ok(None) };
        let json: Value = serde_json::from_slice(&manifest.body).unwrap_or_default();
        match json["layers"][0]["digest"].as_str() {
            Some(layer) => self.blob(layer).map(Some),
            None => {
                let message = format!("reading {}: it holds no file", self.named(name));
                Err(failure(Exit::Mismatch, message))
            }
        }
    }

    /// Content by its digest.
    ///
    /// # Errors
    /// [`Exit::Mismatch`] for content that isn't the one named; those of [`Client::digest`].
    pub(super) fn blob(&self, wanted: &str) -> anyhow::Result<Vec<u8>> {
        let url = self.path(&format!("blobs/{wanted}"));
        let response = self.ask(Request { method: "GET".into(), url, ..Request::default() })?;
        let doing = format!("reading {wanted} of {}", self.target);
        if response.status != 200 {
            return Err(self.refused(&doing, &response));
        }
        let sent = digest(&response.body);
        if sent != wanted {
            let what = format!("{doing}: what the registry sends is {sent}");
            return Err(failure(Exit::Mismatch, what));
        }
        Ok(response.body)
    }

    /// Uploads what a manifest names, and then the manifest.
    fn store(
        &self,
        name: &str,
        manifest: &Manifest,
        artifact: &Artifact,
    ) -> anyhow::Result<Response> {
        self.send_blob(EMPTY.1)?;
        self.send_blob(&artifact.content)?;
        self.put(name, manifest)
    }

    /// Uploads content in one request ("POST then PUT"), unless it is there.
    fn send_blob(&self, content: &[u8]) -> anyhow::Result<()> {
        let wanted = digest(content);
        let url = self.path(&format!("blobs/{wanted}"));
        let there = self.ask(Request { method: "HEAD".into(), url, ..Request::default() })?;
        if there.status == 200 {
            return Ok(());
        }
        let doing = format!("uploading to {}", self.target);
        let begun = self.ask(self.upload())?;
        let place = begun.header("location").and_then(|place| resolved(&self.base, place));
        let (202, Some(place)) = (begun.status, place) else {
            return Err(self.refused(&doing, &begun));
        };
        let mark = if place.contains('?') { '&' } else { '?' };
        let url = format!("{place}{mark}digest={wanted}");
        let request = Request {
            method: "PUT".into(),
            url,
            headers: vec![("content-type".into(), "application/octet-stream".into())],
            body: Some(content.to_vec()),
            ..Request::default()
        };
        // Our login is for the registry alone; another server's address holds what it needs.
        let response = match self.is_own(&request.url) {
            true => self.ask(request)?,
            false => self.wire.send(&request)?,
        };
        match response.status {
            200..=202 => Ok(()),
            _ => Err(self.refused(&doing, &response)),
        }
    }

    /// Adds an entry to the list that a registry without the referrers API has under a tag
    /// ("Referrers Tag Schema"). Such registries have no compare-and-swap: it is read again
    /// afterwards.
    fn list(&self, subject: &Manifest, entry: Value) -> anyhow::Result<()> {
        let tag = list_tag(&subject.digest);
        for _ in 0..ROUNDS {
            let mut entries =
                self.manifest(&tag)?.map(|index| manifests(&index)).unwrap_or_default();
            if entries.iter().any(|known| known["digest"] == entry["digest"]) {
                return Ok(());
            }
            entries.push(entry.clone());
            let json = json!({ "schemaVersion": 2, "mediaType": TYPES[2], "manifests": entries });
            self.put(&tag, &Manifest::read(TYPES[2], json.to_string().into_bytes()))?;
        }
        let message =
            format!("attaching to {}: another client writes {tag} again and again", subject.digest);
        Err(failure_help(Exit::Mismatch, message, "run it again when the other has ended"))
    }
}

impl Referrer {
    fn read(entry: &Value) -> Option<Referrer> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let annotations = entry["annotations"].as_object().into_iter().flatten();
        Some(Referrer {
            digest: entry["digest"].as_str()?.to_owned(),
            artifact_type: text(&entry["artifactType"]),
            annotations: annotations.map(|(name, value)| (name.clone(), text(value))).collect(),
        })
    }
}

/// The entries of an index.
fn manifests(index: &Manifest) -> Vec<Value> {
    let json: Value = serde_json::from_slice(&index.body).unwrap_or_default();
    json["manifests"].as_array().cloned().unwrap_or_default()
}

/// The tag of the list for a digest, in a registry without the referrers API.
pub fn list_tag(subject: &str) -> String {
    subject.replacen(':', "-", 1)
}
