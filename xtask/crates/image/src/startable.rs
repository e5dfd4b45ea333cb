//! Whether a container could start at all: what the Dockerfile starts is a file that it copies, and
//! a kernel can start it. Else the build takes minutes, and the smoke test says only that it ended.

use engine::dockerfile::Instruction;
use process::failure::{Exit, Failure};
use source::content::{Content, FileMode, Start};
use std::collections::BTreeMap;

/// Makes sure that the files of the build context can be started that are scripts, or that
/// `ENTRYPOINT`, `CMD` or `HEALTHCHECK` name.
///
/// # Errors
/// [`Exit::Usage`] with a help line for each that can't.
pub fn check(
    contents: &BTreeMap<String, Content>,
    instructions: &[Instruction],
) -> anyhow::Result<()> {
    let mut found: Vec<String> = contents
        .iter()
        .filter(|(_, content)| content.start == Start::BrokenScript)
        .map(|(path, _)| {
            format!(
                "{path}: its line `#!` ends in CR, and no interpreter has such a name: write it with LF \
                 (`* text=auto eol=lf` in .gitattributes, then `git add --renormalize .`)"
            )
        })
        .collect();
    let copied = copied(contents, instructions);
    for program in started(instructions) {
        let Some((path, content)) = copied.get(&program) else { continue };
        if content.kind == FileMode::Plain {
            found.push(format!(
                "{path}: the image starts it as {program}, and it isn't executable: chmod +x {path}, and \
                 `git update-index --chmod=+x {path}` where git doesn't look at modes"
            ));
        }
        if content.kind != FileMode::Link && content.start == Start::Other {
            found.push(format!(
                "{path}: the image starts it as {program}, and it is no program: a script begins with \
                 `#!/bin/sh` or the like"
            ));
        }
    }
    let message = match found.len() {
        0 => return Ok(()),
        1 => "checking the build context: 1 file can't be started".to_owned(),
        count => format!("checking the build context: {count} files can't be started"),
    };
    Err(Failure { exit: Exit::Usage, message, help: found }.into())
}

/// The programs that containers of the image start, by absolute path.
fn started(instructions: &[Instruction]) -> Vec<String> {
    let starts = |keyword: &str| matches!(keyword, "ENTRYPOINT" | "CMD" | "HEALTHCHECK");
    let texts = instructions.iter().filter(|one| starts(&one.keyword)).map(|one| &one.text);
    let lists = texts.filter_map(|text| {
        let list = &text[text.find('[')?..];
        serde_json::from_str::<Vec<String>>(list).ok()?.into_iter().next()
    });
    lists.filter(|program| program.starts_with('/')).collect()
}

/// Files of the build context by the path that a `COPY` gives them in the image, as far as the
/// Dockerfile says it plainly: no variable, no pattern, no `--chmod`.
fn copied<'a>(
    contents: &'a BTreeMap<String, Content>,
    instructions: &[Instruction],
) -> BTreeMap<String, (&'a str, &'a Content)> {
    let mut found = BTreeMap::new();
    for copy in instructions.iter().filter(|one| one.keyword == "COPY") {
        let (options, words): (Vec<&str>, Vec<&str>) =
            copy.text.split(' ').partition(|word| word.starts_with("--"));
        let own = |option: &&str| option.starts_with("--from") || option.starts_with("--chmod");
        let Some((target, sources)) = words.split_last() else { continue };
        let plain = !options.iter().any(own) && target.starts_with('/');
        if !plain || copy.text.contains(['$', '*', '[', '"']) {
            continue;
        }
        for source in sources {
            let source = source.trim_start_matches("./").trim_end_matches('/');
            let folder = format!("{source}/");
            let into = target.ends_with('/') || sources.len() > 1;
            let target = target.trim_end_matches('/');
            for (path, content) in contents {
                let place = if path == source {
                    let name = path.rsplit('/').next().unwrap_or(path);
                    if into { format!("{target}/{name}") } else { target.to_owned() }
                } else if let Some(rest) = path.strip_prefix(&folder) {
                    format!("{target}/{rest}")
                } else {
                    continue;
                };
                found.insert(place, (path.as_str(), content));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::dockerfile::instructions;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    /// The messages about the files, each given with its mode and text.
    fn said(dockerfile: &str, files: &[(&str, u32, &str)]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for (path, mode, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(*mode)).unwrap();
        }
        let paths: Vec<&str> = files.iter().map(|(path, ..)| *path).collect();
        let contents = source::snapshot::read(folder.path(), &paths, None).unwrap();
        let error = check(&contents, &instructions(dockerfile)).err();
        error.map(|error| process::failure::describe(&error).1).unwrap_or_default()
    }

    const SCRIPT: &str = "#!/bin/sh\n";

    #[test]
    fn what_a_container_starts_can_be_started() {
        let ours = include_str!("../../../../docker/Dockerfile");
        let health = ("docker/healthcheck", 0o755, "#!/usr/bin/env python3\n");
        let check = |file: (&str, u32, &str), says: &str| {
            let found = said(ours, &[file, health]);
            if says.is_empty() {
                assert_eq!(found, [""; 0]);
            } else {
                assert!(found.len() == 1 && found[0].contains(says), "{found:?}");
            }
        };
        let path = "docker/entrypoint.sh";
        check((path, 0o755, SCRIPT), "");
        check((path, 0o644, SCRIPT), "it isn't executable");
        check((path, 0o755, "exec web\n"), "it is no program");
        check((path, 0o755, "#!/bin/sh\r\nexec web\r\n"), "ends in CR");
        // In a folder, or under another name.
        let bad = [("bin/run", 0o644, SCRIPT)];
        assert_eq!(said("COPY bin /opt/\nCMD [\"/opt/run\"]\n", &bad).len(), 1);
        assert_eq!(said("COPY bin/run /start\nENTRYPOINT [\"/start\", \"x\"]\n", &bad).len(), 1);
        let health = "COPY bin/ /b\nHEALTHCHECK --interval=5s CMD [\"/b/run\"]\n";
        assert_eq!(said(health, &bad).len(), 1);
        // What isn't known isn't judged.
        assert_eq!(said("COPY --chmod=755 bin /opt/\nCMD [\"/opt/run\"]\n", &bad), [""; 0]);
        assert_eq!(said("COPY bin /opt/\nCMD [\"run\"]\n", &bad), [""; 0]);
        assert_eq!(said("COPY bin ${X}/\nCMD [\"/opt/run\"]\n", &bad), [""; 0]);
        assert_eq!(said("COPY bin /opt/\nCMD exec /opt/run\n", &bad), [""; 0]);
    }
}
