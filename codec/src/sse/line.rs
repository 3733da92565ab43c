//! Lines and fields.
//!
//! Lines end at CR LF, LF or CR. A CR at the end of a chunk ends its line at once; if the next chunk begins with LF,
//! that LF belongs to it. Cases to consider before a change: a BOM that is cut, a CR as the very last byte, and a line that is
//! never used, which must not take memory.

use alloc::vec::Vec;
use core::ops::Range;

use crate::buffer;
use crate::error::DecodeErrorKind;

const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];

/// A line without its end.
#[derive(Clone, Debug)]
pub(crate) enum Line {
    /// In the chunk.
    Chunk(Range<usize>),
    /// It is the whole partial buffer.
    Partial,
    /// It was of no use, and was not kept.
    Discarded,
}

/// Splits chunks into lines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines {
    partial: Vec<u8>,
    /// The partial buffer holds a whole line, which is borrowed until the next call.
    is_borrowed: bool,
    /// The last line ended with CR: a LF that comes next belongs to it.
    skip_lf: bool,
    /// The rest of the current line is not needed.
    discard: bool,
    /// Bytes of the BOM seen so far; three once the start of the stream has passed.
    bom: u8,
    /// Bytes of the stream that were read, and those before the current line.
    consumed: u64,
    start: u64,
}

impl Lines {
    /// Brings `pos` to the beginning of a line, if it can be known that there is one: past the LF of a CR LF and past
    /// the BOM. Returns the first byte of the line, or `None` in the middle of one and at the end of the chunk.
    #[inline]
    pub(crate) fn peek(&mut self, chunk: &[u8], pos: &mut usize) -> Option<u8> {
        self.release();
        if self.skip_lf || self.bom < 3 {
            self.settle(chunk, pos);
        }
        if self.is_mid_line() {
            return None;
        }
        self.start = self.consumed;
        chunk.get(*pos).copied()
    }

    /// Releases a line that was borrowed.
    #[inline]
    pub(crate) fn release(&mut self) {
        if self.is_borrowed {
            self.is_borrowed = false;
            buffer::clear(&mut self.partial);
        }
    }

    /// Whether the next byte is known to begin a line. The last line must have been released.
    #[inline]
    pub(crate) fn is_settled(&self) -> bool {
        self.partial.is_empty() && !self.discard && !self.skip_lf && self.bom == 3
    }

    fn settle(&mut self, chunk: &[u8], pos: &mut usize) {
        if let (true, Some(&next)) = (self.skip_lf, chunk.get(*pos)) {
            self.skip_lf = false;
            if next == b'\n' {
                self.advance(pos, 1);
            }
        }
        while self.bom < 3 {
            match chunk.get(*pos) {
                Some(&next) if next == BOM[usize::from(self.bom)] => {
                    self.bom += 1;
                    self.advance(pos, 1);
                }
                Some(_) if self.bom == 0 => self.bom = 3,
                Some(_) => {
                    // No BOM: what looked like one is the beginning of the first line.
                    let seen = usize::from(self.bom);
                    self.bom = 3;
                    self.begin(&BOM[..seen]);
                }
                None => return,
            }
        }
    }

    /// The next line from `pos` on. `None`: `pos` is at the end of the chunk. `keep` returns whether a line with this
    /// beginning is needed; `limit` is the limit of its length.
    pub(crate) fn next(
        &mut self,
        chunk: &[u8],
        pos: &mut usize,
        limit: usize,
        keep: impl Fn(&[u8]) -> bool,
    ) -> Result<Option<Line>, DecodeErrorKind> {
        self.peek(chunk, pos);
        let rest = &chunk[*pos..];
        let Some(len) = memchr::memchr2(b'\n', b'\r', rest) else {
            self.advance(pos, rest.len());
            if !self.discard && !rest.is_empty() {
                let most = limit.saturating_add(1);
                buffer::push(&mut self.partial, &rest[..rest.len().min(most)], most);
                self.discard = !keep(&self.partial);
                if self.discard {
                    buffer::clear(&mut self.partial);
                } else if self.partial.len() > limit {
                    return Err(too_long(limit));
                }
            }
            return Ok(None);
        };
        let line = *pos..*pos + len;
        self.advance(pos, len + 1);
        if rest[len] == b'\r' {
            self.skip_lf = true;
            self.settle(chunk, pos);
        }
        if core::mem::take(&mut self.discard) {
            return Ok(Some(Line::Discarded));
        }
        if self.partial.is_empty() {
            if line.len() > limit && keep(&chunk[line.clone()]) {
                return Err(too_long(limit));
            }
            return Ok(Some(Line::Chunk(line)));
        }
        buffer::push(&mut self.partial, &chunk[line], limit);
        self.is_borrowed = true;
        if self.partial.len() > limit && keep(&self.partial) {
            return Err(too_long(limit));
        }
        Ok(Some(Line::Partial))
    }

    /// Whether a needed line has begun, has not ended, and begins like this.
    #[inline]
    pub(crate) fn begins_with(&self, begin: &[u8]) -> bool {
        !self.is_borrowed && self.partial.starts_with(begin)
    }

    /// Keeps bytes of a line that are known to have no line end. The last line must have been released, and this line has to
    /// be needed and within the limit.
    #[inline]
    pub(crate) fn keep(&mut self, bytes: &[u8], pos: &mut usize, limit: usize) {
        if self.partial.is_empty() {
            self.start = self.consumed;
        }
        buffer::push(&mut self.partial, bytes, limit);
        self.advance(pos, bytes.len());
    }

    /// The line that was kept is whole; `len` bytes of line ends follow it.
    #[inline]
    pub(crate) fn borrow(&mut self, pos: &mut usize, len: usize) {
        self.is_borrowed = true;
        self.advance(pos, len);
    }

    /// Whether the last line has begun and not ended.
    #[inline]
    pub(crate) fn is_mid_line(&self) -> bool {
        self.discard || (!self.is_borrowed && !self.partial.is_empty())
    }

    /// The bytes of an unfinished line, at the end of the input.
    pub(crate) fn take_unfinished(&mut self) -> Option<Line> {
        if self.is_borrowed || self.partial.is_empty() {
            return None;
        }
        self.is_borrowed = true;
        Some(Line::Partial)
    }

    /// The line in the partial buffer.
    pub(crate) fn partial(&self) -> &[u8] {
        &self.partial
    }

    /// Begins a line with bytes that were taken from the stream already.
    pub(crate) fn begin(&mut self, bytes: &[u8]) {
        self.partial.extend_from_slice(bytes);
        self.start = self.consumed - bytes.len() as u64;
    }

    /// Skips `len` bytes that are not lines.
    #[inline]
    pub(crate) fn advance(&mut self, pos: &mut usize, len: usize) {
        *pos += len;
        self.consumed += len as u64;
    }

    /// Bytes of the stream before the line that was returned last.
    pub(crate) fn offset(&self) -> u64 {
        self.start
    }

    /// Bytes of the stream that were consumed.
    pub(crate) fn consumed(&self) -> u64 {
        self.consumed
    }
}

#[cold]
fn too_long(limit: usize) -> DecodeErrorKind {
    DecodeErrorKind::Limit { what: "line", len: None, limit: limit as u64 }
}

/// A parsed line. Names are compared exactly, and one space after the colon is not part of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field<'a> {
    Data(&'a [u8]),
    Event(&'a [u8]),
    Id(&'a [u8]),
    Retry(&'a [u8]),
    Comment,
    Unknown,
}

impl<'a> Field<'a> {
    /// Reads a line that is not empty.
    #[inline]
    pub(crate) fn parse(line: &'a [u8]) -> Self {
        // Nearly every line of a model's stream.
        if let Some(value) = line.strip_prefix(b"data:") {
            return Self::Data(value.strip_prefix(b" ").unwrap_or(value));
        }
        let (name, value) = match memchr::memchr(b':', line) {
            Some(0) => return Self::Comment,
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &line[line.len()..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => Self::Data(value),
            b"event" => Self::Event(value),
            b"id" => Self::Id(value),
            b"retry" => Self::Retry(value),
            _ => Self::Unknown,
        }
    }
}

/// Whether a line that begins like this can be a field.
pub(crate) fn may_be_field(begin: &[u8]) -> bool {
    ["data", "event", "id", "retry"].iter().any(|name| {
        let name = name.as_bytes();
        let len = begin.len().min(name.len());
        begin[..len] == name[..len] && begin.get(name.len()).is_none_or(|&b| b == b':')
    })
}
