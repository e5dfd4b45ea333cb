//! The report as Markdown.

use super::goals::Goal;
use crate::measure::{Pair, Sample, Summary, summary};

/// One line of a table: what, this workflow, the other side, and the ratio of the two.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// What was measured.
    pub what: String,
    /// The cells of this workflow.
    pub ours: String,
    /// The cells of the other side.
    pub other: String,
    /// Ours divided by theirs.
    pub ratio: f64,
    /// What the ratio is meant to be at most, where something is asked for.
    pub goal: Option<Goal>,
}

/// Seconds of both sides: the clock's line, and the processors' where they can be told.
pub fn seconds(what: &str, goal: Option<Goal>, pair: &Pair, with_cpu: bool) -> Vec<Line> {
    let line = |unit: &str, goal, number: fn(&Sample) -> f64| {
        let ours = summary(pair.ours.iter().map(number));
        let other = summary(pair.other.iter().map(number));
        Line {
            what: format!("{what}, {unit}"),
            ours: range(ours),
            other: range(other),
            ratio: ours.median / other.median,
            goal,
        }
    };
    let mut lines = vec![line("s", goal, |sample| sample.wall)];
    if with_cpu {
        lines.push(line("CPU s", None, |sample| sample.cpu));
    }
    lines
}

/// Bytes of both sides.
pub fn bytes(what: &str, goal: Option<Goal>, ours: u64, other: u64) -> Line {
    // Bytes below 2^53 are exact.
    #[allow(clippy::cast_precision_loss)]
    let ratio = ours as f64 / other as f64;
    Line {
        what: format!("{what}, MB"),
        ours: megabytes(ours),
        other: megabytes(other),
        ratio,
        goal,
    }
}

/// A table with `ours` and `other` as the names of the two sides.
pub fn table(ours: &str, other: &str, lines: &[Line]) -> String {
    let mut text = format!("| | {ours} | {other} | ratio | goal |\n|---|---:|---:|---:|---:|\n");
    for line in lines {
        let Line { what, ours, other, ratio, goal } = line;
        let goal = goal.map(|goal| goal.cell(*ratio)).unwrap_or_default();
        let ratio = if ratio.is_finite() { format!("{ratio:.2}") } else { "–".to_owned() };
        text += &format!("| {what} | {ours} | {other} | {ratio} | {goal} |\n");
    }
    text
}

/// `median (least–most)`, or the number alone where there is only one.
pub fn range(summary: Summary) -> String {
    let Summary { median, least, most } = summary;
    if (most - least).abs() < f64::EPSILON {
        return format!("{median:.2}");
    }
    format!("{median:.2} ({least:.2}–{most:.2})")
}

/// A table of one side only, with a column for each variant of it.
pub fn variants(names: &[&str], rows: &[(&str, Vec<String>)]) -> String {
    let mut text = format!("| | {} |\n|---|{}\n", names.join(" | "), "---:|".repeat(names.len()));
    for (what, cells) in rows {
        text += &format!("| {what} | {} |\n", cells.join(" | "));
    }
    text
}

/// Bytes as megabytes (10^6).
pub fn megabytes(bytes: u64) -> String {
    // Enough digits for a layer of a few kilobytes.
    format!("{}.{:03}", bytes / 1_000_000, bytes / 1000 % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_table_has_ranges_ratios_and_goals() {
        let sample = |wall, cpu| Sample { wall, cpu };
        let pair =
            Pair { ours: vec![sample(1.0, 0.5), sample(2.0, 0.7)], other: vec![sample(6.0, 0.0)] };
        let goal = |most| Some(Goal { text: "2/5", most });
        let mut lines = seconds("cold", goal(0.4), &pair, true);
        lines.push(bytes("size", goal(0.5), 1_234_567, 2_000_000));
        expect![[r#"
            | | ours | design | ratio | goal |
            |---|---:|---:|---:|---:|
            | cold, s | 1.50 (1.00–2.00) | 6.00 | 0.25 | ≤ 2/5 |
            | cold, CPU s | 0.60 (0.50–0.70) | 0.00 | – |  |
            | size, MB | 1.234 | 2.000 | 0.62 | ≤ 2/5, missed |
        "#]]
        .assert_eq(&table("ours", "design", &lines));
        assert_eq!(seconds("x", None, &pair, false).len(), 1);
    }

    #[test]
    fn variants_stand_side_by_side() {
        let rows = [("cold, s", vec!["1.00".to_owned(), "2.00".to_owned()])];
        expect![[r#"
            | | a | b |
            |---|---:|---:|
            | cold, s | 1.00 | 2.00 |
        "#]]
        .assert_eq(&variants(&["a", "b"], &rows));
    }
}
