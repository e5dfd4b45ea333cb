//! The labels of an image, from the state of the checkout and `docker/image.toml`: pure, so that
//! what `label` prints is what `build` asks for.

use crate::config::ImageConfig;
use chrono::{DateTime, SecondsFormat};
use engine::label::OCI;
use engine::label::OURS;
use process::failure::{Exit, failure_help};
use source::ci::Identity;
use source::git::Checkout;
use std::collections::BTreeMap;

/// The label with the commit that the image was made from, if that commit is only a trial merge of
/// the `revision` of a pull request.
pub const MERGE: &str = "dev.senex.xtask.merge";

/// Labels that only git and the build can know: `--label` must not change them.
pub const FROM_GIT: [&str; 5] = ["version", "revision", "created", "base.name", "base.digest"];

/// Seconds from 1970, when time begins for archives and engines, to the end of 9999, the last year of
/// RFC 3339.
const DATES: std::ops::RangeInclusive<i64> = 0..=253_402_300_799;

/// RFC 3339 in UTC, as the OCI specification wants `created`.
///
/// # Errors
/// [`Exit::Usage`] for `seconds` before 1970 or after 9999.
pub fn rfc3339(seconds: i64) -> anyhow::Result<String> {
    let time = DateTime::from_timestamp(seconds, 0).filter(|_| DATES.contains(&seconds));
    let time = time.ok_or_else(|| {
        failure_help(
            Exit::Usage,
            format!("dating the image: the time {seconds} is before 1970 or after 9999"),
            "set SOURCE_DATE_EPOCH, or mend the date: `git commit --amend --no-edit` that of the \
             commit, `touch FILE` that of a changed file",
        )
    })?;
    Ok(time.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// The creation time in the image's label: `SOURCE_DATE_EPOCH` (seconds) if it is set, else what
/// git and the files tell.
///
/// # Errors
/// [`Exit::Usage`] for a time before 1970 or after 9999, and for a `SOURCE_DATE_EPOCH` that is no
/// number of seconds; an empty one counts as not set.
pub fn created(checkout: &Checkout, source_date_epoch: Option<&str>) -> anyhow::Result<i64> {
    match source_date_epoch.map(str::trim).filter(|text| !text.is_empty()) {
        None => rfc3339(checkout.created).map(|_| checkout.created),
        Some(text) => text.parse().ok().filter(|time| DATES.contains(time)).ok_or_else(|| {
            failure_help(
                Exit::Usage,
                format!("reading SOURCE_DATE_EPOCH: `{text}` is no number of seconds from 1970 to 9999"),
                "set it to seconds since 1970, as `git log -1 --format=%ct` prints them, or unset it",
            )
        }),
    }
}

/// The labels that git and CI tell, by their full names.
///
/// # Errors
/// [`Exit::Usage`] when `created` (seconds) is before 1970 or after 9999.
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
pub fn from_config(image: &ImageConfig) -> BTreeMap<String, String> {
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
    labels.insert(OURS.to_owned(), env!("CARGO_PKG_VERSION").to_owned());
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
        check(253_402_300_799, "9999-12-31T23:59:59Z");
        for absurd in [-1, i64::MIN, 253_402_300_800, i64::MAX] {
            let error = rfc3339(absurd).unwrap_err();
            assert_eq!(process::failure::describe(&error).0, Exit::Usage, "{absurd}");
            let checkout = Checkout { created: absurd, ..Checkout::default() };
            assert!(created(&checkout, None).is_err(), "{absurd}");
            assert_eq!(created(&checkout, Some("9")).unwrap(), 9, "{absurd}");
        }
    }

    #[test]
    fn source_date_epoch_wins_unless_it_is_empty() {
        let checkout = Checkout { created: 5, ..Checkout::default() };
        let check =
            |epoch, expected: Option<i64>| assert_eq!(created(&checkout, epoch).ok(), expected);
        check(None, Some(5));
        check(Some(""), Some(5));
        check(Some("9"), Some(9));
        for wrong in ["yesterday", "-1", "1.5", "253402300800", "99999999999999999999"] {
            check(Some(wrong), None);
        }
    }
}
