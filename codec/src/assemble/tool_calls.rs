//! The tool calls of a choice, found by their index and by their ID.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::mem::size_of;
use core::ops::{Index, IndexMut};

use crate::assemble::delta_call::Element;
use crate::assemble::input_hash::InputHash;
use crate::model::position::RecordOffset;
use crate::records::{Extent, JsonBoundary};

/// Calls of a choice that are found by a search, and whose state is not charged, so that limits may be small.
const FEW: usize = 16;
/// Bytes that one of many calls costs beside the text of its ID: its state, and its places in both maps, whose nodes are at least
/// half full.
const COST: usize = size_of::<Tool>() + 2 * (size_of::<(u64, usize)>() + size_of::<(Vec<u8>, usize)>());
/// The most calls of one ID that are compared with another. Servers that repeat a call repeat one of the last ones.
const SAME_ID: usize = 64;

#[derive(Clone, Debug, Default)]
pub(super) struct ToolCalls {
    calls: Vec<Tool>,
    /// The last call of each index and of each ID. Empty as long as there are few calls.
    by_index: BTreeMap<u64, usize>,
    by_id: BTreeMap<Vec<u8>, usize>,
}

impl ToolCalls {
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    /// Adds a call, and returns the number of bytes that it costs.
    pub(super) fn push(&mut self, index: Option<u64>, element: Element) -> usize {
        let at = self.calls.len();
        self.calls.push(Tool { index, element, ..Tool::default() });
        if at < FEW {
            return 0;
        }
        let mut cost = COST;
        // With the first of many, those before it come into the maps.
        for at in if at == FEW { 0 } else { at }..=at {
            if let Some(index) = self.calls[at].index {
                self.by_index.insert(index, at);
            }
            cost += self.index_id(at);
        }
        cost
    }

    /// Gives a call that has no ID one, and returns the number of bytes that it costs.
    pub(super) fn set_id(&mut self, at: usize, id: &[u8]) -> usize {
        self.calls[at].id.extend_from_slice(id);
        let is_indexed = self.calls.len() > FEW;
        id.len() + if is_indexed { self.index_id(at) } else { 0 }
    }

    /// Adds the ID of a call to the map, and returns the number of bytes that its copy costs.
    fn index_id(&mut self, at: usize) -> usize {
        let id = &self.calls[at].id;
        if id.is_empty() {
            return 0;
        }
        let Some(last) = self.by_id.get_mut(id) else {
            self.by_id.insert(id.clone(), at);
            return id.len();
        };
        // A call may get its ID after a later call got the same.
        let (earlier, later) = (at.min(*last), at.max(*last));
        *last = later;
        if at == earlier {
            self.calls[at].previous = self.calls[later].previous;
        }
        self.calls[later].previous = Some(earlier as u32);
        0
    }

    /// The last call of an index.
    pub(super) fn last_with_index(&self, index: u64) -> Option<usize> {
        if self.calls.len() > FEW {
            return self.by_index.get(&index).copied();
        }
        self.calls.iter().rposition(|call| call.index == Some(index))
    }

    /// The calls of an ID, the last one first; of many, only some.
    pub(super) fn with_id<'a>(&'a self, id: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        let many = self.calls.len() > FEW;
        let last = self.by_id.get(id).copied().filter(|_| many);
        let linked = core::iter::successors(last, |&at| self.calls[at].previous.map(|at| at as usize));
        let few = if many { &[] } else { &*self.calls };
        let searched = few.iter().enumerate().rev().filter(move |(_, call)| call.id == id).map(|(at, _)| at);
        linked.take(SAME_ID).chain(searched)
    }
}

impl Index<usize> for ToolCalls {
    type Output = Tool;

    fn index(&self, at: usize) -> &Tool {
        &self.calls[at]
    }
}

impl IndexMut<usize> for ToolCalls {
    fn index_mut(&mut self, at: usize) -> &mut Tool {
        &mut self.calls[at]
    }
}

/// A tool call of a choice.
#[derive(Clone, Debug, Default)]
pub(super) struct Tool {
    pub(super) index: Option<u64>,
    /// Empty if it has none.
    pub(super) id: Vec<u8>,
    /// The call before it that has the same ID, if there are many calls.
    previous: Option<u32>,
    /// What is known of it so far.
    pub(super) name: Vec<u8>,
    /// The input is free text.
    pub(super) custom: bool,
    pub(super) state: State,
    pub(super) element: Element,
    /// Whether the input is a whole document. Not used for the input of a custom tool.
    pub(super) input: JsonBoundary,
    /// To recognize a repetition.
    pub(super) hash: InputHash,
    /// The input that waits with the call.
    pub(super) held: Vec<u8>,
    /// The record in which the call was opened, and the position in it.
    pub(super) opened: (u64, Option<RecordOffset>),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    New,
    Waiting,
    /// It is the open part, but its start was not delivered yet, because more of the name may come.
    Named,
    Open,
    Ended,
}

impl Tool {
    /// Adds a name, or a piece of one, and returns the number of bytes that were added. `None`: it differs from the name, and the
    /// input has begun.
    pub(super) fn add_name(&mut self, name: &[u8]) -> Option<usize> {
        let known = self.name.len();
        let in_pieces = matches!(self.element, Element::Piece | Element::Further);
        if self.name.is_empty() {
            self.name.extend_from_slice(name);
        } else if self.name == name || !in_pieces {
            // Repeated whole.
        } else if self.hash.len() > 0 || matches!(self.state, State::Open | State::Ended) {
            return None;
        } else if name.starts_with(&self.name) {
            // All of the name so far, in each piece.
            self.name.extend_from_slice(&name[known..]);
        } else {
            self.name.extend_from_slice(name);
        }
        Some(self.name.len() - known)
    }

    pub(super) fn feed(&mut self, mut input: &[u8]) {
        self.hash.add(input);
        if self.custom {
            return;
        }
        // Behind the document there may only be white space. Anything else is an error of the model's, delivered as it is.
        while let Extent::End(at) | Extent::Broken(at) = self.input.feed(input) {
            if at == 0 || at == input.len() {
                break;
            }
            input = &input[at..];
        }
    }
}
