//! `[assets]`: the style sheets and scripts that Node builds, in a separate stage.

use super::app::App;
use super::names;
use super::raw::ConfigFile;

/// The keys of `[assets]`.
const KEYS: [&str; 7] = ["base", "folder", "package_files", "install", "files", "build", "output"];

/// `[assets]`. Paths are from the top of the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assets {
    /// The image with Node.
    pub base: String,
    /// The folder with `package.json`, in which both commands run; `.` is the top.
    pub folder: String,
    /// The files that `install` reads.
    pub package_files: Vec<String>,
    /// The command that installs the packages of the lock.
    pub install: String,
    /// What `build` reads: files and folders.
    pub files: Vec<String>,
    /// The command that builds.
    pub build: String,
    /// The files and folders that it makes, in the application's folder.
    pub output: Vec<String>,
}

/// Reads `[assets]`, if it is written; mistakes are noted in `file`.
pub(super) fn read(file: &mut ConfigFile<'_>, app: &App) -> Option<Assets> {
    file.only_keys("assets", &KEYS);
    if !KEYS.iter().any(|key| file.has("assets", key)) {
        return None;
    }
    let anywhere = |text: &str| if text == "." { None } else { names::below(text) };
    let folder = file.checked("assets", "folder", anywhere).unwrap_or_else(|| app.folder.clone());
    let inside = |name: &str| match folder.as_str() {
        "." => name.to_owned(),
        folder => format!("{folder}/{name}"),
    };
    let package_files = file.strings("assets", "package_files", names::below);
    let files = file.strings("assets", "files", anywhere).unwrap_or_else(|| vec![folder.clone()]);
    if files.iter().any(|path| path == ".") && app.folder != "." {
        let message =
            "name what the build reads: all of the repository is not in the build context";
        file.mistake("assets", "files", message.to_owned());
    }
    let output = file.strings("assets", "output", |text| {
        let outside = || format!("`{text}` isn't in the folder of the application, {}", app.folder);
        names::below(text).or_else(|| (!text.starts_with(&app.prefix())).then(outside))
    });
    if output.as_ref().is_none_or(Vec::is_empty) {
        let message = "is required: the folders that the build makes, as [\"static/dist\"]";
        file.mistake("assets", "output", message.to_owned());
    }
    let mut command = |key, default: &str| {
        file.checked("assets", key, line).unwrap_or_else(|| default.to_owned())
    };
    let (install, build) = (command("install", "npm ci"), command("build", "npm run build"));
    Some(Assets {
        base: super::reference(file, "assets", "base", "docker.io/library/node:22-bookworm-slim"),
        package_files: package_files
            .unwrap_or_else(|| ["package.json", "package-lock.json"].map(inside).into()),
        folder,
        install,
        files,
        build,
        output: output.unwrap_or_default(),
    })
}

/// A command of one line, as a Dockerfile takes it.
fn line(text: &str) -> Option<String> {
    let continued = text.ends_with('\\') || text.contains(char::is_control);
    continued.then(|| "must be one line, without `\\` at its end".to_owned())
}
