//! What this machine is, read from files once: who we are, what the kernel allows, which
//! distribution it is, where its certificates are.

use process::environment::Environment;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Facts about the machine that decide what an engine needs here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// The effective user's id.
    pub uid: u32,
    /// Whether limits may be raised over the hard ones (CAP_SYS_RESOURCE, bit 24 of `CapEff`).
    pub sys_resource: bool,
    pub cgroups: Cgroups,
    pub systemd: bool,
    /// The highest limits that can be set here: open files and processes; -1 for none.
    pub limits: (String, String),
    pub release: OsRelease,
    /// Certificates that the build is to trust.
    pub ca_bundle: Option<PathBuf>,
}

/// How control groups are mounted under `/sys/fs/cgroup`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cgroups {
    /// The unified hierarchy.
    #[default]
    V2,
    /// The old one only.
    V1,
    /// Both, with controllers in the unified one: crun refuses to work.
    Hybrid,
}

/// What `/etc/os-release` says (os-release(5)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OsRelease {
    /// `ID` and the words of `ID_LIKE`.
    pub like: Vec<String>,
    /// `PRETTY_NAME`.
    pub name: String,
}

impl OsRelease {
    pub fn parse(text: &str) -> OsRelease {
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
        };
        let mut like: Vec<String> = vec![value("ID")];
        like.extend(value("ID_LIKE").split_whitespace().map(str::to_owned));
        like.retain(|word| !word.is_empty());
        OsRelease { like, name: value("PRETTY_NAME") }
    }

    /// Whether packages come by apt.
    pub fn debian(&self) -> bool {
        self.like.iter().any(|word| word == "debian" || word == "ubuntu")
    }
}

/// Where distributions keep the bundle of trusted certificates: Debian, Fedora, openSUSE, Alpine
/// and macOS.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/opt/homebrew/etc/ca-certificates/cert.pem",
];

/// Variables by which a company names its own bundle, in the order in which they are tried.
const BUNDLE_VARIABLES: [&str; 5] =
    ["XTASK_CA_BUNDLE", "SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];

/// Reads the facts. What can't be read counts as what a laptop with systemd has.
pub fn read(environment: &Environment) -> Machine {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let home = environment.variable("HOME").and_then(|home| fs::metadata(home).ok());
    // `Uid:` is followed by the real, effective, saved and file-system id (proc(5)).
    let uid = field("Uid:").and_then(|ids| ids.split_whitespace().nth(1)?.parse().ok());
    let capabilities = field("CapEff:").and_then(|text| u64::from_str_radix(text, 16).ok());
    let linux = Path::new("/proc/self/status").exists();
    Machine {
        uid: uid.unwrap_or_else(|| home.map_or(1000, |home| home.uid())),
        sys_resource: capabilities.is_none_or(|bits| bits & (1 << 24) != 0),
        cgroups: if linux { cgroups(Path::new("/sys/fs/cgroup")) } else { Cgroups::V2 },
        systemd: !linux || Path::new("/run/systemd/system").exists(),
        limits: limits(
            &fs::read_to_string("/proc/self/limits").unwrap_or_default(),
            &fs::read_to_string("/proc/sys/kernel/pid_max").unwrap_or_default(),
        ),
        release: release(),
        ca_bundle: ca_bundle(environment),
    }
}

fn release() -> OsRelease {
    let text = fs::read_to_string("/etc/os-release");
    // Minimal systems have only the distribution's own file (os-release(5)).
    let text = text.or_else(|_| fs::read_to_string("/usr/lib/os-release"));
    let macos = "ID=macos\nPRETTY_NAME=macOS";
    let none = if cfg!(target_os = "macos") { macos } else { "PRETTY_NAME=\"this system\"" };
    OsRelease::parse(&text.unwrap_or_else(|_| none.to_owned()))
}

fn cgroups(root: &Path) -> Cgroups {
    if root.join("cgroup.controllers").exists() {
        return Cgroups::V2;
    }
    let unified = fs::read_to_string(root.join("unified/cgroup.controllers"));
    if unified.is_ok_and(|text| !text.trim().is_empty()) { Cgroups::Hybrid } else { Cgroups::V1 }
}

/// The hard limits in `/proc/self/limits`, as `default_ulimits` takes them. Podman lowers its own
/// limit of processes to the kernel's `pid_max` before it starts one (4.3.1, measured).
fn limits(text: &str, pid_max: &str) -> (String, String) {
    let hard = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let value = line.and_then(|line| line.split_whitespace().nth(1)).unwrap_or("1024");
        value.parse::<i64>().unwrap_or(-1)
    };
    let processes = match (hard("Max processes"), pid_max.trim().parse::<i64>()) {
        (-1, Ok(most)) => most,
        (limit, Ok(most)) => limit.min(most),
        (limit, Err(_)) => limit,
    };
    (hard("Max open files").to_string(), processes.to_string())
}

fn ca_bundle(environment: &Environment) -> Option<PathBuf> {
    named_bundle(environment)
        .or_else(|| BUNDLES.iter().map(PathBuf::from).find(|path| filled(path)))
}

/// The bundle that a variable names, which a program of the machine doesn't know otherwise.
pub fn named_bundle(environment: &Environment) -> Option<PathBuf> {
    let named =
        BUNDLE_VARIABLES.iter().filter_map(|name| environment.variable(name)).map(PathBuf::from);
    named.into_iter().find(|path| filled(path))
}

fn filled(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file() && file.len() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_are_known_by_their_ancestors() {
        let check =
            |text: &str, debian| assert_eq!(OsRelease::parse(text).debian(), debian, "{text}");
        check("ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"", true);
        check("ID=linuxmint\nID_LIKE=\"ubuntu debian\"", true);
        check("ID=fedora", false);
        check("", false);
        let release = OsRelease::parse("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"");
        assert_eq!(release.name, "Debian GNU/Linux 12 (bookworm)");
    }

    #[test]
    fn hard_limits_are_the_second_number() {
        let text = "Limit  Soft Hard Units\nMax processes 10 20 processes\nMax open files 1024 unlimited files\n";
        assert_eq!(limits(text, ""), ("-1".to_owned(), "20".to_owned()));
        assert_eq!(limits(text, "15\n"), ("-1".to_owned(), "15".to_owned()));
    }

    #[test]
    fn the_cgroup_hierarchies_are_told_apart() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(cgroups(root.path()), Cgroups::V1);
        fs::create_dir(root.path().join("unified")).unwrap();
        fs::write(root.path().join("unified/cgroup.controllers"), "cpu\n").unwrap();
        assert_eq!(cgroups(root.path()), Cgroups::Hybrid);
        fs::write(root.path().join("cgroup.controllers"), "cpu\n").unwrap();
        assert_eq!(cgroups(root.path()), Cgroups::V2);
    }
}
