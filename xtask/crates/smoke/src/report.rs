//! What the checks found, for people (a line each), for CI (JUnit XML) and for programs (JSON).

use crate::checks::{Check, SKIPPED};
use crate::verdict::{CheckResult, Verdict};
use process::run::shortened;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// What one check gave.
#[derive(Debug)]
pub struct Outcome {
    pub check: &'static Check,
    /// What it found; an error is a failure of the test, not of the image.
    pub found: CheckResult,
    pub time: Duration,
}

/// How many lines of evidence are shown of one check; the JSON has all of them.
const SHOWN: usize = 12;

/// What an outcome is called.
fn word(outcome: &Outcome) -> &'static str {
    match &outcome.found {
        Ok(Verdict::Passed(_)) => "ok",
        Ok(Verdict::Failed(_)) => "FAILED",
        Ok(Verdict::NotAsked(_)) => "skipped",
        Err(_) => "ERROR",
    }
}

/// One line while the checks run: how far they are.
pub fn progress(outcome: &Outcome, number: usize, all: usize) -> String {
    format!("{number:>3} of {all}  {:<10}{}", word(outcome), outcome.check.name)
}

/// The lines of one check.
fn line(outcome: &Outcome) -> String {
    let (check, seconds) = (outcome.check, outcome.time.as_secs_f64());
    let mut text = format!("{:<10}{:<22}{seconds:>6.1} s  ", word(outcome), check.name);
    match &outcome.found {
        Ok(Verdict::Passed(fact) | Verdict::NotAsked(fact)) => {
            let _ = writeln!(text, "{fact}");
        }
        Ok(Verdict::Failed(evidence)) => {
            let _ = writeln!(text, "{}", check.reason);
            for line in evidence.iter().take(SHOWN) {
                let _ = writeln!(text, "            {}", shortened(line, 200));
            }
            if evidence.len() > SHOWN {
                let more = evidence.len() - SHOWN;
                let _ = writeln!(text, "            and {more} more lines: --format json");
            }
        }
        Err(error) => {
            let _ = writeln!(text, "the test itself failed: {error:#}");
        }
    }
    text
}

/// How many passed, failed, weren't asked for, and couldn't be looked at.
pub fn counts(outcomes: &[Outcome]) -> [usize; 4] {
    ["ok", "FAILED", "skipped", "ERROR"]
        .map(|wanted| outcomes.iter().filter(|outcome| word(outcome) == wanted).count())
}

/// The checks that `docker/image.toml` skips, with its reasons.
pub fn skipped(outcomes: &[Outcome]) -> BTreeMap<String, String> {
    let skipped = outcomes.iter().filter_map(|outcome| {
        let Ok(Verdict::NotAsked(why)) = &outcome.found else { return None };
        Some((outcome.check.name.to_owned(), why.strip_prefix(SKIPPED)?.to_owned()))
    });
    skipped.collect()
}

/// The whole report: a line a check and a summary.
pub fn text(image: &str, outcomes: &[Outcome]) -> String {
    let [passed, failed, not_asked, errors] = counts(outcomes);
    let mut text = format!("{image}\n");
    text.extend(outcomes.iter().map(line));
    let _ = write!(text, "{passed} passed, {failed} failed");
    if not_asked > 0 {
        let _ = write!(text, ", {not_asked} skipped");
    }
    if errors > 0 {
        let _ = write!(text, ", {errors} could not be run");
    }
    text + "\n"
}

pub fn json(image: &str, outcomes: &[Outcome]) -> serde_json::Value {
    let checks: Vec<serde_json::Value> = outcomes
        .iter()
        .map(|outcome| {
            let (fact, evidence) = match &outcome.found {
                Ok(Verdict::Passed(fact) | Verdict::NotAsked(fact)) => (fact.clone(), Vec::new()),
                Ok(Verdict::Failed(evidence)) => (String::new(), evidence.clone()),
                Err(error) => (String::new(), vec![format!("{error:#}")]),
            };
            serde_json::json!({
                "name": outcome.check.name,
                "reason": outcome.check.reason,
                "outcome": word(outcome).to_lowercase(),
                "fact": fact,
                "evidence": evidence,
                "seconds": outcome.time.as_secs_f64(),
            })
        })
        .collect();
    let [passed, failed, not_asked, errors] = counts(outcomes);
    serde_json::json!({
        "image": image, "passed": passed, "failed": failed, "not_asked": not_asked,
        "skipped": skipped(outcomes), "errors": errors, "checks": checks,
    })
}

/// As JUnit XML, in the form that CI systems read (testsuite, testcase, failure, error, skipped).
pub fn junit(image: &str, outcomes: &[Outcome]) -> String {
    let [_, failed, not_asked, errors] = counts(outcomes);
    let seconds: f64 = outcomes.iter().map(|outcome| outcome.time.as_secs_f64()).sum();
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"{}\" tests=\"{}\" \
         failures=\"{failed}\" errors=\"{errors}\" skipped=\"{not_asked}\" time=\"{seconds:.3}\">\n",
        escaped(image),
        outcomes.len()
    );
    for outcome in outcomes {
        let check = outcome.check;
        let _ = write!(
            text,
            "  <testcase classname=\"smoke-test\" name=\"{}\" time=\"{:.3}\">",
            check.name,
            outcome.time.as_secs_f64()
        );
        let reason = escaped(check.reason);
        let _ = match &outcome.found {
            Ok(Verdict::Passed(fact)) => write!(text, "<system-out>{}</system-out>", escaped(fact)),
            Ok(Verdict::NotAsked(why)) => write!(text, "<skipped message=\"{}\"/>", escaped(why)),
            Ok(Verdict::Failed(evidence)) => {
                let evidence = escaped(&evidence.join("\n"));
                write!(text, "<failure message=\"{reason}\">{evidence}</failure>")
            }
            Err(error) => write!(text, "<error message=\"{}\"/>", escaped(&format!("{error:#}"))),
        };
        text += "</testcase>\n";
    }
    text + "</testsuite>\n"
}

/// Text in XML 1.0: escaped, and without the characters that it can't hold at all.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks;
    use expect_test::expect;
    use std::time::Duration;

    fn outcomes() -> Vec<Outcome> {
        let found = [
            Ok(Verdict::Passed("in 1 s".into())),
            Ok(Verdict::Failed(vec!["a <b> & \"c\" \u{1b}[0m".into(); 14])),
            Ok(Verdict::NotAsked("nothing is configured".into())),
            Err(anyhow::anyhow!("the engine is gone")),
            Ok(Verdict::NotAsked("[smoke.skip]: no such role".into())),
        ];
        let time = Duration::from_millis(1500);
        checks::all()
            .iter()
            .skip_while(|c| c.name != "run-test")
            .zip(found)
            .map(|(check, found)| Outcome { check, found, time })
            .collect()
    }

    #[test]
    fn people_see_a_line_a_check_with_evidence() {
        let text = text("image", &outcomes());
        assert_eq!(text.lines().count(), 1 + 1 + (1 + SHOWN + 1) + 1 + 1 + 1 + 1);
        assert!(text.contains("and 2 more lines"), "{text}");
        let end = "1 passed, 1 failed, 2 skipped, 1 could not be run\n";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn junit_is_xml() {
        let text = junit("a&b", &outcomes());
        let short: String = text.lines().take(3).map(|line| format!("{line}\n")).collect();
        expect![[r#"
            <?xml version="1.0" encoding="UTF-8"?>
            <testsuite name="a&amp;b" tests="5" failures="1" errors="1" skipped="2" time="7.500">
              <testcase classname="smoke-test" name="run-test" time="1.500"><system-out>in 1 s</system-out></testcase>
        "#]]
        .assert_eq(&short);
        assert!(text.contains("a &lt;b&gt; &amp; &quot;c&quot; \u{fffd}[0m"), "{text}");
        assert!(text.contains("<error message=\"the engine is gone\"/>"), "{text}");
    }

    #[test]
    fn json_has_all_of_it() {
        let json = json("image", &outcomes());
        assert_eq!(json["checks"][1]["evidence"].as_array().unwrap().len(), 14);
        // A check with nothing to look at isn't among those that the configuration skips.
        assert_eq!(json["skipped"], serde_json::json!({"environment": "no such role"}));
        assert_eq!((json["passed"].as_u64(), json["errors"].as_u64()), (Some(1), Some(1)));
    }
}
