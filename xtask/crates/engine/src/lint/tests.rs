use super::*;
use expect_test::expect;

const BASE: &str = "FROM docker.io/library/python:3.12 AS one\n";

/// The rules that `lines`, after a stage `one` has begun, trip, with their lines in `lines`.
fn found(lines: &str) -> Vec<String> {
    let all = lint(&format!("{BASE}{lines}"));
    all.iter().map(|finding| format!("{}:{}", finding.line - 1, finding.rule)).collect()
}

/// Each rule: what trips it, and what is like it and doesn't.
const CASES: &[(&str, &str, &str)] = &[
    ("shell", "SHELL [\"/bin/bash\", \"-c\"]", "RUN echo SHELL"),
    ("here-document", "RUN <<EOF\nUSER 1\nEOF", "RUN cat <<<x; echo \"a <<EOF\"; echo $((1<<2))"),
    ("here-document", "COPY <<-'end' /file\nFROM x\n\tend", "ENV A=<<EOF"),
    (
        "mount-from",
        "FROM one AS two\nRUN --mount=type=cache,from=one,target=/x true",
        "COPY --from=one /x /x",
    ),
    (
        "mount-from",
        "FROM one\nRUN --mount=from=0,target=/x true",
        "RUN --mount=type=bind,from=docker.io/library/redis:7,target=/x true",
    ),
    (
        "bind",
        "RUN --mount=type=bind,source=a,target=/a true",
        "RUN --mount=type=tmpfs,target=/a true",
    ),
    ("bind", "RUN --mount=target=/a true", "RUN echo --mount=target=/a"),
    (
        "label-argument",
        "ARG A=1\nLABEL a=b \\\n    c=${A}",
        "ARG A=1\nENV A=2\nLABEL a=$A b=\\$A c=$NOTHING",
    ),
    ("label-argument", "ARG A\nLABEL a=\"x $A\"", "ARG A\nENV B=$A\nLABEL a=A"),
    ("copy-link", "COPY --link a b", "COPY a --link"),
    ("copy-exclude", "COPY --exclude=*.md a b", "COPY --chmod=755 a b"),
    ("copy-parents", "COPY --parents a/b /c", "COPY --chown=1:1 a b"),
    ("add-checksum", "ADD --checksum=sha256:1 https://a /b", "ADD --chown=1 a b"),
    ("run-network", "RUN --network=none true", "RUN ip --network=none"),
    (
        "start-interval",
        "HEALTHCHECK --interval=1s --start-interval=1s CMD true",
        "HEALTHCHECK --start-period=1s CMD true",
    ),
    (
        "cache-private",
        "RUN --mount=type=cache,target=/c,sharing=private true",
        "RUN --mount=type=cache,target=/c,sharing=locked true",
    ),
    (
        "mount-owner",
        "USER 1000:1000\nRUN --mount=type=cache,target=/c true",
        "USER 1000\nRUN --mount=type=cache,target=/c,uid=1000 true",
    ),
    (
        "mount-owner",
        "USER app\nFROM one\nRUN --mount=type=secret,id=a true",
        "USER app\nRUN --mount=type=secret,id=a,mode=0444 true\nUSER root\nRUN --mount=type=secret,id=a true",
    ),
    (
        "secret-variable",
        "RUN --mount=type=secret,id=a,env=A true",
        "RUN --mount=type=secret,id=a true",
    ),
    (
        "tmpfs-size",
        "RUN --mount=type=tmpfs,target=/t,size=1m true",
        "RUN --mount=type=tmpfs,target=/t true",
    ),
    ("short-name", "FROM python:3.12", "FROM one AS two\nFROM scratch\nFROM localhost/a:1"),
    ("short-name", "COPY --from=redis:7 /a /a", "FROM one\nCOPY --from=one a b\nCOPY --from=0 a b"),
];

#[test]
fn each_rule_has_a_line_that_trips_it_and_one_like_it_that_does_not() {
    for (rule, bad, good) in CASES {
        let last = bad.lines().count();
        let names: Vec<String> = found(bad).iter().map(|found| found.replace(':', " ")).collect();
        let expected = if *rule == "here-document" { 1 } else { last };
        assert_eq!(names, [format!("{expected} {rule}")], "{bad}");
        assert_eq!(found(good), Vec::<String>::new(), "{good}");
    }
    assert_eq!(found("RUN --mount=type=bind,rw,target=/a true"), ["1:bind", "1:bind-rw"]);
    assert_eq!(found("RUN --mount=rw=false,target=/a true"), ["1:bind"]);
    let tried = |name: &&str| CASES.iter().any(|(rule, ..)| rule == name);
    let left: Vec<&str> = rules::names().filter(|name| !tried(name)).collect();
    assert_eq!(left, ["syntax", "bind-rw"]);
}

#[test]
fn a_syntax_line_counts_only_above_everything() {
    let check = |text: &str, expected: Option<usize>| {
        let found = lint(&format!("{text}\n{BASE}"));
        assert_eq!(found.first().map(|finding| finding.line), expected, "{text}");
        assert!(found.iter().all(|finding| finding.rule == "syntax"));
    };
    check("# syntax=docker/dockerfile:1", Some(1));
    check("# escape=`\n#Syntax = docker/dockerfile:1", Some(2));
    check("# a comment\n# syntax=docker/dockerfile:1", None);
    check("\n# syntax=docker/dockerfile:1", None);
}

#[test]
fn arguments_before_the_first_stage_make_a_name_whole_or_leave_it_open() {
    let check = |text: &str, expected: &[&str]| {
        let rules: Vec<&str> = lint(text).iter().map(|finding| finding.rule).collect();
        assert_eq!(rules, expected, "{text}");
    };
    check("ARG V=3\nARG B=docker.io/library/python:${V}\nFROM ${B}\n", &[]);
    check("ARG B=python:3\nFROM --platform=linux/amd64 ${B}\n", &["short-name"]);
    check("ARG B\nFROM ${B}\n", &[]);
}

#[test]
fn a_comment_with_a_reason_lets_one_rule_through_in_one_place() {
    let check = |text: &str, expected: &[&str]| assert_eq!(found(text), expected, "{text}");
    check("# lint: allow copy-link our CI has Docker 28\nCOPY --link a b", &[]);
    check("# lint: allow copy-link why\n# more\nCOPY --link a b", &[]);
    check("RUN a \\\n# lint: allow cache-private why\n  b", &[]);
    check("# lint: allow copy-link why\n\nCOPY --link a b", &["3:copy-link"]);
    check("# lint: allow bind why\nCOPY --link a b", &["2:copy-link"]);
    check("# lint: allow copy-link\nCOPY --link a b", &["1:allow", "2:copy-link"]);
    check("# lint: allow nothing why\nCOPY a b", &["1:allow"]);
    check("# lint: allow copy-link why\nCOPY --link a b\nCOPY --link a b", &["3:copy-link"]);
    check("# lint: allow here-document why\nRUN <<A\nx\nA", &[]);
}

#[test]
fn findings_are_whole_sentences_at_the_line_of_the_flag() {
    let text =
        format!("{BASE}RUN --mount=type=cache,target=/c \\\n    --network=none \\\n    true\n");
    let lines: Vec<String> = lint(&text).iter().map(ToString::to_string).collect();
    expect![[r#"line 3: run-network: on Podman 4.3.1 (5.4.2 works), Docker 20.10.24 (26.1.5 works): refused; instead: an option of the tool itself, as `pip --no-index`"#]]
        .assert_eq(&lines.join("\n"));
}

#[test]
fn here_documents_are_read_over() {
    let text = "RUN <<ONE cat && <<TWO cat\nUSER 5\nONE\nSHELL x\nTWO\nRUN --mount=type=cache,target=/c true\n";
    assert_eq!(found(text), ["1:here-document"]);
}

#[test]
fn our_own_dockerfiles_pass() {
    for text in [
        include_str!("../../../../../docker/Dockerfile"),
        include_str!("../../../../../docker/Dockerfile.dev"),
    ] {
        assert_eq!(lint(text), []);
    }
}
