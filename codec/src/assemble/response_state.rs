//! The state of a response, whatever its format.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::ops::Range;

use crate::assemble::block_order::{Block, BlockOrder, ToolKey};
use crate::assemble::delta_call::{DeltaCall, DeltaTarget, Element, ToolSpans};
use crate::assemble::event_queue::{EventQueue, EventRecord, TextKind};
use crate::assemble::sent_text::SentText;
use crate::error::DecodeErrorKind;
use crate::limits::Limits;
use crate::model::Failure;

/// How far a response is.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResponseState {
    pub(super) limits: Arc<Limits>,
    /// Token log probabilities are delivered even if they were not requested.
    pub(super) token_logprobs: bool,
    pub(super) blocks: BlockOrder,
    pub(super) started: bool,
    /// The terminal record was read.
    pub(super) done: bool,
    /// Token counts were read.
    pub(super) is_counted: bool,
    /// A failure was reported. Nothing after it counts.
    pub(super) failed: bool,
    pub(super) failure: Option<Box<Failure>>,
    /// The text that was sent, in a format that repeats it at the end.
    pub(super) sent_text: Option<Box<SentText>>,
}

impl ResponseState {
    pub(crate) fn new(limits: Arc<Limits>, token_logprobs: bool) -> Self {
        Self { limits, token_logprobs, ..Self::default() }
    }

    /// A new state with the same options.
    pub(crate) fn restarted(&self) -> Self {
        Self::new(Arc::clone(&self.limits), self.token_logprobs)
    }

    /// The deepest nesting of a record.
    #[inline]
    pub(crate) fn depth(&self) -> usize {
        self.limits.depth
    }

    /// See [`BlockOrder::open_text`].
    #[inline]
    pub(crate) fn open_text(&self, choice: u32, block: Option<u64>, kind: TextKind) -> Option<u32> {
        self.blocks.open_text(choice, block, kind)
    }

    /// See [`BlockOrder::more_input`].
    #[inline]
    pub(crate) fn more_input(&mut self, choice: u32, index: Option<u64>, input: &[u8]) -> Option<u32> {
        self.blocks.more_input(choice, index, input)
    }

    /// Remembers text that is sent, if the format repeats it at the end.
    #[inline(always)]
    pub(crate) fn remember_text(&mut self, choice: u32, (bytes, range): (&[u8], Range<usize>)) {
        if let Some(sent) = &mut self.sent_text {
            sent.add(choice, bytes, range);
        }
    }

    /// Delivers one delta of `record`.
    #[inline]
    pub(crate) fn deliver(
        &mut self,
        record: &[u8],
        queue: &mut EventQueue,
        delta: &DeltaCall,
    ) -> Result<(), DecodeErrorKind> {
        let DeltaCall { choice, ref target, text } = *delta;
        let mut string = |string| queue.string(record, string);
        let text = string(text);
        match target {
            DeltaTarget::Text(kind) => {
                self.remember_text(choice, queue.find(record, text));
                self.blocks.text(&self.limits, queue, record, (choice, *kind, text))
            }
            DeltaTarget::Block(kind, index) => {
                self.open_block(queue, record, (choice, *index, *kind))?;
                self.blocks.text(&self.limits, queue, record, (choice, *kind, text))
            }
            DeltaTarget::Tool(spans) => {
                let mut non_empty = |span: Option<crate::json::Str>| {
                    span.filter(|string| string.start < string.end).map(&mut string)
                };
                let (id, name) = (non_empty(spans.id), non_empty(spans.name));
                let ToolSpans { index, custom, in_pieces, .. } = *spans;
                let element = if in_pieces { Element::Piece } else { Element::Marked };
                let key = ToolKey { index, id, name, custom, element };
                self.blocks.tool(&self.limits, queue, record, (choice, key, Some(text)))
            }
        }
    }

    /// Delivers log probabilities of a choice.
    pub(crate) fn deliver_logprobs(&mut self, queue: &mut EventQueue, choice: u32, json: Range<usize>) {
        let part = self.blocks.open_part(queue, choice);
        queue.push(EventRecord::Logprobs { choice, part, json: EventQueue::span(json) });
    }

    /// Begins a block of text, unless it is open.
    pub(super) fn open_block(
        &mut self,
        queue: &mut EventQueue,
        record: &[u8],
        (choice, index, kind): (u32, u64, TextKind),
    ) -> Result<(), DecodeErrorKind> {
        if self.blocks.open_text(choice, Some(index), kind).is_some() {
            return Ok(());
        }
        self.blocks.begin(&self.limits, queue, record, (choice, index, Block::Text(kind)))
    }

    /// Bytes of a record that cannot be read.
    #[cold]
    pub(crate) fn malformed(&mut self, queue: &mut EventQueue, span: Range<usize>, why: &'static str) {
        self.blocks.lose_record(queue);
        queue.push(EventRecord::Malformed { bytes: EventQueue::span(span), why });
    }

    /// The offset in the stream of the first record whose input for a tool call was lost.
    pub(crate) fn broken(&self) -> Option<u64> {
        self.blocks.broken()
    }

    /// Whether a choice or token counts were read.
    pub(crate) fn is_recognized(&self) -> bool {
        self.is_counted || self.blocks.has_choices()
    }

    /// Makes sure that a choice exists.
    pub(super) fn touch(&mut self, choice: u32) -> Result<(), DecodeErrorKind> {
        self.blocks.touch(&self.limits, choice)
    }

    /// The end of the input: releases what was held back. If `is_whole`, it is also the end of the response.
    pub(crate) fn finish(&mut self, is_whole: bool, queue: &mut EventQueue) {
        let is_whole = is_whole && !self.failed;
        self.done |= is_whole;
        self.blocks.end(is_whole, queue);
        if !self.is_counted {
            queue.push_held_usage();
        }
    }

    /// Whether the response is complete by its format.
    pub(crate) fn is_complete(&self) -> bool {
        !self.failed && (self.done || self.blocks.is_finished())
    }

    /// Whether nothing that follows counts, because the terminal record or a failure was read.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.done || self.failed
    }

    /// The failure that the container reported, once.
    #[inline]
    pub(crate) fn take_failure(&mut self) -> Option<Box<Failure>> {
        self.failure.take()
    }
}
