//! The entrypoint in short-lived containers: what it passes on, refuses and says.

use super::test_bed::{KEY, PASSWORD, TestBed, set};
use super::verdict::{CheckResult, Verdict};
use image::surroundings::Surroundings;
use process::run::{Answer, tail};

/// Exit status of a container that was started wrongly (`EX_USAGE`, sysexits.h).
const WRONG: i32 = 64;

/// Evidence for a refusal: that it came, with which status, saying what, and nothing else.
fn refusal(what: &str, answer: &Answer, status: Option<i32>, says: &[&str]) -> Vec<String> {
    let mut evidence = Vec::new();
    let text = format!("{}{}", answer.stdout, answer.stderr);
    match (answer.code, status) {
        (None, _) => evidence.push(format!("{what}: {}", answer.stderr.trim())),
        (Some(0), _) => evidence.push(format!("{what}: ended with exit status 0")),
        (Some(code), Some(wanted)) if code != wanted => {
            evidence.push(format!("{what}: exit status {code}, not {wanted}"));
        }
        _ => {}
    }
    for word in says {
        if !text.contains(word) {
            evidence.push(format!("{what}: doesn't say `{word}`: {}", answer.last_line()));
        }
    }
    if text.contains("Traceback") {
        evidence.push(format!("{what}: a traceback instead of a line"));
    }
    if text.contains(PASSWORD) {
        evidence.push(format!("{what}: shows the password"));
    }
    evidence
}

/// What a check of Django's system checks ends with that asks a database which isn't there.
const NO_DATABASE: &str = "OperationalError";

/// `manage.py check` passes with no network, and so with no service, unless it asks the database itself.
pub(super) fn run_test(bed: &TestBed<'_>) -> CheckResult {
    let words = ["python", "manage.py", "check"];
    let mut container = bed.alone("run-test", &words);
    // Settings may look at their keys as they are loaded, and at where their services are.
    container.env = bed.container("run-test", &[]).env;
    let (mut answer, mut time) = bed.run(&container)?;
    let mut with = "";
    if !answer.good() && answer.stderr.contains(NO_DATABASE) {
        bed.services()?;
        bed.run(&bed.container("run-test", &["migrate"]))?;
        (answer, time) = bed.run(&bed.container("run-test", &words))?;
        with = ", with the database, which it asks";
    }
    if answer.good() {
        return Ok(Verdict::Passed(format!("in {:.1} s{with}", time.as_secs_f64())));
    }
    let remedy = left_out(answer.last_line(), &bed.subject.app.prefix());
    // `check` ends with how many issues there are, and names them before.
    let lines = answer.stdout.lines().chain(answer.stderr.lines()).map(str::to_owned);
    let said = tail(&lines.collect::<Vec<_>>(), 12);
    let said = if said.is_empty() { vec![answer.last_line().to_owned()] } else { said };
    Ok(Verdict::Failed(said.into_iter().chain(remedy).collect()))
}

/// What helps if the code imports from a folder of tests, which the ignore file leaves out.
fn left_out(line: &str, prefix: &str) -> Option<String> {
    let (_, rest) = line.split_once("No module named '")?;
    let parts: Vec<&str> = rest.split('\'').next()?.split('.').collect();
    let end = parts.iter().position(|part| ["test", "tests"].contains(part))?;
    let folder = parts[..=end].join("/");
    Some(format!(
        "the ignore file leaves it out, and the code imports from it: add a line `!{prefix}{folder}/` at its end"
    ))
}

/// A command that is no role is run unchanged, with its arguments, and nothing before its output.
pub(super) fn pass_through(bed: &TestBed<'_>) -> CheckResult {
    let words = ["sh", "-c", "printf '<%s>' \"$@\"", "sh", "two words", "$HOME `id` \\", ""];
    let (answer, _) = bed.run(&bed.alone("pass-through", &words))?;
    let wanted = "<two words><$HOME `id` \\><>";
    let mut evidence = Vec::new();
    if !answer.good() || answer.stdout != wanted {
        evidence.push(format!("printed `{}`, not `{wanted}`", answer.stdout));
    }
    let (answer, _) = bed.run(&bed.alone("status", &["sh", "-c", "exit 17"]))?;
    if answer.code != Some(17) {
        evidence.push(format!("exit status {:?}, not 17", answer.code));
    }
    Ok(Verdict::from_evidence(evidence, "words, output and exit status are its own"))
}

/// All words for roles.
const WORDS: [&str; 10] = [
    "web",
    "daphne",
    "uvicorn",
    "gunicorn",
    "celery-worker",
    "celery_worker",
    "worker",
    "celery-beat",
    "celery_beat",
    "beat",
];

/// Each word starts a service: without its keys it is refused in one line that names them.
pub(super) fn role_words(bed: &TestBed<'_>) -> CheckResult {
    let names = &bed.subject.app.required_environment;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    if names.is_empty() {
        return Ok(Verdict::NotAsked("required_environment is empty".into()));
    }
    let mut evidence = Vec::new();
    for word in WORDS {
        let (answer, _) = bed.run(&bed.alone("word", &[word]))?;
        evidence.extend(refusal(word, &answer, Some(WRONG), &names));
    }
    Ok(Verdict::from_evidence(evidence, "nine words, each refused without its keys"))
}

/// A word that is neither a role nor a program is refused with the list of roles.
pub(super) fn role_typo(bed: &TestBed<'_>) -> CheckResult {
    let (answer, _) = bed.run(&bed.alone("typo", &["wbe"]))?;
    let says = ["wbe", "web", "worker", "beat"];
    Ok(Verdict::from_evidence(refusal("wbe", &answer, None, &says), "the roles are listed"))
}

/// `ENVIRONMENT` picks the settings, and its value is never code.
pub(super) fn environment(bed: &TestBed<'_>) -> CheckResult {
    let app = &bed.subject.app;
    let keys: Vec<(String, String)> =
        app.required_environment.iter().map(|name| (name.clone(), KEY.to_owned())).collect();
    let mut evidence = Vec::new();
    let print = ["sh", "-c", "echo \"$DJANGO_SETTINGS_MODULE\""];
    let only = ["sh", "-c", "test -f \"$APP_MODULE/settings.py\""];
    let (only, _) = bed.run(&bed.alone("settings", &only))?;
    let settings = |name: &str| match app.settings.get(name).or(app.settings.get("")) {
        Some(module) => Some(module.clone()),
        // The entrypoint refuses what isn't named.
        None if !app.settings.is_empty() => None,
        None if only.good() => Some(format!("{}.settings", app.module)),
        None => Some(format!("{}.settings.{name}", app.module)),
    };
    for (variable, value, wanted) in [
        ("ENVIRONMENT", "prod", settings("production")),
        ("ENVIRONMENT", "dev", settings("development")),
        ("DJANGO_SETTINGS_MODULE", "some.settings", Some("some.settings".to_owned())),
    ] {
        let Some(wanted) = wanted else { continue };
        let mut container = bed.alone("settings", &print);
        container.env.clone_from(&keys);
        set(&mut container.env, variable, value);
        let (answer, _) = bed.run(&container)?;
        if answer.stdout.trim() != wanted {
            let found = answer.stdout.trim();
            evidence.push(format!("{variable}={value}: {found}, not {wanted}"));
        }
    }
    let mut container = bed.alone("unknown", &["web"]);
    container.env = keys;
    set(&mut container.env, "ENVIRONMENT", "no'; import os; os.abort() #$(kill 1)");
    // One module for all is taken whatever ENVIRONMENT says.
    let one = app.settings.contains_key("");
    if !one {
        let (answer, _) = bed.run(&container)?;
        let known = app.settings.keys().map(String::as_str);
        let says = if app.settings.is_empty() {
            vec!["production", "development"]
        } else {
            known.collect()
        };
        evidence.extend(refusal("an unknown ENVIRONMENT", &answer, Some(WRONG), &says));
    }
    let fact = match (one, only.good()) {
        (true, _) => "the one module that docker/image.toml names, an explicit module",
        (_, true) => "the project's only settings, an explicit module, an unknown value",
        _ => "aliases, an explicit module, an unknown value",
    };
    Ok(Verdict::from_evidence(evidence, fact))
}

/// `NAME_FILE` gives a secret, for every command.
pub(super) fn secret_files(bed: &TestBed<'_>) -> CheckResult {
    let script = "printf %s \"$1\" >/tmp/secret; export SECRET_KEY_FILE=/tmp/secret; \
                  exec \"$2\" sh -c 'printf %s \"$SECRET_KEY\"'";
    let Some(entrypoint) = bed.subject.image.entrypoint.first() else {
        return Ok(Verdict::Failed(vec!["the image has no entrypoint".into()]));
    };
    let value = "a 'value' with $signs";
    let mut container = bed.alone("secret-file", &["-c", script, "sh", value, entrypoint]);
    container.entrypoint = Some("/bin/sh".into());
    let (answer, _) = bed.run(&container)?;
    let mut evidence = Vec::new();
    if answer.stdout != value {
        evidence.push(format!("SECRET_KEY is `{}`: {}", answer.stdout, answer.last_line()));
    }
    let mut container = bed.alone("secret-file", &["true"]);
    container.env = vec![("SECRET_KEY_FILE".into(), "/nowhere".into())];
    let (answer, _) = bed.run(&container)?;
    evidence.extend(refusal("a missing file", &answer, Some(WRONG), &["SECRET_KEY_FILE"]));
    Ok(Verdict::from_evidence(evidence, "the value is the file's"))
}

/// A container that is started as root gives that up.
pub(super) fn root_start(bed: &TestBed<'_>) -> CheckResult {
    let print = ["sh", "-c", "id -u; id -g; grep -E '^(CapEff|NoNewPrivs)' /proc/self/status"];
    let mut evidence = Vec::new();
    let default = |name| bed.subject.variable(name).unwrap_or_else(|| "1000".to_owned());
    let unset = ["PUID", "PGID"].map(default);
    for (puid, pgid, wanted) in
        [("", "", unset.each_ref().map(String::as_str)), ("4321", "1234", ["4321", "1234"])]
    {
        let mut container = bed.alone("root", &print);
        container.user = Some("0".into());
        container.hardened = false;
        if !puid.is_empty() {
            set(&mut container.env, "PUID", puid);
            set(&mut container.env, "PGID", pgid);
        }
        let (answer, _) = bed.run(&container)?;
        let found: Vec<&str> = answer.stdout.split_whitespace().collect();
        let all = [&wanted[..], &["CapEff:", "0000000000000000", "NoNewPrivs:", "1"]].concat();
        if found != all {
            let found = found.join(" ");
            evidence.push(format!("PUID={puid} PGID={pgid}: `{found}` {}", answer.last_line()));
        }
    }
    for wrong in ["0", "00", "root", "-1"] {
        let mut container = bed.alone("root", &["id"]);
        container.user = Some("0".into());
        container.hardened = false;
        set(&mut container.env, "PUID", wrong);
        let (answer, _) = bed.run(&container)?;
        evidence.extend(refusal(&format!("PUID={wrong}"), &answer, Some(WRONG), &["PUID"]));
    }
    Ok(Verdict::from_evidence(
        evidence,
        format!("{}, PUID:PGID, no capability left", unset.join(":")),
    ))
}

/// A wrong password fails at once, and isn't shown.
pub(super) fn wrong_password(bed: &TestBed<'_>) -> CheckResult {
    // PostgreSQL must be up: before that, waiting is right.
    bed.role(bed.first_role()?)?;
    let mut evidence = Vec::new();
    let container = bed.elsewhere("wrong-password", &["worker"], |around| {
        around.password = format!("{PASSWORD} but another");
    });
    let (answer, time) = bed.run(&container)?;
    evidence.extend(refusal("a wrong password", &answer, None, &["PostgreSQL"]));
    let container = bed.elsewhere("wrong-database", &["worker"], |around| {
        around.database = "no_such_database".to_owned();
    });
    let (answer, _) = bed.run(&container)?;
    evidence.extend(refusal("a wrong database", &answer, None, &["no_such_database"]));
    Ok(Verdict::from_evidence(evidence, format!("refused after {:.1} s", time.as_secs_f64())))
}

fn nowhere(around: &mut Surroundings) {
    around.postgres = "nobody.invalid".to_owned();
}

/// A service that never comes is waited for as long as it says, and named.
pub(super) fn bounded_wait(bed: &TestBed<'_>) -> CheckResult {
    bed.network()?;
    let mut container = bed.elsewhere("never", &["worker"], nowhere);
    set(&mut container.env, "WAIT_ATTEMPTS", "2");
    set(&mut container.env, "WAIT_INTERVAL", "1");
    let (answer, time) = bed.run(&container)?;
    let evidence = refusal("no database", &answer, None, &["nobody.invalid"]);
    Ok(Verdict::from_evidence(evidence, format!("gave up after {:.1} s", time.as_secs_f64())))
}

/// SIGTERM ends a container that still waits.
pub(super) fn stop_waiting(bed: &TestBed<'_>) -> CheckResult {
    bed.network()?;
    let container = bed.elsewhere("waiting", &["web"], nowhere);
    bed.start(&container)?;
    bed.wait_log(&container.name, "waiting for")?;
    let ended = bed.stop(&container.name)?;
    bed.remove(&container.name)?;
    let mut evidence = Vec::new();
    if ended.time > bed.subject.smoke.stop || ![0, 143].contains(&ended.code) {
        evidence.push(format!(
            "exit status {} after {:.1} s",
            ended.code,
            ended.time.as_secs_f64()
        ));
    }
    Ok(Verdict::from_evidence(evidence, format!("after {:.1} s", ended.time.as_secs_f64())))
}

/// Workers start only once the migrations are applied; waiting for that also has an end.
pub(super) fn waits_for_migrations(bed: &TestBed<'_>) -> CheckResult {
    bed.role(bed.first_role()?)?;
    // Always there, and never migrated.
    let mut container = bed.elsewhere("unmigrated", &["worker"], |around| {
        around.database = "template1".to_owned();
    });
    set(&mut container.env, "WAIT_ATTEMPTS", "2");
    set(&mut container.env, "WAIT_INTERVAL", "1");
    let (answer, _) = bed.run(&container)?;
    let evidence = refusal("without migrations", &answer, None, &["migrat"]);
    Ok(Verdict::from_evidence(evidence, "refused, saying why"))
}

/// The role `migrate` does its work and ends with 0, and again when there is nothing to do.
pub(super) fn migrate_role(bed: &TestBed<'_>) -> CheckResult {
    bed.services()?;
    let mut evidence = Vec::new();
    for _ in 0..2 {
        let (answer, _) = bed.run(&bed.container("migrate", &["migrate"]))?;
        if !answer.good() {
            evidence.push(format!("exit status {:?}: {}", answer.code, answer.last_line()));
        }
    }
    Ok(Verdict::from_evidence(evidence, "twice, exit status 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_tests_that_is_imported_is_named() {
        let check = |line: &str, expected: Option<&str>| {
            let found = left_out(line, "app/");
            let named = |text: &str| text.contains(&format!("`!app/{}/`", expected.unwrap_or("?")));
            assert_eq!(found.is_some(), expected.is_some(), "{line}");
            assert!(found.is_none_or(|text| named(&text)), "{line}");
        };
        let error = "ModuleNotFoundError: No module named";
        check(&format!("{error} 'shop.core.tests'"), Some("shop/core/tests"));
        check(&format!("{error} 'shop.tests.base'"), Some("shop/tests"));
        check(&format!("{error} 'shop.core'"), None);
        check("OperationalError", None);
    }
}
