//! The files that `init` writes into a project, and what becomes of each.

use anyhow::Context as _;
use image::adopt::{self, ProjectTexts};
use image::config::Config;
use image::config::app::App;
use image::rendering::{self, RUNTIME_FILES};
use process::disk;
use process::invocation::Invocation;
use process::run::{QUESTION, Runner};
use process::state::{make_folder, write_whole};
use source::content::sha256;
use source::context::IGNORE_FILE;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Says of each file that we wrote what it was: `SHA-256  PATH`, as sha256sum prints it.
pub const RECORD: &str = "xtask/files.sha256";

/// What [`RECORD`] says, by path.
pub type Record = BTreeMap<String, String>;

/// What else is in the folder with the image's own files: `dev`'s, and for editors.
const AROUND: [&str; 2] = ["dev", "image.schema.json"];

/// A file, below the top of the project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectFile {
    pub path: String,
    pub text: String,
    pub executable: bool,
    /// Whether a project may have one of that name, which then stays.
    pub may_be_theirs: bool,
    /// The folder that is the workflow's, and that it is in.
    pub folder: Option<String>,
}

impl ProjectFile {
    /// A file that isn't executable.
    pub fn text(path: &str, text: &str) -> ProjectFile {
        ProjectFile {
            path: path.to_owned(),
            text: text.to_owned(),
            executable: false,
            may_be_theirs: false,
            folder: None,
        }
    }
}

/// What becomes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileAct {
    /// It is written.
    New,
    /// It is there as it should be.
    Same,
    /// It is as we wrote it once, and replaced by what it is now.
    Replaced,
    /// It was edited, and ours is what it was: theirs stays.
    Theirs,
    /// It was edited, and ours is another now: that is written as `NAME.new`.
    Beside,
    /// There is one that we didn't write, and it stays.
    Kept,
    /// There is one that we didn't write, and ours can't do without that name.
    Foreign,
}

/// Decides about each of `files` in the project `top`, of which `record` says what we wrote.
pub fn decide(top: &Path, files: Vec<ProjectFile>, record: &Record) -> Vec<(ProjectFile, FileAct)> {
    let act = |file: &ProjectFile| {
        let Ok(there) = process::regular::read(top.join(&file.path)) else { return FileAct::New };
        if there == file.text.as_bytes() {
            return FileAct::Same;
        }
        match record.get(&file.path) {
            Some(written) if *written == sha256(&there) => FileAct::Replaced,
            Some(written) if *written == sha256(file.text.as_bytes()) => FileAct::Theirs,
            Some(_) => FileAct::Beside,
            None if file.may_be_theirs => FileAct::Kept,
            None => FileAct::Foreign,
        }
    };
    files.into_iter().map(|file| (act(&file), file)).map(|(act, file)| (file, act)).collect()
}

/// Writes what was decided; if one can't be written, what was new before it goes again.
pub fn write(top: &Path, acts: &[(ProjectFile, FileAct)]) -> anyhow::Result<()> {
    let mut new = Vec::new();
    let outcome = write_all(top, acts, &mut new);
    if outcome.is_err() {
        new.iter().for_each(|path| drop(fs::remove_file(path)));
    }
    outcome
}

fn write_all(
    top: &Path,
    acts: &[(ProjectFile, FileAct)],
    new: &mut Vec<PathBuf>,
) -> anyhow::Result<()> {
    let mut written = record(top);
    for (file, act) in acts {
        let path = match act {
            FileAct::New | FileAct::Replaced => top.join(&file.path),
            FileAct::Beside => top.join(format!("{}.new", file.path)),
            FileAct::Same | FileAct::Theirs | FileAct::Kept | FileAct::Foreign => continue,
        };
        make_folder(path.parent().unwrap_or(top))?;
        write_whole(&path, &file.text).with_context(|| format!("writing {}", path.display()))?;
        if *act == FileAct::New {
            new.push(path.clone());
        }
        let mode = if file.executable { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        written.insert(file.path.clone(), sha256(file.text.as_bytes()));
    }
    let lines = written.iter().fold(String::new(), |mut lines, (path, hash)| {
        let _ = writeln!(lines, "{hash}  {path}");
        lines
    });
    write_whole(&top.join(RECORD), &lines).with_context(|| format!("writing {RECORD}"))
}

/// What [`RECORD`] of the project `top` says.
pub fn record(top: &Path) -> Record {
    let text = process::regular::read_text(top.join(RECORD)).unwrap_or_default();
    let pair =
        |line: &str| line.split_once("  ").map(|(hash, path)| (path.to_owned(), hash.to_owned()));
    text.lines().filter_map(pair).collect()
}

/// What is to be done about the files that stay.
pub fn kept(acts: &[(ProjectFile, FileAct)]) -> Vec<String> {
    let kept = acts.iter().filter(|(_, act)| *act == FileAct::Kept);
    kept.map(|(file, _)| match file.path.as_str() {
        "Cargo.toml" => "Cargo.toml is kept: add \"xtask\" to the members of its workspace".to_owned(),
        ".cargo/config.toml" => {
            ".cargo/config.toml is kept: add below [alias] the line xtask = \"run --locked --package xtask --\"".to_owned()
        }
        path => format!("{path} is kept"),
    })
    .collect()
}

/// The files that are the same in every project, in its folder `runtime`.
pub fn ours(library: &Path, runtime: &str) -> anyhow::Result<Vec<ProjectFile>> {
    let mut files = Vec::new();
    for name in RUNTIME_FILES.into_iter().chain(AROUND) {
        below(library, &format!("docker/{name}"), &mut files)?;
    }
    for file in &mut files {
        let inside = file.path.strip_prefix("docker/").unwrap_or(&file.path);
        file.path = format!("{runtime}/{inside}");
        file.folder = Some(runtime.to_owned());
    }
    Ok(files)
}

/// The keys of `docker/image.toml` that say where our files are in the project `top`: under other names
/// if it has files of those.
pub fn places(top: &Path) -> Vec<(String, String, String)> {
    let free = |usual: &str, other: &str| match top.join(usual).exists() {
        true => Some(adopt::text(other)),
        false => None,
    };
    let places = [
        ("variant.prod", "dockerfile", free("docker/Dockerfile", "docker/prod.Dockerfile")),
        ("variant.dev", "dockerfile", free("docker/Dockerfile.dev", "docker/dev.Dockerfile")),
        ("context", "ignore_file", free(IGNORE_FILE, "docker/context.ignore")),
        ("app", "runtime", Some(adopt::text(RUNTIME))),
    ];
    let places = places.into_iter().filter_map(|(table, key, value)| Some((table, key, value?)));
    places.map(|(table, key, value)| (table.to_owned(), key.to_owned(), value)).collect()
}

/// The folder of [`ours`] in another project.
const RUNTIME: &str = "docker/runtime";

fn below(library: &Path, path: &str, files: &mut Vec<ProjectFile>) -> anyhow::Result<()> {
    let place = library.join(path);
    if !place.is_dir() {
        let mode =
            place.metadata().with_context(|| format!("reading {path}"))?.permissions().mode();
        let text = disk::text(&place, path)?;
        files.push(ProjectFile { executable: mode & 0o100 != 0, ..ProjectFile::text(path, &text) });
        return Ok(());
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(&place).with_context(|| format!("reading {path}"))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    for name in names.iter().filter(|name| *name != "__pycache__") {
        below(library, &format!("{path}/{name}"), files)?;
    }
    Ok(())
}

/// The Dockerfiles, with the lines that `config` decides.
pub fn dockerfiles(library: &Path, config: &Config) -> anyhow::Result<Vec<ProjectFile>> {
    let mut files = Vec::new();
    for (path, made_for) in rendering::files(config) {
        let own = rendering::template(made_for);
        let text = disk::text(&library.join(own), own)?;
        let text = rendering::rendered(&text, config, made_for)
            .map_err(|(line, why)| anyhow::anyhow!("reading {own}:{line}: {why}"))?;
        files.push(ProjectFile::text(&path, &text));
    }
    Ok(files)
}

/// The ignore file of a project with this configuration.
pub fn ignore(library: &Path, config: &Config) -> anyhow::Result<ProjectFile> {
    let app = &config.app;
    let own = disk::text(&library.join("dockerignore"), IGNORE_FILE)?;
    let (_, sections) = own.split_once("\n# section:").unwrap_or(("", own.as_str()));
    let at_top = app.folder == ".";
    let begin = match at_top {
        true => format!("{TOP}docker/*\n{}{}/\n", let_in(&app.runtime), app.static_root),
        false => format!("{BELOW}*\n!{}\n{}{}", app.folder, let_in(&app.runtime), outside(config)),
    };
    // At the top a folder may be a Django app, whatever it is called; git knows what isn't.
    let line = |line: &str| match line.strip_prefix("app/") {
        Some(_) if at_top => String::new(),
        Some(inside) => format!("{}{inside}\n", app.prefix()),
        None => format!("{line}\n"),
    };
    let sections: String = sections.lines().map(line).collect();
    Ok(ProjectFile::text(&config.ignore_file, &format!("{begin}\n# section:{sections}")))
}

/// Lines that let in what isn't in the folder of the application: its lock, and what Node reads.
fn outside(config: &Config) -> String {
    let assets =
        config.assets.iter().flat_map(|assets| assets.package_files.iter().chain(&assets.files));
    let files = config.app.lock_files(false).into_iter().chain(config.app.lock_files(true));
    let all: BTreeSet<String> = files.chain(assets.cloned()).collect();
    let outside = all.iter().filter(|path| !path.starts_with(&config.app.prefix()));
    outside.map(|path| format!("!{path}\n")).collect()
}

/// Lines that let the image's own files in.
fn let_in(runtime: &str) -> String {
    RUNTIME_FILES.map(|name| format!("!{runtime}/{name}\n")).concat()
}

/// What begins the ignore file of an application in a folder.
const BELOW: &str = "\
# What the engine is sent: nothing, but for what docker/image.toml says that it copies.
# `cargo xtask context PATH` tells which line decides about a path.
";

/// What begins the ignore file of an application at the top.
const TOP: &str = "\
# What the engine is sent: all that git knows of this project, and new files that it doesn't ignore,
# but for what stands here. `cargo xtask context PATH` tells which line decides about a path.
# section: on purpose
Cargo.toml
Cargo.lock
target
xtask
";

/// The Cargo workspace with the project's own `xtask`, which is this library from `git` or from its
/// folder.
pub fn workspace(
    library: &Path,
    top: &Path,
    git: Option<&str>,
    runner: &Runner,
) -> anyhow::Result<Vec<ProjectFile>> {
    let from = match git {
        Some(url) => {
            let here = Runner { folder: library.to_owned(), ..runner.clone() };
            let head = here.ask(&Invocation::new("git", ["rev-parse", "HEAD"]), QUESTION)?;
            anyhow::ensure!(head.good(), "asking for our own commit: {}", head.last_line());
            format!("git = {}, rev = {}", adopt::text(url), adopt::text(head.stdout.trim()))
        }
        None => {
            let path = relative(&top.join("xtask"), library.parent().unwrap_or(library));
            format!("path = {}", adopt::text(&path))
        }
    };
    let read = |path: &str| disk::text(&library.join(path), path);
    let own = read("workspace.toml")?;
    let profiles = own.find("\n[profile.").map_or("", |at| &own[at..]);
    let comment = own
        .find("# Everybody compiles xtask")
        .map_or("", |at| &own[at..own.len() - profiles.len() + 1]);
    let manifest = format!(
        "[workspace]\nmembers = [\"xtask\"]\nresolver = \"3\"\n\n{comment}{}",
        profiles.trim_start()
    );
    let member = format!(
        "[package]\nname = \"xtask\"\ndescription = \"The container workflow of this project\"\nversion = \"0.1.0\"\n\
         edition = \"2024\"\npublish = false\n\n[dependencies]\nworkflow = {{ package = \"senex-workflow\", {from} }}\n"
    );
    let theirs = |path: &str, text: &str| ProjectFile {
        may_be_theirs: true,
        ..ProjectFile::text(path, text)
    };
    let files = vec![
        theirs("Cargo.toml", &manifest),
        theirs("Cargo.lock", &read("workspace.lock")?),
        theirs(".cargo/config.toml", &read("config.toml")?),
        ProjectFile::text("xtask/Cargo.toml", &member),
        ProjectFile::text("xtask/src/main.rs", &read("main.rs")?),
    ];
    Ok(files)
}

/// The folders that git has to be told to leave alone, and the `.gitignore` that does: cargo's, which
/// also holds what we keep, the secrets that Compose mounts, and what the site writes when it runs from
/// the checkout.
pub fn ignored(top: &Path, app: &App, texts: &ProjectTexts) -> (Vec<String>, String) {
    let text = match process::regular::read_text(top.join(".gitignore")) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        // It stays as it is.
        Err(_) => return (Vec::new(), String::new()),
    };
    let known = |folder: &String| text.lines().any(|line| line.trim().trim_matches('/') == folder);
    // A Django app may be called so.
    let theirs = |folder: &String| texts.keys().any(|path| path.starts_with(&format!("{folder}/")));
    let written = ["media", "logs"].map(|name| app.inside(name));
    let written = written.into_iter().filter(|folder| !theirs(folder));
    let all = ["target", "docker/secrets"].map(str::to_owned).into_iter().chain(written);
    let new: Vec<String> = all.filter(|folder| !known(folder)).collect();
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let lines: String = new.iter().map(|folder| format!("/{folder}/\n")).collect();
    (new, format!("{text}{end}{lines}"))
}

/// `to` as a path from the folder `from`; both are absolute.
fn relative(from: &Path, to: &Path) -> String {
    let same = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(same).map(|_| "..".to_owned());
    let down =
        to.components().skip(same).map(|part| part.as_os_str().to_string_lossy().into_owned());
    up.chain(down).collect::<Vec<_>>().join("/")
}

/// The texts of a project's files that say what it is: those that git tracks or doesn't ignore.
pub fn texts(top: &Path, runner: &Runner) -> anyhow::Result<ProjectTexts> {
    let words = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let listed = runner.ask(&Invocation::new("git", words), QUESTION)?;
    if !listed.good() {
        return Err(process::failure::failure_help(
            process::failure::Exit::Git,
            format!("looking at {}: {}", top.display(), listed.last_line()),
            "an image is labelled with its commit: git init, and commit the project",
        ));
    }
    let mut texts = ProjectTexts::new();
    for path in listed.stdout.split_terminator('\0') {
        let name = path.rsplit('/').next().unwrap_or(path);
        let told = name.ends_with(".py")
            || name.ends_with(".lock")
            || name.ends_with(".toml")
            || name.ends_with(".txt")
            || [".python-version", "package.json"].contains(&name);
        let text = if told {
            process::regular::read_text(top.join(path)).unwrap_or_default()
        } else {
            String::new()
        };
        texts.insert(path.to_owned(), text);
    }
    Ok(texts)
}

/// The labels of the image, as far as the project tells them.
pub fn names(top: &Path, texts: &ProjectTexts, runner: &Runner) -> Vec<(String, String, String)> {
    let folder =
        top.file_name().map_or("app".to_owned(), |name| name.to_string_lossy().into_owned());
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.".contains(c) { c.to_ascii_lowercase() } else { '-' }
    };
    let name: String = folder.chars().map(plain).collect();
    let name = name.trim_matches(['-', '_', '.']).to_owned();
    let title = folder.replace(['-', '_'], " ");
    let project = texts
        .iter()
        .find(|(path, _)| *path == "pyproject.toml" || path.ends_with("/pyproject.toml"));
    let project: toml::Table = project.and_then(|(_, text)| text.parse().ok()).unwrap_or_default();
    let at = |path: &[&str]| {
        let first = project.get("project")?.get(path[0])?;
        let value = path[1..].iter().try_fold(first, |value, key| match value {
            toml::Value::Array(items) => items.first()?.get(key),
            value => value.get(key),
        })?;
        value.as_str().map(str::to_owned).filter(|text| !text.trim().is_empty())
    };
    let title = at(&["name"]).unwrap_or(title);
    let urls = ["Repository", "repository", "Source", "source", "Homepage", "homepage"];
    let url = urls.iter().find_map(|name| at(&["urls", name]));
    let remote = runner.ask(&Invocation::new("git", ["remote", "get-url", "origin"]), QUESTION);
    let remote = remote.ok().filter(process::run::Answer::good).and_then(|answer| {
        let remote = source::git::without_credentials(answer.stdout.trim());
        // As a browser opens it: git@host:path and ssh://git@host/path are https there.
        let ssh = remote.strip_prefix("ssh://").unwrap_or(&remote);
        match ssh.strip_prefix("git@") {
            Some(rest) => Some(format!("https://{}", rest.replacen(':', "/", 1))),
            None => Some(remote).filter(|url| url.starts_with("http")),
        }
    });
    let example = format!("https://example.com/{name}");
    let source = remote.or(url).unwrap_or(example);
    let authors = at(&["authors", "name"]).unwrap_or_else(|| title.clone());
    let license = at(&["license"]).or_else(|| at(&["license", "text"]));
    [
        ("name", name),
        ("title", title.clone()),
        ("description", at(&["description"]).unwrap_or(title)),
        ("authors", authors.clone()),
        ("vendor", authors),
        ("url", source.clone()),
        ("source", source),
        ("licenses", license.unwrap_or_else(|| "NOASSERTION".to_owned())),
    ]
    .into_iter()
    .map(|(key, text)| ("image".to_owned(), key.to_owned(), adopt::text(&text)))
    .chain([("app".to_owned(), "user".to_owned(), adopt::text("app"))])
    .collect()
}

/// What `--set` gives, as TOML: as it is if that is TOML, else as a string.
pub fn toml(value: &str) -> String {
    let is_toml = value.starts_with(['"', '[', '{'])
        || value.parse::<i64>().is_ok()
        || ["true", "false"].contains(&value);
    if is_toml { value.to_owned() } else { adopt::text(value) }
}
