//! Values of LiteLLM's file, and which of them were taken over.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::config::Secret;
use crate::config::read::Reader;
use crate::config::values::LITERAL;
use crate::config::yaml::{Entry, Node, Value};

/// A reference to an environment variable.
const VARIABLE: &str = "os.environ/";

/// A section, and the keys of it that were taken over.
pub(super) struct Section<'n> {
    pub(super) node: &'n Node,
    entries: &'n [Entry],
    name: &'static str,
    taken: BTreeSet<&'n str>,
}

impl<'n> Section<'n> {
    /// A section with its name for messages. Nothing counts as an empty section.
    pub(super) fn new(node: &'n Node, name: &'static str, reader: &mut Reader<'_>) -> Option<Self> {
        let entries = match &node.value {
            Value::Section(entries) => entries.as_slice(),
            Value::Null => &[],
            _ => return reader.expected(node, "a section"),
        };
        Some(Self { node, entries, name, taken: BTreeSet::new() })
    }

    /// Takes a value over. A value that is nothing counts as missing.
    pub(super) fn take(&mut self, key: &str) -> Option<&'n Node> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        self.taken.insert(&entry.key);
        (!matches!(entry.node.value, Value::Null)).then_some(&entry.node)
    }

    /// The entries that were not taken over.
    pub(super) fn rest(&self) -> impl Iterator<Item = &'n Entry> {
        self.entries.iter().filter(|entry| !self.taken.contains(entry.key.as_str()))
    }

    /// Notes the entries that were not taken over.
    pub(super) fn note_rest(&self, reader: &mut Reader<'_>) {
        for entry in self.rest() {
            self.note_entry(entry, reader);
        }
    }

    /// Notes that an entry is not taken over.
    pub(super) fn note_entry(&self, entry: &Entry, reader: &mut Reader<'_>) {
        let dot = if self.name.is_empty() { "" } else { "." };
        reader.note(entry.at, format!("`{}{dot}{}` is not taken over", self.name, entry.key));
    }

    /// A text that is not empty.
    pub(super) fn text(&mut self, key: &str, reader: &mut Reader<'_>) -> Option<String> {
        let text = scalar(self.take(key)?, reader)?;
        (!text.is_empty()).then_some(text)
    }

    /// A secret, with a note if it is in the file.
    pub(super) fn secret(&mut self, key: &str, reader: &mut Reader<'_>) -> Option<Secret> {
        let node = self.take(key)?;
        let secret = scalar(node, reader).filter(|secret| !secret.is_empty())?;
        if !matches!(&node.value, Value::Text(text) if text.starts_with(VARIABLE)) {
            reader.note(node.at, LITERAL);
        }
        Some(Secret::new(secret))
    }

    /// A value that is parsed from a text, or from a number or boolean of the file.
    pub(super) fn parsed<T>(
        &mut self,
        key: &str,
        what: &str,
        reader: &mut Reader<'_>,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let node = self.take(key)?;
        match parse(&scalar(node, reader)?) {
            Some(value) => Some(value),
            None => reader.problem(node.at, format!("expected {what}")),
        }
    }

    pub(super) fn whole(&mut self, key: &str, reader: &mut Reader<'_>) -> Option<u32> {
        self.parsed(key, "a whole number", reader, |text| text.parse().ok())
    }

    pub(super) fn number(&mut self, key: &str, reader: &mut Reader<'_>) -> Option<f64> {
        let parse = |text: &str| text.parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0);
        self.parsed(key, "a number that is not negative", reader, parse)
    }

    pub(super) fn boolean(&mut self, key: &str, reader: &mut Reader<'_>) -> Option<bool> {
        self.parsed(key, "true or false", reader, |text| text.to_lowercase().parse().ok())
    }

    /// A time in seconds, above zero.
    pub(super) fn seconds(&mut self, key: &str, reader: &mut Reader<'_>) -> Option<Duration> {
        let parse = |text: &str| {
            let duration = Duration::try_from_secs_f64(text.parse().ok()?).ok()?;
            (!duration.is_zero()).then_some(duration)
        };
        self.parsed(key, "a number of seconds above 0", reader, parse)
    }
}

/// A text, a number or a boolean as a text, in which `os.environ/NAME` is the value of an environment variable.
pub(super) fn scalar(node: &Node, reader: &mut Reader<'_>) -> Option<String> {
    match &node.value {
        Value::Text(text) => expanded(node, text, reader),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => reader.expected(node, "a text"),
    }
}

/// A text, or the value of the environment variable that it refers to.
pub(super) fn expanded(node: &Node, text: &str, reader: &mut Reader<'_>) -> Option<String> {
    match text.strip_prefix(VARIABLE) {
        Some(name) => reader.variable(node.at, name),
        None => Some(text.to_owned()),
    }
}
