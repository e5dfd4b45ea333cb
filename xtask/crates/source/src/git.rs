//! Git identity: which version, revision and state the checkout has that an image is built from.

use anyhow::Context as _;
pub mod ancestry;
mod borrowed;
mod changes;
pub mod commits;
mod describe;
mod expected;
mod export;
mod failures;
mod lfs;
mod native;
mod obstacle;
mod program;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use crate::content::{Content, ObjectFormat};
pub use changes::{Change, ChangeKind};
use expected::Expected;
pub use export::Exported;
use failures::{bare, foreign, no_commit, no_repository, told, unknown};

use process::failure::{Exit, failure, failure_help};

/// The state of a checkout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkout {
    /// Top folder of the work tree.
    pub top: PathBuf,
    /// What `git describe --tags --always --dirty --abbrev=12` prints of the git tags that begin
    /// with the prefix of this project's versions.
    pub describe: String,
    /// The version of what is built here: `describe`, marked `-dirty` when the context differs;
    /// once the names are decided, the git tag of the release that it is.
    pub version: String,
    /// Id of the commit that is checked out.
    pub revision: String,
    /// When that commit was made, in seconds.
    pub commit_time: i64,
    /// The branch that is checked out; none with a detached HEAD.
    pub branch: Option<String>,
    /// All tags of the commit.
    pub exact_tags: Vec<String>,
    /// All tags that this clone knows.
    pub all_tags: Vec<String>,
    /// URL of the remote `origin` without credentials.
    pub remote_url: Option<String>,
    pub shallow: bool,
    /// Tracked files that differ from the commit, in the index or in the work tree.
    pub dirty: Vec<Change>,
    /// Files of the build context that differ from the commit or are missing in it.
    pub context_changes: Vec<Change>,
    /// Files of the commit that aren't in the build context, by their paths below its root, sorted.
    pub absent: Vec<String>,
    /// The files that git ignores, if those are no part of the build context.
    pub ignored: BTreeSet<String>,
    /// When the content was made, in seconds: time of the commit, or of the newest change.
    pub created: i64,
    pub warnings: Vec<String>,
}

impl Checkout {
    /// Whether an image of it can differ from the commit.
    pub fn changed(&self) -> bool {
        !self.dirty.is_empty() || !self.context_changes.is_empty()
    }
}

/// The build context that the commit is compared with, as it was read.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub root: &'a Path,
    /// What is in all files that enter it, by their path below the root, with `/`.
    pub files: &'a BTreeMap<String, Content>,
    /// Whether a path that does not exist would enter it.
    pub includes: &'a dyn Fn(&str) -> bool,
    /// Whether that, or something below it, would.
    pub reaches: &'a dyn Fn(&str) -> bool,
    /// Whether a file that git ignores enters it.
    pub with_ignored: &'a dyn Fn(&str) -> bool,
}

/// A file as a commit has it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stored {
    mode: u32,
    id: String,
}

/// What is read from a repository before anything is compared with a context.
#[derive(Debug, Default)]
pub struct RepositoryState {
    top: PathBuf,
    index: PathBuf,
    revision: String,
    commit_time: i64,
    branch: Option<String>,
    exact_tags: Vec<String>,
    all_tags: Vec<String>,
    remote_url: Option<String>,
    shallow: bool,
    describe: String,
    /// Whether a tag is in reach of the commit.
    tagged: bool,
    /// Tracked paths that git says differ from HEAD, relative to the top.
    changed: Vec<(String, ChangeKind)>,
}

/// The object id that git gives a file with these bytes, 40 hexadecimal digits (`git hash-object`).
pub fn blob_id(bytes: &[u8]) -> anyhow::Result<String> {
    let id = git2::Oid::hash_object(git2::ObjectType::Blob, bytes);
    Ok(id.context("computing a git object id")?.to_string())
}

/// Whether a reference can be called so: `refs/tags/v1` (git-check-ref-format(1)).
pub fn is_reference(name: &str) -> bool {
    git2::Reference::is_valid_name(name)
}

/// Why libgit2 doesn't open a repository that isn't ours.
const OTHER_USER: &str = "it belongs to another user";

/// File mode of a submodule in an index.
const GITLINK: u32 = 0o160_000;

/// One way to ask a repository: libgit2 or the `git` program. Paths are relative to the top.
trait Source {
    fn facts(&self, prefix: &str) -> anyhow::Result<RepositoryState>;
    /// Top of the work tree and the index file.
    fn places(&self) -> (PathBuf, PathBuf);
    /// Id of the commit that is read.
    fn revision(&self) -> anyhow::Result<String>;
    /// Where objects and what belongs to them are kept.
    fn common(&self) -> anyhow::Result<PathBuf>;
    /// Id of the commit that is checked out now.
    fn now(&self) -> anyhow::Result<String>;
    /// Lists all files and submodules of the commit, for [`Source::head`].
    fn list(&mut self) -> anyhow::Result<()>;
    /// All files and submodules of the commit, once they were listed.
    fn head(&self) -> &HashMap<String, Stored>;
    /// Tracked paths that git says differ from HEAD.
    fn changed(&self) -> anyhow::Result<Vec<(String, ChangeKind)>>;
    fn in_index(&self, path: &str) -> bool;
    /// The execute permissions in the index, by path, if those of the files don't count
    /// (`core.fileMode`).
    fn executable(&self) -> Option<HashMap<String, bool>>;
    /// What is in the objects with these ids, as far as they are here.
    fn blobs(&self, ids: &[&str]) -> anyhow::Result<HashMap<String, Vec<u8>>>;
    /// Which of the untracked files git ignores.
    fn ignored(&self, paths: &[String]) -> anyhow::Result<Vec<String>>;
    /// Submodules in the index.
    fn submodules(&self) -> Vec<String>;
    fn format(&self) -> anyhow::Result<ObjectFormat>;
}

/// Reads the checkout that `folder` is in, without a build context.
pub fn read(folder: &Path) -> anyhow::Result<Checkout> {
    let repository = Repository::open(folder, None, None)?;
    repository.compare(repository.facts("")?, None, &BTreeMap::new())
}

/// The nearest of `folder` and those above it that holds the file `path` in `commit`.
pub fn nearest(folder: &Path, commit: &str, path: &str) -> anyhow::Result<Option<PathBuf>> {
    let repository = Repository::open(folder, None, Some(commit))?;
    let mut source = repository.source;
    source.list().map_err(|error| told(folder, error))?;
    let (top, _) = source.places();
    let holds = |above: &&Path| {
        let below = above.strip_prefix(&top).ok().and_then(Path::to_str);
        below.is_some_and(|below| {
            source.head().contains_key(format!("{below}/{path}").trim_start_matches('/'))
        })
    };
    Ok(folder.ancestors().find(holds).map(Path::to_owned))
}

/// How the repository that `folder` is in names objects, and the execute permissions of the files
/// below `folder` if git ignores those in the file system (`core.fileMode`). No permissions for a
/// `commit`: it is read without the work tree, and its files were written with the right ones.
pub fn rules(
    folder: &Path,
    commit: Option<&str>,
) -> anyhow::Result<(ObjectFormat, Option<HashMap<String, bool>>)> {
    if let Ok(repository) = native(folder)?
        && (commit.is_some() || native::looks_at_modes(&repository))
    {
        return Ok((ObjectFormat::Sha1, None));
    }
    let repository = Repository::open(folder, Some(folder), commit)?;
    let source = repository.source.as_ref();
    if commit.is_some() {
        return Ok((source.format()?, None));
    }
    let all = executable(source, repository.program.as_deref())?;
    let inside = |(path, executable): (String, bool)| {
        Some((path.strip_prefix(&repository.below)?.to_owned(), executable))
    };
    Ok((source.format()?, Some(all.into_iter().filter_map(inside).collect())))
}

/// The permission to execute of the files whose own doesn't count, those of submodules included.
fn executable(
    source: &dyn Source,
    program: Option<&Path>,
) -> anyhow::Result<HashMap<String, bool>> {
    let mut all = source.executable().unwrap_or_default();
    for module in source.submodules() {
        let folder = source.places().0.join(&module);
        if folder.join(".git").exists() {
            let inside = executable(open(&folder, program, None)?.as_ref(), program)?;
            all.extend(inside.into_iter().map(|(path, is)| (format!("{module}/{path}"), is)));
        }
    }
    Ok(all)
}

pub struct Repository {
    source: Box<dyn Source>,
    program: Option<PathBuf>,
    /// The build context's root below the top of the work tree, empty or with `/` at its end.
    below: String,
    /// Whether a commit was named: then it doesn't matter what is checked out.
    fixed: bool,
}

impl Repository {
    /// Opens the repository that `folder` is in, for a build context with the root `root`: at the
    /// commit that is checked out, or at `commit`, which is read without the work tree.
    ///
    /// # Errors
    /// [`Exit::Git`] when there is none that can be read, it doesn't track what is in `root`, or it
    /// has no such commit.
    pub fn open(
        folder: &Path,
        root: Option<&Path>,
        commit: Option<&str>,
    ) -> anyhow::Result<Repository> {
        let program = program::find(std::env::var_os("PATH").as_deref());
        open(folder, program.as_deref(), commit)
            .and_then(|source| Repository::of(source, program, root, commit.is_some()))
            .map_err(|error| told(folder, error))
    }

    fn of(
        mut source: Box<dyn Source>,
        program: Option<PathBuf>,
        root: Option<&Path>,
        fixed: bool,
    ) -> anyhow::Result<Repository> {
        if root.is_some() {
            source.list()?;
        }
        let below = match root {
            // The files of the tool's own folder must be those of the repository that names the
            // version.
            Some(root) => below(source.as_ref(), &source.places().0, root)?,
            None => String::new(),
        };
        Ok(Repository { source, program, below, fixed })
    }

    /// Whether another commit than `revision` is checked out by now.
    ///
    /// # Errors
    /// [`Exit::Git`] when HEAD can't be read.
    pub fn moved(&self, revision: &str) -> anyhow::Result<bool> {
        Ok(!self.fixed && self.told(self.source.now())? != revision)
    }

    /// Id of the commit: the one that was named, or that was checked out when this was opened.
    ///
    /// # Errors
    /// [`Exit::Git`] when HEAD can't be read.
    pub fn revision(&self) -> anyhow::Result<String> {
        self.told(self.source.revision())
    }

    /// What to do about a repository that can't be read.
    fn told<T>(&self, result: anyhow::Result<T>) -> anyhow::Result<T> {
        result.map_err(|error| told(&self.source.places().0, error))
    }

    /// Writes the files of the commit that are below the root of the build context into `folder`,
    /// as a checkout under the committed attributes alone does.
    ///
    /// # Errors
    /// [`Exit::Git`] without the `git` program, or when the commit isn't all here.
    pub fn export(&self, folder: &Path) -> anyhow::Result<Exported> {
        let source = self.source.as_ref();
        self.told(export::commit(source, self.program.as_deref(), &self.below, folder))
    }

    /// What git itself says of the commit and the work tree; only git tags that begin with `prefix`
    /// name versions.
    ///
    /// # Errors
    /// [`Exit::Git`] when something can't be read.
    pub fn facts(&self, prefix: &str) -> anyhow::Result<RepositoryState> {
        self.told(self.source.facts(prefix))
    }

    /// Compares the commit with the build context, and with the files outside of it that decide
    /// what is built.
    ///
    /// # Errors
    /// [`Exit::Git`] when something can't be read.
    pub fn compare(
        &self,
        facts: RepositoryState,
        context: Option<&Context<'_>>,
        beside: &BTreeMap<String, Content>,
    ) -> anyhow::Result<Checkout> {
        self.told(self.compared(facts, context, beside))
    }

    fn compared(
        &self,
        mut facts: RepositoryState,
        context: Option<&Context<'_>>,
        beside: &BTreeMap<String, Content>,
    ) -> anyhow::Result<Checkout> {
        let source = self.source.as_ref();
        let program = self.program.as_deref();
        let below = self.below.as_str();
        let files = context.into_iter().flat_map(|context| context.files).chain(beside);
        let all =
            || files.clone().map(|(path, content)| (format!("{below}{path}"), content)).collect();
        let expected = Expected::of(source, &facts.top, &facts.revision, program, &all)?;
        for (path, content) in beside {
            let path = format!("{below}{path}");
            let known = facts.changed.iter().any(|(other, _)| *other == path);
            if let Some(kind) = expected.differs(&path, content).filter(|_| !known) {
                facts.changed.push((path, kind));
            }
        }
        let mut dirty = Vec::new();
        let (mut context_changes, mut absent) = (Vec::new(), Vec::new());
        let mut ignored = BTreeSet::new();
        let changed = &facts.changed;
        if let Some(context) = context {
            absent = changes::absent(source, below, context);
            context_changes =
                changes::of_context(source, &expected, changed, below, context, &absent, program)?;
            let leaves = |change: &mut Change| {
                change.kind == ChangeKind::Ignored && !(context.with_ignored)(&change.path)
            };
            let left = context_changes.extract_if(.., leaves);
            ignored = left.map(|change| change.path).collect();
            dirty = changes::of_checkout(changed, below, context);
        } else {
            dirty.extend(changed.iter().map(|(path, kind)| Change {
                path: path.clone(),
                kind: *kind,
                in_context: false,
            }));
            dirty.sort();
        }
        let mut checkout =
            checkout(facts, context.map(|context| context.root), dirty, context_changes, absent);
        checkout.ignored = ignored;
        let pointers = expected.pointers_left();
        if let Some(first) = pointers.first() {
            checkout.warnings.push(format!(
                "{} in the build context {first}: run `git lfs pull`",
                match pointers.len() {
                    1 => "Git LFS has only a pointer for the file".to_owned(),
                    n => format!("Git LFS has only pointers for {n} files, the first"),
                }
            ));
        }
        Ok(checkout)
    }
}

fn checkout(
    facts: RepositoryState,
    root: Option<&Path>,
    dirty: Vec<Change>,
    context_changes: Vec<Change>,
    absent: Vec<String>,
) -> Checkout {
    let suffix = |differs| if differs { "-dirty" } else { "" };
    let describe = facts.describe + suffix(!facts.changed.is_empty());
    let version =
        describe.clone() + suffix(!context_changes.is_empty() && facts.changed.is_empty());
    let (root, differing) = match root {
        Some(root) => (root, &context_changes),
        None => (facts.top.as_path(), &dirty),
    };
    let created = changes::newest(root, differing, &facts.index).unwrap_or(facts.commit_time);
    let mut warnings = Vec::new();
    if facts.shallow && !facts.tagged {
        warnings.push(
            "this is a shallow clone without a tag in reach, so the version may be wrong: run \
             `git fetch --unshallow --tags`"
                .to_owned(),
        );
    }
    Checkout {
        top: facts.top,
        describe,
        version,
        revision: facts.revision,
        commit_time: facts.commit_time,
        branch: facts.branch,
        exact_tags: facts.exact_tags,
        all_tags: facts.all_tags,
        remote_url: facts.remote_url.map(|url| without_credentials(&url)),
        shallow: facts.shallow,
        dirty,
        context_changes,
        absent,
        ignored: BTreeSet::new(),
        created,
        warnings,
    }
}

/// libgit2 if it can read the repository of `folder`, else the program.
fn open(
    folder: &Path,
    program: Option<&Path>,
    commit: Option<&str>,
) -> anyhow::Result<Box<dyn Source>> {
    let obstacle = match native(folder)? {
        Ok(repo) => match obstacle::find(&repo)? {
            None => return Ok(Box::new(native::Native::new(repo, commit)?)),
            Some(obstacle) => obstacle,
        },
        Err(obstacle) => obstacle,
    };
    match program {
        Some(program) => Ok(Box::new(program::Program::open(program, folder, commit)?)),
        None if obstacle == OTHER_USER => Err(foreign(folder)),
        None => Err(failure_help(
            Exit::Git,
            format!("reading the repository of {}: {obstacle}", folder.display()),
            "install the `git` program, which can read it, and put it on PATH",
        )),
    }
}

/// The repository of `folder` for libgit2; the inner error says why it cannot read it as git does.
fn native(folder: &Path) -> anyhow::Result<Result<git2::Repository, String>> {
    match obstacle::variable() {
        Some(name) => Ok(Err(format!("{name} is set, which only the program reads"))),
        None => native::open(folder),
    }
}

/// The path of the context's root below the top of the work tree, empty or with `/` at its end.
///
/// A folder without its own repository must not take the version of one around it, unless that
/// one tracks it.
fn below(source: &dyn Source, top: &Path, root: &Path) -> anyhow::Result<String> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let (top, root) = (real(top), real(root));
    if top == root {
        return Ok(String::new());
    }
    if let Ok(path) = root.strip_prefix(&top)
        && let Some(path) = path.to_str()
    {
        let below = path.replace(std::path::MAIN_SEPARATOR, "/") + "/";
        let marker = format!("{below}docker/image.toml");
        if source.head().contains_key(&marker) || source.in_index(&marker) {
            return Ok(below);
        }
    }
    Err(failure_help(
        Exit::Git,
        format!(
            "reading the version of {}: it isn't a repository, and the one around it, \
             {}, does not track its docker/image.toml",
            root.display(),
            top.display()
        ),
        format!(
            "give it a repository (`git init` and `git commit` in {}), or clone the project again",
            root.display()
        ),
    ))
}

/// A remote's URL that can be shown to everybody: without user and password, or with the user
/// only for SSH, as it is no secret there.
pub fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let port = rest[..end].rsplit_once(':').map_or("", |(_, port)| port);
    // A password may hold an unescaped slash; then what stands before it is no host and port.
    let whole = !port.ends_with(']') && !port.bytes().all(|b| b.is_ascii_digit());
    let at = rest[..end].rfind('@').or_else(|| rest.rfind('@').filter(|_| whole));
    let Some(at) = at else { return url.to_owned() };
    let user = rest[..at].split(':').next().unwrap_or_default();
    let keep = if scheme.contains("ssh") { format!("{user}@") } else { String::new() };
    format!("{scheme}://{keep}{}", &rest[at + 1..])
}
