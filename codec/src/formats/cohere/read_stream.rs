//! Reads the events of a chat stream.

use core::ops::Range;

use crate::assemble::{Emitter, Index, Stop, TextKind, ToolDelta};
use crate::formats::cohere::read_message::read_message;
use crate::formats::cohere::read_parts::{CHOICE, calls, finish, is_of_item, item, read_usage};
use crate::formats::cohere::read_v1;
use crate::formats::error_record as failure;
use crate::json::{Fault, Json, Kind, Str, unescaped};
use crate::model::Failure;

/// The index of a call is this plus its index on the wire, because the emitter numbers content and calls together.
const CALLS: u64 = 1 << 32;

/// Reads the object that comes next.
pub(crate) fn read_record(json: &mut Json<'_>, emitter: &mut Emitter<'_>) -> Result<(), Stop> {
    // Finding the fields checks the whole event before any of it is used.
    let event = Event::find(json)?;
    let name = event.name.map(|name| unescaped(emitter.record, name)).unwrap_or_default();
    match &*name {
        b"content-delta" => content_delta(emitter, &event)?,
        b"content-start" => content_start(emitter, &event)?,
        b"content-end" => emitter.end(&CHOICE, event.index.unwrap_or(0)),
        b"tool-plan-delta" => {
            let plan = event.part(emitter, b"tool_plan")?;
            emitter.text(&CHOICE, TextKind::Reasoning, emitter.string_in(plan))?;
        }
        b"tool-call-start" | b"tool-call-delta" => {
            if let Some(call) = event.part(emitter, b"tool_calls")? {
                let index = event.index.map(|index| Index::fixed(CALLS.saturating_add(index)));
                calls(emitter, &call, &ToolDelta { index, ..ToolDelta::default() })?;
            }
        }
        b"tool-call-end" => match event.index {
            Some(index) => emitter.end(&CHOICE, CALLS.saturating_add(index)),
            None => emitter.end_call(&CHOICE),
        },
        b"citation-start" => citation(emitter, &event)?,
        b"citation-end" => {}
        b"message-start" => message_start(emitter, &event)?,
        b"message-end" => message_end(emitter, &event)?,
        name => return other(emitter, &event, name),
    }
    if event.has_other_fields {
        emitter.other_fields(&event.range, Some(&CHOICE), Event::is_known)?;
    }
    Ok(())
}

/// Reads an object that is no event of a v2 stream: a whole message, a record of v1, or an error.
fn other(emitter: &mut Emitter<'_>, event: &Event, name: &[u8]) -> Result<(), Stop> {
    if let (true, Some(message)) = (name.is_empty(), &event.message) {
        return read_message(emitter, &event.range, message);
    }
    if name.is_empty() && event.is_v1 {
        return read_v1::read_record(emitter, &event.range);
    }
    let failure = match failure::read(emitter.record, &event.range, emitter.depth())? {
        Some(failure) => Some(failure),
        // Cohere's own errors are a message and an ID.
        None => event.words.filter(|_| name.is_empty()).map(|words| {
            let original = &emitter.record[event.range.clone()];
            Failure::of("error", None, emitter.to_string(words), original)
        }),
    };
    match failure {
        Some(failure) => emitter.fail(failure),
        None => emitter.other(None, (!name.is_empty()).then_some(name), event.range.clone()),
    }
    Ok(())
}

/// The fields of an event.
#[derive(Default)]
struct Event {
    id: Option<Str>,
    name: Option<Str>,
    range: Range<usize>,
    /// The message of an error.
    words: Option<Str>,
    /// The message of a non-streaming response.
    message: Option<Range<usize>>,
    index: Option<u64>,
    delta: Option<Range<usize>>,
    logprobs: Option<Range<usize>>,
    is_v1: bool,
    has_other_fields: bool,
}

impl Event {
    fn is_known(name: &[u8]) -> bool {
        matches!(name, b"type" | b"index" | b"id" | b"delta" | b"logprobs")
    }

    fn find(json: &mut Json<'_>) -> Result<Self, Fault> {
        json.kind()?;
        let mut event = Self { range: json.pos()..json.pos(), ..Self::default() };
        json.object(|json, name| {
            match name {
                b"id" => event.id = json.string_or_skip()?,
                b"type" => event.name = json.string_or_skip()?,
                b"index" => event.index = json.integer_or_skip()?,
                b"delta" => event.delta = json.skip_kind(Kind::Object)?,
                b"logprobs" => event.logprobs = json.skip_some()?,
                b"message" if json.kind()? == Kind::String => event.words = json.string_or_skip()?,
                b"message" => event.message = json.skip_kind(Kind::Object)?,
                name => {
                    event.is_v1 |= matches!(name, b"event_type" | b"text" | b"generation_id");
                    event.has_other_fields |= json.skip_some()?.is_some();
                }
            }
            Ok(())
        })?;
        event.range.end = json.pos();
        Ok(event)
    }

    /// The field `name` of the message in the delta. Starts the response, if the server sent no start.
    fn part(&self, emitter: &mut Emitter<'_>, name: &[u8]) -> Result<Option<Range<usize>>, Stop> {
        emitter.start(None, None, None, None);
        emitter.touch(&CHOICE)?;
        let Some(delta) = &self.delta else { return Ok(None) };
        let [message] = emitter.fields(delta, [b"message"])?;
        emitter.other_fields(delta, Some(&CHOICE), |name| name == b"message")?;
        let Some(message) = message.filter(|message| emitter.record[message.start] == b'{') else {
            return Ok(None);
        };
        emitter.other_fields(&message, Some(&CHOICE), |known| known == name)?;
        Ok(emitter.fields(&message, [name])?[0].take())
    }
}

fn message_start(emitter: &mut Emitter<'_>, event: &Event) -> Result<(), Stop> {
    let (mut role, mut message) = (None, None);
    if let Some(delta) = &event.delta {
        [message] = emitter.fields(delta, [b"message"])?;
    }
    if let Some(message) = &message {
        [role] = emitter.string_fields(message, [b"role"])?;
    }
    emitter.start(event.id, None, None, role);
    emitter.touch(&CHOICE)
}

fn message_end(emitter: &mut Emitter<'_>, event: &Event) -> Result<(), Stop> {
    emitter.start(event.id, None, None, None);
    emitter.touch(&CHOICE)?;
    if let Some(delta) = &event.delta {
        let [reason, usage, error] = emitter.fields(delta, [b"finish_reason", b"usage", b"error"])?;
        let [reason, error] = [reason, error].map(|span| emitter.string_in(span));
        finish(emitter, &event.range, reason, error)?;
        read_usage(emitter, usage)?;
        let is_known = |name: &[u8]| matches!(name, b"finish_reason" | b"usage" | b"error");
        emitter.other_fields(delta, Some(&CHOICE), is_known)?;
    }
    emitter.done();
    Ok(())
}

fn content_start(emitter: &mut Emitter<'_>, event: &Event) -> Result<(), Stop> {
    match event.part(emitter, b"content")? {
        Some(content) if emitter.record[content.start] == b'{' => {
            item(emitter, event.index.unwrap_or(0), &content)
        }
        _ => Ok(()),
    }
}

fn content_delta(emitter: &mut Emitter<'_>, event: &Event) -> Result<(), Stop> {
    let index = event.index.unwrap_or(0);
    if let Some(content) = event.part(emitter, b"content")? {
        if emitter.is_other(&CHOICE, index) {
            emitter.other_delta(&CHOICE, content);
        } else {
            let [text, thinking] = emitter.string_fields(&content, [b"text", b"thinking"])?;
            emitter.block_text(&CHOICE, index, TextKind::Reasoning, thinking)?;
            emitter.block_text(&CHOICE, index, TextKind::Text, text)?;
            if emitter.record[content.start] == b'{' {
                emitter.other_fields(&content, Some(&CHOICE), is_of_item)?;
            }
        }
    }
    if let Some(logprobs) = event.logprobs.clone() {
        emitter.logprobs(&CHOICE, logprobs);
    }
    Ok(())
}

/// Reads one citation, or a list of them.
fn citation(emitter: &mut Emitter<'_>, event: &Event) -> Result<(), Stop> {
    let Some(found) = event.part(emitter, b"citations")? else { return Ok(()) };
    emitter.set_position(found.start);
    match emitter.record[found.start] {
        b'[' => emitter.citations(&CHOICE, &found)?,
        _ => emitter.citation(&CHOICE, found),
    }
    Ok(())
}
