//! What an ordinary user's Podman needs from the machine: subordinate ids, a network device, and a
//! storage driver that doesn't copy every layer.

use super::find::{Problem, on_path};
use super::{Engine, words};
use crate::machine::Machine;
use process::environment::Environment;
use process::run::{QUESTION, Runner};
use std::fs::{self, File};
use std::io::ErrorKind;

/// What keeps rootless Podman from building here; `None` for root, and if nothing does.
pub fn lacking(machine: &Machine, environment: &Environment) -> Option<Problem> {
    if machine.uid == 0 || !cfg!(target_os = "linux") {
        return None;
    }
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let user = user_name(&read("/etc/passwd"), machine.uid)
        .or_else(|| environment.variable("USER").map(str::to_owned))
        .unwrap_or_else(|| machine.uid.to_string());
    let tun = File::options().read(true).write(true).open("/dev/net/tun");
    judge(&OrdinaryUser {
        user,
        uid: machine.uid,
        namespaces: read("/proc/sys/user/max_user_namespaces"),
        clone: read("/proc/sys/kernel/unprivileged_userns_clone"),
        maps: ["newuidmap", "newgidmap"]
            .iter()
            .all(|name| !on_path(environment.path(), name).is_empty()),
        debian: machine.release.debian(),
        uids: read("/etc/subuid"),
        gids: read("/etc/subgid"),
        tun: tun.map_err(|error| error.kind()).err(),
    })
}

/// What was found about an ordinary user.
#[derive(Clone)]
struct OrdinaryUser {
    user: String,
    uid: u32,
    /// The kernel's limit of user namespaces, as text.
    namespaces: String,
    /// Debian's own switch for them, if the kernel has it.
    clone: String,
    /// Whether the programs that map subordinate ids are here.
    maps: bool,
    debian: bool,
    /// The texts of `/etc/subuid` and `/etc/subgid`.
    uids: String,
    gids: String,
    /// Why `/dev/net/tun` can't be opened.
    tun: Option<ErrorKind>,
}

/// The first thing that is missing, with the command that mends it.
fn judge(found: &OrdinaryUser) -> Option<Problem> {
    let OrdinaryUser { user, uid, .. } = found;
    if found.namespaces.trim() == "0" || found.clone.trim() == "0" {
        let setting = match found.clone.trim() {
            "0" => "kernel.unprivileged_userns_clone=1",
            _ => "user.max_user_namespaces=15000",
        };
        return Some(Problem::new(
            "the kernel gives ordinary users no user namespaces",
            format!("as root: sysctl --write {setting} (until the next boot)"),
        ));
    }
    if !found.maps {
        let package = if found.debian { "apt-get install uidmap" } else { "install shadow-utils" };
        return Some(Problem::new(
            "newuidmap and newgidmap, which map the user's subordinate ids, are not on PATH",
            format!("as root: {package}"),
        ));
    }
    if !has_ids(&found.uids, user, *uid) || !has_ids(&found.gids, user, *uid) {
        let first = free_ids(&[&found.uids, &found.gids]);
        let range = format!("{first}-{}", first + IDS - 1);
        return Some(Problem::new(
            format!("the user {user} has no subordinate ids (/etc/subuid, /etc/subgid)"),
            format!(
                "as root: usermod --add-subuids {range} --add-subgids {range} {user}; then: podman system migrate"
            ),
        ));
    }
    let remedy = match found.tun? {
        ErrorKind::NotFound => "as root: modprobe tun; chmod 666 /dev/net/tun",
        _ => "as root: chmod 666 /dev/net/tun",
    };
    Some(Problem::new(
        "the user's containers get no network: /dev/net/tun can't be opened",
        format!("{remedy} (until the next boot)"),
    ))
}

/// How many subordinate ids a user needs: as many as an image may use.
const IDS: u32 = 65_536;

/// The first id of an unused range (subuid(5)); Debian's start at 100000.
pub fn free_ids(texts: &[&str]) -> u32 {
    let ends = texts.iter().flat_map(|text| text.lines()).filter_map(|line| {
        let mut numbers = line.split(':').skip(1).map(|field| field.trim().parse::<u32>().ok());
        numbers.next()??.checked_add(numbers.next()??)
    });
    ends.fold(100_000, u32::max)
}

/// The name of the user `uid` in the text of `/etc/passwd` (passwd(5)).
fn user_name(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

/// Whether the text of `/etc/subuid` has a range for a user, by name or id (subuid(5)).
fn has_ids(text: &str, user: &str, uid: u32) -> bool {
    let number = uid.to_string();
    text.lines().any(|line| {
        let mut fields = line.split(':');
        let owner = fields.next().unwrap_or_default();
        let count = fields.nth(1).and_then(|count| count.parse::<u32>().ok());
        (owner == user || owner == number) && count.is_some_and(|count| count >= IDS)
    })
}

/// Whether the engine stores images with the vfs driver (0.5 s: ask once).
pub fn stores_by_copying(engine: &Engine, runner: &Runner) -> anyhow::Result<bool> {
    let answer = runner.ask(&words::store(engine), QUESTION)?;
    Ok(answer.stdout.trim().ends_with(" vfs"))
}

/// The warning about the vfs driver, at every build and by `doctor`.
pub const COPIES: &str = "Podman stores images with the vfs driver, which copies every layer: a build with nothing \
                          changed takes minutes; `cargo xtask setup --write-user-config` asks for overlay, and \
                          `podman system reset`, which removes your images and containers, starts it";

/// The text of a `storage.conf` that asks for overlay (containers-storage.conf(5)).
pub const OVERLAY: &str = "# Written by `cargo xtask setup --write-user-config`: vfs copies every layer.\n\
                           [storage]\ndriver = \"overlay\"\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_their_ids_are_found() {
        let passwd = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n";
        assert_eq!(user_name(passwd, 1000).as_deref(), Some("ann"));
        assert_eq!(user_name(passwd, 1001), None);
        let check =
            |text: &str, expected| assert_eq!(has_ids(text, "ann", 1000), expected, "{text}");
        check("ann:100000:65536\n", true);
        check("1000:100000:65536\n", true);
        check("bob:100000:65536\n", false);
        check("ann:100000:10\n", false);
        check("", false);
    }

    #[test]
    fn what_lacks_is_said_with_the_command() {
        let ids = "ann:100000:65536\n";
        let good = OrdinaryUser {
            user: "ann".into(),
            uid: 1000,
            namespaces: "94000\n".into(),
            clone: String::new(),
            maps: true,
            debian: true,
            uids: ids.into(),
            gids: ids.into(),
            tun: None,
        };
        let check = |found: OrdinaryUser, expected: &str| {
            let found = judge(&found).map(|problem| problem.remedy).unwrap_or_default();
            assert_eq!(found, expected);
        };
        check(good.clone(), "");
        check(
            OrdinaryUser { namespaces: "0\n".into(), ..good.clone() },
            "as root: sysctl --write user.max_user_namespaces=15000 (until the next boot)",
        );
        check(
            OrdinaryUser { clone: "0\n".into(), ..good.clone() },
            "as root: sysctl --write kernel.unprivileged_userns_clone=1 (until the next boot)",
        );
        check(OrdinaryUser { maps: false, ..good.clone() }, "as root: apt-get install uidmap");
        check(
            OrdinaryUser { gids: "bob:100000:65536\n".into(), ..good.clone() },
            "as root: usermod --add-subuids 165536-231071 --add-subgids 165536-231071 ann; then: podman system migrate",
        );
        check(
            OrdinaryUser { tun: Some(ErrorKind::PermissionDenied), ..good.clone() },
            "as root: chmod 666 /dev/net/tun (until the next boot)",
        );
        check(
            OrdinaryUser { tun: Some(ErrorKind::NotFound), ..good },
            "as root: modprobe tun; chmod 666 /dev/net/tun (until the next boot)",
        );
    }

    #[test]
    fn a_new_range_overlaps_no_other() {
        let check = |texts: &[&str], expected| assert_eq!(free_ids(texts), expected, "{texts:?}");
        check(&["", ""], 100_000);
        check(&["a:100000:65536\nb:300000:10\n", "a:200000:65536\n"], 300_010);
        check(&["nonsense\na:b:c\n"], 100_000);
    }
}
