//! The variables of pipelines, as the three systems document and set them, and what they say.

use super::*;
use expect_test::{Expect, expect};

/// Commits: the head of a pull request, its merge into the target, the target's own.
const HEAD: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const MERGE: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const TARGET: &str = "cccccccccccccccccccccccccccccccccccccccc";

/// `NAME=VALUE` words; `HEAD`, `MERGE` and `TARGET` stand for commits.
fn environment(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split_whitespace().map(|word| word.split_once('=').unwrap());
    let value = |value: &str| match value {
        "HEAD" => HEAD.to_owned(),
        "MERGE" => MERGE.to_owned(),
        "TARGET" => TARGET.to_owned(),
        other => other.to_owned(),
    };
    pairs.map(|(name, text)| (name.to_owned(), value(text))).collect()
}

/// GitHub's event, as far as it is read.
fn event() -> String {
    let pull = serde_json::json!({
        "number": 7, "head": { "sha": HEAD, "ref": "topic" }, "merge_commit_sha": MERGE,
    });
    serde_json::json!({ "pull_request": pull, "repository": { "default_branch": "main" } })
        .to_string()
}

/// What is understood, and what it makes of each of the three commits.
fn text(environment: &BTreeMap<String, String>, event: Option<&str>, wish: Wish) -> String {
    let Some(ci) = understood(environment, event, wish) else { return "none\n".to_owned() };
    let name = |commit: &str| match commit {
        HEAD => "HEAD".to_owned(),
        MERGE => "MERGE".to_owned(),
        TARGET => "TARGET".to_owned(),
        other => other.to_owned(),
    };
    let mut text = format!("{:?} {:?} default {:?}\n", ci.provider, ci.pipeline, ci.default_branch);
    for commit in [HEAD, MERGE, TARGET] {
        let checkout = Checkout { revision: commit.to_owned(), ..Checkout::default() };
        let identity = identity(Some(&ci), &checkout);
        let counts = if identity.pipeline.is_some() { "counts" } else { "doesn't count" };
        let merge = identity.merge.as_deref().map(|merge| format!(", merge {}", name(merge)));
        text += &format!(
            "  at {}: {counts}, revision {}{}, {} warnings\n",
            name(commit),
            name(&identity.revision),
            merge.unwrap_or_default(),
            identity.warnings.len()
        );
    }
    text
}

#[test]
fn what_the_variables_of_each_system_say() {
    let check = |variables: &str, event: Option<&str>, expected: &Expect| {
        expected.assert_eq(&text(&environment(variables), event, Wish::Auto));
    };
    let event = event();
    let event = Some(event.as_str());
    // A developer's machine, and another system.
    check(
        "HOME=/root GITHUB_REF=refs/heads/main",
        None,
        &expect![[r#"
        none
    "#]],
    );
    check(
        "CI=true",
        None,
        &expect![[r#"
        none
    "#]],
    );
    // GitHub.
    check(
        "GITHUB_ACTIONS=true GITHUB_EVENT_NAME=push GITHUB_REF=refs/heads/feature/x GITHUB_SHA=TARGET",
        Some(r#"{"repository":{"default_branch":"main"}}"#),
        &expect![[r#"
            GitHub Some(Branch("feature/x")) default Some("main")
              at HEAD: doesn't count, revision HEAD, 1 warnings
              at MERGE: doesn't count, revision MERGE, 1 warnings
              at TARGET: counts, revision TARGET, 0 warnings
        "#]],
    );
    check(
        "GITHUB_ACTIONS=true GITHUB_EVENT_NAME=push GITHUB_REF=refs/tags/api/v1.2.3 GITHUB_SHA=TARGET",
        None,
        &expect![[r#"
            GitHub Some(Tag("api/v1.2.3")) default None
              at HEAD: doesn't count, revision HEAD, 1 warnings
              at MERGE: doesn't count, revision MERGE, 1 warnings
              at TARGET: counts, revision TARGET, 0 warnings
        "#]],
    );
    check(
        "GITHUB_ACTIONS=true GITHUB_EVENT_NAME=release GITHUB_REF=refs/tags/v1.2.3 GITHUB_SHA=TARGET",
        None,
        &expect![[r#"
            GitHub Some(Tag("v1.2.3")) default None
              at HEAD: doesn't count, revision HEAD, 1 warnings
              at MERGE: doesn't count, revision MERGE, 1 warnings
              at TARGET: counts, revision TARGET, 0 warnings
        "#]],
    );
    check(
        "GITHUB_ACTIONS=true GITHUB_EVENT_NAME=workflow_dispatch GITHUB_REF=refs/heads/main GITHUB_SHA=TARGET",
        None,
        &expect![[r#"
            GitHub Some(Branch("main")) default None
              at HEAD: doesn't count, revision HEAD, 1 warnings
              at MERGE: doesn't count, revision MERGE, 1 warnings
              at TARGET: counts, revision TARGET, 0 warnings
        "#]],
    );
    check(
        "GITHUB_ACTIONS=true GITHUB_EVENT_NAME=pull_request GITHUB_REF=refs/pull/7/merge GITHUB_SHA=MERGE GITHUB_HEAD_REF=topic GITHUB_BASE_REF=main",
        event,
        &expect![[r#"
            GitHub Some(PullRequest(7)) default Some("main")
              at HEAD: counts, revision HEAD, 0 warnings
              at MERGE: counts, revision HEAD, merge MERGE, 0 warnings
              at TARGET: doesn't count, revision TARGET, 1 warnings
        "#]],
    );
    // The event can't be read.
    check(
        "GITHUB_ACTIONS=true GITHUB_EVENT_NAME=pull_request GITHUB_REF=refs/pull/7/merge GITHUB_SHA=MERGE",
        Some("no JSON"),
        &expect![[r#"
            GitHub Some(PullRequest(7)) default None
              at HEAD: doesn't count, revision HEAD, 1 warnings
              at MERGE: counts, revision MERGE, merge MERGE, 1 warnings
              at TARGET: doesn't count, revision TARGET, 1 warnings
        "#]],
    );
    // Runs with the target's rights; what it checks out is its own business.
    check(
        "GITHUB_ACTIONS=true GITHUB_EVENT_NAME=pull_request_target GITHUB_REF=refs/heads/main GITHUB_SHA=TARGET",
        event,
        &expect![[r#"
            GitHub Some(PullRequest(7)) default Some("main")
              at HEAD: counts, revision HEAD, 0 warnings
              at MERGE: counts, revision HEAD, merge MERGE, 0 warnings
              at TARGET: doesn't count, revision TARGET, 1 warnings
        "#]],
    );
    // A request that was merged: the target's branch.
    check(
        "GITHUB_ACTIONS=true GITHUB_EVENT_NAME=pull_request GITHUB_REF=refs/heads/main GITHUB_SHA=TARGET",
        event,
        &expect![[r#"
            GitHub Some(Branch("main")) default Some("main")
              at HEAD: doesn't count, revision HEAD, 1 warnings
              at MERGE: doesn't count, revision MERGE, 1 warnings
              at TARGET: counts, revision TARGET, 0 warnings
        "#]],
    );
    // Gitea has no merge commit.
    check(
        "GITEA_ACTIONS=true GITHUB_ACTIONS=true GITHUB_EVENT_NAME=pull_request GITHUB_REF=refs/pull/7/head GITHUB_SHA=HEAD",
        event,
        &expect![[r#"
            Gitea Some(PullRequest(7)) default Some("main")
              at HEAD: counts, revision HEAD, 0 warnings
              at MERGE: doesn't count, revision MERGE, 1 warnings
              at TARGET: doesn't count, revision TARGET, 1 warnings
        "#]],
    );
    check(
        "GITEA_ACTIONS=true GITHUB_ACTIONS=true GITHUB_EVENT_NAME=push GITHUB_REF=refs/tags/v1.2.3 GITHUB_SHA=TARGET",
        event,
        &expect![[r#"
            Gitea Some(Tag("v1.2.3")) default Some("main")
              at HEAD: doesn't count, revision HEAD, 1 warnings
              at MERGE: doesn't count, revision MERGE, 1 warnings
              at TARGET: counts, revision TARGET, 0 warnings
        "#]],
    );
    // GitLab: a branch, a git tag, a merge request, one with merged results.
    check(
        "GITLAB_CI=true CI_COMMIT_SHA=TARGET CI_COMMIT_BRANCH=main CI_DEFAULT_BRANCH=main CI_COMMIT_TAG=",
        None,
        &expect![[r#"
            GitLab Some(Branch("main")) default Some("main")
              at HEAD: doesn't count, revision HEAD, 1 warnings
              at MERGE: doesn't count, revision MERGE, 1 warnings
              at TARGET: counts, revision TARGET, 0 warnings
        "#]],
    );
    check(
        "GITLAB_CI=true CI_COMMIT_SHA=TARGET CI_COMMIT_TAG=v1.2.3 CI_COMMIT_REF_NAME=v1.2.3",
        None,
        &expect![[r#"
            GitLab Some(Tag("v1.2.3")) default None
              at HEAD: doesn't count, revision HEAD, 1 warnings
              at MERGE: doesn't count, revision MERGE, 1 warnings
              at TARGET: counts, revision TARGET, 0 warnings
        "#]],
    );
    check(
        "GITLAB_CI=true CI_COMMIT_SHA=HEAD CI_MERGE_REQUEST_IID=7 CI_MERGE_REQUEST_SOURCE_BRANCH_SHA=",
        None,
        &expect![[r#"
            GitLab Some(PullRequest(7)) default None
              at HEAD: counts, revision HEAD, 0 warnings
              at MERGE: doesn't count, revision MERGE, 1 warnings
              at TARGET: doesn't count, revision TARGET, 1 warnings
        "#]],
    );
    check(
        "GITLAB_CI=true CI_COMMIT_SHA=MERGE CI_MERGE_REQUEST_IID=7 CI_MERGE_REQUEST_SOURCE_BRANCH_SHA=HEAD CI_MERGE_REQUEST_EVENT_TYPE=merged_result",
        None,
        &expect![[r#"
            GitLab Some(PullRequest(7)) default None
              at HEAD: counts, revision HEAD, 0 warnings
              at MERGE: counts, revision HEAD, merge MERGE, 0 warnings
              at TARGET: doesn't count, revision TARGET, 1 warnings
        "#]],
    );
    // What can't be is nothing.
    check(
        "GITHUB_ACTIONS=true GITHUB_REF=refs/pull/x/merge GITHUB_SHA=123",
        None,
        &expect![[r#"
        GitHub None default None
          at HEAD: doesn't count, revision HEAD, 0 warnings
          at MERGE: doesn't count, revision MERGE, 0 warnings
          at TARGET: doesn't count, revision TARGET, 0 warnings
    "#]],
    );
}

#[test]
fn the_option_is_over_the_environment() {
    let github = "GITHUB_ACTIONS=true GITHUB_REF=refs/heads/main GITHUB_SHA=TARGET";
    let provider = |variables: &str, wish| {
        understood(&environment(variables), None, wish).map(|ci| ci.provider)
    };
    assert_eq!(provider(github, Wish::None), None);
    assert_eq!(provider(github, Wish::Auto), Some(Provider::GitHub));
    assert_eq!(provider(github, Wish::Gitlab), Some(Provider::GitLab));
    assert_eq!(provider("", Wish::Github), Some(Provider::GitHub));
    assert_eq!(provider("GITHUB_ACTIONS=false", Wish::Auto), None);
}
