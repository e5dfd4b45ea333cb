//! Debian's fixes, from an archive that moves on.

use super::bench::Repository;
use super::ended::Ended;

/// The line before the step that fetches them.
const REFRESH: &str = "ARG DEBIAN_REFRESH=\n";

/// A step that makes an archive with these versions of a package, whose first is installed.
const ARCHIVE: &str = "set -eu
mkdir -p /archive/canary/DEBIAN
cd /archive
for version in 1 2 3; do
    printf '%s\\n' 'Package: canary' \"Version: $version\" 'Architecture: all' \\
        'Maintainer: Test <test@example.org>' 'Description: a canary' >canary/DEBIAN/control
    dpkg-deb --build canary canary_$version.deb
done
dpkg --install canary_1.deb
for version in STATE; do
    deb=canary_$version.deb
    dpkg-deb --field $deb
    printf 'Filename: ./%s\\nSize: %s\\nSHA256: %s\\n\\n' $deb $(stat --format %s $deb) \\
        $(sha256sum $deb | cut -d ' ' -f 1)
done >Packages
rm -f /etc/apt/sources.list.d/*
echo 'deb [trusted=yes] file:/archive ./' >/etc/apt/sources.list
";

/// Builds the stage `base` with Debian's fixes from an archive of these versions.
fn fixed(repository: &Repository, state: &str, words: &[&str]) -> Ended {
    repository.write("target/archive.sh", &ARCHIVE.replace("STATE", state));
    let build = [
        "build",
        "--no-cache",
        "--target",
        "base",
        "--build-arg",
        "DEBIAN_REFRESH=today",
        "--format=json",
    ];
    let archive = ["--secret", "id=archive,src=target/archive.sh"];
    repository.xtask(&[&build[..], &archive, words].concat())
}

#[test]
fn fixes_are_the_newest_or_those_of_an_earlier_build() {
    let repository = Repository::new();
    let step = "RUN --mount=type=secret,id=archive sh /run/secrets/archive\n";
    repository.edit("docker/Dockerfile", REFRESH, &format!("{step}{REFRESH}"));
    let version = |ended: Ended| {
        let report: serde_json::Value = serde_json::from_str(&ended.good()).unwrap();
        let image = report["image_id"].as_str().unwrap();
        // The day on which the user was made would make each day another image.
        let user = repository.run(image, &["getent", "shadow", "senex"]).good();
        assert!(user.starts_with("senex:!::"), "{user}");
        repository.run(image, &["dpkg-query", "--show", "--showformat=${Version}", "canary"]).good()
    };
    assert_eq!(version(fixed(&repository, "1 2", &[])), "2");
    assert_eq!(version(fixed(&repository, "2 3", &[])), "3");
    repository.write("target/versions", "canary=2\n");
    let earlier = ["--secret", "id=versions,src=target/versions"];
    assert_eq!(version(fixed(&repository, "2 3", &earlier)), "2");
    let ended = fixed(&repository, "3", &earlier);
    assert_eq!(ended.code, Some(5), "{}", ended.err);
    for text in ["Version '2' for 'canary' was not found", "XTASK_DEBIAN_MIRROR"] {
        assert!(ended.err.contains(text), "{text}\n{}", ended.err);
    }
}
