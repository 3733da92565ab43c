//! The limits of a call: timeouts, retries and the size of a response.

use crate::body::Timeouts;
use crate::retry::Retry;

/// The limits of a call.
///
/// With the feature `serde` it can be read from a configuration file. Missing fields have their defaults.
///
/// ```
/// use std::time::Duration;
/// use sagewire_transport::{Bounds, Retry};
///
/// let bounds = Bounds::default();
/// assert_eq!(bounds.timeouts.connect, Duration::from_secs(5));
/// assert_eq!(bounds.retry, Retry::default());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct Bounds {
    /// The timeouts.
    pub timeouts: Timeouts,
    /// The retries.
    pub retry: Retry,
    /// The size of the largest non-streaming response, in bytes. Default: 32 MiB; the service itself allows 25 MB.
    pub max_response_len: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { timeouts: Timeouts::default(), retry: Retry::default(), max_response_len: 32 << 20 }
    }
}

/// Adds setters to a client builder that has a field `bounds` of the type [`Bounds`]. For authors of transports.
/// `bounds_setters!(field)` also sets a field to `true` if the retries are set.
#[macro_export]
macro_rules! bounds_setters {
    ($($retry_is_set:ident)?) => {
        /// Sets all limits of a call at once.
        pub fn bounds(mut self, bounds: $crate::Bounds) -> Self {
            self.bounds = bounds;
            $(self.$retry_is_set = true;)?
            self
        }

        /// Sets all timeouts of a call at once.
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

        /// Sets how often and when a call is retried. Default: 3 attempts;
        /// [`Retry::never`](sagewire_transport::Retry::never) makes one attempt only.
        pub fn retry(mut self, retry: $crate::Retry) -> Self {
            self.bounds.retry = retry;
            $(self.$retry_is_set = true;)?
            self
        }

        /// Sets the size of the largest non-streaming response, in bytes. Default: 32 MiB; the service itself allows
        /// 25 MB.
        pub fn max_response_len(mut self, len: usize) -> Self {
            self.bounds.max_response_len = len;
            self
        }
    };
}
