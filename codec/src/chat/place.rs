//! Where something stood in what it was read from.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::json::{Landmarks, pointers};

/// A place in a record, by offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    /// Where the value begins.
    pub(crate) at: u32,
    /// Where the object of its choice begins, where a choice has one.
    pub(crate) choice: Option<u32>,
}

/// Where an event stands in the record that it was made of.
///
/// A record is one JSON document of the source: a server-sent event's data, a line, the payload of a frame, or all of an
/// answer that is not streamed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pointer: String,
    choice: String,
}

impl Place {
    /// Finds a place. The record as a whole is none.
    pub(crate) fn find(record: &[u8], spot: Spot) -> Option<Self> {
        let (at, choice) = (spot.at as usize, spot.choice.unwrap_or(spot.at) as usize);
        let mut found = pointers(record, &[choice.min(at), at], &Landmarks::default());
        let (pointer, choice) = (found.pop()?, found.pop()?);
        (!pointer.is_empty()).then_some(Self { pointer, choice })
    }

    /// The JSON pointer of the event in its record ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901)).
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// That of the choice that the event belongs to; the event's own in formats that have one answer only.
    pub fn choice(&self) -> &str {
        &self.choice
    }
}

/// What of a whole answer has a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Thing {
    Start,
    Part { choice: u32, part: usize },
    Citation { choice: u32, index: usize },
    Logprobs { choice: u32, index: usize },
    Finish { choice: u32 },
    Other { choice: Option<u32>, index: usize },
    Usage,
}

/// Where the things of a whole answer stood in its document.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// What was added last.
    pub(crate) last: Option<Thing>,
    spots: BTreeMap<Thing, Spot>,
    /// The document, and where in the stream it was; `None` before there is one.
    document: Option<(u64, Vec<u8>)>,
    /// There were several.
    is_joined: bool,
}

// Where an answer stood is no part of it.
impl PartialEq for Places {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Places {
    /// What was added last stands at `spot` of a record that began at `offset` of the stream.
    pub(crate) fn mark(&mut self, record: &[u8], offset: u64, spot: Option<Spot>) {
        let (document, _) = self.document.get_or_insert_with(|| (offset, record.to_vec()));
        if *document != offset && !record.is_empty() {
            *self = Self { is_joined: true, ..Self::default() };
        }
        if let (Some(thing), Some(spot), false) = (self.last, spot, self.is_joined) {
            // A part stands where it begins.
            self.spots.entry(thing).or_insert(spot);
        }
    }

    /// Whether nothing more is to be marked: an answer in several records has no places.
    pub(crate) fn is_joined(&self) -> bool {
        self.is_joined
    }

    /// Where a thing stood.
    pub(crate) fn of(&self, thing: Thing) -> Option<Spot> {
        self.spots.get(&thing).copied()
    }

    /// The document that all of them are in.
    pub(crate) fn document(&self) -> &[u8] {
        self.document.as_ref().map_or(&[], |(_, document)| document)
    }
}
