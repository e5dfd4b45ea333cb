//! Reads files, or knows them by what the file system says of them; hashes, judges and copies what
//! it reads in one pass.

use super::Wanted;
use super::copies::{Copies, unwritten};
use crate::content::{Content, Contents, FileMode, Hashes, ObjectFormat, Start, Stat, TICK};
use crate::ignore::Pattern;
use crate::secrets::{self, SecretQuestion};
use process::disk;
use process::failure::and_help;
use process::run::check_signal;
use process::state::{State, make_folder, write_whole};
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::SystemTime;

/// What is remembered of every file, below the folder of the state: a line that names the program,
/// then [`Content::to_line`] of each.
pub const REMEMBERED: &str = "files";

/// So much of a file is read at least before a copy begins.
const MIN_CHUNK: u64 = 64 << 10;
/// So much is read at a time after that.
const CHUNK: u64 = 1 << 20;

/// What git says about how files are to be read.
pub(super) struct Rules {
    pub format: ObjectFormat,
    /// The execute permissions by path, if those of the files don't count.
    pub executable: Option<HashMap<String, bool>>,
}

/// What was remembered of files, by path.
pub(super) type Remembered = BTreeMap<String, Content>;

/// Reads the files of one snapshot.
pub(super) struct Reader<'a> {
    wanted: &'a Wanted<'a>,
    rules: Rules,
    allow: Vec<Pattern>,
    /// What was remembered and hasn't been asked for yet.
    known: Remembered,
    /// Whether something had to be read.
    new: bool,
    /// Files that changed so recently that a further change may not show in their times.
    racy: Vec<String>,
    copies: Option<Copies>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        wanted: &'a Wanted<'a>,
        rules: Rules,
        known: Remembered,
    ) -> anyhow::Result<Reader<'a>> {
        Ok(Reader {
            wanted,
            rules,
            allow: secrets::allowed(wanted.allow)?,
            known,
            new: false,
            racy: Vec::new(),
            copies: wanted.copy.then(|| Copies::to(wanted.state.folder.join(super::FOLDER))),
        })
    }

    /// Reads files, each with what the file system just said of it; the inner error names one that
    /// changed meanwhile. The flag is set for files outside of the build context.
    pub(super) fn read(
        &mut self,
        files: &[(&str, Stat)],
        beside: bool,
    ) -> anyhow::Result<Result<Contents, String>> {
        let (mut contents, mut racy) = (Vec::with_capacity(files.len()), Vec::new());
        for (path, stat) in files {
            check_signal(self.wanted.signal)?;
            let begun = SystemTime::now();
            let Some(content) = self.one(path, stat, beside)? else {
                return Ok(Err((*path).to_owned()));
            };
            if content.stat.is_racy(begun) {
                racy.push(*path);
            }
            contents.push(((*path).to_owned(), content));
        }
        let mut contents: Contents = contents.into_iter().collect();
        if !racy.is_empty() {
            // A change within the same tick of the clock as the one before shows nowhere.
            let ticks = racy.iter().filter_map(|path| contents.get(*path));
            let tick = ticks.map(|content| content.stat.tick()).max().unwrap_or(TICK);
            std::thread::sleep(tick + TICK);
        }
        for path in racy {
            let begun = SystemTime::now();
            let stat = Stat::of(&self.wanted.top.join(path)).ok();
            let Some(content) =
                stat.map(|stat| self.one(path, &stat, beside)).transpose()?.flatten()
            else {
                return Ok(Err(path.to_owned()));
            };
            if content.stat.is_racy(begun) {
                self.racy.push(path.to_owned());
            }
            contents.insert(path.to_owned(), content);
        }
        Ok(Ok(contents))
    }

    /// Reads a file, unless it is known and was copied; `None` if it changed meanwhile.
    fn one(&mut self, path: &str, stat: &Stat, beside: bool) -> anyhow::Result<Option<Content>> {
        let own = self.rules.executable.as_ref().and_then(|all| all.get(path));
        let kind = match (stat.kind(), own) {
            (FileMode::Plain | FileMode::Executable, Some(true)) => FileMode::Executable,
            (FileMode::Plain | FileMode::Executable, Some(false)) => FileMode::Plain,
            (kind, _) => kind,
        };
        if let Some(known) = self.known.remove(path)
            && known.stat == *stat
            && known.kind == kind
        {
            let uncopied = kind == FileMode::Other || self.is_refused(path, &known);
            let kept = match &self.copies {
                Some(_) if uncopied => known.copy.is_none(),
                Some(copies) => Copies::keep(&copies.place(path, beside), &known),
                None => true,
            };
            if kept {
                return Ok(Some(known));
            }
        }
        self.new = true;
        let content = self.read_now(path, stat, kind, beside);
        check_signal(self.wanted.signal)?;
        // An error may only be that of a file that is gone.
        let same = Stat::of(&self.wanted.top.join(path)).ok().as_ref() == Some(stat);
        if same { content.map(Some) } else { Ok(None) }
    }

    /// Whether a file looks like a secret and isn't meant to be in the image.
    fn is_refused(&self, path: &str, content: &Content) -> bool {
        let allowed = || self.allow.iter().any(|pattern| secrets::holds(pattern, path));
        content.suspicion.is_some() && !allowed()
    }

    fn read_now(
        &mut self,
        path: &str,
        stat: &Stat,
        kind: FileMode,
        beside: bool,
    ) -> anyhow::Result<Content> {
        let source = self.wanted.top.join(path);
        let unread = |error| unread(path, &error);
        let question = SecretQuestion::about(path, stat.bytes());
        let mut hashes = Hashes::new(self.rules.format, stat.bytes());
        let mut content = Content {
            kind,
            bytes: stat.bytes(),
            sha256: String::new(),
            git: String::new(),
            suspicion: None,
            start: Start::Other,
            stat: stat.clone(),
            copy: None,
        };
        let mut copied = None;
        match kind {
            FileMode::Other => content.suspicion = Some("a socket, a pipe or a device".to_owned()),
            FileMode::Link => {
                let target = fs::read_link(source).map_err(unread)?;
                hashes.update(target.as_os_str().as_bytes());
                content.suspicion = question.of_name().map(str::to_owned);
                let refused = self.is_refused(path, &content);
                if let Some(copies) = self.copies.as_ref().filter(|_| !refused) {
                    content.copy = Some(copies.link(&target, &copies.place(path, beside))?);
                }
            }
            FileMode::Plain | FileMode::Executable => {
                let file = File::open(source).map_err(unread)?;
                let mut buffer = Vec::new();
                let read = |bytes, buffer: &mut Vec<u8>| {
                    (&file).take(bytes).read_to_end(buffer).map_err(unread)
                };
                read(question.needed().max(MIN_CHUNK), &mut buffer)?;
                content.suspicion = question.answer(&buffer).map(str::to_owned);
                content.start = Start::of(&buffer);
                let refused = self.is_refused(path, &content);
                let mut copy = match self.copies.as_ref().filter(|_| !refused) {
                    Some(copies) => {
                        let place = copies.place(path, beside);
                        Some((copies.create(&place)?, place))
                    }
                    None => None,
                };
                while !buffer.is_empty() {
                    check_signal(self.wanted.signal)?;
                    hashes.update(&buffer);
                    if let Some((copy, place)) = &mut copy {
                        copy.write_all(&buffer).map_err(|error| unwritten(place, &error))?;
                    }
                    buffer.clear();
                    read(CHUNK, &mut buffer)?;
                }
                copied = copy;
            }
        }
        (content.sha256, content.git) = hashes.finish();
        if let Some((copy, place)) = copied {
            let executable = kind == FileMode::Executable;
            content.copy = Some(Copies::finished(&copy, &place, executable, &content.sha256)?);
        }
        Ok(content)
    }

    /// Removes copies of what is no longer there, and remembers what was read.
    pub(super) fn finish(self, contents: &Contents, beside: &Contents) -> anyhow::Result<()> {
        let settled = !self.new && self.known.is_empty();
        if let Some(copies) = &self.copies {
            copies.finish(contents, beside, settled)?;
        }
        if !settled {
            let sure = |(path, _): &(&String, &Content)| !self.racy.contains(path);
            let all = contents.iter().chain(beside).filter(sure);
            let lines = all.map(|(path, content)| content.to_line(path) + "\n");
            let text = reader() + "\n" + &lines.collect::<String>();
            // If nothing can be written, the next command reads everything again.
            let folder = &self.wanted.state.folder;
            let _ = make_folder(folder).and_then(|()| write_whole(&folder.join(REMEMBERED), &text));
        }
        Ok(())
    }
}

/// The failure to read the file `path`.
fn unread(path: &str, error: &std::io::Error) -> anyhow::Error {
    let failed = disk::failed("checking the build context: reading", Path::new(path), error);
    and_help(&failed, "or exclude it in the ignore file")
}

/// What another command has read, if it was this program: another one may find other secrets.
pub(super) fn remembered(state: &State) -> Remembered {
    let text = process::regular::read_text(state.folder.join(REMEMBERED)).unwrap_or_default();
    let mut lines = text.lines();
    let same = lines.next().is_some_and(|line| line == reader());
    lines.filter(|_| same).filter_map(Content::from_line).collect()
}

/// This program, as long as it isn't compiled anew.
fn reader() -> String {
    let stat = std::env::current_exe().and_then(|program| Stat::of(&program));
    stat.map_or_else(|_| String::new(), |stat| stat.to_text())
}
