//! Special bytes and escapes of strings.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use crate::json::Str;

pub(crate) const LOW: u64 = 0x0101_0101_0101_0101;
pub(super) const HIGH: u64 = 0x8080_8080_8080_8080;

/// Marks the first special byte of `word` in its high bit. Marks of later bytes may be wrong.
#[inline]
pub(super) fn specials(word: u64) -> u64 {
    // Sets the high bit of the first byte that is below `n`, for n ≤ 128; bytes above it may be wrong.
    let below = |word: u64, n: u64| word.wrapping_sub(LOW * n) & !word & HIGH;
    let quote = below(word ^ (LOW * u64::from(b'"')), 1);
    let backslash = below(word ^ (LOW * u64::from(b'\\')), 1);
    quote | backslash | below(word, 0x20)
}

/// The offset of the next word with a special byte, and the marks of its special bytes; without one, the end of the last
/// whole word.
#[inline]
pub(super) fn next_specials(bytes: &[u8], mut at: usize) -> (usize, u64) {
    while let Some(word) = bytes.get(at..at + 8) {
        let special = specials(u64::from_le_bytes(word.try_into().unwrap_or_default()));
        if special != 0 {
            return (at, special);
        }
        at += 8;
        while bytes.get(at..at + 16).and_then(|block| block.first_chunk()).is_some_and(is_plain) {
            at += 16;
        }
    }
    (at, 0)
}

/// Whether a block has no special byte. Without branches, so that it compiles to vector instructions.
#[inline(always)]
fn is_plain(block: &[u8; 16]) -> bool {
    // Zero for a quote, a backslash, and any byte below 0x20.
    let least = |byte: u8| (byte ^ b'"').min(byte ^ b'\\').min(byte & 0xe0);
    !block.iter().fold(false, |any, &byte| any | (least(byte) == 0))
}

/// The offset of the first special byte from `at` on, or the end.
#[inline]
pub(crate) fn special_at(bytes: &[u8], at: usize) -> usize {
    let (at, special) = next_specials(bytes, at);
    if special != 0 {
        return at + (special.trailing_zeros() / 8) as usize;
    }
    let rest = bytes.len() - at;
    match bytes.last_chunk() {
        _ if rest == 0 => at,
        // The last eight bytes, without those before `at`. Zeros fill up the word; the first of them is found if no other byte is.
        Some(word) => {
            let special = specials(u64::from_le_bytes(*word) >> (8 * (8 - rest)));
            at + (special.trailing_zeros() / 8) as usize
        }
        None => {
            let is_plain = |byte: &&u8| **byte >= 0x20 && !matches!(byte, b'"' | b'\\');
            at + bytes[at..].iter().take_while(is_plain).count()
        }
    }
}

/// The text of a string.
#[inline]
pub(crate) fn unescaped(bytes: &[u8], string: Str) -> Cow<'_, [u8]> {
    let raw = &bytes[string.start..string.end];
    if !string.escaped {
        return Cow::Borrowed(raw);
    }
    let mut out = Vec::with_capacity(raw.len());
    unescape(raw, &mut out);
    Cow::Owned(out)
}

/// Appends the text of a string, given without its quotes. The string was checked. Malformed escapes are kept as they are.
pub(crate) fn unescape(raw: &[u8], out: &mut Vec<u8>) {
    for_pieces(raw, |piece| match piece {
        Piece::Plain(range) => out.extend_from_slice(&raw[range]),
        Piece::Escape(meaning) => out.extend_from_slice(meaning.encode_utf8(&mut [0; 4]).as_bytes()),
    });
}

/// The same as text.
pub(crate) fn meaning(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for_pieces(raw.as_bytes(), |piece| match piece {
        Piece::Plain(range) => out.push_str(raw.get(range).unwrap_or_default()),
        Piece::Escape(meaning) => out.push(meaning),
    });
    out
}

/// A piece of a string.
enum Piece {
    Plain(Range<usize>),
    Escape(char),
}

fn for_pieces(raw: &[u8], mut each: impl FnMut(Piece)) {
    let (mut start, mut at) = (0, 0);
    while let Some(len) = memchr::memchr(b'\\', &raw[at..]) {
        let backslash = at + len;
        let Some(&escape) = raw.get(backslash + 1) else { break };
        each(Piece::Plain(start..backslash));
        (start, at) = (backslash + 2, backslash + 2);
        match escape {
            b'b' => each(Piece::Escape('\u{8}')),
            b'f' => each(Piece::Escape('\u{c}')),
            b'n' => each(Piece::Escape('\n')),
            b'r' => each(Piece::Escape('\r')),
            b't' => each(Piece::Escape('\t')),
            b'u' => {
                let mut rest = &raw[at..];
                each(Piece::Escape(unescape_unicode(&mut rest)));
                (start, at) = (raw.len() - rest.len(), raw.len() - rest.len());
            }
            // The byte itself.
            _ => start = backslash + 1,
        }
    }
    each(Piece::Plain(start..raw.len()));
}

/// Reads what follows `\u`: four digits, or a pair of surrogates.
fn unescape_unicode(rest: &mut &[u8]) -> char {
    let Some((digits, tail)) = rest.split_at_checked(4) else { return char::REPLACEMENT_CHARACTER };
    let unit = hex4(digits).unwrap_or(0xfffd);
    *rest = tail;
    if !(0xd800..0xdc00).contains(&unit) {
        return char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER);
    }
    let low = tail.strip_prefix(b"\\u").and_then(|tail| tail.get(..4)).and_then(hex4);
    match low {
        Some(low @ 0xdc00..0xe000) => {
            *rest = &tail[6..];
            char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00))
                .unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        // Half a pair has no meaning; the escape that follows it has.
        _ => char::REPLACEMENT_CHARACTER,
    }
}

#[inline]
pub(super) fn hex4(digits: &[u8]) -> Option<u32> {
    let [a, b, c, d] = *digits else { return None };
    let [a, b, c, d] = [a, b, c, d].map(|digit| u32::from(HEX[usize::from(digit)]));
    ((a | b | c | d) < 16).then_some(a << 12 | b << 8 | c << 4 | d)
}

/// The values of hexadecimal digits; 255 for other bytes.
const HEX: [u8; 256] = {
    let mut table = [255; 256];
    let mut digit = 0;
    while digit < 16 {
        table[b"0123456789abcdef"[digit] as usize] = digit as u8;
        table[b"0123456789ABCDEF"[digit] as usize] = digit as u8;
        digit += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unescapes_pairs_and_replaces_lone_surrogates() {
        let meaning = |raw: &str| {
            let mut out = Vec::new();
            unescape(raw.as_bytes(), &mut out);
            String::from_utf8(out).expect("valid UTF-8")
        };
        assert_eq!(meaning(r#"a\"\\\/\b\f\n\r\t\u00e9"#), "a\"\\/\u{8}\u{c}\n\r\té");
        assert_eq!(meaning(r"\ud83d\ude00"), "😀");
        assert_eq!(meaning(r"\ud83d!"), "\u{fffd}!");
        assert_eq!(meaning(r"\ud83d\n"), "\u{fffd}\n");
        assert_eq!(meaning(r"\ud83d\ud83d\ude00"), "\u{fffd}😀");
        assert_eq!(meaning(r"\ude00"), "\u{fffd}");
    }
}
