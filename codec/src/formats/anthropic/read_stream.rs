//! Reads the events of a Messages stream, and whole messages.
//!
//! Before you change this, consider llama-server, which leaves a block open while the next one streams and signs it late,
//! and vLLM, which sends errors in OpenAI's shape.

use core::ops::Range;

use crate::assemble::{Block, Emitter, Index, Reason, Stop, Text, TextKind, ToolDelta, Tracked};
use crate::formats::anthropic::stop;
use crate::formats::error_record as failure;
use crate::json::{Fault, Json, Kind, Str, unescaped};
use crate::model::{Api, Usage};

/// A message has one choice.
const CHOICE: Index = Index::fixed(0);

/// What is kept from one event to the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamState {
    /// Token counts so far. A later event replaces the counts that it has; counts are never added up.
    counts: Counts,
}

/// Reads the object that comes next.
pub(crate) fn read_record(
    state: &mut Tracked<StreamState>,
    json: &mut Json<'_>,
    emitter: &mut Emitter<'_>,
) -> Result<(), Stop> {
    // Finding the fields checks the whole event before any of it is used.
    let event = Event::find(json)?;
    let record = emitter.record;
    let name = event.name.map(|name| unescaped(record, name)).unwrap_or_default();
    match &*name {
        b"content_block_delta" => {
            begin(emitter)?;
            if let Some(delta) = &event.delta {
                block_delta(emitter, event.index, delta)?;
            }
        }
        b"content_block_start" => {
            begin(emitter)?;
            if let Some(block) = &event.block {
                block_start(emitter, event.index, block)?;
            }
        }
        b"content_block_stop" => {
            begin(emitter)?;
            emitter.end(&CHOICE, event.index);
        }
        b"message_start" => {
            if let Some(message) = &event.message {
                read_message(state, emitter, message)?;
            }
        }
        b"message_delta" => {
            begin(emitter)?;
            message_delta(state, emitter, &event)?;
        }
        b"message" => {
            return read_message(state, emitter, &event.range);
        }
        b"message_stop" | b"ping" => {}
        name => {
            let failure = failure::read(record, &event.range, emitter.depth())?;
            match failure {
                Some(failure) => emitter.fail(failure),
                None => emitter.other(None, (!name.is_empty()).then_some(name), event.range),
            }
            return Ok(());
        }
    }
    if event.has_other_fields {
        emitter.other_fields(&event.range, None, Event::is_known)?;
    }
    if &*name == b"message_stop" {
        emitter.done();
    }
    Ok(())
}

/// Reads a whole message, or the beginning of one.
fn read_message(
    state: &mut Tracked<StreamState>,
    emitter: &mut Emitter<'_>,
    message: &Range<usize>,
) -> Result<(), Stop> {
    let [id, model, role, content, reason, sequence, usage] = emitter.fields(
        message,
        [b"id", b"model", b"role", b"content", b"stop_reason", b"stop_sequence", b"usage"],
    )?;
    let [id, model, role, reason, sequence] =
        [id, model, role, reason, sequence].map(|range| range.and_then(|range| emitter.string_at(&range)));
    emitter.start(id, model, None, role);
    emitter.touch(&CHOICE)?;
    if let Some(content) = content {
        emitter.objects(&content, |emitter, index, block| {
            block_start(emitter, index, &block)?;
            emitter.end(&CHOICE, index);
            Ok(())
        })?;
    }
    finish(emitter, reason, sequence)?;
    read_usage(state, emitter, usage)?;
    emitter.other_fields(message, None, |name| {
        matches!(
            name,
            b"type" | b"id" | b"model" | b"role" | b"content" | b"stop_reason" | b"stop_sequence" | b"usage"
        )
    })
}

fn message_delta(
    state: &mut Tracked<StreamState>,
    emitter: &mut Emitter<'_>,
    event: &Event,
) -> Result<(), Stop> {
    if let Some(delta) = &event.delta {
        let found = emitter.fields(delta, [b"stop_reason", b"stop_sequence"])?;
        let [reason, sequence] = found.map(|range| range.and_then(|range| emitter.string_at(&range)));
        finish(emitter, reason, sequence)?;
        emitter.other_fields(delta, None, |name| matches!(name, b"stop_reason" | b"stop_sequence"))?;
    }
    read_usage(state, emitter, event.usage.clone())
}

fn read_usage(
    state: &mut Tracked<StreamState>,
    emitter: &mut Emitter<'_>,
    usage: Option<Range<usize>>,
) -> Result<(), Stop> {
    if let Some(usage) = usage.filter(|range| emitter.record[range.start] == b'{') {
        emitter.set_position(usage.start);
        state.counts.read(&mut emitter.json(usage.start))?;
        emitter.usage(state.counts.canonical());
        emitter.more_usage(&usage, is_count)?;
    }
    Ok(())
}

/// Starts the response, if the server sent no start.
fn begin(emitter: &mut Emitter<'_>) -> Result<(), Stop> {
    emitter.start(None, None, None, None);
    emitter.touch(&CHOICE)
}

/// The fields of an event.
#[derive(Default)]
struct Event {
    range: Range<usize>,
    name: Option<Str>,
    index: u64,
    message: Option<Range<usize>>,
    block: Option<Range<usize>>,
    delta: Option<Range<usize>>,
    usage: Option<Range<usize>>,
    has_other_fields: bool,
}

impl Event {
    fn is_known(name: &[u8]) -> bool {
        matches!(name, b"type" | b"index" | b"message" | b"content_block" | b"delta" | b"usage")
    }

    fn find(json: &mut Json<'_>) -> Result<Self, Fault> {
        let mut event = Self::default();
        json.kind()?;
        let start = json.pos();
        json.object(|json, name| {
            match name {
                b"type" => event.name = json.string_or_skip()?,
                b"index" => event.index = json.integer_or_skip()?.unwrap_or(0),
                b"message" => event.message = json.skip_kind(Kind::Object)?,
                b"content_block" => event.block = json.skip_kind(Kind::Object)?,
                b"delta" => event.delta = json.skip_kind(Kind::Object)?,
                b"usage" => event.usage = json.skip_kind(Kind::Object)?,
                _ => {
                    event.has_other_fields |= json.kind()? != Kind::Null;
                    json.skip()?;
                }
            }
            Ok(())
        })?;
        event.range = start..json.pos();
        Ok(event)
    }
}

/// Reads a block as it begins, or a whole one.
fn block_start(emitter: &mut Emitter<'_>, index: u64, block: &Range<usize>) -> Result<(), Stop> {
    let [kind, text, thinking, signature, data, id, name, input, citations] = emitter.fields(
        block,
        [b"type", b"text", b"thinking", b"signature", b"data", b"id", b"name", b"input", b"citations"],
    )?;
    emitter.set_position(block.start);
    let string = |range: Option<Range<usize>>| range.and_then(|range| emitter.string_at(&range));
    let [kind, text, thinking, signature, data, id, name] =
        [kind, text, thinking, signature, data, id, name].map(string);
    match kind.map(|kind| unescaped(emitter.record, kind)).as_deref() {
        Some(b"text") => {
            emitter.begin(&CHOICE, index, Block::Text(TextKind::Text))?;
            emitter.block_text(&CHOICE, index, TextKind::Text, text)?;
            if let Some(citations) = citations {
                emitter.citations(&CHOICE, &citations)?;
            }
        }
        Some(b"thinking") => {
            emitter.begin(&CHOICE, index, Block::Text(TextKind::Reasoning))?;
            emitter.block_text(&CHOICE, index, TextKind::Reasoning, thinking)?;
            let signature = emitter.non_empty(signature);
            sign(emitter, index, signature)?;
        }
        Some(b"redacted_thinking") => {
            emitter.begin(&CHOICE, index, Block::Text(TextKind::Reasoning))?;
            if let Some(data) = emitter.non_empty(data) {
                emitter.redacted(&CHOICE, data)?;
            }
        }
        Some(b"tool_use") => {
            let (id, name) = (emitter.non_empty(id), emitter.non_empty(name));
            emitter.begin(&CHOICE, index, Block::Tool { id, name })?;
            whole_input(emitter, index, input)?;
        }
        // Tools that the server runs itself, their results, and future kinds.
        _ => {
            return emitter.begin_other(&CHOICE, index, (Api::Anthropic, block.clone()));
        }
    }
    emitter.other_fields(block, Some(&CHOICE), |name| {
        matches!(
            name,
            b"type"
                | b"text"
                | b"thinking"
                | b"signature"
                | b"data"
                | b"id"
                | b"name"
                | b"input"
                | b"citations"
        )
    })
}

/// Adds the signature of a block of thinking, which may have ended.
fn sign(emitter: &mut Emitter<'_>, index: u64, signature: Option<Text>) -> Result<(), Stop> {
    let Some(signature) = signature else { return Ok(()) };
    emitter.open_new(&CHOICE, index, TextKind::Reasoning)?;
    emitter.signature(&CHOICE, signature)
}

/// Reads the input of a tool call in the start of its block. An empty object means that input may follow in deltas.
fn whole_input(emitter: &mut Emitter<'_>, index: u64, input: Option<Range<usize>>) -> Result<(), Stop> {
    let Some(input) = input else { return Ok(()) };
    if let Some(text) = emitter.string_at(&input) {
        return emitter.tool(&CHOICE, &ToolDelta::input(index, Some(text)));
    }
    let is_empty = emitter.record[input.start] == b'{'
        && emitter.record[input.start + 1..input.end - 1].trim_ascii().is_empty();
    if is_empty { Ok(()) } else { emitter.tool_json(&CHOICE, &ToolDelta::input(index, None), input) }
}

fn block_delta(emitter: &mut Emitter<'_>, index: u64, delta: &Range<usize>) -> Result<(), Stop> {
    let [kind, text, thinking, input, signature, citation] =
        emitter.fields(delta, [b"type", b"text", b"thinking", b"partial_json", b"signature", b"citation"])?;
    emitter.set_position(delta.start);
    let string = |range: Option<Range<usize>>| range.and_then(|range| emitter.string_at(&range));
    let [kind, text, thinking, input, signature] = [kind, text, thinking, input, signature].map(string);
    let kind = kind.map(|kind| unescaped(emitter.record, kind));
    if emitter.is_other(&CHOICE, index) {
        emitter.other_delta(&CHOICE, delta.clone());
        return Ok(());
    }
    match (kind.as_deref(), text, thinking, input, signature, citation) {
        (Some(b"text_delta"), Some(text), ..) => {
            emitter.block_text(&CHOICE, index, TextKind::Text, Some(text))?;
        }
        (Some(b"thinking_delta"), _, Some(text), ..) => {
            emitter.block_text(&CHOICE, index, TextKind::Reasoning, Some(text))?;
        }
        (Some(b"input_json_delta"), _, _, Some(input), ..) => {
            emitter.tool(&CHOICE, &ToolDelta::input(index, Some(input)))?;
        }
        (Some(b"signature_delta"), _, _, _, Some(signature), _) => {
            let signature = emitter.non_empty(Some(signature));
            sign(emitter, index, signature)?;
        }
        (Some(b"citations_delta"), .., Some(citation)) => {
            emitter.open_new(&CHOICE, index, TextKind::Text)?;
            emitter.citation(&CHOICE, citation);
        }
        _ => {
            emitter.other(Some(&CHOICE), Some(b"delta"), delta.clone());
            return Ok(());
        }
    }
    emitter.other_fields(delta, Some(&CHOICE), |name| {
        matches!(name, b"type" | b"text" | b"thinking" | b"partial_json" | b"signature" | b"citation")
    })
}

fn finish(emitter: &mut Emitter<'_>, reason: Option<Str>, sequence: Option<Str>) -> Result<(), Stop> {
    let Some(reason) = reason.filter(|reason| reason.start < reason.end) else { return Ok(()) };
    emitter.set_position(reason.start);
    let reason = match stop::read(&unescaped(emitter.record, reason)) {
        Some(known) => Reason::Known(known),
        None => Reason::Other(emitter.string(reason)),
    };
    let sequence = emitter.non_empty(sequence);
    emitter.finish(&CHOICE, reason, sequence)
}

/// Whether a count of this name is read.
pub(crate) fn is_count(name: &[u8]) -> bool {
    matches!(
        name,
        b"input_tokens"
            | b"output_tokens"
            | b"cache_read_input_tokens"
            | b"cache_creation_input_tokens"
            | b"thinking_tokens"
    )
}

/// The counts of a message, as Anthropic defines them.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    input: Option<u64>,
    output: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    thinking: Option<u64>,
}

impl Counts {
    fn read(&mut self, json: &mut Json<'_>) -> Result<(), Fault> {
        json.integers(self, &[b"output_tokens_details"], |counts, name| {
            Some(match name {
                b"input_tokens" => &mut counts.input,
                b"output_tokens" => &mut counts.output,
                b"cache_read_input_tokens" => &mut counts.cache_read,
                b"cache_creation_input_tokens" => &mut counts.cache_write,
                b"thinking_tokens" => &mut counts.thinking,
                _ => return None,
            })
        })
    }

    /// The same as the model defines them: Anthropic's input does not include cached tokens.
    fn canonical(self) -> Usage {
        let cached = self.cache_read.unwrap_or(0).saturating_add(self.cache_write.unwrap_or(0));
        Usage {
            input_tokens: self.input.map(|tokens| tokens.saturating_add(cached)),
            output_tokens: self.output,
            cache_read_tokens: self.cache_read,
            cache_write_tokens: self.cache_write,
            reasoning_tokens: self.thinking,
            total_tokens: None,
        }
    }
}
