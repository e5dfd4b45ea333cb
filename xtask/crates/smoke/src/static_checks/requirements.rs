//! A list of requirements as pip reads it, as far as a lock is one: names, versions and markers.

use super::{markers, normalized};
use std::collections::BTreeMap;

/// What `text` asks for if the variables of markers are these: versions by name; none for what
/// isn't pinned.
pub(super) fn needed(
    text: &str,
    markers: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Option<String>>, String> {
    let mut all = BTreeMap::new();
    for line in text.replace("\\\n", " ").lines() {
        // A comment begins with `#` after a blank, or is the whole line (pip, "Requirements File
        // Format").
        let line = line.split(" #").next().unwrap_or_default().trim();
        if line.is_empty() || line.starts_with(['#', '-']) {
            continue;
        }
        let line = line.split(" --").next().unwrap_or_default();
        let (what, marker) = line.split_once(';').unwrap_or((line, ""));
        if !marker.trim().is_empty() {
            let holds = markers::holds(marker.trim(), markers);
            if !holds.map_err(|reason| format!("the marker of `{line}`: {reason}"))? {
                continue;
            }
        }
        let end = what.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)));
        let (name, rest) = what.split_at(end.unwrap_or(what.len()));
        if name.is_empty() {
            return Err(format!("`{line}` names no package"));
        }
        let pinned = rest.split_once("==").map(|(_, version)| version.trim());
        let pinned = pinned.filter(|version| !version.contains([',', '*']));
        all.insert(normalized(name), pinned.map(str::to_owned));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_read_and_options_left() {
        let text = "\
# made by pip-compile
--index-url https://pypi.org/simple
-r other.txt
Django==5.1.4 \\
    --hash=sha256:0011 \\
    --hash=sha256:2233
    # via -r requirements.in
psycopg[binary]==3.2.3  # a comment
colorama==0.4.6 ; sys_platform == 'win32'
Py_YAML >= 6, < 7
uvloop==0.21.0; sys_platform != \"win32\" --hash=sha256:44
";
        let markers = BTreeMap::from([("sys_platform".to_owned(), "linux".to_owned())]);
        let expected = [
            ("django", Some("5.1.4")),
            ("psycopg", Some("3.2.3")),
            ("py-yaml", None),
            ("uvloop", Some("0.21.0")),
        ];
        let expected = expected.map(|(name, v)| (name.to_owned(), v.map(str::to_owned)));
        assert_eq!(needed(text, &markers), Ok(expected.into()));
        assert_eq!(needed("==1\n", &markers), Err("`==1` names no package".to_owned()));
    }
}
