//! A record that matches a cached shape.

use core::num::NonZeroU64;

use crate::json::Str;

/// A record that matches a cached shape, and its text.
///
/// It is two numbers, which stay in registers: a struct that is written in parts and read as a whole would take a tenth of
/// the time of an event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Match {
    /// The start of the text and, in the high half, its end.
    text: u64,
    /// The length of the record and, in the high half, the flags.
    rest: NonZeroU64,
}

impl Match {
    const ESCAPED: u64 = 1 << 32;
    /// The record differs from its shape only in its text.
    const EQUAL: u64 = 1 << 33;
    const FLAGS: u32 = 34;

    #[inline(always)]
    pub(crate) fn new(text: Str, len: usize, shape: usize, equal: bool) -> Self {
        let flags = u64::from(equal) * Self::EQUAL + u64::from(text.escaped) * Self::ESCAPED;
        // One more than the index of the shape, so that it is not zero.
        let rest = flags | (shape as u64 + 1) << Self::FLAGS | u64::from(len as u32);
        Self {
            text: (text.end as u64) << 32 | u64::from(text.start as u32),
            rest: NonZeroU64::new(rest).unwrap_or(NonZeroU64::MAX),
        }
    }

    /// The text, which is UTF-8 and not empty.
    #[inline(always)]
    pub(crate) fn text(self) -> Str {
        let (start, end) = (self.text as u32 as usize, (self.text >> 32) as usize);
        Str { start, end, escaped: self.rest.get() & Self::ESCAPED != 0, ascii: false }
    }

    /// The length of the record.
    #[inline(always)]
    pub(crate) fn len(self) -> usize {
        self.rest.get() as u32 as usize
    }

    /// The index of the shape.
    #[inline(always)]
    pub(crate) fn shape(self) -> usize {
        (self.rest.get() >> Self::FLAGS) as usize - 1
    }

    /// Whether the record differs from its shape only in its text.
    #[inline(always)]
    pub(crate) fn is_equal(self) -> bool {
        self.rest.get() & Self::EQUAL != 0
    }
}
