//! Which proxy stands before a registry, by the rules that both engines have from Go
//! (golang.org/x/net/http/httpproxy): `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`, in both cases.

use super::places::{host_of, loopback, within};
use std::collections::BTreeMap;

/// The proxy's URL for requests to `authority` (`host[:port]`); none for this machine.
pub(super) fn proxy(
    environment: &BTreeMap<String, String>,
    tls: bool,
    authority: &str,
) -> Option<String> {
    let value = |name: &str| {
        let names = [name.to_owned(), name.to_lowercase()];
        names.iter().find_map(|name| environment.get(name).filter(|value| !value.is_empty()))
    };
    let proxy = value(if tls { "HTTPS_PROXY" } else { "HTTP_PROXY" })?;
    let none = value("NO_PROXY").map(String::as_str).unwrap_or_default();
    (!loopback(authority) && !excepted(none, authority, tls)).then(|| proxy.clone())
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
            let found = proxy(&environment.into(), true, authority);
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
        assert_eq!(proxy(&environment, false, "a.example").as_deref(), Some("http://p"));
        assert_eq!(proxy(&environment, true, "a.example"), None);
    }
}
