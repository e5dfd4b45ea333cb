//! What enters the build context: of small trees with small ignore files, and by the repository's
//! own ignore file.

use crate::context::IGNORE_FILE;
use std::fs;
use std::path::Path;

use super::{ContextEntryKind, ContextFile, explain, files, read_ignore};
use process::failure::{Exit, describe};

/// The repository's own ignore file.
const OURS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../.dockerignore"));

/// Both images, for what they copy.
/// The Dockerfiles that no ignore file may stand next to.
const NAMES: &[&str] = &["docker/Dockerfile", "docker/Dockerfile.dev"];
const DOCKERFILES: [&str; 2] = [
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docker/Dockerfile")),
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docker/Dockerfile.dev")),
];

const DEPTHS: [&str; 3] = ["app", "app/trading", "app/trading/deep/er"];

/// The design's list of what never enters an image, and names that each pattern means.
const NEVER: &[(&str, &[&str])] = &[
    ("__pycache__/", &["__pycache__/a.cpython-312.opt"]),
    ("*.py[cod]", &["a.pyc", "a.pyo", "a.pyd"]),
    ("*$py.class", &["a$py.class"]),
    ("*.so", &["a.so", "a.cpython-312-x86_64-linux-gnu.so"]),
    (".Python", &[".Python"]),
    ("venv/", &["venv/bin/python"]),
    ("ENV/", &["ENV/bin/python"]),
    (".venv", &[".venv/bin/python"]),
    ("*.log", &["a.log", ".log"]),
    ("db.sqlite3", &["db.sqlite3"]),
    ("db.sqlite3-journal", &["db.sqlite3-journal"]),
    ("celerybeat-schedule*", &["celerybeat-schedule", "celerybeat-schedule.db"]),
    (".vscode/", &[".vscode/settings.json"]),
    (".idea/", &[".idea/a.xml"]),
    ("*.swp", &[".a.py.swp"]),
    ("*.swo", &[".a.py.swo"]),
    ("*~", &["a.py~"]),
    (".git/", &[".git/HEAD", ".git/objects/ab/c"]),
    (".gitignore", &[".gitignore"]),
    (".gitattributes", &[".gitattributes"]),
    (".dockerignore", &[".dockerignore"]),
    ("Dockerfile*", &["Dockerfile", "Dockerfile.dev"]),
    (".env*", &[".env", ".env.local", ".envrc"]),
    (".pytest_cache/", &[".pytest_cache/v/cache"]),
    (".coverage", &[".coverage"]),
    ("htmlcov/", &["htmlcov/a.html"]),
    (".tox/", &[".tox/py312/a"]),
    (".mypy_cache/", &[".mypy_cache/3.12/a.json"]),
    (".ruff_cache/", &[".ruff_cache/a"]),
    (".github/", &[".github/workflows/a.yml"]),
    (".gitlab-ci.yml", &[".gitlab-ci.yml"]),
    ("*.key", &["a.key"]),
    ("secrets/", &["secrets/a"]),
    (".DS_Store", &[".DS_Store"]),
    ("Thumbs.db", &["Thumbs.db"]),
    ("*.tmp", &["a.tmp"]),
    ("*.temp", &["a.temp"]),
    ("*.bak", &["a.py.bak"]),
    ("node_modules", &["node_modules/a/index.js"]),
    (".hypothesis/", &[".hypothesis/a"]),
    (".coverage.*", &[".coverage.host.1"]),
    ("coverage.xml", &["coverage.xml"]),
    (".nox/", &[".nox/a"]),
    ("*.egg-info/", &["a.egg-info/PKG-INFO"]),
    (".gitmodules", &[".gitmodules"]),
    ("tests", &["tests/a.py", "tests.py", "test_a.py", "conftest.py"]),
];

fn write(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// A root with `ignore` and, at each of `paths`, a file of four bytes.
fn tree<P: AsRef<str>>(ignore: &str, paths: &[P]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), ".dockerignore", ignore);
    for path in paths {
        write(folder.path(), path.as_ref(), "four");
    }
    folder
}

fn listed(root: &Path) -> anyhow::Result<Vec<String>> {
    Ok(files(root, &read_ignore(root, ".dockerignore", NAMES)?)?
        .into_iter()
        .map(|file| file.path)
        .collect())
}

#[test]
fn files_are_listed_by_path_with_length_and_kind() {
    let folder = tree(
        "*\n!b\n!a/x\n!c/x\n**/skip\n",
        &["b/z", "b/d/y", "b/d.py", "b/skip/y", "a/x", "a/y", "c"],
    );
    let root = folder.path();
    std::os::unix::fs::symlink("../../outside", root.join("b/link")).unwrap();
    std::os::unix::fs::symlink("d", root.join("b/folder")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("b/socket")).unwrap();
    fs::create_dir(root.join("b/empty")).unwrap();
    let file = |path: &str, bytes, kind| ContextFile { path: path.into(), bytes, kind };
    assert_eq!(
        files(root, &read_ignore(root, ".dockerignore", NAMES).unwrap()).unwrap(),
        [
            file("a/x", 4, ContextEntryKind::File),
            file("b/d.py", 4, ContextEntryKind::File),
            file("b/d/y", 4, ContextEntryKind::File),
            file("b/folder", 1, ContextEntryKind::Symlink),
            file("b/link", 13, ContextEntryKind::Symlink),
            file("b/socket", 0, ContextEntryKind::Other),
            file("b/z", 4, ContextEntryKind::File),
        ]
    );
}

#[test]
fn excluded_folders_are_not_read() {
    // A name that would be refused, in a folder that isn't read.
    let folder = tree("*\n!b\n**/skip\n", &["b/x", "c/new\nline", "b/skip/new\nline"]);
    assert_eq!(listed(folder.path()).unwrap(), ["b/x"]);
}

#[test]
fn names_that_engines_cannot_agree_on_are_refused() {
    let folder = tree("*\n!b\n", &["b/new\nline"]);
    let error = listed(folder.path()).unwrap_err();
    assert_eq!(describe(&error).0, Exit::Usage);
    assert_eq!(
        error.to_string(),
        "listing the build context: \"b/new\\nline\" has a name that engines read differently"
    );
    let folder = tree("*\n!b\n", &["b/x"]);
    let bytes = std::os::unix::ffi::OsStrExt::from_bytes(b"b/\xff".as_slice());
    fs::write(folder.path().join::<&std::ffi::OsStr>(bytes), "x").unwrap();
    assert_eq!(describe(&listed(folder.path()).unwrap_err()).0, Exit::Usage);
}

#[test]
fn files_where_engines_disagree_are_refused() {
    for (ignore, path, words) in [
        // Docker 20.10 does not let `**/keys` speak for what is below it.
        ("*\n!b\n**/keys\n!b/c/keys/a\n", "b/c/keys/x", "Docker 20.10"),
        // Docker 23 does not try `!b`, which changes nothing about `b` itself, below it.
        ("b/a\n!b\n", "b/a/x", "Docker 23 and later"),
    ] {
        let folder = tree(ignore, &[path]);
        let error = listed(folder.path()).expect_err(ignore);
        let (exit, help) = describe(&error);
        assert_eq!((exit, help.len()), (Exit::Usage, 1), "{error}");
        assert!(error.to_string().starts_with("listing the build context: Podman would "));
        assert!(error.to_string().contains(words), "{error}");
    }
    // The same without what they disagree about.
    assert_eq!(listed(tree("*\n!b\n**/keys\n", &["b/c/keys/x", "b/y"]).path()).unwrap(), ["b/y"]);
}

#[test]
fn another_ignore_file_beside_ours_is_refused() {
    for other in [
        ".containerignore",
        "docker/Dockerfile.dockerignore",
        "docker/Dockerfile.dev.dockerignore",
        "docker/Dockerfile.containerignore",
    ] {
        let folder = tree("*\n", &[other]);
        let error = listed(folder.path()).expect_err(other);
        let (exit, help) = describe(&error);
        assert_eq!(exit, Exit::Usage);
        assert_eq!(
            error.to_string(),
            format!("reading .dockerignore: {other} would replace it on some engines")
        );
        assert!(help[0].starts_with(&format!("move what {other} has")), "{help:?}");
    }
    assert!(
        listed(tree("*\n", &["app/.dockerignore", "docker/x", "docker/other.dockerignore"]).path())
            .is_ok()
    );
}

#[test]
fn a_missing_ignore_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for make in [|_: &Path| (), |path: &Path| fs::create_dir(path).unwrap()] {
        make(&folder.path().join(".dockerignore"));
        let error = listed(folder.path()).unwrap_err();
        let (exit, help) = describe(&error);
        assert_eq!((exit, help.len()), (Exit::Usage, 1));
        assert!(error.to_string().starts_with("reading .dockerignore: no such file in "));
    }
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "real", "*\n");
    std::os::unix::fs::symlink("real", folder.path().join(".dockerignore")).unwrap();
    assert_eq!(describe(&listed(folder.path()).unwrap_err()).0, Exit::Usage);
}

#[test]
fn explanations_name_the_deciding_line() {
    let folder = tree("*\n\n!app\n**/keys\n", &["app/a", "app/d/b", "app/keys/x", "c"]);
    let root = folder.path();
    let ignore = read_ignore(root, ".dockerignore", NAMES).unwrap();
    let told = |path: &Path| explain(root, (IGNORE_FILE, &ignore), path).unwrap().to_string();
    for (path, words) in [
        ("app/a", "app/a: in the build context: line 3 of .dockerignore, !app, matches app"),
        ("./app/d/../a", "app/a: in the build context: line 3 of .dockerignore, !app, matches app"),
        (
            "app",
            "app: in the build context: line 3 of .dockerignore, !app\n\
             app: 2 files of 8 bytes below it are in",
        ),
        (
            "app/keys/x",
            "app/keys/x: not in the build context: line 4 of .dockerignore, **/keys, matches \
             app/keys",
        ),
        ("c", "c: not in the build context: line 1 of .dockerignore, *"),
        (
            "app/new",
            "app/new: in the build context: line 3 of .dockerignore, !app, matches app\n\
             app/new: there is no such file now",
        ),
    ] {
        assert_eq!(told(Path::new(path)), words);
    }
    assert_eq!(told(&root.join("app/a")), told(Path::new("app/a")));
    std::os::unix::fs::symlink("d", root.join("app/link")).unwrap();
    let behind = "app/link/b: not in the build context: app/link is a symbolic link; the link is \
                  copied, and not what is behind it";
    assert_eq!(told(Path::new("app/link/b")), behind);
    assert!(told(Path::new("app/link")).starts_with("app/link: in the build context: "));
    for outside in ["", ".", "..", "app/..", "../x", "/", "/x"] {
        let error = explain(root, (IGNORE_FILE, &ignore), Path::new(outside)).expect_err(outside);
        assert_eq!(describe(&error).0, Exit::Usage);
    }
    let folder = tree("b\n", &["a"]);
    let open = read_ignore(folder.path(), ".dockerignore", NAMES).unwrap();
    let told = explain(folder.path(), (IGNORE_FILE, &open), Path::new("a")).unwrap();
    assert!(told.verdict.included && told.exists && told.files.len() == 1);
    assert_eq!(told.to_string(), "a: in the build context: no line of .dockerignore matches it");
}

#[test]
fn the_design_s_list_stays_out_at_every_depth() {
    for (pattern, names) in NEVER {
        for depth in DEPTHS {
            for name in *names {
                let folder = tree(OURS, &[format!("{depth}/{name}"), "app/manage.py".to_owned()]);
                let found = listed(folder.path()).unwrap();
                assert_eq!(found, ["app/manage.py"], "{pattern}: {depth}/{name}");
            }
        }
    }
}

/// Those of the design's list that would take source that git tracks: a Django app may be called logs,
/// and mail templates may be Markdown.
#[test]
fn what_may_be_source_stays_out_at_the_top_of_the_application_only() {
    for name in ["env/a", "staticfiles/a.css", "media/a.ttf", "logs/models.py", "compose.dev.yaml"]
    {
        let deep = format!("app/trading/{name}");
        let folder = tree(OURS, &[format!("app/{name}"), deep.clone()]);
        assert_eq!(listed(folder.path()).unwrap(), [deep]);
    }
    for name in ["README.md", "docs/a.rst", "ca.crt", "site.cert", "chain.pem"] {
        let both = ["app", "app/trading"].map(|folder| format!("{folder}/{name}"));
        assert_eq!(listed(tree(OURS, &both).path()).unwrap(), both);
    }
}

/// Else each build would copy the copies of the one before.
#[test]
fn what_the_workflow_keeps_is_never_in() {
    let folder = tree("a\n", &["target/xtask/context/tree/b", "target/b", "app/target/xtask/c"]);
    let found = listed(folder.path()).unwrap();
    assert_eq!(found, [".dockerignore", "app/target/xtask/c", "target/b"]);
}

/// What the Dockerfiles copy from the context, without a slash at the end.
fn copied() -> Vec<&'static str> {
    let lines = DOCKERFILES.iter().flat_map(|text| text.lines());
    let copies = lines.filter_map(|line| line.strip_prefix("COPY "));
    let mut sources = Vec::new();
    for copy in copies.filter(|copy| !copy.contains("--from=")) {
        let words: Vec<&str> = copy.split_whitespace().collect();
        sources.extend(words[..words.len() - 1].iter().map(|word| word.trim_end_matches('/')));
    }
    sources.sort_unstable();
    sources.dedup();
    sources
}

#[test]
fn our_ignore_file_lets_in_what_the_dockerfiles_copy_and_nothing_else() {
    let sources = copied();
    assert!(sources.len() >= 7, "{sources:?}");
    // `COPY app/ ./` copies a folder, and the only file without a dot is the health check.
    let mut wanted: Vec<String> = sources
        .iter()
        .map(|source| {
            let file = source.contains('.') || source.ends_with("healthcheck");
            if file { (*source).to_owned() } else { format!("{source}/x") }
        })
        .collect();
    let others = [
        "docker/Dockerfile",
        "docker/image.toml",
        "docker/new.sh",
        "docker/new/x",
        "xtask/src/main.rs",
        "Cargo.toml",
        "target/x",
        "new",
        ".git/HEAD",
        "tests/app/x",
    ];
    let all: Vec<String> =
        wanted.iter().cloned().chain(others.iter().map(|&path| path.to_owned())).collect();
    let folder = tree(OURS, &all);
    wanted.sort();
    assert_eq!(listed(folder.path()).unwrap(), wanted);
    for put_back in OURS.lines().filter_map(|line| line.strip_prefix('!')) {
        assert!(sources.contains(&put_back), "!{put_back}: no Dockerfile copies it");
    }
}

#[test]
fn the_context_is_a_small_part_of_a_checkout_in_use() {
    let folder = tree(OURS, &["app/manage.py", "app/uv.lock", "docker/entrypoint.sh"]);
    let root = folder.path();
    for n in 0..20 {
        write(root, &format!("app/trading/view_{n}.py"), &"x".repeat(4 << 10));
        for waste in [
            "app/.venv/lib/python3.12/site-packages/p",
            "app/__pycache__",
            "app/trading/__pycache__",
            "app/.mypy_cache/3.12",
            "app/.git/objects",
            "app/media/uploads",
            "app/staticfiles",
            "app/trading/tests",
            "app/node_modules/a/dist",
            ".git/objects/pack",
            "target/debug/deps",
            "venv/lib",
        ] {
            write(root, &format!("{waste}/file_{n}"), &"x".repeat(16 << 10));
        }
    }
    let total: u64 =
        files(root, &crate::ignore::Ignore::default()).unwrap().iter().map(|file| file.bytes).sum();
    let ours = files(root, &read_ignore(root, ".dockerignore", NAMES).unwrap()).unwrap();
    let bytes: u64 = ours.iter().map(|file| file.bytes).sum();
    assert_eq!(ours.len(), 23);
    assert!(bytes * 10 < total, "{bytes} of {total} bytes");
}
