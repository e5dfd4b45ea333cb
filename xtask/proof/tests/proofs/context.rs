//! Proof that `context` and the engines agree: `FROM scratch` and `COPY . /` over small
//! trees with many ignore files, hand-written ones and random ones, on a real engine.
//!
//! `XTASK_TEST_ENGINE=podman` or `docker` turns it on; the engine is the first of that name on
//! PATH, `DOCKER_HOST` and the like are its own. `XTASK_TEST_CASES` (60) is the number of random
//! files, `XTASK_TEST_SEED` (1) their seed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use source::context::{copied_by, files};
use source::ignore::{Ignore, IgnoreRule};

/// The tree that every case copies: names that patterns of [`random_file`] meet at several depths.
const TREE: &[&str] = &[
    "a",
    "ab",
    "a.py",
    "b/a",
    "b/ab",
    "b/a.py",
    "b/keys/a",
    "b/keys/b.py",
    "b/b/keys/a",
    "b/b/b/a",
    "b/b/b/keys/ab",
    "keys/a",
    "keys/keys/a.py",
    "keys/b/a",
    "x/a/b/a",
    "x/a/b/keys/a.py",
    "x/.env",
    "x/a/.env",
    ".env",
    "x+y",
    "x y/a",
    "[a]",
    "ä/a",
];

/// Files that were once in doubt; what each says stands in the measurements of the ignore module.
const HAND_WRITTEN: &[&str] = &[
    "",
    "# nothing\n",
    "\u{feff}a\n",
    "a\r\nb/a\r\n",
    " a \n\tab\t\n",
    "/b\n",
    "b/\n",
    "./b//a\n",
    "b/../a\n",
    "x\\+y\n",
    "\\[a]\n",
    "[a]\n",
    "[x-z]\n",
    "x y\n",
    "ä\n",
    "?\n",
    "*\n",
    "**\n",
    "*/*\n",
    "**/*\n",
    "*/**\n",
    "b/**\n",
    "**/a\n",
    "**/keys\n",
    "**/keys/\n",
    "**/keys/**\n",
    "**/b/**/a\n",
    "**/.env*\n",
    "*\n!b\n",
    "*\n!/b/\n",
    "*\n!b/*.py\n",
    "*\n!b/**\n",
    "*\n!b/keys/a\nb/keys\n",
    "*\n!*\n",
    "*\n!**\n",
    "b/*\n!b/a\n",
    "**\n!b/a\n",
    "**/*\n!b/keys/a\n",
    "*\n!b\n**/keys\n",
    "*\n!b\n**/keys\n!b/b/keys/a\n",
    "*\n!b\n**/keys\n!b/keys/a\n",
    "*\n!b/a\nb\n",
    "b/a\n!b\n",
    "!b\nb/a\n!b\n",
    "*\n!b\n!x/a\n**/a.py\n**/.env\n",
];

/// SplitMix64: the same numbers everywhere, without a dependency.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// A file of one to six patterns; half of them start with `*`, as an allow-list does.
fn random_file(random: &mut Random) -> String {
    let names = ["a", "b", "ab", "x", "keys", "a.py", ".env"];
    let globs = ["*", "**", "?", "*.py", "a*", "[a-b]", "[.x]*", "k?ys", "*b", ".*", "*a*"];
    let mut text = String::new();
    if random.below(2) == 0 {
        text.push_str("*\n");
    }
    for _ in 0..=random.below(5) {
        let put_back = random.below(5) < 2;
        text.push_str(if put_back { "!" } else { "" });
        text.push_str(random.pick(&["", "", "", "/", "./", "**/"]));
        let depth = 1 + random.below(4);
        for n in 0..depth {
            let last = n + 1 == depth;
            let plain = random.below(10) < if put_back && !last { 10 } else { 6 };
            text.push_str(random.pick(if plain { &names } else { &globs }));
            text.push_str(if last { random.pick(&["", "", "", "/"]) } else { "/" });
        }
        text.push('\n');
    }
    text
}

/// The paths that `engine` does copy from `root/context`.
fn copied(engine: &str, root: &Path) -> BTreeSet<String> {
    let (output, dockerfile) = (root.join("output"), root.join("Dockerfile"));
    let _ = fs::remove_dir_all(&output);
    let run = Command::new(engine)
        .arg("build")
        .arg("-q")
        .arg("-f")
        .arg(&dockerfile)
        .arg(format!("--output=type=local,dest={}", output.display()))
        .arg(root.join("context"))
        .env("DOCKER_BUILDKIT", "1")
        .output()
        .unwrap_or_else(|error| panic!("{engine}: {error}"));
    assert!(run.status.success(), "{engine}: {}", String::from_utf8_lossy(&run.stderr));
    let everything = Ignore::default();
    if output.is_dir() {
        copied_by(IgnoreRule::Below, &output, &everything).unwrap()
    } else {
        BTreeSet::new()
    }
}

/// The rule that a Docker follows, by its own word on its version.
fn rule(engine: &str) -> IgnoreRule {
    let run = Command::new(engine)
        .args(["version", "--format", "{{.Server.Version}}"])
        .output()
        .unwrap_or_else(|error| panic!("{engine}: {error}"));
    let version = String::from_utf8_lossy(&run.stdout).trim().to_owned();
    let major: u32 = version
        .split('.')
        .next()
        .and_then(|major| major.parse().ok())
        .unwrap_or_else(|| panic!("{engine}: no server version in {version:?}"));
    if major < 23 { IgnoreRule::SameDepth } else { IgnoreRule::Inherited }
}

/// The first program of the engine's name on PATH that can build: Docker's client from 23 on needs
/// its plugin for BuildKit.
fn program(engine: &str) -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    let good = |program: &str, words: &[&str]| {
        Command::new(program).args(words).output().is_ok_and(|run| run.status.success())
    };
    let builds = |program: &String| {
        let plugin = || good(program, &["buildx", "version"]);
        let older = || {
            let run = Command::new(program).arg("--version").output();
            let text = run.map(|run| String::from_utf8_lossy(&run.stdout).into_owned());
            let text = text.unwrap_or_default();
            let version = text.split_whitespace().nth(2).and_then(engine::EngineVersion::parse);
            version.is_some_and(|version| version < engine::EngineVersion(23, 0, 0))
        };
        engine == "podman" || plugin() || older()
    };
    let all = engine::find::on_path(&path, engine);
    let mut programs = all.iter().map(|file| file.display().to_string());
    programs.find(builds).unwrap_or_else(|| panic!("no {engine} on PATH can build"))
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().map_or(default, |text| text.parse().expect(variable))
}

#[test]
fn the_engine_copies_what_we_list() {
    let engine = std::env::var("XTASK_TEST_ENGINE").expect("XTASK_TEST_ENGINE");
    let program = program(&engine);
    let rule = if engine == "podman" { IgnoreRule::Below } else { rule(&program) };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let context = root.join("context");
    for path in TREE {
        let path = context.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }
    std::os::unix::fs::symlink("b", context.join("link")).unwrap();
    fs::write(root.join("Dockerfile"), "FROM scratch\nCOPY . /\n").unwrap();

    let mut random = Random(number("XTASK_TEST_SEED", 1));
    let cases = number("XTASK_TEST_CASES", 60) as usize;
    let random_files = std::iter::from_fn(|| Some(random_file(&mut random)));
    // A refused file proves nothing here: `ignore/tests.rs` holds what is refused.
    let random_files = random_files.filter(|text| Ignore::parse(text).is_ok()).take(cases);
    let hand_written = HAND_WRITTEN.iter().map(|&text| text.to_owned());

    let (mut run, mut unlike) = (0, Vec::new());
    let mut disagreed = 0;
    for text in hand_written.chain(random_files) {
        fs::write(context.join(".dockerignore"), &text).unwrap();
        let ignore = Ignore::parse(&text).unwrap();
        let (ours, theirs) = (copied_by(rule, &context, &ignore).unwrap(), copied(&program, root));
        run += 1;
        disagreed += usize::from(files(&context, &ignore).is_err());
        if ours != theirs {
            let only = |a: &BTreeSet<_>, b: &BTreeSet<_>| format!("{:?}", a.difference(b));
            unlike.push(format!(
                "{text:?}\n  only ours: {}\n  only theirs: {}",
                only(&ours, &theirs),
                only(&theirs, &ours)
            ));
        }
    }
    eprintln!("{engine}: {run} ignore files, {disagreed} refused for other engines");
    assert!(unlike.is_empty(), "{} of {run} differ:\n{}", unlike.len(), unlike.join("\n"));
}
