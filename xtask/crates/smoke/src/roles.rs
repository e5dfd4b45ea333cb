//! The running roles: what they run, that they answer, and that work passes through them.

use super::http;
use super::prober::Reply;
use super::test_bed::{APPLYING, TestBed, TestSubject};
use super::verdict::{CheckResult, Verdict};
use super::{needs, static_checks};
use engine::{EngineKind, containers};
use image::config::smoke::{PATH, Role};
use process::run::QUESTION;
use std::time::{Duration, Instant};

/// The role turns healthy, hardened, by the image's own health check.
fn healthy(bed: &TestBed<'_>, role: Role) -> CheckResult {
    if !bed.subject.smoke.roles.contains(&role) {
        return Ok(not_ours(role));
    }
    bed.services()?;
    let start = Instant::now();
    bed.role(role)?;
    Ok(Verdict::Passed(format!("healthy after {:.1} s", start.elapsed().as_secs_f64())))
}

fn not_ours(role: Role) -> Verdict {
    Verdict::NotAsked(format!("[smoke] roles has no {}", role.word()))
}

pub(super) fn web(bed: &TestBed<'_>) -> CheckResult {
    healthy(bed, Role::Web)
}

pub(super) fn gunicorn(bed: &TestBed<'_>) -> CheckResult {
    healthy(bed, Role::Gunicorn)
}

pub(super) fn worker(bed: &TestBed<'_>) -> CheckResult {
    healthy(bed, Role::Worker)
}

pub(super) fn beat(bed: &TestBed<'_>) -> CheckResult {
    healthy(bed, Role::Beat)
}

/// The engine itself calls a container healthy, not only we.
pub(super) fn engine_health(bed: &TestBed<'_>) -> CheckResult {
    let Some(role) = bed.subject.smoke.roles.first() else { return Ok(not_ours(Role::Web)) };
    let name = bed.role(*role)?;
    let start = Instant::now();
    loop {
        let answer = bed.ask(&containers::health(bed.engine, &name), QUESTION)?;
        let said = answer.stdout.trim().to_owned();
        let good = match bed.engine.kind {
            EngineKind::Podman => answer.good(),
            EngineKind::Docker => said == "healthy",
        };
        if good {
            return Ok(Verdict::Passed(format!("the {} container", role.word())));
        }
        if start.elapsed() > bed.subject.smoke.start {
            return Ok(Verdict::Failed(vec![format!("{name}: {} {}", said, answer.last_line())]));
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// The flags of the first process of each container, as the documented variables have them.
pub(super) fn command_lines(bed: &TestBed<'_>) -> CheckResult {
    let (mut evidence, mut hidden) = (Vec::new(), "");
    for role in &bed.subject.smoke.roles {
        let name = bed.role(*role)?;
        let answer = bed.exec(&name, &["cat", "/proc/1/cmdline"])?;
        if answer.stdout.starts_with("gunicorn: ") {
            hidden = "; setproctitle hides those of gunicorn";
            continue;
        }
        let found = answer.stdout.replace('\0', " ");
        for wanted in missing(wanted_words(*role, bed.subject), &found) {
            evidence.push(format!("{}: no `{wanted}` in `{}`", role.word(), found.trim()));
        }
    }
    let fact = format!("as the variables in docs/environment.md have them{hidden}");
    Ok(Verdict::from_evidence(evidence, fact))
}

/// The words that a command line lacks. Celery's is `[celeryd: …] -active- (-A shop worker …)` once
/// it has given itself a title, which it does if setproctitle is installed.
fn missing(wanted: Vec<String>, found: &str) -> Vec<String> {
    let words: Vec<&str> =
        found.split_whitespace().map(|word| word.trim_matches(['(', ')'])).collect();
    let has = |wanted: &String| {
        words.iter().any(|word| word == wanted || word.ends_with(&format!("/{wanted}")))
            || wanted == "celery" && found.starts_with("[celery")
    };
    wanted.into_iter().filter(|word| !has(word)).collect()
}

/// The words that a role's command line must have.
fn wanted_words(role: Role, subject: &TestSubject) -> Vec<String> {
    let value = |name: &str| subject.variable(name).unwrap_or_default();
    let flag = |flag: &str, name: &str| format!("{flag}{}", value(name));
    let (bind, port) = (value("WEB_BIND"), value("PORT"));
    let address = match (bind.contains(':'), port.as_str()) {
        (_, "") => String::new(),
        (true, port) => format!("[{bind}]:{port}"),
        (false, port) => format!("{bind}:{port}"),
    };
    let mut words: Vec<String> = match role {
        Role::Web if value("WEB_SERVER") == "uvicorn" => {
            vec!["uvicorn".into(), "--host".into(), bind, "--port".into(), port]
        }
        Role::Web => vec!["daphne".into(), "-b".into(), bind, "-p".into(), port],
        Role::Gunicorn => vec![
            "gunicorn".into(),
            address,
            "--workers".into(),
            value("GUNICORN_WORKERS"),
            "--timeout".into(),
            value("GUNICORN_TIMEOUT"),
            "--max-requests".into(),
            value("GUNICORN_MAX_REQUESTS"),
            "--max-requests-jitter".into(),
            value("GUNICORN_MAX_REQUESTS_JITTER"),
            "--access-logfile".into(),
            "--error-logfile".into(),
        ],
        Role::Worker => vec![
            "worker".into(),
            flag("--loglevel=", "CELERY_LOGLEVEL"),
            flag("--queues=", "CELERY_QUEUES"),
            flag("--concurrency=", "CELERY_CONCURRENCY"),
            flag("--max-tasks-per-child=", "CELERY_MAX_TASKS_PER_CHILD"),
        ],
        Role::Beat => vec!["beat".into(), flag("--loglevel=", "CELERY_LOGLEVEL")],
    };
    if matches!(role, Role::Worker | Role::Beat) {
        let application = subject.app.celery.as_ref().unwrap_or(&subject.app.module);
        words.extend(["celery".to_owned(), application.clone()]);
    }
    // A variable without a default that we know: any value is right.
    words.retain(|word| !word.is_empty() && !word.ends_with('='));
    words
}

/// Says that the project's own file asks for no such check.
fn unasked(bed: &TestBed<'_>, what: &str) -> String {
    format!("{} asks for no {what}", bed.subject.app.inside(PATH))
}

/// The container that answers HTTP. The checks that use it need a role that does.
pub(super) fn server(bed: &TestBed<'_>) -> anyhow::Result<String> {
    bed.role(needs::server(bed).unwrap_or(Role::Web))
}

/// The path that the image's health check asks for.
pub(super) fn health_path(bed: &TestBed<'_>) -> String {
    bed.subject.variable("HEALTHCHECK_PATH").unwrap_or_else(|| "/health/".to_owned())
}

/// The health pages answer 200.
pub(super) fn health_pages(bed: &TestBed<'_>) -> CheckResult {
    let health = &bed.subject.smoke.health;
    let name = server(bed)?;
    let paths = [Some(health_path(bed)), health.live.clone(), health.ready.clone()];
    let paths: Vec<String> = paths.into_iter().flatten().collect();
    let mut evidence = Vec::new();
    for path in &paths {
        let answer = bed.get(&name, path)?;
        if answer.status != 200 || !answer.text.contains(&health.contains) {
            evidence.push(format!("{path}: {}", answer.shown()));
        }
    }
    Ok(Verdict::from_evidence(evidence, format!("200: {}", paths.join(", "))))
}

/// Pages that must not fail in any project, whether it has them or not.
const PAGES: [&str; 2] = ["/", "/admin/login/"];
/// Redirects that are followed: browsers give up after 20.
const REDIRECTS: usize = 10;

/// No page fails, and those of `[[smoke.http]]` are as they say.
pub(super) fn http(bed: &TestBed<'_>) -> CheckResult {
    let name = server(bed)?;
    let (mut evidence, mut asked) = (Vec::new(), Vec::new());
    for command in &bed.subject.smoke.prepare {
        let words: Vec<&str> = command.0.iter().map(String::as_str).collect();
        let answer = bed.command(&name, &words)?;
        if !answer.good() {
            let (words, code, line) = (words.join(" "), answer.code, answer.last_line());
            evidence.push(format!("prepare: {words}: exit status {code:?}: {line}"));
        }
    }
    for page in PAGES {
        let (mut path, mut answer) = (page.to_owned(), bed.get(&name, page)?);
        for _ in 0..REDIRECTS {
            let Some(next) = answer.leads_to() else { break };
            answer = bed.get(&name, &next)?;
            asked.push(std::mem::replace(&mut path, next));
        }
        if answer.status >= 500 || answer.status == 0 {
            evidence.push(format!("{path}: {}", answer.shown()));
        } else if let Some(next) = answer.leads_to() {
            evidence.push(format!("{page}: {REDIRECTS} redirects, and then one to {next}"));
        }
        asked.push(path);
    }
    for request in &bed.subject.smoke.http {
        let answer = bed.get(&name, &request.path)?;
        if answer.status != request.status || !answer.text.contains(&request.contains) {
            let wanted = format!("{} with `{}`", request.status, request.contains);
            evidence.push(format!(
                "{}: {} answers {}, not {wanted}",
                request.name,
                request.path,
                answer.shown()
            ));
        }
    }
    asked.extend(bed.subject.smoke.http.iter().map(|request| request.path.clone()));
    asked.sort();
    asked.dedup();
    Ok(Verdict::from_evidence(evidence, asked.join(", ")))
}

/// `[[smoke.exec]]`.
pub(super) fn exec(bed: &TestBed<'_>) -> CheckResult {
    let asked = &bed.subject.smoke.exec;
    if asked.is_empty() {
        return Ok(Verdict::NotAsked(unasked(bed, "[[smoke.exec]]")));
    }
    let mut evidence = Vec::new();
    for command in asked {
        let name = bed.role(command.role)?;
        let words: Vec<&str> = command.command.iter().map(String::as_str).collect();
        let answer = bed.command(&name, &words)?;
        if !answer.good() || !answer.stdout.contains(&command.contains) {
            evidence.push(format!(
                "{}: exit status {:?}: {}",
                command.name,
                answer.code,
                answer.last_line()
            ));
        }
    }
    Ok(Verdict::from_evidence(evidence, format!("{} commands", asked.len())))
}

/// `[smoke.websocket]`.
pub(super) fn websocket(bed: &TestBed<'_>) -> CheckResult {
    let Some(asked) = &bed.subject.smoke.websocket else {
        return Ok(Verdict::NotAsked(unasked(bed, "[smoke.websocket]")));
    };
    let name = server(bed)?;
    // Whatever sends the message may come from a task on the schedule.
    for role in [Role::Worker, Role::Beat] {
        if bed.subject.smoke.roles.contains(&role) {
            bed.role(role)?;
        }
    }
    let mut cookie = String::new();
    if !asked.cookie.is_empty() {
        let words: Vec<&str> = asked.cookie.iter().map(String::as_str).collect();
        let answer = bed.command(&name, &words)?;
        if !answer.good() {
            return Ok(Verdict::Failed(vec![format!("cookie: {}", answer.last_line())]));
        }
        // The last line: Django's shell may tell before what it has imported.
        answer.stdout.trim().lines().last().unwrap_or_default().clone_into(&mut cookie);
    }
    let start = Instant::now();
    match bed.probe(&name, &http::websocket(&asked.path, &cookie), true, || ())? {
        Reply::Message(message) if message.contains(&asked.contains) => {
            Ok(Verdict::Passed(format!(
                "a message of {} bytes after {:.1} s",
                message.len(),
                start.elapsed().as_secs_f64()
            )))
        }
        Reply::Message(message) => {
            let message = process::run::shortened(&message, 200);
            Ok(Verdict::Failed(vec![format!("no `{}` in `{message}`", asked.contains)]))
        }
        Reply::Answer(text) => {
            Ok(Verdict::Failed(vec![format!("refused: {}", http::HttpAnswer::of(text).shown())]))
        }
        Reply::Error(why) => Ok(Verdict::Failed(vec![format!("waiting for a message: {why}")])),
    }
}

/// Celery's own `celery.accumulate` is sent to each queue, and the worker has done them all.
const QUEUES: &str = "
import os, sys, time
from celery.app.utils import find_app
app = find_app(os.environ.get('CELERY_APP') or os.environ['APP_MODULE'])
queues = [name for name in sys.argv[2].split(',') if name]
def done():
    stats = app.control.inspect(timeout=2).stats() or {}
    return sum(one['total'].get('celery.accumulate', 0) for one in stats.values())
before = done()
for name in queues:
    app.send_task('celery.accumulate', args=[1], queue=name)
end = time.monotonic() + float(sys.argv[1])
while done() - before < len(queues):
    if time.monotonic() > end:
        sys.exit('%d of %d tasks were done' % (done() - before, len(queues)))
print(len(queues))
";

/// A task on each queue is done by the worker role.
pub(super) fn queues(bed: &TestBed<'_>) -> CheckResult {
    let name = bed.role(Role::Worker)?;
    let limit = (bed.subject.smoke.start.as_secs() / 2).to_string();
    // What the image says, also if its entrypoint says something else.
    let Some(all) = bed.subject.variable("CELERY_QUEUES") else {
        return Ok(Verdict::Failed(vec!["the image sets no CELERY_QUEUES".to_owned()]));
    };
    let answer = bed.python(&name, QUEUES, &[&limit, &all])?;
    if answer.good() {
        let count = answer.stdout.trim();
        let plural = if count == "1" { "queue" } else { "queues" };
        return Ok(Verdict::Passed(format!("{count} {plural}")));
    }
    Ok(Verdict::Failed(vec![answer.last_line().to_owned()]))
}

/// The tasks of the schedule: the seconds until each is due for the first time, and its name.
const SCHEDULE: &str = "
import os
from celery.app.utils import find_app
from celery.schedules import maybe_schedule
app = find_app(os.environ.get('CELERY_APP') or os.environ['APP_MODULE'])
# Modules of tasks may add to it (add_periodic_task).
app.loader.import_default_modules()
app.finalize()
for entry in app.conf.beat_schedule.values():
    schedule = maybe_schedule(entry['schedule'], app=app)
    try:
        seconds = schedule.remaining_estimate(schedule.now()).total_seconds()
    except Exception:
        seconds = 0
    print(int(seconds), entry['task'])
";
/// What Celery's beat writes for each task that it sends.
pub(super) const DUE: &str = "Sending due task";

/// Why the schedule of the beat container `name` won't be seen sending `times` tasks; `None`: it
/// will.
pub(super) fn seldom(bed: &TestBed<'_>, name: &str, times: u64) -> anyhow::Result<Option<String>> {
    let answer = bed.python(name, SCHEDULE, &[])?;
    anyhow::ensure!(answer.good(), "reading the schedule: {}", answer.last_line());
    let entries = answer.stdout.lines().filter_map(|line| line.split_once(' '));
    let seconds = |(text, task): (&str, &str)| Some((text.parse::<u64>().ok()?, task.to_owned()));
    let limit = bed.subject.smoke.start.as_secs();
    Ok(match entries.filter_map(seconds).min() {
        None => Some("the project has no beat schedule".to_owned()),
        Some((seconds, task)) if seconds * times > limit => Some(format!(
            "the schedule is too slow to be seen within {limit} s: the first task, {task}, is due in {seconds} s"
        )),
        Some(_) => None,
    })
}

/// Beat sends what is due.
pub(super) fn beat_tick(bed: &TestBed<'_>) -> CheckResult {
    let name = bed.role(Role::Beat)?;
    if let Some(why) = seldom(bed, &name, 1)? {
        return Ok(Verdict::NotAsked(why));
    }
    let log = bed.wait_log(&name, DUE)?;
    let line = log.lines().find(|line| line.contains(DUE)).unwrap_or_default();
    Ok(Verdict::Passed(process::run::shortened(line.trim(), 120)))
}

/// Several web containers that start at once migrate once, and all of them turn healthy.
pub(super) fn migrate_once(bed: &TestBed<'_>) -> CheckResult {
    bed.services()?;
    let mut names = Vec::new();
    // In a separate database, which hasn't been migrated.
    let database = "postgres";
    let role = needs::server(bed).unwrap_or(Role::Web);
    for _ in 0..3 {
        let container = bed.elsewhere("replica", &[role.word()], |around| {
            around.database = database.to_owned();
        });
        bed.start(&container)?;
        names.push(container.name);
    }
    let mut evidence = Vec::new();
    let mut migrating = 0;
    for name in &names {
        bed.wait_healthy(name)?;
        migrating += usize::from(bed.logs(name)?.contains(APPLYING));
    }
    if migrating != 1 {
        evidence.push(format!("{migrating} of {} containers applied migrations", names.len()));
    }
    for name in &names {
        bed.remove(name)?;
    }
    Ok(Verdict::from_evidence(evidence, "one of three replicas migrated"))
}

/// The health check passes for a user that the image has never heard of, with group 0.
pub(super) fn arbitrary_uid(bed: &TestBed<'_>) -> CheckResult {
    bed.services()?;
    let Some(role) = bed.subject.smoke.roles.first() else { return Ok(not_ours(Role::Web)) };
    let mut container = bed.container("arbitrary-uid", &[role.word()]);
    container.user = Some("23456:0".into());
    bed.start(&container)?;
    let time = bed.wait_healthy(&container.name)?;
    bed.remove(&container.name)?;
    Ok(Verdict::Passed(format!("23456:0, healthy after {:.1} s", time.as_secs_f64())))
}

/// What is installed is what the lock says.
pub(super) fn lock(bed: &TestBed<'_>) -> CheckResult {
    let [python, words @ ..] = static_checks::LISTING;
    let mut container = bed.alone("installed", &words);
    container.entrypoint = Some(python.to_owned());
    let (answer, _) = bed.run(&container)?;
    if !answer.good() {
        return Ok(Verdict::Failed(vec![answer.last_line().to_owned()]));
    }
    let (markers, installed) = static_checks::listing(&answer.stdout)?;
    Ok(static_checks::lock(&bed.subject.app, &bed.subject.lock, &markers, &installed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_bed::defaults;
    use expect_test::expect;
    use image::config::app::App;

    #[test]
    fn command_lines_are_those_of_the_variables() {
        let script = include_str!("../../../../docker/entrypoint.sh");
        let app = App { module: "shop".into(), ..App::default() };
        let mut subject = TestSubject { app: app.clone(), ..TestSubject::default() };
        subject.defaults = defaults(script);
        subject.image.environment = vec!["CELERY_QUEUES=a,b".into(), "PORT=8080".into()];
        let words = |subject: &TestSubject| {
            [Role::Web, Role::Gunicorn, Role::Worker, Role::Beat]
                .map(|role| wanted_words(role, subject).join(" ") + "\n")
                .concat()
        };
        expect![[r#"
            daphne -b 0.0.0.0 -p 8080
            gunicorn 0.0.0.0:8080 --workers 4 --timeout 120 --max-requests 1000 --max-requests-jitter 50 --access-logfile --error-logfile
            worker --loglevel=info --queues=a,b --concurrency=4 --max-tasks-per-child=100 celery shop
            beat --loglevel=info celery shop
        "#]].assert_eq(&words(&subject));
        // A variable of the smoke test comes before the image's, and an empty one is none.
        for (name, value) in [
            ("PORT", "9000"),
            ("WEB_BIND", "::"),
            ("CELERY_CONCURRENCY", "2"),
            ("CELERY_LOGLEVEL", ""),
            ("WEB_SERVER", "uvicorn"),
        ] {
            subject.smoke.environment.insert(name.into(), value.into());
        }
        subject.image.environment.push("CELERY_LOGLEVEL=".into());
        assert_eq!(subject.port(), 9000);
        expect![[r#"
            uvicorn --host :: --port 9000
            gunicorn [::]:9000 --workers 4 --timeout 120 --max-requests 1000 --max-requests-jitter 50 --access-logfile --error-logfile
            worker --loglevel=info --queues=a,b --concurrency=2 --max-tasks-per-child=100 celery shop
            beat --loglevel=info celery shop
        "#]].assert_eq(&words(&subject));
        // Another entrypoint, of whose defaults nothing is known.
        expect![[r#"
            daphne -b -p
            gunicorn --workers --timeout --max-requests --max-requests-jitter --access-logfile --error-logfile
            worker celery shop
            beat celery shop
        "#]].assert_eq(&words(&TestSubject { app, ..TestSubject::default() }));
    }

    #[test]
    fn defaults_of_a_script_are_told() {
        let all = defaults("a ${A:-1} \"${B:-$A}\" ${C} ${D:-} ${E:-x y}/${A:-2}");
        assert_eq!(all, [("A".into(), "2".into()), ("E".into(), "x y".into())].into());
    }

    #[test]
    fn a_title_of_celery_has_its_command_line() {
        let check = |found: &str, lacking: &[&str]| {
            let wanted = ["worker", "--queues=a", "celery", "shop"].map(str::to_owned);
            assert_eq!(missing(wanted.into(), found), lacking, "{found}");
        };
        check("/opt/venv/bin/python /opt/venv/bin/celery -A shop worker --queues=a", &[]);
        check(
            "[celeryd: celery@7902:MainProcess] -active- (--quiet -A shop worker --queues=a)",
            &[],
        );
        check("[celeryd: celery@7902:MainProcess] -active- (-A shop worker)", &["--queues=a"]);
        check("python -A shop worker --queues=a", &["celery"]);
    }
}
