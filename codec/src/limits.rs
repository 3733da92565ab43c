//! The bounds of every buffer, in one place.

use serde::{Deserialize, Serialize};

/// Bounds on what a decoder holds. Each has a default that real streams stay far below.
///
/// ```
/// use sagewire_codec::Limits;
/// let limits = Limits { record: 64 * 1024, ..Limits::default() };
/// assert_eq!(limits.payload, 24 * 1024 * 1024);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of one frame's payload: 24 MiB, as in botocore's `eventstream.py` and in the C runtime.
    pub payload: usize,
    /// Bytes of one frame's headers: 128 KiB, as in botocore's `eventstream.py`.
    pub headers: usize,
    /// Headers of one frame: 1,024, as in aws-c-event-stream.
    pub header_count: usize,
    /// Bytes of one record: an unfinished line and the event that it belongs to, or one JSON document. 8 MiB, well
    /// above the 1,000,000 bytes that Bedrock allows one `chunk`.
    pub record: usize,
    /// Depth of nested JSON: 127, which is what serde_json takes.
    pub depth: usize,
    /// Choices of one response: 1,024, eight times what OpenAI allows.
    pub choices: usize,
    /// Tool calls of one choice: 1,024.
    pub tools: usize,
    /// Bytes of parts held back while another part of the same choice is still open, and of the identities of tool calls, with the
    /// memory that it takes to keep them apart: 8 MiB.
    pub pending: usize,
    /// Events of one record, which are kept until they are taken; and everything but text that
    /// [`Response::read`](crate::model::Response::read) keeps. 262,144; each takes up to 56 bytes in a record, and 256 in a response.
    pub events: usize,
}

impl Limits {
    /// The documented defaults.
    pub const DEFAULT: Self = Self {
        payload: 24 * 1024 * 1024,
        headers: 128 * 1024,
        header_count: 1024,
        record: 8 * 1024 * 1024,
        depth: 127,
        choices: 1024,
        tools: 1024,
        pending: 8 * 1024 * 1024,
        events: 256 * 1024,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Bounds on a request that is read. The defaults are for requests of clients that are not trusted, as a gateway has them.
///
/// ```
/// use sagewire_codec::{Api, RequestLimits, read_request_with};
///
/// let limits = RequestLimits { elements: 3, ..RequestLimits::default() };
/// let body = br#"{"messages":[{"role":"user","content":"a"}],"stop":["b","c","d"]}"#;
/// let error = read_request_with(Api::OpenAi, body, limits).unwrap_err();
/// assert!(error.is_limit());
/// assert_eq!(error.to_string(), "byte 60: number of elements exceeds the limit of 3 (at /stop/2)");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestLimits {
    /// Bytes of the request: 32 MiB. SageMaker accepts 25 MB, and Anthropic 32 MB.
    pub bytes: usize,
    /// Elements that are kept one by one: messages, parts, calls, tools, stop sequences, texts to embed, and fields that are not
    /// known. 100,000, which is the number of messages that Anthropic accepts. A value that is kept as JSON, such as a schema or a
    /// list of tokens, is part of one element.
    pub elements: usize,
    /// Depth of nested JSON: 127, which is what serde_json takes. A larger number counts as 127.
    pub depth: usize,
}

impl RequestLimits {
    /// The documented defaults.
    pub const DEFAULT: Self = Self { bytes: 32 * 1024 * 1024, elements: 100_000, depth: REQUEST_DEPTH };

    /// The limits of a document that was checked before.
    pub(crate) const NONE: Self = Self { bytes: usize::MAX, elements: usize::MAX, depth: REQUEST_DEPTH };

    /// The depth that counts.
    pub(crate) fn depth(&self) -> usize {
        self.depth.min(REQUEST_DEPTH)
    }
}

/// Nesting of requests that is read at most. What reads their parts again relies on it.
const REQUEST_DEPTH: usize = 127;

impl Default for RequestLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
