use super::*;

fn answer(stdout: &str, stderr: &str, code: i32) -> Answer {
    Answer { code: Some(code), stdout: stdout.into(), stderr: stderr.into() }
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Ok(engine) => format!("{} {} ({})", engine.kind, engine.version, engine.why),
        Err(problem) => problem.what.clone(),
    }
}

#[test]
fn podman_s_answers() {
    let check = |answer: Answer, expected: &str| {
        let found = read_podman("podman", &answer, &Environment::default());
        assert_eq!(outcome(&found), expected);
    };
    check(answer(r#"{"Client":{"Version":"4.3.1"}}"#, "", 0), "podman 4.3.1 (it works)");
    check(
        answer(r#"{"Client":{"Version":"5.4.0"},"Server":{"Version":"5.2.1"}}"#, "", 0),
        "podman 5.2.1 (it works)",
    );
    check(
        answer(r#"{"Client":{"Version":"3.0.1"}}"#, "", 0),
        "Podman 3.0.1 is too old: 4.3.0 brings cache mounts with uid=, secrets from the environment",
    );
    check(answer("", "Error: cannot find it\n", 125), "`podman version` failed: cannot find it");
}

#[test]
fn docker_s_answers() {
    let check = |version: Answer, buildx: Option<Answer>, expected: &str| {
        let found = read_docker("docker", &version, buildx.as_ref(), &Environment::default());
        assert_eq!(outcome(&found), expected);
    };
    let both = r#"{"Client":{"Version":"20.10.24+dfsg1"},"Server":{"Version":"20.10.24+dfsg1"}}"#;
    let down = r#"{"Client":{"Version":"28.2.2"},"Server":null}"#;
    check(answer(both, "", 0), None, "docker 20.10.24 (it works)");
    check(
        answer(down, "Cannot connect to the Docker daemon\n", 1),
        Some(answer("v0.29", "", 0)),
        "its daemon doesn't answer: Cannot connect to the Docker daemon",
    );
    check(
        answer(down, "", 1),
        Some(answer("", "unknown command", 1)),
        "its client 28.2.2 has no buildx plugin, which BuildKit needs",
    );
}

#[test]
fn what_builds_says_its_platform() {
    let none = Environment::default();
    let podman = |text: &str| read_podman("podman", &answer(text, "", 0), &none);
    let docker = |text: &str| read_docker("docker", &answer(text, "", 0), None, &none);
    let check = |outcome: Outcome, expected: &str| {
        assert_eq!(outcome.unwrap().platform, expected);
    };
    check(podman(r#"{"Client":{"Version":"4.3.1","OsArch":"linux/amd64"}}"#), "linux/amd64");
    check(
        podman(
            r#"{"Client":{"Version":"5.4.0","OsArch":"darwin/arm64"},"Server":{"Version":"5.2.1","OsArch":"linux/arm64"}}"#,
        ),
        "linux/arm64",
    );
    check(podman(r#"{"Client":{"Version":"4.3.1"}}"#), "");
    check(
        docker(
            r#"{"Client":{"Version":"20.10.24"},"Server":{"Version":"20.10.24","Os":"linux","Arch":"amd64"}}"#,
        ),
        "linux/amd64",
    );
    check(docker(r#"{"Client":{},"Server":{"Version":"20.10.24"}}"#), "");
}

#[test]
fn a_working_podman_comes_before_a_working_docker_and_a_wish_before_both() {
    let good = |kind| Candidate {
        kind,
        program: kind.program().into(),
        outcome: Ok(Engine { why: "it works".into(), ..Engine::assumed(kind) }),
    };
    let bad = |kind: EngineKind| Candidate {
        kind,
        program: kind.program().into(),
        outcome: Err(Problem::new("is down", "start it")),
    };
    let (podman, docker) = (EngineKind::Podman, EngineKind::Docker);
    let check = |asked, candidates: &[Candidate], expected: &str| {
        let text = match choose(asked, candidates) {
            Ok(engine) => format!("{}: {}", engine.kind, engine.why),
            Err(error) => error.to_string(),
        };
        assert_eq!(text, expected);
    };
    check(None, &[good(podman), good(docker)], "podman: it works");
    check(None, &[bad(podman), good(docker)], "docker: it works; not podman: is down");
    check(
        Some((docker, "--engine")),
        &[good(podman), good(docker)],
        "docker: --engine asks for it",
    );
    let mut far = good(docker);
    if let Ok(engine) = &mut far.outcome {
        engine.place = Some("a remote Docker".into());
    }
    check(None, &[far], "docker: it works; a remote Docker");
    check(None, &[bad(podman)], "looking for an engine: no Podman or Docker that works");
    check(
        Some((podman, "XTASK_ENGINE")),
        &[good(docker)],
        "looking for an engine: no Podman on PATH (XTASK_ENGINE asks for it)",
    );
}
