//! `git describe --tags --always --abbrev=12` with git's own choice among tags: libgit2's differs
//! on equal and skewed dates, disjoint histories and renamed tags.
//!
//! The rules are those of git-describe(1), "SEARCH STRATEGY", and of trials against git 2.47.

use anyhow::Context as _;
use git2::{Commit, ObjectType, Oid, Repository};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// Digits of an abbreviated object name; more where they would be ambiguous. Pinned, because git's
/// default grows with the repository.
const ABBREV: usize = 12;
/// How many tags are compared (git-describe(1), `--candidates`).
const CANDIDATES: usize = 10;

/// The tag that names a commit.
#[derive(Clone, Debug)]
struct Name {
    /// An annotated tag's own object.
    annotated: Option<Annotated>,
    /// The reference without `refs/tags/`, wrong UTF-8 replaced.
    reference: String,
}

#[derive(Clone, Debug)]
struct Annotated {
    /// The name inside the tag object, which is the one that git prints.
    name: String,
    /// When it was made, seconds.
    date: i64,
    /// What the tag points at.
    target: Oid,
}

impl Name {
    fn text(&self) -> &str {
        self.annotated.as_ref().map_or(&self.reference, |tag| &tag.name)
    }

    /// Annotated beats lightweight, a later tagger an earlier one; else the first reference stays.
    fn beats(&self, other: &Name) -> bool {
        match (&self.annotated, &other.annotated) {
            (Some(own), Some(others)) => own.date > others.date,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }
}

/// The names that tags give to commits.
#[derive(Clone, Debug, Default)]
pub struct Tags {
    names: HashMap<Oid, Name>,
}

impl Tags {
    /// Reads all tags of a repository.
    ///
    /// # Errors
    /// When references can't be listed. A tag of something that can't be read names nothing.
    pub fn read(repository: &Repository) -> anyhow::Result<Tags> {
        let mut found: Vec<(Vec<u8>, Oid)> = Vec::new();
        let references = repository.references_glob("refs/tags/*").context("listing the tags")?;
        for reference in references {
            let reference = reference.context("listing the tags")?;
            // A symbolic reference names what it leads to.
            let Ok(direct) = reference.resolve() else { continue };
            if let Some(target) = direct.target() {
                found.push((reference.name_bytes().to_vec(), target));
            }
        }
        // The order in which git meets them, which decides between equals.
        found.sort();
        let mut tags = Tags::default();
        for (reference, target) in found {
            let short = reference.strip_prefix(b"refs/tags/").unwrap_or(&reference);
            let mut name =
                Name { annotated: None, reference: String::from_utf8_lossy(short).into_owned() };
            let mut commit = target;
            if let Ok(tag) = repository.find_tag(target) {
                name.annotated = Some(Annotated {
                    name: String::from_utf8_lossy(tag.name_bytes()).into_owned(),
                    date: tag.tagger().map_or(0, |tagger| tagger.when().seconds()),
                    target: tag.target_id(),
                });
                let Ok(peeled) = tag.as_object().peel(ObjectType::Any) else { continue };
                commit = peeled.id();
            }
            let better = tags.names.get(&commit).is_none_or(|other| name.beats(other));
            if better {
                tags.names.insert(commit, name);
            }
        }
        Ok(tags)
    }
}

/// Describes `head` by the nearest of `tags`, or by its abbreviated name where none is in reach.
///
/// # Errors
/// When a commit can't be read.
pub fn describe(repository: &Repository, tags: &Tags, head: Oid) -> anyhow::Result<String> {
    if let Some(name) = tags.names.get(&head) {
        return match &name.annotated {
            // A tag that was renamed: git says which object it means.
            Some(tag) if tag.name != name.reference => {
                Ok(format!("{}-0-g{}", tag.name, abbreviated(repository, tag.target)?))
            }
            _ => Ok(name.text().to_owned()),
        };
    }
    let short = abbreviated(repository, head)?;
    Ok(match Walk::new(repository, tags).nearest(head)? {
        Some((name, depth)) => format!("{}-{depth}-g{short}", name.text()),
        None => short,
    })
}

/// The first twelve digits of an object's name, or as many more as tell it from all others.
///
/// # Errors
/// When the object database can't be read.
pub fn abbreviated(repository: &Repository, id: Oid) -> anyhow::Result<String> {
    let whole = id.to_string();
    let objects = repository.odb().context("opening the object database")?;
    let unique = |length: &usize| match objects.exists_prefix(id, *length) {
        Ok(_) => true,
        Err(error) => error.code() != git2::ErrorCode::Ambiguous,
    };
    let length = (ABBREV..whole.len()).find(unique).unwrap_or(whole.len());
    Ok(whole[..length].to_owned())
}

/// A tag in reach, while its distance is counted.
struct Candidate<'a> {
    name: &'a Name,
    /// Commits seen that the tag doesn't reach.
    depth: usize,
    /// Its bit in [`Walk::within`].
    bit: u16,
}

/// The search: newest commit first; of equal dates the one that was met first.
struct Walk<'a> {
    repository: &'a Repository,
    tags: &'a Tags,
    queue: BinaryHeap<(i64, Reverse<usize>, Oid)>,
    met: usize,
    /// By commit: which candidates reach it, as far as the walk has come.
    within: HashMap<Oid, u16>,
    parents: HashMap<Oid, Vec<Oid>>,
}

impl<'a> Walk<'a> {
    fn new(repository: &'a Repository, tags: &'a Tags) -> Self {
        Walk {
            repository,
            tags,
            queue: BinaryHeap::new(),
            met: 0,
            within: HashMap::new(),
            parents: HashMap::new(),
        }
    }

    fn nearest(mut self, head: Oid) -> anyhow::Result<Option<(&'a Name, usize)>> {
        self.meet(head, 0)?;
        let mut candidates: Vec<Candidate<'a>> = Vec::new();
        let mut seen = 0;
        let mut annotated = false;
        while let Some((date, _, id)) = self.queue.pop() {
            seen += 1;
            if let Some(name) = self.tags.names.get(&id) {
                if candidates.len() == CANDIDATES {
                    // One too many: what is left only decides how far the best one is.
                    self.met += 1;
                    self.queue.push((date, Reverse(self.met), id));
                    break;
                }
                let bit = 1 << candidates.len();
                candidates.push(Candidate { name, depth: seen - 1, bit });
                *self.within.entry(id).or_default() |= bit;
                annotated |= name.annotated.is_some();
            }
            let within = self.within[&id];
            for candidate in candidates.iter_mut().filter(|candidate| within & candidate.bit == 0) {
                candidate.depth += 1;
            }
            // The last path left, and the best candidates reach it: no better one can follow.
            if annotated
                && self.queue.is_empty()
                && within & best_bits(&candidates) == best_bits(&candidates)
            {
                break;
            }
            self.meet_parents(id, within)?;
        }
        // The nearest; of equals the one found first (the sort is stable).
        candidates.sort_by_key(|candidate| candidate.depth);
        let Some(mut best) = candidates.into_iter().next() else { return Ok(None) };
        self.finish(&mut best)?;
        Ok(Some((best.name, best.depth)))
    }

    /// Counts the rest of the commits that the best candidate doesn't reach.
    fn finish(&mut self, best: &mut Candidate<'_>) -> anyhow::Result<()> {
        while let Some((_, _, id)) = self.queue.pop() {
            let within = self.within[&id];
            if within & best.bit == 0 {
                best.depth += 1;
            } else if self.queue.iter().all(|(_, _, other)| self.within[other] & best.bit != 0) {
                break;
            }
            self.meet_parents(id, within)?;
        }
        Ok(())
    }

    fn meet_parents(&mut self, id: Oid, within: u16) -> anyhow::Result<()> {
        for parent in self.parents.remove(&id).unwrap_or_default() {
            self.meet(parent, within)?;
        }
        Ok(())
    }

    /// Queues a commit on the first meeting; what reaches it is added on every one.
    fn meet(&mut self, id: Oid, within: u16) -> anyhow::Result<()> {
        if let Some(bits) = self.within.get_mut(&id) {
            *bits |= within;
            return Ok(());
        }
        let commit: Commit<'_> =
            self.repository.find_commit(id).with_context(|| format!("reading the commit {id}"))?;
        self.within.insert(id, within);
        self.parents.insert(id, commit.parent_ids().collect());
        self.met += 1;
        self.queue.push((commit.time().seconds(), Reverse(self.met), id));
        Ok(())
    }
}

/// The bits of all candidates at the smallest depth.
fn best_bits(candidates: &[Candidate<'_>]) -> u16 {
    let smallest = candidates.iter().map(|candidate| candidate.depth).min();
    let best = candidates.iter().filter(|candidate| Some(candidate.depth) == smallest);
    best.fold(0, |bits, candidate| bits | candidate.bit)
}
