//! Events that were found and not delivered yet.
//!
//! One record can hold several events, and they borrow from it. So the queue holds where their texts are: in the record, or
//! in the scratch buffer, if a text had to be unescaped or joined. The event itself is made when the caller takes it.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;

use crate::buffer;
use crate::json;
use crate::json::Str;
use crate::model::position::RecordOffset;
use crate::model::{Api, Event, FinishReason, Json, PartKind, Usage};
use crate::utf8;
use crate::utf8::Short;

/// The span of a text in the record or in the scratch buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    Record { start: u32, end: u32 },
    Scratch { start: u32, end: u32 },
}

/// An event, by the spans of its texts. `offset` is its position in the record, if it has one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum EventRecord {
    Start {
        id: Option<Text>,
        model: Option<Text>,
        created: Option<u64>,
        role: Option<Text>,
    },
    TextStart {
        choice: u32,
        part: u32,
        offset: Option<RecordOffset>,
    },
    ReasoningStart {
        choice: u32,
        part: u32,
        offset: Option<RecordOffset>,
    },
    RefusalStart {
        choice: u32,
        part: u32,
        offset: Option<RecordOffset>,
    },
    ToolCallStart {
        choice: u32,
        part: u32,
        id: Option<Text>,
        name: Text,
        custom: bool,
        offset: Option<RecordOffset>,
    },
    OtherStart {
        choice: u32,
        part: u32,
        api: Api,
        json: Text,
        offset: Option<RecordOffset>,
    },
    Delta(Delta),
    OtherDelta {
        choice: u32,
        part: u32,
        json: Text,
    },
    ReasoningSignature {
        choice: u32,
        part: u32,
        text: Text,
    },
    Redacted {
        choice: u32,
        part: u32,
        data: Text,
    },
    Citation {
        choice: u32,
        part: Option<u32>,
        json: Text,
    },
    PartEnd {
        choice: u32,
        part: u32,
    },
    Logprobs {
        choice: u32,
        part: Option<u32>,
        json: Text,
    },
    Finish {
        choice: u32,
        reason: Reason,
        stop: Option<Text>,
        offset: Option<RecordOffset>,
    },
    Usage {
        offset: Option<RecordOffset>,
    },
    Malformed {
        bytes: Text,
        why: &'static str,
    },
    Other {
        choice: Option<u32>,
        name: Option<Text>,
        json: Text,
    },
}

/// A delta of a part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delta {
    pub(crate) kind: DeltaKind,
    pub(crate) choice: u32,
    pub(crate) part: u32,
    pub(crate) text: Text,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeltaKind {
    Text,
    Reasoning,
    Refusal,
    ToolInput,
}

/// The kinds of parts that consist of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextKind {
    Text,
    Reasoning,
    Refusal,
}

impl From<TextKind> for DeltaKind {
    #[inline]
    fn from(kind: TextKind) -> Self {
        match kind {
            TextKind::Text => Self::Text,
            TextKind::Reasoning => Self::Reasoning,
            TextKind::Refusal => Self::Refusal,
        }
    }
}

impl EventRecord {
    /// The position of the event, or the text that it consists of.
    fn position(&self) -> Result<Option<RecordOffset>, Text> {
        match *self {
            Self::TextStart { offset, .. }
            | Self::ReasoningStart { offset, .. }
            | Self::RefusalStart { offset, .. }
            | Self::ToolCallStart { offset, .. }
            | Self::OtherStart { offset, .. }
            | Self::Finish { offset, .. }
            | Self::Usage { offset } => Ok(offset),
            Self::Delta(Delta { text, .. }) | Self::ReasoningSignature { text, .. } => Err(text),
            Self::Redacted { data, .. } => Err(data),
            Self::Citation { json, .. }
            | Self::Logprobs { json, .. }
            | Self::OtherDelta { json, .. }
            | Self::Other { json, .. } => Err(json),
            // Only its role can be lost in a conversion.
            Self::Start { role, .. } => role.map_or(Ok(None), Err),
            Self::PartEnd { .. } | Self::Malformed { .. } => Ok(None),
        }
    }
}

/// A finish reason, by its text if the model has no name for it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reason {
    Known(&'static FinishReason<'static>),
    Other(Text),
}

/// The capacity that an empty queue keeps at most, so that an idle stream needs little memory.
const KEEP: usize = 32;

/// The events of one record.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventQueue {
    records: Vec<EventRecord>,
    /// The number of events that were delivered.
    head: u32,
    scratch: Vec<u8>,
    /// The offset of the record in the bytes of the container.
    offset: u64,
    /// Boxed, because few records have one.
    usage: Option<Box<Usage>>,
    /// The position of the events that are pushed now.
    position: RecordOffset,
}

impl EventQueue {
    /// Makes room for the events of the next record. All events of the last record were delivered.
    pub(crate) fn begin(&mut self, offset: u64) {
        self.records.clear();
        if self.records.capacity() > KEEP {
            self.records = Vec::new();
        }
        self.head = 0;
        buffer::clear(&mut self.scratch);
        self.offset = offset;
        self.position = RecordOffset::UNKNOWN;
    }

    #[inline]
    pub(crate) fn push(&mut self, spec: EventRecord) {
        self.records.push(spec);
    }

    /// Events that were not taken yet, and others that belong to them.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Removes the events behind the first `len`.
    pub(super) fn truncate(&mut self, len: usize) {
        self.records.truncate(len);
    }

    pub(crate) fn push_usage(&mut self, usage: Usage) {
        self.hold_usage(usage);
        self.push_held_usage();
    }

    /// Keeps counts until there are others, without an event.
    pub(crate) fn hold_usage(&mut self, usage: Usage) {
        match &mut self.usage {
            Some(last) => **last = usage,
            none => *none = Some(Box::new(usage)),
        }
    }

    /// Makes an event of the last counts, if there are any.
    pub(crate) fn push_held_usage(&mut self) {
        if self.usage.is_some() {
            self.push(EventRecord::Usage { offset: self.position() });
        }
    }

    /// The last counts.
    pub(crate) fn usage(&self) -> Usage {
        self.usage.as_deref().copied().unwrap_or_default()
    }

    /// The position of the events that are pushed now; `None` in a record that was not parsed.
    pub(crate) fn position(&self) -> Option<RecordOffset> {
        (self.position != RecordOffset::UNKNOWN).then_some(self.position)
    }

    /// Whether the record has no events.
    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The offset of the record in the bytes of the container.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Sets the position of the events that are pushed from now on.
    pub(crate) fn set_position(&mut self, offset: RecordOffset) {
        self.position = offset;
    }

    /// The position of the event that was delivered last.
    pub(crate) fn record_offset(&self) -> Option<RecordOffset> {
        match self.records.get(self.head.checked_sub(1)? as usize)?.position() {
            Ok(offset) => offset,
            Err(Text::Record { start, .. }) => Some(RecordOffset(start)),
            Err(Text::Scratch { .. }) => None,
        }
    }

    /// The text at a range of the record.
    pub(crate) fn span(range: Range<usize>) -> Text {
        // A record is bounded by `Limits::record`, which is clamped to what fits.
        Text::Record { start: range.start as u32, end: range.end as u32 }
    }

    /// The text of a JSON string of the record.
    #[inline]
    pub(crate) fn string(&mut self, record: &[u8], string: Str) -> Text {
        if !string.escaped {
            return Self::span(string.start..string.end);
        }
        let start = self.unescape(record, string);
        Text::Scratch { start, end: self.scratch.len() as u32 }
    }

    /// The same for the string of a record that is one delta. All events of the last record were delivered.
    #[inline(always)]
    pub(crate) fn lone_string(&mut self, record: &[u8], string: Str) -> Text {
        self.records.clear();
        (self.head, self.position) = (0, RecordOffset::UNKNOWN);
        if string.escaped {
            buffer::clear(&mut self.scratch);
            let start = self.unescape(record, string);
            return Text::Scratch { start, end: self.scratch.len() as u32 };
        }
        Self::span(string.start..string.end)
    }

    /// Appends the text of a string to the scratch buffer, and returns where it starts.
    #[inline(never)]
    fn unescape(&mut self, record: &[u8], string: Str) -> u32 {
        let start = self.scratch.len() as u32;
        json::unescape(&record[string.start..string.end], &mut self.scratch);
        start
    }

    /// The text of a copy.
    pub(crate) fn copy(&mut self, bytes: &[u8]) -> Text {
        let start = self.scratch.len() as u32;
        self.scratch.extend_from_slice(bytes);
        Text::Scratch { start, end: self.scratch.len() as u32 }
    }

    /// The bytes of a text.
    #[inline]
    pub(crate) fn bytes<'a>(&'a self, record: &'a [u8], text: Text) -> &'a [u8] {
        let (bytes, range) = self.find(record, text);
        &bytes[range]
    }

    #[inline]
    pub(crate) fn find<'a>(&'a self, record: &'a [u8], text: Text) -> (&'a [u8], Range<usize>) {
        match text {
            Text::Record { start, end } => (record, start as usize..end as usize),
            Text::Scratch { start, end } => (&self.scratch, start as usize..end as usize),
        }
    }

    /// Moves to the next event, which [`event`](Self::event) makes. Returns `false` if there is none.
    #[inline]
    pub(crate) fn advance(&mut self) -> bool {
        let has_more = (self.head as usize) < self.records.len();
        self.head += u32::from(has_more);
        has_more
    }

    /// Makes the event of a delta of `record`.
    #[inline(always)]
    pub(crate) fn delta<'a>(&'a self, delta: &Delta, record: &'a [u8], short: &'a mut Short) -> Event<'a> {
        let Delta { kind, choice, part, text } = *delta;
        let (bytes, range) = self.find(record, text);
        let text = short.lossy(bytes, range);
        match kind {
            DeltaKind::Text => Event::TextDelta { choice, part, text },
            DeltaKind::Reasoning => Event::ReasoningDelta { choice, part, text },
            DeltaKind::Refusal => Event::RefusalDelta { choice, part, text },
            DeltaKind::ToolInput => Event::ToolInputDelta { choice, part, text },
        }
    }

    /// Makes the event that [`advance`](Self::advance) moved to, from `record`, in which it was found.
    #[inline]
    pub(crate) fn event<'a>(&'a self, record: &'a [u8], short: &'a mut Short) -> Option<Event<'a>> {
        let spec = self.records.get(self.head.checked_sub(1)? as usize)?;
        // The record is known to be UTF-8, so nothing is replaced here.
        let value = |text| utf8::lossy(self.bytes(record, text));
        let start = |choice, part, kind| Event::PartStart { choice, part, kind };
        Some(match *spec {
            EventRecord::Delta(ref delta) => self.delta(delta, record, short),
            EventRecord::Start { id, model, created, role } => {
                Event::Start { id: id.map(value), model: model.map(value), created, role: role.map(value) }
            }
            EventRecord::TextStart { choice, part, .. } => start(choice, part, PartKind::Text),
            EventRecord::ReasoningStart { choice, part, .. } => start(choice, part, PartKind::Reasoning),
            EventRecord::RefusalStart { choice, part, .. } => start(choice, part, PartKind::Refusal),
            EventRecord::ToolCallStart { choice, part, id, name, custom, .. } => {
                start(choice, part, PartKind::ToolCall { id: id.map(value), name: value(name), custom })
            }
            EventRecord::OtherStart { choice, part, api, json, .. } => {
                start(choice, part, PartKind::Other { api, json: Json(value(json)) })
            }
            EventRecord::OtherDelta { choice, part, json } => {
                Event::OtherDelta { choice, part, json: Json(value(json)) }
            }
            EventRecord::ReasoningSignature { choice, part, text } => {
                Event::ReasoningSignature { choice, part, signature: value(text) }
            }
            EventRecord::Redacted { choice, part, data } => {
                Event::Redacted { choice, part, data: value(data) }
            }
            EventRecord::Citation { choice, part, json } => {
                Event::Citation { choice, part, json: Json(value(json)) }
            }
            EventRecord::PartEnd { choice, part } => Event::PartEnd { choice, part },
            EventRecord::Logprobs { choice, part, json } => {
                Event::Logprobs { choice, part, json: Json(value(json)) }
            }
            EventRecord::Finish { choice, reason, stop, .. } => Event::Finish {
                choice,
                reason: match reason {
                    Reason::Known(reason) => reason.clone(),
                    Reason::Other(reason) => FinishReason::Other(value(reason)),
                },
                stop: stop.map(value),
            },
            EventRecord::Usage { .. } => Event::Usage(self.usage()),
            EventRecord::Malformed { bytes, why } => {
                let bytes = Cow::Borrowed(self.bytes(record, bytes));
                Event::Malformed { offset: self.offset, bytes, reason: Cow::Borrowed(why) }
            }
            EventRecord::Other { choice, name, json } => {
                Event::Other { choice, name: name.map(value), json: Json(value(json)) }
            }
        })
    }
}
