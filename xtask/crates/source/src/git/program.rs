//! Asks the `git` program, for repositories that libgit2 does not read correctly.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::Context as _;

use super::{ChangeKind, Exit, Facts, Source, failure, failure_help};

/// The `git` program in the folders of `path`, the value of PATH.
pub(super) fn find(path: Option<&OsStr>) -> Option<PathBuf> {
    std::env::split_paths(path?)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(format!("git{}", std::env::consts::EXE_SUFFIX)))
        .find(|program| program.is_file())
}

/// A repository, read with the program.
pub(super) struct Program {
    program: PathBuf,
    top: PathBuf,
    /// Mode and id of all files of HEAD.
    head: HashMap<String, (String, String)>,
    index: HashSet<String>,
    hidden: Vec<String>,
    submodules: Vec<String>,
    /// Whether the permission to execute counts.
    modes: bool,
}

/// Runs git in `folder`. Its output must not depend on the user's language, it must not write,
/// and it must look at the repository of the folder, whatever the environment says.
fn run(program: &Path, folder: &Path, arguments: &[&str], input: &[u8]) -> anyhow::Result<Output> {
    let mut command = Command::new(program);
    command.args(["--no-pager", "--no-optional-locks", "-c", "core.fsmonitor=false"]);
    command.args(arguments).current_dir(folder);
    command.env("LC_ALL", "C").env("GIT_OPTIONAL_LOCKS", "0").env_remove("LANGUAGE");
    for name in [
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_NAMESPACE",
        "GIT_PREFIX",
        "GIT_SHALLOW_FILE",
        "GIT_LITERAL_PATHSPECS",
    ] {
        command.env_remove(name);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let doing = || format!("running git {}", arguments.join(" "));
    let mut child = command.spawn().with_context(doing)?;
    let stdin = child.stdin.take();
    std::thread::scope(|scope| {
        // Git may answer before it has read everything; if it stops reading, its exit code tells.
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input)));
        child.wait_with_output().with_context(doing)
    })
}

/// What git prints, which must succeed.
fn ask(program: &Path, folder: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = run(program, folder, arguments, b"")?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stderr.contains("dubious ownership") {
        return Err(super::foreign(folder));
    }
    if stderr.contains("not a git repository") {
        return Err(super::no_repository(folder));
    }
    let line = stderr.lines().next().unwrap_or("it failed without a word");
    Err(failure(Exit::Git, format!("running git {}: {line}", arguments.join(" "))))
}

/// The tags at `revision`, from `show-ref --tags -d`: a tag object has a second line, with `^{}`
/// after its name and the object that it leads to in the end.
fn tags_at(answer: &str, revision: &str) -> Vec<String> {
    let lines = answer.lines().filter_map(|line| line.split_once(" refs/tags/"));
    let names = lines.filter(|(id, _)| *id == revision);
    names.map(|(_, name)| name.strip_suffix("^{}").unwrap_or(name).to_owned()).collect()
}

/// All tags of the same answer.
fn all_tags(answer: &str) -> Vec<String> {
    let names = answer.lines().filter_map(|line| line.split_once(" refs/tags/"));
    let names = names.filter(|(_, name)| !name.ends_with("^{}"));
    names.map(|(_, name)| name.to_owned()).collect()
}

/// The items of an answer to `-z`.
fn items(answer: &str) -> impl Iterator<Item = &str> {
    answer.split('\0').filter(|item| !item.is_empty())
}

impl Program {
    pub(super) fn open(program: &Path, folder: &Path) -> anyhow::Result<Self> {
        let ask = |arguments: &[&str]| ask(program, folder, arguments);
        if ask(&["rev-parse", "--is-bare-repository"])?.trim() == "true" {
            return Err(super::bare(folder));
        }
        let top = PathBuf::from(ask(&["rev-parse", "--show-toplevel"])?.trim_end_matches('\n'));
        let head = ["rev-parse", "--verify", "--quiet", "HEAD^{commit}"];
        if !run(program, folder, &head, b"")?.status.success() {
            return Err(super::no_commit(&top));
        }
        let mut this = Self {
            program: program.to_owned(),
            top,
            head: HashMap::new(),
            index: HashSet::new(),
            hidden: Vec::new(),
            submodules: Vec::new(),
            modes: true,
        };
        this.modes = this.config("core.fileMode", "--bool")?.is_none_or(|value| value == "true");
        for item in items(&this.ask(&["ls-tree", "-r", "-z", "--full-tree", "HEAD"])?) {
            if let Some((entry, path)) = item.split_once('\t') {
                let mut words = entry.split(' ');
                let mode = words.next().unwrap_or_default().to_owned();
                let id = words.next_back().unwrap_or_default().to_owned();
                this.head.insert(path.to_owned(), (mode, id));
            }
        }
        // A tag letter, then `mode id stage`: lower case is assume-unchanged, S skip-worktree.
        for item in items(&this.ask(&["ls-files", "-v", "-s", "-z"])?) {
            let Some((entry, path)) = item.split_once('\t') else { continue };
            if entry.starts_with(|c: char| c.is_ascii_lowercase() || c == 'S') {
                this.hidden.push(path.to_owned());
            }
            if entry.contains(" 160000 ") {
                this.submodules.push(path.to_owned());
            }
            this.index.insert(path.to_owned());
        }
        Ok(this)
    }

    fn ask(&self, arguments: &[&str]) -> anyhow::Result<String> {
        ask(&self.program, &self.top, arguments)
    }

    /// The answer's only line.
    fn line(&self, arguments: &[&str]) -> anyhow::Result<String> {
        Ok(self.ask(arguments)?.trim_end_matches('\n').to_owned())
    }

    /// A value of the configuration, if it is set.
    fn config(&self, key: &str, kind: &str) -> anyhow::Result<Option<String>> {
        let output = run(&self.program, &self.top, &["config", kind, "--get", key], b"")?;
        let value = String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned();
        Ok(output.status.success().then_some(value))
    }

    /// Ids of the content of files as git would store it.
    fn hash(&self, paths: &[&String]) -> anyhow::Result<HashMap<String, String>> {
        let mut ids = HashMap::new();
        let mut plain = Vec::new();
        for path in paths {
            let file = self.top.join(path);
            if let Ok(target) = std::fs::read_link(&file) {
                let content = target.to_string_lossy().replace('\\', "/");
                let arguments = ["hash-object", "--no-filters", "--stdin"];
                let output = run(&self.program, &self.top, &arguments, content.as_bytes())?;
                let id = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
                ids.insert((*path).clone(), id);
            } else if path.contains('\n') || path.starts_with('"') {
                ids.insert((*path).clone(), self.line(&["hash-object", "--", path])?);
            } else {
                plain.push(path.as_str());
            }
        }
        if !plain.is_empty() {
            let input = plain.join("\n") + "\n";
            let arguments = ["hash-object", "--stdin-paths"];
            let output = run(&self.program, &self.top, &arguments, input.as_bytes())?;
            if !output.status.success() {
                let stderr = String::from_utf8_lossy(&output.stderr);
                return Err(failure_help(
                    Exit::Git,
                    format!("running git hash-object: {}", stderr.trim_end()),
                    "make the files of the build context readable",
                ));
            }
            let answer = String::from_utf8_lossy(&output.stdout).into_owned();
            ids.extend(
                plain.iter().map(ToString::to_string).zip(answer.lines().map(str::to_owned)),
            );
        }
        Ok(ids)
    }
}

/// The mode git would store for a file; `modes`: whether the permission to execute counts.
pub(super) fn mode(file: &Path, stored: &str, modes: bool) -> String {
    let Ok(meta) = file.symlink_metadata() else { return String::new() };
    if meta.is_symlink() {
        return "120000".to_owned();
    }
    #[cfg(unix)]
    if modes {
        use std::os::unix::fs::PermissionsExt as _;
        let executable = meta.permissions().mode() & 0o100 != 0;
        return if executable { "100755" } else { "100644" }.to_owned();
    }
    let _ = modes;
    if stored == "120000" { "100644".to_owned() } else { stored.to_owned() }
}

impl Source for Program {
    fn facts(&self) -> anyhow::Result<Facts> {
        let (top, index) = self.places();
        let revision = self.line(&["rev-parse", "--verify", "HEAD^{commit}"])?;
        let time = self.line(&["show", "-s", "--no-show-signature", "--format=%ct", "HEAD"])?;
        let output = run(&self.program, &self.top, &["symbolic-ref", "-q", "HEAD"], b"")?;
        let branch = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        // `for-each-ref --points-at` peels a tag of a tag since git 2.45 only (2.39 measured).
        // Without any tag the exit code is 1 and the answer empty.
        let shown = run(&self.program, &self.top, &["show-ref", "--tags", "-d"], b"")?;
        let shown = String::from_utf8_lossy(&shown.stdout);
        let describe = self.line(&["describe", "--tags", "--always", "--abbrev=12", "HEAD"])?;
        Ok(Facts {
            top,
            index,
            commit_time: time.trim().parse().unwrap_or(0),
            branch: output
                .status
                .success()
                .then(|| branch.strip_prefix("refs/heads/").unwrap_or(&branch).to_owned()),
            exact_tags: tags_at(&shown, &revision),
            all_tags: all_tags(&shown),
            remote_url: self.config("remote.origin.url", "--no-type")?,
            shallow: self.line(&["rev-parse", "--is-shallow-repository"])? == "true",
            tagged: !revision.starts_with(&describe),
            revision,
            describe,
            changed: self.changed()?,
        })
    }

    fn places(&self) -> (PathBuf, PathBuf) {
        let index = self.line(&["rev-parse", "--git-path", "index"]).unwrap_or_default();
        (self.top.clone(), self.top.join(index))
    }

    fn changed(&self) -> anyhow::Result<Vec<(String, ChangeKind)>> {
        let arguments = ["status", "--porcelain=v2", "-z", "--untracked-files=no", "--no-renames"];
        let mut changed = Vec::new();
        for item in items(&self.ask(&arguments)?) {
            let mut words = item.splitn(if item.starts_with('u') { 11 } else { 9 }, ' ');
            let (Some(format), Some(states), Some(module)) =
                (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let Some(path) = words.last() else { continue };
            let (index, work) = states.split_at(1);
            let kind = match (format, index, work) {
                ("u", _, _) => ChangeKind::Modified,
                ("1", "A", "D") => continue,
                // `git rm --cached` and then `git add -N`.
                ("1", "D", "A") => ChangeKind::Modified,
                ("1", "A", _) | ("1", _, "A") => ChangeKind::Added,
                ("1", "D", _) | ("1", _, "D") => ChangeKind::Deleted,
                ("1", "T", _) | ("1", _, "T") => ChangeKind::TypeChanged,
                ("1", ".", _) if matches!(module, "S..U" | "S...") => continue,
                ("1", _, _) => ChangeKind::Modified,
                _ => continue,
            };
            changed.push((path.to_owned(), kind));
        }
        Ok(changed)
    }

    fn in_index(&self, path: &str) -> bool {
        self.index.contains(path)
    }

    fn in_head(&self, path: &str) -> bool {
        self.head.contains_key(path)
    }

    fn hidden(&self) -> Vec<String> {
        self.hidden.clone()
    }

    fn compare(&self, paths: &[String]) -> anyhow::Result<Vec<(String, ChangeKind)>> {
        let mut found = Vec::new();
        let mut same = Vec::new();
        for path in paths {
            let Some((stored, _)) = self.head.get(path) else { continue };
            let now = mode(&self.top.join(path), stored, self.modes);
            if now.is_empty() {
                found.push((path.clone(), ChangeKind::Deleted));
            } else if (now == "120000") != (stored == "120000") {
                found.push((path.clone(), ChangeKind::TypeChanged));
            } else if now == *stored {
                same.push(path);
            } else {
                found.push((path.clone(), ChangeKind::Modified));
            }
        }
        let ids = self.hash(&same)?;
        for path in same {
            if self.head.get(path).map(|(_, id)| id) != ids.get(path) {
                found.push((path.clone(), ChangeKind::Modified));
            }
        }
        Ok(found)
    }

    fn ignored(&self, paths: &[String]) -> anyhow::Result<Vec<String>> {
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        let input = paths.join("\0") + "\0";
        let arguments = ["check-ignore", "-z", "--stdin"];
        let output = run(&self.program, &self.top, &arguments, input.as_bytes())?;
        Ok(items(&String::from_utf8_lossy(&output.stdout)).map(str::to_owned).collect())
    }

    fn submodules(&self) -> Vec<String> {
        self.submodules.clone()
    }
}
