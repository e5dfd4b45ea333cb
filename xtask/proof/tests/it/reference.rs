//! `docs/reference.md` is what the code says: `UPDATE_EXPECT=1` writes it anew.

use super::checkout::source;
use engine::capability::{all, lacking};
use std::fmt::Write as _;

const START: &str = "\
# Reference

Written from the code by a test; don't edit it. Elsewhere: each key of `docker/image.toml` with its meaning and an
example is in [that file](../docker/image.toml), with a [schema](../docker/image.schema.json) for editors; the
variables of a container are in [environment](environment.md).
";

/// The variants of `Exit` with their comments, as their file has them: name, number and meaning.
fn exit_codes(text: &str) -> Vec<(String, String)> {
    let (_, text) = text.split_once("pub enum Exit {").unwrap();
    let mut meaning = Vec::new();
    let mut codes = Vec::new();
    for line in text.lines().map(str::trim).take_while(|line| *line != "}") {
        if let Some(comment) = line.strip_prefix("/// ") {
            meaning.push(comment);
        } else if let Some((_, number)) = line.split_once(" = ") {
            codes.push((number.trim_end_matches(',').to_owned(), meaning.join(" ")));
            meaning.clear();
        }
    }
    codes
}

#[test]
fn the_reference_is_what_the_code_says() {
    let mut text = START.to_owned();
    text += "\n## Exit codes\n\n| code | meaning |\n|---:|---|\n| 0 | Done. |\n";
    let failure = std::fs::read_to_string(source("xtask/crates/process/src/failure.rs")).unwrap();
    let codes = exit_codes(&failure);
    assert_eq!(codes.len(), 12);
    for (number, meaning) in codes {
        writeln!(text, "| {number} | {meaning} |").unwrap();
    }
    text += "\n## Checks of the smoke test\n\nThose with a mark also run with `--core`.\n\n";
    text += "| check | core | why |\n|---|---|---|\n";
    for check in smoke::checks::all() {
        let core = if check.core { "✓" } else { "" };
        writeln!(text, "| `{}` | {core} | {} |", check.name, check.reason).unwrap();
    }
    text += "\n## What an engine lacks\n\nEach row was measured; [engines](engines.md) lists the versions.\n\n";
    text += "| feature | lacked by | why it matters | instead |\n|---|---|---|---|\n";
    for capability in all() {
        let (engines, why, instead) = lacking(capability);
        writeln!(text, "| {capability:?} | {engines} | {why} | {instead} |").unwrap();
    }
    expect_test::expect_file![source("docs/reference.md")].assert_eq(&text);
}
