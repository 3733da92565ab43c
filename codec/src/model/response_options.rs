//! Options for writing responses.

use alloc::string::String;

use serde::{Deserialize, Serialize};

/// Values that a target API requires and the source may not have, and how to encode what is written.
///
/// A value that is `None` here and missing in the source is written as the default below, and reported as a
/// [`Loss`](crate::model::Loss) where it could mislead.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ResponseOptions {
    /// ID of the response, if the source has none. Default: `chatcmpl-0`, for Anthropic `msg_0`.
    ///
    /// Generated IDs of tool calls are made of the ID of the response. If neither the source nor this option has one, they are the
    /// same in each response, which APIs refuse in one conversation.
    pub id: Option<String>,
    /// Name of the model, if the source has none. Default: empty.
    pub model: Option<String>,
    /// Seconds since the Unix epoch, if the source has none. Default: 0.
    pub created: Option<u64>,
    /// Duration of the response in milliseconds, which no source has. Default: 0.
    pub latency_ms: Option<u64>,
    /// How the events of a ConverseStream are encoded. Default: as event-stream frames.
    pub encoding: ConverseEncoding,
}

/// How the events of a ConverseStream are encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ConverseEncoding {
    /// AWS event-stream frames, as the service sends them.
    #[default]
    EventStream,
    /// One line of JSON for each event: the event under its name.
    JsonLines,
}

impl ResponseOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`id`](Self::id).
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets [`model`](Self::model).
    #[must_use]
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// Sets [`created`](Self::created).
    #[must_use]
    pub fn created(mut self, seconds: u64) -> Self {
        self.created = Some(seconds);
        self
    }

    /// Sets [`encoding`](Self::encoding).
    #[must_use]
    pub fn encoding(mut self, encoding: ConverseEncoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// Sets [`latency_ms`](Self::latency_ms).
    #[must_use]
    pub fn latency_ms(mut self, milliseconds: u64) -> Self {
        self.latency_ms = Some(milliseconds);
        self
    }
}
