//! Checks of the image's config: what a container of it is unless somebody says otherwise.

use super::{Expected, rights, verdict};
use crate::verdict::Verdict;
use engine::archive::{Archive, EntryKind, Merged};
use serde_json::Value;

/// Where the application and its packages are.
const WORKDIR: &str = "/app";
const VENV: &str = "/opt/venv/bin";
const STATIC: &str = "app/staticfiles";

/// A number and not a name, and not root's.
pub fn user(archive: &Archive, _: &Expected) -> Verdict {
    let user = archive.config["config"]["User"].as_str().unwrap_or_default();
    let number = |text: &str| text.parse::<u32>().is_ok_and(|id| id != 0);
    let good = user.split_once(':').is_some_and(|(uid, gid)| number(uid) && number(gid));
    let evidence = format!("USER is `{user}`: two numbers, as 1000:1000, neither of them 0");
    verdict(if good { Vec::new() } else { vec![evidence] }, format!("USER {user}"))
}

/// What the image starts, where, and what it finds there.
pub fn structure(archive: &Archive, expected: &Expected) -> Verdict {
    let config = &archive.config["config"];
    let merged = archive.merged();
    let mut evidence = Vec::new();
    let mut ask = |good: bool, text: String| {
        if !good {
            evidence.push(text);
        }
    };
    entrypoint(&strings(&config["Entrypoint"]), &merged, &mut ask);
    let command = strings(&config["Cmd"]);
    ask(command == ["web"], format!("CMD is {command:?}, not [\"web\"]"));
    let folder = config["WorkingDir"].as_str().unwrap_or_default();
    ask(folder == WORKDIR, format!("WORKDIR is `{folder}`, not {WORKDIR}"));
    let ports = keys(&config["ExposedPorts"]);
    ask(ports.contains(&"8000/tcp"), format!("EXPOSE is {ports:?}: 8000/tcp is missing"));
    let volumes = keys(&config["Volumes"]);
    let why = "a container writes into one that nobody knows";
    ask(volumes.is_empty(), format!("VOLUME is {volumes:?}: {why}"));
    let env = strings(&config["Env"]);
    let path = env.iter().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or_default();
    let first = path.split(':').next().unwrap_or_default();
    ask(first == VENV, format!("PATH begins with `{first}`, not with {VENV}"));
    for path in &expected.writable {
        let found = merged.get(path.trim_start_matches('/'));
        match found.filter(|placed| placed.entry.kind == EntryKind::Folder) {
            None => ask(false, format!("{path}: the folder is missing")),
            Some(placed) => {
                let entry = placed.entry;
                let good = entry.uid == 1000
                    && entry.gid == 0
                    && entry.mode & 0o770 == 0o770
                    && entry.mode & 0o002 == 0;
                let is = rights::described(entry);
                ask(
                    good,
                    format!("{path}: {is}, not 1000:0 0775 (the group 0 writes, for any user)"),
                );
            }
        }
    }
    match merged.get(STATIC) {
        None => ask(false, format!("/{STATIC}: the folder is missing")),
        Some(placed) => {
            let is = rights::described(placed.entry);
            let reason = rights::writable(placed.entry);
            ask(reason.is_none(), format!("/{STATIC}: {is}: it must not be writable"));
        }
    }
    verdict(evidence, "entrypoint, command, folders, port and PATH as documented")
}

fn entrypoint(words: &[String], merged: &Merged<'_>, ask: &mut dyn FnMut(bool, String)) {
    let Some(first) = words.first() else {
        return ask(false, "ENTRYPOINT is missing".to_owned());
    };
    let shell = words.get(1).is_some_and(|word| word == "-c");
    let text =
        format!("ENTRYPOINT is {words:?}, which a shell runs: signals don't reach the service");
    ask(!shell, text);
    if let Some(path) = first.strip_prefix('/') {
        let placed = merged.get(path);
        // A link is followed by nobody here.
        let good = placed.is_some_and(|placed| {
            placed.entry.kind == EntryKind::Link || placed.entry.mode & 0o005 == 0o005
        });
        ask(good, format!("ENTRYPOINT {first}: not there, or not for everybody to run"));
    }
}

/// The health check that the design asks for, run without a shell.
pub fn health_check(archive: &Archive, _: &Expected) -> Verdict {
    let check = &archive.config["config"]["Healthcheck"];
    let test = strings(&check["Test"]);
    let Some(kind) = test.first() else {
        let why = "no HEALTHCHECK: Podman's default format, OCI, drops it";
        return Verdict::Failed(vec![why.to_owned()]);
    };
    let mut evidence = Vec::new();
    if kind != "CMD" || test.len() < 2 {
        evidence.push(format!("HEALTHCHECK is {test:?}: not in exec form, [\"CMD\", …]"));
    }
    for (key, seconds) in [("Interval", 30), ("Timeout", 10), ("StartPeriod", 40)] {
        let found = check[key].as_u64().unwrap_or_default();
        if found != seconds * 1_000_000_000 {
            #[expect(clippy::cast_precision_loss, reason = "it is shown, not counted with")]
            let found = found as f64 / 1e9;
            evidence.push(format!("HEALTHCHECK: {key} is {found} s, not {seconds} s"));
        }
    }
    let retries = check["Retries"].as_u64().unwrap_or_default();
    if retries != 3 {
        evidence.push(format!("HEALTHCHECK: Retries is {retries}, not 3"));
    }
    verdict(evidence, "30 s, 10 s, 40 s, 3, in exec form")
}

/// What the image is for.
pub fn platform(archive: &Archive, expected: &Expected) -> Verdict {
    let part = |key: &str| archive.config[key].as_str().unwrap_or_default();
    let found = format!("{}/{}", part("os"), part("architecture"));
    let Some(wanted) = &expected.platform else {
        return Verdict::NotAsked(format!("no platform was asked for; it is {found}"));
    };
    // `linux/arm64/v8`: the variant is not among what every engine tells.
    let wanted = wanted.splitn(3, '/').take(2).collect::<Vec<_>>().join("/");
    let evidence = format!("the image is for {found}, not for {wanted}");
    verdict(if found == wanted { Vec::new() } else { vec![evidence] }, found)
}

/// A list of strings.
pub fn strings(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect()
}
