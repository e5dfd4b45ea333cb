//! What an engine says about a registry when a pull or a push has failed. Every failure of Podman's
//! is exit status 125, so that its words decide.

use process::run::tail;

/// What registries and engines say when trying again will not help.
const FINAL: [&str; 14] = [
    "unauthorized",
    "authentication required",
    "access denied",
    "access to the resource is denied",
    "denied:",
    "forbidden",
    "invalid reference",
    "manifest unknown",
    "name unknown",
    "name_unknown",
    "not found",
    "is blocked in ",
    "x509: ",
    "server gave http response to https client",
];

/// The statuses that stay. An upload whose bytes came in another order (416) is begun anew.
const FINAL_STATUSES: [u16; 9] = [400, 401, 403, 404, 405, 410, 413, 415, 422];

/// What looks final and isn't: an upload that a registry has forgotten is begun anew.
const BEGUN_ANEW: [&str; 2] = ["blob upload unknown", "blob upload invalid"];

/// Whether what an engine said about a registry at the end will stay so.
pub fn is_final(lines: &[String]) -> bool {
    // The last line is the engine's own; those before it can be of an attempt that it repeated.
    let said = tail(lines, 1).join("").to_lowercase();
    let status = said_status(&said).is_some_and(|status| FINAL_STATUSES.contains(&status));
    (status || FINAL.iter().any(|word| said.contains(word)))
        && !BEGUN_ANEW.iter().any(|word| said.contains(word))
}

/// The status in `statuscode: 403, …`, `http status: 503 …` or `parsing http 403 response`.
fn said_status(said: &str) -> Option<u16> {
    let mut words = said.split([' ', ':', ',']).filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        if matches!(word, "statuscode" | "status" | "code" | "http")
            && let Some(status) = words.clone().next().and_then(|next| next.parse().ok())
        {
            return Some(status).filter(|status| (100..600).contains(status));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_final_is_told_from_what_may_pass() {
        let check = |line: &str, expected: bool| {
            assert_eq!(is_final(&[line.to_owned(), String::new()]), expected, "{line}");
        };
        check("Error: unauthorized: authentication required", true);
        check("denied: requested access to the resource is denied", true);
        check("Error: writing blob: StatusCode: 403, <html>403 Forbidden", true);
        check("Error: uploading manifest 2.0.0 to r.example/a: StatusCode: 403,", true);
        check("error parsing HTTP 403 response body: invalid character", true);
        check("Error: uploading manifest 2.0.0 to r.example/a: StatusCode: 500, 403", false);
        check("received unexpected HTTP status: 400 Bad Request", true);
        check("x509: certificate signed by unknown authority", true);
        check("received unexpected HTTP status: 503 Service Unavailable", false);
        check("toomanyrequests: too many requests", false);
        check("write tcp 127.0.0.1:1->127.0.0.1:2: connection reset by peer", false);
        check(
            "Error: initializing source docker://r.example/a: reading manifest 1: manifest unknown",
            true,
        );
        check("Error: registry r.example is blocked in /etc/containers/registries.conf or d", true);
        check("dial tcp: i/o timeout", false);
        check("Error: uploading layer: blob upload unknown to registry (404 not found)", false);
    }
}
