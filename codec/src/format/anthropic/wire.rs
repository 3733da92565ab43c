//! Pieces of the wire format, as they are written.

use alloc::vec::Vec;

use crate::chat::{self, Usage};
use crate::error::Error;
use crate::failure::Failure;
use crate::json::{Json, as_object, unescaped, write_integer, write_string};

/// Writes an event: the line with its name, and its data, of which `members` writes all but the type.
pub(super) fn event(name: &str, out: &mut Vec<u8>, members: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: {\"type\":\"");
    out.extend_from_slice(name.as_bytes());
    out.push(b'"');
    members(out);
    out.extend_from_slice(b"}\n\n");
}

/// Writes which block an event belongs to.
pub(super) fn write_index(index: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"index\":");
    write_integer(index, out);
}

/// Writes JSON. A line end between its tokens would end the line of the event.
pub(super) fn write_json(json: &chat::Json<'_>, out: &mut Vec<u8>) {
    out.extend(json.as_str().bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
}

/// Whether a piece of JSON is an object.
pub(super) fn is_object(json: &chat::Json<'_>) -> bool {
    as_object(json.as_str()).is_some()
}

/// Whether a citation is one of Anthropic's, whose types all end alike.
pub(super) fn is_citation(json: &chat::Json<'_>) -> bool {
    let bytes = json.as_str().as_bytes();
    let mut is_location = false;
    let read = |json: &mut Json<'_>, name: &[u8]| {
        if name == b"type" {
            let kind = json.string_or_skip()?;
            is_location = kind.is_some_and(|kind| unescaped(bytes, kind).ends_with(b"_location"));
            return Ok(());
        }
        json.skip().map(drop)
    };
    is_object(json) && Json::new(bytes, 0, 127).object(read).is_ok() && is_location
}

/// Writes counts as Anthropic counts: what was cached is no input. A start has to have both counts.
pub(super) fn write_usage(usage: &Usage, is_start: bool, out: &mut Vec<u8>) {
    let cached = usage.cache_read_tokens.unwrap_or(0).saturating_add(usage.cache_write_tokens.unwrap_or(0));
    let input = usage.input_tokens.map(|tokens| tokens.saturating_sub(cached));
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
    out.push(b'}');
}

/// Writes the error that a stream ended with.
pub(super) fn write_error(error: &Error, out: &mut Vec<u8>) {
    let text = alloc::format!("{error}");
    let message = match error.failure() {
        Some(failure) if !failure.message.is_empty() => failure.message.as_str(),
        _ => text.as_str(),
    };
    event("error", out, |out| {
        out.extend_from_slice(b",\"error\":{\"type\":");
        write_string(error.failure().map_or("api_error", error_type), out);
        out.extend_from_slice(b",\"message\":");
        write_string(message, out);
        out.push(b'}');
    });
}

/// The type of Anthropic's errors that is nearest: its own, that of the status, or that of an AWS exception.
fn error_type(failure: &Failure) -> &'static str {
    // Status 529 is Anthropic's own; the others are HTTP's.
    const TYPES: [(&str, &[u64]); 10] = [
        ("invalid_request_error", &[400, 422]),
        ("authentication_error", &[401]),
        ("billing_error", &[402]),
        ("permission_error", &[403]),
        ("not_found_error", &[404]),
        ("request_too_large", &[413]),
        ("rate_limit_error", &[429]),
        ("timeout_error", &[408, 504]),
        ("overloaded_error", &[503, 529]),
        ("api_error", &[500]),
    ];
    let status = failure.code.as_ref().and_then(|code| code.parse().ok());
    let by_status = TYPES.iter().find(|(_, known)| status.is_some_and(|status| known.contains(&status)));
    let by_name = TYPES.iter().find(|(name, _)| *name == failure.name);
    match (by_name.or(by_status), failure.name.as_str()) {
        (Some((name, _)), _) => name,
        (None, "ThrottlingException" | "throttlingException") => "rate_limit_error",
        (None, "ServiceUnavailable" | "serviceUnavailableException") => "overloaded_error",
        (None, "ValidationError" | "ValidationException" | "validationException") => "invalid_request_error",
        (None, "modelTimeoutException") => "timeout_error",
        (None, _) => "api_error",
    }
}
