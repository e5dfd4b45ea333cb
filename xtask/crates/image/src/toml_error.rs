//! What is wrong with a file in TOML.

/// What a deserializer says, in the words of TOML instead of Rust's.
pub(crate) fn plainly(message: &str) -> String {
    let words = [
        ("\n", ", "),
        ("expected u16", "expected a whole number from 0 to 65535"),
        ("expected u32", "expected a whole number, 0 or more"),
        ("expected u64", "expected a whole number, 0 or more"),
        ("expected usize", "expected a whole number, 0 or more"),
        ("expected a map", "expected a table"),
        (": map,", ": a table,"),
        (": sequence,", ": a list,"),
        ("expected a sequence", "expected a list"),
        ("unknown variant", "unknown value"),
        ("unknown field", "unknown key"),
        ("missing field", "missing key"),
        ("invalid type: ", "found "),
        ("invalid value: ", "found "),
    ];
    words.iter().fold(message.to_owned(), |text, (rust, toml)| text.replace(rust, toml))
}
