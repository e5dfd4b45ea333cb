use super::*;

/// The marks around the tables in the documentation.
const MARKS: [&str; 2] =
    ["<!-- capabilities: made from the table in the code -->\n", "<!-- end of capabilities -->"];

/// The versions that were looked at, and whether the whole workflow is tested on them.
const VERSIONS: [(EngineKind, EngineVersion, &str); 5] = [
    (
        EngineKind::Podman,
        EngineVersion(4, 3, 1),
        "tested by `cargo xtask test --all`, as root and, its core, as an ordinary user",
    ),
    (
        EngineKind::Podman,
        EngineVersion(5, 4, 2),
        "tested by `cargo xtask test --nightly`, in its own Debian 13",
    ),
    (EngineKind::Docker, EngineVersion(20, 10, 24), "tested by `cargo xtask test --all`"),
    (
        EngineKind::Docker,
        EngineVersion(26, 1, 5),
        "tested, with buildx 0.13.1, by `cargo xtask test --nightly`",
    ),
    (
        EngineKind::Docker,
        EngineVersion(28, 5, 2),
        "expected to work; what a Dockerfile can ask for was measured on it",
    ),
];

/// The tables of `docs/engines.md`.
fn markdown() -> String {
    let mut text = String::from("| | Podman | Docker | why | instead |\n|---|---|---|---|---|\n");
    for row in &rows::TABLE {
        let (podman, docker) = (cell(row.podman), cell(row.docker));
        // A bar ends a cell, also inside code.
        let line =
            [row.what, &podman, &docker, row.why, row.instead].map(|cell| cell.replace('|', "\\|"));
        text += &format!("| {} |\n", line.join(" | "));
    }
    text += "\n| engine | version | |\n|---|---|---|\n";
    for (kind, version, how) in VERSIONS {
        text += &format!("| {} | {version} | {how} |\n", kind.title());
    }
    text
}

/// What was seen, not what lies between.
fn cell(works: Works) -> String {
    match works {
        Works::Always => "yes".to_owned(),
        Works::Never => "no".to_owned(),
        Works::Between(last, first) => format!("not {last}, but {first}"),
    }
}

#[test]
fn the_table_decides_by_engine_and_version() {
    use Capability::*;
    let podman = Engine::assumed(EngineKind::Podman);
    let docker = Engine::assumed(EngineKind::Docker);
    let check = |capability, on_podman, on_docker| {
        assert_eq!(row(capability).capability, capability, "has a row of its own");
        assert_eq!(has(&podman, capability), on_podman, "{capability:?} on Podman");
        assert_eq!(has(&docker, capability), on_docker, "{capability:?} on Docker");
    };
    check(FormatOption, true, false);
    check(PullNever, true, false);
    check(SeveralPlatforms, false, false);
    check(TagsAtOnce, true, false);
    check(ExactHistory, true, false);
    check(LabelsAnyStage, false, true);
    check(ProxiesPassed, true, false);
    check(ShellKept, false, true);
    check(SyntaxLine, true, false);
    check(HereDocuments, false, false);
    check(MountFromStage, false, true);
    check(BindMountFresh, false, true);
    check(BindMountApart, false, true);
    check(LabelFollowsArgument, false, true);
    check(CopyLink, false, false);
    check(CopyExclude, false, false);
    check(CopyParents, false, false);
    check(AddChecksum, false, false);
    check(RunNetwork, false, false);
    check(StartInterval, false, false);
    check(PrivateCache, false, true);
    check(MountForOthers, false, false);
    check(SecretInVariable, false, false);
    check(TmpfsSize, false, false);
    check(ShortNames, false, true);
    check(TmpfsMode, false, true);
    let old = Engine { version: EngineVersion(4, 2, 9), ..podman };
    assert!(!has(&old, FormatOption));
    let error = require(&docker, PullNever).unwrap_err();
    assert_eq!(process::failure::describe(&error).0, Exit::Usage);
}

#[test]
fn nothing_is_claimed_about_versions_that_nobody_looked_at() {
    use Capability::*;
    let check = |kind, version, capability, expected: (bool, bool)| {
        let engine = Engine { version, ..Engine::assumed(kind) };
        let found = (has(&engine, capability), breaks(&engine, capability));
        assert_eq!(found, expected, "{capability:?} on {kind} {version}");
    };
    check(EngineKind::Podman, EngineVersion(4, 3, 1), HereDocuments, (false, true));
    check(EngineKind::Podman, EngineVersion(4, 9, 3), HereDocuments, (false, false));
    check(EngineKind::Podman, EngineVersion(5, 4, 2), HereDocuments, (true, false));
    check(EngineKind::Docker, EngineVersion(20, 10, 24), CopyLink, (false, true));
    check(EngineKind::Docker, EngineVersion(28, 5, 2), CopyLink, (true, false));
    check(EngineKind::Podman, EngineVersion(5, 4, 2), CopyLink, (false, true));
    // Lost only without the option that the workflow always gives.
    check(EngineKind::Podman, EngineVersion(4, 3, 1), ShellKept, (false, false));
}

#[test]
fn those_who_lack_something_are_named_with_their_versions() {
    let check = |capability, expected: &str| assert_eq!(lacking(capability).0, expected);
    check(Capability::MountForOthers, "every Podman, every Docker");
    check(Capability::ShortNames, "every Podman");
    check(Capability::RunNetwork, "Podman 4.3.1 (5.4.2 works), Docker 20.10.24 (26.1.5 works)");
}

/// `UPDATE_EXPECT=1 cargo test --workspace` writes the tables anew.
#[test]
fn the_documentation_has_the_table() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/engines.md");
    let text = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once(MARKS[0]).unwrap();
    let (found, after) = rest.split_once(MARKS[1]).unwrap();
    let expected = format!("\n{}\n", markdown());
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let text = format!("{before}{}{expected}{}{after}", MARKS[0], MARKS[1]);
        std::fs::write(&file, text).unwrap();
    } else {
        assert_eq!(found, expected, "UPDATE_EXPECT=1 cargo test --workspace writes it anew");
    }
}
