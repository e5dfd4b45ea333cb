//! What made a build necessary: the first step of the Dockerfile that reads something new, and what
//! that is. Steps after it run again, those before it come from the layer cache.

use engine::build::{BASE_IMAGE, BuildPlan};
use engine::dockerfile::{Instruction, instructions};
use process::state::State;
use source::snapshot::Snapshot;
use std::collections::{BTreeMap, BTreeSet};

/// What a build read, by name.
pub type Inputs = BTreeMap<String, String>;

/// How the names of files begin.
const FILE: &str = "file ";
/// How the names of build arguments begin.
const ARGUMENT: &str = "argument ";

/// What a build of `plan` reads.
pub fn inputs(plan: &BuildPlan, snapshot: &Snapshot) -> Inputs {
    let arguments = plan.build_args.iter().filter(|(name, _)| *name != BASE_IMAGE);
    let arguments = arguments.map(|(name, value)| (format!("{ARGUMENT}{name}"), value.clone()));
    let rest = [("base", &plan.base.id), ("Dockerfile", &plan.text)];
    let rest = rest.map(|(name, value)| (name.to_owned(), value.clone()));
    let mut all = files(snapshot);
    all.extend(arguments.chain(rest).map(entry));
    all
}

/// The files among them.
fn files(snapshot: &Snapshot) -> Inputs {
    let files = snapshot.contents.iter().map(|(path, content)| {
        (format!("{FILE}{path}"), format!("{:o} {}", content.kind.git_mode(), content.sha256))
    });
    files.map(entry).collect()
}

/// A line each; their values are only compared.
fn entry((name, value): (String, String)) -> (String, String) {
    (name.replace('\n', " "), hash(&value))
}

/// The files that aren't what the build that read `before` read, sorted.
pub fn changed_files(before: &Inputs, snapshot: &Snapshot) -> Vec<String> {
    let now = files(snapshot);
    let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let changed = names.into_iter().filter(|name| before.get(*name) != now.get(*name));
    changed.filter_map(|name| name.strip_prefix(FILE)).map(str::to_owned).collect()
}

fn hash(text: &str) -> String {
    source::content::sha256(text.as_bytes())[..16].to_owned()
}

/// Why what was made of `before` isn't what `now` makes; `None` if only labels or names differ.
pub fn reason(plan: &BuildPlan, before: &Inputs, now: &Inputs) -> Option<String> {
    let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let changed: Vec<&str> = names
        .into_iter()
        .filter(|name| before.get(*name) != now.get(*name))
        .map(String::as_str)
        .collect();
    if changed.contains(&"base") {
        return Some(format!(
            "rebuilding from the first step: {} is another image",
            plan.base.reference
        ));
    }
    if changed.contains(&"Dockerfile") {
        return Some(format!("rebuilding from the step that changed in {}", plan.dockerfile));
    }
    let of = |start: &str| -> Vec<&str> {
        changed.iter().filter_map(|name| name.strip_prefix(start)).collect()
    };
    if let [argument, ..] = of(ARGUMENT)[..] {
        return Some(format!("rebuilding from ARG {argument}, which changed"));
    }
    let files = of(FILE);
    let steps = instructions(&plan.text);
    let read = |step: &Instruction| -> Vec<&str> {
        let sources = sources(step);
        let all = files.iter().copied();
        all.filter(|file| sources.iter().any(|source| holds(source, file))).collect()
    };
    let (step, read) =
        steps.iter().map(|step| (step, read(step))).find(|(_, read)| !read.is_empty())?;
    let more = match read.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let from = sources(step).join(" ");
    Some(format!("rebuilding from {} {from}: {}{more} changed", step.keyword, read[0]))
}

/// What a step copies from the build context.
fn sources(step: &Instruction) -> Vec<&str> {
    let words: Vec<&str> = step.text.split_whitespace().collect();
    let elsewhere = words.iter().any(|word| word.starts_with("--from="));
    if !matches!(step.keyword.as_str(), "COPY" | "ADD") || elsewhere {
        return Vec::new();
    }
    let paths: Vec<&str> = words.into_iter().filter(|word| !word.starts_with("--")).collect();
    paths.split_last().map_or_else(Vec::new, |(_, sources)| sources.to_vec())
}

/// Whether a source of `COPY` brings `file`; one with a pattern by what comes before it.
fn holds(source: &str, file: &str) -> bool {
    let source = source.trim_start_matches("./").trim_start_matches('/');
    match source.split_once(['*', '?', '[']) {
        Some((start, _)) => file.starts_with(start),
        None => {
            let folder = source.trim_end_matches('/');
            matches!(folder, "" | ".")
                || file
                    .strip_prefix(folder)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
    }
}

/// What the last build of the variant `variant` read, if that is known.
pub fn recorded(state: &State, variant: &str) -> Option<Inputs> {
    let text = process::regular::read_text(state.folder.join(file(variant))).ok()?;
    Some(
        text.lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(hash, name)| (name.to_owned(), hash.to_owned()))
            .collect(),
    )
}

/// Records what a build read; only a message is lost without it.
pub fn record(state: &State, variant: &str, inputs: &Inputs) -> anyhow::Result<()> {
    let lines: String = inputs.iter().map(|(name, hash)| format!("{hash} {name}\n")).collect();
    process::state::write_whole(&state.folder.join(file(variant)), &lines)
}

fn file(variant: &str) -> String {
    format!("read-{variant}.txt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_that_reads_something_new_is_named() {
        let text = "FROM x\nCOPY --chmod=755 docker/a.sh app/uv.lock /opt/\nRUN true\n\
            COPY --from=0 app/ /y/\nCOPY app/ /app/\nCOPY docs/*.md ./\n";
        let plan = BuildPlan {
            text: text.to_owned(),
            dockerfile: "docker/Dockerfile".to_owned(),
            ..BuildPlan::default()
        };
        let before = ["base", "Dockerfile", "argument A", "file app/a.py", "file app/uv.lock"];
        let before: Inputs = before.map(|name| (name.to_owned(), "1".to_owned())).into();
        let check = |names: &[&str], expected: Option<&str>| {
            let mut now = before.clone();
            now.extend(names.iter().map(|name| ((*name).to_owned(), "2".to_owned())));
            assert_eq!(reason(&plan, &before, &now).as_deref(), expected, "{names:?}");
        };
        check(&[], None);
        check(&["file app/a.py"], Some("rebuilding from COPY app/: app/a.py changed"));
        check(
            &["file app/a.py", "file app/b.py", "file app/c/d"],
            Some("rebuilding from COPY app/: app/a.py and 2 more changed"),
        );
        let first = "rebuilding from COPY docker/a.sh app/uv.lock: app/uv.lock changed";
        check(&["file app/a.py", "file app/uv.lock"], Some(first));
        check(&["file docs/a.md"], Some("rebuilding from COPY docs/*.md: docs/a.md changed"));
        check(&["file elsewhere"], None);
        check(&["argument A"], Some("rebuilding from ARG A, which changed"));
        check(
            &["Dockerfile", "file app/a.py"],
            Some("rebuilding from the step that changed in docker/Dockerfile"),
        );
        let gone: Inputs =
            before.clone().into_iter().filter(|(n, _)| n != "file app/a.py").collect();
        let said = reason(&plan, &before, &gone);
        assert_eq!(said.as_deref(), Some("rebuilding from COPY app/: app/a.py changed"));
    }

    #[test]
    fn what_was_read_is_read_again_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::of(folder.path());
        process::state::make_folder(&state.folder).unwrap();
        assert_eq!(recorded(&state, "prod"), None);
        let inputs: Inputs = [("file a b".to_owned(), "12".to_owned())].into();
        record(&state, "prod", &inputs).unwrap();
        assert_eq!(recorded(&state, "prod"), Some(inputs));
    }
}
