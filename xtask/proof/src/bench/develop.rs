//! Development: what `dev` takes until the site answers, and what a saved file takes until it is
//! answered by the new code, compared with plain Compose and the design's Dockerfile.dev.

use super::design;
use super::sides::{BOTH, Side, Sides};
use super::{Bench, report, table};
use crate::lab::Lab;
use crate::measure::{Pair, Sample};
use anyhow::Context as _;
use engine::EngineKind;
use process::invocation::Invocation;
use process::notice::notice;
use process::state::write_whole;
use smoke::http;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The design's Dockerfile.dev, as it was written.
const DOCKERFILE: &str = include_str!("../../design/Dockerfile.dev");

/// The services around it, as a file of Compose is commonly written. Compose that doesn't wait for
/// health is why `web` tries until the database is there.
const COMPOSE: &str = r#"services:
  postgres:
    image: "POSTGRES"
    environment: {POSTGRES_USER: dev, POSTGRES_PASSWORD: dev, POSTGRES_DB: dev}
  redis:
    image: "REDIS"
  web: &web
    build: {context: ., dockerfile: Dockerfile.dev}
    image: localhost/xtask-bench/senex_trader:design-dev
    command: [sh, -c, "until python manage.py migrate; do sleep 1; done; exec python manage.py runserver 0.0.0.0:8000"]
    environment: &environment
      SECRET_KEY: test-secret-key-that-is-long-enough-for-every-check-of-it
      FIELD_ENCRYPTION_KEY: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
      DB_HOST: postgres
      DB_NAME: dev
      DB_USER: dev
      DB_PASSWORD: dev
      REDIS_URL: redis://redis:6379/0
    volumes: [".:/app"]
    ports: ["127.0.0.1:PORT:8000"]
  worker:
    image: localhost/xtask-bench/senex_trader:design-dev
    command: [celery, -A, senex_trader, worker]
    environment: *environment
    volumes: [".:/app"]
  beat:
    image: localhost/xtask-bench/senex_trader:design-dev
    command: [celery, -A, senex_trader, beat, -s, /tmp/schedule]
    environment: *environment
    volumes: [".:/app"]
"#;

/// The file in which the view is saved.
const FILE: &str = "senex_trader/urls.py";
/// Between two saves: a person looks at the page.
const LOOKING: Duration = Duration::from_secs(8);
/// Only a hang takes longer.
const LIMIT: Duration = Duration::from_secs(600);

/// What goes into the section.
struct Measured {
    version: String,
    edits: String,
    lines: Vec<table::Line>,
}

impl Bench<'_> {
    /// The section of Podman: Debian 12's Docker has no Compose to compare with.
    pub(super) fn develop(&self, quick: bool) -> anyhow::Result<String> {
        let Measured { version, edits, lines } =
            self.in_lab(EngineKind::Podman, |lab| self.sites(lab))?;
        let table = table::table("`cargo xtask dev`", "Compose", &lines);
        let option = if quick { " --quick" } else { "" };
        let (cold, warm) = (self.rounds.cold, self.rounds.warm);
        Ok(format!(
            "\n{HEAD}\n\nWritten by `cargo xtask bench{option} --only dev` on {}, on Podman {version}: PostgreSQL, \
             Redis, web, worker and beat from the checkout, until web answers; compared with `podman-compose up` with the \
             design's Dockerfile.dev, whose server reloads. From a fresh clone: nothing in the store but the \
             bases and the services, empty cache mounts, xtask compiled; medians of {cold}, all others of {warm}, in \
             turns, but for the saves: all of one side before those of the other. A save is a new view, asked for until it answers, {} s after the one before. Load averages at the \
             end {}.\n\n{table}\nThe edits without which the design's file can't be built here:\n\n```diff\n{edits}```\n",
            report::now(),
            LOOKING.as_secs(),
            report::load(),
        ))
    }

    fn sites(&self, lab: &Lab) -> anyhow::Result<Measured> {
        notice("making both sides, their bases and the services");
        let sides = Sides::new(self, lab, EngineKind::Podman)?;
        let (plain, edits) = Plain::new(self, &sides)?;
        let site = |side| Site { bench: self, sides: &sides, plain: &plain, side };
        let mut clone = Pair::default();
        for round in 0..self.rounds.cold {
            for side in BOTH {
                sides.forget()?;
                let took = site(side).started()?.1;
                clone.push(side, "fresh clone", round, took);
                site(side).down()?;
            }
        }
        // The last round forgot the other side.
        for side in BOTH {
            site(side).started()?;
            site(side).down()?;
        }
        let mut present = Pair::default();
        for round in 0..self.rounds.warm {
            for side in BOTH {
                let took = site(side).started()?.1;
                present.push(side, "images present", round, took);
                site(side).down()?;
            }
        }
        let mut saved = Pair::default();
        for side in BOTH {
            let address = site(side).started()?.0;
            let outcome = (0..self.rounds.warm).try_for_each(|round| {
                self.runner.sleep(LOOKING)?;
                let took = site(side).saved(&address, round)?;
                saved.push(side, "saved", round, took);
                anyhow::Ok(())
            });
            site(side).down()?;
            outcome?;
        }
        let lines = [
            ("from a fresh clone to the site", clone),
            ("images present → the site", present),
            ("saved file → its answer", saved),
        ];
        let lines = lines.iter().flat_map(|(what, pair)| table::seconds(what, pair, false));
        Ok(Measured { version: sides.version.clone(), edits, lines: lines.collect() })
    }
}

impl Pair {
    fn push(&mut self, side: Side, what: &str, round: usize, wall: f64) {
        notice(&format!("{what}, {}, {side:?}: {wall:.2} s", round + 1));
        let samples = if side == Side::Ours { &mut self.ours } else { &mut self.other };
        samples.push(Sample { wall, cpu: 0.0 });
    }
}

/// The design's side.
struct Plain {
    /// `podman-compose`.
    program: String,
    /// The engine's settings, if this machine needs any.
    settings: Option<PathBuf>,
    port: u16,
}

impl Plain {
    /// Writes its files next to the payload; also gives the edits.
    fn new(bench: &Bench<'_>, sides: &Sides<'_>) -> anyhow::Result<(Plain, String)> {
        let folder = sides.folder(Side::Design);
        let edited = design::edit_dev(DOCKERFILE, sides.base_of(Side::Design));
        write_whole(&folder.join("Dockerfile.dev"), &edited.text)?;
        let free = TcpListener::bind("127.0.0.1:0").context("looking for a free port")?;
        let port = free.local_addr().context("looking for a free port")?.port();
        let [postgres, redis] = &sides.services;
        let text = COMPOSE.replace("POSTGRES\"", &format!("{postgres}\""));
        let text = text.replace("REDIS\"", &format!("{redis}\""));
        write_whole(&folder.join("compose.yaml"), &text.replace("PORT", &port.to_string()))?;
        // As for a developer: owned by the image's user, who may write what Python has compiled.
        let words =
            ["--recursive".to_owned(), "1000:1000".to_owned(), folder.display().to_string()];
        bench.ask(&Invocation::new("chown", words))?;
        let program = bench.workflow.state.folder.join("tools/bin/podman-compose");
        let settings = bench.state.folder.join("containers.conf");
        let settings = settings.is_file().then_some(settings);
        Ok((Plain { program: program.display().to_string(), settings, port }, edited.patch))
    }
}

/// One side's site.
struct Site<'a> {
    bench: &'a Bench<'a>,
    sides: &'a Sides<'a>,
    plain: &'a Plain,
    side: Side,
}

impl Site<'_> {
    /// Starts it, and builds the image if there is none; gives its address and the seconds until it
    /// answers.
    fn started(&self) -> anyhow::Result<(String, f64)> {
        let start = Instant::now();
        let address = match self.side {
            Side::Ours => {
                let site = self.sides.json(&["dev", "--detach"])?["site"].clone();
                let site = site.as_str().unwrap_or_default().trim_start_matches("http://");
                site.trim_end_matches('/').to_owned()
            }
            Side::Design => {
                self.compose(&["up", "--detach"])?;
                format!("127.0.0.1:{}", self.plain.port)
            }
        };
        self.wait(&address, "/health/", "200 OK")?;
        Ok((address, start.elapsed().as_secs_f64()))
    }

    fn down(&self) -> anyhow::Result<()> {
        match self.side {
            Side::Ours => self.sides.json(&["dev", "stop", "--volumes"]).map(|_| ()),
            Side::Design => self.compose(&["down", "--volumes"]),
        }
    }

    fn compose(&self, words: &[&str]) -> anyhow::Result<()> {
        let invocation = Invocation::new(&self.plain.program, words.iter().copied());
        let invocation = match &self.plain.settings {
            None => invocation,
            Some(file) => invocation.with_env("CONTAINERS_CONF", file.display().to_string()),
        };
        self.sides.ask(invocation, Side::Design).map(|_| ())
    }

    /// Saves a view with a unique answer; gives the seconds until that comes.
    fn saved(&self, address: &str, round: usize) -> anyhow::Result<f64> {
        let file = self.sides.payload(self.side).join(FILE);
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("reading {}", file.display()))?;
        let view = format!(
            "\nfrom django.http import HttpResponse\nurlpatterns.insert(0, path(\"bench/\", lambda request: HttpResponse(\"answer {round}.\")))\n"
        );
        let start = Instant::now();
        // In place, as most editors do.
        std::fs::write(&file, format!("{text}{view}"))
            .with_context(|| format!("writing {}", file.display()))?;
        let outcome = self.wait(address, "/bench/", &format!("answer {round}."));
        let took = start.elapsed().as_secs_f64();
        std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
        outcome.map(|()| took)
    }

    fn wait(&self, address: &str, path: &str, text: &str) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            let answer = http::get(address, path, "", Duration::from_secs(5));
            if answer.as_ref().is_ok_and(|answer| answer.text.contains(text)) {
                return Ok(());
            }
            if start.elapsed() > LIMIT {
                let found = match answer {
                    Ok(answer) => answer.shown(),
                    Err(error) => format!("{error:#}"),
                };
                anyhow::bail!("asking {:?} for {path}: no `{text}` in 600 s: {found}", self.side);
            }
            self.bench.runner.sleep(Duration::from_millis(20))?;
        }
    }
}

/// The first line of the section.
pub const HEAD: &str = "## From the checkout to the site";
