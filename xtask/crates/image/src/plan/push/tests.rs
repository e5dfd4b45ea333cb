use super::*;
use engine::reference::target;
use std::collections::BTreeMap;

fn identity(revision: &str, version: &str) -> ImageIdentity {
    ImageIdentity { revision: revision.to_owned(), version: version.to_owned() }
}

fn numbers() -> Rules {
    Rules { versions: Versions::Numbers, ..Rules::default() }
}

fn tag(name: &str) -> Tag {
    let kind = kind_of(name, &ImageIdentity::default(), &Rules::default());
    Tag { name: name.to_owned(), kind, shared: false, why: "test".to_owned() }
}

fn names(tags: &[Tag]) -> Vec<&str> {
    tags.iter().map(|tag| tag.name.as_str()).collect()
}

#[test]
fn the_kind_of_a_tag_is_in_its_name() {
    use TagKind::{Immutable, Latest, Moving};
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
        let found = kind_of(name, &ImageIdentity::default(), &Rules::default());
        assert_eq!(found, expected, "{name}");
    }
    // A line of releases, unless it is the image's own version.
    for (name, version, expected) in [
        ("1.2", "v1.2", Immutable),
        ("1.2", "v1.2.1", Moving),
        ("2024.01", "2024.01.05", Moving),
        ("2024.01", "2024.01", Immutable),
        ("2024.01.05", "", Immutable),
        ("1", "v1.2", Moving),
    ] {
        assert_eq!(kind_of(name, &identity("", version), &numbers()), expected, "{name} {version}");
    }
}

#[test]
fn immutable_tags_come_first_and_latest_last() {
    let asked = ["latest", "1.2", "main", "1.2.3", "1.2", "sha-0123456789ab"].map(String::from);
    let tags = tags(&asked, &ImageIdentity::default(), &Rules::default()).unwrap();
    assert_eq!(names(&tags), ["1.2.3", "sha-0123456789ab", "1.2", "main", "latest"]);
}

#[test]
fn without_a_tag_the_commit_is_the_name() {
    let check = |revision: &str, version: &str, expected: Result<&str, Exit>| {
        let found = tags(&[], &identity(revision, version), &Rules::default());
        let found = match &found {
            Ok(tags) => Ok(tags[0].name.as_str()),
            Err(error) => Err(process::failure::describe(error).0),
        };
        assert_eq!(found, expected, "{revision} {version}");
    };
    check(&"ab12".repeat(10), "1.2.3", Ok("sha-ab12ab12ab12"));
    check(&"ab12".repeat(10), "1.2.3-dirty", Err(Exit::Git));
    check("", "1.2.3", Err(Exit::Usage));
    assert!(tags(&["a b".to_owned()], &ImageIdentity::default(), &Rules::default()).is_err());
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

/// Commits `1`, `2`, `3` on one line, `x` on another; others aren't known.
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
    let by = |rules: &Rules, ours: (&str, &str), theirs: (&str, &str), expected: Ordering| {
        let (ours, theirs) = (identity(ours.0, ours.1), identity(theirs.0, theirs.1));
        let found = order(&ours, &theirs, &history, rules);
        let found = match found {
            Order::Newer(_) => Ordering::Greater,
            Order::Older(_) => Ordering::Less,
            Order::Unclear => Ordering::Equal,
        };
        assert_eq!(found, expected, "{ours:?} {theirs:?}");
    };
    use std::cmp::Ordering::{self, Equal, Greater, Less};
    let check = |ours, theirs, expected| by(&Rules::default(), ours, theirs, expected);
    // History decides, whatever the versions say.
    check(("1", "1.0.0"), ("2", "2.0.0"), Greater);
    check(("2", "1.0.0"), ("1", "2.0.0"), Less);
    check(("2", ""), ("3", ""), Greater);
    // Two images of one commit: a candidate and the release, or two releases.
    check(("2", "1.0.0"), ("2", "2.0.0"), Greater);
    check(("2", "v1.2.3"), ("2", "v1.2.3-rc.1"), Less);
    check(("2", "1.0.0-3-gabcdef012345"), ("2", "1.0.0-4-gabcdef012345"), Equal);
    // A commit that this clone doesn't have.
    check(("1", "1.0.0"), ("new", "1.1.0"), Greater);
    check(("1", "1.1.0"), ("new", "1.0.9"), Less);
    check(("1", "1.0.0"), ("new", "1.0.0-5-gabcdef012345"), Greater);
    check(("1", "1.0.0-10-gabcdef012345"), ("new", "1.0.0-9-gabcdef012346"), Less);
    check(("1", "1.0.0-rc.2"), ("new", "1.0.0-rc.10"), Greater);
    check(("1", "1.0.0"), ("new", "1.0.0-rc.1"), Less);
    check(("1", "1.0.0-alpha.1"), ("new", "1.0.0-alpha.beta"), Greater);
    for prefix in ["api/", "api-", "release/2/"] {
        let rules = Rules { prefix: prefix.to_owned(), ..Rules::default() };
        let [old, new] = ["v1.2.3", "v1.10.0-1-gabcdef012345"].map(|tag| format!("{prefix}{tag}"));
        by(&rules, ("1", &old), ("new", &new), Greater);
        by(&rules, ("1", &old), ("new", "web/v9.0.0"), Equal);
    }
    by(&numbers(), ("1", "2024.09.30"), ("new", "2024.10.01"), Greater);
    by(&numbers(), ("1", "v1.10"), ("new", "v1.9"), Less);
    check(("1", "v1.10"), ("new", "v1.9"), Equal);
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
        let found = decide(
            &tag(name),
            there.as_ref(),
            &identity("2", ""),
            force,
            &history,
            &Rules::default(),
        );
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
        assert_eq!(owner(line, &tags, &Rules::default()), expected, "{line}");
    }
    let tags = ["2024.09.30", "2024.10.01", "2024.10", "2024", "v9.1"].map(String::from);
    for (line, expected) in
        [("latest", "2024.10.01"), ("2024.09", "2024.09.30"), ("2024", "2024.10.01"), ("9", "v9.1")]
    {
        assert_eq!(owner(line, &tags, &numbers()), Some(expected), "{line}");
    }
}

#[test]
fn a_candidate_keeps_its_names_when_its_commit_becomes_the_release() {
    let ours = identity("2", "v1.2.3");
    let check = |tag: Tag, revision: &str, version: &str, rules: &Rules, expected: Act| {
        let identity = identity(revision, version);
        let there = Remote { digest: "sha256:d".to_owned(), ours: false, identity };
        let found = decide(&tag, Some(&there), &ours, false, &history, rules);
        assert_eq!(found.act, expected, "{tag:?} {there:?}");
        let forced = decide(&tag, Some(&there), &ours, true, &history, rules);
        assert_eq!(forced.act, Act::Write, "{tag:?} {there:?}");
    };
    let shared = |name: &str| Tag { shared: true, ..tag(name) };
    let rules = Rules::default();
    for name in ["1.2.3-rc.1", "sha-0123456789ab"] {
        check(shared(name), "2", "v1.2.3-rc.1", &rules, Act::Keep);
        // Of another commit, of none, or asked for by name.
        check(shared(name), "1", "v1.2.3-rc.1", &rules, Act::Refuse);
        check(shared(name), "", "v1.2.3-rc.1", &rules, Act::Refuse);
        check(tag(name), "2", "v1.2.3-rc.1", &rules, Act::Refuse);
    }
    check(tag("1.2.3"), "2", "v1.2.3-rc.1", &rules, Act::Refuse);
    check(tag("latest"), "2", "v1.2.3-rc.1", &rules, Act::Write);
    // A release of two numbers, which this clone doesn't know, is no line.
    check(tag("1.2"), "1", "v1.2", &numbers(), Act::Keep);
    check(tag("1.2"), "1", "v1.2.2", &numbers(), Act::Write);
}
