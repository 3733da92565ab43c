//! Positions of values in the document that they were read from.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::json::{Landmarks, pointers};

/// The offset of a value in its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordOffset(pub(crate) u32);

impl RecordOffset {
    /// The record is gone, because the value was held back. No record is as long.
    pub(crate) const UNAVAILABLE: Self = Self(u32::MAX);
    /// The offset is not known, because the record was not parsed.
    pub(crate) const UNKNOWN: Self = Self(u32::MAX - 1);
}

impl Default for RecordOffset {
    fn default() -> Self {
        Self::UNKNOWN
    }
}

/// The pointer of the choice that a pointer leads into. In all APIs, choices are the elements of a list.
pub(crate) fn choice_of(pointer: &str) -> &str {
    let mut end = 0;
    for step in pointer.split_inclusive('/') {
        end += step.len();
        let name = step.trim_end_matches('/');
        if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) {
            return pointer[..end].trim_end_matches('/');
        }
    }
    pointer
}

/// The JSON pointer ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901)) of the value at `offset` of a record; `None` for the
/// record as a whole.
pub(crate) fn pointer_at(record: &[u8], offset: RecordOffset) -> Option<String> {
    let pointer = pointers(record, &[offset.0 as usize], &Landmarks::default()).pop()?;
    (!pointer.is_empty()).then_some(pointer)
}

/// An item of a response that has a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ResponseItem {
    Start,
    Part { choice: u32, part: usize },
    Signature { choice: u32, part: usize },
    Citation { choice: u32, index: usize },
    Logprobs { choice: u32, index: usize },
    Finish { choice: u32 },
    Phase { choice: u32, index: usize },
    Other { choice: Option<u32>, index: usize },
    Usage,
}

/// The positions of the items of a response in its document.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResponsePositions {
    /// The item that was added last.
    pub(crate) last: Option<ResponseItem>,
    offsets: BTreeMap<ResponseItem, RecordOffset>,
    /// The document and its offset in the stream; `None` before there is one.
    document: Option<(u64, Vec<u8>)>,
    /// There were several documents.
    is_joined: bool,
    /// The index of the last `usage` among the fields of unknown meaning.
    pub(crate) usage: Option<usize>,
}

// The positions are not a part of the response.
impl PartialEq for ResponsePositions {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl ResponsePositions {
    /// Sets the position of the item that was added last: `value` in a record at `offset` of the stream.
    pub(crate) fn mark(&mut self, record: &[u8], offset: u64, value: Option<RecordOffset>) {
        let (document, _) = self.document.get_or_insert_with(|| (offset, record.to_vec()));
        if *document != offset && !record.is_empty() {
            *self = Self { is_joined: true, usage: self.usage, ..Self::default() };
        }
        let value = value.filter(|value| *value != RecordOffset::UNAVAILABLE);
        if let (Some(item), Some(value), false) = (self.last, value, self.is_joined) {
            // The position of a part is that of its beginning.
            self.offsets.entry(item).or_insert(value);
        }
    }

    /// Whether no more positions are needed: a response of several records has none.
    pub(crate) fn is_joined(&self) -> bool {
        self.is_joined
    }

    /// The position of an item.
    pub(crate) fn of(&self, item: ResponseItem) -> Option<RecordOffset> {
        self.offsets.get(&item).copied()
    }

    /// The document that all positions are in.
    pub(crate) fn document(&self) -> &[u8] {
        self.document.as_ref().map_or(&[], |(_, document)| document)
    }
}
