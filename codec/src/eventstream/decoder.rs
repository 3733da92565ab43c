//! The incremental decoder.
//!
//! A frame that is complete in a chunk is checked and borrowed in place. Any other frame is joined in the partial buffer:
//! first the twelve bytes of its prelude, which are checked before anything more is buffered, then the rest. Except for the
//! checksum, no byte is read twice, and the partial buffer only holds bytes that have arrived.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use bytes::Bytes;

use crate::ablation::Shortcut;
use crate::buffer;
use crate::error::{DecodeError, DecodeErrorKind, Layer};
use crate::eventstream::frame::{Frame, PRELUDE_LEN, Prelude};
use crate::eventstream::header_cache::HeaderCache;
use crate::input::Input;
use crate::limits::Limits;

/// Decodes frames from chunks cut anywhere.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    input: Input,
    scanner: Scanner,
}

impl Decoder {
    /// A decoder with the default [`Limits`].
    pub fn new() -> Self {
        Self::default()
    }

    /// A decoder with other limits.
    pub fn with_limits(limits: Limits) -> Self {
        Self { scanner: Scanner::new(Arc::new(limits)), ..Self::default() }
    }

    /// The next frame. `Ok(None)` means that `chunk` is used up: call again with the next one.
    ///
    /// # Errors
    ///
    /// A frame that is corrupt or larger than the [`Limits`] allow. A wrong length is detected as soon as the twelve bytes
    /// of the prelude have arrived. The next frame cannot be found after that, so the error is permanent.
    pub fn decode<'a>(&'a mut self, chunk: &mut Bytes) -> Result<Option<Frame<'a>>, DecodeError> {
        self.scanner.check_failed()?;
        while self.input.refill(chunk) {
            let Input { chunk, pos } = &mut self.input;
            let found = match self.scanner.next_cached(chunk, pos) {
                Some(found) => Some(found),
                None => self.scanner.next(chunk, pos)?,
            };
            if let Some(found) = found {
                return Ok(Some(self.scanner.frame(&found, &self.input.chunk)));
            }
        }
        Ok(None)
    }

    /// The end of the input.
    ///
    /// # Errors
    ///
    /// *Truncated* in the middle of a frame; or the error that decoding ended with.
    pub fn finish(&mut self) -> Result<(), DecodeError> {
        self.scanner.finish(self.input.is_empty())
    }
}

/// A frame that was found, to be borrowed later.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// Its offset in the chunk; `None` if it is in the partial buffer.
    start: Option<usize>,
    prelude: Prelude,
    /// Its headers are equal to those of the previous frame.
    pub(crate) same_headers: bool,
}

impl Found {
    /// Whether the payload is in the partial buffer instead of the chunk, and its range there.
    #[inline(always)]
    pub(crate) fn payload(&self) -> (bool, Range<usize>) {
        let start = self.start.unwrap_or(0);
        let payload = self.prelude.payload();
        (self.start.is_none(), start + payload.start..start + payload.end)
    }
}

/// The decoder without its input: finds frames in slices.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scanner {
    limits: Arc<Limits>,
    /// The beginning of a frame that did not end in its chunk, or the whole of it once it is found.
    partial: Vec<u8>,
    /// Set once the first twelve bytes of the partial buffer are checked.
    prelude: Option<Prelude>,
    /// The partial buffer holds a whole frame, which is borrowed until the next call.
    whole: bool,
    /// The headers of the last frame, which was checked, unless they were long.
    last: Option<Box<HeaderCache>>,
    /// The offset of the next frame in the stream.
    offset: u64,
    failed: Option<DecodeError>,
}

impl Scanner {
    pub(crate) fn new(limits: Arc<Limits>) -> Self {
        Self { limits, ..Self::default() }
    }

    /// The next frame, if it is complete in `chunk`, valid, and has the headers of the previous frame, as nearly all
    /// frames. Anything else is left to [`next`](Self::next).
    #[inline(always)]
    pub(crate) fn next_cached(&mut self, chunk: &[u8], pos: &mut usize) -> Option<Found> {
        let rest = &chunk[*pos..];
        // After an error there is no previous frame.
        if !self.partial.is_empty() || !Shortcut::FrameHeaders.is_on() {
            return None;
        }
        let prelude = self.last.as_ref()?.read(rest, &self.limits)?;
        let start = Some(*pos);
        *pos += prelude.total;
        self.offset += prelude.total as u64;
        Some(Found { start, prelude, same_headers: true })
    }

    /// Finds the next frame in `chunk` from `pos` on. `None`: `pos` is at its end.
    #[inline(always)]
    pub(crate) fn next(&mut self, chunk: &[u8], pos: &mut usize) -> Result<Option<Found>, DecodeError> {
        self.check_failed()?;
        self.release();
        let rest = &chunk[*pos..];
        if !self.partial.is_empty() || rest.len() < PRELUDE_LEN {
            return self.next_partial(chunk, pos);
        }
        let prelude = self.parse_prelude(rest)?;
        if rest.len() < prelude.total {
            self.prelude = Some(prelude);
            return self.next_partial(chunk, pos);
        }
        let same_headers = self.check(prelude, &rest[..prelude.total])?;
        let start = Some(*pos);
        *pos += prelude.total;
        Ok(Some(Found { start, prelude, same_headers }))
    }

    /// Releases what was borrowed.
    #[inline]
    pub(crate) fn release(&mut self) {
        if self.whole {
            self.whole = false;
            self.prelude = None;
            buffer::clear(&mut self.partial);
        }
    }

    /// The same for a frame that is not complete in one chunk.
    fn next_partial(&mut self, chunk: &[u8], pos: &mut usize) -> Result<Option<Found>, DecodeError> {
        let mut fill = |partial: &mut Vec<u8>, len: usize| {
            let take = (len - partial.len()).min(chunk.len() - *pos);
            buffer::push(partial, &chunk[*pos..*pos + take], len);
            *pos += take;
            partial.len() == len
        };
        let prelude = match self.prelude {
            Some(prelude) => prelude,
            None => {
                if !fill(&mut self.partial, PRELUDE_LEN) {
                    return Ok(None);
                }
                let partial = core::mem::take(&mut self.partial);
                let prelude = self.parse_prelude(&partial)?;
                self.partial = partial;
                self.prelude = Some(prelude);
                prelude
            }
        };
        if !fill(&mut self.partial, prelude.total) {
            return Ok(None);
        }
        let partial = core::mem::take(&mut self.partial);
        let same_headers = self.check(prelude, &partial)?;
        self.partial = partial;
        self.whole = true;
        Ok(Some(Found { start: None, prelude, same_headers }))
    }

    /// The frame that [`next`](Self::next) found, from the same chunk.
    pub(crate) fn frame<'a>(&'a self, found: &Found, chunk: &'a Bytes) -> Frame<'a> {
        match found.start {
            Some(start) => Frame::new(&chunk[start..start + found.prelude.total], found.prelude, Some(chunk)),
            None => Frame::new(&self.partial, found.prelude, None),
        }
    }

    /// The frame that was joined from several chunks.
    pub(crate) fn partial(&self) -> &[u8] {
        &self.partial
    }

    /// The offset of the next frame in the stream.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The end of the input. `decoded` is whether the last chunk was decoded to its end.
    pub(crate) fn finish(&mut self, decoded: bool) -> Result<(), DecodeError> {
        self.check_failed()?;
        if decoded && (self.whole || self.partial.is_empty()) {
            return Ok(());
        }
        let (what, len) = ("frame ends early", self.partial.len() as u64);
        self.fail(0, DecodeErrorKind::Truncated { what, len })
    }

    #[inline]
    fn check_failed(&self) -> Result<(), DecodeError> {
        match &self.failed {
            Some(error) => Err(DecodeError::clone(error)),
            None => Ok(()),
        }
    }

    fn parse_prelude(&mut self, bytes: &[u8]) -> Result<Prelude, DecodeError> {
        match Prelude::parse(bytes, &self.limits) {
            Ok(prelude) => Ok(prelude),
            Err(kind) => self.fail(0, kind),
        }
    }

    /// Checks a whole frame, and returns whether its headers are those of the previous frame.
    #[inline]
    fn check(&mut self, prelude: Prelude, frame: &[u8]) -> Result<bool, DecodeError> {
        let headers = &frame[prelude.headers()];
        let same_headers =
            Shortcut::FrameHeaders.is_on() && self.last.as_ref().is_some_and(|last| last.has(headers));
        let mut checked = prelude.check_checksum(frame);
        if !same_headers {
            checked = checked.and_then(|()| prelude.check_headers(frame, &self.limits));
        }
        if let Err((offset, kind)) = checked {
            return self.fail(offset, kind);
        }
        if !same_headers {
            self.last = if Shortcut::FrameHeaders.is_on() { HeaderCache::new(headers) } else { None };
        }
        self.offset += prelude.total as u64;
        Ok(same_headers)
    }

    /// Fails for good at `offset` bytes into the current frame.
    #[cold]
    fn fail<T>(&mut self, offset: usize, kind: DecodeErrorKind) -> Result<T, DecodeError> {
        let error = DecodeError::new(Layer::EventStream, self.offset + offset as u64, kind);
        (self.partial, self.last) = (Vec::new(), None);
        self.failed = Some(error.clone());
        Err(error)
    }
}
