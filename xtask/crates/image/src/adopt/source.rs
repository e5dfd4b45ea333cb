//! What the text of a file says, without a parser of its language.

/// Whether `name` is read from the environment: in quotes, as an argument or an index of something that
/// is called like that.
pub(super) fn is_read(text: &str, name: &str) -> bool {
    let named = |quote: char| {
        let quoted = format!("{quote}{name}{quote}");
        text.match_indices(&quoted).any(|(at, _)| {
            let before = text[..at].trim_end();
            let Some(called) = before.strip_suffix(['(', '[']) else { return false };
            let part = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
            let start = called.rfind(|c: char| !part(c)).map_or(0, |at| at + 1);
            let called = called[start..].to_lowercase();
            ["env", "config", "secret"].iter().any(|word| called.contains(word))
        })
    };
    named('"') || named('\'') || name == "DATABASE_URL" && text.contains("dj_database_url")
}

/// Whether a line sets the setting `setting` from the variable `name`.
fn sets(settings: &str, setting: &str, name: &str) -> bool {
    let is = |line: &str| {
        let rest = line.trim_start().strip_prefix(setting);
        rest.is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    settings.lines().any(|line| is(line) && quoted(line).iter().any(|text| text == name))
}

/// Whether a project can't start without the variable `name`: its key, or one without a default that is
/// read by what fails then (os.environ, django-environ, python-decouple).
pub(super) fn is_needed(settings: &str, name: &str) -> bool {
    let settings = settings.replace('\'', "\"").replace('=', "= ");
    let strict = |start: &&str| {
        [']', ')'].iter().any(|end| settings.contains(&format!("{start}\"{name}\"{end}")))
    };
    name == "SECRET_KEY"
        || name == "DJANGO_SECRET_KEY"
        || sets(&settings, "SECRET_KEY", name)
        || ["environ[", " env(", " env.str(", " config("].iter().any(strict)
}

/// Whether the variable `name` is the switch of DEBUG, and not one of a package.
pub(super) fn is_debug(settings: &str, name: &str) -> bool {
    let own = ["DEBUG", "DJANGO_DEBUG"].contains(&name);
    own || name.ends_with("_DEBUG") && sets(settings, "DEBUG", name)
}

/// Whether the variable `name` counts as true when it isn't set.
pub(super) fn is_on(settings: &str, name: &str) -> bool {
    let lines = settings.lines().filter(|line| quoted(line).iter().any(|text| text == name));
    lines.filter_map(|line| line.split_once(name)).any(|(_, rest)| {
        // Of `DEBUG = envbool("DEBUG", "True")` what comes after the variable's own name.
        let rest = rest.rsplit_once(name).map_or(rest, |(_, rest)| rest);
        let default = rest.trim_start_matches(['"', '\'', ',', ' ']);
        let default = default.strip_prefix("default=").unwrap_or(default);
        default.trim_start_matches(['"', '\'']).to_lowercase().starts_with("true")
    })
}

/// The variables that choose PostgreSQL, each with the value that does:
/// `if os.getenv("DB") == "postgres":`.
pub(super) fn chooses_postgres(settings: &str) -> Vec<(String, String)> {
    let lines = settings.lines().map(str::trim_start);
    let lines = lines.filter(|line| line.starts_with("if ") || line.starts_with("elif "));
    let chosen = |line: &str| {
        let compares = line.contains("==") || line.contains(" in ");
        let texts = quoted(line);
        let [name, value, ..] = texts.as_slice() else { return None };
        let postgres = ["postgres", "postgresql", "psql", "pgsql"].contains(&value.as_str());
        (compares && postgres && is_read(line, name)).then(|| (name.clone(), value.clone()))
    };
    lines.filter_map(chosen).collect()
}

/// The scripts of a package.json that build something.
pub(super) fn builds(package: &str) -> Vec<String> {
    let json: serde_json::Value = serde_json::from_str(package).unwrap_or_default();
    let names = json["scripts"].as_object().into_iter().flatten().map(|(name, _)| name);
    names.filter(|name| name.split(':').any(|part| part == "build")).cloned().collect()
}

/// Whether a lock, uv's or a list of requirements, has the package `name`.
pub(super) fn is_locked(lock: &str, name: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let lower = lock.to_lowercase();
    lower.contains(&format!("\nname = \"{name}\"\n"))
        || lower
            .lines()
            .any(|line| line.strip_prefix(name).is_some_and(|rest| !rest.starts_with(part)))
}

/// The packages of a `uv.lock` that have no wheel.
pub(super) fn without_wheel(lock: &str) -> Vec<String> {
    let blocks = lock.split("\n[[package]]\n").skip(1);
    let sources =
        blocks.filter(|block| block.contains("\nsdist = ") && !block.contains("\nwheels = ["));
    let name = |block: &str| quoted(block.lines().next().unwrap_or_default()).into_iter().next();
    sources.filter_map(name).collect()
}

/// The packages of a `uv.lock` that come from a git repository.
pub(super) fn from_git(lock: &str) -> Vec<String> {
    let blocks = lock.split("\n[[package]]\n").skip(1);
    let fetched = blocks.filter(|block| block.contains("\nsource = { git = "));
    let name = |block: &str| quoted(block.lines().next().unwrap_or_default()).into_iter().next();
    fetched.filter_map(name).collect()
}

/// The first text in quotes after `word`, the word's own end aside.
pub(super) fn quoted_after(text: &str, word: &str) -> Option<String> {
    let (_, rest) = text.split_once(word)?;
    quoted(rest.trim_start_matches(['"', '\''])).into_iter().next()
}

/// The statement that gives `setting` a value, brackets and all, on one line.
pub(super) fn statement(text: &str, setting: &str) -> Option<String> {
    let sets = |line: &&str| {
        let rest = line.trim_start().strip_prefix(setting);
        rest.is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    let from = text.lines().skip_while(|line| !sets(line));
    let (mut whole, mut open) = (String::new(), 0_usize);
    for line in from.take(20) {
        let line = line.trim();
        open += line.matches(['(', '[', '{']).count();
        open = open.saturating_sub(line.matches([')', ']', '}']).count());
        whole += line;
        if open == 0 {
            break;
        }
    }
    (!whole.is_empty()).then_some(whole)
}

/// The folder, below that of the application, which an expression of a path begins with:
/// `os.path.join(PROJECT_DIR, …)`, with what `PROJECT_DIR` is in one of `texts`. Without a variable it
/// is the application's own, ``. `None`: it is above, or can't be told.
pub(super) fn folder_of(texts: &[(&str, &str)], value: &str, depth: usize) -> Option<String> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    // Not what is in quotes: the name of a variable of the environment, or a part of the path.
    let outside: String = value.split(['"', '\'']).step_by(2).collect::<Vec<_>>().join(" ");
    let name = outside.split(word).find(|word| {
        word.len() > 2 && word.starts_with(char::is_uppercase) && !word.contains(char::is_lowercase)
    });
    let Some(name) = name else { return Some(String::new()) };
    let found = texts.iter().find_map(|(path, text)| Some((path, statement(text, name)?)));
    // Said elsewhere: it is the folder of manage.py, as in a new project.
    let Some((path, set)) = found.filter(|_| depth > 0) else { return Some(String::new()) };
    let (_, value) = set.split_once('=')?;
    let mut folders: Vec<String> = match value.contains("__file__") {
        true => path.split('/').map(str::to_owned).collect(),
        false => {
            folder_of(texts, value, depth - 1)?.split_terminator('/').map(str::to_owned).collect()
        }
    };
    let number = |rest: &str| rest.split(word).find_map(|digits| digits.parse::<usize>().ok());
    let parents = value.split_once("parents[").and_then(|(_, rest)| number(rest));
    // `environ.Path(__file__) - 3`.
    let minus = value.split_once(") - ").and_then(|(_, rest)| number(rest));
    let up = ["dirname(", ".parent", "pardir", "\"..\"", "'..'"];
    let up: usize = up.iter().map(|one| value.matches(one).count()).sum();
    let up =
        up - usize::from(parents.is_some()) + parents.map_or(0, |n| n + 1) + minus.unwrap_or(0);
    folders.truncate(folders.len().checked_sub(up)?);
    folders.extend(quoted(value).into_iter().filter(|part| part != ".."));
    Some(folders.join("/"))
}

/// All texts in quotes, of one line each.
pub(super) fn quoted(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    for line in text.lines() {
        let mut rest = line;
        while let Some(at) = rest.find(['"', '\'', '#']) {
            let quote = rest[at..].chars().next().unwrap_or('"');
            if quote == '#' {
                break;
            }
            let Some((inside, after)) = rest[at + 1..].split_once(quote) else { break };
            all.push(inside.to_owned());
            rest = after;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_with_a_default_is_not_needed() {
        let check = |line: &str, name: &str, needed: bool| {
            assert_eq!(is_needed(line, name), needed, "{line}");
        };
        check("SECRET_KEY = os.getenv('SECRET_KEY', '---')", "SECRET_KEY", true);
        check("SECRET_KEY = env(\"APP_SECRET_KEY\", default=\"\")", "APP_SECRET_KEY", true);
        check("STRIPE_SECRET_KEY = os.environ['STRIPE_SECRET_KEY']", "STRIPE_SECRET_KEY", true);
        check("STRIPE_SECRET_KEY = env('STRIPE_SECRET_KEY')", "STRIPE_SECRET_KEY", true);
        check("S3_SECRET_KEY = envsecret(\"S3_SECRET_KEY\")", "S3_SECRET_KEY", false);
        check("S3_SECRET_KEY = os.getenv(\"S3_SECRET_KEY\")", "S3_SECRET_KEY", false);
        check("S3_SECRET_KEY = env(\"S3_SECRET_KEY\", default=None)", "S3_SECRET_KEY", false);
    }

    #[test]
    fn what_chooses_postgresql_is_seen() {
        let check = |line: &str, expected: &[(&str, &str)]| {
            let found = chooses_postgres(line);
            let found: Vec<(&str, &str)> = found.iter().map(|(a, b)| (&**a, &**b)).collect();
            assert_eq!(found, expected, "{line}");
        };
        check("if os.getenv(\"DB\") == \"postgres\":", &[("DB", "postgres")]);
        check("elif env('DB_TYPE') in ('postgresql', 'pg'):", &[("DB_TYPE", "postgresql")]);
        check("if os.getenv(\"DB\") == \"mysql\":", &[]);
        check("X = os.getenv(\"DB\") == \"postgres\"", &[]);
        check("if kind(\"DB\") == \"postgres\":", &[]);
    }

    #[test]
    fn what_git_fetches_is_seen() {
        let lock = "version = 1\n\n[[package]]\nname = \"a\"\nsource = { registry = \"x\" }\n\n\
                    [[package]]\nname = \"b\"\nsource = { git = \"https://git.example/b?rev=1#2\" }\n";
        assert_eq!(from_git(lock), ["b"]);
    }

    #[test]
    fn a_path_begins_with_what_its_variable_is() {
        let check = |settings: &str, expression: &str, expected: Option<&str>| {
            let texts = [("shop/settings/base.py", settings)];
            let found = folder_of(&texts, expression, 4);
            assert_eq!(found.as_deref(), expected, "{settings}: {expression}");
        };
        let wagtail = "PROJECT_DIR = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))\n\
                       BASE_DIR = os.path.dirname(PROJECT_DIR)\n";
        check(wagtail, "os.path.join(PROJECT_DIR, 'static')", Some("shop"));
        check(wagtail, "os.path.join(BASE_DIR, 'static')", Some(""));
        check("ROOT = Path(__file__).resolve().parent.parent", "ROOT / 'x'", Some("shop"));
        check("ROOT = Path(__file__).resolve().parents[2]", "ROOT / 'x'", Some(""));
        check("ROOT = environ.Path(__file__) - 3", "str(ROOT('x'))", Some(""));
        check("ROOT = Path(__file__).parents[2]\nAPPS = ROOT / 'shop'", "APPS / 'x'", Some("shop"));
        check("ROOT = Path(__file__).parents[3]", "ROOT / 'x'", None);
        check("", "BASE_DIR / 'x'", Some(""));
        let asked =
            "TOP = Path(__file__).parents[2]\nDATA = Path(os.environ.get('APP_DATA', TOP.parent))";
        check(asked, "DATA / 'x'", None);
        check("", "'x'", Some(""));
    }

    #[test]
    fn a_statement_ends_where_its_brackets_do() {
        let check = |text: &str, expected: &str| {
            assert_eq!(statement(text, "STATIC_ROOT").as_deref(), Some(expected));
        };
        check(
            "A = 1\nSTATIC_ROOT = os.path.join(\n    BASE_DIR,\n    'x',\n)\nB = 2",
            "STATIC_ROOT = os.path.join(BASE_DIR,'x',)",
        );
        check("STATIC_ROOT = BASE_DIR / 'x'\nB = 2", "STATIC_ROOT = BASE_DIR / 'x'");
    }

    #[test]
    fn a_switch_that_is_on_by_default_is_seen() {
        let check = |line: &str, name: &str, on: bool| assert_eq!(is_on(line, name), on, "{line}");
        check("DEBUG = envbool(\"DEBUG\", \"True\")", "DEBUG", true);
        check("DEBUG = env.bool('DJANGO_DEBUG', True)", "DJANGO_DEBUG", true);
        check("DEBUG = config('DEBUG', default=True, cast=bool)", "DEBUG", true);
        check("DEBUG = os.getenv('DEBUG') == 'True'", "DEBUG", false);
        check("DEBUG = env.bool('DEBUG', False)", "DEBUG", false);
        let check =
            |line: &str, name: &str, is: bool| assert_eq!(is_debug(line, name), is, "{line}");
        check("DEBUG = env('SHOP_DEBUG')", "SHOP_DEBUG", true);
        check("SENTRY = env('SENTRY_DEBUG')", "SENTRY_DEBUG", false);
        check("DEBUG = os.environ['ENVIRONMENT'] != 'production'", "ENVIRONMENT", false);
    }
}
