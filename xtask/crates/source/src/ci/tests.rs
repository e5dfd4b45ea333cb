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
        let counts = match &identity.pipeline {
            Some(Pipeline::Trial(_)) => "only tried",
            Some(_) => "counts",
            None => "doesn't count",
        };
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
              at TARGET: only tried, revision TARGET, 1 warnings
        "#]],
    );
    // The event can't be read.
    check(
        "GITHUB_ACTIONS=true GITHUB_EVENT_NAME=pull_request GITHUB_REF=refs/pull/7/merge GITHUB_SHA=MERGE",
        Some("no JSON"),
        &expect![[r#"
            GitHub Some(PullRequest(7)) default None
              at HEAD: only tried, revision HEAD, 1 warnings
              at MERGE: counts, revision MERGE, merge MERGE, 1 warnings
              at TARGET: only tried, revision TARGET, 1 warnings
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
              at TARGET: only tried, revision TARGET, 1 warnings
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
              at MERGE: only tried, revision MERGE, 1 warnings
              at TARGET: only tried, revision TARGET, 1 warnings
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
              at MERGE: only tried, revision MERGE, 1 warnings
              at TARGET: only tried, revision TARGET, 1 warnings
        "#]],
    );
    check(
        "GITLAB_CI=true CI_COMMIT_SHA=MERGE CI_MERGE_REQUEST_IID=7 CI_MERGE_REQUEST_SOURCE_BRANCH_SHA=HEAD CI_MERGE_REQUEST_EVENT_TYPE=merged_result",
        None,
        &expect![[r#"
            GitLab Some(PullRequest(7)) default None
              at HEAD: counts, revision HEAD, 0 warnings
              at MERGE: counts, revision HEAD, merge MERGE, 0 warnings
              at TARGET: only tried, revision TARGET, 1 warnings
        "#]],
    );
    // A merge train, and a merge queue's branch.
    check(
        "GITLAB_CI=true CI_COMMIT_SHA=MERGE CI_MERGE_REQUEST_IID=7 CI_MERGE_REQUEST_SOURCE_BRANCH_SHA=HEAD CI_MERGE_REQUEST_EVENT_TYPE=merge_train",
        None,
        &expect![[r#"
            GitLab Some(Trial("the merge train of merge request 7")) default None
              at HEAD: only tried, revision HEAD, 0 warnings
              at MERGE: only tried, revision HEAD, merge MERGE, 0 warnings
              at TARGET: only tried, revision TARGET, 1 warnings
        "#]],
    );
    check(
        "GITHUB_ACTIONS=true GITHUB_EVENT_NAME=merge_group GITHUB_REF=refs/heads/gh-readonly-queue/main/pr-7-cccc GITHUB_SHA=MERGE",
        None,
        &expect![[r#"
            GitHub Some(Trial("the merge queue's branch gh-readonly-queue/main/pr-7-cccc")) default None
              at HEAD: only tried, revision HEAD, 1 warnings
              at MERGE: only tried, revision MERGE, 0 warnings
              at TARGET: only tried, revision TARGET, 1 warnings
        "#]],
    );
    // What can't be a number names nothing.
    check(
        "GITHUB_ACTIONS=true GITHUB_REF=refs/pull/x/merge GITHUB_SHA=123",
        None,
        &expect![[r#"
            GitHub Some(Trial("the pull request refs/pull/x/merge")) default None
              at HEAD: only tried, revision HEAD, 0 warnings
              at MERGE: only tried, revision MERGE, 0 warnings
              at TARGET: only tried, revision TARGET, 0 warnings
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

/// The pipeline that each of the systems of [`SYSTEMS`] runs, and at which commits it counts.
#[test]
fn every_system_knows_its_pull_requests() {
    let check = |variables: &str, expected: &str| {
        let all = environment(variables);
        let ci = understood(&all, None, Wish::Auto).unwrap();
        let at = |commit: &str| {
            let checkout = Checkout { revision: commit.to_owned(), ..Checkout::default() };
            let found = identity(Some(&ci), &checkout);
            let revision = if found.revision == HEAD { "HEAD" } else { "itself" };
            match found.pipeline {
                Some(Pipeline::Trial(_)) => "tried".to_owned(),
                Some(_) => format!("as {revision}"),
                None => "no".to_owned(),
            }
        };
        let pipeline = ci.pipeline.as_ref().map(|pipeline| format!("{pipeline:?}"));
        let shown = format!("{} {} {}", pipeline.unwrap_or_default(), at(HEAD), at(MERGE));
        assert_eq!(shown.replace('"', ""), expected, "{variables}");
    };
    let woodpecker = "CI=woodpecker CI_COMMIT_SHA=HEAD CI_COMMIT_BRANCH=release-2";
    check(woodpecker, "Branch(release-2) as HEAD no");
    let variables = format!("{woodpecker} CI_PIPELINE_EVENT=pull_request CI_COMMIT_PULL_REQUEST=7");
    check(&variables, "PullRequest(7) as HEAD tried");
    let variables = format!("{woodpecker} CI_PIPELINE_EVENT=pull_request_closed");
    check(&variables, "Trial(a pull request to release-2) tried tried");
    check(&format!("{woodpecker} CI_COMMIT_TAG=v1"), "Tag(v1) as HEAD no");
    let jenkins = "JENKINS_URL=https://j GIT_COMMIT=MERGE";
    check(&format!("{jenkins} BRANCH_NAME=main"), "Branch(main) no as itself");
    check(&format!("{jenkins} BRANCH_NAME=PR-7 CHANGE_ID=7"), "PullRequest(7) tried as itself");
    check(&format!("{jenkins} BRANCH_NAME=PR-7-merge"), "PullRequest(7) tried as itself");
    check(&format!("{jenkins} TAG_NAME=v1 BRANCH_NAME=v1"), "Tag(v1) no as itself");
    check("JENKINS_HOME=/j gitlabMergeRequestIid=7", "PullRequest(7) as HEAD as itself");
    let azure = "TF_BUILD=True BUILD_SOURCEVERSION=MERGE";
    check(&format!("{azure} BUILD_SOURCEBRANCH=refs/heads/a/b"), "Branch(a/b) no as itself");
    check(&format!("{azure} BUILD_SOURCEBRANCH=refs/tags/v1"), "Tag(v1) no as itself");
    let pulled = format!("{azure} BUILD_REASON=PullRequest BUILD_SOURCEBRANCH=refs/pull/7/merge");
    check(&pulled, "PullRequest(7) tried as itself");
    let pulled = format!("{pulled} SYSTEM_PULLREQUEST_SOURCECOMMITID=HEAD");
    check(&pulled, "PullRequest(7) as HEAD as HEAD");
    let numbered = "SYSTEM_PULLREQUEST_PULLREQUESTID=512 SYSTEM_PULLREQUEST_PULLREQUESTNUMBER=7";
    check(&format!("{azure} {numbered}"), "PullRequest(7) tried as itself");
    let bitbucket = "BITBUCKET_BUILD_NUMBER=1 BITBUCKET_COMMIT=HEAD";
    check(
        &format!("{bitbucket} BITBUCKET_BRANCH=x BITBUCKET_PR_ID=7"),
        "PullRequest(7) as HEAD tried",
    );
    check(&format!("{bitbucket} BITBUCKET_TAG=v1"), "Tag(v1) as HEAD no");
    let circle = "CIRCLECI=true CIRCLE_SHA1=HEAD";
    check(&format!("{circle} CIRCLE_BRANCH=main"), "Branch(main) as HEAD no");
    check(&format!("{circle} CIRCLE_BRANCH=pull/7"), "PullRequest(7) as HEAD tried");
    let url = "CIRCLE_PULL_REQUEST=https://github.com/o2/r/pull/7";
    check(&format!("{circle} CIRCLE_BRANCH=x {url}"), "PullRequest(7) as HEAD tried");
    let buildkite = "BUILDKITE=true BUILDKITE_TAG= BUILDKITE_BRANCH=main";
    let queue = "BUILDKITE_BRANCH=gh-readonly-queue/main/pr-7-cc BUILDKITE_COMMIT=HEAD";
    check(
        &format!("{buildkite} BUILDKITE_PULL_REQUEST=false BUILDKITE_COMMIT=HEAD"),
        "Branch(main) as HEAD no",
    );
    check(&format!("{buildkite} BUILDKITE_PULL_REQUEST=7"), "PullRequest(7) as HEAD as itself");
    check(
        &format!("{buildkite} {queue}"),
        "Trial(the merge queue's branch gh-readonly-queue/main/pr-7-cc) tried tried",
    );
}
