//! Reads the events of ConverseStream.

use alloc::string::String;
use core::ops::Range;

use crate::assemble::{Emitter, Stop, TextKind, ToolDelta};
use crate::formats::converse::read_content::{
    CHOICE, block_reasoning, finish, is_empty, read_usage, response_fields, tool_start,
};
use crate::formats::converse::read_response::Response;
use crate::json::{Fault, Json, Kind, Str};
use crate::model::Api;
use crate::model::Failure;

/// All events, in the order in which a stream has them.
const EVENTS: [Name; 6] = [
    Name::MessageStart,
    Name::BlockStart,
    Name::BlockDelta,
    Name::BlockStop,
    Name::MessageStop,
    Name::Metadata,
];

/// The events of ConverseStream that are not exceptions.
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
    /// The event that a frame or a field names.
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
pub(crate) fn read_record(json: &mut Json<'_>, emitter: &mut Emitter<'_>) -> Result<(), Stop> {
    let start = json.pos();
    let mut events = [const { None }; EVENTS.len()];
    let (mut exception, mut has_other_fields) = (None, false);
    let mut response = Response::default();
    json.object(|json, name| {
        let is_object = json.kind()? == Kind::Object;
        if let (true, Some(name)) = (is_object, Name::parse(name)) {
            events[name as usize] = Some(json.skip()?);
        } else if is_object && name.ends_with(b"Exception") {
            exception = Some((String::from_utf8_lossy(name).into_owned(), json.skip()?));
        } else {
            has_other_fields |= !Response::is_known(name) && json.kind()? != Kind::Null;
            response.member(json, name)?;
        }
        Ok(())
    })?;
    let range = start..json.pos();
    if let Some((name, body)) = exception {
        let failure = failure(emitter, name, &body)?;
        emitter.fail(failure);
        return Ok(());
    }
    if events.iter().all(Option::is_none) {
        return response.read(emitter, range);
    }
    for (name, event) in EVENTS.into_iter().zip(events) {
        if let Some(event) = event {
            read_event(name, &mut emitter.json(event.start), emitter)?;
        }
    }
    if has_other_fields {
        emitter.other_fields(&range, None, |name| Name::parse(name).is_some())?;
    }
    Ok(())
}

/// The failure of an exception.
fn failure(emitter: &Emitter<'_>, name: String, body: &Range<usize>) -> Result<Failure, Stop> {
    let [message, code, original] =
        emitter.fields(body, [b"message", b"originalStatusCode", b"originalMessage"])?;
    let text = |span: Option<Range<usize>>| emitter.string_in(span);
    let message = text(message).filter(|text| text.start < text.end).or(text(original));
    let code = code.map(|range| String::from_utf8_lossy(&emitter.record[range]).into_owned());
    let message = message.map(|message| emitter.to_string(message)).unwrap_or_default();
    Ok(Failure::of(name, code, message, &emitter.record[body.clone()]))
}

/// Reads the payload of an event.
pub(crate) fn read_event(name: Name, json: &mut Json<'_>, emitter: &mut Emitter<'_>) -> Result<(), Stop> {
    let mut event = Event::default();
    let range = event.find(json)?;
    if name != Name::Metadata {
        emitter.start(None, None, None, event.role);
        emitter.touch(&CHOICE)?;
    }
    let index = event.index.unwrap_or(0);
    match name {
        Name::MessageStart => {}
        Name::BlockStart => {
            if let Some(start) = event.start {
                block_start(emitter, index, &start)?;
            }
        }
        Name::BlockDelta => {
            emitter.ignore_string(event.padding);
            if let Some(delta) = event.delta {
                block_delta(emitter, index, &delta)?;
            }
        }
        Name::BlockStop => {
            emitter.end(&CHOICE, index);
        }
        Name::MessageStop => {
            let stop = response_fields(emitter, event.response_fields.as_ref())?;
            finish(emitter, event.stop_reason, stop)?;
        }
        Name::Metadata => {
            if let Some(usage) = event.usage {
                read_usage(emitter, &usage)?;
            }
        }
    }
    if event.has_other_fields {
        emitter.other_fields(&range, None, Event::is_known)?;
    }
    Ok(())
}

/// The fields of all events. Their names do not clash.
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
    has_other_fields: bool,
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
                _ => self.has_other_fields |= json.skip_some()?.is_some(),
            }
            Ok(())
        })?;
        Ok(start..json.pos())
    }
}

fn block_start(emitter: &mut Emitter<'_>, index: u64, start: &Range<usize>) -> Result<(), Stop> {
    let [tool, reasoning] = emitter.fields(start, [b"toolUse", b"reasoningContent"])?;
    if let Some(tool) = tool.filter(|tool| emitter.record[tool.start] == b'{') {
        if tool_start(emitter, index, &tool)? {
            return Ok(());
        }
    } else if let Some(reasoning) = reasoning {
        // Older models sent reasoning here instead of in a delta.
        return block_reasoning(emitter, index, &reasoning);
    } else if is_empty(emitter, start) {
        return Ok(());
    }
    // A tool that the service runs itself, its result, or an image.
    emitter.begin_other(&CHOICE, index, (Api::Converse, start.clone()))
}

fn block_delta(emitter: &mut Emitter<'_>, index: u64, delta: &Range<usize>) -> Result<(), Stop> {
    let [content, tool, reasoning, citation] =
        emitter.fields(delta, [b"text", b"toolUse", b"reasoningContent", b"citation"])?;
    if emitter.is_other(&CHOICE, index) {
        emitter.other_delta(&CHOICE, delta.clone());
        return Ok(());
    }
    if let Some(content) = emitter.string_in(content) {
        emitter.block_text(&CHOICE, index, TextKind::Text, Some(content))?;
    } else if let Some(tool) = tool {
        tool_delta(emitter, index, &tool)?;
    } else if let Some(reasoning) = reasoning {
        block_reasoning(emitter, index, &reasoning)?;
    } else if let Some(citation) = citation {
        emitter.open_new(&CHOICE, index, TextKind::Text)?;
        emitter.citation(&CHOICE, citation);
    } else {
        emitter.other(Some(&CHOICE), Some(b"delta"), delta.clone());
        return Ok(());
    }
    emitter.other_fields(delta, Some(&CHOICE), |name| {
        matches!(name, b"text" | b"toolUse" | b"reasoningContent" | b"citation")
    })
}

fn tool_delta(emitter: &mut Emitter<'_>, index: u64, tool: &Range<usize>) -> Result<(), Stop> {
    let [input] = emitter.string_fields(tool, [b"input"])?;
    emitter.tool(&CHOICE, &ToolDelta::input(index, input))
}
