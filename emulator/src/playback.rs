//! Sends chunks, with pauses, and breaks off in the end if told to.

use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::socket::Hold;
use crate::wire::{Ending, Wire};

/// Before a connection is broken, what was sent should have left: a reset discards the rest.
const FLUSH: Duration = Duration::from_millis(20);

/// Runs for as long as the emulator is alive. Its sender is never used, only dropped.
pub(crate) type Alive = watch::Receiver<()>;

/// Waits, unless the emulator is gone first.
pub(crate) async fn pause(duration: Duration, alive: &mut Alive) -> io::Result<()> {
    if duration.is_zero() {
        return Ok(());
    }
    tokio::select! {
        () = sleep(duration) => Ok(()),
        _ = alive.changed() => Err(stopped()),
    }
}

/// The body of a response.
pub(crate) fn body(wire: Wire, pauses: Duration, hold: Hold, alive: Alive) -> Body {
    if wire.ending == Ending::Clean && wire.chunks.len() <= 1 {
        return wire.chunks.into_iter().next().unwrap_or_default().into();
    }
    let player = Player { chunks: wire.chunks.into_iter(), ending: Some(wire.ending), pauses, hold, alive };
    Body::from_stream(stream::try_unfold((player, true), |(mut player, first)| async move {
        let chunk = player.next(first).await?;
        Ok::<_, io::Error>(chunk.map(|chunk| (chunk, (player, false))))
    }))
}

struct Player {
    chunks: std::vec::IntoIter<Bytes>,
    ending: Option<Ending>,
    pauses: Duration,
    hold: Hold,
    alive: Alive,
}

impl Player {
    async fn next(&mut self, first: bool) -> io::Result<Option<Bytes>> {
        if let Some(chunk) = self.chunks.next() {
            if !first {
                pause(self.pauses, &mut self.alive).await?;
            }
            return Ok(Some(chunk));
        }
        let ending = self.ending.take().unwrap_or_default();
        match ending {
            Ending::Clean => return Ok(None),
            Ending::Stall => {
                // Only the end of the emulator ends this.
                let _ = self.alive.changed().await;
            }
            Ending::Reset | Ending::HangUp => pause(FLUSH, &mut self.alive).await?,
        }
        if ending == Ending::Reset {
            self.hold.reset();
        }
        // An error of the body makes the server drop the connection without the last chunk.
        Err(io::Error::other("told to break off"))
    }
}

fn stopped() -> io::Error {
    io::Error::other("the emulator was stopped")
}
