//! What a container is told of the services around it: the variables that this repository's own
//! project reads, and those of `[app.environment]`.

use crate::config::app::{App, filled};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Where PostgreSQL and Redis are, and what opens them.
#[derive(Clone, Debug)]
pub struct Surroundings {
    pub postgres: String,
    pub redis: String,
    pub database: String,
    pub user: String,
    pub password: String,
    /// For everything that must be set: 32 bytes in URL-safe Base64, as a Fernet key is.
    pub key: String,
}

impl Surroundings {
    /// The environment of a container of the project.
    pub fn environment(&self, app: &App) -> BTreeMap<String, String> {
        let mut all: BTreeMap<String, String> =
            app.required_environment.iter().map(|name| (name.clone(), self.key.clone())).collect();
        let own = ["DB_HOST", "DB_NAME", "DB_USER", "DB_PASSWORD", "REDIS_URL"];
        all.extend(
            own.into_iter()
                .filter_map(|name| Some((name.to_owned(), self.value(&name.to_lowercase())?))),
        );
        all.extend(app.environment.iter().map(|(name, text)| (name.clone(), self.filled(text))));
        all
    }

    /// `text` with what its placeholders stand for.
    pub fn filled(&self, text: &str) -> String {
        // A name that there isn't is a mistake of docker/image.toml.
        filled(text, &|name| self.value(name)).unwrap_or_default()
    }

    /// What stands for a placeholder.
    fn value(&self, placeholder: &str) -> Option<String> {
        Some(match placeholder {
            "db_host" => self.postgres.clone(),
            "db_port" => "5432".to_owned(),
            "db_name" => self.database.clone(),
            "db_user" => self.user.clone(),
            "db_password" => self.password.clone(),
            "database_url" => format!(
                // Some settings compare the scheme; `postgresql:` is known to fewer of them.
                "postgres://{}:{}@{}:5432/{}",
                self.user,
                encoded(&self.password),
                self.postgres,
                self.database
            ),
            "redis_host" => self.redis.clone(),
            "redis_url" => format!("redis://{}:6379/0", self.redis),
            "secret_key" | "fernet_key" => self.key.clone(),
            _ => return None,
        })
    }
}

/// `text` as a part of a URL (RFC 3986, 2.1).
fn encoded(text: &str) -> String {
    let mut whole = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            whole.push(byte.into());
        } else {
            let _ = write!(whole, "%{byte:02X}");
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::app::PLACEHOLDERS;

    fn surroundings() -> Surroundings {
        Surroundings {
            postgres: "db".into(),
            redis: "cache".into(),
            database: "shop".into(),
            user: "seller".into(),
            password: "a b@1".into(),
            key: "key".into(),
        }
    }

    #[test]
    fn each_placeholder_stands_for_something() {
        let all = surroundings();
        assert!(PLACEHOLDERS.iter().all(|name| all.value(name).is_some()));
        assert_eq!(all.value("other"), None);
    }

    #[test]
    fn the_project_s_own_variables_come_over_ours() {
        let pair = |(name, text): (&str, &str)| (name.to_owned(), text.to_owned());
        let app = App {
            required_environment: vec!["KEY".into()],
            environment: [
                ("DATABASE_URL", "{database_url}"),
                ("CELERY_BROKER_URL", "redis://{redis_host}:6379/1"),
                ("DB_NAME", "other"),
            ]
            .map(pair)
            .into(),
            ..App::default()
        };
        let expected = [
            ("CELERY_BROKER_URL", "redis://cache:6379/1"),
            ("DATABASE_URL", "postgres://seller:a%20b%401@db:5432/shop"),
            ("DB_HOST", "db"),
            ("DB_NAME", "other"),
            ("DB_PASSWORD", "a b@1"),
            ("DB_USER", "seller"),
            ("KEY", "key"),
            ("REDIS_URL", "redis://cache:6379/0"),
        ];
        assert_eq!(surroundings().environment(&app), expected.map(pair).into());
    }
}
