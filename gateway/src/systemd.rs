//! Sockets from systemd, and what it wants to know of the service.

#[cfg(feature = "systemd")]
pub(crate) use with::{notify_ready, notify_stopping, sockets};
#[cfg(not(feature = "systemd"))]
pub(crate) use without::{notify_ready, notify_stopping, sockets};

use std::io;
use std::net::{SocketAddr, TcpListener};

/// The sockets that were passed to this process, and not taken yet.
#[derive(Debug, Default)]
pub(crate) struct Sockets(Vec<(SocketAddr, TcpListener)>);

impl Sockets {
    /// The socket for an address: systemd may bind another interface, so only the port has to be the same.
    pub(crate) fn take(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let index = self.0.iter().position(|(bound, _)| bound.port() == address.port())?;
        Some(self.0.swap_remove(index).1)
    }

    /// Checks that all were taken.
    ///
    /// # Errors
    ///
    /// One was not: its clients would wait for ever.
    pub(crate) fn finish(self) -> io::Result<()> {
        let Some((address, _)) = self.0.first() else { return Ok(()) };
        let message = format!("no address of the configuration has the port of the passed socket {address}");
        Err(io::Error::new(io::ErrorKind::InvalidInput, message))
    }
}

#[cfg(feature = "systemd")]
mod with {
    use super::{Sockets, io};

    /// Takes over the sockets that were passed to this process (`LISTEN_FDS`).
    ///
    /// # Errors
    ///
    /// One is not a TCP socket.
    pub(crate) fn sockets() -> io::Result<Sockets> {
        let mut passed = listenfd::ListenFd::from_env();
        let mut sockets = Vec::with_capacity(passed.len());
        for index in 0..passed.len() {
            if let Some(socket) = passed.take_tcp_listener(index)? {
                sockets.push((socket.local_addr()?, socket));
            }
        }
        Ok(Sockets(sockets))
    }

    /// The service has started.
    pub(crate) fn notify_ready() {
        notify(sd_notify::NotifyState::Ready);
    }

    /// The service stops.
    pub(crate) fn notify_stopping() {
        notify(sd_notify::NotifyState::Stopping);
    }

    fn notify(state: sd_notify::NotifyState<'_>) {
        if let Err(error) = sd_notify::notify(&[state]) {
            eprintln!("sagewire: cannot notify systemd: {error}");
        }
    }
}

#[cfg(not(feature = "systemd"))]
mod without {
    use super::{Sockets, io};

    pub(crate) fn sockets() -> io::Result<Sockets> {
        Ok(Sockets::default())
    }

    pub(crate) fn notify_ready() {}

    pub(crate) fn notify_stopping() {}
}
