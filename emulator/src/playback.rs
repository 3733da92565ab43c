//! Sends chunks with pauses, and breaks the connection at the end if the script requires it.

use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::framing::FramedStream;
use crate::pace::Slot;
use crate::socket::ConnectionHandle;
use crate::wire::{Ending, Wire};

/// Time for sent bytes to leave before the connection is reset, which discards the rest.
const FLUSH: Duration = Duration::from_millis(20);

/// Changes when the emulator is dropped: nothing is ever sent.
pub(crate) type Alive = watch::Receiver<()>;

/// Waits, unless the emulator is stopped first.
pub(crate) async fn pause(duration: Duration, alive: &mut Alive) -> io::Result<()> {
    if duration.is_zero() {
        return Ok(());
    }
    tokio::select! {
        () = sleep(duration) => Ok(()),
        _ = alive.changed() => Err(stopped()),
    }
}

/// The body of a complete response.
pub(crate) fn body(
    wire: Wire,
    pauses: Duration,
    slot: Option<Slot>,
    connection_handle: ConnectionHandle,
    alive: Alive,
) -> Body {
    if wire.ending == Ending::Clean && wire.chunks.len() <= 1 {
        return wire.chunks.into_iter().next().unwrap_or_default().into();
    }
    Player { wire: wire.into(), feed: None, pauses, _slot: slot, connection_handle, alive }.into()
}

/// The body of a streamed response.
pub(crate) fn stream(
    feed: FramedStream,
    pauses: Duration,
    slot: Option<Slot>,
    connection_handle: ConnectionHandle,
    alive: Alive,
) -> Body {
    let wire = Wire::default();
    Player { wire: wire.into(), feed: Some(feed), pauses, _slot: slot, connection_handle, alive }.into()
}

struct Player {
    wire: Playing,
    /// The source of further chunks.
    feed: Option<FramedStream>,
    pauses: Duration,
    /// Free for the next request when the response ends, or its client leaves.
    _slot: Option<Slot>,
    connection_handle: ConnectionHandle,
    alive: Alive,
}

struct Playing {
    chunks: std::vec::IntoIter<Bytes>,
    ending: Ending,
}

impl From<Wire> for Playing {
    fn from(wire: Wire) -> Self {
        Self { chunks: wire.chunks.into_iter(), ending: wire.ending }
    }
}

impl From<Player> for Body {
    fn from(player: Player) -> Self {
        Self::from_stream(stream::try_unfold((player, true), |(mut player, first)| async move {
            let chunk = player.next(first).await?;
            Ok::<_, io::Error>(chunk.map(|chunk| (chunk, (player, false))))
        }))
    }
}

impl Player {
    async fn next(&mut self, first: bool) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(chunk) = self.wire.chunks.next() {
                if !first {
                    pause(self.pauses, &mut self.alive).await?;
                }
                return Ok(Some(chunk));
            }
            if self.wire.ending != Ending::Clean {
                return Err(self.break_off().await);
            }
            let Some(feed) = &mut self.feed else { return Ok(None) };
            let wire = tokio::select! {
                wire = feed.next() => wire,
                _ = self.alive.changed() => return Err(stopped()),
            };
            let Some(wire) = wire else { return Ok(None) };
            self.wire = wire.into();
        }
    }

    /// Returns an error, which makes the server drop the connection without the last chunk.
    async fn break_off(&mut self) -> io::Error {
        match self.wire.ending {
            // Waits until the emulator is stopped.
            Ending::Stall => drop(self.alive.changed().await),
            Ending::Clean | Ending::Reset | Ending::HangUp => {
                if let Err(stopped) = pause(FLUSH, &mut self.alive).await {
                    return stopped;
                }
            }
        }
        if self.wire.ending == Ending::Reset {
            self.connection_handle.reset();
        }
        io::Error::other("told to break off")
    }
}

fn stopped() -> io::Error {
    io::Error::other("the emulator was stopped")
}
