//! How a registry wants us to say who we are: the `WWW-Authenticate` header (RFC 9110, 11.6.1) and
//! the token that it may send us for (Docker's token specification, which all registries follow).

use super::login::Login;
use super::message::{Request, Response};
use super::places::loopback;
use base64::Engine as _;
use process::invocation::Secret;

/// One way to log in that a registry offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password with each request.
    Basic,
    /// A token from the server at `realm`.
    Bearer { realm: String, service: String },
}

/// The best of the ways in a `WWW-Authenticate` header: a token before a password.
pub(super) fn challenge(header: &str) -> Option<Challenge> {
    let mut all = schemes(header);
    all.sort_by_key(|(scheme, _)| scheme != "bearer");
    all.into_iter().find_map(|(scheme, parameters)| {
        let value = |name: &str| {
            let found = parameters.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        match scheme.as_str() {
            "bearer" if !value("realm").is_empty() => {
                Some(Challenge::Bearer { realm: value("realm"), service: value("service") })
            }
            "basic" => Some(Challenge::Basic),
            _ => None,
        }
    })
}

type Scheme = (String, Vec<(String, String)>);

/// Schemes with their parameters; a quoted value may hold commas and escaped quotes.
fn schemes(header: &str) -> Vec<Scheme> {
    let mut found: Vec<Scheme> = Vec::new();
    let mut rest = header.trim_start_matches([' ', ',']);
    while !rest.is_empty() {
        let end = rest.find([' ', '=', ',']).unwrap_or(rest.len());
        let word = rest[..end].to_lowercase();
        rest = &rest[end..];
        if let Some(after) = rest.strip_prefix('=') {
            let (value, left) = parameter(after);
            if let Some((_, parameters)) = found.last_mut() {
                parameters.push((word, value));
            }
            rest = left;
        } else if !word.is_empty() {
            found.push((word, Vec::new()));
        }
        rest = rest.trim_start_matches([' ', ',']);
    }
    found
}

/// The value at the start of `text`, and what comes after it.
fn parameter(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([' ', ',']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let (mut value, mut escaped) = (String::new(), false);
    for (index, character) in quoted.char_indices() {
        match character {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return (value, &quoted[index + 1..]),
            other => {
                value.push(other);
                escaped = false;
            }
        }
    }
    (value, "")
}

/// The header `Authorization` for a user and a password.
pub(super) fn basic(user: &str, password: &Secret) -> Secret {
    let engine = base64::engine::general_purpose::STANDARD;
    Secret(format!("Basic {}", engine.encode(format!("{user}:{}", password.0))))
}

/// Asks the server at `realm` for a token; none if the login would leave TLS for it.
pub(super) fn token_request(
    login: &Login,
    realm: &str,
    service: &str,
    scope: &str,
) -> Option<Request> {
    let (scheme, rest) = realm.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // Nothing that two readers could understand differently, so that no other host can be meant.
    if !is_host(authority) || !rest.chars().all(|c| c.is_ascii_graphic()) {
        return None;
    }
    match scheme.to_lowercase().as_str() {
        "https" => {}
        "http" if loopback(authority) => {}
        _ => return None,
    }
    let form = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
        pairs.collect::<Vec<_>>().join("&")
    };
    if let Login::Identity(token) = login {
        let body = form(&[
            ("grant_type", "refresh_token"),
            ("service", service),
            ("client_id", "xtask"),
            ("scope", scope),
            ("refresh_token", &token.0),
        ]);
        let headers = vec![("content-type".into(), "application/x-www-form-urlencoded".into())];
        let url = realm.to_owned();
        return Some(Request {
            method: "POST".into(),
            url,
            headers,
            body: Some(body.into_bytes()),
            ..Request::default()
        });
    }
    let mut query = vec![("service", service), ("scope", scope)];
    query.retain(|(_, value)| !value.is_empty());
    let mark = if realm.contains('?') { '&' } else { '?' };
    let url = format!("{realm}{mark}{}", form(&query));
    let headers = match login {
        Login::Password(user, password) => vec![("authorization".into(), basic(user, password).0)],
        _ => Vec::new(),
    };
    Some(Request { method: "GET".into(), url, headers, ..Request::default() })
}

/// Whether it is a name, or an address in brackets, and perhaps a port.
fn is_host(authority: &str) -> bool {
    let (host, port, address) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map(|(host, port)| (host, port, true)),
        None => {
            let end = authority.find(':').unwrap_or(authority.len());
            Some((&authority[..end], &authority[end..], false))
        }
    }
    .unwrap_or_default();
    let plain = |c: char| match address {
        true => c.is_ascii_hexdigit() || c == ':' || c == '.',
        false => c.is_ascii_alphanumeric() || c == '-' || c == '.',
    };
    let number = |digits: &str| digits.parse::<u16>().is_ok();
    let port = port.is_empty() || port.strip_prefix(':').is_some_and(number);
    !host.is_empty() && host.chars().all(plain) && port
}

/// The header `Authorization` for the token in a server's answer.
pub(super) fn bearer(response: &Response) -> Option<Secret> {
    let json: serde_json::Value = serde_json::from_slice(&response.body).ok()?;
    let token = json["token"].as_str().or_else(|| json["access_token"].as_str())?;
    Some(Secret(format!("Bearer {token}")))
}

/// A value in a query or a form (RFC 3986, section 2.3: what isn't unreserved is escaped).
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_of_real_registries_are_read() {
        let check = |header: &str, expected: Option<(&str, &str)>| {
            let expected = expected.map(|(realm, service)| Challenge::Bearer {
                realm: realm.to_owned(),
                service: service.to_owned(),
            });
            assert_eq!(challenge(header), expected, "{header}");
        };
        check(
            r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io""#,
            Some(("https://auth.docker.io/token", "registry.docker.io")),
        );
        check(
            r#"Bearer realm="https://ghcr.io/token", service="ghcr.io", scope="repository:a/b:pull,push""#,
            Some(("https://ghcr.io/token", "ghcr.io")),
        );
        check(
            r#"Basic realm="x, y", bearer REALM="https://r.example/a\"b" , error="invalid""#,
            Some(("https://r.example/a\"b", "")),
        );
        check("Bearer realm=https://r.example/t,service=s", Some(("https://r.example/t", "s")));
        check("Bearer service=\"s\"", None);
        check("Negotiate", None);
        check("", None);
        check("Bearer realm=\"https://open.example", Some(("https://open.example", "")));
        assert_eq!(challenge("basic realm=\"Registry Realm\""), Some(Challenge::Basic));
    }

    #[test]
    fn a_token_is_asked_for_with_what_we_have_and_never_without_tls() {
        let login = Login::Password("u".into(), Secret("p".into()));
        let ask = |login: &Login, realm: &str| {
            token_request(login, realm, "s", "repository:a/b:pull,push")
        };
        let request = ask(&login, "https://r.example/token").unwrap();
        let query = "service=s&scope=repository%3Aa%2Fb%3Apull%2Cpush";
        assert_eq!(request.url, format!("https://r.example/token?{query}"));
        assert_eq!(request.headers, [("authorization".to_owned(), "Basic dTpw".to_owned())]);
        let request = ask(&Login::Nobody, "https://r.example/token?a=b").unwrap();
        assert_eq!(request.url, format!("https://r.example/token?a=b&{query}"));
        assert!(request.headers.is_empty());
        let request = ask(&Login::Identity(Secret("t&".into())), "https://r.example").unwrap();
        let body = String::from_utf8(request.body.unwrap()).unwrap();
        assert_eq!(request.method, "POST");
        assert!(body.ends_with("&refresh_token=t%26"), "{body}");
        assert!(ask(&login, "http://r.example/token").is_none());
        for realm in [
            "http://127.0.0.1:1@host/token",
            "http://127.0.0.1@host/token",
            "http://localhost@host",
            "http://[::1]@host/token",
            "http://user:word@127.0.0.1:5001/token",
            "https://127.0.0.1:1@host/token",
            "http://[::1].host/token",
            "http://[::1]host/token",
            "http://127.0.0.1.host/token",
            "http://127.0.0.1\\@host/token",
            "http:/127.0.0.1/token",
            "http:127.0.0.1@host",
            "HTTP://127.0.0.1:1@host/token",
            "ftp://127.0.0.1/token",
            "//127.0.0.1/token",
            "127.0.0.1:5000",
            "http://",
            "http://127.1/token",
            "http://::1/token",
        ] {
            assert!(ask(&login, realm).is_none(), "{realm}");
        }
        for realm in [
            "http://127.0.0.1:5001/token",
            "http://localhost/token",
            "http://[::1]:5001/token",
            "http://127.0.0.1/token?for=a@b",
            "HTTPS://r.example/token",
        ] {
            assert!(ask(&login, realm).is_some(), "{realm}");
        }
    }

    #[test]
    fn tokens_have_two_names() {
        let check = |body: &str, expected: Option<&str>| {
            let response = Response { body: body.as_bytes().to_vec(), ..Response::default() };
            assert_eq!(bearer(&response).map(|secret| secret.0).as_deref(), expected);
        };
        check(r#"{"token":"a"}"#, Some("Bearer a"));
        check(r#"{"access_token":"b"}"#, Some("Bearer b"));
        check("{}", None);
    }
}
