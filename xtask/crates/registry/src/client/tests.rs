//! The client against a server on the loopback address that plays one registry or another.

use super::*;
use crate::manifest::digest;
use process::form::Form;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

mod artifact;
mod certificate;
mod tls;

/// A request as it came: method and path, headers in lower case, body.
struct Asked {
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Asked {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }
}

type Answer = (u16, Vec<(String, String)>, Vec<u8>);

fn answer(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Answer {
    let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    (status, headers.collect(), body.as_ref().to_vec())
}

/// A server that answers by a function; what it was asked is kept.
struct Server {
    registry: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(reply: impl FnMut(&Asked, &str) -> Answer + Send + 'static) -> Server {
        Server::on(TcpListener::bind("127.0.0.1:0").unwrap(), reply)
    }

    fn on(
        listener: TcpListener,
        mut reply: impl FnMut(&Asked, &str) -> Answer + Send + 'static,
    ) -> Server {
        let registry = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (own, log) = (registry.clone(), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                // What isn't HTTP (the beginning of TLS) ends the connection.
                let Some(request) = read(&mut stream) else {
                    let _ = stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n");
                    continue;
                };
                log.lock().unwrap().push(format!(
                    "{} {}",
                    request.line,
                    request.header("authorization")
                ));
                let (status, headers, body) = reply(&request, &own);
                let mut head = format!("HTTP/1.1 {status} x\r\nConnection: close\r\n");
                for (name, value) in headers {
                    head += &format!("{name}: {value}\r\n");
                }
                head += &format!("Content-Length: {}\r\n\r\n", body.len());
                let body = if request.line.starts_with("HEAD") { Vec::new() } else { body };
                let _ = stream.write_all(&[head.into_bytes(), body].concat());
            }
        });
        Server { registry, asked }
    }

    fn asked(&self) -> Vec<String> {
        let all = self.asked.lock().unwrap();
        all.iter().map(|line| line.trim().to_owned()).collect()
    }
}

fn read(stream: &mut impl std::io::Read) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end() {
            "" => break,
            text => lines.push(text.to_owned()),
        }
    }
    let line = lines.first()?.strip_suffix(" HTTP/1.1")?.to_owned();
    let headers: Vec<(String, String)> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let mut asked = Asked { line, headers, body: Vec::new() };
    let length = asked.header("content-length").parse().unwrap_or(0);
    asked.body.resize(length, 0);
    reader.read_exact(&mut asked.body).ok()?;
    Some(asked)
}

/// A client for `team/app` in `server`, logged in as `user` with the password `word`.
fn client(server: &Server) -> Client {
    opened(server, r#"{ "auth": "dXNlcjp3b3Jk" }"#).unwrap()
}

fn opened(server: &Server, auth: &str) -> anyhow::Result<Client> {
    opened_on(&Machine::default(), "{}", server, auth)
}

/// The same on a machine whose Podman says `info` of its registries.
fn opened_on(machine: &Machine, info: &str, server: &Server, auth: &str) -> anyhow::Result<Client> {
    let folder = tempfile::tempdir().unwrap();
    // `podman info` as `sh info`: a program that was written just now can be busy still.
    std::fs::write(folder.path().join("info"), format!("echo '{info}'\n")).unwrap();
    let program = "sh".to_owned();
    let file = folder.path().join("auth.json");
    let text = format!(r#"{{ "auths": {{ "{}": {auth} }} }}"#, server.registry);
    std::fs::write(&file, text).unwrap();
    let auth_file = ("REGISTRY_AUTH_FILE".to_owned(), file.display().to_string());
    let environment = Environment { variables: BTreeMap::from([auth_file]) };
    let runner = Runner {
        folder: folder.path().to_owned(),
        progress: false,
        verbose: false,
        form: Form::Plain,
        signal: Arc::default(),
    };
    let surroundings = ClientSettings {
        environment: &environment,
        machine,
        engine: &Engine { program, ..Engine::assumed(engine::EngineKind::Podman) },
        runner: &runner,
        limit: Duration::from_secs(5),
        attempts: 5,
    };
    let target = engine::reference::parse(&format!("{}/team/app", server.registry)).unwrap();
    Client::open(&target, &surroundings, true)
}

fn exit<T>(outcome: anyhow::Result<T>) -> Option<Exit> {
    outcome.err().map(|error| process::failure::describe(&error).0)
}

const IMAGE: &str = r#"{"config":{"digest":"sha256:c"},"layers":[]}"#;

#[test]
fn a_password_goes_to_who_asks_for_it_and_the_protocol_is_found_out() {
    let server = Server::new(|asked, _| match asked.header("authorization") {
        "Basic dXNlcjp3b3Jk" => answer(200, &[("Docker-Content-Digest", "sha256:x")], ""),
        _ => answer(401, &[("WWW-Authenticate", "Basic realm=\"x\"")], ""),
    });
    let client = client(&server);
    assert!(client.plain);
    assert_eq!(client.digest("1.0").unwrap().as_deref(), Some("sha256:x"));
    assert_eq!(client.digest("1.1").unwrap().as_deref(), Some("sha256:x"));
    assert_eq!(
        server.asked(),
        [
            "HEAD /v2/team/app/manifests/1.0",
            "HEAD /v2/team/app/manifests/1.0 Basic dXNlcjp3b3Jk",
            "HEAD /v2/team/app/manifests/1.1 Basic dXNlcjp3b3Jk",
        ]
    );
}

#[test]
fn a_token_is_fetched_once_and_again_when_it_has_run_out() {
    let mut tokens = 0;
    let server = Server::new(move |asked, own| {
        if asked.line.starts_with("GET /token?") {
            assert_eq!(asked.header("authorization"), "Basic dXNlcjp3b3Jk");
            tokens += 1;
            return answer(200, &[], format!(r#"{{"token":"t{tokens}"}}"#));
        }
        // The first token serves for the first tag only.
        let tag = asked.line.rsplit('/').next().unwrap_or_default().to_owned();
        let wanted = if tag == "1.0" { "Bearer t1" } else { "Bearer t2" };
        if asked.header("authorization") == wanted {
            return answer(200, &[("Docker-Content-Digest", "sha256:x")], "");
        }
        let header = format!("Bearer realm=\"http://{own}/token\",service=\"s\"");
        answer(401, &[("WWW-Authenticate", header.as_str())], "")
    });
    let client = client(&server);
    for tag in ["1.0", "1.0", "1.1", "1.2"] {
        assert!(client.digest(tag).unwrap().is_some(), "{tag}");
    }
    let asked = server.asked();
    let tokens: Vec<&String> = asked.iter().filter(|line| line.contains("/token?")).collect();
    let scope = "GET /token?service=s&scope=repository%3Ateam%2Fapp%3Apull%2Cpush";
    assert!(tokens.len() == 2 && tokens.iter().all(|line| line.starts_with(scope)), "{asked:#?}");
}

#[test]
fn a_refusal_is_final_and_says_what_to_do() {
    let check = |status: u16, auth: &str, expected: &str| {
        let server = Server::new(move |asked, _| {
            // Who has no login is asked for one, and has none to give.
            let status = if asked.header("authorization").is_empty() { 401 } else { status };
            answer(status, &[("WWW-Authenticate", "Basic realm=\"x\"")], "")
        });
        let client = opened(&server, auth).unwrap();
        let error = client.may_push().unwrap_err();
        let (exit, help) = process::failure::describe(&error);
        assert_eq!(exit, Exit::RegistryRefused);
        assert!(help[0].contains(expected), "{help:?}");
        // Once without the login and, if there is one, once with it; never again.
        assert!(server.asked().len() <= 2, "{:?}", server.asked());
    };
    let login = r#"{ "auth": "dXNlcjp3b3Jk" }"#;
    check(401, login, "auth.json isn't taken; log in: `podman login 127.0.0.1:");
    check(401, "{}", "no login for it was found; log in: `podman login 127.0.0.1:");
    check(403, login, "may not do that here");
    check(404, login, "make the repository team/app there first");
    check(400, login, "trying again will not help");
}

/// A registry that never asked who we are has missed no login.
#[test]
fn a_refusal_without_a_challenge_speaks_of_no_login() {
    for auth in ["{}", r#"{ "auth": "dXNlcjp3b3Jk" }"#] {
        let server = Server::new(|_, _| answer(403, &[], ""));
        let error = opened(&server, auth).unwrap().may_push().unwrap_err();
        let (_, help) = process::failure::describe(&error);
        assert!(!help[0].contains("login") && help[0].contains("without asking who"), "{help:?}");
    }
}

/// Some registries refuse the name of what isn't there: their list of tags tells it apart.
#[test]
fn a_manifest_that_is_refused_is_not_there_when_the_list_lacks_it() {
    let check = |status: u16, tags: &'static str, expected: Option<Option<String>>| {
        let server = Server::new(move |asked, _| match asked.line.contains("/tags/list") {
            true => answer(status, &[], format!(r#"{{"tags":[{tags}]}}"#)),
            false => answer(403, &[], r#"{"errors":[{"code":"DENIED","message":"x"}]}"#),
        });
        assert_eq!(client(&server).digest("1.0").ok(), expected, "{status} {tags}");
    };
    check(200, r#""0.9""#, Some(None));
    check(404, "", Some(None));
    check(200, r#""1.0""#, None);
    check(403, "", None);
}

#[test]
fn a_registry_without_tls_that_comes_late_is_waited_for() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        // After the first attempt, before the last one.
        std::thread::sleep(Duration::from_millis(700));
        let found = [("Docker-Content-Digest", "sha256:x")];
        let server =
            Server::on(TcpListener::bind(address).unwrap(), move |_, _| answer(200, &found, ""));
        sender.send(server).unwrap();
    });
    let late = Server { registry: address.to_string(), asked: Arc::default() };
    let client = client(&late);
    assert_eq!(client.digest("1.0").unwrap().as_deref(), Some("sha256:x"));
    assert!(client.plain);
    assert_eq!(receiver.recv().unwrap().asked().len(), 1);
}

#[test]
fn what_passes_is_tried_again_after_as_long_as_the_registry_says() {
    let mut count = 0;
    let server = Server::new(move |_, _| {
        count += 1;
        match count {
            1 => answer(429, &[("Retry-After", "1")], ""),
            2 => answer(503, &[("Retry-After", "0")], ""),
            _ => answer(200, &[("Docker-Content-Digest", "sha256:x")], ""),
        }
    });
    let start = std::time::Instant::now();
    assert!(client(&server).digest("1.0").unwrap().is_some());
    let time = start.elapsed();
    assert!(time >= Duration::from_secs(1), "{time:?}");
    // A registry that asks for more patience than anybody has.
    let server = Server::new(|_, _| answer(429, &[("Retry-After", "86400")], ""));
    assert_eq!(exit(client(&server).digest("1.0")), Some(Exit::RegistryFailed));
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn content_that_is_not_what_the_registry_says_is_a_mismatch() {
    let digest = digest(IMAGE.as_bytes());
    let said = digest.clone();
    let server = Server::new(move |asked, _| {
        let wrong = format!("sha256:{}", "0".repeat(64));
        match asked.line.rsplit('/').next().unwrap_or_default() {
            "good" => answer(200, &[("Docker-Content-Digest", &said)], IMAGE),
            "silent" => answer(200, &[], IMAGE),
            "gone" => answer(404, &[], ""),
            _ => answer(200, &[("Docker-Content-Digest", &wrong)], IMAGE),
        }
    });
    let client = client(&server);
    let read = client.manifest("good").unwrap().unwrap();
    assert_eq!((&read.digest, read.config.as_deref()), (&digest, Some("sha256:c")));
    assert_eq!(client.manifest("gone").unwrap(), None);
    assert_eq!(client.digest("gone").unwrap(), None);
    // Without the header the content is read.
    assert_eq!(client.digest("silent").unwrap(), Some(digest));
    assert_eq!(exit(client.manifest("lie")), Some(Exit::Mismatch));
    let other = format!("sha256:{}", "1".repeat(64));
    assert_eq!(exit(client.manifest(&other)), Some(Exit::Mismatch));
    assert_eq!(exit(client.labels(&read)), Some(Exit::Mismatch));
}

#[test]
fn a_further_name_is_the_same_bytes_and_is_compared() {
    let mut stored = Vec::new();
    let server = Server::new(move |asked, _| {
        stored.clone_from(&asked.body);
        match asked.line.as_str() {
            "PUT /v2/team/app/manifests/good" => {
                assert_eq!(asked.header("content-type"), "type");
                answer(201, &[("Docker-Content-Digest", &digest(&stored))], "")
            }
            "PUT /v2/team/app/manifests/bad" => {
                answer(201, &[("Docker-Content-Digest", "sha256:x")], "")
            }
            _ => answer(405, &[], r#"{"errors":[{"code":"UNSUPPORTED","message":"no"}]}"#),
        }
    });
    let client = client(&server);
    let manifest = Manifest::read("type", IMAGE.as_bytes().to_vec());
    client.point("good", &manifest).unwrap();
    assert_eq!(exit(client.point("bad", &manifest)), Some(Exit::Mismatch));
    let error = client.point("other", &manifest).unwrap_err().to_string();
    assert!(error.ends_with(":other: 405 Method Not Allowed (UNSUPPORTED no)"), "{error}");
}

#[test]
fn tags_are_read_page_by_page_and_from_this_registry_only() {
    let server = Server::new(|asked, _| {
        let next = |link: &str| vec![("Link".to_owned(), format!("<{link}>; rel=\"next\""))];
        let page = |link: &str, tags: &str| {
            (200, next(link), format!(r#"{{"tags":{tags}}}"#).into_bytes())
        };
        match asked.line.as_str() {
            "GET /v2/team/app/tags/list?n=1000" => {
                page("/v2/team/app/tags/list?n=1000&last=b", r#"["a","b"]"#)
            }
            "GET /v2/team/app/tags/list?n=1000&last=b" => {
                page("http://127.0.0.1:1/v2/team/app/tags/list", r#"["c"]"#)
            }
            other => panic!("{other}"),
        }
    });
    assert_eq!(client(&server).tags().unwrap(), ["a", "b", "c"]);
    let server = Server::new(|_, _| answer(404, &[], ""));
    assert!(client(&server).tags().unwrap().is_empty());
}

#[test]
fn labels_are_read_behind_a_redirection_that_gets_no_login() {
    let config = r#"{"config":{"Labels":{"a":"1"}}}"#;
    let storage = Server::new(move |_, _| answer(200, &[], config));
    let place = format!("http://{}/blob", storage.registry);
    let name = digest(config.as_bytes());
    let manifest = format!(r#"{{"config":{{"digest":"{name}"}}}}"#);
    let body = manifest.clone();
    let server = Server::new(move |asked, _| match asked.line.contains("/blobs/") {
        _ if asked.header("authorization").is_empty() => {
            answer(401, &[("WWW-Authenticate", "Basic")], "")
        }
        true => answer(307, &[("Location", &place)], ""),
        false => answer(200, &[], &body),
    });
    let client = client(&server);
    let index = format!(r#"{{"manifests":[{{"digest":"{}"}}]}}"#, digest(manifest.as_bytes()));
    let labels = client.labels(&Manifest::read("index", index.into_bytes())).unwrap();
    assert_eq!(labels, BTreeMap::from([("a".to_owned(), "1".to_owned())]));
    assert_eq!(storage.asked(), ["GET /blob"]);
}

#[test]
fn an_upload_is_begun_and_given_up_to_know_whether_we_may_push() {
    let server = Server::new(|asked, own| match asked.line.as_str() {
        "POST /v2/team/app/blobs/uploads/" => {
            let place = format!("http://{own}/v2/team/app/blobs/uploads/id?_state=s");
            answer(202, &[("Location", &place)], "")
        }
        _ => answer(204, &[], ""),
    });
    client(&server).may_push().unwrap();
    let expected =
        ["POST /v2/team/app/blobs/uploads/", "DELETE /v2/team/app/blobs/uploads/id?_state=s"];
    assert_eq!(server.asked(), expected);
}

/// An upload is given up only at the registry that began it: a login goes nowhere else.
#[test]
fn an_upload_at_another_place_is_left_there() {
    let other = Server::new(|_, _| answer(204, &[], ""));
    let place = format!("http://{}/v2/team/app/blobs/uploads/id", other.registry);
    let server = Server::new(move |_, _| answer(202, &[("Location", &place)], ""));
    client(&server).may_push().unwrap();
    assert_eq!(server.asked(), ["POST /v2/team/app/blobs/uploads/"]);
    assert_eq!(other.asked(), [""; 0]);
}

#[test]
fn after_a_failed_push_the_registry_says_how_long_to_wait() {
    let check = |wait: &'static str, expected: Result<Option<u64>, &str>| {
        let server = Server::new(move |_, _| answer(429, &[("Retry-After", wait)], ""));
        let found = client(&server).after_failure();
        match expected {
            Ok(seconds) => assert_eq!(found.unwrap(), seconds.map(Duration::from_secs), "{wait}"),
            Err(help) => {
                let (exit, lines) = process::failure::describe(&found.unwrap_err());
                assert_eq!((exit, lines), (Exit::RegistryFailed, vec![help.to_owned()]), "{wait}");
            }
        }
    };
    check("3", Ok(Some(3)));
    check("120", Ok(Some(120)));
    check("121", Err("rate limited: retry after 121 s"));
    check("soon", Ok(None));
}

#[test]
fn the_next_page_is_that_of_the_right_link() {
    let check = |header: &str, expected: Option<&str>| {
        assert_eq!(next_page(header).as_deref(), expected, "{header}");
    };
    check("</v2/a/tags/list?last=b>; rel=\"next\"", Some("/v2/a/tags/list?last=b"));
    check("</first>; rel=\"prev\", </second>; rel=next", Some("/second"));
    check("</first>; rel=\"prev\"", None);
    check("nonsense", None);
}
