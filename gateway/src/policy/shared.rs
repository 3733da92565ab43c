//! Values that several processes share, in the server of the limits: responses of the cache.
//!
//! A failure is a miss, and is counted; it delays a request by no more than a decision on limits. Values have a connection of
//! their own, so that a large one does not delay the limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::ConnectionManager;
use tokio::sync::Semaphore;

use super::store::Store;

/// The largest value that is kept, in bytes.
pub(crate) const VALUE_MAX: usize = 1 << 20;
/// Values that are being written at the same time, at most: further ones are not kept.
const WRITES_MAX: usize = 64;

/// The values in the server.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(super) store: Arc<Store>,
    pub(super) values: Arc<Values>,
}

/// What the values of a server need.
pub(super) struct Values {
    pub(super) connection: ConnectionManager,
    writes: Arc<Semaphore>,
    failures: AtomicU64,
}

impl Values {
    pub(super) fn new(connection: ConnectionManager) -> Arc<Self> {
        let writes = Arc::new(Semaphore::new(WRITES_MAX));
        Arc::new(Self { connection, writes, failures: AtomicU64::new(0) })
    }

    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }
}

impl Shared {
    /// The value under a name, if there is one and the server responds in time.
    pub(crate) async fn get(&self, name: &str) -> Option<Vec<u8>> {
        if self.store.is_down() {
            self.values.failed();
            return None;
        }
        let mut connection = self.values.connection.clone();
        // No more than a value can have, whatever is there.
        let mut call = redis::cmd("GETRANGE");
        call.arg(name).arg(0).arg(VALUE_MAX);
        let found = call.query_async::<Vec<u8>>(&mut connection);
        match tokio::time::timeout(self.store.server.timing.decision, found).await {
            Ok(Ok(value)) => Some(value).filter(|value| !value.is_empty() && value.len() <= VALUE_MAX),
            _ => {
                self.values.failed();
                None
            }
        }
    }

    /// Keeps what `value` makes under a name, for this time. Does not wait.
    pub(crate) fn put(
        &self,
        name: String,
        value: impl FnOnce() -> Option<Vec<u8>> + Send + 'static,
        ttl: Duration,
    ) {
        let Ok(permit) = Arc::clone(&self.values.writes).try_acquire_owned() else {
            return self.values.failed();
        };
        if self.store.is_down() {
            return self.values.failed();
        }
        let values = Arc::clone(&self.values);
        tokio::spawn(async move {
            let _permit = permit;
            let Some(value) = value().filter(|value| value.len() <= VALUE_MAX) else { return };
            let millis = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).clamp(1, 1 << 40);
            let mut call = redis::cmd("SET");
            call.arg(name).arg(value).arg("PX").arg(millis);
            let mut connection = values.connection.clone();
            if call.query_async::<()>(&mut connection).await.is_err() {
                values.failed();
            }
        });
    }
}

impl std::fmt::Debug for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Values").field("failures", &self.failures).finish_non_exhaustive()
    }
}
