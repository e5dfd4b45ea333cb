//! The only place that opens files at paths that others can fill as well. It opens regular files
//! only: a named pipe or a device would make us wait, or read, without an end.

use std::fs::{File, Metadata, OpenOptions, metadata};
use std::io::{Error, ErrorKind, Read as _, Result};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

/// Opens a file as `options` say; links are followed, and `/dev/null` is an empty file.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for a named pipe, a socket or a device.
pub fn open_with(options: &OpenOptions, path: &Path) -> Result<File> {
    if let Some(kind) = metadata(path).ok().and_then(|found| endless(&found)) {
        let what = format!("it is {kind}, not a regular file");
        return Err(Error::new(ErrorKind::InvalidInput, what));
    }
    options.open(path)
}

fn endless(found: &Metadata) -> Option<&'static str> {
    let kind = found.file_type();
    let null = || metadata("/dev/null").is_ok_and(|null| null.rdev() == found.rdev());
    if kind.is_fifo() {
        Some("a named pipe")
    } else if kind.is_socket() {
        Some("a socket")
    } else {
        (kind.is_block_device() || kind.is_char_device() && !null()).then_some("a device")
    }
}

pub fn open(path: impl AsRef<Path>) -> Result<File> {
    open_with(File::options().read(true), path.as_ref())
}

/// Opens a file to append to, and makes it if it isn't there.
pub fn append(path: impl AsRef<Path>) -> Result<File> {
    open_with(File::options().create(true).append(true), path.as_ref())
}

pub fn read(path: impl AsRef<Path>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a file.
///
/// # Errors
/// [`ErrorKind::InvalidData`] if it isn't UTF-8.
pub fn read_text(path: impl AsRef<Path>) -> Result<String> {
    let mut text = String::new();
    open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        let made = std::process::Command::new("mkfifo").arg(place("pipe")).status().unwrap();
        assert!(made.success());
        let _socket = std::os::unix::net::UnixListener::bind(place("socket")).unwrap();
        std::os::unix::fs::symlink("pipe", place("link")).unwrap();
        let check = |path: &Path, expected: &str| {
            for error in [read(path).unwrap_err(), append(path).unwrap_err()] {
                assert_eq!(error.to_string(), expected, "{}", path.display());
            }
        };
        check(&place("pipe"), "it is a named pipe, not a regular file");
        check(&place("link"), "it is a named pipe, not a regular file");
        check(&place("socket"), "it is a socket, not a regular file");
        check(Path::new("/dev/zero"), "it is a device, not a regular file");
        assert_eq!(read("/dev/null").unwrap(), b"");
        std::fs::write(place("text"), "a").unwrap();
        assert_eq!(read_text(place("text")).unwrap(), "a");
        assert_eq!(read_text(place("none")).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
