//! The engine's tests on Podman 5: in a root file system of Debian 13 and a separate network.

use super::Bench;
use super::suite::{self, SETTINGS, Suite};
use crate::lab::{Lab, RESOLVER, remove};
use anyhow::Context as _;
use image::network;
use process::invocation::Invocation;
use process::state::make_folder;
use std::fs;
use std::path::{Path, PathBuf};

/// What the tests need in addition to a minimal system.
const PACKAGES: &str = "podman,runc,catatonit,netavark,aardvark-dns,iptables,nftables,\
                        ca-certificates,git,mmdebstrap";

/// The folder of the tests and the store, in there.
const WORK: &str = "/work";

/// Becomes a process in the root file system `$1`, with the folder `$2` as [`WORK`]: mounts that
/// vanish with it, and an init that reaps what a killed build leaves to it.
const ENTER: &str = "set -e; root=$1; work=$2; shift 2; \
                     mount --bind \"$root\" \"$root\"; cd \"$root\"; mkdir -p work old; \
                     mount --rbind /dev dev; mount -t tmpfs tmpfs dev/shm; mount --rbind /sys sys; \
                     mount -t proc proc proc; \
                     mount -t tmpfs tmpfs run; mount --bind \"$work\" work; \
                     pivot_root . old; umount -l /old; cd /work/suite/source; \
                     exec catatonit -- \"$@\"";

pub(super) fn run(bench: &Bench<'_>) -> anyhow::Result<()> {
    bench.needs_root("entering another root file system")?;
    let root = made(bench)?;
    let (lab, network) = Lab::elsewhere(bench.workflow, &bench.runner, bench.group)?;
    let outcome = tests(bench, &lab, &network, &root);
    outcome.and(lab.end(&bench.runner))
}

/// The root file system, made once for a checkout.
fn made(bench: &Bench<'_>) -> anyhow::Result<PathBuf> {
    let root = bench.workflow.state.folder.join("podman5");
    if root.is_dir() {
        return Ok(root);
    }
    let part = root.with_extension("part");
    remove(&part)?;
    let mirror = bench.world.environment.variable("XTASK_DEBIAN_MIRROR");
    let mirror = network::debian_mirror(mirror, &bench.workflow.config.network)?;
    let include = format!("--include={PACKAGES}");
    let part_name = part.display().to_string();
    let words = ["--variant=minbase", "--format=directory", &include, "trixie", &part_name];
    let words = words.into_iter().map(str::to_owned).chain(mirror);
    bench.step(&Invocation::new("mmdebstrap", words))?;
    fs::rename(&part, &root).with_context(|| format!("making {}", root.display()))?;
    Ok(root)
}

fn tests(bench: &Bench<'_>, lab: &Lab, network: &str, root: &Path) -> anyhow::Result<()> {
    let work = lab.folder.join("work");
    for folder in ["tmp", "cache/senex-xtask"] {
        make_folder(&work.join(folder))?;
    }
    suite::copied(bench, &work.join("suite"))?;
    let copy = |from: &Path, to: &Path| {
        fs::copy(from, to).map(drop).with_context(|| format!("copying {}", from.display()))
    };
    copy(Path::new(&bench.tool("uv")), &work.join("suite/uv"))?;
    suite::copy_standins(bench, &work.join("cache/senex-xtask"))?;
    // What the machine trusts: a proxy may intercept.
    if let Some(bundle) = engine::machine::read(&bench.world.environment).ca_bundle {
        copy(&bundle, &root.join("etc/ssl/certs/ca-certificates.crt"))?;
    }
    // Networks are kept in the root: those of a run that failed would be in the way.
    remove(&root.join("etc/containers/networks"))?;
    let text = format!("nameserver {RESOLVER}\n");
    fs::write(root.join("etc/resolv.conf"), text).context("writing resolv.conf")?;
    let storage = format!(
        "[storage]\ndriver = \"overlay\"\ngraphroot = \"{WORK}/graph\"\nrunroot = \"/run/graph\"\n"
    );
    fs::write(work.join("storage.conf"), storage).context("writing storage.conf")?;
    let suite = Suite { folder: Path::new(WORK).join("suite") };
    // Neither asks anything of an engine that others don't.
    bench.tell("not run: adopt::, compose:: (they need cargo and Python, which this root hasn't)");
    let without = ["--skip", "adopt::a_stock", "--skip", "adopt::what_a_smaller"];
    let engine_tests =
        suite.engine_tests(bench, &[&without[..], &["--skip", "compose::"]].concat())?;
    for test in [engine_tests, suite.proofs()] {
        let inside = inside(&test, network, root, &work);
        bench.step_recorded(&bench.runner, &inside, &mut |id| lab.record(id))?;
    }
    Ok(())
}

/// `invocation` in there. `--kill-child`: when unshare(1) is ended, so is all that runs in there.
fn inside(invocation: &Invocation, network: &str, root: &Path, work: &Path) -> Invocation {
    let mut words = [network, "unshare", "--mount", "--pid", "--fork", "--kill-child"]
        .map(String::from)
        .to_vec();
    words.extend(["sh", "-c", ENTER, "sh"].map(String::from));
    words.extend([root, work].map(|path| path.display().to_string()));
    words.push("env".to_owned());
    words.extend(SETTINGS.iter().flat_map(|name| ["-u".to_owned(), (*name).to_owned()]));
    let file = |name: &str| format!("{WORK}/{name}");
    let own = [
        ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
        ("HOME", "/root".to_owned()),
        ("TMPDIR", file("tmp")),
        ("XDG_CACHE_HOME", file("cache")),
        ("CONTAINERS_STORAGE_CONF", file("storage.conf")),
        ("XTASK_TEST_ENGINE", "podman".to_owned()),
        ("XTASK_TEST_UV", file("suite/uv")),
    ];
    // As words of env(1): what enters needs this machine's own.
    words.extend(own.map(|(name, value)| format!("{name}={value}")));
    words.extend(invocation.env.iter().map(|(name, value)| format!("{name}={value}")));
    words.push(invocation.program.clone());
    words.extend(invocation.words.iter().cloned());
    Invocation::new("nsenter", words)
}
