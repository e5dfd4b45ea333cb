//! What packages say of their licences, as SPDX has it.

/// A package's licence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Licence {
    /// An SPDX expression, or `NOASSERTION` if the package doesn't use SPDX's names.
    pub declared: String,
    /// In the package's own words.
    pub said: String,
}

/// Debian's short names (machine-readable debian/copyright, 7.1) with those of the SPDX list.
const NAMES: [(&str, &str); 19] = [
    ("Apache-2.0", "Apache-2.0"),
    ("BSD-2-clause", "BSD-2-Clause"),
    ("BSD-3-clause", "BSD-3-Clause"),
    ("CC0-1.0", "CC0-1.0"),
    ("Expat", "MIT"),
    ("GPL-1+", "GPL-1.0-or-later"),
    ("GPL-2", "GPL-2.0-only"),
    ("GPL-2+", "GPL-2.0-or-later"),
    ("GPL-3", "GPL-3.0-only"),
    ("GPL-3+", "GPL-3.0-or-later"),
    ("ISC", "ISC"),
    ("LGPL-2", "LGPL-2.0-only"),
    ("LGPL-2+", "LGPL-2.0-or-later"),
    ("LGPL-2.1", "LGPL-2.1-only"),
    ("LGPL-2.1+", "LGPL-2.1-or-later"),
    ("LGPL-3", "LGPL-3.0-only"),
    ("LGPL-3+", "LGPL-3.0-or-later"),
    ("MIT", "MIT"),
    ("Zlib", "Zlib"),
];

/// By the text of `/usr/share/doc/PACKAGE/copyright`.
pub(super) fn debian_licence(text: &str) -> Licence {
    let named = text.lines().filter_map(|line| line.strip_prefix("License:")).map(str::trim);
    let mut names: Vec<&str> = named.filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    let known =
        |name: &&str| NAMES.iter().find(|(debian, _)| debian == name).map(|(_, spdx)| *spdx);
    let spdx: Option<Vec<&str>> = names.iter().map(known).collect();
    let declared = match spdx {
        Some(mut all) if !all.is_empty() => {
            all.dedup();
            all.join(" AND ")
        }
        _ => NONE.to_owned(),
    };
    Licence { declared, said: said(&names) }
}

/// By the text of a distribution's METADATA (PEP 639; older ones have classifiers).
pub(super) fn python_licence(text: &str) -> Licence {
    let head = text.lines().take_while(|line| !line.is_empty());
    let fields: Vec<(&str, &str)> = head.filter_map(|line| line.split_once(": ")).collect();
    let all = |wanted: &str| -> Vec<&str> {
        fields.iter().filter(|(name, _)| *name == wanted).map(|(_, value)| *value).collect()
    };
    if let Some(expression) = all("License-Expression").first() {
        return Licence { declared: (*expression).to_owned(), said: (*expression).to_owned() };
    }
    let mut names = all("Classifier");
    names.retain(|name| name.starts_with("License ::"));
    if names.is_empty() {
        names = all("License");
    }
    Licence { declared: NONE.to_owned(), said: said(&names) }
}

const NONE: &str = "NOASSERTION";

fn said(names: &[&str]) -> String {
    if names.is_empty() { "It says nothing.".to_owned() } else { names.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_spdx_s_only_if_all_of_them_are() {
        let debian = |text: &str, declared: &str, said: &str| {
            let expected = Licence { declared: declared.into(), said: said.into() };
            assert_eq!(debian_licence(text), expected);
        };
        debian(
            "License: GPL-2+\n text\nLicense: Expat\n",
            "MIT AND GPL-2.0-or-later",
            "Expat; GPL-2+",
        );
        debian(
            "License: GPL-2+ with exception\nLicense: MIT\n",
            NONE,
            "GPL-2+ with exception; MIT",
        );
        debian("", NONE, "It says nothing.");
        let python = |text: &str, declared: &str, said: &str| {
            let expected = Licence { declared: declared.into(), said: said.into() };
            assert_eq!(python_licence(text), expected);
        };
        python(
            "Name: a\nLicense-Expression: MIT OR Apache-2.0\n\nLicense-Expression: no\n",
            "MIT OR Apache-2.0",
            "MIT OR Apache-2.0",
        );
        let classified = "License: text\nClassifier: License :: OSI Approved :: BSD License\n";
        python(classified, NONE, "License :: OSI Approved :: BSD License");
        python("License: BSD\n", NONE, "BSD");
    }
}
