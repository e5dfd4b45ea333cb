//! `export quadlet` writes the units of a server, and replaces only what it has written.

use super::checkout::Checkout;
use std::fs;

const UNITS: [&str; 11] = [
    ".network",
    "-postgres.container",
    "-database.volume",
    "-redis.container",
    "-redis.volume",
    "-migrate.container",
    "-web.container",
    "-media.volume",
    "-worker.container",
    "-beat.container",
    "-schedule.volume",
];

#[test]
fn the_units_of_a_server_are_written_and_one_of_another_hand_stays() {
    let checkout = Checkout::new();
    let place = ["--registry", "registry.example/team"];
    let export = |words: &[&str]| {
        checkout.run(&[&["export", "quadlet", "server/units"], &place[..], words].concat())
    };
    let lines = |what: &str| UNITS.map(|unit| format!("{what} server/units/senex_trader{unit}"));
    assert_eq!(export(&["--dry-run"]).good(), lines("would write").join("\n"));
    assert!(!checkout.path("server").exists());
    assert_eq!(export(&[]).good(), lines("wrote").join("\n"));
    let web = checkout.path("server/units/senex_trader-web.container");
    let text = fs::read_to_string(&web).unwrap();
    assert!(text.contains("\nImage=registry.example/team:production\n"), "{text}");
    assert_eq!(export(&[]).good(), "everything is up to date");
    fs::write(&web, text.replace("PidsLimit=200", "PidsLimit=300")).unwrap();
    let again = export(&["--environment", "production"]).good();
    assert_eq!(again, "wrote server/units/senex_trader-web.container");
    assert_eq!(fs::read_to_string(&web).unwrap(), text);
    fs::write(&web, "[Container]\n").unwrap();
    let ended = export(&["--environment", "staging"]);
    let message = "error: writing server/units/senex_trader-web.container: there is one that";
    assert!(ended.code == Some(2) && ended.err.starts_with(message), "{}", ended.err);
    let worker = checkout.path("server/units/senex_trader-worker.container");
    assert!(!fs::read_to_string(worker).unwrap().contains(":staging"), "nothing else is written");
}

#[test]
fn units_need_a_registry_and_a_tag() {
    let checkout = Checkout::new();
    let check = |words: &[&str], message: &str, help: &str| {
        let ended = checkout.run(&[&["export", "quadlet", "units"], words].concat());
        assert_eq!(ended.code, Some(2), "{}", ended.err);
        assert!(ended.err.contains(message) && ended.err.contains(help), "{}", ended.err);
        assert!(!checkout.path("units").exists());
    };
    let none = "error: choosing the repository: none is named\n";
    check(&[], none, "[push] registries = [\"registry.example/team/NAME\"]");
    let place = ["--registry", "registry.example", "--environment", "a/b"];
    check(&place, "error: following the environment \"a/b\": it is no tag\n", "help: letters");
}
