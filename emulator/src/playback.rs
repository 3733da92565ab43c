//! Sends chunks, with pauses, and breaks off in the end if told to.

use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::feed::Feed;
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

/// The body of a response that is there.
pub(crate) fn body(wire: Wire, pauses: Duration, hold: Hold, alive: Alive) -> Body {
    if wire.ending == Ending::Clean && wire.chunks.len() <= 1 {
        return wire.chunks.into_iter().next().unwrap_or_default().into();
    }
    Player { wire: wire.into(), feed: None, pauses, hold, alive }.into()
}

/// The body of a response that is still to come.
pub(crate) fn stream(feed: Feed, pauses: Duration, hold: Hold, alive: Alive) -> Body {
    let wire = Wire::default();
    Player { wire: wire.into(), feed: Some(feed), pauses, hold, alive }.into()
}

struct Player {
    wire: Playing,
    /// Where more comes from.
    feed: Option<Feed>,
    pauses: Duration,
    hold: Hold,
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

    /// An error of the body makes the server drop the connection without the last chunk.
    async fn break_off(&mut self) -> io::Error {
        match self.wire.ending {
            // Only the end of the emulator ends this.
            Ending::Stall => drop(self.alive.changed().await),
            Ending::Clean | Ending::Reset | Ending::HangUp => {
                if let Err(stopped) = pause(FLUSH, &mut self.alive).await {
                    return stopped;
                }
            }
        }
        if self.wire.ending == Ending::Reset {
            self.hold.reset();
        }
        io::Error::other("told to break off")
    }
}

fn stopped() -> io::Error {
    io::Error::other("the emulator was stopped")
}
