//! Values that an image shows everybody: those of build arguments, labels and its environment.

use super::{allowed, content, holds};
use process::failure::{Exit, Failure};

/// Parts of names that secrets have.
const WORDS: [&str; 9] = [
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "SECRET",
    "SECRETS",
    "TOKEN",
    "CREDENTIAL",
    "CREDENTIALS",
    "APIKEY",
];

/// Names that look like a secret's and are public: the fingerprint of the key that signs Python,
/// in the official images.
const PUBLIC: [&str; 1] = ["GPG_KEY"];

/// Makes sure that none of `values`, each with its option and name, looks like a secret: an image's
/// history keeps build arguments, and its config keeps labels. `allow` are the patterns of
/// `allow_secrets`, here for names. No value is printed.
///
/// # Errors
/// [`Exit::Check`] with a help line for each; [`Exit::Usage`] as [`allowed`].
pub fn gate_values<'v>(
    values: impl Iterator<Item = (&'static str, &'v str, &'v str)>,
    allow: &[String],
) -> anyhow::Result<()> {
    let allow = allowed(allow)?;
    let found = values.filter_map(|(option, name, value)| {
        let named = option != "--label" && secret_name(name) && !value.is_empty();
        let reason = match () {
            () if named => "the name of a secret",
            () if has_login(value) => "a URL with a password",
            () => content::judge(value.as_bytes(), true)?,
        };
        let known = allow.iter().any(|pattern| holds(pattern, name));
        (!known).then(|| format!("{option} {name}: {reason}"))
    });
    let mut help: Vec<String> = found.collect();
    if help.is_empty() {
        return Ok(());
    }
    let message = format!("checking build arguments and labels: {} look like secrets", help.len());
    help.push("everybody who has the image can read them: use --secret id=NAME,src=FILE".into());
    help.push(
        "what is no secret: add its name to allow_secrets below [context] in docker/image.toml"
            .into(),
    );
    Err(Failure { exit: Exit::Check, message, help }.into())
}

/// Whether a variable of this name holds a secret.
pub fn secret_name(name: &str) -> bool {
    let name = name.to_uppercase();
    if PUBLIC.contains(&name.as_str()) || name.ends_with("_FILE") {
        return false;
    }
    let word = |part: &str| WORDS.contains(&part);
    name.split('_').any(word) || name.ends_with("_KEY") || name.contains("PASSWORD")
}

/// Whether a URL with a user and a password is in `text`, and not the name of a variable for it.
pub fn has_login(text: &str) -> bool {
    text.match_indices("://").any(|(at, mark)| {
        let rest = &text[at + mark.len()..];
        let authority = rest.split(['/', ' ', '"', '\'', '?', '#', '\n']).next().unwrap_or(rest);
        let login = authority.rsplit_once('@').and_then(|(login, _)| login.split_once(':'));
        login.is_some_and(|(_, password)| !password.is_empty() && !password.starts_with('$'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_with_passwords_are_seen() {
        let check = |text: &str, expected: bool| assert_eq!(has_login(text), expected, "{text}");
        check("pip install -i https://me:secret@a.example/simple x", true);
        check("redis://:secret@redis:6379/0", true);
        check("https://me@a.example/simple", false);
        check("https://me:$PASSWORD@a.example/", false);
        check("https://a.example:8000/x?mail=a@b", false);
        check("http://a.example and mail me:x@b", false);
    }

    #[test]
    fn build_arguments_and_labels_go_through_the_rules_of_files() {
        let aws = format!("{}ABCDEFGH12345678", "AKIA");
        let check = |option, name: &str, value: &str, allow: &[&str], expected: Option<&str>| {
            let allow: Vec<String> = allow.iter().map(ToString::to_string).collect();
            let found = gate_values([(option, name, value)].into_iter(), &allow);
            let help = found.err().map(|error| {
                let failure = error.downcast::<Failure>().unwrap();
                assert_eq!(failure.exit, Exit::Check);
                assert!(!format!("{failure:?}").contains(value), "{failure:?}");
                failure.help[0].clone()
            });
            assert_eq!(help.as_deref(), expected, "{option} {name}");
        };
        let (arg, label) = ("--build-arg", "--label");
        check(arg, "ID", &aws, &[], Some("--build-arg ID: a key of AWS"));
        check(label, "note", &aws, &[], Some("--label note: a key of AWS"));
        let url = "https://me:word@index.example/simple";
        check(arg, "INDEX", url, &[], Some("--build-arg INDEX: a URL with a password"));
        check(arg, "NPM_TOKEN", "abcdef", &[], Some("--build-arg NPM_TOKEN: the name of a secret"));
        check(arg, "CACHE_KEY", "today", &["CACHE_KEY"], None);
        check(arg, "NPM_TOKEN", "", &[], None);
        check(arg, "PYTHON_VERSION", "3.12", &[], None);
        check(label, "signing_key", "see the documentation", &[], None);
    }
}
