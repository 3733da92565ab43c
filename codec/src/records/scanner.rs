//! Finds one JSON document at a time, however the container framed it.
//!
//! A container should send strict server-sent events. Real containers also send JSON lines, documents one after the other or
//! over many lines, one array, a plain body, `data:` lines without blank lines between them, a stray empty `data:`, or an
//! error as a bare line after an event stream. The scanner reads all of these line by line, without a mode:
//!
//! | a line that begins with | is |
//! |---|---|
//! | `{`, or `[` before `{`, `[` or `]` | the beginning of JSON, which ends with the matching closing bracket |
//! | `data` | a piece of an event's data |
//! | `event`, `id`, `retry`, `:` | another field of an event, or a comment: ignored |
//! | `[DONE]` | itself |
//! | anything else | ignored after the first field of an event, as the standard requires; malformed before |
//!
//! The data of an event is a record at its blank line, or as soon as it is a whole JSON document. So the first token never
//! waits for the second, and lines without blank lines between them are records of their own.
//!
//! Before you change this, consider every cut: where chunks end decides when a record is found, but never which.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use crate::ablation::Shortcut;
use crate::buffer;
use crate::error::{DecodeError, DecodeErrorKind, Layer};
use crate::limits::Limits;
use crate::records::framing::Framing;
use crate::records::text_chunks;
use crate::records::text_chunks::Piece;
use crate::records::{Extent, JsonBoundary};
use crate::sse::{Field, Line, Lines, may_be_field};

/// The beginning of nearly all lines.
const DATA: &[u8] = b"data: ";

/// The span of a record.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) buffer: RecordBuffer,
    pub(crate) range: Range<usize>,
    /// Its offset in the stream.
    pub(crate) offset: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordBuffer {
    /// In the chunk.
    Chunk,
    /// In the line that was joined from several chunks.
    Line,
    /// In the data that was joined from several lines or chunks.
    Data,
}

/// Finds records in chunks cut anywhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scanner {
    limits: Arc<Limits>,
    lines: Lines,
    /// The data of an event that has not ended, or the beginning of a JSON document.
    data: Vec<u8>,
    boundary: JsonBoundary,
    state: State,
    /// `data` is borrowed until the next call.
    is_borrowed: bool,
    /// The offset of `data` in the stream.
    start: u64,
    /// The number of open top-level arrays. Their elements are records.
    arrays: u32,
    framing: Option<Framing>,
    /// Set if there are no records, only text. Text that is held back is in `data`.
    raw: Option<text_chunks::Scanner>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Between lines or documents.
    #[default]
    Line,
    /// Blanks at the beginning of a line: JSON may be indented, a field may not.
    Indent,
    /// `[` at the beginning of a line: an array of records, or `[DONE]`.
    Bracket,
    /// An event has data.
    Data,
    /// A JSON document is open.
    Json,
}

impl Scanner {
    /// A scanner of records, with a framing if it is known.
    pub(crate) fn new(limits: Arc<Limits>, framing: Option<Framing>) -> Self {
        Self { limits, framing, ..Self::default() }
    }

    /// A scanner of plain text. Each piece is a record.
    pub(crate) fn raw(limits: Arc<Limits>) -> Self {
        Self { raw: Some(text_chunks::Scanner::default()), ..Self::new(limits, Some(Framing::PlainText)) }
    }

    /// The framing of the records, once it is known.
    pub(crate) fn framing(&self) -> Option<Framing> {
        self.framing
    }

    /// The number of bytes of the stream that were read.
    pub(crate) fn consumed(&self) -> u64 {
        self.lines.consumed()
    }

    /// The bytes of a record that was found in `chunk`.
    #[inline]
    pub(crate) fn bytes<'a>(&'a self, buffer: RecordBuffer, chunk: &'a [u8]) -> &'a [u8] {
        match buffer {
            RecordBuffer::Chunk => chunk,
            RecordBuffer::Line => self.lines.partial(),
            RecordBuffer::Data => &self.data,
        }
    }

    /// Finds the next record in `chunk` from `pos` on. `None`: `pos` is at its end.
    #[inline]
    pub(crate) fn next(&mut self, chunk: &[u8], pos: &mut usize) -> Result<Option<Found>, DecodeError> {
        self.release();
        if let Some(raw) = &mut self.raw {
            let mut end = *pos;
            let piece = raw.next(&mut self.data, chunk, &mut end);
            self.lines.advance(pos, end - *pos);
            return Ok(piece.map(|piece| self.piece(piece)));
        }
        if let Some(found) = self.one_line(chunk, pos) {
            return Ok(found);
        }
        self.find(chunk, pos).map_err(|kind| self.error(kind))
    }

    /// The record of a piece of plain text, which is at the end of the bytes that were read.
    fn piece(&mut self, piece: Piece) -> Found {
        self.is_borrowed = matches!(piece, Piece::Held(_));
        let (buffer, range, held) = match piece {
            Piece::Chunk(range) => (RecordBuffer::Chunk, range, self.data.len()),
            Piece::Held(range) => (RecordBuffer::Data, range.clone(), self.data.len() - range.len()),
        };
        let offset = self.lines.consumed().saturating_sub((range.len() + held) as u64);
        Found { buffer, range, offset }
    }

    /// Releases the borrowed record.
    #[inline]
    pub(crate) fn release(&mut self) {
        self.lines.release();
        if self.is_borrowed {
            self.is_borrowed = false;
            match self.raw {
                Some(raw) => raw.take_back(&mut self.data),
                None => buffer::clear(&mut self.data),
            }
        }
    }

    /// The start of a value that may be a whole record, if nothing is unfinished: the value of a data line, also below a
    /// line that names the event, or JSON at the beginning of a line. Skips blank lines before it, which end nothing.
    #[inline(always)]
    pub(crate) fn value_at(&mut self, chunk: &[u8], pos: &mut usize) -> Option<usize> {
        if self.state != State::Line || !self.lines.is_settled() || !Shortcut::ReadAhead.is_on() {
            return None;
        }
        // Nearly every record of a model's stream.
        match chunk[*pos..] {
            [b'd', b'a', b't', b'a', b':', next, ..] => Some(*pos + DATA.len() - usize::from(next != b' ')),
            [b'{', ..] => Some(*pos),
            _ => self.other_value_at(chunk, pos),
        }
    }

    #[inline(never)]
    fn other_value_at(&mut self, chunk: &[u8], pos: &mut usize) -> Option<usize> {
        if self.raw.is_some() {
            return None;
        }
        while chunk.get(*pos) == Some(&b'\n') {
            self.lines.advance(pos, 1);
        }
        let rest = &chunk[*pos..];
        let start = match rest.first()? {
            b'd' => data_value(rest)?,
            b'{' => 0,
            b'e' if rest.starts_with(b"event:") => {
                let below = memchr::memchr2(b'\n', b'\r', rest).filter(|&end| rest[end] == b'\n')? + 1;
                below + data_value(&rest[below..])?
            }
            _ => return None,
        };
        Some(*pos + start)
    }

    /// Takes the record that begins at [`start`](Self::value_at) and has `len` bytes without a line end: a JSON
    /// document, or a whole data line if its blank line comes next. Returns the offset of the record in the stream.
    #[inline]
    pub(crate) fn take(&mut self, chunk: &[u8], pos: &mut usize, start: usize, len: usize) -> Option<u64> {
        let (is_json, end) = (start == *pos, start + len);
        if !(is_json || chunk[end..].starts_with(b"\n\n")) || end - *pos > self.limits.record {
            return None;
        }
        match is_json {
            true => _ = self.framing.get_or_insert(Framing::JsonLines),
            false => self.framing = Some(Framing::Sse),
        }
        let offset = self.lines.consumed() + (start - *pos) as u64;
        let line_ends = if is_json { usize::from(chunk.get(end) == Some(&b'\n')) } else { 2 };
        self.lines.advance(pos, end - *pos + line_ends);
        Some(offset)
    }

    /// Finds an event of one data line and its blank line, or the rest of one that was cut, or keeps the beginning of one.
    /// Leaves everything else to [`find`](Self::find).
    #[inline]
    fn one_line(&mut self, chunk: &[u8], pos: &mut usize) -> Option<Option<Found>> {
        let rest = &chunk[*pos..];
        let is_cut = self.lines.begins_with(DATA);
        let is_whole = self.lines.is_settled() && rest.starts_with(DATA);
        if self.state != State::Line || !(is_cut || is_whole) || !Shortcut::OneLine.is_on() {
            return None;
        }
        let end = memchr::memchr2(b'\n', b'\r', rest);
        if self.lines.partial().len() + end.unwrap_or(rest.len()) > self.limits.record {
            return None;
        }
        match end {
            Some(len) if !rest[len..].starts_with(b"\n\n") => None,
            Some(len) if is_cut => {
                self.framing = Some(Framing::Sse);
                self.lines.keep(&rest[..len], pos, self.limits.record);
                self.lines.borrow(pos, 2);
                let offset = self.lines.offset() + DATA.len() as u64;
                Some(Some(Found {
                    buffer: RecordBuffer::Line,
                    range: DATA.len()..self.lines.partial().len(),
                    offset,
                }))
            }
            Some(len) => {
                let range = *pos + DATA.len()..*pos + len;
                let offset = self.take(chunk, pos, range.start, range.len());
                Some(offset.map(|offset| Found { buffer: RecordBuffer::Chunk, range, offset }))
            }
            None => {
                self.lines.keep(rest, pos, self.limits.record);
                Some(None)
            }
        }
    }

    fn find(&mut self, chunk: &[u8], pos: &mut usize) -> Result<Option<Found>, DecodeErrorKind> {
        loop {
            let found = match self.state {
                State::Json if *pos == chunk.len() => return Ok(None),
                State::Json => self.json(chunk, pos)?,
                _ => match self.lines.peek(chunk, pos) {
                    None if *pos == chunk.len() => return Ok(None),
                    None => self.line(chunk, pos)?,
                    Some(next) => match (self.state, next) {
                        // The blank line of an event that was already returned as a record.
                        (State::Line, b'\n') => {
                            self.lines.advance(pos, 1);
                            None
                        }
                        (State::Bracket, b' ' | b'\t' | b'\r' | b'\n') => {
                            self.lines.advance(pos, 1);
                            None
                        }
                        (State::Bracket, b'{' | b'[' | b']') => {
                            self.framing.get_or_insert(Framing::JsonLines);
                            self.arrays += 1;
                            self.state = State::Line;
                            None
                        }
                        (State::Bracket, _) => {
                            self.state = State::Line;
                            self.lines.begin(b"[");
                            None
                        }
                        (State::Indent, b'\r' | b'\n') => {
                            // A line of white space is not a blank line, and ends no event.
                            self.lines.advance(pos, 1);
                            self.state = State::Line;
                            None
                        }
                        // A line that is not a field ends an event with data, as a blank line would.
                        (State::Data, b'{' | b'[') => self.dispatch(),
                        (_, b'{') => {
                            self.framing.get_or_insert(Framing::JsonLines);
                            self.state = State::Json;
                            self.boundary = JsonBoundary::default();
                            self.start = self.lines.consumed();
                            None
                        }
                        (_, b'[') => {
                            self.lines.advance(pos, 1);
                            self.state = State::Bracket;
                            None
                        }
                        (State::Line | State::Indent, b' ' | b'\t') => {
                            self.lines.advance(pos, 1);
                            self.state = State::Indent;
                            None
                        }
                        (State::Line | State::Indent, b',') if self.separates() => {
                            self.lines.advance(pos, 1);
                            None
                        }
                        (State::Line | State::Indent, b']') if self.arrays > 0 => {
                            self.lines.advance(pos, 1);
                            self.arrays -= 1;
                            None
                        }
                        (State::Indent, _) => {
                            self.state = State::Line;
                            self.lines.begin(b" ");
                            None
                        }
                        (_, b':') => {
                            // The first byte is enough: the rest of a comment may never be read.
                            self.framing = Some(Framing::Sse);
                            self.line(chunk, pos)?
                        }
                        _ => self.line(chunk, pos)?,
                    },
                },
            };
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// Reads on in a JSON document.
    fn json(&mut self, chunk: &[u8], pos: &mut usize) -> Result<Option<Found>, DecodeErrorKind> {
        let rest = &chunk[*pos..];
        let (len, whole) = match self.boundary.feed(rest) {
            Extent::Open => (rest.len(), false),
            Extent::End(len) | Extent::Broken(len) => (len, true),
        };
        if self.data.len() + len > self.limits.record {
            return Err(self.too_long());
        }
        let in_chunk = *pos..*pos + len;
        self.lines.advance(pos, len);
        if whole {
            self.state = State::Line;
            if self.data.is_empty() {
                return Ok(Some(Found { buffer: RecordBuffer::Chunk, range: in_chunk, offset: self.start }));
            }
        }
        buffer::push(&mut self.data, &chunk[in_chunk], self.limits.record);
        Ok(if whole {
            self.is_borrowed = true;
            Some(Found { buffer: RecordBuffer::Data, range: 0..self.data.len(), offset: self.start })
        } else {
            None
        })
    }

    /// Reads on in a line that is not JSON.
    fn line(&mut self, chunk: &[u8], pos: &mut usize) -> Result<Option<Found>, DecodeErrorKind> {
        let sse = self.framing == Some(Framing::Sse);
        let keep = |begin: &[u8]| may_be_field(begin) || begin[0] == b'[' || (!sse && begin[0] != b':');
        let Some(line) = self.lines.next(chunk, pos, self.limits.record, keep)? else { return Ok(None) };
        self.whole_line(chunk, &line, chunk.get(*pos).copied())
    }

    /// Reads a whole line. `next` is the byte after it, if it is known.
    fn whole_line(
        &mut self,
        chunk: &[u8],
        line: &Line,
        next: Option<u8>,
    ) -> Result<Option<Found>, DecodeErrorKind> {
        let (buffer, start, bytes) = match line {
            Line::Chunk(range) => (RecordBuffer::Chunk, range.start, &chunk[range.clone()]),
            Line::Partial => (RecordBuffer::Line, 0, self.lines.partial()),
            Line::Discarded => return Ok(None),
        };
        if bytes.is_empty() {
            return Ok(self.dispatch());
        }
        let whole = Found { buffer, range: start..start + bytes.len(), offset: self.lines.offset() };
        let value = match Field::parse(bytes) {
            Field::Data(value) => value,
            Field::Unknown if bytes[0] == b'[' => return Ok(Some(whole)),
            Field::Unknown => {
                // Before the first field of an event, and between documents, this may be no event stream at all, so the
                // line is delivered. After a field, the standard requires to ignore it.
                let shown = self.framing != Some(Framing::Sse) && !bytes.trim_ascii().is_empty();
                if shown {
                    self.framing.get_or_insert(Framing::PlainText);
                }
                return Ok(shown.then_some(whole));
            }
            _ => {
                self.framing = Some(Framing::Sse);
                return Ok(None);
            }
        };
        self.framing = Some(Framing::Sse);
        let skip = bytes.len() - value.len();
        if self.state != State::Data {
            let ends = matches!(next, Some(b'\n' | b'\r'));
            self.boundary = JsonBoundary::default();
            if ends || is_whole(&mut self.boundary, value) {
                let range = whole.range.start + skip..whole.range.end;
                return Ok(Some(Found { buffer, range, offset: whole.offset + skip as u64 }));
            }
            self.start = whole.offset + skip as u64;
            self.state = State::Data;
            buffer::push(&mut self.data, value, self.limits.record);
            return Ok(None);
        }
        if self.data.len() + 1 + value.len() > self.limits.record {
            return Err(self.too_long());
        }
        buffer::push(&mut self.data, b"\n", self.limits.record);
        buffer::push(&mut self.data, value, self.limits.record);
        Ok(if is_whole(&mut self.boundary, value) { self.dispatch() } else { None })
    }

    /// The data of an event is complete.
    fn dispatch(&mut self) -> Option<Found> {
        if self.state != State::Data {
            return None;
        }
        self.state = State::Line;
        self.is_borrowed = true;
        Some(Found { buffer: RecordBuffer::Data, range: 0..self.data.len(), offset: self.start })
    }

    /// The end of the input. Returns what is still a whole record, one at a time.
    ///
    /// # Errors
    ///
    /// *Truncated* in the middle of a record.
    pub(crate) fn finish(&mut self) -> Result<Option<Found>, DecodeError> {
        self.release();
        if let Some(raw) = &mut self.raw {
            return Ok(raw.finish(&self.data).map(|piece| self.piece(piece)));
        }
        let truncated = |what, len: usize| DecodeErrorKind::Truncated { what, len: len as u64 };
        if let Some(line) = self.lines.take_unfinished() {
            let found = self.whole_line(&[], &line, None).map_err(|kind| self.error(kind))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        match self.state {
            State::Data if self.boundary.is_complete() || self.data.trim_ascii().is_empty() => {
                Ok(self.dispatch())
            }
            State::Data | State::Json => {
                let error = self.error(truncated("record ends early", self.data.len()));
                self.state = State::Line;
                Err(error)
            }
            _ if self.arrays > 0 || self.state == State::Bracket => {
                let kind = truncated("array of records does not end", 0);
                Err(DecodeError::new(Layer::Record, self.lines.consumed(), kind))
            }
            _ => Ok(None),
        }
    }

    /// Whether documents are separated by commas.
    fn separates(&self) -> bool {
        self.arrays > 0 || self.framing == Some(Framing::JsonLines)
    }

    #[cold]
    fn too_long(&self) -> DecodeErrorKind {
        DecodeErrorKind::Limit { what: "record", len: None, limit: self.limits.record as u64 }
    }

    #[cold]
    fn error(&self, kind: DecodeErrorKind) -> DecodeError {
        let offset =
            if matches!(self.state, State::Data | State::Json) { self.start } else { self.lines.offset() };
        DecodeError::new(Layer::Record, offset, kind)
    }
}

/// The start of the value of the data line that `rest` begins with.
#[inline]
fn data_value(rest: &[u8]) -> Option<usize> {
    match rest.strip_prefix(b"data:")? {
        [b' ', ..] => Some(DATA.len()),
        _ => Some(DATA.len() - 1),
    }
}

/// Whether the data of an event is a whole JSON document with this line.
fn is_whole(boundary: &mut JsonBoundary, mut line: &[u8]) -> bool {
    loop {
        match boundary.feed(line) {
            Extent::Open => return boundary.is_complete(),
            Extent::Broken(_) => return true,
            Extent::End(len) if len == line.len() => return true,
            Extent::End(len) => line = &line[len..],
        }
    }
}
