//! Reads records by paths.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde_json::{Map, Number, Value};
use serde_json_path::PathElement;

use crate::assemble::{Emitter, Index, Reason, Stop, TextKind, Tracked};
use crate::formats::custom::query::{Query, Size};
use crate::formats::custom::{Format, Paths, Queries};
use crate::formats::error_record as failure;
use crate::json::{Fault, Json, Kind};
use crate::model::Failure;
use crate::model::{FinishReason, Usage};

/// The finish reason of a name of OpenAI or TGI.
pub(crate) fn meaning(reason: &str) -> Option<&'static FinishReason<'static>> {
    Some(match reason {
        "stop" | "eos_token" => &FinishReason::Stop,
        "stop_sequence" => &FinishReason::StopSequence,
        "length" => &FinishReason::Length,
        "tool_calls" | "function_call" => &FinishReason::ToolCalls,
        "content_filter" => &FinishReason::ContentFilter,
        _ => return None,
    })
}

/// The only choice.
const CHOICE: Index = Index::fixed(0);

/// What is kept from one record to the next.
#[derive(Clone, Debug)]
pub(crate) struct StreamState {
    format: Arc<Format>,
    /// The number of documents so far. More than one are a stream.
    documents: u32,
    /// How the first document ends, if it is a whole response.
    end: Option<Box<End>>,
}

/// How a whole response ends.
#[derive(Clone, Debug, Default)]
struct End {
    finish: Option<String>,
    usage: Usage,
}

/// The values that paths find in a record.
#[derive(Default)]
struct Found<'a> {
    error: Option<&'a Value>,
    id: Option<&'a str>,
    model: Option<&'a str>,
    reasoning: Vec<&'a str>,
    text: Vec<&'a str>,
    finish: Option<&'a str>,
    done: bool,
    usage: Usage,
    /// Some of the response itself was found, perhaps null: not only an ID, a model or counts.
    is_answer: bool,
    /// Anything was found, perhaps null.
    any: bool,
    /// The fields of the record that paths led into.
    members: BTreeSet<&'a str>,
}

impl StreamState {
    pub(crate) fn new(format: Arc<Format>) -> Self {
        Self { format, documents: 0, end: None }
    }

    /// Reads the document that comes next.
    fn read(&mut self, json: &mut Json<'_>, emitter: &mut Emitter<'_>) -> Result<(), Stop> {
        self.documents = self.documents.saturating_add(1);
        // The first walk checks the whole document before any of it is used.
        let range = json.skip()?;
        let mut size = Size::default();
        let record = value(emitter.record, &mut emitter.json(range.start), 1, &mut size)?;
        let format = &*self.format;
        format.stream.check(size).map_err(Stop::Limit)?;
        format.response.check(size).map_err(Stop::Limit)?;
        let stream = Found::of(&format.stream, &record);
        let is_first = self.documents == 1;
        let response = match is_first || !stream.is_answer {
            true => Found::of(&format.response, &record).beside(&stream),
            false => Found::default(),
        };
        let end = format.record(&stream, &response, emitter)?;
        self.end = end.filter(|_| is_first).map(Box::new);
        let has_paths = format.stream.error.is_some() || format.response.error.is_some();
        if !has_paths && !emitter.is_failed() && emitter.record[range.start] == b'{' {
            if let Some(failure) = failure::read(emitter.record, &range, emitter.depth())? {
                emitter.fail(failure);
            }
        }
        if emitter.is_failed() {
            return Ok(());
        }
        let read: &[_] = if stream.is_answer { &[&stream] } else { &[&stream, &response] };
        if !read.iter().any(|found| found.any) {
            emitter.other(None, None, range);
        } else if record.is_object() {
            let has = |found: &&Found<'_>, name: &[u8]| {
                core::str::from_utf8(name).is_ok_and(|name| found.members.contains(name))
            };
            emitter.other_fields(&range, None, |name| read.iter().any(|found| has(found, name)))?;
        }
        Ok(())
    }

    /// The end of a body that was no event stream. Returns whether it was a whole response, and delivers how that ended.
    pub(crate) fn finish(&mut self, emitter: &mut Emitter<'_>) -> bool {
        let Some(end) = self.end.take().filter(|_| self.documents == 1) else { return false };
        let is_finished =
            end.finish.as_deref().is_none_or(|reason| self.format.finish(reason, emitter).is_ok());
        emitter.usage(end.usage);
        is_finished
    }
}

/// Reads the document that comes next. Every document counts, so none is ever cached.
pub(crate) fn read_record(
    state: &mut Tracked<StreamState>,
    json: &mut Json<'_>,
    emitter: &mut Emitter<'_>,
) -> Result<(), Stop> {
    StreamState::read(state, json, emitter)
}

impl Format {
    /// Delivers what is in a record. Returns how the response ends if the record turns out to be a whole response.
    fn record(
        &self,
        stream: &Found<'_>,
        response: &Found<'_>,
        emitter: &mut Emitter<'_>,
    ) -> Result<Option<End>, Stop> {
        if let Some(error) = stream.error.or(response.error.filter(|_| !stream.is_answer)) {
            emitter.fail(failed(error, emitter.record));
            return Ok(None);
        }
        if stream.is_answer {
            self.deliver(stream, emitter)?;
            return Ok(self.end(stream, response));
        }
        if stream.any || response.any {
            self.deliver(response, emitter)?;
        }
        if response.is_answer {
            emitter.done();
        }
        // In a format without streams, a response may have nothing but counts.
        let is_whole = response.any && self.spec.stream == Paths::default();
        Ok(is_whole.then(End::default))
    }

    /// How a record of a stream ends if it is a whole response; `None` if it cannot be one.
    fn end(&self, stream: &Found<'_>, response: &Found<'_>) -> Option<End> {
        let is_same = stream.text == response.text && stream.reasoning == response.reasoning;
        // The first record of a truncated stream looks the same, except for its end.
        let has_end = response.finish.is_some() || response.done;
        let may_have = [&self.stream, &self.response];
        let may_have = may_have.into_iter().any(|paths| paths.finish.is_some() || paths.done.is_some());
        if !response.is_answer || !is_same || (may_have && !has_end) {
            return None;
        }
        let usage = if response.usage == stream.usage { Usage::default() } else { response.usage };
        Some(End { finish: response.finish.map(ToString::to_string), usage })
    }

    fn deliver(&self, found: &Found<'_>, emitter: &mut Emitter<'_>) -> Result<(), Stop> {
        emitter.start_copied(found.id, found.model);
        for (kind, texts) in [(TextKind::Reasoning, &found.reasoning), (TextKind::Text, &found.text)] {
            for text in texts {
                emitter.copied_text(&CHOICE, kind, text.as_bytes())?;
            }
        }
        if let Some(reason) = found.finish {
            self.finish(reason, emitter)?;
        }
        emitter.usage(found.usage);
        if found.done {
            emitter.done();
        }
        Ok(())
    }

    fn finish(&self, reason: &str, emitter: &mut Emitter<'_>) -> Result<(), Stop> {
        let name = self.spec.finish_reasons.get(reason).map_or(reason, String::as_str);
        let reason = match meaning(name) {
            Some(reason) => Reason::Known(reason),
            None => Reason::Other(emitter.copy(reason.as_bytes())),
        };
        emitter.finish(&CHOICE, reason, None)
    }
}

impl<'a> Found<'a> {
    /// The values that `queries` find in `record`.
    fn of(queries: &Queries, record: &'a Value) -> Self {
        let mut found = Self::default();
        found.error = found.find(record, &queries.error).into_iter().find(|value| is_something(value));
        found.id = found.texts(record, &queries.id).first().copied();
        found.model = found.texts(record, &queries.model).first().copied();
        found.usage = Usage {
            input_tokens: found.count(record, &queries.input),
            output_tokens: found.count(record, &queries.output),
            total_tokens: found.count(record, &queries.total),
            ..Usage::default()
        };
        let before = core::mem::take(&mut found.any);
        found.reasoning = found.texts(record, &queries.reasoning);
        found.text = found.texts(record, &queries.text);
        found.finish = found.texts(record, &queries.finish).first().copied();
        found.done = found.find(record, &queries.done).into_iter().any(is_something);
        found.is_answer = found.any;
        found.any |= before;
        found
    }

    fn find(&mut self, record: &'a Value, path: &Option<Query>) -> Vec<&'a Value> {
        let Some(path) = path else { return Vec::new() };
        let nodes = path.path.query_located(record);
        self.any |= !nodes.is_empty();
        let mut values = Vec::new();
        for node in nodes {
            if let (Some(PathElement::Name(name)), Value::Object(members)) = (node.location().first(), record)
            {
                self.members.extend(members.get_key_value(*name).map(|(name, _)| name.as_str()));
            }
            values.push(node.node());
        }
        values
    }

    /// Strings that are not empty.
    fn texts(&mut self, record: &'a Value, path: &Option<Query>) -> Vec<&'a str> {
        let values = self.find(record, path).into_iter();
        values.filter_map(Value::as_str).filter(|text| !text.is_empty()).collect()
    }

    fn count(&mut self, record: &'a Value, path: &Option<Query>) -> Option<u64> {
        self.find(record, path).into_iter().find_map(|number| {
            let whole = |number: f64| (number >= 0.0 && number % 1.0 == 0.0).then_some(number as u64);
            number.as_u64().or_else(|| number.as_f64().and_then(whole))
        })
    }

    /// The same, with the ID, the model and the counts of `other` if these paths found none.
    fn beside(self, other: &Self) -> Self {
        let usage = if self.usage == Usage::default() { other.usage } else { self.usage };
        Self { id: self.id.or(other.id), model: self.model.or(other.model), usage, ..self }
    }
}

fn is_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Number(number) => number.as_f64() != Some(0.0),
        _ => true,
    }
}

/// The failure that an error path found: a text, or an object with the common fields.
fn failed(error: &Value, record: &[u8]) -> Failure {
    let text = |names: &[&str]| {
        names.iter().find_map(|name| match &error[*name] {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
    };
    let message = match error {
        Value::String(message) => message.clone(),
        _ => text(&["message", "error", "detail"]).unwrap_or_else(|| error.to_string()),
    };
    let name = text(&["type", "error_type", "name"]).unwrap_or_else(|| "error".to_string());
    Failure::of(name, text(&["code", "status"]), message, record)
}

/// The document that comes next, as a tree. It was checked, and so was its depth.
fn value(record: &[u8], json: &mut Json<'_>, depth: usize, size: &mut Size) -> Result<Value, Fault> {
    *size = Size { values: size.values + 1, depth: size.depth.max(depth) };
    Ok(match json.kind()? {
        Kind::Object => {
            let mut members = Map::new();
            json.object(|json, name| {
                let name = String::from_utf8_lossy(name).into_owned();
                members.insert(name, value(record, json, depth + 1, size)?);
                Ok(())
            })?;
            Value::Object(members)
        }
        Kind::Array => {
            let mut items = Vec::new();
            json.array(|json| {
                items.push(value(record, json, depth + 1, size)?);
                Ok::<_, Fault>(())
            })?;
            Value::Array(items)
        }
        Kind::String => {
            let string = json.string()?;
            Value::String(String::from_utf8_lossy(&json.unescaped(string)).into_owned())
        }
        _ => {
            let scalar = json.skip()?;
            match &record[scalar] {
                b"null" => Value::Null,
                b"true" => Value::Bool(true),
                b"false" => Value::Bool(false),
                // A number that does not fit is treated as null.
                number => serde_json::from_slice::<Number>(number).map_or(Value::Null, Value::Number),
            }
        }
    })
}
