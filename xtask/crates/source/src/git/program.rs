//! Asks the `git` program, for repositories that libgit2 does not read correctly.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::Context as _;

use super::{ChangeKind, Exit, ObjectFormat, RepositoryState, Source, Stored, failure};

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
    /// The commit: `HEAD`, or the one that was named.
    commit: String,
    /// Whether it was named, and the work tree doesn't matter.
    fixed: bool,
    /// All files of that commit.
    head: HashMap<String, Stored>,
    /// What is in the index, and whether it has the permission to execute.
    index: HashMap<String, bool>,
    submodules: Vec<String>,
    /// Whether the permission to execute counts.
    modes: bool,
}

/// Variables that locate a repository. A hook has some of them set, for its own repository.
const PLACES: [&str; 5] =
    ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY"];
/// Variables that only change how git looks at it.
const VIEWS: [&str; 6] = [
    "GIT_ATTR_SOURCE",
    "GIT_CONFIG",
    "GIT_LITERAL_PATHSPECS",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
];
/// More folders of objects.
const OBJECTS: &str = "GIT_ALTERNATE_OBJECT_DIRECTORIES";

/// Runs git in `folder`. Its output must not depend on the user's language, and it must not write.
fn run(program: &Path, folder: &Path, arguments: &[&str], input: &[u8]) -> anyhow::Result<Output> {
    run_with(program, folder, arguments, input, &[])
}

/// As [`run`], with variables in the environment of git.
pub(super) fn run_with(
    program: &Path,
    folder: &Path,
    arguments: &[&str],
    input: &[u8],
    variables: &[(&str, OsString)],
) -> anyhow::Result<Output> {
    let mut command = Command::new(program);
    command.args(["--no-pager", "--no-optional-locks", "-c", "core.fsmonitor=false"]);
    command.args(arguments).current_dir(folder);
    command.env("LC_ALL", "C").env("GIT_OPTIONAL_LOCKS", "0").env_remove("LANGUAGE");
    for name in VIEWS {
        command.env_remove(name);
    }
    let set = |name: &'static str| std::env::var_os(name).filter(|value| !value.is_empty());
    let own = folder.ancestors().any(|folder| folder.join(".git").exists());
    if own || variables.iter().any(|(name, _)| *name == "GIT_DIR") {
        // The folder's own repository counts, whatever the environment says.
        for name in PLACES {
            command.env_remove(name);
        }
        // An object is known by its content: another place to look for it changes nothing else.
        let all: Vec<OsString> = [PLACES[4], OBJECTS].into_iter().filter_map(set).collect();
        if !all.is_empty() {
            command.env(OBJECTS, all.join(OsStr::new(":")));
        }
    } else {
        // Relative to our folder, which needn't be git's.
        let places = PLACES.into_iter().filter_map(|name| Some((name, set(name)?)));
        for (name, value) in places {
            command.env(name, std::path::absolute(value).context("reading the current folder")?);
        }
    }
    command.envs(variables.iter().map(|(name, value)| (name, value)));
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
pub(super) fn ask(program: &Path, folder: &Path, arguments: &[&str]) -> anyhow::Result<String> {
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

/// The tags in the answer of `show-ref --tags -d`, sorted: all of them, and those at `revision`. A
/// tag object has a second line, with `^{}` after its name and the object that it leads to in the
/// end.
fn tags(answer: &str, revision: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut all, mut exact) = (BTreeSet::new(), BTreeSet::new());
    for (id, name) in answer.lines().filter_map(|line| line.split_once(" refs/tags/")) {
        let short = name.strip_suffix("^{}").unwrap_or(name);
        all.insert(short.to_owned());
        if id == revision {
            exact.insert(short.to_owned());
        }
    }
    (all, exact)
}

/// The items of an answer to `-z`.
fn items(answer: &str) -> impl Iterator<Item = &str> {
    answer.split('\0').filter(|item| !item.is_empty())
}

impl Program {
    pub(super) fn open(
        program: &Path,
        folder: &Path,
        commit: Option<&str>,
    ) -> anyhow::Result<Self> {
        let ask = |arguments: &[&str]| ask(program, folder, arguments);
        if ask(&["rev-parse", "--is-bare-repository"])?.trim() == "true" {
            return Err(super::bare(folder));
        }
        let top = PathBuf::from(ask(&["rev-parse", "--show-toplevel"])?.trim_end_matches('\n'));
        let wanted = format!("{}^{{commit}}", commit.unwrap_or("HEAD"));
        let head = ["rev-parse", "--verify", "--quiet", "--end-of-options", wanted.as_str()];
        let found = run(program, folder, &head, b"")?;
        if !found.status.success() {
            return Err(commit
                .map_or_else(|| super::no_commit(&top), |commit| super::unknown(&top, commit)));
        }
        let named = String::from_utf8_lossy(&found.stdout).trim().to_owned();
        let mut this = Self {
            program: program.to_owned(),
            top,
            commit: if commit.is_some() { named } else { "HEAD".to_owned() },
            fixed: commit.is_some(),
            head: HashMap::new(),
            index: HashMap::new(),
            submodules: Vec::new(),
            modes: true,
        };
        this.modes = this.config("core.fileMode", "--bool")?.is_none_or(|value| value == "true");
        // `mode id stage`.
        let listed = match this.ask(&["ls-files", "-s", "-z"]) {
            // A named commit is built without it.
            Err(_) if commit.is_some() => String::new(),
            listed => listed?,
        };
        for item in items(&listed) {
            let Some((entry, path)) = item.split_once('\t') else { continue };
            if entry.starts_with("160000 ") {
                this.submodules.push(path.to_owned());
            }
            this.index.insert(path.to_owned(), entry.starts_with("100755 "));
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
}

impl Source for Program {
    fn facts(&self, prefix: &str) -> anyhow::Result<RepositoryState> {
        let (top, index) = self.places();
        let revision = self.revision()?;
        let time =
            self.line(&["show", "-s", "--no-show-signature", "--format=%ct", &self.commit])?;
        let output = run(&self.program, &self.top, &["symbolic-ref", "-q", "HEAD"], b"")?;
        let branch = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        // `for-each-ref --points-at` peels a tag of a tag since git 2.45 only (2.39 measured).
        // Without any tag the exit code is 1 and the answer empty.
        let shown = run(&self.program, &self.top, &["show-ref", "--tags", "-d"], b"")?;
        let (all, exact) = tags(&String::from_utf8_lossy(&shown.stdout), &revision);
        // No git tag's name has a letter with a meaning in a pattern.
        let matching = format!("--match={prefix}*");
        let describe = ["describe", "--tags", "--always", "--abbrev=12", &matching, &self.commit];
        let describe = self.line(&describe)?;
        Ok(RepositoryState {
            top,
            index,
            commit_time: time.trim().parse().unwrap_or(0),
            branch: output
                .status
                .success()
                .then_some(branch)
                .filter(|_| !self.fixed || self.now().is_ok_and(|now| now == revision))
                .map(|branch| branch.strip_prefix("refs/heads/").unwrap_or(&branch).to_owned()),
            exact_tags: exact.into_iter().collect(),
            all_tags: all.into_iter().collect(),
            remote_url: self.config("remote.origin.url", "--no-type")?,
            shallow: self.line(&["rev-parse", "--is-shallow-repository"])? == "true",
            tagged: !revision.starts_with(&describe),
            revision,
            describe,
            changed: if self.fixed { Vec::new() } else { self.changed()? },
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
        self.index.contains_key(path)
    }

    fn revision(&self) -> anyhow::Result<String> {
        if self.fixed { Ok(self.commit.clone()) } else { self.now() }
    }

    fn common(&self) -> anyhow::Result<PathBuf> {
        Ok(self.top.join(self.line(&["rev-parse", "--git-common-dir"])?))
    }

    fn now(&self) -> anyhow::Result<String> {
        self.line(&["rev-parse", "--verify", "HEAD^{commit}"])
    }

    fn list(&mut self) -> anyhow::Result<()> {
        for item in items(&self.ask(&["ls-tree", "-r", "-z", "--full-tree", &self.commit])?) {
            if let Some((entry, path)) = item.split_once('\t') {
                let mut words = entry.split(' ');
                let mode = u32::from_str_radix(words.next().unwrap_or_default(), 8);
                let id = words.next_back().unwrap_or_default().to_owned();
                self.head.insert(path.to_owned(), Stored { mode: mode.unwrap_or_default(), id });
            }
        }
        Ok(())
    }

    fn head(&self) -> &HashMap<String, Stored> {
        &self.head
    }

    fn executable(&self) -> Option<HashMap<String, bool>> {
        (!self.modes).then(|| self.index.clone())
    }

    fn blobs(&self, ids: &[&str]) -> anyhow::Result<HashMap<String, Vec<u8>>> {
        let mut blobs = HashMap::new();
        let input = ids.join("\n") + "\n";
        let output =
            run(&self.program, &self.top, &["cat-file", "--batch"], input.as_bytes())?.stdout;
        // `ID blob BYTES`, the bytes and a line end; `ID missing` for what isn't here.
        let mut rest = output.as_slice();
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            let line = String::from_utf8_lossy(&rest[..end]).into_owned();
            rest = &rest[end + 1..];
            let mut words = line.split(' ');
            let (id, bytes) = (words.next(), words.nth(1).and_then(|bytes| bytes.parse().ok()));
            if let (Some(id), Some(bytes)) = (id, bytes)
                && let Some((blob, after)) = rest.split_at_checked(bytes)
            {
                blobs.insert(id.to_owned(), blob.to_vec());
                rest = after.get(1..).unwrap_or_default();
            }
        }
        Ok(blobs)
    }

    fn format(&self) -> anyhow::Result<ObjectFormat> {
        // A git that can't name the format knows only one.
        let sha256 = self.line(&["rev-parse", "--show-object-format"]).is_ok_and(|f| f == "sha256");
        Ok(if sha256 { ObjectFormat::Sha256 } else { ObjectFormat::Sha1 })
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
