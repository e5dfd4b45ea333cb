//! Beginnings of files that only secrets have, for the gate: keys, tokens and databases, told from
//! code that merely mentions them.

use super::tokens;

/// So many bytes are enough to tell a database or a dump of one.
pub const MAGIC: u64 = 512;

/// What databases and their dumps begin with, by the source or manual of the program that writes
/// it; the texts may have a line or two of remarks before them.
const DATABASES: &[(&[u8], &str)] = &[
    (b"SQLite format 3\0", "a database of SQLite"),
    (b"PGDMP", "a dump of PostgreSQL"),
    (b"REDIS00", "a dump of Redis"),
];
const DUMPS: &[(&str, &str)] = &[
    ("-- PostgreSQL database dump", "a dump of PostgreSQL"),
    ("-- PostgreSQL database cluster dump", "a dump of PostgreSQL"),
    ("-- MySQL dump ", "a dump of MySQL"),
    ("-- MariaDB dump ", "a dump of MariaDB"),
    ("-- mysqldump ", "a dump of MySQL"),
    ("PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;", "a dump of SQLite"),
];
/// Words that a dump with rows has, and one of the tables alone has not.
const ROWS: [&str; 4] = ["\nCOPY ", "INSERT INTO ", "CREATE ROLE ", "REPLACE INTO "];

fn base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

const PUTTY: &str = "PuTTY-User-Key-File-";
const SERVICE_ACCOUNT: &str = "\"service_account\"";
const AUTH_TOKEN: &str = ":_authToken";
const PRIVATE_KEY: &str = "PRIVATE KEY";
const AUTHS: &str = "\"auths\"";
const CLUSTERS: &str = "clusters";

/// Why `head`, the beginning of a file, looks like a secret; `None` when it does not. `whole`:
/// there is no more of it.
pub fn judge(head: &[u8], whole: bool) -> Option<&'static str> {
    if let Some(reason) = database(head, whole) {
        return Some(reason);
    }
    // Nearly every file has none of these words: an image has tens of thousands of files.
    let words = [PUTTY, SERVICE_ACCOUNT, AUTH_TOKEN, PRIVATE_KEY, AUTHS, CLUSTERS];
    if words.into_iter().any(|word| memchr::memmem::find(head, word.as_bytes()).is_some()) {
        let text = String::from_utf8_lossy(head);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let rules: [(bool, &str); 6] = [
            (text.starts_with(PUTTY), "a private key of PuTTY"),
            (private_key(text), "a private key"),
            (service_account(text), "a key of a service account"),
            (package_login(text), "a token of a package registry"),
            (registry_login(text), "logins of registries"),
            (cluster_login(text), "credentials of a cluster"),
        ];
        if let Some((_, reason)) = rules.into_iter().find(|(found, _)| *found) {
            return Some(reason);
        }
    }
    tokens::find(head)
}

/// A database or a dump of one, whatever its name.
fn database(head: &[u8], whole: bool) -> Option<&'static str> {
    if let Some((_, reason)) = DATABASES.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(reason);
    }
    let start = &head[..head.len().min(MAGIC as usize)];
    let has = |text: &[u8], word: &str| memchr::memmem::find(text, word.as_bytes()).is_some();
    // A dump begins with a remark or a pragma, code that mentions one seldom does.
    if !matches!(
        start.trim_ascii_start(),
        [b'-', b'-', ..] | [b'/', b'*', b'!' | b'M', ..] | [b'P', b'R', ..]
    ) {
        return None;
    }
    let (_, reason) = DUMPS.iter().find(|(mark, _)| has(start, mark))?;
    (!whole || ROWS.iter().any(|word| has(head, word))).then_some(*reason)
}

/// True for JSON with logins as `docker login` and `podman login` write it.
fn registry_login(text: &str) -> bool {
    text.contains(AUTHS)
        && ["auth", "identitytoken", "registrytoken", "password"].iter().any(|name| {
            values(text, &format!("\"{name}\""))
                .any(|(quoted, value)| quoted && value.len() >= 8 && !placeholder(value))
        })
}

/// True for a kubeconfig with a key, a token or a password.
fn cluster_login(text: &str) -> bool {
    let either = |name: &str| {
        let quoted = format!("\"{name}\"");
        values(text, name).chain(values(text, &quoted)).collect::<Vec<_>>()
    };
    either("kind").iter().any(|(_, kind)| *kind == "Config")
        && ["client-key-data", "token", "password", "id-token", "refresh-token"]
            .iter()
            .flat_map(|name| either(name))
            .any(|(_, value)| value.len() >= 8 && !placeholder(value))
}

/// The word after each `name` and a colon, without its quotes, and whether it has them.
fn values<'t>(text: &'t str, name: &str) -> impl Iterator<Item = (bool, &'t str)> + use<'t> {
    let name = name.to_owned();
    let places: Vec<usize> = text.match_indices(&name).map(|(at, _)| at).collect();
    places.into_iter().filter_map(move |at| {
        let alone = !text[..at].ends_with(|c: char| c.is_alphanumeric() || "-_\"".contains(c));
        let value = text[at + name.len()..].trim_start().strip_prefix(':')?;
        let value = value.trim_start_matches([' ', '\t']);
        let quote = value.chars().next().filter(|first| "\"'".contains(*first));
        let ends = |c: char| quote.map_or(c.is_whitespace() || c == ',', |quote| c == quote);
        let word = value.trim_start_matches(['"', '\'']).split(ends).next()?;
        alone.then_some((quote.is_some(), word))
    })
}

/// A variable, or a word that stands for the real one.
fn placeholder(value: &str) -> bool {
    value.starts_with(['$', '<', '{', '.']) || value.to_ascii_lowercase().contains("example")
}

/// True when a header of a private key stands in `text` and is followed by a key.
fn private_key(text: &str) -> bool {
    text.match_indices("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----")
        .any(|(at, header)| starts_line(text, at) && key_follows(&text[at + header.len()..], 16))
        || text.match_indices("-----BEGIN ").any(|(at, begin)| {
            let label = &text[at + begin.len()..];
            let label = label.split(['\n', '\r']).next().unwrap_or(label);
            let Some(end) = label.find("-----") else { return false };
            let header = at + begin.len() + end + "-----".len();
            let private = [PRIVATE_KEY, "PRIVATE KEY BLOCK"];
            // Within a line the header is code or JSON; a real key then has a long line behind it.
            let least = if starts_line(text, at) { 16 } else { 40 };
            private.iter().any(|words| label[..end].ends_with(words))
                && key_follows(&text[header..], least)
        })
}

/// True when only spaces stand before `at` in its line.
fn starts_line(text: &str, at: usize) -> bool {
    let line = text[..at].rsplit(['\n', '\r']).next().unwrap_or_default();
    line.bytes().all(|byte| byte == b' ' || byte == b'\t')
}

/// True when `rest`, what follows a header, goes on with a line of at least `least` characters of
/// base64. Lines `Name: value` and empty ones come before it in encrypted keys and those of PGP. A
/// line may also end as in a JSON text, with a backslash and an `n`.
fn key_follows(rest: &str, least: usize) -> bool {
    let near = rest.char_indices().nth(2000).map_or(rest, |(end, _)| &rest[..end]);
    let rest = near.replace("\\r", "").replace("\\n", "\n").replace('\r', "\n");
    let Some(rest) = rest.strip_prefix('\n') else { return false };
    let between = |line: &&str| line.trim().is_empty() || line.contains(": ");
    let Some(line) = rest.split('\n').take(10).find(|line| !between(line)) else { return false };
    let line = line.trim();
    let length = line.bytes().take_while(|&byte| base64(byte)).count();
    // `YOURKEYHERE` in a text is no key: a key has letters of both kinds.
    let mixed = |kind: fn(&u8) -> bool| line.as_bytes()[..length].iter().any(kind);
    length >= least
        && (least > 16 || length == line.len())
        && mixed(u8::is_ascii_lowercase)
        && mixed(u8::is_ascii_uppercase)
}

/// True for the JSON that Google gives for a service account; code that compares with its type
/// has no `private_key`.
fn service_account(text: &str) -> bool {
    let typed = text.match_indices("\"type\"").any(|(at, name)| {
        text[at + name.len()..]
            .trim_start()
            .strip_prefix(':')
            .is_some_and(|value| value.trim_start().starts_with(SERVICE_ACCOUNT))
    });
    typed && (text.trim_start().starts_with('{') || text.contains("\"private_key\""))
}

/// True when a line of npm's settings holds a token, and not the name of a variable.
fn package_login(text: &str) -> bool {
    text.lines().any(|line| {
        let value =
            line.trim_start().strip_prefix("//").and_then(|rest| rest.split_once(AUTH_TOKEN));
        let value = value.and_then(|(_, value)| value.trim_start().strip_prefix('='));
        value.is_some_and(|value| !value.trim().is_empty() && !value.trim().starts_with("${"))
    })
}

/// True when `bytes` are one or more certificates and nothing that could be a key: between the
/// blocks are only remarks, as in the bundles of authorities.
pub fn only_certificates(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let (mut inside, mut blocks) = (false, 0);
    for line in text.lines().map(str::trim) {
        if let Some(label) = line.strip_prefix("-----BEGIN ").and_then(|l| l.strip_suffix("-----"))
        {
            if inside
                || !["CERTIFICATE", "TRUSTED CERTIFICATE", "X509 CERTIFICATE"].contains(&label)
            {
                return false;
            }
            (inside, blocks) = (true, blocks + 1);
        } else if line.starts_with("-----END ") {
            inside = false;
        } else {
            let key = || line.contains("-----BEGIN") || looks_like_key(line);
            let wrong = if inside { !line.bytes().all(base64) } else { key() };
            if wrong {
                return false;
            }
        }
    }
    blocks > 0 && !inside
}

/// True for a line that is one long run of base64 and no underline of `=`.
fn looks_like_key(line: &str) -> bool {
    line.len() >= 16 && line.bytes().all(base64) && line.bytes().any(|byte| byte != b'=')
}
