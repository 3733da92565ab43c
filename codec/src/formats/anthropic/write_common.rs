//! Writes what streams and whole messages have in common.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::error::DecodeError;
use crate::formats::anthropic::read_stream::is_count;
use crate::formats::http_error::HttpErrorKind;
use crate::json::{
    Json, Kind, as_object, elements, member, members, one_line, string, unescaped, write_integer,
    write_string,
};
use crate::model;
use crate::model::Failure;
use crate::model::{Losses, Outcome, Usage};

/// Writes an event: the line with its name, and its data. `members` writes all fields but the type.
pub(crate) fn event(name: &str, out: &mut Vec<u8>, members: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: {\"type\":\"");
    out.extend_from_slice(name.as_bytes());
    out.push(b'"');
    members(out);
    out.extend_from_slice(b"}\n\n");
}

/// Writes the index of the block of an event.
pub(crate) fn write_index(index: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"index\":");
    write_integer(index, out);
}

/// Whether a piece of JSON is an object.
pub(crate) fn is_object(json: &model::Json<'_>) -> bool {
    as_object(json.as_str()).is_some()
}

/// Whether a field of a message is one that only Anthropic has, and that the model does not read.
pub(crate) fn is_own_field(name: &str, json: &model::Json<'_>) -> bool {
    match name {
        "stop_details" | "container" | "context_management" | "diagnostics" => is_object(json),
        "input_transformations" => !elements(json.as_str()).is_empty(),
        _ => false,
    }
}

/// Whether a citation is one of Anthropic's. Their types all have the same suffix.
pub(crate) fn is_citation(json: &model::Json<'_>) -> bool {
    let kind = member(json.as_str(), "type").and_then(string);
    kind.is_some_and(|kind| kind.ends_with("_location"))
}

/// Whether the counts of a field have the shape of Anthropic's.
pub(crate) fn is_own_usage(name: &str, json: &model::Json<'_>) -> bool {
    let members = members(json.as_str());
    let has = |known: &str| members.iter().any(|(name, _)| name == known);
    name == "usage" && (has("input_tokens") || has("output_tokens")) && !has("total_tokens")
}

/// Counts that have no name here, and the fields beside them. Later ones replace those of the same name.
pub(crate) type MoreUsage = BTreeMap<String, String>;

/// The largest length that is kept of them, in bytes.
const USAGE_MAX: usize = 64 * 1024;

/// Keeps the counts that have no name here, unless they are too long.
pub(crate) fn add_usage(more: &mut MoreUsage, json: &model::Json<'_>) -> bool {
    let kept: usize = more.iter().map(|(name, json)| name.len() + json.len()).sum();
    if kept + json.as_str().len() > USAGE_MAX {
        return false;
    }
    for (name, json) in members(json.as_str()) {
        if !is_count(name.as_bytes()) && name != "output_tokens_details" && json != "null" {
            more.insert(name, one_line(json));
        }
    }
    true
}

/// The ID that a tool call has, of letters, digits, `_` and `-`.
pub(crate) fn given_id<'a>(id: Option<&'a str>, losses: &mut Losses) -> Option<Cow<'a, str>> {
    let id = id.filter(|id| !id.is_empty())?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if id.chars().all(allowed) {
        return Some(Cow::Borrowed(id));
    }
    let why = "an ID of Anthropic has letters, digits, `_` and `-`";
    losses.add("tool call id", Outcome::Approximated, why);
    Some(Cow::Owned(id.chars().map(|c| if allowed(c) { c } else { '_' }).collect()))
}

/// Adds the losses of counts that are missing, or have no equivalent.
pub(crate) fn note_usage(usage: &Usage, losses: &mut Losses) {
    losses.add_missing_counts(usage);
    let sum = usage.input_tokens.unwrap_or(0).saturating_add(usage.output_tokens.unwrap_or(0));
    if usage.total_tokens.is_some_and(|total| total != sum) {
        losses.add("total tokens", Outcome::Dropped, "Anthropic has no total, and theirs is no sum");
    }
}

/// Writes counts as Anthropic defines them: the input does not include cached tokens. A start requires both counts.
pub(crate) fn write_usage(usage: &Usage, more: &MoreUsage, is_start: bool, out: &mut Vec<u8>) {
    let input = usage.input_tokens.map(|tokens| tokens.saturating_sub(usage.cached_tokens()));
    let counts = [
        ("input_tokens", input.or(is_start.then_some(0))),
        ("cache_creation_input_tokens", usage.cache_write_tokens),
        ("cache_read_input_tokens", usage.cache_read_tokens),
    ];
    out.push(b'{');
    for (name, count) in counts {
        if let Some(count) = count {
            write_string(name, out);
            out.push(b':');
            write_integer(count, out);
            out.push(b',');
        }
    }
    out.extend_from_slice(b"\"output_tokens\":");
    write_integer(usage.output_tokens.unwrap_or(0), out);
    if let Some(thinking) = usage.reasoning_tokens {
        out.extend_from_slice(b",\"output_tokens_details\":{\"thinking_tokens\":");
        write_integer(thinking, out);
        out.push(b'}');
    }
    for (name, json) in more {
        out.push(b',');
        write_string(name, out);
        out.push(b':');
        out.extend_from_slice(json.as_bytes());
    }
    out.push(b'}');
}

/// Writes the error that a stream ended with.
pub(crate) fn write_error(error: &DecodeError, out: &mut Vec<u8>) {
    let text = alloc::format!("{error}");
    let message = match error.failure() {
        Some(failure) if !failure.message.is_empty() => failure.message.as_str(),
        _ => text.as_str(),
    };
    let request = error.failure().and_then(|failure| request_id(&failure.original));
    event("error", out, |out| {
        out.extend_from_slice(b",\"error\":{\"type\":");
        write_string(error.failure().map_or("api_error", error_type), out);
        out.extend_from_slice(b",\"message\":");
        write_string(message, out);
        out.push(b'}');
        if let Some(request) = request {
            out.extend_from_slice(b",\"request_id\":");
            write_string(&request, out);
        }
    });
}

/// The ID of the request, as Anthropic's own errors have it.
fn request_id(original: &[u8]) -> Option<String> {
    let mut id = None;
    let mut json = Json::new(original, 0, 127);
    if json.kind() != Ok(Kind::Object) {
        return None;
    }
    let read = json.object(|json, name| match name {
        b"request_id" => json.string_or_skip().map(|string| id = string),
        _ => json.skip().map(drop),
    });
    read.ok()?;
    Some(String::from_utf8_lossy(&unescaped(original, id?)).into_owned())
}

/// The nearest type of Anthropic's errors.
fn error_type(failure: &Failure) -> &'static str {
    match failure.code.as_deref() {
        Some("402") => "billing_error",
        // Anthropic's own status.
        Some("529") => "overloaded_error",
        _ => HttpErrorKind::of_failure(failure).anthropic(&failure.name),
    }
}
