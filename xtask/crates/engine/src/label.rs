//! The names of labels, and how a Dockerfile spells one.

use std::collections::BTreeMap;

/// Prefix of the labels that the OCI image specification defines (annotations, pre-defined keys).
pub const OCI: &str = "org.opencontainers.image.";
/// The label that says an image or a container is ours; that of an image is the version of the
/// workflow that made it.
pub const OURS: &str = "dev.senex.xtask";

/// A label as a Dockerfile's `LABEL` reads it back unchanged; `None` for one that no line can hold.
pub fn literal(name: &str, value: &str) -> Option<String> {
    let quoted = |text: &str| {
        let special =
            |c: char| matches!(c, '"' | '\\' | '$').then_some('\\').into_iter().chain([c]);
        format!("\"{}\"", text.chars().flat_map(special).collect::<String>())
    };
    let whole = !name.contains(char::is_control) && !value.contains(char::is_control);
    whole.then(|| format!("{}={}", quoted(name), quoted(value)))
}

/// All labels that a line can hold as one instruction.
pub fn instruction(labels: &BTreeMap<String, String>) -> String {
    let all = labels.iter().filter_map(|(name, value)| literal(name, value));
    format!("LABEL {}", all.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_written_as_it_is_read() {
        let check = |value: &str, expected: Option<&str>| {
            let expected = expected.map(|text| format!("\"a b\"={text}"));
            assert_eq!(literal("a b", value), expected, "{value:?}");
        };
        check("it's", Some(r#""it's""#));
        check("", Some(r#""""#));
        check(r#"say "$HI" \"#, Some(r#""say \"\$HI\" \\""#));
        check("two\nlines", None);
        let labels = [("b", "2"), ("a", "1"), ("c", "\t")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(instruction(&labels.into()), r#"LABEL "a"="1" "b"="2""#);
    }
}
