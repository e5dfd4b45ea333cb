//! What a check needs of the project. If the project hasn't got it, the check is skipped, and the
//! report says why.

use super::test_bed::TestBed;
use engine::containers::Container;
use image::config::smoke::Role;

/// One thing that a check needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The settings name PostgreSQL as the default database.
    Postgres,
    /// A role that answers HTTP.
    Server,
    Role(Role),
}

/// The role that answers HTTP, the first of those that the project has.
pub fn server(bed: &TestBed<'_>) -> Option<Role> {
    let roles = &bed.subject.smoke.roles;
    [Role::Web, Role::Gunicorn].into_iter().find(|role| roles.contains(role))
}

/// Why a check can't be asked: the first of its needs that isn't met.
pub fn unmet(bed: &TestBed<'_>, needs: &[Need]) -> anyhow::Result<Option<String>> {
    for need in needs {
        let why = match need {
            Need::Postgres => other_database(bed)?.map(|name| {
                format!("the default database of the settings is {name}, not PostgreSQL")
            }),
            Need::Server => server(bed)
                .is_none()
                .then(|| "[smoke] roles has neither web nor gunicorn".to_owned()),
            Need::Role(role) => (!bed.subject.smoke.roles.contains(role))
                .then(|| format!("[smoke] roles has no {}", role.word())),
        };
        if why.is_some() {
            return Ok(why);
        }
    }
    Ok(None)
}

/// Prints Django's word for the default database, "unknown" if there is none.
const VENDOR: &str = "import django; django.setup()
from django.db import connection
print(connection.vendor)";

/// The default database if it is known to be another than PostgreSQL. An image that can't tell gets
/// every check.
fn other_database(bed: &TestBed<'_>) -> anyhow::Result<Option<String>> {
    bed.once("database", || {
        let words = ["python", "-c", VENDOR];
        let env = bed.container("told", &[]).env;
        let container = Container { env, ..bed.alone("database", &words) };
        let (answer, _) = bed.run(&container)?;
        let said = answer.stdout.lines().last().unwrap_or_default().trim().to_owned();
        let other = answer.good() && !said.is_empty() && said != "postgresql";
        let _ = bed.database.set(other.then_some(said));
        Ok(())
    })?;
    Ok(bed.database.get().cloned().flatten())
}
