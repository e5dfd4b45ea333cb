//! The other side of the comparison: the design's own files, and the edits without which they
//! can't be built here. The edits are computed, so that the report can show each of them.

use engine::EngineKind;

/// The design's Dockerfile, as it was written.
pub const DOCKERFILE: &str = include_str!("../../design/Dockerfile");
/// The design's entrypoint, as it was written.
pub const ENTRYPOINT: &str = include_str!("../../design/entrypoint.sh");
/// The design's ignore file, as it was written.
pub const IGNORE: &str = include_str!("../../design/dockerignore");

/// What the Dockerfile of the design's base is made of: pip and `python` under /usr/local, as the
/// official image has them, and the certificates of an intercepting proxy.
pub fn base_dockerfile(base: &str, certificates: bool) -> String {
    let mut text = format!("FROM {base}\n");
    if certificates {
        // Debian's bundle, which another package could write anew, stays as it is.
        text += "COPY bundle.crt /usr/local/share/bundle.crt\n\
                 ENV PIP_CERT=/usr/local/share/bundle.crt\n";
    }
    text + "RUN python3 -m venv --copies /usr/local\n"
}

/// A Dockerfile after its edits, and the edits as a patch.
#[derive(Debug, PartialEq, Eq)]
pub struct Edited {
    pub text: String,
    /// Each changed line with its number, `-` before and `+` after.
    pub patch: String,
}

/// Makes the design's Dockerfile one that can be built here: `base` for its base image, `python`
/// (`python3.11`) for its folder of packages, and on BuildKit no `# syntax` line, which would fetch
/// a frontend from a registry first.
pub fn edit(dockerfile: &str, kind: EngineKind, base: &str, python: &str) -> Edited {
    let (mut text, mut patch) = (String::new(), String::new());
    for (index, line) in dockerfile.lines().enumerate() {
        let after = edited_line(line, kind, base, python);
        if after.as_deref() != Some(line) {
            patch += &format!("@@ line {} @@\n-{line}\n", index + 1);
            if let Some(after) = &after {
                patch += &format!("+{after}\n");
            }
        }
        if let Some(after) = after {
            text += &after;
            text.push('\n');
        }
    }
    Edited { text, patch }
}

/// The same for its Dockerfile.dev, which has one stage.
pub fn edit_dev(dockerfile: &str, base: &str) -> Edited {
    let first = "FROM python:3.12-slim-bookworm";
    let text = dockerfile.replacen(&format!("{first}\n"), &format!("FROM {base}\n"), 1);
    Edited { text, patch: format!("@@ line 1 @@\n-{first}\n+FROM {base}\n") }
}

fn edited_line(line: &str, kind: EngineKind, base: &str, python: &str) -> Option<String> {
    if line.starts_with("# syntax=") {
        return (kind == EngineKind::Podman).then(|| line.to_owned());
    }
    if let Some(rest) = line.strip_prefix("FROM python:3.12-slim-bookworm ") {
        return Some(format!("FROM {base} {rest}"));
    }
    Some(line.replace("/python3.12/", &format!("/{python}/")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn only_the_edits_that_are_needed_are_made_and_shown() {
        let podman = edit(DOCKERFILE, EngineKind::Podman, "localhost/base:x", "python3.11");
        expect![[r#"
            @@ line 6 @@
            -FROM python:3.12-slim-bookworm AS base
            +FROM localhost/base:x AS base
            @@ line 69 @@
            -COPY --from=dependencies /usr/local/lib/python3.12/site-packages /usr/local/lib/python3.12/site-packages
            +COPY --from=dependencies /usr/local/lib/python3.11/site-packages /usr/local/lib/python3.11/site-packages
        "#]]
        .assert_eq(&podman.patch);
        assert_eq!(podman.text.lines().count(), DOCKERFILE.lines().count());
        let docker = edit(DOCKERFILE, EngineKind::Docker, "localhost/base:x", "python3.11");
        assert!(docker.patch.starts_with("@@ line 1 @@\n-# syntax=docker/dockerfile:1.4\n@@"));
        assert_eq!(docker.text.lines().count() + 1, DOCKERFILE.lines().count());
    }

    #[test]
    fn the_designs_base_has_certificates_only_where_there_are_some() {
        assert!(base_dockerfile("b", true).contains("PIP_CERT"));
        assert_eq!(
            base_dockerfile("b", false),
            "FROM b\nRUN python3 -m venv --copies /usr/local\n"
        );
    }
}
