//! The `git` program in a repository that borrows the objects of another one and has no
//! configuration but what a commit itself holds.

use super::{Exit, failure_help, program};
use anyhow::Context as _;
use process::disk::{self, failed};
use process::state::make_folder;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A folder that is removed when this is dropped.
pub(super) struct Scratch(pub PathBuf);

impl Scratch {
    pub(super) fn new() -> anyhow::Result<Scratch> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let top = std::path::absolute(std::env::temp_dir()).context("looking for TMPDIR")?;
        loop {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let folder = top.join(format!("xtask-export-{}-{number}", std::process::id()));
            match fs::create_dir(&folder) {
                Ok(()) => return Ok(Scratch(folder)),
                // Of a process that had this number before.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed("making", &folder, &error)),
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Writes the files `paths`, which are relative to the top of the work tree `top` and are in the
/// commit `revision`, into the folder `tree`. What Git LFS keeps is written as its pointers.
///
/// # Errors
/// [`Exit::Git`] without the program, or when the commit isn't all here.
pub(super) fn write(
    program: Option<&Path>,
    top: &Path,
    revision: &str,
    paths: &[&str],
    tree: &Path,
) -> anyhow::Result<()> {
    make_folder(tree)?;
    let work = format!("--work-tree={}", tree.display());
    let words = [&work, "checkout-index", "--quiet", "--force", "-z", "--stdin"];
    Borrowed::of(program, top, revision)?.ask(&words, &separated(paths)).map(|_| ())
}

/// Those of `paths` whose attribute `filter` is `value` in the commit `revision`.
pub(super) fn filtered<'a>(
    program: Option<&Path>,
    top: &Path,
    revision: &str,
    paths: &[&'a str],
    value: &str,
) -> anyhow::Result<Vec<&'a str>> {
    let words = ["check-attr", "--cached", "-z", "--stdin", "filter"];
    let answer = Borrowed::of(program, top, revision)?.ask(&words, &separated(paths))?;
    // Three fields for each path, in their order: the path, the attribute and its value.
    let values = answer.split(|byte| *byte == 0).skip(2).step_by(3);
    let found = paths.iter().zip(values).filter(|(_, found)| *found == value.as_bytes());
    Ok(found.map(|(path, _)| *path).collect())
}

fn separated(paths: &[&str]) -> Vec<u8> {
    paths.iter().flat_map(|path| path.bytes().chain([0])).collect()
}

/// A repository that borrows another one's objects, has one commit in its index, and no
/// configuration.
struct Borrowed<'a> {
    scratch: Scratch,
    program: &'a Path,
    revision: &'a str,
}

impl<'a> Borrowed<'a> {
    fn of(
        program: Option<&'a Path>,
        top: &Path,
        revision: &'a str,
    ) -> anyhow::Result<Borrowed<'a>> {
        let Some(program) = program else {
            return Err(failure_help(
                Exit::Git,
                format!("writing the files of the commit {revision}: that needs the `git` program"),
                "install it, and put it on PATH",
            ));
        };
        let objects = program::ask(program, top, &["rev-parse", "--git-path", "objects"])?;
        let format = program::ask(program, top, &["rev-parse", "--show-object-format"]);
        let format = format.map_or_else(|_| "sha1".to_owned(), |text| text.trim().to_owned());
        let borrowed = Borrowed { scratch: Scratch::new()?, program, revision };
        let format = format!("--object-format={format}");
        borrowed.ask(&["init", "--quiet", "--bare", &format, "."], b"")?;
        let objects = top.join(objects.trim_end_matches('\n'));
        let objects =
            objects.canonicalize().with_context(|| format!("reading {}", objects.display()))?;
        // What replaces an object in the repository replaces it here: each line as `packed-refs`
        // has it.
        let replaced = ["for-each-ref", "--format=%(objectname) %(refname)", "refs/replace/"];
        let replaced = program::ask(program, top, &replaced)?;
        fs::write(borrowed.scratch.0.join("packed-refs"), replaced)
            .context("borrowing the replaced objects of the repository")?;
        let line = format!("{}\n", objects.display());
        let place = borrowed.scratch.0.join("objects/info/alternates");
        fs::write(&place, line).map_err(|error| failed("writing", &place, &error))?;
        borrowed.ask(&["read-tree", revision], b"")?;
        Ok(borrowed)
    }

    /// What git prints there.
    fn ask(&self, words: &[&str], input: &[u8]) -> anyhow::Result<Vec<u8>> {
        let folder = &self.scratch.0;
        let own: [(&str, OsString); 10] = [
            ("GIT_DIR", folder.into()),
            // It replaces the file in HOME.
            ("GIT_CONFIG_GLOBAL", "/dev/null".into()),
            ("GIT_CONFIG_SYSTEM", "/dev/null".into()),
            ("HOME", folder.into()),
            ("XDG_CONFIG_HOME", folder.into()),
            ("GIT_CONFIG_NOSYSTEM", "1".into()),
            ("GIT_ATTR_NOSYSTEM", "1".into()),
            ("GIT_CONFIG_COUNT", "0".into()),
            ("GIT_CONFIG_PARAMETERS", "".into()),
            ("GIT_TEMPLATE_DIR", "".into()),
        ];
        let output = program::run_with(self.program, folder, words, input, &own)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let stderr = String::from_utf8_lossy(&output.stderr);
        let line = stderr.lines().next().unwrap_or("git failed without a word").to_owned();
        let message = format!("writing the files of the commit {}: {line}", self.revision);
        if disk::is_full(&[stderr.into_owned()]) {
            let tree = words.first().and_then(|word| word.strip_prefix("--work-tree="));
            let places: Vec<&Path> = tree.map(Path::new).into_iter().chain([&**folder]).collect();
            return Err(failure_help(Exit::Unexpected, message, disk::make_room(&places)));
        }
        Err(failure_help(
            Exit::Git,
            message,
            "is all of it in this clone? `git fsck` tells; a partial clone gets it with \
             `git checkout`",
        ))
    }
}
