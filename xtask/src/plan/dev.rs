//! What `dev` will run, decided as plain data: the services, the roles, their environment, ports,
//! volumes and users. The compose files are this, too, in another form.

use crate::config::Config;
use crate::config::smoke::Role;
use crate::engine::containers::Container;
use crate::engine::{Engine, Kind};
use crate::labels;
use std::collections::BTreeMap;
use std::path::Path;

/// The label that holds the checkout which a container, a network or a volume belongs to.
pub const CHECKOUT: &str = "dev.senex.xtask.dev";
/// The label that holds how a container was started, as a hash.
pub const STARTED: &str = "dev.senex.xtask.dev.started";
/// The label of a development image that holds the files which it was made from, as a hash.
pub const INPUTS: &str = "dev.senex.xtask.dev.inputs";

/// The database, its user and its password: nobody outside the network of the checkout gets there.
pub const DATABASE: &str = "dev";
/// What a service refuses to start without, in a form that every payload takes: 32 bytes in
/// URL-safe Base64, as Fernet's. Everybody knows it.
pub const KEY: &str = "ZGV2ZWxvcG1lbnQtZW5jcnlwdGlvbi1rZXktLS0tLS0=";
/// Where web listens.
pub const PORT: u16 = 8000;
/// Whether PostgreSQL takes connections; not by its socket, which the official image has already
/// while it makes the database.
pub const DATABASE_READY: [&str; 4] = ["pg_isready", "--quiet", "--host", "127.0.0.1"];
/// Where PostgreSQL keeps its files.
pub const DATA: &str = "/var/lib/postgresql/data";
/// What starts a role again when a file is saved.
pub const DEVELOP: &str = "/usr/local/lib/container/develop.py";
/// Seconds that a role gets to end.
pub const GRACE: u64 = 5;
/// How web runs: Django's own server, which serves WebSockets with Daphne among the applications.
pub const WEB: [&str; 5] = ["python", "manage.py", "runserver", "--noreload", "0.0.0.0:8000"];

/// Who a role is, so that what it writes belongs to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The image's user, which the engine maps to the caller (rootless Podman).
    Kept,
    /// The image's user; the virtual machine's file sharing makes its files the caller's.
    Shared,
    /// The numbers of whoever owns the checkout.
    Numbers(u32, u32),
}

/// The world as far as `dev` depends on it, read at the top.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// `docker/image.toml`.
    pub config: &'a Config,
    /// Top folder of the workflow.
    pub top: &'a Path,
    /// The development image.
    pub image: String,
    /// The images of PostgreSQL and Redis.
    pub services: [String; 2],
    /// The port of this machine.
    pub port: u16,
    /// Who the roles are.
    pub owner: Owner,
    /// Whether SELinux is on.
    pub selinux: bool,
}

/// What runs for one checkout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dev {
    /// Tells this checkout from others.
    pub checkout: String,
    /// Of the network.
    pub network: String,
    /// Of the volume with the database.
    pub volume: String,
    /// Of everything that is made.
    pub labels: Vec<(String, String)>,
    /// PostgreSQL and Redis.
    pub services: Vec<Container>,
    /// The migrations, which end.
    pub migrate: Container,
    /// What goes on.
    pub roles: Vec<Container>,
    /// Where the site is.
    pub url: String,
}

/// A hash of a text that is short enough for a name.
pub fn short_hash(text: &str) -> String {
    let hash = git2::Oid::hash_object(git2::ObjectType::Blob, text.as_bytes());
    hash.map(|hash| hash.to_string()[..8].to_owned()).unwrap_or_default()
}

/// Tells the checkout at `top` from others.
pub fn checkout(top: &Path) -> String {
    short_hash(&top.display().to_string())
}

/// The name of a container of a checkout.
pub fn name(checkout: &str, what: &str) -> String {
    format!("xtask-dev-{checkout}-{what}")
}

/// What the name of a container says it is.
pub fn what<'n>(checkout: &str, name: &'n str) -> &'n str {
    name.strip_prefix(&format!("xtask-dev-{checkout}-")).unwrap_or(name)
}

/// Decides what runs.
pub fn dev(facts: &Facts<'_>) -> Dev {
    let checkout = checkout(facts.top);
    let labels =
        vec![(labels::OURS.to_owned(), "1".to_owned()), (CHECKOUT.to_owned(), checkout.clone())];
    let (network, volume) = (name(&checkout, "network"), name(&checkout, "data"));
    let services = services(facts)
        .into_iter()
        .map(|(what, container)| Container {
            name: name(&checkout, what),
            network: Some(network.clone()),
            labels: labels.clone(),
            volumes: if what == "postgres" {
                vec![format!("{volume}:{DATA}")]
            } else {
                container.volumes.clone()
            },
            ..container
        })
        .collect();
    let of = |what: &str, words: Vec<String>| Container {
        name: name(&checkout, what),
        network: Some(network.clone()),
        labels: labels.clone(),
        words,
        ..of_image(facts)
    };
    let roles = facts.config.development.roles.iter().map(|role| Container {
        publish: (*role == Role::Web).then_some(PORT),
        host_port: (*role == Role::Web).then_some(facts.port),
        ..of(role.word(), words(*role))
    });
    Dev {
        migrate: of("migrate", vec!["migrate".to_owned()]),
        roles: roles.collect(),
        services,
        url: format!("http://localhost:{}/", facts.port),
        checkout,
        network,
        volume,
        labels,
    }
}

/// What a role runs: `develop.py ROLE`, for web with Django's own server.
pub fn words(role: Role) -> Vec<String> {
    let command: &[&str] = if role == Role::Web { &WEB } else { &[] };
    let all = ["python", DEVELOP, role.word()].into_iter().chain(command.iter().copied());
    all.map(str::to_owned).collect()
}

/// A command of the user's, in a container of its own beside the roles. A shell is the first
/// process: alone there, the command would get only the signals that it handles.
pub fn beside(facts: &Facts<'_>, plan: &Dev, number: u32, command: &[String]) -> Container {
    let shell = ["sh", "-c", "trap 'exit 143' TERM; \"$@\"; exit $?", "sh"].map(str::to_owned);
    Container {
        name: name(&plan.checkout, &format!("command-{number}")),
        network: Some(plan.network.clone()),
        labels: plan.labels.clone(),
        words: shell.into_iter().chain(command.iter().cloned()).collect(),
        ..of_image(facts)
    }
}

fn services(facts: &Facts<'_>) -> [(&'static str, Container); 2] {
    let [postgres, redis] = facts.services.clone();
    let env = ["POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"];
    let env = env.map(|name| (name.to_owned(), DATABASE.to_owned())).to_vec();
    [
        ("postgres", Container { image: postgres, env, ..Container::default() }),
        ("redis", Container { image: redis, ..Container::default() }),
    ]
}

/// What all containers of the development image have in common.
fn of_image(facts: &Facts<'_>) -> Container {
    let mut env = environment(facts.config);
    let (mut user, mut groups, mut user_namespace) = (None, Vec::new(), None);
    match facts.owner {
        Owner::Kept => user_namespace = Some("keep-id:uid=1000,gid=1000".to_owned()),
        Owner::Shared => {
            // No events come from the machine that the files are on.
            env.insert("WATCHFILES_FORCE_POLLING".to_owned(), "1".to_owned());
        }
        Owner::Numbers(uid, gid) => {
            user = Some(format!("{uid}:{gid}"));
            if uid == 0 {
                env.insert("ALLOW_ROOT".to_owned(), "1".to_owned());
            } else {
                // The image's own folders are writable for it.
                groups.push("0".to_owned());
            }
        }
    }
    env.extend(facts.config.development.environment.clone());
    // Shared with other containers, so never `:Z`.
    let relabel = if facts.selinux { ":z" } else { "" };
    Container {
        image: facts.image.clone(),
        env: env.into_iter().collect(),
        volumes: vec![format!("{}:/app{relabel}", facts.top.join("app").display())],
        user,
        groups,
        user_namespace,
        ..Container::default()
    }
}

/// The environment of a role on every engine.
pub fn environment(config: &Config) -> BTreeMap<String, String> {
    let required = crate::smoke::required(&config.app);
    let mut env: BTreeMap<String, String> =
        required.into_iter().map(|name| (name, KEY.to_owned())).collect();
    for (name, value) in [
        ("CELERY_CONCURRENCY", "2"),
        ("DB_HOST", "postgres"),
        ("DB_NAME", DATABASE),
        ("DB_PASSWORD", DATABASE),
        ("DB_USER", DATABASE),
        ("REDIS_URL", "redis://redis:6379/0"),
        ("STOP_GRACE_PERIOD", "5"),
    ] {
        env.insert(name.to_owned(), value.to_owned());
    }
    env
}

/// Who a role must be, on this engine and for a checkout that belongs to `uid` and `gid`.
pub fn owner(engine: &Engine, rootless: bool, uid: u32, gid: u32) -> Owner {
    let machine = engine.place.as_ref().is_some_and(|place| place.contains("virtual machine"));
    match (engine.kind, rootless) {
        _ if machine => Owner::Shared,
        (Kind::Podman, true) => Owner::Kept,
        // Inside, the caller is root.
        (Kind::Docker, true) => Owner::Numbers(0, 0),
        (_, false) => Owner::Numbers(uid, gid),
    }
}

#[cfg(test)]
mod tests;
