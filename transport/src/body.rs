//! The body of a response as it arrives, and its timeouts.
//!
//! The idle timeout runs only while the caller waits for bytes, not while the caller processes them. The total timeout
//! always runs.

use std::collections::VecDeque;
use std::error::Error as StdError;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use sagewire_codec::stream::Chunk;
use tokio::time::{Instant, Sleep};

use crate::error::{Error, Progress, Timeout};

/// The body of a response as a transport delivers it: bytes as they arrive, and at most one failure or error at the end.
///
/// An empty chunk is not passed on. It reports progress without data, which restarts the idle timeout.
pub type Chunks = Pin<Box<dyn Stream<Item = Result<Chunk, Error>> + Send>>;

/// The chunks of an HTTP body. A body that ends before its announced length is an error.
///
/// `cause` converts an error of the body into the source of the [`Error`], for example to remove a URL from it.
pub fn http_chunks<B, E>(body: B, cause: fn(B::Error) -> E) -> Chunks
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    E: Into<Box<dyn StdError + Send + Sync>> + 'static,
{
    Box::pin(HttpBody { body, cause })
}

struct HttpBody<B: http_body::Body, E> {
    body: B,
    cause: fn(B::Error) -> E,
}

impl<B, E> Stream for HttpBody<B, E>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    type Item = Result<Chunk, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)) else {
                // An HTTP/2 stream that is reset with NO_ERROR ends like a complete one.
                let missing = self.body.size_hint().lower();
                let short = || Error::broken_off().because(format!("{missing} bytes are missing"));
                return Poll::Ready((missing > 0).then(|| Err(short())));
            };
            let frame = frame.map_err(|error| Error::broken_off().because((self.cause)(error)))?;
            // Trailers are ignored, and an empty frame must not count as progress.
            match frame.into_data() {
                Ok(data) if !data.is_empty() => return Poll::Ready(Some(Ok(data.into()))),
                _ => {}
            }
        }
    }
}

/// The timeouts of a call.
///
/// With the feature `serde`, durations are numbers of seconds, and missing fields have their defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct Timeouts {
    /// Time to establish a connection. Default: 5 seconds.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_duration"))]
    pub connect: Duration,
    /// Time from sending the request, connecting included, to the start of the response, and from there to the first byte of
    /// its body, for which [`idle`](Self::idle) counts if it is shorter. Default: 70 seconds. SageMaker gives a container 60
    /// seconds, and AWS recommends 70 for clients.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_duration"))]
    pub first_byte: Duration,
    /// Time without any bytes of the body. Default: 60 seconds.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_duration"))]
    pub idle: Duration,
    /// Time for the whole call: all attempts, and the body to its end. Default: unlimited.
    #[cfg_attr(
        feature = "serde",
        serde(with = "crate::serde_duration::option", skip_serializing_if = "Option::is_none")
    )]
    pub total: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        let [connect, first_byte, idle] = [5, 70, 60].map(Duration::from_secs);
        Self { connect, first_byte, idle, total: None }
    }
}

impl Timeouts {
    /// Waits for the start of a response, for [`first_byte`](Self::first_byte) at most. For authors of transports.
    ///
    /// # Errors
    ///
    /// [`Timeout::FirstByte`].
    pub async fn response<T>(&self, response: impl Future<Output = T>) -> Result<T, Error> {
        let timed = tokio::time::timeout(self.first_byte, pin!(response)).await;
        timed.map_err(|_| Error::timed_out(Timeout::FirstByte, self.first_byte))
    }
}

/// The point in time at which a call has to be complete.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    at: Option<Instant>,
    total: Duration,
}

impl Deadline {
    /// The deadline of a call that starts now.
    pub fn new(timeouts: &Timeouts) -> Self {
        let total = timeouts.total.unwrap_or_default();
        Self { at: timeouts.total.and_then(|total| Instant::now().checked_add(total)), total }
    }

    /// Waits for `future`, until the deadline at most. Pin a large future and pass a reference, because it is moved.
    ///
    /// # Errors
    ///
    /// The errors of the future, and [`Timeout::Total`].
    pub async fn bound<T>(&self, future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        match self.at {
            None => future.await,
            Some(at) => {
                let timed = tokio::time::timeout_at(at, future).await;
                timed.unwrap_or_else(|_| Err(Error::timed_out(Timeout::Total, self.total)))
            }
        }
    }
}

pub(crate) struct Body {
    chunks: Chunks,
    first_byte: Duration,
    idle: Duration,
    deadline: Deadline,
    /// Created at the first wait. It may fire before the timeout expires and is reset then, because resetting it for every
    /// chunk would cost more than reading the chunk.
    sleep: Option<Pin<Box<Sleep>>>,
    /// When the current wait times out.
    due: Option<Instant>,
    received: u64,
    /// Chunks are passed to the caller as they arrive.
    delivers: bool,
    /// Chunks that were peeked at, but not passed to the caller yet.
    peeked: VecDeque<Chunk>,
    end: Option<Result<(), Error>>,
}

impl Body {
    pub(crate) fn new(chunks: Chunks, timeouts: &Timeouts, deadline: Deadline, delivers: bool) -> Self {
        Self {
            chunks,
            first_byte: timeouts.first_byte,
            idle: timeouts.idle,
            deadline,
            sleep: None,
            due: None,
            received: 0,
            delivers,
            peeked: VecDeque::new(),
            end: None,
        }
    }

    /// Replaces the deadline.
    pub(crate) fn set_deadline(&mut self, deadline: Deadline) {
        self.deadline = deadline;
    }

    /// The chunk of this index, counted from the next one that the caller gets. It is still passed to the caller later.
    pub(crate) async fn peek(&mut self, index: usize) -> Result<Option<Chunk>, Error> {
        while self.peeked.len() <= index {
            match poll_fn(|cx| self.poll_new(cx)).await? {
                Some(chunk) => self.peeked.push_back(chunk),
                None => return Ok(None),
            }
        }
        Ok(self.peeked.get(index).cloned())
    }

    /// The next chunk, never empty; `None` at the end. After an error, the same error again.
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Chunk>, Error>> {
        match self.peeked.pop_front() {
            Some(chunk) => Poll::Ready(Ok(Some(chunk))),
            None => self.poll_new(cx),
        }
    }

    fn poll_new(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Chunk>, Error>> {
        if let Some(end) = &self.end {
            return Poll::Ready(end.clone().map(|()| None));
        }
        let end = match ready!(self.poll_inner(cx)) {
            Ok(Some(chunk)) => {
                if let Chunk::Bytes(bytes) = &chunk {
                    self.received += bytes.len() as u64;
                }
                return Poll::Ready(Ok(Some(chunk)));
            }
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        self.sleep = None;
        Poll::Ready(self.end.insert(end).clone().map(|()| None))
    }

    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Chunk>, Error>> {
        loop {
            match self.chunks.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok(Chunk::Bytes(bytes)))) if bytes.is_empty() => self.due = None,
                Poll::Ready(chunk) => {
                    self.due = None;
                    return Poll::Ready(chunk.transpose().map_err(|error| error.after(self.progress())));
                }
                Poll::Pending => {
                    let (which, after) = ready!(self.poll_timeout(cx));
                    return Poll::Ready(Err(Error::timed_out(which, after).after(self.progress())));
                }
            }
        }
    }

    /// Waits until a timeout expires.
    fn poll_timeout(&mut self, cx: &mut Context<'_>) -> Poll<(Timeout, Duration)> {
        // The clock cannot represent every duration; a century means "never".
        let far = Duration::from_secs(100 * 365 * 24 * 60 * 60);
        let (which, wait) = match self.received {
            0 if self.first_byte < self.idle => (Timeout::FirstByte, self.first_byte),
            _ => (Timeout::Idle, self.idle),
        };
        let deadline = self.deadline.at;
        let due = *self.due.get_or_insert_with(|| {
            let due = Instant::now() + wait.min(far);
            deadline.map_or(due, |at| at.min(due))
        });
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= due {
                break;
            }
            sleep.as_mut().reset(due);
        }
        let is_total = deadline.is_some_and(|at| at <= due);
        Poll::Ready(if is_total { (Timeout::Total, self.deadline.total) } else { (which, wait) })
    }

    fn progress(&self) -> Progress {
        Progress { received: self.received, delivered: self.delivers && self.received > 0 }
    }

    /// The next bytes. A failure that the service reported is an error.
    pub(crate) async fn bytes(&mut self) -> Result<Option<Bytes>, Error> {
        match poll_fn(|cx| self.poll_chunk(cx)).await? {
            Some(Chunk::Bytes(bytes)) => Ok(Some(bytes)),
            Some(Chunk::Failure(failure)) => self.fail(failure.into()),
            Some(Chunk::Error(error)) => self.fail(error.into()),
            None => Ok(None),
        }
    }

    /// Ends the body with an error.
    fn fail<T>(&mut self, error: Error) -> Result<T, Error> {
        self.end = Some(Err(error.clone()));
        Err(error)
    }

    /// The whole body.
    pub(crate) async fn collect(mut self, limit: usize) -> Result<Bytes, Error> {
        let mut whole = BytesMut::new();
        while let Some(chunk) = self.bytes().await? {
            if chunk.len() > limit - whole.len() {
                return Err(Error::too_large(limit));
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }

    /// The start of a body that explains an error: as much as arrives, `limit` bytes at most.
    pub(crate) async fn collect_prefix(mut self, limit: usize) -> Bytes {
        let mut prefix = BytesMut::new();
        while let Ok(Some(chunk)) = self.bytes().await {
            let room = limit - prefix.len();
            prefix.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() >= room {
                break;
            }
        }
        prefix.freeze()
    }
}
