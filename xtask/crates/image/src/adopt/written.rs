//! An `image.toml` as text.

/// A string as TOML writes it.
pub fn text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

pub(super) fn list<T: AsRef<str>>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(|item| text(item.as_ref())).collect();
    format!("[{}]", items.join(", "))
}

/// Where the tables begin, in our own `image.toml`, that another project's file only names.
const RARE: &str = "\n# --- what few projects change";

/// What stands there instead of the tables of `rest`.
fn named(rest: &str) -> String {
    let tables = rest.lines().filter_map(|line| {
        let line = line.strip_prefix("# ").unwrap_or(line);
        line.starts_with('[').then(|| line.to_owned()).filter(|line| line.ends_with(']'))
    });
    let tables = tables.collect::<Vec<_>>().join(", ");
    format!("\n# More, with each default, in docker/image.toml of the workflow:\n# {tables}\n")
}

/// `template`, an `image.toml`, with these values; a key that is commented out comes in.
pub fn image_toml(template: &str, keys: &[(String, String, String)]) -> String {
    let (usual, rest) = template.split_once(RARE).unwrap_or((template, ""));
    let whole = if rest.is_empty() { usual.to_owned() } else { usual.to_owned() + &named(rest) };
    // The file is in `docker/`, and what an editor checks it by in the folder of our files.
    let whole = whole.replacen("#:schema ", "#:schema runtime/", 1);
    let whole = whole.replacen("\nsize_budget = ", "\n# size_budget = ", 1);
    let mut lines: Vec<String> = whole.lines().map(str::to_owned).collect();
    for (table, key, value) in keys {
        let line = format!("{key} = {value}");
        let header = format!("[{table}]");
        let at = lines.iter().position(|one| one.trim_start_matches("# ") == header);
        let Some(at) = at else {
            lines.extend([String::new(), header, line]);
            continue;
        };
        lines[at] = header;
        let end = lines[at + 1..]
            .iter()
            .position(|one| one.trim_start_matches("# ").starts_with('[') && one.ends_with(']'));
        let end = end.map_or(lines.len(), |end| at + 1 + end);
        let is = |one: &String| {
            one.trim_start_matches("# ")
                .strip_prefix(key.as_str())
                .is_some_and(|rest| rest.starts_with(" = "))
        };
        match lines[at + 1..end].iter().position(is) {
            Some(place) => lines[at + 1 + place] = line,
            None => {
                let last =
                    lines[at..end].iter().rposition(|one| !one.trim().is_empty()).unwrap_or(0);
                lines.insert(at + last + 1, line);
            }
        }
    }
    lines.join("\n") + "\n"
}
