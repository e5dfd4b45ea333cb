//! The page of the production image in a real browser: log in, see the positions, see them change.
//!
//! `cargo xtask test --browser` runs it with Debian's Chromium and ChromeDriver; it speaks to the
//! latter by the WebDriver protocol (W3C).

use super::bench::Repository;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);
/// How the browser starts: without a sandbox, because the tests run as root.
const OPTIONS: [&str; 8] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1100,1250",
];

/// ChromeDriver, ended with the test.
struct Driver {
    child: Child,
    port: u16,
    session: String,
}

impl Drop for Driver {
    fn drop(&mut self) {
        let path = format!("/session/{}", self.session);
        // A test that fails has a message already; this one must not hide it.
        if !std::thread::panicking() {
            self.ask("DELETE", &path, &json!({}));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Driver {
    fn start(profile: &std::path::Path) -> Driver {
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("chromedriver");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines
            .find(|line| line.as_ref().unwrap().contains("successfully on port"))
            .unwrap()
            .unwrap();
        std::thread::spawn(move || lines.for_each(drop));
        let port = line.rsplit(' ').next().unwrap().trim_end_matches('.').parse().unwrap();
        let mut driver = Driver { child, port, session: String::new() };
        let folder = format!("--user-data-dir={}", profile.display());
        let options: Vec<&str> = OPTIONS.into_iter().chain([folder.as_str()]).collect();
        let chrome = json!({ "binary": "/usr/bin/chromium", "args": options });
        let wanted = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": chrome } } });
        let answer = driver.ask("POST", "/session", &wanted);
        answer["sessionId"]
            .as_str()
            .unwrap_or_else(|| panic!("{answer}"))
            .clone_into(&mut driver.session);
        driver
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if method == "GET" { String::new() } else { body.to_string() };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = BufReader::new(stream);
        let (mut line, mut length) = (String::new(), 0);
        while line != "\r\n" {
            line.clear();
            assert!(answer.read_line(&mut line).unwrap() > 0, "no answer to {method} {path}");
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        answer.read_exact(&mut body).unwrap();
        serde_json::from_slice::<Value>(&body).unwrap_or_default()["value"].take()
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.ask("POST", &format!("/session/{}{path}", self.session), body)
    }

    /// What an expression is in the page.
    fn value(&self, expression: &str) -> Value {
        let script = format!("return {expression};");
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until an expression is true in the page.
    #[track_caller]
    fn wait(&self, expression: &str) {
        let start = Instant::now();
        while self.value(expression) != json!(true) {
            let text = self.value("document.body.innerText");
            assert!(start.elapsed() < LIMIT, "{expression} in {text}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Types into the field of this name.
    fn type_into(&self, name: &str, text: &str) {
        let selector = format!("[name={name}]");
        let field = self.post("/element", &json!({ "using": "css selector", "value": selector }));
        let id = field.as_object().unwrap().values().next().unwrap().as_str().unwrap();
        self.post(&format!("/element/{id}/value"), &json!({ "text": text }));
    }
}

/// What `--keep` leaves running: the next smoke test removes it.
struct Kept<'a>(&'a Repository);

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        let ended = self.0.command(&["smoke-test", "--only", "pass-through"]).output();
        if !std::thread::panicking() {
            assert!(ended.unwrap().status.success());
            assert_eq!(self.0.engine(&["ps", "--all", "--quiet"]).good(), "");
        }
    }
}

#[test]
fn somebody_logs_in_and_sees_positions_change() {
    let repository = Repository::new();
    let _kept = Kept(&repository);
    // No proxy ends TLS here.
    let more = "MARK_INTERVAL = \"2\"\nHTTPS_ONLY = \"0\"\nDEMO_PASSWORD = \"demo-password\"";
    repository.edit("app/tests/smoke.toml", "MARK_INTERVAL = \"2\"", more);
    repository.build(&[]);
    let words = ["smoke-test", "--keep", "--only", "web", "--only", "worker", "--only", "beat"];
    let mut started = repository.xtask_inside(&words).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    started.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(started.wait().unwrap().success(), "{said}");
    let web = format!("xtask-{}-web", started.id());
    repository.engine(&["exec", &web, "python", "manage.py", "demo"]).good();
    let place = repository.engine(&["port", &web, "8000/tcp"]).good();

    let profile = tempfile::tempdir().unwrap();
    let browser = Driver::start(profile.path());
    browser.post("/url", &json!({ "url": format!("http://{place}/") }));
    browser.wait("location.pathname.startsWith('/accounts/login/')");
    browser.type_into("username", "demo");
    browser.type_into("password", "demo-password");
    browser.value("document.querySelector('form [type=submit], form button').click()");
    browser.wait("document.querySelectorAll('#positions tbody tr').length === 2");
    browser.wait("document.getElementById('connection').textContent === 'live'");
    // Two marks after one another: the numbers come from beat, worker, Redis and the WebSocket.
    let marked = "document.getElementById('marked').dateTime";
    browser.wait(&format!("{marked} !== ''"));
    let first = browser.value(marked);
    browser.wait(&format!("{marked} !== '' && {marked} !== {first}"));
    browser.wait("document.querySelectorAll('td.changed').length > 0");
    if let Ok(path) = std::env::var("XTASK_TEST_SCREENSHOT") {
        let picture =
            browser.ask("GET", &format!("/session/{}/screenshot", browser.session), &json!({}));
        let text = repository.path("target/screenshot");
        std::fs::write(&text, picture.as_str().unwrap()).unwrap();
        let words = ["-c", "base64 --decode \"$1\" >\"$2\"", "sh", text.to_str().unwrap(), &path];
        assert!(Command::new("sh").args(words).status().unwrap().success());
    }
}
