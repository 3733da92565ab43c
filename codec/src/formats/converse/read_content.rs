//! Reads what streams and whole responses of Converse have in common.

use core::ops::Range;

use crate::assemble::{Block, Emitter, Index, Reason, Stop, TextKind};
use crate::json::{Str, unescaped};
use crate::model::{FinishReason, Usage};

/// Converse has one choice.
pub(crate) const CHOICE: Index = Index::fixed(0);

/// Whether an object has no fields.
pub(crate) fn is_empty(emitter: &Emitter<'_>, object: &Range<usize>) -> bool {
    emitter.record[object.start] == b'{'
        && emitter.record[object.start + 1..object.end - 1].trim_ascii().is_empty()
}

/// Begins a tool call, unless the service makes the call itself, which has a type. Returns whether it did.
pub(crate) fn tool_start(emitter: &mut Emitter<'_>, index: u64, tool: &Range<usize>) -> Result<bool, Stop> {
    let [id, name, kind] = emitter.fields(tool, [b"toolUseId", b"name", b"type"])?;
    if kind.is_some() {
        return Ok(false);
    }
    let [id, name] = [id, name].map(|span| emitter.string_in(span));
    let (id, name) = (emitter.non_empty(id), emitter.non_empty(name));
    emitter.set_position(tool.start);
    emitter.begin(&CHOICE, index, Block::Tool { id, name })?;
    emitter.other_fields(tool, Some(&CHOICE), |name| matches!(name, b"toolUseId" | b"name" | b"input"))?;
    Ok(true)
}

pub(crate) fn block_reasoning(
    emitter: &mut Emitter<'_>,
    index: u64,
    reasoning: &Range<usize>,
) -> Result<(), Stop> {
    let [content, signature, redacted] =
        emitter.string_fields(reasoning, [b"text", b"signature", b"redactedContent"])?;
    emitter.set_position(reasoning.start);
    emitter.block_text(&CHOICE, index, TextKind::Reasoning, content)?;
    if let Some(signature) = emitter.non_empty(signature) {
        emitter.open_new(&CHOICE, index, TextKind::Reasoning)?;
        emitter.signature(&CHOICE, signature)?;
    }
    if let Some(redacted) = emitter.non_empty(redacted) {
        emitter.open(&CHOICE, index, TextKind::Reasoning)?;
        emitter.redacted(&CHOICE, redacted)?;
    }
    Ok(())
}

pub(crate) fn finish(emitter: &mut Emitter<'_>, reason: Option<Str>, stop: Option<Str>) -> Result<(), Stop> {
    let Some(reason) = reason else { return Ok(()) };
    emitter.set_position(reason.start);
    let reason = match &*unescaped(emitter.record, reason) {
        b"end_turn" => Reason::Known(&FinishReason::Stop),
        b"stop_sequence" => Reason::Known(&FinishReason::StopSequence),
        b"max_tokens" => Reason::Known(&FinishReason::Length),
        b"model_context_window_exceeded" => Reason::Known(&FinishReason::ContextWindow),
        b"tool_use" => Reason::Known(&FinishReason::ToolCalls),
        b"content_filtered" => Reason::Known(&FinishReason::ContentFilter),
        b"guardrail_intervened" => Reason::Known(&FinishReason::Guardrail),
        b"malformed_model_output" => Reason::Known(&FinishReason::MalformedOutput),
        b"malformed_tool_use" => Reason::Known(&FinishReason::MalformedToolUse),
        _ => Reason::Other(emitter.string(reason)),
    };
    let stop = emitter.non_empty(stop);
    emitter.finish(&CHOICE, reason, stop)
}

/// Reads the additional fields that the request named: the stop string that ended the response, `{"stop_sequence":…}`, or the same in
/// `delta`; and Claude's reasoning tokens, `{"usage":{"output_tokens_details":{"thinking_tokens":…}}}`. Returns the stop string.
/// Delivers the fields unchanged if they contain more.
pub(crate) fn response_fields(
    emitter: &mut Emitter<'_>,
    fields: Option<&Range<usize>>,
) -> Result<Option<Str>, Stop> {
    let Some(fields) = fields else { return Ok(None) };
    let [mut stop, delta, usage] = emitter.fields(fields, [b"stop_sequence", b"delta", b"usage"])?;
    let mut is_known = is_only(emitter, fields, &[b"stop_sequence", b"delta", b"usage"])?;
    if let Some(delta) = delta {
        is_known &= is_only(emitter, &delta, &[b"stop_sequence"])?;
        stop = emitter.fields(&delta, [b"stop_sequence"])?[0].clone().or(stop);
    }
    if let Some(usage) = usage {
        is_known &= reasoning_tokens(emitter, &usage)?;
    }
    let text = stop.as_ref().and_then(|span| emitter.string_at(span));
    if !is_known || (stop.is_some() && text.is_none()) {
        emitter.other(None, Some(b"additionalModelResponseFields"), fields.clone());
    }
    Ok(text)
}

/// Reads the reasoning tokens of Claude's usage. Returns whether the usage has nothing else.
fn reasoning_tokens(emitter: &mut Emitter<'_>, usage: &Range<usize>) -> Result<bool, Stop> {
    let [Some(details)] = emitter.fields(usage, [b"output_tokens_details"])? else { return Ok(false) };
    let [Some(count)] = emitter.fields(&details, [b"thinking_tokens"])? else { return Ok(false) };
    let Some(tokens) = emitter.json(count.start).integer_or_skip()? else { return Ok(false) };
    emitter.set_position(count.start);
    emitter.reasoning_tokens(tokens);
    Ok(is_only(emitter, usage, &[b"output_tokens_details"])?
        && is_only(emitter, &details, &[b"thinking_tokens"])?)
}

/// Whether a value is an object without fields of other names than these, except for null.
fn is_only(emitter: &Emitter<'_>, object: &Range<usize>, names: &[&[u8]]) -> Result<bool, Stop> {
    let mut is_only = emitter.record[object.start] == b'{';
    if is_only {
        emitter.json(object.start).object(|json, name| {
            is_only &= json.skip_some()?.is_none() || names.contains(&name);
            Ok(())
        })?;
    }
    Ok(is_only)
}

/// Whether a count of this name is read, or is another name of one.
pub(crate) fn is_count(name: &[u8]) -> bool {
    matches!(
        name,
        b"inputTokens"
            | b"outputTokens"
            | b"totalTokens"
            | b"cacheReadInputTokens"
            | b"cacheWriteInputTokens"
            | b"cacheReadInputTokenCount"
            | b"cacheWriteInputTokenCount"
    )
}

pub(crate) fn read_usage(emitter: &mut Emitter<'_>, range: &Range<usize>) -> Result<(), Stop> {
    emitter.set_position(range.start);
    let mut usage = Usage::default();
    emitter.json(range.start).integers(&mut usage, &[], |usage, name| {
        Some(match name {
            b"inputTokens" => &mut usage.input_tokens,
            b"outputTokens" => &mut usage.output_tokens,
            b"totalTokens" => &mut usage.total_tokens,
            b"cacheReadInputTokens" => &mut usage.cache_read_tokens,
            b"cacheWriteInputTokens" => &mut usage.cache_write_tokens,
            _ => return None,
        })
    })?;
    // In Converse, the input does not include cached tokens. In the model it does.
    usage.input_tokens = usage.input_tokens.map(|tokens| tokens.saturating_add(usage.cached_tokens()));
    emitter.usage(usage);
    emitter.more_usage(range, is_count)
}
