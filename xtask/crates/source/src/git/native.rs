//! Reads a repository with libgit2.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use git2::{
    ErrorClass, ErrorCode, Index, IndexEntry, IndexEntryExtendedFlag, IndexEntryFlag, ObjectType,
    Oid, Repository, RepositoryOpenFlags, Status, StatusOptions, Tree,
};

use super::describe::{Tags, describe};
use super::{ChangeKind, GITLINK, ObjectFormat, RepositoryState, Source, Stored};

/// How often the work tree is compared if files that are being written get in the way.
const ATTEMPTS: usize = 10;

/// Opens the repository of `folder`; the inner error says why libgit2 cannot read it.
pub(super) fn open(folder: &Path) -> anyhow::Result<Result<Repository, String>> {
    let nowhere: [&Path; 0] = [];
    match Repository::open_ext(folder, RepositoryOpenFlags::empty(), nowhere) {
        Ok(repo) if repo.workdir().is_none() => Err(super::bare(repo.path())),
        Ok(repo) => Ok(Ok(repo)),
        Err(error) => match error.code() {
            ErrorCode::NotFound => Err(super::no_repository(folder)),
            // Git knows more forms of safe.directory, and reads it from more places.
            ErrorCode::Owner => Ok(Err(super::OTHER_USER.to_owned())),
            _ => Ok(Err(super::obstacle::in_words(&error))),
        },
    }
}

/// A repository that libgit2 reads correctly.
pub(super) struct Native {
    repo: Repository,
    index: Index,
    head: Oid,
    /// All files of that commit.
    files: HashMap<String, Stored>,
    /// Whether the commit was named, and the work tree doesn't matter.
    fixed: bool,
}

impl Native {
    pub(super) fn new(repo: Repository, commit: Option<&str>) -> anyhow::Result<Self> {
        let top = repo.workdir().unwrap_or(repo.path()).to_owned();
        let head = match commit {
            None => checked_out(&repo, &top)?,
            Some(name) => {
                let found = repo.revparse_single(name).and_then(|object| object.peel_to_commit());
                found.map_err(|_| super::unknown(&top, name))?.id()
            }
        };
        let index = match repo.index() {
            // A named commit is built without it.
            Err(_) if commit.is_some() => Index::new()?,
            index => index?,
        };
        Ok(Self { repo, index, head, files: HashMap::new(), fixed: commit.is_some() })
    }

    fn tree(&self) -> Result<Tree<'_>, git2::Error> {
        self.repo.find_commit(self.head)?.tree()
    }

    /// The commits at which a shallow clone ends.
    fn shallow(&self) -> HashSet<Oid> {
        let list = std::fs::read_to_string(self.repo.commondir().join("shallow"));
        list.unwrap_or_default().lines().filter_map(|line| Oid::from_str(line).ok()).collect()
    }

    /// Hidden files whose index entry differs from HEAD; libgit2 leaves some of them out.
    fn hidden_changes(&self) -> Result<Vec<(String, ChangeKind)>, git2::Error> {
        let mut changed = Vec::new();
        for entry in self.index.iter().filter(is_hidden) {
            let path = lossy(&entry.path);
            let kind = match self.tree()?.get_path(Path::new(&path)) {
                Ok(old) if old.kind() == Some(ObjectType::Tree) => ChangeKind::Added,
                Ok(old) => {
                    let mode = u32::try_from(old.filemode()).unwrap_or_default();
                    if mode >> 12 != entry.mode >> 12 {
                        ChangeKind::TypeChanged
                    } else if (mode & 0o100, old.id()) != (entry.mode & 0o100, entry.id) {
                        ChangeKind::Modified
                    } else {
                        continue;
                    }
                }
                Err(_) => ChangeKind::Added,
            };
            changed.push((path, kind));
        }
        Ok(changed)
    }

    fn entry(&self, path: &[u8]) -> Option<IndexEntry> {
        let path = std::str::from_utf8(path).ok()?;
        self.index.get_path(Path::new(path), 0)
    }
}

/// Whether the permission of every file to execute counts, that of submodules included.
pub(super) fn looks_at_modes(repo: &Repository) -> bool {
    // `Repository::submodules` takes as long as git's whole status.
    let modules = || -> Option<Vec<PathBuf>> {
        let (top, index) = (repo.workdir()?, repo.index().ok()?);
        let links = index.iter().filter(|entry| entry.mode == GITLINK);
        Some(links.map(|entry| top.join(lossy(&entry.path))).collect())
    };
    let inside =
        |folder: PathBuf| Repository::open(folder).map_or(true, |repo| looks_at_modes(&repo));
    counts(repo) && modules().unwrap_or_default().into_iter().all(inside)
}

/// Whether the permission of the repository's own files to execute counts.
fn counts(repo: &Repository) -> bool {
    let config = repo.config();
    config.and_then(|config| config.get_bool("core.fileMode")).unwrap_or(true)
}

/// The commit that is checked out.
fn checked_out(repo: &Repository, top: &Path) -> anyhow::Result<Oid> {
    match repo.head() {
        Ok(head) => Ok(head.peel_to_commit().context("reading HEAD")?.id()),
        Err(error) if matches!(error.code(), ErrorCode::UnbornBranch | ErrorCode::NotFound) => {
            Err(super::no_commit(top))
        }
        Err(error) => {
            let message = format!("reading HEAD: {}", error.message());
            Err(super::failure(super::Exit::Git, message))
        }
    }
}

/// Adds all files and submodules of `tree`, which is at `folder`, and of the trees in it.
fn list(
    repo: &Repository,
    tree: &Tree<'_>,
    folder: &str,
    files: &mut HashMap<String, Stored>,
) -> Result<(), git2::Error> {
    for entry in tree {
        let path = folder.to_owned() + &lossy(entry.name_bytes());
        if entry.kind() == Some(ObjectType::Tree) {
            list(repo, &repo.find_tree(entry.id())?, &(path + "/"), files)?;
        } else {
            let mode = u32::try_from(entry.filemode_raw()).unwrap_or_default();
            files.insert(path, Stored { mode, id: entry.id().to_string() });
        }
    }
    Ok(())
}

fn is_hidden(entry: &IndexEntry) -> bool {
    entry.flags & IndexEntryFlag::VALID.bits() != 0
        || entry.flags_extended & IndexEntryExtendedFlag::SKIP_WORKTREE.bits() != 0
}

fn lossy(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

impl Source for Native {
    fn facts(&self, prefix: &str) -> anyhow::Result<RepositoryState> {
        let (top, index) = self.places();
        let odb = self.repo.odb()?;
        let shallow = self.shallow();
        let mut tags = Tags::read(&self.repo, self.head, prefix)?;
        let (describe, tagged) = describe(&odb, self.head, &mut tags, &shallow)?;
        let head = self.repo.find_reference("HEAD")?;
        let branch = head
            .symbolic_target_bytes()
            .map(|name| lossy(name.strip_prefix(b"refs/heads/").unwrap_or(name)))
            .filter(|_| !self.fixed || self.now().is_ok_and(|now| now == self.head.to_string()));
        let config = self.repo.config()?;
        Ok(RepositoryState {
            top,
            index,
            revision: self.head.to_string(),
            commit_time: self.repo.find_commit(self.head)?.time().seconds(),
            branch,
            exact_tags: std::mem::take(&mut tags.exact),
            all_tags: std::mem::take(&mut tags.all),
            remote_url: config.get_string("remote.origin.url").ok(),
            shallow: !shallow.is_empty(),
            describe,
            tagged,
            changed: if self.fixed { Vec::new() } else { self.changed()? },
        })
    }

    fn places(&self) -> (PathBuf, PathBuf) {
        let top: PathBuf = self.repo.workdir().unwrap_or(self.repo.path()).components().collect();
        let index =
            self.index.path().map_or_else(|| self.repo.path().join("index"), Path::to_owned);
        (top, index)
    }

    fn changed(&self) -> anyhow::Result<Vec<(String, ChangeKind)>> {
        let mut options = StatusOptions::new();
        options.include_untracked(false).include_ignored(false).update_index(false);
        let mut attempts = 0;
        let statuses = loop {
            attempts += 1;
            match self.repo.statuses(Some(&mut options)) {
                // Of a file that is written while libgit2 reads it.
                Err(error)
                    if attempts < ATTEMPTS
                        && matches!(error.class(), ErrorClass::Filesystem | ErrorClass::Os) => {}
                statuses => break statuses.context("comparing with HEAD")?,
            }
        };
        let mut changed = Vec::new();
        for entry in statuses.iter() {
            let indexed = self.entry(entry.path_bytes());
            if indexed.as_ref().is_some_and(is_hidden) {
                continue;
            }
            let status = entry.status();
            let any = |flags| status.intersects(flags);
            let kind = if any(Status::CONFLICTED) {
                ChangeKind::Modified
            } else if any(Status::INDEX_NEW) {
                // Git passes over a file that was added and is gone again.
                if any(Status::WT_DELETED) {
                    continue;
                }
                ChangeKind::Added
            } else if any(Status::INDEX_DELETED | Status::WT_DELETED) {
                ChangeKind::Deleted
            } else if any(Status::INDEX_TYPECHANGE | Status::WT_TYPECHANGE) {
                ChangeKind::TypeChanged
            } else if any(Status::INDEX_MODIFIED | Status::WT_MODIFIED | Status::WT_UNREADABLE) {
                ChangeKind::Modified
            } else {
                continue;
            };
            changed.push((lossy(entry.path_bytes()), kind));
        }
        changed.extend(self.hidden_changes()?);
        Ok(changed)
    }

    fn in_index(&self, path: &str) -> bool {
        (0..4).any(|stage| self.index.get_path(Path::new(path), stage).is_some())
    }

    fn revision(&self) -> anyhow::Result<String> {
        Ok(self.head.to_string())
    }

    fn common(&self) -> anyhow::Result<PathBuf> {
        Ok(self.repo.commondir().to_owned())
    }

    fn now(&self) -> anyhow::Result<String> {
        let head = self.repo.head().and_then(|head| head.peel_to_commit());
        Ok(head.context("reading HEAD")?.id().to_string())
    }

    fn list(&mut self) -> anyhow::Result<()> {
        let mut files = HashMap::new();
        list(&self.repo, &self.tree()?, "", &mut files).context("reading the commit's files")?;
        self.files = files;
        Ok(())
    }

    fn head(&self) -> &HashMap<String, Stored> {
        &self.files
    }

    fn executable(&self) -> Option<HashMap<String, bool>> {
        if counts(&self.repo) {
            return None;
        }
        let entries = self.index.iter();
        Some(entries.map(|entry| (lossy(&entry.path), entry.mode & 0o100 != 0)).collect())
    }

    fn blobs(&self, ids: &[&str]) -> anyhow::Result<HashMap<String, Vec<u8>>> {
        let mut blobs = HashMap::new();
        for id in ids {
            if let Ok(blob) = self.repo.find_blob(Oid::from_str(id)?) {
                blobs.insert((*id).to_owned(), blob.content().to_vec());
            }
        }
        Ok(blobs)
    }

    fn format(&self) -> anyhow::Result<ObjectFormat> {
        Ok(ObjectFormat::Sha1)
    }

    fn ignored(&self, paths: &[String]) -> anyhow::Result<Vec<String>> {
        let mut found = Vec::new();
        for path in paths {
            if self.repo.status_should_ignore(Path::new(path))? {
                found.push(path.clone());
            }
        }
        Ok(found)
    }

    fn submodules(&self) -> Vec<String> {
        self.index.iter().filter(|e| e.mode == GITLINK).map(|e| lossy(&e.path)).collect()
    }
}
