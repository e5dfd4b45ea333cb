use super::*;
use expect_test::{Expect, expect};
use process::form::Provider;
use source::git::ChangeKind;

fn checkout() -> Checkout {
    Checkout {
        revision: "0123456789abcdef0123456789abcdef01234567".to_owned(),
        exact_tags: vec!["v1.2.3".to_owned()],
        all_tags: vec!["v1.2.2".to_owned(), "v1.2.3".to_owned()],
        branch: Some("main".to_owned()),
        ..Checkout::default()
    }
}

fn change(path: &str) -> Change {
    Change { path: path.to_owned(), kind: ChangeKind::Modified, in_context: true }
}

fn tag_pipeline(tag: &str) -> Ci {
    Ci {
        provider: Provider::GitHub,
        pipeline: Some(Pipeline::Tag(tag.to_owned())),
        commit: None,
        head: None,
        merge: None,
        default_branch: None,
    }
}

#[track_caller]
fn check(checkout: &Checkout, ci: Option<&Ci>, asked_platform: Option<&str>, expected: &Expect) {
    let identity = Identity {
        pipeline: ci.and_then(|ci| ci.pipeline.clone()),
        revision: checkout.revision.clone(),
        ..Identity::default()
    };
    let facts = ReleaseFacts {
        old_base: None,
        checkout,
        identity: &identity,
        ci,
        rules: &Rules::default(),
        asked_platform,
        platform: "linux/amd64",
    };
    let names =
        tags::names(&Rules::default(), &tags::TagFacts::of(checkout, &identity, None)).unwrap();
    let all = refused(&refusals(&facts, &names));
    let text = all.map_or("released\n".to_owned(), |failure| {
        assert_eq!(failure.exit, Exit::Git);
        let help: String = failure.help.iter().map(|line| format!("{line}\n")).collect();
        format!("{}\n{help}", failure.message)
    });
    expected.assert_eq(&text);
}

#[test]
fn what_is_no_release_says_everything_that_stands_against_it() {
    check(
        &checkout(),
        None,
        None,
        &expect![[r#"
        released
    "#]],
    );
    check(
        &checkout(),
        Some(&tag_pipeline("v1.2.3")),
        Some("linux/amd64"),
        &expect![[r#"
        released
    "#]],
    );
    let untagged = Checkout { exact_tags: Vec::new(), ..checkout() };
    check(
        &untagged,
        None,
        None,
        &expect![[r#"
        releasing this commit: no git tag of this commit names a version: git tag v1.2.3
        mend that, or push what is here under other names with `release --snapshot`
    "#]],
    );
    let other = Checkout { exact_tags: vec!["stable".to_owned()], ..checkout() };
    check(
        &other,
        None,
        None,
        &expect![[r#"
        releasing this commit: no git tag of this commit names a version (only stable): git tag v1.2.3
        mend that, or push what is here under other names with `release --snapshot`
    "#]],
    );
    let date = Checkout { exact_tags: vec!["2024.01.05".to_owned()], ..checkout() };
    check(
        &date,
        None,
        None,
        &expect![[r#"
        releasing this commit: no git tag of this commit names a version (only 2024.01.05): git tag v1.2.3, or [tags] versions = "numbers"
        mend that, or push what is here under other names with `release --snapshot`
    "#]],
    );
    let both =
        Checkout { exact_tags: vec!["stable".to_owned(), "v1.2.3".to_owned()], ..checkout() };
    check(
        &both,
        Some(&tag_pipeline("stable")),
        None,
        &expect![[r#"
        releasing this commit: no git tag of this commit names a version (only stable; v1.2.3: the pipeline is that of the git tag stable): git tag v1.2.3
        mend that, or push what is here under other names with `release --snapshot`
    "#]],
    );
    let branch = Pipeline::Branch("stable".to_owned());
    check(
        &checkout(),
        Some(&Ci { pipeline: Some(branch), ..tag_pipeline("") }),
        None,
        &expect![[r#"
            releasing this commit: no git tag of this commit names a version (only v1.2.3: the pipeline is that of the branch stable): git tag v1.2.3
            mend that, or push what is here under other names with `release --snapshot`
        "#]],
    );
    let shallow =
        Checkout { shallow: true, exact_tags: Vec::new(), all_tags: Vec::new(), ..checkout() };
    check(
        &shallow,
        None,
        None,
        &expect![[r#"
        releasing this commit: no version: this shallow clone has no git tag of this commit (git fetch --unshallow --tags)
        mend that, or push what is here under other names with `release --snapshot`
    "#]],
    );
    // The pipeline's own git tag is enough in a shallow clone.
    check(
        &shallow,
        Some(&tag_pipeline("v1.2.3")),
        None,
        &expect![[r#"
        released
    "#]],
    );
    check(
        &untagged,
        Some(&tag_pipeline("v1.2.2")),
        None,
        &expect![[r#"
        releasing this commit: the pipeline is that of the git tag v1.2.2, which is not on this commit
        mend that, or push what is here under other names with `release --snapshot`
    "#]],
    );
    let everything = Checkout {
        dirty: ["a", "b", "c", "d", "e", "f", "g"].map(change).to_vec(),
        context_changes: ["a", "app/new.py"].map(change).to_vec(),
        exact_tags: Vec::new(),
        ..checkout()
    };
    assert_eq!(left_out(&checkout()), None);
    let note = "note: releasing the commit, without the changes of the working tree: a, app/new.py, \
                b, c, d and 3 more";
    assert_eq!(left_out(&everything).as_deref(), Some(note));
    check(
        &everything,
        None,
        Some("linux/arm64"),
        &expect![[r#"
        releasing this commit: 2 things stand against it
          no git tag of this commit names a version: git tag v1.2.3
          XTASK_PLATFORM asks for linux/arm64, and this engine runs linux/amd64
        mend that, or push what is here under other names with `release --snapshot`
    "#]],
    );
}

#[test]
fn a_snapshot_never_has_a_release_s_name() {
    let check = |checkout: &Checkout, pipeline: Option<Pipeline>, expected: &str| {
        let identity = Identity { pipeline, ..Identity::default() };
        let facts = tags::TagFacts::of(checkout, &identity, Some(&[]));
        let names = names(&Rules::default(), &facts, true).unwrap();
        let all: Vec<&str> = names.tags.iter().map(|tag| tag.name.as_str()).collect();
        assert_eq!(all.join(" "), expected);
        assert!(names.tags.iter().all(|tag| tag.kind == TagKind::Moving), "{:?}", names.tags);
        assert!(names.releases.is_empty());
    };
    check(&checkout(), None, "sha-0123456789ab-snapshot main");
    let tag = Pipeline::Tag("v1.2.3".to_owned());
    check(&checkout(), Some(tag), "sha-0123456789ab-snapshot main");
    let request = Pipeline::PullRequest(7);
    check(&checkout(), Some(request), "sha-0123456789ab-snapshot pr-7");
    let trial = Pipeline::Trial("a merge queue".to_owned());
    check(&checkout(), Some(trial), "sha-0123456789ab-snapshot");
    let dirty = Checkout { dirty: vec![change("a")], ..checkout() };
    check(&dirty, None, "main-dirty sha-0123456789ab-dirty-snapshot");
    let version = Checkout { branch: Some("1.2".to_owned()), ..checkout() };
    check(&version, None, "sha-0123456789ab-snapshot 1.2--9616f6b0");
    let latest = Checkout { branch: None, ..checkout() };
    check(&latest, None, "sha-0123456789ab-snapshot");
}

#[test]
fn a_version_is_built_once() {
    let record = ReleaseRecord {
        version: "1.2.3".to_owned(),
        revision: "aaaa".to_owned(),
        image_id: "sha256:1".to_owned(),
        ..ReleaseRecord::default()
    };
    let pushed = ReleaseRecord {
        registries: serde_json::json!([{ "repository": "r.example/a", "digest": "sha256:2" }]),
        ..record.clone()
    };
    let check = |record: Option<&ReleaseRecord>, revision, squash, here, expected: &Expect| {
        let text = match rerun(record, revision, squash, here, "releases/1.2.3.json") {
            Ok(rerun) => format!("{rerun:?}\n"),
            Err(failure) => format!("{}\n{}\n", failure.message, failure.help.join("\n")),
        };
        expected.assert_eq(&text);
    };
    check(
        None,
        "aaaa",
        false,
        false,
        &expect![[r#"
        New
    "#]],
    );
    check(
        Some(&record),
        "aaaa",
        false,
        true,
        &expect![[r#"
        GoOn
    "#]],
    );
    check(
        Some(&record),
        "bbbb",
        false,
        true,
        &expect![[r#"
            releasing 1.2.3: it was built of the commit aaaa, and this one is bbbb
            give this commit another version; if it was never given to anybody, remove releases/1.2.3.json to build it anew
        "#]],
    );
    check(
        Some(&record),
        "aaaa",
        true,
        true,
        &expect![[r#"
        releasing 1.2.3: it was built without --squash
        go on without it; if it was never given to anybody, remove releases/1.2.3.json to build it anew
    "#]],
    );
    check(
        Some(&record),
        "aaaa",
        false,
        false,
        &expect![[r#"
        releasing 1.2.3: its image sha256:1 is not here any more
        a version is never built twice; if it was never given to anybody, remove releases/1.2.3.json to build it anew
    "#]],
    );
    check(
        Some(&pushed),
        "aaaa",
        false,
        false,
        &expect![[r#"
        releasing 1.2.3: its image sha256:1 is not here any more
        pull r.example/a@sha256:2; a version is never built twice
    "#]],
    );
}

#[test]
fn what_is_there_counts_only_if_it_is_known_to_be_the_same() {
    let map = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    let inputs = ReleaseInputs {
        labels: map("base.digest", "sha256:a"),
        build_args: map("DEBIAN_REFRESH", "2026-11-30"),
        platform: "linux/amd64".into(),
        arguments: vec!["--squash".into(), "--force".into()],
    };
    let made = Made {
        build_args: inputs.build_args.clone(),
        platform: inputs.platform.clone(),
        arguments: vec!["--squash".into()],
        ..Made::default()
    };
    let tested = Tested { passed: true, ..Tested::default() };
    let mut labels = inputs.labels.clone();
    labels.insert("of.the.base".into(), "1".into());
    let check =
        |inputs: &ReleaseInputs, made: Option<&Made>, tested: Option<&Tested>, alike, why: &str| {
            let found = differs(inputs, &labels, made, tested, alike);
            assert_eq!(found.unwrap_or_default(), why);
        };
    check(&inputs, Some(&made), Some(&tested), true, "");
    check(&inputs, None, Some(&tested), true, "it has no provenance");
    check(&inputs, Some(&made), None, true, "no smoke test is attached to it");
    let failed = Tested { failed: vec!["web".into()], ..Tested::default() };
    check(&inputs, Some(&made), Some(&failed), true, "its smoke test failed: web");
    check(&inputs, Some(&made), Some(&tested), false, "the registries have different images");
    let newer = ReleaseInputs { labels: map("base.digest", "sha256:b"), ..inputs.clone() };
    let why = "the label base.digest is sha256:a there, and sha256:b here";
    check(&newer, Some(&made), Some(&tested), true, why);
    let refreshed = Made { build_args: map("DEBIAN_REFRESH", "2026-11-29"), ..made.clone() };
    let why = "the build argument DEBIAN_REFRESH is 2026-11-29 there, and 2026-11-30 here";
    check(&inputs, Some(&refreshed), Some(&tested), true, why);
    let plain = Made { arguments: Vec::new(), ..made.clone() };
    check(&inputs, Some(&plain), Some(&tested), true, "the option is  there, and --squash here");
    let arm = Made { platform: "linux/arm64".into(), ..made };
    let why = "the platform is linux/arm64 there, and linux/amd64 here";
    check(&inputs, Some(&arm), Some(&tested), true, why);
}
