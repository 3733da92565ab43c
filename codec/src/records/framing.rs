//! How the records of a stream are framed.

/// How the records of a stream are framed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Framing {
    /// Detected automatically by the first bytes, see [`looks_like_frames`](crate::eventstream::looks_like_frames).
    #[default]
    Auto,
    /// Event-stream frames of SageMaker with the container's bytes in them.
    EventStream,
    /// The container's bytes, whose framing is detected automatically, for a transport that has removed the frames.
    Unframed,
    /// The container's bytes, as server-sent events. Lines that are neither fields nor JSON are ignored.
    Sse,
    /// The container's bytes, as JSON documents, with or without line ends. Lines that are no JSON are malformed.
    JsonLines,
    /// The container's bytes, as text without records. Only [`Api::PlainText`] reads it.
    PlainText,
}
