//! Rules about `docker/*` that no engine checks.

use super::checkout::source;
use super::fence::{CRATES, HTTPS};
use std::collections::BTreeSet;

fn read(file: &str) -> String {
    std::fs::read_to_string(source(file)).unwrap()
}

/// Instructions with their continuation lines, comments left out.
fn instructions(file: &str) -> Vec<String> {
    let text = read(file);
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    joined.lines().map(words).filter(|line| !line.is_empty()).collect()
}

/// The development image has production's base, user, folders and packages; only the group of the
/// dependencies, the settings and the server differ.
#[test]
fn the_development_image_is_in_step_with_production() {
    let mut prod = instructions("docker/Dockerfile");
    for line in &mut prod {
        // Only a release brings Debian's fixes.
        if let Some(rest) = line.strip_suffix(" DEBIAN_REFRESH=") {
            *line = rest.to_owned();
        }
        if let Some((refresh, rest)) = line.split_once(" fi; groupadd ") {
            assert!(refresh.contains("DEBIAN_REFRESH"), "{line}");
            *line = format!("RUN groupadd {rest}");
        }
    }
    let own = [
        "FROM ${BASE_IMAGE} AS development",
        "CMD [\"python\", \"manage.py\", \"runserver\", \"0.0.0.0:8000\"]",
    ];
    for line in instructions("docker/Dockerfile.dev") {
        // Production's step for those fixes needs install.sh before.
        let line = line
            .replace("COPY docker/install.sh docker/installer.txt ", "COPY docker/installer.txt ");
        let line = line.replace("ENVIRONMENT=development", "ENVIRONMENT=production");
        let line = line.replace("LOG_FORMAT=text", "LOG_FORMAT=json");
        let same = prod.contains(&line)
            || prod.contains(&line.replace("install.sh", "install.sh --no-default-groups"));
        assert!(same || own.contains(&line.as_str()), "{line}");
    }
}

#[test]
fn the_dockerfiles_keep_to_what_every_engine_can() {
    for file in ["docker/Dockerfile", "docker/Dockerfile.dev"] {
        let text = read(file);
        assert!(!text.starts_with("# syntax") && !text.contains("<<"), "{file}");
        for line in instructions(file) {
            // Empty on Podman 4.3 when the stage came from the cache.
            assert!(!line.contains("--mount=type=bind"), "{line}");
            assert!(
                !line.contains("chown -R")
                    && !line.starts_with("ADD ")
                    && !line.starts_with("VOLUME"),
                "{line}"
            );
            // Labels come from the command line; Podman serves LABEL with an ARG stale.
            assert!(!line.starts_with("LABEL"), "{line}");
        }
        // Each instruction, or the group that it stands in, has its reason above it.
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate().filter(|(_, line)| line.starts_with("RUN ")) {
            let above = lines[..index].iter().rev().take_while(|line| !line.is_empty());
            assert!(
                file.ends_with(".dev") || above.into_iter().any(|line| line.starts_with('#')),
                "{line}"
            );
        }
    }
}

/// The table in the documentation is the truth about the environment.
#[test]
fn every_variable_of_a_container_is_documented() {
    let mut used = BTreeSet::new();
    let entrypoint = read("docker/entrypoint.sh");
    for part in entrypoint.split("${").skip(1) {
        used.insert(name(part));
    }
    let mut files = vec![source("docker/healthcheck")];
    for folder in ["docker/container/entrypoint", "app/senex_trader", "app/senex_trader/settings"] {
        let entries = std::fs::read_dir(source(folder)).unwrap().map(|entry| entry.unwrap().path());
        files.extend(entries.filter(|path| path.extension().is_some_and(|end| end == "py")));
    }
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        for start in ["environ.get(\"", "os.environ[\"", "number(\"", "text(\"", "words(\""] {
            for part in text.split(start).skip(1) {
                used.insert(name(part));
            }
        }
    }
    // Inner workings: how the scripts find each other, and the shell's own.
    let inner = ["CONTAINER_HEARTBEAT", "CONTAINER_LIBRARY", "CONTAINER_RUN", "HOME", "TMPDIR", ""];
    let used: BTreeSet<String> =
        used.into_iter().filter(|name| !inner.contains(&name.as_str())).collect();
    let table = read("docs/environment.md");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    // Not each of its tables is one of variables.
    let documented: BTreeSet<String> = rows.map(name).filter(|name| !name.is_empty()).collect();
    let from_image = ["ASGI_APPLICATION", "WSGI_APPLICATION", "CELERY_QUEUES"].map(str::to_owned);
    let used = used.into_iter().chain(from_image).collect::<BTreeSet<_>>();
    assert_eq!(used, documented);
}

fn name(text: &str) -> String {
    text.chars().take_while(|c| c.is_ascii_uppercase() || *c == '_').collect()
}

/// The files below a folder, at any depth, by their paths in this repository.
fn files_below(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(source(folder)).unwrap().map(Result::unwrap) {
        let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        match entry.path().is_dir() {
            true => found.extend(files_below(&path)),
            false => found.push(path),
        }
    }
    found
}

/// The lines of a file that another project takes over as they are: neither those of our tests, nor
/// those of a Dockerfile that its `docker/image.toml` makes.
fn lines_taken_over(text: &str) -> Vec<&str> {
    let mut made = false;
    let lines = text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
    lines
        .filter(|line| {
            made = line.starts_with("# >>> docker/image.toml") || made && *line != "# >>> end";
            !made
        })
        .collect()
}

/// What other projects copy knows nothing of this one: not its module, not its applications.
#[test]
fn no_word_of_the_payload_is_in_what_other_projects_copy() {
    let mut words = vec!["senex".to_owned(), "trader".to_owned()];
    for entry in std::fs::read_dir(source("app")).unwrap().map(Result::unwrap) {
        if entry.path().join("__init__.py").is_file() && entry.file_name() != "tests" {
            words.push(entry.file_name().into_string().unwrap());
        }
    }
    assert!(words.contains(&"trading".to_owned()), "{words:?}");
    // The tool's own names, on whatever it makes; `bench` compares this project with its design.
    let own = ["dev.senex.xtask", "senex-xtask", "senex.dev/xtask"].map(str::to_owned).into_iter();
    let crates = CRATES.into_iter().chain([HTTPS, "proof"]).map(|name| format!("senex-{name}"));
    let own: Vec<String> = own.chain(crates).collect();
    // The files of Compose are written from image.toml, by a test that adopters are told of.
    let ours = |file: &str| {
        ["image.toml", "compose.yaml", "compose.dev.yaml", "tests.rs", ".pyc"]
            .iter()
            .any(|end| file.ends_with(end))
            || ["/tests/", "/bench/", "/bench.rs"].iter().any(|part| file.contains(part))
    };
    let files: Vec<String> = ["docker", "xtask/src", "xtask/crates", "xtask/proof/src"]
        .into_iter()
        .flat_map(files_below)
        .collect();
    let mut found = Vec::new();
    for file in files.iter().filter(|file| !ours(file)) {
        for line in lines_taken_over(&read(file)) {
            let text =
                own.iter().fold(line.to_lowercase(), |text, own| text.replace(own.as_str(), ""));
            if words.iter().any(|word| text.contains(word.as_str())) {
                found.push(format!("{file}: {line}"));
            }
        }
    }
    assert!(files.len() > 100 && found.is_empty(), "{}", found.join("\n"));
    let dockerfile = "# senex\n# >>> docker/image.toml: user\nARG A=senex\n# >>> end\nRUN senex\n";
    assert_eq!(lines_taken_over(dockerfile), ["# senex", "# >>> end", "RUN senex"]);
}

#[test]
fn the_files_that_run_in_the_image_are_executable() {
    use std::os::unix::fs::PermissionsExt as _;
    for file in [
        "docker/entrypoint.sh",
        "docker/install.sh",
        "docker/collect.sh",
        "docker/healthcheck",
        "docker/base/postgres-start",
        ".ci/run",
    ] {
        let mode = source(file).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{file}");
    }
}

/// The ratios of the README are those of the benchmarks, section by section.
#[test]
fn the_readme_quotes_the_benchmarks() {
    let (readme, benchmarks) = (read("README.md"), read("docs/benchmarks.md"));
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let find = |text: &str, row: &str| -> Vec<String> {
        let start = format!("| {row}, s |");
        cells(text.lines().find(|line| line.starts_with(&start)).unwrap())
    };
    let (_, quoted) = readme.split_once("\n| | Podman 4.3 | Docker 20.10 |\n").unwrap();
    let rows: Vec<Vec<String>> =
        quoted.lines().skip(1).take_while(|line| line.starts_with('|')).map(cells).collect();
    assert!(rows.len() > 2);
    for (column, section) in ["\n## Podman 4.3", "\n## Docker 20.10"].iter().enumerate() {
        let (_, text) = benchmarks.split_once(section).unwrap();
        for row in &rows {
            assert_eq!(find(text, &row[0])[3], row[column + 1], "{section}: {}", row[0]);
        }
    }
    let (_, text) = benchmarks.split_once("\n## From the checkout to the site\n").unwrap();
    let saved =
        format!("a saved file is served in {} of", find(text, "saved file → its answer")[3]);
    assert!(readme.replace('\n', " ").contains(&saved), "{saved}");
    let (_, text) = benchmarks.split_once("\n## Docker 20.10").unwrap();
    let line = find(text, "one line of Python");
    let seconds =
        |cell: &str| format!("{:.1}", cell.split(' ').next().unwrap().parse::<f64>().unwrap());
    let line = format!("{} s against {} s", seconds(&line[1]), seconds(&line[2]));
    assert!(readme.contains(&line), "{line}");
}

/// Phrases that readers stumble over, in lower case; a blank or a punctuation mark is around each.
const PHRASES: [&str; 15] = [
    "beside",
    "of its own",
    "of their own",
    "nobody",
    "somebody",
    "whoever",
    "by itself",
    "all the same",
    "for ever",
    "as it stands",
    "is said",
    "belongs into",
    "habits",
    "had better",
    "lest",
];

/// What a line says to people: all of it, or in Rust its comment and its texts in quotes.
fn said(path: &str, line: &str) -> String {
    if !path.ends_with(".rs") {
        return line.to_lowercase();
    }
    let comment = line.trim_start().starts_with("//").then_some(line);
    let quoted = line.split('"').skip(1).step_by(2).collect::<Vec<_>>().join(" | ");
    comment.map_or(quoted, str::to_owned).to_lowercase()
}

#[test]
fn texts_have_no_phrase_that_readers_stumble_over() {
    let mut files: Vec<String> =
        ["README.md", "SECURITY.md", "CONTRIBUTING.md", "app/README.md"].map(str::to_owned).into();
    for folder in ["docs", "docker", "xtask/crates", "xtask/proof/src", ".github/workflows"] {
        files.extend(files_below(folder));
    }
    // A user of Debian, a host that isn't there, and a folder.
    let names = ["\"news\", \"nobody\"", "nobody.invalid", "const BESIDE"];
    let whole = |text: &str, phrase: &str| {
        text.match_indices(phrase).any(|(at, _)| {
            let letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
            !letter(text[..at].chars().next_back())
                && !letter(text[at + phrase.len()..].chars().next())
        })
    };
    let ends = |text: &str| {
        [", too.", ", too;", ", too,", ", too:", ", too)"].iter().any(|end| text.contains(end))
    };
    let mut found = Vec::new();
    for path in files.iter().filter(|path| !path.contains("/tests") && !path.ends_with(".png")) {
        let Ok(text) = std::fs::read_to_string(source(path)) else { continue };
        for (number, line) in text.lines().enumerate() {
            let said = said(path, line);
            if names.iter().any(|name| line.contains(name)) {
                continue;
            }
            if ends(&said) || PHRASES.iter().any(|phrase| whole(&said, phrase)) {
                found.push(format!("{path}:{}: {line}", number + 1));
            }
        }
    }
    assert!(files.len() > 150 && found.is_empty(), "{}\n{}", files.len(), found.join("\n"));
    assert!(whole("a beside b", "beside") && !whole("besides", "beside"));
    assert_eq!(said("a.rs", "    let x = \"Beside\"; // y"), "beside");
}

/// Prose of the documentation: what isn't a table, code, a heading, a link alone or an image.
#[test]
fn prose_keeps_to_a_hundred_characters_and_the_readme_to_its_length() {
    let mut files: Vec<String> =
        ["README.md", "SECURITY.md", "CONTRIBUTING.md", "app/README.md"].map(str::to_owned).into();
    // Those are written by programs.
    let made = ["docs/benchmarks.md", "docs/reference.md"];
    let written = files_below("docs").into_iter().filter(|path| !made.contains(&path.as_str()));
    files.extend(written.filter(|path| path.ends_with(".md")));
    let mut long = Vec::new();
    for path in &files {
        let mut code = false;
        for (number, line) in read(path).lines().enumerate() {
            code ^= line.trim_start().starts_with("```");
            let other = code || ["|", "#", "    ", "!"].iter().any(|start| line.starts_with(start));
            if !other && line.chars().count() > 100 && line.trim().contains(' ') {
                long.push(format!("{path}:{}", number + 1));
            }
        }
    }
    assert!(files.len() > 12 && long.is_empty(), "{long:?}");
    assert!(read("README.md").lines().count() <= 140);
}

/// Two public types of one name make a reader guess which is meant. The command line's are the
/// commands' names.
#[test]
fn a_public_type_has_a_name_for_itself() {
    let (mut names, mut twice) = (std::collections::BTreeMap::new(), Vec::new());
    let files = files_below("xtask/crates").into_iter().filter(|path| path.ends_with(".rs"));
    for path in files.filter(|path| !path.contains("/src/cli")) {
        for line in read(&path).lines() {
            let mut words = line.trim_start().split(|c: char| !c.is_alphanumeric() && c != '_');
            let kind = (words.next(), words.next());
            if let (Some("pub"), Some("struct" | "enum" | "trait" | "type")) = kind {
                let name = words.next().unwrap_or_default().to_owned();
                if let Some(other) = names.insert(name.clone(), path.clone()) {
                    twice.push(format!("{name}: {other} and {path}"));
                }
            }
        }
    }
    assert!(names.len() > 200 && twice.is_empty(), "{}\n{}", names.len(), twice.join("\n"));
}
