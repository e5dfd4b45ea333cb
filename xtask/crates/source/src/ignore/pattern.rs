//! One line of `.dockerignore`: which forms are taken, and what a taken form matches.
//!
//! Taken are the forms that Podman and Docker read alike; every other form is refused with its
//! reason. The behaviour was measured on Podman 4.3.1, Docker 20.10 and Docker 26, see
//! `xtask/proof/tests/proofs/context.rs`.

/// One pattern, as a list of what each component of a path must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Line in the file, counted from 1.
    pub line: usize,
    /// The line as written, without the spaces around it.
    pub text: String,
    /// True for `!pattern`, which puts back what a pattern before it took out.
    pub reinclude: bool,
    /// The components, first folder first; never empty.
    pub components: Vec<Component>,
}

/// What one component of a path must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Component {
    /// Exactly this name.
    Name(String),
    /// A name that these glyphs spell.
    Glob(Vec<Glyph>),
    /// `**`: any number of components, also none; as the last component, at least one.
    Deep,
}

/// One character of a [`Component::Glob`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Glyph {
    Char(char),
    /// `?`: any one character.
    One,
    /// `*`: any characters, also none.
    Many,
    /// `[a-z_]`: one character of these ranges, both ends included.
    Class(Vec<(char, char)>),
}

impl Pattern {
    /// True when the pattern matches exactly `path`; what is below a folder that matches is for
    /// [`super::Ignore`] to decide.
    pub fn matches(&self, path: &[&str]) -> bool {
        matches(&self.components, path)
    }

    /// True for `!` patterns that name something strictly below the folder `path`: both engines
    /// then walk into it although it is excluded.
    pub fn reaches_into(&self, path: &[&str]) -> bool {
        self.reinclude
            && self.components.len() > path.len()
            && self
                .components
                .iter()
                .zip(path)
                .all(|(component, name)| matches!(component, Component::Name(own) if own == name))
    }
}

/// True when `components` match the whole of `path`. On a mismatch the last `**` takes one
/// component more, which is enough: what an earlier `**` could take, the later one can take as
/// well.
fn matches(components: &[Component], path: &[&str]) -> bool {
    let (mut component, mut at) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while at < path.len() {
        match components.get(component) {
            Some(Component::Deep) => {
                component += 1;
                if component == components.len() {
                    return true;
                }
                retry = Some((component, at));
            }
            Some(one) if is_named(one, path[at]) => {
                component += 1;
                at += 1;
            }
            _ => {
                let Some((after, taken)) = retry else { return false };
                retry = Some((after, taken + 1));
                (component, at) = (after, taken + 1);
            }
        }
    }
    // As the last component, `**` is at least one.
    component == components.len()
}

fn is_named(component: &Component, name: &str) -> bool {
    match component {
        Component::Name(own) => own == name,
        Component::Glob(glyphs) => spells(glyphs, name),
        Component::Deep => false,
    }
}

/// True when `glyphs` spell the whole of `name`. On a mismatch the last `*` takes one character
/// more, which is enough: what an earlier `*` could take, the later one can take as well.
fn spells(glyphs: &[Glyph], name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let (mut glyph, mut at) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while at < name.len() {
        match glyphs.get(glyph) {
            Some(Glyph::Many) => {
                retry = Some((glyph + 1, at));
                glyph += 1;
            }
            Some(one) if is(one, name[at]) => {
                glyph += 1;
                at += 1;
            }
            _ => {
                let Some((after, taken)) = retry else { return false };
                retry = Some((after, taken + 1));
                (glyph, at) = (after, taken + 1);
            }
        }
    }
    glyphs[glyph..].iter().all(|rest| *rest == Glyph::Many)
}

fn is(glyph: &Glyph, c: char) -> bool {
    match glyph {
        Glyph::Char(own) => *own == c,
        Glyph::One => true,
        Glyph::Many => false,
        Glyph::Class(ranges) => ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)),
    }
}

/// The pattern on line number `line` of the file, which reads `raw`; `None` for an empty line or
/// a comment. The error is the reason why the form is refused.
pub fn parse_line(line: usize, raw: &str) -> Result<Option<Pattern>, String> {
    let text = raw.trim();
    if text.is_empty() || raw.starts_with('#') {
        return Ok(None);
    }
    if text.starts_with('#') {
        return Err("a comment starts in the first column; engines take this for a pattern".into());
    }
    if text.chars().any(char::is_control) {
        return Err("a control character, which engines read differently".into());
    }
    let (reinclude, path) = match text.strip_prefix('!') {
        Some(path) => (true, path),
        None => (false, text),
    };
    if reinclude && path.starts_with(char::is_whitespace) {
        return Err("a space after `!`: Docker skips it, Podman does not".into());
    }
    let written = cleaned(path)?;
    let Some((_, folders)) = written.split_last() else {
        return Err("it matches nothing".into());
    };
    // Engines compare the text of a `!` pattern with a folder's path to decide whether to walk in.
    if reinclude && folders.iter().any(|folder| folder.contains(['*', '?', '[', '\\'])) {
        return Err("a `!` pattern must name its folders without wildcards or backslashes: \
                    engines do not look into the others"
            .into());
    }
    let components = written.into_iter().map(component).collect::<Result<Vec<_>, _>>()?;
    Ok(Some(Pattern { line, text: text.to_owned(), reinclude, components }))
}

/// The components of `path` as Go's `filepath.Clean` leaves them: no empty ones, no `.`, and `..`
/// resolved against the component before it.
fn cleaned(path: &str) -> Result<Vec<&str>, String> {
    let mut components = Vec::new();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." => {
                components.pop().ok_or("it leads out of the build context")?;
            }
            name => components.push(name),
        }
    }
    Ok(components)
}

fn component(text: &str) -> Result<Component, String> {
    if text == "**" {
        return Ok(Component::Deep);
    }
    if text.contains("**") {
        return Err(format!(
            "`**` must be a whole component: {}",
            text.strip_prefix("**").map_or_else(
                || "write it between slashes".to_owned(),
                |rest| format!("for any name that ends in `{rest}` write `**/*{rest}`")
            )
        ));
    }
    let mut glyphs = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        glyphs.push(match c {
            '*' => Glyph::Many,
            '?' => Glyph::One,
            '[' => class(&mut chars)?,
            '\\' => Glyph::Char(escaped(&mut chars)?),
            '+' | '(' | ')' | '|' | '{' | '}' | '^' => {
                return Err(format!(
                    "`{c}` is part of a regular expression on some engines and itself on others: \
                     write `\\{c}`"
                ));
            }
            c => Glyph::Char(c),
        });
    }
    let plain: Option<String> = glyphs
        .iter()
        .map(|glyph| if let Glyph::Char(c) = glyph { Some(*c) } else { None })
        .collect();
    Ok(plain.map_or(Component::Glob(glyphs), Component::Name))
}

/// The character after a backslash.
fn escaped(chars: &mut std::str::Chars<'_>) -> Result<char, String> {
    match chars.next() {
        None => Err("it ends in a backslash".into()),
        // Engines hand the pair to a regular expression, where `\d` is a digit and `\a` a bell.
        Some(c) if !c.is_ascii_punctuation() && c != ' ' => {
            Err(format!("`\\{c}` does not mean `{c}` on every engine: write `{c}`"))
        }
        Some(c) => Ok(c),
    }
}

/// The rest of a `[…]`, after its opening bracket.
fn class(chars: &mut std::str::Chars<'_>) -> Result<Glyph, String> {
    let mut ranges = Vec::new();
    let item = |chars: &mut std::str::Chars<'_>, first: bool| match chars.next() {
        None => Err("`[` without `]`; a class holds no slash".to_owned()),
        Some(']') if first => Ok(None),
        Some('\\') => escaped(chars).map(Some),
        Some(c @ ('-' | ']' | '[')) => Err(format!("`{c}` in a class needs a backslash: `\\{c}`")),
        Some(c) => Ok(Some(c)),
    };
    if chars.as_str().starts_with(['^', '!']) {
        return Err(
            "`[^…]` also matches a slash, and `[!…]` is no negation: write what is meant".into()
        );
    }
    while let Some(low) = item(chars, true)? {
        let mut high = low;
        if chars.as_str().starts_with('-') {
            chars.next();
            high = item(chars, false)?.unwrap_or(low);
        }
        if high < low {
            return Err(format!("the range `{low}-{high}` is empty"));
        }
        ranges.push((low, high));
    }
    if ranges.is_empty() {
        return Err("an empty `[]`".into());
    }
    Ok(Glyph::Class(ranges))
}
