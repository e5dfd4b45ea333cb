//! The table of all checks: their names are a contract, for `--only`, `--skip` and reports.

use super::needs::{self, Need};
use super::stage::Stage;
use super::verdict::{Found, Lane, Verdict};
use super::{endings, entry, logs, roles, settings, static_checks};
use crate::static_checks::Expected;
use engine::archive::Archive;
use image::config::smoke::{Role, Smoke};
use std::sync::LazyLock;

/// One check.
#[derive(Debug)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// The requirement that it proves.
    pub requirement: &'static str,
    /// What must hold, and why that matters.
    pub reason: &'static str,
    /// What it runs after.
    pub lane: Lane,
    /// Among the few that a second run needs: `--core`.
    pub core: bool,
    /// What the project must have for it.
    pub needs: &'static [Need],
    /// How it looks.
    pub run: Run,
}

/// What a check looks at.
#[derive(Clone, Copy, Debug)]
pub enum Run {
    /// The image alone.
    Image(fn(&Archive, &Expected) -> Verdict),
    /// The image at work.
    Stage(fn(&Stage<'_>) -> Found),
}

/// What the reasons of `[smoke.skip]` begin with in a report.
pub const SKIPPED: &str = "[smoke.skip]: ";

/// Runs one.
///
/// # Errors
/// When the test itself fails, and not the image.
pub fn run(check: &Check, stage: &Stage<'_>) -> Found {
    if let Some(verdict) = skipped(check, &stage.subject.smoke) {
        return Ok(verdict);
    }
    if let Some(why) = needs::unmet(stage, check.needs)? {
        return Ok(Verdict::NotAsked(why));
    }
    match check.run {
        Run::Image(look) => Ok(look(stage.archive()?, &stage.subject.expected)),
        Run::Stage(look) => look(stage),
    }
}

/// What `[smoke.skip]` makes of a check that it names.
fn skipped(check: &Check, smoke: &Smoke) -> Option<Verdict> {
    let reason = smoke.skip.get(check.name)?;
    Some(Verdict::NotAsked(format!("{SKIPPED}{reason}")))
}

/// All checks, in the order of the report.
pub fn all() -> &'static [Check] {
    static ALL: LazyLock<Vec<Check>> = LazyLock::new(|| {
        let of_image = static_checks::CHECKS.iter().map(|check| Check {
            name: check.name,
            requirement: check.requirement,
            reason: check.reason,
            lane: Lane::Image,
            core: true,
            needs: &[],
            run: Run::Image(check.run),
        });
        let at_work = AT_WORK.iter().map(|check| Check { ..*check });
        of_image.chain(at_work).collect()
    });
    &ALL
}

const fn check(
    lane: Lane,
    name: &'static str,
    requirement: &'static str,
    run: fn(&Stage<'_>) -> Found,
    reason: &'static str,
) -> Check {
    Check { name, requirement, reason, lane, core: false, needs: &[], run: Run::Stage(run) }
}

const fn needs(needs: &'static [Need], check: Check) -> Check {
    Check { needs, ..check }
}

const fn core(check: Check) -> Check {
    Check { core: true, ..check }
}

const POSTGRES: &[Need] = &[Need::Postgres];
const SERVER: &[Need] = &[Need::Server];
const BOTH: &[Need] = &[Need::Server, Need::Postgres];
const WORKER: &[Need] = &[Need::Role(Role::Worker)];
const BEAT: &[Need] = &[Need::Role(Role::Beat)];
// Without PostgreSQL's lock nothing keeps a second one from sending.
const BEATS: &[Need] = &[Need::Role(Role::Beat), Need::Postgres];

/// The checks of the image at work.
const AT_WORK: &[Check] = &[
    core(check(
        Lane::Image,
        "lock",
        "A13",
        roles::lock,
        "what isn't in the lock was tested by nobody, and what is missing fails at run time",
    )),
    core(check(
        Lane::Entry,
        "run-test",
        "B3",
        entry::run_test,
        "`manage.py check` needs no service: the design's own run test",
    )),
    core(check(
        Lane::Entry,
        "pass-through",
        "B1",
        entry::pass_through,
        "a command that is no role is run untouched, with nothing before its output",
    )),
    check(
        Lane::Entry,
        "role-words",
        "B1",
        entry::role_words,
        "each of the design's nine words starts a service, which names the keys that it lacks",
    ),
    check(
        Lane::Entry,
        "role-typo",
        "B1",
        entry::role_typo,
        "a mistyped role is refused with the list of roles, not run as a program",
    ),
    check(
        Lane::Entry,
        "environment",
        "B10",
        entry::environment,
        "ENVIRONMENT picks the settings; an unknown value is refused and is never code",
    ),
    check(
        Lane::Entry,
        "secret-files",
        "B12",
        entry::secret_files,
        "a secret can come from a file, so that no environment shows it",
    ),
    check(
        Lane::Entry,
        "root-start",
        "B9",
        entry::root_start,
        "a container started as root drops privileges permanently",
    ),
    needs(
        POSTGRES,
        check(
            Lane::Entry,
            "bounded-wait",
            "B2",
            entry::bounded_wait,
            "a service that never comes is waited for as long as configured, and named",
        ),
    ),
    needs(
        POSTGRES,
        check(
            Lane::Entry,
            "stop-waiting",
            "B7",
            entry::stop_waiting,
            "SIGTERM ends a container that still waits",
        ),
    ),
    needs(
        POSTGRES,
        check(
            Lane::Entry,
            "wrong-password",
            "B2",
            entry::wrong_password,
            "what waiting can't mend fails at once, and no message shows the password",
        ),
    ),
    check(
        Lane::Entry,
        "migrate-role",
        "B4",
        entry::migrate_role,
        "migrations can be a job of their own",
    ),
    needs(
        POSTGRES,
        check(
            Lane::Entry,
            "waits-for-migrations",
            "B4",
            entry::waits_for_migrations,
            "a worker never works on a database that isn't migrated",
        ),
    ),
    core(check(
        Lane::Web,
        "web",
        "A6",
        roles::web,
        "web turns healthy, with a read-only root file system and no capability",
    )),
    core(check(
        Lane::Web,
        "engine-health",
        "A12",
        roles::engine_health,
        "the engine itself calls the container healthy",
    )),
    core(check(
        Lane::Web,
        "settings",
        "B10",
        settings::settings,
        "DEBUG shows strangers the code, and with a key that others know they log in as anybody",
    )),
    needs(
        SERVER,
        core(check(
            Lane::Web,
            "health-pages",
            "B11",
            roles::health_pages,
            "the health pages answer 200: a redirect is no answer",
        )),
    ),
    needs(
        SERVER,
        core(check(
            Lane::Web,
            "http",
            "C7",
            roles::http,
            "the project's own pages answer: [[smoke.http]]",
        )),
    ),
    check(
        Lane::Web,
        "gunicorn",
        "A6",
        roles::gunicorn,
        "gunicorn turns healthy, hardened as web is",
    ),
    needs(
        BOTH,
        check(
            Lane::Web,
            "migrate-once",
            "B4",
            roles::migrate_once,
            "replicas that start at once migrate once",
        ),
    ),
    check(
        Lane::Web,
        "arbitrary-uid",
        "A5",
        roles::arbitrary_uid,
        "any user with group 0 can run it, as OpenShift does",
    ),
    core(check(
        Lane::Celery,
        "worker",
        "A6",
        roles::worker,
        "worker turns healthy, hardened as web is",
    )),
    core(check(Lane::Celery, "beat", "A6", roles::beat, "beat turns healthy, hardened as web is")),
    needs(
        WORKER,
        core(check(
            Lane::Celery,
            "queues",
            "C7",
            roles::queues,
            "the worker role does the tasks of every queue",
        )),
    ),
    needs(
        BEAT,
        core(check(Lane::Celery, "beat-tick", "C7", roles::beat_tick, "beat sends what is due")),
    ),
    needs(
        SERVER,
        check(
            Lane::Celery,
            "websocket",
            "C7",
            roles::websocket,
            "a message comes through the WebSocket: [smoke.websocket]",
        ),
    ),
    check(
        Lane::Celery,
        "exec",
        "C7",
        roles::exec,
        "the project's own commands work: [[smoke.exec]]",
    ),
    check(
        Lane::Celery,
        "command-lines",
        "B6",
        roles::command_lines,
        "the services have the flags that the documented variables say",
    ),
    needs(
        BEATS,
        check(
            Lane::Celery,
            "two-beats",
            "B8",
            endings::two_beats,
            "two beats never send one schedule twice, and one takes over from the other",
        ),
    ),
    check(
        Lane::Celery,
        "corrupt-schedule",
        "B8",
        endings::corrupt_schedule,
        "a schedule that can't be read doesn't stop beat",
    ),
    check(
        Lane::Endings,
        "stop-web",
        "B7",
        endings::stop_web,
        "SIGTERM ends web in time, and the request in flight is answered",
    ),
    check(
        Lane::Endings,
        "stop-gunicorn",
        "B7",
        endings::stop_gunicorn,
        "SIGTERM ends gunicorn in time, and the request in flight is answered",
    ),
    check(
        Lane::Endings,
        "stop-worker",
        "B7",
        endings::stop_worker,
        "SIGTERM ends the worker in time, and the task in flight is done",
    ),
    check(Lane::Endings, "stop-beat", "B7", endings::stop_beat, "SIGTERM ends beat in time"),
    check(
        Lane::Endings,
        "stopped-loops",
        "A12",
        endings::stopped_loops,
        "the health check fails for a role whose loop stands still",
    ),
    check(
        Lane::Last,
        "logs",
        "C7",
        logs::logs,
        "a collector reads each line of each role as an object",
    ),
    needs(
        BOTH,
        check(
            Lane::Last,
            "database-gone",
            "B11",
            endings::database_gone,
            "without the database web is unhealthy, and says no more than that",
        ),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_skipped_by_its_name_alone() {
        let smoke = Smoke { skip: [("user".into(), "why".into())].into(), ..Smoke::default() };
        let found: Vec<_> = all().iter().filter_map(|check| skipped(check, &smoke)).collect();
        assert_eq!(found, [Verdict::NotAsked("[smoke.skip]: why".into())]);
    }

    #[test]
    fn names_are_unique_and_each_has_a_requirement() {
        let mut names: Vec<&str> = all().iter().map(|check| check.name).collect();
        // The configuration refuses other names in [smoke.skip].
        assert_eq!(names, image::config::smoke::CHECKS);
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all().len());
        for check in all() {
            let id = check.requirement;
            let (area, number) = id.split_at(1);
            assert!("ABC".contains(area) && number.parse::<u8>().is_ok(), "{id}");
        }
    }
}
