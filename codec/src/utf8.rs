//! Bytes as text.

use alloc::borrow::Cow;
use alloc::string::String;
use core::ops::Range;

use crate::ablation::Shortcut;

/// The text of `bytes`, with U+FFFD for malformed UTF-8.
#[inline]
pub(crate) fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    // The check is several times faster than the search for malformed bytes.
    match core::str::from_utf8(bytes) {
        // The length of `bytes` is known already. Loading the length of `text` would wait for the store of the check.
        Ok(text) => Cow::Borrowed(text.get(..bytes.len()).unwrap_or(text)),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

/// The length of a short text in bytes. Most tokens are no longer.
const SHORT: usize = 16;

/// A copy of a short text.
///
/// The UTF-8 check of the standard library is much faster on one aligned block than on a slice of any address and length,
/// because no branch depends on either. For a token, that is 5 ns against 15 to 30 ns (`ablation` has what it buys). So a
/// window of fixed size is copied, checked, and then cut.
#[derive(Clone, Debug, Default)]
#[repr(align(16))]
pub(crate) struct Short([u8; SHORT]);

impl Short {
    /// The text at `range` of `bytes`, as [`lossy`] returns it.
    #[inline(always)]
    pub(crate) fn lossy<'a>(&'a mut self, bytes: &'a [u8], range: Range<usize>) -> Cow<'a, str> {
        if !Shortcut::TextWindow.is_on() {
            return long(&bytes[range]);
        }
        match self.copy(bytes, range.start).and_then(|text| text.get(..range.len())) {
            Some(text) => Cow::Borrowed(text),
            None => long(&bytes[range]),
        }
    }

    /// The window that begins at `at`, if it is UTF-8.
    #[inline(always)]
    fn copy(&mut self, bytes: &[u8], at: usize) -> Option<&str> {
        self.0 = *bytes.get(at..at + SHORT)?.first_chunk()?;
        core::str::from_utf8(&self.0).ok()
    }
}

/// A text that is not short, or is in a window that is not UTF-8.
#[inline(never)]
fn long(bytes: &[u8]) -> Cow<'_, str> {
    lossy(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_is_what_it_is_alone() {
        let bytes = "a é\u{1f642}€ \u{fffd}".bytes().chain([0xff, 0xc3, b'"', 0xe2, 0x82, b'x']);
        let bytes: alloc::vec::Vec<u8> = bytes.chain(*b"0123456789abcdefghij").collect();
        for start in 0..bytes.len() {
            for end in start..bytes.len() {
                let expected = String::from_utf8_lossy(&bytes[start..end]);
                assert_eq!(Short::default().lossy(&bytes, start..end), expected, "{start}..{end}");
            }
        }
    }
}
