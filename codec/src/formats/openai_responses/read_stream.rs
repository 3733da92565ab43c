//! Reads the events of a Responses stream, and whole responses.

use core::ops::Range;

use crate::assemble::{Emitter, Index, Stop, TextKind, ToolDelta, Tracked};
use crate::formats::error_record as failure;
use crate::formats::openai_responses::known_parts::{Content, Item, KnownParts};
use crate::json::{Fault, Json, Kind, Str, unescaped};

/// A response has one choice.
pub(crate) const CHOICE: Index = Index::fixed(0);

/// What is kept from one event to the next.
pub(crate) type StreamState = KnownParts;

/// Reads the object that comes next.
pub(crate) fn read_record(
    state: &mut Tracked<StreamState>,
    json: &mut Json<'_>,
    emitter: &mut Emitter<'_>,
) -> Result<(), Stop> {
    Reader { parts: state }.read(json, emitter)
}

/// Reads one event.
pub(crate) struct Reader<'a> {
    pub(crate) parts: &'a mut Tracked<KnownParts>,
}

impl Content {
    /// The kind of part, if it consists of text.
    pub(crate) fn text_kind(self) -> Option<TextKind> {
        match self {
            Self::Text => Some(TextKind::Text),
            Self::Refusal => Some(TextKind::Refusal),
            Self::Reasoning | Self::Summary => Some(TextKind::Reasoning),
            _ => None,
        }
    }
}

impl Reader<'_> {
    fn read(&mut self, json: &mut Json<'_>, emitter: &mut Emitter<'_>) -> Result<(), Stop> {
        // Finding the fields checks the whole event before any of it is used.
        let event = Event::find(json)?;
        let record = emitter.record;
        let name = event.name.map(|name| unescaped(record, name)).unwrap_or_default();
        let Some(name) = name.strip_prefix(b"response.") else {
            return self.whole(emitter, &event, &name);
        };
        if !emitter.is_started() && event.response.is_none() {
            emitter.start(None, None, None, None);
        }
        emitter.touch(&CHOICE)?;
        let is_known = match content_of(name) {
            Some(content) => self.piece(emitter, &event, content).map(|()| true)?,
            None => self.other_event(emitter, &event, name)?,
        };
        if !is_known {
            emitter.other(None, event.name.map(|name| unescaped(record, name)).as_deref(), event.range);
        } else if event.has_other_fields && !emitter.is_failed() {
            emitter.other_fields(&event.range, None, Event::is_known)?;
        }
        if matches!(name, b"completed" | b"incomplete" | b"failed" | b"cancelled") {
            emitter.done();
        }
        Ok(())
    }

    /// Reads a whole response or an error.
    fn whole(&mut self, emitter: &mut Emitter<'_>, event: &Event, name: &[u8]) -> Result<(), Stop> {
        let is_response =
            event.object.is_some_and(|object| &*unescaped(emitter.record, object) == b"response");
        if is_response {
            emitter.touch(&CHOICE)?;
            return self.response(emitter, &event.range, b"");
        }
        match failure::read(emitter.record, &event.range, emitter.depth())? {
            Some(failure) => emitter.fail(failure),
            None => emitter.other(None, (!name.is_empty()).then_some(name), event.range.clone()),
        }
        Ok(())
    }

    /// Reads an event that is not a delta. Returns whether its name is known.
    fn other_event(&mut self, emitter: &mut Emitter<'_>, event: &Event, name: &[u8]) -> Result<bool, Stop> {
        match (name, &event.response, &event.item, &event.part) {
            (b"created" | b"in_progress" | b"queued", Some(response), ..) => {
                self.start(emitter, response)?;
            }
            (b"completed" | b"incomplete" | b"failed" | b"cancelled", Some(response), ..) => {
                self.response(emitter, response, name)?;
            }
            (b"output_item.added", _, Some(item), _) => {
                return self.item_added(emitter, event.output_index, item);
            }
            (b"output_item.done", _, Some(item), _) => {
                self.item(emitter, (event.output_index, false), item)?;
            }
            (b"content_part.added" | b"reasoning_summary_part.added", _, _, Some(part)) => {
                return Ok(self.content_kind(emitter, part)?.is_some());
            }
            (b"content_part.done" | b"reasoning_summary_part.done", _, _, Some(part)) => {
                let index = event.content_index.unwrap_or(0);
                self.content(emitter, (event.item(emitter), index), part)?;
            }
            (b"output_text.annotation.added", ..) => {
                let Some(annotation) = &event.annotation else { return Ok(false) };
                let number =
                    self.number(event.item(emitter), Content::Text, event.content_index.unwrap_or(0))?;
                self.parts.part_mut(number).has_citations = true;
                emitter.open_new(&CHOICE, number as u64, TextKind::Text)?;
                emitter.citation(&CHOICE, annotation.clone());
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Reads a delta of a part, or the whole part if there was no delta.
    fn piece(
        &mut self,
        emitter: &mut Emitter<'_>,
        event: &Event,
        (content, is_delta): (Content, bool),
    ) -> Result<(), Stop> {
        let index = if content.is_call() { 0 } else { event.content_index.unwrap_or(0) };
        let number = self.number(event.item(emitter), content, index)?;
        let text = if is_delta { event.delta } else { event.text };
        let is_first = self.is_first_text(number);
        if let Some(text) = text.filter(|_| is_delta || is_first) {
            deliver(emitter, number, content, text)?;
            if let Some(logprobs) = &event.logprobs {
                emitter.logprobs(&CHOICE, logprobs.clone());
            }
        }
        emitter.ignore_number(event.sequence.clone());
        emitter.ignore_string(event.obfuscation);
        if !is_delta {
            emitter.end(&CHOICE, number as u64);
        }
        Ok(())
    }

    /// The number of a part, which may be new.
    pub(crate) fn number(&mut self, item: Item, content: Content, index: u64) -> Result<usize, Stop> {
        match self.parts.find(&item, content, index) {
            Some(number) => Ok(number),
            None => self.parts.add(item, content, index),
        }
    }

    /// Whether text of a part is delivered for the first time, which it is now.
    pub(crate) fn is_first_text(&mut self, number: usize) -> bool {
        let is_first = !self.parts.part(number).has_text;
        if is_first {
            self.parts.part_mut(number).has_text = true;
        }
        is_first
    }
}

/// Delivers text of a part.
pub(crate) fn deliver(
    emitter: &mut Emitter<'_>,
    number: usize,
    content: Content,
    text: Str,
) -> Result<(), Stop> {
    let number = number as u64;
    emitter.set_position(text.start);
    match content.text_kind() {
        Some(kind) => emitter.block_text(&CHOICE, number, kind, Some(text)),
        None if text.start == text.end => Ok(()),
        None => {
            let custom = content == Content::CustomCall;
            emitter.tool(&CHOICE, &ToolDelta { custom, ..ToolDelta::input(number, Some(text)) })
        }
    }
}

/// The kind of part that an event is about, and whether the event is a delta.
fn content_of(name: &[u8]) -> Option<(Content, bool)> {
    let (part, is_delta) = match name.strip_suffix(b".delta") {
        Some(part) => (part, true),
        None => (name.strip_suffix(b".done")?, false),
    };
    let content = match part {
        b"output_text" => Content::Text,
        b"refusal" => Content::Refusal,
        b"reasoning_text" => Content::Reasoning,
        b"reasoning_summary_text" => Content::Summary,
        b"function_call_arguments" => Content::Call,
        b"custom_tool_call_input" => Content::CustomCall,
        _ => return None,
    };
    Some((content, is_delta))
}

/// The fields of an event, and those of a whole response.
#[derive(Default)]
pub(crate) struct Event {
    pub(crate) range: Range<usize>,
    name: Option<Str>,
    object: Option<Str>,
    response: Option<Range<usize>>,
    item: Option<Range<usize>>,
    part: Option<Range<usize>>,
    annotation: Option<Range<usize>>,
    item_id: Option<Range<usize>>,
    output_index: Option<u64>,
    /// The index of the content, or of the summary.
    content_index: Option<u64>,
    delta: Option<Str>,
    /// The whole text of the deltas.
    text: Option<Str>,
    logprobs: Option<Range<usize>>,
    sequence: Option<Range<usize>>,
    obfuscation: Option<Str>,
    has_other_fields: bool,
}

impl Event {
    /// The item that the event is about.
    fn item(&self, emitter: &Emitter<'_>) -> Item {
        Item::new(emitter, self.output_index, [self.item_id.as_ref(), None])
    }

    fn is_known(name: &[u8]) -> bool {
        const KNOWN: [&[u8]; 19] = [
            b"type",
            b"response",
            b"item",
            b"part",
            b"annotation",
            b"annotation_index",
            b"item_id",
            b"output_index",
            b"content_index",
            b"summary_index",
            b"delta",
            b"text",
            b"refusal",
            b"arguments",
            b"input",
            b"name",
            b"logprobs",
            b"sequence_number",
            b"obfuscation",
        ];
        KNOWN.contains(&name)
    }

    fn find(json: &mut Json<'_>) -> Result<Self, Fault> {
        let mut event = Self::default();
        json.kind()?;
        let start = json.pos();
        json.object(|json, name| {
            let kind = json.kind()?;
            match (name, kind) {
                (b"type", Kind::String) => event.name = Some(json.string()?),
                (b"object", Kind::String) => event.object = Some(json.string()?),
                (b"delta", Kind::String) => event.delta = Some(json.string()?),
                (b"text" | b"refusal" | b"arguments" | b"input", Kind::String) => {
                    event.text = Some(json.string()?);
                }
                (b"obfuscation", Kind::String) => event.obfuscation = Some(json.string()?),
                (b"item_id", Kind::String) => event.item_id = Some(json.skip()?),
                (b"response", Kind::Object) => event.response = Some(json.skip()?),
                (b"item", Kind::Object) => event.item = Some(json.skip()?),
                (b"part", Kind::Object) => event.part = Some(json.skip()?),
                (b"annotation", Kind::Object) => event.annotation = Some(json.skip()?),
                (b"output_index", Kind::Number) => event.output_index = json.integer_or_skip()?,
                (b"content_index" | b"summary_index", Kind::Number) => {
                    event.content_index = json.integer_or_skip()?;
                }
                (b"sequence_number", Kind::Number) => event.sequence = Some(json.skip()?),
                (b"logprobs", Kind::Array) => {
                    let mut is_empty = true;
                    let start = json.pos();
                    json.array(|json| {
                        is_empty = false;
                        json.skip().map(drop)
                    })?;
                    event.logprobs = (!is_empty).then_some(start..json.pos());
                }
                (name, kind) => {
                    event.has_other_fields |= kind != Kind::Null && !Self::is_known(name);
                    json.skip()?;
                }
            }
            Ok(())
        })?;
        event.range = start..json.pos();
        Ok(event)
    }
}
