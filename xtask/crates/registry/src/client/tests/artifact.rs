//! What is attached to images, in a registry that keeps the list itself and in one that doesn't.

use super::*;
use crate::client::Artifact;
use serde_json::{Value, json};

/// A registry with the image [`IMAGE`]; with `lists` it has the referrers API.
fn registry(lists: bool) -> Server {
    let mut manifests = BTreeMap::from([(digest(IMAGE.as_bytes()), IMAGE.as_bytes().to_vec())]);
    let mut blobs = BTreeMap::new();
    Server::new(move |asked, _| {
        let (method, path) = asked.line.split_once(' ').unwrap();
        let path = path.strip_prefix("/v2/team/app/").unwrap_or_default();
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let (kind, name) = path.split_once('/').unwrap_or((path, ""));
        match (method, kind) {
            ("POST", "blobs") => answer(202, &[("Location", "/v2/team/app/blobs/place?x=1")], ""),
            ("PUT", "blobs") => {
                let name = query.strip_prefix("x=1&digest=").unwrap().to_owned();
                assert_eq!(name, digest(&asked.body));
                blobs.insert(name, asked.body.clone());
                answer(201, &[], "")
            }
            ("PUT", "manifests") => {
                manifests.insert(name.to_owned(), asked.body.clone());
                manifests.insert(digest(&asked.body), asked.body.clone());
                let subject = if lists { &[("OCI-Subject", "yes")][..] } else { &[] };
                answer(201, subject, "")
            }
            (_, "manifests" | "blobs") => {
                let all = if kind == "blobs" { &blobs } else { &manifests };
                all.get(name).map_or_else(|| answer(404, &[], ""), |body| answer(200, &[], body))
            }
            ("GET", "referrers") if lists => {
                let all = manifests.values().map(|body| (body, serde_json::from_slice(body)));
                let all = all.filter_map(|(body, json)| Some((body, json.ok()?)));
                let those = all.filter(|(_, json): &(_, Value)| json["subject"]["digest"] == name);
                let entry = |(body, json): (&Vec<u8>, Value)| json!({ "digest": digest(body), "artifactType": json["artifactType"] });
                let entries: Vec<Value> = those.map(entry).collect();
                answer(200, &[], json!({ "manifests": entries }).to_string())
            }
            ("GET", "referrers") => answer(404, &[], ""),
            _ => answer(200, &[], ""),
        }
    })
}

fn artifact(content: &str) -> Artifact {
    Artifact {
        artifact_type: "application/x".to_owned(),
        media_type: "text/plain".to_owned(),
        content: content.as_bytes().to_vec(),
        annotations: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
    }
}

#[test]
fn what_is_attached_is_found_with_and_without_the_list_of_the_registry() {
    for lists in [true, false] {
        let server = registry(lists);
        let client = client(&server);
        let image = client.manifest(&digest(IMAGE.as_bytes())).unwrap().unwrap();
        assert!(client.referrers(&image.digest).unwrap().is_empty());
        let one = client.attach(&image, &artifact("one")).unwrap();
        let two = client.attach(&image, &artifact("two")).unwrap();
        let before = server.asked().len();
        // Again: it is there, and nothing is sent.
        assert_eq!(client.attach(&image, &artifact("one")).unwrap(), one);
        let asked = server.asked();
        assert!(asked[before..].iter().all(|line| line.starts_with("GET ")), "{asked:?}");
        let mut found: Vec<String> =
            client.referrers(&image.digest).unwrap().into_iter().map(|one| one.digest).collect();
        let mut expected = vec![one.clone(), two];
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{lists}");
        assert_eq!(client.content(&one).unwrap().as_deref(), Some(&b"one"[..]));
        // The image is the one it was.
        assert_eq!(client.manifest(&image.digest).unwrap().unwrap().body, image.body);
    }
}

#[test]
fn what_is_kept_under_a_tag_is_read_by_it() {
    let server = registry(false);
    let client = client(&server);
    let name = client.keep("history-1", &artifact("move")).unwrap();
    assert_eq!(client.content("history-1").unwrap().as_deref(), Some(&b"move"[..]));
    assert_eq!(client.content(&name).unwrap().as_deref(), Some(&b"move"[..]));
    assert_eq!(client.content("history-2").unwrap(), None);
    // What names no file is no artifact.
    assert_eq!(exit(client.content(&digest(IMAGE.as_bytes()))), Some(Exit::Mismatch));
}
