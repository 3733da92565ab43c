//! Bytes as text.

use alloc::borrow::Cow;
use alloc::string::String;

/// The text that `bytes` are, with U+FFFD for what is no UTF-8.
#[inline]
pub(crate) fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    // The check is several times faster than the search for what to replace.
    match core::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}
