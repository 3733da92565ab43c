//! One delta, by the spans of its texts in the record.

use core::ops::Range;

use crate::assemble::event_queue::TextKind;
use crate::json::Str;

/// A part of the record. Records are bounded by [`Limits::record`](crate::Limits), which fits into 32 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub(crate) fn new(range: &Range<usize>) -> Self {
        Self { start: range.start as u32, end: range.end as u32 }
    }

    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// The index of a choice or of a tool call: a number of the record, or one that its format fixes.
///
/// Only the emitter reads it from a record and sees its value. So the emitter knows which number of a record became which
/// index, and no reader can depend on the value unnoticed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Index {
    pub(super) value: u64,
    /// The span of the number in its record; empty if the index is fixed.
    span: Span,
}

impl Index {
    /// An index that does not depend on the record.
    pub(crate) const fn fixed(value: u64) -> Self {
        Self { value, span: Span { start: 0, end: 0 } }
    }

    /// The index that a number of the record is; `None` unless it is an integer that fits.
    pub(super) fn read(record: &[u8], number: &Range<usize>) -> Option<Self> {
        let mut value = 0u64;
        for byte in &record[number.clone()] {
            let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
            value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
        }
        Some(Self { value, span: Span::new(number) })
    }

    pub(super) fn span(&self) -> Span {
        self.span
    }
}

/// A piece of text, or of a tool call's input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeltaCall {
    pub(crate) choice: u32,
    pub(crate) target: DeltaTarget,
    /// The text, which is empty only for a tool call.
    pub(crate) text: Str,
}

/// What a delta is added to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DeltaTarget {
    /// The text of the choice.
    Text(TextKind),
    /// The text of the block with this number.
    Block(TextKind, u64),
    /// The input of a tool call.
    Tool(ToolSpans),
}

/// How a record identifies a tool call. Empty strings count as missing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ToolSpans {
    pub(crate) index: Option<u64>,
    pub(crate) id: Option<Str>,
    pub(crate) name: Option<Str>,
    /// The input is free text.
    pub(crate) custom: bool,
    /// The name may come in pieces.
    pub(crate) in_pieces: bool,
}

/// What the element of a record that has a tool call, or a piece of one, is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Element {
    /// A piece in a format that marks where calls begin, and has their names there.
    #[default]
    Marked,
    /// A piece in a format that does not: the name may come in pieces, too.
    Piece,
    /// The same, behind another element of the same list and without an index: with a name it is a call of its own.
    Further,
    /// A whole call of a message. The choice had this number of calls before the message.
    Whole(u32),
}
