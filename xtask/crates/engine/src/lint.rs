//! What an engine would drop, refuse or do differently in the project's own Dockerfiles. Pure:
//! the text of a Dockerfile in, findings out; which engine lacks what stands in
//! [`crate::capability`].

use crate::capability::{self, Capability};
use crate::{dockerfile, here_documents};
use serde::Serialize;

mod rules;
mod step;

/// One place that not every engine builds alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its line, from 1.
    pub line: usize,
    /// The rule, by the name that `# lint: allow` takes.
    pub rule: &'static str,
    /// The engines that differ, with versions.
    pub engines: String,
    /// What happens there.
    pub why: &'static str,
    /// What to write instead.
    pub instead: &'static str,
    /// What an engine must be able to do for the line to be right.
    #[serde(skip)]
    pub needs: Option<Capability>,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Finding { line, rule, engines, why, instead, .. } = self;
        write!(f, "line {line}: {rule}: on {engines}: {why}; instead: {instead}")
    }
}

/// What begins a comment that lets the next line through.
const ALLOW: &str = "lint: allow";

/// Looks at the text of a Dockerfile; the findings come in the order of its lines.
///
/// A comment `# lint: allow RULE reason` right above an instruction, or above the line of a long
/// one, lets that rule through there; without a known rule and a reason it is itself a finding.
pub fn lint(text: &str) -> Vec<Finding> {
    let lines: Vec<&str> = text.lines().collect();
    let (text, here_documents) = here_documents::blanked(&lines);
    let mut found: Vec<Finding> = Vec::new();
    if let Some(line) = dockerfile::syntax_line(&lines) {
        found.push(finding(line, &rules::SYNTAX));
    }
    for line in here_documents {
        found.push(finding(line, &rules::HERE_DOCUMENT));
    }
    let instructions = dockerfile::instructions(&text);
    for step in step::steps(&instructions) {
        for rule in &rules::RULES {
            let Some(word) = (rule.trips)(&step) else { continue };
            let end = instructions.iter().map(|next| next.line).find(|next| *next > step.line);
            let end = end.map_or(lines.len(), |next| next - 1);
            let place = (step.line..=end).find(|line| {
                let line = lines[line - 1];
                !line.trim_start().starts_with('#') && line.contains(word.as_str())
            });
            let place = place.unwrap_or(step.line);
            if !allowed(&lines, place, rule.name) && !allowed(&lines, step.line, rule.name) {
                found.push(finding(place, rule));
            }
        }
    }
    found.retain(|found| !allowed(&lines, found.line, found.rule));
    found.extend(bad_allowances(&lines));
    found.sort_by_key(|finding| finding.line);
    found
}

fn finding(line: usize, rule: &rules::LintRule) -> Finding {
    let (engines, why, instead) = capability::lacking(rule.needs);
    Finding { line, rule: rule.name, engines, why, instead, needs: Some(rule.needs) }
}

/// The text of a comment line.
fn comment(line: &str) -> Option<&str> {
    Some(line.trim().strip_prefix('#')?.trim())
}

/// The rule and the reason of a comment that allows something.
fn allowance(line: &str) -> Option<(&str, &str)> {
    let rest = comment(line)?.strip_prefix(ALLOW)?.trim();
    let (rule, reason) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    Some((rule, reason.trim()))
}

/// Whether a comment right above `line` (from 1) lets `rule` through.
fn allowed(lines: &[&str], line: usize, rule: &str) -> bool {
    let above = lines[..line - 1].iter().rev().take_while(|line| comment(line).is_some());
    let mut all = above.filter_map(|line| allowance(line));
    all.any(|(name, reason)| name == rule && !reason.is_empty())
}

/// Comments that would allow something but name no rule or no reason.
fn bad_allowances(lines: &[&str]) -> Vec<Finding> {
    let known = |name: &str| rules::names().any(|rule| rule == name);
    let numbered = lines.iter().enumerate();
    let bad = numbered.filter_map(|(index, line)| {
        let (rule, reason) = allowance(line)?;
        (!known(rule) || reason.is_empty()).then_some(index + 1)
    });
    bad.map(|line| Finding {
        line,
        rule: "allow",
        engines: "every engine".to_owned(),
        why: "it lets nothing through: it must name a rule and say why",
        instead: "# lint: allow RULE reason",
        needs: None,
    })
    .collect()
}

#[cfg(test)]
mod tests;
