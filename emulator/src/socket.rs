//! Connections that can be reset.
//!
//! A handler cannot reach its socket. It gets a [`ConnectionHandle`] instead: after a call to reset,
//! the socket has a linger time of zero when the server drops it, which the kernel turns into RST.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The handler's handle on its connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectionHandle {
    reset: Arc<AtomicBool>,
    has_request: Arc<AtomicBool>,
}

impl ConnectionHandle {
    /// Makes the connection end with a reset.
    pub(crate) fn reset(&self) {
        self.reset.store(true, Ordering::Release);
    }

    /// Records that the head of a request has arrived.
    pub(crate) fn set_request(&self) {
        self.has_request.store(true, Ordering::Release);
    }

    /// Whether the head of a request has arrived.
    pub(crate) fn has_request(&self) -> bool {
        self.has_request.load(Ordering::Acquire)
    }
}

/// A socket that can be reset.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    connection_handle: ConnectionHandle,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream, connection_handle: ConnectionHandle) -> Self {
        Self { stream, connection_handle }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.connection_handle.reset.load(Ordering::Acquire) {
            // If this fails, the connection closes without RST.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
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
