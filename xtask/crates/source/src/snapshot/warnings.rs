//! What no engine reports: files that a rule left out, links that lead nowhere, and how large a
//! build context is.

use super::Snapshot;
use crate::content::FileMode;
use crate::context::ContextFile;
use crate::ignore::Ignore;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// So many files are named in a warning.
const NAMED: usize = 3;

/// A tracked file that isn't in the build context.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LeftOutFile {
    /// Below the root of the build context.
    pub path: String,
    /// The line of `.dockerignore` that decides.
    pub line: usize,
    pub pattern: String,
    /// Whether that line leaves out files that aren't needed.
    pub on_purpose: bool,
}

/// Those of the files that are `absent` from the build context that a rule leaves out, if their
/// path begins with `application`.
pub(super) fn left_out(ignore: &Ignore, absent: &[String], application: &str) -> Vec<LeftOutFile> {
    let files = absent.iter().filter(|path| path.starts_with(application));
    files
        .filter_map(|path| {
            let verdict = ignore.verdict(path);
            let (line, pattern) = verdict.line.zip(verdict.pattern)?;
            let on_purpose = ignore.on_purpose(line);
            let path = path.clone();
            (!verdict.included).then_some(LeftOutFile { path, line, pattern, on_purpose })
        })
        .collect()
}

/// What a build context of more than `limit` bytes is made of.
pub(super) fn large(files: &[ContextFile], limit: u64) -> Option<String> {
    let bytes: u64 = files.iter().map(|file| file.bytes).sum();
    if bytes <= limit {
        return None;
    }
    let mut largest: Vec<&ContextFile> = files.iter().collect();
    largest.sort_by_key(|file| std::cmp::Reverse(file.bytes));
    let largest = largest.iter().take(NAMED);
    let largest: Vec<String> =
        largest.map(|file| format!("{} ({})", file.path, megabytes(file.bytes))).collect();
    Some(format!(
        "the build context has {}, all of which is copied; the largest files: {}; exclude what the image \
         doesn't need in the ignore file, or raise `large` below [context] in docker/image.toml",
        megabytes(bytes),
        largest.join(", ")
    ))
}

fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)
}

impl Snapshot {
    /// What a user should know of the build context below `root`, a line each.
    pub fn warnings(&self, root: &Path) -> Vec<String> {
        let taken = self.left_out.iter().filter(|file| !file.on_purpose);
        let taken: Vec<String> = taken
            .map(|file| format!("{} (line {}, {})", file.path, file.line, file.pattern))
            .collect();
        let files = match taken.len() {
            1 => "1 tracked file of the application isn't in the build context".to_owned(),
            count => {
                format!("{count} tracked files of the application aren't in the build context")
            }
        };
        let help = "put the rule of the ignore file below `# section: on purpose` if that is right";
        let taken = named(&taken).map(|names| format!("{files}: {names}; {help}"));
        let links: Vec<String> = self.dangling(root);
        let links = named(&links).map(|names| {
            format!("symbolic links that lead out of the build context: {names}; only the link is copied")
        });
        taken.into_iter().chain(links).collect()
    }

    /// The links whose target is neither in the build context nor an absolute path, which only the
    /// image can tell.
    fn dangling(&self, root: &Path) -> Vec<String> {
        let links = self.contents.iter().filter(|(_, content)| content.kind == FileMode::Link);
        links
            .filter_map(|(path, _)| {
                let target = root.join(path).read_link().ok()?;
                let text = String::from_utf8_lossy(target.as_os_str().as_bytes()).into_owned();
                (target.is_relative() && !self.leads_to(path, &text))
                    .then(|| format!("{path} -> {text}"))
            })
            .collect()
    }

    /// Whether the relative `target` of the link `path` is in the build context.
    fn leads_to(&self, path: &str, target: &str) -> bool {
        let mut place: Vec<&str> = path.split('/').collect();
        place.pop();
        for part in target.split('/') {
            match part {
                "" | "." => {}
                ".." if place.pop().is_none() => return false,
                ".." => {}
                name => place.push(name),
            }
        }
        let place = place.join("/");
        let folder = format!("{place}/");
        let below = self.contents.range(folder.clone()..).next();
        self.contents.contains_key(&place)
            || below.is_some_and(|(path, _)| path.starts_with(&folder))
    }
}

/// The first few of `all`, and how many more there are; `None` without any.
fn named(all: &[String]) -> Option<String> {
    let first = all.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match all.len() {
        0 => None,
        count if count <= NAMED => Some(first),
        count => Some(format!("{first} and {} more", count - NAMED)),
    }
}
