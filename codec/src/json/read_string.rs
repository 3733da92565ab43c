//! Finds the end of strings.

use core::ops::Range;

use crate::json::string::{HIGH, hex4, next_specials, specials};
use crate::json::{Json, Result, Str};

/// The escapes of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Escapes {
    None,
    /// Escapes that every reader accepts.
    Whole,
    /// Also half a pair of surrogates.
    Halved,
}

impl Json<'_> {
    /// Reads a string.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Str> {
        self.expect(b'"', "no string")?;
        self.string_rest()
    }

    /// Reads the rest of a string, after its opening quote.
    #[inline]
    pub(crate) fn string_rest(&mut self) -> Result<Str> {
        let start = self.pos;
        let (mut escaped, mut seen) = (false, 0);
        loop {
            self.pos += plain_len(&self.bytes[self.pos..], &mut seen);
            match self.bytes.get(self.pos) {
                Some(b'"') => {
                    self.pos += 1;
                    let ascii = seen & HIGH == 0;
                    self.plain &= ascii;
                    return Ok(Str { start, end: self.pos - 1, escaped, ascii });
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

    /// Reads a string, and finds its escapes.
    #[inline]
    pub(crate) fn text(&mut self) -> Result<(Range<usize>, Escapes)> {
        self.expect(b'"', "no string")?;
        let start = self.pos;
        if let Some(Rest { end, .. }) = short_rest(self.bytes, start) {
            self.pos = end + 1;
            return Ok((start..end, Escapes::None));
        }
        self.long_text()
    }

    /// The same for the rest of a string that does not end at once.
    #[inline(never)]
    fn long_text(&mut self) -> Result<(Range<usize>, Escapes)> {
        let start = self.pos;
        let (end, ending) = string_end(self.bytes, start);
        self.pos = end;
        let escapes = match ending {
            Ending::Quote(escapes) => escapes,
            Ending::Fault(why) => return self.fault(why.as_str()),
        };
        self.pos += 1;
        Ok((start..end, escapes))
    }
}

/// The end of a string, and what it contains.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rest {
    pub(crate) end: usize,
    pub(crate) escaped: bool,
    pub(crate) ascii: bool,
}

/// Reads the rest of a string, after its opening quote; `None` if it is malformed. The result fits into registers.
#[inline]
pub(crate) fn rest(bytes: &[u8], at: usize) -> Option<Rest> {
    short_rest(bytes, at).or_else(|| rest_of_long(bytes, at))
}

/// The rest of a string that ends within sixteen bytes and has no escapes, as nearly all names and tokens do.
#[inline(always)]
fn short_rest(bytes: &[u8], at: usize) -> Option<Rest> {
    let window = u128::from_le_bytes(*bytes.get(at..at + 16)?.first_chunk()?);
    let (low, high) = (window as u64, (window >> 64) as u64);
    let (first, second) = (specials(low).trailing_zeros(), specials(high).trailing_zeros());
    let end = at + (if first < 64 { first } else { 64 + second } / 8) as usize;
    let ascii = (low | high) & HIGH == 0;
    (bytes.get(end) == Some(&b'"')).then_some(Rest { end, escaped: false, ascii })
}

#[inline(never)]
fn rest_of_long(bytes: &[u8], at: usize) -> Option<Rest> {
    let Str { end, escaped, ascii, .. } = Json::new(bytes, at, 0).string_rest().ok()?;
    Some(Rest { end, escaped, ascii })
}

/// How the search for the end of a string ended.
enum Ending {
    Quote(Escapes),
    Fault(Why),
}

#[derive(Clone, Copy)]
enum Why {
    Control,
    Escape,
    End,
}

impl Why {
    #[cold]
    fn as_str(self) -> &'static str {
        match self {
            Self::Control => "control character in a string",
            Self::Escape => "malformed escape",
            Self::End => "string does not end",
        }
    }
}

/// The end of the string that continues at `at`, or the offset at which it is malformed.
fn string_end(bytes: &[u8], mut at: usize) -> (usize, Ending) {
    let mut escapes = Escapes::None;
    loop {
        let (start, mut specials) = next_specials(bytes, at);
        if specials == 0 {
            at = start;
            break;
        }
        // All that are in this word; `at` is where the last of them ended.
        at = start;
        while specials != 0 {
            let here = start + (specials.trailing_zeros() / 8) as usize;
            specials &= specials - 1;
            if here >= at {
                match special(bytes, here, &mut escapes) {
                    Ok(end) => at = end,
                    Err(ending) => return (here, ending),
                }
            }
        }
        at = at.max(start + 8);
    }
    while at < bytes.len() {
        match special(bytes, at, &mut escapes) {
            Ok(end) => at = end,
            Err(ending) => return (at, ending),
        }
    }
    (at, Ending::Fault(Why::End))
}

/// Skips the byte at `at` with its escape, unless the string ends there or is malformed.
#[inline]
fn special(bytes: &[u8], mut at: usize, escapes: &mut Escapes) -> core::result::Result<usize, Ending> {
    match bytes.get(at) {
        Some(b'"') => return Err(Ending::Quote(*escapes)),
        Some(b'\\') => *escapes = (*escapes).max(Escapes::Whole),
        Some(0..=0x1f) => return Err(Ending::Fault(Why::Control)),
        _ => return Ok(at + 1),
    }
    // Escapes often follow each other.
    while let Some(b'\\') = bytes.get(at) {
        at = match bytes.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => at + 2,
            Some(b'u') => unicode(bytes, at, escapes).ok_or(Ending::Fault(Why::Escape))?,
            _ => return Err(Ending::Fault(Why::Escape)),
        }
    }
    Ok(at)
}

/// Skips a `\u`, and the second half of a pair of surrogates. `None` if it is malformed.
#[inline]
fn unicode(bytes: &[u8], at: usize, escapes: &mut Escapes) -> Option<usize> {
    let unit = unit(bytes, at)?;
    if unit & 0xf800 != 0xd800 {
        return Some(at + 6);
    }
    match unit_of_escape(bytes, at + 6) {
        Some(0xdc00..0xe000) if unit < 0xdc00 => Some(at + 12),
        _ => {
            *escapes = Escapes::Halved;
            Some(at + 6)
        }
    }
}

/// The value of the four digits after the `\u` at `at`.
#[inline]
fn unit(bytes: &[u8], at: usize) -> Option<u32> {
    let &[_, _, a, b, c, d] = bytes.get(at..)?.first_chunk()?;
    hex4(&[a, b, c, d])
}

/// The same, if there is such an escape at all.
fn unit_of_escape(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 2).filter(|escape| *escape == b"\\u").and_then(|_| unit(bytes, at))
}

/// The number of bytes before the first special one, as far as whole words go. Adds all words that were read to `seen`.
///
/// Most strings are short, so eight bytes at a time are faster than a call of a vector search.
#[inline]
fn plain_len(bytes: &[u8], seen: &mut u64) -> usize {
    let mut len = 0;
    for word in bytes[..bytes.len().min(BLOCK)].chunks_exact(8) {
        let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
        *seen |= word;
        let special = specials(word);
        if special != 0 {
            return len + (special.trailing_zeros() / 8) as usize;
        }
        len += 8;
    }
    if len == BLOCK { len + plain_blocks(&bytes[BLOCK..], seen) } else { len }
}

/// The number of bytes of a long string that are searched at once.
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
