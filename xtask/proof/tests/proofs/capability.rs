//! Proof that the table is true of the engine under test: each row that a small Dockerfile can show
//! is tried on it, and compared with what the table says of its version.
//!
//! `XTASK_TEST_ENGINE=podman` or `docker` turns it on. It needs an image of Python in the store,
//! which every build of ours leaves there.

use engine::capability::{Capability, all, known};
use engine::locate::Search;
use engine::machine;
use engine::{Engine, EngineKind, words};
use process::environment::Environment;
use process::form::Form;
use process::run::{Answer, QUESTION, Runner};
use process::state::State;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// What one row's trial does; whether the engine has it.
type Trial = fn(&Engines) -> bool;

/// The rows that a Dockerfile can show without a registry.
const TRIALS: [(Capability, Trial); 25] = [
    (Capability::FormatOption, |e| e.good(&["--format=docker"], EMPTY)),
    (Capability::PullNever, |e| e.good(&["--pull=never"], EMPTY)),
    (Capability::SquashOwn, |e| {
        let (answer, image) = e.build(&["--squash"], "FROM BASE\nCOPY a /\nCOPY b /\n");
        answer.good() && e.layers(&image) == e.layers(&e.base) + 1
    }),
    (Capability::FixedTime, |e| e.good(&["--timestamp=1"], EMPTY)),
    (Capability::TagsAtOnce, |e| {
        let image = e.image(&[], EMPTY);
        e.call(&["tag", &image, "xtask-proof:a", "xtask-proof:b"]).good()
    }),
    (Capability::ExactHistory, |e| {
        let image = e.image(&[], EMPTY);
        let sizes = e.call(&["history", "--human=false", "--format={{.Size}}", &image]);
        // The one file has five bytes; its archive has whole blocks of 512 (tar(5)).
        sizes.good() && !sizes.stdout.starts_with('5')
    }),
    (Capability::LabelsAnyStage, |e| {
        let file = "FROM scratch AS one\nCOPY a /\nFROM scratch AS two\nCOPY b /\n";
        e.image(&["--target=one"], file);
        let image = e.image(&["--target=one", "--label=proof=$PATH"], file);
        e.label(&image) == "$PATH"
    }),
    (Capability::ProxiesPassed, |e| e.step("", "test -n \"$HTTPS_PROXY\"")),
    (Capability::ShellKept, |e| {
        let file =
            "FROM BASE\nSHELL [\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"]\nRUN false | true\n";
        !e.build(&[], file).0.good()
    }),
    (Capability::SyntaxLine, |e| {
        e.good(&[], "# syntax=127.0.0.1:9/none:1\nFROM scratch\nCOPY a /\n")
    }),
    (Capability::HereDocuments, |e| e.good(&[], "FROM scratch\nCOPY <<END /x\nhello\nEND\n")),
    (Capability::MountFromStage, |e| {
        let file = |stage: &str, word: &str| {
            format!(
                "FROM BASE AS one\nRUN echo {stage} >/x\nFROM BASE\nRUN --mount=type=bind,from=one,target=/m cp /m/x /y && test -s /y && echo {word}\n"
            )
        };
        // A cached stage must be there for a new step, and a new stage for a cached step.
        let right = |turn: &str| {
            let two = format!("{turn}-two");
            let built = e.good(&[], &file("first", turn)) && e.good(&[], &file("first", &two));
            built && e.image(&[], &file("second", &two)) != e.image(&[], &file("first", &two))
        };
        // Stale once is stale: Podman 5.4.2 is right now and then.
        ["one", "three", "four"].iter().all(|turn| right(turn))
    }),
    (Capability::BindMountFresh, |e| {
        let file = "FROM BASE\nRUN --mount=type=bind,source=fresh,target=/m cp /m /x\n";
        e.write("fresh", "one");
        let first = e.image(&[], file);
        e.write("fresh", "two");
        e.image(&[], file) != first
    }),
    (Capability::BindMountApart, |e| {
        let built = e.step("--mount=type=bind,target=/m,rw", "touch /m/apart");
        built && !e.path("apart").exists()
    }),
    (Capability::LabelFollowsArgument, |e| {
        let file = "FROM scratch\nARG VALUE\nCOPY a /\nLABEL proof=$VALUE\n";
        let label = |value: &str| e.label(&e.image(&["--build-arg", value], file));
        label("VALUE=1") == "1" && label("VALUE=2") == "2"
    }),
    (Capability::CopyLink, |e| e.good(&[], "FROM scratch\nCOPY --link a /\n")),
    (Capability::CopyExclude, |e| {
        // The pattern is meant from the folder that is copied.
        e.write("folder/a", "yes");
        e.write("folder/not.md", "no");
        let test = "RUN test -e /m/a && test ! -e /m/not.md";
        e.good(&[], &format!("FROM BASE\nCOPY --exclude=*.md folder /m/\n{test}\n"))
    }),
    (Capability::CopyParents, |e| e.good(&[], "FROM scratch\nCOPY --parents a /\n")),
    // No server has the file: an engine that knows the option tries to fetch it.
    (Capability::AddChecksum, |e| {
        let zeros = "0".repeat(64);
        let file = format!("FROM scratch\nADD --checksum=sha256:{zeros} http://127.0.0.1:9/x /x\n");
        let (answer, _) = e.build(&[], &file);
        let said = answer.stderr + &answer.stdout;
        !["nknown flag", "ADD only supports"].iter().any(|refusal| said.contains(refusal))
    }),
    (Capability::RunNetwork, |e| e.step("--network=none", "true")),
    (Capability::StartInterval, |e| {
        e.good(&[], "FROM scratch\nCOPY a /\nHEALTHCHECK --start-interval=1s CMD [\"/a\"]\n")
    }),
    (Capability::PrivateCache, |e| e.step("--mount=type=cache,target=/c,sharing=private", "true")),
    (Capability::MountForOthers, |e| {
        e.good(&[], "FROM BASE\nUSER 1000\nRUN --mount=type=cache,target=/c touch /c/x\n")
    }),
    (Capability::SecretInVariable, |e| {
        let file = "FROM BASE\nRUN --mount=type=secret,id=proof,env=PROOF test -n \"$PROOF\"\n";
        e.good(&["--secret=id=proof,src=a"], file)
    }),
    (Capability::TmpfsSize, |e| e.step("--mount=type=tmpfs,target=/t,size=1048576", "true")),
];

/// The rows that need a registry, are our own decision, or show in a container that runs.
const NOT_TRIED: [Capability; 3] =
    [Capability::SeveralPlatforms, Capability::ShortNames, Capability::TmpfsMode];

const EMPTY: &str = "FROM scratch\nCOPY a /\n";

/// The engine under test and a build context for it.
struct Engines {
    engine: Engine,
    runner: Runner,
    /// What the steps run in.
    base: String,
    folder: TempDir,
}

impl Engines {
    fn under_test(kind: EngineKind) -> Engines {
        let folder = tempfile::tempdir().unwrap();
        let environment = Environment::read();
        let runner = Runner {
            folder: folder.path().to_owned(),
            progress: false,
            verbose: false,
            form: Form::Plain,
            signal: Arc::default(),
        };
        let state = State::of(folder.path());
        let machine = machine::read(&environment);
        let search = Search {
            environment: &environment,
            machine: &machine,
            runner: &runner,
            state: &state,
            asked: Some((kind, "the test")),
            patience: Duration::ZERO,
        };
        let engine = search.engine().and_then(|found| found).unwrap_or_else(|error| {
            panic!("{}", process::failure::shown(&error).1.join("\n"));
        });
        let mut found = Engines { engine, runner, base: String::new(), folder };
        let images = found.call(&["images", "--format={{.Repository}}:{{.Tag}}"]).stdout;
        let python = images.lines().find(|image| image.contains("/python:3"));
        python
            .expect("an image of Python in the store: build one first")
            .clone_into(&mut found.base);
        found.write("context/a", "five\n");
        found.write("context/b", "five\n");
        found
    }

    fn call(&self, words: &[&str]) -> Answer {
        self.runner.ask(&words::call(&self.engine, words.iter().copied()), QUESTION).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("context").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join("context").join(name.trim_start_matches("context/"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Builds; the answer and the image ID.
    fn build(&self, words: &[&str], dockerfile: &str) -> (Answer, String) {
        let (file, id) = (self.folder.path().join("Dockerfile"), self.folder.path().join("id"));
        fs::write(&file, dockerfile.replace("BASE", &self.base)).unwrap();
        let _ = fs::remove_file(&id);
        let (file, iidfile) = (file.display().to_string(), id.display().to_string());
        let start = ["build", "--file", &file, "--iidfile", &iidfile];
        let context = self.path("").display().to_string();
        let words = [&start[..], words, &[&context]].concat();
        let call = words::call(&self.engine, words).with_env("HTTPS_PROXY", "http://127.0.0.1:9");
        let runner = Runner { folder: self.path(""), ..self.runner.clone() };
        let answer = runner.ask(&call, QUESTION).unwrap();
        (answer, fs::read_to_string(id).unwrap_or_default().trim().to_owned())
    }

    fn good(&self, words: &[&str], dockerfile: &str) -> bool {
        let (answer, id) = self.build(words, dockerfile);
        answer.good() && !id.is_empty()
    }

    /// Whether a step with `option` succeeds.
    fn step(&self, option: &str, script: &str) -> bool {
        self.good(&[], &format!("FROM BASE\nRUN {option} {script}\n"))
    }

    /// The image of a build that must succeed.
    #[track_caller]
    fn image(&self, words: &[&str], dockerfile: &str) -> String {
        let (answer, id) = self.build(words, dockerfile);
        assert!(answer.good(), "{dockerfile}\n{}", answer.stderr);
        id
    }

    fn layers(&self, image: &str) -> usize {
        let answer = self.call(&["image", "inspect", "--format={{len .RootFS.Layers}}", image]);
        answer.stdout.trim().parse().unwrap()
    }

    fn label(&self, image: &str) -> String {
        let format = "--format={{index .Config.Labels \"proof\"}}";
        self.call(&["image", "inspect", format, image]).stdout.trim().to_owned()
    }
}

#[test]
fn the_engine_can_what_the_table_says() {
    let name = std::env::var("XTASK_TEST_ENGINE").expect("XTASK_TEST_ENGINE");
    let kind = if name == "podman" { EngineKind::Podman } else { EngineKind::Docker };
    let engines = Engines::under_test(kind);
    let engine = &engines.engine;
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for (capability, trial) in TRIALS {
        let found = trial(&engines);
        match known(engine, capability) {
            Some(expected) if expected != found => {
                wrong.push(format!("{capability:?}: the table says {expected}, found {found}"));
            }
            Some(_) => compared += 1,
            None => eprintln!("{capability:?}: nothing in the table, found {found}"),
        }
    }
    eprintln!("{} {}: {compared} rows are as found", kind.title(), engine.version);
    assert!(wrong.is_empty(), "{} {}:\n{}", kind.title(), engine.version, wrong.join("\n"));
}

#[test]
fn every_row_is_tried_or_said_not_to_be() {
    for capability in all() {
        let tried = TRIALS.iter().any(|(tried, _)| *tried == capability);
        assert_ne!(tried, NOT_TRIED.contains(&capability), "{capability:?}");
    }
}
