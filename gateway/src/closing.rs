//! Tells running streams that the gateway stops.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::watch;

/// The side that closes.
#[derive(Debug)]
pub(crate) struct Closer(watch::Sender<bool>);

/// The side of a stream.
pub(crate) struct Closing {
    receiver: watch::Receiver<bool>,
    /// Made when the stream first waits: short streams never do.
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Closer {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    pub(crate) fn close(&self) {
        self.0.send_replace(true);
    }

    pub(crate) fn subscribe(&self) -> Closing {
        Closing { receiver: self.0.subscribe(), waiting: None }
    }
}

impl Closing {
    pub(crate) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let waiting = self.waiting.get_or_insert_with(|| {
            let mut receiver = self.receiver.clone();
            Box::pin(async move {
                // An error: the gateway was dropped, and the streams go on.
                if receiver.wait_for(|closed| *closed).await.is_err() {
                    std::future::pending::<()>().await;
                }
            })
        });
        let closed = waiting.as_mut().poll(cx);
        if closed.is_ready() {
            // Once: the stream then ends by itself.
            self.waiting = Some(Box::pin(std::future::pending()));
        }
        closed
    }
}

impl fmt::Debug for Closing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closing").field("receiver", &self.receiver).finish_non_exhaustive()
    }
}
