//! How the records of a stream are framed.

use serde::{Deserialize, Serialize};

/// What the bytes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
    /// The container's bytes: neither of both, and so no records. Only [`Api::PlainText`] reads it.
    PlainText,
}
