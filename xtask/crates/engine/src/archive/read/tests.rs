//! The reader of images, on archives in the formats of all engines.

use super::*;
use crate::layers::tests::{archive, images};
use std::path::Path;

/// An entry of a layer: its type, path, link target and content.
type Item<'i> = (tar::EntryType, &'i str, &'i str, &'i [u8]);

/// A layer with unusual owner, group and mode, and xattrs before the entries that they name.
fn layer(items: &[Item<'_>], xattrs: &[(&str, &str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (kind, path, target, content) in items {
        let own = xattrs.iter().filter(|(of, ..)| of == path).map(|(_, key, value)| (*key, *value));
        builder.append_pax_extensions(own).unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o104_755);
        header.set_uid(1000);
        header.set_gid(7);
        header.set_size(content.len() as u64);
        if target.is_empty() {
            builder.append_data(&mut header, path, *content).unwrap();
        } else {
            builder.append_link(&mut header, path, Path::new(target)).unwrap();
        }
    }
    builder.into_inner().unwrap()
}

fn config(ids: usize) -> Value {
    let ids: Vec<String> = (0..ids).map(|n| format!("sha256:{n}")).collect();
    serde_json::json!({"rootfs": {"diff_ids": ids}})
}

const FILE: tar::EntryType = tar::EntryType::Regular;

#[test]
fn every_kind_of_entry_is_seen_in_every_format() {
    let long = format!("{}/name", "folder/".repeat(40).trim_end_matches('/'));
    let items: [Item<'_>; 7] = [
        (tar::EntryType::Directory, "app/", "", b""),
        (FILE, "./app/a.py", "", b"code"),
        (FILE, &long, "", b"x"),
        (tar::EntryType::Link, "app/b.py", "./app/a.py", b""),
        (tar::EntryType::Symlink, "app/c.py", "/usr/lib/c.py", b""),
        (tar::EntryType::Fifo, "pipe", "", b""),
        (FILE, "app/.wh.old", "", b""),
    ];
    let xattrs = [("./app/a.py", "SCHILY.xattr.security.capability", &b"\x01\0\0\x02"[..])];
    let layers = [archive(&[("etc/passwd", b"root")], &[]), layer(&items, &xattrs)];
    for (format, bytes) in images(&layers, &config(2).to_string()) {
        let archive = read(&bytes[..], &["sha256:0".into(), "sha256:9".into()], &[]).unwrap();
        assert_eq!(archive.config, config(2), "{format}");
        let [base, ours] = &archive.layers[..] else { panic!("{format}") };
        assert_eq!((base.ours, ours.ours), (false, true));
        assert_eq!(ours.diff_id, "sha256:1");
        assert_eq!(ours.bytes, layers[1].len() as u64);
        assert_eq!(base.files["etc/passwd"].size, 4);
        let note =
            |kind, size| Entry { kind, size, mode: 0o4755, uid: 1000, gid: 7, ..Entry::default() };
        let link = |kind, target: &str| Entry { target: Some(target.into()), ..note(kind, 0) };
        let capabilities = Some(b"\x01\0\0\x02".to_vec());
        let attributes = [("security.capability".to_owned(), b"\x01\0\0\x02".to_vec())].into();
        // Of the application alone.
        let content = |text: &[u8]| Some(sha256(text));
        let (code, target) = (content(b"code"), content(b"/usr/lib/c.py"));
        let c = Entry { content: target, ..link(EntryKind::Link, "/usr/lib/c.py") };
        let a = Entry { content: code, capabilities, attributes, ..note(EntryKind::File, 4) };
        let expected = [
            ("app", note(EntryKind::Folder, 0)),
            ("app/.wh.old", Entry { content: content(b""), ..note(EntryKind::File, 0) }),
            ("app/a.py", a),
            ("app/b.py", link(EntryKind::HardLink, "app/a.py")),
            ("app/c.py", c),
            (&long, note(EntryKind::File, 1)),
            ("pipe", note(EntryKind::Other, 0)),
        ];
        let expected = expected.into_iter().map(|(path, note)| (path.to_owned(), note));
        assert_eq!(ours.files, expected.collect(), "{format}");
    }
}

#[test]
fn content_is_told_from_other_content_where_that_is_asked_for() {
    let layers = [archive(&[("a", b"one"), ("b", b"two"), ("c", b"one")], &[])];
    for (format, bytes) in images(&layers, &config(1).to_string()) {
        let plain = read(&bytes[..], &[], &[]).unwrap();
        assert_eq!(plain.layers[0].files["a"].content, None);
        let files = &read_content(&bytes[..], &[]).unwrap().layers[0].files;
        assert_eq!(files["a"].content, files["c"].content, "{format}");
        assert_ne!(files["a"].content, files["b"].content, "{format}");
    }
}

#[test]
fn only_what_the_image_begins_with_is_the_base() {
    let layers = [archive(&[], &[]), archive(&[], &[]), archive(&[], &[])];
    let bytes = &images(&layers, &config(3).to_string())[0].1;
    let check = |base: &[&str], ours: [bool; 3]| {
        let base: Vec<String> = base.iter().map(ToString::to_string).collect();
        let archive = read(&bytes[..], &base, &[]).unwrap();
        assert_eq!(archive.layers.iter().map(|layer| layer.ours).collect::<Vec<_>>(), ours);
    };
    check(&[], [true; 3]);
    check(&["sha256:0"], [false, true, true]);
    check(&["sha256:0", "sha256:1", "sha256:2"], [false; 3]);
    // Another base, of which a layer happens to be here too.
    check(&["sha256:9", "sha256:1"], [true; 3]);
}

#[test]
fn what_must_not_be_there_is_found_wherever_it_is() {
    let absent =
        [("canary".to_owned(), b"c4n4ry\"text".to_vec()), ("other".to_owned(), b"0th3r".to_vec())];
    let name = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let canary = name(&absent[0].1);
    let big = [&vec![b'-'; (512 << 10) - 5], canary.as_bytes(), &[b'-'; 900]].concat();
    let check = |layer: Vec<u8>, config: &Value, expected: &[&str]| {
        let layers = [archive(&[("a", b"fine")], &[]), layer];
        for (format, bytes) in images(&layers, &config.to_string()) {
            assert_eq!(read(&bytes[..], &[], &absent).unwrap().found, expected, "{format}");
        }
    };
    let plain = config(2);
    check(archive(&[("app/x", b"fine")], &[]), &plain, &[]);
    check(archive(&[("app/x", canary.as_bytes())], &[]), &plain, &["canary: in app/x of layer 2"]);
    check(archive(&[("app/x", &big)], &[]), &plain, &["canary: in app/x of layer 2"]);
    check(archive(&[("x-0th3r", b"0th3r")], &[]), &plain, &["other: in a path of layer 2"]);
    let target = format!("/run/{canary}");
    check(archive(&[], &[("link", &target)]), &plain, &["canary: in link of layer 2"]);
    let xattr = [("x", "SCHILY.xattr.user.note", canary.as_bytes())];
    check(layer(&[(FILE, "x", "", b"")], &xattr), &plain, &["canary: in x of layer 2"]);
    // The JSON of the config writes a quotation mark in another way.
    let with = |value: Value| {
        let mut config = config(2);
        config["config"] = value;
        config
    };
    let clean = || archive(&[], &[]);
    let env = with(serde_json::json!({"Env": ["A=1", format!("B={canary}")]}));
    check(clean(), &env, &["canary: in the config, config.Env[1]"]);
    let label = with(serde_json::json!({"Labels": {"0th3r": "x", "a.b": canary}}));
    let found = [
        "other: in the config, a key, config.Labels.…",
        "canary: in the config, config.Labels.a.b",
    ];
    check(clean(), &label, &found);
    let mut history = config(2);
    history["history"] = serde_json::json!([{"created_by": "ok"}, {"created_by": "RUN 0th3r"}]);
    check(clean(), &history, &["other: in the config, history[1].created_by"]);
}

#[test]
fn secrets_are_judged_as_in_the_build_context_and_kept_files_have_their_text() {
    let key = format!("-----BEGIN PRIVATE KEY-----\n{}\n", "MIIEvQIBADANBgkqhkiG".repeat(3));
    let certificate = "-----BEGIN CERTIFICATE-----\nMIIDdzCCAl+gAwIB\n-----END CERTIFICATE-----\n";
    let bundle = certificate.repeat(2000);
    let record = "opt/venv/lib/a-1.dist-info/RECORD";
    let files: [(&str, &[u8]); 8] = [
        ("app/fine.py", b"PRIVATE KEY"),
        ("app/odd.txt", key.as_bytes()),
        ("app/.env", b"A=1"),
        ("app/bundle.pem", bundle.as_bytes()),
        ("app/key.pem", key.as_bytes()),
        ("var/lib/dpkg/status", b"Package: a\n"),
        ("app/staticfiles/staticfiles.json", b"{}"),
        (record, b"a.py,,\n"),
    ];
    let layers = [archive(&files, &[])];
    let archive = read(&images(&layers, &config(1).to_string())[0].1[..], &[], &[]).unwrap();
    let layer = &archive.layers[0];
    let secrets =
        layer.files.iter().filter_map(|(path, entry)| Some((path.as_str(), entry.secret?)));
    let expected = [
        ("app/.env", "settings of a deployment"),
        ("app/key.pem", "the name of a private key"),
        ("app/odd.txt", "a private key"),
    ];
    assert_eq!(secrets.collect::<Vec<_>>(), expected);
    let texts: Vec<&str> = layer.texts.keys().map(String::as_str).collect();
    assert_eq!(texts, ["app/staticfiles/staticfiles.json", record, "var/lib/dpkg/status"]);
    assert_eq!(layer.texts[record], "a.py,,\n");
}

#[test]
fn a_config_that_does_not_fit_to_the_layers_is_refused() {
    let bytes = &images(&[archive(&[], &[])], &config(2).to_string())[0].1;
    let error = read(&bytes[..], &[], &[]).unwrap_err();
    assert_eq!(format!("{error:#}"), "reading the image: 1 layers, and 2 in its config");
    let broken = [b"x".repeat(512), b"ustar".to_vec()].concat();
    let mut broken_layer = archive(&[("a", b"1")], &[]);
    broken_layer[3] = 1;
    for layer in [broken_layer, broken] {
        let bytes = &images(&[layer], &config(1).to_string())[0].1;
        assert!(read(&bytes[..], &[], &[]).is_err());
    }
}

fn refused(layer: Vec<u8>) -> String {
    let (_, bytes) = images(&[layer], &config(1).to_string()).remove(0);
    format!("{:#}", read(&bytes[..], &[], &[]).unwrap_err())
}

/// An archive of one entry whose path and size are written as they are.
fn crafted(path: &str, kind: tar::EntryType, size: u64, data: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(512) + 1024, 0);
    bytes
}

#[test]
fn crafted_paths_and_headers_are_refused() {
    for path in ["../etc/passwd", "opt/../app/manage.py", "/..", "a/.."] {
        assert!(refused(crafted(path, FILE, 0, b"")).ends_with("has `..`"), "{path}");
    }
    let link = tar::EntryType::Link;
    assert!(refused(layer(&[(link, "a", "../../etc/shadow", b"")], &[])).ends_with("has `..`"));
    let long = vec![b'x'; 3 << 20];
    for kind in [tar::EntryType::XHeader, tar::EntryType::GNULongName, tar::EntryType::Directory] {
        let said = refused(crafted("a", kind, long.len() as u64, &long));
        assert!(said.contains("headers of more than 1 MiB"), "{kind:?}: {said}");
    }
    // A size without its bytes.
    assert!(refused(crafted("a", FILE, 1 << 40, b"x")).starts_with("reading a layer"));
}

#[test]
fn odd_paths_are_those_that_an_engine_unpacks() {
    let key = b"-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n";
    let items: [Item<'_>; 4] = [
        (FILE, "app/x.py", "", key),
        (FILE, "app/x.py", "", b"clean"),
        (tar::EntryType::Symlink, "app/link", "../../etc/shadow", b""),
        (tar::EntryType::Char, "app/device", "", b""),
    ];
    let mut bytes = layer(&items, &[]);
    bytes.truncate(bytes.len() - 1024);
    bytes.extend(crafted(".//app/.//y.py", FILE, 1, b"y"));
    let (_, saved) = images(&[bytes], &config(1).to_string()).remove(0);
    let files = &read(&saved[..], &[], &[]).unwrap().layers[0].files;
    let paths: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(paths, ["app/device", "app/link", "app/x.py", "app/y.py"]);
    assert_eq!(files["app/device"].kind, EntryKind::Other);
    assert_eq!(files["app/link"].target.as_deref(), Some("../../etc/shadow"));
    // The bytes of the first are still in the layer.
    assert_eq!(files["app/x.py"].content, Some(sha256(b"clean")));
    assert!(files["app/x.py"].secret.is_some());
}
