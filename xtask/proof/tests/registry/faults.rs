//! Every fault on every kind of request, once and always.

use super::bench::on_podman;
use super::cases::{ALWAYS, Case, Stage, check, rule};
use super::proxy::{Fault, Kind, Rule, Who};
use super::workshop::{Watch, holds_secret};
use std::time::Duration;

fn status(status: u16) -> Fault {
    Fault::Status(status, None)
}

/// 503 on each kind of request of the engine's and of ours: what passes is done again, what
/// doesn't pass is exit 6.
fn failing() -> Vec<Case> {
    let mut cases = Vec::new();
    let engine =
        [Kind::BlobHead, Kind::UploadStart, Kind::UploadData, Kind::UploadEnd, Kind::ManifestPut];
    let ours = [Kind::UploadStart, Kind::ManifestRead, Kind::ManifestPut, Kind::Tags];
    let engine = engine.map(|kind| (Who::Engine, kind));
    for (who, kind) in engine.into_iter().chain(ours.map(|kind| (Who::Ours, kind))) {
        let asks = if who == Who::Engine { "engine" } else { "own" };
        let name = format!("503, {kind:?} of {asks}");
        cases.push(Case::new(format!("{name}, once"), vec![rule(who, kind, 1, status(503))], &[0]));
        let rules = vec![rule(who, kind, ALWAYS, status(503))];
        cases.push(Case::new(format!("{name}, always"), rules, &[6]));
    }
    cases
}

fn limited() -> Vec<Case> {
    let wait = |seconds| Fault::Status(429, Some(seconds));
    vec![
        Case::new(
            "429, ManifestPut of engine, Retry-After of the next answer",
            vec![
                rule(Who::Engine, Kind::ManifestPut, 1, wait(1)),
                Rule { skip: 1, ..rule(Who::Ours, Kind::UploadStart, 1, wait(2)) },
            ],
            &[0],
        ),
        Case::new(
            "429, ManifestRead of own, Retry-After 1",
            vec![rule(Who::Ours, Kind::ManifestRead, 1, wait(1))],
            &[0],
        ),
        Case::new(
            "429, ManifestPut of own, always, Retry-After 0",
            vec![rule(Who::Ours, Kind::ManifestPut, ALWAYS, wait(0))],
            &[6],
        ),
        Case {
            pushes: 0,
            ..Case::new(
                "429, UploadStart of own, Retry-After of a day",
                vec![rule(Who::Ours, Kind::UploadStart, 1, wait(86_400))],
                &[6],
            )
        },
        Case::new(
            "408, ManifestRead of own, once",
            vec![rule(Who::Ours, Kind::ManifestRead, 1, status(408))],
            &[0],
        ),
    ]
}

fn broken() -> Vec<Case> {
    let engine = |kind, times, fault| vec![rule(Who::Engine, kind, times, fault)];
    let ours = |kind, times, fault| vec![rule(Who::Ours, kind, times, fault)];
    let silent = |name: &str, rules, exit| Case {
        timeout: 10,
        pushes: 2,
        ..Case::new(name, rules, &[exit])
    };
    vec![
        Case::new("reset, UploadData, once", engine(Kind::UploadData, 1, Fault::Reset), &[0]),
        Case::new(
            "reset, UploadData, always",
            engine(Kind::UploadData, ALWAYS, Fault::Reset),
            &[6],
        ),
        Case::new(
            "reset, ManifestPut of engine, once",
            engine(Kind::ManifestPut, 1, Fault::Reset),
            &[0],
        ),
        Case::new(
            "reset, ManifestPut of engine, always",
            engine(Kind::ManifestPut, ALWAYS, Fault::Reset),
            &[6],
        ),
        Case::new(
            "reset, ManifestPut of own, once",
            ours(Kind::ManifestPut, 1, Fault::Reset),
            &[0],
        ),
        Case::new(
            "reset, connection, three times",
            vec![rule(Who::Anybody, Kind::Connection, 3, Fault::Reset)],
            &[0],
        ),
        // Docker's daemon never gives up a transfer, and joins the next push to it.
        silent(
            "silence, UploadData, once",
            engine(Kind::UploadData, 1, Fault::Silence),
            if on_podman() { 0 } else { 6 },
        ),
        silent("silence, UploadData, always", engine(Kind::UploadData, ALWAYS, Fault::Silence), 6),
        silent(
            "silence, ManifestPut of engine, once",
            engine(Kind::ManifestPut, 1, Fault::Silence),
            0,
        ),
        silent(
            "silence, ManifestRead of own, once",
            ours(Kind::ManifestRead, 1, Fault::Silence),
            0,
        ),
        silent(
            "silence, ManifestPut of own, always",
            ours(Kind::ManifestPut, ALWAYS, Fault::Silence),
            6,
        ),
        silent(
            "silence, connection, always",
            vec![rule(Who::Anybody, Kind::Connection, ALWAYS, Fault::Silence)],
            6,
        ),
        Case::new(
            "wrong digest, ManifestRead of own, always",
            ours(Kind::ManifestRead, ALWAYS, Fault::WrongDigest),
            &[10],
        ),
        Case::new(
            "wrong digest, ManifestPut of own, once",
            ours(Kind::ManifestPut, 1, Fault::WrongDigest),
            &[10],
        ),
    ]
}

/// What is final is final at once: one try.
fn refused() -> Vec<Case> {
    let engine = |kind, code| vec![rule(Who::Engine, kind, ALWAYS, status(code))];
    let ours = |kind, code| vec![rule(Who::Ours, kind, ALWAYS, status(code))];
    let cases = [
        ("401, UploadStart of engine", engine(Kind::UploadStart, 401)),
        ("403, ManifestPut of engine", engine(Kind::ManifestPut, 403)),
        ("404, UploadStart of own", ours(Kind::UploadStart, 404)),
        ("403, ManifestPut of own", ours(Kind::ManifestPut, 403)),
        ("401, ManifestRead of own", ours(Kind::ManifestRead, 401)),
    ];
    cases
        .into_iter()
        .map(|(name, rules)| Case { pushes: 1, ..Case::new(name, rules, &[7]) })
        .collect()
}

/// What a registry may refuse without any harm: a rerun would be refused the same way.
fn harmless() -> Vec<Case> {
    let unread = rule(Who::Ours, Kind::ManifestRead, 1, status(403));
    vec![
        Case::new(
            "403, Tags of own, always",
            vec![rule(Who::Ours, Kind::Tags, ALWAYS, status(403))],
            &[0],
        ),
        Case::new("403, what isn't there yet", vec![Rule { path: "/2.0.0", ..unread }], &[0]),
    ]
}

fn dying() -> Vec<Case> {
    let dies = |name: &str, who, kind, skip| Case {
        dies: true,
        ..Case::new(name, vec![Rule { skip, ..rule(who, kind, 1, Fault::Reset) }], &[6])
    };
    vec![
        dies("dies at UploadData", Who::Engine, Kind::UploadData, 0),
        dies("dies at ManifestPut of engine", Who::Engine, Kind::ManifestPut, 0),
        dies("dies at the second name", Who::Ours, Kind::ManifestPut, 0),
        dies("dies at latest", Who::Ours, Kind::ManifestPut, 1),
    ]
}

fn tokens() -> Vec<Case> {
    let case =
        |name: &str, rules, exits: &[i32]| Case { tokens: true, ..Case::new(name, rules, exits) };
    vec![
        case("tokens, no fault", Vec::new(), &[0]),
        case("tokens, 503, Token, once", vec![rule(Who::Ours, Kind::Token, 1, status(503))], &[0]),
        case(
            "tokens, 503, Token of own, always",
            vec![rule(Who::Ours, Kind::Token, ALWAYS, status(503))],
            &[6],
        ),
        case(
            "tokens, 401, Token of own",
            vec![rule(Who::Ours, Kind::Token, ALWAYS, status(401))],
            &[7],
        ),
        case(
            "tokens, 403, Token of engine",
            vec![rule(Who::Engine, Kind::Token, ALWAYS, status(403))],
            &[7],
        ),
    ]
}

#[test]
fn every_fault_ends_in_success_or_in_its_exit_code_and_a_rerun_completes() {
    let stage = Stage::new();
    let mut cases = vec![Case::new("no fault", Vec::new(), &[0])];
    if on_podman() {
        cases.extend(failing().into_iter().chain(limited()).chain(broken()));
        cases.extend(refused().into_iter().chain(harmless()).chain(dying()).chain(tokens()));
    } else {
        // How Docker differs: its daemon pushes, with its own patience.
        let chosen = ["ManifestPut of engine, once", "UploadData, once", "UploadStart of engine"];
        let all = failing().into_iter().chain(broken()).chain(refused()).chain(tokens());
        cases.extend(all.filter(|case| {
            let own = case.name.contains("of own") && !case.name.contains("always");
            case.name.starts_with("tokens, no fault")
                || own
                || chosen.iter().any(|end| case.name.ends_with(end))
        }));
    }
    let watch = Watch::start();
    // They mostly wait.
    check(&stage, cases, 6);
    let (rounds, found) = watch.end();
    assert!(rounds > 20, "{rounds}");
    assert!(found.is_empty(), "{found:#?}");
    let records = stage.workshop.records();
    assert!(records.contains(" push ") && !holds_secret(&records));
}

/// In the nightly tests: each push moves 400 MB.
#[test]
fn large_image_survives_what_a_small_one_does() {
    let mut stage = Stage::new();
    stage.workshop.enlarge(400_000_000);
    let data = |times, fault| vec![rule(Who::Engine, Kind::UploadData, times, fault)];
    let case = |name, rules, timeout, exit| Case {
        timeout,
        within: 900,
        ..Case::new(name, rules, &[exit])
    };
    // 13,000 pieces; the default of `--timeout` for this image.
    let (slow, patient) = (Fault::Slow(Duration::from_millis(4)), 460);
    let cases = vec![
        case("400 MB, 503 twice", data(2, status(503)), patient, 0),
        case("400 MB, reset", data(1, Fault::Reset), patient, 0),
        case("400 MB, slow", data(ALWAYS, slow.clone()), patient, 0),
        case("400 MB, slower than its timeout", data(ALWAYS, slow), 20, 6),
    ];
    check(&stage, cases, 1);
}
