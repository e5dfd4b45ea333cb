//! The version of Python that a project is for.

use super::ProjectTexts;

/// The one that images have if nothing says another: 3.12.
const USUAL: u32 = 12;
/// Those that official images have today.
const KNOWN: std::ops::RangeInclusive<u32> = 9..=14;

/// The version, `3.11`, if it isn't the usual one. `folders` are looked at in their order, each `` or
/// with a slash at its end.
pub(super) fn version(texts: &ProjectTexts, folders: &[&str]) -> Option<String> {
    let find = |name: &str| folders.iter().find_map(|at| texts.get(&format!("{at}{name}")));
    let pinned = [".python-version", "runtime.txt"].into_iter().find_map(|name| {
        let text = find(name)?.trim();
        minor(text.strip_prefix("python-").unwrap_or(text))
    });
    let asked = find("pyproject.toml").and_then(|text| {
        let table = text.parse::<toml::Table>().ok()?;
        let poetry = || table.get("tool")?.get("poetry")?.get("dependencies")?.get("python");
        let asked = table.get("project").and_then(|project| project.get("requires-python"));
        asked.or_else(poetry)?.as_str().map(str::to_owned)
    });
    let fits = |minor: &u32| asked.as_deref().is_none_or(|asked| allows(asked, *minor));
    let nearest = || {
        let (below, above) = (*KNOWN.start()..USUAL, USUAL..=*KNOWN.end());
        above.into_iter().find(fits).or_else(|| below.rev().find(fits))
    };
    let minor = pinned.filter(fits).or_else(nearest)?;
    (minor != USUAL).then(|| format!("3.{minor}"))
}

/// `12` of `3.12.4`.
fn minor(version: &str) -> Option<u32> {
    version.trim().strip_prefix("3.")?.split(['.', '*', '-', 'r']).next()?.parse().ok()
}

/// Whether some 3.`minor` is allowed by a list of specifiers (PEP 440; `^` is poetry's).
fn allows(asked: &str, minor: u32) -> bool {
    asked.split(',').map(str::trim).all(|one| {
        let at = one.find(|c: char| c.is_ascii_digit()).unwrap_or(one.len());
        let (operator, version) = one.split_at(at);
        let Some(named) = self::minor(version) else { return true };
        let whole = version.matches('.').count() == 1 || version.ends_with(".*");
        match operator.trim() {
            ">=" | ">" | "^" => minor >= named,
            "<" if whole => minor < named,
            "<" | "<=" => minor <= named,
            "==" | "===" | "" => minor == named,
            "~=" | "~" if whole && operator.trim() == "~=" => minor >= named,
            "~=" | "~" => minor == named,
            "!=" if whole => minor != named,
            _ => true,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_version_gives_way_to_what_the_project_asks_for() {
        let check = |files: &[(&str, &str)], expected: Option<&str>| {
            let texts = files.iter().map(|(path, text)| ((*path).into(), (*text).into())).collect();
            assert_eq!(version(&texts, &["app/", ""]).as_deref(), expected, "{files:?}");
        };
        let asks = |asked: &str| format!("[project]\nrequires-python = \"{asked}\"\n");
        check(&[], None);
        for (asked, expected) in [
            (">=3.10", None),
            (">=3.14", Some("3.14")),
            (">=3.10,<3.12", Some("3.11")),
            (">=3.13,!=3.13.1", Some("3.13")),
            ("==3.11.*", Some("3.11")),
            ("~=3.11", None),
            ("~=3.11.2", Some("3.11")),
            ("<3.12.4", None),
            (">=3.10, <4", None),
            (">=2.7", None),
        ] {
            check(&[("pyproject.toml", &asks(asked))], expected);
        }
        let poetry = "[tool.poetry.dependencies]\npython = \"^3.13\"\n";
        check(&[("pyproject.toml", poetry)], Some("3.13"));
        check(&[(".python-version", "3.11\n")], Some("3.11"));
        check(&[("runtime.txt", "python-3.11.4")], Some("3.11"));
        // A version that the project doesn't allow is an old note.
        let old = [(".python-version", "3.9"), ("pyproject.toml", &asks(">=3.10"))];
        check(&old, None);
        check(&[("app/pyproject.toml", &asks(">=3.13")), ("pyproject.toml", "")], Some("3.13"));
    }
}
