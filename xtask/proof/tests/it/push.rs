//! `push` and `release` in exact words, with a registry on the loopback address that plays along.

use super::certificate;
use super::checkout::Checkout;
use super::ended::Ended;
use rustls::{ServerConnection, StreamOwned};
use serde_json::json;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// A Podman with one image, which notes what it is told, and that it has pushed.
const PODMAN: &str = r##"#!/bin/sh
echo "$*" >>"$HOME/../calls"
case "$1 $2" in
    "version "*) echo '{"Client":{"Version":"4.3.1","OsArch":"linux/amd64"}}' ;;
    "image inspect") cat "$HOME/../image.json" ;;
    "history "*) echo '[{"size":5000000},{"size":0}]' ;;
    "push "*) echo DIGEST >"$3"; echo "$SSL_CERT_FILE" >"$HOME/trusted" ;;
    "build "*) echo boom >&2; exit 125 ;;
    *) ;;
esac
"##;

const IMAGE: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const MANIFEST: &str = r#"{"config":{"digest":"IMAGE"},"layers":[]}"#;
/// Of [`MANIFEST`] with [`IMAGE`] in it.
const DIGEST: &str = "sha256:c868c2d974281ffb6a1582934c076e89b6f3617b3a374ec42a48df0f04fac6b7";

/// A registry, and what was asked of it.
struct Registry {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

impl Registry {
    /// Has the image under each name that was written here, or by the engine as `calls` says.
    fn start(tls: bool, calls: PathBuf) -> Registry {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let mut stream: Box<dyn Stream> = match tls {
                    true => {
                        let tls = ServerConnection::new(certificate::server()).unwrap();
                        Box::new(StreamOwned::new(tls, stream))
                    }
                    false => Box::new(stream),
                };
                let Some(line) = request(&mut stream) else {
                    // The beginning of TLS.
                    let _ = stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n");
                    continue;
                };
                let told = std::fs::read_to_string(&calls).unwrap_or_default();
                let mut named = log.lock().unwrap().clone();
                named.extend(
                    told.lines().filter(|told| told.starts_with("push ")).map(str::to_owned),
                );
                let answer = answer(&line, &named);
                log.lock().unwrap().push(line);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Registry { address, asked }
    }

    /// What was written to it.
    fn written(&self) -> Vec<String> {
        let all = self.asked.lock().unwrap();
        all.iter().filter(|line| line.starts_with("PUT ")).cloned().collect()
    }
}

/// The first line of a request; its body is also read.
fn request(stream: &mut dyn Stream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end();
        if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        if first.is_empty() {
            first = line.strip_suffix(" HTTP/1.1")?.to_owned();
        }
        if line.is_empty() {
            break;
        }
    }
    reader.read_exact(&mut vec![0; length]).ok()?;
    Some(first)
}

/// What it answers; the image has the names that the lines of `written` end with.
fn answer(line: &str, written: &[String]) -> String {
    let (method, path) = line.split_once(' ').unwrap();
    let name = path.rsplit('/').next().unwrap();
    let writes = |line: &String| line.starts_with("PUT ") || line.starts_with("push ");
    let ends = |line: &String| writes(line) && line.ends_with(name);
    let (status, header, body) = match (method, path) {
        ("POST", _) => (202, "Location: /v2/team/app/blobs/uploads/1", String::new()),
        ("DELETE", _) => (204, "", String::new()),
        ("PUT", _) => (201, "", String::new()),
        (_, "/v2/") => (200, "", String::new()),
        (_, "/v2/team/app/tags/list?n=1000") => (200, "", r#"{"tags":["1.0.0"]}"#.to_owned()),
        _ if name == DIGEST || written.iter().any(ends) => {
            (200, "", MANIFEST.replace("IMAGE", IMAGE))
        }
        _ => (404, "", String::new()),
    };
    let body = if method == "HEAD" { String::new() } else { body };
    let header =
        if header.is_empty() { format!("Docker-Content-Digest: {DIGEST}") } else { header.into() };
    let length = body.len();
    format!(
        "HTTP/1.1 {status} x\r\nConnection: close\r\n{header}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

fn with_image() -> Checkout {
    let checkout = Checkout::new();
    checkout.write("home/.keep", "");
    checkout.write(".git/info/exclude", "/bin/\n/home/\n/calls\n/image.json\n/bundle.crt\n");
    checkout.program("podman", &PODMAN.replace("DIGEST", DIGEST));
    let labels = json!({
        "org.opencontainers.image.revision": checkout.git(&["rev-parse", "HEAD"]),
        "org.opencontainers.image.version": "1.0.0",
        "org.opencontainers.image.base.name": "docker.io/library/python:3.12-slim-bookworm",
    });
    let config = json!({ "Labels": labels, "WorkingDir": "/app" });
    let image = json!([{ "Id": IMAGE, "Config": config, "RootFS": { "Layers": ["sha256:1"] } }]);
    checkout.write("image.json", &image.to_string());
    checkout.write("bundle.crt", &certificate::bundle());
    checkout
}

/// What the engine was told to send, with one word for the file of the digest.
fn pushes(checkout: &Checkout) -> Vec<String> {
    let calls = std::fs::read_to_string(checkout.path("calls")).unwrap();
    let file = format!("{}-", checkout.path("target/xtask/digest").display());
    let pushes = calls.lines().filter(|line| line.starts_with("push ")).map(|line| {
        let (before, after) = line.split_once(&file).expect(line);
        format!("{before}FILE {}", after.split_once(' ').unwrap().1)
    });
    pushes.collect()
}

/// Without TLS only if the registry has none; further names move no layer.
#[test]
fn the_engine_pushes_once_and_looks_at_certificates() {
    for tls in [false, true] {
        let checkout = with_image();
        let registry = Registry::start(tls, checkout.path("calls"));
        let target = format!("{}/team/app", registry.address);
        let words = ["push", "--registry", &target, "--tag", "latest", "--tag", "1.0.0"];
        let mut command = checkout.command(&words);
        command.env("XTASK_CA_BUNDLE", checkout.path("bundle.crt"));
        let ended: Ended = command.output().unwrap().into();
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        let plain = if tls { "" } else { "--tls-verify=false " };
        let expected = format!("push --digestfile FILE {plain}{IMAGE} docker://{target}:1.0.0");
        assert_eq!(pushes(&checkout), [expected], "{}", ended.err);
        let trusted = std::fs::read_to_string(checkout.path("home/trusted")).unwrap();
        assert_eq!(trusted.trim_end(), checkout.path("bundle.crt").display().to_string());
        assert_eq!(registry.written(), ["PUT /v2/team/app/manifests/latest"]);
    }
}

/// An untrusted certificate ends it before the engine is told anything.
#[test]
fn a_registry_that_is_not_trusted_gets_nothing() {
    let checkout = with_image();
    let registry = Registry::start(true, checkout.path("calls"));
    let target = format!("{}/team/app", registry.address);
    let ended = checkout.run(&["push", "--registry", &target, "--tag", "1.0.0"]);
    assert_eq!(ended.code, Some(7), "{}", ended.err);
    assert!(ended.err.contains("it isn't trusted"), "{}", ended.err);
    assert_eq!(pushes(&checkout), [""; 0]);
    assert_eq!(*registry.asked.lock().unwrap(), [""; 0]);
}

#[test]
fn an_image_on_a_stand_in_is_not_pushed() {
    let checkout = with_image();
    let image = std::fs::read_to_string(checkout.path("image.json")).unwrap();
    checkout.write("image.json", &image.replace("slim-bookworm", "slim-bookworm-standin"));
    let registry = Registry::start(false, checkout.path("calls"));
    let target = format!("{}/team/app", registry.address);
    let ended = checkout.run(&["push", "--registry", &target, "--tag", "1.0.0"]);
    assert_eq!(ended.code, Some(3), "{}", ended.err);
    assert!(ended.err.contains("the base of the image is a stand-in"), "{}", ended.err);
    assert_eq!(*registry.asked.lock().unwrap(), [""; 0]);
}

#[test]
fn a_squash_that_fails_gives_no_name() {
    let checkout = with_image();
    let ended = checkout.run(&["squash"]);
    assert_eq!(ended.code, Some(5), "{}", ended.err);
    assert!(ended.err.contains("error: squashing sha256:aaaa"), "{}", ended.err);
    assert!(!ended.err.contains("ended well"), "{}", ended.err);
    let calls = std::fs::read_to_string(checkout.path("calls")).unwrap();
    assert!(!calls.lines().any(|line| line.starts_with("tag ")), "{calls}");
}

/// The script of a release: what is built is squashed if asked, tested, and only then pushed.
#[test]
fn a_release_shows_its_commands_in_their_order() {
    let checkout = with_image();
    checkout.link_git();
    checkout.git(&["tag", "v1.0.0"]);
    let registry = Registry::start(false, checkout.path("calls"));
    let target = format!("{}/team/app", registry.address);
    let ours = |more: &[&str]| {
        let words = ["release", "--dry-run", "--registry", &target, "--allow-standin"];
        let ended = checkout.run(&[&words[..], more].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        let (_, after) = ended.out.split_once("podman tag \"$image\" ").expect(&ended.out);
        after.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    let short = &checkout.git(&["rev-parse", "HEAD"])[..12];
    let push = |image: &str, more: &str| {
        let tags = format!("--tag 1.0.0 --tag sha-{short} --tag 1.0 --tag 1 --tag latest");
        format!("cargo xtask push {image} --registry {target} {tags}{more} --allow-standin")
    };
    let (prod, squashed) =
        ["prod", "prod-squashed"].map(|tag| format!("localhost/senex_trader:{tag}")).into();
    let attached = "# attached: provenance, test result, list of packages".to_owned();
    let expected = [format!("cargo xtask smoke-test {prod}"), push(&prod, ""), attached.clone()];
    assert_eq!(ours(&[]), expected);
    let expected = [
        format!("cargo xtask squash {prod}"),
        format!("cargo xtask smoke-test {squashed} --core"),
        push(&squashed, " --force"),
        attached,
    ];
    assert_eq!(ours(&["--squash", "--core", "--force"]), expected);
    assert_eq!(pushes(&checkout), [""; 0]);
    assert_eq!(registry.written(), [""; 0]);
}
