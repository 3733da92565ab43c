//! A stateful session for one call or conversation, which is closed whatever happens.

use std::time::Duration;

use sagewire_transport_reqwest::Client;

use super::call::Caller;
use crate::emulate::stop_signal;
use crate::fault::{Exit, Fault, note};

/// How long closing may take. A session that is not closed expires.
const TIMEOUT: Duration = Duration::from_secs(5);

/// An open session.
pub(super) struct Session(sagewire_transport_reqwest::Session<Client>);

impl Session {
    /// Opens a session for all calls of `caller`.
    pub(super) async fn open(caller: &mut Caller<'_>) -> Result<Self, Fault> {
        caller.open_session().await.map(Self)
    }

    /// Waits for the end of `call`, and closes the session: also if the call fails, or a signal stops it. A conversation
    /// handles Ctrl-C itself.
    pub(super) async fn close_after(
        self,
        call: impl Future<Output = Result<(), Fault>>,
        is_conversation: bool,
    ) -> Result<(), Fault> {
        let ending = if is_conversation {
            call.await
        } else {
            let stopped = stop_signal().map_err(|error| Fault::usage(format!("signals: {error}")));
            match stopped {
                Ok(stopped) => tokio::select! {
                    ending = call => ending,
                    () = stopped => Err(Fault::Line(Exit::Truncated, "stopped by a signal".into())),
                },
                Err(fault) => Err(fault),
            }
        };
        match tokio::time::timeout(TIMEOUT, self.0.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => note(&format!("note: session {} was not closed: {error}", self.0.id())),
            Err(_) => note(&format!("note: session {} was not closed in time", self.0.id())),
        }
        ending
    }
}
