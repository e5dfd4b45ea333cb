//! A build in a pipeline: what it hands on, what it says, and what it calls the image.

use super::checkout::Checkout;
use super::ended::Ended;
use super::fake_engine::with_podman;

/// A checkout with an engine and with the files that GitHub gives a step.
fn with_files() -> Checkout {
    let checkout = with_podman();
    let exclude = std::fs::read_to_string(checkout.path(".git/info/exclude")).unwrap();
    checkout.write(".git/info/exclude", &format!("{exclude}/output\n/summary\n/event.json\n"));
    checkout.write("output", "before=1\n");
    checkout.write("summary", "before\n");
    checkout
}

/// Runs a command as a step of a workflow.
fn step(checkout: &Checkout, words: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command = checkout.command(words);
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_SHA", checkout.git(&["rev-parse", "HEAD"]));
    command.env("GITHUB_WORKSPACE", checkout.path("."));
    command.env("GITHUB_OUTPUT", checkout.path("output"));
    command.env("GITHUB_STEP_SUMMARY", checkout.path("summary"));
    command.envs(variables.iter().copied()).output().unwrap().into()
}

fn read(checkout: &Checkout, file: &str) -> String {
    std::fs::read_to_string(checkout.path(file)).unwrap()
}

#[test]
fn a_step_hands_on_what_it_made() {
    let checkout = with_files();
    let revision = checkout.git(&["rev-parse", "HEAD"]);
    let short = &revision[..12];
    let tag = ("GITHUB_REF", "refs/tags/v1.2.3");
    let ended = step(&checkout, &["build"], &[tag]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let output = read(&checkout, "output");
    assert!(output.starts_with("before=1\nreference=localhost/senex_trader:prod\n"), "{output}");
    assert!(output.contains(&format!("\nrevision={revision}\n")), "{output}");
    // The clone is no shallow one, so that git says which release is the highest.
    let names = format!("\n1.2.3\nsha-{short}\n1.2\n1\nlatest\n");
    assert!(output.contains("\nimage_tags<<") && output.contains(&names), "{output}");
    let summary = read(&checkout, "summary");
    assert!(summary.starts_with("before\n### `localhost/senex_trader:prod`\n\n| | |"), "{summary}");
    assert!(summary.contains(&format!("| revision | {revision} |\n")), "{summary}");
    // What the engine prints is folded, and can give no command.
    let lines: Vec<&str> = ended.err.lines().collect();
    let group = lines.iter().position(|line| line.starts_with("::group::$ ")).unwrap();
    let token = lines[group + 1].strip_prefix("::stop-commands::").unwrap();
    assert!(lines[group + 2].starts_with("STEP 1/2"), "{}", ended.err);
    let end = lines.iter().position(|line| *line == format!("::{token}::")).unwrap();
    assert_eq!(lines[end + 1], "::endgroup::");
    // `label` also hands on; a dry run and other systems don't.
    step(&checkout, &["label"], &[tag]);
    let more = read(&checkout, "output");
    assert_eq!(more.matches("\nimage_tags<<").count(), 2, "{more}");
    step(&checkout, &["build", "--dry-run"], &[tag]);
    step(&checkout, &["build", "--ci", "none"], &[tag]);
    let gitlab = step(&checkout, &["build", "--force", "--ci", "gitlab"], &[tag]);
    assert_eq!((read(&checkout, "output"), read(&checkout, "summary")), (more, summary));
    assert!(gitlab.err.contains("section_start:") && gitlab.err.contains("section_end:"));
}

#[test]
fn a_failing_step_of_the_dockerfile_is_annotated_at_its_line() {
    let checkout = with_files();
    checkout.write("fail", "");
    let ended = step(&checkout, &["build"], &[]);
    assert_eq!(ended.code, Some(5), "{}", ended.err);
    let text = read(&checkout, "docker/Dockerfile");
    let line = text.lines().position(|line| line.starts_with("WORKDIR /app")).unwrap() + 1;
    let expected = format!(
        "\n::error file=docker/Dockerfile,line={line}::building docker/Dockerfile:{line}: WORKDIR /app: exit status 125\n"
    );
    assert!(ended.err.contains(&expected), "{}", ended.err);
    assert_eq!(ended.err.matches("::error").count(), 1, "{}", ended.err);
    let ended = step(&checkout, &["build", "--tag", "no tag"], &[]);
    assert!(ended.err.contains("::error::reading the reference \"no tag\": "), "{}", ended.err);
    let plain = step(&checkout, &["build", "--ci", "none"], &[]);
    assert!(!plain.err.contains("::"), "{}", plain.err);
}

#[test]
fn secrets_are_masked_only_where_a_runner_listens() {
    let checkout = with_files();
    checkout.write("home/token", "canary-file\nsecond line\n");
    let words = ["build", "--secret", "id=a,env=TOKEN", "--secret", "id=b,src=home/token"];
    let secrets = [("TOKEN", "canary%env"), ("HTTPS_PROXY", "http://me:canary-proxy@proxy")];
    let ended = step(&checkout, &words, &secrets);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let first: Vec<&str> = ended.err.lines().take(4).collect();
    let masked = ["canary%25env", "canary-file", "second line", "canary-proxy"];
    assert_eq!(first, masked.map(|value| format!("::add-mask::{value}")));
    assert_eq!(ended.err.matches("canary").count(), 3, "{}", ended.err);
    let terminal = [secrets[0], secrets[1], ("GITHUB_ACTIONS", "")];
    let ended = step(&checkout, &[&words[..], &["--force", "--ci", "github"]].concat(), &terminal);
    assert!(ended.err.contains("::group::") && !ended.err.contains("canary"), "{}", ended.err);
}

#[test]
fn the_image_of_a_pull_request_names_its_head_and_its_merge() {
    let checkout = with_files();
    checkout.git(&["checkout", "--quiet", "-b", "topic"]);
    checkout.git(&["commit", "--quiet", "--allow-empty", "--message", "topic"]);
    let head = checkout.git(&["rev-parse", "HEAD"]);
    checkout.git(&["checkout", "--quiet", "--detach", "main"]);
    checkout.git(&["merge", "--quiet", "--no-ff", "--message", "merge", "topic"]);
    let merge = checkout.git(&["rev-parse", "HEAD"]);
    let event = serde_json::json!({ "pull_request": { "number": 7, "head": { "sha": head } } });
    checkout.write("event.json", &event.to_string());
    let path = checkout.path("event.json");
    let variables = [
        ("GITHUB_REF", "refs/pull/7/merge"),
        ("GITHUB_EVENT_NAME", "pull_request"),
        ("GITHUB_EVENT_PATH", path.to_str().unwrap()),
    ];
    let ended = step(&checkout, &["build", "--format", "json"], &variables);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let report: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(report["labels"]["org.opencontainers.image.revision"], head);
    assert_eq!(report["labels"]["dev.senex.xtask.merge"], merge);
    assert_eq!(report["revision"], head);
    // What is in the image is the merge: its immutable name is that commit's.
    let local = format!("localhost/senex_trader:sha-{}", &merge[..12]);
    assert_eq!(report["references"][1], local);
    let names = step(&checkout, &["label", "--get", "image_tags"], &variables);
    assert_eq!(names.out, format!("sha-{} pr-7\n", &merge[..12]));
    let ended = step(&checkout, &["build", "--label", "dev.senex.xtask.merge=1"], &variables);
    assert_eq!(ended.code, Some(2), "{}", ended.err);
}

#[test]
fn an_image_named_after_a_release_has_its_git_tag_as_version() {
    let checkout = with_files();
    let toml = read(&checkout, "docker/image.toml");
    checkout.git(&["tag", "v0.9.0"]);
    // The git tags of one commit; the candidate is what `git describe` prefers.
    let tag = |words: &[&str]| checkout.git(&[&["tag", "--force"], words].concat());
    let commit = |config: &str| {
        checkout.write("docker/image.toml", &format!("{toml}\n[tags]\n{config}\n"));
        checkout.git(&["commit", "--quiet", "--all", "--allow-empty", "--message", config]);
        for name in ["v1.2.3", "stable", "api/v2.0.0", "web/v9.0.0", "rel/2/v7.1", "rel/2/v7.0"] {
            tag(&[name]);
        }
        tag(&["rel/2/2024.01.05"]);
        tag(&["--annotate", "--message", "x", "v1.2.3-rc.1"]);
    };
    let check = |reference: &str, version: &str, names: &str| {
        let words = ["label", "--format", "json"];
        let ended = match reference {
            "" => checkout.run(&words),
            _ => step(&checkout, &words, &[("GITHUB_REF", reference)]),
        };
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        let label: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
        let shown = (&label["version"], &label["labels"]["org.opencontainers.image.version"]);
        assert_eq!(shown, (&version.into(), &version.into()), "{reference}");
        let tags = label["image_tags"].as_array().unwrap().iter();
        let tags: Vec<&str> = tags.map(|tag| tag["name"].as_str().unwrap()).collect();
        let sha = format!("sha-{}", &checkout.git(&["rev-parse", "HEAD"])[..12]);
        assert_eq!(tags.join(" "), names.replace("SHA", &sha), "{reference}");
    };
    commit("other_tags = false");
    check("", "v1.2.3", "1.2.3 1.2.3-rc.1 SHA 1.2 1 latest");
    check("refs/tags/v1.2.3", "v1.2.3", "1.2.3 SHA 1.2 1 latest");
    check("refs/tags/v1.2.3-rc.1", "v1.2.3-rc.1", "1.2.3-rc.1 SHA");
    check("refs/tags/stable", "v1.2.3-rc.1", "SHA");
    check("refs/heads/main", "v1.2.3-rc.1", "SHA main");
    commit("prefix = \"api/\"");
    check("", "api/v2.0.0", "2.0.0 SHA 2.0 2 latest");
    check("refs/tags/web/v9.0.0", "api/v2.0.0", "SHA");
    check("refs/heads/latest", "api/v2.0.0", "SHA latest--0f0c5138");
    commit("prefix = \"none/\"");
    let short = checkout.git(&["rev-parse", "--short=12", "HEAD"]);
    check("refs/heads/main", &short, "SHA main");
    commit("prefix = \"rel/2/\"\nversions = \"numbers\"\nother_tags = false");
    check("", "rel/2/2024.01.05", "2024.01.05 7.0 7.1 SHA 2024.01 2024 7 latest");
    check("refs/tags/rel/2/v7.0", "rel/2/v7.0", "7.0 SHA");
    check("refs/tags/rel/2/v7.1", "rel/2/v7.1", "7.1 SHA 7");
    commit("versions = \"calver\"");
    let ended = checkout.run(&["label"]);
    let expected = "tags.versions: unknown value `calver`, expected `semver` or `numbers`";
    assert!(ended.code == Some(2) && ended.err.contains(expected), "{}", ended.err);
    // Any git checkout has a version.
    checkout.git(&["rm", "--quiet", "docker/image.toml"]);
    checkout.git(&["commit", "--quiet", "--message", "no workflow"]);
    for name in ["v1.2.3-rc.1", "v1.2.3"] {
        tag(&[name]);
    }
    check("", "v1.2.3", "1.2.3 1.2.3-rc.1 SHA 1.2 1 latest");
}
