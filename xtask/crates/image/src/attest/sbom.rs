//! What is in an image, as an SPDX 2.3 document: its Debian packages and Python distributions, proven by the
//! files of our layers: each belongs to one of them, to the application or to the image's own files.

mod licence;
mod lock;

use engine::archive::{Archive, EntryKind, METADATA, RECORD, WHEEL};
use licence::{Licence, debian_licence, python_licence};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The predicate's type in a statement (spdx.dev).
pub const SPDX: &str = "https://spdx.dev/Document";
/// Folders of the application and of the image's own files.
const OURS: [&str; 3] = ["app/", "usr/local/lib/container/", "opt/dependencies/"];
/// What the engine mounts over, and what `useradd`, uv, the linker and package managers write about what
/// they did.
const KEPT: [&str; 23] = [
    "etc/.pwd.lock",
    "etc/hostname",
    "etc/hosts",
    "etc/resolv.conf",
    "home/",
    "opt/venv/.gitignore",
    "opt/venv/CACHEDIR.TAG",
    "opt/venv/pyvenv.cfg",
    "opt/venv/lib64",
    "opt/venv/bin/activate",
    "opt/venv/bin/deactivate.bat",
    "opt/venv/bin/pydoc.bat",
    "opt/venv/bin/python",
    "etc/group",
    "etc/gshadow",
    "etc/passwd",
    "etc/shadow",
    "etc/subgid",
    "etc/subuid",
    "etc/ld.so.cache",
    "var/cache/",
    "var/lib/",
    "var/log/",
];

/// One package.
struct Package {
    id: String,
    name: String,
    version: String,
    purl: String,
    licence: Licence,
    /// SHA-256 of the file that it was installed from.
    sha256: Option<String>,
}

/// Reads the packages of `archive`. `name`: of the document, with the digest of the image; `created`: RFC 3339
/// UTC; `lock`: the text of the lock of the Python packages.
pub(super) fn sbom(archive: &Archive, name: &str, created: &str, lock: &str) -> Value {
    let (debian, python) = (debian(archive), python(archive, lock));
    let unaccounted = unaccounted(archive);
    let packages: Vec<Value> = debian.iter().chain(&python).map(Package::json).collect();
    let contains = debian.iter().chain(&python).map(|package| {
        json!({ "spdxElementId": ROOT, "relationshipType": "CONTAINS", "relatedSpdxElement": package.id })
    });
    let describes = json!({
        "spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": ROOT,
    });
    let image = json!({
        "SPDXID": ROOT,
        "name": name,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "comment": format!(
            "{} Debian packages, {} Python distributions; {}",
            debian.len(), python.len(), accounted(&unaccounted)
        ),
    });
    let all: Vec<Value> = std::iter::once(image).chain(packages).collect();
    let relationships: Vec<Value> = std::iter::once(describes).chain(contains).collect();
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": format!("https://senex.dev/xtask/spdx/{}", name.replace(['@', ':'], "/")),
        "creationInfo": {
            "created": created,
            "creators": [format!("Tool: senex-xtask-{}", env!("CARGO_PKG_VERSION"))],
        },
        "packages": all,
        "relationships": relationships,
    })
}

/// What a document says of its image in one line; an error if a file of it belongs to nothing.
pub fn packages(document: &Value) -> Result<String, String> {
    let all = document["packages"].as_array().into_iter().flatten();
    let image = all.into_iter().find(|one| one["SPDXID"] == ROOT);
    let text = image.and_then(|image| image["comment"].as_str()).unwrap_or_default().to_owned();
    if text.ends_with(ACCOUNTED) { Ok(text) } else { Err(text) }
}

/// The Debian packages of a document, lines `NAME=VERSION`.
pub fn debian_versions(document: &Value) -> String {
    let all = document["packages"].as_array().into_iter().flatten();
    let debian = |one: &&Value| {
        let purl = one["externalRefs"][0]["referenceLocator"].as_str();
        purl.is_some_and(|purl| purl.starts_with(DEBIAN_PURL))
    };
    let line =
        |one: &Value| Some(format!("{}={}\n", one["name"].as_str()?, one["versionInfo"].as_str()?));
    all.filter(debian).filter_map(line).collect()
}

/// How the package URL of a Debian package begins.
const DEBIAN_PURL: &str = "pkg:deb/";

/// What a document says if every file belongs to something.
const ACCOUNTED: &str = "every file of our layers accounted for";
/// The element that is the image.
const ROOT: &str = "SPDXRef-image";

/// In words, whether every file of our layers belongs to something.
fn accounted(unaccounted: &[String]) -> String {
    match unaccounted {
        [] => ACCOUNTED.to_owned(),
        files => {
            format!("{} files of our layers belong to none: {}", files.len(), files.join(", "))
        }
    }
}

impl Package {
    fn json(&self) -> Value {
        let hashes = self.sha256.iter();
        let hashes = hashes.map(|hash| json!({ "algorithm": "SHA256", "checksumValue": hash }));
        json!({
            "checksums": hashes.collect::<Vec<Value>>(),
            "SPDXID": self.id,
            "name": self.name,
            "versionInfo": self.version,
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": false,
            "licenseDeclared": self.licence.declared,
            "licenseComments": self.licence.said,
            "externalRefs": [{
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": self.purl,
            }],
        })
    }
}

/// An identifier (SPDX 2.3, 3.2): letters, digits, `.` and `-`.
fn id(kind: &str, name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    format!("SPDXRef-{kind}-{}", name.chars().map(plain).collect::<String>())
}

/// A part of a package URL: what isn't plain is percent-encoded (purl specification).
fn encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b".-_~".contains(&b);
    let byte = |b: u8| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") };
    text.bytes().map(byte).collect()
}

/// The last text of a file, by the layers' order.
fn text<'a>(archive: &'a Archive, path: &str) -> &'a str {
    let texts = archive.layers.iter().rev().filter_map(|layer| layer.texts.get(path));
    texts.map(String::as_str).next().unwrap_or_default()
}

/// dpkg's installed packages.
fn debian(archive: &Archive) -> Vec<Package> {
    let status = text(archive, engine::archive::DPKG_STATUS);
    let field = |stanza: &str, name: &str| {
        let line = stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.map(str::to_owned)
    };
    let stanzas =
        status.split("\n\n").filter(|stanza| stanza.contains("\nStatus: install ok installed"));
    let package = |stanza: &str| {
        let (name, version) = (field(stanza, "Package")?, field(stanza, "Version")?);
        let architecture = field(stanza, "Architecture")?;
        let purl = format!(
            "{DEBIAN_PURL}debian/{}@{}?arch={architecture}",
            encoded(&name),
            encoded(&version)
        );
        let licence = debian_licence(text(archive, &format!("usr/share/doc/{name}/copyright")));
        let id = id("deb", &format!("{name}.{architecture}"));
        Some(Package { id, name, version, purl, licence, sha256: None })
    };
    stanzas.filter_map(package).collect()
}

/// The path of each distribution's list of files that a container sees.
fn records(archive: &Archive) -> BTreeSet<String> {
    let merged = archive.merged();
    merged
        .files
        .keys()
        .filter(|path| path.ends_with(RECORD))
        .map(|path| (*path).to_owned())
        .collect()
}

/// Python distributions, by their folder `NAME-VERSION.dist-info`.
fn python(archive: &Archive, lock: &str) -> Vec<Package> {
    let package = |path: &String| {
        let folder = path.strip_suffix(RECORD)?.rsplit('/').next()?;
        let (name, version) = folder.rsplit_once('-')?;
        // As PyPI compares names (PEP 503).
        let name = name.to_lowercase().replace(['_', '.'], "-");
        let purl = format!("pkg:pypi/{}@{}", encoded(&name), encoded(version));
        let licence = python_licence(text(archive, &path.replace(RECORD, METADATA)));
        let wheel = text(archive, &path.replace(RECORD, WHEEL));
        let tags: Vec<&str> = wheel.lines().filter_map(|line| line.strip_prefix("Tag: ")).collect();
        let sha256 = lock::hash(lock, &name, version, &tags);
        let (id, version) = (id("pypi", &name), version.to_owned());
        Some((purl.clone(), Package { id, name, version, purl, licence, sha256 }))
    };
    let found: BTreeMap<String, Package> = records(archive).iter().filter_map(package).collect();
    found.into_values().collect()
}

/// Files of our layers that a container sees and that belong to nothing.
fn unaccounted(archive: &Archive) -> Vec<String> {
    let owned = owned(archive);
    let merged = archive.merged();
    let ours = merged.files.iter().filter(|(_, placed)| archive.layers[placed.layer].ours);
    let files = ours.filter(|(_, placed)| placed.entry.kind != EntryKind::Folder);
    let known = |path: &str| {
        let kept = KEPT.iter().chain(&OURS).any(|start| path.starts_with(start));
        kept || owned.contains(path)
            || source_of(path).is_some_and(|source| owned.contains(&source))
    };
    files.map(|(path, _)| *path).filter(|path| !known(path)).map(str::to_owned).collect()
}

/// The source of a file of bytecode.
fn source_of(path: &str) -> Option<String> {
    let (folder, name) = path.split_once("/__pycache__/")?;
    Some(format!("{folder}/{}.py", name.split('.').next()?))
}

/// The paths that Debian's packages and Python's distributions say are theirs.
fn owned(archive: &Archive) -> BTreeSet<String> {
    let mut owned = BTreeSet::new();
    for layer in &archive.layers {
        let lists = layer.texts.iter().filter(|(path, _)| engine::archive::is_list(path));
        for line in lists.flat_map(|(_, list)| list.lines()) {
            owned.insert(merged_usr(line.trim_start_matches('/')));
        }
    }
    for record in records(archive) {
        let folder =
            record.trim_end_matches(RECORD).rsplit_once('/').map_or("", |(folder, _)| folder);
        for line in text(archive, &record).lines() {
            let path = line.rsplitn(3, ',').last().unwrap_or_default().trim_matches('"');
            owned.insert(joined(folder, path));
        }
    }
    owned
}

/// `/lib` and the like are links into `/usr` (Debian 12, merged /usr).
fn merged_usr(path: &str) -> String {
    let apart = ["bin/", "sbin/", "lib/", "lib64/"].iter().any(|start| path.starts_with(start));
    if apart { format!("usr/{path}") } else { path.to_owned() }
}

/// `path` seen from `folder`, without `..`.
fn joined(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> =
        if path.starts_with('/') { Vec::new() } else { folder.split('/').collect() };
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::archive::{DPKG_STATUS, Entry, Layer};

    const STATUS: &str = "\
Package: libpq5
Status: install ok installed
Architecture: amd64
Version: 15.1-0+deb12u1

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
";

    fn archive(paths: &[&str]) -> Archive {
        let record = "opt/venv/lib/python3.11/site-packages/Shop_Kit-1.2.dist-info/RECORD";
        let list = "var/lib/dpkg/info/libpq5:amd64.list";
        let text = |path: &str, text: &str| (path.to_owned(), text.to_owned());
        let own = [record, list, DPKG_STATUS];
        let files = paths.iter().chain(&own);
        Archive {
            layers: vec![Layer {
                ours: true,
                files: files.map(|path| ((*path).to_owned(), Entry::default())).collect(),
                texts: BTreeMap::from([
                    text(DPKG_STATUS, STATUS),
                    text(list, "/.\n/usr\n/lib/libpq.so.5\n"),
                    text(
                        record,
                        "shop_kit/a.py,sha256=x,9\nShop_Kit-1.2.dist-info/RECORD,,\n../../../bin/shop,,\n",
                    ),
                ]),
                ..Layer::default()
            }],
            ..Archive::default()
        }
    }

    #[test]
    fn packages_are_named_as_others_name_them() {
        let mut archive = archive(&[]);
        let folder = "opt/venv/lib/python3.11/site-packages/Shop_Kit-1.2.dist-info/";
        for (path, text) in [
            ("usr/share/doc/libpq5/copyright".to_owned(), "License: Expat\n"),
            (format!("{folder}METADATA"), "License-Expression: MIT\n"),
        ] {
            archive.layers[0].texts.insert(path, text.to_owned());
        }
        let lock = format!("shop-kit==1.2 --hash=sha256:{}\n", "0".repeat(64));
        let document = sbom(&archive, "in.example/app@sha256:abc", "2026-01-02T03:04:05Z", &lock);
        // For the group `spdx`, which has it checked.
        if let Some(file) = std::env::var_os("XTASK_TEST_SPDX") {
            std::fs::write(file, document.to_string()).unwrap();
        }
        let python = &document["packages"][2];
        assert_eq!(python["checksums"][0]["checksumValue"], "0".repeat(64));
        assert_eq!(python["licenseDeclared"], "MIT");
        let all = document["packages"].as_array().unwrap().iter();
        let purls: Vec<&str> = all
            .filter_map(|package| package["externalRefs"][0]["referenceLocator"].as_str())
            .collect();
        let debian = "pkg:deb/debian/libpq5@15.1-0%2Bdeb12u1?arch=amd64";
        assert_eq!(purls, [debian, "pkg:pypi/shop-kit@1.2"]);
        let said =
            "1 Debian packages, 1 Python distributions; every file of our layers accounted for";
        assert_eq!(packages(&document), Ok(said.to_owned()));
        assert_eq!(debian_versions(&document), "libpq5=15.1-0+deb12u1\n");
    }

    #[test]
    fn a_file_that_belongs_to_nothing_is_named() {
        let site = "opt/venv/lib/python3.11/site-packages";
        let known = [
            "usr/lib/libpq.so.5",
            "opt/venv/bin/shop",
            "app/manage.py",
            "usr/local/lib/container/entrypoint.sh",
            &format!("{site}/shop_kit/a.py"),
            &format!("{site}/shop_kit/__pycache__/a.cpython-311.pyc"),
        ];
        assert!(packages(&sbom(&archive(&known), "", "", "")).is_ok());
        for stray in ["usr/bin/miner", "opt/venv/bin/other", &format!("{site}/stray.py"), "x"] {
            let found = packages(&sbom(&archive(&[stray]), "", "", "")).unwrap_err();
            assert!(
                found.ends_with(&format!("1 files of our layers belong to none: {stray}")),
                "{found}"
            );
        }
    }
}
