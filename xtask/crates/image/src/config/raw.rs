//! `docker/image.toml` as written: values with their places, so that every mistake in the file
//! is reported at once and with its line.

use super::Mistake;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// The parsed file and the mistakes found so far.
pub(super) struct File<'t> {
    text: &'t str,
    top: Spanned<DeTable<'t>>,
    /// What is wrong so far, in the order it was found.
    pub(super) mistakes: Vec<Mistake>,
}

impl<'t> File<'t> {
    /// Parses `text`; syntax errors become mistakes and the rest of the file is still read.
    pub(super) fn parse(text: &'t str) -> Self {
        let (top, errors) = DeTable::parse_recoverable(text);
        let mistakes = errors
            .iter()
            .map(|error| Mistake {
                line: line(text, error.span().map_or(0, |span| span.start)),
                message: error.message().replace('\n', ", "),
            })
            .collect();
        File { text, top, mistakes }
    }

    /// `value`, unless there are mistakes: then all of them, sorted by line.
    pub(super) fn into_result<T>(mut self, value: T) -> Result<T, Vec<Mistake>> {
        if self.mistakes.is_empty() {
            return Ok(value);
        }
        self.mistakes.sort();
        self.mistakes.dedup();
        Err(self.mistakes)
    }

    fn table(&self, path: &str) -> Option<&DeTable<'t>> {
        let mut table = self.top.get_ref();
        for part in path.split('.') {
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
        let start = self.value(table, key).map(|value| value.span().start);
        let line = start.map_or_else(|| self.line_of(table), |start| line(self.text, start));
        self.mistakes.push(Mistake { line, message: format!("{table}.{key}: {message}") });
    }

    fn line_of(&self, table: &str) -> usize {
        let head = format!("[{table}]");
        self.text.lines().position(|text| text.trim() == head).map_or(1, |index| index + 1)
    }

    /// Refuses top-level keys other than `known`.
    pub(super) fn only_tables(&mut self, known: &[&str]) {
        let mut found = Vec::new();
        for (key, value) in self.top.get_ref() {
            let name = key.get_ref().as_ref();
            let at = line(self.text, key.span().start);
            if !known.contains(&name) {
                found.push(Mistake { line: at, message: unknown(name, known) });
            } else if value.get_ref().as_table().is_none() {
                let message = format!("`{name}` is a table: write [{name}]");
                found.push(Mistake { line: at, message });
            }
        }
        self.mistakes.extend(found);
    }

    /// Refuses keys of `table` other than `known`.
    pub(super) fn only_keys(&mut self, table: &str, known: &[&str]) {
        let Some(entries) = self.table(table) else { return };
        let found: Vec<Mistake> = entries
            .iter()
            .filter(|(key, _)| !known.contains(&key.get_ref().as_ref()))
            .map(|(key, _)| Mistake {
                line: line(self.text, key.span().start),
                message: format!("[{table}]: {}", unknown(key.get_ref(), known)),
            })
            .collect();
        self.mistakes.extend(found);
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

    /// A string that must be there; a missing one is a mistake and reads as empty.
    pub(super) fn required(&mut self, table: &str, key: &str) -> String {
        if !self.has(table, key) {
            self.mistake(table, key, "is required and not there".into());
        }
        self.string(table, key).unwrap_or_default()
    }

    /// A list of strings, if it is written.
    pub(super) fn strings(&mut self, table: &str, key: &str) -> Option<Vec<String>> {
        let value = self.value(table, key)?.get_ref();
        let list = value.as_array().and_then(|array| {
            array.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect()
        });
        if list.is_none() {
            self.mistake(table, key, "must be a list of strings".into());
        }
        list
    }
}

impl File<'_> {
    /// A value of another type than a string; what doesn't fit is a mistake on its own line.
    pub(super) fn typed<T: DeserializeOwned>(&mut self, table: &str, key: &str) -> Option<T> {
        let value = self.value(table, key)?.clone();
        self.read(table, key, value)
    }

    /// The entries of an array of tables, `[[TABLE.KEY]]`, each read by itself.
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
        let start = value.span().start;
        match T::deserialize(ValueDeserializer::from(value)) {
            Ok(value) => Some(value),
            Err(error) => {
                let at = line(self.text, error.span().map_or(start, |span| span.start));
                let message = error.message().replace('\n', ", ");
                self.mistakes
                    .push(Mistake { line: at, message: format!("{table}.{key}: {message}") });
                None
            }
        }
    }
}

fn unknown(name: &str, known: &[&str]) -> String {
    format!("unknown key `{name}`: known are {}", known.join(", "))
}

/// Line number, from 1, of the byte at `offset`.
fn line(text: &str, offset: usize) -> usize {
    let end = offset.min(text.len());
    text.as_bytes()[..end].iter().filter(|&&byte| byte == b'\n').count() + 1
}
