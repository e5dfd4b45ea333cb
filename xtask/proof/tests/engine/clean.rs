//! `clean` on a real engine: only what is ours and unused goes.

use super::bench::Repository;
use serde_json::{Value, json};

fn is_here(repository: &Repository, image: &str) -> bool {
    repository.engine(&["image", "inspect", image]).code == Some(0)
}

fn ids(list: &Value) -> Vec<String> {
    let mut ids: Vec<String> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}

#[test]
fn only_what_is_ours_and_unused_is_removed() {
    let repository = Repository::new();
    // Four commits, of which the last one's image is the current one.
    let mut built = Vec::new();
    for commit in 1..=4 {
        repository.write("README.md", &format!("{commit}\n"));
        repository.commit("another");
        let report = repository.build(&[]);
        let id = report["image_id"].as_str().unwrap().to_owned();
        built.push((id, report["references"][1].as_str().unwrap().to_owned()));
    }
    let name = format!("clean-{}", std::process::id());
    let container = [
        "run",
        "--detach",
        "--name",
        &name,
        "--network",
        "none",
        "--entrypoint",
        "sleep",
        &built[1].1,
        "600",
    ];
    repository.engine(&container).good();
    let record = json!({ "image_id": built[2].0 }).to_string();
    repository.write("target/xtask/releases/1.0.0.json", &record);
    // A user's own image, which has our labels because it is made from ours.
    let own = format!("own-{}:1", std::process::id());
    repository.write("target/own/Dockerfile", &format!("FROM {}\nENV OWN=1\n", built[3].1));
    repository.engine(&["build", "--tag", &own, "target/own"]).good();
    let listed: Value =
        serde_json::from_str(&repository.xtask(&["images", "--format", "json"]).good()).unwrap();
    let used: Vec<&Value> =
        listed["images"].as_array().unwrap().iter().filter(|image| image["used"] == true).collect();
    assert_eq!(used.len(), 2, "{listed:#}");
    let script = repository.xtask(&["clean", "--dry-run"]).good();
    assert!(script.contains(&built[0].1) && !script.contains(&built[1].1), "{script}");
    let result = repository.xtask(&["clean", "--format", "json"]).good();
    let result: Value = serde_json::from_str(&result).unwrap();
    assert!(ids(&result["removed"]).contains(&built[0].0), "{result:#}");
    for (id, _) in &built[1..] {
        assert!(ids(&result["keep"]).contains(id), "{result:#}");
    }
    assert!(!is_here(&repository, &built[0].1));
    for (_, reference) in &built[1..] {
        assert!(is_here(&repository, reference), "{reference}");
    }
    assert!(is_here(&repository, &own) && is_here(&repository, &Repository::local("prod")));
    // All that may go at all; the container, the release and the other one's image stay.
    repository.xtask(&["clean", "--all"]).good();
    assert!(!is_here(&repository, &Repository::local("prod")));
    assert!(is_here(&repository, &built[1].1) && is_here(&repository, &built[2].1));
    assert!(is_here(&repository, &own));
    repository.engine(&["rm", "--force", &name]).good();
    repository.engine(&["image", "rm", &own]).good();
}
