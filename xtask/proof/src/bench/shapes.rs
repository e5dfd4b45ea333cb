//! Other shapes of our own Dockerfile on the same payload: where the environment comes from, and
//! where the application is made. Each is the Dockerfile as it is now with a few edits, which the
//! report shows.

use super::images::{self, Which};
use super::sides::{Side, Sides};
use super::{Bench, PACKAGES, report, table};
use crate::lab::Lab;
use crate::measure::{Sample, summary, time};
use anyhow::Context as _;
use engine::Kind;
use process::invocation::Invocation;
use process::notice::notice;
use process::run::QUESTION;
use process::state::write_whole;

/// One shape.
#[derive(Clone, Copy, Debug)]
struct Shape {
    name: &'static str,
    what: &'static str,
    edit: fn(&str) -> Option<String>,
    /// The packages are an image of their own, which is built first.
    packages: bool,
}

/// The name of that image.
const PACKAGES_IMAGE: &str = "localhost/xtask-bench/packages:shape";

const SHAPES: [Shape; 4] = [
    Shape {
        name: "in place",
        what: "as it is: `runtime` continues from `dependencies`, and the finished application is copied from `staticfiles`",
        edit: |text| Some(text.to_owned()),
        packages: false,
    },
    Shape {
        name: "copied",
        what: "`runtime` starts from `base` and copies the environment from `dependencies`, as the design does",
        edit: |text| {
            let copied = "FROM base AS runtime\nCOPY --from=dependencies /opt /opt\n";
            replaced(text, "FROM dependencies AS runtime\n", copied)
        },
        packages: false,
    },
    Shape {
        name: "by reference",
        what: "`dependencies` is an image of its own, which the other stages name; two builds",
        edit: |text| {
            let (head, rest) = text.split_once("# --- base")?;
            let (_, rest) = rest.split_once("# --- staticfiles")?;
            Some(format!("{head}FROM {PACKAGES_IMAGE} AS dependencies\n# --- staticfiles{rest}"))
        },
        packages: true,
    },
    Shape {
        name: "linear",
        what: "no stage `staticfiles`: the application is finished where it stays, as the last steps of `runtime`",
        edit: linear,
        packages: false,
    },
];

/// The stage `staticfiles` in the place of the copy from it.
fn linear(text: &str) -> Option<String> {
    let (head, rest) = text.split_once("# --- staticfiles")?;
    let (stage, rest) = rest.split_once("# --- runtime")?;
    let (_, steps) = stage.split_once("FROM dependencies AS staticfiles\n")?;
    let steps = replaced(steps, "COPY app/ /build/app/\n", "COPY app/ /app/\n")?;
    let steps = replaced(&steps, "    cd /build/app; \\\n", "")?;
    let steps = replaced(&steps, " -s /build ", " ")?;
    let steps = format!("USER 0\n{}\nUSER 1000:1000\n", steps.trim());
    let rest = replaced(rest, "COPY --from=staticfiles /build/app /app\n", &steps)?;
    Some(format!("{head}# --- runtime{rest}"))
}

/// `text` with `to` in the one place where `from` stands.
fn replaced(text: &str, from: &str, to: &str) -> Option<String> {
    (text.matches(from).count() == 1).then(|| text.replace(from, to))
}

/// A variable keeps the layer caches of the shapes apart.
fn apart(text: &str, shape: &str) -> Option<String> {
    let from = "FROM ${BASE_IMAGE} AS base\n";
    replaced(text, from, &format!("{from}ENV SHAPE=\"{shape}\"\n"))
}

/// Where the files of a shape stand: the packages' and the image's.
fn files(shape: &Shape) -> [String; 2] {
    let name = shape.name.replace(' ', "-");
    [format!("docker/Dockerfile.{name}-packages"), format!("docker/Dockerfile.{name}")]
}

fn image(shape: &Shape) -> String {
    format!("localhost/xtask-bench/{}:shape", shape.name.replace(' ', "-"))
}

impl Bench<'_> {
    /// All shapes on one engine: its tables and, the same for each engine, the edits.
    pub(super) fn shapes(&self, lab: &Lab, kind: Kind) -> anyhow::Result<[String; 2]> {
        notice("making the base and the shapes");
        let sides = Sides::new(self, lab, kind)?;
        let edits = self.write_shapes(&sides)?;
        let build = |shape: &Shape| {
            let sample = time(&sides.daemons(), || build(self, &sides, kind, shape))?;
            notice(&format!("{}: {:.2} s", shape.name, sample.wall));
            anyhow::Ok(sample)
        };
        let turns = |what: &str, rounds, first: &dyn Fn(usize) -> anyhow::Result<()>, forget| {
            let mut all = vec![Vec::new(); SHAPES.len()];
            for round in 0..rounds {
                first(round)?;
                for (shape, samples) in SHAPES.iter().zip(&mut all) {
                    notice(&format!("{what}, {} of {rounds}", round + 1));
                    if forget {
                        sides.forget()?;
                    }
                    samples.push(build(shape)?);
                }
            }
            anyhow::Ok(all)
        };
        let nothing = |_| Ok(());
        let cold = turns("cold", self.rounds.cold, &nothing, true)?;
        SHAPES.iter().try_for_each(|shape| build(shape).map(|_| ()))?;
        let again = turns("nothing changed", self.rounds.warm, &nothing, false)?;
        let before = self.saved(&sides, None)?;
        let line = |round| sides.change_line(round);
        let line = turns("one line", self.rounds.warm, &line, false)?;
        let after = self.saved(&sides, Some(&before))?;
        let rounds = self.rounds.warm.min(PACKAGES.len());
        let package = |round: usize| sides.add_dependency(PACKAGES[round]);
        let package = turns("one dependency", rounds, &package, false)?;
        let seconds = |all: &[Vec<Sample>], of: fn(&Sample) -> f64| {
            all.iter().map(|one| table::range(summary(one.iter().map(of)))).collect()
        };
        let (wall, cpu) = (|s: &Sample| s.wall, |s: &Sample| s.cpu);
        let size = before.iter().map(|one| table::megabytes(images::size(one))).collect();
        let push = before.iter().zip(&after);
        let push = push.map(|(before, after)| images::to_push(before, after));
        let rows = [
            ("cold, s", seconds(&cold, wall)),
            ("cold, CPU s", seconds(&cold, cpu)),
            ("nothing changed, s", seconds(&again, wall)),
            ("nothing changed, CPU s", seconds(&again, cpu)),
            ("one line of Python, s", seconds(&line, wall)),
            ("one line of Python, CPU s", seconds(&line, cpu)),
            ("one dependency added, s", seconds(&package, wall)),
            ("one dependency added, CPU s", seconds(&package, cpu)),
            ("size, all layers, MB", size),
            ("to push after one line, MB", push.map(table::megabytes).collect()),
        ];
        let table = table::variants(&SHAPES.map(|shape| shape.name), &rows);
        Ok([format!("### {} {}\n\n{table}\n", kind.title(), sides.version), edits])
    }

    fn saved(
        &self,
        sides: &Sides<'_>,
        before: Option<&[Vec<images::Layer>]>,
    ) -> anyhow::Result<Vec<Vec<images::Layer>>> {
        notice("saving the images");
        let one = |(index, shape): (usize, &Shape)| {
            let which = before.map_or(Which::None, |before| Which::NewTo(&before[index]));
            images::layers(self, sides, &image(shape), which)
        };
        SHAPES.iter().enumerate().map(one).collect()
    }

    /// Writes each shape's files; gives the edits as patches.
    fn write_shapes(&self, sides: &Sides<'_>) -> anyhow::Result<String> {
        let folder = sides.folder(Side::Ours);
        let text = std::fs::read_to_string(folder.join("docker/Dockerfile"));
        let text = text.context("reading docker/Dockerfile")?;
        let mut patches = String::new();
        for shape in &SHAPES {
            let [packages, whole] = files(shape);
            let marked = apart(&text, shape.name).context("making a shape: no FROM of the base")?;
            let edited = (shape.edit)(&marked)
                .with_context(|| format!("making the shape `{}`: no such lines", shape.name))?;
            write_whole(&folder.join(&packages), &marked)?;
            write_whole(&folder.join(&whole), &edited)?;
            let words = ["diff", "--no-index", "--no-color", "--unified=0", "docker/Dockerfile"];
            let words = words.into_iter().chain([whole.as_str()]);
            let mut runner = self.runner.clone();
            runner.folder.clone_from(&folder);
            let patch = runner.ask(&Invocation::new("git", words), QUESTION)?.stdout;
            let lines = patch.lines().skip_while(|line| !line.starts_with("@@"));
            let lines = shortened(&lines.collect::<Vec<_>>());
            patches += &format!("\n**{}**: {}.\n\n```diff\n{lines}```\n", shape.name, shape.what);
        }
        Ok(patches)
    }
}

/// A patch whose long runs of removed lines show only where they begin and end.
fn shortened(patch: &[&str]) -> String {
    let removed = |line: &&str| line.starts_with('-');
    let mut text = String::new();
    for run in patch.chunk_by(|one, next| removed(one) == removed(next)) {
        let (shown, more) = match run {
            [first, .., last] if run.len() > 8 && removed(first) => {
                (format!("{first}\n"), format!("-… {} lines more …\n{last}\n", run.len() - 2))
            }
            _ => (run.iter().map(|line| format!("{line}\n")).collect(), String::new()),
        };
        text += &(shown + &more);
    }
    text
}

/// Builds a shape with the engine alone.
fn build(bench: &Bench<'_>, sides: &Sides<'_>, kind: Kind, shape: &Shape) -> anyhow::Result<()> {
    let base = format!("BASE_IMAGE={}", sides.base);
    let bundle = engine::machine::read(&bench.world.environment).ca_bundle;
    let secret = bundle.map(|bundle| format!("id=ca,src={}", bundle.display()));
    let [packages, whole] = files(shape);
    let one = |file: &str, name: &str, target: &str| {
        let mut words = vec!["build", "--file", file, "--target", target, "--build-arg", &base];
        if kind == Kind::Podman {
            words.extend(["--format=docker", "--pull=never", "--jobs=4"]);
        }
        if let Some(secret) = &secret {
            words.extend(["--secret", secret]);
        }
        words.extend(["--tag", name, "."]);
        sides.engine_in(Side::Ours, &words).map(|_| ())
    };
    if shape.packages {
        one(&packages, PACKAGES_IMAGE, "dependencies")?;
    }
    one(&whole, &image(shape), "runtime")
}

/// The section of the report: its head, the tables of the engines, the edits.
pub fn section(quick: bool, warm: usize, cold: usize, tables: &str, edits: &str) -> String {
    let quick = if quick { " --quick" } else { "" };
    format!(
        "\n{HEAD}\n\nWritten by `cargo xtask bench{quick} --only shapes` on {}: this repository's \
         Dockerfile in {} shapes, each built with the engine alone, in turns. Medians of {warm} rounds \
         ({cold} where nothing is cached). Load averages at the end {}.\n\n{tables}\
         The edits; the variable keeps the layer caches apart.\n{edits}",
        report::now(),
        SHAPES.len(),
        report::load(),
    )
}

/// The first line of the section.
pub const HEAD: &str = "## Shapes of the Dockerfile";

/// The section with this first line that an older report has, which other rows leave as it was.
pub fn kept<'o>(old: &'o str, head: &str) -> &'o str {
    let Some(start) = old.find(&format!("\n{head}\n")) else { return "" };
    let after = start + 1 + head.len();
    let end = old[after..].find("\n## ").map_or(old.len(), |end| after + end);
    &old[start..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::dockerfile;

    #[test]
    fn each_shape_can_be_made_of_the_dockerfile() {
        let text = include_str!("../../../../docker/Dockerfile");
        for shape in &SHAPES {
            let marked = apart(text, shape.name).unwrap();
            let edited = (shape.edit)(&marked).unwrap_or_else(|| panic!("{}", shape.name));
            let stages = dockerfile::stages(&dockerfile::instructions(&edited));
            assert!(stages.contains(&"runtime".to_owned()), "{}", shape.name);
            assert_eq!(stages.contains(&"staticfiles".to_owned()), shape.name != "linear");
            assert_eq!(stages.contains(&"base".to_owned()), !shape.packages);
        }
    }

    #[test]
    fn what_a_patch_removes_is_shown_by_its_ends() {
        let patch: Vec<String> = (1..=9).map(|number| format!("-{number}")).collect();
        let patch: Vec<&str> = ["@@"].into_iter().chain(patch.iter().map(String::as_str)).collect();
        assert_eq!(shortened(&patch), "@@\n-1\n-… 7 lines more …\n-9\n");
        assert_eq!(shortened(&["@@", "-1", "-2", "+3"]), "@@\n-1\n-2\n+3\n");
    }

    #[test]
    fn the_section_of_an_older_report_is_kept() {
        let section = format!("\n{HEAD}\n\ntext\n### Podman\n");
        let old = format!("# a\n\n## b\n{section}\n## c\n");
        assert_eq!(kept(&old, HEAD), section);
        assert_eq!(kept(&format!("# a\n{section}"), HEAD), section);
        assert_eq!(kept("# a\n", HEAD), "");
    }
}
