//! What the CI system says of this run: which commit, branch, git tag or pull request it is for,
//! read once from its variables. On a developer's machine there is none.

use crate::git::Checkout;
use clap::ValueEnum;
use process::form::Provider;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use systems::SYSTEMS;

mod systems;
#[cfg(test)]
mod tests;

/// Branches of merge queues: GitHub's, Mergify's, Trunk's and Graphite's. Each is a commit that is
/// only tried.
const QUEUES: [&str; 4] = ["gh-readonly-queue/", "mergify/merge-queue/", "trunk-merge/", "gtmq_"];

/// `--ci`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Wish {
    /// What the environment says
    #[default]
    Auto,
    /// GitHub Actions, Gitea Actions
    Github,
    /// GitLab CI
    Gitlab,
    /// As on a developer's machine
    None,
}

/// What a pipeline runs for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pipeline {
    /// A git tag was pushed.
    Tag(String),
    /// A branch was pushed, or chosen by hand.
    Branch(String),
    /// A pull request (GitLab: merge request) was opened or changed.
    PullRequest(u64),
    /// A commit that is only tried, for which nothing but the commit itself can give a name: that
    /// of a merge queue, or of a pull request whose number or commit isn't known. In words.
    Trial(String),
}

impl Pipeline {
    fn branch(name: &str) -> Pipeline {
        match is_queue(name) {
            true => Pipeline::Trial(format!("the merge queue's branch {name}")),
            false => Pipeline::Branch(name.to_owned()),
        }
    }

    /// That of the pull request which `text` names by its number or its URL.
    fn request(text: &str) -> Pipeline {
        let mut numbers = text.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
        let number = numbers.next_back().and_then(|number| number.parse().ok());
        number.map_or_else(
            || Pipeline::Trial(format!("the pull request {text}")),
            Pipeline::PullRequest,
        )
    }

    /// What a whole reference such as `refs/heads/main` names; those that are no branch and no git
    /// tag are what servers keep for pull requests.
    fn reference(text: &str) -> Option<Pipeline> {
        if let Some(branch) = text.strip_prefix("refs/heads/") {
            Some(Pipeline::branch(branch))
        } else if let Some(tag) = text.strip_prefix("refs/tags/") {
            Some(Pipeline::Tag(tag.to_owned()))
        } else {
            text.starts_with("refs/").then(|| Pipeline::request(text))
        }
    }
}

pub fn is_queue(branch: &str) -> bool {
    QUEUES.iter().any(|queue| branch.starts_with(queue))
}

impl fmt::Display for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pipeline::Tag(name) => write!(f, "the git tag {name}"),
            Pipeline::Branch(name) => write!(f, "the branch {name}"),
            Pipeline::PullRequest(number) => write!(f, "pull request {number}"),
            Pipeline::Trial(what) => f.write_str(what),
        }
    }
}

/// What the CI system says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ci {
    pub provider: Provider,
    pub pipeline: Option<Pipeline>,
    /// The commit that it checks out.
    pub commit: Option<String>,
    /// The last commit of a pull request.
    pub head: Option<String>,
    /// The commit that merges a pull request into its target, made by the CI system for trying.
    pub merge: Option<String>,
    pub default_branch: Option<String>,
}

/// What the labels and names of an image say of a pipeline's commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// What the pipeline runs for, when that is what is checked out.
    pub pipeline: Option<Pipeline>,
    /// The commit that a person wrote: the one checked out, or the head of the pull request that
    /// it merges.
    pub revision: String,
    /// The commit that is checked out, when it only merges a pull request for trying.
    pub merge: Option<String>,
    pub warnings: Vec<String>,
}

/// Reads the variables, and the file about GitHub's event that they name.
pub fn read(environment: &BTreeMap<String, String>, wish: Wish) -> Option<Ci> {
    let event = environment.get("GITHUB_EVENT_PATH").map(process::regular::read_text);
    understood(environment, event.and_then(Result::ok).as_deref(), wish)
}

/// As [`read`], of variables and the event's text.
fn understood(
    environment: &BTreeMap<String, String>,
    event: Option<&str>,
    wish: Wish,
) -> Option<Ci> {
    let get =
        |name: &str| environment.get(name).map(String::as_str).filter(|text| !text.is_empty());
    let set = |name: &str| get(name).is_some_and(|text| text != "false");
    match wish {
        Wish::None => None,
        Wish::Gitlab => Some(gitlab(&get)),
        Wish::Auto if set("GITLAB_CI") => Some(gitlab(&get)),
        Wish::Github => Some(github(&get, event)),
        Wish::Auto if set("GITHUB_ACTIONS") || set("GITEA_ACTIONS") => Some(github(&get, event)),
        Wish::Auto => SYSTEMS.iter().find_map(|system| system.read(&get)),
    }
}

/// GitHub's variables; Gitea's differ in `GITHUB_REF`, which ends with `/head` there, and in
/// `GITHUB_SHA`, which is then the head itself.
fn github<'a>(get: &dyn Fn(&str) -> Option<&'a str>, event: Option<&str>) -> Ci {
    let event: Value = event.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let reference = get("GITHUB_REF").unwrap_or_default();
    let sha = commit(get("GITHUB_SHA"));
    let head = commit(event["pull_request"]["head"]["sha"].as_str());
    let gitea = get("GITEA_ACTIONS").is_some();
    let mut ci = Ci {
        provider: if gitea { Provider::Gitea } else { Provider::GitHub },
        pipeline: None,
        commit: sha.clone(),
        head: None,
        merge: None,
        default_branch: event["repository"]["default_branch"].as_str().map(str::to_owned),
    };
    // Runs in the target's name: its own commit is the target's, which the request doesn't change.
    let foreign = get("GITHUB_EVENT_NAME") == Some("pull_request_target");
    if let Some(number) = event["pull_request"]["number"].as_u64().filter(|_| foreign) {
        ci.pipeline = Some(Pipeline::PullRequest(number));
        ci.merge = commit(event["pull_request"]["merge_commit_sha"].as_str());
        (ci.commit, ci.head) = (None, head);
    } else {
        ci.pipeline = Pipeline::reference(reference);
        if reference.ends_with("/merge") {
            (ci.merge, ci.head) = (sha, head);
        } else if matches!(ci.pipeline, Some(Pipeline::PullRequest(_))) {
            ci.head = sha;
        }
    }
    ci
}

/// GitLab's variables. Only a pipeline for merged results names the head; in any other one of a
/// merge request the commit is the head itself.
fn gitlab<'a>(get: &dyn Fn(&str) -> Option<&'a str>) -> Ci {
    let sha = commit(get("CI_COMMIT_SHA"));
    let source = commit(get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA"));
    let request = get("CI_MERGE_REQUEST_IID").or_else(|| get("CI_EXTERNAL_PULL_REQUEST_IID"));
    let train = get("CI_MERGE_REQUEST_EVENT_TYPE") == Some("merge_train");
    let request = request.map(|number| match train {
        true => Pipeline::Trial(format!("the merge train of merge request {number}")),
        false => Pipeline::request(number),
    });
    let tag = get("CI_COMMIT_TAG").map(|name| Pipeline::Tag(name.to_owned()));
    let branch = get("CI_COMMIT_BRANCH").map(Pipeline::branch);
    let (merge, head) = match (&request, source) {
        (Some(_), Some(head)) => (sha.clone(), Some(head)),
        (Some(_), None) => (None, sha.clone()),
        (None, _) => (None, None),
    };
    Ci {
        provider: Provider::GitLab,
        pipeline: request.or(tag).or(branch),
        commit: sha,
        head,
        merge,
        default_branch: get("CI_DEFAULT_BRANCH").map(str::to_owned),
    }
}

/// A whole commit id.
fn commit(text: Option<&str>) -> Option<String> {
    let text = text?;
    let whole = [40, 64].contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    whole.then(|| text.to_ascii_lowercase())
}

/// What CI says of what is checked out here: nothing when that is another commit than its own,
/// except that a pull request, or a trial, makes no other commit's names.
pub fn identity(ci: Option<&Ci>, checkout: &Checkout) -> Identity {
    let plain = Identity { revision: checkout.revision.clone(), ..Identity::default() };
    let Some(ci) = ci else { return plain };
    let is = |commit: &Option<String>| commit.as_ref() == Some(&checkout.revision);
    if !is(&ci.commit) && !is(&ci.head) && !is(&ci.merge) {
        let named = ci.commit.as_ref().or(ci.head.as_ref());
        let pipeline = match &ci.pipeline {
            Some(Pipeline::PullRequest(number)) if named.is_some() => {
                Some(Pipeline::Trial(format!("pull request {number}, of another commit")))
            }
            Some(Pipeline::PullRequest(_) | Pipeline::Trial(_)) => ci.pipeline.clone(),
            _ => None,
        };
        let warning = named.map(|commit| {
            format!(
                "this pipeline is that of the commit {commit}, and {} is checked out: {}",
                checkout.revision,
                match &pipeline {
                    Some(_) => "a pull request names no other commit",
                    None => "its branch, git tag and pull request don't count",
                }
            )
        });
        return Identity { pipeline, warnings: warning.into_iter().collect(), ..plain };
    }
    let identity = Identity { pipeline: ci.pipeline.clone(), ..plain };
    match &ci.head {
        Some(head) if is(&ci.merge) && !is(&ci.head) => {
            Identity { revision: head.clone(), merge: Some(checkout.revision.clone()), ..identity }
        }
        None if is(&ci.merge) => Identity {
            merge: Some(checkout.revision.clone()),
            warnings: vec![
                "the head of the pull request is not known (no GITHUB_EVENT_PATH): `revision` is \
                 the commit that merges it"
                    .to_owned(),
            ],
            ..identity
        },
        _ => identity,
    }
}
