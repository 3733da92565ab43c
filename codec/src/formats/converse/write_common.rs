//! Writes what streams and whole responses have in common: names, counts and exceptions.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::formats::converse::read_content::is_count;
use crate::formats::http_error::HttpErrorKind;
use crate::json::{Object, as_object, members};
use crate::model::Failure;
use crate::model::{Losses, Outcome, Usage};

/// Names as Converse allows them.
pub(crate) struct Names;

impl Names {
    /// The ID that a tool call has.
    pub(crate) fn given_id<'a>(id: Option<&'a str>, losses: &mut Losses) -> Option<Cow<'a, str>> {
        let id = id.filter(|id| !id.is_empty())?;
        let why = "an ID of Converse has 1 to 64 letters, digits and few marks";
        Some(Self::repaired(("tool call id", why), Cow::Borrowed(id), b"_.:-", losses))
    }

    /// The name of a tool.
    pub(crate) fn tool<'a>(name: Cow<'a, str>, losses: &mut Losses) -> Cow<'a, str> {
        let why = "a name in Converse has 1 to 64 letters, digits and few marks";
        Self::repaired(("tool name", why), name, b"_-", losses)
    }

    /// Letters, digits and `marks`, 1 to 64 of them.
    fn repaired<'a>(
        (what, why): (&'static str, &'static str),
        text: Cow<'a, str>,
        marks: &[u8],
        losses: &mut Losses,
    ) -> Cow<'a, str> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || (c.is_ascii() && marks.contains(&(c as u8)));
        if (1..=64).contains(&text.len()) && text.chars().all(allowed) {
            return text;
        }
        losses.add(what, Outcome::Approximated, why);
        let mut repaired: String = text.chars().map(|c| if allowed(c) { c } else { '_' }).take(64).collect();
        if repaired.is_empty() {
            repaired.push('_');
        }
        Cow::Owned(repaired)
    }
}

/// Token counts as Converse has them.
pub(crate) struct Counts {
    input: u64,
    output: u64,
    total: u64,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
}

impl Counts {
    pub(crate) fn new(usage: Usage, losses: &mut Losses) -> Self {
        losses.add_missing_counts(&usage);
        let cached = usage.cached_tokens();
        // Bedrock's input does not include cached tokens.
        let input = usage.input_tokens.unwrap_or(0).saturating_sub(cached);
        let output = usage.output_tokens.unwrap_or(0);
        let total = usage.total_tokens.unwrap_or(input.saturating_add(cached).saturating_add(output));
        let (cache_read, cache_write) = (usage.cache_read_tokens, usage.cache_write_tokens);
        Self { input, output, total, cache_read, cache_write }
    }

    /// Writes the counts, and the counts of `more`, Bedrock's own object, that have no name here.
    pub(crate) fn write(&self, more: &str, out: &mut Vec<u8>) {
        Object::write(out, |object| {
            object.integer("inputTokens", self.input);
            object.integer("outputTokens", self.output);
            object.integer("totalTokens", self.total);
            for (name, count) in
                [("cacheReadInputTokens", self.cache_read), ("cacheWriteInputTokens", self.cache_write)]
            {
                if let Some(count) = count {
                    object.integer(name, count);
                }
            }
            for (name, json) in members(more) {
                if !is_count(name.as_bytes()) && json != "null" {
                    object.json(&name, json);
                }
            }
        });
    }
}

/// The field with the additional fields that the request named.
pub(crate) const RESPONSE_FIELDS: &str = "additionalModelResponseFields";

/// Writes values that Converse returns only in additional fields, which a request has to name: the stop string that ended the
/// response, and the reasoning tokens.
pub(crate) fn write_response_fields(stop: Option<&str>, usage: Option<&Usage>, object: &mut Object<'_>) {
    let reasoning = usage.and_then(|usage| usage.reasoning_tokens);
    if stop.is_none() && reasoning.is_none() {
        return;
    }
    let mut fields = object.begin_object(RESPONSE_FIELDS);
    if let Some(stop) = stop {
        fields.string("stop_sequence", stop);
    }
    if let Some(tokens) = reasoning {
        let mut usage = fields.begin_object("usage");
        usage.begin_object("output_tokens_details").integer("thinking_tokens", tokens);
    }
}

/// The exceptions of ConverseStream.
const EXCEPTIONS: [&str; 5] = [
    "internalServerException",
    "modelStreamErrorException",
    "validationException",
    "throttlingException",
    "serviceUnavailableException",
];

/// The exception of ConverseStream for a failure, or the nearest one.
pub(crate) fn exception_name(failure: &Failure) -> &'static str {
    if let Some(own) = EXCEPTIONS.iter().find(|own| **own == failure.name) {
        return own;
    }
    match (failure.name.as_str(), HttpErrorKind::of_failure(failure)) {
        ("InternalStreamFailure" | "InternalFailure", _) => "internalServerException",
        (_, HttpErrorKind::RateLimit | HttpErrorKind::NotReady) => "throttlingException",
        (_, HttpErrorKind::Unavailable) => "serviceUnavailableException",
        (_, HttpErrorKind::InvalidRequest | HttpErrorKind::TooLarge) => "validationException",
        _ => "modelStreamErrorException",
    }
}

/// The body of an exception of ConverseStream, as Bedrock wrote it.
pub(crate) fn own_body(failure: &Failure) -> Option<&str> {
    let body = core::str::from_utf8(&failure.original).ok()?;
    EXCEPTIONS.contains(&failure.name.as_str()).then(|| as_object(body))?
}

/// The HTTP status in the code of a failure.
pub(crate) fn status(failure: &Failure) -> Option<u64> {
    failure.code.as_ref()?.parse().ok().filter(|status| (100..600).contains(status))
}
