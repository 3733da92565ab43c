//! Reads chunks and whole responses.
//!
//! Members come in any order, and what one means can depend on a later one: the choices may stand before the id, the
//! finish reason before the delta, the delta before the index. So each object is first walked to find its members, and
//! then read in a fixed order. A record is checked whole before the first of its events is queued.

use alloc::string::{String, ToString};
use core::ops::Range;

use crate::chat::{Parts, Plain, Queue, Reason, Spec, ToolKey, Usage};
use crate::error::ErrorKind;
use crate::failure::Failure;
use crate::json::{Fault, Json, Kind, Str, unescaped};
use crate::limits::Limits;

/// Reads records into the queue of events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reader {
    limits: Limits,
    parts: Parts,
    started: bool,
    /// `[DONE]` was seen.
    done: bool,
    /// A failure was reported: nothing that follows counts.
    failed: bool,
    failure: Option<Failure>,
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
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Reads the document that `record` has from `from` on, and returns where it ends.
    pub(crate) fn read(&mut self, record: &[u8], from: usize, queue: &mut Queue) -> Result<usize, ErrorKind> {
        let rest = record[from..].trim_ascii();
        // The terminal record, as a text or as a JSON string; OpenAI's own client looks at the beginning only.
        if rest.starts_with(b"[DONE]") || rest.starts_with(b"\"[DONE]") {
            self.done = true;
            self.parts.end(true, queue);
            return Ok(record.len());
        }
        if self.is_over() {
            return Ok(record.len());
        }
        let mut json = Json::new(record, from, self.limits.depth);
        let document = match json.skip() {
            Ok(document) => document,
            Err(fault) => {
                queue.push(Spec::Malformed { bytes: Queue::place(from..record.len()), why: fault.why });
                return Ok(record.len());
            }
        };
        match self.document(record, &document, queue) {
            Ok(()) | Err(Stop::Json) => {}
            Err(Stop::Limit(kind)) => return Err(kind),
        }
        if self.failure.is_some() {
            self.failed = true;
            self.parts.end(false, queue);
        }
        Ok(document.end)
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
    pub(crate) fn take_failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }

    fn document(&mut self, record: &[u8], document: &Range<usize>, queue: &mut Queue) -> Result<(), Stop> {
        let mut json = Json::new(record, document.start, self.limits.depth);
        match json.kind()? {
            Kind::Object => self.chunk(record, document, queue),
            Kind::Array => {
                let mut result = Ok(());
                json.array(|json| {
                    let element = json.skip()?;
                    if result.is_ok() {
                        result = self.document(record, &element, queue);
                    }
                    Ok(())
                })?;
                result
            }
            _ => {
                queue.push(Spec::Other { choice: None, name: None, json: Queue::place(document.clone()) });
                Ok(())
            }
        }
    }

    fn chunk(&mut self, record: &[u8], document: &Range<usize>, queue: &mut Queue) -> Result<(), Stop> {
        let depth = self.limits.depth;
        let chunk = Chunk::find(record, document, depth)?;
        if !self.started {
            self.start(record, &chunk, queue)?;
        }
        if let Some(choices) = &chunk.choices {
            let mut position = 0;
            let mut result = Ok(());
            Json::new(record, choices.start, depth).array(|json| {
                let is_object = json.kind()? == Kind::Object;
                let range = json.skip()?;
                if is_object && result.is_ok() {
                    result = self.choice(record, &range, position, queue);
                }
                position += 1;
                Ok(())
            })?;
            result?;
        }
        if let Some(usage) = &chunk.usage {
            if let Some(usage) = read_usage(record, usage, depth)? {
                queue.push_usage(usage);
            }
        }
        if self.failure.is_none() {
            self.failure = chunk.failure(record, document, depth)?;
        }
        if self.failure.is_none() && chunk.choices.is_none() && chunk.usage.is_none() {
            queue.push(Spec::Other { choice: None, name: None, json: Queue::place(document.clone()) });
            return Ok(());
        }
        let known =
            |name: &[u8]| Chunk::is_known(name) || (self.failure.is_some() && Chunk::is_of_error(name));
        push_others(record, document, depth, None, known, queue)
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
            Some(choice) => Choice::find(record, choice, depth)?.role(record, depth)?,
            None => None,
        };
        let mut string = |string: Option<Str>| string.map(|string| queue.string(record, string));
        let (id, model, role) = (string(chunk.id), string(chunk.model), string(role));
        queue.push(Spec::Start { id, model, created: chunk.created, role });
        Ok(())
    }

    fn choice(
        &mut self,
        record: &[u8],
        range: &Range<usize>,
        position: u32,
        queue: &mut Queue,
    ) -> Result<(), Stop> {
        let depth = self.limits.depth;
        let choice = Choice::find(record, range, depth)?;
        let index = choice.index.unwrap_or(position);
        self.parts.touch(&self.limits, index).map_err(Stop::Limit)?;
        if let Some(delta) = &choice.delta {
            self.delta(record, delta, index, queue)?;
        }
        if let Some(text) = choice.text {
            self.plain(record, index, Plain::Text, Some(text), queue)?;
        }
        if let Some(logprobs) = choice.logprobs.clone() {
            let part = self.parts.open_part(index);
            queue.push(Spec::Logprobs { choice: index, part, json: Queue::place(logprobs) });
        }
        if choice.has_others {
            let is_stop =
                |name: &[u8]| choice.stop.is_some() && matches!(name, b"stop_reason" | b"matched_stop");
            let known = |name: &[u8]| Choice::is_known(name) || is_stop(name);
            push_others(record, range, depth, Some(index), known, queue)?;
        }
        let Some(finish) = choice.finish.filter(|finish| finish.start < finish.end) else { return Ok(()) };
        let reason = match &*unescaped(record, finish) {
            b"stop" | b"eos_token" | b"stop_sequence" => Reason::Stop,
            b"length" => Reason::Length,
            b"tool_calls" | b"function_call" => Reason::ToolCalls,
            b"content_filter" => Reason::ContentFilter,
            reason @ (b"error" | b"abort") => {
                let code = String::from_utf8_lossy(reason).into_owned();
                let message = "the model ended its answer with this finish reason".to_string();
                self.failure =
                    Some(Failure::new("finish_reason", Some(code), message, &record[range.clone()]));
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
                let mut result = Ok(());
                json.array(|json| {
                    let is_object = json.kind()? == Kind::Object;
                    let call = json.skip()?;
                    if is_object && result.is_ok() {
                        result = self.tool_call(record, &call, index, queue);
                    }
                    Ok(())
                })?;
                result?;
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

    fn plain(
        &mut self,
        record: &[u8],
        index: u32,
        kind: Plain,
        text: Option<Str>,
        queue: &mut Queue,
    ) -> Result<(), Stop> {
        let Some(text) = text.filter(|text| text.start < text.end) else { return Ok(()) };
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
        let mut string = |string: Option<Str>| {
            string.filter(|string| string.start < string.end).map(|string| queue.string(record, string))
        };
        let key = ToolKey { index: call.index, id: string(call.id), name: string(call.name) };
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

fn non_empty(string: Option<Str>) -> Option<Str> {
    string.filter(|string| string.start < string.end)
}

/// Skips a value, and returns where it lies unless it is null.
fn skip_some(json: &mut Json<'_>) -> Result<Option<Range<usize>>, Fault> {
    let is_null = json.kind()? == Kind::Null;
    let range = json.skip()?;
    Ok((!is_null).then_some(range))
}

/// The same for a value of one kind; others are skipped, too, and not returned.
fn skip_kind(json: &mut Json<'_>, kind: Kind) -> Result<Option<Range<usize>>, Fault> {
    let matches = json.kind()? == kind;
    let range = json.skip()?;
    Ok(matches.then_some(range))
}

/// The members of a chunk.
#[derive(Default)]
struct Chunk {
    id: Option<Str>,
    model: Option<Str>,
    created: Option<u64>,
    choices: Option<Range<usize>>,
    usage: Option<Range<usize>>,
    error: Option<Range<usize>>,
    is_error: bool,
    /// There are members that have no meaning here and are not null.
    has_others: bool,
}

impl Chunk {
    fn is_known(name: &[u8]) -> bool {
        matches!(
            name,
            b"id"
                | b"model"
                | b"created"
                | b"choices"
                | b"usage"
                | b"error"
                | b"object"
                | b"system_fingerprint"
                | b"service_tier"
                | b"obfuscation"
        )
    }

    fn is_of_error(name: &[u8]) -> bool {
        matches!(name, b"message" | b"type" | b"code" | b"param" | b"error_type")
    }

    fn find(record: &[u8], range: &Range<usize>, depth: usize) -> Result<Self, Stop> {
        let mut chunk = Self::default();
        Json::new(record, range.start, depth).object(|json, name| {
            match name {
                b"id" => chunk.id = non_empty(json.string_or_skip()?),
                b"model" => chunk.model = non_empty(json.string_or_skip()?),
                b"created" => chunk.created = json.integer_or_skip()?,
                b"choices" => chunk.choices = skip_kind(json, Kind::Array)?,
                b"usage" => chunk.usage = skip_kind(json, Kind::Object)?,
                b"error" => chunk.error = skip_some(json)?,
                b"object" => {
                    let object = json.string_or_skip()?;
                    chunk.is_error = object.is_some_and(|object| &*unescaped(record, object) == b"error");
                }
                name => chunk.has_others |= skip_some(json)?.is_some() && !Self::is_known(name),
            }
            Ok(())
        })?;
        Ok(chunk)
    }

    fn first_choice(&self, record: &[u8], depth: usize) -> Result<Option<Range<usize>>, Stop> {
        let Some(choices) = &self.choices else { return Ok(None) };
        let mut first = None;
        Json::new(record, choices.start, depth).array(|json| {
            let element = skip_kind(json, Kind::Object)?;
            first = first.take().or(element);
            Ok(())
        })?;
        Ok(first)
    }

    /// The failure that the chunk reports: `"error":{…}`, `"error":"text"` with its members beside it, or the members
    /// of an error with `"object":"error"`.
    fn failure(&self, record: &[u8], range: &Range<usize>, depth: usize) -> Result<Option<Failure>, Stop> {
        let object = match &self.error {
            Some(error) if record[error.start] == b'{' => error,
            Some(error) if matches!(&record[error.clone()], b"false" | b"\"\"" | b"0") => return Ok(None),
            Some(_) => range,
            None if self.is_error => range,
            None => return Ok(None),
        };
        let (mut name, mut code, mut message) = (None, None, None);
        Json::new(record, object.start, depth).object(|json, member| {
            match member {
                b"type" | b"error_type" => name = non_empty(json.string_or_skip()?).or(name),
                b"message" | b"error" => message = json.string_or_skip()?.or(message),
                b"code" | b"http_status_code" if json.kind()? == Kind::Number => {
                    code = Some(Err(json.skip()?))
                }
                b"code" => code = non_empty(json.string_or_skip()?).map(Ok).or(code.take()),
                _ => json.skip().map(drop)?,
            }
            Ok(())
        })?;
        let text = |string| String::from_utf8_lossy(&unescaped(record, string)).into_owned();
        let code = code.map(|code| match code {
            Ok(string) => text(string),
            Err(number) => String::from_utf8_lossy(&record[number]).into_owned(),
        });
        let name = name.map_or_else(|| "error".to_string(), text);
        Ok(Some(Failure::new(name, code, message.map(text).unwrap_or_default(), &record[range.clone()])))
    }
}

/// The members of a choice.
#[derive(Default)]
struct Choice {
    index: Option<u32>,
    /// `delta`, or `message` in a response that is not streamed.
    delta: Option<Range<usize>>,
    text: Option<Str>,
    finish: Option<Str>,
    stop: Option<Str>,
    logprobs: Option<Range<usize>>,
    /// There are members that have no meaning here and are not null.
    has_others: bool,
}

impl Choice {
    fn is_known(name: &[u8]) -> bool {
        matches!(name, b"index" | b"delta" | b"message" | b"text" | b"finish_reason" | b"logprobs")
    }

    fn find(record: &[u8], range: &Range<usize>, depth: usize) -> Result<Self, Stop> {
        let mut choice = Self::default();
        Json::new(record, range.start, depth).object(|json, name| {
            match name {
                b"index" => {
                    choice.index = json.integer_or_skip()?.and_then(|index| u32::try_from(index).ok())
                }
                b"delta" | b"message" => {
                    choice.delta = skip_kind(json, Kind::Object)?.or(choice.delta.take())
                }
                b"text" => choice.text = non_empty(json.string_or_skip()?),
                b"finish_reason" => choice.finish = json.string_or_skip()?,
                b"stop_reason" | b"matched_stop" if json.kind()? == Kind::String => {
                    choice.stop = Some(json.string()?)
                }
                b"logprobs" => choice.logprobs = skip_some(json)?,
                name => choice.has_others |= skip_some(json)?.is_some() && !Self::is_known(name),
            }
            Ok(())
        })?;
        Ok(choice)
    }

    fn role(&self, record: &[u8], depth: usize) -> Result<Option<Str>, Stop> {
        let Some(delta) = &self.delta else { return Ok(None) };
        let mut role = None;
        Json::new(record, delta.start, depth).object(|json, name| {
            match name {
                b"role" => role = non_empty(json.string_or_skip()?),
                _ => json.skip().map(drop)?,
            }
            Ok(())
        })?;
        Ok(role)
    }
}

/// The members of a delta or a message.
#[derive(Default)]
struct Delta {
    content: Option<Str>,
    content_parts: Option<Range<usize>>,
    reasoning_content: Option<Str>,
    reasoning: Option<Str>,
    refusal: Option<Str>,
    tool_calls: Option<Range<usize>>,
    function_call: Option<Range<usize>>,
    /// There are members that have no meaning here and are not null.
    has_others: bool,
}

impl Delta {
    fn is_known(name: &[u8]) -> bool {
        matches!(
            name,
            b"role"
                | b"content"
                | b"reasoning_content"
                | b"reasoning"
                | b"refusal"
                | b"tool_calls"
                | b"function_call"
        )
    }

    fn find(record: &[u8], range: &Range<usize>, depth: usize) -> Result<Self, Stop> {
        let mut delta = Self::default();
        Json::new(record, range.start, depth).object(|json, name| {
            match name {
                b"content" if json.kind()? == Kind::Array => delta.content_parts = Some(json.skip()?),
                b"content" => delta.content = json.string_or_skip()?,
                b"reasoning_content" => delta.reasoning_content = non_empty(json.string_or_skip()?),
                b"reasoning" => delta.reasoning = non_empty(json.string_or_skip()?),
                b"refusal" => delta.refusal = json.string_or_skip()?,
                b"tool_calls" => {
                    delta.tool_calls = match json.kind()? {
                        Kind::Array | Kind::Object => Some(json.skip()?),
                        _ => json.skip().map(|_| None)?,
                    }
                }
                b"function_call" => delta.function_call = skip_kind(json, Kind::Object)?,
                name => delta.has_others |= skip_some(json)?.is_some() && !Self::is_known(name),
            }
            Ok(())
        })?;
        Ok(delta)
    }
}

/// The members of a tool call, whichever object of it they stand in.
#[derive(Default)]
struct ToolCall {
    index: Option<u64>,
    id: Option<Str>,
    name: Option<Str>,
    arguments: Option<Arguments>,
}

enum Arguments {
    String(Str),
    Json(Range<usize>),
}

impl ToolCall {
    fn find(&mut self, json: &mut Json<'_>) -> Result<(), Fault> {
        json.object(|json, name| {
            match name {
                b"index" => self.index = json.integer_or_skip()?,
                b"id" => self.id = json.string_or_skip()?,
                b"name" => self.name = json.string_or_skip()?,
                b"function" | b"custom" if json.kind()? == Kind::Object => self.find(json)?,
                b"arguments" | b"input" => {
                    self.arguments = match json.kind()? {
                        Kind::String => Some(Arguments::String(json.string()?)),
                        _ => skip_some(json)?.map(Arguments::Json),
                    }
                }
                _ => json.skip().map(drop)?,
            }
            Ok(())
        })
    }
}

fn read_usage(record: &[u8], range: &Range<usize>, depth: usize) -> Result<Option<Usage>, Stop> {
    fn read(json: &mut Json<'_>, usage: &mut Usage) -> Result<(), Fault> {
        json.object(|json, name| {
            let count = match name {
                b"prompt_tokens" | b"input_tokens" => &mut usage.input_tokens,
                b"completion_tokens" | b"output_tokens" => &mut usage.output_tokens,
                b"total_tokens" => &mut usage.total_tokens,
                b"cached_tokens" => &mut usage.cache_read_tokens,
                b"cache_write_tokens" => &mut usage.cache_write_tokens,
                b"reasoning_tokens" => &mut usage.reasoning_tokens,
                b"prompt_tokens_details" | b"completion_tokens_details" if json.kind()? == Kind::Object => {
                    return read(json, usage);
                }
                _ => return json.skip().map(drop),
            };
            *count = json.integer_or_skip()?.or(*count);
            Ok(())
        })
    }
    let mut usage = Usage::default();
    read(&mut Json::new(record, range.start, depth), &mut usage)?;
    Ok((usage != Usage::default()).then_some(usage))
}
