//! Decodes a streaming response into events: the common part of [`ChatStream`](crate::ChatStream) and
//! [`TranscodedStream`](crate::TranscodedStream).

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use sagewire_codec::model::{Event, ToolNames};
use sagewire_codec::stream::Chunk;
use sagewire_codec::{DecodeError, Decoder, Failure, Options};

use crate::error::Error;
use crate::observer::Observer;
use crate::response::ResponseStream;
use crate::stream_stats::StreamStats;

/// The result of [`EventSource::step`].
pub(crate) enum Step {
    /// An event was passed to the caller.
    Event,
    /// All bytes that arrived are decoded: [`EventSource::poll_chunk`] gets more.
    NeedsChunk,
    /// The stream is complete.
    Complete,
    /// The stream failed: the error of the decoder, and that of the transport if it was the cause.
    Failed(DecodeError, Option<Error>),
}

#[derive(Debug)]
enum State {
    Reading,
    /// Everything that has arrived is decoded.
    Waiting,
    /// The body has ended, in the latter case with an error.
    Finishing(Option<Error>),
}

#[derive(Debug)]
pub(crate) struct EventSource {
    stream: ResponseStream,
    decoder: Decoder,
    chunk: Bytes,
    state: State,
    /// The names of tools before the request was written for the container.
    names: ToolNames,
    pub(crate) observer: Option<Observer>,
    pub(crate) stats: StreamStats,
}

impl EventSource {
    pub(crate) fn new(
        stream: ResponseStream,
        options: Options,
        names: ToolNames,
        observer: Option<Observer>,
    ) -> Box<Self> {
        let decoder = Decoder::with_options(options.framing(stream.framing()));
        let (chunk, state) = (Bytes::new(), State::Reading);
        // Boxed: a decoder is large, and streams are moved often.
        Box::new(Self { stream, decoder, chunk, state, names, observer, stats: StreamStats::default() })
    }

    /// Decodes the next event from the bytes that have arrived, and passes it to `take`.
    pub(crate) fn step(&mut self, take: impl FnOnce(Event<'_>)) -> Step {
        let decoded = match &self.state {
            State::Reading => self.decoder.decode(&mut self.chunk),
            State::Waiting => return Step::NeedsChunk,
            State::Finishing(_) => self.decoder.finish(),
        };
        match decoded {
            Ok(Some(event)) => {
                let event = self.names.restore(event);
                self.stats.add(&event);
                if let Some(observer) = &mut self.observer {
                    observer.event(&event);
                }
                take(event);
                Step::Event
            }
            Ok(None) => match self.state {
                State::Reading | State::Waiting => {
                    self.state = State::Waiting;
                    Step::NeedsChunk
                }
                // An error of the connection after a complete stream does no harm.
                State::Finishing(_) => Step::Complete,
            },
            Err(error) => {
                // A broken connection explains why the stream is truncated.
                let cause = match &mut self.state {
                    State::Finishing(cause) => cause.take(),
                    State::Reading | State::Waiting => None,
                };
                if let Some(observer) = &self.observer {
                    observer.error(&cause.clone().unwrap_or_else(|| error.clone().into()));
                }
                Step::Failed(error, cause)
            }
        }
    }

    /// Gets the next chunk for [`step`](Self::step).
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let end = match ready!(self.stream.poll_chunk(cx)) {
            Some(Ok(Chunk::Bytes(bytes))) => {
                self.chunk = bytes;
                self.state = State::Reading;
                return Poll::Ready(());
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
        Poll::Ready(())
    }

    /// Ends the stream with a failure: nothing more is read from the endpoint. Events that were held back come first.
    pub(crate) fn fail(&mut self, failure: Failure) {
        if !matches!(self.state, State::Finishing(_)) {
            self.decoder.fail(failure);
            self.state = State::Finishing(None);
        }
    }

    /// Keeps the records for [`take_records`](Self::take_records), if they are to be passed on: not if names of tools in them have to
    /// be replaced. Returns whether they are kept.
    pub(crate) fn keep_records(&mut self) -> bool {
        let is_unchanged = self.names.is_empty() && self.stats.first_event.is_none();
        if is_unchanged {
            self.decoder.keep_records();
        }
        is_unchanged
    }

    /// The records that were read since the last call, and whether the response is over with each.
    pub(crate) fn take_records(&mut self, take: impl FnMut(&[u8], bool)) {
        self.decoder.take_records(take);
    }

    /// Where the last event was in its record, as a JSON pointer.
    pub(crate) fn pointer(&self) -> Option<String> {
        self.decoder.pointer()
    }

    pub(crate) fn stream(&self) -> &ResponseStream {
        &self.stream
    }

    pub(crate) fn stream_mut(&mut self) -> &mut ResponseStream {
        &mut self.stream
    }

    pub(crate) fn into_stream(self) -> ResponseStream {
        self.stream
    }
}
