//! Debian's docker-registry on the loopback address with a login, our own certificates, and the
//! home folders of users who know both.

use super::proxy::Proxy;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The user of the registry. The password must never be seen anywhere.
pub const USER: &str = "pusher";

/// Its password: of this process alone, so that a run at the same time is none of our leaks.
pub fn canary() -> &'static str {
    static CANARY: LazyLock<String> =
        LazyLock::new(|| format!("canary-4f7a91c2-{}-", std::process::id()));
    &CANARY
}

/// A folder with certificates, the password file and what registries store.
pub struct Place {
    folder: TempDir,
    pub tls: Arc<ServerConfig>,
}

impl Place {
    pub fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::write(path.join("names"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
            .unwrap();
        let new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        let authority = ["-x509", "-days", "2", "-subj", "/CN=xtask test authority"];
        let files = ["-keyout", "ca.key", "-out", "ca.crt"];
        openssl(path, &[&new[..], &authority, &files].concat());
        let files = ["-subj", "/CN=127.0.0.1", "-keyout", "server.key", "-out", "server.csr"];
        openssl(path, &[&new[..], &files].concat());
        let sign = ["x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key"];
        let files = ["-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "server.crt"];
        openssl(path, &[&sign[..], &files].concat());
        let mut command = Command::new("htpasswd");
        let output = command.args(["-Bbn", USER, canary()]).output().expect("htpasswd");
        fs::write(path.join("htpasswd"), output.stdout).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = vec![CertificateDer::from_pem_file(path.join("server.crt")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(path.join("server.key")).unwrap();
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Place { folder, tls: Arc::new(tls) }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The home folder of a user who is logged in at `registry` with `password` and trusts its
    /// certificate.
    pub fn home(&self, registry: &str, password: Option<&str>) -> TempDir {
        let home = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let path = home.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let auth = password.map(|password| format!(r#"{{"auth":"{}"}}"#, basic(password)));
        let text = format!(r#"{{"auths":{{"{registry}":{}}}}}"#, auth.unwrap_or("{}".to_owned()));
        write(".config/containers/auth.json", &text);
        write(".docker/config.json", &text);
        let authority = fs::read_to_string(self.path("ca.crt")).unwrap();
        write(&format!(".config/containers/certs.d/{registry}/ca.crt"), &authority);
        // A client of Docker's own folder has its plugins there.
        if let Some(folder) = std::env::var_os("DOCKER_CONFIG") {
            let plugins = PathBuf::from(folder).join("cli-plugins");
            std::os::unix::fs::symlink(plugins, home.path().join(".docker/cli-plugins")).unwrap();
        }
        home
    }
}

/// `user:password` as the files and the header have it.
pub fn basic(password: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{password}"))
}

fn openssl(folder: &Path, words: &[&str]) {
    let output = Command::new("openssl").args(words).current_dir(folder).output();
    let output = output.expect("openssl");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A running registry, behind proxies that have its TLS; it can die and come back with what it
/// had.
pub struct Registry {
    pub address: String,
    config: PathBuf,
    process: Mutex<Option<Child>>,
}

impl Registry {
    pub fn start(place: &Place, name: &str) -> Registry {
        Registry::start_as(place, name, "")
    }

    pub fn start_with_tls(place: &Place, name: &str) -> Registry {
        let [certificate, key] = ["server.crt", "server.key"].map(|file| place.path(file));
        let (certificate, key) = (certificate.display(), key.display());
        let tls = format!(", tls: {{certificate: {certificate}, key: {key}}}");
        Registry::start_as(place, name, &tls)
    }

    fn start_as(place: &Place, name: &str, tls: &str) -> Registry {
        let address = {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            free.local_addr().unwrap().to_string()
        };
        let config = place.path(&format!("{name}.yml"));
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\n\
             storage:\n  filesystem: {{rootdirectory: {data}}}\n  delete: {{enabled: true}}\n\
             http: {{addr: \"{address}\", secret: same{tls}}}\n\
             auth:\n  htpasswd: {{realm: test, path: {password}}}\n",
            data = place.path(name).display(),
            password = place.path("htpasswd").display(),
        );
        fs::write(&config, text).unwrap();
        let registry = Registry { address, config, process: Mutex::new(None) };
        registry.again();
        registry
    }

    /// Starts it if it isn't running.
    pub fn again(&self) {
        let mut process = self.process.lock().unwrap();
        if process.is_some() {
            return;
        }
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&self.config).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        *process = Some(command.spawn().expect("docker-registry"));
        let start = Instant::now();
        while TcpStream::connect(&self.address).is_err() {
            assert!(start.elapsed() < Duration::from_secs(120), "the registry doesn't start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it without a warning.
    pub fn die(&self) {
        if let Some(mut process) = self.process.lock().unwrap().take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    pub fn proxy(&self, place: &Place, tokens: bool) -> Proxy {
        let tokens = tokens.then(|| format!("Basic {}", basic(canary())));
        Proxy::new(&self.address, Arc::clone(&place.tls), tokens)
    }

    /// The digest of a name, asked of the registry itself; `None` if there is no such name.
    pub fn digest(&self, repository: &str, tag: &str) -> Option<String> {
        let response = self.manifest(repository, tag);
        let digest = response.headers().get("docker-content-digest")?;
        (response.status() == 200).then(|| digest.to_str().unwrap().to_owned())
    }

    /// The names that a repository has, as the registry lists them; empty if it has none.
    pub fn tags(&self, repository: &str) -> String {
        let request = ureq::get(format!("http://{}/v2/{repository}/tags/list", self.address));
        let request = request.header("authorization", format!("Basic {}", basic(canary())));
        let request = request.config().http_status_as_error(false).proxy(None);
        let mut response = request.build().call().unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        if response.status() == 404 { String::new() } else { text }
    }

    fn manifest(&self, repository: &str, tag: &str) -> Response {
        let request = ureq::get(self.url(repository, tag)).header("accept", TYPES.join(", "));
        let request = request.header("authorization", format!("Basic {}", basic(canary())));
        let request = request.config().http_status_as_error(false).proxy(None);
        request.build().call().unwrap()
    }

    fn url(&self, repository: &str, tag: &str) -> String {
        format!("http://{}/v2/{repository}/manifests/{tag}", self.address)
    }

    /// The text of a manifest.
    pub fn text(&self, repository: &str, tag: &str) -> String {
        self.manifest(repository, tag).body_mut().read_to_string().unwrap()
    }

    /// How many manifests a repository has, with and without a tag.
    pub fn manifests(&self, repository: &str) -> usize {
        let folder = self.config.with_extension("").join("docker/registry/v2/repositories");
        let all = folder.join(repository).join("_manifests/revisions/sha256");
        fs::read_dir(all).unwrap().count()
    }

    /// Takes a tag away, which no request of this registry can (only whole manifests).
    pub fn forget(&self, repository: &str, tag: &str) {
        let folder = self.config.with_extension("");
        let tags = format!("docker/registry/v2/repositories/{repository}/_manifests/tags/{tag}");
        fs::remove_dir_all(folder.join(tags)).unwrap();
    }

    /// Gives what one tag names to another, past every check of ours.
    pub fn copy(&self, repository: &str, from: &str, to: &str) {
        let mut there = self.manifest(repository, from);
        let kind = there.headers()["content-type"].clone();
        let body = there.body_mut().read_to_vec().unwrap();
        let request = ureq::put(self.url(repository, to)).header("content-type", kind);
        let request = request.header("authorization", format!("Basic {}", basic(canary())));
        request.config().proxy(None).build().send(&body).unwrap();
    }
}

type Response = ureq::http::Response<ureq::Body>;

/// What both engines push here, and what is attached to it.
const TYPES: [&str; 3] = [
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
];

impl Drop for Registry {
    fn drop(&mut self) {
        self.die();
    }
}
