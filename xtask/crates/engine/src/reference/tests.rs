//! References that are taken, and how the others are refused.

use super::*;

const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
fn references_are_written_in_full() {
    let check = |text: &str, full: &str| {
        let text = text.replace("HEX", HEX);
        let reference = parse(&text).unwrap_or_else(|error| panic!("{text}: {error:#}"));
        assert_eq!(reference.to_string(), full.replace("HEX", HEX), "{text}");
        let again = parse(&reference.to_string()).unwrap();
        assert_eq!(again, reference, "{text}: the written form reads back as something else");
    };
    check("python", "docker.io/library/python");
    check("python:3.12", "docker.io/library/python:3.12");
    check("python:3.12-slim-bookworm", "docker.io/library/python:3.12-slim-bookworm");
    check("python@sha256:HEX", "docker.io/library/python@sha256:HEX");
    check("python:3@sha256:HEX", "docker.io/library/python:3@sha256:HEX");
    check("library/python", "docker.io/library/python");
    check("docker.io/python", "docker.io/library/python");
    check("docker.io/library/python", "docker.io/library/python");
    check("index.docker.io/python", "docker.io/library/python");
    check("index.docker.io/a/b", "docker.io/a/b");
    check("senex/trader", "docker.io/senex/trader");
    check("a/b/c/d", "docker.io/a/b/c/d");
    check("localhost", "docker.io/library/localhost");
    check("localhost:5000", "docker.io/library/localhost:5000");
    check("localhost/senex_trader:prod", "localhost/senex_trader:prod");
    check("localhost:5000/senex_trader", "localhost:5000/senex_trader");
    check("localhost:5000/a/b:c", "localhost:5000/a/b:c");
    check("ghcr.io/org/name:v1.2.3", "ghcr.io/org/name:v1.2.3");
    check("quay.io/name", "quay.io/name");
    check("Registry.Example.COM/name", "Registry.Example.COM/name");
    check("my-host.example:8443/x", "my-host.example:8443/x");
    check("host:1/x", "host:1/x");
    check("127.0.0.1:5000/x:y", "127.0.0.1:5000/x:y");
    check("10.0.0.1/x", "10.0.0.1/x");
    check("[::1]/x", "[::1]/x");
    check("[::1]:5000/x:y@sha256:HEX", "[::1]:5000/x:y@sha256:HEX");
    check("[2001:db8::1]:443/a/b", "[2001:db8::1]:443/a/b");
    check("a.b", "docker.io/library/a.b");
    check("a_b/c__d/e---f", "docker.io/a_b/c__d/e---f");
    check("x:_", "docker.io/library/x:_");
    check("x:UPPER.and-low_1", "docker.io/library/x:UPPER.and-low_1");
    check("0/1", "docker.io/0/1");
    check("x@sha512:HEXHEX", "docker.io/library/x@sha512:HEXHEX");
    check(&format!("x:{}", "t".repeat(128)), &format!("docker.io/library/x:{}", "t".repeat(128)));
}

#[test]
fn what_is_no_reference_is_refused_with_the_place() {
    let check = |text: &str, expected: &str| {
        let text = text.replace("HEX", HEX);
        let error = parse(&text).expect_err(&text);
        let prefix = format!("reading the reference {text:?}: ");
        assert_eq!(error.to_string().strip_prefix(&prefix), Some(expected), "{text}");
    };
    check("", "an empty reference at character 1");
    check("Python", "`P` in the repository, which is not lower case, at character 1");
    check("a/bC", "`C` in the repository, which is not lower case, at character 4");
    check("Foo/bar", "`F` in the repository, which is not lower case, at character 1");
    check("ghcr.io/Org/x", "`O` in the repository, which is not lower case, at character 9");
    check("a b", "` ` in the repository at character 2");
    check(" a", "` ` in the repository at character 1");
    check("a\n", "`\\n` in the repository at character 2");
    check("ä", "`ä` in the repository at character 1");
    check("a//b", "an empty component of the repository at character 3");
    check("/a", "an empty component of the repository at character 1");
    check("a/", "an empty component of the repository at character 3");
    check("localhost/", "an empty component of the repository at character 11");
    check("-a", "the separator `-` at character 1");
    check("a-", "the separator `-` at character 2");
    check("a..b", "the separator `..` at character 2");
    check("a___b", "the separator `___` at character 2");
    check("a._b", "the separator `._` at character 2");
    check(".a", "the separator `.` at character 1");
    check("a/_b", "the separator `_` at character 3");
    check("https://ghcr.io/x", "`://`, which a URL has and a reference has not, at character 6");
    check("ä@sha256:ABC", "`A` in the digest at character 10");
    check("a:", "an empty tag at character 3");
    check("a:b:c", "`:` in the tag at character 4");
    check("a:.b", "a tag that starts with `.` at character 3");
    check("a:-b", "a tag that starts with `-` at character 3");
    check("a:b+c", "`+` in the tag at character 4");
    check("a:ö", "`ö` in the tag at character 3");
    check(&format!("x:{}", "t".repeat(129)), "a tag of more than 128 characters at character 131");
    check("a@", "a digest without an algorithm (`sha256:…`) at character 3");
    check("a@sha256", "a digest without an algorithm (`sha256:…`) at character 3");
    check("a@sha256:abc", "3 digits instead of 64 of the digest at character 10");
    check("a@sha256:ABC", "`A` in the digest at character 10");
    check("a@md5:abc", "the unknown digest algorithm \"md5\" at character 3");
    check("a@sha256:HEX@sha256:HEX", "`@` in the digest at character 74");
    check("a@sha256:HEX:tag", "`:` in the digest at character 74");
    check("@sha256:HEX", "an empty component of the repository at character 1");
    check("host:/x", "the port ``, which is no number up to 65535, at character 6");
    check("host:port/x", "the port `port`, which is no number up to 65535, at character 6");
    check("host:65536/x", "the port `65536`, which is no number up to 65535, at character 6");
    check("-host.example/x", "a dash at an end of a part of the registry's name at character 1");
    check("a..b/x", "an empty part of the registry's name at character 3");
    check("a_b.example/x", "`_` in the registry's name at character 2");
    check("[::1/x", "`[` without `]` in the registry at character 1");
    check("[::g]/x", "`::g`, which is no IPv6 address, at character 2");
    check("[::1]x/y", "something other than a port at character 6");
    check("HEX", "an image ID where a repository is needed at character 1");
    check(&"a".repeat(256), "a name of more than 255 characters at character 256");
}

#[test]
fn the_host_to_connect_to() {
    let check = |text: &str, expected: &str| {
        assert_eq!(parse(text).unwrap().registry_host(), expected, "{text}");
    };
    check("python", "registry-1.docker.io:443");
    check("docker.io/x", "registry-1.docker.io:443");
    check("ghcr.io/x", "ghcr.io:443");
    check("localhost:5000/x", "localhost:5000");
    check("localhost/x", "localhost:443");
    check("[::1]/x", "[::1]:443");
    check("[::1]:5000/x", "[::1]:5000");
    check("127.0.0.1:80/x", "127.0.0.1:80");
}

#[test]
fn short_names_are_known() {
    let check = |text: &str, short: bool| assert_eq!(is_short(text), short, "{text}");
    check("python", true);
    check("python:3.12", true);
    check("library/python", true);
    check("localhost", true);
    check("localhost:5000", true);
    check("localhost/x", false);
    check("docker.io/library/python", false);
    check("host:5000/x", false);
    check("[::1]/x", false);
}

#[test]
fn tags_are_checked_alone() {
    let check = |tag: &str, good: bool| assert_eq!(is_tag(tag), good, "{tag}");
    check("latest", true);
    check("v1.2.3-4-gabcdef", true);
    check("1.0+build", false);
    check("", false);
    check("feature/x", false);
    check(&"t".repeat(129), false);
}

#[test]
fn the_command_line_comes_before_the_file_and_none_is_none() {
    let check = |asked: Option<&str>, configured: Option<&str>, expected: Option<&str>| {
        let found = cache_repository(asked, configured, "app").ok().flatten();
        let found = found.map(|reference| reference.to_string());
        assert_eq!(found.as_deref(), expected, "{asked:?} {configured:?}");
    };
    check(None, None, None);
    check(None, Some("r.example/team/cache"), Some("r.example/team/cache"));
    check(Some("s.example"), Some("r.example/cache"), Some("s.example/app-cache"));
    check(Some("none"), Some("r.example/cache"), None);
    assert!(cache_repository(Some("team/cache"), None, "app").is_err());
    assert!(cache_repository(Some("r.example/cache:tag"), None, "app").is_err());
}
