//! The containers of a smoke test as plain data: the services, and the image with what it needs.

use super::{DATABASE, KEY, PASSWORD, TestSubject};
use engine::containers::Container;
use image::surroundings::Surroundings;

/// PostgreSQL and Redis; `name` gives the names.
pub fn services(subject: &TestSubject, name: &dyn Fn(&str) -> String) -> [Container; 2] {
    let [postgres, redis] = subject.services.clone();
    let env =
        [("POSTGRES_USER", DATABASE), ("POSTGRES_PASSWORD", PASSWORD), ("POSTGRES_DB", DATABASE)];
    let volumes = vec!["/var/lib/postgresql/data".to_owned()];
    [
        Container {
            name: name("postgres"),
            image: postgres,
            env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            volumes,
            ..Container::default()
        },
        Container { name: name("redis"), image: redis, ..Container::default() },
    ]
}

/// Where the services are, and what opens them; `name` gives the names.
pub fn surroundings(name: &dyn Fn(&str) -> String) -> Surroundings {
    Surroundings {
        postgres: name("postgres"),
        redis: name("redis"),
        database: DATABASE.to_owned(),
        user: DATABASE.to_owned(),
        password: PASSWORD.to_owned(),
        key: KEY.to_owned(),
    }
}

/// A container of the image, hardened, with what a service needs; `name` gives the names.
pub fn of_image(subject: &TestSubject, words: &[&str], name: &dyn Fn(&str) -> String) -> Container {
    told(subject, words, &surroundings(name))
}

/// As [`of_image`], with other surroundings.
pub fn told(subject: &TestSubject, words: &[&str], around: &Surroundings) -> Container {
    let mut env = around.environment(&subject.app);
    env.extend(subject.smoke.environment.clone());
    Container {
        image: subject.image.id.clone(),
        words: words.iter().map(ToString::to_string).collect(),
        env: env.into_iter().collect(),
        // For who looks at what `--keep` leaves.
        publish: matches!(words, ["web" | "gunicorn", ..]).then(|| subject.port()),
        hardened: true,
        volumes: subject.expected.writable.clone(),
        ..Container::default()
    }
}

/// Sets a variable of an environment.
pub fn set(env: &mut Vec<(String, String)>, name: &str, value: &str) {
    env.retain(|(other, _)| other != name);
    env.push((name.to_owned(), value.to_owned()));
}
