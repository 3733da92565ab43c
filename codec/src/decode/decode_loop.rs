//! The loop of a decoder over a source of chunks, which streams and readers share.

use core::fmt;
use core::task::{Poll, ready};

use bytes::Bytes;

use crate::decode::{Decoder, Transcoder};
use crate::error::DecodeError;
use crate::model::{Event, Failure};

/// An item of the stream of a transport: [`Bytes`] of the body, or, from a transport that removes the frames itself, what was
/// in them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "stream"), allow(dead_code, unreachable_pub))] // Only streams have all of them.
pub enum Chunk {
    /// Bytes, cut anywhere.
    Bytes(Bytes),
    /// An exception of the service. Nothing follows.
    Failure(Failure),
    /// The frames are corrupt or cut short. Nothing follows.
    Error(DecodeError),
}

impl From<Bytes> for Chunk {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

/// Why a stream failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error<E> {
    /// The transport failed.
    Transport(E),
    /// The stream is truncated or corrupt, or the model failed.
    Decode(DecodeError),
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(error) => error.fmt(f),
            Self::Decode(error) => error.fmt(f),
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Transport(error) => error.source(),
            Self::Decode(error) => error.source(),
        }
    }
}

/// What `Decoder` and `Transcoder` have in common.
pub(crate) trait Decode {
    type Owned;
    fn decode(&mut self, chunk: &mut Bytes) -> Result<Option<Self::Owned>, DecodeError>;
    fn finish(&mut self) -> Result<Option<Self::Owned>, DecodeError>;
    fn fail(&mut self, failure: Failure);
    fn fail_with(&mut self, error: DecodeError);
}

macro_rules! decode {
    ($decoder:ty, $item:ty, $owned:path) => {
        impl Decode for $decoder {
            type Owned = $item;

            fn decode(&mut self, chunk: &mut Bytes) -> Result<Option<$item>, DecodeError> {
                Ok(self.decode(chunk)?.map($owned))
            }

            fn finish(&mut self) -> Result<Option<$item>, DecodeError> {
                Ok(self.finish()?.map($owned))
            }

            fn fail(&mut self, failure: Failure) {
                self.fail(failure);
            }

            fn fail_with(&mut self, error: DecodeError) {
                self.fail_with(error);
            }
        }
    };
}

decode!(Decoder, Event<'static>, Event::into_owned);
decode!(Transcoder, Bytes, Bytes::copy_from_slice);

/// A decoder, and the state of its source.
#[derive(Debug)]
pub(crate) struct DecodeLoop<D, E> {
    pub(crate) decoder: D,
    chunk: Bytes,
    state: State<E>,
}

#[derive(Debug)]
enum State<E> {
    Decoding,
    /// The source has ended, well or with an error.
    Finishing(Option<E>),
    Ended,
}

impl<D: Decode, E> DecodeLoop<D, E> {
    pub(crate) fn new(decoder: D) -> Self {
        Self { decoder, chunk: Bytes::new(), state: State::Decoding }
    }

    /// The next item. `pull` brings the next chunk, and `None` at the end; it is called only when the last chunk is used up.
    pub(crate) fn next(
        &mut self,
        mut pull: impl FnMut() -> Poll<Option<Result<Chunk, E>>>,
    ) -> Poll<Option<Result<D::Owned, Error<E>>>> {
        loop {
            match &mut self.state {
                State::Decoding => match self.decoder.decode(&mut self.chunk) {
                    Ok(Some(item)) => return Poll::Ready(Some(Ok(item))),
                    Ok(None) => {
                        let end = match ready!(pull()) {
                            Some(Ok(Chunk::Bytes(bytes))) => {
                                self.chunk = bytes;
                                continue;
                            }
                            Some(Ok(Chunk::Failure(failure))) => {
                                self.decoder.fail(failure);
                                None
                            }
                            Some(Ok(Chunk::Error(error))) => {
                                self.decoder.fail_with(error);
                                None
                            }
                            Some(Err(error)) => Some(error),
                            None => None,
                        };
                        self.state = State::Finishing(end);
                    }
                    Err(error) => {
                        self.state = State::Ended;
                        return Poll::Ready(Some(Err(Error::Decode(error))));
                    }
                },
                State::Finishing(fault) => {
                    let finished = self.decoder.finish();
                    if let Ok(Some(item)) = finished {
                        return Poll::Ready(Some(Ok(item)));
                    }
                    // A broken source explains why the stream is truncated; after a complete one it does no harm.
                    let fault = fault.take();
                    self.state = State::Ended;
                    return Poll::Ready(match (finished, fault) {
                        (Ok(_), _) => None,
                        (Err(_), Some(fault)) => Some(Err(Error::Transport(fault))),
                        (Err(error), None) => Some(Err(Error::Decode(error))),
                    });
                }
                State::Ended => return Poll::Ready(None),
            }
        }
    }
}
