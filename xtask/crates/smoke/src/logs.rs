//! What the roles write into their logs.

use super::test_bed::TestBed;
use super::verdict::{CheckResult, Verdict};
use serde_json::Value;

/// So many lines are shown of each role.
const SHOWN: usize = 3;
/// What a line must have, as text.
const FIELDS: [&str; 4] = ["time", "level", "logger", "message"];

/// Each line of each role is an object, if the image says that its log is JSON.
pub(super) fn logs(bed: &TestBed<'_>) -> CheckResult {
    if bed.subject.variable("LOG_FORMAT").as_deref() != Some("json") {
        return Ok(Verdict::NotAsked("LOG_FORMAT isn't json in the image".into()));
    }
    let mut logs = Vec::new();
    for role in &bed.subject.smoke.roles {
        logs.push((role.word(), bed.logs(&bed.role(*role)?)?));
    }
    bed.services()?;
    // Its log, and not what `run` prints: the engine itself also writes there.
    let migrate = bed.container("migrate", &["migrate"]);
    bed.start(&migrate)?;
    logs.push(("migrate", bed.wait_end(&migrate.name)?));
    bed.remove(&migrate.name)?;
    let (mut evidence, mut lines, mut own) = (Vec::new(), 0, 0);
    for (role, log) in &logs {
        let (others, objects): (Vec<_>, Vec<_>) =
            log.lines().map(|line| logger(line).ok_or(line)).partition(Result::is_err);
        lines += objects.len();
        own += objects.iter().flatten().filter(|logger| *logger != "entrypoint").count();
        let others = others.iter().filter_map(|line| line.as_ref().err()).take(SHOWN);
        evidence.extend(others.map(|line| format!("{role}: {line}")));
    }
    if own == 0 {
        return Ok(Verdict::NotAsked("the project's LOGGING writes no JSON".into()));
    }
    Ok(Verdict::from_evidence(evidence, format!("{lines} lines of {} roles", logs.len())))
}

/// The logger of a line that is an object with [`FIELDS`].
fn logger(line: &str) -> Option<String> {
    let object: Value = serde_json::from_str(line).ok()?;
    let whole = FIELDS.iter().all(|field| object[field].is_string());
    object["logger"].as_str().filter(|_| whole).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_object_with_its_fields() {
        let good = r#"{"time": "t", "level": "INFO", "logger": "x", "message": "m", "more": 1}"#;
        assert_eq!(logger(good).as_deref(), Some("x"));
        for bad in ["", "text", "[]", "1", "{}", &good.replace("\"t\"", "1"), &good[1..]] {
            assert_eq!(logger(bad), None, "{bad}");
        }
    }
}
