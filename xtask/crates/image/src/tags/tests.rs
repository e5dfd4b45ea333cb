//! The rules as a table: what git, CI and the registry say, and what the image is called.

use super::*;
use expect_test::{Expect, expect};

/// The commit of every case.
const REVISION: &str = "0123456789abcdef0123456789abcdef01234567";

/// What there is, what git, CI and the registry say of it (the words of [`decide`]), and the tags
/// in their order: `sha` for that of the commit, `#` for the digits of a changed name; then after
/// `!` what is left out.
const CASES: &[(&str, &str, &str)] = &[
    // Releases.
    ("the first", "here v1.2.3", "1.2.3 sha 1.2 1 latest"),
    ("without v", "here 1.2.3", "1.2.3 sha 1.2 1 latest"),
    ("on a branch", "here v1.2.3, branch main", "1.2.3 sha 1.2 1 latest"),
    ("after others", "here v1.2.3, there v1.2.2 v0.9.0", "1.2.3 sha 1.2 1 latest"),
    ("numbers, no text", "here v1.10.0, there v1.9.9", "1.10.0 sha 1.10 1 latest"),
    ("large numbers", "here v2024.11.30, there v2024.9.1", "2024.11.30 sha 2024.11 2024 latest"),
    ("0.y.z", "here v0.3.1, there v0.3.0", "0.3.1 sha 0.3 latest !0"),
    ("0.0.z", "here v0.0.1", "0.0.1 sha 0.0 latest !0"),
    // Backports.
    ("1.2.9 after 2.0.0", "here v1.2.9, there v1.2.8 v2.0.0", "1.2.9 sha 1.2 1 !latest"),
    ("1.2.9 after 1.3.0", "here v1.2.9, there v1.3.0", "1.2.9 sha 1.2 !1 !latest"),
    ("an old one again", "here v1.2.2, there v1.2.3", "1.2.2 sha !1.2 !1 !latest"),
    ("0.9.9 after 1.0.0", "here v0.9.9, there v1.0.0", "0.9.9 sha 0.9 !0 !latest"),
    ("without v after v", "here 1.2.9, there v2.0.0", "1.2.9 sha 1.2 1 !latest"),
    ("before a candidate", "here v1.2.9, there v2.0.0-rc.1", "1.2.9 sha 1.2 1 latest"),
    ("before no version", "here v1.2.9, there v2 v9.9 9000 v3.0.0.1", "1.2.9 sha 1.2 1 latest"),
    // Pre-releases.
    ("a candidate", "here v1.3.0-rc.1, there v1.2.3", "1.3.0-rc.1 sha !1.3 !1 !latest"),
    ("the first of all", "here v1.0.0-alpha", "1.0.0-alpha sha !1.0 !1 !latest"),
    ("after candidates", "here v1.3.0, there v1.3.0-rc.1 v1.3.0-rc.2", "1.3.0 sha 1.3 1 latest"),
    ("one commit", "here v1.3.0 v1.3.0-rc.2", "1.3.0 1.3.0-rc.2 sha 1.3 1 latest"),
    ("of the next", "here v1.2.3 v1.3.0-rc.1", "1.2.3 1.3.0-rc.1 sha 1.2 1 latest !1.3"),
    ("another form", "here v2.0.8-beta.67", "2.0.8-beta.67 sha !2.0 !2 !latest"),
    ("without a dash", "here v1.2.3rc2", "v1.2.3rc2 sha"),
    // Build metadata.
    ("+ isn't legal", "here v1.2.3+build.5", "1.2.3_build.5--# sha 1.2 1 latest"),
    ("has no order", "here v1.2.3+b, there v1.2.3+c", "1.2.3_b--# sha 1.2 1 latest"),
    ("a candidate's", "here v9.5.7-a.2+fork.3", "9.5.7-a.2_fork.3--# sha !9.5 !9 !latest"),
    // Several git tags.
    ("two releases", "here v1.2.3 v1.2.4", "1.2.3 1.2.4 sha 1.2 1 latest"),
    ("of two lines", "here v1.9.0 v2.0.0", "1.9.0 2.0.0 sha 2.0 2 1.9 1 latest"),
    (
        "one of them old",
        "here v1.9.0 v2.0.0, there v2.0.1",
        "1.9.0 2.0.0 sha 1.9 1 !2.0 !2 !latest",
    ),
    ("v and no v", "here 1.2.3 v1.2.3", "1.2.3 sha 1.2 1 latest"),
    ("of two commits", "here v1.2.3, there 1.2.3", "sha !v1.2.3"),
    ("the other one", "here 1.2.3, there v1.2.3, branch main", "sha main !1.2.3"),
    ("a word, too", "here stable v1.2.3", "stable 1.2.3 sha 1.2 1 latest"),
    // Git tags that are no versions.
    ("a word", "here release1", "release1 sha"),
    ("a date", "here 20200110-RC2", "20200110-RC2 sha"),
    ("only digits", "here 20200110", "20200110--# sha"),
    ("two numbers", "here 1.2", "1.2--# sha"),
    ("two numbers with v", "here v1.2", "v1.2 sha"),
    ("four numbers", "here v1.2.3.4", "v1.2.3.4 sha"),
    ("a zero in front", "here v01.2.3", "v01.2.3 sha"),
    ("latest", "here latest", "latest--# sha"),
    ("sha-", "here sha-aaaaaaaaaaaa", "sha-aaaaaaaaaaaa--# sha"),
    ("not wanted", "here release1, branch main, off other_tags", "sha main !release1"),
    // Several images in one repository.
    ("no prefix set", "here api/v1.2.3", "api-v1.2.3--# sha"),
    ("one set", "here api/v1.2.3, there web/v9.0.0 v8.0.0, prefix api/", "1.2.3 sha 1.2 1 latest"),
    ("another's", "here web/v1.2.3, branch main, prefix api/", "sha main !web/v1.2.3"),
    (
        "two of one commit",
        "here api/v1.2.3 web/v2.0.0, there api/v1.3.0, prefix api/",
        "1.2.3 sha 1.2 !web/v2.0.0 !1 !latest",
    ),
    ("another form", "here api-1.2.3, there api-1.2.2, prefix api-", "1.2.3 sha 1.2 1 latest"),
    ("a word behind it", "here api/stable, prefix api/", "stable sha"),
    ("the same of both", "here api/v1.0.0, there api/1.0.0, prefix api/", "sha !api/v1.0.0"),
    ("two slashes", "here rel/2/v1.0.0, there rel/v9.0.0, prefix rel/2/", "1.0.0 sha 1.0 1 latest"),
    ("only a v", "here v1.2.3, there 9.0.0, prefix v", "1.2.3 sha 1.2 1 latest"),
    // Two to four numbers.
    ("two", "here v1.2, there v1.1, numbers", "1.2 sha 1 latest"),
    ("two, an old one", "here v1.9, there v1.10 v2.0, numbers", "1.9 sha !1 !latest"),
    ("two, a candidate", "here v1.2-rc.1, there v1.1, numbers", "1.2-rc.1 sha !1 !latest"),
    ("two, 0.y", "here v0.3, numbers", "0.3 sha latest !0"),
    ("three", "here v1.2.3, there v1.2.2, numbers", "1.2.3 sha 1.2 1 latest"),
    ("four", "here v1.2.3.4, numbers", "v1.2.3.4 sha"),
    ("both", "here v1.2.1, there v1.2, numbers", "1.2.1 sha 1 latest !1.2"),
    ("both here", "here v1.2 v1.2.1, numbers", "1.2 1.2.1 sha 1 latest"),
    ("the first of both", "here v1.2, there v1.2.1, numbers", "1.2 sha !1 !latest"),
    ("a date", "here 2024.01.05, there 2023.12.31, numbers", "2024.01.05 sha 2024.01 2024 latest"),
    (
        "an old date",
        "here 2024.01.05, there 2024.01.11 2024.10.01, numbers",
        "2024.01.05 sha !2024.01 !2024 !latest",
    ),
    (
        "a month",
        "here 2024.01.31, there 2024.02.01, numbers",
        "2024.01.31 sha 2024.01 !2024 !latest",
    ),
    (
        "of Ubuntu's form",
        "here 24.04.1, there 24.04 23.10, numbers",
        "24.04.1 sha 24 latest !24.04",
    ),
    (
        "in the registry",
        "here 2024.01.05, numbers, registry 2024.02.01 2024.02 2024",
        "2024.01.05 sha 2024.01 !2024 !latest",
    ),
    (
        "its line there",
        "here 2024.01.05, numbers, registry 2024.01.04 2024.01",
        "2024.01.05 sha 2024.01 2024 latest",
    ),
    ("one number", "here 20240105, numbers", "20240105--# sha"),
    ("a prefix", "here api/v1.2, there web/v9.9, prefix api/, numbers", "1.2 sha 1 latest"),
    ("a branch", "branch 2024.01.05, numbers", "sha 2024.01.05--#"),
    ("a date of semver's", "branch 2024.01.05", "sha 2024.01.05"),
    // Branches.
    ("main", "branch main", "sha main"),
    ("a detached head", "", "sha"),
    ("a slash", "branch feature/login", "sha feature-login--#"),
    ("what that might be", "branch feature-login", "sha feature-login"),
    ("128 characters", "branch b*128", "sha b*128"),
    ("129 characters", "branch b*129", "sha b*118--#"),
    ("a release branch", "branch 1.2", "sha 1.2--#"),
    ("another form of it", "branch release-1.2", "sha release-1.2"),
    ("a version", "branch v1.2.3", "sha v1.2.3--#"),
    ("latest", "branch latest", "sha latest--#"),
    ("pr-7", "branch pr-7", "sha pr-7--#"),
    ("a git tag's name", "branch stable, there stable", "sha stable--#"),
    ("not wanted", "branch main, off branch", "sha"),
    // CI.
    ("a git tag", "here v1.2.3, ci-tag v1.2.3", "1.2.3 sha 1.2 1 latest"),
    (
        "a candidate's",
        "here v1.2.3 v1.2.3-rc.1, ci-tag v1.2.3-rc.1",
        "1.2.3-rc.1 sha !v1.2.3 !1.2 !1 !latest",
    ),
    (
        "the release's",
        "here v1.2.3 v1.2.3-rc.1, ci-tag v1.2.3",
        "1.2.3 sha 1.2 1 latest !v1.2.3-rc.1",
    ),
    ("the lower one's", "here v1.9.0 v2.0.0, ci-tag v1.9.0", "1.9.0 sha 1.9 1 !v2.0.0 !latest"),
    ("a word's", "here stable v1.2.3, ci-tag stable", "stable sha !v1.2.3"),
    (
        "a date's",
        "here deploy-2026-11-28 v1.2.3, ci-tag deploy-2026-11-28",
        "deploy-2026-11-28 sha !v1.2.3",
    ),
    ("with v and without", "here 1.2.3 v1.2.3, ci-tag v1.2.3", "1.2.3 sha 1.2 1 latest"),
    (
        "of another prefix",
        "here web/v1.2.3 api/v2.0.0, branch main, ci-tag web/v1.2.3, prefix api/",
        "sha !api/v2.0.0 !web/v1.2.3",
    ),
    ("a tag that has moved", "there v1.2.3, branch main, ci-tag v1.2.3", "sha !v1.2.3"),
    ("the branch stable", "here v1.2.3 stable, ci-branch stable", "sha stable--# !v1.2.3 !stable"),
    ("the branch latest", "here v1.2.3, ci-branch latest", "sha latest--# !v1.2.3"),
    ("the branch v1.2.3", "here v1.2.3, ci-branch v1.2.3", "sha v1.2.3--# !v1.2.3"),
    ("a cloned tag", "ci-tag v1.2.3, shallow, registry", "1.2.3 sha 1.2 1 latest"),
    ("a branch", "ci-branch main", "sha main"),
    ("a branch at a tag", "here v1.2.3, ci-branch main", "sha main !v1.2.3"),
    ("a pull request", "ci-pull-request 7", "sha pr-7"),
    ("of a tag", "here v1.2.3, branch x, ci-pull-request 7", "sha pr-7 !v1.2.3"),
    ("not wanted", "ci-pull-request 7, off pull_request", "sha"),
    ("a trial", "here v1.2.3, branch x, ci-trial train", "sha !v1.2.3 !train"),
    (
        "a merge queue",
        "branch gh-readonly-queue/main/pr-7-0, there v1.2.3",
        "sha !gh-readonly-queue/main/pr-7-0",
    ),
    // Changed trees.
    ("on a branch", "branch main, changed", "main-dirty sha-dirty"),
    ("at a tag", "here v1.2.3, changed", "sha-dirty !v1.2.3"),
    ("of a branch", "here v1.2.3, branch main, changed", "main-dirty sha-dirty !v1.2.3"),
    ("in a tag's pipeline", "ci-tag v1.2.3, changed", "sha-dirty !v1.2.3"),
    ("in a pull request's", "ci-pull-request 7, changed", "pr-7-dirty sha-dirty"),
    ("a branch of that name", "branch main-dirty", "sha main-dirty--#"),
    ("128 characters", "branch b*128, changed", "b*118--# sha-dirty"),
    ("a slash", "branch a/b, changed", "a-b-dirty--# sha-dirty"),
    // The registry, and shallow clones.
    ("no version", "here v1.2.3, registry main latest", "1.2.3 sha 1.2 1 latest"),
    ("a higher one", "here v1.2.3, registry 2.0.0 2.0 2", "1.2.3 sha 1.2 1 !latest"),
    ("with v", "here v1.2.3, registry v1.2.4", "1.2.3 sha !1.2 !1 !latest"),
    ("metadata", "here v1.2.3, registry 1.2.4_b--0123abcd", "1.2.3 sha !1.2 !1 !latest"),
    ("a candidate", "here v1.2.3, registry 2.0.0-rc.1", "1.2.3 sha 1.2 1 latest"),
    ("this one", "here v1.2.3, registry 1.2.3 1.2.2", "1.2.3 sha 1.2 1 latest"),
    ("git knows more", "here v1.2.3, there v1.3.0, registry 1.2.2", "1.2.3 sha 1.2 !1 !latest"),
    ("shallow", "here v1.2.3, shallow, registry 1.3.0", "1.2.3 sha 1.2 !1 !latest"),
    ("not asked", "here v1.2.3, shallow", "1.2.3 sha !1.2 !1 !latest"),
    ("tags fetched", "here v1.2.3, there v1.2.2, shallow", "1.2.3 sha 1.2 1 latest"),
    ("shallow, a branch", "branch main, shallow", "sha main"),
    // Rules.
    ("no minor", "here v1.2.3, off minor", "1.2.3 sha 1 latest"),
    ("no major", "here v1.2.3, off major", "1.2.3 sha 1.2 latest"),
    ("no latest", "here v1.2.3, there v2.0.0, off latest", "1.2.3 sha 1.2 1"),
];

/// Reads one case: `here` are the git tags of the commit, `there` those of others, `off` names the
/// rules that are switched off; the rest is named after what it is.
fn decide(given: &str) -> Names {
    let (mut rules, mut facts) =
        (Rules::default(), TagFacts { revision: REVISION, ..TagFacts::default() });
    let (mut exact, mut all, mut registry, mut pipeline) = (Vec::new(), Vec::new(), None, None);
    let mut branch = None;
    for part in given.split(", ").filter(|part| !part.is_empty()) {
        let mut words = part.split(' ');
        let key = words.next().unwrap();
        let words: Vec<String> = words.map(repeated).collect();
        let first = words.first().cloned().unwrap_or_default();
        match key {
            "here" => exact = words,
            "there" => all = words,
            "branch" => branch = Some(first),
            "ci-tag" => pipeline = Some(Pipeline::Tag(first)),
            "ci-branch" => pipeline = Some(Pipeline::Branch(first)),
            "ci-pull-request" => pipeline = Some(Pipeline::PullRequest(first.parse().unwrap())),
            "ci-trial" => pipeline = Some(Pipeline::Trial(first)),
            "shallow" => facts.shallow = true,
            "changed" => facts.changed = true,
            "registry" => registry = Some(words),
            "prefix" => rules.prefix = first,
            "numbers" => rules.versions = Versions::Numbers,
            "off" => match first.as_str() {
                "minor" => rules.minor = false,
                "major" => rules.major = false,
                "latest" => rules.latest = false,
                "other_tags" => rules.other_tags = false,
                "branch" => rules.branch = false,
                "pull_request" => rules.pull_request = false,
                _ => panic!("{part}"),
            },
            _ => panic!("{part}"),
        }
    }
    all.extend(exact.iter().cloned());
    all.sort();
    let facts = TagFacts {
        exact_tags: &exact,
        all_tags: &all,
        branch: branch.as_deref(),
        pipeline: pipeline.as_ref(),
        registry: registry.as_deref(),
        ..facts
    };
    names(&rules, &facts).unwrap()
}

/// `b*3` is `bbb`.
fn repeated(word: &str) -> String {
    match word.split_once('*') {
        Some((letter, count)) => letter.repeat(count.parse().unwrap()),
        None => word.to_owned(),
    }
}

/// The answer in the words of the table.
fn text(names: &Names) -> String {
    let tags = names.tags.iter().map(|tag| {
        let name = tag.name.replace("sha-0123456789ab", "sha");
        let name = match name.rsplit_once("--") {
            Some((start, digits)) if digits.len() == 8 => format!("{start}--#"),
            _ => name,
        };
        let letters = name.bytes().take_while(|byte| *byte == b'b').count();
        if letters > 1 { format!("b*{letters}{}", &name[letters..]) } else { name }
    });
    let left_out = names.left_out.iter().map(|left| format!("!{}", left.name));
    tags.chain(left_out).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_names_of_an_image() {
    for (what, given, called) in CASES {
        let names = decide(given);
        let what = format!("{what}: {given}: {names:#?}");
        assert_eq!(text(&names), *called, "{what}");
        for tag in &names.tags {
            assert!(engine::reference::is_tag(&tag.name) && !tag.why.is_empty(), "{what}");
        }
        assert!(names.left_out.iter().all(|left| !left.why.is_empty()), "{what}");
        // The order is that of pushing, and no name comes twice.
        assert!(names.tags.is_sorted_by_key(|tag| tag.kind), "{what}");
        let unique: std::collections::BTreeSet<_> =
            names.tags.iter().map(|tag| &tag.name).collect();
        assert_eq!(unique.len(), names.tags.len(), "{what}");
        let latest = names.tags.iter().filter(|tag| tag.kind == TagKind::Latest);
        assert!(latest.clone().all(|tag| tag.name == "latest"), "{what}");
        assert!(!given.contains("changed") || names.releases.is_empty(), "{what}");
    }
    assert!(CASES.len() >= 60, "{}", CASES.len());
}

fn explained(given: &str, expected: &Expect) {
    let names = decide(given);
    let mut text = String::new();
    for tag in &names.tags {
        text += &format!("{} {:?}: {}\n", tag.name, tag.kind, tag.why);
    }
    names.left_out.iter().for_each(|left| text += &format!("not {}: {}\n", left.name, left.why));
    names.releases.iter().for_each(|release| text += &format!("release {}\n", release.version));
    names.notes.iter().for_each(|note| text += &format!("note: {note}\n"));
    expected.assert_eq(&text);
}

#[test]
fn each_name_has_its_reason() {
    explained(
        "here v1.2.9, there v2.0.0, registry 2.1.0",
        &expect![[r#"
        1.2.9 Immutable: git tag v1.2.9
        sha-0123456789ab Immutable: the commit
        1.2 Moving: 1.2.9 is the highest 1.2.x
        1 Moving: 1.2.9 is the highest 1.x.y
        not latest: 2.1.0 is higher than 1.2.9 (in the registry)
        release 1.2.9
    "#]],
    );
    explained(
        "here v1.2.3 v1.3.0-rc.1, shallow",
        &expect![[r#"
        1.2.3 Immutable: git tag v1.2.3
        1.3.0-rc.1 Immutable: git tag v1.3.0-rc.1
        sha-0123456789ab Immutable: the commit
        not 1.3: 1.3.0-rc.1 is a pre-release
        not 1: 1.3.0-rc.1 is a pre-release
        not latest: 1.3.0-rc.1 is a pre-release
        not 1.2: nothing says whether it is the highest
        release 1.3.0-rc.1
        release 1.2.3
        note: this is a shallow clone without other git tags, and no registry was asked: nothing says which release is the highest
    "#]],
    );
    explained(
        "here v0.1.0, shallow, registry",
        &expect![[r#"
        0.1.0 Immutable: git tag v0.1.0
        sha-0123456789ab Immutable: the commit
        0.1 Moving: 0.1.0 is the highest 0.1.x
        latest Latest: 0.1.0 is the highest release
        not 0: a 0.y.z promises nothing to who follows 0 (semver.org, 4)
        release 0.1.0
        note: this is a shallow clone without other git tags: only the registry says which release is the highest
    "#]],
    );
    explained(
        "here v1.2.3, there 1.2.3, branch main",
        &expect![[r#"
            sha-0123456789ab Immutable: the commit
            main Moving: branch main
            not v1.2.3: the git tag 1.2.3 of another commit also names 1.2.3
        "#]],
    );
    explained(
        "here v1.2.3, branch feature/x, changed",
        &expect![[r#"
        feature-x-dirty--b15c1338 Moving: branch feature/x, with changes
        sha-0123456789ab-dirty Moving: the commit, with changes
        not v1.2.3: the image can differ from the commit that has this git tag
    "#]],
    );
    explained(
        "here v1.2.3, ci-pull-request 7",
        &expect![[r#"
        sha-0123456789ab Immutable: the commit
        pr-7 Moving: pull request 7
        not v1.2.3: the pipeline is that of pull request 7
    "#]],
    );
    explained(
        "here api/stable web/v1.0.0, prefix api/",
        &expect![[r#"
        stable Immutable: git tag api/stable
        sha-0123456789ab Immutable: the commit
        not web/v1.0.0: it doesn't begin with api/
    "#]],
    );
}

/// The words in backquotes of a cell.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_examples_of_the_documentation_are_true() {
    let text = include_str!("../../../../../docs/releases.md");
    let (_, rest) = text.split_once("<!-- examples:").unwrap();
    let (examples, _) = rest.split_once("<!-- end of examples").unwrap();
    let mut count = 0;
    for row in examples.lines().filter(|line| line.starts_with("| ") && line.contains('`')) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let of = quoted(cells[1])[0];
        let mut given = match cells[1].split(" `").next().unwrap() {
            "git tag" => format!("here {of}"),
            "branch" => format!("branch {of}"),
            "pull request" => format!("ci-pull-request {of}"),
            other => panic!("{other}"),
        };
        for (word, cell) in [("there", cells[2]), ("registry", cells[3])] {
            if !cell.is_empty() {
                given += &format!(", {word} {}", quoted(cell).join(" "));
            }
        }
        let names = decide(&given);
        let tags: Vec<&str> = names.tags.iter().map(|tag| tag.name.as_str()).collect();
        let left_out: Vec<&str> = names.left_out.iter().map(|left| left.name.as_str()).collect();
        assert_eq!((tags, left_out), (quoted(cells[4]), quoted(cells[5])), "{row}");
        count += 1;
    }
    assert!(count > 10, "{count}");
}

/// Each of the tags is looked at a few times, and not once for every other one: that would take minutes.
#[test]
fn twenty_thousand_git_tags_of_one_commit_or_of_others() {
    let all: Vec<String> = (0..20_000).map(|n| format!("v1.{}.{}", n % 20, n / 20)).collect();
    let all = all.join(" ");
    let names = decide(&format!("here {all}"));
    // A version each, `1.N` of each of the twenty, `1`, `latest` and that of the commit.
    assert_eq!((names.tags.len(), names.releases.len()), (20_000 + 20 + 3, 20_000));
    assert_eq!(names.tags.last().unwrap().why, "1.19.999 is the highest release");
    let names = decide(&format!("here v1.20.0, there {all}"));
    let names: Vec<&str> = names.tags.iter().map(|tag| tag.name.as_str()).collect();
    assert_eq!(names, ["1.20.0", "sha-0123456789ab", "1.20", "1", "latest"]);
}
