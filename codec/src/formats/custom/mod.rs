//! Formats that are described in a file: a template of the request, and paths to what matters in a response.
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
//! A request is any JSON with placeholders in its strings. A string that is nothing but a placeholder becomes the value
//! itself: a number, a list. In a longer string it becomes text. What the request does not say is left out, member or item.
//! The placeholders are `messages` (OpenAI's messages; without those of the system, where there is a `{{system}}`), `system`,
//! `prompt` (see [`Format::write`]), `tools` (OpenAI's tools), `stop` (a list), and `model`, `max_tokens`, `temperature`,
//! `top_p`, `top_k`, `min_p`, `seed`, `n`, `frequency_penalty`, `presence_penalty`, `repetition_penalty`, `stream` and
//! `user`; `other.name` is a member of the source that has no name here. What the request says and the template has no place for is reported as a loss.
//!
//! # Responses
//!
//! Paths are JSONPath ([RFC 9535](https://www.rfc-editor.org/rfc/rfc9535)). `$` is a record: a JSON document, or each item of a
//! list of documents that stands alone; a list in a server-sent event is a record itself. Members of a record that no path
//! leads into come as [`Event::Other`](crate::model::Event::Other).
//!
//! | the record | is |
//! |---|---|
//! | the paths of [`stream`](Spec::stream) find some of the answer in it: text, reasoning, an end | of a stream |
//! | only those of [`response`](Spec::response) do | a whole answer, which is complete |
//! | both find the same text, and it is all of a body that is no event stream | a whole answer, unless it could say its end and does not |
//! | neither does | of a stream, perhaps with a name or with counts |
//!
//! A stream is complete with a finish reason, with what [`done`](Paths::done) finds or with `[DONE]`, and truncated otherwise.
//! Who knows that a body is a whole answer says so with [`Response::read`](crate::model::Response::read).
//!
//! This is the slow way to read: each record becomes a tree. Ten thousand records a second are no trouble; formats that the
//! codec knows are read many times faster. The paths of a format are its author's: the work for `..` in filters grows with
//! the square of a record.

mod messages;
mod read_stream;
mod write_request;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};
use serde_json_path::JsonPath;

use self::write_request::Compiled;
use crate::json::value::Tree;

pub(crate) use read_stream::Reader;
pub use write_request::Body;

/// What a file says of a format.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Spec {
    /// The template of the request; `None` for a format that is only read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Template>,
    /// Where a whole answer has what matters.
    #[serde(default)]
    pub response: Paths,
    /// Where a record of a stream has what matters.
    #[serde(default)]
    pub stream: Paths,
    /// What finish reasons mean: the format's name for each, and OpenAI's (`stop`, `length`, `tool_calls`,
    /// `content_filter`). What is not in it is kept as it is, unless it is one of OpenAI's or TGI's.
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

/// Where a record has what matters: JSONPath. What a path does not find, or finds as null, the record does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Paths {
    /// Text of the answer: strings, one behind the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What the model thought: strings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// The finish reason: a string.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish: Option<String>,
    /// Found as anything but null, false, 0 and the empty string: the answer is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done: Option<String>,
    /// Found as anything but null, false, 0 and the empty string: the model failed. Without this path, errors are told by the
    /// shapes that servers have for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The name of the answer: a string.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The model: a string.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Token counts.
    pub usage: UsagePaths,
}

/// Where a record has its token counts: integers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct UsagePaths {
    /// Of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Of both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<String>,
}

/// A format, compiled.
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
    text: Option<JsonPath>,
    reasoning: Option<JsonPath>,
    finish: Option<JsonPath>,
    done: Option<JsonPath>,
    error: Option<JsonPath>,
    id: Option<JsonPath>,
    model: Option<JsonPath>,
    input: Option<JsonPath>,
    output: Option<JsonPath>,
    total: Option<JsonPath>,
}

impl Format {
    /// Compiles a format.
    ///
    /// # Errors
    ///
    /// A path is malformed, the template has a placeholder that is not known, or a finish reason is given a meaning that is
    /// not known. The error names the place in the file, and its offset is that in the path or the text.
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

    /// The format without its paths into streams: to read whole answers, some of which would pass for a record of a stream,
    /// and not for the last. [`Response::read`](crate::model::Response::read) does so. `None` for a format that has no
    /// other paths.
    pub fn of_whole_answers(&self) -> Option<Self> {
        if self.spec.response == Paths::default() {
            return None;
        }
        let spec = Spec { stream: Paths::default(), ..self.spec.clone() };
        Some(Self { spec, stream: Queries::default(), ..self.clone() })
    }

    /// What the format was compiled from.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        self.spec == other.spec
    }
}

// A tree has no numbers but finite ones.
impl Eq for Format {}

impl Queries {
    fn new(name: &str, paths: &Paths) -> Result<Self, ConfigError> {
        let compile = |member: &str, path: &Option<String>| {
            path.as_ref().map(|path| compile(&format!("/{name}/{member}"), path)).transpose()
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
}

/// Compiles the path that stands at `at` of the file.
fn compile(at: &str, path: &str) -> Result<JsonPath, ConfigError> {
    /// Bytes of a path, and brackets in one another: its compiler recurses.
    const LEN: usize = 1024;
    const DEPTH: usize = 16;
    let mut depth = 0usize;
    for (offset, byte) in path.bytes().enumerate() {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH || offset >= LEN {
            return Err(invalid(at, offset, "the path is too long or nested too deep"));
        }
    }
    // Its documentation counts from 1, and its code from 0.
    JsonPath::parse(path).map_err(|error| invalid(at, error.position(), error.message()))
}

/// Something in the file is wrong: at `pointer` of it, and there at `offset`.
fn invalid(pointer: &str, offset: usize, reason: &str) -> ConfigError {
    ConfigError { pointer: pointer.into(), offset, reason: reason.into() }
}

/// Why the description of a format cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    pointer: String,
    offset: usize,
    reason: String,
}

impl ConfigError {
    /// Where in the file: a JSON pointer.
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// What is wrong.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Bytes of the path or the text there before what is wrong.
    pub fn offset(&self) -> usize {
        self.offset
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "custom format: {}: ", self.pointer)?;
        if self.offset > 0 {
            write!(f, "byte {}: ", self.offset)?;
        }
        f.write_str(&self.reason)
    }
}

impl core::error::Error for ConfigError {}
