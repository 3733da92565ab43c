//! What is called with each event of a response: the hook of the caller, and the span of `tracing`.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sagewire_codec::model::{Event, Response};

use crate::endpoint::Endpoint;
use crate::error::Error;

/// Called with the time since the request was sent, and the event.
pub(crate) type Hook = Arc<dyn Fn(Duration, &Event<'_>) + Send + Sync>;

/// Observes one call.
pub(crate) struct Observer {
    sent_at: Instant,
    hook: Option<Hook>,
    #[cfg(feature = "tracing")]
    span: crate::trace::Span,
}

impl Observer {
    /// Observes a chat that starts now.
    pub(crate) fn chat(endpoint: &Endpoint, hook: Option<Hook>) -> Self {
        #[cfg(not(feature = "tracing"))]
        let _ = endpoint;
        Self {
            sent_at: Instant::now(),
            hook,
            #[cfg(feature = "tracing")]
            span: crate::trace::Span::chat(endpoint),
        }
    }

    /// Observes a call for embeddings that starts now.
    pub(crate) fn embeddings(endpoint: &Endpoint) -> Self {
        #[cfg(not(feature = "tracing"))]
        let _ = endpoint;
        Self {
            sent_at: Instant::now(),
            hook: None,
            #[cfg(feature = "tracing")]
            span: crate::trace::Span::embeddings(endpoint),
        }
    }

    /// An event of a streaming response.
    pub(crate) fn event(&mut self, event: &Event<'_>) {
        if let Some(hook) = &self.hook {
            hook(self.sent_at.elapsed(), event);
        }
        #[cfg(feature = "tracing")]
        self.span.event(event, self.sent_at);
    }

    /// A non-streaming response of a chat: the hook gets it as events.
    pub(crate) fn response(&mut self, response: &Response) {
        if let Some(hook) = &self.hook {
            let elapsed = self.sent_at.elapsed();
            response.for_each_event(|event| hook(elapsed, event));
        }
        #[cfg(feature = "tracing")]
        self.span.response(response);
    }

    /// Token counts, of a response that is not a chat.
    pub(crate) fn usage(&mut self, usage: &sagewire_codec::model::Usage) {
        #[cfg(feature = "tracing")]
        self.span.usage(usage);
        #[cfg(not(feature = "tracing"))]
        let _ = usage;
    }

    /// The call failed.
    pub(crate) fn error(&self, error: &Error) {
        #[cfg(feature = "tracing")]
        self.span.error(error);
        #[cfg(not(feature = "tracing"))]
        let _ = error;
    }

    /// Observes the error of a result, and returns the result unchanged.
    pub(crate) fn observe<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        result.inspect_err(|error| self.error(error))
    }

    /// Milliseconds from when the request was sent until `end`.
    pub(crate) fn elapsed_ms(&self, end: Instant) -> u64 {
        end.saturating_duration_since(self.sent_at).as_millis().try_into().unwrap_or(u64::MAX)
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").field("sent_at", &self.sent_at).finish_non_exhaustive()
    }
}
