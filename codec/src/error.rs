//! The error of decoding streams.

use alloc::boxed::Box;
use core::fmt;

use crate::model::{Api, Failure};

/// Why a stream could not be decoded: what went wrong, in which layer, and at which byte.
///
/// Errors are sticky: a decoder that has returned one returns the same one from then on. Everything decoded
/// before the fault has been delivered by then.
#[derive(Clone, PartialEq, Eq)]
pub struct DecodeError(Box<Fault>);

/// Boxed, so that a `Result` is no larger than its success.
#[derive(Clone, PartialEq, Eq)]
struct Fault {
    kind: DecodeErrorKind,
    layer: Layer,
    offset: u64,
}

impl DecodeError {
    /// An error of a layer, `offset` bytes into its input: for a transport that removes the frames itself, see
    /// [`Decoder::fail_with`](crate::Decoder::fail_with).
    pub fn new(layer: Layer, offset: u64, kind: DecodeErrorKind) -> Self {
        Self(Box::new(Fault { kind, layer, offset }))
    }

    /// What went wrong.
    pub fn kind(&self) -> &DecodeErrorKind {
        &self.0.kind
    }

    /// The layer that found the fault. It determines what [`offset`](Self::offset) counts.
    pub fn layer(&self) -> Layer {
        self.0.layer
    }

    /// Bytes of this layer's input before the fault.
    ///
    /// The input of [`Layer::EventStream`] and [`Layer::SageMaker`] is the response body. The input of the
    /// layers below is what the container wrote: the response body with the frames taken off.
    pub fn offset(&self) -> u64 {
        self.0.offset
    }

    /// The input ended before the stream did: no terminal record, no finish reason for every choice, or in the
    /// middle of a frame, a line or a record. An empty stream is truncated, too, and so is one in which nothing was recognized,
    /// unless it has a terminal record.
    pub fn is_truncated(&self) -> bool {
        matches!(
            self.0.kind,
            DecodeErrorKind::Truncated { .. } | DecodeErrorKind::Unrecognized { is_ended: false, .. }
        )
    }

    /// There were records or events, or a terminal record, and nothing of a response was recognized.
    pub fn is_unrecognized(&self) -> bool {
        matches!(self.0.kind, DecodeErrorKind::Unrecognized { .. })
    }

    /// A bound of [`Limits`](crate::Limits) was reached.
    pub fn is_limit(&self) -> bool {
        matches!(self.0.kind, DecodeErrorKind::Limit { .. })
    }

    /// The bytes are not what the format allows: a checksum, a length, a header, or a terminal record behind nothing that was
    /// recognized.
    pub fn is_corrupt(&self) -> bool {
        !self.is_truncated() && !self.is_limit() && self.failure().is_none()
    }

    /// The model or the service reported that it failed.
    pub fn is_model_failure(&self) -> bool {
        self.failure().is_some()
    }

    /// The failure that the model or the service reported.
    pub fn failure(&self) -> Option<&Failure> {
        match &self.0.kind {
            DecodeErrorKind::Failure(failure) => Some(failure),
            _ => None,
        }
    }
}

impl fmt::Debug for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { kind, layer, offset } = &*self.0;
        f.debug_struct("DecodeError")
            .field("kind", kind)
            .field("layer", layer)
            .field("offset", offset)
            .finish()
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: byte {}: {}", self.0.layer, self.0.offset, self.0.kind)
    }
}

impl core::error::Error for DecodeError {}

/// The layers of a stream, outermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Layer {
    /// AWS event-stream frames.
    EventStream,
    /// The events of SageMaker's response stream.
    SageMaker,
    /// Server-sent events.
    Sse,
    /// JSON lines.
    JsonLines,
    /// The records that the container wrote, whatever their framing.
    Record,
    /// The chat format inside the records.
    Format,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EventStream => "eventstream",
            Self::SageMaker => "sagemaker",
            Self::Sse => "sse",
            Self::JsonLines => "jsonlines",
            Self::Record => "record",
            Self::Format => "format",
        })
    }
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The input ended too early. `what` names what was unfinished; `len` is how much of it had arrived, in bytes.
    Truncated {
        /// What was unfinished.
        what: &'static str,
        /// Bytes of it that had arrived.
        len: u64,
    },
    /// A bound of [`Limits`](crate::Limits) was reached.
    Limit {
        /// What was too large.
        what: &'static str,
        /// Its size in bytes or items, where it is known.
        len: Option<u64>,
        /// The bound.
        limit: u64,
    },
    /// The first twelve bytes of a frame do not match their checksum: corrupt, or no event stream at all.
    PreludeChecksum {
        /// CRC-32 of the bytes received.
        computed: u32,
        /// CRC-32 that the frame states.
        found: u32,
    },
    /// A frame does not match its checksum.
    MessageChecksum {
        /// CRC-32 of the bytes received.
        computed: u32,
        /// CRC-32 that the frame states.
        found: u32,
    },
    /// The lengths in a prelude contradict each other or the format.
    FrameLength {
        /// Stated length of the whole frame.
        total: u32,
        /// Stated length of its headers.
        headers: u32,
    },
    /// A header of a frame is malformed.
    Header(&'static str),
    /// A header of a frame has a type that the format does not define.
    HeaderType(u8),
    /// A value cannot be encoded in this field without changing its meaning.
    Unencodable(&'static str),
    /// A document is malformed, or is not what it should be.
    Malformed {
        /// What it should be.
        what: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Nothing of a response was recognized, although the input has records or events, or a terminal record.
    Unrecognized {
        /// What is known of the reason.
        why: &'static str,
        /// The API that the input was read as, if it was named or detected.
        api: Option<Api>,
        /// There was a terminal record.
        is_ended: bool,
    },
    /// The model or the service reported that it failed.
    Failure(Box<Failure>),
}

impl fmt::Display for DecodeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { what, len: 0 } => write!(f, "truncated: {what}"),
            Self::Truncated { what, len } => write!(f, "truncated: {what}, {len} bytes of it received"),
            Self::Limit { what, len: Some(len), limit } => {
                write!(f, "{what} of {len} exceeds the limit of {limit}")
            }
            Self::Limit { what, len: None, limit } => write!(f, "{what} exceeds the limit of {limit}"),
            Self::PreludeChecksum { computed, found } => {
                write!(f, "prelude checksum mismatch: computed {computed:#010x}, found {found:#010x}")
            }
            Self::MessageChecksum { computed, found } => {
                write!(f, "message checksum mismatch: computed {computed:#010x}, found {found:#010x}")
            }
            Self::FrameLength { total, headers } => {
                write!(f, "impossible frame: {total} bytes in all, {headers} of them headers")
            }
            Self::Header(why) => write!(f, "malformed header: {why}"),
            Self::HeaderType(found) => write!(f, "malformed header: unknown value type {found}"),
            Self::Unencodable(what) => write!(f, "cannot be encoded: {what}"),
            Self::Malformed { what, why } => write!(f, "malformed {what}: {why}"),
            Self::Unrecognized { why, api: None, .. } => write!(f, "no response was recognized: {why}"),
            Self::Unrecognized { why, api: Some(api), .. } => {
                write!(f, "no response was recognized, read as {api}: {why}")
            }
            Self::Failure(failure) => failure.fmt(f),
        }
    }
}
