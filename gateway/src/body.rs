//! The bodies of responses.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use http::Response;
use http_body::{Frame, SizeHint};
use sagewire_codec::Failure;
use sagewire_transport::{Error, TranscodedStream};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::cached::Tee;
use crate::closing::Closing;
use crate::fault;
use crate::invocation::RawStream;
use crate::record::{Ending, ErrorClass};
use crate::recorder::Recorder;

/// Pieces of a stream that are there at the same time leave in one write of about this size.
const GATHERED_LEN: usize = 16 << 10;
/// How often a stream without news gives way to the task that reads from the endpoint, before what it has is written. Twice,
/// because hyper polls a body two times in one run of its task, and only the end of the run lets other tasks run.
const GIVE_WAY: u8 = 2;
/// The failure of a stream that the gateway ends, because it stops.
const STOPS: &str = "ServiceUnavailableException";

/// The body of a response of the gateway.
///
/// It never fails: a stream that breaks ends after bytes that report the error in the terms of its API. Dropping it cancels
/// the call of the endpoint.
pub struct Body(Content);

enum Content {
    Whole(Option<Box<(Bytes, Recorder)>>),
    Stream(Box<StreamBody>),
    Early(Box<EarlyBody>),
    Empty,
}

/// A stream of bytes for the client, that knows how it ends.
pub(crate) enum Source {
    Chat(Box<TranscodedStream>),
    Raw(Box<RawStream>),
}

struct StreamBody {
    source: Source,
    recorder: Option<Recorder>,
    gathered: BytesMut,
    gave_way: u8,
    closing: Closing,
    ping: Option<Ping>,
    tee: Option<Tee>,
}

/// Bytes that are sent while the endpoint is silent, so that proxies do not close the connection.
struct Ping {
    bytes: &'static [u8],
    every: Duration,
    timer: Pin<Box<Sleep>>,
}

/// The body of a stream that has no event yet.
struct EarlyBody {
    response: Pin<Box<dyn Future<Output = Response<Body>> + Send>>,
    ping: Ping,
}

impl Body {
    pub(crate) fn empty() -> Self {
        Self(Content::Empty)
    }

    /// All bytes of a response, and the record that is finished when they are taken.
    pub(crate) fn whole(bytes: Bytes, recorder: Recorder) -> Self {
        Self(Content::Whole(Some(Box::new((bytes, recorder)))))
    }

    /// A ping at once and from time to time, until there is a response, whose body follows.
    pub(crate) fn early(
        response: Pin<Box<dyn Future<Output = Response<Self>> + Send>>,
        ping: &'static [u8],
        every: Duration,
    ) -> Self {
        let ping = Ping::new(ping, every, Instant::now());
        Self(Content::Early(Box::new(EarlyBody { response, ping })))
    }

    /// A stream that has started. `tee` gets a copy for the cache.
    pub(crate) fn stream(
        source: Source,
        recorder: Recorder,
        closing: Closing,
        ping: Option<Duration>,
        tee: Option<Tee>,
    ) -> Self {
        let bytes = recorder.record.door.ping();
        let ping = bytes.zip(ping).map(|(bytes, every)| Ping::new(bytes, every, Instant::now() + every));
        let (gathered, gave_way, recorder) = (BytesMut::new(), 0, Some(recorder));
        let stream = StreamBody { source, recorder, gathered, gave_way, closing, ping, tee };
        Self(Content::Stream(Box::new(stream)))
    }
}

impl Ping {
    fn new(bytes: &'static [u8], every: Duration, first: Instant) -> Self {
        Self { bytes, every, timer: Box::pin(sleep_until(first)) }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        std::task::ready!(self.timer.as_mut().poll(cx));
        self.timer.as_mut().reset(Instant::now() + self.every);
        // Registers the new time.
        let _ = self.timer.as_mut().poll(cx);
        Poll::Ready(Bytes::from_static(self.bytes))
    }
}

impl Source {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        match self {
            Self::Chat(stream) => Pin::new(&mut **stream).poll_next(cx),
            Self::Raw(stream) => stream.poll_next(cx),
        }
    }

    /// Ends the stream with an error in the terms of its API.
    fn abort(&mut self) {
        let failure = Failure::new(STOPS, None, "The gateway stops.");
        match self {
            Self::Chat(stream) => stream.fail(failure),
            Self::Raw(stream) => stream.fail(failure),
        }
    }

    /// Passes what was counted to the record.
    fn report(&self, recorder: &mut Recorder) {
        match self {
            Self::Chat(stream) => {
                let stats = stream.stats();
                recorder.usage(stats.usage);
                recorder.estimate(stats.deltas);
                recorder.losses(stream.response_losses());
            }
            Self::Raw(stream) => stream.report(recorder),
        }
    }
}

impl StreamBody {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.recorder.is_none() {
            return Poll::Ready(None);
        }
        // Still in the same run of the task: nothing can have arrived.
        if (1..GIVE_WAY).contains(&self.gave_way) {
            return self.give_way(cx);
        }
        loop {
            let next = self.source.poll_next(cx);
            if let Poll::Ready(Some(Ok(piece))) = &next {
                // Too large for the cache: equal requests go on by themselves.
                self.tee = self.tee.take().and_then(|mut tee| tee.add(piece).then_some(tee));
            }
            match next {
                Poll::Ready(Some(Ok(piece))) if self.gathered.is_empty() && piece.len() >= GATHERED_LEN => {
                    return Poll::Ready(Some(piece));
                }
                Poll::Ready(Some(Ok(piece))) => {
                    self.gathered.extend_from_slice(&piece);
                    self.gave_way = 0;
                    if self.gathered.len() >= GATHERED_LEN {
                        return self.take();
                    }
                }
                Poll::Ready(Some(Err(error))) => self.finish(Some(error)),
                Poll::Ready(None) => self.finish(None),
                Poll::Pending if self.closing.poll_closed(cx).is_ready() => self.source.abort(),
                Poll::Pending if self.gathered.is_empty() => {
                    let ping = self.ping.as_mut().map(|ping| ping.poll(cx));
                    return ping.map_or(Poll::Pending, |bytes| bytes.map(Some));
                }
                Poll::Pending if self.gave_way == GIVE_WAY => return self.take(),
                Poll::Pending => return self.give_way(cx),
            }
            if self.recorder.is_none() {
                return if self.gathered.is_empty() { Poll::Ready(None) } else { self.take() };
            }
        }
    }

    fn give_way(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.gave_way += 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn take(&mut self) -> Poll<Option<Bytes>> {
        self.gave_way = 0;
        if let Some(ping) = &mut self.ping {
            ping.timer.as_mut().reset(Instant::now() + ping.every);
        }
        Poll::Ready(Some(self.gathered.split().freeze()))
    }

    fn finish(&mut self, error: Option<Error>) {
        let Some(mut recorder) = self.recorder.take() else { return };
        self.source.report(&mut recorder);
        match error {
            None => {
                if let (Some(tee), Source::Chat(stream)) = (self.tee.take(), &self.source) {
                    tee.complete(stream.stats().usage);
                }
                recorder.finish(Ending::Complete, None);
            }
            Some(error) => {
                let (ending, class) = ending(&error);
                recorder.finish(ending, Some((class, error.to_string())));
            }
        }
    }
}

/// A client that leaves has received something: that is counted, too.
impl Drop for StreamBody {
    fn drop(&mut self) {
        if let Some(mut recorder) = self.recorder.take() {
            self.source.report(&mut recorder);
        }
    }
}

/// How a stream with this error has ended, and whose fault it is.
fn ending(error: &Error) -> (Ending, ErrorClass) {
    if error.failure().is_some_and(|failure| failure.name == STOPS) {
        return (Ending::Truncated, ErrorClass::GatewayBusy);
    }
    match error.decode() {
        Some(found) if found.is_truncated() => (Ending::Truncated, ErrorClass::UpstreamBroken),
        Some(found) if found.is_model_failure() => (Ending::Failed, ErrorClass::UpstreamFailed),
        Some(_) => (Ending::Corrupt, ErrorClass::UpstreamBroken),
        None if error.failure().is_some() => (Ending::Failed, ErrorClass::UpstreamFailed),
        None => (Ending::Truncated, fault::class(error)),
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match &mut self.0 {
            Content::Empty => None,
            Content::Whole(content) => content.take().and_then(|content| {
                let (bytes, recorder) = *content;
                recorder.finish_whole();
                (!bytes.is_empty()).then_some(bytes)
            }),
            Content::Stream(stream) => std::task::ready!(stream.poll(cx)),
            Content::Early(early) => match early.response.as_mut().poll(cx) {
                Poll::Ready(response) => {
                    *self = response.into_body();
                    return self.poll_frame(cx);
                }
                Poll::Pending => Some(std::task::ready!(early.ping.poll(cx))),
            },
        };
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Content::Empty | Content::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Empty | Content::Whole(None) => SizeHint::with_exact(0),
            Content::Whole(Some(content)) => SizeHint::with_exact(content.0.len() as u64),
            Content::Stream(_) | Content::Early(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0 {
            Content::Empty => "empty",
            Content::Whole(_) => "whole",
            Content::Stream(_) => "stream",
            Content::Early(_) => "early",
        };
        f.debug_tuple("Body").field(&kind).finish()
    }
}
