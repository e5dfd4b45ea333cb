//! `docker/base.lock`: the digests of the images that builds start from, so that the same commit
//! has the same base tomorrow. `build --update-base` writes it.

use crate::toml_error::plainly;
use chrono::NaiveDate;

use process::failure::{Exit, failure_help};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The file, below the top folder of the workflow.
pub const PATH: &str = "docker/base.lock";

/// What each reference was when it was last looked up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BaseLock(BTreeMap<String, Locked>);

/// One image.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with digest and date")]
pub struct Locked {
    /// The digest that its registry had under the reference.
    pub digest: String,
    /// The day when that was so: `2026-11-30`, UTC.
    pub date: String,
}

impl Locked {
    /// What `digest` is today.
    pub fn today(digest: String) -> Locked {
        Locked { digest, date: chrono::Utc::now().date_naive().to_string() }
    }

    fn day(&self) -> Result<NaiveDate, chrono::ParseError> {
        self.date.parse()
    }

    /// Why a release doesn't start from it: it was looked up more than `days` before `today`.
    pub fn too_old(&self, days: u16, today: NaiveDate) -> Option<String> {
        let age = today.signed_duration_since(self.day().ok()?).num_days();
        (age > i64::from(days)).then(|| {
            format!(
                "the base was last looked up {age} days ago, on {}, and [variant.prod] base_max_age_days is \
                 {days}: cargo xtask build --update-base, and commit {PATH}",
                self.date
            )
        })
    }
}

impl BaseLock {
    /// What the text of the file says.
    ///
    /// # Errors
    /// [`Exit::Usage`] if it isn't what [`BaseLock`] writes.
    pub fn parse(text: &str) -> anyhow::Result<BaseLock> {
        let wrong = |what: &str| {
            let message = format!("reading {PATH}: {}", what.trim_end().replace('\n', " "));
            let help =
                format!("remove {PATH}, then `cargo xtask build --update-base` writes it anew");
            failure_help(Exit::Usage, message, help)
        };
        let all: BTreeMap<String, Locked> =
            toml::from_str(text).map_err(|error: toml::de::Error| {
                let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
                let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
                wrong(&format!("{line}{}", plainly(error.message())))
            })?;
        for (name, locked) in &all {
            engine::reference::parse(&format!("{name}@{}", locked.digest))
                .map_err(|error| wrong(&error.to_string()))?;
            let date = &locked.date;
            let day = locked.day();
            let day = day.map_err(|error| wrong(&format!("the date {date} of {name}: {error}")))?;
            // Another clock may be a day ahead.
            if day > chrono::Utc::now().date_naive() + chrono::Days::new(1) {
                return Err(wrong(&format!("the date {date} of {name} is in the future")));
            }
        }
        Ok(BaseLock(all))
    }

    /// What is known of `reference`.
    pub fn of(&self, reference: &str) -> Option<&Locked> {
        self.0.get(reference)
    }

    /// `reference` with its digest, if it is locked.
    pub fn applied(&self, reference: &str) -> String {
        match self.of(reference) {
            Some(Locked { digest, .. }) => format!("{reference}@{digest}"),
            None => reference.to_owned(),
        }
    }

    /// What [`BaseLock::applied`] made `base` of; `None` for one that names its digest itself.
    pub fn name_of<'b>(&self, base: &'b str) -> Option<&'b str> {
        let Some((name, _)) = base.split_once('@') else { return Some(base) };
        (self.applied(name) == base).then_some(name)
    }

    /// Without what nothing starts from any more.
    pub fn keep(&mut self, names: &BTreeSet<String>) {
        self.0.retain(|reference, _| names.contains(reference));
    }

    /// With what `reference` is today; and what that changes, in a line.
    pub fn update(&mut self, reference: &str, now: Locked) -> String {
        let Locked { digest, date } = &now;
        let line = match self.of(reference) {
            None => format!("{reference}: {digest}"),
            Some(before) if before.digest == *digest => {
                format!("{reference}: still {digest}, as on {}", before.date)
            }
            Some(before) => {
                format!("{reference}: {} of {} → {digest} of {date}", before.digest, before.date)
            }
        };
        self.0.insert(reference.to_owned(), now);
        line
    }
}

/// The text of the file.
impl std::fmt::Display for BaseLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "# Builds start from these images, whatever their tags name by now. Commit this file;\n\
             # `cargo xtask build --update-base` looks them up again.\n",
        )?;
        for (reference, Locked { digest, date }) in &self.0 {
            write!(f, "\n[\"{reference}\"]\ndigest = \"{digest}\"\ndate = \"{date}\"\n")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    const PYTHON: &str = "docker.io/library/python:3.12";

    fn locked(digit: &str, date: &str) -> Locked {
        Locked { digest: format!("sha256:{}", digit.repeat(64)), date: date.to_owned() }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut lock = BaseLock::default();
        assert_eq!(lock.applied(PYTHON), PYTHON);
        let line = lock.update(PYTHON, locked("1", "2026-10-02"));
        assert_eq!(line, format!("{PYTHON}: sha256:{}", "1".repeat(64)));
        lock.update("docker.io/library/node:22", locked("3", "2026-10-02"));
        assert_eq!(BaseLock::parse(&lock.to_string()).unwrap(), lock);
        assert_eq!(lock.applied(PYTHON), format!("{PYTHON}@sha256:{}", "1".repeat(64)));
        assert_eq!(lock.name_of(&lock.applied(PYTHON)), Some(PYTHON));
        assert_eq!(lock.name_of("a/b:c"), Some("a/b:c"));
        assert_eq!(lock.name_of(&format!("{PYTHON}@{}", locked("2", "").digest)), None);
        let line = lock.update(PYTHON, locked("1", "2026-11-30"));
        assert!(
            line.contains(": still sha256:1") && line.ends_with(", as on 2026-10-02"),
            "{line}"
        );
        let line = lock.update(PYTHON, locked("2", "2026-11-30"));
        assert!(line.contains(" of 2026-11-30 → sha256:2"), "{line}");
        lock.keep(&BTreeSet::from([PYTHON.to_owned()]));
        assert!(!lock.to_string().contains("node") && lock.of(PYTHON).is_some());
    }

    #[test]
    fn a_base_is_too_old_the_day_after_the_last() {
        let (base, day) = (locked("1", "2026-10-01"), |text: &str| text.parse().unwrap());
        assert_eq!(base.too_old(30, day("2026-10-31")), None);
        let why = base.too_old(30, day("2026-11-01")).unwrap();
        assert!(why.starts_with("the base was last looked up 31 days ago, on 2026-10-01"), "{why}");
    }

    #[test]
    fn anything_else_is_refused() {
        let check = |text: &str, expected: expect_test::Expect| {
            expected.assert_eq(&BaseLock::parse(text).unwrap_err().to_string());
        };
        let digest = format!("digest = \"sha256:{}\"", "1".repeat(64));
        check(
            "<<<<<<< HEAD\n",
            expect!["reading docker/base.lock: line 1: key with no value, expected `=`"],
        );
        check(
            &format!("[\"a/b:c\"]\n{digest}\n"),
            expect!["reading docker/base.lock: line 1: missing key `date`"],
        );
        check(
            &format!("[\"a/b:c\"]\n{digest}\ndate = \"yesterday\"\n"),
            expect![
                "reading docker/base.lock: the date yesterday of a/b:c: input contains invalid characters"
            ],
        );
        check(
            &format!("[\"a/b:c\"]\n{digest}\ndate = \"2026-10-02\"\nby = \"me\"\n"),
            expect![
                "reading docker/base.lock: line 4: unknown key `by`, expected `digest` or `date`"
            ],
        );
        check(
            "[\"a/b:c\"]\ndigest = \"sha256:1\"\ndate = \"2026-10-02\"\n",
            expect![[
                r#"reading docker/base.lock: reading the reference "a/b:c@sha256:1": 1 digits instead of 64 of the digest at character 14"#
            ]],
        );
        check(
            &format!("[\"a b\"]\n{digest}\ndate = \"2026-10-02\"\n"),
            expect![[
                r#"reading docker/base.lock: reading the reference "a b@sha256:1111111111111111111111111111111111111111111111111111111111111111": ` ` in the repository at character 2"#
            ]],
        );
    }
}
