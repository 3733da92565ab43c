//! Accepts connections and bounds them: how many are open, how long the head of a request may take, and how large it may be.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::sleep;

use crate::limits::Limits;
use crate::service::handle;
use crate::socket::{ConnectionHandle, Socket};
use crate::state::Service;

/// Most bytes of the head of a request.
const HEAD_LEN_MAX: usize = 64 << 10;
/// The pause after an error of the listener, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves connections until the sender of `stopped` is dropped, then waits for the responses in progress.
pub(crate) async fn serve(listener: TcpListener, service: Arc<Service>, mut stopped: oneshot::Receiver<()>) {
    let connections = Arc::new(Semaphore::new(service.settings.limits.connections));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = async {
            let permit =
                Arc::clone(&connections).acquire_owned().await.expect("the semaphore is never closed");
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            accepted = accepted => accepted,
            _ = &mut stopped => break,
        };
        let Ok((stream, _)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let connection = connection(stream, Arc::clone(&service), &graceful);
        tokio::spawn(async move {
            connection.await;
            drop(permit);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// Serves a connection, which ends if its first request does not arrive in time.
fn connection(
    stream: TcpStream,
    service: Arc<Service>,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + use<> {
    // Without it, chunks may arrive later.
    let _ = stream.set_nodelay(true);
    let connection_handle = ConnectionHandle::default();
    let io = TokioIo::new(Socket::new(stream, connection_handle.clone()));
    let Limits { receive, .. } = service.settings.limits;
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(receive).max_buf_size(HEAD_LEN_MAX);
    builder.http2().timer(TokioTimer::new()).max_header_list_size(HEAD_LEN_MAX as u32);
    let handler_connection = connection_handle.clone();
    let handler = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let (service, connection) = (Arc::clone(&service), handler_connection.clone());
        async move { Ok::<_, Infallible>(handle(service, connection, request.map(Body::new)).await) }
    });
    let connection = graceful.watch(builder.serve_connection(io, handler).into_owned());
    async move {
        // The timeout of hyper does not apply until the first bytes have shown the version of HTTP.
        let first_request = async {
            sleep(receive).await;
            if connection_handle.has_request() {
                std::future::pending::<()>().await;
            }
        };
        let mut first_request = pin!(first_request);
        tokio::select! {
            // It fails if the client breaks the connection or the protocol.
            _ = connection => {}
            () = &mut first_request => {}
        }
    }
}
