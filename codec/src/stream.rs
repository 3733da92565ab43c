//! Adapters for any [`Stream`] of [`Bytes`], without a runtime (feature `stream`).
//!
//! Each polls for a chunk only when everything of the previous one was taken, so back pressure reaches the connection.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;

use crate::decode::{Decoder, Transcoder};
use crate::error::DecodeError;
use crate::model::{Event, Failure, Losses};

/// An item of the stream of a transport: [`Bytes`] of the body, or, from a transport that removes the frames itself, what was
/// in them.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// A stream of chat events. It ends after the last event of a complete stream, and otherwise with one error.
#[derive(Debug)]
pub struct Events<S, E>(Adapter<S, E, Decoder>);

impl<S, E> Events<S, E> {
    /// Decodes `stream`. A stream that is not `Unpin` has to be boxed and pinned.
    pub fn new(stream: S, decoder: Decoder) -> Self {
        Self(Adapter::new(stream, decoder))
    }

    /// The stream of bytes.
    pub fn get_ref(&self) -> &S {
        &self.0.stream
    }

    /// The decoder.
    pub fn decoder(&self) -> &Decoder {
        &self.0.decoder
    }

    /// The stream of bytes and the decoder.
    pub fn into_inner(self) -> (S, Decoder) {
        (self.0.stream, self.0.decoder)
    }
}

impl<S, C, E> Stream for Events<S, E>
where
    S: Stream<Item = Result<C, E>> + Unpin,
    C: Into<Chunk>,
    E: Unpin,
{
    type Item = Result<Event<'static>, Error<E>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll(cx)
    }
}

/// A stream of transcoded bytes. It ends after the last bytes of a complete stream, and otherwise with one error. Unless
/// the transport failed, the last bytes report the error in the target API as well.
#[derive(Debug)]
pub struct Transcoded<S, E>(Adapter<S, E, Transcoder>);

impl<S, E> Transcoded<S, E> {
    /// Transcodes `stream`. A stream that is not `Unpin` has to be boxed and pinned.
    pub fn new(stream: S, transcoder: Transcoder) -> Self {
        Self(Adapter::new(stream, transcoder))
    }

    /// The stream of bytes.
    pub fn get_ref(&self) -> &S {
        &self.0.stream
    }

    /// What could not be written so far.
    pub fn losses(&self) -> &Losses {
        self.0.decoder.losses()
    }

    /// The stream of bytes and the transcoder.
    pub fn into_inner(self) -> (S, Transcoder) {
        (self.0.stream, self.0.decoder)
    }
}

impl<S, C, E> Stream for Transcoded<S, E>
where
    S: Stream<Item = Result<C, E>> + Unpin,
    C: Into<Chunk>,
    E: Unpin,
{
    type Item = Result<Bytes, Error<E>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll(cx)
    }
}

/// What `Decoder` and `Transcoder` have in common.
trait Decode {
    type Owned;
    fn decode(&mut self, chunk: &mut Bytes) -> Result<Option<Self::Owned>, DecodeError>;
    fn finish(&mut self) -> Result<Option<Self::Owned>, DecodeError>;
    fn fail(&mut self, failure: Failure);
    fn fail_with(&mut self, error: DecodeError);
}

impl Decode for Decoder {
    type Owned = Event<'static>;

    fn decode(&mut self, chunk: &mut Bytes) -> Result<Option<Self::Owned>, DecodeError> {
        Ok(self.decode(chunk)?.map(Event::into_owned))
    }

    fn finish(&mut self) -> Result<Option<Self::Owned>, DecodeError> {
        Ok(self.finish()?.map(Event::into_owned))
    }

    fn fail(&mut self, failure: Failure) {
        self.fail(failure);
    }

    fn fail_with(&mut self, error: DecodeError) {
        self.fail_with(error);
    }
}

impl Decode for Transcoder {
    type Owned = Bytes;

    fn decode(&mut self, chunk: &mut Bytes) -> Result<Option<Self::Owned>, DecodeError> {
        Ok(self.decode(chunk)?.map(Bytes::copy_from_slice))
    }

    fn finish(&mut self) -> Result<Option<Self::Owned>, DecodeError> {
        Ok(self.finish()?.map(Bytes::copy_from_slice))
    }

    fn fail(&mut self, failure: Failure) {
        self.fail(failure);
    }

    fn fail_with(&mut self, error: DecodeError) {
        self.fail_with(error);
    }
}

#[derive(Debug)]
struct Adapter<S, E, D> {
    stream: S,
    decoder: D,
    chunk: Bytes,
    state: State<E>,
}

#[derive(Debug)]
enum State<E> {
    Decoding,
    /// The input has ended, well or with an error of the transport.
    Finishing(Option<E>),
    Ended,
}

impl<S, E, D> Adapter<S, E, D>
where
    D: Decode,
{
    fn new(stream: S, decoder: D) -> Self {
        Self { stream, decoder, chunk: Bytes::new(), state: State::Decoding }
    }
}

impl<S, E, D> Adapter<S, E, D>
where
    D: Decode,
{
    fn poll<C>(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<D::Owned, Error<E>>>>
    where
        S: Stream<Item = Result<C, E>> + Unpin,
        C: Into<Chunk>,
    {
        loop {
            match &mut self.state {
                State::Decoding => match self.decoder.decode(&mut self.chunk) {
                    Ok(Some(item)) => return Poll::Ready(Some(Ok(item))),
                    Ok(None) => match ready!(Pin::new(&mut self.stream).poll_next(cx)) {
                        Some(Ok(chunk)) => match chunk.into() {
                            Chunk::Bytes(bytes) => self.chunk = bytes,
                            Chunk::Failure(failure) => {
                                self.decoder.fail(failure);
                                self.state = State::Finishing(None);
                            }
                            Chunk::Error(error) => {
                                self.decoder.fail_with(error);
                                self.state = State::Finishing(None);
                            }
                        },
                        Some(Err(error)) => self.state = State::Finishing(Some(error)),
                        None => self.state = State::Finishing(None),
                    },
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
                    // A broken connection explains why the stream is truncated; after a complete one it does no harm.
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
