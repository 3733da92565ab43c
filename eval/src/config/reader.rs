//! Reads values of the configuration, and collects everything that is wrong with them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::Environment;
use super::document::{Document, Node, Problem};
use crate::provider::Spec;

/// The most bytes of a file.
const FILE_LEN_MAX: u64 = 256 << 20;
/// The longest pause, in milliseconds.
const MILLISECONDS_MAX: f64 = 86_400_000.0;
/// The most characters of an unknown name that are shown.
const NAME_LEN_MAX: usize = 64;

/// What all values need to be read, and what was found to be wrong.
pub(super) struct Reader<'e> {
    /// The folder of the configuration, which relative paths start at, as in promptfoo.
    pub(super) folder: PathBuf,
    environment: &'e Environment<'e>,
    /// The variables that the configuration sets.
    variables: BTreeMap<String, String>,
    /// The providers that were read, by their place.
    pub(super) specs: BTreeMap<(Problem, String), Arc<Spec>>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
}

impl<'e> Reader<'e> {
    pub(super) fn new(path: &Path, environment: &'e Environment<'e>) -> Self {
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Self {
            folder,
            environment,
            variables: BTreeMap::new(),
            specs: BTreeMap::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Reports a problem. There is no value then.
    pub(super) fn problem<T>(&mut self, problem: Problem) -> Option<T> {
        self.problems.push(problem);
        None
    }

    fn expected<T>(&mut self, node: &Node<'_>, what: &str) -> Option<T> {
        self.problem(node.problem(format!("expected {what}, found {}", node.kind())))
    }

    /// The value of an environment variable, unless it is blank.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        let value = self.variables.get(name).cloned().or_else(|| (self.environment)(name))?;
        (!value.trim().is_empty()).then_some(value)
    }

    /// Reads the key `env`.
    pub(super) fn env(&mut self, root: &Node<'_>) {
        let Some(section) = root.get("env") else { return };
        for (name, node) in section.entries() {
            let value = match node.value {
                Value::Number(number) => Some(number.to_string()),
                Value::Bool(value) => Some(value.to_string()),
                _ => self.text(&node),
            };
            self.variables.extend(value.map(|value| (name.to_owned(), value)));
        }
    }

    /// Checks the keys of a section: those that are read, those that change nothing, and those that are not supported.
    pub(super) fn keys(&mut self, node: &Node<'_>, known: &[&str], ignored: &[&str], unsupported: &[&str]) {
        if !node.value.is_object() && !node.value.is_null() {
            return self.expected(node, "a section").unwrap_or_default();
        }
        for (key, entry) in node.entries() {
            if ignored.contains(&key) {
                self.warnings.push(entry.problem(format!("`{key}` has no effect")));
            } else if unsupported.contains(&key) {
                self.problems.push(entry.problem(format!("`{key}` is not supported")));
            } else if !known.contains(&key) {
                let name: String = key.chars().take(NAME_LEN_MAX).collect();
                self.problems
                    .push(entry.problem(format!("unknown key `{name}`{}", suggestion(&name, known))));
            }
        }
    }

    /// A text, with the variables of the environment replaced.
    pub(super) fn text(&mut self, node: &Node<'_>) -> Option<String> {
        match node.value {
            Value::String(text) => self.expand(node, text),
            Value::Number(_) | Value::Bool(_) => self
                .problem(node.problem(format!("expected a text, found {}: put it in quotes", node.kind()))),
            _ => self.expected(node, "a text"),
        }
    }

    /// A text of one of several names.
    pub(super) fn name<T: Copy>(&mut self, node: &Node<'_>, names: &[(&str, T)]) -> Option<T> {
        let text = self.text(node)?;
        if let Some((_, value)) = names.iter().find(|(name, _)| *name == text) {
            return Some(*value);
        }
        let known: Vec<_> = names.iter().map(|(name, _)| *name).collect();
        self.problem(node.problem(format!("unknown value{}", suggestion(&text, &known))))
    }

    pub(super) fn boolean(&mut self, node: &Node<'_>) -> Option<bool> {
        match node.value {
            Value::Bool(value) => Some(*value),
            _ => self.expected(node, "true or false"),
        }
    }

    /// A finite number.
    pub(super) fn number(&mut self, node: &Node<'_>) -> Option<f64> {
        match node.value.as_f64().filter(|number| number.is_finite()) {
            Some(number) => Some(number),
            None => self.expected(node, "a number"),
        }
    }

    /// A whole number above 0.
    pub(super) fn count(&mut self, node: &Node<'_>) -> Option<usize> {
        match node.value.as_u64().and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0) {
            Some(count) => Some(count),
            None => self.expected(node, "a whole number above 0"),
        }
    }

    /// A duration in milliseconds.
    pub(super) fn milliseconds(&mut self, node: &Node<'_>) -> Option<Duration> {
        match node.value.as_f64().filter(|number| (0.0..=MILLISECONDS_MAX).contains(number)) {
            Some(number) => Some(Duration::from_secs_f64(number / 1000.0)),
            None => self.expected(node, "milliseconds, of at most a day"),
        }
    }

    /// One text, or a list of texts.
    pub(super) fn texts(&mut self, node: &Node<'_>) -> Vec<String> {
        node.items().iter().filter_map(|item| self.text(item)).collect()
    }

    /// Replaces `{{env.NAME}}` by the values of environment variables.
    pub(super) fn expand(&mut self, node: &Node<'_>, text: &str) -> Option<String> {
        let (mut expanded, mut rest) = (String::new(), text);
        while let Some((before, after)) = rest.split_once("{{") {
            expanded += before;
            let Some(name) = environment_name(after) else {
                expanded += "{{";
                rest = after;
                continue;
            };
            match self.variable(name) {
                Some(value) => expanded += &value,
                None => {
                    let message = format!("the environment variable {name} is not set");
                    return self.problem(node.problem(message));
                }
            }
            rest = after.split_once("}}").map_or("", |(_, rest)| rest);
        }
        Some(expanded + rest)
    }

    /// The value with the variables of the environment replaced in all of its texts.
    pub(super) fn json(&mut self, node: &Node<'_>) -> Option<Value> {
        Some(match node.value {
            Value::String(text) => self.expand(node, text)?.into(),
            Value::Array(_) => {
                node.items().iter().map(|item| self.json(item)).collect::<Option<Vec<_>>>()?.into()
            }
            Value::Object(_) => {
                let entries = node.entries().into_iter();
                let entries = entries.map(|(key, entry)| Some((key.to_owned(), self.json(&entry)?)));
                Value::Object(entries.collect::<Option<_>>()?)
            }
            other => other.clone(),
        })
    }

    /// The path of a text that begins with `file://`, and what comes after a `:` at its end, which promptfoo has for functions.
    pub(super) fn file_path(&self, text: &str) -> Option<PathBuf> {
        let path = text.strip_prefix("file://")?;
        Some(self.folder.join(path))
    }

    /// The content of a file. `node` names it; the configuration itself is named by nothing.
    pub(super) fn file(&mut self, path: &Path, node: Option<&Node<'_>>) -> Option<String> {
        let read = std::fs::metadata(path).and_then(|metadata| match metadata.len() {
            len if len > FILE_LEN_MAX => {
                Err(std::io::Error::other(format!("larger than {FILE_LEN_MAX} bytes")))
            }
            _ => std::fs::read_to_string(path),
        });
        match (read, node) {
            (Ok(text), _) => Some(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)),
            (Err(error), Some(node)) => self.problem(node.problem(format!("{}: {error}", path.display()))),
            (Err(error), None) => {
                let message = error.to_string();
                self.problem(Problem { path: path.to_owned(), line: 1, column: 1, message })
            }
        }
    }

    /// A YAML or JSON file.
    pub(super) fn document(&mut self, path: &Path, node: Option<&Node<'_>>) -> Option<Document> {
        let text = self.file(path, node)?;
        match Document::parse(path, &text) {
            Ok(document) => Some(document),
            Err(problem) => self.problem(problem),
        }
    }
}

/// The name of the variable, if this is what follows `{{` in `{{ env.NAME }}`.
fn environment_name(after: &str) -> Option<&str> {
    let (name, _) = after.split_once("}}")?;
    let name = name.trim().strip_prefix("env.")?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then_some(name)
}

/// The end of a message: the most similar of the known names, or all of them.
pub(crate) fn suggestion(name: &str, known: &[&str]) -> String {
    let distance = |known: &&&str| strsim::osa_distance(&known.to_lowercase(), &name.to_lowercase());
    match known.iter().min_by_key(distance) {
        Some(nearest) if distance(&nearest) <= 1 + name.len() / 4 => format!("; did you mean `{nearest}`?"),
        _ => format!("; known are {}", known.join(", ")),
    }
}
