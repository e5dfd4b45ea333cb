//! `docker/image.toml` as written: values with their places, so that every mistake in the file
//! is reported at once and with its line.

use super::Mistake;
use super::names::variable;
use crate::toml_error::plainly;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// The parsed file and the mistakes found so far.
pub(super) struct ConfigFile<'t> {
    text: &'t str,
    top: Spanned<DeTable<'t>>,
    /// What is wrong so far, in the order it was found.
    pub(super) mistakes: Vec<Mistake>,
    /// The keys that each table may have; the tables themselves are those of the table ``.
    pub(super) known: Vec<(String, Vec<String>)>,
    /// Tables whose keys the user chooses.
    free: Vec<String>,
}

impl<'t> ConfigFile<'t> {
    /// Parses `text`; syntax errors become mistakes and the rest of the file is still read.
    pub(super) fn parse(text: &'t str) -> Self {
        let (top, errors) = DeTable::parse_recoverable(text);
        let mut mistakes: Vec<Mistake> = errors
            .iter()
            .map(|error| {
                let span = error.span().unwrap_or_default();
                let message = error.message().replace('\n', ", ");
                let number = line(text, span.start);
                let header = text.lines().nth(number - 1).is_some_and(|line| line.starts_with('['));
                let below = commented_header(text, number)
                    .filter(|_| message == "duplicate key" && !header);
                let hint = below.map(|table| format!(": {}", uncomment(table)));
                Mistake::at(text, span, message + &hint.unwrap_or_default())
            })
            .collect();
        for (key, value) in top.get_ref() {
            controls(text, key.get_ref(), value, &mut mistakes);
        }
        ConfigFile { text, top, mistakes, known: Vec::new(), free: Vec::new() }
    }

    /// `value`, unless there are mistakes: then all of them, sorted by line.
    pub(super) fn into_result<T>(mut self, value: T) -> Result<T, Vec<Mistake>> {
        let misplaced: Vec<Mistake> =
            self.known.iter().flat_map(|(table, known)| self.misplaced(table, known)).collect();
        self.mistakes.extend(misplaced);
        let below: Vec<Mistake> = self.free.iter().flat_map(|table| self.below(table)).collect();
        self.mistakes.extend(below);
        if self.mistakes.is_empty() {
            return Ok(value);
        }
        self.mistakes.sort();
        self.mistakes.dedup();
        Err(self.mistakes)
    }

    /// The keys of `table` that it can't have, or that stand below the commented header of another one.
    fn misplaced(&self, table: &str, known: &[String]) -> Vec<Mistake> {
        let mut found = Vec::new();
        for key in self.table(table).into_iter().flat_map(|entries| entries.keys()) {
            let (name, line) = (key.get_ref().as_ref(), line(self.text, key.span().start));
            let unknown = !known.iter().any(|known| known == name);
            let header = commented_header(self.text, line).filter(|other| *other != table);
            let free = |table: &str| !self.known.iter().any(|(known, _)| known == table);
            let header = header.filter(|other| {
                self.knows(other, name) || unknown && free(other) && self.is_table(other)
            });
            let message = match header {
                Some(header) => format!("`{name}`: {}", uncomment(header)),
                None if unknown => {
                    let others = self.known.iter().filter(|(table, _)| self.knows(table, name));
                    let others: Vec<String> = others.map(|(t, _)| format!("[{t}]")).collect();
                    let of = match others.is_empty() {
                        true => String::new(),
                        false => format!("; it is a key of {}", others.join(", ")),
                    };
                    format!("unknown key `{name}`: known are {}{of}", known.join(", "))
                }
                None => continue,
            };
            let at = if table.is_empty() { String::new() } else { format!("[{table}]: ") };
            found.push(Mistake::at(self.text, key.span(), at + &message));
        }
        found
    }

    /// Whether `table` may have `key`.
    fn knows(&self, table: &str, key: &str) -> bool {
        self.known.iter().any(|(name, keys)| name == table && keys.iter().any(|k| k == key))
    }

    /// The keys of `table`, which may have any, that stand below the commented header of the table that
    /// they are meant for.
    fn below(&self, table: &str) -> Vec<Mistake> {
        let keys = self.table(table).into_iter().flat_map(|entries| entries.keys());
        let found = keys.filter_map(|key| {
            let name = key.get_ref().as_ref();
            let header = commented_header(self.text, line(self.text, key.span().start))?;
            let message = format!("[{table}]: `{name}`: {}", uncomment(header));
            self.knows(header, name).then(|| Mistake::at(self.text, key.span(), message))
        });
        found.collect()
    }

    /// Whether the file can have this table, or one that it is in.
    fn is_table(&self, name: &str) -> bool {
        let first = name.split('.').next().unwrap_or_default();
        self.known.iter().any(|(table, keys)| table.is_empty() && keys.iter().any(|k| k == first))
    }

    fn table(&self, path: &str) -> Option<&DeTable<'t>> {
        let mut table = self.top.get_ref();
        for part in path.split('.').filter(|part| !part.is_empty()) {
            table = table.get(part)?.get_ref().as_table()?;
        }
        Some(table)
    }

    fn value(&self, table: &str, key: &str) -> Option<&Spanned<DeValue<'t>>> {
        self.table(table)?.get(key)
    }

    /// Whether `key` is written in `table`.
    pub(super) fn has(&self, table: &str, key: &str) -> bool {
        self.value(table, key).is_some()
    }

    /// Notes a mistake at the value of `key`, or at the head of `table` when it isn't there.
    pub(super) fn mistake(&mut self, table: &str, key: &str, message: String) {
        let message = format!("{table}.{key}: {message}");
        self.mistakes.push(match self.value(table, key) {
            Some(value) => Mistake::at(self.text, value.span(), message),
            None => Mistake { line: self.line_of(table), excerpt: String::new(), message },
        });
    }

    fn line_of(&self, table: &str) -> usize {
        let head = format!("[{table}]");
        self.text.lines().position(|text| text.trim() == head).map_or(1, |index| index + 1)
    }

    /// Refuses top-level keys other than `known`.
    pub(super) fn only_tables(&mut self, known: &[&str]) {
        self.only_keys("", known);
        for (key, value) in self.top.get_ref() {
            let name = key.get_ref().as_ref();
            if known.contains(&name) && value.get_ref().as_table().is_none() {
                let message = format!("`{name}` is a table: write [{name}]");
                self.mistakes.push(Mistake::at(self.text, key.span(), message));
            }
        }
    }

    /// Refuses keys of `table` other than `known`.
    pub(super) fn only_keys(&mut self, table: &str, known: &[&str]) {
        self.known.push((table.to_owned(), known.iter().map(ToString::to_string).collect()));
    }

    /// The keys of the table `key` in `table`, if it is written; another type is a mistake.
    pub(super) fn keys(&mut self, table: &str, key: &str) -> Vec<String> {
        let Some(value) = self.value(table, key) else { return Vec::new() };
        if let Some(entries) = value.get_ref().as_table() {
            return entries.keys().map(|key| key.get_ref().to_string()).collect();
        }
        self.mistake(table, key, format!("is a table: write [{table}.{key}]"));
        Vec::new()
    }

    /// As [`ConfigFile::keys`]; of a text the one key is empty.
    pub(super) fn keys_or_text(&mut self, table: &str, key: &str) -> Vec<String> {
        match self.value(table, key) {
            Some(value) if value.get_ref().as_str().is_some() => vec![String::new()],
            _ => self.keys(table, key),
        }
    }

    /// A string, if it is written; another type or an empty string is a mistake.
    pub(super) fn string(&mut self, table: &str, key: &str) -> Option<String> {
        let text = self.value(table, key)?.get_ref().as_str().map(str::to_owned);
        match text {
            Some(text) if !text.trim().is_empty() => Some(text),
            Some(_) => {
                self.mistake(table, key, "is empty".into());
                None
            }
            None => {
                self.mistake(table, key, "must be a string in quotes".into());
                None
            }
        }
    }

    /// As [`ConfigFile::string`]; what `wrong` says of it is a mistake.
    pub(super) fn checked(
        &mut self,
        table: &str,
        key: &str,
        wrong: fn(&str) -> Option<String>,
    ) -> Option<String> {
        let text = self.string(table, key)?;
        wrong(&text).into_iter().for_each(|message| self.mistake(table, key, message));
        Some(text)
    }

    /// A string that must be there; a missing one is a mistake and reads as empty.
    pub(super) fn required(&mut self, table: &str, key: &str) -> String {
        self.required_as(table, key, |_| None)
    }

    /// As [`ConfigFile::required`] and [`ConfigFile::checked`].
    pub(super) fn required_as(
        &mut self,
        table: &str,
        key: &str,
        wrong: fn(&str) -> Option<String>,
    ) -> String {
        if !self.has(table, key) {
            self.mistake(table, key, "is required and not there".into());
        }
        self.checked(table, key, wrong).unwrap_or_default()
    }

    /// A list of strings, if it is written; what `wrong` says of one is a mistake on its own line.
    pub(super) fn strings(
        &mut self,
        table: &str,
        key: &str,
        wrong: impl Fn(&str) -> Option<String>,
    ) -> Option<Vec<String>> {
        let items = self.value(table, key)?.get_ref().as_array().map(|array| {
            let item = |item: &Spanned<DeValue<'_>>| {
                Some((item.get_ref().as_str()?.to_owned(), item.span()))
            };
            array.iter().map(item).collect::<Option<Vec<_>>>()
        });
        let Some(items) = items.flatten() else {
            self.mistake(table, key, "must be a list of strings".into());
            return None;
        };
        for (text, span) in &items {
            if let Some(message) = wrong(text) {
                let message = format!("{table}.{key}: {message}");
                self.mistakes.push(Mistake::at(self.text, span.clone(), message));
            }
        }
        Some(items.into_iter().map(|(text, _)| text).collect())
    }

    /// A table of environment variables, if it is written; a name that none can have is a mistake.
    pub(super) fn environment(&mut self, table: &str) -> BTreeMap<String, String> {
        self.environment_of(table, "environment")
    }

    /// As [`ConfigFile::environment`], of another key.
    pub(super) fn environment_of(&mut self, table: &str, key: &str) -> BTreeMap<String, String> {
        let all: BTreeMap<String, String> = self.typed(table, key).unwrap_or_default();
        self.free.push(format!("{table}.{key}"));
        for name in all.keys() {
            if let Some(message) = variable(name) {
                self.mistake(&format!("{table}.{key}"), name, message);
            }
        }
        all
    }
}

impl ConfigFile<'_> {
    /// A value of another type than a string; what doesn't fit is a mistake on its own line.
    pub(super) fn typed<T: DeserializeOwned>(&mut self, table: &str, key: &str) -> Option<T> {
        let value = self.value(table, key)?.clone();
        self.read(table, key, value)
    }

    /// The entries of an array of tables, `[[TABLE.KEY]]`, each read separately.
    pub(super) fn each<T: DeserializeOwned>(&mut self, table: &str, key: &str) -> Vec<T> {
        let Some(value) = self.value(table, key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.mistake(table, key, format!("is a list of tables: write [[{table}.{key}]]"));
            return Vec::new();
        };
        let entries: Vec<Spanned<DeValue<'_>>> = array.iter().cloned().collect();
        entries.into_iter().filter_map(|entry| self.read(table, key, entry)).collect()
    }

    fn read<T: DeserializeOwned>(
        &mut self,
        table: &str,
        key: &str,
        value: Spanned<DeValue<'_>>,
    ) -> Option<T> {
        let whole = value.span();
        match T::deserialize(ValueDeserializer::from(value)) {
            Ok(value) => Some(value),
            Err(error) => {
                let message = plainly(error.message());
                let span = error.span().unwrap_or(whole);
                let message = format!("{table}.{key}: {message}");
                self.mistakes.push(Mistake::at(self.text, span, message));
                None
            }
        }
    }
}

/// Notes each control character in the texts of `value`, but for those that a text of several lines
/// has: no program and no file takes them as a value.
fn controls(text: &str, name: &str, value: &Spanned<DeValue<'_>>, mistakes: &mut Vec<Mistake>) {
    match value.get_ref() {
        DeValue::String(found) => {
            let control = found.chars().find(|c| c.is_control() && !['\n', '\t'].contains(c));
            mistakes.extend(control.map(|control| {
                let message =
                    format!("{name}: has the control character {}", control.escape_unicode());
                Mistake::at(text, value.span(), message)
            }));
        }
        DeValue::Array(items) => {
            items.iter().for_each(|item| controls(text, name, item, mistakes));
        }
        DeValue::Table(table) => {
            for (key, value) in table {
                controls(text, &format!("{name}.{}", key.get_ref()), value, mistakes);
            }
        }
        _ => {}
    }
}

impl Mistake {
    /// A mistake in the bytes `span` of `text`.
    fn at(text: &str, span: Range<usize>, message: String) -> Mistake {
        Mistake { line: line(text, span.start), excerpt: excerpt(text, span), message }
    }
}

/// The longest line that is shown.
const LONGEST: usize = 100;

/// The line that `span` begins in, and below it a mark; empty for a line that is too long to read.
fn excerpt(text: &str, span: Range<usize>) -> String {
    let Some((above, rest)) = text.split_at_checked(span.start) else { return String::new() };
    let begin = above.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[begin..].lines().next().unwrap_or_default().trim_end();
    if line.trim().is_empty() || line.chars().count() > LONGEST {
        return String::new();
    }
    let length = span.len().min((begin + line.len()).saturating_sub(span.start));
    let marked = rest.get(..length).map_or(1, |marked| marked.chars().count().max(1));
    let indent = " ".repeat(above[begin..].chars().count());
    format!("{}\n{indent}{}", line.replace('\t', " "), "^".repeat(marked))
}

/// The table whose header, in a comment, is the last one above `line`.
fn commented_header(text: &str, line: usize) -> Option<&str> {
    let above: Vec<&str> = text.lines().take(line.saturating_sub(1)).collect();
    for line in above.into_iter().rev().map(str::trim) {
        if line.starts_with('[') {
            return None;
        }
        let comment = line.strip_prefix('#').map_or("", str::trim);
        let name = comment.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let name = name.map(|name| name.trim_matches(['[', ']']));
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if let Some(name) = name.filter(|name| name.chars().all(plain)) {
            return Some(name);
        }
    }
    None
}

fn uncomment(table: &str) -> String {
    format!("the header of its table, [{table}], is a comment: uncomment it as well")
}

/// Line number, from 1, of the byte at `offset`.
fn line(text: &str, offset: usize) -> usize {
    let end = offset.min(text.len());
    text.as_bytes()[..end].iter().filter(|&&byte| byte == b'\n').count() + 1
}
