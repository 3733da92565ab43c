//! The body of a response, as it arrives.
//!
//! The idle time runs while the caller waits for bytes, not while the caller is busy with the last ones.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use tokio::time::{Instant, Sleep};

use crate::error::{Error, Kind, Progress, Timeout};

pub(crate) struct Body {
    inner: reqwest::Body,
    idle: Duration,
    /// Made when it is first waited for.
    sleep: Option<Pin<Box<Sleep>>>,
    /// The sleep was set when the current wait began.
    waiting: bool,
    received: u64,
    /// Chunks are handed out as they come.
    delivers: bool,
    end: Option<Result<(), Error>>,
}

impl Body {
    pub(crate) fn new(inner: reqwest::Body, idle: Duration, delivers: bool) -> Self {
        Self { inner, idle, sleep: None, waiting: false, received: 0, delivers, end: None }
    }

    /// How the body ended, if it did.
    pub(crate) fn end(&self) -> Option<&Result<(), Error>> {
        self.end.as_ref()
    }

    /// The next bytes, never none; `None` at the end. The same error again after an error.
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        if let Some(end) = &self.end {
            return Poll::Ready(end.clone().map(|()| None));
        }
        let end = match ready!(self.poll_inner(cx)) {
            Ok(Some(chunk)) => {
                self.received += chunk.len() as u64;
                return Poll::Ready(Ok(Some(chunk)));
            }
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        self.sleep = None;
        Poll::Ready(self.end.insert(end).clone().map(|()| None))
    }

    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        loop {
            match Pin::new(&mut self.inner).poll_frame(cx) {
                Poll::Ready(frame) => {
                    self.waiting = false;
                    let Some(frame) = frame else { return Poll::Ready(Ok(None)) };
                    let frame = frame.map_err(|error| {
                        Error::with_source(Kind::BrokenOff(self.progress()), error.without_url())
                    });
                    // Trailers say nothing here.
                    match frame?.into_data() {
                        Ok(data) if !data.is_empty() => return Poll::Ready(Ok(Some(data))),
                        _ => {}
                    }
                }
                Poll::Pending => {
                    ready!(self.poll_idle(cx));
                    let kind = Kind::Timeout(Timeout::Idle, self.idle, self.progress());
                    return Poll::Ready(Err(Error::new(kind)));
                }
            }
        }
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let idle = self.idle;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(idle)));
        if !self.waiting {
            self.waiting = true;
            // A time that the clock cannot hold never comes: a century will do.
            let far = Duration::from_secs(100 * 365 * 24 * 60 * 60);
            sleep.as_mut().reset(Instant::now() + idle.min(far));
        }
        sleep.as_mut().poll(cx)
    }

    fn progress(&self) -> Progress {
        Progress { received: self.received, delivered: self.delivers && self.received > 0 }
    }

    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// The whole body.
    pub(crate) async fn collect(mut self, limit: usize) -> Result<Bytes, Error> {
        let too_large = || Error::new(Kind::TooLarge { limit });
        if self.inner.size_hint().lower() > limit as u64 {
            return Err(too_large());
        }
        let mut whole = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if chunk.len() > limit - whole.len() {
                return Err(too_large());
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }

    /// The beginning of a body that explains an error: what comes of it, and no more than `limit`.
    pub(crate) async fn collect_some(mut self, limit: usize) -> Bytes {
        let mut some = BytesMut::new();
        while let Ok(Some(chunk)) = self.chunk().await {
            let room = limit - some.len();
            some.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() >= room {
                break;
            }
        }
        some.freeze()
    }
}
