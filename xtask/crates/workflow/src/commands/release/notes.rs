//! `release --notes`: what is another than in the release before.

use super::Releasing;
use crate::commands::{attested, promote};
use image::attest::SPDX;
use image::notes::{Side, notes};
use image::plan::push::{ImageIdentity, kind_of, label};
use image::report::release::ReleaseRecord;
use image::tags::TagKind;
use registry::Client;

impl Releasing<'_> {
    /// The notes of the release that `client` has now.
    ///
    /// # Errors
    /// Those of [`Client::manifest`] and [`Client::tags`].
    pub(super) fn notes(
        &self,
        record: &ReleaseRecord,
        client: &Client,
        identity: &ImageIdentity,
    ) -> anyhow::Result<String> {
        let rules = &self.workflow.config.tags;
        let version = |tag: &str| rules.versions.version(tag);
        let own = version(&record.version);
        let tags = client.tags()?;
        let releases =
            tags.iter().filter(|tag| kind_of(tag, identity, rules) == TagKind::Immutable);
        let earlier = releases.filter_map(|tag| Some((version(tag)?, tag)));
        let last = earlier
            .filter(|(version, _)| Some(version) < own.as_ref())
            .max_by(|a, b| a.0.cmp(&b.0));
        let now = self.side(client, &record.version)?.unwrap_or_default();
        let before = match last {
            Some((_, tag)) => self.side(client, tag)?,
            None => None,
        };
        let migrations = before.as_ref().and_then(|before| {
            promote::migrations_between(self.workflow, &before.revision, &now.revision)
        });
        Ok(notes(record, &now, before.as_ref(), migrations.as_deref()))
    }

    fn side(&self, client: &Client, tag: &str) -> anyhow::Result<Option<Side>> {
        let Some(image) = client.manifest(tag)? else { return Ok(None) };
        let labels = client.labels(&image)?;
        let packages = attested::newest(&self.cosign(), client, &image, SPDX)?;
        Ok(Some(Side {
            version: tag.to_owned(),
            revision: label(&labels, "revision"),
            name: format!("{}@{}", client.target, image.digest),
            packages: packages.map(|statement| statement.predicate),
            layers: image.layers,
        }))
    }
}
