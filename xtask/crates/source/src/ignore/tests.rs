//! What one pattern and one file of patterns mean, as tables.

use super::{Ignore, RULES};
use process::failure::{Exit, describe};

/// True when `path` enters the context by the patterns `text`, by every engine's rule.
fn included(text: &str, path: &str) -> bool {
    let ignore = Ignore::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    let components: Vec<&str> = path.split('/').collect();
    // As `context` walks: what is below an excluded folder counts only if a `!` names it.
    let mut verdicts = RULES.map(|_| true);
    for n in 1..=components.len() {
        let here = ignore.at(&components[..n]);
        verdicts = RULES.map(|rule| ignore.included(&here, rule));
        let walked = verdicts[0] || ignore.reaches_into(&components[..n]);
        if n < components.len() && !walked {
            return false;
        }
    }
    assert!(verdicts.iter().all(|&one| one == verdicts[0]), "{text:?} {path}: {verdicts:?}");
    assert_eq!(ignore.verdict(path).included, verdicts[0], "{text:?} {path}");
    verdicts[0]
}

/// Pattern, paths that it excludes, paths that it leaves.
type Case = (&'static str, &'static [&'static str], &'static [&'static str]);

fn check(cases: &[Case]) {
    for (text, out, left) in cases {
        for path in *out {
            assert!(!included(text, path), "{text:?} leaves {path:?}");
        }
        for path in *left {
            assert!(included(text, path), "{text:?} excludes {path:?}");
        }
    }
}

#[test]
fn names_are_whole_components_from_the_root() {
    check(&[
        ("a", &["a", "a/b", "a/b/c"], &["A", "ab", "b/a", "ba"]),
        ("a/b", &["a/b", "a/b/c"], &["a", "a/c", "b", "c/a/b", "a/bc"]),
        ("x y", &["x y", "x y/z"], &["x", "xy"]),
        ("ä", &["ä"], &["a"]),
        ("a.b", &["a.b"], &["aXb"]),
        ("*$py.class", &["a$py.class", "$py.class"], &["apy.class"]),
    ]);
}

#[test]
fn slashes_and_dots_are_cleaned() {
    check(&[
        ("/a", &["a", "a/b"], &["b/a"]),
        ("a/", &["a", "a/b"], &["b/a", "ab"]),
        ("/a/b/", &["a/b", "a/b/c"], &["a"]),
        ("./a//b/.", &["a/b"], &["a", "b"]),
        ("a/../b", &["b"], &["a"]),
        ("**/a/", &["a", "b/a", "b/a/c"], &["ab"]),
    ]);
}

#[test]
fn a_star_stays_in_its_component() {
    check(&[
        ("*", &["a", "a/b", ".env"], &[]),
        ("*.py", &["a.py", ".py", "a.b.py", "a.py/b"], &["a.pyc", "b/a.py", "apy"]),
        ("a*", &["a", "ab", "abc/d"], &["ba", "b/a"]),
        ("a*c*e", &["ace", "abcde", "acece", "aceXe"], &["acef", "ae", "a/c/e"]),
        ("*/a", &["b/a", "b/a/c"], &["a", "b/c/a"]),
        ("b/*", &["b/a", "b/a/c"], &["b", "a/b"]),
        ("*~", &["a~", "~"], &["a~b"]),
    ]);
}

#[test]
fn two_stars_cross_components() {
    check(&[
        ("**", &["a", "a/b"], &[]),
        ("**/a", &["a", "b/a", "b/c/a", "b/a/c"], &["ab", "b/ba"]),
        ("**/*.py", &["a.py", "b/a.py", "b/c/a.py"], &["a.pyc", "b/a"]),
        ("b/**", &["b/a", "b/a/c"], &["b", "a/b"]),
        ("b/**/a", &["b/a", "b/c/a", "b/c/d/a", "b/a/x"], &["a", "b", "c/b/a"]),
        ("**/b/**/a", &["b/a", "x/b/c/a"], &["a", "x/a"]),
        ("*/**", &["a/b", "a/b/c"], &["a"]),
    ]);
}

/// Each `**` and `*` more made a match many times slower.
#[test]
fn a_pattern_of_many_stars_is_matched_at_once() {
    let deep = format!("{}x\n", "**/".repeat(12));
    let stars = format!("**/{}b\n", "*a".repeat(12));
    let path = format!("{}/{}", ["a"; 40].join("/"), "a".repeat(200));
    let start = std::time::Instant::now();
    for text in [deep, stars] {
        assert!(included(&text, &path), "{text}");
    }
    assert!(start.elapsed() < std::time::Duration::from_secs(60), "{:?}", start.elapsed());
}

#[test]
fn question_marks_and_classes_are_one_character() {
    check(&[
        ("?", &["a", "ä", "."], &["ab"]),
        ("a?c", &["abc", "a.c"], &["ac", "abbc", "a/c"]),
        ("[ab]", &["a", "b"], &["c", "ab", "A"]),
        ("[a-c]x", &["ax", "bx", "cx"], &["dx", "x", "-x"]),
        ("[a-cx_]", &["b", "x", "_"], &["d", "-"]),
        ("*.py[cod]", &["a.pyc", "a.pyo", "a.pyd"], &["a.py", "a.pyx", "a.pycc"]),
        ("[\\]\\-]", &["]", "-"], &["\\", "a"]),
    ]);
}

#[test]
fn a_backslash_takes_the_meaning_away() {
    check(&[
        ("\\*", &["*"], &["a", "\\*"]),
        ("\\?", &["?"], &["a"]),
        ("\\[a]", &["[a]"], &["a"]),
        ("\\!a", &["!a"], &["a"]),
        ("\\#a", &["#a"], &["a"]),
        ("x\\+y", &["x+y"], &["xy", "xxy"]),
        ("\\{a\\}", &["{a}"], &["a"]),
        ("a\\\\b", &["a\\b"], &["ab"]),
    ]);
}

#[test]
fn the_last_line_that_matches_decides() {
    check(&[
        ("*\n!b", &["a", "c/b"], &["b", "b/a"]),
        ("*\n!b/a", &["a", "b/c"], &["b/a", "b/a/c"]),
        ("*\n!/b/", &["a"], &["b/a"]),
        ("*\n!b\n**/k", &["a", "b/k", "b/c/k", "b/c/k/x"], &["b/a", "b/c/a"]),
        ("*\n!b/*.py", &["b/a", "b/c/a.py"], &["b/a.py"]),
        ("*\n!b\nb", &["b", "b/a"], &[]),
        ("b/*\n!b/a", &["b/c"], &["b/a", "a"]),
        ("!a", &[], &["a", "b"]),
        ("*.a\n!x.a\nx.*", &["x.a", "y.a"], &["y.b"]),
    ]);
}

#[test]
fn comments_blank_lines_and_marks_of_editors_mean_nothing() {
    check(&[
        ("", &[], &["a"]),
        ("\n\n  \n\t\n", &[], &["a"]),
        ("# a\n#a\n", &[], &["a", "# a", "#a"]),
        ("\u{feff}a", &["a"], &["b"]),
        ("a\r\nb/c\r\n", &["a", "b/c"], &["b", "c"]),
        (" a \n\tb\t\n", &["a", "b"], &["c"]),
        ("a #b", &["a #b"], &["a"]),
    ]);
}

#[test]
fn a_verdict_names_line_pattern_and_what_it_matches() {
    let ignore = Ignore::parse("# first\n*\n\n!app\n  **/keys/ \n").unwrap();
    let told = |path: &str| {
        let verdict = ignore.verdict(path);
        let pattern = verdict.pattern.unwrap();
        (verdict.included, verdict.line.unwrap(), pattern, verdict.matched.unwrap())
    };
    let own = |included, line, pattern: &str, matched: &str| {
        (included, line, pattern.to_owned(), matched.to_owned())
    };
    assert_eq!(told("b/c"), own(false, 2, "*", "b"));
    assert_eq!(told("app/a/b"), own(true, 4, "!app", "app"));
    assert_eq!(told("app/a/keys/x/y"), own(false, 5, "**/keys/", "app/a/keys"));
    let none = Ignore::parse("b").unwrap().verdict("a");
    assert!(none.included && none.line.is_none() && none.pattern.is_none());
}

#[test]
fn only_names_above_reach_into_a_folder() {
    let ignore = Ignore::parse("*\n!a/b/*.py\n!c\nd/e\n").unwrap();
    for (path, reached) in [
        (&["a"][..], true),
        (&["a", "b"], true),
        (&["a", "b", "x.py"], false),
        (&["a", "c"], false),
        (&["c"], false),
        (&["d"], false),
    ] {
        assert_eq!(ignore.reaches_into(path), reached, "{path:?}");
    }
}

#[test]
fn forms_that_engines_read_differently_are_refused() {
    for (line, reason) in [
        ("!", "it matches nothing"),
        ("/", "it matches nothing"),
        (".", "it matches nothing"),
        ("a/..", "it matches nothing"),
        ("../a", "it leads out of the build context"),
        ("a/../../b", "it leads out of the build context"),
        (" # a", "a comment starts in the first column"),
        ("a\u{1}b", "a control character"),
        ("! a", "a space after `!`"),
        ("!**/a", "must name its folders"),
        ("!a*/b", "must name its folders"),
        ("!a?/b", "must name its folders"),
        ("!a\\+/b", "must name its folders"),
        ("a**", "write it between slashes"),
        ("a/**b", "write `**/*b`"),
        ("**.py", "write `**/*.py`"),
        ("***", "write `**/**`"),
        ("a+", "write `\\+`"),
        ("(a)", "write `\\(`"),
        ("a|b", "write `\\|`"),
        ("{a,b}", "write `\\{`"),
        ("^a", "write `\\^`"),
        ("a\\", "ends in a backslash"),
        ("\\d", "write `d`"),
        ("[a", "`[` without `]`"),
        ("[a/b]", "`[` without `]`"),
        ("[]", "an empty `[]`"),
        ("[^a]", "also matches a slash"),
        ("[!a]", "is no negation"),
        ("[z-a]", "the range `z-a` is empty"),
        ("[a-]", "needs a backslash"),
        ("[-a]", "needs a backslash"),
        ("[[]", "needs a backslash"),
    ] {
        let error = Ignore::parse(&format!("ok\n{line}\n")).expect_err(line);
        let message = error.to_string();
        assert_eq!(describe(&error).0, Exit::Usage, "{line:?}");
        assert!(message.starts_with("reading .dockerignore: line 2, `"), "{message}");
        assert!(message.contains(reason), "{line:?}: {message}");
    }
}

#[test]
fn all_refused_lines_are_told_at_once() {
    let error = Ignore::parse("a\n[b\nc\n\\d\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "reading .dockerignore: 2 lines are not read alike by all engines"
    );
    let (exit, help) = describe(&error);
    assert_eq!(exit, Exit::Usage);
    assert!(help[0].starts_with("line 2, `[b`: "), "{help:?}");
    assert!(help[1].starts_with("line 4, `\\\\d`: "), "{help:?}");
}
