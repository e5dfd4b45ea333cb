//! What a closed network asks for: proxies, an index of Python packages, a mirror of Debian. The
//! environment comes before `docker/image.toml`.

use process::failure::{Exit, failure_help};
use std::collections::BTreeMap;

/// The variables by which programs find a proxy; the engines know each in both cases.
const PROXIES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "FTP_PROXY", "ALL_PROXY"];

/// The variables that name an index, in the order in which they are tried: those of uv, then pip's.
const INDEXES: [&str; 3] = ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"];

/// The variables that name a registry of Node's packages, as npm reads them.
const NPM: [&str; 2] = ["npm_config_registry", "NPM_CONFIG_REGISTRY"];

/// By this name the build gets the index that the file names.
pub const INDEX_OF_FILE: &str = "XTASK_INDEX_URL";

/// The variable that a build gives a step the address of a Debian mirror by.
pub const MIRROR: &str = "XTASK_DEBIAN_MIRROR";

/// `[network]` of `docker/image.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// The index of Python packages.
    pub index_url: Option<String>,
    /// The mirror of Debian that stand-ins are made from.
    pub debian_mirror: Option<String>,
}

/// The proxy variables that are set. Their names are all that a command line gets: the values can
/// hold a password.
pub fn proxies(environment: &BTreeMap<String, String>) -> Vec<String> {
    let names = PROXIES.iter().flat_map(|name| [(*name).to_owned(), name.to_lowercase()]);
    names.filter(|name| environment.get(name).is_some_and(|value| !value.is_empty())).collect()
}

/// The variable that names the index, if one does.
pub fn index_variable(environment: &BTreeMap<String, String>) -> Option<&'static str> {
    first_set(environment, &INDEXES)
}

/// The variable that names the registry of Node's packages, if one does.
pub fn npm_variable(environment: &BTreeMap<String, String>) -> Option<&'static str> {
    first_set(environment, &NPM)
}

fn first_set(
    environment: &BTreeMap<String, String>,
    names: &[&'static str],
) -> Option<&'static str> {
    let set = |name: &&str| environment.get(*name).is_some_and(|value| !value.trim().is_empty());
    names.iter().copied().find(set)
}

/// What was found, by name and without a value; `None` if nothing was.
pub fn summary(environment: &BTreeMap<String, String>, network: &Network) -> Option<String> {
    let proxies = proxies(environment);
    let proxies = (!proxies.is_empty()).then(|| format!("proxies by {}", proxies.join(" ")));
    let index = index_variable(environment).map(|name| format!("index by {name}"));
    let index = index.or(network.index_url.as_ref().map(|url| format!("index {url}")));
    let variable = environment.get("XTASK_DEBIAN_MIRROR").filter(|value| !value.is_empty());
    let mirror = variable.map(|_| "Debian mirror by XTASK_DEBIAN_MIRROR".to_owned());
    let mirror =
        mirror.or(network.debian_mirror.as_ref().map(|url| format!("Debian mirror {url}")));
    let found: Vec<String> = [proxies, index, mirror].into_iter().flatten().collect();
    (!found.is_empty()).then(|| found.join("; "))
}

/// The mirror of Debian: `XTASK_DEBIAN_MIRROR`, else the file's.
///
/// # Errors
/// [`Exit::Usage`] for what is no URL, and for one with a password: it would be seen in the list of
/// processes.
pub fn debian_mirror(variable: Option<&str>, network: &Network) -> anyhow::Result<Option<String>> {
    let Some(mirror) = variable else { return Ok(network.debian_mirror.clone()) };
    if has_user(mirror) {
        let message = "reading XTASK_DEBIAN_MIRROR: it holds a user name";
        let help = "put it into a file of /etc/apt/auth.conf.d (apt_auth.conf(5))";
        return Err(failure_help(Exit::Usage, message, help));
    }
    match mistake(mirror, "") {
        None => Ok(Some(mirror.to_owned())),
        Some(what) => {
            let message = format!("reading XTASK_DEBIAN_MIRROR: {what}");
            Err(failure_help(Exit::Usage, message, "name a mirror such as http://HOST/debian"))
        }
    }
}

/// The passwords in the variables of proxies and indexes; a user without one is a token.
pub fn passwords(environment: &BTreeMap<String, String>) -> Vec<String> {
    let proxies = proxies(environment);
    let names = proxies.iter().map(String::as_str).chain(INDEXES);
    let values = names.filter_map(|name| environment.get(name));
    let user = |url: &String| {
        let (_, rest) = url.split_once("://")?;
        let user = rest.rsplit_once('@')?.0;
        let password = user.split_once(':').map_or(user, |(_, password)| password);
        (!password.is_empty()).then(|| password.to_owned())
    };
    values.filter_map(user).collect()
}

/// Whether a URL has `user@` or `user:password@` before its host.
pub fn has_user(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
}

/// What is wrong with a URL of the file.
pub fn mistake(url: &str, instead: &str) -> Option<String> {
    if url.contains(|character: char| character.is_whitespace() || character.is_control()) {
        return Some(format!("{url:?} holds a blank, a line break or another control character"));
    }
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return Some(format!("`{url}` must begin with https:// or http://"));
    }
    has_user(url).then(|| format!("user and password don't belong in this file: {instead}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn set_proxies_are_named_in_both_cases_and_never_with_their_value() {
        let check = |pairs: &[(&str, &str)], expected: &[&str]| {
            assert_eq!(proxies(&environment(pairs)), expected, "{pairs:?}");
        };
        let all = [("https_proxy", "http://u:p@h"), ("HTTP_PROXY", "x"), ("no_proxy", "a")];
        check(&all, &["HTTP_PROXY", "https_proxy", "no_proxy"]);
        check(&[("ALL_PROXY", "socks5://h"), ("FTP_PROXY", "")], &["ALL_PROXY"]);
        check(&[("PROXY", "x")], &[]);
    }

    #[test]
    fn the_index_is_that_of_uv_before_that_of_pip() {
        let check = |pairs: &[(&str, &str)], expected: Option<&str>| {
            assert_eq!(index_variable(&environment(pairs)), expected, "{pairs:?}");
        };
        let pip = ("PIP_INDEX_URL", "https://pip");
        check(&[pip, ("UV_INDEX_URL", "https://uv")], Some("UV_INDEX_URL"));
        check(&[pip, ("UV_DEFAULT_INDEX", "https://uv")], Some("UV_DEFAULT_INDEX"));
        check(&[pip, ("UV_DEFAULT_INDEX", " ")], Some("PIP_INDEX_URL"));
        check(&[], None);
    }

    #[test]
    fn passwords_are_found_to_be_hidden() {
        let pairs = [
            ("HTTPS_PROXY", "http://me:one@proxy:3128"),
            ("no_proxy", "localhost"),
            ("UV_INDEX_URL", "https://token@index/simple"),
            ("PIP_INDEX_URL", "https://me:t@wo@index/simple"),
        ];
        assert_eq!(passwords(&environment(&pairs)), ["one", "token", "t@wo"]);
    }

    #[test]
    fn the_environment_s_mirror_comes_before_the_file_s() {
        let file = Network { debian_mirror: Some("http://file".into()), ..Network::default() };
        let check = |variable: Option<&str>, expected: Option<&str>| {
            let found = debian_mirror(variable, &file).unwrap_or_default();
            assert_eq!(found.as_deref(), expected, "{variable:?}");
        };
        check(Some("http://here/debian"), Some("http://here/debian"));
        check(None, Some("http://file"));
        check(Some("http://user:password@here"), None);
        check(Some("http://here/debian\ndeb http://other"), None);
        check(Some("here/debian"), None);
    }

    #[test]
    fn a_file_of_the_repository_holds_no_password() {
        let check =
            |url: &str, right: bool| assert_eq!(mistake(url, "x").is_none(), right, "{url}");
        check("https://index.example/simple", true);
        check("https://index.example/simple/@scope", true);
        check("http://index.example:8080?to=a@b", true);
        check("https://user:password@index.example/simple", false);
        check("https://token@index.example", false);
        check("index.example/simple", false);
        for text in ["\n", "\r\n", "\t", " ", "\0", "\u{1b}[2J", "\u{a0}", "\u{2028}"] {
            check(&format!("https://index.example{text}"), false);
            check(&format!("https://index.example/{text}--trusted"), false);
        }
    }
}
