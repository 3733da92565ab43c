//! Reads values of the configuration from a tree, and collects everything that is wrong with them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::yaml::{Entry, Node, Value};

/// A line and a column of a file, counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Position {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

impl Position {
    pub(super) const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Something in a file that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// Where it is.
    pub at: Position,
    /// What it is. It has no values of the file or the environment that could be secrets.
    pub message: String,
}

/// Something in a file that is allowed, and may not be what was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Note {
    /// Where it is.
    pub at: Position,
    /// What it is.
    pub message: String,
}

/// Why a file is no configuration: everything that is wrong with it, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    path: PathBuf,
    problems: Vec<Problem>,
}

impl ConfigError {
    pub(super) fn new(path: &Path, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.at);
        problems.dedup();
        Self { path: path.to_owned(), problems }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is wrong, in the order of the file.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    /// Writes a line for each problem: the file, line and column, and what is wrong.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Problem { at, message }) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{}:{at}: {message}", self.path.display())?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// A value of a type that a configuration has.
pub(super) trait FromYaml: Sized {
    /// Whether an optional value of this type can be switched off with `off`.
    const HAS_OFF: bool = false;

    /// The JSON Schema of the value.
    fn schema() -> serde_json::Value;

    /// Reads the value. If it is wrong, the problem is reported to the reader.
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self>;
}

/// What all values need to be read, and what was found to be wrong.
pub(super) struct Reader<'e> {
    /// The folder that relative paths start at.
    pub(super) folder: &'e Path,
    environment: &'e dyn Fn(&str) -> Option<String>,
    /// Variables that the file itself sets.
    pub(super) variables: BTreeMap<String, String>,
    pub(super) problems: Vec<Problem>,
    pub(super) notes: Vec<Note>,
}

impl<'e> Reader<'e> {
    pub(super) fn new(path: &'e Path, environment: &'e dyn Fn(&str) -> Option<String>) -> Self {
        let folder = path.parent().unwrap_or(Path::new(""));
        Self { folder, environment, variables: BTreeMap::new(), problems: Vec::new(), notes: Vec::new() }
    }

    /// Reports a problem. There is no value then.
    pub(super) fn problem<T>(&mut self, at: Position, message: impl Into<String>) -> Option<T> {
        self.problems.push(Problem { at, message: message.into() });
        None
    }

    /// Reports a value of the wrong kind.
    pub(super) fn expected<T>(&mut self, node: &Node, what: &str) -> Option<T> {
        self.problem(node.at, format!("expected {what}, found {}", node.kind()))
    }

    pub(super) fn note(&mut self, at: Position, message: impl Into<String>) {
        self.notes.push(Note { at, message: message.into() });
    }

    /// A path, which starts at the folder of the file if it is relative.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// The value of an environment variable, if it is set.
    pub(super) fn optional_variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned().or_else(|| (self.environment)(name))
    }

    /// The value of an environment variable, which has to be set.
    pub(super) fn variable(&mut self, at: Position, name: &str) -> Option<String> {
        match self.optional_variable(name) {
            Some(value) => Some(value),
            None => self.problem(at, format!("the environment variable {name} is not set")),
        }
    }

    /// A text, in which `${NAME}` is the value of an environment variable.
    pub(super) fn text(&mut self, node: &Node) -> Option<String> {
        match &node.value {
            Value::Text(text) => self.expand(node.at, text),
            Value::Number(_) | Value::Bool(_) => {
                self.problem(node.at, format!("expected a text, found {}: put it in quotes", node.kind()))
            }
            _ => self.expected(node, "a text"),
        }
    }

    /// Replaces `${NAME}` by the values of environment variables, and `$${` by `${`.
    pub(super) fn expand(&mut self, at: Position, text: &str) -> Option<String> {
        let (mut expanded, mut rest) = (String::new(), text);
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                expanded += before;
                expanded += "${";
                rest = after;
                continue;
            }
            let is_name = |name: &str| {
                !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            };
            let Some((name, after)) = after.split_once('}').filter(|(name, _)| is_name(name)) else {
                return self.problem(
                    at,
                    "`${` without the name of a variable and `}`; write `$${` for the text itself",
                );
            };
            expanded += before;
            expanded += &self.variable(at, name)?;
            rest = after;
        }
        Some(expanded + rest)
    }

    /// A value that is parsed from a text. The message does not have the text, which may be a secret that was misplaced.
    pub(super) fn parsed<T>(
        &mut self,
        node: &Node,
        what: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let Value::Text(_) = node.value else { return self.expected(node, what) };
        let text = self.text(node)?;
        match parse(&text) {
            Some(value) => Some(value),
            None => self.problem(node.at, format!("expected {what}")),
        }
    }

    /// The content of a file without the line end at its end.
    pub(super) fn file(&mut self, at: Position, path: &Path) -> Option<String> {
        match std::fs::read_to_string(path) {
            Ok(text) => Some(text.trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) => self.problem(at, format!("{}: {error}", path.display())),
        }
    }

    /// The entries of a section. Keys that are not known and keys that are missing are reported.
    pub(super) fn section<'n>(
        &mut self,
        node: &'n Node,
        keys: &[&str],
        required: &[&str],
    ) -> Option<&'n [Entry]> {
        let Value::Section(entries) = &node.value else { return self.expected(node, "a section") };
        for entry in entries.iter().filter(|entry| !keys.contains(&entry.key.as_str())) {
            let key: String = entry.key.chars().take(KEY_MAX).collect();
            self.problem::<()>(entry.at, format!("unknown key `{key}`{}", suggestion(&key, keys)));
        }
        let is_missing = |key: &&&str| entries.iter().all(|entry| entry.key != **key);
        let missing: Vec<_> = required.iter().filter(is_missing).map(|key| format!("`{key}`")).collect();
        if !missing.is_empty() {
            return self.problem(node.at, format!("{} is missing", missing.join(" and ")));
        }
        Some(entries)
    }
}

/// Characters of an unknown key that are shown.
const KEY_MAX: usize = 64;

/// The end of a message: the most similar of the known names, or all of them.
pub(super) fn suggestion(name: &str, known: &[&str]) -> String {
    let distance = |known: &&&str| strsim::osa_distance(&known.to_lowercase(), &name.to_lowercase());
    match known.iter().min_by_key(distance) {
        Some(nearest) if distance(&nearest) <= 1 + name.len() / 4 => format!("; did you mean `{nearest}`?"),
        _ => format!("; known are {}", known.join(", ")),
    }
}

/// The JSON Schema of a section.
pub(super) fn section_schema<const N: usize>(
    rows: [(&str, &str, serde_json::Value); N],
    required: &[&str],
) -> serde_json::Value {
    let properties: serde_json::Map<_, _> = rows
        .into_iter()
        .map(|(key, help, mut schema)| {
            schema["description"] = help.trim().into();
            (key.to_owned(), schema)
        })
        .collect();
    let mut schema = json!({"type": "object", "additionalProperties": false, "properties": properties});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// The schema of a field's type, which follows from the function that returns the field.
pub(super) fn schema_of<T, F: FromYaml>(_field: impl Fn(&T) -> &F) -> serde_json::Value {
    F::schema()
}

/// How a section is read: its keys, the fields that they set, and their descriptions. Reading, the schema and the table of
/// the documentation follow from it. Keys after `required` have to be there.
macro_rules! section {
    ($type:ty, $initial:expr, required [$($required:literal),*], {
        $($key:literal => $($field:ident).+, $help:literal;)+
    }) => {
        impl FromYaml for $type {
            fn schema() -> serde_json::Value {
                use $crate::config::read::{schema_of, section_schema};
                let rows = [$(($key, $help, schema_of(|section: &$type| &section.$($field).+)),)+];
                section_schema(rows, &[$($required),*])
            }

            fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
                let entries = reader.section(node, &[$($key),+], &[$($required),*])?;
                let mut section: $type = $initial;
                for entry in entries {
                    match entry.key.as_str() {
                        $($key => {
                            if let Some(value) = FromYaml::read(&entry.node, reader) {
                                section.$($field).+ = value;
                            }
                        })+
                        // It has been reported.
                        _ => {}
                    }
                }
                Some(section)
            }
        }
    };
}

/// How a value is read that is one of several names.
macro_rules! names {
    ($type:ty, {$($name:literal => $value:expr),+ $(,)?}) => {
        impl FromYaml for $type {
            fn schema() -> serde_json::Value {
                serde_json::json!({"type": "string", "enum": [$($name),+]})
            }

            fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
                let names = [$($name),+];
                let text = reader.text(node)?;
                match text.as_str() {
                    $($name => Some($value),)+
                    _ => {
                        let known = names.map(|name| format!("`{name}`")).join(", ");
                        reader.problem(node.at, format!("expected one of {known}"))
                    }
                }
            }
        }
    };
}

pub(super) use {names, section};

impl<T: FromYaml> FromYaml for Option<T> {
    fn schema() -> serde_json::Value {
        if T::HAS_OFF { json!({"anyOf": [T::schema(), {"const": "off"}]}) } else { T::schema() }
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match &node.value {
            Value::Null => Some(None),
            Value::Text(text) if T::HAS_OFF && text == "off" => Some(None),
            _ => T::read(node, reader).map(Some),
        }
    }
}

/// A list, or a single value for a list of one.
impl<T: FromYaml> FromYaml for Vec<T> {
    fn schema() -> serde_json::Value {
        let item = T::schema();
        json!({"anyOf": [item, {"type": "array", "items": item}]})
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match &node.value {
            // All items are read, so that all problems are reported.
            Value::List(items) => {
                let items: Vec<_> = items.iter().map(|item| T::read(item, reader)).collect();
                items.into_iter().collect()
            }
            _ => T::read(node, reader).map(|item| vec![item]),
        }
    }
}

/// A section with any keys.
impl<T: FromYaml> FromYaml for BTreeMap<String, T> {
    fn schema() -> serde_json::Value {
        json!({"type": "object", "additionalProperties": T::schema()})
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let Value::Section(entries) = &node.value else { return reader.expected(node, "a section") };
        let values: Vec<_> =
            entries.iter().map(|entry| Some((entry.key.clone(), T::read(&entry.node, reader)?))).collect();
        values.into_iter().collect()
    }
}
