//! Which Debian packages are missing for what: pure, so that `setup` and `doctor` say the same.

use crate::invocation::Invocation;

/// What a Podman of Debian or Ubuntu needs beside itself: rootless user namespaces and network, the
/// network of containers, the runtime that works on every hierarchy of control groups.
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
const TESTS: [&str; 4] = ["docker.io", "mmdebstrap", "python3-venv", "git"];

/// What was found missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// No engine works.
    pub engine: bool,
    /// The tool that makes stand-ins, where one will be needed.
    pub standins: bool,
    /// The tests are to run.
    pub tests: bool,
}

/// The packages that serve `missing`, each once; those that `installed` says are here are left out.
pub fn wanted(missing: Missing, installed: &dyn Fn(&str) -> bool) -> Vec<&'static str> {
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
        let all = Missing { engine: true, standins: true, tests: true };
        let wanted_all = wanted(all, &|_| false);
        assert_eq!(wanted_all.iter().filter(|name| **name == "mmdebstrap").count(), 1);
        assert!(wanted_all.contains(&"podman") && wanted_all.contains(&"docker.io"));
        assert_eq!(wanted(Missing::default(), &|_| false), Vec::<&str>::new());
        let standins = Missing { standins: true, ..Missing::default() };
        assert_eq!(wanted(standins, &|_| false), ["mmdebstrap"]);
        assert_eq!(wanted(standins, &|name| name == "mmdebstrap"), Vec::<&str>::new());
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
