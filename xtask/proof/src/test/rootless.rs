//! The engine's tests as an ordinary user with subordinate ids. If we are root, a user is made for
//! them and removed again with all that belongs to it: processes, files, ids. It is named after the
//! checkout, so that what a killed run left is found at the next start.

use super::Bench;
use super::suite::{self, CORE, SETTINGS, Suite};
use crate::lab::{remove, unmount_below};
use anyhow::Context as _;
use engine::machine;
use engine::rootless::{OVERLAY, free_ids};
use process::failure::{Exit, failure_help};
use process::invocation::Invocation;
use process::run::{self, QUESTION, Runner};
use process::state::make_folder;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A user that we made.
#[derive(Clone, Debug, PartialEq, Eq)]
struct User {
    name: String,
    uid: u32,
    gid: u32,
    home: PathBuf,
    /// The first subordinate id and how many there are.
    ids: Option<(u32, u32)>,
}

pub(super) fn run(bench: &Bench<'_>) -> anyhow::Result<()> {
    if machine::read(&bench.world.environment).uid != 0 {
        let lab = bench.podman()?;
        return bench.in_lab(lab, |bench, lab| {
            bench.engine(lab, &CORE)?;
            bench.proofs(lab)
        });
    }
    let name = name_for(&bench.workflow.top)?;
    clear(&name, &bench.runner)?;
    let outcome = made(bench, &name).and_then(|(user, suite)| tests(bench, &user, &suite));
    // Also after a signal: what was made is removed.
    let calm = Runner { signal: std::sync::Arc::default(), ..bench.runner.clone() };
    clear(&name, &calm)?;
    outcome
}

/// The name of the user of the checkout at `top`: its own, so that two checkouts can be tested at
/// once.
pub(super) fn name_for(top: &Path) -> anyhow::Result<String> {
    let text = top.display().to_string();
    Ok(format!("xtask-{}", &source::git::blob_id(text.as_bytes())?[..8]))
}

/// The user, with our programs, the checkout and the packages of the stand-ins in its home.
fn made(bench: &Bench<'_>, name: &str) -> anyhow::Result<(User, Suite)> {
    let root = |program: &str, words: &[&str]| -> anyhow::Result<()> {
        bench.step(&Invocation::new(program, words.iter().copied()))
    };
    root("useradd", &["--create-home", "--user-group", "--shell", "/bin/sh", name])?;
    let mut user = find(name).context("looking for the user that was made")?;
    if user.ids.is_none() {
        let texts = ["/etc/subuid", "/etc/subgid"].map(|file| read(Path::new(file)));
        let first = free_ids(&texts.each_ref().map(String::as_str));
        let range = format!("{first}-{}", first + 65_535);
        root("usermod", &["--add-subuids", &range, "--add-subgids", &range, name])?;
        user = find(name).context("looking for the user that was made")?;
    }
    let suite = suite::copied(bench, &user.home.join("suite"))?;
    for folder in ["tmp", "run", "dev", ".config/containers", ".cache/senex-xtask"] {
        make_folder(&user.home.join(folder))?;
    }
    // As `setup --write-user-config` writes it.
    let storage = user.home.join(".config/containers/storage.conf");
    fs::write(&storage, OVERLAY).with_context(|| format!("writing {}", storage.display()))?;
    suite::copy_standins(bench, &user.home.join(".cache/senex-xtask"))?;
    let owner = format!("{}:{}", user.uid, user.gid);
    root("chown", &["--recursive", &owner, &user.home.display().to_string()])?;
    let run = user.home.join("run").display().to_string();
    root("chmod", &["700", &run])?;
    Ok((user, suite))
}

fn tests(bench: &Bench<'_>, user: &User, suite: &Suite) -> anyhow::Result<()> {
    let runner = Runner { folder: suite.folder.join("source"), ..bench.runner.clone() };
    if !Path::new("/dev/net/tun").exists() {
        let message = "looking for the network device of rootless containers: no /dev/net/tun";
        return Err(failure_help(Exit::Engine, message, "as root: modprobe tun"));
    }
    // Which files it copies is the same as root's, who tries that in the group `podman`.
    let mut proofs = suite.proofs();
    proofs.words.push("capability::".to_owned());
    for test in [suite.engine_tests(bench, &CORE)?, proofs] {
        bench.step_with(&runner, &as_user(&test, user))?;
    }
    Ok(())
}

/// Opens the network device in a separate mount namespace, so that the machine's keeps its mode,
/// and becomes the user there: the words are the folder for the device and those of setpriv(1).
const ENTER: &str = "mount -t tmpfs -o mode=755 tmpfs \"$1\" && mknod -m 666 \"$1/tun\" c 10 200 && \
                     mount --bind \"$1/tun\" /dev/net/tun && shift && exec setpriv \"$@\"";

/// `invocation` run by `user`, without a login.
fn as_user(invocation: &Invocation, user: &User) -> Invocation {
    let home = |name: &str| user.home.join(name).display().to_string();
    let mut words = ["--mount", "sh", "-c", ENTER, "sh"].map(String::from).to_vec();
    words.extend([
        home("dev"),
        format!("--reuid={}", user.uid),
        format!("--regid={}", user.gid),
        "--init-groups".to_owned(),
        "env".to_owned(),
    ]);
    words.extend(SETTINGS.iter().flat_map(|name| ["-u".to_owned(), (*name).to_owned()]));
    words.push(invocation.program.clone());
    words.extend(invocation.words.iter().cloned());
    let own = [
        ("HOME", user.home.display().to_string()),
        ("USER", user.name.clone()),
        ("LOGNAME", user.name.clone()),
        ("TMPDIR", home("tmp")),
        ("XDG_RUNTIME_DIR", home("run")),
        ("XDG_CONFIG_HOME", home(".config")),
        ("XDG_CACHE_HOME", home(".cache")),
        ("XTASK_TEST_ENGINE", "podman".to_owned()),
    ];
    let mut inner = Invocation::new("unshare", words);
    inner.env = own.map(|(name, value)| (name.to_owned(), value)).to_vec();
    inner.env.extend(invocation.env.iter().cloned());
    inner
}

/// Ends every process of the user and removes all that it owns; does nothing when there is none.
fn clear(name: &str, runner: &Runner) -> anyhow::Result<()> {
    let Some(user) = find(name) else { return Ok(()) };
    end_processes(&user)?;
    unmount_below(&user.home, runner)?;
    remove(&user.home)?;
    // Podman's lock is in shared memory; other programs' files may be where everyone writes.
    for folder in ["/dev/shm", "/tmp", "/var/tmp"] {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.symlink_metadata().is_ok_and(|found| found.uid() == user.uid) {
                if path.is_dir() && !path.is_symlink() { remove(&path)? } else { unlink(&path)? }
            }
        }
    }
    let removed = runner.ask(&Invocation::new("userdel", [name]), QUESTION)?;
    anyhow::ensure!(find(name).is_none(), "removing the user {name}: {}", removed.last_line());
    for file in ["/etc/subuid", "/etc/subgid"] {
        let text = read(Path::new(file));
        anyhow::ensure!(ids(&text, name).is_none(), "removing the user {name}: still in {file}");
    }
    Ok(())
}

fn unlink(path: &Path) -> anyhow::Result<()> {
    fs::remove_file(path).with_context(|| format!("removing {}", path.display()))
}

/// By their ids: those of the user, and those of its containers, whose ids are subordinate.
fn end_processes(user: &User) -> anyhow::Result<()> {
    let start = Instant::now();
    loop {
        let all: Vec<u32> = processes(user);
        if all.is_empty() {
            return Ok(());
        }
        anyhow::ensure!(
            start.elapsed() < Duration::from_secs(20),
            "ending the processes of {}: {all:?} go on",
            user.name
        );
        all.into_iter().for_each(run::kill);
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn processes(user: &User) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let theirs = |id: &u32| {
        let status = read(&PathBuf::from(format!("/proc/{id}/status")));
        status_is(&status, user)
    };
    ids.filter(theirs).collect()
}

/// Whether the text of `/proc/ID/status` is of a running process of the user (proc(5)).
fn status_is(status: &str, user: &User) -> bool {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let zombie = field("State:").is_some_and(|state| state.starts_with('Z'));
    let uid = field("Uid:").and_then(|ids| ids.split_whitespace().next()?.parse::<u32>().ok());
    let subordinate =
        |uid: u32| user.ids.is_some_and(|(first, count)| uid >= first && uid - first < count);
    !zombie && uid.is_some_and(|uid| uid == user.uid || subordinate(uid))
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

fn find(name: &str) -> Option<User> {
    let (passwd, subuid) = (read(Path::new("/etc/passwd")), read(Path::new("/etc/subuid")));
    user_in(&passwd, &subuid, name)
}

/// The user `name` in the texts of `/etc/passwd` and `/etc/subuid`. Root is never ours, nor is a
/// user whose home is the root folder.
fn user_in(passwd: &str, subuid: &str, name: &str) -> Option<User> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
    let fields: Vec<&str> = line.split(':').collect();
    let uid = fields.get(2)?.parse().ok().filter(|uid| *uid != 0)?;
    let gid = fields.get(3)?.parse().ok()?;
    let home = PathBuf::from(fields.get(5)?);
    home.parent()?;
    Some(User { name: name.to_owned(), uid, gid, home, ids: ids(subuid, name) })
}

fn ids(subuid: &str, name: &str) -> Option<(u32, u32)> {
    let line = subuid.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut numbers = line.split(':').skip(1).map(|field| field.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> User {
        User {
            name: "ann".into(),
            uid: 1001,
            gid: 1001,
            home: "/home/ann".into(),
            ids: Some((165_536, 65_536)),
        }
    }

    #[test]
    fn a_user_is_read_from_the_files_and_root_is_none() {
        let passwd = "root:x:0:0::/root:/bin/sh\nann:x:1001:1001::/home/ann:/bin/sh\nbob:x:0:0::/b:/bin/sh\neve:x:5:5::/:/bin/sh\n";
        let subuid = "bob:100000:65536\nann:165536:65536\n";
        assert_eq!(user_in(passwd, subuid, "ann"), Some(ann()));
        for name in ["an", "root", "bob", "eve", ""] {
            assert_eq!(user_in(passwd, subuid, name), None, "{name}");
        }
    }

    #[test]
    fn only_processes_of_the_user_and_its_containers_are_ended() {
        let check = |uid: u32, state: &str, expected| {
            let status = format!("Name:\tx\nState:\t{state}\nUid:\t{uid}\t0\t0\t0\n");
            assert_eq!(status_is(&status, &ann()), expected, "{uid} {state}");
        };
        check(1001, "S (sleeping)", true);
        check(1001, "Z (zombie)", false);
        check(0, "S (sleeping)", false);
        check(1000, "S (sleeping)", false);
        check(165_535, "R (running)", false);
        check(165_536, "R (running)", true);
        check(231_071, "R (running)", true);
        check(231_072, "R (running)", false);
    }
}
