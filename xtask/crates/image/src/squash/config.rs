//! The config of an image as lines of a Dockerfile, for an engine that makes one layer only from
//! nothing, and whether two images have the same.

use process::failure::{Exit, failure_help};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What differs between two builds of the same image and says nothing of it: how the engine made
/// it, and how its container was attached.
const INCIDENTAL: [&str; 10] = [
    "ArgsEscaped",
    "AttachStderr",
    "AttachStdin",
    "AttachStdout",
    "Domainname",
    "Hostname",
    "Image",
    "OpenStdin",
    "StdinOnce",
    "Tty",
];

/// The lines that restore `config` (Docker's `Config`), its labels and folder excepted.
///
/// # Errors
/// [`Exit::Usage`] for what no line of a Dockerfile can say.
pub fn lines(config: &Value) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    for variable in strings(&config["Env"]) {
        let (name, value) = variable.split_once('=').unwrap_or((&variable, ""));
        if variable.contains(['\n', '\r']) {
            return Err(failure_help(
                Exit::Usage,
                format!(
                    "restoring the variable {name}: it holds a line break, which no Dockerfile has"
                ),
                "squash with Podman, which keeps the config as it is",
            ));
        }
        lines.push(format!("ENV {name}={}", quoted(value)));
    }
    // The image that this is made from has its own command.
    lines.push(format!("ENTRYPOINT {}", list(&config["Entrypoint"])));
    lines.push(format!("CMD {}", list(&config["Cmd"])));
    for port in config["ExposedPorts"].as_object().into_iter().flat_map(Map::keys) {
        lines.push(format!("EXPOSE {port}"));
    }
    let volumes: Vec<&String> =
        config["Volumes"].as_object().into_iter().flat_map(Map::keys).collect();
    if !volumes.is_empty() {
        lines.push(format!("VOLUME {}", serde_json::json!(volumes)));
    }
    if let Some(user) = text(&config["User"]) {
        lines.push(format!("USER {}", escaped(user)));
    }
    if let Some(signal) = text(&config["StopSignal"]) {
        lines.push(format!("STOPSIGNAL {signal}"));
    }
    lines.extend(health_check(&config["Healthcheck"]));
    if config["Shell"].is_array() {
        lines.push(format!("SHELL {}", list(&config["Shell"])));
    }
    lines.extend(strings(&config["OnBuild"]).iter().map(|line| format!("ONBUILD {line}")));
    Ok(lines)
}

/// The line of a label.
pub fn label(name: &str, value: &str) -> String {
    format!("LABEL {}={}", quoted(name), quoted(value))
}

fn health_check(check: &Value) -> Option<String> {
    let test = strings(&check["Test"]);
    let (kind, words) = test.split_first()?;
    let command = match kind.as_str() {
        "NONE" => return Some("HEALTHCHECK NONE".to_owned()),
        "CMD-SHELL" => format!("CMD {}", words.join(" ")),
        _ => format!("CMD {}", serde_json::json!(words)),
    };
    let times = [
        ("interval", "Interval"),
        ("timeout", "Timeout"),
        ("start-period", "StartPeriod"),
        ("start-interval", "StartInterval"),
    ];
    let times = times.iter().filter_map(|(option, key)| {
        let nanoseconds = check[key].as_u64().filter(|time| *time > 0)?;
        Some(format!("--{option}={nanoseconds}ns "))
    });
    let retries = check["Retries"].as_u64().filter(|count| *count > 0);
    let retries = retries.map(|count| format!("--retries={count} "));
    Some(format!("HEALTHCHECK {}{command}", times.chain(retries).collect::<String>()))
}

/// What differs between two configs of whole images (OCI image spec), in words.
pub fn differing(before: &Value, after: &Value) -> Vec<String> {
    let (one, two) = (facts(before), facts(after));
    let names = one.keys().chain(two.keys().filter(|name| !one.contains_key(*name)));
    let shown = |value: Option<&Value>| value.map_or("none".to_owned(), Value::to_string);
    names
        .filter(|name| one.get(*name) != two.get(*name))
        .map(|name| format!("{name}: was {}, is {}", shown(one.get(name)), shown(two.get(name))))
        .collect()
}

/// What a config says, by name; what is empty says nothing.
fn facts(image: &Value) -> BTreeMap<String, Value> {
    let mut facts = BTreeMap::new();
    for name in ["architecture", "os", "variant"] {
        facts.insert(name.to_owned(), image[name].clone());
    }
    for (name, value) in image["config"].as_object().into_iter().flatten() {
        if INCIDENTAL.contains(&name.as_str()) {
            continue;
        }
        let mut value = value.clone();
        // The order of variables says nothing: no name comes twice.
        if let (Some(list), "Env") = (value.as_array_mut(), name.as_str()) {
            list.sort_by_key(ToString::to_string);
        }
        if let Some(table) = value.as_object_mut().filter(|_| name == "Healthcheck") {
            table.retain(|_, value| !is_empty(value));
        }
        facts.insert(name.clone(), value);
    }
    facts.retain(|_, value| !is_empty(value));
    facts
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_u64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(table) => table.is_empty(),
        Value::Bool(true) => false,
    }
}

fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}

fn strings(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

fn list(value: &Value) -> String {
    serde_json::json!(strings(value)).to_string()
}

/// A value of `ENV`: in double quotes only these three have a meaning (Dockerfile reference).
fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text).replace('"', "\\\""))
}

/// A text in which no variable is replaced.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('$', "\\$")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_config_is_restored_line_by_line() {
        let config = json!({
            "Env": ["PATH=/bin", "ODD=a \"b\" $c \\d", "EMPTY=", "EQUAL=a=b"],
            "Entrypoint": ["/e", "it's \"x\""],
            "Cmd": null,
            "ExposedPorts": {"8000/tcp": {}, "9000/udp": {}},
            "Volumes": {"/a b": {}},
            "User": "1000:1000",
            "StopSignal": "SIGQUIT",
            "Healthcheck": {"Test": ["CMD", "/h"], "Interval": 30_000_000_000_u64, "Retries": 3},
            "Shell": ["/bin/bash", "-c"],
            "OnBuild": ["RUN x"],
            "WorkingDir": "/app",
            "Labels": {"a": "1"},
        });
        let expected = [
            "ENV PATH=\"/bin\"",
            "ENV ODD=\"a \\\"b\\\" \\$c \\\\d\"",
            "ENV EMPTY=\"\"",
            "ENV EQUAL=\"a=b\"",
            "ENTRYPOINT [\"/e\",\"it's \\\"x\\\"\"]",
            "CMD []",
            "EXPOSE 8000/tcp",
            "EXPOSE 9000/udp",
            "VOLUME [\"/a b\"]",
            "USER 1000:1000",
            "STOPSIGNAL SIGQUIT",
            "HEALTHCHECK --interval=30000000000ns --retries=3 CMD [\"/h\"]",
            "SHELL [\"/bin/bash\",\"-c\"]",
            "ONBUILD RUN x",
        ];
        assert_eq!(lines(&config).unwrap(), expected);
        assert_eq!(lines(&json!({})).unwrap(), ["ENTRYPOINT []", "CMD []"]);
        let check = |test: Value, expected: &str| {
            let lines = lines(&json!({"Healthcheck": {"Test": test}})).unwrap();
            assert_eq!(lines.last().unwrap(), expected);
        };
        check(json!(["NONE"]), "HEALTHCHECK NONE");
        check(json!(["CMD-SHELL", "curl -f $X || exit 1"]), "HEALTHCHECK CMD curl -f $X || exit 1");
        check(json!([]), "CMD []");
        assert_eq!(label("odd one", "it's $x"), "LABEL \"odd one\"=\"it's \\$x\"");
        let error = lines(&json!({"Env": ["A=one\ntwo"]})).unwrap_err();
        assert_eq!(process::failure::describe(&error).0, Exit::Usage);
    }

    #[test]
    fn configs_are_compared_by_what_they_say() {
        let image =
            |config: Value| json!({"os": "linux", "architecture": "amd64", "config": config});
        let check = |before: Value, after: Value, expected: &[&str]| {
            assert_eq!(differing(&image(before), &image(after)), expected);
        };
        check(json!({"Env": ["A=1", "B=2"]}), json!({"Env": ["B=2", "A=1"]}), &[]);
        check(json!({"Cmd": null, "Hostname": "a"}), json!({"Cmd": [], "Hostname": "b"}), &[]);
        check(
            json!({"Healthcheck": {"Test": ["CMD", "x"], "Retries": 0}, "Tty": false}),
            json!({"Healthcheck": {"Test": ["CMD", "x"]}}),
            &[],
        );
        check(
            json!({"User": "1000", "Labels": {"a": "1"}}),
            json!({"Labels": {"a": "2"}, "StopSignal": "SIGINT"}),
            &[
                "Labels: was {\"a\":\"1\"}, is {\"a\":\"2\"}",
                "User: was \"1000\", is none",
                "StopSignal: was none, is \"SIGINT\"",
            ],
        );
        let other = json!({"os": "linux", "architecture": "arm64", "config": {}});
        assert_eq!(differing(&image(json!({})), &other).len(), 1);
    }
}
