//! Pushes a local image to registries: the names are read, decided on, written and read again, one
//! kind of tag after the other everywhere, so that no name points to what isn't there and a rerun
//! does only what is left.

use crate::plan::push::{self as plan, Act, ImageIdentity, Remote};
use crate::report::push::{Done, PushReport as Report, PushedRepository, TagReport};
use crate::tags::{Rules, Tag, TagKind, line};
use engine::Engine;
use engine::reference::Reference;
use process::failure::{Exit, describe};
use process::notice::notice;
use process::run::Runner;
use registry::{Client, ClientSettings, Manifest};
use source::git::ancestry::Ancestry;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

mod deliver;
mod subject;
pub use subject::{LocalImage, subject};

/// How often a moving tag is written again when another push writes it at the same time.
const ROUNDS: usize = 4;

/// One push: what, as what, and how.
pub struct Job<'a> {
    /// The engine that has the image.
    pub engine: &'a Engine,
    /// Starts the engine.
    pub runner: &'a Runner,
    /// The log file for the engine's output.
    pub log: &'a Path,
    pub image: &'a LocalImage,
    /// What a version is.
    pub rules: &'a Rules,
    /// Its names, in the order in which they are written.
    pub tags: &'a [Tag],
    /// Move tags whatever they name.
    pub force: bool,
    /// The longest that one push may take.
    pub limit: Duration,
    /// Variables added to the engine's environment.
    pub env: &'a [(String, String)],
    /// The file that Podman writes a digest to.
    pub digest_file: &'a Path,
    /// How another commit stands to ours.
    pub ancestry: &'a dyn Fn(&str, &str) -> Ancestry,
}

/// One repository, with what was read of it.
pub struct PushTarget {
    /// Asks it.
    client: Client,
    /// What each tag of the job names there, as it was read last.
    there: Vec<Option<Remote>>,
    /// The manifest of our image, if the repository has it.
    ours: Option<Manifest>,
    /// Manifests by digest: what a digest names never changes.
    seen: BTreeMap<String, (Manifest, ImageIdentity)>,
}

/// Finds the way to each repository. With `writes` it is also asked whether we may push there:
/// before any work.
///
/// # Errors
/// [`Exit::RegistryRefused`], [`Exit::RegistryFailed`], those of [`Client::open`].
pub fn open(
    targets: &[Reference],
    surroundings: &ClientSettings<'_>,
    writes: bool,
) -> anyhow::Result<Vec<Client>> {
    let mut clients = Vec::new();
    for target in targets {
        let client = Client::open(target, surroundings, writes)?;
        if writes {
            client.may_push()?;
            notice(&format!("login at {target}: {}", client.login_place()));
        }
        clients.push(client);
    }
    Ok(clients)
}

/// Reads what every tag of the job names in every repository.
pub fn survey(job: &Job<'_>, clients: Vec<Client>) -> anyhow::Result<Vec<PushTarget>> {
    let read = |client: Client| {
        let mut site = PushTarget { client, there: Vec::new(), ours: None, seen: BTreeMap::new() };
        for tag in job.tags {
            let there = site.read(job, &tag.name)?;
            site.there.push(there);
        }
        Ok(site)
    };
    clients.into_iter().map(read).collect()
}

/// The ways to the repositories, for another push.
pub fn clients(sites: Vec<PushTarget>) -> Vec<Client> {
    sites.into_iter().map(|site| site.client).collect()
}

/// What would be done with each tag: tags that are taken are all in one failure.
///
/// # Errors
/// [`Exit::RegistryRefused`] for a tag that permanently names another image.
pub fn check(job: &Job<'_>, sites: &[PushTarget]) -> anyhow::Result<()> {
    let mut taken = Vec::new();
    for site in sites {
        for (tag, there) in job.tags.iter().zip(&site.there) {
            let decision = job.decide(tag, there.as_ref());
            if decision.act == Act::Refuse {
                taken.push((format!("{}:{}", site.client.target, tag.name), decision.why));
            }
        }
    }
    if taken.is_empty() { Ok(()) } else { Err(plan::refused(&taken)) }
}

/// The report of a push that isn't done: from which digest each tag would move to which.
pub fn preview(job: &Job<'_>, sites: &[PushTarget]) -> Report {
    job.report(sites.iter().map(|site| {
        let tags = job.tags.iter().zip(&site.there).map(|(tag, there)| {
            let decision = job.decide(tag, there.as_ref());
            let done = match decision.act {
                Act::Write => Done::Planned,
                Act::Done => Done::There,
                Act::Keep => Done::Kept,
                Act::Refuse => Done::Taken,
            };
            site.tag_report(tag, there.as_ref(), done, &decision.why)
        });
        site.report(tags.collect())
    }))
}

/// The engine's commands for what [`preview`] says; a further name of the same image is a request
/// of ours and no command.
pub fn commands(job: &Job<'_>, sites: &[PushTarget]) -> Vec<String> {
    let mut lines = Vec::new();
    for site in sites {
        let mut has = site.ours.is_some();
        for (tag, there) in job.tags.iter().zip(&site.there) {
            let name = format!("{}:{}", site.client.target, tag.name);
            match job.decide(tag, there.as_ref()).act {
                Act::Write if has => lines.push(format!("# PUT manifest: {name}")),
                Act::Write => {
                    let all = deliver::invocations(job, &site.client, &name);
                    lines.extend(all.iter().map(ToString::to_string));
                    has = true;
                }
                _ => {}
            }
        }
    }
    lines
}

/// Does it. The report says what was done also where something failed; every repository gets
/// the tags of one kind before any gets those of the next.
pub fn run(job: &Job<'_>, sites: &mut [PushTarget]) -> (Report, anyhow::Result<()>) {
    let left = |tag: &Tag, site: &PushTarget, there: Option<&Remote>| {
        site.tag_report(tag, there, Done::Left, "not begun")
    };
    let mut rows: Vec<Vec<TagReport>> = sites
        .iter()
        .map(|site| {
            let tags = job.tags.iter().zip(&site.there);
            tags.map(|(tag, there)| left(tag, site, there.as_ref())).collect()
        })
        .collect();
    let mut outcome = Ok(());
    for kind in [TagKind::Immutable, TagKind::Moving, TagKind::Latest] {
        for (site, rows) in sites.iter_mut().zip(&mut rows) {
            let mut good = true;
            for (index, tag) in job.tags.iter().enumerate().filter(|(_, tag)| tag.kind == kind) {
                if !good {
                    break;
                }
                match site.place(job, index) {
                    Ok(row) => {
                        notice(&row.line());
                        rows[index] = row;
                    }
                    Err(error) => {
                        good = false;
                        rows[index] = TagReport {
                            done: Done::Failed,
                            why: format!("{error:#}"),
                            ..rows[index].clone()
                        };
                        // The first one is the command's own failure.
                        if outcome.is_err() {
                            notice(&format!("{}:{}: {error:#}", site.client.target, tag.name));
                        }
                        outcome = outcome.and(Err(error));
                    }
                }
            }
            if job.runner.check_signal().is_err() {
                break;
            }
        }
        if outcome.is_err() {
            break;
        }
    }
    let all = sites.iter().zip(rows).map(|(site, rows)| site.report(rows));
    (job.report(all), outcome)
}

impl Job<'_> {
    fn decide(&self, tag: &Tag, there: Option<&Remote>) -> plan::Decision {
        let ours = &self.image.identity;
        plan::decide(tag, there, ours, self.force, self.ancestry, self.rules)
    }

    fn report(&self, registries: impl Iterator<Item = PushedRepository>) -> Report {
        Report {
            image_id: self.image.image.id.clone(),
            config_digest: self.image.config_digest.clone(),
            version: self.image.identity.version.clone(),
            revision: self.image.identity.revision.clone(),
            size_bytes: self.image.size_bytes,
            engine: self.engine.kind.to_string(),
            engine_version: self.engine.version.to_string(),
            registries: registries.collect(),
            seconds: 0.0,
            log: self.log.to_owned(),
        }
    }
}

impl PushTarget {
    /// What a tag names now.
    fn read(&mut self, job: &Job<'_>, tag: &str) -> anyhow::Result<Option<Remote>> {
        let Some(digest) = self.client.digest(tag)? else { return Ok(None) };
        if !self.seen.contains_key(&digest) {
            // Removed meanwhile, or it isn't what its name says: either way not ours.
            let Some(manifest) = self.client.manifest(&digest)? else { return Ok(None) };
            let identity = if job.image.is(&manifest) {
                job.image.identity.clone()
            } else {
                let labels = self.client.labels(&manifest)?;
                ImageIdentity {
                    revision: plan::label(&labels, "revision"),
                    version: plan::label(&labels, "version"),
                }
            };
            self.seen.insert(digest.clone(), (manifest, identity));
        }
        let (manifest, identity) = &self.seen[&digest];
        let ours = job.image.is(manifest);
        if ours && self.ours.is_none() {
            self.ours = Some(manifest.clone());
        }
        Ok(Some(Remote { digest, ours, identity: identity.clone() }))
    }

    /// Reads a tag, decides, writes, and reads again.
    fn place(&mut self, job: &Job<'_>, index: usize) -> anyhow::Result<TagReport> {
        let tag = &job.tags[index];
        let name = format!("{}:{}", self.client.target, tag.name);
        let first = self.there[index].clone();
        let mut found = None;
        for round in 0..ROUNDS {
            let there = self.read(job, &tag.name)?;
            let decision = job.decide(tag, there.as_ref());
            let from = first.as_ref().or(there.as_ref()).filter(|from| !from.ours);
            match decision.act {
                Act::Done if round == 0 => {
                    return Ok(self.tag_report(tag, there.as_ref(), Done::There, &decision.why));
                }
                Act::Keep => {
                    return Ok(self.tag_report(tag, there.as_ref(), Done::Kept, &decision.why));
                }
                Act::Refuse => return Err(plan::refused(&[(name, decision.why)])),
                Act::Done | Act::Write => {}
            }
            let (digest, done) = self.write(job, tag)?;
            found = self.client.digest(&tag.name)?;
            if found.as_deref() == Some(digest.as_str()) {
                let report = self.tag_report(tag, from, done, &decision.why);
                // The tag is written: a list that may not be read must not stop the ones after it.
                let newer = match self.overtaken(job, tag) {
                    Err(error) if describe(&error).0 == Exit::RegistryRefused => {
                        notice(&format!("{name}: can't look for a newer release: {error:#}"));
                        None
                    }
                    newer => newer?,
                };
                return Ok(match newer {
                    None => report,
                    Some((digest, why)) => {
                        TagReport { done: Done::Given, digest: Some(digest), why, ..report }
                    }
                });
            }
            if tag.kind == TagKind::Immutable {
                break;
            }
            notice(&format!("{name}: another push has written it at the same time; looking again"));
        }
        let expected = self.ours.as_ref().map_or("it", |ours| ours.digest.as_str());
        Err(plan::mismatch(&name, expected, found.as_deref()))
    }

    /// Gives our image the name: through the engine if the repository hasn't got the image, else by
    /// a request that moves no layer. The digest, and which of the two it was.
    fn write(&mut self, job: &Job<'_>, tag: &Tag) -> anyhow::Result<(String, Done)> {
        if let Some(ours) = &self.ours {
            self.client.point(&tag.name, ours)?;
            return Ok((ours.digest.clone(), Done::Named));
        }
        let name = format!("{}:{}", self.client.target, tag.name);
        let sent = deliver::deliver(job, &self.client, &name)?;
        let Some(manifest) = self.client.manifest(&tag.name)? else {
            return Err(plan::mismatch(&name, sent.as_deref().unwrap_or("it"), None));
        };
        let wanted = sent.unwrap_or_else(|| manifest.digest.clone());
        if manifest.digest != wanted || !job.image.is(&manifest) {
            return Err(plan::mismatch(&name, &wanted, Some(&manifest.digest)));
        }
        self.ours = Some(manifest);
        Ok((wanted, Done::Pushed))
    }

    /// Gives the tag to a newer release that has come to the repository since it was decided on;
    /// its digest and why. A release's own tag is there before its moving ones, so the last writer
    /// sees the other release's.
    fn overtaken(&mut self, job: &Job<'_>, tag: &Tag) -> anyhow::Result<Option<(String, String)>> {
        if tag.kind == TagKind::Immutable || job.force || line(&tag.name).is_none() {
            return Ok(None);
        }
        let mut given: Option<(String, String)> = None;
        for _ in 0..ROUNDS {
            let tags = self.client.tags()?;
            let Some(owner) = plan::owner(&tag.name, &tags, job.rules) else { break };
            let Some(there) = self.read(job, owner)?.filter(|there| !there.ours) else { break };
            let ours = &job.image.identity;
            let order = plan::order(ours, &there.identity, job.ancestry, job.rules);
            let plan::Order::Newer(how) = order else { break };
            let same = given.as_ref().is_some_and(|(digest, _)| *digest == there.digest);
            if same && self.client.digest(&tag.name)?.as_ref() == Some(&there.digest) {
                break;
            }
            let Some((manifest, _)) = self.seen.get(&there.digest) else { break };
            self.client.point(&tag.name, manifest)?;
            given = Some((there.digest, format!("{owner} came meanwhile and is newer ({how})")));
        }
        Ok(given)
    }

    fn tag_report(&self, tag: &Tag, from: Option<&Remote>, done: Done, why: &str) -> TagReport {
        let ours = self.ours.as_ref().map(|ours| ours.digest.clone());
        TagReport {
            reference: format!("{}:{}", self.client.target, tag.name),
            tag: tag.name.clone(),
            kind: tag.kind,
            rule: tag.why.clone(),
            done,
            from: from.map(|from| from.digest.clone()),
            digest: match done {
                Done::Kept => from.map(|from| from.digest.clone()),
                _ => ours,
            },
            why: why.to_owned(),
        }
    }

    fn report(&self, tags: Vec<TagReport>) -> PushedRepository {
        PushedRepository {
            repository: self.client.target.to_string(),
            digest: self.ours.as_ref().map(|ours| ours.digest.clone()),
            compressed_bytes: self.ours.as_ref().map(|ours| ours.bytes),
            tags,
        }
    }
}
