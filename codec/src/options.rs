//! How a stream is decoded.

#[cfg(feature = "custom")]
use alloc::sync::Arc;

use serde::{Deserialize, Serialize};

#[cfg(feature = "custom")]
use crate::formats::custom;
use crate::limits::Limits;
use crate::model::Api;
use crate::records::Framing;
use crate::setters::setters;

/// How a stream is decoded. The default detects framing and API automatically.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Options {
    /// The framing of the bytes.
    pub framing: Framing,
    /// The API of the response. `None`: it is detected by the fields of its records.
    pub api: Option<Api>,
    /// Bounds of all buffers.
    pub limits: Limits,
    /// Whether log probabilities become events in APIs that send them with every token whether requested or not (TGI).
    pub token_logprobs: bool,
    /// A custom format, which is described in a file. It is used in place of [`api`](Self::api).
    #[cfg(feature = "custom")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom: Option<Arc<custom::Format>>,
}

impl Options {
    /// The defaults: everything is detected.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        framing(framing: Framing) => framing;
        api(api: impl Into<Option<Api>>) => api.into();
        token_logprobs(wanted: bool) => wanted;
        limits(limits: Limits) => limits;
    }

    /// Sets [`custom`](Self::custom).
    #[cfg(feature = "custom")]
    #[must_use]
    pub fn custom(mut self, format: impl Into<Arc<custom::Format>>) -> Self {
        self.custom = Some(format.into());
        self
    }
}
