use super::*;
use engine::reference::target;
use std::collections::BTreeMap;

fn identity(revision: &str, version: &str) -> Identity {
    Identity { revision: revision.to_owned(), version: version.to_owned() }
}

fn tag(name: &str) -> Tag {
    Tag { name: name.to_owned(), kind: kind_of(name), why: "test".to_owned() }
}

fn names(tags: &[Tag]) -> Vec<&str> {
    tags.iter().map(|tag| tag.name.as_str()).collect()
}

#[test]
fn the_kind_of_a_tag_is_in_its_name() {
    use Kind::{Immutable, Latest, Moving};
    for (name, expected) in [
        ("latest", Latest),
        ("1.2.3", Immutable),
        ("v1.2.3", Immutable),
        ("1.2.3-rc.1", Immutable),
        ("sha-0123456789ab", Immutable),
        ("sha-branch", Moving),
        ("1.2", Moving),
        ("1", Moving),
        ("main", Moving),
        ("pr-7", Moving),
        ("1.2.x", Moving),
    ] {
        assert_eq!(kind_of(name), expected, "{name}");
    }
}

#[test]
fn immutable_tags_come_first_and_latest_last() {
    let asked = ["latest", "1.2", "main", "1.2.3", "1.2", "sha-0123456789ab"].map(String::from);
    let tags = tags(&asked, &BTreeMap::new()).unwrap();
    assert_eq!(names(&tags), ["1.2.3", "sha-0123456789ab", "1.2", "main", "latest"]);
}

#[test]
fn without_a_tag_the_commit_is_the_name() {
    let labels = |revision: &str, version: &str| {
        let pairs = [("revision", revision), ("version", version)];
        pairs.map(|(name, value)| (format!("{OCI}{name}"), value.to_owned())).into()
    };
    let check = |revision: &str, version: &str, expected: Result<&str, Exit>| {
        let found = tags(&[], &labels(revision, version));
        let found = match &found {
            Ok(tags) => Ok(tags[0].name.as_str()),
            Err(error) => Err(process::failure::describe(error).0),
        };
        assert_eq!(found, expected, "{revision} {version}");
    };
    check(&"ab12".repeat(10), "1.2.3", Ok("sha-ab12ab12ab12"));
    check(&"ab12".repeat(10), "1.2.3-dirty", Err(Exit::Git));
    check("", "1.2.3", Err(Exit::Usage));
    assert!(tags(&["a b".to_owned()], &BTreeMap::new()).is_err());
}

#[test]
fn a_target_is_a_repository_of_a_named_registry() {
    let check = |text: &str, expected: Option<&str>| {
        let found = target(text, "app").ok().map(|target| target.to_string());
        assert_eq!(found.as_deref(), expected, "{text}");
    };
    check("registry.example/team/app", Some("registry.example/team/app"));
    check("registry.example", Some("registry.example/app"));
    check("localhost:5000", Some("localhost:5000/app"));
    check("docker.io/team/app", Some("docker.io/team/app"));
    check("team/app", None);
    check("registry.example/team/app:1.2", None);
    check("https://registry.example/app", None);
    check("registry.example/Team", None);
    let one = ["r.example/a".to_owned()];
    let two = ["s.example".to_owned(), "s.example/app".to_owned()];
    assert_eq!(targets(&one, &two, "app").unwrap()[0].to_string(), "r.example/a");
    assert_eq!(targets(&[], &two, "app").unwrap().len(), 1);
    assert!(targets(&[], &[], "app").is_err());
}

#[test]
fn a_push_may_take_a_minute_and_a_second_for_each_megabyte() {
    let check = |asked, configured, bytes, expected| {
        assert_eq!(limit(asked, configured, bytes), Duration::from_secs(expected));
    };
    check(None, None, 0, 60);
    check(None, None, 330_000_000, 390);
    check(None, Some(5), 330_000_000, 5);
    check(Some(7), Some(5), 330_000_000, 7);
}

#[test]
fn a_stand_in_is_pushed_only_when_it_is_allowed() {
    let check = |base: &str, allowed, right| {
        let labels = BTreeMap::from([(format!("{OCI}base.name"), base.to_owned())]);
        assert_eq!(check_base(&labels, allowed).is_ok(), right, "{base}");
    };
    check("docker.io/library/python:3.12-slim-bookworm", false, true);
    check("localhost/xtask/python:3.11-slim-bookworm-standin", false, false);
    check("localhost/xtask/python:3.11-slim-bookworm-standin", true, true);
}

/// Commits `1`, `2`, `3` on one line, `x` beside them; others aren't known.
fn history(ours: &str, theirs: &str) -> Ancestry {
    let place = |commit: &str| "123".find(commit);
    match (place(ours), place(theirs)) {
        (Some(ours), Some(theirs)) if ours < theirs => Ancestry::Descendant,
        (Some(_), Some(_)) => Ancestry::Ancestor,
        (Some(_), None) if theirs == "x" => Ancestry::Diverged,
        _ => Ancestry::Unknown,
    }
}

#[test]
fn the_newer_image_is_the_descendant_else_the_higher_version() {
    let check = |ours: (&str, &str), theirs: (&str, &str), expected: Ordering| {
        let found = order(&identity(ours.0, ours.1), &identity(theirs.0, theirs.1), &history);
        let found = match found {
            Order::Newer(_) => Ordering::Greater,
            Order::Older(_) => Ordering::Less,
            Order::Unclear => Ordering::Equal,
        };
        assert_eq!(found, expected, "{ours:?} {theirs:?}");
    };
    use std::cmp::Ordering::{self, Equal, Greater, Less};
    // History decides, whatever the versions say.
    check(("1", "1.0.0"), ("2", "2.0.0"), Greater);
    check(("2", "1.0.0"), ("1", "2.0.0"), Less);
    check(("2", ""), ("3", ""), Greater);
    check(("2", "1.0.0"), ("2", "2.0.0"), Equal);
    // A commit that this clone doesn't have.
    check(("1", "1.0.0"), ("new", "1.1.0"), Greater);
    check(("1", "1.1.0"), ("new", "1.0.9"), Less);
    check(("1", "1.0.0"), ("new", "1.0.0-5-gabcdef012345"), Greater);
    check(("1", "1.0.0-10-gabcdef012345"), ("new", "1.0.0-9-gabcdef012346"), Less);
    check(("1", "1.0.0-rc.2"), ("new", "1.0.0-rc.10"), Greater);
    check(("1", "1.0.0"), ("new", "1.0.0-rc.1"), Less);
    check(("1", "1.0.0-alpha.1"), ("new", "1.0.0-alpha.beta"), Greater);
    check(("1", "api/v1.2.3"), ("new", "api/v1.10.0"), Greater);
    check(("1", "1.2.3-dirty"), ("new", "1.2.4+build"), Greater);
    check(("1", "abcdef012345"), ("new", "1.2.3"), Equal);
    check(("1", "1.2.3"), ("", ""), Equal);
    check(("", ""), ("1", "1.2.3"), Equal);
    check(("", "1.0.0"), ("", "1.2.3"), Greater);
    // Another line: how far each is from its release says nothing.
    check(("1", "1.0.0-7-gabcdef012345"), ("x", "1.0.0-9-gabcdef012346"), Equal);
    check(("1", "1.0.0-7-gabcdef012345"), ("x", "1.1.0"), Greater);
}

#[test]
fn a_tag_is_written_kept_or_refused() {
    let remote = |ours: bool, revision: &str| Remote {
        digest: "sha256:d".to_owned(),
        ours,
        identity: identity(revision, ""),
    };
    let check = |name: &str, there: Option<Remote>, force: bool, expected: Act| {
        let found = decide(&tag(name), there.as_ref(), &identity("2", ""), force, &history);
        assert_eq!(found.act, expected, "{name} {there:?}");
    };
    check("1.2.3", None, false, Act::Write);
    check("1.2.3", Some(remote(true, "2")), false, Act::Done);
    check("1.2.3", Some(remote(false, "1")), false, Act::Refuse);
    check("1.2.3", Some(remote(false, "2")), false, Act::Refuse);
    check("1.2.3", Some(remote(false, "1")), true, Act::Write);
    check("1.2.3", Some(remote(true, "1")), true, Act::Done);
    for moving in ["main", "1.2", "latest"] {
        check(moving, None, false, Act::Write);
        check(moving, Some(remote(true, "2")), false, Act::Done);
        check(moving, Some(remote(false, "1")), false, Act::Write);
        check(moving, Some(remote(false, "2")), false, Act::Write);
        check(moving, Some(remote(false, "3")), false, Act::Keep);
        check(moving, Some(remote(false, "3")), true, Act::Write);
        check(moving, Some(remote(false, "")), false, Act::Write);
    }
}

#[test]
fn a_line_belongs_to_its_highest_release() {
    let tags = ["1.2.3", "1.10.0", "v2.0.0", "3.0.0-rc.1", "sha-0123456789ab", "1.2", "latest"];
    let tags = tags.map(String::from);
    for (line, expected) in [
        ("latest", Some("v2.0.0")),
        ("1", Some("1.10.0")),
        ("1.2", Some("1.2.3")),
        ("v1.2", Some("1.2.3")),
        ("3", None),
        ("main", None),
        ("1.2.3", None),
    ] {
        assert_eq!(owner(line, &tags), expected, "{line}");
    }
}
