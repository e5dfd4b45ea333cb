//! Just enough of a Dockerfile to name the line of a step: instructions with their first lines,
//! matched with what the engines print about a failing step.

use crate::here_documents;
use std::collections::BTreeMap;

/// One instruction, continuation lines joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Its first line, from 1.
    pub line: usize,
    /// The keyword in upper case.
    pub keyword: String,
    /// What follows, with one blank wherever there are several.
    pub text: String,
    /// The stage it stands in, by name or number; empty before the first `FROM`.
    pub stage: String,
}

/// Reads a Dockerfile: comments and blank lines are left out, `\` at the end of a line joins it
/// with the next (Dockerfile reference, "Format"). The lines of here-documents are no instructions.
///
/// The crate `parse-dockerfile` (0.1.9) was tried in place of this: no line fewer, as it leaves shell
/// forms, options and mounts as text, and a file ends for it at the first here-document after a word.
pub fn instructions(text: &str) -> Vec<Instruction> {
    let lines: Vec<&str> = text.strip_prefix('\u{feff}').unwrap_or(text).lines().collect();
    let (text, _) = here_documents::blanked(&lines);
    let mut all: Vec<Instruction> = Vec::new();
    let mut open: Option<(usize, String)> = None;
    let (mut stage, mut stages) = (String::new(), 0);
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.starts_with('#') || trimmed.is_empty() && open.is_some() {
            continue;
        }
        let (part, more) = match trimmed.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (trimmed, false),
        };
        let (start, mut joined) = open.take().unwrap_or((index + 1, String::new()));
        joined.push_str(part);
        joined.push(' ');
        if more {
            open = Some((start, joined));
            continue;
        }
        let words: Vec<&str> = joined.split_whitespace().collect();
        let Some((keyword, rest)) = words.split_first() else { continue };
        let keyword = keyword.to_uppercase();
        if keyword == "FROM" {
            let name = rest.iter().position(|word| word.eq_ignore_ascii_case("as"));
            let name = name.and_then(|at| rest.get(at + 1));
            stage = name.map_or_else(|| stages.to_string(), ToString::to_string);
            stages += 1;
        }
        all.push(Instruction { line: start, keyword, text: rest.join(" "), stage: stage.clone() });
    }
    all
}

/// The instruction that failed, from what the engine printed.
///
/// Podman says `building at STEP "RUN …"`, or else has printed `STEP 3/7: RUN …` (several stages:
/// `[2/4] STEP 3/7: RUN …`) before each step. BuildKit prints ` > [runtime 3/7] RUN …:`.
pub fn failing<'a>(instructions: &'a [Instruction], log: &[String]) -> Option<&'a Instruction> {
    let buildkit = log.iter().rev().find_map(|line| {
        let rest = line.strip_prefix(" > [")?;
        let (place, step) = rest.split_once("] ")?;
        let stage = place.split_whitespace().next().filter(|word| !word.contains('/'));
        Some((stage, step.trim_end_matches(':')))
    });
    let podman = || {
        let named = log.iter().rev().find_map(|line| {
            let (_, step) = line.split_once("building at STEP \"")?;
            Some((None, step.rsplit_once("\":").map_or(step, |(step, _)| step)))
        });
        named.or_else(|| last_step(log))
    };
    let (stage, step) = buildkit.or_else(podman)?;
    let step = normal(step);
    let same = |instruction: &&Instruction| {
        let whole = normal(&format!("{} {}", instruction.keyword, instruction.text));
        !step.is_empty() && (whole == step || whole.starts_with(&step) || step.starts_with(&whole))
    };
    let in_stage =
        |instruction: &&Instruction| stage.is_none_or(|stage| stage == instruction.stage);
    let mut fitting: Vec<_> = instructions.iter().filter(same).collect();
    if fitting.iter().any(in_stage) {
        fitting.retain(in_stage);
    }
    fitting.pop()
}

/// The last step that Podman printed, when stages build one after the other.
fn last_step(log: &[String]) -> Option<(Option<&str>, &str)> {
    log.iter().rev().find_map(|line| {
        let at = line.find("STEP ")?;
        let step = line[at..].split_once(": ")?.1;
        let known = at == 0 || line.starts_with('[');
        known.then_some((None, step))
    })
}

/// Letters and digits only: engines print quotes, blanks and variables of a step differently.
fn normal(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// The names of the stages that can be built.
pub fn stages(instructions: &[Instruction]) -> Vec<String> {
    let from = instructions.iter().filter(|instruction| instruction.keyword == "FROM");
    from.map(|instruction| instruction.stage.clone()).collect()
}

/// The stages of a Dockerfile's text, each with its last line.
pub fn stage_ends(text: &str) -> Vec<(String, usize)> {
    let instructions = instructions(text);
    let starts: Vec<usize> = instructions
        .iter()
        .filter(|instruction| instruction.keyword == "FROM")
        .map(|instruction| instruction.line)
        .collect();
    let ends = starts.iter().skip(1).map(|line| line - 1).chain([text.lines().count()]);
    stages(&instructions).into_iter().zip(ends).collect()
}

/// The text up to the end of the stage `target` (`None`: the last one), in which that stage begins
/// with the image that the first of the stages it is made from begins with, and has all their
/// instructions. An engine squashes one stage at a time. `None` when it is made from no stage.
pub fn flattened(text: &str, target: Option<&str>) -> Option<Vec<String>> {
    let instructions = instructions(text);
    let lines: Vec<&str> = text.lines().collect();
    let from: Vec<&Instruction> =
        instructions.iter().filter(|instruction| instruction.keyword == "FROM").collect();
    let image = |from: &Instruction| {
        from.text.split_whitespace().find(|word| !word.starts_with("--")).map(str::to_owned)
    };
    let last = match target {
        Some(target) => from.iter().position(|stage| stage.stage == target)?,
        None => from.len().checked_sub(1)?,
    };
    let mut chain = vec![last];
    while let Some(first) = chain.first().copied()
        && let Some(name) = image(from[first])
        && let Some(parent) = from[..first].iter().rposition(|stage| stage.stage == name)
    {
        chain.insert(0, parent);
    }
    let root = from[*chain.first().filter(|_| chain.len() > 1)?];
    let until = |line: usize| lines[..line - 1].iter().map(ToString::to_string);
    let mut flat: Vec<String> = until(from[last].line).collect();
    let options = root.text.split_whitespace().take_while(|word| !word.eq_ignore_ascii_case("as"));
    flat.push(format!("FROM {} AS {}", options.collect::<Vec<_>>().join(" "), from[last].stage));
    for stage in chain {
        // A `FROM` may go on over several lines.
        let next = |line: usize| instructions.iter().map(|one| one.line).find(|one| *one > line);
        let start = next(from[stage].line).unwrap_or(lines.len() + 1);
        let end = from.get(stage + 1).map_or(lines.len() + 1, |next| next.line);
        flat.extend(lines[start - 1..end - 1].iter().map(ToString::to_string));
    }
    Some(flat)
}

/// The line of a `# syntax=` directive: it counts only above everything but other directives
/// (Dockerfile reference, "Parser directives").
pub(crate) fn syntax_line(lines: &[&str]) -> Option<usize> {
    for (index, line) in lines.iter().enumerate() {
        let (name, _) = line.trim().strip_prefix('#')?.split_once('=')?;
        let name = name.trim();
        if name.eq_ignore_ascii_case("syntax") {
            return Some(index + 1);
        }
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
            return None;
        }
    }
    None
}

/// Something that a Dockerfile takes from elsewhere.
enum Foreign {
    /// An image other than `BASE_IMAGE`, by its name, and the word that says so.
    Image(String, String),
    /// A frontend, or what `ADD` fetches or may fetch.
    Other(String),
}

/// What a Dockerfile takes from elsewhere, in its own words: images other than `BASE_IMAGE`, a
/// frontend, what `ADD` fetches or may fetch. It may change between builds, which shows only if
/// its source is asked.
pub fn foreign(text: &str) -> Vec<String> {
    let word = |found| match found {
        Foreign::Image(_, word) | Foreign::Other(word) => word,
    };
    all_foreign(text).into_iter().map(word).collect()
}

/// The images other than `BASE_IMAGE` that a Dockerfile names, with the values of `arguments` and
/// the defaults of `ARG` before the first `FROM`; none whose name has another variable.
pub fn images(text: &str, arguments: &BTreeMap<String, String>) -> Vec<String> {
    let mut values = BTreeMap::new();
    let global = instructions(text).into_iter().filter(|one| one.stage.is_empty());
    for argument in global.filter(|one| one.keyword == "ARG") {
        for (name, value) in argument.text.split(' ').filter_map(|word| word.split_once('=')) {
            let value = expanded(value.trim_matches(['"', '\'']), &values);
            values.insert(name.to_owned(), value);
        }
    }
    values.extend(arguments.clone());
    let mut images: Vec<String> = Vec::new();
    for found in all_foreign(text) {
        let Foreign::Image(name, _) = found else { continue };
        let name = expanded(&name, &values);
        if !name.contains('$') && !images.contains(&name) {
            images.push(name);
        }
    }
    images
}

/// `$NAME` and `${NAME}` replaced by their values; what has none stays.
fn expanded(text: &str, values: &BTreeMap<String, String>) -> String {
    let mut text = text.to_owned();
    for (name, value) in values {
        text = text.replace(&format!("${{{name}}}"), value);
        if text == format!("${name}") {
            text.clone_from(value);
        }
    }
    text
}

fn all_foreign(text: &str) -> Vec<Foreign> {
    let lines: Vec<&str> = text.lines().collect();
    let frontend = syntax_line(&lines).map(|line| lines[line - 1].trim_start_matches(['#', ' ']));
    let mut found: Vec<Foreign> =
        frontend.into_iter().map(|line| Foreign::Other(line.to_owned())).collect();
    let mut before: Vec<String> = Vec::new();
    for instruction in instructions(text) {
        let words: Vec<&str> = instruction.text.split_whitespace().collect();
        let own = |name: &str| {
            let names = ["${BASE_IMAGE}", "$BASE_IMAGE", "scratch"];
            names.contains(&name)
                || name.bytes().all(|byte| byte.is_ascii_digit())
                || before.iter().any(|stage| stage.eq_ignore_ascii_case(name))
        };
        let image = |name: &str, word: &str| {
            (!own(name)).then(|| Foreign::Image(name.to_owned(), word.to_owned()))
        };
        let other = |word: &str| match instruction.keyword.as_str() {
            "COPY" | "ADD" if word.starts_with("--from=") => image(&word["--from=".len()..], word),
            "ADD" if ["://", "git@", "$"].iter().any(|sign| word.contains(sign)) => {
                Some(Foreign::Other(word.to_owned()))
            }
            "RUN" => {
                let parts = word.strip_prefix("--mount=").into_iter();
                let mut parts = parts.flat_map(|parts| parts.split(','));
                parts.find_map(|part| image(part.strip_prefix("from=")?, word))
            }
            _ => None,
        };
        found.extend(words.iter().filter_map(|word| other(word)));
        if instruction.keyword == "FROM" {
            // Another platform's base is another image.
            let options = words.iter().take_while(|word| word.starts_with("--"));
            let name = words.get(options.count()).copied().unwrap_or_default();
            found.extend(match words.first() {
                Some(first) if *first != name && own(name) => {
                    Some(Foreign::Other((*first).to_owned()))
                }
                Some(first) => image(name, first),
                None => None,
            });
            before.push(instruction.stage.clone());
        }
    }
    found
}

/// The names that `LABEL` instructions set, in all stages.
pub fn label_names(instructions: &[Instruction]) -> Vec<String> {
    let labels = instructions.iter().filter(|instruction| instruction.keyword == "LABEL");
    let mut names = Vec::new();
    for text in labels.map(|instruction| &instruction.text) {
        let mut quote = None;
        let mut word = String::new();
        for c in text.chars().chain([' ']) {
            match (quote, c) {
                (None, '"' | '\'') => quote = Some(c),
                (Some(open), c) if open == c => quote = None,
                (None, ' ') => names.extend(word.split_once('=').map(|(name, _)| name.to_owned())),
                _ => {}
            }
            if quote.is_none() && c == ' ' {
                word.clear();
            } else if !matches!(c, '"' | '\'') {
                word.push(c);
            }
        }
    }
    names
}

/// Whether the stage `target` (`None`: the last one), or one that it is made from, has a
/// `HEALTHCHECK` other than `NONE`.
pub fn has_health_check(instructions: &[Instruction], target: Option<&str>) -> bool {
    let check = of_stage(instructions, target, "HEALTHCHECK").pop();
    check.is_some_and(|check| !check.text.eq_ignore_ascii_case("none"))
}

/// The instructions with `keyword` in the stage `target` (`None`: the last one) and in those that
/// it is made from, in the order in which they take effect: the last one wins.
pub fn of_stage<'i>(
    instructions: &'i [Instruction],
    target: Option<&str>,
    keyword: &str,
) -> Vec<&'i Instruction> {
    let last = stages(instructions).pop();
    let mut stage = target.map(str::to_owned).or(last).unwrap_or_default();
    let mut found = Vec::new();
    // A stage is made from one before it: at most as many steps as there are stages.
    for _ in 0..=stages(instructions).len() {
        let own = instructions.iter().filter(|one| one.stage.eq_ignore_ascii_case(&stage));
        found.splice(0..0, own.clone().filter(|one| one.keyword == keyword));
        let from = own.clone().find(|instruction| instruction.keyword == "FROM");
        let words = from.map(|from| from.text.split_whitespace()).into_iter().flatten();
        let Some(base) = words.into_iter().find(|word| !word.starts_with("--")) else { break };
        stage = base.to_owned();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# a\nARG B=x\nFROM ${B} AS one\nRUN a \\\n    # why\n    && b\n\nHEALTHCHECK CMD [\"/h\"]\nFROM one AS two\nRUN a && b\nUSER 1\nFROM scratch\n";

    #[test]
    fn a_byte_order_mark_and_here_documents_are_no_instructions() {
        let text =
            "\u{feff}FROM a AS b\nRUN cat <<EOF && cat <<'END'\nUSER 5\nEOF\nFROM c\nEND\nUSER 1\n";
        let found = instructions(text);
        let words: Vec<(usize, &str)> =
            found.iter().map(|one| (one.line, one.keyword.as_str())).collect();
        assert_eq!(words, [(1, "FROM"), (2, "RUN"), (7, "USER")]);
        assert_eq!(stages(&found), ["b"]);
    }

    #[test]
    fn instructions_have_their_first_line_and_stage() {
        let all: Vec<_> = instructions(TEXT)
            .into_iter()
            .map(|i| format!("{} {} {} [{}]", i.line, i.keyword, i.text, i.stage))
            .collect();
        assert_eq!(
            all,
            [
                "2 ARG B=x []",
                "3 FROM ${B} AS one [one]",
                "4 RUN a && b [one]",
                "8 HEALTHCHECK CMD [\"/h\"] [one]",
                "9 FROM one AS two [two]",
                "10 RUN a && b [two]",
                "11 USER 1 [two]",
                "12 FROM scratch [2]",
            ]
        );
        assert_eq!(stages(&instructions(TEXT)), ["one", "two", "2"]);
        let ends = stage_ends(TEXT);
        assert_eq!(ends, [("one".to_owned(), 8), ("two".to_owned(), 11), ("2".to_owned(), 12)]);
    }

    #[test]
    fn what_comes_from_elsewhere_is_named() {
        let check = |text: &str, expected: &[&str]| {
            let text = format!("ARG BASE_IMAGE\nFROM ${{BASE_IMAGE}} AS one\n{text}\n");
            assert_eq!(foreign(&text), expected, "{text}");
        };
        check("FROM One AS two\nFROM $BASE_IMAGE\nFROM scratch\nCOPY --from=0 /a /b", &[]);
        check("RUN --mount=type=bind,from=one,target=/a --mount=type=cache,target=/b true", &[]);
        check("COPY a https /\nADD a.tar /", &[]);
        check("FROM --platform=linux/amd64 one", &["--platform=linux/amd64"]);
        check("FROM python:3.12", &["python:3.12"]);
        check("FROM ${OTHER}", &["${OTHER}"]);
        // A stage is known from its own line on.
        check("FROM redis AS redis\nCOPY --from=redis /a /b", &["redis"]);
        check("COPY --from=two /a /b\nFROM one AS two", &["--from=two"]);
        check("COPY --chown=1 --from=tools:1 /a /b", &["--from=tools:1"]);
        let mount = "--mount=type=bind,from=tools:1,target=/a";
        check(&format!("RUN {mount} true"), &[mount]);
        check("ADD --chmod=1 https://example.com/a /", &["https://example.com/a"]);
        check("ADD git@example.com:a.git /", &["git@example.com:a.git"]);
        check("ADD ${URL} /", &["${URL}"]);
        let frontend = "# syntax=docker/dockerfile:1\nFROM $BASE_IMAGE\n";
        assert_eq!(foreign(frontend), ["syntax=docker/dockerfile:1"]);
        assert_eq!(foreign("# syntaxes are nice\nFROM $BASE_IMAGE\n"), [""; 0]);
        assert_eq!(foreign(include_str!("../../../../docker/Dockerfile")), [""; 0]);
        assert_eq!(foreign(include_str!("../../../../docker/Dockerfile.dev")), [""; 0]);
    }

    #[test]
    fn images_from_elsewhere_are_named_with_their_values() {
        let check = |text: &str, expected: &[&str]| {
            let head = "ARG BASE_IMAGE NODE=24 TAG=\"${NODE}-slim\"\nFROM ${BASE_IMAGE} AS one\n";
            let arguments = BTreeMap::from([("REGISTRY".to_owned(), "r.example".to_owned())]);
            assert_eq!(images(&format!("{head}{text}\n"), &arguments), expected, "{text}");
        };
        check("FROM docker.io/library/node:24-slim AS assets", &["docker.io/library/node:24-slim"]);
        check("FROM --platform=linux/amd64 a/node:1 AS x", &["a/node:1"]);
        check("FROM --platform=linux/amd64 ${BASE_IMAGE}\nFROM one", &[]);
        check(
            "FROM ${REGISTRY}/node:${TAG}\nCOPY --from=uv:1 /a /a",
            &["r.example/node:24-slim", "uv:1"],
        );
        check("RUN --mount=from=uv:1,target=/uv a\nCOPY --from=uv:1 /a /", &["uv:1"]);
        check("FROM ${UNKNOWN}\nFROM scratch\nADD https://example.org/a /", &[]);
        check("FROM node:1 AS node\nFROM node\nCOPY --from=node /a /", &["node:1"]);
    }

    #[test]
    fn a_stage_made_from_stages_is_made_of_their_instructions() {
        let text = "ARG B=x\nFROM --platform=p ${B} AS one\nRUN a\n\nFROM y AS other\nRUN o\nFROM one \\\n  AS two\nRUN b\nFROM two\nCOPY --from=other / /\nFROM z\nRUN z\n";
        let flat = |target| flattened(text, target).map(|lines| lines.join("\n"));
        let head = "ARG B=x\nFROM --platform=p ${B} AS one\nRUN a\n\nFROM y AS other\nRUN o\n";
        let two = format!("{head}FROM --platform=p ${{B}} AS two\nRUN a\n\nRUN b");
        assert_eq!(flat(Some("two")), Some(two));
        let third = format!(
            "{head}FROM one \\\n  AS two\nRUN b\nFROM --platform=p ${{B}} AS 3\nRUN a\n\nRUN b\nCOPY --from=other / /"
        );
        assert_eq!(flat(Some("3")), Some(third));
        assert_eq!((flat(None), flat(Some("one")), flat(Some("none"))), (None, None, None));
    }

    #[test]
    fn names_of_labels_are_read_through_quotes() {
        let text = "FROM a\nLABEL a=1 \"b.c\"=\"x y=z\" d='it is'\nLABEL e=\n";
        assert_eq!(label_names(&instructions(text)), ["a", "b.c", "d", "e"]);
    }

    #[test]
    fn the_failing_line_is_found_in_both_engines_words() {
        let check = |log: &[&str], expected: Option<usize>| {
            let log: Vec<String> = log.iter().map(ToString::to_string).collect();
            let all = instructions(TEXT);
            assert_eq!(
                failing(&all, &log).map(|instruction| instruction.line),
                expected,
                "{log:?}"
            );
        };
        check(
            &["[1/2] STEP 2/2: RUN a     && b", "Error: building at STEP \"RUN a && b\""],
            Some(10),
        );
        check(&["STEP 1/1: USER 1"], Some(11));
        // Two stages at once: the last step printed is another one's.
        let error =
            "Error: building at STEP \"RUN a     && b\": while running runtime: exit status 2";
        check(&["[2/2] STEP 2/3: RUN a", "[1/2] STEP 1/1: USER 1", error], Some(10));
        check(&["#5 ERROR: x", " > [one 2/2] RUN a     && b:"], Some(4));
        check(&[" > [two 2/2] RUN a     && b:"], Some(10));
        check(&["Error: no such image"], None);
    }

    #[test]
    fn a_health_check_is_inherited_and_can_be_taken_back() {
        let all = instructions(TEXT);
        assert!(has_health_check(&all, Some("one")) && has_health_check(&all, Some("two")));
        assert!(!has_health_check(&all, None));
        assert!(!has_health_check(&instructions("FROM a\nHEALTHCHECK NONE\n"), None));
    }
}
