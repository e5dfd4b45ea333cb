//! The settings that a container of the image really has: neither a developer's nor a key that
//! others know.

use super::test_bed::TestBed;
use super::verdict::{CheckResult, Verdict};
use serde::Deserialize;
use source::content::sha256;
use source::secrets::secret_name;

/// What a running container says of its Django settings. Of keys only hashes leave it.
#[derive(Clone, Debug, Deserialize)]
struct Said {
    module: String,
    debug: bool,
    /// SHA-256 of `SECRET_KEY`.
    key: String,
    /// The settings whose key begins as those do that `startproject` makes.
    insecure: Vec<String>,
}

/// Asks Django with the environment of the container's service: what `exec` starts has another one,
/// without the values of `NAME_FILE` and the module that the entrypoint has chosen.
const PROGRAM: &str = "
import hashlib, json, os
with open('/proc/1/environ', 'rb') as file:
    entries = file.read().split(b'\\0')
for name, sign, value in (entry.partition(b'=') for entry in entries):
    if sign and name.decode('ascii', 'replace').isidentifier():
        os.environb[name] = value
from django.conf import settings
text = lambda key: key if isinstance(key, bytes) else str(key).encode()
keys = {'SECRET_KEY': settings.SECRET_KEY}
for number, key in enumerate(settings.SECRET_KEY_FALLBACKS if hasattr(settings, 'SECRET_KEY_FALLBACKS') else []):
    keys['SECRET_KEY_FALLBACKS[%d]' % number] = key
print(json.dumps({
    'module': os.environ.get('DJANGO_SETTINGS_MODULE', ''),
    'debug': bool(settings.DEBUG),
    'key': hashlib.sha256(text(settings.SECRET_KEY)).hexdigest(),
    'insecure': [name for name, key in keys.items() if text(key).startswith(b'django-insecure-')],
}))
";

/// Each role has `DEBUG` off, no insecure key, and the key that its container was given.
pub(super) fn settings(bed: &TestBed<'_>) -> CheckResult {
    let required = &bed.subject.app.required_environment;
    let given: Vec<String> = bed
        .container("given", &[])
        .env
        .into_iter()
        .filter(|(name, _)| secret_name(name) || required.contains(name))
        .map(|(_, value)| sha256(value.as_bytes()))
        .collect();
    let (mut evidence, mut modules) = (Vec::new(), Vec::new());
    for role in &bed.subject.smoke.roles {
        let name = bed.role(*role)?;
        let answer = bed.python(&name, PROGRAM, &[])?;
        let line = answer.stdout.lines().last().unwrap_or_default();
        match serde_json::from_str::<Said>(line) {
            Ok(said) => {
                evidence
                    .extend(wrong(&said, &given).map(|text| format!("{}: {text}", role.word())));
                modules.push(said.module);
            }
            Err(_) => {
                evidence.push(format!("{}: no settings: {}", role.word(), answer.last_line()))
            }
        }
    }
    modules.dedup();
    let fact =
        format!("{}: no DEBUG, and the key of the container's environment", modules.join(", "));
    Ok(Verdict::from_evidence(evidence, fact))
}

/// What is wrong with the settings, if the container was given secrets with the hashes `given`.
fn wrong(said: &Said, given: &[String]) -> impl Iterator<Item = String> {
    let module = &said.module;
    let debug = said.debug.then(|| format!("{module} has DEBUG = True"));
    let other = (!given.contains(&said.key)).then(|| {
        format!(
            "{module} has a SECRET_KEY that its container wasn't given: read it from the \
             environment, and name its variable in required_environment in docker/image.toml"
        )
    });
    let insecure = said
        .insecure
        .iter()
        .map(move |name| format!("{module} has a {name} from `startproject`, django-insecure-…"));
    debug.into_iter().chain(other).chain(insecure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_developer_s_settings_are_named_one_by_one() {
        let said = |debug, key: &str, insecure: &[&str]| {
            let insecure = insecure.iter().map(ToString::to_string).collect();
            let said = Said {
                module: "shop.settings".into(),
                debug,
                key: sha256(key.as_bytes()),
                insecure,
            };
            let given = [sha256(b"given"), sha256(b"another")];
            wrong(&said, &given).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(said(false, "given", &[]), "");
        assert_eq!(said(true, "given", &[]), "shop.settings has DEBUG = True");
        let own = said(false, "written into the settings", &[]);
        assert!(own.starts_with("shop.settings has a SECRET_KEY that its container wasn't given"));
        let all = said(true, "django-insecure-x", &["SECRET_KEY", "SECRET_KEY_FALLBACKS[0]"]);
        assert_eq!(all.lines().count(), 4, "{all}");
        assert!(all.contains("a SECRET_KEY_FALLBACKS[0] from `startproject`"), "{all}");
    }
}
