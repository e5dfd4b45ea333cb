//! Beginnings of files that only secrets have, for the gate: keys, tokens and databases, told from
//! code that merely mentions them.

/// So many bytes are enough to tell a database.
pub const MAGIC: u64 = SQLITE.len() as u64;

const SQLITE: &[u8] = b"SQLite format 3\0";

/// A token that begins with `prefix`, which no letter, digit or `_` stands before.
struct Token {
    prefix: &'static str,
    /// The characters after the prefix.
    of: fn(u8) -> bool,
    /// So many of them make a token.
    least: usize,
    /// True when more of them make it something else.
    exact: bool,
    reason: &'static str,
}

const fn token(prefix: &'static str, least: usize, reason: &'static str) -> Token {
    Token { prefix, of: word, least, exact: false, reason }
}

const GITHUB: &str = "a token of GitHub";
const SLACK: &str = "a token of Slack";

const TOKENS: &[Token] = &[
    Token { prefix: "AKIA", of: capital, least: 16, exact: true, reason: "a key of AWS" },
    Token {
        prefix: "AGE-SECRET-KEY-1",
        of: capital,
        least: 40,
        exact: false,
        reason: "a key of age",
    },
    token("ghp_", 30, GITHUB),
    token("gho_", 30, GITHUB),
    token("ghu_", 30, GITHUB),
    token("ghs_", 30, GITHUB),
    token("ghr_", 30, GITHUB),
    token("github_pat_", 22, GITHUB),
    token("glpat-", 20, "a token of GitLab"),
    token("npm_", 36, "a token of npm"),
    token("pypi-AgEI", 40, "a token of PyPI"),
    token("sk_live_", 20, "a key of Stripe"),
    token("rk_live_", 20, "a key of Stripe"),
    token("xoxb-", 10, SLACK),
    token("xoxa-", 10, SLACK),
    token("xoxp-", 10, SLACK),
    token("xoxr-", 10, SLACK),
    token("xoxs-", 10, SLACK),
];

fn capital(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

const PUTTY: &str = "PuTTY-User-Key-File-";
const SERVICE_ACCOUNT: &str = "\"service_account\"";
const AUTH_TOKEN: &str = ":_authToken";
const PRIVATE_KEY: &str = "PRIVATE KEY";

/// Why `head`, the beginning of a file, looks like a secret; `None` when it does not.
pub fn judge(head: &[u8]) -> Option<&'static str> {
    if head.starts_with(SQLITE) {
        return Some("a database of SQLite");
    }
    // Nearly every file has none of these words: an image has tens of thousands of files.
    let words = [PUTTY, SERVICE_ACCOUNT, AUTH_TOKEN, PRIVATE_KEY];
    let mut words = words.into_iter().chain(TOKENS.iter().map(|token| token.prefix));
    if !words.any(|word| memchr::memmem::find(head, word.as_bytes()).is_some()) {
        return None;
    }
    let text = String::from_utf8_lossy(head);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    if text.starts_with(PUTTY) {
        return Some("a private key of PuTTY");
    }
    if private_key(text) {
        return Some("a private key");
    }
    if service_account(text) {
        return Some("a key of a service account");
    }
    if registry_login(text) {
        return Some("a token of a package registry");
    }
    TOKENS.iter().find(|token| token.is_in(text)).map(|token| token.reason)
}

impl Token {
    fn is_in(&self, text: &str) -> bool {
        text.match_indices(self.prefix).any(|(at, _)| {
            let before = text[..at].bytes().next_back();
            let rest = &text.as_bytes()[at + self.prefix.len()..];
            let length = rest.iter().take_while(|&&byte| (self.of)(byte)).count();
            let next = rest.get(length).copied();
            let joined = |byte: Option<u8>| {
                byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            };
            // `ghp_your_token_goes_here` in a text has no digit.
            let digit = self.exact || rest[..length].iter().any(u8::is_ascii_digit);
            let long = if self.exact { length == self.least } else { length >= self.least };
            long && digit && !joined(before) && !(self.exact && joined(next))
        })
    }
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
/// holds no `private_key` beside it.
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
fn registry_login(text: &str) -> bool {
    text.lines().any(|line| {
        let value =
            line.trim_start().strip_prefix("//").and_then(|rest| rest.split_once(AUTH_TOKEN));
        let value = value.and_then(|(_, value)| value.trim_start().strip_prefix('='));
        value.is_some_and(|value| !value.trim().is_empty() && !value.trim().starts_with("${"))
    })
}

/// True when `bytes` are one or more certificates and nothing that could be a key: beside the
/// blocks stand only remarks, as in the bundles of authorities.
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
