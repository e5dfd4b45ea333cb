//! Tests of the gate: planted secrets are caught or never in the context, and ordinary files pass.

mod tables;

use std::fs;
use std::path::Path;

use super::SHOWN;
use crate::context::{ContextFile, files, read_ignore};
use crate::snapshot;
use process::failure::{Exit, describe};
use tables::{ORDINARY_NAMES, SECRET_NAMES};

/// The repository's own ignore file.
const OURS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../.dockerignore"));

/// An ignore file written without secrets in mind.
const CARELESS: &str = "*\n!app\n";

const DEPTHS: [&str; 3] = ["app", "app/trading", "app/trading/deep/er"];

fn write(root: &Path, path: &str, content: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// A root with `ignore` and the files `paths` in it.
fn tree(ignore: &str, paths: &[String]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), ".dockerignore", ignore);
    for path in paths {
        write(folder.path(), path, "harmless\n");
    }
    folder
}

fn context(root: &Path) -> Vec<ContextFile> {
    files(root, &read_ignore(root, ".dockerignore", &[]).unwrap()).unwrap()
}

fn gate(root: &Path, files: &[ContextFile], allow: &[String]) -> anyhow::Result<()> {
    let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    super::gate(&snapshot::read(root, &paths, None)?, allow)
}

fn everywhere(names: &[&str]) -> Vec<String> {
    DEPTHS.iter().flat_map(|at| names.iter().map(move |name| format!("{at}/{name}"))).collect()
}

/// What the gate says about one file at app/NAME: the reason, or `None`.
fn said(name: &str, content: impl AsRef<[u8]>) -> Option<String> {
    let folder = tree(CARELESS, &[]);
    let path = format!("app/{name}");
    write(folder.path(), &path, content);
    let error = gate(folder.path(), &context(folder.path()), &[]).err()?;
    let (exit, help) = describe(&error);
    assert_eq!(exit, Exit::Check, "{error}");
    Some(help[0].strip_prefix(&format!("{path}: ")).unwrap().to_owned())
}

#[test]
fn our_ignore_file_keeps_every_planted_secret_out() {
    assert!(SECRET_NAMES.len() >= 40);
    // Certificates are public: whether there is one in it, only its content tells.
    let names: Vec<&str> = SECRET_NAMES.iter().copied().filter(|n| *n != "server.pem").collect();
    let folder = tree(OURS, &everywhere(&names));
    assert_eq!(context(folder.path()), []);
    let folder = tree(OURS, &["app/server.pem".to_owned()]);
    assert!(gate(folder.path(), &context(folder.path()), &[]).is_err());
}

#[test]
fn the_gate_catches_every_planted_secret() {
    let mut planted = everywhere(SECRET_NAMES);
    // Our ignore file can't list it: that would also leave out a folder of code with this name.
    planted.push("app/token".to_owned());
    let folder = tree(CARELESS, &planted);
    let found = context(folder.path());
    assert_eq!(found.len(), planted.len());
    for file in &found {
        let error = gate(folder.path(), std::slice::from_ref(file), &[]);
        let error = error.expect_err(&format!("{} passed", file.path));
        assert_eq!(describe(&error).0, Exit::Check);
        assert_eq!(error.to_string(), "checking the build context: 1 file looks like a secret");
    }
    let error = gate(folder.path(), &found, &[]).unwrap_err();
    let (exit, help) = describe(&error);
    let n = planted.len();
    assert_eq!(exit, Exit::Check);
    assert_eq!(
        error.to_string(),
        format!("checking the build context: {n} files look like secrets")
    );
    assert_eq!(help.len(), SHOWN + 3);
    assert_eq!(help[SHOWN], format!("and {} more", n - SHOWN));
    assert!(help[SHOWN + 1].contains(".dockerignore"), "{help:?}");
    assert!(help[SHOWN + 2].contains("allow_secrets"), "{help:?}");
}

#[test]
fn capital_letters_hide_no_secret() {
    for name in ["SERVER.KEY", ".ENV", "Id_Rsa", "DB.SQLITE3", ".AWS/x", "Credentials.JSON"] {
        assert!(said(name, "harmless").is_some(), "{name}");
    }
}

#[test]
fn a_description_of_a_kind_of_file_is_none() {
    // Debian's shared-mime-info.
    assert_eq!(said("vnd.sqlite3.xml", "<mime-type type=\"application/vnd.sqlite3\"/>"), None);
}

#[test]
fn ordinary_files_pass_and_stay_in() {
    let ordinary = everywhere(ORDINARY_NAMES);
    for ignore in [OURS, CARELESS] {
        let folder = tree(ignore, &ordinary);
        let found = context(folder.path());
        if ignore == CARELESS {
            assert_eq!(found.len(), ordinary.len());
        } else {
            // One that we leave out although the gate would not mind.
            let out = |path: &&String| !found.iter().any(|file| file.path == **path);
            let out: Vec<_> = ordinary.iter().filter(out).collect();
            assert!(out.iter().all(|path| path.ends_with("/id_rsa_form.py")), "{out:?}");
        }
        gate(folder.path(), &found, &[]).unwrap();
    }
}

#[test]
fn logins_and_dumps_are_told_by_their_content() {
    let auths = |entry: &str| format!("{{\n \"auths\": {{\"r.example\": {{{entry}}}}}\n}}\n");
    let cluster = |user: &str| {
        format!(
            "apiVersion: v1\nkind: Config\nclusters: []\nusers:\n- name: me\n  user:\n    {user}\n"
        )
    };
    let postgres = "--\n-- PostgreSQL database dump\n--\n\nSET statement_timeout = 0;\n";
    let mysql = "-- MySQL dump 10.13  Distrib 8.0\n";
    let caught: Vec<(String, &str)> = vec![
        (auths("\"auth\": \"bWU6d29yZA==\""), "logins of registries"),
        (auths("\"auth\":\"bWU6d29yZA==\"").replace(['\n', ' '], ""), "logins of registries"),
        (auths("\"identitytoken\": \"abcdefgh-ijk\""), "logins of registries"),
        (cluster("client-key-data: LS0tLS1C"), "credentials of a cluster"),
        (cluster("token: abcdefghijk"), "credentials of a cluster"),
        (cluster("password: 'abcdefgh'"), "credentials of a cluster"),
        (
            "{\"kind\": \"Config\", \"clusters\": [],\n\"token\": \"abcdefghijk\"}".into(),
            "credentials of a cluster",
        ),
        (format!("{postgres}COPY public.a (id) FROM stdin;\n1\n\\.\n"), "a dump of PostgreSQL"),
        (format!("{postgres}{}", "x\n".repeat(600 << 10)), "a dump of PostgreSQL"),
        (format!("{mysql}INSERT INTO `a` VALUES (1);\n"), "a dump of MySQL"),
        (
            "/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump 10\nINSERT INTO a VALUES (1);".to_owned(),
            "a dump of MariaDB",
        ),
        (
            "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nINSERT INTO a VALUES(1);\n".into(),
            "a dump of SQLite",
        ),
        ("PGDMP\u{1}\u{e}".into(), "a dump of PostgreSQL"),
        ("REDIS0011\u{fa}".into(), "a dump of Redis"),
        (
            format!("data:\n  .dockerconfigjson: eyJhdXRocyI6{}\n", "a1B2".repeat(12)),
            "logins of registries in Base64",
        ),
        (
            format!("tls.key: LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0t{}\n", "a1B2".repeat(20)),
            "a private key in Base64",
        ),
    ];
    for (content, reason) in caught {
        assert_eq!(said("notes", &content).as_deref(), Some(reason), "{}", &content[..40]);
    }
    let harmless = [
        auths(""),
        auths("\"auth\": \"\""),
        auths("\"auth\": \"${LOGIN_OF_CI}\""),
        cluster("exec: {command: aws}"),
        cluster("token: ${CLUSTER_TOKEN}"),
        "kind: ConfigMap\nclusters: 3\ntoken: abcdefghijk\n".to_owned(),
        "config = {\"auths\": {registry: {\"auth\": encoded}}}\n".to_owned(),
        // The tables alone, as some projects keep them in git.
        format!("{postgres}CREATE TABLE a (id int);\n"),
        "import re\nDUMP = re.compile('-- MySQL dump ')\nINSERT INTO \n".to_owned(),
        "-- Adds a column\nINSERT INTO a VALUES (1);\n".to_owned(),
    ];
    for content in harmless {
        assert_eq!(said("notes", &content), None, "{content}");
    }
}

/// A body as PEM has it; no real key.
fn body() -> String {
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n".repeat(3)
}

fn pem(label: &str) -> String {
    format!("-----BEGIN {label}-----\n{}-----END {label}-----\n", body())
}

#[test]
fn contents_give_secrets_away() {
    let key = pem("PRIVATE KEY");
    let digits = "1234567890".repeat(6);
    let database = [b"SQLite format 3\0".as_slice(), &[0; 100]].concat();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("key", key.clone().into()),
        ("notes.txt", pem("RSA PRIVATE KEY").into()),
        ("ec", pem("EC PRIVATE KEY").into()),
        ("locked", pem("ENCRYPTED PRIVATE KEY").into()),
        ("deploy", pem("OPENSSH PRIVATE KEY").into()),
        ("pgp.asc", pem("PGP PRIVATE KEY BLOCK").replace("-----\nM", "-----\n\nM").into()),
        (
            "old",
            key.replace("-----\nM", "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: x: y\n\nM").into(),
        ),
        ("crlf", key.replace('\n', "\r\n").into()),
        ("values.yml", format!("a:\n  key: |\n{}", key.replace("-----B", "    -----B")).into()),
        ("a.json", format!("{{\"k\": \"{}\"}}", key.replace('\n', "\\n")).into()),
        ("code.py", format!("KEY = \"\"\"{key}\"\"\"\n").into()),
        ("chain.crt", format!("{}{key}", pem("CERTIFICATE")).into()),
        (
            "ssh2",
            key.replace(
                "-----BEGIN PRIVATE KEY-----",
                "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----",
            )
            .into(),
        ),
        ("login", "PuTTY-User-Key-File-3: ssh-ed25519\n".into()),
        ("google", b"{\n \"type\" : \"service_account\"\n}".to_vec()),
        ("data.bin", database.clone()),
        ("data.big", [database, vec![0; 2 << 20]].concat()),
        ("aws.txt", format!("id={}{}\n", "AKIA", "ABCDEFGH12345678").into()),
        ("a.py", format!("T = '{}{digits}'", "ghp_").into()),
        ("b.py", format!("T = '{}{digits}'", "github_pat_").into()),
        ("c.py", format!("T = '{}{digits}'", "xoxb-").into()),
        ("d.py", format!("T = '{}{digits}'", "xoxp-").into()),
        ("npmrc", format!("//registry.npmjs.org/:_auth{}=abc\n", "Token").into()),
        ("e.py", format!("T = '{}{digits}'", "glpat-").into()),
        ("f.py", format!("T = '{}{digits}'", "npm_").into()),
        ("g.py", format!("T = '{}{digits}'", "pypi-AgEI").into()),
        ("h.py", format!("T = '{}{digits}'", "sk_live_").into()),
        ("i.py", format!("T = '{}{digits}'", "rk_live_").into()),
        ("j.py", format!("T = '{}{digits}'", "xoxa-").into()),
        ("k.py", format!("T = '{}{digits}'", "xoxr-").into()),
        ("l.py", format!("T = '{}{digits}'", "xoxs-").into()),
        ("m.py", format!("T = '{}{digits}'", "gho_").into()),
        ("n.py", format!("T = '{}{digits}'", "ghu_").into()),
        ("o.py", format!("T = '{}{digits}'", "ghs_").into()),
        ("p.py", format!("T = '{}{digits}'", "ghr_").into()),
        ("age.txt", format!("# x\n{}1{}\n", "AGE-SECRET-KEY-", "QPZRY9X8".repeat(7)).into()),
    ];
    for (name, content) in cases {
        let reason = said(name, &content);
        assert!(reason.is_some(), "{name} passed");
        // A message may tell what kind of secret it is, never what is in it.
        let reason = reason.unwrap();
        assert!(!reason.contains("MIIE") && !reason.contains("1234"), "{reason}");
    }
}

#[test]
fn code_that_mentions_secrets_passes() {
    let cases = [
        "PREFIX = '-----BEGIN PRIVATE KEY-----'\nif text.startswith(PREFIX):\n    pass\n",
        "\"\"\"\n-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----\n\"\"\"\n",
        "-----BEGIN PRIVATE KEY-----\nYOURPRIVATEKEYHERE\n-----END PRIVATE KEY-----\n",
        "key = f'-----BEGIN RSA PRIVATE KEY-----\\n{body}\\n-----END RSA PRIVATE KEY-----'\n",
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA\n",
        "if data == {\"type\": \"service_account\"}:\n    pass\n",
        "AWS = re.compile('AKIA[0-9A-Z]{16}')\nprefixes = ('ghp_', 'xoxb-', 'AKIA')\n",
        "xAKIAABCDEFGH12345678\nAKIAABCDEFGH123456789\nAKIAABCDEFGH12345678x\n",
        "key = '-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBgkqhk\\n-----END PRIVATE KEY-----'\n",
        "GITHUB = 'ghp_your_token_goes_here_instead_of_this'\n",
        "//registry.npmjs.org/:_authToken=${NPM_TOKEN}\n",
        "magic = b'SQLite format 3\\0'\nputty = 'PuTTY-User-Key-File-2'\n",
        "AGE = 'AGE-SECRET-KEY-1'\n",
    ];
    for content in cases {
        assert_eq!(said("code.py", content), None, "{content}");
    }
}

#[test]
fn certificates_are_public_and_keys_beside_them_are_not() {
    let certificate = pem("CERTIFICATE");
    for name in ["server.pem", "server.key", "server.crt", "server.cert"] {
        assert_eq!(said(name, &certificate), None, "{name}");
        assert_eq!(
            said(name, format!("# An authority\n====================\n{certificate}{certificate}")),
            None
        );
        assert!(said(name, format!("{certificate}{}", pem("PRIVATE KEY"))).is_some(), "{name}");
    }
    for content in ["", "text", &certificate[..100], &pem("PUBLIC KEY"), &body()] {
        assert!(said("server.pem", content).is_some(), "{content}");
    }
    assert!(said("server.pem", format!("{certificate}{}", body())).is_some());
    // Behind the first 64 KiB, where other files are not read.
    let long = certificate.clone() + &"#\n".repeat(40 << 10) + &pem("PRIVATE KEY");
    assert!(long.len() > 64 << 10 && long.len() < 1 << 20);
    assert!(said("bundle.pem", long).is_some());
    let large = certificate.clone() + &"#\n".repeat(600 << 10) + &pem("PRIVATE KEY");
    assert!(said("large.pem", large).is_some());
}

#[test]
fn only_the_beginning_of_a_file_is_judged() {
    let key = pem("PRIVATE KEY");
    assert!(said("a.txt", format!("{}\n{key}", "x".repeat(60 << 10))).is_some());
    assert_eq!(said("a.txt", format!("{}\n{key}", "x".repeat(65 << 10))), None);
    // Of a large file less: enough to tell a database.
    assert_eq!(said("a.txt", format!("{}\n{key}{}", "x".repeat(600), "x".repeat(1 << 20))), None);
}

#[test]
fn links_are_judged_by_name_and_sockets_always() {
    let folder = tree(CARELESS, &["app/code.py".to_owned()]);
    let root = folder.path();
    write(root, "outside", pem("PRIVATE KEY"));
    write(root, "authority", pem("CERTIFICATE"));
    std::os::unix::fs::symlink("../outside", root.join("app/link")).unwrap();
    gate(root, &context(root), &[]).unwrap();
    std::os::unix::fs::symlink("../authority", root.join("app/server.key")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("app/socket")).unwrap();
    let error = gate(root, &context(root), &[]).unwrap_err();
    let (_, help) = describe(&error);
    assert_eq!(help[0], "app/server.key: the name of a private key");
    assert_eq!(help[1], "app/socket: a socket, a pipe or a device");
}

#[test]
fn what_is_allowed_passes_and_nothing_else() {
    let names = ["dev.key", ".env.example", "fixtures/id_rsa", "other.key"];
    let folder = tree(CARELESS, &everywhere(&names));
    let root = folder.path();
    let allow = |texts: &[&str]| {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        gate(root, &context(root), &texts)
    };
    allow(&["**/*.key", "**/.env.example", "**/fixtures/"]).unwrap();
    allow(&["app"]).unwrap();
    let error =
        allow(&["**/.env.example", "**/fixtures", "**/dev.key", "app/other.key"]).unwrap_err();
    let (exit, help) = describe(&error);
    assert_eq!(exit, Exit::Check);
    assert!(help[0].starts_with("app/trading/deep/er/other.key: "), "{help:?}");
    assert!(help[1].starts_with("app/trading/other.key: "), "{help:?}");
    assert_eq!(help.len(), 4);
    for refused in ["!app/dev.key", "", "# x", "a**", "../x"] {
        let error = allow(&[refused]).unwrap_err();
        assert_eq!(describe(&error).0, Exit::Usage, "{refused}");
        assert!(error.to_string().starts_with("reading docker/image.toml: allow_secrets, `"));
    }
}
