//! Reads the events of ConverseStream, and whole responses of Converse.

use alloc::string::String;
use core::ops::Range;

use crate::chat::{Block, FinishReason, Plain, Reason, Sink, Stop, ToolKey, Usage};
use crate::failure::Failure;
use crate::format::template::{Target, Trace};
use crate::json::{Fault, Json, Kind, Str, unescaped};

/// Converse has one answer.
const CHOICE: u32 = 0;

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
pub(crate) fn read(json: &mut Json<'_>, sink: &mut Sink<'_>, trace: &mut Trace) -> Result<(), Stop> {
    let start = json.pos();
    let (mut event, mut exception) = (None, None);
    let mut response = Response::default();
    json.object(|json, name| {
        if let Some(name) = Name::parse(name) {
            event = Some((name, json.skip()?));
        } else if name.ends_with(b"Exception") {
            exception = Some((String::from_utf8_lossy(name).into_owned(), json.skip()?));
        } else {
            response.member(json, name)?;
        }
        Ok(())
    })?;
    let range = start..json.pos();
    trace.more();
    if let Some((name, event)) = event {
        // A template of the whole object would be one of another event.
        return read_event(name, &mut sink.json(event.start), sink, &mut Trace::default());
    }
    if let Some((name, body)) = exception {
        let message = sink.members(&body, [b"message"])?[0].clone().and_then(|range| sink.text(&range));
        let message = message.map(|message| sink.to_string(message)).unwrap_or_default();
        sink.fail(Failure::new(name, None, message, &sink.record[body]));
        return Ok(());
    }
    response.read(sink, range)
}

/// Reads the payload of an event.
pub(crate) fn read_event(
    name: Name,
    json: &mut Json<'_>,
    sink: &mut Sink<'_>,
    trace: &mut Trace,
) -> Result<(), Stop> {
    let mut event = Event::default();
    let range = event.find(json)?;
    if name != Name::Metadata {
        sink.start(None, None, None, event.role);
        sink.touch(CHOICE)?;
    }
    let index = event.index.unwrap_or(0);
    trace.counts.0 += 1;
    match name {
        Name::MessageStart => trace.more(),
        Name::BlockStart => {
            trace.more();
            if let Some(start) = event.start {
                block_start(sink, index, &start)?;
            }
        }
        Name::BlockDelta => {
            trace.places.padding = event.padding;
            if let Some(delta) = event.delta {
                block_delta(sink, trace, index, &delta)?;
            }
        }
        Name::BlockStop => {
            trace.more();
            sink.end(CHOICE, index);
        }
        Name::MessageStop => {
            trace.more();
            let stop = match event.response_fields {
                Some(fields) => stop_sequence(sink, &fields)?,
                None => None,
            };
            finish(sink, event.stop_reason, stop)?;
        }
        Name::Metadata => {
            trace.more();
            if let Some(usage) = event.usage {
                read_usage(sink, &usage)?;
            }
        }
    }
    if event.has_others {
        trace.more();
        sink.others(&range, None, Event::is_known)?;
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
        matches!(name, b"role" | b"contentBlockIndex" | b"start" | b"delta" | b"stopReason" | b"usage" | b"p")
    }

    fn find(&mut self, json: &mut Json<'_>) -> Result<Range<usize>, Fault> {
        json.kind()?;
        let start = json.pos();
        json.object(|json, name| {
            match name {
                b"role" => self.role = json.string_or_skip()?,
                b"contentBlockIndex" => self.index = json.integer_or_skip()?,
                b"start" => self.start = skip_object(json)?,
                b"delta" => self.delta = skip_object(json)?,
                b"stopReason" => self.stop_reason = json.string_or_skip()?,
                b"usage" => self.usage = skip_object(json)?,
                b"p" => self.padding = json.string_or_skip()?,
                name => {
                    let is_null = json.kind()? == Kind::Null;
                    let value = json.skip()?;
                    self.has_others |= !is_null;
                    if name == b"additionalModelResponseFields" {
                        self.response_fields = Some(value);
                    }
                }
            }
            Ok(())
        })?;
        Ok(start..json.pos())
    }
}

fn block_start(sink: &mut Sink<'_>, index: u64, start: &Range<usize>) -> Result<(), Stop> {
    let [tool, reasoning] = sink.members(start, [b"toolUse", b"reasoningContent"])?;
    if let Some(tool) = tool {
        tool_start(sink, index, &tool)?;
    } else if let Some(reasoning) = reasoning {
        // Older models said here what they now say in a delta.
        block_reasoning(sink, &mut Trace::default(), index, &reasoning)?;
    } else if !sink.record[start.start + 1..start.end - 1].trim_ascii().is_empty() {
        sink.other(Some(CHOICE), Some(b"start"), start.clone());
    }
    Ok(())
}

fn tool_start(sink: &mut Sink<'_>, index: u64, tool: &Range<usize>) -> Result<(), Stop> {
    let [id, name] = sink.members(tool, [b"toolUseId", b"name"])?;
    let [id, name] = [id, name].map(|range| range.and_then(|range| sink.text(&range)));
    let (id, name) = (sink.non_empty(id), sink.non_empty(name));
    sink.begin(CHOICE, index, Block::Tool { id, name })
}

fn block_delta(sink: &mut Sink<'_>, trace: &mut Trace, index: u64, delta: &Range<usize>) -> Result<(), Stop> {
    let [content, tool, reasoning, citation] =
        sink.members(delta, [b"text", b"toolUse", b"reasoningContent", b"citation"])?;
    if let Some(content) = content.and_then(|range| sink.text(&range)) {
        return block_text(sink, trace, index, Plain::Text, content);
    }
    if let Some(tool) = tool {
        let [input] = sink.members(&tool, [b"input"])?;
        let input = input.and_then(|range| sink.text(&range));
        trace.more();
        if let Some(input) = input {
            trace.places.text = Some(input);
            trace.target = Some((Target::Tool(Some(index)), CHOICE));
        }
        let input = sink.non_empty(input);
        return sink.tool(CHOICE, ToolKey { index: Some(index), ..ToolKey::default() }, input);
    }
    if let Some(reasoning) = reasoning {
        return block_reasoning(sink, trace, index, &reasoning);
    }
    trace.more();
    match citation {
        Some(citation) => sink.citation(CHOICE, citation),
        None => sink.other(Some(CHOICE), Some(b"delta"), delta.clone()),
    }
    Ok(())
}

fn block_text(
    sink: &mut Sink<'_>,
    trace: &mut Trace,
    index: u64,
    kind: Plain,
    content: Str,
) -> Result<(), Stop> {
    trace.block(CHOICE, index, kind, content);
    let content = sink.string(content);
    sink.block(CHOICE, index, kind, content)
}

fn block_reasoning(
    sink: &mut Sink<'_>,
    trace: &mut Trace,
    index: u64,
    reasoning: &Range<usize>,
) -> Result<(), Stop> {
    let [content, signature, redacted] =
        sink.members(reasoning, [b"text", b"signature", b"redactedContent"])?;
    if let Some(content) = content.and_then(|range| sink.text(&range)) {
        block_text(sink, trace, index, Plain::Reasoning, content)?;
    }
    let [signature, redacted] = [signature, redacted].map(|range| range.and_then(|range| sink.text(&range)));
    if let Some(signature) = sink.non_empty(signature) {
        trace.more();
        sink.signature(CHOICE, signature)?;
    }
    if let Some(redacted) = sink.non_empty(redacted) {
        trace.more();
        sink.open(CHOICE, index, Plain::Reasoning)?;
        sink.redacted(CHOICE, redacted)?;
    }
    Ok(())
}

fn finish(sink: &mut Sink<'_>, reason: Option<Str>, stop: Option<Str>) -> Result<(), Stop> {
    let Some(reason) = reason else { return Ok(()) };
    let reason = match &*unescaped(sink.record, reason) {
        b"end_turn" => Reason::Known(&FinishReason::Stop),
        b"stop_sequence" => Reason::Known(&FinishReason::StopSequence),
        b"max_tokens" => Reason::Known(&FinishReason::Length),
        b"model_context_window_exceeded" => Reason::Known(&FinishReason::ContextWindow),
        b"tool_use" => Reason::Known(&FinishReason::ToolCalls),
        b"content_filtered" => Reason::Known(&FinishReason::ContentFilter),
        b"guardrail_intervened" => Reason::Known(&FinishReason::Guardrail),
        b"malformed_model_output" => Reason::Known(&FinishReason::MalformedOutput),
        b"malformed_tool_use" => Reason::Known(&FinishReason::MalformedToolUse),
        _ => Reason::Other(sink.string(reason)),
    };
    let stop = sink.non_empty(stop);
    sink.finish(CHOICE, reason, stop)
}

/// The stop string that was met, where the request asked for it: `{"stop_sequence":…}`, or the same in `delta`.
fn stop_sequence(sink: &Sink<'_>, fields: &Range<usize>) -> Result<Option<Str>, Stop> {
    if sink.record[fields.start] != b'{' {
        return Ok(None);
    }
    let [mut stop, delta] = sink.members(fields, [b"stop_sequence", b"delta"])?;
    if let Some(delta) = delta.filter(|delta| sink.record[delta.start] == b'{') {
        stop = sink.members(&delta, [b"stop_sequence"])?[0].clone();
    }
    Ok(stop.and_then(|range| sink.text(&range)))
}

fn read_usage(sink: &mut Sink<'_>, range: &Range<usize>) -> Result<(), Stop> {
    let mut usage = Usage::default();
    sink.json(range.start).object(|json, name| {
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
    let cached = usage.cache_read_tokens.unwrap_or(0).saturating_add(usage.cache_write_tokens.unwrap_or(0));
    usage.input_tokens = usage.input_tokens.map(|tokens| tokens.saturating_add(cached));
    sink.usage(usage);
    Ok(())
}

/// The members of a whole response.
#[derive(Default)]
struct Response {
    output: Option<Range<usize>>,
    stop_reason: Option<Str>,
    usage: Option<Range<usize>>,
    response_fields: Option<Range<usize>>,
}

impl Response {
    fn is_known(name: &[u8]) -> bool {
        matches!(name, b"output" | b"stopReason" | b"usage")
    }

    fn member(&mut self, json: &mut Json<'_>, name: &[u8]) -> Result<(), Fault> {
        match name {
            b"output" => self.output = skip_object(json)?,
            b"stopReason" => self.stop_reason = json.string_or_skip()?,
            b"usage" => self.usage = skip_object(json)?,
            b"additionalModelResponseFields" => self.response_fields = Some(json.skip()?),
            _ => json.skip().map(drop)?,
        }
        Ok(())
    }

    fn read(self, sink: &mut Sink<'_>, range: Range<usize>) -> Result<(), Stop> {
        let Some(output) = self.output else {
            sink.other(None, None, range);
            return Ok(());
        };
        if let [Some(message)] = sink.members(&output, [b"message"])? {
            let [role, content] = sink.members(&message, [b"role", b"content"])?;
            sink.start(None, None, None, role.and_then(|range| sink.text(&range)));
            sink.touch(CHOICE)?;
            if let Some(content) = content.filter(|range| sink.record[range.start] == b'[') {
                let mut index = 0;
                sink.json(content.start).array(|json| {
                    let is_object = json.kind()? == Kind::Object;
                    let block = json.skip()?;
                    if is_object {
                        response_block(sink, index, &block)?;
                    }
                    index += 1;
                    Ok::<_, Stop>(())
                })?;
            }
        }
        let stop = match &self.response_fields {
            Some(fields) => stop_sequence(sink, fields)?,
            None => None,
        };
        finish(sink, self.stop_reason, stop)?;
        if let Some(usage) = self.usage {
            read_usage(sink, &usage)?;
        }
        sink.others(&range, None, Self::is_known)
    }
}

/// Reads a block of a whole message.
fn response_block(sink: &mut Sink<'_>, index: u64, block: &Range<usize>) -> Result<(), Stop> {
    let [content, tool, reasoning, cited] =
        sink.members(block, [b"text", b"toolUse", b"reasoningContent", b"citationsContent"])?;
    let trace = &mut Trace::default();
    if let Some(content) = content.and_then(|range| sink.text(&range)) {
        block_text(sink, trace, index, Plain::Text, content)?;
    } else if let Some(tool) = tool {
        tool_start(sink, index, &tool)?;
        let [input] = sink.members(&tool, [b"input"])?;
        // An empty object is how Converse says that there are no arguments.
        let is_empty =
            |range: &Range<usize>| sink.record[range.start + 1..range.end - 1].trim_ascii().is_empty();
        if let Some(input) = input.filter(|range| sink.record[range.start] != b'{' || !is_empty(range)) {
            let key = ToolKey { index: Some(index), ..ToolKey::default() };
            sink.tool_json(CHOICE, key, input)?;
        }
    } else if let Some(reasoning) = reasoning {
        let [inner] = sink.members(&reasoning, [b"reasoningText"])?;
        block_reasoning(sink, trace, index, inner.as_ref().unwrap_or(&reasoning))?;
    } else if let Some(cited) = cited {
        cited_block(sink, index, &cited)?;
    } else {
        sink.other(Some(CHOICE), Some(b"content"), block.clone());
    }
    sink.end(CHOICE, index);
    Ok(())
}

fn cited_block(sink: &mut Sink<'_>, index: u64, cited: &Range<usize>) -> Result<(), Stop> {
    let [content, citations] = sink.members(cited, [b"content", b"citations"])?;
    let arrays = [content, citations].map(|range| range.filter(|range| sink.record[range.start] == b'['));
    let [content, citations] = arrays;
    if let Some(content) = content {
        sink.json(content.start).array(|json| {
            let is_object = json.kind()? == Kind::Object;
            let piece = json.skip()?;
            if is_object {
                let [piece] = sink.members(&piece, [b"text"])?;
                if let Some(piece) = piece.and_then(|range| sink.text(&range)) {
                    block_text(sink, &mut Trace::default(), index, Plain::Text, piece)?;
                }
            }
            Ok::<_, Stop>(())
        })?;
    }
    if let Some(citations) = citations {
        sink.json(citations.start).array(|json| {
            sink.citation(CHOICE, json.skip()?);
            Ok::<_, Stop>(())
        })?;
    }
    Ok(())
}

fn skip_object(json: &mut Json<'_>) -> Result<Option<Range<usize>>, Fault> {
    let is_object = json.kind()? == Kind::Object;
    let range = json.skip()?;
    Ok(is_object.then_some(range))
}
