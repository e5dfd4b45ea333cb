//! Follows a step while it runs: shows its lines, and notes how long each test and how much work it
//! was.

use super::report::Work;
use crate::measure;
use engine::leftovers::{self, Running};
use process::notice::notice;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a step is looked at: the precision of a test's time.
const PAUSE: Duration = Duration::from_millis(100);
/// At every how many looks all processes are read, which takes milliseconds: once a second. The
/// step's own process, whose times have those of its ended children, is read at each.
const COUNTED: u32 = 10;

/// How lines begin that say what a pass doesn't show: those that a test prints past libtest, and
/// pytest's.
const TOLD: [&str; 3] = ["not run: ", "second try: ", "SKIPPED "];

/// One step, from before it is started until after it has ended.
pub(super) struct Watched {
    group: &'static str,
    quiet: bool,
    /// Whether the next line is the step's own.
    title: AtomicBool,
    log: PathBuf,
    /// Where its part of the log begins.
    from: u64,
    id: AtomicU32,
    over: AtomicBool,
    /// Its processes, as they were last seen.
    family: Mutex<Vec<Running>>,
}

impl Watched {
    /// A step whose output will be appended to `log`.
    pub fn new(group: &'static str, log: &Path, quiet: bool) -> Watched {
        let from = log.metadata().map_or(0, |log| log.len());
        let (id, over) = (AtomicU32::new(0), AtomicBool::new(false));
        let (title, family) = (AtomicBool::new(true), Mutex::default());
        Watched { group, quiet, title, log: log.to_owned(), from, id, over, family }
    }

    /// It runs as the process `id`.
    pub fn started(&self, id: u32) {
        self.id.store(id, Ordering::Relaxed);
    }

    pub fn ended(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Ends what it started and what a signal to it alone has left.
    pub fn end_all(&self) {
        let family = self.family.lock().unwrap_or_else(PoisonError::into_inner);
        family.iter().for_each(|process| leftovers::end(process, Duration::from_secs(10)));
    }

    /// Shows its lines until it has ended, and adds to `work` what it was. False if tests were
    /// started and none ran.
    pub fn until_ended(&self, work: &Mutex<Work>) -> bool {
        let (mut reader, mut line, mut cpu, mut looks) = (None, String::new(), 0.0_f64, 0);
        let mut tests = Tests::default();
        loop {
            // Before the last look, so that no line is missed.
            let over = self.over.load(Ordering::Relaxed);
            if reader.is_none() {
                reader = self.open();
            }
            while reader.as_mut().is_some_and(|r| r.read_line(&mut line).is_ok_and(|n| n > 0)) {
                if !line.ends_with('\n') && !over {
                    break;
                }
                self.show(&line);
                tests.line(line.trim_end(), Instant::now());
                line.clear();
            }
            let id = self.id.load(Ordering::Relaxed);
            if id != 0 {
                cpu = cpu.max(measure::alone(id));
            }
            if id != 0 && looks % COUNTED == 0 {
                let (seconds, family) = measure::family(id);
                cpu = cpu.max(seconds);
                let family = family.into_iter().map(leftovers::running).collect();
                *self.family.lock().unwrap_or_else(PoisonError::into_inner) = family;
            }
            looks += 1;
            if over {
                // What a test that hung or was killed has begun.
                self.show(&line);
                break;
            }
            std::thread::sleep(PAUSE);
        }
        let mut work = work.lock().unwrap_or_else(PoisonError::into_inner);
        work.cpu += cpu;
        work.tests.append(&mut tests.done);
        work.told.append(&mut tests.told);
        tests.ran != Some(0)
    }

    /// Shows a line; the step's own stands there already, as it was started.
    fn show(&self, line: &str) {
        let own = self.title.swap(false, Ordering::Relaxed) && line.starts_with("$ ");
        if !own && !self.quiet && !line.is_empty() {
            notice(&format!("{} | {}", self.group, line.trim_end()));
        }
    }

    fn open(&self) -> Option<BufReader<File>> {
        let mut file = File::open(&self.log).ok()?;
        file.seek(SeekFrom::Start(self.from)).ok()?;
        Some(BufReader::new(file))
    }
}

/// The times of tests that run one after another, by when libtest says that each has ended.
#[derive(Default)]
struct Tests {
    since: Option<Instant>,
    /// The one that prints: its end is on a separate line.
    printing: Option<String>,
    done: Vec<(String, Duration)>,
    /// How many there were, once libtest has counted.
    ran: Option<u64>,
    told: Vec<String>,
}

impl Tests {
    fn line(&mut self, line: &str, now: Instant) {
        if TOLD.iter().any(|start| line.starts_with(start)) {
            self.told.push(line.to_owned());
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let ended = match words.as_slice() {
            ["running", _, "test" | "tests"] => {
                self.since = Some(now);
                None
            }
            ["test", "result:", _, passed, "passed;", failed, "failed;", ignored, ..] => {
                let count = |word: &str| word.parse().unwrap_or(0_u64);
                self.ran = Some(self.ran.unwrap_or(0) + count(passed) + count(failed));
                let ignored = count(ignored);
                self.told
                    .extend((ignored > 0).then(|| format!("not run: {ignored} ignored tests")));
                None
            }
            ["test", name, "...", "ok" | "FAILED" | "ignored"] => Some((*name).to_owned()),
            ["test", name, "...", ..] => {
                self.printing = Some((*name).to_owned());
                None
            }
            ["ok" | "FAILED"] => self.printing.take(),
            _ => None,
        };
        if let (Some(name), Some(since)) = (ended, self.since) {
            self.done.push((name, now.duration_since(since)));
            self.since = Some(now);
        }
    }
}

/// Seconds that the processors of this machine were busy since it started (proc(5), `/proc/stat`).
pub(super) fn busy() -> f64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    measure::seconds(busy_ticks(&text))
}

/// All but idle and waiting for disks.
fn busy_ticks(stat: &str) -> u64 {
    let fields = stat.lines().next().unwrap_or_default().split_whitespace().skip(1).take(8);
    let numbers = fields.map(|field| field.parse::<u64>().unwrap_or_default());
    numbers.enumerate().filter(|(index, _)| !matches!(index, 3 | 4)).map(|(_, ticks)| ticks).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_timed_one_after_another() {
        let mut tests = Tests::default();
        let start = Instant::now();
        let lines = [
            "test before ... ok",
            "running 3 tests",
            "test a::b ... ok",
            "noise",
            "test c ... FAILED",
            "test prints ... one",
            "two",
            "ok",
            "test part ... ",
            "not run: no root (a.rs:7)",
            "ok",
            "test result: ok. 3 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out",
            "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out",
        ];
        for (second, line) in lines.iter().enumerate() {
            tests.line(line, start + Duration::from_secs(second as u64));
        }
        let expected = [("a::b", 1), ("c", 2), ("prints", 3), ("part", 3)];
        let expected = expected.map(|(name, s)| (name.to_owned(), Duration::from_secs(s)));
        assert_eq!(tests.done, expected);
        assert_eq!(tests.ran, Some(4));
        assert_eq!(tests.told, ["not run: no root (a.rs:7)", "not run: 2 ignored tests"]);
    }

    #[test]
    fn a_step_whose_filter_finds_no_test_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let check = |text: &str, expected: bool| {
            std::fs::write(&log, "").unwrap();
            let watched = Watched::new("g", &log, true);
            std::fs::write(&log, text).unwrap();
            watched.ended();
            assert_eq!(watched.until_ended(&Mutex::default()), expected, "{text}");
        };
        let result =
            |count: u32| format!("test result: ok. {count} passed; 0 failed; 0 ignored;\n");
        check("a linter that finds nothing\n", true);
        check(&result(0), false);
        check(&(result(0) + &result(0)), false);
        check(&(result(0) + &result(1)), true);
    }

    #[test]
    fn a_step_is_shown_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        std::fs::write(&log, "running 1 test\n").unwrap();
        let watched = Watched::new("g", &log, true);
        let work = Mutex::new(Work::default());
        std::fs::write(&log, "running 1 test\nrunning 1 test\ntest x ... ok\n").unwrap();
        // Work of at least one tick, the unit that it is counted in.
        while measure::alone(std::process::id()) == 0.0 {
            std::hint::black_box((0..100_000_u64).sum::<u64>());
        }
        watched.started(std::process::id());
        watched.ended();
        watched.until_ended(&work);
        let work = work.into_inner().unwrap();
        assert_eq!(work.tests.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["x"]);
        assert!(work.cpu > 0.0);
    }

    #[test]
    fn idle_is_not_busy() {
        assert_eq!(
            busy_ticks("cpu  1 2 4 1000 2000 8 16 32 64 0\ncpu0 1"),
            1 + 2 + 4 + 8 + 16 + 32
        );
    }
}
