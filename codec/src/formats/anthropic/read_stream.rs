//! Reads the events of a Messages stream, and whole messages.
//!
//! Before changing this, think of llama-server, which leaves a block open while the next one runs and signs it late, and
//! of vLLM, whose errors have OpenAI's shape.

use core::ops::Range;

use crate::assemble::{Block, Plain, Reason, Sink, Stop, Text, ToolKey};
use crate::decode::shape_cache::{Target, Trace};
use crate::formats::anthropic::stop;
use crate::formats::error_record as failure;
use crate::json::{Fault, Json, Kind, Str, unescaped};
use crate::model::{Api, Usage};

/// A message is one answer.
const CHOICE: u32 = 0;

/// Reads events into the queue.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reader {
    /// Counts so far: a later event replaces those that it names, and they are never added up.
    counts: Counts,
}

impl Reader {
    /// Reads the object that comes next.
    pub(crate) fn read(
        &mut self,
        json: &mut Json<'_>,
        sink: &mut Sink<'_>,
        trace: &mut Trace,
    ) -> Result<(), Stop> {
        // Finding the members checks all of the event, before any of it is used.
        let event = Event::find(json)?;
        trace.counts.0 += 1;
        let record = sink.record;
        let name = event.name.map(|name| unescaped(record, name)).unwrap_or_default();
        match &*name {
            b"content_block_delta" => {
                begin(sink)?;
                if let Some(delta) = &event.delta {
                    block_delta(sink, trace, event.index, delta)?;
                }
            }
            b"content_block_start" => {
                trace.more();
                begin(sink)?;
                if let Some(block) = &event.block {
                    trace.forget = block_start(sink, event.index, block)?;
                }
            }
            b"content_block_stop" => {
                trace.more();
                begin(sink)?;
                sink.end(CHOICE, event.index);
            }
            b"message_start" => {
                trace.more();
                if let Some(message) = &event.message {
                    self.message(sink, trace, message)?;
                }
            }
            b"message_delta" => {
                trace.more();
                begin(sink)?;
                self.message_delta(sink, &event)?;
            }
            b"message" => {
                trace.more();
                return self.message(sink, trace, &event.range);
            }
            b"message_stop" | b"ping" => trace.more(),
            name => {
                trace.more();
                let failure = failure::read(record, &event.range, sink.depth())?;
                match failure {
                    Some(failure) => sink.fail(failure),
                    None => sink.other(None, (!name.is_empty()).then_some(name), event.range),
                }
                return Ok(());
            }
        }
        if event.has_others {
            trace.more();
            sink.others(&event.range, None, Event::is_known)?;
        }
        if &*name == b"message_stop" {
            sink.done();
        }
        Ok(())
    }

    /// Reads a whole message, or the beginning of one.
    fn message(
        &mut self,
        sink: &mut Sink<'_>,
        trace: &mut Trace,
        message: &Range<usize>,
    ) -> Result<(), Stop> {
        let [id, model, role, content, reason, sequence, usage] = sink.members(
            message,
            [b"id", b"model", b"role", b"content", b"stop_reason", b"stop_sequence", b"usage"],
        )?;
        let [id, model, role, reason, sequence] =
            [id, model, role, reason, sequence].map(|range| range.and_then(|range| sink.text(&range)));
        sink.start(id, model, None, role);
        sink.touch(CHOICE)?;
        if let Some(content) = content {
            sink.objects(&content, |sink, index, block| {
                trace.forget |= block_start(sink, index, &block)?;
                sink.end(CHOICE, index);
                Ok(())
            })?;
        }
        finish(sink, reason, sequence)?;
        self.usage(sink, usage)?;
        sink.others(message, None, |name| {
            matches!(
                name,
                b"type"
                    | b"id"
                    | b"model"
                    | b"role"
                    | b"content"
                    | b"stop_reason"
                    | b"stop_sequence"
                    | b"usage"
            )
        })
    }

    fn message_delta(&mut self, sink: &mut Sink<'_>, event: &Event) -> Result<(), Stop> {
        if let Some(delta) = &event.delta {
            let found = sink.members(delta, [b"stop_reason", b"stop_sequence"])?;
            let [reason, sequence] = found.map(|range| range.and_then(|range| sink.text(&range)));
            finish(sink, reason, sequence)?;
            sink.others(delta, None, |name| matches!(name, b"stop_reason" | b"stop_sequence"))?;
        }
        self.usage(sink, event.usage.clone())
    }

    fn usage(&mut self, sink: &mut Sink<'_>, usage: Option<Range<usize>>) -> Result<(), Stop> {
        if let Some(usage) = usage.filter(|range| sink.record[range.start] == b'{') {
            sink.at(usage.start);
            self.counts.read(&mut sink.json(usage.start))?;
            sink.usage(self.counts.canonical());
            sink.more_usage(&usage, is_count)?;
        }
        Ok(())
    }
}

/// A message has begun, whether its server says so or not.
fn begin(sink: &mut Sink<'_>) -> Result<(), Stop> {
    sink.start(None, None, None, None);
    sink.touch(CHOICE)
}

/// The members of an event.
#[derive(Default)]
struct Event {
    range: Range<usize>,
    name: Option<Str>,
    index: u64,
    message: Option<Range<usize>>,
    block: Option<Range<usize>>,
    delta: Option<Range<usize>>,
    usage: Option<Range<usize>>,
    has_others: bool,
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
                    event.has_others |= json.kind()? != Kind::Null;
                    json.skip()?;
                }
            }
            Ok(())
        })?;
        event.range = start..json.pos();
        Ok(event)
    }
}

/// Reads a block as it begins, or a whole one. Returns whether the model has no part for it.
fn block_start(sink: &mut Sink<'_>, index: u64, block: &Range<usize>) -> Result<bool, Stop> {
    let [kind, text, thinking, signature, data, id, name, input, citations] = sink.members(
        block,
        [b"type", b"text", b"thinking", b"signature", b"data", b"id", b"name", b"input", b"citations"],
    )?;
    sink.at(block.start);
    let string = |range: Option<Range<usize>>| range.and_then(|range| sink.text(&range));
    let [kind, text, thinking, signature, data, id, name] =
        [kind, text, thinking, signature, data, id, name].map(string);
    match kind.map(|kind| unescaped(sink.record, kind)).as_deref() {
        Some(b"text") => {
            sink.begin(CHOICE, index, Block::Plain(Plain::Text))?;
            piece(sink, index, Plain::Text, text)?;
            whole_citations(sink, citations)?;
        }
        Some(b"thinking") => {
            sink.begin(CHOICE, index, Block::Plain(Plain::Reasoning))?;
            piece(sink, index, Plain::Reasoning, thinking)?;
            let signature = sink.non_empty(signature);
            sign(sink, index, signature)?;
        }
        Some(b"redacted_thinking") => {
            sink.begin(CHOICE, index, Block::Plain(Plain::Reasoning))?;
            if let Some(data) = sink.non_empty(data) {
                sink.redacted(CHOICE, data)?;
            }
        }
        Some(b"tool_use") => {
            let (id, name) = (sink.non_empty(id), sink.non_empty(name));
            sink.begin(CHOICE, index, Block::Tool { id, name })?;
            whole_input(sink, index, input)?;
        }
        // Tools that the server runs itself, their results, and what will come.
        _ => {
            sink.begin_other(CHOICE, index, (Api::Anthropic, block.clone()))?;
            return Ok(true);
        }
    }
    sink.others(block, Some(CHOICE), |name| {
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
    })?;
    Ok(false)
}

fn piece(sink: &mut Sink<'_>, index: u64, kind: Plain, text: Option<Str>) -> Result<(), Stop> {
    let Some(text) = text.filter(|text| text.start < text.end) else { return Ok(()) };
    sink.at(text.start);
    let text = sink.string(text);
    sink.block(CHOICE, index, kind, text)
}

/// Signs the thinking of a block, which may have ended.
fn sign(sink: &mut Sink<'_>, index: u64, signature: Option<Text>) -> Result<(), Stop> {
    let Some(signature) = signature else { return Ok(()) };
    sink.open_new(CHOICE, index, Plain::Reasoning)?;
    sink.signature(CHOICE, signature)
}

fn whole_citations(sink: &mut Sink<'_>, citations: Option<Range<usize>>) -> Result<(), Stop> {
    if let Some(citations) = citations.filter(|range| sink.record[range.start] == b'[') {
        sink.json(citations.start).array(|json| {
            sink.citation(CHOICE, json.skip()?);
            Ok::<_, Stop>(())
        })?;
    }
    Ok(())
}

/// The input of a tool, from servers that send it whole. An empty object says that it is still to come, if any comes.
fn whole_input(sink: &mut Sink<'_>, index: u64, input: Option<Range<usize>>) -> Result<(), Stop> {
    let Some(input) = input else { return Ok(()) };
    let key = ToolKey { index: Some(index), ..ToolKey::default() };
    if let Some(text) = sink.text(&input) {
        let text = sink.non_empty(Some(text));
        return sink.tool(CHOICE, key, text);
    }
    let is_empty = sink.record[input.start] == b'{'
        && sink.record[input.start + 1..input.end - 1].trim_ascii().is_empty();
    if is_empty { Ok(()) } else { sink.tool_json(CHOICE, key, input) }
}

fn block_delta(sink: &mut Sink<'_>, trace: &mut Trace, index: u64, delta: &Range<usize>) -> Result<(), Stop> {
    let [kind, text, thinking, input, signature, citation] =
        sink.members(delta, [b"type", b"text", b"thinking", b"partial_json", b"signature", b"citation"])?;
    sink.at(delta.start);
    let string = |range: Option<Range<usize>>| range.and_then(|range| sink.text(&range));
    let [kind, text, thinking, input, signature] = [kind, text, thinking, input, signature].map(string);
    let kind = kind.map(|kind| unescaped(sink.record, kind));
    if sink.is_other(CHOICE, index) {
        trace.more();
        sink.other_delta(CHOICE, delta.clone());
        return Ok(());
    }
    match (kind.as_deref(), text, thinking, input, signature, citation) {
        (Some(b"text_delta"), Some(text), ..) => {
            trace.block(CHOICE, index, Plain::Text, text);
            piece(sink, index, Plain::Text, Some(text))?;
        }
        (Some(b"thinking_delta"), _, Some(text), ..) => {
            trace.block(CHOICE, index, Plain::Reasoning, text);
            piece(sink, index, Plain::Reasoning, Some(text))?;
        }
        (Some(b"input_json_delta"), _, _, Some(input), ..) => {
            trace.more();
            trace.places.text = Some(input);
            trace.target = Some((Target::Tool(Some(index)), CHOICE));
            let input = sink.non_empty(Some(input));
            sink.tool(CHOICE, ToolKey { index: Some(index), ..ToolKey::default() }, input)?;
        }
        (Some(b"signature_delta"), _, _, _, Some(signature), _) => {
            trace.more();
            let signature = sink.non_empty(Some(signature));
            sign(sink, index, signature)?;
        }
        (Some(b"citations_delta"), .., Some(citation)) => {
            trace.more();
            sink.open_new(CHOICE, index, Plain::Text)?;
            sink.citation(CHOICE, citation);
        }
        _ => {
            trace.more();
            sink.other(Some(CHOICE), Some(b"delta"), delta.clone());
            return Ok(());
        }
    }
    sink.others(delta, Some(CHOICE), |name| {
        matches!(name, b"type" | b"text" | b"thinking" | b"partial_json" | b"signature" | b"citation")
    })
}

fn finish(sink: &mut Sink<'_>, reason: Option<Str>, sequence: Option<Str>) -> Result<(), Stop> {
    let Some(reason) = reason.filter(|reason| reason.start < reason.end) else { return Ok(()) };
    sink.at(reason.start);
    let reason = match stop::read(&unescaped(sink.record, reason)) {
        Some(known) => Reason::Known(known),
        None => Reason::Other(sink.string(reason)),
    };
    let sequence = sink.non_empty(sequence);
    sink.finish(CHOICE, reason, sequence)
}

/// Whether a count is one that is read.
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

/// The counts of a message, as Anthropic counts.
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
        json.object(|json, name| {
            let count = match name {
                b"input_tokens" => &mut self.input,
                b"output_tokens" => &mut self.output,
                b"cache_read_input_tokens" => &mut self.cache_read,
                b"cache_creation_input_tokens" => &mut self.cache_write,
                b"thinking_tokens" => &mut self.thinking,
                b"output_tokens_details" if json.kind()? == Kind::Object => return self.read(json),
                _ => return json.skip().map(drop),
            };
            *count = json.integer_or_skip()?.or(*count);
            Ok(())
        })
    }

    /// Anthropic does not count what was cached as input; the model here does.
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
