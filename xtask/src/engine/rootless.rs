//! What an ordinary user's Podman needs from the machine: subordinate ids, a network device, and a
//! storage driver that doesn't copy every layer.

use super::find::Trouble;
use super::{Engine, words};
use crate::machine::Machine;
use crate::run::{QUESTION, Runner};
use crate::world::World;
use std::fs::{self, File};
use std::path::Path;

/// What keeps rootless Podman from building here; `None` for root, and where nothing does.
pub fn lacking(machine: &Machine, world: &World) -> Option<Trouble> {
    if machine.uid == 0 || !cfg!(target_os = "linux") {
        return None;
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = user_name(&passwd, machine.uid)
        .or_else(|| world.variable("USER").map(str::to_owned))
        .unwrap_or_else(|| machine.uid.to_string());
    let ids =
        |file: &str| fs::read_to_string(file).is_ok_and(|text| has_ids(&text, &user, machine.uid));
    if !ids("/etc/subuid") || !ids("/etc/subgid") {
        return Some(Trouble {
            what: format!("the user {user} has no subordinate ids (/etc/subuid, /etc/subgid)"),
            remedy: format!(
                "as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}; then: podman system migrate"
            ),
        });
    }
    let tun = Path::new("/dev/net/tun");
    if File::options().read(true).write(true).open(tun).is_err() {
        return Some(Trouble {
            what: "the user's containers get no network: /dev/net/tun can't be opened".to_owned(),
            remedy: "as root: modprobe tun; chmod 666 /dev/net/tun (until the next boot)"
                .to_owned(),
        });
    }
    None
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
        (owner == user || owner == number) && count.is_some_and(|count| count >= 65_536)
    })
}

/// Whether the engine stores images with the vfs driver (0.5 s: ask once).
///
/// # Errors
/// 130 or 143 after a signal.
pub fn stores_by_copying(engine: &Engine, runner: &Runner) -> anyhow::Result<bool> {
    let answer = runner.ask(&words::store(engine), QUESTION)?;
    Ok(answer.stdout.trim().ends_with(" vfs"))
}

/// What is said about the vfs driver, at every build and by `doctor`.
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
}
