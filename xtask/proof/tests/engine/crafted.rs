//! Images whose layers no engine writes: squashed as they are, or refused, and nothing is written
//! elsewhere.

use super::bench::{Repository, on_podman};
use source::content::sha256;
use tar::EntryType;

/// A path, what is there and, of a link, its target.
type Member = (&'static str, EntryType, &'static str);

const FILE: EntryType = EntryType::Regular;
const LINK: EntryType = EntryType::Symlink;
const HARD: EntryType = EntryType::Link;

/// What is on top of [`BELOW`], and the exit code on Podman 4.3.1; `None`: it doesn't load the image.
const CASES: [(&str, &[Member], Option<i32>); 16] = [
    ("folders-not-listed", &[("a/b/c", FILE, ""), ("/opt/d", FILE, "")], Some(0)),
    ("device", &[("n", EntryType::Char, ""), ("p", EntryType::Fifo, "")], Some(0)),
    ("link-out", &[("l", LINK, "../../../../etc/shadow")], Some(0)),
    ("escapes", &[("a\nb", FILE, ""), ("a\u{1b}[31m\u{202e}b", FILE, "")], Some(0)),
    ("removed", &[("d/.wh.f", FILE, "")], Some(0)),
    ("removed-by-a-folder", &[("d/.wh.f", EntryType::Directory, "")], Some(0)),
    ("removed-by-a-link", &[("d/.wh.f", LINK, "/etc")], Some(0)),
    ("emptied", &[("d/.wh..wh..opq", FILE, ""), ("d/g", FILE, "")], Some(0)),
    ("what-aufs-had", &[("d/.wh..wh.aufs", FILE, ""), ("d/.wh..wh.x", FILE, "")], Some(0)),
    ("removed-nothing", &[("nowhere/.wh.x", FILE, "")], Some(5)),
    ("above-the-top", &[("../../../../tmp/XX/up", FILE, "")], Some(4)),
    ("hard-link-out", &[("h", HARD, "../../../../etc/hostname")], None),
    ("through-a-link", &[("l", LINK, "/tmp/XX"), ("l/through", FILE, "")], None),
    ("no-name", &[(".wh.", FILE, "")], None),
    ("itself", &[("d/.wh..", FILE, "")], None),
    ("its-folder", &[("d/.wh...", FILE, "")], None),
];

const BELOW: &[Member] = &[
    ("x", FILE, ""),
    ("d", EntryType::Directory, ""),
    ("d/f", FILE, ""),
    ("etc", EntryType::Directory, ""),
    ("etc/passwd", FILE, ""),
];

fn layer(members: &[Member], outside: &str) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, kind, target) in members {
        let [path, target] = [path, target].map(|text| text.replace("/tmp/XX", outside));
        let mut header = tar::Header::new_gnu();
        // As it is: the library would refuse some.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(if *kind == EntryType::Directory { 0o755 } else { 0o644 });
        // One that removes is empty: Podman couldn't write another out again.
        let plain = *kind == FILE && !path.contains(".wh.");
        let content = if plain { path.as_bytes() } else { &[] };
        header.set_size(content.len() as u64);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_700_000_000);
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
        header.set_cksum();
        archive.append(&header, content).unwrap();
    }
    archive.into_inner().unwrap()
}

/// What `save` writes and `load` reads.
fn image(layers: &[Vec<u8>], name: &str) -> Vec<u8> {
    let ids: Vec<String> = layers.iter().map(|layer| sha256(layer)).collect();
    let digests: Vec<String> = ids.iter().map(|id| format!("sha256:{id}")).collect();
    let (created, step) = ("2024-01-01T00:00:00Z", serde_json::json!({ "created_by": "x" }));
    // Podman's builder adds a PATH if there is none.
    let own = serde_json::json!({ "Cmd": ["/x"], "Env": ["PATH=/bin"] });
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "created": created, "config": own,
        "rootfs": { "type": "layers", "diff_ids": digests }, "history": vec![step; layers.len()],
    });
    let config = config.to_string().into_bytes();
    let file = format!("{}.json", sha256(&config));
    let names: Vec<String> = ids.iter().map(|id| format!("{id}.tar")).collect();
    let manifest = serde_json::json!([{ "Config": file, "RepoTags": [name], "Layers": names }]);
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |name: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, content).unwrap();
    };
    names.iter().zip(layers).for_each(|(name, layer)| add(name, layer));
    add(&file, &config);
    add("manifest.json", manifest.to_string().as_bytes());
    archive.into_inner().unwrap()
}

#[test]
fn crafted_layers_are_squashed_or_refused_and_write_nothing_outside() {
    let repository = Repository::new();
    let outside = tempfile::tempdir().unwrap();
    let place = outside.path().display().to_string();
    let mut wrong = Vec::new();
    for (name, members, expected) in CASES {
        let reference = format!("localhost/crafted:{name}");
        let archive = image(&[layer(BELOW, &place), layer(members, &place)], &reference);
        let file = repository.path("target/crafted.tar");
        repository.write("target/crafted.tar", "");
        std::fs::write(&file, archive).unwrap();
        let loaded =
            repository.engine(&["load", "--input", file.to_str().unwrap()]).code == Some(0);
        let mut said = String::new();
        let code = loaded.then(|| {
            let ended = repository.xtask(&["squash", &reference]);
            let errors = ended.err.lines().filter(|line| line.starts_with("error: ")).count();
            let code = ended.code.unwrap();
            assert_eq!(errors, usize::from(code != 0), "{name}\n{}", ended.err);
            let squashed = format!("{reference}-squashed");
            let made = repository.engine(&["image", "inspect", &squashed]).code == Some(0);
            assert_eq!(made, code == 0, "{name}\n{}", ended.err);
            if made {
                repository.engine(&["image", "rm", &squashed]).good();
            }
            said = ended.err;
            code
        });
        if loaded {
            repository.engine(&["image", "rm", &reference]).good();
        }
        // Docker refuses others; none is a surprise (1).
        let known = [None, Some(0), Some(4), Some(5), Some(10)];
        if if on_podman() { code != expected } else { !known.contains(&code) } {
            wrong.push(format!("{name}: {code:?}\n{said}"));
        }
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0, "{name}");
    }
    assert_eq!(wrong, [""; 0]);
}
