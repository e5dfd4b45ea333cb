//! How the roles end, and what the health check says of one that doesn't work: in separate
//! containers, because they don't outlive the check.

use super::roles::{DUE, health_path, seldom, server};
use super::test_bed::{EndedContainer, TestBed, set};
use super::verdict::{CheckResult, Verdict};
use engine::containers::Container;
use image::config::smoke::{Role, Slow};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// Exit statuses of a process that SIGTERM ended well.
const GOOD: [i64; 2] = [0, 143];

/// A container of a role, with what makes work slow.
fn slow_container(bed: &TestBed<'_>, role: Role) -> Container {
    let mut container = bed.container(role.word(), &[role.word()]);
    if let Some(slow) = &bed.subject.smoke.slow {
        for (name, value) in &slow.environment {
            set(&mut container.env, name, value);
        }
    }
    container
}

/// Starts a container of a role that no other check uses, and waits until it is healthy.
fn own(bed: &TestBed<'_>, role: Role) -> anyhow::Result<String> {
    bed.services()?;
    bed.migrated(role)?;
    let container = slow_container(bed, role);
    bed.start(&container)?;
    bed.wait_healthy(&container.name)?;
    Ok(container.name)
}

fn ended_well(limit: Duration, ended: &EndedContainer) -> Vec<String> {
    let seconds = ended.time.as_secs_f64();
    if GOOD.contains(&ended.code) && ended.time < limit {
        Vec::new()
    } else {
        vec![format!("ended with exit status {} after {seconds:.1} s", ended.code)]
    }
}

fn has(bed: &TestBed<'_>, role: Role) -> bool {
    bed.subject.smoke.roles.contains(&role)
}

fn none(role: Role) -> CheckResult {
    Ok(Verdict::NotAsked(format!("[smoke] roles has no {}", role.word())))
}

/// How often a request is tried that was answered before its server could be stopped.
const TRIES: u32 = 4;

/// The web role ends in time, and answers the request that it has accepted before.
fn stop_server(bed: &TestBed<'_>, role: Role) -> CheckResult {
    if !has(bed, role) {
        return none(role);
    }
    let name = own(bed, role)?;
    let Some(slow) = &bed.subject.smoke.slow else { return end_idle(bed, &name) };
    // Once before, so that what the first request loads isn't in flight too, and to know how long
    // it takes here: half of that later, a busy machine's server has accepted the next one as well.
    let start = Instant::now();
    bed.get(&name, &slow.request)?;
    let mut accepted = (start.elapsed() / 2).max(Duration::from_millis(700));
    for _ in 0..TRIES {
        let (answer, ended) = std::thread::scope(|scope| {
            let (begun, under_way) = channel();
            let ask = || bed.get_and(&name, &slow.request, move || drop(begun));
            let request = scope.spawn(ask);
            // Closed when the request is under way, or failed before.
            let _ = under_way.recv() as Result<(), _>;
            std::thread::sleep(accepted);
            let ended = (!request.is_finished()).then(|| bed.stop(&name));
            (request.join(), ended)
        });
        let Ok(answer) = answer else {
            anyhow::bail!("asking for {}: the thread panicked", slow.request)
        };
        let Some(ended) = ended else {
            // The first one took longer, on a machine that was busier then.
            accepted /= 2;
            continue;
        };
        let ended = ended?;
        let mut evidence = ended_well(bed.subject.smoke.stop, &ended);
        match answer {
            Ok(answer) if answer.status == 200 => {}
            Ok(answer) => evidence.push(format!("the request in flight: {}", answer.shown())),
            Err(error) => evidence.push(format!("the request in flight: {error:#}")),
        }
        bed.remove(&name)?;
        let seconds = ended.time.as_secs_f64();
        let fact = format!("{seconds:.1} s, with a request in flight");
        return Ok(Verdict::from_evidence(evidence, fact));
    }
    bed.remove(&name)?;
    let evidence = vec![format!("{} is answered at once: it is not slow", slow.request)];
    Ok(Verdict::from_evidence(evidence, String::new()))
}

pub(super) fn stop_web(bed: &TestBed<'_>) -> CheckResult {
    stop_server(bed, Role::Web)
}

pub(super) fn stop_gunicorn(bed: &TestBed<'_>) -> CheckResult {
    stop_server(bed, Role::Gunicorn)
}

/// Sends the slow task to a queue that only this check's worker consumes, waits until it is being
/// done, and prints its id. In one process: on a busy machine a second one starts when it is over.
const SEND: &str = "
import json, os, sys, time
from celery.app.utils import find_app
app = find_app(os.environ.get('CELERY_APP') or os.environ['APP_MODULE'])
app.control.inspect(timeout=1).active()
task = app.send_task(sys.argv[1], args=json.loads(sys.argv[2]), queue='smoke-stop')
for _ in range(100):
    active = app.control.inspect(timeout=1).active() or {}
    if any(one['id'] == task.id for tasks in active.values() for one in tasks):
        sys.exit(print(task.id))
    time.sleep(0.1)
sys.exit('it is not being done')
";
/// Prints the state of a task.
const STATE: &str = "
import os, sys
from celery.app.utils import find_app
print(find_app(os.environ.get('CELERY_APP') or os.environ['APP_MODULE']).AsyncResult(sys.argv[1]).state)
";

/// The worker ends in time, and finishes the task that it has begun.
pub(super) fn stop_worker(bed: &TestBed<'_>) -> CheckResult {
    if !has(bed, Role::Worker) {
        return none(Role::Worker);
    }
    let Some(slow) = &bed.subject.smoke.slow else { return stop_idle(bed, Role::Worker) };
    bed.services()?;
    bed.migrated(Role::Worker)?;
    let mut container = slow_container(bed, Role::Worker);
    set(&mut container.env, "CELERY_QUEUES", "smoke-stop");
    bed.start(&container)?;
    bed.wait_healthy(&container.name)?;
    let verdict = stop_busy_worker(bed, slow, &container.name);
    bed.remove(&container.name)?;
    verdict
}

fn stop_busy_worker(bed: &TestBed<'_>, slow: &Slow, name: &str) -> CheckResult {
    let arguments = serde_json::to_string(&slow.arguments)?;
    let sent = bed.python(name, SEND, &[&slow.task, &arguments])?;
    if !sent.good() {
        return Ok(Verdict::Failed(vec![format!("the task: {}", sent.last_line())]));
    }
    let id = sent.stdout.trim();
    let ended = bed.stop(name)?;
    let mut evidence = ended_well(bed.subject.smoke.stop, &ended);
    let other = bed.role(bed.first_role()?)?;
    let state = bed.python(&other, STATE, &[id])?;
    if state.stdout.trim() != "SUCCESS" {
        evidence.push(format!("the task in flight is {}", state.last_line()));
    }
    let seconds = ended.time.as_secs_f64();
    Ok(Verdict::from_evidence(evidence, format!("{seconds:.1} s, with a task in flight")))
}

fn stop_idle(bed: &TestBed<'_>, role: Role) -> CheckResult {
    if !has(bed, role) {
        return none(role);
    }
    end_idle(bed, &own(bed, role)?)
}

fn end_idle(bed: &TestBed<'_>, name: &str) -> CheckResult {
    let ended = bed.stop(name)?;
    bed.remove(name)?;
    let fact = format!("{:.1} s, idle", ended.time.as_secs_f64());
    Ok(Verdict::from_evidence(ended_well(bed.subject.smoke.stop, &ended), fact))
}

pub(super) fn stop_beat(bed: &TestBed<'_>) -> CheckResult {
    stop_idle(bed, Role::Beat)
}

/// The health check fails for a role whose loop stands still.
pub(super) fn stopped_loops(bed: &TestBed<'_>) -> CheckResult {
    let mut names = Vec::new();
    for role in &bed.subject.smoke.roles {
        names.push((*role, own(bed, *role)?));
    }
    for (_, name) in &names {
        bed.kill(name, "STOP")?;
    }
    // Gunicorn's first process only watches: its workers serve on, and a health check may pass.
    names.retain(|(role, _)| *role != Role::Gunicorn);
    let start = Instant::now();
    let mut evidence = Vec::new();
    for (role, name) in &names {
        loop {
            if !bed.health(name)?.good() {
                break;
            }
            if start.elapsed() > bed.subject.smoke.start + Duration::from_secs(60) {
                evidence.push(format!(
                    "{} is called healthy although its loop is blocked",
                    role.word()
                ));
                break;
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    for (_, name) in &names {
        bed.kill(name, "CONT")?;
        bed.remove(name)?;
    }
    Ok(Verdict::from_evidence(evidence, format!("unhealthy within {seconds:.0} s")))
}

/// So many tasks of the first beat show that a second one sends none.
const SENT: u64 = 6;

/// What a beat writes once it waits for its turn, or has it. Until then it sends nothing in any
/// case.
const BEATS: [&str; 3] = ["standing by", "beat: Starting", DUE];

/// Of two beats one sends, and the other takes over when the first is gone.
pub(super) fn two_beats(bed: &TestBed<'_>) -> CheckResult {
    if !has(bed, Role::Beat) {
        return none(Role::Beat);
    }
    let first = bed.role(Role::Beat)?;
    if let Some(why) = seldom(bed, &first, SENT + 1)? {
        return Ok(Verdict::NotAsked(why));
    }
    bed.wait_log(&first, DUE)?;
    let second = own(bed, Role::Beat)?;
    let sent = |name: &str| bed.logs(name).map(|log| log.matches(DUE).count());
    let start = Instant::now();
    // An entrypoint that says nothing of it has that time to begin.
    while start.elapsed() < bed.subject.smoke.start {
        let log = bed.logs(&second)?;
        if BEATS.iter().any(|text| log.contains(text)) {
            break;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    let before = sent(&first)?;
    let start = Instant::now();
    // Until the first has sent some more: then the second had its chance.
    while sent(&first)? < before + SENT as usize {
        if start.elapsed() > bed.subject.smoke.start {
            return Ok(Verdict::Failed(vec!["the first stopped sending".into()]));
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    let twice = sent(&second)?;
    if twice > 0 {
        return Ok(Verdict::Failed(vec![format!(
            "the second sent {twice} tasks while the first was sending"
        )]));
    }
    bed.kill(&first, "KILL")?;
    bed.wait_log(&second, DUE)?;
    bed.remove(&second)?;
    Ok(Verdict::Passed("one sends; the second takes over".into()))
}

/// A schedule that can't be read doesn't stop beat.
pub(super) fn corrupt_schedule(bed: &TestBed<'_>) -> CheckResult {
    if !has(bed, Role::Beat) {
        return none(Role::Beat);
    }
    let Some(entrypoint) = bed.subject.image.entrypoint.first() else {
        return Ok(Verdict::Failed(vec!["the image has no entrypoint".into()]));
    };
    bed.services()?;
    let script = "echo garbage >\"$STATE_DIR/celerybeat-schedule\" && exec \"$1\" beat";
    let mut container = bed.container("corrupt", &["-c", script, "sh", entrypoint]);
    container.entrypoint = Some("/bin/sh".into());
    bed.start(&container)?;
    let time = bed.wait_healthy(&container.name)?;
    bed.remove(&container.name)?;
    Ok(Verdict::Passed(format!("healthy after {:.1} s", time.as_secs_f64())))
}

/// With the database gone the health page answers 5xx, and the health check fails. The last of all
/// checks: no other can run after it.
pub(super) fn database_gone(bed: &TestBed<'_>) -> CheckResult {
    let name = server(bed)?;
    // At once: told to end, PostgreSQL waits for those that are connected.
    bed.kill(&bed.name("postgres"), "KILL")?;
    bed.wait_end(&bed.name("postgres"))?;
    let mut evidence = Vec::new();
    let path = health_path(bed);
    let answer = bed.get(&name, &path)?;
    if !(500..600).contains(&answer.status) {
        evidence.push(format!("{path}: {}", answer.shown()));
    }
    for word in ["Traceback", "OperationalError", "psycopg", &bed.name("postgres")] {
        if answer.text.contains(word) {
            evidence.push(format!("{path} says `{word}`: {}", answer.shown()));
        }
    }
    if let Some(live) = &bed.subject.smoke.health.live {
        let answer = bed.get(&name, live)?;
        if answer.status != 200 {
            evidence.push(format!("{live}: {}", answer.shown()));
        }
    }
    if bed.health(&name)?.good() {
        evidence.push("the health check passes without a database".into());
    }
    Ok(Verdict::from_evidence(evidence, format!("{}, and unhealthy", answer.status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_good_by_its_status_and_within_the_limit() {
        let check = |code, seconds, expected: bool| {
            let ended = EndedContainer { code, time: Duration::from_secs(seconds) };
            assert_eq!(ended_well(Duration::from_secs(10), &ended).is_empty(), expected, "{code}");
        };
        check(0, 9, true);
        check(143, 9, true);
        check(0, 10, false);
        check(143, 11, false);
        check(137, 1, false);
        check(1, 1, false);
    }
}
