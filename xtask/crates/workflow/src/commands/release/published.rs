//! A release that every registry already has, built from the same inputs and tested, perhaps on another
//! machine: then only the names that are left are given.

use super::{Releasing, arguments};
use crate::commands::attested;
use engine::Engine;
use image::attest::{Made, PROVENANCE, Statement, TEST_RESULT, Tested};
use image::plan::push::{ImageIdentity, label};
use image::plan::release::{self as planned, ReleaseInputs};
use image::push::LocalImage;
use image::report::release::ReleaseRecord;
use image::tags::Names;
use process::failure::{Exit, describe};
use process::notice::notice;
use registry::Client;
use serde_json::Value;
use std::collections::BTreeMap;

/// The image of this commit, as every registry has it, and what its proof says.
pub(super) struct Published {
    pub image: LocalImage,
    labels: BTreeMap<String, String>,
    made: Made,
    tested: Tested,
    /// As `smoke-test --format json` has them.
    checks: Value,
    signed: bool,
}

impl Published {
    /// Fills in what a release that builds finds out itself.
    pub(super) fn note(&self, record: &mut ReleaseRecord) {
        let Published { image, labels, made, tested, .. } = self;
        record.image_id = image.config_digest.clone().unwrap_or_default();
        record.labels.clone_from(labels);
        (record.base, record.base_digest) = (made.base.clone(), made.base_digest.clone());
        record.lock_sha256.clone_from(&made.lock_sha256);
        record.debian_refresh = made.build_args.get(image::rendering::DEBIAN_REFRESH).cloned();
        record.build_args.clone_from(&made.build_args);
        (record.tested, record.tested_at) = (true, tested.time.clone());
        record.checks = self.checks.clone();
        (record.attested, record.signed) = (true, self.signed);
        if let Some((engine, version)) = tested.engine.split_once(' ') {
            (record.engine, record.engine_version) = (engine.to_owned(), version.to_owned());
        }
    }
}

impl Releasing<'_> {
    /// The image of this commit in the registries, if only names are left to give; `None`: it must be built.
    /// What a registry can't say counts as unknown.
    ///
    /// # Errors
    /// Those of `build`, if the inputs can't be read; [`Exit::RegistryFailed`].
    pub(super) fn published(
        &self,
        clients: &[Client],
        names: &Names,
        engine: (Engine, bool),
    ) -> anyhow::Result<Option<Published>> {
        let found = self.look(clients, names, engine);
        match found.as_ref().map_err(|error| (describe(error).0, error)) {
            Err((Exit::RegistryRefused | Exit::Mismatch, error)) => {
                notice(&format!("looking for this release in the registry: {error:#}"));
                Ok(None)
            }
            _ => found,
        }
    }

    fn look(
        &self,
        clients: &[Client],
        names: &Names,
        engine: (Engine, bool),
    ) -> anyhow::Result<Option<Published>> {
        let Some(tag) = names.tags.iter().find(|tag| tag.name.starts_with("sha-")) else {
            return Ok(None);
        };
        let mut there = Vec::new();
        for client in clients {
            let Some(image) = client.manifest(&tag.name)? else { return Ok(None) };
            there.push((client, image));
        }
        let Some((client, image)) = there.first() else { return Ok(None) };
        let (cosign, labels) = (self.cosign(), client.labels(image)?);
        let made = attested::newest(&cosign, client, image, PROVENANCE)?.as_ref().map(Made::read);
        let tests = attested::statements(&cosign, client, image, TEST_RESULT)?;
        let tested = Tested::newest(&tests);
        let platform = engine.0.platform.clone();
        let plan = self.prepare(engine)?.plan;
        let inputs = ReleaseInputs {
            labels: plan.labels,
            build_args: plan.build_args,
            platform,
            arguments: arguments(self.args),
        };
        let alike = there.iter().all(|(_, other)| other.config == image.config);
        let (made, tested) =
            match planned::differs(&inputs, &labels, made.as_ref(), tested.as_ref(), alike) {
                None => (made.unwrap_or_default(), tested.unwrap_or_default()),
                Some(why) => {
                    let name = format!("{}:{}", client.target, tag.name);
                    notice(&format!("{name} is there, and isn't this release: {why}"));
                    return Ok(None);
                }
            };
        notice(&format!(
            "nothing is built: {}@{} was built from the same inputs, and passed {} checks on {}",
            client.target, image.digest, tested.checks, tested.time
        ));
        let of_time = |one: &&Statement| one.predicate["time"] == tested.time.as_str();
        let checks = tests.iter().find(of_time).map(|one| one.predicate["checks"].clone());
        let identity = ImageIdentity {
            revision: label(&labels, "revision"),
            version: label(&labels, "version"),
        };
        Ok(Some(Published {
            signed: cosign.signed(client, image)?.is_ok(),
            image: LocalImage {
                config_digest: image.config.clone(),
                size_bytes: image.bytes,
                identity,
                ..LocalImage::default()
            },
            checks: checks.unwrap_or_default(),
            labels,
            made,
            tested,
        }))
    }
}
