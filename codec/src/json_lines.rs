//! [JSON lines](https://jsonlines.org): one JSON document per line.
//!
//! Lines end at LF, CR LF or CR, never at U+2028 and the like, which may occur inside a document. Empty lines are
//! skipped; containers end their responses with up to three of them. The documents themselves are not parsed.
//!
//! ```
//! use bytes::Bytes;
//! use sagewire_codec::json_lines::Decoder;
//!
//! let mut decoder = Decoder::new();
//! let mut chunk = Bytes::from_static(b"{\"a\":1}\r\n\n{\"a\":2}");
//! assert_eq!(decoder.decode(&mut chunk)?.as_deref(), Some("{\"a\":1}"));
//! assert_eq!(decoder.decode(&mut chunk)?, None);
//! // The last line needs no line end.
//! assert_eq!(decoder.finish()?.as_deref(), Some("{\"a\":2}"));
//! assert_eq!(decoder.finish()?, None);
//! # Ok::<(), sagewire_codec::DecodeError>(())
//! ```

use alloc::borrow::Cow;

use bytes::Bytes;

use crate::error::{DecodeError, DecodeErrorKind, Layer};
use crate::input::Input;
use crate::limits::Limits;
use crate::sse::{Line, Lines};
use crate::utf8;

/// Decodes lines from chunks cut anywhere.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    input: Input,
    limits: Limits,
    lines: Lines,
    failed: Option<DecodeError>,
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

    /// The next line that is not empty, with malformed UTF-8 replaced by U+FFFD. `Ok(None)` means that `chunk` is
    /// empty: pass the next one.
    ///
    /// # Errors
    ///
    /// A line longer than [`Limits::record`].
    pub fn decode<'a>(&'a mut self, chunk: &mut Bytes) -> Result<Option<Cow<'a, str>>, DecodeError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        while self.input.refill(chunk) {
            let Input { chunk, pos, .. } = &mut self.input;
            match self.lines.next(chunk, pos, self.limits.record, |_| true) {
                Ok(Some(line)) if self.text(&line).trim_ascii().is_empty() => {}
                Ok(Some(line)) => return Ok(Some(utf8::lossy(self.text(&line)))),
                Ok(None) => {}
                Err(kind) => return self.fail(kind),
            }
        }
        Ok(None)
    }

    /// The end of the input: first the last line, if it has no line end, then `Ok(None)`.
    ///
    /// # Errors
    ///
    /// The error that decoding ended with.
    pub fn finish(&mut self) -> Result<Option<Cow<'_, str>>, DecodeError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        match self.lines.take_unfinished() {
            Some(line) if !self.text(&line).trim_ascii().is_empty() => {
                Ok(Some(utf8::lossy(self.text(&line))))
            }
            _ => Ok(None),
        }
    }

    fn text(&self, line: &Line) -> &[u8] {
        match line {
            Line::Chunk(range) => &self.input.chunk[range.clone()],
            Line::Partial => self.lines.partial(),
            Line::Discarded => &[],
        }
    }

    #[cold]
    fn fail<T>(&mut self, kind: DecodeErrorKind) -> Result<T, DecodeError> {
        let error = DecodeError::new(Layer::JsonLines, self.lines.offset(), kind);
        self.failed = Some(error.clone());
        Err(error)
    }
}
