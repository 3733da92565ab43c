//! How a stream is decoded.

#[cfg(feature = "custom")]
use alloc::sync::Arc;

#[cfg(feature = "custom")]
use crate::format;
use crate::format::Format;
use crate::limits::Limits;

/// What the bytes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Framing {
    /// Tell frames from text by the first bytes, see [`looks_like_frames`](crate::eventstream::looks_like_frames).
    #[default]
    Auto,
    /// Event-stream frames of SageMaker with the container's bytes in them.
    EventStream,
    /// The container's bytes, told by the first of them: for a transport that has removed the frames.
    Unframed,
    /// The container's bytes: server-sent events. Lines that are neither fields nor JSON are ignored.
    Sse,
    /// The container's bytes: JSON documents, a line each or not. Lines that are no JSON are shown as malformed.
    JsonLines,
}

/// How a stream is decoded. The default tells by the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// What the bytes are.
    pub framing: Framing,
    /// What the records mean.
    pub format: Format,
    /// Bounds of all buffers.
    pub limits: Limits,
    /// Whether logprobs are events also where they come with every token, asked for or not, as in TGI's streams.
    pub token_logprobs: bool,
    /// A format that is described in a file. It takes the place of [`format`](Self::format).
    #[cfg(feature = "custom")]
    pub custom: Option<Arc<format::custom::Format>>,
}

impl Options {
    /// Options that tell everything by the bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`framing`](Self::framing).
    #[must_use]
    pub fn framing(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    /// Sets [`format`](Self::format).
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// Sets [`token_logprobs`](Self::token_logprobs).
    #[must_use]
    pub fn token_logprobs(mut self, wanted: bool) -> Self {
        self.token_logprobs = wanted;
        self
    }

    /// Sets [`limits`](Self::limits).
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets [`custom`](Self::custom).
    #[cfg(feature = "custom")]
    #[must_use]
    pub fn custom(mut self, format: impl Into<Arc<format::custom::Format>>) -> Self {
        self.custom = Some(format.into());
        self
    }
}
