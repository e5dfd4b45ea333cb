//! The report as Markdown.

use crate::measure::{Pair, Sample, Summary, summary};

/// One line of a table: what, this workflow, the other side, and the ratio of the two.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub what: String,
    /// The cells of this workflow.
    pub ours: String,
    /// The cells of the other side.
    pub other: String,
    /// Ours divided by theirs.
    pub ratio: f64,
}

/// Seconds of both sides: wall-clock time, and CPU time if it can be told.
pub fn seconds(what: &str, pair: &Pair, with_cpu: bool) -> Vec<Line> {
    let line = |unit: &str, number: fn(&Sample) -> f64| {
        let ours = summary(pair.ours.iter().map(number));
        let other = summary(pair.other.iter().map(number));
        Line {
            what: format!("{what}, {unit}"),
            ours: range(ours),
            other: range(other),
            ratio: ours.median / other.median,
        }
    };
    let mut lines = vec![line("s", |sample| sample.wall)];
    if with_cpu {
        lines.push(line("CPU s", |sample| sample.cpu));
    }
    lines
}

/// Bytes of both sides.
pub fn bytes(what: &str, ours: u64, other: u64) -> Line {
    // Bytes below 2^53 are exact.
    #[allow(clippy::cast_precision_loss)]
    let ratio = ours as f64 / other as f64;
    Line { what: format!("{what}, MB"), ours: megabytes(ours), other: megabytes(other), ratio }
}

/// A table with `ours` and `other` as the names of the two sides.
pub fn table(ours: &str, other: &str, lines: &[Line]) -> String {
    let mut text = format!("| | {ours} | {other} | ratio |\n|---|---:|---:|---:|\n");
    for line in lines {
        let Line { what, ours, other, ratio } = line;
        let ratio = if ratio.is_finite() { format!("{ratio:.2}") } else { "–".to_owned() };
        text += &format!("| {what} | {ours} | {other} | {ratio} |\n");
    }
    text
}

/// `median (least–most)`, or the number alone if there is only one.
pub fn range(summary: Summary) -> String {
    let Summary { median, least, most } = summary;
    if (most - least).abs() < f64::EPSILON {
        return format!("{median:.2}");
    }
    format!("{median:.2} ({least:.2}–{most:.2})")
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
    fn a_table_has_ranges_and_ratios() {
        let sample = |wall, cpu| Sample { wall, cpu };
        let pair =
            Pair { ours: vec![sample(1.0, 0.5), sample(2.0, 0.7)], other: vec![sample(6.0, 0.0)] };
        let mut lines = seconds("cold", &pair, true);
        lines.push(bytes("size", 1_234_567, 2_000_000));
        expect![[r#"
            | | ours | design | ratio |
            |---|---:|---:|---:|
            | cold, s | 1.50 (1.00–2.00) | 6.00 | 0.25 |
            | cold, CPU s | 0.60 (0.50–0.70) | 0.00 | – |
            | size, MB | 1.234 | 2.000 | 0.62 |
        "#]]
        .assert_eq(&table("ours", "design", &lines));
        assert_eq!(seconds("x", &pair, false).len(), 1);
    }
}
