//! `[dev]`: what `dev` runs beside PostgreSQL and Redis.

use super::raw::File;
use super::smoke::Role;
use std::collections::BTreeMap;

/// The resolved table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dev {
    /// What runs from the checkout.
    pub roles: Vec<Role>,
    /// The first port of this machine that is tried for the site.
    pub port: u16,
    /// What every role has in its environment, over what we give it.
    pub environment: BTreeMap<String, String>,
}

/// Reads the table; mistakes are noted in `file`.
pub(super) fn read(file: &mut File<'_>) -> Dev {
    file.only_keys("dev", &["roles", "port", "environment"]);
    let all = || vec![Role::Web, Role::Worker, Role::Beat];
    let dev = Dev {
        roles: file.typed("dev", "roles").unwrap_or_else(all),
        port: file.typed("dev", "port").unwrap_or(8000),
        environment: file.typed("dev", "environment").unwrap_or_default(),
    };
    if dev.port == 0 {
        file.mistake("dev", "port", "a number from 1 to 65535".into());
    }
    if dev.roles.contains(&Role::Gunicorn) {
        let message = "gunicorn is for production; web is the site".to_owned();
        file.mistake("dev", "roles", message);
    }
    dev
}
