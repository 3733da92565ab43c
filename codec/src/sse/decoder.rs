//! The strict decoder.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::ops::Range;

use bytes::Bytes;

use crate::buffer;
use crate::error::{DecodeError, DecodeErrorKind, Layer};
use crate::input::Input;
use crate::limits::Limits;
use crate::sse::{Event, Field, Line, Lines, may_be_field};
use crate::utf8;

/// Decodes events from chunks cut anywhere.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    input: Input,
    limits: Limits,
    lines: Lines,
    /// The data of the event so far, without the line feed after its last line.
    data: Vec<u8>,
    /// The event has a data line, which may be empty.
    has_data: bool,
    /// The event has a field.
    open: bool,
    /// `data` is borrowed until the next call.
    is_borrowed: bool,
    event: Vec<u8>,
    id: Vec<u8>,
    retry: Option<u64>,
    failed: Option<DecodeError>,
}

/// Where the data of an event is.
enum Data {
    /// In the chunk.
    Chunk(Range<usize>),
    /// In [`Decoder::data`].
    Joined,
}

/// The result of [`Decoder::one_line`].
enum OneLine {
    /// An event, with its data in this range of the chunk.
    Chunk { start: usize, end: usize },
    /// An event, with its data from this offset of the joined line on.
    Line { start: usize },
    /// The chunk is at its end.
    More,
    /// The fast path does not apply.
    Other,
}

impl Decoder {
    /// A decoder with the default [`Limits`].
    pub fn new() -> Self {
        Self::default()
    }

    /// A decoder with other limits, of which only [`Limits::record`] applies.
    pub fn with_limits(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// The next event. `Ok(None)` means that `chunk` is empty: pass the next one.
    ///
    /// # Errors
    ///
    /// A line or an event that is larger than [`Limits::record`]. Comments and unknown fields may be of any size: they
    /// take no memory.
    pub fn decode<'a>(&'a mut self, chunk: &mut Bytes) -> Result<Option<Event<'a>>, DecodeError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if self.is_borrowed {
            self.is_borrowed = false;
            buffer::clear(&mut self.data);
            buffer::clear(&mut self.event);
        }
        self.lines.release();
        while self.input.refill(chunk) {
            match self.one_line() {
                OneLine::Chunk { start, end } => {
                    return Ok(Some(self.event(&self.input.chunk[start..end])));
                }
                OneLine::Line { start } => return Ok(Some(self.event(&self.lines.partial()[start..]))),
                OneLine::More => {}
                OneLine::Other => match self.find() {
                    Ok(Some(Data::Chunk(range))) => return Ok(Some(self.event(&self.input.chunk[range]))),
                    Ok(Some(Data::Joined)) => return Ok(Some(self.event(&self.data))),
                    Ok(None) => {}
                    Err(kind) => return self.fail(kind),
                },
            }
        }
        Ok(None)
    }

    /// Ends the input. As the standard requires, an event without its blank line is discarded.
    ///
    /// # Errors
    ///
    /// *Truncated* if that discarded something; or the error that decoding ended with.
    pub fn finish(&mut self) -> Result<(), DecodeError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let line = self.lines.take_unfinished().map_or(0, |_| self.lines.partial().len());
        if self.input.is_empty() && line == 0 && !self.open {
            return Ok(());
        }
        self.fail(DecodeErrorKind::Truncated {
            what: "event without its blank line",
            len: (self.data.len() + line) as u64,
        })
    }

    /// Reads an event of one data line and its blank line, or the rest of one that was cut, or keeps the beginning of one.
    /// Leaves everything else to the general path.
    #[inline(always)]
    fn one_line(&mut self) -> OneLine {
        const DATA: &[u8] = b"data: ";
        let Self { input, lines, .. } = self;
        let rest = &input.chunk[input.pos..];
        let is_cut = lines.begins_with(DATA);
        let is_whole = rest.starts_with(DATA) && lines.is_settled();
        if self.open || !self.event.is_empty() || !(is_cut || is_whole) {
            return OneLine::Other;
        }
        let end = memchr::memchr2(b'\n', b'\r', rest);
        if lines.partial().len() + end.unwrap_or(rest.len()) + self.id.len() > self.limits.record {
            return OneLine::Other;
        }
        let start = input.pos + DATA.len();
        match end {
            Some(len) if !rest[len..].starts_with(b"\n\n") => OneLine::Other,
            Some(len) if is_cut => {
                lines.keep(&rest[..len], &mut input.pos, self.limits.record);
                lines.borrow(&mut input.pos, 2);
                OneLine::Line { start: DATA.len() }
            }
            Some(len) => {
                lines.advance(&mut input.pos, len + 2);
                OneLine::Chunk { start, end: input.pos - 2 }
            }
            None => {
                lines.keep(rest, &mut input.pos, self.limits.record);
                OneLine::More
            }
        }
    }

    /// Finds the end of an event in the current chunk.
    #[inline(never)]
    fn find(&mut self) -> Result<Option<Data>, DecodeErrorKind> {
        let Self { input, lines, .. } = self;
        let chunk = &input.chunk[..];
        // The first data line of an event, while it can be borrowed from the chunk.
        let mut first: Option<Range<usize>> = None;
        while let Some(line) = lines.next(chunk, &mut input.pos, self.limits.record, may_be_field)? {
            let (bytes, in_chunk) = match &line {
                Line::Chunk(range) => (&chunk[range.clone()], Some(range.start)),
                Line::Partial => (lines.partial(), None),
                Line::Discarded => continue,
            };
            if bytes.is_empty() {
                self.open = false;
                if core::mem::take(&mut self.has_data) {
                    self.is_borrowed = true;
                    return Ok(Some(first.map_or(Data::Joined, Data::Chunk)));
                }
                buffer::clear(&mut self.event);
                continue;
            }
            let field = Field::parse(bytes);
            self.open |= !matches!(field, Field::Comment | Field::Unknown);
            match field {
                Field::Data(value) => {
                    if !self.has_data && in_chunk.is_some() {
                        let end = in_chunk.unwrap_or(0) + bytes.len();
                        first = Some(end - value.len()..end);
                    } else {
                        if let Some(first) = first.take() {
                            buffer::push(&mut self.data, &chunk[first], self.limits.record);
                        }
                        if self.has_data {
                            buffer::push(&mut self.data, b"\n", self.limits.record);
                        }
                        buffer::push(&mut self.data, value, self.limits.record);
                    }
                    self.has_data = true;
                }
                Field::Event(value) => replace(&mut self.event, value),
                // "If the field value does not contain U+0000 NULL, then set the last event ID buffer"
                Field::Id(value) if !value.contains(&0) => replace(&mut self.id, value),
                Field::Retry(value) if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                    // A number that does not fit is ignored.
                    let digits = core::str::from_utf8(value).unwrap_or_default();
                    self.retry = digits.parse().ok().or(self.retry);
                }
                _ => {}
            }
            let held = first.as_ref().map_or(self.data.len(), Range::len) + self.event.len() + self.id.len();
            if held > self.limits.record {
                return Err(DecodeErrorKind::Limit {
                    what: "event",
                    len: None,
                    limit: self.limits.record as u64,
                });
            }
        }
        if let Some(first) = first {
            buffer::push(&mut self.data, &chunk[first], self.limits.record);
        }
        Ok(None)
    }

    #[inline(always)]
    fn event<'a>(&'a self, data: &'a [u8]) -> Event<'a> {
        let (data, retry) = (utf8::lossy(data), self.retry);
        // Most events have neither.
        if self.event.is_empty() && self.id.is_empty() {
            return Event { event: Cow::Borrowed("message"), data, id: Cow::Borrowed(""), retry };
        }
        self.named(data)
    }

    #[inline(never)]
    fn named<'a>(&'a self, data: Cow<'a, str>) -> Event<'a> {
        let event = if self.event.is_empty() { Cow::Borrowed("message") } else { utf8::lossy(&self.event) };
        Event { event, data, id: utf8::lossy(&self.id), retry: self.retry }
    }

    #[cold]
    fn fail<T>(&mut self, kind: DecodeErrorKind) -> Result<T, DecodeError> {
        let error = DecodeError::new(Layer::Sse, self.lines.offset(), kind);
        *self = Self { failed: Some(error.clone()), ..Self::default() };
        Err(error)
    }
}

fn replace(buffer: &mut Vec<u8>, value: &[u8]) {
    buffer::clear(buffer);
    buffer::push(buffer, value, value.len());
}
