//! Strings: where they end, and what they mean.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Json, Result, Str};

impl<'a> Json<'a> {
    /// Reads a string.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Str> {
        self.expect(b'"', "no string")?;
        self.string_rest()
    }

    /// Reads a string whose opening quote was read.
    #[inline]
    pub(crate) fn string_rest(&mut self) -> Result<Str> {
        let start = self.pos;
        let (mut escaped, mut seen) = (false, 0);
        loop {
            self.pos += plain_len(&self.bytes[self.pos..], &mut seen);
            match self.bytes.get(self.pos) {
                Some(b'"') => {
                    self.pos += 1;
                    return Ok(Str { start, end: self.pos - 1, escaped, ascii: seen & HIGH == 0 });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(0..=0x1f) => return self.fault("control character in a string"),
                Some(&byte) => {
                    seen |= u64::from(byte);
                    self.pos += 1;
                }
                None => return self.fault("string does not end"),
            }
        }
    }

    #[cold]
    fn escape(&mut self) -> Result<()> {
        match self.bytes.get(self.pos + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.pos += 2,
            Some(b'u') => {
                if hex4(self.bytes.get(self.pos + 2..self.pos + 6).unwrap_or_default()).is_none() {
                    return self.fault("malformed escape");
                }
                self.pos += 6;
            }
            _ => return self.fault("malformed escape"),
        }
        Ok(())
    }

    /// Reads a string and what it means, in one pass over `text`, which is the document.
    pub(crate) fn meaning(&mut self, text: &'a str) -> Result<Cow<'a, str>> {
        self.expect(b'"', "no string")?;
        let start = self.pos;
        let mut owned: Option<String> = None;
        loop {
            let from = self.pos;
            loop {
                self.pos += plain_len(&self.bytes[self.pos..], &mut 0);
                match self.bytes.get(self.pos) {
                    Some(b'"' | b'\\') | None => break,
                    Some(0..=0x1f) => return self.fault("control character in a string"),
                    Some(_) => self.pos += 1,
                }
            }
            let run = text.get(from..self.pos).unwrap_or_default();
            match self.bytes.get(self.pos) {
                Some(b'"') => {
                    self.pos += 1;
                    let Some(mut owned) = owned else { return Ok(Cow::Borrowed(run)) };
                    owned.push_str(run);
                    return Ok(Cow::Owned(owned));
                }
                None => return self.fault("string does not end"),
                Some(_) => {
                    // Strings with one escape mostly have more: all of what was read, and as much again.
                    let owned = owned
                        .get_or_insert_with(|| String::with_capacity(2 * (from.max(self.pos) - start) + 64));
                    owned.push_str(run);
                    owned.push(self.unescaped_char()?);
                }
            }
        }
    }

    /// Reads an escape.
    #[inline]
    fn unescaped_char(&mut self) -> Result<char> {
        let simple = match self.bytes.get(self.pos + 1) {
            Some(b'n') => '\n',
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            _ => return self.unescaped_unicode(),
        };
        self.pos += 2;
        Ok(simple)
    }

    #[cold]
    fn unescaped_unicode(&mut self) -> Result<char> {
        let at = self.pos + 2;
        self.escape()?;
        let digits = self.bytes.get(at..).unwrap_or_default();
        let mut rest = digits;
        let c = unescape_unicode(&mut rest);
        // A pair of surrogates is two escapes.
        self.pos = at + digits.len() - rest.len();
        Ok(c)
    }
}

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// How many bytes of a string have no meaning but themselves, at least as far as whole words go. All words that were
/// looked at go into `seen`.
///
/// Most strings are short: eight bytes at a time beat a vector search that has to be called.
#[inline]
pub(super) fn plain_len(bytes: &[u8], seen: &mut u64) -> usize {
    let mut len = 0;
    for word in bytes[..bytes.len().min(BLOCK)].chunks_exact(8) {
        let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
        *seen |= word;
        // Sets the high bit of the first byte that is below `n`, for n ≤ 128; bytes above it may be wrong.
        let below = |word: u64, n: u64| word.wrapping_sub(LOW * n) & !word & HIGH;
        let quote = below(word ^ (LOW * u64::from(b'"')), 1);
        let backslash = below(word ^ (LOW * u64::from(b'\\')), 1);
        let special = quote | backslash | below(word, 0x20);
        if special != 0 {
            return len + (special.trailing_zeros() / 8) as usize;
        }
        len += 8;
    }
    if len == BLOCK { len + plain_blocks(&bytes[BLOCK..], seen) } else { len }
}

/// Bytes that a compiler looks at at once in a long string.
const BLOCK: usize = 64;

/// The same for long strings, as far as whole blocks go.
#[inline(never)]
fn plain_blocks(bytes: &[u8], seen: &mut u64) -> usize {
    let mut len = 0;
    for block in bytes.chunks_exact(BLOCK) {
        let (mut special, mut high) = (0, 0);
        // Without a branch, so that it is done in vectors.
        for &byte in block {
            special |= u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\');
            high |= byte;
        }
        if special != 0 {
            break;
        }
        *seen |= u64::from(high);
        len += BLOCK;
    }
    len
}

/// What a string means.
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

/// Appends what the inside of a string means. The string was checked; what is wrong all the same is left as it is.
pub(crate) fn unescape(raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let Some(&escape) = rest.get(at + 1) else { break };
        rest = &rest[at + 2..];
        match escape {
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => {
                let c = unescape_unicode(&mut rest);
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            other => out.push(other),
        }
    }
    out.extend_from_slice(rest);
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
        // Half a pair has no meaning of its own; what follows it has.
        _ => char::REPLACEMENT_CHARACTER,
    }
}

fn hex4(digits: &[u8]) -> Option<u32> {
    if digits.len() != 4 {
        return None;
    }
    digits.iter().try_fold(0, |value, &digit| Some(value << 4 | char::from(digit).to_digit(16)?))
}

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
