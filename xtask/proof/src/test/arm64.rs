//! The production image for another architecture, with QEMU running its programs: on Podman, from a
//! stand-in of that architecture's packages if no registry is in reach.

use super::{Bench, rootless, trixie};
use anyhow::Context as _;
use process::invocation::Invocation;
use process::run::{QUESTION, Runner};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// The one test that the group runs, and what makes it more than a word that it is left out.
const TEST: &str = "the_production_image_builds_for_another_platform";
const PLATFORM: (&str, &str) = ("XTASK_TEST_PLATFORM", "linux/arm64");

/// The kernel's list of what else can be run (binfmt_misc).
const ENTRIES: &str = "/proc/sys/fs/binfmt_misc";

/// What the kernel was told: it holds for the whole machine, so that it is taken back at the end,
/// or after a kill at the next start.
#[derive(Serialize, Deserialize)]
struct Told {
    entry: String,
    /// Whether the list was mounted for it.
    mounted: bool,
}

const TOLD: &str = "binfmt.json";

pub(super) fn run(bench: &Bench<'_>) -> anyhow::Result<()> {
    bench.needs_root("telling the kernel about another architecture")?;
    // A static program: it also runs where only the image's own files are.
    let root = trixie::unpacked(bench, "qemu", &["qemu-user"], "usr/bin/qemu-aarch64")?;
    take_back(bench, &bench.runner)?;
    let told = tell(bench, &root.join("usr/bin/qemu-aarch64"));
    let outcome = told.and_then(|()| {
        let mut lab = bench.empty_podman()?;
        lab.env.push((PLATFORM.0.to_owned(), PLATFORM.1.to_owned()));
        bench.in_lab(lab, |bench, lab| bench.engine(lab, &[TEST]))
    });
    // Also after a signal.
    let calm = Runner { signal: std::sync::Arc::default(), ..bench.runner.clone() };
    take_back(bench, &calm)?;
    outcome
}

/// The programs of arm64 by their first bytes (elf(5)); `F`: the interpreter is opened now, and so
/// is there in every root file system (Documentation/admin-guide/binfmt-misc.rst).
fn entry(name: &str, interpreter: &Path) -> String {
    let magic = "\\x7f\\x45\\x4c\\x46\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\xb7\\x00";
    let mask = "\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff\\xff\\xff";
    format!(":{name}:M::{magic}:{mask}:{}:F", interpreter.display())
}

fn tell(bench: &Bench<'_>, interpreter: &Path) -> anyhow::Result<()> {
    let register = Path::new(ENTRIES).join("register");
    let name = format!("{}-arm64", rootless::name_for(&bench.workflow.top)?);
    let mounted = !register.exists();
    bench.workflow.state.remember(TOLD, &Told { entry: name.clone(), mounted })?;
    if mounted {
        bench.step(&Invocation::new("mount", ["-t", "binfmt_misc", "binfmt_misc", ENTRIES]))?;
    }
    fs::write(&register, entry(&name, interpreter))
        .with_context(|| format!("writing {}", register.display()))
}

fn take_back(bench: &Bench<'_>, runner: &Runner) -> anyhow::Result<()> {
    let state = &bench.workflow.state;
    let Some(told) = state.remembered::<Told>(TOLD) else { return Ok(()) };
    let file = Path::new(ENTRIES).join(&told.entry);
    if file.exists() {
        fs::write(&file, "-1").with_context(|| format!("writing {}", file.display()))?;
    }
    // Others may have come to use it since.
    let entries = fs::read_dir(ENTRIES).into_iter().flatten().flatten();
    let own = |name: &std::ffi::OsStr| name == "register" || name == "status";
    if told.mounted && entries.into_iter().all(|entry| own(&entry.file_name())) {
        runner.ask(&Invocation::new("umount", [ENTRIES]), QUESTION)?;
    }
    let path = state.folder.join(TOLD);
    fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_told_in_its_own_form() {
        let text = entry("xtask-1-arm64", Path::new("/q"));
        let fields: Vec<&str> = text.split(':').collect();
        assert_eq!(fields[1..4], ["xtask-1-arm64", "M", ""]);
        // Twenty bytes each, four characters a byte.
        assert_eq!((fields[4].len(), fields[5].len()), (80, 80));
        assert_eq!(fields[6..], ["/q", "F"]);
    }

    #[test]
    fn the_test_is_there_and_asks_for_the_platform() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engine/platform.rs");
        let text = fs::read_to_string(file).unwrap();
        assert!(text.contains(&format!("fn {TEST}()")) && text.contains(PLATFORM.0));
    }
}
