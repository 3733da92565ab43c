//! Which parts of a response have been heard of.
//!
//! A response says everything up to four times: in deltas, when a part is done, when its item is done, and at the end. So
//! it is remembered which parts there were, and what has been said of them. BlockOrder are named by the item that they stand
//! in, by its index or its IDs, and by their own index in it.

use alloc::vec::Vec;
use core::ops::Range;

use crate::assemble::{Emitter, Stop, hash};
use crate::error::DecodeErrorKind;
use crate::json::unescaped;

/// BlockOrder of one response, far more than any has.
const PARTS_MAX: usize = 4096;

/// What a part of an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Text,
    Refusal,
    Reasoning,
    Summary,
    Call,
    /// A call of a custom tool, whose input is free text.
    CustomCall,
    /// Encrypted reasoning.
    Signature,
    /// An item that the model has no part for.
    Other,
}

impl Content {
    /// Whether a tool is called.
    pub(crate) fn is_call(self) -> bool {
        matches!(self, Self::Call | Self::CustomCall)
    }
}

/// The name of an item. Servers leave out one or the other.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Item {
    /// Its index in the output.
    pub(crate) index: Option<u64>,
    /// Its ID, and that of the call which it is; hashed, so that they take no space.
    pub(crate) ids: [Option<u64>; 2],
    /// It stands in the output at the end, where some servers give it another ID.
    pub(crate) at_end: bool,
}

impl Item {
    /// An item with IDs at these places.
    pub(crate) fn new(emitter: &Emitter<'_>, index: Option<u64>, ids: [Option<&Range<usize>>; 2]) -> Self {
        let of = |range: Option<&Range<usize>>| {
            let id = emitter.text(range?)?;
            Some(hash(&unescaped(emitter.record, id)))
        };
        Self { index, ids: ids.map(of), at_end: false }
    }

    /// Whether both name the same item.
    fn is(&self, other: &Self) -> bool {
        let ids = || self.ids.iter().flatten();
        let same_id = ids().any(|id| other.ids.contains(&Some(*id)));
        let same_index = self.index.is_some() && self.index == other.index;
        let has_ids = ids().next().is_some() && other.ids.iter().flatten().next().is_some();
        same_id || (same_index && (self.at_end || !has_ids))
    }
}

/// A part, and what has been said of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    item: Item,
    content: Content,
    index: u64,
    /// Its text or input.
    pub(crate) is_said: bool,
    /// Its citations.
    pub(crate) is_cited: bool,
}

/// The parts of a response. Where one stands here is its number among the blocks of the answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen(Vec<Part>);

impl Seen {
    /// The number of a part, if it has been heard of.
    pub(crate) fn find(&self, item: &Item, content: Content, index: u64) -> Option<usize> {
        let is = |part: &Part| part.content == content && part.index == index && item.is(&part.item);
        self.0.iter().rposition(is)
    }

    /// The number of a part, which may be new.
    pub(crate) fn number(&mut self, item: Item, content: Content, index: u64) -> Result<(usize, bool), Stop> {
        if let Some(number) = self.find(&item, content, index) {
            return Ok((number, false));
        }
        if self.0.len() >= PARTS_MAX {
            let limit = PARTS_MAX as u64;
            return Err(Stop::Limit(DecodeErrorKind::Limit { what: "number of parts", len: None, limit }));
        }
        self.0.push(Part { item, content, index, is_said: false, is_cited: false });
        Ok((self.0.len() - 1, true))
    }

    /// The part of a number.
    pub(crate) fn part(&mut self, number: usize) -> &mut Part {
        &mut self.0[number]
    }

    /// Whether reasoning of this item was read.
    pub(crate) fn has_reasoning(&self, item: &Item) -> bool {
        let is_reasoning = |part: &Part| matches!(part.content, Content::Reasoning | Content::Summary);
        self.0.iter().any(|part| part.is_said && is_reasoning(part) && item.is(&part.item))
    }

    /// Whether a tool was called.
    pub(crate) fn has_calls(&self) -> bool {
        self.0.iter().any(|part| part.content.is_call())
    }
}
