//! The events of `InvokeEndpointWithResponseStream` and `InvokeEndpointWithBidirectionalStream`.
//!
//! Source: the service models of SageMaker Runtime, shape
//! [`ResponseStream`](https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_ResponseStream.html), and of
//! SageMaker Runtime HTTP/2 2025-10-01. A `PayloadPart` carries raw bytes of the container.
//!
//! In a response stream, the boundaries between parts have no meaning: a part may contain five records, half a line or half a
//! character. In a bidirectional stream, each part is one frame of the container's WebSocket, and has headers that say which. The
//! client signs its events there: see `eventstream::Signer` (feature `signing`).

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::Deserialize;

use crate::error::DecodeError;
use crate::eventstream::{Frame, Header, Value, encode};
use crate::json::Object;
use crate::model::Failure;
use crate::setters::setters;

/// An event of the response stream.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Bytes that the container wrote; in a bidirectional stream also bytes that it is to read.
    PayloadPart(PayloadPart<'a>),
    /// The stream failed: a modelled exception (`ModelStreamError`, `InternalStreamFailure`), an unmodelled one, or an
    /// `error` frame. Nothing follows.
    Failure(Failure),
    /// An unknown kind of event, or an `initial-response`, which REST services do not send.
    Other {
        /// The header `:event-type`; empty if it is missing.
        event_type: &'a str,
        /// The payload.
        payload: &'a [u8],
    },
}

impl<'a> Event<'a> {
    /// Parses a frame by the names of its headers. Their order is not guaranteed, and the content type is optional.
    pub fn parse(frame: &Frame<'a>) -> Self {
        let headers = frame.headers();
        let text = |name: &str| headers.get(name).and_then(|value: Value<'a>| value.as_str());
        Self::read(text, frame.payload())
    }

    /// The same for a frame that another decoder has parsed: `text` returns a string header by name.
    pub fn read(text: impl Fn(&str) -> Option<&'a str>, payload: &'a [u8]) -> Self {
        match text(":message-type") {
            Some("exception") => {
                let name = text(":exception-type").unwrap_or("exception");
                Self::Failure(exception(name, payload))
            }
            Some("error") => {
                let message = text(":error-message").unwrap_or_default().to_string();
                let code = text(":error-code").map(String::from);
                Self::Failure(Failure::of("error", code, message, payload))
            }
            _ => match text(":event-type") {
                Some("PayloadPart") => Self::PayloadPart(PayloadPart {
                    bytes: payload,
                    data_type: text("DataType").map(DataType::from),
                    completion_state: text("CompletionState").map(CompletionState::from),
                }),
                event_type => Self::Other { event_type: event_type.unwrap_or_default(), payload },
            },
        }
    }
}

/// A `PayloadPart`: bytes, and how a bidirectional stream passes them on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct PayloadPart<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// The header `DataType`; `None` in response streams. Without it, a bidirectional stream passes the bytes on as binary.
    pub data_type: Option<DataType<'a>>,
    /// The header `CompletionState`; `None` in response streams, and for messages that are one part.
    pub completion_state: Option<CompletionState<'a>>,
}

impl<'a> PayloadPart<'a> {
    /// A part without headers of its own.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, ..Self::default() }
    }

    setters! {
        data_type(data_type: DataType<'a>) => Some(data_type);
        completion_state(state: CompletionState<'a>) => Some(state);
    }

    /// Appends the part to `out`, as an event in a frame.
    ///
    /// # Errors
    ///
    /// A header is longer than 32,767 bytes, or the frame is longer than 4 GiB. `out` is left as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let headers = [
            (":message-type", Some("event")),
            (":event-type", Some("PayloadPart")),
            (":content-type", Some("application/octet-stream")),
            ("DataType", self.data_type.as_ref().map(DataType::as_str)),
            ("CompletionState", self.completion_state.as_ref().map(CompletionState::as_str)),
        ];
        let headers = headers
            .into_iter()
            .filter_map(|(name, value)| value.map(|value| Header::new(name, Value::String(value))));
        encode(headers, self.bytes, out)
    }
}

/// An exception of a response stream, after which nothing follows.
///
/// Source: the shapes `ModelStreamError` and `InternalStreamFailure` of the service model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Exception<'a> {
    /// The header `:exception-type`: `ModelStreamError` or `InternalStreamFailure`.
    pub name: &'a str,
    /// The field `ErrorCode` of a `ModelStreamError`: `ModelInvocationTimeExceeded` or `StreamBroken`.
    pub code: Option<&'a str>,
    /// The field `Message`.
    pub message: &'a str,
}

impl<'a> Exception<'a> {
    /// An exception.
    pub fn new(name: &'a str, code: Option<&'a str>, message: &'a str) -> Self {
        Self { name, code, message }
    }

    /// The nearest exception for the error that a stream ended with. `text` is what the error displays.
    pub(crate) fn of(error: &'a DecodeError, text: &'a str) -> Self {
        match error.failure() {
            Some(failure) if failure.name == INTERNAL => Self::new(INTERNAL, None, &failure.message),
            Some(failure) if failure.name == MODEL => {
                Self::new(MODEL, failure.code.as_deref(), &failure.message)
            }
            _ => Self::new(MODEL, Some("StreamBroken"), text),
        }
    }

    /// The body of the exception, which is also that of an HTTP error before the stream has started.
    pub fn payload(&self) -> Vec<u8> {
        let mut out = Vec::new();
        Object::write(&mut out, |object| {
            object.string("Message", self.message);
            if let Some(code) = self.code {
                object.string("ErrorCode", code);
            }
        });
        out
    }

    /// Appends the exception to `out`, in a frame.
    ///
    /// # Errors
    ///
    /// The name is longer than 32,767 bytes, or the frame is longer than 4 GiB. `out` is left as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let headers = [
            (":exception-type", self.name),
            (":content-type", "application/json"),
            (":message-type", "exception"),
        ];
        encode(headers.map(|(name, value)| Header::new(name, Value::String(value))), &self.payload(), out)
    }
}

const MODEL: &str = "ModelStreamError";
const INTERNAL: &str = "InternalStreamFailure";

/// Defines the values of a header, with an unknown one kept as it is.
macro_rules! header_values {
    ($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $value:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name<'a> {
            $($(#[$value_doc])* $value,)*
            /// Any other value, as the source sent it.
            Other(&'a str),
        }

        impl<'a> $name<'a> {
            /// The value on the wire.
            pub fn as_str(&self) -> &'a str {
                match self {
                    $(Self::$value => $text,)*
                    Self::Other(value) => value,
                }
            }
        }

        impl<'a> From<&'a str> for $name<'a> {
            fn from(value: &'a str) -> Self {
                match value {
                    $($text => Self::$value,)*
                    value => Self::Other(value),
                }
            }
        }
    };
}

header_values! {
    /// The kind of WebSocket frame that a part of a bidirectional stream is.
    DataType {
        /// A text frame.
        Utf8 = "UTF8",
        /// A binary frame.
        Binary = "BINARY",
    }
}

header_values! {
    /// Whether a part of a bidirectional stream ends a message.
    CompletionState {
        /// More parts of the message follow.
        Partial = "PARTIAL",
        /// The message is complete.
        Complete = "COMPLETE",
    }
}

/// The body of an exception. SageMaker capitalizes the fields, Bedrock does not.
#[derive(Default, Deserialize)]
struct Body {
    #[serde(default, alias = "Message", alias = "errorMessage")]
    message: Option<String>,
    #[serde(default, rename = "ErrorCode", alias = "code")]
    code: Option<String>,
    /// Only in Bedrock's `modelStreamErrorException`: the status and message of the model server.
    #[serde(default, rename = "originalStatusCode")]
    status: Option<serde_json::Number>,
    #[serde(default, rename = "originalMessage")]
    original: Option<String>,
}

fn exception(name: &str, payload: &[u8]) -> Failure {
    match serde_json::from_slice::<Body>(payload) {
        Ok(body) => {
            let code = body.code.or_else(|| body.status.map(|status| status.to_string()));
            let message = body.message.filter(|message| !message.is_empty()).or(body.original);
            Failure::of(name, code, message.unwrap_or_default(), payload)
        }
        Err(_) => Failure::of(name, None, String::from_utf8_lossy(payload).into_owned(), payload),
    }
}
