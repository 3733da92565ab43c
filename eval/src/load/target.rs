//! What is tested: an endpoint or a server, and its requests.

use std::fmt;
use std::sync::Arc;

use sagewire_codec::Options;
use sagewire_transport::{Request, Transport};

use super::call::Invoke;

/// An endpoint or a server, and the requests that it gets.
#[derive(Clone)]
pub struct Target {
    pub(super) name: String,
    pub(super) transport: Arc<dyn Invoke>,
    pub(super) options: Options,
    requests: Arc<[Request]>,
}

impl Target {
    /// A target that is called over a transport, which should not retry: [`Plan::retry`](super::Plan::retry) does, and counts. The
    /// requests are sent in their order, and again from the first one after the last one.
    ///
    /// # Panics
    ///
    /// There are no requests.
    pub fn new(name: impl Into<String>, transport: impl Transport, requests: Vec<Request>) -> Self {
        assert!(!requests.is_empty(), "a target needs requests");
        let (transport, options) = (Arc::new(transport), Options::new());
        Self { name: name.into(), transport, options, requests: requests.into() }
    }

    /// Sets how responses are decoded. Default: their API is detected.
    #[must_use]
    pub fn decode_options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of the first request of a level, so that levels do not repeat the prompts of others, which caches would make
    /// faster. It is the same for all targets.
    pub(super) fn first_request(&self, level: usize, levels: usize) -> u64 {
        (level * (self.requests.len() / levels.max(1))) as u64
    }

    pub(super) fn request(&self, number: u64) -> &Request {
        &self.requests[(number % self.requests.len() as u64) as usize]
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("name", &self.name).finish_non_exhaustive()
    }
}
