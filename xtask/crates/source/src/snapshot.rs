//! The files that an image is made of, read once: what is hashed, searched for secrets and compared
//! with the commit is what the engine is given. `docs/design.md` says what that guarantees.

mod copies;
mod reader;
#[cfg(test)]
mod tests;
mod warnings;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;

use crate::content::{self, Content, Contents, ObjectFormat, Stat};
use crate::context::{self, ContextFile};
use crate::git::{self, Checkout, Repository};
use crate::ignore::Ignore;
use process::failure::{Exit, failure_help};
use process::notice::notice;
use process::state::State;
pub use reader::REMEMBERED;
use reader::{Reader, Remembered, Rules, remembered};
pub use warnings::LeftOutFile;

/// How often a context that changes while it is read is read.
const ATTEMPTS: usize = 3;

/// Named instead of a file if the thread that looks at files panics.
const UNKNOWN: &str = "a file that couldn't be looked at";

/// The folder of the copies, below [`State::folder`].
pub const FOLDER: &str = "context";

/// What [`take`] is asked for.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// The root of the build context.
    pub top: &'a Path,
    /// The commit that was written to `top` with [`Repository::export`], and the root of the build
    /// context of the repository that it came from.
    pub commit: Option<(&'a str, &'a Path)>,
    /// Files outside of the build context that decide what is built.
    pub beside: &'a [&'a str],
    /// The file that says what is in the build context.
    pub ignore_file: &'a str,
    /// What the path of each file of the application begins with. If it is empty, all files are the
    /// application's, but for those that git ignores.
    pub application: &'a str,
    /// Patterns of files that the image makes itself: what git ignores of them doesn't enter it.
    pub made: &'a [String],
    /// What the git tags of this project's versions begin with.
    pub prefix: &'a str,
    /// Patterns of files that may look like secrets.
    pub allow: &'a [String],
    /// Holds the copies, and what is remembered of the files that were read.
    pub state: &'a State,
    /// The bytes of a build context from which its largest files are told.
    pub large: Option<u64>,
    /// Whether to copy. The caller then holds the lock of the checkout.
    pub copy: bool,
    /// The last signal, of [`process::run::signals`]: reading ends soon after one.
    pub signal: &'a AtomicUsize,
}

/// All that a build reads, as it was at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The rules that decided about the build context.
    pub ignore: Ignore,
    /// The build context, sorted by path.
    pub files: Vec<ContextFile>,
    /// What is in each file of the build context, by path.
    pub contents: BTreeMap<String, Content>,
    /// What is in each existing file outside of the build context, by path.
    pub beside: BTreeMap<String, Content>,
    /// What git says of that moment.
    pub checkout: Checkout,
    /// The tracked files of the application that a rule leaves out.
    pub left_out: Vec<LeftOutFile>,
}

impl<'a> Wanted<'a> {
    /// The root of the build context in the repository.
    fn repository(&self) -> &'a Path {
        self.commit.map_or(self.top, |(_, top)| top)
    }
}

impl Snapshot {
    /// One hash of every path and its content, including the files outside of the build context.
    pub fn sha256(&self) -> String {
        let lines = self.contents.iter().chain(&self.beside).map(|(path, content)| {
            format!("{:o} {} {path}\0", content.kind.git_mode(), content.sha256)
        });
        content::sha256(lines.collect::<String>().as_bytes())
    }
}

/// The copies of the build context that [`take`] made: what the engine is given.
pub fn tree(state: &State) -> PathBuf {
    copies::place(&state.folder.join(FOLDER), "", false).components().collect()
}

/// The copy of a file outside of the build context.
pub fn beside(state: &State, path: &str) -> PathBuf {
    copies::place(&state.folder.join(FOLDER), path, true)
}

/// Reads the build context and compares it with the commit, once more if it changed meanwhile.
///
/// # Errors
/// [`Exit::Mismatch`] if it still changes at the third time; [`Exit::Usage`] as
/// [`context::files`]; [`Exit::Git`] as [`Repository::open`].
pub fn take(wanted: &Wanted<'_>) -> anyhow::Result<Snapshot> {
    let mut moving = String::new();
    for number in 0..ATTEMPTS {
        match attempt(wanted, number == 0)? {
            Ok(snapshot) => return Ok(snapshot),
            Err(path) => moving = path,
        }
    }
    Err(failure_help(
        Exit::Mismatch,
        format!("reading the build context: {moving} changed each of {ATTEMPTS} times"),
        "build again when nothing writes there; leave what a program writes out, in the ignore file",
    ))
}

/// One attempt; the inner error names what changed meanwhile.
fn attempt(wanted: &Wanted<'_>, first: bool) -> anyhow::Result<Result<Snapshot, String>> {
    let (top, commit) = (wanted.repository(), wanted.commit.map(|(id, _)| id));
    let (was_read, repository, facts) = std::thread::scope(|scope| {
        // What git says of the whole work tree takes as long as to look at all files here.
        let rules = || {
            let (format, executable) = git::rules(top, commit)?;
            Ok(Rules { format, executable })
        };
        let reading = scope.spawn(move || read_all(wanted, rules, first));
        let facts = Repository::open(top, Some(top), commit)
            .and_then(|repository| Ok((repository.facts(wanted.prefix)?, repository)));
        let Ok(was_read) = reading.join() else {
            anyhow::bail!("reading files: the thread panicked")
        };
        // Of a file that neither can read, git says less.
        let (was_read, (facts, repository)) = (was_read?, facts?);
        anyhow::Ok((was_read, repository, facts))
    })?;
    let (ignore, mut files, mut contents, beside, reader) = match was_read {
        Ok(all) => all,
        Err(path) => return Ok(Err(path)),
    };
    let made = Ignore::parse(&wanted.made.join("\n"))?;
    let includes = |path: &str| ignore.verdict(path).included;
    let reaches = |path: &str| ignore.reaches(path);
    let compared = git::Context {
        root: wanted.top,
        files: &contents,
        includes: &includes,
        reaches: &reaches,
        // An application at the top has everything around it that a developer leaves there.
        with_ignored: &|path| !wanted.application.is_empty() && made.verdict(path).included,
    };
    let (checkout, changed) = std::thread::scope(|scope| {
        let changed = scope.spawn(|| {
            changed_since(wanted.top, &contents).or_else(|| changed_since(wanted.top, &beside))
        });
        let checkout = repository.compare(facts, Some(&compared), &beside);
        (checkout, changed.join().unwrap_or_else(|_| Some(UNKNOWN.to_owned())))
    });
    let checkout = checkout?;
    let kept = |path: &str| !checkout.ignored.contains(path);
    contents.retain(|path, _| kept(path));
    files.retain(|file| kept(&file.path));
    let changed = match changed {
        Some(path) if !kept(&path) => changed_since(wanted.top, &contents),
        changed => changed,
    };
    if let Some(path) = changed {
        return Ok(Err(path));
    }
    if repository.moved(&checkout.revision)? {
        return Ok(Err("HEAD".to_owned()));
    }
    reader.finish(&contents, &beside)?;
    let left_out = warnings::left_out(&ignore, &checkout.absent, wanted.application);
    Ok(Ok(Snapshot { ignore, files, contents, beside, checkout, left_out }))
}

/// The first file that isn't as it was when it was read. Each processor looks at its share.
fn changed_since(top: &Path, contents: &Contents) -> Option<String> {
    let all: Vec<(&String, &Content)> = contents.iter().collect();
    let changed = |(path, content): &&(&String, &Content)| {
        Stat::of(&top.join(path)).ok().as_ref() != Some(&content.stat)
    };
    let look =
        |share: &[(&String, &Content)]| share.iter().find(changed).map(|(path, _)| (*path).clone());
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let size = all.len().div_ceil(processors).max(1000);
    std::thread::scope(|scope| {
        let shares: Vec<_> =
            all.chunks(size).map(|share| scope.spawn(move || look(share))).collect();
        let mut found = shares
            .into_iter()
            .map(|share| share.join().unwrap_or_else(|_| Some(UNKNOWN.to_owned())));
        found.find_map(|path| path)
    })
}

/// What was read: the rules, the files of the build context, what is in them and in those outside
/// of it.
type Read<'a> = (Ignore, Vec<ContextFile>, Contents, Contents, Reader<'a>);

/// Lists and reads all files; the inner error names one that changed meanwhile.
fn read_all<'a>(
    wanted: &'a Wanted<'a>,
    rules: impl FnOnce() -> anyhow::Result<Rules> + Send,
    first: bool,
) -> anyhow::Result<Result<Read<'a>, String>> {
    // Looked at before the rules are read, which are in one of them.
    let mut others = Vec::new();
    for path in wanted.beside {
        others.extend(Stat::of(&wanted.top.join(path)).ok().map(|stat| (*path, stat)));
    }
    let ignore = context::read_ignore(wanted.top, wanted.ignore_file, wanted.beside)?;
    let (listed, known, rules) = std::thread::scope(|scope| {
        let known = scope.spawn(|| remembered(wanted.state));
        let rules = scope.spawn(rules);
        let listed = context::files_with_stats(wanted.top, &ignore);
        let rules = rules.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the thread panicked")));
        (listed, known.join().unwrap_or_default(), rules)
    });
    let rules = rules?;
    let (files, stats): (Vec<ContextFile>, Vec<Stat>) = listed?.into_iter().unzip();
    let large = wanted.large.filter(|_| first).and_then(|at| warnings::large(&files, at));
    if let Some(warning) = large {
        // Now, and not with the others: before it is copied.
        notice(&format!("warning: {warning}"));
    }
    let mut reader = Reader::new(wanted, rules, known)?;
    let paths: Vec<(&str, Stat)> = files.iter().map(|file| file.path.as_str()).zip(stats).collect();
    let contents = match reader.read(&paths, false)? {
        Ok(contents) => contents,
        Err(path) => return Ok(Err(path)),
    };
    match reader.read(&others, true)? {
        Ok(beside) => Ok(Ok((ignore, files, contents, beside, reader))),
        Err(path) => Ok(Err(path)),
    }
}

/// Reads the files `paths` below `root`, and remembers nothing; `executable` says which ones are,
/// if the permission of a file doesn't count.
///
/// # Errors
/// When one changes meanwhile.
pub fn read(
    root: &Path,
    paths: &[&str],
    executable: Option<HashMap<String, bool>>,
) -> anyhow::Result<BTreeMap<String, Content>> {
    let state = State::of(Path::new("/nonexistent"));
    let wanted = Wanted {
        top: root,
        commit: None,
        beside: &[],
        application: "",
        made: &[],
        ignore_file: context::IGNORE_FILE,
        prefix: "",
        allow: &[],
        large: None,
        state: &state,
        copy: false,
        signal: &AtomicUsize::new(0),
    };
    let mut files = Vec::new();
    for path in paths {
        files.push((*path, Stat::of(&root.join(path))?));
    }
    let rules = Rules { format: ObjectFormat::Sha1, executable };
    let mut reader = Reader::new(&wanted, rules, Remembered::new())?;
    reader.read(&files, false)?.map_err(|path| anyhow::anyhow!("{path} changed"))
}
