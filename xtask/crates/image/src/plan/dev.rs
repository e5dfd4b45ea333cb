//! What `dev` runs, as plain data: PostgreSQL and Redis, and web, worker and beat of the
//! development image with the checkout mounted.

use crate::config::Config;
use crate::fingerprint::hash;
use crate::rendering::RUNTIME_FILES;
use crate::surroundings::Surroundings;
use engine::containers::{Container, Mount};
use engine::label;
use std::path::Path;

/// The label that says which checkout a container, a network or a volume belongs to.
pub const CHECKOUT: &str = "dev.senex.xtask.dev";
/// The label of a development image with the hash of what it was made from.
pub const INPUTS: &str = "dev.senex.xtask.dev-inputs";
/// Those that stand in for what production has.
pub const SERVICES: [&str; 2] = ["postgres", "redis"];
/// Those that run the application, if the project has them.
pub const ROLES: [&str; 3] = ["web", "worker", "beat"];
/// The image's first program, which chooses settings and home.
pub const ENTRYPOINT: &str = "/usr/local/lib/container/entrypoint.sh";
/// Where `docker/dev` is in the containers.
const TOOLS: &str = "/usr/local/lib/dev";
/// The port of the site in its container.
pub const PORT: u16 = 8000;
/// Name and password of the database and its user, which only this network reaches.
const DATABASE: &str = "development";
/// For everything that must be set: 32 bytes in URL-safe Base64, as Fernet keys are. It must never
/// change: what the database holds may be encrypted by it.
const KEY: &str = "ZGV2ZWxvcG1lbnQtb25seS1rZXktb2YtMzItYnl0ZXM=";

/// Who the application is in its containers, so that what it writes belongs to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// The image's own, which is the caller outside: rootless Podman.
    Caller,
    /// These numbers of user and group: the checkout's owner.
    Numbers(u32, u32),
}

/// What a topology is made from.
#[derive(Clone, Debug)]
pub struct DevFacts<'a> {
    /// The resolved `docker/image.toml`.
    pub config: &'a Config,
    /// The top folder of the checkout.
    pub top: &'a Path,
    /// The development image.
    pub image: String,
    /// The images of PostgreSQL and Redis.
    pub services: [String; 2],
    /// Who runs the application.
    pub user: User,
    /// Whether SELinux must be told that several containers share a folder.
    pub selinux: bool,
    /// The port of the site on this machine.
    pub port: u16,
    /// The addresses of the services by their names, once they are known.
    pub hosts: Vec<(String, String)>,
}

/// The first 8 hexadecimal digits of the hash of a checkout's path.
pub fn checkout(top: &Path) -> String {
    hash(&[top.as_os_str().as_encoded_bytes()])[..8].to_owned()
}

/// The name of a container, of the network or of a volume.
pub fn name(top: &Path, what: &str) -> String {
    format!("xtask-dev-{}-{what}", checkout(top))
}

/// The files and folders that a development image is made from, in addition to its base.
pub fn made_from(config: &Config) -> Vec<String> {
    let ours = RUNTIME_FILES.map(|name| format!("{}/{name}", config.app.runtime));
    let locks = config.app.lock_files(true);
    locks.into_iter().chain(ours).chain([config.dev.dockerfile.clone()]).collect()
}

/// The roles that `dev` runs: web, and those of the others that the project has.
pub fn roles(config: &Config) -> Vec<&'static str> {
    let has = |role: &str| config.smoke.roles.iter().any(|one| one.word() == role);
    ROLES.into_iter().filter(|role| *role == "web" || has(role)).collect()
}

/// What everything of a checkout is labelled with.
pub fn all_labels(top: &Path) -> Vec<(String, String)> {
    vec![(label::OURS.into(), "1".into()), (CHECKOUT.into(), checkout(top))]
}

impl DevFacts<'_> {
    /// The name of a container, of the network or of a volume.
    pub fn name(&self, what: &str) -> String {
        name(self.top, what)
    }

    fn container(&self, what: &str) -> Container {
        Container {
            name: self.name(what),
            network: Some(self.name("network")),
            labels: all_labels(self.top),
            ..Container::default()
        }
    }

    /// PostgreSQL and Redis.
    pub fn services(&self) -> [Container; 2] {
        let [postgres, redis] = self.services.clone();
        let env = ["POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"];
        [
            Container {
                image: postgres,
                env: env.map(|name| (name.to_owned(), DATABASE.to_owned())).to_vec(),
                volumes: vec![format!("{}:/var/lib/postgresql/data", self.name("postgres"))],
                ..self.container("postgres")
            },
            Container { image: redis, ..self.container("redis") },
        ]
    }

    /// A container of the development image that has the checkout.
    fn application(&self, what: &str) -> Container {
        let (user, user_namespace) = match self.user {
            // Podman 4.3 has this spelling; as root it is an error.
            User::Caller => (None, Some("keep-id:uid=1000,gid=1000".to_owned())),
            User::Numbers(user, group) => (Some(format!("{user}:{group}")), None),
        };
        let mount = |from: &str, to: &str, read_only| Mount {
            from: self.top.join(from).display().to_string(),
            to: to.to_owned(),
            read_only,
            shared: self.selinux,
        };
        Container {
            image: self.image.clone(),
            mounts: vec![
                mount(&self.config.app.folder, "/app", false),
                mount(&format!("{}/dev", self.config.app.runtime), TOOLS, true),
            ],
            user,
            user_namespace,
            ..self.container(what)
        }
    }

    /// The environment of the application.
    fn environment(&self) -> Vec<(String, String)> {
        let around = Surroundings {
            postgres: self.name("postgres"),
            redis: self.name("redis"),
            database: DATABASE.to_owned(),
            user: DATABASE.to_owned(),
            password: DATABASE.to_owned(),
            key: KEY.to_owned(),
        };
        let mut all = around.environment(&self.config.app);
        // Another user than the image's can't write to the default folder.
        all.insert("CELERY_SCHEDULE".to_owned(), "/tmp/celerybeat-schedule".to_owned());
        if matches!(self.user, User::Numbers(0, _)) {
            all.insert("ALLOW_ROOT".to_owned(), "1".to_owned());
        }
        all.extend(self.config.dev_site.environment.clone());
        all.into_iter().collect()
    }

    fn serving(&self, what: &str, words: &[&str]) -> Container {
        Container {
            words: words.iter().map(ToString::to_string).collect(),
            env: self.environment(),
            hosts: self.hosts.clone(),
            ..self.application(what)
        }
    }

    /// What brings the database up to date, and ends.
    pub fn migrate(&self) -> Container {
        self.serving("migrate", &["migrate"])
    }

    /// Web, and those of worker and beat that the project has, each started again when a file is
    /// saved.
    pub fn roles(&self) -> Vec<Container> {
        let reload = format!("{TOOLS}/reload.py");
        let server = ["python", "manage.py", "runserver", "--noreload", "0.0.0.0:8000"];
        let web = [&["python", reload.as_str(), "--web", "8000"], &server[..]].concat();
        let role = |role| match role {
            "web" => Container {
                publish: Some(PORT),
                host_port: Some(self.port),
                ..self.serving("web", &web)
            },
            _ => self.serving(role, &["python", reload.as_str(), ENTRYPOINT, role]),
        };
        roles(self.config).into_iter().map(role).collect()
    }

    /// The tests of the application, without services and without a network. Not by the image's
    /// entrypoint: it would choose the settings for them.
    pub fn tests(&self, words: &[String]) -> Container {
        let first = ["-c", PYTEST, "-p", "no:cacheprovider"].map(str::to_owned);
        Container {
            entrypoint: Some("python".to_owned()),
            words: first.into_iter().chain(words.iter().cloned()).collect(),
            network: None,
            name: format!("{}-{}", self.name("test"), std::process::id()),
            ..self.application("test")
        }
    }
}

/// Runs pytest as `python -m pytest` does, if it is there.
const PYTEST: &str = "try: import pytest
except ImportError: raise SystemExit(\"dev --test: pytest isn't in the development image: add it to the lock's group dev, or to lock_dev in docker/image.toml\")
raise SystemExit(pytest.console_main())";

/// The URL of the site.
pub fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}/")
}

#[cfg(test)]
mod tests;
