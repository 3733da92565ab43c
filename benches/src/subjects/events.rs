//! Server-sent events with the peers.
//!
//! Three of them are adapters of asynchronous streams. Here every poll is ready, so they are driven without a runtime,
//! which makes them slightly faster than in practice.

use std::convert::Infallible;
use std::error::Error;
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::task::noop_waker_ref;
use futures_util::{Stream, stream};

use crate::reads::Reads;
use crate::tally::{Fault, Tally};
use crate::workload::Workload;

/// A peer that parses events: passes the data of each event in `input` to `each`.
pub trait Events {
    /// Parses `input`.
    ///
    /// # Errors
    ///
    /// Errors of the input, of the peer and of `each`.
    fn each<E: Error + Send + Sync + 'static>(
        input: impl Iterator<Item = Result<Bytes, E>>,
        each: impl FnMut(&str) -> Result<(), Fault>,
    ) -> Result<(), Fault>;
}

/// `eventsource-stream`.
pub struct EventsourceStream;
/// `sseer`.
pub struct Sseer;
/// `sse-stream`.
pub struct SseStream;
/// `sse-core`, by its synchronous decoder.
pub struct SseCore;

impl Events for EventsourceStream {
    fn each<E: Error + Send + Sync + 'static>(
        input: impl Iterator<Item = Result<Bytes, E>>,
        mut each: impl FnMut(&str) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        drive(eventsource_stream::EventStream::new(stream::iter(input)), |event| each(&event?.data))
    }
}

impl Events for Sseer {
    fn each<E: Error + Send + Sync + 'static>(
        input: impl Iterator<Item = Result<Bytes, E>>,
        mut each: impl FnMut(&str) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        drive(sseer::event_stream::EventStream::new(stream::iter(input)), |event| match event {
            Ok(event) => each(&event.data),
            Err(error) => Err(error.to_string().into()),
        })
    }
}

impl Events for SseStream {
    fn each<E: Error + Send + Sync + 'static>(
        input: impl Iterator<Item = Result<Bytes, E>>,
        mut each: impl FnMut(&str) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        drive(sse_stream::SseByteStream::new(stream::iter(input)), |event| match event?.data {
            Some(data) => each(&data),
            None => Ok(()),
        })
    }
}

impl Events for SseCore {
    fn each<E: Error + Send + Sync + 'static>(
        input: impl Iterator<Item = Result<Bytes, E>>,
        mut each: impl FnMut(&str) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut decoder = sse_core::SseDecoder::new();
        for chunk in input {
            let mut chunk = chunk?;
            while let Some(event) = decoder.next(&mut chunk) {
                if let sse_core::SseEvent::Message(message) = event? {
                    each(&message.data)?;
                }
            }
        }
        Ok(())
    }
}

/// Polls a stream that is always ready until its end.
fn drive<S: Stream>(stream: S, mut each: impl FnMut(S::Item) -> Result<(), Fault>) -> Result<(), Fault> {
    let mut stream = pin!(stream);
    let mut context = Context::from_waker(noop_waker_ref());
    loop {
        match stream.as_mut().poll_next(&mut context) {
            Poll::Ready(Some(item)) => each(item)?,
            Poll::Ready(None) => return Ok(()),
            Poll::Pending => return Err("a stream in memory is not ready".into()),
        }
    }
}

/// Server-sent events alone.
pub fn sse<P: Events>(_: &Workload, reads: &mut Reads<'_>, tally: &mut Tally) {
    let found = P::each(reads.map(Ok::<_, Infallible>), |data| {
        tally.piece(data.as_bytes());
        Ok(())
    });
    if let Err(fault) = found {
        tally.fail(fault);
    }
}
