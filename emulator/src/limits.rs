//! The service's limits.

use std::time::Duration;

/// What the service does not exceed: sizes in bytes, and times of a container behind it.
///
/// A script has its own times: those here are for an upstream.
///
/// ```
/// use sagewire_emulator::Limits;
///
/// let limits = Limits { request_len: 4_000_000, ..Limits::default() };
/// assert_eq!(limits.unary.as_secs(), 60);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of a request's body. Default: 25 MB, says the service's FAQ; the API's model still says 6 MiB.
    pub request_len: usize,
    /// Of a response that is not streamed, and of the container's errors. Default: 25 MB as well.
    pub response_len: usize,
    /// Of the body that an asynchronous request has instead of a location. Default: 128,000.
    pub inline_len: usize,
    /// Until the container has accepted the connection. Default: 250 milliseconds.
    pub connect: Duration,
    /// Until the whole answer of a call that is not streamed has come. Default: 60 seconds.
    pub unary: Duration,
    /// Until the last byte of a streamed answer has come. Default: 8 minutes.
    pub stream: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_len: 25_000_000,
            response_len: 25_000_000,
            inline_len: 128_000,
            connect: Duration::from_millis(250),
            unary: Duration::from_secs(60),
            stream: Duration::from_secs(8 * 60),
        }
    }
}
