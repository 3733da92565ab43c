//! Accepts connections and serves them: HTTP/1.1 and HTTP/2, with and without TLS.
//!
//! `half_close` of hyper is off, so a client that hangs up drops the handler of its request.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

use crate::config;
use crate::connection::{self, Check, Connection, Patience, Socket, Tracked};
use crate::tls::Tls;

#[cfg(test)]
mod tests;

/// Most bytes of the head of a request; hyper responds with 431 to a larger one.
const HEAD_LEN_MAX: usize = 64 << 10;
/// Most requests at the same time on a connection of HTTP/2.
const STREAMS_MAX: u32 = 128;
/// Most bytes of a response of HTTP/2 that wait for the client.
const SEND_BUFFER_LEN: usize = 64 << 10;
/// How often a peer is asked whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 4096;
/// The pause after an error of the listener, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the connections of a server have to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// They serve requests.
    Serve,
    /// They end with the requests in progress, and no connection is accepted.
    Drain,
    /// They end now.
    Abort,
}

/// What the listeners of a server share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    /// The time that clients may take.
    pub(crate) patience: Arc<ArcSwap<Patience>>,
    /// The connections that may still be opened.
    pub(crate) connections: Arc<Semaphore>,
    /// The number of open connections.
    pub(crate) open: prometheus_client::metrics::gauge::Gauge,
    /// What they have to do. Each connection keeps a copy, so the sender sees when the last one ends.
    pub(crate) phase: watch::Receiver<Phase>,
}

/// A socket that accepts connections.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    tls: Option<Arc<Tls>>,
}

impl Listener {
    /// Binds an address.
    ///
    /// # Errors
    ///
    /// The address cannot be bound, or the certificate cannot be read.
    pub(crate) fn bind(listen: &config::Listen) -> io::Result<Self> {
        let bind = || {
            let socket = match listen.address {
                SocketAddr::V4(_) => TcpSocket::new_v4(),
                SocketAddr::V6(_) => TcpSocket::new_v6(),
            }?;
            if cfg!(unix) {
                socket.set_reuseaddr(true)?;
            }
            socket.bind(listen.address)?;
            socket.listen(BACKLOG)
        };
        let socket = bind().map_err(|error| {
            io::Error::new(error.kind(), format!("cannot bind {}: {error}", listen.address))
        })?;
        Self::new(socket, listen)
    }

    /// Takes over a socket that is already bound.
    ///
    /// # Errors
    ///
    /// The certificate cannot be read.
    pub(crate) fn inherit(socket: std::net::TcpListener, listen: &config::Listen) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Self::new(TcpListener::from_std(socket)?, listen)
    }

    fn new(socket: TcpListener, listen: &config::Listen) -> io::Result<Self> {
        let tls = listen.tls.clone().map(Tls::read).transpose()?.map(Arc::new);
        Ok(Self { socket, tls })
    }

    /// The address that it is bound to.
    ///
    /// # Errors
    ///
    /// The system does not say.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Its TLS settings.
    pub(crate) fn tls(&self) -> Option<&Arc<Tls>> {
        self.tls.as_ref()
    }

    /// Accepts connections until the phase is no longer [`Phase::Serve`]. The connections go on in tasks of their own.
    pub(crate) async fn serve<S, B>(self, service: S, mut shared: Shared)
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        loop {
            let accepted = async {
                let permit = Arc::clone(&shared.connections).acquire_owned().await;
                (self.socket.accept().await, permit)
            };
            let (accepted, permit) = tokio::select! {
                accepted = accepted => accepted,
                _ = shared.phase.wait_for(|phase| *phase != Phase::Serve) => return,
            };
            let Ok((stream, _)) = accepted else {
                sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let (tls, service, shared) = (self.tls.clone(), service.clone(), shared.clone());
            tokio::spawn(async move {
                shared.open.inc();
                serve_stream(stream, tls, service, &shared).await;
                shared.open.dec();
                drop(permit);
            });
        }
    }
}

/// Serves a connection, first its TLS handshake.
async fn serve_stream<S, B>(stream: TcpStream, tls: Option<Arc<Tls>>, service: S, shared: &Shared)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let patience = **shared.patience.load();
    prepare(&stream, patience);
    let connection = Connection::new();
    let socket = Socket::new(stream, Arc::clone(&connection), tls.is_none());
    let Some(tls) = tls else {
        return serve_connection(socket, connection, service, patience, shared).await;
    };
    let handshake = TlsAcceptor::from(tls.current()).accept(socket);
    // It fails if the client does not want the certificate, or has none.
    if let Ok(Ok(stream)) = timeout(patience.head, handshake).await {
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            connection.set_http2();
        }
        serve_connection(stream, connection, service, patience, shared).await;
    }
}

/// Sets the options of a socket. The connection works without each of them.
fn prepare(stream: &TcpStream, patience: Patience) {
    // Without it, events wait for the acknowledgement of the previous one.
    let _ = stream.set_nodelay(true);
    let socket = SockRef::from(stream);
    // Both recognize a client that has disappeared without closing the connection.
    let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(KEEP_ALIVE));
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(patience.send));
    #[cfg(not(target_os = "linux"))]
    let _ = patience;
}

/// Serves HTTP on a connection until it ends, or the client is too slow.
async fn serve_connection<T, S, B>(
    stream: T,
    connection: Arc<Connection>,
    service: S,
    patience: Patience,
    shared: &Shared,
) where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let handler_connection = Arc::clone(&connection);
    let handler = service_fn(move |request: Request<Incoming>| {
        let guard = connection::Request::begin(&handler_connection, request.version());
        let response = service.clone().call(request);
        async move { response.await.map(|response| response.map(|body| Tracked::new(body, guard))) }
    });
    let builder = builder();
    let mut http = pin!(builder.serve_connection(TokioIo::new(stream), handler));
    let mut phase = shared.phase.clone();
    let mut draining = false;
    loop {
        let full = shared.connections.available_permits() == 0;
        let mut drain = false;
        let next = match connection.check(Instant::now(), patience, full) {
            Check::Later(next) => next,
            Check::Close => return,
            Check::Drain => {
                drain = true;
                Instant::now()
            }
        };
        if !drain {
            tokio::select! {
                // It fails if the client breaks the connection or the protocol.
                _ = http.as_mut() => return,
                () = sleep_until(next.into()) => {}
                changed = phase.changed() => {
                    if changed.is_err() || *phase.borrow_and_update() == Phase::Abort {
                        return;
                    }
                    drain = true;
                }
            }
        }
        if drain && !draining {
            draining = true;
            connection.set_draining();
            // GOAWAY in HTTP/2, the end after the current response in HTTP/1.
            http.as_mut().graceful_shutdown();
        }
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // It would also end idle connections.
        .header_read_timeout(None)
        .max_buf_size(HEAD_LEN_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .max_header_list_size(HEAD_LEN_MAX as u32)
        .max_concurrent_streams(STREAMS_MAX)
        .max_send_buf_size(SEND_BUFFER_LEN);
    builder
}
