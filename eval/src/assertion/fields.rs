//! Reads the fields of an assertion, and the files that they name.

use std::io::Read as _;
use std::path::Path;

use serde_json::{Map, Value};

use super::{InvalidAssertion, Output};
use crate::provider::CallError;
use crate::template;

/// Maximum bytes of a file with an expected value.
const MAX_FILE: u64 = 16 << 20;

/// The fields of an assertion.
pub(super) struct Fields<'a> {
    object: &'a Map<String, Value>,
    pub(super) directory: &'a Path,
}

/// A text of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Text {
    /// With variables.
    Template(String),
    /// From a file: it is taken as it is.
    Literal(String),
}

impl<'a> Fields<'a> {
    pub(super) fn new(value: &'a Value, directory: &'a Path) -> Result<Self, InvalidAssertion> {
        let object =
            value.as_object().ok_or_else(|| InvalidAssertion::new("", "an assertion has to be a mapping"))?;
        Ok(Self { object, directory })
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.object.get(key).filter(|value| !value.is_null())
    }

    /// The type of the assertion.
    pub(super) fn kind(&self) -> Result<&'a str, InvalidAssertion> {
        let invalid =
            || InvalidAssertion::new("/type", "has to be the type of an assertion, such as \"contains\"");
        self.get("type").and_then(Value::as_str).ok_or_else(invalid)
    }

    /// Refuses keys that have no effect: most are misspelt.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), InvalidAssertion> {
        let Some(key) = self.object.keys().find(|key| !known.contains(&key.as_str())) else {
            return Ok(());
        };
        let near = known.iter().find(|name| strsim::damerau_levenshtein(name, key) <= 2);
        let hint = near.map_or_else(String::new, |name| format!("; did you mean {name:?}?"));
        let pointer = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
        Err(InvalidAssertion::new(pointer, format!("has no effect on this type of assertion{hint}")))
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<String>, InvalidAssertion> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let invalid = || InvalidAssertion::new(format!("/{key}"), "has to be a text");
        value.as_str().map(|text| Some(text.to_owned())).ok_or_else(invalid)
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f64>, InvalidAssertion> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let invalid = || InvalidAssertion::new(format!("/{key}"), "has to be a number");
        value.as_f64().map(Some).ok_or_else(invalid)
    }

    pub(super) fn weight(&self) -> Result<f64, InvalidAssertion> {
        let weight = self.number("weight")?.unwrap_or(1.0);
        if weight < 0.0 {
            return Err(InvalidAssertion::new("/weight", "cannot be negative"));
        }
        Ok(weight)
    }

    /// The expected value, with its file read. A text that is not from a file is a template.
    pub(super) fn value(&self) -> Result<Option<Expected>, InvalidAssertion> {
        self.get("value").map(|value| self.expected(value, "/value")).transpose()
    }

    /// The expected value, which has to be there.
    pub(super) fn required(&self, what: &str) -> Result<Expected, InvalidAssertion> {
        self.value()?.ok_or_else(|| InvalidAssertion::new("/value", format!("is missing: {what}")))
    }

    /// A prompt: a text or messages, in the configuration or in a file. Its texts are templates.
    pub(super) fn prompt(&self, key: &str) -> Result<Option<Value>, InvalidAssertion> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let pointer = format!("/{key}");
        let prompt = match self.expected(value, &pointer)? {
            Expected::Text(Text::Template(text) | Text::Literal(text)) => Value::String(text),
            Expected::List(_) => value.clone(),
            Expected::Json(messages @ Value::Array(_)) => messages,
            Expected::Json(_) => {
                return Err(InvalidAssertion::new(pointer, "has to be a text or a list of messages"));
            }
        };
        Ok(Some(prompt))
    }

    fn expected(&self, value: &Value, pointer: &str) -> Result<Expected, InvalidAssertion> {
        let invalid = |message: String| InvalidAssertion::new(pointer, message);
        match value {
            Value::String(text) => match text.strip_prefix("file://") {
                Some(path) => self.file(path).map_err(invalid),
                None => template::check(text)
                    .map(|()| Expected::Text(Text::Template(text.clone())))
                    .map_err(invalid),
            },
            Value::Array(values) => {
                let element = |(index, value)| self.expected(value, &format!("{pointer}/{index}"));
                values.iter().enumerate().map(element).collect::<Result<_, _>>().map(Expected::List)
            }
            value => Ok(Expected::Json(value.clone())),
        }
    }

    /// As in promptfoo, JSON and YAML are read as data, and other texts lose white space at their ends.
    fn file(&self, name: &str) -> Result<Expected, String> {
        let path = self.directory.join(name);
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let parse: fn(&str) -> Result<Value, String> = match extension {
            "json" => |text| serde_json::from_str(text).map_err(|error| error.to_string()),
            "yaml" | "yml" => yaml,
            "txt" | "md" => |text| Ok(Value::String(text.trim().to_owned())),
            _ => {
                return Err(format!(
                    "{name:?} is not read: only .json, .yaml, .yml, .txt and .md are, no code is run"
                ));
            }
        };
        let text = read(&path).map_err(|error| format!("{name:?}: {error}"))?;
        let value = parse(&text).map_err(|error| format!("{name:?}: {error}"))?;
        Ok(match value {
            Value::String(text) => Expected::Text(Text::Literal(text)),
            value => Expected::Json(value),
        })
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let length = std::fs::File::open(path)?.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if length as u64 > MAX_FILE {
        return Err(std::io::Error::other(format!("is longer than {MAX_FILE} bytes")));
    }
    Ok(text)
}

/// Parses a YAML document, in one line if that fails.
pub(super) fn yaml(text: &str) -> Result<Value, String> {
    let error = match serde_saphyr::from_str(text) {
        Ok(value) => return Ok(value),
        Err(error) => error.to_string(),
    };
    Err(error.lines().next().unwrap_or("is not YAML").to_owned())
}

/// The expected value of an assertion.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expected {
    Text(Text),
    List(Vec<Expected>),
    /// Anything that is neither text nor a list of the configuration.
    Json(Value),
}

impl Expected {
    /// A text, a number or a truth value, as text.
    pub(super) fn into_text(self, pointer: &str) -> Result<Text, InvalidAssertion> {
        let text = match self {
            Self::Text(text) => text,
            Self::Json(value @ (Value::Number(_) | Value::Bool(_))) => Text::Literal(template::text(&value)),
            _ => return Err(InvalidAssertion::new(pointer, "has to be a text")),
        };
        match &text {
            Text::Template(content) | Text::Literal(content) if content.is_empty() => {
                Err(InvalidAssertion::new(pointer, "cannot be empty"))
            }
            _ => Ok(text),
        }
    }

    /// A text, or a list of texts that is not empty.
    pub(super) fn into_texts(self) -> Result<Vec<Text>, InvalidAssertion> {
        let list = match self {
            Self::List(list) => list,
            Self::Json(Value::Array(list)) => list.into_iter().map(Self::from_file).collect(),
            value => return Ok(vec![value.into_text("/value")?]),
        };
        if list.is_empty() {
            return Err(InvalidAssertion::new("/value", "cannot be empty"));
        }
        list.into_iter()
            .enumerate()
            .map(|(index, value)| value.into_text(&format!("/value/{index}")))
            .collect()
    }

    fn from_file(value: Value) -> Self {
        match value {
            Value::String(text) => Self::Text(Text::Literal(text)),
            value => Self::Json(value),
        }
    }

    /// The value as JSON, with its variables replaced where it is a text, or a list with texts.
    pub(super) fn render(&self, output: &Output<'_>) -> Result<Value, CallError> {
        Ok(match self {
            Self::Text(text) => Value::String(text.render(output)?),
            Self::List(list) => list.iter().map(|value| value.render(output)).collect::<Result<_, _>>()?,
            Self::Json(value) => value.clone(),
        })
    }
}

impl Text {
    /// The text with the variables of the test.
    pub(super) fn render(&self, output: &Output<'_>) -> Result<String, CallError> {
        match self {
            Self::Literal(text) => Ok(text.clone()),
            Self::Template(text) => template::render(text, output.subject.vars)
                .map_err(|error| CallError::new(format_args!("value: {error}"))),
        }
    }

    /// The text with the variables of the test, which cannot be empty: everything contains an empty text.
    pub(super) fn render_some(&self, output: &Output<'_>) -> Result<String, CallError> {
        let text = self.render(output)?;
        if text.is_empty() {
            return Err(CallError::new("value: it is empty when its variables are replaced"));
        }
        Ok(text)
    }

    /// The text, if it does not depend on variables.
    pub(super) fn fixed(&self) -> Option<&str> {
        match self {
            Self::Literal(text) => Some(text),
            Self::Template(text) => template::is_plain(text).then_some(text),
        }
    }
}
