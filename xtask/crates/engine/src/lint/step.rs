//! An instruction with what its meaning depends on: flags, mounts, the user, the arguments.

use crate::dockerfile::Instruction;
use std::collections::{BTreeMap, BTreeSet};

/// One instruction in its place.
pub(super) struct LintStep {
    /// Its first line, from 1.
    pub(super) line: usize,
    /// The keyword in upper case.
    pub(super) keyword: String,
    /// What follows the flags.
    pub(super) text: String,
    /// `--name` and `--name=value`, as written.
    pub(super) flags: Vec<String>,
    /// The mounts of a `RUN`.
    pub(super) mounts: Vec<Mount>,
    /// Whether `USER` was set to someone other than root in this stage or one it is made from.
    pub(super) other_user: bool,
    /// The names that `ARG` declared here and `ENV` didn't replace.
    pub(super) arguments: BTreeSet<String>,
    /// The image, not the stage, that a `FROM` or `--from` names, if its arguments' defaults tell
    /// it: as written, and with the defaults in place.
    pub(super) images: Vec<(String, String)>,
}

pub(super) struct Mount {
    /// As written.
    pub(super) flag: String,
    options: Vec<(String, String)>,
}

impl Mount {
    fn parse(flag: &str) -> Option<Mount> {
        let options = flag.strip_prefix("--mount=")?.split(',').map(|option| {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            (name.to_lowercase(), value.to_owned())
        });
        Some(Mount { flag: flag.to_owned(), options: options.collect() })
    }

    /// An option's value; empty for one that is only named.
    pub(super) fn option(&self, name: &str) -> Option<&str> {
        let found = self.options.iter().find(|(option, _)| option == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Its type; `bind` if it names none.
    pub(super) fn kind(&self) -> &str {
        self.option("type").unwrap_or("bind")
    }

    /// Whether it shows the build context, and not a stage or an image.
    pub(super) fn of_context(&self) -> bool {
        self.kind() == "bind" && self.option("from").is_none()
    }
}

impl LintStep {
    /// The first flag that begins with `start`.
    pub(super) fn flag(&self, start: &str) -> Option<String> {
        self.flags.iter().find(|flag| flag.starts_with(start)).cloned()
    }

    /// The first mount for which `bad` holds, as written.
    pub(super) fn mount(&self, bad: impl Fn(&Mount) -> bool) -> Option<String> {
        self.mounts.iter().find(|mount| bad(mount)).map(|mount| mount.flag.clone())
    }
}

/// What is known at a place of a stage.
#[derive(Clone, Default)]
struct Place {
    other_user: bool,
    arguments: BTreeSet<String>,
}

/// The instructions in their places.
pub(super) fn steps(instructions: &[Instruction]) -> Vec<LintStep> {
    let mut defaults: BTreeMap<String, String> = BTreeMap::new();
    let mut ends: BTreeMap<String, Place> = BTreeMap::new();
    let mut place = Place::default();
    let mut stage = String::new();
    let mut steps = Vec::new();
    for instruction in instructions {
        let words: Vec<&str> = instruction.text.split(' ').collect();
        let count = words.iter().take_while(|word| word.starts_with("--")).count();
        let (flags, rest) = words.split_at(count);
        let mut images = Vec::new();
        let mut image = |written: &str| {
            let whole = expanded(written, &defaults);
            let stage = whole.chars().all(|c| c.is_ascii_digit())
                || ends.keys().chain([&stage]).any(|name| name.eq_ignore_ascii_case(&whole));
            if !stage && whole != "scratch" && !whole.contains('$') {
                images.push((written.to_owned(), whole));
            }
        };
        let mounts: Vec<Mount> = flags.iter().filter_map(|flag| Mount::parse(flag)).collect();
        for from in mounts.iter().filter_map(|mount| mount.option("from")) {
            image(from);
        }
        match instruction.keyword.as_str() {
            "FROM" => {
                let base = rest.first().copied().unwrap_or_default();
                image(base);
                ends.insert(std::mem::take(&mut stage), std::mem::take(&mut place));
                place = ends.get(base).cloned().unwrap_or_default();
                place.arguments.clear();
                stage.clone_from(&instruction.stage);
            }
            "COPY" => {
                flags.iter().filter_map(|flag| flag.strip_prefix("--from=")).for_each(&mut image);
            }
            "ARG" => {
                for word in rest {
                    let (name, value) = word.split_once('=').unwrap_or((word, ""));
                    if stage.is_empty() && !value.is_empty() {
                        let value = expanded(value.trim_matches(['"', '\'']), &defaults);
                        defaults.insert(name.to_owned(), value);
                    }
                    place.arguments.insert(name.to_owned());
                }
            }
            "ENV" => {
                for name in rest.iter().filter_map(|word| word.split('=').next()) {
                    place.arguments.remove(name);
                }
            }
            "USER" => {
                let user = rest.first().copied().unwrap_or_default();
                let user = user.split(':').next().unwrap_or_default();
                place.other_user = !matches!(user, "0" | "root" | "");
            }
            _ => {}
        }
        steps.push(LintStep {
            line: instruction.line,
            keyword: instruction.keyword.clone(),
            text: rest.join(" "),
            flags: flags.iter().map(ToString::to_string).collect(),
            mounts,
            other_user: place.other_user,
            arguments: place.arguments.clone(),
            images,
        });
    }
    steps
}

/// The variables that `text` uses: name, and where each begins and ends.
pub(super) fn variables(text: &str) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(dollar) = text[at..].find('$').map(|dollar| at + dollar) {
        at = dollar + 1;
        if text[..dollar].ends_with('\\') {
            continue;
        }
        let braced = text[at..].starts_with('{');
        let start = at + usize::from(braced);
        let name: String =
            text[start..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let mut end = start + name.len();
        if braced {
            end = text[end..].find('}').map_or(text.len(), |close| end + close + 1);
        }
        if !name.is_empty() {
            found.push((name, dollar, end));
        }
        at = end;
    }
    found
}

/// `text` with the arguments that have a default; the others stay as they are written.
fn expanded(text: &str, defaults: &BTreeMap<String, String>) -> String {
    let mut whole = text.to_owned();
    for (name, start, end) in variables(text).into_iter().rev() {
        if let Some(value) = defaults.get(&name) {
            whole.replace_range(start..end, value);
        }
    }
    whole
}
