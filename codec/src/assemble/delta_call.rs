//! One delta, by the spans of its texts in the record.

use core::ops::Range;

use crate::assemble::event_queue::TextKind;
use crate::json::Str;

/// The index of a choice or of a tool call: a number of the record, or one that its format fixes.
///
/// Only the emitter reads it from a record and sees its value. So the emitter knows which number of a record became which
/// index, and no reader can depend on the value unnoticed.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    pub(super) value: u64,
    /// The span of the number in its record; `None` if the index is fixed.
    pub(super) span: Option<Range<usize>>,
}

impl Index {
    /// An index that does not depend on the record.
    pub(crate) const fn fixed(value: u64) -> Self {
        Self { value, span: None }
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
}
