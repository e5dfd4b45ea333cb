//! Two pushes of different commits at the same time, from two checkouts: whatever the order of
//! their reading, writing and reading again, `latest` ends at the newer.

use super::cases::{Stage, rule};
use super::place::canary;
use super::proxy::{Fault, Gate, Kind, Rule, Who};
use super::workshop::Workshop;
use std::process::Child;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// One of the two: what it stops at, in its order.
pub struct Push {
    pub child: Child,
    /// It has come to a step.
    pub arrived: Vec<Receiver<()>>,
    /// It may go on.
    pub go: Vec<Sender<()>>,
    pub step: usize,
}

/// The steps that are put in order: reading before the decision, writing, reading again.
const STEPS: [(Kind, usize); 3] =
    [(Kind::ManifestRead, 1), (Kind::ManifestPut, 0), (Kind::ManifestRead, 0)];

/// A rule for each step, and the other ends of their gates.
pub fn gates() -> (Vec<Rule>, Vec<Receiver<()>>, Vec<Sender<()>>) {
    let (mut rules, mut arrived, mut go) = (Vec::new(), Vec::new(), Vec::new());
    for (kind, skip) in STEPS {
        let (at, came) = channel();
        let (on, goes) = channel();
        let gate = Gate { arrived: Mutex::new(at), go: Mutex::new(goes) };
        let fault = Fault::Hold(Arc::new(gate));
        // The first reading is that of the survey, before any work.
        rules.push(Rule { path: "/latest", skip, ..rule(Who::Ours, kind, 1, fault) });
        arrived.push(came);
        go.push(on);
    }
    (rules, arrived, go)
}

impl Push {
    /// Waits until it stands at a step, or has ended.
    pub fn settle(&mut self) -> bool {
        let start = Instant::now();
        loop {
            assert!(start.elapsed() < Duration::from_secs(300), "it stands still");
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            let Some(arrived) = self.arrived.get(self.step) else {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            };
            if arrived.recv_timeout(Duration::from_millis(5)).is_ok() {
                return true;
            }
        }
    }

    /// Lets it take its next step, if it still has one, and waits for what comes of it.
    pub fn go(&mut self) {
        if self.go.get(self.step).is_some_and(|go| go.send(()).is_ok()) {
            self.step += 1;
            self.settle();
        }
    }
}

/// All orders of three steps of each.
pub fn orders() -> Vec<Vec<usize>> {
    let mut all = Vec::new();
    for bits in 0..64_u32 {
        if bits.count_ones() == 3 {
            all.push((0..6).map(|index| usize::from(bits & (1 << index) != 0)).collect());
        }
    }
    all
}

#[test]
fn latest_ends_at_the_newer_in_every_order() {
    let stage = Stage::new();
    let Stage { place, workshop, registry } = &stage;
    let other = Workshop::clone_of(workshop);
    // Related by history; and of commits that no checkout knows, so that the versions decide.
    let unknown = ["1.0.0", "2.0.0"]
        .map(|version| workshop.image(&"ab".repeat(20).replace('a', &version[..1]), version, 1000));
    let base = workshop.image(&"0".repeat(40), "0.9.0", 1000);
    let proxies = [registry.proxy(place, false), registry.proxy(place, false)];
    let homes = [0, 1].map(|index: usize| place.home(&proxies[index].address, Some(canary())));
    // A third of them is enough for CI.
    let step = if std::env::var_os("XTASK_TEST_EACH").is_some() { 1 } else { 3 };
    let mut orders_run = 0;
    for (name, images) in [("history", &workshop.images), ("versions", &unknown)] {
        let repository = format!("team/{name}");
        let targets = [0, 1].map(|index: usize| format!("{}/{repository}", proxies[index].address));
        let push = |who: usize, image: &str, more: &[&str]| {
            let words = [&["push", image, "--registry", &targets[who], "--quiet"], more].concat();
            let workshop = if who == 0 { workshop } else { &other };
            workshop.command(homes[who].path(), &words)
        };
        // Both images are there: what is left to do is `latest`.
        let all = [(0, &base, "0.9.0"), (0, &images[0], "1.0.0"), (1, &images[1], "2.0.0")];
        for (who, image, version) in all {
            let output = push(who, image, &["--tag", version]).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let newer = registry.digest(&repository, "2.0.0");
        for order in orders().into_iter().step_by(step) {
            registry.copy(&repository, "0.9.0", "latest");
            assert_ne!(registry.digest(&repository, "latest"), newer);
            let mut pushes = [0, 1].map(|who: usize| {
                let (rules, arrived, go) = gates();
                proxies[who].rules(rules);
                let own = ["1.0.0", "2.0.0"][who];
                let mut command = push(who, &images[who], &["--tag", own, "--tag", "latest"]);
                command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
                Push { child: command.spawn().unwrap(), arrived, go, step: 0 }
            });
            assert!(pushes.iter_mut().all(Push::settle), "{order:?}");
            order.iter().for_each(|who| pushes[*who].go());
            for push in &mut pushes {
                while push.child.try_wait().unwrap().is_none() {
                    push.go();
                }
                assert_eq!(push.child.wait().unwrap().code(), Some(0), "{order:?}");
            }
            proxies.iter().for_each(|proxy| proxy.rules(Vec::new()));
            assert_eq!(registry.digest(&repository, "latest"), newer, "{name} {order:?}");
            orders_run += 1;
        }
    }
    println!("latest ended at the newer in {orders_run} of {orders_run} orders");
    assert_eq!(orders_run, 2 * 20_usize.div_ceil(step));
}
