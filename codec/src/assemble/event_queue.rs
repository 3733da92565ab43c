//! Events that were found and not yet lent.
//!
//! One record can hold several events, and they borrow from it. What is queued are therefore not events but where
//! their texts lie: in the record, or in the scratch buffer where a text had to be put together. The event itself is
//! made when it is asked for.

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

/// Where a text lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    Record { start: u32, end: u32 },
    Scratch { start: u32, end: u32 },
}

/// An event, by the places of its texts.
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

/// A piece of a part, which is an event by itself.
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
    /// Where the event stands, or the text that is all of it.
    fn own(&self) -> Result<Option<RecordOffset>, Text> {
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
            // All that can be lost of it is its role.
            Self::Start { role, .. } => role.map_or(Ok(None), Err),
            Self::PartEnd { .. } | Self::Malformed { .. } => Ok(None),
        }
    }
}

/// A finish reason, by its place if it has no name here.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reason {
    Known(&'static FinishReason<'static>),
    Other(Text),
}

/// A queue that is empty keeps room for no more than this, so that an idle stream costs little.
const KEEP: usize = 32;

/// The events of one record.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventQueue {
    records: Vec<EventRecord>,
    /// How many of them were lent.
    head: u32,
    scratch: Vec<u8>,
    /// Bytes before the record in what the container wrote.
    offset: u64,
    /// Boxed: few records have one.
    usage: Option<Box<Usage>>,
    /// Where in the record that stands which is pushed now; [`RecordOffset::UNKNOWN`] if nobody says so.
    here: RecordOffset,
}

impl EventQueue {
    /// Makes room for the events of the next record. The events of the last one were lent.
    pub(crate) fn begin(&mut self, offset: u64) {
        self.records.clear();
        if self.records.capacity() > KEEP {
            self.records = Vec::new();
        }
        self.head = 0;
        buffer::clear(&mut self.scratch);
        self.offset = offset;
        self.here = RecordOffset::UNKNOWN;
    }

    #[inline]
    pub(crate) fn push(&mut self, spec: EventRecord) {
        self.records.push(spec);
    }

    pub(crate) fn push_usage(&mut self, usage: Usage) {
        match &mut self.usage {
            Some(last) => **last = usage,
            none => *none = Some(Box::new(usage)),
        }
        self.push(EventRecord::Usage { offset: self.here() });
    }

    /// Where what is pushed now stands; `None` in a record that was not searched for more than its text.
    pub(crate) fn here(&self) -> Option<RecordOffset> {
        (self.here != RecordOffset::UNKNOWN).then_some(self.here)
    }

    /// What is pushed from here on stands at this place.
    pub(crate) fn set_here(&mut self, offset: RecordOffset) {
        self.here = offset;
    }

    /// Where the event stands that was lent last.
    pub(crate) fn record_offset(&self) -> Option<RecordOffset> {
        match self.records.get(self.head.checked_sub(1)? as usize)?.own() {
            Ok(offset) => offset,
            Err(Text::Record { start, .. }) => Some(RecordOffset(start)),
            Err(Text::Scratch { .. }) => None,
        }
    }

    /// The place of a range of the record.
    pub(crate) fn span(range: Range<usize>) -> Text {
        // A record is bounded by `Limits::record`, which is clamped to what fits.
        Text::Record { start: range.start as u32, end: range.end as u32 }
    }

    /// The place of what a string of the record means.
    #[inline]
    pub(crate) fn string(&mut self, record: &[u8], string: Str) -> Text {
        if !string.escaped {
            return Self::span(string.start..string.end);
        }
        let start = self.unescape(record, string);
        Text::Scratch { start, end: self.scratch.len() as u32 }
    }

    /// The same for a string that is all that its record says. The events of the last record were lent.
    #[inline(always)]
    pub(crate) fn lone_string(&mut self, record: &[u8], string: Str) -> Text {
        self.records.clear();
        (self.head, self.here) = (0, RecordOffset::UNKNOWN);
        if string.escaped {
            buffer::clear(&mut self.scratch);
            let start = self.unescape(record, string);
            return Text::Scratch { start, end: self.scratch.len() as u32 };
        }
        Self::span(string.start..string.end)
    }

    /// Puts what a string means behind all that is in the scratch buffer, and returns where.
    #[inline(never)]
    fn unescape(&mut self, record: &[u8], string: Str) -> u32 {
        let start = self.scratch.len() as u32;
        json::unescape(&record[string.start..string.end], &mut self.scratch);
        start
    }

    /// The place of a copy.
    pub(crate) fn copy(&mut self, bytes: &[u8]) -> Text {
        let start = self.scratch.len() as u32;
        self.scratch.extend_from_slice(bytes);
        Text::Scratch { start, end: self.scratch.len() as u32 }
    }

    /// What stands at a place.
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

    /// Goes on to the next event, which [`event`](Self::event) makes. `false` where there is none.
    #[inline]
    pub(crate) fn advance(&mut self) -> bool {
        let has_more = (self.head as usize) < self.records.len();
        self.head += u32::from(has_more);
        has_more
    }

    /// Makes a piece of `record`.
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

    /// Makes the event that [`advance`](Self::advance) came to, of `record`, in which it was found.
    #[inline]
    pub(crate) fn event<'a>(&'a self, record: &'a [u8], short: &'a mut Short) -> Option<Event<'a>> {
        let spec = self.records.get(self.head.checked_sub(1)? as usize)?;
        // The record was found to be UTF-8, so nothing is replaced here.
        let lend = |place| utf8::lossy(self.bytes(record, place));
        let start = |choice, part, kind| Event::PartStart { choice, part, kind };
        Some(match *spec {
            EventRecord::Delta(ref delta) => self.delta(delta, record, short),
            EventRecord::Start { id, model, created, role } => {
                Event::Start { id: id.map(lend), model: model.map(lend), created, role: role.map(lend) }
            }
            EventRecord::TextStart { choice, part, .. } => start(choice, part, PartKind::Text),
            EventRecord::ReasoningStart { choice, part, .. } => start(choice, part, PartKind::Reasoning),
            EventRecord::RefusalStart { choice, part, .. } => start(choice, part, PartKind::Refusal),
            EventRecord::ToolCallStart { choice, part, id, name, custom, .. } => {
                start(choice, part, PartKind::ToolCall { id: id.map(lend), name: lend(name), custom })
            }
            EventRecord::OtherStart { choice, part, api, json, .. } => {
                start(choice, part, PartKind::Other { api, json: Json(lend(json)) })
            }
            EventRecord::OtherDelta { choice, part, json } => {
                Event::OtherDelta { choice, part, json: Json(lend(json)) }
            }
            EventRecord::ReasoningSignature { choice, part, text } => {
                Event::ReasoningSignature { choice, part, signature: lend(text) }
            }
            EventRecord::Redacted { choice, part, data } => {
                Event::Redacted { choice, part, data: lend(data) }
            }
            EventRecord::Citation { choice, part, json } => {
                Event::Citation { choice, part, json: Json(lend(json)) }
            }
            EventRecord::PartEnd { choice, part } => Event::PartEnd { choice, part },
            EventRecord::Logprobs { choice, part, json } => {
                Event::Logprobs { choice, part, json: Json(lend(json)) }
            }
            EventRecord::Finish { choice, reason, stop, .. } => Event::Finish {
                choice,
                reason: match reason {
                    Reason::Known(reason) => reason.clone(),
                    Reason::Other(reason) => FinishReason::Other(lend(reason)),
                },
                stop: stop.map(lend),
            },
            EventRecord::Usage { .. } => Event::Usage(self.usage.as_deref().copied().unwrap_or_default()),
            EventRecord::Malformed { bytes, why } => {
                let bytes = Cow::Borrowed(self.bytes(record, bytes));
                Event::Malformed { offset: self.offset, bytes, reason: Cow::Borrowed(why) }
            }
            EventRecord::Other { choice, name, json } => {
                Event::Other { choice, name: name.map(lend), json: Json(lend(json)) }
            }
        })
    }
}
