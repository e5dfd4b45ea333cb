//! Signatures: cosign signs what a release pushes, and says whether an image is signed.

use anyhow::Context as _;
use image::attest::Statement;
use image::config::Workflow;
use image::config::verify::{Signer, Signing};
use image::cosign::{self, RemoteImage};
use process::failure::{Exit, failure_help};
use process::invocation::Invocation;
use process::run::{Answer, Runner};
use process::state::{make_folder, write_whole};
use registry::{Client, Manifest, Way};
use std::path::PathBuf;
use std::time::Duration;

/// The longest that cosign may take: it asks a registry, and perhaps a key service.
const LIMIT: Duration = Duration::from_secs(120);
/// Its files, in the state folder.
const FOLDER: &str = "cosign";

/// cosign, for one checkout.
pub struct Cosign<'a> {
    pub workflow: &'a Workflow,
    pub runner: &'a Runner,
}

/// An image that cosign is told of.
struct Told<'a> {
    name: String,
    way: Way,
    roots: Option<PathBuf>,
    login: Option<PathBuf>,
    cosign: &'a Cosign<'a>,
}

impl Cosign<'_> {
    /// Whether one of the signers signed the image: which, or why none did.
    ///
    /// # Errors
    /// 130 or 143 after a signal.
    pub fn signed(
        &self,
        client: &Client,
        image: &Manifest,
    ) -> anyhow::Result<Result<String, String>> {
        let signers = &self.workflow.config.verify.signers;
        if signers.is_empty() {
            let none = "no key is named: [verify] keys in docker/image.toml";
            return Ok(Err(none.to_owned()));
        }
        let told = self.told(client, image)?;
        let mut why = String::new();
        for signer in signers {
            for bundle in [false, true] {
                match told.answer(|image| cosign::verify(signer, bundle, image))? {
                    Ok(_) => return Ok(Ok(format!("by {}", signer.shown()))),
                    Err(reason) => why = reason,
                }
            }
        }
        let all: Vec<&str> = signers.iter().map(Signer::shown).collect();
        Ok(Err(format!("not by {}: {why}", all.join(", "))))
    }

    /// The statements of this type that a signer signed.
    ///
    /// # Errors
    /// 130 or 143 after a signal.
    pub fn statements(
        &self,
        client: &Client,
        image: &Manifest,
        predicate_type: &str,
    ) -> anyhow::Result<Vec<Statement>> {
        let told = self.told(client, image)?;
        let mut found = Vec::new();
        for signer in &self.workflow.config.verify.signers {
            for bundle in [false, true] {
                let line = |image: RemoteImage<'_>| {
                    cosign::verify_attestation(signer, bundle, predicate_type, image)
                };
                let Ok(answer) = told.answer(line)? else { continue };
                let signed = answer.stdout.lines();
                found.extend(signed.filter_map(|line| {
                    Statement::of_envelope(line, predicate_type, &image.digest)
                }));
            }
        }
        Ok(found)
    }

    /// Whether a signer signed the image and a statement of each of these types: a release makes one.
    ///
    /// # Errors
    /// 130 or 143 after a signal.
    pub fn complete(
        &self,
        client: &Client,
        image: &Manifest,
        statements: &[Statement],
    ) -> anyhow::Result<bool> {
        let mut complete = self.signed(client, image)?.is_ok();
        for statement in statements {
            let predicate_type = statement.predicate_type();
            complete = complete && !self.statements(client, image, predicate_type)?.is_empty();
        }
        Ok(complete)
    }

    /// Before a release: the key can be used, and `verify` would take it.
    ///
    /// # Errors
    /// [`Exit::Usage`] if cosign isn't there, or the key can't be used; [`Exit::Git`] if [verify] doesn't
    /// know it.
    pub fn ready(&self) -> anyhow::Result<()> {
        let config = &self.workflow.config;
        let Some(signing) = &config.sign else { return Ok(()) };
        let help = self.runner.ask(&cosign::help(), LIMIT);
        if !help.is_ok_and(|answer| answer.good()) {
            let message = "signing: cosign is not on PATH";
            return Err(failure_help(Exit::Usage, message, "install it, or leave out [sign]"));
        }
        let Signing::Key(key) = signing else { return Ok(()) };
        let answer = self.runner.ask(&cosign::public_key(key), LIMIT)?;
        if !answer.good() {
            let message = format!("signing with {key}: {}", answer.last_line());
            let help = "its password is COSIGN_PASSWORD, and set even if it is empty";
            return Err(failure_help(Exit::Usage, message, help));
        }
        // A key service's address can't be compared here.
        let known = |signer: &Signer| match signer {
            Signer::Key(path) if !path.contains("://") => {
                let file = process::regular::read_text(self.workflow.root.join(path));
                file.is_ok_and(|text| text.trim() == answer.stdout.trim())
            }
            _ => true,
        };
        let signers = &config.verify.signers;
        if signers.is_empty() || signers.iter().any(known) {
            return Ok(());
        }
        Err(failure_help(
            Exit::Git,
            format!("signing with {key}: no file of [verify] keys is its public key"),
            format!("cosign public-key --key {key} > docker/cosign.pub, and commit it"),
        ))
    }

    /// Signs the image, and each statement of it.
    ///
    /// # Errors
    /// [`Exit::RegistryFailed`] with what cosign says; a rerun signs again.
    pub fn sign(
        &self,
        signing: &Signing,
        client: &Client,
        image: &Manifest,
        statements: &[Statement],
    ) -> anyhow::Result<()> {
        let told = self.told(client, image)?;
        let new = self.runner.ask(&cosign::help(), LIMIT)?.stdout.contains("--signing-config");
        let folder = self.folder()?;
        let (no_log, predicate) = (folder.join("no-log.json"), folder.join("predicate.json"));
        write_whole(&no_log, cosign::NO_LOG)?;
        let no_log = new.then_some(no_log.as_path());
        let must = |answer: Result<Answer, String>| {
            answer.map(drop).map_err(|why| {
                failure_help(
                    Exit::RegistryFailed,
                    format!("signing {}: {why}", told.name),
                    "the image is pushed: run the same again to sign it",
                )
            })
        };
        must(told.answer(|image| cosign::sign(signing, no_log, image))?)?;
        for statement in statements {
            write_whole(&predicate, &statement.predicate.to_string())?;
            let what = (statement.predicate_type(), predicate.as_path());
            must(told.answer(|image| cosign::attest(signing, no_log, what, image))?)?;
        }
        Ok(())
    }

    fn folder(&self) -> anyhow::Result<PathBuf> {
        let folder = self.workflow.state.folder.join(FOLDER);
        make_folder(&folder)?;
        Ok(folder)
    }

    fn told(&self, client: &Client, image: &Manifest) -> anyhow::Result<Told<'_>> {
        let name = format!("{}@{}", client.target, image.digest);
        let (folder, way) = (self.folder()?, client.way());
        let roots = folder.join("roots.pem");
        write_whole(&roots, &way.roots)?;
        let roots = (!way.roots.is_empty()).then_some(roots);
        // cosign looks for logins in fewer places than the engines: it is shown where ours is.
        let file = PathBuf::from(client.login_place());
        let login = file.is_file().then(|| folder.clone());
        let link = folder.join("config.json");
        let linked = std::fs::read_link(&link).is_ok_and(|target| target == file);
        if login.is_some() && !linked {
            let _ = std::fs::remove_file(&link);
            std::os::unix::fs::symlink(&file, &link)
                .with_context(|| format!("linking {}", link.display()))?;
        }
        Ok(Told { name, way, roots, login, cosign: self })
    }
}

impl Told<'_> {
    /// What cosign answers, or why it can't.
    fn answer(
        &self,
        line: impl FnOnce(RemoteImage<'_>) -> Invocation,
    ) -> anyhow::Result<Result<Answer, String>> {
        let Told { name, way, roots, login, cosign } = self;
        let (roots, login) = (roots.as_deref(), login.as_deref());
        let image = RemoteImage { name, way, roots, login };
        let answer = cosign.runner.ask(&line(image), LIMIT);
        cosign.runner.check_signal()?;
        Ok(match answer {
            Ok(answer) if answer.good() => Ok(answer),
            Ok(answer) => Err(answer.last_line().to_owned()),
            Err(error) => Err(format!("{error:#}")),
        })
    }
}
