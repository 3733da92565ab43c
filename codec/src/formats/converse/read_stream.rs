//! Reads the events of ConverseStream.

use alloc::string::String;
use core::ops::Range;

use crate::assemble::{Block, TextKind, Reason, Emitter, Stop, ToolKey};
use crate::decode::shape_cache::{Target, Trace};
use crate::formats::converse::read_response::Response;
use crate::json::{Fault, Json, Kind, Str, unescaped};
use crate::model::Failure;
use crate::model::{Api, FinishReason, Usage};

/// Converse has one answer.
pub(crate) const CHOICE: u32 = 0;

/// All events, in the order in which a stream has them.
const EVENTS: [Name; 6] = [
    Name::MessageStart,
    Name::BlockStart,
    Name::BlockDelta,
    Name::BlockStop,
    Name::MessageStop,
    Name::Metadata,
];

/// The events of ConverseStream that are no exceptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    MessageStart,
    BlockStart,
    BlockDelta,
    BlockStop,
    MessageStop,
    Metadata,
}

impl Name {
    /// The event that a frame or a member names.
    pub(crate) fn parse(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"messageStart" => Self::MessageStart,
            b"contentBlockStart" => Self::BlockStart,
            b"contentBlockDelta" => Self::BlockDelta,
            b"contentBlockStop" => Self::BlockStop,
            b"messageStop" => Self::MessageStop,
            b"metadata" => Self::Metadata,
            _ => return None,
        })
    }
}

/// Reads the object that comes next: an event under its name, or a whole response.
pub(crate) fn read(json: &mut Json<'_>, emitter: &mut Emitter<'_>, trace: &mut Trace) -> Result<(), Stop> {
    let start = json.pos();
    let mut events = [const { None }; EVENTS.len()];
    let (mut exception, mut has_others) = (None, false);
    let mut response = Response::default();
    json.object(|json, name| {
        let is_object = json.kind()? == Kind::Object;
        if let (true, Some(name)) = (is_object, Name::parse(name)) {
            events[name as usize] = Some(json.skip()?);
        } else if is_object && name.ends_with(b"Exception") {
            exception = Some((String::from_utf8_lossy(name).into_owned(), json.skip()?));
        } else {
            has_others |= !Response::is_known(name) && json.kind()? != Kind::Null;
            response.member(json, name)?;
        }
        Ok(())
    })?;
    let range = start..json.pos();
    if let Some((name, body)) = exception {
        trace.more();
        let failure = failure(emitter, name, &body)?;
        emitter.fail(failure);
        return Ok(());
    }
    if events.iter().all(Option::is_none) {
        trace.more();
        return response.read(emitter, range);
    }
    for (name, event) in EVENTS.into_iter().zip(events) {
        if let Some(event) = event {
            read_event(name, &mut emitter.json(event.start), emitter, trace)?;
        }
    }
    if has_others {
        trace.more();
        emitter.others(&range, None, |name| Name::parse(name).is_some())?;
    }
    Ok(())
}

/// The failure that an exception says.
fn failure(emitter: &Emitter<'_>, name: String, body: &Range<usize>) -> Result<Failure, Stop> {
    let [message, code, original] =
        emitter.members(body, [b"message", b"originalStatusCode", b"originalMessage"])?;
    let text = |range: Option<Range<usize>>| range.and_then(|range| emitter.text(&range));
    let message = text(message).filter(|text| text.start < text.end).or(text(original));
    let code = code.map(|range| String::from_utf8_lossy(&emitter.record[range]).into_owned());
    let message = message.map(|message| emitter.to_string(message)).unwrap_or_default();
    Ok(Failure::of(name, code, message, &emitter.record[body.clone()]))
}

/// Reads the payload of an event.
pub(crate) fn read_event(
    name: Name,
    json: &mut Json<'_>,
    emitter: &mut Emitter<'_>,
    trace: &mut Trace,
) -> Result<(), Stop> {
    let mut event = Event::default();
    let range = event.find(json)?;
    if name != Name::Metadata {
        emitter.start(None, None, None, event.role);
        emitter.touch(CHOICE)?;
    }
    let index = event.index.unwrap_or(0);
    trace.counts.0 += 1;
    match name {
        Name::MessageStart => trace.more(),
        Name::BlockStart => {
            trace.more();
            if let Some(start) = event.start {
                block_start(emitter, trace, index, &start)?;
            }
        }
        Name::BlockDelta => {
            trace.places.padding = event.padding;
            if let Some(delta) = event.delta {
                block_delta(emitter, trace, index, &delta)?;
            }
        }
        Name::BlockStop => {
            trace.more();
            emitter.end(CHOICE, index);
        }
        Name::MessageStop => {
            trace.more();
            let stop = stop_sequence(emitter, event.response_fields.as_ref())?;
            finish(emitter, event.stop_reason, stop)?;
        }
        Name::Metadata => {
            trace.more();
            if let Some(usage) = event.usage {
                read_usage(emitter, &usage)?;
            }
        }
    }
    if event.has_others {
        trace.more();
        emitter.others(&range, None, Event::is_known)?;
    }
    Ok(())
}

/// The members of all events: their names do not clash.
#[derive(Default)]
struct Event {
    role: Option<Str>,
    index: Option<u64>,
    start: Option<Range<usize>>,
    delta: Option<Range<usize>>,
    stop_reason: Option<Str>,
    response_fields: Option<Range<usize>>,
    usage: Option<Range<usize>>,
    padding: Option<Str>,
    has_others: bool,
}

impl Event {
    fn is_known(name: &[u8]) -> bool {
        matches!(
            name,
            b"role"
                | b"contentBlockIndex"
                | b"start"
                | b"delta"
                | b"stopReason"
                | b"usage"
                | b"p"
                | b"additionalModelResponseFields"
        )
    }

    fn find(&mut self, json: &mut Json<'_>) -> Result<Range<usize>, Fault> {
        json.kind()?;
        let start = json.pos();
        json.object(|json, name| {
            match name {
                b"role" => self.role = json.string_or_skip()?,
                b"contentBlockIndex" => self.index = json.integer_or_skip()?,
                b"start" => self.start = json.skip_kind(Kind::Object)?,
                b"delta" => self.delta = json.skip_kind(Kind::Object)?,
                b"stopReason" => self.stop_reason = json.string_or_skip()?,
                b"usage" => self.usage = json.skip_kind(Kind::Object)?,
                b"p" => self.padding = json.string_or_skip()?,
                b"additionalModelResponseFields" => self.response_fields = json.skip_some()?,
                _ => self.has_others |= json.skip_some()?.is_some(),
            }
            Ok(())
        })?;
        Ok(start..json.pos())
    }
}

fn block_start(emitter: &mut Emitter<'_>, trace: &mut Trace, index: u64, start: &Range<usize>) -> Result<(), Stop> {
    let [tool, reasoning] = emitter.members(start, [b"toolUse", b"reasoningContent"])?;
    if let Some(tool) = tool.filter(|tool| emitter.record[tool.start] == b'{') {
        if tool_start(emitter, index, &tool)? {
            return Ok(());
        }
    } else if let Some(reasoning) = reasoning {
        // Older models said here what they now say in a delta.
        return block_reasoning(emitter, trace, index, &reasoning);
    } else if is_empty(emitter, start) {
        return Ok(());
    }
    // A tool that the service runs itself, its result, an image: what the deltas of this block mean changes.
    trace.forget = true;
    emitter.begin_other(CHOICE, index, (Api::Converse, start.clone()))
}

/// Whether an object has no members.
pub(crate) fn is_empty(emitter: &Emitter<'_>, object: &Range<usize>) -> bool {
    emitter.record[object.start] == b'{' && emitter.record[object.start + 1..object.end - 1].trim_ascii().is_empty()
}

/// Begins a tool call, unless it is one that the service makes itself: those have a type.
pub(crate) fn tool_start(emitter: &mut Emitter<'_>, index: u64, tool: &Range<usize>) -> Result<bool, Stop> {
    let [id, name, kind] = emitter.members(tool, [b"toolUseId", b"name", b"type"])?;
    if kind.is_some() {
        return Ok(false);
    }
    let [id, name] = [id, name].map(|range| range.and_then(|range| emitter.text(&range)));
    let (id, name) = (emitter.non_empty(id), emitter.non_empty(name));
    emitter.at(tool.start);
    emitter.begin(CHOICE, index, Block::Tool { id, name })?;
    emitter.others(tool, Some(CHOICE), |name| matches!(name, b"toolUseId" | b"name" | b"input"))?;
    Ok(true)
}

fn block_delta(emitter: &mut Emitter<'_>, trace: &mut Trace, index: u64, delta: &Range<usize>) -> Result<(), Stop> {
    let [content, tool, reasoning, citation] =
        emitter.members(delta, [b"text", b"toolUse", b"reasoningContent", b"citation"])?;
    if emitter.is_other(CHOICE, index) {
        trace.more();
        emitter.other_delta(CHOICE, delta.clone());
        return Ok(());
    }
    if let Some(content) = content.and_then(|range| emitter.text(&range)) {
        block_text(emitter, trace, index, TextKind::Text, content)?;
    } else if let Some(tool) = tool {
        tool_delta(emitter, trace, index, &tool)?;
    } else if let Some(reasoning) = reasoning {
        block_reasoning(emitter, trace, index, &reasoning)?;
    } else if let Some(citation) = citation {
        trace.more();
        emitter.open_new(CHOICE, index, TextKind::Text)?;
        emitter.citation(CHOICE, citation);
    } else {
        trace.more();
        emitter.other(Some(CHOICE), Some(b"delta"), delta.clone());
        return Ok(());
    }
    emitter.others(delta, Some(CHOICE), |name| {
        matches!(name, b"text" | b"toolUse" | b"reasoningContent" | b"citation")
    })
}

fn tool_delta(emitter: &mut Emitter<'_>, trace: &mut Trace, index: u64, tool: &Range<usize>) -> Result<(), Stop> {
    let [input] = emitter.members(tool, [b"input"])?;
    let input = input.and_then(|range| emitter.text(&range));
    trace.more();
    if let Some(input) = input {
        trace.places.text = Some(input);
        trace.target = Some((Target::Tool(Some(index)), CHOICE));
    }
    let input = emitter.non_empty(input);
    emitter.tool(CHOICE, ToolKey { index: Some(index), ..ToolKey::default() }, input)
}

pub(crate) fn block_text(
    emitter: &mut Emitter<'_>,
    trace: &mut Trace,
    index: u64,
    kind: TextKind,
    content: Str,
) -> Result<(), Stop> {
    trace.block(CHOICE, index, kind, content);
    emitter.at(content.start);
    let content = emitter.string(content);
    emitter.block(CHOICE, index, kind, content)
}

pub(crate) fn block_reasoning(
    emitter: &mut Emitter<'_>,
    trace: &mut Trace,
    index: u64,
    reasoning: &Range<usize>,
) -> Result<(), Stop> {
    let [content, signature, redacted] =
        emitter.members(reasoning, [b"text", b"signature", b"redactedContent"])?;
    emitter.at(reasoning.start);
    if let Some(content) = content.and_then(|range| emitter.text(&range)) {
        block_text(emitter, trace, index, TextKind::Reasoning, content)?;
    }
    let [signature, redacted] = [signature, redacted].map(|range| range.and_then(|range| emitter.text(&range)));
    if let Some(signature) = emitter.non_empty(signature) {
        trace.more();
        emitter.open_new(CHOICE, index, TextKind::Reasoning)?;
        emitter.signature(CHOICE, signature)?;
    }
    if let Some(redacted) = emitter.non_empty(redacted) {
        trace.more();
        emitter.open(CHOICE, index, TextKind::Reasoning)?;
        emitter.redacted(CHOICE, redacted)?;
    }
    Ok(())
}

pub(crate) fn finish(emitter: &mut Emitter<'_>, reason: Option<Str>, stop: Option<Str>) -> Result<(), Stop> {
    let Some(reason) = reason else { return Ok(()) };
    emitter.at(reason.start);
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
    emitter.finish(CHOICE, reason, stop)
}

/// The stop string that was met, where the request asked for it: `{"stop_sequence":…}`, or the same in `delta`. Fields
/// that say more than that are shown as they are, too.
pub(crate) fn stop_sequence(emitter: &mut Emitter<'_>, fields: Option<&Range<usize>>) -> Result<Option<Str>, Stop> {
    let Some(fields) = fields else { return Ok(None) };
    let [mut stop, delta] = emitter.members(fields, [b"stop_sequence", b"delta"])?;
    let mut is_known = is_only(emitter, fields, &[b"stop_sequence", b"delta"])?;
    if let Some(delta) = delta {
        is_known &= is_only(emitter, &delta, &[b"stop_sequence"])?;
        stop = emitter.members(&delta, [b"stop_sequence"])?[0].clone().or(stop);
    }
    let text = stop.as_ref().and_then(|range| emitter.text(range));
    if !is_known || (stop.is_some() && text.is_none()) {
        emitter.other(None, Some(b"additionalModelResponseFields"), fields.clone());
    }
    Ok(text)
}

/// Whether a value is an object that has members of these names at most, but for those that are null.
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

/// Whether a count is one that is read, or another name of one.
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
    emitter.at(range.start);
    let mut usage = Usage::default();
    emitter.json(range.start).object(|json, name| {
        let count = match name {
            b"inputTokens" => &mut usage.input_tokens,
            b"outputTokens" => &mut usage.output_tokens,
            b"totalTokens" => &mut usage.total_tokens,
            b"cacheReadInputTokens" => &mut usage.cache_read_tokens,
            b"cacheWriteInputTokens" => &mut usage.cache_write_tokens,
            _ => return json.skip().map(drop),
        };
        *count = json.integer_or_skip()?.or(*count);
        Ok(())
    })?;
    // Converse does not count what was cached as input; the model here does.
    usage.input_tokens = usage.input_tokens.map(|tokens| tokens.saturating_add(usage.cached_tokens()));
    emitter.usage(usage);
    emitter.more_usage(range, is_count)
}
