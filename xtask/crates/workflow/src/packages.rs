//! Which Debian packages are missing for what: pure, so that `setup` and `doctor` say the same.

use engine::machine::OsRelease;
use process::invocation::Invocation;

/// Podman on Debian or Ubuntu, and what it needs: rootless user namespaces and network, the network
/// of containers, the runtime that works on every hierarchy of control groups.
const PODMAN: [&str; 9] = [
    "podman",
    "runc",
    "uidmap",
    "slirp4netns",
    "fuse-overlayfs",
    "netavark",
    "aardvark-dns",
    "iptables",
    "catatonit",
];
/// What `test --all` needs to prove the other engine.
const TESTS: [&str; 9] = [
    "docker.io",
    "mmdebstrap",
    "python3-venv",
    "git",
    "iproute2",
    "slirp4netns",
    // The registry of the tests, its password file and its certificates.
    "docker-registry",
    "apache2-utils",
    "openssl",
];

/// What `test --browser` drives.
const BROWSER: [&str; 2] = ["chromium", "chromium-driver"];

/// Adds subordinate ids, which a rootless Podman maps its users to (subuid(5)), if there are none.
const SUBORDINATE: &str = "grep -q \"^$USER:\" /etc/subuid || sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 \"$USER\"";

/// How a person installs Podman when packages don't come by apt: `ID`s (or words of `ID_LIKE`,
/// os-release(5)) and the commands. macOS has no native containers: they run in a virtual machine.
const ELSEWHERE: [(&[&str], &[&str]); 5] = [
    (&["fedora", "rhel", "centos"], &["sudo dnf install podman"]),
    // Without the upgrade, the lists that are here may name packages that no mirror has any more.
    (&["arch"], &["sudo pacman -Syu --needed podman", SUBORDINATE]),
    (&["opensuse", "suse"], &["sudo zypper install podman", SUBORDINATE]),
    // OpenRC mounts control groups only when told; Alpine has doas, and no usermod.
    (
        &["alpine"],
        &[
            "doas apk add podman",
            "doas rc-update add cgroups && doas rc-service cgroups start",
            "doas modprobe tun",
            "grep -q \"^$USER:\" /etc/subuid || echo \"$USER:100000:65536\" | doas tee -a /etc/subuid /etc/subgid",
        ],
    ),
    (&["macos"], &["brew install podman", "podman machine init", "podman machine start"]),
];

/// The commands that install an engine on a system that `setup` doesn't know; none if they aren't
/// known here either.
pub fn elsewhere(release: &OsRelease) -> Vec<String> {
    // The system's own name first, then those that it is like, the nearest first.
    let found = release.like.iter().find_map(|id| {
        ELSEWHERE.iter().find(|(ids, _)| ids.contains(&id.as_str())).map(|(_, commands)| *commands)
    });
    found.unwrap_or_default().iter().map(ToString::to_string).collect()
}

/// What was found missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MissingTools {
    /// No engine works.
    pub engine: bool,
    /// The tool that makes stand-ins, if one will be needed.
    pub standins: bool,
    /// The tests are to run.
    pub tests: bool,
    /// The test in a browser is to run.
    pub browser: bool,
}

/// The packages that serve `missing`, each once; those that `installed` says are here are left out.
pub fn wanted(missing: MissingTools, installed: &dyn Fn(&str) -> bool) -> Vec<&'static str> {
    let mut all: Vec<&str> = Vec::new();
    if missing.engine || missing.tests {
        all.extend(PODMAN);
    }
    if missing.standins {
        all.push("mmdebstrap");
    }
    if missing.tests {
        all.extend(TESTS);
    }
    if missing.browser {
        all.extend(BROWSER);
    }
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|name| seen.insert(*name) && !installed(name));
    all
}

/// `apt-get` without questions; nothing is ever removed.
fn apt(words: &[&str], packages: &[&str]) -> Invocation {
    let words = words.iter().chain(packages).map(ToString::to_string);
    Invocation::new("apt-get", words).with_env("DEBIAN_FRONTEND", "noninteractive")
}

/// Shows what installing would do; needs no root.
pub fn simulate(packages: &[&str]) -> Invocation {
    apt(&["install", "--simulate", "--no-remove", "--no-install-recommends"], packages)
}

/// Fetches the lists of packages; as root.
pub fn update() -> Invocation {
    apt(&["update", "--quiet"], &[])
}

/// Installs; as root.
pub fn install(packages: &[&str]) -> Invocation {
    let words = ["install", "--yes", "--quiet", "--no-remove", "--no-install-recommends"];
    apt(&words, packages)
}

/// `invocation` as root: by sudo, which takes the environment as words.
pub fn with_sudo(invocation: &Invocation) -> Invocation {
    let env = invocation.env.iter().map(|(name, value)| format!("{name}={value}"));
    let words = env.chain([invocation.program.clone()]).chain(invocation.words.iter().cloned());
    Invocation::new("sudo", words)
}

/// What a simulation says would be removed, by name (`Remv NAME …`, apt-get(8) `--simulate`).
pub fn removed(simulation: &str) -> Vec<String> {
    let lines = simulation.lines().filter_map(|line| line.strip_prefix("Remv "));
    lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_wanted_and_once() {
        let all = MissingTools { engine: true, standins: true, tests: true, browser: false };
        let wanted_all = wanted(all, &|_| false);
        assert_eq!(wanted_all.iter().filter(|name| **name == "mmdebstrap").count(), 1);
        assert!(wanted_all.contains(&"podman") && wanted_all.contains(&"docker.io"));
        assert_eq!(wanted(MissingTools::default(), &|_| false), Vec::<&str>::new());
        let standins = MissingTools { standins: true, ..MissingTools::default() };
        assert_eq!(wanted(standins, &|_| false), ["mmdebstrap"]);
        assert_eq!(wanted(standins, &|name| name == "mmdebstrap"), Vec::<&str>::new());
    }

    #[test]
    fn other_systems_have_commands_of_their_own() {
        let check = |text: &str, expected: &[&str]| {
            let release = OsRelease::parse(text);
            let found = elsewhere(&release);
            let starts = |(line, start): (&String, &&str)| line.starts_with(start);
            assert_eq!(found.len(), expected.len(), "{text}: {found:?}");
            assert!(found.iter().zip(expected).all(starts), "{text}: {found:?}");
            assert!(!release.debian(), "{text}");
        };
        let fedora = "NAME=\"Fedora Linux\"\nID=fedora\nVERSION_ID=41";
        check(fedora, &["sudo dnf install podman"]);
        let rocky = "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"";
        check(rocky, &["sudo dnf install podman"]);
        check("ID=arch", &["sudo pacman -Syu --needed podman", "grep "]);
        check("ID=manjaro\nID_LIKE=arch", &["sudo pacman", "grep "]);
        let tumbleweed = "ID=\"opensuse-tumbleweed\"\nID_LIKE=\"opensuse suse\"";
        check(tumbleweed, &["sudo zypper install podman", "grep "]);
        let alpine = ["doas apk add podman", "doas rc-update", "doas modprobe tun", "grep "];
        check("ID=alpine\nVERSION_ID=3.20.0", &alpine);
        let mac = ["brew install podman", "podman machine init", "podman machine start"];
        check("ID=macos", &mac);
        check("ID=nixos", &[]);
        check("", &[]);
    }

    #[test]
    fn no_command_can_remove_a_package() {
        for invocation in [simulate(&["a"]), install(&["a"])] {
            assert!(invocation.words.contains(&"--no-remove".to_owned()), "{invocation}");
        }
        let sudo = with_sudo(&install(&["runc"])).to_string();
        assert_eq!(
            sudo,
            "sudo DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-remove --no-install-recommends runc"
        );
        let said = "Inst runc (1.1)\nRemv docker-ce [5:20.10]\nRemv containerd.io [1.6]\n";
        assert_eq!(removed(said), ["docker-ce", "containerd.io"]);
    }
}
