//! Which proxy stands before a registry, by the rules that both engines have from Go
//! (golang.org/x/net/http/httpproxy): `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`, in both cases.

use super::places::{host_of, loopback, within};
use process::failure::{Exit, failure_help};
use std::collections::BTreeMap;

type Variables = BTreeMap<String, String>;

/// The variable with the proxy for requests to `authority` (`host[:port]`), and its value; none for
/// this machine.
pub(super) fn proxy<'a>(
    environment: &'a Variables,
    tls: bool,
    authority: &str,
) -> Option<(&'a str, &'a str)> {
    variable(environment, scheme_variable(tls)).filter(|_| !direct(environment, tls, authority))
}

/// As [`proxy`], for what we ask ourselves: it speaks HTTP, or there is no request. A proxy that
/// can't be used is never bypassed.
///
/// # Errors
/// [`Exit::Usage`] for a proxy of another kind, for a value that is no URL, and for `ALL_PROXY`
/// alone, which the engines don't read.
pub(super) fn http_proxy<'a>(
    environment: &'a Variables,
    tls: bool,
    authority: &str,
) -> anyhow::Result<Option<(&'a str, &'a str)>> {
    if direct(environment, tls, authority) {
        return Ok(None);
    }
    let wanted = scheme_variable(tls);
    let Some((name, url)) = variable(environment, wanted) else {
        return match variable(environment, "ALL_PROXY") {
            Some((name, _)) => {
                let why = "neither Podman nor Docker reads that variable";
                Err(unusable(name, authority, tls, why))
            }
            None => Ok(None),
        };
    };
    // The value can hold a password.
    let scheme = url.split_once("://").map_or("http", |(scheme, _)| scheme).to_lowercase();
    match scheme.as_str() {
        "http" | "https" if !url.contains(|c: char| c.is_control() || c == ' ') => {
            Ok(Some((name, url)))
        }
        _ if scheme.starts_with("socks") => {
            Err(unusable(name, authority, tls, "it is a socks proxy, which isn't supported"))
        }
        _ => Err(no_url(name, authority, tls)),
    }
}

/// The variable that names the proxy for a scheme.
fn scheme_variable(tls: bool) -> &'static str {
    if tls { "HTTPS_PROXY" } else { "HTTP_PROXY" }
}

/// The failure for a variable whose value can't be used, which it doesn't show.
pub(super) fn no_url(name: &str, authority: &str, tls: bool) -> anyhow::Error {
    unusable(name, authority, tls, "its value is no proxy's URL")
}

fn unusable(name: &str, authority: &str, tls: bool, why: &str) -> anyhow::Error {
    let message = format!("reaching {authority} through the proxy in {name}: {why}");
    let help =
        format!("name an HTTP proxy in {}, or {authority} in NO_PROXY", scheme_variable(tls));
    failure_help(Exit::Usage, message, help)
}

/// A variable in upper case, else in lower case; an empty one counts as unset.
fn variable<'a>(environment: &'a Variables, name: &str) -> Option<(&'a str, &'a str)> {
    [name.to_owned(), name.to_lowercase()].iter().find_map(|name| {
        let (name, value) = environment.get_key_value(name)?;
        (!value.is_empty()).then_some((name.as_str(), value.as_str()))
    })
}

/// Whether a host is asked without any proxy.
fn direct(environment: &Variables, tls: bool, authority: &str) -> bool {
    let none = variable(environment, "NO_PROXY").map_or("", |(_, list)| list);
    loopback(authority) || excepted(none, authority, tls)
}

/// Whether `NO_PROXY` lists the host: itself or a domain above it, an address or its network, with
/// a port or without.
fn excepted(list: &str, authority: &str, tls: bool) -> bool {
    let host = host_of(authority).to_lowercase();
    let named = authority.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.contains(']'));
    let port = named.unwrap_or(if tls { "443" } else { "80" });
    list.split(',').map(|entry| entry.trim().to_lowercase()).any(|entry| {
        if entry == "*" {
            return true;
        }
        if entry.contains('/') {
            return host.parse().is_ok_and(|host| within(host, &entry));
        }
        let own = host_of(&entry);
        let rest = entry.trim_start_matches('[').strip_prefix(own).unwrap_or_default();
        let rest = rest.trim_start_matches(']');
        let same_port = rest.strip_prefix(':').is_none_or(|wanted| wanted == port);
        let domain = own.trim_start_matches('*');
        let below = domain.strip_prefix('.').unwrap_or(domain);
        let itself = !domain.starts_with('.') && host == below;
        !below.is_empty() && same_port && (itself || host.ends_with(&format!(".{below}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_go_by_the_proxy_unless_they_are_excepted() {
        let check = |none: &str, authority: &str, expected: bool| {
            let pairs = [("https_proxy", "http://p:3128"), ("NO_PROXY", none)];
            let environment = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let environment = environment.into();
            let found = proxy(&environment, true, authority);
            assert_eq!(found.is_some(), expected, "{none} {authority}");
        };
        check("", "registry.example", true);
        check("registry.example", "registry.example", false);
        check("example", "registry.example", false);
        check(".example", "registry.example:5000", false);
        check(".registry.example", "registry.example", true);
        check("*.example", "registry.example", false);
        check("ample", "registry.example", true);
        check("other, registry.example:5000", "registry.example:5000", false);
        check("registry.example:443", "registry.example", false);
        check("registry.example:5000", "registry.example", true);
        check("10.0.0.0/8", "10.1.2.3:5000", false);
        check("10.0.0.0/8", "11.1.2.3", true);
        check("*", "registry.example", false);
        check("", "127.0.0.1:5000", false);
        check("", "localhost:5000", false);
    }

    #[test]
    fn the_proxy_is_that_of_the_scheme() {
        let environment = BTreeMap::from([("HTTP_PROXY".to_owned(), "http://p".to_owned())]);
        assert_eq!(proxy(&environment, false, "a.example"), Some(("HTTP_PROXY", "http://p")));
        assert_eq!(proxy(&environment, true, "a.example"), None);
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_refused_and_never_passed_by() {
        let ask = |name: &str, value: &str, authority: &str| {
            let environment = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            http_proxy(&environment, true, authority).map(|proxy| proxy.is_some())
        };
        for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
            for scheme in ["socks", "socks4", "socks4a", "socks5", "socks5h", "SOCKS5", "Socks5H"] {
                let error = ask(name, &format!("{scheme}://u:canary@p:1080"), "r.example");
                let error = error.unwrap_err().to_string();
                assert!(error.contains(name) && !error.contains("canary"), "{error}");
                assert!(!ask(name, &format!("{scheme}://p:1080"), "127.0.0.1:5000").unwrap());
            }
        }
        assert!(ask("HTTPS_PROXY", "ftp://p", "r.example").is_err());
        assert!(ask("HTTPS_PROXY", "http://p:3128\nx", "r.example").is_err());
        assert!(ask("ALL_PROXY", "http://p:3128", "r.example").is_err());
        assert!(!ask("HTTP_PROXY", "socks5://p", "r.example").unwrap());
        for url in ["http://p:3128", "HTTP://p:3128", "p:3128", "https://u:p@p"] {
            assert!(ask("HTTPS_PROXY", url, "r.example").unwrap(), "{url}");
        }
        let pairs = [("ALL_PROXY", "socks5://p"), ("HTTPS_PROXY", "http://p")];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert!(http_proxy(&pairs.into(), true, "r.example").unwrap().is_some());
        let pairs = [("ALL_PROXY", "socks5://p"), ("no_proxy", "r.example")];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert!(http_proxy(&pairs.into(), true, "r.example").unwrap().is_none());
    }
}
