//! What bounds a call: times, tries, and bytes.

use crate::body::Timeouts;
use crate::retry::Retry;

/// What bounds a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bounds {
    /// The times.
    pub timeouts: Timeouts,
    /// The tries.
    pub retry: Retry,
    /// Bytes of the largest body that is returned in one piece. Default: 32 MiB; the service's own bound is 25 MB.
    pub max_response_len: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { timeouts: Timeouts::default(), retry: Retry::default(), max_response_len: 32 << 20 }
    }
}

/// The setters of a builder with a field `bounds` that is [`Bounds`]: for those who write a transport.
#[macro_export]
macro_rules! bounds_setters {
    () => {
        /// All that bounds a call.
        pub fn bounds(mut self, bounds: $crate::Bounds) -> Self {
            self.bounds = bounds;
            self
        }

        /// The times that bound a call.
        pub fn timeouts(mut self, timeouts: $crate::Timeouts) -> Self {
            self.bounds.timeouts = timeouts;
            self
        }

        /// Sets [`Timeouts::connect`](sagewire_transport::Timeouts::connect).
        pub fn connect_timeout(mut self, timeout: ::std::time::Duration) -> Self {
            self.bounds.timeouts.connect = timeout;
            self
        }

        /// Sets [`Timeouts::first_byte`](sagewire_transport::Timeouts::first_byte).
        pub fn first_byte_timeout(mut self, timeout: ::std::time::Duration) -> Self {
            self.bounds.timeouts.first_byte = timeout;
            self
        }

        /// Sets [`Timeouts::idle`](sagewire_transport::Timeouts::idle).
        pub fn idle_timeout(mut self, timeout: ::std::time::Duration) -> Self {
            self.bounds.timeouts.idle = timeout;
            self
        }

        /// Sets [`Timeouts::total`](sagewire_transport::Timeouts::total).
        pub fn total_timeout(mut self, timeout: ::std::time::Duration) -> Self {
            self.bounds.timeouts.total = Some(timeout);
            self
        }

        /// How often a call is tried. Default: 3 times; [`Retry::never`](sagewire_transport::Retry::never) is one.
        pub fn retry(mut self, retry: $crate::Retry) -> Self {
            self.bounds.retry = retry;
            self
        }

        /// Bytes of the largest body that is returned in one piece. Default: 32 MiB; the service's own bound is 25 MB.
        pub fn max_response_len(mut self, len: usize) -> Self {
            self.bounds.max_response_len = len;
            self
        }
    };
}
