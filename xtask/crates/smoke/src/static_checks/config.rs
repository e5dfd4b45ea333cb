//! Checks of the image's config: the defaults of its containers.

use super::{Expected, rights, verdict};
use crate::verdict::Verdict;
use engine::archive::{Archive, EntryKind, Merged};
use serde_json::Value;

/// The folders of the application and its packages.
const WORKDIR: &str = "/app";
const VENV: &str = "/opt/venv/bin";

/// A number and not a name, and not root's.
pub(crate) fn user(archive: &Archive, _: &Expected) -> Verdict {
    let user = archive.config["config"]["User"].as_str().unwrap_or_default();
    let number = |text: &str| text.parse::<u32>().is_ok_and(|id| id != 0);
    let good = user.split_once(':').is_some_and(|(uid, gid)| number(uid) && number(gid));
    let evidence = format!("USER is `{user}`: two numbers, as 1000:1000, neither of them 0");
    verdict(if good { Vec::new() } else { vec![evidence] }, format!("USER {user}"))
}

/// What the image starts, where, and what it finds there.
pub(crate) fn structure(archive: &Archive, expected: &Expected) -> Verdict {
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
    if let Some(wanted) = expected.instruction("CMD").map(words) {
        ask(command == wanted, format!("CMD is {command:?}, not {wanted:?}"));
    }
    let folder = config["WorkingDir"].as_str().unwrap_or_default();
    ask(folder == WORKDIR, format!("WORKDIR is `{folder}`, not {WORKDIR}"));
    let ports = keys(&config["ExposedPorts"]);
    for wanted in expected.instructions("EXPOSE").flat_map(|text| text.split_whitespace()) {
        let wanted = if wanted.contains('/') { wanted.to_owned() } else { format!("{wanted}/tcp") };
        // A variable has a value only in the build.
        let there = wanted.contains('$') || ports.contains(&wanted.as_str());
        ask(there, format!("EXPOSE is {ports:?}: {wanted} is missing"));
    }
    let volumes = keys(&config["Volumes"]);
    let why = "a container writes into an anonymous volume";
    ask(volumes.is_empty(), format!("VOLUME is {volumes:?}: {why}"));
    let env = strings(&config["Env"]);
    let path = env.iter().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or_default();
    let first = path.split(':').next().unwrap_or_default();
    ask(first == VENV, format!("PATH begins with `{first}`, not with {VENV}"));
    let user =
        expected.instruction("USER").and_then(|user| user.split(':').next()).unwrap_or("1000");
    for path in &expected.writable {
        let found = merged.get(path.trim_start_matches('/'));
        match found.filter(|placed| placed.entry.kind == EntryKind::Folder) {
            None => ask(false, format!("{path}: the folder is missing")),
            Some(placed) => {
                let entry = placed.entry;
                let good = entry.uid.to_string() == user
                    && entry.gid == 0
                    && entry.mode & 0o770 == 0o770
                    && entry.mode & 0o002 == 0;
                let is = rights::described(entry);
                ask(
                    good,
                    format!("{path}: {is}, not {user}:0 0775 (the group 0 writes, for any user)"),
                );
            }
        }
    }
    let collected = format!("app/{}", expected.static_root);
    match merged.get(&collected) {
        None => ask(false, format!("/{collected}: the folder is missing")),
        Some(placed) => {
            let is = rights::described(placed.entry);
            let reason = rights::writable(placed.entry);
            ask(reason.is_none(), format!("/{collected}: {is}: it must not be writable"));
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
        // Links aren't followed here.
        let good = placed.is_some_and(|placed| {
            placed.entry.kind == EntryKind::Link || placed.entry.mode & 0o005 == 0o005
        });
        ask(good, format!("ENTRYPOINT {first}: not there, or not for everybody to run"));
    }
}

/// The health check that the Dockerfile has, run without a shell.
pub(crate) fn health_check(archive: &Archive, expected: &Expected) -> Verdict {
    let check = &archive.config["config"]["Healthcheck"];
    let test = strings(&check["Test"]);
    let Some(kind) = test.first().filter(|kind| *kind != "NONE") else {
        let why = "no HEALTHCHECK: Podman's default format, OCI, drops it";
        return Verdict::Failed(vec![why.to_owned()]);
    };
    let mut evidence = Vec::new();
    if kind != "CMD" || test.len() < 2 {
        evidence.push(format!("HEALTHCHECK is {test:?}: not in exec form, [\"CMD\", …]"));
    }
    let text = expected.instruction("HEALTHCHECK").unwrap_or_default();
    let option = |name: &str| {
        let mut words = text.split_whitespace().take_while(|word| word.starts_with("--"));
        words.find_map(|word| word.strip_prefix("--")?.strip_prefix(name)?.strip_prefix('='))
    };
    let mut facts = Vec::new();
    for (name, key, default) in TIMES {
        let wanted = option(name).map_or(Some(default), nanoseconds);
        let found = set(&check[key]).unwrap_or(default);
        if wanted.is_some_and(|wanted| wanted != found) && !text.is_empty() {
            let wanted = option(name).map_or_else(|| seconds(default), str::to_owned);
            evidence.push(format!("HEALTHCHECK: {key} is {}, not {wanted}", seconds(found)));
        }
        facts.push(seconds(found));
    }
    let retries = set(&check["Retries"]).unwrap_or(RETRIES);
    let wanted = option("retries").and_then(|count| count.parse().ok()).filter(|count| *count > 0);
    let wanted = wanted.unwrap_or(RETRIES);
    if retries != wanted && !text.is_empty() {
        evidence.push(format!("HEALTHCHECK: Retries is {retries}, not {wanted}"));
    }
    if let Some((_, command)) = text.split_once("CMD ")
        && kind == "CMD"
        && words(command) != test[1..]
    {
        evidence.push(format!("HEALTHCHECK is {test:?}, not {command}"));
    }
    verdict(evidence, format!("{}, {retries} retries, in exec form", facts.join(", ")))
}

/// Options of `HEALTHCHECK`, their keys in an image, and the engines' defaults in nanoseconds
/// (Dockerfile reference); 0 in an image is the default.
const TIMES: [(&str, &str, u64); 3] = [
    ("interval", "Interval", 30_000_000_000),
    ("timeout", "Timeout", 30_000_000_000),
    ("start-period", "StartPeriod", 0),
];
const RETRIES: u64 = 3;

fn set(value: &Value) -> Option<u64> {
    value.as_u64().filter(|value| *value > 0)
}

fn seconds(nanoseconds: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "it is shown, not counted with")]
    let seconds = nanoseconds as f64 / 1e9;
    format!("{seconds} s")
}

/// A duration as Go writes it, such as `1m30s` or `1.5h`; `None` for another text.
fn nanoseconds(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut sum = 0.0;
    while !rest.is_empty() {
        let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let unit = digits.trim_start_matches(char::is_alphabetic);
        let number: f64 = rest[..rest.len() - digits.len()].parse().ok()?;
        sum += number
            * match &digits[..digits.len() - unit.len()] {
                "h" => 3600e9,
                "m" => 60e9,
                "s" => 1e9,
                "ms" => 1e6,
                "us" | "µs" => 1e3,
                "ns" => 1.0,
                _ => return None,
            };
        rest = unit;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "no sign was read")]
    (!text.is_empty()).then_some(sum.round() as u64)
}

/// The words of `CMD` in exec form, or the shell that runs the line.
fn words(text: &str) -> Vec<String> {
    serde_json::from_str(text.trim())
        .unwrap_or_else(|_| vec!["/bin/sh".into(), "-c".into(), text.trim().into()])
}

/// What the image is for.
pub(crate) fn platform(archive: &Archive, expected: &Expected) -> Verdict {
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
