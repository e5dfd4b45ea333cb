//! Platforms: which architecture an image is for, what Debian calls it, and whether this machine
//! can run its programs.

use engine::Engine;
use engine::machine::Machine;
use std::fs;
use std::path::Path;

/// One architecture under its names: in images (OCI image spec, `GOARCH`), in Debian, in Rust; and
/// `e_machine` of its programs (elf(5)) as the kernel shows it in a `magic`.
struct Architecture {
    image: &'static str,
    debian: &'static str,
    rust: &'static str,
    machine: &'static str,
}

const ARCHITECTURES: [Architecture; 7] = [
    Architecture { image: "amd64", debian: "amd64", rust: "x86_64", machine: "3e00" },
    Architecture { image: "arm64", debian: "arm64", rust: "aarch64", machine: "b700" },
    Architecture { image: "arm", debian: "armhf", rust: "arm", machine: "2800" },
    Architecture { image: "386", debian: "i386", rust: "x86", machine: "0300" },
    Architecture { image: "ppc64le", debian: "ppc64el", rust: "powerpc64", machine: "1500" },
    Architecture { image: "s390x", debian: "s390x", rust: "s390x", machine: "0016" },
    Architecture { image: "riscv64", debian: "riscv64", rust: "riscv64", machine: "f300" },
];

/// `os/arch` of `os/arch[/variant]`: the variant is not among what every engine tells.
pub fn without_variant(platform: &str) -> String {
    platform.split('/').take(2).collect::<Vec<_>>().join("/")
}

/// Whether an image for `found` serves where `wanted` is asked for; an image that doesn't say what
/// it is for, does.
pub fn serves(found: &str, wanted: &str) -> bool {
    found.trim_matches('/').is_empty() || without_variant(found) == without_variant(wanted)
}

/// The platform asked for, if it isn't the one that `engine` builds for by default.
pub fn foreign<'a>(asked: Option<&'a str>, engine: &Engine) -> Option<&'a str> {
    asked.filter(|asked| !serves(&engine.platform, asked))
}

/// Debian's name for the architecture of `platform`.
pub fn debian(platform: &str) -> Option<&'static str> {
    architecture(platform).map(|known| known.debian)
}

fn architecture(platform: &str) -> Option<&'static Architecture> {
    let mut parts = platform.split('/');
    let (os, name) = (parts.next()?, parts.next()?);
    ARCHITECTURES.iter().find(|known| os == "linux" && known.image == name)
}

/// The kernel's list of what else can be run (binfmt_misc, mounted by systemd).
const ENTRIES: &str = "/proc/sys/fs/binfmt_misc";

/// What may keep a local engine from building for `platform`, with what to do: a step of such a
/// build runs that platform's programs.
pub fn warning(platform: &str, engine: &Engine, machine: &Machine) -> Option<String> {
    let local = cfg!(target_os = "linux") && engine.place.is_none();
    let wanted = architecture(platform).filter(|_| local)?;
    let entries = fs::read_dir(ENTRIES).into_iter().flatten().flatten();
    let entries: Vec<String> =
        entries.filter_map(|entry| fs::read_to_string(entry.path()).ok()).collect();
    if runs(wanted, std::env::consts::ARCH, &entries) {
        return None;
    }
    let mount = if Path::new(ENTRIES).join("register").exists() {
        ""
    } else {
        "mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc; "
    };
    let install = if machine.release.debian() {
        "apt-get install qemu-user-static"
    } else {
        "install qemu-user-static"
    };
    Some(format!(
        "nothing here is seen to run programs of {platform} ({ENTRIES}); as root: {mount}{install}"
    ))
}

/// Whether a machine of `own` architecture with these entries runs programs of `wanted`.
fn runs(wanted: &Architecture, own: &str, entries: &[String]) -> bool {
    let entry = |text: &String| {
        let magic = text.lines().find_map(|line| line.strip_prefix("magic "));
        // `e_machine` are the bytes 18 and 19 of a program.
        let machine = magic.and_then(|magic| magic.get(36..40));
        text.starts_with("enabled") && machine == Some(wanted.machine)
    };
    wanted.rust == own || (own == "x86_64" && wanted.rust == "x86") || entries.iter().any(entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::EngineKind;

    #[test]
    fn a_platform_is_foreign_where_the_engine_s_own_is_another() {
        let check = |asked: Option<&str>, own: &str, expected: Option<&str>| {
            let engine = Engine { platform: own.into(), ..Engine::assumed(EngineKind::Podman) };
            assert_eq!(foreign(asked, &engine), expected, "{asked:?} {own}");
        };
        check(None, "linux/amd64", None);
        check(Some("linux/amd64"), "linux/amd64", None);
        check(Some("linux/arm64/v8"), "linux/arm64", None);
        check(Some("linux/arm64"), "linux/amd64", Some("linux/arm64"));
        check(Some("linux/arm64"), "", None);
    }

    #[test]
    fn debian_has_its_own_names() {
        assert_eq!(debian("linux/arm64/v8"), Some("arm64"));
        assert_eq!(debian("linux/arm/v7"), Some("armhf"));
        assert_eq!(debian("linux/vax"), None);
        assert_eq!(debian("windows/amd64"), None);
        assert_eq!(debian("linux"), None);
    }

    #[test]
    fn what_runs_is_seen_by_the_machine_in_the_magic() {
        let qemu = "enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: F\noffset 0\n\
                    magic 7f454c460201010000000000000000000200b700\nmask ffffff\n";
        let check = |platform: &str, own: &str, entries: &[&str], expected| {
            let entries: Vec<String> = entries.iter().map(ToString::to_string).collect();
            let wanted = architecture(platform).unwrap();
            assert_eq!(runs(wanted, own, &entries), expected, "{platform} on {own}");
        };
        check("linux/arm64", "x86_64", &["enabled\n", qemu], true);
        check("linux/arm64", "x86_64", &[&qemu.replace("enabled", "disabled")], false);
        check("linux/s390x", "x86_64", &[qemu], false);
        check("linux/arm64", "aarch64", &[], true);
        check("linux/386", "x86_64", &[], true);
        check("linux/amd64", "aarch64", &[qemu], false);
    }
}
