//! What a pipeline takes from one changed line to the tested image in a registry, on a machine with
//! an empty store: with the layer cache in the registry, and without.

use super::sides::Sides;
use super::{Bench, report, table};
use crate::lab::Lab;
use crate::measure::{Pair, Sample};
use anyhow::Context as _;
use engine::Kind;
use process::invocation::Invocation;
use process::notice::notice;
use process::state::write_whole;
use serde_json::Value;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// The steps of a release, as its record calls them.
const STEPS: [&str; 3] = ["build", "smoke-test", "push"];

/// How long the registry may take to start.
const START: Duration = Duration::from_secs(30);

impl Bench<'_> {
    /// The section of Podman; Docker's daemon of a bench can't see a registry of this machine.
    ///
    /// # Errors
    /// When a release fails.
    pub(super) fn pipeline(&self, quick: bool) -> anyhow::Result<String> {
        let rounds = self.rounds.cold;
        let (version, pairs) = self.in_lab(Kind::Podman, |lab| self.releases(lab, rounds))?;
        let lines: Vec<table::Line> =
            pairs.iter().flat_map(|(what, pair)| table::seconds(what, None, pair, false)).collect();
        let table = table::table("layers from the registry", "without", &lines);
        let option = if quick { " --quick" } else { "" };
        Ok(format!(
            "\n{HEAD}\n\nWritten by `cargo xtask bench{option} --only pipeline` on {}: `cargo xtask release \
             --snapshot` of a checkout with one changed line of Python, to a registry on the same \
             machine, on Podman {version} with nothing in its store but the base and the services, and \
             empty cache mounts; the registry holds the image before. Medians of {rounds} rounds, in \
             turns; load averages at the end {}.\n\n{table}",
            report::now(),
            report::load(),
        ))
    }

    fn releases(&self, lab: &Lab, rounds: usize) -> anyhow::Result<(String, Vec<(String, Pair)>)> {
        notice("making the image, its base and the services");
        let sides = Sides::new(self, lab, Kind::Podman)?;
        let registry = self.registry(lab)?;
        let cache = format!("{registry}/bench/layers");
        // What an earlier run of the pipeline left: the layers and the image.
        release(&sides, &registry, &cache)?;
        let whole = "one line → tested image in the registry".to_owned();
        let steps = STEPS.map(|step| format!("of that, {step}"));
        let mut pairs: Vec<(String, Pair)> =
            [whole].into_iter().chain(steps).map(|what| (what, Pair::default())).collect();
        for round in 0..rounds {
            for with in [true, false] {
                sides.forget()?;
                sides.change_line(2 * round + usize::from(with))?;
                let cache = if with { cache.as_str() } else { "none" };
                let seconds = release(&sides, &registry, cache)?;
                notice(&format!(
                    "round {} of {rounds}, cache {cache}: {:.1} s",
                    round + 1,
                    seconds[0]
                ));
                for ((_, pair), wall) in pairs.iter_mut().zip(seconds) {
                    let side = if with { &mut pair.ours } else { &mut pair.other };
                    side.push(Sample { wall, cpu: 0.0 });
                }
            }
        }
        Ok((sides.version.clone(), pairs))
    }

    /// Debian's docker-registry on the loopback address; it ends with the laboratory.
    fn registry(&self, lab: &Lab) -> anyhow::Result<String> {
        let free = TcpListener::bind("127.0.0.1:0").context("looking for a free port")?;
        let address = free.local_addr().context("looking for a free port")?.to_string();
        drop(free);
        let config = lab.folder.join("registry.yml");
        let data = lab.folder.join("registry");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"{address}\"}}\n",
            data.display()
        );
        write_whole(&config, &text)?;
        let words = ["serve".to_owned(), config.display().to_string()];
        let log = lab.folder.join("registry.log");
        lab.background(&Invocation::new("docker-registry", words), &log, &self.runner)?;
        let start = Instant::now();
        while TcpStream::connect(&address).is_err() {
            anyhow::ensure!(start.elapsed() < START, "starting docker-registry: no answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(address)
    }
}

/// Releases a snapshot: the seconds of the whole, and of each step.
fn release(sides: &Sides<'_>, registry: &str, cache: &str) -> anyhow::Result<Vec<f64>> {
    let target = format!("--registry={registry}/bench/image");
    let cache = format!("--cache={cache}");
    let words = ["release", "--snapshot", "--allow-standin", target.as_str(), cache.as_str()];
    let start = Instant::now();
    let record = sides.json(&words)?;
    let whole = start.elapsed().as_secs_f64();
    let step = |name: &str| {
        let all = record["steps"].as_array().into_iter().flatten();
        let seconds =
            all.filter(|step| step["name"] == name).filter_map(|step| step["seconds"].as_f64());
        seconds.sum()
    };
    anyhow::ensure!(record["pushed"] == Value::Bool(true), "releasing: it wasn't pushed");
    Ok([whole].into_iter().chain(STEPS.map(step)).collect())
}

/// The first line of the section.
pub const HEAD: &str = "## From one line to the registry";
