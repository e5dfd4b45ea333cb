//! The version string: what `git describe --tags --always --abbrev=12 --match=PREFIX*` prints for a
//! commit.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use anyhow::Context as _;
use git2::{ObjectType, Odb, Oid, Repository};

use process::failure::{Exit, failure_help};

/// How many tags compete for the shortest distance.
const CANDIDATES: usize = 10;
/// The least number of digits of an abbreviated commit id.
const DIGITS: usize = 12;

/// A tag that can name a commit.
struct Tag {
    /// Name of the reference, without `refs/tags/`.
    reference: Vec<u8>,
    /// The object the reference points at.
    target: Oid,
    annotated: bool,
    /// Name and tagger date inside the tag object, once they have been read.
    object: Option<(Vec<u8>, u64)>,
}

impl Tag {
    /// Name and date of an annotated tag, read from its object at most once.
    fn object(&mut self, odb: &Odb<'_>) -> anyhow::Result<&(Vec<u8>, u64)> {
        if self.object.is_none() {
            let raw = odb.read(self.target).context("reading a tag")?;
            let name = header(raw.data(), b"tag ").unwrap_or(&self.reference).to_vec();
            self.object = Some((name, header(raw.data(), b"tagger ").map_or(0, date)));
        }
        Ok(self.object.get_or_insert_default())
    }
}

/// The tags of a repository by the commit they name.
pub(super) struct Tags {
    /// Only those that begin with the prefix.
    by_commit: HashMap<Oid, Tag>,
    /// Short names of all tags of the commit that was asked about, in the order of the references.
    pub(super) exact: Vec<String>,
    /// Short names of all tags, in the same order.
    pub(super) all: Vec<String>,
}

impl Tags {
    /// Reads all tags; notes those that name `head`. Those that begin with `prefix` name versions.
    pub(super) fn read(repo: &Repository, head: Oid, prefix: &str) -> anyhow::Result<Self> {
        let odb = repo.odb()?;
        let mut found = Vec::new();
        for reference in repo.references_glob("refs/tags/*").context("listing the tags")? {
            // Git only warns about a broken reference. A symbolic one counts under its own name.
            let Ok(reference) = reference else { continue };
            let name = reference.name_bytes().to_vec();
            // To resolve a direct one would look it up again, with two more system calls each.
            let direct = reference.target().is_some();
            let resolved = if direct { Ok(reference) } else { reference.resolve() };
            let Ok(reference) = resolved else { continue };
            if let Some(target) = reference.target() {
                found.push((name, target, reference.target_peel()));
            }
        }
        found.sort();
        let mut tags = Self { by_commit: HashMap::new(), exact: Vec::new(), all: Vec::new() };
        for (name, target, peeled) in found {
            let reference = name.strip_prefix(b"refs/tags/").unwrap_or(&name).to_vec();
            let commit = match peeled {
                Some(commit) => commit,
                None => match peel(&odb, target) {
                    Some(commit) => commit,
                    None => continue,
                },
            };
            let shown = String::from_utf8_lossy(&reference).into_owned();
            if commit == head {
                tags.exact.push(shown.clone());
            }
            tags.all.push(shown);
            if reference.starts_with(prefix.as_bytes()) {
                let annotated = commit != target;
                tags.add(&odb, commit, Tag { reference, target, annotated, object: None })?;
            }
        }
        Ok(tags)
    }

    /// Keeps the better of two tags of one commit: an annotated one, then the younger one, then
    /// the first.
    fn add(&mut self, odb: &Odb<'_>, commit: Oid, mut new: Tag) -> anyhow::Result<()> {
        if let Some(old) = self.by_commit.get_mut(&commit) {
            let better = match (new.annotated, old.annotated) {
                (true, true) => new.object(odb)?.1 > old.object(odb)?.1,
                (new, old) => new && !old,
            };
            if !better {
                return Ok(());
            }
        }
        self.by_commit.insert(commit, new);
        Ok(())
    }

    /// The name that git prints for the tag of `commit`, and whether the tag object has another
    /// name than its reference, which makes git print the long form.
    fn name(&mut self, odb: &Odb<'_>, commit: Oid) -> anyhow::Result<Option<(String, bool)>> {
        let Some(tag) = self.by_commit.get_mut(&commit) else { return Ok(None) };
        let name = if tag.annotated { tag.object(odb)?.0.clone() } else { tag.reference.clone() };
        Ok(Some((String::from_utf8_lossy(&name).into_owned(), name != tag.reference)))
    }
}

/// The commit (or other object) at the end of a chain of tag objects.
fn peel(odb: &Odb<'_>, mut oid: Oid) -> Option<Oid> {
    loop {
        if odb.read_header(oid).ok()?.1 != ObjectType::Tag {
            return Some(oid);
        }
        let raw = odb.read(oid).ok()?;
        oid = hex(header(raw.data(), b"object ")?)?;
    }
}

/// The rest of the first header line that starts with `key`.
fn header<'a>(raw: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    raw.split(|&b| b == b'\n').take_while(|line| !line.is_empty()).find_map(|l| l.strip_prefix(key))
}

/// The seconds in `Name <mail> 1700000000 +0100`; zero if git reads none.
fn date(person: &[u8]) -> u64 {
    let after = person.iter().rposition(|&b| b == b'>').map_or(&[][..], |at| &person[at + 1..]);
    let text = after.trim_ascii_start();
    let end = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    std::str::from_utf8(&text[..end]).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

fn hex(text: &[u8]) -> Option<Oid> {
    Oid::from_str(std::str::from_utf8(text).ok()?).ok()
}

/// One commit that the walk has met.
struct Node {
    oid: Oid,
    date: u64,
    parents: Vec<Oid>,
    /// Bit `i`: reachable from candidate `i`.
    within: u16,
    queued: bool,
}

/// A tagged commit that the walk has met.
struct Candidate {
    oid: Oid,
    depth: usize,
}

/// The walk from a commit into the past, youngest commit first, first met first on equal dates.
struct Walk<'a> {
    odb: &'a Odb<'a>,
    shallow: &'a HashSet<Oid>,
    nodes: Vec<Node>,
    by_oid: HashMap<Oid, usize>,
    queue: BinaryHeap<(u64, Reverse<usize>, usize)>,
    pushed: usize,
    /// The candidate whose depth is being finished, and how many queued commits are outside it.
    finishing: Option<(u16, usize)>,
}

impl Walk<'_> {
    /// Puts a commit in the queue the first time it is met, and marks it with `within` each time.
    fn meet(&mut self, oid: Oid, within: u16) -> anyhow::Result<()> {
        if let Some(&at) = self.by_oid.get(&oid) {
            let node = &mut self.nodes[at];
            if let Some((flag, outside)) = &mut self.finishing
                && node.queued
                && node.within & *flag == 0
                && within & *flag != 0
            {
                *outside -= 1;
            }
            node.within |= within;
            return Ok(());
        }
        let (date, parents) = self.read(oid)?;
        let at = self.nodes.len();
        self.nodes.push(Node { oid, date, parents, within, queued: false });
        self.by_oid.insert(oid, at);
        self.push(at);
        Ok(())
    }

    fn push(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        node.queued = true;
        if let Some((flag, outside)) = &mut self.finishing {
            *outside += usize::from(node.within & *flag == 0);
        }
        self.pushed += 1;
        self.queue.push((node.date, Reverse(self.pushed), at));
    }

    fn pop(&mut self) -> Option<usize> {
        let (_, _, at) = self.queue.pop()?;
        let node = &mut self.nodes[at];
        node.queued = false;
        if let Some((flag, outside)) = &mut self.finishing {
            *outside -= usize::from(node.within & *flag == 0);
        }
        Some(at)
    }

    fn parents(&mut self, at: usize) -> anyhow::Result<()> {
        let within = self.nodes[at].within;
        for parent in std::mem::take(&mut self.nodes[at].parents) {
            self.meet(parent, within)?;
        }
        Ok(())
    }

    /// Date and parents of a commit; the commits at which a shallow clone ends have no parents.
    fn read(&self, oid: Oid) -> anyhow::Result<(u64, Vec<Oid>)> {
        let raw = self.odb.read(oid).map_err(|error| {
            failure_help(
                Exit::Git,
                format!("reading commit {oid}: {}", error.message()),
                "the repository is damaged: `git fsck` says how much; a fresh clone repairs it",
            )
        })?;
        let data = raw.data();
        let date = header(data, b"committer ").map_or(0, date);
        if self.shallow.contains(&oid) {
            return Ok((date, Vec::new()));
        }
        let lines = data.split(|&b| b == b'\n').skip(1);
        let parents = lines.map_while(|line| hex(line.strip_prefix(b"parent ")?)).collect();
        Ok((date, parents))
    }
}

/// What `git describe` prints for `commit`, and whether a tag is in reach. `shallow` are the
/// commits at which a shallow clone ends.
pub(super) fn describe(
    odb: &Odb<'_>,
    commit: Oid,
    tags: &mut Tags,
    shallow: &HashSet<Oid>,
) -> anyhow::Result<(String, bool)> {
    if let Some((name, renamed)) = tags.name(odb, commit)? {
        let long = if renamed { format!("-0-g{}", abbreviate(odb, commit)) } else { String::new() };
        return Ok((name + &long, true));
    }
    match nearest(odb, commit, tags, shallow)? {
        Some(Candidate { oid, depth }) => {
            let name = tags.name(odb, oid)?.map_or_else(String::new, |(name, _)| name);
            Ok((format!("{name}-{depth}-g{}", abbreviate(odb, commit)), true))
        }
        None => Ok((abbreviate(odb, commit), false)),
    }
}

/// The tagged commit with the fewest commits between it and `commit`.
fn nearest(
    odb: &Odb<'_>,
    commit: Oid,
    tags: &Tags,
    shallow: &HashSet<Oid>,
) -> anyhow::Result<Option<Candidate>> {
    if tags.by_commit.is_empty() {
        return Ok(None);
    }
    let mut walk = Walk {
        odb,
        shallow,
        nodes: Vec::new(),
        by_oid: HashMap::new(),
        queue: BinaryHeap::new(),
        pushed: 0,
        finishing: None,
    };
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut seen = 0;
    let mut rest = None;
    walk.meet(commit, 0)?;
    while let Some(at) = walk.pop() {
        seen += 1;
        let oid = walk.nodes[at].oid;
        if tags.by_commit.contains_key(&oid) {
            if candidates.len() == CANDIDATES {
                rest = Some(at);
                break;
            }
            walk.nodes[at].within |= 1 << candidates.len();
            candidates.push(Candidate { oid, depth: seen - 1 });
        }
        let within = walk.nodes[at].within;
        for (i, candidate) in candidates.iter_mut().enumerate() {
            candidate.depth += usize::from(within & (1 << i) == 0);
        }
        // With nothing else queued, all that follows is inside what this commit is inside of.
        if walk.queue.is_empty() && inside_best(&candidates, within) {
            break;
        }
        walk.parents(at)?;
    }
    // The first of equally near ones wins.
    let Some((best, _)) = candidates.iter().enumerate().min_by_key(|(_, c)| c.depth) else {
        return Ok(None);
    };
    let mut candidate = candidates.swap_remove(best);
    let flag = 1 << best;
    let outside = walk.queue.iter().filter(|(_, _, at)| walk.nodes[*at].within & flag == 0).count();
    walk.finishing = Some((flag, outside));
    if let Some(at) = rest {
        walk.push(at);
    }
    while let Some(at) = walk.pop() {
        if walk.nodes[at].within & flag == 0 {
            candidate.depth += 1;
        } else if walk.finishing.is_some_and(|(_, outside)| outside == 0) {
            break;
        }
        walk.parents(at)?;
    }
    Ok(Some(candidate))
}

/// Whether a commit is inside every candidate that shares the least depth.
fn inside_best(candidates: &[Candidate], within: u16) -> bool {
    let Some(least) = candidates.iter().map(|c| c.depth).min() else { return false };
    candidates.iter().enumerate().all(|(i, c)| c.depth != least || within & (1 << i) != 0)
}

/// The first digits of a commit id: at least 12, and enough to tell it from all other objects.
fn abbreviate(odb: &Odb<'_>, commit: Oid) -> String {
    let whole = commit.to_string();
    let digits = (DIGITS..whole.len())
        .find(|&digits| {
            Oid::from_str(&whole[..digits])
                .is_ok_and(|prefix| odb.exists_prefix(prefix, digits).is_ok())
        })
        .unwrap_or(whole.len());
    whole[..digits].to_owned()
}
