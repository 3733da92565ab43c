//! Custom formats: a file describes the API of one endpoint with a template of its request and paths into its responses.
//!
//! ```
//! use bytes::Bytes;
//! use sagewire_codec::model::Event;
//! use sagewire_codec::custom::{Format, Spec};
//! use sagewire_codec::{Decoder, Options};
//!
//! let spec: Spec = serde_json::from_str(
//!     r#"{
//!         "request": {"question": "{{prompt}}", "settings": {"length": "{{max_tokens}}"}},
//!         "stream": {"text": "$.piece", "finish": "$.reason", "usage": {"output": "$.tokens"}}
//!     }"#,
//! )?;
//! let format = Format::new(spec)?;
//!
//! let mut decoder = Decoder::with_options(Options::new().custom(format));
//! let mut chunk = Bytes::from_static(b"{\"piece\":\"hi\"}\n{\"reason\":\"stop\",\"tokens\":1}\n");
//! let mut text = String::new();
//! while let Some(event) = decoder.decode(&mut chunk)? {
//!     if let Event::TextDelta { text: piece, .. } = event {
//!         text.push_str(&piece);
//!     }
//! }
//! while let Some(_held_back) = decoder.finish()? {}
//! assert_eq!(text, "hi");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Requests
//!
//! A request is any JSON with placeholders in its strings. A string that consists of one placeholder is replaced by the value
//! itself, such as a number or a list; in a longer string it is replaced by text. A field or an item is left out if the request
//! does not have its value.
//! The placeholders are `messages` (OpenAI's messages; without system messages if the template has `{{system}}`), `system`,
//! `prompt` (see [`Format::write`]), `tools` (OpenAI's tools), `stop` (a list), and `model`, `max_tokens`, `temperature`,
//! `top_p`, `top_k`, `min_p`, `seed`, `n`, `frequency_penalty`, `presence_penalty`, `repetition_penalty`, `stream` and
//! `user`; `other.name` is an extra parameter of the source.
//! Values of the request without a placeholder are reported as losses.
//!
//! # Responses
//!
//! Paths are JSONPath ([RFC 9535](https://www.rfc-editor.org/rfc/rfc9535)). `$` is a record: a JSON document, or each item of a
//! list of documents outside of server-sent events; a list in a server-sent event is a record itself. Fields of a record that no path
//! selects come as [`Event::Other`](crate::model::Event::Other).
//!
//! | the record | is |
//! |---|---|
//! | a path of [`stream`](Spec::stream) finds text, reasoning or an end in it | part of a stream |
//! | only a path of [`response`](Spec::response) does | a whole response, which is complete |
//! | both find the same text, and the record is all of a body without events | a whole response, unless the format has a path for the end that finds nothing |
//! | neither does | part of a stream, which may have an ID or counts |
//!
//! A stream is complete with a finish reason, with what [`done`](Paths::done) finds or with `[DONE]`, and truncated otherwise.
//! To read a body that is known to be a whole response, use [`Response::read`](crate::model::Response::read).
//!
//! Custom formats are slower than built-in ones, because each record is parsed to a tree; ten thousand records a second are no
//! problem. A path may have `..` twice, and patterns of `match` and `search` have to be strings; a record in which a path would
//! visit more than four million values is an error.

mod messages;
mod query;
mod read_stream;
mod write_request;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;

use serde::{Deserialize, Serialize};

use self::query::{Query, Size};
use self::write_request::Compiled;
use crate::error::DecodeErrorKind;
use crate::json::value::Tree;

pub(crate) use read_stream::{StreamState, read_record};
pub use write_request::Body;

/// The description of a format, as its file has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Spec {
    /// The template of the request; `None` for a format that is only read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Template>,
    /// Paths into a whole response.
    #[serde(default)]
    pub response: Paths,
    /// Paths into a record of a stream.
    #[serde(default)]
    pub stream: Paths,
    /// Maps the format's finish reasons to those of OpenAI (`stop`, `length`, `tool_calls`, `content_filter`). Other reasons are
    /// kept, unless they are one of OpenAI's or TGI's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub finish_reasons: BTreeMap<String, String>,
}

/// The template of a request: any JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct Template(Tree);

impl Serialize for Template {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Tree::deserialize(deserializer).map(Self)
    }
}

/// JSONPath into a record. A value that a path does not find, or that is null, is missing in the record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Paths {
    /// Text of the response: strings, which are joined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Reasoning: strings, which are joined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// The finish reason: a string.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish: Option<String>,
    /// Found as anything but null, false, 0 and the empty string: the response is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done: Option<String>,
    /// Found as anything but null, false, 0 and the empty string: the model failed. Without this path, errors are detected by
    /// the shapes that servers use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The ID of the response: a string.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The model: a string.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Token counts.
    pub usage: UsagePaths,
}

/// JSONPath to token counts, which are integers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct UsagePaths {
    /// Tokens of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Tokens of the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// The total.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<String>,
}

/// A compiled format.
#[derive(Clone, Debug)]
pub struct Format {
    spec: Spec,
    request: Option<Compiled>,
    response: Queries,
    stream: Queries,
}

/// Compiled paths.
#[derive(Clone, Debug, Default)]
struct Queries {
    text: Option<Query>,
    reasoning: Option<Query>,
    finish: Option<Query>,
    done: Option<Query>,
    error: Option<Query>,
    id: Option<Query>,
    model: Option<Query>,
    input: Option<Query>,
    output: Option<Query>,
    total: Option<Query>,
}

impl Format {
    /// Compiles a description.
    ///
    /// # Errors
    ///
    /// A path is malformed, the template has a placeholder that is not known, or a finish reason is mapped to an unknown
    /// one. The error has the JSON pointer into the description, and the byte offset in that path or text.
    pub fn new(spec: Spec) -> Result<Self, ConfigError> {
        let request = spec.request.as_ref().map(|Template(tree)| Compiled::new(tree)).transpose()?;
        let (response, stream) =
            (Queries::new("response", &spec.response)?, Queries::new("stream", &spec.stream)?);
        for (reason, meaning) in &spec.finish_reasons {
            if read_stream::meaning(meaning).is_none() {
                let why = format!(
                    "`{meaning}` is no finish reason; known: stop, length, tool_calls, content_filter"
                );
                return Err(invalid(&format!("/finish_reasons/{reason}"), 0, &why));
            }
        }
        Ok(Self { request, response, stream, spec })
    }

    /// The format without its paths into streams, for reading whole responses that could be taken for a record of a stream. [`Response::read`](crate::model::Response::read) does so. `None` if the format has no
    /// other paths.
    pub fn for_whole_responses(&self) -> Option<Self> {
        if self.spec.response == Paths::default() {
            return None;
        }
        let spec = Spec { stream: Paths::default(), ..self.spec.clone() };
        Some(Self { spec, stream: Queries::default(), ..self.clone() })
    }

    /// Compiles the description in a JSON file.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new), and text that is no description; then the pointer is empty.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        let spec = serde_json::from_str(text).map_err(|error| invalid("", 0, &error.to_string()))?;
        Self::new(spec).map_err(|error| {
            let found = serde_json::from_str::<serde_json::Value>(text).ok();
            let found = found.as_ref().and_then(|found| found.pointer(&error.pointer)?.as_str());
            ConfigError { value: found.map(Into::into), ..error }
        })
    }

    /// Whether requests can be written: the format has a template.
    pub fn writes_requests(&self) -> bool {
        self.request.is_some()
    }

    /// Whether responses can be read: the format has paths into them.
    pub fn reads_responses(&self) -> bool {
        self.spec.stream != Paths::default() || self.spec.response != Paths::default()
    }

    /// The description that the format was compiled from.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }
}

/// As its [description](Spec).
impl Serialize for Format {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.spec.serialize(serializer)
    }
}

/// From its [description](Spec), which is compiled.
impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Spec::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        self.spec == other.spec
    }
}

// All numbers of a tree are finite.
impl Eq for Format {}

impl Queries {
    fn new(name: &str, paths: &Paths) -> Result<Self, ConfigError> {
        let compile = |field: &str, path: &Option<String>| {
            path.as_ref().map(|path| Query::new(&format!("/{name}/{field}"), path)).transpose()
        };
        Ok(Self {
            text: compile("text", &paths.text)?,
            reasoning: compile("reasoning", &paths.reasoning)?,
            finish: compile("finish", &paths.finish)?,
            done: compile("done", &paths.done)?,
            error: compile("error", &paths.error)?,
            id: compile("id", &paths.id)?,
            model: compile("model", &paths.model)?,
            input: compile("usage/input", &paths.usage.input)?,
            output: compile("usage/output", &paths.usage.output)?,
            total: compile("usage/total", &paths.usage.total)?,
        })
    }

    /// Checks that the paths visit a bounded number of values in a record of this size.
    fn check(&self, size: Size) -> Result<(), DecodeErrorKind> {
        let Self { text, reasoning, finish, done, error, id, model, input, output, total } = self;
        let all = [text, reasoning, finish, done, error, id, model, input, output, total];
        all.into_iter().flatten().try_for_each(|query| query.check(size))
    }
}

/// The error at a pointer of the file, and an offset in the value there.
fn invalid(pointer: &str, offset: usize, reason: &str) -> ConfigError {
    ConfigError { pointer: pointer.into(), value: None, offset, reason: reason.into() }
}

/// Why the description of a format cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    pointer: String,
    /// The text that is faulty, if it is known.
    value: Option<String>,
    offset: usize,
    reason: String,
}

impl ConfigError {
    /// JSON pointer to the faulty value in the file.
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// What is wrong.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Byte offset of the fault in the path or text at the pointer.
    pub fn offset(&self) -> usize {
        self.offset
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("custom format: ")?;
        match (self.pointer.as_str(), &self.value, self.offset) {
            ("", ..) => {}
            (pointer, Some(value), offset) => write!(f, "{pointer}: `{value}` at byte {offset}: ")?,
            (pointer, None, 0) => write!(f, "{pointer}: ")?,
            (pointer, None, offset) => write!(f, "{pointer}: byte {offset}: ")?,
        }
        f.write_str(&self.reason)
    }
}

impl core::error::Error for ConfigError {}
