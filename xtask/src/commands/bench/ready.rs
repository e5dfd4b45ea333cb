//! run → ready: a web container until it answers, with PostgreSQL and Redis beside it.

use super::measure::Sample;
use super::sides::{Side, Sides};
use std::time::Instant;

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

/// Runs a side's web role once, on a new database.
///
/// # Errors
/// When a container can't be started or the site doesn't answer.
pub fn once(sides: &Sides<'_>, side: Side) -> anyhow::Result<Sample> {
    let mut ids = Vec::new();
    let outcome = measure(sides, side, &mut ids);
    // Whatever happened, nothing stays; the first failure is the one to tell.
    let mut removal = Ok(());
    for id in ids.iter().rev() {
        let removed = sides.engine(&["rm", "--force", "--volumes", id]).map(|_| ());
        removal = removal.and(removed);
    }
    outcome.and_then(|sample| removal.map(|()| sample))
}

fn measure(sides: &Sides<'_>, side: Side, ids: &mut Vec<String>) -> anyhow::Result<Sample> {
    let mut start = |words: &[&str]| -> anyhow::Result<String> {
        let id = sides.engine(&[&["run", "--detach"], words].concat())?.stdout.trim().to_owned();
        ids.push(id.clone());
        Ok(id)
    };
    let [postgres, redis] = &sides.services;
    let names = [
        "--env=POSTGRES_USER=senex_trader",
        "--env=POSTGRES_PASSWORD=word",
        "--env=POSTGRES_DB=senex_trader",
        postgres.as_str(),
    ];
    let database = start(&names)?;
    let network = format!("--network=container:{database}");
    start(&[&network, redis])?;
    // Both sides wait for the database; what is measured begins when it is there.
    let ready =
        "i=0; until pg_isready -q -h 127.0.0.1 || [ $i -gt 300 ]; do i=$((i+1)); sleep 0.2; done";
    sides.engine(&["exec", &database, "sh", "-c", ready])?;
    let image = sides.image(side);
    // The question comes from a container that waits already, so that its start isn't counted.
    let asking = start(&[&network, "--entrypoint=python3", &image, "-c", ASK])?;
    let begin = Instant::now();
    start(&[
        &network,
        "--env=SECRET_KEY=test-secret-key",
        "--env=FIELD_ENCRYPTION_KEY=test-encryption-key",
        "--env=DB_HOST=127.0.0.1",
        "--env=DB_PASSWORD=word",
        "--env=REDIS_URL=redis://127.0.0.1:6379/0",
        &image,
        "web",
    ])?;
    let code = sides.engine(&["wait", &asking])?.stdout;
    let wall = begin.elapsed().as_secs_f64();
    if code.trim() != "0" {
        anyhow::bail!("waiting for the web container: no good answer from /health/ in 180 s");
    }
    Ok(Sample { wall, cpu: 0.0 })
}
