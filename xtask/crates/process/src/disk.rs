//! What an error of the file system means for the user: the cause, an exit code and a remedy. Every
//! file of the user's that decides something is read as text here.

use crate::failure::{Exit, Failure, failure_help};
use crate::regular;
use std::io::{Error, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The failure of `doing` something at `path`, such as `writing`.
///
/// Its exit code is [`Exit::Unexpected`] if the machine failed, as on a full disk, and
/// [`Exit::Usage`] if the user can put another thing in that place, or name another place.
pub fn failed(doing: &str, path: &Path, error: &Error) -> anyhow::Error {
    let (exit, cause, help) = explained(path, error);
    let message = format!("{doing} {}: {cause}", path.display());
    Failure { exit, message, help: help.into_iter().collect() }.into()
}

fn explained(path: &Path, error: &Error) -> (Exit, String, Option<String>) {
    let mount = || mount_point(path).display().to_string();
    let (exit, help) = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            (Exit::Unexpected, Some(make_room(&[path])))
        }
        ErrorKind::ReadOnlyFilesystem => {
            let help = format!(
                "the file system mounted at {} is read-only: make it writable, or use another folder",
                mount()
            );
            (Exit::Usage, Some(help))
        }
        ErrorKind::InvalidFilename => {
            let help = "the path, or a name in it, is too long: move the checkout to a shorter path, or \
                        shorten the name";
            (Exit::Usage, Some(help.into()))
        }
        ErrorKind::PermissionDenied => {
            (Exit::Usage, Some("change its permissions, or its owner, and run this again".into()))
        }
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => match in_the_way(path) {
            Some(cause) => return (Exit::Usage, cause, Some("move it away, or remove it".into())),
            None => (Exit::Usage, None),
        },
        ErrorKind::NotFound | ErrorKind::InvalidInput | ErrorKind::IsADirectory => {
            (Exit::Usage, None)
        }
        _ => (Exit::Unexpected, None),
    };
    (exit, error.to_string(), help)
}

/// Whether a program said in one of `lines` that a disk is full.
pub fn is_full(lines: &[String]) -> bool {
    lines.iter().any(|line| line.to_lowercase().contains("no space left on device"))
}

/// What to do if the disk is full that one of `places` is on.
pub fn make_room(places: &[&Path]) -> String {
    let mut mounts: Vec<String> =
        places.iter().map(|place| mount_point(place).display().to_string()).collect();
    mounts.dedup();
    format!(
        "free space on the file system mounted at {}: `df -h` shows it, `cargo xtask clean` removes \
         unused images",
        mounts.join(" or ")
    )
}

/// Describes the file or dangling link that blocks a folder at `path`, there or above it.
fn in_the_way(path: &Path) -> Option<String> {
    let all: Vec<&Path> = path.ancestors().collect();
    all.into_iter().rev().find(|place| place.symlink_metadata().is_ok() && !place.is_dir()).map(
        |place| match place.read_link() {
            Ok(target) if !place.exists() => {
                format!("{} is a link to {}, which isn't there", place.display(), target.display())
            }
            _ => format!("{} is no folder", place.display()),
        },
    )
}

/// The mount point of the file system that `path` is on, or would be on.
fn mount_point(path: &Path) -> &Path {
    let device = |place: &Path| place.metadata().ok().map(|found| found.dev());
    let mut there = path.ancestors().skip_while(|place| device(place).is_none());
    let first = there.next().unwrap_or(path);
    let same = there.take_while(|place| device(place) == device(first));
    same.last().unwrap_or(first)
}

/// The text of the user's file at `path`, which messages call `name`.
///
/// # Errors
/// [`Exit::Usage`] if it isn't there, isn't a regular file or isn't UTF-8; as [`failed`].
pub fn text(path: &Path, name: &str) -> anyhow::Result<String> {
    let bytes = regular::read(path).map_err(|error| {
        let (exit, cause, help) = explained(path, &error);
        let help = help.unwrap_or_else(|| {
            format!("put the file there; `git checkout -- {name}` restores a tracked one")
        });
        failure_help(exit, format!("reading {name}: {cause}"), help)
    })?;
    let marked = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
    let nulls = bytes.iter().filter(|byte| **byte == 0).count();
    if let Some(at) = bytes.iter().position(|byte| *byte == 0)
        && !marked
        && nulls * 4 < bytes.len()
    {
        let line = bytes[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        let message = format!("reading {name}: line {line} has a NUL byte");
        return Err(failure_help(Exit::Usage, message, "remove it: the rest is text"));
    }
    let wide = marked || nulls > 0;
    let (what, from) = match String::from_utf8(bytes) {
        Ok(text) if !wide => return Ok(text),
        Err(error) if !wide => {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
            (format!("line {line} isn't UTF-8"), "ENCODING")
        }
        _ => ("it is UTF-16, not UTF-8".to_owned(), "UTF-16"),
    };
    let help = format!("save it as UTF-8, with an editor or `iconv -f {from} -t UTF-8`");
    Err(failure_help(Exit::Usage, format!("reading {name}: {what}"), help))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::shown;

    fn told(error: &anyhow::Error, folder: &Path) -> String {
        let (exit, lines) = shown(error);
        let text = lines.join("\n").replace(&folder.display().to_string(), "TOP");
        format!("{} {text}", exit as u8)
    }

    #[test]
    fn each_error_has_its_cause_and_a_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path();
        std::fs::write(top.join("file"), "").unwrap();
        std::os::unix::fs::symlink("gone", top.join("link")).unwrap();
        let check = |kind: ErrorKind, path: &str, expected: &str| {
            let told = told(&failed("writing", &top.join(path), &kind.into()), top);
            assert!(told.starts_with(expected), "{told}");
        };
        let mount = mount_point(top).display().to_string();
        let full = "1 error: writing TOP/a/b: no storage space\nhelp: free space on the file system mounted at ";
        check(ErrorKind::StorageFull, "a/b", &format!("{full}{mount}: "));
        let quota = full.replace("no storage space", "quota exceeded");
        check(ErrorKind::QuotaExceeded, "a/b", &format!("{quota}{mount}: "));
        let read_only = format!("help: the file system mounted at {mount} is read-only: make it ");
        check(
            ErrorKind::ReadOnlyFilesystem,
            "a",
            &format!("2 error: writing TOP/a: read-only filesystem or storage medium\n{read_only}"),
        );
        check(
            ErrorKind::InvalidFilename,
            "a",
            "2 error: writing TOP/a: invalid filename\nhelp: the path, or a name in it, is too long",
        );
        check(
            ErrorKind::PermissionDenied,
            "a",
            "2 error: writing TOP/a: permission denied\nhelp: change its permissions",
        );
        let away = "\nhelp: move it away, or remove it";
        check(
            ErrorKind::NotADirectory,
            "file/a/b",
            &format!("2 error: writing TOP/file/a/b: TOP/file is no folder{away}"),
        );
        check(
            ErrorKind::AlreadyExists,
            "link/a",
            &format!(
                "2 error: writing TOP/link/a: TOP/link is a link to gone, which isn't there{away}"
            ),
        );
        let lines = ["a".to_owned(), "b: No space left on device".to_owned()];
        assert!(is_full(&lines) && !is_full(&lines[..1]));
        check(ErrorKind::Interrupted, "a", "1 error: writing TOP/a: operation interrupted");
    }

    #[test]
    fn a_text_is_utf_8() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let check = |bytes: &[u8], expected: &str| {
            std::fs::write(&path, bytes).unwrap();
            let found = text(&path, "a.toml");
            let found = found.unwrap_or_else(|error| told(&error, folder.path()));
            assert_eq!(found.lines().next().unwrap_or_default(), expected, "{bytes:?}");
        };
        check("ä".as_bytes(), "ä");
        check(b"", "");
        check(b"a\n\xe4\n", "2 error: reading a.toml: line 2 isn't UTF-8");
        let wide = "2 error: reading a.toml: it is UTF-16, not UTF-8";
        check(b"\xff\xfea\0", wide);
        check(b"\xfe\xff\0a", wide);
        check(b"a\0\n\0", wide);
        check(b"\0\xe4\0a", wide);
        check(b"# a\nb\0 = 1\n", "2 error: reading a.toml: line 2 has a NUL byte");
        let gone = told(&text(&folder.path().join("b"), "b").unwrap_err(), folder.path());
        assert!(gone.starts_with("2 error: reading b: No such file"), "{gone}");
        assert!(gone.ends_with("`git checkout -- b` restores a tracked one"), "{gone}");
        let kind = told(&text(folder.path(), "b").unwrap_err(), folder.path());
        assert!(kind.starts_with("2 error: reading b: Is a directory"), "{kind}");
    }
}
