//! Stacks the layers: bytes in, events out.
//!
//! ```text
//! chunk ─▶ frames ─▶ part ─▶ records ─▶ record ─▶ reader ─▶ queue ─▶ event
//! ```
//!
//! Each layer finds its next item in the item of the layer above, and keeps its span; nothing is borrowed until an event is
//! delivered. Each step of [`Decoder::step`] calls the lowest layer that has something left, so a layer is called again only
//! when the layer below has used up its last item. Before you change this, consider what events borrow: a record must stay
//! where it is until the last of its events was taken.
//!
//! The path of nearly all records compiles to one function, from [`Decoder::next_cached`] to [`Decoder::borrow_delta`], so
//! that the values passed between steps stay in registers. This is why `inline(always)` is used here: without it, a
//! quarter of the time of an event is spent on loads and stores.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::assemble::{Delta, EventQueue, EventRecord};
use crate::buffer;
use crate::decode::reader::{Match, Reader, RecordKind};
use crate::error::{DecodeError, DecodeErrorKind, Layer};
use crate::eventstream;
use crate::eventstream::SNIFF_LEN;
use crate::formats::converse::Name;
use crate::input::Input;
use crate::json;
use crate::limits::Limits;
use crate::model::Api;
use crate::model::Event;
use crate::model::Failure;
use crate::model::position::{RecordOffset, pointer_at};
use crate::options::Options;
use crate::records::{self, Framing, RecordBuffer};
use crate::sagemaker;
use crate::utf8::Short;

/// Decodes a response stream to chat events.
///
/// ```
/// use bytes::Bytes;
/// use sagewire_codec::{Decoder, model::Event};
///
/// let mut answer = String::new();
/// let mut decoder = Decoder::new();
/// for cut in [
///     &b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"caf\xc3"[..],
///     &b"\xa9\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"[..],
/// ] {
///     let mut chunk = Bytes::from_static(cut);
///     while let Some(event) = decoder.decode(&mut chunk)? {
///         if let Event::TextDelta { text, .. } = event {
///             answer.push_str(&text);
///         }
///     }
/// }
/// while let Some(_held_back) = decoder.finish()? {}
/// assert_eq!(answer, "café");
/// # Ok::<(), sagewire_codec::DecodeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Decoder {
    input: Input,
    mode: Mode,
    frames: eventstream::Scanner,
    /// The kind of the last frame, which is also that of a frame with the same headers.
    last: LastFrame,
    part: Part,
    records: records::Scanner,
    record: Record,
    reader: Reader,
    queue: EventQueue,
    /// A record with its malformed UTF-8 replaced.
    repaired: Vec<u8>,
    /// A short text while an event borrows it.
    short: Short,
    state: State,
}

#[derive(Clone, Debug)]
enum Mode {
    /// Not detected yet: too few bytes have arrived.
    Unknown {
        prefix: [u8; SNIFF_LEN],
        len: u8,
    },
    Frames,
    Unframed,
}

/// The kind of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum LastFrame {
    #[default]
    Unknown,
    Part,
    Event(Name),
}

/// Bytes of the container that are not decoded yet: a range of the chunk or of the partial frame.
#[derive(Clone, Debug, Default)]
struct Part {
    is_partial: bool,
    range: Range<usize>,
}

/// The record that is being read.
#[derive(Clone, Debug, Default)]
struct Record {
    source: Source,
    range: Range<usize>,
    /// The offset up to which it was read.
    from: usize,
    /// The event that its frame names.
    kind: RecordKind,
    /// It is known to be UTF-8, or it is not read as JSON.
    checked: bool,
    /// Its offset in the stream.
    offset: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Source {
    #[default]
    Chunk,
    PartialFrame,
    Line,
    Data,
    Repaired,
}

impl Source {
    /// The bytes that a record is a range of.
    #[inline]
    fn bytes<'a>(
        self,
        input: &'a Input,
        frames: &'a eventstream::Scanner,
        records: &'a records::Scanner,
        repaired: &'a [u8],
    ) -> &'a [u8] {
        match self {
            Self::Chunk => &input.chunk,
            Self::PartialFrame => frames.partial(),
            Self::Line => records.bytes(RecordBuffer::Line, &[]),
            Self::Data => records.bytes(RecordBuffer::Data, &[]),
            Self::Repaired => repaired,
        }
    }
}

/// The result of a step.
enum Next {
    /// The next chunk is needed.
    Chunk,
    /// The next event is in the queue.
    Queued,
    /// The only event of its record, a delta of the open part. Nearly all events are one, and do not need the queue.
    Delta(Delta),
}

#[derive(Clone, Debug)]
enum State {
    Decoding,
    /// The input has ended, perhaps with this error. The remaining events are being delivered.
    Closing(Option<DecodeError>),
    /// Everything was delivered.
    Ended(Option<DecodeError>),
}

impl State {
    fn closing(error: DecodeError) -> Self {
        Self::Closing(Some(error))
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder that detects framing and API automatically.
    pub fn new() -> Self {
        Self::with_options(Options::default())
    }

    /// A decoder with these options.
    // Only a custom format is moved.
    #[cfg_attr(not(feature = "custom"), allow(clippy::needless_pass_by_value))]
    pub fn with_options(options: Options) -> Self {
        // Offsets in a record are 32 bits wide.
        let limits = Arc::new(Limits {
            record: options.limits.record.min(u32::MAX as usize / 2),
            payload: options.limits.payload.min(u32::MAX as usize / 2),
            depth: options.limits.depth.min(json::DEPTH_MAX),
            ..options.limits
        });
        let framing = match options.framing {
            Framing::Sse => Some(Framing::Sse),
            Framing::JsonLines => Some(Framing::JsonLines),
            Framing::Auto | Framing::EventStream | Framing::Unframed | Framing::PlainText => None,
        };
        let mode = match options.framing {
            Framing::Auto => Mode::Unknown { prefix: [0; SNIFF_LEN], len: 0 },
            Framing::EventStream => Mode::Frames,
            Framing::Unframed | Framing::Sse | Framing::JsonLines | Framing::PlainText => Mode::Unframed,
        };
        let api = match options.framing {
            Framing::PlainText => Some(Api::PlainText),
            _ => options.api,
        };
        #[cfg(feature = "custom")]
        let reader = match options.custom {
            Some(format) => Reader::custom(limits.clone(), format),
            None => Reader::new(limits.clone(), api, options.token_logprobs),
        };
        #[cfg(not(feature = "custom"))]
        let reader = Reader::new(limits.clone(), api, options.token_logprobs);
        Self {
            input: Input::default(),
            mode,
            frames: eventstream::Scanner::new(limits.clone()),
            last: LastFrame::default(),
            part: Part::default(),
            records: match api {
                Some(Api::PlainText) => records::Scanner::raw(limits),
                _ => records::Scanner::new(limits, framing),
            },
            record: Record::default(),
            reader,
            queue: EventQueue::default(),
            repaired: Vec::new(),
            short: Short::default(),
            state: State::Decoding,
        }
    }

    /// The next event. `Ok(None)` means that `chunk` is used up: call again with the next one.
    ///
    /// # Errors
    ///
    /// The stream is corrupt, a limit is reached, or the model or the service reported a failure. Everything before has
    /// been delivered. The error stays: there is nothing after it.
    pub fn decode<'a>(&'a mut self, chunk: &mut Bytes) -> Result<Option<Event<'a>>, DecodeError> {
        match self.step(chunk)? {
            Next::Delta(delta) => Ok(Some(self.borrow_delta(&delta))),
            Next::Queued => Ok(self.borrow()),
            Next::Chunk => Ok(None),
        }
    }

    /// Ends the input. Returns the events that were still held back, one at a time, then `Ok(None)`. Only this `Ok(None)` means
    /// that the stream is complete.
    ///
    /// # Errors
    ///
    /// *Truncated* if there was neither a terminal record nor a finish reason for every choice, or if the input ends within a
    /// frame or a record; *unrecognized* if nothing of a response was recognized, whether there was a terminal record or not;
    /// *corrupt* if a malformed record came within a tool call, whose input is incomplete then; or the
    /// error that decoding ended with.
    pub fn finish(&mut self) -> Result<Option<Event<'_>>, DecodeError> {
        let none = &mut Bytes::new();
        // Events that the caller did not take before come first.
        match self.step(none)? {
            Next::Delta(delta) => return Ok(Some(self.borrow_delta(&delta))),
            Next::Queued => return Ok(self.borrow()),
            Next::Chunk => {}
        }
        if let State::Decoding = self.state {
            if let Mode::Unknown { prefix, len } = self.mode {
                self.begin(Bytes::copy_from_slice(&prefix[..usize::from(len)]));
            } else {
                self.state = State::Closing(self.frames.finish(true).err());
            }
            return self.finish();
        }
        Ok(None)
    }

    /// Decodes a chunk, and calls `on_event` with each event: a way to decode without a loop, for callers that need not stop
    /// between two events. [`end`](Self::end) has to follow the last chunk.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use sagewire_codec::{Decoder, model::Event};
    ///
    /// # let body = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\n";
    /// let mut text = String::new();
    /// let mut print = |event: Event<'_>| {
    ///     if let Event::TextDelta { text: more, .. } = event {
    ///         text.push_str(&more);
    ///     }
    /// };
    /// let mut decoder = Decoder::new();
    /// decoder.feed(Bytes::from_static(body), &mut print)?;
    /// decoder.end(&mut print)?;
    /// assert_eq!(text, "hi");
    /// # Ok::<(), sagewire_codec::DecodeError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`decode`](Self::decode), after the events before the fault.
    pub fn feed(
        &mut self,
        chunk: impl Into<Bytes>,
        mut on_event: impl FnMut(Event<'_>),
    ) -> Result<(), DecodeError> {
        let mut chunk = chunk.into();
        while let Some(event) = self.decode(&mut chunk)? {
            on_event(event);
        }
        Ok(())
    }

    /// Ends the input, and calls `on_event` with the events that were held back. `Ok(())` means that the stream is
    /// complete.
    ///
    /// # Errors
    ///
    /// Those of [`finish`](Self::finish), after the events that were held back.
    pub fn end(&mut self, mut on_event: impl FnMut(Event<'_>)) -> Result<(), DecodeError> {
        while let Some(event) = self.finish()? {
            on_event(event);
        }
        Ok(())
    }

    /// Reports that the stream failed, as an exception frame does, for a transport that has removed the frames. Call it when
    /// [`decode`](Self::decode) needs the next chunk. Events that were held back come first, then the error.
    pub fn fail(&mut self, failure: Failure) {
        if let State::Decoding = self.state {
            self.fail_at(self.records.consumed(), failure);
        }
    }

    /// Reports that the frames are corrupt or truncated, for a transport that has removed them. See [`fail`](Self::fail).
    pub fn fail_with(&mut self, error: DecodeError) {
        if let State::Decoding = self.state {
            self.state = State::closing(error);
        }
    }

    /// How the container framed its records: [`Framing::Sse`], [`Framing::JsonLines`] or [`Framing::PlainText`], as soon
    /// as that is known.
    pub fn framing(&self) -> Option<Framing> {
        self.records.framing()
    }

    /// The API of the response: the one that the options name, or the one that was detected, as soon as it is. Any kind of
    /// text generation is detected as [`Api::TextGeneration`]; a custom format has none.
    pub fn api(&self) -> Option<Api> {
        self.reader.api()
    }

    /// Keeps the records from now on, for a caller that passes them on unchanged: see
    /// [`take_records`](Self::take_records).
    pub fn keep_records(&mut self) {
        self.reader.kept().get_or_insert_default();
    }

    /// Calls `take` with each JSON document that was read since the last call, and whether the response is over with it, as it is with
    /// `[DONE]` or with Anthropic's `message_stop`. A record that is malformed or that is an error is not among them. Call it
    /// after each [`decode`](Self::decode) and [`finish`](Self::finish): records that are not taken are dropped once they have 64 MiB.
    pub fn take_records(&mut self, take: impl FnMut(&[u8], bool)) {
        if let Some(kept) = self.reader.kept() {
            kept.take(take);
        }
    }

    /// The position of the last event in its record, if it is known without reading the record again.
    pub(crate) fn record_offset(&self) -> Option<RecordOffset> {
        self.queue.record_offset()
    }

    /// The record of the last event, and its offset in the stream.
    pub(crate) fn record(&self) -> (&[u8], u64) {
        let Self { input, frames, records, record, repaired, .. } = self;
        (&record.source.bytes(input, frames, records, repaired)[record.range.clone()], record.offset)
    }

    /// The JSON pointer ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901)) of the last event in its record. `None` for an
    /// event that is not a single value of the record. This may read the record again, so do not call it for every event.
    pub fn pointer(&self) -> Option<String> {
        let (record, _) = self.record();
        // A record that matched a cached shape is read again.
        let again = match self.queue.position() {
            Some(_) => None,
            None => self.reader.locate(record, self.record.kind),
        };
        pointer_at(record, again.or_else(|| self.record_offset())?)
    }

    /// Decodes until there is an event, if there is one.
    #[inline(always)]
    fn step(&mut self, chunk: &mut Bytes) -> Result<Next, DecodeError> {
        loop {
            if self.queue.advance() {
                return Ok(Next::Queued);
            }
            if self.record.from < self.record.range.len() {
                self.read();
                continue;
            }
            match &mut self.state {
                State::Ended(Some(error)) => return Err(DecodeError::clone(error)),
                State::Ended(None) => return Ok(Next::Chunk),
                State::Closing(error) => {
                    let error = error.take();
                    self.close(error);
                }
                State::Decoding => {
                    let has_part = !self.part.range.is_empty() || self.next_cached() || self.next_part();
                    if !has_part && !self.input.refill(chunk) {
                        self.release();
                        return Ok(Next::Chunk);
                    }
                    if let Some(delta) = self.next_record() {
                        return Ok(Next::Delta(delta));
                    }
                }
            }
        }
    }

    /// Releases the borrowed buffers: a stream that waits for input keeps only its unfinished data.
    fn release(&mut self) {
        self.record = Record::default();
        self.queue.begin(0);
        self.frames.release();
        self.records.release();
        buffer::clear(&mut self.repaired);
    }

    fn borrow(&mut self) -> Option<Event<'_>> {
        let Self { input, frames, records, record, queue, repaired, short, .. } = self;
        let bytes = record.source.bytes(input, frames, records, repaired);
        queue.event(&bytes[record.range.clone()], short)
    }

    #[inline(always)]
    fn borrow_delta(&mut self, delta: &Delta) -> Event<'_> {
        let Self { input, frames, records, record, queue, repaired, short, .. } = self;
        let bytes = record.source.bytes(input, frames, records, repaired);
        queue.delta(delta, &bytes[record.range.clone()], short)
    }

    /// Reads the next document of the record, of which documents or blanks are left.
    fn read(&mut self) {
        if !self.record.checked {
            self.check_record();
        }
        let Self { input, frames, records, record, reader, queue, repaired, .. } = self;
        let bytes = record.source.bytes(input, frames, records, repaired);
        let bytes = &bytes[record.range.clone()];
        if !reader.is_text() {
            record.from += bytes[record.from..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        }
        if record.from == bytes.len() {
            return;
        }
        let offset = record.offset + record.from as u64;
        queue.begin(offset);
        let from = record.from;
        match reader.read(bytes, from, record.kind, queue) {
            Ok(to) => record.from = to,
            Err(kind) => {
                self.fail_record(offset, kind);
                return;
            }
        }
        if let Some(failure) = reader.take_failure() {
            self.state =
                State::closing(DecodeError::new(Layer::Format, offset, DecodeErrorKind::Failure(failure)));
        } else if reader.kept().is_some() {
            let document = &bytes[from..record.from.min(bytes.len())];
            reader.keep(document);
        }
    }

    fn fail_record(&mut self, offset: u64, kind: DecodeErrorKind) {
        self.record.from = usize::MAX;
        self.state = State::closing(DecodeError::new(Layer::Format, offset, kind));
    }

    /// Finds the next record of the part, if there is one, and reads it if it matches a cached shape.
    #[inline(always)]
    fn next_record(&mut self) -> Option<Delta> {
        if !self.part.range.is_empty() {
            let Self { input, frames, records, reader, part, .. } = self;
            let bytes = if part.is_partial { frames.partial() } else { &input.chunk[..] };
            let (bytes, pos) = (&bytes[..part.range.end], &mut part.range.start);
            records.release();
            // A record that matches a shape is read before its end is searched.
            if let Some(start) = records.value_at(bytes, pos) {
                if let Some(found) = reader.find_shape(&bytes[start..], None) {
                    if let Some(offset) = records.take(bytes, pos, start, found.len()) {
                        let source = if part.is_partial { Source::PartialFrame } else { Source::Chunk };
                        let range = start..start + found.len();
                        self.record = Record { source, range, offset, ..Record::default() };
                        return self.read_match(found);
                    }
                }
            }
            match records.next(bytes, pos) {
                Ok(Some(found)) => self.set_record(found),
                Ok(None) => return None,
                Err(error) => {
                    self.state = State::closing(error);
                    return None;
                }
            }
        }
        self.read_by_shape()
    }

    #[inline(always)]
    fn set_record(&mut self, found: records::Found) {
        let source = match found.buffer {
            RecordBuffer::Line => Source::Line,
            RecordBuffer::Data => Source::Data,
            RecordBuffer::Chunk if self.part.is_partial => Source::PartialFrame,
            RecordBuffer::Chunk => Source::Chunk,
        };
        let offset = found.offset;
        self.record = Record { source, range: found.range, from: 0, kind: None, checked: false, offset };
        buffer::clear(&mut self.repaired);
    }

    /// Reads the record that was found, if it matches a cached shape.
    #[inline(always)]
    fn read_by_shape(&mut self) -> Option<Delta> {
        let Self { input, frames, records, record, reader, repaired, .. } = self;
        if record.from > 0 || record.range.is_empty() {
            return None;
        }
        let bytes = &record.source.bytes(input, frames, records, repaired)[record.range.clone()];
        let found = reader.find_shape(bytes, record.kind).filter(|found| found.len() == bytes.len())?;
        self.read_match(found)
    }

    /// Reads the record, which matches a cached shape, to one event or into the queue.
    #[inline(always)]
    fn read_match(&mut self, found: Match) -> Option<Delta> {
        let Self { input, frames, records, record, reader, queue, repaired, .. } = self;
        let bytes = &record.source.bytes(input, frames, records, repaired)[record.range.clone()];
        record.from = usize::MAX;
        if let Some(kept) = reader.kept() {
            kept.push(bytes, false);
        }
        let delta = reader.read_delta(bytes, found, queue);
        if delta.is_none() {
            queue.begin(record.offset);
            if let Err(kind) = reader.read_match(bytes, found, queue) {
                self.fail_record(self.record.offset, kind);
            }
        }
        delta
    }

    /// Makes sure that the record is UTF-8.
    fn check_record(&mut self) {
        let Self { input, frames, records, record, repaired, .. } = self;
        let bytes = &record.source.bytes(input, frames, records, repaired)[record.range.clone()];
        record.checked = true;
        if core::str::from_utf8(bytes).is_err() {
            // JSON must be UTF-8. Malformed UTF-8 costs a character, as in server-sent events, and not the record.
            *repaired = String::from_utf8_lossy(bytes).into_owned().into_bytes();
            record.source = Source::Repaired;
            record.range = 0..repaired.len();
        }
    }

    /// Finds the next part of the chunk, if its frame has the headers of the frame before.
    #[inline(always)]
    fn next_cached(&mut self) -> bool {
        let Self { input, frames, last, .. } = self;
        if *last == LastFrame::Unknown {
            return false;
        }
        let offset = frames.offset();
        let Some(found) = frames.next_cached(&input.chunk, &mut input.pos) else { return false };
        let (_, Range { start, end }) = found.payload();
        match *last {
            LastFrame::Event(name) => self.set_event(name, false, start..end, offset),
            _ => self.part = Part { is_partial: false, range: start..end },
        }
        true
    }

    /// Finds the next part of the chunk.
    fn next_part(&mut self) -> bool {
        if self.input.is_empty() {
            return false;
        }
        match &mut self.mode {
            Mode::Unframed => {
                self.part = Part { is_partial: false, range: self.input.pos..self.input.chunk.len() };
                self.input.pos = self.input.chunk.len();
            }
            Mode::Frames => self.next_frame(),
            Mode::Unknown { prefix, len } => {
                let rest = &self.input.chunk[self.input.pos..];
                let (have, missing) = (usize::from(*len), SNIFF_LEN - usize::from(*len));
                if have == 0 && rest.len() >= SNIFF_LEN {
                    self.mode = sniff(rest);
                } else if rest.len() < missing {
                    prefix[have..have + rest.len()].copy_from_slice(rest);
                    *len += rest.len() as u8;
                    self.input.pos = self.input.chunk.len();
                } else {
                    let chunk = [&prefix[..have], rest].concat();
                    self.begin(Bytes::from(chunk));
                }
            }
        }
        true
    }

    /// Begins to decode input that is long enough to detect its framing.
    fn begin(&mut self, chunk: Bytes) {
        self.mode = sniff(&chunk);
        self.input = Input::new(chunk);
    }

    fn next_frame(&mut self) {
        let offset = self.frames.offset();
        let found = match self.frames.next(&self.input.chunk, &mut self.input.pos) {
            Ok(Some(found)) => found,
            Ok(None) => return,
            Err(error) => return self.state = State::closing(error),
        };
        let (is_partial, range) = found.payload();
        match self.last {
            LastFrame::Part if found.same_headers => return self.part = Part { is_partial, range },
            LastFrame::Event(name) if found.same_headers => {
                return self.set_event(name, is_partial, range, offset);
            }
            _ => self.last = LastFrame::Unknown,
        }
        let source = if is_partial { Source::PartialFrame } else { Source::Chunk };
        let frame = self.frames.frame(&found, &self.input.chunk);
        match sagemaker::Event::parse(&frame) {
            sagemaker::Event::PayloadPart(_) => {
                self.last = LastFrame::Part;
                self.part = Part { is_partial, range };
            }
            sagemaker::Event::Failure(failure) => self.fail_at(offset, failure),
            // Some services send this event. It has no content.
            sagemaker::Event::Other { event_type: "initial-response", .. } => {}
            sagemaker::Event::Other { event_type: "", payload: [] } => {}
            // InvokeModelWithResponseStream wraps each record of the provider once more.
            sagemaker::Event::Other { event_type: "chunk", payload } => {
                buffer::clear(&mut self.repaired);
                self.record = match unwrap_chunk(payload, &mut self.repaired) {
                    Some(()) => {
                        let (source, range) = (Source::Repaired, 0..self.repaired.len());
                        Record { source, range, offset, ..Record::default() }
                    }
                    None => {
                        self.queue.begin(offset);
                        self.reader.malformed(&mut self.queue, 0..payload.len(), "no Base64 in a chunk");
                        Record {
                            source,
                            from: range.len(),
                            range,
                            checked: true,
                            offset,
                            ..Record::default()
                        }
                    }
                };
            }
            sagemaker::Event::Other { event_type, payload } => {
                if let Some(name) = Name::parse(event_type.as_bytes()) {
                    self.last = LastFrame::Event(name);
                    return self.set_event(name, is_partial, range, offset);
                }
                self.queue.begin(offset);
                self.reader.note_unknown("the events of the stream have unknown types");
                let name = Some(self.queue.copy(event_type.as_bytes()));
                let json = EventQueue::span(0..payload.len());
                self.queue.push(EventRecord::Other { choice: None, name, json });
                let source = if is_partial { Source::PartialFrame } else { Source::Chunk };
                self.record =
                    Record { source, from: range.len(), range, checked: true, offset, ..Record::default() };
            }
        }
    }

    /// The payload of a frame is a record.
    #[inline(always)]
    fn set_event(&mut self, name: Name, is_partial: bool, range: Range<usize>, offset: u64) {
        let source = if is_partial { Source::PartialFrame } else { Source::Chunk };
        self.record = Record { source, range, kind: Some(name), offset, ..Record::default() };
        buffer::clear(&mut self.repaired);
    }

    fn fail_at(&mut self, offset: u64, failure: Failure) {
        let kind = DecodeErrorKind::Failure(Box::new(failure));
        self.state = State::closing(DecodeError::new(Layer::SageMaker, offset, kind));
    }

    /// The input has ended, perhaps with `error`. Delivers the complete records, then decides how the stream ended.
    fn close(&mut self, error: Option<DecodeError>) {
        // After an error of the frames, the bytes of the container may still have a whole record. Errors of the container's
        // own bytes are final.
        let final_fault =
            matches!(&error, Some(error) if matches!(error.layer(), Layer::Record | Layer::Format));
        let unfinished = if final_fault || self.reader.response().is_over() {
            None
        } else {
            match self.records.finish() {
                Ok(Some(found)) => {
                    self.part = Part::default();
                    self.set_record(found);
                    self.state = State::Closing(error);
                    return;
                }
                Ok(None) => None,
                Err(unfinished) => Some(unfinished),
            }
        };
        self.record = Record::default();
        self.queue.begin(0);
        let error = error.or(unfinished);
        let of_events = self.framing() == Some(Framing::Sse);
        self.reader.finish(error.is_none(), of_events, &mut self.queue);
        // Each event has a frame of its own.
        let has_events = matches!(self.last, LastFrame::Event(_));
        let end = if has_events { self.frames.offset() } else { self.records.consumed() };
        let broken = self.reader.response().broken();
        let error = error.or_else(|| {
            if let Some(offset) = broken {
                let kind = DecodeErrorKind::Malformed { what: "tool call", why: "input was lost" };
                return Some(DecodeError::new(Layer::Format, offset, kind));
            }
            let (response, api) = (self.reader.response(), self.reader.api());
            if let Some(why) = self.reader.why_unrecognized() {
                let kind = DecodeErrorKind::Unrecognized { why, api, is_ended: response.is_complete() };
                return Some(DecodeError::new(Layer::Format, end, kind));
            }
            let what = "no terminal record and no finish reason";
            let truncated = DecodeErrorKind::Truncated { what, len: 0 };
            (!self.reader.response().is_complete()).then(|| DecodeError::new(Layer::Format, end, truncated))
        });
        self.state = State::Ended(error);
    }
}

/// Appends the record in a `chunk` of InvokeModelWithResponseStream: `{"bytes":"<Base64>","p":"…"}`.
fn unwrap_chunk(payload: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut bytes = None;
    let read = |json: &mut json::Json<'_>, name: &[u8]| {
        match name {
            b"bytes" => bytes = json.string_or_skip()?,
            _ => json.skip().map(drop)?,
        }
        Ok(())
    };
    json::Json::new(payload, 0, json::DEPTH_MAX).object(read).ok()?;
    STANDARD.decode_vec(json::unescaped(payload, bytes?), out).ok()
}

fn sniff(begin: &[u8]) -> Mode {
    if eventstream::looks_like_frames(begin) { Mode::Frames } else { Mode::Unframed }
}
