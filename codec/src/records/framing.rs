//! How the records of a stream are framed.

use serde::{Deserialize, Serialize};

/// How the bytes of a response are framed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Framing {
    /// Detected by the first bytes, see [`looks_like_frames`](crate::eventstream::looks_like_frames).
    #[default]
    Auto,
    /// Event-stream frames of SageMaker with the container's bytes in them.
    EventStream,
    /// No frames: the container's bytes, server-sent events or JSON lines. For a transport that removes the frames itself.
    Unframed,
    /// No frames: server-sent events. Lines that are neither fields nor JSON are ignored.
    Sse,
    /// No frames: JSON documents, one per line or not. Lines that are not JSON are reported as malformed.
    JsonLines,
    /// No frames and no records: plain text, see [`Api::PlainText`](crate::Api::PlainText).
    PlainText,
}
