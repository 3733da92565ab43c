//! Decodes what a [`Read`] brings, without async (feature `std`).

use core::task::Poll;
use std::io::{self, Read};

use bytes::Bytes;

use crate::decode::{Chunk, DecodeLoop, Decoder};
use crate::model::Event;

/// Bytes that are read at a time.
const CHUNK: usize = 16 * 1024;

/// Why the events of a reader ended before the stream was complete: the reader failed, or the stream is truncated or corrupt, or
/// the model failed.
pub type Error = crate::decode::Error<io::Error>;

/// The chat events of a reader, as an iterator. It ends after the last event of a complete stream, and otherwise with one
/// error.
///
/// ```
/// use sagewire_codec::io::Events;
/// use sagewire_codec::model::Event;
///
/// # let body = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\n";
/// let mut text = String::new();
/// for event in Events::new(&body[..]) {
///     if let Event::TextDelta { text: more, .. } = event? {
///         text.push_str(&more);
///     }
/// }
/// assert_eq!(text, "hi");
/// # Ok::<(), sagewire_codec::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Events<R> {
    reader: R,
    inner: DecodeLoop<Decoder, io::Error>,
}

impl<R: Read> Events<R> {
    /// Decodes what `reader` brings; framing and API are detected.
    pub fn new(reader: R) -> Self {
        Self::with_decoder(reader, Decoder::new())
    }

    /// Decodes what `reader` brings with a decoder of the caller's.
    pub fn with_decoder(reader: R, decoder: Decoder) -> Self {
        Self { reader, inner: DecodeLoop::new(decoder) }
    }
}

impl<R> Events<R> {
    /// The reader.
    pub fn get_ref(&self) -> &R {
        &self.reader
    }

    /// The decoder.
    pub fn decoder(&self) -> &Decoder {
        &self.inner.decoder
    }

    /// The reader and the decoder.
    pub fn into_inner(self) -> (R, Decoder) {
        (self.reader, self.inner.decoder)
    }
}

impl<R: Read> Iterator for Events<R> {
    type Item = Result<Event<'static>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let Self { reader, inner } = self;
        match inner.next(|| Poll::Ready(read(reader).transpose())) {
            Poll::Ready(item) => item,
            Poll::Pending => None,
        }
    }
}

/// The next bytes; `None` at the end.
fn read(reader: &mut impl Read) -> io::Result<Option<Chunk>> {
    let mut chunk = std::vec![0; CHUNK];
    loop {
        match reader.read(&mut chunk) {
            Ok(0) => return Ok(None),
            Ok(len) => {
                chunk.truncate(len);
                return Ok(Some(Chunk::Bytes(Bytes::from(chunk))));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
