//! Reads items and whole responses, as far as no delta has delivered them.

use alloc::string::{String, ToString};
use core::ops::Range;

use crate::assemble::{Block, Emitter, Reason, Stop, TextKind, ToolDelta};
use crate::formats::openai_responses::known_parts::{Content, Item};
use crate::formats::openai_responses::read_stream::{CHOICE, Reader, deliver};
use crate::formats::openai_usage::{is_count, read_usage};
use crate::json::unescaped;
use crate::model::Failure;
use crate::model::{Api, FinishReason};

/// The index of an item in the output, and whether that is the final output.
type Place = (Option<u64>, bool);

impl Reader<'_> {
    /// The response starts with the first event that has one.
    pub(crate) fn start(&mut self, emitter: &mut Emitter<'_>, response: &Range<usize>) -> Result<(), Stop> {
        if !emitter.is_started() {
            let [id, model, created] = emitter.fields(response, [b"id", b"model", b"created_at"])?;
            let created =
                created.and_then(|range| emitter.json(range.start).integer_or_skip().ok().flatten());
            let [id, model] = [id, model].map(|range| emitter.string_in(range));
            emitter.start(id, model, created, None);
        }
        Ok(())
    }

    /// Reads a whole response. `event` is the name of its event, or empty.
    pub(crate) fn response(
        &mut self,
        emitter: &mut Emitter<'_>,
        response: &Range<usize>,
        event: &[u8],
    ) -> Result<(), Stop> {
        self.start(emitter, response)?;
        let [output, status, details, error, usage] =
            emitter.fields(response, [b"output", b"status", b"incomplete_details", b"error", b"usage"])?;
        if let Some(output) = output {
            emitter
                .objects(&output, |emitter, index, item| self.item(emitter, (Some(index), true), &item))?;
        }
        let status_at = status.as_ref().unwrap_or(response).start;
        let status = status.and_then(|range| emitter.string_at(&range));
        // vLLM names the event `completed`, but the status of the response is another one.
        let status = status.map_or(event.into(), |status| unescaped(emitter.record, status));
        if matches!(&*status, b"failed" | b"cancelled") {
            read_counts(emitter, usage)?;
            let failure = failure(emitter, response, error, &status)?;
            emitter.fail(failure);
            return Ok(());
        }
        emitter.set_position(status_at);
        self.finish(emitter, &status, details)?;
        read_counts(emitter, usage)?;
        emitter.other_fields(response, None, is_known)
    }

    fn finish(
        &mut self,
        emitter: &mut Emitter<'_>,
        status: &[u8],
        details: Option<Range<usize>>,
    ) -> Result<(), Stop> {
        let reason = match status {
            b"completed" if self.parts.has_calls() => Reason::Known(&FinishReason::ToolCalls),
            b"completed" => Reason::Known(&FinishReason::Stop),
            b"incomplete" => {
                let reason = match details {
                    Some(details) => emitter.fields(&details, [b"reason"])?[0].clone(),
                    None => None,
                };
                let reason = reason.and_then(|range| emitter.string_at(&range));
                match reason.map(|reason| (reason, unescaped(emitter.record, reason))) {
                    Some((_, known)) if &*known == b"max_output_tokens" => {
                        Reason::Known(&FinishReason::Length)
                    }
                    Some((_, known)) if &*known == b"content_filter" => {
                        Reason::Known(&FinishReason::ContentFilter)
                    }
                    Some((reason, _)) => Reason::Other(emitter.string(reason)),
                    None => Reason::Other(emitter.copy(b"incomplete")),
                }
            }
            // It is still running.
            _ => return Ok(()),
        };
        emitter.finish(&CHOICE, reason, None)
    }

    /// Reads an item that begins. Content that it may have already is repeated when it is done. Returns whether its kind is
    /// known.
    pub(crate) fn item_added(
        &mut self,
        emitter: &mut Emitter<'_>,
        index: Option<u64>,
        item: &Range<usize>,
    ) -> Result<bool, Stop> {
        let [kind, id, call_id] = emitter.fields(item, [b"type", b"id", b"call_id"])?;
        let kind =
            kind.and_then(|range| emitter.string_at(&range)).map(|kind| unescaped(emitter.record, kind));
        match kind.as_deref() {
            Some(b"message") => {
                let place = Item::new(emitter, index, [id.as_ref(), call_id.as_ref()]);
                self.phase(emitter, place, item).map(|()| true)
            }
            Some(b"reasoning") => Ok(true),
            Some(kind @ (b"function_call" | b"custom_tool_call")) => {
                let place = Item::new(emitter, index, [id.as_ref(), call_id.as_ref()]);
                self.call(emitter, (place, call_content(kind)), item)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Reads an item that is done.
    pub(crate) fn item(
        &mut self,
        emitter: &mut Emitter<'_>,
        (index, at_end): Place,
        item: &Range<usize>,
    ) -> Result<(), Stop> {
        let [kind, id, call_id, content, summary, encrypted] = emitter
            .fields(item, [b"type", b"id", b"call_id", b"content", b"summary", b"encrypted_content"])?;
        let place = Item { at_end, ..Item::new(emitter, index, [id.as_ref(), call_id.as_ref()]) };
        let kind =
            kind.and_then(|range| emitter.string_at(&range)).map(|kind| unescaped(emitter.record, kind));
        match kind.as_deref() {
            Some(b"message") => {
                self.phase(emitter, place, item)?;
                self.contents(emitter, place, content)
            }
            Some(b"reasoning") => {
                self.contents(emitter, place, summary)?;
                self.contents(emitter, place, content)?;
                self.signature(emitter, place, encrypted)
            }
            Some(kind @ (b"function_call" | b"custom_tool_call")) => {
                self.whole_call(emitter, (place, call_content(kind)), item)
            }
            _ => self.other(emitter, (place, 0), item),
        }
    }

    /// Reads what a message is for, which is delivered once, before its text.
    fn phase(&mut self, emitter: &mut Emitter<'_>, place: Item, item: &Range<usize>) -> Result<(), Stop> {
        let [phase] = emitter.fields(item, [b"phase"])?;
        if let Some(phase) = phase.filter(|range| emitter.record[range.start] == b'"') {
            let number = self.number(place, Content::Phase, 0)?;
            if self.is_first_text(number) {
                emitter.other(Some(&CHOICE), Some(b"phase"), phase);
            }
        }
        Ok(())
    }

    /// Reads an item, or a part of one, that the model has no name for. It is delivered once, when it is done or at the end.
    fn other(
        &mut self,
        emitter: &mut Emitter<'_>,
        (item, index): (Item, u64),
        json: &Range<usize>,
    ) -> Result<(), Stop> {
        let number = self.number(item, Content::Other, index)?;
        if self.is_first_text(number) {
            emitter.begin_other(&CHOICE, number as u64, (Api::Responses, json.clone()))?;
            emitter.end(&CHOICE, number as u64);
        }
        Ok(())
    }

    /// Reads encrypted reasoning. It signs the readable reasoning of its item, or has a part of its own.
    fn signature(
        &mut self,
        emitter: &mut Emitter<'_>,
        item: Item,
        encrypted: Option<Range<usize>>,
    ) -> Result<(), Stop> {
        let encrypted = encrypted.and_then(|range| emitter.string_at(&range));
        let encrypted_at = encrypted.map_or(0, |encrypted| encrypted.start);
        let Some(encrypted) = emitter.non_empty(encrypted) else { return Ok(()) };
        let number = self.number(item, Content::Signature, 0)?;
        if !self.is_first_text(number) {
            return Ok(());
        }
        emitter.set_position(encrypted_at);
        if !self.parts.has_reasoning(&item) {
            emitter.begin(&CHOICE, number as u64, Block::Text(TextKind::Reasoning))?;
        }
        emitter.signature(&CHOICE, encrypted)?;
        emitter.end(&CHOICE, number as u64);
        Ok(())
    }

    /// Begins a tool call.
    fn call(
        &mut self,
        emitter: &mut Emitter<'_>,
        (place, content): (Item, Content),
        item: &Range<usize>,
    ) -> Result<usize, Stop> {
        let number = self.number(place, content, 0)?;
        emitter.set_position(item.start);
        let [id, name] = emitter.string_fields(item, [b"call_id", b"name"])?;
        let custom = content == Content::CustomCall;
        let call = ToolDelta { id, name, custom, ..ToolDelta::input(number as u64, None) };
        emitter.tool(&CHOICE, &call)?;
        Ok(number)
    }

    fn whole_call(
        &mut self,
        emitter: &mut Emitter<'_>,
        (place, content): (Item, Content),
        item: &Range<usize>,
    ) -> Result<(), Stop> {
        let number = match self.parts.find(&place, content, 0) {
            Some(number) => number,
            None => self.call(emitter, (place, content), item)?,
        };
        if self.is_first_text(number) {
            let [arguments, input] = emitter.fields(item, [b"arguments", b"input"])?;
            if let Some(input) = arguments.or(input).and_then(|range| emitter.string_at(&range)) {
                deliver(emitter, number, content, input)?;
            }
        }
        emitter.end(&CHOICE, number as u64);
        Ok(())
    }

    fn contents(
        &mut self,
        emitter: &mut Emitter<'_>,
        place: Item,
        contents: Option<Range<usize>>,
    ) -> Result<(), Stop> {
        let Some(contents) = contents else { return Ok(()) };
        emitter.objects(&contents, |emitter, index, content| self.content(emitter, (place, index), &content))
    }

    /// The kind of a part of an item, if it is known.
    pub(crate) fn content_kind(
        &self,
        emitter: &Emitter<'_>,
        part: &Range<usize>,
    ) -> Result<Option<Content>, Stop> {
        let [kind] = emitter.fields(part, [b"type"])?;
        let kind =
            kind.and_then(|range| emitter.string_at(&range)).map(|kind| unescaped(emitter.record, kind));
        Ok(match kind.as_deref() {
            Some(b"output_text" | b"text") => Some(Content::Text),
            Some(b"refusal") => Some(Content::Refusal),
            Some(b"reasoning_text") => Some(Content::Reasoning),
            Some(b"summary_text") => Some(Content::Summary),
            _ => None,
        })
    }

    /// Reads a part that is done.
    pub(crate) fn content(
        &mut self,
        emitter: &mut Emitter<'_>,
        (item, index): (Item, u64),
        part: &Range<usize>,
    ) -> Result<(), Stop> {
        let Some(content) = self.content_kind(emitter, part)? else {
            return self.other(emitter, (item, index), part);
        };
        let number = self.number(item, content, index)?;
        let [text, refusal, logprobs, annotations] =
            emitter.fields(part, [b"text", b"refusal", b"logprobs", b"annotations"])?;
        let text = text.or(refusal).and_then(|range| emitter.string_at(&range));
        if let Some(text) = text.filter(|text| text.start < text.end) {
            if self.is_first_text(number) {
                deliver(emitter, number, content, text)?;
                if let Some(logprobs) = logprobs.filter(|range| !is_empty(emitter, range)) {
                    emitter.logprobs(&CHOICE, logprobs);
                }
            }
        }
        if let Some(annotations) = annotations.filter(|range| !is_empty(emitter, range)) {
            if !self.parts.part(number).has_citations {
                self.parts.part_mut(number).has_citations = true;
                emitter.citations(&CHOICE, &annotations)?;
            }
        }
        emitter.end(&CHOICE, number as u64);
        Ok(())
    }
}

/// The kind of an item that calls a tool.
fn call_content(kind: &[u8]) -> Content {
    if kind == b"custom_tool_call" { Content::CustomCall } else { Content::Call }
}

/// Whether a value is not an array, or an array without elements.
fn is_empty(emitter: &Emitter<'_>, range: &Range<usize>) -> bool {
    emitter.record[range.start] != b'['
        || emitter.record[range.start + 1..range.end - 1].trim_ascii().is_empty()
}

/// Why a response failed.
fn failure(
    emitter: &Emitter<'_>,
    response: &Range<usize>,
    error: Option<Range<usize>>,
    status: &[u8],
) -> Result<Failure, Stop> {
    let [code, message, name, param] = match error {
        Some(error) => emitter.fields(&error, [b"code", b"message", b"type", b"param"])?,
        None => [const { None }; 4],
    };
    let text = |range: Option<Range<usize>>| emitter.string_in(range).map(|text| emitter.to_string(text));
    let name = text(name).unwrap_or_else(|| String::from_utf8_lossy(status).to_string());
    let message = text(message).unwrap_or_default();
    let failure = Failure::of(name, text(code), message, &emitter.record[response.clone()]);
    Ok(Failure { param: text(param), ..failure })
}

fn read_counts(emitter: &mut Emitter<'_>, usage: Option<Range<usize>>) -> Result<(), Stop> {
    let Some(range) = usage.filter(|range| emitter.record[range.start] == b'{') else { return Ok(()) };
    emitter.set_position(range.start);
    emitter.usage(read_usage(emitter.record, &range, emitter.depth())?);
    emitter.more_usage(&range, is_count)
}

/// The fields of a response that are read, or that repeat the request.
pub(crate) fn is_known(name: &[u8]) -> bool {
    const KNOWN: [&[u8]; 35] = [
        b"id",
        b"object",
        b"created_at",
        b"completed_at",
        b"status",
        b"error",
        b"incomplete_details",
        b"model",
        b"output",
        b"usage",
        b"background",
        b"billing",
        b"conversation",
        b"frequency_penalty",
        b"instructions",
        b"max_output_tokens",
        b"max_tool_calls",
        b"metadata",
        b"parallel_tool_calls",
        b"presence_penalty",
        b"previous_response_id",
        b"prompt",
        b"prompt_cache_key",
        b"prompt_cache_retention",
        b"reasoning",
        b"safety_identifier",
        b"store",
        b"temperature",
        b"text",
        b"tool_choice",
        b"tools",
        b"top_logprobs",
        b"top_p",
        b"truncation",
        b"user",
    ];
    KNOWN.contains(&name)
}
