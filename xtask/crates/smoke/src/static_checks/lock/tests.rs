//! The comparison with a lock, on a small one, and on that of this repository.

use super::*;

fn app() -> App {
    App { folder: ".".to_owned(), ..App::default() }
}

const LOCK: &str = r#"
version = 1

[[package]]
name = "project"
version = "0"
source = { virtual = "." }
dependencies = [
    { name = "web", extra = ["tls"] },
    { name = "old", marker = "python_full_version < '3.11'" },
    { name = "fork", version = "1.0", marker = "python_version < '3.12'" },
    { name = "fork", version = "2.0", marker = "python_version >= '3.12'" },
]

[package.dev-dependencies]
dev = [{ name = "tester" }]

[[package]]
name = "web"
version = "5.2"
dependencies = [{ name = "core" }]

[package.optional-dependencies]
tls = [{ name = "crypto" }]
other = [{ name = "tester" }]

[[package]]
name = "core"
version = "1"
dependencies = [{ name = "web" }]

[[package]]
name = "crypto"
version = "44"

[[package]]
name = "old"
version = "1"

[[package]]
name = "fork"
version = "1.0"

[[package]]
name = "fork"
version = "2.0"

[[package]]
name = "tester"
version = "8"
"#;

fn map(items: &[(&str, &str)]) -> BTreeMap<String, String> {
    items.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn python(version: &str) -> BTreeMap<String, String> {
    map(&[("python_version", version), ("python_full_version", version)])
}

#[test]
fn what_is_installed_is_what_is_locked_for_production() {
    let good = [("core", "1"), ("crypto", "44"), ("fork", "1.0"), ("web", "5.2")];
    let check = |change: &[(&str, &str)], gone: &[&str], expected: &[&str]| {
        let mut installed = map(&good);
        installed.extend(map(change));
        installed.retain(|name, _| !gone.contains(&name.as_str()));
        let found = lock(&app(), LOCK, &python("3.11"), &installed);
        let evidence: Vec<String> = expected.iter().map(ToString::to_string).collect();
        assert_eq!(found, Verdict::from_evidence(evidence, "4 packages, as locked"));
    };
    check(&[], &[], &[]);
    check(&[], &["crypto"], &["crypto 44: locked and not installed"]);
    check(&[("web", "5.1")], &[], &["web 5.1: installed, but 5.2 is locked"]);
    check(&[("web", "5.1 and 5.2")], &[], &["web 5.1 and 5.2: installed, but 5.2 is locked"]);
    check(&[("fork", "2.0")], &[], &["fork 2.0: installed, but 1.0 is locked"]);
    let other = "installed, but locked for development, or for another platform";
    check(&[("tester", "8")], &[], &[&format!("tester 8: {other}")]);
    check(&[("old", "1")], &[], &[&format!("old 1: {other}")]);
    check(&[("pip", "23")], &[], &["pip 23: installed, but not in uv.lock"]);
    // Another Python needs other packages.
    let needed = |version| UvLock::parse(LOCK).unwrap().needed(&app(), &python(version)).unwrap();
    assert_eq!(needed("3.12")["fork"], "2.0");
    assert_eq!(needed("3.10")["old"], "1");
}

#[test]
fn a_lock_that_is_not_understood_fails_the_check() {
    let check = |text: &str, expected: &str| {
        let found = lock(&app(), text, &python("3.11"), &Packages::new());
        assert_eq!(found, Verdict::Failed(vec![format!("reading uv.lock: {expected}")]));
    };
    check("", "it has no packages");
    check("[[package]]\nversion = '1'", "a package has no name");
    check("[[package]]\nname = 'a'", "it has no project, a package with the source `.`");
    let root = "[[package]]\nname = 'p'\nsource = { editable = '.' }\ndependencies = ";
    check(&format!("{root}[{{ name = 'a' }}]"), "a is needed and not there");
    check(
        &format!("{root}[{{ name = 'a', marker = 'colour == 1' }}]"),
        "the marker of a, `colour == 1`: the variable `colour` is not known",
    );
}

#[test]
fn the_listing_is_read_with_normalized_names() {
    let text = r#"{"markers": {"os_name": "posix"},
        "installed": [["Django", "5.2"], ["zope.interface", "8"], ["a__b-C", "1"], ["django", "5.1"]]}"#;
    let (markers, installed) = listing(text).unwrap();
    assert_eq!(markers, map(&[("os_name", "posix")]));
    let expected = [("a-b-c", "1"), ("django", "5.2 and 5.1"), ("zope-interface", "8")];
    assert_eq!(installed, map(&expected));
    assert!(listing("Traceback").is_err());
}

#[test]
fn the_lock_of_this_repository_is_understood() {
    let text = include_str!("../../../../../../app/uv.lock");
    let mut values = python("3.12");
    let others = ["os_name", "sys_platform", "platform_machine", "platform_system"];
    values.extend(map(&others.map(|name| (name, "linux"))));
    values.extend(map(&[("platform_python_implementation", "CPython"), ("extra", "")]));
    values.extend(map(&[("implementation_name", "cpython")]));
    let needed = UvLock::parse(text).unwrap().needed(&app(), &values).unwrap();
    assert!(needed.contains_key("django") && needed.contains_key("psycopg-binary"), "{needed:?}");
    assert!(!needed.contains_key("pytest") && !needed.contains_key("ruff"), "{needed:?}");
}

#[test]
fn groups_and_extras_that_production_has_are_needed() {
    let needed = |app: &App| UvLock::parse(LOCK).unwrap().needed(app, &python("3.11")).unwrap();
    assert!(!needed(&app()).contains_key("tester"));
    let with = App { groups: vec!["dev".to_owned()], ..app() };
    assert_eq!(needed(&with)["tester"], "8");
}

#[test]
fn a_list_of_requirements_is_a_lock() {
    let list = |unhashed| App {
        lock: app::LockFile::Requirements { file: "list.txt".to_owned(), dev: None, unhashed },
        ..app()
    };
    let installed = map(&[("web", "5.2"), ("core", "1")]);
    let found = |app: &App| lock(app, "web==5.2\n", &python("3.11"), &installed);
    let more = "core 1: installed, but not in list.txt".to_owned();
    assert_eq!(found(&list(false)), Verdict::Failed(vec![more]));
    let fact = "1 packages of list.txt, which has no hashes".to_owned();
    assert_eq!(found(&list(true)), Verdict::Passed(fact));
}
