//! Containers of one side, together with PostgreSQL and Redis, gone afterwards.

use super::sides::{Side, Sides};

/// A database, a Redis and the network of both, for one side.
pub struct Containers<'a> {
    sides: &'a Sides<'a>,
    side: Side,
    ids: Vec<String>,
    network: String,
}

/// Asks until the answer is good, for at most three minutes.
const ASK: &str = "
import sys, time, urllib.request
end = time.monotonic() + 180
while time.monotonic() < end:
    try:
        answer = urllib.request.urlopen('http://127.0.0.1:8000/health/', timeout=5)
        if b'healthy' in answer.read():
            sys.exit(0)
    except Exception:
        time.sleep(0.05)
sys.exit(1)
";

/// What a container of either side is told. The key is 32 zeros, as Fernet writes them.
const ENVIRONMENT: [&str; 5] = [
    "--env=SECRET_KEY=test-secret-key-that-is-long-enough-for-every-check-of-it",
    "--env=FIELD_ENCRYPTION_KEY=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "--env=DB_HOST=127.0.0.1",
    "--env=DB_PASSWORD=word",
    "--env=REDIS_URL=redis://127.0.0.1:6379/0",
];

/// Lets `what` work with containers of `side` on a new database that already accepts connections:
/// both sides would wait for it.
pub fn with<T>(
    sides: &Sides<'_>,
    side: Side,
    what: impl FnOnce(&mut Containers<'_>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut containers = Containers { sides, side, ids: Vec::new(), network: String::new() };
    let outcome = containers.services().and_then(|()| what(&mut containers));
    // Whatever happened, nothing stays; the first failure is the one to tell.
    let mut removal = Ok(());
    for id in containers.ids.iter().rev() {
        let removed = sides.engine(&["rm", "--force", "--volumes", id]).map(|_| ());
        removal = removal.and(removed);
    }
    outcome.and_then(|value| removal.map(|()| value))
}

impl Containers<'_> {
    fn start(&mut self, words: &[&str]) -> anyhow::Result<String> {
        let answer = self.sides.engine(&[&["run", "--detach"], words].concat())?;
        let id = answer.stdout.trim().to_owned();
        self.ids.push(id.clone());
        Ok(id)
    }

    fn services(&mut self) -> anyhow::Result<()> {
        let [postgres, redis] = &self.sides.services;
        let database = self.start(&[
            "--env=POSTGRES_USER=senex_trader",
            "--env=POSTGRES_PASSWORD=word",
            "--env=POSTGRES_DB=senex_trader",
            postgres,
        ])?;
        self.network = format!("--network=container:{database}");
        self.start(&[&self.network.clone(), redis])?;
        let ready = "i=0; until pg_isready -q -h 127.0.0.1 || [ $i -gt 300 ]; do i=$((i+1)); sleep 0.2; done";
        self.sides.engine(&["exec", &database, "sh", "-c", ready]).map(|_| ())
    }

    pub fn role(&mut self, role: &str) -> anyhow::Result<String> {
        let (network, image) = (self.network.clone(), self.sides.image(self.side));
        self.start(&[&[network.as_str()], &ENVIRONMENT[..], &[&image, role]].concat())
    }

    /// Starts a container that asks for the site's health until it is good.
    pub fn asking(&mut self) -> anyhow::Result<String> {
        let (network, image) = (self.network.clone(), self.sides.image(self.side));
        self.start(&[&network, "--entrypoint=python3", &image, "-c", ASK])
    }

    /// Waits until the container of [`Containers::asking`] has had its good answer.
    pub fn answered(&self, asking: &str) -> anyhow::Result<()> {
        let code = self.sides.engine(&["wait", asking])?.stdout;
        if code.trim() == "0" {
            return Ok(());
        }
        anyhow::bail!("waiting for the web container: no good answer from /health/ in 180 s")
    }
}
