//! One connection of a client: what it waits for, and when it is closed.
//!
//! hyper's own timeout of request heads also ends idle connections, which a load balancer expects to stay open, and it has
//! none for clients that do not read. Both are measured here: below TLS by [`Socket`], and by [`Tracked`], which wraps the
//! body of each response.

use std::error::Error;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How long a connection stays open without a request: longer than the 60 seconds to 10 minutes of load balancers, which
/// otherwise send a request on a connection that is being closed.
const IDLE: Duration = Duration::from_secs(620);
/// The first bytes of HTTP/2 without TLS (RFC 9113, section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI ";

/// The time that a client may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For the head of a request.
    pub(crate) head: Duration,
    /// Between two moments in which it reads something.
    pub(crate) send: Duration,
}

/// What has to be done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// Nothing before this moment.
    Later(Instant),
    /// It is asked to end: it is idle.
    Drain,
    /// It is closed: the client is too slow.
    Close,
}

/// What a connection waits for.
#[derive(Debug)]
pub(crate) struct Connection {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Requests are multiplexed, so bytes do not mean that the head of a request has begun.
    http2: bool,
    /// Requests whose responses have not ended.
    requests: usize,
    /// Since when there is no request, or its head arrives.
    since: Instant,
    /// The head of a request arrives.
    in_head: bool,
    /// Since when the client has not read, although there is something to send.
    blocked: Option<Instant>,
    /// It was asked to end.
    draining: bool,
    /// The bodies of HTTP/2, each of which the client can leave unread on its own.
    bodies: Vec<Weak<dyn Unread>>,
}

/// The body of a response that the client may not read.
trait Unread: Send + Sync {
    /// Drops the body if the client has not read for `limit`, otherwise says since when it has not.
    fn unread_since(&self, now: Instant, limit: Duration) -> Option<Instant>;
}

impl std::fmt::Debug for dyn Unread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Unread")
    }
}

impl Connection {
    /// A connection that was accepted now.
    pub(crate) fn new() -> Arc<Self> {
        let state = State {
            http2: false,
            requests: 0,
            since: Instant::now(),
            in_head: true,
            blocked: None,
            draining: false,
            bodies: Vec::new(),
        };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// The protocol is HTTP/2.
    pub(crate) fn set_http2(&self) {
        let mut state = self.lock();
        state.http2 = true;
        state.in_head = false;
    }

    /// The connection was asked to end.
    pub(crate) fn set_draining(&self) {
        let mut state = self.lock();
        state.draining = true;
        state.since = Instant::now();
    }

    /// What has to be done now. `full`: connections are scarce, so idle ones end sooner.
    pub(crate) fn check(&self, now: Instant, patience: Patience, full: bool) -> Check {
        // The client can stop to read right now.
        let mut next = now + patience.send;
        // The end of a body locks the state, so it is not locked here.
        let mut bodies = std::mem::take(&mut self.lock().bodies);
        bodies.retain(|body| {
            let Some(body) = body.upgrade() else { return false };
            if let Some(since) = body.unread_since(now, patience.send) {
                next = next.min(since + patience.send);
            }
            true
        });
        let mut state = self.lock();
        state.bodies.append(&mut bodies);
        if let Some(since) = state.blocked {
            if now >= since + patience.send {
                return Check::Close;
            }
            next = next.min(since + patience.send);
        }
        if state.requests == 0 {
            let hurry = state.in_head || state.draining;
            let limit = if hurry || full { patience.head } else { IDLE };
            if now >= state.since + limit {
                return if hurry { Check::Close } else { Check::Drain };
            }
            // The head of a request can begin right now.
            next = next.min(state.since + limit).min(now + patience.head);
        }
        Check::Later(next)
    }

    /// A request has arrived.
    fn begin(self: &Arc<Self>, http2: bool) -> Request {
        let mut state = self.lock();
        state.http2 |= http2;
        state.requests += 1;
        state.in_head = false;
        Request(Arc::clone(self))
    }

    /// Bytes have arrived.
    fn received(&self) {
        let mut state = self.lock();
        if state.requests == 0 && !state.in_head && !state.http2 {
            state.in_head = true;
            state.since = Instant::now();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request whose response has not ended.
#[derive(Debug)]
pub(crate) struct Request(Arc<Connection>);

impl Request {
    /// The request that a connection has received.
    pub(crate) fn begin(connection: &Arc<Connection>, version: http::Version) -> Self {
        connection.begin(version == http::Version::HTTP_2)
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.requests -= 1;
        if state.requests == 0 {
            state.since = Instant::now();
        }
    }
}

/// The socket of a connection, which notes when the client sends and when it does not read.
#[derive(Debug)]
pub(crate) struct Socket<S> {
    stream: S,
    connection: Arc<Connection>,
    /// The protocol is recognized by the first bytes.
    sniff: bool,
    blocked: bool,
}

impl<S> Socket<S> {
    /// A socket. `plain`: it has no TLS, so HTTP/2 is recognized by its first bytes.
    pub(crate) fn new(stream: S, connection: Arc<Connection>, plain: bool) -> Self {
        Self { stream, connection, sniff: plain, blocked: false }
    }

    /// Notes whether the client reads.
    fn wrote<T>(&mut self, result: Poll<T>) -> Poll<T> {
        let blocked = result.is_pending();
        if blocked != self.blocked {
            self.blocked = blocked;
            self.connection.lock().blocked = blocked.then(Instant::now);
        }
        result
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let len = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let received = &buf.filled()[len..];
        if received.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if std::mem::take(&mut self.sniff) && received.starts_with(HTTP2_PREFACE) {
            self.connection.set_http2();
        }
        self.connection.received();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The body of a response, whose end is the end of its request.
#[derive(Debug)]
pub(crate) struct Tracked<B>(Inner<B>);

#[derive(Debug)]
enum Inner<B> {
    /// HTTP/1: a client that does not read blocks the socket.
    Direct { body: B, _request: Request },
    /// HTTP/2: it may leave one body unread while it reads others.
    Shared(Arc<Slot<B>>),
}

#[derive(Debug)]
struct Slot<B>(Mutex<Unsent<B>>);

#[derive(Debug)]
struct Unsent<B> {
    /// None if it was dropped because the client does not read it.
    body: Option<(B, Request)>,
    /// When the last part was taken, until the next one is asked for.
    taken: Option<Instant>,
}

impl<B> Tracked<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    /// The body of the response to a request.
    pub(crate) fn new(body: B, request: Request) -> Self {
        let connection = Arc::clone(&request.0);
        let mut state = connection.lock();
        if !state.http2 {
            drop(state);
            return Self(Inner::Direct { body, _request: request });
        }
        let slot = Arc::new(Slot(Mutex::new(Unsent { body: Some((body, request)), taken: None })));
        state.bodies.retain(|body| body.strong_count() > 0);
        let unread: Arc<dyn Unread> = Arc::clone(&slot) as _;
        state.bodies.push(Arc::downgrade(&unread));
        Self(Inner::Shared(slot))
    }
}

impl<B> Slot<B> {
    fn lock(&self) -> MutexGuard<'_, Unsent<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: Send> Unread for Slot<B> {
    fn unread_since(&self, now: Instant, limit: Duration) -> Option<Instant> {
        let mut unsent = self.lock();
        let since = unsent.taken?;
        if now >= since + limit {
            unsent.taken = None;
            unsent.body = None;
            return None;
        }
        Some(since)
    }
}

impl<B> Body for Tracked<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut self.0 {
            Inner::Direct { body, .. } => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Inner::Shared(slot) => {
                let mut unsent = slot.lock();
                let Some((body, _)) = &mut unsent.body else {
                    return Poll::Ready(Some(Err("the client did not read".into())));
                };
                let frame = Pin::new(body).poll_frame(cx).map_err(Into::into);
                unsent.taken = matches!(frame, Poll::Ready(Some(_))).then(Instant::now);
                frame
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Direct { body, .. } => body.is_end_stream(),
            Inner::Shared(slot) => slot.lock().body.as_ref().is_some_and(|(body, _)| body.is_end_stream()),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Direct { body, .. } => body.size_hint(),
            Inner::Shared(slot) => {
                slot.lock().body.as_ref().map_or_else(SizeHint::default, |(body, _)| body.size_hint())
            }
        }
    }
}
