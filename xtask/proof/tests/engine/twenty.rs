//! Commits in a row: what a warm store makes of each is what an empty one makes of it.

use super::bench::{Repository, label};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

/// Every file, folder and link with its mode, owner, target and content, but for what the engine mounts.
const FILES: &str = "find / -xdev -path /proc -prune -o -path /sys -prune -o -path /dev -prune -o \
     ! -path /etc/hosts ! -path /etc/hostname ! -path /etc/resolv.conf ! -path '/run*' \
     -printf '%y %m %U:%G %p %l\\n' -type f -exec sha256sum {} +";

fn files(repository: &Repository, image: &str) -> Vec<String> {
    let words = ["run", "--rm", "--user", "0", "--network", "none", "--entrypoint", "sh"];
    let listed = repository.engine(&[&words[..], &[image, "-c", FILES]].concat()).good();
    let mut lines: Vec<String> = listed.lines().map(str::to_owned).collect();
    lines.sort();
    assert!(lines.len() > 10_000, "{}", lines.len());
    lines
}

/// The change of a commit, of another kind in each turn.
fn change(repository: &Repository, turn: usize) {
    let path = |file: &str| repository.path(file);
    let page = format!("app/trading/templates/trading/page{}.html", turn / 10);
    let code = format!("app/trading/turn{}.py", turn / 10);
    match turn % 10 {
        0 => repository.write(&code, &format!("TURN = {turn}\n")),
        1 => repository.write(&page, "{% load static %}\n"),
        2 => fs::set_permissions(path(&page), fs::Permissions::from_mode(0o755)).unwrap(),
        3 => repository.write("app/trading/static/trading/ü turn.css", &format!("/* {turn} */\n")),
        4 => symlink("urls.py", path(&format!("app/trading/link{turn}.py"))).unwrap(),
        5 => fs::rename(path(&page), path(&format!("{page}.old"))).unwrap(),
        6 => {
            let text = repository.read("docker/entrypoint.sh");
            repository.write("docker/entrypoint.sh", &format!("{text}# {turn}\n"));
        }
        7 => {
            let text = repository.read("docker/image.toml");
            let text = text.replacen("[variant.prod]\n", &format!("[variant.prod]\n# {turn}\n"), 1);
            repository.write("docker/image.toml", &text);
        }
        8 => {
            let text = repository.read("app/pyproject.toml");
            repository.write("app/pyproject.toml", &format!("{text}\n# {turn}\n"));
        }
        _ => fs::remove_file(path(&code)).unwrap(),
    }
}

#[test]
fn twenty_commits_in_a_row_are_as_from_an_empty_store() {
    let repository = Repository::new();
    repository.build(&[]);
    for turn in 0..20 {
        change(&repository, turn);
        repository.commit("turn");
        let warm = repository.build(&[]);
        let empty = repository.build(&["--no-cache", "--force"]);
        let id = |report: &Value| report["image_id"].as_str().unwrap().to_owned();
        for name in ["revision", "version", "base.name"] {
            assert_eq!(label(&warm, name), label(&empty, name), "{turn}");
        }
        let (is, should) = (files(&repository, &id(&warm)), files(&repository, &id(&empty)));
        let differing = is.iter().filter(|line| should.binary_search(line).is_err());
        let differing: Vec<&String> =
            differing.chain(should.iter().filter(|line| is.binary_search(line).is_err())).collect();
        println!("{turn}: {} lines, {} differ", is.len(), differing.len());
        assert!(differing.is_empty(), "turn {turn}: {differing:#?}");
    }
}
