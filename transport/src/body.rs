//! The body of a response, as it arrives, and the times that bound it.
//!
//! The idle time runs while the caller waits for bytes, not while the caller is busy with the last ones. The total time
//! runs always.

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

/// What a transport brings of a body: bytes as they come, and at most one failure or error at the end. Empty ones are not
/// handed on: they say that something came of which nothing can be handed on yet, so that the idle time begins anew.
pub type Chunks = Pin<Box<dyn Stream<Item = Result<Chunk, Error>> + Send>>;

/// The chunks of an HTTP body; one that ends before its announced length has broken off. `cause` makes of its error what
/// that is to be shown as.
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
                // A stream of HTTP/2 that is reset without an error ends like a whole one.
                let missing = self.body.size_hint().lower();
                let short = || Error::broken_off().because(format!("{missing} bytes are missing"));
                return Poll::Ready((missing > 0).then(|| Err(short())));
            };
            let frame = frame.map_err(|error| Error::broken_off().because((self.cause)(error)))?;
            // Trailers say nothing here, and frames without bytes must not pass for progress.
            if let Ok(data) = frame.into_data()
                && !data.is_empty()
            {
                return Poll::Ready(Some(Ok(data.into())));
            }
        }
    }
}

/// The times that bound a call. The first three are checked where nothing comes, the last one always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// How long a connection may take. Default: 5 seconds.
    pub connect: Duration,
    /// How long it may take from sending the request, connecting included, until a response begins. Default: 70 seconds:
    /// a container must answer within 60, and AWS advises clients to wait for 70.
    pub first_byte: Duration,
    /// How long to wait for more of the body. Default: 60 seconds.
    pub idle: Duration,
    /// How long all of it may take: every try, and the body to its end. Default: no bound.
    pub total: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        let [connect, first_byte, idle] = [5, 70, 60].map(Duration::from_secs);
        Self { connect, first_byte, idle, total: None }
    }
}

impl Timeouts {
    /// Waits until a response begins, for the time of [`first_byte`](Self::first_byte) at most: for those who write a
    /// transport.
    ///
    /// # Errors
    ///
    /// [`Timeout::FirstByte`].
    pub async fn response<T>(&self, response: impl Future<Output = T>) -> Result<T, Error> {
        let timed = tokio::time::timeout(self.first_byte, pin!(response)).await;
        timed.map_err(|_| Error::timed_out(Timeout::FirstByte, self.first_byte))
    }
}

/// When a call has to be done.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    at: Option<Instant>,
    total: Duration,
}

impl Deadline {
    /// That of a call that begins now.
    pub fn new(timeouts: &Timeouts) -> Self {
        let total = timeouts.total.unwrap_or_default();
        Self { at: timeouts.total.and_then(|total| Instant::now().checked_add(total)), total }
    }

    /// Waits for `future`, until the deadline at most. One that is large is better pinned and lent: what is awaited moves.
    ///
    /// # Errors
    ///
    /// The future's, or [`Timeout::Total`].
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
    idle: Duration,
    deadline: Deadline,
    /// Made when it is first waited for. It may wake us earlier than the time is up: it is put off then, and not for every
    /// chunk, which would cost more than to read one.
    sleep: Option<Pin<Box<Sleep>>>,
    /// When the time of the current wait is up.
    due: Option<Instant>,
    received: u64,
    /// Chunks are handed out as they come.
    delivers: bool,
    /// Chunks that have come and were looked at, but not handed out.
    seen: VecDeque<Chunk>,
    end: Option<Result<(), Error>>,
}

impl Body {
    pub(crate) fn new(chunks: Chunks, idle: Duration, deadline: Deadline, delivers: bool) -> Self {
        let seen = VecDeque::new();
        Self { chunks, idle, deadline, sleep: None, due: None, received: 0, delivers, seen, end: None }
    }

    /// The next chunk that nobody has looked at. All of them are handed out later.
    pub(crate) async fn peek(&mut self) -> Result<Option<Chunk>, Error> {
        let chunk = poll_fn(|cx| self.poll_new(cx)).await?;
        self.seen.extend(chunk.clone());
        Ok(chunk)
    }

    /// The next chunk, never an empty one; `None` at the end. The same error again after an error.
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Chunk>, Error>> {
        match self.seen.pop_front() {
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
                    let (which, after) = ready!(self.poll_time(cx));
                    return Poll::Ready(Err(Error::timed_out(which, after).after(self.progress())));
                }
            }
        }
    }

    /// Waits until a time is up.
    fn poll_time(&mut self, cx: &mut Context<'_>) -> Poll<(Timeout, Duration)> {
        // A time that the clock cannot hold never comes: a century will do.
        let far = Duration::from_secs(100 * 365 * 24 * 60 * 60);
        let (idle, deadline) = (self.idle.min(far), self.deadline.at);
        let due = *self.due.get_or_insert_with(|| {
            let idle = Instant::now() + idle;
            deadline.map_or(idle, |at| at.min(idle))
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
        Poll::Ready(if is_total { (Timeout::Total, self.deadline.total) } else { (Timeout::Idle, self.idle) })
    }

    fn progress(&self) -> Progress {
        Progress { received: self.received, delivered: self.delivers && self.received > 0 }
    }

    /// The next bytes. A failure is an error.
    pub(crate) async fn bytes(&mut self) -> Result<Option<Bytes>, Error> {
        match poll_fn(|cx| self.poll_chunk(cx)).await? {
            Some(Chunk::Bytes(bytes)) => Ok(Some(bytes)),
            Some(Chunk::Failure(failure)) => self.fail(failure.into()),
            Some(Chunk::Error(error)) => self.fail(error.into()),
            None => Ok(None),
        }
    }

    /// From now on there is nothing else.
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

    /// The beginning of a body that explains an error: what comes of it, and no more than `limit`.
    pub(crate) async fn collect_some(mut self, limit: usize) -> Bytes {
        let mut some = BytesMut::new();
        while let Ok(Some(chunk)) = self.bytes().await {
            let room = limit - some.len();
            some.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() >= room {
                break;
            }
        }
        some.freeze()
    }
}
