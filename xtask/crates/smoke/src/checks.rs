//! The table of all checks: their names are a contract, for `--only`, `--skip` and reports.

use super::needs::{self, Need};
use super::static_checks::{Expected, config, content, labels, rights, secrets, sizes, tools};
use super::test_bed::TestBed;
use super::verdict::{CheckResult, Lane, Verdict};
use super::{endings, entry, logs, roles, settings};
use engine::archive::Archive;
use image::config::smoke::{Role, Smoke};

#[derive(Debug)]
pub struct Check {
    /// What `--only`, `[smoke.skip]` and reports call it.
    pub name: &'static str,
    /// What must hold, or why it matters.
    pub reason: &'static str,
    /// What it runs after.
    pub lane: Lane,
    /// Among the few that a second run needs: `--core`.
    pub core: bool,
    pub needs: &'static [Need],
    pub run: Run,
}

/// What a check looks at.
#[derive(Clone, Copy, Debug)]
pub enum Run {
    /// The image alone.
    Image(fn(&Archive, &Expected) -> Verdict),
    /// Running containers of the image.
    Containers(fn(&TestBed<'_>) -> CheckResult),
}

/// What the reasons of `[smoke.skip]` begin with in a report.
pub const SKIPPED: &str = "[smoke.skip]: ";

/// Runs one. An error is a failure of the test itself, and not of the image.
pub fn run(check: &Check, bed: &TestBed<'_>) -> CheckResult {
    if let Some(verdict) = skipped(check, &bed.subject.smoke) {
        return Ok(verdict);
    }
    if let Some(why) = needs::unmet(bed, check.needs)? {
        return Ok(Verdict::NotAsked(why));
    }
    match check.run {
        Run::Image(look) => Ok(look(bed.archive()?, &bed.subject.expected)),
        Run::Containers(look) => look(bed),
    }
}

/// What `[smoke.skip]` makes of a check that it names.
fn skipped(check: &Check, smoke: &Smoke) -> Option<Verdict> {
    let reason = smoke.skip.get(check.name)?;
    Some(Verdict::NotAsked(format!("{SKIPPED}{reason}")))
}

/// All checks, in the order of the report.
pub fn all() -> &'static [Check] {
    CHECKS
}

const CORE: bool = true;
const FULL: bool = false;
const NONE: &[Need] = &[];
const POSTGRES: &[Need] = &[Need::Postgres];
const SERVER: &[Need] = &[Need::Server];
const BOTH: &[Need] = &[Need::Server, Need::Postgres];
const WORKER: &[Need] = &[Need::Role(Role::Worker)];
const BEAT: &[Need] = &[Need::Role(Role::Beat)];
// Without PostgreSQL's lock nothing keeps a second one from sending.
const BEATS: &[Need] = &[Need::Role(Role::Beat), Need::Postgres];

/// A row: lane, whether it is in `--core`, needs, name, function, reason.
macro_rules! table {
    ($($lane:ident $core:ident $needs:ident $name:literal $kind:ident($run:path) $reason:literal;)*) => {
        &[$(Check {
            name: $name,
            reason: $reason,
            lane: Lane::$lane,
            core: $core,
            needs: $needs,
            run: Run::$kind($run),
        }),*]
    };
}

const CHECKS: &[Check] = table! {
    Image CORE NONE "labels" Image(labels::labels)
        "registries, scanners and people find out from labels what an image is.";
    Image CORE NONE "identity" Image(labels::identity)
        "an image that names another commit sends people who look for a fault to the wrong code.";
    Image CORE NONE "user" Image(config::user)
        "root in a container is one fault away from root on the host, and Kubernetes can't check a name.";
    Image CORE NONE "structure" Image(config::structure)
        "compose files and manifests count on the same command, port and folders in every version.";
    Image CORE NONE "health-check" Image(config::health_check)
        "without one an engine calls a container healthy that answers nothing.";
    Image CORE NONE "platform" Image(config::platform)
        "an image for another platform starts with an error, or slowly in an emulator.";
    Image CORE NONE "size" Image(sizes::size)
        "every host fetches every byte, on every update.";
    Image CORE NONE "layers" Image(sizes::layers)
        "each layer is fetched, unpacked and mounted separately.";
    Image CORE NONE "wasted" Image(sizes::wasted)
        "bytes that a later layer hides are fetched and stored by every host, for nothing.";
    Image CORE NONE "no-secrets" Image(secrets::no_secrets)
        "people who can fetch an image can read all its layers, hidden ones included.";
    Image CORE NONE "no-build-tools" Image(tools::no_build_tools)
        "tools that build and install are what an intruder needs next.";
    Image CORE NONE "no-setuid" Image(rights::no_setuid)
        "a file that gives its caller more rights undoes the non-root user.";
    Image CORE NONE "read-only-code" Image(rights::read_only_code)
        "an application that can change its own code keeps what an intruder writes.";
    Image CORE NONE "static-files" Image(content::static_files)
        "a page without its style sheet is broken, and a read-only container can't collect it.";
    Image CORE NONE "bytecode" Image(content::bytecode)
        "without it every start compiles everything again, which takes six times as long.";
    Image CORE NONE "application-files" Image(content::application_files)
        "code that no commit has wasn't reviewed, and can't be found again.";
    Image CORE NONE "no-development-files" Image(content::no_development_files)
        "tests, notes and history are of no use in production, and tell an intruder a lot.";
    Image CORE NONE "lock" Containers(roles::lock)
        "packages outside of the lock were never tested, and missing ones fail at run time";
    Entry CORE NONE "run-test" Containers(entry::run_test)
        "`manage.py check` needs no service";
    Entry CORE NONE "pass-through" Containers(entry::pass_through)
        "a command that is no role is run untouched, with nothing before its output";
    Entry FULL NONE "role-words" Containers(entry::role_words)
        "each word for a role starts a service, which names the keys that it lacks";
    Entry FULL NONE "role-typo" Containers(entry::role_typo)
        "a mistyped role is refused with the list of roles, not run as a program";
    Entry FULL NONE "environment" Containers(entry::environment)
        "ENVIRONMENT picks the settings; an unknown value is refused and is never code";
    Entry FULL NONE "secret-files" Containers(entry::secret_files)
        "a secret can come from a file, so that no environment shows it";
    Entry FULL NONE "root-start" Containers(entry::root_start)
        "a container started as root drops privileges permanently";
    Entry FULL POSTGRES "bounded-wait" Containers(entry::bounded_wait)
        "a service that never comes is waited for as long as configured, and named";
    Entry FULL POSTGRES "stop-waiting" Containers(entry::stop_waiting)
        "SIGTERM ends a container that still waits";
    Entry FULL POSTGRES "wrong-password" Containers(entry::wrong_password)
        "what waiting can't mend fails at once, and no message shows the password";
    Entry FULL NONE "migrate-role" Containers(entry::migrate_role)
        "migrations can be a separate job";
    Entry FULL POSTGRES "waits-for-migrations" Containers(entry::waits_for_migrations)
        "a worker never works on a database that isn't migrated";
    Web CORE NONE "web" Containers(roles::web)
        "web turns healthy, with a read-only root file system and no capability";
    Web CORE NONE "engine-health" Containers(roles::engine_health)
        "the engine itself calls the container healthy";
    Web CORE NONE "settings" Containers(settings::settings)
        "DEBUG shows strangers the code, and with a key that others know they log in as anybody";
    Web CORE SERVER "health-pages" Containers(roles::health_pages)
        "the health pages answer 200: a redirect is no answer";
    Web CORE SERVER "http" Containers(roles::http)
        "no page fails, and the project's own are as [[smoke.http]] says";
    Web FULL NONE "gunicorn" Containers(roles::gunicorn)
        "gunicorn turns healthy, hardened as web is";
    Web FULL BOTH "migrate-once" Containers(roles::migrate_once)
        "replicas that start at once migrate once";
    Web FULL NONE "arbitrary-uid" Containers(roles::arbitrary_uid)
        "any user with group 0 can run it, as OpenShift does";
    Celery CORE NONE "worker" Containers(roles::worker)
        "worker turns healthy, hardened as web is";
    Celery CORE NONE "beat" Containers(roles::beat)
        "beat turns healthy, hardened as web is";
    Celery CORE WORKER "queues" Containers(roles::queues)
        "the worker role does the tasks of every queue";
    Celery CORE BEAT "beat-tick" Containers(roles::beat_tick)
        "beat sends what is due";
    Celery FULL SERVER "websocket" Containers(roles::websocket)
        "a message comes through the WebSocket: [smoke.websocket]";
    Celery FULL NONE "exec" Containers(roles::exec)
        "the project's own commands work: [[smoke.exec]]";
    Celery FULL NONE "command-lines" Containers(roles::command_lines)
        "the services have the flags that the documented variables say";
    Celery FULL BEATS "two-beats" Containers(endings::two_beats)
        "two beats never send one schedule twice, and one takes over from the other";
    Celery FULL NONE "corrupt-schedule" Containers(endings::corrupt_schedule)
        "a schedule that can't be read doesn't stop beat";
    Endings FULL NONE "stop-web" Containers(endings::stop_web)
        "SIGTERM ends web in time, and the request in flight is answered";
    Endings FULL NONE "stop-gunicorn" Containers(endings::stop_gunicorn)
        "SIGTERM ends gunicorn in time, and the request in flight is answered";
    Endings FULL NONE "stop-worker" Containers(endings::stop_worker)
        "SIGTERM ends the worker in time, and the task in flight is done";
    Endings FULL NONE "stop-beat" Containers(endings::stop_beat)
        "SIGTERM ends beat in time";
    Endings FULL NONE "stopped-loops" Containers(endings::stopped_loops)
        "the health check fails for a role whose loop stands still";
    Last FULL NONE "logs" Containers(logs::logs)
        "a collector reads each line of each role as an object";
    Last FULL BOTH "database-gone" Containers(endings::database_gone)
        "without the database web is unhealthy, and says no more than that";
};

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
    fn names_are_unique_and_configurable() {
        let mut names: Vec<&str> = all().iter().map(|check| check.name).collect();
        // The configuration refuses other names in [smoke.skip].
        assert_eq!(names, image::config::smoke::CHECKS);
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all().len());
    }
}
