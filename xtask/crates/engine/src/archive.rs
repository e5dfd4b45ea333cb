//! An image as its archive shows it: its config and every file of its layers, read once from the
//! archive that the engine streams, so that the checks of the image alone are functions of plain
//! data.

use std::collections::BTreeMap;

mod apart;
mod merged;
mod read;
mod search;

pub use apart::told_apart;
pub use merged::{First, Merged, Placed, split};
pub use read::{read, read_content};

/// A whole image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Archive {
    /// The image's config, as the OCI image specification defines it (`config`, `history`, …).
    pub config: serde_json::Value,
    /// Base first.
    pub layers: Vec<Layer>,
    /// Forbidden texts that were found in the image: `NAME: PLACE`.
    pub found: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layer {
    /// Digest of the uncompressed archive.
    pub diff_id: String,
    /// Uncompressed bytes of the archive.
    pub bytes: u64,
    /// Whether it is the base's part of the one layer of a squashed image, and no layer.
    pub part: bool,
    /// Whether it was made by our Dockerfile, and not part of the base image.
    pub ours: bool,
    /// By path, without a `/` in front; a whiteout has its own name (`.wh.…`).
    pub files: BTreeMap<String, Entry>,
    /// The content of the files that [`is_kept`], by path.
    pub texts: BTreeMap<String, String>,
}

/// One entry of a layer's archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    pub kind: EntryKind,
    /// Bytes of a regular file.
    pub size: u64,
    /// Mode bits, without the file type.
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    /// What a link points to: for a hard link, the path of the file in its layer.
    pub target: Option<String>,
    /// The capabilities that the file grants when it is run (`security.capability`).
    pub capabilities: Option<Vec<u8>>,
    /// All extended attributes that the archive has, by name.
    pub attributes: BTreeMap<String, Vec<u8>>,
    /// Seconds of the last change.
    pub mtime: u64,
    /// SHA-256 of a regular file, or of the target of a symbolic link, if it was asked for.
    pub content: Option<String>,
    /// Why a regular file looks like a secret to the gate of the build context.
    pub secret: Option<&'static str>,
}

/// What dpkg knows of the packages that are installed.
pub const DPKG_STATUS: &str = "var/lib/dpkg/status";
/// The end of the path of the list that says what `collectstatic` made of each file.
pub const STATIC_MANIFEST: &str = "/staticfiles.json";
/// The end of the path of the list of files that a Python package brought.
pub const RECORD: &str = ".dist-info/RECORD";
/// The end of the path of what a Python distribution says of itself (Core metadata specification).
pub const METADATA: &str = ".dist-info/METADATA";
/// The end of the path of what it says of the wheel that it came in.
pub const WHEEL: &str = ".dist-info/WHEEL";

/// Whether an [`Archive`] keeps the content of the file `path`, which checks read.
pub fn is_kept(path: &str) -> bool {
    let list = || path.starts_with("app/") && path.ends_with(STATIC_MANIFEST);
    let about = || path.ends_with(METADATA) || path.ends_with(WHEEL) || is_copyright(path);
    path == DPKG_STATUS || is_list(path) || path.ends_with(RECORD) || list() || about()
}

/// Whether `path` says under which licences a Debian package is.
fn is_copyright(path: &str) -> bool {
    path.starts_with("usr/share/doc/") && path.ends_with("/copyright")
}

/// Whether `path` is dpkg's list of the files of a package.
pub fn is_list(path: &str) -> bool {
    path.starts_with("var/lib/dpkg/info/") && path.ends_with(".list")
}

/// What an entry of a layer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EntryKind {
    #[default]
    File,
    Folder,
    /// A symbolic link.
    Link,
    /// A second name of a file.
    HardLink,
    /// A device, pipe or the like.
    Other,
}
