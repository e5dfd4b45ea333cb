//! The systems that say all in variables of one form: which ones, as their documentation has it.

use super::{Ci, Pipeline, commit};
use process::form::Provider;

/// The variables of one system. An empty name is none.
pub(super) struct System {
    provider: Provider,
    /// Variables of which one is set in every pipeline, and what it then begins with.
    marks: &'static [(&'static str, &'static str)],
    /// Set for a pull request only, to its number or URL; `false` counts as not set.
    requests: &'static [&'static str],
    /// Begins with `pull`, in any case, for a pull request.
    event: &'static str,
    tag: &'static str,
    /// The branch, or a whole reference.
    branch: &'static str,
    commit: &'static str,
    /// The last commit of a pull request, if `commit` is one that merges it for trying.
    head: &'static str,
    default_branch: &'static str,
}

pub(super) const SYSTEMS: [System; 6] = [
    // https://woodpecker-ci.org/docs/usage/environment
    System {
        provider: Provider::Woodpecker,
        marks: &[("CI", "woodpecker"), ("CI_SYSTEM_NAME", "woodpecker")],
        requests: &["CI_COMMIT_PULL_REQUEST"],
        event: "CI_PIPELINE_EVENT",
        tag: "CI_COMMIT_TAG",
        branch: "CI_COMMIT_BRANCH",
        commit: "CI_COMMIT_SHA",
        head: "",
        default_branch: "CI_REPO_DEFAULT_BRANCH",
    },
    // ENV-VARS.html of any Jenkins; ghprb and the GitLab plugin for jobs of one branch.
    System {
        provider: Provider::Jenkins,
        marks: &[("JENKINS_URL", ""), ("JENKINS_HOME", "")],
        requests: &["CHANGE_ID", "ghprbPullId", "gitlabMergeRequestIid"],
        event: "",
        tag: "TAG_NAME",
        branch: "BRANCH_NAME",
        commit: "GIT_COMMIT",
        head: "",
        default_branch: "",
    },
    // https://learn.microsoft.com/azure/devops/pipelines/build/variables
    System {
        provider: Provider::Azure,
        marks: &[("TF_BUILD", "")],
        requests: &["SYSTEM_PULLREQUEST_PULLREQUESTNUMBER", "SYSTEM_PULLREQUEST_PULLREQUESTID"],
        event: "BUILD_REASON",
        tag: "",
        branch: "BUILD_SOURCEBRANCH",
        commit: "BUILD_SOURCEVERSION",
        head: "SYSTEM_PULLREQUEST_SOURCECOMMITID",
        default_branch: "",
    },
    // https://support.atlassian.com/bitbucket-cloud/docs/variables-and-secrets
    System {
        provider: Provider::Bitbucket,
        marks: &[("BITBUCKET_BUILD_NUMBER", ""), ("BITBUCKET_PIPELINE_UUID", "")],
        requests: &["BITBUCKET_PR_ID"],
        event: "",
        tag: "BITBUCKET_TAG",
        branch: "BITBUCKET_BRANCH",
        commit: "BITBUCKET_COMMIT",
        head: "",
        default_branch: "",
    },
    // https://circleci.com/docs/reference/variables; the first is set for forks only.
    System {
        provider: Provider::CircleCi,
        marks: &[("CIRCLECI", "")],
        requests: &["CIRCLE_PR_NUMBER", "CIRCLE_PULL_REQUEST", "CIRCLE_PULL_REQUESTS"],
        event: "",
        tag: "CIRCLE_TAG",
        branch: "CIRCLE_BRANCH",
        commit: "CIRCLE_SHA1",
        head: "",
        default_branch: "",
    },
    // https://buildkite.com/docs/pipelines/configure/environment-variables
    System {
        provider: Provider::Buildkite,
        marks: &[("BUILDKITE", "")],
        requests: &["BUILDKITE_PULL_REQUEST"],
        event: "",
        tag: "BUILDKITE_TAG",
        branch: "BUILDKITE_BRANCH",
        commit: "BUILDKITE_COMMIT",
        head: "",
        default_branch: "BUILDKITE_PIPELINE_DEFAULT_BRANCH",
    },
];

impl System {
    /// What it says, if the variables are its own.
    pub(super) fn read<'a>(&self, get: &dyn Fn(&str) -> Option<&'a str>) -> Option<Ci> {
        let set = |name: &&str| get(name).filter(|value| *value != "false");
        let is_set = |(name, start): &(&str, &str)| set(name).is_some_and(|v| v.starts_with(start));
        self.marks.iter().any(is_set).then(|| {
            let sha = commit(get(self.commit));
            let pipeline = self.pipeline(get, self.requests.iter().find_map(set));
            let requested = matches!(pipeline, Some(Pipeline::PullRequest(_) | Pipeline::Trial(_)));
            let head = commit(get(self.head)).filter(|_| requested);
            Ci {
                provider: self.provider,
                merge: head.as_ref().and(sha.clone()).filter(|sha| Some(sha) != head.as_ref()),
                head,
                pipeline,
                commit: sha,
                default_branch: get(self.default_branch).map(str::to_owned),
            }
        })
    }

    fn pipeline<'a>(
        &self,
        get: &dyn Fn(&str) -> Option<&'a str>,
        request: Option<&str>,
    ) -> Option<Pipeline> {
        let event = get(self.event).is_some_and(|event| event.to_lowercase().starts_with("pull"));
        let branch = get(self.branch).unwrap_or_default();
        match (request, get(self.tag)) {
            (Some(request), _) => Some(Pipeline::request(request)),
            // What a fork is built as: `pull/7` on CircleCI, `PR-7` or `MR-7` on Jenkins.
            (None, _) if is_request(branch) => Some(Pipeline::request(branch)),
            (None, _) if event => Pipeline::reference(branch)
                .or_else(|| Some(Pipeline::Trial(format!("a pull request to {branch}")))),
            (None, Some(tag)) => Some(Pipeline::Tag(tag.to_owned())),
            (None, None) if branch.is_empty() => None,
            (None, None) => Pipeline::reference(branch).or_else(|| Some(Pipeline::branch(branch))),
        }
    }
}

/// Whether what stands in the place of a branch is a system's own word for a pull request.
fn is_request(branch: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    ["pull/", "PR-", "MR-"].iter().any(|start| {
        let rest = branch.strip_prefix(start);
        rest.and_then(|rest| rest.split(['/', '-']).next()).is_some_and(number)
    })
}
