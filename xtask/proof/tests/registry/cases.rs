//! One case: a fault, how the push must end, and what must be true afterwards.

use super::place::{Place, Registry, canary};
use super::proxy::{Fault, Kind, Rule, Who};
use super::workshop::{Workshop, holds_secret, timed};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What a case shares with the others.
pub struct Stage {
    pub place: Place,
    pub workshop: Workshop,
    pub registry: Registry,
}

impl Stage {
    pub fn new() -> Stage {
        let place = Place::new();
        let registry = Registry::start(&place, "shared");
        Stage { place, workshop: Workshop::new(), registry }
    }
}

/// A fault and what must come of it.
pub struct Case {
    /// What goes wrong, for the table.
    pub name: String,
    pub rules: Vec<Rule>,
    /// The exit codes that are right.
    pub exits: Vec<i32>,
    /// Seconds that the push may take, on a machine that has much else to do.
    pub within: u64,
    /// `--timeout` of the push that is broken.
    pub timeout: u64,
    /// The most times that the engine may push.
    pub pushes: usize,
    /// Whether the registry asks for tokens.
    pub tokens: bool,
    /// The registry dies at a request that the rules would hit, and comes back for the rerun.
    pub dies: bool,
}

/// How a case ended.
pub struct Outcome {
    pub name: String,
    pub code: Option<i32>,
    pub time: Duration,
    pub requests: usize,
    /// What isn't as it must be.
    pub wrong: Vec<String>,
}

/// A rule for everything that the fault can hit.
pub fn rule(who: Who, kind: Kind, times: usize, fault: Fault) -> Rule {
    Rule { who, kind, path: "", skip: 0, times, fault }
}

pub const ALWAYS: usize = usize::MAX;

impl Case {
    pub fn new(name: impl Into<String>, rules: Vec<Rule>, exits: &[i32]) -> Case {
        Case {
            name: name.into(),
            rules,
            exits: exits.to_vec(),
            within: 180,
            timeout: 30,
            pushes: 5,
            tokens: false,
            dies: false,
        }
    }

    pub fn run(self, stage: &Stage, number: usize) -> Outcome {
        let Stage { place, workshop, registry: shared } = stage;
        let own = self.dies.then(|| Arc::new(Registry::start(place, &format!("own{number}"))));
        let registry = own.as_deref().unwrap_or(shared);
        let proxy = registry.proxy(place, self.tokens);
        let home = place.home(&proxy.address, Some(canary()));
        let repository = format!("team/case{number}");
        let target = format!("{}/{repository}", proxy.address);
        let push = |image: usize, tags: &[&str]| {
            let mut words = vec!["push", &workshop.images[image], "--registry", &target];
            words.extend(["--format", "json"]);
            words.extend(tags.iter().flat_map(|tag| ["--tag", tag]));
            workshop.command(home.path(), &words)
        };
        let mut wrong = Vec::new();
        let mut need = |right: bool, what: String| {
            if !right {
                wrong.push(what);
            }
        };
        // What was there before.
        let (before, _) = timed(push(0, &["1.0.0", "latest"]));
        need(before.code == Some(0), format!("before: {}", before.err));
        let old = registry.digest(&repository, "1.0.0");
        proxy.asked();

        proxy.rules(match own.clone() {
            None => self.rules,
            Some(own) => {
                let die = move || own.die();
                let fault = Fault::Before(Arc::new(die));
                let dying = |rule: Rule| Rule { fault: fault.clone(), ..rule };
                self.rules.into_iter().map(dying).collect()
            }
        });
        let new = ["2.0.0", "2.0", "latest"];
        let mut command = push(1, &new);
        command.args(["--timeout", &self.timeout.to_string()]);
        let (pushed, time) = timed(command);
        let requests = proxy.asked().len();
        proxy.rules(Vec::new());
        registry.again();
        let code = pushed.code.unwrap_or(-1);
        need(
            self.exits.contains(&code),
            format!("exit {code}, not {:?}: {}", self.exits, pushed.err),
        );
        need(time.as_secs() < self.within, format!("{} s", time.as_secs()));
        let pushes = pushed.err.lines().filter(|line| line.starts_with("$ ")).count();
        need(pushes <= self.pushes, format!("{pushes} pushes: {}", pushed.err));
        need(code == 0 || pushed.err.contains("\nerror: "), "no error was said".to_owned());
        need(registry.digest(&repository, "1.0.0") == old, "an old tag has changed".to_owned());
        need(pulls(workshop, home.path(), &target, "1.0.0"), "an old tag doesn't pull".to_owned());
        let latest = registry.digest(&repository, "latest");
        let moved = latest != old;
        if moved {
            need(pulls(workshop, home.path(), &target, "latest"), "latest doesn't pull".to_owned());
        }

        let (rerun, _) = timed(push(1, &new));
        need(rerun.code == Some(0), format!("the rerun: {}", rerun.err));
        let digests = new.map(|tag| registry.digest(&repository, tag));
        let same = digests.iter().all(|digest| digest.is_some() && *digest == digests[0]);
        need(same && digests[0] != old, format!("after the rerun: {digests:?}"));
        if !moved {
            need(pulls(workshop, home.path(), &target, "latest"), "it doesn't pull".to_owned());
        }
        let reported = digests[0].as_ref().is_some_and(|digest| rerun.out.contains(digest));
        need(reported, format!("the report names no digest: {}", rerun.out));
        for ended in [&before, &pushed, &rerun] {
            let secret = holds_secret(&ended.out) || holds_secret(&ended.err);
            need(!secret, "a stream holds the password".to_owned());
        }
        Outcome { name: self.name, code: pushed.code, time, requests, wrong }
    }
}

/// Whether the engine gets what the tag names.
pub fn pulls(workshop: &Workshop, home: &Path, target: &str, tag: &str) -> bool {
    workshop.engine(&["pull", "--quiet", &format!("{target}:{tag}")], Some(home)).code == Some(0)
}

/// Runs the cases `side_by_side` at a time, prints the table, and fails with what is wrong.
pub fn check(stage: &Stage, cases: Vec<Case>, side_by_side: usize) {
    let count = cases.len();
    let queue = std::sync::Mutex::new(cases.into_iter().enumerate());
    let next = || queue.lock().unwrap().next();
    let mut outcomes: Vec<(usize, Outcome)> = std::thread::scope(|scope| {
        let work = || {
            let mut done = Vec::new();
            while let Some((number, case)) = next() {
                done.push((number, case.run(stage, number)));
            }
            done
        };
        let workers: Vec<_> = (0..side_by_side).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    outcomes.sort_by_key(|(number, _)| *number);
    println!("| fault | exit | seconds | requests | old tags, rerun, secrets |");
    println!("|---|---:|---:|---:|---|");
    for (_, outcome) in &outcomes {
        let Outcome { name, code, time, requests, wrong } = outcome;
        let code = code.map_or("signal".to_owned(), |code| code.to_string());
        let state = if wrong.is_empty() { "good" } else { "WRONG" };
        println!("| {name} | {code} | {:.1} | {requests} | {state} |", time.as_secs_f64());
    }
    let wrong: Vec<String> = outcomes
        .iter()
        .flat_map(|(_, outcome)| {
            outcome.wrong.iter().map(|what| format!("{}: {what}", outcome.name))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert_eq!(outcomes.len(), count);
}
