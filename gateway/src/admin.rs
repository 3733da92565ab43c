//! Health and metrics, on an address of their own.
//!
//! They are served by a thread of their own, so that they respond when the gateway is under full load. Nothing here calls an
//! endpoint or the shared state.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use tokio::sync::{Semaphore, watch};

use crate::config::Listen;
use crate::connection::Patience;
use crate::listener::{Listener, Phase, Shared};
use crate::observe::{METRICS_CONTENT_TYPE, Observers};

const TEXT: &str = "text/plain; charset=utf-8";
const PATIENCE: Patience = Patience { head: Duration::from_secs(10), send: Duration::from_secs(10) };
const CONNECTIONS: usize = 256;
/// The gateway is not alive if its runtime has done nothing for this time.
const HEARTBEAT_MAX: Duration = Duration::from_secs(60);

/// Whether the gateway works.
#[derive(Debug)]
pub(crate) struct Health {
    ready: AtomicBool,
    started: Instant,
    /// Seconds from the start to the last sign of life of the gateway's runtime.
    heartbeat: AtomicU64,
}

impl Default for Health {
    fn default() -> Self {
        Self { ready: AtomicBool::new(false), started: Instant::now(), heartbeat: AtomicU64::new(0) }
    }
}

impl Health {
    /// Whether it wants requests.
    pub(crate) fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// Its runtime works.
    pub(crate) fn beat(&self) {
        self.heartbeat.store(self.started.elapsed().as_secs(), Ordering::Relaxed);
    }

    fn is_alive(&self) -> bool {
        let age = self.started.elapsed().as_secs().saturating_sub(self.heartbeat.load(Ordering::Relaxed));
        age < HEARTBEAT_MAX.as_secs()
    }
}

/// The address of health and metrics.
#[derive(Debug)]
pub(crate) struct Admin {
    socket: TcpListener,
    address: SocketAddr,
}

/// A running [`Admin`], until it is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    _phase: watch::Sender<Phase>,
}

impl Admin {
    /// Binds the address.
    ///
    /// # Errors
    ///
    /// The address cannot be bound.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpListener::bind(address)
            .map_err(|error| io::Error::new(error.kind(), format!("cannot bind {address}: {error}")))?;
        Self::inherit(socket)
    }

    /// Takes over a socket that is already bound.
    ///
    /// # Errors
    ///
    /// The system does not say its address.
    pub(crate) fn inherit(socket: TcpListener) -> io::Result<Self> {
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// The address that it is bound to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves it in a thread of its own.
    ///
    /// # Errors
    ///
    /// The system has no thread left.
    pub(crate) fn start(self, health: Arc<Health>, observers: Arc<Observers>) -> io::Result<Running> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (sender, phase) = watch::channel(Phase::Serve);
        let listen = Listen::new(self.address);
        let guard = runtime.enter();
        let listener = Listener::inherit(self.socket, &listen)?;
        drop(guard);
        let shared = Shared {
            patience: Arc::new(ArcSwap::from_pointee(PATIENCE)),
            connections: Arc::new(Semaphore::new(CONNECTIONS)),
            open: Default::default(),
            phase,
        };
        let service = tower::service_fn(move |request: Request<hyper::body::Incoming>| {
            let response = respond(request.method(), request.uri().path(), &health, &observers);
            std::future::ready(Ok::<_, Infallible>(response))
        });
        thread::Builder::new()
            .name("admin".to_owned())
            .spawn(move || runtime.block_on(listener.serve(service, shared)))?;
        Ok(Running { _phase: sender })
    }
}

/// The response to a request. `/health/…` are the paths of LiteLLM.
fn respond(method: &Method, path: &str, health: &Health, observers: &Observers) -> Response<Full<Bytes>> {
    let check = |good, bad, is_good| {
        let status = if is_good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, TEXT, Bytes::from_static(if is_good { good } else { bad }))
    };
    let (status, content_type, body) = match path {
        _ if !matches!(*method, Method::GET | Method::HEAD) => {
            (StatusCode::METHOD_NOT_ALLOWED, TEXT, Bytes::from_static(b"use GET\n"))
        }
        "/livez" | "/live" | "/health/liveliness" | "/health/liveness" => {
            check(b"alive\n", b"stuck\n", health.is_alive())
        }
        "/readyz" | "/ready" | "/health/readiness" => {
            check(b"ready\n", b"not ready\n", health.ready.load(Ordering::Relaxed))
        }
        "/metrics" => {
            let mut text = String::new();
            observers.metrics().write(&mut text);
            (StatusCode::OK, METRICS_CONTENT_TYPE, text.into())
        }
        _ => (StatusCode::NOT_FOUND, TEXT, Bytes::from_static(b"see /livez, /readyz, /metrics\n")),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
