//! Decodes what a [`Read`] brings, without async (feature `std`).

use std::io::{self, Read};

use bytes::Bytes;

use crate::decode::Decoder;
use crate::error::DecodeError;
use crate::model::Event;

/// Bytes that are read at a time.
const CHUNK: usize = 16 * 1024;

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
    decoder: Decoder,
    chunk: Bytes,
    state: State,
}

#[derive(Debug)]
enum State {
    Reading,
    /// The reader has ended, well or with an error.
    Finishing(Option<io::Error>),
    Ended,
}

impl<R: Read> Events<R> {
    /// Decodes what `reader` brings; framing and API are detected.
    pub fn new(reader: R) -> Self {
        Self::with_decoder(reader, Decoder::new())
    }

    /// Decodes what `reader` brings with a decoder of the caller's.
    pub fn with_decoder(reader: R, decoder: Decoder) -> Self {
        Self { reader, decoder, chunk: Bytes::new(), state: State::Reading }
    }
}

impl<R> Events<R> {
    /// The reader.
    pub fn get_ref(&self) -> &R {
        &self.reader
    }

    /// The decoder.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// The reader and the decoder.
    pub fn into_inner(self) -> (R, Decoder) {
        (self.reader, self.decoder)
    }
}

impl<R: Read> Iterator for Events<R> {
    type Item = Result<Event<'static>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match &mut self.state {
                State::Reading => match self.decoder.decode(&mut self.chunk) {
                    Ok(Some(event)) => return Some(Ok(event.into_owned())),
                    Ok(None) => match read(&mut self.reader) {
                        Ok(chunk) if chunk.is_empty() => self.state = State::Finishing(None),
                        Ok(chunk) => self.chunk = chunk,
                        Err(error) => self.state = State::Finishing(Some(error)),
                    },
                    Err(error) => {
                        self.state = State::Ended;
                        return Some(Err(Error::Decode(error)));
                    }
                },
                State::Finishing(fault) => {
                    let finished = self.decoder.finish();
                    if let Ok(Some(event)) = finished {
                        return Some(Ok(event.into_owned()));
                    }
                    // A reader that breaks explains why the stream is truncated; after a complete one it does no harm.
                    let fault = fault.take();
                    self.state = State::Ended;
                    return match (finished, fault) {
                        (Ok(_), _) => None,
                        (Err(_), Some(fault)) => Some(Err(Error::Io(fault))),
                        (Err(error), None) => Some(Err(Error::Decode(error))),
                    };
                }
                State::Ended => return None,
            }
        }
    }
}

/// The next bytes; none at the end.
fn read(reader: &mut impl Read) -> io::Result<Bytes> {
    let mut chunk = std::vec![0; CHUNK];
    loop {
        match reader.read(&mut chunk) {
            Ok(len) => {
                chunk.truncate(len);
                return Ok(Bytes::from(chunk));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Why the events of a reader ended before the stream was complete.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The reader failed.
    Io(io::Error),
    /// The stream is truncated or corrupt, or the model failed.
    Decode(DecodeError),
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Decode(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io(error) => error.source(),
            Self::Decode(error) => error.source(),
        }
    }
}
