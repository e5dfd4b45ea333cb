//! A small good image.

use crate::static_checks::{Expected, writable_folders};
use engine::archive::{Archive, DPKG_STATUS, Entry, EntryKind, Layer};

pub(super) const STATIC_MANIFEST: &str = "app/staticfiles/staticfiles.json";
use engine::dockerfile::instructions;
use serde_json::{Value, json};

pub const VENV: &str = "opt/venv/lib/python3.12/site-packages";

/// What the good image is made of. It has its own numbers, to show that none is known beforehand;
/// the last stage isn't the image.
const DOCKERFILE: &str = "FROM ${BASE_IMAGE} AS base
HEALTHCHECK --interval=1s CMD true
EXPOSE 8000
FROM base AS image
HEALTHCHECK --interval=1m30s --timeout=10s --start-period=40s \\
    CMD [\"/usr/local/lib/container/healthcheck\"]
CMD [\"web\"]
FROM image AS other
HEALTHCHECK NONE
EXPOSE 9000
";

/// All but the files that the check of the application's files is tried with.
const GENERATED: [&str; 7] = [
    "app/*",
    "!app/__pycache__",
    "!app/manage.py",
    "!app/extra*",
    "!app/link",
    "!app/gone.txt",
    "!app/twin.py",
];

/// A file that only root can write.
pub fn file(size: u64) -> Entry {
    Entry { size, mode: 0o644, ..Entry::default() }
}

/// A folder that only root can write.
pub fn folder() -> Entry {
    Entry { kind: EntryKind::Folder, mode: 0o755, ..Entry::default() }
}

/// A folder that the application can write.
pub fn owned() -> Entry {
    Entry { uid: 1000, mode: 0o775, ..folder() }
}

fn layer(ours: bool, files: &[(&str, Entry)], texts: &[(&str, &str)]) -> Layer {
    let text = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
    let file = |(path, entry): &(&str, Entry)| ((*path).to_owned(), entry.clone());
    Layer {
        bytes: 1_000_000,
        ours,
        files: files.iter().map(file).collect(),
        texts: texts.iter().map(text).collect(),
        ..Layer::default()
    }
}

/// A base, the folders, the packages and the application, as docker/Dockerfile makes them.
pub fn good() -> (Archive, Expected) {
    let program = Entry { mode: 0o755, ..file(9) };
    let base = [
        (
            "bin",
            Entry { kind: EntryKind::Link, mode: 0o777, target: Some("usr/bin".into()), ..file(0) },
        ),
        ("usr/bin/pip3", program.clone()),
        ("usr/bin/su", Entry { mode: 0o4755, ..file(9) }),
        ("etc/passwd", file(900)),
        (DPKG_STATUS, file(2_000_000)),
        ("var/lib/apt/lists/lock", file(0)),
    ];
    let folders = [
        ("app", folder()),
        ("app/logs", owned()),
        ("app/media", owned()),
        ("var/lib/shop", owned()),
        ("var/log/shop", owned()),
        ("etc/passwd", file(940)),
    ];
    let packages = [
        ("opt", folder()),
        ("opt/venv", folder()),
        (&format!("{VENV}/web/a.py"), file(9)),
        (&format!("{VENV}/web/__pycache__/a.cpython-312.pyc"), file(9)),
        (&format!("{VENV}/web/example.pem"), Entry { secret: Some("a key"), ..file(9) }),
        (&format!("{VENV}/web-1.dist-info/RECORD"), file(9)),
        (DPKG_STATUS, file(2_000_100)),
    ];
    let entrypoint = "usr/local/lib/container/entrypoint.sh";
    let container = [("usr/local/lib/container", folder()), (entrypoint, program)];
    let app = [
        ("app", folder()),
        ("app/manage.py", Entry { content: Some("m".to_owned()), ..file(9) }),
        ("app/__pycache__/manage.cpython-312.pyc", file(9)),
        ("app/staticfiles", folder()),
        ("app/staticfiles/a.1f.css", file(9)),
        (STATIC_MANIFEST, file(9)),
    ];
    let debian = "Package: bash\nStatus: install ok installed\n\nPackage: gcc\nStatus: deinstall ok config-files\n";
    let libpq = format!("{debian}\nPackage: libpq5\nStatus: install ok installed\n");
    let record = format!("{VENV}/web-1.dist-info/RECORD");
    let layers = vec![
        layer(false, &base, &[(DPKG_STATUS, debian)]),
        layer(true, &folders, &[]),
        layer(
            true,
            &packages,
            &[(DPKG_STATUS, &libpq), (&record, "web/a.py,,\n\"web/example.pem\",,\n")],
        ),
        layer(true, &container, &[]),
        layer(true, &app, &[(STATIC_MANIFEST, r#"{"paths": {"a.css": "a.1f.css"}}"#)]),
    ];
    let labels = json!({
        "org.opencontainers.image.title": "Shop",
        "org.opencontainers.image.description": "A shop",
        "org.opencontainers.image.version": "1.2.3",
        "org.opencontainers.image.authors": "us",
        "org.opencontainers.image.url": "https://shop.example",
        "org.opencontainers.image.source": "https://git.example/shop",
        "org.opencontainers.image.licenses": "MIT",
        "org.opencontainers.image.vendor": "us",
        "org.opencontainers.image.created": "2026-11-24T06:03:30Z",
        "org.opencontainers.image.revision": "a".repeat(40),
        "org.opencontainers.image.base.name": "docker.io/library/python:3.12-slim-bookworm",
        "org.opencontainers.image.base.digest": format!("sha256:{}", "b".repeat(64)),
    });
    let seconds = |n: u64| n * 1_000_000_000;
    let config = json!({
        "os": "linux",
        "architecture": "amd64",
        "config": {
            "User": "1000:1000",
            "Entrypoint": ["/usr/local/lib/container/entrypoint.sh"],
            "Cmd": ["web"],
            "WorkingDir": "/app",
            "ExposedPorts": {"8000/tcp": {}},
            "Env": ["PATH=/opt/venv/bin:/usr/bin", "GPG_KEY=71696", "REQUIRED_ENVIRONMENT=SECRET_KEY"],
            "Labels": labels,
            "Healthcheck": {
                "Test": ["CMD", "/usr/local/lib/container/healthcheck"],
                "Interval": seconds(90),
                "Timeout": seconds(10),
                "StartPeriod": seconds(40),
                "Retries": 3,
            },
        },
        "history": [{"created_by": "RUN |1 APP_MODULE=shop /bin/sh -c uv sync --frozen"}],
    });
    let built_from = [("app/manage.py", "m"), ("app/uv.lock", "u"), ("docker/Dockerfile", "d")];
    let built_from = built_from.map(|(path, sha256)| (path.to_owned(), sha256.to_owned())).into();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let labels = labels.as_object().into_iter().flatten();
    let expected = Expected {
        labels: labels.map(|(name, value)| (name.clone(), text(value))).collect(),
        size_budget: Some(5_000_000),
        max_layers: Some(5),
        prefix: "app/".to_owned(),
        runtime: "docker".to_owned(),
        static_root: "staticfiles".to_owned(),
        hashed_static: true,
        platform: Some("linux/amd64".into()),
        writable: writable_folders("shop"),
        allow_secrets: vec!["app/public.key".into()],
        dockerfile: (instructions(DOCKERFILE), Some("image".to_owned())),
        built_from: Some(Ok(built_from)),
        generated: GENERATED.map(str::to_owned).to_vec(),
        ignore: "*\n!app\n**/__pycache__/\n**/staticfiles/\n**/tests/\n**/.env*\n".into(),
    };
    (Archive { config, layers, found: Vec::new() }, expected)
}
