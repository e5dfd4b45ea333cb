//! Development: from `dev` to a healthy site, and from a saved file to its answer.

use super::measure::{Pair, Sample};
use super::sides::{Side, Sides};
use super::{Bench, containers};
use crate::plan::dev;
use crate::run::say;
use anyhow::Context as _;
use std::time::Instant;

/// Saves a view with a new answer, and prints the seconds until that comes; it works in the
/// container, so that no start of a process is counted. What was there is put back.
const SAVE: &str = "
import sys, time, urllib.request
path, number = '/app/trading/urls.py', sys.argv[1]
with open(path) as file:
    text = file.read()
view = f\"\\n\\nurlpatterns += [path('bench/', lambda _: \" \\
    f\"__import__('django.http').http.HttpResponse('answer {number}'))]\\n\"
with open(path, 'w') as file:
    file.write(text + view)
start, found = time.monotonic(), ''
while found != f'answer {number}' and time.monotonic() < start + 60:
    try:
        found = urllib.request.urlopen('http://127.0.0.1:8000/bench/', timeout=5).read().decode()
    except OSError:
        time.sleep(0.01)
print(time.monotonic() - start)
with open(path, 'w') as file:
    file.write(text)
";

/// Seconds between two saves: a person looks at the page.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(8);

impl Bench<'_> {
    /// From a saved file to its answer: `develop.py`, against `runserver` alone as the design's
    /// Dockerfile.dev has it.
    pub(super) fn save_to_answer(&self, sides: &Sides<'_>) -> anyhow::Result<Pair> {
        sides.xtask(&["build", "--dev", "--quiet"])?;
        let command = |words: &[String]| -> anyhow::Result<Vec<Sample>> {
            containers::with(sides, Side::Ours, |stage| {
                let web = stage.develop(words)?;
                stage.answers(&web)?;
                let mut all = Vec::new();
                for round in 0..self.rounds.warm {
                    std::thread::sleep(PAUSE);
                    let number = round.to_string();
                    let save = ["exec", &web, "python", "-c", SAVE, &number];
                    let seconds = sides.engine(&save)?.stdout;
                    let wall = seconds.trim().parse().context("reading the seconds of a save")?;
                    say(&format!(
                        "save to answer, {} of {}: {wall:.2} s",
                        round + 1,
                        self.rounds.warm
                    ));
                    all.push(Sample { wall, cpu: 0.0 });
                }
                Ok(all)
            })
        };
        let plain = dev::WEB.iter().filter(|word| **word != "--noreload").map(ToString::to_string);
        Ok(Pair {
            ours: command(&dev::words(crate::config::smoke::Role::Web))?,
            other: command(&plain.collect::<Vec<_>>())?,
        })
    }

    /// From `dev` to a healthy site with worker and beat, the images being there.
    pub(super) fn dev_to_healthy(&self, sides: &Sides<'_>) -> anyhow::Result<Pair> {
        sides.xtask_inside(&["dev", "--detach"])?;
        sides.xtask_inside(&["dev", "stop", "--volumes"])?;
        let mut pair = Pair::default();
        for round in 0..self.rounds.warm {
            let start = Instant::now();
            sides.xtask_inside(&["dev", "--detach"])?;
            let wall = start.elapsed().as_secs_f64();
            say(&format!("dev to healthy, {} of {}: {wall:.2} s", round + 1, self.rounds.warm));
            pair.ours.push(Sample { wall, cpu: 0.0 });
            sides.xtask_inside(&["dev", "stop", "--volumes"])?;
            let script = sides.json(&["dev", "--dry-run"])?;
            let lines = script["commands"].as_array().into_iter().flatten();
            let lines: Vec<&str> = lines.filter_map(serde_json::Value::as_str).collect();
            let start = Instant::now();
            sides.script(&lines.join("\n"))?;
            let prefix = lines.iter().find_map(|line| line.split("--name ").nth(1));
            let name = prefix.and_then(|rest| rest.split("-postgres").next());
            let name = name.context("looking for the names in the script of --dry-run")?;
            for role in ["web", "worker", "beat"] {
                let role = format!("{name}-{role}");
                let check = "until /usr/local/lib/container/healthcheck; do sleep 0.2; done";
                sides.engine(&["exec", &role, "sh", "-c", check])?;
            }
            pair.other.push(Sample { wall: start.elapsed().as_secs_f64(), cpu: 0.0 });
            sides.xtask_inside(&["dev", "stop", "--volumes"])?;
        }
        Ok(pair)
    }
}
