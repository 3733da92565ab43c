//! The service's limits.

use std::time::Duration;

/// The limits of the service: sizes in bytes, connections, and timeouts.
///
/// The timeouts for responses apply to an [`Upstream`](crate::Upstream) and not to scripted pauses.
///
/// ```
/// use sagewire_emulator::Limits;
///
/// let limits = Limits { request_len: 4_000_000, ..Limits::default() };
/// assert_eq!(limits.unary.as_secs(), 60);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of a request body. Default: 25 MB, according to the service's FAQ; the API's model has 6 MiB.
    pub request_len: usize,
    /// Most bytes of a non-streaming response, and of an error of the container. Default: 25 MB.
    pub response_len: usize,
    /// Most bytes of an asynchronous request with an inline body. Default: 128,000.
    pub inline_len: usize,
    /// Most connections that are open at the same time. Further ones wait. Default: 10,000.
    pub connections: usize,
    /// Timeout for receiving the head of a request, and for receiving its body. Default: 60 seconds.
    pub receive: Duration,
    /// Timeout for connecting to the container. Default: 250 milliseconds.
    pub connect: Duration,
    /// Timeout for a complete non-streaming response. Default: 60 seconds.
    pub unary: Duration,
    /// Timeout for the last byte of a streamed response. Default: 8 minutes.
    pub stream: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_len: 25_000_000,
            response_len: 25_000_000,
            inline_len: 128_000,
            connections: 10_000,
            receive: Duration::from_secs(60),
            connect: Duration::from_millis(250),
            unary: Duration::from_secs(60),
            stream: Duration::from_secs(8 * 60),
        }
    }
}
