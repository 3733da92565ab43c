//! Records the calls that a reader makes while it reads one record.
//!
//! The shape cache needs to know whether a record consisted of one delta only, and which spans of it may differ in a later
//! record. No reader reports that. It follows from the calls that the reader makes anyway: all of them go through the
//! [`Recorder`], and every change of the response counts as *more than one delta* unless it is one of the few that are
//! listed here. So a call that a new reader or a new method of the emitter does not report makes a record slower, never wrong.
//!
//! A span becomes a slot only if it was passed to the emitter: as the text of the delta, as its indices, ID and name, as log
//! probabilities, or as a value that the reader declares to ignore. All other bytes of a later record must be equal.

use core::ops::Range;

use crate::assemble::block_order::limit;
use crate::assemble::delta_call::{DeltaCall, Index, Span};
use crate::assemble::event_queue::{EventQueue, Text};
use crate::assemble::response_state::ResponseState;
use crate::error::DecodeErrorKind;
use crate::json::Str;
use crate::model::position::RecordOffset;

/// The number of values that a record may declare as ignored.
const IGNORED_MAX: usize = 4;

/// A kind of value that has no meaning, such as a timestamp or padding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ignored {
    #[default]
    String,
    /// A number that differs in every record.
    Number,
    /// A number that is equal in most records.
    Clock,
}

/// What a reader did with one record so far.
#[derive(Clone, Debug, Default)]
struct RecordLog {
    delta: Option<DeltaCall>,
    choice: Span,
    tool: Span,
    logprobs: Span,
    ignored: [(Ignored, Span); IGNORED_MAX],
    ignored_count: usize,
    has_logprobs: bool,
    /// The value of an index was looked at, so it may not differ.
    is_index_seen: bool,
    /// The record is more than one delta.
    has_more: bool,
    /// A block began, so equal bytes may mean something else from now on.
    has_begun: bool,
}

/// The delta that is all of a record, and the spans that may differ in a record of the same shape. The spans of
/// missing values are empty.
#[derive(Clone, Debug)]
pub(crate) struct CacheableRecord {
    pub(crate) delta: DeltaCall,
    pub(crate) choice: Span,
    pub(crate) tool: Span,
    /// An object or null.
    pub(crate) logprobs: Span,
    pub(crate) ignored: [(Ignored, Span); IGNORED_MAX],
}

/// The only way of an emitter to the response and to the queue.
pub(super) struct Recorder<'a> {
    record: &'a [u8],
    response: &'a mut ResponseState,
    queue: &'a mut EventQueue,
    log: RecordLog,
    /// The record has more events than the limit.
    is_exceeded: bool,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(record: &'a [u8], response: &'a mut ResponseState, queue: &'a mut EventQueue) -> Self {
        Self { record, response, queue, log: RecordLog::default(), is_exceeded: false }
    }

    pub(super) fn response(&self) -> &ResponseState {
        self.response
    }

    /// The record to cache, if it consisted of one delta only.
    pub(super) fn cacheable(self) -> Option<CacheableRecord> {
        let RecordLog { delta, logprobs, ignored, has_more, .. } = self.log;
        let delta = delta.filter(|_| !has_more)?;
        let (choice, tool) = match self.log.is_index_seen {
            true => Default::default(),
            false => (self.log.choice, self.log.tool),
        };
        Some(CacheableRecord { delta, choice, tool, logprobs, ignored })
    }

    /// Whether equal bytes may mean something else after this record.
    pub(super) fn changes_meaning(&self) -> bool {
        self.log.has_begun
    }

    /// Access for a change that is not one of those below.
    pub(super) fn change(&mut self) -> (&mut ResponseState, &mut EventQueue) {
        self.log.has_more = true;
        self.bound_events();
        (self.response, self.queue)
    }

    /// The same for a change after which equal bytes may mean something else.
    pub(super) fn change_meaning(&mut self) -> (&mut ResponseState, &mut EventQueue) {
        self.log.has_begun = true;
        self.change()
    }

    /// Keeps the events of the record within the limit.
    #[inline]
    fn bound_events(&mut self) {
        if self.queue.len() > self.response.limits.events {
            self.cut_events();
        }
    }

    #[cold]
    fn cut_events(&mut self) {
        self.is_exceeded = true;
        self.queue.truncate(self.response.limits.events);
    }

    /// Whether the record has more events than the limit.
    #[inline]
    pub(super) fn exceeds_events(&self) -> bool {
        self.is_exceeded || self.queue.len() > self.response.limits.events
    }

    /// The error of a record with more events than the limit. Those within it are kept.
    pub(super) fn too_many_events(&mut self) -> DecodeErrorKind {
        self.cut_events();
        limit("number of events", self.response.limits.events)
    }

    /// Makes an event of the text of a string possible. Without an event it has no effect.
    #[inline]
    pub(super) fn string(&mut self, string: Str) -> Text {
        self.queue.string(self.record, string)
    }

    /// The same for a copy of `bytes`.
    pub(super) fn copy(&mut self, bytes: &[u8]) -> Text {
        self.queue.copy(bytes)
    }

    /// Sets the position of the events that follow. A cached delta is located by reading its record again.
    pub(super) fn set_position(&mut self, offset: RecordOffset) {
        self.queue.set_position(offset);
    }

    /// Looks at the value of an index.
    pub(super) fn value(&mut self, index: &Index) -> u64 {
        self.log.is_index_seen = true;
        index.value
    }

    /// Makes sure that a choice exists. A delta of the choice does the same.
    pub(super) fn touch(&mut self, choice: &Index) -> Result<(), DecodeErrorKind> {
        self.response.touch(choice.value as u32)
    }

    /// One delta. `choice` and `tool` are its indices, as the record has them.
    #[inline]
    pub(super) fn delta(
        &mut self,
        delta: DeltaCall,
        choice: &Index,
        tool: Option<&Index>,
    ) -> Result<(), DecodeErrorKind> {
        self.log.has_more |= self.log.delta.is_some() || self.log.has_logprobs;
        (self.log.delta, self.log.choice) = (Some(delta), choice.span());
        self.log.tool = tool.map(Index::span).unwrap_or_default();
        self.bound_events();
        self.response.deliver(self.record, self.queue, &delta)
    }

    /// The log probabilities of a delta of this choice, which precedes them; null if there are none.
    pub(super) fn logprobs(&mut self, choice: &Index, json: Range<usize>) {
        let is_same = self.log.delta.is_some_and(|delta| u64::from(delta.choice) == choice.value)
            && self.log.choice == choice.span();
        let is_null = self.record[json.start] == b'n';
        self.log.has_more |= !is_null && (!is_same || self.log.has_logprobs);
        self.log.has_logprobs |= !is_null;
        if is_same {
            self.log.logprobs = Span::new(&json);
        }
        if !is_null {
            self.bound_events();
            self.response.deliver_logprobs(self.queue, choice.value as u32, json);
        }
    }

    /// Declares that the bytes of a value have no meaning to the reader.
    pub(super) fn ignore(&mut self, kind: Ignored, span: &Range<usize>) {
        if let Some(free) = self.log.ignored.get_mut(self.log.ignored_count) {
            *free = (kind, Span::new(span));
            self.log.ignored_count += 1;
        }
    }
}
