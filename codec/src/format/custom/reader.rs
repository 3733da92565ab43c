//! Reads records by paths.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::{Map, Number, Value};
use serde_json_path::{JsonPath, PathElement};

use super::{Format, Queries};
use crate::chat::{FinishReason, Plain, Reason, Sink, Stop, Usage};
use crate::failure::Failure;
use crate::format::failure;
use crate::format::template::Trace;
use crate::json::{Fault, Json, Kind};

/// What finish reasons are called by OpenAI and by TGI.
pub(super) fn meaning(reason: &str) -> Option<&'static FinishReason<'static>> {
    Some(match reason {
        "stop" | "eos_token" | "stop_sequence" => &FinishReason::Stop,
        "length" => &FinishReason::Length,
        "tool_calls" | "function_call" => &FinishReason::ToolCalls,
        "content_filter" => &FinishReason::ContentFilter,
        _ => return None,
    })
}

/// What the paths find in a record.
struct Found<'a> {
    record: &'a Value,
    /// The members of the record that paths led into.
    members: Vec<&'a str>,
    /// A path found something, null or not.
    any: bool,
}

impl Format {
    pub(super) fn document(
        &self,
        json: &mut Json<'_>,
        sink: &mut Sink<'_>,
        trace: &mut Trace,
    ) -> Result<(), Stop> {
        // The first walk checks all of the document, before any of it is used.
        let range = json.skip()?;
        trace.more();
        let record = value(sink.record, &mut sink.json(range.start))?;
        let mut found = Found { record: &record, members: Vec::new(), any: false };
        let of_stream = self.apply(&self.stream, &mut found, sink)?;
        if !of_stream && !sink.is_failed() {
            let of_response = self.apply(&self.response, &mut found, sink)?;
            // A whole answer is complete.
            if of_response && !sink.is_failed() {
                sink.done();
            }
        }
        let has_paths = self.stream.error.is_some() || self.response.error.is_some();
        if !has_paths && !sink.is_failed() && sink.record[range.start] == b'{' {
            if let Some(failure) = failure::read(sink.record, &range, sink.depth())? {
                sink.fail(failure);
            }
        }
        if sink.is_failed() {
            return Ok(());
        }
        if !found.any {
            sink.other(None, None, range);
        } else if record.is_object() {
            let known = |name: &[u8]| found.members.iter().any(|member| member.as_bytes() == name);
            sink.others(&range, None, known)?;
        }
        Ok(())
    }

    /// Reads a record by some paths. Whether they found anything.
    fn apply(&self, queries: &Queries, found: &mut Found<'_>, sink: &mut Sink<'_>) -> Result<bool, Stop> {
        let before = core::mem::replace(&mut found.any, false);
        if let Some(error) = found.find(queries.error.as_ref()).into_iter().find(|value| is_something(value))
        {
            sink.fail(failed(error, sink.record));
            return Ok(true);
        }
        let id = found.string(queries.id.as_ref());
        let model = found.string(queries.model.as_ref());
        let reasoning = found.find(queries.reasoning.as_ref());
        let text = found.find(queries.text.as_ref());
        let finish = found.string(queries.finish.as_ref());
        let done = found.find(queries.done.as_ref()).into_iter().any(is_something);
        let usage = found.usage(queries);
        let any = core::mem::replace(&mut found.any, before);
        found.any |= any;
        if !any {
            return Ok(false);
        }
        if !sink.is_started() {
            let mut place = |text: Option<&str>| text.map(|text| sink.copy(text.as_bytes()));
            let (id, model) = (place(id), place(model));
            sink.start_at(id, model);
        }
        for (kind, values) in [(Plain::Reasoning, reasoning), (Plain::Text, text)] {
            for text in values.into_iter().filter_map(Value::as_str).filter(|text| !text.is_empty()) {
                let text = sink.copy(text.as_bytes());
                sink.plain(0, kind, text)?;
            }
        }
        if let Some(reason) = finish {
            let name = self.spec.finish_reasons.get(reason).map_or(reason, String::as_str);
            let reason = match meaning(name) {
                Some(reason) => Reason::Known(reason),
                None => Reason::Other(sink.copy(reason.as_bytes())),
            };
            sink.finish(0, reason, None)?;
        }
        sink.usage(usage);
        if done {
            sink.done();
        }
        Ok(true)
    }
}

impl<'a> Found<'a> {
    fn find(&mut self, path: Option<&JsonPath>) -> Vec<&'a Value> {
        let Some(path) = path else { return Vec::new() };
        let nodes = path.query_located(self.record);
        self.any |= !nodes.is_empty();
        let mut values = Vec::new();
        for node in nodes {
            if let (Some(PathElement::Name(name)), Value::Object(members)) =
                (node.location().first(), self.record)
            {
                self.members.extend(members.get_key_value(*name).map(|(name, _)| name.as_str()));
            }
            values.push(node.node());
        }
        values
    }

    /// The first string that says something.
    fn string(&mut self, path: Option<&JsonPath>) -> Option<&'a str> {
        self.find(path).into_iter().filter_map(Value::as_str).find(|text| !text.is_empty())
    }

    fn usage(&mut self, queries: &Queries) -> Usage {
        let mut count = |path: &Option<JsonPath>| {
            let numbers = self.find(path.as_ref());
            numbers.into_iter().find_map(|number| {
                let whole = |number: f64| (number >= 0.0 && number % 1.0 == 0.0).then_some(number as u64);
                number.as_u64().or_else(|| number.as_f64().and_then(whole))
            })
        };
        let (input_tokens, output_tokens) = (count(&queries.input), count(&queries.output));
        Usage { input_tokens, output_tokens, total_tokens: count(&queries.total), ..Usage::default() }
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

/// The failure that an error path found: a text, or an object with the usual members.
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
fn value(record: &[u8], json: &mut Json<'_>) -> Result<Value, Fault> {
    Ok(match json.kind()? {
        Kind::Object => {
            let mut members = Map::new();
            json.object(|json, name| {
                members.insert(String::from_utf8_lossy(name).into_owned(), value(record, json)?);
                Ok(())
            })?;
            Value::Object(members)
        }
        Kind::Array => {
            let mut items = Vec::new();
            json.array(|json| {
                items.push(value(record, json)?);
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
                // What is larger than any number here is no number here.
                number => serde_json::from_slice::<Number>(number).map_or(Value::Null, Value::Number),
            }
        }
    })
}
