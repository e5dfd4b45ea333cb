//! The login for a registry, from the same sources as the engine's: its auth files and the helper
//! programs that they name. Nothing is ever taken from the command line.

use base64::Engine as _;
use engine::EngineKind;
use process::environment::Environment;
use process::failure::{Exit, failure_help};
use process::invocation::{Invocation, Secret};
use process::run::{QUESTION, Runner};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What a registry is told about us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Login {
    /// Nothing.
    Nobody,
    Password(String, Secret),
    /// A token that is exchanged for others (`identitytoken`).
    Identity(Secret),
}

/// A login and its source, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoundLogin {
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

fn docker_file(environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    let value = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let home = || value("HOME").map(|home| PathBuf::from(home).join(".docker"));
    let folder = value("DOCKER_CONFIG").map(PathBuf::from).or_else(home);
    folder.map(|folder| folder.join("config.json"))
}

/// The auth files in the order in which the engine reads them (containers-auth.json(5); Docker has
/// one only).
fn files(kind: EngineKind, environment: &BTreeMap<String, String>, uid: u32) -> Vec<PathBuf> {
    let value = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let home = value("HOME").map(PathBuf::from);
    let below = |path: &str| home.as_ref().map(|home| home.join(path));
    let docker = docker_file(environment);
    if kind == EngineKind::Docker {
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

/// The keys under which the login for `registry/repository` stands as it is written, the nearest
/// first.
fn keys(kind: EngineKind, registry: &str, repository: &str) -> Vec<String> {
    let mut keys = Vec::new();
    if kind == EngineKind::Podman {
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
/// Podman cuts off a path only if there was a scheme or the file is Docker's (containers/image,
/// `normalizeAuthFileKey`); Docker always does (docker/cli, `ConvertToHostname`).
fn host_of(key: &str, docker_s: bool) -> &str {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let host = if docker_s || bare != key { bare.split('/').next().unwrap_or(bare) } else { bare };
    match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        other => other,
    }
}

/// What one file says of `registry`. Docker reads helpers first, and `credsStore` for every
/// registry; Podman doesn't know that key. The error says what the engine can't read.
fn entry(
    json: &Value,
    kind: EngineKind,
    keys: &[String],
    registry: &str,
    docker_s: bool,
) -> Result<Option<Entry>, String> {
    if !json.is_object() && !json.is_null() {
        return Err("it is no JSON object".to_owned());
    }
    for table in ["auths", "credHelpers"] {
        if !json[table].is_object() && !json[table].is_null() {
            return Err(format!("{table} is no object"));
        }
    }
    let auths: Vec<(&String, &Value)> = json["auths"].as_object().into_iter().flatten().collect();
    let login = |key: &String, auth: &Value| {
        login(auth, kind).map_err(|what| format!("the entry {key:?} {what}"))
    };
    if kind == EngineKind::Docker {
        // One bad entry is enough for Docker to ignore all of the file.
        for (key, auth) in &auths {
            login(key, auth)?;
        }
    }
    let helper = keys.iter().find_map(|key| json["credHelpers"][key].as_str());
    let store = json["credsStore"].as_str().filter(|_| kind == EngineKind::Docker);
    if let Some(name) = helper.or(store) {
        return Ok(Some(Entry::Helper(name.to_owned())));
    }
    let exact = keys.iter().filter_map(|key| auths.iter().find(|(known, _)| *known == key));
    let by_host = auths.iter().filter(|(key, _)| host_of(key, docker_s) == registry);
    for (key, auth) in exact.chain(by_host) {
        if let Some(login) = login(key, auth)? {
            return Ok(Some(Entry::Login(login)));
        }
    }
    Ok(None)
}

/// The login of one entry, or what is wrong with it.
fn login(auth: &Value, kind: EngineKind) -> Result<Option<Login>, &'static str> {
    if !auth.is_object() && !auth.is_null() {
        return Err("is no object");
    }
    let known = ["identitytoken", "username", "password", "auth"];
    if known.iter().any(|key| !auth[*key].is_string() && !auth[*key].is_null()) {
        return Err("holds something else than text");
    }
    let text = |key: &str| auth[key].as_str().filter(|text| !text.is_empty());
    if let Some(token) = text("identitytoken") {
        return Ok(Some(Login::Identity(Secret(token.to_owned()))));
    }
    if let (Some(user), Some(password)) = (text("username"), text("password")) {
        return Ok(Some(Login::Password(user.to_owned(), Secret(password.to_owned()))));
    }
    let Some(auth) = text("auth") else { return Ok(None) };
    let decoded = base64::engine::general_purpose::STANDARD.decode(auth);
    let decoded = decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let decoded = decoded.ok_or("has an auth that is no base64 of text")?;
    let Some((user, password)) = decoded.split_once(':') else {
        let bad = "has an auth without a colon between user and password";
        return if kind == EngineKind::Docker { Err(bad) } else { Ok(None) };
    };
    // Docker 20.10 pads with zeros.
    let password = password.trim_end_matches('\0');
    Ok(Some(Login::Password(user.to_owned(), Secret(password.to_owned()))))
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
/// [`Exit::Usage`] for a login file that the engine can't read; [`Exit::Engine`] for a helper that
/// isn't there or fails.
pub(super) fn find(
    kind: EngineKind,
    registry: &str,
    repository: &str,
    uid: u32,
    environment: &Environment,
    runner: &Runner,
) -> anyhow::Result<FoundLogin> {
    let keys = keys(kind, registry, repository);
    for file in files(kind, &environment.variables, uid) {
        let docker_s = kind == EngineKind::Docker
            || docker_file(&environment.variables).as_ref() == Some(&file);
        let json = match read(&file, kind) {
            Ok(None) => continue,
            Ok(Some(json)) => Ok(json),
            Err(why) => Err(why),
        };
        let found = json.and_then(|json| entry(&json, kind, &keys, registry, docker_s));
        let found = found.map_err(|why| {
            let file = file.display();
            let message = format!("reading the login file {file}: {why}");
            let help = format!("mend or remove {file}, then log in: {kind} login {registry}");
            failure_help(Exit::Usage, message, help)
        })?;
        match found {
            Some(Entry::Login(login)) => {
                return Ok(FoundLogin { login, place: file.display().to_string() });
            }
            Some(Entry::Helper(name)) => {
                let program = format!("docker-credential-{name}");
                let server = match registry {
                    "docker.io" => "https://index.docker.io/v1/",
                    other => other,
                };
                if let Some(login) = ask_helper(&program, server, runner)? {
                    return Ok(FoundLogin { login, place: program });
                }
            }
            None => {}
        }
    }
    Ok(FoundLogin { login: Login::Nobody, place: "no login".to_owned() })
}

/// The content of a login file; none when there is none.
fn read(file: &Path, kind: EngineKind) -> Result<Option<Value>, String> {
    let text = match process::regular::read(file) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error.to_string()),
    };
    // Docker takes an empty file for none, Podman 4.3 refuses it.
    match text.iter().all(u8::is_ascii_whitespace) {
        true if kind == EngineKind::Docker => Ok(None),
        true => Err("it is empty".to_owned()),
        false => serde_json::from_slice(&text).map(Some).map_err(|_| "it is no JSON".to_owned()),
    }
}

/// Asks a helper for the login at `server`; it reads the name from its standard input.
fn ask_helper(program: &str, server: &str, runner: &Runner) -> anyhow::Result<Option<Login>> {
    let question = Invocation { input: Some(server.into()), ..Invocation::new(program, ["get"]) };
    let answer = runner.ask(&question, QUESTION)?;
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
        check(EngineKind::Podman, &[home], &["/run/containers/1000/auth.json", own, docker]);
        let runtime = ("XDG_RUNTIME_DIR", "/run/user/1000");
        check(
            EngineKind::Podman,
            &[home, runtime],
            &["/run/user/1000/containers/auth.json", own, docker],
        );
        check(
            EngineKind::Podman,
            &[home, runtime, ("REGISTRY_AUTH_FILE", "/a")],
            &["/a", own, docker],
        );
        check(EngineKind::Docker, &[home, ("REGISTRY_AUTH_FILE", "/a")], &[docker]);
        check(EngineKind::Docker, &[home, ("DOCKER_CONFIG", "/d")], &["/d/config.json"]);
        check(EngineKind::Docker, &[], &[]);
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
            },
            "credHelpers": { "helped.example": "pass" },
            "credsStore": "desktop",
        });
        let check = |kind, registry: &str, repository: &str, expected: Option<Entry>| {
            let found = entry(&json, kind, &keys(kind, registry, repository), registry, false);
            assert_eq!(found, Ok(expected), "{registry}/{repository}");
        };
        let podman = |registry: &str, repository: &str, expected: Option<Login>| {
            check(EngineKind::Podman, registry, repository, expected.map(Entry::Login));
        };
        podman("r.example", "team/app", Some(password("team", "p:w")));
        podman("r.example", "other/app", Some(password("u", "p")));
        podman("old.example", "app", Some(password("u", "p")));
        podman("docker.io", "library/app", Some(password("hub", "p")));
        podman("token.example", "app", Some(Login::Identity(Secret("t".into()))));
        podman("empty.example", "app", None);
        podman("unknown.example", "app", None);
        let helper = |name: &str| Some(Entry::Helper(name.to_owned()));
        check(EngineKind::Podman, "helped.example", "app", helper("pass"));
        check(EngineKind::Docker, "helped.example", "app", helper("pass"));
        check(EngineKind::Docker, "r.example", "team/app", helper("desktop"));
    }

    /// Podman 4.3.1 was asked what it finds in its own file (`login --get-login --authfile`).
    #[test]
    fn addresses_name_their_host_as_each_engine_reads_them() {
        let check = |registry: &str, key: &str, podman: bool, docker: bool| {
            let json = serde_json::json!({ "auths": { key: { "auth": "dTpw" } } });
            for (kind, docker_s, expected) in [
                (EngineKind::Podman, false, podman),
                (EngineKind::Podman, true, docker),
                (EngineKind::Docker, true, docker),
            ] {
                let found = entry(&json, kind, &keys(kind, registry, "a"), registry, docker_s);
                assert_eq!(found.unwrap().is_some(), expected, "{key}, {kind}, {docker_s}");
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

    /// A home folder with `text` in the login file of each engine.
    fn asked(kind: EngineKind, text: &[u8]) -> anyhow::Result<FoundLogin> {
        let folder = tempfile::tempdir().unwrap();
        for file in [".docker/config.json", ".config/containers/auth.json"] {
            let file = folder.path().join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            match text {
                b"FOLDER" => std::fs::create_dir(file).unwrap(),
                text => std::fs::write(file, text).unwrap(),
            }
        }
        ask_in(kind, folder.path())
    }

    fn own_runner(folder: &Path) -> Runner {
        Runner {
            folder: folder.to_path_buf(),
            progress: false,
            verbose: false,
            form: process::form::Form::Plain,
            signal: std::sync::Arc::default(),
        }
    }

    fn ask_in(kind: EngineKind, home: &Path) -> anyhow::Result<FoundLogin> {
        let runner = own_runner(home);
        let home = home.display().to_string();
        let variables = [("HOME", home.as_str()), ("XDG_RUNTIME_DIR", "/nowhere")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment = Environment { variables: variables.into() };
        find(kind, "r.example", "team/app", 1000, &environment, &runner)
    }

    /// What each of them takes was asked of Podman 4.3.1 and Docker 20.10: the other engine's
    /// `login` can't mend the file, so the help names it.
    #[test]
    fn a_login_file_that_its_engine_can_t_read_is_named() {
        let check = |text: &[u8], podman: bool, docker: bool| {
            for (kind, good, file) in [
                (EngineKind::Podman, podman, "/.config/containers/auth.json"),
                (EngineKind::Docker, docker, "/.docker/config.json"),
            ] {
                let shown = String::from_utf8_lossy(text);
                let found = asked(kind, text);
                assert_eq!(found.is_ok(), good, "{kind}: {shown}: {found:?}");
                let Err(error) = found else { continue };
                let (exit, help) = process::failure::describe(&error);
                assert_eq!(exit, Exit::Usage, "{shown}");
                assert!(error.to_string().contains(file), "{error}");
                assert!(help[0].contains("remove /") && help[0].contains(file), "{help:?}");
                assert!(!error.to_string().contains("canary"), "{error}");
            }
        };
        for text in [
            &b"[]"[..],
            b"\"x\"",
            b"{\"auths\":{}} x",
            b"\xef\xbb\xbf{\"auths\":{}}",
            br#"{"auths":[]}"#,
            br#"{"auths":{"r.example":[]}}"#,
            br#"{"auths":{"r.example":{"auth":5}}}"#,
            br#"{"auths":{"r.example":{"auth":"%canary%"}}}"#,
            br#"{"auths":{"r.example":{"auth":"dTpwdw"}}}"#,
            br#"{"credHelpers":[]}"#,
            b"FOLDER",
        ] {
            check(text, false, false);
        }
        check(b"", false, true);
        check(b" \n", false, true);
        check(br#"{"auths":{"r.example":{"auth":"dXNlcg=="}}}"#, true, false);
        check(br#"{"auths":{"q.example":{"auth":"%"},"r.example":{"auth":"dTpw"}}}"#, true, false);
        for text in [&b"{}"[..], b"null", br#"{"auths":null}"#, br#"{"credHelpers":null}"#] {
            check(text, true, true);
        }
    }

    /// The user's own file and a path's entry come before all that is farther away.
    #[test]
    fn the_nearest_login_serves_in_the_nearest_file() {
        let folder = tempfile::tempdir().unwrap();
        let write = |file: &str, pairs: &[(&str, &str)]| {
            let entry = |(key, user): &(&str, &str)| {
                format!(r#""{key}":{{"username":"{user}","password":"p"}}"#)
            };
            let entries: Vec<String> = pairs.iter().map(entry).collect();
            let file = folder.path().join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, format!(r#"{{"auths":{{{}}}}}"#, entries.join(","))).unwrap();
        };
        let all =
            [("r.example", "host"), ("r.example/team", "team"), ("r.example/team/app", "app")];
        write(".config/containers/auth.json", &all);
        write(".docker/config.json", &[("r.example", "docker")]);
        let user = |kind| match ask_in(kind, folder.path()).unwrap().login {
            Login::Password(user, _) => user,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            (user(EngineKind::Podman), user(EngineKind::Docker)),
            ("app".into(), "docker".into())
        );
        write(".config/containers/auth.json", &all[..2]);
        assert_eq!(user(EngineKind::Podman), "team");
        write(".config/containers/auth.json", &[("r.example/team/app/more", "more")]);
        assert_eq!(user(EngineKind::Podman), "docker");
    }

    /// What a helper prints can hold the secret, whether it fails or only prints no answer.
    #[test]
    fn nothing_is_shown_of_what_a_failing_helper_prints() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let helper = folder.path().join("docker-credential-test");
        for script in ["echo canary; echo canary >&2; exit 1", "echo canary", "kill -9 $$"] {
            std::fs::write(&helper, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
            let program = helper.display().to_string();
            let error = ask_helper(&program, "r.example", &own_runner(folder.path())).unwrap_err();
            let (exit, help) = process::failure::describe(&error);
            assert_eq!(exit, Exit::Engine, "{script}");
            let said = format!("{error:#} {help:?}");
            assert!(said.contains("it failed") && !said.contains("canary"), "{said}");
        }
        let script = "#!/bin/sh\necho credentials not found in native keychain; exit 1\n";
        std::fs::write(&helper, script).unwrap();
        let program = helper.display().to_string();
        let found = ask_helper(&program, "r.example", &own_runner(folder.path())).unwrap();
        assert_eq!(found, None);
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
