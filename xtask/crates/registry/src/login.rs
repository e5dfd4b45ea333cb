//! The login for a registry, from where the engine itself looks for it: its auth files and the
//! helper programs that they name. Nothing is ever taken from the command line.

use base64::Engine as _;
use engine::Kind;
use process::environment::Environment;
use process::failure::{Exit, failure_help};
use process::invocation::{Invocation, Secret};
use process::run::{QUESTION, Runner};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a registry is told about us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Login {
    /// Nothing.
    Nobody,
    /// User and password.
    Password(String, Secret),
    /// A token that is exchanged for others (`identitytoken`).
    Identity(Secret),
}

/// A login and where it was found, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) login: Login,
    pub(super) place: String,
}

/// What an auth file says about a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Login(Login),
    /// The name of a helper program, without `docker-credential-`.
    Helper(String),
}

/// Docker's own file.
fn docker_file(environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    let value = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let home = || value("HOME").map(|home| PathBuf::from(home).join(".docker"));
    let folder = value("DOCKER_CONFIG").map(PathBuf::from).or_else(home);
    folder.map(|folder| folder.join("config.json"))
}

/// The auth files in the order in which the engine reads them (containers-auth.json(5); Docker has
/// one only).
fn files(kind: Kind, environment: &BTreeMap<String, String>, uid: u32) -> Vec<PathBuf> {
    let value = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let home = value("HOME").map(PathBuf::from);
    let below = |path: &str| home.as_ref().map(|home| home.join(path));
    let docker = docker_file(environment);
    if kind == Kind::Docker {
        return docker.into_iter().collect();
    }
    let runtime = value("XDG_RUNTIME_DIR").map(PathBuf::from);
    let runtime = runtime.unwrap_or_else(|| PathBuf::from(format!("/run/containers/{uid}")));
    // Without XDG_RUNTIME_DIR the folder is already `containers/UID`.
    let runtime = match value("XDG_RUNTIME_DIR") {
        Some(_) => runtime.join("containers/auth.json"),
        None => runtime.join("auth.json"),
    };
    let first = value("REGISTRY_AUTH_FILE").map_or(runtime, PathBuf::from);
    let config = value("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| below(".config"));
    let config = config.map(|folder| folder.join("containers/auth.json"));
    [Some(first), config, docker].into_iter().flatten().collect()
}

/// The keys under which the login for `registry/repository` stands as it is written, the nearest first.
fn keys(kind: Kind, registry: &str, repository: &str) -> Vec<String> {
    let mut keys = Vec::new();
    if kind == Kind::Podman {
        let whole = format!("{registry}/{repository}");
        let parts: Vec<&str> = whole.split('/').collect();
        keys.extend((2..=parts.len()).rev().map(|count| parts[..count].join("/")));
    }
    keys.push(registry.to_owned());
    if registry == "docker.io" {
        keys.extend(["https://index.docker.io/v1/", "index.docker.io"].map(String::from));
    }
    keys
}

/// The registry that a key of an auth file is about: old versions of both engines wrote addresses.
/// Podman cuts off a path only where there was a scheme or the file is Docker's (containers/image,
/// `normalizeAuthFileKey`); Docker always (docker/cli, `ConvertToHostname`).
fn host_of(key: &str, docker_s: bool) -> &str {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let host = if docker_s || bare != key { bare.split('/').next().unwrap_or(bare) } else { bare };
    match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        other => other,
    }
}

/// What one file says of `registry`. Docker reads helpers first, and `credsStore` for every registry;
/// Podman doesn't know that key.
fn entry(
    json: &Value,
    kind: Kind,
    keys: &[String],
    registry: &str,
    docker_s: bool,
) -> Option<Entry> {
    let helper = keys.iter().find_map(|key| json["credHelpers"][key].as_str());
    let store = json["credsStore"].as_str().filter(|_| kind == Kind::Docker);
    if let Some(name) = helper.or(store) {
        return Some(Entry::Helper(name.to_owned()));
    }
    let auths = json["auths"].as_object()?;
    let exact = keys.iter().find_map(|key| login(auths.get(key)?));
    let by_host = || {
        let same = auths.iter().filter(|(key, _)| host_of(key, docker_s) == registry);
        same.map(|(_, auth)| auth).find_map(login)
    };
    exact.or_else(by_host).map(Entry::Login)
}

fn login(auth: &Value) -> Option<Login> {
    let text = |key: &str| auth[key].as_str().filter(|text| !text.is_empty());
    if let Some(token) = text("identitytoken") {
        return Some(Login::Identity(Secret(token.to_owned())));
    }
    if let (Some(user), Some(password)) = (text("username"), text("password")) {
        return Some(Login::Password(user.to_owned(), Secret(password.to_owned())));
    }
    let engine = base64::engine::general_purpose::STANDARD;
    let decoded = String::from_utf8(engine.decode(text("auth")?).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    // Docker 20.10 pads with zeros.
    let password = password.trim_end_matches('\0');
    Some(Login::Password(user.to_owned(), Secret(password.to_owned())))
}

/// What a helper printed (`docker-credential-helpers`): a user called `<token>` has a token.
fn helper_login(text: &str) -> Option<Login> {
    let json: Value = serde_json::from_str(text).ok()?;
    let secret = Secret(json["Secret"].as_str()?.to_owned());
    Some(match json["Username"].as_str()? {
        "<token>" => Login::Identity(secret),
        user => Login::Password(user.to_owned(), secret),
    })
}

/// Finds the login for `registry/repository` as `kind` would.
///
/// # Errors
/// [`Exit::Usage`] for an auth file that is no JSON; [`Exit::Engine`] for a helper that isn't there
/// or fails; 130 or 143 after a signal.
pub(super) fn find(
    kind: Kind,
    registry: &str,
    repository: &str,
    uid: u32,
    environment: &Environment,
    runner: &Runner,
) -> anyhow::Result<Found> {
    let keys = keys(kind, registry, repository);
    for file in files(kind, &environment.variables, uid) {
        let Ok(text) = std::fs::read(&file) else { continue };
        let docker_s =
            kind == Kind::Docker || docker_file(&environment.variables).as_ref() == Some(&file);
        // Docker takes an empty file for none, Podman 4.3 refuses it.
        let empty = text.iter().all(u8::is_ascii_whitespace);
        if empty && kind == Kind::Docker {
            continue;
        }
        let json: Value = serde_json::from_slice(&text).map_err(|_| {
            let what = if empty { "it is empty" } else { "it is no JSON" };
            let message = format!("reading the login file {}: {what}", file.display());
            let help =
                format!("remove {} and log in again: {kind} login {registry}", file.display());
            failure_help(Exit::Usage, message, help)
        })?;
        match entry(&json, kind, &keys, registry, docker_s) {
            Some(Entry::Login(login)) => {
                return Ok(Found { login, place: file.display().to_string() });
            }
            Some(Entry::Helper(name)) => {
                let program = format!("docker-credential-{name}");
                let server = match registry {
                    "docker.io" => "https://index.docker.io/v1/",
                    other => other,
                };
                if let Some(login) = ask_helper(&program, server, runner)? {
                    return Ok(Found { login, place: program });
                }
            }
            None => {}
        }
    }
    Ok(Found { login: Login::Nobody, place: "no login".to_owned() })
}

/// Asks a helper for the login at `server`; it reads the name from its standard input.
fn ask_helper(program: &str, server: &str, runner: &Runner) -> anyhow::Result<Option<Login>> {
    let answer = runner.ask_with(&Invocation::new(program, ["get"]), server, QUESTION)?;
    if let Some(login) = helper_login(&answer.stdout).filter(|_| answer.good()) {
        return Ok(Some(login));
    }
    let said = format!("{}{}", answer.stdout, answer.stderr);
    if said.contains("credentials not found") {
        return Ok(None);
    }
    // What it printed can hold a part of the secret.
    let message = format!("asking {program} for the login at {server}: it failed");
    Err(failure_help(Exit::Engine, message, format!("try `echo {server} | {program} get`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(user: &str, password: &str) -> Login {
        Login::Password(user.to_owned(), Secret(password.to_owned()))
    }

    #[test]
    fn each_engine_s_files_are_read_in_its_order() {
        let check = |kind, pairs: &[(&str, &str)], expected: &[&str]| {
            let environment =
                pairs.iter().map(|(name, value)| (name.to_string(), value.to_string()));
            let found = files(kind, &environment.collect(), 1000);
            let found: Vec<String> = found.iter().map(|path| path.display().to_string()).collect();
            assert_eq!(found, expected, "{pairs:?}");
        };
        let home = ("HOME", "/h");
        let own = "/h/.config/containers/auth.json";
        let docker = "/h/.docker/config.json";
        check(Kind::Podman, &[home], &["/run/containers/1000/auth.json", own, docker]);
        let runtime = ("XDG_RUNTIME_DIR", "/run/user/1000");
        check(
            Kind::Podman,
            &[home, runtime],
            &["/run/user/1000/containers/auth.json", own, docker],
        );
        check(Kind::Podman, &[home, runtime, ("REGISTRY_AUTH_FILE", "/a")], &["/a", own, docker]);
        check(Kind::Docker, &[home, ("REGISTRY_AUTH_FILE", "/a")], &[docker]);
        check(Kind::Docker, &[home, ("DOCKER_CONFIG", "/d")], &["/d/config.json"]);
        check(Kind::Docker, &[], &[]);
    }

    #[test]
    fn the_nearest_entry_serves() {
        let json = serde_json::json!({
            "auths": {
                "r.example": { "auth": "dTpw" },
                "r.example/team": { "auth": "dGVhbTpwOncA" },
                "https://old.example": { "auth": "dTpw" },
                "https://index.docker.io/v1/": { "username": "hub", "password": "p" },
                "token.example": { "auth": "dTpw", "identitytoken": "t" },
                "empty.example": {},
                "bad.example": { "auth": "%" },
            },
            "credHelpers": { "helped.example": "pass" },
            "credsStore": "desktop",
        });
        let check = |kind, registry: &str, repository: &str, expected: Option<Entry>| {
            let found = entry(&json, kind, &keys(kind, registry, repository), registry, false);
            assert_eq!(found, expected, "{registry}/{repository}");
        };
        let podman = |registry: &str, repository: &str, expected: Option<Login>| {
            check(Kind::Podman, registry, repository, expected.map(Entry::Login));
        };
        podman("r.example", "team/app", Some(password("team", "p:w")));
        podman("r.example", "other/app", Some(password("u", "p")));
        podman("old.example", "app", Some(password("u", "p")));
        podman("docker.io", "library/app", Some(password("hub", "p")));
        podman("token.example", "app", Some(Login::Identity(Secret("t".into()))));
        podman("empty.example", "app", None);
        podman("bad.example", "app", None);
        podman("unknown.example", "app", None);
        let helper = |name: &str| Some(Entry::Helper(name.to_owned()));
        check(Kind::Podman, "helped.example", "app", helper("pass"));
        check(Kind::Docker, "helped.example", "app", helper("pass"));
        check(Kind::Docker, "r.example", "team/app", helper("desktop"));
    }

    /// What Podman 4.3.1 finds in a file of its own was asked of it (`login --get-login --authfile`).
    #[test]
    fn addresses_name_their_host_as_each_engine_reads_them() {
        let check = |registry: &str, key: &str, podman: bool, docker: bool| {
            let json = serde_json::json!({ "auths": { key: { "auth": "dTpw" } } });
            for (kind, docker_s, expected) in [
                (Kind::Podman, false, podman),
                (Kind::Podman, true, docker),
                (Kind::Docker, true, docker),
            ] {
                let found = entry(&json, kind, &keys(kind, registry, "a"), registry, docker_s);
                assert_eq!(found.is_some(), expected, "{key}, {kind}, {docker_s}");
            }
        };
        for key in ["r.example", "https://r.example", "http://r.example", "https://r.example/v1/"] {
            check("r.example", key, true, true);
        }
        check("r.example", "https://r.example/v2", true, true);
        check("r.example", "r.example/", false, true);
        check("r.example", "r.example/v1/", false, true);
        check("r.example:5000", "https://r.example:5000/v1/", true, true);
        check("r.example", "https://r.example:5000/v1/", false, false);
        check("r.example", "https://r.example.org/v1/", false, false);
        let hub = ["docker.io", "index.docker.io", "registry-1.docker.io", "https://docker.io/v1/"];
        hub.iter().for_each(|key| check("docker.io", key, true, true));
        check("docker.io", "https://index.docker.io/v1/", true, true);
    }

    /// The help names the file: `podman login` can't read it either.
    #[test]
    fn an_empty_file_is_none_for_docker_and_named_for_podman() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path();
        let runner = Runner {
            folder: home.to_path_buf(),
            progress: false,
            verbose: false,
            form: process::form::Form::Plain,
            signal: std::sync::Arc::default(),
        };
        for (file, text) in [(".docker/config.json", ""), (".config/containers/auth.json", " \n")] {
            let file = home.join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let home = home.display().to_string();
        let variables = [("HOME", home.as_str()), ("XDG_RUNTIME_DIR", "/nowhere")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment = Environment { variables: variables.into() };
        let ask = |kind| find(kind, "r.example", "a", 1000, &environment, &runner);
        assert_eq!(ask(Kind::Docker).unwrap().login, Login::Nobody);
        let error = ask(Kind::Podman).unwrap_err();
        let (exit, help) = process::failure::describe(&error);
        assert_eq!(exit, Exit::Usage);
        assert!(error.to_string().ends_with("auth.json: it is empty"), "{error}");
        assert!(help[0].contains(&format!("remove {home}/.config/")), "{help:?}");
    }

    #[test]
    fn helpers_give_a_password_or_a_token() {
        let check = |text: &str, expected| assert_eq!(helper_login(text), expected, "{text}");
        let identity = Login::Identity(Secret("t".into()));
        check(r#"{"ServerURL":"x","Username":"u","Secret":"p"}"#, Some(password("u", "p")));
        check(r#"{"Username":"<token>","Secret":"t"}"#, Some(identity));
        check("credentials not found in native keychain", None);
        assert!(!format!("{:?}", password("u", "canary")).contains("canary"));
    }
}
