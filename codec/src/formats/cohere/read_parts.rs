//! Reads what whole messages, events of a stream and version 1 share: items, calls, finish reasons and counts.

use alloc::string::String;
use core::ops::Range;

use crate::assemble::{Block, Emitter, Index, Reason, Stop, TextKind, ToolDelta};
use crate::json::{Fault, Str, has_content, unescaped};
use crate::model::{Api, Failure, FinishReason, Usage};

/// A message has one choice.
pub(super) const CHOICE: Index = Index::fixed(0);

/// The meaning of each finish reason of v2 and v1. Any other reason is kept unchanged.
static REASONS: [(&[u8], FinishReason<'static>); 6] = [
    (b"COMPLETE", FinishReason::Stop),
    (b"STOP_SEQUENCE", FinishReason::StopSequence),
    (b"MAX_TOKENS", FinishReason::Length),
    (b"TOOL_CALL", FinishReason::ToolCalls),
    // The context of the model is full.
    (b"ERROR_LIMIT", FinishReason::ContextWindow),
    (b"ERROR_TOXIC", FinishReason::ContentFilter),
];

/// Reads an item of the content as it begins, or a whole one.
pub(super) fn item(emitter: &mut Emitter<'_>, index: u64, item: &Range<usize>) -> Result<(), Stop> {
    let [kind, text, thinking] = emitter.string_fields(item, [b"type", b"text", b"thinking"])?;
    emitter.set_position(item.start);
    let (kind, text) = match kind.map(|kind| unescaped(emitter.record, kind)).as_deref() {
        Some(b"text") => (TextKind::Text, text),
        Some(b"thinking") => (TextKind::Reasoning, thinking),
        _ => return emitter.begin_other(&CHOICE, index, (Api::Cohere, item.clone())),
    };
    emitter.begin(&CHOICE, index, Block::Text(kind))?;
    emitter.block_text(&CHOICE, index, kind, text)?;
    emitter.other_fields(item, Some(&CHOICE), is_of_item)
}

/// Whether an item has a field of this name that is read.
pub(super) fn is_of_item(name: &[u8]) -> bool {
    matches!(name, b"type" | b"text" | b"thinking")
}

/// Reads one call, or a piece of one, or a list of calls. `tool` has what identifies them.
pub(super) fn calls(emitter: &mut Emitter<'_>, calls: &Range<usize>, tool: &ToolDelta) -> Result<(), Stop> {
    if emitter.record[calls.start] == b'{' {
        return call(emitter, calls, tool);
    }
    emitter.objects(calls, |emitter, _, object| call(emitter, &object, tool))
}

fn call(emitter: &mut Emitter<'_>, call: &Range<usize>, tool: &ToolDelta) -> Result<(), Stop> {
    let [id, function] = emitter.fields(call, [b"id", b"function"])?;
    emitter.set_position(call.start);
    let (mut name, mut arguments) = (None, None);
    if let Some(function) = function.filter(|function| emitter.record[function.start] == b'{') {
        [name, arguments] = emitter.fields(&function, [b"name", b"arguments"])?;
        emitter.other_fields(&function, Some(&CHOICE), |name| matches!(name, b"name" | b"arguments"))?;
    }
    emitter.other_fields(call, Some(&CHOICE), |name| matches!(name, b"id" | b"type" | b"function"))?;
    let [id, name] = [id, name].map(|span| emitter.string_in(span));
    whole_or_piece(emitter, arguments, &ToolDelta { id, name, ..tool.clone() })
}

/// Delivers a call whose input is a string, a JSON object, or missing.
pub(super) fn whole_or_piece(
    emitter: &mut Emitter<'_>,
    input: Option<Range<usize>>,
    tool: &ToolDelta,
) -> Result<(), Stop> {
    match input {
        Some(input) if emitter.record[input.start] != b'"' => emitter.tool_json(&CHOICE, tool, input),
        input => {
            let input = emitter.string_in(input);
            emitter.tool(&CHOICE, &ToolDelta { input, ..tool.clone() })
        }
    }
}

/// Ends the choice, or reports the failure of a response.
pub(super) fn finish(
    emitter: &mut Emitter<'_>,
    response: &Range<usize>,
    reason: Option<Str>,
    error: Option<Str>,
) -> Result<(), Stop> {
    let non_empty = |string: Option<Str>| string.filter(|string| string.start < string.end);
    let (reason, error) = (non_empty(reason), non_empty(error));
    let name = reason.map(|reason| unescaped(emitter.record, reason)).unwrap_or_default();
    let is_failure = matches!(&*name, b"ERROR" | b"TIMEOUT" | b"USER_CANCEL");
    if is_failure || error.is_some() {
        let (kind, message) = match error {
            Some(error) => ("error", emitter.to_string(error)),
            None => ("finish_reason", String::from("the model ended its response with this finish reason")),
        };
        let code = reason.filter(|_| is_failure).map(|reason| emitter.to_string(reason));
        emitter.fail(Failure::of(kind, code, message, &emitter.record[response.clone()]));
        return Ok(());
    }
    let Some(reason) = reason else { return Ok(()) };
    emitter.set_position(reason.start);
    let reason = match REASONS.iter().find(|(known, _)| *known == &*name) {
        Some((_, known)) => Reason::Known(known),
        None => Reason::Other(emitter.string(reason)),
    };
    emitter.finish(&CHOICE, reason, None)
}

/// Reads counts, which vLLM sends as floating-point numbers. Billed units are counts of their own.
pub(super) fn read_usage(emitter: &mut Emitter<'_>, usage: Option<Range<usize>>) -> Result<(), Stop> {
    let Some(usage) = usage else { return Ok(()) };
    let [tokens, billed, cached] = emitter.fields(&usage, [b"tokens", b"billed_units", b"cached_tokens"])?;
    let [tokens, units] = [&tokens, &billed].map(|counts| read_counts(emitter, counts.as_ref()));
    let (tokens, units) = (tokens?, units?);
    let cached = match cached {
        Some(cached) => emitter.json(cached.start).integer_or_skip()?,
        None => None,
    };
    emitter.set_position(usage.start);
    emitter.usage(Usage {
        input_tokens: tokens.input_tokens.or(units.input_tokens),
        output_tokens: tokens.output_tokens.or(units.output_tokens),
        cache_read_tokens: cached,
        ..Usage::default()
    });
    let is_billed = match billed {
        Some(billed) => has_content(&mut emitter.json(billed.start), |_| false)?,
        None => false,
    };
    if is_billed {
        emitter.other(None, Some(b"usage"), usage);
        return Ok(());
    }
    emitter.more_usage(&usage, |name| {
        matches!(name, b"input_tokens" | b"output_tokens" | b"cached_tokens" | b"api_version" | b"version")
    })
}

fn read_counts(emitter: &Emitter<'_>, counts: Option<&Range<usize>>) -> Result<Usage, Fault> {
    let mut usage = Usage::default();
    if let Some(counts) = counts.filter(|counts| emitter.record[counts.start] == b'{') {
        emitter.json(counts.start).integers(&mut usage, &[], |usage, name| match name {
            b"input_tokens" => Some(&mut usage.input_tokens),
            b"output_tokens" => Some(&mut usage.output_tokens),
            _ => None,
        })?;
    }
    Ok(usage)
}
