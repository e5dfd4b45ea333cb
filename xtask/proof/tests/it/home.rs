//! The first screen: `cargo xtask` alone.

use super::checkout::Checkout;
use super::fake_engine::with_podman;

fn row(checkout: &Checkout, name: &str) -> String {
    let ended = checkout.run(&[]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let start = format!("  {name:<10}");
    let line = ended.out.lines().find_map(|line| line.strip_prefix(&start));
    line.unwrap_or_else(|| panic!("{name}: {}", ended.out)).to_owned()
}

#[test]
fn the_first_screen_says_what_a_build_would_say() {
    let checkout = with_podman();
    assert_eq!(row(&checkout, "image"), "not built yet");
    assert_eq!(row(&checkout, "next"), "cargo xtask build");
    assert!(!checkout.path("calls").exists(), "no engine is asked");
    assert_eq!(checkout.run(&["build"]).code, Some(0));
    let calls = || std::fs::read_to_string(checkout.path("calls")).unwrap();
    let before = calls();
    let name = "localhost/senex_trader:prod, 5.0 MB: ";
    assert_eq!(row(&checkout, "image"), format!("{name}nothing changed since it was built"));
    assert_eq!(row(&checkout, "tested"), "not yet");
    assert_eq!(row(&checkout, "next"), "cargo xtask smoke-test");
    checkout.write("app/new.py", "");
    checkout.write("app/newer.py", "");
    assert_eq!(
        row(&checkout, "image"),
        format!("{name}out of date: app/new.py and 1 more changed")
    );
    assert_eq!(row(&checkout, "changes"), "app/new.py and 1 more; in the image");
    assert_eq!(row(&checkout, "next"), "cargo xtask build");
    assert_eq!(calls(), before, "no engine is asked");
    // A commit changes labels alone.
    checkout.git(&["add", "--all"]);
    checkout.git(&["commit", "--quiet", "--message", "x"]);
    assert_eq!(checkout.run(&["build"]).code, Some(0));
    checkout.git(&["commit", "--quiet", "--allow-empty", "--message", "y"]);
    let why = "out of date: the commit, a setting or the base changed";
    assert_eq!(row(&checkout, "image"), format!("{name}{why}"));
    let json = checkout.run(&["--format", "json"]).out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["next"], "cargo xtask build");
    assert_eq!(json["state"], why);
    std::fs::remove_file(checkout.path("app/manage.py")).unwrap();
    assert!(row(&checkout, "image").contains("can't be built: looking at the project in app/"));
    assert_eq!(row(&checkout, "next"), "cargo xtask doctor");
}
