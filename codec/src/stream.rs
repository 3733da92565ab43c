//! Adapters for any [`Stream`] of [`Bytes`], without a runtime (feature `stream`).
//!
//! Each polls for a chunk only when everything of the previous one was taken, so back pressure reaches the connection.

use core::pin::Pin;
use core::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;

pub use crate::decode::{Chunk, Error};
use crate::decode::{DecodeLoop, Decoder, Transcoder};
use crate::model::{Event, Losses};

/// A stream of chat events. It ends after the last event of a complete stream, and otherwise with one error.
#[derive(Debug)]
pub struct Events<S, E> {
    stream: S,
    inner: DecodeLoop<Decoder, E>,
}

impl<S, E> Events<S, E> {
    /// Decodes `stream`. A stream that is not `Unpin` has to be boxed and pinned.
    pub fn new(stream: S, decoder: Decoder) -> Self {
        Self { stream, inner: DecodeLoop::new(decoder) }
    }

    /// The stream of bytes.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The decoder.
    pub fn decoder(&self) -> &Decoder {
        &self.inner.decoder
    }

    /// The stream of bytes and the decoder.
    pub fn into_inner(self) -> (S, Decoder) {
        (self.stream, self.inner.decoder)
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
        let Self { stream, inner } = &mut *self;
        inner.next(|| Pin::new(&mut *stream).poll_next(cx).map_ok(Into::into))
    }
}

/// A stream of transcoded bytes. It ends after the last bytes of a complete stream, and otherwise with one error. Unless
/// the transport failed, the last bytes report the error in the target API as well.
#[derive(Debug)]
pub struct Transcoded<S, E> {
    stream: S,
    inner: DecodeLoop<Transcoder, E>,
}

impl<S, E> Transcoded<S, E> {
    /// Transcodes `stream`. A stream that is not `Unpin` has to be boxed and pinned.
    pub fn new(stream: S, transcoder: Transcoder) -> Self {
        Self { stream, inner: DecodeLoop::new(transcoder) }
    }

    /// The stream of bytes.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// What could not be written so far.
    pub fn losses(&self) -> &Losses {
        self.inner.decoder.losses()
    }

    /// The stream of bytes and the transcoder.
    pub fn into_inner(self) -> (S, Transcoder) {
        (self.stream, self.inner.decoder)
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
        let Self { stream, inner } = &mut *self;
        inner.next(|| Pin::new(&mut *stream).poll_next(cx).map_ok(Into::into))
    }
}
