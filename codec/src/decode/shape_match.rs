//! What a record like an earlier one comes to.

use core::num::NonZeroU64;

use crate::json::Str;

/// What a chunk comes to: a piece of text or of a tool call. It is two numbers, which stay in registers: a struct that is
/// written in parts and read as a whole would take a tenth of all the time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// Where its text begins and, above that, ends.
    text: u64,
    /// Its length, and above that the flags.
    rest: NonZeroU64,
}

impl Call {
    const ESCAPED: u64 = 1 << 32;
    /// It differs from its template in nothing but its text.
    const EQUAL: u64 = 1 << 33;
    const FLAGS: u32 = 34;

    #[inline(always)]
    pub(crate) fn new(text: Str, len: usize, which: usize, equal: bool) -> Self {
        let flags = u64::from(equal) * Self::EQUAL + u64::from(text.escaped) * Self::ESCAPED;
        // One more than the template's index, so that it is not zero.
        let rest = flags | (which as u64 + 1) << Self::FLAGS | u64::from(len as u32);
        Self {
            text: (text.end as u64) << 32 | u64::from(text.start as u32),
            rest: NonZeroU64::new(rest).unwrap_or(NonZeroU64::MAX),
        }
    }

    /// Its text, which is UTF-8, and not empty unless it is a tool call's.
    #[inline(always)]
    pub(crate) fn text(self) -> Str {
        let (start, end) = (self.text as u32 as usize, (self.text >> 32) as usize);
        Str { start, end, escaped: self.rest.get() & Self::ESCAPED != 0, ascii: false }
    }

    /// Bytes of the chunk.
    #[inline(always)]
    pub(crate) fn len(self) -> usize {
        self.rest.get() as u32 as usize
    }

    /// The template that it is like.
    #[inline(always)]
    pub(crate) fn which(self) -> usize {
        (self.rest.get() >> Self::FLAGS) as usize - 1
    }

    #[inline(always)]
    pub(crate) fn is_equal(self) -> bool {
        self.rest.get() & Self::EQUAL != 0
    }
}
