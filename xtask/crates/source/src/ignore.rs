//! `.dockerignore` as the engines read it: which paths of the workflow's root enter the build
//! context, and which line decides. `context` walks with it, `secrets` borrows its patterns.

mod pattern;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use pattern::{Component, Glyph};
pub use pattern::{Pattern, parse_line};
use process::failure::{Exit, Failure};

/// The patterns of one `.dockerignore`, in the file's order: the last that matches decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ignore {
    /// All patterns; comments and empty lines are gone.
    pub patterns: Vec<Pattern>,
    /// The lines, from 0, between which patterns leave files out on purpose.
    purpose: std::ops::Range<usize>,
    /// The patterns by the last component of what they match, so that most are never tried on most
    /// paths.
    by_end: ByEnd,
}

/// Indexes of patterns, by what the last component of a path must be at least.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ByEnd {
    name: HashMap<String, Vec<usize>>,
    last_char: HashMap<char, Vec<usize>>,
    first_char: HashMap<char, Vec<usize>>,
    any: Vec<usize>,
}

/// The comment before the patterns for files that aren't needed, such as tests and secrets.
pub const ON_PURPOSE: &str = "# section: on purpose";
/// The comment before those that may take away what the project needs.
pub const THE_REST: &str = "# section: the rest";

/// What is decided about one path, and by which line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IgnoreVerdict {
    pub included: bool,
    /// The deciding line, counted from 1; `None` when no pattern matches.
    pub line: Option<usize>,
    /// The deciding pattern as written.
    pub pattern: Option<String>,
    /// The folder, or the path itself, that the deciding pattern matches.
    pub matched: Option<String>,
}

/// How an engine lets a pattern that matches a folder speak for what is below it. The three rules
/// differ only where `!` patterns and their opposites overlap; `context` refuses such files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IgnoreRule {
    /// A pattern holds for everything below what it matches. Podman.
    Below,
    /// A pattern of *n* components is also tried on the first *n* components of a path: `**/keys`
    /// does not hold for `a/b/keys/x`. Docker up to 20.10.
    SameDepth,
    /// A pattern holds below a folder only if it changed the folder's own verdict, since one that
    /// would not change it is not tried. Docker from 23.
    Inherited,
}

impl IgnoreRule {
    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Every rule, in the order of [`Folder`]'s arrays.
pub const RULES: [IgnoreRule; 3] =
    [IgnoreRule::Below, IgnoreRule::SameDepth, IgnoreRule::Inherited];

/// What is known at one path and handed to the paths below it; [`Folder::default`] is the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folder {
    /// The patterns that hold below here, with a bit for each [`IgnoreRule`].
    holds: Vec<(usize, u8)>,
    /// By [`IgnoreRule`]: the index of the pattern that decides about this path.
    decides: [Option<usize>; 3],
}

impl Ignore {
    /// Reads the text of a `.dockerignore`.
    ///
    /// # Errors
    /// [`Exit::Usage`] with a help line for every line in a form that the engines refuse or read
    /// differently.
    pub fn parse(text: &str) -> anyhow::Result<Ignore> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut patterns = Vec::new();
        let mut refused = Vec::new();
        for (index, raw) in text.split('\n').enumerate() {
            let line = index + 1;
            match parse_line(line, raw) {
                Ok(pattern) => patterns.extend(pattern),
                Err(reason) => {
                    refused.push(format!("line {line}, `{}`: {reason}", raw.trim().escape_debug()));
                }
            }
        }
        let at = |comment: &str| text.lines().position(|line| line.trim_end() == comment);
        let begin = at(ON_PURPOSE).unwrap_or(usize::MAX);
        let purpose = begin..at(THE_REST).filter(|end| *end > begin).unwrap_or(usize::MAX);
        match refused.len() {
            0 => Ok(Ignore::of(patterns, purpose)),
            1 => Err(usage(format!("reading .dockerignore: {}", refused.remove(0)), Vec::new())),
            n => Err(usage(
                format!("reading .dockerignore: {n} lines are not read alike by all engines"),
                refused,
            )),
        }
    }

    fn of(patterns: Vec<Pattern>, purpose: std::ops::Range<usize>) -> Ignore {
        let mut by_end = ByEnd::default();
        for (index, pattern) in patterns.iter().enumerate() {
            let same = match pattern.components.last() {
                Some(Component::Name(name)) => by_end.name.entry(name.clone()).or_default(),
                Some(Component::Glob(glyphs)) => match (glyphs.first(), glyphs.last()) {
                    (_, Some(Glyph::Char(c))) => by_end.last_char.entry(*c).or_default(),
                    (Some(Glyph::Char(c)), _) => by_end.first_char.entry(*c).or_default(),
                    _ => &mut by_end.any,
                },
                _ => &mut by_end.any,
            };
            same.push(index);
        }
        Ignore { patterns, purpose, by_end }
    }

    /// What is decided about `path` (relative, `/` between components) and by which line: the
    /// reading of [`IgnoreRule::Below`], which the others share on every path that `context` lets pass.
    pub fn verdict(&self, path: &str) -> IgnoreVerdict {
        let components: Vec<&str> = path.split('/').collect();
        let folder = self.at(&components);
        let Some(pattern) = folder.decides[0].map(|index| &self.patterns[index]) else {
            return IgnoreVerdict { included: true, ..IgnoreVerdict::default() };
        };
        let matched = (1..=components.len()).find(|&n| pattern.matches(&components[..n]));
        IgnoreVerdict {
            included: pattern.reinclude,
            line: Some(pattern.line),
            pattern: Some(pattern.text.clone()),
            matched: matched.map(|n| components[..n].join("/")),
        }
    }

    /// Whether `path`, or something below it, enters the build context.
    pub fn reaches(&self, path: &str) -> bool {
        let components: Vec<&str> = path.split('/').collect();
        self.verdict(path).included || self.reaches_into(&components)
    }

    /// Whether the pattern on this line, from 1, leaves files out on purpose.
    pub fn on_purpose(&self, line: usize) -> bool {
        self.purpose.contains(&(line - 1))
    }

    /// What is known at `path`, found from the root downwards.
    pub fn at(&self, path: &[&str]) -> Folder {
        (1..=path.len()).fold(Folder::default(), |above, n| self.below(&above, &path[..n]))
    }

    /// What is known at `path`, from what is known at the folder that holds it.
    pub fn below(&self, above: &Folder, path: &[&str]) -> Folder {
        let mut here = Folder::default();
        let name = path.last().copied().unwrap_or_default();
        let ByEnd { name: by_name, last_char, first_char, any } = &self.by_end;
        let tried = [
            by_name.get(name),
            name.chars().next_back().and_then(|c| last_char.get(&c)),
            name.chars().next().and_then(|c| first_char.get(&c)),
            Some(any),
        ];
        let tried = tried.into_iter().flatten().flatten();
        let matching = tried.copied().filter(|&index| self.patterns[index].matches(path));
        let mut matching: Vec<usize> = matching.collect();
        let mut candidates: Vec<(usize, u8, bool)> = Vec::new();
        for &(index, held) in &above.holds {
            let before = matching.len();
            matching.retain(|&other| other != index);
            candidates.push((index, held, matching.len() < before));
        }
        candidates.extend(matching.into_iter().map(|index| (index, 0, true)));
        candidates.sort_unstable();
        for (index, held, matches) in candidates {
            let pattern = &self.patterns[index];
            let mut holding = 0;
            for rule in RULES {
                let held = held & rule.bit() != 0;
                let included = self.included(&here, rule);
                let (counts, holds) = match rule {
                    IgnoreRule::Below => (held || matches, held || matches),
                    IgnoreRule::SameDepth => {
                        (held || matches, held || matches && pattern.components.len() == path.len())
                    }
                    IgnoreRule::Inherited => {
                        let counts = held || matches && pattern.reinclude != included;
                        (counts, counts)
                    }
                };
                if holds {
                    holding |= rule.bit();
                }
                if counts {
                    here.decides[rule as usize] = Some(index);
                }
            }
            if holding != 0 {
                here.holds.push((index, holding));
            }
        }
        here
    }

    /// True when the path that `here` was made for enters the build context by `rule`.
    pub fn included(&self, here: &Folder, rule: IgnoreRule) -> bool {
        here.decides[rule as usize].is_none_or(|index| self.patterns[index].reinclude)
    }

    /// True when a `!` pattern may put back something below the excluded folder `path`.
    pub fn reaches_into(&self, path: &[&str]) -> bool {
        self.patterns.iter().any(|pattern| pattern.reaches_into(path))
    }

    /// The deciding line by `rule`, for a message: `line 3, **/*.pem`.
    pub fn decision(&self, here: &Folder, rule: IgnoreRule) -> String {
        here.decides[rule as usize].map_or_else(
            || "no line".to_owned(),
            |index| format!("line {}, {}", self.patterns[index].line, self.patterns[index].text),
        )
    }
}

fn usage(message: String, help: Vec<String>) -> anyhow::Error {
    Failure { exit: Exit::Usage, message, help }.into()
}
