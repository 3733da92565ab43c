//! The parts of a response that were read so far.
//!
//! A Responses stream repeats everything up to four times: in deltas, when a part is done, when its item is done, and at the
//! end. So the reader remembers the parts, and how much of each was delivered. A part is identified by its item (by
//! index or IDs) and by its own index in the item.

use alloc::vec::Vec;
use core::ops::Range;

use crate::assemble::{Emitter, Stop, hash};
use crate::error::DecodeErrorKind;
use crate::json::unescaped;

/// The largest number of parts of one response, far more than any has.
const PARTS_MAX: usize = 4096;

/// The kind of a part of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Text,
    Refusal,
    Reasoning,
    Summary,
    Call,
    /// A call of a custom tool, with free text as input.
    CustomCall,
    /// Encrypted reasoning.
    Signature,
    /// What a message is for.
    Phase,
    /// An item that the model has no part for.
    Other,
}

impl Content {
    /// Whether a tool is called.
    pub(crate) fn is_call(self) -> bool {
        matches!(self, Self::Call | Self::CustomCall)
    }
}

/// The index and IDs that identify an item. Servers omit the index or the IDs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Item {
    /// Its index in the output.
    pub(crate) index: Option<u64>,
    /// Hashes of its ID, and of the ID of the tool call that it is.
    pub(crate) ids: [Option<u64>; 2],
    /// It is in the final output, where some servers give it another ID.
    pub(crate) at_end: bool,
}

impl Item {
    /// An item with the IDs at these spans.
    pub(crate) fn new(emitter: &Emitter<'_>, index: Option<u64>, ids: [Option<&Range<usize>>; 2]) -> Self {
        let of = |range: Option<&Range<usize>>| {
            let id = emitter.string_at(range?)?;
            Some(hash(&unescaped(emitter.record, id)))
        };
        Self { index, ids: ids.map(of), at_end: false }
    }

    /// Whether both name the same item.
    fn is(&self, other: &Self) -> bool {
        let ([id, call], [other_id, other_call]) = (self.ids, other.ids);
        let is_same = |one: Option<u64>, other: Option<u64>| one.is_some() && one == other;
        // A delta has one ID, which some servers make that of the call.
        let same_id = is_same(id, other_id)
            || is_same(call, other_call)
            || (call.is_none() && is_same(id, other_call))
            || (other_call.is_none() && is_same(call, other_id));
        let same_index = self.index.is_some() && self.index == other.index;
        let has_ids = (id.or(call)).is_some() && (other_id.or(other_call)).is_some();
        same_id || (same_index && (self.at_end || !has_ids))
    }
}

/// A part, and how much of it was delivered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    item: Item,
    content: Content,
    index: u64,
    /// Its text or input.
    pub(crate) has_text: bool,
    /// Its citations.
    pub(crate) has_citations: bool,
}

/// The parts of a response. The index of a part in this list is its block number.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownParts(Vec<Part>);

impl KnownParts {
    /// The number of a part, if it is known.
    pub(crate) fn find(&self, item: &Item, content: Content, index: u64) -> Option<usize> {
        let is = |part: &Part| part.content == content && part.index == index && item.is(&part.item);
        self.0.iter().rposition(is)
    }

    /// Adds a part, and returns its number.
    pub(crate) fn add(&mut self, item: Item, content: Content, index: u64) -> Result<usize, Stop> {
        if self.0.len() >= PARTS_MAX {
            let limit = PARTS_MAX as u64;
            return Err(Stop::Limit(DecodeErrorKind::Limit { what: "number of parts", len: None, limit }));
        }
        self.0.push(Part { item, content, index, has_text: false, has_citations: false });
        Ok(self.0.len() - 1)
    }

    /// The part of a number.
    pub(crate) fn part(&self, number: usize) -> &Part {
        &self.0[number]
    }

    /// The same, to change it.
    pub(crate) fn part_mut(&mut self, number: usize) -> &mut Part {
        &mut self.0[number]
    }

    /// Whether reasoning of this item was read.
    pub(crate) fn has_reasoning(&self, item: &Item) -> bool {
        let is_reasoning = |part: &Part| matches!(part.content, Content::Reasoning | Content::Summary);
        self.0.iter().any(|part| part.has_text && is_reasoning(part) && item.is(&part.item))
    }

    /// Whether a tool was called.
    pub(crate) fn has_calls(&self) -> bool {
        self.0.iter().any(|part| part.content.is_call())
    }
}
