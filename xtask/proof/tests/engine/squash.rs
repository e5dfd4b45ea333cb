//! Squashed images: as small as reported, and in everything else the same image.

use super::bench::{Repository, on_podman};
use super::smoke::{named, smoke};
use serde_json::{Value, json};

/// What a copy can lose: hard links, times, owners, modes, capabilities, links, what later layers
/// replaced or removed, and settings that a Dockerfile must quote.
const ODD: &str = r#"FROM IMAGE
USER 0
RUN mkdir -p /odd/empty /odd/sticky; echo one >/odd/a; ln /odd/a /odd/b; ln -s a /odd/c; \
    cp /bin/true /odd/setuid; chmod 4755 /odd/setuid; cp /bin/true /odd/able; \
    python3 -c "import os; os.setxattr('/odd/able', 'security.capability', bytes.fromhex('0100000200040000' + 24 * '0'))"; \
    echo x >/odd/owned; chown 12345:54321 /odd/owned; chmod 600 /odd/owned; \
    touch -d 2001-02-03T04:05:06Z /odd/old; touch -d 2002-02-02T00:00:00Z /odd/empty; \
    chmod 1777 /odd/sticky; echo secret >/odd/gone; head -c 3000000 /dev/urandom >/odd/large
RUN rm /odd/gone; head -c 3000000 /dev/urandom >/odd/large; echo two >/odd/replaced
ENV ODD="a \"b\" \$c \\d 'e'" EMPTY=
LABEL "odd one"="it's \"ours\" \$x"
SHELL ["/bin/bash", "-c"]
STOPSIGNAL SIGQUIT
VOLUME /odd/empty
EXPOSE 9000/udp
WORKDIR /odd/sticky
USER 1000:1000
"#;

/// Everything that a program in the image can see of its files, without what the engine puts there
/// itself, and without the times of the folders that it does that in. Folders of several layers have
/// no count of links.
const LIST: &str = r#"find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run \
    -o -path /etc/hosts -o -path /etc/hostname -o -path /etc/resolv.conf -o -path /.dockerenv \
    -o -path /etc/mtab \) -prune -o -path / -o -path /etc \
    -o -type d -printf '%p %y %m %U %G %Ts\n' -o -printf '%p %y %m %U %G %n %l %Ts\n' | sort
    find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /etc/hosts \
    -o -path /etc/hostname -o -path /etc/resolv.conf -o -path /.dockerenv \) -prune \
    -o -type f -exec sha256sum {} + | sort
    [ /odd/a -ef /odd/b ] && echo one file
    python3 -c "import os; print(os.getxattr('/odd/able', 'security.capability').hex())""#;

fn list(repository: &Repository, image: &str) -> String {
    let words = ["run", "--rm", "--network", "none", "--user", "0", "--entrypoint", "sh"];
    repository.engine(&[&words[..], &[image, "-c", LIST]].concat()).good()
}

fn squash(repository: &Repository, words: &[&str]) -> Value {
    let words = [&["squash", "--format", "json"], words].concat();
    serde_json::from_str(&repository.xtask(&words).good()).unwrap()
}

/// What an image is set to, without what tells only how it was made.
fn config(repository: &Repository, image: &str) -> Value {
    let inspected = repository.inspect(image);
    let mut config = inspected["Config"].clone();
    for name in ["Hostname", "Image", "ArgsEscaped", "AttachStdout", "AttachStderr"] {
        config.as_object_mut().unwrap().remove(name);
    }
    let mut variables: Vec<String> = serde_json::from_value(config["Env"].clone()).unwrap();
    variables.sort();
    config["Env"] = json!(variables);
    let health = [&inspected["Healthcheck"], &inspected["HealthCheck"], &config["Healthcheck"]];
    json!({ "health": health.into_iter().find(|check| !check.is_null()), "config": config })
}

fn layers(repository: &Repository, image: &str) -> usize {
    repository.inspect(image)["RootFS"]["Layers"].as_array().unwrap().len()
}

#[test]
fn one_layer_shows_a_container_the_same_image() {
    let repository = Repository::new();
    repository.build(&[]);
    let name = Repository::local("odd");
    let file = "target/odd/Dockerfile";
    repository.write(file, &ODD.replace("IMAGE", &Repository::local("prod")));
    let mut words = vec!["build", "--file", file, "--tag", &name];
    if on_podman() {
        words.extend(["--format", "docker", "--pull=never"]);
    }
    repository.engine(&[&words[..], &["target/odd"]].concat()).good();
    let before = layers(&repository, &name);
    let report = squash(&repository, &[&name]);
    let squashed = Repository::local("odd-squashed");
    assert_eq!(report["reference"], json!(squashed));
    assert_eq!((&report["layers_before"], &report["layers_after"]), (&json!(before), &json!(1)));
    assert_eq!(layers(&repository, &squashed), 1);
    // What was replaced is also gone from the bytes: the large file, but for the rest of a block.
    let bytes = |key: &str| report[key].as_u64().unwrap();
    let won = bytes("bytes_before") - bytes("bytes_after");
    assert!((3_000_000..3_200_000).contains(&won), "{report:#}");
    assert!(bytes("bytes_above_base") < bytes("bytes_before"), "{report:#}");
    // Asked of the engine and of a container, not of what the report believes.
    assert_eq!(config(&repository, &squashed), config(&repository, &name));
    assert_eq!(config(&repository, &name)["config"]["Labels"]["odd one"], "it's \"ours\" $x");
    let files = list(&repository, &squashed);
    assert!(files.contains("one file\n") && files.contains("/odd/owned f 600 12345 54321"));
    assert!(files.contains("/odd/old f 644 0 0 1  981173106"), "the time of a file");
    assert!(!files.contains("/odd/gone"));
    if files != list(&repository, &name) {
        let other = list(&repository, &name);
        let differing: Vec<_> = other.lines().zip(files.lines()).filter(|(a, b)| a != b).collect();
        panic!("{:#?}", &differing[..differing.len().min(20)]);
    }
    // The image that was squashed is still there. What a killed squash left goes with the next one:
    // no process has this id (proc(5), pid_max).
    assert_eq!(layers(&repository, &name), before);
    if !on_podman() {
        repository.engine(&["tag", &name, "xtask/squash:4194305-tree"]).good();
        let create = ["create", "--network", "none", "--name", "xtask-4194305-squash"];
        repository.engine(&[&create[..], &["xtask/squash:4194305-tree", "/"]].concat()).good();
    }
    let again = squash(&repository, &[&name, "--tag", "flat"]);
    assert_eq!(again["reference"], json!(Repository::local("flat")));
    let left = repository.engine(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).good();
    assert!(!left.contains("xtask/squash"), "{left}");
    let containers = repository.engine(&["ps", "--all", "--quiet"]).good();
    assert_eq!(containers, "");
}

#[test]
fn the_squashed_production_image_passes_the_smoke_test() {
    let repository = Repository::new();
    let built = repository.build(&[]);
    let report = squash(&repository, &[]);
    let image = Repository::local("prod-squashed");
    assert_eq!(report["reference"], json!(image));
    assert_eq!(report["source_image_id"], built["image_id"]);
    let (code, result) = smoke(&repository, &[&image, "--core"]);
    assert_eq!((code, named(&result, "failed")), (Some(0), Vec::new()), "{result:#}");
    let list = repository.xtask(&["smoke-test", "--list", "--format", "json"]).good();
    let list: Value = serde_json::from_str(&list).unwrap();
    let checks = list["checks"].as_array().unwrap().iter();
    let names = checks.filter(|check| check["lane"] == "image").map(|check| check["name"].as_str());
    let only: Vec<&str> = names.flat_map(|name| ["--only", name.unwrap()]).collect();
    let (code, result) = smoke(&repository, &[&[image.as_str()], &only[..]].concat());
    assert_eq!((code, named(&result, "failed")), (Some(0), Vec::new()), "{result:#}");
    // The script of a dry run makes the same layer.
    let script = repository.xtask(&["squash", "--dry-run", "--tag", "by-hand"]).good();
    repository.write("target/script.sh", &script);
    let mut shell = std::process::Command::new("sh");
    let ended = shell.arg(repository.path("target/script.sh")).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let ids = ["prod-squashed", "by-hand"]
        .map(|tag| repository.inspect(&Repository::local(tag))["RootFS"]["Layers"].clone());
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn one_layer_of_ours_above_the_base_is_podman_s_alone() {
    let repository = Repository::new();
    if !on_podman() {
        let ended = repository.xtask(&["build", "--squash"]);
        assert_eq!(ended.code, Some(2), "{}", ended.err);
        assert!(ended.err.contains("error: build --squash: Docker "), "{}", ended.err);
        assert!(ended.err.contains("help: `cargo xtask squash`"), "{}", ended.err);
        return;
    }
    let whole = repository.build(&[]);
    let base = layers(&repository, whole["base"].as_str().unwrap());
    let ended = repository.xtask(&["build", "--squash", "--format", "json"]);
    assert!(ended.err.contains("building every layer anew"), "{}", ended.err);
    let report: Value = serde_json::from_str(&ended.good()).unwrap();
    assert_eq!(report["layers"], json!(base + 1));
    assert!(report["size_bytes"].as_u64() <= whole["size_bytes"].as_u64());
    assert_eq!(report["labels"], whole["labels"]);
    // The layer cache is as it was.
    let again = repository.build(&["--force"]);
    assert_eq!(again["image_id"], whole["image_id"]);
}

#[test]
fn what_can_not_be_squashed_is_said_and_gets_no_name() {
    let repository = Repository::new();
    let ended = repository.xtask(&["squash", "no-such-image:here"]);
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    assert!(ended.err.contains("looking for the image no-such-image:here"), "{}", ended.err);
    repository.build(&["--target", "base"]);
    let ended = repository.xtask(&["squash", &Repository::local("base"), "--tag", "no tag"]);
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    // Docker 20.10 copies no pipe, which only a comparison shows; Docker 26 and Podman do.
    repository.write(
        "target/odd/Dockerfile",
        &format!("FROM {}\nUSER 0\nRUN mkfifo /pipe\n", Repository::local("base")),
    );
    let words = ["build", "--file", "target/odd/Dockerfile", "--tag", "pipe:1"];
    let never: &[&str] = if on_podman() { &["--format=docker", "--pull=never"] } else { &[] };
    repository.engine(&[&words[..], never, &["target/odd"]].concat()).good();
    let ended = repository.xtask(&["squash", "pipe:1"]);
    if on_podman() || ended.code == Some(0) {
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        repository.run("pipe:1-squashed", &["test", "-p", "/pipe"]).good();
    } else {
        assert_eq!(ended.code, Some(10), "{}", ended.err);
        assert!(ended.err.contains("help: pipe: is missing"), "{}", ended.err);
        assert_ne!(repository.engine(&["image", "inspect", "pipe:1-squashed"]).code, Some(0));
    }
}
