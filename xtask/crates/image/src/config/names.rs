//! Names that another program would refuse in the middle of a build, or read as something else. Each
//! check says what is wrong with a text; `None` means nothing.

/// The users of Debian's base-passwd, which every base image has.
const SYSTEM_USERS: [&str; 19] = [
    "_apt", "backup", "bin", "daemon", "games", "gnats", "irc", "list", "lp", "mail", "man",
    "news", "nobody", "proxy", "root", "sync", "sys", "uucp", "www-data",
];

/// A name for the user 1000:1000 that `useradd` adds to the base (useradd(8), portable names).
pub(super) fn user(text: &str) -> Option<String> {
    let first = |c: char| c.is_ascii_lowercase() || c == '_';
    let rest = |c: char| first(c) || c.is_ascii_digit() || c == '-';
    let named = text.starts_with(first) && text.chars().all(rest) && text.len() <= 32;
    if SYSTEM_USERS.contains(&text) {
        return Some(format!("the base image already has a user `{text}`: choose another name"));
    }
    let what = "a name for the user 1000:1000: a lower-case letter or `_`, then also digits and `-`, \
                at most 32";
    (!named).then(|| format!("`{text}` isn't {what}"))
}

/// The name of an environment variable or a build argument, as a shell and a Dockerfile read it.
pub fn variable(text: &str) -> Option<String> {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let named = text.chars().all(part) && !text.starts_with(|c: char| c.is_ascii_digit());
    (!named || text.is_empty())
        .then(|| format!("`{text}` can't be a variable: letters, digits and `_`, no digit first"))
}

/// A Python package: one identifier.
pub(super) fn module(text: &str) -> Option<String> {
    let named = identifier(text);
    (!named).then(|| format!("`{text}` is no Python package: letters, digits and `_`"))
}

/// `package.module:attribute`.
pub(super) fn application(text: &str) -> Option<String> {
    let named = text.split_once(':').is_some_and(|(module, attribute)| {
        module.split('.').all(identifier) && attribute.split('.').all(identifier)
    });
    (!named).then(|| format!("`{text}` is no application: write it as `package.asgi:application`"))
}

/// A server that `docker/entrypoint.sh` knows for the role `web`.
pub(super) fn web_server(text: &str) -> Option<String> {
    (!["daphne", "uvicorn"].contains(&text))
        .then(|| format!("unknown server `{text}`: daphne or uvicorn"))
}

/// A Python module: identifiers with dots between them.
pub(super) fn dotted(text: &str) -> Option<String> {
    let named = text.split('.').all(identifier);
    (!named).then(|| format!("`{text}` is no Python module: write it as `package.settings`"))
}

/// What Celery's option `-A` takes.
pub(super) fn celery(text: &str) -> Option<String> {
    let named = text.splitn(2, ':').all(|part| part.split('.').all(identifier));
    (!named)
        .then(|| format!("`{text}` is no Celery application: `package`, or `package.module:app`"))
}

/// A Debian package (policy manual, 5.6.7), with a version if one is asked for.
pub(super) fn debian(text: &str) -> Option<String> {
    let (name, version) = text.split_once('=').unwrap_or((text, "1"));
    let part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
    let version_part = |c: char| c.is_ascii_alphanumeric() || ".+-:~".contains(c);
    let named = name.len() > 1 && name.chars().all(part) && !name.starts_with(['+', '-', '.']);
    let named = named && !version.is_empty() && version.chars().all(version_part);
    (!named).then(|| format!("`{text}` is no Debian package: small letters, digits, `+`, `-`, `.`"))
}

/// An environment: a tag that no release has.
pub(super) fn environment(text: &str) -> Option<String> {
    let part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let named = text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(part);
    let free = crate::tags::Rules { environments: Vec::new(), ..crate::tags::Rules::default() };
    if named && text.len() <= 64 && !crate::tags::given(text, &free) {
        return None;
    }
    Some(format!(
        "`{text}` can't be an environment: small letters, digits and `-`, at most 64, and no name of a \
         release or a commit"
    ))
}

/// A management command with its arguments: words that no shell reads as anything else.
pub(super) fn command(text: &str) -> Option<String> {
    let part = |c: char| c.is_ascii_alphanumeric() || " -_.,:=/@+".contains(c);
    let named = text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(part);
    (!named).then(|| {
        format!("`{text}` is no management command: words of letters, digits and `-_.,:=/@+`, as after manage.py")
    })
}

/// A Python package, a dependency group or an extra.
pub(super) fn python(text: &str) -> Option<String> {
    let part = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let named = text.chars().all(part) && text.starts_with(|c: char| c.is_ascii_alphanumeric());
    (!named).then(|| format!("`{text}` is no name: letters, digits, `-`, `_`, `.`"))
}

/// A file or a folder below the application's, in characters that need no quotes in a Dockerfile.
pub(super) fn below(text: &str) -> Option<String> {
    let part = |part: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
        !part.is_empty() && part != "." && part != ".." && part.chars().all(plain)
    };
    (!text.split('/').all(part))
        .then(|| format!("`{text}` is no path below the folder: letters, digits, `-_.+` and `/`"))
}

/// The folder of the application: `.`, or one that isn't the workflow's own.
pub(super) fn folder(text: &str) -> Option<String> {
    if text == "." {
        return None;
    }
    let first = text.split('/').next().unwrap_or_default();
    let own = ["docker", "xtask", "target"].contains(&first);
    let own = own.then(|| format!("`{first}` is the workflow's own folder"));
    own.or_else(|| below(text))
}

/// A list of packages that pip can read; of others, the command that makes one.
pub(super) fn lock(text: &str) -> Option<String> {
    let name = text.rsplit('/').next().unwrap_or(text);
    let command = match name {
        "poetry.lock" => "poetry export --output requirements.txt",
        "Pipfile.lock" => "pipenv requirements --hash > requirements.txt",
        "pdm.lock" => "pdm export --output requirements.txt",
        _ if name.ends_with(".txt") => return None,
        _ => return Some(format!("`{text}` is no lock: uv.lock, or a requirements.txt")),
    };
    Some(format!(
        "{name} can't be installed from; write {command}, and lock = \"requirements.txt\""
    ))
}

/// A version of Python 3, with which a tag of the official image begins.
pub fn python_version(text: &str) -> Option<String> {
    let minor = text.strip_prefix("3.").unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
    (!minor.starts_with(|c: char| c.is_ascii_digit()) || !minor.chars().all(plain))
        .then(|| format!("`{text}` is no version of Python, as 3.12"))
}

/// The path of a URL, without a query.
pub(super) fn url_path(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.~%".contains(c);
    (!text.starts_with('/') || !text.chars().all(plain))
        .then(|| format!("`{text}` is no path of a URL, as /health/"))
}

fn identifier(text: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.chars().all(part) && text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names of queues with commas between them.
pub(super) fn queues(text: &str) -> Option<String> {
    let wrong = |name: &str| name.is_empty() || name.contains(|c: char| c.is_whitespace());
    let wrong = text.split(',').any(wrong);
    wrong.then(|| format!("`{text}` isn't a list of queues: `one,two`, without blanks"))
}

/// The path of a file below the top folder.
pub(super) fn path(text: &str) -> Option<String> {
    let below = !text.starts_with('/') && !text.split('/').any(|part| part == "..");
    // Podman takes several files, with commas between them.
    let plain = !text.contains(|c: char| c.is_control() || c == ',');
    (!below || !plain).then(|| format!("`{text}` is no path below the top folder without a comma"))
}

/// What `--platform` takes: `os/arch[/variant]`, or several of them with commas.
pub fn platform(text: &str) -> Option<String> {
    let part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let one = |one: &str| matches!(one.split('/').count(), 2 | 3) && one.split('/').all(part);
    (!text.split(',').all(one)).then(|| format!("`{text}` isn't os/arch[/variant], as linux/arm64"))
}

/// The key of a label. Both engines print and filter labels as `KEY=VALUE` words.
pub fn label(text: &str) -> Option<String> {
    let wrong = |c: char| c.is_whitespace() || c.is_control() || "\"'\\$=".contains(c);
    (text.is_empty() || text.contains(wrong)).then(|| {
        format!("`{text}` can't be the key of a label: no blanks, quotes, `\\`, `$` or `=`")
    })
}
