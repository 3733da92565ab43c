//! Reads chunks and whole responses into the queue of events.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::ops::Range;

use super::chunk::{Arguments, Choice, Chunk, Delta, Document, ToolCall, integer, non_empty, read_usage};
use super::template::{Call, Places, Target, Template};
use crate::chat::{Parts, Plain, Queue, Reason, Spec, ToolKey};
use crate::error::ErrorKind;
use crate::failure::Failure;
use crate::json::{Fault, Json, Kind, Str, unescaped};
use crate::limits::Limits;

/// Reads records into the queue of events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reader {
    limits: Arc<Limits>,
    parts: Parts,
    started: bool,
    /// `[DONE]` was seen.
    done: bool,
    /// A failure was reported: nothing that follows counts.
    failed: bool,
    failure: Option<Box<Failure>>,
    /// Boxed, so that a stream that has not begun is small.
    memory: Box<Memory>,
}

/// What is remembered of the documents that were read.
#[derive(Clone, Debug, Default)]
struct Memory {
    /// Where the members of the last document lie, and what it came to in how many choices and calls.
    places: Places,
    call: Option<(Target, u32)>,
    counts: (u32, u32),
    templates: [Option<Template>; 2],
    /// The template that is replaced next.
    oldest: usize,
}

/// Why a walk over a record stopped: only limits can stop it, the JSON was checked before.
enum Stop {
    Json,
    Limit(ErrorKind),
}

impl From<Fault> for Stop {
    fn from(_: Fault) -> Self {
        Self::Json
    }
}

impl Reader {
    pub(crate) fn new(limits: Arc<Limits>) -> Self {
        Self { limits, ..Self::default() }
    }

    /// What the record that `bytes` begin with comes to, if it is like an earlier one. They need not be known to be
    /// UTF-8.
    #[inline]
    pub(crate) fn alike(&mut self, bytes: &[u8]) -> Option<Call> {
        if self.is_over() {
            return None;
        }
        let (templates, depth) = (&mut self.memory.templates, self.limits.depth);
        templates
            .iter()
            .flatten()
            .find_map(|template| template.read_equal(bytes))
            .or_else(|| templates.iter_mut().flatten().find_map(|template| template.read_alike(bytes, depth)))
    }

    /// Reads what `record` comes to.
    #[inline]
    pub(crate) fn read_call(
        &mut self,
        record: &[u8],
        call: Call,
        queue: &mut Queue,
    ) -> Result<(), ErrorKind> {
        let text = queue.string(record, call.text);
        match call.target {
            Target::Plain(kind) => {
                self.parts.plain(&self.limits, queue, record, (call.choice, kind, text))?;
            }
            Target::Tool(index) => {
                let mut string =
                    |string: Option<Str>| non_empty(string).map(|string| queue.string(record, string));
                let key = ToolKey { index, id: string(call.id), name: string(call.name) };
                self.parts.tool(&self.limits, queue, record, (call.choice, key, Some(text)))?;
            }
        }
        if let Some(logprobs) = call.logprobs {
            self.push_logprobs(call.choice, logprobs, queue);
        }
        Ok(())
    }

    /// Reads the document that `record` has from `from` on, and returns where it ends.
    pub(crate) fn read(&mut self, record: &[u8], from: usize, queue: &mut Queue) -> Result<usize, ErrorKind> {
        let rest = record[from..].trim_ascii_start();
        // The terminal record, as a text or as a JSON string; OpenAI's own client looks at the beginning only.
        if rest.starts_with(b"[DONE]") || rest.starts_with(b"\"[DONE]") {
            self.done = true;
            self.parts.end(true, queue);
            return Ok(record.len());
        }
        if self.is_over() {
            return Ok(record.len());
        }
        // Finding the members of a document checks all of it, before any of it is used.
        let mut json = Json::new(record, from, self.limits.depth);
        let document = match Document::find(&mut json) {
            Ok(document) => document,
            Err(fault) => {
                queue.push(Spec::Malformed { bytes: Queue::place(from..record.len()), why: fault.why });
                return Ok(record.len());
            }
        };
        (self.memory.call, self.memory.counts) = (None, (0, 0));
        match self.document(record, &document, queue) {
            Ok(()) | Err(Stop::Json) => {}
            Err(Stop::Limit(kind)) => return Err(kind),
        }
        if let (0, true, Document::Chunk(chunk)) = (from, json.pos() == record.len(), &document) {
            self.remember(record, chunk, queue);
        }
        if self.failure.is_some() {
            self.failed = true;
            self.parts.end(false, queue);
        }
        Ok(json.pos())
    }

    /// Makes a template of a chunk that was nothing but one piece of one part.
    fn remember(&mut self, record: &[u8], chunk: &Chunk, queue: &Queue) {
        let Some((target, choice)) =
            self.memory.call.filter(|_| self.memory.counts == (1, 1) && queue.is_of_parts())
        else {
            return;
        };
        let mut places = core::mem::take(&mut self.memory.places);
        (places.created, places.obfuscation) = (chunk.created.clone(), chunk.obfuscation);
        self.memory.templates[self.memory.oldest] = Template::new(record, places, target, choice);
        self.memory.oldest = (self.memory.oldest + 1) % self.memory.templates.len();
    }

    /// The end of the input: what was held back.
    pub(crate) fn finish(&mut self, queue: &mut Queue) {
        self.parts.end(false, queue);
    }

    /// Whether the format says that the stream is complete.
    pub(crate) fn is_complete(&self) -> bool {
        !self.failed && (self.done || self.parts.is_finished())
    }

    /// Whether nothing that follows counts: the terminal record was read, or a failure.
    pub(crate) fn is_over(&self) -> bool {
        self.done || self.failed
    }

    /// The failure that the container reported, once.
    pub(crate) fn take_failure(&mut self) -> Option<Box<Failure>> {
        self.failure.take()
    }

    fn document(&mut self, record: &[u8], document: &Document, queue: &mut Queue) -> Result<(), Stop> {
        match document {
            Document::Chunk(chunk) => self.chunk(record, chunk, queue),
            Document::Array(range) => Json::new(record, range.start, self.limits.depth).array(|json| {
                let element = Document::find(json)?;
                self.document(record, &element, queue)
            }),
            Document::Other(range) => {
                queue.push(Spec::Other { choice: None, name: None, json: Queue::place(range.clone()) });
                Ok(())
            }
        }
    }

    fn chunk(&mut self, record: &[u8], chunk: &Chunk, queue: &mut Queue) -> Result<(), Stop> {
        let depth = self.limits.depth;
        if !self.started {
            self.start(record, chunk, queue)?;
        }
        if let Some(choices) = &chunk.choices {
            let mut position = 0;
            Json::new(record, choices.start, depth).array(|json| {
                if json.kind()? == Kind::Object {
                    let choice = Choice::find(json)?;
                    self.choice(record, &choice, position, queue)?;
                } else {
                    json.skip()?;
                }
                position += 1;
                Ok::<_, Stop>(())
            })?;
        }
        if let Some(usage) = &chunk.usage {
            if let Some(usage) = read_usage(record, usage, depth)? {
                queue.push_usage(usage);
            }
        }
        if self.failure.is_none() {
            self.failure = chunk.failure(record, depth)?.map(Box::new);
        }
        if self.failure.is_none() && chunk.choices.is_none() && chunk.usage.is_none() {
            queue.push(Spec::Other { choice: None, name: None, json: Queue::place(chunk.range.clone()) });
        } else if chunk.has_others {
            let of_error = self.failure.is_some();
            let known = |name: &[u8]| Chunk::is_known(name) || (of_error && Chunk::is_of_error(name));
            push_others(record, &chunk.range, depth, None, known, queue)?;
        }
        Ok(())
    }

    /// The answer starts with the first chunk that has an ID or a choice.
    fn start(&mut self, record: &[u8], chunk: &Chunk, queue: &mut Queue) -> Result<(), Stop> {
        let depth = self.limits.depth;
        let first = chunk.first_choice(record, depth)?;
        if chunk.id.is_none() && first.is_none() {
            return Ok(());
        }
        self.started = true;
        let role = match &first {
            Some(choice) => choice.role(record, depth)?,
            None => None,
        };
        let mut string = |string: Option<Str>| string.map(|string| queue.string(record, string));
        let (id, model, role) = (string(chunk.id), string(chunk.model), string(role));
        let created = integer(record, chunk.created.as_ref());
        queue.push(Spec::Start { id, model, created, role });
        Ok(())
    }

    fn choice(
        &mut self,
        record: &[u8],
        choice: &Choice,
        position: u32,
        queue: &mut Queue,
    ) -> Result<(), Stop> {
        let depth = self.limits.depth;
        let index = integer(record, choice.index.as_ref()).and_then(|index| u32::try_from(index).ok());
        let index = index.unwrap_or(position);
        self.parts.touch(&self.limits, index).map_err(Stop::Limit)?;
        if let Some(delta) = &choice.delta {
            self.delta(record, delta, index, queue)?;
        }
        if let Some(text) = choice.text {
            self.plain(record, index, Plain::Text, Some(text), queue)?;
        }
        if let Some(logprobs) = choice.logprobs.clone().filter(|range| record[range.start] != b'n') {
            self.push_logprobs(index, logprobs, queue);
        }
        self.memory.counts.0 += 1;
        (self.memory.places.choice, self.memory.places.logprobs) =
            (choice.index.clone(), choice.logprobs.clone());
        if choice.has_others {
            let is_stop =
                |name: &[u8]| choice.stop.is_some() && matches!(name, b"stop_reason" | b"matched_stop");
            let known = |name: &[u8]| Choice::is_known(name) || is_stop(name);
            push_others(record, &choice.range, depth, Some(index), known, queue)?;
        }
        let Some(finish) = non_empty(choice.finish) else { return Ok(()) };
        // What ends a choice is more than a piece of a part, also where the choice has ended before.
        self.memory.counts.1 += 1;
        let reason = match &*unescaped(record, finish) {
            b"stop" | b"eos_token" | b"stop_sequence" => Reason::Stop,
            b"length" => Reason::Length,
            b"tool_calls" | b"function_call" => Reason::ToolCalls,
            b"content_filter" => Reason::ContentFilter,
            reason @ (b"error" | b"abort") => {
                let code = String::from_utf8_lossy(reason).into_owned();
                let message = "the model ended its answer with this finish reason".to_string();
                self.failure = Some(Box::new(Failure::new(
                    "finish_reason",
                    Some(code),
                    message,
                    &record[choice.range.clone()],
                )));
                return Ok(());
            }
            _ => Reason::Other(queue.string(record, finish)),
        };
        let stop = choice.stop.map(|stop| queue.string(record, stop));
        self.parts.finish(&self.limits, queue, (index, reason, stop)).map_err(Stop::Limit)
    }

    fn delta(
        &mut self,
        record: &[u8],
        range: &Range<usize>,
        index: u32,
        queue: &mut Queue,
    ) -> Result<(), Stop> {
        let depth = self.limits.depth;
        let delta = Delta::find(record, range, depth)?;
        self.plain(record, index, Plain::Reasoning, delta.reasoning_content.or(delta.reasoning), queue)?;
        self.plain(record, index, Plain::Text, delta.content, queue)?;
        if let Some(parts) = &delta.content_parts {
            let mut texts = alloc::vec::Vec::new();
            Json::new(record, parts.start, depth).array(|json| {
                if json.kind()? != Kind::Object {
                    return json.skip().map(drop);
                }
                json.object(|json, name| match name {
                    b"text" => json.string_or_skip().map(|text| texts.extend(text)),
                    _ => json.skip().map(drop),
                })
            })?;
            for text in texts {
                self.plain(record, index, Plain::Text, Some(text), queue)?;
            }
        }
        self.plain(record, index, Plain::Refusal, delta.refusal, queue)?;
        if let Some(calls) = &delta.tool_calls {
            let mut json = Json::new(record, calls.start, depth);
            if json.kind()? == Kind::Array {
                json.array(|json| {
                    let is_object = json.kind()? == Kind::Object;
                    let call = json.skip()?;
                    if is_object { self.tool_call(record, &call, index, queue) } else { Ok(()) }
                })?;
            } else {
                self.tool_call(record, calls, index, queue)?;
            }
        } else if let Some(call) = &delta.function_call {
            self.tool_call(record, call, index, queue)?;
        }
        if delta.has_others {
            push_others(record, range, depth, Some(index), Delta::is_known, queue)?;
        }
        Ok(())
    }

    fn push_logprobs(&mut self, choice: u32, logprobs: Range<usize>, queue: &mut Queue) {
        let part = self.parts.open_part(choice);
        queue.push(Spec::Logprobs { choice, part, json: Queue::place(logprobs) });
    }

    fn plain(
        &mut self,
        record: &[u8],
        index: u32,
        kind: Plain,
        text: Option<Str>,
        queue: &mut Queue,
    ) -> Result<(), Stop> {
        let Some(text) = non_empty(text) else { return Ok(()) };
        self.memory.counts.1 += 1;
        self.memory.call = Some((Target::Plain(kind), index));
        let places = &mut self.memory.places;
        (places.text, places.tool, places.id, places.name) = (Some(text), None, None, None);
        let text = queue.string(record, text);
        self.parts.plain(&self.limits, queue, record, (index, kind, text)).map_err(Stop::Limit)
    }

    fn tool_call(
        &mut self,
        record: &[u8],
        range: &Range<usize>,
        index: u32,
        queue: &mut Queue,
    ) -> Result<(), Stop> {
        let mut call = ToolCall::default();
        call.find(&mut Json::new(record, range.start, self.limits.depth))?;
        let mut string = |string: Option<Str>| non_empty(string).map(|string| queue.string(record, string));
        let tool = integer(record, call.index.as_ref());
        let key = ToolKey { index: tool, id: string(call.id), name: string(call.name) };
        self.memory.counts.1 += 1;
        self.memory.call = match call.arguments {
            Some(Arguments::String(text)) => {
                let places = &mut self.memory.places;
                (places.text, places.tool) = (Some(text), call.index.clone());
                (places.id, places.name) = (call.id, call.name);
                Some((Target::Tool(tool), index))
            }
            _ => None,
        };
        let input = match call.arguments {
            Some(Arguments::String(text)) => string(Some(text)),
            Some(Arguments::Json(range)) => Some(Queue::place(range)),
            None => None,
        };
        self.parts.tool(&self.limits, queue, record, (index, key, input)).map_err(Stop::Limit)
    }
}

/// Queues the members that have no meaning here and are not null.
fn push_others(
    record: &[u8],
    object: &Range<usize>,
    depth: usize,
    choice: Option<u32>,
    known: impl Fn(&[u8]) -> bool,
    queue: &mut Queue,
) -> Result<(), Stop> {
    Json::new(record, object.start, depth).object(|json, name| {
        let is_null = json.kind()? == Kind::Null;
        let value = json.skip()?;
        if !is_null && !known(name) {
            let name = Some(queue.copy(name));
            queue.push(Spec::Other { choice, name, json: Queue::place(value) });
        }
        Ok(())
    })?;
    Ok(())
}
