//! The image that a build makes, and what it says of itself.

use super::bench::{Repository, changes, label, on_podman};
use serde_json::{Value, json};

#[test]
fn the_image_is_what_the_design_asks_for_on_every_engine() {
    let repository = Repository::new();
    let metadata = repository.path("target/metadata.json");
    let report = repository.build(&["--metadata-file", metadata.to_str().unwrap()]);
    let written: Value = serde_json::from_str(&std::fs::read_to_string(metadata).unwrap()).unwrap();
    assert_eq!(written, report);
    let label_command: Value =
        serde_json::from_str(&repository.xtask(&["label", "--format", "json"]).good()).unwrap();
    for (name, value) in label_command["labels"].as_object().unwrap() {
        assert_eq!(&report["labels"][name], value, "{name}");
    }
    assert_eq!(label(&report, "revision"), repository.git(&["rev-parse", "HEAD"]));
    assert_eq!(label(&report, "version"), label(&report, "revision")[..12]);
    assert_eq!(report["standin"], json!(label(&report, "base.name").ends_with("-standin")));
    assert_eq!(report["base_digest"].as_str().unwrap_or_default(), label(&report, "base.digest"));
    for name in ["title", "description", "authors", "url", "source", "licenses", "vendor"] {
        assert!(!label(&report, name).is_empty(), "{name}");
    }
    let inspected = repository.inspect(report["image_id"].as_str().unwrap());
    let config = &inspected["Config"];
    assert_eq!(&config["Labels"], &report["labels"]);
    assert_eq!(config["User"], "1000:1000");
    assert_eq!(config["Entrypoint"], json!(["/usr/local/lib/container/entrypoint.sh"]));
    assert_eq!(config["Cmd"], json!(["web"]));
    assert_eq!(config["ExposedPorts"], json!({ "8000/tcp": {} }));
    let health = if on_podman() { &inspected["HealthCheck"] } else { &config["Healthcheck"] };
    let health = if health.is_null() { &inspected["Healthcheck"] } else { health };
    let second = 1_000_000_000_u64;
    let expected = json!({
        "Test": ["CMD", "/usr/local/lib/container/healthcheck"],
        "Interval": 30 * second,
        "Timeout": 10 * second,
        "StartPeriod": 40 * second,
        "Retries": 3,
    });
    assert_eq!(health, &expected);
    let image = Repository::local("prod");
    assert_eq!(report["reference"], json!(image));
    // Nothing that builds or installs, nothing that the run user could change, bytecode that
    // serves.
    let tools =
        "for tool in uv gcc cc make; do command -v $tool && exit 1; done; [ ! -e /root/.cache/uv ]";
    repository.run(&image, &["sh", "-c", tools]).good();
    let owned =
        repository.run(&image, &["find", "/app", "/opt", "/usr/local/lib", "-user", "1000"]);
    let owned = owned.good();
    let mut owned: Vec<&str> = owned.lines().collect();
    owned.sort_unstable();
    assert_eq!(owned, ["/app/logs", "/app/media"]);
    let bytecode = "import django, senex_trader.environment as own; \
                    print(django.__cached__, own.__cached__)";
    let environment = ["-e", "SECRET_KEY=a", "-e", "FIELD_ENCRYPTION_KEY=b"];
    let words =
        [&["run", "--rm", "--network=none"], &environment[..], &[&image, "python", "-c", bytecode]];
    for path in repository.engine(&words.concat()).good().split_whitespace() {
        repository.run(&image, &["test", "-f", path]).good();
    }
    assert_eq!(report["built"], true);
    // Built again: there is nothing to do.
    let still = repository.build(&[]);
    assert_eq!(still["built"], false);
    for fact in ["image_id", "size_bytes", "size_exact", "config_digest", "layers", "labels"] {
        assert_eq!(still[fact], report[fact], "{fact}");
    }
    // The engine says the same: one image, all of it from the cache.
    let again = repository.build(&["--force"]);
    assert_eq!(again["image_id"], report["image_id"]);
    assert!(again["cached_steps"].as_u64() >= Some(8), "{}", again["cached_steps"]);
}

#[test]
fn each_stage_and_the_development_image_build() {
    let repository = Repository::new();
    for stage in ["base", "dependencies", "staticfiles", "runtime"] {
        let report = repository.build(&["--target", stage]);
        let tag = if stage == "runtime" { "prod" } else { stage };
        assert_eq!(report["reference"], json!(Repository::local(tag)));
    }
    let wrong = repository.xtask(&["build", "--target", "nothing"]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.err);
    let report = repository.build(&["--dev"]);
    assert_eq!(report["reference"], json!(Repository::local("dev")));
    let tools = "pytest --version && black --version && ruff --version && test ! -e /app/manage.py";
    repository.run(&Repository::local("dev"), &["sh", "-c", tools]).good();
}

/// The same Dockerfiles without us, as their first lines say.
#[test]
fn the_dockerfiles_build_with_the_engine_alone() {
    let repository = Repository::new();
    let base = repository.build(&["--target", "base"])["base"].as_str().unwrap().to_owned();
    let bundle = "/etc/ssl/certs/ca-certificates.crt";
    for file in ["docker/Dockerfile", "docker/Dockerfile.dev"] {
        let base = format!("BASE_IMAGE={base}");
        let secret = format!("id=ca,src={bundle}");
        let mut words = vec!["build", "--file", file, "--build-arg", &base, "--secret", &secret];
        if on_podman() {
            words.extend(["--format", "docker", "--pull=never"]);
        }
        words.push(".");
        repository.engine(&words).good();
    }
}

#[test]
fn a_commit_that_changes_no_file_of_the_image_costs_no_layer() {
    let repository = Repository::new();
    let layers = |report: &Value| {
        let image = repository.inspect(report["image_id"].as_str().unwrap());
        image["RootFS"]["Layers"].clone()
    };
    let first = repository.build(&[]);
    repository.write("README.md", "another\n");
    repository.commit("second");
    let second = repository.build(&[]);
    assert_eq!(label(&second, "revision"), repository.git(&["rev-parse", "HEAD"]));
    assert_ne!(label(&second, "revision"), label(&first, "revision"));
    assert_eq!(layers(&second), layers(&first));
    // Nothing but labels was made anew (Podman makes them in a separate step).
    let log = std::fs::read_to_string(second["log"].as_str().unwrap()).unwrap();
    let steps = log.lines().filter(|line| line.contains("STEP ") && !line.contains(": LABEL "));
    let steps = steps.filter(|line| !line.contains(": FROM ")).count().max(8);
    let cached = usize::try_from(second["cached_steps"].as_u64().unwrap()).unwrap();
    assert!(cached >= steps, "{cached} of {steps} steps were cached\n{log}");
    // One line of the application: every layer but the last stays.
    repository.edit("app/manage.py", "#!/usr/bin/env python", "#!/usr/bin/env python3");
    let third = repository.build(&[]);
    let (before, after) = (layers(&second), layers(&third));
    let (before, after) = (before.as_array().unwrap(), after.as_array().unwrap());
    assert_eq!(before[..before.len() - 1], after[..after.len() - 1]);
    assert_ne!(before.last(), after.last());
}

#[test]
fn a_changed_tree_is_labelled_and_listed_and_builds_the_same_twice() {
    let repository = Repository::new();
    let check = |dirty: &[&str], context: &[&str]| {
        let report = repository.build(&[]);
        assert_eq!(changes(&report["dirty"]), dirty);
        assert_eq!(changes(&report["context_changes"]), context);
        assert!(label(&report, "version").ends_with("-dirty"), "{}", label(&report, "version"));
        assert_eq!(repository.build(&["--force"])["image_id"], report["image_id"]);
        repository.git(&["checkout", "--quiet", "."]);
        repository.git(&["clean", "--quiet", "-xdf", "app"]);
        report
    };
    repository.write("Cargo.toml", "# changed\n");
    let outside = check(&["modified Cargo.toml"], &[]);
    let time =
        repository.git(&["log", "-1", "--format=%cd", "--date=format-local:%Y-%m-%dT%H:%M:%SZ"]);
    assert_eq!(label(&outside, "created"), time.replace("+00:00", "Z"));
    repository.write("app/trading/views.py", "# changed\n");
    check(&["modified app/trading/views.py"], &["modified app/trading/views.py"]);
    repository.write("app/trading/new.py", "# new\n");
    check(&[], &["untracked app/trading/new.py"]);
    repository.write(".git/info/exclude", "*.generated\n");
    repository.write("app/trading/x.generated", "x\n");
    check(&[], &["ignored app/trading/x.generated"]);
    std::fs::remove_file(repository.path("app/trading/tasks.py")).unwrap();
    check(&["deleted app/trading/tasks.py"], &["deleted app/trading/tasks.py"]);
    assert!(!label(&repository.build(&[]), "version").ends_with("-dirty"));
}

/// A `--label` stays in Podman 4.3.1's layer cache, even for a build of the same steps without it.
#[test]
fn a_label_that_nobody_asks_for_is_gone() {
    let repository = Repository::new();
    repository.edit("docker/Dockerfile", "WORKDIR /app\n", "WORKDIR /app\nENV ANOTHER=1\n");
    let target = ["--target", "base"];
    let build = |words: &[&str]| repository.build(&[&target, words].concat());
    let with = build(&["--label", "team=blue"]);
    assert_eq!(with["labels"]["team"], "blue");
    let without = build(&[]);
    assert_eq!(without["labels"].get("team"), None);
    assert_eq!(build(&["--force"])["image_id"], without["image_id"]);
    assert_eq!(build(&["--label", "team=red"])["labels"]["team"], "red");
    // The same steps with a label, built by hand.
    repository.edit("docker/Dockerfile", "ENV ANOTHER=1", "ENV ANOTHER=2");
    let script = repository.xtask(&[&["build", "--dry-run"], &target[..]].concat()).good();
    let script = script.replace(" --iidfile ", " --label team=theirs --iidfile ");
    assert!(script.contains("team=theirs"), "{script}");
    repository.script(&script).good();
    let ours = build(&[]);
    assert_eq!(ours["labels"].get("team"), None);
    // Then all of it is cached again.
    let cached = build(&["--force"]);
    assert_eq!(build(&["--force"])["image_id"], cached["image_id"]);
}

/// Podman gets the labels in a Dockerfile, where each of these means something.
#[test]
fn labels_come_as_they_were_given() {
    let repository = Repository::new();
    let values =
        [r#"it's "quoted""#, "$HOME ${PATH} $$", r"back\ \n slash\", "# no comment", "é=ü", ""];
    let given: Vec<String> =
        values.iter().enumerate().map(|(index, value)| format!("label.{index}={value}")).collect();
    let words = given.iter().flat_map(|given| ["--label", given]);
    let words: Vec<&str> = ["--target", "base"].into_iter().chain(words).collect();
    let report = repository.build(&words);
    for (index, value) in values.iter().enumerate() {
        assert_eq!(report["labels"][format!("label.{index}")], json!(value));
    }
    // Podman 5.4.2 writes a line break as two characters; that is no label as it was given.
    let words = ["build", "--target", "base", "--label", "several=two\nlines", "--format", "json"];
    let several = repository.xtask(&words);
    if several.code == Some(10) {
        assert!(several.err.contains("several: expected two"), "{}", several.err);
        assert!(several.err.starts_with("engine Podman 5."), "{}", several.err);
    } else {
        let several: Value = serde_json::from_str(&several.good()).unwrap();
        assert_eq!(several["labels"]["several"], "two\nlines");
    }
}

#[test]
fn the_script_of_a_dry_run_makes_the_same_image() {
    let repository = Repository::new();
    let report = repository.build(&["--label", "team=it's ours"]);
    let shown = repository.xtask(&["build", "--dry-run", "--label", "team=it's ours"]);
    let image = Repository::local("prod");
    repository.engine(&["image", "rm", &image]).good();
    let shown = shown.good();
    repository.script(&shown).good();
    let id = repository.inspect(&image)["Id"].as_str().unwrap().replace("sha256:", "");
    assert_eq!(report["image_id"], json!(format!("sha256:{id}")));
    // It is the script of these files and no others.
    repository.write("app/new.py", "");
    let ended = repository.script(&shown);
    assert!(ended.code == Some(10) && ended.err.contains("a file was changed"), "{}", ended.err);
}

#[test]
fn an_image_over_its_budget_gets_no_name() {
    let repository = Repository::new();
    let good = repository.build(&[]);
    repository.edit("docker/image.toml", "\nsize_budget = \"500 MB\"", "\nsize_budget = \"1 MB\"");
    let ended = repository.xtask(&["build"]);
    assert_eq!(ended.code, Some(8), "{}", ended.err);
    assert!(ended.err.contains("is over the budget of 1.0 MB"), "{}", ended.err);
    let id = repository.inspect(&Repository::local("prod"))["Id"]
        .as_str()
        .unwrap()
        .replace("sha256:", "");
    assert_eq!(good["image_id"], json!(format!("sha256:{id}")));
}

#[test]
fn a_failing_step_is_named_by_its_line() {
    let repository = Repository::new();
    repository.edit(
        "docker/Dockerfile",
        "WORKDIR /app\n",
        "WORKDIR /app\nRUN echo before && exit 7\n",
    );
    let line = repository
        .read("docker/Dockerfile")
        .lines()
        .position(|line| line.starts_with("RUN echo"))
        .unwrap();
    let ended = repository.xtask(&["build"]);
    assert_eq!(ended.code, Some(5), "{}", ended.err);
    let expected = format!(
        "error: building docker/Dockerfile:{}: RUN echo before && exit 7: exit status",
        line + 1
    );
    assert!(ended.err.contains(&expected), "{}", ended.err);
}
