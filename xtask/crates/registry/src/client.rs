//! One repository of one registry: what its names point to, and new names for what is there.

use super::http::{Wire, origin, refusal, refused, resolved};
use super::login::{self, FoundLogin, Login};
use super::manifest::{Manifest, TYPES};
use super::message::{Fault, Request, Response, Trust};
use super::places::{Places, loopback};
use super::retry::{PATIENCE, passing, retry_after};
use super::token::{Challenge, basic, bearer, challenge, token_request};
use super::trust::trust;
use engine::Engine;
use engine::machine::Machine;
use engine::reference::Reference;
use process::environment::Environment;
use process::failure::{Exit, failure, failure_help};
use process::invocation::Secret;
use process::run::Runner;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

mod artifact;
pub use artifact::{Artifact, Referrer};

/// The most pages of tags that are read.
const PAGES: usize = 1000;

pub struct ClientSettings<'a> {
    pub environment: &'a Environment,
    /// Tells where certificates are installed on the machine.
    pub machine: &'a Machine,
    /// Whose logins and settings count.
    pub engine: &'a Engine,
    pub runner: &'a Runner,
    /// The longest that one request may take.
    pub limit: Duration,
    /// How often a request is tried in all.
    pub attempts: u32,
}

/// A repository in a registry.
pub struct Client {
    /// Registry and repository; no tag, no digest.
    pub target: Reference,
    /// Whether the registry speaks no TLS, which only this machine's and those that the engine
    /// calls insecure may.
    pub plain: bool,
    wire: Wire,
    base: String,
    engine: &'static str,
    found: FoundLogin,
    /// What a token is asked for: `pull`, or `pull,push`.
    access: &'static str,
    authorization: RefCell<Option<Secret>>,
    /// Whether the registry has asked who we are.
    asked: Cell<bool>,
}

/// How a registry is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// It speaks no TLS.
    pub plain: bool,
    /// The engine was told not to look at its certificate.
    pub insecure: bool,
    /// The certificates, PEM, of those that may have signed its own.
    pub roots: String,
}

impl Client {
    /// Finds the login, the certificates and the protocol for `target`. `writes`: names will be
    /// moved; else a user who isn't logged in only asks.
    ///
    /// # Errors
    /// [`Exit::Usage`] and [`Exit::Engine`] for a login that can't be read,
    /// [`Exit::RegistryRefused`] for a registry that speaks no TLS.
    pub fn open(
        target: &Reference,
        surroundings: &ClientSettings<'_>,
        writes: bool,
    ) -> anyhow::Result<Client> {
        let ClientSettings { environment, machine, engine, runner, .. } = surroundings;
        let (registry, repository) = (&target.registry, &target.repository);
        let name = format!("{registry}/{repository}");
        let found =
            login::find(engine.kind, registry, repository, machine.uid, environment, runner)?;
        let host = match registry.as_str() {
            "docker.io" => "registry-1.docker.io",
            other => other,
        };
        let writes = writes || found.login != Login::Nobody;
        let wire = Wire {
            trust: trust(registry, environment, machine, false)?,
            helper: RefCell::new(None),
            cargo: environment.variable("CARGO").unwrap_or("cargo").to_owned(),
            runner: (*runner).clone(),
            environment: environment.variables.clone(),
            limit: surroundings.limit,
            attempts: surroundings.attempts,
            name,
        };
        let mut client = Client {
            target: Reference { tag: None, digest: None, ..target.clone() },
            plain: false,
            wire,
            base: format!("https://{host}"),
            engine: engine.kind.program(),
            found,
            access: if writes { "pull,push" } else { "pull" },
            authorization: RefCell::new(None),
            asked: Cell::new(false),
        };
        client.greet(surroundings, host)?;
        Ok(client)
    }

    /// Finds out whether the registry speaks TLS, and whether the engine minds if it doesn't or if
    /// its certificate isn't trusted.
    fn greet(&mut self, surroundings: &ClientSettings<'_>, host: &str) -> anyhow::Result<()> {
        let ClientSettings { environment, machine, engine, runner, .. } = surroundings;
        let registry = self.target.registry.as_str();
        let ping = Request { method: "GET".into(), url: self.url("/v2/"), ..Request::default() };
        let Err(fault) = self.wire.settled(&ping)? else { return Ok(()) };
        let insecure = || anyhow::Ok(Places::ask(engine, runner)?.insecure(&self.wire.name));
        match fault {
            Fault::NoTls(_) if loopback(registry) || insecure()? => {
                self.plain = true;
                self.base = format!("http://{host}");
            }
            Fault::NoTls(why) => {
                let help = "a registry without TLS must be called insecure in the engine's own \
                            settings (registries.conf, daemon.json)";
                let message = format!("asking {registry}: {why}");
                return Err(failure_help(Exit::RegistryRefused, message, help));
            }
            Fault::Untrusted(_) if insecure()? => {
                self.wire.trust = trust(registry, environment, machine, true)?;
                self.wire.helper.take();
            }
            fault => return Err(refused(&self.wire.name, &fault)),
        }
        Ok(())
    }

    /// How another program gets to the registry.
    pub fn way(&self) -> Way {
        let Trust { insecure, roots, .. } = &self.wire.trust;
        Way { plain: self.plain, insecure: *insecure, roots: roots.join("\n") }
    }

    pub fn login_place(&self) -> &str {
        &self.found.place
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn path(&self, rest: &str) -> String {
        self.url(&format!("/v2/{}/{rest}", self.target.repository))
    }

    fn named(&self, name: &str) -> String {
        let mark = if name.contains(':') { '@' } else { ':' };
        format!("{}{mark}{name}", self.target)
    }

    /// Sends a request with our login, which is looked for again when the registry asks.
    fn ask(&self, request: Request) -> anyhow::Result<Response> {
        let response = self.wire.send(&self.authorized(&request))?;
        match response.header("www-authenticate").and_then(challenge) {
            Some(challenge) if response.status == 401 => {
                self.log_in(&challenge)?;
                self.wire.send(&self.authorized(&request))
            }
            _ => Ok(response),
        }
    }

    fn authorized(&self, request: &Request) -> Request {
        let mut request = request.clone();
        let secret = self.authorization.borrow().clone();
        request.headers.extend(secret.map(|secret| ("authorization".into(), secret.0)));
        request
    }

    fn log_in(&self, challenge: &Challenge) -> anyhow::Result<()> {
        self.asked.set(true);
        let authorization = match (challenge, &self.found.login) {
            (Challenge::Basic, Login::Password(user, password)) => Some(basic(user, password)),
            (Challenge::Basic, _) => None,
            (Challenge::Bearer { realm, service }, login) => {
                let scope = format!("repository:{}:{}", self.target.repository, self.access);
                let Some(request) = token_request(login, realm, service, &scope) else {
                    let message = format!(
                        "logging in at {}: it wants the login sent to {realm:?}",
                        self.target.registry
                    );
                    let help = "a login is sent only to https://HOST, or to this machine, by an \
                                address without a user name";
                    return Err(failure_help(Exit::RegistryRefused, message, help));
                };
                let response = self.wire.send(&request)?;
                if response.status != 200 {
                    let (_, server) = origin(realm);
                    return Err(self.refused(&format!("getting a token at {server}"), &response));
                }
                bearer(&response)
            }
        };
        self.authorization.replace(authorization);
        Ok(())
    }

    /// The failure for an answer that says no.
    fn refused(&self, doing: &str, response: &Response) -> anyhow::Error {
        let (engine, registry) = (self.engine, &self.target.registry);
        let again = format!("log in: `{engine} login {registry}`");
        let help = match (response.status, &self.found.login) {
            (403, _) if !self.asked.get() => {
                format!("{registry} refuses without asking who we are: ask its operator")
            }
            (401 | 403, Login::Nobody) => format!("no login for it was found; {again}"),
            (401, _) => format!("the login of {} isn't taken; {again}", self.found.place),
            (403, _) => format!("the login of {} may not do that here", self.found.place),
            (404, _) => format!("make the repository {} there first", self.target.repository),
            _ => "what it says is final: trying again will not help".to_owned(),
        };
        refusal(format!("{doing}: {}", response.reason()), vec![help])
    }

    /// The digest of the manifest that a tag or a digest names; `None` if there is none.
    ///
    /// # Errors
    /// [`Exit::RegistryFailed`] or [`Exit::RegistryRefused`].
    pub fn digest(&self, name: &str) -> anyhow::Result<Option<String>> {
        let request = Request { method: "HEAD".into(), ..self.manifest_request(name) };
        let response = self.ask(request)?;
        match (response.status, response.header("docker-content-digest")) {
            (200, Some(digest)) => Ok(Some(digest.to_owned())),
            (404, _) => Ok(None),
            // So some registries answer for what isn't there yet.
            (403, _) if self.lacks(name) => Ok(None),
            // Some registries answer a HEAD less well, and say more to a GET.
            _ => Ok(self.manifest(name)?.map(|manifest| manifest.digest)),
        }
    }

    /// Whether the repository's list, which can be read, is without this tag.
    fn lacks(&self, tag: &str) -> bool {
        !tag.contains(':') && self.tags().is_ok_and(|tags| tags.iter().all(|known| known != tag))
    }

    fn manifest_request(&self, name: &str) -> Request {
        Request {
            method: "GET".into(),
            url: self.path(&format!("manifests/{name}")),
            headers: vec![("accept".into(), TYPES.join(", "))],
            ..Request::default()
        }
    }

    /// The manifest that a tag or a digest names; `None` if there is none.
    ///
    /// # Errors
    /// [`Exit::Mismatch`] for content that isn't what the registry says it is; those of
    /// [`Client::digest`].
    pub fn manifest(&self, name: &str) -> anyhow::Result<Option<Manifest>> {
        let response = self.ask(self.manifest_request(name))?;
        match response.status {
            200 => {}
            404 => return Ok(None),
            _ => return Err(self.refused(&format!("reading {}", self.named(name)), &response)),
        }
        let said = response.header("docker-content-digest").map(str::to_owned);
        let media_type = response.header("content-type").unwrap_or(TYPES[0]).to_owned();
        let manifest = Manifest::read(&media_type, response.body);
        let wanted = if name.contains(':') { Some(name.to_owned()) } else { said };
        match wanted.filter(|wanted| wanted.starts_with("sha256:") && *wanted != manifest.digest) {
            None => Ok(Some(manifest)),
            Some(wanted) => Err(failure(
                Exit::Mismatch,
                format!(
                    "reading {}: the registry says {wanted}, what it sends is {}",
                    self.named(name),
                    manifest.digest
                ),
            )),
        }
    }

    /// Gives a manifest that is already there the name `tag`, without any layer moving.
    ///
    /// # Errors
    /// [`Exit::Mismatch`] when the registry stored something else; those of [`Client::digest`].
    pub fn point(&self, tag: &str, manifest: &Manifest) -> anyhow::Result<()> {
        self.put(tag, manifest).map(|_| ())
    }

    /// Stores a manifest under a tag or its digest.
    fn put(&self, name: &str, manifest: &Manifest) -> anyhow::Result<Response> {
        let response = self.ask(Request {
            method: "PUT".into(),
            url: self.path(&format!("manifests/{name}")),
            headers: vec![("content-type".into(), manifest.media_type.clone())],
            body: Some(manifest.body.clone()),
            ..Request::default()
        })?;
        let doing = format!("naming {}", self.named(name));
        if !matches!(response.status, 200..=202) {
            return Err(self.refused(&doing, &response));
        }
        match response.header("docker-content-digest") {
            Some(stored) if *stored != manifest.digest => {
                let what = format!("{doing}: sent {}, stored {stored}", manifest.digest);
                Err(failure(Exit::Mismatch, what))
            }
            _ => Ok(response),
        }
    }

    /// All tags of the repository; none if there is no such repository yet.
    pub fn tags(&self) -> anyhow::Result<Vec<String>> {
        let mut tags = Vec::new();
        self.pages("tags/list?n=1000", &mut |page| {
            let found = page["tags"].as_array().into_iter().flatten();
            tags.extend(found.filter_map(|tag| tag.as_str().map(str::to_owned)));
        })?;
        Ok(tags)
    }

    /// Reads every page of a list; whether there is such a list.
    fn pages(&self, list: &str, read: &mut dyn FnMut(&serde_json::Value)) -> anyhow::Result<bool> {
        let mut url = self.path(list);
        for _ in 0..PAGES {
            let request = Request { method: "GET".into(), url: url.clone(), ..Request::default() };
            let response = self.ask(request)?;
            match response.status {
                200 => {}
                404 => return Ok(false),
                _ => return Err(self.refused(&format!("listing {}", self.target), &response)),
            }
            read(&serde_json::from_slice(&response.body).unwrap_or_default());
            let next = response.header("link").and_then(next_page);
            match next.and_then(|next| resolved(&url, &next)) {
                Some(next) if origin(&next) == origin(&url) && next != url => url = next,
                _ => break,
            }
        }
        Ok(true)
    }

    /// The labels in the config of `manifest`; of an index, those of its first image.
    ///
    /// # Errors
    /// [`Exit::Mismatch`] for a config that isn't the one named; those of [`Client::digest`].
    pub fn labels(&self, manifest: &Manifest) -> anyhow::Result<BTreeMap<String, String>> {
        if let Some(first) = &manifest.first {
            let first = self.manifest(first)?.filter(|image| image.first.is_none());
            return first.map_or(Ok(BTreeMap::new()), |image| self.labels(&image));
        }
        let Some(config) = &manifest.config else { return Ok(BTreeMap::new()) };
        let json: serde_json::Value =
            serde_json::from_slice(&self.blob(config)?).unwrap_or_default();
        let labels = json["config"]["Labels"].as_object().into_iter().flatten();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        Ok(labels.map(|(name, value)| (name.clone(), text(value))).collect())
    }

    /// Whether we may push here, asked before any work: an upload is begun and given up.
    ///
    /// # Errors
    /// [`Exit::RegistryRefused`] when not.
    pub fn may_push(&self) -> anyhow::Result<()> {
        let response = self.ask(self.upload())?;
        self.given_up(&response)
    }

    fn upload(&self) -> Request {
        let url = self.path("blobs/uploads/");
        Request { method: "POST".into(), url, body: Some(Vec::new()), ..Request::default() }
    }

    fn given_up(&self, response: &Response) -> anyhow::Result<()> {
        if response.status != 202 {
            return Err(self.refused(&format!("pushing to {}", self.target), response));
        }
        let place = response.header("location").and_then(|place| resolved(&self.base, place));
        if let Some(url) = place.filter(|place| self.is_own(place)) {
            let cancel = Request { method: "DELETE".into(), url, ..Request::default() };
            // One that isn't given up expires; not every registry can do it.
            let _ = self.wire.once(&self.authorized(&cancel))?;
        }
        Ok(())
    }

    /// Whether a URL is this registry's.
    fn is_own(&self, url: &str) -> bool {
        origin(url) == origin(&self.base)
    }

    /// After a push of the engine failed: whether the registry says to wait, and how long.
    ///
    /// # Errors
    /// [`Exit::RegistryRefused`] when it says no.
    pub fn after_failure(&self) -> anyhow::Result<Option<Duration>> {
        let response = match self.wire.once(&self.authorized(&self.upload()))? {
            Ok(response) => response,
            Err(Fault::Passing(_)) => return Ok(None),
            Err(fault) => return Err(refused(&self.wire.name, &fault)),
        };
        if passing(response.status) {
            let wait = response.header("retry-after");
            let wait = wait.and_then(|text| retry_after(text, chrono::Utc::now()));
            return match wait.filter(|wait| *wait > PATIENCE) {
                None => Ok(wait),
                Some(wait) => {
                    let message = format!("pushing to {}: {}", self.target, response.reason());
                    let help = format!("rate limited: retry after {} s", wait.as_secs());
                    Err(failure_help(Exit::RegistryFailed, message, help))
                }
            };
        }
        match response.status {
            // The token has run out meanwhile.
            401 => self.may_push().map(|()| None),
            _ => self.given_up(&response).map(|()| None),
        }
    }
}

/// The URL of `Link: <URL>; rel="next"` (RFC 8288).
fn next_page(header: &str) -> Option<String> {
    header.split(',').find_map(|link| {
        let (url, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
        let next = rest.split(';').any(|part| matches!(part.trim(), "rel=\"next\"" | "rel=next"));
        next.then(|| url.to_owned())
    })
}

#[cfg(test)]
mod tests;
