//! The labels of an image, from the state of the checkout and `docker/image.toml`: pure, so that
//! what `label` prints is what `build` asks for.

use crate::config::Image;
use anyhow::Context as _;
use chrono::{DateTime, SecondsFormat};
use engine::label::OCI;
use engine::label::OURS;
use source::ci::Identity;
use source::git::Checkout;
use std::collections::BTreeMap;

/// The label that holds the commit which the image was made from, where that one only merges the
/// `revision` of a pull request for trying.
pub const MERGE: &str = "dev.senex.xtask.merge";

/// Labels that only git and the build can know: `--label` must not change them.
pub const FROM_GIT: [&str; 5] = ["version", "revision", "created", "base.name", "base.digest"];

/// RFC 3339 in UTC, as the OCI specification wants `created`.
///
/// # Errors
/// When `seconds` since the epoch are beyond what a date can hold.
pub fn rfc3339(seconds: i64) -> anyhow::Result<String> {
    let time = DateTime::from_timestamp(seconds, 0)
        .with_context(|| format!("writing the time {seconds} as a date: it is out of range"))?;
    Ok(time.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// When the image was made, as its label says: `SOURCE_DATE_EPOCH` (seconds) where it is set, else
/// what git and the files tell (requirement C3).
///
/// # Errors
/// When `SOURCE_DATE_EPOCH` is no number of seconds; an empty one counts as not set.
pub fn created(checkout: &Checkout, source_date_epoch: Option<&str>) -> anyhow::Result<i64> {
    match source_date_epoch.map(str::trim).filter(|text| !text.is_empty()) {
        None => Ok(checkout.created),
        Some(text) => text.parse().map_err(|_| {
            process::failure::failure_help(
                process::failure::Exit::Usage,
                format!("reading SOURCE_DATE_EPOCH: `{text}` is no number of seconds"),
                "set it to seconds since 1970, as `git log -1 --format=%ct` prints them, or unset it",
            )
        }),
    }
}

/// The labels that git and CI tell, by their full names.
///
/// # Errors
/// When `created` (seconds) is out of range.
pub fn from_git(
    checkout: &Checkout,
    identity: &Identity,
    created: i64,
) -> anyhow::Result<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    let mut add = |name: &str, value: String| labels.insert(format!("{OCI}{name}"), value);
    add("version", checkout.version.clone());
    add("revision", identity.revision.clone());
    add("created", rfc3339(created)?);
    labels.extend(identity.merge.iter().map(|commit| (MERGE.to_owned(), commit.clone())));
    Ok(labels)
}

/// The labels that `docker/image.toml` tells, by their full names.
pub fn from_config(image: &Image) -> BTreeMap<String, String> {
    let known = [
        ("title", &image.title),
        ("description", &image.description),
        ("authors", &image.authors),
        ("vendor", &image.vendor),
        ("url", &image.url),
        ("source", &image.source),
        ("licenses", &image.licenses),
    ];
    let mut labels: BTreeMap<String, String> =
        known.into_iter().map(|(name, value)| (format!("{OCI}{name}"), value.clone())).collect();
    labels.insert(OURS.to_owned(), "1".to_owned());
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_in_utc() {
        let check = |seconds, expected: &str| assert_eq!(rfc3339(seconds).unwrap(), expected);
        check(0, "1970-01-01T00:00:00Z");
        check(1_700_000_000, "2023-11-14T22:13:20Z");
        check(-1, "1969-12-31T23:59:59Z");
        assert!(rfc3339(i64::MAX).is_err());
    }

    #[test]
    fn source_date_epoch_wins_unless_it_is_empty() {
        let checkout = Checkout { created: 5, ..Checkout::default() };
        let check =
            |epoch, expected: Option<i64>| assert_eq!(created(&checkout, epoch).ok(), expected);
        check(None, Some(5));
        check(Some(""), Some(5));
        check(Some("9"), Some(9));
        check(Some("yesterday"), None);
    }
}
